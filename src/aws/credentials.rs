//! Credentials with the day's signing key, kept until shortly before they expire.

use std::{sync::Arc, time::Duration};

use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials as _, SharedCredentialsProvider, error::CredentialsError},
};
use aws_sigv4::sign::v4::generate_signing_key;
use jiff::{Timestamp, tz::TimeZone};
use tokio::sync::Mutex;

use crate::{clock, transfer::error::SourceError, words::causes};

/// How long before they expire new credentials are requested.
const LEAD: Duration = Duration::from_secs(300);

/// The scope of a signature.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scope {
    pub region: String,
    pub service: String,
}

/// What a signature needs besides the request.
pub(crate) struct SigningCredentials {
    pub(super) credentials: Credentials,
    pub(super) scope: Scope,
    /// `YYYYMMDD`, as in the scope of the signature.
    pub(super) day: String,
    pub(super) key: Vec<u8>,
    /// After this, new ones are requested.
    renew_at: Option<Timestamp>,
    /// After this, no server accepts them.
    ends: Option<Timestamp>,
}

impl SigningCredentials {
    fn new(credentials: Credentials, scope: &Scope, now: Timestamp) -> Self {
        let secret = credentials.secret_access_key();
        let key = generate_signing_key(secret, clock::system(now), &scope.region, &scope.service);
        let ends = credentials.expiry().and_then(|expiry| Timestamp::try_from(expiry).ok());
        // Credentials with a lifetime below the lead are used until they expire.
        let renew_at = ends.map(|ends| if ends - LEAD > now { ends - LEAD } else { ends });
        SigningCredentials {
            day: day(now),
            key: key.as_ref().to_vec(),
            scope: scope.clone(),
            credentials,
            renew_at,
            ends,
        }
    }

    fn are_current(&self, now: Timestamp) -> bool {
        self.day == day(now) && self.renew_at.is_none_or(|renew_at| now < renew_at)
    }

    fn sign_for(&self, scope: &Scope, now: Timestamp) -> bool {
        self.scope == *scope && self.are_current(now)
    }
}

/// The current credentials, requested when they are first needed and whenever they are no longer valid.
pub(crate) struct CredentialCache {
    provider: Option<SharedCredentialsProvider>,
    current: Mutex<Option<Arc<SigningCredentials>>>,
}

impl CredentialCache {
    pub(super) fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        CredentialCache { provider, current: Mutex::default() }
    }

    /// Credentials for requests of this moment.
    pub(super) async fn current(&self, scope: &Scope, now: Timestamp) -> Result<Arc<SigningCredentials>, SourceError> {
        let mut current = self.current.lock().await;
        let credentials = match current.as_ref() {
            Some(held) if held.sign_for(scope, now) => return Ok(Arc::clone(held)),
            // Another scope needs another key, but the same credentials.
            Some(held) if held.are_current(now) => held.credentials.clone(),
            held => match (self.ask_provider().await, held) {
                (Ok(credentials), _) => credentials,
                // The credentials' provider may be unreachable a while; the current ones are used until they expire.
                (Err(_), Some(held)) if held.ends.is_none_or(|ends| now < ends) => held.credentials.clone(),
                (Err(error), _) => return Err(error),
            },
        };
        let made = Arc::new(SigningCredentials::new(credentials, scope, now));
        *current = Some(Arc::clone(&made));
        Ok(made)
    }

    /// The server no longer accepts these.
    pub(super) async fn forget(&self, refused: &Arc<SigningCredentials>) {
        let mut current = self.current.lock().await;
        if current.as_ref().is_some_and(|held| Arc::ptr_eq(held, refused)) {
            *current = None;
        }
    }

    async fn ask_provider(&self) -> Result<Credentials, SourceError> {
        let what = "the credentials".to_owned();
        let Some(provider) = &self.provider else {
            return Err(SourceError::NoCredentials { what, reason: "none are configured".to_owned() });
        };
        provider.provide_credentials().await.map_err(|failed| {
            let reason = causes(&failed);
            match failed {
                CredentialsError::ProviderTimedOut(_) => SourceError::Unreached { what, reason },
                _ => SourceError::NoCredentials { what, reason },
            }
        })
    }
}

fn day(now: Timestamp) -> String {
    TimeZone::UTC.to_datetime(now).strftime("%Y%m%d").to_string()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(crate) fn credentials(scope: &Scope, now: Timestamp, token: Option<&str>) -> SigningCredentials {
        SigningCredentials::new(Credentials::new("AKID", "secret", token.map(str::to_owned), None, "test"), scope, now)
    }

    pub(crate) fn scope(service: &str) -> Scope {
        Scope { region: "eu-central-1".into(), service: service.into() }
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn they_serve_for_their_day_and_scope_and_until_shortly_before_their_end() {
        let scope = scope("s3");
        let now = at("2026-10-01T12:00:00Z");
        let later = at("2026-10-01T23:59:59Z");
        let lasting = credentials(&scope, now, None);
        assert_eq!(lasting.day, "20261001");
        assert!(lasting.sign_for(&scope, later) && !lasting.are_current(at("2026-10-02T00:00:00Z")));
        let other = Scope { region: "eu-west-2".into(), ..scope.clone() };
        assert!(lasting.are_current(now) && !lasting.sign_for(&other, now), "the key signs for another region");
        let ends = clock::system(at("2026-10-01T13:00:00Z"));
        let ending = Credentials::new("AKID", "secret", None, Some(ends), "test");
        let ending = SigningCredentials::new(ending, &scope, now);
        assert!(ending.are_current(at("2026-10-01T12:54:59Z")) && !ending.are_current(at("2026-10-01T12:55:00Z")));
    }
}
