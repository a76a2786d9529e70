//! Keys under pseudonyms: a source whose listing names each object by the HMAC-SHA-256 of its key under a secret, in 64
//! hexadecimal digits. Everything downstream (sinks, receipts, findings, the journal) never sees the key.
//!
//! Errors of single objects lose the provider's message, which may contain the key.

use std::{fmt, sync::Arc};

use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture};

use super::{
    error::SourceError,
    object::{ByteRange, Described, ListPage, ObjectBody, ObjectEntry, ObjectSource},
    properties::Properties,
};
use crate::domain::digest::hmac_sha256;

/// The message whose HMAC identifies a secret.
pub(crate) const MARK_OF: &str = "walkaway pseudonyms";
const WITHHELD: &str = "the provider's words are left out, they may hold the key";

/// The secret, and values derived from it.
#[derive(Clone)]
pub(crate) struct Pseudonyms {
    secret: Arc<str>,
}

impl Pseudonyms {
    /// Pseudonyms under a secret.
    pub(crate) fn under(secret: &str) -> Self {
        Pseudonyms { secret: secret.into() }
    }

    /// The pseudonym of a key.
    pub(crate) fn of(&self, key: &str) -> String {
        hmac_sha256(self.secret.as_bytes(), key.as_bytes()).to_string()
    }

    /// Distinguishes secrets, and reveals nothing about them.
    pub(crate) fn mark(&self) -> String {
        self.of(MARK_OF)
    }

    fn pseudonymize(&self, mut entry: ObjectEntry) -> ObjectEntry {
        let pseudonym = self.of(&entry.key);
        entry.address = Some(std::mem::replace(&mut entry.key, pseudonym));
        entry
    }
}

impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms")
    }
}

/// A source that names its objects by pseudonyms.
pub(crate) struct Pseudonymous {
    source: Arc<dyn ObjectSource>,
    names: Pseudonyms,
}

impl Pseudonymous {
    /// Wraps a source.
    pub(crate) fn new(source: Arc<dyn ObjectSource>, names: Pseudonyms) -> Self {
        Pseudonymous { source, names }
    }
}

/// The entry as listed by the source.
fn with_real_key(entry: &ObjectEntry) -> ObjectEntry {
    let mut entry = entry.clone();
    if let Some(key) = entry.address.take() {
        entry.key = key;
    }
    entry
}

/// The error without any external text.
fn redacted(error: SourceError, pseudonym: &str) -> SourceError {
    let what = pseudonym.to_owned();
    let reason = WITHHELD.to_owned();
    match error {
        SourceError::NotFound { .. } => SourceError::NotFound { what },
        SourceError::Denied { .. } => SourceError::Denied { what, reason },
        SourceError::Credentials { .. } => SourceError::Credentials { what, reason },
        SourceError::NoCredentials { .. } => SourceError::NoCredentials { what, reason },
        SourceError::Changed { .. } => SourceError::Changed { what },
        SourceError::Archived { class, .. } => SourceError::Archived { what, class },
        SourceError::Corrupt { kind, .. } => SourceError::Corrupt { what, kind },
        SourceError::Throttled { .. } => SourceError::Throttled { what, reason },
        SourceError::Transient { .. } => SourceError::Transient { what, reason },
        SourceError::Unreached { .. } => SourceError::Unreached { what, reason },
        SourceError::Unranged { .. } => SourceError::Unranged { what, reason },
        SourceError::ClockSkew { .. } => SourceError::ClockSkew { what, reason },
        SourceError::Size { listed, served, .. } => SourceError::Size { what, listed, served },
        SourceError::Elsewhere { region, .. } => SourceError::Elsewhere { what, region },
        SourceError::Permanent { .. } => SourceError::Permanent { what, reason },
    }
}

/// The reason why a property could not be read is also the provider's text.
fn redacted_properties(mut properties: Properties) -> Properties {
    properties.unreadable.values_mut().for_each(|reason| *reason = WITHHELD.to_owned());
    properties
}

/// A listing's own errors name the bucket. What a provider answered may hold a key, whatever it means; what kept it from
/// answering holds none.
fn redacted_listing(error: SourceError) -> SourceError {
    let reason = WITHHELD.to_owned();
    match error {
        SourceError::Denied { what, .. } => SourceError::Denied { what, reason },
        SourceError::Credentials { what, .. } => SourceError::Credentials { what, reason },
        SourceError::ClockSkew { what, .. } => SourceError::ClockSkew { what, reason },
        SourceError::Throttled { what, .. } => SourceError::Throttled { what, reason },
        SourceError::Transient { what, .. } => SourceError::Transient { what, reason },
        SourceError::Unranged { what, .. } => SourceError::Unranged { what, reason },
        SourceError::Permanent { what, .. } => SourceError::Permanent { what, reason },
        error @ (SourceError::NotFound { .. }
        | SourceError::NoCredentials { .. }
        | SourceError::Changed { .. }
        | SourceError::Archived { .. }
        | SourceError::Corrupt { .. }
        | SourceError::Unreached { .. }
        | SourceError::Size { .. }
        | SourceError::Elsewhere { .. }) => error,
    }
}

impl ObjectSource for Pseudonymous {
    fn answers<'a>(&'a self) -> BoxFuture<'a, Result<(), SourceError>> {
        self.source.answers().map(|answered| answered.map_err(redacted_listing)).boxed()
    }

    fn list<'a>(&'a self, from: Option<&'a str>) -> BoxFuture<'a, Result<ListPage, SourceError>> {
        async move {
            let mut page = self.source.list(from).await.map_err(redacted_listing)?;
            page.odd.iter_mut().for_each(|entry| entry.key = self.names.of(&entry.key));
            Ok(ListPage {
                entries: page.entries.into_iter().map(|entry| self.names.pseudonymize(entry)).collect(),
                ..page
            })
        }
        .boxed()
    }

    fn open<'a>(
        &'a self,
        entry: &'a ObjectEntry,
        range: Option<ByteRange>,
    ) -> BoxFuture<'a, Result<ObjectBody, SourceError>> {
        async move {
            let opened = self.source.open(&with_real_key(entry), range).await;
            let body = opened.map_err(|error| redacted(error, &entry.key))?;
            let pseudonym = entry.key.clone();
            let pieces = body.pieces.map(move |piece| piece.map_err(|error| redacted(error, &pseudonym)));
            let properties = redacted_properties(body.properties);
            Ok(ObjectBody { pieces: pieces.boxed(), properties, ..body })
        }
        .boxed()
    }

    fn find<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Option<ObjectEntry>, SourceError>> {
        async move {
            let found = self.source.find(&with_real_key(entry)).await;
            Ok(found.map_err(|error| redacted(error, &entry.key))?.map(|found| self.names.pseudonymize(found)))
        }
        .boxed()
    }

    fn describe<'a>(&'a self, entry: &'a ObjectEntry) -> BoxFuture<'a, Result<Described, SourceError>> {
        async move {
            let described = self.source.describe(&with_real_key(entry)).await;
            let described = described.map_err(|error| redacted(error, &entry.key))?;
            Ok(Described { properties: redacted_properties(described.properties), ..described })
        }
        .boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transfer::properties::Item;

    #[test]
    fn a_pseudonym_hides_the_key_and_leads_back_to_it() {
        let names = Pseudonyms::under("a secret of this test");
        let veiled = names.pseudonymize(ObjectEntry { key: "a/b".into(), size: 1, ..ObjectEntry::default() });
        assert_eq!(veiled.key, names.of("a/b"));
        assert_ne!(names.of("a/b"), Pseudonyms::under("another").of("a/b"));
        assert_eq!(with_real_key(&veiled).key, "a/b");
        assert_eq!(format!("{names:?}"), "Pseudonyms");
    }

    #[test]
    fn reasons_of_what_could_not_be_read_lose_the_provider_s_words() {
        let reason = "not authorized to perform: s3:GetObjectTagging on resource: arn:aws:s3:::bucket/a/b".to_owned();
        let properties = Properties { unreadable: [(Item::Tags, reason)].into(), ..Properties::default() };
        assert_eq!(redacted_properties(properties).unreadable, [(Item::Tags, WITHHELD.to_owned())].into());
    }

    #[test]
    fn errors_say_what_happened_and_not_to_what() {
        let told = |error| redacted(error, "0f").to_string();
        let what = "a/b".to_owned();
        let reason = "no right to a/b".to_owned();
        assert_eq!(
            told(SourceError::Denied { what: what.clone(), reason }),
            format!("access to 0f denied: {WITHHELD}")
        );
        assert_eq!(told(SourceError::Changed { what }), "0f changed since it was listed");
        let reason = || "InternalError: no place behind a/b".to_owned();
        let what = || "the listing of bucket x".to_owned();
        for error in [
            SourceError::Transient { what: what(), reason: reason() },
            SourceError::Throttled { what: what(), reason: reason() },
            SourceError::Denied { what: what(), reason: reason() },
            SourceError::Permanent { what: what(), reason: reason() },
        ] {
            assert!(!redacted_listing(error).to_string().contains("a/b"));
        }
    }
}
