//! Payments as they are shown: whatever moved money, a deposit or a reversal as well.

use bank::{PaymentEvent, Purpose, Refusal, Said, State, SubjectId, SystemEvent, TokenHash, What};
use engine::{Engine, Field, Recorded, Spoken, Unavailable};
use ledger::{AccountId, Cause, Leg, Money, Posting, PostingId, Timestamp, Undone, ValueDate};
use smallvec::SmallVec;
use tokio::task::spawn_blocking;

use crate::access::SignedIn;
use crate::fault::Fault;
use crate::service::Service;

/// Refusals that a payment of whatever purpose can meet: an order, cash, a booking, a capture, a refund or a reversal.
/// A refusal is remembered without what was asked for, so another one, such as a taken name, tells that the key was not
/// a payment's.
pub const PAYMENT_REFUSALS: &[&str] = &[
    "unknown-payment",
    "unknown-hold",
    "unknown-account",
    "not-allowed",
    "no-right",
    "read-only-right",
    "above-signatory-limit",
    "not-a-payee",
    "too-many-legs",
    "no-such-leg",
    "amount-not-positive",
    "same-account",
    "currency-mismatch",
    "account-closed",
    "account-frozen",
    "insufficient-funds",
    "balance-out-of-range",
    "no-cash-account",
    "not-undoable",
    "already-reversed",
    "already-refunded",
    "refund-exceeds-payment",
    "hold-not-open",
    "hold-expired",
    "capture-exceeds-hold",
    "not-a-customers-account",
    "between-customers",
    "not-income-or-expense",
    "invalid-request",
    "invalid-iban",
    "other-bank",
    "invalid-amount",
    "amount-too-precise",
    "unknown-currency",
    "amount-incomplete",
    "person-erased",
];

/// A payment as booked.
#[derive(Debug, Clone)]
pub struct PaymentView {
    /// Its id, for ever.
    pub id: String,
    /// All else of it.
    pub booking: BookingView,
}

/// Payment without its id.
#[derive(Debug, Clone)]
pub struct BookingView {
    /// The payment itself.
    pub movement: MovementView,
    /// Further movements that were booked with it, all or nothing.
    pub more: Vec<MovementView>,
    /// Purpose of the payment.
    pub purpose: Purpose,
    /// State of the payment.
    pub state: PaymentState,
    /// The id of the hold that it captures.
    pub hold: Option<String>,
    /// The id of the payment that it gives back or undoes.
    pub undoes: Option<String>,
    /// The ids of its refunds, or of its reversal: the first [`engine::MAX_DEEDS`].
    pub undone_by: Vec<String>,
    /// What it says to both sides.
    pub said: SaidView,
    /// Booking time.
    pub booked_at: Timestamp,
    /// Value date: the day from which it counts for interest.
    pub value_date: ValueDate,
    /// The payer's own notes as they were written ([`Metadata`](crate::Metadata)), for those who may see them.
    pub metadata: Option<String>,
}

/// What a payment says to both sides, opened.
#[derive(Debug, Clone, Default)]
pub struct SaidView {
    /// The text on the statement; none where there is none, or the person has been erased.
    pub text: Option<String>,
    /// The payer's own id of the payment; none where there is none, or the person has been erased.
    pub end_to_end_id: Option<String>,
}

/// A movement from one account to another.
#[derive(Debug, Clone)]
pub struct MovementView {
    /// The IBAN of the account that was debited.
    pub from: String,
    /// The IBAN of the account that was credited.
    pub to: String,
    /// Amount.
    pub amount: Money,
    /// Amount of it that was given back by refunds.
    pub refunded: Money,
}

/// State of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PaymentState {
    /// It stands as it was booked.
    Booked,
    /// Some of it was given back.
    PartlyRefunded,
    /// All of it was given back.
    Refunded,
    /// It was undone exactly, once.
    Reversed,
}

impl PaymentState {
    /// The state of a posting of which so much was undone.
    fn of(posting: &Posting, undone: Option<&Undone>) -> Self {
        let Some(undone) = undone else { return Self::Booked };
        let refunded = match undone {
            Undone::Reversed => return Self::Reversed,
            Undone::Refunded(refunded) => refunded,
        };
        let is_whole = (0..)
            .zip(posting.legs())
            .all(|(leg, booked)| refunded.get(&leg).is_some_and(|minor| *minor >= booked.leg.amount.minor));
        if is_whole { Self::Refunded } else { Self::PartlyRefunded }
    }
}

/// Refunds or reversal of a payment after it was booked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Undoing {
    undone: Option<Undone>,
    /// The events that undid it, the first ones.
    by: Vec<u64>,
}

impl Undoing {
    /// Takes what the state has of it. The events that did it are looked for by [`Undoing::found`].
    pub(crate) fn of(state: &State, event: u64) -> Self {
        let undone = PostingId::new(event).and_then(|id| state.ledger().undone_pages().get(&id));
        Self { undone: undone.cloned(), by: Vec::new() }
    }

    /// The state of the payment, which is this posting.
    pub(crate) fn state(&self, posting: &Posting) -> PaymentState {
        PaymentState::of(posting, self.undone.as_ref())
    }

    /// Returns `true` if nothing was undone.
    pub(crate) fn is_nothing(&self) -> bool {
        self.undone.is_none()
    }

    /// Finds the events that undid it, as of the event `until`. For a thread that may wait for the disk, where anything was
    /// undone.
    pub(crate) fn found(self, engine: &Engine, event: u64, until: u64) -> Result<Self, Unavailable> {
        if self.is_nothing() {
            return Ok(self);
        }
        Ok(Self { by: engine.deeds_on(event, until)?.first, ..self })
    }

    /// Returns the amount that was given back of a leg.
    fn refunded(&self, leg: u32, paid: Money) -> Money {
        let minor = match &self.undone {
            Some(Undone::Refunded(legs)) => legs.get(&leg).copied().unwrap_or(0),
            Some(Undone::Reversed) | None => 0,
        };
        Money { minor, ..paid }
    }
}

/// The accounts of a payment, with their IBANs, whose copies of its texts are shown, and whether the caller may see what only
/// the payer sees.
pub(crate) struct Parties {
    ibans: Vec<(AccountId, String)>,
    pub(crate) people: People,
    pub(crate) payer: bool,
}

/// The owners of the accounts on which something is shown; nobody where all may be seen.
pub(crate) type People = SmallVec<[SubjectId; 2]>;

/// The owners of those accounts that a caller sees; nobody for one who sees all.
pub(crate) fn people_seen(state: &State, who: &SignedIn, ids: &[AccountId]) -> People {
    if who.sees_all() {
        return People::new();
    }
    let seen = ids.iter().filter(|id| who.must_see(state, **id).is_ok());
    seen.flat_map(|id| state.owners(*id)).collect()
}

impl Parties {
    /// For somebody who acts for the payer, whose account comes first.
    pub(crate) fn payers(state: &State, ids: &[AccountId]) -> Self {
        let people = ids.iter().take(1).flat_map(|payer| state.owners(*payer)).collect();
        Self { ibans: ibans_of(state, ids), people, payer: true }
    }

    /// For a caller. The first account is the one that pays.
    pub(crate) fn of(state: &State, who: &SignedIn, ids: &[AccountId]) -> Self {
        let payer = ids.first().is_some_and(|payer| who.must_see(state, *payer).is_ok());
        Self { ibans: ibans_of(state, ids), people: people_seen(state, who, ids), payer }
    }

    /// Does as [`Parties::of`], for a caller with a right on one of the accounts.
    pub(crate) fn seen(state: &State, who: &SignedIn, ids: &[AccountId]) -> Result<Self, Fault> {
        let seen = ids.iter().any(|id| who.must_see(state, *id).is_ok());
        if seen { Ok(Self::of(state, who, ids)) } else { Err(Refusal::NoRight.into()) }
    }

    pub(crate) fn iban(&self, id: AccountId) -> String {
        self.ibans.iter().find(|(known, _)| *known == id).map(|(_, iban)| iban.clone()).unwrap_or_default()
    }
}

/// The IBANs of accounts.
fn ibans_of(state: &State, ids: &[AccountId]) -> Vec<(AccountId, String)> {
    ids.iter().map(|id| (*id, state.iban(*id).unwrap_or_default())).collect()
}

impl Service {
    /// Shows a payment to those with a right on one of its accounts, operators and auditors.
    ///
    /// # Errors
    ///
    /// Fails if there is no such payment, or the caller may not see it.
    pub async fn payment(&self, token: TokenHash, id: &str) -> Result<PaymentView, Fault> {
        // The caller is found out first, and with what they may see in the same look at the state below.
        self.prepare(token, |_, _| Ok(()))?;
        let event = self.payment_ids().event(id).ok_or(Refusal::UnknownPayment)?;
        let recorded = self.engine().find_event(event).await?.ok_or(Refusal::UnknownPayment)?;
        self.shown_payment(token, &recorded).await
    }

    /// Shows the payment that the caller asked for under an idempotency key.
    ///
    /// # Errors
    ///
    /// Refuses again where it was refused; fails if nothing that could be a payment was asked for under the key.
    pub async fn payment_by_key(&self, token: TokenHash, key: &str) -> Result<PaymentView, Fault> {
        let (who, ()) = self.prepare(token, |_, _| Ok(()))?;
        if !crate::writes::is_key(key.as_bytes()) {
            return Err(Refusal::UnknownPayment.into());
        }
        let request = self.engine().request(who.caller.user, key.as_bytes(), b"");
        let recorded = self.engine().outcome_of(request).await?.ok_or(Refusal::UnknownPayment)?;
        match &recorded.event.what {
            What::System(SystemEvent::Refused { refusal, .. }) if PAYMENT_REFUSALS.contains(&refusal.slug()) => {
                let fault = Fault::refused(*refusal, true);
                let names_account = *refusal == ledger::Refusal::UnknownAccount.into();
                Err(if names_account { fault.named_in_body() } else { fault })
            }
            What::System(_) | What::Access(_) | What::Accounts(_) | What::Payments(_) | What::Holds(_) => {
                self.shown_payment(token, &recorded).await
            }
        }
    }

    /// Shows an event as a payment, to a caller with a right on one of its accounts.
    async fn shown_payment(&self, token: TokenHash, recorded: &Recorded) -> Result<PaymentView, Fault> {
        let What::Payments(PaymentEvent::Posted { posting, .. }) = &recorded.event.what else {
            return Err(Refusal::UnknownPayment.into());
        };
        let number = recorded.number;
        let (parties, undoing, until) = self
            .read(token, |state, who| {
                let parties = Parties::seen(state, who, &bank::accounts_of(posting))?;
                Ok((parties, Undoing::of(state, number), state.last_event()))
            })
            .await?;
        let undoing = self.undoing(undoing, number, until).await?;
        if let Cause::Capture { hold, .. } = posting.cause() {
            // What was said with it is told, too: from here on its frame is at hand.
            self.engine().find_event(hold.event()).await?;
        }
        let payment = self.payment_view(number, &recorded.event.what, &parties, &undoing)?;
        Ok(payment.ok_or(Refusal::UnknownPayment)?)
    }

    /// Finds the events that undid a payment, as of the event `until`, where nobody may wait for the disk.
    async fn undoing(&self, undoing: Undoing, event: u64, until: u64) -> Result<Undoing, Fault> {
        if undoing.is_nothing() {
            return Ok(undoing);
        }
        let engine = self.engine().clone();
        let found = spawn_blocking(move || undoing.found(&engine, event, until)).await;
        Ok(found.map_err(|error| Fault::failed(&error))??)
    }

    /// An event as a payment, where it is one.
    pub(crate) fn payment_view(
        &self,
        event: u64,
        what: &What,
        parties: &Parties,
        undoing: &Undoing,
    ) -> Result<Option<PaymentView>, Fault> {
        let booking = self.booking_view(what, parties, undoing)?;
        Ok(booking.map(|booking| PaymentView { id: self.payment_ids().id(event), booking }))
    }

    /// Opens the words of a payment for some people.
    pub(crate) fn said_view(&self, said: &Said, people: &[SubjectId]) -> Result<SaidView, Fault> {
        let Spoken { text, end_to_end_id } = self.engine().open_said(said, people)?;
        Ok(SaidView { text, end_to_end_id })
    }

    /// An event as a booking, where it is one. Reads the hold of a capture, for what was said with it.
    pub(crate) fn booking_view(
        &self,
        what: &What,
        parties: &Parties,
        undoing: &Undoing,
    ) -> Result<Option<BookingView>, Fault> {
        let What::Payments(event) = what else { return Ok(None) };
        let Some((posting, purpose, mut said)) = event.as_posting() else { return Ok(None) };
        let mut movements = (0..).zip(posting.legs()).map(|(leg, booked)| {
            let Leg { debit, credit, amount } = booked.leg;
            let refunded = undoing.refunded(leg, amount);
            MovementView { from: parties.iban(debit), to: parties.iban(credit), amount, refunded }
        });
        let (mut hold, mut undoes) = (None, None);
        match posting.cause() {
            Cause::Order => {}
            Cause::Capture { hold: captured, .. } => {
                hold = Some(self.hold_ids().id(captured.event()));
                said = self.engine().said_with(captured)?;
            }
            Cause::Refund { of, .. } | Cause::Reversal { of } => undoes = Some(self.payment_ids().id(of.event())),
        }
        let Some(movement) = movements.next() else { return Ok(None) };
        Ok(Some(BookingView {
            movement,
            purpose,
            state: undoing.state(posting),
            hold,
            undoes,
            undone_by: undoing.by.iter().map(|event| self.payment_ids().id(*event)).collect(),
            said: self.said_view(&said, &parties.people)?,
            booked_at: posting.booked_at(),
            value_date: posting.value_date(),
            more: movements.collect(),
            metadata: self.open_some(Field::Metadata, event.metadata().filter(|_| parties.payer))?,
        }))
    }
}
