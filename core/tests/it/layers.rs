//! `ARCHITECTURE.md`, “Code map”: imports of core go downwards only, no files of these crates import each other in a circle, and no file
//! is too long.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Core's folders, each above what it may import.
const LAYERS: [&str; 7] = [
    "host", "machine", "contract", "recovery", "psp", "journal", "base",
];

/// Whose files must not import each other in a circle.
const ACYCLIC: [&str; 7] = [
    "core",
    "edge-spin",
    "edge-cloudflare",
    "server",
    "fuzz/targets",
    "psp-model",
    "sandbox",
];

type Imports = BTreeMap<String, BTreeSet<String>>;

/// The modules of a crate by their path, with their code: no comments, no tests.
fn modules(sources: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            modules(sources, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let file = path.strip_prefix(sources).unwrap().with_extension("");
            let file = file.to_str().unwrap().replace('/', "::");
            let name = file.strip_suffix("::mod").unwrap_or(&file).to_owned();
            let name = if matches!(name.as_str(), "lib" | "main") {
                String::new()
            } else {
                name
            };
            let text = std::fs::read_to_string(&path).unwrap();
            let lines = text
                .lines()
                .map(|line| line.split("//").next().unwrap_or_default());
            let code: Vec<&str> = lines.take_while(|line| line.trim() != "mod tests {").collect();
            found.insert(name, code.join("\n"));
        }
    }
}

/// Every path of a `use` tree, flat.
fn flatten(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let (mut depth, mut from) = (0_i32, 0);
    let mut parts = Vec::new();
    for (at, letter) in tree.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&tree[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&tree[from..]);
    for part in parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
    {
        match part.split_once('{') {
            Some((head, rest)) => {
                let head = format!("{prefix}{head}");
                flatten(&head, rest.strip_suffix('}').unwrap_or(rest), found);
            }
            None => found.push(format!(
                "{prefix}{}",
                part.split_whitespace().next().unwrap_or_default()
            )),
        }
    }
}

/// The paths that a module's code names: by `use`, or in a line of code.
fn named(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    for statement in code.split(';') {
        if let Some((before, tree)) = statement.rsplit_once("use ")
            && before.trim_end().split('\n').next_back().is_none_or(|line| {
                matches!(line.trim(), "" | "pub" | "pub(crate)" | "pub(super)")
                    || line.ends_with('}')
                    || line.ends_with(']')
            })
        {
            flatten("", tree, &mut found);
        }
    }
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(start) {
            let is_path = |letter: char| letter.is_alphanumeric() || letter == '_' || letter == ':';
            let rest = &code[at..];
            let end = rest.find(|letter| !is_path(letter)).unwrap_or(rest.len());
            // Before a brace the `use` tree has told.
            if !rest[..end].ends_with("::") {
                found.push(rest[..end].to_owned());
            }
        }
    }
    found
}

/// The files of a folder that its own module names by a bare path, as `stripe::write` in `psp/mod.rs`.
fn named_children(known: &BTreeMap<String, String>, module: &str, code: &str) -> Vec<String> {
    let start = if module.is_empty() {
        String::new()
    } else {
        format!("{module}::")
    };
    let children = known.keys().filter_map(|name| name.strip_prefix(&start));
    let is_bare = |child: &str| {
        code.match_indices(&format!("{child}::")).any(|(at, _)| {
            let before = code[..at].chars().next_back();
            before.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_' && letter != ':')
        })
    };
    children
        .filter(|child| !child.is_empty() && !child.contains("::") && is_bare(child))
        .map(str::to_owned)
        .collect()
}

/// The module of this crate that a path leads to, if it is another one.
fn target(known: &BTreeMap<String, String>, from: &str, path: &str) -> Option<String> {
    let mut base: Vec<&str> = from.split("::").filter(|part| !part.is_empty()).collect();
    let mut parts: Vec<&str> = path.split("::").filter(|part| !part.is_empty()).collect();
    match *parts.first()? {
        "crate" => {
            base.clear();
            parts.remove(0);
        }
        "self" => {
            parts.remove(0);
        }
        "super" => {
            while parts.first() == Some(&"super") {
                base.pop();
                parts.remove(0);
            }
        }
        // A folder's module names its own files without `self`.
        first => {
            base.push(first);
            if !known.contains_key(&base.join("::")) {
                return None;
            }
            parts.remove(0);
        }
    }
    base.extend(parts);
    while !base.is_empty() {
        let name = base.join("::");
        if known.contains_key(&name) {
            return (name != from).then_some(name);
        }
        base.pop();
    }
    None
}

fn imports(krate: &str) -> Imports {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .join(krate)
        .join("src");
    let mut known = BTreeMap::new();
    modules(&sources, &sources, &mut known);
    assert!(known.len() > 5, "{krate}: the sources were read");
    let of = |(name, code): (&String, &String)| {
        let paths = named(code).into_iter().chain(named_children(&known, name, code));
        let targets = paths.filter_map(|path| target(&known, name, &path)).collect();
        (name.clone(), targets)
    };
    known.iter().map(of).collect()
}

/// A circle of imports, if there is one.
fn circle(imports: &Imports) -> Option<Vec<String>> {
    fn visit<'a>(
        imports: &'a Imports,
        name: &'a str,
        on_path: &mut Vec<&'a str>,
        done: &mut BTreeSet<&'a str>,
    ) -> Option<Vec<String>> {
        if let Some(at) = on_path.iter().position(|known| *known == name) {
            return Some(on_path[at..].iter().map(|name| (*name).to_owned()).collect());
        }
        if !done.contains(name) {
            on_path.push(name);
            let found = imports
                .get(name)
                .into_iter()
                .flatten()
                .find_map(|next| visit(imports, next, on_path, done));
            if found.is_some() {
                return found;
            }
            on_path.pop();
            done.insert(name);
        }
        None
    }
    let mut done = BTreeSet::new();
    imports
        .keys()
        .find_map(|name| visit(imports, name, &mut Vec::new(), &mut done))
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    for krate in ACYCLIC {
        assert_eq!(circle(&imports(krate)), None, "{krate}");
    }
}

/// More than one reader holds.
const LINES_MAX: usize = 500;

fn long_files(folder: &Path, found: &mut BTreeMap<String, usize>, seen: &mut usize) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            long_files(&path, found, seen);
        } else if name.ends_with(".rs") {
            *seen += 1;
            let lines = std::fs::read_to_string(&path).unwrap().lines().count();
            if lines > LINES_MAX {
                found.insert(path.display().to_string(), lines);
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_a_reader_holds() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let (mut found, mut seen) = (BTreeMap::new(), 0);
    long_files(root, &mut found, &mut seen);
    assert!(seen > 300, "{seen} files were seen");
    assert_eq!(found, BTreeMap::new());
}

#[test]
fn imports_of_core_go_downwards() {
    let folder = |module: &str| module.split("::").next().unwrap_or_default().to_owned();
    let height = |module: &str| LAYERS.iter().position(|layer| *layer == folder(module));
    let mut seen = BTreeSet::new();
    for (module, targets) in imports("core").iter().filter(|(module, _)| !module.is_empty()) {
        let own = height(module).unwrap_or_else(|| panic!("{module} is in no layer"));
        for target in targets {
            let other = height(target).unwrap_or_else(|| panic!("{target} is in no layer"));
            assert!(own <= other, "{module} imports {target}, which is above it");
            seen.insert((own, other));
        }
    }
    assert!(
        seen.len() > LAYERS.len(),
        "imports between folders were seen: {seen:?}"
    );
}

#[test]
fn circles_and_paths_are_recognized() {
    let of = |pairs: &[(&str, &str)]| -> Imports {
        let mut imports = Imports::new();
        for (from, to) in pairs {
            imports
                .entry((*from).to_owned())
                .or_default()
                .insert((*to).to_owned());
        }
        imports
    };
    assert_eq!(circle(&of(&[("a", "b"), ("b", "c")])), None);
    assert!(circle(&of(&[("a", "b"), ("b", "c"), ("c", "b")])).is_some());
    let known = ["a", "a::b", "a::c"].map(|name| (name.to_owned(), String::new()));
    let known = BTreeMap::from(known);
    assert_eq!(named_children(&known, "a", "b::read(); d::c::read()"), ["b"]);
    assert_eq!(target(&known, "a", "b::read").as_deref(), Some("a::b"));
    assert_eq!(target(&known, "a::b", "super::c").as_deref(), Some("a::c"));
    assert_eq!(target(&known, "a", "serde::Serialize"), None);
    let code = "pub use super::{one::{self, Two}, three};\nfn f() { crate::four::g(); }";
    let found = named(code);
    for path in [
        "super::one::self",
        "super::one::Two",
        "super::three",
        "crate::four::g",
    ] {
        assert!(found.iter().any(|known| known == path), "{path}: {found:?}");
    }
}
