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
    assert!(people.contains("Ran: named by the playbook: sre@acme.example; "), "{people}");
    assert!(
        people.contains("Reviewed: named by the playbook: ") && people.contains("made after this page"),
        "{people}"
    );
    assert!(!people.contains("machine"), "{people}");
    result["plan"]["notice"] = json!("60d");
    let page = html(&result);
    assert!(
        answer(&page, "How long the exit takes, against the contract")
            .contains("notice period (contract.notice): 60 days; ")
    );
    // Of what carried nothing, no size is known.
    result["assets"][0]["items"] = json!(0);
    result["assets"][0]["bytes"] = json!(0);
    result["assets"][0]["verdict"] = json!("NOT RUN");
    let page = html(&result);
    assert!(answer(&page, "What failed, and why").contains("NOT RUN files, nothing carried, size unknown"));
    let tested = answer(&page, "What was tested");
    assert!(tested.contains("Of 1 asset nothing was carried") && tested.contains("1 not compared"), "{tested}");
    assert!(tested.contains("○ bucket files: nothing carried, size unknown; NOT RUN"), "{tested}");
    // What is nothing of the account is named where nothing of it was compared.
    assert!(answer(&page, "What was not tested").contains("NOT RUN bucket files, size unknown"));
    result["verdict"] = json!("NOT RUN");
    assert!(html(&result).contains("<h3>What was not run, and why<"));
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
        found(files, "object_missing", "fail", "gone"),
    ]);
    // What concerns the account does not push the asset away.
    result["findings"] =
        json!((0..12).map(|n| found(None, "deviation", "fail", &format!("bucket {n}"))).collect::<Vec<_>>());
    let page = html(&result);
    let failed = answer(&page, "What failed, and why");
    let asset = "<li>FAIL files, ";
    assert!(failed.contains("<p class=\"number\">1 of 2 assets</p>"), "{failed}");
    assert!(
        failed.contains(asset) && failed.contains("object missing from the restored copy: gone – x; 4 findings in all"),
        "{failed}"
    );
    assert!(failed.find(asset).unwrap() < failed.find("bucket 0").unwrap() && !failed.contains("worth a note"));
    assert!(failed.contains("and 5 more: <a href=\"#findings\">"), "{failed}");
    assert!(
        page.contains("This drill FAILED: bucket files (object missing from the restored copy); bucket 0"),
        "{page}"
    );
    let tested = answer(&page, "What was tested");
    assert!(tested.contains("1 of 2 assets proven equal, 1 compared, differs") && tested.contains("✖ bucket files: "));
    result["assets"][0]["findings"].as_array_mut().unwrap().pop();
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
    assert!(failed.contains("object differs in content: first – x; waived until 2099-01-31 by o: r"), "{failed}");
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
        "TESTED IN PART bucket half in eu-west-1, 1.0 MiB of 1.0 MiB not tested",
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
            && figure.contains("NOT TESTED 3.0 GiB (75.0 %), 2 things and 1 rest")
            && figure.contains("1 of unknown size")
    );
    let told = |status: &str, size: &str, tested: u64| {
        let rows = format!(
            "status,kind,name,region,bytes,tested_bytes,assets,why,size\n{status},bucket,files,,{size},{tested},files,,known\n\
             UNTESTED,bucket,large,,3221225472,0,,no asset names it,known\n"
        );
        report::html(&View { account: &read_coverage_csv(&rows).unwrap(), ..View::new(&read, &bytes) })
    };
    // What a sample leaves counts in number, share and bar; where its size is not known, as that.
    let page = told("TESTED IN PART", "8589934592", 1 << 30);
    assert!(answer(&page, "What was not tested").contains("2 of 2 not tested in full, 10 GiB"), "{page}");
    assert!(page.contains("9.0 % of the known bytes outside of exclusions were compared"), "{page}");
    assert!(page.contains("NOT TESTED 10 GiB (90.9 %), 1 thing and 1 rest"), "{page}");
    let page = told("TESTED IN PART", "", 1 << 30);
    assert!(answer(&page, "What was not tested").contains("at least 3.0 GiB") && page.contains("1 of unknown size"));
    // What was compared and differs is not shown as what agrees; nor does differ what could not be compared.
    let failed = |kind: &str| {
        let mut failed = result.clone();
        (failed["verdict"], failed["assets"][0]["verdict"]) = (json!("FAIL"), json!("FAIL"));
        failed["assets"][0]["findings"] = json!([found(Some("files"), kind, "fail", "x")]);
        let failed_bytes = serde_json::to_vec(&failed).unwrap();
        let failed = parse_result(&failed_bytes).unwrap();
        let page = report::html(&View { account: &rows, ..View::new(&failed, &failed_bytes) });
        let figure = page[page.find("<svg").unwrap()..].split("</svg>").next().unwrap().to_owned();
        (answer(&page, "What was tested").to_owned(), figure)
    };
    let (tested, figure) = failed("object_digest");
    assert!(figure.contains("c-differs") && figure.contains("TESTED, DIFFERS 1.0 GiB") && !figure.contains("c-tested"));
    assert!(tested.contains("1 compared, differs") && tested.contains("; DIFFERS"), "{tested}");
    for kind in ["nothing_matched", "verifier_blind"] {
        let (tested, figure) = failed(kind);
        assert!(!figure.contains("c-differs") && !figure.contains("c-tested"), "{figure}");
        assert!(tested.contains("1 failed, no difference found") && !tested.contains("DIFFERS"), "{tested}");
    }
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
        tested.contains("28 of 300 objects (9.3 %), 964 bytes of 1,000 bytes; share asked for 1%, seed 7; all equal"),
        "{tested}"
    );
    assert!(tested.contains("1 of 2 assets proven equal, 1 equal in a sample"), "{tested}");
    assert!(page.contains("PASS OF A SAMPLE</p>") && page.contains("class=\"banner v-sample\""));
    // In every table, too: one that was carried whole stays a plain pass.
    let mark = "<b class=\"tag v-sample\">PASS OF A SAMPLE</b>";
    assert_eq!(
        (page.matches(mark).count(), page.matches("<b class=\"tag v-pass\">PASS</b>").count()),
        (3, 2),
        "{page}"
    );
}

#[test]
fn a_refused_projection_reads_as_sentences() {
    let (mut result, _) = ended("PASS", "", "");
    result["exit_time"]["refused"] =
        json!(["the rates scatter: x", "databases: 1 unit was measured, at least 8 are needed"]);
    let full = "Not known: too little was measured for a projection. The rates scatter: x. Databases: 1 unit was measured, \
                at least 8 are needed.";
    assert!(html(&result).contains(full));
    result["tier"] = json!("sample");
    assert!(html(&result).contains("Not known: too little was measured by the sample for a projection. The rates"));
}

/// Words follow from the numbers, whatever a flag beside them says; limits and times are in one way.
#[test]
fn terms_and_limits_are_in_plain_words() {
    let (mut result, _) = ended("FAIL", "", "");
    let hour = 3_600_000_u64;
    result["exit_time"]["refused"] = json!([]);
    (result["exit_time"]["p50_ms"], result["exit_time"]["p90_ms"]) = (json!(9 * hour), json!(26 * hour));
    result["exit_time"]["windows"] = json!([
        {"name": "objectives.rto", "limit_ms": 72 * hour, "p50_fits": true, "p90_fits": false},
        {"name": "contract.retrieval", "limit_ms": 24 * hour, "p50_fits": true, "p90_fits": false}]);
    result["thresholds"] = json!([{"name": "run_time", "limit": "<= 1h", "measured": "5480.0s", "met": false}]);
    result["findings"] = json!([found(None, "threshold_missed", "fail", "run_time")]);
    let page = html(&result);
    let time = answer(&page, "How long the exit takes, against the contract");
    assert!(time.contains("Likely 9 h; in one of ten exits 26 h or more"), "{time}");
    assert!(
        time.contains("recovery time objective (objectives.rto): allowed 72 h; fits, with 46 h to spare"),
        "{time}"
    );
    assert!(time.contains("allowed 24 h; DOES NOT FIT in one of ten exits or more, by 2 h"), "{time}");
    assert!(page.contains("time of the run (run_time) (limit 1 h, measured 1 h 31 min)"), "{page}");
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
