//! The contract of `ObjectSink`.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Component, Path, PathBuf},
    thread,
};

use walkaway::{
    domain::digest::Sha256Digest,
    restore::{tar::TarArchives, tree::Tree},
    transfer::{
        error::SinkError,
        object::{Arriving, ObjectEntry, ObjectSink, PendingObject, UnitSink},
        properties::Properties,
        receipt::{Confirmation, ObjectReceipt},
        unit::{PlacedObject, UnitId},
    },
};

use crate::{contract_objects::keys::nasty_keys, support::TempDir, support::memory::MemorySink};

mod server;

/// A target that the cases fill.
trait Target: Sync {
    fn sink(&self) -> &dyn ObjectSink;

    /// Everything that lies under a final name.
    fn published(&self) -> BTreeMap<String, Vec<u8>>;

    /// What lies under temporary names.
    fn staged(&self) -> Vec<PathBuf>;

    /// Whether what lies behind it keeps such a key at all.
    fn holds(&self, _key: &str) -> bool {
        true
    }
}

macro_rules! sink_contract {
    ($implementation:ident, $new:expr, $($case:ident),+ $(,)?) => {
        mod $implementation {
            use super::*;

            $(
                #[test]
                fn $case() {
                    super::$case(&$new);
                }
            )+
        }
    };
    ($implementation:ident, $new:expr) => {
        sink_contract!(
            $implementation,
            $new,
            nothing_is_visible_before_the_commit,
            dropped_without_commit_nothing_is_left,
            a_second_create_discards_the_first,
            a_second_create_discards_even_a_first_that_goes_on,
            only_what_is_named_appears,
            what_was_never_staged_is_an_error,
            a_unit_can_begin_again,
            commits_go_into_existing_directories,
            units_in_parallel_do_not_meet,
            places_never_collide_and_never_leave_the_root,
            occupied_places_are_not_given_again,
        );
    };
}

sink_contract!(memory_sink, MemorySink::default());
sink_contract!(tree, TreeTarget::new());
sink_contract!(tar_archives, TarTarget::new());

fn nothing_is_visible_before_the_commit(target: &dyn Target) {
    let unit = begin(target, 1);
    let places = ["x/y", "z"].map(|key| place(target, key));
    stage(unit.as_ref(), 0, &places[0], b"some bytes");
    stage(unit.as_ref(), 1, &places[1], b"");
    assert!(target.published().is_empty());
    publish(unit.as_ref(), &[(0, &places[0], b"some bytes"), (1, &places[1], b"")]).unwrap();
    let expected = [(places[0].clone(), b"some bytes".to_vec()), (places[1].clone(), Vec::new())];
    assert_eq!(target.published(), BTreeMap::from(expected));
    drop(unit);
    assert_eq!(target.published().len(), 2);
    assert_eq!(target.staged(), Vec::<PathBuf>::new());
}

fn dropped_without_commit_nothing_is_left(target: &dyn Target) {
    let unit = begin(target, 1);
    stage(unit.as_ref(), 0, &place(target, "a"), b"finished");
    let mut unfinished = create(unit.as_ref(), 1, &place(target, "b"), 20);
    unfinished.write(b"unfinished").unwrap();
    drop(unfinished);
    drop(unit);
    assert!(target.published().is_empty());
    assert_eq!(target.staged(), Vec::<PathBuf>::new());
}

fn a_second_create_discards_the_first(target: &dyn Target) {
    let unit = begin(target, 1);
    let place = place(target, "k");
    stage(unit.as_ref(), 0, &place, b"a first attempt that is longer");
    stage(unit.as_ref(), 0, &place, b"the second");
    assert_eq!(committed(target, unit.as_ref(), &place, b"the second"), b"the second");
}

/// The copier drops the body of an attempt that failed, but the thread that writes it may have pieces left.
fn a_second_create_discards_even_a_first_that_goes_on(target: &dyn Target) {
    let unit = begin(target, 1);
    let place = place(target, "k");
    let mut first = create(unit.as_ref(), 0, &place, 20);
    first.write(b"first ").unwrap();
    let mut second = create(unit.as_ref(), 0, &place, 6);
    second.write(b"second").unwrap();
    first.write(b"goes on and on").unwrap();
    second.finish().unwrap();
    first.finish().unwrap();
    assert_eq!(String::from_utf8_lossy(&committed(target, unit.as_ref(), &place, b"second")), "second");
}

fn only_what_is_named_appears(target: &dyn Target) {
    let unit = begin(target, 1);
    let places = ["a", "b", "c", "d"].map(|key| place(target, key));
    (0..4).for_each(|index| stage(unit.as_ref(), index, &places[index], &[index as u8]));
    publish(unit.as_ref(), &[(3, &places[3], &[3]), (1, &places[1], &[1])]).unwrap();
    let expected = [(places[1].clone(), vec![1]), (places[3].clone(), vec![3])];
    assert_eq!(target.published(), BTreeMap::from(expected));
    drop(unit);
    assert_eq!(target.staged(), Vec::<PathBuf>::new());
}

fn what_was_never_staged_is_an_error(target: &dyn Target) {
    let place = place(target, "k");
    assert!(publish(begin(target, 1).as_ref(), &[(7, &place, b"")]).is_err());
    assert!(target.published().is_empty());
}

fn a_unit_can_begin_again(target: &dyn Target) {
    let unit = begin(target, 1);
    let place = place(target, "k");
    stage(unit.as_ref(), 0, &place, b"dropped");
    drop(unit);
    let unit = begin(target, 1);
    stage(unit.as_ref(), 0, &place, b"kept");
    assert_eq!(committed(target, unit.as_ref(), &place, b"kept"), b"kept");
}

fn commits_go_into_existing_directories(target: &dyn Target) {
    for number in 0..3 {
        let unit = begin(target, number);
        let place = place(target, &format!("a/b/c/{number}"));
        stage(unit.as_ref(), 0, &place, b"1");
        committed(target, unit.as_ref(), &place, b"1");
    }
    assert_eq!(target.published().len(), 3);
}

fn units_in_parallel_do_not_meet(target: &dyn Target) {
    let fill = |number: u64| {
        let unit = begin(target, number);
        let keys: Vec<_> = (0..50).map(|index| format!("shared/{}/{number}-{index}", index % 5)).collect();
        let places: Vec<_> = keys.iter().map(|key| place(target, key)).collect();
        keys.iter().enumerate().for_each(|(index, key)| stage(unit.as_ref(), index, &places[index], key.as_bytes()));
        publish_all(unit.as_ref(), &places, &keys).unwrap();
        places.into_iter().zip(keys.into_iter().map(String::into_bytes)).collect::<Vec<_>>()
    };
    let expected = thread::scope(|scope| {
        let units: Vec<_> = (0..4).map(|number| scope.spawn(move || fill(number))).collect();
        units.into_iter().flat_map(|unit| unit.join().unwrap()).collect::<BTreeMap<_, _>>()
    });
    assert_eq!(target.published(), expected);
}

fn places_never_collide_and_never_leave_the_root(target: &dyn Target) {
    let keys: Vec<_> = nasty_keys().into_iter().filter(|key| target.holds(key)).collect();
    let unit = begin(target, 1);
    let places: Vec<_> = keys.iter().map(|key| place(target, key)).collect();
    for (key, place) in keys.iter().zip(&places) {
        let inside = Path::new(place).components().all(|part| matches!(part, Component::Normal(_)));
        assert!(inside && !place.is_empty(), "{key:?} lies at {place:?}");
    }
    keys.iter().enumerate().for_each(|(index, key)| stage(unit.as_ref(), index, &places[index], key.as_bytes()));
    publish_all(unit.as_ref(), &places, &keys).unwrap();
    let expected: BTreeMap<_, _> = places.into_iter().zip(keys.into_iter().map(String::into_bytes)).collect();
    assert_eq!(target.published(), expected);
}

/// A resumed run names what it carried before; a key that it meets again lies where it lay.
fn occupied_places_are_not_given_again(target: &dyn Target) {
    let before = place(target, "a/b");
    target.sink().occupy("a/b", &before);
    for key in ["a", "a/b/c", "A/B"] {
        let place = place(target, key);
        assert!(place != before && !place.starts_with(&format!("{before}/")), "{key:?} lies at {place:?}");
    }
}

// ---------------------------------------------------------------------------------------------------------------------
// Each implementation, and tools

impl Target for MemorySink {
    fn sink(&self) -> &dyn ObjectSink {
        self
    }

    fn published(&self) -> BTreeMap<String, Vec<u8>> {
        MemorySink::published(self)
    }

    fn staged(&self) -> Vec<PathBuf> {
        Vec::new()
    }
}

struct TreeTarget {
    directory: TempDir,
    tree: Tree,
}

impl TreeTarget {
    fn new() -> Self {
        let directory = TempDir::new();
        let tree = Tree::open(directory.join("asset")).unwrap();
        TreeTarget { directory, tree }
    }

    /// Every file of the asset's directory, relative to it.
    fn files(&self) -> Vec<PathBuf> {
        let root = self.directory.join("asset");
        let mut files = Vec::new();
        let mut directories = vec![root.clone()];
        while let Some(directory) = directories.pop() {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    directories.push(path)
                } else {
                    files.push(path.strip_prefix(&root).unwrap().to_owned())
                }
            }
        }
        files
    }
}

impl Target for TreeTarget {
    fn sink(&self) -> &dyn ObjectSink {
        &self.tree
    }

    fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let final_names = self.files().into_iter().filter(|path| !path.starts_with(".staging"));
        final_names
            .map(|path| (path.to_str().unwrap().to_owned(), fs::read(self.directory.join("asset").join(path)).unwrap()))
            .collect()
    }

    fn staged(&self) -> Vec<PathBuf> {
        self.files().into_iter().filter(|path| path.starts_with(".staging")).collect()
    }
}

/// What the `tar` crate reads from all archives, each from its beginning to its end.
struct TarTarget {
    directory: TempDir,
    archives: TarArchives,
}

impl TarTarget {
    fn new() -> Self {
        let directory = TempDir::new();
        let archives = TarArchives::open(directory.join("asset")).unwrap();
        TarTarget { directory, archives }
    }

    fn files(&self, below: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.directory.join("asset").join(below)).unwrap();
        entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect()
    }
}

impl Target for TarTarget {
    fn sink(&self) -> &dyn ObjectSink {
        &self.archives
    }

    fn published(&self) -> BTreeMap<String, Vec<u8>> {
        let mut members = BTreeMap::new();
        for archive in self.files(".") {
            for member in tar::Archive::new(fs::File::open(archive).unwrap()).entries().unwrap() {
                let mut member = member.unwrap();
                let mut bytes = Vec::new();
                member.read_to_end(&mut bytes).unwrap();
                let path = String::from_utf8(member.path_bytes().into_owned()).unwrap();
                assert!(members.insert(path, bytes).is_none(), "a member comes twice");
            }
        }
        members
    }

    fn staged(&self) -> Vec<PathBuf> {
        self.files(".staging")
    }
}

fn begin(target: &dyn Target, number: u64) -> Box<dyn UnitSink> {
    target.sink().begin(&UnitId::numbered(number)).unwrap()
}

fn place(target: &dyn Target, key: &str) -> String {
    target.sink().place(&ObjectEntry { key: key.to_owned(), ..ObjectEntry::default() })
}

/// Opens a temporary name for an object of a known size.
fn create(unit: &dyn UnitSink, index: usize, place: &str, size: usize) -> Box<dyn PendingObject> {
    let entry = ObjectEntry { key: "k".to_owned(), size: size as u64, ..ObjectEntry::default() };
    let object = PlacedObject { entry, place: place.to_owned() };
    unit.create(index, Arriving { object: &object, properties: &Properties::default() }).unwrap()
}

/// Index, place and bytes of each.
fn publish(unit: &dyn UnitSink, published: &[(usize, &str, &[u8])]) -> Result<(), SinkError> {
    let receipt = |place: &str, bytes: &[u8]| {
        let word = Confirmation::Unavailable("test".to_owned());
        let size = bytes.len() as u64;
        let sha256 = Sha256Digest::of(bytes);
        ObjectReceipt::new(ObjectEntry::default(), place.to_owned(), size, sha256, word)
    };
    let mut receipts: Vec<_> = published.iter().map(|(index, place, bytes)| (*index, receipt(place, bytes))).collect();
    unit.commit(&mut receipts).map(|refused| assert!(refused.is_empty(), "{refused:?}"))
}

/// Publishes objects that hold their own keys.
fn publish_all(unit: &dyn UnitSink, places: &[String], keys: &[String]) -> Result<(), SinkError> {
    let all = places.iter().zip(keys).enumerate();
    let all: Vec<_> = all.map(|(index, (place, key))| (index, place.as_str(), key.as_bytes())).collect();
    publish(unit, &all)
}

fn stage(unit: &dyn UnitSink, index: usize, place: &str, bytes: &[u8]) {
    let mut pending = create(unit, index, place, bytes.len());
    bytes.chunks(4).for_each(|piece| pending.write(piece).unwrap());
    pending.finish().unwrap();
}

/// Publishes the unit's first object at its place and reads it back.
fn committed(target: &dyn Target, unit: &dyn UnitSink, place: &str, bytes: &[u8]) -> Vec<u8> {
    publish(unit, &[(0, place, bytes)]).unwrap();
    target.published().remove(place).unwrap()
}
