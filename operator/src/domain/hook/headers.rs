use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

/// Who sends a hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// GitHub, also one's own (Enterprise Server).
    GitHub,
    /// Gitea.
    Gitea,
    /// Forgejo.
    Forgejo,
    /// GitLab.
    GitLab,
    /// A registry that sends the notifications of distribution.
    Distribution,
    /// zot, whose events are CloudEvents.
    Zot,
}

/// The forges by the header that names the event. Forgejo sends Gitea's header too, and both send GitHub's: the order matters.
const FORGES: [(&str, Sender); 4] = [
    ("x-gitlab-event", Sender::GitLab),
    ("x-forgejo-event", Sender::Forgejo),
    ("x-gitea-event", Sender::Gitea),
    ("x-github-event", Sender::GitHub),
];

/// The header of a CloudEvent that names its type.
const CLOUD_EVENT: &str = "ce-type";

impl Sender {
    /// Who the headers say it is; nobody has proved it yet.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        if let Some((_, forge)) = FORGES.into_iter().find(|(name, _)| headers.contains_key(*name)) {
            return Some(forge);
        }
        let content = text(headers, "content-type").unwrap_or_default();
        if headers.contains_key(CLOUD_EVENT) || content.starts_with("application/cloudevents+json") {
            return Some(Sender::Zot);
        }
        content.starts_with("application/vnd.docker.distribution.events.").then_some(Sender::Distribution)
    }

    /// The word in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Sender::GitHub => "github",
            Sender::Gitea => "gitea",
            Sender::Forgejo => "forgejo",
            Sender::GitLab => "gitlab",
            Sender::Distribution => "distribution",
            Sender::Zot => "zot",
        }
    }

    /// Which event it is, as its sender calls it; empty where only the body says.
    pub fn event(self, headers: &HeaderMap) -> &str {
        let header = match self {
            Sender::Zot => Some(CLOUD_EVENT),
            _ => FORGES.into_iter().find(|(_, forge)| *forge == self).map(|(name, _)| name),
        };
        header.and_then(|name| text(headers, name)).unwrap_or_default()
    }
}

/// What a sender shows to be believed.
#[derive(Clone, PartialEq, Eq)]
pub enum Proof {
    /// HMAC-SHA256 of the body, as it was sent.
    Signature([u8; 32]),
    /// The key itself.
    Token(Vec<u8>),
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Proof::Signature(_) => "Signature",
            Proof::Token(_) => "Token",
        })
    }
}

impl Proof {
    /// The proof in the headers; `None` where there is none or it has no shape: then nothing else need be looked at.
    pub fn of(sender: Sender, headers: &HeaderMap) -> Option<Self> {
        match sender {
            Sender::GitLab => text(headers, "x-gitlab-token").filter(|token| !token.is_empty()).map(|token| Proof::Token(token.into())),
            Sender::Distribution | Sender::Zot => authorization(text(headers, "authorization")?),
            Sender::GitHub | Sender::Gitea | Sender::Forgejo => {
                let hub = text(headers, "x-hub-signature-256").map(|value| value.strip_prefix("sha256=").unwrap_or_default());
                let own = || ["x-forgejo-signature", "x-gitea-signature"].into_iter().find_map(|name| text(headers, name));
                let mut signature = [0; 32];
                hex::decode_to_slice(hub.or_else(own)?, &mut signature).ok()?;
                Some(Proof::Signature(signature))
            }
        }
    }
}

/// `Bearer <token>`, or `Basic` with the token as its password.
fn authorization(value: &str) -> Option<Proof> {
    let (scheme, rest) = value.split_once(' ')?;
    let token = match scheme.to_ascii_lowercase().as_str() {
        "bearer" => rest.trim().as_bytes().to_vec(),
        "basic" => {
            let pair = STANDARD.decode(rest.trim()).ok()?;
            let colon = pair.iter().position(|byte| *byte == b':')?;
            pair.get(colon + 1..)?.to_vec()
        }
        _ => return None,
    };
    (!token.is_empty()).then_some(Proof::Token(token))
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        all.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())).collect()
    }

    #[test]
    fn each_sender_is_known_by_its_headers() {
        let gitea = [("x-github-event", "push"), ("x-gitea-event", "push"), ("x-gogs-event", "push")];
        let forgejo = [("x-github-event", "push"), ("x-gitea-event", "push"), ("x-forgejo-event", "push")];
        for (all, sender, event) in [
            (&[("x-github-event", "ping")][..], Sender::GitHub, "ping"),
            (&gitea, Sender::Gitea, "push"),
            (&forgejo, Sender::Forgejo, "push"),
            (&[("x-gitlab-event", "Push Hook")], Sender::GitLab, "Push Hook"),
            (&[("content-type", "application/vnd.docker.distribution.events.v2+json")], Sender::Distribution, ""),
            (&[("ce-type", "zotregistry.image.updated"), ("content-type", "application/json")], Sender::Zot, "zotregistry.image.updated"),
            (&[("content-type", "application/cloudevents+json; charset=utf-8")], Sender::Zot, ""),
        ] {
            let headers = headers(all);
            assert_eq!(Sender::of(&headers), Some(sender), "{all:?}");
            assert_eq!(sender.event(&headers), event, "{all:?}");
        }
        assert_eq!(Sender::of(&headers(&[("content-type", "application/json"), ("user-agent", "GitHub-Hookshot/1")])), None);
    }

    #[test]
    fn a_proof_has_a_shape_or_is_none() {
        let digest = "ab".repeat(32);
        let prefixed = format!("sha256={digest}");
        let signature = Some(Proof::Signature([0xab; 32]));
        let of = |sender, all: &[(&'static str, &str)]| Proof::of(sender, &headers(all));
        assert_eq!(of(Sender::GitHub, &[("x-hub-signature-256", &prefixed)]), signature);
        assert_eq!(of(Sender::Gitea, &[("x-gitea-signature", &digest)]), signature);
        assert_eq!(of(Sender::Forgejo, &[("x-forgejo-signature", &digest)]), signature);
        let (odd, long) = (format!("sha256={}", &digest[..63]), format!("sha256={digest}00"));
        for bad in ["", "sha256=", &odd, &long, &digest, "sha256=zz", "sha1=abababababababababababababababababababab"] {
            assert_eq!(of(Sender::GitHub, &[("x-hub-signature-256", bad)]), None, "{bad}");
        }
        // A signature that is no signature is not made good by another one.
        assert_eq!(of(Sender::Gitea, &[("x-hub-signature-256", ""), ("x-gitea-signature", &digest)]), None);
        assert_eq!(of(Sender::GitHub, &[("x-hub-signature", "sha1=ab")]), None);
        assert_eq!(of(Sender::GitLab, &[("x-gitlab-token", "s3cret")]), Some(Proof::Token(b"s3cret".to_vec())));
        assert_eq!(of(Sender::GitLab, &[("x-gitlab-token", "")]), None);
        let shown = Proof::Token(b"s3:cret".to_vec());
        let token = Some(shown.clone());
        assert_eq!(of(Sender::Distribution, &[("authorization", "Bearer s3:cret")]), token);
        assert_eq!(of(Sender::Zot, &[("authorization", &format!("basic {}", STANDARD.encode("zot:s3:cret")))]), token);
        for bad in ["", "Bearer", "Bearer ", "Digest x", "Basic !!", &format!("Basic {}", STANDARD.encode("nocolon"))] {
            assert_eq!(of(Sender::Zot, &[("authorization", bad)]), None, "{bad}");
        }
        assert_eq!(format!("{shown:?}"), "Token", "a token is not shown");
    }
}
