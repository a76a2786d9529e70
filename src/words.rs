//! Numbers and errors formatted for people, the same on the terminal and in reports.

/// `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
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
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(number), if number == 1 { one } else { many })
}

/// `9 of 11`.
pub(crate) fn of(part: u64, whole: u64) -> String {
    format!("{} of {}", thousands(part), thousands(whole))
}

/// `9 of 11 objects`, `0 of 1 object`.
pub(crate) fn count_of(part: u64, whole: u64, one: &str, many: &str) -> String {
    format!("{} of {}", thousands(part), count(whole, one, many))
}

/// A word quoted for a POSIX shell, on one line: a line end within it would end a block of a document.
pub(crate) fn shell_quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-./:=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else if word.contains(|c: char| c.is_control()) {
        // Dollar-single-quotes (POSIX.1-2024, 2.2.4): octal digits of each byte that is not a letter.
        let byte = |byte: u8| {
            if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("\\{byte:03o}") }
        };
        format!("$'{}'", word.bytes().map(byte).collect::<String>())
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// The most characters of an error that are shown.
const CAUSES_CHARS_MAX: usize = 300;

/// An error and its causes in one line, each once; a server's document in one is cut short.
pub(crate) fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    for cause in std::iter::successors(Some(error), |error| error.source()) {
        let text = cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if !parts.contains(&text) {
            parts.push(text);
        }
    }
    let text = parts.join(": ");
    match text.char_indices().nth(CAUSES_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// A server's error response: its code and message, or the status where it has no code.
pub(crate) fn refusal(status: u16, code: &str, message: Option<&str>) -> String {
    let message = message.filter(|message| !message.is_empty() && !message.replace(' ', "").eq_ignore_ascii_case(code));
    match (code, message) {
        ("", None) => format!("HTTP status {status}"),
        ("", Some(message)) => format!("HTTP status {status}: {message}"),
        (code, None) => code.to_owned(),
        (code, Some(message)) => format!("{code}: {message}"),
    }
}

const BYTE_UNITS: [&str; 7] = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/// Bytes in binary units: `512 bytes`, `1.5 KiB`, `430 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    if bytes < 1024 {
        return count(bytes, "byte", "bytes");
    }
    let mut value = bytes as f64;
    let mut unit = 0;
    // 1023.6 would be shown as 1024 of the smaller unit.
    while value >= 1023.5 && unit + 1 < BYTE_UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(value < 9.95);
    format!("{value:.decimals$} {}", BYTE_UNITS[unit])
}

/// Bytes per second over a time, if there was any.
pub(crate) fn rate(bytes: u64, duration_ms: u64) -> Option<String> {
    let per_second = u128::from(bytes) * 1000 / u128::from(duration_ms).max(1);
    let per_second = u64::try_from(per_second).unwrap_or(u64::MAX);
    (bytes > 0 && duration_ms > 0).then(|| speed(per_second))
}

/// `48 MiB/s`.
pub(crate) fn speed(bytes_per_s: u64) -> String {
    format!("{}/s", size(bytes_per_s))
}

/// `850 ms`, `4.1 s`, `41 s`, `3 min 05 s`, `2 h 07 min`, `3 d 04 h`.
pub(crate) fn duration(ms: u64) -> String {
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

/// `61.2 %` of a whole; only the whole reads as 100.0, and only nothing as 0.0.
pub(crate) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "–".to_owned();
    }
    let tenths = u128::from(part) * 1000 / u128::from(whole);
    match tenths {
        0 if part > 0 => "< 0.1 %".to_owned(),
        _ => format!("{}.{} %", tenths / 10, tenths % 10),
    }
}

/// `$ 12.35`, rounded up to the cent, from millionths.
pub(crate) fn dollars(millionths: u64) -> String {
    let cents = millionths.div_ceil(10_000);
    format!("$ {}.{:02}", thousands(cents / 100), cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_reach_the_shell_literally() {
        assert_eq!(shell_quoted("/srv/exit"), "/srv/exit");
        assert_eq!(shell_quoted("it's $(here)"), r"'it'\''s $(here)'");
        assert_eq!(shell_quoted(""), "''");
        assert_eq!(shell_quoted("a\n'$(b)"), r"$'a\012\047\044\050b\051'");
    }

    #[test]
    fn a_document_in_an_error_stays_one_short_line() {
        let document = format!("<html>\n  <body>{}</body>\n</html>", "Gateway ".repeat(100));
        let shown = causes(&std::io::Error::other(document));
        assert!(shown.starts_with("<html> <body>Gateway") && !shown.contains('\n'), "{shown}");
        assert_eq!(shown.chars().count(), CAUSES_CHARS_MAX + 1);
    }

    #[test]
    fn numbers_have_thousands_separators() {
        let shown = [0, 999, 1_000, 12_345, 1_234_567].map(thousands);
        assert_eq!(shown, ["0", "999", "1,000", "12,345", "1,234,567"]);
        assert_eq!([count(1, "row", "rows"), count(2, "row", "rows")], ["1 row", "2 rows"]);
        assert_eq!([count_of(0, 1, "row", "rows"), count_of(1, 2, "row", "rows")], ["0 of 1 row", "1 of 2 rows"]);
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
    fn a_rate_needs_time_and_bytes() {
        assert_eq!(rate(96 << 20, 2_000).as_deref(), Some("48 MiB/s"));
        assert_eq!((rate(1, 0), rate(0, 1)), (None, None));
        assert!(rate(u64::MAX, 1).is_some());
    }

    #[test]
    fn a_part_never_reads_as_the_whole() {
        let shown =
            [(1, 3), (1, 1), (999_999, 1_000_000), (1, 1_000_000), (0, 1)].map(|(part, whole)| percent(part, whole));
        assert_eq!(shown, ["33.3 %", "100.0 %", "99.9 %", "< 0.1 %", "0.0 %"]);
        assert_eq!(percent(0, 0), "–");
    }

    #[test]
    fn money_is_rounded_up() {
        assert_eq!([0, 1, 12_345_678].map(dollars), ["$ 0.00", "$ 0.01", "$ 12.35"]);
    }
}
