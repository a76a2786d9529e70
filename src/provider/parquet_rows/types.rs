//! The PostgreSQL type for each Parquet column, without loss; a column without one is rejected by name.
//!
//! Source: Apache Parquet, "Logical Types", and Amazon RDS user guide, "Data conversion when exporting to an Amazon S3
//! bucket": RDS writes booleans, integers, floating-point numbers and binary as such, and every other type of PostgreSQL as
//! a string.

use parquet::{
    basic::{ConvertedType, LogicalType, TimeUnit, Type},
    schema::types::ColumnDescriptor,
};

/// How many bytes of an identifier PostgreSQL keeps (PostgreSQL documentation, "Identifiers and Key Words").
pub(super) const IDENTIFIER_BYTES_MAX: usize = 63;

/// The form of a column's values in COPY text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `t` and `f`.
    Bool,
    /// A whole number of this many bits.
    Int(u8),
    /// Single precision.
    Float,
    /// Double precision.
    Double,
    /// Text, which must be UTF-8.
    Text,
    /// `\x` and hexadecimal digits.
    Binary,
    /// A whole number with this many decimal places.
    Decimal { precision: u32, scale: u32 },
    /// Days since 1970-01-01.
    Date,
    /// A moment in microseconds, or in milliseconds; with `+00` if it is in UTC.
    Timestamp { micros_per_unit: i64, utc: bool },
    /// 16 bytes.
    Uuid,
}

impl Form {
    /// The form of a column; or why there is none.
    pub(super) fn of(column: &ColumnDescriptor) -> Result<Self, String> {
        let physical = column.physical_type();
        let logical = column.logical_type_ref();
        if column.max_rep_level() > 0 || column.max_def_level() > 1 || column.path().parts().len() != 1 {
            return Err("is nested".to_owned());
        }
        let form = match (physical, logical) {
            (_, None) => Self::of_converted(column),
            (Type::INT32, Some(LogicalType::Integer(int))) if int.is_signed => {
                Some(Form::Int(int.bit_width.max(16) as u8))
            }
            (Type::INT64, Some(LogicalType::Integer(int))) if int.is_signed => Some(Form::Int(64)),
            (Type::BYTE_ARRAY, Some(LogicalType::String | LogicalType::Json | LogicalType::Enum)) => Some(Form::Text),
            (Type::INT32, Some(LogicalType::Date)) => Some(Form::Date),
            (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)) if column.type_length() == 16 => Some(Form::Uuid),
            (_, Some(LogicalType::Decimal(decimal))) => Self::decimal(physical, decimal.precision, decimal.scale),
            (Type::INT64, Some(LogicalType::Timestamp(stamp))) => {
                Self::timestamp(stamp.unit, stamp.is_adjusted_to_u_t_c)
            }
            _ => None,
        };
        form.ok_or_else(|| format!("is of a type that is not read: {physical}, {}", told(column)))
    }

    /// The types in files without the newer annotations.
    fn of_converted(column: &ColumnDescriptor) -> Option<Self> {
        let physical = column.physical_type();
        Some(match (physical, column.converted_type()) {
            (Type::BOOLEAN, ConvertedType::NONE) => Form::Bool,
            (Type::INT32, ConvertedType::INT_8 | ConvertedType::INT_16) => Form::Int(16),
            (Type::INT32, ConvertedType::NONE | ConvertedType::INT_32) => Form::Int(32),
            (Type::INT64, ConvertedType::NONE | ConvertedType::INT_64) => Form::Int(64),
            (Type::FLOAT, ConvertedType::NONE) => Form::Float,
            (Type::DOUBLE, ConvertedType::NONE) => Form::Double,
            (Type::BYTE_ARRAY, ConvertedType::UTF8 | ConvertedType::JSON | ConvertedType::ENUM) => Form::Text,
            (Type::BYTE_ARRAY | Type::FIXED_LEN_BYTE_ARRAY, ConvertedType::NONE) => Form::Binary,
            (Type::INT32, ConvertedType::DATE) => Form::Date,
            (Type::INT64, ConvertedType::TIMESTAMP_MICROS) => Form::Timestamp { micros_per_unit: 1, utc: true },
            (Type::INT64, ConvertedType::TIMESTAMP_MILLIS) => Form::Timestamp { micros_per_unit: 1000, utc: true },
            (_, ConvertedType::DECIMAL) => {
                return Self::decimal(physical, column.type_precision(), column.type_scale());
            }
            _ => return None,
        })
    }

    fn decimal(physical: Type, precision: i32, scale: i32) -> Option<Self> {
        let precision = u32::try_from(precision).ok()?;
        let scale = u32::try_from(scale).ok()?;
        let numbers = [Type::INT32, Type::INT64, Type::BYTE_ARRAY, Type::FIXED_LEN_BYTE_ARRAY].contains(&physical);
        (numbers && precision > 0 && precision <= 38 && scale <= precision)
            .then_some(Form::Decimal { precision, scale })
    }

    fn timestamp(unit: TimeUnit, utc: bool) -> Option<Self> {
        match unit {
            TimeUnit::MILLIS => Some(Form::Timestamp { micros_per_unit: 1000, utc }),
            TimeUnit::MICROS => Some(Form::Timestamp { micros_per_unit: 1, utc }),
            // PostgreSQL keeps microseconds.
            TimeUnit::NANOS => None,
        }
    }

    /// The PostgreSQL type for it.
    pub(super) fn sql(self) -> String {
        match self {
            Form::Bool => "boolean".to_owned(),
            Form::Int(16) => "smallint".to_owned(),
            Form::Int(32) => "integer".to_owned(),
            Form::Int(_) => "bigint".to_owned(),
            Form::Float => "real".to_owned(),
            Form::Double => "double precision".to_owned(),
            Form::Text => "text".to_owned(),
            Form::Binary => "bytea".to_owned(),
            Form::Decimal { precision, scale } => format!("numeric({precision}, {scale})"),
            Form::Date => "date".to_owned(),
            Form::Timestamp { utc: true, .. } => "timestamp with time zone".to_owned(),
            Form::Timestamp { utc: false, .. } => "timestamp without time zone".to_owned(),
            Form::Uuid => "uuid".to_owned(),
        }
    }
}

fn told(column: &ColumnDescriptor) -> String {
    match column.logical_type_ref() {
        Some(LogicalType::Integer(int)) if !int.is_signed => format!("unsigned of {} bits", int.bit_width),
        Some(LogicalType::Timestamp(_)) => "a timestamp in nanoseconds".to_owned(),
        Some(LogicalType::Decimal(decimal)) => format!("a decimal of {} digits", decimal.precision),
        Some(_) => "with a meaning that no type of PostgreSQL has".to_owned(),
        None => column.converted_type().to_string(),
    }
}
