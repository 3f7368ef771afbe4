//! Bodies in the shape that each sender's documentation gives, cut to what tells them apart.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::body::{Hint, Malformed, read};
use super::headers::Sender;

const URL: &str = "https://git.example/team/ops.git";

fn of(sender: Sender, event: &str, body: &Value) -> Hint {
    read(sender, event, body.to_string().as_bytes(), URL).unwrap()
}

fn listed(names: &[&str]) -> Hint {
    Hint::Images(names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>())
}

/// A push as GitHub, Gitea and Forgejo send it.
fn push(reference: &str, full_name: &str) -> Value {
    json!({
        "ref": reference, "before": "0".repeat(40), "after": "1".repeat(40), "created": true, "deleted": false, "forced": false,
        "compare_url": "https://git.example/team/ops/compare/0...1",
        "commits": [{"id": "1".repeat(40), "message": "Change cv", "added": [], "removed": [], "modified": ["containers/cv/Dockerfile"]}],
        "total_commits": 1, "head_commit": null, "pusher": {"name": "me", "email": "me@git.example"},
        "repository": {
            "id": 1, "name": "ops", "full_name": full_name, "owner": {"login": "team"}, "private": true, "html_url": "https://git.example/team/ops",
            "ssh_url": "git@git.example:team/ops.git", "clone_url": "https://git.example/team/ops.git", "default_branch": "main",
        },
        "sender": {"login": "me"},
    })
}

fn gitlab_push(path: &str) -> Value {
    json!({
        "object_kind": "push", "event_name": "push", "before": "0".repeat(40), "after": "1".repeat(40), "ref": "refs/heads/main",
        "checkout_sha": "1".repeat(40), "user_name": "Me", "project_id": 15,
        "project": {"id": 15, "name": "Ops", "git_http_url": "https://git.example/team/ops.git", "path_with_namespace": path, "default_branch": "main"},
        "repository": {"name": "Ops", "url": "git@git.example:team/ops.git", "git_http_url": "https://git.example/team/ops.git"},
        "commits": [], "total_commits_count": 4,
    })
}

#[test]
fn a_push_to_a_branch_is_worth_a_fetch() {
    for sender in [Sender::GitHub, Sender::Gitea, Sender::Forgejo] {
        for branch in ["refs/heads/main", "refs/heads/feature/x"] {
            assert_eq!(of(sender, "push", &push(branch, "team/ops")), Hint::Branches, "{sender:?}");
        }
        let made = json!({"ref": "feature", "ref_type": "branch", "repository": {"full_name": "Team/Ops"}});
        assert_eq!(of(sender, "create", &made), Hint::Branches);
        assert_eq!(of(sender, "delete", &made), Hint::Branches);
    }
    assert_eq!(of(Sender::GitLab, "Push Hook", &gitlab_push("team/ops")), Hint::Branches);
    assert_eq!(of(Sender::GitLab, "System Hook", &gitlab_push("team/ops")), Hint::Branches);
    // One that does not say what it is about may be about us.
    assert_eq!(of(Sender::GitHub, "push", &json!({})), Hint::Branches);
    assert_eq!(of(Sender::GitHub, "push", &json!({"ref": null, "repository": null, "commits": []})), Hint::Branches);
}

#[test]
fn what_moves_no_branch_of_ours_is_left_alone() {
    let nothing = |hint: Hint| matches!(hint, Hint::Nothing(_));
    for sender in [Sender::GitHub, Sender::Gitea, Sender::Forgejo] {
        assert!(nothing(of(sender, "push", &push("refs/tags/v1", "team/ops"))));
        assert!(nothing(of(sender, "push", &push("refs/heads/main", "team/other"))));
        assert!(nothing(of(sender, "create", &json!({"ref": "v1", "ref_type": "tag"}))));
        for event in ["ping", "pull_request", "issues", "release", "star", ""] {
            assert!(nothing(of(sender, event, &push("refs/heads/main", "team/ops"))), "{event}");
        }
    }
    for event in ["Tag Push Hook", "Merge Request Hook", "Pipeline Hook"] {
        assert!(nothing(of(Sender::GitLab, event, &gitlab_push("team/ops"))), "{event}");
    }
    assert!(nothing(of(Sender::GitLab, "Push Hook", &gitlab_push("other/ops"))));
    assert!(nothing(of(Sender::GitLab, "System Hook", &json!({"event_name": "user_create"}))));
}

#[test]
fn a_repository_is_known_by_the_end_of_its_url() {
    let is = |url: &str, name: &str| {
        read(Sender::Gitea, "push", push("refs/heads/main", name).to_string().as_bytes(), url) == Ok(Hint::Branches)
    };
    for url in ["https://other.host/team/ops", "ssh://git@h:2222/team/ops.git", "git@h:team/ops.git", "http://h/git/Team/Ops/"] {
        assert!(is(url, "team/ops"), "{url}");
    }
    for url in ["https://h/xteam/ops", "https://h/team/opsx", "https://h/team", "git@h:ops"] {
        assert!(!is(url, "team/ops"), "{url}");
    }
    assert!(is("https://gitlab.example/group/sub/ops.git", "group/sub/ops"));
    assert!(!is("https://h/team/ops", ".*/ops"), "a name is no pattern");
}

fn notification(action: &str, repository: &str, tag: Option<&str>) -> Value {
    let mut one = json!({
        "id": "320678d8-ca14-430f-8bb6-4ca139cd83f7", "timestamp": "2026-11-26T06:00:00Z", "action": action,
        "target": {"mediaType": "application/vnd.oci.image.manifest.v1+json", "size": 708, "digest": "sha256:ab", "repository": repository, "url": "http://r/v2/"},
        "request": {"method": "PUT"}, "actor": {"name": "mainstay"}, "source": {"addr": "r:5000"},
    });
    if let Some(tag) = tag {
        one["target"]["tag"] = json!(tag);
    }
    one
}

#[test]
fn a_registry_names_the_images_whose_tags_moved() {
    let tell = |events: Vec<Value>| of(Sender::Distribution, "", &json!({"events": events}));
    let events = vec![
        notification("push", "team/cv", Some("v1.0-abc")),
        notification("push", "team/layer", None),
        notification("mount", "team/mounted", None),
        notification("pull", "team/pulled", Some("v1")),
        notification("delete", "team/gone", None),
        notification("push", "team/cv", Some("v1.1-def")),
    ];
    assert_eq!(tell(events), listed(&["team/cv", "team/gone"]));
    assert_eq!(tell(vec![notification("pull", "team/cv", Some("v1"))]), Hint::Nothing("no event that moves a tag"));
    assert_eq!(tell(vec![]), Hint::Nothing("no event that moves a tag"));
}

#[test]
fn zot_says_it_in_headers_or_in_one_piece() {
    let data =
        |reference: &str| json!({"name": "team/cv", "reference": reference, "digest": "sha256:ab", "mediaType": "m", "manifest": "{}"});
    let whole = |kind: &str| json!({"specversion": "1.0", "id": "1", "source": "zotregistry.dev", "type": kind, "data": data("v1")});
    assert_eq!(of(Sender::Zot, "zotregistry.image.updated", &data("v1")), listed(&["team/cv"]));
    assert_eq!(of(Sender::Zot, "zotregistry.image.deleted", &data("sha256:ab")), listed(&["team/cv"]));
    assert_eq!(of(Sender::Zot, "", &whole("com.example.registry.image.updated")), listed(&["team/cv"]));
    for (event, body) in [
        ("zotregistry.image.updated", data("sha256:ab")),
        ("zotregistry.image.scanned", data("v1")),
        ("zotregistry.repository.created", json!({"name": "team/cv"})),
        ("", whole("zotregistry.image.lint_failed")),
    ] {
        assert_eq!(of(Sender::Zot, event, &body), Hint::Nothing("no event that moves a tag"), "{event} {body}");
    }
}

#[test]
fn what_is_no_body_is_refused() {
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let all = [Sender::GitHub, Sender::Gitea, Sender::Forgejo, Sender::GitLab, Sender::Distribution, Sender::Zot];
    for sender in all {
        for body in ["", "payload=%7B%7D", "{", "null", "\"push\"", &deep] {
            assert_eq!(read(sender, "push", body.as_bytes(), URL), Err(Malformed), "{sender:?} {}", &body[..body.len().min(20)]);
        }
    }
    let hidden = format!("{{\"commits\":{deep}}}");
    assert_eq!(read(Sender::Gitea, "push", hidden.as_bytes(), URL), Ok(Hint::Branches), "what is not looked at costs nothing");
    for body in [json!({"ref": 7}), json!({"repository": "team/ops"}), json!({"repository": {"full_name": ["a"]}})] {
        assert_eq!(read(Sender::Gitea, "push", body.to_string().as_bytes(), URL), Err(Malformed), "{body}");
    }
}

proptest! {
    #[test]
    fn no_body_is_too_odd(event in "[ -~]{0,20}", body in prop::collection::vec(any::<u8>(), 0..200)) {
        for sender in [Sender::GitHub, Sender::GitLab, Sender::Distribution, Sender::Zot] {
            let _ = read(sender, &event, &body, URL);
        }
    }
}
