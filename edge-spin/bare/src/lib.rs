//! A component with nothing in it but Spin's stores.
//!
//! - `POST /insert/KEY` and `GET /read/KEY`: one statement of `spin:sqlite` each, what Pay Once is measured against.
//! - `POST /race`: the reproduction of KEY-VALUE.md, on the key-value store with the label `attempts`.
#![cfg(target_family = "wasm")]
#![allow(
    unsafe_code,
    reason = "spin_sdk::http_service exports a function to the component model"
)]

use spin_sdk::experimental::wasi::keyvalue::atomics::{Cas, swap};
use spin_sdk::experimental::wasi::keyvalue::store::open;
use spin_sdk::http::{HeaderMap, HeaderName, HeaderValue, IntoResponse, Request, StatusCode};
use spin_sdk::http_service;
use spin_sdk::sqlite::{Connection, Value};

/// About as many bytes as the record of a new attempt.
const ROW: [u8; 300] = [7; 300];

#[http_service]
async fn handle(request: Request) -> impl IntoResponse {
    let path = request.uri().path().to_owned();
    let done = match path.trim_start_matches('/').split_once('/') {
        Some(("insert", key)) => insert(key).await,
        Some(("read", key)) => read(key).await,
        Some(("race", key)) => race(key).map_err(|error| format!("{error:?}")),
        _ => Err("POST /insert/KEY, GET /read/KEY or POST /race/KEY".to_owned()),
    };
    let (status, text) = match done {
        Ok(text) => (StatusCode::OK, text),
        Err(text) => (StatusCode::INTERNAL_SERVER_ERROR, text),
    };
    // Without a length the answer would be chunked.
    let length = HeaderMap::from_iter([(
        HeaderName::from_static("content-length"),
        HeaderValue::from(text.len()),
    )]);
    (status, length, text)
}

async fn insert(key: &str) -> Result<String, String> {
    let insert = "INSERT INTO bare (key, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING RETURNING key";
    let values = || [Value::from(key), Value::from(ROW)];
    let words = |error| format!("{error}");
    let database = Connection::open_default().await.map_err(words)?;
    let first = database
        .execute(insert, values())
        .await
        .map_err(words)?
        .collect()
        .await;
    let rows = match first {
        Err(error) if error.to_string().contains("no such table") => {
            for statement in [
                "PRAGMA journal_mode = WAL",
                "CREATE TABLE IF NOT EXISTS bare (key TEXT PRIMARY KEY, value BLOB)",
            ] {
                database
                    .execute(statement, [])
                    .await
                    .map_err(words)?
                    .collect()
                    .await
                    .map_err(words)?;
            }
            database
                .execute(insert, values())
                .await
                .map_err(words)?
                .collect()
                .await
        }
        rows => rows,
    };
    Ok(rows.map_err(words)?.len().to_string())
}

async fn read(key: &str) -> Result<String, String> {
    let words = |error| format!("{error}");
    let database = Connection::open_default().await.map_err(words)?;
    let select = database
        .execute("SELECT value FROM bare WHERE key = ?1", [Value::from(key)])
        .await;
    let rows = select.map_err(words)?.collect().await.map_err(words)?;
    Ok(rows.len().to_string())
}

/// Two handles that both saw nothing, swapped in turn. Exactly the first may win.
fn race(key: &str) -> Result<String, Box<dyn std::error::Error>> {
    let bucket = open("attempts")?;
    let (first, second) = (Cas::new(&bucket, key)?, Cas::new(&bucket, key)?);
    let seen = (first.current()?.is_some(), second.current()?.is_some());
    let won = (swap(first, b"first").is_ok(), swap(second, b"second").is_ok());
    let value = String::from_utf8(bucket.get(key)?.unwrap_or_default())?;
    Ok(format!("seen {seen:?}, reported as won {won:?}, value {value:?}"))
}
