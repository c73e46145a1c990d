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
