//! Credentials with the day's signing key, kept until shortly before they run out.

use std::{sync::Arc, time::Duration};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sigv4::sign::v4::generate_signing_key;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::Mutex;

use super::{super::error, site::Site};
use crate::{clock, transfer::error::SourceError};

/// So long before they run out, new credentials are asked for.
const LEAD: Duration = Duration::from_secs(300);

/// What a signature needs besides the request.
pub(super) struct Pass {
    pub credentials: Credentials,
    /// `YYYYMMDD`, as the scope of the signature says it.
    pub day: String,
    pub signing_key: Vec<u8>,
    /// What the key signs for.
    region: String,
    /// After this, another pass has to be made.
    until: Option<Timestamp>,
    /// After this, no server believes it.
    ends: Option<Timestamp>,
}

impl Pass {
    fn new(credentials: Credentials, site: &Site, now: Timestamp) -> Self {
        let key =
            generate_signing_key(credentials.secret_access_key(), clock::system(now), &site.region, &site.service);
        let ends = credentials.expiry().and_then(|expiry| Timestamp::try_from(expiry).ok());
        // Credentials that live for less than the lead are used to their end.
        let until = ends.map(|ends| if ends - LEAD > now { ends - LEAD } else { ends });
        Pass {
            day: day(now),
            signing_key: key.as_ref().to_vec(),
            region: site.region.clone(),
            credentials,
            until,
            ends,
        }
    }

    fn serves(&self, site: &Site, now: Timestamp) -> bool {
        self.day == day(now) && self.region == site.region && self.until.is_none_or(|until| now < until)
    }
}

/// The current pass, made when it is first asked for and whenever it no longer serves.
pub(super) struct Passes {
    provider: Option<SharedCredentialsProvider>,
    current: Mutex<Option<Arc<Pass>>>,
}

impl Passes {
    pub fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Passes { provider, current: Mutex::default() }
    }

    /// A pass for requests of this moment.
    pub async fn current(&self, site: &Site, now: Timestamp) -> Result<Arc<Pass>, SourceError> {
        let mut current = self.current.lock().await;
        if let Some(pass) = current.as_ref().filter(|pass| pass.serves(site, now)) {
            return Ok(Arc::clone(pass));
        }
        let credentials = match (self.ask_provider().await, current.as_ref()) {
            (Ok(credentials), _) => credentials,
            // Where the credentials come from may be away for a while; the ones at hand serve to their end.
            (Err(_), Some(pass)) if pass.ends.is_none_or(|ends| now < ends) => pass.credentials.clone(),
            (Err(error), _) => return Err(error),
        };
        let pass = Arc::new(Pass::new(credentials, site, now));
        *current = Some(Arc::clone(&pass));
        Ok(pass)
    }

    /// The server no longer believes this pass.
    pub async fn forget(&self, pass: &Arc<Pass>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| Arc::ptr_eq(held, pass)) {
            *current = None;
        }
    }

    async fn ask_provider(&self) -> Result<Credentials, SourceError> {
        let what = "the credentials".to_owned();
        let Some(provider) = &self.provider else {
            return Err(SourceError::NoCredentials { what, reason: "none are configured".to_owned() });
        };
        provider.provide_credentials().await.map_err(|failed| {
            let reason = error::chain(&failed);
            match failed {
                CredentialsError::ProviderTimedOut(_) => SourceError::Unreached { what, reason },
                _ => SourceError::NoCredentials { what, reason },
            }
        })
    }
}

fn day(now: Timestamp) -> String {
    let date = TimeZone::UTC.to_datetime(now).date();
    format!("{:04}{:02}{:02}", date.year(), date.month(), date.day())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn pass(site: &Site, now: Timestamp, token: Option<&str>) -> Pass {
        Pass::new(Credentials::new("AKID", "secret", token.map(str::to_owned), None, "test"), site, now)
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn a_pass_serves_for_its_day_and_until_shortly_before_its_end() {
        let site = super::super::site::tests::site();
        let (now, later) = (at("2026-10-01T12:00:00Z"), at("2026-10-01T23:59:59Z"));
        let lasting = pass(&site, now, None);
        assert!(lasting.serves(&site, later) && !lasting.serves(&site, at("2026-10-02T00:00:00Z")));
        let elsewhere = Site { region: "eu-west-2".into(), ..site.clone() };
        assert!(!lasting.serves(&elsewhere, now), "its key signs for another region");
        let ends = clock::system(at("2026-10-01T13:00:00Z"));
        let ending = Pass::new(Credentials::new("AKID", "secret", None, Some(ends), "test"), &site, now);
        assert!(ending.serves(&site, at("2026-10-01T12:54:59Z")) && !ending.serves(&site, at("2026-10-01T12:55:00Z")));
    }
}
