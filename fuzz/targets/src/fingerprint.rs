//! `fingerprint`: two bodies have one digest if, and only if, they mean the same (`docs/http.md`, “Same body”; RFC 8785). A
//! value is made, written in two ways, and changed; what is the same is decided here, without core.

use arbitrary::{Arbitrary, Unstructured};
use pay_once_core::base::fingerprint::Fingerprint;
use pay_once_core::contract::json::fingerprint;

/// Deepest nesting below the body's own object that core still reads.
const DEPTH_MAX: u8 = 3;
/// Most members or items of one object or list.
const ITEMS_MAX: u8 = 4;

/// A JSON value.
#[derive(Clone, Debug)]
pub enum Json {
    /// `null`.
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer, by its digits.
    Whole(i64),
    /// Any number: a double (RFC 8785, section 3.2.2.3), finite.
    Real(f64),
    /// A text.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object; no name is there twice.
    Object(Vec<(String, Json)>),
}

/// A request, as far as its digest goes.
#[derive(Clone, Debug)]
struct Asked {
    route: &'static str,
    parameter: &'static str,
    body: Json,
}

type Source<'a, 'b> = &'b mut Unstructured<'a>;

fn json(from: Source<'_, '_>, depth: u8) -> Json {
    let kinds = if depth < DEPTH_MAX { 8 } else { 6 };
    match byte(from) % kinds {
        0 => Json::Null,
        1 => Json::Bool(byte(from) % 2 == 1),
        2 => Json::Whole(i64::from(byte(from)) - 8),
        3 => Json::Whole(i64::arbitrary(from).unwrap_or(0)),
        4 => Json::Real(f64::arbitrary(from).ok().filter(|x| x.is_finite()).unwrap_or(0.5)),
        5 => Json::Text(word(from)),
        6 => Json::List(
            (0..byte(from) % ITEMS_MAX)
                .map(|_| json(from, depth + 1))
                .collect(),
        ),
        _ => object(from, depth + 1),
    }
}

fn object(from: Source<'_, '_>, depth: u8) -> Json {
    let mut members: Vec<(String, Json)> = Vec::new();
    for _ in 0..byte(from) % (ITEMS_MAX + 1) {
        let name = word(from);
        let value = json(from, depth);
        if members.iter().all(|(known, _)| *known != name) {
            members.push((name, value));
        }
    }
    Json::Object(members)
}

fn byte(from: Source<'_, '_>) -> u8 {
    u8::arbitrary(from).unwrap_or(0)
}

/// A short text: one of those that the contract knows, or any characters.
fn word(from: Source<'_, '_>) -> String {
    const KNOWN: [&str; 8] = [
        "amount", "currency", "order_id", "metadata", "GBP", "", "a", "\u{e9}",
    ];
    match byte(from) {
        choice @ 0..8 => KNOWN
            .get(usize::from(choice))
            .copied()
            .unwrap_or_default()
            .to_owned(),
        choice => (0..choice % 5).map(|_| character(from)).collect(),
    }
}

fn character(from: Source<'_, '_>) -> char {
    match byte(from) {
        choice @ 0..224 => char::from(choice % 128),
        // RFC 8785 sorts by UTF-16: characters beyond the first plane come before some within it.
        224..240 => char::from_u32(0xe000 + u32::from(byte(from)) * 31).unwrap_or('\u{fb33}'),
        _ => char::arbitrary(from).unwrap_or('\u{1f600}'),
    }
}

/// Writes a value; every choice of spelling is the source's.
fn write(value: &Json, from: Source<'_, '_>, out: &mut String) {
    space(from, out);
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(yes) => out.push_str(if *yes { "true" } else { "false" }),
        Json::Whole(number) => write_whole(*number, byte(from), out),
        Json::Real(number) => write_real(*number, byte(from), out),
        Json::Text(text) => write_text(text, from, out),
        Json::List(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                write(item, from, out);
            }
            out.push(']');
        }
        Json::Object(members) => {
            out.push('{');
            let first = usize::from(byte(from));
            let is_backwards = byte(from) % 2 == 1;
            for at in 0..members.len() {
                out.push_str(if at > 0 { "," } else { "" });
                let at = (at + first) % members.len();
                let at = if is_backwards { members.len() - 1 - at } else { at };
                let Some((name, value)) = members.get(at) else {
                    continue;
                };
                space(from, out);
                write_text(name, from, out);
                space(from, out);
                out.push(':');
                write(value, from, out);
            }
            out.push('}');
        }
    }
    space(from, out);
}

fn space(from: Source<'_, '_>, out: &mut String) {
    let choice = byte(from);
    if choice > 0 {
        out.push_str(
            ["", " ", "\n", "\t\r\n", "  "]
                .get(usize::from(choice) % 5)
                .copied()
                .unwrap_or_default(),
        );
    }
}

fn write_whole(number: i64, style: u8, out: &mut String) {
    // The digits are exact in any of these; a zero before other digits is no JSON.
    match style % if number == 0 { 3 } else { 4 } {
        1 => out.push_str(&format!("{number}.0")),
        2 => out.push_str(&format!("{number}e0")),
        3 => out.push_str(&format!("{number}0E-1")),
        _ => out.push_str(&number.to_string()),
    }
}

fn write_real(number: f64, style: u8, out: &mut String) {
    // Each of these reads back as the same double, by Rust's own account.
    let text = match style % 4 {
        1 => format!("{number:e}"),
        2 => format!("{number:E}").replace('E', "E+").replace("E+-", "E-"),
        3 => format!("{number:.17e}"),
        _ => format!("{number:?}"),
    };
    debug_assert_eq!(text.parse::<f64>().map(f64::to_bits), Ok(number.to_bits()));
    out.push_str(&text);
}

fn write_text(text: &str, from: Source<'_, '_>, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let style = byte(from);
        match (c, style % 3) {
            ('"' | '\\', 0 | 1) => out.extend(['\\', c]),
            ('/', 1) => out.push_str("\\/"),
            ('\n', 1) => out.push_str("\\n"),
            ('\t', 1) => out.push_str("\\t"),
            ('\u{8}', 1) => out.push_str("\\b"),
            ('\u{0}'..='\u{1f}', _) | (_, 2) => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    let digits = if style > 127 {
                        format!("{unit:04X}")
                    } else {
                        format!("{unit:04x}")
                    };
                    out.push_str("\\u");
                    out.push_str(&digits);
                }
            }
            (c, _) => out.push(c),
        }
    }
    out.push('"');
}

impl Json {
    /// Whether two values mean the same: numbers as doubles, objects without order.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(a), Self::Bool(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::List(a), Self::List(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.is_same(b))
            }
            (Self::Object(a), Self::Object(b)) => {
                let same = |(name, value): &(String, Json)| {
                    b.iter()
                        .any(|(other, there)| other == name && value.is_same(there))
                };
                a.len() == b.len() && a.iter().all(same)
            }
            (a, b) => match (a.double(), b.double()) {
                (Some(a), Some(b)) => a == b,
                _ => false,
            },
        }
    }

    #[allow(clippy::cast_precision_loss)] // That is what RFC 8785 says of numbers.
    fn double(&self) -> Option<f64> {
        match self {
            Self::Whole(number) => Some(*number as f64),
            Self::Real(number) => Some(*number),
            _ => None,
        }
    }

    /// Changes something, somewhere; perhaps to the same.
    fn change(&mut self, from: Source<'_, '_>) {
        let choice = byte(from);
        match self {
            Self::Object(members) if !choice.is_multiple_of(4) && !members.is_empty() => {
                let at = usize::from(choice) % members.len();
                if let Some((name, value)) = members.get_mut(at) {
                    match choice % 4 {
                        1 => value.change(from),
                        2 => *name = word(from),
                        _ => drop(members.remove(at)),
                    }
                }
            }
            Self::Object(members) => members.push((word(from), Self::Null)),
            Self::List(items) if !choice.is_multiple_of(4) && !items.is_empty() => {
                let at = usize::from(choice) % items.len();
                if choice % 4 == 1 {
                    items.swap(0, at);
                } else if let Some(item) = items.get_mut(at) {
                    item.change(from);
                }
            }
            Self::List(items) => items.push(Self::Null),
            Self::Real(number) => {
                let next = f64::from_bits(number.to_bits().wrapping_add(u64::from(choice % 4)));
                *number = if next.is_finite() { next } else { 0.0 };
            }
            Self::Whole(number) => *number = number.wrapping_add(i64::from(choice % 4)),
            Self::Text(text) if choice % 2 == 1 => text.push(character(from)),
            Self::Text(text) => drop(text.pop()),
            Self::Bool(_) | Self::Null => *self = json(from, DEPTH_MAX),
        }
    }

    /// Whether a name is there twice, anywhere: such a body is refused.
    fn repeats(&self) -> bool {
        match self {
            Self::List(items) => items.iter().any(Self::repeats),
            Self::Object(members) => members.iter().enumerate().any(|(at, (name, value))| {
                value.repeats() || members.iter().skip(at + 1).any(|(other, _)| other == name)
            }),
            _ => false,
        }
    }
}

impl Asked {
    /// # Panics
    /// If core reads a body that it must refuse, or the other way about.
    fn digest(&self, from: Source<'_, '_>) -> (Option<Fingerprint>, String) {
        let mut text = String::new();
        write(&self.body, from, &mut text);
        match fingerprint(self.route, self.parameter, text.as_bytes()) {
            Ok(digest) => {
                assert!(!self.body.repeats(), "a repeated member was read: {text}");
                (Some(digest), text)
            }
            Err(error) => {
                assert!(self.body.repeats(), "{}: {text}", error.message);
                (None, text)
            }
        }
    }
}

/// Nothing is to be prepared.
pub fn prepare() {}

/// One execution.
pub fn run(bytes: &[u8]) {
    let from = &mut Unstructured::new(bytes);
    let routes = ["create", "charge", "authorize", "capture"];
    let parameters = ["", "a", "ab"];
    let choice = byte(from);
    let asked = Asked {
        route: routes.get(usize::from(choice) % 4).copied().unwrap_or_default(),
        parameter: parameters
            .get(usize::from(choice / 4) % 3)
            .copied()
            .unwrap_or_default(),
        body: object(from, 0),
    };
    let (first, one) = asked.digest(from);
    let (second, two) = asked.digest(from);
    assert_eq!(first, second, "one meaning, two digests: {one} and {two}");
    let mut other = asked.clone();
    match byte(from) {
        0 => other.route = "void",
        1 => other.parameter = "b",
        _ => other.body.change(from),
    }
    let is_same =
        other.route == asked.route && other.parameter == asked.parameter && other.body.is_same(&asked.body);
    let (third, three) = other.digest(from);
    if let (Some(first), Some(third)) = (first, third) {
        assert_eq!(first == third, is_same, "{one} and {three}");
    }
}
