//! Who may talk to the API server, by which token, and the kubeconfig of each.

use std::{fs::File, io::Read, os::unix::fs::DirBuilderExt};

use crate::lab::{Context, Error, Result, address, paths::Paths, state::write_private};

/// Each user of the API server: the kubeconfig's name, the user, its group.
const USERS: [(&str, &str, &str); 6] = [
    ("admin", "admin", "system:masters"),
    // Argo CD may do everything in the clusters that it deploys to; a name of its own tells it apart in the audit log.
    ("argocd", "argocd", "system:masters"),
    ("node", "system:node:lab", "system:nodes"),
    ("controller-manager", "system:kube-controller-manager", ""),
    ("scheduler", "system:kube-scheduler", ""),
    ("proxy", "system:kube-proxy", ""),
];

/// Makes a token and a kubeconfig for each user, and the API server's token file.
pub(crate) fn create(paths: &Paths) -> Result<()> {
    let ca = std::fs::read(paths.ca()).context("read the lab's CA")?;
    let folder = paths.at("kubeconfig");
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).context(format!("make {}", folder.display()))?;
    let mut tokens = String::new();
    for (name, user, group) in USERS {
        let token = secret()?;
        tokens.push_str(&format!("{token},{user},{name},\"{group}\"\n"));
        write_private(&paths.kubeconfig(name), kubeconfig(user, &token, &ca).as_bytes())?;
    }
    write_private(&paths.at("tokens.csv"), tokens.as_bytes())
}

/// The token of the user whose kubeconfig has this name.
pub(crate) fn token(paths: &Paths, name: &str) -> Result<String> {
    let what = || format!("read the token of {name}");
    let tokens = std::fs::read_to_string(paths.at("tokens.csv")).context(what())?;
    let token = tokens.lines().map(|line| line.split(',').collect::<Vec<_>>()).find_map(|fields| match fields.as_slice() {
        [token, _, uid, ..] if *uid == name => Some((*token).to_owned()),
        _ => None,
    });
    token.ok_or_else(|| Error::new(what(), "there is no such user").remedy("start anew: cargo lab down && cargo lab up"))
}

/// 192 random bits, as text.
pub(crate) fn secret() -> Result<String> {
    let mut bytes = [0; 24];
    File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut bytes)).context("make a secret")?;
    Ok(hex::encode(bytes))
}

fn kubeconfig(user: &str, token: &str, ca: &[u8]) -> String {
    use base64::Engine;
    let ca = base64::engine::general_purpose::STANDARD.encode(ca);
    let server = address::API_SERVER;
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: lab\n\
         clusters:\n- name: lab\n  cluster:\n    server: {server}\n    certificate-authority-data: {ca}\n\
         users:\n- name: {user}\n  user:\n    token: {token}\n\
         contexts:\n- name: lab\n  context:\n    cluster: lab\n    user: {user}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_verifies_the_server() {
        let config = kube::config::Kubeconfig::from_yaml(&kubeconfig("system:node:lab", "t0", b"PEM")).unwrap();
        let cluster = config.clusters[0].cluster.as_ref().unwrap();
        assert_eq!(cluster.insecure_skip_tls_verify, None);
        assert_eq!(cluster.certificate_authority_data.as_deref(), Some("UEVN"));
        assert_eq!(config.auth_infos[0].name, "system:node:lab");
    }

    #[test]
    fn each_user_has_a_token_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let paths = Paths::new(folder.path(), folder.path());
        std::fs::create_dir(paths.at("pki")).unwrap();
        std::fs::write(paths.ca(), "PEM").unwrap();
        create(&paths).unwrap();
        assert_ne!(token(&paths, "argocd").unwrap(), token(&paths, "admin").unwrap());
        assert!(std::fs::read_to_string(paths.kubeconfig("argocd")).unwrap().contains(&token(&paths, "argocd").unwrap()));
        assert!(token(&paths, "nobody").is_err());
    }

    #[test]
    fn secrets_differ() {
        assert_eq!(secret().unwrap().len(), 48);
        assert_ne!(secret().unwrap(), secret().unwrap());
    }
}
