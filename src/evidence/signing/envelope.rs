//! A statement for third-party tools: in-toto Statement v1 in a DSSE envelope (secure-systems-lab/dsse, protocol 1.0.2),
//! signed by the key that signed the bundle.
//!
//! Its subject is the tag manifest, its predicate states the run's outcome. It follows from the bundle to the
//! byte, so it can't deviate from it. Ed25519 signs as it is, ECDSA as DER over the curve's SHA-2, RSA by
//! PKCS #1 v1.5 over SHA-512.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P384_SHA384_ASN1, ECDSA_P521_SHA512_ASN1, ED25519, UnparsedPublicKey,
    VerificationAlgorithm,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use ssh_key::{EcdsaCurve, HashAlg, public::KeyData};

use super::{
    agent::take_string,
    error::SignError,
    key::Signer,
    role::Role,
    seal::{Seal, rsa},
};
use crate::{domain::digest::Sha256Digest, evidence::result::RunResult};

/// What the predicate means: the members that [`statement`] writes.
pub const PREDICATE_TYPE: &str = "https://walkaway.example/attestation/exit-drill/v1";
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Envelope {
    payload_type: String,
    payload: String,
    signatures: [EnvelopeSignature; 1],
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeSignature {
    keyid: String,
    sig: String,
}

/// The statement about a bundle with this digest, as JSON.
pub fn statement(result: &RunResult, bundle_digest: Sha256Digest, role: Role) -> Vec<u8> {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "tagmanifest-sha256.txt", "digest": {"sha256": bundle_digest}}],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "role": role.name(),
            "run": result.run,
            "playbook": result.playbook,
            "tool": result.tool,
            "started": result.started,
            "ended": result.ended,
            "verdict": result.verdict,
            "tier": result.tier,
            "journal": result.journal,
        },
    });
    serde_json::to_vec(&statement).unwrap_or_default()
}

/// The envelope around a statement.
///
/// # Errors
/// When the key can't sign.
pub fn envelope(signer: &Signer, statement: &[u8]) -> Result<Vec<u8>, SignError> {
    let failed = |reason: &str| SignError::Failed(reason.to_owned());
    let signature = signer.raw(&encoding(statement))?;
    let sig = match signer.public().key_data() {
        KeyData::Ecdsa(_) => der(signature.as_bytes()).ok_or_else(|| failed("the signature is no two numbers"))?,
        _ => signature.as_bytes().to_vec(),
    };
    let envelope = Envelope {
        payload_type: PAYLOAD_TYPE.to_owned(),
        payload: BASE64_STANDARD.encode(statement),
        signatures: [EnvelopeSignature { keyid: signer.fingerprint(), sig: BASE64_STANDARD.encode(sig) }],
    };
    serde_json::to_vec(&envelope).map_err(|error| SignError::Failed(error.to_string()))
}

/// Whether an envelope holds this statement, signed by the key of a valid signature; or why not.
///
/// # Errors
/// What is wrong with it.
pub fn check_envelope(bytes: &[u8], statement: &[u8], seal: &Seal) -> Result<(), String> {
    let envelope: Envelope = serde_json::from_slice(bytes).map_err(|error| format!("is no DSSE envelope: {error}"))?;
    let decoded = |text: &str| BASE64_STANDARD.decode(text).map_err(|error| format!("is no DSSE envelope: {error}"));
    if envelope.payload_type != PAYLOAD_TYPE || decoded(&envelope.payload)? != statement {
        return Err("states something else than this bundle".to_owned());
    }
    if holds(seal.key.key_data(), &encoding(statement), &decoded(&envelope.signatures[0].sig)?) {
        Ok(())
    } else {
        Err("was not signed by the key of the signature beside it".to_owned())
    }
}

/// The signed bytes (DSSE, "Signature Definition").
fn encoding(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

/// Two numbers in DER, from two in SSH's form: both encode them minimal and positive.
fn der(mut ssh: &[u8]) -> Option<Vec<u8>> {
    let mut numbers = Vec::new();
    for _ in 0..2 {
        let number = take_string(&mut ssh)?;
        numbers.extend([0x02, u8::try_from(number.len()).ok()?]);
        numbers.extend(number);
    }
    let length = u8::try_from(numbers.len()).ok()?;
    let head = if length < 0x80 { vec![0x30, length] } else { vec![0x30, 0x81, length] };
    Some([head, numbers].concat())
}

fn holds(key: &KeyData, data: &[u8], signature: &[u8]) -> bool {
    let verify = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(data, signature).is_ok()
    };
    match key {
        KeyData::Ed25519(key) => verify(&ED25519, &key.0),
        KeyData::Ecdsa(key) => match key.curve() {
            EcdsaCurve::NistP256 => verify(&ECDSA_P256_SHA256_ASN1, key.as_sec1_bytes()),
            EcdsaCurve::NistP384 => verify(&ECDSA_P384_SHA384_ASN1, key.as_sec1_bytes()),
            EcdsaCurve::NistP521 => verify(&ECDSA_P521_SHA512_ASN1, key.as_sec1_bytes()),
        },
        KeyData::Rsa(key) => rsa(key, HashAlg::Sha512, data, signature),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_the_protocol_s_own_example() {
        let head = b"DSSEv1 28 application/vnd.in-toto+json 2 {}";
        assert_eq!(encoding(b"{}"), head);
    }

    #[test]
    fn numbers_become_der() {
        let ssh = [0, 0, 0, 2, 0, 0x80, 0, 0, 0, 1, 7];
        assert_eq!(der(&ssh), Some(vec![0x30, 7, 2, 2, 0, 0x80, 2, 1, 7]));
        assert_eq!(der(&ssh[..9]), None);
    }
}
