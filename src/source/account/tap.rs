//! An answer as it arrived, before anything understood it, and its SHA-256.

use std::sync::{Arc, Mutex, PoisonError};

use aws_sdk_s3::{
    config::{ConfigBag, Intercept, RuntimeComponents, interceptors::AfterDeserializationInterceptorContextRef},
    error::BoxError,
};

use super::{failure::Failure, xml};
use crate::digest::Sha256Digest;

/// Listens to one request; the last attempt counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Tap(Arc<Mutex<Option<Vec<u8>>>>);

impl Tap {
    /// The digest of the answer's body, if there was one.
    pub fn digest(&self) -> Option<Sha256Digest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).as_deref().map(Sha256Digest::of)
    }

    /// The body as text; empty if there was none. What is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        let body = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(body.as_deref().unwrap_or_default()).into_owned()
    }
}

/// The raw answer to a call as a tree, if it is one to this question.
pub(super) fn root_of(tap: &Tap, operation: &str, expected: &str) -> Result<xml::Element, String> {
    root_in(&tap.text(), operation, expected)
}

/// The same of a text. Some S3-compatible servers name the root after the call, by its newer name or by its older one
/// without `Configuration`; one that does not know the question lists the bucket instead, which answers nothing.
pub(super) fn root_in(text: &str, operation: &str, expected: &str) -> Result<xml::Element, String> {
    let root = xml::read(text)?;
    let stem = ["Response", "Output", "Result"].iter().find_map(|end| root.name.strip_suffix(end));
    let is_named_so =
        |stem: &str| operation.strip_prefix(stem).is_some_and(|rest| ["", "Configuration"].contains(&rest));
    if root.name == expected || stem.is_some_and(is_named_so) {
        return Ok(root);
    }
    Err(format!("the answer is a {}, not a {expected}", root.name))
}

/// Whether everything in a list of an answer was read. What stands there under a name that the SDK does not know is passed
/// over by it.
pub(super) fn all_read(answer: &xml::Element, list: &str, read: usize) -> Result<(), String> {
    let listed = answer.find(list).map_or(0, |list| list.children.len());
    if listed == read { Ok(()) } else { Err(format!("{read} of {listed} things in {list} could be read")) }
}

impl Intercept for Tap {
    fn name(&self) -> &'static str {
        "the raw answer"
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let body = context.response().body().bytes().map(<[u8]>::to_vec);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = body;
        Ok(())
    }
}

/// What the SDK made of an answer counts only if the raw one is a whole document of its own: the SDK takes an empty body
/// for defaults, and one that is cut for what came until there.
pub(super) fn checked<T>(answer: T, tap: &Tap) -> Result<(T, Tap), Failure> {
    document(&tap.text()).map_err(Failure::not_understood)?;
    Ok((answer, tap.clone()))
}

/// Whether a text is one whole document, XML or JSON, and no error that calls itself a success.
fn document(text: &str) -> Result<(), String> {
    match text.trim_start().chars().next() {
        None => Err("the answer has no content".to_owned()),
        Some('{') => serde_json::from_str::<serde_json::Value>(text).map(|_| ()).map_err(|error| error.to_string()),
        Some(_) => match xml::read(text)? {
            error if ["Error", "ErrorResponse"].contains(&error.name.as_str()) => {
                Err(format!("an error with the status of a success: {}", error.canonical(true)))
            }
            _ => Ok(()),
        },
    }
}

/// Sends a request of any SDK client and gives its answer with the raw one.
macro_rules! ask {
    ($request:expr) => {{
        let tap = $crate::source::account::tap::Tap::default();
        match $request.customize().interceptor(tap.clone()).send().await {
            Ok(answer) => $crate::source::account::tap::checked(answer, &tap),
            Err(error) => Err($crate::source::account::failure::of_sdk(&error)),
        }
    }};
}
pub(super) use ask;

/// The same for answers that are taken as they came: what counts is that they are whole, not that the SDK can read them.
macro_rules! ask_raw {
    ($request:expr) => {{
        let tap = $crate::source::account::tap::Tap::default();
        match $request.customize().interceptor(tap.clone()).send().await {
            Ok(_) => $crate::source::account::tap::checked((), &tap).map(|(_, tap)| tap),
            Err(error) => match $crate::source::account::failure::of_sdk(&error) {
                failure if failure.why == $crate::account::reply::Why::NotUnderstood => {
                    $crate::source::account::tap::checked((), &tap).map(|(_, tap)| tap)
                }
                failure => Err(failure),
            },
        }
    }};
}
pub(super) use ask_raw;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_counts_only_if_all_of_it_was_read() {
        let answer = xml::read("<a><l><x/><y/></l></a>").unwrap();
        for (list, read, whole) in [("l", 2, true), ("l", 1, false), ("m", 0, true), ("m", 1, false)] {
            assert_eq!(all_read(&answer, list, read).is_ok(), whole, "{list} {read}");
        }
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let is_one = |root: &str, operation, expected| root_in(&format!("<{root}/>"), operation, expected).is_ok();
        let analytics = ("ListBucketAnalyticsConfigurations", "ListBucketAnalyticsConfigurationResult");
        for (root, (operation, expected), answers) in [
            ("ListBucketAnalyticsConfigurationResult", analytics, true),
            ("ListBucketAnalyticsConfigurationsOutput", analytics, true),
            ("ListBucketResult", analytics, false),
            ("ListBucketResult", ("GetBucketLifecycleConfiguration", "LifecycleConfiguration"), false),
            ("VersioningConfiguration", ("GetBucketVersioning", "VersioningConfiguration"), true),
            ("GetBucketVersioningOutput", ("GetBucketVersioning", "VersioningConfiguration"), true),
            ("GetBucketResult", ("GetBucketVersioning", "VersioningConfiguration"), false),
            ("GetBucketVersionOutput", ("GetBucketVersioning", "VersioningConfiguration"), false),
            (
                "GetBucketNotificationResponse",
                ("GetBucketNotificationConfiguration", "NotificationConfiguration"),
                true,
            ),
            ("ListBucketResult", ("ListObjectsV2", "ListBucketResult"), true),
        ] {
            assert_eq!(is_one(root, operation, expected), answers, "{operation}: {root}");
        }
    }
}
