//! The tags of objects. An object states their number, to callers who may read them (Amazon S3 API reference,
//! `GetObject`, `x-amz-tagging-count`); a server or a proxy that omits the number must not make tags disappear.
//!
//! That an object states no number means that it has none only where some object states one; on AWS itself it always does.
//! Elsewhere each object is asked about until one states a number. What could not be read is told of each object.

use std::{collections::BTreeMap, sync::atomic::Ordering::Relaxed};

use futures_util::StreamExt as _;
use http::StatusCode;

use super::{
    S3Source,
    read::{VERSION_ID, text, version_of},
};
use crate::{
    aws::{
        transport::{Body, Method, Request},
        xml,
    },
    transfer::{
        error::SourceError,
        object::ObjectEntry,
        properties::{Item, Properties},
        retry::{Backoff, retry},
    },
};

const ATTEMPTS_MAX: u32 = 3;
const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 1_000 };
/// S3 knows ten tags of 128 and 256 characters.
const DOCUMENT_BYTES_MAX: usize = 64 << 10;
/// The tags in a response, if it belongs to this request; or how it contradicts itself.
type Answer = Result<Option<BTreeMap<String, String>>, String>;

impl S3Source {
    /// The tags of an object; the headers state their number if it is more than 0.
    pub(super) async fn tags(
        &self,
        entry: &ObjectEntry,
        stated: u64,
        properties: &mut Properties,
    ) -> Result<(), SourceError> {
        let known = &self.tagging;
        if stated > 0 {
            known.is_counted.store(true, Relaxed);
        } else if known.is_none_unstated() {
            return Ok(());
        }
        let reason = match known.refusal.get().filter(|_| stated == 0) {
            Some(reason) => reason.clone(),
            None => match self.read_tags(entry, stated).await? {
                Ok(tags) => {
                    properties.tags = tags;
                    return Ok(());
                }
                Err(reason) => reason,
            },
        };
        properties.unreadable.insert(Item::Tags, reason);
        Ok(())
    }

    /// The tags, or why they are not to be known.
    async fn read_tags(
        &self,
        entry: &ObjectEntry,
        stated: u64,
    ) -> Result<Result<BTreeMap<String, String>, String>, SourceError> {
        let known = &self.tagging;
        let is_passing =
            |error: &SourceError| matches!(error, SourceError::Transient { .. } | SourceError::Throttled { .. });
        let asking = retry(ATTEMPTS_MAX, BACKOFF, is_passing, || self.ask_for_tags(entry));
        let (is_refused, reason) = match known.question.ask(&entry.key, asking).await? {
            Ok(Ok(Some(tags))) if stated == 0 || stated == tags.len() as u64 => {
                known.refused.store(0, Relaxed);
                known.is_known.store(true, Relaxed);
                known.is_counted.fetch_or(tags.is_empty() && self.is_aws, Relaxed);
                known.is_uncounted.fetch_or(stated == 0 && !tags.is_empty(), Relaxed);
                return Ok(Ok(tags));
            }
            // Some servers report in this way that there are none.
            Err(SourceError::NotFound { .. } | SourceError::Permanent { .. }) if stated == 0 => {
                return Ok(Ok(BTreeMap::new()));
            }
            Ok(Ok(Some(tags))) => (false, format!("the object states {stated}, the answer holds {}", tags.len())),
            Ok(Ok(None)) => (true, "the answer is no set of tags".to_owned()),
            Ok(Err(reason)) => (false, reason),
            Err(error) => (matches!(error, SourceError::Denied { .. }), error.detail()),
        };
        let reason = format!("reading tags: {reason}");
        if is_refused && stated == 0 {
            known.note_refusal(&reason);
        }
        Ok(Err(reason))
    }

    async fn ask_for_tags(&self, entry: &ObjectEntry) -> Result<Answer, SourceError> {
        let asked = version_of(entry);
        let request = Request {
            method: Method::Get,
            key: &entry.key,
            version_id: asked.as_deref(),
            question: Some("tagging"),
            headers: Vec::new(),
            accept_gzip: false,
        };
        let Some(answer) = self.transport.send_if_known(&request).await? else {
            if self.tagging.is_known.load(Relaxed) {
                return Ok(Err("the server does not answer this question about this object".to_owned()));
            }
            self.tagging.is_unknown.store(true, Relaxed);
            return Err(SourceError::NotFound { what: entry.key.clone() });
        };
        if let (Some(asked), Some(answered)) = (asked.as_deref(), text(&answer.headers, VERSION_ID))
            && asked != answered
        {
            return Ok(Err("the answer is about another version".to_owned()));
        }
        let broken = |reason| SourceError::Transient { what: entry.key.clone(), reason };
        if answer.status != StatusCode::OK {
            return Err(broken(format!("HTTP status {}: that is no answer", answer.status.as_u16())));
        }
        let body = document(answer.body).await.map_err(broken)?;
        let document = xml::parse(&body).map_err(|reason| broken(format!("the answer is not whole: {reason}")))?;
        Ok(in_document(&document.root))
    }
}

async fn document(mut body: Body) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        bytes.extend_from_slice(&piece?);
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err("the answer is longer than any set of tags".to_owned());
        }
    }
    Ok(bytes)
}

/// The tags in a document; none if it is another one: a server that does not know the call may answer something else.
fn in_document(root: &xml::Element) -> Answer {
    if root.name != "Tagging" {
        return Ok(None);
    }
    let mut sets = root.all("TagSet");
    let (Some(set), None) = (sets.next(), sets.next()) else {
        return Err("the answer does not hold one set of tags".to_owned());
    };
    let mut tags = BTreeMap::new();
    for tag in set.all("Tag") {
        let of = |name: &str| tag.text_of(name)?.map(str::to_owned).ok_or_else(|| format!("a tag has no {name}"));
        if tags.insert(of("Key")?, of("Value")?).is_some() {
            return Err("two tags have one key".to_owned());
        }
    }
    Ok(Some(tags))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_one_key_and_one_value() {
        let read = |document: &str| in_document(&xml::parse(document.as_bytes()).expect("whole").root);
        let set = |tags: &str| read(&format!("<Tagging><TagSet>{tags}</TagSet></Tagging>"));
        let tags = set("<Tag><Key>a&amp;b</Key><Value> 1&#10;</Value></Tag><Tag><Key>c</Key><Value/></Tag>");
        assert_eq!(tags, Ok(Some([("a&b", " 1\n"), ("c", "")].map(|(key, value)| (key.into(), value.into())).into())));
        assert_eq!(set(""), Ok(Some(BTreeMap::new())));
        for broken in [
            "<Tag><Key>a</Key></Tag>",
            "<Tag><Value>1</Value></Tag>",
            "<Tag><Key>a</Key><Value>1</Value><Value>2</Value></Tag>",
            "<Tag><Key>a</Key><Value>1</Value></Tag><Tag><Key>a</Key><Value>1</Value></Tag>",
        ] {
            assert!(set(broken).is_err(), "{broken}");
        }
        for broken in ["<Tagging/>", "<Tagging><TagSet/><TagSet/></Tagging>"] {
            assert!(read(broken).is_err(), "{broken}");
        }
        assert_eq!(read("<Error/>"), Ok(None));
    }
}
