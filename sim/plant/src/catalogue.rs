//! The bugs, and what their replacements make of the sources.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use serde::Deserialize;

/// How a switch is written in a replacement. What follows is the name of the bug in camel case, and `)`.
const SWITCH: &str = "planted(Bug::";

/// Where replacements may be, and by what name core is known there.
const SOURCES: [(&str, &str); 2] = [("core/src/", "crate"), ("server/src/", "pay_once_core")];

/// A mistake that can be put in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bug {
    /// Its name: kebab-case, and the same for ever.
    pub name: String,
    /// What it breaks: a rule of `docs/rules.md`, or the page and section of another one of `docs/`.
    pub rule: String,
    /// The mistake, as a reviewer would describe it.
    pub about: String,
    /// How it shows: the PSP's class and the fault, and what is then to be seen.
    pub how: String,
    /// What is replaced. Of two bugs in one place, one has the replacement and the other has none.
    #[serde(default, rename = "replacement")]
    pub replacements: Vec<Replacement>,
}

impl Bug {
    /// Its name in camel case, as a switch has it.
    #[must_use]
    pub fn variant(&self) -> String {
        let mut variant = String::new();
        for word in self.name.split('-') {
            let mut letters = word.chars();
            variant.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
            variant.push_str(letters.as_str());
        }
        variant
    }
}

/// Whole lines of a source, and whole lines instead of them.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replacement {
    /// The source, by its path in the workspace.
    pub file: String,
    /// The lines that are replaced. The source has them exactly once.
    pub find: String,
    /// The same lines with the switch in them.
    pub replace: String,
}

/// A file of bugs.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Page {
    bug: Vec<Bug>,
}

/// Every bug, in the order of the table.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    /// The bugs.
    pub bugs: Vec<Bug>,
}

impl Catalogue {
    /// Reads the files of a folder in the order of their names.
    ///
    /// # Errors
    /// A file that cannot be read, or that is no list of bugs.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let told = |path: &Path, error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| told(folder, &error))? {
            let path = entry.map_err(|error| told(folder, &error))?.path();
            if path.extension().is_some_and(|extension| extension == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut bugs = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|error| told(&path, &error))?;
            let page: Page = toml::from_str(&text).map_err(|error| told(&path, &error))?;
            bugs.extend(page.bug);
        }
        Ok(Self { bugs })
    }

    /// The sources that have a bug in them, by their path in the workspace, with every bug behind its switch.
    ///
    /// # Errors
    /// A line for each replacement that does not fit the sources, and for each switch that is not there exactly once. It begins with
    /// the name of the bug.
    pub fn plant(
        &self,
        clean: impl Fn(&str) -> Result<String, String>,
    ) -> Result<BTreeMap<String, String>, String> {
        let mut faults = Vec::new();
        let mut planted = BTreeMap::new();
        for (file, replacements) in self.by_file() {
            let Some((_, krate)) = SOURCES.iter().find(|(folder, _)| file.starts_with(folder)) else {
                faults.extend(
                    replacements.iter().map(|(bug, _)| {
                        format!("{}: {file} is a source of neither core nor server", bug.name)
                    }),
                );
                continue;
            };
            match clean(file).and_then(|text| replaced(&text, file, &replacements)) {
                Ok(text) => {
                    let switch = format!("{krate}::planted::planted({krate}::planted::Bug::");
                    planted.insert(file.to_owned(), text.replace(SWITCH, &switch));
                }
                Err(fault) => faults.push(fault),
            }
        }
        if let Err(fault) = self.rooms() {
            faults.push(fault);
        }
        if faults.is_empty() {
            Ok(planted)
        } else {
            Err(faults.join("\n"))
        }
    }

    /// Where the switch of each bug is, in the order of the bugs: crate and file.
    ///
    /// # Errors
    /// A line for each bug that has not exactly one switch, and for each switch of no bug.
    pub fn rooms(&self) -> Result<Vec<String>, String> {
        let mut found: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for replacement in self.bugs.iter().flat_map(|bug| &bug.replacements) {
            for part in replacement.replace.split(SWITCH).skip(1) {
                let variant = part.split(')').next().unwrap_or_default();
                found.entry(variant).or_default().push(&replacement.file);
            }
        }
        let (mut faults, mut rooms) = (Vec::new(), Vec::new());
        for bug in &self.bugs {
            match found.remove(bug.variant().as_str()).as_deref() {
                Some([file]) => rooms.push(room(file)),
                Some(files) => faults.push(format!(
                    "{}: has {} switches, in {}",
                    bug.name,
                    files.len(),
                    files.join(", ")
                )),
                None => faults.push(format!("{}: has no switch {SWITCH}{})", bug.name, bug.variant())),
            }
        }
        faults.extend(found.into_iter().map(|(variant, files)| {
            format!(
                "{SWITCH}{variant}) in {} is the switch of no bug",
                files.join(", ")
            )
        }));
        if faults.is_empty() {
            Ok(rooms)
        } else {
            Err(faults.join("\n"))
        }
    }

    fn by_file(&self) -> BTreeMap<&str, Vec<(&Bug, &Replacement)>> {
        let mut by_file: BTreeMap<&str, Vec<(&Bug, &Replacement)>> = BTreeMap::new();
        for bug in &self.bugs {
            for replacement in &bug.replacements {
                by_file
                    .entry(replacement.file.as_str())
                    .or_default()
                    .push((bug, replacement));
            }
        }
        by_file
    }
}

/// `core/src/host/turn.rs` is the room `core/host/turn`.
fn room(file: &str) -> String {
    let path = file.strip_suffix(".rs").unwrap_or(file);
    path.replacen("/src/", "/", 1)
}

/// A source with all of its replacements made.
fn replaced(text: &str, file: &str, replacements: &[(&Bug, &Replacement)]) -> Result<String, String> {
    let mut faults = Vec::new();
    let mut places: Vec<(Range<usize>, &Bug, &Replacement)> = Vec::new();
    for (bug, replacement) in replacements {
        match places_of(text, &replacement.find).as_slice() {
            [place] => places.push((place.clone(), bug, replacement)),
            [] => faults.push(format!(
                "{}: {file} does not have the lines that are to be replaced:\n{}",
                bug.name, replacement.find
            )),
            many => faults.push(format!(
                "{}: {file} has the lines that are to be replaced {} times:\n{}",
                bug.name,
                many.len(),
                replacement.find
            )),
        }
    }
    places.sort_by_key(|(place, _, _)| (place.start, place.end));
    let (mut made, mut done) = (String::new(), 0);
    let mut last = "";
    for (place, bug, replacement) in places {
        let Some(between) = text.get(done..place.start) else {
            faults.push(format!(
                "{}: replaces a line of {file} that {last} replaces too",
                bug.name
            ));
            continue;
        };
        made.push_str(between);
        made.push_str(&replacement.replace);
        (done, last) = (place.end, &bug.name);
    }
    made.push_str(text.get(done..).unwrap_or_default());
    if faults.is_empty() {
        Ok(made)
    } else {
        Err(faults.join("\n"))
    }
}

/// Where whole lines are in a text.
fn places_of(text: &str, lines: &str) -> Vec<Range<usize>> {
    if lines.is_empty() || !lines.ends_with('\n') {
        return Vec::new();
    }
    let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
    let is_here = |at: &usize| text.get(*at..).is_some_and(|rest| rest.starts_with(lines));
    starts.filter(is_here).map(|at| at..at + lines.len()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bug(name: &str, find: &str, replace: &str) -> Bug {
        Bug {
            name: name.to_owned(),
            rule: "rule 1".to_owned(),
            about: "A mistake.".to_owned(),
            how: "any class".to_owned(),
            replacements: vec![Replacement {
                file: "core/src/a.rs".to_owned(),
                find: find.to_owned(),
                replace: replace.to_owned(),
            }],
        }
    }

    fn plant(bugs: &[Bug]) -> Result<String, String> {
        let catalogue = Catalogue { bugs: bugs.to_vec() };
        let clean = |file: &str| match file {
            "core/src/a.rs" | "server/src/a.rs" => Ok("one\ntwo\n  two\nthree\nfour\nfour\n".to_owned()),
            _ => Err(format!("{file} is not there")),
        };
        let planted = catalogue.plant(clean)?;
        Ok(planted.values().map(String::as_str).collect())
    }

    #[test]
    fn every_replacement_is_made_and_its_switch_written_out() {
        let one = bug("a-one", "one\n", "1 planted(Bug::AOne)\n");
        let two = bug("b-two", "two\n", "2 planted(Bug::BTwo)\n");
        assert_eq!(
            plant(&[two, one]).unwrap(),
            "1 crate::planted::planted(crate::planted::Bug::AOne)\n\
             2 crate::planted::planted(crate::planted::Bug::BTwo)\n  two\nthree\nfour\nfour\n"
        );
        let mut of_server = bug("a-one", "one\n", "planted(Bug::AOne)\n");
        of_server.replacements[0].file = "server/src/a.rs".to_owned();
        let planted = plant(&[of_server]).unwrap();
        assert!(planted.starts_with("pay_once_core::planted::planted(pay_once_core::planted::Bug::AOne)\n"));
    }

    #[test]
    fn what_does_not_fit_is_told_by_the_bugs_name() {
        let switch = "planted(Bug::OldOne)\n";
        for (find, words) in [
            (
                "five\n",
                "old-one: core/src/a.rs does not have the lines that are to be replaced:\nfive\n",
            ),
            ("tw", "old-one: core/src/a.rs does not have"),
            ("", "old-one: core/src/a.rs does not have"),
            (
                "four\n",
                "old-one: core/src/a.rs has the lines that are to be replaced 2 times:\nfour\n",
            ),
        ] {
            let told = plant(&[bug("old-one", find, switch)]).unwrap_err();
            assert!(told.starts_with(words), "{told}");
        }
        let other = bug("a-one", "one\ntwo\n", "planted(Bug::AOne)\n");
        let told = plant(&[bug("old-one", "two\n", switch), other]).unwrap_err();
        assert_eq!(
            told,
            "old-one: replaces a line of core/src/a.rs that a-one replaces too"
        );
        let mut elsewhere = bug("old-one", "one\n", switch);
        elsewhere.replacements[0].file = "sim/src/a.rs".to_owned();
        let told = plant(&[elsewhere]).unwrap_err();
        assert_eq!(
            told,
            "old-one: sim/src/a.rs is a source of neither core nor server"
        );
    }

    #[test]
    fn a_bug_has_exactly_one_switch() {
        let told = plant(&[bug("old-one", "one\n", "no switch\n")]).unwrap_err();
        assert_eq!(told, "old-one: has no switch planted(Bug::OldOne)");
        let twice = "planted(Bug::OldOne) planted(Bug::OldOne)\n";
        let told = plant(&[bug("old-one", "one\n", twice)]).unwrap_err();
        assert!(told.starts_with("old-one: has 2 switches"), "{told}");
        let told = plant(&[bug(
            "old-one",
            "one\n",
            "planted(Bug::OldOne) planted(Bug::New)\n",
        )])
        .unwrap_err();
        assert_eq!(told, "planted(Bug::New) in core/src/a.rs is the switch of no bug");
    }
}
