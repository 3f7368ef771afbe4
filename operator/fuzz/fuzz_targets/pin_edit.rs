//! Any bytes as a manifest: reading them never panics, and an edit changes the bytes of one tag or nothing.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use mainstay::domain::pin::{Change, Targets, apply, scan};

const TAG: &str = "v1.0.3-0e2c101";

static TARGETS: LazyLock<Targets> =
    LazyLock::new(|| ["r.io/cv", "r.io/cv-sidecar", "r.io:5000/t/ntfy"].map(str::to_owned).into_iter().collect());

fuzz_target!(|text: &[u8]| {
    let Ok(before) = scan(text, &TARGETS) else { return };
    for (at, place) in before.places.iter().enumerate() {
        let change = Change { place, tag: TAG, digest: place.digest.as_deref() };
        // An edit that is not proven is refused: that is no fault.
        let Ok(after) = apply(text, &[change], &TARGETS) else { continue };
        let same_start = text.iter().zip(&after).take_while(|(old, new)| old == new).count();
        let same_end = text.iter().rev().zip(after.iter().rev()).take_while(|(old, new)| old == new).count();
        let old = place.tag.as_ref().map_or(0, String::len);
        assert!(same_start + same_end + old >= text.len(), "more than the tag has changed");
        let again = scan(&after, &TARGETS).expect("what was edited can be read");
        assert_eq!(again.places.len(), before.places.len());
        assert_eq!(again.places[at].tag.as_deref(), place.tag.as_ref().map(|_| TAG));
        let change = Change { place: &again.places[at], ..change };
        assert_eq!(apply(&after, &[change], &TARGETS), Ok(after.clone()), "twice is once");
    }
});
