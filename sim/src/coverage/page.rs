//! The page: which shapes runs reached, and which they did not. One self-contained HTML file.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::tally::{class_of, parts_of};
use super::{KNOWN, Row, Tally};
use crate::page::{STYLE, escape, fill};

const TEMPLATE: &str = include_str!("coverage.html");
const OWN_STYLE: &str = include_str!("coverage.css");

/// Draws a tally. `title` says what was run, `command` runs it again.
#[must_use]
pub fn page(title: &str, tally: &Tally, command: &str) -> String {
    let rows = tally.rows();
    fill(TEMPLATE, |name| match name {
        "title" => escape(title),
        "style" => format!("{STYLE}{OWN_STYLE}"),
        "command" => escape(command),
        "runs" => tally.runs.to_string(),
        "figures" => figures(&rows),
        "classes" => classes(tally, &rows),
        _ => String::new(),
    })
}

/// Parts of a hundred, rounded down: 100 means all.
fn percent(row: &Row) -> usize {
    (row.reached * 100).checked_div(row.known).unwrap_or(100)
}

fn figures(rows: &[Row]) -> String {
    let mut html = String::new();
    for row in rows {
        let class = escape(&row.class);
        let link = if row.class == "all" {
            class
        } else {
            format!("<a href=\"#{class}\">{class}</a>")
        };
        let percent = percent(row);
        let _ = write!(
            html,
            "<tr><th scope=\"row\">{link}</th><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{percent} %</td>\
             <td><meter min=\"0\" max=\"100\" value=\"{percent}\">{percent} %</meter></td><td class=\"n\">{}</td></tr>",
            row.reached, row.known, row.beyond
        );
    }
    html
}

fn classes(tally: &Tally, rows: &[Row]) -> String {
    let mut by_class: BTreeMap<&str, BTreeMap<&str, Vec<&str>>> = BTreeMap::new();
    let known: BTreeSet<&str> = KNOWN.lines().collect();
    let all: BTreeSet<&str> = known
        .iter()
        .copied()
        .chain(tally.reached.keys().map(String::as_str))
        .collect();
    for line in all {
        let statuses = by_class.entry(class_of(line)).or_default();
        statuses.entry(parts_of(line).0).or_default().push(line);
    }
    let mut html = String::new();
    for (class, statuses) in by_class {
        let figure = rows
            .iter()
            .find(|row| row.class == class)
            .map_or(String::new(), |row| format!("{} of {}", row.reached, row.known));
        let class = escape(class);
        let _ = write!(
            html,
            "<section id=\"{class}\"><h2>{class} <small>{figure}</small></h2>"
        );
        for (status, lines) in statuses {
            html.push_str(&of_status(status, &lines, tally, &known));
        }
        html.push_str("</section>");
    }
    html
}

fn of_status(status: &str, lines: &[&str], tally: &Tally, known: &BTreeSet<&str>) -> String {
    let in_list = lines.iter().filter(|line| known.contains(*line));
    let total = in_list.clone().count();
    let reached = in_list.filter(|line| tally.count(line) > 0).count();
    let open = if reached < total { " open" } else { "" };
    let mut html = format!(
        "<details{open}><summary><b>{}</b> <small>{reached} of {total}</small></summary><ul>",
        escape(status)
    );
    for line in lines {
        let count = tally.count(line);
        let (class, mark) = match (known.contains(line), count) {
            (true, 0) => ("missed", "not reached".to_owned()),
            (true, count) => ("reached", count.to_string()),
            (false, count) => ("beyond", count.to_string()),
        };
        let _ = write!(
            html,
            "<li class=\"{class}\"><span class=\"n\">{mark}</span> {}</li>",
            escape(parts_of(line).1)
        );
    }
    html.push_str("</ul></details>");
    html
}
