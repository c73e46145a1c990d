//! The way to a PSP breaks in every manner that TCP, TLS and DNS know, and the adapter says of each call what became of it:
//! answered, unknown, or not sent. *Unknown* is always allowed. *Not sent* is allowed only where no byte can have left: core sends
//! such a call again at once, so that a wrong *not sent* charges twice.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::environment::{Merchant, Secrets, config};

/// How long an outcome may take to be on record: the time-out of a call, and some steps.
const OUTCOME_WITHIN: Duration = Duration::from_secs(20);
/// How often the timeline is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// A port of the loopback interface at which nobody listens (tcpmux).
const CLOSED: &str = "http://127.0.0.1:1";
/// A name that never resolves (RFC 6761).
const UNRESOLVED: &str = "https://psp.invalid";
/// What the broken PSP answers when it does.
const APPROVED: &str = r#"{"status":"approved","psp_reference":"psp_1"}"#;

/// How the PSP ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// It answers.
    Answers,
    /// It resets the connection before it reads.
    ResetAtOnce,
    /// It resets the connection once the first byte is there.
    ResetAfterFirstByte,
    /// It sends half of an answer, and closes.
    HalfAnAnswer,
    /// It reads, and says nothing.
    Silence,
}

/// One way to break.
struct Breakage {
    name: &'static str,
    /// Whose PSP is broken so.
    merchant: Merchant,
    end: End,
    /// What must be on record: an answer, or anything but one.
    is_answered: bool,
}

const BREAKAGES: [Breakage; 8] = [
    Breakage {
        name: "answers",
        merchant: Merchant::Kiosk,
        end: End::Answers,
        is_answered: true,
    },
    Breakage {
        name: "connection refused",
        merchant: Merchant::Market,
        end: End::Answers,
        is_answered: false,
    },
    Breakage {
        name: "reset at once",
        merchant: Merchant::Kiosk,
        end: End::ResetAtOnce,
        is_answered: false,
    },
    Breakage {
        name: "reset after the first byte",
        merchant: Merchant::Kiosk,
        end: End::ResetAfterFirstByte,
        is_answered: false,
    },
    Breakage {
        name: "half an answer",
        merchant: Merchant::Kiosk,
        end: End::HalfAnAnswer,
        is_answered: false,
    },
    Breakage {
        name: "time-out",
        merchant: Merchant::Kiosk,
        end: End::Silence,
        is_answered: false,
    },
    Breakage {
        name: "TLS failure",
        merchant: Merchant::Shop,
        end: End::HalfAnAnswer,
        is_answered: false,
    },
    Breakage {
        name: "name that does not resolve",
        merchant: Merchant::Rival,
        end: End::Answers,
        is_answered: false,
    },
];

/// The configuration that the adapter must be started with, for a broken PSP at `listen` (`host:port`).
#[must_use]
pub fn transport_config(listen: &str, secrets: &Secrets) -> Value {
    let mut document = config(&format!("http://{listen}"), secrets);
    let unnamed = document.pointer("/psps/blind").cloned().unwrap_or_default();
    if let Some(psps) = document.pointer_mut("/psps").and_then(Value::as_object_mut) {
        psps.insert("unnamed".to_owned(), unnamed);
    }
    if let Some(members) = document.as_object_mut() {
        // A PSP that is not on loopback wants one.
        members.insert("installation".to_owned(), json!("transport"));
    }
    let places = [
        ("/psps/stripe/base_url", format!("https://{listen}")),
        ("/psps/acquirer/base_url", CLOSED.to_owned()),
        ("/psps/unnamed/base_url", UNRESOLVED.to_owned()),
        ("/merchants/rival/psp", "unnamed".to_owned()),
    ];
    for (place, value) in places {
        if let Some(member) = document.pointer_mut(place) {
            *member = value.into();
        }
    }
    document
}

/// Breaks the way to the PSP at `listen` in every manner, one after the other, and judges what the adapter at `base_url` makes of
/// it. Gives a line for each.
///
/// # Errors
/// What the adapter got wrong, or why nothing could be tried.
pub async fn transport(base_url: &str, listen: SocketAddr, secrets: &Secrets) -> Result<Vec<String>, String> {
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|error| format!("{listen} cannot be listened at: {error}"))?;
    let psp = Arc::new(BrokenPsp::default());
    let serving = tokio::spawn(Arc::clone(&psp).serve(listener));
    let client = Client::new();
    let mut lines = Vec::new();
    let nonce = getrandom::u64().map_err(|error| error.to_string())?;
    for breakage in &BREAKAGES {
        psp.turn(breakage.end);
        let key = format!("transport-{nonce:016x}-{}", lines.len());
        let (id, ends) = ends(&client, base_url, secrets.token(breakage.merchant), &key).await?;
        lines.push(judge(breakage, &ends, psp.reached(&id))?);
    }
    serving.abort();
    Ok(lines)
}

/// What the timeline says of an attempt's calls.
#[derive(Debug, Default)]
struct Ends {
    sent: usize,
    not_sent: usize,
    unknown: usize,
    answered: usize,
}

/// Charges, and waits until something is on record of the call.
async fn ends(client: &Client, base_url: &str, token: &str, key: &str) -> Result<(String, Ends), String> {
    let bearer = format!("Bearer {token}").into_bytes();
    let headers = [
        ("authorization", bearer.clone()),
        ("idempotency-key", key.as_bytes().to_vec()),
    ];
    let body = json!({"amount": 2_599, "currency": "GBP", "payment_method": "pm_card_visa"});
    let charge = client
        .send(
            "POST",
            &format!("{base_url}/charge"),
            &headers,
            body.to_string().into_bytes(),
        )
        .await?;
    let shown = charge.json();
    let id = ["/attempt_id", "/error/attempt/attempt_id"]
        .into_iter()
        .find_map(|place| shown.pointer(place).and_then(Value::as_str))
        .ok_or_else(|| {
            format!(
                "a charge was answered {} without an attempt: {shown}",
                charge.status
            )
        })?
        .to_owned();
    let began = Instant::now();
    loop {
        let url = format!("{base_url}/attempts/{id}");
        let answer = client
            .send("GET", &url, &[("authorization", bearer.clone())], Vec::new())
            .await?;
        let ends = read(&answer.json());
        if ends.not_sent + ends.unknown + ends.answered > 0 {
            return Ok((id, ends));
        }
        if began.elapsed() > OUTCOME_WITHIN {
            return Err(format!(
                "nothing was on record of a call within {OUTCOME_WITHIN:?}: {}",
                answer.json()
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn read(attempt: &Value) -> Ends {
    let mut ends = Ends::default();
    let events = attempt.pointer("/timeline").and_then(Value::as_array);
    for event in events.into_iter().flatten() {
        let words = event.get("event").and_then(Value::as_str).unwrap_or_default();
        ends.sent += usize::from(words.ends_with("sent to the PSP"));
        match words.strip_prefix("the PSP answered: ") {
            Some("the request did not leave") => ends.not_sent += 1,
            Some(unknown) if unknown.starts_with("outcome unknown") => ends.unknown += 1,
            Some(_) => ends.answered += 1,
            None => {}
        }
    }
    ends
}

fn judge(breakage: &Breakage, ends: &Ends, reached: usize) -> Result<String, String> {
    let Breakage {
        name, is_answered, ..
    } = breakage;
    let may_have_left = ends.sent.saturating_sub(ends.not_sent);
    if reached > may_have_left {
        return Err(format!(
            "{name}: {reached} requests reached the PSP, and only {may_have_left} of {} calls are not told as not sent",
            ends.sent
        ));
    }
    if *is_answered != (ends.answered > 0) {
        let told = if *is_answered {
            "was not told as answered"
        } else {
            "was told as answered"
        };
        return Err(format!("{name}: the call {told} ({ends:?})"));
    }
    let told = match (ends.answered, ends.unknown) {
        (1.., _) => "answered",
        (_, 1..) => "unknown",
        _ => "not sent",
    };
    Ok(format!("{name}: {told}"))
}

/// A PSP that ends connections as it is told to.
#[derive(Debug, Default)]
struct BrokenPsp {
    end: Mutex<Option<End>>,
    /// What arrived first on each connection. Each request names its attempt.
    arrived: Mutex<Vec<Vec<u8>>>,
}

impl BrokenPsp {
    fn turn(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
    }

    /// How many connections brought something of this attempt's.
    fn reached(&self, id: &str) -> usize {
        let arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let names_it = |bytes: &&Vec<u8>| bytes.windows(id.len()).any(|part| part == id.as_bytes());
        arrived.iter().filter(names_it).count()
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        while let Ok((stream, _)) = listener.accept().await {
            let psp = Arc::clone(&self);
            tokio::spawn(async move {
                // A client that hangs up is no error.
                let _ = psp.end(stream).await;
            });
        }
    }

    async fn end(&self, mut stream: TcpStream) -> io::Result<()> {
        let end = *self.end.lock().unwrap_or_else(PoisonError::into_inner);
        if end == Some(End::ResetAtOnce) {
            return stream.set_zero_linger();
        }
        let mut request = Vec::new();
        let mut buffer = [0; 4_096];
        let read = stream.read(&mut buffer).await?;
        let first = buffer.get(..read).unwrap_or_default().to_vec();
        self.arrived
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(first);
        if end == Some(End::ResetAfterFirstByte) {
            return stream.set_zero_linger();
        }
        request.extend_from_slice(buffer.get(..read).unwrap_or_default());
        while end != Some(End::HalfAnAnswer) && !is_whole(&request) {
            match stream.read(&mut buffer).await? {
                0 => return Ok(()),
                read => request.extend_from_slice(buffer.get(..read).unwrap_or_default()),
            }
        }
        let length = APPROVED.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
        );
        match end {
            Some(End::Answers) => stream.write_all(format!("{head}{APPROVED}").as_bytes()).await,
            Some(End::HalfAnAnswer) => {
                let half = APPROVED.get(..length / 2).unwrap_or_default();
                stream.write_all(format!("{head}{half}").as_bytes()).await
            }
            // Until the caller gives up.
            _ => stream.read(&mut buffer).await.map(|_| ()),
        }
    }
}

/// Whether a request is there to the end of its body.
fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return false;
    };
    let head = head.to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "))
        .and_then(|length| length.trim().parse::<usize>().ok());
    match length {
        Some(length) => body.len() >= length,
        None => !head.contains("transfer-encoding: chunked") || body.ends_with("0\r\n\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(sent: usize, not_sent: usize, unknown: usize, answered: usize) -> Ends {
        Ends {
            sent,
            not_sent,
            unknown,
            answered,
        }
    }

    #[test]
    fn what_reached_the_psp_may_not_be_told_as_not_sent() {
        let [answers, .., reset] = &BREAKAGES;
        assert!(judge(reset, &told(1, 1, 0, 0), 0).is_ok());
        assert!(judge(reset, &told(1, 0, 1, 0), 1).is_ok(), "unknown is allowed");
        assert!(judge(reset, &told(1, 1, 0, 0), 1).is_err());
        assert!(judge(reset, &told(2, 1, 1, 0), 2).is_err(), "one of two left");
        assert!(judge(answers, &told(1, 0, 0, 1), 1).is_ok());
        assert!(
            judge(answers, &told(1, 0, 1, 0), 1).is_err(),
            "an answer must be read"
        );
    }
}
