//! Names and addresses that have been checked: a value of these types needs no further check.
//!
//! Each is made from text with [`str::parse`] and keeps exactly that text. Leaves out whether the resource exists.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::problem::{Wrong, shown};
use crate::domain::finding::changes_text_direction;

/// Makes a newtype over a string that only its check can build.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text as it was written.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = Wrong;

            fn from_str(text: &str) -> Result<Self, Wrong> {
                $check(text)?;
                Ok(Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = Wrong;

            fn try_from(text: String) -> Result<Self, Wrong> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_text!(
    /// Names a playbook across its runs: lower-case letters, digits and `-`, at most 63.
    PlaybookId,
    check_playbook_id
);
checked_text!(
    /// Names an asset within its playbook: lower-case letters, digits, `-` and `_`, at most 63. Safe as a file name.
    AssetId,
    check_asset_id
);
checked_text!(
    /// A bucket's name after the rules for general purpose buckets in the Amazon S3 user guide.
    BucketName,
    check_bucket
);
checked_text!(
    /// The identifier of an RDS instance or cluster, in lower case: letters, digits and `-`, at most 63.
    RdsId,
    check_rds_id
);
checked_text!(
    /// The number of an AWS account: twelve digits, of which the first may be zero.
    AccountId,
    check_account
);
checked_text!(
    /// A region such as `eu-central-1`. S3-compatible servers have names of their own, so only the letters are checked.
    Region,
    check_region
);
checked_text!(
    /// An `http` or `https` address of a server, without a user, a query or a fragment.
    Endpoint,
    check_endpoint
);
checked_text!(
    /// Non-empty text on one line.
    Line,
    check_line
);

/// A table by its schema and its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableName {
    schema: String,
    table: String,
}

impl TableName {
    /// The schema, unquoted.
    #[must_use]
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// The table's own name, unquoted.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }
}

impl FromStr for TableName {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Self, Wrong> {
        match text.split('.').collect::<Vec<_>>()[..] {
            [schema, table] if is_plain_name(schema) && is_plain_name(table) => {
                Ok(Self { schema: schema.to_owned(), table: table.to_owned() })
            }
            _ => Err(Wrong::new(format!("`{}` is not the name of a table", shown(text)))
                .hint("write schema.table, unquoted, as in public.orders")),
        }
    }
}

impl fmt::Display for TableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.table)
    }
}

impl Serialize for TableName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

fn is_plain_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['"', '\0']) && name.trim() == name
}

fn check_playbook_id(text: &str) -> Result<(), Wrong> {
    check_id(text, "-", "lower-case letters, digits and `-`, at most 63, beginning with a letter or digit")
}

fn check_asset_id(text: &str) -> Result<(), Wrong> {
    check_id(text, "-_", "lower-case letters, digits, `-` and `_`, at most 63, beginning with a letter or digit")
}

fn check_id(text: &str, marks: &str, rule: &str) -> Result<(), Wrong> {
    let fits = text.starts_with(is_lower_or_digit)
        && text.len() <= 63
        && text.chars().all(|c| is_lower_or_digit(c) || marks.contains(c));
    require(fits, || format!("`{}` is not an id", shown(text)), rule)
}

fn check_bucket(text: &str) -> Result<(), Wrong> {
    let letters = text.chars().all(|c| is_lower_or_digit(c) || c == '.' || c == '-');
    let ends = text.starts_with(is_lower_or_digit) && text.ends_with(is_lower_or_digit);
    let address = text.split('.').count() == 4 && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    let fits = (3..=63).contains(&text.len()) && letters && ends && !text.contains("..") && !address;
    require(
        fits,
        || format!("`{}` is not a bucket name", shown(text)),
        "3 to 63 lower-case letters, digits, `.` and `-`, as the provider shows it, without s3:// and without a key",
    )
}

/// After "Naming constraints in Amazon RDS" of its user guide; the service itself turns capitals into small letters.
fn check_rds_id(text: &str) -> Result<(), Wrong> {
    let letters = text.chars().all(|c| is_lower_or_digit(c) || c == '-');
    let fits = text.starts_with(|c: char| c.is_ascii_lowercase()) && letters && text.len() <= 63;
    require(
        fits && !text.contains("--") && !text.ends_with('-'),
        || format!("`{}` is not the identifier of an instance or cluster", shown(text)),
        "up to 63 lower-case letters, digits and `-`, beginning with a letter, without its domain",
    )
}

fn check_account(text: &str) -> Result<(), Wrong> {
    let fits = text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
    require(
        fits,
        || format!("`{}` is not an AWS account number", shown(text)),
        "twelve digits in quotes, as in \"123456789012\"",
    )
}

fn check_region(text: &str) -> Result<(), Wrong> {
    let fits = text.starts_with(is_lower_or_digit) && text.chars().all(|c| is_lower_or_digit(c) || c == '-');
    require(fits, || format!("`{}` is not a region", shown(text)), "a region's code, as in eu-central-1")
}

fn check_endpoint(text: &str) -> Result<(), Wrong> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let strange = |c: char| c.is_whitespace() || c.is_control() || "@?#\\\"".contains(c);
    require(
        is_authority(authority) && !text.contains(strange),
        || format!("`{}` is not the address of a server", shown(text)),
        "http:// or https://, a host, and if needed a port, as in http://127.0.0.1:8333; no user in it",
    )
}

fn is_authority(text: &str) -> bool {
    // The colons of an IPv6 address stand in brackets.
    let after_host = text.rfind(']').map_or(text, |end| &text[end..]);
    match after_host.rsplit_once(':') {
        Some((host, port)) => !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0),
        None => !text.is_empty(),
    }
}

fn check_line(text: &str) -> Result<(), Wrong> {
    let hint = "write one line of text";
    require(!text.trim().is_empty(), || "is empty".into(), hint)?;
    let one_line = !text.chars().any(|c| c.is_control() || changes_text_direction(c));
    require(one_line, || "has more than one line, or characters that steer a terminal or turn text".into(), hint)
}

fn require(fits: bool, message: impl FnOnce() -> String, hint: &str) -> Result<(), Wrong> {
    if fits {
        return Ok(());
    }
    Err(Wrong::new(message()).hint(hint))
}

fn is_lower_or_digit(c: char) -> bool {
    c.is_ascii_lowercase() || c.is_ascii_digit()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts<T: FromStr<Err = Wrong>>(good: &[&str], bad: &[&str]) {
        for text in good {
            assert!(text.parse::<T>().is_ok(), "{text} should be accepted");
        }
        for text in bad {
            let wrong = text.parse::<T>().err().unwrap_or_else(|| panic!("{text} should be refused"));
            assert!(wrong.hint.is_some(), "{text} has no hint");
        }
    }

    #[test]
    fn ids() {
        accepts::<PlaybookId>(&["a", "acme-aws-quarterly", "9"], &["", "-a", "a_b", "A", &"a".repeat(64)]);
        accepts::<AssetId>(&["a_b", "a-b"], &["_a", "a.b", "a/b", "..", "é"]);
    }

    #[test]
    fn addresses() {
        accepts::<BucketName>(
            &["abc", "a.b-c", "123"],
            &["ab", "Abc", "-abc", "abc.", "a..b", "10.0.0.1", "a_b", "s3://abc", &"a".repeat(64)],
        );
        accepts::<RdsId>(&["ledger-prod", "a1"], &["", "1a", "a_b", "A", "a--b", "a-", "a.b", &"a".repeat(64)]);
        accepts::<AccountId>(&["012345678901"], &["12345", "1234567890123", "12345678901a"]);
        accepts::<Region>(&["eu-central-1", "garage"], &["", "EU", "eu central"]);
        accepts::<Endpoint>(
            &["http://127.0.0.1:8333", "https://s3.local/base", "http://[::1]:9000", "http://[::1]"],
            &[
                "127.0.0.1:8333",
                "ftp://x",
                "http://",
                "http://:80",
                "http://h:x",
                "http://h:0",
                "http://u@h",
                "http://h?x=1",
            ],
        );
        accepts::<TableName>(&["public.orders", "a.B c"], &["orders", "a.b.c", ".a", "a.", "\"a\".b", "a. b"]);
        accepts::<Line>(&["reproducible", "كتاب"], &["", "  ", "a\nb", "gnp.\u{202e}fdp"]);
    }

    #[test]
    fn a_stored_id_is_checked_again() {
        assert!(serde_json::from_str::<AssetId>("\"a-b\"").is_ok());
        assert!(serde_json::from_str::<AssetId>("\"../b\"").is_err());
    }
}
