//! Placeholder until the page is merged.
use crate::{oracles::Violation, plan::Plan, seen::Run, trace::TraceLine};
/// The page.
pub fn page(_: &str, _: &Plan, _: &[TraceLine], _: &Run, _: Option<&Violation>, _: &str) -> String {
    String::new()
}
