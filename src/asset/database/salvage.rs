//! Finds what can be copied of a part of a table that could not be copied whole.
//!
//! A page or a value that is damaged at the source, a value that is too long as text, a byte or a row that the target rejects:
//! each costs only itself. The part is halved down to one row, or one page that can't be read at all. A row's content
//! is never reported: its location is.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::pg::{
    pieces::{Pieces, ROW_BYTES_MIN},
    range::BlockRange,
};

/// The most locations that are searched for; a table with more of them is not copied.
pub(crate) const PLACES_MAX: usize = 1_000;
/// Past the last row that a page can hold: reading it reads the page and no row.
const NO_ROW: u16 = u16::MAX;

/// A table's pages as they are now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pages {
    pub count: u64,
    pub bytes: u64,
}

/// What could not be copied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeftOut {
    pub place: Place,
    pub reason: String,
}

/// Its location.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// One row, by its ctid.
    Row(u64, u16),
    /// All rows of a page, however many they are.
    Page(u64),
}

impl Place {
    /// Whether it is a single row rather than a whole page.
    pub(crate) fn is_row(self) -> bool {
        matches!(self, Place::Row(..))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Row(block, row) => write!(f, "the row at ctid ({block},{row})"),
            Place::Page(block) => write!(f, "every row of page {block}"),
        }
    }
}

/// What can be copied, and what can't.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Salvaged {
    pub pieces: Pieces,
    pub left_out: Vec<LeftOut>,
}

/// Why nothing was found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum SalvageError<E> {
    /// Nothing of it can be read, or too many locations can't.
    Refused(String),
    /// The attempts ended for another reason.
    Ended(E),
}

/// Searches. `attempt` returns why pieces can't be copied, or nothing if they can.
pub(crate) struct Search<F> {
    attempt: F,
    pages: Pages,
    found: Salvaged,
}

impl<E, F: FnMut(&Pieces) -> Result<Option<String>, E>> Search<F> {
    pub(super) fn new(pages: Pages, attempt: F) -> Self {
        Search { attempt, pages, found: Salvaged::default() }
    }

    /// Searches a part of the table.
    pub(super) fn part(mut self, range: BlockRange) -> Result<Salvaged, SalvageError<E>> {
        let from = range.from.unwrap_or_default();
        let end = range.to.unwrap_or(self.pages.count).max(from);
        self.pages(from, end)?;
        if range.to.is_none() {
            // What was appended after the last page since.
            let tail = Pieces::range(BlockRange { from: Some(end), to: None });
            match self.refused(&tail)? {
                None => self.found.pieces.add(tail),
                Some(reason) => return Err(SalvageError::Refused(reason)),
            }
        }
        Ok(self.found)
    }

    fn refused(&mut self, pieces: &Pieces) -> Result<Option<String>, SalvageError<E>> {
        (self.attempt)(pieces).map_err(SalvageError::Ended)
    }

    fn pages(&mut self, from: u64, to: u64) -> Result<(), SalvageError<E>> {
        if from == to {
            return Ok(());
        }
        let pieces = Pieces::range(BlockRange { from: Some(from), to: Some(to) });
        match self.refused(&pieces)? {
            None => self.found.pieces.add(pieces),
            Some(reason) if to - from == 1 => self.page(from, reason)?,
            Some(_) => {
                let middle = from + (to - from) / 2;
                self.pages(from, middle)?;
                self.pages(middle, to)?;
            }
        }
        Ok(())
    }

    fn page(&mut self, block: u64, reason: String) -> Result<(), SalvageError<E>> {
        if self.refused(&Pieces::rows(block, vec![NO_ROW]))?.is_some() {
            return self.leave(Place::Page(block), reason);
        }
        let most = u16::try_from(self.pages.bytes / ROW_BYTES_MIN).unwrap_or(NO_ROW - 1);
        let all: Vec<u16> = (1..=most).collect();
        let mut good = Vec::new();
        self.rows(block, &all, &mut good)?;
        self.found.pieces.add(Pieces::rows(block, good));
        Ok(())
    }

    fn rows(&mut self, block: u64, rows: &[u16], good: &mut Vec<u16>) -> Result<(), SalvageError<E>> {
        match (self.refused(&Pieces::rows(block, rows.to_vec()))?, rows) {
            (None, _) => good.extend(rows),
            (Some(reason), [row]) => self.leave(Place::Row(block, *row), reason)?,
            (Some(_), rows) => {
                let (some, others) = rows.split_at(rows.len() / 2);
                self.rows(block, some, good)?;
                self.rows(block, others, good)?;
            }
        }
        Ok(())
    }

    fn leave(&mut self, place: Place, reason: String) -> Result<(), SalvageError<E>> {
        if self.found.left_out.len() == PLACES_MAX {
            return Err(SalvageError::Refused(format!(
                "{reason}; more than {PLACES_MAX} places of the table can't be carried"
            )));
        }
        self.found.left_out.push(LeftOut { place, reason });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGES: Pages = Pages { count: 9, bytes: 8192 };

    /// Searches a table in which these rows and pages can't be copied. A page that can't be read has no row that can.
    fn search(range: BlockRange, rows: &[(u64, u16)], pages: &[u64]) -> (Result<Salvaged, SalvageError<()>>, usize) {
        let mut attempts = 0;
        let attempt = |pieces: &Pieces| {
            attempts += 1;
            let row = rows.iter().any(|(block, row)| pieces.hold(*block, *row));
            let page = pages.iter().any(|block| (0..=NO_ROW).any(|row| pieces.hold(*block, row)));
            Ok((row || page).then(|| "damaged".to_owned()))
        };
        let found = Search::new(PAGES, attempt).part(range);
        (found, attempts)
    }

    #[test]
    fn what_is_damaged_is_left_out_and_nothing_else() {
        for (range, rows, pages) in [
            (BlockRange::WHOLE, vec![], vec![]),
            (BlockRange::WHOLE, vec![(0, 1)], vec![]),
            (BlockRange::WHOLE, vec![(2, 5), (2, 6), (8, 292)], vec![4, 5]),
            (BlockRange { from: Some(3), to: Some(6) }, vec![(3, 1), (5, 9)], vec![4]),
            (BlockRange { from: Some(6), to: None }, vec![(6, 7)], vec![]),
        ] {
            let (found, attempts) = search(range, &rows, &pages);
            let found = found.expect("salvaged");
            let place = |left_out: &LeftOut| left_out.place;
            let mut expected: Vec<_> = rows.iter().map(|(block, row)| Place::Row(*block, *row)).collect();
            expected.extend(pages.iter().map(|block| Place::Page(*block)));
            let mut places: Vec<_> = found.left_out.iter().map(place).collect();
            for list in [&mut expected, &mut places] {
                list.sort_by_key(|place| match place {
                    Place::Row(block, row) => (*block, *row),
                    Place::Page(block) => (*block, 0),
                });
            }
            assert_eq!(places, expected);
            for (block, row) in (0..12).flat_map(|block| (1..=292).map(move |row| (block, row))) {
                let is_in = range.from.is_none_or(|from| from <= block) && range.to.is_none_or(|to| block < to);
                let is_sound = !rows.contains(&(block, row)) && !pages.contains(&block);
                assert_eq!(found.pieces.hold(block, row), is_in && is_sound, "({block},{row}) of {range:?}");
            }
            assert!(attempts < 40 * (1 + rows.len() + pages.len()), "{attempts} attempts");
        }
    }

    #[test]
    fn a_table_of_which_nothing_can_be_read_is_not_searched_for_ever() {
        let everything = |_: &Pieces| Ok::<_, ()>(Some("gone".to_owned()));
        let empty = Search::new(Pages { count: 0, bytes: 8192 }, everything).part(BlockRange::WHOLE);
        assert_eq!(empty, Err(SalvageError::Refused("gone".to_owned())));
        let mut attempts = 0;
        let many = Search::new(Pages { count: 1 << 30, bytes: 8192 }, |pieces: &Pieces| {
            attempts += 1;
            everything(pieces)
        });
        assert!(matches!(many.part(BlockRange::WHOLE), Err(SalvageError::Refused(_))));
        assert!(attempts < 4 * PLACES_MAX, "{attempts}");
    }
}
