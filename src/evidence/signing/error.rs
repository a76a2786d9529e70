//! Why something could not be signed.

use std::path::PathBuf;

/// Why something could not be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The file can't be read or is no key.
    #[error("key {}: {reason}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// No agent answers.
    #[error("ssh-agent: {reason}")]
    Agent {
        /// Why.
        reason: String,
    },
    /// An agent answers, but doesn't have this key.
    #[error("ssh-agent does not hold the key {fingerprint}")]
    NotHeld {
        /// The key.
        fingerprint: String,
    },
    /// The created signature is invalid.
    #[error("the signature could not be made: {0}")]
    Failed(String),
}

impl SignError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            SignError::Key { .. } => "name an OpenSSH key file, as ssh-keygen -t ed25519 makes it".to_owned(),
            SignError::Agent { .. } => "start ssh-agent, set SSH_AUTH_SOCK, and ssh-add the key".to_owned(),
            SignError::NotHeld { .. } => "ssh-add the key; it is encrypted, or only its public half is here".to_owned(),
            SignError::Failed(_) => "try the key with ssh-keygen -Y sign".to_owned(),
        }
    }
}
