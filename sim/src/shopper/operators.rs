//! What operators ask for, and others who may not.

use super::{Ask, Op, Role, Shopper, Todo, Told};

/// How long after a proposal its operator tries to agree with itself, in milliseconds.
const SAME_MS: u64 = 60;
/// How long after a proposal another operator agrees, in milliseconds.
const SECOND_MS: u64 = 500;
/// How long after the answer to an operator's word others come with the same word, in milliseconds.
const LATE_MS: [u64; 2] = [1_500, 6_000];
/// Most words that an operator says about one attempt.
const RESOLUTIONS_MAX: u8 = 12;

/// The end of the key under which the first operator agrees with the second one.
const THIRD: &str = "-third";

impl Shopper {
    /// How much longer than at first the operator takes to come, by how often one has come: a PSP that does not take the next try
    /// either is given time.
    #[must_use]
    pub fn operator_factor(&self) -> u64 {
        1 << (u32::from(self.resolutions) * 3 / 2).min(15)
    }

    /// An operator's word on what is parked, and the same of others who may not say it. Nothing: the operator has said enough.
    pub fn resolve(&mut self, body: &str) -> Vec<Ask> {
        self.resolutions += 1;
        let number = self.resolutions;
        if number > RESOLUTIONS_MAX {
            return Vec::new();
        }
        let of = |role: Role, suffix: &str| {
            let ask = self.resolution(role, number, body.to_owned());
            let key = format!("{}{suffix}", ask.key);
            Ask { key, ..ask }
        };
        vec![
            of(Role::Merchant, "-merchant"),
            of(Role::OnlyReader, "-reader"),
            of(Role::Operator, ""),
        ]
    }

    /// Where two operators are needed, the second one comes by and looks at the same books. Before that the first one tries to agree
    /// with itself, or the second one says the opposite.
    pub(super) fn agreement(&self, now_ms: u64, ask: &Ask, told: Option<&Told>) -> Vec<Todo> {
        let status = told.map(|told| told.status);
        let is_proposed = matches!(status, Some(202 | 409));
        if !self.needs_two || !is_proposed || ask.key.ends_with(THIRD) {
            return Vec::new();
        }
        let by = |role: Role, suffix: &str, after_ms: u64, tries_left: u8| Todo::Ask {
            at_ms: now_ms + after_ms,
            ask: Ask {
                key: format!("{}{suffix}", ask.key),
                role,
                tries_left,
                ..ask.clone()
            },
        };
        match (ask.role, status) {
            (Role::Operator, _) => {}
            // What the second one said first had replaced the proposal: now the first one agrees.
            (Role::SecondOperator, Some(202)) => return vec![by(Role::Operator, THIRD, SECOND_MS, 2)],
            _ => return Vec::new(),
        }
        let other = if self.payment.payment.is_multiple_of(2) {
            by(Role::SameOperator, "-same", SAME_MS, 0)
        } else {
            with_body(by(Role::OtherWord, "-other", SAME_MS, 0), opposite(&ask.body))
        };
        let second = by(Role::SecondOperator, "-second", SECOND_MS, 2);
        // Each of them binds a key, of which an attempt has 32.
        if self.resolutions > 1 {
            return vec![second];
        }
        vec![other, second]
    }

    /// Others have seen the same screen as the operator whose word is taken now.
    pub(super) fn late_words(&self, now_ms: u64, ask: &Ask, told: Option<&Told>) -> Vec<Todo> {
        let is_word = matches!(ask.role, Role::Operator | Role::SecondOperator);
        if !is_word || told.is_none_or(|told| told.status != 200) {
            return Vec::new();
        }
        let words = LATE_MS.into_iter().enumerate().map(|(n, after_ms)| Todo::Ask {
            at_ms: now_ms + after_ms,
            ask: Ask {
                key: format!("{}-late-{n}", ask.key),
                role: Role::Late,
                tries_left: 0,
                ..ask.clone()
            },
        });
        words.collect()
    }

    pub(super) fn resolution(&self, role: Role, number: u8, body: String) -> Ask {
        let target = format!("/attempts/{}/resolve", self.address);
        let key = format!("p{}-resolve-{number}", self.payment.payment);
        Ask {
            tries_left: 2,
            timeout_ms: self.timeout_ms(),
            ..self.ask(Op::Resolve, role, target, key, body)
        }
    }
}

fn with_body(todo: Todo, body: String) -> Todo {
    match todo {
        Todo::Ask { at_ms, ask } => Todo::Ask {
            at_ms,
            ask: Ask { body, ..ask },
        },
        other => other,
    }
}

/// What contradicts a resolution.
fn opposite(body: &str) -> String {
    let mut said: serde_json::Value = serde_json::from_str(body).unwrap_or_default();
    let has_happened = said.get("outcome").is_some_and(|outcome| outcome == "happened");
    if let Some(members) = said.as_object_mut() {
        members.remove("psp_reference");
        if !has_happened {
            members.insert("psp_reference".to_owned(), "wrong_1".into());
        }
        let outcome = if has_happened {
            "did_not_happen"
        } else {
            "happened"
        };
        members.insert("outcome".to_owned(), outcome.into());
    }
    said.to_string()
}
