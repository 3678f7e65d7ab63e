//! `kassa import`: reads a map and its files, looks at what the bank holds, and books what is new, each row under an
//! idempotency key made of the source's name and the row's key. So a run that was broken off goes on where it stopped,
//! and a second one changes nothing.
//!
//! Nothing is founded and nothing is booked before the whole is known to be sound: mistakes in the map, in the files
//! and in the flags are told together, and then whatever the bank would refuse.
//!
//! # Overdrafts
//!
//! An account whose history goes lower than the limit it is to have gets the room for it only while its rows are booked.
//! Three commands do that, each under a key of its own: what the limit was, the wider one, and at the end the limit that
//! the source's balances justify. A run that was broken off between them is known by its keys, and the next one ends it;
//! unless the overdraft is another by then, which somebody else set and the import leaves. A limit that is there only
//! because the account ends below zero is set with a mark, by which a later import knows it and takes it back.

use std::collections::BTreeMap;
use std::path::Path;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Body, Caller, Channel, Command, CustomerId, Numbering,
    OpenAccount, Origin, Pay, PaymentCommand, Plain, Purpose, Readers, Role, Said, Sealed, UserId, What, ZoneFrom,
};
use engine::{Calendar, Engine, Field, NewSubject, OpenError, Outcome, Replay, Submission};
use jiff::civil::Date;
use ledger::{AccountId, Currency, Kind, Leg, Money, Overdraft, Timestamp};
use service::founding::{self, NewBank};
use service::password;
use tokio::runtime::{Handle, Runtime};

use super::booking::{self, AccountRoom, Booking, Entry, Orders, date, value_date};
use super::books::{self, Books, ReadBooks};
use super::content::Content;
use super::map::Map;
use super::plan::{Plan, PlannedAccount, Surroundings};
use super::reconcile::reconcile;
use super::report::Report;
use super::{Mistake, Mistakes, currency_decimals};
use crate::failure::Failure;

/// Number of rows sent together: enough that syncing weighs little, few enough that the bar moves.
const ROWS_AT_A_TIME: usize = 2_000;

/// Import as it is asked for.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The map's file.
    pub map: &'a Path,
    /// The folder with the files that the map names.
    pub folder: &'a Path,
    /// The users to be made.
    pub users: &'a [ImportUser],
    /// Their passwords, in the same order.
    pub passwords: &'a [String],
    /// Books the rows as they are where the source's own balances don't follow from them. Without it such a break stops
    /// the import before anything is booked.
    pub accept_breaks: bool,
    /// The time, by which no row may be of a day that has not come.
    pub now: Timestamp,
}

/// A user to be made.
#[derive(Debug, Clone)]
pub struct ImportUser {
    /// The flag's value as it was given.
    pub(super) given: String,
    /// `customers:key`.
    pub(super) customer_key: String,
    /// Name to sign in with.
    pub(super) name: String,
}

impl ImportUser {
    /// Reads what a flag says: `client:NUMBER:NAME`, where the number is the customer's key in the source.
    ///
    /// # Errors
    ///
    /// What it must be, in words, where it is something else.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, ':');
        match (parts.next(), parts.next(), parts.next().map(str::trim)) {
            (Some("client"), Some(number), Some(name)) if !number.is_empty() && !name.is_empty() => {
                if name.chars().count() > NAME_CHARS_MAX || name.chars().any(bank::is_control) {
                    return Err(format!("a name has 1 to {NAME_CHARS_MAX} characters on one line"));
                }
                let (given, customer_key) = (text.to_owned(), format!("customers:{number}"));
                Ok(Self { given, customer_key, name: name.to_owned() })
            }
            _ => Err("write it as client:NUMBER:NAME, such as client:1:anna".into()),
        }
    }

    /// Returns the name to sign in with.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The longest name to sign in with, as everywhere else.
const NAME_CHARS_MAX: usize = 140;

/// Steps that a bank's folder takes for an import: the caller knows where it is, and what its settings say.
pub struct Steps<'a> {
    /// Opens the bank for work; none where there is no bank yet.
    pub open: Option<&'a dyn Fn() -> Result<Engine, Failure>>,
    /// Makes the folder, with the bank founded in it and open.
    pub create: &'a dyn Fn(&NewBank<'_>) -> Result<Engine, Failure>,
    /// Called before the first row is booked, with the runtime that books: from now on an interruption leaves a part.
    pub begin: &'a dyn Fn(&Handle),
    /// Called as the rows are booked.
    pub progress: &'a dyn Fn(Progress),
}

/// Progress of an import. Each kind of rows is done when `done` is `of`.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// The rows that are being booked, in one word.
    pub what: &'static str,
    /// Number of rows that are booked.
    pub done: u64,
    /// Number of rows that are to be.
    pub of: u64,
}

/// An import whose map was read.
pub struct Import<'a> {
    request: Request<'a>,
    map: Map,
    /// Mistakes in the flags, told together with those of the map and the files.
    in_flags: Vec<Mistake>,
}

/// The bank to import into, as far as it is known before anything is opened.
struct Destination {
    numbering: Numbering,
    /// The bank's days.
    calendar: Calendar,
    /// `true` if the bank is to be founded as the map says.
    is_to_be_founded: bool,
    /// Currencies in which it would have a cash desk.
    currencies: Vec<Currency>,
}

impl<'a> Import<'a> {
    /// Reads the map.
    ///
    /// # Errors
    ///
    /// All mistakes of the map, and of the flags with them.
    pub fn read(request: Request<'a>) -> Result<Self, Failure> {
        let in_flags = wrong_flags(&request);
        let map = super::read_map(request.map, &currency_decimals);
        let map = map.map_err(|mistakes| refused(&mistakes.and(&in_flags)))?;
        Ok(Self { request, map, in_flags })
    }

    /// Returns `true` if the map says which bank its rows are of, so that it can be founded where there is none.
    #[must_use]
    pub fn names_a_bank(&self) -> bool {
        self.map.bank.is_some()
    }

    /// Reads the files and checks the whole, for the bank in the folder `data`. `bank` is to be read; none if there is
    /// no bank yet.
    ///
    /// # Errors
    ///
    /// All mistakes of the files and the flags; a map that describes another bank, or one that can't be founded and
    /// isn't there; and whatever is in the way of reading the bank.
    pub fn plan(self, data: &Path, bank: Option<Replay>) -> Result<Planned<'a>, Failure> {
        let Self { request, map, in_flags } = self;
        let place = place(&request, &map, data, bank, &in_flags)?;
        let today = date(place.calendar.day_of(request.now))?;
        let asked = |user: &ImportUser| {
            let key = user.customer_key.strip_prefix("customers:").unwrap_or_default();
            (format!("--user {}", user.given), key.to_owned())
        };
        let customers: Vec<(String, String)> = request.users.iter().map(asked).collect();
        let surroundings = Surroundings { today, largest_number: place.numbering.largest(), customers: &customers };
        let planned = super::plan(&map, request.folder, &surroundings);
        let plan = match planned {
            Ok(plan) => {
                let wrong = [in_flags, wrong_numbers(&plan, &place.numbering)].concat();
                Mistakes::unless_none(plan, wrong)
            }
            Err(mistakes) => Err(mistakes.and(&in_flags)),
        };
        let plan = plan.map_err(|mistakes| refused(&mistakes))?;
        Ok(Planned { request, place, plan })
    }
}

fn refused(mistakes: &Mistakes) -> Failure {
    let count = match mistakes.all().len() {
        1 => "a mistake".to_owned(),
        many => format!("{many} mistakes"),
    };
    Failure::new(format!("nothing was imported, because of {count}:\n{mistakes}"))
}

/// Finds the accounts whose numbers fail the check that their country has for them, where not every number passes.
fn wrong_numbers(plan: &Plan, numbering: &Numbering) -> Vec<Mistake> {
    let wrong = plan.accounts.iter().filter(|account| !numbering.has(account.number));
    let mistake = |account: &PlannedAccount| Mistake {
        file: plan.files.accounts.clone(),
        line: Some(account.line),
        reason: format!(
            "the account number {} fails the check of {}, as {}",
            account.number,
            numbering.country(),
            numbering.iban(account.number)
        ),
    };
    wrong.map(mistake).collect()
}

/// Finds what is wrong with the users that are asked for, whatever the files say.
fn wrong_flags(request: &Request<'_>) -> Vec<Mistake> {
    let (users, mut wrong) = (request.users, Vec::new());
    for (place, (user, password)) in users.iter().zip(request.passwords).enumerate() {
        let mut refuse = |reason| {
            wrong.push(Mistake { file: format!("--user {}", user.given), line: None, reason });
        };
        if let Err(failure) = password::check_new(password) {
            refuse(format!("its password is refused: {failure}"));
        }
        if users[..place].iter().any(|other| other.name.to_lowercase() == user.name.to_lowercase()) {
            refuse("the name is given to another user as well".to_owned());
        }
    }
    wrong
}

/// Looks at the bank, and refuses a map that describes another, or one that can't be founded and isn't there.
fn place(
    request: &Request<'_>,
    map: &Map,
    data: &Path,
    bank: Option<Replay>,
    in_flags: &[Mistake],
) -> Result<Destination, Failure> {
    let found = bank.map(books::Found::read).transpose()?;
    let found = found.and_then(|books::Found { founding, calendar }| Some((founding?, calendar)));
    // History can be had in a currency that is no longer in use, but no cash desk.
    let currencies: Vec<Currency> = map.currencies().into_iter().filter(|currency| currency.is_in_use()).collect();
    let Some(planned) = &map.bank else {
        let (founding, calendar) =
            found.ok_or_else(|| Failure::new("the bank is not founded; run `kassa init` first".into()))?;
        return Ok(Destination { numbering: founding.numbering, calendar, is_to_be_founded: false, currencies });
    };
    // A bank of an earlier version may number its accounts in a way in which none is founded any more.
    let is_the_same = |numbering: &Numbering| {
        (numbering.country(), numbering.bank_code()) == (planned.country.as_str(), planned.bank_code.as_str())
    };
    let (mistaken, file) =
        (|words: String| Failure::new(format!("nothing was imported: {words}")), request.map.display());
    match found {
        None => {
            if let Some(mistake) = &map.unfoundable {
                return Err(refused(&Mistakes(vec![mistake.clone()]).and(in_flags)));
            }
            let numbering = Numbering::asked(&planned.country, &planned.bank_code, planned.numbers)
                .map_err(|error| Failure::new(format!("{file}: {error}")))?;
            let zone = planned.time_zone.iter().map(|name| ZoneFrom { from: ZoneFrom::EVER, name: name.clone() });
            let calendar = Calendar::new(&zone.collect()).map_err(OpenError::from)?;
            Ok(Destination { numbering, calendar, is_to_be_founded: true, currencies })
        }
        Some((founding, _)) if is_the_same(&founding.numbering) && !planned.numbers.are_of(&founding.numbering) => {
            Err(mistaken(format!(
                "{file} is for a bank whose account numbers have another form than those of the bank in {}; mend \
                 `account_digits` and `own_numbers` under [bank], or leave them out",
                data.display(),
            )))
        }
        Some((founding, calendar)) if is_the_same(&founding.numbering) => {
            let zone = calendar.zone_of(calendar.day_of(request.now));
            match planned.time_zone.as_ref().filter(|planned| *planned != zone) {
                None => {
                    Ok(Destination { numbering: founding.numbering, calendar, is_to_be_founded: false, currencies })
                }
                Some(planned) => Err(mistaken(format!(
                    "{file} is for a bank with the time zone {planned}, but the one in {} has {zone}; mend `time_zone` \
                     under [bank], or leave it out",
                    data.display(),
                ))),
            }
        }
        Some((founding, _)) => Err(mistaken(format!(
            "{file} is for the bank {:?} ({} {}), but {} holds {:?} ({} {}); give that bank's folder with --data, or \
             take [bank] out of the map if its rows do belong here",
            planned.name,
            planned.country,
            planned.bank_code,
            data.display(),
            founding.name,
            founding.numbering.country(),
            founding.numbering.bank_code(),
        ))),
    }
}

/// An import whose files were read and are sound.
pub struct Planned<'a> {
    request: Request<'a>,
    place: Destination,
    plan: Plan,
}

impl Planned<'_> {
    fn book(&self, books: &Books<'_>) -> Result<Booking, Failure> {
        let Request { map, users, accept_breaks, .. } = self.request;
        let orders = Orders { map, users, accept_breaks, calendar: &self.place.calendar };
        booking::book(&self.plan, books, &orders)?.map_err(|mistakes| refused(&mistakes))
    }

    /// Says what would be booked. `bank` is to be read; none if there is no bank yet.
    ///
    /// # Errors
    ///
    /// Whatever the bank would refuse, and whatever is in the way of reading it.
    pub fn rehearse(&self, bank: Option<Replay>) -> Result<Report, Failure> {
        let (plan, numbering) = (&self.plan, &self.place.numbering);
        let books = match bank {
            Some(bank) => Books::Read(Box::new(ReadBooks::read(bank)?)),
            None => Books::Absent,
        };
        let booking = self.book(&books)?;
        Ok(Report::of(plan, &booking, numbering).rehearsed(plan, &booking, numbering))
    }

    /// Books what is new, and leaves the bank stopped.
    ///
    /// # Errors
    ///
    /// Whatever the bank would refuse, before anything is booked; and whatever is in the way of opening, making or
    /// writing the bank. What was booked before a failure is booked: the same import goes on where it stopped.
    pub fn carry_out(&self, steps: &Steps<'_>) -> Result<Report, Failure> {
        let (plan, numbering) = (&self.plan, &self.place.numbering);
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        let (engine, booking) = match steps.open {
            Some(open) => {
                let engine = open()?;
                let found = self.book(&Books::Open(&engine, &runtime));
                (engine, found)
            }
            None => {
                let booking = self.book(&Books::Absent)?;
                let new = self.new_bank().expect("a bank that is not there is to be founded");
                ((steps.create)(&new)?, Ok(booking))
            }
        };
        let done = booking.and_then(|booking| {
            if let Some(new) = self.new_bank() {
                // In a folder whose making was broken off. One that is founded already is not changed by this.
                founding::found(&engine, "found", &new)?;
            }
            (steps.begin)(runtime.handle());
            let mut importer = Importer::new(&engine, (plan, &self.place.calendar), &booking, &runtime, steps.progress);
            importer.carry_out(self.request.users, self.request.passwords)?;
            Ok(Report::of(plan, &booking, numbering).compared(&importer.reconcile()?, plan, numbering))
        });
        engine.stop();
        done
    }

    /// The bank to be founded, if it is.
    fn new_bank(&self) -> Option<NewBank<'_>> {
        let planned = self.plan.bank.as_ref().filter(|_| self.place.is_to_be_founded)?;
        let Destination { numbering, currencies, .. } = &self.place;
        let time_zone = planned.time_zone.as_deref();
        Some(NewBank { name: &planned.name, numbering: numbering.clone(), time_zone, currencies })
    }
}

/// An import under way.
struct Importer<'a> {
    engine: &'a Engine,
    plan: &'a Plan,
    /// The bank's days.
    calendar: &'a Calendar,
    booking: &'a Booking,
    runtime: &'a Runtime,
    progress: &'a dyn Fn(Progress),
    /// Account ids in the order of the plan's accounts, when these are opened.
    accounts: Vec<AccountId>,
}

impl<'a> Importer<'a> {
    fn new(
        engine: &'a Engine,
        (plan, calendar): (&'a Plan, &'a Calendar),
        booking: &'a Booking,
        runtime: &'a Runtime,
        progress: &'a dyn Fn(Progress),
    ) -> Self {
        Self { engine, plan, calendar, booking, runtime, progress, accounts: Vec::new() }
    }

    fn carry_out(&mut self, users: &[ImportUser], passwords: &[String]) -> Result<(), Failure> {
        let customers = self.customers()?;
        self.accounts = self.accounts()?;
        self.rights(&customers)?;
        let contras = self.contras()?;
        self.make_room()?;
        self.entries(&contras)?;
        self.end_room()?;
        self.users(users, passwords, &customers)
    }

    fn customers(&mut self) -> Result<Vec<CustomerId>, Failure> {
        let rows = self.plan.customers.iter().zip(&self.booking.customers).map(|(row, target)| {
            let subject = NewSubject::generate();
            let body = Body::Access(AccessCommand::AddCustomer { name: subject.seal(Field::CustomerName, &row.name) });
            let command = self.command(&target.key, Content::Customer(&row.name), body);
            (row.line, target.there, Submission { command, subject: Some(subject), past: None, rivals: None })
        });
        self.send_new("customers", &self.plan.files.customers, rows.collect(), |what| {
            let What::Access(AccessEvent::CustomerAdded { id, .. }) = what else { return None };
            Some(id)
        })
    }

    fn accounts(&mut self) -> Result<Vec<AccountId>, Failure> {
        let rows = self.plan.accounts.iter().zip(&self.booking.accounts).map(|(row, target)| {
            let open = OpenAccount {
                number: Some(row.number),
                currency: row.known_currency(),
                kind: Kind::Liability,
                overdraft: Overdraft::Limited(0),
                name: row.name.as_ref().map(|name| self.engine.seal_as_bank(Field::AccountName, name)),
                owner: None,
                cash: false,
                opened_at: Some(self.calendar.start_of(value_date(row.opened))),
            };
            let command =
                self.command(&target.key, Content::Account(row), Body::Accounts(AccountCommand::OpenAccount(open)));
            (row.line, target.there, command.into())
        });
        self.send_new("accounts", &self.plan.files.accounts, rows.collect(), opened)
    }

    fn rights(&mut self, customers: &[CustomerId]) -> Result<(), Failure> {
        let rows = self.plan.rights.iter().zip(&self.booking.rights).map(|(row, target)| {
            let (customer, account) = (customers[row.customer], self.accounts[row.account]);
            let content = Content::Right(row, customer, account);
            let body = Body::Access(AccessCommand::Grant { customer, account, right: booking::right(row.right) });
            (row.line, target.there, self.command(&target.key, content, body).into())
        });
        self.send_new("rights", &self.plan.files.rights, rows.collect(), |_| Some(())).map(drop)
    }

    fn contras(&mut self) -> Result<Vec<AccountId>, Failure> {
        // As old as the oldest entry, so that their history does not begin before them.
        let opened_at = booking::first_moment(self.booking, self.calendar);
        let rows = self.booking.contras.iter().map(|contra| {
            let open = OpenAccount {
                number: None,
                currency: contra.currency,
                kind: contra.kind,
                overdraft: Overdraft::Unlimited,
                name: Some(self.engine.seal_as_bank(Field::AccountName, &contra.name)),
                owner: None,
                cash: false,
                opened_at,
            };
            let (content, body) = (Content::Contra(contra.kind), Body::Accounts(AccountCommand::OpenAccount(open)));
            let command = self.command(&contra.target.key, content, body);
            (0, contra.target.there, command.into())
        });
        self.send_new("contra", "the map's contra accounts", rows.collect(), opened)
    }

    /// Gives accounts the overdraft that they are to have, or the wider one that their history needs meanwhile.
    fn make_room(&mut self) -> Result<(), Failure> {
        let mut steps = Vec::new();
        for needed in &self.booking.rooms {
            match needed.room.meanwhile {
                Some(meanwhile) => {
                    steps.push((needed.account, &needed.steps.before, needed.room.before, false));
                    steps.push((needed.account, &needed.steps.meanwhile, Overdraft::Limited(meanwhile), false));
                }
                None => {
                    if needed.room.is_owed {
                        steps.push((needed.account, &needed.steps.before, needed.room.before, false));
                    }
                    steps.push(last_step(needed));
                }
            }
        }
        self.set_overdrafts(&steps)
    }

    /// Leaves the accounts that had a wider overdraft meanwhile with the one they are to have.
    fn end_room(&mut self) -> Result<(), Failure> {
        let rooms = self.booking.rooms.iter().filter(|needed| needed.room.meanwhile.is_some());
        self.set_overdrafts(&rooms.map(last_step).collect::<Vec<_>>())
    }

    /// Takes steps of overdrafts. One that was taken before is asked for as whatever version took it remembered it.
    fn set_overdrafts(&mut self, steps: &[Step<'_>]) -> Result<(), Failure> {
        let asked = |key: &str, form: &[u8]| self.engine.request(UserId::SYSTEM, key.as_bytes(), form);
        let keys = steps.iter().map(|(_, key, _, _)| asked(key, b"")).collect();
        let before = self.runtime.block_on(self.engine.outcomes_of(keys))?;
        let mut rows = Vec::with_capacity(steps.len());
        for ((account, key, overdraft, is_owed), before) in steps.iter().zip(before) {
            let (account, content) = (*account, Content::Overdraft(*is_owed));
            let body = AccountCommand::SetOverdraft { account: self.accounts[account], overdraft: *overdraft };
            let mut command = self.command(key, content, Body::Accounts(body));
            let older = Some(asked(key, content.form_of_version_0().as_bytes()));
            if before.is_some_and(|before| before.event.request == older) {
                command.request = older;
            }
            rows.push((self.plan.accounts[account].line, command.into()));
        }
        self.send("overdrafts", &self.plan.files.accounts, rows).map(drop)
    }

    fn entries(&mut self, contras: &[AccountId]) -> Result<(), Failure> {
        let owners = self.owners(&self.accounts)?;
        let mut progress = Progress { what: "postings", done: 0, of: self.booking.entries.len() as u64 };
        for chunk in self.booking.entries.chunks(ROWS_AT_A_TIME) {
            let mut rows = Vec::with_capacity(chunk.len());
            for entry in chunk {
                rows.push((entry.line, self.pay(entry, contras, &owners)?.into()));
            }
            self.send_chunk(&self.plan.files.postings, rows)?;
            progress.done += chunk.len() as u64;
            (self.progress)(progress);
        }
        Ok(())
    }

    fn pay(&self, entry: &Entry, contras: &[AccountId], owners: &[Readers]) -> Result<Command, Failure> {
        let (account, contra) = (self.accounts[entry.account], contras[entry.contra]);
        let minor = entry.change_minor.unsigned_abs();
        let currency = self.plan.accounts[entry.account].known_currency();
        let amount = Money { minor: i64::try_from(minor).map_err(|_| unexpected())?, currency };
        let deposit = Leg { debit: contra, credit: account, amount };
        let leg = if entry.change_minor > 0 { deposit } else { deposit.reversed() };
        let row = entry.posting.map(|place| &self.plan.postings[place]);
        let (content, text) = match row {
            Some(row) => (Content::Posting(leg.debit, leg.credit, minor, row), row.text.as_deref()),
            None => (Content::OpeningBalance(leg.debit, leg.credit, minor, entry.date), Some(OPENING_TEXT)),
        };
        let id = row.and_then(|row| row.end_to_end_id.as_deref());
        let said = self.engine.seal_said(&owners[entry.account], Plain { text, end_to_end_id: id })?;
        let Said { text, end_to_end_id, copies } = said.unwrap_or_default();
        let day = value_date(entry.date);
        let pay = Pay {
            metadata: self.text_rest(entry, owners)?.map(Box::new),
            legs: [leg].into(),
            purpose: Purpose::Imported,
            text,
            end_to_end_id: end_to_end_id.map(Box::new),
            copies,
            value_date: Some(day),
            booked_at: (!entry.late).then(|| self.calendar.start_of(day)),
        };
        Ok(self.command(&entry.key, content, Body::Payments(PaymentCommand::Pay(pay))))
    }

    /// Seals what didn't fit in a posting's text, as its metadata: `text_2` and so on.
    fn text_rest(&self, entry: &Entry, owners: &[Readers]) -> Result<Option<Sealed>, Failure> {
        let row = entry.posting.map(|place| &self.plan.postings[place]);
        let Some(row) = row.filter(|row| !row.text_rest.is_empty()) else { return Ok(None) };
        let parts: BTreeMap<String, &str> =
            (2..).zip(&row.text_rest).map(|(number, part)| (format!("text_{number}"), &**part)).collect();
        let json = serde_json::to_string(&parts).map_err(|error| Failure::new(error.to_string()))?;
        Ok(self.engine.seal_notes(&owners[entry.account], &json)?)
    }

    /// For whom the texts of each account are sealed: its owners. On the other side is the bank.
    fn owners(&self, accounts: &[AccountId]) -> Result<Vec<Readers>, Failure> {
        Ok(self.engine.peek(|state| accounts.iter().map(|account| state.readers(*account, [])).collect())?)
    }

    fn users(&mut self, users: &[ImportUser], passwords: &[String], customers: &[CustomerId]) -> Result<(), Failure> {
        for ((user, password), target) in users.iter().zip(passwords).zip(&self.booking.users) {
            if target.there.is_some() {
                continue;
            }
            let place = self.plan.customers.iter().position(|row| *row.key == *user.customer_key);
            let customer = customers[place.ok_or_else(unexpected)?];
            let subject = self.engine.peek(|state| state.customer(customer).map(|known| known.name.subject))?;
            let subject = subject.ok_or_else(unexpected)?;
            let erased = || Failure::new(format!("the customer {} was erased", user.customer_key));
            let body = Body::Access(AccessCommand::AddUser {
                name_index: self.engine.name_index(&user.name),
                name: self.engine.seal(subject, Field::UserName, &user.name)?.ok_or_else(erased)?,
                password: self
                    .engine
                    .seal(subject, Field::Password, &password::hash_new(password)?)?
                    .ok_or_else(erased)?,
                role: Role::Customer,
                customer: Some(customer),
            });
            let command = self.command(&target.key, Content::User(&user.customer_key), body);
            self.send_chunk("--user", vec![(0, command.into())])?;
        }
        Ok(())
    }

    fn reconcile(&self) -> Result<super::reconcile::Reconciliation, Failure> {
        reconcile(self.plan, |account| self.end_of_day_balances(self.accounts[account]))
    }

    /// The posted balance at the end of each day on which an account has entries.
    fn end_of_day_balances(&self, account: AccountId) -> Result<Vec<(Date, i64)>, Failure> {
        let mut entries = Vec::new();
        let mut before = None;
        loop {
            let page = self.runtime.block_on(self.engine.entries(account, before, ROWS_AT_A_TIME))?;
            let Some(last) = page.last() else { break };
            before = Some(last.ordinal);
            entries.extend(page.iter().map(|entry| (self.calendar.day_of(entry.booked_at), entry.balance_minor)));
        }
        let mut days: Vec<(Date, i64)> = Vec::new();
        // From the newest to the oldest: the first balance met of a day is its last.
        for (day, balance) in entries {
            let day = date(day)?;
            if days.last().is_none_or(|(last, _)| *last != day) {
                days.push((day, balance));
            }
        }
        days.reverse();
        Ok(days)
    }

    fn command(&self, key: &str, content: Content<'_>, body: Body) -> Command {
        let request = self.engine.request(UserId::SYSTEM, key.as_bytes(), &content.form());
        Command { caller: Caller::SYSTEM, origin: Origin::of(Channel::Import), request: Some(request), body }
    }

    /// Sends the rows of which nothing is there, and gives what each row is, then or now.
    fn send_new<T: Copy>(
        &mut self,
        what: &'static str,
        file: &str,
        rows: Vec<(u64, Option<T>, Submission)>,
        made: impl Fn(What) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let mut all = Vec::with_capacity(rows.len());
        let mut new = Vec::new();
        for (line, there, submission) in rows {
            all.push(there);
            if there.is_none() {
                new.push((line, submission));
            }
        }
        let mut sent = self.send(what, file, new)?.into_iter();
        let mut next = || sent.next().and_then(&made).ok_or_else(unexpected);
        all.into_iter().map(|there| there.map_or_else(&mut next, Ok)).collect()
    }

    /// Sends rows, each with its line, and gives what each made, now or in an earlier run.
    fn send(&self, what: &'static str, file: &str, rows: Vec<(u64, Submission)>) -> Result<Vec<What>, Failure> {
        let of = rows.len() as u64;
        let mut made = Vec::with_capacity(rows.len());
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let chunk: Vec<_> = rows.by_ref().take(ROWS_AT_A_TIME).collect();
            made.extend(self.send_chunk(file, chunk)?);
            (self.progress)(Progress { what, done: made.len() as u64, of });
        }
        Ok(made)
    }

    fn send_chunk(&self, file: &str, rows: Vec<(u64, Submission)>) -> Result<Vec<What>, Failure> {
        let (lines, submissions): (Vec<u64>, Vec<Submission>) = rows.into_iter().unzip();
        let outcomes = self.runtime.block_on(self.engine.submit_batch(submissions))?;
        let mut made = Vec::with_capacity(outcomes.len());
        for (line, outcome) in lines.into_iter().zip(outcomes) {
            match outcome? {
                Outcome::Accepted(receipt) => made.push(receipt.what),
                Outcome::Refused { refusal, .. } => return Err(Failure::new(format!("{file}:{line}: {refusal}"))),
                Outcome::Unchanged => return Err(unexpected()),
            }
        }
        Ok(made)
    }
}

/// A step of an account's overdraft: the account's place in the plan, a key, what is set under it, and whether the account
/// is left with it only because it ends below zero.
type Step<'b> = (usize, &'b String, Overdraft, bool);

/// The step that leaves an account with its limit.
fn last_step(needed: &AccountRoom) -> Step<'_> {
    (needed.account, &needed.steps.after, Overdraft::Limited(needed.room.after), needed.room.is_owed)
}

/// Text that a customer reads of a balance that was brought in.
const OPENING_TEXT: &str = "Opening balance";

fn opened(what: What) -> Option<AccountId> {
    let What::Accounts(AccountEvent::AccountOpened { id, .. }) = what else { return None };
    Some(id)
}

fn unexpected() -> Failure {
    Failure::new("the bank gave another answer than the import expects".into())
}
