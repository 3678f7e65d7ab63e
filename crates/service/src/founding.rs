//! The making of a bank, and what Kassa itself does in one: founding it, its cash desks, and those who run it.
//!
//! Each step is a command under a key of its own, so that a making that was broken off can be done again. It asks nobody
//! but the engine: it knows no folder, no settings and no wire.

use std::fmt;

use bank::{
    AccessCommand, AccountCommand, AccountEvent, Body, Caller, Channel, Command, ModulusRule, Numbering, OpenAccount,
    Origin, OwnCheck, Refusal, Request, Role, SystemCommand, SystemEvent, UserId, What,
};
use engine::{Engine, Field, NewSubject, OpenError, Outcome, Replay, Submission, Unavailable};
use ledger::{Currency, Kind, Overdraft};

use crate::password;

/// Reason why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The bank refused it.
    #[error("{step}: {refusal}")]
    Refused {
        /// The step.
        step: String,
        /// The reason.
        refusal: Refusal,
    },
    /// All was as it should be already.
    #[error("{step}: nothing was changed")]
    Unchanged {
        /// The step.
        step: String,
    },
    /// The bank did something else than the step is for.
    #[error("the bank gave another answer than expected")]
    Unexpected,
    /// Somebody who should be there was erased.
    #[error("{name} was erased from the demo bank; make a new one")]
    Erased {
        /// Their name.
        name: String,
    },
    /// A password could not be hashed.
    #[error(transparent)]
    Password(#[from] password::HashError),
    /// The engine takes nothing.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Beginning of a bank. It is read from its first events, without opening the bank: beside a running server too, and
/// nothing is written.
#[derive(Debug)]
pub struct Beginning {
    /// Name and numbering that it was founded with; none where its making was broken off before that.
    pub founded: Option<FoundedAs>,
    /// The currencies in which there was a cash account before anything else happened.
    pub cash: Vec<Currency>,
    /// `true` if `kassa demo` made it.
    pub demo: bool,
    /// `true` if nothing has happened since: there are neither people nor money in it.
    pub bare: bool,
}

/// A bank's name, country and code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundedAs {
    /// Its name.
    pub name: String,
    /// Country of its account numbers (ISO 3166-1, two letters).
    pub country: String,
    /// Code of the bank in them.
    pub bank_code: String,
    /// Time zone of its days; none where they are UTC's.
    pub time_zone: Option<String>,
    /// Number of digits of an account in them, where neither country nor code say it.
    pub digits: Option<u8>,
    /// Rule of their check digits, where their form is the bank's own.
    pub own: Option<OwnCheck>,
    /// Rules of a British bank's sort code, where its account numbers are checked.
    pub modulus: Option<Vec<ModulusRule>>,
}

impl fmt::Display for FoundedAs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ({} {}", self.name, self.country, self.bank_code)?;
        self.time_zone.iter().try_for_each(|zone| write!(out, ", {zone}"))?;
        out.write_str(")")
    }
}

impl From<&NewBank<'_>> for FoundedAs {
    fn from(NewBank { name, numbering, time_zone, .. }: &NewBank<'_>) -> Self {
        let (country, bank_code) = (numbering.country().to_owned(), numbering.bank_code().to_owned());
        let (digits, own) = (numbering.own_digits(), numbering.own_check());
        let modulus = numbering.modulus().map(<[_]>::to_vec);
        Self {
            name: (*name).to_owned(),
            country,
            bank_code,
            time_zone: time_zone.map(str::to_owned),
            digits,
            own,
            modulus,
        }
    }
}

/// The step in which `kassa demo` founds a bank.
pub const DEMO_FOUNDING: &str = "found a demo bank";

/// The first step in which it brings somebody in.
pub const DEMO_FIRST_CUSTOMER: &str = "customer alice";

/// Reason the reading of a beginning ended.
enum Ended {
    /// Something else happened than a making begins with.
    Begun,
    Failed(OpenError),
}

impl From<OpenError> for Ended {
    fn from(error: OpenError) -> Self {
        Self::Failed(error)
    }
}

impl Beginning {
    /// Nobody but `kassa demo` has the keys under which it founds a bank and brings in its first customer. Version 0.1.0
    /// founded its demo banks under the key that others have, too, so the second key counts by itself.
    ///
    /// # Errors
    ///
    /// Fails if the journal can't be read.
    pub fn read(replay: Replay) -> Result<Self, OpenError> {
        let key = |step: &str| Some(replay.hashes().request(UserId::SYSTEM, named(step).as_bytes(), b"").key);
        let (founding, first_customer) = (key(DEMO_FOUNDING), key(DEMO_FIRST_CUSTOMER));
        let mut beginning = Self { founded: None, cash: Vec::new(), demo: false, bare: true };
        let read = replay.run(&mut |_, recorded| {
            let key = recorded.event.request.map(|request| request.key);
            beginning.demo |= key.is_some() && (key == founding || key == first_customer);
            match &recorded.event.what {
                What::System(SystemEvent::LeaderStarted { .. }) => {}
                What::System(SystemEvent::Founded { name, country, bank_code, scheme, time_zone, digits, modulus }) => {
                    let (name, country, bank_code) = (name.clone(), country.clone(), bank_code.clone());
                    let numbering = Numbering::recorded(&country, &bank_code, *scheme, *digits);
                    let own = numbering.ok().and_then(|numbering| numbering.own_check());
                    let (time_zone, digits, modulus) = (time_zone.clone(), *digits, modulus.clone());
                    beginning.founded = Some(FoundedAs { name, country, bank_code, time_zone, digits, own, modulus });
                }
                What::Accounts(AccountEvent::AccountOpened { currency, cash: true, .. })
                    if recorded.event.by == UserId::SYSTEM =>
                {
                    beginning.cash.push(*currency);
                }
                What::System(SystemEvent::Refused { .. } | SystemEvent::TimeZoneSet { .. })
                | What::Access(_)
                | What::Accounts(_)
                | What::Payments(_)
                | What::Holds(_) => {
                    beginning.bare = false;
                    return Err(Ended::Begun);
                }
            }
            Ok(())
        });
        match read {
            Ok(_) | Err(Ended::Begun) => Ok(beginning),
            Err(Ended::Failed(error)) => Err(error),
        }
    }
}

/// Properties of a new bank.
#[derive(Debug, Clone)]
pub struct NewBank<'a> {
    /// Its name.
    pub name: &'a str,
    /// How its accounts are numbered.
    pub numbering: Numbering,
    /// Time zone of its days, as the IANA database spells it; none for UTC.
    pub time_zone: Option<&'a str>,
    /// Currencies in which it has cash.
    pub currencies: &'a [Currency],
}

/// Founds the bank, if it isn't, and opens its cash accounts. Each step has its key, so that doing it again changes
/// nothing.
///
/// # Errors
///
/// Says which step was not done, and why.
pub fn found(engine: &Engine, step: &str, new: &NewBank<'_>) -> Result<(), StepError> {
    if !engine.peek(|state| state.founding().is_some())? {
        carry_out(
            engine,
            step,
            Body::System(SystemCommand::Found {
                name: new.name.to_owned(),
                numbering: new.numbering.clone(),
                time_zone: new.time_zone.map(str::to_owned),
            }),
        )?;
    }
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
        carry_out(engine, &format!("cash {currency}"), Body::Accounts(AccountCommand::OpenAccount(open)))?;
    }
    Ok(())
}

/// Tells whether somebody can sign in with a name.
///
/// # Errors
///
/// Fails if the engine can't answer.
pub fn is_known(engine: &Engine, user: &str) -> Result<bool, StepError> {
    let index = engine.name_index(user);
    Ok(engine.peek(|state| state.user_named(index).is_some())?)
}

/// Adds a user of the bank itself, with the hash of a password.
///
/// # Errors
///
/// Says why it was not done.
pub fn add_staff(engine: &Engine, name: &str, hash: &str, role: Role) -> Result<(), StepError> {
    let subject = NewSubject::generate();
    let body = Body::Access(AccessCommand::AddUser {
        name_index: engine.name_index(name),
        name: subject.seal(Field::UserName, name),
        password: subject.seal(Field::Password, hash),
        role,
        customer: None,
    });
    carry_out_for(engine, &format!("user {name}"), body, Some(subject)).map(drop)
}

/// Has Kassa itself carry out one step of making a bank, under a key named after the step.
///
/// # Errors
///
/// Says why it was not done.
pub fn carry_out(engine: &Engine, step: &str, body: Body) -> Result<What, StepError> {
    carry_out_for(engine, step, body, None)
}

/// Does as [`carry_out`], where a new person comes in.
///
/// # Errors
///
/// Says why it was not done.
pub fn carry_out_for(engine: &Engine, step: &str, body: Body, subject: Option<NewSubject>) -> Result<What, StepError> {
    // A step of the same name is the same step: what it says does not matter when it is done already.
    let request = engine.request(UserId::SYSTEM, named(step).as_bytes(), b"");
    submit(engine, step, Some(request), body, subject)
}

/// The key of a step of making a bank.
fn named(step: &str) -> String {
    format!("making the bank: {step}")
}

/// Has Kassa itself carry out what somebody with the master key asked for.
///
/// # Errors
///
/// Says why it was not done.
pub fn submit(
    engine: &Engine,
    what: &str,
    request: Option<Request>,
    body: Body,
    subject: Option<NewSubject>,
) -> Result<What, StepError> {
    let command = Command { caller: Caller::SYSTEM, origin: Origin::of(Channel::Terminal), request, body };
    match engine.submit_blocking(Submission { command, subject, past: None, rivals: None })? {
        Outcome::Accepted(receipt) => Ok(receipt.what),
        Outcome::Refused { refusal, .. } => Err(StepError::Refused { step: what.to_owned(), refusal }),
        Outcome::Unchanged => Err(StepError::Unchanged { step: what.to_owned() }),
    }
}
