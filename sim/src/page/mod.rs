//! A run as a page: one self-contained HTML file with a space-time diagram. Hosts are vertical lanes, time goes down,
//! a message is a slanted line. Everything that is needed is inside: no network, no fonts, no other files.

mod data;
mod faults;
mod words;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::oracles::Violation;
use crate::plan::{Constants, Plan};
use crate::seen::Run;
use crate::trace::TraceLine;

const TEMPLATE: &str = include_str!("page.html");
pub(crate) const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Draws a run.
///
/// `trace` must be in order of time. A line belongs to a payment if its text names the attempt (`pa_…`) or a key
/// (`p3-capture`); what clients asked and were told, and the money, is taken from `run`. Shown at first is what
/// concerns `violation`, and the faults.
#[must_use]
pub fn page(
    title: &str,
    plan: &Plan,
    trace: &[TraceLine],
    run: &Run,
    violation: Option<&Violation>,
    replay_command: &str,
) -> String {
    let data = data::collect(plan, trace, run, violation);
    // Numbers, text and lists of them: writing them does not fail.
    let data = serde_json::to_string(&data).unwrap_or_else(|_| "null".to_owned());
    fill(TEMPLATE, |name| match name {
        "title" => escape(title),
        "style" => STYLE.to_owned(),
        "script" => SCRIPT.to_owned(),
        "verdict" => verdict(violation),
        "facts" => facts(plan, run, trace.len()),
        "replay" => escape(replay_command),
        "plan" => escape(&plan.to_text()),
        "data" => inert(&data),
        _ => String::new(),
    })
}

/// Puts text in place of each `{{name}}`. What is put in is not looked at again.
pub(crate) fn fill(template: &str, value: impl Fn(&str) -> String) -> String {
    let mut parts = template.split("{{");
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once("}}") {
            Some((name, rest)) => {
                filled.push_str(&value(name));
                filled.push_str(rest);
            }
            None => filled.push_str(part),
        }
    }
    filled
}

/// Text as it may stand in an element or an attribute.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

/// JSON as it may stand in a script element: nothing in it can end the element or begin a comment.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn verdict(violation: Option<&Violation>) -> String {
    let Some(violation) = violation else {
        return "<div class=\"verdict kept\"><b>Every promise was kept.</b></div>".to_owned();
    };
    let whose = match violation.payment {
        Some(payment) => format!(", payment {payment}"),
        None => String::new(),
    };
    format!(
        "<div class=\"verdict broken\" role=\"alert\"><b>A promise was broken: {}</b> <span>{}{whose}, at {} ms</span>\
         <p>{}</p></div>",
        escape(violation.oracle),
        escape(violation.rule),
        violation.at_ms,
        escape(&violation.message),
    )
}

/// What one has to know of the run, each with its name.
fn facts(plan: &Plan, run: &Run, lines: usize) -> String {
    let world = &plan.world;
    let clocks: Vec<String> = world.clocks_ms.iter().map(|ms| format!("{ms:+} ms")).collect();
    let mut facts = vec![
        ("seed", world.seed.to_string()),
        (
            "PSP",
            format!("{}: {}", world.class.name(), words::about(world.class)),
        ),
        ("server clocks", clocks.join(", ")),
        ("faults end", format!("{} ms", world.heal_ms)),
        ("run ends", format!("{} ms, after {lines} lines", run.ended_ms)),
    ];
    let told = differences(&world.truth, &world.declared);
    if !told.is_empty() {
        facts.push(("core was told", told));
    }
    if !plan.is_honest() {
        facts.push(("not honest", "an assumption is broken on purpose".to_owned()));
    }
    let class = |name: &str| {
        if name == "core was told" {
            " class=\"lie\""
        } else {
            ""
        }
    };
    let mut html = String::new();
    for (name, value) in facts {
        let _ = write!(
            html,
            "<div{}><dt>{name}</dt><dd>{}</dd></div>",
            class(name),
            escape(&value)
        );
    }
    html
}

/// Where core was told something else than the truth.
fn differences(truth: &Constants, declared: &Constants) -> String {
    let all = [
        ("horizon_ms", truth.horizon_ms, declared.horizon_ms),
        (
            "max_in_flight_ms",
            truth.max_in_flight_ms,
            declared.max_in_flight_ms,
        ),
        ("lookup_lag_ms", truth.lookup_lag_ms, declared.lookup_lag_ms),
        ("skew_ms", truth.skew_ms, declared.skew_ms),
    ];
    let differing = all.iter().filter(|(_, truth, declared)| truth != declared);
    let told: Vec<String> = differing
        .map(|(name, truth, declared)| format!("{name} = {declared} (the truth is {truth})"))
        .collect();
    told.join(", ")
}
