//! A kind of asset and an executor that are no part of the crate go through plan, run, resume, recheck and verify: what the
//! seams promise to those who add one.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, future::BoxFuture};
use walkaway::{
    asset::{
        Asset, Carried, Description, Endpoints, Kinds, Measured, Measuring, Needs, Preflight, RecheckCounts,
        RecheckDepth, SpaceNeeded, Stop, Work,
        objects::{self, ObjectsFrom},
    },
    command,
    domain::{
        event::{AssetKind, Silent},
        finding::Verdict,
    },
    evidence::{check_bundle, result::AssetResult},
    interrupt::Interrupt,
    playbook::{self, Playbook, TargetSpec},
    record::{Obstacle, Unopened},
    run::{self, Consent, Plan, RunDependencies, RunEnd, RunOptions, RunOutcome},
    transfer::{
        bucket::BucketConfiguration,
        error::{SourceError, TransferError},
        executor::{UnitDone, UnitExecutor, UnitReceipt, UnitSpec, UnitWork, UnitWorker},
        object::Configured,
        unit::LARGE_OBJECT_BYTES,
    },
};

use crate::support::{TempDir, memory::MemorySource};

/// A kind of its own: what lies on a shelf.
struct Shelf {
    id: String,
    holds: Arc<MemorySource>,
}

impl Shelf {
    fn from(&self) -> ObjectsFrom {
        ObjectsFrom {
            name: "s3://shelf/".to_owned(),
            source: self.holds.clone(),
            configuration: Arc::new(Plain),
            stall: Duration::from_secs(1),
        }
    }
}

/// There is nothing to say about a shelf.
struct Plain;

impl Configured for Plain {
    fn configuration<'a>(&'a self) -> BoxFuture<'a, BucketConfiguration> {
        async { BucketConfiguration { bucket: "shelf".to_owned(), ..BucketConfiguration::default() } }.boxed()
    }
}

impl Asset for Shelf {
    fn id(&self) -> &str {
        &self.id
    }

    fn describe(&self) -> Description {
        let source = "s3://shelf/".to_owned();
        Description { kind: AssetKind::S3, source, from: None, needs: Needs::default(), makes: None }
    }

    fn preflight<'a>(&'a self, _: &'a Preflight<'a>) -> BoxFuture<'a, Result<Vec<Obstacle>, Unopened>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn measure<'a>(&'a self, _: &'a Measuring<'a>) -> BoxFuture<'a, Result<Measured, Obstacle>> {
        let measured = Measured {
            id: self.id.clone(),
            kind: AssetKind::S3,
            source: "s3://shelf/".to_owned(),
            items: 5,
            bytes: 3 + 2 * LARGE_OBJECT_BYTES,
            units: 3,
            remarks: Vec::new(),
            size_unknown: false,
            objects: None,
        };
        async move { Ok(measured) }.boxed()
    }

    fn space_needed(&self, measured: &Measured, _: &TargetSpec) -> SpaceNeeded {
        SpaceNeeded { objects: measured.bytes, ..SpaceNeeded::default() }
    }

    fn carry<'a>(&'a self, work: Work, _: &'a Endpoints) -> BoxFuture<'a, Result<Box<dyn Carried>, Stop>> {
        self.from().carry(work).boxed()
    }

    fn worker<'a>(&'a self, work: Work, _: &'a Endpoints) -> BoxFuture<'a, Result<Arc<dyn UnitWorker>, Stop>> {
        self.from().worker(work).boxed()
    }

    fn recheck<'a>(
        &'a self,
        work: Work,
        _: &'a Endpoints,
        depth: RecheckDepth,
        _: &'a AssetResult,
    ) -> BoxFuture<'a, Result<RecheckCounts, Stop>> {
        objects::recheck_restored(work, depth).boxed()
    }

    fn as_it_stands(&self, work: &Work, _: &Playbook, result: &mut AssetResult) -> Result<(), Stop> {
        objects::as_it_stands(work, result)
    }
}

/// An executor of its own: every unit and every receipt travels as text, as it would to another machine and back; after so
/// many units it is gone.
struct ByPost {
    carries_max: usize,
    /// The last object of each receipt is lost on the way back.
    loses: bool,
    large: AtomicUsize,
    batches: AtomicUsize,
}

impl ByPost {
    fn new(carries_max: usize) -> Arc<Self> {
        ByPost::losing(carries_max, false)
    }

    fn losing(carries_max: usize, loses: bool) -> Arc<Self> {
        Arc::new(ByPost { carries_max, loses, large: AtomicUsize::new(0), batches: AtomicUsize::new(0) })
    }

    fn carried(&self) -> (usize, usize) {
        (self.batches.load(SeqCst), self.large.load(SeqCst))
    }

    async fn carry(&self, spec: UnitSpec, here: &dyn UnitWorker) -> Result<UnitReceipt, TransferError> {
        let (batches, large) = self.carried();
        if batches + large >= self.carries_max {
            let what = "a unit".to_owned();
            let reason = "the post is on strike".to_owned();
            return Err(TransferError::Away(SourceError::Unreached { what, reason }));
        }
        match &spec.work {
            UnitWork::Objects(_) => self.batches.fetch_add(1, SeqCst),
            UnitWork::Object(_) | UnitWork::Rows { .. } => self.large.fetch_add(1, SeqCst),
        };
        let sent = serde_json::to_string(&spec).unwrap();
        let mut receipt = here.work(serde_json::from_str(&sent).unwrap()).await?;
        if let (true, UnitDone::Objects(outcome)) = (self.loses, &mut receipt.done) {
            outcome.receipts.pop();
        }
        Ok(serde_json::from_str(&serde_json::to_string(&receipt).unwrap()).unwrap())
    }
}

impl UnitExecutor for ByPost {
    fn run<'a>(
        &'a self,
        spec: UnitSpec,
        here: &'a dyn UnitWorker,
    ) -> BoxFuture<'a, Result<UnitReceipt, TransferError>> {
        self.carry(spec, here).boxed()
    }
}

/// Its provider is at an address where nobody listens, and is not needed.
fn written_playbook(home: &Path) -> PathBuf {
    let path = home.join("shelf.yaml");
    let text = format!(
        r#"version: 1
id: shelf-drill
provider: {{aws: {{regions: [eu-central-1], endpoints: {{s3: "http://127.0.0.1:9"}}}}}}
target: {{path: "{0}/restored"}}
evidence: {{path: "{0}/evidence"}}
assets:
  - {{id: shelf, s3: {{bucket: shelf}}}}
"#,
        home.display()
    );
    std::fs::create_dir_all(home.join("evidence")).unwrap();
    std::fs::write(&path, text).unwrap();
    path
}

fn driving(kinds: &Kinds, executor: Arc<ByPost>) -> RunDependencies {
    let options = RunOptions { memory_bytes: 64 << 20, look: RecheckDepth::Content };
    let kinds = kinds.clone();
    RunDependencies { executor, kinds, ..RunDependencies::new(options, Arc::new(Silent), Interrupt::default()) }
}

fn sealed(outcome: &RunOutcome) -> Verdict {
    match &outcome.end {
        RunEnd::Sealed { result, .. } => result.verdict,
        other => panic!("not sealed: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kind_and_an_executor_of_ones_own_go_through_plan_run_resume_and_verify() {
    let home = TempDir::new();
    let holds = Arc::new(MemorySource::new(2));
    for key in ["a", "b", "c"] {
        holds.put(key, key.as_bytes().to_vec());
    }
    for key in ["large/1", "large/2"] {
        holds.put(key, vec![0x5a; LARGE_OBJECT_BYTES as usize]);
    }
    let kinds: Kinds = {
        let holds = holds.clone();
        Arc::new(move |asset: &playbook::Asset| -> Arc<dyn Asset> {
            Arc::new(Shelf { id: asset.id.to_string(), holds: holds.clone() })
        })
    };
    let loaded = || Playbook::read(&written_playbook(home.path())).unwrap();

    let survey = command::survey(Plan::of_kinds(loaded(), &kinds).await.unwrap()).await.unwrap();
    assert_eq!((survey.assets[0].items, survey.assets[0].units), (5, 3));

    let plan = Plan::of_kinds(loaded(), &kinds).await.unwrap();
    let striking = ByPost::new(2);
    let outcome = run::run(plan, Consent::NotNeeded, driving(&kinds, striking.clone())).await.unwrap();
    let RunEnd::Stopped { assets } = &outcome.end else { panic!("{:?}", outcome.end) };
    assert!(assets[0].reason.contains("the post is on strike"), "{assets:?}");

    let post = ByPost::new(usize::MAX);
    let resume =
        |executor: Arc<ByPost>| run::resume(&outcome.bundle, false, Consent::NotNeeded, driving(&kinds, executor));
    let lost = resume(ByPost::losing(usize::MAX, true)).await.unwrap();
    let RunEnd::Stopped { assets } = &lost.end else { panic!("a receipt that lacks an object: {:?}", lost.end) };
    assert!(assets[0].reason.contains("was not answered"), "{assets:?}");
    let resumed = resume(post.clone()).await.unwrap();
    assert_eq!(sealed(&resumed), Verdict::Pass);
    let batches = striking.carried();
    let large = post.carried();
    assert_eq!((batches.0 + large.0, batches.1 + large.1), (1, 2), "what had come was carried again");

    let check = check_bundle(&outcome.bundle).unwrap();
    assert!(check.findings.is_empty(), "{:?}", check.findings);
    let again = command::recheck(&outcome.bundle, Arc::new(Silent), Interrupt::default()).await.unwrap();
    assert!(
        again.findings.is_empty() && again.checks.iter().any(|(asset, check)| asset == "shelf" && check.equal == 5)
    );
    std::fs::remove_file(home.path().join("restored").join(outcome.bundle.file_name().unwrap()).join("shelf/tree/b"))
        .unwrap();
    let again = command::recheck(&outcome.bundle, Arc::new(Silent), Interrupt::default()).await.unwrap();
    assert!(!again.findings.is_empty());
}
