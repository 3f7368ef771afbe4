use proptest::prelude::*;

use super::*;

const REPOSITORIES: [&str; 3] = ["registry.example/team/cv", "registry.example/team/cv-sidecar", "other.example:5000/ntfy"];

fn targets() -> Targets {
    REPOSITORIES.iter().map(|repository| (*repository).to_owned()).collect()
}

fn tag() -> impl Strategy<Value = String> {
    ("[0-9][0-9a-z._-]{0,12}", "[0-9a-f]{7}", any::<bool>())
        .prop_map(|(version, commit, nix)| format!("v{version}-{commit}{}", if nix { "-nix" } else { "" }))
}

fn digest() -> impl Strategy<Value = String> {
    "[0-9a-f]{64}".prop_map(|digits| format!("sha256:{digits}"))
}

fn quoted(text: &str, style: u8) -> String {
    match style % 3 {
        0 => text.to_owned(),
        1 => format!("'{text}'"),
        _ => format!("\"{text}\""),
    }
}

/// One document with one pin, in any form and style, with other things around it.
fn document() -> impl Strategy<Value = String> {
    let image = proptest::sample::select(&REPOSITORIES[..]);
    (image, tag(), proptest::option::of(digest()), 0u8..7, any::<u8>(), "( {0,3}# [a-zäöü:'\" ]{0,12})?", "[ \t]{0,2}", 1usize..4).prop_map(
        |(image, tag, digest, form, style, comment, blanks, indent)| {
            let pad = " ".repeat(indent);
            let end = format!("{blanks}{}\n", if comment.is_empty() { String::new() } else { format!(" {}", comment.trim_start()) });
            let at = digest.as_ref().map_or(String::new(), |digest| format!("@{digest}"));
            let key = |deeper: &str| digest.as_ref().map_or(String::new(), |digest| format!("{pad}{deeper}digest: {digest}{end}"));
            let tag_value = quoted(&tag, style);
            let pin = match form {
                0 => format!("images:\n{pad}- name: {image}\n{pad}  newTag: {tag_value}{end}{}", key("  ")),
                1 => format!("images:\n- name: upstream\n  newTag: {tag_value}{end}  newName: {}{end}", quoted(image, style / 3)),
                2 => format!("spec:\n{pad}containers:\n{pad}- image: {}{end}", quoted(&format!("{image}:{tag}{at}"), style)),
                3 => format!("env: [{{value: {}}}, 2]{end}", quoted(&format!("k8s:docker://{image}:{tag}{at}"), 1 + style % 2)),
                4 => format!("image:\n{pad}repository: {image}{end}{pad}tag: {tag_value}{end}{}", key("")),
                5 => format!("data:\n{pad}labels: |\n{pad}  a:docker://{image}:{tag}{at},\n\n{pad}  b ä\n{pad}c: 1{end}"),
                _ => format!("{{\"spec\": {{\"image\": \"{image}:{tag}{at}\"}},{pad}\"n\": [1, 2]}}{end}"),
            };
            if form == 6 { pin } else { format!("# ä {tag}\nkind: Thing{end}{pin}other: \"ß\"{end}") }
        },
    )
}

/// A manifest of one to four documents, perhaps with CRLF, a byte order mark, and no end of the last line.
fn manifest() -> impl Strategy<Value = String> {
    (proptest::collection::vec(document(), 1..5), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(documents, crlf, bom, open)| {
        let mut text = documents.join("---\n");
        if open {
            text.pop();
        }
        if crlf {
            text = text.replace('\n', "\r\n");
        }
        format!("{}{text}", if bom { "\u{feff}" } else { "" })
    })
}

/// The new text of one place, made by hand: its old tag and digest, each in its line, replaced.
fn by_hand(text: &str, place: &Place, tag: &str, digest: Option<&str>) -> Vec<u8> {
    let mut bytes = text.as_bytes().to_vec();
    let mut spots = [(&place.tag, place.tag_at, Some(tag)), (&place.digest, place.digest_at, digest)];
    spots.sort_by_key(|(_, at, _)| std::cmp::Reverse(*at));
    for (old, at, new) in spots {
        if let (Some(old), Some(at), Some(new)) = (old, at, new) {
            assert_eq!(&bytes[at..at + old.len()], old.as_bytes());
            bytes.splice(at..at + old.len(), new.bytes());
        }
    }
    bytes
}

proptest! {
    #[test]
    fn every_pin_is_found_and_moved_alone(text in manifest(), tag in tag(), digest in digest()) {
        let targets = targets();
        let before = scan(text.as_bytes(), &targets).unwrap();
        prop_assert_eq!(&before.notes, &[]);
        prop_assert_eq!(before.places.len(), text.matches("kind:").count() + text.matches("\"spec\":").count());
        for (at, place) in before.places.iter().enumerate() {
            let line = text.lines().nth(place.line as usize - 1).unwrap();
            prop_assert!(line.contains(place.tag.as_deref().unwrap()));
            let digest = place.digest.as_ref().map(|_| digest.as_str());
            let change = Change { place, tag: &tag, digest };
            let after = apply(text.as_bytes(), &[change], &targets).unwrap();
            prop_assert_eq!(&after, &by_hand(&text, place, &tag, digest));
            let mut found = scan(&after, &targets).unwrap().places;
            prop_assert_eq!(found[at].tag.as_deref(), Some(tag.as_str()));
            prop_assert_eq!(found[at].digest.as_deref(), digest);
            let again = apply(&after, &[Change { place: &found[at], tag: &tag, digest }], &targets).unwrap();
            prop_assert_eq!(&again, &after, "twice is once");
            found.remove(at);
            let said = |place: &Place| (place.image.clone(), place.tag.clone(), place.digest.clone(), place.field.clone(), place.line);
            let others = before.places.iter().enumerate().filter(|(other, _)| *other != at).map(|(_, place)| said(place));
            prop_assert!(found.iter().map(said).eq(others));
        }
    }

    #[test]
    fn all_pins_at_once_are_as_one_after_the_other(text in manifest(), tag in tag(), digest in digest()) {
        let targets = targets();
        let places = scan(text.as_bytes(), &targets).unwrap().places;
        let changes: Vec<_> = places.iter().map(|place| Change { place, tag: &tag, digest: place.takes_digest().then_some(&digest) }).collect();
        let at_once = apply(text.as_bytes(), &changes, &targets).unwrap();
        let mut step_by_step = text.into_bytes();
        for at in 0..places.len() {
            let place = &scan(&step_by_step, &targets).unwrap().places[at];
            let change = Change { place, tag: &tag, digest: place.takes_digest().then_some(&digest) };
            step_by_step = apply(&step_by_step, &[change], &targets).unwrap();
        }
        prop_assert_eq!(at_once, step_by_step);
    }

    #[test]
    fn damage_is_refused_or_edited_cleanly(text in manifest(), wounds in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>(), 0u8..4), 1..6), tag in tag()) {
        let targets = targets();
        let mut bytes = text.into_bytes();
        for (at, byte, kind) in wounds {
            let signs = b":-#'\"\\{}[]|>&*!%@`, \t\r\n\0";
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] = signs[usize::from(byte) % signs.len()],
                2 => bytes.insert(at, signs[usize::from(byte) % signs.len()]),
                _ => drop(bytes.drain(at..(at + usize::from(byte % 8)).min(bytes.len()))),
            }
            if bytes.is_empty() {
                return Ok(());
            }
        }
        check(&bytes, &targets, &tag);
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[ \n:\\-#'\"{}\\[\\]|>&*a-c]{0,200}", tag in tag()) {
        check(&bytes, &targets(), &tag);
        let near = format!("{text}\nimage: registry.example/team/cv:v1.0-0e2c101\n{text}");
        check(near.as_bytes(), &targets(), &tag);
    }
}

/// Whatever is found can be set or is refused; what is set differs in those bytes alone.
fn check(bytes: &[u8], targets: &Targets, tag: &str) {
    let Ok(found) = scan(bytes, targets) else { return };
    for place in &found.places {
        let digest = place.digest.as_deref();
        if let Ok(after) = apply(bytes, &[Change { place, tag, digest }], targets) {
            let text = std::str::from_utf8(bytes).unwrap();
            assert_eq!(after, by_hand(text, place, tag, digest));
        }
    }
}
