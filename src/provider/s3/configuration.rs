//! The whole configuration of a bucket, each response kept verbatim.
//!
//! A bucket that has no such configuration, a call that the server doesn't know, one that the caller may not see,
//! and one that is incomplete are four different things: only the first two are an absence.

use aws_sdk_s3::{Client, config::http::HttpResponse, error::SdkError};
use futures_util::{FutureExt as _, future::join_all};

use crate::{
    aws::{
        error::{self, OperationError},
        response::RawBody,
        xml,
    },
    transfer::{
        bucket::{BucketConfiguration, BucketItem},
        properties::Class,
    },
    words::causes,
};

/// The codes by which S3 reports that there is none (Amazon S3 API reference, "Error responses", and each call's page).
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
/// The targets of a bucket's notifications.
const NOTIFICATIONS: &str = "TopicConfiguration|QueueConfiguration|CloudFunctionConfiguration|EventBridgeConfiguration";
/// Uploads that were never completed: their names are listed, their bytes can't be read.
pub const UPLOADS: &str = "incomplete_uploads";

/// The result of one call: the body of its response, or code, status and message of its error.
struct Asked {
    name: &'static str,
    /// The elements of a non-empty response, separated by `|`: it contains one of these. Empty for JSON.
    mark: &'static str,
    result: Result<String, Refused>,
}

struct Refused {
    code: String,
    status: u16,
    message: String,
}

/// Queries everything concurrently.
pub(super) async fn of(client: &Client, bucket: &str) -> BucketConfiguration {
    macro_rules! ask {
        ($name:literal, $call:ident, $mark:expr) => {
            async {
                let raw = RawBody::default();
                let request = client.$call().bucket(bucket).customize().interceptor(raw.clone());
                let answer = raw.of(request.send().await).map_err(|error| refused(&error));
                let result = answer.map(|body| String::from_utf8_lossy(&body).into_owned());
                Asked { name: $name, mark: $mark, result }
            }
            .boxed()
        };
    }
    let questions = [
        ask!("location", get_bucket_location, "LocationConstraint"),
        ask!("versioning", get_bucket_versioning, "Status"),
        ask!("policy", get_bucket_policy, ""),
        ask!("lifecycle", get_bucket_lifecycle_configuration, "Rule"),
        ask!("cors", get_bucket_cors, "CORSRule"),
        ask!("notification", get_bucket_notification_configuration, NOTIFICATIONS),
        ask!("encryption", get_bucket_encryption, "Rule"),
        ask!("replication", get_bucket_replication, "Rule"),
        ask!("ownership", get_bucket_ownership_controls, "ObjectOwnership"),
        ask!("public_access_block", get_public_access_block, "BlockPublicAcls"),
        ask!("logging", get_bucket_logging, "LoggingEnabled"),
        ask!("tagging", get_bucket_tagging, "Tag"),
        ask!("website", get_bucket_website, "WebsiteConfiguration"),
        ask!("object_lock", get_object_lock_configuration, "ObjectLockEnabled"),
        ask!("inventory", list_bucket_inventory_configurations, "Id"),
        ask!("analytics", list_bucket_analytics_configurations, "Id"),
        ask!("metrics", list_bucket_metrics_configurations, "Id"),
        ask!("intelligent_tiering", list_bucket_intelligent_tiering_configurations, "Id"),
        ask!("accelerate", get_bucket_accelerate_configuration, "Status"),
        ask!("request_payment", get_bucket_request_payment, "Payer"),
        ask!("acl", get_bucket_acl, "Grant"),
        ask!("incomplete_uploads", list_multipart_uploads, "Upload"),
    ];
    let items = join_all(questions).await.into_iter().map(item).collect();
    BucketConfiguration { bucket: bucket.to_owned(), items }
}

fn refused<E: OperationError>(error: &SdkError<E, HttpResponse>) -> Refused {
    let status = error.raw_response().map_or(0, |answer| answer.status().as_u16());
    let service = error.as_service_error();
    let code = service.and_then(|error| error.code()).unwrap_or_default().to_owned();
    let message = service.and_then(|error| error.message()).map_or_else(|| causes(error), str::to_owned);
    Refused { code, status, message }
}

fn item(asked: Asked) -> BucketItem {
    let Asked { name, mark, result } = asked;
    let (class, reason, answer) = match result {
        Ok(answer) => match meaning(name, mark, &answer) {
            Ok((class, reason)) => (class, reason.map(str::to_owned), Some(answer)),
            Err(reason) => (Some(Class::Unreadable), Some(reason), Some(answer)),
        },
        Err(refused) => {
            let class = (!refused.is_absence()).then_some(Class::Unreadable);
            (class, Some(refused.in_words()), None)
        }
    };
    BucketItem { name: name.to_owned(), class, reason, answer }
}

type Meaning = (Option<Class>, Option<&'static str>);

/// What a success response means.
///
/// # Errors
/// Why it is not valid.
fn meaning(name: &str, mark: &str, answer: &str) -> Result<Meaning, String> {
    if mark.is_empty() {
        let policy = serde_json::from_str::<serde_json::Value>(answer);
        return policy.map(|_| (Some(Class::Recorded), None)).map_err(|_| "the answer is not whole".to_owned());
    }
    let root = xml::parse(answer.as_bytes()).map_err(|reason| format!("the answer is not whole: {reason}"))?.root;
    match root.name.as_str() {
        "Error" => return Err("an error comes under the status of a success".to_owned()),
        // A server that does not know the call treats the request as one that lists the bucket.
        "ListBucketResult" => return Ok((None, Some("the server does not know this call, and lists the bucket"))),
        _ => {}
    }
    if name == UPLOADS && root.find(mark).is_some() {
        return Ok((Some(Class::Lost), Some("bytes of uploads that were never completed can't be read")));
    }
    if root.text_of("IsTruncated")?.is_some_and(|flag| flag.trim() == "true") {
        return Err("the answer goes on, only its first page is kept".to_owned());
    }
    if mark.split('|').any(|mark| root.find(mark).is_some()) {
        Ok((Some(Class::Recorded), None))
    } else {
        Ok((None, Some("not configured")))
    }
}

impl Refused {
    fn is_absence(&self) -> bool {
        ABSENT.contains(&self.code.as_str()) || self.is_unknown_call()
    }

    fn is_unknown_call(&self) -> bool {
        error::is_unknown_call(self.status, &self.code)
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
        item(Asked { name: "cors", mark: "CORSRule", result: result.map(str::to_owned).map_err(refused) }).class
    }

    #[test]
    fn absent_and_unreadable_are_two_things() {
        assert_eq!(class(Ok("<X><CORSRule></CORSRule></X>")), Some(Class::Recorded));
        assert_eq!(class(Ok("<X/>")), None);
        assert_eq!(class(Ok("<ListBucketResult/>")), None, "an answer to another question");
        assert_eq!(class(Ok("<s3:X xmlns:s3='y'><s3:CORSRule/></s3:X>")), Some(Class::Recorded));
        for broken in ["", "<X><CORSRule></CORSRule>", "<X>", "hello", "<Error><Code>InternalError</Code></Error>"] {
            assert_eq!(class(Ok(broken)), Some(Class::Unreadable), "{broken}");
        }
        assert_eq!(class(Ok("<X><IsTruncated>true</IsTruncated><CORSRule/></X>")), Some(Class::Unreadable));
        assert_eq!(class(Err(("NoSuchCORSConfiguration", 404))), None);
        assert_eq!(class(Err(("NotImplemented", 501))), None);
        assert_eq!(class(Err(("AccessDenied", 403))), Some(Class::Unreadable));
        assert_eq!(class(Err(("NoSuchBucket", 404))), Some(Class::Unreadable));
        assert_eq!(class(Err(("", 0))), Some(Class::Unreadable));
    }

    #[test]
    fn a_policy_that_is_cut_off_is_none() {
        assert_eq!(meaning("policy", "", "{\"Statement\":[]}"), Ok((Some(Class::Recorded), None)));
        assert!(meaning("policy", "", "{\"Statement\":[").is_err() && meaning("policy", "", "").is_err());
    }
}
