//! `pay-once-plant FOLDER`, run at the root of the workspace: makes the copy with the bugs in FOLDER, or brings it up to date.

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(into), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage, at the root of the workspace: pay-once-plant FOLDER");
        return ExitCode::from(2);
    };
    match pay_once_plant::copy(Path::new("."), Path::new(&into)) {
        Ok(done) => {
            println!(
                "{} bugs planted in {}: {} files, {} written, {} removed",
                done.bugs,
                Path::new(&into).display(),
                done.files,
                done.written,
                done.removed
            );
            ExitCode::SUCCESS
        }
        Err(faults) => {
            eprintln!("{faults}");
            ExitCode::FAILURE
        }
    }
}
