//! The lab itself: what the stories stand on.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

use mainstay_e2e::lab::Lab;

const POD: &str = r#"{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "lab-NAME"}, "spec": {"hostUsers": USERS, "terminationGracePeriodSeconds": 0,
  "containers": [{"name": "c", "image": "10.88.0.1:5000/library/busybox:1", "command": ["sh", "-c", "echo words; cat /proc/self/uid_map; sleep 600"]}]}}"#;

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn logs_and_exec_work_with_and_without_a_user_namespace() {
    let lab = Lab::connect().unwrap();
    for (name, host_users) in [("host", "true"), ("own", "false")] {
        let pod = format!("lab-{name}");
        let _ = lab.run("kubectl", &["delete", "pod", &pod, "--ignore-not-found", "--wait"]).await;
        lab.run_with("kubectl", &["create", "-f", "-"], &POD.replace("NAME", name).replace("USERS", host_users)).await.unwrap();
        lab.run("kubectl", &["wait", "--for=condition=Ready", "--timeout=60s", &format!("pod/{pod}")]).await.unwrap();
        let logs = lab.run("kubectl", &["logs", &pod]).await.unwrap();
        assert!(logs.starts_with("words"), "{logs}");
        let first = logs.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().to_owned();
        assert_eq!(first == "0", host_users == "true", "{logs}");
        let said = lab.run("kubectl", &["exec", &pod, "--", "cat", "/etc/passwd"]).await.unwrap();
        assert!(said.contains("root:"), "{said}");
        lab.run("kubectl", &["delete", "pod", &pod, "--wait"]).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn the_registry_wants_a_password_and_its_mirror_takes_nothing() {
    let lab = Lab::connect().unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let upload = |host: &str| http.post(format!("http://{host}/v2/x/blobs/uploads/")).send();
    assert_eq!(upload(lab.registry().address()).await.unwrap().status(), 401);
    let mirror = mainstay_e2e::lab::address::READ_ONLY_REGISTRY;
    assert_eq!(upload(mirror).await.unwrap().status(), 405);
    let manifest =
        http.get(format!("http://{mirror}/v2/library/busybox/manifests/1")).header("Accept", "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest.send().await.unwrap().status(), 200);
}

#[tokio::test]
#[ignore = "needs the lab: make e2e"]
async fn the_api_server_is_known_by_its_authority() {
    let lab = Lab::connect().unwrap();
    let config = std::fs::read_to_string(lab.kubeconfig()).unwrap();
    assert!(config.contains("certificate-authority-data") && !config.contains("insecure-skip-tls-verify"));
    lab.client().await.unwrap().apiserver_version().await.unwrap();
}
