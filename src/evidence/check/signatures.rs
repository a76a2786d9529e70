//! The content of `sig/`: whether each signature is valid, who made it, when, and whether all required ones exist.
//!
//! An existing signature is always checked against the key that it names. Whose key that is, and which time-stamp
//! authority is trusted, comes from outside the bundle in [`Trust`].

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{
    domain::finding::{Finding, FindingKind},
    evidence::{
        bag::{SIGNATURES, TAG_MANIFEST},
        check::bag::Bag,
        contents::{RESOLVED, inconsistent},
        result::RunResult,
        signing::{AllowedSigners, Role, Seal, SealError, check_envelope, statement},
        timestamp::{Authorities, Stamp, read_own_time},
    },
};

/// The largest difference between two correct clocks, in seconds.
pub(super) const CLOCKS_APART_S: i64 = 60;
/// From this version on every signature has a statement beside it.
const WITH_STATEMENT: u32 = 4;

/// The reader's roots of trust.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Who may sign. Without it, signatures are checked against the keys that they name.
    pub allowed_signers: Option<AllowedSigners>,
    /// Trusted time-stamp authorities. Without it, time-stamps are read and not trusted.
    pub authorities: Option<Authorities>,
    /// The path of the previous run's bundle; without it, it is looked for beside this one.
    pub previous: Option<PathBuf>,
    /// The time at which keys must be valid where no trusted time-stamp states another.
    pub now: Timestamp,
}

/// A signature and what is known of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SignatureSeen {
    /// Its path in the bundle.
    pub file: String,
    /// `operator` or `reviewer`.
    pub role: &'static str,
    /// The key, if the signature is valid.
    pub fingerprint: Option<String>,
    /// The principal of that key among the allowed signers.
    pub principals: Option<String>,
    /// The time of the stamp over it, if there is one.
    pub stamped: Option<String>,
    /// Whether a trusted authority confirms that time.
    pub stamp_trusted: bool,
}

/// Who made a role's signatures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Vouched {
    /// No valid signature.
    ByNobody,
    /// A key whose owner was not checked or is not allowed.
    ByUnknown,
    /// A signer whom the reader allows.
    ByAllowed,
}

/// What a reader may require of a bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Requirement {
    /// By an operator whom the allowed signers name.
    Signed,
    /// By a reviewer whom they name, who is not the operator.
    Reviewed,
    /// Every signature, by a trusted authority.
    Stamped,
}

impl Requirement {
    /// Why it is not met; none if it is.
    pub fn unmet(self, seen: &[SignatureSeen], trust: &Trust) -> Option<String> {
        let signer = |role: Role| match (vouched(seen, role), &trust.allowed_signers) {
            (Vouched::ByAllowed, _) => None,
            (Vouched::ByNobody, _) => Some(format!("no signature of the {} holds", role.name())),
            (Vouched::ByUnknown, None) => Some(format!(
                "whose key the {}'s is was not looked up: name the file of allowed signers with --allowed-signers",
                role.name()
            )),
            (Vouched::ByUnknown, Some(_)) => Some(format!("the {}'s key is not allowed", role.name())),
        };
        let stamped = || {
            if trust.authorities.is_none() {
                return Some("no authority is trusted: name its certificate with --tsa-ca".to_owned());
            }
            let bare = seen.iter().find(|seen| !seen.stamp_trusted).map(|seen| seen.file.as_str());
            let bare = bare.or(seen.is_empty().then_some("sig/operator.sig"));
            bare.map(|file| format!("no trusted authority stamped {file}"))
        };
        match self {
            Requirement::Signed => signer(Role::Operator),
            Requirement::Reviewed => signer(Role::Reviewer),
            Requirement::Stamped => stamped(),
        }
    }
}

/// The best that is known of a role's signatures.
pub fn vouched(seen: &[SignatureSeen], role: Role) -> Vouched {
    let mut holding = seen.iter().filter(|seen| seen.role == role.name() && seen.fingerprint.is_some()).peekable();
    match (holding.peek().is_some(), holding.any(|seen| seen.principals.is_some())) {
        (false, _) => Vouched::ByNobody,
        (true, false) => Vouched::ByUnknown,
        (true, true) => Vouched::ByAllowed,
    }
}

#[derive(Deserialize)]
struct Resolved {
    evidence: Wanted,
}

#[derive(Deserialize)]
struct Wanted {
    sign: Option<String>,
}

/// Everything in `sig/`. Without `trust` nothing is required, but what exists is checked all the same.
pub(crate) fn check_signatures(
    bag: &Bag,
    result: Option<&RunResult>,
    trust: Option<&Trust>,
) -> (Vec<SignatureSeen>, Vec<Finding>) {
    let mut check = Check { bag, result, trust, seen: Vec::new(), seals: Vec::new(), findings: Vec::new() };
    check.unknown_files();
    for name in bag.signatures.keys() {
        if let Some((role, _)) = Role::of_file(name) {
            check.expect_member(name);
            check.signature(name, role);
        }
    }
    check.independence();
    if trust.is_some() {
        check.demands();
    }
    (check.seen, check.findings)
}

struct Check<'a> {
    bag: &'a Bag,
    result: Option<&'a RunResult>,
    trust: Option<&'a Trust>,
    seen: Vec<SignatureSeen>,
    seals: Vec<(String, Seal, Vec<String>)>,
    findings: Vec<Finding>,
}

fn path(name: &str) -> String {
    format!("{SIGNATURES}/{name}")
}

impl Check<'_> {
    fn find(&mut self, kind: FindingKind, name: &str, detail: impl Into<String>) {
        self.findings.push(Finding::of_run(kind, path(name), detail));
    }

    fn unknown_files(&mut self) {
        let signatures = &self.bag.signatures;
        let known = |name: &str| {
            let of_signature = |stem: &str| Role::of_file(stem).is_some() && signatures.contains_key(stem);
            Role::of_file(name).is_some()
                || name.strip_suffix(STAMP_SUFFIX).is_some_and(of_signature)
                || name.strip_suffix(TIME_SUFFIX).is_some_and(of_signature)
                || name.strip_suffix(STATEMENT_SUFFIX).is_some_and(of_signature)
        };
        let unknown: Vec<_> = signatures.keys().filter(|name| !known(name)).cloned().collect();
        for name in unknown {
            self.find(FindingKind::BundleFileUnexpected, &name, "belongs to no signature");
        }
    }

    /// A signature's companions are complete: its statement, and a time-stamp or the reason why there is none.
    fn expect_member(&mut self, name: &str) {
        let has = |suffix: &str| self.bag.signatures.contains_key(&format!("{name}{suffix}"));
        let stated = has(STATEMENT_SUFFIX);
        let stamped = has(STAMP_SUFFIX);
        let explained = has(TIME_SUFFIX);
        if !stated && self.result.is_some_and(|result| result.result_version >= WITH_STATEMENT) {
            let file = format!("{name}{STATEMENT_SUFFIX}");
            self.find(
                FindingKind::BundleFileMissing,
                &file,
                "every signature of this version has a statement beside it",
            );
        }
        let file = format!("{name}{TIME_SUFFIX}");
        if !stamped && !explained {
            let detail = "the signature has neither a time-stamp nor a text that states why there is none";
            self.find(FindingKind::BundleFileMissing, &file, detail);
        }
        if explained && stamped {
            self.find(
                FindingKind::BundleInconsistent,
                &file,
                "says that there is no time-stamp, and one lies beside it",
            );
        }
        if explained {
            self.own_time(&file);
        }
    }

    /// A signature is made over the sealed bag, so after the run ended.
    fn own_time(&mut self, file: &str) {
        let text = self.bag.read(&path(file)).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let Some(at) = text.and_then(|text| read_own_time(&text)) else {
            self.find(FindingKind::BundleMalformed, file, "is not the text of a signing machine about its time");
            return;
        };
        let ended = self.result.and_then(|result| result.ended.parse::<Timestamp>().ok());
        if let Some(ended) = ended.filter(|ended| at.as_second() < ended.as_second() - CLOCKS_APART_S) {
            self.findings.push(inconsistent(path(file), format!("signed {at}, the run ended {ended}")));
        }
    }

    fn signature(&mut self, name: &str, role: Role) {
        let (stamped, stamp_trusted) = self.stamp(name);
        let mut seen = SignatureSeen {
            file: path(name),
            role: role.name(),
            fingerprint: None,
            principals: None,
            stamped: stamped.map(|at| at.to_string()),
            stamp_trusted,
        };
        if let Some(seal) = self.seal(name, role) {
            let at = stamped.filter(|_| stamp_trusted).or(self.trust.map(|trust| trust.now));
            seen.fingerprint = Some(seal.fingerprint());
            self.statement(name, &seal);
            let principals = self.principals(name, &seal, at);
            seen.principals = (!principals.is_empty()).then(|| principals.join(", "));
            self.seals.push((name.to_owned(), seal, principals));
        }
        self.seen.push(seen);
    }

    fn seal(&mut self, name: &str, role: Role) -> Option<Seal> {
        let read = |name: &str| self.bag.read(name).map_err(|error| SealError::Malformed(error.to_string()));
        let sealed = read(&path(name))
            .and_then(|armored| read(TAG_MANIFEST).and_then(|message| Seal::check(&armored, role, &message)));
        match sealed {
            Ok(seal) => return Some(seal),
            Err(error @ SealError::Unsupported(_)) => {
                self.find(FindingKind::SignatureUnchecked, name, error.to_string());
            }
            Err(error) => self.find(FindingKind::SignatureInvalid, name, error.to_string()),
        }
        None
    }

    fn principals(&mut self, name: &str, seal: &Seal, at: Option<Timestamp>) -> Vec<String> {
        let allowed = self.trust.and_then(|trust| trust.allowed_signers.as_ref());
        let Some((allowed, at)) = allowed.zip(at) else { return Vec::new() };
        allowed.principals(seal, at).unwrap_or_else(|error| {
            self.find(FindingKind::SignerNotAllowed, name, format!("{}: {error}", seal.fingerprint()));
            Vec::new()
        })
    }

    /// The statement beside a signature, if there is one, equals the one derived from the bundle.
    fn statement(&mut self, name: &str, seal: &Seal) {
        let file = format!("{name}{STATEMENT_SUFFIX}");
        if !self.bag.signatures.contains_key(&file) {
            return;
        }
        let expected = self.result.zip(self.bag.digest).map(|(result, digest)| statement(result, digest, seal.role));
        let read = self.bag.read(&path(&file)).unwrap_or_default();
        let checked = match expected {
            Some(expected) => check_envelope(&read, &expected, seal),
            None => Err("there is no result that it could state".to_owned()),
        };
        if let Err(reason) = checked {
            self.find(FindingKind::SignatureInvalid, &file, reason);
        }
    }

    /// The time of the stamp over a signature, and whether it is trusted.
    fn stamp(&mut self, name: &str) -> (Option<Timestamp>, bool) {
        let stamp_name = format!("{name}{STAMP_SUFFIX}");
        let authorities = self.trust.and_then(|trust| trust.authorities.as_ref());
        if !self.bag.signatures.contains_key(&stamp_name) {
            if authorities.is_some() {
                let detail = "no authority stamped it: its time is the signing machine's own";
                self.find(FindingKind::TimestampMissing, name, detail);
            }
            return (None, false);
        }
        let read = |name: &str| self.bag.read(&path(name)).unwrap_or_default();
        match Stamp::read(&read(&stamp_name), &read(name)) {
            Err(error) => {
                self.find(FindingKind::TimestampInvalid, &stamp_name, error.to_string());
                (None, false)
            }
            Ok(stamp) => match authorities.map(|authorities| authorities.vouch(&stamp)) {
                None => (Some(stamp.at), false),
                Some(Ok(())) => (Some(stamp.at), true),
                Some(Err(error)) => {
                    self.find(FindingKind::TimestampInvalid, &stamp_name, error.to_string());
                    (Some(stamp.at), false)
                }
            },
        }
    }

    /// A reviewer must not be the operator.
    fn independence(&mut self) {
        let of = |role: Role| self.seals.iter().filter(move |(_, seal, _)| seal.role == role);
        let same = |reviewer: &(String, Seal, Vec<String>)| {
            of(Role::Operator).any(|operator| {
                operator.1.key.key_data() == reviewer.1.key.key_data()
                    || AllowedSigners::share(&operator.2, &reviewer.2)
            })
        };
        let own: Vec<_> = of(Role::Reviewer).filter(|seal| same(seal)).map(|(name, ..)| name.clone()).collect();
        for name in own {
            self.find(FindingKind::ReviewNotIndependent, &name, "the operator's own");
        }
    }

    fn demands(&mut self) {
        let name = Role::Operator.file(1);
        if self.bag.signatures.contains_key(&name) {
            return;
        }
        let allowed = self.trust.is_some_and(|trust| trust.allowed_signers.is_some());
        let wanted = self.bag.read(RESOLVED).ok().and_then(|bytes| serde_json::from_slice::<Resolved>(&bytes).ok());
        if wanted.is_some_and(|resolved| resolved.evidence.sign.is_some()) {
            self.find(FindingKind::SignatureMissing, &name, "the playbook asks for it");
        } else if allowed {
            self.find(FindingKind::SignatureMissing, &name, "no allowed signer signed this bundle");
        }
    }
}

/// A time-stamp of the signature before the suffix.
pub const STAMP_SUFFIX: &str = ".tsr";
/// What the signer states, for tools that read in-toto statements in DSSE envelopes.
pub const STATEMENT_SUFFIX: &str = ".dsse.json";
/// States as text why there is no time-stamp.
pub const TIME_SUFFIX: &str = ".time.txt";
