//! Which attempt a request concerns. Some events name an object and not its attempt: the object is read first, by the Worker and
//! once more by the attempt's object, which trusts nobody.

use pay_once_core::{
    AttemptId, Config, EventRead, Input, PspReport, Response, Routed, TraceParent, UnixMillis, event_read,
    route,
};
use serde_json::json;
use worker::Env;

use crate::wire::Asked;
use crate::{measures, search, system};

/// The attempt that a request concerns and what to hand to it, or the answer at once.
pub(crate) enum Concern {
    Reply(Response),
    Attempt(AttemptId, Input),
}

/// Routes a request whose time began at `since_ms`, and reads what has to be read for it.
pub(crate) async fn concern(env: &Env, config: &Config, asked: &Asked, since_ms: UnixMillis) -> Concern {
    let mut routed = asked.with_request(|request| route(config, request, since_ms));
    loop {
        routed = match routed {
            Routed::Reply(response) => return Concern::Reply(response),
            Routed::Attempt { id, input } => return Concern::Attempt(id, input),
            Routed::Read(event) => read(env, config, *event).await,
            Routed::Search(pending) => {
                let found = search::page(env, &pending.search).await;
                return Concern::Reply(pending.answer(config, found, system::now_ms()));
            }
        };
    }
}

async fn read(env: &Env, config: &Config, event: EventRead) -> Routed {
    let result = measures::counted_send(env, &event.call).await;
    let (routed, report) = event_read(config, event, &result, system::now_ms());
    log_rejection(None, None, report);
    routed
}

/// One line for each call that a PSP rejected: nobody but the log is told.
pub(crate) fn log_rejection(id: Option<AttemptId>, trace: Option<TraceParent>, report: Option<PspReport>) {
    let Some(report) = report else { return };
    let Some(rejection) = report.rejection else { return };
    system::error(&json!({
        "level": "ERROR",
        "message": "a PSP rejected our credentials, our account or our request",
        "attempt": id.map(|id| id.to_string()),
        "trace": trace.map(|trace| trace.trace_id()),
        "psp": report.psp,
        "call": report.call,
        "status": rejection.status,
        "code": rejection.code,
        "param": rejection.param,
        "permission": rejection.permission,
        "rejected_requests": 1,
    }));
}
