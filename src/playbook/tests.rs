//! The playbook as a whole: what is understood, what is reported together, what never happens.

use std::path::Path;

use jiff::civil::date;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::fake::Fake;
use super::*;

const FULL: &str = r#"
version: 1
id: acme-aws-quarterly
title: "AWS exit dry run"
provider:
  aws:
    account: "123456789012"
    profile: exit-drill
    regions: [eu-central-1]
    endpoints: {s3: "http://127.0.0.1:8333", sts: "http://127.0.0.1:8334"}
target:
  path: exit
  postgres: {url: "file:exit.url"}
defaults:
  s3: {layout: tree, versions: latest}
  database: {verify: [rows, digest], parallel: 4}
assets:
  - id: invoices
    s3: {bucket: acme-invoices, prefix: 2026/, layout: tree, versions: latest}
  - id: crm
    postgres: {url: "env:CRM_URL"}
    exclude_tables: [{name: audit.raw, reason: reproducible}]
exclude:
  - {match: "s3:acme-logs-*", reason: reproducible, owner: sre@acme.example, until: 2027-03-31}
thresholds: {run_time: <= 4h}
evidence: {path: /var/evidence}
"#;

fn parse(text: &str) -> Result<Playbook, Invalid> {
    let environment = Fake::default()
        .variable("CRM_URL", "postgres://crm:hunter2@db/crm")
        .file("/books/exit.url", b"postgres://exit:hunter3@db/exit\n");
    let origin = Origin { name: "playbook.yaml".into(), folder: "/books".into() };
    Playbook::parse(text, &origin, &environment)
}

fn problems(text: &str) -> Vec<Problem> {
    parse(text).map_or_else(|invalid| invalid.problems, |_| Vec::new())
}

#[test]
fn a_full_playbook_is_understood() {
    let playbook = parse(FULL).unwrap();
    assert_eq!(playbook.id().as_str(), "acme-aws-quarterly");
    assert_eq!(playbook.title(), Some("AWS exit dry run"));
    assert_eq!(playbook.target().path, Path::new("/books/exit"));
    assert_eq!(playbook.evidence_path(), Path::new("/var/evidence"));
    assert_eq!(playbook.provider().unwrap().regions[0].as_str(), "eu-central-1");
    let exclusion = &playbook.exclusions()[0];
    assert!(!exclusion.expired(date(2027, 3, 31)) && exclusion.expired(date(2027, 4, 1)));
    assert!(exclusion.selector.matches(SelectorKind::S3, "acme-logs-a"));
    let AssetKind::Database(crm) = &playbook.assets()[1].kind else { panic!() };
    assert_eq!(crm.exclude_tables[0].name.table(), "raw");
    assert_eq!((crm.parallel, crm.verify.len()), (4, 2));
}

#[test]
fn the_resolved_playbook_has_references_and_no_secrets() {
    let resolved = serde_json::to_value(parse(FULL).unwrap()).unwrap();
    assert!(!resolved.to_string().contains("hunter"));
    assert_eq!(resolved["target"], json!({"path": "/books/exit", "postgres": {"url": "file:exit.url"}}));
    assert_eq!(
        resolved["assets"][1],
        json!({"id": "crm", "postgres": {
            "url": "env:CRM_URL",
            "exclude_tables": [{"name": "audit.raw", "reason": "reproducible"}],
            "verify": ["rows", "digest"],
            "parallel": 4,
        }})
    );
    assert_eq!(resolved["exclude"][0]["until"], "2027-03-31");
    assert_eq!(resolved["thresholds"], json!({"run_time": "<= 4h"}));
}

#[test]
fn a_small_playbook_gets_the_defaults() {
    let playbook = parse(
        "version: 1\nid: small\ntarget: {path: exit, postgres: {managed: true}}\n\
         assets: [{id: crm, postgres: {url: 'env:CRM_URL'}}]\n",
    )
    .unwrap();
    let AssetKind::Database(crm) = &playbook.assets()[0].kind else { panic!() };
    assert_eq!((crm.parallel, crm.verify.len()), (2, 4));
    assert_eq!(playbook.target().postgres, Some(PostgresTarget::Managed));
    assert_eq!(playbook.evidence_path(), Path::new("/books/evidence/"));
    assert!(playbook.provider().is_none());
}

#[test]
fn a_server_runs_the_source_s_code_with_great_rights_only_if_the_playbook_says_so() {
    let target = |postgres: &str| {
        let asset = "{id: crm, postgres: {url: 'env:CRM_URL'}}";
        parse(&format!("version: 1\nid: small\ntarget: {{path: exit, postgres: {postgres}}}\nassets: [{asset}]\n"))
    };
    for (postgres, expected) in [("{url: 'env:CRM_URL'}", false), ("{url: 'env:CRM_URL', trust_source: true}", true)] {
        let playbook = target(postgres).unwrap();
        let Some(PostgresTarget::Url { trust_source, .. }) = playbook.target().postgres else { panic!() };
        assert_eq!(trust_source, expected);
        let resolved = serde_json::to_value(playbook.target()).unwrap();
        assert_eq!(resolved["postgres"].get("trust_source").is_some(), expected);
    }
    assert!(target("{managed: true, trust_source: true}").is_err());
}

#[test]
fn one_mistake_does_not_hide_the_next() {
    let text = FULL
        .replace("version: 1", "version: 2")
        .replace("bucket: acme", "buckt: acme")
        .replace("run_time: <= 4h", "run_time: 4")
        .replace("env:CRM_URL", "env:GONE")
        .replace("parallel: 4", "parallel: four");
    let found = problems(&text);
    let lines: Vec<usize> = found.iter().map(|problem| problem.line).collect();
    assert_eq!(lines, [2, 16, 19, 19, 21, 25], "{found:#?}");
}

#[test]
fn every_key_that_the_schema_requires_is_missed() {
    let schema = schema();
    let mut cuts = Vec::new();
    required_paths(&schema, &schema, "", &mut cuts);
    assert!(cuts.len() >= 15, "{cuts:?}");
    for (pointer, key) in cuts {
        let mut example = example();
        let parent = example.pointer_mut(&pointer).unwrap_or_else(|| panic!("no {pointer} in the example"));
        parent.as_object_mut().unwrap().remove(&key);
        let found = problems(&example.to_string());
        let message = format!("the key `{key}` is missing");
        assert!(found.iter().any(|problem| problem.message.starts_with(&message)), "{pointer}/{key}: {found:?}");
    }
}

/// A playbook as JSON, which is YAML too, with an instance of everything that has a required key.
fn example() -> Value {
    json!({
        "version": 1,
        "id": "all",
        "provider": {"aws": {}},
        "target": {"path": "exit", "postgres": {"managed": true}, "s3": {"endpoint": "http://h"}},
        "assets": [{
            "id": "one",
            "s3": {"bucket": "abc"},
            "sample": {"share": "2%", "seed": 1},
            "postgres": {"url": "env:CRM_URL"},
            "rds": {
                "instance": "abc",
                "database": "abc",
                "user": "u",
                "password": "env:CRM_URL",
                "via": {"host": "h", "port": 1},
                "method": "snapshot",
                "snapshot": {
                    "class": "db.t3.small",
                    "subnet_group": "s",
                    "security_groups": ["s"],
                    "parameter_group": "p",
                    "tags": [{"key": "k", "value": "v"}],
                    "per_hour": "1 USD",
                    "cost_ceiling": "2 USD",
                },
            },
            "exclude_tables": [{"name": "a.b", "reason": "r"}],
            "roles": "map",
            "role_map": [{"from": "a", "to": "b"}],
            "checks": [{"id": "c", "sql": "select 1", "expect": "= 1"}],
        }],
        "exclude": [{"match": "s3:x", "reason": "r", "owner": "o", "until": "2027-01-01"}],
        "evidence": {"path": "evidence"},
        "attest": [{"id": "a", "file": "f"}],
        "contract": {"file": "f", "notice": "60d", "transition": "30d", "retrieval": "30d"},
        "waivers": [{"finding": "f", "reason": "r", "owner": "o", "until": "2027-01-01"}],
        "plan": {
            "services": [{"name": "s", "criticality": "c"}],
            "alternatives": [{"name": "n", "country": "FR", "gap": "g", "assessed": "2026-01-01"}],
            "follow_up": [{"finding": "f", "owner": "o", "due": "2027-01-01"}],
        },
    })
}

fn required_paths(root: &Value, schema: &Value, pointer: &str, found: &mut Vec<(String, String)>) {
    if let Some(target) = schema["$ref"].as_str() {
        let target = root.pointer(target.trim_start_matches('#')).unwrap();
        return required_paths(root, target, pointer, found);
    }
    for key in schema["required"].as_array().into_iter().flatten() {
        found.push((pointer.to_owned(), key.as_str().unwrap().to_owned()));
    }
    if schema["items"].is_object() {
        required_paths(root, &schema["items"], &format!("{pointer}/0"), found);
    }
    for (key, property) in schema["properties"].as_object().into_iter().flatten() {
        required_paths(root, property, &format!("{pointer}/{key}"), found);
    }
}

#[test]
fn the_schema_describes_every_key_and_allows_no_other() {
    let schema = schema();
    assert_eq!(schema["title"], "walkaway playbook");
    assert!(schema.get("$id").is_none());
    let objects = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    for object in objects.filter(|object| object["properties"].is_object()) {
        assert_eq!(object["additionalProperties"], false, "{object:#}");
        for (key, property) in object["properties"].as_object().unwrap() {
            assert!(property["description"].is_string(), "{key} has no description");
            assert_ne!(property["type"], json!(["string", "null"]), "{key}");
        }
    }
}

#[test]
fn the_same_text_and_origin_make_the_same_playbook() {
    let json = |playbook: &Playbook| serde_json::to_string(playbook).unwrap();
    assert_eq!(json(&parse(FULL).unwrap()), json(&parse(FULL).unwrap()));
    let origin = Origin::of(Path::new("some/playbook.yaml")).unwrap();
    assert!(origin.folder.is_absolute() && origin.folder.ends_with("some"));
    let stored = serde_json::to_string(&origin).unwrap();
    assert_eq!(serde_json::from_str::<Origin>(&stored).unwrap(), origin);
}

#[test]
fn the_copy_and_the_evidence_do_not_share_a_directory() {
    let playbook = |target: &str, evidence: &str| {
        let assets = "assets: [{id: crm, postgres: {url: 'env:CRM_URL'}}]";
        problems(&format!(
            "version: 1\nid: small\ntarget: {{path: {target}, postgres: {{managed: true}}}}\n{assets}\n{evidence}\n"
        ))
    };
    for (target, evidence, line) in [
        ("exit", "evidence: {path: exit/}", 5),
        ("./a/../exit", "evidence: {path: /books/exit}", 5),
        ("evidence", "", 3),
    ] {
        let problems = playbook(target, evidence);
        assert_eq!(problems.len(), 1, "{target} {evidence}: {problems:?}");
        assert!(problems[0].message.contains("the same directory") && problems[0].line == line, "{problems:?}");
    }
    assert!(playbook("exit", "evidence: {path: exit/evidence}").is_empty());
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_too() {
    let invalid = Playbook::read(Path::new("/nowhere/playbook.yaml")).unwrap_err();
    assert!(invalid.to_string().starts_with("/nowhere/playbook.yaml: cannot be read"));
    let problem = not_utf8(b"id: x\ntitle: \xff", 13);
    assert_eq!((problem.line, problem.column), (2, 8));
}

#[test]
fn no_message_repeats_what_a_reference_leads_to() {
    let provider = "endpoints: {s3: \"http://127.0.0.1:8333\",";
    let target = "postgres: {url: \"file:exit.url\"}";
    for text in [
        FULL.replace(provider, "endpoints: {s3: \"env:CRM_URL\","),
        FULL.replace(provider, "endpoints: {s3: \"file:exit.url\","),
        FULL.replace(target, "s3: {endpoint: \"env:CRM_URL\", region: eu}"),
    ] {
        let problems = problems(&text);
        let named = problems.iter().any(|problem| problem.message.contains("is not the address of a server"));
        assert!(named && !format!("{problems:?}").contains("hunter"), "{problems:?}");
    }
}

#[test]
fn no_message_repeats_a_secret() {
    for text in [
        "AKIAIOSFODNN7EXAMPLE: 1\nAKIAIOSFODNN7EXAMPLE: 2\n",
        "id: *AKIAIOSFODNN7EXAMPLE\n",
        "id: !AKIAIOSFODNN7EXAMPLE x\n",
        "version: AKIAIOSFODNN7EXAMPLE\n",
        "x: &AKIAIOSFODNN7EXAMPLE x\n",
    ] {
        let invalid = parse(text).unwrap_err();
        assert!(!format!("{invalid} {invalid:?}").contains("AKIA"), "{invalid}");
    }
}

proptest! {
    #[test]
    fn arbitrary_text_is_never_a_panic(text in "\\PC*") {
        check(&text);
    }

    #[test]
    fn yaml_like_text_is_never_a_panic(text in "[a-c:\\-\\[\\]{}&*!|>'\"#%@,?~<. \n\t0-9é]{0,120}") {
        check(&text);
    }

    #[test]
    fn a_damaged_playbook_is_never_a_panic(at in 0..FULL.len(), cut in 0..40_usize, insert in "[:\\-\\[{}&*'\"\n a1]{0,4}") {
        let end = (at + cut).min(FULL.len());
        check(&format!("{}{insert}{}", &FULL[..at], &FULL[end..]));
    }
}

/// Either a playbook, or at least one problem, each with a place inside the text.
fn check(text: &str) {
    if let Err(invalid) = parse(text) {
        assert!(!invalid.problems.is_empty());
        for problem in invalid.problems {
            assert!(problem.line <= text.lines().count() + 1, "{problem} in {text:?}");
        }
    }
}
