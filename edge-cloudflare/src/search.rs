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

use pay_once_core::{
    AttemptId, Found, IndexEntry, Millis, Record, Search, SearchError, SearchState, key_digest,
};
use serde_json::json;
use worker::Env;
use worker::js_sys::futures::JsFuture;
use worker::js_sys::{Array, ArrayBuffer, Function, Object, Promise, Reflect, Uint8Array};
use worker::kv::KvError;
use worker::wasm_bindgen::{JsCast, JsValue};

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
    let name = state_name(id, &entry);
    let before = before.filter(|before| *before != name);
    // The copy first: a name without one leads nowhere.
    let mut entries = vec![(format!("record/{id}"), bytes)];
    if is_kept(entry.state) {
        entries.extend(entry.order_id.as_ref().map(|order_id| {
            let prefix = order_prefix(order_id, Some(&entry.merchant));
            (format!("{prefix}{id}"), &[][..])
        }));
        entries.push((name, &[][..]));
    }
    let put = async {
        for (name, value) in entries {
            store.put_bytes(&name, value)?.execute().await?;
        }
        if let Some(before) = before {
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
    if env.kv(BINDING).is_err() {
        return Err(SearchError::Unsupported(
            "This deployment has no KV namespace SEARCH, and so nothing to search in.",
        ));
    }
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
    let why = match system::until(by_ms, read(env, search, &prefix)).await {
        Some(Ok(found)) => return Ok(found),
        // KV says no more of a cursor that it did not write.
        Some(Err(_)) if search.after.is_some() => return Err(SearchError::ForeignCursor),
        Some(Err(error)) => format!("{error:?}"),
        None => "no answer in time".to_owned(),
    };
    system::error(&json!({"level": "ERROR", "message": "a search failed", "error": why}));
    Err(SearchError::Unavailable)
}

async fn read(env: &Env, search: &Search, prefix: &str) -> Result<Found, JsValue> {
    let store = Reflect::get(env, &BINDING.into())?;
    let listed = list(&store, prefix, search).await?;
    let get = method(&store, "get")?;
    let asked = Array::new();
    for id in &listed.ids {
        let name = format!("record/{id}");
        asked.push(&get.call2(&store, &name.into(), &"arrayBuffer".into())?);
    }
    let copies: Array = JsFuture::from(Promise::all(&asked)).await?.dyn_into()?;
    let copy = |(id, copy): (AttemptId, JsValue)| {
        // A copy that is not there is null.
        let is_there = copy.is_instance_of::<ArrayBuffer>();
        let bytes = is_there.then(|| Uint8Array::new(&copy).to_vec())?;
        Record::decode(id, &bytes).ok()
    };
    Ok(Found {
        records: listed
            .ids
            .into_iter()
            .zip(copies.iter())
            .filter_map(copy)
            .collect(),
        next: listed.next,
    })
}

fn method(store: &JsValue, name: &str) -> Result<Function, JsValue> {
    Reflect::get(store, &name.into())?.dyn_into()
}

/// A page of names.
struct Listed {
    ids: Vec<AttemptId>,
    next: Option<String>,
}

/// Lists by hand, as `read` reads: the binding's own ways bring readers of any value along, which is a twentieth of the module.
async fn list(store: &JsValue, prefix: &str, search: &Search) -> Result<Listed, JsValue> {
    let options = Object::new();
    let set = |name: &str, value: JsValue| Reflect::set(&options, &name.into(), &value).map(|_| ());
    set("prefix", prefix.into())?;
    set("limit", JsValue::from_f64(search.limit as f64))?;
    if let Some(after) = &search.after {
        set("cursor", after.as_str().into())?;
    }
    let promise: Promise = method(store, "list")?.call1(store, &options)?.dyn_into()?;
    let listed = JsFuture::from(promise).await?;
    let keys: Array = Reflect::get(&listed, &"keys".into())?.dyn_into()?;
    let id = |key: JsValue| {
        let name = Reflect::get(&key, &"name".into()).ok()?.as_string()?;
        let (_, id) = name.rsplit_once('/')?;
        AttemptId::parse(id)
    };
    let is_last = Reflect::get(&listed, &"list_complete".into())?.is_truthy();
    let cursor = Reflect::get(&listed, &"cursor".into())?.as_string();
    Ok(Listed {
        ids: keys.iter().filter_map(id).collect(),
        next: cursor.filter(|_| !is_last),
    })
}
