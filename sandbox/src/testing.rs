//! A bench for the unit tests: a sandbox with a hand-turned clock.

use serde_json::{Value, json};

use crate::{LogEntry, Method, Reaction, Request, Sandbox, Scheduled, Settings, Webhook};

/// The unix time at which every bench starts, in milliseconds.
pub(crate) const START_MS: u64 = 1_700_000_000_000;

pub(crate) struct Bench {
    pub(crate) sandbox: Sandbox,
    pub(crate) now_ms: u64,
    entropy: u64,
    log: Vec<String>,
    pub(crate) webhooks: Vec<Webhook>,
    pub(crate) scheduled: Vec<Scheduled>,
}

/// An answer, its body parsed (`Null` when it does not parse).
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) after_ms: u64,
    pub(crate) body: Value,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) replayed: bool,
    pub(crate) cut: bool,
}

impl Got {
    /// The header of that name.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(known, _)| *known == name);
        let value = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} is there twice");
        value
    }
}

impl Bench {
    /// A sandbox that answers at once, with `dials` turned and webhooks on.
    pub(crate) fn new(dials: Value) -> Self {
        let settings = Settings {
            public_url: "http://127.0.0.1".to_owned(),
            webhook_url: Some("http://127.0.0.1:1/hooks".to_owned()),
            ..Settings::default()
        };
        let mut bench = Self {
            sandbox: Sandbox::new(settings),
            now_ms: START_MS,
            entropy: 0,
            log: Vec::new(),
            webhooks: Vec::new(),
            scheduled: Vec::new(),
        };
        bench.turn(json!({"latency_ms": {"min": 0, "max": 0}}));
        bench.turn(dials);
        bench
    }

    pub(crate) fn turn(&mut self, dials: Value) {
        let got = self.send(Method::Put, "/dials", &[], dials.to_string().as_bytes());
        assert_eq!(got.unwrap().status, 200);
    }

    /// Sends a request; `None` when it is never answered.
    pub(crate) fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> Option<Got> {
        self.entropy += 1;
        let request = Request {
            method,
            path_and_query: path.to_owned(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            body: body.to_vec(),
        };
        let reaction = self.sandbox.receive(self.now_ms, self.entropy, &request);
        self.settle(reaction)
    }

    /// `POST /v1/…`, form-encoded; an empty key sends none.
    pub(crate) fn stripe(&mut self, path: &str, form: &str, key: &str) -> Option<Got> {
        let headers = [("Authorization", "Bearer sk_test"), ("Idempotency-Key", key)];
        let headers = if key.is_empty() {
            &headers[..1]
        } else {
            &headers[..]
        };
        self.send(Method::Post, &format!("/v1/{path}"), headers, form.as_bytes())
    }

    /// `GET /v1/…`
    pub(crate) fn stripe_get(&mut self, path: &str) -> Got {
        self.send(
            Method::Get,
            &format!("/v1/{path}"),
            &[("authorization", "Bearer sk_test")],
            b"",
        )
        .unwrap()
    }

    /// Creates and confirms for attempt `pa_1`, manual capture.
    pub(crate) fn pay(&mut self, token: &str, key: &str) -> Option<Got> {
        let form = format!(
            "amount=1000&currency=gbp&capture_method=manual&confirm=true&payment_method={token}\
             &metadata[attempt_id]=pa_1"
        );
        self.stripe("payment_intents", &form, key)
    }

    /// `POST` on the acquirer face; an empty key sends none.
    pub(crate) fn acquirer(&mut self, path: &str, body: Value, key: &str) -> Option<Got> {
        let headers = [("idempotency-key", key)];
        let headers = if key.is_empty() { &[] } else { &headers[..] };
        self.send(Method::Post, path, headers, body.to_string().as_bytes())
    }

    /// Authorizes 1000 GBP for attempt `pa_1` on the acquirer face.
    pub(crate) fn authorize(&mut self, token: &str) -> Option<Got> {
        let body = json!({"reference": "pa_1", "amount": 1000, "currency": "GBP", "payment_method": token});
        self.acquirer("/authorize", body, "")
    }

    /// Captures or voids under `psp_reference` for attempt `pa_1`.
    pub(crate) fn act(&mut self, path: &str, psp_reference: &Value, amount: u64) -> Option<Got> {
        let body =
            json!({"reference": "pa_1", "amount": amount, "currency": "GBP", "psp_reference": psp_reference});
        self.acquirer(path, body, "")
    }

    pub(crate) fn get(&mut self, path: &str) -> Got {
        self.send(Method::Get, path, &[], b"").unwrap()
    }

    /// Lets time pass and fires what comes due.
    pub(crate) fn wait(&mut self, ms: u64) {
        self.now_ms += ms;
        for scheduled in std::mem::take(&mut self.scheduled) {
            if scheduled.after_ms <= ms {
                let reaction = self.sandbox.fire(self.now_ms, &scheduled.event);
                self.settle(reaction);
            } else {
                self.scheduled.push(Scheduled {
                    after_ms: scheduled.after_ms - ms,
                    ..scheduled
                });
            }
        }
    }

    /// The ledger's row of `pa_1`, which a replay of the log must show too.
    pub(crate) fn row(&mut self) -> Value {
        let entries = self
            .log
            .iter()
            .map(|line| serde_json::from_str::<LogEntry>(line).unwrap());
        let replayed = Sandbox::replay(Settings::default(), entries);
        let ledger = self.get("/ledger").body;
        assert_eq!(replayed.state.ledger.summary(), ledger);
        assert_eq!(replayed.state.intents, self.sandbox.state.intents);
        assert_eq!(replayed.state.ids, self.sandbox.state.ids);
        ledger["pa_1"].clone()
    }

    /// Types of the webhooks so far, oldest first.
    pub(crate) fn told(&self) -> Vec<String> {
        let types = self.webhooks.iter().map(|webhook| {
            let body: Value = serde_json::from_slice(&webhook.body).unwrap();
            body["type"].as_str().unwrap().to_owned()
        });
        types.collect()
    }

    fn settle(&mut self, reaction: Reaction) -> Option<Got> {
        self.log
            .extend(reaction.log.map(|entry| serde_json::to_string(&entry).unwrap()));
        self.webhooks.extend(reaction.webhooks);
        self.scheduled.extend(reaction.scheduled);
        let answer = reaction.answer?;
        Some(Got {
            status: answer.status,
            after_ms: answer.after_ms,
            body: serde_json::from_slice(&answer.body).unwrap_or_default(),
            replayed: answer
                .headers
                .iter()
                .any(|(name, _)| *name == "Idempotent-Replayed"),
            cut: answer.cut_at_bytes.is_some(),
            headers: answer.headers,
        })
    }
}
