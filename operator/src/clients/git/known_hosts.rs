//! Lines of `known_hosts` (sshd(8)): plain host names and `[host]:port`; hashed names are not supported and match nothing.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// Whether one of the lines gives this key to this host. A line marked `@revoked` takes it away.
pub(super) fn trusts(lines: &str, host: &str, port: Option<u16>, key: &[u8]) -> bool {
    let wanted = match port {
        None | Some(22) => host.to_ascii_lowercase(),
        Some(port) => format!("[{}]:{port}", host.to_ascii_lowercase()),
    };
    let mut trusted = false;
    for line in lines.lines() {
        let mut words = line.split_ascii_whitespace().peekable();
        let mark = words.next_if(|word| word.starts_with('@'));
        let (Some(names), Some(_kind), Some(encoded)) = (words.next(), words.next(), words.next()) else { continue };
        if !names.split(',').any(|name| name.eq_ignore_ascii_case(&wanted)) || STANDARD.decode(encoded).ok().as_deref() != Some(key) {
            continue;
        }
        match mark {
            None => trusted = true,
            Some("@revoked") => return false,
            Some(_) => {}
        }
    }
    trusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_port_and_key_must_match() {
        let key = STANDARD.encode(b"key");
        let lines =
            format!("# comment\nother ssh-ed25519 {key}\ngit.example,10.0.0.1 ssh-ed25519 {key}\n[git.example]:2222 ssh-rsa {key} me\n");
        assert!(trusts(&lines, "git.example", None, b"key"));
        assert!(trusts(&lines, "GIT.example", Some(22), b"key"));
        assert!(trusts(&lines, "10.0.0.1", None, b"key"));
        assert!(trusts(&lines, "git.example", Some(2222), b"key"));
        assert!(!trusts(&lines, "git.example", Some(2223), b"key"));
        assert!(!trusts(&lines, "git.example", None, b"other"));
        assert!(!trusts(&lines, "example", None, b"key"));
        assert!(!trusts(&format!("{lines}@revoked git.example ssh-ed25519 {key}\n"), "git.example", None, b"key"));
    }
}
