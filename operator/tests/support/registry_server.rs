//! distribution, the real registry, on a free port of loopback.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

/// A registry that ends with its test.
pub struct Distribution {
    pub endpoint: String,
    child: Child,
    _directory: TempDir,
}

impl Distribution {
    pub async fn new(htpasswd: Option<&str>) -> Self {
        let program = std::env::var("MAINSTAY_TEST_REGISTRY")
            .unwrap_or_else(|_| panic!("MAINSTAY_TEST_REGISTRY must name the registry's program: make client sets it"));
        let directory = tempfile::tempdir().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let endpoint = format!("127.0.0.1:{port}");
        let root = directory.path().display();
        let auth = htpasswd.map_or_else(String::new, |line| {
            std::fs::write(directory.path().join("htpasswd"), format!("{line}\n")).unwrap();
            format!("auth: {{htpasswd: {{realm: test, path: {root}/htpasswd}}}}\n")
        });
        let config = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}\n{auth}http: {{addr: '{endpoint}'}}\n"
        );
        std::fs::write(directory.path().join("config.yml"), config).unwrap();
        let child = Command::new(program)
            .arg("serve")
            .arg(directory.path().join("config.yml"))
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(&endpoint).await.is_ok() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Self { endpoint, child, _directory: directory }
    }

    pub async fn open() -> Self {
        Self::new(None).await
    }

    /// User `mainstay`, password `word`.
    pub async fn with_password() -> Self {
        Self::new(Some(&format!("mainstay:{}", bcrypt::hash("word", 5).unwrap()))).await
    }
}

impl Drop for Distribution {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
