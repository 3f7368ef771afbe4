#!/bin/sh
# Settings that somebody changed in /config win: the arguments are for the first start.
if [ -e /config/settings.json ]; then
  exec transmission-daemon --foreground --config-dir /config
fi
exec transmission-daemon --foreground --config-dir /config --download-dir /downloads --allowed '*' --no-auth
