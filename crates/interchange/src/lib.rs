//! Formats in and out: other banks' delimited files become postings ([`import`]), and the books become an hledger
//! journal, CSV or JSON lines ([`export`]).
//!
//! A bank comes in opened: as an [`engine::Engine`] to book in, or as an [`engine::Replay`] to be read. Where its folder
//! and its master key are, what its settings say, and what is printed, is the caller's business.

#![deny(clippy::wildcard_enum_match_arm)]

pub mod export;
mod failure;
pub mod import;

pub use failure::Failure;
