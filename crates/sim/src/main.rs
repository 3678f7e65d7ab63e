//! `kassa-sim`: attacks on the real program, and long runs of the simulation. Never shipped.

#![deny(clippy::wildcard_enum_match_arm)]

mod a_year;
mod client;
mod kill;
mod seeds;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "kassa-sim", version, about = "Attacks on the real program, and long runs of the simulation.")]
struct Cli {
    #[command(subcommand)]
    command: Attack,
}

#[derive(Subcommand)]
enum Attack {
    /// Kill the server at random moments while clients pay, and check that each payment is there exactly once.
    Kill(kill::Kill),
    /// Run seeds of the simulation under the auditor's eyes.
    Run(seeds::RunOptions),
    /// Make a bank on disk, and have it live through a year under the auditor's eyes.
    Year(a_year::Year),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Attack::Kill(kill) => kill.run(),
        Attack::Run(run) => run.run(),
        Attack::Year(year) => year.run(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("kassa-sim: {told}");
            ExitCode::FAILURE
        }
    }
}
