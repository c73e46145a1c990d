//! Clients: requests, twins, what is asked in doubt, and what they make of answers.

use std::sync::Arc;

use pay_once_core::journal::entry::Operation;
use pay_once_core::{Input, Request, Response, Routed, route};
use pay_once_psp_model::{Hold, Stand};

use super::World;
use crate::machine::requests::{Asked, RESOLVE};
use crate::setup::{OPERATOR_KEY, attempt};

impl World {
    /// A request arrives. `behind` chooses an old record for a server that decides on it: its swap must fail, and
    /// nothing of its step may happen.
    pub(in crate::machine) fn request(&mut self, which: usize, behind: Option<u8>) {
        let Some(input) = self.routed(which) else { return };
        if let Some(choice) = behind {
            self.stale(&input, usize::from(choice));
        }
        if let Some(answer) = self.input(&input) {
            self.believe(which, &answer);
        }
    }

    /// A server writes, and never learns that it did.
    pub(in crate::machine) fn request_in_doubt(&mut self, which: usize) {
        let Some(input) = self.routed(which) else { return };
        if let Some(answer) = self.carry(&input, true) {
            self.believe(which, &answer);
        }
    }

    pub(in crate::machine) fn stale(&mut self, input: &Input, choice: usize) {
        let Some(base) = self.old.get(choice % self.old.len().max(1)).cloned() else {
            return;
        };
        self.decide_behind(&base, input);
    }

    pub(in crate::machine) fn routed(&mut self, which: usize) -> Option<Input> {
        let requests = Arc::clone(&self.requests);
        let asked = requests.get(which)?;
        let resolution = if which == RESOLVE {
            self.resolution()?
        } else {
            String::new()
        };
        let body = if which == RESOLVE {
            &resolution
        } else {
            &asked.body
        };
        let operator = format!("Bearer {OPERATOR_KEY}");
        let headers: &[(&str, &[u8])] = &[
            ("idempotency-key", asked.key.as_bytes()),
            ("authorization", operator.as_bytes()),
        ];
        // Merchants need no key here.
        let headers = match headers {
            [key, ..] if which != RESOLVE => std::slice::from_ref(key),
            all => all,
        };
        let request = Request {
            method: asked.method,
            target: &asked.target,
            headers: if asked.key.is_empty() { &[] } else { headers },
            body: body.as_bytes(),
        };
        match route(self.config, &request, self.moment()) {
            Routed::Attempt { id, input } => {
                assert_eq!(id, attempt(), "the key is the address");
                Some(input)
            }
            other => panic!("a proper request was refused: {other:?}"),
        }
    }

    /// What an honest operator says of a parked operation, once nothing is under way any more.
    pub(in crate::machine) fn resolution(&self) -> Option<String> {
        let running = self.record()?.state().running.as_ref()?;
        let generation = running.parked.as_ref()?.version.get();
        let operation = running.operation.as_str();
        let holds = &self.ledger.holds;
        let is_unfinished = |hold: &Hold| matches!(hold.stand, Stand::Waiting | Stand::Made);
        if !self.flying.is_empty() || !self.held.is_empty() || holds.iter().any(is_unfinished) {
            return None;
        }
        let reference = match running.operation {
            Operation::Authorize => holds
                .iter()
                .find(|hold| matches!(hold.stand, Stand::Open | Stand::Taken))
                .map(|hold| &hold.id),
            Operation::Capture => self.ledger.standing().next().map(|take| &take.id),
            Operation::Void => holds
                .iter()
                .find_map(|hold| hold.void.as_ref())
                .filter(|_| self.ledger.live() == 0)
                .map(|(id, _)| id),
            Operation::Refund => return None,
        };
        Some(match reference {
            Some(id) => format!(
                r#"{{"operator":"ada","reason":"seen in the books","operation":"{operation}","generation":{generation},"outcome":"happened","psp_reference":"{id}"}}"#
            ),
            None => format!(
                r#"{{"operator":"ada","reason":"not in the books","operation":"{operation}","generation":{generation},"outcome":"did_not_happen"}}"#
            ),
        })
    }

    /// What an answer says is true at the PSP (`docs/promise.md`), and a final one never changes (`docs/http.md`, “Replays”).
    pub(in crate::machine) fn believe(&mut self, which: usize, answer: &Response) {
        let words = || format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        let ledger = &self.ledger;
        match shown_status(&answer.body) {
            b"CAPTURED" => assert_eq!(ledger.taken(), 1, "{}", words()),
            b"VOIDED" | b"EXPIRED" => assert_eq!(ledger.live(), 0, "{}", words()),
            b"AUTHORIZED" | b"CAPTURING" => assert!(ledger.authorizations() >= 1, "{}", words()),
            b"DECLINED" => assert_eq!(ledger.taken(), 0, "{}", words()),
            _ => {}
        }
        let is_read = self
            .requests
            .get(which)
            .is_some_and(|asked| asked.method == "GET");
        // A key belongs to one request (`docs/http.md`, “Keys”).
        let key = self
            .requests
            .get(which)
            .map(|asked| asked.key)
            .unwrap_or_default();
        let rivals = self.requests.iter().zip(&self.finalized).enumerate();
        let is_taken = |(at, (asked, finalized)): (usize, (&Asked, &Option<_>))| {
            at != which && asked.key == key && finalized.is_some()
        };
        if !is_read && rivals.into_iter().any(is_taken) {
            assert_eq!(answer.status, 409, "a key reused: {}", words());
            return;
        }
        let Some(finalized) = self.finalized.get_mut(which).filter(|_| !is_read) else {
            return;
        };
        if let Some(before) = finalized {
            let status = if before.0 == 201 { 200 } else { before.0 };
            assert!(
                answer.status == status && answer.body == before.1,
                "a replay gives the same answer: {} then {}",
                String::from_utf8_lossy(&before.1),
                words()
            );
            assert_eq!(answer.header("Idempotency-Replayed"), Some("true"), "and says so");
        } else if matches!(answer.status, 200 | 201 | 402) {
            *finalized = Some(Arc::new((answer.status, answer.body.clone())));
        }
    }
}

/// The status that an answer shows of the attempt, in its JSON or in an error's.
fn shown_status(body: &[u8]) -> &[u8] {
    const BEFORE: &[u8] = br#""status":""#;
    let at = body.windows(BEFORE.len()).position(|window| window == BEFORE);
    let rest = at
        .and_then(|at| body.get(at + BEFORE.len()..))
        .unwrap_or_default();
    rest.split(|byte| *byte == b'"').next().unwrap_or_default()
}
