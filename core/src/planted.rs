//! Planted bugs: one rule broken in one place each, so that the simulator can show that its oracles fail when they
//! must. They are behind the feature `planted`, which no build without debug assertions accepts; without the feature
//! [`planted`] is the constant `false` and every switch point folds away.
//!
//! A switch point is one line, `real_condition || planted(Bug::X)`: the bug comes last, so that `Planted::reached`
//! counts the times when it made a difference to the decision, as far as one line can tell.

#[cfg(all(feature = "planted", not(debug_assertions)))]
compile_error!(
    "the feature `planted` puts bugs in: it is for tests and for the simulator's profile `sim`, never for a release"
);

/// One table makes the enumeration, its documentation and the catalogue.
macro_rules! bugs {
    ($($bug:ident, $name:literal, $rule:literal, $room:literal, $about:literal, $how:literal;)*) => {
        /// A mistake that can be put in.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Bug {
            $(#[doc = $about] $bug,)*
        }

        /// The catalogue: in every build with debug assertions, and in no other.
        #[cfg(debug_assertions)]
        impl Bug {
            /// Every bug.
            pub const ALL: &'static [Bug] = &[$(Bug::$bug,)*];

            /// Its name: kebab-case, and the same for ever.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Bug::$bug => $name,)* }
            }

            /// What it breaks: a rule of `docs/rules.md`, or the page and section of another one of `docs/`.
            #[must_use]
            pub fn rule(self) -> &'static str {
                match self { $(Bug::$bug => $rule,)* }
            }

            /// Where its switch point is: crate and file.
            #[must_use]
            pub fn room(self) -> &'static str {
                match self { $(Bug::$bug => $room,)* }
            }

            /// The mistake, as a reviewer would describe it.
            #[must_use]
            pub fn about(self) -> &'static str {
                match self { $(Bug::$bug => $about,)* }
            }

            /// How it shows: the PSP's class and the fault, and what is then to be seen.
            #[must_use]
            pub fn how(self) -> &'static str {
                match self { $(Bug::$bug => $how,)* }
            }

            /// The bug of this name.
            #[must_use]
            pub fn named(name: &str) -> Option<Bug> {
                Bug::ALL.iter().copied().find(|bug| bug.name() == name)
            }
        }
    };
}

mod table;

pub use table::Bug;

/// Whether this bug is in.
#[cfg(not(feature = "planted"))]
#[inline(always)]
#[must_use]
pub const fn planted(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
pub use switch::{Planted, planted, select};

#[cfg(feature = "planted")]
mod switch {
    use std::cell::Cell;
    use std::marker::PhantomData;

    use super::Bug;

    thread_local! {
        static SELECTED: Cell<Option<Bug>> = const { Cell::new(None) };
        static REACHED: Cell<u64> = const { Cell::new(0) };
    }

    /// Whether this bug is in, on this thread.
    #[must_use]
    pub fn planted(bug: Bug) -> bool {
        let is_in = SELECTED.get() == Some(bug);
        if is_in {
            REACHED.set(REACHED.get() + 1);
        }
        is_in
    }

    /// Puts a bug in on this thread, or none, until the guard is dropped.
    pub fn select(bug: Option<Bug>) -> Planted {
        Planted {
            before: (SELECTED.replace(bug), REACHED.replace(0)),
            of_this_thread: PhantomData,
        }
    }

    /// A bug that is in. Dropped, it brings back what was before.
    #[derive(Debug)]
    #[must_use = "the bug is in only as long as this lives"]
    pub struct Planted {
        before: (Option<Bug>, u64),
        of_this_thread: PhantomData<*const ()>,
    }

    impl Planted {
        /// How often its switch point was reached: a bug that was never reached proves nothing about an oracle.
        #[must_use]
        pub fn reached(&self) -> u64 {
            REACHED.get()
        }
    }

    impl Drop for Planted {
        fn drop(&mut self) {
            SELECTED.set(self.before.0);
            REACHED.set(self.before.1);
        }
    }
}
