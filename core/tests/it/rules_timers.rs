//! Rule 11: who asks about what is under way takes care of its end, whatever timers, servers and swaps do.

use crate::support::{CREATE, DAY_MS, Kind, Told, World, timeout};

#[test]
fn rule_11_timers_that_fire_early_late_twice_or_at_the_wrong_server_do_no_harm() {
    for kind in Kind::ALL {
        let mut world = World::new(kind);
        let id = world.authorized();
        let (writes, money) = (world.writes, world.money_calls);
        for _ in 0..5 {
            world.wake(id);
        }
        assert_eq!(
            (world.writes, world.money_calls),
            (writes, money),
            "{kind:?}: early"
        );
        world.now_ms += 30 * DAY_MS;
        world.wake(id);
        world.wake(id);
        assert_eq!(
            (world.status(id).as_str(), world.money_calls),
            ("EXPIRED", money + 1),
            "{kind:?}: late, twice"
        );
    }
}

#[test]
fn rule_11_two_servers_that_wake_at_once_send_once() {
    let mut world = World::new(Kind::AcquirerKeyed);
    let id = world.create();
    world.script.push_back(Told::Hold);
    world.op(id, "authorize", "k2");
    world.now_ms = world.due(id).unwrap();
    let base = world.record(id);
    let input = pay_once_core::Input::Wake;
    let (a, b) = (
        world.decide(id, Some(&base), &input),
        world.decide(id, Some(&base), &input),
    );
    assert!(world.commit(id, a.write.as_ref().unwrap()));
    assert!(
        !world.commit(id, b.write.as_ref().unwrap()),
        "the second swap conflicts"
    );
    let (calls, _) = world.step(id, &input);
    assert!(calls.is_empty(), "handled again, it has nothing to send");
}

#[test]
fn rule_11_a_swap_whose_end_is_unknown_is_told_by_reading_back() {
    let mut world = World::new(Kind::Stripe);
    let id = world.create();
    let base = world.record(id);
    let pay_once_core::Routed::Attempt { input, .. } = world.route(
        "POST",
        &format!("/attempts/{id}/authorize"),
        &[("idempotency-key", "k2")],
        b"",
    ) else {
        panic!("routed");
    };
    let (a, b) = (
        world.decide(id, Some(&base), &input),
        world.decide(id, Some(&base), &input),
    );
    let (a, b) = (a.write.unwrap(), b.write.unwrap());
    assert!(world.commit(id, &a));
    let there = world.record(id);
    assert!(there.grew_from(&a.record), "mine was applied");
    assert!(
        !there.grew_from(&b.record),
        "the other's was not, though it says the same"
    );
    assert!(there.grew_from(&base));
}

#[test]
fn rule_11_a_timer_spent_on_a_deployment_without_the_psp_is_not_the_last() {
    let mut world = World::new(Kind::Stripe);
    let rests = world.create();
    world.script.push_back(Told::Lost(timeout()));
    let id = world.create_with("k9", CREATE);
    world.op(id, "authorize", "k2");
    let psps = std::mem::take(&mut world.config.psps);
    let due_ms = world.due(id).unwrap();
    world.wake_at(id, due_ms);
    assert!(world.due(id).unwrap() > due_ms, "it is looked again");
    world.wake(rests);
    assert_eq!(
        world.due(rests),
        None,
        "an attempt that waits for its client needs no timer"
    );

    world.config.psps = psps;
    world.settle(id, 1);
    assert_eq!(world.status(id), "AUTHORIZED");
}
