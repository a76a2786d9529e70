//! For tests: the lives of what walkaway makes at a provider, from the first call to the last, under a script that loses,
//! delays, doubles or refuses any one of the calls, or all from one on, or kills the process there. Whatever happens:
//! afterwards nothing of walkaway's lives that is not named, and nothing of others was touched.

use std::{collections::BTreeSet, path::Path, sync::Arc, time::Duration};

use super::clean::{Cleaned, Cleaning};
use crate::{
    asset::{
        rds::{
            guard::{Guard, Guards},
            leftovers::{
                Asker, Orphans, Outstanding, Place, Record, open_runs, remove_named, settle, spared, still_open,
            },
        },
        stop::Stop,
        work::Work,
    },
    clock,
    domain::{
        digest::Sha256Digest,
        event::{Event, Silent},
    },
    evidence::Journal,
    interrupt::Interrupt,
    provider::rds::{
        Rds, Removed,
        export::{Exports, Order, name_of},
        scripted::{Fault, Scripted},
        temporary::{Owner, Resource, Shape, Tagged, Temporary, UNTIL_TAG, tagged},
    },
    record::{layout::Layout, ledger::Ledger, recorder::Recorder},
    transfer::objects::Budget,
};

#[cfg(test)]
mod records;

const WITHIN: Duration = Duration::from_millis(150);
const ASSET: &str = "ledger";
const PLAYBOOK: &str = "ledger-drill";

/// Kind, identifier and tags of a thing.
type Thing = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

/// What walkaway must never touch: by its name, by its tags, or because another run is at work on it.
const OF_OTHERS: [Thing; 6] = [
    ("instance", "ledger-prod", &[]),
    ("instance", "bystander", OF_DRILL_1),
    ("instance", "walkaway-prod", OF_DRILL_1),
    ("snapshot", "walkaway-0123456789abcdef0123-copy", OF_DRILL_1),
    ("snapshot", "walkaway-00000000000000000000", &[]),
    ("instance", "walkaway-11111111111111111111", &[("walkaway:run", "x"), ("walkaway:playbook", "another-drill")]),
];
const OF_DRILL_1: &[(&str, &str)] =
    &[("walkaway:run", "drill-1"), ("walkaway:playbook", PLAYBOOK), ("walkaway:until", "2020-01-01T00:00:00Z")];
const ACCOUNT: &str = "111111111111";
const REGION: &str = "us-east-1";

/// RDS as the runs of these tests ask it.
fn asker(provider: &Scripted) -> Asker {
    Asker { rds: provider.rds(), account: Ok(ACCOUNT.to_owned()), region: REGION.to_owned() }
}

fn here() -> Place {
    Place { account: Some(ACCOUNT.to_owned()), region: Some(REGION.to_owned()) }
}

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
    let digest = Sha256Digest::of("");
    let host = crate::record::identity::host_name();
    let started = Event::RunStarted {
        run: id.to_owned(),
        playbook_sha256: digest,
        walkaway: String::new(),
        binary_sha256: digest,
        host,
        place: recorder.place(),
    };
    recorder.fact(&started).unwrap();
    let Place { account, region } = here();
    recorder.fact(&Event::CallerIdentified { account: account.unwrap(), arn: String::new(), region }).unwrap();
    let ledger = Arc::new(Ledger::from_journal(&layout, &[]));
    let asset = ASSET.to_owned();
    let run = id.to_owned();
    let budget = Budget::new(1 << 20);
    let interrupt = Interrupt::default();
    let executor = Arc::new(crate::transfer::executor::LocalExecutor);
    Work { asset, run, layout, ledger, recorder, budget, interrupt, executor }
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
    let temporary = Temporary::new(&rds, owner(&work.run));
    let resources = vec![temporary.instance(), temporary.snapshot()];
    let guard = Guard::set(&guards, &work, &temporary, resources).unwrap();
    let made = async {
        let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &work.interrupt).await?;
        let endpoint = temporary.restore(&snapshot, &shape(), &work.interrupt).await;
        temporary.renew_in_use_tags().await;
        endpoint
    };
    let made = made.await;
    let left = guard.release().await;
    (left.iter().map(|(resource, _)| resource.to_string()).collect(), made.is_ok())
}

/// A snapshot is taken and exported; the export is cancelled if it does not end.
async fn export_life(rds: Rds, work: Work, guards: Guards) -> (Vec<String>, bool) {
    let temporary = Temporary::new(&rds, owner(&work.run));
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
        let record = record.unwrap();
        for one in &record.open {
            match remove_named(&asker(provider), &record, one, Duration::MAX, &Interrupt::default()).await {
                Ok(_) => settle(&directory, one).unwrap(),
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
        let work = run(evidence.path(), "drill-1");
        let guards = Guards::default();
        let life = async {
            if exports {
                export_life(provider.rds(), work, guards).await
            } else {
                instance_life(provider.rds(), work, guards).await
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
        let evidence = tempfile::tempdir().unwrap();
        let provider = provider();
        provider.fail(0, fault, false);
        let (left, done) = instance_life(provider.rds(), run(evidence.path(), "drill-1"), Guards::default()).await;
        assert!(done && left.is_empty(), "{fault:?}: {left:?}");
    }
}

#[tokio::test]
async fn a_second_run_spares_what_the_first_is_at_work_on() {
    let here = tempfile::tempdir().unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let provider = provider();
    let first = run(here.path(), "drill-1");
    let guards = Guards::default();
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"));
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
        // Beside the two, what carries the run's tag and another's name.
        assert_eq!(journal.matches("cloud_spared").count(), 5, "{journal}");
    }

    // Its process is gone, and on this machine that can be seen at once; on another when its word has run out.
    drop(guard);
    let instance = temporary.instance();
    let named = first.layout.bundle.clone();
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
    assert_eq!(spared(found, Record::read(&named).unwrap().as_ref()), None);
    let over = Tagged { until: Some(clock::now()), ..found.clone() };
    assert_eq!(spared(&over, None), None);
}

#[tokio::test]
async fn a_run_at_work_says_so_in_a_tag() {
    let evidence = tempfile::tempdir().unwrap();
    let provider = provider();
    let work = run(evidence.path(), "drill-1");
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"));
    let snapshot = temporary.take_snapshot("ledger-prod", WITHIN, &work.interrupt).await.unwrap();
    let until = || provider.tag(&format!("snapshot {snapshot}"), UNTIL_TAG).unwrap();
    let first: jiff::Timestamp = until().parse().unwrap();
    temporary.renew_in_use_tags().await;
    let second: jiff::Timestamp = until().parse().unwrap();
    // Half an hour from the start, and again as long as somebody says so.
    let ahead = |until: jiff::Timestamp| until.as_second() - clock::now().as_second();
    assert!(second > first && (1_790..=1_800).contains(&ahead(first)) && ahead(second) <= 1_800, "{first} {second}");
}

#[tokio::test]
async fn an_instance_that_vanished_is_noticed() {
    let evidence = tempfile::tempdir().unwrap();
    let provider = provider();
    let work = run(evidence.path(), "drill-1");
    let temporary = Temporary::new(&provider.rds(), owner("drill-1"));
    let instance = temporary.instance();
    temporary.restore("s", &shape(), &work.interrupt).await.unwrap();
    assert!(!temporary.instance_vanished().await);
    provider.take(&format!("instance {}", instance.id()));
    assert!(temporary.instance_vanished().await);
}

/// Something that a record leaves open.
fn open(resource: Resource, alive: jiff::Timestamp) -> Outstanding {
    Outstanding { asset: ASSET.to_owned(), resource, seq: 1, alive, place: here() }
}

/// An identifier that walkaway might have given.
fn id(letter: char) -> String {
    format!("walkaway-{}", letter.to_string().repeat(20))
}

fn long_ago() -> jiff::Timestamp {
    jiff::Timestamp::UNIX_EPOCH
}

async fn removed(asker: &Asker, one: &Outstanding) -> Result<Removed, String> {
    let record = record_of("here", vec![one.clone()]);
    remove_named(asker, &record, one, Duration::MAX, &Interrupt::default()).await
}

#[tokio::test]
async fn what_is_not_there_in_another_account_or_region_is_not_gone() {
    let provider = provider();
    let one = open(Resource::Instance(id('a')), long_ago());
    let right = asker(&provider);
    let wrong = [
        (Asker { account: Ok("222222222222".into()), ..right.clone() }, "use credentials of 111111111111"),
        (Asker { account: Err("no answer".into()), ..right.clone() }, "no answer"),
        (Asker { region: "eu-south-2".into(), ..right.clone() }, "set AWS_REGION=us-east-1"),
    ];
    let record = record_of("here", vec![one.clone()]);
    for (asker, words) in &wrong {
        let reason = removed(asker, &one).await.unwrap_err();
        assert!(reason.contains(words), "{reason}");
        assert!(still_open(asker, &record, &one).await.0.is_some_and(|reason| reason.contains(words)));
    }
    assert_eq!(provider.calls(), Vec::<String>::new(), "nothing was asked");
    assert_eq!(removed(&right, &one).await, Ok(Removed::NeverThere));
    assert_eq!(still_open(&right, &record, &one).await, (None, false));

    // Where it was made is not on record: that it is not there says nothing, that it is there says all.
    for place in [Place { region: None, ..here() }, Place { account: None, ..here() }] {
        let unplaced = Outstanding { place, ..one.clone() };
        assert!(removed(&right, &unplaced).await.unwrap_err().contains("look for it in the others"));
        assert!(still_open(&right, &record, &unplaced).await.0.is_some());
        provider.put("instance", &id('a'), OF_DRILL_1);
        assert_eq!(removed(&right, &unplaced).await, Ok(Removed::Gone));
        provider.take(&format!("instance {}", id('a')));
    }
}

/// What is open of a run that worked on a machine, and wrote this very record if that is here.
fn record_of(host: &str, open: Vec<Outstanding>) -> Record {
    let named: BTreeSet<Resource> = open.iter().map(|one| one.resource.clone()).collect();
    let is_here = host == "here";
    let named_here = if is_here { named.clone() } else { BTreeSet::new() };
    let run = "drill-1".to_owned();
    let host = host.to_owned();
    Record { run, named, open, place: here(), host, in_use: false, named_here, is_here }
}

#[tokio::test]
async fn one_old_answer_does_not_make_a_thing_gone() {
    for looks in 0..3 {
        let provider = provider();
        provider.put("instance", &id('a'), OF_DRILL_1);
        provider.hide(&format!("instance {}", id('a')), looks);
        let one = open(Resource::Instance(id('a')), long_ago());
        assert_eq!(removed(&asker(&provider), &one).await, Ok(Removed::Gone), "not seen for {looks} looks");
    }
}

#[tokio::test]
async fn what_another_machine_may_be_at_work_on_is_neither_removed_nor_called_removable() {
    let until = |until: &'static str| [OF_DRILL_1[0], OF_DRILL_1[1], ("walkaway:until", until)];
    let resources = [Resource::Instance(id('a')), Resource::Snapshot(id('b')), Resource::Export(id('c'))];
    // Whether it is there, until when its tag says that it is needed, and when its run was last alive.
    let cases = [
        (true, "2999-01-01T00:00:00Z", clock::now(), [true, true]),
        (true, "2999-01-01T00:00:00Z", long_ago(), [true, true]),
        (true, "2020-01-01T00:00:00Z", clock::now(), [false, false]),
        (false, "", clock::now(), [true, true]),
        (false, "", long_ago(), [false, false]),
    ];
    for (is_there, tag, alive, spared) in cases {
        let provider = provider();
        if is_there {
            provider.put("instance", &id('a'), &until(tag));
            provider.put("snapshot", &id('b'), &until(tag));
        }
        let things: Vec<_> = resources.iter().map(|resource| open(resource.clone(), alive)).collect();
        let directory = tempfile::tempdir().unwrap();
        let interrupt = Interrupt::default();
        let mut cleaned = Cleaned::default();
        let record = record_of("another-machine", things.clone());
        let case = format!("there: {is_there}, until {tag}, alive at {alive}");
        let asker = asker(&provider);
        for (one, spared) in things.iter().zip(spared) {
            assert_eq!(still_open(&asker, &record, one).await.1, spared, "{case}: {}", one.resource);
        }
        // No tag speaks for an export.
        assert_eq!(still_open(&asker, &record, &things[2]).await.1, alive > long_ago(), "{case}");
        let cleaning =
            Cleaning { asker, run_dir: directory.path(), record, wait: Duration::ZERO, interrupt: &interrupt };
        cleaning.all(&[ASSET], &mut cleaned).await;
        let left: Vec<_> = cleaned.left.iter().filter(|(_, reason)| reason.contains("another-machine")).collect();
        let kept = spared.iter().filter(|spared| **spared).count() + usize::from(alive > long_ago());
        assert_eq!(left.len(), kept, "{case}: {cleaned:?}");
        let here = own(&provider).len();
        assert_eq!(here, if is_there && spared[0] { 2 } else { 0 }, "{case}: {cleaned:?}");
    }
}

#[tokio::test]
async fn a_list_that_is_refused_does_not_hide_what_was_removed_and_what_was_renamed_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let interrupt = Interrupt::default();
    let clean = async |provider: &Scripted, asker: Asker| {
        let record = record_of("here", vec![open(Resource::Instance(id('a')), long_ago())]);
        let mut cleaned = Cleaned::default();
        let wait = Duration::ZERO;
        let cleaning = Cleaning { asker, run_dir: directory.path(), record, wait, interrupt: &interrupt };
        cleaning.all(&[], &mut cleaned).await;
        own(provider);
        cleaned
    };
    for refused in [false, true] {
        let provider = provider();
        provider.put("instance", &id('a'), OF_DRILL_1);
        if refused {
            // A look, the deletion, a look, and the list.
            provider.fail(3, Fault::Refused, true);
        }
        let cleaned = clean(&provider, asker(&provider)).await;
        assert_eq!(cleaned.removed, [format!("RDS instance {}", id('a'))], "{cleaned:?}");
        let left: Vec<&str> = cleaned.left.iter().map(|(resource, _)| resource.as_str()).collect();
        let renamed =
            ["RDS instance bystander", "RDS instance walkaway-prod", "RDS snapshot walkaway-0123456789abcdef0123-copy"];
        let wanted = if refused { vec!["what carries the tag of run drill-1"] } else { renamed.to_vec() };
        assert_eq!(left, wanted, "{cleaned:?}");
    }
    let provider = provider();
    let elsewhere = Asker { account: Ok("222222222222".into()), ..asker(&provider) };
    let cleaned = clean(&provider, elsewhere).await;
    assert_eq!((cleaned.removed.len(), cleaned.left.len(), provider.calls().len()), (0, 2, 0), "{cleaned:?}");
}

#[tokio::test]
async fn nobody_waits_for_a_provider_that_does_not_answer_once_somebody_asked_to_stop() {
    let long = Duration::from_secs(3_600);
    // A creating call that is never answered: the thing may be there, and stays on record as asked for.
    let provider = provider();
    let interrupt = Interrupt::default();
    provider.fail(0, Fault::KilledBefore, true);
    let temporary = Temporary::new(&provider.rds_patient_for(long), owner("drill-1"));
    let (made, ()) = tokio::join!(temporary.take_snapshot("ledger-prod", long, &interrupt), async {
        provider.killed().await;
        interrupt.ask();
    });
    assert!(made.is_err() && temporary.may_be_there(&temporary.snapshot()));
    // Asked before anything was asked for, nothing is.
    let unasked = Temporary::new(&provider.rds(), owner("drill-1"));
    assert!(unasked.take_snapshot("ledger-prod", long, &interrupt).await.is_err());
    assert!(!unasked.may_be_there(&unasked.snapshot()));
    // A provider that asks for fewer calls, for an hour.
    let provider = self::provider();
    let interrupt = Interrupt::default();
    provider.fail(0, Fault::Throttled, true);
    let exports = Exports::new(&provider.rds_patient_for(long));
    let name = id('c');
    let (waited, ()) = tokio::join!(exports.wait(&name, long, &interrupt, |_| {}), async {
        while provider.calls().len() < 3 {
            tokio::task::yield_now().await;
        }
        interrupt.ask();
    });
    assert!(waited.is_err());
}

#[tokio::test]
async fn what_is_protected_from_deletion_is_left_and_named_with_the_providers_reason() {
    let provider = provider();
    provider.put("instance", &id('a'), OF_DRILL_1);
    provider.protect(&format!("instance {}", id('a')));
    let reason = removed(&asker(&provider), &open(Resource::Instance(id('a')), long_ago())).await.unwrap_err();
    assert!(reason.contains("InvalidParameterCombination"), "{reason}");
    assert_eq!(own(&provider).len(), 1);
}
