//! The search, in Workers KV: names that sort, and copies of the records. An attempt gets its entry when it parks or ends, up to a
//! minute late. It decides nothing: each record that is found is compared with what was searched for.
//!
//! | name | value |
//! |---|---|
//! | `record/{id}` | the newest copy of the record |
//! | `state/{state}/{merchant}/{since_ms}/{id}` | empty |
//! | `order/{order}/{merchant}/{id}` | empty |
//!
//! Names have no room for any text, so that orders and merchants stand there as digests. A name that could not be deleted leads to a
//! record that is not what was searched for.

use futures_util::future::join_all;
use pay_once_core::{
    AttemptId, Found, IndexEntry, Millis, Record, Search, SearchError, SearchState, key_digest,
};
use serde_json::json;
use worker::Env;
use worker::kv::{KvError, KvStore};

use crate::system;

/// Name of the binding. A deployment without it works, and has no search.
const BINDING: &str = "SEARCH";
/// How long a page may take, in milliseconds.
const PAGE_TIMEOUT_MS: Millis = Millis::new(10_000);
/// How long an entry may take, in milliseconds.
const PUT_TIMEOUT_MS: Millis = Millis::new(10_000);

/// Whether an attempt in this state has an entry.
pub(crate) fn is_kept(state: SearchState) -> bool {
    match state {
        SearchState::Parked
        | SearchState::Captured
        | SearchState::Declined
        | SearchState::Voided
        | SearchState::Expired => true,
        SearchState::InDoubt
        | SearchState::Unsent
        | SearchState::RequiresAction
        | SearchState::Created
        | SearchState::Authorized => false,
    }
}

/// A text as names have it.
fn digest(text: &str) -> String {
    let digest = key_digest(text);
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

/// The name of a state's entry.
pub(crate) fn state_name(id: AttemptId, entry: &IndexEntry) -> String {
    let prefix = state_prefix(entry.state, Some(&entry.merchant));
    format!("{prefix}{:014}/{id}", entry.since_ms.get())
}

fn state_prefix(state: SearchState, merchant: Option<&str>) -> String {
    let merchant = merchant.map(|name| format!("{}/", digest(name)));
    format!("state/{state}/{}", merchant.unwrap_or_default())
}

fn order_prefix(order_id: &str, merchant: Option<&str>) -> String {
    let merchant = merchant.map(|name| format!("{}/", digest(name)));
    format!("order/{}/{}", digest(order_id), merchant.unwrap_or_default())
}

/// Puts the entry of a record, and takes away the name `before`; whether it arrived. No answer depends on it.
pub(crate) async fn keep(env: &Env, id: AttemptId, bytes: &[u8], before: Option<&str>) -> bool {
    let Ok(store) = env.kv(BINDING) else {
        return true;
    };
    let Ok(record) = Record::decode(id, bytes) else {
        // It is refused wherever it is loaded.
        return true;
    };
    let entry = record.index_entry();
    let put = async {
        // The copy first: a name without one leads nowhere.
        store.put_bytes(&format!("record/{id}"), bytes)?.execute().await?;
        let name = state_name(id, &entry);
        if is_kept(entry.state) {
            store.put(&name, "")?.execute().await?;
            if let Some(order_id) = &entry.order_id {
                let prefix = order_prefix(order_id, Some(&entry.merchant));
                store.put(&format!("{prefix}{id}"), "")?.execute().await?;
            }
        }
        if let Some(before) = before.filter(|before| *before != name) {
            store.delete(before).await?;
        }
        Ok::<_, KvError>(())
    };
    let by_ms = system::now_ms() + PUT_TIMEOUT_MS;
    let why = match system::until(by_ms, put).await {
        Some(Ok(())) => return true,
        Some(Err(error)) => error.to_string(),
        None => "no answer in time".to_owned(),
    };
    let message = "the search entry of an attempt could not be written";
    system::error(&json!({"level": "WARN", "message": message, "attempt": id.to_string(), "error": why}));
    false
}

/// The page of a search.
pub(crate) async fn page(env: &Env, search: &Search) -> Result<Found, SearchError> {
    let Ok(store) = env.kv(BINDING) else {
        return Err(SearchError::Unsupported(
            "This deployment has no KV namespace SEARCH, and so nothing to search in.",
        ));
    };
    if search.state.is_some_and(|state| !is_kept(state)) {
        return Err(SearchError::Unsupported(
            "On Workers an attempt is found once it is parked or has ended. Search for the states parked, captured, declined, voided or expired.",
        ));
    }
    let merchant = search.merchant.as_deref();
    let prefix = match (&search.order_id, search.state) {
        (Some(order_id), _) => order_prefix(order_id, merchant),
        (None, Some(state)) => state_prefix(state, merchant),
        // Core asks for one of the two.
        (None, None) => return Ok(Found::default()),
    };
    let by_ms = system::now_ms() + PAGE_TIMEOUT_MS;
    let why = match system::until(by_ms, read(&store, search, prefix)).await {
        Some(Ok(found)) => return Ok(found),
        // KV says no more of a cursor that it did not write.
        Some(Err(_)) if search.after.is_some() => return Err(SearchError::ForeignCursor),
        Some(Err(error)) => error.to_string(),
        None => "no answer in time".to_owned(),
    };
    system::error(&json!({"level": "ERROR", "message": "a search failed", "error": why}));
    Err(SearchError::Unavailable)
}

async fn read(store: &KvStore, search: &Search, prefix: String) -> Result<Found, KvError> {
    let mut list = store.list().prefix(prefix).limit(search.limit as u64);
    if let Some(after) = &search.after {
        list = list.cursor(after.clone());
    }
    let listed = list.execute().await?;
    let ids = listed.keys.iter().filter_map(|key| {
        let (_, id) = key.name.rsplit_once('/')?;
        AttemptId::parse(id)
    });
    let copies = ids.map(|id| async move {
        let name = format!("record/{id}");
        let bytes = store.get(&name).bytes().await?;
        Ok::<_, KvError>(bytes.and_then(|bytes| Record::decode(id, &bytes).ok()))
    });
    let copies = join_all(copies)
        .await
        .into_iter()
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Found {
        records: copies.into_iter().flatten().collect(),
        next: listed.cursor.filter(|_| !listed.list_complete),
    })
}
