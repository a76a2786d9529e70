//! Where a bucket's objects go, and who reads them back from there.

use std::{path::PathBuf, sync::Arc, time::Duration};

use crate::{
    digest::Sha256Digest,
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

/// What is made of a bucket's objects.
pub(crate) enum Destination {
    /// Files.
    Tree,
    /// Archives.
    Archives,
    /// Objects of another server, in a bucket that is made for the run.
    Bucket { client: Client, name: String, stall: Duration },
}

/// A bucket's name has so many characters at most (Amazon S3 User Guide, "Bucket naming rules").
const BUCKET_NAME_MAX: usize = 63;
const RUN_DIGITS: usize = 12;

/// The name of the bucket that an asset of a run is restored into: the asset's, and digits of run and asset together.
pub(crate) fn bucket_name(asset: &str, run: &str) -> String {
    let digits = Sha256Digest::of(format!("{run}/{asset}")).to_string();
    let name: String = asset.replace('_', "-").chars().take(BUCKET_NAME_MAX - RUN_DIGITS - 1).collect();
    format!("{name}-{}", &digits[..RUN_DIGITS])
}

impl Destination {
    /// The layout, as the result names it.
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

    /// Reads back what does not lie on this machine. Made where the runtime is.
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
