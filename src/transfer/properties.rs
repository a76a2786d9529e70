//! The properties of an object at a provider, beside its bytes, and what happened to each of them in an exit.
//!
//! Nothing here depends on how a provider states them, or how a sink restores them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! text_fields {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $field:ident,)* }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub struct $name {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub $field: Option<String>,
            )*
        }
    };
}

text_fields! {
    /// Headers that a GET answers with, word for word.
    ContentHeaders {
        /// `Content-Type`.
        content_type,
        /// `Content-Encoding`; the bytes are kept as they are stored.
        content_encoding,
        /// `Content-Language`.
        content_language,
        /// `Content-Disposition`.
        content_disposition,
        /// `Cache-Control`.
        cache_control,
        /// `Expires`.
        expires,
    }
}

text_fields! {
    /// How the provider encrypts the object.
    Encryption {
        /// `AES256`, `aws:kms`, `aws:kms:dsse`.
        algorithm,
        /// The key's ARN.
        kms_key,
        /// `true` if the bucket's key is used.
        bucket_key,
        /// The algorithm of a key that the customer holds.
        customer_algorithm,
    }
}

text_fields! {
    /// Protection of the object against deletion.
    Lock {
        /// `GOVERNANCE` or `COMPLIANCE`.
        mode,
        /// RFC 3339.
        retain_until,
        /// `ON` or `OFF`.
        legal_hold,
    }
}

/// All properties.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Properties {
    /// Content headers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub headers: ContentHeaders,
    /// User metadata by name, without the provider's prefix.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// User metadata that the provider keeps but can't return in a header.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_metadata: Option<u64>,
    /// Tags by name, where there are any and they could be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// Why tags or access control list could not be read.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unreadable: BTreeMap<Item, String>,
    /// Encryption at the provider.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encryption: Encryption,
    /// Object lock.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lock: Lock,
    /// The redirect target of a website.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub website_redirect: Option<String>,
    /// State of the replication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replication: Option<String>,
    /// When a lifecycle rule will remove it, as stated by the provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expiration: Option<String>,
    /// State of a restoration from an archive tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restoration: Option<String>,
    /// Checksums that the provider keeps, by name, in its notation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub checksums: BTreeMap<String, String>,
    /// The access control list, one grant each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acl: Vec<String>,
}

impl Properties {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }

    /// The existing parts.
    pub fn items(&self) -> impl Iterator<Item = Item> {
        let there = [
            (Item::ContentHeaders, !is_default(&self.headers)),
            (Item::Metadata, !self.metadata.is_empty()),
            (Item::Tags, !self.tags.is_empty()),
            (Item::Encryption, !is_default(&self.encryption)),
            (Item::Lock, !is_default(&self.lock)),
            (Item::WebsiteRedirect, self.website_redirect.is_some()),
            (Item::Replication, self.replication.is_some()),
            (Item::Expiration, self.expiration.is_some()),
            (Item::Restoration, self.restoration.is_some()),
            (Item::Checksums, !self.checksums.is_empty()),
            (Item::Acl, !self.acl.is_empty()),
        ];
        there.into_iter().filter(|(_, there)| *there).map(|(item, _)| item)
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// One property of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    /// The content.
    Bytes,
    /// A delete marker, with its place in the order.
    DeleteMarker,
    /// Id and order of a version.
    Version,
    /// The time of the last change.
    LastModified,
    /// The storage class.
    StorageClass,
    /// Content headers.
    ContentHeaders,
    /// User metadata.
    Metadata,
    /// User metadata that the provider can't return in a header.
    MissingMetadata,
    /// Tags.
    Tags,
    /// Encryption at the provider.
    Encryption,
    /// Object lock and legal hold.
    Lock,
    /// A website's redirection.
    WebsiteRedirect,
    /// Replication.
    Replication,
    /// Expiry by a lifecycle rule.
    Expiration,
    /// Restoration from an archive tier.
    Restoration,
    /// Checksums that the provider keeps.
    Checksums,
    /// The access control list.
    Acl,
}

/// What happened to a property of an object or a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Restored with the object.
    Carried,
    /// Recorded in the evidence, not restored.
    Recorded,
    /// Neither: the provider does not reveal it.
    Lost,
    /// It may exist; the caller is not allowed to see it, or the request failed.
    Unreadable,
}

/// What happened to each property of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Classes {
    /// Restored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub carried: Vec<Item>,
    /// In the record only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recorded: Vec<Item>,
    /// Neither.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lost: Vec<Item>,
    /// Could not be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unreadable: Vec<Item>,
}

impl Classes {
    /// Classifies the properties of an object, from its entry and beside its bytes, by what a sink restores.
    pub(super) fn of(of_entry: impl Iterator<Item = Item>, properties: &Properties, carried: &[Item]) -> Self {
        let mut classes = Classes { carried: vec![Item::Bytes], ..Classes::default() };
        for item in of_entry.chain(properties.items()) {
            let class = if carried.contains(&item) { &mut classes.carried } else { &mut classes.recorded };
            class.push(item);
        }
        classes.lost.extend(properties.missing_metadata.map(|_| Item::MissingMetadata));
        classes.unreadable.extend(properties.unreadable.keys());
        classes
    }

    /// Whether nothing is classified.
    pub fn is_empty(&self) -> bool {
        is_default(self)
    }

    /// How many are in each class.
    pub fn count(&self) -> ClassCount {
        ClassCount {
            carried: self.carried.len() as u64,
            recorded: self.recorded.len() as u64,
            lost: self.lost.len() as u64,
            unreadable: self.unreadable.len() as u64,
        }
    }
}

/// How many things are in each class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassCount {
    /// Restored.
    pub carried: u64,
    /// In the record only.
    pub recorded: u64,
    /// Neither.
    pub lost: u64,
    /// Could not be seen.
    pub unreadable: u64,
}

impl ClassCount {
    /// Adds one to a class.
    pub fn add_one(&mut self, class: Class) {
        match class {
            Class::Carried => self.carried += 1,
            Class::Recorded => self.recorded += 1,
            Class::Lost => self.lost += 1,
            Class::Unreadable => self.unreadable += 1,
        }
    }

    /// Adds another count.
    pub fn add(&mut self, other: ClassCount) {
        self.carried = self.carried.saturating_add(other.carried);
        self.recorded = self.recorded.saturating_add(other.recorded);
        self.lost = self.lost.saturating_add(other.lost);
        self.unreadable = self.unreadable.saturating_add(other.unreadable);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        domain::digest::Sha256Digest,
        transfer::{entry::ObjectEntry, provider_checksum::Confirmation, receipt::ObjectReceipt},
    };

    #[test]
    fn everything_that_is_there_gets_a_class() {
        let entry = ObjectEntry { key: "k".into(), storage_class: Some("STANDARD_IA".into()), ..Default::default() };
        let none = Confirmation::Unavailable("test".into());
        let receipt = ObjectReceipt::new(entry, "tree/k".into(), 0, Sha256Digest::of(""), none);
        let properties = Properties {
            metadata: BTreeMap::from([("a".into(), "1".into())]),
            missing_metadata: Some(2),
            unreadable: BTreeMap::from([(Item::Tags, "denied".into())]),
            website_redirect: Some("/x".into()),
            ..Properties::default()
        };
        let classes = receipt.with_properties(properties, &[Item::Metadata]).classes;
        assert_eq!(classes.carried, [Item::Bytes, Item::Metadata]);
        assert_eq!(classes.recorded, [Item::StorageClass, Item::WebsiteRedirect]);
        assert_eq!((classes.lost, classes.unreadable), (vec![Item::MissingMetadata], vec![Item::Tags]));
    }
}
