//! kaniko, the maintained fork: no user namespace and no privileges. Its image has no shell; its program is the image's entrypoint.

use k8s_openapi::api::core::v1::Capabilities;

use super::{Parts, Request, cache, certificates, confined, directory, dockerfile_options, literal, words};
use crate::config::EngineConfig;
use crate::controllers::image_build::job::{ARCHIVE, WORKSPACE};
use crate::domain::duration;

pub(super) fn parts(request: &Request<'_>, own: &EngineConfig) -> Parts {
    let directory = literal(&directory(request.context));
    let mut args = vec![
        format!("--context=dir://{directory}"),
        format!("--dockerfile={directory}/Dockerfile"),
        "--no-push".to_owned(),
        // Never pushed to; without a name it writes no archive.
        "--destination=mainstay.invalid/build:latest".to_owned(),
        format!("--tar-path={ARCHIVE}"),
        format!("--ignore-path={WORKSPACE}"),
    ];
    args.extend(request.config.plain_http_registries.iter().map(|host| format!("--insecure-registry={host}")));
    for (registry, mirrors) in &request.config.registry_mirrors {
        // kaniko's own name for Docker Hub.
        let registry = if registry == "docker.io" { "index.docker.io" } else { registry };
        args.extend(mirrors.iter().map(|mirror| format!("--registry-map={registry}={mirror}")));
    }
    let claim = cache::claim(request, own);
    args.extend(caching(request, own, claim.is_some()));
    args.extend(dockerfile_options(request, "--build-arg", "", |target| vec![format!("--target={target}")]));
    Parts {
        args,
        environment: certificates(request.config, "/kaniko/ssl/certs"),
        security: confined(Some(Capabilities {
            drop: Some(words(&["ALL"])),
            add: Some(words(&["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "SETUID", "SETGID", "SYS_CHROOT"])),
        })),
        volumes: claim.into_iter().collect(),
        ..Parts::default()
    }
}

/// kaniko has one cache: the claim before the registry. Each step is a directory or tag of its own there, named by its content, so that builds
/// at the same time do not meet.
fn caching(request: &Request<'_>, own: &EngineConfig, claimed: bool) -> Vec<String> {
    let place = if claimed {
        format!("oci:{}/kaniko", cache::PLACE)
    } else {
        match cache::registry(request, own) {
            Some(registry) => registry.repository.clone(),
            None => return Vec::new(),
        }
    };
    let mut args = vec!["--cache=true".to_owned(), format!("--cache-repo={place}")];
    // A cache that cannot be written is no reason to fail.
    args.push("--skip-push-permission-check".to_owned());
    args.extend(own.cache.max_age.map(|age| format!("--cache-ttl={}", duration::show(age))));
    args.extend(claimed.then(|| format!("--ignore-path={}", cache::PLACE)));
    args.extend((!request.from_main).then(|| "--no-push-cache".to_owned()));
    args
}
