//! `nix-build` of a default.nix.

use std::collections::BTreeMap;

use super::{Parts, Request, VERSION, cache, confined, shell};
use crate::config::EngineConfig;
use crate::controllers::image_build::job::AUTHORITIES;
use crate::domain::quantity;

/// Builds the expression, and takes what comes out by looking at it: an OCI layout, an archive, or a program that streams one.
///
/// The cache is a binary cache in a directory: it takes writers at the same time, and a store on the volume would hide the one of the image.
const SCRIPT: &str = r#"set -eu
if [ -n "${AUTHORITIES:-}" ]; then
  cat "${NIX_SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" "$AUTHORITIES" > /tmp/authorities.crt
  export NIX_SSL_CERT_FILE=/tmp/authorities.crt SSL_CERT_FILE=/tmp/authorities.crt GIT_SSL_CAINFO=/tmp/authorities.crt
fi
if [ -e /cache/nix/nix-cache-info ]; then
  export NIX_CONFIG="$NIX_CONFIG
fallback = true
extra-substituters = file:///cache/nix?trusted=true"
fi
if [ -n "${VERSION_OF:-}" ]; then
  of='{ name }: let it = (import <nixpkgs> { }).${name}.version or ""; in if builtins.isString it then it else ""'
  said=$(nix-instantiate --eval --strict --json --argstr name "$VERSION_OF" --expr "$of")
  if [ "$said" = '""' ]; then
    echo "error: default.nix says no version, and <nixpkgs> has no $VERSION_OF.version: add version = \"<version>\"; to default.nix" >&2
    exit 1
  fi
  printf '%s' "$said" | tr -d '"' > "$VERSION_FILE"
  chmod a+r "$VERSION_FILE"
fi
nix-build "$CONTEXT/default.nix" --out-link /tmp/result
result=$(readlink -f /tmp/result)
rm -rf "$ARCHIVE"
if [ -f "$result/oci-layout" ] && [ -f "$result/index.json" ]; then
  cp -rL "$result" "$ARCHIVE"
elif [ -f "$result" ]; then
  case $(head -c 4 "$result" | tr -d '\000') in
    '#!'* | "$(printf '\177ELF')") "$result" > "$ARCHIVE" ;;
    *) cp "$result" "$ARCHIVE" ;;
  esac
else
  echo "error: default.nix gave $result, which is neither an image archive, nor an OCI layout, nor a script that streams an archive" >&2
  exit 1
fi
chmod -R u+w,a+rX "$ARCHIVE"
keep() {
  if [ -n "${CACHE_KIBIBYTES:-}" ] && [ -e /cache/nix ] && [ "$(du -sk /cache/nix | cut -f 1)" -gt "$CACHE_KIBIBYTES" ]; then
    echo 'the cache has reached its limit: it begins anew'
    rm -rf /cache/nix
  fi
  expression=$(nix-instantiate "$CONTEXT/default.nix" 2> /dev/null)
  nix-store --query --requisites --include-outputs $expression | grep -v '\.drv$' |
    xargs nix --extra-experimental-features nix-command copy --to 'file:///cache/nix?compression=zstd'
}
if [ -n "${CACHE_WRITE:-}" ]; then
  keep || echo 'the cache could not be written: the next build begins without this one'
fi
"#;

pub(super) fn parts(request: &Request<'_>, own: &EngineConfig) -> Parts {
    let claim = cache::claim(request, own);
    let mut environment = BTreeMap::from([("HOME".to_owned(), "/tmp".to_owned()), ("NIX_CONFIG".to_owned(), config(request, own))]);
    if request.config.ca_bundle.is_some() {
        environment.insert("AUTHORITIES".to_owned(), format!("{AUTHORITIES}/bundle.crt"));
    }
    if request.evaluates_version {
        environment.insert("VERSION_OF".to_owned(), request.name.to_owned());
        environment.insert("VERSION_FILE".to_owned(), VERSION.to_owned());
    }
    if claim.is_some() && request.from_main {
        environment.insert("CACHE_WRITE".to_owned(), "true".to_owned());
        let limit = own.cache.size_limit.as_deref().and_then(quantity::bytes);
        environment.extend(limit.map(|bytes| ("CACHE_KIBIBYTES".to_owned(), (bytes >> 10).to_string())));
    }
    Parts { command: Some(shell(SCRIPT)), environment, security: confined(None), volumes: claim.into_iter().collect(), ..Parts::default() }
}

/// nix' own sandbox needs privileges that the pod does not have; the pod is the sandbox.
fn config(request: &Request<'_>, own: &EngineConfig) -> String {
    let mut lines = vec!["build-users-group =".to_owned(), "sandbox = false".to_owned()];
    for (setting, values) in [("extra-substituters", &own.substituters), ("extra-trusted-public-keys", &own.trusted_public_keys)] {
        if !values.is_empty() {
            lines.push(format!("{setting} = {}", values.join(" ")));
        }
    }
    let also = own.environment.get("NIX_CONFIG").or_else(|| request.config.build_environment.get("NIX_CONFIG"));
    lines.extend(also.cloned());
    lines.join("\n")
}
