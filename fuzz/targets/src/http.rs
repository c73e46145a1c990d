//! `http`: raw request bytes to an answer. Never a panic, always a documented status and code, never a write under a
//! refusal; and a request that must wait is answered when it is due.

use std::sync::{Arc, LazyLock};

use pay_once_core::contract::error::Code;
use pay_once_core::journal::invariant;
use pay_once_core::{
    CallResult, Config, Entropy, Input, Record, Reply, Request, Response, Routed, SearchError, UnixMillis,
    handle, route,
};
use serde_json::Value;

use crate::machine::Opening;
use crate::setup::{Kind, START_MS, attempt, closed};

/// A deployment, and what is stored there.
struct Deployment {
    config: Config,
    record: Option<Arc<Record>>,
    now_ms: u64,
}

/// What the first byte of an input chooses from: openings of the machine's stories, each as an open server and as one
/// that asks for keys.
fn deployments() -> &'static [Deployment] {
    static ALL: LazyLock<Vec<Deployment>> = LazyLock::new(|| {
        let mut all = Vec::new();
        for (kind, token, stage) in [
            (0, 0, 0),
            (0, 0, 1),
            (0, 0, 4),
            (0, 0, 6),
            (0, 0, 8),
            (0, 1, 4),
            (1, 2, 4),
            (0, 0, 10),
            (4, 0, 2),
            (4, 0, 4),
            (4, 0, 7),
            (3, 0, 9),
            (6, 0, 5),
            (6, 0, 11),
        ] {
            let world = Opening::at(kind, token, stage).told();
            let kind = Kind::ALL.get(usize::from(kind)).copied().unwrap_or(Kind::Stripe);
            let open = kind.config(false);
            for config in [open.clone(), closed(open)] {
                all.push(Deployment {
                    config,
                    record: world.record().cloned().map(Arc::new),
                    now_ms: START_MS + 60_000,
                });
            }
        }
        all
    });
    &ALL
}

/// How many deployments the first byte chooses from.
#[must_use]
pub fn deployments_count() -> usize {
    deployments().len()
}

/// Header lines: lower-case name, raw value.
type Lines<'a> = Vec<(String, &'a [u8])>;

/// A request as HTTP/1.1 has it on the wire, read as an adapter's library would: names in lower case, lines as they are.
/// `None` where no library would have let it through.
fn parse(bytes: &[u8]) -> Option<(Request<'_>, Lines<'_>)> {
    let (head, body) = match bytes.windows(4).position(|window| window == b"\r\n\r\n") {
        Some(at) => (bytes.get(..at)?, bytes.get(at + 4..)?),
        None => (bytes, &[][..]),
    };
    let mut lines = head
        .split(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut first = std::str::from_utf8(lines.next()?).ok()?.split(' ');
    let (method, target) = (first.next()?, first.next()?);
    let headers = lines.filter_map(|line| {
        let at = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(at);
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        Some((name, value.get(1..)?.trim_ascii()))
    });
    let headers: Lines<'_> = headers.take(32).collect();
    let request = Request {
        method,
        target,
        headers: &[],
        body,
    };
    Some((request, headers))
}

/// Makes the deployments.
pub fn prepare() {
    deployments();
}

/// One execution: a byte that chooses a deployment, then the request.
pub fn run(bytes: &[u8]) {
    let Some((choice, bytes)) = bytes.split_first() else {
        return;
    };
    let all = deployments();
    let Some(deployment) = all.get(usize::from(*choice) % all.len()) else {
        return;
    };
    let Some((request, headers)) = parse(bytes) else {
        return;
    };
    let headers: Vec<(&str, &[u8])> = headers
        .iter()
        .map(|(name, value)| (name.as_str(), *value))
        .collect();
    let request = Request {
        headers: &headers,
        ..request
    };
    answer(deployment, &request);
}

fn answer(deployment: &Deployment, request: &Request<'_>) {
    let (id, mut input) = match route(&deployment.config, request, UnixMillis::new(deployment.now_ms)) {
        Routed::Reply(response) => return documented(&response),
        Routed::Read(read) => {
            assert!(!read.call.moves_money, "a webhook moves no money");
            return;
        }
        Routed::Search(search) => {
            for why in [
                SearchError::Unavailable,
                SearchError::Busy,
                SearchError::ForeignCursor,
            ] {
                documented(&search.answer(&deployment.config, Err(why), UnixMillis::new(deployment.now_ms)));
            }
            let found = search
                .search
                .among(deployment.record.clone().map(Arc::unwrap_or_clone));
            return documented(&search.answer(&deployment.config, found, UnixMillis::new(deployment.now_ms)));
        }
        Routed::Attempt { id, input } => (id, input),
    };
    for response in [
        input.store_unavailable(),
        input.record_refused(&pay_once_core::RecordError::ChainBroken),
    ] {
        documented(&response.unwrap_or_else(|| panic!("somebody waits for an answer")));
    }
    let mut record = deployment.record.clone().filter(|_| id == attempt());
    let mut now_ms = deployment.now_ms;
    for entropy in 1..4 {
        let step = handle(
            &deployment.config,
            id,
            record.as_deref(),
            &input,
            UnixMillis::new(now_ms),
            Entropy(entropy),
        );
        let step = step.unwrap_or_else(|error| panic!("there is room: {error}"));
        let is_written = step.write.is_some();
        if let Some(write) = step.write {
            assert_eq!(invariant::check(&write.record), Ok(()));
            if let Some(before) = &record {
                assert!(write.record.grew_from(before), "a journal only grows");
            }
            assert!(
                Record::decode(id, &write.record.encode()).as_ref() == Ok(&write.record),
                "a record reads back as it was"
            );
            record = Some(write.record);
        }
        assert!(
            is_written || step.calls.iter().all(|call| !call.moves_money),
            "rule 1"
        );
        match step.reply {
            Reply::Now(response) => {
                let is_refusal = (400..500).contains(&response.status) && response.status != 402;
                assert!(!(is_refusal && is_written), "a refusal changes nothing");
                return documented(&response);
            }
            Reply::Nothing => panic!("a request is answered"),
            Reply::Wait { until_ms, pending } => {
                now_ms = now_ms.max(until_ms.get());
                input = Input::Request(pending);
            }
            Reply::Look { call, pending } => {
                let reason = "no PSP is there".to_owned();
                input = Input::Request(Box::new(pending.told(*call, CallResult::NotSent { reason })));
            }
        }
    }
    panic!("no answer when it was due");
}

/// An answer is one of those that are documented (`docs/http.md`).
fn documented(response: &Response) {
    let words = || format!("{} {}", response.status, String::from_utf8_lossy(&response.body));
    for (name, value) in &response.headers {
        assert!(
            value.bytes().all(|byte| (b' '..=b'~').contains(&byte)),
            "{name}: {value:?} is not visible ASCII"
        );
    }
    let Ok(shown) = serde_json::from_slice::<Value>(&response.body) else {
        panic!("not JSON: {}", words())
    };
    if matches!(response.status, 200..=202) {
        let is_success = shown.get("attempt_id").is_some() || shown.get("received").is_some();
        assert!(is_success && shown.get("error").is_none(), "{}", words());
        return;
    }
    let is_problem = response.header("content-type") == Some("application/problem+json");
    let facts = if is_problem {
        Some(&shown)
    } else {
        shown.get("error")
    };
    let word = facts.and_then(|facts| facts.get("code")).and_then(Value::as_str);
    let code = Code::ALL.iter().find(|code| Some(code.as_str()) == word);
    let Some(code) = code else {
        panic!("no documented code: {}", words())
    };
    assert_eq!(code.status(), response.status, "{}", words());
    for name in ["retryable", "safe_new_key"] {
        let fact = facts.and_then(|facts| facts.get(name));
        assert!(fact.is_some_and(Value::is_boolean), "{name}: {}", words());
    }
}
