//! The outcome for everything, in resources and bytes: counted from the rows of the account and the assets, so that the
//! headline, the list, the share and the bar agree. What a sample or a part leaves out is not tested, and counts as such.

use crate::{
    account::coverage::{Row, Status},
    domain::finding::{FindingKind, Verdict},
    evidence::result::{AssetResult, RunResult},
    words::{count, percent, size},
};

/// The outcome for a resource, or for bytes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// All of it was compared, and agrees.
    Equal,
    /// The part of it that was compared, which agrees.
    Part,
    /// It was compared, and something differs.
    Differs,
    /// Left out by the playbook.
    Excluded,
    /// Not compared, or the rest of what was compared in part.
    Untested,
    /// It could not be read.
    Unreadable,
}

impl Fate {
    pub(super) const ALL: [Fate; 6] =
        [Fate::Equal, Fate::Part, Fate::Differs, Fate::Excluded, Fate::Untested, Fate::Unreadable];

    pub(super) fn word(self) -> &'static str {
        match self {
            Fate::Equal => "TESTED, EQUAL",
            Fate::Part => "PART OF IT TESTED, EQUAL",
            Fate::Differs => "TESTED, DIFFERS",
            Fate::Excluded => "EXCLUDED",
            Fate::Untested => "NOT TESTED",
            Fate::Unreadable => "UNREADABLE",
        }
    }

    pub(super) fn class(self) -> &'static str {
        match self {
            Fate::Equal => "c-tested",
            Fate::Part => "c-part",
            Fate::Differs => "c-differs",
            Fate::Excluded => "c-excluded",
            Fate::Untested => "c-untested",
            Fate::Unreadable => "c-unreadable",
        }
    }
}

/// Resources and bytes with one outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Amount {
    pub things: u64,
    /// Resources with another outcome of which some bytes are here: the rest of what was tested in part.
    pub rests: u64,
    /// Known bytes.
    pub bytes: u64,
    /// Things or rests of which no size is known.
    pub unknown: u64,
}

impl Amount {
    fn add(&mut self, bytes: Option<u64>) {
        self.bytes = self.bytes.saturating_add(bytes.unwrap_or_default());
        self.unknown += u64::from(bytes.is_none());
    }
}

/// The sums.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Scope {
    amounts: [Amount; 6],
    /// Resources that are tested in part.
    pub partly: u64,
}

impl Scope {
    /// Counts the account and the assets; none where the account was not inspected.
    pub(super) fn of(result: &RunResult, account: &[Row]) -> Option<Self> {
        let totals = &result.coverage.as_ref()?.totals;
        let mut scope = Scope::default();
        if account.is_empty() {
            // Without the rows there are only sums; they have the rest of what was tested in part among the untested.
            for status in Status::ALL {
                let amount = totals.amount(status);
                let fate = fate_of(status);
                let part = scope.amount_mut(fate);
                (part.things, part.bytes) = (amount.assets, amount.bytes);
            }
            scope.partly = totals.partly_tested.assets;
            let untested = scope.amount_mut(Fate::Untested);
            (untested.rests, untested.unknown) = (totals.partly_tested.assets, totals.of_unknown_size);
            if totals.untested.assets + totals.partly_tested.assets == 0 {
                (untested.rests, untested.unknown) = (0, 0);
                scope.amount_mut(Fate::Unreadable).unknown = totals.of_unknown_size;
            }
        }
        for row in account {
            scope.count(row, &result.assets);
        }
        for _ in unplaced(result, account) {
            let untested = scope.amount_mut(Fate::Untested);
            untested.things += 1;
            untested.add(None);
        }
        Some(scope)
    }

    fn count(&mut self, row: &Row, assets: &[AssetResult]) {
        let fate = fate_in(row, assets);
        let is_part = row.status == Status::PartlyTested && fate != Fate::Untested;
        let amount = self.amount_mut(fate);
        amount.things += 1;
        amount.add(if is_part { Some(row.tested_bytes) } else { row.bytes });
        if is_part {
            self.partly += 1;
            let untested = self.amount_mut(Fate::Untested);
            untested.rests += 1;
            untested.add(row.bytes.map(|bytes| bytes.saturating_sub(row.tested_bytes)));
        }
    }

    pub(super) fn amount(&self, fate: Fate) -> Amount {
        self.amounts[fate as usize]
    }

    fn amount_mut(&mut self, fate: Fate) -> &mut Amount {
        &mut self.amounts[fate as usize]
    }

    fn sum(&self, fates: &[Fate], number: impl Fn(Amount) -> u64) -> u64 {
        fates.iter().fold(0, |sum, fate| sum.saturating_add(number(self.amount(*fate))))
    }

    /// Things that are not excluded.
    pub(super) fn things(&self) -> u64 {
        self.sum(&Fate::ALL, |amount| amount.things) - self.amount(Fate::Excluded).things
    }

    /// Things of which something was not tested.
    pub(super) fn open(&self) -> u64 {
        self.sum(&[Fate::Untested, Fate::Unreadable], |amount| amount.things) + self.partly
    }

    /// Known bytes that were not tested.
    pub(super) fn open_bytes(&self) -> u64 {
        self.sum(&[Fate::Untested, Fate::Unreadable], |amount| amount.bytes)
    }

    /// Known bytes that were compared, equal or not.
    pub(super) fn tested_bytes(&self) -> u64 {
        self.sum(&[Fate::Equal, Fate::Part, Fate::Differs], |amount| amount.bytes)
    }

    /// Things, or rests of them, that are not excluded and of which no size is known.
    pub(super) fn unknown(&self) -> u64 {
        self.sum(&Fate::ALL, |amount| amount.unknown) - self.amount(Fate::Excluded).unknown
    }

    /// How much was not tested.
    pub(super) fn open_size(&self) -> String {
        match (self.open_bytes(), self.unknown()) {
            (bytes, 0) => size(bytes),
            (0, _) => "sizes unknown".to_owned(),
            (bytes, _) => format!("at least {}", size(bytes)),
        }
    }

    /// Share of the known bytes outside of exclusions that was compared.
    pub(super) fn tested_share(&self) -> String {
        percent(self.tested_bytes(), self.tested_bytes().saturating_add(self.open_bytes()))
    }

    /// One outcome as text, with its share of the known bytes.
    pub(super) fn words(&self, fate: Fate) -> String {
        let amount = self.amount(fate);
        let bytes = match (amount.bytes, amount.unknown) {
            (0, 1..) => "size unknown".to_owned(),
            (bytes, _) => format!("{} ({})", size(bytes), percent(bytes, self.sum(&Fate::ALL, |part| part.bytes))),
        };
        let rests = count(amount.rests, "rest", "rests");
        let things = match (amount.things, amount.rests) {
            (things, 0) => count(things, "thing", "things"),
            (0, _) => format!("{rests} of what was tested in part"),
            (things, _) => format!("{} and {rests}", count(things, "thing", "things")),
        };
        format!("{} {bytes}, {things}", fate.word())
    }

    /// Whether there is anything of it.
    pub(super) fn has(&self, fate: Fate) -> bool {
        let amount = self.amount(fate);
        amount.things > 0 || amount.rests > 0
    }
}

fn fate_of(status: Status) -> Fate {
    match status {
        Status::Tested => Fate::Equal,
        Status::PartlyTested => Fate::Part,
        Status::Excluded => Fate::Excluded,
        Status::Untested => Fate::Untested,
        Status::Unreadable => Fate::Unreadable,
    }
}

/// What the assets say of a thing that the account has as tested. Where nothing matched, or the verifier is blind, and no other
/// asset was compared, it is not tested.
fn fate_in(row: &Row, assets: &[AssetResult]) -> Fate {
    let told = fate_of(row.status);
    if !matches!(told, Fate::Equal | Fate::Part) {
        return told;
    }
    let own: Vec<&AssetResult> = assets.iter().filter(|asset| row.assets.contains(&asset.id)).collect();
    if own.iter().any(|asset| asset.verdict != Verdict::Pass && asset.differs()) {
        return Fate::Differs;
    }
    let worthless = [FindingKind::NothingMatched, FindingKind::VerifierBlind];
    let shows = |asset: &&AssetResult| !asset.findings.iter().any(|finding| worthless.contains(&finding.kind));
    if own.is_empty() || own.iter().any(shows) { told } else { Fate::Untested }
}

/// Assets that could not be compared and are not in the account, as far as it was inspected: a database on a
/// separate server.
pub(super) fn unplaced<'a>(result: &'a RunResult, account: &[Row]) -> Vec<&'a AssetResult> {
    let is_placed = |asset: &AssetResult| account.iter().any(|row| row.assets.contains(&asset.id));
    let not_run = result.assets.iter().filter(|asset| asset.verdict == Verdict::NotRun);
    not_run.filter(|asset| !is_placed(asset)).collect()
}
