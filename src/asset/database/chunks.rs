//! Cuts a database's tables into chunks of work: pure arithmetic on sizes.

use super::ranges::Chunk;
use crate::{
    pg::{
        name::Table,
        range::{BlockRange, MAJOR_MIN},
    },
    restore::database::Filling,
};

/// A part of a table is spooled into a file of its own and needs a query to be read, which costs a little more than
/// copying the table as it is: parts are no smaller than necessary.
const PART_BYTES: u64 = 1 << 30;
/// Below this, a table is never split between workers.
const SHARED_BYTES_MIN: u64 = 64 << 20;
/// Up to this size a table is one part, whatever its blocks.
pub(crate) const WHOLE_BYTES_MAX: u64 = SHARED_BYTES_MIN;
const SHARED_PART_BYTES_MIN: u64 = 8 << 20;
/// More parts than workers, so that none waits long for the last one.
const PARTS_PER_WORKER: u64 = 4;

/// A table and its size in blocks, TOAST not counted.
#[derive(Clone, Debug)]
pub(crate) struct SizedTable {
    pub table: Table,
    pub blocks: u64,
}

/// Largest first. A table is filled by one worker alone, unless that one would still be busy when the others are done.
pub(crate) fn cut(tables: &[SizedTable], workers: usize, major: u32) -> Vec<Chunk> {
    let all: u64 = tables.iter().map(|sized| sized.table.bytes_on_disk).fold(0, u64::saturating_add);
    let mut chunks: Vec<_> = tables
        .iter()
        .enumerate()
        .flat_map(|(number, sized)| of_table(number, sized, all, workers as u64, major))
        .collect();
    chunks.sort_by_key(|chunk| std::cmp::Reverse(chunk.bytes));
    chunks
}

fn of_table(number: usize, sized: &SizedTable, all: u64, workers: u64, major: u32) -> Vec<Chunk> {
    let SizedTable { table, blocks } = sized;
    let bytes = table.bytes_on_disk;
    let by_size = if major < MAJOR_MIN { 1 } else { bytes.div_ceil(PART_BYTES).max(1) };
    // One worker keeps about two processors busy: the sending server and the storing server.
    let shared =
        major >= MAJOR_MIN && bytes >= SHARED_BYTES_MIN && bytes.saturating_mul(workers) > all.saturating_mul(2);
    let wanted =
        if shared { by_size.max((workers * PARTS_PER_WORKER).min(bytes / SHARED_PART_BYTES_MIN)) } else { by_size };
    let parts: Vec<_> = BlockRange::split(*blocks, wanted).into_iter().enumerate().collect();
    let of = parts.len();
    let chunk = |parts: Vec<_>, filling| {
        let bytes = bytes / of as u64 * parts.len() as u64;
        Chunk { table: table.clone(), number, parts, of, filling, bytes }
    };
    match shared {
        true => parts.into_iter().map(|part| chunk(vec![part], Filling::Shared)).collect(),
        // Only its owner may load it in a way that truncates it first.
        false if table.of_extension => vec![chunk(parts, Filling::Shared)],
        false => vec![chunk(parts, Filling::Alone)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::name::RelationName;

    const MIB: u64 = 1 << 20;

    fn sized(mib: u64) -> SizedTable {
        let name = RelationName { schema: "s".into(), name: format!("t{mib}") };
        let table = Table { name, bytes_on_disk: mib * MIB, ..Table::default() };
        SizedTable { table, blocks: mib * 128 }
    }

    #[test]
    fn with_two_workers_every_table_has_one_of_its_own_and_the_largest_comes_first() {
        let tables = [sized(1), sized(600), sized(0)];
        let chunks = cut(&tables, 2, 15);
        let found: Vec<_> = chunks.iter().map(|chunk| (chunk.number, chunk.parts.len(), chunk.filling)).collect();
        assert_eq!(found, [(1, 1, Filling::Alone), (0, 1, Filling::Alone), (2, 1, Filling::Alone)]);
        let mut of_extension = sized(1);
        of_extension.table.of_extension = true;
        assert_eq!(cut(&[of_extension], 4, 15)[0].filling, Filling::Shared);
        assert_eq!(chunks[0].parts[0].1, BlockRange::WHOLE);
    }

    #[test]
    fn a_table_that_outweighs_the_others_is_shared_among_many_workers() {
        let tables = [sized(4_000), sized(100)];
        let chunks = cut(&tables, 8, 15);
        let big: Vec<_> = chunks.iter().filter(|chunk| chunk.number == 0).collect();
        assert_eq!(big.len(), 32);
        assert!(big.iter().all(|chunk| chunk.filling == Filling::Shared && chunk.of == 32 && chunk.parts.len() == 1));
        assert_eq!(chunks.iter().filter(|chunk| chunk.number == 1).count(), 1);
        assert!(cut(&tables, 8, 13).iter().all(|chunk| chunk.filling == Filling::Alone && chunk.of == 1));
    }

    #[test]
    fn a_huge_table_has_parts_of_a_size_that_files_may_have() {
        let tables = [sized(100 << 10), sized(100 << 10)];
        let chunks = cut(&tables, 2, 15);
        assert!(chunks.iter().all(|chunk| chunk.of == 100 && chunk.parts.len() == 100));
    }
}
