//! The readers. Each test holds for one of them what it promises for every input.

use std::{ffi::OsString, fs, io, path::Path};

use tempfile::TempDir;
use walkaway::{
    domain::{
        digest::{RowDigest, RowKey, Sha256Digest},
        event::Event,
    },
    evidence::{
        self, Journal, check_bundle, journal,
        signing::{AllowedSigners, Role, Seal},
        timestamp::{Authorities, Stamp},
    },
    playbook::{self, Environment, Origin, Playbook},
    provider::parquet_rows::{ParquetRows, shape_of},
    transfer::table::RowSource as _,
};

use super::mutate::run;
use crate::support::parquet::{self, Column};

fn here(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn bytes_of(path: &str) -> Vec<u8> {
    fs::read(here(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a reader's result is, in a few words.
fn answer<T>(result: Result<T, impl std::fmt::Display>) -> String {
    result.map_or_else(|error| error.to_string(), |_| "good".to_owned())
}

struct Nothing;

impl Environment for Nothing {
    fn variable(&self, name: &str) -> Option<OsString> {
        (name == "SET").then(|| "postgres://db/crm".into())
    }

    fn file(&self, _path: &Path) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }
}

#[test]
fn playbooks() {
    let bad = fs::read_dir(here("tests/playbooks/bad")).unwrap().flatten().map(|entry| fs::read(entry.path()).unwrap());
    let good = ["playbooks/aws-example.yaml", "playbooks/demo.yaml"].map(bytes_of);
    run("playbook", good.into_iter().chain(bad), |input| {
        let text = String::from_utf8_lossy(input);
        let origin = Origin { name: "playbook.yaml".into(), folder: "/books".into() };
        match Playbook::parse(&text, &origin, &Nothing) {
            Ok(_) => "good".to_owned(),
            Err(invalid) => {
                let message = invalid.to_string();
                assert!(!message.is_empty() && !message.contains("Some("), "{message}");
                message.lines().nth(1).unwrap_or_default().to_owned()
            }
        }
    });
}

#[test]
fn quantities() {
    let seeds =
        ["4h", "<= 4h", "0.35 USD", "2%", ">= 60%", "12mo", "20MiB", "90s", "1w"].map(|text| text.as_bytes().to_vec());
    run("quantity", seeds, |input| {
        let text = String::from_utf8_lossy(input);
        // What is read is written so that it is read as the same again.
        macro_rules! kinds {
            ($($kind:ident)*) => {
                [$(match text.parse::<playbook::$kind>() {
                    Ok(value) => {
                        let written = value.to_string();
                        assert_eq!(written.parse::<playbook::$kind>().ok(), Some(value), "{text:?} as {written:?}");
                        "good".to_owned()
                    }
                    Err(wrong) => wrong.to_string(),
                }),*].concat()
            };
        }
        kinds!(Period Ceiling Share Floor Age Size)
    });
}

#[test]
fn copy_text() {
    let seeds = [b"1\ta\n2\t\\N\n".to_vec(), b"\\\\x00\tb\\\\\\n\n\n\n".to_vec(), vec![b'x'; 300]];
    let key = RowKey(Sha256Digest::of("key"));
    run("copy", seeds, |input| {
        let digest = |piece: usize| {
            let mut digest = RowDigest::new(key, "COPY t TO STDOUT");
            input.chunks(piece).for_each(|piece| digest.update(piece));
            digest.finish()
        };
        // However it is cut, it is one stream; and only a stream that ends with a line is whole.
        let whole = digest(input.len().max(1));
        assert_eq!((digest(1), digest(7)), (whole, whole));
        assert_eq!(whole.is_some(), input.last().is_none_or(|last| *last == b'\n'));
        let lines = input.iter().filter(|byte| **byte == b'\n').count() as u64;
        assert!(whole.is_none_or(|whole| whole.rows == lines));
        format!("{}", whole.is_some())
    });
}

#[test]
fn journals() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("journal.ndjson");
    let mut made = Journal::create(&path).unwrap();
    for reason in ["one", "two", "three"] {
        let event = Event::AssetStopped { asset: "a".into(), reason: reason.into() };
        made.append_synced(jiff::Timestamp::UNIX_EPOCH, &event).unwrap();
    }
    let head = made.head();
    drop(made);
    let good = fs::read(&path).unwrap();
    let seeds = [good.clone(), bytes_of("tests/evidence/frozen/v2/data/journal.ndjson")];
    run("journal", seeds, |input| {
        fs::write(&path, input).unwrap();
        let findings = journal::check(&path, head);
        assert!(!findings.is_empty() || input == good, "another journal has this head");
        match journal::read(&path) {
            Ok(entries) => format!("{} {}", entries.len().min(3), findings.len()),
            Err(error) => error.to_string(),
        }
    });
}

#[test]
fn results() {
    let seeds = ["v1", "v2"].map(|version| bytes_of(&format!("tests/evidence/frozen/{version}/data/result.json")));
    run("result", seeds, |input| answer(evidence::parse_result(input)));
}

fn files_below(root: &Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(root).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => files.extend(files_below(&entry.path())),
            false => files.push(entry.path()),
        }
    }
    files.sort();
    files
}

/// The first two bytes say which file of which bundle is broken, the rest is what stands in it then.
#[test]
fn bundles() {
    let dir = TempDir::new().unwrap();
    let bundles = ["v1", "v2"].map(|version| {
        let from = here("tests/evidence/frozen").join(version);
        let to = dir.path().join(version);
        for file in files_below(&from) {
            let copy = to.join(file.strip_prefix(&from).unwrap());
            fs::create_dir_all(copy.parent().unwrap()).unwrap();
            fs::copy(&file, copy).unwrap();
        }
        (to.clone(), files_below(&to))
    });
    let all: Vec<(usize, usize)> =
        (0..2).flat_map(|bundle| (0..bundles[bundle].1.len()).map(move |file| (bundle, file))).collect();
    let seeds = all.iter().enumerate().map(|(number, (bundle, file))| {
        [&[number as u8, 0][..], &fs::read(&bundles[*bundle].1[*file]).unwrap()].concat()
    });
    run("bundle", seeds.collect::<Vec<_>>(), |input| {
        let Some((number, content)) = input.split_at_checked(2) else { return String::new() };
        let (bundle, file) = all[usize::from(number[0]) % all.len()];
        let (root, files) = &bundles[bundle];
        let good = fs::read(&files[file]).unwrap();
        fs::write(&files[file], content).unwrap();
        let checked = check_bundle(root);
        fs::write(&files[file], &good).unwrap();
        match checked {
            Ok(checked) => {
                // Nothing covers the last manifest but a signature, and what lies beside signatures is not covered either.
                let is_covered =
                    !["tagmanifest", "sig/"].iter().any(|part| files[file].to_string_lossy().contains(part));
                let is_found = !checked.findings.is_empty();
                assert!(content == good || is_found || !is_covered, "{} may be changed", files[file].display());
                checked.findings.iter().map(|finding| finding.to_string()).collect()
            }
            Err(error) => error.to_string(),
        }
    });
}

#[test]
fn allowed_signers_and_signatures() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBQXjOrrlcH1kWIsCLhHQBcxvJQr0l0R2yF1mzC8s1vO";
    let lines = [
        format!("olga@example.org {key}\n"),
        format!(
            "# comment\na,b namespaces=\"x,y\",valid-after=\"20260101\",valid-before=\"20270101120000Z\" {key} note\n"
        ),
    ];
    run("allowed_signers", lines.map(String::into_bytes), |input| {
        answer(AllowedSigners::parse(&String::from_utf8_lossy(input)))
    });
    let signatures = files_below(&here("tests/evidence/frozen/v2/sig"));
    run("seal", signatures.iter().map(|path| fs::read(path).unwrap()), |input| {
        answer(Seal::check(input, Role::Operator, b"message"))
    });
}

#[test]
fn time_stamps() {
    // A granted response around a token of nothing, and one that was refused.
    let seeds = [vec![0x30, 9, 0x30, 3, 2, 1, 0, 0x30, 2, 6, 0], vec![0x30, 5, 0x30, 3, 2, 1, 2]];
    run("time_stamp", seeds, |input| {
        let _ = Authorities::parse(input);
        answer(Stamp::read(input, b"message"))
    });
}

#[test]
fn parquet_files() {
    let schema =
        "message m { optional int32 id; optional binary body (STRING); optional double d; optional boolean b; }";
    let columns = [
        Column::Int32((0..40).map(|n| (n % 5 > 0).then_some(n)).collect()),
        Column::texts((0..40).map(|n| (n % 3 > 0).then_some("some text"))),
        Column::Double((0..40).map(|n| Some(f64::from(n) / 3.0)).collect()),
        Column::Bool((0..40).map(|n| Some(n % 2 == 0)).collect()),
    ];
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("part-00000-1.gz.parquet");
    run("parquet", [parquet::file(schema, &columns, 15)], |input| {
        fs::write(&path, input).unwrap();
        let shape = match shape_of(&path) {
            Ok(shape) => shape,
            Err(error) => return error.to_string(),
        };
        let mut rows = ParquetRows::new([path.clone()], shape.columns.clone());
        let mut lines = 0;
        loop {
            let mut batch = Vec::new();
            if let Err(error) = rows.fill(&mut batch) {
                return error.to_string();
            }
            if batch.is_empty() {
                break;
            }
            assert_eq!(batch.last(), Some(&b'\n'));
            lines += batch.iter().filter(|byte| **byte == b'\n').count() as u64;
        }
        assert_eq!(lines, shape.rows, "as many rows come as the file says");
        "good".to_owned()
    });
}
