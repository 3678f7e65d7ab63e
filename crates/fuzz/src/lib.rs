//! Properties of any bytes that reach a reader of ours: a function for each, which takes the bytes and panics where
//! its property doesn't hold.
//!
//! `cargo-fuzz` calls them from the folder `fuzz` at the root, with a nightly compiler. `tests/corpus.rs` calls them on any
//! compiler: with each file of `corpus/`, and with some thousand mutations of these.
//!
//! A property is written once, in `…_by`, against a reader that is handed in, so that a test can hand in a broken one and
//! see that it is found.

#![deny(clippy::wildcard_enum_match_arm)]

mod events;
mod frames;
mod ibans;
mod import;
mod lines;

pub use events::{CheckEvent, Events, ReadEvents, events, events_by};
pub use frames::{Frames, JOURNAL_ID, KEY, frames, frames_by};
pub use ibans::{ibans, ibans_by};
pub use import::{Rehearse, import, import_by, in_folder};
pub use lines::{Read, lines, lines_by};

/// A target: any bytes in, a panic out where its property doesn't hold.
pub type Target = fn(&[u8]);

/// The targets by name: that of their folder in `corpus/`, and of their program in `fuzz/`.
pub const TARGETS: [(&str, Target); 5] =
    [("frames", frames), ("events", events), ("lines", lines), ("ibans", ibans), ("import", import)];
