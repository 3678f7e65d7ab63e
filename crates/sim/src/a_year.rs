//! `kassa-sim year`: a year of a bank on disk, and what it took.

use std::path::PathBuf;

use sim::year::{self, Order};

/// `kassa-sim year`
#[derive(Debug, clap::Args)]
pub(crate) struct Year {
    /// The folder to make the bank in; its master key is written beside it, with the ending .key. When the year is over,
    /// `kassa` can verify, export and serve it; the operator's password is operator-year-password.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Number of accounts of the customers.
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u32).range(i64::from(year::MIN_ACCOUNTS)..=3_000_000))]
    accounts: u32,
    /// Number of payments that they make.
    #[arg(long, value_name = "N", default_value_t = 20_000_000)]
    payments: u64,
    /// Seed that everything is drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print the figures as JSON.
    #[arg(long)]
    json: bool,
}

#[allow(clippy::print_stdout, reason = "a program for the terminal")]
impl Year {
    pub(crate) fn run(&self) -> Result<(), String> {
        let order =
            Order { data: self.data.clone(), accounts: self.accounts, payments: self.payments, seed: self.seed };
        let figures = year::live(&order, &mut |line| eprintln!("{line}")).map_err(|error| error.to_string())?;
        if self.json {
            println!("{:#}", figures.json());
        } else {
            figures.lines().iter().for_each(|line| println!("{line}"));
        }
        if figures.problems > 0 { Err("the bank is not in order; see `kassa verify`".into()) } else { Ok(()) }
    }
}
