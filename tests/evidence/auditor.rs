//! An auditor with a bundle of a forger: no command that is printed runs what the bundle says, `scripts/verify.py` and
//! walkaway refuse the same forgeries, and what is required is said plainly.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value, json};
use walkaway::{
    domain::finding::Verdict,
    evidence::{DatabaseAccess, VERIFY_PY, check_bundle, parse_result, verify_md},
};

use crate::{
    evidence::reports::rehash,
    support::{
        TempDir,
        drill::{Drill, Ran},
        independent, walkaway,
    },
};

const SMALL: &str = "create table t (id int primary key, body text); insert into t values (1, 'a'), (2, null)";

fn frozen() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/evidence/frozen/v4"))
}

fn copy(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-r").arg(from).arg(to).status().unwrap();
    assert!(done.success());
}

/// Texts that run a command wherever a shell, psql or Python takes them for more than text.
fn planted(mark: &Path) -> Vec<String> {
    let mark = mark.display();
    vec![
        format!("$(touch {mark})`touch {mark}`|touch {mark}"),
        format!("'; touch {mark}; '"),
        format!("\"; touch {mark}; \""),
        format!("x\nEND\ntouch {mark}\n```\n```sh\ntouch {mark}\n```"),
        format!("\\! touch {mark}"),
        format!("-c \\! touch {mark}"),
        format!("postgresql://host=evil/?options=$(touch {mark})"),
    ]
}

/// The blocks of shell, the placeholders filled in.
fn blocks(document: &str) -> Vec<String> {
    let blocks =
        document.split("\n```").filter_map(|block| block.strip_prefix("sh\n").or(block.strip_prefix("bash\n")));
    blocks.map(|block| block.replace("EXPORT", "x").replace("NUMBER", "1").replace("DATABASE", "x")).collect()
}

/// Programs that do nothing but run what psql would.
fn fake_programs(home: &Path) -> String {
    let bin = home.join("bin");
    fs::create_dir_all(&bin).unwrap();
    let psql = "#!/bin/sh\nwhile [ $# -gt 0 ]; do case $1 in '\\!'*) sh -c \"${1#??}\" ;; esac; shift; done\n";
    for name in ["psql", "pg_ctl", "zstd", "aws", "bagit.py"] {
        fs::write(bin.join(name), psql).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    format!("{}:{}", bin.display(), std::env::var("PATH").unwrap())
}

#[test]
fn no_field_of_a_bundle_is_run_by_a_command_of_the_document() {
    let home = TempDir::new();
    let mark = home.join("mark");
    let path = fake_programs(home.path());
    let tools = independent::tools(home.path());
    let original: Value = serde_json::from_slice(&fs::read(frozen().join("data/result.json")).unwrap()).unwrap();
    for text in planted(&mark) {
        let bundle = home.join("bundle");
        copy(frozen(), &bundle);
        let mut value = original.clone();
        for key in ["run", "host", "ended", "restored_to"] {
            value[key] = json!(text);
        }
        value["not_proven"] = json!([text]);
        value["playbook"]["id"] = json!(text);
        value["chain"] = json!({"previous": {"run": text, "bundle_digest": "0".repeat(64), "journal_head": "0".repeat(64), "verdict": "PASS"}});
        for asset in value["assets"].as_array_mut().unwrap() {
            for key in ["id", "source", "directory"] {
                asset[key] = json!(text);
            }
        }
        value["assets"][1]["database"]["target_database"] = json!(text);
        for layout in ["tree", "tar", "s3"] {
            value["assets"][0]["objects"]["layout"] = json!(layout);
            let result = parse_result(value.to_string().as_bytes()).unwrap();
            let access = DatabaseAccess {
                asset: text.clone(),
                psql: vec!["-h".into(), text.clone(), "-U".into(), text.clone()],
                pgoptions: text.clone(),
                ..DatabaseAccess::default()
            };
            let document = verify_md(&result, &[access], ".");
            // What lies in the lists, and modules that Python would take from the directory that it runs in.
            let receipt = json!({"key": text, "path": text, "size": 1, "sha256": text, "within": {"bucket": {"name": text, "key": text}}});
            let quoted = text.replace('"', "\"\"");
            let lists = [
                ("objects.ndjson", format!("{receipt}\n")),
                ("objects.sha256", format!("{}  {text}\n", "0".repeat(64))),
                (
                    "tables.csv",
                    format!(
                        "table,rows,bytes,row_digest,row_key,exports,source_count,copy_sql\n\"{quoted}\",1,1,0,00,1,1,\"{quoted}\"\n"
                    ),
                ),
                ("exports.csv", format!("table,part,path,sha256,rows\n\"{quoted}\",1,\"{quoted}\",\"{quoted}\",1\n")),
            ];
            for folder in [bundle.join("data/assets").join(text.replace('/', "_")), bundle.join("data/assets/files")] {
                fs::create_dir_all(&folder).unwrap();
                lists.iter().for_each(|(name, content)| fs::write(folder.join(name), content).unwrap());
            }
            for module in ["json.py", "hashlib.py", "csv.py", "data/json.py", "data/csv.py", "sitecustomize.py"] {
                fs::write(bundle.join(module), format!("open({:?}, 'w')", mark.display().to_string())).unwrap();
            }
            fs::write(bundle.join("data/table_digest.py"), format!("open({:?}, 'w')", mark.display().to_string()))
                .unwrap();
            // Only the blocks about objects depend on the layout.
            for block in
                blocks(&document).into_iter().filter(|block| layout == "tree" || block.contains("/data/assets/"))
            {
                let mut bash = Command::new("bash");
                bash.args(["-c", &block]).current_dir(&bundle).env("PATH", &path).env("BUNDLE", &bundle);
                bash.env("TOOLS", &tools).env("ENDPOINT", "http://127.0.0.1:1").env("SECRET", "x").env("KEY", "x");
                bash.env("TSA_CA", "/dev/null")
                    .env("ALLOWED_SIGNERS", "/dev/null")
                    .env("WHO", "x")
                    .env("REVIEWER", "x");
                let output: Output = bash.output().unwrap();
                assert!(!mark.exists(), "{text:?} was run by\n{block}\n{output:?}");
            }
        }
        fs::remove_dir_all(&bundle).unwrap();
    }
}

/// `printf` stands for psql: rows come out, whatever is asked.
#[test]
fn only_the_copy_of_a_table_is_handed_to_psql() {
    let home = TempDir::new();
    let program = independent::tools(home.path()).join("table_digest.py");
    let list = home.join("tables.csv");
    let ask = |copy_sql: &str, arguments: &[&str]| {
        let quoted = copy_sql.replace('"', "\"\"");
        let digest = "0".repeat(64);
        let text = format!(
            "table,rows,bytes,row_digest,row_key,exports,source_count,copy_sql\npublic.t,0,0,{digest},00,1,0,\"{quoted}\"\n"
        );
        fs::write(&list, text).unwrap();
        let output = Command::new("python3").arg("-I").arg(&program).arg(&list).args(arguments).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let good = "COPY \"public\".\"t\" (\"a\\\", \"b\nc\") TO STDOUT";
    assert_eq!(ask(good, &["--", "true"]).0, 0);
    assert_eq!(ask(good, &["1"]), (0, good.replace("TO STDOUT", "FROM STDIN\n")));
    // Without psql there are no rows, and no rows are no answer.
    let (code, said) = ask(good, &["1", "--", "false"]);
    assert!(code == 1 && said.starts_with("FAILED") && !said.contains(" 0 0 "), "{said}");
    let mark = home.join("mark");
    let planted = planted(&mark).into_iter().chain([
        "COPY \"public\".\"t\" TO PROGRAM 'id'".to_owned(),
        "COPY (select 1) TO STDOUT".to_owned(),
        "COPY \"public\".\"u\" TO STDOUT".to_owned(),
        good.to_owned() + "; select 1",
    ]);
    for copy_sql in planted {
        let bundle = home.join("bundle");
        copy(frozen(), &bundle);
        let (code, said) = ask(&copy_sql, &["--", "sh", "-c", "\"$1\"", "sh"]);
        assert!(code == 1 && said.starts_with("REFUSED"), "{copy_sql}: {said}");
        assert_eq!(ask(&copy_sql, &["1"]).0, 1, "{copy_sql}");
        let list = bundle.join("data/assets/ledger/tables.csv");
        let text = fs::read_to_string(&list).unwrap();
        let (head, _) = text.rsplit_once(",\"COPY").unwrap();
        fs::write(&list, format!("{head},\"{}\"\n", copy_sql.replace('"', "\"\""))).unwrap();
        rehash(&bundle);
        let findings = check_bundle(&bundle).unwrap().findings;
        let told = findings.iter().any(|finding| finding.detail.contains("is not the copy of that table"));
        assert!(told, "{copy_sql}: {findings:#?}");
        let (code, said) = independent::check(&bundle, &[]);
        assert!(code == 1 && said.contains("is not the copy of that table"), "{copy_sql}: {said}");
        fs::remove_dir_all(&bundle).unwrap();
    }
    assert!(!mark.exists());
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn what_nobody_vouches_for_is_said_and_can_be_refused() {
    let drill = Drill::new().bucket(&[("a", "1")]);
    let ran = drill.run();
    let bundle = ran.bundle.display().to_string();
    let verify = |more: &[&str]| {
        let output = walkaway().args(["verify", &bundle]).args(more).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, said) = verify(&[]);
    assert!(
        code == 0 && said.contains("consistent; nobody vouches for it") && said.contains("reviewed  by nobody"),
        "{said}"
    );
    let (code, said) = verify(&["--require", "signed,reviewed,stamped"]);
    assert!(code == 1 && said.matches("required and not met").count() == 3, "{said}");
    for requirement in ["signed", "reviewed", "stamped"] {
        assert_eq!(independent::check(Path::new(&bundle), &["--require", requirement]).0, 1);
    }
    assert_eq!(verify(&["--require", "sealed"]).0, 3);
    let printed = walkaway().args(["verify", "--print-script"]).output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), VERIFY_PY);
}

/// A change of a bundle.
type Change = Box<dyn Fn(&Path)>;

/// Changes `result.json`.
fn edit(change: impl Fn(&mut Value) + 'static) -> Change {
    edit_in("data/result.json", change)
}

/// Changes a file of JSON.
fn edit_in(name: &'static str, change: impl Fn(&mut Value) + 'static) -> Change {
    Box::new(move |bundle| {
        let path = bundle.join(name);
        let mut value: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut value);
        fs::write(&path, serde_json::to_vec_pretty(&value).unwrap()).unwrap();
    })
}

/// Changes a file as text.
fn rewrite(name: &'static str, from: &'static str, to: &'static str) -> Change {
    Box::new(move |bundle| {
        let text = fs::read_to_string(bundle.join(name)).unwrap();
        assert!(text.contains(from), "{name} has no {from}");
        fs::write(bundle.join(name), text.replacen(from, to, 1)).unwrap();
    })
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_script_and_walkaway_refuse_the_same_forgeries() {
    let drill = Drill::new().bucket(&[("a", "1"), ("b/c", "22"), ("d", "333")]).database(SMALL);
    let ran: Ran = drill.run();
    ran.assert_ended(0, "PASS");
    independent::assert_agrees(&ran.bundle, true, "as it was sealed");
    let remove = |name: &'static str| -> Change { Box::new(move |b| fs::remove_file(b.join(name)).unwrap()) };
    let forgeries: Vec<(&str, Change)> = vec![
        ("verdict", edit(|r| r["verdict"] = json!("FAIL"))),
        ("verdict of an asset", edit(|r| r["assets"][0]["verdict"] = json!("FAIL"))),
        ("items", edit(|r| r["assets"][0]["items"] = json!(4))),
        ("bytes", edit(|r| r["assets"][1]["bytes"] = json!(1))),
        ("content", edit(|r| r["assets"][1]["content_sha256"] = json!("0".repeat(64)))),
        ("row key", edit(|r| r["assets"][1]["database"]["row_key"] = json!("0".repeat(64)))),
        ("tables", edit(|r| r["assets"][1]["database"]["tables"] = json!(2))),
        ("checks", edit(|r| r["assets"][1]["checks"] = json!([]))),
        ("a check in part", edit(|r| r["assets"][0]["checks"][0]["compared"] = json!(0))),
        ("controls", edit(|r| r["assets"][0]["controls"] = json!([]))),
        ("a control missed", edit(|r| r["assets"][0]["controls"][0]["found"] = json!(false))),
        ("listed", edit(|r| r["assets"][0]["objects"]["listed"] = json!(7))),
        ("confirmed", edit(|r| r["assets"][0]["objects"]["provider_confirmed"] = json!(7))),
        ("tier", edit(|r| r["tier"] = json!("sample"))),
        ("run", edit(|r| r["run"] = json!("another"))),
        ("playbook", edit(|r| r["playbook"]["sha256"] = json!("0".repeat(64)))),
        ("program", edit(|r| r["tool"]["binary_sha256"] = json!("0".repeat(64)))),
        ("resumed", edit(|r| r["resumed"] = json!(3))),
        ("asset dropped", edit(|r| drop(r["assets"].as_array_mut().unwrap().pop()))),
        (
            "asset twice",
            edit(|r| {
                let one = r["assets"][0].clone();
                r["assets"].as_array_mut().unwrap().push(one);
            }),
        ),
        ("journal's head", edit(|r| r["journal"]["head"] = json!("0".repeat(64)))),
        ("unknown key", edit(|r| r["remark"] = json!("trust me"))),
        ("unknown version", edit(|r| r["result_version"] = json!(99))),
        (
            "a finding dropped or added",
            edit(|r| {
                r["findings"] = json!([{"kind": "object_digest", "severity": "fail", "subject": "x", "detail": ""}])
            }),
        ),
        (
            "a finding's weight",
            edit(|r| {
                r["findings"] = json!([{"kind": "object_digest", "severity": "note", "subject": "x", "detail": ""}])
            }),
        ),
        (
            "threshold",
            edit(|r| r["thresholds"] = json!([{"name": "run_time", "limit": "1s", "measured": "2s", "met": false}])),
        ),
        ("receipt", rewrite("data/assets/files/objects.ndjson", "\"size\":2", "\"size\":5")),
        ("sums of objects", rewrite("data/assets/files/objects.sha256", "  ", "  x")),
        ("rows", rewrite("data/assets/ledger/tables.csv", "public.t,2,", "public.t,3,")),
        ("exports", rewrite("data/assets/ledger/exports.csv", "public.t,1,", "public.t,2,")),
        ("sums of exports", rewrite("data/assets/ledger/exports.sha256", "  ", "  x")),
        ("restored", rewrite("data/assets/ledger/restored.csv", "class,name,sha256", "class,name,sha256\nindex,x,00")),
        ("playbook's text", rewrite("data/playbook.yaml", "id: drill", "id: other")),
        ("journal", rewrite("data/journal.ndjson", "\"items\":", "\"items\":1")),
        ("controls.json", rewrite("data/controls.json", "\"row\": 7", "\"row\": 8")),
        (
            "OSCAL",
            edit_in("data/oscal-assessment-results.json", |o| {
                o["assessment-results"]["results"][0]["props"][0]["value"] = json!("FAIL")
            }),
        ),
        ("bag-info", rewrite("bag-info.txt", "External-Identifier: drill", "External-Identifier: other")),
        ("result gone", remove("data/result.json")),
        ("journal gone", remove("data/journal.ndjson")),
        ("receipts gone", remove("data/assets/files/objects.ndjson")),
        ("list of tables gone", remove("data/assets/ledger/tables.csv")),
        ("controls gone", remove("data/controls.json")),
    ];
    for (what, forge) in forgeries {
        let forged = drill.home().join("forged");
        copy(&ran.bundle, &forged);
        forge(&forged);
        rehash(&forged);
        let refused = match what {
            // Reports are compared by the command.
            "OSCAL" => drill.walkaway(&["verify", forged.to_str().unwrap()]).output().unwrap().status.code() == Some(1),
            _ => Verdict::from_findings(&check_bundle(&forged).unwrap().findings) == Verdict::Fail,
        };
        assert!(refused, "{what}");
        independent::assert_agrees(&forged, false, what);
        fs::remove_dir_all(&forged).unwrap();
    }
}
