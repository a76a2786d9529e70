//! Signatures over a sealed bundle, and the time-stamps over those: the operator's at the end of a run, a reviewer's
//! with `walkaway approve`.
//!
//! A signature that can't be made is an error. A time-stamp that can't be had is not: the bundle then says that the
//! signature's time is this machine's own.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use serde::Deserialize;

use crate::{
    clock,
    domain::{digest::Sha256Digest, finding::Severity},
    evidence::{
        self, BundleCheck, EvidenceError, STAMP_SUFFIX, STATEMENT_SUFFIX, TIME_SUFFIX, Trust, Vouched,
        signing::{self, AllowedSigners, Role, Seal, Signer},
        timestamp, vouched, write_replacing,
    },
    record::{Refusal, error::EngineError},
};

/// A signature that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endorsement {
    /// The signature's file.
    pub file: PathBuf,
    /// `SHA256:…` of the key.
    pub fingerprint: String,
    /// When, and according to whom.
    pub stamped: Stamped,
}

/// Who attests when a signature was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stamped {
    /// A time-stamp authority.
    At(Timestamp),
    /// This machine only: no authority was named.
    NotAsked,
    /// This machine only: the authority did not answer properly.
    Failed(String),
}

/// Who signs and who stamps, according to the playbook of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Wanted {
    #[serde(default)]
    pub sign: Option<PathBuf>,
    #[serde(default)]
    pub timestamp: Option<String>,
}

#[derive(Deserialize)]
struct Resolved {
    #[serde(default)]
    evidence: Wanted,
}

impl Wanted {
    /// Reads it from a bundle. What can't be read is an error: a run that was to be signed must not end without.
    pub(crate) fn of(bundle: &Path) -> Result<Self, EngineError> {
        let path = bundle.join(evidence::RESOLVED);
        let Some(bytes) = read(&path)? else { return Ok(Wanted::default()) };
        let resolved: Resolved =
            serde_json::from_slice(&bytes).map_err(|error| EngineError::Directory { path, source: error.into() })?;
        Ok(resolved.evidence)
    }
}

/// The key in a file, usable.
pub(crate) fn signer(key: &Path) -> Result<Signer, EngineError> {
    let agent = std::env::var_os("SSH_AUTH_SOCK").filter(|socket| !socket.is_empty()).map(PathBuf::from);
    Ok(Signer::open(key, agent.as_deref())?)
}

/// Signs a bundle as its operator, if its playbook requires that, and adds what an earlier attempt could not.
pub(crate) async fn sign_as_operator(bundle: &Path) -> Result<Option<Endorsement>, EngineError> {
    let wanted = Wanted::of(bundle)?;
    let Some(key) = &wanted.sign else { return Ok(None) };
    let file = signatures(bundle)?.join(Role::Operator.file(1));
    let fingerprint = match read(&file)? {
        Some(armored) => sealed(bundle, &armored, Role::Operator)?.fingerprint(),
        None => sign(bundle, &file, &signer(key)?, Role::Operator)?,
    };
    let stamped = stamp(&file, wanted.timestamp.as_deref()).await?;
    Ok(Some(Endorsement { file, fingerprint, stamped }))
}

/// A bundle that a reviewer may sign, and the key to do so.
pub struct Review {
    signer: Signer,
    digest: Sha256Digest,
}

/// Whether a reviewer may sign a bundle that was checked.
///
/// # Errors
/// When the check found something severe, when no operator signed, when the key is the operator's own, has signed
/// already or is not allowed, and when it can't sign.
pub fn review(bundle: &Path, check: &BundleCheck, key: &Path, trust: &Trust) -> Result<Review, EngineError> {
    let refused = |refusal: Refusal| EngineError::NotApproved { path: bundle.to_owned(), refusal };
    if let Some(finding) = check.findings.iter().find(|finding| finding.severity > Severity::Note) {
        return Err(refused(Refusal::NotClean(finding.clone())));
    }
    if vouched(&check.signatures, Role::Operator) == Vouched::ByNobody {
        return Err(refused(Refusal::NoOperator));
    }
    let signer = signer(key)?;
    let fingerprint = signer.fingerprint();
    if let Some(seen) = check.signatures.iter().find(|seen| seen.fingerprint.as_ref() == Some(&fingerprint)) {
        return Err(refused(Refusal::SameKey { file: seen.file.clone() }));
    }
    if let Some(allowed) = &trust.allowed_signers {
        let found = allowed.principals(&Seal { role: Role::Reviewer, key: signer.public().clone() }, trust.now);
        let not_allowed = |error: signing::NotAllowed| Refusal::NotAllowed { fingerprint, reason: error.to_string() };
        let reviewer = found.map_err(|error| refused(not_allowed(error)))?;
        let operators = check.signatures.iter().filter(|seen| seen.role == Role::Operator.name());
        let operators: Vec<String> = operators.filter_map(|seen| seen.principals.clone()).collect();
        if AllowedSigners::share(&operators, &reviewer) {
            return Err(refused(Refusal::SamePerson));
        }
    }
    Ok(Review { signer, digest: check.bundle_digest })
}

/// Signs as a reviewer what was reviewed. Time-stamps come from `authority`, or else from the playbook's authority.
///
/// # Errors
/// When the bundle is no longer the one that was reviewed, and when the key can't sign.
pub async fn approve(bundle: &Path, review: Review, authority: Option<&str>) -> Result<Endorsement, EngineError> {
    let Review { signer, digest } = review;
    if Sha256Digest::of(message(bundle)?) != digest {
        return Err(EngineError::NotApproved { path: bundle.to_owned(), refusal: Refusal::Changed });
    }
    let directory = signatures(bundle)?;
    let taken = |number: &u32| directory.join(Role::Reviewer.file(*number)).symlink_metadata().is_ok();
    let number = (1..).find(|number| !taken(number)).unwrap_or(1);
    let file = directory.join(Role::Reviewer.file(number));
    let fingerprint = sign(bundle, &file, &signer, Role::Reviewer)?;
    let named = Wanted::of(bundle)?.timestamp;
    let stamped = stamp(&file, authority.or(named.as_deref())).await?;
    Ok(Endorsement { file, fingerprint, stamped })
}

fn signatures(bundle: &Path) -> Result<PathBuf, EngineError> {
    let path = bundle.join("sig");
    match fs::create_dir(&path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(EngineError::Directory { path, source }),
        _ => Ok(path),
    }
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, EngineError> {
    match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        read => Ok(Some(read.map_err(|source| EngineError::Directory { path: path.to_owned(), source })?)),
    }
}

fn message(bundle: &Path) -> Result<Vec<u8>, EngineError> {
    let path = bundle.join("tagmanifest-sha256.txt");
    fs::read(&path).map_err(|source| EngineError::Directory { path, source })
}

/// Signs, and checks the signature as a reader would before it is kept.
fn sign(bundle: &Path, file: &Path, signer: &Signer, role: Role) -> Result<String, EngineError> {
    let armored = signer.sign(role, &message(bundle)?)?;
    let fingerprint = sealed(bundle, armored.as_bytes(), role)?.fingerprint();
    let result = evidence::parse_result(&read(&bundle.join(evidence::RESULT))?.unwrap_or_default());
    let result = result.map_err(|reason| EngineError::NotARun { path: bundle.join(evidence::RESULT), reason })?;
    let stated = signing::statement(&result, Sha256Digest::of(message(bundle)?), role);
    // What an attempt before left beside it is about another signature.
    remove(&beside(file, STAMP_SUFFIX))?;
    remove(&beside(file, TIME_SUFFIX))?;
    write_replacing(&beside(file, STATEMENT_SUFFIX), &signing::envelope(signer, &stated)?)?;
    write_replacing(file, armored.as_bytes())?;
    Ok(fingerprint)
}

fn sealed(bundle: &Path, armored: &[u8], role: Role) -> Result<Seal, EngineError> {
    let wrong = |error: evidence::signing::SealError| EngineError::NotApproved {
        path: bundle.to_owned(),
        refusal: Refusal::Seal { role: role.name(), error },
    };
    Seal::check(armored, role, &message(bundle)?).map_err(wrong)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    PathBuf::from([file.as_os_str(), suffix.as_ref()].join("".as_ref()))
}

/// Puts a time-stamp, or the reason why there is none, beside a signature.
async fn stamp(file: &Path, authority: Option<&str>) -> Result<Stamped, EngineError> {
    let beside = |suffix: &str| beside(file, suffix);
    let signature = read(file)?.unwrap_or_default();
    if let Some(response) = read(&beside(STAMP_SUFFIX))?
        && let Ok(stamp) = timestamp::Stamp::read(&response, &signature)
    {
        remove(&beside(TIME_SUFFIX))?;
        return Ok(Stamped::At(stamp.at));
    }
    // One that can't be read, or is of another signature, is none.
    remove(&beside(STAMP_SUFFIX))?;
    let own = |why: &str| timestamp::own_time(clock::now(), why);
    let Some(url) = authority else {
        // What an earlier attempt recorded is closer in time to the signature.
        if read(&beside(TIME_SUFFIX))?.is_none() {
            write_replacing(&beside(TIME_SUFFIX), own("no time-stamp authority was named").as_bytes())?;
        }
        return Ok(Stamped::NotAsked);
    };
    match timestamp::fetch(url, &signature).await {
        Ok((response, stamp)) => {
            // Interrupted in between, the signature has neither; `resume` fetches one for the operator.
            remove(&beside(TIME_SUFFIX))?;
            write_replacing(&beside(STAMP_SUFFIX), &response)?;
            Ok(Stamped::At(stamp.at))
        }
        Err(error) => {
            write_replacing(&beside(TIME_SUFFIX), own(&format!("no time-stamp from {error}")).as_bytes())?;
            Ok(Stamped::Failed(error.to_string()))
        }
    }
}

fn remove(path: &Path) -> Result<(), EngineError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(EvidenceError::Io { action: "remove", path: path.to_owned(), source }.into())
        }
        _ => Ok(()),
    }
}
