//! A bank without a wire: what every front uses, whether it speaks JSON, SOAP or HTML.
//!
//! A [`Service`] is a handle on an open bank. It knows who is asking ([`SignedIn`]), what the names that people write
//! mean (an IBAN, an id), seals and opens personal fields, and takes a write from its key to its receipt
//! ([`Service::prepare_write`], [`Service::submit`]). Whatever goes wrong is a [`Fault`], which a front puts into the
//! form of its own wire.
//!
//! This crate knows nothing of HTTP, nor of JSON. No business rule is decided here.

// A new event, command or refusal must be looked at wherever they are told apart.
#![deny(clippy::wildcard_enum_match_arm)]

mod caller;
pub mod demo;
mod fault;
pub mod founding;
mod ids;
mod names;
pub mod password;
mod service;
mod sign_in;
mod texts;
mod writes;

pub use caller::SignedIn;
pub use fault::{Fault, FaultKind, FieldFault};
pub use ids::{Ids, is_id};
pub use names::{account_of, currency_of, leg_of, seen_account, subject_of};
pub use service::{Service, Settings, SetupError};
pub use sign_in::{Attempt, Checked, NewSession, Proven};
pub use texts::{MAX_TEXT_CHARACTERS, text, text_of};
pub use writes::{Keyed, Looked, Write, is_dry, place, unexpected};
