//! Reads a signature and checks that the key it names made it over this message, in this role.

use aws_lc_rs::{
    rsa::PublicKeyComponents,
    signature::{
        ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ECDSA_P521_SHA512_FIXED, ED25519, RSA_PKCS1_2048_8192_SHA256,
        RSA_PKCS1_2048_8192_SHA512, UnparsedPublicKey, VerificationAlgorithm,
    },
};
use ssh_key::{
    Algorithm, EcdsaCurve, HashAlg, PublicKey, SshSig,
    public::{EcdsaPublicKey, KeyData, RsaPublicKey},
};

use super::{
    agent::take_string,
    key::{RSA_BITS_MIN, fingerprint, rsa_bits},
    role::Role,
};

/// A valid signature: the key it names made it. Whose key that is, is another question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seal {
    /// The role.
    pub role: Role,
    /// The key.
    pub key: PublicKey,
}

/// Why a signature is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Not an armored SSH signature.
    #[error("is no SSH signature: {0}")]
    Malformed(String),
    /// Made for another purpose.
    #[error("was made for {found:?}, not for {expected:?}")]
    Namespace {
        /// What the role asks for.
        expected: &'static str,
        /// What it has.
        found: String,
    },
    /// Made by an unsupported kind of key.
    #[error("was made by a {0} key, which walkaway can't check; ssh-keygen -Y verify can")]
    Unsupported(String),
    /// Made by a weak key.
    #[error(
        "was made by an RSA key of {0} bits, which is too weak to count; sign with 2048 bits or more, or with Ed25519"
    )]
    Weak(usize),
    /// The cryptographic check failed.
    #[error("was not made over this bundle by the key that it names")]
    Wrong,
}

impl Seal {
    /// Checks a signature.
    pub fn check(armored: &[u8], role: Role, message: &[u8]) -> Result<Self, SealError> {
        let malformed = |error: ssh_key::Error| SealError::Malformed(error.to_string());
        let seal = SshSig::from_pem(dearmored(armored)?).map_err(malformed)?;
        if seal.namespace() != role.namespace() {
            let found = seal.namespace().to_owned();
            return Err(SealError::Namespace { expected: role.namespace(), found });
        }
        let data = SshSig::signed_data(seal.namespace(), seal.hash_alg(), message).map_err(malformed)?;
        let algorithm = seal.algorithm();
        let holds = match (seal.public_key(), &algorithm) {
            (KeyData::Ed25519(key), Algorithm::Ed25519) => holds(&ED25519, &key.0, &data, seal.signature_bytes()),
            (KeyData::Ecdsa(key), Algorithm::Ecdsa { curve }) if key.curve() == *curve => {
                ecdsa(key, &data, seal.signature_bytes())
            }
            (KeyData::Rsa(key), Algorithm::Rsa { .. }) if rsa_bits(key) < RSA_BITS_MIN => {
                return Err(SealError::Weak(rsa_bits(key)));
            }
            (KeyData::Rsa(key), Algorithm::Rsa { hash: Some(hash) }) => rsa(key, *hash, &data, seal.signature_bytes()),
            _ => return Err(SealError::Unsupported(algorithm.to_string())),
        };
        let key = PublicKey::from(seal.public_key().clone());
        if holds { Ok(Seal { role, key }) } else { Err(SealError::Wrong) }
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.key)
    }
}

/// The signature in lines of 70 characters, as ssh-keygen writes it; it reads lines of any length, and ignores what
/// follows the end. A carriage return after the first line is rejected by most of its versions.
fn dearmored(armored: &[u8]) -> Result<String, SealError> {
    const BEGIN: &str = "-----BEGIN SSH SIGNATURE-----";
    const END: &str = "\n-----END SSH SIGNATURE-----";
    let malformed = |reason: &str| SealError::Malformed(reason.to_owned());
    let text = std::str::from_utf8(armored).map_err(|_| malformed("not a text"))?;
    let body = text.strip_prefix(BEGIN).filter(|rest| rest.starts_with('\n'));
    let body = body.and_then(|rest| rest.split_once(END)).ok_or_else(|| malformed("no begin or no end"))?.0;
    let encoded: Vec<char> = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
    let lines: String = encoded.chunks(70).map(|line| line.iter().collect::<String>() + "\n").collect();
    Ok(format!("{BEGIN}\n{lines}{}\n", &END[1..]))
}

fn holds(algorithm: &'static dyn VerificationAlgorithm, key: &[u8], data: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(algorithm, key).verify(data, signature).is_ok()
}

fn ecdsa(key: &EcdsaPublicKey, data: &[u8], signature: &[u8]) -> bool {
    let (algorithm, width): (&'static dyn VerificationAlgorithm, _) = match key.curve() {
        EcdsaCurve::NistP256 => (&ECDSA_P256_SHA256_FIXED, 32),
        EcdsaCurve::NistP384 => (&ECDSA_P384_SHA384_FIXED, 48),
        EcdsaCurve::NistP521 => (&ECDSA_P521_SHA512_FIXED, 66),
    };
    fixed(signature, width).is_some_and(|signature| holds(algorithm, key.as_sec1_bytes(), data, &signature))
}

/// r and s in equal width, out of SSH's two numbers.
fn fixed(mut signature: &[u8], width: usize) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    for _ in 0..2 {
        let number = take_string(&mut signature)?;
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let digits = &number[start..];
        out.extend(std::iter::repeat_n(0, width.checked_sub(digits.len())?));
        out.extend(digits);
    }
    signature.is_empty().then_some(out)
}

pub(super) fn rsa(key: &RsaPublicKey, hash: HashAlg, data: &[u8], signature: &[u8]) -> bool {
    let (Some(n), Some(e)) = (key.n.as_positive_bytes(), key.e.as_positive_bytes()) else { return false };
    let parameters = match hash {
        HashAlg::Sha256 => &RSA_PKCS1_2048_8192_SHA256,
        HashAlg::Sha512 => &RSA_PKCS1_2048_8192_SHA512,
        _ => return false,
    };
    PublicKeyComponents { n, e }.verify(parameters, data, signature).is_ok()
}
