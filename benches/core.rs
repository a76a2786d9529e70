//! The transfer core without a network: what one core of the machine hashes, cuts and names in a second.
//!
//! `cargo bench --bench core` takes under a minute; `-- --test` runs each case once. Leaves out everything that waits:
//! servers and disks are `scripts/bench`'s.

use std::{future::ready, hint::black_box, sync::Arc, time::Duration};

use bytes::Bytes;
use criterion::{
    BatchSize, BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
    measurement::WallTime,
};
use walkaway::{
    domain::digest::{RowDigest, RowKey, Sha256Digest},
    restore::place::Places,
    transfer::{
        checksum::{MultiBufferMd5, Observed, StreamDigest},
        object::{ObjectEntry, Parts, ProviderChecksum, StatedChecksums},
        receipt::ChecksumKind,
        unit::{PlacedObject, UnitCutter},
        window::OrderedWindow,
    },
};

const MIB: usize = 1 << 20;
/// As large as the pieces that an HTTP client hands on.
const PIECE_BYTES: usize = 64 << 10;
const STREAMS: usize = 8;
const CONTEXT: &str = "COPY \"public\".\"t\" (\"a\") TO STDOUT";
const KEYS: usize = 100_000;

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_millis(1_500));
    targets = stream_digest, chunk_cutting, row_digest, ordered_window, unit_cutting, place_allocation
}
criterion_main!(benches);

/// The hashes of an object's stream: SHA-256 alone, and with what the provider keeps.
fn stream_digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("stream digest");
    let stream = Bytes::from(noise(16 * MIB));
    let pieces: Vec<_> = (0..stream.len()).step_by(PIECE_BYTES).map(|at| stream.slice(at..at + PIECE_BYTES)).collect();
    group.throughput(Throughput::Bytes(stream.len() as u64));
    for (name, checksum) in [
        ("SHA-256", Err("none".to_owned())),
        ("SHA-256 + CRC64NVME", checksum(ChecksumKind::Crc64nvme)),
        ("SHA-256 + CRC32C", checksum(ChecksumKind::Crc32c)),
        ("SHA-256 + SHA-1", checksum(ChecksumKind::Sha1)),
        ("SHA-256 + MD5", checksum(ChecksumKind::Md5Etag)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                let mut digest = StreamDigest::new(checksum.clone(), None);
                pieces.iter().for_each(|piece| digest.update(black_box(piece)));
                digest.finish()
            });
        });
    }
    group.throughput(Throughput::Bytes(STREAMS as u64 * stream.len() as u64));
    group.bench_function("SHA-256 + MD5, 8 streams that share the lanes", |bencher| {
        bencher.iter(|| together(&pieces));
    });
}

/// As many streams at once as a vector has lanes.
fn together(pieces: &[Bytes]) -> Vec<Option<Observed>> {
    let lanes = Arc::new(MultiBufferMd5::start());
    let mut digests: Vec<_> =
        (0..STREAMS).map(|_| StreamDigest::new(checksum(ChecksumKind::Md5Etag), Some(&lanes))).collect();
    for piece in pieces {
        digests.iter_mut().for_each(|digest| digest.update(black_box(piece)));
    }
    digests.into_iter().map(StreamDigest::finish).collect()
}

fn checksum(kind: ChecksumKind) -> StatedChecksums {
    Ok(vec![ProviderChecksum { kind, value: vec![0; 8], parts: Parts::None }])
}

/// The same rows in pieces of different sizes: what it costs to find the rows when pieces end inside them.
fn chunk_cutting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("chunk cutting");
    let rows = rows(MIB, 100);
    for piece_bytes in [64, 1 << 10, 16 << 10, 256 << 10] {
        bench_rows(&mut group, BenchmarkId::new("pieces", piece_bytes), &rows, piece_bytes);
    }
}

/// The keyed digest of rows of different lengths.
fn row_digest(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("row digest");
    for row_bytes in [20, 100, 1_000] {
        bench_rows(&mut group, BenchmarkId::new("bytes a row", row_bytes), &rows(4 * MIB, row_bytes), PIECE_BYTES);
    }
}

fn bench_rows(group: &mut BenchmarkGroup<'_, WallTime>, id: BenchmarkId, rows: &[u8], piece_bytes: usize) {
    let count = memchr::memchr_iter(b'\n', rows).count() as u64;
    group.throughput(Throughput::ElementsAndBytes { elements: count, bytes: rows.len() as u64 });
    group.bench_function(id, |bencher| {
        bencher.iter(|| {
            let mut digest = RowDigest::new(RowKey(Sha256Digest([7; 32])), CONTEXT);
            rows.chunks(piece_bytes).for_each(|piece| digest.update(black_box(piece)));
            digest.finish()
        });
    });
}

/// The window's own cost: 10,000 pieces of work that are ready at once.
fn ordered_window(criterion: &mut Criterion) {
    const PIECES: u64 = 10_000;
    let mut group = criterion.benchmark_group("ordered window");
    group.throughput(Throughput::Elements(PIECES));
    let runtime = tokio::runtime::Builder::new_multi_thread().build().expect("a runtime");
    for width in [1, 6, 32] {
        group.bench_function(BenchmarkId::new("width", width), |bencher| {
            bencher.iter(|| runtime.block_on(drain(PIECES, width)));
        });
    }
}

async fn drain(pieces: u64, width: usize) -> u64 {
    let mut window = OrderedWindow::new();
    let mut waiting = (0..pieces).map(ready);
    let mut sum = 0;
    loop {
        while window.len() < width {
            let Some(work) = waiting.next() else { break };
            window.push(work);
        }
        let Some(number) = window.next().await else { return sum };
        sum += number.expect("no panic");
    }
}

/// A listing cut into units.
fn unit_cutting(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("unit cutting");
    group.throughput(Throughput::Elements(KEYS as u64));
    let listed: Vec<_> = keys().into_iter().map(placed).collect();
    group.bench_function("100,000 entries", |bencher| {
        bencher.iter_batched(|| listed.clone(), cut, BatchSize::LargeInput);
    });
}

fn placed(key: String) -> PlacedObject {
    let place = format!("tree/{key}");
    let size = key.len() as u64 * 997;
    let entry = ObjectEntry {
        key,
        size,
        etag: Some("25f9e794323b453885f5181f1b624d0b".to_owned()),
        last_modified: Some("2026-10-01T00:00:00Z".to_owned()),
        storage_class: Some("STANDARD".to_owned()),
        ..ObjectEntry::default()
    };
    PlacedObject { entry, place }
}

fn cut(listed: Vec<PlacedObject>) -> usize {
    let mut cutter = UnitCutter::starting_at(1);
    let full =
        listed.into_iter().filter_map(|object| cutter.push(object)).map(|unit| unit.objects.len()).sum::<usize>();
    full + cutter.flush().map_or(0, |unit| unit.objects.len())
}

/// Where keys lie in a tree: plain ones, and ones that collide and so are mapped.
fn place_allocation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("place allocation");
    group.throughput(Throughput::Elements(KEYS as u64));
    let plain = keys();
    let colliding: Vec<_> = plain.iter().map(|key| key.replace("invoice", "INVOICE")).collect();
    let mixed: Vec<_> = plain.iter().zip(&colliding).flat_map(|(one, other)| [one, other]).take(KEYS).collect();
    group.bench_function("100,000 plain keys", |bencher| {
        bencher.iter_with_large_drop(|| place_all(plain.iter().map(String::as_str)));
    });
    group.bench_function("100,000 keys, every other one mapped", |bencher| {
        bencher.iter_with_large_drop(|| place_all(mixed.iter().map(|key| key.as_str())));
    });
}

fn place_all<'a>(keys: impl Iterator<Item = &'a str>) -> Places {
    let mut places = Places::default();
    keys.for_each(|key| drop(black_box(places.place(key))));
    places
}

fn keys() -> Vec<String> {
    let key = |number| format!("invoices/{}/{:02}/invoice-{number:06}.pdf", 2020 + number % 7, number % 12 + 1);
    (0..KEYS).map(key).collect()
}

/// About `bytes` of rows, each of `row_bytes` and a newline.
fn rows(bytes: usize, row_bytes: usize) -> Vec<u8> {
    let mut stream = noise(bytes);
    stream.iter_mut().for_each(|byte| *byte = b'a' + *byte % 16);
    stream.chunks_exact_mut(row_bytes + 1).for_each(|row| row[row_bytes] = b'\n');
    stream.truncate(bytes - bytes % (row_bytes + 1));
    stream
}

/// Bytes from a fixed seed (a linear congruential generator, Knuth's MMIX constants).
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}
