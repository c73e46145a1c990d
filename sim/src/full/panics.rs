//! Panics inside simulated hosts. Tokio catches them and turmoil says nothing of those in spawned tasks, so they are
//! taken down where they happen, by thread.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static SEEN: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}
static HOOK: Once = Once::new();

/// From now on, this thread's panics are taken down and not printed.
pub(super) fn watch() {
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let text = info.to_string();
            let is_taken = SEEN
                .try_with(|seen| {
                    let Ok(mut seen) = seen.try_borrow_mut() else {
                        return false;
                    };
                    seen.as_mut().map(|seen| seen.push(text)).is_some()
                })
                .unwrap_or(false);
            if !is_taken {
                before(info);
            }
        }));
    });
    SEEN.with_borrow_mut(|seen| *seen = Some(Vec::new()));
}

/// The panics since [`watch`]; from now on they are printed again.
pub(super) fn seen() -> Vec<String> {
    SEEN.with_borrow_mut(Option::take).unwrap_or_default()
}
