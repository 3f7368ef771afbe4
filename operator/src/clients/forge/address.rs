use reqwest::Url;

use super::error::ForgeError;

/// Which API a forge speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForgeKind {
    /// Gitea and Forgejo.
    Gitea,
    /// GitHub, also one's own (Enterprise Server).
    GitHub,
}

/// A repository on a forge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// Which API.
    pub kind: ForgeKind,
    /// Where the API is, without a slash at the end of the path.
    pub api: Url,
    /// Owner of the repository.
    pub owner: String,
    /// Name of the repository.
    pub repo: String,
}

impl Address {
    /// The address that the URL of a repository means. github.com is GitHub, everything else is taken for Gitea or Forgejo; `kind` and `api`
    /// say otherwise. An SSH URL means the API on port 443 of the same host. A user in the URL is dropped.
    ///
    /// # Errors
    /// [`ForgeError::AddressInvalid`] where there is no owner and name in the URL, or where `api` is no HTTP URL.
    pub fn of(repository: &str, kind: Option<ForgeKind>, api: Option<&str>) -> Result<Self, ForgeError> {
        let invalid = |text: &str| ForgeError::AddressInvalid(text.to_owned());
        let (origin, host, path) = split(repository).ok_or_else(|| invalid("the repository's URL has no host"))?;
        let path = path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        let mut parts = path.rsplitn(3, '/');
        let (repo, owner) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        // A forge below a path of its host has its API there too.
        let prefix = parts.next().map_or_else(String::new, |prefix| format!("/{prefix}"));
        if [owner, repo].iter().any(|part| part.is_empty() || part.starts_with('.') && part.trim_matches('.').is_empty()) {
            return Err(invalid("the repository's URL does not end with owner and name"));
        }
        let github = matches!(host.as_str(), "github.com" | "www.github.com" | "ssh.github.com");
        let kind = kind.unwrap_or(if github { ForgeKind::GitHub } else { ForgeKind::Gitea });
        let api = match (api, kind) {
            (Some(api), _) => api.trim_end_matches('/').to_owned(),
            (None, ForgeKind::GitHub) if github => "https://api.github.com".to_owned(),
            (None, ForgeKind::GitHub) => format!("{origin}{prefix}/api/v3"),
            (None, ForgeKind::Gitea) => format!("{origin}{prefix}/api/v1"),
        };
        let api = Url::parse(&api).ok().filter(|api| api.has_host() && matches!(api.scheme(), "http" | "https"));
        let api = api.filter(|api| api.username().is_empty() && api.password().is_none() && api.query().is_none());
        let api = api.ok_or_else(|| invalid("the forge's API is no http:// or https:// URL without user and query"))?;
        Ok(Self { kind, api, owner: owner.to_owned(), repo: repo.to_owned() })
    }
}

/// Origin of the web pages, host, path.
fn split(repository: &str) -> Option<(String, String, String)> {
    if let Ok(url) = Url::parse(repository)
        && let Some(host) = url.host_str()
    {
        let host = host.to_owned();
        let origin = match (url.scheme(), url.port()) {
            (scheme @ ("http" | "https"), Some(port)) => format!("{scheme}://{host}:{port}"),
            (scheme @ ("http" | "https"), None) => format!("{scheme}://{host}"),
            _ => format!("https://{host}"),
        };
        return Some((origin, host, url.path().to_owned()));
    }
    // user@host:path, as scp writes it.
    let (host, path) = repository.split_once(':')?;
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    (!host.is_empty() && !host.contains('/')).then(|| (format!("https://{host}"), host.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> (ForgeKind, String, String, String) {
        let address = Address::of(url, None, None).unwrap_or_else(|error| panic!("{url}: {error}"));
        (address.kind, address.api.to_string(), address.owner, address.repo)
    }

    #[test]
    fn a_url_names_forge_owner_and_name() {
        let gitea = |api: &str, owner: &str| (ForgeKind::Gitea, api.to_owned(), owner.to_owned(), "r".to_owned());
        for url in
            ["https://github.com/o/r", "https://u:p@github.com/o/r.git/", "git@github.com:o/r.git", "ssh://git@ssh.github.com:443/o/r"]
        {
            assert_eq!(of(url), (ForgeKind::GitHub, "https://api.github.com/".into(), "o".into(), "r".into()), "{url}");
        }
        assert_eq!(of("http://gitea.svc:3000/o/r.git"), gitea("http://gitea.svc:3000/api/v1", "o"));
        assert_eq!(of("ssh://git@forge.example:2222/o/r.git"), gitea("https://forge.example/api/v1", "o"));
        assert_eq!(of("git@forge.example:o/r"), gitea("https://forge.example/api/v1", "o"));
        assert_eq!(of("https://forge.example/git/o/r"), gitea("https://forge.example/git/api/v1", "o"));
        assert_eq!(of("https://[::1]:3000/o/r"), gitea("https://[::1]:3000/api/v1", "o"));
    }

    #[test]
    fn both_can_be_said_otherwise() {
        let own = Address::of("https://git.corp/o/r", Some(ForgeKind::GitHub), None).unwrap();
        assert_eq!(own.api.as_str(), "https://git.corp/api/v3");
        let inside = Address::of("https://forge.example/o/r", None, Some("http://gitea:3000/api/v1/")).unwrap();
        assert_eq!((inside.kind, inside.api.as_str()), (ForgeKind::Gitea, "http://gitea:3000/api/v1"));
    }

    #[test]
    fn what_is_no_address_is_refused_and_not_quoted() {
        for url in
            ["", "https://h", "https://h/r", "git@h:r", "/o/r", "https://u:hunter2@h/r", "https://h/../r", "https://h/o/..", "git@h:../r"]
        {
            let error = Address::of(url, None, None).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
        for api in ["ftp://h", "x", "https://u:hunter2@h/api", "https://h/?token=hunter2"] {
            let error = Address::of("https://h/o/r", None, Some(api)).unwrap_err().to_string();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
