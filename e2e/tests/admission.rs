//! The chart's admission policy with a real API server: what it refuses and where, with ten thousand digests, and without its parameter.
#![allow(clippy::unwrap_used, reason = "a test may fail loudly")]

mod support;

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn only_images_from_main_are_let_in() {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../charts/mainstay/tests/admission.sh");
    let said = support::lab().await.unwrap().run("bash", &[script]).await.unwrap();
    assert!(said.contains("admission: all passed"), "{said}");
}
