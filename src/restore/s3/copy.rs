//! Reads restored objects back from the target.

use std::{collections::BTreeMap, io};

use aws_sdk_s3::{Client, operation::get_object::GetObjectOutput, types::EncodingType};
use sha2::{Digest as _, Sha256};
use tokio::runtime::Handle;

use super::said::said;
use crate::{
    aws::{
        answer::RawAnswer,
        listing::{self, PageStart, Question},
    },
    transfer::{
        listing::Course,
        object::{Answered, ListPage, Odd, RestoredBucket},
        properties::{ContentHeaders, Properties},
    },
};

/// Reads restored objects back from the target.
pub struct S3Copy {
    client: Client,
    runtime: Handle,
}

impl S3Copy {
    /// A reader; must be made where the runtime is.
    pub fn new(client: Client) -> Self {
        S3Copy { client, runtime: Handle::current() }
    }

    async fn get(&self, bucket: &str, key: &str) -> io::Result<GetObjectOutput> {
        let answer = self.client.get_object().bucket(bucket).key(key).send().await;
        answer.map_err(|error| read_error(said(&error), error.raw_response().map(|answer| answer.status().as_u16())))
    }

    async fn answered(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered> {
        let (mut answer, mut hasher, mut size) = (self.get(bucket, key).await?, Sha256::new(), 0);
        let mut properties = answered_properties(&answer);
        while let Some(piece) = answer.body.try_next().await.map_err(io::Error::other)? {
            size += piece.len() as u64;
            hasher.update(&piece);
        }
        if with_tags || answer.tag_count.is_some_and(|count| count > 0) {
            properties.tags = self.tags(bucket, key).await?;
        }
        Ok(Answered { size, sha256: hasher.into(), properties })
    }

    async fn tags(&self, bucket: &str, key: &str) -> io::Result<BTreeMap<String, String>> {
        let answer = self.client.get_object_tagging().bucket(bucket).key(key).send().await;
        let answer = answer.map_err(|error| read_error(said(&error), None))?;
        Ok(answer.tag_set.into_iter().map(|tag| (tag.key, tag.value)).collect())
    }

    async fn list(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
        let (mut from, mut course) = (PageStart::Beginning, Course::default());
        loop {
            let page = page(&self.client, bucket, &from).await?;
            course.check(&page).map_err(io::Error::other)?;
            course.take(&page);
            // A key that can't be decoded is none of walkaway's, and not to be passed over.
            let odd = page.odd.into_iter().filter(|entry| entry.odd != Odd::Undated).map(|entry| entry.key);
            page.entries.into_iter().map(|entry| entry.key).chain(odd).for_each(&mut *take);
            if page.next.is_none() {
                return Ok(());
            }
            from = PageStart::parse(page.next.as_deref());
        }
    }
}

/// A page of what lies in a bucket.
pub(super) async fn page(client: &Client, bucket: &str, from: &PageStart) -> io::Result<ListPage> {
    let request = client.list_objects_v2().bucket(bucket).encoding_type(EncodingType::Url);
    let request = match from {
        PageStart::Token { token, .. } => request.continuation_token(token),
        PageStart::After(key) => request.start_after(key),
        PageStart::Beginning | PageStart::Marker { .. } => request,
    };
    let raw = RawAnswer::default();
    let answer = request.customize().interceptor(raw.clone()).send().await;
    let body = raw.of(answer).map_err(|error| read_error(said(&error), None))?;
    let wrong = |reason| io::Error::other(format!("the answer is not whole, or contradicts itself: {reason}"));
    listing::objects(&body, Question { bucket, prefix: "", from }).map_err(wrong)
}

/// What a GET says beside the bytes, of what is restored.
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

fn read_error(said: String, status: Option<u16>) -> io::Error {
    let kind = if status == Some(404) { io::ErrorKind::NotFound } else { io::ErrorKind::Other };
    io::Error::new(kind, said)
}

impl RestoredBucket for S3Copy {
    fn read_back(&self, bucket: &str, key: &str, with_tags: bool) -> io::Result<Answered> {
        self.runtime.block_on(self.answered(bucket, key, with_tags))
    }

    fn content(&self, bucket: &str, key: &str) -> io::Result<Vec<u8>> {
        let collected = async { self.get(bucket, key).await?.body.collect().await.map_err(io::Error::other) };
        Ok(self.runtime.block_on(collected)?.to_vec())
    }

    fn each_key(&self, bucket: &str, take: &mut dyn FnMut(String)) -> io::Result<()> {
        self.runtime.block_on(self.list(bucket, take))
    }
}
