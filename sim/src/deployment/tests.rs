use super::stretch::Ratio;
use super::*;
use crate::plan::{Act, PspFault, Token};

fn text(psp: &str) -> String {
    format!(
        "installation = \"shop\"\n[merchants.shop]\npsp = \"p\"\napi_key_sha256_env = \"DIGESTS\"\n[psps.p]\nbase_url = \"https://psp.example\"\napi_key_env = \"KEY\"\nwebhook_secret_file = \"/nowhere\"\n{psp}"
    )
}

const STRIPE: &str =
    "face = \"stripe\"\nkeyed_horizon_ms = 86400000\naddressable = true\nlookup_lag_ms = 10000\n";

#[test]
fn every_class_of_a_configuration_has_its_class_in_plans() {
    for (psp, class) in [
        (STRIPE, Class::Stripe),
        (
            "face = \"stripe\"\naddressable = true\nlookup_lag_ms = 1",
            Class::Addressable,
        ),
        ("face = \"acquirer\"\nkeyed_horizon_ms = 86400000", Class::Keyed),
        ("face = \"acquirer\"\nlookup_lag_ms = 1", Class::Queryable),
        (
            "face = \"acquirer\"\nlookup_lag_ms = 1\nkeyed_horizon_ms = 86400000",
            Class::KeyedQueryable,
        ),
        ("face = \"acquirer\"", Class::Blind),
    ] {
        let deployment = Deployment::from_text(&text(psp)).unwrap();
        assert_eq!(deployment.psp_of(7).class, class);
        assert_eq!(deployment.plan(7).world.class, class);
    }
}

#[test]
fn what_cannot_be_simulated_is_refused_in_one_sentence() {
    for (psp, words) in [
        (
            "face = \"stripe\"\nlookup_lag_ms = 1",
            "psp \"p\": only a Stripe whose PaymentIntents are read by id",
        ),
        ("face = \"stripe\"\naddressable = true", "declare lookup_lag_ms"),
        ("face = \"acquirer\"\naddressable = true", "no objects to address"),
        (
            "face = \"acquirer\"\nkeyed_horizon_ms = 5",
            "keyed_horizon_ms must exceed",
        ),
        (
            "face = \"acquirer\"\n[psps.p.timing]\naction_timeout_ms = 99999999999",
            "more than 400 days",
        ),
        (
            "face = \"acquirer\"\n[psps.p.timing]\ncapture_margin_ms = 604800000",
            "capture_margin_ms must be below",
        ),
        ("face = \"aquirer\"", "line 9: unknown variant `aquirer`"),
        ("face = ", "line 9: "),
    ] {
        let why = Deployment::from_text(&text(psp)).unwrap_err();
        assert!(why.contains(words) && !why.contains('\n'), "{words}: {why}");
    }
    let why = Deployment::from_text("[merchants]\n[psps]").unwrap_err();
    assert!(why.contains("no psp is configured"), "{why}");
    let why = Deployment::read(Path::new("/no/such.toml")).unwrap_err();
    assert!(why.starts_with("/no/such.toml cannot be read: "), "{why}");
}

#[test]
fn times_go_with_the_constants() {
    let deployment = Deployment::from_text(&text(STRIPE)).unwrap();
    let psp = deployment.psp_of(0);
    for seed in 0..200 {
        let plan = deployment.plan(seed);
        let (world, ordinary) = (
            &plan.world,
            swarm::plan_for(seed, Tier::Model, Some((Class::Stripe, None))),
        );
        assert_eq!((world.truth, world.declared), (psp.constants, psp.constants));
        assert_eq!(world.policy, Some(psp.policy));
        assert!(world.psp_late_ms <= world.truth.max_in_flight_ms);
        let (most, least) = (world.clocks_ms.iter().max(), world.clocks_ms.iter().min());
        assert!(
            most.zip(least).is_none_or(|(most, least)| most - least <= 2_000),
            "{:?}",
            world.clocks_ms
        );
        assert!(world.patience_ms > world.authorization_ms + world.action_ms);
        assert_eq!(plan.steps.len(), ordinary.steps.len());
        assert!(plan.steps.is_sorted_by_key(|step| step.at_ms));
        // A process that is paused may be killed when all else is over.
        let mut before = plan
            .steps
            .iter()
            .filter(|step| !matches!(step.act, Act::Crash { .. }));
        assert!(before.all(|step| step.at_ms < world.heal_ms));
        for (step, was) in plan.steps.iter().zip(&ordinary.steps) {
            match (&step.act, &was.act) {
                (Act::Hold { for_ms, .. }, _) => {
                    assert!(world.psp_late_ms + for_ms <= world.truth.max_in_flight_ms);
                }
                (Act::Pay(payment), Act::Pay(before)) => {
                    assert_eq!(payment.merchant, 0, "there is one merchant");
                    if let (Token::Secure(after_ms), Token::Secure(before_ms)) = (payment.token, before.token)
                    {
                        let is_in_time = after_ms <= world.action_ms;
                        assert_eq!(is_in_time, before_ms <= ordinary.world.action_ms);
                    }
                }
                _ => {}
            }
        }
    }
}

#[test]
fn a_plan_is_its_text_and_each_psp_has_its_turn() {
    let two = text(STRIPE) + "[psps.q]\nface = \"acquirer\"\nbase_url = \"https://q\"\napi_key_env = \"Q\"\n";
    let deployment = Deployment::from_text(&two).unwrap();
    let names: Vec<&str> = (0..4).map(|seed| deployment.psp_of(seed).name.as_str()).collect();
    assert_eq!(names, ["p", "q", "p", "q"]);
    for seed in 0..100 {
        let plan = deployment.plan(seed);
        assert_eq!(Plan::from_text(&plan.to_text()).unwrap(), plan);
        assert!(plan.is_honest());
    }
    // The same constants, and the other face: in one world.
    assert_eq!(deployment.plan(0).world.second, Some(Class::Blind));
    assert_eq!(deployment.plan(1).world.second, Some(Class::Stripe));
    let other = two + "[psps.q.timing]\nmax_in_flight_ms = 300000\n";
    let deployment = Deployment::from_text(&other).unwrap();
    assert_eq!(deployment.plan(0).world.second, None);
    assert_eq!(deployment.plan(1).world.truth.max_in_flight_ms, 300_000);
}

#[test]
fn a_ratio_keeps_what_is_there() {
    let third = Ratio::new(1, 3);
    assert_eq!([third.of(0), third.of(1), third.of(9)], [0, 1, 3]);
    assert_eq!(Ratio::new(u64::MAX, 1).of(2), u64::MAX);
    assert_eq!(Ratio::new(10, 1).at_most(third).of(30), 10);
}

#[test]
fn every_pace_occurs() {
    let deployment = Deployment::from_text(&text(STRIPE)).unwrap();
    let heals = (0..100).map(|seed| deployment.plan(seed).world.heal_ms);
    let mut heals: Vec<u64> = heals.collect();
    heals.sort_unstable();
    assert!(heals.first().is_some_and(|ms| *ms <= 6_500));
    assert!(heals.last().is_some_and(|ms| *ms > 6 * 86_400_000));
    let has = |fault: PspFault| {
        (0..100).any(|seed| {
            let plan = deployment.plan(seed);
            plan.steps
                .iter()
                .any(|step| matches!(step.act, Act::Psp { fault: f, for_ms, .. } if f == fault && for_ms > 3_600_000))
        })
    };
    assert!(has(PspFault::HangAfter) && has(PspFault::Late));
}
