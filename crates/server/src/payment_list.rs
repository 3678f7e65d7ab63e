//! Payments in a list: of all accounts that the caller may see, or of one, the newest first.

use axum::Json;
use axum::extract::State;
use bank::{PaymentEvent, Purpose, Refusal, State as Bank, What};
use engine::{Field, HistoryError, Listed, MAX_MERGED, Recorded, Wanted};
use ledger::{AccountId, Currency, Leg, Money, Timestamp, ValueDate};
use serde::{Deserialize, Serialize};
use service::{Fault, FaultKind, SignedIn, is_id, seen_account, text};
use utoipa::{IntoParams, ToSchema};

use crate::amounts::{currency, positive};
use crate::app::App;
use crate::extract::{Query, Token, digits, page_limit};
use crate::payments::{Parties, Payment, PurposeName, accounts_of};
use crate::problem::Problem;
use crate::strings;
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
    /// Booked on this day or later, in UTC.
    #[param(value_type = Option<strings::Day>)]
    from: Option<String>,
    /// Booked on this day or earlier, in UTC.
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

/// The event of a cursor. Any id of the right form may be sent; that it is of no page is found out with the bank's key.
fn place(app: &App, cursor: &str) -> Result<u64, Fault> {
    if !is_id(cursor) {
        return Err(Fault::field("cursor", "this is not the cursor of a list of payments"));
    }
    app.service.payment_ids().event(cursor).ok_or_else(|| Fault::of(FaultKind::UnknownCursor).in_field("cursor"))
}

/// Conditions that a payment must meet to be in the list.
struct Filter {
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    currency: Option<Currency>,
    min_minor: i64,
    max_minor: i64,
    accounts: Vec<AccountId>,
    purpose: Option<Purpose>,
    text: Option<String>,
}

impl Filter {
    fn judge(&self, app: &App, recorded: &Recorded) -> Result<Wanted, HistoryError> {
        let What::Payments(PaymentEvent::Posted { posting, purpose, text, .. }) = &recorded.event.what else {
            return Ok(Wanted::No);
        };
        // An event's time never runs backwards, and nothing is booked ahead of it; but what was brought in from another
        // bank is booked long before, so only the event's time tells that nothing older is wanted.
        if self.from.is_some_and(|from| recorded.at < from) {
            return Ok(Wanted::NothingOlder);
        }
        let booked_at = posting.booked_at();
        let in_time =
            self.from.is_none_or(|from| booked_at >= from) && self.until.is_none_or(|until| booked_at < until);
        let of_purpose = self.purpose.is_none_or(|wanted| wanted == *purpose);
        if !in_time || !of_purpose || !posting.legs().iter().any(|booked| self.is_leg(&booked.leg)) {
            return Ok(Wanted::No);
        }
        let Some(wanted) = &self.text else { return Ok(Wanted::Yes) };
        let Some(sealed) = text else { return Ok(Wanted::No) };
        let text = app.engine.open_sealed(Field::Text, sealed)?;
        let found = text.is_some_and(|text| text.to_lowercase().contains(wanted));
        Ok(if found { Wanted::Yes } else { Wanted::No })
    }

    fn is_leg(&self, leg: &Leg) -> bool {
        let Money { minor, currency } = leg.amount;
        self.currency.is_none_or(|wanted| wanted == currency)
            && (self.min_minor..=self.max_minor).contains(&minor)
            && self.accounts.iter().all(|account| leg.debit == *account || leg.credit == *account)
    }
}

impl WantedPayments {
    fn filter(&self, accounts: Vec<AccountId>) -> Result<Filter, Fault> {
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
        Ok(Filter {
            from: from.map(ValueDate::start),
            until: to.map(|to| ValueDate(to.0.saturating_add(1)).start()),
            currency,
            min_minor: amount("min_amount", &self.min_amount)?.unwrap_or(i64::MIN),
            max_minor: amount("max_amount", &self.max_amount)?.unwrap_or(i64::MAX),
            accounts,
            purpose: self.purpose.map(Purpose::from),
            text: self.text.as_ref().map(|wanted| text("text", wanted).map(str::to_lowercase)).transpose()?,
        })
    }

    /// The accounts whose payments are looked through, none where it is all of the bank's; and those that a payment must
    /// be from or to.
    fn accounts(&self, state: &Bank, who: &SignedIn) -> Result<(Option<Vec<AccountId>>, Vec<AccountId>), Fault> {
        let account = self.account.as_ref().map(|iban| seen_account(state, who, iban));
        let account = account.transpose().map_err(|problem| problem.in_field("account"))?;
        let other = self.counterparty.as_ref().map(|iban| {
            // No payment is from or to an account that isn't there.
            Ok(state.account_of_iban(iban)?.unwrap_or(AccountId(u32::MAX)))
        });
        let other = other.transpose().map_err(|fault: Fault| fault.in_field("counterparty"))?;
        let must = account.into_iter().chain(other).collect();
        if let Some(account) = account {
            return Ok((Some(vec![account]), must));
        }
        if who.sees_all() {
            return Ok((None, must));
        }
        let customer = who.customer.and_then(|customer| state.customer(customer));
        let own = customer.map(|customer| customer.accounts.clone()).unwrap_or_default();
        if own.len() > MAX_MERGED {
            return Err(Fault::of(FaultKind::AccountNotNamed).in_field("account"));
        }
        Ok((Some(own), must))
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
    let (_, (accounts, must)) = app.prepare(token, |state, who| wanted.accounts(state, who))?;
    let limit = page_limit(wanted.limit)?;
    let cursor = wanted.cursor.as_deref().map(|id| place(&app, id)).transpose()?;
    let filter = wanted.filter(must)?;
    let judge = {
        let app = app.clone();
        move |recorded: &Recorded| filter.judge(&app, recorded)
    };
    let Listed { postings, before } = app.engine.postings(accounts, cursor, limit, judge).await?;
    let parties = app
        .read(token, |state, who| {
            let parties = postings.iter().map(|recorded| match &recorded.event.what {
                What::Payments(PaymentEvent::Posted { posting, .. }) => Parties::of(state, who, &accounts_of(posting)),
                _ => Parties::of(state, who, &[]),
            });
            Ok(parties.collect::<Vec<_>>())
        })
        .await?;
    let next_cursor = before.map(|event| app.service.payment_ids().id(event));
    // Opening their texts may read many keys, so it is done beside the other requests.
    let shown = tokio::task::spawn_blocking(move || {
        let each = postings.iter().zip(&parties);
        let payments = each.map(|(it, parties)| Payment::of(&app, it.number, &it.event.what, parties));
        payments.filter_map(Result::transpose).collect::<Result<Vec<_>, _>>()
    });
    let payments = shown.await.map_err(|error| Fault::failed(&error))??;
    Ok(Json(Payments { payments, next_cursor }))
}
