//! A bank's folder: finding it, its settings and its master key, making it, and opening it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use edge::local_certificate;
use engine::{Engine, OpenError, Options, Replay, SystemClock};
use journal::MasterKey;

use crate::config::{self, Config};
use crate::failure::Failure;
use crate::output::Output;
use crate::{log, master_key};
use service::founding::{self, Beginning, NewBank};

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
    /// Level of the log.
    pub(crate) log: log::Ceiling,
    /// The settings that were given as flags.
    pub(crate) set: Vec<String>,
}

impl BankFolder {
    /// The folder that the flags name, with its settings read and its master key at hand.
    pub(crate) fn find(open: &Open) -> Result<Self, Failure> {
        must_be_a_folder(&open.data)?;
        if !is_there(&open.data) {
            // A country and a code that make account numbers, so that the command does what it says.
            let init = spelled(&["init", "--country", "AT", "--bank-code", "99999", "--data"], &open.data);
            return Err(Failure::new(format!(
                "there is no bank in {}. Make one with `{init}`, giving your own country and code, or name another \
                 folder with --data",
                open.data.display()
            )));
        }
        let config = Config::read(&open.data, &open.set, &variables())?;
        let log = log::start(&config.log);
        let master = match master_key::of_environment()? {
            Some(key) => key,
            None => master_key::read_from(&config.master_key_file)?,
        };
        Ok(Self { folder: open.data.clone(), config, master, log, set: open.set.clone() })
    }

    /// The settings as they are by now.
    pub(crate) fn config_again(&self) -> Result<Config, Failure> {
        Config::read(&self.folder, &self.set, &variables())
    }

    /// Opens the bank for work. Only one process can.
    pub(crate) fn open(&self, open: &Open, output: &Output) -> Result<Engine, Failure> {
        Ok(self.open_engine(open, output)?)
    }

    /// Does as [`BankFolder::open`], for whoever has something to say about why it can't be.
    pub(crate) fn open_engine(&self, open: &Open, output: &Output) -> Result<Engine, OpenError> {
        let options = Options { accept_loss: open.accept_loss, memory_ceiling: self.config.engine.memory_ceiling() };
        let bar = output.bar("events", 0);
        let mut progress = |progress: engine::Progress| {
            bar.set_length(progress.of);
            bar.set_position(progress.event);
        };
        let opened = Engine::open(&self.folder, &self.master, options, Arc::new(SystemClock), &mut progress);
        bar.finish_and_clear();
        opened
    }

    /// Opens the bank to be read only: beside a running server, too.
    pub(crate) fn replay(&self, accept_loss: bool) -> Result<Replay, Failure> {
        let options = Options { accept_loss, ..Options::default() };
        Ok(Replay::open(&self.folder, &self.master, options)?)
    }

    /// Reads how the bank began.
    pub(crate) fn beginning(&self, accept_loss: bool) -> Result<Beginning, Failure> {
        Ok(Beginning::read(self.replay(accept_loss)?)?)
    }
}

/// Refuses what is there and no folder.
pub(crate) fn must_be_a_folder(data: &Path) -> Result<(), Failure> {
    match std::fs::metadata(data) {
        Ok(found) if !found.is_dir() => {
            Err(Failure::new(format!("{} is no folder; name the bank's folder with --data", data.display())))
        }
        Ok(_) | Err(_) => Ok(()),
    }
}

/// A command of this program as a shell takes it, with the bank's folder as its last word.
pub(crate) fn spelled(words: &[&str], folder: &Path) -> String {
    let program = std::env::args_os().next().and_then(|program| program.into_string().ok());
    let (program, folder) = (program.unwrap_or_else(|| "kassa".to_owned()), folder.display().to_string());
    let words = std::iter::once(program.as_str()).chain(words.iter().copied()).chain([folder.as_str()]);
    words.map(in_shell).collect::<Vec<_>>().join(" ")
}

/// A word as a shell takes it literally.
pub(crate) fn in_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let is_plain = !word.is_empty() && word.chars().all(plain);
    if is_plain { word.to_owned() } else { format!("'{}'", word.replace('\'', "'\\''")) }
}

/// Returns `true` if a folder holds a bank, or what is left of one.
pub(crate) fn is_there(folder: &Path) -> bool {
    folder.join("journal.db").exists() || folder.join("head").exists()
}

/// Makes a bank's folder, as far as it is not there: the master key beside it, the settings, a certificate for this
/// machine, and the journal with the bank founded in it. So a making that was broken off can be done again. Of the
/// settings given as flags the file keeps where the master key lies.
pub(crate) fn create(open: &Open, new: &NewBank<'_>, output: &Output) -> Result<(Engine, BankFolder), Failure> {
    create_by("found", open, new, &master_key::place_in(&open.set), output)
}

/// Does as [`create`], founding the bank in a step of this name, and keeping these settings in the file.
pub(crate) fn create_by(
    step: &str,
    open: &Open,
    new: &NewBank<'_>,
    kept: &[String],
    output: &Output,
) -> Result<(Engine, BankFolder), Failure> {
    must_be_a_folder(&open.data)?;
    let (engine, folder) = if is_there(&open.data) {
        let folder = BankFolder::find(open)?;
        (folder.open(open, output)?, folder)
    } else {
        let folder = with_master_key(open)?;
        (Engine::create(&folder.folder, &folder.master, Arc::new(SystemClock))?, folder)
    };
    let made = write_settings(&folder.folder.join(config::FILE), kept)
        .and_then(|()| Ok(local_certificate::make_where_missing(&folder.folder, &folder.config.edge)?))
        .and_then(|()| Ok(founding::found(&engine, step, new)?));
    match made {
        Ok(()) => Ok((engine, folder)),
        Err(failure) => {
            engine.stop();
            Err(failure)
        }
    }
}

/// A folder that is to hold a bank, with a master key: the one that there is, or a new one.
fn with_master_key(open: &Open) -> Result<BankFolder, Failure> {
    let config = Config::read(&open.data, &open.set, &variables())?;
    let log = log::start(&config.log);
    // First of all, since the way to the key may lead through it.
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&open.data)
        .map_err(|error| Failure::new(format!("the folder {} can't be made: {error}", open.data.display())))?;
    let master = match master_key::of_environment()? {
        Some(key) => key,
        None if config.master_key_file.exists() => master_key::read_from(&config.master_key_file)?,
        None => {
            let fresh = MasterKey::generate();
            fresh.write_new_file(&config.master_key_file)?;
            fresh
        }
    };
    Ok(BankFolder { folder: open.data.clone(), config, master, log, set: open.set.clone() })
}

/// Writes the settings' file where there is none, and what is to be kept into it.
fn write_settings(file: &Path, kept: &[String]) -> Result<(), Failure> {
    let failed = |what: &str, error| Failure::new(format!("{} can't be {what}: {error}", file.display()));
    let before = match std::fs::read_to_string(file) {
        Ok(text) => Some(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed("read", error)),
    };
    let text = config::with_settings(before.as_ref().unwrap_or(&config::template()), kept);
    if before.is_none() || !kept.is_empty() {
        std::fs::write(file, text).map_err(|error| failed("written", error))?;
    }
    Ok(())
}

/// A name of a person or a bank: some words on one line.
pub(crate) fn parse_name(name: &str) -> Result<String, String> {
    let name = name.trim();
    let plain = !name.is_empty() && name.chars().count() <= 140 && !name.chars().any(bank::is_control);
    if plain { Ok(name.to_owned()) } else { Err("a name has 1 to 140 characters on one line".into()) }
}

/// Reads a password from standard input: a line, asked for where somebody sits at a terminal.
///
/// A password that can't be used is refused here already.
pub(crate) fn read_password(of: &str) -> Result<String, Failure> {
    let input = std::io::stdin();
    if input.is_terminal() {
        eprint!("A password for {of} (it will be seen as you type): ");
        std::io::stderr().flush()?;
    }
    let mut line = String::new();
    input
        .lock()
        .read_line(&mut line)
        .map_err(|error| Failure::new(format!("the password can't be read: {}", crate::failure::said(&error))))?;
    let password = line.trim_end_matches(['\r', '\n']).to_owned();
    if password.is_empty() {
        return Err(Failure::new(format!("give the password of {of} on standard input, as one line")));
    }
    service::password::check_new(&password)?;
    Ok(password)
}

/// The variables of the environment; an empty one counts as none.
pub(crate) fn variables() -> BTreeMap<String, String> {
    let text = |name: OsString, value: OsString| Some((name.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(|(name, value)| text(name, value)).filter(|(_, text)| !text.is_empty()).collect()
}

/// A variable of the environment; an empty one counts as none.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}
