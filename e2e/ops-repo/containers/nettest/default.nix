# The tool of the Dockerfile beside it, which also says the version. Pin nixpkgs: a floating one gives another image another day.
{ pkgs ? import <nixpkgs> { } }:

let
  nettest = pkgs.runCommand "nettest" { } ''
    mkdir -p $out/www/cgi-bin
    cp ${./nettest.sh} $out/www/cgi-bin/nettest
    chmod 755 $out/www/cgi-bin/nettest
  '';
in
pkgs.dockerTools.buildLayeredImage {
  name = "nettest";
  tag = "latest";
  contents = [ pkgs.busybox nettest ];
  config = {
    Entrypoint = [ "/bin/httpd" "-f" "-p" "8080" "-h" "/www" ];
    ExposedPorts."8080/tcp" = { };
    User = "65534";
  };
}
