//! The auditor: keeps its own simple books from commands, answers and events, and says in words what doesn't agree.
//!
//! It shares no logic with `bank` or `ledger`: it reads their plain data and does its own sums, in 128 bits, in maps.
//! Three things are asked of each answer. Does it answer the question? Do its events fit the books? And if it was refused
//! for a reason of money, is that reason true?

use std::collections::BTreeMap;

use bank::{Body, Caller, Decision, Event, Refusal, Request, Right, State, What};
use ledger::{Cause, Currency, Hold, Kind, Leg, Overdraft, Posting, ReleaseReason, Status, Timestamp};

use crate::Observed;

/// What doesn't agree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disagreement {
    /// The number of the last event that agreed.
    pub after_event: u64,
    /// In words.
    pub what: String,
}

impl std::fmt::Display for Disagreement {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "after event {}: {}", self.after_event, self.what)
    }
}

impl std::error::Error for Disagreement {}

type Agreed = Result<(), String>;

/// Fails with the words unless the condition holds.
macro_rules! agree {
    ($condition:expr, $($words:tt)+) => {
        if !$condition {
            return Err(format!($($words)+));
        }
    };
}

/// The auditor and its books.
#[derive(Debug, Default)]
pub struct Auditor {
    events: u64,
    now: Option<Timestamp>,
    accounts: BTreeMap<u32, Account>,
    cash: BTreeMap<u16, u32>,
    holds: BTreeMap<u64, Held>,
    payments: BTreeMap<u64, Payment>,
    keys: BTreeMap<[u8; 16], u64>,
    customers: u32,
    users: BTreeMap<u32, Option<u32>>,
    sessions: BTreeMap<[u8; 16], (u32, Timestamp)>,
    rights: BTreeMap<(u32, u32), Right>,
}

#[derive(Debug)]
struct Account {
    currency: u16,
    kind: Kind,
    balance: i128,
    held: i128,
    /// `None` where there is no end to it.
    overdraft: Option<i128>,
    status: Status,
    entries: u64,
    last_posting: Option<u64>,
    last_booked_at: Timestamp,
}

#[derive(Debug)]
struct Held {
    debit: u32,
    credit: u32,
    remaining: i128,
    expires_at: Timestamp,
}

#[derive(Debug)]
struct Payment {
    legs: Vec<Moved>,
    /// Of each leg.
    refunded: Vec<i128>,
    reversed: bool,
    /// Whether it is itself a refund or a reversal.
    undoes: bool,
}

/// An amount moved from one account to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Moved {
    debit: u32,
    credit: u32,
    minor: i128,
    currency: u16,
}

impl Moved {
    fn of(leg: &Leg) -> Self {
        Self {
            debit: leg.debit.0,
            credit: leg.credit.0,
            minor: i128::from(leg.amount.minor),
            currency: leg.amount.currency.numeric(),
        }
    }

    fn back(self) -> Self {
        Self { debit: self.credit, credit: self.debit, ..self }
    }
}

impl Account {
    fn available(&self) -> i128 {
        self.balance - self.held
    }

    fn may_have(&self, available: i128) -> bool {
        self.overdraft.is_none_or(|limit| available >= -limit)
    }
}

impl Auditor {
    /// Looks at the next command and its answer.
    ///
    /// # Errors
    ///
    /// Tells the first thing that doesn't agree.
    pub fn observe(&mut self, observed: &Observed) -> Result<(), Disagreement> {
        let after_event = self.events;
        self.look_at(observed).map_err(|what| Disagreement { after_event, what: format!("{what} ({observed:?})") })
    }

    /// Compares the books with the bank's state, account by account and hold by hold.
    ///
    /// # Errors
    ///
    /// Tells the first difference.
    pub fn compare(&self, state: &State) -> Result<(), Disagreement> {
        self.compare_with(state).map_err(|what| Disagreement { after_event: self.events, what })
    }

    fn look_at(&mut self, observed: &Observed) -> Agreed {
        agree!(self.now.is_none_or(|now| now <= observed.at), "time ran backwards");
        agree!(
            observed.first_event == self.events + 1,
            "event {} is missing or came twice: the next is {}",
            self.events + 1,
            observed.first_event
        );
        self.now = Some(observed.at);
        let request = observed.command.request;
        let first = request.and_then(|request| self.keys.get(&request.key).copied());
        match (&observed.decision, first) {
            (Decision::Repeated(event), Some(first)) if *event == first => Ok(()),
            (Decision::Repeated(event), _) => Err(format!("event {event} was not the first outcome of this key")),
            (_, Some(first)) => Err(format!("the key was used before, for event {first}")),
            (Decision::Accepted(events), None) => self.accepted(observed, events),
            (Decision::Refused(refusal, event), None) => self.refused(observed, *refusal, event.as_ref()),
        }
    }

    fn accepted(&mut self, observed: &Observed, events: &[Event]) -> Agreed {
        self.was_asked_for(&observed.command.body, events)?;
        self.was_entitled(observed)?;
        let mut request = observed.command.request;
        for event in events {
            self.was_said_by(event, &observed.command.caller, request.take())?;
            self.book(event, observed.at)?;
        }
        Ok(())
    }

    fn refused(&mut self, observed: &Observed, refusal: Refusal, event: Option<&Event>) -> Agreed {
        self.reason_is_true(observed, refusal)?;
        let request = observed.command.request.filter(|_| refusal != Refusal::NotSignedIn);
        agree!(request.is_some() == event.is_some(), "a refusal is remembered under its key, and only then");
        let Some(event) = event else { return Ok(()) };
        agree!(event.what == What::Refused { refusal }, "the refusal remembered is another than that given");
        self.was_said_by(event, &observed.command.caller, request)?;
        self.book(event, observed.at)
    }

    fn was_said_by(&mut self, event: &Event, caller: &Caller, request: Option<Request>) -> Agreed {
        agree!(event.by == caller.user, "the event is said to be by user {}", event.by.0);
        agree!(event.request == request, "the event has another key than its command");
        if let Some(request) = event.request {
            self.keys.insert(request.key, self.events + 1);
        }
        Ok(())
    }

    // ---- Does the answer answer the question? ----

    fn was_asked_for(&self, body: &Body, events: &[Event]) -> Agreed {
        let whats: Vec<&What> = events.iter().map(|event| &event.what).collect();
        let answers = match (body, whats.as_slice()) {
            (Body::SignInFailed { user: asked }, [What::SignInFailed { user }]) => asked == user,
            (Body::SignInFailed { .. }, []) => true,
            (Body::SignIn { user, token, .. }, [What::SessionOpened { user: u, token: t, .. }, closed @ ..]) => {
                user == u && token == t && closed.iter().all(|what| matches!(what, What::SessionClosed { .. }))
            }
            (body, [what]) => self.answers(body, what),
            _ => false,
        };
        agree!(answers, "the answer is not what was asked for");
        Ok(())
    }

    fn answers(&self, body: &Body, what: &What) -> bool {
        match (body, what) {
            (_, What::Posted { posting, .. }) => {
                let moved: Vec<Moved> = posting.legs().iter().map(|booked| Moved::of(&booked.leg)).collect();
                self.movement(body) == Some(moved) && cause(body) == Some(posting.cause())
            }
            (Body::PlaceHold { leg, expires_at, .. }, What::HoldPlaced { hold, .. }) => {
                let Hold { debit, credit, amount, .. } = *hold;
                *leg == Leg { debit, credit, amount } && hold.expires_at == *expires_at
            }
            (Body::Void { hold }, What::HoldReleased { hold: released, reason: ReleaseReason::Voided })
            | (Body::Expire { hold }, What::HoldReleased { hold: released, reason: ReleaseReason::Expired }) => {
                hold == released
            }
            (Body::SetStatus { account, status }, What::StatusSet { account: a, status: s }) => {
                (account, status) == (a, s)
            }
            (Body::SetOverdraft { account, overdraft }, What::OverdraftSet { account: a, overdraft: o }) => {
                (account, overdraft) == (a, o)
            }
            (Body::OpenAccount(open), What::AccountOpened { currency, kind, overdraft, owner, cash, .. }) => {
                (open.currency, open.kind, open.overdraft, open.owner, open.cash)
                    == (*currency, *kind, *overdraft, *owner, *cash)
            }
            (Body::Grant { customer, account, right }, What::RightGranted { customer: c, account: a, right: r }) => {
                (customer, account, right) == (c, a, r)
            }
            (Body::Revoke { customer, account }, What::RightRevoked { customer: c, account: a }) => {
                (customer, account) == (c, a)
            }
            (Body::SignOut { token }, What::SessionClosed { token: t }) => token == t,
            (Body::Found { .. }, What::Founded { .. })
            | (Body::AddCustomer { .. }, What::CustomerAdded { .. })
            | (Body::AddUser { .. }, What::UserAdded { .. }) => true,
            _ => false,
        }
    }

    /// What a command would move; none where it moves nothing, or names what there is not.
    fn movement(&self, body: &Body) -> Option<Vec<Moved>> {
        match body {
            Body::Pay(pay) => Some(pay.legs.iter().map(Moved::of).collect()),
            Body::Deposit { account, amount, .. } | Body::Withdraw { account, amount, .. } => {
                let currency = amount.currency.numeric();
                let debit = *self.cash.get(&currency)?;
                let deposit = Moved { debit, credit: account.0, minor: i128::from(amount.minor), currency };
                Some(vec![if matches!(body, Body::Deposit { .. }) { deposit } else { deposit.back() }])
            }
            Body::PlaceHold { leg, .. } => Some(vec![Moved::of(leg)]),
            Body::Capture { hold, amount, .. } => {
                let held = self.holds.get(&hold.event())?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(vec![Moved { debit: held.debit, credit: held.credit, minor, currency }])
            }
            Body::Refund { of, leg, amount, .. } => {
                let paid = self.payments.get(&of.event())?.legs.get(usize::try_from(*leg).ok()?)?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(vec![Moved { minor, currency, ..paid.back() }])
            }
            Body::Reverse { of, .. } => {
                Some(self.payments.get(&of.event())?.legs.iter().rev().map(|moved| moved.back()).collect())
            }
            _ => None,
        }
    }

    /// A customer moves money only with a right to, and nobody with a session that is over does anything.
    fn was_entitled(&self, observed: &Observed) -> Agreed {
        let caller = observed.command.caller;
        let Some(token) = caller.session else {
            agree!(caller.user.0 == 0, "user {} has no session", caller.user.0);
            return Ok(());
        };
        let session = self.sessions.get(&token.0);
        let open = session.is_some_and(|(user, expires_at)| *user == caller.user.0 && *expires_at > observed.at);
        agree!(open, "the session is not user {}'s, or over", caller.user.0);
        let Some(Some(customer)) = self.users.get(&caller.user.0) else { return Ok(()) };
        for moved in self.movement(&observed.command.body).unwrap_or_default() {
            // What is held was agreed to by the payer; the payee takes it.
            let capture = matches!(observed.command.body, Body::Capture { .. });
            let account = if capture { moved.credit } else { moved.debit };
            let entitled = match self.rights.get(&(*customer, account)) {
                Some(Right::Owner) => true,
                Some(Right::Signatory { limit_minor }) => {
                    capture || limit_minor.is_none_or(|limit| moved.minor <= i128::from(limit))
                }
                Some(Right::ReadOnly) | None => false,
            };
            agree!(entitled, "customer {customer} moved money of account {account} without a right to");
        }
        Ok(())
    }

    // ---- Do the events fit the books? ----

    fn book(&mut self, event: &Event, at: Timestamp) -> Agreed {
        self.events += 1;
        match &event.what {
            What::Posted { posting, .. } => self.book_posting(posting, at),
            What::HoldPlaced { hold, .. } => self.book_hold(hold, at),
            What::HoldReleased { hold, reason } => self.book_release(hold.event(), *reason, at),
            What::AccountOpened { id, currency, kind, overdraft, owner, cash, .. } => {
                let next = u32::try_from(self.accounts.len()).map_err(|error| error.to_string())?;
                agree!(id.0 == next, "account {} was opened, and {next} is the next", id.0);
                self.accounts.insert(id.0, new_account(*currency, *kind, *overdraft));
                self.rights.extend(owner.map(|owner| ((owner.0, id.0), Right::Owner)));
                let taken = *cash && self.cash.insert(currency.numeric(), id.0).is_some();
                agree!(!taken, "{currency} has two cash accounts");
                Ok(())
            }
            What::StatusSet { account, status } => self.book_status(account.0, *status),
            What::OverdraftSet { account, overdraft } => {
                let account = self.account_mut(account.0)?;
                account.overdraft = limit(*overdraft);
                agree!(account.may_have(account.available()), "the overdraft was in use");
                Ok(())
            }
            What::CustomerAdded { id, .. } => {
                self.customers += 1;
                agree!(id.0 == self.customers, "customer {} was added, and {} is the next", id.0, self.customers);
                Ok(())
            }
            _ => self.book_access(&event.what),
        }
    }

    fn book_access(&mut self, what: &What) -> Agreed {
        match what {
            What::UserAdded { id, customer, .. } => {
                let before = self.users.insert(id.0, customer.map(|customer| customer.0));
                agree!(before.is_none(), "user {} was added twice", id.0);
            }
            What::SessionOpened { user, token, expires_at } => {
                let before = self.sessions.insert(token.0, (user.0, *expires_at));
                agree!(before.is_none(), "a session was opened twice");
            }
            What::SessionClosed { token } => {
                self.sessions.remove(&token.0);
            }
            What::RightGranted { customer, account, right } => {
                self.rights.insert((customer.0, account.0), *right);
            }
            What::RightRevoked { customer, account } => {
                let right = self.rights.remove(&(customer.0, account.0));
                agree!(right.is_some(), "a right was revoked that there was not");
            }
            _ => {}
        }
        Ok(())
    }

    fn book_status(&mut self, id: u32, status: Status) -> Agreed {
        let account = self.account_mut(id)?;
        agree!(account.status != Status::Closed, "account {id} was closed, and changed");
        let empty = account.balance == 0 && account.held == 0;
        agree!(status != Status::Closed || empty, "account {id} was closed with money in it");
        account.status = status;
        Ok(())
    }

    fn book_hold(&mut self, hold: &Hold, at: Timestamp) -> Agreed {
        let minor = i128::from(hold.amount.minor);
        agree!(minor > 0 && i128::from(hold.remaining_minor) == minor, "a hold is of more than nothing, and whole");
        agree!(hold.expires_at > at, "the hold was over before it began");
        self.may_move(hold.debit.0, hold.credit.0, hold.amount.currency.numeric())?;
        let account = self.account_mut(hold.debit.0)?;
        account.held += minor;
        agree!(account.may_have(account.available()), "the hold was not covered");
        let held = Held { debit: hold.debit.0, credit: hold.credit.0, remaining: minor, expires_at: hold.expires_at };
        self.holds.insert(self.events, held);
        Ok(())
    }

    fn book_release(&mut self, id: u64, reason: ReleaseReason, at: Timestamp) -> Agreed {
        let Some(held) = self.holds.remove(&id) else { return Err(format!("hold {id} was not open")) };
        agree!(reason != ReleaseReason::Expired || held.expires_at <= at, "hold {id} expired before its time");
        self.account_mut(held.debit)?.held -= held.remaining;
        Ok(())
    }

    fn book_posting(&mut self, posting: &Posting, at: Timestamp) -> Agreed {
        let legs: Vec<Moved> = posting.legs().iter().map(|booked| Moved::of(&booked.leg)).collect();
        agree!(!legs.is_empty(), "a posting moved nothing");
        let undoes = self.book_cause(posting.cause(), &legs, at)?;
        let before: BTreeMap<u32, Option<u64>> =
            self.accounts.iter().map(|(id, account)| (*id, account.last_posting)).collect();
        for (moved, booked) in legs.iter().zip(posting.legs()) {
            agree!(moved.minor > 0, "a leg moved nothing, or backwards");
            self.may_move(moved.debit, moved.credit, moved.currency)?;
            for (id, change, entry) in
                [(moved.debit, -moved.minor, booked.debit), (moved.credit, moved.minor, booked.credit)]
            {
                let number = self.events;
                let account = self.account_mut(id)?;
                account.balance += change;
                account.entries += 1;
                let balance = account.balance;
                agree!(i128::from(entry.balance_minor) == balance, "account {id} has {balance} after entry {entry:?}");
                agree!(entry.ordinal == account.entries, "account {id} has {} entries", account.entries);
                let previous = entry.previous.map(ledger::PostingId::event);
                agree!(before.get(&id) == Some(&previous), "account {id}'s last posting was not {previous:?}");
                agree!(account.last_booked_at <= posting.booked_at(), "account {id} was booked backwards");
                account.last_posting = Some(number);
                account.last_booked_at = posting.booked_at();
            }
            let payer = self.account_mut(moved.debit)?;
            agree!(payer.may_have(payer.available()), "account {} was drawn below its overdraft", moved.debit);
        }
        let refunded = vec![0; legs.len()];
        self.payments.insert(self.events, Payment { legs, refunded, reversed: false, undoes });
        Ok(())
    }

    /// Takes what a posting was made for off the hold or payment it goes back to. Tells whether it undoes another.
    fn book_cause(&mut self, cause: Cause, legs: &[Moved], at: Timestamp) -> Result<bool, String> {
        match cause {
            Cause::Order => return Ok(false),
            Cause::Capture { hold, last } => self.book_capture(hold.event(), last, legs, at)?,
            Cause::Refund { of, leg } => {
                let payment = self.payments.get_mut(&of.event()).ok_or("no such payment was seen")?;
                agree!(!payment.reversed && !payment.undoes, "payment {} can't be refunded", of.event());
                let place = usize::try_from(leg).map_err(|error| error.to_string())?;
                let paid = *payment.legs.get(place).ok_or("the payment has no such leg")?;
                agree!(legs.len() == 1, "a refund has one leg");
                let minor = legs[0].minor;
                agree!(legs[0] == Moved { minor, ..paid.back() }, "the refund goes another way than the payment");
                payment.refunded[place] += minor;
                agree!(payment.refunded[place] <= paid.minor, "more was refunded than paid");
                return Ok(true);
            }
            Cause::Reversal { of } => {
                let payment = self.payments.get_mut(&of.event()).ok_or("no such payment was seen")?;
                let fresh = !payment.reversed && !payment.undoes && payment.refunded.iter().all(|minor| *minor == 0);
                agree!(fresh, "payment {} can't be reversed", of.event());
                let mirror: Vec<Moved> = payment.legs.iter().rev().map(|moved| moved.back()).collect();
                agree!(legs == mirror, "the reversal is not the payment's mirror");
                payment.reversed = true;
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn book_capture(&mut self, id: u64, last: bool, legs: &[Moved], at: Timestamp) -> Agreed {
        let held = self.holds.get_mut(&id).ok_or_else(|| format!("hold {id} was not open"))?;
        agree!(held.expires_at > at, "hold {id} was captured after its time");
        let captured: i128 = legs.iter().map(|moved| moved.minor).sum();
        let its_own = legs.iter().all(|moved| (moved.debit, moved.credit) == (held.debit, held.credit));
        agree!(its_own, "the capture goes another way than hold {id}");
        agree!(captured <= held.remaining, "more was captured than held");
        held.remaining -= captured;
        let (debit, left) = (held.debit, held.remaining);
        let freed = if last { captured + left } else { captured };
        if last || left == 0 {
            self.holds.remove(&id);
        }
        self.account_mut(debit)?.held -= freed;
        Ok(())
    }

    fn may_move(&self, debit: u32, credit: u32, currency: u16) -> Agreed {
        agree!(debit != credit, "account {debit} paid itself");
        let (payer, payee) = (self.account(debit)?, self.account(credit)?);
        agree!(payer.currency == currency && payee.currency == currency, "accounts of other currencies");
        agree!(payer.status == Status::Open, "account {debit} is {:?}, and paid", payer.status);
        let may_get = matches!(payee.status, Status::Open | Status::FrozenForDebits);
        agree!(may_get, "account {credit} is {:?}, and was paid", payee.status);
        Ok(())
    }

    fn account(&self, id: u32) -> Result<&Account, String> {
        self.accounts.get(&id).ok_or_else(|| format!("there is no account {id}"))
    }

    fn account_mut(&mut self, id: u32) -> Result<&mut Account, String> {
        self.accounts.get_mut(&id).ok_or_else(|| format!("there is no account {id}"))
    }

    // ---- Is the reason of a refusal true? ----

    fn reason_is_true(&self, observed: &Observed, refusal: Refusal) -> Agreed {
        use ledger::Refusal as L;
        let (body, at) = (&observed.command.body, observed.at);
        let held = named_hold(body).and_then(|hold| self.holds.get(&hold));
        let payment = named_payment(body).and_then(|of| self.payments.get(&of));
        let moves = self.movement(body).unwrap_or_default();
        let is_true = match refusal {
            Refusal::NotSignedIn => return self.is_not_signed_in(observed),
            Refusal::Ledger(L::InsufficientFunds { available }) => {
                self.first_shortage(body, &moves) == Some(i128::from(available.minor))
            }
            Refusal::Ledger(L::CaptureExceedsHold { remaining }) => held
                .is_some_and(|held| held.remaining == i128::from(remaining.minor) && moves[0].minor > held.remaining),
            Refusal::Ledger(L::RefundExceedsPayment { remaining }) => {
                self.refundable(body) == Some(i128::from(remaining.minor))
                    && moves[0].minor > i128::from(remaining.minor)
            }
            Refusal::Ledger(L::HoldNotOpen) => held.is_none(),
            Refusal::Ledger(L::HoldExpired) => match body {
                Body::PlaceHold { expires_at, .. } => *expires_at <= at,
                _ => held.is_some_and(|held| held.expires_at <= at),
            },
            Refusal::Ledger(L::HoldNotExpired) => held.is_some_and(|held| held.expires_at > at),
            Refusal::Ledger(L::NotUndoable) => payment.is_some_and(|payment| payment.undoes),
            Refusal::Ledger(L::AlreadyReversed) => payment.is_some_and(|payment| payment.reversed),
            Refusal::Ledger(L::AlreadyRefunded) => {
                payment.is_some_and(|payment| payment.refunded.iter().any(|minor| *minor > 0))
            }
            Refusal::UnknownPayment => payment.is_none(),
            Refusal::Ledger(L::AmountNotPositive) => moves.iter().any(|moved| moved.minor <= 0),
            Refusal::Ledger(L::AccountFrozen) => {
                moves.iter().any(|moved| self.is(moved.debit, &FROZEN) || self.is(moved.credit, &FROZEN[1..]))
            }
            Refusal::Ledger(L::AccountClosed) => match body {
                Body::SetStatus { account, .. } | Body::SetOverdraft { account, .. } => {
                    self.is(account.0, &[Status::Closed])
                }
                _ => moves
                    .iter()
                    .any(|moved| [moved.debit, moved.credit].iter().any(|id| self.is(*id, &[Status::Closed]))),
            },
            // Reasons that are not of money, and need the whole of the bank's rules to judge.
            _ => true,
        };
        agree!(is_true, "the refusal is not true: {refusal}");
        Ok(())
    }

    fn is_not_signed_in(&self, observed: &Observed) -> Agreed {
        // A session can't begin that is over or known already, nor end that isn't one's own.
        if matches!(observed.command.body, Body::SignIn { .. } | Body::SignOut { .. }) {
            return Ok(());
        }
        match self.was_entitled(observed) {
            Err(_) => Ok(()),
            Ok(()) => Err("the session was open, and refused as over".to_owned()),
        }
    }

    /// What was available at the first leg that the payer can't cover.
    fn first_shortage(&self, body: &Body, moves: &[Moved]) -> Option<i128> {
        let mut changes: BTreeMap<u32, i128> = BTreeMap::new();
        for moved in moves {
            let payer = self.accounts.get(&moved.debit)?;
            let available = payer.available() + changes.get(&moved.debit).copied().unwrap_or(0);
            if !payer.may_have(available - moved.minor) && !matches!(body, Body::Capture { .. }) {
                return Some(available);
            }
            *changes.entry(moved.debit).or_insert(0) -= moved.minor;
            *changes.entry(moved.credit).or_insert(0) += moved.minor;
        }
        None
    }

    fn refundable(&self, body: &Body) -> Option<i128> {
        let Body::Refund { of, leg, .. } = body else { return None };
        let (payment, place) = (self.payments.get(&of.event())?, usize::try_from(*leg).ok()?);
        Some(payment.legs.get(place)?.minor - payment.refunded.get(place)?)
    }

    fn is(&self, account: u32, any_of: &[Status]) -> bool {
        self.accounts.get(&account).is_some_and(|account| any_of.contains(&account.status))
    }

    // ---- Do the books agree with the bank's? ----

    fn compare_with(&self, state: &State) -> Agreed {
        agree!(state.last_event() == self.events, "the bank has seen {} events", state.last_event());
        agree!(state.ledger().accounts().len() == self.accounts.len(), "the bank has other accounts");
        let mut sums: BTreeMap<(u16, Kind), i128> = BTreeMap::new();
        for (id, account) in state.ledger().accounts() {
            let own = self.account(id.0)?;
            let theirs = (i128::from(account.posted_minor), i128::from(account.held_minor), account.entries);
            let ours = (own.balance, own.held, own.entries);
            agree!(theirs == ours, "account {}: balance, held and entries are {theirs:?}, should be {ours:?}", id.0);
            agree!(account.status == own.status, "account {} is {:?}", id.0, account.status);
            *sums.entry((own.currency, own.kind)).or_insert(0) += own.balance;
        }
        for currency in sums.keys().map(|(currency, _)| *currency) {
            let sum: i128 = sums.iter().filter(|((of, _), _)| *of == currency).map(|(_, minor)| minor).sum();
            agree!(sum == 0, "currency {currency} sums to {sum}");
        }
        let theirs: BTreeMap<u64, i128> =
            state.ledger().holds().map(|(id, hold)| (id.event(), i128::from(hold.remaining_minor))).collect();
        let ours: BTreeMap<u64, i128> = self.holds.iter().map(|(id, held)| (*id, held.remaining)).collect();
        agree!(theirs == ours, "the open holds are {theirs:?}, should be {ours:?}");
        agree!(state.session_count() == self.sessions.len(), "the bank has other sessions");
        state.ledger().check_laws()
    }
}

const FROZEN: [Status; 2] = [Status::FrozenForDebits, Status::Frozen];

fn new_account(currency: Currency, kind: Kind, overdraft: Overdraft) -> Account {
    Account {
        currency: currency.numeric(),
        kind,
        balance: 0,
        held: 0,
        overdraft: limit(overdraft),
        status: Status::Open,
        entries: 0,
        last_posting: None,
        last_booked_at: Timestamp(i64::MIN),
    }
}

fn limit(overdraft: Overdraft) -> Option<i128> {
    match overdraft {
        Overdraft::Limited(limit) => Some(i128::from(limit)),
        Overdraft::Unlimited => None,
    }
}

/// What a posting that answers a command says it was made for.
fn cause(body: &Body) -> Option<Cause> {
    match body {
        Body::Pay(_) | Body::Deposit { .. } | Body::Withdraw { .. } => Some(Cause::Order),
        Body::Capture { hold, last, .. } => Some(Cause::Capture { hold: *hold, last: *last }),
        Body::Refund { of, leg, .. } => Some(Cause::Refund { of: *of, leg: *leg }),
        Body::Reverse { of, .. } => Some(Cause::Reversal { of: *of }),
        _ => None,
    }
}

fn named_hold(body: &Body) -> Option<u64> {
    match body {
        Body::Capture { hold, .. } | Body::Void { hold } | Body::Expire { hold } => Some(hold.event()),
        _ => None,
    }
}

fn named_payment(body: &Body) -> Option<u64> {
    match body {
        Body::Refund { of, .. } | Body::Reverse { of, .. } => Some(of.event()),
        _ => None,
    }
}
