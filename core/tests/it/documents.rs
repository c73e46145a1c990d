//! The contract is in the repository: nothing cites a document that is not, and no link of a page leads nowhere.

use std::fs;
use std::path::{Path, PathBuf};

/// Folders that hold bytes and not text, or that no list of ignored files names.
const LEFT_OUT: [&str; 3] = [".git", "corpus", "__pycache__"];

/// The name of a document that is not in the repository, in two parts so that this file does not have it.
const ABSENT: &str = concat!("DES", "IGN");

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Names of folders that are built, installed or fetched: what `.gitignore` names.
fn ignored() -> Vec<String> {
    let list = fs::read_to_string(root().join(".gitignore")).unwrap();
    let last = |line: &str| line.rsplit('/').next().unwrap_or_default().to_owned();
    list.lines().map(last).filter(|name| !name.is_empty()).collect()
}

fn files(folder: &Path, left_out: &[String], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type().unwrap();
        if left_out.contains(&name) || LEFT_OUT.contains(&name.as_str()) {
            continue;
        }
        if kind.is_dir() {
            files(&entry.path(), left_out, found);
        } else if kind.is_file() {
            found.push(entry.path());
        }
    }
}

/// Every text file of the repository, with its text.
fn texts() -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    files(root(), &ignored(), &mut found);
    let text = |path: PathBuf| fs::read_to_string(&path).ok().map(|text| (path, text));
    found.into_iter().filter_map(text).collect()
}

/// The pages of the contract, and the two that lead to them.
fn pages() -> Vec<(PathBuf, String)> {
    let docs = root().join("docs");
    let is_page = |path: &Path| {
        let is_of_docs = path.starts_with(&docs) && path.extension().is_some_and(|e| e == "md");
        is_of_docs || path == root().join("README.md") || path == root().join("ARCHITECTURE.md")
    };
    texts().into_iter().filter(|(path, _)| is_page(path)).collect()
}

/// The targets of the links `[…](target)` in a text, code blocks left out.
fn links(text: &str) -> Vec<String> {
    let mut is_code = false;
    let mut found = Vec::new();
    for line in text.lines() {
        is_code ^= line.trim_start().starts_with("```");
        if is_code {
            continue;
        }
        let targets = line.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        found.extend(targets.map(str::to_owned));
    }
    found
}

/// Page and section of each citation: the page of `docs/` in back quotes, a comma, and the section in quotes.
fn cited_sections(text: &str) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for at in text.match_indices("`docs/").map(|(at, _)| at) {
        let rest = &text[at + 1..];
        let Some((page, rest)) = rest.split_once('`') else {
            continue;
        };
        // A citation may break at the end of a line of a comment.
        let rest = rest.trim_start_matches([',', ' ', '\n', '/', '!', '#']);
        let Some(rest) = rest.strip_prefix('“') else {
            continue;
        };
        let section = rest.split('”').next().unwrap_or_default();
        let words = section
            .split_whitespace()
            .filter(|word| !matches!(*word, "//!" | "///" | "//"));
        found.push((page.to_owned(), words.collect::<Vec<_>>().join(" ")));
    }
    found
}

#[test]
fn nothing_cites_a_document_that_is_not_in_the_repository() {
    let texts = texts();
    assert!(texts.len() > 300, "{} files were read", texts.len());
    let cites: Vec<_> = texts
        .iter()
        .filter(|(_, text)| text.contains(ABSENT))
        .map(|(path, _)| path)
        .collect();
    assert!(cites.is_empty(), "{cites:?}");
}

#[test]
fn links_lead_to_files_that_exist() {
    let pages = pages();
    assert!(pages.len() >= 9, "{} pages were read", pages.len());
    let mut seen = 0;
    for (path, text) in pages {
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or_default();
            if target.is_empty() || target.contains("://") {
                continue;
            }
            let there = path.parent().unwrap().join(target);
            assert!(there.exists(), "{}: {link}", path.display());
            seen += 1;
        }
    }
    assert!(seen > 50, "{seen} links were followed");
}

#[test]
fn cited_pages_and_sections_exist() {
    let mut seen = 0;
    for (path, text) in texts() {
        for (page, section) in cited_sections(&text) {
            let page = root().join(page);
            let Ok(told) = fs::read_to_string(&page) else {
                panic!("{}: {} is not there", path.display(), page.display());
            };
            let is_there = told
                .lines()
                .any(|line| line.trim_start_matches('#').trim() == section && line.starts_with('#'));
            assert!(
                is_there,
                "{}: {} has no “{section}”",
                path.display(),
                page.display()
            );
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen} citations were followed");
}

/// Whether a source declares something of this name.
fn declares(source: &str, name: &str) -> bool {
    let kinds = ["fn", "struct", "enum", "const", "trait", "type"];
    kinds.iter().any(|kind| {
        let start = format!("{kind} {name}");
        let mut found = source.match_indices(&start);
        found.any(|(at, _)| {
            let next = source[at + start.len()..].chars().next();
            next.is_none_or(|letter| !letter.is_alphanumeric() && letter != '_')
        })
    })
}

/// A page in one line, as its sentences break anywhere.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What `name`, or `name` and `name`, in [file](path) of a page name, each with the path.
fn placed_names(text: &str) -> Vec<(String, String)> {
    let text = in_one_line(text);
    let mut found = Vec::new();
    for (at, _) in text.match_indices("](../core/src/") {
        let path = text[at + "](../".len()..].split(')').next().unwrap_or_default();
        let before = text[..at].rsplit_once('[').map_or("", |(before, _)| before);
        let Some(mut before) = before.strip_suffix(" in ") else {
            continue;
        };
        while let Some((rest, name)) = before.strip_suffix('`').and_then(|rest| rest.rsplit_once('`')) {
            found.push((path.to_owned(), name.to_owned()));
            let rest = rest.strip_suffix(" and ").or_else(|| rest.strip_suffix(", "));
            before = rest.unwrap_or_default();
        }
    }
    found
}

#[test]
fn what_a_page_places_in_a_file_is_there() {
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, text) in pages() {
        for (file, name) in placed_names(&text) {
            let source = fs::read_to_string(root().join(&file)).unwrap();
            let last = name.rsplit("::").next().unwrap_or_default();
            if !declares(&source, last) {
                wrong.push(format!("{}: {file} has no {name}", path.display()));
            }
            seen += 1;
        }
        // What a link says is the end of where it leads.
        for (at, _) in text.match_indices("](../core/src/") {
            let said = text[..at].rsplit_once('[').map_or("", |(_, said)| said);
            let file = text[at + "](../".len()..].split(')').next().unwrap_or_default();
            if !file.ends_with(said.trim_end_matches('/')) {
                wrong.push(format!("{}: [{said}] leads to {file}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 25, "{seen} names were looked for");
}

#[test]
fn what_a_page_names_by_its_module_is_there() {
    let core = root().join("core/src");
    let sources: Vec<_> = texts()
        .into_iter()
        .filter(|(path, _)| path.starts_with(&core))
        .collect();
    let (mut seen, mut wrong) = (0, Vec::new());
    for (path, text) in pages() {
        // Every second piece between back quotes is code.
        for code in text.split('`').skip(1).step_by(2) {
            let Some((module, name)) = code.split_once("::").filter(|(_, name)| !name.contains("::")) else {
                continue;
            };
            let is_word =
                |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
            let is_module = |module: &str| module.chars().all(|c| c.is_lowercase() || c == '_');
            if !is_word(name) || !is_module(module) {
                continue;
            }
            let mut of_module = sources.iter().filter(|(path, _)| {
                let is_folder = path.ends_with("mod.rs") && path.parent().unwrap().ends_with(module);
                is_folder || path.file_stem().is_some_and(|stem| stem == module)
            });
            let is_there = if module == "pay_once_core" {
                let root = sources.iter().find(|(path, _)| path.ends_with("src/lib.rs"));
                root.is_some_and(|(_, text)| text.contains(name))
            } else {
                of_module.any(|(_, text)| declares(text, name))
            };
            if !is_there {
                wrong.push(format!("{}: {code}", path.display()));
            }
            seen += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(seen > 20, "{seen} names were looked for");
}
