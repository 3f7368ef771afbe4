use super::*;

const REG: &str = "registry.example/team";
const OLD: &str = "v1.0.2-0aa1bb2";
const NEW: &str = "v1.0.3-0e2c101";
const NIX: &str = "v2.17.0-cd57814-nix";

fn targets() -> Targets {
    ["cv", "grafana", "grafana-sidecar", "kiwix-serve", "kubectl", "loki", "runner", "transmission", "transmission-exporter"]
        .iter()
        .map(|name| format!("{REG}/{name}"))
        .chain(["registry.example:5000/team/cv".to_owned()])
        .collect()
}

fn digest(digit: char) -> String {
    format!("sha256:{}", digit.to_string().repeat(64))
}

/// Short words in the texts of the tests, written out.
fn full(text: &str) -> String {
    text.replace("REG", REG).replace("OLD", OLD).replace("DIGEST", &digest('a'))
}

fn places(text: &str) -> Vec<Place> {
    scan(full(text).as_bytes(), &targets()).unwrap().places
}

fn notes(text: &str) -> Vec<(u32, &'static str)> {
    let scan = scan(full(text).as_bytes(), &targets()).unwrap();
    assert_eq!(scan.places, [], "{text}");
    scan.notes.iter().map(|note| (note.line, note.reason.as_str())).collect()
}

fn unreadable(text: &[u8]) -> Unreadable {
    scan(text, &targets()).unwrap_err()
}

/// Sets every place to the new tag, and its digest where it has one; the text must come out as the old one with those words replaced.
#[track_caller]
fn moves(text: &str, forms: &[(Form, &str, u32)]) {
    let before = full(text);
    let found = scan(before.as_bytes(), &targets()).unwrap();
    assert_eq!(found.notes, [], "{text}");
    let seen: Vec<_> = found.places.iter().map(|place| (place.form, place.field.as_str(), place.line)).collect();
    assert_eq!(seen, forms, "{text}");
    let new = digest('b');
    let changes: Vec<_> =
        found.places.iter().map(|place| Change { place, tag: NEW, digest: place.digest.as_ref().map(|_| new.as_str()) }).collect();
    let after = String::from_utf8(apply(before.as_bytes(), &changes, &targets()).unwrap()).unwrap();
    assert_eq!(after, before.replace(OLD, NEW).replace(&digest('a'), &new), "{text}");
    let again = scan(after.as_bytes(), &targets()).unwrap().places;
    assert!(again.iter().all(|place| place.tag.is_none() || place.tag.as_deref() == Some(NEW)), "{text}");
}

#[test]
fn a_kustomization_is_edited_whatever_its_style() {
    use Form::Kustomize;
    for text in [
        "kind: Kustomization\nimages:\n  - name: REG/cv\n    newTag: OLD\n",
        "images:\n- name: REG/cv\n  newTag: \"OLD\"   # from main\n\n",
        "images:\n- name: REG/cv\n  newTag: 'OLD'",
        "\u{feff}images:\r\n- name: REG/cv\r\n  newTag: OLD\t\r\n",
        "images: [{name: REG/cv, newTag: OLD}]\n",
        "{\"images\": [{\"name\": \"REG/cv\", \"newTag\": \"OLD\"}]}",
        "images:\n  -   newTag:    OLD\n      name:   REG/cv\n",
        "images:\n- name: upstream/cv\n  newName: REG/cv\n  newTag: !!str OLD\n",
        "images:\n- name: upstream/cv\n  newName: \"REG/cv\"\n  newTag: &tag OLD\n",
        "images:\n- name: REG/cv\n  newTag: OLD\n  digest: DIGEST\n",
        "images:\n- name: REG/cv\n  newName:\n  newTag: >-\n    OLD\n",
    ] {
        let line = u32::try_from(full(text).split(OLD).next().unwrap().lines().count().max(1)).unwrap();
        moves(text, &[(Kustomize, "images[0].newTag", line)]);
    }
    moves("images:\n- name: REG/cv\n  digest: DIGEST\n", &[(Kustomize, "images[0].digest", 3)]);
}

#[test]
fn references_are_found_wherever_a_manifest_may_have_them() {
    use Form::Image;
    moves(
        "kind: CronJob\nspec:\n  jobTemplate:\n    spec:\n      template:\n        spec:\n          containers:\n          - image: REG/cv:OLD\n",
        &[(Image, "spec.jobTemplate.spec.template.spec.containers[0].image", 8)],
    );
    moves(
        "kind: List\nitems:\n- spec: {initContainers: [{image: 'REG/cv:OLD'}]}\n",
        &[(Image, "items[0].spec.initContainers[0].image", 3)],
    );
    moves("a: 1\n---\n---\nx.y/z: {proxyImage: REG/cv:OLD}\n", &[(Image, "document[2][\"x.y/z\"].proxyImage", 4)]);
    moves("args: [--image, \"REG/cv:OLD@DIGEST\"]\n", &[(Image, "args[1]", 1)]);
    moves("image: REG/cv@DIGEST\n", &[(Image, "image", 1)]);
    moves("image: registry.example:5000/team/cv:OLD\n", &[(Image, "image", 1)]);
    moves("{\"image\":\"registry.example\\/team\\/cv:OLD\"}", &[(Image, "image", 1)]);
    moves("image: >-\n  REG/cv:OLD\n\nb: 1\n", &[(Image, "image", 2)]);
    moves("image: &cv REG/cv:OLD\n", &[(Image, "image", 1)]);
    moves("REG/cv:OLD", &[(Image, "", 1)]);
    moves("- REG/cv:OLD\n- ä: REG/kubectl:OLD\n", &[(Image, "[0]", 1), (Image, "[1][\"ä\"]", 2)]);
}

#[test]
fn a_reference_behind_a_scheme_is_one_pin_each() {
    use Form::Text;
    moves("env:\n- name: RUNNER_LABELS\n  value: \"k8s:docker://REG/runner:OLD\"\n", &[(Text, "env[0].value", 3)]);
    moves("v: a:docker://REG/runner:OLD,b:docker://REG/cv:OLD@DIGEST\n", &[(Text, "v", 1), (Text, "v", 1)]);
    moves("v: 'it''s oci://REG/cv:OLD'\n", &[(Text, "v", 1)]);
    moves(
        "data:\n  labels: |\n    a:docker://REG/runner:OLD\n\n      b:docker://REG/runner:OLD  \n  folded: >\n    x\n    docker://REG/cv:OLD\n",
        &[(Text, "data.labels", 3), (Text, "data.labels", 5), (Text, "data.folded", 8)],
    );
    moves("v: \"a\n  docker://REG/cv:OLD\n  b\"\n", &[(Text, "v", 2)]);
    moves("v: \"\\tdocker://REG/cv:OLD\"\n", &[(Text, "v", 1)]);
}

#[test]
fn helm_values_are_edited_split_or_not() {
    use Form::HelmValues;
    moves("image:\n  repository: REG/cv\n  tag: \"OLD\"\n", &[(HelmValues, "image.tag", 3)]);
    moves("image:\n  tag: OLD\n  digest: DIGEST\n  registry: registry.example\n  repository: team/cv\n", &[(HelmValues, "image.tag", 2)]);
    moves("image: {repository: REG/cv, tag: '', digest: DIGEST}\n", &[(HelmValues, "image.digest", 1)]);
    assert_eq!(places("image:\n  registry: mirror.example\n  repository: REG/cv\n  tag: OLD\n"), []);
    assert_eq!(places("image:\n  repository: REG/cv\n"), []);
}

#[test]
fn names_are_whole_names() {
    for text in [
        "image: evilregistry.example/team/cv:OLD\n",
        "image: proxy.example/REG/cv:OLD\n",
        "image: REG/cv/extra:OLD\n",
        "image: REG/cvs:OLD\n",
        "image: REG/cv-sidecar:OLD\n",
        "image: REG/grafana-image:OLD\n",
        "image: registry.example:5001/team/cv:OLD\n",
        "v: docker://REG/cv:OLD/more\n",
        "v: docker://REG/cv:OLD$SUFFIX\n",
        "v: docker://me@REG/cv:OLD\n",
        "v: docker://mirror/REG/cv:OLD\n",
        "annotations: {kiwix.registry.example/zim-hash: REG}\n",
        "image: REG/cv:OLD@sha256:abc\n",
        "image: \" REG/grafana:OLD@\"\n",
        "REG/cv:OLD: a key\n",
        "images:\n- name: REG/cv:OLD\n  newName: REG/cv:OLD\n  newTag: OLD\n",
    ] {
        assert_eq!(notes(text), [], "{text}");
    }
    let found = places("- REG/grafana-sidecar:OLD\n- REG/grafana:OLD\n");
    assert_eq!(
        found.iter().map(|place| place.image.as_str()).collect::<Vec<_>>(),
        ["registry.example/team/grafana-sidecar", "registry.example/team/grafana"]
    );
}

#[test]
fn placeholders_are_left_alone_and_foreign_tags_are_named() {
    for text in [
        "image: REG/cv:kustomized\n",
        "image: REG/cv:latest\n",
        "image: REG/cv:v1\n",
        "image: REG/cv\n",
        "v: docker://REG/cv:latest\n",
        "image: REG/cv:{{ .Values.tag }}\n",
        "tag: {{ .Values.tag }}\nrepository: REG/cv\n",
        "images: [{name: REG/cv, newName: REG/loki}]\n",
        "images: [{name: REG/cv, newTag: null, digest: ~}]\n",
        "images: [{name: REG/cv, newTag: [OLD]}]\n",
    ] {
        assert_eq!(notes(text), [], "{text}");
    }
    for (text, line) in [
        ("images:\n- name: REG/cv\n  newTag: latest\n", 3),
        ("images:\n- name: REG/cv\n  newTag: 1.10\n  digest: DIGEST\n", 3),
        ("image:\n  tag: latest\n  repository: REG/cv\n", 2),
        ("image: REG/cv:1.0.3-0e2c101\n", 1),
        ("image: REG/cv:main-0e2c101-nix\n", 1),
        ("image: REG/cv:latest@DIGEST\n", 1),
        ("images:\n- name: REG/cv\n  newTag: v1 x-0e2c101\n", 3),
    ] {
        assert_eq!(notes(text), [(line, "TagForeign")], "{text}");
    }
    assert_eq!(notes("images:\n- name: REG/cv\n  newTag: OLD\n  digest: sha512:0\n"), [(4, "DigestForeign")]);
}

#[test]
fn what_cannot_be_changed_alone_is_named() {
    for (text, line, reason) in [
        ("a: &cv REG/cv:OLD\nb: *cv\n", 1, "SharedAnchor"),
        ("base: &base\n  image: REG/cv:OLD\nother:\n  <<: *base\n", 2, "SharedAnchor"),
        ("images:\n- name: REG/cv\n  newTag: &t OLD\n- name: other\n  newTag: *t\n", 3, "SharedAnchor"),
        ("t: &t OLD\nimages:\n- name: REG/cv\n  newTag: *t\n", 4, "SharedAnchor"),
        ("image: !!binary REG/cv:OLD\n", 1, "ValueTag"),
        ("image: !!python/object REG/cv:OLD\n", 1, "ValueTag"),
        ("image: \"REG/cv:\\x76\\x31.0-0aa1bb2\"\n", 1, "Escaped"),
        ("v: \"docker://REG/cv:v1.0-0aa1bb2\\x2dnix\"\n", 1, "Escaped"),
        ("v: \"a\\ndocker://REG/cv:OLD\\n\"\n", 1, "Escaped"),
        ("data:\n  pod.yaml: |\n    kind: Pod\n    image: REG/cv:OLD\n", 4, "BlockScalar"),
        ("args: [--image=REG/cv:OLD]\n", 1, "LooseText"),
        ("link: https://REG/cv:OLD\n", 1, "LooseText"),
    ] {
        assert_eq!(notes(text), [(line, reason)], "{text}");
    }
    let anchored = places("name: &name REG/cv\nimages:\n- name: *name\n  newTag: OLD\n");
    assert_eq!(anchored[0].image, "registry.example/team/cv", "a name may be followed: it is not changed");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    for (text, reason, line) in [
        ("image: REG/cv:OLD\nimage: REG/cv:OLD\n", "Syntax", "line 2"),
        ("a: REG/cv:OLD\n---\nb: {c: 1, 'c': 2}\n", "Syntax", "line 3"),
        ("a: REG/cv:OLD\n---\nb: [\n", "Syntax", "line"),
        ("a: REG/cv:OLD\nb: *nobody\n", "Syntax", "line 2"),
        ("a: REG/cv:OLD\nb: \0\n", "Syntax", "line 2"),
        ("a: REG/cv:OLD\n{{- if .Values.on }}\nb: 1\n{{- end }}\n", "Template", "line 2"),
        ("image: {{ .Values.registry }}/{{ .Values.name }}\nb: REG/cv:OLD\n", "Template", "line 1"),
        ("<<<<<<< HEAD\na: REG/cv:OLD\n=======\na: REG/cv:v2.0.0-0e2c101\n>>>>>>> other\n", "ConflictMarkers", "line 1"),
    ] {
        let error = unreadable(full(text).as_bytes());
        assert_eq!(error.reason, reason, "{text}");
        assert!(error.message.starts_with(line), "{text}: {error}");
    }
    let error = unreadable(b"a: registry.example/team/cv\nb: \xff\n");
    assert_eq!((error.reason.as_str(), error.message.as_str()), ("NotUtf8", "line 2: the file is not UTF-8 text"));
}

#[test]
fn what_is_not_ours_is_not_looked_into() {
    for text in [&b"\xff\xfe\x00"[..], b"{{- if }}", b"a: [", b"", b"<<<<<<< HEAD\n", &vec![b'['; 5 << 20]] {
        assert_eq!(scan(text, &targets()), Ok(Scan::default()));
    }
    assert_eq!(scan(full("image: REG/cv:OLD").as_bytes(), &Targets::default()), Ok(Scan::default()));
}

#[test]
fn hostile_files_end_soon() {
    let lead = full("image: REG/cv:OLD\n");
    let bomb: String = (0..9).map(|n| format!("a{}: &a{} [{}]\n", n + 1, n + 1, vec![format!("*a{n}"); 9].join(","))).collect();
    let begun = std::time::Instant::now();
    assert_eq!(places(&format!("a0: &a0 x\n{bomb}image: REG/cv:OLD\n")).len(), 1, "aliases are not followed");
    for (what, reason) in [
        (format!("b: {}", "[".repeat(100_000)), "Syntax"),
        (format!("b: {}", "{a: ".repeat(100_000)), "Syntax"),
        ((0..400).map(|n| format!("{}b:\n", " ".repeat(n))).collect(), "Syntax"),
        (format!("b: [{}]", "a,".repeat(600_000)), "TooLarge"),
        (format!("b: [{}]", "'registry.example/team/cv:v1.0.2-0aa1bb2',".repeat(20_000)), "TooLarge"),
        (format!("b: |\n{}", "  docker://registry.example/team/cv:v1.0.2-0aa1bb2\n".repeat(20_000)), "TooLarge"),
        (" ".repeat(4 << 20), "TooLarge"),
    ] {
        assert_eq!(unreadable(format!("{lead}{what}").as_bytes()).reason, reason, "{}", &what[..40]);
    }
    assert!(begun.elapsed().as_secs() < 30, "{:?} without optimization", begun.elapsed());
}

#[test]
fn only_the_named_places_change() {
    let text = full("images:\n- name: REG/transmission\n  newTag: OLD\n- name: REG/transmission-exporter\n  newTag: OLD\n");
    let found = scan(text.as_bytes(), &targets()).unwrap().places;
    let change = Change { place: &found[1], tag: NIX, digest: None };
    let after = String::from_utf8(apply(text.as_bytes(), &[change], &targets()).unwrap()).unwrap();
    assert_eq!(
        after,
        full(&format!("images:\n- name: REG/transmission\n  newTag: OLD\n- name: REG/transmission-exporter\n  newTag: {NIX}\n"))
    );
}

#[test]
fn a_digest_is_written_where_no_key_is_needed_for_it() {
    let (old, new) = (digest('a'), digest('b'));
    for (text, wanted) in [
        ("image: REG/cv:OLD\n", format!("image: REG/cv:{NEW}@{new}\n")),
        ("image: 'REG/cv:OLD' # x\n", format!("image: 'REG/cv:{NEW}@{new}' # x\n")),
        ("image: REG/cv:OLD@DIGEST\n", format!("image: REG/cv:{NEW}@{new}\n")),
        ("image: REG/cv@DIGEST\n", format!("image: REG/cv@{new}\n")),
        ("v: docker://REG/cv:OLD@DIGEST,\n", format!("v: docker://REG/cv:{NEW}@{new},\n")),
        ("v: docker://REG/cv:OLD,\n", format!("v: docker://REG/cv:{NEW},\n")),
        ("images: [{name: REG/cv, newTag: OLD}]\n", format!("images: [{{name: REG/cv, newTag: {NEW}}}]\n")),
        ("images: [{digest: DIGEST, name: REG/cv, newTag: OLD}]\n", format!("images: [{{digest: {new}, name: REG/cv, newTag: {NEW}}}]\n")),
    ] {
        let text = full(text);
        let found = scan(text.as_bytes(), &targets()).unwrap().places;
        let after = apply(text.as_bytes(), &[Change { place: &found[0], tag: NEW, digest: Some(&new) }], &targets()).unwrap();
        assert_eq!(String::from_utf8(after).unwrap(), full(&wanted));
        assert_eq!(found[0].takes_digest(), wanted.contains(&new));
    }
    assert!(old != new);
}

#[test]
fn an_edit_that_does_not_fit_changes_nothing() {
    let text = full("image: REG/cv:OLD@DIGEST\nother: REG/cv:OLD\n");
    let found = scan(text.as_bytes(), &targets()).unwrap().places;
    let new = digest('b');
    let refused = |text: &str, changes: &[Change<'_>]| apply(text.as_bytes(), changes, &targets()).unwrap_err().reason().as_str();
    let first = Change { place: &found[0], tag: NEW, digest: Some(&new) };
    let second = Change { place: &found[1], tag: NEW, digest: None };
    assert_eq!(refused(&text, &[Change { digest: None, ..first }]), "DigestMissing");
    assert_eq!(refused(&text, &[Change { digest: Some("sha256:0"), ..first }]), "DigestForeign");
    assert_eq!(refused(&text, &[second, first, second]), "Overlap");
    for tag in ["latest", "1.0", "", "v1 #-0e2c101", "v1: x-0e2c101", &format!("v{}-0e2c101", "1".repeat(120))] {
        assert_eq!(refused(&text, &[Change { tag, ..second }]), "TagForeign", "{tag}");
    }
    assert_eq!(refused(&text.replace("image", "images"), &[second]), "Stale");
    assert_eq!(refused("", &[second]), "Stale");
    assert_eq!(refused(&text.replace("other", "third"), &[second]), "Unproven", "the text is another one");
    assert_eq!(apply(text.as_bytes(), &[], &targets()), Ok(text.clone().into_bytes()));
    let same = Change { place: &found[1], tag: OLD, digest: None };
    assert_eq!(apply(text.as_bytes(), &[same], &targets()), Ok(text.into_bytes()));
}

#[test]
fn messages_are_short_and_the_way_to_a_place_too() {
    let key = "k".repeat(1000);
    let deep: String = (0..60).map(|n| format!("{}{key}:\n", " ".repeat(n))).collect();
    let found = places(&format!("{deep}{}image: REG/cv:OLD\n", " ".repeat(60)));
    assert!(found[0].field.chars().count() <= 202, "{}", found[0].field);
    assert!(found[0].field.ends_with(".image"));
    let tag = "x".repeat(5000);
    let scan = scan(full(&format!("images: [{{name: REG/cv, newTag: {tag}}}]")).as_bytes(), &targets()).unwrap();
    assert!(scan.notes[0].message.len() <= 256);
}
