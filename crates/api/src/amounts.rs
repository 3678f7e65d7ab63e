//! Amounts on the wire: a decimal string with its currency.

use bank::Refusal;
use ledger::{Currency, Money, Overdraft};
use serde::Serialize;
use service::Fault;
use service::meaning::UNLIMITED;
use utoipa::ToSchema;

use crate::description::strings;

/// An amount of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub(crate) struct Amount {
    /// A decimal number with all decimals of its currency.
    #[schema(value_type = strings::Decimal)]
    pub(crate) amount: String,
    /// The currency (ISO 4217).
    #[schema(value_type = strings::Currency)]
    pub(crate) currency: String,
}

impl Amount {
    pub(crate) fn of(money: Money) -> Self {
        Self { amount: money.to_string(), currency: money.currency.code().to_owned() }
    }
}

/// The currency of a code.
pub(crate) fn currency(code: &str) -> Result<Currency, Fault> {
    Currency::from_code(code).ok_or_else(|| Fault::from(Refusal::UnknownCurrency).in_field("currency"))
}

/// An amount and a currency that were sent, as money.
pub(crate) fn money(amount: &str, code: &str) -> Result<Money, Fault> {
    Money::parse(amount, currency(code)?).map_err(|error| Fault::amount("amount", error))
}

/// An amount and a currency that may be left out, both or none.
pub(crate) fn some_money(amount: Option<&str>, code: Option<&str>) -> Result<Option<Money>, Fault> {
    match (amount, code) {
        (Some(amount), Some(code)) => Ok(Some(money(amount, code)?)),
        (None, None) => Ok(None),
        (Some(_), None) => Err(Fault::from(Refusal::AmountIncomplete).in_field("currency")),
        (None, Some(_)) => Err(Fault::from(Refusal::AmountIncomplete).in_field("amount")),
    }
}

/// An amount of zero or more, in minor units.
pub(crate) fn positive(field: &str, text: &str, currency: Currency) -> Result<u64, Fault> {
    let amount = Money::parse(text, currency).map_err(|error| Fault::amount(field, error))?;
    u64::try_from(amount.minor).map_err(|_| {
        let detail = "it is an amount of zero or more, and counts for money in and money out";
        Fault::refusing(Refusal::InvalidAmount, detail).in_field(field)
    })
}

/// An overdraft that was sent: an amount of zero or more, or `unlimited`.
pub(crate) fn overdraft(text: &str, currency: Currency) -> Result<Overdraft, Fault> {
    if text == UNLIMITED {
        return Ok(Overdraft::Unlimited);
    }
    let limit = Money::parse(text, currency).map_err(|error| Fault::amount("overdraft", error))?;
    let limit = u64::try_from(limit.minor);
    limit.map(Overdraft::Limited).map_err(|_| {
        let detail = "an overdraft is an amount of zero or more, or `unlimited`";
        Fault::refusing(Refusal::InvalidAmount, detail).in_field("overdraft")
    })
}

/// An overdraft as it is shown.
pub(crate) fn overdraft_text(overdraft: Overdraft, currency: Currency) -> String {
    match overdraft {
        Overdraft::Unlimited => UNLIMITED.to_owned(),
        Overdraft::Limited(limit) => decimal(i128::from(limit), currency),
    }
}

/// A balance, or what changes one. Credits less debits, whatever the account's kind, so that the same sum means the same in
/// every answer: above zero the bank owes it, below zero it is owed to the bank.
pub(crate) fn balance(minor: i64, currency: Currency) -> String {
    Money { minor, currency }.to_string()
}

/// A sum that may be larger than one amount can be.
pub(crate) fn decimal(minor: i128, currency: Currency) -> String {
    let places = usize::try_from(currency.decimals()).unwrap_or(0);
    let sign = if minor < 0 { "-" } else { "" };
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places + 1);
    let (whole, fraction) = digits.split_at(digits.len() - places);
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

/// A signatory's limit that was sent.
pub(crate) fn limit(text: &str, currency: Currency) -> Result<i64, Fault> {
    let limit = Money::parse(text, currency).map_err(|error| Fault::amount("limit", error))?;
    if limit.minor <= 0 {
        return Err(Fault::from(Refusal::from(ledger::Refusal::AmountNotPositive)).in_field("limit"));
    }
    Ok(limit.minor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_written_as_amounts_are() {
        for (code, minor) in
            [("EUR", 0), ("EUR", 5), ("EUR", -5), ("EUR", 123_456), ("JPY", -7), ("KWD", 1), ("JPY", 0)]
        {
            let currency = Currency::from_code(code).unwrap();
            assert_eq!(decimal(i128::from(minor), currency), Money { minor, currency }.to_string());
        }
    }
}
