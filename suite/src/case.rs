//! The vocabulary that cases are written in: what is asked, what must come, what the PSP's ledger must say.
//!
//! Texts may hold `{name}`: a value saved by an earlier step, `{case}` (the run's nonce and the case's name, for keys
//! that must be new), or `{psp}` (the name of the merchant's PSP).

use serde_json::Value;

use crate::environment::{Merchant, Weather};

/// One case: independent of all others.
#[derive(Clone, Debug)]
pub struct Case {
    /// Short, unique, in kebab-case.
    pub name: String,
    /// What must hold, in one sentence.
    pub about: &'static str,
    /// How the sandbox PSP behaves meanwhile.
    pub weather: Weather,
    /// Whose token its requests carry unless they say otherwise.
    pub merchant: Merchant,
    /// In order.
    pub steps: Vec<Step>,
}

impl Case {
    /// A case of this merchant's, while the PSP is calm.
    #[must_use]
    pub fn new(name: impl Into<String>, about: &'static str, merchant: Merchant, steps: Vec<Step>) -> Self {
        Self {
            name: name.into(),
            about,
            weather: Weather::Calm,
            merchant,
            steps,
        }
    }

    /// The same in other weather.
    #[must_use]
    pub fn in_weather(mut self, weather: Weather) -> Self {
        self.weather = weather;
        self
    }
}

/// One step of a case.
#[derive(Clone, Debug)]
pub enum Step {
    /// One request, one answer.
    Ask(Ask),
    /// The same request this many times at once. One answer at most is the first; all others are replays of it, byte
    /// for byte; `ask` says what the first must be, and the replays have status `replay`.
    Storm {
        /// How many.
        times: usize,
        /// The request, and what its first answer must be.
        ask: Ask,
        /// The status of the others.
        replay: u16,
    },
    /// Different requests at once; `statuses` is what they must be answered, in any order.
    Race {
        /// The requests. What they expect of their answers is not looked at.
        asks: Vec<Ask>,
        /// In ascending order.
        statuses: Vec<u16>,
    },
    /// What the PSP's own ledger must say of an attempt: each named count, and zero for every other.
    Ledger {
        /// The attempt, as text with `{name}`s.
        attempt: String,
        /// Counts by the ledger's names.
        counts: Vec<(&'static str, u64)>,
    },
    /// Looks up something in the PSP's books, as an operator would: the id of the first event of `operation`.
    Books {
        /// The attempt, as text with `{name}`s.
        attempt: String,
        /// `authorize`, `capture`, `void`.
        operation: &'static str,
        /// Saved under this name.
        save: &'static str,
    },
    /// The customer at the PSP's 3-D Secure page.
    Customer {
        /// Its address, as text with `{name}`s.
        url: String,
        /// Which button is pressed.
        approves: bool,
        /// Where the browser must be sent then: what the address begins with.
        back: &'static str,
    },
    /// Turns dials of the sandbox PSP. Only in [`Weather::Alone`].
    Dials(Value),
    /// Many steps that are checked like any other, but of which the transcript shows one line only.
    Unseen {
        /// That line.
        about: &'static str,
        /// The steps.
        steps: Vec<Step>,
    },
}

/// One request, and what its answer must be.
#[derive(Clone, Debug)]
pub struct Ask {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, Vec<u8>)>,
    pub(crate) body: String,
    pub(crate) bearer: Bearer,
    pub(crate) sign: Option<Sign>,
    pub(crate) status: u16,
    pub(crate) expected_headers: Vec<(&'static str, Option<String>)>,
    pub(crate) members: Vec<(&'static str, Value)>,
    pub(crate) same_as: Option<&'static str>,
    pub(crate) length_of: Option<&'static str>,
    pub(crate) save_body: Option<&'static str>,
    pub(crate) saves: Vec<(&'static str, &'static str)>,
    pub(crate) until: Option<(&'static str, Value)>,
    pub(crate) shown: Shown,
}

/// Whose token a request carries.
#[derive(Clone, Debug)]
pub(crate) enum Bearer {
    OfCase,
    Operator,
    Of(Merchant),
    Line(Option<&'static str>),
}

/// How a webhook is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// As the PSP does, now.
    Well,
    /// With the PSP's secret, this many seconds ago (or ahead, if negative).
    Aged(i64),
    /// With another secret.
    WithSecret(&'static str),
    /// Well, and then a byte of the body is changed.
    ThenTampered,
    /// Not at all: this is the header's value.
    As(&'static str),
}

/// How much of an answer goes into the transcript.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Status, headers, body.
    Whole,
    /// All but the timeline, where how often something was tried depends on time.
    WithoutTimeline,
    /// Status and error code: platforms hand this request over in different shapes.
    Code,
}

/// A `GET`.
#[must_use]
pub fn get(path: &str) -> Ask {
    Ask::new("GET", path).status(200)
}

/// A `HEAD`. Its answer must have no body.
#[must_use]
pub fn head(path: &str) -> Ask {
    Ask::new("HEAD", path).status(200)
}

/// A `POST` without a body.
#[must_use]
pub fn post(path: &str) -> Ask {
    let ask = Ask::new("POST", path).status(200);
    // No merchant may look at the PSP, or resolve.
    if path.ends_with("/resolve") || path.ends_with("/look") {
        ask.by_operator()
    } else {
        ask
    }
}

/// A webhook from the PSP, signed.
#[must_use]
pub fn webhook(path: &str, sign: Sign, body: &Value) -> Ask {
    let mut ask = Ask::new("POST", path).status(200).anonymous().json(body);
    ask.sign = Some(sign);
    ask
}

impl Ask {
    /// A request of any method, expected to be answered 200.
    #[must_use]
    pub fn new(method: &'static str, path: &str) -> Self {
        Self {
            method,
            path: path.to_owned(),
            headers: Vec::new(),
            body: String::new(),
            bearer: Bearer::OfCase,
            sign: None,
            status: 200,
            expected_headers: Vec::new(),
            members: Vec::new(),
            same_as: None,
            length_of: None,
            save_body: None,
            saves: Vec::new(),
            until: None,
            shown: Shown::Whole,
        }
    }

    /// With `Idempotency-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("Idempotency-Key", key)
    }

    /// With one more header line.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    /// Prefers to wait for the final answer: in every weather the same one.
    #[must_use]
    pub fn wait(self) -> Self {
        self.header("Prefer", "wait=30")
            .has("Preference-Applied", "wait=30")
    }

    /// Prefers to wait, where waiting is no use: only an operator or the customer can bring the answer on, so it comes at once,
    /// and the preference is not said to be applied.
    #[must_use]
    pub fn wait_in_vain(self) -> Self {
        self.header("Prefer", "wait=30").has_no("Preference-Applied")
    }

    /// With this JSON as its body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.body(&body.to_string())
    }

    /// With this text as its body.
    #[must_use]
    pub fn body(mut self, body: &str) -> Self {
        body.clone_into(&mut self.body);
        self
    }

    /// With another merchant's token.
    #[must_use]
    pub fn by(mut self, merchant: Merchant) -> Self {
        self.bearer = Bearer::Of(merchant);
        self
    }

    /// With the operator's token.
    #[must_use]
    pub fn by_operator(mut self) -> Self {
        self.bearer = Bearer::Operator;
        self
    }

    /// Without `Authorization`.
    #[must_use]
    pub fn anonymous(mut self) -> Self {
        self.bearer = Bearer::Line(None);
        self
    }

    /// With this very `Authorization`.
    #[must_use]
    pub fn authorization(mut self, line: &'static str) -> Self {
        self.bearer = Bearer::Line(Some(line));
        self
    }

    /// The status that must come.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// A header that must come.
    #[must_use]
    pub fn has(mut self, name: &'static str, value: &str) -> Self {
        self.expected_headers.push((name, Some(value.to_owned())));
        self
    }

    /// A header that must not come.
    #[must_use]
    pub fn has_no(mut self, name: &'static str) -> Self {
        self.expected_headers.push((name, None));
        self
    }

    /// A member of the body, by JSON pointer. `Null` also means: not there.
    #[must_use]
    pub fn is(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.members.push((pointer, value.into()));
        self
    }

    /// Refused with this status and code.
    #[must_use]
    pub fn refused(self, status: u16, code: &'static str) -> Self {
        self.status(status)
            .is("/error/code", code)
            .has_no("Idempotency-Replayed")
    }

    /// A replay: marked as such, and the same bytes as the body saved as `name`.
    #[must_use]
    pub fn replays(mut self, name: &'static str) -> Self {
        self.same_as = Some(name);
        self.has("Idempotency-Replayed", "true")
    }

    /// Keeps the body's bytes under a name.
    #[must_use]
    pub fn save_body(mut self, name: &'static str) -> Self {
        self.save_body = Some(name);
        self
    }

    /// Keeps a member of the body under a name.
    #[must_use]
    pub fn save(mut self, name: &'static str, pointer: &'static str) -> Self {
        self.saves.push((name, pointer));
        self
    }

    /// Asked again and again until the member is this; only the last answer counts.
    #[must_use]
    pub fn until(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        let value = value.into();
        self.until = Some((pointer, value.clone()));
        self.is(pointer, value)
    }

    /// The very bytes of the body saved as `name`, without being a replay.
    #[must_use]
    pub fn same_as(mut self, name: &'static str) -> Self {
        self.same_as = Some(name);
        self
    }

    /// `Content-Length` is that of the body saved as `name`.
    #[must_use]
    pub fn length_of(mut self, name: &'static str) -> Self {
        self.length_of = Some(name);
        self
    }

    /// The transcript leaves the timeline out.
    #[must_use]
    pub fn without_timeline(mut self) -> Self {
        self.shown = Shown::WithoutTimeline;
        self
    }

    /// The transcript keeps status and code only.
    #[must_use]
    pub fn code_only(mut self) -> Self {
        self.shown = Shown::Code;
        self
    }
}

impl From<Ask> for Step {
    fn from(ask: Ask) -> Self {
        Self::Ask(ask)
    }
}

/// What the ledger must say of an attempt; counts that are not named must be zero.
#[must_use]
pub fn ledger(attempt: &str, counts: &[(&'static str, u64)]) -> Step {
    Step::Ledger {
        attempt: attempt.to_owned(),
        counts: counts.to_vec(),
    }
}
