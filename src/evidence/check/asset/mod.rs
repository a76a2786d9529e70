//! Whether the result's statements about one asset follow from its findings, its checks, its files and the journal.

mod filed;
mod receipts;
mod tables_v1;
mod units;

use std::{
    collections::BTreeMap,
    io::{self, BufReader},
    path::Path,
};

use units::Units;

use crate::{
    domain::{
        digest::{RowTotals, Sha256Digest},
        event::{AssetKind, FILES_SUFFIX},
        finding::{Finding, FindingKind, Severity, Verdict},
        proof::Tier,
    },
    evidence::{
        chain::LINE_BYTES_MAX,
        changes::{self, CHANGES_NDJSON},
        check::bag::Bag,
        contents::{ASSETS, JOURNAL, RESULT, inconsistent},
        exports::{EXPORTS_CSV, ExportLine, parse_exports},
        files::{LineEnd, read_line, sha256sum_line},
        merge::read_receipt,
        objects::{BUCKET_JSON, OBJECTS_NDJSON, OBJECTS_SHA256, ObjectTotals, ObjectsEvidence},
        replay::{AssetReplay, Replay},
        restored::RESTORED_CSV,
        result::{AssetResult, ObjectsResult},
        statement::copies_out,
        tables::{EXPORTS_SHA256, Lists, TABLES_CSV, exports_sha256, parse_tables, totals},
    },
    transfer::bucket::BucketConfiguration,
};

/// The comparison of one asset's entry with everything else.
pub(crate) struct AssetCheck<'a> {
    /// The bundle.
    pub bag: &'a Bag,
    /// The entry.
    pub asset: &'a AssetResult,
    /// The version of its result.
    pub version: u32,
    /// The replayed journal.
    pub replay: &'a Replay<'a>,
}

impl AssetCheck<'_> {
    /// Everything that contradicts the entry.
    pub(crate) fn run(&self) -> Vec<Finding> {
        let mut findings = self.verdict();
        findings.extend(self.support());
        findings.extend(self.controls());
        findings.extend(self.planted());
        findings.extend(self.journal());
        findings.extend(self.filed());
        findings.extend(match self.asset.kind {
            AssetKind::S3 => self.objects(),
            AssetKind::Postgres => self.tables(),
        });
        findings.extend(self.export());
        for finding in &mut findings {
            finding.asset = Some(self.asset.id.clone());
        }
        findings
    }

    /// Whether more than one executable worked on the run: what an earlier one finished has that one's format.
    fn by_several_builds(&self) -> bool {
        self.replay.binaries.len() > 1
    }

    /// A file that is missing, or can't be read. Where an earlier build may have done the work, that is reported and
    /// is not a contradiction; but the bundle is not confirmed.
    fn lacks(&self, name: &str, error: &io::Error) -> Finding {
        if error.kind() == io::ErrorKind::NotFound && self.by_several_builds() {
            earlier(name)
        } else {
            unreadable(name, error)
        }
    }

    fn file(&self, name: &str) -> String {
        format!("{ASSETS}/{}/{name}", self.asset.id)
    }

    fn passed(&self) -> bool {
        self.asset.verdict == Verdict::Pass
    }

    fn has(&self, kind: FindingKind) -> bool {
        self.asset.findings.iter().any(|finding| finding.kind == kind)
    }

    fn verdict(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        let verdict = Verdict::from_findings(&self.asset.findings);
        if verdict != self.asset.verdict {
            let detail = format!("verdict is {}, its findings leave {verdict}", self.asset.verdict);
            findings.push(inconsistent(RESULT, detail));
        }
        let foreign = |finding: &&Finding| finding.asset.as_deref() != Some(&self.asset.id);
        for finding in self.asset.findings.iter().filter(foreign) {
            findings.push(inconsistent(RESULT, format!("finding of something else stands with it: {finding}")));
        }
        findings
    }

    /// A PASS rests on checks that covered everything.
    fn support(&self) -> Vec<Finding> {
        if !self.passed() {
            return vec![];
        }
        let mut findings = self.compare_checks();
        if self.asset.checks.is_empty() {
            findings.push(inconsistent(RESULT, "verdict is PASS, and nothing was compared"));
        }
        if self.asset.controls.is_empty() {
            findings.push(inconsistent(RESULT, "verdict is PASS, and the verifier was not proven"));
        }
        for check in self.asset.checks.iter().filter(|c| c.compared != c.expected || c.equal != c.expected) {
            let name = &check.name;
            let expected = check.expected;
            let compared = check.compared;
            let equal = check.equal;
            let detail = format!("verdict is PASS, {name}: {expected} expected, {compared} compared, {equal} equal");
            findings.push(inconsistent(RESULT, detail));
        }
        findings
    }

    fn controls(&self) -> Option<Finding> {
        let blind = self.asset.controls.iter().any(|control| !control.found);
        let differs = blind && !self.has(FindingKind::VerifierBlind);
        differs.then(|| inconsistent(RESULT, "a control was missed, and no finding says so"))
    }

    fn journal(&self) -> Vec<Finding> {
        match self.replay.assets.get(self.asset.id.as_str()) {
            Some(replay) if replay.kind.is_some() => self.compare_journal(replay),
            _ if self.has(FindingKind::AssetStopped) => vec![],
            _ => vec![inconsistent(JOURNAL, "work on the asset never began")],
        }
    }

    fn compare_journal(&self, replay: &AssetReplay<'_>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if replay.kind != Some(self.asset.kind) {
            findings.push(inconsistent(JOURNAL, "the asset is of another kind than in the result"));
        }
        let stopped = replay.done.is_none() && self.has(FindingKind::AssetStopped);
        if replay.done != Some(self.asset.verdict) && !stopped {
            let done = replay.done.map_or("no verdict".to_owned(), |verdict| verdict.to_string());
            let detail = format!("ends the asset with {done}, {RESULT} has {}", self.asset.verdict);
            findings.push(inconsistent(JOURNAL, detail));
        }
        for lost in replay.found.iter().filter(|finding| !self.asset.findings.contains(finding)) {
            findings.push(inconsistent(RESULT, format!("lacks a finding of the journal: {lost}")));
        }
        if let Some(files) = self.replay.assets.get(format!("{}{FILES_SUFFIX}", self.asset.id).as_str()) {
            findings.extend(self.lacks_of_files(files.found.iter().copied()));
        }
        let ran = |damage: &str, found| replay.controls.contains(&(damage, found));
        for control in self.asset.controls.iter().filter(|control| !ran(&control.damage, control.found)) {
            findings.push(inconsistent(JOURNAL, format!("lacks the control {:?}", control.damage)));
        }
        if self.asset.kind == AssetKind::S3 || !stopped {
            findings.extend(self.compare_totals(JOURNAL, replay.totals()));
        }
        findings
    }

    fn compare_totals(&self, name: &str, (items, bytes): (u64, u64)) -> Option<Finding> {
        let own_items = self.asset.items;
        let own_bytes = self.asset.bytes;
        let detail = || format!("amounts to {items} items and {bytes} bytes, {RESULT} has {own_items} and {own_bytes}");
        ((items, bytes) != (own_items, own_bytes)).then(|| inconsistent(name, detail()))
    }

    fn compare_content(&self, name: &str, digest: Sha256Digest) -> Option<Finding> {
        let detail = || format!("content digest is {digest}, {RESULT} has {}", self.asset.content_sha256);
        (digest != self.asset.content_sha256).then(|| inconsistent(name, detail()))
    }

    /// Only an asset that stopped early may lack its files.
    fn excused(&self) -> bool {
        self.has(FindingKind::AssetStopped)
            && [OBJECTS_NDJSON, OBJECTS_SHA256, TABLES_CSV, EXPORTS_CSV, EXPORTS_SHA256]
                .iter()
                .all(|name| !self.bag.files.contains_key(&self.file(name)))
    }

    fn objects(&self) -> Vec<Finding> {
        if self.excused() {
            return vec![];
        }
        let name = self.file(OBJECTS_NDJSON);
        let (evidence, units) = match self.read_objects() {
            Ok(read) => read,
            Err(finding) => return vec![finding],
        };
        let mut findings = Vec::new();
        findings.extend(self.compare_totals(&name, (evidence.objects, evidence.bytes)));
        findings.extend(self.compare_content(&name, evidence.content_sha256));
        let mapped = units.mapped;
        findings.extend(self.compare_units(&name, units));
        let Some(summary) = &self.asset.objects else {
            findings.push(inconsistent(RESULT, "a bucket without its numbers"));
            return findings;
        };
        let confirmed = (evidence.provider_confirmed, evidence.provider_unconfirmed);
        if confirmed != (summary.provider_confirmed, summary.provider_unconfirmed) {
            findings.push(inconsistent(&name, format!("differs from {RESULT} in what the provider confirmed")));
        }
        findings.extend(self.compare_numbers(&name, &evidence, summary));
        if mapped != summary.mapped {
            findings.push(inconsistent(&name, format!("differs from {RESULT} in the number of mapped objects")));
        }
        if self.passed() && summary.listed != self.asset.items {
            let detail = format!("verdict is PASS, {} listed and {} carried", summary.listed, self.asset.items);
            findings.push(inconsistent(RESULT, detail));
        }
        findings
    }

    /// The summary of properties, configuration, changes and sample follows from the files.
    fn compare_numbers(&self, name: &str, evidence: &ObjectsEvidence, summary: &ObjectsResult) -> Vec<Finding> {
        let mut findings = Vec::new();
        if (evidence.classes, evidence.delete_markers) != (summary.classes, summary.delete_markers) {
            findings.push(inconsistent(name, format!("differs from {RESULT} in classes or delete markers")));
        }
        if !self.has(FindingKind::AssetStopped) {
            findings.extend(self.compare_bucket(summary));
            findings.extend(self.compare_changes(summary));
        }
        let sampled = summary.sample.as_ref().map(|sample| sample.totals()[1]);
        if sampled.is_some_and(|taken| taken.0 != summary.listed) {
            findings.push(inconsistent(RESULT, "the sample's strata and the number of objects disagree"));
        }
        let tier = if sampled.is_some() { Tier::Sample } else { Tier::Full };
        if tier != self.asset.tier {
            findings.push(inconsistent(RESULT, "the asset's tier contradicts its sample"));
        }
        findings
    }

    /// Results of version 1 had no configuration.
    fn compare_bucket(&self, summary: &ObjectsResult) -> Option<Finding> {
        if self.version == 1 {
            return None;
        }
        let name = self.file(BUCKET_JSON);
        let read = self.bag.read(&name).and_then(|bytes| Ok(serde_json::from_slice::<BucketConfiguration>(&bytes)?));
        match read {
            Ok(configuration) if configuration.classes() == summary.bucket_classes => None,
            Ok(_) => Some(inconsistent(name, format!("differs from {RESULT} in classes"))),
            Err(error) => Some(self.lacks(&name, &error)),
        }
    }

    /// Runs of version 1 listed once.
    fn compare_changes(&self, summary: &ObjectsResult) -> Option<Finding> {
        if self.version == 1 {
            return None;
        }
        let name = self.file(CHANGES_NDJSON);
        let read = self.bag.open(&name).and_then(|file| changes::count(&mut BufReader::new(file)));
        match read {
            Ok(count) if count == summary.changes => None,
            Ok(_) => Some(inconsistent(name, format!("differs from {RESULT} in number"))),
            Err(error) => Some(self.lacks(&name, &error)),
        }
    }

    /// Sums the receipts while comparing each with its line of `objects.sha256`.
    fn read_objects(&self) -> Result<(ObjectsEvidence, Units), Finding> {
        let ndjson = self.file(OBJECTS_NDJSON);
        let sums = self.file(OBJECTS_SHA256);
        let at = |name: &str, line: u64, detail: String| inconsistent(format!("{name} line {line}"), detail);
        let open = |name: &str| self.bag.open(name).map(BufReader::new).map_err(|error| unreadable(name, &error));
        let mut receipts = open(&ndjson)?;
        let mut sum_lines = open(&sums)?;
        let mut totals = ObjectTotals::default();
        let mut units = Units::default();
        let mut number = 1;
        let mut line = Vec::new();
        let unfit = |name: &str, number: u64, error: &dyn std::fmt::Display| at(name, number, error.to_string());
        while let Some(receipt) =
            read_receipt(&mut receipts, Path::new(&ndjson)).map_err(|error| unfit(&ndjson, number, &error))?
        {
            totals.add(&receipt).map_err(|error| unfit(&ndjson, number, &error))?;
            units.add(&receipt);
            if self.asset.pseudonyms().is_some() && receipt.key.parse::<Sha256Digest>().is_err() {
                return Err(at(&ndjson, number, "names a key, which should go by a pseudonym".to_owned()));
            }
            if receipt.is_marker() {
                continue;
            }
            let expected =
                sha256sum_line(receipt.sha256, &receipt.path).map_err(|error| unfit(&ndjson, number, &error))?;
            let end =
                read_line(&mut sum_lines, &mut line, LINE_BYTES_MAX).map_err(|error| unreadable(&sums, &error))?;
            if end != LineEnd::Newline || expected.as_bytes().strip_suffix(b"\n") != Some(&line) {
                return Err(at(&sums, number, format!("differs from the receipt in {ndjson}")));
            }
            number += 1;
        }
        match read_line(&mut sum_lines, &mut line, LINE_BYTES_MAX) {
            Ok(LineEnd::Nothing) => Ok((totals.finish(), units)),
            _ => Err(at(&sums, number, format!("has no receipt in {ndjson}"))),
        }
    }

    /// A database that was read from an export is only as good as the files, and never proven.
    fn export(&self) -> Vec<Finding> {
        let Some(export) = self.asset.export() else { return vec![] };
        let files = &*export.files;
        let mut findings = Vec::new();
        if files.id != format!("{}{FILES_SUFFIX}", self.asset.id) || files.kind != AssetKind::S3 {
            findings.push(inconsistent(RESULT, "the files of the export are not the asset's"));
        }
        findings.extend(AssetCheck { asset: files, ..*self }.run());
        let beyond = files.findings_beyond();
        findings.extend(self.lacks_of_files(files.findings.iter().chain(&beyond)));
        if self.passed() {
            findings.push(inconsistent(RESULT, "verdict is PASS, and an export is data only"));
        }
        findings
    }

    /// Findings about the files of an export are among the findings of the asset.
    fn lacks_of_files<'a>(&self, of_files: impl IntoIterator<Item = &'a Finding>) -> Vec<Finding> {
        let same = |one: &Finding, other: &Finding| {
            (one.kind, &one.subject, &one.detail) == (other.kind, &other.subject, &other.detail)
        };
        let heavy = of_files.into_iter().filter(|finding| finding.severity != Severity::Note);
        let lost = heavy.filter(|finding| !self.asset.findings.iter().any(|own| same(own, finding)));
        lost.map(|lost| inconsistent(RESULT, format!("lacks a finding of its files: {lost}"))).collect()
    }

    fn tables(&self) -> Vec<Finding> {
        if self.excused() {
            return vec![];
        }
        if self.version == 1 {
            return self.tables_v1();
        }
        if self.by_several_builds() && !self.bag.files.contains_key(&self.file(EXPORTS_CSV)) {
            return [self.tables_v1(), vec![earlier(self.file(EXPORTS_CSV))]].concat();
        }
        let lists = match self.read_lists() {
            Ok(lists) => lists,
            Err(finding) => return vec![finding],
        };
        let name = self.file(TABLES_CSV);
        let evidence = totals(&lists);
        let mut findings = Vec::new();
        findings.extend(self.compare_totals(&name, (evidence.rows, evidence.bytes)));
        findings.extend(self.compare_content(&self.file(EXPORTS_CSV), evidence.content_sha256));
        findings.extend(self.compare_sums(&lists.exports));
        findings.extend(self.compare_parts(&lists));
        findings.extend(self.compare_table_receipts(&lists));
        match &self.asset.database {
            Some(database) if database.tables != evidence.tables => {
                let detail = format!("{} tables, {RESULT} has {}", evidence.tables, database.tables);
                findings.push(inconsistent(&name, detail));
            }
            Some(database) if lists.tables.iter().any(|line| line.row_key != database.row_key.0) => {
                findings.push(inconsistent(&name, format!("another row key than in {RESULT}")));
            }
            Some(_) => {}
            None => findings.push(inconsistent(RESULT, "a database without its numbers")),
        }
        findings.extend(self.restored());
        findings.extend(self.statements(lists.tables.iter().map(|line| (&*line.table, &*line.copy_sql))));
        for line in lists.tables.iter().filter(|line| self.passed() && line.rows != line.source_count) {
            let detail = format!("verdict is PASS, {} has {} rows of {}", line.table, line.rows, line.source_count);
            findings.push(inconsistent(&name, detail));
        }
        findings
    }

    /// An auditor passes the statements of the list to psql: each copies its own table and does nothing else.
    fn statements<'a>(&self, lines: impl Iterator<Item = (&'a str, &'a str)>) -> Vec<Finding> {
        let name = self.file(TABLES_CSV);
        let foreign = lines.filter(|(table, statement)| !copies_out(table, statement));
        let detail = |(table, _)| {
            format!("copy_sql of {table} is not the copy of that table by its quoted names; do not run it")
        };
        foreign.map(|line| inconsistent(&name, detail(line))).collect()
    }

    /// What was restored beside the rows is listed as in the result. Earlier results have no list.
    fn restored(&self) -> Option<Finding> {
        let expected = self.asset.database.as_ref()?.restored_sha256?;
        let name = self.file(RESTORED_CSV);
        match self.bag.open(&name).and_then(Sha256Digest::of_reader) {
            Ok(found) if found == expected => None,
            Ok(found) => Some(inconsistent(&name, format!("SHA-256 is {found}, {RESULT} has {expected}"))),
            Err(error) => Some(unreadable(&name, &error)),
        }
    }

    fn read_lists(&self) -> Result<Lists, Finding> {
        let tables = self.read_list(TABLES_CSV, parse_tables)?;
        let exports = self.read_list(EXPORTS_CSV, parse_exports)?;
        Ok(Lists { tables, exports })
    }

    fn read_list<T>(&self, file: &str, parse: fn(&str) -> Option<T>) -> Result<T, Finding> {
        let name = self.file(file);
        let bytes = self.bag.read(&name).map_err(|error| unreadable(&name, &error))?;
        let list = String::from_utf8(bytes).ok().and_then(|text| parse(&text));
        list.ok_or_else(|| Finding::of_run(FindingKind::BundleMalformed, name, "is no list of tables"))
    }

    /// The ranges of a table follow each other, and their totals are the table's.
    fn compare_parts(&self, lists: &Lists) -> Vec<Finding> {
        let name = self.file(EXPORTS_CSV);
        let mut by_table: BTreeMap<&str, Vec<&ExportLine>> = BTreeMap::new();
        for export in &lists.exports {
            by_table.entry(&export.table).or_default().push(export);
        }
        let mut findings = Vec::new();
        for line in &lists.tables {
            let parts = by_table.remove(line.table.as_str()).unwrap_or_default();
            let sum = parts.iter().fold(RowTotals::NONE, |sum, part| sum.and(part.receipt.totals));
            if parts.len() as u64 != line.exports || !are_whole(&parts) || sum != line.totals() {
                let detail = format!("the parts of {} are not what {TABLES_CSV} has", line.table);
                findings.push(inconsistent(&name, detail));
            }
        }
        if let Some(stray) = by_table.keys().next() {
            findings.push(inconsistent(&name, format!("{stray} stands in no line of {TABLES_CSV}")));
        }
        findings
    }

    fn compare_sums(&self, exports: &[ExportLine]) -> Option<Finding> {
        let name = self.file(EXPORTS_SHA256);
        let expected = match exports_sha256(exports) {
            Ok(expected) => expected,
            Err(error) => return Some(inconsistent(self.file(EXPORTS_CSV), error.to_string())),
        };
        match self.bag.read(&name) {
            Ok(found) if found == expected.as_bytes() => None,
            Ok(_) => Some(inconsistent(name, format!("differs from {}", self.file(EXPORTS_CSV)))),
            Err(error) => Some(unreadable(&name, &error)),
        }
    }
}

/// Numbered from one, each range starting where the previous one ends, open at both ends of the table.
fn are_whole(parts: &[&ExportLine]) -> bool {
    let meet = |pair: &[&ExportLine]| pair[0].receipt.to_block == pair[1].receipt.from_block;
    (1..).zip(parts).all(|(number, part)| part.part == number)
        && parts.windows(2).all(|pair| meet(pair) && pair[0].receipt.to_block.is_some())
        && parts.first().is_some_and(|part| part.receipt.from_block.is_none())
        && parts.last().is_some_and(|part| part.receipt.to_block.is_none())
}

/// What the build that copied an asset did not record yet.
fn earlier(name: impl Into<String>) -> Finding {
    let detail = "the build of walkaway that carried this asset wrote less down than the one that sealed the run";
    Finding::of_run(FindingKind::OtherVersion, name, detail)
}

fn unreadable(name: &str, error: &io::Error) -> Finding {
    let kind = match error.kind() {
        io::ErrorKind::NotFound => FindingKind::BundleFileMissing,
        _ => FindingKind::BundleMalformed,
    };
    Finding::of_run(kind, name, format!("the asset's evidence: {error}"))
}
