//! The pages of a column in a row group, checked before anything is decoded: whether their checksums match, whether they
//! hold as many values as the footer states, and how much memory they take.
//!
//! The decoder allocates by the numbers in page headers, checks no checksum, fills up what a compressed page
//! lacks, and decompresses gzip to its end, however long that is. So the headers are read here first, what is
//! compressed is decompressed once and discarded, and contradictions end the reading.
//!
//! Source: Apache Parquet, `parquet.thrift` (`PageHeader`), "Data Pages", "Encodings"; Snappy's format description (the
//! length at the beginning).

use std::{
    fs::File,
    io::{self, Read},
    os::unix::fs::FileExt as _,
};

use crc_fast::CrcAlgorithm;
use flate2::read::MultiGzDecoder;
use parquet::{basic::Compression, file::metadata::ColumnChunkMetaData};

use super::thrift::Compact;

/// A header is a few dozen bytes, more with statistics of long texts.
const HEADER_WINDOWS: [u64; 2] = [4 << 10, 1 << 20];
/// Bytes read at a time for a checksum.
const PIECE: usize = 1 << 20;
/// Memory of any decoded value, not counting its bytes in the page.
pub(super) const VALUE_BYTES: u64 = 40;

/// Memory needs of a column of a row group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Survey {
    /// Rows of each page that has any.
    pub rows: Vec<u64>,
    /// Bytes in memory at once, at most: a page and the dictionary, decoded.
    pub held: u64,
    /// Bytes of the file that those are decoded from.
    pub stored: u64,
    /// Bytes that one value may take beyond those of the page.
    pub per_value: u64,
}

const DATA: i32 = 0;
const INDEX: i32 = 1;
const DICTIONARY: i32 = 2;
const DATA_V2: i32 = 3;

const DELTA_LENGTH_BYTE_ARRAY: i32 = 6;
const DELTA_BYTE_ARRAY: i32 = 7;

/// The parts of a page's header that matter here.
#[derive(Debug, Default)]
struct Header {
    kind: i32,
    decoded: u64,
    stored: u64,
    crc: Option<u32>,
    values: u64,
    encoding: i32,
    /// Bytes of levels, which are never compressed; of the second version of pages only.
    levels: u64,
    is_compressed: bool,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<(Self, u64)> {
        let mut header = Header { kind: -1, is_compressed: true, ..Header::default() };
        let mut reader = Compact::new(bytes);
        let mut described = None;
        reader.fields(|value, id, kind| {
            match id {
                1 => header.kind = value.small()?,
                2 => header.decoded = positive(value)?,
                3 => header.stored = positive(value)?,
                4 => header.crc = Some(value.small()? as u32),
                5 | 7 | 8 => {
                    described = Some(id);
                    header.describe(value, id)?;
                }
                _ => value.skip(kind)?,
            }
            Some(())
        })?;
        let expected = match header.kind {
            DATA => Some(5),
            DICTIONARY => Some(7),
            DATA_V2 => Some(8),
            INDEX => None,
            _ => return None,
        };
        let length = (bytes.len() - reader.left()) as u64;
        (described == expected || expected.is_none()).then_some((header, length))
    }

    /// The header of one kind of page.
    fn describe(&mut self, value: &mut Compact<'_>, of: i16) -> Option<()> {
        value.fields(|value, id, kind| {
            match (of, id) {
                (_, 1) => self.values = positive(value)?,
                (5 | 7, 2) | (8, 4) => self.encoding = value.small()?,
                (8, 5 | 6) => self.levels += positive(value)?,
                (8, 7) => self.is_compressed = Compact::boolean(kind)?,
                _ => value.skip(kind)?,
            }
            Some(())
        })
    }
}

fn positive(value: &mut Compact<'_>) -> Option<u64> {
    u64::try_from(value.small()?).ok()
}

/// Checks every page of a column.
///
/// # Errors
/// A page contradicts its header, its checksum, or the footer.
pub(super) fn survey(file: &File, column: &ColumnChunkMetaData, rows: u64) -> Result<Survey, String> {
    let (mut at, length) = column.byte_range();
    let end = at.checked_add(length).ok_or("the footer places a column beyond the file")?;
    let mut survey = Survey::default();
    let mut dictionary = None;
    let mut largest = (0, 0);
    while at < end {
        let (header, body) = header_at(file, at, end)?;
        check(file, column.compression(), &header, body)?;
        at = body + header.stored;
        match header.kind {
            DICTIONARY if dictionary.is_none() && survey.rows.is_empty() => {
                dictionary = Some((header.decoded + header.values * VALUE_BYTES, header.stored));
            }
            DICTIONARY => return Err("a column has a dictionary in the wrong place".to_owned()),
            INDEX => {}
            _ => {
                let lengths = match header.encoding {
                    DELTA_LENGTH_BYTE_ARRAY | DELTA_BYTE_ARRAY => header.values * 8,
                    _ => 0,
                };
                // Each value of this encoding builds on the previous one, and may be as long as the page.
                if header.encoding == DELTA_BYTE_ARRAY {
                    survey.per_value = survey.per_value.max(header.decoded);
                }
                largest = largest.max((header.decoded + lengths, header.stored));
                survey.rows.extend(Some(header.values).filter(|values| *values > 0));
            }
        }
    }
    let values = survey.rows.iter().fold(0, |sum: u64, page| sum.saturating_add(*page));
    if values != rows || u64::try_from(column.num_values()) != Ok(rows) {
        let footer = column.num_values();
        return Err(format!(
            "a row group has {rows} rows, a column of it {footer} values by the footer and {values} by its pages"
        ));
    }
    let dictionary = dictionary.unwrap_or_default();
    (survey.held, survey.stored) = (largest.0 + dictionary.0, largest.1 + dictionary.1);
    Ok(survey)
}

/// The header at an offset, and the offset of its page.
fn header_at(file: &File, at: u64, end: u64) -> Result<(Header, u64), String> {
    for window in HEADER_WINDOWS {
        let mut bytes = vec![0; window.min(end - at) as usize];
        file.read_exact_at(&mut bytes, at).map_err(|_| "the footer places a column beyond the file")?;
        if let Some((header, length)) = Header::read(&bytes) {
            let body = at + length;
            let fits = header.stored <= end - body;
            return fits.then_some((header, body)).ok_or_else(|| "a page is longer than its column".to_owned());
        }
    }
    Err(format!("there is no page where one should begin, at byte {at}"))
}

/// Whether a page matches its header, as far as that can be seen before it is decompressed.
fn check(file: &File, compression: Compression, header: &Header, body: u64) -> Result<(), String> {
    if let Some(expected) = header.crc
        && checksum_of(file, body, header.stored)? != expected
    {
        return Err(format!("the checksum of the page at byte {body} does not hold"));
    }
    let contradicts = || format!("the page at byte {body} is not as long as its header says");
    let values = header.decoded.checked_sub(header.levels).ok_or_else(contradicts)?;
    let stored = header.stored.checked_sub(header.levels).ok_or_else(contradicts)?;
    let length = match compression {
        _ if !header.is_compressed => stored,
        Compression::UNCOMPRESSED => stored,
        // Nothing is decompressed of a page without values.
        _ if values == 0 => 0,
        Compression::GZIP(_) => length_of_gzip(file, body + header.levels, stored, values).ok_or_else(contradicts)?,
        Compression::SNAPPY => length_of_snappy(file, body + header.levels, stored).ok_or_else(contradicts)?,
        // The decoder rejects what it does not know.
        _ => values,
    };
    if length == values { Ok(()) } else { Err(contradicts()) }
}

/// CRC-32 as gzip computes it, over the bytes as they are stored.
fn checksum_of(file: &File, mut at: u64, length: u64) -> Result<u32, String> {
    let mut digest = crc_fast::Digest::new(CrcAlgorithm::Crc32IsoHdlc);
    let mut piece = vec![0; PIECE];
    let end = at + length;
    while at < end {
        let count = (end - at).min(PIECE as u64) as usize;
        file.read_exact_at(&mut piece[..count], at).map_err(|error| error.to_string())?;
        digest.update(&piece[..count]);
        at += count as u64;
    }
    Ok(digest.finalize() as u32)
}

/// The decompressed gzip members, as in the decoder; at most one byte beyond the expected size is decompressed. None
/// where they are damaged.
fn length_of_gzip(file: &File, at: u64, stored: u64, expected: u64) -> Option<u64> {
    let members = MultiGzDecoder::new(Part { file, at, left: stored });
    io::copy(&mut members.take(expected.saturating_add(1)), &mut io::sink()).ok()
}

/// A range of bytes of a file.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read_at(&mut buffer[..most], self.at)?;
        (self.at, self.left) = (self.at + read as u64, self.left - read as u64);
        Ok(read)
    }
}

/// The length at the beginning of a block of Snappy.
fn length_of_snappy(file: &File, at: u64, stored: u64) -> Option<u64> {
    let mut bytes = [0; 5];
    let bytes = &mut bytes[..stored.min(5) as usize];
    file.read_exact_at(bytes, at).ok()?;
    let mut length = 0;
    for (number, byte) in bytes.iter().enumerate() {
        length |= u64::from(byte & 0x7f) << (7 * number);
        if *byte < 0x80 {
            return Some(length);
        }
    }
    None
}
