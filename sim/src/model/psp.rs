//! The PSP: the sandbox's pure logic, fed by the queue.

use std::rc::Rc;

use pay_once_core::{ANSWER_HEADERS, AttemptId, Call, CallResult};
use pay_once_sandbox::{Answer, Method, Reaction, Request, Timed, Webhook};

use super::{Event, Http, PSP_URL, ReplyTo, Sim};
use crate::met::Sometimes;
use crate::plan::{Host, PspFault};
use crate::seen::PspCall;
use crate::trace::Kind;
use crate::world::{EPOCH_MS, date, dials, turn};

/// How long a PSP waits for the answer to a webhook, in milliseconds.
const WEBHOOK_TIMEOUT_MS: u64 = 5_000;
/// How often a PSP sends a webhook that is not taken.
const WEBHOOK_TRIES_MAX: u8 = 4;

impl Sim<'_> {
    /// Sets the dials as the windows of faults want them.
    pub(super) fn psp_dials(&mut self) {
        let mut now = dials(&self.plan.world);
        for (fault, permille) in self.faults.psp_now(self.now_ms) {
            turn(&mut now, fault, permille);
        }
        self.sandbox.turn(now);
    }

    pub(super) fn psp_arrives(&mut self, server: usize, epoch: u32, number: u64, call: &Rc<Call>) {
        let request = request(call);
        let key = request.header("idempotency-key").unwrap_or_default().to_owned();
        if call.moves_money {
            self.psp_calls.push(PspCall {
                at_ms: self.now_ms,
                key,
            });
        }
        let now_ms = EPOCH_MS + self.now_ms;
        let before = self.effects();
        let entropy = self.psp_draw.word();
        let reaction = self.sandbox.receive(now_ms, entropy, &request);
        let has_effect = self.effects() > before;
        self.meet_reaction(&reaction, has_effect);
        if has_effect {
            self.pending_refunds(before);
            self.note(Host::Psp, Kind::Effect, || {
                format!("{}: {} {}", named(call.attempt), call.http.method, call.http.url)
            });
        }
        let answer = reaction.answer.clone();
        // A key of the lost time may have been another request's: the answer says so, and nothing was done.
        let is_lost = call
            .attempt
            .is_some_and(|id| self.lost.contains_key(&id.to_string()));
        if let Some(words) = answer.as_ref().and_then(key_reused).filter(|_| !is_lost) {
            self.broken
                .push(format!("one PSP key was sent with two requests: {words}"));
        }
        self.psp_reacts(reaction);
        let Some(answer) = answer else { return };
        let (status, found) = (answer.status, self.found(call, &answer.body));
        let leaves_ms = self.now_ms + answer.after_ms;
        let result = match answer.cut_at_bytes {
            Some(_) => CallResult::Unknown {
                reason: "the answer broke off".to_owned(),
            },
            None => CallResult::Answered {
                status: answer.status,
                headers: self.headers_of_interest(&answer, leaves_ms),
                body: answer.body,
            },
        };
        // The way back is judged when the answer leaves; a link that is cut by then is close enough to one cut now.
        let back = self
            .faults
            .travel(Host::Psp, Host::Server(server), leaves_ms, leaves_ms);
        self.message(Host::Psp, Host::Server(server), back, || {
            format!("{}: {status} to {}{found}", named(call.attempt), call.http.url)
        });
        match back {
            Some(at_ms) => {
                if has_effect && self.servers.get(server).is_none_or(|s| s.epoch != epoch) {
                    self.met.meet(Sometimes::CrashBetweenEffectAndPersist);
                }
                self.at(
                    at_ms,
                    Event::PspAnswers {
                        server,
                        epoch,
                        number,
                        result,
                    },
                );
            }
            None if has_effect => self.met.meet(Sometimes::AnswerLostAfterEffect),
            None => {}
        }
    }

    /// What core reads of the headers of an answer that leaves then.
    fn headers_of_interest(&self, answer: &Answer, leaves_ms: u64) -> Vec<(String, String)> {
        let named = answer
            .headers
            .iter()
            .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
        let date = self
            .plan
            .world
            .dates
            .then(|| ("date".to_owned(), date(leaves_ms)));
        named
            .chain(date)
            .filter(|(name, _)| ANSWER_HEADERS.contains(&name.as_str()))
            .collect()
    }

    /// What a look at the PSP showed, for the trace.
    fn found(&self, call: &Call, body: &[u8]) -> String {
        if !self.trace.is_asked_for() || call.http.method != "GET" {
            return String::new();
        }
        format!(": {}", String::from_utf8_lossy(body))
    }

    pub(super) fn psp_fires(&mut self, timed: &Timed) {
        let before = self.effects();
        let reaction = self.sandbox.fire(EPOCH_MS + self.now_ms, timed);
        if self.effects() > before {
            self.note(Host::Psp, Kind::Effect, || "a late request landed".to_owned());
        }
        self.psp_reacts(reaction);
    }

    pub(super) fn effects(&self) -> usize {
        self.sandbox
            .ledger()
            .filter(|event| event.declined.is_none())
            .count()
    }

    fn meet_reaction(&mut self, reaction: &Reaction, has_effect: bool) {
        let faults: Vec<PspFault> = self.faults.psp_now(self.now_ms).map(|(fault, _)| fault).collect();
        match &reaction.answer {
            None if has_effect => self.met.meet(Sometimes::AnswerLostAfterEffect),
            None => {}
            Some(answer)
                if matches!(answer.status, 400 | 401 | 403)
                    && faults
                        .iter()
                        .any(|fault| matches!(fault, PspFault::Rejected { .. })) =>
            {
                self.met.meet(Sometimes::Rejected);
            }
            Some(answer) if answer.status == 429 => self.met.meet(Sometimes::Throttled),
            Some(answer) if answer.status == 503 && faults.contains(&PspFault::ReadOnly) => {
                self.met.meet(Sometimes::ReadOnly);
            }
            Some(answer) if answer.status >= 500 && has_effect => self.met.meet(Sometimes::ErrorWithEffect),
            Some(_) if has_effect && faults.contains(&PspFault::Garbage) => self.met.meet(Sometimes::Garbage),
            Some(_) => {}
        }
    }

    pub(super) fn psp_reacts(&mut self, reaction: Reaction) {
        for scheduled in reaction.scheduled {
            self.at(self.now_ms + scheduled.after_ms, Event::PspFires(scheduled.event));
        }
        let copies = reaction.webhooks.len();
        if copies > 1 {
            self.met.meet(Sometimes::WebhookDuplicate);
        }
        for webhook in reaction.webhooks {
            if reaction
                .answer
                .as_ref()
                .is_some_and(|answer| webhook.after_ms < answer.after_ms)
            {
                self.met.meet(Sometimes::WebhookBeforeResponse);
            }
            let at_ms = self.now_ms + webhook.after_ms;
            let webhook = Rc::new(webhook);
            self.at(at_ms, Event::SendWebhook { webhook, tries: 0 });
        }
    }

    pub(super) fn send_webhook(&mut self, webhook: Rc<Webhook>, tries: u8) {
        let http = Rc::new(Http {
            method: "POST",
            target: webhook.url.clone(),
            headers: webhook
                .headers
                .iter()
                .map(|(n, v)| (lower(n), v.clone()))
                .collect(),
            body: webhook.body.clone(),
        });
        let now_ms = self.now_ms;
        self.message(Host::Psp, Host::Balancer, Some(now_ms), || {
            format!("{}webhook", http.whose())
        });
        self.deliveries += 1;
        let number = self.deliveries;
        self.open_deliveries.insert(number);
        let timeout = Event::WebhookTimeout {
            webhook: Rc::clone(&webhook),
            tries,
            number,
        };
        self.at(now_ms + WEBHOOK_TIMEOUT_MS, timeout);
        let reply_to = ReplyTo::Psp {
            webhook,
            tries,
            number,
        };
        self.balance(&http, reply_to);
    }

    pub(super) fn webhook_unanswered(&mut self, webhook: Rc<Webhook>, tries: u8, number: u64) {
        if self.open_deliveries.remove(&number) {
            self.webhook_again(webhook, tries);
        }
    }

    /// A PSP delivers again, for a while, what was not taken.
    pub(super) fn webhook_again(&mut self, webhook: Rc<Webhook>, tries: u8) {
        let tries = tries + 1;
        if tries < WEBHOOK_TRIES_MAX {
            let at_ms = self.now_ms + (1_000 << tries);
            self.at(at_ms, Event::SendWebhook { webhook, tries });
        }
    }
}

/// What a PSP says to a key that it knows from another request.
pub(crate) fn key_reused(answer: &Answer) -> Option<String> {
    if answer.status != 400 {
        return None;
    }
    let words = String::from_utf8_lossy(&answer.body);
    let is_reuse = words.contains("\"idempotency_error\"") || words.contains("\"idempotency_key_reuse\"");
    is_reuse.then(|| words.into_owned())
}

/// Header names as core sees them.
fn lower(name: &'static str) -> &'static str {
    let known = ["content-type", "stripe-signature", "acquirer-signature"];
    known
        .into_iter()
        .find(|k| k.eq_ignore_ascii_case(name))
        .unwrap_or(name)
}

fn request(call: &Call) -> Request {
    let mut headers: Vec<(String, String)> = call
        .http
        .headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()))
        .collect();
    headers.push((
        "authorization".to_owned(),
        format!("Bearer {}", call.http.bearer.expose()),
    ));
    Request {
        method: match call.http.method {
            "GET" => Method::Get,
            "POST" => Method::Post,
            _ => Method::Other,
        },
        path_and_query: call.http.url.strip_prefix(PSP_URL).unwrap_or("/").to_owned(),
        headers,
        body: call.http.body.clone(),
    }
}

/// The attempt of a call, for people.
pub(super) fn named(attempt: Option<AttemptId>) -> String {
    attempt.map_or_else(|| "an event".to_owned(), |id| id.to_string())
}
