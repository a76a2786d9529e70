//! Lists of patterns (ssh_config(5), "PATTERNS"), as OpenSSH matches them.

/// A longer pattern matches nothing in OpenSSH.
const PATTERN_BYTES_MAX: usize = 1022;

/// Whether a text fits one pattern of a list between commas and none that is negated by `!`. No blank is trimmed.
pub(super) fn matches_list(text: &str, list: &str) -> bool {
    let mut fits = false;
    for pattern in list.split(',') {
        if pattern.len() > PATTERN_BYTES_MAX {
            return false;
        }
        match pattern.strip_prefix('!') {
            Some(negated) if matches(negated, text) => return false,
            Some(_) => {}
            None => fits |= !pattern.is_empty() && matches(pattern, text),
        }
    }
    fits
}

/// Whether a name may match both lists: a name of one matches the other, or some name matches two patterns.
pub(super) fn may_share(one: &str, other: &str) -> bool {
    let named = |list: &str| -> Vec<String> {
        list.split(',').filter(|name| !name.starts_with('!')).map(str::to_owned).collect()
    };
    let is_pattern = |name: &str| name.contains(['*', '?']);
    named(one).iter().any(|a| {
        named(other).iter().any(|b| match (is_pattern(a), is_pattern(b)) {
            (true, true) => overlap(a, b),
            (false, _) => matches_list(a, other),
            (true, false) => matches_list(b, one),
        })
    })
}

/// `*` stands for any bytes, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    table(pattern.as_bytes(), text.as_bytes(), |p, t| p == b'?' || p == t, |_| false)
}

/// Whether some text matches both patterns.
fn overlap(one: &str, other: &str) -> bool {
    table(one.as_bytes(), other.as_bytes(), |a, b| a == b'?' || b == b'?' || a == b, |b| b == b'*')
}

/// Whether two sequences can be walked to their ends: `*` of the first skips bytes of the second, and a byte of the
/// second for which `passes` holds over bytes of the first.
fn table(one: &[u8], other: &[u8], same: impl Fn(u8, u8) -> bool, passes: impl Fn(u8) -> bool) -> bool {
    let mut row: Vec<bool> = Vec::new();
    for i in 0..=one.len() {
        let mut next = vec![false; other.len() + 1];
        for j in 0..=other.len() {
            let up = i > 0 && row[j];
            let left = j > 0 && next[j - 1];
            let diagonal = i > 0 && j > 0 && row[j - 1];
            let star = i > 0 && one[i - 1] == b'*';
            let passing = j > 0 && passes(other[j - 1]);
            next[j] = (i == 0 && j == 0)
                || (star && (up || left))
                || (passing && (up || left))
                || (diagonal && !star && !passing && same(one[i - 1], other[j - 1]));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_match_as_in_openssh() {
        let rows = [
            ("a", "a", true),
            ("a", "b,a", true),
            ("a", "b, a", false),
            ("a@x", "*@x", true),
            ("a@x", "*@x,!a@x", false),
            ("a@x", "!a@x,*@x", false),
            ("a@x", "!a@x", false),
            ("b@x", "!a@x", false),
            ("ab", "a?", true),
            ("a", "a?", false),
            ("", "", false),
            ("a", "*,", true),
            ("*@x", "*@x,!a@x", true),
            ("abcabd", "*ab?", true),
            ("A", "a", false),
        ];
        for (text, list, fits) in rows {
            assert_eq!(matches_list(text, list), fits, "{text} in {list}");
        }
    }

    #[test]
    fn names_that_two_lists_share_are_seen() {
        for (one, other, share) in [
            ("a", "a", true),
            ("a,b", "c,b", true),
            ("a", "b", false),
            ("a@x", "*@x", true),
            ("*@x", "*@y", false),
            ("a*", "*b", true),
            ("a?", "b*", false),
            ("a@x", "*@x,!a@x", false),
        ] {
            assert_eq!((may_share(one, other), may_share(other, one)), (share, share), "{one} {other}");
        }
    }
}
