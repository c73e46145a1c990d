//! Commands around the fuzz targets: `seeds` writes the corpora’s seeds anew, `show` says what an input is,
//! `play` is one execution of it,
//! `random` plays random inputs at full speed. Fuzzing itself is `fuzz/run`.
// Figures and stories go where whoever asked is looking.
#![allow(clippy::print_stdout)]

use std::io::Error;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use arbitrary::{Arbitrary, Unstructured};
use pay_once_fuzz::machine::{self, Story};
use pay_once_fuzz::{TARGETS, plan, seeds};
use pay_once_sim::rng::{Concern, Draw};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const USAGE: &str =
    "pay-once-fuzz seeds | show TARGET FILE | play TARGET FILE | random TARGET SECONDS [SEED]";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["seeds"] => write_seeds(),
        ["show", target, file] => show(target, Path::new(file)),
        ["play", target, file] => play(target, Path::new(file)),
        ["random", target, seconds] => random(target, seconds, "0"),
        ["random", target, seconds, seed] => random(target, seconds, seed),
        _ => Err(Error::other(USAGE)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// Where the corpora are.
fn corpus(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus")
        .join(target)
}

fn write_seeds() -> Result<(), Error> {
    for (target, _) in TARGETS {
        let folder = corpus(target);
        std::fs::create_dir_all(&folder)?;
        let seeds = seeds::seeds(target);
        for (name, bytes) in &seeds {
            std::fs::write(folder.join(name), bytes)?;
        }
        println!("{target}: {} seeds", seeds.len());
    }
    Ok(())
}

fn show(target: &str, file: &Path) -> Result<(), Error> {
    let bytes = std::fs::read(file)?;
    match target {
        "machine" => println!(
            "{:#?}",
            Story::arbitrary(&mut Unstructured::new(&bytes)).map_err(Error::other)?
        ),
        // What the simulator's own commands take.
        "plan" => print!("{}", plan::from_bytes(&bytes).to_text()),
        _ => println!("{}", String::from_utf8_lossy(&bytes)),
    }
    Ok(())
}

fn named(target: &str) -> Result<fn(&[u8]), Error> {
    let mut targets = TARGETS.iter().filter(|(name, _)| *name == target);
    targets
        .next()
        .map(|(_, run)| *run)
        .ok_or_else(|| Error::other(USAGE))
}

/// Random inputs of 8 or 16 bytes, without a compiler that counts branches and without what libFuzzer does about them: most executions
/// in a second, and nothing learned from one for the next. Bytes of `machine` are choices, so that any are worth it.
fn random(target: &str, seconds: &str, seed: &str) -> Result<(), Error> {
    let run = named(target)?;
    let for_s: u64 = seconds.parse().map_err(Error::other)?;
    let mut draw = Draw::new(seed.parse().map_err(Error::other)?, Concern::Workload);
    if target == "machine" {
        machine::prepare();
    }
    let (begun, mut runs, mut bytes) = (Instant::now(), 0_u64, Vec::new());
    while begun.elapsed().as_secs() < for_s {
        for _ in 0..1_000 {
            bytes.clear();
            for _ in 0..=draw.word() % 2 {
                bytes.extend(draw.word().to_be_bytes());
            }
            if let Err(finding) = std::panic::catch_unwind(|| run(&bytes)) {
                let file = std::env::temp_dir().join(format!("found-{target}-{runs}"));
                std::fs::write(&file, &bytes)?;
                println!("{target}: a finding, kept in {}", file.display());
                std::panic::resume_unwind(finding);
            }
            runs += 1;
        }
    }
    let a_second = runs as f64 / begun.elapsed().as_secs_f64();
    println!("{target}: {runs} executions, {a_second:.0} a second, no finding");
    Ok(())
}

fn play(target: &str, file: &Path) -> Result<(), Error> {
    named(target)?(&std::fs::read(file)?);
    println!("{target}: no finding in {}", file.display());
    Ok(())
}
