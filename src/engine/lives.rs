//! For tests: the lives of what walkaway makes at a provider, from the first call to the last, under a script that loses,
//! delays, doubles or refuses any one of the calls, or all from one on, or kills the process there. Whatever happens:
//! afterwards nothing of walkaway's lives that is not named, and nothing of others was touched.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use super::{
    guard::{Guard, Guards},
    layout::Layout,
    ledger::Ledger,
    leftovers::{Orphans, Record, open_runs, remove_named, settle, spared},
    recorder::Recorder,
    stop::Stop,
    work::Work,
};
use crate::{
    clock,
    digest::Sha256Digest,
    event::{Event, Silent},
    evidence::Journal,
    interrupt::Interrupt,
    source::rds::{
        Rds,
        export::{Exports, Order, name_of},
        scripted::{Fault, Scripted},
        temporary::{Owner, Resource, Shape, Tagged, Temporary, UNTIL_TAG, tagged},
    },
    transfer::objects::Budget,
};

const WITHIN: Duration = Duration::from_millis(150);
const ASSET: &str = "ledger";
const PLAYBOOK: &str = "ledger-drill";

/// Kind, identifier and tags of a thing.
type Thing = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What walkaway must never touch: by its name, by its tags, or because another run is at work on it.
const OF_OTHERS: [Thing; 4] = [
    ("instance", "ledger-prod", &[]),
    ("instance", "bystander", &[("walkaway:run", "drill-1"), ("walkaway:playbook", PLAYBOOK)]),
    ("snapshot", "walkaway-untagged", &[]),
    ("instance", "walkaway-of-another", &[("walkaway:run", "x"), ("walkaway:playbook", "another-drill")]),
];

fn provider() -> Scripted {
    let provider = Scripted::default();
    OF_OTHERS.iter().for_each(|(kind, id, tags)| provider.put(kind, id, tags));
    provider
}

/// Of what is there, what is not others'.
fn own(provider: &Scripted) -> Vec<String> {
    let others: Vec<String> = OF_OTHERS.iter().map(|(kind, id, _)| format!("{kind} {id}")).collect();
    let there = provider.there();
    assert!(others.iter().all(|name| there.contains(name)), "something of others is gone: {there:?}");
    assert!(provider.touched().iter().all(|name| !others.contains(name)), "{:?}", provider.touched());
    there.into_iter().filter(|name| !others.contains(name)).collect()
}

/// A run with a journal in a directory of its own.
fn run(evidence: &Path, id: &str) -> Work {
    let layout = Layout { bundle: evidence.join(id), restored: evidence.join("restored") };
    std::fs::create_dir_all(layout.data()).unwrap();
    std::fs::create_dir_all(layout.state()).unwrap();
    let recorder = Arc::new(Recorder::new(Journal::create(&layout.journal()).unwrap(), Arc::new(Silent)));
    let (digest, host) = (Sha256Digest::of(""), super::identity::host_name());
    let started = Event::RunStarted {
        run: id.to_owned(),
        playbook_sha256: digest,
        walkaway: String::new(),
        binary_sha256: digest,
        host,
    };
    recorder.fact(&started).unwrap();
    let ledger = Arc::new(Ledger::from_journal(&layout, &[]));
    let (asset, run, budget, interrupt) = (ASSET.to_owned(), id.to_owned(), Budget::new(1 << 20), Interrupt::default());
    Work { asset, run, layout, ledger, recorder, budget, interrupt }
}

fn owner(run: &str) -> Owner {
    Owner { run: run.to_owned(), playbook: PLAYBOOK.to_owned(), asset: ASSET.to_owned() }
}

fn shape() -> Shape {
    Shape {
        class: "c".into(),
        subnet_group: "s".into(),
        security_groups: vec!["g".into()],
        parameter_group: "p".into(),
        tags: Vec::new(),
        available_within: WITHIN,
    }
}

/// A snapshot is taken and restored, and both are removed. What was left, and whether the work could be done.
async fn instance_life(rds: Rds, work: Work, guards: Guards) -> (Vec<String>, bool) {
    let temporary = Temporary::new(&rds, owner(&work.run), WITHIN);
    let resources = vec![temporary.instance(), temporary.snapshot()];
    let guard = Guard::set(&guards, &work, &temporary, resources).unwrap();
    let made = async {
        let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &work.interrupt).await?;
        let endpoint = temporary.restore(&snapshot, &shape(), &work.interrupt).await;
        temporary.answer_for().await;
        endpoint
    };
    let made = made.await;
    let left = guard.release().await;
    (left.iter().map(|(resource, _)| resource.to_string()).collect(), made.is_ok())
}

/// A snapshot is taken and exported; the export is cancelled if it does not end.
async fn export_life(rds: Rds, work: Work, guards: Guards) -> (Vec<String>, bool) {
    let temporary = Temporary::new(&rds, owner(&work.run), WITHIN);
    let export = Resource::Export(name_of(&work.run, ASSET, 1));
    let guard = Guard::set(&guards, &work, &temporary, vec![export.clone(), temporary.snapshot()]).unwrap();
    let exports = Exports::new(&rds);
    let made = async {
        let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &work.interrupt).await?;
        let text = String::new;
        let order = Order {
            snapshot_arn: snapshot,
            database: None,
            bucket: "b".into(),
            prefix: text(),
            role: text(),
            key: text(),
        };
        temporary.expect_to_appear(&export, temporary.appears_within());
        exports.start(export.id(), &order).await.map_err(|(error, refused)| {
            if refused {
                temporary.refused(&export);
            }
            error
        })?;
        exports.wait(export.id(), WITHIN, &work.interrupt, |_| {}).await
    };
    let made = made.await;
    let left = guard.release().await;
    (left.iter().map(|(resource, _)| resource.to_string()).collect(), made.is_ok())
}

/// What `clean` does after a kill, until nothing is said to be open, or to be left for good.
async fn clean_up(provider: &Scripted, evidence: &Path) -> BTreeSet<String> {
    let mut said = BTreeSet::new();
    for (directory, record) in open_runs(evidence, None) {
        for one in &record.open {
            match remove_named(&provider.rds(), &record.run, one, Duration::MAX, &Interrupt::default()).await {
                Ok(_) => settle(&directory, &one.resource).unwrap(),
                Err(_) => drop(said.insert(one.resource.to_string())),
            }
        }
    }
    said
}

/// One life under one fault. Returns how many calls it took.
fn live(exports: bool, call: usize, fault: Option<(Fault, bool)>) -> usize {
    let evidence = tempfile::tempdir().unwrap();
    let provider = provider();
    if let Some((fault, onwards)) = fault {
        provider.fail(call, fault, onwards);
    }
    let case = format!("exports: {exports}, call {call}: {fault:?}");
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let process = runtime();
    let ended = process.block_on(async {
        let (work, guards) = (run(evidence.path(), "drill-1"), Guards::default());
        let life = async {
            match exports {
                true => export_life(provider.rds(), work, guards).await,
                false => instance_life(provider.rds(), work, guards).await,
            }
        };
        tokio::select! {
            ended = life => Some(ended),
            () = provider.killed() => None,
        }
    });
    // The process is gone with all its tasks; its journal is let go.
    process.shutdown_background();
    let calls = provider.calls().len();
    let mut said: BTreeSet<String> = BTreeSet::new();
    match ended {
        Some((left, done)) => {
            said.extend(left);
            assert!(fault.is_some() || (done && said.is_empty()), "{case}");
        }
        None => {
            provider.heal();
            said = runtime().block_on(clean_up(&provider, evidence.path()));
            assert_eq!(said, BTreeSet::new(), "{case}: a healthy provider leaves nothing to name");
        }
    }
    let unsaid = own(&provider).into_iter().filter(|name| !said.contains(&format!("RDS {name}")));
    assert_eq!(unsaid.collect::<Vec<_>>(), Vec::<String>::new(), "{case}: lives and is not named; named: {said:?}");
    // What was named is still named to the next one who asks, and goes when the provider lets it.
    provider.heal();
    runtime().block_on(clean_up(&provider, evidence.path()));
    assert_eq!(own(&provider), Vec::<String>::new(), "{case}: the next one to ask does not remove it");
    calls
}

fn every_fault(exports: bool) {
    let calls = live(exports, 0, None);
    assert!(calls > 6, "{calls}");
    for call in 0..=calls {
        for fault in Fault::ALL {
            live(exports, call, Some((fault, false)));
        }
        for fault in [Fault::Lost, Fault::Refused, Fault::Empty, Fault::StrangePage, Fault::Late] {
            live(exports, call, Some((fault, true)));
        }
    }
}

#[test]
fn an_instance_and_its_snapshot_never_live_unnamed() {
    every_fault(false);
}

#[test]
fn an_export_and_its_snapshot_never_live_unnamed() {
    every_fault(true);
}

#[tokio::test]
async fn a_lost_answer_to_a_creating_call_is_success() {
    for fault in [Fault::AnswerLost, Fault::BusyAfter, Fault::Doubled, Fault::LateTags] {
        let (evidence, provider) = (tempfile::tempdir().unwrap(), provider());
        provider.fail(0, fault, false);
        let (left, done) = instance_life(provider.rds(), run(evidence.path(), "drill-1"), Guards::default()).await;
        assert!(done && left.is_empty(), "{fault:?}: {left:?}");
    }
}

#[tokio::test]
async fn a_second_run_spares_what_the_first_is_at_work_on() {
    let (here, elsewhere, provider) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), provider());
    let first = run(here.path(), "drill-1");
    let (guards, temporary) = (Guards::default(), Temporary::new(&provider.rds(), owner("drill-1"), WITHIN));
    let guard = Guard::set(&guards, &first, &temporary, vec![temporary.instance(), temporary.snapshot()]).unwrap();
    let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &first.interrupt).await.unwrap();
    temporary.restore(&snapshot, &shape(), &first.interrupt).await.unwrap();
    assert_eq!(own(&provider).len(), 2);

    let rds = provider.rds();
    let seconds = [run(here.path(), "drill-2"), run(elsewhere.path(), "drill-3"), run(elsewhere.path(), "drill-1")];
    for second in &seconds {
        let orphans = Orphans { rds: &rds, work: second, playbook: PLAYBOOK };
        let found = orphans.find().await.map_err(|_: Stop| "listing").unwrap();
        assert_eq!(found, [], "{} in {}", second.run, second.layout.bundle.display());
        let journal = std::fs::read_to_string(second.layout.journal()).unwrap();
        assert_eq!(journal.matches("cloud_spared").count(), 2, "{journal}");
    }

    // Its process is gone, and on this machine that can be seen at once; on another when its word has run out.
    drop(guard);
    let (instance, named) = (temporary.instance(), first.layout.bundle.clone());
    guards.finish().await;
    provider.put(
        "instance",
        instance.id(),
        &[("walkaway:run", "drill-1"), ("walkaway:playbook", PLAYBOOK), (UNTIL_TAG, "2999-01-01T00:00:00Z")],
    );
    drop(first);
    let found = tagged(&rds).await.unwrap();
    let found = found.iter().find(|found| found.resource == instance).unwrap();
    assert!(spared(found, None).is_some());
    assert_eq!(spared(found, Record::read(&named).as_ref()), None);
    let over = Tagged { until: Some(clock::now()), ..found.clone() };
    assert_eq!(spared(&over, None), None);
}

#[tokio::test]
async fn a_run_at_work_says_so_in_a_tag() {
    let (evidence, provider) = (tempfile::tempdir().unwrap(), provider());
    let work = run(evidence.path(), "drill-1");
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"), Duration::from_secs(9_000));
    let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &work.interrupt).await.unwrap();
    let until = || provider.tag(&format!("snapshot {snapshot}"), UNTIL_TAG).unwrap();
    let first: jiff::Timestamp = until().parse().unwrap();
    temporary.answer_for().await;
    let second: jiff::Timestamp = until().parse().unwrap();
    // The first word covers all that it may be needed; each later one half an hour, as long as somebody gives it.
    assert!(first > second && second > clock::now(), "{first} {second}");
}

#[tokio::test]
async fn an_instance_that_vanished_is_noticed() {
    let (evidence, provider) = (tempfile::tempdir().unwrap(), provider());
    let work = run(evidence.path(), "drill-1");
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"), WITHIN);
    let instance = temporary.instance();
    temporary.restore("s", &shape(), &work.interrupt).await.unwrap();
    assert!(!temporary.instance_vanished().await);
    provider.take(&format!("instance {}", instance.id()));
    assert!(temporary.instance_vanished().await);
}
