//! The style of terminal output: colors, findings on a line; numbers are [`crate::words`]'. Independent of where it is
//! written.

use std::path::Path;

use jiff::Timestamp;

pub(super) use crate::words::{count, count_of, duration, of, rate, size, speed, thousands};
use crate::{
    domain::finding::{Finding, Severity, Verdict, Waives as _, printable},
    evidence::result::WaiverResult,
};

/// Whether colors are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub color: bool,
}

/// The meaning of a color.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Paint {
    #[default]
    Plain,
    Good,
    Warn,
    Bad,
    Strong,
    Faint,
}

impl Paint {
    /// The parameter of "Select Graphic Rendition" (ECMA-48).
    fn code(self) -> Option<&'static str> {
        match self {
            Paint::Plain => None,
            Paint::Good => Some("1;32"),
            Paint::Warn => Some("1;33"),
            Paint::Bad => Some("1;31"),
            Paint::Strong => Some("1"),
            Paint::Faint => Some("2"),
        }
    }

    /// The color of a verdict.
    pub(super) fn of_verdict(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Pass => Paint::Good,
            Verdict::Fail => Paint::Bad,
            Verdict::NotRun | Verdict::Waived => Paint::Warn,
        }
    }

    /// The color of a verdict that may be about a sample.
    pub(super) fn of_judged(verdict: Verdict, of_sample: bool) -> Self {
        match (verdict, of_sample) {
            (Verdict::Pass, true) => Paint::Warn,
            (verdict, _) => Paint::of_verdict(verdict),
        }
    }

    fn of_severity(severity: Severity) -> Self {
        match severity {
            Severity::Note => Paint::Faint,
            Severity::NotRun => Paint::Warn,
            Severity::Fail => Paint::Bad,
        }
    }
}

impl Style {
    /// The text in its color, if there are colors.
    pub(super) fn paint(self, paint: Paint, text: &str) -> String {
        match paint.code() {
            Some(code) if self.color => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            _ => text.to_owned(),
        }
    }

    /// A verdict in its color.
    pub(super) fn verdict(self, verdict: Verdict) -> String {
        self.judged(verdict, false)
    }

    /// The same of what may be a sample: its pass has the color of no whole one.
    pub(super) fn judged(self, verdict: Verdict, of_sample: bool) -> String {
        self.paint(Paint::of_judged(verdict, of_sample), &verdict.words(of_sample))
    }

    /// A finding on one line; a waived one is marked, with its owner and date.
    pub(super) fn finding_under(self, finding: &Finding, waivers: &[WaiverResult]) -> String {
        let Some(waiver) = waivers.iter().find(|waiver| waiver.waives(finding)) else { return self.finding(finding) };
        let owner = printable(&waiver.owner);
        let until = printable(&waiver.until);
        format!("{}  {finding}; accepted until {until} by {owner}", self.paint(Paint::Warn, "waived "))
    }

    /// A finding on one line, its severity first.
    pub(super) fn finding(self, finding: &Finding) -> String {
        let severity = finding.kind.severity();
        let word = format!("{:<7}", severity_word(severity));
        format!("{}  {finding}", self.paint(Paint::of_severity(severity), &word))
    }
}

fn severity_word(severity: Severity) -> &'static str {
    match severity {
        Severity::Note => "note",
        Severity::NotRun => "NOT RUN",
        Severity::Fail => "FAIL",
    }
}

/// Remaining or elapsed time, in whole seconds rounded up: finer digits would only flicker.
pub(super) fn time_left(ms: u64) -> String {
    match ms.div_ceil(1000) {
        s @ 0..60 => format!("{s} s"),
        s => duration(s.saturating_mul(1000)),
    }
}

/// UTC to the second: `2026-11-23T22:30:00Z`.
pub(super) fn stamp(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A path as it is shown: from the current directory where it is below it.
pub(super) fn near(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let inside = path.strip_prefix(&here).ok().filter(|rest| !rest.as_os_str().is_empty());
    inside.unwrap_or(path).display().to_string()
}

/// A path quoted for a shell.
pub(super) fn shell_word(path: &Path) -> String {
    let text = near(path);
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    if text.starts_with('-') { shell_quote(&format!("./{text}"), plain) } else { shell_quote(&text, plain) }
}

fn shell_quote(text: &str, plain: impl Fn(char) -> bool) -> String {
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    printable(&format!("'{}'", text.replace('\'', r"'\''")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::finding::FindingKind;

    #[test]
    fn what_is_left_does_not_flicker() {
        assert_eq!([0, 1, 9_001, 61_000].map(time_left), ["0 s", "1 s", "10 s", "1 min 01 s"]);
    }

    #[test]
    fn colors_only_where_allowed() {
        assert_eq!(Style { color: false }.verdict(Verdict::Pass), "PASS");
        assert_eq!(Style { color: true }.verdict(Verdict::Pass), "\u{1b}[1;32mPASS\u{1b}[0m");
    }

    #[test]
    fn a_finding_begins_with_its_weight() {
        let finding = Finding::of("shop", FindingKind::TableRows, "public.a", "3, found 2");
        let expected = "FAIL     shop: table differs in its number of rows: public.a (3, found 2)";
        assert_eq!(Style::default().finding(&finding), expected);
    }

    #[test]
    fn paths_become_shell_words() {
        let shown = ["evidence/a-1", "a b", "it's", "-x", "a\nb"].map(|path| shell_word(Path::new(path)));
        assert_eq!(shown, ["evidence/a-1", "'a b'", r"'it'\''s'", "./-x", "'a\\nb'"]);
    }

    #[test]
    fn stamps_are_utc_to_the_second() {
        assert_eq!(stamp(Timestamp::UNIX_EPOCH), "1970-01-01T00:00:00Z");
    }
}
