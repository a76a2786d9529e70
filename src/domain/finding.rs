//! Discrepancies as values, and the verdict that follows from them.
//!
//! A mismatch is a finding, never an error: an error ends a piece of work, a finding is part of its result.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::glob;

/// How much a finding weighs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth reading; contradicts nothing.
    Note,
    /// Something could not be compared.
    NotRun,
    /// Something was compared and differs.
    Fail,
}

macro_rules! finding_kinds {
    ($($(#[$doc:meta])* $kind:ident $severity:ident $title:literal;)*) => {
        /// What kind of discrepancy; the severity follows from it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum FindingKind { $($(#[$doc])* $kind,)* }

        impl FindingKind {
            /// Every kind, for the tests and the documentation.
            pub const ALL: &'static [FindingKind] = &[$(FindingKind::$kind,)*];

            /// The severity of this kind.
            pub fn severity(self) -> Severity {
                match self { $(FindingKind::$kind => Severity::$severity,)* }
            }

            /// The kind in plain words.
            pub fn title(self) -> &'static str {
                match self { $(FindingKind::$kind => $title,)* }
            }
        }
    };
}

finding_kinds! {
    /// A restored object is not on the disk.
    ObjectMissing Fail "object missing from the restored copy";
    /// A file lies among the restored objects that no receipt names.
    ObjectUnexpected Fail "file that belongs to no object";
    /// Length on disk differs from the receipt.
    ObjectSize Fail "object differs in size";
    /// SHA-256 on disk differs from the stream's.
    ObjectDigest Fail "object differs in content";
    /// What lies beside an object's bytes at the target differs from what was carried.
    ObjectProperties Fail "object differs beside its content";
    /// The provider's own checksum contradicts the bytes it sent.
    ProviderChecksum Fail "provider's checksum contradicts its bytes";
    /// The object could not be read at the provider.
    ObjectUnreadable NotRun "object could not be read";
    /// The object was read, and the target refuses it.
    ObjectUnrestored NotRun "object could not be restored";
    /// The object lies in an archive tier and would have to be restored there first.
    ObjectArchived NotRun "object is archived";
    /// The closing listing shows an object that was there before the opening one, which did not show it.
    ObjectUnlisted NotRun "object missing from the opening listing";
    /// An entry of a listing contradicts another one, or what was asked for.
    ListingContradiction NotRun "listing contradicts itself";
    /// The object changed or vanished between listing and reading.
    ObjectChanged NotRun "object changed during the run";
    /// A restored file exists but could not be read back.
    CopyUnreadable NotRun "restored copy could not be read back";
    /// An asset selected nothing.
    NothingMatched Fail "nothing matched";
    /// A table of the source is not in the restored database.
    TableMissing Fail "table missing from the restored database";
    /// The restored database holds a table that the source does not.
    TableUnexpected Fail "table that the source does not have";
    /// Row counts differ.
    TableRows Fail "table differs in its number of rows";
    /// Row counts agree, the keyed digest of the rows does not.
    TableDigest Fail "table differs in content";
    /// The table could not be copied or read back.
    TableUnreadable NotRun "table could not be compared";
    /// Some rows of a table could not be read, or the target refuses them.
    RowsUnreadable NotRun "rows could not be carried";
    /// The provider skipped a table of an export, or warns of it.
    TableSkipped NotRun "table skipped by the export";
    /// An export's list names a table whose files are not there.
    ExportIncomplete Fail "table of the export without its files";
    /// Parts of an export, or what it says about itself, contradict each other.
    ExportContradicts Fail "export contradicts itself";
    /// It was captured, and nothing independent says that it is what the provider held.
    NotProven NotRun "captured, not proven";
    /// A materialized view, computed again, holds other rows than the source's did.
    ViewDiffers NotRun "materialized view holds other rows than at the source";
    /// A spooled export differs from its receipt.
    SpoolDigest Fail "spooled export differs from its receipt";
    /// A sequence stands elsewhere than at the source.
    SequenceValue Fail "sequence differs";
    /// A catalog object of the source is not in the restored database.
    CatalogMissing Fail "schema object missing from the restored database";
    /// The restored database holds a catalog object that the source does not.
    CatalogUnexpected Fail "schema object that the source does not have";
    /// A catalog object is defined otherwise than at the source.
    CatalogDiffers Fail "schema object differs";
    /// A large object is missing, or its content differs.
    LargeObject Fail "large object differs";
    /// A statement of the schema failed on the target.
    SchemaStatement Fail "schema statement failed on the target";
    /// Something the source holds is of a class that is not carried.
    NotCarried NotRun "not carried";
    /// The run differs from the source's setup in a way that compared data does not show.
    Deviation Note "deviation";
    /// A question to the restored database was not answered as expected.
    CheckFailed Fail "check failed";
    /// What walkaway made at the provider for a while is still there.
    LeftBehind Note "left behind at the provider";
    /// Something beside the bytes could not be read at the provider.
    PropertyUnreadable Note "could not be read at the provider";
    /// Objects came, changed or went at the provider while the run went on.
    SourceMoved Note "changed at the provider during the run";
    /// An exclusion is past its date.
    ExclusionExpired Fail "exclusion past its date";
    /// An exclusion that names nothing in the account.
    ExclusionUnused Note "exclusion that matches nothing";
    /// A threshold of the playbook was missed.
    ThresholdMissed Fail "threshold missed";
    /// The verifier did not notice damage that was planted.
    VerifierBlind Fail "verifier missed planted damage";
    /// An asset's work ended with an error.
    AssetStopped NotRun "stopped before it could be compared";
    /// Something in the account could not be looked at that the playbook asks about.
    AccountUnreadable NotRun "could not be looked at";
    /// Something lies in a region that the playbook does not allow.
    RegionNotAllowed Fail "lies outside the allowed regions";
    /// Something is not encrypted at rest.
    NotEncrypted Fail "not encrypted at rest";
    /// Something can be read by everybody.
    PubliclyReachable Fail "open to everybody";
    /// A snapshot is shared with another account.
    SnapshotShared Note "shared with another account";
    /// A snapshot's source is gone.
    SnapshotOrphaned Fail "snapshot whose source is gone";
    /// A user may sign in with a password alone.
    UserWithoutMfa Fail "signs in without a second factor";
    /// An access key is older than it should get.
    KeyTooOld Fail "access key is too old";
    /// An access key is not used.
    KeyUnused Fail "access key is not used";
    /// The root user has an access key.
    RootKey Fail "the root user has an access key";
    /// A precondition does not hold, and somebody answers for that.
    PreconditionUnmet Fail "precondition does not hold";
    /// The target is a machine in a cloud.
    TargetInCloud Fail "the target is a machine in a cloud";
    /// Nobody can tell whether the target is a machine in a cloud.
    TargetUnknown NotRun "whether the target is in a cloud could not be told";
    /// A setting or a thing at the provider is another than before the run.
    SourceChanged Fail "changed at the provider during the run";
    /// A setting could not be read before or after the run.
    SourceNotCompared NotRun "could not be compared with the time before the run";
    /// A document is not there.
    DocumentMissing Fail "document is missing";
    /// A document is older than it may be.
    DocumentStale Fail "document is too old";
    /// A document bears a date that is still to come.
    DocumentFromFuture Fail "document is dated in the future";
    /// A document has no date that its age could be told by.
    DocumentUndated NotRun "document has no date";
    /// Nobody wrote down having read a document.
    ReviewNoteMissing Fail "document has no review notes";
    /// A service of the account has no row, or an empty one, in the responsibility matrix.
    ResponsibilityMissing Fail "responsibility is not assigned";
    /// The exit would take longer than a term of the contract, or the run did.
    ContractExceeded Fail "longer than the contract allows";
    /// There is no projection that a term of the contract could be held against.
    ContractUnprojected Note "term of the contract was not held against an exit";
    /// What a threshold bounds could not be measured.
    ThresholdUnknown NotRun "threshold could not be measured";
    /// A waiver is past its date, and waives nothing.
    WaiverExpired Fail "waiver past its date";
    /// A waiver fits no finding.
    WaiverUnused Note "waiver that fits no finding";
    /// A file of the bundle differs from its manifest.
    BundleFileDiffers Fail "file of the bundle was changed";
    /// A file of the manifest is not in the bundle.
    BundleFileMissing Fail "file of the bundle is missing";
    /// The bundle holds a file that no manifest names.
    BundleFileUnexpected Fail "file that the manifest does not name";
    /// The bag's own files are malformed.
    BundleMalformed Fail "bundle is malformed";
    /// The journal's chain is broken.
    JournalBroken Fail "journal chain is broken";
    /// A signature does not hold.
    SignatureInvalid Fail "signature does not hold";
    /// A signature was made in a way that can't be checked here.
    SignatureUnchecked NotRun "signature could not be checked";
    /// A signature that has to be there is not.
    SignatureMissing Fail "signature is missing";
    /// A signature holds, and its maker is not among those who may sign.
    SignerNotAllowed Fail "signer is not allowed";
    /// The review was signed by who ran the drill.
    ReviewNotIndependent Fail "review is not independent";
    /// A time-stamp is not about the signature, or nobody trusted made it.
    TimestampInvalid Fail "time-stamp does not hold";
    /// A signature without a time-stamp, where time-stamps are asked for.
    TimestampMissing NotRun "time-stamp is missing";
    /// A signature without a time-stamp, where the playbook asks for one and the bundle says why there is none.
    TimestampAbsent Note "has no time-stamp";
    /// A time-stamp was made long after the run that it is about.
    TimestampLate Note "time-stamp is of a much later time";
    /// What only the version that wrote it can tell.
    OtherVersion NotRun "made by another version, and not compared";
    /// The bundle of the run before is not the one that this run continues.
    PredecessorDiffers Fail "run before is another than the one named";
    /// The bundle of the run before is not at hand.
    PredecessorUnseen Note "run before was not looked at";
    /// The bundle contradicts itself.
    BundleInconsistent Fail "bundle contradicts itself";
}

/// One typed discrepancy. Names things, never values of rows or secrets.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Finding {
    /// The asset's id, or none for the run as a whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asset: Option<String>,
    /// What kind of discrepancy.
    pub kind: FindingKind,
    /// Fail, not_run or note; follows from the kind.
    pub severity: Severity,
    /// The object key, table, sequence, file … it is about.
    pub subject: String,
    /// What was expected and what was found, in words.
    pub detail: String,
}

impl Finding {
    /// A finding about a part of an asset.
    pub fn of(asset: &str, kind: FindingKind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Finding { asset: Some(asset.to_owned()), ..Self::of_run(kind, subject, detail) }
    }

    /// A finding about the run or the bundle as a whole.
    pub fn of_run(kind: FindingKind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        let severity = kind.severity();
        Finding { asset: None, kind, severity, subject: subject.into(), detail: detail.into() }
    }
}

/// Takes findings in the order given.
pub trait FindingSink {
    /// Adds a finding.
    fn take(&mut self, finding: Finding);
}

impl FindingSink for Vec<Finding> {
    fn take(&mut self, finding: Finding) {
        self.push(finding);
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(asset) = &self.asset {
            write!(f, "{asset}: ")?;
        }
        write!(f, "{}: {}", self.kind.title(), printable(&self.subject))?;
        if !self.detail.is_empty() {
            write!(f, " ({})", printable(&self.detail))?;
        }
        Ok(())
    }
}

/// Names are untrusted: characters that control a terminal or change the direction of text are escaped.
pub fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if is_unprintable(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

fn is_unprintable(c: char) -> bool {
    c.is_control() || changes_text_direction(c) || matches!(c, '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2064}')
}

/// Marks that change the direction of text (Unicode UAX #9), line and paragraph separators, and the byte-order mark: with
/// them a text can look like another.
pub fn changes_text_direction(c: char) -> bool {
    let marks = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}', '\u{feff}'];
    marks.contains(&c) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}')
}

/// A waiver, reduced to what verdicts need.
pub trait Waives {
    /// The beginning of a waived finding; `*` stands for any characters.
    fn pattern(&self) -> &str;

    /// Whether it has expired.
    fn expired(&self) -> bool;

    /// Whether this finding is waived. Neither a verifier that misses damage nor a bundle that contradicts itself
    /// can be: then no finding means anything.
    fn waives(&self, finding: &Finding) -> bool {
        !self.expired() && finding.kind.can_be_waived() && self.fits(finding)
    }

    /// Whether the pattern matches the finding as printed in reports.
    fn fits(&self, finding: &Finding) -> bool {
        begins(finding, self.pattern())
    }
}

/// Whether a finding, as printed in reports, begins like this; `*` stands for any characters.
pub fn begins(finding: &Finding, pattern: &str) -> bool {
    glob::matches(&format!("{pattern}*"), &finding.to_string())
}

impl FindingKind {
    /// Whether it says that something that was compared differs, rather than that nothing was there to compare, that the
    /// comparison is worth nothing, or that something else than the comparison failed.
    pub fn is_difference(self) -> bool {
        use FindingKind::{CheckFailed, ExportContradicts, ExportIncomplete, NothingMatched, VerifierBlind};
        let others = [CheckFailed, ExportContradicts, ExportIncomplete, NothingMatched, VerifierBlind];
        self.severity() == Severity::Fail && !others.contains(&self)
    }

    /// Whether a waiver may accept a finding of this kind.
    pub fn can_be_waived(self) -> bool {
        use FindingKind::{
            BundleFileDiffers, BundleFileMissing, BundleFileUnexpected, BundleInconsistent, BundleMalformed,
            JournalBroken, OtherVersion, VerifierBlind, WaiverExpired, WaiverUnused,
        };
        !matches!(
            self,
            VerifierBlind
                | BundleFileDiffers
                | BundleFileMissing
                | BundleFileUnexpected
                | BundleMalformed
                | JournalBroken
                | BundleInconsistent
                | OtherVersion
                | WaiverUnused
                | WaiverExpired
        )
    }
}

/// The judgement of an asset or of the run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Verdict {
    /// Compared independently, and equal.
    #[serde(rename = "PASS")]
    Pass,
    /// Compared, and different somewhere.
    #[serde(rename = "FAIL")]
    Fail,
    /// Not compared, in whole or in part.
    #[serde(rename = "NOT RUN")]
    NotRun,
    /// Somebody answers, until a date, for everything that would have made it another verdict than PASS.
    #[serde(rename = "WAIVED")]
    Waived,
}

impl Verdict {
    /// The verdict in words. One about a sample is never without that word: the whole is not what passed.
    pub fn words(self, of_sample: bool) -> String {
        match (self, of_sample) {
            (Verdict::Pass, true) => "PASS OF A SAMPLE".to_owned(),
            (verdict, true) => format!("{verdict} (OF A SAMPLE)"),
            (verdict, false) => verdict.to_string(),
        }
    }

    /// The verdict that follows from a list of findings: the most severe decides.
    pub fn from_findings<'a>(findings: impl IntoIterator<Item = &'a Finding>) -> Self {
        Verdict::of_severity(findings.into_iter().map(|finding| finding.kind.severity()).max())
    }

    /// The verdict that follows when some findings are waived: never PASS if a waiver was needed for it.
    pub fn with_waivers<'a>(findings: impl IntoIterator<Item = &'a Finding>, waivers: &[impl Waives]) -> Self {
        let mut weight = Weight::default();
        findings.into_iter().for_each(|finding| weight.add(finding, waivers));
        weight.verdict()
    }

    fn of_severity(heaviest: Option<Severity>) -> Self {
        match heaviest {
            Some(Severity::Fail) => Verdict::Fail,
            Some(Severity::NotRun) => Verdict::NotRun,
            Some(Severity::Note) | None => Verdict::Pass,
        }
    }
}

/// The most severe of the findings so far, with waived ones counted separately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Weight {
    open: Option<Severity>,
    waived: Option<Severity>,
}

impl Weight {
    /// Adds a finding.
    pub fn add(&mut self, finding: &Finding, waivers: &[impl Waives]) {
        let waived = waivers.iter().any(|waiver| waiver.waives(finding));
        let heaviest = if waived { &mut self.waived } else { &mut self.open };
        *heaviest = (*heaviest).max(Some(finding.kind.severity()));
    }

    /// The verdict: never PASS if a waiver was needed for it.
    pub fn verdict(self) -> Verdict {
        match (Verdict::of_severity(self.open), Verdict::of_severity(self.waived)) {
            (Verdict::Pass, Verdict::Fail | Verdict::NotRun) => Verdict::Waived,
            (open, _) => open,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::NotRun => "NOT RUN",
            Verdict::Waived => "WAIVED",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_finding_decides() {
        let note = Finding::of("a", FindingKind::Deviation, "x", "");
        let not_run = Finding::of("a", FindingKind::ObjectUnreadable, "x", "");
        let fail = Finding::of("a", FindingKind::ObjectDigest, "x", "");
        assert_eq!(Verdict::from_findings([]), Verdict::Pass);
        assert_eq!(Verdict::from_findings([&note]), Verdict::Pass);
        assert_eq!(Verdict::from_findings([&note, &not_run]), Verdict::NotRun);
        assert_eq!(Verdict::from_findings([&fail, &not_run]), Verdict::Fail);
    }

    struct Waiver(&'static str, bool);

    impl Waives for Waiver {
        fn pattern(&self) -> &str {
            self.0
        }

        fn expired(&self) -> bool {
            self.1
        }
    }

    #[test]
    fn a_waiver_never_makes_a_pass() {
        let fail = Finding::of("a", FindingKind::ObjectDigest, "x", "");
        let of = |waivers: &[Waiver]| Verdict::with_waivers([&fail], waivers);
        assert_eq!(of(&[Waiver("a: object differs", false)]), Verdict::Waived);
        assert_eq!(of(&[Waiver("*differs in content: x", false)]), Verdict::Waived);
        assert_eq!(of(&[Waiver("a: object differs", true)]), Verdict::Fail);
        assert_eq!(of(&[Waiver("differs", false)]), Verdict::Fail);
        assert_eq!(Verdict::with_waivers([], &[Waiver("a", false)]), Verdict::Pass);
        let blind = Finding::of("a", FindingKind::VerifierBlind, "x", "");
        assert_eq!(Verdict::with_waivers([&blind], &[Waiver("a: ", false)]), Verdict::Fail);
    }

    #[test]
    fn a_control_character_in_a_name_does_not_reach_the_terminal() {
        let finding = Finding::of("a", FindingKind::ObjectDigest, "x\u{1b}[2Jy", "");
        assert_eq!(finding.to_string(), "a: object differs in content: x\\u{1b}[2Jy");
        assert_eq!(printable("fdp.\u{202e}exe\u{200b}ü"), "fdp.\\u{202e}exe\\u{200b}ü");
    }

    #[test]
    fn a_finding_has_no_member_that_is_not_known() {
        let json = r#"{"kind":"deviation","severity":"note","subject":"a","detail":"","x":1}"#;
        assert!(serde_json::from_str::<Finding>(json).is_err());
        assert!(serde_json::from_str::<Finding>(&json.replace(r#","x":1"#, "")).is_ok());
    }
}
