//! One connection, and one statement at a time.

use crate::postgres::address::Address;
use crate::postgres::bindings::{Connection, DbValue, Error, ParameterValue, QueryError};

pub(super) use crate::postgres::bindings::ParameterValue as Value;

/// A row of what a statement gives.
pub(super) struct Row(Vec<DbValue>);

/// Why a statement gave nothing.
#[derive(Debug)]
pub(super) struct Failure {
    /// PostgreSQL's code, if it is PostgreSQL that refuses.
    pub(super) code: Option<String>,
    /// What an operator is told. It has no secret.
    pub(super) text: String,
}

/// An open connection. Spin may share it, and may give another one for the next instance: nothing may rest on its session.
pub(super) struct Link(Connection);

impl Link {
    pub(super) async fn open(address: &Address) -> Result<Self, Failure> {
        let opened = Connection::open_async(address.expose().to_owned()).await;
        opened.map(Self).map_err(|error| {
            let failure = failure(error);
            Failure {
                text: address.hide(failure.text),
                ..failure
            }
        })
    }

    /// Runs a statement to its end.
    pub(super) async fn run(&self, statement: &str, values: Vec<Value>) -> Result<Vec<Row>, Failure> {
        let asked = self.0.query_async(statement.to_owned(), values).await;
        let (_, mut stream, end) = asked.map_err(failure)?;
        let mut rows = Vec::new();
        while let Some(row) = stream.next().await {
            rows.push(Row(row));
        }
        end.await.map_err(failure)?;
        Ok(rows)
    }
}

impl Row {
    pub(super) fn bytes(&self, at: usize) -> Option<&[u8]> {
        match self.0.get(at)? {
            DbValue::Binary(bytes) => Some(bytes),
            _ => None,
        }
    }

    pub(super) fn text(&self, at: usize) -> Option<&str> {
        match self.0.get(at)? {
            DbValue::Str(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn integer(&self, at: usize) -> Option<i64> {
        match self.0.get(at)? {
            DbValue::Int64(number) => Some(*number),
            DbValue::Int32(number) => Some(i64::from(*number)),
            _ => None,
        }
    }

    pub(super) fn boolean(&self, at: usize) -> Option<bool> {
        match self.0.get(at)? {
            DbValue::Boolean(value) => Some(*value),
            _ => None,
        }
    }
}

/// A value, or none.
pub(super) fn or_null<T>(value: Option<T>, of: impl Fn(T) -> Value) -> Value {
    value.map_or(ParameterValue::DbNull, of)
}

/// PostgreSQL's details are left out: they may quote what a statement was given.
fn failure(error: Error) -> Failure {
    let of = |kind: &str, text: String| Failure {
        code: None,
        text: format!("{kind}: {text}"),
    };
    match error {
        Error::ConnectionFailed(why) => of("it cannot be reached", why),
        Error::QueryFailed(QueryError::DbError(error)) => Failure {
            text: format!("{} ({})", error.message, error.code),
            code: Some(error.code),
        },
        Error::QueryFailed(QueryError::Text(why)) => of("a statement failed", why),
        Error::BadParameter(why) => of("a parameter was refused", why),
        Error::ValueConversionFailed(why) => of("a value was refused", why),
        Error::Other(why) => of("it failed", why),
    }
}
