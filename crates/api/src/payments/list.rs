//! Payments in a list: of all accounts that the caller may see, or of one, the newest first.

use axum::Json;
use axum::extract::State;
use bank::{Purpose, Refusal};
use serde::{Deserialize, Serialize};
use service::{Fault, FaultKind, PaymentFilter, PaymentSearch, PaymentState, text};
use utoipa::{IntoParams, ToSchema};

use crate::amounts::{currency, positive};
use crate::app::App;
use crate::description::strings;
use crate::extract::{Query, Token, digits, page_limit};
use crate::payments::payment::{Payment, PaymentStateName, PurposeName};
use crate::problem::Problem;
use crate::times::parse_day;

/// Query of a list of payments. All that is given must hold; of a payment of several movements, by one of them.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WantedPayments {
    /// The `next_cursor` of the page before; without it the list begins.
    #[param(value_type = Option<strings::PaymentCursor>)]
    cursor: Option<String>,
    /// Maximum number of payments per page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    #[serde(default, deserialize_with = "digits")]
    limit: Option<u16>,
    /// From or to this account.
    #[param(value_type = Option<strings::IbanTyped>)]
    account: Option<String>,
    /// From or to this account as well.
    #[param(value_type = Option<strings::IbanTyped>)]
    counterparty: Option<String>,
    /// Booked on this day or later, in the bank's time zone.
    #[param(value_type = Option<strings::Day>)]
    from: Option<String>,
    /// Booked on this day or earlier, in the bank's time zone.
    #[param(value_type = Option<strings::Day>)]
    to: Option<String>,
    /// In this currency (ISO 4217).
    #[param(value_type = Option<strings::Currency>)]
    currency: Option<String>,
    /// Minimum amount; given with the currency.
    #[param(value_type = Option<strings::Decimal>)]
    min_amount: Option<String>,
    /// Maximum amount; given with the currency.
    #[param(value_type = Option<strings::Decimal>)]
    max_amount: Option<String>,
    /// For this purpose.
    purpose: Option<PurposeName>,
    /// In this state by now.
    state: Option<PaymentStateName>,
    /// Part of the text; capital and small letters are the same.
    #[param(value_type = Option<strings::Text>)]
    text: Option<String>,
}

/// A page of payments.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Payments {
    /// The newest first.
    payments: Vec<Payment>,
    /// Cursor of the next page; null where there is none.
    #[schema(value_type = Option<strings::PaymentCursor>, required)]
    next_cursor: Option<String>,
}

impl WantedPayments {
    fn search(&self, app: &App) -> Result<PaymentSearch, Fault> {
        let limit = page_limit(self.limit)?;
        let before = self.cursor.as_deref().map(|cursor| app.service.payment_place(cursor)).transpose()?;
        let from = self.from.as_ref().map(|day| parse_day("from", day)).transpose()?;
        let to = self.to.as_ref().map(|day| parse_day("to", day)).transpose()?;
        if from.zip(to).is_some_and(|(from, to)| to < from) {
            return Err(Fault::of(FaultKind::PeriodBackwards).in_field("to"));
        }
        let currency = self.currency.as_deref().map(currency).transpose()?;
        let amount = |field: &str, sent: &Option<String>| match (sent, currency) {
            (None, _) => Ok(None),
            (Some(_), None) => Err(Fault::from(Refusal::AmountIncomplete).in_field("currency")),
            (Some(sent), Some(currency)) => {
                positive(field, sent, currency).map(|minor| Some(i64::try_from(minor).unwrap_or(i64::MAX)))
            }
        };
        let calendar = app.service.calendar()?;
        let filter = PaymentFilter {
            from: from.map(|from| calendar.start_of(from)),
            until: to.map(|to| calendar.end_of(to)),
            currency,
            min_minor: amount("min_amount", &self.min_amount)?.unwrap_or(i64::MIN),
            max_minor: amount("max_amount", &self.max_amount)?.unwrap_or(i64::MAX),
            purpose: self.purpose.map(Purpose::from),
            state: self.state.map(PaymentState::from),
            text: self.text.as_ref().map(|wanted| text("text", wanted).map(str::to_lowercase)).transpose()?,
        };
        Ok(PaymentSearch { before, limit, filter })
    }
}

/// Lists payments.
///
/// The newest first: those of the accounts on which the caller's customer has a right; operators and auditors see all.
///
/// A page may hold fewer payments than asked for, even none, and still have a `next_cursor`: where few payments are what
/// is asked for, each page looks at a bounded number of them. The list has ended when there is no cursor. With rights on
/// more than 100 accounts an account has to be named.
#[utoipa::path(
    get, path = "/v1/payments", tag = "Payments", params(WantedPayments),
    responses((status = 200, description = "A page of payments", body = Payments)),
    extensions(("x-refusals" = json!([
        "no-right", "period-backwards", "amount-incomplete", "account-not-named", "unknown-cursor",
    ]))),
)]
pub(crate) async fn list_payments(
    State(app): State<App>,
    token: Token,
    Query(wanted): Query<WantedPayments>,
) -> Result<Json<Payments>, Problem> {
    let (account, counterparty) = (wanted.account.as_deref(), wanted.counterparty.as_deref());
    let page = app.service.payments(token.0, account, counterparty, || wanted.search(&app)).await?;
    let payments = page.payments.into_iter().map(Payment::of).collect::<Result<_, _>>()?;
    Ok(Json(Payments { payments, next_cursor: page.next }))
}
