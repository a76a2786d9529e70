//! `allowed_signers` (ssh-keygen(1), "ALLOWED SIGNERS"): who may sign, with which key, for what and when.
//!
//! Leaves out certificate authorities: a line with `cert-authority` is an error, because passing it over would make a
//! signature look unknown that ssh-keygen accepts.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use ssh_key::PublicKey;

use super::Seal;

/// The file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    principals: String,
    namespaces: Option<String>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
    key: PublicKey,
}

/// Why a signature is not an allowed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No line has this key.
    #[error("its key is not among the allowed signers")]
    Unknown,
    /// The line is for something else.
    #[error("its key is not allowed for this role (namespaces)")]
    Namespace,
    /// The key was not yet, or no longer, valid.
    #[error("its key was not valid then (valid-after, valid-before)")]
    Time,
}

impl AllowedSigners {
    /// Reads the file; an error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut lines = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                lines.push(parse_line(line).map_err(|reason| format!("line {number}: {reason}"))?);
            }
        }
        if lines.is_empty() { Err("names nobody".to_owned()) } else { Ok(AllowedSigners(lines)) }
    }

    /// The principals for whom a signature stands that was made at `at`.
    pub fn principals(&self, seal: &Seal, at: Timestamp) -> Result<String, NotAllowed> {
        let of_key: Vec<&Line> = self.0.iter().filter(|line| line.key.key_data() == seal.key.key_data()).collect();
        let for_role: Vec<&&Line> = of_key.iter().filter(|line| line.serves(seal.role.namespace())).collect();
        let valid = for_role.iter().find(|line| line.valid(at)).map(|line| line.principals.clone());
        valid.ok_or(match (of_key.is_empty(), for_role.is_empty()) {
            (true, _) => NotAllowed::Unknown,
            (_, true) => NotAllowed::Namespace,
            _ => NotAllowed::Time,
        })
    }
}

impl Line {
    fn serves(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|list| list.split(',').any(|pattern| matches(pattern.trim(), namespace)))
    }

    fn valid(&self, at: Timestamp) -> bool {
        self.valid_after.is_none_or(|from| at >= from) && self.valid_before.is_none_or(|until| at < until)
    }
}

/// Whether a text fits a pattern with `*` and `?` (ssh_config(5), "PATTERNS"; negation is not known here).
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.chars().next() {
        None => text.is_empty(),
        Some('*') => {
            text.char_indices().map(|(at, _)| at).chain([text.len()]).any(|at| matches(&pattern[1..], &text[at..]))
        }
        Some(c) => text.chars().next().is_some_and(|found| {
            (c == '?' || c == found) && matches(&pattern[c.len_utf8()..], &text[found.len_utf8()..])
        }),
    }
}

fn parse_line(line: &str) -> Result<Line, String> {
    let (principals, rest) = word(line).ok_or("has no key")?;
    let (options, key) = match PublicKey::from_openssh(rest) {
        Ok(key) => (String::new(), key),
        Err(_) => {
            let (options, rest) = word(rest).ok_or("has no key")?;
            (options, PublicKey::from_openssh(rest).map_err(|error| format!("key: {error}"))?)
        }
    };
    let mut line = Line { principals, namespaces: None, valid_after: None, valid_before: None, key };
    for option in split_options(&options) {
        match option.split_once('=').map_or((option.as_str(), ""), |(name, value)| (name, value)) {
            ("namespaces", value) => line.namespaces = Some(value.to_owned()),
            ("valid-after", value) => line.valid_after = Some(stamp(value)?),
            ("valid-before", value) => line.valid_before = Some(stamp(value)?),
            (name, _) => return Err(format!("the option {name:?} is not known here")),
        }
    }
    Ok(line)
}

/// The first word, which may have blanks between double quotes, without the quotes of a whole; and the rest.
fn word(text: &str) -> Option<(String, &str)> {
    let mut quoted = false;
    let end = text.find(|c: char| {
        quoted ^= c == '"';
        c.is_whitespace() && !quoted
    })?;
    let first = text[..end].strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(&text[..end]);
    Some((first.to_owned(), text[end..].trim_start()))
}

/// Options between commas; a value in double quotes may hold commas.
fn split_options(text: &str) -> Vec<String> {
    let (mut options, mut quoted) = (vec![String::new()], false);
    for c in text.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => options.push(String::new()),
            _ => options.last_mut().into_iter().for_each(|last| last.push(c)),
        }
    }
    options.retain(|option| !option.is_empty());
    options
}

/// `YYYYMMDD[Z]` or `YYYYMMDDHHMM[SS][Z]`; without `Z` the time is this machine's own.
fn stamp(text: &str) -> Result<Timestamp, String> {
    let (digits, zone) = text.strip_suffix('Z').map_or((text, TimeZone::system()), |digits| (digits, TimeZone::UTC));
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<i16>().ok());
    let part = |from: usize| number(from, from + 2).and_then(|value| i8::try_from(value).ok());
    let read = || {
        let date = Date::new(number(0, 4)?, part(4)?, part(6)?).ok()?;
        let time = match digits.len() {
            8 => Time::midnight(),
            12 => Time::new(part(8)?, part(10)?, 0, 0).ok()?,
            14 => Time::new(part(8)?, part(10)?, part(12)?, 0).ok()?,
            _ => return None,
        };
        zone.to_timestamp(date.to_datetime(time)).ok()
    };
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(read).flatten().ok_or_else(|| format!("{text:?} is no time"))
}

#[cfg(test)]
mod tests {
    use super::{super::Role, *};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn seal(role: Role) -> Seal {
        Seal { role, key: PublicKey::from_openssh(KEY).expect("a key") }
    }

    fn ask(line: &str, role: Role, at: &str) -> Result<String, NotAllowed> {
        AllowedSigners::parse(line).expect("readable").principals(&seal(role), at.parse().expect("a time"))
    }

    #[test]
    fn a_key_stands_for_its_principals() {
        let now = "2026-11-24T00:00:00Z";
        assert_eq!(ask(&format!("# who\n\nops@x {KEY} laptop"), Role::Operator, now).as_deref(), Ok("ops@x"));
        assert_eq!(ask(&format!("\"a b\" {KEY}"), Role::Reviewer, now).as_deref(), Ok("a b"));
        let other = KEY.replace("LM+", "LN+");
        assert_eq!(ask(&format!("ops@x {other}"), Role::Operator, now), Err(NotAllowed::Unknown));
    }

    #[test]
    fn namespaces_and_times_bound_it() {
        let line =
            format!("a namespaces=\"git,walkaway-op*\",valid-after=\"20260101Z\",valid-before=202612310000Z {KEY}");
        assert!(ask(&line, Role::Operator, "2026-06-01T00:00:00Z").is_ok());
        assert_eq!(ask(&line, Role::Reviewer, "2026-06-01T00:00:00Z"), Err(NotAllowed::Namespace));
        for at in ["2025-12-31T23:59:59Z", "2026-12-31T00:00:00Z"] {
            assert_eq!(ask(&line, Role::Operator, at), Err(NotAllowed::Time), "{at}");
        }
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let bad = [String::new(), "a".into(), format!("a cert-authority {KEY}"), format!("a valid-after=2026 {KEY}")];
        for text in bad {
            assert!(AllowedSigners::parse(&text).is_err(), "{text}");
        }
    }
}
