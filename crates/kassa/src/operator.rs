//! `kassa operator`: those who run the bank and those who look on, from outside of it. Whoever holds the master key can
//! add one and set another password, so that a lost password doesn't end the administration. What is done is an event
//! like any other, by Kassa itself. The bank must be stopped, because its journal has one writer; the list is read beside
//! a running server, too.

use std::path::Path;

use bank::{AccessCommand, AccessEvent, Body, Role, What};
use engine::{Engine, Field, NewSubject, OpenError, Opener, Options, Replay};
use serde::Serialize;

use crate::bank_folder::{self, BankFolder, Open, parse_name, spelled};
use crate::failure::Failure;
use crate::output::Output;
use service::founding;

/// `kassa operator`
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Operator {
    /// Add an operator, or an auditor. The password is read from standard input.
    Add(Add),
    /// Set another password for an operator or auditor, whose sessions end. It is read from standard input.
    SetPassword(SetPassword),
    /// List the operators and auditors. Works beside a running server.
    List(List),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Add {
    /// The name to sign in with.
    #[arg(value_name = "NAME", value_parser = parse_name)]
    name: String,
    /// Role: to run the bank, or to see all and change nothing.
    #[arg(long, value_enum, default_value_t = Staff::Operator)]
    role: Staff,
    #[command(flatten)]
    bank: Open,
}

#[derive(Debug, clap::Args)]
pub(crate) struct SetPassword {
    /// The name to sign in with.
    #[arg(value_name = "NAME", value_parser = parse_name)]
    name: String,
    #[command(flatten)]
    bank: Open,
}

#[derive(Debug, clap::Args)]
pub(crate) struct List {
    #[command(flatten)]
    bank: Open,
    /// Print the list as JSON.
    #[arg(long)]
    json: bool,
}

/// Role of a user who acts for no customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
enum Staff {
    Operator,
    Auditor,
}

impl Staff {
    fn of(role: Role) -> Option<Self> {
        match role {
            Role::Operator => Some(Self::Operator),
            Role::Auditor => Some(Self::Auditor),
            Role::Customer => None,
        }
    }

    fn role(self) -> Role {
        match self {
            Self::Operator => Role::Operator,
            Self::Auditor => Role::Auditor,
        }
    }

    fn article(self) -> &'static str {
        match self {
            Self::Operator => "an operator",
            Self::Auditor => "an auditor",
        }
    }
}

impl Operator {
    /// The flags that say which bank.
    pub(crate) fn bank(&self) -> &Open {
        match self {
            Self::Add(Add { bank, .. })
            | Self::SetPassword(SetPassword { bank, .. })
            | Self::List(List { bank, .. }) => bank,
        }
    }
}

pub(crate) fn run(operator: &Operator, output: &Output) -> Result<(), Failure> {
    match operator {
        Operator::List(list) => show(list, output),
        Operator::Add(Add { name, role, bank }) => {
            with_bank_stopped(bank, output, |engine| add(engine, name, *role, &bank.data))
        }
        Operator::SetPassword(SetPassword { name, bank }) => {
            with_bank_stopped(bank, output, |engine| set_password(engine, name, &bank.data))
        }
    }
}

/// Opens the bank for one thing to do, and prints what came of it.
fn with_bank_stopped(
    bank: &Open,
    output: &Output,
    act: impl FnOnce(&Engine) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let engine = BankFolder::find(bank)?.open_engine(bank, output).map_err(|error| match error {
        OpenError::Journal(journal::OpenError::InUse { dir }) => Failure::new(format!(
            "another Kassa has the bank in {} open, and its journal has one writer: stop the server, give this command \
             again, and start it",
            dir.display()
        )),
        other => other.into(),
    })?;
    let done = act(&engine);
    engine.stop();
    output.line(done?)
}

fn add(engine: &Engine, name: &str, role: Staff, folder: &Path) -> Result<String, Failure> {
    if founding::is_known(engine, name)? {
        let set = spelled(&["operator", "set-password", name, "--data"], folder);
        return Err(Failure::new(format!(
            "somebody signs in as {name} already: choose another name; `{set}` sets an operator's password"
        )));
    }
    let password = bank_folder::read_password(name)?;
    let subject = NewSubject::generate();
    let body = Body::Access(AccessCommand::AddUser {
        name_index: engine.name_index(name),
        name: subject.seal(Field::UserName, name),
        password: subject.seal(Field::Password, &service::password::hash_new(&password)?),
        role: role.role(),
        customer: None,
    });
    founding::submit(engine, name, None, body, Some(subject))?;
    Ok(format!("{name} is {} of {}.", role.article(), name_of_bank(engine)?))
}

fn set_password(engine: &Engine, name: &str, folder: &Path) -> Result<String, Failure> {
    let index = engine.name_index(name);
    let known = engine.peek(|state| {
        let id = state.user_named(index)?;
        state.user(id).map(|user| (id, user.clone()))
    })?;
    let Some((id, user)) = known else {
        let list = spelled(&["operator", "list", "--data"], folder);
        return Err(Failure::new(format!("nobody signs in as {name}; `{list}` tells who runs the bank")));
    };
    if Staff::of(user.role).is_none() {
        return Err(Failure::new(format!(
            "{name} acts for customer {}, and this is for operators and auditors: an operator can give the customer \
             another user with POST /v1/users",
            user.customer.map_or(0, |customer| customer.0)
        )));
    }
    let password = bank_folder::read_password(name)?;
    let hash = service::password::hash_new(&password)?;
    let sealed = engine.seal(user.name.subject, Field::Password, &hash)?;
    let password = sealed.ok_or_else(|| Failure::new(format!("{name} was erased from this bank")))?;
    let now = engine.now();
    let open = engine.peek(|state| {
        let open = |token: &&bank::TokenHash| state.session(**token, now).is_some();
        user.sessions.iter().filter(open).count()
    })?;
    let What::Access(AccessEvent::PasswordSet { .. }) =
        founding::submit(engine, name, None, Body::Access(AccessCommand::SetPassword { user: id, password }), None)?
    else {
        return Err(Failure::new("the bank gave another answer than this command expects".into()));
    };
    let sessions = match open {
        0 => String::new(),
        1 => ", and the session that was open is ended".to_owned(),
        many => format!(", and the {many} sessions that were open are ended"),
    };
    Ok(format!("{name} signs in to {} with the new password{sessions}.", name_of_bank(engine)?))
}

fn name_of_bank(engine: &Engine) -> Result<String, Failure> {
    Ok(engine.peek(|state| state.founding().map(|founding| founding.name.clone()))?.unwrap_or_default())
}

/// One of those who run the bank or look on.
#[derive(Debug, Serialize)]
struct Listed {
    id: u32,
    /// None where the person was erased.
    name: Option<String>,
    role: Staff,
}

fn show(list: &List, output: &Output) -> Result<(), Failure> {
    let folder = BankFolder::find(&list.bank)?;
    let options = Options { accept_loss: list.bank.accept_loss, ..Options::default() };
    let replay = Replay::open(&folder.folder, &folder.master, options)?;
    let opener = Opener::new(&folder.folder, &folder.master)?;
    let bar = output.bar("events", replay.last_event());
    let read = replay.run(&mut |_, recorded| {
        bar.set_position(recorded.number);
        Ok::<(), OpenError>(())
    });
    bar.finish_and_clear();
    let mut staff = Vec::new();
    for (id, user) in (1..).zip(read?.users().iter()) {
        let Some(role) = Staff::of(user.role) else { continue };
        staff.push(Listed { id, name: opener.open_sealed(Field::UserName, &user.name)?, role });
    }
    if list.json {
        return output.json(&staff);
    }
    if staff.is_empty() {
        let add = spelled(&["operator", "add", "NAME", "--data"], &list.bank.data);
        return output.line(format_args!("Nobody runs this bank. Add an operator with: {add}"));
    }
    for Listed { id, name, role } in staff {
        let name = name.unwrap_or_else(|| "(erased)".to_owned());
        output.line(format_args!("{name} is {}, user {id}.", role.article()))?;
    }
    Ok(())
}
