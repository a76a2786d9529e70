//! What is read without turning a page, and tables that have more columns than a page has room for.

use serde_json::{Value, json};
use walkaway::{
    evidence::{parse_result, read_coverage_csv},
    report::{self, View},
};

use crate::evidence::reports::ended;

fn html(result: &Value) -> String {
    let bytes = serde_json::to_vec(result).unwrap();
    report::html(&View::new(&parse_result(&bytes).unwrap(), &bytes))
}

/// One of the five answers.
fn answer<'a>(page: &'a str, question: &str) -> &'a str {
    let from = page.find(&format!("<h3>{question}</h3>")).unwrap_or_else(|| panic!("{question} is not asked"));
    &page[from..from + page[from..].find("</div>").unwrap()]
}

fn found(asset: Option<&str>, kind: &str, severity: &str, subject: &str) -> Value {
    json!({"asset": asset, "kind": kind, "severity": severity, "subject": subject, "detail": "x"})
}

#[test]
fn the_first_page_answers_five_questions_in_their_order() {
    let (mut result, _) = ended("PASS", "", "");
    result["coverage"] = Value::Null;
    let page = html(&result);
    let questions = [
        "<h3>What was tested<",
        "<h3>What was not tested<",
        "<h3>What failed, and why<",
        "<h3>How long the exit takes, against the contract<",
        "<h3>Who ran, signed and reviewed it<",
    ];
    let places: Vec<usize> = questions.iter().map(|question| page.find(question).unwrap()).collect();
    assert!(page.find("<p class=\"verdict\">").unwrap() < places[0] && places.is_sorted());
    assert!(places[4] < page.find("<h3>What this does not prove").unwrap());
    assert!(answer(&page, "What failed, and why").contains("none of 2 assets"));
    assert!(answer(&page, "What was not tested").contains("was not looked at"), "nobody looked at the account");
    // A name of the playbook is not said to have done anything, and the notice stands with the other terms.
    let people = answer(&page, "Who ran, signed and reviewed it");
    let host = result["host"].as_str().unwrap();
    assert!(people.contains(&format!("<p class=\"number\">run on machine {host}</p>")), "{people}");
    assert!(people.contains("sig/operator.sig, by the playbook: sre@acme.example"), "{people}");
    result["plan"]["notice"] = json!("60d");
    let page = html(&result);
    assert!(answer(&page, "How long the exit takes, against the contract").contains("contract.notice, 60d"));
    // Of what carried nothing, no size is known.
    result["assets"][0]["items"] = json!(0);
    result["assets"][0]["bytes"] = json!(0);
    result["assets"][0]["verdict"] = json!("NOT RUN");
    let page = html(&result);
    assert!(answer(&page, "What failed, and why").contains("NOT RUN files, nothing carried, size unknown"));
    assert!(answer(&page, "What was tested").contains("Of 1 asset nothing was carried"));
}

#[test]
fn the_first_page_names_what_failed_and_why() {
    let (mut result, _) = ended("FAIL", "", "");
    let files = Some("files");
    result["assets"][0]["verdict"] = json!("FAIL");
    result["assets"][0]["findings"] = json!([
        found(files, "deviation", "note", "worth a note"),
        found(files, "object_unreadable", "not_run", "unread"),
        found(files, "object_digest", "fail", "first <b>"),
        found(files, "object_digest", "fail", "second"),
    ]);
    // What concerns the account does not push the asset away.
    result["findings"] =
        json!((0..12).map(|n| found(None, "deviation", "fail", &format!("bucket {n}"))).collect::<Vec<_>>());
    let page = html(&result);
    let failed = answer(&page, "What failed, and why");
    let asset = "<li>FAIL files, ";
    assert!(failed.contains("<p class=\"number\">1 of 2 assets</p>"), "{failed}");
    assert!(
        failed.contains(asset) && failed.contains("object differs in content: first &lt;b&gt; – x; 3 findings in all"),
        "{failed}"
    );
    assert!(failed.find(asset).unwrap() < failed.find("bucket 0").unwrap() && !failed.contains("worth a note"));
    assert!(failed.contains("and 5 more: <a href=\"#findings\">"), "{failed}");
    // What somebody answers for comes after what nobody does.
    result["waivers"] = json!([{"finding": "files: object differs in content", "reason": "r", "owner": "o",
        "until": "2099-01-31", "expired": false, "waives": 2}]);
    let page = html(&result);
    assert!(answer(&page, "What failed, and why").contains("object could not be read: unread"), "{page}");
    // Where everything is accepted, the owner and the day stand with it.
    result["assets"][0]["verdict"] = json!("FAIL");
    result["assets"][0]["findings"] = json!([found(files, "object_digest", "fail", "first")]);
    result["verdict"] = json!("WAIVED");
    let page = html(&result);
    let failed = answer(&page, "What failed, and why");
    assert!(failed.contains("object differs in content: first – x; waived until 2099-01-31 by o"), "{failed}");
}

#[test]
fn the_first_page_names_what_was_not_tested_by_name_and_size() {
    let (mut result, _) = ended("PASS", "", "");
    let amount = |assets: u64, bytes: u64| json!({"assets": assets, "bytes": bytes});
    result["coverage"] = json!({"rules": 2, "inventory_sha256": "0".repeat(64), "taken": "2026-11-01T00:00:00Z", "regions": [],
        "totals": {"tested": amount(1, 1 << 30), "partly_tested": amount(1, 10), "excluded": amount(1, 5),
            "untested": amount(2, 3 << 30), "unreadable": amount(1, 0), "of_unknown_size": 1}});
    let csv = "status,kind,name,region,bytes,tested_bytes,assets,why,size\n\
               TESTED,bucket,carried,eu-west-1,1073741824,1073741824,files,,known\n\
               TESTED IN PART,bucket,half,eu-west-1,1048576,10,files,,known\n\
               UNTESTED,bucket,large,eu-west-1,3221225472,0,,no asset names it,known\n\
               UNTESTED,bucket,small <i>,,512,0,,no asset names it,known\n\
               EXCLUDED,bucket,cache,eu-west-1,5,0,,can be made again,known\n\
               UNREADABLE,bucket,shut,eu-west-1,,0,,AccessDenied,unknown\n";
    let bytes = serde_json::to_vec(&result).unwrap();
    let read = parse_result(&bytes).unwrap();
    let rows = read_coverage_csv(csv).unwrap();
    let page = report::html(&View { account: &rows, ..View::new(&read, &bytes) });
    let open = answer(&page, "What was not tested");
    assert!(open.contains("4 of 5 not tested in full, at least 3.0 GiB"), "{open}");
    let named = [
        "UNREADABLE bucket shut in eu-west-1, size unknown: AccessDenied",
        "UNTESTED bucket large in eu-west-1, 3.0 GiB",
        "TESTED IN PART bucket half in eu-west-1, 1.0 MiB, 10 bytes of it tested",
        "UNTESTED bucket small &lt;i&gt;, 512 bytes",
        "EXCLUDED bucket cache, 5 bytes: can be made again",
    ];
    let places: Vec<usize> =
        named.iter().map(|words| open.find(words).unwrap_or_else(|| panic!("{words}: {open}"))).collect();
    assert!(places.is_sorted() && !open.contains("carried"));
    let figure = &page[page.find("<svg").unwrap()..];
    let figure = &figure[..figure.find("</svg>").unwrap()];
    assert!(
        figure.contains("Bytes of the account")
            && figure.contains("c-untested")
            && figure.contains("1 of unknown size")
    );
}

#[test]
fn a_sample_is_counted_by_objects_and_by_bytes() {
    let (mut result, _) = ended("PASS", "", "");
    let files = result["assets"].as_array_mut().unwrap().iter_mut().find(|asset| asset["kind"] == "s3").unwrap();
    files["tier"] = json!("sample");
    files["objects"]["sample"] = json!({"share": "1%", "seed": 7, "strata": [
        {"bytes_from": 0, "objects": 300, "bytes": 1000, "taken_objects": 28, "taken_bytes": 964}]});
    result["tier"] = json!("sample");
    let page = html(&result);
    let tested = answer(&page, "What was tested");
    assert!(
        tested.contains("28 of 300 objects (9.3 %), 964 bytes of 1,000 bytes; share asked for 1%, seed 7"),
        "{tested}"
    );
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

/// Eleven columns beside one another break words in the middle: each asset is a record.
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
