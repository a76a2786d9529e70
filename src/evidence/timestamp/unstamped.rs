//! The statement beside an unstamped signature: when it was made by the signing machine's own clock, and why
//! there is no time-stamp.

use jiff::Timestamp;

const BEFORE_THE_TIME: &str = "The time of this signature is the signing machine's own, ";

/// The statement, as a file.
pub fn own_time(at: Timestamp, why: &str) -> String {
    format!("{BEFORE_THE_TIME}{at}: {why}.\n")
}

/// The time that such a file states; none if it is another text.
pub(crate) fn read_own_time(text: &str) -> Option<Timestamp> {
    let (at, why) = text.strip_prefix(BEFORE_THE_TIME)?.strip_suffix(".\n")?.split_once(": ")?;
    if why.is_empty() { None } else { at.parse().ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_nothing_else() {
        let at = Timestamp::constant(1_790_000_000, 5);
        assert_eq!(read_own_time(&own_time(at, "no authority: none was named")), Some(at));
        for text in ["", "x", "The time of this signature is the signing machine's own, soon: x.\n"] {
            assert_eq!(read_own_time(text), None, "{text}");
        }
    }
}
