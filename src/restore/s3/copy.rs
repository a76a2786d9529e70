//! Reads restored objects back from the target.

use std::{collections::BTreeMap, io};

use aws_sdk_s3::{Client, operation::get_object::GetObjectOutput};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::server::{CallError, Server};
use crate::{
    aws::listing::{self, PageStart, Question},
    transfer::{
        listing::Course,
        object::{Answered, ListPage, Odd, RestoredBucket},
        properties::{ContentHeaders, Properties},
    },
};

/// Reads restored objects back from the target.
pub struct S3Copy {
    server: Server,
    runtime: Handle,
}

impl S3Copy {
    /// A reader; must be made where the runtime is.
    pub fn new(server: Server) -> Self {
        S3Copy { server, runtime: Handle::current() }
    }

    async fn get(&self, bucket: &str, key: &str) -> Result<GetObjectOutput, CallError> {
        let answer = self.server.client.get_object().bucket(bucket).key(key).send().await;
        answer.map_err(|error| CallError::of(&error))
    }

    async fn answered(&self, bucket: &str, key: &str, with_tags: bool) -> Result<Answered, CallError> {
        let mut answer = self.get(bucket, key).await?;
        let mut hasher = Sha256::new();
        let mut size = 0;
        let mut properties = answered_properties(&answer);
        while let Some(piece) = answer.body.try_next().await.map_err(|error| CallError::broken(&error))? {
            size += piece.len() as u64;
            hasher.update(&piece);
        }
        if with_tags || answer.tag_count.is_some_and(|count| count > 0) {
            properties.tags = self.tags(bucket, key).await?;
        }
        Ok(Answered { size, sha256: hasher.into(), properties })
    }

    async fn tags(&self, bucket: &str, key: &str) -> Result<BTreeMap<String, String>, CallError> {
        let answer = self.server.client.get_object_tagging().bucket(bucket).key(key).send().await;
        let answer = answer.map_err(|error| CallError::of(&error))?;
        Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    async fn list(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
        let mut from = PageStart::Beginning;
        let mut course = Course::default();
        loop {
            let page = self.server.attempt(Some(bucket), || page(&self.server.client, bucket, &from)).await?;
            course.check(&page).map_err(io::Error::other)?;
            course.take(&page);
            // A key that can't be decoded is not walkaway's, and must not be ignored.
            let odd = page.odd.into_iter().filter(|entry| entry.odd != Odd::Undated).map(|entry| entry.key);
            page.entries.into_iter().map(|entry| entry.key).chain(odd).for_each(&mut *take);
            if page.next.is_none() {
                return Ok(());
            }
            from = PageStart::parse(page.next.as_deref());
        }
    }
}

/// A page of the objects in a bucket.
pub(super) async fn page(client: &Client, bucket: &str, from: &PageStart) -> Result<ListPage, CallError> {
    listing::ask_for_objects(client, Question { bucket, prefix: "", from }).await.map_err(CallError::of_page)
}

/// The restored properties in a GET response.
fn answered_properties(answer: &GetObjectOutput) -> Properties {
    let text = |value: Option<&str>| value.map(str::to_owned);
    let metadata = answer.metadata().into_iter().flatten();
    Properties {
        headers: ContentHeaders {
            content_type: text(answer.content_type()),
            content_encoding: text(answer.content_encoding()),
            content_language: text(answer.content_language()),
            content_disposition: text(answer.content_disposition()),
            cache_control: text(answer.cache_control()),
            expires: text(answer.expires_string()),
        },
        metadata: metadata.map(|(name, value)| (name.clone(), value.clone())).collect(),
        website_redirect: text(answer.website_redirect_location()),
        ..Properties::default()
    }
}

impl RestoredBucket for S3Copy {
    fn read_back(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered> {
        let read = self.server.attempt(Some(bucket), || self.answered(bucket, key, with_tags));
        Ok(self.runtime.block_on(read)?)
    }

    fn size(&self, bucket: &str, key: &str) -> io::Result<u64> {
        let head = self.server.call(Some(bucket), || self.server.client.head_object().bucket(bucket).key(key).send());
        let size = self.runtime.block_on(head)?.content_length.and_then(|size| u64::try_from(size).ok());
        size.ok_or_else(|| io::Error::other("the server names no size"))
    }

    fn content(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>> {
        let collect = || async {
            let body = self.get(bucket, key).await?.body.collect().await;
            body.map_err(|error| CallError::broken(&error))
        };
        Ok(self.runtime.block_on(self.server.attempt(Some(bucket), collect))?.to_vec())
    }

    fn each_key(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
        self.runtime.block_on(self.list(bucket, take))
    }
}
