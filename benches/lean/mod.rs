//! The lean S3 server: one bucket in memory behind `s3s`, which does the protocol and checks the signatures.
//!
//! Knows ListObjects, ListObjectsV2, GetObject, HeadObject and HeadBucket, what a copying client asks for, and nothing
//! that writes. Objects are put and removed by the process that holds the [`Bucket`].
#![allow(dead_code, unused_imports, reason = "the server and the tests that start it each use a part")]

mod bucket;
mod content;
mod service;
pub mod sets;

use std::{io, sync::Arc};

use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use s3s::{
    S3Result,
    auth::{S3Auth, SecretKey},
    service::S3ServiceBuilder,
};
use tokio::net::TcpListener;

pub use self::{bucket::Bucket, content::Content};

/// The secret of every access key.
pub const SECRET_KEY: &str = "walkaway-test-secret";

/// Serves the bucket until the future is dropped. Without TCP_NODELAY every small answer would wait 40 ms for an
/// acknowledgement that the client delays.
pub async fn serve(listener: TcpListener, bucket: Arc<Bucket>) -> io::Result<()> {
    let mut builder = S3ServiceBuilder::new(service::Lean(bucket));
    builder.set_auth(AnyKey);
    let service = builder.build();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service.clone());
        // A client that hangs up is no error of the server.
        tokio::spawn(async { drop(connection.await) });
    }
}

/// Knows every access key, by the same secret.
struct AnyKey;

#[async_trait::async_trait]
impl S3Auth for AnyKey {
    async fn get_secret_key(&self, _access_key: &str) -> S3Result<SecretKey> {
        Ok(SecretKey::from(SECRET_KEY))
    }
}
