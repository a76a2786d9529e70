//! `walkaway schema`: the JSON Schema of the playbook or of the result.

use super::{
    args::{SchemaArgs, SchemaOf},
    console::Console,
    explain::pretty,
};
use crate::{evidence::result::result_schema, exit_code::ExitCode, playbook, record::EngineError};

/// Prints the schema.
pub(super) fn schema(console: &Console, args: &SchemaArgs) -> Result<ExitCode, EngineError> {
    match args.of {
        SchemaOf::Playbook => pretty(console, &playbook::schema()),
        SchemaOf::Result => pretty(console, &result_schema()),
    }
}
