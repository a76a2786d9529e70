//! The tables of results of version 1: one export a table, in `tables.csv` itself, and a content digest over lines.

use sha2::{Digest as _, Sha256};

use super::{AssetCheck, unreadable};
use crate::{
    csv,
    domain::{
        digest::Sha256Digest,
        finding::{Finding, FindingKind},
    },
    evidence::{
        contents::{RESULT, inconsistent},
        files::sha256sum_line,
        objects::json_string,
        tables::{EXPORTS_SHA256, TABLES_CSV},
    },
};

const HEADER: [&str; 9] =
    ["table", "rows", "bytes", "row_digest", "row_key", "spool", "spool_sha256", "source_count", "copy_sql"];

struct Line {
    table: String,
    rows: u64,
    bytes: u64,
    row_key: Sha256Digest,
    spool: String,
    spool_sha256: Sha256Digest,
    source_count: u64,
    copy_sql: String,
}

impl AssetCheck<'_> {
    /// The later versions' check, for the old list.
    pub(super) fn tables_v1(&self) -> Vec<Finding> {
        let name = self.file(TABLES_CSV);
        let text = match self.bag.read(&name) {
            Ok(bytes) => String::from_utf8(bytes).unwrap_or_default(),
            Err(error) => return vec![unreadable(&name, &error)],
        };
        let Some(lines) = parse(&text) else {
            return vec![Finding::of_run(FindingKind::BundleMalformed, name, "is no list of tables")];
        };
        let sum = |number: fn(&Line) -> u64| lines.iter().map(number).fold(0, u64::saturating_add);
        let mut findings = Vec::new();
        findings.extend(self.compare_totals(&name, (sum(|line| line.rows), sum(|line| line.bytes))));
        findings.extend(self.compare_content(&name, content(&lines)));
        findings.extend(self.exports_v1(&lines));
        findings.extend(self.statements(lines.iter().map(|line| (&*line.table, &*line.copy_sql))));
        let agrees = self.asset.database.as_ref().is_some_and(|database| {
            database.tables == lines.len() as u64 && lines.iter().all(|line| line.row_key == database.row_key.0)
        });
        if !agrees {
            findings.push(inconsistent(&name, format!("another number of tables or row key than in {RESULT}")));
        }
        for line in lines.iter().filter(|line| self.passed() && line.rows != line.source_count) {
            let detail = format!("verdict is PASS, {} has {} rows of {}", line.table, line.rows, line.source_count);
            findings.push(inconsistent(&name, detail));
        }
        findings
    }

    fn exports_v1(&self, lines: &[Line]) -> Option<Finding> {
        let name = self.file(EXPORTS_SHA256);
        let expected: Result<String, _> =
            lines.iter().map(|line| sha256sum_line(line.spool_sha256, &line.spool)).collect();
        let same = self.bag.read(&name).ok().zip(expected.ok()).is_some_and(|(found, text)| found == text.as_bytes());
        (!same).then(|| inconsistent(name, format!("differs from {}", self.file(TABLES_CSV))))
    }
}

fn parse(text: &str) -> Option<Vec<Line>> {
    let mut records = csv::parse(text)?.into_iter();
    let header = records.next()?;
    let lines: Vec<Line> = records.map(line).collect::<Option<_>>()?;
    let ascend = lines.windows(2).all(|pair| pair[0].table < pair[1].table);
    (header == HEADER && ascend).then_some(lines)
}

fn line(record: Vec<String>) -> Option<Line> {
    let [table, rows, bytes, _, row_key, spool, spool_sha256, source_count, copy_sql] =
        <[String; 9]>::try_from(record).ok()?;
    Some(Line {
        table,
        rows: rows.parse().ok()?,
        bytes: bytes.parse().ok()?,
        row_key: row_key.parse().ok()?,
        spool,
        spool_sha256: spool_sha256.parse().ok()?,
        source_count: source_count.parse().ok()?,
        copy_sql,
    })
}

/// SHA-256 over one line `<spool_sha256> <rows> <table as a JSON string>` per table.
fn content(lines: &[Line]) -> Sha256Digest {
    let mut content = Sha256::new();
    for line in lines {
        content.update(format!("{} {} {}\n", line.spool_sha256, line.rows, json_string(&line.table)));
    }
    content.into()
}
