//! Finds the attempt that a webhook concerns. If the webhook names an object and no attempt, the object is read first.

use super::routed::{EventRead, Routed};
use super::step::Input;
use crate::base::config::{Config, Psp};
use crate::base::http::Request;
use crate::base::limits::PSP_ANSWER_BYTES_MAX;
use crate::base::time::UnixMillis;
use crate::contract::answer;
use crate::contract::answer::ReplyContext;
use crate::contract::error::{ApiError, Code};
use crate::psp::call::{Call, CallResult, Purpose};
use crate::psp::event::Next;
use crate::psp::report::{CallKind, PspReport};
use crate::psp::webhook::{self, WebhookError, WebhookEvent, WebhookNext};

/// What follows from the read of an event's object: the answer to whoever sent the event, or the attempt that it
/// concerns, or one more read. If the PSP did not answer the read, the answer asks it to send the event again. If it
/// did answer, there is also a report for operators.
#[must_use]
pub fn event_read(
    config: &Config,
    read: EventRead,
    result: &CallResult,
    now_ms: UnixMillis,
) -> (Routed, Option<PspReport>) {
    let name = read.call.psp.clone();
    let Some(psp) = config.psps.get(&name) else {
        return (Routed::Reply(answer::received()), None);
    };
    let (next, rejection) = webhook::after_read(read.about, result);
    let report = matches!(result, CallResult::Answered { .. }).then(|| PspReport {
        psp: name.clone(),
        call: CallKind::Read,
        rejection,
    });
    (routed(psp, &name, next, now_ms, read.context), report)
}

fn routed(psp: &Psp, name: &str, next: WebhookNext, now_ms: UnixMillis, context: ReplyContext) -> Routed {
    match next {
        Next::Nothing => Routed::Reply(answer::received()),
        Next::Tell(id, said) => Routed::Attempt {
            id,
            input: Input::Webhook(Box::new(WebhookEvent {
                psp: name.to_owned(),
                said,
            })),
        },
        Next::Read(about) => Routed::Read(Box::new(EventRead {
            call: Call {
                attempt: None,
                psp: name.to_owned(),
                http: about.write(psp),
                send_by_ms: now_ms + psp.timing.send_window_ms,
                send_by: None,
                timeout_ms: psp.timing.call_timeout_ms,
                moves_money: false,
                skip_within_ms: None,
                purpose: Purpose::Event,
            },
            about,
            context,
        })),
        Next::Failed => Routed::Reply(answer::error(
            &ApiError::new(
                Code::PspReadFailed,
                "The PSP did not answer the read of the event's object; send this webhook again.",
            ),
            &context,
        )),
    }
}

/// The PSP whose webhooks come to this path.
pub(super) fn psp_of<'a>(config: &'a Config, name: &str) -> Result<&'a Psp, ApiError> {
    let unknown = || ApiError::new(Code::UnknownPsp, "No PSP of this name is configured here.");
    config.psps.get(name).ok_or_else(unknown)
}

/// Routes a webhook that claims to come from the PSP of this name.
pub(super) fn route(
    config: &Config,
    name: &str,
    request: &Request<'_>,
    context: ReplyContext,
    now_ms: UnixMillis,
) -> Result<Routed, ApiError> {
    let psp = psp_of(config, name)?;
    if request.body.len() > PSP_ANSWER_BYTES_MAX {
        return Err(ApiError::new(Code::BodyTooLarge, "The webhook is too large."));
    }
    let next = webhook::read(psp, request, now_ms).map_err(refusal)?;
    Ok(routed(psp, name, next, now_ms, context))
}

fn refusal(why: WebhookError) -> ApiError {
    match why {
        WebhookError::Signature(why) => ApiError::new(Code::WebhookSignatureInvalid, why),
        WebhookError::Unreadable => ApiError::new(
            Code::WebhookInvalid,
            "The webhook is signed but is not a message that is understood here.",
        ),
    }
}
