//! The one writer over one journal.
//!
//! One thread carries a command: it decides and applies, makes durable and lets the answers go (`writer`). Large runs
//! are made durable by another (`committer`), so that the next is decided meanwhile. A run (a group commit) is whatever
//! has queued up; only when several were just answered does it wait a moment for them to come back.
//!
//! Nothing leaves before it is durable: answers, refusals and reads are stamped with the last event they saw, and let
//! go when that event is on disk. When an append fails, the engine stops serving, because the state in memory may tell
//! of things that never came to be; starting again rebuilds it from the journal.
//!
//! This crate knows nothing of HTTP.

#![deny(clippy::wildcard_enum_match_arm)]

mod calendar;
mod checkpoint;
mod clock;
mod handle;
mod history;
mod keeper;
mod key_check;
mod memory;
mod personal;
mod recovery;
mod replay;
mod settings;
mod subscription;
mod verify;
mod writer;

pub use calendar::{Calendar, UnknownTimeZone};
pub use clock::{Clock, MAX_CLOCK_JUMP_MS, SystemClock};
pub use handle::{Batch, Chain, Engine, KeyedHashes, Measures, Outcome, Receipt, Rivals, Submission, Unavailable};
pub use history::{
    Deeds, Found, HistoryEntry, HistoryError, Listed, MAX_DEEDS, MAX_LOOKED_AT, MAX_MERGED, MAX_SCAN, MAX_WALK, Period,
    Search, Wanted,
};
pub use personal::{Field, NewSubject, Opener, Spoken};
pub use recovery::{OpenError, Options, Progress};
pub use replay::Replay;
pub use settings::{SETTINGS, Settings};
pub use subscription::{Recorded, Subscription};
pub use verify::{Problem, Report, verify};
pub use writer::{MAX_BATCH, MAX_QUEUED, MAX_QUEUED_COMMANDS, MAX_RUN_COMMANDS};
