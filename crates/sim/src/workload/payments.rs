//! Payments, cash, bookings, refunds and reversals, and what is learned of postings.

use bank::{Body, Caller, Pay, PaymentCommand, PaymentEvent, Purpose};
use ledger::{Leg, Money, PostingId};
use smallvec::{SmallVec, smallvec};

use super::{Known, Workload, remember, sealed};

impl Workload {
    pub(super) fn learn_payment(&mut self, number: u64, event: &PaymentEvent) {
        match event {
            PaymentEvent::Posted { posting, .. } => {
                let legs = posting.legs().iter().map(|booked| booked.leg).collect();
                let id = PostingId::new(number).expect("events are numbered from 1");
                remember(&mut self.random, &mut self.payments, (id, legs));
            }
            PaymentEvent::PaidAll { .. } => {}
        }
    }

    pub(super) fn pay(&mut self) -> (Caller, Body) {
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
        // With every text, so that no chance is taken.
        let end_to_end_id = text.clone().map(Box::new);
        let pay = Pay {
            legs,
            purpose: Purpose::Payment,
            text,
            metadata: None,
            end_to_end_id,
            copies: None,
            value_date: None,
            booked_at: None,
        };
        (caller, pay)
    }

    /// Some payments all or none, mostly of one payer.
    pub(super) fn pay_all(&mut self) -> (Caller, Body) {
        let (caller, first) = self.payment();
        let mut payments = vec![first];
        for _ in 0..self.random.below(5) {
            payments.push(self.payment().1);
        }
        (caller, Body::Payments(PaymentCommand::PayAll(payments)))
    }

    pub(super) fn cash(&mut self) -> (Caller, Body) {
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
    pub(super) fn book(&mut self) -> (Caller, Body) {
        let mut leg = self.leg();
        let banks: Vec<Known> = self.accounts.iter().copied().filter(|known| known.owner.is_none()).collect();
        // The first is the cash desk, which no customer ever gets a right on.
        let bank = if self.random.once_in(3) { banks.first().copied() } else { self.random.pick(&banks) };
        if let Some(bank) = bank.filter(|_| !self.random.once_in(4)) {
            let side = if self.random.once_in(3) { &mut leg.debit } else { &mut leg.credit };
            *side = bank.id;
        }
        (self.operator(), Body::Payments(PaymentCommand::Book { leg, reason: sealed("a reason").into() }))
    }

    pub(super) fn refund(&mut self) -> (Caller, Body) {
        let Some((of, legs)) = self.random.pick(&self.payments) else { return self.pay() };
        let place = if self.random.once_in(15) { legs.len() } else { self.random.place(legs.len()) };
        let paid = legs.get(place).copied().unwrap_or(legs[0]);
        let minor = 1 + self.random.amount(paid.amount.minor);
        let caller = if self.random.once_in(3) { self.operator() } else { self.holder(paid.credit) };
        let leg = u32::try_from(place).expect("a posting has few legs");
        (caller, Body::Payments(PaymentCommand::Refund { of, leg, amount: Money { minor, ..paid.amount }, text: None }))
    }

    pub(super) fn reverse(&mut self) -> (Caller, Body) {
        let Some((of, _)) = self.random.pick(&self.payments) else { return self.pay() };
        (self.operator(), Body::Payments(PaymentCommand::Reverse { of, text: None }))
    }
}
