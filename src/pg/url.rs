//! Whether a connection string can be parsed in one way only.
//!
//! A password with a bare `@`, `/` or `?` would end up as host, database or parameter, and from there in messages. Such a
//! text is rejected; nothing of it is ever repeated, because any part of it may be the password.

use postgres::config::Host;

use super::error::PgError;

const SCHEMES: [&str; 2] = ["postgres://", "postgresql://"];
const AMBIGUOUS: &str =
    "an @, / or ? occurs where it may belong to the user or the password; there, write %40, %2F or %3F";
const NOT_UNDERSTOOD: &str = "it does not have the form of one, or it has a parameter that is not known or whose value is \
                              not possible; characters other than letters and digits in user and password are written as \
                              % and two hexadecimal digits";

/// Rejects a URL whose parts could be separated in two ways. The other form, `host=… user=…`, has quotes for that.
pub(super) fn check(text: &str) -> Result<(), PgError> {
    let Some(rest) = SCHEMES.iter().find_map(|scheme| text.strip_prefix(scheme)) else { return Ok(()) };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    match rest.matches('@').count() {
        0 => Ok(()),
        1 if authority.contains('@') => Ok(()),
        _ => Err(PgError::Url { reason: AMBIGUOUS.to_owned() }),
    }
}

/// Rejects invalid host names: something else is in the host's place.
pub(super) fn check_hosts(hosts: &[Host]) -> Result<(), PgError> {
    let is_name = |c: char| c.is_alphanumeric() || ".-_:%[]".contains(c);
    let plausible = |host: &Host| match host {
        Host::Tcp(name) => !name.is_empty() && name.chars().all(is_name),
        Host::Unix(_) => true,
    };
    if hosts.iter().all(plausible) { Ok(()) } else { Err(not_understood()) }
}

/// The error for an invalid connection string, without the parser's message, which may quote a part.
pub(super) fn not_understood() -> PgError {
    PgError::Url { reason: NOT_UNDERSTOOD.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::pg::Address;

    #[test]
    fn what_cannot_be_understood_in_one_way_is_refused_and_never_repeated() {
        for text in [
            "postgres://u:can@ary@db.example/shop",
            "postgres://u:can@ary@/shop",
            "postgres://u:p@canary@db.example:5432/shop",
            "postgres://u:pass/canary@db.example/shop",
            "postgres://u:12/canary@db.example/shop",
            "postgres://u:pass?canary@db.example/shop",
            "postgres://u:pass?canary=1@db.example/shop",
            "postgres://canary@x:p@db.example/shop",
            "postgres://u:canary@db example/shop",
            "postgres://u:p@db.example/shop?canary",
            "postgres://u:p@db.example/shop?canary=1",
            "postgres://u:p@db.example/shop?sslmode=canary",
            "postgres://u:p@db.example/shop?application_name=a@canary",
            "postgres://u:p@db.example:canary/shop",
            "postgres://u:p@[canary/shop",
            "postgres://u:canary",
            "postgres://canary",
            "postgres:/u:canary@db.example/shop",
            "mysql://u:canary@db.example/shop",
            "https://canary",
            "canary",
            "u:canary@db.example/shop",
            "host=db.example user=u password=two canary words",
            "host=db.example user=u password='can'ary' dbname=shop",
            "host=db.example user=u password='canary",
            "host=db.example user=u canary=1",
            "host=db.example user=u port=canary",
            "host='can ary' user=u",
            "",
        ] {
            let error = Address::parse(text).err().unwrap_or_else(|| panic!("{text} was taken"));
            let shown = format!("{error} {error:?} {:?}", error.hint());
            assert!(!shown.contains("canary") && !shown.contains("ary"), "{text}: {shown}");
        }
    }

    #[test]
    fn passwords_of_any_characters_can_be_written() {
        for text in [
            "postgres://u:a%40b%2Fc%3Fd%23e%20f%25@db.example:5432/shop",
            "postgres://u:a#b:c[d]!$&'()*+,;=~@db.example/shop",
            "postgresql://u@[::1]:5432/shop",
            "postgres://u@%2Frun%2Fpostgresql/shop",
            "postgres://db.example/shop?user=u&password=a%40b",
            "  postgres://u:p@db.example/shop\n",
            "host=db.example user=u password='a@b /?' dbname=shop",
        ] {
            let address = Address::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!((address.user_name(), address.database_name()), ("u", "shop"), "{text}");
        }
    }
}
