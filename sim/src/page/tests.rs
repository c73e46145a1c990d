#![allow(missing_docs)]

use super::page;
use crate::model::run;
use crate::oracles::{Violation, judge};
use crate::plan::{Act, Class, Host, Plan, PspFault, Step};
use crate::swarm;
use crate::tier::Tier;
use crate::trace::{Kind, TraceLine, Traced};

fn forged(plan: &Plan, message: &str) -> Violation {
    Violation {
        oracle: "one effect",
        rule: "promise: safety",
        payment: plan.payments().next().map(|payment| payment.payment),
        at_ms: 1_000,
        message: message.to_owned(),
    }
}

/// Core believes that no request lands later than 300 ms; many do.
fn dishonest(seed: u64) -> Plan {
    let mut plan = swarm::plan(seed, Tier::Model);
    plan.world.class = Class::Queryable;
    plan.world.declared.max_in_flight_ms = 300;
    plan.steps.insert(
        0,
        Step {
            at_ms: 0,
            act: Act::Psp {
                fault: PspFault::Late,
                permille: 500,
                for_ms: 4_000,
            },
        },
    );
    plan
}

#[test]
fn a_page_is_whole_and_inert() {
    let plan = swarm::plan(3, Tier::Model);
    let Traced { run, mut trace } = run(&plan, true);
    trace.push(TraceLine {
        at_ms: run.ended_ms,
        until_ms: run.ended_ms,
        from: Host::Store,
        to: None,
        kind: Kind::Note,
        text: "</script><script>alert(1)</script><!--".to_owned(),
    });
    let violation = forged(&plan, "money moved <b>twice</b> & {{data}}");
    let html = page(
        "A run <i>",
        &plan,
        &trace,
        &run,
        Some(&violation),
        "sim replay \"3\"",
    );
    assert!(html.contains("money moved &lt;b&gt;twice&lt;/b&gt; &amp; {{data}}"));
    assert!(html.contains("\\u003c/script\\u003e\\u003cscript\\u003ealert(1)"));
    assert!(!html.contains("<script>alert") && !html.contains("<!--"));
    assert!(html.contains("<title>A run &lt;i&gt;</title>"));
    assert!(html.contains("value=\"sim replay &quot;3&quot;\""));
    assert_eq!(html.matches("</script>").count(), 2, "the data and the code");
    let own = [super::TEMPLATE, super::STYLE, super::SCRIPT].concat();
    for outside in [
        "http://", "https://", "src=", "href=", "@import", "url(", "fetch(",
    ] {
        assert!(!own.contains(outside), "{outside}");
    }
}

#[test]
fn a_page_needs_no_violation() {
    let plan = swarm::plan(4, Tier::Model);
    let Traced { run, trace } = run(&plan, true);
    assert!(page("Kept", &plan, &trace, &run, None, "").contains("Every promise was kept"));
}

/// `PAGE_TO=/tmp/page.html PAGE_SEED=7 cargo test -p pay-once-sim --lib a_page_to_look_at -- --ignored`: from that seed
/// on, the first run that breaks a promise because core was told a lie; `PAGE_HONEST=1`: that seed as it is.
#[test]
#[ignore = "writes a page for people"]
fn a_page_to_look_at() {
    let seed: u64 = std::env::var("PAGE_SEED").map_or(1, |seed| seed.parse().unwrap());
    let path = std::env::var("PAGE_TO").unwrap();
    let is_honest = std::env::var("PAGE_HONEST").is_ok();
    for seed in seed.. {
        let plan = if is_honest {
            swarm::plan(seed, Tier::Model)
        } else {
            dishonest(seed)
        };
        let Traced { run, trace } = run(&plan, true);
        let verdict = judge(&run);
        if verdict.is_ok() && !is_honest {
            continue;
        }
        let violation = verdict.err();
        let replay = format!("pay-once-sim replay --seed {seed}");
        let title = format!("Pay Once: seed {seed}");
        let html = page(&title, &plan, &trace, &run, violation.as_ref(), &replay);
        std::fs::write(&path, html).unwrap();
        eprintln!("{path}: seed {seed}, {} lines: {violation:?}", trace.len());
        return;
    }
}
