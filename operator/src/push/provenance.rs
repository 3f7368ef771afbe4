//! Where an image comes from, attached to it: an in-toto statement with SLSA provenance, in a Sigstore bundle where there is a key.
//!
//! Formats: in-toto attestation framework 1, SLSA provenance 1, DSSE 1, Sigstore bundle 0.3 as cosign attaches it (OCI referrers).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ring::digest::{SHA256, digest};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Value, json};

use crate::clients::registry::Artifact;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// Media type of a statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";
/// Media type of a bundle.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// What stands before the 65 bytes of a point of P-256 in a SubjectPublicKeyInfo (RFC 5480).
const P256_INFO: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01,
    0x07, 0x03, 0x42, 0x00,
];

/// A key that signs.
pub(super) struct Key(EcdsaKeyPair);

/// Something to attach to the image.
pub(super) struct Attestation {
    media_type: &'static str,
    payload: Vec<u8>,
    annotations: BTreeMap<String, String>,
}

impl Key {
    /// Reads a private key for ECDSA on P-256 in PEM: PKCS #8, without a password.
    ///
    /// # Errors
    /// Words for people. Nothing of the file is in them.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let wanted = "it must be a private key for ECDSA on P-256 in PEM, PKCS #8 and without a password: openssl genpkey -algorithm EC \
                      -pkeyopt ec_paramgen_curve:P-256";
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|_| wanted.to_owned())?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, key.secret_pkcs8_der(), &SystemRandom::new());
        pair.map(Self).map_err(|_| wanted.to_owned())
    }

    /// The public key as SubjectPublicKeyInfo.
    fn public(&self) -> Vec<u8> {
        [&P256_INFO[..], self.0.public_key().as_ref()].concat()
    }
}

/// The statement about an image. `predicate` comes from the operator; when the build ended is known here alone.
fn statement(image: &str, image_digest: &str, mut predicate: Value, finished: &str) -> Value {
    if let Some(metadata) = predicate.pointer_mut("/runDetails/metadata").and_then(Value::as_object_mut) {
        metadata.insert("finishedOn".to_owned(), finished.into());
    }
    let digits = image_digest.strip_prefix("sha256:").unwrap_or(image_digest);
    json!({"_type": STATEMENT, "subject": [{"name": image, "digest": {"sha256": digits}}], "predicateType": PREDICATE, "predicate": predicate})
}

/// What is attached to an image: the statement, in a signed bundle where there is a key.
///
/// # Errors
/// Words for people, where it cannot be signed.
pub(super) fn attestation(
    image: &str,
    image_digest: &str,
    predicate: Value,
    finished: &str,
    key: Option<&Key>,
) -> Result<Attestation, String> {
    let statement = statement(image, image_digest, predicate, finished).to_string().into_bytes();
    let word = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let created = word("org.opencontainers.image.created", finished);
    let Some(key) = key else {
        let annotations = BTreeMap::from([created, word("in-toto.io/predicate-type", PREDICATE)]);
        return Ok(Attestation { media_type: IN_TOTO, payload: statement, annotations });
    };
    let signature = key.0.sign(&SystemRandom::new(), &signed_bytes(&statement)).map_err(|_| "the key does not sign".to_owned())?;
    let bundle = json!({
        "mediaType": BUNDLE,
        "verificationMaterial": {"publicKey": {"hint": BASE64.encode(digest(&SHA256, &key.public()))}},
        "dsseEnvelope": {
            "payload": BASE64.encode(&statement),
            "payloadType": IN_TOTO,
            "signatures": [{"sig": BASE64.encode(signature.as_ref()), "keyid": ""}],
        },
    });
    let annotations = BTreeMap::from([
        created,
        word("dev.sigstore.bundle.content", "dsse-envelope"),
        word("dev.sigstore.bundle.predicateType", PREDICATE),
    ]);
    Ok(Attestation { media_type: BUNDLE, payload: bundle.to_string().into_bytes(), annotations })
}

impl Attestation {
    /// As an artifact of the registry.
    pub(super) fn artifact(&self) -> Artifact<'_> {
        Artifact {
            artifact_type: self.media_type,
            payload: &self.payload,
            payload_type: self.media_type,
            annotations: self.annotations.clone(),
        }
    }
}

/// What DSSE signs: type and content with their lengths, so that neither can pass for the other.
fn signed_bytes(statement: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {IN_TOTO} {} ", IN_TOTO.len(), statement.len());
    [head.as_bytes(), statement].concat()
}

#[cfg(test)]
mod tests {
    use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    fn key() -> (String, Key) {
        let bytes = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new()).unwrap();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", BASE64.encode(bytes.as_ref()));
        let key = Key::from_pem(pem.as_bytes()).unwrap();
        (pem, key)
    }

    fn predicate() -> Value {
        json!({"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": "b"}, "metadata": {"invocationId": "i"}}})
    }

    #[test]
    fn a_bundle_holds_a_signature_over_the_statement() {
        let (_, key) = key();
        let made = attestation("r/cv", "sha256:ab", predicate(), "2026-11-26T03:00:00Z", Some(&key)).unwrap();
        assert_eq!(made.artifact().artifact_type, "application/vnd.dev.sigstore.bundle.v0.3+json");
        let bundle: Value = serde_json::from_slice(&made.payload).unwrap();
        let text = |at: &str| bundle.pointer(at).unwrap().as_str().unwrap();
        let statement = BASE64.decode(text("/dsseEnvelope/payload")).unwrap();
        let signature = BASE64.decode(text("/dsseEnvelope/signatures/0/sig")).unwrap();
        // As the specification of DSSE writes it.
        let mut signed = b"DSSEv1 28 application/vnd.in-toto+json ".to_vec();
        signed.extend(format!("{} ", statement.len()).bytes());
        signed.extend(&statement);
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, key.0.public_key().as_ref());
        public.verify(&signed, &signature).unwrap();
        let said: Value = serde_json::from_slice(&statement).unwrap();
        assert_eq!(said["subject"], json!([{"name": "r/cv", "digest": {"sha256": "ab"}}]));
        assert_eq!((said["_type"].as_str(), said["predicateType"].as_str()), (Some(STATEMENT), Some(PREDICATE)));
        assert_eq!(said["predicate"]["runDetails"]["metadata"]["finishedOn"], "2026-11-26T03:00:00Z");
    }

    #[test]
    fn without_a_key_the_statement_stands_alone() {
        let made = attestation("r/cv", "sha256:ab", predicate(), "2026-11-26T03:00:00Z", None).unwrap();
        assert_eq!(made.artifact().payload_type, "application/vnd.in-toto+json");
        assert_eq!(made.annotations.get("in-toto.io/predicate-type").map(String::as_str), Some(PREDICATE));
    }

    #[test]
    fn a_key_that_is_none_is_explained_and_not_quoted() {
        for pem in ["", "secret", "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n"] {
            let said = Key::from_pem(pem.as_bytes()).err().unwrap();
            assert!(said.contains("P-256") && !said.contains("secret\n") && !said.contains("c2VjcmV0"), "{said}");
        }
    }
}
