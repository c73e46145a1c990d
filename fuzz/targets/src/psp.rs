//! `stripe` and `acquirer`: what a PSP may say, byte for byte, as the answer to a call or as a webhook. It is evidence or
//! it is *unknown*, and never a wrong certainty. The bytes are read here a second time, without core, and whatever the
//! journal then says must be in them.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use pay_once_core::journal::entry::{Conclusion, Fact};
use pay_once_core::journal::evidence::{Effect, Evidence, Signal};
use pay_once_core::{
    Call, CallResult, Entropy, Input, Outcome, Record, Request, Routed, Step, UnixMillis, handle, route,
};
use serde_json::Value;

use crate::machine::{Opening, World};
use crate::setup::{Kind, START_MS, attempt, name, sign};

/// What an answer is an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A call that only makes the object.
    Prepare,
    /// A call that moves money or releases it.
    Act,
    /// A read by id.
    Read,
    /// A look-up by our reference.
    Lookup,
}

/// A story up to the moment at which the PSP says something.
#[derive(Debug)]
pub struct Moment {
    world: World,
    call: Option<Call>,
    kind: Kind,
}

/// One face's own reading of its bytes, written without core.
pub struct Reading {
    /// Whether an answer of this status and body may be a definite refusal of what was asked.
    pub may_refuse: fn(Asked, u16, &Value) -> bool,
    /// Whether these bytes name this effect.
    pub names: fn(Asked, u16, &Value, &Effect) -> bool,
    /// Whether these bytes are everything there is to see.
    pub is_complete: fn(Asked, u16, &Value) -> bool,
}

/// A face: the moments at which it is heard, and the second reading of what it says.
pub struct Face {
    /// Class, card, stage (index into the machine's openings): one for every purpose a call can have.
    pub moments: &'static [(u8, u8, u8)],
    /// How its bytes are read here.
    pub reading: Reading,
}

impl Face {
    /// Makes every moment.
    pub fn prepare(&self) {
        for (kind, token, stage) in self.moments {
            moment(*kind, *token, *stage);
        }
    }

    /// One execution.
    pub fn run(&self, bytes: &[u8]) {
        let Some(([which, way, status_choice], body)) = said(bytes) else {
            return;
        };
        let which = usize::from(which).checked_rem(self.moments.len());
        let Some((kind, token, stage)) = which.and_then(|which| self.moments.get(which)) else {
            return;
        };
        let moment = moment(*kind, *token, *stage);
        match way % 4 {
            0 | 1 => answered(moment, &self.reading, status(status_choice), &body),
            2 => webhook(moment, &self.reading, true, &body),
            _ => webhook(moment, &self.reading, false, &body),
        }
    }
}

/// Statuses that no PSP gives as an outcome (rule 9).
#[must_use]
pub fn says_nothing(status: u16) -> bool {
    !(200..=299).contains(&status)
        && (!(400..=499).contains(&status) || matches!(status, 408 | 409 | 424 | 425 | 429))
}

/// The story's moment at which this stage has a call under way (or, for webhooks, whatever it has).
pub fn moment(kind: u8, token: u8, stage: u8) -> &'static Moment {
    type Moments = BTreeMap<(u8, u8, u8), &'static Moment>;
    static ALL: LazyLock<Mutex<Moments>> = LazyLock::new(Mutex::default);
    let mut all = ALL.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    all.entry((kind, token, stage)).or_insert_with(|| {
        let opening = Opening {
            patient: true,
            ..Opening::at(kind, token, stage)
        };
        let world = opening.told();
        let call = world.held().first().cloned();
        let kind = Kind::ALL.get(usize::from(kind)).copied().unwrap_or(Kind::Stripe);
        Box::leak(Box::new(Moment { world, call, kind }))
    })
}

impl Moment {
    /// What the call under way asks for, if one is.
    #[must_use]
    pub fn asked(&self) -> Option<Asked> {
        self.call.as_ref().map(asked)
    }
}

/// What a call asks for, from its own bytes.
fn asked(call: &Call) -> Asked {
    let url = &call.http.url;
    match (call.http.method, call.moves_money) {
        ("GET", _) if url.contains("/lookup?") || url.contains("payment_intents?limit") => Asked::Lookup,
        ("GET", _) => Asked::Read,
        (_, true) => Asked::Act,
        (_, false) => Asked::Prepare,
    }
}

/// The PSP answers the call under way.
///
/// # Panics
/// If core concludes what these bytes do not say.
pub fn answered(moment: &Moment, reading: &Reading, status: u16, body: &[u8]) {
    let (Some(call), Some(before)) = (&moment.call, moment.world.record()) else {
        return;
    };
    let outcome = Outcome {
        call: call.clone(),
        result: CallResult::answered(status, body.to_vec()),
    };
    let input = Input::Outcome(Box::new(outcome));
    let after = taken_in(moment, before, &input);
    judge(before, after.as_ref(), reading, asked(call), status, body);
    again(moment, after.as_ref().unwrap_or(before), &input);
}

/// The PSP, or somebody else, sends a webhook. Unsigned it changes nothing, whatever it says.
///
/// # Panics
/// If core believes what is not signed, or concludes what is not said.
pub fn webhook(moment: &Moment, reading: &Reading, is_signed: bool, body: &[u8]) {
    let config = moment.kind.config(true);
    let (target, header) = match moment.kind.name() {
        "stripe" => ("/webhooks/stripe", "stripe-signature"),
        _ => ("/webhooks/acquirer", "acquirer-signature"),
    };
    let now_ms = START_MS + 1_000;
    let mut signature = sign(now_ms / 1000, body);
    if !is_signed {
        // Of other bytes, or none: by turns, so that both are met.
        signature = if body.len().is_multiple_of(2) {
            sign(now_ms / 1000, b"other")
        } else {
            String::new()
        };
    }
    let request = Request {
        method: "POST",
        target,
        headers: &[(header, signature.as_bytes())],
        body,
    };
    match route(config, &request, UnixMillis::new(now_ms)) {
        Routed::Reply(answer) => {
            let expected: &[u16] = if is_signed { &[200, 400] } else { &[400] };
            assert!(expected.contains(&answer.status), "{answer:?}");
        }
        Routed::Read(read) => {
            assert!(is_signed, "a webhook that is not signed causes nothing");
            assert!(!read.call.moves_money, "a webhook moves no money");
        }
        Routed::Search(_) => panic!("a webhook is no search"),
        Routed::Attempt { id, input } => {
            assert!(is_signed, "a webhook that is not signed changes nothing");
            let said: Value = serde_json::from_slice(body).unwrap_or_default();
            assert!(
                has_text(&said, &id.to_string()),
                "an attempt that the bytes do not name"
            );
            let Some(before) = moment.world.record().filter(|_| id == attempt()) else {
                return;
            };
            let after = taken_in(moment, before, &input);
            judge(before, after.as_ref(), reading, Asked::Act, 200, body);
            for entry in after
                .iter()
                .flat_map(|record| record.entries())
                .skip(before.entries().len())
            {
                if let Fact::Observed { evidence, .. } = &entry.fact {
                    assert!(!evidence.complete, "a webhook's snapshot may be old");
                }
            }
            again(moment, after.as_ref().unwrap_or(before), &input);
        }
    }
}

fn step(moment: &Moment, base: &Record, input: &Input) -> Step {
    let config = moment.kind.config(true);
    let now_ms = moment.world.moment();
    let step = handle(config, attempt(), Some(base), input, now_ms, Entropy(7));
    step.unwrap_or_else(|error| panic!("one answer finds room: {error}"))
}

fn taken_in(moment: &Moment, before: &Record, input: &Input) -> Option<Record> {
    let write = step(moment, before, input).write?;
    assert_eq!(pay_once_core::journal::invariant::check(&write.record), Ok(()));
    assert!(write.record.grew_from(before), "a journal only grows");
    Some((*write.record).clone())
}

/// Rule 7: the same once more is nothing new.
fn again(moment: &Moment, record: &Record, input: &Input) {
    let step = step(moment, record, input);
    let is_news = step
        .write
        .iter()
        .flat_map(|write| write.record.entries().iter().skip(record.entries().len()));
    let mut is_news =
        is_news.filter(|entry| matches!(&entry.fact, Fact::Observed { evidence, .. } if !evidence.complete));
    assert!(is_news.next().is_none(), "a second handling takes nothing in");
}

fn judge(before: &Record, after: Option<&Record>, reading: &Reading, asked: Asked, status: u16, body: &[u8]) {
    let Some(after) = after else { return };
    let news: Vec<&Fact> = after
        .entries()
        .iter()
        .skip(before.entries().len())
        .map(|entry| &entry.fact)
        .collect();
    let is_json = serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok();
    if says_nothing(status) || !is_json {
        for fact in &news {
            if let Fact::Observed { evidence, .. } = fact {
                assert!(is_unknown(evidence), "HTTP {status} is no evidence: {evidence:?}");
            }
            let concludes = matches!(
                fact,
                Fact::Inferred {
                    conclusion: Conclusion::NoEffect { .. }
                }
            );
            assert!(!concludes, "HTTP {status} proves nothing: {fact:?}");
        }
        let (was, is) = (before.state().status, after.state().status);
        assert!(!is.is_final() || was == is, "HTTP {status} made {was:?} {is:?}");
        return;
    }
    // Where a general reader of JSON stops (numbers beyond any range, halves of characters in members that nobody
    // reads) there is nothing to compare with.
    let Ok(said) = serde_json::from_slice::<Value>(body) else {
        return;
    };
    for fact in news {
        let Fact::Observed { evidence, .. } = fact else {
            continue;
        };
        for effect in &evidence.effects {
            assert!(
                (reading.names)(asked, status, &said, effect),
                "{effect:?} is not in HTTP {status} {said}"
            );
        }
        if matches!(evidence.signal, Signal::Refused { .. }) {
            assert!(
                (reading.may_refuse)(asked, status, &said),
                "{:?} is not in HTTP {status} {said}",
                evidence.signal
            );
        }
        if evidence.complete {
            assert!(
                (reading.is_complete)(asked, status, &said),
                "HTTP {status} {said} is not all there is"
            );
        }
        if let Signal::ActionRequired { reference, .. } | Signal::Prepared { reference } = &evidence.signal {
            assert!(has_text(&said, reference), "{reference:?} is not in {said}");
        }
    }
}

fn is_unknown(evidence: &Evidence) -> bool {
    evidence.effects.is_empty()
        && !evidence.complete
        && matches!(
            evidence.signal,
            Signal::Unknown { .. }
                | Signal::None
                | Signal::Rejected {
                    is_conclusive: false,
                    ..
                }
        )
}

/// Whether a text, as long as core keeps it, is anywhere in the value.
#[must_use]
pub fn has_text(value: &Value, text: &str) -> bool {
    match value {
        Value::String(said) => is_text(said, text),
        Value::Array(items) => items.iter().any(|item| has_text(item, text)),
        Value::Object(members) => members.values().any(|member| has_text(member, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// Whether `kept` is what core keeps of `said`: all of it, or, where it is long, its beginning.
#[must_use]
pub fn is_text(said: &str, kept: &str) -> bool {
    said == kept || (kept.len() > 500 && said.starts_with(kept))
}

/// Every object in the value.
pub fn objects<'a>(value: &'a Value, found: &mut Vec<&'a serde_json::Map<String, Value>>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| objects(item, found)),
        Value::Object(members) => {
            found.push(members);
            members.values().for_each(|member| objects(member, found));
        }
        _ => {}
    }
}

/// A text member of an object.
#[must_use]
pub fn text<'a>(object: &'a serde_json::Map<String, Value>, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// How an input begins: which moment, by which way, under which status. `@` in the rest stands for the attempt's name.
#[must_use]
pub fn said(bytes: &[u8]) -> Option<([u8; 3], Vec<u8>)> {
    let (head, rest) = bytes.split_first_chunk::<3>()?;
    let mut body = Vec::with_capacity(rest.len() + 64);
    for byte in rest {
        match byte {
            b'@' => body.extend(name().as_bytes()),
            byte => body.push(*byte),
        }
    }
    Some((*head, body))
}

/// Statuses worth saying, by a byte; the last half of the range is every status from 100 on.
#[must_use]
pub fn status(choice: u8) -> u16 {
    const USUAL: [u16; 16] = [
        200, 200, 200, 200, 200, 402, 400, 404, 409, 429, 500, 503, 408, 201, 403, 302,
    ];
    match USUAL.get(usize::from(choice)) {
        Some(status) => *status,
        None => 84 + u16::from(choice) * 2 + u16::from(choice) / 8,
    }
}
