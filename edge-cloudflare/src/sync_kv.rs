//! What this crate sees of JavaScript: the synchronous storage of a Durable Object, which the crate `worker` does not bind.
#![allow(unsafe_code, missing_docs, unreachable_pub)]

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::Storage;

#[wasm_bindgen]
extern "C" {
    /// `ctx.storage`, for what is beside `worker`'s binding of it.
    type RawStorage;
    #[wasm_bindgen(method, getter)]
    fn kv(this: &RawStorage) -> SyncKv;

    /// `ctx.storage.kv`: the key-value storage of an object on SQLite, without promises. What is written between two
    /// awaits becomes durable together or not at all.
    pub type SyncKv;
    #[wasm_bindgen(method, catch)]
    pub fn get(this: &SyncKv, key: &str) -> std::result::Result<JsValue, JsValue>;
    #[wasm_bindgen(method, catch)]
    pub fn put(this: &SyncKv, key: &str, value: &JsValue) -> std::result::Result<(), JsValue>;
}

/// The synchronous key-value storage of an object.
pub fn sync_kv(storage: &Storage) -> SyncKv {
    storage.as_raw().unchecked_ref::<RawStorage>().kv()
}
