//! The PSP of these tests: the common model, in core's words.

use std::ops::{Deref, DerefMut};

use pay_once_core::{CallResult, HttpCall};
use pay_once_psp_model::{Asked, Dials, Ledger as Model};
use serde_json::Value;

/// How long keys are honoured, in milliseconds.
const HORIZON_MS: u64 = 86_400_000;

#[derive(Clone, Debug)]
pub(crate) struct Ledger(Model);

impl Ledger {
    pub(crate) fn new(honours_keys: bool) -> Self {
        Self(Model::new(Dials {
            horizon_ms: honours_keys.then_some(HORIZON_MS),
            lists_backs_late: true,
            says_currency: true,
            id_stem: "3N00",
            ..Dials::default()
        }))
    }

    /// A request arrives; what is answered.
    pub(crate) fn act(&mut self, http: &HttpCall, now_ms: u64) -> CallResult {
        let asked = Asked::new(http.method, &http.url, &http.headers, &http.body);
        let (status, body) = self.0.act(&asked, now_ms).unwrap();
        CallResult::answered(status, body.to_vec())
    }

    /// A PaymentIntent as it is shown now.
    pub(crate) fn intent(&self, id: &str) -> Value {
        let hold = self.holds.iter().find(|hold| hold.id == id);
        hold.unwrap().intent(&self.dials)
    }

    /// Every notice that the PSP would send, as things stood then.
    pub(crate) fn notices(&self) -> Vec<Value> {
        let notices = self.notices.iter();
        notices
            .map(|notice| serde_json::from_str(notice).unwrap())
            .collect()
    }
}

impl Deref for Ledger {
    type Target = Model;
    fn deref(&self) -> &Model {
        &self.0
    }
}

impl DerefMut for Ledger {
    fn deref_mut(&mut self) -> &mut Model {
        &mut self.0
    }
}
