//! IAM's credential report (IAM User Guide, "Getting credential reports"): a CSV of users, passwords, factors and keys.

use super::inventory::{AccessKey, User};
use crate::csv;

/// Every user of a report.
///
/// # Errors
/// What about the text is not a credential report.
pub fn users(report: &str) -> Result<Vec<User>, String> {
    let records = csv::parse_foreign(report).ok_or("it is not CSV")?;
    let (header, rows) = records.split_first().ok_or("it is empty")?;
    let column = |name: &str| header.iter().position(|title| title == name).ok_or(format!("no column {name}"));
    let (name, console, mfa) = (column("user")?, column("password_enabled")?, column("mfa_active")?);
    let key = |number: u8| {
        let part = |what: &str| column(&format!("access_key_{number}_{what}"));
        Ok::<_, String>((number, part("active")?, part("last_rotated")?, part("last_used_date")?))
    };
    let keys = [key(1)?, key(2)?];
    let user = |row: &Vec<String>| {
        let field = |at: usize| row.get(at).map_or("", String::as_str);
        let active = keys.iter().filter(|(_, active, ..)| field(*active) == "true");
        let keys = active.map(|(number, _, rotated, used)| AccessKey {
            number: *number,
            since: day(field(*rotated)),
            last_used: day(field(*used)),
        });
        User {
            name: field(name).to_owned(),
            console: field(console) == "true",
            mfa: field(mfa) == "true",
            keys: keys.collect(),
        }
    };
    Ok(rows.iter().map(user).collect())
}

/// The day of a time stamp; none for `N/A` and its kin.
fn day(text: &str) -> Option<String> {
    let day = text.get(..10)?;
    day.parse::<jiff::civil::Date>().ok().map(|day| day.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "user,arn,password_enabled,mfa_active,access_key_1_active,access_key_1_last_rotated,\
        access_key_1_last_used_date,access_key_2_active,access_key_2_last_rotated,access_key_2_last_used_date\n";

    #[test]
    fn active_keys_and_factors_are_read() {
        let report = format!("{HEADER}bob,arn,true,false,true,2026-01-02T03:04:05+00:00,N/A,false,N/A,N/A\n");
        let users = users(&report).unwrap();
        assert!(users[0].console && !users[0].mfa);
        let key = AccessKey { number: 1, since: Some("2026-01-02".into()), last_used: None };
        assert_eq!(users[0].keys, [key]);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        assert!(users("").is_err() && users("user,arn\nx,y\n").is_err());
    }
}
