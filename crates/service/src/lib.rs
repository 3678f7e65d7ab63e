//! A bank without a wire: what every front uses, whether it speaks JSON, SOAP or HTML.
//!
//! A [`Service`] is a handle on an open bank. It knows who is asking ([`SignedIn`]) and what the names that people write
//! mean (an IBAN, an id), seals and opens personal fields, takes a write under its idempotency key ([`Keyed`]) to its
//! outcome, and gives views and lists in plain values. Whatever goes wrong is a [`Fault`], which a front puts into the form
//! of its own wire.
//!
//! This crate knows nothing of HTTP, nor of JSON. No business rule is decided here.

// A new event, command or refusal must be looked at wherever they are told apart.
#![deny(clippy::wildcard_enum_match_arm)]

mod access;
mod accounts;
pub mod demo;
mod events;
mod fault;
pub mod founding;
mod holds;
mod ids;
pub mod meaning;
pub mod metadata;
mod names;
mod payments;
mod service;
mod system;
mod texts;
mod writes;

pub use access::{
    Attempt, ChangedRight, Checked, CustomerPage, CustomerSearch, CustomerView, MeView, NewCustomer, NewSession,
    NewUser, Proven, RightView, SignedIn, UserOrder, UserPage, UserView, password,
};
pub use accounts::{
    AccountOrder, AccountPage, AccountView, BalanceStep, BalanceView, Changed, EntriesPage, EntryView, MAX_POINTS,
    SeriesView, StatementView,
};
pub use events::{Brought, Desk, EndReason, News, Story, StreamSlot, Told, Turn};
pub use fault::{Fault, FaultKind, FieldFault};
pub use holds::{ChangedHold, Held, HoldOrder, HoldPage, HoldRole, HoldSearch, HoldState, HoldTermsView, HoldView};
pub use ids::{Ids, is_id};
pub use meaning::Meaning;
pub use metadata::Metadata;
pub use payments::{
    AllLines, Batch, BatchProgress, Begun, Booked, BookingOrder, BookingView, CHUNK_LINES, CashOrder, ChunkOutcomes,
    Line, LineOrder, LineOutcome, MAX_LINES, MovementOrder, MovementView, PAYMENT_REFUSALS, PaymentFilter,
    PaymentOrder, PaymentPage, PaymentSearch, PaymentState, PaymentView, RefundOrder, SaidView, Words,
};
pub use service::{Service, Settings, SetupError};
pub use system::{DaysView, ZoneView};
pub use texts::{MAX_TEXT_CHARACTERS, text, text_of};
pub use writes::{Keyed, MAX_KEY_CHARACTERS, is_key};
