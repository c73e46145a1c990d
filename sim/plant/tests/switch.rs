//! The switch of a bug, with a catalogue of two.
#![allow(clippy::unwrap_used)] // Of a test's own helpers.

#[path = "../switch.rs"]
#[allow(unreachable_pub)] // In the copy it is public.
mod switch;

use switch::{planted, select};

#[derive(Clone, Copy, Debug, PartialEq)]
enum Bug {
    One,
    Two,
}

#[test]
fn a_bug_is_in_on_its_thread_as_long_as_its_guard_lives() {
    assert!(!planted(Bug::One) && !planted(Bug::Two));
    let outer = select(Some(Bug::One));
    assert!(planted(Bug::One) && !planted(Bug::Two));
    {
        let inner = select(Some(Bug::Two));
        assert!(!planted(Bug::One) && planted(Bug::Two));
        assert_eq!(inner.reached(), 1);
        let elsewhere = std::thread::spawn(|| planted(Bug::Two));
        assert!(!elsewhere.join().unwrap(), "another thread has its own");
    }
    assert!(planted(Bug::One));
    assert_eq!(outer.reached(), 2);
    drop(outer);
    assert!(!planted(Bug::One) && !planted(Bug::Two));
}
