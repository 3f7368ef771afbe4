//! Who may do what: the table of docs/security.md, line by line, with the roles that the chart makes and real answers of the API server.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod support;

use std::time::Duration;

use k8s_openapi::api::authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding};
use kube::api::{Api, ListParams, PostParams};
use mainstay_e2e::operator::ACCOUNT;
use mainstay_e2e::world::World;
use serde_json::json;
use support::{within, world};

/// What people write.
const KINDS: [&str; 4] = ["sourcerepositories", "containerimages", "imagebuilds", "manifestpins"];
const READ: [&str; 3] = ["get", "list", "watch"];
const WRITE: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];
const ROLES: [&str; 3] = ["view", "edit", "admin"];

/// Gives each of Kubernetes' own roles to a user of its name, in the namespace of the story.
async fn users(world: &World) {
    for role in ROLES {
        let subject = json!({"kind": "User", "name": user(world, role), "apiGroup": "rbac.authorization.k8s.io"});
        world
            .apply(&json!({
                "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": role}, "subjects": [subject],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
            }))
            .await
            .unwrap();
    }
    // Roles are aggregated, and the authorizer sees bindings, a moment later.
    for role in ROLES {
        let has = async || may(world, &user(world, role), "get", "mainstay.dev", "containerimages").await;
        within(Duration::from_secs(30), &format!("{role} has its rights in {}", world.name), has).await;
    }
}

fn user(world: &World, role: &str) -> String {
    format!("{role}-of-{}", world.name)
}

/// What the API server says to `verb` on `resource`, or on `resource/subresource`.
async fn may(world: &World, user: &str, verb: &str, group: &str, resource: &str) -> bool {
    let (resource, part) = resource.split_once('/').map_or((resource, None), |(resource, part)| (resource, Some(part)));
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            user: Some(user.to_owned()),
            resource_attributes: Some(ResourceAttributes {
                group: Some(group.to_owned()),
                namespace: Some(world.name.clone()),
                resource: Some(resource.to_owned()),
                subresource: part.map(str::to_owned),
                verb: Some(verb.to_owned()),
                ..ResourceAttributes::default()
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let api: Api<SubjectAccessReview> = Api::all(world.client.clone());
    api.create(&PostParams::default(), &review).await.unwrap().status.unwrap().allowed
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn view_reads_all_of_it_and_edit_writes_what_is_a_persons() {
    let world = world("roles").await.unwrap();
    users(&world).await;
    for role in ROLES {
        let user = user(&world, role);
        for kind in KINDS.iter().chain(&["allowedimages"]) {
            for verb in READ {
                assert!(may(&world, &user, verb, "mainstay.dev", kind).await, "{role} cannot {verb} {kind}");
            }
        }
        for kind in KINDS {
            for verb in WRITE {
                assert_eq!(may(&world, &user, verb, "mainstay.dev", kind).await, role != "view", "{role}, {verb} {kind}");
            }
            for verb in ["update", "patch"] {
                assert!(
                    !may(&world, &user, verb, "mainstay.dev", &format!("{kind}/status")).await,
                    "{role} may {verb} the status of {kind}"
                );
            }
        }
        for verb in WRITE {
            assert!(!may(&world, &user, verb, "mainstay.dev", "allowedimages").await, "{role} may {verb} allowedimages");
        }
    }
    for verb in READ {
        assert!(!may(&world, &user(&world, "view"), verb, "", "secrets").await, "view may {verb} Secrets");
    }
}

/// The same by real requests, as the two users send them.
#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn who_may_edit_builds_and_holds_and_who_may_view_is_told_why_not() {
    let world = world("roles-act").await.unwrap();
    users(&world).await;
    world.source(json!({"suspend": true})).await.unwrap();
    world.image("cv", json!({})).await.unwrap();
    world.pin("all", json!({"paths": ["apps"]})).await.unwrap();
    let build = "{apiVersion: mainstay.dev/v1alpha1, kind: ImageBuild, metadata: {name: by-hand}, spec: {image: cv, ref: main}}";
    let hold = "{\"spec\":{\"hold\":[\"cv\"]}}";
    let acts: [&[&str]; 4] = [
        &["create", "-f", "-"],
        &["annotate", "cimg", "cv", "mainstay.dev/rebuild-at=now", "--overwrite"],
        &["annotate", "mpin", "all", "mainstay.dev/resume-at=now", "--overwrite"],
        &["patch", "mpin", "all", "--type", "merge", "-p", hold],
    ];
    for role in ["view", "edit"] {
        let user = user(&world, role);
        let as_user = ["-n", &world.name, "--as", &user];
        let read = world.lab.run("kubectl", &[&as_user[..], &["get", "mainstay"]].concat()).await;
        assert!(read.as_ref().is_ok_and(|text| text.contains("all") && text.contains("cv")), "{role}: {read:?}");
        for act in acts {
            let said = world.lab.run_with("kubectl", &[&as_user[..], act].concat(), build).await;
            match role {
                "view" => {
                    let refusal = said.expect_err(act[0]).to_string();
                    assert!(refusal.contains("forbidden") && refusal.contains(&user), "{act:?}: {refusal}");
                }
                _ => assert!(said.is_ok(), "{act:?}: {said:?}"),
            }
        }
    }
}

/// A role of the chart that names Secrets, and what it lets do.
fn of_secrets<'a>(name: &'a Option<String>, rules: &'a Option<Vec<PolicyRule>>) -> Option<(&'a str, Vec<&'a str>)> {
    let named =
        |rule: &&PolicyRule| rule.resources.iter().flatten().any(|resource| resource == "secrets" || resource == "*" && in_core(rule));
    let verbs: Vec<&str> = rules.iter().flatten().filter(named).flat_map(|rule| &rule.verbs).map(String::as_str).collect();
    (!verbs.is_empty()).then_some((name.as_deref().unwrap_or_default(), verbs))
}

fn in_core(rule: &PolicyRule) -> bool {
    rule.api_groups.iter().flatten().any(|group| group.is_empty() || group == "*")
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn nobody_but_the_operator_reads_secrets_through_us_and_it_only_by_name() {
    let world = world("roles-secrets").await.unwrap();
    assert!(may(&world, ACCOUNT, "get", "", "secrets").await);
    for verb in ["list", "watch", "create", "update", "patch", "delete"] {
        assert!(!may(&world, ACCOUNT, verb, "", "secrets").await, "the operator may {verb} Secrets");
    }
    for (verb, group, resource) in
        [("create", "", "pods"), ("create", "", "pods/exec"), ("patch", "", "pods"), ("impersonate", "", "users")]
    {
        assert!(!may(&world, ACCOUNT, verb, group, resource).await, "the operator may {verb} {resource}");
    }
    // The account that build pods run as: they have no token of it, and it could do nothing with one.
    let account = format!("system:serviceaccount:{}:default", world.name);
    for (group, resource) in [("", "secrets"), ("mainstay.dev", "imagebuilds"), ("", "pods")] {
        assert!(!may(&world, &account, "get", group, resource).await, "a build could read {resource}");
    }

    let ours = ListParams::default().labels("app.kubernetes.io/instance=mainstay");
    let roles = Api::<ClusterRole>::all(world.client.clone()).list(&ours).await.unwrap();
    let found: Vec<_> = roles.iter().filter_map(|role| of_secrets(&role.metadata.name, &role.rules)).collect();
    assert_eq!(found, [("mainstay", vec!["get"])]);
    let namespaced = Api::<Role>::all(world.client.clone()).list(&ours).await.unwrap();
    assert!(namespaced.iter().all(|role| of_secrets(&role.metadata.name, &role.rules).is_none()));
    let bindings = Api::<ClusterRoleBinding>::all(world.client.clone()).list(&ListParams::default()).await.unwrap();
    let bound: Vec<String> = bindings
        .iter()
        .filter(|binding| binding.role_ref.name == "mainstay")
        .flat_map(|binding| binding.subjects.iter().flatten())
        .map(|subject| format!("system:serviceaccount:{}:{}", subject.namespace.as_deref().unwrap_or_default(), subject.name))
        .collect();
    assert_eq!(bound, [ACCOUNT]);
    let in_namespaces = Api::<RoleBinding>::all(world.client.clone()).list(&ListParams::default()).await.unwrap();
    assert!(!in_namespaces.iter().any(|binding| binding.role_ref.kind == "ClusterRole" && binding.role_ref.name == "mainstay"));
}
