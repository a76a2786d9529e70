//! The locale of a restored database: the source's provider, locale and rules, or the nearest that this machine
//! and its PostgreSQL have. Any difference is reported, because text is sorted and compared by it.

use postgres::{Client, error::SqlState};

use crate::pg::{
    PgError,
    catalog::LocaleFacts,
    name::{literal, quoted},
};

/// The first version whose CREATE DATABASE takes a provider (PostgreSQL 15 release notes).
const PROVIDERS_SINCE: u32 = 15;
/// The locale that every machine has.
const EVERYWHERE: &str = "C";

/// A locale of the source that the restored database lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingLocale {
    /// `locale en_US.UTF-8`, `ICU locale en-u-kn-true`.
    pub subject: String,
    /// The replacement, and what to install.
    pub detail: String,
}

/// Creates the database, the connection's first statement about it, in an encoding and with the first of the
/// locales that the server accepts.
pub(super) fn create(
    client: &mut Client,
    database: &str,
    encoding: &str,
    like: &LocaleFacts,
) -> Result<Vec<MissingLocale>, PgError> {
    let failed = |error: &postgres::Error| PgError::statement("CREATE DATABASE", error);
    let sql = "SELECT current_setting('server_version_num')::int8 / 10000";
    let major = client.query_one(sql, &[]).and_then(|row| row.try_get::<_, i64>(0)).map_err(|error| failed(&error))?;
    let mut refused = None;
    for tried in nearest(like) {
        let options = options(&tried, major >= i64::from(PROVIDERS_SINCE));
        let encoding = literal(encoding);
        let sql = format!("CREATE DATABASE {} TEMPLATE template0 ENCODING {encoding} {options}", quoted(database));
        match client.batch_execute(&sql) {
            Ok(()) => return Ok(missing(like, &tried)),
            Err(error) if error.code().is_some_and(is_about_locale) => {
                refused.get_or_insert(failed(&error));
            }
            Err(error) => return Err(failed(&error)),
        }
    }
    Err(refused.unwrap_or_else(|| PgError::answer("CREATE DATABASE", "no locale to try")))
}

/// Codes of a locale that is not on the machine, that does not fit the encoding, and of a provider that the server was
/// built without.
fn is_about_locale(code: &SqlState) -> bool {
    [SqlState::WRONG_OBJECT_TYPE, SqlState::INVALID_PARAMETER_VALUE, SqlState::FEATURE_NOT_SUPPORTED].contains(code)
}

/// The source's, and others that are increasingly unlike it.
fn nearest(like: &LocaleFacts) -> Vec<LocaleFacts> {
    let plain =
        |of: &LocaleFacts| LocaleFacts { collate: EVERYWHERE.to_owned(), ctype: EVERYWHERE.to_owned(), ..of.clone() };
    let of_library = LocaleFacts { provider: LocaleFacts::LIBRARY, locale: None, rules: None, ..like.clone() };
    let mut nearest = vec![like.clone(), plain(like), of_library.clone(), plain(&of_library)];
    nearest.dedup();
    nearest
}

fn options(locale: &LocaleFacts, names_provider: bool) -> String {
    let mut options = format!("LC_COLLATE {} LC_CTYPE {}", literal(&locale.collate), literal(&locale.ctype));
    let named = locale.locale.as_deref().map(literal).unwrap_or_default();
    match locale.provider {
        LocaleFacts::ICU => options.push_str(&format!(" LOCALE_PROVIDER icu ICU_LOCALE {named}")),
        LocaleFacts::BUILTIN => options.push_str(&format!(" LOCALE_PROVIDER builtin BUILTIN_LOCALE {named}")),
        _ if names_provider => options.push_str(" LOCALE_PROVIDER libc"),
        _ => {}
    }
    if let Some(rules) = &locale.rules {
        options.push_str(&format!(" ICU_RULES {}", literal(rules)));
    }
    options
}

fn missing(like: &LocaleFacts, made: &LocaleFacts) -> Vec<MissingLocale> {
    let effect = "text is sorted, compared and changed in case otherwise than at the source";
    let mut missing = Vec::new();
    if made.provider != like.provider {
        let locale = like.locale.as_deref().unwrap_or_default();
        let (subject, install) = match like.provider {
            LocaleFacts::ICU => (
                format!("ICU locale {locale}"),
                "install a PostgreSQL that is built with ICU (Debian, Ubuntu: apt-get install postgresql)",
            ),
            _ => (
                format!("builtin locale {locale}"),
                "install a PostgreSQL of the source's major version or a later one",
            ),
        };
        let detail = format!("{} serves instead: {effect}; {install}, and drill again", made.collate);
        missing.push(MissingLocale { subject, detail });
    }
    for (of, here) in [(&like.collate, &made.collate), (&like.ctype, &made.ctype)] {
        let subject = format!("locale {of}");
        if of != here && missing.iter().all(|other| other.subject != subject) {
            let detail = format!(
                "it is not on this machine and {here} serves instead: {effect}; install it (Debian, Ubuntu: apt-get \
                 install locales-all), and drill again"
            );
            missing.push(MissingLocale { subject, detail });
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locale(provider: char, library: &str, name: Option<&str>, rules: Option<&str>) -> LocaleFacts {
        LocaleFacts {
            provider,
            collate: library.to_owned(),
            ctype: library.to_owned(),
            locale: name.map(str::to_owned),
            rules: rules.map(str::to_owned),
        }
    }

    #[test]
    fn a_database_is_made_with_the_providers_locale_and_rules() {
        let library = "LC_COLLATE 'C' LC_CTYPE 'C'";
        for (of, major_names_it, sql) in [
            (locale('c', "C", None, None), false, ""),
            (locale('c', "C", None, None), true, " LOCALE_PROVIDER libc"),
            (
                locale('i', "C", Some("de"), Some("&a < b")),
                true,
                " LOCALE_PROVIDER icu ICU_LOCALE 'de' ICU_RULES '&a < b'",
            ),
            (locale('b', "C", Some("C.UTF-8"), None), true, " LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"),
        ] {
            assert_eq!(options(&of, major_names_it), format!("{library}{sql}"));
        }
    }

    #[test]
    fn what_serves_instead_is_nearest_first_and_named_with_what_to_install() {
        let source = locale('i', "en_US.UTF-8", Some("en-US"), None);
        let subjects =
            |made: &LocaleFacts| missing(&source, made).into_iter().map(|one| one.subject).collect::<Vec<_>>();
        let found: Vec<_> = nearest(&source).iter().map(subjects).collect();
        let icu = "ICU locale en-US".to_owned();
        let library = "locale en_US.UTF-8".to_owned();
        assert_eq!(found, [vec![], vec![library.clone()], vec![icu.clone()], vec![icu, library]]);
        let source = locale('c', "de_DE.UTF-8", None, None);
        let last = nearest(&source).pop().expect("C");
        let named = missing(&source, &last);
        assert_eq!(named.len(), 1);
        assert!(named[0].detail.contains("apt-get install locales-all"), "{}", named[0].detail);
    }
}
