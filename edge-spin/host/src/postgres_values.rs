//! Values between PostgreSQL and the component, as Spin converts them: the type of a parameter has to be the statement's, and what has no
//! type here is unsupported.

use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use tokio_postgres::{Column as PgColumn, Row};

use crate::bindings::spin::postgres::postgres::{Column, DbDataType, DbValue, ParameterValue};

/// A null of any type.
#[derive(Debug)]
struct Null;

impl ToSql for Null {
    fn to_sql(
        &self,
        _: &Type,
        _: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        Ok(IsNull::Yes)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

/// A parameter of a statement, if it is of a type that the component uses.
pub fn parameter(value: ParameterValue) -> Option<Box<dyn ToSql + Send + Sync>> {
    Some(match value {
        ParameterValue::Boolean(value) => Box::new(value),
        ParameterValue::Int32(value) => Box::new(value),
        ParameterValue::Int64(value) => Box::new(value),
        ParameterValue::Str(value) => Box::new(value),
        ParameterValue::Binary(value) => Box::new(value),
        ParameterValue::DbNull => Box::new(Null),
        _ => return None,
    })
}

/// A column's name and type.
pub fn column(column: &PgColumn) -> Column {
    Column {
        name: column.name().to_owned(),
        data_type: match *column.type_() {
            Type::BOOL => DbDataType::Boolean,
            Type::BYTEA => DbDataType::Binary,
            Type::INT4 => DbDataType::Int32,
            Type::INT8 => DbDataType::Int64,
            Type::TEXT | Type::VARCHAR | Type::BPCHAR => DbDataType::Str,
            _ => DbDataType::Other(column.type_().name().to_owned()),
        },
    }
}

/// A value of a row.
pub fn value(row: &Row, at: usize) -> Result<DbValue, tokio_postgres::Error> {
    let value = match row.columns().get(at).map(|column| column.type_()) {
        Some(&Type::BOOL) => row.try_get::<_, Option<bool>>(at)?.map(DbValue::Boolean),
        Some(&Type::BYTEA) => row.try_get::<_, Option<Vec<u8>>>(at)?.map(DbValue::Binary),
        Some(&Type::INT4) => row.try_get::<_, Option<i32>>(at)?.map(DbValue::Int32),
        Some(&Type::INT8) => row.try_get::<_, Option<i64>>(at)?.map(DbValue::Int64),
        Some(&(Type::TEXT | Type::VARCHAR | Type::BPCHAR)) => {
            row.try_get::<_, Option<String>>(at)?.map(DbValue::Str)
        }
        _ => Some(DbValue::Unsupported(Vec::new())),
    };
    Ok(value.unwrap_or(DbValue::DbNull))
}
