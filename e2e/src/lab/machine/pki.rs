//! The lab's own certificate authority and what it signs, and the key that signs service account tokens.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose};

use crate::lab::{Context, Result, address, state::write_private};

/// Makes everything anew in `folder`: `ca.crt`, a `.crt` and `.key` for everything that serves and for the API server as the
/// kubelet's client, and `sa.key` with `sa.pub`. The CA's own key is not kept: nothing is signed later.
pub(crate) fn create(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).context(format!("make {}", folder.display()))?;
    let mut params = named("mainstay-lab", &[], None)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(params, key()?).context("make the lab's CA")?;
    std::fs::write(folder.join("ca.crt"), ca.pem()).context("write the lab's CA")?;

    let api_server = [
        address::NODE_IP,
        "127.0.0.1",
        address::SERVICE_IP,
        "localhost",
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local",
    ];
    let server = ExtendedKeyUsagePurpose::ServerAuth;
    issue(&ca, folder, "apiserver", named("kube-apiserver", &api_server, None)?, server.clone())?;
    for name in ["kubelet", "kube-controller-manager", "kube-scheduler"] {
        issue(&ca, folder, name, named(name, &[address::NODE_IP, address::NODE_NAME], None)?, server.clone())?;
    }
    let client = named("kube-apiserver-kubelet-client", &[], Some("system:masters"))?;
    issue(&ca, folder, "apiserver-kubelet-client", client, ExtendedKeyUsagePurpose::ClientAuth)?;
    // The API server reads public keys in their own form only.
    let accounts = key()?;
    std::fs::write(folder.join("sa.pub"), accounts.public_key_pem()).context("write the key of service accounts")?;
    write_private(&folder.join("sa.key"), accounts.serialize_pem().as_bytes())
}

fn key() -> Result<KeyPair> {
    KeyPair::generate().context("make a key")
}

fn named(name: &str, addresses: &[&str], organization: Option<&str>) -> Result<CertificateParams> {
    let addresses: Vec<String> = addresses.iter().map(|&address| address.to_owned()).collect();
    let mut params = CertificateParams::new(addresses).context("describe a certificate")?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if let Some(organization) = organization {
        params.distinguished_name.push(DnType::OrganizationName, organization);
    }
    Ok(params)
}

fn issue(
    ca: &CertifiedIssuer<'_, KeyPair>,
    folder: &Path,
    file: &str,
    mut params: CertificateParams,
    usage: ExtendedKeyUsagePurpose,
) -> Result<()> {
    params.use_authority_key_identifier_extension = true;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment];
    params.extended_key_usages = vec![usage];
    let key = key()?;
    let certificate = params.signed_by(&key, ca).context(format!("sign the certificate of {file}"))?;
    std::fs::write(folder.join(format!("{file}.crt")), certificate.pem()).context(format!("write {file}.crt"))?;
    write_private(&folder.join(format!("{file}.key")), key.serialize_pem().as_bytes())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_is_there_and_keys_are_private() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        super::create(folder.path()).unwrap();
        for name in ["apiserver", "kubelet", "apiserver-kubelet-client"] {
            assert!(std::fs::read_to_string(folder.path().join(format!("{name}.crt"))).unwrap().contains("BEGIN CERTIFICATE"));
            let key = std::fs::metadata(folder.path().join(format!("{name}.key"))).unwrap();
            assert_eq!(key.permissions().mode() & 0o777, 0o600);
        }
        assert!(folder.path().join("sa.key").exists());
        assert!(!folder.path().join("ca.key").exists());
    }
}
