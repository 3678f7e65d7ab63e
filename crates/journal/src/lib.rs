//! The journal: the append-only, encrypted, hash-chained log in which a bank's events become durable.
//!
//! A *frame* is a batch of encoded events, sealed with AES-256-GCM and chained to the frame before by SHA-256. A *run*
//! of frames is appended in one transaction, and its last frame carries the end mark, so nothing atomic is ever seen
//! half. This crate doesn't know what a frame's contents mean.
//!
//! Keys are envelopes. The *master key* stays outside the data folder and wraps three kinds of key kept beside the
//! frames: a fresh *data key* for every opening, a *subject key* per person, and the *bank secret* from which all others
//! are derived. Destroying a subject's key makes that person's fields unreadable, and leaves the chain whole.
//!
//! | module | owns |
//! |---|---|
//! | `keys` | the master key, wrapping, subject keys, fields sealed under them |
//! | `frame` | a frame's layout, sealing and opening, how one must follow another: knows no storage |
//! | `mark` | the head mark, which notices a journal that lost its end |
//! | `sqlite` | the journal's home: [`Journal`], the one writer, [`Inspected`] before that, and [`Reader`] |
//! | `verify` | the check of a whole journal, beside a running server too |
//! | `pages` | files of sealed pages read in any order, for the index of the past |

mod error;
mod frame;
mod keys;
mod mark;
mod pages;
mod sqlite;
mod verify;

pub use error::{AppendError, KeyError, OpenError, Problem, ProblemKind, ReadError, StorageError};
pub use frame::{Frame, Head, LoneFrame, MAX_BODY_BYTES, PlainFrame, SealedRun};
pub use keys::{MasterKey, PlaceKey, SubjectKey, open_field, seal_field};
pub use pages::{PAGE_BYTES, PageReader, PageWriter};
pub use sqlite::{Inspected, Journal, Reader, Secrets};
pub use verify::{Verified, verify};
