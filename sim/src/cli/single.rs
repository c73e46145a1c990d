//! One plan: replay and shrink.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use pay_once_sim::plan::Plan;
use pay_once_sim::seen::Heard;
use pay_once_sim::shopper::Role;
use pay_once_sim::shrink::shrink;
use pay_once_sim::tier::carry_out;
use pay_once_sim::world::EPOCH_MS;

use super::whose::{Whose, quoted};
use super::{exit, report};

/// One run, told line by line.
#[derive(Debug, Args)]
pub(super) struct Replay {
    /// A seed, or a file with a plan.
    what: String,
    #[command(flatten)]
    whose: Whose,
    /// Only lines with this in them (an attempt's id, a key, a host).
    #[arg(long)]
    grep: Option<String>,
    /// Only lines about this payment, and its timeline as the last look showed it.
    #[arg(long)]
    payment: Option<u32>,
    /// Where to write the page with the space-time diagram.
    #[arg(long)]
    page: Option<PathBuf>,
    /// With this planted bug (needs the build of `sim/with-bugs`).
    #[arg(long)]
    bug: Option<String>,
}

/// A failing plan, made small.
#[derive(Debug, Args)]
pub(super) struct Shrink {
    /// A seed, or a file with a plan.
    what: String,
    #[command(flatten)]
    whose: Whose,
    /// Where to write the small plan; standard output unless given.
    #[arg(long)]
    out: Option<PathBuf>,
}

/// Puts a bug into this thread for as long as what is returned lives.
#[cfg(feature = "planted")]
fn plant(name: &str) -> Result<impl Drop + use<>, String> {
    use pay_once_core::planted::{Bug, select};
    let bug = Bug::named(name).ok_or_else(|| format!("there is no planted bug \"{name}\""))?;
    Ok(select(Some(bug)))
}

#[cfg(not(feature = "planted"))]
fn plant(_: &str) -> Result<(), String> {
    Err("bugs are not in this build. Run: sim/with-bugs replay ...".to_owned())
}

impl Replay {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let (plan, source) = self.whose.plan_of(&self.what)?;
        let judged = {
            let _planted = self.bug.as_deref().map(plant).transpose()?;
            carry_out(&plan, source.tier, true)
        };
        let about = self.payment.map(|number| words_of(&plan, number)).transpose()?;
        let is_meant = |text: &str| {
            let is_about = |words: &Vec<String>| words.iter().any(|word| text.contains(word.as_str()));
            self.grep.as_ref().is_none_or(|part| text.contains(part)) && about.as_ref().is_none_or(is_about)
        };
        for line in &judged.traced.trace {
            let to = line.to.map_or(String::new(), |to| format!(" -> {to:?}"));
            let text = format!(
                "{:>6} ms  {:?}{to}: {:?}: {}",
                line.at_ms, line.from, line.kind, line.text
            );
            if is_meant(&text) {
                println!("{text}");
            }
        }
        println!("\nledger:");
        for event in judged
            .traced
            .run
            .ledger
            .iter()
            .filter(|event| is_meant(&event.attempt_id))
        {
            println!(
                "  {} ms {:?} {} {} {} {} {}",
                event.at_ms.saturating_sub(EPOCH_MS),
                event.operation,
                event.attempt_id,
                event.amount_minor,
                event.id,
                event.declined.as_deref().unwrap_or(""),
                event.cause.map(|cause| format!("{cause:?}")).unwrap_or_default()
            );
        }
        if let Some(number) = self.payment {
            timeline(&judged.traced.run.heard, number);
        }
        println!("digest: {}", judged.traced.digest());
        if let Some(path) = &self.page {
            let command = source.command("replay", quoted(&self.what));
            report::page(path, &self.what, &plan, &judged, &command)?;
            println!("page: {}", path.display());
        }
        match &judged.violation {
            Some(violation) => println!("VIOLATION: {violation}"),
            None => println!("no violation"),
        }
        Ok(exit(judged.violation.is_none()))
    }
}

impl Shrink {
    pub(super) fn run(self) -> Result<ExitCode, String> {
        let (plan, source) = self.whose.plan_of(&self.what)?;
        let bar = indicatif::ProgressBar::new_spinner();
        let tell =
            |steps: usize, tried: u32| bar.set_message(format!("{steps} steps left, {tried} plans tried"));
        let Some(small) = shrink(&plan, source.tier, &tell) else {
            return Err(format!(
                "{} does not fail in the {} tier",
                self.what,
                source.tier.name()
            ));
        };
        bar.finish_and_clear();
        eprintln!(
            "from {} steps to {}, in {} runs",
            plan.steps.len(),
            small.plan.steps.len(),
            small.tried
        );
        if let Some(violation) = carry_out(&small.plan, source.tier, false).violation {
            eprintln!("still: {violation}");
        }
        match &self.out {
            Some(path) => std::fs::write(path, small.plan.to_text())
                .map_err(|error| format!("{}: {error}", path.display()))?,
            None => print!("{}", small.plan.to_text()),
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// What lines about a payment have in them: its address, and what its keys begin with.
fn words_of(plan: &Plan, number: u32) -> Result<Vec<String>, String> {
    let payment = plan
        .payment(number)
        .ok_or_else(|| format!("the plan has no payment {number}"))?;
    println!(
        "{}",
        serde_json::to_string(payment).map_err(|error| error.to_string())?
    );
    Ok(vec![plan.attempt_of(payment).to_string(), payment.key("")])
}

/// The timeline as the last look at a payment's attempt showed it.
fn timeline(heard: &[Heard], number: u32) {
    let mut looks = heard.iter().rev();
    let last = looks.find(|heard| heard.ask.payment == number && heard.ask.role == Role::Last);
    let Some(told) = last.and_then(|last| last.told.as_ref()) else {
        return println!("\nnobody had an answer to the last look");
    };
    println!("\nthe last look: {}", told.status);
    match serde_json::from_slice::<serde_json::Value>(&told.body) {
        Ok(mut body) => {
            let entries = body.get_mut("timeline").map(serde_json::Value::take);
            println!("  {body}");
            for entry in entries
                .as_ref()
                .and_then(|entries| entries.as_array())
                .into_iter()
                .flatten()
            {
                println!("  {entry}");
            }
        }
        Err(_) => println!("  {}", String::from_utf8_lossy(&told.body)),
    }
}
