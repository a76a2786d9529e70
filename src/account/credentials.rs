//! IAM's credential report (IAM User Guide, "Getting credential reports"): a CSV of users, passwords, factors and keys.

use std::collections::BTreeSet;

use super::inventory::{AccessKey, User};
use crate::csv;

/// The root user, which is in every report.
pub const ROOT: &str = "<root_account>";

/// Every user of a report.
///
/// # Errors
/// Why the text is not a complete credential report: a row that ends early would have no password and no keys.
pub fn users(report: &str) -> Result<Vec<User>, String> {
    let records = csv::parse_foreign(report).ok_or("it is not CSV")?;
    let (header, rows) = records.split_first().ok_or("it is empty")?;
    let column = |name: &str| header.iter().position(|title| title == name).ok_or(format!("no column {name}"));
    let name = column("user")?;
    let console = column("password_enabled")?;
    let mfa = column("mfa_active")?;
    let key = |number: u8| {
        let part = |what: &str| column(&format!("access_key_{number}_{what}"));
        Ok::<_, String>((number, part("active")?, part("last_rotated")?, part("last_used_date")?))
    };
    let keys = [key(1)?, key(2)?];
    let user = |row: &Vec<String>| {
        if row.len() != header.len() {
            return Err(format!("a row has {} fields, not {}", row.len(), header.len()));
        }
        let mut active = Vec::new();
        for (number, is_active, rotated, used) in &keys {
            if flag(&row[*is_active])? {
                active.push(AccessKey { number: *number, since: day(&row[*rotated]), last_used: day(&row[*used]) });
            }
        }
        Ok(User { name: row[name].clone(), console: flag(&row[console])?, mfa: flag(&row[mfa])?, keys: active })
    };
    let users = rows.iter().map(user).collect::<Result<Vec<_>, String>>()?;
    let names: BTreeSet<_> = users.iter().map(|user| user.name.as_str()).collect();
    if names.len() != users.len() {
        return Err("it names a user twice".to_owned());
    }
    if !names.contains(ROOT) {
        return Err("it has no row of the root user".to_owned());
    }
    Ok(users)
}

/// Whether something is on. The documentation writes the words in capitals, the reports do not.
fn flag(text: &str) -> Result<bool, String> {
    match text.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" | "not_supported" | "no_information" | "n/a" => Ok(false),
        _ => Err("a field is neither true nor false".to_owned()),
    }
}

/// The day of a time stamp; none for `N/A` and similar.
fn day(text: &str) -> Option<String> {
    let day = text.get(..10)?;
    day.parse::<jiff::civil::Date>().ok().map(|day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "user,arn,password_enabled,mfa_active,access_key_1_active,access_key_1_last_rotated,\
        access_key_1_last_used_date,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date\n";

    const ROOT_ROW: &str = "<root_account>,arn,not_supported,true,false,N/A,N/A,false,N/A,N/A\n";
    const BOB: &str = "bob,arn,true,false,true,2026-01-02T03:04:05+00:00,N/A,false,N/A,N/A\n";

    #[test]
    fn active_keys_and_factors_are_read() {
        for bob in [BOB.to_owned(), BOB.replace("true", "TRUE").replace("false", "FALSE")] {
            let users = users(&format!("{HEADER}{ROOT_ROW}{bob}")).unwrap();
            assert!(users[1].console && !users[1].mfa);
            let key = AccessKey { number: 1, since: Some("2026-01-02".into()), last_used: None };
            assert_eq!(users[1].keys, [key]);
        }
    }

    #[test]
    fn what_is_no_whole_report_is_refused() {
        assert!(users("").is_err() && users("user,arn\nx,y\n").is_err());
        let whole = format!("{HEADER}{ROOT_ROW}{BOB}");
        assert!(users(&whole).is_ok());
        for partial in [
            HEADER.to_owned(),
            format!("{HEADER}{BOB}"),
            format!("{whole}{BOB}"),
            format!("{whole}alice,arn,true\n"),
            whole.replace("bob,arn,true", "bob,arn,"),
            whole.replace("bob,arn,true", "bob,arn,yes"),
            whole.replace(",N/A\n", ",N/A,N/A\n").replacen(",N/A,N/A\n", ",N/A\n", 1),
        ] {
            assert!(users(&partial).is_err(), "{partial}");
        }
    }
}
