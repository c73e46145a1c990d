//! The stateless Worker: reads a request, authenticates it, and hands it to the attempt's object unless a final answer is
//! in the cache. It keeps nothing.

use pay_once_core::{AttemptId, Input, Measure, Millis, UnixMillis, body_did_not_arrive, not_answered};
use serde_json::json;
use worker::{Env, Request, Response, Result};

use crate::concern::{Concern, concern};
use crate::wire::{Asked, translate};
use crate::{finals, measures, settings, system};

/// Name of the binding of the objects' namespace.
const ATTEMPTS: &str = "ATTEMPTS";
/// How long a client may take to send its body, in milliseconds.
const BODY_TIMEOUT_MS: Millis = Millis::new(30_000);
/// How long after an answer was due an object is given up, in milliseconds: it may have to be started first, on another
/// continent.
const GRACE_MS: Millis = Millis::new(10_000);

/// Answers one request.
///
/// # Errors
/// If the platform refuses to make an answer.
pub(crate) async fn answer(request: Request, env: &Env) -> Result<Response> {
    let begun_ms = system::now_ms();
    let answer = answer_uncounted(request, env).await?;
    let took_ms = system::now_ms() - begun_ms;
    measures::count(env, None, || {
        vec![Measure::of_answer(answer.status_code(), took_ms)]
    });
    Ok(answer)
}

async fn answer_uncounted(mut request: Request, env: &Env) -> Result<Response> {
    let body_by_ms = system::now_ms() + BODY_TIMEOUT_MS;
    let Some(Ok(asked)) = system::until(body_by_ms, Asked::read(&mut request)).await else {
        return translate(body_did_not_arrive());
    };
    let config = settings::config(env);
    let now_ms = system::now_ms();
    let (id, input) = match concern(env, &config, &asked, now_ms).await {
        Concern::Reply(response) => {
            // An object counts its own refusals.
            measures::count(env, None, || Measure::of_error(&response).into_iter().collect());
            return translate(response);
        }
        Concern::Attempt(id, input) => (id, input),
    };
    if let Some(response) = finals::answer(env, id, &input).await {
        return translate(response);
    }
    let (since_ms, due_ms) = match &input {
        Input::Request(pending) => (now_ms, pending.answer_by_ms()),
        // What was read for it is read again, in a time of its own.
        Input::Webhook(_) | Input::Outcome(_) | Input::Wake => {
            let since_ms = system::now_ms();
            let read_for_ms = since_ms - now_ms;
            (since_ms, since_ms + read_for_ms)
        }
    };
    let why = match system::until(due_ms + GRACE_MS, hand_on(env, id, &asked, since_ms)).await {
        Some(Ok(response)) => return Ok(response),
        Some(Err(error)) => error.to_string(),
        None => "no answer in time".to_owned(),
    };
    let message = "the attempt's object did not answer";
    system::error(&json!({"level": "ERROR", "message": message, "attempt": id.to_string(), "error": why}));
    translate(input.store_unavailable().unwrap_or_else(not_answered))
}

/// The request goes on as it came, credentials included: the object trusts nobody either, and routes it once more.
async fn hand_on(env: &Env, id: AttemptId, asked: &Asked, since_ms: UnixMillis) -> Result<Response> {
    let object = env.durable_object(ATTEMPTS)?.get_by_name(&id.to_string())?;
    let spent_ms = system::now_ms() - since_ms;
    object.fetch_with_request(asked.again(spent_ms)?).await
}
