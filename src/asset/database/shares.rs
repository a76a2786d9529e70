//! Cuts a database's tables into shares of work: pure arithmetic on sizes.

use super::ranges::Share;
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
pub(crate) struct Sized {
    pub table: Table,
    pub blocks: u64,
}

/// Largest first. A table is filled by one worker alone, unless that one would still be busy when the others are done.
pub(crate) fn cut(tables: &[Sized], workers: usize, major: u32) -> Vec<Share> {
    let all: u64 = tables.iter().map(|sized| sized.table.bytes_on_disk).fold(0, u64::saturating_add);
    let mut shares: Vec<_> = tables
        .iter()
        .enumerate()
        .flat_map(|(number, sized)| of_table(number, sized, all, workers as u64, major))
        .collect();
    shares.sort_by_key(|share| std::cmp::Reverse(share.bytes));
    shares
}

fn of_table(number: usize, sized: &Sized, all: u64, workers: u64, major: u32) -> Vec<Share> {
    let Sized { table, blocks } = sized;
    let bytes = table.bytes_on_disk;
    let by_size = if major < MAJOR_MIN { 1 } else { bytes.div_ceil(PART_BYTES).max(1) };
    // One worker keeps about two processors busy: the sending server and the storing server.
    let shared =
        major >= MAJOR_MIN && bytes >= SHARED_BYTES_MIN && bytes.saturating_mul(workers) > all.saturating_mul(2);
    let wanted =
        if shared { by_size.max((workers * PARTS_PER_WORKER).min(bytes / SHARED_PART_BYTES_MIN)) } else { by_size };
    let parts: Vec<_> = BlockRange::split(*blocks, wanted).into_iter().enumerate().collect();
    let of = parts.len();
    let share = |parts: Vec<_>, filling| {
        let bytes = bytes / of as u64 * parts.len() as u64;
        Share { table: table.clone(), number, parts, of, filling, bytes }
    };
    match shared {
        true => parts.into_iter().map(|part| share(vec![part], Filling::Shared)).collect(),
        // Only its owner may load it in a way that truncates it first.
        false if table.of_extension => vec![share(parts, Filling::Shared)],
        false => vec![share(parts, Filling::Alone)],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pg::name::RelationName;

    const MIB: u64 = 1 << 20;

    fn sized(mib: u64) -> Sized {
        let name = RelationName { schema: "s".into(), name: format!("t{mib}") };
        let table = Table { name, bytes_on_disk: mib * MIB, ..Table::default() };
        Sized { table, blocks: mib * 128 }
    }

    #[test]
    fn with_two_workers_every_table_has_one_of_its_own_and_the_largest_comes_first() {
        let tables = [sized(1), sized(600), sized(0)];
        let shares = cut(&tables, 2, 15);
        let found: Vec<_> = shares.iter().map(|share| (share.number, share.parts.len(), share.filling)).collect();
        assert_eq!(found, [(1, 1, Filling::Alone), (0, 1, Filling::Alone), (2, 1, Filling::Alone)]);
        let mut of_extension = sized(1);
        of_extension.table.of_extension = true;
        assert_eq!(cut(&[of_extension], 4, 15)[0].filling, Filling::Shared);
        assert_eq!(shares[0].parts[0].1, BlockRange::WHOLE);
    }

    #[test]
    fn a_table_that_outweighs_the_others_is_shared_among_many_workers() {
        let tables = [sized(4_000), sized(100)];
        let shares = cut(&tables, 8, 15);
        let big: Vec<_> = shares.iter().filter(|share| share.number == 0).collect();
        assert_eq!(big.len(), 32);
        assert!(big.iter().all(|share| share.filling == Filling::Shared && share.of == 32 && share.parts.len() == 1));
        assert_eq!(shares.iter().filter(|share| share.number == 1).count(), 1);
        assert!(cut(&tables, 8, 13).iter().all(|share| share.filling == Filling::Alone && share.of == 1));
    }

    #[test]
    fn a_huge_table_has_parts_of_a_size_that_files_may_have() {
        let tables = [sized(100 << 10), sized(100 << 10)];
        let shares = cut(&tables, 2, 15);
        assert!(shares.iter().all(|share| share.of == 100 && share.parts.len() == 100));
    }
}
