//! What JavaScript sees of this crate and what this crate sees of JavaScript: the entry points, and the synchronous
//! storage of a Durable Object, which the crate `worker` does not bind. Nothing but generated glue is unsafe, and all of
//! it is here.
#![allow(unsafe_code, missing_docs, unreachable_pub)]

use std::rc::Rc;

use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen::{JsCast, JsValue};
use worker::{Context, DurableObject, Env, Request, Response, Result, State, Storage, durable_object, event};

use crate::{attempt, front};

#[event(fetch)]
async fn fetch(request: Request, env: Env, _context: Context) -> Result<Response> {
    front::answer(request, &env).await
}

/// One attempt. Its name is the attempt's id.
#[durable_object]
pub struct Attempt {
    object: Rc<attempt::Object>,
}

impl DurableObject for Attempt {
    fn new(state: State, env: Env) -> Self {
        Self {
            object: Rc::new(attempt::Object::new(state, env)),
        }
    }

    async fn fetch(&self, request: Request) -> Result<Response> {
        attempt::fetch(&self.object, request).await
    }

    async fn alarm(&self) -> Result<Response> {
        attempt::alarm(&self.object).await?;
        Response::empty()
    }
}

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
