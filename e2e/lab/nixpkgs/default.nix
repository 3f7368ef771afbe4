# A stand-in for nixpkgs, which the lab cannot have: the few names that the sample repository asks for, with the arguments that they take
# there, made from what lies in the image of the nix engine. An image is one layer of plain files, without a store.
{ }:

let
  system = builtins.currentSystem;
  architecture = { x86_64-linux = "amd64"; aarch64-linux = "arm64"; }.${system};
in
rec {
  runCommand = name: environment: script:
    derivation ({
      inherit name system;
      builder = "/bin/sh";
      args = [ "-e" "-c" "PATH=/usr/bin:/bin\n${script}" ];
    } // environment);

  busybox = runCommand "busybox" { } ''
    mkdir -p $out/bin
    cp /bin/busybox $out/bin/busybox
    for program in $(/bin/busybox --list); do
      [ -e $out/bin/$program ] || ln -s busybox $out/bin/$program
    done
  '';

  # A package of which only the version is asked for.
  hello.version = "2.12.1";

  dockerTools.buildLayeredImage = { name, tag ? "latest", contents ? [ ], config ? { } }:
    runCommand "${name}.tar.gz" {
      inherit contents;
      config = builtins.toJSON config;
    } ''
      mkdir -p layer/tmp
      for content in $contents; do
        cp -R --no-preserve=mode --preserve=links $content/. layer/
        (cd $content && find . -type f -perm -u+x) | while read -r program; do chmod +x "layer/$program"; done
      done
      chmod 1777 layer/tmp
      tar --sort=name --mtime=@1 --owner=0 --group=0 --numeric-owner -C layer -cf layer.tar .
      layer=$(sha256sum layer.tar | cut -c1-64)
      printf '{"architecture":"${architecture}","os":"linux","config":%s,"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' "$config" "$layer" > config.json
      printf '[{"Config":"config.json","RepoTags":["${name}:${tag}"],"Layers":["layer.tar"]}]' > manifest.json
      tar --mtime=@1 -c config.json layer.tar manifest.json | gzip -n > $out
    '';
}
