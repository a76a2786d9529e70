//! Globs over names: `*` matches any number of characters, `?` exactly one. The whole name has to match.

/// Whether the name matches, in time of at most pattern × name.
#[must_use]
pub fn matches(glob: &str, name: &str) -> bool {
    let (glob, name): (Vec<char>, Vec<char>) = (glob.chars().collect(), name.chars().collect());
    let mut g = 0;
    let mut n = 0;
    // Greedy, with one backtracking point.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, n));
                g += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                g += 1;
                n += 1;
            }
            _ => {
                let Some((at, from)) = star else { return false };
                star = Some((at, from + 1));
                g = at + 1;
                n = from + 1;
            }
        }
    }
    glob[g..].iter().all(|&c| c == '*')
}

/// Whether `kind:glob` matches this resource.
#[must_use]
pub fn selects(pattern: &str, kind: &str, name: &str) -> bool {
    pattern.split_once(':').is_some_and(|(word, glob)| word == kind && matches(glob, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_name_has_to_fit() {
        for (glob, name, expected) in [
            ("acme-logs-*", "acme-logs-2026", true),
            ("acme-logs-*", "acme-logs-", true),
            ("acme-logs-*", "x-acme-logs-1", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbx", false),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("*", "", true),
        ] {
            assert_eq!(matches(glob, name), expected, "{glob} {name}");
        }
        assert!(selects("s3:a*", "s3", "ab") && !selects("s3:a*", "rds", "ab") && !selects("a*", "s3", "ab"));
    }
}
