//! A PSP that counts what came and what it did.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use pay_once::ports::PspTransport;
use pay_once_core::{Call, CallResult};
use serde_json::json;
use tokio::task::yield_now;

/// A keyed acquirer that counts: calls as they come, effects once a key.
#[derive(Clone, Default)]
pub(crate) struct CountingPsp(Rc<RefCell<Counted>>);

#[derive(Default)]
struct Counted {
    calls: BTreeMap<String, usize>,
    effects: BTreeMap<String, String>,
    lose_answers: usize,
}

impl CountingPsp {
    /// Calls that came, of one kind: `authorize`, `capture`, `void`.
    pub(crate) fn calls(&self, kind: &str) -> usize {
        self.0.borrow().calls.get(kind).copied().unwrap_or(0)
    }

    /// Effects of one kind: one for each key.
    pub(crate) fn effects(&self, kind: &str) -> usize {
        let counted = self.0.borrow();
        counted.effects.values().filter(|effect| *effect == kind).count()
    }

    /// The next answers get lost on their way.
    pub(crate) fn lose_answers(&self, answers: usize) {
        self.0.borrow_mut().lose_answers = answers;
    }
}

impl PspTransport for CountingPsp {
    async fn send(&self, call: &Call, may_send: impl Fn() -> bool) -> CallResult {
        yield_now().await;
        if !may_send() {
            let reason = "too late".to_owned();
            return CallResult::NotSent { reason };
        }
        let kind = call.http.url.rsplit('/').next().unwrap().to_owned();
        let key = call
            .http
            .headers
            .iter()
            .find(|(name, _)| *name == "idempotency-key");
        let key = key.map(|(_, key)| key.clone()).unwrap();
        let mut counted = self.0.borrow_mut();
        *counted.calls.entry(kind.clone()).or_default() += 1;
        counted.effects.insert(key, kind.clone());
        if counted.lose_answers > 0 {
            counted.lose_answers -= 1;
            let reason = "lost".to_owned();
            return CallResult::Unknown { reason };
        }
        let body = json!({"status": "approved", "psp_reference": format!("{kind}_1")});
        CallResult::answered(200, body.to_string().into_bytes())
    }
}
