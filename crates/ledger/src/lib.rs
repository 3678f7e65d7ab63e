//! Money, accounts, balanced postings and holds, and the laws that bind them.
//!
//! A [`Ledger`] is plain data. Its questions (`post`, `capture`, `refund`, …) take `&self` and answer with what would
//! be booked, or with the first [`Refusal`] that applies; its `apply_…` methods take such an answer and book it. The
//! split is what lets a journal stand between the two: an answer is made durable, and applied again on every replay.
//!
//! The laws, asserted whenever something is applied and by [`Ledger::trial_balance`]:
//!
//! * each currency sums to zero, because a leg always moves one amount from one account to another;
//! * what is available never falls below zero minus the overdraft, holds included;
//! * the sum of an account's open holds is its held balance;
//! * booking times never run backwards within an account, and its entries are numbered 1, 2, 3, ….
//!
//! This crate knows nothing of customers, encodings, clocks or storage.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]

mod account;
mod books;
mod hold;
mod money;
mod pages;
mod posting;
mod refusal;

pub use account::{Account, Kind, Overdraft, Status};
pub use books::{Ledger, Legs, MAX_LEGS, TrialBalance, TrialRow, Undone};
pub use hold::{Hold, ReleaseReason};
pub use money::{AmountError, Currency, Money};
pub use pages::{PageKey, PagedMap, Pages};
pub use posting::{BookedLeg, Cause, Entry, Leg, Posting};
pub use refusal::{Refusal, RefusalClass};

use std::num::NonZeroU64;

/// An account's place in its ledger: the first account opened is 0, the next 1, and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

impl AccountId {
    pub(crate) fn index(self) -> usize {
        usize::try_from(self.0).expect("a usize holds 32 bits on every machine this runs on")
    }
}

/// A posting's name for ever: the number of the event that booked it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostingId(NonZeroU64);

/// A hold's name for ever: the number of the event that placed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(NonZeroU64);

macro_rules! event_numbered {
    ($name:ident) => {
        impl $name {
            /// The id made from an event's number; none for 0, because events are numbered from 1.
            #[must_use]
            pub fn new(event: u64) -> Option<Self> {
                NonZeroU64::new(event).map(Self)
            }

            /// The number of the event.
            #[must_use]
            pub fn event(self) -> u64 {
                self.0.get()
            }
        }
    };
}
event_numbered!(PostingId);
event_numbered!(HoldId);

/// A moment: milliseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Before anything that can happen; what an account's last booking time is until it has an entry.
    pub const MIN: Self = Self(i64::MIN);

    /// The calendar day in UTC on which this moment lies.
    #[must_use]
    pub fn day(self) -> ValueDate {
        let days = self.0.div_euclid(MILLISECONDS_PER_DAY);
        ValueDate(i32::try_from(days).unwrap_or(if days < 0 { i32::MIN } else { i32::MAX }))
    }

    /// This moment moved by `ms` milliseconds, held at the ends of what can be told.
    #[must_use]
    pub fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }
}

/// A calendar day: days since 1970-01-01. Beside a booking time it says from when on money bears interest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ValueDate(pub i32);

impl ValueDate {
    /// The first moment of the day in UTC.
    #[must_use]
    pub fn start(self) -> Timestamp {
        Timestamp(i64::from(self.0).saturating_mul(MILLISECONDS_PER_DAY))
    }
}

const MILLISECONDS_PER_DAY: i64 = 24 * 60 * 60 * 1000;
