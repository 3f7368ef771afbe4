# Stands on its own: the lab has no nixpkgs. The version is that of the Dockerfile beside it.
{ system ? builtins.currentSystem }:
derivation {
  name = "nettest.tar";
  inherit system;
  builder = "/bin/sh";
  args = [ "-c" ''
    PATH=/bin:/usr/bin
    mkdir layer && echo 'made by nix' > layer/README
    tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C layer -cf layer.tar .
    id=$(sha256sum layer.tar | cut -c1-64)
    printf '{"architecture":"amd64","os":"linux","config":{},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$id" > config.json
    printf '[{"Config":"config.json","RepoTags":["nettest:nix"],"Layers":["layer.tar"]}]' > manifest.json
    tar -cf $out config.json layer.tar manifest.json
  '' ];
}
