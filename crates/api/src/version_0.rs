//! Version 0 of the form in which a request is remembered under its key: its route and its body in JSON, as it was until
//! 0.1.0. Old journals hold its hashes, so that nothing here is ever changed: no name, no order, no default.
//!
//! It is asked only where a key stands for something that today's form doesn't match (`service/meaning.rs`). A request
//! with a field that is not here is none of that time.

use std::collections::BTreeMap;

use ledger::{Kind, Status};
use serde::Serialize;
use service::meaning::{Cash, Meaning, Moment, Opening, RightKind, Said, Transfer};

/// Makes the form of a request as a version before 0.2 made it; none where that can't have been asked for it.
#[must_use]
pub fn form_of_version_0(meaning: &Meaning<'_>) -> Option<Vec<u8>> {
    match meaning {
        Meaning::Pay { movement, more, said } => {
            let more = more.iter().map(Movement::of).collect();
            of("POST /v1/payments", &Payment { more, ..Payment::of(movement, said) })
        }
        Meaning::Deposit(cash) => of("POST /v1/deposits", &AtTheDesk::of(cash)),
        Meaning::Withdraw(cash) => of("POST /v1/withdrawals", &AtTheDesk::of(cash)),
        Meaning::Book { movement: Transfer { from, to, amount, currency }, reason } => {
            of("POST /v1/bookings", &Booking { from, to, amount, currency, reason })
        }
        Meaning::Refund { payment, amount, currency, movement, text } => {
            let refund = Refund { amount: *amount, currency: *currency, movement: *movement, text: *text };
            of(&format!("POST /v1/payments/{payment}/refunds"), &refund)
        }
        Meaning::Reverse { payment, text } => {
            of(&format!("POST /v1/payments/{payment}/reversal"), &Reversal { text: *text })
        }
        Meaning::PlaceHold { movement, expires_at, said } => hold(movement, expires_at, said),
        Meaning::Capture { hold, amount, currency, last } => {
            let capture = Capture { amount: *amount, currency: *currency, last: *last };
            of(&format!("POST /v1/holds/{hold}/captures"), &capture)
        }
        Meaning::Void { hold } => of(&format!("POST /v1/holds/{hold}/void"), &()),
        Meaning::ExtendHold { hold, expires_at } => {
            of(&format!("POST /v1/holds/{hold}/extension"), &Extension { expires_at: expires_at.text })
        }
        Meaning::OpenAccount(opening) => of("POST /v1/accounts", &Account::of(opening)),
        Meaning::RenameAccount { account, name } => {
            of("PUT /v1/accounts/{iban}/name", &(account, OptionalName { name: *name }))
        }
        Meaning::SetStatus { account, status } => {
            of("PUT /v1/accounts/{iban}/status", &(account, StatusSet { status: status_name(*status) }))
        }
        Meaning::SetOverdraft { account, overdraft } => {
            of("PUT /v1/accounts/{iban}/overdraft", &(account, Overdraft { overdraft }))
        }
        Meaning::Grant { account, customer, right, limit } => {
            let right = Right { right: right_name(*right), limit: *limit };
            of("PUT /v1/accounts/{iban}/rights/{customer}", &(account, customer, right))
        }
        Meaning::Revoke { account, customer } => {
            of("DELETE /v1/accounts/{iban}/rights/{customer}", &(account, customer))
        }
        Meaning::AddCustomer { name } => of("POST /v1/customers", &Name { name }),
        Meaning::AddUser { name, password_fits, role, customer } => {
            let password = (!password_fits).then_some(false);
            of("POST /v1/users", &User { name, password, role: role_name(*role), customer: *customer })
        }
        // A line had no route.
        Meaning::Line { movement, said } => serde_json::to_vec(&Payment::of(movement, said)).ok(),
        Meaning::UnreadLine(sent) => Some(sent.to_vec()),
        // This came later.
        Meaning::SetTimeZone { .. } => None,
        // Imports had a form of their own (`interchange/import/content.rs`).
        Meaning::Import(_) => None,
    }
}

fn of(route: &str, body: &impl Serialize) -> Option<Vec<u8>> {
    let mut form = format!("{route}\n").into_bytes();
    serde_json::to_writer(&mut form, body).ok()?;
    Some(form)
}

fn hold(movement: &Transfer<'_>, expires_at: &Moment<'_>, said: &Said<'_>) -> Option<Vec<u8>> {
    let Transfer { from, to, amount, currency } = *movement;
    let Said { text, metadata, end_to_end_id } = *said;
    if end_to_end_id.is_some() {
        return None;
    }
    of("POST /v1/holds", &Hold { from, to, amount, currency, expires_at: expires_at.text, text, metadata })
}

#[derive(Serialize)]
struct Payment<'a> {
    from: &'a str,
    to: &'a str,
    amount: &'a str,
    currency: &'a str,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    more: Vec<Movement<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end_to_end_id: Option<&'a str>,
}

impl<'a> Payment<'a> {
    fn of(movement: &Transfer<'a>, said: &Said<'a>) -> Self {
        let Transfer { from, to, amount, currency } = *movement;
        let Said { text, metadata, end_to_end_id } = *said;
        Self { from, to, amount, currency, text, more: Vec::new(), metadata, end_to_end_id }
    }
}

#[derive(Serialize)]
struct Movement<'a> {
    from: &'a str,
    to: &'a str,
    amount: &'a str,
    currency: &'a str,
}

impl<'a> Movement<'a> {
    fn of(movement: &Transfer<'a>) -> Self {
        let Transfer { from, to, amount, currency } = *movement;
        Self { from, to, amount, currency }
    }
}

#[derive(Serialize)]
struct AtTheDesk<'a> {
    account: &'a str,
    amount: &'a str,
    currency: &'a str,
    text: Option<&'a str>,
}

impl<'a> AtTheDesk<'a> {
    fn of(cash: &Cash<'a>) -> Self {
        let Cash { account, amount, currency, text } = *cash;
        Self { account, amount, currency, text }
    }
}

#[derive(Serialize)]
struct Booking<'a> {
    from: &'a str,
    to: &'a str,
    amount: &'a str,
    currency: &'a str,
    reason: &'a str,
}

#[derive(Serialize)]
struct Refund<'a> {
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    movement: u32,
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct Reversal<'a> {
    text: Option<&'a str>,
}

#[derive(Serialize)]
struct Hold<'a> {
    from: &'a str,
    to: &'a str,
    amount: &'a str,
    currency: &'a str,
    expires_at: &'a str,
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a BTreeMap<String, String>>,
}

#[derive(Serialize)]
struct Capture<'a> {
    amount: Option<&'a str>,
    currency: Option<&'a str>,
    last: bool,
}

#[derive(Serialize)]
struct Extension<'a> {
    expires_at: &'a str,
}

#[derive(Serialize)]
struct Account<'a> {
    currency: &'a str,
    kind: Option<&'static str>,
    name: Option<&'a str>,
    owner: Option<u32>,
    overdraft: Option<&'a str>,
    number: Option<u64>,
    cash: Option<bool>,
}

impl<'a> Account<'a> {
    fn of(opening: &Opening<'a>) -> Self {
        let Opening { currency, kind, name, owner, overdraft, number, cash } = *opening;
        Self { currency, kind: kind.map(kind_name), name, owner, overdraft, number, cash }
    }
}

#[derive(Serialize)]
struct OptionalName<'a> {
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct StatusSet {
    status: &'static str,
}

#[derive(Serialize)]
struct Overdraft<'a> {
    overdraft: &'a str,
}

#[derive(Serialize)]
struct Right<'a> {
    right: &'static str,
    limit: Option<&'a str>,
}

#[derive(Serialize)]
struct Name<'a> {
    name: &'a str,
}

#[derive(Serialize)]
struct User<'a> {
    name: &'a str,
    /// Nothing of a password whose length was allowed, `false` of another.
    password: Option<bool>,
    role: &'static str,
    customer: Option<u32>,
}

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Asset => "asset",
        Kind::Liability => "liability",
        Kind::Equity => "equity",
        Kind::Income => "income",
        Kind::Expense => "expense",
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Open => "open",
        Status::FrozenForDebits => "frozen-for-debits",
        Status::Frozen => "frozen",
        Status::Closed => "closed",
    }
}

fn right_name(right: RightKind) -> &'static str {
    match right {
        RightKind::Owner => "owner",
        RightKind::Signatory => "signatory",
        RightKind::ReadOnly => "read-only",
    }
}

fn role_name(role: bank::Role) -> &'static str {
    match role {
        bank::Role::Customer => "customer",
        bank::Role::Operator => "operator",
        bank::Role::Auditor => "auditor",
    }
}
