//! The copy of the workspace. A file whose content has not changed is left as it is, so that a build from the copy is incremental.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::catalogue::Catalogue;
use crate::generate;

/// In each copy, so that no other folder is taken for one: what is not in the workspace is removed from a copy.
const MARK: &str = ".planted";

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Copied {
    /// Bugs in the copy.
    pub bugs: usize,
    /// Files of the copy.
    pub files: usize,
    /// Files whose content was new or had changed.
    pub written: usize,
    /// Files that the workspace does not have any more.
    pub removed: usize,
}

/// Makes the copy of the workspace `root` in the folder `into`, or brings it up to date.
///
/// # Errors
/// A replacement that does not fit its source, by the name of its bug; or a file that cannot be read or written.
pub fn copy(root: &Path, into: &Path) -> Result<Copied, String> {
    let catalogue = Catalogue::read(&root.join("sim/bugs"))?;
    let planted = catalogue.plant(|file| text_of(&root.join(file)))?;
    let mark = into.join(MARK);
    if into.exists() && !mark.exists() {
        return Err(format!(
            "{} is there, and is no copy of a workspace",
            into.display()
        ));
    }
    let (mut written, mut kept) = (0, BTreeSet::new());
    let mut put = |file: &str, bytes: &[u8]| -> Result<(), String> {
        let path = into.join(file);
        if !std::fs::read(&path).is_ok_and(|known| known == bytes) {
            let folder = path.parent().unwrap_or(into);
            std::fs::create_dir_all(folder).map_err(|error| told(folder, &error))?;
            std::fs::write(&path, bytes).map_err(|error| told(&path, &error))?;
            written += 1;
        }
        kept.insert(path);
        Ok(())
    };
    put(MARK, b"")?;
    for file in files(root)? {
        let path = root.join(&file);
        match planted.get(&file) {
            Some(text) => put(&file, text.as_bytes())?,
            None if file == "core/src/lib.rs" => {
                let text = text_of(&path)? + "\n#[doc(hidden)]\npub mod planted;\n";
                put(&file, text.as_bytes())?;
            }
            None => put(&file, &std::fs::read(&path).map_err(|error| told(&path, &error))?)?,
        }
    }
    put("core/src/planted.rs", generate::module(&catalogue)?.as_bytes())?;
    put("core/src/planted/switch.rs", generate::SWITCH.as_bytes())?;
    let removed = remove_others(into, &kept)?;
    Ok(Copied {
        bugs: catalogue.bugs.len(),
        files: kept.len(),
        written,
        removed,
    })
}

/// The files of the workspace: those that Git tracks, and new ones that it does not ignore. No build products, though somebody
/// may have committed them.
fn files(root: &Path) -> Result<Vec<String>, String> {
    let output = Command::new("git")
        .args([
            "ls-files",
            "--cached",
            "--others",
            "--exclude-standard",
            "--deduplicate",
            "-z",
        ])
        .current_dir(root)
        .output()
        .map_err(|error| format!("git cannot be run: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let listed = String::from_utf8(output.stdout).map_err(|error| format!("git ls-files: {error}"))?;
    let is_source = |file: &&str| {
        let is_product = |part: Component<'_>| part.as_os_str() == "target";
        !Path::new(file).components().any(is_product) && root.join(file).is_file()
    };
    let files = listed.split('\0').filter(|file| !file.is_empty());
    Ok(files.filter(is_source).map(str::to_owned).collect())
}

/// Removes from a folder what is not to be in it, and says how many files that were.
fn remove_others(folder: &Path, kept: &BTreeSet<PathBuf>) -> Result<usize, String> {
    let mut removed = 0;
    for entry in std::fs::read_dir(folder).map_err(|error| told(folder, &error))? {
        let path = entry.map_err(|error| told(folder, &error))?.path();
        if path.is_dir() {
            removed += remove_others(&path, kept)?;
        } else if !kept.contains(&path) {
            std::fs::remove_file(&path).map_err(|error| told(&path, &error))?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn text_of(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| told(path, &error))
}

fn told(path: &Path, error: &dyn std::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}
