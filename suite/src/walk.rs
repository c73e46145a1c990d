//! One case, step by step.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::case::{Ask, Bearer, Case, Step};
use crate::client::{Answer, Client};
use crate::environment::Merchant;
use crate::filled::{Filled, failed, send};
use crate::transcript::{self, Normal};
use crate::{Options, oracle};

/// How long something may take that is waited for.
const UNTIL_LIMIT: Duration = Duration::from_secs(40);
const POLL_EVERY: Duration = Duration::from_millis(100);

/// A case under way.
pub(crate) struct Walk<'a> {
    options: &'a Options,
    client: Client,
    case: &'a Case,
    values: BTreeMap<String, String>,
    bodies: BTreeMap<&'static str, Bytes>,
    attempts: BTreeSet<(String, Merchant)>,
    normal: Normal,
    transcript: String,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(options: &'a Options, client: Client, case: &'a Case, nonce: &str) -> Self {
        let values = BTreeMap::from([
            ("case".to_owned(), format!("{nonce}-{}", case.name)),
            ("psp".to_owned(), case.merchant.psp().to_owned()),
        ]);
        let fixed = vec![
            (nonce.to_owned(), "{run}"),
            (options.psp_url.clone(), "{psp_url}"),
        ];
        let transcript = format!("## {}\n# {}\n", case.name, case.about);
        Self {
            options,
            client,
            case,
            values,
            bodies: BTreeMap::new(),
            attempts: BTreeSet::new(),
            normal: Normal::new(fixed),
            transcript,
        }
    }

    /// Walks through. Gives the transcript, and what failed.
    pub(crate) async fn through(mut self) -> (String, Result<(), String>) {
        let mut result = Ok(());
        for (number, step) in self.case.steps.iter().enumerate() {
            result = self
                .step(step)
                .await
                .map_err(|why| format!("step {}: {why}", number + 1));
            if result.is_err() {
                break;
            }
        }
        if result.is_ok() {
            result = self.judge().await.map_err(|why| format!("at the end: {why}"));
        }
        self.transcript.push('\n');
        (self.transcript, result)
    }

    async fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Ask(ask) => self.ask(ask).await,
            Step::Storm { times, ask, replay } => self.storm(*times, ask, *replay).await,
            Step::Race { asks, statuses } => self.race(asks, statuses).await,
            Step::Ledger { attempt, counts } => self.ledger(attempt, counts).await,
            Step::Books {
                attempt,
                operation,
                save,
            } => self.books(attempt, operation, save).await,
            Step::Customer { url, approves, back } => self.customer(url, *approves, back).await,
            Step::Dials(dials) => {
                self.transcript.push_str(&format!("? the PSP's dials: {dials}\n"));
                turn(&self.client, self.options, dials).await
            }
            Step::Unseen { about, steps } => {
                let seen = format!("{}? {about}\n", self.transcript);
                for step in steps {
                    Box::pin(self.step(step)).await?;
                }
                self.transcript = seen;
                Ok(())
            }
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<(), String> {
        let filled = self.fill(ask)?;
        let until = Instant::now() + UNTIL_LIMIT;
        let answer = loop {
            let answer = send(&self.client, &filled).await?;
            match &ask.until {
                Some((pointer, value)) if answer.json().pointer(pointer).unwrap_or(&Value::Null) != value => {
                    if Instant::now() > until {
                        return Err(failed(
                            &filled,
                            &answer,
                            &format!("{pointer} is not {value} after {UNTIL_LIMIT:?}"),
                        ));
                    }
                    sleep(POLL_EVERY).await;
                }
                _ => break answer,
            }
        };
        self.show(ask, &filled, "");
        let shown = transcript::answer(&mut self.normal, ask.shown, &answer);
        self.transcript.push_str(&shown);
        self.compare(ask, &answer)
            .map_err(|why| failed(&filled, &answer, &why))?;
        self.keep(ask, &answer)
            .map_err(|why| failed(&filled, &answer, &why))
    }

    async fn storm(&mut self, times: usize, ask: &Ask, replay: u16) -> Result<(), String> {
        let filled = self.fill(ask)?;
        let answers = self.at_once(vec![filled.clone(); times]).await?;
        self.show(ask, &filled, &format!(" ({times} at once)"));
        let (replays, firsts): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.is_replayed());
        let [first] = firsts.as_slice() else {
            let statuses: Vec<u16> = firsts.iter().map(|answer| answer.status).collect();
            let any = firsts.last().or(replays.last()).ok_or("nothing was asked")?;
            return Err(failed(
                &filled,
                any,
                &format!(
                    "{} of {times} are no replays ({statuses:?}); exactly one must be",
                    firsts.len()
                ),
            ));
        };
        let shown = transcript::answer(&mut self.normal, ask.shown, first);
        self.transcript.push_str(&format!("one of them:\n{shown}"));
        self.compare(ask, first)
            .map_err(|why| failed(&filled, first, &why))?;
        self.keep(ask, first)
            .map_err(|why| failed(&filled, first, &why))?;
        for other in &replays {
            if other.status != replay || other.body != first.body {
                let first = String::from_utf8_lossy(&first.body);
                let why = format!("a replay must have status {replay} and the first answer's body: {first}");
                return Err(failed(&filled, other, &why));
            }
        }
        let mut shown = replays
            .iter()
            .map(|other| transcript::answer(&mut self.normal, ask.shown, other));
        if let Some(one) = shown.next() {
            if let Some(other) = shown.find(|other| *other != one) {
                return Err(format!("replays differ in their headers:\n{one}and\n{other}"));
            }
            self.transcript.push_str(&format!("all others:\n{one}"));
        }
        Ok(())
    }

    async fn race(&mut self, asks: &[Ask], expected: &[u16]) -> Result<(), String> {
        let mut filled = Vec::new();
        for ask in asks {
            let one = self.fill(ask)?;
            self.show(ask, &one, " (at once with the next)");
            filled.push(one);
        }
        let answers = self.at_once(filled.clone()).await?;
        let mut statuses: Vec<u16> = answers.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        self.transcript
            .push_str(&format!("in any order:\n< {statuses:?}\n"));
        if statuses == expected {
            return Ok(());
        }
        let first = filled.first().zip(answers.first());
        Err(first.map_or_else(String::new, |(filled, answer)| {
            failed(
                filled,
                answer,
                &format!("they were answered {statuses:?}; it must be {expected:?}"),
            )
        }))
    }

    /// Sends all of them at the same time; the answers are in the order of the requests.
    async fn at_once(&self, all: Vec<Filled>) -> Result<Vec<Answer>, String> {
        let barrier = Arc::new(tokio::sync::Barrier::new(all.len()));
        let mut tasks = JoinSet::new();
        for (number, filled) in all.into_iter().enumerate() {
            let (client, barrier) = (self.client.clone(), Arc::clone(&barrier));
            tasks.spawn(async move {
                barrier.wait().await;
                (number, send(&client, &filled).await)
            });
        }
        let mut answers = BTreeMap::new();
        while let Some(ended) = tasks.join_next().await {
            let (number, answer) = ended.map_err(|error| error.to_string())?;
            answers.insert(number, answer?);
        }
        Ok(answers.into_values().collect())
    }

    fn show(&mut self, ask: &Ask, filled: &Filled, how: &str) {
        let shown = transcript::request(&mut self.normal, ask, &filled.path, &filled.shown, &filled.body);
        let (first, rest) = shown.split_once('\n').unwrap_or((&shown, ""));
        self.transcript.push_str(&format!("{first}{how}\n{rest}"));
    }

    /// Whether the answer is what the case says.
    fn compare(&self, ask: &Ask, answer: &Answer) -> Result<(), String> {
        if answer.status != ask.status {
            return Err(format!("expected: status {}", ask.status));
        }
        for (name, value) in &ask.expected_headers {
            let value = value.as_ref().map(|value| self.filled(value)).transpose()?;
            let came = answer.header(name);
            if came != value {
                return Err(format!("expected: {name}: {value:?}, not {came:?}"));
            }
        }
        let body = answer.json();
        for (pointer, value) in &ask.members {
            let value = match value {
                Value::String(text) => Value::String(self.filled(text)?),
                value => value.clone(),
            };
            let came = body.pointer(pointer).unwrap_or(&Value::Null);
            if *came != value {
                return Err(format!("expected: {pointer} is {value}, not {came}"));
            }
        }
        if ask.method == "HEAD" && !answer.body.is_empty() {
            return Err("expected: no body".to_owned());
        }
        if let Some(name) = ask.length_of {
            let length = self.bodies.get(name).map(|saved| saved.len().to_string());
            let came = answer.header("Content-Length");
            if length.is_none() || came != length {
                return Err(format!(
                    "expected: Content-Length of \"{name}\", {length:?}, not {came:?}"
                ));
            }
        }
        match ask.same_as.map(|name| (name, self.bodies.get(name))) {
            Some((name, Some(saved))) if *saved != answer.body => Err(format!(
                "expected: the very bytes of \"{name}\": {}",
                String::from_utf8_lossy(saved)
            )),
            Some((name, None)) => Err(format!("no body was saved as \"{name}\"")),
            _ => Ok(()),
        }
    }

    fn keep(&mut self, ask: &Ask, answer: &Answer) -> Result<(), String> {
        let body = answer.json();
        if let Some(id) = body.get("attempt_id").and_then(Value::as_str) {
            let merchant = match ask.bearer {
                Bearer::Of(merchant) => merchant,
                Bearer::OfCase | Bearer::Operator | Bearer::Line(_) => self.case.merchant,
            };
            self.attempts.insert((id.to_owned(), merchant));
        }
        if let Some(name) = ask.save_body {
            self.bodies.insert(name, answer.body.clone());
        }
        for (name, pointer) in &ask.saves {
            let value = match body.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(Value::Number(number)) => number.to_string(),
                _ => return Err(format!("expected: a text or a number at {pointer}")),
            };
            self.values.insert((*name).to_owned(), value);
        }
        Ok(())
    }

    async fn ledger(&mut self, attempt: &str, counts: &[(&'static str, u64)]) -> Result<(), String> {
        let id = self.filled(attempt)?;
        let ledger = oracle::ledger(&self.client, self.options, &id).await?;
        let mut line = self.normal.text(&format!("? the PSP's ledger of {id}:"));
        for name in oracle::COUNTS {
            let expected = counts
                .iter()
                .find(|(known, _)| *known == name)
                .map_or(0, |(_, count)| *count);
            let came = ledger.get(name).and_then(Value::as_u64).unwrap_or_default();
            if came != expected {
                return Err(format!(
                    "the PSP's ledger of {id} has {name} {came}; it must be {expected}\n  ledger: {ledger}"
                ));
            }
            if came > 0 {
                line.push_str(&format!(" {name} {came}"));
            }
        }
        if let Some((name, _)) = counts.iter().find(|(name, _)| !oracle::COUNTS.contains(name)) {
            return Err(format!("the ledger has no count \"{name}\""));
        }
        self.transcript.push_str(&line);
        self.transcript.push('\n');
        Ok(())
    }

    async fn books(&mut self, attempt: &str, operation: &str, save: &str) -> Result<(), String> {
        let id = self.filled(attempt)?;
        let ledger = oracle::ledger(&self.client, self.options, &id).await?;
        let events = ledger.get("events").and_then(Value::as_array);
        let event = events
            .into_iter()
            .flatten()
            .find(|event| event.get("operation").and_then(Value::as_str) == Some(operation))
            .and_then(|event| event.get("id")?.as_str())
            .ok_or_else(|| format!("the PSP's books show no {operation} of {id}: {ledger}"))?;
        self.values.insert(save.to_owned(), event.to_owned());
        Ok(())
    }

    async fn customer(&mut self, url: &str, approves: bool, back: &str) -> Result<(), String> {
        let url = self.filled(url)?;
        let headers = [("Content-Type", b"application/x-www-form-urlencoded".to_vec())];
        let body = format!("success={approves}");
        let answer = self
            .client
            .send("POST", &url, &headers, body.clone().into_bytes())
            .await?;
        let line = self.normal.text(&format!("? the customer at {url}: {body}\n"));
        self.transcript.push_str(&line);
        match (answer.status, answer.header("location")) {
            (303, Some(to)) if to.starts_with(back) => Ok(()),
            (status, to) => Err(format!(
                "the PSP's page {url} answered {status} to {body} and sent the customer to {to:?}, not back to {back}"
            )),
        }
    }

    /// Whatever a case is about: its attempts and the PSP's ledger must tell the same story.
    async fn judge(&self) -> Result<(), String> {
        for (id, merchant) in &self.attempts {
            let ask = crate::case::get(&format!("/attempts/{id}")).by(*merchant);
            let filled = self.fill(&ask)?;
            let answer = send(&self.client, &filled).await?;
            self.compare(&ask, &answer)
                .map_err(|why| failed(&filled, &answer, &why))?;
            let ledger = oracle::ledger(&self.client, self.options, id).await?;
            oracle::agree(&answer.json(), &ledger)
                .map_err(|why| failed(&filled, &answer, &format!("{why}\n  ledger: {ledger}")))?;
        }
        Ok(())
    }

    fn fill(&self, ask: &Ask) -> Result<Filled, String> {
        let path = self.filled(&ask.path)?;
        let mut headers = Vec::new();
        for (name, value) in &ask.headers {
            let value = match std::str::from_utf8(value) {
                Ok(text) => self.filled(text)?.into_bytes(),
                Err(_) => value.clone(),
            };
            headers.push((*name, value));
        }
        let mut shown = Vec::new();
        let bearer = match ask.bearer {
            Bearer::OfCase => Some(self.options.secrets.token(self.case.merchant)),
            Bearer::Of(merchant) => {
                shown.push(("Authorization", format!("(of {})", merchant.id()).into_bytes()));
                Some(self.options.secrets.token(merchant))
            }
            Bearer::Operator => {
                shown.push(("Authorization", b"(of the operator)".to_vec()));
                Some(self.options.secrets.operator_token.as_str())
            }
            Bearer::Line(line) => {
                shown.push(("Authorization", line.unwrap_or("(none)").as_bytes().to_vec()));
                None
            }
        };
        shown.extend(headers.clone());
        match (bearer, &ask.bearer) {
            (Some(token), _) => headers.push(("Authorization", format!("Bearer {token}").into_bytes())),
            (None, Bearer::Line(Some(line))) => headers.push(("Authorization", line.as_bytes().to_vec())),
            (None, _) => {}
        }
        let sign = ask.sign.map(|sign| {
            let header = if path.ends_with("/stripe") {
                "Stripe-Signature"
            } else {
                "Acquirer-Signature"
            };
            (sign, header, self.options.secrets.webhook_secret.clone())
        });
        // Bodies that are meant to be broken hold braces of their own: only known names are filled in.
        let mut body = ask.body.clone();
        for (name, value) in &self.values {
            body = body.replace(&format!("{{{name}}}"), value);
        }
        Ok(Filled {
            method: ask.method,
            url: format!("{}{path}", self.options.base_url),
            path,
            shown,
            headers,
            body: body.into_bytes(),
            sign,
        })
    }

    fn filled(&self, text: &str) -> Result<String, String> {
        let mut out = text.to_owned();
        for (name, value) in &self.values {
            out = out.replace(&format!("{{{name}}}"), value);
        }
        match out.split_once('{') {
            Some((_, rest)) if rest.contains('}') => Err(format!("\"{text}\": no step saved that")),
            _ => Ok(out),
        }
    }
}

/// Turns dials of the sandbox PSP.
pub(crate) async fn turn(client: &Client, options: &Options, dials: &Value) -> Result<(), String> {
    let url = format!("{}/dials", options.psp_url);
    let answer = client
        .send("PUT", &url, &[], dials.to_string().into_bytes())
        .await?;
    match answer.status {
        200 => Ok(()),
        status => Err(format!(
            "{url} answered {status}: {}",
            String::from_utf8_lossy(&answer.body)
        )),
    }
}
