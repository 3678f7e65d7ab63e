//! `kassa import`: another bank's files, as `interchange` reads and books them.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};

use engine::{Clock, SystemClock};
use indicatif::ProgressBar;
use interchange::import::{self, ImportUser, Planned, Progress, Report, Request, Steps};
use ledger::Timestamp;

use crate::bank_folder::{self, BankFolder};
use crate::failure::Failure;
use crate::output::Output;
use crate::serve::asked_to_end;

/// `kassa import`
#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("what").required(true).args(["map", "suggest"])))]
pub(crate) struct Import {
    #[command(flatten)]
    pub(crate) bank: bank_folder::Open,
    /// The map that says what the files mean.
    #[arg(long, value_name = "FILE.toml")]
    map: Option<PathBuf>,
    /// Look at a file of postings, write a first map for it to standard output with the reasons, and import nothing.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["users", "accept_breaks", "dry_run", "json", "folder"])]
    suggest: Option<PathBuf>,
    /// The encoding of the file that a map is suggested for, such as windows-1251. Without it, it is guessed.
    #[arg(long, value_name = "NAME", requires = "suggest")]
    encoding: Option<String>,
    /// Make a user who signs in as NAME for the customer with this key in the source. Its password is read from
    /// standard input, a line for each user.
    #[arg(long = "user", value_name = "client:NUMBER:NAME", value_parser = ImportUser::parse)]
    users: Vec<ImportUser>,
    /// Book the rows as they are where the source's own balances don't follow from them. Without it such a break stops
    /// the import before anything is booked.
    #[arg(long)]
    accept_breaks: bool,
    /// Show what would be booked, and write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Print the report as JSON.
    #[arg(long)]
    json: bool,
    /// The folder with the files that the map names; the map's own without it.
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

impl Import {
    fn map(&self) -> &Path {
        self.map.as_deref().expect("there is a map, where none is to be suggested")
    }

    fn folder(&self) -> &Path {
        let own = || self.map().parent().filter(|folder| !folder.as_os_str().is_empty());
        self.folder.as_deref().or_else(own).unwrap_or(Path::new("."))
    }
}

pub(crate) fn run(command: &Import, output: &Output) -> Result<(), Failure> {
    if let Some(file) = &command.suggest {
        return output.line(import::suggest(file, command.encoding.as_deref())?.trim_end());
    }
    let passwords = read_passwords(&command.users)?;
    let request = Request {
        map: command.map(),
        folder: command.folder(),
        users: &command.users,
        passwords: &passwords,
        accept_breaks: command.accept_breaks,
        now: Timestamp(SystemClock.wall_ms()),
    };
    let import = import::Import::read(request)?;
    let data = &command.bank.data;
    let folder = if bank_folder::is_there(data) || !import.names_a_bank() || data.is_file() {
        Some(BankFolder::find(&command.bank)?)
    } else {
        None
    };
    let replay = || folder.as_ref().map(|folder| folder.replay(command.bank.accept_loss)).transpose();
    let planned = import.plan(data, replay()?)?;
    let report = if command.dry_run {
        planned.rehearse(replay()?)?
    } else {
        carry_out(command, folder.as_ref(), &planned, output)?
    };
    if command.json { output.json(&report) } else { output.line(report.sentence()) }
}

/// Books what is new.
fn carry_out(
    command: &Import,
    folder: Option<&BankFolder>,
    planned: &Planned<'_>,
    output: &Output,
) -> Result<Report, Failure> {
    let open = folder.map(|folder| || Ok(folder.open(&command.bank, output)?));
    let bars = Bars { output, shown: RefCell::new(None) };
    let steps = Steps {
        open: open.as_ref().map(|open| open as _),
        create: &|new| Ok(bank_folder::create(&command.bank, new, output)?.0),
        begin: &|runtime| drop(runtime.spawn(tell_when_interrupted())),
        progress: &|progress| bars.show(progress),
    };
    Ok(planned.carry_out(&steps)?)
}

/// A bar for each kind of rows, one after the other.
struct Bars<'a> {
    output: &'a Output,
    shown: RefCell<Option<(&'static str, ProgressBar)>>,
}

impl Bars<'_> {
    fn show(&self, Progress { what, done, of }: Progress) {
        let mut shown = self.shown.borrow_mut();
        let bar = match shown.take() {
            Some((of_what, bar)) if of_what == what => bar,
            _ => self.output.bar(what, of),
        };
        bar.set_position(done);
        if done == of {
            bar.finish_and_clear();
        } else {
            *shown = Some((what, bar));
        }
    }
}

/// Says what an interruption leaves, and ends. What was booked is booked: a row is whole or not there at all.
async fn tell_when_interrupted() {
    if asked_to_end().await.is_ok() {
        let words =
            "kassa: interrupted with a part of the rows booked; the same command books the rest, and ends the import\n";
        // There may be nobody left to read it.
        let _ = std::io::stderr().write_all(words.as_bytes());
        std::process::exit(130);
    }
}

fn read_passwords(users: &[ImportUser]) -> Result<Vec<String>, Failure> {
    let mut lines = std::io::stdin().lock().lines();
    let mut next = |user: &ImportUser| match lines.next() {
        Some(line) => Ok(line?),
        None => Err(Failure::new(format!("the password of {} is missing on standard input", user.name()))),
    };
    users.iter().map(&mut next).collect()
}
