//! `allowed_signers` (ssh-keygen(1), "ALLOWED SIGNERS"): who may sign, with which key, for what and when, read like
//! `ssh-keygen -Y verify` does: a name is accepted here exactly if it is accepted there with `-I`.
//!
//! A line that can't be parsed is skipped, as there; lines with `cert-authority` are for certificates, which sign nothing
//! here.

use jiff::{
    Timestamp,
    civil::{Date, Time},
    tz::TimeZone,
};
use ssh_key::PublicKey;

use super::{
    patterns::{matches_list, may_share},
    seal::Seal,
};

const BLANK: [char; 4] = [' ', '\t', '\r', '\n'];
/// ssh-keygen treats it as a part of the first name.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The file, read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AllowedSigners(Vec<Line>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Line {
    number: usize,
    /// A list of patterns, verbatim.
    principals: String,
    /// The parsed line, or why it can't be parsed.
    entry: Result<Entry, &'static str>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    /// None for kinds of keys that sign nothing here.
    key: Option<PublicKey>,
    certificates: bool,
    namespaces: Option<String>,
    valid_after: Option<Timestamp>,
    valid_before: Option<Timestamp>,
}

/// Why a signature is not an allowed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAllowed {
    /// No line has this key.
    #[error("its key is not among the allowed signers")]
    Unknown,
    /// No line that can be read has this key.
    #[error("its key is in no line of the allowed signers that can be read; line {0} cannot")]
    Unreadable(usize),
    /// The line is for another namespace.
    #[error("its key is not allowed for this role (namespaces)")]
    Namespace,
    /// The key was not yet, or no longer, valid.
    #[error("its key was not valid then (valid-after, valid-before)")]
    Time,
    /// No name can match the line.
    #[error("its key stands for no name that ssh-keygen would accept (negated, or after a byte order mark)")]
    Nameless,
}

impl AllowedSigners {
    /// Reads the file. Lines that can't be read stay in it; a file without any other is an error that names the first.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lines: Vec<Line> =
            (1..).zip(text.split_inclusive('\n')).filter_map(|(n, line)| Line::read(n, line)).collect();
        match lines.iter().find(|line| line.entry.is_ok()).or(lines.first()) {
            None => Err("names nobody".to_owned()),
            Some(Line { number, entry: Err(reason), .. }) => Err(format!("line {number}: {reason}")),
            Some(_) => Ok(AllowedSigners(lines)),
        }
    }

    /// The lists of principals of a signature that was made at `at`: one for each line of the key.
    pub fn principals(&self, seal: &Seal, at: Timestamp) -> Result<Vec<String>, NotAllowed> {
        let read = self.0.iter().filter_map(|line| Some((line, line.entry.as_ref().ok()?)));
        let of_key: Vec<_> = read
            .filter(|(_, entry)| !entry.certificates)
            .filter(|(_, entry)| entry.key.as_ref().is_some_and(|key| key.key_data() == seal.key.key_data()))
            .collect();
        let for_role: Vec<_> = of_key.iter().filter(|(_, entry)| entry.serves(seal.role.namespace())).collect();
        let valid: Vec<_> = for_role.iter().filter(|(_, entry)| entry.valid(at)).collect();
        let named: Vec<String> = valid.iter().filter_map(|(line, _)| line.names()).collect();
        let unreadable = self.0.iter().find(|line| line.entry.is_err());
        match (named.is_empty(), unreadable) {
            (false, _) => Ok(named),
            _ if !valid.is_empty() => Err(NotAllowed::Nameless),
            _ if !for_role.is_empty() => Err(NotAllowed::Time),
            _ if !of_key.is_empty() => Err(NotAllowed::Namespace),
            (true, Some(line)) => Err(NotAllowed::Unreadable(line.number)),
            (true, None) => Err(NotAllowed::Unknown),
        }
    }

    /// Whether a name may match both of two lists of principals.
    pub fn share(one: &[String], other: &[String]) -> bool {
        one.iter().any(|one| other.iter().any(|other| may_share(one, other)))
    }
}

impl Entry {
    fn serves(&self, namespace: &str) -> bool {
        self.namespaces.as_ref().is_none_or(|list| matches_list(namespace, list))
    }

    /// To the second, both ends included.
    fn valid(&self, at: Timestamp) -> bool {
        self.valid_after.is_none_or(|from| at.as_second() >= from.as_second())
            && self.valid_before.is_none_or(|until| at.as_second() <= until.as_second())
    }
}

impl Line {
    /// The line's principals, if ssh-keygen finds the line under one of them.
    fn names(&self) -> Option<String> {
        let principals = self.principals.as_str();
        let named = |name: &str| !name.starts_with(['!', BYTE_ORDER_MARK]) && matches_list(name, principals);
        principals
            .split(',')
            .find(|name| named(name))
            .map(|_| principals.trim_start_matches(BYTE_ORDER_MARK).to_owned())
    }

    fn read(number: usize, line: &str) -> Option<Self> {
        let line = line.trim_start_matches(BLANK);
        if line.is_empty() || line.starts_with('#') {
            return None;
        }
        let nameless = |reason| Line { number, principals: String::new(), entry: Err(reason) };
        let Some((principals, rest)) = word(line) else { return Some(nameless("is not a name and a key")) };
        Some(Line { number, principals, entry: entry(rest) })
    }
}

/// The first word, without quotes around its end, and what follows the blanks after it.
fn word(text: &str) -> Option<(String, &str)> {
    let (first, rest) = text.split_at(text.find(|c| BLANK.contains(&c) || c == '"')?);
    match rest.strip_prefix('"') {
        Some(rest) => {
            let (quoted, rest) = rest.split_once('"')?;
            Some((format!("{first}{quoted}"), rest.trim_start_matches(BLANK)))
        }
        None => Some((first.to_owned(), rest.trim_start_matches(BLANK))),
    }
}

/// Options, if any, and a key.
fn entry(text: &str) -> Result<Entry, &'static str> {
    if let Some(key) = key(text) {
        return Ok(Entry { key, ..Entry::default() });
    }
    let end = options_end(text).ok_or("has an open quote in its options")?;
    let (options, rest) = text.split_at(end);
    let mut entry = parse_options(options)?;
    entry.key = key(rest.trim_start_matches([' ', '\t'])).ok_or("has no key that can be read")?;
    Ok(entry)
}

/// A key; the inner none is one of a kind that signs nothing here.
fn key(text: &str) -> Option<Option<PublicKey>> {
    let mut words = text.splitn(2, [' ', '\t']);
    let kind = words.next()?;
    let encoded = words.next()?.trim_start_matches([' ', '\t']).split([' ', '\t']).next()?;
    let encoded: String = encoded.split_whitespace().collect();
    if let Ok(key) = PublicKey::from_openssh(&format!("{kind} {encoded}")) {
        return Some(Some(key));
    }
    let foreign = kind.ends_with("-cert-v01@openssh.com") || kind.starts_with("sk-");
    (foreign && !encoded.is_empty()).then_some(None)
}

/// The blank that ends the options.
fn options_end(text: &str) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        match c {
            ' ' | '\t' if !quoted => return Some(at),
            '"' if !escaped => quoted = !quoted,
            _ => {}
        }
        escaped = c == '\\';
    }
    (!quoted).then_some(text.len())
}

fn parse_options(mut text: &str) -> Result<Entry, &'static str> {
    let mut entry = Entry::default();
    let mut seen = Vec::new();
    while !text.is_empty() {
        if let Some(rest) = strip_prefix_of_any_case(text, "cert-authority") {
            (entry.certificates, text) = (true, rest);
        } else {
            let names = ["namespaces", "valid-after", "valid-before"];
            let found =
                names.iter().find_map(|name| Some((*name, strip_prefix_of_any_case(text, name)?.strip_prefix('=')?)));
            let (name, value) = found.ok_or("has an option that is not known")?;
            let (value, rest) = dequoted(value).ok_or("has a value without quotes around it")?;
            if seen.contains(&name) {
                return Err("has an option twice");
            }
            seen.push(name);
            text = rest;
            match name {
                "namespaces" => entry.namespaces = Some(value),
                "valid-after" => entry.valid_after = Some(stamp(&value).ok_or("has no time after valid-after")?),
                _ => entry.valid_before = Some(stamp(&value).ok_or("has no time after valid-before")?),
            }
        }
        if text.is_empty() {
            break;
        }
        text = text.strip_prefix(',').filter(|rest| !rest.is_empty()).ok_or("has an option that is not known")?;
    }
    match (entry.valid_after, entry.valid_before) {
        (Some(after), Some(before)) if before <= after => Err("ends before it begins"),
        _ => Ok(entry),
    }
}

fn strip_prefix_of_any_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

/// A value in double quotes, of which `\"` is one inside; and what follows it.
fn dequoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let (piece, after) = rest.split_once('"')?;
        rest = after;
        match piece.strip_suffix('\\') {
            Some(piece) => value.push_str(&format!("{piece}\"")),
            None => return Some((value + piece, rest)),
        }
    }
}

/// `YYYYMMDD`, `YYYYMMDDHHMM` or `YYYYMMDDHHMMSS`; in this machine's own time without `Z` or `UTC` after it.
fn stamp(text: &str) -> Option<Timestamp> {
    let utc = ["Z", "z"].iter().find_map(|zone| text.strip_suffix(zone)).or_else(|| {
        let (digits, zone) = text.split_at_checked(text.len().checked_sub(3)?)?;
        zone.eq_ignore_ascii_case("utc").then_some(digits)
    });
    let (digits, zone) = utc.map_or((text, TimeZone::system()), |digits| (digits, TimeZone::UTC));
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<i16>().ok());
    let part = |from: usize| number(from, from + 2).and_then(|value| i8::try_from(value).ok());
    let date = Date::new(number(0, 4)?, part(4)?, part(6)?).ok()?;
    let time = match digits.len() {
        8 => Time::midnight(),
        12 => Time::new(part(8)?, part(10)?, 0, 0).ok()?,
        14 => Time::new(part(8)?, part(10)?, part(12)?, 0).ok()?,
        _ => return None,
    };
    zone.to_timestamp(date.to_datetime(time)).ok()
}

#[cfg(test)]
mod tests {
    use super::{super::role::Role, *};

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    fn seal(role: Role) -> Seal {
        Seal { role, key: PublicKey::from_openssh(KEY).expect("a key") }
    }

    fn ask(line: &str, role: Role, at: &str) -> Result<String, NotAllowed> {
        let allowed = AllowedSigners::parse(line).expect("readable");
        allowed.principals(&seal(role), at.parse().expect("a time")).map(|lists| lists.join(" "))
    }

    #[test]
    fn a_key_stands_for_its_principals() {
        let now = "2026-11-24T00:00:00Z";
        assert_eq!(ask(&format!("# who\n\nops@x {KEY} laptop"), Role::Operator, now).as_deref(), Ok("ops@x"));
        assert_eq!(ask(&format!("\"a b\" {KEY}"), Role::Reviewer, now).as_deref(), Ok("a b"));
        assert_eq!(ask(&format!("a,b {KEY}\nc {KEY}"), Role::Reviewer, now).as_deref(), Ok("a,b c"));
        let other = KEY.replace("LM+", "LN+");
        assert_eq!(ask(&format!("ops@x {other}"), Role::Operator, now), Err(NotAllowed::Unknown));
        assert_eq!(ask(&format!("!ops@x,!* {KEY}"), Role::Operator, now), Err(NotAllowed::Nameless));
        assert_eq!(ask(&format!("\u{feff}ops@x {KEY}"), Role::Operator, now), Err(NotAllowed::Nameless));
        assert_eq!(ask(&format!("ops@x cert-authority {KEY}"), Role::Operator, now), Err(NotAllowed::Unknown));
        assert_eq!(ask(&format!("a {KEY}\r\n"), Role::Operator, now).as_deref(), Ok("a"));
    }

    #[test]
    fn namespaces_and_times_bound_it() {
        let line =
            format!("a namespaces=\"git,walkaway-op*\",valid-after=\"20260101Z\",valid-before=\"202612310000Z\" {KEY}");
        assert!(ask(&line, Role::Operator, "2026-06-01T00:00:00Z").is_ok());
        assert_eq!(ask(&line, Role::Reviewer, "2026-06-01T00:00:00Z"), Err(NotAllowed::Namespace));
        for at in ["2025-12-31T23:59:59Z", "2026-12-31T00:00:01Z"] {
            assert_eq!(ask(&line, Role::Operator, at), Err(NotAllowed::Time), "{at}");
        }
        let negated = format!("a namespaces=\"walkaway-*,!walkaway-reviewer\" {KEY}");
        assert_eq!(ask(&negated, Role::Reviewer, "2026-06-01T00:00:00Z"), Err(NotAllowed::Namespace));
    }

    #[test]
    fn what_is_not_understood_is_an_error() {
        let bad = [
            String::new(),
            "a".into(),
            format!("a valid-after=20260101 {KEY}"),
            format!("a valid-after=\"2026\" {KEY}"),
        ];
        for text in bad {
            assert!(AllowedSigners::parse(&text).is_err(), "{text}");
        }
        let behind = |name: &str| ask(&format!("{name} what {KEY}\nb {KEY}"), Role::Operator, "2026-06-01T00:00:00Z");
        assert_eq!(["a", "*"].map(behind).map(|found| found.unwrap_or_default()), ["b", "b"]);
    }
}
