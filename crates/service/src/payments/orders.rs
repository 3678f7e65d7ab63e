//! Payments that are ordered: by a customer, at the desk, or by the bank itself.
//!
//! What a front found wrong with an order is handed in with it, so that it is remembered under the order's key.

use bank::{Action, Body, Pay, PaymentCommand, PaymentEvent, Plain, Readers, Said, SharedText, State, What};
use engine::Receipt;
use ledger::{AccountId, Leg, Money};
use smallvec::SmallVec;

use super::view::{BookingView, Parties, Undoing};
use crate::fault::Fault;
use crate::metadata::Metadata;
use crate::names::{account_of, leg_of};
use crate::service::Service;
use crate::texts::{text, text_of};
use crate::writes::{Keyed, is_dry, unexpected};

/// A payment to be made.
#[derive(Debug, Clone)]
pub struct PaymentOrder<'a> {
    /// Its movements, all or nothing, in this order: at least one.
    pub movements: SmallVec<[MovementOrder<'a>; 1]>,
    /// Words that go with it.
    pub words: Words<'a>,
}

/// What a payer says with a payment.
#[derive(Debug, Clone, Default)]
pub struct Words<'a> {
    /// The text on both statements.
    pub text: Option<&'a str>,
    /// The payer's own notes.
    pub metadata: Option<Metadata<'a>>,
    /// The payer's own id of the payment, which both sides see: at most [`Words::MAX_END_TO_END_CHARACTERS`]
    /// characters.
    pub end_to_end_id: Option<&'a str>,
}

/// A movement of a payment to be made.
#[derive(Debug, Clone, Copy)]
pub struct MovementOrder<'a> {
    /// The IBAN of the account that pays.
    pub from: &'a str,
    /// The IBAN of the account that is paid.
    pub to: &'a str,
    /// Amount.
    pub amount: Money,
}

/// Cash that is brought or taken.
#[derive(Debug, Clone, Copy)]
pub struct CashOrder<'a> {
    /// The account's IBAN.
    pub account: &'a str,
    /// Amount.
    pub amount: Money,
    /// The text on the statement.
    pub text: Option<&'a str>,
    /// `true` if it is brought, `false` if it is taken.
    pub is_brought: bool,
}

/// A booking of the bank's own, to be made.
#[derive(Debug, Clone, Copy)]
pub struct BookingOrder<'a> {
    /// The IBAN of the account that is debited.
    pub from: &'a str,
    /// The IBAN of the account that is credited.
    pub to: &'a str,
    /// Reason for which it is booked: the text on both statements.
    pub reason: &'a str,
}

/// A payment that was booked, or would be.
#[derive(Debug, Clone)]
pub struct Booked {
    /// Its id; none where it was only to be told what would become of it.
    pub id: Option<String>,
    /// All else of it.
    pub booking: BookingView,
    /// `true` if it was booked under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

/// A payment that was ordered, with its accounts found.
pub(crate) struct Ordered {
    pub(crate) legs: SmallVec<[Leg; 1]>,
    /// For whom its texts are sealed; nobody where there are none.
    pub(crate) readers: Readers,
    pub(crate) parties: Parties,
}

impl Words<'_> {
    /// The most characters of an end-to-end id: ISO 20022's Max35Text.
    pub const MAX_END_TO_END_CHARACTERS: usize = 35;

    /// Returns `true` if there are none, so that nothing is to be sealed.
    pub(crate) fn is_empty(&self) -> bool {
        let Self { text, metadata, end_to_end_id } = self;
        text.is_none() && metadata.is_none() && end_to_end_id.is_none()
    }
}

impl PaymentOrder<'_> {
    /// Finds its accounts.
    fn find(&self, state: &State) -> Result<Ordered, Fault> {
        let mut legs: SmallVec<[Leg; 1]> = SmallVec::new();
        for (place, MovementOrder { from, to, amount }) in self.movements.iter().enumerate() {
            let found = |field: &str, iban: &str| {
                account_of(state, iban).map_err(|fault| match place {
                    0 => fault.in_field(field),
                    _ => fault.in_field(&format!("more[{}].{field}", place - 1)),
                })
            };
            legs.push(Leg { debit: found("from", from)?, credit: found("to", to)?, amount: *amount });
        }
        let ids: SmallVec<[AccountId; 2]> = legs.iter().flat_map(|leg| [leg.debit, leg.credit]).collect();
        let parties = Parties::payers(state, &ids);
        // Only who writes something needs a key to seal it under.
        let readers = match self.words.is_empty() {
            true => Readers::default(),
            false => state.readers(legs[0].debit, ids),
        };
        Ok(Ordered { readers, legs, parties })
    }
}

impl Service {
    /// Pays from one account to another.
    ///
    /// # Errors
    ///
    /// Fails if the payment is refused, now or under its key before, and if the engine can't answer.
    pub async fn pay(&self, asked: &Keyed<'_>, order: Result<PaymentOrder<'_>, Fault>) -> Result<Booked, Fault> {
        let (write, looked) = self.prepare_write(asked, |state, _| {
            let order = order?;
            let ordered = order.find(state)?;
            Ok((order, ordered))
        })?;
        let made = looked.and_then(|(order, Ordered { legs, readers, parties })| {
            let pay = self.pay_command(legs, &readers, &order.words)?;
            Ok((Body::Payments(PaymentCommand::Pay(pay)), parties))
        });
        match made {
            Ok((body, parties)) => self.booked_for(&self.submit(&write, Ok(body)).await?, &parties),
            Err(fault) => self.booked(&self.submit(&write, Err(fault)).await?),
        }
    }

    /// Makes the command of a payment, its texts sealed for `readers`.
    ///
    /// # Errors
    ///
    /// Fails if a text is not as it must be, or can't be sealed.
    pub(crate) fn pay_command(
        &self,
        legs: SmallVec<[Leg; 1]>,
        readers: &Readers,
        words: &Words<'_>,
    ) -> Result<Pay, Fault> {
        if words.is_empty() {
            return Ok(Pay::of(legs));
        }
        let sent = |id| text_of("end_to_end_id", id, Words::MAX_END_TO_END_CHARACTERS);
        let sent_text = words.text.map(|sent| text("text", sent)).transpose()?;
        let metadata = self.seal_metadata(readers, words.metadata.as_ref())?.map(Box::new);
        let plain = Plain { text: sent_text, end_to_end_id: words.end_to_end_id.map(sent).transpose()? };
        let Said { text, end_to_end_id, copies } = self.seal_said(readers, plain)?;
        Ok(Pay { text, metadata, end_to_end_id: end_to_end_id.map(Box::new), copies, ..Pay::of(legs) })
    }

    /// Books cash that is brought to the desk or taken, against the cash account of its currency.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn book_cash(&self, asked: &Keyed<'_>, order: Result<CashOrder<'_>, Fault>) -> Result<Booked, Fault> {
        let (write, found) = self.prepare_write(asked, |state, _| {
            let order = order?;
            let account = account_of(state, order.account).map_err(|fault| fault.in_field("account"))?;
            Ok((order, account, state.readers(account, [])))
        })?;
        let body = found.and_then(|(CashOrder { amount, text, is_brought, .. }, account, readers)| {
            let text = self.seal_text(&readers, text)?;
            Ok(Body::Payments(match is_brought {
                true => PaymentCommand::Deposit { account, amount, text },
                false => PaymentCommand::Withdraw { account, amount, text },
            }))
        });
        self.booked(&self.submit(&write, body).await?)
    }

    /// Books something of the bank's own, for operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn book(
        &self,
        asked: &Keyed<'_>,
        order: BookingOrder<'_>,
        amount: Result<Money, Fault>,
    ) -> Result<Booked, Fault> {
        let (write, found) = self.prepare_write(asked, |state, who| {
            who.may_ever(Action::Book)?;
            let amount = amount?;
            let reason = text("reason", order.reason)?;
            let leg = leg_of(state, order.from, order.to, amount)?;
            // Under the customer's key, where there is one.
            let is_customers = state.owners(leg.debit).next().is_some();
            let about = if is_customers { leg.debit } else { leg.credit };
            Ok((leg, reason, state.readers(about, [leg.debit, leg.credit])))
        })?;
        let body = found.and_then(|(leg, reason, readers)| {
            let plain = Plain { text: Some(reason), end_to_end_id: None };
            let reason =
                self.seal_said(&readers, plain)?.into_text().ok_or_else(|| Fault::failed(&"a text was lost"))?;
            Ok(Body::Payments(PaymentCommand::Book { leg, reason }))
        });
        self.booked(&self.submit(&write, body).await?)
    }

    /// Seals a text on a statement.
    pub(crate) fn seal_text(&self, readers: &Readers, sent: Option<&str>) -> Result<Option<SharedText>, Fault> {
        let text = sent.map(|sent| text("text", sent)).transpose()?;
        Ok(self.seal_said(readers, Plain { text, end_to_end_id: None })?.into_text())
    }

    /// The answer to a write that booked a payment of whatever purpose.
    pub(crate) fn booked(&self, receipt: &Receipt) -> Result<Booked, Fault> {
        let What::Payments(PaymentEvent::Posted { posting, .. }) = &receipt.what else {
            return Err(unexpected(receipt));
        };
        let parties = self.engine().peek(|state| Parties::payers(state, &bank::accounts_of(posting)))?;
        self.booked_for(receipt, &parties)
    }

    pub(crate) fn booked_for(&self, receipt: &Receipt, parties: &Parties) -> Result<Booked, Fault> {
        let booking =
            self.booking_view(&receipt.what, parties, &Undoing::default())?.ok_or_else(|| unexpected(receipt))?;
        let id = (!is_dry(receipt)).then(|| self.payment_ids().id(receipt.event));
        Ok(Booked { id, booking, is_repeated: receipt.repeated })
    }
}
