//! The bank that a bench makes for itself: its folder, which is removed in the end, its key, which is only in memory,
//! its customers and its accounts.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bank::{
    AccessCommand, AccessEvent, AccountCommand, Body, Caller, CustomerId, Numbering, OpenAccount, Role, SystemCommand,
    TokenHash, What,
};
use engine::{Engine, Field, NewSubject, Submission};
use indicatif::ProgressBar;
use journal::MasterKey;
use ledger::{Kind, Overdraft};

use super::{accepted, all_accepted, command, euro, unexpected};
use crate::failure::Failure;
use crate::program::Program;

/// Overdraft of each account, in cents: far enough that no transfer is refused, even if one account pays all of the
/// most transfers that a bench makes. Each is checked all the same.
const OVERDRAFT_MINOR: u64 = 100_000_000_000_000;

/// Number of commands sent together while the bank is made.
const COMMANDS_AT_A_TIME: usize = 4_000;

/// A folder that a bench has made, and that is removed when this is dropped.
pub(super) struct OwnFolder(PathBuf);

impl OwnFolder {
    pub(super) fn make(path: &Path) -> Result<Self, Failure> {
        let made =
            path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| DirBuilder::new().mode(0o700).create(path));
        match made {
            Ok(()) => Ok(Self(path.to_owned())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.exists() => Err(Failure::new(format!(
                "{} is there already; the bench makes its own folder and removes it, so name another with --data (or \
                 remove this one, if it is left from a bench that was killed)",
                path.display()
            ))),
            Err(error) => Err(Failure::new(format!("the folder {} can't be made: {error}", path.display()))),
        }
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        // A bench that was interrupted may be writing still, so that the folder fills again while it is emptied. One
        // that can't be removed is only in the way of the next bench.
        let _ = (0..5).try_for_each(|_| if fs::remove_dir_all(&self.0).is_ok() { Err(()) } else { Ok(()) });
    }
}

/// A master key in hexadecimal, as other processes are told it.
pub(super) fn new_key() -> Result<String, Failure> {
    let mut bytes = [0_u8; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Failure::new("the system gives no random bytes".to_owned()))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

pub(super) fn master_key(hex: &str) -> Result<MasterKey, Failure> {
    Ok(MasterKey::from_hex(hex)?)
}

/// Founds the bank.
pub(super) async fn found(engine: &Engine) -> Result<(), Failure> {
    let numbering = Numbering::new("AT", "99999").map_err(|error| Failure::new(error.to_string()))?;
    accepted(engine, command(Body::System(SystemCommand::Found { name: "Bench".into(), numbering, time_zone: None })))
        .await
        .map(drop)
}

/// Adds so many customers to a bank that has none, each a person with a user of their own and sealed fields as long
/// as in service.
pub(super) async fn add_customers(
    engine: &Engine,
    customers: u32,
    program: &Program,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    // Hashing is slow on purpose, and nobody signs in with it: one hash does for all.
    let password = (program.hash_password)("the password of the bench")?;
    let numbers: Vec<u32> = (0..customers).collect();
    for numbers in numbers.chunks(COMMANDS_AT_A_TIME) {
        let people: Vec<(u32, NewSubject)> = numbers.iter().map(|number| (*number, NewSubject::generate())).collect();
        let customers = people.iter().map(|(number, person)| {
            let name = person.seal(Field::CustomerName, &format!("Customer No. {number}"));
            Submission {
                command: command(Body::Access(AccessCommand::AddCustomer { name })),
                subject: Some(person.clone()),
                past: None,
                rivals: None,
            }
        });
        let customers = all_accepted(engine, customers.collect()).await?;
        let users = people.iter().zip(customers).map(|((number, person), customer)| {
            let What::Access(AccessEvent::CustomerAdded { id, .. }) = customer else { return Err(unexpected()) };
            let name = user_name(*number);
            Ok(Submission::from(command(Body::Access(AccessCommand::AddUser {
                name_index: engine.name_index(&name),
                name: person.seal(Field::UserName, &name),
                password: person.seal(Field::Password, &password),
                role: Role::Customer,
                customer: Some(id),
            }))))
        });
        all_accepted(engine, users.collect::<Result<_, _>>()?).await?;
        bar.inc(numbers.len() as u64);
    }
    Ok(())
}

/// Opens so many accounts in a bank that has none, shared out among its customers in equal stretches.
pub(super) async fn open_accounts(
    engine: &Engine,
    accounts: u32,
    per_customer: u32,
    bar: &ProgressBar,
) -> Result<(), Failure> {
    let numbers: Vec<u32> = (0..accounts).collect();
    for numbers in numbers.chunks(COMMANDS_AT_A_TIME) {
        let openings = numbers.iter().map(|number| {
            command(Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
                number: None,
                currency: euro(),
                kind: Kind::Liability,
                overdraft: Overdraft::Limited(OVERDRAFT_MINOR),
                name: None,
                // Customers are numbered from 1.
                owner: Some(CustomerId(number / per_customer + 1)),
                cash: false,
                opened_at: None,
            })))
            .into()
        });
        all_accepted(engine, openings.collect()).await?;
        bar.inc(numbers.len() as u64);
    }
    Ok(())
}

/// Signs all customers in.
pub(super) async fn sign_in(engine: &Engine, customers: u32) -> Result<(), Failure> {
    let expires_at = engine.now().plus_ms(24 * 3_600_000);
    let numbers: Vec<u32> = (0..customers).collect();
    for numbers in numbers.chunks(COMMANDS_AT_A_TIME) {
        let users = numbers.iter().map(|number| {
            let Caller { user, session } = caller(engine, *number)?;
            let token = session.ok_or_else(unexpected)?;
            Ok(command(Body::Access(AccessCommand::SignIn { user, token, expires_at, from: None })).into())
        });
        all_accepted(engine, users.collect::<Result<_, Failure>>()?).await?;
    }
    Ok(())
}

/// A customer's user with the session that [`sign_in`] opens, the same in every process of the bench.
pub(super) fn caller(engine: &Engine, customer: u32) -> Result<Caller, Failure> {
    let name = user_name(customer);
    let user = engine.peek(|state| state.user_named(engine.name_index(&name)))?.ok_or_else(unexpected)?;
    let token: TokenHash = engine.token_hash(&token(customer));
    Ok(Caller { user, session: Some(token) })
}

/// The token of that session, as long as one in service.
pub(super) fn token(customer: u32) -> String {
    format!("{customer:064}")
}

fn user_name(customer: u32) -> String {
    format!("customer-{customer}")
}
