//! The way to the PSP and back: calls, late landings, answers, webhooks, forged ones, and time passing.

use pay_once_core::{Call, CallResult, Input, Outcome, Request, Routed, route};
use pay_once_psp_model::{Asked, Hold};

use super::{Flying, World};
use crate::setup::{name, sign};

impl World {
    pub(in crate::machine) fn take_held(&mut self, choice: usize) -> Option<Call> {
        let at = choice.checked_rem(self.held.len())?;
        Some(self.held.remove(at))
    }

    pub(in crate::machine) fn may_send(&self, call: &Call) -> bool {
        call.may_send(self.moment())
    }

    pub(in crate::machine) fn lands_by_ms(&self) -> u64 {
        let psp = self.config.psps.values().next();
        self.true_ms + psp.map_or(0, |psp| psp.timing.max_in_flight_ms.get())
    }

    pub(in crate::machine) fn arrives(&mut self, call: &Call) -> CallResult {
        let (http, url) = (&call.http, &call.http.url);
        let reference = format!(r#""reference":"{}""#, name());
        let is_ours = url.contains("/v1/") || url.ends_with(name()) || has(&http.body, reference.as_bytes());
        assert!(is_ours, "whose it is: {url}");
        let asked = Asked::new(http.method, url, &http.headers, &http.body);
        let (status, body) = match self.ledger.act(&asked, self.true_ms) {
            Ok(answer) => answer,
            Err(what) => panic!("rule 3: one PSP key, one request that can be read: {what}"),
        };
        let is_ours = |hold: &Hold| *hold.attempt == *name();
        assert!(
            self.ledger.holds.iter().all(is_ours),
            "whose it is: {:?}",
            self.ledger.holds
        );
        CallResult::answered(status, body.to_vec())
    }

    /// Where the PSP can tell: a naive network's second authorization is its own.
    pub(in crate::machine) fn arrives_twice(&mut self, call: &Call) {
        let first = self.arrives(call);
        if self.kind.capabilities().keyed_horizon_ms.is_some() && call.moves_money {
            assert_eq!(self.arrives(call), first, "one key, one effect, one answer");
        }
    }

    pub(in crate::machine) fn fly(&mut self, flying: Flying) {
        self.flying.push(flying);
    }

    pub(in crate::machine) fn keep_answer(&mut self, outcome: Outcome) {
        self.answers.push(outcome);
    }

    pub(in crate::machine) fn land(&mut self, choice: usize) {
        if let Some(at) = choice.checked_rem(self.flying.len()) {
            let Flying { call, .. } = self.flying.remove(at);
            let result = self.arrives(&call);
            self.answers.push(Outcome { call, result });
        }
    }

    pub(in crate::machine) fn answer(&mut self, choice: usize, comes_again: bool) {
        let Some(at) = choice.checked_rem(self.answers.len()) else {
            return;
        };
        let Some(outcome) = self.answers.get(at).cloned() else {
            return;
        };
        if !comes_again {
            self.answers.remove(at);
        }
        let input = Input::Outcome(Box::new(outcome));
        self.input(&input);
        // Rule 7: handling an input twice is handling it once.
        let (version, held, due_ms) = (self.version(), self.held.len(), self.due_ms);
        self.input(&input);
        assert_eq!(self.version(), version, "a second handling writes nothing");
        self.held.truncate(held);
        self.due_ms = due_ms;
    }

    pub(in crate::machine) fn webhook(&mut self, choice: usize) {
        let at = choice.checked_rem(self.ledger.notices.len());
        let Some(notice) = at.and_then(|at| self.ledger.notices.get(at)).cloned() else {
            return;
        };
        let signature = sign(self.now_ms / 1000, notice.as_bytes());
        match self.delivered(&notice, &signature) {
            Routed::Attempt { input, .. } => match self.input(&input) {
                Some(answer) => assert_eq!(answer.status, 200, "a webhook is taken in"),
                None => panic!("a webhook is answered at once"),
            },
            other => panic!("a signed webhook was refused: {other:?}"),
        }
    }

    /// A notice of something that never happened, under a signature for something that did.
    pub(in crate::machine) fn forged(&mut self, choice: usize) {
        let notice = self.ledger.notices.first().map(|notice| notice.to_string());
        let notice = notice.unwrap_or_default();
        let signature = sign(self.now_ms / 1000, notice.as_bytes());
        let lie = match self.kind.name() {
            "stripe" => notice
                .replace("requires_capture", "succeeded")
                .replace("gbp", "eur"),
            _ => notice.replace("authorize", "capture").replace("GBP", "EUR"),
        };
        let lie = if choice.is_multiple_of(2) {
            lie
        } else {
            format!("{notice} ")
        };
        if lie == notice {
            return;
        }
        assert!(
            matches!(self.delivered(&lie, &signature), Routed::Reply(answer) if answer.status == 400),
            "a forged webhook changes nothing"
        );
    }

    pub(in crate::machine) fn delivered(&self, body: &str, signature: &str) -> Routed {
        let (target, header) = match self.kind.name() {
            "stripe" => ("/webhooks/stripe", "stripe-signature"),
            _ => ("/webhooks/acquirer", "acquirer-signature"),
        };
        let request = Request {
            method: "POST",
            target,
            headers: &[(header, signature.as_bytes())],
            body: body.as_bytes(),
        };
        route(self.config, &request, self.moment())
    }

    pub(in crate::machine) fn finish_action(&mut self) {
        self.ledger.finish_action(self.true_ms);
    }

    /// Time passes; what must have landed by then lands on the way.
    pub(in crate::machine) fn advance(&mut self, by_ms: u64) {
        let to_ms = self.true_ms + by_ms;
        while let Some(at) = self.flying.iter().position(|flying| flying.lands_by_ms <= to_ms) {
            let Flying { call, lands_by_ms } = self.flying.remove(at);
            self.true_ms = self.true_ms.max(lands_by_ms);
            let result = self.arrives(&call);
            self.answers.push(Outcome { call, result });
        }
        self.true_ms = to_ms;
        self.now_ms = to_ms;
    }
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}
