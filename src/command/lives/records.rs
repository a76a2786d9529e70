//! Records that are not what they seem: copied, damaged, or moved away.

use super::*;
use crate::{
    asset::rds::leftovers::{remove_of_other_runs, unrecorded},
    evidence,
};

/// Copies a run's folder, as a backup does.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))
        } else {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

/// What `clean` leaves and removes by the record in a folder.
async fn cleaned(provider: &Scripted, run_dir: &Path) -> Cleaned {
    let record = Record { in_use: false, ..Record::read(run_dir).unwrap().unwrap() };
    let mut cleaned = Cleaned::default();
    let interrupt = Interrupt::default();
    let cleaning = Cleaning { asker: asker(provider), run_dir, record, wait: Duration::ZERO, interrupt: &interrupt };
    cleaning.all(&[ASSET], &mut cleaned).await;
    cleaned
}

#[tokio::test]
async fn a_copy_of_a_living_runs_record_is_no_leave_to_remove_anything() {
    let original = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let provider = provider();
    let living = run(original.path(), "drill-1");
    let guards = Guards::default();
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"));
    let guard = Guard::set(&guards, &living, &temporary, vec![temporary.instance(), temporary.snapshot()]).unwrap();
    let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &living.interrupt).await.unwrap();
    temporary.restore(&snapshot, &shape(), &living.interrupt).await.unwrap();

    // Beside it, elsewhere, and where somebody goes on with the copy, and seals it.
    let copies = [elsewhere.path().join("drill-1"), original.path().join("copy"), elsewhere.path().join("drill-2")];
    copies.iter().for_each(|to| copy(&living.layout.bundle, to));
    for sealed in &copies[1..] {
        std::fs::write(sealed.join(evidence::TAG_MANIFEST), "").unwrap();
        assert!(evidence::is_sealed(sealed));
    }
    let resumed = Event::RunResumed {
        walkaway: String::new(),
        binary_sha256: Sha256Digest::of(""),
        host: crate::record::identity::host_name(),
        torn_bytes: 0,
        place: evidence::journal::place(&copies[2].join("data/journal.ndjson")),
    };
    let (mut journal, ..) = Journal::reopen(&copies[2].join("data/journal.ndjson")).unwrap();
    journal.append_synced(clock::now(), &resumed).unwrap();
    drop(journal);
    let rds = provider.rds();
    for folder in &copies {
        let cleaned = cleaned(&provider, folder).await;
        assert_eq!((own(&provider).len(), cleaned.removed.len()), (2, 0), "{cleaned:?}");
        let record = Record::read(folder).unwrap().unwrap();
        for one in &record.open {
            assert!(remove_named(&asker(&provider), &record, one, Duration::MAX, &Interrupt::default()).await.is_err());
        }
    }
    for evidence in [elsewhere.path(), original.path()] {
        let next = run(evidence, "drill-9");
        let guards = Guards::default();
        remove_of_other_runs(&guards, &next, evidence).await.unwrap();
        let orphans = Orphans { rds: &rds, work: &next, playbook: PLAYBOOK }.find().await;
        assert_eq!(orphans.map_err(|_: Stop| "listing").unwrap(), []);
        assert_eq!(guards.finish().await, Vec::<String>::new());
    }
    assert_eq!((own(&provider).len(), provider.touched().len()), (2, 0), "{:?}", provider.touched());

    // What the copy knows is over when its tag is.
    let names = [temporary.instance(), temporary.snapshot()];
    drop((guard, living));
    guards.finish().await;
    for (kind, resource) in ["instance", "snapshot"].iter().zip(&names) {
        provider.put(kind, resource.id(), OF_DRILL_1);
    }
    assert_eq!(cleaned(&provider, &copies[0]).await.removed.len(), 2);
}

#[tokio::test]
async fn what_no_record_names_is_found_by_its_tag_and_what_a_damaged_one_names_by_its_lines() {
    let evidence = tempfile::tempdir().unwrap();
    let provider = provider();
    let killed = run(evidence.path(), "drill-1");
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"));
    for resource in [temporary.instance(), temporary.snapshot()] {
        let asset = ASSET.to_owned();
        let resource = resource.to_string();
        killed.recorder.fact(&Event::CloudMaking { asset, resource }).unwrap();
    }
    provider.put("instance", temporary.instance().id(), OF_DRILL_1);
    let journal = killed.layout.journal();
    drop(killed);
    let text = std::fs::read_to_string(&journal).unwrap();
    std::fs::write(&journal, text.replacen("caller_identified", "caller_forgotten", 1)).unwrap();
    let runs = open_runs(evidence.path(), None);
    assert_eq!(runs.iter().map(|(_, record)| record.as_ref().unwrap().open.len()).collect::<Vec<_>>(), [2]);

    // One that can't be read is not one that names nothing.
    let whole = std::fs::read(&journal).unwrap();
    std::fs::remove_file(&journal).unwrap();
    std::fs::create_dir(&journal).unwrap();
    let unread = open_runs(evidence.path(), None);
    assert!(unread.len() == 1 && unread[0].1.is_err());
    std::fs::remove_dir(&journal).unwrap();
    std::fs::write(&journal, whole).unwrap();

    let known = runs[0].1.as_ref().unwrap().named.clone();
    assert_eq!(unrecorded(&provider.rds(), PLAYBOOK, &known).await, []);
    let told = unrecorded(&provider.rds(), PLAYBOOK, &BTreeSet::new()).await;
    let names: Vec<_> = told.iter().map(|one| (one.resource.clone(), one.in_use, one.run_dir.is_none())).collect();
    assert_eq!(names, [(temporary.instance().to_string(), false, true)]);
    provider.heal();
    provider.fail(0, Fault::Refused, true);
    assert_eq!(unrecorded(&provider.rds(), PLAYBOOK, &known).await.len(), 1, "a list that is refused is no empty list");
}
