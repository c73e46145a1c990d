//! Many clients at once: one effect, one answer.

use super::{TAKEN, authorize, capture, create, order, void};
use crate::case::{Ask, Case, Step, get, ledger, post};
use crate::environment::Merchant::{Market, Shop};

fn storm(times: usize, ask: Ask) -> Step {
    Step::Storm {
        times,
        ask,
        replay: 200,
    }
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for merchant in [Shop, Market] {
        let name = |what: &str| format!("{}-parallel-{what}", merchant.psp());
        cases.extend([
            Case::new(
                name("same-key"),
                "A hundred creates, then as many authorizes and captures, each under one key: one effect each.",
                merchant,
                vec![
                    storm(100, create("pm_card_visa")),
                    storm(50, authorize()),
                    storm(50, capture()),
                    ledger("{id}", TAKEN),
                    get("/attempts/{id}").is("/status", "CAPTURED").into(),
                ],
            ),
            Case::new(
                name("charge"),
                "Fifty times the same tap on Pay: one charge.",
                merchant,
                vec![
                    storm(
                        50,
                        post("/charge")
                            .key("{case}")
                            .wait()
                            .json(&order("pm_card_visa"))
                            .is("/status", "CAPTURED")
                            .save("id", "/attempt_id"),
                    ),
                    ledger("{id}", TAKEN),
                ],
            ),
            Case::new(
                name("captures"),
                "Ten captures under ten keys: one is carried out, the others are refused.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize().into(),
                    Step::Race {
                        asks: (0..10)
                            .map(|n| post("/attempts/{id}/capture").key(&format!("capture-{n}")).wait())
                            .collect(),
                        statuses: vec![200, 409, 409, 409, 409, 409, 409, 409, 409, 409],
                    },
                    ledger("{id}", TAKEN),
                    get("/attempts/{id}").is("/status", "CAPTURED").code_only().into(),
                ],
            ),
        ]);
        for round in 1..=5 {
            cases.push(Case::new(
                name(&format!("capture-or-void-{round}")),
                "A capture and a void race: exactly one of them wins.",
                merchant,
                vec![
                    create("pm_card_visa").into(),
                    authorize().into(),
                    Step::Race {
                        asks: vec![capture(), void()],
                        statuses: vec![200, 409],
                    },
                    get("/attempts/{id}").code_only().into(),
                ],
            ));
        }
    }
    cases
}
