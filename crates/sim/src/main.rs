//! `kassa-sim`: attacks on the real program, and long runs of the simulation. Never shipped.

mod client;
mod kill;

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
    Run {
        /// The first seed.
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// How many seeds.
        #[arg(long, default_value_t = 10)]
        seeds: u64,
        /// How many commands each.
        #[arg(long, default_value_t = 100_000)]
        steps: u64,
    },
}

#[allow(clippy::print_stdout, reason = "a program for the terminal")]
fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Attack::Kill(kill) => kill.run(),
        Attack::Run { seed, seeds, steps } => (seed..seed.saturating_add(seeds)).try_for_each(|seed| {
            let summary = sim::run(seed, steps).map_err(|disagreement| format!("seed {seed}: {disagreement}"))?;
            println!("seed {seed}: {} events, digest {:016x}", summary.events, summary.digest);
            Ok(())
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(told) => {
            eprintln!("kassa-sim: {told}");
            ExitCode::FAILURE
        }
    }
}
