//! Kassa, the transaction server: one binary.

mod bank_folder;
mod bench_program;
mod config;
mod demo;
mod export;
mod failure;
mod import;
mod init;
mod log;
mod master_key;
mod operator;
mod output;
mod serve;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mimalloc::MiMalloc;

use crate::log::Log;
use crate::output::Output;

/// A request's memory is taken by one thread and given back by another, which the system's own allocator is slow at.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

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
    /// Make a small demo bank where there is none, and serve it.
    Demo(demo::Demo),
    /// Make a new bank. The operator's password is read from standard input.
    Init(init::Init),
    /// Serve a bank over HTTPS.
    Serve(serve::Serve),
    /// Add operators and auditors and set their passwords, with the bank stopped: for whoever holds the master key.
    #[command(subcommand)]
    Operator(operator::Operator),
    /// Bring in another bank's customers, accounts, rights and history from delimited files.
    Import(import::Import),
    /// Write the books for other programs: as an hledger journal, as CSV, or as JSON lines. Works beside a running server.
    Export(export::Export),
    /// Check a bank: every frame, the chain, the books and their laws. Works beside a running server.
    Verify(verify::Verify),
    /// Measure how fast the bank is on this machine, and what it takes.
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Print the description of the interface, as OpenAPI 3.1.
    Openapi,
    /// Print the version.
    Version {
        /// As JSON.
        #[arg(long)]
        json: bool,
    },
}

impl Cmd {
    /// The form of the log that the bank's settings ask for.
    fn log(&self) -> Log {
        let (data, set) = match self {
            Self::Demo(demo) => (&demo.data, &demo.set),
            Self::Init(init) => (&init.data, &init.set),
            Self::Serve(serve::Serve { bank })
            | Self::Import(import::Import { bank, .. })
            | Self::Export(export::Export { bank, .. })
            | Self::Verify(verify::Verify { bank, .. }) => (&bank.data, &bank.set),
            Self::Operator(operator) => (&operator.bank().data, &operator.bank().set),
            Self::Bench(_) | Self::Openapi | Self::Version { .. } => return Log::Text,
        };
        config::log_form(data, set, &bank_folder::variables())
    }
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(misread) if misread.use_stderr() && bank_folder::variable("KASSA_LOG").as_deref() == Some("json") => {
            log::line(tracing::Level::ERROR, misread.render().to_string().trim());
            return ExitCode::from(2);
        }
        Err(misread) => misread.exit(),
    };
    let output = Output { log: cli.command.log() };
    if output.log == Log::Json {
        log::tell_panics_in_json();
    }
    let done = match &cli.command {
        Cmd::Demo(demo) => demo::run(demo, &output),
        Cmd::Init(init) => init::run(init, &output),
        Cmd::Serve(serve) => serve::run(serve, &output),
        Cmd::Operator(operator) => operator::run(operator, &output),
        Cmd::Import(import) => import::run(import, &output),
        Cmd::Export(export) => export::run(export, &output),
        Cmd::Verify(verify) => match verify::run(verify, &output) {
            Ok(false) => return ExitCode::FAILURE,
            done => done.map(drop),
        },
        Cmd::Bench(bench) => bench_program::run(bench),
        Cmd::Openapi => output.json(&api::openapi()),
        Cmd::Version { json: true } => output.json(&serde_json::json!({ "version": env!("CARGO_PKG_VERSION") })),
        Cmd::Version { json: false } => output.line(format_args!("kassa {}", env!("CARGO_PKG_VERSION"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            log::failure(output.log, &failure);
            ExitCode::FAILURE
        }
    }
}
