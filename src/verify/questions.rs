//! Questions of the playbook to the restored database: each is one query that yields one value, asked in a read-only
//! transaction of its own, as the owner of what was restored.

use postgres::{Client, IsolationLevel};

use super::Comparison;
use crate::{
    finding::{Finding, FindingKind},
    pg::{Address, PgError},
};

/// How long a question may take.
const PATIENCE: &str = "10min";

/// One question, and what the answer must be.
pub struct Question {
    /// Its name.
    pub id: String,
    /// The query.
    pub sql: String,
    /// What is expected, in words.
    pub expected: String,
    /// Whether an answer is as expected.
    pub accepts: Box<dyn Fn(&str) -> bool>,
}

/// Asks all of them. A question that can't be asked has failed.
pub fn ask(asset: &str, questions: &[Question], target: &Address) -> Result<Comparison, PgError> {
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

/// Names are looked up where the database itself says; the wrapping lets only a query through.
fn answer(client: &mut Client, sql: &str) -> Result<Option<String>, postgres::Error> {
    let sql = sql.trim().trim_end_matches(';');
    let mut transaction =
        client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true).start()?;
    transaction
        .batch_execute(&format!("SET LOCAL statement_timeout = '{PATIENCE}'; SET LOCAL search_path TO DEFAULT"))?;
    let row = transaction.query_one(&format!("SELECT q.v::pg_catalog.text FROM (\n{sql}\n) AS q (v)"), &[]);
    let answer = row.and_then(|row| row.try_get(0));
    transaction.rollback()?;
    answer
}

/// A number says enough and is no row's secret; anything else might be one.
fn shown(answer: Option<String>) -> String {
    match answer {
        Some(answer) if answer.parse::<f64>().is_ok() => answer,
        Some(_) => "another text".to_owned(),
        None => "NULL".to_owned(),
    }
}
