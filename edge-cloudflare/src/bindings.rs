//! What JavaScript sees of this crate: the entry points. Nothing but generated glue is unsafe, and all of it is here and in
//! `sync_kv.rs`.
#![allow(unsafe_code, missing_docs, unreachable_pub)]

use std::rc::Rc;

use worker::{Context, DurableObject, Env, Request, Response, Result, State, durable_object, event};

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
