//! Archives, and what stock programs make of them.

use std::{collections::BTreeMap, process::Command};

use serde_json::{Value, json};

use crate::{
    objects::{Provider, archives, by_key, extract, verifies},
    support::{
        self, block_on,
        drill::{BUCKET, Drill, FILES, content, stock},
    },
};

/// Around every threshold: collected, streamed, read in ranges.
fn sizes() -> BTreeMap<String, Vec<u8>> {
    let sizes = [0, 1, 511, 512, 513, 1 << 20, (1 << 20) + 1, (16 << 20) - 1, 16 << 20, (16 << 20) + 1];
    sizes.iter().map(|size| (format!("size/{size}"), content(&size.to_string(), *size))).collect()
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn objects_at_every_threshold_lie_in_archives() {
    let objects: Vec<_> = sizes().into_iter().collect();
    let drill = Drill::new().bucket(&objects).s3("layout: tar");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let members = ran.receipts();
    assert!(members.iter().all(|receipt| receipt["within"]["archive"]["name"].is_string()), "{members:#?}");
    verifies(&drill, &ran);
    let expected = sizes();
    let mut programs = vec!["tar"];
    match Command::new("bsdtar").arg("--version").output() {
        Ok(_) => programs.push("bsdtar"),
        Err(error) => eprintln!("SKIPPED: extracting with bsdtar, which is not there ({error})"),
    }
    for program in programs {
        let directory = extract(program, &ran);
        assert_eq!(by_key(&ran, directory.path()), expected, "{program}");
        let list = ran.bundle.join("data/assets").join(FILES).join("objects.sha256");
        let said =
            stock(Command::new("sha256sum").args(["--check", "--strict"]).arg(list).current_dir(directory.path()));
        assert_eq!(said.lines().filter(|line| line.ends_with(": OK")).count(), expected.len(), "{program}");
    }
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn damage_to_an_archive_is_found() {
    let drill = Drill::new().bucket(&[("a/one", "first"), ("b/two", "second"), ("c", "third")]).s3("layout: tar");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let archive = &archives(&ran)[0];
    let intact = std::fs::read(archive).unwrap();
    let verify = || {
        let output = drill.walkaway(&["verify", ran.bundle.to_str().unwrap(), "--restored"]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    assert_eq!(verify().0, 0);
    let at = intact.windows(6).position(|bytes| bytes == b"second").unwrap();
    let mut changed = intact.clone();
    changed[at] ^= 1;
    let mut added = intact[..intact.len() - 1024].to_vec();
    added.extend_from_slice(&intact[..]);
    for (what, bytes) in [("a byte", changed), ("cut off", intact[..at].to_vec()), ("members twice", added)] {
        std::fs::write(archive, bytes).unwrap();
        let (code, said) = verify();
        assert_ne!(code, 0, "{what}: {said}");
    }
    std::fs::remove_file(archive).unwrap();
    assert_ne!(verify().0, 0);
}

/// The pax records hold what the provider keeps beside the bytes.
#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn metadata_tags_and_headers_stand_in_the_archive_and_in_the_record() {
    let server = support::moto();
    let provider = Provider::at(server.endpoint());
    let request = provider.client.put_object().bucket(BUCKET).key("report.csv").body(b"\x1f\x8b rows".to_vec().into());
    let request = request.content_type("text/csv").content_encoding("gzip").cache_control("no-store");
    let request = request.metadata("owner", "finance").tagging("class=secret&year=2026");
    block_on(request.storage_class(aws_sdk_s3::types::StorageClass::StandardIa).send()).unwrap();
    let drill = provider.drill().s3("layout: tar");
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    let receipt = ran.receipt("report.csv");
    let properties = &receipt["properties"];
    assert_eq!(properties["headers"]["content_type"], "text/csv");
    assert_eq!(properties["headers"]["content_encoding"], "gzip");
    assert_eq!(properties["headers"]["cache_control"], "no-store");
    assert_eq!(properties["metadata"], json!({"owner": "finance"}));
    assert_eq!(properties["tags"], json!({"class": "secret", "year": "2026"}));
    assert_eq!(receipt["storage_class"], "STANDARD_IA");
    let has = |class: &str, item: &str| receipt["classes"][class].as_array().unwrap().contains(&json!(item));
    assert!(has("carried", "tags") && has("carried", "metadata") && has("recorded", "storage_class"), "{receipt:#}");
    assert!(ran.asset(FILES)["objects"]["classes"]["carried"].as_u64() >= Some(4));

    let program = "
import json, sys, tarfile
member = tarfile.open(sys.argv[1]).getmembers()[0]
print(json.dumps({name.rsplit('.', 1)[1]: json.loads(value) for name, value in member.pax_headers.items() if 'walkaway' in name}))
";
    let records: Value = serde_json::from_str(&support::drill::python(program, &[&archives(&ran)[0]])).unwrap();
    assert_eq!(records["key"], "report.csv");
    assert_eq!(records["properties"], *properties);
}

#[test]
#[ignore = "needs the stand-ins: run scripts/test"]
fn an_object_that_is_stored_as_gzip_stays_gzip() {
    let server = support::moto();
    let provider = Provider::at(server.endpoint());
    let stored = b"\x1f\x8b\x08\x00 not to be unpacked";
    let request = provider.client.put_object().bucket(BUCKET).key("page.html").body(stored.to_vec().into());
    block_on(request.content_encoding("gzip").send()).unwrap();
    let drill = provider.drill();
    let ran = drill.run();
    ran.assert_ended(0, "PASS");
    assert_eq!(by_key(&ran, &ran.restored(FILES))["page.html"], stored);
    assert_eq!(ran.receipt("page.html")["properties"]["headers"]["content_encoding"], "gzip");
}
