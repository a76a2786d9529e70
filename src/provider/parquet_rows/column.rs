//! One column of a row group: values of some rows at a time, and each of them as COPY text.

use std::collections::VecDeque;

use parquet::{
    column::reader::{ColumnReader, ColumnReaderImpl},
    data_type::{ByteArray, DataType, FixedLenByteArray, Int96},
    errors::Result,
};

use super::{text, types::Form};

/// A column that is being read.
pub(super) struct Chunk {
    reader: ColumnReader,
    /// Rows of each page that are not read yet.
    pages: VecDeque<u64>,
    /// Which of the current rows have a value; empty where every row has one.
    levels: Vec<i16>,
    row: usize,
    values: Values,
    value: usize,
    is_optional: bool,
}

/// The values of the current rows, without NULLs.
enum Values {
    Bool(Vec<bool>),
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Int96(Vec<Int96>),
    Float(Vec<f32>),
    Double(Vec<f64>),
    Bytes(Vec<ByteArray>),
    Fixed(Vec<FixedLenByteArray>),
}

impl Chunk {
    pub(super) fn new(reader: ColumnReader, pages: Vec<u64>) -> Self {
        let values = match &reader {
            ColumnReader::BoolColumnReader(_) => Values::Bool(Vec::new()),
            ColumnReader::Int32ColumnReader(_) => Values::Int32(Vec::new()),
            ColumnReader::Int64ColumnReader(_) => Values::Int64(Vec::new()),
            ColumnReader::Int96ColumnReader(_) => Values::Int96(Vec::new()),
            ColumnReader::FloatColumnReader(_) => Values::Float(Vec::new()),
            ColumnReader::DoubleColumnReader(_) => Values::Double(Vec::new()),
            ColumnReader::ByteArrayColumnReader(_) => Values::Bytes(Vec::new()),
            ColumnReader::FixedLenByteArrayColumnReader(_) => Values::Fixed(Vec::new()),
        };
        Chunk { reader, pages: pages.into(), levels: Vec::new(), row: 0, values, value: 0, is_optional: false }
    }

    /// How many rows can be read of one page: the values of several pages would keep all of them in memory.
    pub(super) fn rows_of_page(&self) -> u64 {
        self.pages.front().copied().unwrap_or_default()
    }

    /// Replaces the current rows by the next ones; returns how many there are.
    pub(super) fn read(&mut self, rows: usize) -> Result<usize> {
        (self.row, self.value) = (0, 0);
        self.levels.clear();
        let levels = &mut self.levels;
        let read = match (&mut self.reader, &mut self.values) {
            (ColumnReader::BoolColumnReader(reader), Values::Bool(values)) => next(reader, rows, levels, values),
            (ColumnReader::Int32ColumnReader(reader), Values::Int32(values)) => next(reader, rows, levels, values),
            (ColumnReader::Int64ColumnReader(reader), Values::Int64(values)) => next(reader, rows, levels, values),
            (ColumnReader::Int96ColumnReader(reader), Values::Int96(values)) => next(reader, rows, levels, values),
            (ColumnReader::FloatColumnReader(reader), Values::Float(values)) => next(reader, rows, levels, values),
            (ColumnReader::DoubleColumnReader(reader), Values::Double(values)) => next(reader, rows, levels, values),
            (ColumnReader::ByteArrayColumnReader(reader), Values::Bytes(values)) => next(reader, rows, levels, values),
            (ColumnReader::FixedLenByteArrayColumnReader(reader), Values::Fixed(values)) => {
                next(reader, rows, levels, values)
            }
            // The values are created for the reader.
            _ => Ok(0),
        };
        self.is_optional = !self.levels.is_empty();
        let read = read?;
        if let Some(left) = self.pages.front_mut() {
            *left = left.saturating_sub(read as u64);
        }
        self.pages.pop_front_if(|left| *left == 0);
        Ok(read)
    }

    /// Writes the next row's value.
    pub(super) fn write_next(&mut self, form: Form, out: &mut Vec<u8>) -> std::result::Result<(), String> {
        let is_there = !self.is_optional || self.levels.get(self.row).is_some_and(|level| *level > 0);
        self.row += 1;
        if !is_there {
            out.extend_from_slice(text::NULL);
            return Ok(());
        }
        let at = self.value;
        self.value += 1;
        self.values.write(at, form, out)
    }
}

fn next<T: DataType>(
    reader: &mut ColumnReaderImpl<T>,
    rows: usize,
    levels: &mut Vec<i16>,
    values: &mut Vec<T::T>,
) -> Result<usize> {
    values.clear();
    Ok(reader.read_records(rows, Some(levels), None, values)?.0)
}

impl Values {
    fn write(&self, at: usize, form: Form, out: &mut Vec<u8>) -> std::result::Result<(), String> {
        let missing = || "a column has fewer values than its levels say".to_owned();
        match self {
            Values::Bool(values) => out.push(if *values.get(at).ok_or_else(missing)? { b't' } else { b'f' }),
            Values::Int32(values) => whole(i64::from(*values.get(at).ok_or_else(missing)?), form, out)?,
            Values::Int64(values) => whole(*values.get(at).ok_or_else(missing)?, form, out)?,
            Values::Float(values) => text::float(out, *values.get(at).ok_or_else(missing)?),
            Values::Double(values) => text::double(out, *values.get(at).ok_or_else(missing)?),
            Values::Bytes(values) => bytes(values.get(at).ok_or_else(missing)?.data(), form, out)?,
            Values::Fixed(values) => bytes(values.get(at).ok_or_else(missing)?.data(), form, out)?,
            Values::Int96(_) => return Err("a column is of a type that is not read".to_owned()),
        }
        Ok(())
    }
}

fn whole(number: i64, form: Form, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    let beyond = || "a date or a time is beyond the year 9999".to_owned();
    match form {
        Form::Decimal { scale, .. } => text::decimal(out, i128::from(number), scale),
        Form::Date => text::date(out, i32::try_from(number).map_err(|_| beyond())?).ok_or_else(beyond)?,
        Form::Timestamp { micros_per_unit, utc } => {
            let micros = number.checked_mul(micros_per_unit).ok_or_else(beyond)?;
            text::timestamp(out, micros, utc).ok_or_else(beyond)?;
        }
        _ => text::integer(out, number),
    }
    Ok(())
}

fn bytes(bytes: &[u8], form: Form, out: &mut Vec<u8>) -> std::result::Result<(), String> {
    match form {
        Form::Text => {
            let text = std::str::from_utf8(bytes).map_err(|_| "a text is not UTF-8".to_owned())?;
            text::escaped(out, text.as_bytes());
        }
        Form::Uuid => text::uuid(out, bytes),
        Form::Decimal { scale, .. } => {
            let number = text::big_endian(bytes).ok_or_else(|| "a decimal has more than 38 digits".to_owned())?;
            text::decimal(out, number, scale);
        }
        _ => text::binary(out, bytes),
    }
    Ok(())
}
