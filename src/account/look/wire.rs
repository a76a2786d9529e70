//! Calls to the services that have no SDK crate here, repeated after a throttling response.

use super::failure::{Failure, of_call};
use crate::{
    aws::call::{Call, Caller},
    domain::digest::Sha256Digest,
    provider::aws::Aws,
    transfer::retry::{Backoff, retry},
};

const ATTEMPTS_MAX: u32 = 8;
const BACKOFF: Backoff = Backoff { base_ms: 100, max_ms: 5_000 };

/// The raw response and its digest.
pub(super) type Raw = (Vec<u8>, Sha256Digest);

/// Makes such calls.
pub(super) struct Wire {
    caller: Caller,
    attempts_max: u32,
}

impl Wire {
    /// None where nothing provides credentials.
    pub(super) fn new(aws: &Aws, patient: bool) -> Option<Self> {
        let attempts_max = if patient { ATTEMPTS_MAX } else { 2 };
        Some(Wire { caller: Caller::new(aws, patient)?, attempts_max })
    }

    /// Sends, again after a throttling response.
    pub(super) async fn send(&self, call: &Call<'_>) -> Result<Raw, Failure> {
        let attempt = || async { self.caller.send(call).await.map_err(of_call) };
        let body = retry(self.attempts_max, BACKOFF, |failure: &Failure| failure.busy, attempt).await?;
        let digest = Sha256Digest::of(&body);
        Ok((body, digest))
    }
}
