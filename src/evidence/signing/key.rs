//! Signs with a key from a file, or through ssh-agent when the file holds only the public half or is encrypted.

use std::path::{Path, PathBuf};

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair},
};
use ssh_key::{
    Algorithm, HashAlg, LineEnding, PrivateKey, PublicKey, Signature, SshSig,
    private::{EcdsaKeypair, KeypairData},
    public::RsaPublicKey,
};

use super::{agent::Agent, error::SignError, role::Role};
use crate::evidence::files::read_whole;

/// Shorter ones can be broken with enough resources.
pub(super) const RSA_BITS_MIN: usize = 2048;

/// The length of a key's modulus.
pub(super) fn rsa_bits(key: &RsaPublicKey) -> usize {
    let modulus = key.n.as_positive_bytes().unwrap_or_default();
    modulus.first().map_or(0, |first| modulus.len() * 8 - first.leading_zeros() as usize)
}

/// A usable signer.
pub struct Signer {
    path: PathBuf,
    public: PublicKey,
    key_source: KeySource,
}

enum KeySource {
    Ed25519(Ed25519KeyPair),
    Ecdsa(EcdsaKeyPair),
    Agent(PathBuf),
}

impl Signer {
    /// Reads the key and makes sure that it can be used: an agent is queried for it. `agent` is the value
    /// of `SSH_AUTH_SOCK`.
    pub fn open(path: &Path, agent: Option<&Path>) -> Result<Self, SignError> {
        let unfit = |reason: String| SignError::Key { path: path.to_owned(), reason };
        let bytes = read_whole(path).map_err(|error| unfit(error.to_string()))?;
        let text = String::from_utf8(bytes).map_err(|_| unfit("is not an OpenSSH key".to_owned()))?;
        if is_certificate(&text) {
            return Err(unfit("is a certificate; name the key that it certifies".to_owned()));
        }
        if let Ok(public) = PublicKey::from_openssh(&text) {
            return Self::through_agent(path, public, agent);
        }
        let private = PrivateKey::from_openssh(&text).map_err(|error| unfit(error.to_string()))?;
        let public = private.public_key().clone();
        match key_source(&private).map_err(unfit)? {
            Some(key_source) => Ok(Signer { path: path.to_owned(), public, key_source }),
            None => Self::through_agent(path, public, agent),
        }
    }

    fn through_agent(path: &Path, public: PublicKey, agent: Option<&Path>) -> Result<Self, SignError> {
        let algorithm = public.algorithm();
        if !matches!(algorithm, Algorithm::Ed25519 | Algorithm::Ecdsa { .. } | Algorithm::Rsa { .. }) {
            let reason = if is_on_a_token(&algorithm) {
                format!("{algorithm} is a key on a security token, whose signatures walkaway can't check")
            } else {
                format!("signatures by {algorithm} keys can't be checked by walkaway")
            };
            return Err(SignError::Key { path: path.to_owned(), reason });
        }
        if let Some(bits) = public.key_data().rsa().map(rsa_bits).filter(|bits| *bits < RSA_BITS_MIN) {
            let reason = format!("is an RSA key of {bits} bits, which is too weak to count");
            return Err(SignError::Key { path: path.to_owned(), reason });
        }
        let key = encoded(&public)?;
        if !Agent::connect(agent)?.keys()?.contains(&key) {
            return Err(SignError::NotHeld { fingerprint: fingerprint(&public) });
        }
        Ok(Signer {
            path: path.to_owned(),
            public,
            key_source: KeySource::Agent(agent.unwrap_or(Path::new("")).to_owned()),
        })
    }

    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.public)
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The public half as a line of `authorized_keys`.
    pub fn public_line(&self) -> String {
        self.public.to_openssh().unwrap_or_default()
    }

    /// The signature of a message, armored.
    pub fn sign(&self, role: Role, message: &[u8]) -> Result<String, SignError> {
        let failed = |error: ssh_key::Error| SignError::Failed(format!("{}: {error}", self.path.display()));
        let data = SshSig::signed_data(role.namespace(), HashAlg::Sha512, message).map_err(failed)?;
        let signature = self.raw(&data)?;
        let seal = SshSig::new(self.public.key_data().clone(), role.namespace(), HashAlg::Sha512, signature);
        seal.and_then(|seal| seal.to_pem(LineEnding::LF)).map_err(failed)
    }

    /// The signature of bytes, in SSH's form.
    pub(super) fn raw(&self, data: &[u8]) -> Result<Signature, SignError> {
        let failed = |reason: String| SignError::Failed(format!("{}: {reason}", self.path.display()));
        let (algorithm, bytes) = match &self.key_source {
            KeySource::Ed25519(pair) => (Algorithm::Ed25519, pair.sign(data).as_ref().to_vec()),
            KeySource::Ecdsa(pair) => {
                let fixed = pair.sign(&SystemRandom::new(), data).map_err(|error| failed(error.to_string()))?;
                (self.public.algorithm(), mpints(fixed.as_ref()))
            }
            KeySource::Agent(socket) => {
                let (name, bytes) = Agent::connect(Some(socket))?.sign(&encoded(&self.public)?, data)?;
                (Algorithm::new(&name).map_err(|error| failed(error.to_string()))?, bytes)
            }
        };
        Signature::new(algorithm, bytes).map_err(|error| failed(error.to_string()))
    }
}

/// A public key with a certificate around it, as ssh-keygen -s makes it: `…-cert-v01@openssh.com`.
fn is_certificate(text: &str) -> bool {
    text.split_whitespace().next().is_some_and(|word| word.ends_with("-cert-v01@openssh.com"))
}

/// FIDO keys sign a counter and flags beside the message.
fn is_on_a_token(algorithm: &Algorithm) -> bool {
    matches!(algorithm, Algorithm::SkEd25519 | Algorithm::SkEcdsaSha2NistP256)
}

/// How the private half is used; none if an agent does it.
fn key_source(private: &PrivateKey) -> Result<Option<KeySource>, String> {
    let rejected = |error: aws_lc_rs::error::KeyRejected| error.to_string();
    let ecdsa = |algorithm, private: &[u8], public: &[u8]| {
        EcdsaKeyPair::from_private_key_and_public_key(algorithm, private, public)
            .map_err(rejected)
            .map(KeySource::Ecdsa)
    };
    match private.key_data() {
        KeypairData::Ed25519(pair) => {
            let seed = pair.private.to_bytes();
            let pair = Ed25519KeyPair::from_seed_and_public_key(&seed, &pair.public.0).map_err(rejected)?;
            Ok(Some(KeySource::Ed25519(pair)))
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP256 { public, private }) => {
            ecdsa(&ECDSA_P256_SHA256_FIXED_SIGNING, private.as_slice(), public.as_ref()).map(Some)
        }
        KeypairData::Ecdsa(EcdsaKeypair::NistP384 { public, private }) => {
            ecdsa(&ECDSA_P384_SHA384_FIXED_SIGNING, private.as_slice(), public.as_ref()).map(Some)
        }
        _ => Ok(None),
    }
}

/// r and s as SSH writes them (RFC 5656, section 3.1.2), out of two numbers of equal width.
fn mpints(fixed: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    for number in fixed.chunks(fixed.len().div_ceil(2).max(1)) {
        let start = number.iter().position(|byte| *byte != 0).unwrap_or(number.len());
        let digits = &number[start..];
        let sign = usize::from(digits.first().is_some_and(|byte| *byte >= 0x80));
        out.extend(u32::try_from(digits.len() + sign).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(std::iter::repeat_n(0, sign));
        out.extend(digits);
    }
    out
}

fn encoded(key: &PublicKey) -> Result<Vec<u8>, SignError> {
    key.to_bytes().map_err(|error| SignError::Failed(error.to_string()))
}

/// `SHA256:…`
pub(super) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_sign_is_refused_with_the_reason() {
        let home = tempfile::tempdir().expect("directory");
        let told = |line: &str| {
            let path = home.path().join("key.pub");
            std::fs::write(&path, line).expect("written");
            Signer::open(&path, None).err().expect("an error").to_string()
        };
        let certificate = told("ssh-ed25519-cert-v01@openssh.com AAAAIHNzaC1lZDI1NTE5LWNlcnQtdjAxQG9wZW5zc2guY29t x");
        assert!(certificate.contains("is a certificate; name the key that it certifies"), "{certificate}");
        let token = told(
            "sk-ssh-ed25519@openssh.com AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB\
             AQEBAQEBAAAABHNzaDo= x",
        );
        assert!(token.contains("key on a security token"), "{token}");
    }

    #[test]
    fn numbers_are_written_shortest_and_positive() {
        assert_eq!(mpints(&[0, 1, 0x80, 0]), [0, 0, 0, 1, 1, 0, 0, 0, 3, 0, 0x80, 0]);
    }
}
