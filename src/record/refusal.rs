//! Why a bundle was not signed, and what the signer can do about it.

use std::path::Path;

use crate::{domain::finding::Finding, evidence::signing::SealError};

/// Why nothing was signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The check found a contradiction, or could not check everything.
    #[error("the check of the bundle found: {0}")]
    NotClean(Finding),
    /// There is nothing to review.
    #[error("no operator signed it, and a review is about an operator's signature")]
    NoOperator,
    /// The key has signed the bundle already.
    #[error("{file} is by the same key; a review is another person's")]
    SameKey {
        /// The existing signature.
        file: String,
    },
    /// The file of allowed signers gives the key to the operator.
    #[error("the allowed signers name the operator for this key as well; a review is another person's")]
    SamePerson,
    /// The file of allowed signers does not allow the key.
    #[error("the allowed signers do not allow the key {fingerprint} to review: {reason}")]
    NotAllowed {
        /// The key.
        fingerprint: String,
        /// Why.
        reason: String,
    },
    /// Another bundle is there now.
    #[error("it was changed while it was reviewed")]
    Changed,
    /// The created signature is invalid.
    #[error("the {role}'s signature {error}")]
    Seal {
        /// Whose.
        role: &'static str,
        /// Why.
        error: SealError,
    },
}

impl Refusal {
    /// What to do next about the bundle at `path`.
    pub(super) fn hint(&self, path: &Path) -> String {
        match self {
            Refusal::NotClean(_) | Refusal::Changed => {
                format!(
                    "`walkaway verify {}` lists everything that was found; ask the operator for an intact bundle",
                    path.display()
                )
            }
            Refusal::NoOperator => {
                "ask the operator to name a key with `evidence.sign` in the playbook and to run the drill again"
                    .to_owned()
            }
            Refusal::SameKey { .. } | Refusal::SamePerson => {
                "name the key of a reviewer who is not the operator with --key".to_owned()
            }
            Refusal::NotAllowed { .. } => {
                "add the key to the file of allowed signers, with the namespace walkaway-reviewer, or name another key"
                    .to_owned()
            }
            Refusal::Seal { .. } => "try the key with ssh-keygen -Y sign".to_owned(),
        }
    }
}
