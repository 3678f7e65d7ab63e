//! Accounts: opening, showing and changing them. Balances are credits less debits in every answer.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use bank::{CustomerId, OpenAccount};
use ledger::{Kind, Overdraft, Status};
use serde::{Deserialize, Serialize};
use service::meaning::Opening;
use service::{AccountOrder, AccountPage, BalanceView, Changed, Fault, Meaning, text};
use utoipa::{IntoParams, ToSchema};

use crate::access::rights::RightName;
use crate::amounts::{self, currency, overdraft, overdraft_text};
use crate::app::{App, changed, created, keyed};
use crate::caching::Version;
use crate::description::strings;
use crate::extract::{IdempotencyKey, Json as Sent, Page, Path, Query, Token, cursor, digits, integer};
use crate::problem::Problem;
use crate::times::{moment, parse_moment};

/// Side of the trial balance that an account stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AccountKind)]
pub(crate) enum KindName {
    /// Property of the bank, and money that it is owed.
    Asset,
    /// Money that the bank owes: its customers' deposits.
    Liability,
    /// Money that the bank owes its owners, and the other side of balances brought in from another system.
    Equity,
    /// Money that the bank earned.
    Income,
    /// Money that the bank spent.
    Expense,
}

impl From<Kind> for KindName {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Asset => Self::Asset,
            Kind::Liability => Self::Liability,
            Kind::Equity => Self::Equity,
            Kind::Income => Self::Income,
            Kind::Expense => Self::Expense,
        }
    }
}

impl From<KindName> for Kind {
    fn from(kind: KindName) -> Self {
        match kind {
            KindName::Asset => Self::Asset,
            KindName::Liability => Self::Liability,
            KindName::Equity => Self::Equity,
            KindName::Income => Self::Income,
            KindName::Expense => Self::Expense,
        }
    }
}

/// Status of an account: whether its money may be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = AccountStatus)]
pub(crate) enum StatusName {
    /// Debits and credits are allowed.
    Open,
    /// Money may come in, none may go out.
    FrozenForDebits,
    /// Nothing moves.
    Frozen,
    /// Nothing moves, for ever.
    Closed,
}

impl From<Status> for StatusName {
    fn from(status: Status) -> Self {
        match status {
            Status::Open => Self::Open,
            Status::FrozenForDebits => Self::FrozenForDebits,
            Status::Frozen => Self::Frozen,
            Status::Closed => Self::Closed,
        }
    }
}

impl From<StatusName> for Status {
    fn from(status: StatusName) -> Self {
        match status {
            StatusName::Open => Self::Open,
            StatusName::FrozenForDebits => Self::FrozenForDebits,
            StatusName::Frozen => Self::Frozen,
            StatusName::Closed => Self::Closed,
        }
    }
}

/// An account to be.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "currency": "EUR", "kind": "liability", "name": "Alice's savings", "owner": 1, "overdraft": "0.00",
}))]
pub(crate) struct NewAccount {
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Its side of the trial balance; a liability where none is given.
    kind: Option<KindName>,
    /// Name, of at most 140 characters.
    #[schema(value_type = Option<strings::Text>)]
    name: Option<String>,
    /// The number of the customer who gets the right of an owner. Customers own liabilities; or loans, which are assets
    /// whose overdraft is what is lent.
    #[schema(value_type = Option<strings::Number>)]
    #[serde(default, deserialize_with = "integer")]
    owner: Option<u32>,
    /// Overdraft, the limit below zero: an amount, or `unlimited`, which a customer's account never is. Where none is
    /// given, the bank's own assets and expenses, which grow by debits, are unlimited, and all others are 0.
    #[schema(value_type = Option<strings::Overdraft>)]
    overdraft: Option<String>,
    /// Its number within the bank; the next free one where none is given.
    #[schema(value_type = Option<strings::AccountNumber>)]
    #[serde(default, deserialize_with = "integer")]
    number: Option<u64>,
    /// `true` if deposits and withdrawals in its currency are booked against it. One account of kind asset per
    /// currency.
    #[schema(example = false)]
    cash: Option<bool>,
}

impl NewAccount {
    fn meaning(&self) -> Meaning<'_> {
        let Self { currency, kind, name, owner, overdraft, number, cash } = self;
        Meaning::OpenAccount(Opening {
            currency,
            kind: kind.map(Kind::from),
            name: name.as_deref(),
            owner: *owner,
            overdraft: overdraft.as_deref(),
            number: *number,
            cash: *cash,
        })
    }

    /// Reads the terms of the new account, and its name.
    fn order(&self) -> Result<AccountOrder<'_>, Fault> {
        if self.number.is_some_and(|number| number == 0 || i64::try_from(number).is_err()) {
            return Err(Fault::field("number", "accounts are numbered from 1, and no number has more than 63 bits"));
        }
        let currency = currency(&self.currency)?;
        let kind = self.kind.map_or(Kind::Liability, Kind::from);
        // The bank's own accounts that grow by debits are below zero; what a customer may draw the bank says.
        let is_without_end = matches!(kind, Kind::Asset | Kind::Expense) && self.owner.is_none();
        let overdraft = match &self.overdraft {
            Some(sent) => overdraft(sent, currency)?,
            None if is_without_end => Overdraft::Unlimited,
            None => Overdraft::Limited(0),
        };
        let name = self.name.as_deref().map(|name| text("name", name)).transpose()?;
        let (number, owner, cash) = (self.number, self.owner.map(CustomerId), self.cash.unwrap_or(false));
        let terms = OpenAccount { number, currency, kind, overdraft, name: None, owner, cash, opened_at: None };
        Ok(AccountOrder { terms, name })
    }
}

/// An account.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountView {
    /// Its number: its IBAN (ISO 13616), or where the bank has none, its number in the form that takes its place.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// The parts of its number, where people know it by these: in countries without IBANs, and in the United Kingdom.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = strings::AccountParts, required = false)]
    account_number: BTreeMap<&'static str, String>,
    /// Its currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
    /// Its side of the trial balance.
    kind: KindName,
    /// Status: whether its money may be moved.
    status: StatusName,
    /// Name; null where it has none, or its owner has been erased.
    #[schema(value_type = Option<strings::AnyText>, required)]
    name: Option<String>,
    /// Overdraft, the limit below zero: an amount, or `unlimited`.
    #[schema(value_type = strings::Overdraft)]
    overdraft: String,
    /// Posted balance: all that is booked.
    #[schema(value_type = strings::SignedDecimal)]
    posted: String,
    /// Held balance: all that is reserved.
    #[schema(value_type = strings::Decimal)]
    held: String,
    /// Available balance: posted less held, overdraft not counted.
    #[schema(value_type = strings::SignedDecimal)]
    available: String,
    /// Time at which it was opened.
    #[schema(value_type = strings::Moment)]
    opened_at: String,
    /// The right that one's customer has on it; in the list of a customer's accounts, that customer's.
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<RightName>,
}

/// A page of accounts.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Accounts {
    /// In the order in which they were opened.
    accounts: Vec<AccountView>,
    /// Cursor of the next page; null where there is none.
    #[schema(value_type = Option<strings::Cursor>, required)]
    next_cursor: Option<String>,
}

impl Accounts {
    /// A page, and the account with which the next begins.
    pub(crate) fn of(page: AccountPage) -> Self {
        let accounts = page.accounts.into_iter().map(AccountView::from).collect();
        Self { accounts, next_cursor: page.next.map(|next| next.0.to_string()) }
    }
}

impl From<service::AccountView> for AccountView {
    fn from(service::AccountView { iban, number_parts, account, name, right }: service::AccountView) -> Self {
        Self {
            iban,
            account_number: number_parts.into_iter().collect(),
            currency: account.currency.code().to_owned(),
            kind: account.kind.into(),
            status: account.status.into(),
            name,
            overdraft: overdraft_text(account.overdraft, account.currency),
            posted: amounts::balance(account.posted_minor, account.currency),
            held: account.money(account.held_minor).to_string(),
            available: amounts::balance(account.available_minor(), account.currency),
            opened_at: moment(account.opened_at),
            right: right.map(RightName::from),
        }
    }
}

/// Opens an account.
///
/// For operators.
#[utoipa::path(
    post, path = "/v1/accounts", tag = "Accounts", params(IdempotencyKey), request_body = NewAccount,
    responses((status = 201, description = "The new account", body = AccountView)),
    extensions(("x-refusals" = json!([
        "unknown-customer in body", "number-taken", "cash-account-taken", "not-a-customers-account",
        "overdraft-without-limit", "currency-not-in-use", "numbers-exhausted", "too-many-rights",
        "person-erased",
    ]))),
)]
pub(crate) async fn open_account(
    State(app): State<App>,
    token: Token,
    key: IdempotencyKey,
    Sent(sent): Sent<NewAccount>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, sent.meaning());
    let Changed { now, is_repeated } = app
        .service
        .open_account(&asked, sent.owner.map(CustomerId), sent.order())
        .await
        .map_err(Fault::named_in_body)?;
    let view = AccountView::from(now);
    Ok(created(is_repeated, &format!("/v1/accounts/{}", view.iban), view))
}

/// Query of a list of accounts.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AccountsAsked {
    /// Only those of this kind.
    kind: Option<KindName>,
    /// The `next_cursor` of the page before; without it the list begins.
    #[param(value_type = Option<strings::Cursor>)]
    #[serde(default, deserialize_with = "cursor")]
    cursor: Option<u64>,
    /// Maximum number of accounts per page.
    #[param(minimum = 1, maximum = 500, default = 50)]
    #[serde(default, deserialize_with = "digits")]
    limit: Option<u16>,
}

/// Lists accounts.
///
/// A customer's users see those on which the customer has a right, others see all.
#[utoipa::path(
    get, path = "/v1/accounts", tag = "Accounts", params(AccountsAsked),
    responses((status = 200, description = "A page of accounts", body = Accounts)),
)]
pub(crate) async fn list_accounts(
    State(app): State<App>,
    token: Token,
    Query(asked): Query<AccountsAsked>,
) -> Result<Json<Accounts>, Problem> {
    let AccountsAsked { kind, cursor, limit } = asked;
    let (first, limit) = Page { cursor, limit }.places()?;
    let first = u32::try_from(first).unwrap_or(u32::MAX);
    let page = app.service.accounts(token.0, kind.map(Kind::from), first, limit).await?;
    Ok(Json(Accounts::of(page)))
}

/// Shows an account.
///
/// For those with a right on it, operators and auditors.
#[utoipa::path(
    get, path = "/v1/accounts/{iban}", tag = "Accounts", params(("iban" = strings::IbanTyped, Path, description = "The account's number")),
    responses((status = 200, description = "The account", body = AccountView)),
    extensions(("x-refusals" = json!(["no-right"]))),
)]
pub(crate) async fn show_account(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
) -> Result<Json<AccountView>, Problem> {
    Ok(Json(app.service.account(token.0, &iban).await?.into()))
}

/// Query of a balance: its moment.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AsOf {
    /// The moment (RFC 3339), by booking time; now where none is given.
    #[param(value_type = Option<strings::Moment>)]
    at: Option<String>,
}

/// A balance.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "iban": "AT049999900000000001", "at": "2026-11-21T20:54:13.123Z", "posted": "125.00", "held": "25.00",
    "available": "100.00", "currency": "EUR",
}))]
pub(crate) struct Balance {
    /// The account's number.
    #[schema(value_type = strings::Iban)]
    iban: String,
    /// Moment of which it is the balance.
    #[schema(value_type = strings::Moment)]
    at: String,
    /// Posted balance: all that is booked.
    #[schema(value_type = strings::SignedDecimal)]
    posted: String,
    /// Held balance: all that is reserved. Known of now only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::Decimal>)]
    held: Option<String>,
    /// Available balance: posted less held, overdraft not counted. Known of now only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<strings::SignedDecimal>)]
    available: Option<String>,
    /// The account's currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    currency: String,
}

/// Tells an account's balance, now or as of a moment.
///
/// For those with a right on it, operators and auditors.
#[utoipa::path(
    operation_id = "show_balance",
    get, path = "/v1/accounts/{iban}/balance", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), AsOf),
    responses((status = 200, description = "The balance", body = Balance)),
    extensions(("x-refusals" = json!(["no-right"]))),
)]
pub(crate) async fn balance(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    Query(as_of): Query<AsOf>,
) -> Result<(Extension<Version>, Json<Balance>), Problem> {
    let at = as_of.at.map(|at| parse_moment("at", &at)).transpose()?;
    let BalanceView { iban, id, account, posted_minor, now } = app.service.balance(token.0, &iban, at).await?;
    let only_now = |text: String| at.is_none().then_some(text);
    // Asked a moment later it is the same, though of another moment.
    let version = Version::of(&(id.0, at.map(|at| at.0), posted_minor, account.held_minor));
    let balance = Balance {
        iban,
        at: moment(at.unwrap_or(now)),
        posted: amounts::balance(posted_minor, account.currency),
        held: only_now(account.money(account.held_minor).to_string()),
        available: only_now(amounts::balance(account.available_minor(), account.currency)),
        currency: account.currency.code().to_owned(),
    };
    Ok((Extension(version), Json(balance)))
}

/// Another name for an account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NameChange {
    /// The name, of at most 140 characters; null takes it away.
    // Asked for by name, because the library takes what is missing for null: an empty body would take the name away.
    #[serde(deserialize_with = "Option::deserialize")]
    #[schema(value_type = Option<strings::Text>, required)]
    name: Option<String>,
}

/// Names an account.
///
/// For its owners, and operators. Null takes the name away.
#[utoipa::path(
    operation_id = "rename_account",
    put, path = "/v1/accounts/{iban}/name", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), IdempotencyKey),
    request_body = NameChange,
    responses((status = 200, description = "The name is set", body = NameChange)),
    extensions(("x-refusals" = json!(["no-right", "owners-only", "person-erased"]))),
)]
pub(crate) async fn rename(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    key: IdempotencyKey,
    Sent(sent): Sent<NameChange>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, Meaning::RenameAccount { account: &iban, name: sent.name.as_deref() });
    let Changed { now, is_repeated } = app.service.rename_account(&asked, &iban, sent.name.as_deref()).await?;
    Ok(changed(is_repeated, NameChange { name: now }))
}

/// Another status for an account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct StatusChange {
    /// The status.
    status: StatusName,
}

/// Sets an account's status.
///
/// For operators. A closed account stays closed, and only an empty one can be closed.
#[utoipa::path(
    put, path = "/v1/accounts/{iban}/status", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), IdempotencyKey), request_body = StatusChange,
    responses((status = 200, description = "The status is set", body = StatusChange)),
    extensions(("x-refusals" = json!(["account-closed", "account-not-empty", "holds-open"]))),
)]
pub(crate) async fn set_status(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    key: IdempotencyKey,
    Sent(sent): Sent<StatusChange>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, Meaning::SetStatus { account: &iban, status: sent.status.into() });
    let Changed { now, is_repeated } = app.service.set_status(&asked, &iban, sent.status.into()).await?;
    Ok(changed(is_repeated, StatusChange { status: now.into() }))
}

/// Another overdraft for an account.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OverdraftChange {
    /// An amount in the account's currency of zero or more, or `unlimited` for one of the bank's own.
    #[schema(value_type = strings::Overdraft)]
    overdraft: String,
}

/// Sets how far below zero an account may go.
///
/// For operators. Refused where more is used already, and without a limit where a customer may move the account's money.
#[utoipa::path(
    put, path = "/v1/accounts/{iban}/overdraft", tag = "Accounts",
    params(("iban" = strings::IbanTyped, Path, description = "The account's number"), IdempotencyKey), request_body = OverdraftChange,
    responses((status = 200, description = "The overdraft is set", body = OverdraftChange)),
    extensions(("x-refusals" = json!(["overdraft-without-limit", "account-closed", "overdraft-in-use"]))),
)]
pub(crate) async fn set_overdraft(
    State(app): State<App>,
    token: Token,
    Path(iban): Path<String>,
    key: IdempotencyKey,
    Sent(sent): Sent<OverdraftChange>,
) -> Result<Response, Problem> {
    let asked = keyed(token, &key, Meaning::SetOverdraft { account: &iban, overdraft: &sent.overdraft });
    let made = |currency| overdraft(&sent.overdraft, currency);
    let Changed { now: (overdraft, currency), is_repeated } = app.service.set_overdraft(&asked, &iban, made).await?;
    Ok(changed(is_repeated, OverdraftChange { overdraft: overdraft_text(overdraft, currency) }))
}
