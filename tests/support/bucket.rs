//! Filling a bucket, through the same SDK that walkaway reads with.

use std::{future::Future, sync::LazyLock};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Config, Credentials, Region},
    error::ProvideErrorMetadata,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use tokio::runtime::Runtime;

use super::{ACCESS_KEY, REGION, SECRET_KEY};

/// One for all clients: a connection belongs to the runtime that opened it.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

/// Waits for what a [`client`] does.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    RUNTIME.block_on(future)
}

/// An S3 client with the credentials of the stand-ins.
pub fn client(endpoint: &str) -> Client {
    let config = Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .credentials_provider(Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "tests"))
        .region(Region::new(REGION))
        .endpoint_url(endpoint)
        .force_path_style(true)
        .build();
    Client::from_conf(config)
}

/// Puts the objects, one after the other, into the bucket, which is made when it is not there.
pub fn fill_bucket<K: AsRef<str>, B: AsRef<[u8]>>(endpoint: &str, bucket: &str, objects: &[(K, B)]) {
    let client = client(endpoint);
    block_on(async {
        make_bucket(&client, bucket).await;
        for (key, bytes) in objects {
            let body = ByteStream::from(bytes.as_ref().to_vec());
            client.put_object().bucket(bucket).key(key.as_ref()).body(body).send().await.unwrap();
        }
    });
}

/// Puts one object as a multipart upload. All parts but the last have at least 5 MiB.
pub fn put_in_parts<B: AsRef<[u8]>>(endpoint: &str, bucket: &str, key: &str, parts: &[B]) {
    let client = client(endpoint);
    block_on(async {
        make_bucket(&client, bucket).await;
        let upload = client.create_multipart_upload().bucket(bucket).key(key).send().await.unwrap();
        let upload = upload.upload_id.unwrap();
        let mut completed = CompletedMultipartUpload::builder();
        for (number, bytes) in (1..).zip(parts) {
            let body = ByteStream::from(bytes.as_ref().to_vec());
            let request = client.upload_part().bucket(bucket).key(key).upload_id(&upload).part_number(number);
            let part = request.body(body).send().await.unwrap();
            let part = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .set_checksum_crc32(part.checksum_crc32)
                .build();
            completed = completed.parts(part);
        }
        let request = client.complete_multipart_upload().bucket(bucket).key(key).upload_id(upload);
        request.multipart_upload(completed.build()).send().await.unwrap();
    });
}

async fn make_bucket(client: &Client, bucket: &str) {
    if let Err(error) = client.create_bucket().bucket(bucket).send().await {
        let code = error.code().unwrap_or_default();
        assert!(["BucketAlreadyOwnedByYou", "BucketAlreadyExists"].contains(&code), "create_bucket: {error:?}");
    }
}

/// A key as a listing with `encoding-type=url` writes it.
pub fn decoded(key: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = key.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            other => other,
        });
    }
    String::from_utf8(bytes).unwrap()
}
