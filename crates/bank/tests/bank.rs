//! The bank as its users see it: who may do what and why not, the encoding of events, and replay.
//!
//! `golden/` holds journals of past versions and the digest of the state that each makes. They are never rewritten: an
//! event once written means the same for ever. When there is something new to keep, raise `VERSION` and run this with
//! `KASSA_WRITE_GOLDEN=1`, which writes that version's files if they are not there yet.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;

use bank::access::{MAX_ACCOUNTS_PER_CUSTOMER, MAX_KNOWN_ADDRESSES, MAX_RIGHTS_PER_ACCOUNT, MAX_SESSIONS_PER_USER};
use bank::permission::Grant;
use bank::{
    AccessCommand, AccessEvent, AccountCommand, AccountEvent, Action, AddressClass, AddressHash, Audience, Body,
    Caller, Category, Channel, Command, Copies, CustomerId, Decision, Due, Event, Facts, HoldCommand, HoldEvent,
    IbanError, MAX_PAYMENTS_AT_ONCE, MAX_READERS, MAX_WRITERS, NameIndex, Numbering, OpenAccount, Origin, PastPosting,
    Pay, PaymentCommand, PaymentEvent, Purpose, Refusal, Request, Right, Role, Scope, Sealed, SessionTag, SharedText,
    Standing, State, SubjectId, SystemCommand, SystemEvent, TokenHash, UserId, What, decide,
};
use ledger::{
    AccountId, Cause, Currency, HoldId, Kind, Leg, Money, Overdraft, Posting, PostingId, ReleaseReason, Status,
    Timestamp, ValueDate,
};
use proptest::prelude::*;
use proptest::sample::Index;
use sha2::{Digest, Sha256};

// ---- A bank at which one asks ----

const START: i64 = 1_700_000_000_000;
const HOUR: i64 = 3_600_000;

/// The time of an event: each a second after the one before.
fn at(event: u64) -> Timestamp {
    Timestamp(START + i64::try_from(event).unwrap() * 1_000)
}

/// A state and its journal. Events go through their encoding on the way, as those of a real journal do.
#[derive(Debug, Clone, Default)]
struct Bank {
    state: State,
    journal: Vec<Event>,
    bytes: Vec<u8>,
    /// How long nothing happened, beside the second that each event takes.
    idle_ms: i64,
}

impl Bank {
    fn now(&self) -> Timestamp {
        at(self.state.last_event() + 1).plus_ms(self.idle_ms)
    }

    /// The answer to a command, with the past posting that it names looked up as the engine does.
    fn decide(&self, command: &Command) -> Decision {
        let past = match &command.body {
            Body::Payments(PaymentCommand::Refund { of, .. }) | Body::Payments(PaymentCommand::Reverse { of, .. }) => {
                self.posting(*of)
            }
            _ => None,
        };
        let now = self.now();
        let zone_begins = zone_begins(command);
        decide(&self.state, command, &Facts { now, today: now.day(), zone_begins, past: past.as_ref(), earlier: None })
    }

    fn posting(&self, id: PostingId) -> Option<PastPosting> {
        match &self.journal.get(usize::try_from(id.event()).ok()? - 1)?.what {
            What::Payments(PaymentEvent::Posted { posting, .. }) => Some(PastPosting { id, posting: posting.clone() }),
            _ => None,
        }
    }

    fn keep(&mut self, event: &Event) -> u64 {
        let number = self.state.last_event() + 1;
        let start = self.bytes.len();
        event.encode_to(&mut self.bytes);
        let read = Event::decode_nth(&self.bytes[start..], 0).unwrap();
        assert_eq!(read, *event);
        assert_eq!(self.state.check(number, &read), Ok(()));
        self.state.apply(number, at(number).plus_ms(self.idle_ms), &read);
        self.journal.push(read);
        number
    }

    /// Keeps what a decision brought, and gives the number of its first event.
    fn take(&mut self, decision: &Decision) -> Option<u64> {
        let events: &[Event] = match decision {
            Decision::Accepted(events) => events,
            Decision::Refused(_, event) => event.as_slice(),
            Decision::Repeated(_) => &[],
        };
        let numbers: Vec<u64> = events.iter().map(|event| self.keep(event)).collect();
        numbers.first().copied()
    }

    fn ask(&self, caller: Caller, body: Body) -> Result<(), Refusal> {
        match self.decide(&Command { origin: Origin::default(), caller, request: None, body }) {
            Decision::Accepted(_) => Ok(()),
            Decision::Refused(refusal, None) => Err(refusal),
            other => panic!("without a key nothing is repeated or remembered: {other:?}"),
        }
    }

    fn act(&mut self, caller: Caller, body: Body) -> u64 {
        let decision = self.decide(&Command { origin: Origin::default(), caller, request: None, body });
        assert!(matches!(decision, Decision::Accepted(_)), "{decision:?}");
        self.take(&decision).expect("something happened")
    }

    fn system(&mut self, body: Body) -> u64 {
        self.act(Caller::SYSTEM, body)
    }

    fn account(&mut self, open: OpenAccount) -> AccountId {
        self.system(Body::Accounts(AccountCommand::OpenAccount(open)));
        AccountId(self.state.ledger().next_account().0 - 1)
    }

    fn add_customer(&mut self) -> CustomerId {
        self.system(Body::Access(AccessCommand::AddCustomer { name: sealed("customer") }));
        CustomerId(u32::try_from(self.state.customers().len()).unwrap())
    }

    /// A new user with a session that stays open for a day.
    fn add_user(&mut self, role: Role, customer: Option<CustomerId>) -> Caller {
        let user = UserId(u32::try_from(self.state.users().len()).unwrap() + 1);
        self.system(add_user(u8::try_from(user.0).unwrap(), role, customer));
        let token = TokenHash([u8::try_from(user.0).unwrap(); 16]);
        let expires_at = self.now().plus_ms(24 * HOUR);
        self.system(Body::Access(AccessCommand::SignIn { user, token, expires_at, from: None }));
        Caller { user, session: Some(token) }
    }

    fn records(&self) -> Vec<Vec<u8>> {
        records(&self.state)
    }
}

fn records(state: &State) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    let taken: Result<(), ()> = state.write_records(|record| {
        records.push(record.to_vec());
        Ok(())
    });
    taken.unwrap();
    records
}

/// A state read back from what was stored of it.
fn restored(state: &State) -> State {
    let mut again = State::default();
    for record in records(state) {
        again.restore_bytes(&record).unwrap();
    }
    for (key, event) in state.outcomes() {
        again.restore_outcome(*key, *event);
    }
    again
}

fn eur(minor: i64) -> Money {
    Money { minor, currency: currency("EUR") }
}

fn yen(minor: i64) -> Money {
    Money { minor, currency: currency("JPY") }
}

fn currency(code: &str) -> Currency {
    Currency::from_code(code).unwrap()
}

fn sealed(text: &str) -> Sealed {
    Sealed { subject: SubjectId(7), bytes: text.as_bytes().into(), category: None }
}

fn sealed_as(subject: u64, category: Category) -> Sealed {
    Sealed { subject: SubjectId(subject), category: Some(category), ..sealed("sealed by category") }
}

fn found() -> Body {
    found_in(None)
}

fn found_in(time_zone: Option<&str>) -> Body {
    found_with(Numbering::new("AT", "99999").unwrap(), time_zone)
}

fn found_with(numbering: Numbering, time_zone: Option<&str>) -> Body {
    let time_zone = time_zone.map(str::to_owned);
    Body::System(SystemCommand::Found { name: "Testbank".into(), numbering, time_zone })
}

fn set_time_zone(from: i32, time_zone: &str) -> Body {
    let (from, time_zone) = (ValueDate(from), time_zone.to_owned());
    Body::System(SystemCommand::SetTimeZone { from, time_zone })
}

/// When a day begins in the zones of these tests: an hour before UTC's in Vienna, half a day after it at the date line.
fn zone_begins(command: &Command) -> Option<Timestamp> {
    let (from, name) = match &command.body {
        Body::System(SystemCommand::Found { time_zone, .. }) => (ValueDate(0), time_zone.as_deref()?),
        Body::System(SystemCommand::SetTimeZone { from, time_zone }) => (*from, time_zone.as_str()),
        _ => return None,
    };
    match name {
        "UTC" => Some(from.start()),
        "Europe/Vienna" => Some(from.start().plus_ms(-HOUR)),
        "Etc/GMT+12" => Some(from.start().plus_ms(12 * HOUR)),
        "Pacific/Kiritimati" => Some(from.start().plus_ms(-14 * HOUR)),
        _ => None,
    }
}

fn add_user(name: u8, role: Role, customer: Option<CustomerId>) -> Body {
    let (name_index, name, password) = (NameIndex([name; 16]), sealed("name"), sealed("$argon2id$…"));
    Body::Access(AccessCommand::AddUser { name_index, name, password, role, customer })
}

fn set_password(user: UserId) -> Body {
    Body::Access(AccessCommand::SetPassword { user, password: sealed("another hash") })
}

/// An ordinary account in euros.
fn open() -> OpenAccount {
    OpenAccount {
        number: None,
        currency: currency("EUR"),
        kind: Kind::Liability,
        overdraft: Overdraft::Limited(0),
        name: None,
        owner: None,
        cash: false,
        opened_at: None,
    }
}

fn open_cash(code: &str) -> OpenAccount {
    let currency = currency(code);
    OpenAccount { currency, kind: Kind::Asset, overdraft: Overdraft::Unlimited, cash: true, ..open() }
}

fn leg(debit: AccountId, credit: AccountId, amount: Money) -> Leg {
    Leg { debit, credit, amount }
}

fn pay(legs: &[Leg]) -> Body {
    Body::Payments(PaymentCommand::Pay(payment(legs)))
}

fn payment(legs: &[Leg]) -> Pay {
    Pay {
        legs: legs.into(),
        purpose: Purpose::Payment,
        text: None,
        metadata: None,
        value_date: None,
        booked_at: None,
        end_to_end_id: None,
        copies: None,
    }
}

fn deposit(account: AccountId, minor: i64) -> Body {
    Body::Payments(PaymentCommand::Deposit { account, amount: eur(minor), text: None })
}

fn book(debit: AccountId, credit: AccountId, minor: i64) -> Body {
    Body::Payments(PaymentCommand::Book { leg: leg(debit, credit, eur(minor)), reason: sealed("a reason").into() })
}

fn hold(event: u64) -> HoldId {
    HoldId::new(event).unwrap()
}

fn posting(event: u64) -> PostingId {
    PostingId::new(event).unwrap()
}

fn request(key: u8) -> Request {
    Request { key: [key; 16], fingerprint: u64::from(key) }
}

// ---- A street of people ----

/// Anna and Ben each own an account; Carl may read Anna's, and Dora may sign for 100.00 on it. Eve has nothing.
struct Street {
    bank: Bank,
    operator: Caller,
    auditor: Caller,
    anna: Caller,
    ben: Caller,
    carl: Caller,
    dora: Caller,
    eve: Caller,
    /// Anna's older session, which is over.
    expired: Caller,
    /// The desk's cash in euros.
    cash: AccountId,
    annas: AccountId,
    bens: AccountId,
    fees: AccountId,
    /// 50.00 from Anna to Ben.
    paid: PostingId,
    /// 30.00 of Anna's for Ben.
    open_hold: HoldId,
    /// The same, its time over.
    over_hold: HoldId,
}

const UNKNOWN: AccountId = AccountId(4_000);

impl Street {
    fn new() -> Self {
        let mut bank = Bank::default();
        bank.system(found());
        let people: Vec<CustomerId> = (0..5).map(|_| bank.add_customer()).collect();
        let operator = bank.add_user(Role::Operator, None);
        let auditor = bank.add_user(Role::Auditor, None);
        let [anna, ben, carl, dora, eve] =
            [0, 1, 2, 3, 4].map(|place: usize| bank.add_user(Role::Customer, Some(people[place])));
        let cash = bank.account(open_cash("EUR"));
        let annas = bank.account(OpenAccount { owner: Some(people[0]), ..open() });
        let bens = bank.account(OpenAccount { owner: Some(people[1]), ..open() });
        let fees = bank.account(OpenAccount { kind: Kind::Income, ..open() });
        let limited = Right::Signatory { limit_minor: Some(10_000) };
        bank.system(Body::Access(AccessCommand::Grant { customer: people[2], account: annas, right: Right::ReadOnly }));
        bank.system(Body::Access(AccessCommand::Grant { customer: people[3], account: annas, right: limited }));
        bank.system(deposit(annas, 100_000));
        let paid = posting(bank.act(anna, pay(&[leg(annas, bens, eur(5_000))])));

        let token = TokenHash([0xEE; 16]);
        let expires_at = bank.now().plus_ms(HOUR);
        bank.system(Body::Access(AccessCommand::SignIn { user: anna.user, token, expires_at, from: None }));
        let expired = Caller { session: Some(token), ..anna };
        let place = |expires_at| {
            Body::Holds(HoldCommand::PlaceHold {
                leg: leg(annas, bens, eur(3_000)),
                expires_at,
                text: None,
                metadata: None,
            })
        };
        let over_hold = hold(bank.act(anna, place(expires_at)));
        bank.idle_ms = HOUR;
        let open_hold = hold(bank.act(anna, place(expires_at.plus_ms(HOUR))));
        Self {
            bank,
            operator,
            auditor,
            anna,
            ben,
            carl,
            dora,
            eve,
            expired,
            cash,
            annas,
            bens,
            fees,
            paid,
            open_hold,
            over_hold,
        }
    }
}

const OK: Option<Refusal> = None;
const NOT_ALLOWED: Option<Refusal> = Some(Refusal::NotAllowed);
const NO_RIGHT: Option<Refusal> = Some(Refusal::NoRight);
const NOT_SIGNED_IN: Option<Refusal> = Some(Refusal::NotSignedIn);

#[test]
fn who_may_do_what() {
    let street = Street::new();
    let Street { annas, bens, paid, open_hold, over_hold, anna, .. } = street;
    let anna_to_ben = leg(annas, bens, eur(100));
    let customer = CustomerId(5);
    let later = street.bank.now().plus_ms(HOUR);
    let opened_before = OpenAccount { opened_at: Some(Timestamp(0)), ..open() };
    let booked_before = Pay { booked_at: Some(street.bank.now()), ..payment(&[anna_to_ben]) };
    let sign_in = Body::Access(AccessCommand::SignIn {
        user: anna.user,
        token: TokenHash([9; 16]),
        expires_at: later,
        from: None,
    });
    let overdraft = Overdraft::Limited(100);
    let founded = Some(Refusal::AlreadyFounded);

    #[rustfmt::skip]
    let rows = [
        // what, Kassa itself, the operator, the auditor, Anna, Ben
        (found(), [founded, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Access(AccessCommand::AddCustomer { name: sealed("x") }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (add_user(99, Role::Operator, None), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (sign_in, [OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (set_password(anna.user), [OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Access(AccessCommand::SignInFailed { user: anna.user }), [OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Access(AccessCommand::SignOut { token: anna.session.unwrap() }), [OK, NOT_SIGNED_IN, NOT_SIGNED_IN, OK, NOT_SIGNED_IN]),
        (Body::Accounts(AccountCommand::OpenAccount(open())), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Accounts(AccountCommand::OpenAccount(opened_before)), [OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Access(AccessCommand::Grant { customer, account: annas, right: Right::Owner }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Access(AccessCommand::Revoke { customer: CustomerId(1), account: annas }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Accounts(AccountCommand::SetStatus { account: annas, status: Status::Frozen }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Accounts(AccountCommand::SetOverdraft { account: annas, overdraft }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (pay(&[anna_to_ben]), [OK, NOT_ALLOWED, NOT_ALLOWED, OK, NO_RIGHT]),
        (Body::Payments(PaymentCommand::Pay(booked_before)), [OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (deposit(annas, 100), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Payments(PaymentCommand::Withdraw { account: annas, amount: eur(100), text: None }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Payments(PaymentCommand::PayAll(vec![payment(&[anna_to_ben]); 2])), [OK, NOT_ALLOWED, NOT_ALLOWED, OK, NO_RIGHT]),
        (Body::Holds(HoldCommand::PlaceHold { leg: anna_to_ben, expires_at: later, text: None, metadata: None }), [OK, NOT_ALLOWED, NOT_ALLOWED, OK, NO_RIGHT]),
        (Body::Holds(HoldCommand::Capture { hold: open_hold, amount: eur(1), last: false }), [OK, OK, NOT_ALLOWED, NO_RIGHT, OK]),
        (Body::Holds(HoldCommand::Void { hold: open_hold }), [OK, OK, NOT_ALLOWED, NO_RIGHT, OK]),
        (Body::Holds(HoldCommand::Extend { hold: open_hold, expires_at: later.plus_ms(9 * HOUR) }), [OK, OK, NOT_ALLOWED, OK, NO_RIGHT]),
        (Body::Accounts(AccountCommand::Rename { account: annas, name: None }), [OK, OK, NOT_ALLOWED, OK, NO_RIGHT]),
        (Body::Holds(HoldCommand::Expire { hold: over_hold }), [OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::Payments(PaymentCommand::Refund { of: paid, leg: 0, amount: eur(1), text: None }), [OK, OK, NOT_ALLOWED, NO_RIGHT, OK]),
        (Body::Payments(PaymentCommand::Reverse { of: paid, text: None }), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (Body::System(SystemCommand::Unresolved(Refusal::NoRight)), [NO_RIGHT; 5]),
        (book(annas, street.fees, 1), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
        (set_time_zone(40_000, "Europe/Vienna"), [OK, OK, NOT_ALLOWED, NOT_ALLOWED, NOT_ALLOWED]),
    ];
    let seen: BTreeSet<usize> = rows.iter().map(|(body, _)| body_place(body)).collect();
    assert_eq!(seen, (0..BODIES).collect(), "a command has no row");

    let callers = [Caller::SYSTEM, street.operator, street.auditor, street.anna, street.ben];
    let strangers = [
        Caller { session: None, ..street.anna },
        Caller { session: Some(TokenHash([0xAB; 16])), ..street.anna },
        Caller { session: street.anna.session, ..street.ben },
        Caller { session: street.operator.session, ..Caller::SYSTEM },
        street.expired,
    ];
    for (body, expected) in rows {
        for (caller, expected) in callers.into_iter().zip(expected) {
            assert_eq!(street.bank.ask(caller, body.clone()).err(), expected, "{body:?} by {caller:?}");
        }
        for caller in strangers {
            assert_eq!(street.bank.ask(caller, body.clone()), Err(Refusal::NotSignedIn), "{body:?} by {caller:?}");
        }
    }
}

/// No wildcard: a new command must be given its row.
fn body_place(body: &Body) -> usize {
    match body {
        Body::System(SystemCommand::Found { .. }) => 0,
        Body::Access(AccessCommand::AddCustomer { .. }) => 1,
        Body::Access(AccessCommand::AddUser { .. }) => 2,
        Body::Access(AccessCommand::SignIn { .. }) => 3,
        Body::Access(AccessCommand::SignOut { .. }) => 4,
        Body::Access(AccessCommand::SignInFailed { .. }) => 5,
        Body::Accounts(AccountCommand::OpenAccount(_)) => 6,
        Body::Access(AccessCommand::Grant { .. }) => 7,
        Body::Access(AccessCommand::Revoke { .. }) => 8,
        Body::Accounts(AccountCommand::SetStatus { .. }) => 9,
        Body::Accounts(AccountCommand::SetOverdraft { .. }) => 10,
        Body::Payments(PaymentCommand::Pay(_)) => 11,
        Body::Payments(PaymentCommand::Deposit { .. }) => 12,
        Body::Payments(PaymentCommand::Withdraw { .. }) => 13,
        Body::Holds(HoldCommand::PlaceHold { .. }) => 14,
        Body::Holds(HoldCommand::Capture { .. }) => 15,
        Body::Holds(HoldCommand::Void { .. }) => 16,
        Body::Holds(HoldCommand::Expire { .. }) => 17,
        Body::Payments(PaymentCommand::Refund { .. }) => 18,
        Body::Payments(PaymentCommand::Reverse { .. }) => 19,
        Body::System(SystemCommand::Unresolved(_)) => 20,
        Body::Holds(HoldCommand::Extend { .. }) => 21,
        Body::Accounts(AccountCommand::Rename { .. }) => 22,
        Body::Payments(PaymentCommand::PayAll(_)) => 23,
        Body::Access(AccessCommand::SetPassword { .. }) => 24,
        Body::Payments(PaymentCommand::Book { .. }) => 25,
        Body::System(SystemCommand::SetTimeZone { .. }) => 26,
    }
}

const BODIES: usize = 27;

/// A refusal's place in the documented order of precedence. No wildcard: a new refusal must be given its rows.
fn refusal_place(refusal: Refusal) -> usize {
    match refusal {
        Refusal::NotSignedIn => 0,
        Refusal::NotAllowed => 1,
        Refusal::KeyReused => 2,
        Refusal::AlreadyFounded => 3,
        Refusal::NotFounded => 4,
        Refusal::UnknownCustomer => 5,
        Refusal::UnknownUser => 6,
        Refusal::UnknownPayment | Refusal::UnknownHold => 7,
        Refusal::NameTaken => 8,
        Refusal::RoleAndCustomerDisagree => 9,
        Refusal::NumberTaken => 10,
        Refusal::CashAccountTaken => 11,
        Refusal::NotACustomersAccount => 12,
        Refusal::OverdraftWithoutLimit => 13,
        Refusal::NoCashAccount | Refusal::HoldTooLong => 14,
        Refusal::NumbersExhausted => 15,
        Refusal::TooManyRights => 16,
        Refusal::NoRight => 17,
        Refusal::ReadOnlyRight => 18,
        Refusal::OwnersOnly => 19,
        Refusal::AboveSignatoryLimit { .. } => 20,
        Refusal::NotAPayee => 21,
        Refusal::BookedAhead => 22,
        Refusal::UnknownTimeZone => 23,
        Refusal::DayHasBegun => 24,
        Refusal::SameTimeZone => 25,
        Refusal::TooManyTimeZones => 26,
        Refusal::InvalidRequest => 27,
        Refusal::InvalidIban => 28,
        Refusal::OtherBank => 29,
        Refusal::InvalidAmount => 30,
        Refusal::AmountTooPrecise => 31,
        Refusal::UnknownCurrency => 32,
        Refusal::AmountIncomplete => 33,
        Refusal::LimitNeedsSignatory => 34,
        Refusal::PersonErased => 35,
        Refusal::InvalidLine => 36,
        Refusal::TooManyPayments => 37,
        Refusal::CurrencyNotInUse => 38,
        Refusal::BetweenCustomers => 39,
        Refusal::NotIncomeOrExpense => 40,
        Refusal::Ledger(_) => 41,
    }
}

/// Tests that no table can show: the engine says that a key was reused, from the fingerprint of the first event under it; numbers
/// are exhausted only after four billion of them; and `time_zones_follow_each_other` sets more zones than there may be.
const NOT_SHOWN: [Refusal; 3] = [Refusal::KeyReused, Refusal::NumbersExhausted, Refusal::TooManyTimeZones];

/// What is found out before there is a command.
const FOUND_BEFORE: [Refusal; 10] = [
    Refusal::InvalidRequest,
    Refusal::InvalidIban,
    Refusal::OtherBank,
    Refusal::InvalidAmount,
    Refusal::AmountTooPrecise,
    Refusal::UnknownCurrency,
    Refusal::AmountIncomplete,
    Refusal::LimitNeedsSignatory,
    Refusal::PersonErased,
    Refusal::InvalidLine,
];

#[test]
fn what_is_found_before_the_decision_is_remembered() {
    let mut street = Street::new();
    for (key, refusal) in (0..).zip(FOUND_BEFORE) {
        let body = Body::System(SystemCommand::Unresolved(refusal));
        let command =
            Command { origin: Origin::default(), caller: street.anna, request: Some(request(key)), body: body.clone() };
        let decision = street.bank.decide(&command);
        assert!(matches!(&decision, Decision::Refused(told, Some(_)) if *told == refusal), "{decision:?}");
        let first = street.bank.take(&decision).unwrap();
        assert_eq!(street.bank.decide(&command), Decision::Repeated(first));
        assert_eq!(street.bank.ask(street.expired, body), Err(Refusal::NotSignedIn));
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn every_refusal_in_its_order() {
    use Refusal as R;
    use ledger::Refusal as L;
    let mut street = Street::new();
    let suspense = street.bank.account(OpenAccount { overdraft: Overdraft::Unlimited, ..open() });
    let Street { operator, auditor, anna, ben, carl, dora, eve, .. } = street;
    let Street { cash, annas, bens, fees, paid, open_hold, .. } = street;
    let (limited, endless) = (Overdraft::Limited(0), Overdraft::Unlimited);
    let hers = |kind, overdraft, cash| {
        let (currency, owner) = (currency("JPY"), Some(CustomerId(1)));
        Body::Accounts(AccountCommand::OpenAccount(OpenAccount { kind, overdraft, cash, owner, currency, ..open() }))
    };
    let without_end =
        |account| Body::Accounts(AccountCommand::SetOverdraft { account, overdraft: Overdraft::Unlimited });
    let system = Caller::SYSTEM;
    let now = street.bank.now();
    let later = now.plus_ms(HOUR);
    let nobody = CustomerId(99);
    let (customer, account) = (CustomerId(5), annas);
    let token = TokenHash([9; 16]);
    let owned = |owner| Body::Accounts(AccountCommand::OpenAccount(OpenAccount { owner: Some(owner), ..open() }));
    let numbered = |number| Body::Accounts(AccountCommand::OpenAccount(OpenAccount { number: Some(number), ..open() }));
    let in_currency = |code, opened_at| {
        let currency = Currency::from_code(code).unwrap();
        Body::Accounts(AccountCommand::OpenAccount(OpenAccount { currency, opened_at, ..open() }))
    };
    let grant = |customer, account, limit_minor| {
        let right = Right::Signatory { limit_minor: Some(limit_minor) };
        Body::Access(AccessCommand::Grant { customer, account, right })
    };
    let hold_of = |minor, expires_at| {
        Body::Holds(HoldCommand::PlaceHold {
            leg: leg(annas, bens, eur(minor)),
            expires_at,
            text: None,
            metadata: None,
        })
    };
    let refund = |of, leg, minor| Body::Payments(PaymentCommand::Refund { of, leg, amount: eur(minor), text: None });
    let capture = |minor| Body::Holds(HoldCommand::Capture { hold: open_hold, amount: eur(minor), last: false });
    let paying = |debit, credit, minor| pay(&[leg(debit, credit, eur(minor))]);
    let above = R::AboveSignatoryLimit { limit: eur(10_000) };
    let yen_desk = |account| Body::Payments(PaymentCommand::Deposit { account, amount: yen(1), text: None });
    let second_cash = OpenAccount { number: Some(99_999_999_999), ..open_cash("EUR") };
    let cash_liability = OpenAccount { kind: Kind::Liability, ..open_cash("JPY") };
    let imported = Pay { booked_at: Some(Timestamp(0)), ..payment(&[leg(annas, bens, eur(1))]) };
    let ahead = Pay { booked_at: Some(later), ..payment(&[leg(annas, bens, eur(0))]) };
    let valued = Pay { value_date: Some(now.day()), ..payment(&[leg(annas, bens, eur(1))]) };
    let purposed = Pay { purpose: Purpose::Deposit, ..payment(&[leg(annas, bens, eur(1))]) };
    let annas_funds = 100_000 - 5_000 - 3_000 - 3_000;
    let poor = R::Ledger(L::InsufficientFunds { available: eur(annas_funds) });

    let rows: &[(Caller, Body, Refusal, &[Refusal])] = &[
        (Caller { session: None, ..eve }, found(), R::NotSignedIn, &[R::NotAllowed, R::AlreadyFounded]),
        (
            system,
            Body::Access(AccessCommand::SignIn { user: anna.user, token, expires_at: now, from: None }),
            R::NotSignedIn,
            &[],
        ),
        (
            system,
            Body::Access(AccessCommand::SignIn {
                user: anna.user,
                token: ben.session.unwrap(),
                expires_at: later,
                from: None,
            }),
            R::NotSignedIn,
            &[],
        ),
        (eve, Body::Access(AccessCommand::SignOut { token }), R::NotSignedIn, &[]),
        (auditor, found(), R::NotAllowed, &[R::AlreadyFounded]),
        (system, found_in(Some("Mars/Olympus")), R::AlreadyFounded, &[R::UnknownTimeZone]),
        (auditor, set_time_zone(0, "Mars/Olympus"), R::NotAllowed, &[R::UnknownTimeZone, R::DayHasBegun]),
        (operator, set_time_zone(0, "Mars/Olympus"), R::UnknownTimeZone, &[R::DayHasBegun]),
        (operator, set_time_zone(now.day().0, "UTC"), R::DayHasBegun, &[R::SameTimeZone]),
        (operator, set_time_zone(now.day().0, "Etc/GMT+12"), R::DayHasBegun, &[]),
        (operator, set_time_zone(40_000, "UTC"), R::SameTimeZone, &[]),
        (anna, owned(nobody), R::NotAllowed, &[R::UnknownCustomer]),
        (operator, Body::Access(AccessCommand::SignInFailed { user: UserId(99) }), R::NotAllowed, &[R::UnknownUser]),
        (operator, set_password(UserId(99)), R::NotAllowed, &[R::UnknownUser]),
        (
            eve,
            Body::Payments(PaymentCommand::Reverse { of: posting(9_999), text: None }),
            R::NotAllowed,
            &[R::UnknownPayment],
        ),
        (anna, Body::Payments(PaymentCommand::Pay(imported)), R::NotAllowed, &[]),
        (anna, Body::Payments(PaymentCommand::Pay(valued)), R::NotAllowed, &[]),
        (anna, Body::Payments(PaymentCommand::Pay(purposed)), R::NotAllowed, &[]),
        (operator, paying(UNKNOWN, bens, 1), R::NotAllowed, &[R::Ledger(L::UnknownAccount)]),
        (auditor, pay(&[]), R::NotAllowed, &[R::Ledger(L::NoLegs)]),
        (system, Body::Payments(PaymentCommand::Pay(ahead)), R::BookedAhead, &[R::Ledger(L::AmountNotPositive)]),
        (system, found(), R::AlreadyFounded, &[]),
        (operator, owned(nobody), R::UnknownCustomer, &[]),
        (operator, add_user(1, Role::Customer, Some(nobody)), R::UnknownCustomer, &[R::NameTaken]),
        (operator, grant(nobody, UNKNOWN, 0), R::UnknownCustomer, &[R::Ledger(L::UnknownAccount)]),
        (
            operator,
            Body::Access(AccessCommand::Revoke { customer: nobody, account }),
            R::UnknownCustomer,
            &[R::NoRight],
        ),
        (
            system,
            Body::Access(AccessCommand::SignIn { user: UserId(99), token, expires_at: later, from: None }),
            R::UnknownUser,
            &[],
        ),
        (
            system,
            Body::Access(AccessCommand::SignIn { user: UserId(0), token, expires_at: later, from: None }),
            R::UnknownUser,
            &[],
        ),
        (system, Body::Access(AccessCommand::SignInFailed { user: UserId(99) }), R::UnknownUser, &[]),
        (system, set_password(UserId(99)), R::UnknownUser, &[]),
        (system, set_password(UserId::SYSTEM), R::UnknownUser, &[]),
        (operator, Body::Payments(PaymentCommand::Reverse { of: posting(9_999), text: None }), R::UnknownPayment, &[]),
        (operator, Body::Payments(PaymentCommand::Reverse { of: posting(1), text: None }), R::UnknownPayment, &[]),
        (eve, refund(posting(9_999), 7, 0), R::UnknownPayment, &[R::NoRight, R::Ledger(L::NoSuchLeg)]),
        (operator, add_user(1, Role::Operator, None), R::NameTaken, &[]),
        (operator, add_user(1, Role::Customer, None), R::NameTaken, &[R::RoleAndCustomerDisagree]),
        (operator, add_user(99, Role::Customer, None), R::RoleAndCustomerDisagree, &[]),
        (operator, add_user(99, Role::Operator, Some(customer)), R::RoleAndCustomerDisagree, &[]),
        (operator, add_user(99, Role::Auditor, Some(customer)), R::RoleAndCustomerDisagree, &[]),
        (operator, in_currency("HRK", None), R::CurrencyNotInUse, &[]),
        (operator, in_currency("CHE", None), R::CurrencyNotInUse, &[]),
        (operator, numbered(0), R::NumberTaken, &[]),
        (operator, numbered(99_999_999_999), R::NumberTaken, &[]),
        (operator, numbered(100_000_000_000), R::NumberTaken, &[]),
        (operator, Body::Accounts(AccountCommand::OpenAccount(second_cash)), R::NumberTaken, &[R::CashAccountTaken]),
        (operator, Body::Accounts(AccountCommand::OpenAccount(open_cash("EUR"))), R::CashAccountTaken, &[]),
        (operator, Body::Accounts(AccountCommand::OpenAccount(cash_liability)), R::CashAccountTaken, &[]),
        (operator, hers(Kind::Income, limited, false), R::NotACustomersAccount, &[]),
        (operator, hers(Kind::Expense, endless, false), R::NotACustomersAccount, &[R::OverdraftWithoutLimit]),
        (operator, hers(Kind::Equity, limited, false), R::NotACustomersAccount, &[]),
        (operator, hers(Kind::Asset, limited, true), R::NotACustomersAccount, &[]),
        (operator, hers(Kind::Liability, endless, false), R::OverdraftWithoutLimit, &[]),
        (operator, hers(Kind::Asset, endless, false), R::OverdraftWithoutLimit, &[]),
        (operator, grant(customer, cash, 1), R::NotACustomersAccount, &[R::OverdraftWithoutLimit]),
        (operator, grant(customer, fees, 0), R::NotACustomersAccount, &[R::Ledger(L::AmountNotPositive)]),
        (
            operator,
            Body::Access(AccessCommand::Grant { customer, account: cash, right: Right::Owner }),
            R::NotACustomersAccount,
            &[],
        ),
        (operator, grant(customer, suspense, 1), R::OverdraftWithoutLimit, &[]),
        (operator, without_end(annas), R::OverdraftWithoutLimit, &[]),
        (operator, without_end(UNKNOWN), R::Ledger(L::UnknownAccount), &[]),
        (operator, yen_desk(annas), R::NoCashAccount, &[R::Ledger(L::CurrencyMismatch)]),
        (eve, paying(annas, bens, 1), R::NoRight, &[]),
        (eve, paying(annas, cash, 0), R::NoRight, &[R::NotAPayee, R::Ledger(L::AmountNotPositive)]),
        (ben, hold_of(1, later), R::NoRight, &[]),
        (anna, capture(1), R::NoRight, &[]),
        (anna, Body::Holds(HoldCommand::Void { hold: open_hold }), R::NoRight, &[]),
        (anna, refund(paid, 0, 1), R::NoRight, &[]),
        (operator, Body::Access(AccessCommand::Revoke { customer, account }), R::NoRight, &[]),
        (carl, paying(annas, cash, 1), R::ReadOnlyRight, &[R::NotAPayee]),
        (carl, hold_of(1, now), R::ReadOnlyRight, &[R::Ledger(L::HoldExpired)]),
        (carl, Body::Accounts(AccountCommand::Rename { account, name: None }), R::OwnersOnly, &[]),
        (dora, Body::Accounts(AccountCommand::Rename { account, name: None }), R::OwnersOnly, &[]),
        (eve, Body::Accounts(AccountCommand::Rename { account, name: None }), R::NoRight, &[R::OwnersOnly]),
        (
            eve,
            Body::Holds(HoldCommand::Extend { hold: open_hold, expires_at: now }),
            R::NoRight,
            &[R::Ledger(L::HoldNotLonger)],
        ),
        (carl, Body::Holds(HoldCommand::Extend { hold: open_hold, expires_at: later }), R::ReadOnlyRight, &[]),
        (anna, Body::Holds(HoldCommand::Extend { hold: open_hold, expires_at: now }), R::Ledger(L::HoldNotLonger), &[]),
        (
            operator,
            Body::Holds(HoldCommand::Extend { hold: hold(9_999), expires_at: now }),
            R::Ledger(L::HoldNotOpen),
            &[],
        ),
        (
            anna,
            Body::Accounts(AccountCommand::Rename { account: UNKNOWN, name: None }),
            R::Ledger(L::UnknownAccount),
            &[],
        ),
        (dora, paying(annas, bens, 10_001), above, &[]),
        (dora, paying(annas, cash, 10_001), above, &[R::NotAPayee]),
        (dora, hold_of(10_001, now), above, &[R::Ledger(L::HoldExpired)]),
        (anna, paying(annas, cash, 1), R::NotAPayee, &[]),
        (anna, paying(annas, cash, 0), R::NotAPayee, &[R::Ledger(L::AmountNotPositive)]),
        (anna, paying(annas, annas, 1), R::Ledger(L::SameAccount), &[]),
        (anna, pay(&[]), R::Ledger(L::NoLegs), &[]),
        (anna, pay(&vec![leg(annas, bens, eur(1)); ledger::MAX_LEGS + 1]), R::Ledger(L::TooManyLegs), &[]),
        (anna, paying(annas, bens, annas_funds + 1), poor, &[]),
        (anna, hold_of(annas_funds + 1, later), poor, &[]),
        (anna, hold_of(1, now), R::Ledger(L::HoldExpired), &[]),
        (ben, capture(3_001), R::Ledger(L::CaptureExceedsHold { remaining: eur(3_000) }), &[]),
        (ben, refund(paid, 0, 5_001), R::Ledger(L::RefundExceedsPayment { remaining: eur(5_000) }), &[]),
        (ben, refund(paid, 1, 1), R::Ledger(L::NoSuchLeg), &[]),
        (system, Body::Holds(HoldCommand::Expire { hold: open_hold }), R::Ledger(L::HoldNotExpired), &[]),
        (system, Body::Holds(HoldCommand::Void { hold: hold(9_999) }), R::Ledger(L::HoldNotOpen), &[]),
        (operator, deposit(UNKNOWN, 1), R::Ledger(L::UnknownAccount), &[]),
        (operator, deposit(cash, 1), R::Ledger(L::SameAccount), &[]),
        (operator, grant(customer, UNKNOWN, 1), R::Ledger(L::UnknownAccount), &[]),
        (operator, grant(customer, account, 0), R::Ledger(L::AmountNotPositive), &[]),
        (operator, grant(customer, account, -1), R::Ledger(L::AmountNotPositive), &[]),
        (
            operator,
            Body::Accounts(AccountCommand::SetStatus { account, status: Status::Closed }),
            R::Ledger(L::AccountNotEmpty),
            &[],
        ),
        (operator, book(annas, bens, 1), R::BetweenCustomers, &[]),
        (
            system,
            book(annas, annas, 0),
            R::BetweenCustomers,
            &[R::Ledger(L::SameAccount), R::Ledger(L::AmountNotPositive)],
        ),
        (operator, book(annas, cash, 1), R::NotIncomeOrExpense, &[]),
        (operator, book(cash, annas, 0), R::NotIncomeOrExpense, &[R::Ledger(L::AmountNotPositive)]),
        (operator, book(annas, fees, annas_funds + 1), poor, &[]),
        (operator, book(fees, fees, 1), R::Ledger(L::SameAccount), &[]),
        (operator, book(UNKNOWN, annas, 1), R::Ledger(L::UnknownAccount), &[]),
        (anna, book(UNKNOWN, annas, 1), R::NotAllowed, &[R::Ledger(L::UnknownAccount)]),
        // What is named is looked up before anybody's right on it.
        (eve, paying(UNKNOWN, bens, 1), R::Ledger(L::UnknownAccount), &[]),
        (
            eve,
            Body::Holds(HoldCommand::Capture { hold: hold(9_999), amount: eur(1), last: true }),
            R::Ledger(L::HoldNotOpen),
            &[],
        ),
        (operator, yen_desk(UNKNOWN), R::Ledger(L::UnknownAccount), &[]),
    ];
    for (caller, body, given, hidden) in rows {
        assert_eq!(street.bank.ask(*caller, body.clone()), Err(*given), "{body:?} by {caller:?}");
        for later in *hidden {
            assert!(refusal_place(*given) < refusal_place(*later), "{given:?} does not come before {later:?}");
        }
    }
    assert_eq!(street.bank.ask(anna, paying(annas, fees, 1)), Ok(()), "services can be paid for");
    assert_eq!(
        street.bank.ask(system, in_currency("HRK", Some(Timestamp(0)))),
        Ok(()),
        "history is imported as it was"
    );
    let as_many_as_may_be = vec![leg(annas, bens, eur(1)); ledger::MAX_LEGS];
    assert_eq!(street.bank.ask(anna, pay(&as_many_as_may_be)), Ok(()));

    let elsewhere = [R::NotFounded, R::TooManyRights, R::TooManyPayments];
    let shown = rows.iter().map(|(_, _, given, _)| *given).chain(elsewhere).chain(FOUND_BEFORE).chain(NOT_SHOWN);
    assert_eq!(shown.map(refusal_place).collect::<BTreeSet<_>>(), (0..=41).collect(), "a refusal has no row");
}

// ---- The frame around all subjects ----

/// An event says where its command came from, and in which session. What nobody knew takes no byte.
#[test]
fn an_event_says_where_it_came_from() {
    let mut street = Street::new();
    let body = pay(&[leg(street.annas, street.bens, eur(1))]);
    for origin in origins(street.operator.user) {
        let command = Command { caller: street.anna, origin, request: Some(request(7)), body: body.clone() };
        let Decision::Accepted(events) = street.bank.decide(&command) else { panic!("{origin:?}") };
        let session = street.anna.session.map(SessionTag::from);
        assert_eq!(events[0].origin, Some(Origin { session, ..origin }));
        let first = street.anna.session.unwrap().0[0];
        assert_eq!(session.map(|tag| tag.0.get()), Some(u32::from_be_bytes([first; 4])));
    }
    // Refusals too, under a key.
    let unknown = pay(&[leg(street.annas, AccountId(99), eur(1))]);
    let origin = Origin::of(Channel::Import);
    let command = Command { caller: Caller::SYSTEM, origin, request: Some(request(8)), body: unknown };
    let Decision::Refused(_, Some(event)) = street.bank.decide(&command) else { panic!("it was to be refused") };
    assert_eq!(event.origin, Some(origin));
    assert_eq!(std::mem::size_of::<Option<Origin>>(), 24, "it goes with every command and event");
    // It decides nothing, and two that differ in it alone are one request.
    let unknown_way = Origin { address: Some(AddressClass::New), ..Origin::default() };
    let system = Command { origin: unknown_way, request: None, body, ..command };
    let number = street.bank.take(&street.bank.decide(&system)).unwrap();
    let kept = &street.bank.journal[usize::try_from(number - 1).unwrap()];
    assert_eq!(kept.origin, None);
    let mut bytes = Vec::new();
    kept.encode_to(&mut bytes);
    assert_eq!(bytes[0], 0x82, "an array of two: by whom, and what");
}

/// Whatever falls due is due in the order of its time, and no more once it is done, moved or used up; also in a state that
/// was restored.
#[test]
fn what_falls_due_is_due_in_order() {
    let mut street = Street::new();
    let Street { annas, bens, anna, .. } = street;
    let bank = &mut street.bank;
    let place = |bank: &mut Bank, ms| {
        let (leg, expires_at) = (leg(annas, bens, eur(5)), Timestamp(START + HOUR * 1_000 + ms));
        hold(bank.act(anna, Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text: None, metadata: None })))
    };
    while let Some(due) = bank.state.first_due(Timestamp(i64::MAX)) {
        let Due::Hold(hold) = due;
        bank.system(Body::Holds(HoldCommand::Void { hold }));
    }
    let [late, early, moved, also_early, void, used, partly] =
        [900, 800, 700, 800, 100, 200, 950].map(|ms| place(bank, ms));
    let end = |ms| Timestamp(START + HOUR * 1_000 + ms);
    bank.act(anna, Body::Holds(HoldCommand::Extend { hold: moved, expires_at: end(1_000) }));
    bank.system(Body::Holds(HoldCommand::Void { hold: void }));
    bank.system(Body::Holds(HoldCommand::Capture { hold: used, amount: eur(5), last: false }));
    bank.system(Body::Holds(HoldCommand::Capture { hold: partly, amount: eur(2), last: false }));
    assert_eq!(bank.state.first_due(end(799)), None);
    assert_eq!(bank.state.first_due(end(800)), Some(Due::Hold(early)));
    let mut again = restored(&bank.state);
    bank.idle_ms = HOUR * 2_000;
    for expected in [early, also_early, late, partly, moved] {
        assert_eq!(again.first_due(end(1_000)), Some(Due::Hold(expected)));
        let due = bank.state.first_due(end(1_000)).unwrap();
        assert_eq!(due, Due::Hold(expected));
        let number = bank.take(&bank.decide(&due.command())).unwrap();
        again.apply(number, bank.now(), &bank.journal[usize::try_from(number - 1).unwrap()]);
    }
    assert_eq!((bank.state.first_due(Timestamp(i64::MAX)), again.first_due(Timestamp(i64::MAX))), (None, None));
}

/// Of all actions, auditors do nothing, and customers nothing without a right; each sees what the table says.
#[test]
fn the_table_of_permissions_is_what_it_says() {
    let street = Street::new();
    let state = &street.bank.state;
    let (anna, ben) = (Standing::Customer(CustomerId(1)), Standing::Customer(CustomerId(2)));
    let seeing = [Action::SeeAccount, Action::SeeRights, Action::SeeCustomer, Action::SeeAll];
    let all_of_annas =
        [Scope::Bank, Scope::Customer(CustomerId(1)), Scope::Account(street.annas), Scope::Money(street.annas, eur(1))];
    for action in Action::ALL {
        let is_seeing = seeing.contains(action);
        for about in all_of_annas {
            assert_eq!(Standing::System.may(state, *action, about), Ok(()), "{action:?}");
            assert_eq!(Standing::Auditor.may(state, *action, about).is_ok(), is_seeing, "{action:?}");
            assert!(ben.may(state, *action, about).is_err(), "{action:?} {about:?}: Ben has no right on it");
        }
        assert_eq!(anna.may_ever(*action).is_err(), action.asks_of(anna) == Grant::No, "{action:?}");
        let may = all_of_annas.iter().any(|about| anna.may(state, *action, *about).is_ok());
        assert_eq!(may, anna.may_ever(*action).is_ok(), "{action:?}: Anna is the owner");
        assert!(anna.may(state, *action, Scope::Bank).is_err(), "{action:?}: what it is about was not said");
    }
}

/// Who is concerned by each event of the story.
#[test]
fn every_event_has_its_audience() {
    let story = story();
    let mut kinds = BTreeSet::new();
    for event in &story.journal {
        let audience = event.what.audience();
        kinds.insert(match &audience {
            Audience::Accounts(accounts) => {
                assert!(!accounts.is_empty());
                assert!(accounts.iter().all(|account| story.state.ledger().account(*account).is_some()));
                if let What::Payments(PaymentEvent::Posted { posting, .. }) = &event.what {
                    let distinct: BTreeSet<_> =
                        posting.legs().iter().flat_map(|it| [it.leg.debit, it.leg.credit]).collect();
                    assert_eq!(accounts.iter().copied().collect::<BTreeSet<_>>(), distinct);
                    assert_eq!(accounts.len(), distinct.len(), "each once");
                    assert_eq!(accounts[0], posting.legs()[0].leg.debit, "who pays comes first");
                }
                "accounts"
            }
            Audience::OfHold(hold) => {
                let placed = &story.journal[usize::try_from(hold.event() - 1).unwrap()].what;
                assert!(matches!(placed, What::Holds(HoldEvent::HoldPlaced { .. })));
                "hold"
            }
            Audience::Holder(account, customer) => {
                assert!(story.state.account_info(*account).is_some() && story.state.customer(*customer).is_some());
                "holder"
            }
            Audience::Watchers => "watchers",
            Audience::User(user) => {
                assert!(story.state.user(*user).is_some());
                "user"
            }
            Audience::Nobody => "nobody",
        });
    }
    assert_eq!(kinds.len(), 6);
}

#[test]
fn nothing_before_the_founding() {
    let bank = Bank::default();
    for body in [
        Body::Accounts(AccountCommand::OpenAccount(open())),
        Body::Access(AccessCommand::AddCustomer { name: sealed("x") }),
        add_user(1, Role::Operator, None),
        Body::Access(AccessCommand::SignIn {
            user: UserId(1),
            token: TokenHash([1; 16]),
            expires_at: at(100),
            from: None,
        }),
        deposit(UNKNOWN, 1),
    ] {
        assert_eq!(bank.ask(Caller::SYSTEM, body), Err(Refusal::NotFounded));
    }
    assert_eq!(bank.ask(Caller::SYSTEM, found()), Ok(()));
}

#[test]
fn an_account_has_so_many_rights_and_no_more() {
    let Street { mut bank, annas, .. } = Street::new();
    // Anna, Carl and Dora have theirs already.
    let customers: Vec<CustomerId> = (3..=MAX_RIGHTS_PER_ACCOUNT).map(|_| bank.add_customer()).collect();
    let grant = |customer, limit_minor| {
        let right = Right::Signatory { limit_minor: Some(limit_minor) };
        Body::Access(AccessCommand::Grant { customer, account: annas, right })
    };
    let (last, others) = customers.split_last().unwrap();
    for customer in others {
        bank.system(grant(*customer, 1));
    }
    assert_eq!(bank.ask(Caller::SYSTEM, grant(*last, 0)), Err(Refusal::TooManyRights), "before the ledger's reasons");
    bank.system(grant(others[0], 2));
    bank.system(Body::Access(AccessCommand::Revoke { customer: others[0], account: annas }));
    bank.system(grant(*last, 1));
}

#[test]
fn a_customer_has_so_many_accounts_and_no_more() {
    let mut bank = Bank::default();
    bank.system(found());
    let customer = bank.add_customer();
    let owned = OpenAccount { owner: Some(customer), ..open() };
    for _ in 0..MAX_ACCOUNTS_PER_CUSTOMER {
        bank.account(owned.clone());
    }
    let ask = |open| bank.ask(Caller::SYSTEM, Body::Accounts(AccountCommand::OpenAccount(open)));
    assert_eq!(ask(owned.clone()), Err(Refusal::TooManyRights));
    assert_eq!(ask(OpenAccount { number: Some(1), ..owned }), Err(Refusal::NumberTaken), "in the documented order");
    assert_eq!(ask(open()), Ok(()));
}

#[test]
fn a_signatory_limit_holds_for_the_whole_payment() {
    let Street { mut bank, dora, cash, annas, bens, fees, .. } = Street::new();
    let doras = bank.account(OpenAccount { owner: Some(CustomerId(4)), ..open() });
    bank.system(deposit(doras, 50_000));
    let above = Some(Refusal::AboveSignatoryLimit { limit: eur(10_000) });
    let parts = |parts: &[(AccountId, i64)]| {
        pay(&parts.iter().map(|(debit, minor)| leg(*debit, bens, eur(*minor))).collect::<Vec<_>>())
    };
    for (body, expected) in [
        (parts(&[(annas, 10_000)]), None),
        (parts(&[(annas, 10_001)]), above),
        (parts(&[(annas, 6_000), (annas, 4_000)]), None),
        (parts(&[(annas, 6_000), (annas, 4_001)]), above),
        (parts(&[(annas, 6_000), (doras, 9_000), (annas, 4_001)]), above),
        (parts(&[(annas, 6_000), (doras, 9_000)]), None),
        (parts(&[(annas, 10_001), (annas, -1)]), Some(ledger::Refusal::AmountNotPositive.into())),
        (parts(&[(annas, i64::MAX), (annas, i64::MAX)]), above),
        (pay(&[leg(annas, bens, eur(9_999)), leg(annas, fees, eur(2))]), above),
        // Money that came in on the way doesn't raise it.
        (pay(&[leg(doras, annas, eur(5_000)), leg(annas, bens, eur(10_001))]), above),
    ] {
        assert_eq!(bank.ask(dora, body.clone()).err(), expected, "{body:?}");
    }
    assert_eq!(bank.ask(dora, pay(&[leg(annas, cash, eur(1))])), Err(Refusal::NotAPayee));
    // It is a limit of one payment, not of a day.
    bank.act(dora, parts(&[(annas, 10_000)]));
    bank.act(dora, parts(&[(annas, 10_000)]));
}

// ---- Loans, and accounts of a time that knew no limit ----

#[test]
fn a_loan_is_drawn_to_its_limit_and_paid_back() {
    let Street { mut bank, operator, anna, ben, cash, annas, bens, .. } = Street::new();
    let lent = OpenAccount { kind: Kind::Asset, overdraft: Overdraft::Limited(10_000), ..open() };
    let loan = bank.account(OpenAccount { owner: Some(CustomerId(1)), ..lent.clone() });
    let own = bank.account(lent);
    let poor = |minor| Err(ledger::Refusal::InsufficientFunds { available: eur(minor) }.into());
    let paying = |debit, credit, minor| pay(&[leg(debit, credit, eur(minor))]);
    assert_eq!(bank.ask(anna, paying(loan, annas, 10_001)), poor(0));
    bank.act(anna, paying(loan, bens, 10_000));
    assert_eq!(bank.ask(anna, paying(loan, annas, 1)), poor(-10_000));
    assert_eq!(bank.state.ledger().account(loan).unwrap().posted_minor, -10_000);
    // Whoever wants to pays it back; the bank's own assets and its cash are no payees.
    bank.act(anna, paying(annas, loan, 4_000));
    bank.act(ben, paying(bens, loan, 1_000));
    assert_eq!(bank.ask(anna, paying(annas, own, 1)), Err(Refusal::NotAPayee));
    assert_eq!(bank.ask(anna, paying(annas, cash, 1)), Err(Refusal::NotAPayee));
    // What is drawn can't be taken from under it; more can be lent, to an end.
    let set = |overdraft| Body::Accounts(AccountCommand::SetOverdraft { account: loan, overdraft });
    assert_eq!(bank.ask(operator, set(Overdraft::Limited(4_999))), Err(ledger::Refusal::OverdraftInUse.into()));
    assert_eq!(bank.ask(operator, set(Overdraft::Unlimited)), Err(Refusal::OverdraftWithoutLimit));
    bank.act(operator, set(Overdraft::Limited(5_000)));
    // A loan without its customer is the bank's own again.
    bank.act(operator, Body::Access(AccessCommand::Revoke { customer: CustomerId(1), account: loan }));
    assert_eq!(bank.ask(anna, paying(annas, loan, 1)), Err(Refusal::NotAPayee));
    assert_eq!(bank.ask(operator, set(Overdraft::Unlimited)), Ok(()));
}

/// The events are those of a journal of before there were these rules.
#[test]
fn a_customers_account_without_its_limit_goes_to_zero() {
    let Street { mut bank, operator, anna, ben, cash, annas, bens, fees, .. } = Street::new();
    let system = Caller::SYSTEM;
    let old = bank.state.ledger().next_account();
    let what = What::Accounts(AccountEvent::AccountOpened {
        id: old,
        number: 4_711,
        currency: currency("EUR"),
        kind: Kind::Asset,
        overdraft: Overdraft::Unlimited,
        opened_at: bank.now(),
        name: None,
        owner: Some(CustomerId(1)),
        cash: false,
    });
    bank.keep(&Event { by: UserId::SYSTEM, what, request: None, origin: None });
    for account in [fees, cash] {
        let what = What::Access(AccessEvent::RightGranted { customer: CustomerId(1), account, right: Right::Owner });
        bank.keep(&Event { by: UserId::SYSTEM, what, request: None, origin: None });
    }
    let poor = |minor| Err(ledger::Refusal::InsufficientFunds { available: eur(minor) }.into());
    let paying = |debit, credit, minor| pay(&[leg(debit, credit, eur(minor))]);
    let expires_at = bank.now().plus_ms(HOUR);
    let hold_of = |minor| {
        Body::Holds(HoldCommand::PlaceHold { leg: leg(old, bens, eur(minor)), expires_at, text: None, metadata: None })
    };
    let withdraw = |minor| Body::Payments(PaymentCommand::Withdraw { account: old, amount: eur(minor), text: None });

    // From zero, a million.
    assert_eq!(bank.ask(anna, paying(old, annas, 100_000_000)), poor(0));
    assert_eq!(bank.ask(anna, hold_of(1)), poor(0));
    assert_eq!(bank.ask(system, paying(old, annas, 1)), poor(0));
    bank.act(operator, deposit(old, 100));
    let received = posting(bank.act(ben, paying(bens, old, 50)));
    let (there, back) = (leg(old, annas, eur(100)), leg(annas, old, eur(40)));
    for (caller, body, available) in [
        (anna, paying(old, annas, 151), 150),
        (anna, pay(&[there, back, leg(old, bens, eur(91))]), 90),
        (
            anna,
            Body::Payments(PaymentCommand::PayAll(vec![payment(&[there]), payment(&[leg(old, bens, eur(51))])])),
            50,
        ),
        (anna, hold_of(151), 150),
        (operator, withdraw(151), 150),
        (
            operator,
            Body::Payments(PaymentCommand::Book { leg: leg(old, fees, eur(151)), reason: sealed("fee").into() }),
            150,
        ),
    ] {
        assert_eq!(bank.ask(caller, body.clone()), poor(available), "{body:?}");
    }
    assert_eq!(bank.ask(anna, pay(&[there, back, leg(old, bens, eur(90))])), Ok(()));
    let reserved = hold(bank.act(anna, hold_of(100)));
    assert_eq!(bank.ask(anna, paying(old, annas, 51)), poor(50), "what is held is not there");
    let refund = Body::Payments(PaymentCommand::Refund { of: received, leg: 0, amount: eur(50), text: None });
    assert_eq!(bank.ask(anna, refund.clone()), Ok(()));
    bank.act(anna, paying(old, annas, 50));
    assert_eq!(bank.ask(anna, refund), poor(0));
    assert_eq!(bank.ask(operator, Body::Payments(PaymentCommand::Reverse { of: received, text: None })), poor(0));
    assert_eq!(
        bank.ask(ben, Body::Holds(HoldCommand::Capture { hold: reserved, amount: eur(100), last: true })),
        Ok(())
    );

    // A hold of that time is captured once the bank has said how much it lends.
    let placed = ledger::Hold { debit: old, credit: bens, amount: eur(500), remaining_minor: 500, expires_at };
    let what = What::Holds(HoldEvent::HoldPlaced { hold: placed, text: None, metadata: None, copies: None });
    let before = hold(bank.keep(&Event { by: anna.user, what, request: None, origin: None }));
    let capture = Body::Holds(HoldCommand::Capture { hold: before, amount: eur(500), last: true });
    for caller in [ben, operator] {
        assert_eq!(bank.ask(caller, capture.clone()), poor(-500));
    }
    assert_eq!(bank.ask(ben, Body::Holds(HoldCommand::Void { hold: before })), Ok(()));
    bank.act(
        operator,
        Body::Accounts(AccountCommand::SetOverdraft { account: old, overdraft: Overdraft::Limited(500) }),
    );
    bank.act(ben, capture);

    // The bank's own accounts are nobody's, whatever was granted.
    for account in [fees, cash] {
        assert_eq!(bank.ask(anna, paying(account, annas, 1)), Err(Refusal::NotACustomersAccount));
        let leg = leg(account, annas, eur(1));
        let hold = Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text: None, metadata: None });
        assert_eq!(bank.ask(anna, hold), Err(Refusal::NotACustomersAccount));
    }
    assert_eq!(bank.ask(anna, paying(annas, cash, 1)), Err(Refusal::NotAPayee));
    let placed = ledger::Hold { debit: cash, credit: bens, amount: eur(5), remaining_minor: 5, expires_at };
    let what = What::Holds(HoldEvent::HoldPlaced { hold: placed, text: None, metadata: None, copies: None });
    let of_that_time = self::hold(bank.keep(&Event { by: anna.user, what, request: None, origin: None }));
    let capture = Body::Holds(HoldCommand::Capture { hold: of_that_time, amount: eur(5), last: true });
    assert_eq!(bank.ask(ben, capture), Err(Refusal::NotACustomersAccount));
    let revoke = Body::Access(AccessCommand::Revoke { customer: CustomerId(1), account: cash });
    assert_eq!(bank.ask(operator, revoke), Ok(()), "and can be taken back");
}

/// A capture brings money in, and a void lets it go: neither is a payment that a limit of the payee's side could bound.
#[test]
fn a_signatory_limit_does_not_bound_what_comes_in() {
    let Street { mut bank, dora, bens, open_hold, .. } = Street::new();
    let right = Right::Signatory { limit_minor: Some(1) };
    bank.system(Body::Access(AccessCommand::Grant { customer: CustomerId(4), account: bens, right }));
    let capture = Body::Holds(HoldCommand::Capture { hold: open_hold, amount: eur(2), last: false });
    for body in [capture, Body::Holds(HoldCommand::Void { hold: open_hold })] {
        assert_eq!(bank.ask(dora, body), Ok(()));
    }
}

/// All or none: each payment sees what those before it do, is numbered and chained as if it came alone, and where one
/// is refused, none is made and its place is told.
#[test]
fn payments_all_or_none() {
    use Refusal as R;
    use ledger::Refusal as L;
    let Street { mut bank, anna, ben, dora, cash, annas, bens, .. } = Street::new();
    let annas_funds = bank.state.ledger().account(annas).unwrap().available_minor();
    let bens_funds = bank.state.ledger().account(bens).unwrap().available_minor();
    let one = |debit, credit, minor| payment(&[leg(debit, credit, eur(minor))]);
    let keyed = |caller, key, payments| Command {
        origin: Origin::default(),
        caller,
        request: Some(request(key)),
        body: Body::Payments(PaymentCommand::PayAll(payments)),
    };
    let everything = one(annas, bens, annas_funds);
    let back = one(bens, annas, bens_funds + annas_funds);
    for (key, caller, payments, expected, place) in [
        (1, anna, vec![], R::Ledger(L::NoLegs), None),
        (2, anna, vec![one(annas, bens, 1); MAX_PAYMENTS_AT_ONCE + 1], R::TooManyPayments, None),
        (
            3,
            anna,
            vec![everything.clone(), one(annas, bens, 1)],
            R::Ledger(L::InsufficientFunds { available: eur(0) }),
            Some(1),
        ),
        (4, anna, vec![one(annas, bens, 1), one(annas, cash, 1)], R::NotAPayee, Some(1)),
        (5, anna, vec![one(annas, bens, 1), one(annas, bens, 1), back.clone()], R::NoRight, Some(2)),
        (6, anna, vec![one(annas, bens, 1), one(annas, bens, 0)], R::Ledger(L::AmountNotPositive), Some(1)),
        (7, anna, vec![payment(&[])], R::Ledger(L::NoLegs), Some(0)),
        (
            8,
            dora,
            vec![one(annas, bens, 10_000), one(annas, bens, 10_001)],
            R::AboveSignatoryLimit { limit: eur(10_000) },
            Some(1),
        ),
        (
            9,
            Caller::SYSTEM,
            vec![Pay { value_date: Some(ValueDate(1)), ..one(annas, bens, 1) }],
            R::NotAllowed,
            Some(0),
        ),
    ] {
        let before = bank.records();
        let Decision::Refused(refusal, Some(event)) = bank.decide(&keyed(caller, key, payments)) else {
            panic!("{key}")
        };
        assert_eq!(
            (refusal, event.what),
            (expected, What::System(SystemEvent::Refused { refusal: expected, place })),
            "{key}"
        );
        assert_eq!(bank.records(), before);
    }
    assert_eq!(
        bank.ask(ben, Body::Payments(PaymentCommand::PayAll(vec![one(bens, annas, 1); MAX_PAYMENTS_AT_ONCE]))),
        Ok(())
    );

    // Money that came in by an earlier one can be spent by a later one.
    let payments =
        vec![everything, back, one(annas, bens, 7), payment(&[leg(annas, bens, eur(1)), leg(bens, annas, eur(1))])];
    let command = keyed(Caller::SYSTEM, 20, payments.clone());
    let decision = bank.decide(&command);
    let Decision::Accepted(events) = &decision else { panic!("{decision:?}") };
    assert_eq!(events[0].what, What::Payments(PaymentEvent::PaidAll { payments: 4 }));
    assert!(events[0].request.is_some() && events[1..].iter().all(|event| event.request.is_none()));
    let mut alone = bank.clone();
    let first = bank.take(&decision).unwrap();
    for (event, pay) in events[1..].iter().zip(payments) {
        let Decision::Accepted(by_itself) = alone.decide(&Command {
            origin: Origin::default(),
            caller: Caller::SYSTEM,
            request: None,
            body: Body::Payments(PaymentCommand::Pay(pay)),
        }) else {
            panic!("alone it is refused")
        };
        let (
            What::Payments(PaymentEvent::Posted { posting: one, .. }),
            What::Payments(PaymentEvent::Posted { posting: other, .. }),
        ) = (&event.what, &by_itself[0].what)
        else {
            panic!("not postings")
        };
        let entries = |posting: &Posting| {
            posting
                .legs()
                .iter()
                .map(|it| (it.leg, it.debit.balance_minor, it.debit.ordinal, it.credit.balance_minor))
                .collect::<Vec<_>>()
        };
        assert_eq!(entries(one), entries(other));
        alone.take(&Decision::Accepted(by_itself));
    }
    let chained = |event: &Event| match &event.what {
        What::Payments(PaymentEvent::Posted { posting, .. }) => posting.legs()[0].debit.previous.map(PostingId::event),
        _ => None,
    };
    assert_eq!(
        events[2..].iter().map(chained).collect::<Vec<_>>(),
        [Some(first + 1), Some(first + 2), Some(first + 3)]
    );
    assert_eq!(bank.decide(&command), Decision::Repeated(first));
    assert_eq!(bank.state.ledger().check_laws(), Ok(()));
}

#[test]
fn the_eleventh_session_closes_the_oldest() {
    let Street { mut bank, ben, .. } = Street::new();
    let token = |number: usize| TokenHash([0x80 + u8::try_from(number).unwrap(); 16]);
    let sign_in = |bank: &mut Bank, number| {
        let expires_at = bank.now().plus_ms(HOUR);
        bank.system(Body::Access(AccessCommand::SignIn {
            user: ben.user,
            token: token(number),
            expires_at,
            from: None,
        }))
    };
    // Ben has one from the start.
    for number in 1..MAX_SESSIONS_PER_USER {
        sign_in(&mut bank, number);
    }
    assert_eq!(bank.state.user(ben.user).unwrap().sessions.len(), MAX_SESSIONS_PER_USER);
    assert!(bank.state.session(ben.session.unwrap(), bank.now()).is_some());

    sign_in(&mut bank, 10);
    assert_eq!(
        bank.journal.last().unwrap().what,
        What::Access(AccessEvent::SessionClosed { token: ben.session.unwrap() })
    );
    assert_eq!(bank.ask(ben, Body::Access(AccessCommand::SignOut { token: token(1) })), Err(Refusal::NotSignedIn));
    sign_in(&mut bank, 11);
    let kept: Vec<TokenHash> = (2..=11).map(token).collect();
    assert_eq!(bank.state.user(ben.user).unwrap().sessions, kept);

    // Those that are over are cleared away when the next begins, and push out none that is open.
    bank.idle_ms += 2 * HOUR;
    sign_in(&mut bank, 12);
    assert_eq!(bank.state.user(ben.user).unwrap().sessions, [token(12)]);
}

#[test]
fn a_new_password_ends_every_session_of_its_user() {
    let Street { mut bank, anna, ben, .. } = Street::new();
    let (second, expires_at) = (TokenHash([0x80; 16]), bank.now().plus_ms(HOUR));
    bank.system(Body::Access(AccessCommand::SignIn { user: ben.user, token: second, expires_at, from: None }));
    let made = |bank: &Bank| -> Vec<What> {
        let command =
            Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body: set_password(ben.user) };
        let Decision::Accepted(events) = bank.decide(&command) else { panic!("refused") };
        events.into_iter().map(|event| event.what).collect()
    };
    let whats = made(&bank);
    let password = sealed("another hash");
    let closed = [ben.session.unwrap(), second].map(|token| What::Access(AccessEvent::SessionClosed { token }));
    assert_eq!(whats[0], What::Access(AccessEvent::PasswordSet { user: ben.user, password: password.clone() }));
    assert_eq!(whats[1..], closed, "the oldest first");
    bank.system(set_password(ben.user));
    let user = bank.state.user(ben.user).unwrap();
    assert_eq!((&user.password, user.sessions.len()), (&password, 0));
    assert_eq!(bank.ask(ben, Body::Access(AccessCommand::SignOut { token: second })), Err(Refusal::NotSignedIn));
    assert!(bank.state.session(anna.session.unwrap(), bank.now()).is_some(), "others stay signed in");
    // Where nobody is signed in, nothing else happens.
    assert_eq!(made(&bank).len(), 1);
    let set = What::Access(AccessEvent::PasswordSet { user: UserId(99), password });
    let event = Event { by: UserId::SYSTEM, what: set, request: None, origin: None };
    let told = bank.state.check(bank.state.last_event() + 1, &event).unwrap_err();
    assert!(told.contains("user 99"), "{told}");
}

#[test]
fn a_hold_that_ends_tells_what_it_lets_go() {
    let Street { mut bank, anna, ben, annas, bens, .. } = Street::new();
    let expires_at = bank.now().plus_ms(HOUR);
    let ends = |bank: &Bank, caller, body| {
        let command = Command { origin: Origin::default(), caller, request: None, body };
        let Decision::Accepted(events) = bank.decide(&command) else { panic!("refused") };
        let event = events.into_iter().next().unwrap();
        let told = match &event.what {
            What::Payments(PaymentEvent::Posted { released_minor, .. }) => released_minor.as_deref().copied(),
            What::Holds(HoldEvent::HoldReleased { released_minor, .. }) => *released_minor,
            other => panic!("{other:?}"),
        };
        (event, told)
    };
    let leg = leg(annas, bens, eur(60));
    let placed = Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text: None, metadata: None });
    let hold = hold(bank.act(anna, placed));
    let capture = |minor, last| Body::Holds(HoldCommand::Capture { hold, amount: eur(minor), last });
    assert_eq!(ends(&bank, ben, capture(60, false)).1, None, "nothing is let go but by the last");
    bank.act(ben, capture(25, false));
    for (caller, body, expected) in [
        (ben, capture(10, false), None),
        (ben, capture(10, true), Some(25)),
        (ben, capture(35, true), Some(0)),
        (ben, Body::Holds(HoldCommand::Void { hold }), Some(35)),
    ] {
        let (event, told) = ends(&bank, caller, body);
        assert_eq!((told, event.what.acts_on()), (expected, Some(hold.event())));
        let next = bank.state.last_event() + 1;
        assert_eq!(bank.state.check(next, &event), Ok(()));
        let mut forged = event.clone();
        match &mut forged.what {
            What::Payments(PaymentEvent::Posted { released_minor, .. }) => *released_minor = Some(Box::new(24)),
            What::Holds(HoldEvent::HoldReleased { released_minor, .. }) => *released_minor = Some(24),
            other => panic!("{other:?}"),
        }
        assert!(bank.state.check(next, &forged).unwrap_err().contains("24"));
        // Of a time before it was told.
        match &mut forged.what {
            What::Payments(PaymentEvent::Posted { released_minor, .. }) => *released_minor = None,
            What::Holds(HoldEvent::HoldReleased { released_minor, .. }) => *released_minor = None,
            other => panic!("{other:?}"),
        }
        assert_eq!(bank.state.check(next, &forged), Ok(()));
    }
}

#[test]
fn the_ninth_address_takes_the_place_of_the_one_not_used_for_the_longest() {
    let Street { mut bank, ben, .. } = Street::new();
    let before = digest(&bank.state);
    let from = |number: u8| AddressHash([number; 16]);
    let sign_in = |bank: &mut Bank, number: u8, from| {
        let expires_at = bank.now().plus_ms(HOUR);
        bank.system(Body::Access(AccessCommand::SignIn {
            user: ben.user,
            token: TokenHash([0x80 + number; 16]),
            expires_at,
            from,
        }));
        bank.state.user(ben.user).unwrap().known_addresses.clone()
    };
    assert_eq!(sign_in(&mut bank, 0, None), []);
    for number in 1..=8 {
        sign_in(&mut bank, number, Some(from(number)));
    }
    // The first is used once more, so that the second is now the one not used for the longest.
    let known = sign_in(&mut bank, 9, Some(from(1)));
    assert_eq!(known, [2, 3, 4, 5, 6, 7, 8, 1].map(from));
    assert_eq!(known.len(), MAX_KNOWN_ADDRESSES);
    let known = sign_in(&mut bank, 10, Some(from(9)));
    assert_eq!(known, [3, 4, 5, 6, 7, 8, 1, 9].map(from));
    // A session that ends, and a sign-in from nowhere in particular, take none away.
    let token = TokenHash([0x80 + 10; 16]);
    bank.act(Caller { session: Some(token), ..ben }, Body::Access(AccessCommand::SignOut { token }));
    assert_eq!(sign_in(&mut bank, 11, None), known);
    assert_ne!(digest(&bank.state), before);
    let again = restored(&bank.state);
    assert_eq!(again.user(ben.user).unwrap().known_addresses, known, "a restart knows them");
    let mut replayed = State::default();
    for (number, event) in (1..).zip(&bank.journal) {
        replayed.apply(number, at(number), event);
    }
    assert_eq!(replayed.user(ben.user).unwrap().known_addresses, known, "the journal tells them");
}

#[test]
fn the_bank_books_its_own_and_no_payments() {
    let Street { mut bank, operator, annas, bens, fees, cash, .. } = Street::new();
    let costs = bank.account(OpenAccount { kind: Kind::Expense, overdraft: Overdraft::Unlimited, ..open() });
    let equity = bank.account(OpenAccount { kind: Kind::Equity, overdraft: Overdraft::Unlimited, ..open() });
    let suspense = bank.account(open());
    let available = |bank: &Bank, id| bank.state.ledger().account(id).unwrap().available_minor();
    let before = available(&bank, annas);
    let number = bank.act(operator, book(annas, fees, 250));
    let What::Payments(PaymentEvent::Posted { purpose, text, .. }) = &bank.journal.last().unwrap().what else {
        panic!()
    };
    assert_eq!((*purpose, text), (Purpose::Booking, &Some(Box::new(sealed("a reason")))));
    assert_eq!((available(&bank, annas), available(&bank, fees)), (before - 250, 250));
    // A fee that was wrong is undone like any posting.
    bank.act(operator, Body::Payments(PaymentCommand::Reverse { of: posting(number), text: None }));
    assert_eq!((available(&bank, annas), available(&bank, fees)), (before, 0));
    for (debit, credit, expected) in [
        (costs, annas, Ok(())),
        (costs, fees, Ok(())),
        (equity, cash, Ok(())),
        (cash, suspense, Ok(())),
        (annas, costs, Ok(())),
        (annas, suspense, Err(Refusal::NotIncomeOrExpense)),
        (suspense, annas, Err(Refusal::NotIncomeOrExpense)),
        (equity, annas, Err(Refusal::NotIncomeOrExpense)),
        (bens, annas, Err(Refusal::BetweenCustomers)),
    ] {
        assert_eq!(bank.ask(operator, book(debit, credit, 1)), expected, "{debit:?} {credit:?}");
    }
    // All that is there may be taken for a fee, and not a cent of what is not.
    let all = available(&bank, annas);
    assert_eq!(bank.ask(operator, book(annas, fees, all)), Ok(()));
    let poor = ledger::Refusal::InsufficientFunds { available: eur(all) };
    assert_eq!(bank.ask(operator, book(annas, fees, all + 1)), Err(poor.into()));
    // Whoever may only read an account is a customer, and it is not the bank's own.
    bank.system(Body::Access(AccessCommand::Grant {
        customer: CustomerId(5),
        account: suspense,
        right: Right::ReadOnly,
    }));
    assert_eq!(bank.ask(operator, book(suspense, annas, 1)), Err(Refusal::BetweenCustomers));
    for status in [Status::FrozenForDebits, Status::Frozen] {
        bank.system(Body::Accounts(AccountCommand::SetStatus { account: annas, status }));
        assert_eq!(bank.ask(operator, book(annas, fees, 1)), Err(ledger::Refusal::AccountFrozen.into()));
    }
}

#[test]
fn failed_sign_ins_are_one_event_a_minute() {
    let Street { mut bank, anna, ben, .. } = Street::new();
    let fail = |bank: &mut Bank, user| {
        let body = Body::Access(AccessCommand::SignInFailed { user });
        let decision = bank.decide(&Command { origin: Origin::default(), caller: Caller::SYSTEM, request: None, body });
        bank.take(&decision).is_some()
    };
    let minute = bank.now().0.div_euclid(60_000);
    bank.idle_ms += (minute + 1) * 60_000 - bank.now().0;
    assert!(fail(&mut bank, anna.user));
    assert!(!fail(&mut bank, anna.user));
    assert!(fail(&mut bank, ben.user), "each user apart");
    // A second for each of the two events: 57.999 s more are still the same minute.
    bank.idle_ms += 57_999;
    assert!(!fail(&mut bank, anna.user));
    bank.idle_ms += 1;
    assert!(fail(&mut bank, anna.user));
}

#[test]
fn account_numbers_and_ibans() {
    let Street { mut bank, annas, operator, .. } = Street::new();
    let numbered = |number| OpenAccount { number: Some(number), ..open() };
    assert_eq!(
        bank.state.account_info(annas).unwrap().number,
        1,
        "the bank's own accounts count down from the largest"
    );
    let high = bank.account(numbered(700));
    let next = bank.account(open());
    assert_eq!(bank.state.account_info(next).unwrap().number, 701, "one after the highest");
    let low = bank.account(numbered(699));
    let largest = bank.state.account_numbered(99_999_999_999).expect("the cash account, which was opened first");
    for id in [annas, high, next, low, largest] {
        let iban = bank.state.iban(id).unwrap();
        assert!(iban.starts_with("AT") && iban[4..].starts_with("99999") && iban.len() == 20, "{iban}");
        assert_eq!(bank.state.account_of_iban(&iban), Ok(Some(id)));
        assert_eq!(bank.state.account_of_iban(&iban.to_lowercase()), Ok(Some(id)));
    }
    let free = bank.state.founding().unwrap().numbering.iban(5_555);
    assert_eq!(bank.state.account_of_iban(&free), Ok(None));
    assert_eq!(bank.state.account_of_iban("DE89370400440532013000"), Err(IbanError::OtherBank));
    assert_eq!(
        bank.ask(operator, Body::Accounts(AccountCommand::OpenAccount(numbered(699)))),
        Err(Refusal::NumberTaken)
    );
}

/// Check digits are 02 to 98 (ISO 13616). 00, 01 and 99 leave the same remainder as 97, 98 and 02, and would make a
/// second way to write an account.
#[test]
fn an_account_has_one_iban() {
    let numbering = Numbering::new("AT", "99999").unwrap();
    let mut tried = BTreeSet::new();
    for number in 1..2_000 {
        let iban = numbering.iban(number);
        let alias = match &iban[2..4] {
            "97" => "00",
            "98" => "01",
            "02" => "99",
            _ => continue,
        };
        tried.insert(alias);
        assert_eq!(numbering.number(&format!("AT{alias}{}", &iban[4..])), Err(IbanError::Invalid), "{alias}");
    }
    assert_eq!(tried.len(), 3);
}

// ---- Idempotency ----

#[test]
fn a_retry_gets_the_first_outcome_whatever_happened_between() {
    let Street { mut bank, anna, ben, annas, bens, operator, .. } = Street::new();
    let keyed = |caller, key, body| Command { origin: Origin::default(), caller, request: Some(request(key)), body };
    let accepted = keyed(anna, 1, pay(&[leg(annas, bens, eur(1_000))]));
    let refused = keyed(ben, 2, pay(&[leg(bens, annas, eur(1_000_000))]));
    let first = bank.take(&bank.decide(&accepted)).unwrap();
    let refusal = bank.decide(&refused);
    let second = bank.take(&refusal).unwrap();
    let Decision::Refused(reason, Some(event)) = refusal else { panic!("{refusal:?}") };
    assert_eq!(event.what, What::System(SystemEvent::Refused { refusal: reason, place: None }));
    assert_eq!(event.request, Some(request(2)));

    // Ben gets the money after all, Anna's account is frozen, and her session ends.
    bank.act(operator, deposit(bens, 2_000_000));
    bank.act(operator, Body::Accounts(AccountCommand::SetStatus { account: annas, status: Status::Frozen }));
    bank.act(anna, Body::Access(AccessCommand::SignOut { token: anna.session.unwrap() }));
    bank.idle_ms += 100 * HOUR;
    let other_body = Command { body: Body::Holds(HoldCommand::Void { hold: hold(1) }), ..accepted.clone() };
    for bank in [bank.clone(), Bank { state: restored(&bank.state), ..bank }] {
        assert_eq!(bank.decide(&accepted), Decision::Repeated(first));
        assert_eq!(bank.decide(&refused), Decision::Repeated(second));
        // Whether it is the same request, the engine sees by the event's fingerprint.
        assert_eq!(bank.decide(&other_body), Decision::Repeated(first));
    }
}

#[test]
fn only_the_first_event_of_a_command_has_its_key() {
    let Street { mut bank, ben, .. } = Street::new();
    bank.idle_ms += 48 * HOUR;
    let expires_at = bank.now().plus_ms(HOUR);
    let body =
        Body::Access(AccessCommand::SignIn { user: ben.user, token: TokenHash([0x77; 16]), expires_at, from: None });
    let decision =
        bank.decide(&Command { origin: Origin::default(), caller: Caller::SYSTEM, request: Some(request(1)), body });
    let Decision::Accepted(events) = &decision else { panic!("{decision:?}") };
    let requests: Vec<Option<Request>> = events.iter().map(|event| event.request).collect();
    assert_eq!(requests, [Some(request(1)), None], "the new session, and the end of the one that was over");
}

#[test]
fn whoever_is_not_signed_in_writes_nothing() {
    let Street { bank, expired, annas, bens, .. } = Street::new();
    let command = Command {
        origin: Origin::default(),
        caller: expired,
        request: Some(request(1)),
        body: pay(&[leg(annas, bens, eur(1))]),
    };
    assert_eq!(bank.decide(&command), Decision::Refused(Refusal::NotSignedIn, None));
}

// ---- Events and their encoding ----

/// A bank in whose journal every kind of event occurs, with each branch of its encoding.
fn story() -> Bank {
    let mut bank = Bank::default();
    bank.keep(&Event {
        by: UserId::SYSTEM,
        what: What::System(SystemEvent::LeaderStarted { version: "0.1.0".into() }),
        request: None,
        origin: None,
    });
    // Without IBANs, so that its founding holds the digits of its account numbers.
    let numbering = Numbering::new("US", "123456780").unwrap();
    bank.system(found_with(numbering, Some("Europe/Vienna")));
    let people: Vec<CustomerId> = (0..4).map(|_| bank.add_customer()).collect();
    let operator = bank.add_user(Role::Operator, None);
    let auditor = bank.add_user(Role::Auditor, None);
    let anna = bank.add_user(Role::Customer, Some(people[0]));
    bank.system(Body::Access(AccessCommand::SignInFailed { user: anna.user }));
    bank.act(auditor, Body::Access(AccessCommand::SignOut { token: auditor.session.unwrap() }));
    bank.system(set_password(auditor.user));

    let cash = bank.account(OpenAccount { name: Some(sealed("cash")), ..open_cash("EUR") });
    bank.account(open_cash("JPY"));
    let named = OpenAccount { number: Some(1_234_567), name: Some(sealed("hers")), owner: Some(people[0]), ..open() };
    let annas = bank.account(OpenAccount { opened_at: Some(Timestamp(-1)), ..named });
    let bens = bank.account(OpenAccount { owner: Some(people[1]), ..open() });
    let fees = bank.account(OpenAccount { kind: Kind::Income, ..open() });
    bank.account(OpenAccount { kind: Kind::Expense, overdraft: Overdraft::Unlimited, ..open() });
    let closed = bank.account(open());
    for (customer, right) in [
        (people[1], Right::ReadOnly),
        (people[2], Right::Signatory { limit_minor: None }),
        (people[3], Right::Signatory { limit_minor: Some(25_000) }),
        (people[1], Right::Owner),
    ] {
        bank.act(operator, Body::Access(AccessCommand::Grant { customer, account: annas, right }));
    }
    bank.act(operator, Body::Access(AccessCommand::Revoke { customer: people[2], account: annas }));

    let text = Some(sealed("thank you"));
    let said: Option<SharedText> = text.clone().map(Into::into);
    bank.act(
        operator,
        Body::Payments(PaymentCommand::Deposit { account: annas, amount: eur(1 << 54), text: said.clone() }),
    );
    bank.act(operator, Body::Payments(PaymentCommand::Withdraw { account: annas, amount: eur(12_345), text: None }));
    let legs = [leg(annas, bens, eur(10_000)), leg(annas, fees, eur(25)), leg(bens, fees, eur(1))];
    let imported = Pay { purpose: Purpose::Imported, value_date: Some(ValueDate(-365)), ..payment(&legs) };
    bank.system(Body::Payments(PaymentCommand::Pay(Pay {
        booked_at: Some(bank.now()),
        text: text.clone(),
        ..imported
    })));
    let keyed = Command { caller: anna, origin: Origin::default(), request: Some(request(1)), body: pay(&legs[..2]) };
    let paid = posting(bank.take(&bank.decide(&keyed)).unwrap());
    for origin in origins(operator.user) {
        let from = Command { caller: anna, origin, request: None, body: pay(&legs[..1]) };
        bank.take(&bank.decide(&from)).unwrap();
    }
    let origin = Origin::of(Channel::Terminal);
    let by_system = Command { caller: Caller::SYSTEM, origin, request: None, body: set_password(auditor.user) };
    bank.take(&bank.decide(&by_system)).unwrap();
    let other = posting(bank.act(anna, pay(&legs[..1])));
    bank.system(Body::Payments(PaymentCommand::Refund { of: paid, leg: 1, amount: eur(5), text: said.clone() }));
    bank.system(Body::Payments(PaymentCommand::Refund { of: paid, leg: 0, amount: eur(6), text: None }));
    bank.system(Body::Payments(PaymentCommand::Reverse { of: other, text: said.clone() }));

    let place = |bank: &mut Bank, ms, text| {
        let (leg, expires_at) = (leg(annas, bens, eur(500)), bank.now().plus_ms(ms));
        hold(bank.act(anna, Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text, metadata: None })))
    };
    let captured = place(&mut bank, HOUR, said);
    bank.system(Body::Holds(HoldCommand::Capture { hold: captured, amount: eur(100), last: false }));
    bank.system(Body::Holds(HoldCommand::Capture { hold: captured, amount: eur(1), last: true }));
    let captured = place(&mut bank, HOUR, None);
    bank.system(Body::Holds(HoldCommand::Capture { hold: captured, amount: eur(500), last: true }));
    let voided = place(&mut bank, HOUR, None);
    bank.system(Body::Holds(HoldCommand::Void { hold: voided }));
    let expired = place(&mut bank, 1, None);
    bank.system(Body::Holds(HoldCommand::Expire { hold: expired }));
    let open_hold = place(&mut bank, HOUR, None);
    bank.system(Body::Holds(HoldCommand::Capture { hold: open_hold, amount: eur(100), last: false }));
    bank.system(Body::Holds(HoldCommand::Extend { hold: open_hold, expires_at: bank.now().plus_ms(2 * HOUR) }));
    for name in [Some(sealed("another name")), None] {
        bank.system(Body::Accounts(AccountCommand::Rename { account: bens, name }));
    }
    bank.act(operator, book(bens, fees, 3));
    let (token, expires_at, from) = (TokenHash([0x77; 16]), bank.now().plus_ms(HOUR), Some(AddressHash([0x55; 16])));
    bank.system(Body::Access(AccessCommand::SignIn { user: anna.user, token, expires_at, from }));
    let metadata = Some(sealed("{}"));
    bank.act(
        anna,
        Body::Payments(PaymentCommand::Pay(Pay {
            metadata: metadata.clone().map(Box::new),
            end_to_end_id: Some(Box::new(sealed("E2E-1"))),
            ..payment(&legs[..1])
        })),
    );
    bank.system(Body::Payments(PaymentCommand::PayAll(vec![payment(&legs[..1]); 2])));
    let (noted, expires_at) = (leg(annas, bens, eur(1)), bank.now().plus_ms(HOUR));
    bank.act(anna, Body::Holds(HoldCommand::PlaceHold { leg: noted, expires_at, text: None, metadata }));
    tell_of_keys(&mut bank, anna, noted);

    bank.system(Body::Accounts(AccountCommand::SetOverdraft { account: closed, overdraft: Overdraft::Unlimited }));
    for overdraft in [Overdraft::Limited(u64::MAX), Overdraft::Limited(7)] {
        bank.system(Body::Accounts(AccountCommand::SetOverdraft { account: annas, overdraft }));
    }
    for (account, status) in [
        (bens, Status::FrozenForDebits),
        (fees, Status::Frozen),
        (fees, Status::Open),
        (closed, Status::Closed),
        (cash, Status::Frozen),
    ] {
        bank.system(Body::Accounts(AccountCommand::SetStatus { account, status }));
    }
    for (key, (slug, _)) in (100_u8..).zip(Refusal::names()) {
        let refusal = Refusal::from_slug(slug, Some(yen(-5))).unwrap();
        bank.keep(&Event {
            by: anna.user,
            what: What::System(SystemEvent::Refused { refusal, place: (key == 100).then_some(7) }),
            request: Some(request(key)),
            origin: None,
        });
    }
    bank.act(operator, set_time_zone(40_000, "Pacific/Kiritimati"));
    bank
}

/// A payment and a hold whose texts others have copies of, and keys that were destroyed.
fn tell_of_keys(bank: &mut Bank, anna: Caller, leg: Leg) {
    let copies = || Copies::of(vec![sealed_as(8, Category::Texts), sealed_as(9, Category::Texts)]);
    let pay = Pay { text: Some(sealed_as(7, Category::Texts)), copies: copies(), ..payment(&[leg]) };
    bank.act(anna, Body::Payments(PaymentCommand::Pay(pay)));
    let text = Some(SharedText { own: sealed_as(7, Category::Texts), copies: copies() });
    let expires_at = bank.now().plus_ms(HOUR);
    bank.act(anna, Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text, metadata: None }));
    for category in [None, Some(Category::Identity), Some(Category::Contact), Some(Category::Texts)] {
        let what = What::Access(AccessEvent::KeyDestroyed { subject: SubjectId(7), category });
        bank.keep(&Event { by: UserId::SYSTEM, what, request: None, origin: None });
    }
}

/// One origin for each of its parts' branches.
fn origins(approver: UserId) -> [Origin; 3] {
    let known = Origin { address: Some(AddressClass::Known), ..Origin::of(Channel::Import) };
    let new = AddressClass::New;
    let (device, approver) = (NonZeroU32::new(7), NonZeroU32::new(approver.0));
    let full = Origin { address: Some(new), device, approver, ..Origin::of(Channel::Api) };
    [known, Origin::of(Channel::Terminal), Origin { cause: Some(bank::Cause::of_batch([0xFF; 16])), ..full }]
}

/// The parts of an origin, as names. No wildcard: a new one must get into the story.
fn origin_branches(origin: &Origin) -> Vec<String> {
    let Origin { channel, session, device, address, approver, cause } = *origin;
    let batch = cause.map(|cause| match cause {
        bank::Cause::Batch(_) => "batch",
    });
    vec![
        format!("channel {channel:?}"),
        format!("address {address:?}"),
        format!("cause {batch:?}"),
        format!("in session {}", session.is_some()),
        format!("device {}", device.is_some()),
        format!("approver {}", approver.is_some()),
    ]
}

/// Every kind of event with each branch of its encoding, as a name. No wildcard: a new one must get into the story.
fn branches(event: &Event) -> Vec<String> {
    let mut names = match &event.what {
        What::System(SystemEvent::Founded { time_zone, .. }) => vec![format!("founded, zone {}", time_zone.is_some())],
        What::System(SystemEvent::TimeZoneSet { .. }) => vec!["time zone set".to_owned()],
        What::System(SystemEvent::LeaderStarted { .. }) => vec!["leader started".to_owned()],
        What::Access(AccessEvent::CustomerAdded { .. }) => vec!["customer added".to_owned()],
        What::Access(AccessEvent::UserAdded { role, customer, .. }) => {
            vec![format!("user added {role:?} {}", customer.is_some())]
        }
        What::Access(AccessEvent::PasswordSet { .. }) => vec!["password set".to_owned()],
        What::Access(AccessEvent::KeyDestroyed { category, .. }) => vec![format!("key destroyed {category:?}")],
        What::Access(AccessEvent::SessionOpened { from, .. }) => vec![format!("session opened {}", from.is_some())],
        What::Access(AccessEvent::SessionClosed { .. }) => vec!["session closed".to_owned()],
        What::Access(AccessEvent::SignInFailed { .. }) => vec!["sign-in failed".to_owned()],
        What::Accounts(AccountEvent::AccountOpened { kind, overdraft, name, owner, cash, .. }) => vec![
            format!("account opened {kind:?}"),
            format!("account opened, unlimited {}", *overdraft == Overdraft::Unlimited),
            format!("account opened, name {} owner {} cash {cash}", name.is_some(), owner.is_some()),
        ],
        What::Access(AccessEvent::RightGranted { right, .. }) => vec![match right {
            Right::Owner => "owner".to_owned(),
            Right::Signatory { limit_minor } => format!("signatory {}", limit_minor.is_some()),
            Right::ReadOnly => "read only".to_owned(),
        }],
        What::Access(AccessEvent::RightRevoked { .. }) => vec!["right revoked".to_owned()],
        What::Accounts(AccountEvent::StatusSet { status, .. }) => vec![format!("status {status:?}")],
        What::Accounts(AccountEvent::OverdraftSet { overdraft, .. }) => {
            vec![format!("unlimited {}", *overdraft == Overdraft::Unlimited)]
        }
        What::Payments(PaymentEvent::Posted {
            posting,
            purpose,
            text,
            metadata,
            end_to_end_id,
            copies,
            released_minor,
        }) => vec![
            format!("purpose {purpose:?}"),
            format!("text {:?}", text.as_ref().map(|text| text.category)),
            format!("copies {}", copies.is_some()),
            format!("metadata {}", metadata.is_some()),
            format!("end-to-end id {}", end_to_end_id.is_some()),
            match posting.cause() {
                Cause::Order => "order".to_owned(),
                Cause::Capture { last, .. } => {
                    format!("capture {last}, rest {:?}", released_minor.as_deref().map(|rest| rest.signum()))
                }
                Cause::Refund { .. } => "refund".to_owned(),
                Cause::Reversal { .. } => "reversal".to_owned(),
            },
        ],
        What::Holds(HoldEvent::HoldPlaced { hold: _, text, metadata, copies }) => vec![
            format!("hold placed {}", text.is_some()),
            format!("hold placed, metadata {}", metadata.is_some()),
            format!("hold placed, copies {}", copies.is_some()),
        ],
        What::Holds(HoldEvent::HoldExtended { .. }) => vec!["hold extended".to_owned()],
        What::Accounts(AccountEvent::AccountRenamed { name, .. }) => {
            vec![format!("account renamed {}", name.is_some())]
        }
        What::Holds(HoldEvent::HoldReleased { reason, released_minor, .. }) => vec![match reason {
            ReleaseReason::Voided => format!("voided {}", released_minor.is_some()),
            ReleaseReason::Expired => format!("expired {}", released_minor.is_some()),
        }],
        What::System(SystemEvent::Refused { refusal, place }) => {
            vec![format!("refused {}", refusal.slug()), format!("place {}", place.is_some())]
        }
        What::Payments(PaymentEvent::PaidAll { .. }) => vec!["paid all".to_owned()],
    };
    names.push(format!("request {}", event.request.is_some()));
    names.push(format!("origin {}", event.origin.is_some()));
    names.extend(event.origin.iter().flat_map(origin_branches));
    names
}

#[test]
fn texts_are_for_the_owners_on_both_sides() {
    let Street { mut bank, operator, annas, bens, fees, .. } = Street::new();
    let mut next = 100;
    let mut owners = |bank: &mut Bank, account, count: u64| -> Vec<SubjectId> {
        let added = (0..count).map(|_| {
            next += 1;
            let name = Sealed { subject: SubjectId(next), ..sealed("name") };
            bank.system(Body::Access(AccessCommand::AddCustomer { name }));
            let customer = CustomerId(u32::try_from(bank.state.customers().len()).unwrap());
            bank.act(operator, Body::Access(AccessCommand::Grant { customer, account, right: Right::Owner }));
            SubjectId(next)
        });
        added.collect()
    };
    let (one, other) = (bank.account(open()), bank.account(open()));
    let of_one = owners(&mut bank, one, 6);
    let of_other = owners(&mut bank, other, 20);
    let beside = |writer: AccountId, others: &[AccountId]| -> Vec<SubjectId> {
        let readers = bank.state.readers(writer, others.iter().copied());
        readers.beside(readers.writers().first().copied().unwrap_or(SubjectId::BANK)).collect()
    };
    // No side crowds the other out.
    assert_eq!(bank.state.readers(one, [other]).writers(), &of_one[..MAX_WRITERS]);
    assert_eq!(beside(one, &[one, other]), [&of_one[1..MAX_WRITERS], &of_other[..MAX_READERS - MAX_WRITERS]].concat());
    assert_eq!(beside(one, &[one]), of_one[1..MAX_WRITERS]);
    assert_eq!(beside(fees, &[other]), of_other[..MAX_READERS]);
    // Anna and Ben of the street are sealed under one subject, and whoever only signs or reads gets no copy.
    assert_eq!(bank.state.readers(annas, [bens]).writers(), [SubjectId(7)]);
    assert_eq!(beside(annas, &[bens, fees]), []);
    assert_eq!(bank.state.readers(fees, [bens]).writers(), []);
    assert_eq!(beside(fees, &[bens]), [SubjectId(7)]);
}

#[test]
fn the_banks_own_key_is_never_destroyed() {
    let bank = story();
    let destroyed = |subject| {
        let what = What::Access(AccessEvent::KeyDestroyed { subject: SubjectId(subject), category: None });
        Event { by: UserId::SYSTEM, what, request: None, origin: None }
    };
    let next = bank.state.last_event() + 1;
    assert_eq!(bank.state.check(next, &destroyed(1)), Ok(()));
    assert!(bank.state.check(next, &destroyed(0)).is_err());
    assert_eq!(destroyed(1).what.audience(), Audience::Watchers);
}

#[test]
fn the_story_leaves_nothing_out() {
    let seen: BTreeSet<String> = story().journal.iter().flat_map(branches).collect();
    let (refused, seen): (BTreeSet<String>, BTreeSet<String>) =
        seen.into_iter().partition(|name| name.starts_with("refused"));
    assert_eq!(refused.len(), Refusal::names().count());
    let count = |start: &str| seen.iter().filter(|name| name.starts_with(start)).count();
    let counted = [
        ("user added", 3),
        ("account opened", 4 + 2 + 5),
        ("signatory", 2),
        ("status", 4),
        ("unlimited", 2),
        ("purpose", 8),
        ("session opened", 2),
        ("text", 3),
        ("copies", 2),
        ("key destroyed", 4),
        ("capture", 3),
        ("metadata", 2),
        ("end-to-end id", 2),
        ("place", 2),
        ("hold placed", 6),
        ("account renamed", 2),
        ("request", 2),
        ("origin", 2),
        ("channel", 3),
        ("address", 3),
        ("cause", 2),
        ("in session", 2),
        ("device", 2),
        ("approver", 2),
    ];
    for (start, expected) in counted {
        assert_eq!(count(start), expected, "{start}: {seen:?}");
    }
    let single = [
        "founded, zone true",
        "time zone set",
        "leader started",
        "customer added",
        "password set",
        "session closed",
        "sign-in failed",
        "owner",
        "read only",
        "right revoked",
        "order",
        "refund",
        "reversal",
        "voided true",
        "expired true",
        "hold extended",
        "paid all",
    ];
    assert!(single.iter().all(|name| seen.contains(*name)), "{seen:?}");
    let listed = counted.iter().map(|(_, count)| count).sum::<usize>() + single.len();
    assert_eq!(seen.len(), listed, "a branch is not listed here: {seen:?}");
}

#[test]
fn events_are_read_as_they_were_written() {
    let bank = story();
    let all: Vec<Event> = Event::decode_all(&bank.bytes).map(Result::unwrap).collect();
    assert_eq!(all, bank.journal);
    for (index, event) in (0..).zip(&all) {
        assert_eq!(Event::decode_nth(&bank.bytes, index).as_ref(), Ok(event));
    }
    assert!(Event::decode_nth(&bank.bytes, bank.state.last_event()).is_err(), "there is no event after the last");
    assert_eq!(Event::decode_all(&[]).count(), 0);
}

#[test]
fn a_torn_end_is_told_once() {
    let bank = story();
    let torn = &bank.bytes[..bank.bytes.len() - 1];
    let read: Vec<Result<Event, String>> = Event::decode_all(torn).collect();
    assert_eq!(read.len(), bank.journal.len());
    assert_eq!(read.iter().filter(|event| event.is_err()).count(), 1);
}

/// A piece of CBOR, as far as growing its arrays needs.
#[derive(Debug, Clone, PartialEq)]
enum Cbor {
    Array(Vec<Cbor>),
    Other(Vec<u8>),
}

impl Cbor {
    fn read(input: &mut minicbor::Decoder<'_>) -> Self {
        let start = input.position();
        if input.datatype().unwrap() == minicbor::data::Type::Array {
            let length = input.array().unwrap().expect("events have arrays of known length only");
            return Self::Array((0..length).map(|_| Self::read(input)).collect());
        }
        input.skip().unwrap();
        Self::Other(input.input()[start..input.position()].to_vec())
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Array(items) => {
                minicbor::Encoder::new(&mut *out).array(u64::try_from(items.len()).unwrap()).unwrap();
                items.iter().for_each(|item| item.write(out));
            }
            Self::Other(bytes) => out.extend_from_slice(bytes),
        }
    }

    fn arrays(&self, path: &[usize], found: &mut Vec<Vec<usize>>) {
        if let Self::Array(items) = self {
            found.push(path.to_vec());
            for (place, item) in items.iter().enumerate() {
                item.arrays(&[path, &[place]].concat(), found);
            }
        }
    }

    fn at(&mut self, path: &[usize]) -> &mut Vec<Self> {
        match (self, path) {
            (Self::Array(items), []) => items,
            (Self::Array(items), [first, rest @ ..]) => items[*first].at(rest),
            (Self::Other(_), _) => panic!("not an array"),
        }
    }

    /// Adds two fields that no program knows yet, after filling up those that were left out because they are empty.
    fn grow(&mut self, path: &[usize], known_fields: usize) {
        let fields = self.at(path);
        fields.resize(fields.len().max(known_fields), Self::Other(vec![0xF6]));
        fields.push(Self::Array(vec![Self::Other(vec![0x63, b'n', b'e', b'w']), Self::Other(vec![0x07])]));
        fields.push(Self::Other(vec![0xF6]));
    }
}

/// How many fields the array at `path` of an event has today; none where it isn't one of fields but a list, or the pair
/// of a variant's number and fields, which can't grow.
fn known_fields(what: &What, path: &[usize]) -> Option<usize> {
    match (path, what) {
        ([], _) => Some(4),
        ([3], _) => Some(6),
        ([1] | [3, 5], _)
        | ([1, 1, 2], What::Access(AccessEvent::RightGranted { .. }))
        | ([1, 1, 0, 3] | [1, 1, 5], What::Payments(PaymentEvent::Posted { .. }))
        | ([1, 1, 3], What::Holds(HoldEvent::HoldPlaced { .. })) => None,
        // Fields under seal.
        ([1, 1, 1], What::Access(AccessEvent::CustomerAdded { .. } | AccessEvent::PasswordSet { .. }))
        | ([1, 1, 2 | 3], What::Access(AccessEvent::UserAdded { .. }))
        | ([1, 1, 6], What::Accounts(AccountEvent::AccountOpened { .. }))
        | ([1, 1, 1], What::Accounts(AccountEvent::AccountRenamed { .. }))
        | ([1, 1, 2..=4] | [1, 1, 5, _], What::Payments(PaymentEvent::Posted { .. }))
        | ([1, 1, 1 | 2] | [1, 1, 3, _], What::Holds(HoldEvent::HoldPlaced { .. })) => Some(3),
        ([1, 1], What::System(SystemEvent::Founded { .. })) => Some(7),
        ([1, 1], What::System(SystemEvent::TimeZoneSet { .. })) => Some(2),
        ([1, 1], What::Access(AccessEvent::UserAdded { .. })) => Some(6),
        ([1, 1], What::Payments(PaymentEvent::Posted { .. })) => Some(7),
        ([1, 1], What::Access(AccessEvent::SessionOpened { .. })) => Some(4),
        ([1, 1], What::Holds(HoldEvent::HoldPlaced { .. })) => Some(4),
        (
            [1, 1],
            What::Access(AccessEvent::PasswordSet { .. } | AccessEvent::KeyDestroyed { .. })
            | What::Holds(HoldEvent::HoldExtended { .. })
            | What::Accounts(AccountEvent::AccountRenamed { .. }),
        ) => Some(2),
        ([1, 1], What::Holds(HoldEvent::HoldReleased { .. })) => Some(3),
        ([1, 1], What::System(SystemEvent::Refused { .. })) => Some(2),
        ([1, 1], What::Payments(PaymentEvent::PaidAll { .. })) => Some(1),
        ([3, 5, 1], _) => Some(1),
        ([1, 1, 2, 1], What::Access(AccessEvent::RightGranted { right: Right::Signatory { .. }, .. })) => Some(1),
        ([1, 1, 0], What::System(SystemEvent::Refused { .. })) => Some(2),
        _ => Some(0),
    }
}

#[test]
fn an_event_with_fields_of_a_later_version_is_still_read() {
    let mut grown = 0;
    for event in &story().journal {
        let mut bytes = Vec::new();
        event.encode_to(&mut bytes);
        let tree = Cbor::read(&mut minicbor::Decoder::new(&bytes));
        let mut paths = Vec::new();
        tree.arrays(&[], &mut paths);
        for path in paths {
            let Some(known) = known_fields(&event.what, &path) else { continue };
            let mut later = tree.clone();
            later.grow(&path, known);
            let mut bytes = Vec::new();
            later.write(&mut bytes);
            // Another event follows, which must be found where it begins.
            event.encode_to(&mut bytes);
            let read: Vec<Result<Event, String>> = Event::decode_all(&bytes).collect();
            assert_eq!(read, [Ok(event.clone()), Ok(event.clone())], "grown at {path:?}");
            grown += 1;
        }
    }
    assert!(grown > 300, "only {grown}");
}

// ---- The golden journals ----

const VERSION: u32 = 5;

fn golden(version: u32, name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/v{version}")).join(name)
}

fn digest(state: &State) -> String {
    let mut hash = Sha256::new();
    for record in records(state) {
        hash.update(record);
    }
    hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        write!(hex, "{byte:02x}").unwrap();
        hex
    })
}

#[test]
fn old_journals_mean_the_same_for_ever() {
    if std::env::var("KASSA_WRITE_GOLDEN").as_deref() == Ok("1") && !golden(VERSION, "events.cbor").exists() {
        let bank = story();
        std::fs::create_dir_all(golden(VERSION, "")).unwrap();
        std::fs::write(golden(VERSION, "events.cbor"), &bank.bytes).unwrap();
        std::fs::write(golden(VERSION, "digest.txt"), format!("{}\n", digest(&bank.state))).unwrap();
    }
    for version in 1..=VERSION {
        let bytes = std::fs::read(golden(version, "events.cbor")).unwrap();
        let expected = std::fs::read_to_string(golden(version, "digest.txt")).unwrap();
        let mut state = State::default();
        for (number, event) in (1..).zip(Event::decode_all(&bytes)) {
            let event = event.unwrap();
            assert_eq!(state.check(number, &event), Ok(()), "event {number} of version {version}");
            state.apply(number, at(number), &event);
        }
        assert_eq!(digest(&state), expected.trim(), "version {version}");
        assert_eq!(digest(&restored(&state)), expected.trim(), "version {version}, restored");
    }
}

/// An event of an older version is written again as it was: no field that came since adds a byte where it is not used.
#[test]
fn old_events_are_written_again_as_they_were() {
    for version in 1..=VERSION {
        let bytes = std::fs::read(golden(version, "events.cbor")).unwrap();
        let mut again = Vec::new();
        for event in Event::decode_all(&bytes) {
            event.unwrap().encode_to(&mut again);
        }
        assert!(again == bytes, "version {version}");
    }
}

/// What is written today is what was written then: an encoding that changed would make other hashes of the same events.
#[test]
fn the_story_is_still_written_the_same() {
    let kept = std::fs::read(golden(VERSION, "events.cbor")).unwrap();
    assert!(story().bytes == kept, "the encoding has changed, or the story has: raise VERSION");
}

/// A bank that was founded before check digits within were computed keeps its account numbers, and its digest.
#[test]
fn the_founding_says_how_accounts_are_numbered() {
    let founded = |country: &str, bank_code: &str, scheme, digits| {
        let what = What::System(SystemEvent::Founded {
            name: "x".into(),
            country: country.into(),
            bank_code: bank_code.into(),
            scheme,
            time_zone: None,
            digits,
            modulus: None,
        });
        let event = Event { by: UserId::SYSTEM, what, request: None, origin: None };
        let mut bytes = Vec::new();
        event.encode_to(&mut bytes);
        assert_eq!(Event::decode_all(&bytes).collect::<Vec<_>>(), [Ok(event.clone())]);
        let mut state = State::default();
        assert_eq!(state.check(1, &event), Ok(()));
        state.apply(1, at(1), &event);
        let numbering = state.founding().unwrap().numbering.clone();
        assert_eq!(restored(&state).founding().unwrap().numbering, numbering);
        (numbering.iban(75_470), bytes.len(), records(&state).iter().map(Vec::len).sum::<usize>())
    };
    let old = founded("BE", "539", None, None);
    let new = founded("BE", "539", Numbering::new("BE", "539").unwrap().scheme(), None);
    assert_eq!((old.0.as_str(), new.0.as_str()), ("BE38539000075470", "BE68539007547034"));
    assert_eq!((new.1, new.2), (old.1 + 1, old.2 + 1), "only the new one has one more field");
    let plain = Numbering::new("AT", "99999").unwrap();
    assert_eq!(plain.scheme(), None, "where there are no check digits all is as ever");
    let later = What::System(SystemEvent::Founded {
        name: "x".into(),
        country: "BE".into(),
        bank_code: "539".into(),
        scheme: Some(5),
        time_zone: None,
        digits: None,
        modulus: None,
    });
    let later = Event { by: UserId::SYSTEM, what: later, request: None, origin: None };
    assert!(State::default().check(1, &later).unwrap_err().contains("later version"));
    for (country, bank_code, scheme, digits, expected) in NUMBERINGS {
        let (text, ..) = founded(country, bank_code, scheme, digits);
        assert_eq!(text, expected, "{country} {bank_code}");
    }
}

/// The rules of a British bank's sort code are in its founding, and its new accounts pass them.
#[test]
fn the_founding_of_a_british_bank_holds_the_rules_of_its_sort_code() {
    let table = "601613 601613 MOD11 0 0 0 0 0 0 8 7 6 5 4 3 2 1\n601613 601613 DBLAL 2 1 2 1 2 1 2 1 2 1 2 1 2 1";
    let numbering = Numbering::new("GB", "NWBK601613").unwrap().checked_by(table).unwrap();
    let mut bank = Bank::default();
    bank.system(found_with(numbering.clone(), None));
    let read = Event::decode_all(&bank.bytes).collect::<Result<Vec<_>, _>>().unwrap();
    assert_eq!(read, bank.journal);
    let ids: Vec<AccountId> = (0..20).map(|_| bank.account(open())).collect();
    let given: Vec<u64> = ids.iter().map(|id| bank.state.account_info(*id).unwrap().number).collect();
    assert!(given.windows(2).all(|pair| pair[0] < pair[1]) && given.iter().all(|number| numbering.has(*number)));
    let all = (1..=given[19]).filter(|number| numbering.has(*number)).count();
    assert_eq!(all, 20, "none is left out: {given:?}");
    assert_eq!(restored(&bank.state).founding().unwrap().numbering, numbering);
    let wrong = (1..).find(|number| !numbering.has(*number)).unwrap();
    let command = Body::Accounts(AccountCommand::OpenAccount(OpenAccount { number: Some(wrong), ..open() }));
    assert_eq!(bank.ask(Caller::SYSTEM, command), Err(Refusal::NumberTaken));
    assert_eq!(bank.state.account_of_iban(&numbering.iban(wrong)), Err(IbanError::Invalid));
}

/// Country, bank code, scheme and digits of a founding, and an account number of the bank.
type Numbered = (&'static str, &'static str, Option<u8>, Option<u8>, &'static str);

/// The account number 75,470 of a bank of each scheme, by what its founding says. None of these may ever change.
const NUMBERINGS: [Numbered; 20] = [
    ("AT", "99999", None, None, "AT209999900000075470"),
    ("GB", "NWBK601613", None, None, "GB69NWBK60161300075470"),
    ("BE", "539", Some(1), None, "BE68539007547034"),
    ("AR", "99900018", Some(2), Some(13), "9990001800000000754709"),
    ("AU", "987654", Some(2), Some(9), "987654-000075470"),
    ("CA", "99912345", Some(2), Some(7), "999-12345-0075470"),
    ("HK", "999001", Some(2), Some(9), "999-001-000075470"),
    ("IN", "KASA0000001", Some(2), Some(11), "KASA0000001-00000075470"),
    ("JP", "9999001", Some(2), Some(7), "9999-001-0075470"),
    ("KE", "99001", Some(2), Some(10), "99-001-0000075470"),
    ("MX", "999180", Some(2), Some(11), "999180000000754701"),
    ("NG", "999", Some(2), Some(9), "999-0000754708"),
    ("NG", "50547", Some(2), Some(9), "50547-0000754709"),
    ("NZ", "020001", Some(2), Some(10), "02-0001-0000075-470"),
    ("SG", "9999001", Some(2), Some(10), "9999-001-0000075470"),
    ("US", "123456780", Some(2), Some(10), "123456780-0000075470"),
    ("US", "123456780", Some(2), Some(17), "123456780-00000000000075470"),
    ("ZA", "999001", Some(2), Some(10), "999001-0000075470"),
    ("BR", "KASSA01", Some(3), Some(10), "KASSA01000007547062"),
    ("BR", "900001", Some(4), Some(10), "90000100000754704"),
];
/// A zone takes the place of all that was planned from its day on; what is over stays; and a bank has its zones after a
/// restart, too.
#[test]
fn time_zones_follow_each_other() {
    let mut bank = Bank::default();
    assert_eq!(bank.ask(Caller::SYSTEM, found_in(Some("Mars/Olympus"))), Err(Refusal::UnknownTimeZone));
    bank.system(found_in(Some("Europe/Vienna")));
    let zones = |bank: &Bank| {
        let told =
            |state: &State| state.time_zones().iter().map(|zone| (zone.from.0, zone.name.clone())).collect::<Vec<_>>();
        assert_eq!(told(&restored(&bank.state)), told(&bank.state));
        told(&bank.state).into_iter().map(|(from, name)| format!("{from} {name}")).collect::<Vec<_>>().join(", ")
    };
    let first = format!("{} Europe/Vienna", i32::MIN);
    let list = std::sync::Arc::clone(bank.state.time_zones());
    let day = bank.now().day().0;
    for (from, name, expected) in [
        (day + 5, "UTC", format!("{first}, {} UTC", day + 5)),
        (day + 9, "Etc/GMT+12", format!("{first}, {} UTC, {} Etc/GMT+12", day + 5, day + 9)),
        (day + 7, "Pacific/Kiritimati", format!("{first}, {} UTC, {} Pacific/Kiritimati", day + 5, day + 7)),
        (day + 6, "UTC", format!("{first}, {} UTC", day + 5)), // the plan for the seventh is no more
        (day + 2, "Europe/Vienna", first.clone()),             // nor is that for the fifth
    ] {
        bank.system(set_time_zone(from, name));
        assert_eq!(zones(&bank), expected, "{from} {name}");
        assert!(!std::sync::Arc::ptr_eq(&list, bank.state.time_zones()), "another list, whatever it says");
    }
    assert_eq!(bank.ask(Caller::SYSTEM, set_time_zone(day + 2, "Europe/Vienna")), Err(Refusal::SameTimeZone));

    // The day after tomorrow has not begun here, but in the new zone tomorrow has, in the last ten hours of today.
    bank.idle_ms += ValueDate(day).start().plus_ms(11 * HOUR).0 - bank.now().0;
    assert_eq!(bank.ask(Caller::SYSTEM, set_time_zone(day + 1, "Pacific/Kiritimati")), Err(Refusal::DayHasBegun));
    assert_eq!(bank.ask(Caller::SYSTEM, set_time_zone(day + 1, "Etc/GMT+12")), Ok(()));

    for number in 1..i32::try_from(bank::MAX_TIME_ZONES).unwrap() {
        bank.system(set_time_zone(day + 10 + number, if number % 2 == 0 { "UTC" } else { "Etc/GMT+12" }));
    }
    assert_eq!(bank.state.time_zones().len(), bank::MAX_TIME_ZONES);
    let one_more = set_time_zone(day + 1_000, "Pacific/Kiritimati");
    assert_eq!(bank.ask(Caller::SYSTEM, one_more), Err(Refusal::TooManyTimeZones));
}

/// Whatever is booked counts from the day that the facts tell, unless the command says another.
#[test]
fn the_day_comes_with_the_facts() {
    let street = Street::new();
    let today = ValueDate(12_345);
    let legs = [leg(street.annas, street.bens, eur(1))];
    let dated = Pay { value_date: Some(ValueDate(7)), ..payment(&legs) };
    let past = street.bank.posting(street.paid);
    for (body, expected) in [
        (pay(&legs), today),
        (Body::Payments(PaymentCommand::PayAll(vec![payment(&legs); 2])), today),
        (deposit(street.annas, 1), today),
        (Body::Payments(PaymentCommand::Withdraw { account: street.annas, amount: eur(1), text: None }), today),
        (book(street.annas, street.fees, 1), today),
        (Body::Holds(HoldCommand::Capture { hold: street.open_hold, amount: eur(1), last: false }), today),
        (Body::Payments(PaymentCommand::Refund { of: street.paid, leg: 0, amount: eur(1), text: None }), today),
        (Body::Payments(PaymentCommand::Reverse { of: street.paid, text: None }), today),
        (Body::Payments(PaymentCommand::Pay(dated)), ValueDate(7)),
    ] {
        let command = Command { caller: Caller::SYSTEM, origin: Origin::default(), request: None, body };
        let facts = Facts { now: street.bank.now(), today, zone_begins: None, past: past.as_ref(), earlier: None };
        let Decision::Accepted(events) = decide(&street.bank.state, &command, &facts) else { panic!("{command:?}") };
        let days = events.iter().filter_map(|event| match &event.what {
            What::Payments(PaymentEvent::Posted { posting, .. }) => Some(posting.value_date()),
            _ => None,
        });
        let days: Vec<_> = days.collect();
        assert!(!days.is_empty() && days.iter().all(|day| *day == expected), "{command:?}: {days:?}");
    }
}

// ---- Replay ----

/// A random command: who, under which key, and what, its numbers still to be made those of things there are.
#[derive(Debug, Clone)]
struct Step {
    caller: u8,
    key: Option<u8>,
    kind: u8,
    places: [Index; 3],
    amount: i64,
    flag: bool,
    idle_ms: i64,
}

prop_compose! {
    fn any_step()(
        caller in 0..12_u8,
        key in prop::option::of(0..40_u8),
        kind in 0..36_u8,
        places in any::<[Index; 3]>(),
        amount in prop_oneof![10 => 1..3_000_i64, 1 => -1..=0_i64, 1 => 1_000_000..2_000_000_i64],
        flag in any::<bool>(),
        idle_ms in prop_oneof![8 => 0..5_000_i64, 1 => 0..10 * HOUR],
    ) -> Step {
        Step { caller, key, kind, places, amount, flag, idle_ms }
    }
}

fn command(street: &Street, bank: &Bank, step: &Step) -> Command {
    let callers = [street.operator, street.operator, street.operator, street.auditor, street.anna, street.ben];
    let caller =
        callers.into_iter().chain([street.dora, street.carl]).nth(usize::from(step.caller)).unwrap_or(Caller::SYSTEM);
    let request = step.key.map(request);
    Command { origin: Origin::default(), caller, request, body: body(bank, step) }
}

fn body(bank: &Bank, step: &Step) -> Body {
    let [a, b, c] = step.places;
    let accounts = bank.state.ledger().accounts().len() + 1;
    let account = |index: Index| AccountId(u32::try_from(index.index(accounts)).unwrap());
    let event = |index: Index| u64::try_from(index.index(bank.journal.len())).unwrap() + 1;
    let posted = bank
        .journal
        .iter()
        .enumerate()
        .filter(|(_, event)| matches!(event.what, What::Payments(PaymentEvent::Posted { .. })));
    let posted: Vec<u64> = posted.map(|(place, _)| u64::try_from(place).unwrap() + 1).collect();
    let of = posting(posted[a.index(posted.len())]);
    let held: Vec<HoldId> = bank.state.ledger().holds().map(|(id, _)| id).collect();
    let held = if held.is_empty() { hold(event(a)) } else { held[a.index(held.len())] };
    let (user, customer) = (UserId(u32::try_from(a.index(9)).unwrap()), CustomerId(u32::try_from(b.index(8)).unwrap()));
    let token = TokenHash([u8::try_from(c.index(16)).unwrap(); 16]);
    let later = bank.now().plus_ms(step.amount * 10_000);
    let (amount, text) = (eur(step.amount), step.flag.then(|| sealed("text")));
    let said: Option<SharedText> = text.clone().map(Into::into);
    let one = leg(account(a), account(b), amount);
    match step.kind {
        0 => Body::Access(AccessCommand::AddCustomer { name: sealed("new") }),
        1 => add_user(u8::try_from(a.index(30)).unwrap(), Role::Customer, Some(customer)),
        2 | 3 => Body::Access(AccessCommand::SignIn {
            user,
            token,
            expires_at: later,
            from: step.flag.then_some(AddressHash([7; 16])),
        }),
        4 => Body::Access(AccessCommand::SignOut { token }),
        5 => Body::Access(AccessCommand::SignInFailed { user }),
        34 => set_password(user),
        6 => Body::Accounts(AccountCommand::OpenAccount(OpenAccount {
            owner: step.flag.then_some(customer),
            name: text,
            ..open()
        })),
        7 => Body::Access(AccessCommand::Grant {
            customer,
            account: account(a),
            right: Right::Signatory { limit_minor: Some(step.amount) },
        }),
        8 => Body::Access(AccessCommand::Revoke { customer, account: account(a) }),
        9 => {
            let status = [Status::Open, Status::Open, Status::FrozenForDebits, Status::Frozen, Status::Closed];
            Body::Accounts(AccountCommand::SetStatus { account: account(a), status: status[b.index(5)] })
        }
        10 => Body::Accounts(AccountCommand::SetOverdraft {
            account: account(a),
            overdraft: Overdraft::Limited(step.amount.unsigned_abs()),
        }),
        11..=13 => pay(&[one]),
        14 => pay(&[one, leg(account(a), account(c), amount), leg(account(b), account(c), amount)]),
        15 | 16 => Body::Payments(PaymentCommand::Deposit { account: account(a), amount, text: said }),
        17 => Body::Payments(PaymentCommand::Withdraw { account: account(a), amount, text: said }),
        18 | 19 => Body::Holds(HoldCommand::PlaceHold { leg: one, expires_at: later, text: said, metadata: None }),
        20 => Body::Holds(HoldCommand::Capture { hold: held, amount, last: step.flag }),
        21 => Body::Holds(HoldCommand::Void { hold: held }),
        22 => Body::Holds(HoldCommand::Expire { hold: held }),
        23 | 24 => {
            let leg = u32::try_from(c.index(2)).unwrap();
            Body::Payments(PaymentCommand::Refund { of, leg, amount, text: said })
        }
        27 => Body::Payments(PaymentCommand::PayAll(vec![
            payment(&[one]),
            payment(&[leg(account(b), account(c), amount)]),
            payment(&[one]),
        ])),
        25 => Body::Holds(HoldCommand::Extend { hold: held, expires_at: later }),
        35 => Body::Payments(PaymentCommand::Book { leg: one, reason: sealed("a reason").into() }),
        26 => Body::Accounts(AccountCommand::Rename { account: account(a), name: text }),
        28 | 29 => {
            let kind = Kind::ALL[a.index(Kind::ALL.len())];
            let overdraft =
                if step.flag { Overdraft::Limited(step.amount.unsigned_abs()) } else { Overdraft::Unlimited };
            let owner = (b.index(3) > 0).then_some(CustomerId(1 + u32::try_from(b.index(4)).unwrap()));
            Body::Accounts(AccountCommand::OpenAccount(OpenAccount { kind, overdraft, owner, ..open() }))
        }
        30 => Body::Accounts(AccountCommand::SetOverdraft { account: account(a), overdraft: Overdraft::Unlimited }),
        31 => Body::Access(AccessCommand::Grant { customer, account: account(a), right: Right::Owner }),
        32 => Body::Access(AccessCommand::Grant { customer, account: account(a), right: Right::ReadOnly }),
        _ => Body::Payments(PaymentCommand::Reverse { of, text: said }),
    }
}

/// An account whose money a customer may move, and which is none, or has no limit.
fn credit_without_end(state: &State) -> Option<AccountId> {
    let mut customers = state.ledger().accounts().filter(|(id, _)| state.is_a_customers(*id));
    let suits = |id: AccountId, account: &ledger::Account| {
        let of_a_kind = matches!(account.kind, Kind::Liability | Kind::Asset) && !state.is_cash(id);
        of_a_kind && matches!(account.overdraft, Overdraft::Limited(_))
    };
    customers.find(|(id, account)| !suits(*id, account)).map(|(id, _)| id)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn replay_restore_and_retries(steps in prop::collection::vec(any_step(), 1..150), restart in any::<Index>()) {
        let street = Street::new();
        let mut bank = street.bank.clone();
        let mut times: Vec<Timestamp> = (1..=bank.state.last_event()).map(at).collect();
        // The street itself paused for an hour before its last event.
        *times.last_mut().unwrap() = bank.state.time().unwrap();
        let mut first_outcomes: HashMap<u8, u64> = HashMap::new();
        let mut restarted: Option<Bank> = None;

        for (place, step) in steps.iter().enumerate() {
            bank.idle_ms += step.idle_ms;
            if place == restart.index(steps.len()) {
                let state = restored(&bank.state);
                prop_assert_eq!(records(&state), bank.records());
                restarted = Some(Bank { state, ..bank.clone() });
            }
            let command = command(&street, &bank, step);
            let decision = bank.decide(&command);
            let known = step.key.and_then(|key| first_outcomes.get(&key));
            match (&decision, known) {
                (Decision::Repeated(event), known) => prop_assert_eq!(Some(event), known),
                (_, known) => prop_assert_eq!(known, None),
            }
            if let Some(other) = &mut restarted {
                other.idle_ms = bank.idle_ms;
                prop_assert_eq!(other.decide(&command), decision.clone());
                other.take(&decision);
            }
            let first = bank.take(&decision);
            times.resize_with(bank.journal.len(), || Timestamp(0));
            for number in first.into_iter().flat_map(|first| first..=bank.state.last_event()) {
                times[usize::try_from(number).unwrap() - 1] = at(number).plus_ms(bank.idle_ms);
            }
            if let (Some(key), Some(first)) = (step.key, first) {
                first_outcomes.entry(key).or_insert(first);
            }
            prop_assert_eq!(bank.state.ledger().check_laws(), Ok(()));
            prop_assert_eq!(credit_without_end(&bank.state), None);
        }

        let mut again = State::default();
        for ((number, event), at) in (1..).zip(Event::decode_all(&bank.bytes)).zip(times) {
            again.apply(number, at, &event.unwrap());
        }
        prop_assert_eq!(records(&again), bank.records());
        prop_assert_eq!(records(&restarted.unwrap().state), bank.records());
        for (key, first) in first_outcomes {
            prop_assert_eq!(again.outcome_of(&[key; 16]), Some(first));
        }
    }

    #[test]
    fn garbage_is_refused_in_words(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for _ in Event::decode_all(&bytes) {}
        let _ = Event::decode_nth(&bytes, 3);
        let _ = State::default().restore_bytes(&bytes);
    }
}

/// Each bit of a whole journal flipped once: it is read, or told in words, and a checker never stops.
#[test]
fn a_flipped_bit_never_stops_the_reader() {
    let bank = story();
    let street = Street::new();
    let mut start = 0;
    for event in &bank.journal {
        let mut bytes = Vec::new();
        event.encode_to(&mut bytes);
        start += bytes.len();
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            for read in Event::decode_all(&bytes).flatten() {
                let _ = street.bank.state.check(street.bank.state.last_event() + 1, &read);
            }
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
    assert_eq!(start, bank.bytes.len());
}
