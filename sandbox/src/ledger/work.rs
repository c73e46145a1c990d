//! The work of one request: the state before it, and the changes and notices that follow from it.

use std::sync::Arc;

use crate::base::draw::Draw;
use crate::base::face::Face;
use crate::base::settings::Settings;
use crate::base::tokens::Operation;

use super::entry::{Change, LogEntry};
use super::event::{Cause, LedgerEvent};
use super::state::State;

/// One request (or timed event) at work. Every change goes through [`Work::commit`], so that what is logged
/// is what happened.
pub(crate) struct Work<'a> {
    pub(crate) state: &'a mut State,
    pub(crate) settings: &'a Settings,
    pub(crate) now_ms: u64,
    pub(crate) draw: Draw,
    /// The id that Stripe's face gave the request, for webhooks to show.
    pub(crate) request_id: Option<String>,
    /// The idempotency key, for the ledger to show.
    pub(crate) key: Option<String>,
    /// Who makes it happen, when it is no call of the API.
    pub(crate) cause: Option<Cause>,
    /// Whether the request landed long after it was sent.
    pub(crate) late: bool,
    changes: Vec<Change>,
    pub(crate) notices: Vec<Notice>,
}

/// Something to tell by webhook.
pub(crate) struct Notice {
    pub(crate) face: Face,
    /// JSON.
    pub(crate) body: String,
}

/// The money side of an effect, for [`Work::enter`].
pub(crate) struct Entry<'a> {
    pub(crate) face: Face,
    pub(crate) operation: Operation,
    pub(crate) id: &'a str,
    pub(crate) attempt_id: &'a str,
    pub(crate) authorization: Option<&'a str>,
    pub(crate) amount_minor: u64,
    pub(crate) currency: &'a str,
}

impl<'a> Work<'a> {
    /// Whether the issuer declines this authorization, by the dial `decline_permille`.
    pub(crate) fn is_declined(&mut self) -> bool {
        // Drawn only where it is turned up: what is drawn after it would be another draw in every run without it.
        let permille = self.settings.dials.decline_permille;
        permille > 0 && self.draw.chance(permille)
    }

    pub(crate) fn new(state: &'a mut State, settings: &'a Settings, now_ms: u64, draw: Draw) -> Self {
        Self {
            state,
            settings,
            now_ms,
            draw,
            request_id: None,
            key: None,
            cause: None,
            late: false,
            changes: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Makes a change real and remembers it for the log.
    pub(crate) fn commit(&mut self, change: Change) {
        self.state.apply(&change);
        self.changes.push(change);
    }

    /// Enters an effect into the ledger.
    pub(crate) fn enter(&mut self, entry: Entry<'_>) {
        self.enter_with(entry, |_| ());
    }

    /// Enters an effect into the ledger after `more` has filled in its rarer members.
    pub(crate) fn enter_with(&mut self, entry: Entry<'_>, more: impl FnOnce(&mut LedgerEvent)) {
        let mut event = LedgerEvent {
            at_ms: self.now_ms,
            attempt_id: entry.attempt_id.to_owned(),
            face: entry.face,
            operation: entry.operation,
            id: entry.id.to_owned(),
            authorization: entry.authorization.map(str::to_owned),
            capture: None,
            amount_minor: entry.amount_minor,
            currency: entry.currency.to_owned(),
            token: None,
            key: self.key.clone(),
            late: self.late,
            declined: None,
            lapses_at_ms: None,
            cause: self.cause,
            undoes: None,
        };
        more(&mut event);
        self.commit(Change::Ledger(Arc::new(event)));
    }

    /// A fresh identifier: `prefix_` and 24 digits, of which the last eight count and so never repeat.
    pub(crate) fn new_id(&mut self, prefix: &str) -> String {
        self.state.ids += 1;
        format!("{prefix}_{:016x}{:08x}", self.draw.word(), self.state.ids)
    }

    /// Queues a webhook. `body` is only made when there is somewhere to send it.
    pub(crate) fn notify(&mut self, face: Face, body: impl FnOnce(&mut Self) -> String) {
        if self.settings.webhook_url.is_some() && self.settings.dials.webhooks_enabled {
            let body = body(self);
            self.notices.push(Notice { face, body });
        }
    }

    /// Ends the work: the entry for the log (none when nothing changed) and the notices.
    pub(crate) fn finish(self) -> (Option<LogEntry>, Vec<Notice>) {
        let entry = (!self.changes.is_empty()).then_some(LogEntry {
            at_ms: self.now_ms,
            ids: self.state.ids,
            changes: self.changes,
        });
        (entry, self.notices)
    }
}
