//! The transcript: what was asked and what came, with everything that differs from run to run replaced by stable
//! placeholders. Two adapters answer byte for byte alike, but for ids and times, if their transcripts are equal.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::case::{Ask, Shown};
use crate::client::Answer;

/// The headers of the contract, in the order in which the transcript shows them. Others are the platform's.
const HEADERS: [&str; 9] = [
    "Content-Type",
    "Location",
    "Idempotency-Key",
    "Idempotency-Replayed",
    "Preference-Applied",
    "Retry-After",
    "Allow",
    "Accept-Encoding",
    "WWW-Authenticate",
];
/// Longer request bodies and header values are cut in the transcript.
const SHOWN_BYTES_MAX: usize = 400;

/// Replaces what differs from run to run. The same value always gets the same placeholder within a case.
#[derive(Debug)]
pub(crate) struct Normal {
    /// Texts that are known beforehand.
    fixed: Vec<(String, &'static str)>,
    /// Placeholders by what they stand for.
    names: BTreeMap<String, String>,
    /// How many there are of each kind.
    counts: BTreeMap<String, usize>,
}

impl Normal {
    pub(crate) fn new(fixed: Vec<(String, &'static str)>) -> Self {
        Self {
            fixed,
            names: BTreeMap::new(),
            counts: BTreeMap::new(),
        }
    }

    /// The text with placeholders. A word is replaced only if it has the very form of an id, a time or a hash: one of a
    /// wrong form stays, and shows.
    pub(crate) fn text(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for (from, to) in &self.fixed {
            text = text.replace(from.as_str(), to);
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text.as_str();
        while !rest.is_empty() {
            if let Some((length, kind)) = time(rest) {
                out.push_str(kind);
                rest = rest.get(length..).unwrap_or_default();
                continue;
            }
            let length = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            if length == 0 {
                let mut chars = rest.chars();
                out.extend(chars.next());
                rest = chars.as_str();
                continue;
            }
            let (word, after) = rest.split_at(length);
            out.push_str(&self.word(word));
            rest = after;
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        let is_hex = |text: &str| text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if word.len() == 64 && is_hex(word) {
            return "{hash}".to_owned();
        }
        let Some((kind, rest)) = word.rsplit_once('_') else {
            return word.to_owned();
        };
        let is_ulid = rest.len() == 26
            && rest
                .bytes()
                .all(|b| matches!(b, b'0'..=b'9' | b'A'..=b'Z') && !matches!(b, b'I' | b'L' | b'O' | b'U'));
        let is_sandbox = matches!((kind, rest.len()), (_, 24) | ("req", 16)) && is_hex(rest);
        if !is_ulid && !is_sandbox {
            return word.to_owned();
        }
        if let Some(name) = self.names.get(word) {
            return name.clone();
        }
        let kind = if is_ulid {
            kind.to_owned()
        } else {
            format!("psp-{kind}")
        };
        let count = self.counts.entry(kind.clone()).or_default();
        *count += 1;
        let name = format!("{{{kind}{count}}}");
        self.names.insert(word.to_owned(), name.clone());
        name
    }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// An RFC 3339 time at the beginning of the text: how long it is, and its placeholder.
fn time(text: &str) -> Option<(usize, &'static str)> {
    let fits = |form: &str| {
        text.len() >= form.len()
            && form.bytes().zip(text.bytes()).all(|(form, b)| match form {
                b'0' => b.is_ascii_digit(),
                form => form == b,
            })
    };
    for (form, name) in [
        ("0000-00-00T00:00:00Z", "{time}"),
        ("0000-00-00T00:00:00.000Z", "{time_ms}"),
    ] {
        if fits(form) {
            return Some((form.len(), name));
        }
    }
    None
}

/// The request as it is shown; its `path` and header values are filled in already.
pub(crate) fn request(
    normal: &mut Normal,
    ask: &Ask,
    path: &str,
    headers: &[(&str, Vec<u8>)],
    body: &[u8],
) -> String {
    let mut out = normal.text(&format!("> {} {path}\n", ask.method));
    for (name, value) in headers {
        let value = cut(&String::from_utf8_lossy(value));
        out.push_str(&normal.text(&format!("> {name}: {value}\n")));
    }
    if let Some(sign) = ask.sign {
        out.push_str(&format!("> (signed: {sign:?})\n"));
    }
    if !body.is_empty() {
        let body = cut(&String::from_utf8_lossy(body));
        out.push_str(&normal.text(&format!("> {body}\n")));
    }
    out
}

fn cut(text: &str) -> String {
    let visible = |c: char| match c.is_control() {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    };
    let text: String = text.chars().map(visible).collect();
    if text.len() <= SHOWN_BYTES_MAX {
        return text;
    }
    let head: String = text.chars().take(16).collect();
    format!("{head}… ({} bytes)", text.len())
}

/// The answer as it is shown.
pub(crate) fn answer(normal: &mut Normal, shown: Shown, answer: &Answer) -> String {
    let mut out = format!("< {}\n", answer.status);
    if shown == Shown::Code {
        let body = answer.json();
        let code = body.pointer("/error/code").or_else(|| body.pointer("/code"));
        out.push_str(&format!("< code: {}\n", code.unwrap_or(&Value::Null)));
        return out;
    }
    for name in HEADERS {
        if let Some(value) = answer.header(name) {
            out.push_str(&normal.text(&format!("< {name}: {value}\n")));
        }
    }
    if answer.body.is_empty() {
        return out;
    }
    let body = String::from_utf8_lossy(&answer.body);
    let body = match shown {
        Shown::WithoutTimeline => without_timeline(&body),
        Shown::Whole | Shown::Code => body.into_owned(),
    };
    out.push_str(&normal.text(&format!("< {body}\n")));
    out
}

/// The body's bytes with the timeline cut out: it is the last member of an attempt.
fn without_timeline(body: &str) -> String {
    match body.split_once("\"timeline\":[") {
        Some((before, _)) => format!("{before}\"timeline\":…}}"),
        None => body.to_owned(),
    }
}

/// A transcript's cases, each with its heading.
pub(crate) fn sections(transcript: &str) -> Vec<&str> {
    let mut starts: Vec<usize> = transcript.match_indices("\n## ").map(|(at, _)| at + 1).collect();
    starts.insert(0, 0);
    let ends = starts.iter().copied().skip(1).chain([transcript.len()]);
    starts
        .iter()
        .zip(ends)
        .filter_map(|(start, end)| transcript.get(*start..end))
        .collect()
}

/// The first lines at which two transcripts differ, for people.
pub(crate) fn difference(expected: &str, got: &str) -> Option<String> {
    if expected == got {
        return None;
    }
    let (mut case, mut number) = ("", 0);
    let (mut old, mut new) = (expected.lines(), got.lines());
    loop {
        number += 1;
        let (before, now) = (old.next(), new.next());
        if let Some(name) = before.and_then(|line| line.strip_prefix("## ")) {
            case = name;
        }
        if before != now || before.is_none() {
            return Some(format!(
                "line {number}, case {case}\n  expected: {}\n  came:     {}",
                before.unwrap_or("(the end)"),
                now.unwrap_or("(the end)")
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_times_and_hashes_are_replaced_and_nothing_else() {
        let mut normal = Normal::new(vec![("r1a2b3".to_owned(), "{run}")]);
        let id = "pa_5VR7E0725KY76VWWMDP89XGXNF";
        assert_eq!(
            normal.text(&format!(
                "/attempts/{id} r1a2b3-k1 {id} auth_01M802AH8ZD1ZSSN4QE50M4Z4F"
            )),
            "/attempts/{pa1} {run}-k1 {pa1} {auth1}"
        );
        assert_eq!(
            normal.text("\"2026-11-21T22:06:11Z\" 2026-11-21T22:06:11.484Z pi_cab389dd660a26bd00000001"),
            "\"{time}\" {time_ms} {psp-pi1}"
        );
        assert_eq!(normal.text("req_4cae63d74fe8f300"), "{psp-req1}");
        assert_eq!(normal.text(&"ab".repeat(32)), "{hash}");
        for other in [
            "pa_5vr7",
            "2026-11-21",
            "pm_card_visa",
            "ord_123",
            "é",
            "pa_5VR7E0725KY76VWWMDP89XGXNU",
        ] {
            assert_eq!(normal.text(other), other);
        }
    }

    #[test]
    fn a_difference_names_its_case_and_line() {
        assert_eq!(difference("a\nb\n", "a\nb\n"), None);
        let said = difference("## one\n< 200\n", "## one\n< 201\n").unwrap();
        assert!(
            said.contains("line 2, case one") && said.contains("< 201"),
            "{said}"
        );
        assert!(difference("a\n", "a\nb\n").unwrap().contains("(the end)"));
        assert!(difference("a\n", "a").is_some());
    }
}
