//! The report and the exit plan on paper: PDF/A-3 and PDF/UA with fonts, structure and material inside, run and digest on
//! every page.
//! What reads them here is poppler; a validator of PDF/A (veraPDF) is in no package index and is not asked.

use std::{fs, path::Path, process::Command};

use serde_json::json;
use walkaway::{
    domain::digest::Sha256Digest,
    evidence::parse_result,
    report::{self, View},
};

use crate::{
    evidence::reports::{ended, rehash},
    support::{
        TempDir,
        drill::{Drill, stock},
    },
};

/// The text of each page.
fn pages(pdf: &Path) -> Vec<String> {
    let text = stock(Command::new("pdftotext").args(["-layout"]).arg(pdf).arg("-"));
    text.split_terminator('\u{c}').map(str::to_owned).collect()
}

/// PDF/A-3a and PDF/UA-1 by its own word, tagged, and every font inside.
#[track_caller]
fn is_archival(pdf: &Path) {
    let metadata = stock(Command::new("pdfinfo").arg("-meta").arg(pdf));
    assert!(metadata.contains("<pdfaid:part>3</pdfaid:part>"), "{metadata}");
    assert!(metadata.contains("<pdfaid:conformance>A</pdfaid:conformance>"), "{metadata}");
    assert!(metadata.contains("<pdfuaid:part>1</pdfuaid:part>"), "{metadata}");
    let facts = stock(Command::new("pdfinfo").arg(pdf));
    assert!(facts.lines().any(|line| line.starts_with("Tagged:") && line.ends_with("yes")), "{facts}");
    let fonts = stock(Command::new("pdffonts").arg(pdf));
    let fonts: Vec<Vec<&str>> = fonts.lines().skip(2).map(|line| line.split_whitespace().collect()).collect();
    // name, type, encoding, embedded, subset, unicode, object
    assert!(!fonts.is_empty() && fonts.iter().all(|font| font[font.len() - 5] == "yes"), "{fonts:#?}");
}

/// The files inside, by name.
fn attached(pdf: &Path, name: &str) -> Vec<u8> {
    let home = TempDir::new();
    stock(Command::new("pdfdetach").arg("-saveall").arg("-o").arg(home.path()).arg(pdf));
    fs::read(home.join(name)).unwrap()
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn pages_of_different_ends_can_not_be_mistaken() {
    let ends = [
        ("PASS", "", "", "Every asset of the playbook was restored"),
        ("FAIL", "object_digest", "fail", "This drill FAILED"),
        ("NOT RUN", "object_unreadable", "not_run", "NO proof of an exit"),
        ("WAIVED", "object_digest", "fail", "This drill did NOT pass"),
    ];
    let home = TempDir::new();
    for (verdict, kind, severity, words) in ends {
        let (mut value, _) = ended(verdict, kind, severity);
        if verdict == "WAIVED" {
            let waiver = json!({"finding": "files:", "reason": "accepted", "owner": "dba@acme.example", "until": "2099-01-31", "expired": false, "waives": 1});
            value["waivers"] = json!([waiver]);
        }
        value["assets"][0]["source"] = json!("s3://中文/\u{202e}x ✔ é");
        let bytes = serde_json::to_vec(&value).unwrap();
        let result = parse_result(&bytes).unwrap();
        let digest = Sha256Digest::of("a bundle");
        let result_sha256 = Sha256Digest::of(&bytes).to_string();
        let view = View { bundle_digest: Some(digest), ..View::new(&result, &bytes) };
        let make = || report::make(report::PDF, &view, &bytes, b"version: 1\n").unwrap();
        let pdf = make();
        let path = home.join("report.pdf");
        assert_eq!(pdf, make(), "the same result gives the same bytes");
        fs::write(&path, pdf).unwrap();
        is_archival(&path);
        assert_eq!(
            (attached(&path, "result.json"), attached(&path, "playbook.yaml")),
            (bytes, b"version: 1\n".to_vec())
        );
        let pages = pages(&path);
        assert!(pages.len() <= 4, "{} pages for two assets", pages.len());
        assert!(pages[0].contains(words), "{}", pages[0]);
        for (number, page) in (1..).zip(&pages) {
            let told = [&result.run, &digest.to_string(), &result_sha256].map(|words| page.contains(words));
            assert_eq!(told, [true; 3], "page {number} of a {verdict}: {page}");
            assert!(page.trim_start().starts_with(verdict), "{page}");
            assert!(page.contains(&format!("page {number} of {}", pages.len())), "{page}");
        }
        let all = pages.concat();
        for (other, .., foreign) in ends.iter().filter(|(other, ..)| *other != verdict) {
            assert!(!all.contains(foreign), "the report of a {verdict} says what a {other} says");
        }
        for part in [
            "2 Coverage",
            "3 Assets",
            "4 Time to exit",
            "5 Cost",
            "6 Deviations",
            "7 Chain",
            "8 Alternatives",
            "9 Trend",
            "10 Controls",
        ] {
            assert!(all.contains(part), "{part}");
        }
        assert!(all.contains("\\u{4e2d}") && all.contains("\\u{202e}"), "what has no glyph is printed as its number");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_pages_of_a_drill_are_those_of_its_bundle() {
    let drill = Drill::new().bucket(&[("a", "1"), ("b", "22")]).settings("controls: [\"DORA:28.8\"]");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let bundle = ran.bundle.display().to_string();
    let inside = ran.bundle.join("data/report.pdf");
    is_archival(&inside);
    for name in ["result.json", "playbook.yaml"] {
        assert_eq!(attached(&inside, name), fs::read(ran.bundle.join("data").join(name)).unwrap(), "{name}");
    }
    let result_sha256 = Sha256Digest::of(fs::read(ran.bundle.join("data/result.json")).unwrap()).to_string();
    let run = ran.bundle.file_name().unwrap().to_str().unwrap();
    assert!(pages(&inside).iter().all(|page| page.contains(&result_sha256) && page.contains(run)));
    // Outside of the bundle its digest is known, and whoever makes the pages again gets the same bytes.
    let digest = Sha256Digest::of(fs::read(ran.bundle.join("tagmanifest-sha256.txt")).unwrap()).to_string();
    let made = ["once", "again"].map(|name| {
        let out = drill.home().join(name);
        stock(&mut drill.walkaway(&["report", &bundle, "--out", &out.display().to_string()]));
        let pages = pages(&out.join("report.pdf"));
        assert!(pages.iter().all(|page| page.contains(&digest) && page.contains(&result_sha256) && page.contains(run)));
        fs::read(out.join("report.pdf")).unwrap()
    });
    assert_eq!(made[0], made[1]);
    // Pages that say something else are found, also when every digest was made to agree.
    fs::write(&inside, &made[0]).unwrap();
    rehash(&ran.bundle);
    let verified = drill.walkaway(&["verify", &bundle]).output().unwrap();
    let said = String::from_utf8(verified.stdout).unwrap();
    assert!(verified.status.code() == Some(1) && said.contains("data/report.pdf"), "{said}");
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn the_plan_on_paper_has_the_commands_inside() {
    let drill = Drill::new().bucket(&[("a", "1")]).database(crate::support::drill::PLAIN_DATABASE);
    fs::write(drill.home().join("drill.yaml"), drill.playbook()).unwrap();
    let markdown = stock(&mut drill.walkaway(&["manual", "drill.yaml"]));
    let path = drill.home().join("plan.pdf");
    let said = stock(&mut drill.walkaway(&["manual", "drill.yaml", "--pdf", &path.display().to_string()]));
    assert_eq!(said.trim(), path.display().to_string());
    is_archival(&path);
    assert_eq!(attached(&path, "playbook.yaml"), drill.playbook().into_bytes());
    assert_eq!(attached(&path, "exit-plan.md"), markdown.into_bytes());
    let digest = Sha256Digest::of(drill.playbook()).to_string();
    let pages = pages(&path);
    assert!(pages.iter().all(|page| page.contains(&digest) && page.contains("never tested")));
    let all = pages.concat();
    for words in ["1. Provider", "6. The exit by hand", "aws s3 sync", "pg_restore", "7. Schedule", "10. Communication"]
    {
        assert!(all.contains(words), "{words}: {all}");
    }
}
