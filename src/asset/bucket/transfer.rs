//! Lists and copies at the same time, continues an interrupted run, and refetches what changed meanwhile.

use std::{collections::HashSet, path::PathBuf, sync::Arc};

use jiff::Timestamp;
use tokio::task::JoinSet;

use super::{
    listing::{Began, Known, Lister, ListingState},
    pseudonym_map::PseudonymMap,
    sample::Sampler,
    work::BucketWork,
};
use crate::{
    asset::stop::Stop,
    clock::{self, Stopwatch},
    domain::{
        digest::Sha256Digest,
        event::{Event, Phase},
        finding::{Finding, FindingKind, FindingSink as _},
    },
    evidence::{findings::FindingsList, merge},
    record::ledger,
    transfer::{
        answer::run_unit,
        error::{SourceError, TransferError},
        executor::UnitSpec,
        meter::Meter,
        object::{ObjectEntry, ObjectSink, Odd, ProblemEntry, Refusal, UnitOutcome, Unrestored, same_entity_tag},
        objects::{Ends, ObjectCopier, Timeouts},
        receipt::ObjectReceipt,
        retry::with_retries,
        unit::{ObjectUnit, PlacedObject, UNIT_OBJECTS_MAX, UnitCutter, UnitId},
    },
    words,
};

/// The most failed objects that are remembered for another attempt.
const LATE_MAX: usize = 10_000;

/// What the transfer left for the verification.
pub(super) struct Carried {
    /// Objects with bytes that were listed and are in the sample, if there is one.
    pub listed: u64,
    /// The receipts of all units.
    pub files: Vec<PathBuf>,
    /// What could not be copied.
    pub refused: FindingsList,
    /// The sample's decisions, if there is one.
    pub sampler: Option<Sampler>,
    pub duration_ms: u64,
    /// An earlier part of the run carried some of them.
    pub resumed: bool,
    /// Objects that failed and are tried once more after all others.
    late: Vec<Refusal>,
    /// Those of them that could not be read at all.
    pub lost: Vec<ObjectEntry>,
    pub began: Began,
    /// Keys of objects that contradict their listing, which is a finding already.
    pub named: HashSet<String>,
    /// Objects whose listed date is unusable.
    pub undated: Undated,
}

/// How many objects are listed without a date that can be read, and the key of the first.
#[derive(Default)]
pub(super) struct Undated {
    pub count: u64,
    pub first: String,
}

impl Carried {
    fn new(files: Vec<PathBuf>, refused: FindingsList, sampler: Option<Sampler>) -> Self {
        Carried {
            listed: 0,
            files,
            refused,
            sampler,
            duration_ms: 0,
            resumed: false,
            late: vec![],
            lost: vec![],
            began: Began::Here(clock::now()),
            named: HashSet::new(),
            undated: Undated::default(),
        }
    }
}

/// A transfer in progress.
struct Transfer<'a> {
    of: &'a BucketWork,
    sink: Arc<dyn ObjectSink>,
    meter: Arc<Meter>,
    copier: ObjectCopier,
    cutter: UnitCutter,
    units: JoinSet<Result<(Load, Finished), TransferError>>,
    /// Of all of them.
    in_flight: Load,
    known: Known,
    carried: Carried,
    /// Delete markers that have no record yet.
    markers: Vec<ObjectReceipt>,
    /// The names behind pseudonyms.
    book: Option<PseudonymMap>,
    /// Why the transfer can't continue now.
    ended: Option<Stop>,
}

/// The objects held by units.
#[derive(Clone, Copy, Default)]
struct Load {
    objects: usize,
    bytes: u64,
}

impl Load {
    fn of(unit: &ObjectUnit) -> Self {
        Load { objects: unit.objects.len(), bytes: unit.bytes() }
    }
}

struct Finished {
    id: UnitId,
    outcome: UnitOutcome,
}

impl BucketWork {
    /// With `fresh` nothing of the asset was ever started: then nothing can be at the target yet.
    pub(super) async fn transfer(&self, fresh: bool) -> Result<(Carried, Known), Stop> {
        let watch = Stopwatch::start();
        let meter = Arc::new(Meter::default());
        let ticker = self.work.ticker(Phase::Transfer, &meter);
        let files = self.work.ledger.receipt_files(&self.work.asset)?;
        let sink = self.into.open(self.work.root(), fresh).await?;
        let book = self.pseudonym_map()?;
        let known = self.remember(sink.as_ref(), &files, &meter)?;
        let copier = copier(self, Arc::clone(&sink), &meter);
        let mut transfer = Transfer {
            of: self,
            sink,
            meter,
            copier,
            cutter: UnitCutter::starting_at(self.work.ledger.next_unit(&self.work.asset)),
            units: JoinSet::new(),
            in_flight: Load::default(),
            known,
            carried: Carried::new(files, self.no_findings()?, self.sample.map(Sampler::new)),
            markers: Vec::new(),
            book,
            ended: None,
        };
        let copied = transfer.copy_all().await;
        if matches!(copied, Err(Stop::Asset { .. })) {
            transfer.land_all().await?;
        }
        copied?;
        transfer.end()?;
        drop(ticker);
        let Transfer { mut carried, known, meter, .. } = transfer;
        carried.resumed = !known.begins_anew();
        carried.duration_ms = watch.elapsed_ms();
        let total = meter.read();
        self.work.transferred(total.items, total.bytes, carried.duration_ms)?;
        Ok((carried, known))
    }

    /// Keeps what an interrupted part of the run finished, and discards what it did not.
    fn remember(&self, sink: &dyn ObjectSink, files: &[PathBuf], meter: &Meter) -> Result<Known, Stop> {
        let mut known = Known::default();
        let mut places = HashSet::new();
        for receipt in merge(files.to_vec()) {
            let receipt = receipt.map_err(|source| self.unreadable_receipts(source))?;
            known.carried(&receipt);
            if receipt.is_marker() {
                continue;
            }
            sink.occupy(&receipt.key, &receipt.path);
            places.insert(Sha256Digest::of(receipt.file()).short());
            meter.expect(1, receipt.size);
            meter.add_items(1);
            meter.add_bytes(receipt.size);
        }
        sink.discard_unrecorded(&places)?;
        Ok(known)
    }
}

impl Transfer<'_> {
    async fn copy_all(&mut self) -> Result<(), Stop> {
        self.copy_listing().await?;
        self.fetch_late().await
    }

    /// Waits for the units in progress, whatever stopped the others: what they copied is published and recorded.
    async fn land_all(&mut self) -> Result<(), Stop> {
        while let Some(done) = self.units.join_next().await {
            match done.map_err(TransferError::from) {
                Ok(Ok((_, finished))) => self.file(finished)?,
                // The first error is the one that counts.
                Ok(Err(error)) | Err(error) => tracing::debug!(%error, "a unit of an asset that stopped"),
            }
        }
        self.file_markers()
    }

    /// At most three times [`UNIT_OBJECTS_MAX`] objects and one batch of the listing are in memory.
    async fn copy_listing(&mut self) -> Result<(), Stop> {
        let mut lister = Lister::new(&self.of.source, &self.of.work.interrupt, self.copier.reach());
        while let Some(page) = lister.next().await? {
            self.carried.began = lister.began().map_or(self.carried.began, Began::There);
            page.odd.into_iter().for_each(|entry| self.note(entry));
            for entry in page.entries {
                self.admit(entry).await?;
            }
        }
        let reserves = self.carried.sampler.as_mut().map(Sampler::reserves).unwrap_or_default();
        for entry in reserves {
            let listing_state = self.known.carried_before(&entry);
            self.take(entry, listing_state).await?;
        }
        self.flush().await
    }

    /// A malformed entry of the listing is a finding, and the others continue.
    fn note(&mut self, entry: ProblemEntry) {
        let Some((kind, detail)) = weight(&entry.odd) else {
            self.carried.undated.count += 1;
            if self.carried.undated.count == 1 {
                self.carried.undated.first = entry.key;
            }
            return;
        };
        self.known.meet_odd(&entry);
        self.carried.refused.take(self.of.work.finding(kind, name_of(entry), detail));
    }

    /// Decides how a listed object is handled.
    async fn admit(&mut self, entry: ObjectEntry) -> Result<(), Stop> {
        let listing_state = self.known.meet(&entry);
        match listing_state {
            ListingState::Twice => return Ok(()),
            ListingState::Contradicted => {
                let etag = entry.etag.as_deref().unwrap_or("none");
                let size = words::count(entry.size, "byte", "bytes");
                let state = format!(
                    "listed a second time in another state or spelling ({size}, entity tag {etag}); not carried"
                );
                self.contradict(&entry, &state);
                return Ok(());
            }
            ListingState::SecondLatest => {
                self.contradict(&entry, "listed as the latest version, as another one is; not carried");
                return Ok(());
            }
            ListingState::New | ListingState::Carried | ListingState::Replaced => {}
        }
        if entry.is_delete_marker() {
            return self.mark(entry, listing_state);
        }
        let taken = self.carried.sampler.as_mut().is_none_or(|sampler| sampler.takes(&entry));
        if taken { self.take(entry, listing_state).await } else { Ok(()) }
    }

    /// Of two contradictory entries the first is copied; which one is true cannot be known.
    fn contradict(&mut self, entry: &ObjectEntry, how: &str) {
        let detail = match (entry.version, entry.version_id.as_deref()) {
            (None, _) => how.to_owned(),
            (Some(_), None) => format!("version without an id: {how}"),
            (Some(_), Some(id)) => format!("version {id}: {how}"),
        };
        self.carried.refused.take(self.of.work.finding(FindingKind::ListingContradiction, &entry.key, detail));
    }

    /// Counts an object and gives it a place, unless it was copied before.
    async fn take(&mut self, entry: ObjectEntry, listing_state: ListingState) -> Result<(), Stop> {
        self.carried.listed += 1;
        match listing_state {
            ListingState::Carried => {
                self.copier.reach().came(&entry);
                Ok(())
            }
            ListingState::Twice | ListingState::Contradicted | ListingState::SecondLatest => Ok(()),
            ListingState::Replaced => {
                let detail = "replaced at the provider after it was carried; the run was interrupted in between";
                self.carried.refused.take(self.of.work.finding(FindingKind::ObjectChanged, &entry.key, detail));
                Ok(())
            }
            ListingState::New => {
                self.enter(&entry)?;
                self.meter.expect(1, entry.size);
                let place = self.sink.place(&entry);
                match self.cutter.push(PlacedObject { entry, place }) {
                    Some(unit) => self.start(unit).await,
                    None => Ok(()),
                }
            }
        }
    }

    fn enter(&mut self, entry: &ObjectEntry) -> Result<(), Stop> {
        self.book.as_mut().map_or(Ok(()), |book| book.enter(entry))
    }

    /// Records a delete marker; there is nothing to copy.
    fn mark(&mut self, entry: ObjectEntry, listing_state: ListingState) -> Result<(), Stop> {
        if listing_state == ListingState::New {
            self.enter(&entry)?;
            self.markers.push(ObjectReceipt::of_marker(entry));
        }
        if self.markers.len() >= UNIT_OBJECTS_MAX { self.file_markers() } else { Ok(()) }
    }

    fn file_markers(&mut self) -> Result<(), Stop> {
        let mut receipts = std::mem::take(&mut self.markers);
        if receipts.is_empty() {
            return Ok(());
        }
        receipts.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        let id = self.cutter.next_id();
        self.file(Finished { id, outcome: UnitOutcome { receipts, ..UnitOutcome::default() } })
    }

    /// Copies the remaining objects, and waits for all units.
    async fn flush(&mut self) -> Result<(), Stop> {
        if let Some(unit) = self.cutter.flush() {
            self.start(unit).await?;
        }
        while self.land().await? {}
        self.file_markers()
    }

    async fn start(&mut self, unit: ObjectUnit) -> Result<(), Stop> {
        while self.is_full() {
            self.land().await?;
        }
        let here = self.copier.clone();
        let executor = Arc::clone(&self.of.work.executor);
        let id = unit.id.clone();
        let load = Load::of(&unit);
        self.in_flight.objects += load.objects;
        self.in_flight.bytes += load.bytes;
        let spec = UnitSpec::of_objects(&self.of.work.run, &self.of.work.asset, unit);
        self.units.spawn(async move {
            let outcome = run_unit(executor.as_ref(), spec, &here).await?.into_objects()?;
            Ok((load, Finished { id, outcome }))
        });
        Ok(())
    }

    /// Whether a unit has to end before another one starts.
    fn is_full(&self) -> bool {
        let Load { objects, bytes } = self.in_flight;
        self.of.work.executor.limits().are_reached(self.units.len(), objects, bytes)
    }

    /// Waits for one of the units; false if there is none.
    async fn land(&mut self) -> Result<bool, Stop> {
        let Some(done) = self.units.join_next().await else { return Ok(false) };
        let (load, finished) = done.map_err(TransferError::from)??;
        self.in_flight.objects -= load.objects;
        self.in_flight.bytes -= load.bytes;
        self.file(finished)?;
        self.ended.take().map_or(Ok(true), Err)
    }

    /// Records a finished unit: first its receipts, then the journal's line.
    fn file(&mut self, finished: Finished) -> Result<(), Stop> {
        let Finished { id, outcome: UnitOutcome { mut receipts, refusals, unrestored, ended } } = finished;
        let number = UnitId::number_in(id.as_str());
        receipts.iter_mut().for_each(|receipt| receipt.unit = number);
        if let Some(error) = ended {
            self.ended.get_or_insert_with(|| error.into());
        }
        self.book.iter_mut().try_for_each(PseudonymMap::sync)?;
        for refusal in refusals {
            self.refuse(refusal);
        }
        for object in unrestored {
            self.carried.refused.take(self.unrestored(object));
        }
        let work = &self.of.work;
        let (path, receipt_sha256) = ledger::write_object_receipts(&work.layout, &work.asset, &id, &receipts)?;
        let with_bytes = receipts.iter().filter(|receipt| !receipt.is_marker());
        let (items, bytes) = with_bytes.fold((0, 0), |(items, bytes), receipt| (items + 1, bytes + receipt.size));
        let asset = work.asset.clone();
        let unit = id.to_string();
        work.recorder.fact(&Event::UnitDone { asset, unit, items, bytes, receipt_sha256 })?;
        self.carried.files.push(path);
        Ok(())
    }

    fn refuse(&mut self, refusal: Refusal) {
        if is_tried_late(&refusal.error) && self.carried.late.len() < LATE_MAX {
            self.carried.late.push(refusal);
        } else {
            self.carried.refused.take(self.finding(refusal));
        }
    }

    fn finding(&self, refusal: Refusal) -> Finding {
        let kind = match refusal.error {
            SourceError::Corrupt { .. } => FindingKind::ProviderChecksum,
            SourceError::Changed { .. } => FindingKind::ObjectChanged,
            SourceError::Archived { .. } => FindingKind::ObjectArchived,
            _ => FindingKind::ObjectUnreadable,
        };
        let ObjectEntry { key, version, version_id, .. } = refusal.object.entry;
        let detail = match version.and(version_id) {
            Some(version) => format!("version {version}: {}", refusal.error.detail()),
            None => refusal.error.detail(),
        };
        self.of.work.finding(kind, key, detail)
    }

    /// The object is intact at the provider, but cannot be stored where the playbook requires.
    fn unrestored(&self, object: Unrestored) -> Finding {
        let Unrestored { receipt: ObjectReceipt { key, version, version_id, .. }, error } = object;
        let hint = error.hint().map_or(String::new(), |hint| format!("; {hint}"));
        let detail = match version.and(version_id) {
            Some(version) => format!("version {version}: {error}{hint}"),
            None => format!("{error}{hint}"),
        };
        self.of.work.finding(FindingKind::ObjectUnrestored, key, detail)
    }

    /// Objects that changed between listing and reading, or failed, are looked up again and refetched, each to
    /// its old place. The closing listing is still compared with the opening one.
    async fn fetch_late(&mut self) -> Result<(), Stop> {
        self.copier.turn_late();
        for Refusal { object: PlacedObject { mut entry, place }, error } in std::mem::take(&mut self.carried.late) {
            if needs_another_look(&error) {
                match self.look_up(&entry).await? {
                    Some(found) if is_fixed(&entry) && is_another_state(&entry, &found) => {
                        let id = entry.version_id.as_deref().unwrap_or("without an id");
                        let detail = format!(
                            "version {id}: served in another state than it is listed in, and a version never changes: \
                             the server answers with another one"
                        );
                        self.carried.refused.take(self.of.work.finding(FindingKind::ObjectChanged, &entry.key, detail));
                        continue;
                    }
                    Some(found) => entry = self.as_found(entry, found),
                    None => {
                        let detail = "deleted at the provider after it was listed";
                        self.carried.refused.take(self.of.work.finding(FindingKind::ObjectChanged, &entry.key, detail));
                        self.carried.lost.push(entry);
                        continue;
                    }
                }
            }
            if let Some(unit) = self.cutter.push(PlacedObject { entry, place }) {
                self.start(unit).await?;
            }
        }
        self.flush().await?;
        for refusal in std::mem::take(&mut self.carried.late) {
            if needs_another_look(&refusal.error) {
                self.carried.lost.push(refusal.object.entry.clone());
            }
            self.carried.refused.take(self.finding(refusal));
        }
        Ok(())
    }

    async fn look_up(&self, entry: &ObjectEntry) -> Result<Option<ObjectEntry>, Stop> {
        let source = &self.of.source;
        let reach = self.copier.reach();
        tokio::select! {
            biased;
            () = self.of.work.interrupt.wait() => Err(Stop::Interrupted),
            found = with_retries(source.as_ref(), &reach, || async { Ok(source.find(entry).await?) }) => match found {
                // Another attempt to read it reports the cause.
                Err(TransferError::Source(_)) => Ok(Some(entry.clone())),
                found => Ok(found?),
            },
        }
    }

    /// The object as it was found. Another size under the same entity tag contradicts the listing, and is reported.
    fn as_found(&mut self, listed: ObjectEntry, found: ObjectEntry) -> ObjectEntry {
        if found.etag.is_none() && listed.etag.is_some() {
            // An answer without an entity tag is about no object, whatever its size.
            return listed;
        }
        if found.size == listed.size && !is_another_state(&listed, &found) {
            // Whatever the spelling of tag and date in the answer.
            return listed;
        }
        let tags = found.etag.as_deref().zip(listed.etag.as_deref());
        if found.size != listed.size && tags.is_none_or(|(found, listed)| same_entity_tag(found, listed)) {
            let detail = format!(
                "listed with {} bytes, served with {} under the same entity tag: the provider contradicts itself, \
                 and what it serves counts",
                listed.size, found.size
            );
            self.carried.refused.take(self.of.work.finding(FindingKind::ObjectChanged, &listed.key, detail));
            self.carried.named.insert(listed.key);
        }
        found
    }

    /// Nothing that may still be copied is missing now.
    fn end(&mut self) -> Result<(), Stop> {
        self.name_vanished()?;
        self.name_without_latest()?;
        Ok(self.sink.close()?)
    }

    /// Keys of which every version is listed as replaced by another.
    fn name_without_latest(&mut self) -> Result<(), Stop> {
        if self.known.have_latest() {
            return Ok(());
        }
        for receipt in merge(self.carried.files.clone()) {
            let receipt = receipt.map_err(|source| self.of.unreadable_receipts(source))?;
            if self.known.lacks_latest(&receipt) {
                let detail = "none of its versions is listed as the latest";
                let finding = self.of.work.finding(FindingKind::ListingContradiction, receipt.key, detail);
                self.carried.refused.take(finding);
            }
        }
        Ok(())
    }

    /// Objects that were copied before an interruption and are no longer listed.
    fn name_vanished(&mut self) -> Result<(), Stop> {
        if self.known.begins_anew() {
            return Ok(());
        }
        for receipt in merge(self.carried.files.clone()) {
            let receipt = receipt.map_err(|source| self.of.unreadable_receipts(source))?;
            if self.known.vanished(&receipt) {
                let detail = "no longer listed after the run was interrupted";
                self.carried.refused.take(self.of.work.finding(FindingKind::ObjectChanged, receipt.key, detail));
            }
        }
        Ok(())
    }
}

/// What is said of an odd entry of a listing; nothing of one that only has no date.
pub(super) fn weight(odd: &Odd) -> Option<(FindingKind, String)> {
    match odd {
        Odd::Undated => None,
        Odd::Unreadable(reason) => {
            Some((FindingKind::ObjectUnreadable, format!("listed in a way that can't be read: {reason}")))
        }
        Odd::Foreign => {
            let detail = "listed although its key does not begin with the prefix; not carried";
            Some((FindingKind::ListingContradiction, detail.to_owned()))
        }
    }
}

/// What findings call an odd entry.
pub(super) fn name_of(ProblemEntry { key, .. }: ProblemEntry) -> String {
    if key.is_empty() { "(no key)".to_owned() } else { key }
}

/// The runner that copies units of the bucket into the sink, in this process.
pub(super) fn copier(of: &BucketWork, sink: Arc<dyn ObjectSink>, meter: &Arc<Meter>) -> ObjectCopier {
    let budget = of.work.budget.clone();
    let timeouts = Timeouts { away: of.stall, ..Timeouts::default() };
    let ends = Ends { source: Arc::clone(&of.source), sink, budget, timeouts };
    ObjectCopier::between(ends, Arc::clone(meter), of.work.interrupt.clone())
}

/// Whether a second attempt after all others may succeed where the first ones failed.
fn is_tried_late(error: &SourceError) -> bool {
    needs_another_look(error) || error.is_passing() || error.is_about_caller()
}

/// Whether it is a version that can disappear but never change: all but the latest one without an id of its own.
fn is_fixed(entry: &ObjectEntry) -> bool {
    entry.version.is_some() && (entry.is_superseded() || entry.version_id.as_deref().is_some_and(|id| id != "null"))
}

/// Whether the object found differs from the one listed, by entity tag where both have one, otherwise by size and date.
fn is_another_state(listed: &ObjectEntry, found: &ObjectEntry) -> bool {
    let second = |entry: &ObjectEntry| {
        let modified = entry.last_modified.as_deref().and_then(|time| time.parse::<Timestamp>().ok());
        modified.map(Timestamp::as_second)
    };
    match (&listed.etag, &found.etag) {
        (Some(listed), Some(found)) => !same_entity_tag(listed, found),
        (Some(_), None) => false,
        // The two may be rounded differently.
        (None, _) => {
            let dates = second(listed).zip(second(found));
            listed.size != found.size || dates.is_some_and(|(listed, found)| listed.abs_diff(found) > 1)
        }
    }
}

/// Whether the object may be another one than was listed.
fn needs_another_look(error: &SourceError) -> bool {
    matches!(error, SourceError::Changed { .. } | SourceError::Size { .. })
}
