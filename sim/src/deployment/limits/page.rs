//! The table, as Markdown.

use std::fmt::Write as _;

use super::{Constant, FACTORS, Row};
use crate::batch::rate_bound;

/// So many failures of a batch are kept.
const FAILURES_MAX: u64 = crate::batch::FAILURES_MAX as u64;

/// The page. `command` begins the command that prints a row's plan.
#[must_use]
pub fn page(rows: &[Row], seeds: u64, command: &str) -> String {
    let largest = FACTORS.last().copied().unwrap_or_default();
    let mut text = format!(
        "# How far this deployment's constants carry\n\nCore is told what the configuration declares. The PSP is worse than that by a factor: it forgets keys sooner, or takes longer.\nEach factor has {seeds} seeds that are aimed at the constant, until something breaks that holds with a PSP as declared. Factors: {}.\n\"No harm\" in {seeds} seeds bounds the share of such seeds that are harmed below {:.2} %, with 95 % confidence; it is no promise.\n\n| PSP | class | constant | declared | no harm up to | harm from | what broke | seeds harmed | seed |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        FACTORS.map(factor).join(", "),
        100.0 * rate_bound(seeds),
    );
    for row in rows {
        let declared = format!("{} ms", row.declared_ms);
        let value = |permille| {
            let ms = row.constant.worse_ms(row.declared_ms, permille);
            format!("{}{} ({ms} ms)", sign(row.constant), factor(permille))
        };
        let (from, what, harmed, seed) = match &row.harm {
            Some((permille, failure, harmed)) => (
                value(*permille),
                failure.violation.to_string().replace('|', "\\|"),
                match *harmed {
                    FAILURES_MAX.. => format!("{FAILURES_MAX} or more"),
                    harmed => harmed.to_string(),
                },
                failure.seed.to_string(),
            ),
            None => (
                format!(
                    "no harm up to {}{} in {seeds} seeds",
                    sign(row.constant),
                    factor(largest)
                ),
                String::new(),
                "0".to_owned(),
                String::new(),
            ),
        };
        let harmless = match row.harmless {
            super::AS_DECLARED => "as declared".to_owned(),
            permille => value(permille),
        };
        let _ = writeln!(
            text,
            "| {} | {} | `{}` | {declared} | {harmless} | {from} | {what} | {harmed} | {seed} |",
            row.psp,
            row.class.name(),
            row.constant.name(),
        );
    }
    let _ = writeln!(
        text,
        "\nThe plan of a row: `{command} --replay PSP/CONSTANT/FACTOR SEED > plan.txt`, and then `replay plan.txt`."
    );
    for row in rows.iter().filter(|row| !row.control.is_empty()) {
        for failure in &row.control {
            let _ = writeln!(
                text,
                "\nNOT CLEAN AS DECLARED: {}, `{}`, seed {}: {}",
                row.psp,
                row.constant.name(),
                failure.seed,
                failure.violation
            );
        }
    }
    text
}

/// A horizon is divided, all else is multiplied.
fn sign(constant: Constant) -> &'static str {
    if constant == Constant::Horizon {
        "\u{f7}"
    } else {
        "\u{d7}"
    }
}

fn factor(permille: u64) -> String {
    let text = format!("{}.{:03}", permille / 1_000, permille % 1_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
