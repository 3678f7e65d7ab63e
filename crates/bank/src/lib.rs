//! The bank as one deterministic state machine.
//!
//! A [`Command`] asks. [`decide()`] answers from the [`State`], the command and the [`Facts`], which hand in what a pure
//! function can't have: the time, the bank's day, and what lies in the past. Its answer is [`Events`], and [`State::apply`] is the only
//! way that state changes. The journal keeps events, never commands, so a new rule never rewrites the past.
//!
//! A folder per subject, [`system`], [`access`], [`accounts`], [`payments`], [`holds`], has its commands, events, state and
//! decisions. Around them stands the frame: who may do what ([`permission`]), where a command came from ([`Origin`]), what falls
//! due ([`Due`]), and who is concerned by an event ([`Audience`]). Nothing here is async, reads a
//! clock, draws a random number or does I/O, and nothing depends on the order of a hash map.

#![deny(clippy::arithmetic_side_effects, clippy::float_arithmetic, clippy::as_conversions)]
// A new event, command or refusal must be looked at wherever they are told apart.
#![deny(clippy::wildcard_enum_match_arm)]

pub mod access;
pub mod accounts;
mod audience;
mod codec;
mod command;
mod decide;
mod domestic;
mod due;
mod event;
pub mod holds;
mod iban;
mod modulus;
mod national;
mod origin;
mod own;
pub mod payments;
pub mod permission;
mod personal;
mod record;
mod refusal;
mod state;
pub mod system;
mod text;

pub use access::{
    AccessCommand, AccessEvent, AddressHash, Customer, CustomerId, MAX_ACCOUNTS_PER_CUSTOMER, MAX_RIGHTS_PER_ACCOUNT,
    NameIndex, Right, Role, Session, TokenHash, User, UserId,
};
pub use accounts::{AccountCommand, AccountEvent, AccountInfo, OpenAccount};
pub use audience::{Audience, accounts_of};
pub use command::{Body, Caller, Command, Facts, PastPosting};
pub use decide::{Decision, decide};
pub use due::Due;
pub use event::{Event, Events, Request, What};
pub use holds::{HoldCommand, HoldEvent};
pub use iban::{IbanError, Numbering, NumberingError, NumbersAsked};
pub use modulus::{ModulusError, ModulusRule};
pub use origin::{AddressClass, Cause, Channel, Origin, SessionTag};
pub use own::OwnCheck;
pub use payments::{MAX_PAYMENTS_AT_ONCE, Pay, PaymentCommand, PaymentEvent, Purpose};
pub use permission::{Action, Scope, Standing};
pub use personal::{Category, Copies, MAX_READERS, MAX_WRITERS, Plain, Readers, Said, Sealed, SharedText, SubjectId};
pub use record::{Record, RecordPage, RestoreError};
pub use refusal::Refusal;
pub use state::{Cut, KEYS_AT_HAND, Outcomes, State};
pub use system::{Founding, MAX_TIME_ZONES, SystemCommand, SystemEvent, ZoneFrom};
pub use text::is_control;
