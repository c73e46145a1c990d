//! Rule 7: evidence is merged commutatively, associatively and idempotently, and any order of a truthful PSP's
//! messages ends in the same place.

use pay_once_core::journal::evidence::{Answered, Effect, EffectKind, Evidence, Knowledge, Signal};
use pay_once_core::{AttemptId, UnixMillis};
use proptest::prelude::*;
use serde_json::Value;

use crate::support::{CREATE, Kind, Told, World, timeout};

fn effects() -> impl Strategy<Value = Effect> {
    let kinds = [
        EffectKind::Authorize,
        EffectKind::Capture,
        EffectKind::Void,
        EffectKind::Lapse,
        EffectKind::Refund,
    ];
    let of = prop::option::of("[a-c]");
    (
        prop::sample::select(kinds.to_vec()),
        "[a-d]",
        of,
        1..4_u64,
        prop::option::of("[X-Z]"),
        any::<bool>(),
    )
        .prop_map(|(kind, id, of, amount_minor, currency, listed)| Effect {
            kind,
            id,
            of,
            amount_minor,
            currency,
            listed,
        })
}

fn evidence() -> impl Strategy<Value = (Evidence, Option<u16>)> {
    let parts = (
        prop::collection::vec(effects(), 0..4),
        prop::option::of(1..9_u64),
        any::<bool>(),
    );
    (parts, prop::option::of(1..3_u16)).prop_map(|((effects, capture_before_ms, complete), number)| {
        let signal = Signal::None;
        (
            Evidence {
                effects,
                complete,
                capture_before_ms: capture_before_ms.map(UnixMillis::new),
                signal,
            },
            number,
        )
    })
}

fn merged<'a>(parts: impl IntoIterator<Item = &'a (Evidence, Option<u16>)>) -> Knowledge {
    let mut knowledge = Knowledge::default();
    for (evidence, number) in parts {
        knowledge.merge(
            evidence,
            number.map(|generation| Answered { generation, of: None }),
        );
    }
    knowledge
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn rule_07_knowledge_is_a_join(
        parts in prop::collection::vec(evidence(), 0..6),
        order in any::<prop::sample::Index>(),
        split in any::<prop::sample::Index>(),
    ) {
        let all = merged(&parts);
        // Commutative: rotated and reversed.
        let at = order.index(parts.len().max(1)).min(parts.len());
        let (head, tail) = parts.split_at(at);
        prop_assert_eq!(&merged(tail.iter().chain(head)), &all);
        prop_assert_eq!(&merged(parts.iter().rev()), &all);
        // Idempotent: any of it again, and all of it again.
        prop_assert_eq!(&merged(parts.iter().chain(&parts)), &all);
        prop_assert_eq!(&merged(parts.iter().chain(tail)), &all);
        // Associative: one observation in two parts is the two observations.
        for (evidence, number) in &parts {
            let at = split.index(evidence.effects.len().max(1)).min(evidence.effects.len());
            let (a, b) = evidence.effects.split_at(at);
            let part = |effects: &[Effect]| (Evidence { effects: effects.to_vec(), ..evidence.clone() }, *number);
            prop_assert_eq!(merged(&[part(b), part(a)]), merged(&[(evidence.clone(), *number)]));
        }
    }

    #[test]
    fn rule_07_knowledge_only_grows(parts in prop::collection::vec(evidence(), 1..6)) {
        let mut before = Knowledge::default();
        for (evidence, _) in &parts {
            let mut after = before.clone();
            after.merge(evidence, None);
            for kind in [EffectKind::Authorize, EffectKind::Capture, EffectKind::Void] {
                prop_assert!(before.of_kind(kind).all(|(id, _)| after.of_kind(kind).any(|(known, _)| known == id)));
            }
            before = after;
        }
    }
}

/// What must not depend on the order: everything but first-seen times and names of our own.
fn place(world: &mut World, id: AttemptId) -> (String, Vec<(EffectKind, String)>, usize, usize) {
    let record = world.record(id);
    let kinds = [
        EffectKind::Authorize,
        EffectKind::Capture,
        EffectKind::Void,
        EffectKind::Refund,
    ];
    let known = kinds.into_iter().flat_map(|kind| {
        record
            .state()
            .knowledge
            .of_kind(kind)
            .map(move |(id, _)| (kind, id.to_owned()))
            .collect::<Vec<_>>()
    });
    (
        world.status(id),
        known.collect(),
        world.ledger.live(),
        world.ledger.taken(),
    )
}

/// The messages of one truthful story at each face: its answer was lost, so only they tell it.
fn story(kind: Kind, token: &str, captured: bool) -> (World, AttemptId, Vec<Value>) {
    let mut world = World::new(kind);
    let id = world.create_with("k1", &CREATE.replace("pm_card_visa", token));
    world.script.extend([Told::Lost(timeout())]);
    world.op(id, "authorize", "k2");
    world.ledger.finish_action(world.now_ms);
    if captured {
        // Somebody captures by hand, at the PSP's own console.
        let mut twin = World::new(kind);
        twin.ledger = world.ledger.clone();
        let http = {
            let mut other = World::new(kind);
            let same = other.create_with("k1", CREATE);
            other.op(same, "authorize", "k2");
            other.op(same, "capture", "k3");
            other.calls.last().unwrap().http.clone()
        };
        world.ledger.act(&http, world.now_ms);
    }
    let notices = world.ledger.notices();
    (world, id, notices)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn rule_07_any_order_of_truthful_messages_ends_in_one_place(
        stripe in any::<bool>(),
        three_d_secure in any::<bool>(),
        captured in any::<bool>(),
        picks in prop::collection::vec(any::<prop::sample::Index>(), 0..8),
        backwards in any::<bool>(),
    ) {
        let kind = if stripe { Kind::StripeListed } else { Kind::AcquirerQueryable };
        let token = if three_d_secure { "pm_card_3ds" } else { "pm_card_visa" };
        let (mut straight, id, notices) = story(kind, token, captured);
        for notice in &notices {
            straight.webhook(notice);
        }
        let (mut shuffled, _, _) = story(kind, token, captured);
        for pick in &picks {
            shuffled.webhook(&notices[pick.index(notices.len())]);
        }
        // Whatever came before, in the end everything has come at least once.
        let mut rest: Vec<&Value> = notices.iter().collect();
        if backwards {
            rest.reverse();
        }
        for notice in rest {
            shuffled.webhook(notice);
        }
        prop_assert_eq!(place(&mut shuffled, id), place(&mut straight, id));
        prop_assert_eq!(straight.status(id), if captured { "CAPTURED" } else { "AUTHORIZED" });
    }
}
