//! The ledger as its users see it: every refusal and which comes first, every way to write an amount, the mistakes that
//! other ledgers have shipped, and the laws under random use.

use std::collections::{BTreeMap, BTreeSet};

use ledger::{
    Account, AccountId, AmountError, Cause, Currency, Hold, HoldId, Kind, Ledger, Leg, MAX_LEGS, Money, Overdraft,
    Posting, PostingId, Refusal, Status, Timestamp, Undone, ValueDate,
};
use proptest::prelude::*;
use proptest::sample::Index;

// ---- A desk at which a ledger is asked, and its answers booked ----

/// One question to a ledger.
#[derive(Debug, Clone)]
enum Ask {
    Post(Vec<Leg>),
    PlaceHold(Leg, Timestamp),
    Capture(HoldId, Money, bool),
    Void(HoldId),
    Expire(HoldId),
    Extend(HoldId, Timestamp),
    Refund(PostingId, u32, Money),
    Reverse(PostingId),
    SetStatus(AccountId, Status),
    SetOverdraft(AccountId, Overdraft),
}

/// What a ledger agreed to.
#[derive(Debug, Clone, PartialEq)]
enum Answer {
    Opened(Account),
    Posted(Posting),
    Held(Hold),
    Released(HoldId),
    Extended(HoldId, Timestamp),
    Status(AccountId, Status),
    Overdraft(AccountId, Overdraft),
}

/// A ledger with what a journal would keep of it: its answers in order, the first being event 1.
#[derive(Debug, Default)]
struct Desk {
    ledger: Ledger,
    journal: Vec<Answer>,
}

impl Desk {
    fn open(&mut self, currency: Currency, kind: Kind, overdraft: Overdraft) -> AccountId {
        let id = self.ledger.next_account();
        self.book(Answer::Opened(Account::new(currency, kind, overdraft, Timestamp(0))));
        id
    }

    fn ask(&self, now: Timestamp, ask: &Ask) -> Result<Answer, Refusal> {
        let (ledger, day) = (&self.ledger, now.day());
        match ask {
            Ask::Post(legs) => ledger.post(legs, now, day).map(Answer::Posted),
            Ask::PlaceHold(leg, expires_at) => ledger.place_hold(*leg, now, *expires_at).map(Answer::Held),
            Ask::Capture(hold, amount, last) => ledger.capture(*hold, *amount, *last, now, day).map(Answer::Posted),
            Ask::Void(hold) => ledger.void(*hold).map(|()| Answer::Released(*hold)),
            Ask::Expire(hold) => ledger.expire(*hold, now).map(|()| Answer::Released(*hold)),
            Ask::Extend(hold, expires_at) => {
                ledger.extend(*hold, *expires_at, now).map(|()| Answer::Extended(*hold, *expires_at))
            }
            Ask::Refund(of, leg, amount) => {
                ledger.refund(*of, self.posting(*of), *leg, *amount, now, day).map(Answer::Posted)
            }
            Ask::Reverse(of) => ledger.reverse(*of, self.posting(*of), now, day).map(Answer::Posted),
            Ask::SetStatus(id, status) => ledger.set_status(*id, *status).map(|()| Answer::Status(*id, *status)),
            Ask::SetOverdraft(id, overdraft) => {
                ledger.set_overdraft(*id, *overdraft).map(|()| Answer::Overdraft(*id, *overdraft))
            }
        }
    }

    /// Books an answer and gives the number of its event.
    fn book(&mut self, answer: Answer) -> u64 {
        self.journal.push(answer.clone());
        let event = u64::try_from(self.journal.len()).unwrap();
        apply(&mut self.ledger, event, &answer);
        event
    }

    fn act(&mut self, now: Timestamp, ask: &Ask) -> Result<u64, Refusal> {
        let answer = self.ask(now, ask)?;
        Ok(self.book(answer))
    }

    fn pay(&mut self, legs: &[Leg]) -> Result<PostingId, Refusal> {
        self.act(EARLY, &Ask::Post(legs.to_vec())).map(|event| PostingId::new(event).unwrap())
    }

    fn hold(&mut self, leg: Leg, expires_at: Timestamp) -> Result<HoldId, Refusal> {
        self.act(EARLY, &Ask::PlaceHold(leg, expires_at)).map(|event| HoldId::new(event).unwrap())
    }

    fn posting(&self, id: PostingId) -> &Posting {
        match &self.journal[usize::try_from(id.event()).unwrap() - 1] {
            Answer::Posted(posting) => posting,
            other => panic!("event {} is {other:?}", id.event()),
        }
    }

    /// Posted, held and available.
    fn balances(&self, id: AccountId) -> (i64, i64, i64) {
        let account = self.ledger.account(id).unwrap();
        (account.posted_minor, account.held_minor, account.available_minor())
    }

    fn check_laws(&self) {
        assert_eq!(self.ledger.check_laws(), Ok(()));
        let _ = self.ledger.trial_balance();
    }
}

fn apply(ledger: &mut Ledger, event: u64, answer: &Answer) {
    match answer {
        Answer::Opened(account) => {
            ledger.apply_account(*account);
        }
        Answer::Posted(posting) => ledger.apply_posting(PostingId::new(event).unwrap(), posting),
        Answer::Held(hold) => ledger.apply_hold(HoldId::new(event).unwrap(), *hold),
        Answer::Released(hold) => ledger.apply_release(*hold),
        Answer::Extended(hold, expires_at) => ledger.apply_extension(*hold, *expires_at),
        Answer::Status(id, status) => ledger.apply_status(*id, *status),
        Answer::Overdraft(id, overdraft) => ledger.apply_overdraft(*id, *overdraft),
    }
}

const BEFORE: Timestamp = Timestamp(100);
const EARLY: Timestamp = Timestamp(500);
const NOW: Timestamp = Timestamp(1_000);
const LATE: Timestamp = Timestamp(2_000);

fn currency(code: &str) -> Currency {
    Currency::from_code(code).unwrap()
}

fn eur(minor: i64) -> Money {
    Money { minor, currency: currency("EUR") }
}

fn yen(minor: i64) -> Money {
    Money { minor, currency: currency("JPY") }
}

fn leg(debit: AccountId, credit: AccountId, amount: Money) -> Leg {
    Leg { debit, credit, amount }
}

// ---- Refusals ----

/// A bank of all sorts of accounts, holds and past postings, on which every refusal can be had.
struct Bank {
    desk: Desk,
    vault: AccountId,
    anna: AccountId,
    ben: AccountId,
    zoe: AccountId,
    yuki: AccountId,
    deep: AccountId,
    rich: AccountId,
    frozen: AccountId,
    half_frozen: AccountId,
    closed: AccountId,
    open_hold: HoldId,
    over_hold: HoldId,
    used_hold: HoldId,
    frozen_hold: HoldId,
    payment: PostingId,
    spent: PostingId,
    refunded: PostingId,
    refund: PostingId,
    reversed: PostingId,
    reversal: PostingId,
}

const NOWHERE: AccountId = AccountId(99);

impl Bank {
    fn new() -> Self {
        let mut desk = Desk::default();
        let mut open = |code: &str, kind, overdraft| desk.open(currency(code), kind, overdraft);
        let vault = open("EUR", Kind::Asset, Overdraft::Unlimited);
        let anna = open("EUR", Kind::Liability, Overdraft::Limited(0));
        let ben = open("EUR", Kind::Liability, Overdraft::Limited(0));
        let zoe = open("EUR", Kind::Liability, Overdraft::Limited(50));
        let yuki = open("JPY", Kind::Liability, Overdraft::Limited(0));
        let deep = open("EUR", Kind::Liability, Overdraft::Limited(10));
        let rich = open("EUR", Kind::Liability, Overdraft::Limited(0));
        let frozen = open("EUR", Kind::Liability, Overdraft::Limited(0));
        let half_frozen = open("EUR", Kind::Liability, Overdraft::Limited(0));
        let closed = open("EUR", Kind::Liability, Overdraft::Limited(0));
        let mint = open("EUR", Kind::Asset, Overdraft::Unlimited);

        for account in [frozen, half_frozen] {
            desk.pay(&[leg(vault, account, eur(100))]).unwrap();
        }
        desk.pay(&[leg(mint, rich, eur(i64::MAX))]).unwrap();
        desk.pay(&[leg(deep, ben, eur(5))]).unwrap();
        desk.pay(&[leg(vault, anna, eur(1_000))]).unwrap();
        let payment = desk.pay(&[leg(anna, zoe, eur(100))]).unwrap();
        desk.pay(&[leg(zoe, vault, eur(100))]).unwrap();
        let spent = desk.pay(&[leg(anna, ben, eur(60))]).unwrap();
        desk.pay(&[leg(ben, vault, eur(65))]).unwrap();
        let refunded = desk.pay(&[leg(anna, vault, eur(80))]).unwrap();
        let refund = desk.act(EARLY, &Ask::Refund(refunded, 0, eur(30))).unwrap();
        let reversed = desk.pay(&[leg(anna, vault, eur(70))]).unwrap();
        let reversal = desk.act(EARLY, &Ask::Reverse(reversed)).unwrap();

        let open_hold = desk.hold(leg(anna, ben, eur(40)), LATE).unwrap();
        desk.act(EARLY, &Ask::Capture(open_hold, eur(10), false)).unwrap();
        desk.pay(&[leg(ben, vault, eur(10))]).unwrap();
        let over_hold = desk.hold(leg(anna, ben, eur(40)), NOW).unwrap();
        let used_hold = desk.hold(leg(anna, ben, eur(40)), LATE).unwrap();
        desk.act(EARLY, &Ask::Void(used_hold)).unwrap();
        let frozen_hold = desk.hold(leg(frozen, anna, eur(40)), LATE).unwrap();
        desk.hold(leg(zoe, anna, eur(20)), LATE).unwrap();

        for (account, status) in
            [(frozen, Status::Frozen), (half_frozen, Status::FrozenForDebits), (closed, Status::Closed)]
        {
            desk.act(EARLY, &Ask::SetStatus(account, status)).unwrap();
        }
        let (refund, reversal) = (PostingId::new(refund).unwrap(), PostingId::new(reversal).unwrap());
        desk.check_laws();
        Self {
            desk,
            vault,
            anna,
            ben,
            zoe,
            yuki,
            deep,
            rich,
            frozen,
            half_frozen,
            closed,
            open_hold,
            over_hold,
            used_hold,
            frozen_hold,
            payment,
            spent,
            refunded,
            refund,
            reversed,
            reversal,
        }
    }
}

/// A refusal's place in the documented order of precedence. No wildcard: a new refusal must be given its rows.
fn place(refusal: Refusal) -> usize {
    match refusal {
        Refusal::HoldNotOpen => 0,
        Refusal::HoldExpired => 1,
        Refusal::HoldNotExpired => 2,
        Refusal::HoldNotLonger => 3,
        Refusal::NotUndoable => 4,
        Refusal::AlreadyReversed => 5,
        Refusal::AlreadyRefunded => 6,
        Refusal::NoSuchLeg => 7,
        Refusal::NoLegs => 8,
        Refusal::TooManyLegs => 9,
        Refusal::AmountNotPositive => 10,
        Refusal::UnknownAccount => 11,
        Refusal::SameAccount => 12,
        Refusal::CurrencyMismatch => 13,
        Refusal::AccountClosed => 14,
        Refusal::AccountFrozen => 15,
        Refusal::CaptureExceedsHold { .. } => 16,
        Refusal::RefundExceedsPayment { .. } => 17,
        Refusal::BookedBackwards => 18,
        Refusal::InsufficientFunds { .. } => 19,
        Refusal::BalanceOutOfRange => 20,
        Refusal::AccountNotEmpty => 21,
        Refusal::HoldsOpen => 22,
        Refusal::OverdraftInUse => 23,
    }
}

const REFUSALS: usize = 24;

/// Asks at `now` and expects `given`, although each of `hidden` would be a reason too.
fn check(bank: &Bank, now: Timestamp, ask: &Ask, given: Refusal, hidden: &[Refusal]) {
    assert_eq!(bank.desk.ask(now, ask), Err(given), "{ask:?} at {now:?}");
    for later in hidden {
        assert!(place(given) < place(*later), "{given:?} does not come before {later:?}");
    }
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn every_refusal_in_its_order() {
    use Ask::{Capture, Expire, Extend, PlaceHold, Post, Refund, Reverse, SetOverdraft, SetStatus, Void};
    use Refusal as R;
    let bank = Bank::new();
    let Bank { vault, anna, ben, zoe, yuki, deep, rich, frozen, half_frozen, closed, .. } = bank;
    let Bank { open_hold, over_hold, used_hold, frozen_hold, .. } = bank;
    let Bank { payment, spent, refunded, refund, reversed, reversal, .. } = bank;
    let never_placed = HoldId::new(9_999).unwrap();
    let one = |debit, credit, minor| Post(vec![leg(debit, credit, eur(minor))]);
    let poor = |minor| R::InsufficientFunds { available: eur(minor) };
    let held = |minor| R::CaptureExceedsHold { remaining: eur(minor) };
    let paid = |minor| R::RefundExceedsPayment { remaining: eur(minor) };
    // What Anna can spend: 1,000 less 100, 60, 80, 10 and two holds of 30 and 40, and 30 refunded.
    let anna_has = 710;

    let rows: &[(Timestamp, Ask, Refusal, &[Refusal])] = &[
        (NOW, Capture(used_hold, eur(0), false), R::HoldNotOpen, &[R::AmountNotPositive]),
        (NOW, Capture(never_placed, yen(1), false), R::HoldNotOpen, &[R::CurrencyMismatch]),
        (NOW, Void(used_hold), R::HoldNotOpen, &[]),
        (NOW, Expire(never_placed), R::HoldNotOpen, &[]),
        (NOW, Capture(over_hold, eur(1), false), R::HoldExpired, &[]),
        (NOW, Capture(over_hold, eur(0), false), R::HoldExpired, &[R::AmountNotPositive]),
        (NOW, PlaceHold(leg(anna, ben, eur(1)), NOW), R::HoldExpired, &[]),
        (NOW, PlaceHold(leg(anna, NOWHERE, eur(1)), BEFORE), R::HoldExpired, &[R::UnknownAccount]),
        (NOW, Expire(open_hold), R::HoldNotExpired, &[]),
        (Timestamp(1_999), Expire(open_hold), R::HoldNotExpired, &[]),
        (NOW, Extend(used_hold, BEFORE), R::HoldNotOpen, &[R::HoldNotLonger]),
        (NOW, Extend(over_hold, NOW), R::HoldExpired, &[R::HoldNotLonger]),
        (NOW, Extend(over_hold, LATE), R::HoldExpired, &[]),
        (NOW, Extend(open_hold, LATE), R::HoldNotLonger, &[]),
        (NOW, Extend(frozen_hold, Timestamp(LATE.0 - 1)), R::HoldNotLonger, &[]),
        (NOW, Reverse(reversal), R::NotUndoable, &[]),
        (NOW, Reverse(refund), R::NotUndoable, &[]),
        (NOW, Refund(refund, 0, eur(1)), R::NotUndoable, &[]),
        (NOW, Refund(reversal, 7, eur(1)), R::NotUndoable, &[R::NoSuchLeg]),
        (NOW, Reverse(reversed), R::AlreadyReversed, &[]),
        (NOW, Refund(reversed, 7, eur(0)), R::AlreadyReversed, &[R::NoSuchLeg, R::AmountNotPositive]),
        (NOW, Reverse(refunded), R::AlreadyRefunded, &[]),
        (BEFORE, Reverse(refunded), R::AlreadyRefunded, &[R::BookedBackwards]),
        (NOW, Refund(payment, 1, eur(0)), R::NoSuchLeg, &[R::AmountNotPositive]),
        (NOW, Refund(payment, u32::MAX, eur(1)), R::NoSuchLeg, &[]),
        (NOW, Post(vec![]), R::NoLegs, &[]),
        (
            NOW,
            Post(vec![leg(anna, anna, eur(0)); MAX_LEGS + 1]),
            R::TooManyLegs,
            &[R::AmountNotPositive, R::SameAccount],
        ),
        (NOW, one(anna, ben, 0), R::AmountNotPositive, &[]),
        (NOW, one(anna, ben, -1), R::AmountNotPositive, &[]),
        (NOW, one(anna, NOWHERE, i64::MIN), R::AmountNotPositive, &[R::UnknownAccount]),
        (NOW, Capture(open_hold, eur(0), true), R::AmountNotPositive, &[]),
        (NOW, Refund(payment, 0, eur(-5)), R::AmountNotPositive, &[]),
        (NOW, PlaceHold(leg(anna, ben, eur(0)), LATE), R::AmountNotPositive, &[]),
        (NOW, one(anna, NOWHERE, 1), R::UnknownAccount, &[]),
        (NOW, one(NOWHERE, anna, 1), R::UnknownAccount, &[]),
        (NOW, one(NOWHERE, NOWHERE, 1), R::UnknownAccount, &[R::SameAccount]),
        (NOW, one(closed, NOWHERE, 1), R::UnknownAccount, &[R::AccountClosed]),
        (NOW, SetStatus(NOWHERE, Status::Open), R::UnknownAccount, &[]),
        (NOW, SetOverdraft(NOWHERE, Overdraft::Limited(0)), R::UnknownAccount, &[]),
        (NOW, one(anna, anna, 1), R::SameAccount, &[]),
        (NOW, Post(vec![leg(anna, anna, eur(1)), leg(anna, ben, eur(0))]), R::SameAccount, &[]),
        (NOW, Post(vec![leg(anna, ben, eur(9_999)), leg(anna, ben, eur(0))]), R::AmountNotPositive, &[poor(anna_has)]),
        (NOW, Post(vec![leg(closed, closed, yen(1))]), R::SameAccount, &[R::CurrencyMismatch, R::AccountClosed]),
        (NOW, Post(vec![leg(anna, ben, yen(1))]), R::CurrencyMismatch, &[]),
        (NOW, one(anna, yuki, 1), R::CurrencyMismatch, &[]),
        (NOW, one(yuki, anna, 1), R::CurrencyMismatch, &[]),
        (NOW, one(closed, yuki, 1), R::CurrencyMismatch, &[R::AccountClosed]),
        (NOW, one(frozen, yuki, 1_000), R::CurrencyMismatch, &[R::AccountFrozen, poor(60)]),
        (NOW, Capture(open_hold, yen(31), false), R::CurrencyMismatch, &[held(30)]),
        (NOW, Refund(payment, 0, yen(101)), R::CurrencyMismatch, &[paid(100)]),
        (NOW, one(closed, anna, 1), R::AccountClosed, &[poor(0)]),
        (NOW, one(anna, closed, 1), R::AccountClosed, &[]),
        (NOW, one(frozen, closed, 1), R::AccountClosed, &[R::AccountFrozen]),
        (NOW, one(closed, frozen, 1), R::AccountClosed, &[R::AccountFrozen]),
        (NOW, PlaceHold(leg(anna, closed, eur(1)), LATE), R::AccountClosed, &[]),
        (NOW, SetStatus(closed, Status::Open), R::AccountClosed, &[]),
        (NOW, SetStatus(closed, Status::Closed), R::AccountClosed, &[]),
        (NOW, SetOverdraft(closed, Overdraft::Unlimited), R::AccountClosed, &[]),
        (NOW, one(frozen, anna, 1_000), R::AccountFrozen, &[poor(60)]),
        (NOW, one(anna, frozen, 1), R::AccountFrozen, &[]),
        (NOW, one(half_frozen, anna, 1), R::AccountFrozen, &[]),
        (BEFORE, one(half_frozen, anna, 1), R::AccountFrozen, &[R::BookedBackwards]),
        (NOW, PlaceHold(leg(half_frozen, anna, eur(1)), LATE), R::AccountFrozen, &[]),
        (NOW, Capture(frozen_hold, eur(41), false), R::AccountFrozen, &[held(40)]),
        (NOW, Capture(open_hold, eur(31), false), held(30), &[]),
        (BEFORE, Capture(open_hold, eur(31), false), held(30), &[R::BookedBackwards]),
        (NOW, Refund(payment, 0, eur(101)), paid(100), &[]),
        (NOW, Refund(refunded, 0, eur(51)), paid(50), &[]),
        (NOW, Refund(spent, 0, eur(61)), paid(60), &[poor(0)]),
        (BEFORE, Refund(payment, 0, eur(101)), paid(100), &[R::BookedBackwards]),
        (BEFORE, one(anna, ben, 1), R::BookedBackwards, &[]),
        (BEFORE, one(anna, ben, 10_000), R::BookedBackwards, &[poor(anna_has)]),
        (BEFORE, one(yuki, anna, 1), R::CurrencyMismatch, &[R::BookedBackwards]),
        (BEFORE, Capture(open_hold, eur(1), false), R::BookedBackwards, &[]),
        (NOW, one(anna, ben, anna_has + 1), poor(anna_has), &[]),
        (NOW, PlaceHold(leg(anna, ben, eur(anna_has + 1)), LATE), poor(anna_has), &[]),
        (NOW, one(zoe, ben, 31), poor(-20), &[]),
        (NOW, Refund(spent, 0, eur(60)), poor(0), &[]),
        (NOW, Reverse(spent), poor(0), &[]),
        (NOW, one(anna, rich, 10_000), poor(anna_has), &[R::BalanceOutOfRange]),
        (NOW, one(deep, ben, i64::MAX), poor(-5), &[R::BalanceOutOfRange]),
        (NOW, PlaceHold(leg(deep, ben, eur(i64::MAX)), LATE), poor(-5), &[R::BalanceOutOfRange]),
        (NOW, one(vault, rich, 1), R::BalanceOutOfRange, &[]),
        (NOW, one(vault, ben, i64::MAX), R::BalanceOutOfRange, &[]),
        (NOW, SetStatus(anna, Status::Closed), R::AccountNotEmpty, &[R::HoldsOpen]),
        (NOW, SetStatus(deep, Status::Closed), R::AccountNotEmpty, &[]),
        (NOW, SetStatus(zoe, Status::Closed), R::HoldsOpen, &[]),
        (NOW, SetOverdraft(zoe, Overdraft::Limited(19)), R::OverdraftInUse, &[]),
        (NOW, SetOverdraft(vault, Overdraft::Limited(0)), R::OverdraftInUse, &[]),
    ];
    for (now, ask, given, hidden) in rows {
        check(&bank, *now, ask, *given, hidden);
    }
    let seen: BTreeSet<usize> = rows.iter().map(|(_, _, given, _)| place(*given)).collect();
    assert_eq!(seen, (0..REFUSALS).collect(), "a refusal has no row");
}

/// The other side of each limit: what is just allowed.
#[test]
fn just_allowed() {
    let Bank { vault, anna, ben, zoe, open_hold, over_hold, frozen_hold, refunded, payment, half_frozen, .. } =
        Bank::new();
    for ask in [
        Ask::Post(vec![leg(anna, ben, eur(710))]),
        Ask::Post(vec![leg(zoe, ben, eur(30))]),
        Ask::Post(vec![leg(anna, half_frozen, eur(1))]),
        Ask::Post(vec![leg(anna, ben, eur(1)); MAX_LEGS]),
        Ask::PlaceHold(leg(anna, ben, eur(710)), Timestamp(1_001)),
        Ask::Capture(open_hold, eur(30), false),
        Ask::Expire(over_hold),
        Ask::Void(over_hold),
        Ask::Extend(open_hold, LATE.plus_ms(1)),
        Ask::Extend(frozen_hold, LATE.plus_ms(1)),
        Ask::Refund(refunded, 0, eur(50)),
        Ask::Reverse(payment),
        Ask::SetOverdraft(zoe, Overdraft::Limited(20)),
        Ask::SetOverdraft(vault, Overdraft::Unlimited),
        Ask::SetStatus(ben, Status::Closed),
    ] {
        let mut bank = Bank::new();
        // Zoe has spent what she was paid, and may go 30 further below zero: to have it reversed she needs 70.
        if matches!(ask, Ask::Reverse(_)) {
            bank.desk.pay(&[leg(vault, zoe, eur(70))]).unwrap();
        }
        bank.desk.act(NOW, &ask).unwrap_or_else(|refusal| panic!("{ask:?}: {refusal}"));
        bank.desk.check_laws();
    }
}

// ---- Amounts ----

#[test]
fn amounts_as_written() {
    let malformed = Err(AmountError::Malformed);
    let too_large = Err(AmountError::TooLarge);
    let too_precise = |code| {
        let currency = currency(code);
        Err(AmountError::TooPrecise { currency, decimals: currency.decimals() })
    };
    for (code, text, expected) in [
        ("EUR", "12.50", Ok(1_250)),
        ("EUR", "12.5", Ok(1_250)),
        ("EUR", "12", Ok(1_200)),
        ("EUR", "0", Ok(0)),
        ("EUR", "-0", Ok(0)),
        ("EUR", "-0.01", Ok(-1)),
        ("EUR", "-12.50", Ok(-1_250)),
        ("EUR", "007.10", Ok(710)),
        ("EUR", "92233720368547758.07", Ok(i64::MAX)),
        ("EUR", "-92233720368547758.08", Ok(i64::MIN)),
        ("EUR", "92233720368547758.08", too_large),
        ("EUR", "-92233720368547758.09", too_large),
        ("EUR", "99999999999999999999999999999", too_large),
        ("EUR", "1.005", too_precise("EUR")),
        ("EUR", "1.000", too_precise("EUR")),
        ("JPY", "1200", Ok(1_200)),
        ("JPY", "1.0", too_precise("JPY")),
        ("JPY", "9223372036854775807", Ok(i64::MAX)),
        ("JPY", "9223372036854775808", too_large),
        ("KWD", "0.001", Ok(1)),
        ("KWD", "1.5", Ok(1_500)),
        ("KWD", "1.0005", too_precise("KWD")),
        ("CLF", "0.0001", Ok(1)),
        ("UYW", "3.1415", Ok(31_415)),
        ("UYW", "3.14159", too_precise("UYW")),
        ("EUR", "", malformed),
        ("EUR", "-", malformed),
        ("EUR", ".", malformed),
        ("EUR", ".5", malformed),
        ("EUR", "5.", malformed),
        ("EUR", "-.5", malformed),
        ("EUR", "+1", malformed),
        ("EUR", "--1", malformed),
        ("EUR", "1-", malformed),
        ("EUR", "1e3", malformed),
        ("EUR", "1,50", malformed),
        ("EUR", "1.2.3", malformed),
        ("EUR", "1 000", malformed),
        ("EUR", " 1", malformed),
        ("EUR", "1\n", malformed),
        ("EUR", "0x10", malformed),
        ("EUR", "NaN", malformed),
        ("EUR", "١٢", malformed),
        ("EUR", "00000000000000000000000000001.00", Ok(100)),
        ("EUR", "000000000000000000000000000001.00", malformed),
    ] {
        let currency = currency(code);
        let expected = expected.map(|minor| Money { minor, currency });
        assert_eq!(Money::parse(text, currency), expected, "{text:?} {code}");
    }
}

#[test]
fn amounts_as_printed() {
    for (code, minor, text) in [
        ("EUR", 1_250, "12.50"),
        ("EUR", -1_250, "-12.50"),
        ("EUR", 0, "0.00"),
        ("EUR", 7, "0.07"),
        ("EUR", -7, "-0.07"),
        ("EUR", i64::MAX, "92233720368547758.07"),
        ("EUR", i64::MIN, "-92233720368547758.08"),
        ("JPY", 1_200, "1200"),
        ("JPY", -1, "-1"),
        ("KWD", 1, "0.001"),
        ("UYW", 31_415, "3.1415"),
    ] {
        assert_eq!(Money { minor, currency: currency(code) }.to_string(), text);
    }
}

#[test]
fn known_currencies() {
    for (code, numeric, decimals) in [
        ("JPY", 392, 0),
        ("ISK", 352, 0),
        ("KRW", 410, 0),
        ("VND", 704, 0),
        ("CLP", 152, 0),
        ("UGX", 800, 0),
        ("XOF", 952, 0),
        ("EUR", 978, 2),
        ("USD", 840, 2),
        ("GBP", 826, 2),
        ("CHF", 756, 2),
        ("MGA", 969, 2),
        ("BHD", 48, 3),
        ("IQD", 368, 3),
        ("JOD", 400, 3),
        ("KWD", 414, 3),
        ("LYD", 434, 3),
        ("OMR", 512, 3),
        ("TND", 788, 3),
        ("CLF", 990, 4),
        ("UYW", 927, 4),
    ] {
        let currency = currency(code);
        assert_eq!((currency.numeric(), currency.decimals()), (numeric, decimals), "{code}");
    }
    for none in ["XAU", "XDR", "XXX", "XTS", "eur", "", "EURO", "€"] {
        assert_eq!(Currency::from_code(none), None, "{none} has no minor units");
    }
}

#[test]
fn every_currency_leads_back() {
    let currencies: Vec<Currency> = (0..=999).filter_map(Currency::from_numeric).collect();
    assert!(currencies.len() > 150, "ISO 4217 lists some 170 currencies with minor units");
    for pair in currencies.windows(2) {
        assert!(pair[0] < pair[1], "currencies stand in the order of their numbers");
    }
    for currency in currencies {
        assert_eq!(Currency::from_code(currency.code()), Some(currency));
        assert_eq!(Currency::from_numeric(currency.numeric()), Some(currency));
        for minor in [i64::MIN, -12_345, -1, 0, 1, 99, 12_345, i64::MAX] {
            let money = Money { minor, currency };
            assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        }
    }
}

// ---- Mistakes that other ledgers have shipped ----

/// A desk with a vault and customers' accounts in euros, the first of them with `minor`.
fn desk_with(minor: i64, customers: usize) -> (Desk, AccountId, Vec<AccountId>) {
    let mut desk = Desk::default();
    let vault = desk.open(currency("EUR"), Kind::Asset, Overdraft::Unlimited);
    let open = |desk: &mut Desk| desk.open(currency("EUR"), Kind::Liability, Overdraft::Limited(0));
    let customers: Vec<AccountId> = (0..customers).map(|_| open(&mut desk)).collect();
    if minor > 0 {
        desk.pay(&[leg(vault, customers[0], eur(minor))]).unwrap();
    }
    (desk, vault, customers)
}

#[test]
fn held_money_is_not_available() {
    let (mut desk, _, ids) = desk_with(100, 2);
    desk.hold(leg(ids[0], ids[1], eur(70)), LATE).unwrap();
    assert_eq!(desk.balances(ids[0]), (100, 70, 30));
    let poor = Err(Refusal::InsufficientFunds { available: eur(30) });
    assert_eq!(desk.pay(&[leg(ids[0], ids[1], eur(31))]), poor);
    assert_eq!(desk.hold(leg(ids[0], ids[1], eur(31)), LATE), poor.map(|_: PostingId| HoldId::new(1).unwrap()));
    desk.pay(&[leg(ids[0], ids[1], eur(30))]).unwrap();
    desk.check_laws();
}

#[test]
fn two_refunds_agreed_to_at_once_are_not_both_booked() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let payment = desk.pay(&[leg(ids[0], ids[1], eur(100))]).unwrap();
    desk.act(EARLY, &Ask::Refund(payment, 0, eur(60))).unwrap();
    let remaining = Refusal::RefundExceedsPayment { remaining: eur(40) };
    assert_eq!(desk.act(EARLY, &Ask::Refund(payment, 0, eur(60))), Err(remaining));
    desk.act(EARLY, &Ask::Refund(payment, 0, eur(40))).unwrap();
    let nothing = Refusal::RefundExceedsPayment { remaining: eur(0) };
    assert_eq!(desk.act(EARLY, &Ask::Refund(payment, 0, eur(1))), Err(nothing));
    assert_eq!(desk.balances(ids[0]), (100, 0, 100));
}

#[test]
fn refunds_of_several_captures_stay_within_each() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let hold = desk.hold(leg(ids[0], ids[1], eur(100)), LATE).unwrap();
    let first = PostingId::new(desk.act(EARLY, &Ask::Capture(hold, eur(30), false)).unwrap()).unwrap();
    let second = PostingId::new(desk.act(EARLY, &Ask::Capture(hold, eur(50), false)).unwrap()).unwrap();
    let above = Refusal::RefundExceedsPayment { remaining: eur(30) };
    assert_eq!(desk.act(EARLY, &Ask::Refund(first, 0, eur(31))), Err(above));
    desk.act(EARLY, &Ask::Refund(first, 0, eur(30))).unwrap();
    desk.act(EARLY, &Ask::Refund(second, 0, eur(50))).unwrap();
    // A refund gives money back, not the hold: 20 are still held.
    assert_eq!(desk.balances(ids[0]), (100, 20, 80));
}

#[test]
fn a_hold_on_an_overdrawn_account_can_be_voided() {
    let (mut desk, _, ids) = desk_with(0, 2);
    desk.act(EARLY, &Ask::SetOverdraft(ids[0], Overdraft::Limited(100))).unwrap();
    let hold = desk.hold(leg(ids[0], ids[1], eur(20)), LATE).unwrap();
    desk.pay(&[leg(ids[0], ids[1], eur(80))]).unwrap();
    assert_eq!(desk.balances(ids[0]), (-80, 20, -100));
    desk.act(EARLY, &Ask::SetStatus(ids[0], Status::Frozen)).unwrap();
    desk.act(NOW, &Ask::Void(hold)).unwrap();
    assert_eq!(desk.balances(ids[0]), (-80, 0, -80));
    desk.check_laws();
}

/// There is no division anywhere: whoever splits says every part, and the parts are the sum.
#[test]
fn a_split_loses_nothing() {
    let (mut desk, vault, ids) = desk_with(100, 4);
    let parts = [34, 33, 33];
    let legs: Vec<Leg> = parts.iter().zip(&ids[1..]).map(|(part, to)| leg(ids[0], *to, eur(*part))).collect();
    desk.pay(&legs).unwrap();
    assert_eq!(desk.balances(ids[0]).0, 0);
    assert_eq!(ids[1..].iter().map(|id| desk.balances(*id).0).sum::<i64>(), 100);
    assert_eq!(desk.balances(vault).0, -100);
}

#[test]
fn an_expired_hold_releases_exactly_what_remains() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let hold = desk.hold(leg(ids[0], ids[1], eur(70)), NOW).unwrap();
    desk.act(EARLY, &Ask::Capture(hold, eur(25), false)).unwrap();
    // Its time is over, so that it can't be captured even before it is released.
    assert_eq!(desk.act(NOW, &Ask::Capture(hold, eur(1), false)), Err(Refusal::HoldExpired));
    desk.act(NOW, &Ask::Expire(hold)).unwrap();
    assert_eq!(desk.balances(ids[0]), (75, 0, 75));
    assert_eq!(desk.act(NOW, &Ask::Capture(hold, eur(1), false)), Err(Refusal::HoldNotOpen));
    assert_eq!(desk.act(NOW, &Ask::Expire(hold)), Err(Refusal::HoldNotOpen));
    desk.check_laws();
}

#[test]
fn an_extended_hold_lasts_until_its_new_time() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let hold = desk.hold(leg(ids[0], ids[1], eur(70)), Timestamp(900)).unwrap();
    let other = desk.hold(leg(ids[0], ids[1], eur(5)), Timestamp(950)).unwrap();
    desk.act(EARLY, &Ask::Extend(hold, LATE)).unwrap();
    assert_eq!(desk.balances(ids[0]), (100, 75, 25), "nothing else is reserved");
    desk.act(NOW, &Ask::Expire(other)).unwrap();
    assert_eq!(desk.act(NOW, &Ask::Expire(hold)), Err(Refusal::HoldNotExpired));
    desk.act(NOW, &Ask::Capture(hold, eur(20), false)).unwrap();
    desk.act(LATE, &Ask::Expire(hold)).unwrap();
    assert_eq!(desk.balances(ids[0]), (80, 0, 80));
    desk.check_laws();
}

#[test]
fn a_refused_last_leg_changes_nothing() {
    let (mut desk, _, ids) = desk_with(100, 3);
    let before = desk.ledger.clone();
    for last in [leg(ids[0], ids[1], eur(1)), leg(ids[1], AccountId(77), eur(1)), leg(ids[2], ids[1], eur(0))] {
        desk.pay(&[leg(ids[0], ids[1], eur(60)), leg(ids[0], ids[2], eur(40)), last]).unwrap_err();
        assert_eq!(desk.ledger, before);
    }
}

/// Each leg must be allowed when its turn comes: money from an earlier leg can be spent, money from a later one can't.
#[test]
fn legs_take_effect_in_order() {
    let (mut desk, _, ids) = desk_with(100, 3);
    let there = leg(ids[0], ids[1], eur(100));
    let onward = leg(ids[1], ids[2], eur(100));
    assert_eq!(desk.pay(&[onward, there]), Err(Refusal::InsufficientFunds { available: eur(0) }));
    let posting = desk.pay(&[there, onward]).unwrap();
    let entries: Vec<(i64, u64)> =
        desk.posting(posting).entries_of(ids[1]).map(|(_, entry, _)| (entry.balance_minor, entry.ordinal)).collect();
    assert_eq!(entries, [(100, 1), (0, 2)]);
    // Undone in the opposite order, so that the same holds of the way back.
    desk.act(EARLY, &Ask::Reverse(posting)).unwrap();
    assert_eq!(desk.balances(ids[0]).0, 100);
}

#[test]
fn amounts_past_two_to_the_53rd_are_exact() {
    const FLOATS_END: i64 = 1 << 53;
    let (mut desk, _, ids) = desk_with(FLOATS_END + 1, 2);
    desk.pay(&[leg(ids[0], ids[1], eur(FLOATS_END))]).unwrap();
    assert_eq!((desk.balances(ids[0]).0, desk.balances(ids[1]).0), (1, FLOATS_END));
    desk.pay(&[leg(ids[0], ids[1], eur(1))]).unwrap();
    assert_eq!(desk.balances(ids[1]).0, FLOATS_END + 1);
    assert_eq!(Money::parse("90071992547409.93", currency("EUR")), Ok(eur(FLOATS_END + 1)));
}

#[test]
fn a_reversal_happens_once_and_excludes_refunds() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let payment = desk.pay(&[leg(ids[0], ids[1], eur(60))]).unwrap();
    let reversal = PostingId::new(desk.act(EARLY, &Ask::Reverse(payment)).unwrap()).unwrap();
    let before = desk.ledger.clone();
    assert_eq!(desk.act(EARLY, &Ask::Reverse(payment)), Err(Refusal::AlreadyReversed));
    assert_eq!(desk.act(EARLY, &Ask::Refund(payment, 0, eur(1))), Err(Refusal::AlreadyReversed));
    assert_eq!(desk.act(EARLY, &Ask::Reverse(reversal)), Err(Refusal::NotUndoable));
    assert_eq!(desk.ledger, before);
    assert_eq!(desk.balances(ids[0]), (100, 0, 100));
    assert_eq!(desk.ledger.undone().collect::<Vec<_>>(), [(payment, &Undone::Reversed)]);
}

#[test]
fn a_hold_is_captured_in_parts_up_to_its_amount() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let hold = desk.hold(leg(ids[0], ids[1], eur(60)), LATE).unwrap();
    for (part, remaining) in [(10, 50), (20, 30), (30, 0)] {
        desk.act(EARLY, &Ask::Capture(hold, eur(part), false)).unwrap();
        assert_eq!(desk.ledger.hold(hold).map_or(0, |hold| hold.remaining_minor), remaining);
    }
    assert_eq!(desk.balances(ids[0]), (40, 0, 40));
    assert_eq!(desk.act(EARLY, &Ask::Capture(hold, eur(1), false)), Err(Refusal::HoldNotOpen));
    assert_eq!(desk.act(EARLY, &Ask::Void(hold)), Err(Refusal::HoldNotOpen));
}

#[test]
fn the_last_capture_lets_the_rest_go() {
    let (mut desk, _, ids) = desk_with(100, 2);
    let hold = desk.hold(leg(ids[0], ids[1], eur(60)), LATE).unwrap();
    desk.act(EARLY, &Ask::Capture(hold, eur(15), true)).unwrap();
    assert_eq!(desk.balances(ids[0]), (85, 0, 85));
    assert_eq!(desk.balances(ids[1]), (15, 0, 15));
    assert_eq!(desk.act(EARLY, &Ask::Capture(hold, eur(1), false)), Err(Refusal::HoldNotOpen));
}

#[test]
fn a_hold_can_be_captured_when_nothing_else_is_left() {
    let (mut desk, _, ids) = desk_with(60, 2);
    let hold = desk.hold(leg(ids[0], ids[1], eur(60)), LATE).unwrap();
    assert_eq!(desk.balances(ids[0]), (60, 60, 0));
    desk.act(EARLY, &Ask::Capture(hold, eur(60), false)).unwrap();
    assert_eq!(desk.balances(ids[0]), (0, 0, 0));
}

#[test]
fn a_zero_account_without_holds_closes_for_ever() {
    let (mut desk, vault, ids) = desk_with(100, 2);
    desk.pay(&[leg(ids[0], vault, eur(100))]).unwrap();
    desk.act(EARLY, &Ask::SetStatus(ids[0], Status::Closed)).unwrap();
    assert_eq!(desk.pay(&[leg(vault, ids[0], eur(1))]), Err(Refusal::AccountClosed));
    let rows = &desk.ledger.trial_balance()[&currency("EUR")];
    assert_eq!(rows[&Kind::Liability].accounts, 2, "a closed account stays in the trial balance");
}

/// A checker that must not stop finds, before it is applied, a posting that was tampered with.
#[test]
fn a_recorded_posting_that_does_not_fit_is_told_in_words() {
    let (mut desk, vault, ids) = desk_with(100, 3);
    let hold = desk.hold(leg(ids[0], ids[1], eur(40)), LATE).unwrap();
    let post = |legs: &[Leg]| desk.ledger.post(legs, NOW, NOW.day()).unwrap();
    let good = post(&[leg(ids[0], ids[1], eur(10))]);
    assert_eq!(desk.ledger.check_posting(&good), Ok(()));

    let recorded = |legs: &[ledger::BookedLeg], at, cause| Posting::recorded(legs.into(), at, NOW.day(), cause);
    let mut more = good.legs().to_vec();
    more[0].leg.amount.minor += 1;
    let mut other_balance = good.legs().to_vec();
    other_balance[0].credit.balance_minor += 1;
    let mut other_ordinal = good.legs().to_vec();
    other_ordinal[0].debit.ordinal += 1;
    let from_another = post(&[leg(vault, ids[1], eur(10))]);
    let to_another = post(&[leg(ids[0], ids[2], eur(10))]);
    let capture = Cause::Capture { hold, last: false };
    let gone = Cause::Capture { hold: HoldId::new(99).unwrap(), last: false };
    for (what, posting) in [
        ("amount", recorded(&more, NOW, Cause::Order)),
        ("balance", recorded(&other_balance, NOW, Cause::Order)),
        ("ordinal", recorded(&other_ordinal, NOW, Cause::Order)),
        ("time", recorded(good.legs(), BEFORE, Cause::Order)),
        ("legs", recorded(&[], NOW, Cause::Order)),
        ("hold", recorded(good.legs(), NOW, gone)),
        ("payer of the hold", recorded(from_another.legs(), NOW, capture)),
        ("payee of the hold", recorded(to_another.legs(), NOW, capture)),
    ] {
        assert!(desk.ledger.check_posting(&posting).is_err(), "another {what} goes unnoticed");
    }
}

/// Refunds that a journal makes up may come to more than can be counted.
#[test]
fn a_recorded_refund_beyond_all_counting_is_told_in_words() {
    let mut desk = Desk::default();
    let [one, other] = [(); 2].map(|()| desk.open(currency("EUR"), Kind::Asset, Overdraft::Unlimited));
    let (there, back) = (leg(one, other, eur(i64::MAX / 2)), leg(other, one, eur(i64::MAX / 2)));
    let refund = |desk: &Desk, of, legs: &[Leg]| {
        let posting = desk.ledger.post(legs, NOW, NOW.day()).unwrap();
        let cause = Cause::Refund { of: PostingId::new(of).unwrap(), leg: 0 };
        Posting::recorded(posting.legs().into(), NOW, NOW.day(), cause)
    };
    for fits in [true, true, false] {
        let paid = desk.ledger.post(&[there], NOW, NOW.day()).unwrap();
        desk.book(Answer::Posted(paid));
        let posting = refund(&desk, 3, &[back]);
        assert_eq!(desk.ledger.check_posting(&posting).is_ok(), fits);
        if fits {
            desk.book(Answer::Posted(posting));
        }
    }
    let of_many_legs = refund(&desk, 4, &[back, there, back]);
    assert!(desk.ledger.check_posting(&of_many_legs).is_err());
}

// ---- The laws, under random use ----

/// A random question, its accounts, holds and postings still to be chosen from those there are.
#[derive(Debug, Clone)]
enum Step {
    Post(Vec<(Index, Index, i64)>),
    PlaceHold(Index, Index, i64, i64),
    Capture(Index, i64, bool),
    Void(Index),
    Expire(Index),
    Extend(Index, i64),
    Refund(Index, u32, i64),
    Reverse(Index),
    SetStatus(Index, Status),
    SetOverdraft(Index, Overdraft),
}

fn any_amount() -> impl Strategy<Value = i64> {
    prop_oneof![40 => 1..200_i64, 4 => 1..5_000_i64, 1 => Just(0), 1 => Just(-3), 1 => Just(i64::MAX)]
}

fn any_step() -> impl Strategy<Value = Step> {
    let index = any::<Index>;
    let status = prop_oneof![
        9 => Just(Status::Open),
        1 => Just(Status::FrozenForDebits),
        1 => Just(Status::Frozen),
        1 => Just(Status::Closed)
    ];
    let overdraft = prop_oneof![Just(0_u64), Just(100), Just(1_000)].prop_map(Overdraft::Limited);
    prop_oneof![
        8 => prop::collection::vec((index(), index(), any_amount()), 1).prop_map(Step::Post),
        4 => prop::collection::vec((index(), index(), any_amount()), 0..5).prop_map(Step::Post),
        5 => (index(), index(), any_amount(), -1..40_i64).prop_map(|(a, b, m, ms)| Step::PlaceHold(a, b, m, ms)),
        4 => (index(), any_amount(), any::<bool>()).prop_map(|(hold, minor, last)| Step::Capture(hold, minor, last)),
        1 => index().prop_map(Step::Void),
        2 => index().prop_map(Step::Expire),
        2 => (index(), -5..40_i64).prop_map(|(hold, ms)| Step::Extend(hold, ms)),
        4 => (index(), 0..3_u32, any_amount()).prop_map(|(of, leg, minor)| Step::Refund(of, leg, minor)),
        2 => index().prop_map(Step::Reverse),
        1 => (index(), status).prop_map(|(account, status)| Step::SetStatus(account, status)),
        1 => (index(), overdraft).prop_map(|(account, overdraft)| Step::SetOverdraft(account, overdraft)),
    ]
}

/// A dozen accounts in two currencies, of every kind, and one that is not there.
fn dozen() -> Desk {
    let mut desk = Desk::default();
    for code in ["EUR", "JPY"] {
        for (kind, overdraft) in [
            (Kind::Asset, Overdraft::Unlimited),
            (Kind::Income, Overdraft::Limited(0)),
            (Kind::Expense, Overdraft::Unlimited),
            (Kind::Liability, Overdraft::Limited(0)),
            (Kind::Liability, Overdraft::Limited(500)),
            (Kind::Liability, Overdraft::Limited(0)),
        ] {
            desk.open(currency(code), kind, overdraft);
        }
        let vault = desk.ledger.next_account().0 - 6;
        for customer in [vault + 3, vault + 4, vault + 5] {
            let minor = Money { minor: 500, currency: currency(code) };
            desk.pay(&[leg(AccountId(vault), AccountId(customer), minor)]).unwrap();
        }
    }
    desk
}

/// The question that a step comes to on this desk; none where it needs a hold or a posting and there is none yet.
fn question(desk: &Desk, now: Timestamp, step: &Step) -> Option<Ask> {
    // Mostly both accounts lie in the same half, that is, in the same currency.
    let account = |index: &Index| AccountId(u32::try_from(index.index(13)).unwrap());
    let beside = |of: AccountId, index: &Index| match index.index(20) {
        0 => account(index),
        _ => AccountId(of.0 / 6 * 6 + u32::try_from(index.index(6)).unwrap()),
    };
    let money = |of: AccountId, minor| if of.0 < 6 { eur(minor) } else { yen(minor) };
    let leg_of = |debit: &Index, credit: &Index, minor| {
        let debit = account(debit);
        leg(debit, beside(debit, credit), money(debit, minor))
    };
    let events = (1_u64..).zip(&desk.journal);
    let holds: Vec<(HoldId, Currency)> = events
        .clone()
        .filter_map(|(event, answer)| match answer {
            Answer::Held(hold) => Some((HoldId::new(event)?, hold.amount.currency)),
            _ => None,
        })
        .collect();
    let postings: Vec<(PostingId, Currency)> = events
        .filter_map(|(event, answer)| match answer {
            Answer::Posted(posting) => Some((PostingId::new(event)?, posting.legs()[0].leg.amount.currency)),
            _ => None,
        })
        .collect();
    let hold = |index: &Index| (!holds.is_empty()).then(|| holds[index.index(holds.len())]);
    let posting = |index: &Index| (!postings.is_empty()).then(|| postings[index.index(postings.len())]);
    Some(match step {
        Step::Post(legs) => {
            Ask::Post(legs.iter().map(|(debit, credit, minor)| leg_of(debit, credit, *minor)).collect())
        }
        Step::PlaceHold(debit, credit, minor, ms) => Ask::PlaceHold(leg_of(debit, credit, *minor), now.plus_ms(*ms)),
        Step::Capture(index, minor, last) => {
            let (hold, currency) = hold(index)?;
            Ask::Capture(hold, Money { minor: *minor, currency }, *last)
        }
        Step::Void(index) => Ask::Void(hold(index)?.0),
        Step::Expire(index) => Ask::Expire(hold(index)?.0),
        Step::Extend(index, ms) => Ask::Extend(hold(index)?.0, now.plus_ms(*ms)),
        Step::Refund(index, leg, minor) => {
            let (of, currency) = posting(index)?;
            Ask::Refund(of, *leg, Money { minor: *minor, currency })
        }
        Step::Reverse(index) => Ask::Reverse(posting(index)?.0),
        Step::SetStatus(index, status) => Ask::SetStatus(account(index), *status),
        Step::SetOverdraft(index, overdraft) => Ask::SetOverdraft(account(index), *overdraft),
    })
}

/// Books kept apart from the ledger's own: sums, the running number and last posting of each account, what is held and
/// what was given back.
#[derive(Debug, Default)]
struct Model {
    sums: BTreeMap<AccountId, i64>,
    entries: BTreeMap<AccountId, (u64, Option<PostingId>)>,
    held: BTreeMap<HoldId, (AccountId, i64)>,
    back: BTreeMap<(PostingId, u32), i64>,
}

impl Model {
    fn note(&mut self, event: u64, answer: &Answer) {
        match answer {
            Answer::Posted(posting) => self.note_posting(PostingId::new(event).unwrap(), posting),
            Answer::Held(hold) => {
                self.held.insert(HoldId::new(event).unwrap(), (hold.debit, hold.amount.minor));
            }
            Answer::Released(hold) => {
                self.held.remove(hold).unwrap();
            }
            Answer::Opened(_) | Answer::Status(..) | Answer::Overdraft(..) | Answer::Extended(..) => {}
        }
    }

    fn note_posting(&mut self, id: PostingId, posting: &Posting) {
        let before = self.entries.clone();
        for booked in posting.legs() {
            let minor = booked.leg.amount.minor;
            for (account, change, entry) in
                [(booked.leg.debit, -minor, booked.debit), (booked.leg.credit, minor, booked.credit)]
            {
                let sum = self.sums.entry(account).or_default();
                *sum += change;
                assert_eq!(entry.balance_minor, *sum, "the running balance is the sum of the entries");
                let (ordinal, last) = self.entries.entry(account).or_default();
                *ordinal += 1;
                assert_eq!(entry.ordinal, *ordinal, "entries are numbered without a gap");
                assert_eq!(entry.previous, before.get(&account).and_then(|(_, last)| *last), "entries are chained");
                *last = Some(id);
            }
        }
        let moved = posting.legs()[0].leg.amount.minor;
        match posting.cause() {
            Cause::Capture { hold, last } => {
                let (_, remaining) = self.held.get_mut(&hold).unwrap();
                *remaining -= moved;
                assert!(*remaining >= 0, "captures stay within the hold");
                if last || *remaining == 0 {
                    self.held.remove(&hold);
                }
            }
            Cause::Refund { of, leg } => *self.back.entry((of, leg)).or_default() += moved,
            Cause::Order | Cause::Reversal { .. } => {}
        }
    }

    fn agrees_with(&self, desk: &Desk) {
        desk.check_laws();
        for (id, account) in desk.ledger.accounts() {
            assert_eq!(account.posted_minor, self.sums.get(&id).copied().unwrap_or(0));
            let held: i64 = self.held.values().filter(|(debit, _)| *debit == id).map(|(_, minor)| minor).sum();
            assert_eq!(account.held_minor, held, "the held balance is the sum of the open holds");
            if let Overdraft::Limited(limit) = account.overdraft {
                let available = i128::from(account.posted_minor) - i128::from(held);
                assert!(available >= -i128::from(limit), "available stays within the overdraft");
            }
        }
        assert_eq!(
            desk.ledger.holds().map(|(id, _)| id).collect::<Vec<_>>(),
            self.held.keys().copied().collect::<Vec<_>>()
        );
        for ((of, leg), back) in &self.back {
            let paid = desk.posting(*of).legs()[usize::try_from(*leg).unwrap()].leg.amount.minor;
            assert!(*back <= paid, "refunds never exceed what was paid");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_laws_hold_whatever_is_asked(steps in prop::collection::vec((any_step(), 0..5_i64), 1..120)) {
        let mut desk = dozen();
        let mut model = Model::default();
        for (event, answer) in (1..).zip(&desk.journal) {
            model.note(event, answer);
        }
        let mut now = EARLY;
        for (step, ms) in &steps {
            now = now.plus_ms(*ms);
            let Some(ask) = question(&desk, now, step) else { continue };
            let before = desk.ledger.clone();
            let answer = desk.ask(now, &ask);
            prop_assert_eq!(&desk.ledger, &before, "a question changes nothing");
            let Ok(answer) = answer else { continue };
            let event = desk.book(answer.clone());
            model.note(event, &answer);
            model.agrees_with(&desk);
            if let Answer::Posted(posting) = &answer {
                prop_assert_eq!(before.check_posting(posting), Ok(()), "a checker agrees with what was answered");
            }
        }
        let mut again = Ledger::default();
        for (event, answer) in (1..).zip(&desk.journal) {
            apply(&mut again, event, answer);
        }
        prop_assert_eq!(&again, &desk.ledger, "replaying what was booked gives the same ledger");
    }

    #[test]
    fn amounts_are_read_as_they_are_printed(minor in any::<i64>(), code in prop_oneof!["EUR", "JPY", "KWD", "CLF"]) {
        let money = Money { minor, currency: currency(&code) };
        prop_assert_eq!(Money::parse(&money.to_string(), money.currency), Ok(money));
    }

    #[test]
    fn no_text_makes_the_reader_stop(text in ".{0,40}") {
        let _ = Money::parse(&text, currency("EUR"));
    }

    #[test]
    fn days_hold_their_moments(ms in any::<i64>()) {
        let day: ValueDate = Timestamp(ms).day();
        if day.0 > i32::MIN && day.0 < i32::MAX {
            prop_assert!(day.start().0 <= ms && ms - day.start().0 < 86_400_000);
        }
    }
}

#[test]
fn days_and_moments() {
    const DAY_MS: i64 = 86_400_000;
    for (ms, day) in [
        (0, 0),
        (DAY_MS - 1, 0),
        (DAY_MS, 1),
        (-1, -1),
        (-DAY_MS, -1),
        (-DAY_MS - 1, -2),
        (725_846_400_000, 8_401), // 1993-01-01
        (i64::MAX, i32::MAX),
        (i64::MIN, i32::MIN),
    ] {
        assert_eq!(Timestamp(ms).day(), ValueDate(day), "{ms}");
    }
    assert_eq!(ValueDate(8_401).start(), Timestamp(725_846_400_000));
    assert_eq!(ValueDate(-1).start(), Timestamp(-DAY_MS));
    assert_eq!(Timestamp(5).plus_ms(-7), Timestamp(-2));
    assert_eq!(Timestamp(i64::MAX).plus_ms(1), Timestamp(i64::MAX));
}

fn small_currency() -> Currency {
    Currency::from_code("EUR").unwrap()
}

fn euros(minor: i64) -> Money {
    Money { minor, currency: small_currency() }
}

/// Cash and two deposits of customers, the first with a hold on it and a payment partly refunded.
fn small_bank() -> Ledger {
    let mut ledger = Ledger::default();
    for (kind, overdraft) in [
        (Kind::Asset, Overdraft::Unlimited),
        (Kind::Liability, Overdraft::Limited(0)),
        (Kind::Liability, Overdraft::Limited(50)),
    ] {
        ledger.apply_account(Account::new(small_currency(), kind, overdraft, Timestamp(0)));
    }
    let (now, day) = (Timestamp(10), ValueDate(0));
    let mut event = 0;
    let mut post = |ledger: &mut Ledger, debit, credit, minor| {
        event += 1;
        let leg = Leg { debit: AccountId(debit), credit: AccountId(credit), amount: euros(minor) };
        let posting = ledger.post(&[leg], now, day).unwrap();
        let id = PostingId::new(event).unwrap();
        ledger.apply_posting(id, &posting);
        (id, posting)
    };
    post(&mut ledger, 0, 1, 1_000);
    let (of, paid) = post(&mut ledger, 1, 2, 300);
    let refund = ledger.refund(of, &paid, 0, euros(100), now, day).unwrap();
    ledger.apply_posting(PostingId::new(3).unwrap(), &refund);
    let leg = Leg { debit: AccountId(1), credit: AccountId(2), amount: euros(70) };
    let hold = ledger.place_hold(leg, now, Timestamp(20)).unwrap();
    ledger.apply_hold(HoldId::new(4).unwrap(), hold);
    ledger
}

#[test]
fn a_stored_ledger_is_restored_whole() {
    let ledger = small_bank();
    let mut restored = Ledger::default();
    ledger.accounts().for_each(|(_, account)| restored.restore_account(*account));
    ledger.holds().for_each(|(id, hold)| restored.apply_hold(id, *hold));
    ledger.undone().for_each(|(id, undone)| restored.restore_undone(id, undone.clone()));
    assert_eq!(restored, ledger);
    assert_eq!(restored.account(AccountId(1)).unwrap().held_minor, 70);
}

#[test]
fn a_trial_balance_has_each_balance_on_its_side() {
    let balance = small_bank().trial_balance();
    let rows = &balance[&small_currency()];
    let row = |kind| (rows[&kind].accounts, rows[&kind].debit_minor, rows[&kind].credit_minor);
    assert_eq!(row(Kind::Asset), (1, 1_000, 0));
    assert_eq!(row(Kind::Liability), (2, 0, 1_000));
}

#[test]
fn a_recorded_hold_is_checked_against_the_books() {
    let ledger = small_bank();
    let leg = Leg { debit: AccountId(1), credit: AccountId(2), amount: euros(730) };
    let hold = ledger.place_hold(leg, Timestamp(10), Timestamp(20)).unwrap();
    assert_eq!(ledger.check_hold(&hold), Ok(()));
    let smaller = Hold { remaining_minor: 729, ..hold };
    assert!(ledger.check_hold(&smaller).unwrap_err().contains("should be"));
    let larger = Hold { amount: euros(731), remaining_minor: 731, ..hold };
    assert!(ledger.check_hold(&larger).unwrap_err().contains("refused"));
}

#[test]
fn a_broken_law_is_told() {
    assert_eq!(small_bank().check_laws(), Ok(()));
    let account = |posted_minor, overdraft| {
        let new = Account::new(small_currency(), Kind::Liability, overdraft, Timestamp(0));
        Account { posted_minor, ..new }
    };
    let mut unbalanced = Ledger::default();
    unbalanced.restore_account(account(5, Overdraft::Limited(0)));
    assert!(unbalanced.check_laws().unwrap_err().contains("sums to 5"));
    let mut overdrawn = Ledger::default();
    overdrawn.restore_account(account(-5, Overdraft::Limited(4)));
    overdrawn.restore_account(account(5, Overdraft::Limited(0)));
    assert!(overdrawn.check_laws().unwrap_err().contains("overdraft"));
}

#[test]
fn a_currency_reads_as_its_code() {
    assert_eq!(format!("{} {:?}", small_currency(), small_currency()), "EUR EUR");
}
