//! Signatures over a bundle: SSHSIG (OpenSSH's PROTOCOL.sshsig) over `tagmanifest-sha256.txt`, by the operator at the
//! end of a run and by reviewers afterwards. `ssh-keygen -Y verify` accepts them.
//!
//! A signature is in `sig/`, outside of what it signs. The namespace states the signer's role, so that an
//! operator's signature can't be passed off as a reviewer's. The key's owner is stated by an `allowed_signers` file
//! from outside the bundle.
//!
//! | file | what it does |
//! |---|---|
//! | `key` | signs, with a key from a file or through `agent` |
//! | `agent` | the two requests of ssh-agent's protocol that signing needs |
//! | `seal` | reads a signature and checks that the key it names made it |
//! | `envelope` | the same key's statement in a form for third-party tools (in-toto, DSSE) |
//! | `allowed`, `patterns` | `allowed_signers`, and its lists of names |

mod agent;
mod allowed;
mod envelope;
mod key;
mod patterns;
mod seal;

use std::path::PathBuf;

pub use allowed::{AllowedSigners, NotAllowed};
pub use envelope::{PREDICATE_TYPE, check_envelope, envelope, statement};
pub use key::Signer;
pub use seal::{Seal, SealError};

/// The role of a signer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The operator, who ran the drill.
    Operator,
    /// An independent reviewer.
    Reviewer,
}

impl Role {
    /// The name, as file names have it.
    pub fn name(self) -> &'static str {
        match self {
            Role::Operator => "operator",
            Role::Reviewer => "reviewer",
        }
    }

    /// The namespace of the signature, `-n` of `ssh-keygen`.
    pub fn namespace(self) -> &'static str {
        match self {
            Role::Operator => "walkaway-operator",
            Role::Reviewer => "walkaway-reviewer",
        }
    }

    /// The role and number of a signature's file name: `operator.sig`, `reviewer.sig`, `reviewer-2.sig`, …
    pub fn of_file(name: &str) -> Option<(Self, u32)> {
        let stem = name.strip_suffix(".sig")?;
        match stem.split_once('-') {
            None => [Role::Operator, Role::Reviewer].into_iter().find(|role| role.name() == stem).map(|role| (role, 1)),
            Some(("reviewer", number)) => {
                let read: u32 = number.parse().ok()?;
                (read > 1 && read.to_string() == number).then_some((Role::Reviewer, read))
            }
            Some(_) => None,
        }
    }

    /// The file of a signature in this role.
    pub fn file(self, number: u32) -> String {
        match number {
            0 | 1 => format!("{}.sig", self.name()),
            _ => format!("{}-{number}.sig", self.name()),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_tell_the_role() {
        for (role, number) in [(Role::Operator, 1), (Role::Reviewer, 1), (Role::Reviewer, 2), (Role::Reviewer, 10)] {
            assert_eq!(Role::of_file(&role.file(number)), Some((role, number)));
        }
        for name in
            ["operator-2.sig", "reviewer-1.sig", "reviewer-02.sig", "x.sig", "operator", ".sig", "reviewer-.sig"]
        {
            assert_eq!(Role::of_file(name), None, "{name}");
        }
    }
}
