//! Parquet files as RDS writes them: compressed by gzip, several row groups, small pages.

use std::sync::Arc;

use parquet::{
    basic::{Compression, GzipLevel},
    data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type},
    file::{
        properties::WriterProperties,
        writer::{SerializedColumnWriter, SerializedFileWriter},
    },
    schema::parser::parse_message_type,
};

/// A column's values, all of them optional.
#[derive(Clone)]
pub enum Column {
    Bool(Vec<Option<bool>>),
    Int32(Vec<Option<i32>>),
    Int64(Vec<Option<i64>>),
    Float(Vec<Option<f32>>),
    Double(Vec<Option<f64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

impl Column {
    pub fn texts<'t>(values: impl IntoIterator<Item = Option<&'t str>>) -> Self {
        Column::Bytes(values.into_iter().map(|value| value.map(|text| text.as_bytes().to_vec())).collect())
    }

    fn len(&self) -> usize {
        match self {
            Column::Bool(values) => values.len(),
            Column::Int32(values) => values.len(),
            Column::Int64(values) => values.len(),
            Column::Float(values) => values.len(),
            Column::Double(values) => values.len(),
            Column::Bytes(values) => values.len(),
        }
    }

    fn write(&self, from: usize, to: usize, writer: &mut SerializedColumnWriter<'_>) {
        match self {
            Column::Bool(values) => put::<BoolType>(writer, &values[from..to]),
            Column::Int32(values) => put::<Int32Type>(writer, &values[from..to]),
            Column::Int64(values) => put::<Int64Type>(writer, &values[from..to]),
            Column::Float(values) => put::<FloatType>(writer, &values[from..to]),
            Column::Double(values) => put::<DoubleType>(writer, &values[from..to]),
            Column::Bytes(values) => {
                let values: Vec<_> = values[from..to].iter().map(|value| value.clone().map(ByteArray::from)).collect();
                put::<ByteArrayType>(writer, &values);
            }
        }
    }
}

fn put<T: DataType>(writer: &mut SerializedColumnWriter<'_>, values: &[Option<T::T>]) {
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let there: Vec<T::T> = values.iter().flatten().cloned().collect();
    writer.typed::<T>().write_batch(&there, Some(&levels), None).unwrap();
}

/// A file with these columns; `schema` is a message in Parquet's notation.
pub fn file(schema: &str, columns: &[Column], rows_per_group: usize) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(Compression::GZIP(GzipLevel::default()))
        .set_data_page_size_limit(2 << 10)
        .build();
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Arc::new(properties)).unwrap();
    let rows = columns.first().map_or(0, Column::len);
    for from in (0..rows).step_by(rows_per_group) {
        let to = rows.min(from + rows_per_group);
        let mut group = writer.next_row_group().unwrap();
        for column in columns {
            let mut one = group.next_column().unwrap().unwrap();
            column.write(from, to, &mut one);
            one.close().unwrap();
        }
        group.close().unwrap();
    }
    writer.close().unwrap();
    bytes
}
