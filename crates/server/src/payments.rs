//! Payments: making one, and looking one up.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use bank::{Body, Pay, Purpose, Refusal, Sealed, What};
use engine::{Field, Receipt};
use ledger::{AccountId, Leg, Posting};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::amounts::money;
use crate::app::{App, account_of, created, subject_of, unexpected};
use crate::extract::{IdempotencyKey, Json as Sent, Path, Token, text};
use crate::problem::Problem;
use crate::times::{day, moment};

/// A payment to be made.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewPayment {
    /// The number of the account that pays.
    from: String,
    /// The number of the account that is paid.
    to: String,
    /// A decimal number of more than zero, with at most the currency's decimals.
    #[schema(example = "25.00")]
    amount: String,
    /// The currency of both accounts (ISO 4217).
    #[schema(example = "EUR")]
    currency: String,
    /// The text on both statements, of at most 140 characters.
    text: Option<String>,
}

/// A payment as booked: whatever moved money, a deposit or a reversal as well.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payment {
    /// Its id, for ever.
    pub(crate) id: String,
    /// The number of the account that was debited.
    from: String,
    /// The number of the account that was credited.
    to: String,
    /// How much.
    #[schema(example = "25.00")]
    amount: String,
    /// The currency (ISO 4217).
    #[schema(example = "EUR")]
    currency: String,
    /// What it is for.
    purpose: PurposeName,
    /// The text on the statement; null where there is none, or the person has been erased.
    text: Option<String>,
    /// When it was booked.
    #[schema(format = DateTime)]
    booked_at: String,
    /// From which day on it counts for interest.
    #[schema(format = Date)]
    value_date: String,
    /// What else was moved with it, all or nothing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    more: Vec<Movement>,
}

/// A further movement of the same payment.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Movement {
    /// The number of the account that was debited.
    from: String,
    /// The number of the account that was credited.
    to: String,
    /// How much.
    amount: String,
    /// The currency (ISO 4217).
    currency: String,
}

/// What a payment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
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
        }
    }
}

impl Payment {
    /// An event as a payment, where it is one. `ibans` are those of the accounts in it.
    pub(crate) fn of(
        app: &App,
        event: u64,
        what: &What,
        ibans: &[(AccountId, String)],
    ) -> Result<Option<Self>, Problem> {
        let What::Posted { posting, purpose, text } = what else { return Ok(None) };
        let iban = |id| ibans.iter().find(|(known, _)| *known == id).map(|(_, iban)| iban.clone()).unwrap_or_default();
        let mut movements = posting.legs().iter().map(|booked| {
            let Leg { debit, credit, amount } = booked.leg;
            let currency = amount.currency.code().to_owned();
            Movement { from: iban(debit), to: iban(credit), amount: amount.to_string(), currency }
        });
        let Some(Movement { from, to, amount, currency }) = movements.next() else { return Ok(None) };
        Ok(Some(Self {
            id: app.payment_ids.id(event),
            from,
            to,
            amount,
            currency,
            purpose: (*purpose).into(),
            text: app.open_some(Field::Text, text.as_ref())?,
            booked_at: moment(posting.booked_at()),
            value_date: day(posting.value_date()),
            more: movements.collect(),
        }))
    }
}

/// Seals a text on a statement.
pub(crate) fn sealed_text(app: &App, subject: bank::SubjectId, sent: Option<&str>) -> Result<Option<Sealed>, Problem> {
    let text = sent.map(|sent| text("text", sent)).transpose()?;
    text.map(|text| app.seal(subject, Field::Text, text)).transpose()
}

/// Pays from one account to another. For users of a customer with a right to move the paying account's money.
#[utoipa::path(
    post, path = "/v1/payments", tag = "Payments", params(IdempotencyKey), request_body = NewPayment,
    responses((status = 201, description = "The payment, booked", body = Payment)),
)]
pub(crate) async fn pay(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewPayment>,
) -> Result<Response, Problem> {
    let amount = money(&sent.amount, &sent.currency)?;
    let looked = app.prepare_write(token, &key, "POST /v1/payments", &sent, |state, _| {
        let debit = account_of(state, &sent.from).map_err(|problem| problem.in_field("from"))?;
        let credit = account_of(state, &sent.to).map_err(|problem| problem.in_field("to"))?;
        let ibans = [debit, credit].map(|id| (id, state.iban(id).unwrap_or_default()));
        let subject = subject_of(state, debit);
        Ok((debit, credit, ibans, subject))
    });
    let (who, request, (debit, credit, ibans, subject)) = looked.await?;
    let pay = Pay {
        legs: [Leg { debit, credit, amount }].into_iter().collect(),
        purpose: Purpose::Payment,
        text: sealed_text(&app, subject, sent.text.as_deref())?,
        value_date: None,
        booked_at: None,
    };
    let receipt = app.submit(&who, request, Body::Pay(pay), None).await?;
    let payment = Payment::of(&app, receipt.event, &receipt.what, &ibans)?.ok_or_else(|| unexpected(&receipt))?;
    Ok(created(&receipt, &format!("/v1/payments/{}", payment.id), payment))
}

/// Shows a payment, to those with a right on one of its accounts, operators and auditors.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "Payments", params(("id" = String, Path, description = "The payment's id")),
    responses((status = 200, description = "The payment", body = Payment)),
)]
pub(crate) async fn show_payment(
    State(app): State<App>,
    token: Token,
    Path(id): Path<String>,
) -> Result<Json<Payment>, Problem> {
    // Who asks is found out first, and with what they may see in the same look at the state below.
    app.prepare(token, |_, _| Ok(()))?;
    let event = app.payment_ids.event(&id).ok_or(Refusal::UnknownPayment)?;
    let recorded = app.engine.event(event)?.ok_or(Refusal::UnknownPayment)?;
    let What::Posted { posting, .. } = &recorded.event.what else { return Err(Refusal::UnknownPayment.into()) };
    let ids = accounts_of(posting);
    let ibans = app
        .read(token, |state, who| {
            let seen = ids.iter().any(|id| who.must_see(state, *id).is_ok());
            if seen { Ok(ibans_of(state, &ids)) } else { Err(Refusal::NoRight.into()) }
        })
        .await?;
    let payment = Payment::of(&app, event, &recorded.event.what, &ibans)?.ok_or(Refusal::UnknownPayment)?;
    Ok(Json(payment))
}

/// The answer to a write that booked a payment of whatever purpose.
pub(crate) fn booked(app: &App, receipt: &Receipt) -> Result<Response, Problem> {
    let What::Posted { posting, .. } = &receipt.what else { return Err(unexpected(receipt)) };
    let ids = accounts_of(posting);
    let ibans = app.engine.peek(|state| ibans_of(state, &ids))?;
    let payment = Payment::of(app, receipt.event, &receipt.what, &ibans)?.ok_or_else(|| unexpected(receipt))?;
    Ok(created(receipt, &format!("/v1/payments/{}", payment.id), payment))
}

/// The IBANs of accounts.
pub(crate) fn ibans_of(state: &bank::State, ids: &[AccountId]) -> Vec<(AccountId, String)> {
    ids.iter().map(|id| (*id, state.iban(*id).unwrap_or_default())).collect()
}

/// All accounts that a posting moves.
pub(crate) fn accounts_of(posting: &Posting) -> Vec<AccountId> {
    posting.legs().iter().flat_map(|booked| [booked.leg.debit, booked.leg.credit]).collect()
}
