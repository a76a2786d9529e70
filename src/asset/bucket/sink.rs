//! Where a bucket's objects are written, and how they are read back from there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    domain::digest::Sha256Digest,
    evidence::result::ObjectLayout,
    restore::{
        s3::{Client, S3Copy, S3Target, Server},
        tar::TarArchives,
        tree::Tree,
    },
    transfer::{
        error::SinkError,
        object::{ObjectSink, RestoredBucket},
    },
};

/// The form in which a bucket's objects are restored.
pub(crate) enum Destination {
    /// Files.
    Tree,
    /// Archives.
    Archives,
    /// Objects of another server, in a bucket that is created for the run.
    Bucket { client: Client, name: String, stall: Duration },
}

/// The most characters of a bucket's name (Amazon S3 User Guide, "Bucket naming rules").
const BUCKET_NAME_MAX: usize = 63;
const RUN_DIGITS: usize = 12;

/// The name of the bucket that an asset of a run is restored into: the asset's, and digits of a hash of run and asset.
pub(crate) fn bucket_name(asset: &str, run: &str) -> String {
    let digits = Sha256Digest::of(format!("{run}/{asset}")).to_string();
    let name: String = asset.replace('_', "-").chars().take(BUCKET_NAME_MAX - RUN_DIGITS - 1).collect();
    format!("{name}-{}", &digits[..RUN_DIGITS])
}

impl Destination {
    /// The layout, as named in the result.
    pub(super) fn layout(&self) -> ObjectLayout {
        match self {
            Destination::Tree => ObjectLayout::Tree,
            Destination::Archives => ObjectLayout::Tar,
            Destination::Bucket { .. } => ObjectLayout::S3,
        }
    }

    /// Opens the sink in the asset's directory. With `fresh` nothing was restored before.
    pub(super) async fn open(&self, root: PathBuf, fresh: bool) -> Result<Arc<dyn ObjectSink>, SinkError> {
        Ok(match self {
            Destination::Tree => Arc::new(Tree::open(root)?),
            Destination::Archives => Arc::new(TarArchives::open(root)?),
            Destination::Bucket { client, name, stall } => {
                let server = Server::new(client.clone(), *stall);
                Arc::new(S3Target::open(server, name.clone(), root.join(".staging"), fresh).await?)
            }
        })
    }

    /// Reads back what is not on this machine. Created where the runtime is.
    pub(crate) fn reader(&self) -> Option<Box<dyn RestoredBucket>> {
        match self {
            Destination::Tree | Destination::Archives => None,
            Destination::Bucket { client, stall, .. } => {
                Some(Box::new(S3Copy::new(Server::new(client.clone(), *stall))))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_s_name_fits_and_belongs_to_the_run() {
        let name = bucket_name(&"a_".repeat(31), "run-1");
        assert!(name.len() <= BUCKET_NAME_MAX && name.starts_with("a-a-"), "{name}");
        assert_ne!(bucket_name("files", "run-1"), bucket_name("files", "run-2"));
    }
}
