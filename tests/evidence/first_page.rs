//! What is read without turning a page, and tables that have more columns than a page has room for.

use serde_json::{Value, json};
use walkaway::{
    evidence::parse_result,
    report::{self, View},
};

use crate::evidence::reports::ended;

fn html(result: &Value) -> String {
    let bytes = serde_json::to_vec(result).unwrap();
    report::html(&View::new(&parse_result(&bytes).unwrap(), &bytes))
}

fn banner(page: &str) -> &str {
    let from = page.find("<div class=\"banner").unwrap();
    &page[from..from + page[from..].find("</div>").unwrap()]
}

fn found(kind: &str, severity: &str, subject: &str) -> Value {
    json!({"asset": "files", "kind": kind, "severity": severity, "subject": subject, "detail": "x"})
}

#[test]
fn the_first_page_says_what_failed() {
    let (mut result, _) = ended("FAIL", "", "");
    assert!(!banner(&html(&result)).contains("<li>"), "nothing was found");
    result["assets"][0]["findings"] = json!([
        found("deviation", "note", "worth a note"),
        found("object_unreadable", "not_run", "unread"),
        found("object_digest", "fail", "first"),
        found("object_digest", "fail", "second"),
        found("object_digest", "fail", &"long ".repeat(100)),
        found("object_size", "fail", "fifth"),
    ]);
    let page = html(&result);
    let told = banner(&page);
    assert_eq!(told.matches("<li>FAIL: files: object differs in content: ").count(), 3, "{told}");
    assert!(told.contains("and 2 more, see <a href=\"#findings\">Deviations</a>"), "{told}");
    assert!(told.contains(": first (x)<") && told.contains("…</li>") && !told.contains("note"), "{told}");
    // What somebody answers for comes after what nobody does.
    let waiver = json!({"finding": "files: object differs in content: first", "reason": "r", "owner": "o",
        "until": "2099-01-31", "expired": false, "waives": 1});
    result["waivers"] = json!([waiver]);
    result["assets"][0]["findings"] =
        json!([found("object_digest", "fail", "first"), found("object_unreadable", "not_run", "unread")]);
    let page = html(&result);
    let [unread, first] =
        ["<li>NOT RUN: files: ", "<li>FAIL, waived: files: "].map(|words| banner(&page).find(words).unwrap());
    assert!(unread < first);
}

#[test]
fn a_refused_projection_reads_as_sentences() {
    let (mut result, _) = ended("PASS", "", "");
    result["exit_time"]["refused"] =
        json!(["the rates scatter: x", "databases: 1 unit was measured, at least 8 are needed"]);
    let full = "REFUSED: what was measured cannot carry a projection. The rates scatter: x. Databases: 1 unit was measured, \
                at least 8 are needed.";
    assert!(html(&result).contains(full));
    result["tier"] = json!("sample");
    assert!(html(&result).contains("REFUSED: the sample cannot carry a projection. The rates"));
}

#[test]
fn names_between_backticks_are_set_as_code() {
    let (mut result, _) = ended("PASS", "", "");
    result["not_proven"] = json!(["where the playbook says `versions: all` <b>"]);
    assert!(html(&result).contains("<li>where the playbook says <code>versions: all</code> &lt;b&gt;</li>"));
}

/// Eleven columns beside one another break words in the middle: each asset is a record, and records can be sorted.
#[test]
fn wide_tables_are_records() {
    let (result, _) = ended("PASS", "", "");
    let page = html(&result);
    let assets = page.find("<caption>Assets</caption>").unwrap();
    assert!(page[..assets].ends_with("<table class=\"wide\">"));
    assert!(page.contains("data-label=\"Compared: equal / compared / expected\""));
    assert!(page.contains(".wide tbody tr{display:block"));
    assert!(page.contains("<td class=\"long\" data-label=\"Content SHA-256\">"), "a digest may break, a word not");
}

#[test]
fn the_files_of_an_export_are_counted_and_the_list_of_them_is_named() {
    let (mut result, _) = ended("NOT RUN", "", "");
    let mut files = result["assets"][0].clone();
    (files["id"], files["items"], files["bytes"]) = (json!("small.files"), json!(12), json!(3 << 20));
    let database =
        result["assets"].as_array_mut().unwrap().iter_mut().find(|asset| asset["kind"] == "postgres").unwrap();
    let export = json!({"started": false, "bucket": "b", "folder": "f", "waited_ms": 0, "listed_tables": 1,
        "counted_tables": 0, "data_only": true, "files": files});
    database["database"]["rds"] = json!({"method": "export", "id": "ledger", "arn": "a", "engine": "postgres",
        "engine_version": "15", "class": "c", "storage_gib": 1, "encrypted": true, "parameter_groups": [],
        "retention_days": 1, "iam": false, "multi_az": false, "public": false, "snapshots": 0, "export": export});
    let page = html(&result);
    assert!(
        page.contains("12 files of the export, 3.0 MiB, from ")
            && page.contains("data/assets/small.files/objects.ndjson")
    );
}
