//! Payments in the auditor's books: what was paid, and what of it was given back.

use bank::{Body, Event, Pay, PaymentCommand, PaymentEvent, Purpose, Refusal, What};
use ledger::{Cause, Kind, Ledger, Leg, Money, Posting, Timestamp, Undone};
use smallvec::smallvec;

use super::access::{Objections, Who};
use super::moves::{Moved, Moves, is_paid, posts};
use super::{Agreed, Auditor, Breach, Named, only};

/// One leg of a payment. Its currency is that of its accounts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Paid {
    pub(super) debit: u32,
    pub(super) credit: u32,
    pub(super) minor: i64,
    refunded: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Payment {
    pub(super) first: Paid,
    pub(super) stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Made,
    Refunded,
    Reversed,
    /// It is itself a refund or a reversal.
    Undoing,
}

impl Paid {
    pub(super) fn left(&self) -> i64 {
        self.minor - self.refunded
    }
}

impl Auditor {
    pub(super) fn payment_movement(&self, command: &PaymentCommand) -> Option<Moves> {
        match command {
            PaymentCommand::Pay(pay) => Some(movement_of(pay)),
            PaymentCommand::PayAll(payments) => {
                Some(payments.iter().flat_map(|pay| &pay.legs).map(Moved::of).collect())
            }
            PaymentCommand::Deposit { account, amount, .. } => Some(smallvec![self.deposit(account.0, *amount)?]),
            PaymentCommand::Withdraw { account, amount, .. } => {
                Some(smallvec![self.deposit(account.0, *amount)?.back()])
            }
            PaymentCommand::Book { leg, .. } => Some(smallvec![Moved::of(leg)]),
            PaymentCommand::Refund { of, leg, amount, .. } => {
                let paid = self.paid(of.event(), *leg)?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(smallvec![Moved { debit: paid.credit, credit: paid.debit, minor, currency }])
            }
            PaymentCommand::Reverse { of, .. } => self.mirror(of.event()),
        }
    }

    /// Moves cash from the desk to an account.
    fn deposit(&self, account: u32, amount: Money) -> Option<Moved> {
        let currency = amount.currency.numeric();
        let debit = *self.cash.get(&currency)?;
        Some(Moved { debit, credit: account, minor: i128::from(amount.minor), currency })
    }

    /// Returns what undoes a payment.
    fn mirror(&self, of: u64) -> Option<Moves> {
        let first = self.payment(of)?.first;
        let further = self.further_legs.get(&of).map_or(&[][..], Vec::as_slice);
        let legs = std::iter::once(&first).chain(further).rev();
        legs.map(|paid| self.moved(paid).map(Moved::back)).collect()
    }

    pub(super) fn moved(&self, paid: &Paid) -> Option<Moved> {
        let currency = self.known(paid.debit)?.currency;
        Some(Moved { debit: paid.debit, credit: paid.credit, minor: i128::from(paid.minor), currency })
    }

    pub(super) fn payment(&self, event: u64) -> Option<&Payment> {
        self.payments.get(usize::try_from(event.checked_sub(1)?).ok()?)?.as_ref()
    }

    /// A leg of a payment.
    pub(super) fn paid(&self, event: u64, leg: u32) -> Option<&Paid> {
        match leg.checked_sub(1) {
            None => self.payment(event).map(|payment| &payment.first),
            Some(further) => self.further_legs.get(&event)?.get(usize::try_from(further).ok()?),
        }
    }

    // ---- Was the caller entitled to it? ----

    /// All that speaks against a customer's moving money.
    pub(super) fn objections_to_payment(&self, customer: u32, command: &PaymentCommand, moves: &[Moved]) -> Objections {
        match command {
            PaymentCommand::Pay(_) | PaymentCommand::Refund { .. } => self.objections_to_moves(customer, moves),
            PaymentCommand::PayAll(payments) => {
                payments.iter().flat_map(|pay| self.objections_to_moves(customer, &movement_of(pay))).collect()
            }
            // Forbidden to them all.
            PaymentCommand::Deposit { .. }
            | PaymentCommand::Withdraw { .. }
            | PaymentCommand::Book { .. }
            | PaymentCommand::Reverse { .. } => Objections::new(),
        }
    }

    /// Returns what speaks against the bank's booking something itself.
    pub(super) fn objection_to_booking(&self, body: &Body) -> Option<Refusal> {
        let Body::Payments(PaymentCommand::Book { leg, .. }) = body else { return None };
        let customers =
            |account: u32| self.can_be_a_customers(account) && self.rights.keys().any(|(_, held)| *held == account);
        let result = |id: u32| self.known(id).is_some_and(|it| matches!(it.kind, Kind::Income | Kind::Expense));
        match (customers(leg.debit.0), customers(leg.credit.0)) {
            (true, true) => Some(Refusal::BetweenCustomers),
            (true, false) if !result(leg.credit.0) => Some(Refusal::NotIncomeOrExpense),
            (false, true) if !result(leg.debit.0) => Some(Refusal::NotIncomeOrExpense),
            (true | false, true | false) => None,
        }
    }

    // ---- Do the events fit the books? ----

    /// Checks that what is booked counts from the day that was asked for, or else from the bank's own of that moment.
    pub(super) fn are_of_their_days(&self, body: &Body, at: Timestamp, events: &[Event]) -> Agreed {
        let asked = orders(body).first().and_then(|pay| pay.value_date);
        let day = asked.map_or_else(|| self.days.day(at), |day| day.0);
        for event in events {
            if let What::Payments(PaymentEvent::Posted { posting, .. }) = &event.what {
                agree!(posting.value_date().0 == day, "a posting of day {day} counts from {:?}", posting.value_date());
            }
        }
        Ok(())
    }

    pub(super) fn book_payment(&mut self, event: &PaymentEvent, at: Timestamp) -> Agreed {
        match event {
            PaymentEvent::Posted { posting, released_minor, .. } => {
                self.book_posting(posting, released_minor.as_deref().copied(), at)
            }
            // The payments that it counts are events of their own.
            PaymentEvent::PaidAll { .. } => Ok(()),
        }
    }

    fn book_posting(&mut self, posting: &Posting, released: Option<i64>, at: Timestamp) -> Agreed {
        let number = self.events;
        let moves: Moves = posting.legs().iter().map(|booked| Moved::of(&booked.leg)).collect();
        agree!(!moves.is_empty(), "a posting moved nothing");
        agree!(posting.booked_at() <= at, "a posting was booked ahead");
        let undoes = self.book_cause(posting.cause(), released, &moves, at)?;
        for (moved, booked) in moves.iter().zip(posting.legs()) {
            agree!(moved.minor > 0, "a leg moved nothing, or backwards");
            self.may_move(moved.debit, moved.credit, moved.currency)?;
            for (id, change, entry) in
                [(moved.debit, -moved.minor, booked.debit), (moved.credit, moved.minor, booked.credit)]
            {
                let account = self.account_mut(id)?;
                account.balance += change;
                account.entries += 1;
                let balance = account.balance;
                agree!(i128::from(entry.balance_minor) == balance, "account {id} has {balance} after entry {entry:?}");
                agree!(entry.ordinal == account.entries, "account {id} has {} entries", account.entries);
                if account.last_posting != Some(number) {
                    account.posting_before = account.last_posting.replace(number);
                }
                let previous = entry.previous.map(ledger::PostingId::event);
                agree!(account.posting_before == previous, "account {id}'s last posting was not {previous:?}");
                agree!(account.last_booked_at <= posting.booked_at(), "account {id} was booked backwards");
                account.last_booked_at = posting.booked_at();
            }
            let payer = self.account(moved.debit)?;
            agree!(payer.may_have(payer.available()), "account {} was drawn below its overdraft", moved.debit);
        }
        self.keep_payment(posting, if undoes { Stage::Undoing } else { Stage::Made });
        Ok(())
    }

    /// Keeps a payment, in case that it is given back.
    fn keep_payment(&mut self, posting: &Posting, stage: Stage) {
        let paid = |leg: &Leg| Paid { debit: leg.debit.0, credit: leg.credit.0, minor: leg.amount.minor, refunded: 0 };
        let mut legs = posting.legs().iter().map(|booked| paid(&booked.leg));
        let kept = self.payments.last_mut().zip(legs.next());
        if let Some((place, first)) = kept {
            *place = Some(Payment { first, stage });
        }
        if legs.len() > 0 {
            self.further_legs.insert(self.events, legs.collect());
        }
    }

    /// Takes what a posting was made for off the hold or payment it goes back to. Tells whether it undoes another.
    fn book_cause(&mut self, cause: Cause, released: Option<i64>, moves: &[Moved], at: Timestamp) -> Agreed<bool> {
        let is_capture = matches!(cause, Cause::Capture { .. });
        agree!(released.is_none() || is_capture, "what captures nothing lets {released:?} of a hold go");
        match cause {
            Cause::Order => Ok(false),
            Cause::Capture { hold, last } => self.book_capture(hold.event(), last, released, moves, at).map(|()| false),
            Cause::Refund { of, leg } => self.book_refund(of.event(), leg, moves).map(|()| true),
            Cause::Reversal { of } => self.book_reversal(of.event(), moves).map(|()| true),
        }
    }

    /// Compares what was undone of each payment with the bank's books.
    pub(super) fn compare_undone(&self, theirs: &Ledger) -> Agreed {
        let ours = self.payments.iter().flatten();
        let ours = ours.filter(|payment| matches!(payment.stage, Stage::Refunded | Stage::Reversed)).count();
        agree!(theirs.undone().count() == ours, "the bank says of others than {ours} that they were undone");
        for (id, undone) in theirs.undone() {
            let stage = self.payment(id.event()).map(|payment| payment.stage);
            let Undone::Refunded(legs) = undone else {
                agree!(stage == Some(Stage::Reversed), "payment {} is reversed, should be {stage:?}", id.event());
                continue;
            };
            agree!(stage == Some(Stage::Refunded), "payment {} is refunded, should be {stage:?}", id.event());
            let further = self.further_legs.get(&id.event()).map_or(0, Vec::len);
            for leg in 0..=u32::try_from(further).unwrap_or(u32::MAX) {
                let ours = self.paid(id.event(), leg).map(|paid| paid.refunded);
                let theirs = legs.get(&leg).copied().unwrap_or(0);
                agree!(ours == Some(theirs), "of payment {} {theirs} is refunded, should be {ours:?}", id.event());
            }
        }
        Ok(())
    }

    fn book_refund(&mut self, of: u64, leg: u32, moves: &[Moved]) -> Agreed {
        let stage = self.payment(of).map(|payment| payment.stage);
        agree!(matches!(stage, Some(Stage::Made | Stage::Refunded)), "payment {of} can't be refunded: it is {stage:?}");
        let Some(paid) = self.paid(of, leg).copied() else { return Err(breach!("payment {of} has no leg {leg}")) };
        let [moved] = moves else { return Err(breach!("a refund has one leg")) };
        let back = self.moved(&paid).map(Moved::back);
        let another_way = back != Some(Moved { minor: i128::from(paid.minor), ..*moved });
        agree!(!another_way, "the refund goes another way than the payment");
        agree!(moved.minor <= i128::from(paid.left()), "more was refunded than paid");
        let refunded = paid.refunded + i64::try_from(moved.minor).unwrap_or(0);
        let place = usize::try_from(of - 1).unwrap_or(usize::MAX);
        if let Some(payment) = self.payments[place].as_mut() {
            payment.stage = Stage::Refunded;
            if leg == 0 {
                payment.first.refunded = refunded;
            }
        }
        if let (Some(legs), Some(further)) = (self.further_legs.get_mut(&of), leg.checked_sub(1)) {
            legs[usize::try_from(further).unwrap_or(usize::MAX)].refunded = refunded;
        }
        Ok(())
    }

    fn book_reversal(&mut self, of: u64, moves: &[Moved]) -> Agreed {
        let stage = self.payment(of).map(|payment| payment.stage);
        agree!(stage == Some(Stage::Made), "payment {of} can't be reversed: it is {stage:?}");
        agree!(self.mirror(of).as_deref() == Some(moves), "the reversal is not the payment's mirror");
        if let Some(payment) = self.payments[usize::try_from(of - 1).unwrap_or(usize::MAX)].as_mut() {
            payment.stage = Stage::Reversed;
        }
        Ok(())
    }

    // ---- Is the reason of a refusal true? ----

    pub(super) fn has_no_cash_account(&self, body: &Body) -> bool {
        let Body::Payments(command) = body else { return false };
        match command {
            PaymentCommand::Deposit { amount, .. } | PaymentCommand::Withdraw { amount, .. } => {
                !self.cash.contains_key(&amount.currency.numeric())
            }
            PaymentCommand::Pay(_)
            | PaymentCommand::PayAll(_)
            | PaymentCommand::Book { .. }
            | PaymentCommand::Refund { .. }
            | PaymentCommand::Reverse { .. } => false,
        }
    }

    pub(super) fn refundable(&self, body: &Body) -> Option<i64> {
        let Body::Payments(PaymentCommand::Refund { of, leg, .. }) = body else { return None };
        self.paid(of.event(), *leg).map(Paid::left)
    }
}

pub(super) fn is_payment_forbidden(who: Who, command: &PaymentCommand) -> bool {
    match command {
        PaymentCommand::Pay(pay) => {
            matches!(who, Who::Operator | Who::Auditor) || (!is_ordinary(pay) && who != Who::System)
        }
        PaymentCommand::PayAll(payments) => {
            matches!(who, Who::Operator | Who::Auditor) || payments.iter().any(|pay| !is_ordinary(pay))
        }
        PaymentCommand::Deposit { .. }
        | PaymentCommand::Withdraw { .. }
        | PaymentCommand::Book { .. }
        | PaymentCommand::Reverse { .. } => matches!(who, Who::Auditor | Who::Customer(_)),
        PaymentCommand::Refund { .. } => who == Who::Auditor,
    }
}

pub(super) fn is_payment_answered(command: &PaymentCommand, moves: &[Moved], events: &[Event]) -> bool {
    match command {
        PaymentCommand::Pay(_) | PaymentCommand::Deposit { .. } | PaymentCommand::Withdraw { .. } => {
            is_paid(moves, Cause::Order, events)
        }
        PaymentCommand::PayAll(asked) => {
            let [Event { what: What::Payments(PaymentEvent::PaidAll { payments }), .. }, made @ ..] = events else {
                return false;
            };
            let mut each = asked.iter().zip(made);
            asked.len() == made.len()
                && u32::try_from(made.len()) == Ok(*payments)
                && each.all(|(pay, event)| posts(&movement_of(pay), Cause::Order, &event.what))
        }
        PaymentCommand::Book { reason, .. } => only(events).is_some_and(|what| {
            let What::Payments(PaymentEvent::Posted { purpose, text, copies, .. }) = what else { return false };
            (*purpose, text.as_deref(), copies) == (Purpose::Booking, Some(&reason.own), &reason.copies)
                && posts(moves, Cause::Order, what)
        }),
        PaymentCommand::Refund { of, leg, .. } => is_paid(moves, Cause::Refund { of: *of, leg: *leg }, events),
        PaymentCommand::Reverse { of, .. } => is_paid(moves, Cause::Reversal { of: *of }, events),
    }
}

pub(super) fn named_by_payment(command: &PaymentCommand) -> Named {
    match command {
        PaymentCommand::Deposit { account, .. } | PaymentCommand::Withdraw { account, .. } => {
            Named { at_desk: Some(account.0), ..Named::default() }
        }
        PaymentCommand::Refund { of, .. } | PaymentCommand::Reverse { of, .. } => {
            Named { payment: Some(of.event()), ..Named::default() }
        }
        // Their accounts are those that they move money between.
        PaymentCommand::Pay(_) | PaymentCommand::PayAll(_) | PaymentCommand::Book { .. } => Named::default(),
    }
}

/// Returns the payments that a command orders.
fn orders(body: &Body) -> &[Pay] {
    let Body::Payments(command) = body else { return &[] };
    match command {
        PaymentCommand::Pay(pay) => std::slice::from_ref(pay),
        PaymentCommand::PayAll(payments) => payments,
        PaymentCommand::Deposit { .. }
        | PaymentCommand::Withdraw { .. }
        | PaymentCommand::Book { .. }
        | PaymentCommand::Refund { .. }
        | PaymentCommand::Reverse { .. } => &[],
    }
}

pub(super) fn is_of_no_legs(body: &Body) -> bool {
    let none_at_all = matches!(body, Body::Payments(PaymentCommand::PayAll(payments)) if payments.is_empty());
    none_at_all || orders(body).iter().any(|pay| pay.legs.is_empty())
}

pub(super) fn is_of_too_many_legs(body: &Body) -> bool {
    orders(body).iter().any(|pay| pay.legs.len() > 100)
}

/// Returns the booking time that a payment asks for.
pub(super) fn booked_at(body: &Body) -> Option<Timestamp> {
    let Body::Payments(PaymentCommand::Pay(pay)) = body else { return None };
    pay.booked_at
}

/// Returns the movements of a payment.
fn movement_of(pay: &Pay) -> Moves {
    pay.legs.iter().map(Moved::of).collect()
}

/// Returns `true` if a payment is booked now, and for what payments are for.
fn is_ordinary(pay: &Pay) -> bool {
    pay.booked_at.is_none() && pay.value_date.is_none() && pay.purpose == Purpose::Payment
}
