//! `findings.ndjson`: every finding of a kind that an asset has too many of for the result.
//!
//! A bucket can have as many findings as objects. Up to [`SHOWN_MAX`] of a kind are in `result.json`; of a kind that has
//! more, the first ones by name are there with the total number, and the file has every one, in the order in which
//! they were found. Memory is bounded by the kinds, not by the objects.

use std::{
    collections::{BTreeMap, BinaryHeap},
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use sha2::{Digest as _, Sha256};

use super::{
    chain::LINE_BYTES_MAX,
    contents::ASSETS,
    files::{EvidenceError, IoContext, LineEnd, PartFile, part_of, read_line},
    result::{AssetResult, FiledFindings, FiledKind, RunResult},
};
use crate::{
    domain::finding::{Finding, FindingKind, FindingSink},
    evidence::check::bag::Bag,
    words::thousands,
};

/// The file's name, in the directory of the asset's evidence.
pub const FINDINGS_NDJSON: &str = "findings.ndjson";
/// The most findings of one kind in the result.
pub const SHOWN_MAX: usize = 1_000;

/// The findings of one asset as they are collected.
pub struct FindingsList {
    path: PathBuf,
    shown_max: usize,
    kinds: BTreeMap<FindingKind, OfKind>,
    filed: Option<Filed>,
    /// The first write that failed; nothing is written after it.
    broken: Option<EvidenceError>,
}

/// The first findings of a kind by name, and the total number.
#[derive(Default)]
struct OfKind {
    first: BinaryHeap<Finding>,
    total: u64,
}

struct Filed {
    file: PartFile,
    sha256: Sha256,
}

impl FindingsList {
    /// An empty list. Its file is made in `directory` when a kind has more than `shown_max` findings.
    pub fn new(directory: &Path, shown_max: usize) -> Self {
        let path = directory.join(FINDINGS_NDJSON);
        FindingsList { path, shown_max, kinds: BTreeMap::new(), filed: None, broken: None }
    }

    /// How many there are so far.
    pub fn total(&self) -> u64 {
        self.kinds.values().map(|of_kind| of_kind.total).sum()
    }

    /// The result's part, sorted, and its entry about the file, if there is one.
    ///
    /// # Errors
    /// Any write that failed since the beginning.
    pub fn finish(self) -> Result<(Vec<Finding>, Option<FiledFindings>), EvidenceError> {
        let FindingsList { shown_max, kinds, filed, broken, .. } = self;
        if let Some(error) = broken {
            return Err(error);
        }
        let filed = filed.map(|filed| filed.finish(&kinds, shown_max)).transpose()?;
        // One asset's findings are sorted by kind first.
        let shown = kinds.into_values().flat_map(|of_kind| of_kind.first.into_sorted_vec());
        Ok((shown.collect(), filed))
    }

    fn file(&mut self, finding: &Finding) -> Result<(), EvidenceError> {
        let filed = match &mut self.filed {
            Some(filed) => filed,
            none => none.insert(Filed::create(&self.path)?),
        };
        filed.write(finding)
    }

    /// The findings of a kind that were kept until now go into the file as well, once.
    fn take_in(&mut self, finding: Finding) -> Result<(), EvidenceError> {
        let of_kind = self.kinds.entry(finding.kind).or_default();
        of_kind.total += 1;
        if of_kind.total <= self.shown_max as u64 {
            of_kind.first.push(finding);
            return Ok(());
        }
        let overflows_now = of_kind.total == self.shown_max as u64 + 1;
        let kept = if overflows_now { of_kind.first.clone().into_sorted_vec() } else { Vec::new() };
        if let Some(mut last) = of_kind.first.peek_mut().filter(|last| finding < **last) {
            *last = finding.clone();
        }
        kept.iter().chain([&finding]).try_for_each(|finding| self.file(finding))
    }
}

impl FindingSink for FindingsList {
    /// A failed write is reported by [`FindingsList::finish`].
    fn take(&mut self, finding: Finding) {
        if self.broken.is_none() {
            self.broken = self.take_in(finding).err();
        }
    }
}

impl Filed {
    fn create(path: &Path) -> Result<Self, EvidenceError> {
        Ok(Filed { file: PartFile::create(path)?, sha256: Sha256::new() })
    }

    fn write(&mut self, finding: &Finding) -> Result<(), EvidenceError> {
        let mut line =
            serde_json::to_vec(finding).map_err(io::Error::from).when("write", Path::new(FINDINGS_NDJSON))?;
        line.push(b'\n');
        self.sha256.update(&line);
        self.file.write(&line)
    }

    fn finish(self, kinds: &BTreeMap<FindingKind, OfKind>, shown_max: usize) -> Result<FiledFindings, EvidenceError> {
        self.file.finish()?;
        let beyond = kinds.iter().filter(|(_, of_kind)| of_kind.total > shown_max as u64);
        let count = |(kind, of_kind): (&FindingKind, &OfKind)| FiledKind {
            kind: *kind,
            severity: kind.severity(),
            total: of_kind.total,
            shown: of_kind.first.len() as u64,
        };
        let kinds = beyond.map(count).collect();
        Ok(FiledFindings { file: FINDINGS_NDJSON.to_owned(), sha256: self.sha256.into(), kinds })
    }
}

/// Removes what a failed attempt left in the directory of an asset's evidence.
pub(crate) fn discard(directory: &Path) -> Result<(), EvidenceError> {
    let path = directory.join(FINDINGS_NDJSON);
    for path in [part_of(&path), path] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error).when("remove", &path),
            _ => {}
        }
    }
    Ok(())
}

impl AssetResult {
    /// One finding for each kind with more findings in the asset's file than in its result, with their number.
    pub fn findings_beyond(&self) -> Vec<Finding> {
        let filed = self.filed.iter().flat_map(|filed| filed.kinds.iter().map(move |kind| (kind, &filed.file)));
        let told = |(kind, file): (&FiledKind, &String)| {
            let about = format!("and {} more", thousands(kind.beyond()));
            let detail = format!("all {} stand in data/assets/{}/{file}", thousands(kind.total), self.id);
            Finding::of(&self.id, kind.kind, about, detail)
        };
        filed.map(told).collect()
    }
}

/// Passes on every finding of a file, one after the other.
pub(crate) fn each_filed(reader: &mut impl BufRead, mut take: impl FnMut(Finding)) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        match read_line(reader, &mut line, LINE_BYTES_MAX)? {
            LineEnd::Nothing => return Ok(()),
            LineEnd::Newline => take(serde_json::from_slice(&line)?),
            LineEnd::EndOfFile | LineEnd::TooLong => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Every finding of the run, including those in files.
pub(crate) fn each_finding(bag: &Bag, result: &RunResult, take: impl FnMut(&Finding)) -> io::Result<()> {
    let open = |asset: &AssetResult| bag.open(&format!("{ASSETS}/{}/{FINDINGS_NDJSON}", asset.id));
    each(&result.findings, &result.assets, open, take)
}

/// Passes on every finding of the run and of its assets once, including those in files. `open` opens an asset's file.
pub(crate) fn each(
    of_run: &[Finding],
    assets: &[AssetResult],
    open: impl Fn(&AssetResult) -> io::Result<File>,
    mut take: impl FnMut(&Finding),
) -> io::Result<()> {
    of_run.iter().for_each(&mut take);
    for asset in assets {
        let is_filed = |finding: &&Finding| asset.filed.iter().any(|filed| filed.of_kind(finding.kind).is_some());
        asset.findings.iter().filter(|finding| !is_filed(finding)).for_each(&mut take);
        if asset.filed.is_some() {
            each_filed(&mut BufReader::new(open(asset)?), |finding| take(&finding))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::digest::Sha256Digest;

    fn finding(kind: FindingKind, number: usize) -> Finding {
        Finding::of("a", kind, format!("key-{number:04}"), "denied")
    }

    fn filed_lines(dir: &Path) -> Vec<Finding> {
        let mut lines = Vec::new();
        let file = File::open(dir.join(FINDINGS_NDJSON)).expect("opened");
        each_filed(&mut BufReader::new(file), |finding| lines.push(finding)).expect("read");
        lines
    }

    #[test]
    fn up_to_the_cap_nothing_is_filed() {
        let dir = tempfile::tempdir().expect("directory");
        let mut list = FindingsList::new(dir.path(), 3);
        (0..3).rev().for_each(|number| list.take(finding(FindingKind::ObjectArchived, number)));
        let (shown, filed) = list.finish().expect("finished");
        assert_eq!((shown.len(), filed), (3, None));
        assert_eq!(shown[0].subject, "key-0000");
        assert!(!dir.path().join(FINDINGS_NDJSON).exists());
    }

    #[test]
    fn a_write_that_fails_is_not_lost() {
        let dir = tempfile::tempdir().expect("directory");
        let mut list = FindingsList::new(&dir.path().join("gone"), 1);
        (0..3).for_each(|number| list.take(finding(FindingKind::ObjectArchived, number)));
        assert!(matches!(list.finish(), Err(EvidenceError::Io { action: "create", .. })));
    }

    #[test]
    fn what_another_attempt_left_is_removed() {
        let dir = tempfile::tempdir().expect("directory");
        discard(dir.path()).expect("nothing is there");
        for name in [FINDINGS_NDJSON.to_owned(), format!("{FINDINGS_NDJSON}.part")] {
            fs::write(dir.path().join(name), "{}").expect("written");
        }
        discard(dir.path()).expect("removed");
        assert_eq!(fs::read_dir(dir.path()).expect("directory").count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// In any order, the first ones are shown and all are filed.
        #[test]
        fn nothing_is_lost(numbers in proptest::collection::vec(0usize..50, 0..60), cap in 1usize..20) {
            let dir = tempfile::tempdir().expect("directory");
            let mut list = FindingsList::new(dir.path(), cap);
            numbers.iter().for_each(|number| list.take(finding(FindingKind::ObjectUnreadable, *number)));
            list.take(finding(FindingKind::ObjectArchived, 0));
            let mut all: Vec<_> = numbers.iter().map(|number| finding(FindingKind::ObjectUnreadable, *number)).collect();
            all.sort();
            let (shown, filed) = list.finish().expect("finished");
            let first: Vec<_> = all.iter().take(cap).chain([&finding(FindingKind::ObjectArchived, 0)]).cloned().collect();
            prop_assert_eq!(shown, first);
            prop_assert_eq!(filed.is_some(), numbers.len() > cap);
            let Some(filed) = filed else { return Ok(()) };
            let kind = FiledKind {
                kind: FindingKind::ObjectUnreadable,
                severity: FindingKind::ObjectUnreadable.severity(),
                total: numbers.len() as u64,
                shown: cap as u64,
            };
            prop_assert_eq!(filed.kinds, vec![kind]);
            prop_assert_eq!(filed.sha256, Sha256Digest::of(fs::read(dir.path().join(FINDINGS_NDJSON)).expect("read")));
            let mut lines = filed_lines(dir.path());
            lines.sort();
            prop_assert_eq!(lines, all);
        }
    }
}
