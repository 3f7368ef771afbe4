//! BuildKit without a daemon of its own: each pod, in its own user namespace, starts one and ends it.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Capabilities, EmptyDirVolumeSource, SeccompProfile, SecurityContext, Volume};

use super::{Parts, Request, cache, certificates, dockerfile_options, mount, shell, words};
use crate::config::{CacheMode, Config, EngineConfig};
use crate::domain::{duration, quantity};

/// Longest tag of a registry.
const MAX_TAG: usize = 128;

/// Starts the daemon, waits for it, builds. What a user wrote reaches it by environment and arguments only, never as script.
///
/// Two daemons cannot share a directory, so that a cache has one for each build that may run at once. The daemon itself holds the lock: one
/// that does not start is busy or broken, and the next is tried; at last there is always the pod's own directory.
const SCRIPT: &str = r#"set -eu
mkdir -p /run/buildkit
printf '%s' "$BUILDKITD_CONFIG" > /run/buildkit/buildkitd.toml
export BUILDKIT_HOST=unix:///run/buildkit/buildkitd.sock
start() {
  buildkitd --config /run/buildkit/buildkitd.toml --root "$1" --addr "$BUILDKIT_HOST" \
    --oci-worker=true --oci-worker-no-process-sandbox --containerd-worker=false > /run/buildkit/log 2>&1 &
  daemon=$!
  tries=0
  until buildctl debug workers > /dev/null 2>&1; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ] || ! kill -0 "$daemon" 2> /dev/null; then
      kill "$daemon" 2> /dev/null || true
      return 1
    fi
    sleep 0.1
  done
}
kept=
for slot in ${CACHE_SLOTS:-}; do
  if start "/cache/buildkit-$slot"; then
    kept=yes
    break
  fi
  echo "place $slot of the cache cannot be used: $(grep "^buildkitd:" /run/buildkit/log || tail -n 1 /run/buildkit/log)"
done
if [ -z "$kept" ] && ! start /var/lib/buildkit; then
  tail -n 20 /run/buildkit/log >&2
  echo 'buildkitd did not start' >&2
  exit 1
fi
status=0
buildctl build --progress=plain --frontend dockerfile.v0 --local context="$CONTEXT" --local dockerfile="$CONTEXT" \
  "$@" --output "type=oci,dest=$ARCHIVE${OUTPUT_OPTIONS:-}" || status=$?
[ "$status" -ne 0 ] || chmod 0644 "$ARCHIVE"
if [ -n "$kept" ]; then
  [ -z "${CACHE_MAX_AGE:-}" ] || buildctl prune --all --keep-duration "$CACHE_MAX_AGE" > /dev/null || true
  [ -z "${CACHE_MEGABYTES:-}" ] || buildctl prune --all --keep-storage "$CACHE_MEGABYTES" > /dev/null || true
fi
kill "$daemon"
[ -z "$kept" ] || wait "$daemon" || true
exit "$status"
"#;

pub(super) fn parts(request: &Request<'_>, own: &EngineConfig) -> Parts {
    let mut environment = certificates(request.config, "/etc/ssl/certs");
    environment.insert("BUILDKITD_CONFIG".to_owned(), buildkitd_config(request.config));
    let root = Volume { name: "engine".to_owned(), empty_dir: Some(EmptyDirVolumeSource::default()), ..Volume::default() };
    let mut volumes = vec![(root, mount("engine", "/var/lib/buildkit"))];
    // A daemon writes to its directory whatever it builds: builds that are not of main go without.
    if let Some(claim) = cache::claim(request, own).filter(|_| request.from_main) {
        volumes.push(claim);
        environment.extend(slots(request, own));
    }
    let mut args = Vec::new();
    if let Some(created) = request.created {
        // Before those of the user, who may set another time.
        args.extend(words(&["--opt", &format!("build-arg:SOURCE_DATE_EPOCH={}", created.as_second())]));
        environment.insert("OUTPUT_OPTIONS".to_owned(), ",rewrite-timestamp=true".to_owned());
    }
    args.extend(dockerfile_options(request, "--opt", "build-arg:", |target| vec!["--opt".to_owned(), format!("target={target}")]));
    args.extend(in_registry(request, own));
    Parts {
        command: Some(shell(SCRIPT)),
        args,
        environment,
        // Root and these capabilities hold inside the pod's user namespace only.
        security: SecurityContext {
            allow_privilege_escalation: Some(true),
            run_as_user: Some(0),
            seccomp_profile: Some(SeccompProfile { type_: "Unconfined".to_owned(), ..SeccompProfile::default() }),
            capabilities: Some(Capabilities { add: Some(words(&["SYS_ADMIN", "NET_ADMIN"])), ..Capabilities::default() }),
            ..SecurityContext::default()
        },
        volumes,
        user_namespace: true,
    }
}

/// How the script uses the claim: the places in the order in which they are tried, each container from another one on, so that it finds what its
/// last build left; and the share of each in what is kept.
fn slots(request: &Request<'_>, own: &EngineConfig) -> BTreeMap<String, String> {
    let slots = own.max_concurrent_builds.get();
    let first = request.name.bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
    let order: Vec<String> = (0..slots).map(|slot| ((first % slots + slot) % slots).to_string()).collect();
    let megabytes = own.cache.size_limit.as_deref().and_then(quantity::bytes).map(|bytes| {
        let share = bytes / 1_000_000 / u64::try_from(slots).unwrap_or(u64::MAX);
        ("CACHE_MEGABYTES".to_owned(), share.max(1).to_string())
    });
    let age = own.cache.max_age.map(|age| ("CACHE_MAX_AGE".to_owned(), duration::show(age)));
    [Some(("CACHE_SLOTS".to_owned(), order.join(" "))), megabytes, age].into_iter().flatten().collect()
}

/// One tag for each container. A cache that cannot be written is no reason to fail.
fn in_registry(request: &Request<'_>, own: &EngineConfig) -> Vec<String> {
    let Some(registry) = cache::registry(request, own) else { return Vec::new() };
    let reference = format!("{}:{}", registry.repository, request.name.get(..MAX_TAG).unwrap_or(request.name));
    let mut args = words(&["--import-cache"]);
    args.push(format!("type=registry,ref={reference}"));
    if request.from_main {
        let mode = match registry.mode {
            CacheMode::Min => "min",
            CacheMode::Max => "max",
        };
        args.extend(["--export-cache".to_owned(), format!("type=registry,ref={reference},mode={mode},ignore-error=true")]);
    }
    args
}

/// One table for each registry, as TOML demands. BuildKit asks mirrors in their order, and the registry itself at last.
fn buildkitd_config(config: &Config) -> String {
    let mut registries: BTreeMap<&str, String> = BTreeMap::new();
    for host in &config.plain_http_registries {
        registries.insert(host, "  http = true\n".to_owned());
    }
    for (registry, mirrors) in &config.registry_mirrors {
        *registries.entry(registry).or_default() += &format!("  mirrors = {mirrors:?}\n");
    }
    registries.into_iter().map(|(registry, settings)| format!("[registry.{registry:?}]\n{settings}")).collect()
}
