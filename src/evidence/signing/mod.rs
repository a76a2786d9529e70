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
//! | `role`, `error` | operator or reviewer; why something could not be signed |
//! | `allowed`, `patterns` | `allowed_signers`, and its lists of names |

mod agent;
mod allowed;
mod envelope;
mod error;
mod key;
mod patterns;
mod role;
mod seal;

pub use allowed::{AllowedSigners, NotAllowed};
pub use envelope::{PREDICATE_TYPE, check_envelope, envelope, statement};
pub use error::SignError;
pub use key::Signer;
pub use role::Role;
pub use seal::{Seal, SealError};
