//! Everything that S3 says about a bucket itself, each answer kept as it came.
//!
//! A bucket that has no such configuration, a call that the server doesn't know, and an answer that the caller may not
//! see are three different things: only the first two are an absence.

use aws_sdk_s3::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
};
use futures_util::{FutureExt as _, future::join_all};

use super::{error, raw::RawAnswer};
use crate::transfer::{
    bucket::{BucketConfiguration, BucketItem},
    properties::Class,
};

/// The codes by which S3 says that there is nothing (Amazon S3 API reference, "Error responses", and each call's page).
const ABSENT: [&str; 13] = [
    "NoSuchBucketPolicy",
    "NoSuchLifecycleConfiguration",
    "NoSuchCORSConfiguration",
    "NoSuchTagSet",
    "NoSuchTagSetError",
    "NoSuchWebsiteConfiguration",
    "NoSuchConfiguration",
    "NoSuchPublicAccessBlockConfiguration",
    "NoSuchObjectLockConfiguration",
    "ReplicationConfigurationNotFoundError",
    "ServerSideEncryptionConfigurationNotFoundError",
    "OwnershipControlsNotFoundError",
    "ObjectLockConfigurationNotFoundError",
];
/// Uploads that were never completed: their names are listed, their bytes can't be read.
pub const UPLOADS: &str = "incomplete_uploads";

/// How one call ended: the body of its answer, or code, status and message of its error.
struct Asked {
    name: &'static str,
    /// What the body of an answer that says something holds: one of these.
    mark: &'static str,
    result: Result<String, Refused>,
}

struct Refused {
    code: String,
    status: u16,
    message: String,
}

/// Asks everything at once.
pub async fn of(client: &Client, bucket: &str) -> BucketConfiguration {
    macro_rules! ask {
        ($name:literal, $call:ident, $mark:literal) => {
            async {
                let raw = RawAnswer::default();
                let request = client.$call().bucket(bucket).customize().interceptor(raw.clone());
                let answer = request.send().await;
                let result = match answer {
                    Ok(_) => Ok(raw.text()),
                    // An answer that the SDK can't read is an answer all the same.
                    Err(error) if succeeded(&error) => Ok(raw.text()),
                    Err(error) => Err(refused(&error)),
                };
                Asked { name: $name, mark: $mark, result }
            }
            .boxed()
        };
    }
    let questions = [
        ask!("location", get_bucket_location, "LocationConstraint"),
        ask!("versioning", get_bucket_versioning, "<Status>"),
        ask!("policy", get_bucket_policy, ""),
        ask!("lifecycle", get_bucket_lifecycle_configuration, "<Rule>"),
        ask!("cors", get_bucket_cors, "<CORSRule>"),
        ask!("notification", get_bucket_notification_configuration, "<Topic|<Queue|<CloudFunction|<EventBridge"),
        ask!("encryption", get_bucket_encryption, "<Rule>"),
        ask!("replication", get_bucket_replication, "<Rule>"),
        ask!("ownership", get_bucket_ownership_controls, "<ObjectOwnership>"),
        ask!("public_access_block", get_public_access_block, "<BlockPublicAcls>"),
        ask!("logging", get_bucket_logging, "<LoggingEnabled>"),
        ask!("tagging", get_bucket_tagging, "<Tag>"),
        ask!("website", get_bucket_website, "<WebsiteConfiguration"),
        ask!("object_lock", get_object_lock_configuration, "<ObjectLockEnabled>"),
        ask!("inventory", list_bucket_inventory_configurations, "<Id>"),
        ask!("analytics", list_bucket_analytics_configurations, "<Id>"),
        ask!("metrics", list_bucket_metrics_configurations, "<Id>"),
        ask!("intelligent_tiering", list_bucket_intelligent_tiering_configurations, "<Id>"),
        ask!("accelerate", get_bucket_accelerate_configuration, "<Status>"),
        ask!("request_payment", get_bucket_request_payment, "<Payer>"),
        ask!("acl", get_bucket_acl, "<Grant>"),
        ask!("incomplete_uploads", list_multipart_uploads, "<Upload>"),
    ];
    let items = join_all(questions).await.into_iter().map(item).collect();
    BucketConfiguration { bucket: bucket.to_owned(), items }
}

fn succeeded<E>(error: &SdkError<E, error::Answer>) -> bool {
    error.raw_response().is_some_and(|answer| answer.status().is_success())
}

fn refused<E>(error: &SdkError<E, error::Answer>) -> Refused
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let service = error.as_service_error();
    let code = service.and_then(|error| error.code()).unwrap_or_default().to_owned();
    let message = service.and_then(|error| error.message()).map_or_else(|| error::chain(error), str::to_owned);
    Refused { code, status, message }
}

fn item(asked: Asked) -> BucketItem {
    let Asked { name, mark, result } = asked;
    let name = name.to_owned();
    let says = |answer: &str| mark.split('|').any(|mark| answer.contains(mark));
    match result {
        Ok(answer) if says(&answer) && name == UPLOADS => {
            let reason = Some("bytes of uploads that were never completed can't be read".to_owned());
            BucketItem { name, class: Some(Class::Lost), reason, answer: Some(answer) }
        }
        Ok(answer) if says(&answer) => {
            BucketItem { name, class: Some(Class::Recorded), reason: None, answer: Some(answer) }
        }
        Ok(answer) => BucketItem { name, class: None, reason: Some("not configured".to_owned()), answer: Some(answer) },
        Err(refused) => {
            let class = (!refused.is_absence()).then_some(Class::Unreadable);
            BucketItem { name, class, reason: Some(refused.in_words()), answer: None }
        }
    }
}

impl Refused {
    fn is_absence(&self) -> bool {
        ABSENT.contains(&self.code.as_str()) || self.is_unknown_call()
    }

    /// S3-compatible servers know a part of the calls only.
    fn is_unknown_call(&self) -> bool {
        matches!(self.status, 405 | 501) || matches!(self.code.as_str(), "NotImplemented" | "MethodNotAllowed")
    }

    fn in_words(&self) -> String {
        match (self.is_unknown_call(), self.code.as_str()) {
            (true, _) => format!("the server does not know this call (HTTP status {})", self.status),
            (false, "") => self.message.clone(),
            (false, code) => format!("{code}: {}", self.message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(result: Result<&str, (&str, u16)>) -> Option<Class> {
        let refused = |(code, status): (&str, u16)| Refused { code: code.into(), status, message: String::new() };
        item(Asked { name: "cors", mark: "<CORSRule>", result: result.map(str::to_owned).map_err(refused) }).class
    }

    #[test]
    fn absent_and_unreadable_are_two_things() {
        assert_eq!(class(Ok("<X><CORSRule></CORSRule></X>")), Some(Class::Recorded));
        assert_eq!(class(Ok("<X/>")), None);
        assert_eq!(class(Ok("<ListBucketResult/>")), None, "an answer to another question");
        assert_eq!(class(Err(("NoSuchCORSConfiguration", 404))), None);
        assert_eq!(class(Err(("NotImplemented", 501))), None);
        assert_eq!(class(Err(("AccessDenied", 403))), Some(Class::Unreadable));
        assert_eq!(class(Err(("NoSuchBucket", 404))), Some(Class::Unreadable));
        assert_eq!(class(Err(("", 0))), Some(Class::Unreadable));
    }
}
