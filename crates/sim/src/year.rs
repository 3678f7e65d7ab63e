//! A year of a middling bank, on disk, through the whole engine, in minutes.
//!
//! The bank is made and asked through [`engine::Engine`] as a server would, its clock lives through 2025, and the folder
//! that is left is a bank's like any other. `people` says who has which account, `calendar` when how much is paid,
//! `traffic` what is asked, and `desk` asks it: in batches, several of them on their way, each answer shown to the
//! auditor. Everything that is asked follows from the seed; keys, tokens and seals are the bank's own.

mod calendar;
mod desk;
mod people;
mod traffic;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use calendar::{Calendar, STEPS_PER_DAY};
pub use desk::Counts;
use desk::Desk;
use people::People;
use traffic::Traffic;

/// Order of a year to be made.
#[derive(Debug, Clone)]
pub struct Order {
    /// The folder of the bank; the master key is written beside it, with the ending `.key`.
    pub data: PathBuf,
    /// Number of its customers' accounts.
    pub accounts: u32,
    /// Number of payments they make: transfers, card payments and cash, refused ones among them; not counted are
    /// captures, refunds, reversals and retries.
    pub payments: u64,
    /// Seed that everything follows from.
    pub seed: u64,
}

/// The fewest accounts: below, there would be no firm to buy from.
pub const MIN_ACCOUNTS: u32 = 100;

/// Error that stopped the year, in words.
pub type Stopped = Box<dyn std::error::Error + Send + Sync>;

/// At the ends of these days of the year the bank is closed, and opened again.
const RESTARTS_AFTER: [u32; 3] = [58, 180, 303];

/// Result of a year.
#[derive(Debug, Clone)]
pub struct Figures {
    order: Order,
    customers: u32,
    /// Counts of what was asked and answered.
    pub counts: Counts,
    /// The journal's last event.
    pub events: u64,
    furnishing: Duration,
    year: Duration,
    restarts: Vec<Duration>,
    reopening: Duration,
    verifying: Duration,
    /// Number of problems that `engine::verify` found.
    pub problems: usize,
    peak_rss_bytes: u64,
    folder_bytes: u64,
}

/// Makes the bank, lives through the year, and checks the whole.
///
/// # Errors
///
/// Tells the first thing that the auditor doesn't agree with, or why the bank can't be made.
pub fn live(order: &Order, say: &mut dyn FnMut(String)) -> Result<Figures, Stopped> {
    if order.accounts < MIN_ACCOUNTS {
        return Err(format!("a bank of less than {MIN_ACCOUNTS} accounts has no firm to buy from").into());
    }
    let started = Instant::now();
    let mut desk = Desk::open_new(&order.data)?;
    let mut people = People::new(order.accounts, order.seed);
    people.furnish(&mut desk)?;
    desk.compare()?;
    let furnishing = started.elapsed();
    say(format!("{} customers with {} accounts are there.", people.customers(), order.accounts));

    let started = Instant::now();
    let restarts = live_through(order, &mut desk, &mut people, say)?;
    let year = started.elapsed();

    let peak_rss_bytes = peak_rss_bytes()?;
    let reopening = desk.restart()?;
    desk.compare()?;
    let (counts, events) = (desk.counts().clone(), desk.events());
    let master = desk.close();
    let started = Instant::now();
    let report = engine::verify(&order.data, &master, &mut |_| {})?;
    let verifying = started.elapsed();
    Ok(Figures {
        order: order.clone(),
        customers: People::customers_of(order.accounts),
        counts,
        events,
        furnishing,
        year,
        restarts,
        reopening,
        verifying,
        problems: report.problems.len(),
        peak_rss_bytes,
        folder_bytes: bytes_in(&order.data)?,
    })
}

/// The year itself, with the books compared at every month's end. Gives how long each restart took.
fn live_through(
    order: &Order,
    desk: &mut Desk,
    people: &mut People,
    say: &mut dyn FnMut(String),
) -> Result<Vec<Duration>, Stopped> {
    let calendar = Calendar::new();
    let mut traffic = Traffic::new(order, people, &calendar);
    let mut restarts = Vec::new();
    for day in calendar.days() {
        for part in 0..STEPS_PER_DAY {
            desk.set_clock(day.at(part))?;
            traffic.step(desk, people, &calendar, day, part)?;
        }
        if day.ends_month {
            desk.compare()?;
            say(format!("{}: {} payments, {} events; the books agree.", day.name(), traffic.made(), desk.events()));
        }
        if RESTARTS_AFTER.contains(&day.of_year) {
            restarts.push(desk.restart()?);
        }
    }
    Ok(restarts)
}

impl Figures {
    /// The figures, a line for each step.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let counts = &self.counts;
        let mib = |bytes: u64| bytes / (1 << 20);
        let refusals: u64 = counts.refusals.values().sum();
        let by_reason: Vec<String> = counts.refusals.iter().map(|(slug, count)| format!("{slug} {count}")).collect();
        let restarts: Vec<String> = self.restarts.iter().map(|took| format!("{:.2} s", took.as_secs_f64())).collect();
        vec![
            format!(
                "Made: {} customers, {} accounts in {:.1} s",
                self.customers,
                self.order.accounts,
                self.furnishing.as_secs_f64()
            ),
            format!(
                "The year: {} payments in {:.1} s, {:.0} payments/s, {:.0} commands/s with their audit",
                self.order.payments,
                self.year.as_secs_f64(),
                per_second(self.order.payments, self.year),
                per_second(counts.commands, self.year),
            ),
            format!(
                "Asked: {} commands; {} events; {} postings; {} holds placed, {} captures, {} voided, {} expired; \
                 {} refunds; {} reversals; {} sign-ins",
                counts.commands,
                self.events,
                counts.postings,
                counts.holds,
                counts.captures,
                counts.voided,
                counts.expired,
                counts.refunds,
                counts.reversals,
                counts.sign_ins
            ),
            format!("Refused: {refusals} ({})", by_reason.join(", ")),
            format!("Sent again under the same key: {} ({} with other content)", counts.retries, counts.keys_reused),
            format!(
                "The auditor: agrees with every answer, and with all balances and holds at {} comparisons",
                counts.comparisons
            ),
            format!("Restarts within the year: {}", restarts.join(", ")),
            format!("Opened again at the end: {:.2} s; all balances are the same", self.reopening.as_secs_f64()),
            format!(
                "Verified in-process: {:.1} s, {:.0} events/s, {} problems",
                self.verifying.as_secs_f64(),
                per_second(self.events, self.verifying),
                self.problems
            ),
            format!(
                "Peak memory {} MiB, the auditor's books included; the folder {} MiB",
                mib(self.peak_rss_bytes),
                mib(self.folder_bytes)
            ),
        ]
    }

    /// The figures as JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        let counts = &self.counts;
        let restarts: Vec<f64> = self.restarts.iter().map(Duration::as_secs_f64).collect();
        json!({
            "accounts": self.order.accounts,
            "customers": self.customers,
            "payments": self.order.payments,
            "seed": self.order.seed,
            "make_s": self.furnishing.as_secs_f64(),
            "year_s": self.year.as_secs_f64(),
            "payments_per_s": per_second(self.order.payments, self.year),
            "commands": counts.commands,
            "commands_per_s": per_second(counts.commands, self.year),
            "events": self.events,
            "postings": counts.postings,
            "holds": counts.holds,
            "captures": counts.captures,
            "voided": counts.voided,
            "expired": counts.expired,
            "refunds": counts.refunds,
            "reversals": counts.reversals,
            "sign_ins": counts.sign_ins,
            "refusals": counts.refusals,
            "retries": counts.retries,
            "keys_reused": counts.keys_reused,
            "auditor_agrees": true,
            "comparisons": counts.comparisons,
            "restarts_s": restarts,
            "reopen_s": self.reopening.as_secs_f64(),
            "verify_s": self.verifying.as_secs_f64(),
            "verify_problems": self.problems,
            "peak_rss_bytes": self.peak_rss_bytes,
            "folder_bytes": self.folder_bytes,
        })
    }
}

fn per_second(count: u64, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64().max(f64::EPSILON)
}

/// The most memory that this process has had in use.
fn peak_rss_bytes() -> Result<u64, Stopped> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok());
    Ok(kib.unwrap_or(0_u64) * 1024)
}

fn bytes_in(folder: &Path) -> Result<u64, Stopped> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.len();
    }
    Ok(bytes)
}
