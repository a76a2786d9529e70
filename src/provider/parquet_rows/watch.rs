//! Decompressed pages before the decoder: what they state about themselves is compared with their content,
//! before the decoder allocates by it.
//!
//! Source: Apache Parquet, "Encodings" (plain, dictionary, delta).

use bytes::Bytes;
use parquet::{
    basic::{Encoding, Type},
    column::page::{Page, PageMetadata, PageReader},
    errors::{ParquetError, Result},
    schema::types::ColumnDescriptor,
};

/// The pages of a column.
pub(super) struct Watched {
    pages: Box<dyn PageReader>,
    kind: Type,
    /// Of a value of fixed length.
    width: Option<usize>,
    is_optional: bool,
}

impl Watched {
    pub(super) fn new(pages: Box<dyn PageReader>, column: &ColumnDescriptor) -> Self {
        let kind = column.physical_type();
        let width = match kind {
            Type::INT32 | Type::FLOAT => Some(4),
            Type::INT64 | Type::DOUBLE => Some(8),
            Type::INT96 => Some(12),
            Type::FIXED_LEN_BYTE_ARRAY => usize::try_from(column.type_length()).ok(),
            Type::BOOLEAN | Type::BYTE_ARRAY => None,
        };
        Watched { pages, kind, width, is_optional: column.max_def_level() > 0 }
    }

    fn is_sound(&self, page: &Page) -> bool {
        match page {
            Page::DictionaryPage { buf, num_values, .. } => self.holds(buf.len(), *num_values),
            Page::DataPage { buf, num_values, encoding, def_level_encoding, .. } => {
                let values = if self.is_optional { behind_levels(buf, *def_level_encoding) } else { Some(buf.clone()) };
                let exactly = (!self.is_optional).then_some(*num_values);
                values.is_some_and(|values| self.fits(&values, *encoding, *num_values, exactly))
            }
            Page::DataPageV2 {
                buf, num_values, encoding, num_nulls, def_levels_byte_len, rep_levels_byte_len, ..
            } => {
                let levels = u64::from(*def_levels_byte_len) + u64::from(*rep_levels_byte_len);
                let there = num_values.checked_sub(*num_nulls);
                let has_levels = self.is_optional || *num_nulls == 0;
                has_levels
                    && there.zip(usize::try_from(levels).ok()).is_some_and(|(there, levels)| {
                        levels <= buf.len() && self.fits(&buf.slice(levels..), *encoding, there, Some(there))
                    })
            }
        }
    }

    /// Whether this many plain values fill a dictionary.
    fn holds(&self, bytes: usize, values: u32) -> bool {
        let values = values as usize;
        match (self.kind, self.width) {
            (_, Some(width)) => width > 0 && values.checked_mul(width) == Some(bytes),
            // Each has its length before it.
            (Type::BYTE_ARRAY, _) => values.checked_mul(4).is_some_and(|least| least <= bytes),
            _ => false,
        }
    }

    /// Whether there are at most this many encoded values, or `exactly` this many where that is known.
    fn fits(&self, values: &Bytes, encoding: Encoding, most: u32, exactly: Option<u32>) -> bool {
        match encoding {
            Encoding::PLAIN => match (self.width, exactly) {
                (Some(_), Some(exactly)) if self.kind != Type::FIXED_LEN_BYTE_ARRAY => {
                    self.holds(values.len(), exactly) || exactly == 0 && values.is_empty()
                }
                _ => true,
            },
            Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY => deltas(values, most).is_some(),
            Encoding::DELTA_BYTE_ARRAY => deltas(values, most).and_then(|rest| deltas(rest, most)).is_some(),
            _ => true,
        }
    }
}

/// What follows the levels of a page of the first version.
fn behind_levels(page: &Bytes, encoding: Encoding) -> Option<Bytes> {
    let Encoding::RLE = encoding else {
        return None;
    };
    let length = u32::from_le_bytes(page.get(..4)?.try_into().ok()?) as usize;
    let begin = length.checked_add(4).filter(|begin| *begin <= page.len())?;
    Some(page.slice(begin..))
}

/// Skips delta-encoded numbers, of which there may be `most`. None if there are more, or fewer than stated.
fn deltas(bytes: &[u8], most: u32) -> Option<&[u8]> {
    let (block, rest) = varint(bytes)?;
    let (parts, rest) = varint(rest)?;
    let (values, rest) = varint(rest)?;
    let (_, mut rest) = varint(rest)?;
    if values > u64::from(most) || block > u64::from(u32::MAX) || parts == 0 || parts > bytes.len() as u64 {
        return None;
    }
    let in_part = block / parts;
    let mut left = values.saturating_sub(1);
    while left > 0 {
        let widths;
        (_, rest) = varint(rest)?;
        (widths, rest) = rest.split_at_checked(parts as usize)?;
        for width in widths {
            if left > 0 {
                let packed = usize::try_from(u64::from(*width) * in_part / 8).ok()?;
                rest = rest.get(packed..)?;
                left = left.saturating_sub(in_part.max(1));
            }
        }
    }
    Some(rest)
}

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut number = 0_u64;
    for (at, byte) in bytes.iter().enumerate().take(10) {
        number |= u64::from(byte & 0x7f) << (7 * at);
        if *byte < 0x80 {
            return Some((number, &bytes[at + 1..]));
        }
    }
    None
}

impl Iterator for Watched {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for Watched {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.pages.get_next_page()?;
        match page {
            Some(page) if !self.is_sound(&page) => {
                Err(ParquetError::General("a page holds another number of values than its header says".to_owned()))
            }
            page => Ok(page),
        }
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.pages.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.pages.skip_next_page()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_as_many_as_there_may_be() {
        // Blocks of 128 in 4 parts, 3 values, the first 5; then one block with parts of zero width.
        let packed = [0x80, 1, 4, 3, 10, 0, 0, 0, 0, 0, 0xaa];
        assert_eq!(deltas(&packed, 3), Some(&[0xaa][..]));
        assert_eq!(deltas(&packed, 2), None);
        for cut in 0..packed.len() - 1 {
            assert_eq!(deltas(&packed[..cut], 3), None, "{cut}");
        }
        // More parts than there are bytes, and more values than any page has.
        assert_eq!(deltas(&[0x80, 1, 0xff, 0xff, 0xff, 0xff, 1, 3, 10, 0], 3), None);
        assert_eq!(deltas(&[0x80, 1, 4, 0xff, 0xff, 0xff, 0xff, 0x7f, 10, 0], u32::MAX), None);
    }
}
