//! The journal's chain: the content of a line, and the result of one pass over all lines.
//!
//! Reads only; [`super::journal`] writes, locks and decides what a fault means.

use std::io::{self, BufRead};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use super::error::Fault;
use super::files::{LineEnd, read_line};
use crate::domain::{
    digest::Sha256Digest,
    event::Event,
    finding::{Finding, FindingKind},
};

/// A longer line is malformed.
pub const LINE_BYTES_MAX: u64 = 1 << 20;
/// `prev` of the first line.
pub(crate) const BEFORE_THE_FIRST: Sha256Digest = Sha256Digest([0; 32]);
/// More faults than this are not listed one by one.
const FAULTS_MAX: usize = 100;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The line's number, from 1.
    pub seq: u64,
    /// UTC, from the machine's own clock.
    pub at: Timestamp,
    /// SHA-256 of the previous line, without its line end; zeros in the first line.
    pub prev: Sha256Digest,
    /// What happened; its fields are beside the others.
    #[serde(flatten)]
    pub event: Event,
}

/// The journal's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JournalHead {
    /// Lines.
    pub lines: u64,
    /// SHA-256 of the last line, its line end not counted.
    pub head: Sha256Digest,
}

/// The result of one pass over a journal.
#[derive(Debug)]
pub(crate) struct Reading {
    /// Lines that could be read as entries, also those that break the chain.
    pub entries: Vec<Entry>,
    /// Lines that are malformed or don't continue the previous one.
    pub faults: Vec<Fault>,
    /// Length and head of the whole lines.
    pub head: JournalHead,
    /// Bytes of the whole lines.
    pub whole_bytes: u64,
    /// Bytes of an unfinished last line.
    pub torn_bytes: u64,
}

impl Reading {
    /// Reads to the end, past broken lines; a line that is too long ends the reading.
    pub(crate) fn of(mut reader: impl BufRead) -> io::Result<Self> {
        let head = JournalHead { lines: 0, head: BEFORE_THE_FIRST };
        let mut reading = Reading { entries: vec![], faults: vec![], head, whole_bytes: 0, torn_bytes: 0 };
        let mut line = Vec::new();
        loop {
            match read_line(&mut reader, &mut line, LINE_BYTES_MAX)? {
                LineEnd::Nothing => return Ok(reading),
                LineEnd::Newline => reading.take(&line),
                LineEnd::EndOfFile => {
                    reading.torn_bytes = line.len() as u64;
                    return Ok(reading);
                }
                LineEnd::TooLong => {
                    reading.fault(reading.head.lines + 1, format!("longer than {LINE_BYTES_MAX} bytes"));
                    return Ok(reading);
                }
            }
        }
    }

    fn take(&mut self, line: &[u8]) {
        let number = self.head.lines + 1;
        let prev = self.head.head;
        self.whole_bytes += line.len() as u64 + 1;
        self.head = JournalHead { lines: number, head: Sha256Digest::of(line) };
        match serde_json::from_slice::<Entry>(line) {
            Err(error) => self.fault(number, format!("malformed: {error}")),
            Ok(entry) => {
                if entry.prev != prev {
                    let reason = format!("names {} as the line before, which has {prev}", entry.prev);
                    self.fault(number, reason);
                } else if entry.seq != number {
                    self.fault(number, format!("is numbered {}", entry.seq));
                }
                self.entries.push(entry);
            }
        }
    }

    fn fault(&mut self, line: u64, reason: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(Fault { line, reason });
        }
    }

    /// What contradicts the published head, or the chain itself.
    pub(crate) fn findings(&self, name: &str, expected: JournalHead) -> Vec<Finding> {
        let broken = |subject: String, detail: String| Finding::of_run(FindingKind::JournalBroken, subject, detail);
        let mut findings: Vec<_> = self
            .faults
            .iter()
            .map(|fault| broken(format!("{name} line {}", fault.line), fault.reason.clone()))
            .collect();
        if self.torn_bytes > 0 {
            let line = self.head.lines + 1;
            findings
                .push(broken(format!("{name} line {line}"), format!("{} bytes without a line end", self.torn_bytes)));
        }
        if self.head.lines != expected.lines {
            let detail = format!("{} lines, where {} were recorded", self.head.lines, expected.lines);
            let line = self.head.lines.min(expected.lines);
            findings.push(broken(format!("{name} after line {line}"), detail));
        } else if self.head.head != expected.head {
            let detail = format!("has SHA-256 {}, where {} was recorded", self.head.head, expected.head);
            findings.push(broken(format!("{name} line {}", expected.lines), detail));
        }
        findings
    }
}
