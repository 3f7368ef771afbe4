//! The shapes of a real repository (note blumeops, sections 1.2 and 5): what its owner changed by hand, byte for byte.

use super::*;

const REG: &str = "registry.example/blumeops";

/// For each pin of a file the image, what it says, what it shall say.
type Pins = &'static [(&'static str, &'static str, &'static str)];

const FILES: [(&str, Pins); 6] = [
    (
        "---\nkind: Kustomization\nnamespace: torrent\nresources:\n  - deployment.yaml\nimages:\n  - name: REG/transmission\n    newTag: v4.1.1-r1-ab34cbd\n  - name: REG/transmission-exporter\n    newTag: v1.0.1-c93448f\n",
        &[("transmission", "v4.1.1-r1-ab34cbd", "v4.1.1-r1-b460333"), ("transmission-exporter", "v1.0.1-c93448f", "v1.0.1-c93448f")],
    ),
    (
        "---\nkind: Kustomization\n\nimages:\n  # ours\n  - name: REG/kiwix-serve\n    newTag: v3.8.2-f6f0f79\n  - name: REG/transmission\n    newTag: v4.0.6-r4-ffa8727\n  - name: docker.io/library/busybox\n    newTag: \"1.31.1\"\n  - name: REG/kubectl\n    newTag: v1.34.4-a72a0d8\n\nconfigMapGenerator:\n  - name: kiwix-zim-torrents\n    files:\n      - torrents.txt\n",
        &[
            ("kiwix-serve", "v3.8.2-f6f0f79", "v3.8.2-f6f0f79"),
            ("transmission", "v4.0.6-r4-ffa8727", "v4.1.1-r1-b460333"),
            ("kubectl", "v1.34.4-a72a0d8", "v1.34.4-0e2c101"),
        ],
    ),
    (
        "kind: Kustomization\nimages:\n  - name: grafana/loki\n    newName: REG/loki\n    newTag: \"v3.6.5-3dc4ed7\"\n",
        &[("loki", "v3.6.5-3dc4ed7", "v3.6.6-0e2c101")],
    ),
    (
        "kind: Kustomization\nimages:\n  - name: REG/ntfy\n    newTag: v2.17.0-cd57814-nix\n  - name: docker.io/library/redis\n    newTag: 7-alpine\n",
        &[("ntfy", "v2.17.0-cd57814-nix", "v2.18.0-0e2c101-nix")],
    ),
    (
        "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - image: code.example/forgejo/runner:kustomized\n          env:\n            - name: RUNNER_LABELS\n              value: \"k8s:docker://REG/runner-job-image:v0.20.1-24f7512\"\n          command:\n            - |\n              # Wait for the daemon\n              sleep 1\n",
        &[("runner-job-image", "v0.20.1-24f7512", "v0.20.2-0e2c101")],
    ),
    (
        "kind: CronJob\nmetadata:\n  annotations:\n    kiwix.blumeops/zim-hash: \"1\"\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n            - image: REG/kubectl:kustomized\n---\nkind: Role\n",
        &[],
    ),
];

#[test]
fn the_pins_of_a_real_repository_move_as_its_owner_moved_them() {
    let targets: Targets = ["kiwix-serve", "kubectl", "loki", "ntfy", "runner-job-image", "transmission", "transmission-exporter"]
        .iter()
        .map(|name| format!("{REG}/{name}"))
        .collect();
    for (text, pins) in FILES {
        let text = text.replace("REG", REG);
        let found = scan(text.as_bytes(), &targets).unwrap();
        assert_eq!(found.notes, []);
        let said: Vec<_> =
            found.places.iter().map(|place| (place.image.rsplit('/').next().unwrap(), place.tag.as_deref().unwrap())).collect();
        assert_eq!(said, pins.iter().map(|(image, old, _)| (*image, *old)).collect::<Vec<_>>());
        let changes: Vec<_> = found.places.iter().zip(pins).map(|(place, (_, _, tag))| Change { place, tag, digest: None }).collect();
        let after = apply(text.as_bytes(), &changes, &targets).unwrap();
        let wanted = pins.iter().fold(text, |text, (_, old, new)| text.replace(old, new));
        assert_eq!(String::from_utf8(after).unwrap(), wanted);
    }
}
