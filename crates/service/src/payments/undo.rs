//! Giving payments back: refunds in part or whole, and reversals.

use bank::{Body, PastPosting, PaymentCommand, Readers, Refusal, TokenHash, accounts_of};
use ledger::{Money, PostingId, Undone};
use tokio::task::spawn_blocking;

use super::orders::Booked;
use crate::fault::Fault;
use crate::service::Service;
use crate::writes::Keyed;

/// Refund to be made of a payment.
#[derive(Debug, Clone, Copy)]
pub struct RefundOrder<'a> {
    /// The payment's id.
    pub payment: &'a str,
    /// Number of the movement of the payment that is given back, from 0.
    pub movement: u32,
    /// The text on both statements.
    pub text: Option<&'a str>,
}

impl Service {
    /// Gives a payment back: an amount, or all that was not given back before.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn refund(
        &self,
        asked: &Keyed<'_>,
        order: RefundOrder<'_>,
        amount: Result<Option<Money>, Fault>,
    ) -> Result<Booked, Fault> {
        let RefundOrder { payment, movement, text } = order;
        let past = self.past(asked.token, payment).await?;
        let (write, found) = self.prepare_write(asked, |state, _| {
            let amount = amount?;
            let past = past.as_ref().ok_or(Refusal::UnknownPayment)?;
            let legs = past.posting.legs();
            let paid = legs.get(movement as usize).ok_or(Refusal::from(ledger::Refusal::NoSuchLeg))?.leg;
            let amount = amount.unwrap_or_else(|| match state.ledger().undone_pages().get(&past.id) {
                Some(Undone::Refunded(refunded)) => match refunded.get(&movement) {
                    // Asks for the whole if nothing is left, so that it is refused.
                    Some(minor) if *minor < paid.amount.minor => {
                        Money { minor: paid.amount.minor - minor, ..paid.amount }
                    }
                    Some(_) | None => paid.amount,
                },
                Some(Undone::Reversed) | None => paid.amount,
            });
            Ok((past.id, amount, state.readers(paid.credit, [paid.debit])))
        })?;
        let body = found.and_then(|(of, amount, readers)| {
            let text = self.seal_text(&readers, text)?;
            Ok((Body::Payments(PaymentCommand::Refund { of, leg: movement, amount, text }), None))
        });
        self.booked(&self.submit_with(&write, body, past).await?)
    }

    /// Undoes a payment exactly, with a text on both statements. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn reverse(&self, asked: &Keyed<'_>, payment: &str, text: Option<&str>) -> Result<Booked, Fault> {
        let past = self.past(asked.token, payment).await?;
        let (write, found) = self.prepare_write(asked, |state, _| {
            let past = past.as_ref().ok_or(Refusal::UnknownPayment)?;
            let accounts = accounts_of(&past.posting);
            let debited = accounts.first().copied();
            Ok((past.id, debited.map_or_else(Readers::default, |debited| state.readers(debited, accounts))))
        })?;
        let body = found.and_then(|(of, readers)| {
            let text = self.seal_text(&readers, text)?;
            Ok((Body::Payments(PaymentCommand::Reverse { of, text }), None))
        });
        self.booked(&self.submit_with(&write, body, past).await?)
    }

    /// Finds the posting of a payment's id, for a caller who is signed in.
    async fn past(&self, token: TokenHash, id: &str) -> Result<Option<PastPosting>, Fault> {
        self.prepare(token, |_, _| Ok(()))?;
        let Some(id) = self.payment_ids().event(id).and_then(PostingId::new) else { return Ok(None) };
        let engine = self.engine().clone();
        let found = spawn_blocking(move || engine.past_posting(id)).await.map_err(|error| Fault::failed(&error))?;
        Ok(found?)
    }
}
