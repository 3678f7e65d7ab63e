//! Commands as a bank's day brings them: mostly good, some impossible, some sent again, with the clock moving. What it
//! names (accounts, holds, payments, sessions) it learned from earlier answers, as any client does.
//!
//! A file per subject, named as in `bank`, has its commands and what is learned of its events.

mod access;
mod accounts;
mod holds;
mod payments;
mod system;

use std::collections::VecDeque;
use std::num::{NonZeroU32, NonZeroU64};

use bank::{
    AccessCommand, AccountCommand, AddressClass, Body, Caller, Cause, Channel, Command, CustomerId, NameIndex,
    Numbering, NumbersAsked, OpenAccount, Origin, OwnCheck, Request, Role, Sealed, SubjectId, SystemCommand,
    SystemEvent, TokenHash, UserId, What,
};
use ledger::{AccountId, Currency, Hold, HoldId, Kind, Leg, Money, Overdraft, PostingId, Timestamp};
use smallvec::SmallVec;

use crate::{Observed, Random};

const START: Timestamp = Timestamp(1_700_000_000_000);
const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

const CUSTOMERS: u8 = 8;

/// Few enough that the same accounts meet again and again.
const MAX_OPEN_ACCOUNTS: usize = 40;

/// Number of past commands and payments that are remembered. New ones take the places of any, so that some are very
/// old.
const MAX_REMEMBERED: usize = 2_000;

/// Makes commands.
#[derive(Debug)]
pub struct Workload {
    random: Random,
    now: Timestamp,
    opening: VecDeque<Body>,
    made: u64,
    people: Vec<Person>,
    cash: Vec<AccountId>,
    accounts: Vec<Known>,
    closed: Vec<Known>,
    holds: Vec<(HoldId, Hold)>,
    payments: Vec<(PostingId, SmallVec<[Leg; 1]>)>,
    sent: Vec<Command>,
}

/// Somebody who can sign in.
#[derive(Debug, Clone, Copy)]
struct Person {
    user: UserId,
    role: Role,
    customer: Option<CustomerId>,
    session: Option<(TokenHash, Timestamp)>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    id: AccountId,
    currency: Currency,
    owner: Option<CustomerId>,
}

impl Workload {
    /// The workload of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            now: START,
            opening: opening(&numbering_of(seed), system::zone_of(seed)),
            made: 0,
            people: Vec::new(),
            cash: Vec::new(),
            accounts: Vec::new(),
            closed: Vec::new(),
            holds: Vec::new(),
            payments: Vec::new(),
            sent: Vec::new(),
        }
    }

    /// Lets time pass until the next command, and tells when it comes.
    pub fn pass_time(&mut self) -> Timestamp {
        let ms = match self.random.below(400) {
            // Once in a while the clock leaps, as it does when a machine was off for long: all is over then.
            0 if self.random.once_in(40) => self.random.amount(400 * 24 * HOUR_MS),
            0 => self.random.amount(12 * HOUR_MS),
            1..=20 => self.random.amount(5 * MINUTE_MS),
            21..=200 => 0,
            _ => self.random.amount(2_000),
        };
        self.now = self.now.plus_ms(ms);
        self.now
    }

    /// The next command.
    pub fn next_command(&mut self) -> Command {
        if let Some(body) = self.opening.pop_front() {
            return Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body };
        }
        let again = if self.random.once_in(16) { self.random.pick(&self.sent) } else { None };
        again.unwrap_or_else(|| self.new_command())
    }

    /// Takes note of an answer.
    pub fn learn(&mut self, observed: &Observed) {
        // One in a few is enough, and copying all of them would cost more than deciding them.
        if observed.command.request.is_some() && self.random.once_in(4) {
            remember(&mut self.random, &mut self.sent, observed.command.clone());
        }
        for (number, event) in (observed.first_event..).zip(observed.events()) {
            self.learn_event(number, &event.what);
        }
    }

    fn learn_event(&mut self, number: u64, what: &What) {
        match what {
            // It is founded once, and a refusal is told by the answer.
            What::System(
                SystemEvent::Founded { .. }
                | SystemEvent::LeaderStarted { .. }
                | SystemEvent::Refused { .. }
                | SystemEvent::TimeZoneSet { .. },
            ) => {}
            What::Access(event) => self.learn_access(event),
            What::Accounts(event) => self.learn_account(event),
            What::Payments(event) => self.learn_payment(number, event),
            What::Holds(event) => self.learn_hold(number, event),
        }
    }

    fn new_command(&mut self) -> Command {
        self.made += 1;
        let (caller, body) = self.ask();
        let request = (!self.random.once_in(3)).then(|| {
            let mut key = [0; 16];
            key[..8].copy_from_slice(&self.random.bits().to_le_bytes());
            key[8..].copy_from_slice(&self.made.to_le_bytes());
            Request { key, fingerprint: self.made }
        });
        Command { origin: self.origin(), caller, request, body }
    }

    /// Where the next command comes from, as far as anybody knows. No chance is taken, so that all else stays as it is.
    fn origin(&self) -> Origin {
        let channel = [None, Some(Channel::Terminal), Some(Channel::Import), Some(Channel::Api)];
        let channel = channel.into_iter().cycle().nth((self.made % 4) as usize).flatten();
        let (is_full, is_new) = (self.made.is_multiple_of(5), self.made.is_multiple_of(2));
        Origin {
            channel,
            address: is_full.then_some(if is_new { AddressClass::New } else { AddressClass::Known }),
            device: NonZeroU32::new(3).filter(|_| is_full),
            approver: self.people.first().and_then(|person| NonZeroU32::new(person.user.0)).filter(|_| is_full),
            cause: NonZeroU64::new(self.made).filter(|_| is_full).map(Cause::Batch),
            session: None,
        }
    }

    fn ask(&mut self) -> (Caller, Body) {
        if let Some(sign_in) = self.sign_in() {
            return (Caller::SYSTEM, sign_in);
        }
        match self.random.below(100) {
            0..=29 => self.pay(),
            30 | 31 => self.pay_all(),
            32..=47 => self.cash(),
            48 => self.book(),
            49..=60 => self.place_hold(),
            61..=80 => self.use_hold(),
            81..=88 => self.refund(),
            89..=91 => self.reverse(),
            92..=95 => self.change_account(),
            96 | 97 => self.open_account(),
            98 if self.random.once_in(4) => self.set_time_zone(),
            98 => self.change_right(),
            _ => self.end_session(),
        }
    }

    // ---- Who ----

    /// Mostly somebody who fits; now and then anybody, or Kassa itself.
    fn caller(&mut self, fits: impl Fn(&Person) -> bool) -> Caller {
        if self.random.once_in(20) {
            return Caller::SYSTEM;
        }
        let fitting: SmallVec<[Person; 8]> = self.people.iter().copied().filter(|person| fits(person)).collect();
        let anybody = self.random.once_in(12) || fitting.is_empty();
        let person = if anybody { self.random.pick(&self.people) } else { self.random.pick(&fitting) };
        person.map_or(Caller::SYSTEM, |Person { user, session, .. }| {
            // Whoever never had a session makes one up.
            let token = session.map_or(TokenHash([0xFF; 16]), |(token, _)| token);
            Caller { user, session: Some(token) }
        })
    }

    fn holder(&mut self, account: AccountId) -> Caller {
        let owner = self.accounts.iter().find(|known| known.id == account).and_then(|known| known.owner);
        self.caller(|person| owner.is_some() && person.customer == owner)
    }

    fn operator(&mut self) -> Caller {
        self.caller(|person| person.role == Role::Operator)
    }

    // ---- Of what ----

    /// An account: mostly an open one, now and then one that is closed or was never opened.
    fn account(&mut self) -> Known {
        let list = if self.random.once_in(60) { &self.closed } else { &self.accounts };
        let never = || Known { id: AccountId(u32::MAX), currency: euro(), owner: None };
        self.random.pick(list).unwrap_or_else(never)
    }

    /// A customer, or one of so many that don't exist.
    fn customer(&mut self, unknown: u64) -> CustomerId {
        let number = 1 + self.random.below(u64::from(CUSTOMERS) + unknown);
        CustomerId(u32::try_from(number).expect("customers are few"))
    }

    /// Another account, mostly of the same currency.
    fn beside(&mut self, first: Known) -> Known {
        for _ in 0..8 {
            let other = self.account();
            if other.currency == first.currency && other.id != first.id {
                return other;
            }
        }
        self.account()
    }

    fn minor(&mut self) -> i64 {
        match self.random.below(80) {
            0 => 0,
            1 => -self.random.amount(1_000),
            2 => i64::MAX - self.random.amount(2),
            3..=8 => self.random.amount(500_000),
            _ => 1 + self.random.amount(3_000),
        }
    }

    fn leg(&mut self) -> Leg {
        let debit = self.account();
        let credit = self.beside(debit);
        let minor = self.minor();
        Leg { debit: debit.id, credit: credit.id, amount: Money { minor, currency: debit.currency } }
    }
}

/// Adds to a list that has an end: past it, the new takes the place of any.
fn remember<T>(random: &mut Random, list: &mut Vec<T>, new: T) {
    if list.len() < MAX_REMEMBERED {
        list.push(new);
    } else {
        let place = random.place(list.len());
        list[place] = new;
    }
}

/// The account numbers of a seed's bank: IBANs, those of other countries, and of a form of its own.
fn numbering_of(seed: u64) -> Numbering {
    let own = NumbersAsked { digits: None, own: Some(OwnCheck::Mod97) };
    let country = NumbersAsked::default();
    let (country, bank_code, asked) = match seed % 6 {
        0 => ("US", "123456780", country),
        1 => ("AT", "99999", country),
        2 => ("NG", "50547", country),
        3 => ("BE", "539", country),
        4 => ("NZ", "020001", country),
        _ => ("XX", "KASSA01", own),
    };
    Numbering::asked(country, bank_code, asked).expect("a form that a bank can have")
}

/// Returns the first commands of every bank here: it is founded, with cash in two currencies, its people and a first
/// account for each customer.
fn opening(numbering: &Numbering, time_zone: &str) -> VecDeque<Body> {
    let (name, time_zone) = ("Simulated".into(), Some(time_zone.to_owned()));
    let found = SystemCommand::Found { name, numbering: numbering.clone(), time_zone };
    let mut bodies = VecDeque::from([Body::System(found)]);
    for currency in [euro(), yen()] {
        let cash = OpenAccount { kind: Kind::Asset, overdraft: Overdraft::Unlimited, cash: true, ..account(currency) };
        let fees = OpenAccount { kind: Kind::Income, ..account(currency) };
        bodies.extend([cash, fees].map(|it| Body::Accounts(AccountCommand::OpenAccount(it))));
    }
    let user = |number: u8, role, customer| {
        Body::Access(AccessCommand::AddUser {
            name_index: NameIndex([number; 16]),
            name: sealed("name"),
            password: sealed("hash"),
            role,
            customer,
        })
    };
    bodies.extend([user(0, Role::Operator, None), user(1, Role::Auditor, None)]);
    for number in 1..=CUSTOMERS {
        let customer = CustomerId(u32::from(number));
        let currency = if number % 3 == 0 { yen() } else { euro() };
        bodies.extend([
            Body::Access(AccessCommand::AddCustomer { name: sealed("customer") }),
            user(number + 1, Role::Customer, Some(customer)),
            Body::Accounts(AccountCommand::OpenAccount(OpenAccount { owner: Some(customer), ..account(currency) })),
        ]);
    }
    bodies
}

fn account(currency: Currency) -> OpenAccount {
    OpenAccount {
        number: None,
        currency,
        kind: Kind::Liability,
        overdraft: Overdraft::Limited(0),
        name: None,
        owner: None,
        cash: false,
        opened_at: None,
    }
}

fn euro() -> Currency {
    Currency::from_code("EUR").expect("a currency of ISO 4217")
}

fn yen() -> Currency {
    Currency::from_code("JPY").expect("a currency of ISO 4217")
}

fn sealed(text: &str) -> Sealed {
    Sealed { subject: SubjectId(1), bytes: text.as_bytes().into(), category: None }
}
