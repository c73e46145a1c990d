//! The module `planted` of the copy's core: the catalogue as an enumeration, and the switch.

use std::fmt::Write as _;

use crate::catalogue::{Bug, Catalogue};

/// The switch, as it is: it is tested by itself (`tests/switch.rs`).
pub(crate) const SWITCH: &str = include_str!("../switch.rs");

const HEAD: &str = "//! Planted bugs, written by `pay-once-plant` from `sim/bugs`.

#[cfg(not(debug_assertions))]
compile_error!(\"bugs are planted here: this is for the simulator's profile `sim` and for tests, never for a release\");

mod switch;

pub use switch::{Planted, planted, select};
";

/// The source of the module.
pub(crate) fn module(catalogue: &Catalogue) -> Result<String, String> {
    let rooms = catalogue.rooms()?;
    let bugs = &catalogue.bugs;
    let mut text = HEAD.to_owned();
    text.push_str("\n/// A mistake that can be put in.\n");
    text.push_str("#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]\npub enum Bug {\n");
    for bug in bugs {
        let _ = writeln!(text, "    #[doc = {:?}]\n    {},", bug.about, bug.variant());
    }
    text.push_str("}\n\nimpl Bug {\n    /// Every bug.\n    pub const ALL: &'static [Bug] = &[\n");
    for bug in bugs {
        let _ = writeln!(text, "        Bug::{},", bug.variant());
    }
    text.push_str("    ];\n");
    let texts = |of: fn(&Bug) -> &str| bugs.iter().map(|bug| of(bug).to_owned()).collect();
    for (name, about, values) in [
        ("name", "Its name.", texts(|bug| &bug.name)),
        ("rule", "What it breaks.", texts(|bug| &bug.rule)),
        ("room", "Where its switch is: crate and file.", rooms),
        ("about", "The mistake.", texts(|bug| &bug.about)),
        ("how", "How it shows.", texts(|bug| &bug.how)),
    ] {
        method(&mut text, bugs, name, about, &values);
    }
    text.push_str(
        "\n    /// The bug of this name.\n    #[must_use]\n    pub fn named(name: &str) -> Option<Bug> {\n",
    );
    text.push_str("        Bug::ALL.iter().copied().find(|bug| bug.name() == name)\n    }\n}\n");
    Ok(text)
}

fn method(text: &mut String, bugs: &[Bug], name: &str, about: &str, values: &Vec<String>) {
    let _ = writeln!(
        text,
        "\n    /// {about}\n    #[must_use]\n    pub fn {name}(self) -> &'static str {{\n        match self {{"
    );
    for (bug, value) in bugs.iter().zip(values) {
        let _ = writeln!(text, "            Bug::{} => {value:?},", bug.variant());
    }
    text.push_str("        }\n    }\n");
}
