//! Commands as a bank's day brings them: mostly good, some impossible, some sent again, with the clock moving. What it
//! names (accounts, holds, payments, sessions) it learned from earlier answers, as any client does.

use std::collections::VecDeque;

use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, AddressClass, AddressHash, Body, Caller, Cause, Channel,
    Command, CustomerId, HoldCommand, HoldEvent, NameIndex, Numbering, OpenAccount, Origin, Pay, PaymentCommand,
    PaymentEvent, Purpose, Request, Right, Role, Sealed, SubjectId, SystemCommand, SystemEvent, TokenHash, UserId,
    What,
};
use ledger::{AccountId, Currency, Hold, HoldId, Kind, Leg, Money, Overdraft, PostingId, Status, Timestamp};
use smallvec::{SmallVec, smallvec};

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
            opening: opening(),
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
                SystemEvent::Founded { .. } | SystemEvent::LeaderStarted { .. } | SystemEvent::Refused { .. },
            ) => {}
            What::Access(event) => self.learn_access(event),
            What::Accounts(event) => self.learn_account(event),
            What::Payments(event) => self.learn_payment(number, event),
            What::Holds(event) => self.learn_hold(number, event),
        }
    }

    fn learn_access(&mut self, event: &AccessEvent) {
        match event {
            AccessEvent::UserAdded { id, role, customer, .. } => {
                self.people.push(Person { user: *id, role: *role, customer: *customer, session: None });
            }
            AccessEvent::SessionOpened { user, token, expires_at, .. } => {
                if let Some(person) = self.people.iter_mut().find(|person| person.user == *user) {
                    person.session = Some((*token, *expires_at));
                }
            }
            // A session that was closed is used again, in vain.
            AccessEvent::SessionClosed { .. }
            | AccessEvent::SignInFailed { .. }
            | AccessEvent::PasswordSet { .. }
            | AccessEvent::CustomerAdded { .. }
            | AccessEvent::RightGranted { .. }
            | AccessEvent::RightRevoked { .. } => {}
        }
    }

    fn learn_account(&mut self, event: &AccountEvent) {
        match event {
            AccountEvent::AccountOpened { id, cash: true, .. } => self.cash.push(*id),
            AccountEvent::AccountOpened { id, currency, owner, cash: false, .. } => {
                self.accounts.push(Known { id: *id, currency: *currency, owner: *owner });
            }
            AccountEvent::StatusSet { account, status } => {
                if *status == Status::Closed {
                    let gone = self.accounts.iter().position(|known| known.id == *account);
                    self.closed.extend(gone.map(|place| self.accounts.swap_remove(place)));
                }
            }
            AccountEvent::AccountRenamed { .. } | AccountEvent::OverdraftSet { .. } => {}
        }
    }

    fn learn_payment(&mut self, number: u64, event: &PaymentEvent) {
        match event {
            PaymentEvent::Posted { posting, .. } => {
                let legs = posting.legs().iter().map(|booked| booked.leg).collect();
                let id = PostingId::new(number).expect("events are numbered from 1");
                remember(&mut self.random, &mut self.payments, (id, legs));
            }
            PaymentEvent::PaidAll { .. } => {}
        }
    }

    fn learn_hold(&mut self, number: u64, event: &HoldEvent) {
        match event {
            HoldEvent::HoldPlaced { hold, .. } => {
                let id = HoldId::new(number).expect("events are numbered from 1");
                remember(&mut self.random, &mut self.holds, (id, *hold));
            }
            HoldEvent::HoldExtended { hold, expires_at } => {
                if let Some((_, known)) = self.holds.iter_mut().find(|(known, _)| known == hold) {
                    known.expires_at = *expires_at;
                }
            }
            // Some holds are not forgotten when they are let go, and are asked for again, in vain.
            HoldEvent::HoldReleased { hold, .. } => {
                if !self.random.once_in(12) {
                    self.holds.retain(|(known, _)| known != hold);
                }
            }
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
            device: is_full.then_some(3),
            approver: self.people.first().filter(|_| is_full).map(|person| person.user),
            cause: is_full.then_some(Cause::Batch(self.made)),
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
            98 => self.change_right(),
            _ => self.end_session(),
        }
    }

    // ---- Who ----

    /// A new session for somebody whose last one is over or nearly so; most of the time, not always.
    fn sign_in(&mut self) -> Option<Body> {
        let now = self.now;
        let signed_in = |person: &Person| person.session.is_some_and(|(_, expires_at)| expires_at > now);
        let user = self.people.iter().find(|person| !signed_in(person))?.user;
        if self.random.once_in(4) {
            return None;
        }
        let mut token = [0; 16];
        token[..8].copy_from_slice(&self.random.bits().to_le_bytes());
        let expires_at = now.plus_ms(MINUTE_MS + self.random.amount(8 * HOUR_MS));
        let from = self.random.once_in(2).then(|| AddressHash([token[0]; 16]));
        Some(Body::Access(AccessCommand::SignIn { user, token: TokenHash(token), expires_at, from }))
    }

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

    // ---- What ----

    fn pay(&mut self) -> (Caller, Body) {
        let (caller, pay) = self.payment();
        (caller, Body::Payments(PaymentCommand::Pay(pay)))
    }

    fn payment(&mut self) -> (Caller, Pay) {
        let first = self.leg();
        let mut legs: SmallVec<[Leg; 1]> = smallvec![first];
        if self.random.once_in(5) {
            for _ in 0..self.random.below(4) {
                let next = self.leg();
                // A split from the same account, or money sent on.
                let debit = if self.random.once_in(3) { legs[legs.len() - 1].credit } else { first.debit };
                let amount = Money { minor: next.amount.minor, ..first.amount };
                legs.push(Leg { debit, credit: next.credit, amount });
            }
        }
        let caller = if legs.len() > 1 && self.random.once_in(2) { Caller::SYSTEM } else { self.holder(first.debit) };
        let text = self.random.once_in(4).then(|| sealed("text"));
        let pay = Pay { legs, purpose: Purpose::Payment, text, metadata: None, value_date: None, booked_at: None };
        (caller, pay)
    }

    /// Some payments all or none, mostly of one payer.
    fn pay_all(&mut self) -> (Caller, Body) {
        let (caller, first) = self.payment();
        let mut payments = vec![first];
        for _ in 0..self.random.below(5) {
            payments.push(self.payment().1);
        }
        (caller, Body::Payments(PaymentCommand::PayAll(payments)))
    }

    fn cash(&mut self) -> (Caller, Body) {
        let Known { id: account, currency, .. } = self.account();
        // All the money in the world would leave the desk with none to give.
        let amount = Money { minor: self.minor().min(500_000), currency };
        let caller = self.operator();
        if self.random.below(10) < 7 {
            (caller, Body::Payments(PaymentCommand::Deposit { account, amount, text: None }))
        } else {
            (caller, Body::Payments(PaymentCommand::Withdraw { account, amount, text: None }))
        }
    }

    /// A booking of the bank's own, mostly a fee.
    fn book(&mut self) -> (Caller, Body) {
        let mut leg = self.leg();
        let banks: Vec<Known> = self.accounts.iter().copied().filter(|known| known.owner.is_none()).collect();
        // The first is the cash desk, which no customer ever gets a right on.
        let bank = if self.random.once_in(3) { banks.first().copied() } else { self.random.pick(&banks) };
        if let Some(bank) = bank.filter(|_| !self.random.once_in(4)) {
            let side = if self.random.once_in(3) { &mut leg.debit } else { &mut leg.credit };
            *side = bank.id;
        }
        (self.operator(), Body::Payments(PaymentCommand::Book { leg, reason: sealed("a reason") }))
    }

    fn place_hold(&mut self) -> (Caller, Body) {
        let leg = self.leg();
        let ms = match self.random.below(10) {
            0 => 0,
            1..=6 => self.random.amount(10 * MINUTE_MS),
            _ => self.random.amount(24 * HOUR_MS),
        };
        let caller = self.holder(leg.debit);
        (
            caller,
            Body::Holds(HoldCommand::PlaceHold { leg, expires_at: self.now.plus_ms(ms), text: None, metadata: None }),
        )
    }

    fn use_hold(&mut self) -> (Caller, Body) {
        // Mostly a recent one, which is open; an old one is asked for in vain.
        let old = if self.random.once_in(5) { 0 } else { self.holds.len().saturating_sub(6) };
        let Some((hold, placed)) = self.random.pick(&self.holds[old..]) else { return self.pay() };
        match self.random.below(20) {
            0 | 1 => (Caller::SYSTEM, Body::Holds(HoldCommand::Expire { hold })),
            2..=4 => {
                (Caller::SYSTEM, Body::Holds(HoldCommand::Expire { hold: self.one_that_is_over().unwrap_or(hold) }))
            }
            5 | 6 => {
                let expires_at = placed.expires_at.plus_ms(self.random.amount(24 * HOUR_MS) - HOUR_MS);
                (self.holder(placed.debit), Body::Holds(HoldCommand::Extend { hold, expires_at }))
            }
            7..=9 => (self.holder(placed.credit), Body::Holds(HoldCommand::Void { hold })),
            _ => {
                let part = 1 + self.random.amount(placed.amount.minor);
                let minor = if self.random.once_in(10) { placed.amount.minor + 1 } else { part };
                let amount = Money { minor, ..placed.amount };
                (
                    self.holder(placed.credit),
                    Body::Holds(HoldCommand::Capture { hold, amount, last: self.random.once_in(3) }),
                )
            }
        }
    }

    /// One of the holds whose time is over, if there is one after a random place in the list.
    fn one_that_is_over(&mut self) -> Option<HoldId> {
        let start = self.random.place(self.holds.len().max(1));
        let over = |(_, hold): &&(HoldId, Hold)| hold.expires_at <= self.now;
        self.holds.get(start..)?.iter().find(over).map(|(id, _)| *id)
    }

    fn refund(&mut self) -> (Caller, Body) {
        let Some((of, legs)) = self.random.pick(&self.payments) else { return self.pay() };
        let place = if self.random.once_in(15) { legs.len() } else { self.random.place(legs.len()) };
        let paid = legs.get(place).copied().unwrap_or(legs[0]);
        let minor = 1 + self.random.amount(paid.amount.minor);
        let caller = if self.random.once_in(3) { self.operator() } else { self.holder(paid.credit) };
        let leg = u32::try_from(place).expect("a posting has few legs");
        (caller, Body::Payments(PaymentCommand::Refund { of, leg, amount: Money { minor, ..paid.amount }, text: None }))
    }

    fn reverse(&mut self) -> (Caller, Body) {
        let Some((of, _)) = self.random.pick(&self.payments) else { return self.pay() };
        (self.operator(), Body::Payments(PaymentCommand::Reverse { of, text: None }))
    }

    fn change_account(&mut self) -> (Caller, Body) {
        let account = self.account().id;
        if self.random.once_in(3) {
            // By an owner, or by any customer, some of whom have a lesser right.
            let caller =
                if self.random.once_in(2) { self.holder(account) } else { self.caller(|it| it.role == Role::Customer) };
            return (
                caller,
                Body::Accounts(AccountCommand::Rename {
                    account,
                    name: self.random.once_in(2).then(|| sealed("name")),
                }),
            );
        }
        let caller = self.operator();
        if self.random.once_in(3) {
            let overdraft = match self.random.below(8) {
                0 => Overdraft::Unlimited,
                1 | 2 => Overdraft::Limited(0),
                _ => Overdraft::Limited(self.random.below(5_000)),
            };
            return (caller, Body::Accounts(AccountCommand::SetOverdraft { account, overdraft }));
        }
        let status = match self.random.below(40) {
            0 => Status::Frozen,
            1 | 2 => Status::FrozenForDebits,
            3..=12 => Status::Closed,
            _ => Status::Open,
        };
        (caller, Body::Accounts(AccountCommand::SetStatus { account, status }))
    }

    fn open_account(&mut self) -> (Caller, Body) {
        if self.accounts.len() >= MAX_OPEN_ACCOUNTS {
            return self.change_account();
        }
        let owner = Some(self.customer(2));
        let currency = if self.random.once_in(3) { yen() } else { euro() };
        let number = self.random.once_in(4).then(|| 1 + self.random.below(200));
        // Deposits and loans; and what would be money without end, or the bank's own.
        let kind = match self.random.below(12) {
            0..=2 => Kind::Asset,
            3 => [Kind::Equity, Kind::Income, Kind::Expense][self.random.place(3)],
            _ => Kind::Liability,
        };
        let overdraft = match self.random.below(12) {
            0 => Overdraft::Unlimited,
            1..=6 => Overdraft::Limited(0),
            _ => Overdraft::Limited(1_000),
        };
        let open = OpenAccount { number, kind, overdraft, owner, ..account(currency) };
        (self.operator(), Body::Accounts(AccountCommand::OpenAccount(open)))
    }

    fn change_right(&mut self) -> (Caller, Body) {
        let cash = if self.random.once_in(8) { self.random.pick(&self.cash) } else { None };
        let account = cash.unwrap_or_else(|| self.account().id);
        let customer = self.customer(0);
        let right = match self.random.below(8) {
            0 => return (self.operator(), Body::Access(AccessCommand::Revoke { customer, account })),
            1 | 2 => Right::Signatory { limit_minor: Some(1 + self.random.amount(2_000)) },
            3 => Right::Signatory { limit_minor: None },
            4 => Right::ReadOnly,
            _ => Right::Owner,
        };
        (self.operator(), Body::Access(AccessCommand::Grant { customer, account, right }))
    }

    fn end_session(&mut self) -> (Caller, Body) {
        let Some(person) = self.random.pick(&self.people) else { return self.pay() };
        match person.session {
            Some((token, _)) if self.random.once_in(4) => {
                (Caller { user: person.user, session: Some(token) }, Body::Access(AccessCommand::SignOut { token }))
            }
            _ if self.random.once_in(4) => {
                let caller = if self.random.once_in(4) { self.operator() } else { Caller::SYSTEM };
                let user = if self.random.once_in(8) { UserId(u32::MAX) } else { person.user };
                (caller, Body::Access(AccessCommand::SetPassword { user, password: sealed("another hash") }))
            }
            _ => (Caller::SYSTEM, Body::Access(AccessCommand::SignInFailed { user: person.user })),
        }
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

/// Returns the first commands of every bank here: it is founded, with cash in two currencies, its people and a first
/// account for each customer.
fn opening() -> VecDeque<Body> {
    let numbering = Numbering::new("AT", "99999").expect("a form of the IBAN registry");
    let mut bodies = VecDeque::from([Body::System(SystemCommand::Found { name: "Simulated".into(), numbering })]);
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
    Sealed { subject: SubjectId(1), bytes: text.as_bytes().into() }
}
