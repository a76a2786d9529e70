//! `coverage.csv`: what the run did with each thing of the account, one row each.

use crate::{
    account::coverage::{COLUMNS, Coverage},
    csv,
};

/// The whole file.
pub fn coverage_csv(coverage: &Coverage) -> String {
    let mut text = csv::record(COLUMNS);
    for row in &coverage.rows {
        let fields = row.fields();
        text.push_str(&csv::record(fields.iter().map(String::as_str)));
    }
    text
}
