//! The playbook's checks on the restored database: each is one query that yields one value, run in a read-only
//! transaction of its own, as the owner of the restored objects.

use postgres::{Client, IsolationLevel};

use super::Comparison;
use crate::{
    domain::finding::{Finding, FindingKind},
    pg::{Address, PgError},
};

/// How long a question may take.
const TIMEOUT: &str = "10min";

/// One check, and its expected answer.
pub(crate) struct Question {
    /// Its name.
    pub id: String,
    /// The query.
    pub sql: String,
    /// The expectation, as text.
    pub expected: String,
    /// Whether an answer is as expected.
    pub accepts: Box<dyn Fn(&str) -> bool>,
}

/// Runs all of them. A check that can't be run has failed.
pub(crate) fn ask(asset: &str, questions: &[Question], target: &Address) -> Result<Comparison, PgError> {
    let mut comparison = Comparison::new("checks");
    let mut client = target.connect()?;
    for question in questions {
        let finding = |detail: String| Some(Finding::of(asset, FindingKind::CheckFailed, &question.id, detail));
        comparison.compared(match answer(&mut client, &question.sql) {
            Ok(Some(answer)) if (question.accepts)(&answer) => None,
            Ok(answer) => finding(format!("expected {}, the answer is {}", question.expected, shown(answer))),
            Err(error) if crate::pg::error::connection_lost(&error) => {
                return Err(PgError::statement(format!("asking {}", question.id), &error));
            }
            Err(error) => finding(format!("expected {}: {}", question.expected, crate::pg::error::reason(&error))),
        });
    }
    Ok(comparison)
}

/// Names are looked up by the database's own search path; the wrapping allows only a query.
fn answer(client: &mut Client, sql: &str) -> Result<Option<String>, postgres::Error> {
    let sql = sql.trim().trim_end_matches(';');
    let mut transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()?;
    transaction
        .batch_execute(&format!("SET LOCAL statement_timeout = '{TIMEOUT}'; SET LOCAL search_path TO DEFAULT"))?;
    let row = transaction.query_one(&format!("SELECT q.v::pg_catalog.text FROM (\n{sql}\n) AS q (v)"), &[]);
    let answer = row.and_then(|row| row.try_get(0));
    transaction.rollback()?;
    answer
}

/// A number may be shown; anything else might reveal a row's secret.
fn shown(answer: Option<String>) -> String {
    match answer {
        Some(answer) if answer.parse::<f64>().is_ok() => answer,
        Some(_) => "another text".to_owned(),
        None => "NULL".to_owned(),
    }
}
