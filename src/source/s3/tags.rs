//! The tags of objects. An object states their number, to callers who may read them (Amazon S3 API reference,
//! `GetObject`, `x-amz-tagging-count`); a server or a proxy that omits the number must not make tags disappear.

use std::{collections::BTreeMap, time::Duration};

use tokio::time::timeout;

use super::{
    S3Source,
    properties::UnstatedTags,
    read::{unread, version_of},
};
use crate::{
    aws::{error, response::RawBody, xml},
    transfer::{
        error::SourceError,
        object::ObjectEntry,
        properties::{Item, Properties},
    },
};

/// After this time, a missing response is not about the right to read tags.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

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
        if stated > 0 {
            return self.read_tags(entry, Some(stated), properties).await;
        }
        let reason = match self.tags_unstated.get_or_try_init(|| self.probe_tags(entry)).await {
            Ok(UnstatedTags::None) => return Ok(()),
            Ok(UnstatedTags::Unknown) => return self.read_tags(entry, None, properties).await,
            Ok(UnstatedTags::Denied(reason)) => reason.clone(),
            Err(reason) => reason,
        };
        properties.unreadable.insert(Item::Tags, reason);
        Ok(())
    }

    async fn read_tags(
        &self,
        entry: &ObjectEntry,
        stated: Option<u64>,
        properties: &mut Properties,
    ) -> Result<(), SourceError> {
        let mut unreadable = |reason: String| {
            properties.unreadable.insert(Item::Tags, format!("reading tags: {reason}"));
            Ok(())
        };
        match self.ask_for_tags(entry).await {
            Ok(Ok(Some(tags))) if stated.is_none_or(|stated| stated == tags.len() as u64) => {
                properties.tags = tags;
                Ok(())
            }
            Ok(Ok(None)) => unreadable("the answer is no set of tags".to_owned()),
            Ok(Ok(Some(tags))) => {
                let stated = stated.unwrap_or_default();
                unreadable(format!("the object states {stated}, the answer holds {}", tags.len()))
            }
            Ok(Err(reason)) => unreadable(reason),
            // Some servers report in this way that there are none.
            Err(SourceError::NotFound { .. }) if stated.is_none() => Ok(()),
            Err(error) => unread(properties, Item::Tags, error),
        }
    }

    /// Queries one object without a number. An outage proves nothing: the next object is queried. What fails
    /// otherwise is not queried again, it would cost a request for each object.
    async fn probe_tags(&self, entry: &ObjectEntry) -> Result<UnstatedTags, String> {
        let Ok(answer) = timeout(PROBE_TIMEOUT, self.ask_for_tags(entry)).await else { return Ok(UnstatedTags::None) };
        match answer {
            Ok(Ok(tags)) if tags.as_ref().is_none_or(BTreeMap::is_empty) => Ok(UnstatedTags::None),
            Ok(_) => Ok(UnstatedTags::Unknown),
            Err(denied @ SourceError::Denied { .. }) => Ok(UnstatedTags::Denied(denied.to_string())),
            Err(error @ SourceError::Unreached { .. }) => Err(error.to_string()),
            Err(error) if error.is_about_caller() => Err(error.to_string()),
            Err(_) => Ok(UnstatedTags::None),
        }
    }

    async fn ask_for_tags(&self, entry: &ObjectEntry) -> Result<Answer, SourceError> {
        let raw = RawBody::default();
        let request = self.client.get_object_tagging().bucket(&self.bucket).key(&entry.key);
        let request = request.set_version_id(version_of(entry)).customize().interceptor(raw.clone());
        let answer = request.send().await.map_err(|error| error::of("tags", error))?;
        if let (Some(asked), Some(answered)) = (version_of(entry), answer.version_id())
            && asked != answered
        {
            return Ok(Err("the answer is about another version".to_owned()));
        }
        Ok(in_document(&raw.bytes().unwrap_or_default()))
    }
}

/// The tags in a document; none if it is another one: a server that does not know the call returns something else.
/// The SDK reads one value of several, and none as an empty one.
fn in_document(body: &[u8]) -> Answer {
    let Some(root) = xml::parse(body).ok().map(|document| document.root).filter(|root| root.name == "Tagging") else {
        return Ok(None);
    };
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
        let set = |tags: &str| in_document(format!("<Tagging><TagSet>{tags}</TagSet></Tagging>").as_bytes());
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
            assert!(in_document(broken.as_bytes()).is_err(), "{broken}");
        }
        assert_eq!(
            ["", "<Error/>", "<Tagging>"].map(|other| in_document(other.as_bytes())),
            [Ok(None), Ok(None), Ok(None)]
        );
    }
}
