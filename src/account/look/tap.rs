//! Whether a raw response belongs to its request, and is complete.

use super::failure::Failure;
pub(super) use crate::aws::response::RawBody;
use crate::aws::xml::{self, Element};

/// The raw response to a call as a tree, if it belongs to this request.
pub(super) fn root_of(raw: &RawBody, operation: &str, expected: &str) -> Result<Element, String> {
    root_in(&raw.bytes().unwrap_or_default(), operation, expected)
}

/// The same for a body. Some S3-compatible servers name the root after the call, by its newer name or by its older one
/// without `Configuration`; one that does not know the request lists the bucket instead, which is not an answer.
pub(super) fn root_in(body: &[u8], operation: &str, expected: &str) -> Result<Element, String> {
    let root = xml::parse(body)?.root;
    let stem = ["Response", "Output", "Result"].iter().find_map(|end| root.name.strip_suffix(end));
    let is_named_so =
        |stem: &str| operation.strip_prefix(stem).is_some_and(|rest| ["", "Configuration"].contains(&rest));
    if root.name == expected || stem.is_some_and(is_named_so) {
        return Ok(root);
    }
    Err(format!("the answer is a {}, not a {expected}", root.name))
}

/// Whether everything in a list of a response was read. The SDK skips elements whose name it does not
/// know.
pub(super) fn all_read(answer: &Element, list: &str, read: usize) -> Result<(), String> {
    let listed = answer.find(list).map_or(0, |list| list.children.len());
    if listed == read { Ok(()) } else { Err(format!("{read} of {listed} things in {list} could be read")) }
}

/// What the SDK parsed counts only if the raw response is a complete document: the SDK reads an empty body
/// as defaults, and a truncated one as what arrived until there.
pub(super) fn checked<T>(answer: T, raw: RawBody) -> Result<(T, RawBody), Failure> {
    document(&raw.bytes().unwrap_or_default()).map_err(Failure::not_understood)?;
    Ok((answer, raw))
}

/// Whether a body is one whole document, XML or JSON, and not an error with a success status.
fn document(body: &[u8]) -> Result<(), String> {
    match body.trim_ascii_start().first() {
        None => Err("the answer has no content".to_owned()),
        Some(b'{') => serde_json::from_slice::<serde_json::Value>(body).map(drop).map_err(|error| error.to_string()),
        Some(_) => match xml::parse(body)?.root {
            error if ["Error", "ErrorResponse"].contains(&error.name.as_str()) => {
                Err(format!("an error with the status of a success: {}", error.canonical(true)))
            }
            _ => Ok(()),
        },
    }
}

/// Sends a request of any SDK client and returns its response with the raw one.
macro_rules! ask {
    ($request:expr) => {{
        let raw = $crate::aws::response::RawBody::default();
        match $request.customize().interceptor(raw.clone()).send().await {
            Ok(answer) => $crate::account::look::tap::checked(answer, raw),
            Err(error) => Err($crate::account::look::failure::of_sdk(&error)),
        }
    }};
}
pub(super) use ask;

/// The same for responses that are kept raw: they have to be complete, not parsed by the SDK.
macro_rules! ask_raw {
    ($request:expr) => {{
        let raw = $crate::aws::response::RawBody::default();
        match $request.customize().interceptor(raw.clone()).send().await {
            Ok(_) => Ok(()),
            Err(error) => match $crate::account::look::failure::of_sdk(&error) {
                failure if failure.why == $crate::account::reply::Why::NotUnderstood => Ok(()),
                failure => Err(failure),
            },
        }
        .and_then(|()| $crate::account::look::tap::checked((), raw).map(|(_, raw)| raw))
    }};
}
pub(super) use ask_raw;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_counts_only_if_all_of_it_was_read() {
        let answer = xml::parse(b"<a><l><x/><y/></l></a>").unwrap().root;
        for (list, read, whole) in [("l", 2, true), ("l", 1, false), ("m", 0, true), ("m", 1, false)] {
            assert_eq!(all_read(&answer, list, read).is_ok(), whole, "{list} {read}");
        }
    }

    #[test]
    fn an_answer_to_another_question_is_none() {
        let is_one =
            |root: &str, operation, expected| root_in(format!("<{root}/>").as_bytes(), operation, expected).is_ok();
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
