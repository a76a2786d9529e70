//! The rows of Parquet files as COPY text: what an export wrote, decoded column by column, page by page.
//!
//! The files are input from outside: nothing in them is trusted but the content of pages, a file that contradicts itself
//! is an error, and so is a decoder that gives up. In memory at once is a page of each column and a batch of rows,
//! whatever the size of a row group, and no more than a multiple of what they take in the file.
//!
//! | file | what it does |
//! |---|---|
//! | `mod` | files, row groups and rows, in their order |
//! | `footer`, `pages` | whether a file is consistent, before anything of it is decoded |
//! | `watch` | the same for a page's content, before the decoder gets it |
//! | `thrift` | the encoding of footer and headers |
//! | `column`, `types`, `text` | values, their types in PostgreSQL, and their form in COPY text |

mod column;
mod footer;
mod pages;
#[cfg(test)]
mod tests;
mod text;
mod thrift;
mod types;
mod watch;

use std::{
    collections::VecDeque,
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use parquet::{
    basic::Type,
    column::reader::get_column_reader,
    errors::ParquetError,
    file::{
        reader::{FileReader as _, RowGroupReader},
        serialized_reader::SerializedFileReader,
    },
};

use self::{
    column::Chunk,
    pages::{Survey, VALUE_BYTES},
    types::{Form, IDENTIFIER_BYTES_MAX},
    watch::Watched,
};
use crate::transfer::{
    error::SourceError,
    table::{BATCH_BYTES, RowSource},
};

/// Rows that are decoded at once, at most.
const ROWS_AT_ONCE_MAX: u64 = 4096;
/// Bytes that values may take beside their pages.
const BYTES_AT_ONCE: u64 = 16 << 20;
/// Bytes that a page and the dictionary of each column may take in memory: a fixed amount, and more if the file has
/// its part of it. No value of an export is larger than 500 MB (Amazon RDS user guide, "Limitations").
const HELD_BYTES_MIN: u64 = 128 << 20;
const HELD_BYTES_MAX: u64 = 1 << 30;
const EXPANSION_MAX: u64 = 64;

/// A column of a table, as described in Parquet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetColumn {
    /// Its name.
    pub name: String,
    /// The PostgreSQL type that holds it.
    pub sql_type: String,
    /// The type of its values in the file, such as `INT32`.
    pub physical: Type,
    form: Form,
}

/// The metadata of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParquetShape {
    /// The columns, in their order.
    pub columns: Vec<ParquetColumn>,
    /// How many rows it has.
    pub rows: u64,
    /// Bytes that its footer does not account for.
    pub unnamed_bytes: u64,
}

/// Reads the metadata of a file.
///
/// # Errors
/// It is not a Parquet file, or has a column that no PostgreSQL type can hold.
pub fn shape_of(path: &Path) -> Result<ParquetShape, SourceError> {
    guarded(path, || {
        let (reader, file, footer) = open(path)?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns = schema.columns().iter().map(|column| {
            let name = column.name().to_owned();
            let form = Form::of(column).map_err(|reason| format!("column \"{name}\" {reason}"))?;
            if name.is_empty() || name.len() > IDENTIFIER_BYTES_MAX || name.contains('\0') {
                return Err(format!("\"{name}\" can't be the name of a column"));
            }
            Ok(ParquetColumn { name, sql_type: form.sql(), physical: column.physical_type(), form })
        });
        let columns = columns.collect::<Result<Vec<_>, String>>()?;
        if columns.is_empty() {
            return Err("it has no columns".to_owned());
        }
        let (rows, unnamed_bytes) = footer::agrees(&file, footer, reader.metadata())?;
        Ok(ParquetShape { columns, rows, unnamed_bytes })
    })
}

/// The rows of several files of one table, in their order.
pub struct ParquetRows {
    files: VecDeque<PathBuf>,
    columns: Vec<ParquetColumn>,
    open: Option<Open>,
    sent: u64,
}

impl ParquetRows {
    /// Opens nothing yet. Every file must have these columns.
    pub fn new(files: impl IntoIterator<Item = PathBuf>, columns: Vec<ParquetColumn>) -> Self {
        ParquetRows { files: files.into_iter().collect(), columns, open: None, sent: 0 }
    }

    /// The current file, or the next one.
    fn current(&mut self) -> Result<Option<&mut Open>, SourceError> {
        if self.open.is_none() {
            let Some(path) = self.files.pop_front() else { return Ok(None) };
            let shape = shape_of(&path)?;
            if shape.columns != self.columns {
                return Err(refused(&path, "its columns are not those of the table's first file".to_owned()));
            }
            let (reader, file, _) = guarded(&path, || open(&path))?;
            self.open = Some(Open { path, reader, file, group: 0, rows: None });
        }
        Ok(self.open.as_mut())
    }
}

impl RowSource for ParquetRows {
    fn fill(&mut self, batch: &mut Vec<u8>) -> Result<(), SourceError> {
        let mut forms = Vec::new();
        while batch.len() < BATCH_BYTES {
            if forms.is_empty() {
                forms = self.columns.iter().map(|column| column.form).collect();
            }
            let Some(open) = self.current()? else { return Ok(()) };
            let path = open.path.clone();
            match guarded(&path, || open.fill(&forms, batch))? {
                0 => self.open = None,
                rows => self.sent += rows,
            }
        }
        Ok(())
    }

    /// Rows that were decoded.
    fn sent(&self) -> Option<u64> {
        Some(self.sent)
    }
}

/// A file that is being read, and the row group within.
struct Open {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    file: File,
    group: usize,
    rows: Option<Group>,
}

/// A row group that is being read.
struct Group {
    columns: Vec<Chunk>,
    /// Rows that are still to be decoded.
    left: u64,
    rows_at_once: u64,
    /// Rows that are decoded and not yet written.
    decoded: u64,
}

impl Open {
    /// Writes rows until the batch is full or all decoded ones are written; returns how many, none at the file's end.
    fn fill(&mut self, forms: &[Form], batch: &mut Vec<u8>) -> Result<u64, String> {
        loop {
            let group = match &mut self.rows {
                Some(group) => group,
                None if self.group < self.reader.num_row_groups() => {
                    let group = begin(&self.reader, &self.file, self.group)?;
                    self.group += 1;
                    self.rows.insert(group)
                }
                None => return Ok(0),
            };
            if group.decoded == 0 && group.left == 0 {
                group.end()?;
                self.rows = None;
                continue;
            }
            group.decode()?;
            return group.write(forms, batch);
        }
    }
}

fn begin(reader: &SerializedFileReader<File>, file: &File, number: usize) -> Result<Group, String> {
    let group = reader.get_row_group(number).map_err(told)?;
    let metadata = group.metadata();
    let left = u64::try_from(metadata.num_rows()).unwrap_or_default();
    let surveys = metadata.columns().iter().map(|column| pages::survey(file, column, left));
    let surveys = surveys.collect::<Result<Vec<_>, _>>()?;
    let rows_at_once = rows_at_once(&surveys)?;
    let columns = surveys.into_iter().enumerate().map(|(number, survey)| chunk(&*group, number, survey));
    Ok(Group { columns: columns.collect::<Result<_, _>>()?, left, rows_at_once, decoded: 0 })
}

/// Rows that can be decoded at once, whatever their values are.
fn rows_at_once(columns: &[Survey]) -> Result<u64, String> {
    let sum = |number: fn(&Survey) -> u64| columns.iter().map(number).fold(0, u64::saturating_add);
    let held = sum(|column| column.held);
    let stored = sum(|column| column.stored);
    let room = stored.saturating_mul(EXPANSION_MAX).clamp(HELD_BYTES_MIN, HELD_BYTES_MAX);
    if held > room {
        return Err(format!("{stored} bytes of it would take {held} in memory, more than {room}"));
    }
    let row = sum(|column| column.per_value + VALUE_BYTES).max(1);
    Ok((BYTES_AT_ONCE / row).clamp(1, ROWS_AT_ONCE_MAX))
}

fn chunk(group: &(dyn RowGroupReader + '_), number: usize, survey: Survey) -> Result<Chunk, String> {
    let column = group.metadata().column(number).column_descr_ptr();
    let pages = Watched::new(group.get_column_page_reader(number).map_err(told)?, &column);
    Ok(Chunk::new(get_column_reader(column, Box::new(pages)), survey.rows))
}

impl Group {
    /// Decodes the next rows, unless some are left.
    fn decode(&mut self) -> Result<(), String> {
        if self.decoded > 0 {
            return Ok(());
        }
        let of_page = self.columns.iter().map(Chunk::rows_of_page).min().unwrap_or_default();
        let rows = self.left.min(self.rows_at_once).min(of_page);
        if rows == 0 {
            return Err("a column ends before the others".to_owned());
        }
        for column in &mut self.columns {
            let came = column.read(rows as usize).map_err(told)?;
            if came as u64 != rows {
                return Err("a column ends before the others".to_owned());
            }
        }
        (self.left, self.decoded) = (self.left - rows, rows);
        Ok(())
    }

    /// Every column has to be at its end.
    fn end(&mut self) -> Result<(), String> {
        for column in &mut self.columns {
            if column.read(1).map_err(told)? > 0 {
                return Err("a column has more values than there are rows".to_owned());
            }
        }
        Ok(())
    }

    fn write(&mut self, forms: &[Form], batch: &mut Vec<u8>) -> Result<u64, String> {
        let mut written = 0;
        while self.decoded > 0 && batch.len() < BATCH_BYTES {
            for (number, (column, form)) in self.columns.iter_mut().zip(forms).enumerate() {
                if number > 0 {
                    batch.push(b'\t');
                }
                column.write_next(*form, batch)?;
            }
            batch.push(b'\n');
            self.decoded -= 1;
            written += 1;
        }
        Ok(written)
    }
}

/// The file for the decoder, for checking it beforehand, and the offset of its footer.
fn open(path: &Path) -> Result<(SerializedFileReader<File>, File, u64), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let footer = footer::begin(&file)?;
    let reader = SerializedFileReader::new(file.try_clone().map_err(|error| error.to_string())?).map_err(told)?;
    Ok((reader, file, footer))
}

fn told(error: ParquetError) -> String {
    error.to_string()
}

fn refused(path: &Path, reason: String) -> SourceError {
    let what = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    SourceError::Permanent { what, reason }
}

/// A decoder that gives up is a fault of the file, not of walkaway.
fn guarded<T>(path: &Path, work: impl FnOnce() -> Result<T, String>) -> Result<T, SourceError> {
    let done = catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("the file is damaged".to_owned()));
    done.map_err(|reason| refused(path, reason))
}
