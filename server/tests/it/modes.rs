//! Who may read a data directory: its owner, and nobody else, whatever the umask. And no core dumps.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::http;
use crate::image::{closed, open};
use crate::server::{Dir, command};

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_data_directory_is_for_its_owner_alone() {
    let parent = Dir::new();
    let data = parent.path().join("data");
    let mut shell = Command::new("sh");
    shell
        .args([
            "-c",
            "umask 000; ulimit -S -c \"$(ulimit -H -c)\"; exec \"$0\" \"$@\"",
        ])
        .arg(command().get_program())
        .args(["--listen", "127.0.0.1:0", "--sandbox-listen", "127.0.0.1:0"])
        .arg("--data")
        .arg(&data)
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = Killed(shell.spawn().unwrap());
    let mut line = String::new();
    let mut said = BufReader::new(child.0.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    let address = line.trim_end().strip_prefix("listening on http://").unwrap();
    let created = http::send(
        address,
        "POST",
        "/attempts",
        &[("Idempotency-Key", "k1")],
        br#"{"order_id": "o", "amount": 1, "currency": "GBP"}"#,
    );
    assert_eq!(created.unwrap().status, 201);
    assert_eq!(mode(&data), 0o700);
    let mut names: Vec<String> = Vec::new();
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    names.sort();
    let expected = [
        "lock",
        "pay-once.mark",
        "pay-once.sqlite3",
        "pay-once.sqlite3-shm",
        "pay-once.sqlite3-wal",
    ];
    assert_eq!(names, expected);
    let limits = fs::read_to_string(format!("/proc/{}/limits", child.0.id())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert_eq!(
        core.split_whitespace().skip(4).collect::<Vec<_>>(),
        ["0", "0", "bytes"],
        "a core dump has keys and payments in it"
    );
}

#[test]
fn a_directory_that_others_can_read_is_refused() {
    for (name, wide) in [
        ("", 0o755),
        ("", 0o750),
        ("pay-once.sqlite3", 0o644),
        ("pay-once.mark", 0o640),
        ("lock", 0o604),
    ] {
        let dir = closed(1, |_| None);
        let path = dir.path().join(name);
        let was = mode(&path);
        fs::set_permissions(&path, Permissions::from_mode(wide)).unwrap();
        let why = open(dir.path()).unwrap_err();
        let expected = [
            format!("has mode {wide:04o}"),
            format!("chmod -R go-rwx {}", dir.path().display()),
        ];
        for expected in expected {
            assert!(why.contains(&expected), "{why}");
        }
        fs::set_permissions(&path, Permissions::from_mode(was)).unwrap();
        open(dir.path()).unwrap();
    }
}
