//! `kassa bench`: how fast the bank is on this machine, measured on the real engine and the real journal, with
//! encryption, syncing, idempotency keys and balance checks as in service.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bank::{Body, Caller, Command, CustomerId, Numbering, OpenAccount, Pay, Purpose, Role, What};
use engine::{Engine, Field, NewSubject, Options, Outcome, Submission, SystemClock};
use journal::MasterKey;
use ledger::{AccountId, Currency, Kind, Leg, Money, Overdraft};
use serde::Serialize;
use tokio::task::JoinSet;

use crate::failure::Failure;
use crate::output::Output;

/// What `kassa bench ledger` is asked to do.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct LedgerBench {
    /// A folder for the bench's own bank; made anew, and removed afterwards.
    #[arg(long, value_name = "DIR", default_value = "kassa-bench")]
    data: PathBuf,
    /// How many accounts there are.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(2..))]
    accounts: u32,
    /// How many transfers are made.
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    transfers: u64,
    /// How many transfers are sent together.
    #[arg(long, value_name = "N", default_value_t = 8_190, value_parser = clap::value_parser!(u64).range(1..=8_190))]
    batch: u64,
    /// Instead of batches, this many callers with one transfer each at a time.
    #[arg(long, value_name = "N", conflicts_with = "batch", value_parser = clap::value_parser!(u32).range(1..))]
    callers: Option<u32>,
    /// One account takes part in every transfer.
    #[arg(long)]
    hot: bool,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

/// The figures.
#[derive(Debug, Serialize)]
struct Figures {
    accounts: u32,
    transfers: u64,
    batch: u64,
    callers: u32,
    hot: bool,
    seconds: f64,
    transfers_per_s: f64,
    /// From sending a batch (or one caller's transfer) until its answer.
    batch_ms_p50: f64,
    batch_ms_p99: f64,
    batch_ms_max: f64,
    /// How many transfers were made durable together, on average.
    transfers_per_run: f64,
    /// How long that took, from sealing to synced, on average.
    append_ms_mean: f64,
    journal_bytes_per_transfer: f64,
    rss_bytes: u64,
    cpu_s: f64,
}

/// How many accounts belong to one of the bench's customers.
const ACCOUNTS_PER_CUSTOMER: u32 = 1_000;

/// How many batches are on their way at once: one being made durable, one being decided, and one waiting.
const BATCHES_IN_FLIGHT: usize = 3;

/// How far each account may go below zero, in cents. Far enough that no transfer is refused; each is checked.
const OVERDRAFT_MINOR: u64 = 1_000_000_000_000;

pub(crate) fn ledger(bench: &LedgerBench, output: &Output) -> Result<(), Failure> {
    if bench.data.exists() {
        return Err(Failure::new(format!(
            "{} is there already; the bench makes its own folder and removes it, so name another with --data",
            bench.data.display()
        )));
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let measured = runtime.block_on(measure(bench, output));
    // The folder is the bench's own; one that can't be removed is only in the way of the next bench.
    let _ = std::fs::remove_dir_all(&bench.data);
    let figures = measured?;
    if bench.json {
        output.json(&figures)
    } else {
        output.line(format_args!(
            "{:.0} transfers/s ({} in {:.2} s); answers after {:.2} ms (median), {:.2} ms (99 %), {:.2} ms (longest); \
             {:.0} journal bytes per transfer; {:.0} MiB of memory; {:.1} s of processor time",
            figures.transfers_per_s,
            figures.transfers,
            figures.seconds,
            figures.batch_ms_p50,
            figures.batch_ms_p99,
            figures.batch_ms_max,
            figures.journal_bytes_per_transfer,
            figures.rss_bytes as f64 / 1_048_576.0,
            figures.cpu_s,
        ))
    }
}

async fn measure(bench: &LedgerBench, output: &Output) -> Result<Figures, Failure> {
    let master = MasterKey::generate();
    let engine = Engine::create(&bench.data, &master, Arc::new(SystemClock))?;
    let callers = prepare(&engine, bench.accounts, output).await?;
    stop(engine).await?;
    let bytes_before = journal_bytes(&bench.data)?;

    let engine = Engine::open(&bench.data, &master, Options::default(), Arc::new(SystemClock), &mut |_| {})?;
    engine.answer_on(tokio::runtime::Handle::current());
    let traffic = Arc::new(Traffic { engine: engine.clone(), callers, accounts: bench.accounts, hot: bench.hot });
    let bar = output.bar("transfers", bench.transfers);
    let cpu_before = cpu_s()?;
    let started = Instant::now();
    let mut waits = match bench.callers {
        Some(callers) => one_at_a_time(&traffic, callers, bench.transfers, &bar).await?,
        None => in_batches(&traffic, bench.batch, bench.transfers, &bar).await?,
    };
    let elapsed = started.elapsed();
    let (cpu_s, rss_bytes) = (cpu_s()? - cpu_before, rss_bytes()?);
    let engine::Measures { runs, append_us, .. } = engine.measures()?;
    bar.finish_and_clear();
    drop(traffic);
    stop(engine).await?;

    waits.sort_unstable();
    let transfers = bench.transfers;
    Ok(Figures {
        accounts: bench.accounts,
        transfers,
        batch: if bench.callers.is_some() { 1 } else { bench.batch },
        callers: bench.callers.unwrap_or(1),
        hot: bench.hot,
        seconds: elapsed.as_secs_f64(),
        transfers_per_s: transfers as f64 / elapsed.as_secs_f64(),
        batch_ms_p50: percentile_ms(&waits, 50),
        batch_ms_p99: percentile_ms(&waits, 99),
        batch_ms_max: percentile_ms(&waits, 100),
        transfers_per_run: transfers as f64 / runs.max(1) as f64,
        append_ms_mean: append_us as f64 / runs.max(1) as f64 / 1_000.0,
        journal_bytes_per_transfer: (journal_bytes(&bench.data)? - bytes_before) as f64 / transfers.max(1) as f64,
        rss_bytes,
        cpu_s,
    })
}

/// Founds the bench's bank, with its customers signed in and their accounts open.
async fn prepare(engine: &Engine, accounts: u32, output: &Output) -> Result<Vec<Caller>, Failure> {
    let numbering = Numbering::new("AT", "99999").map_err(|error| Failure::new(error.to_string()))?;
    accepted(engine, command(Body::Found { name: "Bench".into(), numbering })).await?;
    let mut callers = Vec::new();
    for number in 0..accounts.div_ceil(ACCOUNTS_PER_CUSTOMER) {
        let subject = NewSubject::generate();
        let name = subject.seal(Field::CustomerName, &format!("Customer {number}"));
        let submission = Submission {
            command: command(Body::AddCustomer { name: name.clone() }),
            subject: Some(subject.clone()),
            past: None,
        };
        let What::CustomerAdded { id, .. } = accepted(engine, submission).await? else { return Err(unexpected()) };
        let user = Body::AddUser {
            name_index: engine.name_index(&number.to_string()),
            name: subject.seal(Field::UserName, &number.to_string()),
            // Nobody signs in with it.
            password: subject.seal(Field::Password, ""),
            role: Role::Customer,
            customer: Some(id),
        };
        let What::UserAdded { id: user, .. } = accepted(engine, command(user)).await? else { return Err(unexpected()) };
        let token = engine.token_hash(&engine.new_token());
        let expires_at = engine.now().plus_ms(24 * 3_600_000);
        accepted(engine, command(Body::SignIn { user, token, expires_at })).await?;
        callers.push(Caller { user, session: Some(token) });
    }
    let bar = output.bar("accounts", u64::from(accounts));
    let numbers: Vec<u32> = (0..accounts).collect();
    for chunk in numbers.chunks(8_000) {
        let batch = chunk.iter().map(|number| {
            command(Body::OpenAccount(OpenAccount {
                number: None,
                currency: euro(),
                kind: Kind::Liability,
                overdraft: Overdraft::Limited(OVERDRAFT_MINOR),
                name: None,
                owner: Some(CustomerId(number / ACCOUNTS_PER_CUSTOMER + 1)),
                cash: false,
                opened_at: None,
            }))
            .into()
        });
        all_accepted(engine.submit_batch(batch.collect()).await?)?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    Ok(callers)
}

/// Where the transfers come from.
struct Traffic {
    engine: Engine,
    callers: Vec<Caller>,
    accounts: u32,
    hot: bool,
}

impl Traffic {
    /// The transfer of a number: between two accounts drawn by it, for an amount drawn by it, under a key of its own.
    fn transfer(&self, number: u64) -> Command {
        let drawn = mix(number);
        let from = if self.hot { 0 } else { below(drawn, self.accounts) };
        let to = (from + 1 + below(mix(drawn), self.accounts - 1)) % self.accounts;
        let minor = 1 + i64::from(below(mix(mix(drawn)), 10_000));
        let amount = Money { minor, currency: euro() };
        let leg = Leg { debit: AccountId(from), credit: AccountId(to), amount };
        let caller = self.callers[(from / ACCOUNTS_PER_CUSTOMER) as usize];
        let key = number.to_be_bytes();
        let mut content = [0; 16];
        content[..4].copy_from_slice(&from.to_be_bytes());
        content[4..8].copy_from_slice(&to.to_be_bytes());
        content[8..].copy_from_slice(&minor.to_be_bytes());
        let request = self.engine.request(caller.user, &key, &content);
        let pay = Pay { legs: [leg].into(), purpose: Purpose::Payment, text: None, value_date: None, booked_at: None };
        Command { caller, request: Some(request), body: Body::Pay(pay) }
    }
}

async fn in_batches(
    traffic: &Arc<Traffic>,
    batch: u64,
    transfers: u64,
    bar: &indicatif::ProgressBar,
) -> Result<Vec<Duration>, Failure> {
    let mut waits = Vec::new();
    let mut flying: JoinSet<Result<Duration, Failure>> = JoinSet::new();
    let mut next = 0;
    while next < transfers || !flying.is_empty() {
        if next < transfers && flying.len() < BATCHES_IN_FLIGHT {
            let end = transfers.min(next + batch);
            let traffic = Arc::clone(traffic);
            flying.spawn(async move {
                let commands = (next..end).map(|number| traffic.transfer(number).into()).collect();
                let sent = Instant::now();
                let outcomes = traffic.engine.submit_batch(commands).await?;
                let wait = sent.elapsed();
                all_accepted(outcomes)?;
                Ok(wait)
            });
            next = end;
        } else if let Some(landed) = flying.join_next().await {
            waits.push(landed.map_err(|error| Failure::new(error.to_string()))??);
            bar.inc(batch);
        }
    }
    Ok(waits)
}

async fn one_at_a_time(
    traffic: &Arc<Traffic>,
    callers: u32,
    transfers: u64,
    bar: &indicatif::ProgressBar,
) -> Result<Vec<Duration>, Failure> {
    let next = Arc::new(AtomicU64::new(0));
    let mut tasks: JoinSet<Result<Vec<Duration>, Failure>> = JoinSet::new();
    for _ in 0..callers {
        let (traffic, next, bar) = (Arc::clone(traffic), Arc::clone(&next), bar.clone());
        tasks.spawn(async move {
            let mut waits = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= transfers {
                    return Ok(waits);
                }
                let command = traffic.transfer(number);
                let sent = Instant::now();
                accepted(&traffic.engine, command).await?;
                waits.push(sent.elapsed());
                if number.is_multiple_of(1024) {
                    bar.set_position(number);
                }
            }
        });
    }
    let mut waits = Vec::new();
    while let Some(done) = tasks.join_next().await {
        waits.extend(done.map_err(|error| Failure::new(error.to_string()))??);
    }
    Ok(waits)
}

async fn accepted(engine: &Engine, submission: impl Into<Submission>) -> Result<What, Failure> {
    match engine.submit(submission).await? {
        Outcome::Accepted(receipt) => Ok(receipt.what),
        Outcome::Refused { refusal, .. } => Err(Failure::new(format!("refused: {refusal}"))),
        Outcome::Unchanged => Err(unexpected()),
    }
}

fn all_accepted(outcomes: Vec<Result<Outcome, engine::Unavailable>>) -> Result<(), Failure> {
    for outcome in outcomes {
        match outcome? {
            Outcome::Accepted(_) => {}
            Outcome::Refused { refusal, .. } => return Err(Failure::new(format!("refused: {refusal}"))),
            Outcome::Unchanged => return Err(unexpected()),
        }
    }
    Ok(())
}

fn unexpected() -> Failure {
    Failure::new("the bank gave another answer than the bench expects".to_owned())
}

fn command(body: Body) -> Command {
    Command { caller: Caller::SYSTEM, request: None, body }
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("the euro is a currency of ISO 4217")
}

async fn stop(engine: Engine) -> Result<(), Failure> {
    tokio::task::spawn_blocking(move || engine.stop()).await.map_err(|error| Failure::new(error.to_string()))
}

/// The size of the journal's files.
fn journal_bytes(folder: &Path) -> Result<u64, Failure> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("journal.db") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Mixes a number into another that looks random (the finaliser of SplitMix64).
fn mix(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// A number below `limit`, drawn by a random one.
fn below(random: u64, limit: u32) -> u32 {
    u32::try_from(((random >> 32) * u64::from(limit)) >> 32).expect("less than a 32-bit limit")
}

/// The wait that so many in a hundred don't exceed, by nearest rank.
fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, Duration::as_secs_f64) * 1_000.0
}

/// The memory that this process has in use, in bytes.
fn rss_bytes() -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kib.unwrap_or(0_u64) * 1024)
}

/// The processor time that this process has used, in seconds: user and system time, in Linux's hundredths.
fn cpu_s() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    // The program's name, in brackets, may hold spaces; the fields after it are counted from 3.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
