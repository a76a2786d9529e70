//! The parts of the schema that the target refused, and why they are not created otherwise.

use crate::pg::{
    sqlstate::{INSUFFICIENT_PRIVILEGE, INVALID_FUNCTION_DEFINITION},
    wire::WireError,
};

/// A statement that the target refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefusedStatement {
    /// The object, as named in the archive.
    pub object: String,
    /// The server's message.
    pub reason: String,
    /// The object of a statement of the schema; none of others.
    pub named: Option<SchemaName>,
}

/// An object of the schema by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaName {
    /// The archive's word for its kind.
    pub kind: String,
    /// `schema.name` as the catalog has them, without arguments; the name alone of what lies in no schema.
    pub path: String,
    /// The types of the arguments of routines and operators, as the archive has them: `integer, text`.
    pub arguments: Option<String>,
}

impl RefusedStatement {
    /// One about something other than an object of the schema.
    pub fn of(object: impl Into<String>, reason: impl Into<String>) -> Self {
        RefusedStatement { object: object.into(), reason: reason.into(), named: None }
    }
}

/// What to do about all of it.
const ELSEWHERE: &str = "restore into a server of yours whose login is a superuser, with `trust_source: true`, or waive \
                         this if nothing of yours is lost";

/// The server's message, with its meaning for the restoring role where only a superuser may do something.
pub(super) fn explained(kind: &str, error: &WireError) -> String {
    let why = match (error.code(), kind) {
        (Some(INSUFFICIENT_PRIVILEGE), "EXTENSION") => {
            "only a superuser may make it, and it is none of those that are known to give nothing of this machine away"
        }
        (Some(INSUFFICIENT_PRIVILEGE), "AGGREGATE" | "FUNCTION" | "LANGUAGE" | "PROCEDURE") => {
            "code of a language that is not trusted (C, internal and their like) runs as this machine's user, so it is never \
             made out of what a source says"
        }
        (Some(INVALID_FUNCTION_DEFINITION), "AGGREGATE") => {
            "only a superuser may make it: functions that were not written for each other could reach this machine's memory \
             through its state"
        }
        (Some(INSUFFICIENT_PRIVILEGE), "SHELL TYPE" | "TYPE") => {
            "only a superuser may make a type with input and output functions of its own, which reach this machine's memory"
        }
        (Some(INSUFFICIENT_PRIVILEGE), "FOREIGN TABLE") => {
            "only who may read this machine's files or run its programs may define it, and no restored role may"
        }
        (Some(INSUFFICIENT_PRIVILEGE), _) => "the restoring role may not create it",
        _ => return error.to_string(),
    };
    format!("{error}: {why}; {ELSEWHERE}")
}

/// Why a superuser does not create it, with a hint.
pub(super) fn unsafe_to_make(why: &str) -> String {
    format!("not made, because code of the source could leave the database by it: {why}; {ELSEWHERE}")
}
