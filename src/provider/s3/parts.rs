//! How an object was cut into parts, for checksums that are computed from the checksums of parts.
//!
//! `GetObjectAttributes` lists the parts where they were uploaded with checksums; `HeadObject` with a part number gives
//! the size of any one part. A server with neither leaves a guess by the sizes that common clients use.

use aws_sdk_s3::{Client, types::ObjectAttributes};

use super::question::Question;
use crate::{
    aws::error,
    transfer::{
        error::SourceError,
        object::{ObjectEntry, Parts},
    },
};

/// The most parts in Amazon S3.
const PARTS_MAX: u64 = 10_000;
const MIB: u64 = 1 << 20;
/// Part sizes in MiB of aws-cli and the SDKs, rclone, s5cmd and others, the likeliest first.
const COMMON_PARTS_MIB: [u64; 12] = [8, 5, 16, 10, 50, 15, 32, 64, 100, 128, 256, 512];

/// The two ways to ask.
#[derive(Debug, Default)]
pub(super) struct Questions {
    attributes: Question,
    heads: Question,
}

/// Who is asked, and about what.
pub(super) struct Asking<'a> {
    pub client: &'a Client,
    pub bucket: &'a str,
    pub entry: &'a ObjectEntry,
    /// The version that was listed, or that an earlier answer was about.
    pub version: Option<String>,
    pub questions: &'a Questions,
}

/// The sizes of parts, if the server lists them in this way.
type Sizes = Result<Option<Vec<u64>>, SourceError>;

impl Asking<'_> {
    /// Asks how the object was cut into `count` parts; why that is not to be known.
    ///
    /// # Errors
    /// No answer came, and another attempt with the object may bring one.
    pub(super) async fn parts(&self, count: u64) -> Result<Result<Parts, String>, SourceError> {
        let size = self.entry.size;
        if !(1..=PARTS_MAX).contains(&count) {
            return Ok(Err(format!("the entity tag claims {count} parts")));
        }
        if count == 1 {
            return Ok(Ok(Parts::Listed(vec![size])));
        }
        if let Some(sizes) = self.attributes().await?.filter(|sizes| fits(sizes, size, count)) {
            return Ok(Ok(Parts::Listed(sizes)));
        }
        if let Some(sizes) = self.heads(count).await?.filter(|sizes| fits(sizes, size, count)) {
            return Ok(Ok(Parts::Listed(sizes)));
        }
        let guessed = guess(size, count).map(Parts::Guessed);
        Ok(guessed.ok_or_else(|| "the provider does not list the parts".to_owned()))
    }

    async fn attributes(&self) -> Sizes {
        let key = &self.entry.key;
        let mut sizes = Vec::new();
        let mut after = None;
        loop {
            let request = self.client.get_object_attributes().bucket(self.bucket).key(key);
            let request = request.set_version_id(self.version.clone()).set_part_number_marker(after.clone());
            let asking = async {
                let answer = request.object_attributes(ObjectAttributes::ObjectParts).send().await;
                answer.map_err(|error| error::of(key, error))
            };
            // A refusal says that the parts are not listed so.
            let Ok(answer) = self.questions.attributes.ask(key, asking).await? else { return Ok(None) };
            let Some(parts) = answer.object_parts() else { return Ok(None) };
            for part in parts.parts() {
                let Some(size) = part.size().and_then(|size| u64::try_from(size).ok()) else { return Ok(None) };
                sizes.push(size);
            }
            let next = parts.next_part_number_marker().map(str::to_owned);
            if parts.is_truncated() != Some(true) {
                return Ok(Some(sizes));
            }
            // A page that makes no progress would be requested forever.
            if next.is_none() || next == after || sizes.len() as u64 > PARTS_MAX {
                return Ok(None);
            }
            after = next;
        }
    }

    /// The last part is the remainder.
    async fn heads(&self, count: u64) -> Sizes {
        let key = &self.entry.key;
        let mut sizes = Vec::new();
        let mut left = self.entry.size;
        for number in (1..count).flat_map(i32::try_from) {
            let request = self.client.head_object().bucket(self.bucket).key(key);
            let request = request.set_version_id(self.version.clone()).part_number(number);
            let asking = async { request.send().await.map_err(|error| error::of(key, error)) };
            let Ok(answer) = self.questions.heads.ask(key, asking).await? else { return Ok(None) };
            let unsigned = |number: i64| u64::try_from(number).ok();
            let size = answer.content_length().and_then(unsigned);
            let rest = size.and_then(|size| left.checked_sub(size));
            // A server that ignores the part number returns the whole object.
            let is_of_part = answer.parts_count().map(i64::from).and_then(unsigned) == Some(count);
            let (Some(size), Some(rest), true) = (size, rest, is_of_part) else { return Ok(None) };
            sizes.push(size);
            left = rest;
        }
        sizes.push(left);
        Ok(Some(sizes))
    }
}

/// Only a list that accounts for every byte is valid.
fn fits(sizes: &[u64], size: u64, count: u64) -> bool {
    sizes.len() as u64 == count && sizes.iter().try_fold(0u64, |sum, part| sum.checked_add(*part)) == Some(size)
}

/// A common part size that gives this number of parts.
fn guess(size: u64, count: u64) -> Option<u64> {
    COMMON_PARTS_MIB.into_iter().map(|mib| mib * MIB).find(|part| size.div_ceil(*part) == count)
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::retry::RetryConfig;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpListener,
    };

    use super::*;
    use crate::provider::aws::Aws;

    #[test]
    fn a_list_accounts_for_every_byte() {
        assert!(fits(&[5, 4], 9, 2));
        assert!(!fits(&[5, 5], 9, 2) && !fits(&[9], 9, 2) && !fits(&[u64::MAX, 10], 9, 2));
    }

    /// A server that answers each question with this status.
    async fn answering(status: u16) -> Client {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let _ = socket.read(&mut [0; 4096]).await;
                let answer = format!("HTTP/1.1 {status} -\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
                let _ = socket.write_all(answer.as_bytes()).await;
            }
        });
        let config = Aws::for_test(&endpoint).s3().config().to_builder().retry_config(RetryConfig::disabled()).build();
        Client::from_conf(config)
    }

    #[tokio::test]
    async fn a_busy_server_is_asked_again_and_one_that_lists_no_parts_is_not() {
        let entry = ObjectEntry { key: "k".into(), size: 20 * MIB, ..ObjectEntry::default() };
        for (status, is_asked_again) in [(503, true), (504, true), (501, false), (403, false), (404, false)] {
            let client = &answering(status).await;
            let questions = &Questions::default();
            let parts = Asking { client, bucket: "b", entry: &entry, version: None, questions }.parts(3).await;
            assert_eq!(parts.is_err(), is_asked_again, "{status}");
            assert!(parts.is_err() || parts.is_ok_and(|parts| parts == Ok(Parts::Guessed(8 * MIB))), "{status}");
        }
    }

    #[test]
    fn the_likeliest_fitting_size_is_guessed() {
        assert_eq!(guess(20 * MIB, 3), Some(8 * MIB));
        assert_eq!(guess(20 * MIB, 4), Some(5 * MIB));
        assert_eq!(guess(20 * MIB, 7), None);
    }
}
