//! The books for other programs, read from the journal's first event to its durable head, beside a running server too.
//! Nothing is kept in memory but the state, and nothing is changed.
//!
//! | format | what it holds | written by |
//! |---|---|---|
//! | `hledger` | every account and posting, as a journal of plain-text accounting | `hledger.rs` |
//! | `csv` | a line for each entry, as on a statement | `csv.rs` |
//! | `jsonl` | every event, as a JSON object on a line | `jsonl.rs` |
//!
//! Names, amounts and times are written as the REST interface writes them. What it calls by opaque ids, payments and
//! holds, goes here by the number of its event.

mod csv;
mod hledger;
mod holds;
mod jsonl;

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bank::{Purpose, Said, Sealed, State, SubjectId};
use engine::{Field, Opener, Recorded, Replay, Spoken};
use jiff::ToSpan;
use jiff::civil::{self, Date};
use ledger::{AccountId, Currency, Kind, Timestamp, ValueDate};

use crate::failure::Failure;

/// Format of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Journal for hledger.
    Hledger,
    /// CSV line for each entry.
    Csv,
    /// JSON object on a line for each event.
    Jsonl,
}

/// Result of an export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exported {
    /// All is written.
    Whole,
    /// Whoever read it has seen enough.
    InPart,
}

/// Books to be written.
pub struct Books {
    replay: Replay,
    personal: Personal,
}

impl Books {
    /// Takes a bank to be read from its first event to its last. With an opener the personal fields, names and texts,
    /// are written, too.
    #[must_use]
    pub fn new(replay: Replay, opener: Option<Opener>) -> Self {
        Self { replay, personal: Personal(opener) }
    }

    /// Returns the number of the last event.
    #[must_use]
    pub fn last_event(&self) -> u64 {
        self.replay.last_event()
    }

    /// Writes all events in a format. `progress` is told the number of each.
    ///
    /// # Errors
    ///
    /// A journal that can't be read, or whose events don't fit together; and what is in the way of writing.
    pub fn write(
        self,
        format: Format,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Exported, Failure> {
        exported(write(self, format, out, progress))
    }

    /// Writes all events into a file, as [`Books::write`] does. While it is being written it is called `path`.part; a
    /// file that is there is written over only by `force`.
    ///
    /// # Errors
    ///
    /// As [`Books::write`]; and a file that is there, or that another export is writing.
    pub fn write_file(
        self,
        format: Format,
        path: &Path,
        force: bool,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Exported, Failure> {
        let mut part = Part::begin(path, force)?;
        let written = write(self, format, &mut part.file, progress);
        exported(written.and_then(|()| Ok(part.finish()?)))
    }
}

fn exported(written: Result<(), Ended>) -> Result<Exported, Failure> {
    match written {
        Ok(()) => Ok(Exported::Whole),
        Err(Ended::Unread) => Ok(Exported::InPart),
        Err(Ended::Failed(failure)) => Err(failure),
    }
}

/// One way to write the books.
trait Form {
    /// Writes what an event adds. The state is the one after it.
    fn event(&mut self, state: &State, recorded: &Recorded) -> Result<(), Ended>;

    /// Writes what is left, after the last event.
    fn end(&mut self) -> Result<(), Ended>;
}

/// Reason an export ended early.
enum Ended {
    /// Whoever read it has seen enough.
    Unread,
    Failed(Failure),
}

impl From<io::Error> for Ended {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Unread;
        }
        Self::Failed(Failure::new(format!("the export can't be written: {error}")))
    }
}

impl From<engine::OpenError> for Ended {
    fn from(error: engine::OpenError) -> Self {
        Self::Failed(error.into())
    }
}

/// Writes all events in one form.
fn write(books: Books, format: Format, out: &mut dyn Write, progress: &mut dyn FnMut(u64)) -> Result<(), Ended> {
    let Books { replay, personal } = books;
    let mut form: Box<dyn Form + '_> = match format {
        Format::Hledger => Box::new(hledger::Hledger::begin(out, &personal, replay.last_event())?),
        Format::Csv => Box::new(csv::Csv::begin(out, &personal)?),
        Format::Jsonl => Box::new(jsonl::Jsonl::begin(out, &personal)),
    };
    replay.run(&mut |state, recorded| {
        progress(recorded.number);
        form.event(state, recorded)
    })?;
    form.end()
}

/// A file under way: it gets its name when it is whole, and is removed when it never will be.
struct Part {
    path: PathBuf,
    part: PathBuf,
    file: BufWriter<File>,
    whole: bool,
}

impl Part {
    fn begin(path: &Path, force: bool) -> Result<Self, Failure> {
        let mut part = OsString::from(path);
        part.push(".part");
        let part = PathBuf::from(part);
        if !force && path.symlink_metadata().is_ok() {
            let path = path.display();
            return Err(Failure::new(format!("{path} is there already; name another file, or add --force")));
        }
        if force {
            match fs::remove_file(&part) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot_write(&part, &error)),
                _ => {}
            }
        }
        // It may hold what is nobody else's business.
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part);
        let file = file.map_err(|error| {
            if error.kind() != io::ErrorKind::AlreadyExists {
                return cannot_write(&part, &error);
            }
            Failure::new(format!(
                "{} is there already: another export is writing it, or one was broken off; wait for it, remove it, or \
                 add --force",
                part.display()
            ))
        })?;
        Ok(Self { path: path.to_owned(), part, file: BufWriter::new(file), whole: false })
    }

    fn finish(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        fs::rename(&self.part, &self.path)?;
        self.whole = true;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.whole {
            // One that can't be removed still has the name of what is not whole.
            let _ = fs::remove_file(&self.part);
        }
    }
}

fn cannot_write(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("{} can't be written: {error}", path.display()))
}

/// Opener of personal fields, where they were asked for.
struct Personal(Option<Opener>);

impl Personal {
    /// A field as it is exported: left out where personal fields are; else what it says, or null where there is none or
    /// the person has been erased.
    fn open(&self, field: Field, sealed: Option<&Sealed>) -> Result<Option<Option<String>>, Ended> {
        let Some(opener) = &self.0 else { return Ok(None) };
        let opened = sealed.map(|sealed| opener.open_sealed(field, sealed)).transpose()?;
        Ok(Some(opened.flatten()))
    }

    /// Words of a payment, opened for some people; left out where personal fields are.
    fn said(&self, said: &Said, people: &[SubjectId]) -> Result<Option<Spoken>, Ended> {
        let Some(opener) = &self.0 else { return Ok(None) };
        Ok(Some(opener.open_said(said, people)?))
    }
}

/// An account's number as people know it.
fn iban(state: &State, id: AccountId) -> Result<String, Ended> {
    let missing = || Ended::Failed(Failure::new(format!("account {} has no number; run `kassa verify`", id.0)));
    state.iban(id).ok_or_else(missing)
}

/// The account's side of the trial balance and its currency.
fn kind_and_currency(state: &State, id: AccountId) -> Result<(Kind, Currency), Ended> {
    let missing = || Ended::Failed(Failure::new(format!("account {} is not there; run `kassa verify`", id.0)));
    state.ledger().account(id).map(|account| (account.kind, account.currency)).ok_or_else(missing)
}

/// An amount with all decimals of its currency, also where it is larger than one amount can be.
fn decimal(minor: i128, currency: Currency) -> String {
    let places = usize::try_from(currency.decimals()).unwrap_or(0);
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A moment, as in RFC 3339: `2026-11-21T20:54:13.123Z`.
fn moment(at: Timestamp) -> String {
    let end = if at.0 < 0 { jiff::Timestamp::MIN } else { jiff::Timestamp::MAX };
    format!("{:.3}", jiff::Timestamp::from_millisecond(at.0).unwrap_or(end))
}

/// A day, as in ISO 8601: `2026-11-21`.
fn day(day: ValueDate) -> String {
    let end = if day.0 < 0 { Date::MIN } else { Date::MAX };
    civil::date(1970, 1, 1).checked_add(i64::from(day.0).days()).unwrap_or(end).to_string()
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Asset => "asset",
        Kind::Liability => "liability",
        Kind::Equity => "equity",
        Kind::Income => "income",
        Kind::Expense => "expense",
    }
}

fn purpose_name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Payment => "payment",
        Purpose::Deposit => "deposit",
        Purpose::Withdrawal => "withdrawal",
        Purpose::Imported => "imported",
        Purpose::Capture => "capture",
        Purpose::Refund => "refund",
        Purpose::Reversal => "reversal",
        Purpose::Booking => "booking",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_all_decimals_of_their_currency() {
        for (code, minor, expected) in [
            ("EUR", -5, "-0.05"),
            ("EUR", 123_456, "1234.56"),
            ("JPY", 7, "7"),
            ("JPY", 0, "0"),
            ("KWD", 1, "0.001"),
            ("KWD", -i128::from(i64::MIN), "9223372036854775.808"),
        ] {
            let currency = Currency::from_code(code).unwrap();
            assert_eq!(decimal(minor, currency), expected);
        }
    }

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(moment(Timestamp(1_795_294_453_120)), "2026-11-21T20:54:13.120Z");
        assert_eq!(day(Timestamp(-1).day()), "1969-12-31");
    }

    #[test]
    fn a_file_gets_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("books");
        let part = folder.path().join("books.part");
        drop(Part::begin(&path, false).ok().unwrap());
        assert!(!path.exists() && !part.exists(), "what was broken off leaves nothing");
        let mut under_way = Part::begin(&path, false).ok().unwrap();
        assert!(Part::begin(&path, false).is_err(), "another is writing");
        under_way.file.write_all(b"whole").unwrap();
        assert!(part.exists() && !path.exists());
        under_way.finish().unwrap();
        assert!(!part.exists());
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(Part::begin(&path, false).is_err(), "it is there");
        fs::write(&part, "of a killed export").unwrap();
        Part::begin(&path, true).ok().unwrap().finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"", "written over");
    }
}
