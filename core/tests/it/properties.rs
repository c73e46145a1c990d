//! Random interleavings of clients, crashes, lost and late answers, repeated and reordered webhooks and two servers,
//! against a truthful PSP of every class, within the fault model (`docs/faults.md`): safety at every step, liveness at the end
//! (`docs/promise.md`).

use std::collections::BTreeMap;

use pay_once_core::journal::entry::Fact;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::adversary::{Act, Case, Run};
use crate::support::{Kind, LOOKUP_LAG_MS};

fn acts() -> impl Strategy<Value = Vec<Act>> {
    prop::collection::vec(any::<Act>(), 0..60)
}

fn tokens() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        &[
            "pm_card_visa",
            "pm_card_visa",
            "pm_card_visa",
            "pm_card_declined",
            "pm_card_3ds",
        ][..],
    )
}

fn play(case: Case, acts: &[Act]) -> Run {
    let mut run = Run::new(case);
    // Money is asked for in most runs.
    run.act((0, 0, 1));
    if case.late {
        // The first request is on its way for longer than any may be, and is looked for until it is given up.
        if case.kind == Kind::StripeNoKeys {
            run.act((4, 0, 0));
        }
        run.act((4, 0, 3));
        for _ in 0..12 {
            run.act((14, 0, 0));
            run.act((4, 0, 0));
        }
    }
    for act in acts {
        run.act(*act);
    }
    run.end();
    run
}

fn cases(kinds: &'static [Kind], late: bool) -> impl Strategy<Value = Case> {
    let flags = (any::<bool>(), prop::bool::weighted(0.8), any::<bool>());
    (prop::sample::select(kinds), tokens(), flags).prop_map(
        move |(kind, token, (automatic, patient, lags))| Case {
            kind,
            // Two 3-D Secures of one attempt, both finished, cannot be told apart by an acquirer's webhooks.
            token: if late { "pm_card_visa" } else { token },
            automatic,
            late,
            patient,
            listing_lag_ms: u64::from(lags) * LOOKUP_LAG_MS,
        },
    )
}

/// Classes that can find out what became of a request whose key nobody knows.
const UNKEYED: [Kind; 2] = [Kind::AcquirerQueryable, Kind::StripeNoKeys];

macro_rules! money_moves_once {
    ($($name:ident: $kind:expr,)*) => {
        proptest! {
            #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 2_000, ..ProptestConfig::default() })]
            $(
                #[test]
                fn $name(case in cases(&[$kind], false), acts in acts()) {
                    play(case, &acts);
                }
            )*
        }
    };
}

money_moves_once! {
    money_moves_once_stripe: Kind::Stripe,
    money_moves_once_stripe_no_keys: Kind::StripeNoKeys,
    money_moves_once_stripe_listed: Kind::StripeListed,
    money_moves_once_acquirer_keyed: Kind::AcquirerKeyed,
    money_moves_once_acquirer_queryable: Kind::AcquirerQueryable,
    money_moves_once_acquirer_keyed_queryable: Kind::AcquirerKeyedQueryable,
    money_moves_once_blind: Kind::Blind,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    /// Requests that land later than the PSP declared can double an effect. Once all answers have come, one is left.
    #[test]
    fn rule_08_broken_assumptions_are_compensated(case in cases(&UNKEYED, true), acts in acts()) {
        play(case, &acts);
    }
}

/// An adversary that never gets to do harm proves nothing: what it did is counted.
#[test]
fn the_adversary_meets_what_it_is_for() {
    let mut runner = TestRunner::deterministic();
    let (acts, honest, late) = (acts(), cases(&Kind::ALL, false), cases(&UNKEYED, true));
    let mut met: BTreeMap<String, usize> = BTreeMap::new();
    for round in 0..160 {
        let case = if round % 2 == 0 {
            honest.new_tree(&mut runner)
        } else {
            late.new_tree(&mut runner)
        };
        let case = case.unwrap().current();
        let run = play(case, &acts.new_tree(&mut runner).unwrap().current());
        let record = run.world.record(run.id);
        let mut meet = |what: &str| *met.entry(what.to_owned()).or_default() += 1;
        meet(&format!("{:?}", run.seen));
        for entry in record.entries() {
            match &entry.fact {
                Fact::Inferred { conclusion } => {
                    meet(
                        format!("{conclusion:?}")
                            .split_whitespace()
                            .next()
                            .unwrap_or_default(),
                    );
                }
                Fact::Observed { source, evidence, .. } => {
                    meet(
                        format!("{source:?}")
                            .split_whitespace()
                            .next()
                            .unwrap_or_default(),
                    );
                    meet(
                        format!("{:?}", evidence.signal)
                            .split_whitespace()
                            .next()
                            .unwrap_or_default(),
                    );
                }
                _ => {}
            }
        }
        if run.world.ledger.authorizations() > 1 {
            meet("two authorizations");
        }
        if run.conflicts > 0 {
            meet("conflicts");
        }
    }
    for what in [
        "Captured",
        "Voided",
        "Declined",
        "Expired",
        "NoEffect",
        "NotCarriedOut",
        "Parked",
        "Unwanted",
        "Response",
        "Webhook",
        "Lookup",
        "Prepared",
        "ActionRequired",
        "Refused",
        "Unknown",
        "NotSent",
        "two authorizations",
        "conflicts",
    ] {
        assert!(
            met.get(what).is_some_and(|count| *count >= 2),
            "{what} was hardly met: {met:#?}"
        );
    }
}
