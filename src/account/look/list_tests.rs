//! Lists that do not go on as lists do: a page again in the place of another, a token that comes again, a page cut without a
//! token, things under a name that nobody reads. None of them is taken for a whole list.

use super::denial_tests::{Fault, Row, not_clean, serve, taken};
use crate::{account::inventory::Inventory, provider::aws::Aws};

/// What is wrong with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageFault {
    /// The first page goes on, and the second is the first again.
    Again,
    /// Every page names the same next one.
    Endless,
    /// Another thing stands in the list, under another name.
    Strange,
    /// It goes on, and does not say where.
    CutOff,
}

/// Operation, the end of its list, and what says that it goes on.
const LISTS: [(&str, &str, &str); 11] = [
    ("ListBuckets", "</Buckets>", "<ContinuationToken>m</ContinuationToken>"),
    ("DescribeDBInstances", "</DBInstances>", "<Marker>m</Marker>"),
    ("DescribeDBClusters", "</DBClusters>", "<Marker>m</Marker>"),
    ("DescribeDBSnapshots", "</DBSnapshots>", "<Marker>m</Marker>"),
    ("DescribeDBClusterSnapshots", "</DBClusterSnapshots>", "<Marker>m</Marker>"),
    ("DescribeExportTasks", "</ExportTasks>", "<Marker>m</Marker>"),
    (
        "ListObjectVersions",
        "</Version>",
        "<NextKeyMarker>a</NextKeyMarker><NextVersionIdMarker>null</NextVersionIdMarker>",
    ),
    ("GetBucketAcl", "</AccessControlList>", ""),
    ("GetBucketTagging", "</TagSet>", ""),
    ("DescribeDBSnapshotAttributes", "</DBSnapshotAttributes>", ""),
    ("DescribeDBClusterSnapshotAttributes", "</DBClusterSnapshotAttributes>", ""),
];

/// The honest answer with a fault; `request` says whether it asks for a later page.
pub(super) fn page(fault: PageFault, operation: &str, honest: &str, request: &str) -> String {
    let (_, end, next) = LISTS.iter().find(|(name, ..)| *name == operation).expect("a list");
    let is_later = ["Marker=", "continuation-token=", "key-marker="].iter().any(|name| request.contains(name));
    let honest = ["ExportTasks", "DBClusterSnapshotAttributes"]
        .iter()
        .fold(honest.to_owned(), |text, name| text.replace(&format!("<{name}/>"), &format!("<{name}></{name}>")));
    let goes_on = honest.replace("<IsTruncated>false", "<IsTruncated>true");
    match fault {
        PageFault::Again if is_later => honest,
        PageFault::Again | PageFault::Endless => goes_on.replace(end, &format!("{end}{next}")),
        PageFault::CutOff => goes_on,
        PageFault::Strange => honest.replace(end, &format!("<Another><Name>x</Name></Another>{end}")),
    }
}

#[tokio::test]
async fn a_list_with_a_page_that_is_not_as_it_should_be_is_not_a_whole_one() {
    let row = Row::default();
    let aws = Aws::for_test(&serve(&row));
    let whole = taken(&aws).await;
    let before = Inventory { users_reported: Some("2026-01-01T00:00:00Z".to_owned()), ..whole };
    let mut wrong = Vec::new();
    for (operation, _, next) in LISTS {
        let is_objects = operation == "ListObjectVersions";
        for fault in [PageFault::Again, PageFault::Endless, PageFault::Strange, PageFault::CutOff] {
            // Lists of RDS and of buckets end where no token is; those of objects say so. Nothing is in the list of exports
            // that could come again, and a version has no list around it.
            let is_honest = match fault {
                PageFault::CutOff => !is_objects,
                PageFault::Again => operation == "DescribeExportTasks",
                PageFault::Strange => is_objects,
                PageFault::Endless => false,
            };
            let has_pages = !next.is_empty();
            if is_honest || !has_pages && fault != PageFault::Strange {
                continue;
            }
            *row.lock().unwrap() = Some((operation, Fault::Page(fault)));
            let seen = taken(&aws).await;
            let found = not_clean(&before, &seen);
            let counts = has_pages && operation != "DescribeExportTasks";
            let names = if counts { "coverage" } else { "source_unchanged" };
            if seen.unreadable.is_empty() || !found.iter().any(|name| name == names) {
                wrong.push(format!("{operation} {fault:?}: only {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} rows:\n{}", wrong.len(), wrong.join("\n"));
}
