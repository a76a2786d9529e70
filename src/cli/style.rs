//! How things look: colors, numbers, sizes, durations, findings on a line. Knows nothing of where it is written.

use std::path::Path;

use jiff::Timestamp;

use crate::finding::{Finding, Severity, Verdict, printable};

/// Whether colors are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Style {
    pub color: bool,
}

/// What a color stands for.
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
        self.paint(Paint::of_verdict(verdict), &verdict.to_string())
    }

    /// A finding on one line, its weight first.
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

/// `1,234,567`.
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 object`, `3,012 objects`.
pub(super) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `9 of 11`.
pub(super) fn of(part: u64, whole: u64) -> String {
    format!("{} of {}", thousands(part), thousands(whole))
}

const BYTE_UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes in binary units: `512 bytes`, `1.5 KiB`, `430 MiB`.
pub(super) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return count(bytes, "byte", "bytes");
    }
    let (mut value, mut unit) = (bytes as f64, 0);
    // 1023.6 would be shown as 1024 of the smaller unit.
    while value >= 1023.5 && unit + 1 < BYTE_UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(value < 9.95);
    format!("{value:.decimals$} {}", BYTE_UNITS[unit])
}

/// Bytes per second over a time, if there was any.
pub(super) fn rate(bytes: u64, duration_ms: u64) -> Option<String> {
    let per_second = u128::from(bytes) * 1000 / u128::from(duration_ms).max(1);
    let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
    (bytes > 0 && duration_ms > 0).then(|| speed(per_second))
}

/// `48 MiB/s`.
pub(super) fn speed(bytes_per_s: u64) -> String {
    format!("{}/s", size(bytes_per_s))
}

/// `850 ms`, `4.1 s`, `41 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`.
pub(super) fn duration(ms: u64) -> String {
    let s = ms.saturating_add(500) / 1000;
    match ms {
        0..1_000 => format!("{ms} ms"),
        1_000..9_950 => format!("{:.1} s", ms as f64 / 1000.0),
        _ if s < 60 => format!("{s} s"),
        _ if s < 3_600 => format!("{} min {:02} s", s / 60, s % 60),
        _ if s < 86_400 => format!("{} h {:02} min", s / 3_600, s % 3_600 / 60),
        _ => format!("{} d {:02} h", s / 86_400, s % 86_400 / 3_600),
    }
}

/// What is left, in whole seconds rounded up: finer digits would only flicker.
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

/// A path as it is shown: from the current directory where it lies below it.
pub(super) fn near(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    let inside = path.strip_prefix(&here).ok().filter(|rest| !rest.as_os_str().is_empty());
    inside.unwrap_or(path).display().to_string()
}

/// A path as a word that a shell takes literally.
pub(super) fn shell_word(path: &Path) -> String {
    let text = near(path);
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:,@%".contains(c);
    match text.starts_with('-') {
        true => shell_quote(&format!("./{text}"), plain),
        false => shell_quote(&text, plain),
    }
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
    use crate::finding::FindingKind;

    #[test]
    fn numbers_have_thousands_separators() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!([count(1, "row", "rows"), count(2, "row", "rows")], ["1 row", "2 rows"]);
    }

    #[test]
    fn sizes_have_binary_units() {
        let shown = [0, 1, 1023, 1024, 1536, 10 << 10, (1 << 20) - 1, 430 << 20, u64::MAX].map(size);
        let expected =
            ["0 bytes", "1 byte", "1023 bytes", "1.0 KiB", "1.5 KiB", "10 KiB", "1.0 MiB", "430 MiB", "16 EiB"];
        assert_eq!(shown.map(|text| text.replace(',', "")), expected);
    }

    #[test]
    fn durations_read_like_speech() {
        let shown = [0, 850, 4_123, 9_960, 41_000, 59_700, 185_000, 7_620_000, 273_600_000].map(duration);
        let expected =
            ["0 ms", "850 ms", "4.1 s", "10 s", "41 s", "1 min 00 s", "3 min 05 s", "2 h 07 min", "3 d 04 h"];
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_left_does_not_flicker() {
        assert_eq!([0, 1, 9_001, 61_000].map(time_left), ["0 s", "1 s", "10 s", "1 min 01 s"]);
    }

    #[test]
    fn a_rate_needs_time_and_bytes() {
        assert_eq!(rate(96 << 20, 2_000).as_deref(), Some("48 MiB/s"));
        assert_eq!((rate(1, 0), rate(0, 1)), (None, None));
        assert!(rate(u64::MAX, 1).is_some());
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
