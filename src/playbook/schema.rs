//! The JSON Schema of a playbook, made from the types that the YAML is decoded into.
//!
//! Leaves out what a schema cannot express, such as dangling references: a file that matches the schema may still
//! be invalid, never vice versa.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::document::Document;

/// The JSON Schema (draft 2020-12) for a playbook; without an `$id`, so that it can be kept beside the file.
#[must_use]
pub(crate) fn schema() -> Value {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Document>().to_value()
}
