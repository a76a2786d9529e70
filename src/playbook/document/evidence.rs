//! The part of the document that says where the evidence goes and who signs it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::playbook::checked::Checked;

/// Where the evidence goes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::playbook) struct Evidence {
    /// The folder for the bundles; a relative path starts at the playbook's folder.
    #[schemars(extend("minLength" = 1))]
    pub path: Checked<String>,
    /// The operator's OpenSSH key, private or public; a public or encrypted one is used through ssh-agent. `~/` is the
    /// home folder.
    #[serde(default)]
    #[schemars(extend("minLength" = 1))]
    pub sign: Checked<String>,
    /// Address of an RFC 3161 time-stamp authority that stamps the signatures.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(https?://[^@?#\\s]+|env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub timestamp: Checked<String>,
    /// The secret under which keys of objects get pseudonyms in the evidence, as env:NAME or file:path; 32
    /// characters at least.
    #[serde(default)]
    #[schemars(extend("pattern" = "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"))]
    pub pseudonyms: Checked<String>,
    /// Whether each run names the digest of the previous run.
    #[serde(default)]
    pub previous: Checked<Previous>,
}

/// Whether runs form a chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Previous {
    /// The latest sealed run of this playbook in the evidence folder.
    #[default]
    Auto,
    /// None: every run is separate.
    None,
}
