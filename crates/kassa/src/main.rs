//! Kassa, the transaction server: one binary.

mod bench;
mod failure;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::output::Output;

#[derive(Parser)]
#[command(
    name = "kassa",
    version,
    about = "The transaction server: one binary, one journal, money moved exactly once."
)]
struct Cli {
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Subcommand)]
enum Cmd {
    /// Measure how fast the bank is on this machine.
    #[command(subcommand)]
    Bench(Bench),
}

#[derive(Subcommand)]
enum Bench {
    /// Transfers through the engine and the journal.
    Ledger(bench::LedgerBench),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = Output;
    let done = match cli.command {
        Cmd::Bench(Bench::Ledger(bench)) => bench::ledger(&bench, &output),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("kassa: {failure}");
            ExitCode::FAILURE
        }
    }
}
