//! Accounts: opening, showing and changing them, and their past.

pub(crate) mod account;
pub(crate) mod balances;
pub(crate) mod customer_accounts;
pub(crate) mod entries;
pub(crate) mod statement;
pub(crate) mod trial_balance;
