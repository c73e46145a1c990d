//! More requests than are taken on: refused before anything of them is written, and counted.

use std::time::Duration;

use pay_once::bounds::Bounds;
use pay_once::bounds::limits::Budget;

use crate::ports::{order, run};
use crate::world::{Does, World};

/// Requests in work at a time.
const WORK: usize = 4;

fn bounds() -> Bounds {
    Bounds::of(&Budget {
        connections: 100,
        connections_per_address: 100,
        psp_calls: 100,
        psp_connect: Duration::from_secs(60),
        requests: 100,
        work: WORK,
        work_delay: Duration::from_secs(60),
    })
}

#[test]
fn what_is_too_much_is_refused_before_its_first_write() {
    run(async {
        let world = World::bounded(1, true, bounds);
        world.store.script([Does::Slow(1_000); WORK]);
        let order = order();
        let asked: Vec<_> = (0..10)
            .map(|nth| world.begin(0, "POST", "/attempts", &format!("k{nth}"), &order))
            .collect();
        world.pass(0).await;
        let refused: Vec<usize> = (0..10).filter(|nth| asked[*nth].is_finished()).collect();
        assert_eq!(refused.len(), 10 - WORK, "the others wait for the store");
        assert_eq!(world.store.writes(), 0);
        world.pass(1_000).await;
        let mut created = 0;
        for (nth, asked) in asked.into_iter().enumerate() {
            let answer = asked.await.unwrap();
            if !refused.contains(&nth) {
                assert_eq!(answer.status, 201, "{answer:?}");
                created += 1;
                continue;
            }
            assert_eq!((answer.status, answer.code().as_str()), (503, "OVERLOADED"));
            assert_eq!(answer.header("Retry-After"), Some("1"));
            let error = answer.json()["error"].clone();
            assert_eq!(
                (&error["retryable"], &error["safe_new_key"]),
                (&true.into(), &false.into())
            );
        }
        assert_eq!((created, world.store.writes()), (WORK, WORK));
        let state = world.bounds(0).requests;
        assert_eq!((state.open, state.in_work, state.refused), (0, 0, 6));
        // The same key, later.
        for nth in refused {
            let answer = world.ask("POST", "/attempts", &format!("k{nth}"), &order).await;
            assert_eq!((answer.status, answer.is_replayed()), (201, false), "{answer:?}");
        }
    });
}

/// Duplicates wait for the request that they repeat, in any number.
#[test]
fn duplicates_of_one_request_are_no_overload() {
    run(async {
        let world = World::bounded(1, true, bounds);
        world.store.script([Does::Slow(1_000)]);
        let order = order();
        let mut asked = Vec::new();
        for _ in 0..5 * WORK {
            asked.push(world.begin(0, "POST", "/attempts", "k", &order));
            // A request is work until the loop has seen whose turn it waits for.
            world.pass(0).await;
        }
        world.pass(1_000).await;
        let mut created = 0;
        for asked in asked {
            let answer = asked.await.unwrap();
            assert!(matches!(answer.status, 200 | 201), "{answer:?}");
            created += usize::from(!answer.is_replayed());
        }
        assert_eq!((created, world.store.writes()), (1, 1));
    });
}
