//! Certificate authorities that every client of ours trusts besides those of the system: one list for the process, set once when it starts.
//! A client may have one more of its own, from the Secret of its repository.

use std::sync::OnceLock;

use reqwest::Certificate;

/// The environment in which the steps of a build get the list.
pub const ENVIRONMENT: &str = "MAINSTAY_CA_BUNDLE";

static EVERYWHERE: OnceLock<Vec<Certificate>> = OnceLock::new();

/// Makes all clients that are made from now on trust these, PEM.
///
/// # Errors
/// Words, where there is no certificate in it.
pub fn trust(pem: &str) -> Result<(), String> {
    let all = parse(pem.as_bytes())?;
    // Set once: whoever sets it again has the same configuration.
    let _ = EVERYWHERE.set(all);
    Ok(())
}

/// Looks whether there are certificates in it.
///
/// # Errors
/// Words, where there are none.
pub fn check(pem: &str) -> Result<(), String> {
    parse(pem.as_bytes()).map(drop)
}

/// What a client trusts besides the system: the list of the process, and its own.
///
/// # Errors
/// Words, where its own holds no certificate.
pub(super) fn of_client(own: Option<&[u8]>) -> Result<Vec<Certificate>, String> {
    let mut all = EVERYWHERE.get().cloned().unwrap_or_default();
    if let Some(pem) = own {
        all.extend(parse(pem).map_err(|message| format!("key ca.crt: {message}"))?);
    }
    Ok(all)
}

fn parse(pem: &[u8]) -> Result<Vec<Certificate>, String> {
    let all = Certificate::from_pem_bundle(pem).unwrap_or_default();
    if all.is_empty() { Err("it holds no certificate in PEM".to_owned()) } else { Ok(all) }
}
