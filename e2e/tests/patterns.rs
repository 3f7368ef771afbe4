//! The sample repository's ways of building an image end as containers that run and answer.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use mainstay_crds::{ContainerImage, Variant};
use mainstay_e2e::patterns::{PATTERNS, Pattern, ask, prepare};
use mainstay_e2e::sample;
use serde_json::json;
use support::{is_ready, world};

/// Those with a toolchain take minutes: `make demo-all` holds them.
#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn what_a_package_a_tarball_and_nix_make_runs_and_answers() {
    let quick: Vec<Pattern> = PATTERNS.into_iter().filter(|pattern| !pattern.toolchain).collect();
    let world = world("patterns").await.unwrap();
    let upstream = prepare(&world.lab, &quick).await.unwrap();
    sample::push(&world).await.unwrap();
    world.source(json!({})).await.unwrap();
    for pattern in &quick {
        world.image(pattern.container, upstream.spec(pattern)).await.unwrap();
    }
    let mut answered = Vec::new();
    for pattern in &quick {
        world.until::<ContainerImage>(pattern.container, "is ready", is_ready).await.unwrap();
        answered.extend(ask(&world, pattern).await.unwrap().into_iter().map(|one| (pattern.container, one.variant, one.engine)));
    }
    let wanted = [
        ("transmission", Variant::Dockerfile, "buildkit"),
        ("kiwix-serve", Variant::Dockerfile, "buildkit"),
        ("nettest", Variant::Dockerfile, "buildkit"),
        ("nettest", Variant::Nix, "nix"),
    ];
    assert_eq!(answered, wanted.map(|(container, variant, engine)| (container, variant, engine.to_owned())));
}
