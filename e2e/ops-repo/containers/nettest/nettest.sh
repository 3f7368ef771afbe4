#!/bin/sh
# What the network looks like from here, to whoever asks for /cgi-bin/nettest.
printf 'Content-Type: text/plain\r\n\r\n'
echo "nettest on $(uname -m), at $(hostname -i), asked by $REMOTE_ADDR"
sed -n 's/^nameserver/name server/p' /etc/resolv.conf
