//! Payments: making one, and looking one up.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use bank::{
    Body, Pay, PaymentCommand, PaymentEvent, Purpose, Refusal, Sealed, State as Bank, SubjectId, SystemEvent, What,
};
use engine::{Field, Receipt, Recorded};
use ledger::{AccountId, Leg, Money, Posting};
use serde::{Deserialize, Serialize};
use service::{Fault, SignedIn, account_of, is_dry, subject_of, text, unexpected};
use smallvec::{SmallVec, smallvec};
use utoipa::ToSchema;

use crate::amounts::money;
use crate::app::{App, created};
use crate::caching::Unchanging;
use crate::extract::{IdempotencyKey, Json as Sent, Path, Token};
use crate::metadata::{self, Metadata};
use crate::problem::Problem;
use crate::strings;
use crate::times::{day, moment};

/// A payment to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayment {
    /// The number of the account that pays.
    #[schema(value_type = strings::IbanTyped)]
    pub(crate) from: String,
    /// The number of the account that is paid.
    #[schema(value_type = strings::IbanTyped)]
    pub(crate) to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    pub(crate) amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(value_type = strings::Currency)]
    pub(crate) currency: String,
    /// The text on both statements, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    pub(crate) text: Option<String>,
    /// Further movements with it, all or nothing, in this order: a split, or a fee. At most 99 movements. The caller
    /// needs a right to move the money of each account that pays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false, max_items = 99)]
    pub(crate) more: Vec<NewMovement>,
    /// The payer's own notes, which the payee doesn't see: at most 20 pairs, each of a key of at most 40 letters, digits,
    /// `_`, `-` and `.`, and a value of at most 200 characters.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::Notes>)]
    pub(crate) metadata: Option<Metadata>,
}

/// A further movement of a payment to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMovement {
    /// The number of the account that pays.
    #[schema(value_type = strings::IbanTyped)]
    from: String,
    /// The number of the account that is paid.
    #[schema(value_type = strings::IbanTyped)]
    to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
}

/// A payment as booked: whatever moved money, a deposit or a reversal as well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    /// Its id, for ever.
    #[schema(value_type = strings::PaymentId)]
    pub(crate) id: String,
    #[serde(flatten)]
    pub(crate) booking: Booking,
}

/// A payment as it would be booked now.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PaymentDryRun {
    /// Always `true`: nothing was booked.
    #[schema(example = true)]
    dry_run: bool,
    #[serde(flatten)]
    booking: Booking,
}

/// Payment without its id.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Booking {
    /// The number of the account that was debited.
    #[schema(value_type = strings::Iban)]
    from: String,
    /// The number of the account that was credited.
    #[schema(value_type = strings::Iban)]
    to: String,
    /// Amount.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Purpose of the payment.
    purpose: PurposeName,
    /// The text on the statement; null where there is none, or the person has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    text: Option<String>,
    /// Booking time.
    #[schema(value_type = strings::Moment)]
    booked_at: String,
    /// Value date: the day from which it counts for interest.
    #[schema(value_type = strings::Day)]
    value_date: String,
    /// Further movements that were booked with it, all or nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    more: Vec<Movement>,
    /// The payer's own notes, for those with a right on the account that pays, operators and auditors.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::ShownNotes>, required = false, nullable = false)]
    metadata: Option<Metadata>,
}

/// A further movement of the same payment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Movement {
    /// The number of the account that was debited.
    #[schema(value_type = strings::Iban)]
    from: String,
    /// The number of the account that was credited.
    #[schema(value_type = strings::Iban)]
    to: String,
    /// Amount.
    #[schema(value_type = strings::Decimal)]
    amount: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
}

/// Purpose of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = Purpose)]
pub(crate) enum PurposeName {
    /// From one account to another by its holder's will.
    Payment,
    /// Cash brought to the desk.
    Deposit,
    /// Cash taken from the desk.
    Withdrawal,
    /// History of another system.
    Imported,
    /// A hold's money taken.
    Capture,
    /// A payment given back.
    Refund,
    /// A posting undone.
    Reversal,
    /// Booked by the bank itself, for the reason that the text tells: a fee, a correction, or between its own accounts.
    Booking,
}

impl PurposeName {
    /// The name as it is written.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Payment => "payment",
            Self::Deposit => "deposit",
            Self::Withdrawal => "withdrawal",
            Self::Imported => "imported",
            Self::Capture => "capture",
            Self::Refund => "refund",
            Self::Reversal => "reversal",
            Self::Booking => "booking",
        }
    }
}

impl From<PurposeName> for Purpose {
    fn from(name: PurposeName) -> Self {
        match name {
            PurposeName::Payment => Self::Payment,
            PurposeName::Deposit => Self::Deposit,
            PurposeName::Withdrawal => Self::Withdrawal,
            PurposeName::Imported => Self::Imported,
            PurposeName::Capture => Self::Capture,
            PurposeName::Refund => Self::Refund,
            PurposeName::Reversal => Self::Reversal,
            PurposeName::Booking => Self::Booking,
        }
    }
}

impl From<Purpose> for PurposeName {
    fn from(purpose: Purpose) -> Self {
        match purpose {
            Purpose::Payment => Self::Payment,
            Purpose::Deposit => Self::Deposit,
            Purpose::Withdrawal => Self::Withdrawal,
            Purpose::Imported => Self::Imported,
            Purpose::Capture => Self::Capture,
            Purpose::Refund => Self::Refund,
            Purpose::Reversal => Self::Reversal,
            Purpose::Booking => Self::Booking,
        }
    }
}

/// The accounts of a payment, with their IBANs, and whether the caller may see what only the payer sees.
pub(crate) struct Parties {
    ibans: Vec<(AccountId, String)>,
    pub(crate) payer: bool,
}

impl Parties {
    /// For somebody who acts for the payer.
    pub(crate) fn payers(state: &Bank, ids: &[AccountId]) -> Self {
        Self { ibans: ibans_of(state, ids), payer: true }
    }

    /// For a caller. The first account is the one that pays.
    pub(crate) fn of(state: &Bank, who: &SignedIn, ids: &[AccountId]) -> Self {
        let payer = ids.first().is_some_and(|payer| who.must_see(state, *payer).is_ok());
        Self { ibans: ibans_of(state, ids), payer }
    }

    /// Does as [`Parties::of`], for a caller with a right on one of the accounts.
    pub(crate) fn seen(state: &Bank, who: &SignedIn, ids: &[AccountId]) -> Result<Self, Fault> {
        let seen = ids.iter().any(|id| who.must_see(state, *id).is_ok());
        if seen { Ok(Self::of(state, who, ids)) } else { Err(Refusal::NoRight.into()) }
    }

    pub(crate) fn iban(&self, id: AccountId) -> String {
        self.ibans.iter().find(|(known, _)| *known == id).map(|(_, iban)| iban.clone()).unwrap_or_default()
    }
}

impl Payment {
    /// An event as a payment, where it is one.
    pub(crate) fn of(app: &App, event: u64, what: &What, parties: &Parties) -> Result<Option<Self>, Fault> {
        let booking = Booking::of(app, what, parties)?;
        Ok(booking.map(|booking| Self { id: app.service.payment_ids().id(event), booking }))
    }
}

impl Booking {
    fn of(app: &App, what: &What, parties: &Parties) -> Result<Option<Self>, Fault> {
        let What::Payments(PaymentEvent::Posted { posting, purpose, text, metadata }) = what else { return Ok(None) };
        let mut movements = posting.legs().iter().map(|booked| {
            let Leg { debit, credit, amount } = booked.leg;
            let currency = amount.currency.code().to_owned();
            Movement { from: parties.iban(debit), to: parties.iban(credit), amount: amount.to_string(), currency }
        });
        let Some(Movement { from, to, amount, currency }) = movements.next() else { return Ok(None) };
        Ok(Some(Self {
            from,
            to,
            amount,
            currency,
            purpose: (*purpose).into(),
            text: app.service.open_some(Field::Text, text.as_ref())?,
            booked_at: moment(posting.booked_at()),
            value_date: day(posting.value_date()),
            more: movements.collect(),
            metadata: metadata::opened(app, metadata.as_ref().filter(|_| parties.payer))?,
        }))
    }
}

/// Seals a text on a statement.
pub(crate) fn sealed_text(app: &App, subject: SubjectId, sent: Option<&str>) -> Result<Option<Sealed>, Fault> {
    let text = sent.map(|sent| text("text", sent)).transpose()?;
    text.map(|text| app.service.seal(subject, Field::Text, text)).transpose()
}

/// A payment that was sent, with its accounts found.
pub(crate) struct Ordered {
    pub(crate) legs: SmallVec<[Leg; 1]>,
    /// Under whose key its texts are sealed.
    subject: SubjectId,
    parties: Parties,
}

impl NewPayment {
    /// The amounts of its movements.
    pub(crate) fn amounts(&self) -> Result<SmallVec<[Money; 1]>, Fault> {
        let first = money(&self.amount, &self.currency)?;
        let more = self.more.iter().enumerate().map(|(place, movement)| {
            money(&movement.amount, &movement.currency).map_err(|problem| problem.within(&format!("more[{place}]")))
        });
        std::iter::once(Ok(first)).chain(more).collect()
    }

    /// Finds its accounts.
    pub(crate) fn ordered(&self, state: &Bank, amounts: &[Money]) -> Result<Ordered, Fault> {
        let mut sides: SmallVec<[(&str, &str); 1]> = smallvec![(self.from.as_str(), self.to.as_str())];
        sides.extend(self.more.iter().map(|movement| (movement.from.as_str(), movement.to.as_str())));
        let mut legs: SmallVec<[Leg; 1]> = SmallVec::new();
        for (place, ((from, to), amount)) in sides.into_iter().zip(amounts).enumerate() {
            let found = |field: &str, iban: &str| {
                account_of(state, iban).map_err(|problem| match place {
                    0 => problem.in_field(field),
                    _ => problem.in_field(&format!("more[{}].{field}", place - 1)),
                })
            };
            legs.push(Leg { debit: found("from", from)?, credit: found("to", to)?, amount: *amount });
        }
        let ids: SmallVec<[AccountId; 2]> = legs.iter().flat_map(|leg| [leg.debit, leg.credit]).collect();
        let parties = Parties::payers(state, &ids);
        Ok(Ordered { subject: subject_of(state, legs[0].debit), legs, parties })
    }

    /// The order to pay.
    pub(crate) fn pay(&self, app: &App, ordered: &Ordered) -> Result<Pay, Fault> {
        Ok(Pay {
            legs: ordered.legs.clone(),
            purpose: Purpose::Payment,
            text: sealed_text(app, ordered.subject, self.text.as_deref())?,
            metadata: metadata::sealed(app, ordered.subject, self.metadata.as_ref())?,
            value_date: None,
            booked_at: None,
        })
    }
}

/// Pays from one account to another.
///
/// For users of a customer with a right to move the paying account's money. The answer comes when the payment is
/// booked on both accounts, and durable.
#[utoipa::path(
    post, path = "/v1/payments", tag = "Payments", params(IdempotencyKey), request_body = NewPayment,
    responses((status = 201, description = "The payment, booked", body = Payment)),
    extensions(("x-refusals" = json!([
        "not-a-customers-account", "no-right", "read-only-right", "above-signatory-limit", "not-a-payee",
        "too-many-legs", "amount-not-positive",
        "same-account", "currency-mismatch", "account-closed", "account-frozen", "insufficient-funds",
        "balance-out-of-range", "person-erased",
    ]))),
)]
pub(crate) async fn pay(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewPayment>,
) -> Result<Response, Problem> {
    let looked = app.prepare_movement(token, &key, "POST /v1/payments", &sent, |state, _| {
        let amounts = sent.amounts()?;
        sent.ordered(state, &amounts)
    });
    let (write, ordered) = looked?;
    let made = ordered.and_then(|ordered| {
        Ok((sent.pay(&app, &ordered).map(|it| Body::Payments(PaymentCommand::Pay(it)))?, ordered.parties))
    });
    match made {
        Ok((body, parties)) => answer(&app, &app.service.submit(&write, Ok(body)).await?, &parties),
        Err(problem) => booked(&app, &app.service.submit(&write, Err(problem)).await?),
    }
}

/// Tells what would become of a payment, and pays nothing.
///
/// As it would be decided now: the payment, or the refusal. For those who may pay.
#[utoipa::path(
    post, path = "/v1/payments/dry-run", tag = "Payments", request_body = NewPayment,
    responses((status = 200, description = "The payment as it would be booked", body = PaymentDryRun)),
)]
pub(crate) async fn pay_dry_run(app: State<App>, token: Token, sent: Sent<NewPayment>) -> Result<Response, Problem> {
    pay(app, token, IdempotencyKey::of_dry_run(), sent).await
}

/// Shows a payment.
///
/// For those with a right on one of its accounts, operators and auditors.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "Payments", params(("id" = strings::PaymentId, Path, description = "The payment's id")),
    responses((status = 200, description = "The payment", body = Payment)),
    extensions(("x-refusals" = json!(["unknown-payment", "no-right"]))),
)]
pub(crate) async fn show_payment(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<(Extension<Unchanging>, Json<Payment>), Problem> {
    // The caller is found out first, and with what they may see in the same look at the state below.
    app.prepare(token, |_, _| Ok(()))?;
    let event = app.service.payment_ids().event(&id).ok_or(Refusal::UnknownPayment)?;
    let recorded = app.engine.find_event(event).await?.ok_or(Refusal::UnknownPayment)?;
    Ok((Extension(Unchanging), Json(shown(&app, token, &recorded).await?)))
}

/// Refusals that a payment of whatever purpose can meet: an order, cash, a booking, a capture, a refund or a reversal.
/// A refusal is remembered without what was asked for, so another one, such as a taken name, tells that the key was not
/// a payment's.
const REFUSED_FOR: &[&str] = &[
    "unknown-payment",
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

/// Shows what became of a payment, by its idempotency key.
///
/// The payment that the caller asked for under the key; or, where it was refused, that refusal again.
#[utoipa::path(
    get, path = "/v1/payments/by-key/{key}", tag = "Payments",
    params(("key" = strings::Key, Path, description = "The idempotency key under which the payment was asked for")),
    responses((status = 200, description = "The payment", body = Payment)),
    extensions(("x-refusals" = json!(REFUSED_FOR))),
)]
pub(crate) async fn show_payment_by_key(
    State(app): State<App>,
    token: Token,
    Path(key): Path<String>,
) -> Result<Json<Payment>, Problem> {
    let (who, ()) = app.prepare(token, |_, _| Ok(()))?;
    if !IdempotencyKey::is_one(key.as_bytes()) {
        return Err(Refusal::UnknownPayment.into());
    }
    let request = app.engine.request(who.caller.user, key.as_bytes(), b"");
    let recorded = app.engine.outcome_of(request).await?.ok_or(Refusal::UnknownPayment)?;
    match recorded.event.what {
        What::System(SystemEvent::Refused { refusal, .. }) if REFUSED_FOR.contains(&refusal.slug()) => {
            Err(Problem::refused(refusal, true))
        }
        _ => Ok(Json(shown(&app, token, &recorded).await?)),
    }
}

/// An event as a payment, for a caller with a right on one of its accounts.
async fn shown(app: &App, token: Token, recorded: &Recorded) -> Result<Payment, Fault> {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = &recorded.event.what else {
        return Err(Refusal::UnknownPayment.into());
    };
    let parties = app.read(token, |state, who| Parties::seen(state, who, &accounts_of(posting))).await?;
    let payment = Payment::of(app, recorded.number, &recorded.event.what, &parties)?;
    Ok(payment.ok_or(Refusal::UnknownPayment)?)
}

/// The answer to a write that booked a payment of whatever purpose.
pub(crate) fn booked(app: &App, receipt: &Receipt) -> Result<Response, Problem> {
    let What::Payments(PaymentEvent::Posted { posting, .. }) = &receipt.what else {
        return Err(unexpected(receipt).into());
    };
    let parties = app.engine.peek(|state| Parties::payers(state, &accounts_of(posting)))?;
    answer(app, receipt, &parties)
}

fn answer(app: &App, receipt: &Receipt, parties: &Parties) -> Result<Response, Problem> {
    if is_dry(receipt) {
        let booking = Booking::of(app, &receipt.what, parties)?.ok_or_else(|| unexpected(receipt))?;
        return Ok(Json(PaymentDryRun { dry_run: true, booking }).into_response());
    }
    let payment = Payment::of(app, receipt.event, &receipt.what, parties)?.ok_or_else(|| unexpected(receipt))?;
    Ok(created(receipt, &format!("/v1/payments/{}", payment.id), payment))
}

/// The IBANs of accounts.
fn ibans_of(state: &bank::State, ids: &[AccountId]) -> Vec<(AccountId, String)> {
    ids.iter().map(|id| (*id, state.iban(*id).unwrap_or_default())).collect()
}

/// All accounts that a posting moves.
pub(crate) fn accounts_of(posting: &Posting) -> Vec<AccountId> {
    posting.legs().iter().flat_map(|booked| [booked.leg.debit, booked.leg.credit]).collect()
}
