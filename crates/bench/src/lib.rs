//! `kassa bench`: how fast the bank is on this machine, and what it takes, measured on the real engine and the real
//! journal, with encryption, syncing, idempotency keys and balance checks as in service.
//!
//! `ledger_bench.rs`, `memory_bench.rs`, `http_bench.rs` and `streams_bench.rs` are the benches. Each makes a bank of
//! its own (`own_bank.rs`) and removes it afterwards. What is measured after a start is measured in a fresh process
//! (`fresh.rs`), so that neither a warm cache nor memory that an allocator has kept flatters it; a server is one
//! (`served.rs`). What is measured is the program itself, which hands its parts in (`program.rs`). This is the one place of
//! Kassa with floating-point numbers: they are figures about the bank, never money.

#![deny(clippy::wildcard_enum_match_arm)]

mod failure;
mod fresh;
mod http_bench;
mod ledger_bench;
mod memory_bench;
mod meter;
mod own_bank;
mod past;
mod picture;
mod process;
mod program;
mod served;
mod streams_bench;
mod table;
mod traffic;

use bank::{Body, Caller, Command, Origin, What};
use engine::{Engine, Outcome, Submission};
use ledger::Currency;
use tokio::runtime::{Builder, Handle};

pub use failure::Failure;
pub use program::{Asked, Program, ToServe};

/// The benches.
#[derive(Debug, clap::Subcommand)]
pub enum Bench {
    /// Transfers through the engine and the journal: how many a second, how that and the memory change as they grow
    /// many, and how long a start takes with them behind.
    Ledger(ledger_bench::LedgerBench),
    /// Memory that an account and a customer take.
    Memory(memory_bench::MemoryBench),
    /// Streams of events: what one takes in memory among many, and how soon all whom a payment concerns are told of it.
    Streams(streams_bench::StreamsBench),
    /// Payments and reads over HTTPS, against a server in a process of its own: how many a second, how long they take,
    /// and how near that comes to a server that only echoes.
    Http(http_bench::HttpBench),
    /// A part of a bench in a process of its own. The bench starts it, and tells it what to do on standard input.
    #[command(hide = true)]
    Part,
    /// A server of a bench, which starts it.
    #[command(hide = true)]
    Served,
}

/// Runs a bench, and prints its figures.
///
/// # Errors
///
/// A sentence for whoever called it: the machine or the bank failed, what was asked for makes no sense, or the bench was
/// interrupted.
pub fn run(bench: &Bench, program: &Program) -> Result<(), Failure> {
    match bench {
        Bench::Ledger(bench) => ledger_bench::run(bench, program),
        Bench::Memory(bench) => memory_bench::run(bench, program),
        Bench::Streams(bench) => streams_bench::run(bench, program),
        Bench::Http(bench) => http_bench::run(bench, program),
        Bench::Part => fresh::run(program),
        Bench::Served => served::run(program),
    }
}

/// Does a bench's work on a thread that may wait, until it is done or somebody asks the process to end. In the latter
/// case the work goes on until the process ends, which is right after the bench's folder is removed.
fn until_interrupted<T: Send + 'static>(
    program: &Program,
    work: impl FnOnce(&Handle) -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let handle = runtime.handle().clone();
    let done = runtime.block_on(async {
        tokio::select! {
            done = tokio::task::spawn_blocking(move || work(&handle)) => done.map_err(|error| Failure::new(error.to_string()))?,
            asked = (program.asked_to_end)() => Err(asked.map_or_else(Failure::from, |()| Failure::new("the bench was interrupted; there are no figures".into()))),
        }
    });
    runtime.shutdown_background();
    done
}

async fn accepted(engine: &Engine, submission: impl Into<Submission>) -> Result<What, Failure> {
    done(engine.submit(submission).await?)
}

async fn all_accepted(engine: &Engine, batch: Vec<Submission>) -> Result<Vec<What>, Failure> {
    engine.submit_batch(batch).await?.into_iter().map(|outcome| done(outcome?)).collect()
}

fn done(outcome: Outcome) -> Result<What, Failure> {
    match outcome {
        Outcome::Accepted(receipt) => Ok(receipt.what),
        Outcome::Refused { refusal, .. } => Err(Failure::new(format!("refused: {refusal}"))),
        Outcome::Unchanged => Err(unexpected()),
    }
}

fn unexpected() -> Failure {
    Failure::new("the bank gave another answer than the bench expects".to_owned())
}

fn command(body: Body) -> Command {
    Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body }
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("the euro is a currency of ISO 4217")
}

/// Mixes a number into another that looks random (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
