//! Rejects what must never be in a playbook: secrets, and text for a templating step.
//!
//! Runs over the whole tree before anything is decoded and removes the offending values, so that no later message
//! can repeat them. Comments are screened too, because the file goes into the evidence unchanged.
//! Leaves out values that only look suspicious: it knows a few unmistakable forms, it is not a secret scanner.

use super::problem::{Place, Problem, Problems, key_path};
use super::tree::{Entry, Node, Value};

const SECRET_HINT: &str = "write env:NAME or file:path instead, and replace the secret: it may have been seen";
const TEMPLATE_HINT: &str = "no templating; use env:NAME as the whole value";
/// Length of an AWS secret access key.
const AWS_SECRET_CHARS: usize = 40;

/// Screens the tree and the comments of the text it came from.
pub(super) fn screen(root: &mut Node, text: &str, problems: &Problems) {
    screen_node(root, "", "", problems);
    screen_comments(text, problems);
}

/// Names the kind of secret that `text` contains, if any.
#[must_use]
pub(crate) fn secret_in(text: &str) -> Option<&'static str> {
    if has_access_key_id(text) {
        return Some("an AWS access key id");
    }
    if has_private_key(text) {
        return Some("a private key");
    }
    if has_url_password(text) || has_password_setting(text) {
        return Some("a connection string with a password");
    }
    None
}

fn screen_node(node: &mut Node, key: &str, path: &str, problems: &Problems) {
    match &mut node.value {
        Value::Scalar { text, .. } => {
            if let Some(problem) = verdict(text, key, &node.mark.place(path)) {
                problems.add(problem);
                node.value = Value::Refused;
            }
        }
        Value::Sequence(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                screen_node(item, key, &format!("{path}[{index}]"), problems);
            }
        }
        Value::Mapping(entries) => entries.retain_mut(|entry| screen_entry(entry, path, problems)),
        Value::Refused => {}
    }
}

/// Screens one entry; false when its key has to be removed.
fn screen_entry(entry: &mut Entry, path: &str, problems: &Problems) -> bool {
    if let Some(problem) = verdict(&entry.key, "", &entry.mark.place(path)) {
        problems.add(problem);
        return false;
    }
    let path = key_path(path, &entry.key);
    screen_node(&mut entry.value, &entry.key, &path, problems);
    true
}

fn verdict(text: &str, key: &str, place: &Place) -> Option<Problem> {
    let aws_secret = is_aws_secret(text, key).then_some("an AWS secret access key");
    if let Some(secret) = secret_in(text).or(aws_secret) {
        return Some(secret_problem(secret, place));
    }
    let template = ["${", "{{"].iter().find(|open| text.contains(**open))?;
    let message = format!("holds `{template}`, which nothing here replaces");
    Some(Problem::at(place, message).hint(TEMPLATE_HINT))
}

fn secret_problem(secret: &str, place: &Place) -> Problem {
    Problem::at(place, format!("looks like {secret}; a playbook holds no secrets")).hint(SECRET_HINT)
}

/// Checks what follows a `#`. Lines that already have a problem are skipped: a `#` may be inside a value.
fn screen_comments(text: &str, problems: &Problems) {
    let known = problems.lines();
    for (index, line) in text.lines().enumerate() {
        let Some(column) = comment_column(line) else {
            continue;
        };
        let comment = line.chars().skip(column).collect::<String>();
        let place = Place { line: index + 1, column: column + 1, path: String::new() };
        if let Some(secret) = secret_in(&comment)
            && !known.contains(&place.line)
        {
            problems.add(secret_problem(secret, &place));
        }
    }
}

/// Where a comment may begin: at a `#` at the start or after white space; counted in characters from 0.
fn comment_column(line: &str) -> Option<usize> {
    let mut before = ' ';
    line.chars().position(|c| {
        let begins = c == '#' && before.is_whitespace();
        before = c;
        begins
    })
}

fn has_access_key_id(text: &str) -> bool {
    words(text, |c| c.is_ascii_alphanumeric()).any(|word| {
        word.len() == 20
            && (word.starts_with("AKIA") || word.starts_with("ASIA"))
            && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    })
}

fn has_private_key(text: &str) -> bool {
    text.split("-----BEGIN ")
        .skip(1)
        .any(|after| after.split("-----").next().is_some_and(|label| label.contains("PRIVATE KEY")))
}

/// `scheme://user:password@host`, also where the password holds a `/` that should have been escaped.
fn has_url_password(text: &str) -> bool {
    text.split("://").skip(1).any(|after| {
        let rest = after.split([' ', '\t', '\n', '\'', '"']).next().unwrap_or(after);
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if authority.contains('@') {
            return user_has_password(authority);
        }
        let port = authority.rsplit_once(':').map_or("", |(_, port)| port);
        rest.contains('@') && !port.bytes().all(|b| b.is_ascii_digit())
    })
}

fn user_has_password(authority: &str) -> bool {
    authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty())
}

/// `password=…` as in libpq's connection strings and URL parameters.
fn has_password_setting(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    ["password", "passwd", "pwd"].iter().any(|name| {
        lower.split(name).skip(1).any(|after| {
            let value = after.trim_start().strip_prefix('=').map(str::trim_start);
            value.is_some_and(|value| !value.is_empty())
        })
    })
}

fn is_aws_secret(text: &str, key: &str) -> bool {
    key.to_ascii_lowercase().contains("secret")
        && text.len() == AWS_SECRET_CHARS
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+/=".contains(&b))
}

fn words(text: &str, part: impl Fn(char) -> bool) -> impl Iterator<Item = &str> {
    text.split(move |c| !part(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unmistakable_secrets_are_found() {
        for text in [
            "AKIAIOSFODNN7EXAMPLE",
            "key=ASIAIOSFODNN7EXAMPLE;",
            "postgres://u:hunter2@db/x",
            "postgres://u:hun/ter2@db/x",
            "https://u:p@host:80/",
            "host=db password=hunter2",
            "postgres://db/x?password=hunter2",
            "-----BEGIN RSA PRIVATE KEY-----\nMII",
        ] {
            assert!(secret_in(text).is_some(), "{text}");
        }
    }

    #[test]
    fn ordinary_values_pass() {
        for text in [
            "AKIAIOSFODNN7EXAMPLEX",
            "akiaiosfodnn7example",
            "http://127.0.0.1:8333",
            "http://host:80/a@b",
            "postgres://user@db/x",
            "-----BEGIN CERTIFICATE-----",
            "the password is elsewhere",
            "sre@acme.example",
        ] {
            assert_eq!(secret_in(text), None, "{text}");
        }
    }

    #[test]
    fn values_and_keys_are_taken_out_and_comments_reported() {
        let text = "a: [\"AKIAIOSFODNN7EXAMPLE\"]\nAKIAIOSFODNN7EXAMPLE: 1\n# AKIAIOSFODNN7EXAMPLE\nb: \"x ${Y}\"\n";
        let problems = Problems::default();
        let mut root = super::super::yaml::parse(text, &problems).unwrap();
        screen(&mut root, text, &problems);
        let found = problems.into_sorted();
        let lines: Vec<usize> = found.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
        assert!(!format!("{found:?}{root:?}").contains("AKIA"));
    }
}
