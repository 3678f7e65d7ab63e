//! Another bank's files: a map and a folder of delimited files become a `Plan`, or a list of mistakes; and what of the
//! plan is new becomes postings.
//!
//! First the map is read (`map.rs`), then the tables it names (`plan.rs` and `postings.rs`, through the rows of
//! `source.rs`) or lists itself (`inline.rs`); a plan exists only if the whole input is sound. `order.rs` puts the
//! postings in order. `books.rs` looks at what the bank holds already, without changing it, and `booking.rs` says what of
//! the plan is to be booked and what the bank would refuse of it, account by account (`history.rs`). Only then does
//! `run.rs` found and book. The report (`report.rs`) compares what was posted with the source's own balances
//! (`reconcile.rs`). `suggest` looks at a file and writes a first map for it.
//!
//! Map, plan, source and order share the words of the input, and booking, run and report those of the outcome, so that the
//! files of either group name each other.
//!
//! # The order of rows, and what accounts begin with
//!
//! Rows are booked by date. Within an account's day their order is the one in which each balance of the source is the
//! balance before it and the row's amount; where that tells nothing it is the map's `order`, or else the file's, which is
//! read from its end if its dates fall. An account of which nothing is booked begins with the balance that its first row
//! tells, booked under a key of its own against `opening_account`. A balance that doesn't follow from what is before it
//! is a break: it stops the import unless the operator accepts it.
//!
//! # Overdrafts
//!
//! A limit is granted where the source's own balances show that somebody was lent the money: as far below zero as the
//! lowest of them. What rows alone add up to is no reason for one. A history that goes lower on the way has room for it
//! only while it is booked. In the end an account has the largest of: the limit it had, the one that the source shows
//! (less what the books end above the source), and what it is below zero, so that nothing can be spent of that. The last
//! is taken back when a later import finds the account higher; and an import that would need it is refused where nothing
//! tells what the account began with, or where the source's balances say that it wasn't overdrawn so far.
//!
//! # The map
//!
//! A TOML file. Its fields are described in `docs/IMPORT.md`, and `examples/berka/map.toml` is one worked out in full. An
//! unknown field is a mistake, and all the map's mistakes are told together.

mod amount;
mod booking;
mod books;
mod content;
mod history;
mod inline;
mod map;
mod order;
mod pattern;
mod plan;
mod postings;
mod reconcile;
mod report;
mod run;
#[cfg(test)]
mod samples;
mod section;
mod source;
mod suggest;

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::path::Path;

use ledger::Currency;

use crate::failure::Failure;
use map::Map;
use plan::{Plan, Surroundings};

pub use report::Report;
pub use run::{Import, ImportUser, Planned, Progress, Request, Steps};

/// Number of mistakes printed before the rest is only counted: a screenful, which is what anybody mends at a time.
pub(crate) const MISTAKES_SHOWN_MAX: usize = 50;

/// One thing wrong with the map or with a file of the source. Ordered by file, line and reason.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Mistake {
    /// The file as the map names it, or the map's own path.
    pub(crate) file: String,
    /// The line on which the row begins, from 1; none if it is the file as a whole.
    pub(crate) line: Option<u64>,
    /// The mistake in words, to follow after a colon.
    pub(crate) reason: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, reason) = (visible(&self.file), visible(&self.reason));
        match self.line {
            Some(line) => write!(f, "{file}:{line}: {reason}"),
            None => write!(f, "{file}: {reason}"),
        }
    }
}

/// A text with its control characters escaped: names that a map or a file brings may have any, and a mistake is one line
/// that leaves the terminal as it is.
fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(bank::is_control) {
        return text.into();
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if bank::is_control(letter) { shown.extend(letter.escape_default()) } else { shown.push(letter) }
    }
    shown.into()
}

/// Every mistake found, sorted, at least one. Printed, it shows the first [`MISTAKES_SHOWN_MAX`] and counts the rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// All of them, in order of file and line.
    pub(crate) fn all(&self) -> &[Mistake] {
        &self.0
    }

    /// These and others.
    fn and(self, others: &[Mistake]) -> Self {
        let mut all = [&self.0, others].concat();
        all.sort();
        Self(all)
    }

    /// `value` if there are no mistakes; else the mistakes, sorted.
    fn unless_none<T>(value: T, mut mistakes: Vec<Mistake>) -> Result<T, Self> {
        if mistakes.is_empty() {
            return Ok(value);
        }
        mistakes.sort();
        Err(Self(mistakes))
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, mistake) in self.0.iter().take(MISTAKES_SHOWN_MAX).enumerate() {
            let line_break = if position == 0 { "" } else { "\n" };
            write!(f, "{line_break}{mistake}")?;
        }
        match self.0.len().saturating_sub(MISTAKES_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Mistakes {}

/// Suggests a map for a file of postings, as TOML with the reasons. The file is read in the encoding with this label, or
/// else in one that is guessed.
///
/// # Errors
///
/// A file that can't be read, or that is no table of postings; a label that no encoding has.
pub fn suggest(file: &Path, encoding: Option<&str>) -> Result<String, Failure> {
    suggest::for_file(file, encoding, &currency_decimals)
}

fn currency_decimals(code: &str) -> Option<u32> {
    Currency::from_code(code).map(Currency::decimals)
}

/// Reads a map. Its mistakes are told before any file is read, since they would make every row look wrong.
///
/// `currency_decimals` tells how many decimals a currency's minor unit has, and none for a currency the bank doesn't
/// know.
fn read_map(map_file: &Path, currency_decimals: &dyn Fn(&str) -> Option<u32>) -> Result<Map, Mistakes> {
    let map_name = map_file.display().to_string();
    let text = std::fs::read_to_string(map_file).map_err(|error| {
        Mistakes(vec![Mistake { file: map_name.clone(), line: None, reason: format!("cannot be read: {error}") }])
    })?;
    Map::parse(&map_name, &text, currency_decimals)
}

/// Reads the files that a map names in `folder`, and checks them all.
fn plan(map: &Map, folder: &Path, surroundings: &Surroundings<'_>) -> Result<Plan, Mistakes> {
    plan::build(map, surroundings, &|file| {
        let path = folder.join(file);
        std::fs::read(&path).map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_shows_the_first_mistakes_and_counts_the_rest() {
        let mistake = |line| Mistake { file: "a.csv".to_owned(), line: Some(line), reason: "is wrong".to_owned() };
        let shown =
            |count| Mistakes::unless_none((), (1..=count).rev().map(mistake).collect()).unwrap_err().to_string();

        assert!(shown(2).starts_with("a.csv:1: is wrong\na.csv:2: is wrong"));
        assert!(shown(50).ends_with("a.csv:50: is wrong"));
        assert!(shown(53).ends_with("a.csv:50: is wrong\nand 3 more"));
    }

    #[test]
    fn a_mistake_is_one_line_whatever_it_names() {
        let text = "[source]\n\"a\\nb\\u001b[2J\\u202e\" = 1\n";
        let told = Map::parse("map.toml", text, &|_| Some(2)).unwrap_err();
        let shown = told.to_string();
        assert!(shown.contains("\nmap.toml:2: unknown field `a\\nb\\u{1b}[2J\\u{202e}`"), "{shown}");
        assert_eq!(shown.lines().count(), told.all().len());
    }

    #[test]
    fn a_missing_map_is_a_mistake() {
        let mistakes = read_map(Path::new("/nowhere/map.toml"), &|_| Some(2)).unwrap_err();
        assert_eq!(mistakes.all().len(), 1);
        assert!(mistakes.to_string().starts_with("/nowhere/map.toml: cannot be read: "));
    }
}
