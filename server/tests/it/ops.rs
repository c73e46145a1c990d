//! The files in `ops/`: the commands in them are commands of this build.

use std::path::Path;

use clap::Parser;
use pay_once::settings::Arguments;

fn read(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ops").join(name);
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_unit_starts_this_build_and_reloads_it() {
    let unit = read("pay-once.service");
    let setting = |name: &str| {
        let mut lines = unit
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        lines.next_back().unwrap_or_else(|| panic!("{name} is not set"))
    };
    let arguments = Arguments::try_parse_from(setting("ExecStart").split(' ')).unwrap();
    assert!(arguments.config.is_some() && arguments.command.is_none());
    let stop_ms = 1_000 * setting("TimeoutStopSec").parse::<u64>().unwrap();
    assert!(stop_ms > arguments.drain_timeout_ms);
    assert!(setting("ExecReload").contains("-HUP"));
    assert_eq!(
        (setting("LimitCORE"), setting("StateDirectoryMode")),
        ("0", "0700")
    );
    let state = format!("/var/lib/{}", setting("StateDirectory"));
    assert_eq!(arguments.data, Path::new(&state));
}

#[test]
fn the_container_starts_this_build() {
    let file = read("Containerfile");
    let command = file.lines().find_map(|line| line.strip_prefix("CMD ")).unwrap();
    let command: Vec<String> = serde_json::from_str(command).unwrap();
    let arguments = Arguments::try_parse_from(std::iter::once("pay-once".to_owned()).chain(command)).unwrap();
    assert!(arguments.config.is_some());
    assert!(file.contains("STOPSIGNAL SIGTERM") && file.contains("--chmod=0700"));
}

#[test]
fn every_command_explains_itself() {
    for (arguments, expected) in [
        (vec!["pay-once", "--help"], ["backup", "--suspect-loss-since"]),
        (
            vec!["pay-once", "check", "--help"],
            ["exit code", "pay-once check --data"],
        ),
        (
            vec!["pay-once", "backup", "--help"],
            ["must not be copied with cp", "--data"],
        ),
        (vec!["pay-once", "restore", "--help"], ["restore.toml", "--force"]),
    ] {
        let help = Arguments::try_parse_from(&arguments).unwrap_err().to_string();
        for expected in expected {
            assert!(help.contains(expected), "{arguments:?}, {expected}: {help}");
        }
    }
}
