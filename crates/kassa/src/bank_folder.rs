//! A bank's folder: finding it, its settings and its master key, making it, and opening it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bank::{Body, Caller, Command, Numbering, OpenAccount, Role, UserId, What};
use engine::{Engine, Field, NewSubject, Options, Outcome, Submission, SystemClock};
use journal::MasterKey;
use ledger::{Currency, Kind, Overdraft};

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::Output;
use crate::{log, tls};

/// The flags of every command that opens a bank.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Open {
    /// The bank's folder.
    #[arg(long, value_name = "DIR", default_value = "kassa-data", env = "KASSA_DATA")]
    pub(crate) data: PathBuf,
    /// A setting, in place of what kassa.toml and the environment say.
    #[arg(long = "set", value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
    /// Open the bank even if its journal ends before what is known to have been durable. What is missing is lost.
    #[arg(long)]
    pub(crate) accept_loss: bool,
}

/// A bank's folder with its settings and master key.
pub(crate) struct BankFolder {
    pub(crate) folder: PathBuf,
    pub(crate) config: Config,
    pub(crate) master: MasterKey,
}

impl BankFolder {
    /// The folder that the flags name, with its settings read and its master key at hand.
    pub(crate) fn find(open: &Open) -> Result<Self, Failure> {
        if open.data.is_file() {
            return Err(Failure::new(format!("{} is a file; name the bank's folder with --data", open.data.display())));
        }
        if !is_there(&open.data) {
            return Err(Failure::new(format!(
                "there is no bank in {}; make one with `kassa init --data {0}`, or name another folder with --data",
                open.data.display()
            )));
        }
        let config = Config::read(&open.data, &open.set, &variables())?;
        log::start(&config);
        let master = match master_key_of_environment()? {
            Some(key) => key,
            None => MasterKey::read_file(&config.master_key_file)?,
        };
        Ok(Self { folder: open.data.clone(), config, master })
    }

    /// Opens the bank for work. Only one process can.
    pub(crate) fn open(&self, open: &Open, output: &Output) -> Result<Engine, Failure> {
        let options = Options { accept_loss: open.accept_loss, memory_ceiling: self.config.memory_ceiling() };
        let bar = output.bar("events", 0);
        let mut progress = |progress: engine::Progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.event);
        };
        let opened = Engine::open(&self.folder, &self.master, options, Arc::new(SystemClock), &mut progress);
        bar.finish_and_clear();
        Ok(opened?)
    }
}

/// Whether a folder holds a bank, or what is left of one.
pub(crate) fn is_there(folder: &Path) -> bool {
    folder.join("journal.db").exists() || folder.join("head").exists()
}

/// What a new bank is to be.
#[derive(Debug, Clone)]
pub(crate) struct NewBank<'a> {
    pub(crate) name: &'a str,
    pub(crate) numbering: Numbering,
    pub(crate) currencies: &'a [Currency],
}

/// Makes a bank's folder, as far as it is not there: the master key beside it, the settings, a certificate for this
/// machine, and the journal with the bank founded in it. So a making that was broken off can be done again.
pub(crate) fn create(open: &Open, new: &NewBank<'_>, output: &Output) -> Result<(Engine, Config), Failure> {
    let folder = &open.data;
    if folder.is_file() {
        return Err(Failure::new(format!("{} is a file; name a folder with --data", folder.display())));
    }
    if is_there(folder) {
        let found_folder = BankFolder::find(open)?;
        tls::make_where_missing(folder, &found_folder.config)?;
        let engine = found_folder.open(open, output)?;
        found(&engine, new)?;
        return Ok((engine, found_folder.config));
    }
    let config = Config::read(folder, &open.set, &variables())?;
    log::start(&config);
    let master = match master_key_of_environment()? {
        Some(key) => key,
        None if config.master_key_file.exists() => MasterKey::read_file(&config.master_key_file)?,
        None => {
            let fresh = MasterKey::generate();
            fresh.write_new_file(&config.master_key_file)?;
            fresh
        }
    };
    let engine = Engine::create(folder, &master, Arc::new(SystemClock))?;
    let settings = folder.join(config::FILE);
    if !settings.exists() {
        std::fs::write(&settings, config::template())
            .map_err(|error| Failure::new(format!("{} can't be written: {error}", settings.display())))?;
    }
    tls::make_where_missing(folder, &config)?;
    found(&engine, new)?;
    Ok((engine, config))
}

/// The master key of the environment, where it is there.
fn master_key_of_environment() -> Result<Option<MasterKey>, Failure> {
    let Some(key) = variable("KASSA_MASTER_KEY") else { return Ok(None) };
    let key = MasterKey::from_hex(&key);
    key.map(Some).map_err(|error| Failure::new(format!("the environment variable KASSA_MASTER_KEY: {error}")))
}

/// Founds the bank and opens its cash accounts. Each step has its key, so that doing it again changes nothing.
pub(crate) fn found(engine: &Engine, new: &NewBank<'_>) -> Result<(), Failure> {
    let founding = Body::Found { name: new.name.to_owned(), numbering: new.numbering.clone() };
    carry_out(engine, "found", founding)?;
    for currency in new.currencies {
        let open = OpenAccount {
            number: None,
            currency: *currency,
            kind: Kind::Asset,
            overdraft: Overdraft::Unlimited,
            name: Some(engine.seal_as_bank(Field::AccountName, "Cash")),
            owner: None,
            cash: true,
            opened_at: None,
        };
        carry_out(engine, &format!("cash {currency}"), Body::OpenAccount(open))?;
    }
    Ok(())
}

/// Whether somebody can sign in with a name.
pub(crate) fn is_known(engine: &Engine, user: &str) -> Result<bool, Failure> {
    let index = engine.name_index(user);
    Ok(engine.peek(|state| state.user_named(index).is_some())?)
}

/// Adds a user of the bank itself.
pub(crate) fn add_staff(engine: &Engine, name: &str, password: &str, role: Role) -> Result<(), Failure> {
    let subject = NewSubject::generate();
    let body = Body::AddUser {
        name_index: engine.name_index(name),
        name: subject.seal(Field::UserName, name),
        password: subject.seal(Field::Password, &hash_password(password)?),
        role,
        customer: None,
    };
    carry_out_for(engine, &format!("user {name}"), body, Some(subject)).map(drop)
}

/// Has Kassa itself carry out one step of making a bank, under a key named after the step.
pub(crate) fn carry_out(engine: &Engine, step: &str, body: Body) -> Result<What, Failure> {
    carry_out_for(engine, step, body, None)
}

/// The same where a new person comes in.
pub(crate) fn carry_out_for(
    engine: &Engine,
    step: &str,
    body: Body,
    subject: Option<NewSubject>,
) -> Result<What, Failure> {
    // A step of the same name is the same step: what it says does not matter when it is done already.
    let request = engine.request(UserId::SYSTEM, format!("making the bank: {step}").as_bytes(), b"");
    let command = Command { caller: Caller::SYSTEM, request: Some(request), body };
    match engine.submit_blocking(Submission { command, subject, past: None })? {
        Outcome::Accepted(receipt) => Ok(receipt.what),
        Outcome::Refused { refusal, .. } => Err(Failure::new(format!("{step}: {refusal}"))),
        Outcome::Unchanged => Err(Failure::new(format!("{step}: nothing was changed"))),
    }
}

/// Whether a password may be used at all.
pub(crate) fn check_password(password: &str) -> Result<(), Failure> {
    use server::password::{MAX_CHARACTERS, MIN_CHARACTERS};
    if (MIN_CHARACTERS..=MAX_CHARACTERS).contains(&password.chars().count()) {
        return Ok(());
    }
    Err(Failure::new(format!("a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters")))
}

/// The hash under which a password is kept.
pub(crate) fn hash_password(password: &str) -> Result<String, Failure> {
    check_password(password)?;
    server::password::hash(password).map_err(|error| Failure::new(error.to_string()))
}

/// Reads a password from standard input: a line, asked for where somebody sits at a terminal.
pub(crate) fn read_password(of: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprint!("A password for {of} (it will be seen as you type): ");
        std::io::stderr().flush()?;
    }
    let mut line = String::new();
    input.lock().read_line(&mut line).map_err(|error| Failure::new(format!("the password can't be read: {error}")))?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(Failure::new(format!("give the password of {of} on standard input, as one line")));
    }
    Ok(password)
}

/// The variables of the environment; an empty one counts as none.
fn variables() -> BTreeMap<String, String> {
    let text = |name: OsString, value: OsString| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(|(name, value)| text(name, value)).filter(|(_, text)| !text.is_empty()).collect()
}

/// A variable of the environment; an empty one counts as none.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
