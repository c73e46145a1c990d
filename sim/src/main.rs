//! The `pay-once-sim` binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

use pay_once_sim::{met::Met, model, oracles, swarm};
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let (from, n) = (args[0], args[1]);
    let begin = std::time::Instant::now();
    let mut met = Met::default();
    let mut bad = std::collections::BTreeMap::<String, (u64, String, u64)>::new();
    for seed in from..from + n {
        let plan = swarm::plan(seed);
        let traced = model::run(&plan, n == 1);
        met.absorb(&traced.run.met);
        if n == 1 {
            print!("{}", plan.to_text());
            for line in &traced.trace {
                println!("{line:?}");
            }
        }
        if let Err(v) = oracles::judge(&traced.run) {
            let e = bad.entry(v.oracle.to_owned()).or_insert((
                0,
                format!("seed {seed} {:?}: {v}", plan.world.class),
                0,
            ));
            e.0 += 1;
            if n == 1 {
                for e in &traced.run.ledger {
                    println!("{e:?}");
                }
                for h in traced
                    .run
                    .heard
                    .iter()
                    .filter(|h| Some(h.ask.payment) == v.payment)
                {
                    println!(
                        "{}..{} {:?} {:?} {:?}",
                        h.began_ms,
                        h.ended_ms,
                        h.ask.role,
                        h.ask.op,
                        h.told
                            .as_ref()
                            .map(|t| (t.status, t.is_replay, t.shown.as_ref().map(|s| s.status)))
                    );
                    if h.ask.role == pay_once_sim::shopper::Role::Last {
                        println!("{}", String::from_utf8_lossy(&h.told.as_ref().unwrap().body));
                    }
                }
            }
        }
    }
    println!(
        "{:?} seeds/s {:.0}",
        begin.elapsed(),
        n as f64 / begin.elapsed().as_secs_f64()
    );
    println!("missing {:?}", met.missing());
    println!("{met:?}");
    for (o, (count, first, _)) in bad {
        println!("{o}: {count}: {first}");
    }
}
