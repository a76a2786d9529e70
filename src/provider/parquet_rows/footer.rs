//! The footer of a file, checked before and after the decoder reads it: that its schema is a plain list of columns, that
//! its numbers agree with each other, and that its row groups are all that is in the file.
//!
//! Source: Apache Parquet, "File Format", `parquet.thrift` (`FileMetaData`, `SchemaElement`).

use std::{fs::File, ops::Range, os::unix::fs::FileExt as _};

use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::thrift::Compact;

const MAGIC: &[u8; 4] = b"PAR1";
/// The length of the footer, and the magic bytes.
const TAIL: u64 = 8;
/// A few hundred bytes for each column of each row group.
const FOOTER_BYTES_MAX: u64 = 16 << 20;
/// Columns that a table of PostgreSQL can have.
const COLUMNS_MAX: u64 = 1600;
const STRUCT: u8 = 12;
/// A filter's header holds a number and three unions without content; the number is one of whole blocks (Apache Parquet,
/// "Bloom Filter").
const FILTER_HEADER_BYTES_MAX: u64 = 64;
const FILTER_BLOCK_BYTES: u64 = 32;
/// An index has a few dozen bytes for each page of a column.
const BESIDE_BYTES_MAX: u64 = 64 << 20;

/// Where the footer begins.
///
/// # Errors
/// Not a Parquet file, or its schema is not a plain list of columns: the decoder follows groups within groups as deep as
/// they go.
pub(super) fn begin(file: &File) -> Result<u64, String> {
    let no_file = || "it is no Parquet file".to_owned();
    let length = file.metadata().map_err(|error| error.to_string())?.len();
    let end = length.checked_sub(TAIL).ok_or_else(no_file)?;
    let mut tail = [0; TAIL as usize];
    file.read_exact_at(&mut tail, end).map_err(|error| error.to_string())?;
    let (size, magic) = tail.split_at(4);
    if magic != MAGIC {
        return Err(no_file());
    }
    let size = size.try_into().map(u32::from_le_bytes).map_or(0, u64::from);
    let begin = end.checked_sub(size).filter(|begin| *begin >= MAGIC.len() as u64).ok_or_else(no_file)?;
    if size > FOOTER_BYTES_MAX {
        return Err(format!("its footer has {size} bytes, more than {FOOTER_BYTES_MAX}"));
    }
    let mut footer = vec![0; size as usize];
    file.read_exact_at(&mut footer, begin).map_err(|error| error.to_string())?;
    match columns(&footer) {
        Some(true) => Ok(begin),
        Some(false) => Err("a column is nested, or there are more than a table can have".to_owned()),
        None => Err("its footer is damaged".to_owned()),
    }
}

/// Whether the schema is a root and its columns, no more than a table can have. None if the footer can't be read.
fn columns(footer: &[u8]) -> Option<bool> {
    let mut is_plain = None;
    Compact::new(footer).fields(|value, id, kind| {
        if id != 2 {
            return value.skip(kind);
        }
        let (STRUCT, count) = value.list()? else { return None };
        let mut children = Vec::new();
        for _ in 0..count {
            children.push(0);
            value.fields(|value, id, kind| match id {
                5 => {
                    *children.last_mut()? = value.small()?;
                    Some(())
                }
                _ => value.skip(kind),
            })?;
        }
        let (root, leaves) = children.split_first()?;
        let counted = i32::try_from(leaves.len()) == Ok(*root);
        is_plain = Some(counted && leaves.iter().all(|leaf| *leaf == 0) && leaves.len() as u64 <= COLUMNS_MAX);
        Some(())
    })?;
    is_plain
}

/// Rows of the file, and bytes before the footer that it does not account for.
///
/// # Errors
/// The footer's numbers contradict each other, or it covers some bytes twice.
pub(super) fn agrees(file: &File, footer: u64, metadata: &ParquetMetaData) -> Result<(u64, u64), String> {
    let groups = metadata.row_groups();
    let rows = groups.iter().map(|group| u64::try_from(group.num_rows()));
    let rows = rows.collect::<Result<Vec<_>, _>>().map_err(|_| "it says that it has less than no rows".to_owned())?;
    let rows = rows.into_iter().fold(0, u64::saturating_add);
    let all = metadata.file_metadata().num_rows();
    if u64::try_from(all) != Ok(rows) {
        return Err(format!("its footer says that it has {all} rows, and its row groups have {rows}"));
    }
    let mut named: Vec<Range<u64>> = Vec::new();
    for column in groups.iter().flat_map(|group| group.columns()) {
        let (at, length) = column.byte_range();
        let end = at.checked_add(length).filter(|end| at >= MAGIC.len() as u64 && *end <= footer);
        named.push(at..end.ok_or("its footer places a column beyond the file")?);
        named.extend(Beside { file, footer, column }.ranges());
    }
    named.retain(|range| !range.is_empty());
    named.sort_by_key(|range| (range.start, range.end));
    if named.windows(2).any(|pair| pair[0].end > pair[1].start) {
        return Err("its footer names some bytes twice, as two columns or two row groups".to_owned());
    }
    Ok((rows, unnamed(file, footer, named)?))
}

/// What is stored beside the pages of a column: page indexes, and a Bloom filter. A range counts only if it is that, to
/// its last byte: anything else could be hidden there.
struct Beside<'a> {
    file: &'a File,
    footer: u64,
    column: &'a ColumnChunkMetaData,
}

impl Beside<'_> {
    fn ranges(&self) -> Vec<Range<u64>> {
        let column = self.column;
        let indexes = [
            self.index(column.column_index_offset(), column.column_index_length()),
            self.index(column.offset_index_offset(), column.offset_index_length()),
        ];
        indexes.into_iter().flatten().chain(self.filter()).collect()
    }

    /// An index is one struct.
    fn index(&self, at: Option<i64>, length: Option<i32>) -> Option<Range<u64>> {
        let at = u64::try_from(at?).ok()?;
        let end = at.checked_add(u64::try_from(length?).ok()?).filter(|end| *end <= self.footer)?;
        let bytes = self.read(at..end)?;
        let mut index = Compact::new(&bytes);
        index.fields(|value, _, kind| value.skip(kind))?;
        (index.left() == 0).then_some(at..end)
    }

    /// A filter is a header, which states its length, and that many bytes. Old writers give no total length.
    fn filter(&self) -> Option<Range<u64>> {
        let at = u64::try_from(self.column.bloom_filter_offset()?).ok()?;
        let window = at..self.footer.min(at.checked_add(FILTER_HEADER_BYTES_MAX)?);
        let bytes = self.read(window)?;
        let mut header = Compact::new(&bytes);
        let mut bits = None;
        let mut choices = 0;
        header.fields(|value, id, kind| match (id, kind) {
            (1, _) => {
                bits = u64::try_from(value.small()?).ok();
                Some(())
            }
            (2..=4, STRUCT) => {
                choices += 1;
                value.skip(kind)
            }
            _ => None,
        })?;
        let bits = bits.filter(|bits| choices == 3 && *bits > 0 && bits % FILTER_BLOCK_BYTES == 0)?;
        let length = ((bytes.len() - header.left()) as u64).checked_add(bits)?;
        let claimed = self.column.bloom_filter_length().map(|claimed| u64::try_from(claimed).ok());
        let end = at.checked_add(length).filter(|end| *end <= self.footer)?;
        claimed.is_none_or(|claimed| claimed == Some(length)).then_some(at..end)
    }

    fn read(&self, range: Range<u64>) -> Option<Vec<u8>> {
        let length = range.end.checked_sub(range.start).filter(|length| *length <= BESIDE_BYTES_MAX)?;
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.file.read_exact_at(&mut bytes, range.start).ok()?;
        Some(bytes)
    }
}

/// Bytes in gaps between what is accounted for. A gap of zeros is padding.
fn unnamed(file: &File, footer: u64, mut named: Vec<Range<u64>>) -> Result<u64, String> {
    named.sort_by_key(|range| (range.start, range.end));
    named.push(footer..footer);
    let mut at = MAGIC.len() as u64;
    let mut unnamed = 0;
    for range in named {
        if range.start > at && !is_zero(file, at..range.start.min(footer))? {
            unnamed += range.start.min(footer) - at;
        }
        at = at.max(range.end);
    }
    Ok(unnamed)
}

fn is_zero(file: &File, range: Range<u64>) -> Result<bool, String> {
    let mut piece = vec![0; 64 << 10];
    let mut at = range.start;
    while at < range.end {
        let count = (range.end - at).min(piece.len() as u64) as usize;
        file.read_exact_at(&mut piece[..count], at).map_err(|error| error.to_string())?;
        if piece[..count].iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        at += count as u64;
    }
    Ok(true)
}
