//! A playbook's settings for the account, documents and waivers, parsed.

use std::{collections::BTreeMap, path::PathBuf};

use jiff::civil::Date;
use serde::Serialize;

use super::asset::BucketSpec;
use crate::playbook::{
    document::{DocumentKind, NonCloud, Postcondition, Posture, Precondition, ReviewNote, Sizes},
    names::{AssetId, Line},
    path::path_text,
    quantity::{Age, Period},
    selector::Selector,
};

/// Everything about the account that is not an asset.
#[derive(Debug, Clone, Default, Serialize)]
pub struct AccountSpec {
    /// The change record that the run belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<Line>,
    /// Where the sizes of buckets come from.
    pub sizes: Sizes,
    /// What must hold before the transfer.
    pub preconditions: Vec<Precondition>,
    /// What is checked in the account.
    pub posture: Vec<Posture>,
    /// What must hold after the run.
    pub postconditions: Vec<Postcondition>,
    /// Documents that the evidence refers to.
    pub attest: Vec<Attest>,
    /// The contract's terms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// Whether the target may be a cloud machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_cloud: Option<NonCloud>,
    /// Whether the link-local metadata service may be asked.
    pub ask_metadata_service: bool,
    /// Waivers of findings.
    pub waivers: Vec<Waiver>,
}

/// Buckets that are selected when the run starts, by pattern and tags.
#[derive(Debug, Clone, Serialize)]
pub struct Selection {
    /// The prefix of the id of each resulting asset.
    pub id: AssetId,
    /// The pattern.
    #[serde(rename = "match")]
    pub selector: Selector,
    /// Tags that each must have.
    pub tags: BTreeMap<String, String>,
    /// How each is copied; its `bucket` is replaced.
    #[serde(skip)]
    pub like: BucketLike,
}

/// A bucket's settings without the bucket.
#[derive(Debug, Clone)]
pub struct BucketLike(pub(in crate::playbook) BucketSpec);

/// A waiver.
#[derive(Debug, Clone, Serialize)]
pub struct Waiver {
    /// The beginning of the finding.
    pub finding: Line,
    /// Why it is accepted.
    pub reason: Line,
    /// Its owner.
    pub owner: Line,
    /// The last day on which it holds.
    pub until: Date,
}

/// A document.
#[derive(Debug, Clone, Serialize)]
pub struct Attest {
    /// Names it in the evidence.
    pub id: AssetId,
    /// File or folder.
    #[serde(flatten)]
    pub place: DocumentPlace,
    /// What it is.
    pub kind: DocumentKind,
    /// Its date.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dated: Option<Date>,
    /// How old it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Age>,
    /// Whether notes of a review are needed.
    pub review_note: ReviewNote,
}

/// Where documents lie.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DocumentPlace {
    /// One.
    #[serde(serialize_with = "path_text")]
    File(PathBuf),
    /// All of a folder.
    #[serde(serialize_with = "path_text")]
    Folder(PathBuf),
}

/// The contract's terms.
#[derive(Debug, Clone, Serialize)]
pub struct Contract {
    /// The contract itself.
    #[serde(serialize_with = "path_text")]
    pub file: PathBuf,
    /// Notice.
    pub notice: Period,
    /// Transition.
    pub transition: Period,
    /// Retrieval.
    pub retrieval: Period,
}
