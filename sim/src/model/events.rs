//! What travels, and what happens when.

use std::cmp::Ordering;
use std::rc::Rc;

use pay_once_core::{AttemptId, Call, CallResult, UnixMillis};
use pay_once_sandbox::{Timed, Webhook};

use super::server::Work;
use super::store;
use crate::shopper::Ask;

/// A request as it travels.
#[derive(Debug)]
pub(super) struct Http {
    pub(super) method: &'static str,
    pub(super) target: String,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: Vec<u8>,
}

impl Http {
    /// Whose payment it is about, in front of a line of the trace: its key, or the attempt that a webhook names.
    pub(super) fn whose(&self) -> String {
        let key = self.headers.iter().find(|(name, _)| *name == "idempotency-key");
        match key {
            Some((_, key)) => format!("{key}: "),
            None => attempt_in(&self.body),
        }
    }
}

/// The first attempt that a body names, in front of a line of the trace; nothing if there is none.
pub(super) fn attempt_in(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let named = text
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .find(|word| AttemptId::parse(word).is_some());
    named.map(|id| format!("{id}: ")).unwrap_or_default()
}

/// Whom an answer goes to.
#[derive(Clone, Debug)]
pub(super) enum ReplyTo {
    /// A client's request, by its place in what was heard.
    Client(usize),
    /// The PSP, about a webhook.
    Psp {
        /// The event.
        webhook: Rc<Webhook>,
        /// How often it was delivered before.
        tries: u8,
        /// Which delivery it is.
        number: u64,
    },
    /// The forger of a webhook.
    Forger {
        /// Whether another PSP of ours signed it.
        is_signed: bool,
    },
    /// Nobody: a replay, or the machine itself.
    Nobody,
}

/// Something that happens at its time.
#[derive(Debug)]
pub(super) enum Event {
    Step(usize),
    /// A backup is taken, which this step restores.
    BackUp(usize),
    Ask {
        shopper: usize,
        ask: Ask,
    },
    Authenticate {
        attempt_id: String,
        success: bool,
    },
    Crowd,
    /// A client comes back after healing.
    Return(usize),
    Operator(AttemptId),
    EndRefund(String),
    ClientTimeout(usize),
    Request {
        server: usize,
        http: Rc<Http>,
        reply_to: ReplyTo,
    },
    Work {
        server: usize,
        epoch: u32,
        work: Work,
    },
    PspArrives {
        server: usize,
        epoch: u32,
        number: u64,
        call: Rc<Call>,
    },
    PspFires(Timed),
    PspAnswers {
        server: usize,
        epoch: u32,
        number: u64,
        result: CallResult,
    },
    SendWebhook {
        webhook: Rc<Webhook>,
        tries: u8,
    },
    /// The PSP no longer waits for the answer to a delivery.
    WebhookTimeout {
        webhook: Rc<Webhook>,
        tries: u8,
        number: u64,
    },
    Answer {
        reply_to: ReplyTo,
        status: u16,
        is_replay: bool,
        body: Vec<u8>,
    },
    LateSwap {
        id: AttemptId,
        swap: store::Swap,
    },
    /// The alarm of an attempt's object goes off; `is_second`: once more.
    Alarm {
        id: AttemptId,
        at_ms: UnixMillis,
        is_second: bool,
    },
    Restart(usize),
    PspDialsBack,
    Scan {
        server: usize,
        epoch: u32,
    },
    Heal,
}

/// An event and when it is due; of two at one time the one that was put in first comes first.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) at_ms: u64,
    pub(super) number: u64,
    /// Behind a pointer: the queue moves what it orders, and an event is large.
    pub(super) event: Box<Event>,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Queued {
    /// The soonest is the greatest, as the heap gives out the greatest.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at_ms, other.number).cmp(&(self.at_ms, self.number))
    }
}
