//! Errors of the journal, in sentences that tell the operator what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// A master key that can't be read, or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum KeyError {
    #[error("a master key is 64 hexadecimal digits, and this isn't")]
    Malformed,
    #[error("{path} doesn't hold a master key: it must contain exactly 64 hexadecimal digits")]
    MalformedFile { path: PathBuf },
    #[error("there is no master key at {path}: restore it from where you keep it safe, or name the right file")]
    Missing { path: PathBuf },
    #[error("others than its owner can get at the master key {path} (mode {mode:03o}): run `chmod 600 {path}`")]
    TooOpen { path: PathBuf, mode: u32 },
    #[error("{path} is there already, and a master key is never overwritten: choose another file")]
    AlreadyThere { path: PathBuf },
    #[error("the master key {path} can't be read or written: {source}")]
    Io { path: PathBuf, source: io::Error },
}

/// A journal that can't be made or opened.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum OpenError {
    #[error("there is no journal in {dir}: run `kassa init` for this folder first, or use another --data")]
    Missing { dir: PathBuf },
    #[error("there is a journal in {dir} already: use another --data")]
    AlreadyThere { dir: PathBuf },
    #[error(
        "the journal in {dir} is gone: the file `head` tells of one, and journal.db is missing or empty. Put journal.db back \
         from a backup; don't remove anything before"
    )]
    Lost { dir: PathBuf },
    #[error("the making of the journal in {dir} was interrupted: remove the folder and run `kassa init` again")]
    Unfinished { dir: PathBuf },
    #[error("another Kassa is using {dir}; stop it first, or use another --data")]
    InUse { dir: PathBuf },
    #[error("{path} can't be opened ({source}): give the user who runs Kassa access to it")]
    NoAccess { path: PathBuf, source: io::Error },
    #[error("this master key doesn't open the journal in {dir}: give the key that was made with it by `kassa init`")]
    WrongMasterKey { dir: PathBuf },
    #[error("the journal has format {found}, and this Kassa knows formats up to {known}: run a newer Kassa")]
    NewerFormat { found: i64, known: u16 },
    #[error(
        "frame {marked} was durable, but isn't in the journal in {dir}, which ends at frame {found}: \
         restore what is missing from a backup or a follower, or accept the loss with --accept-loss"
    )]
    LostTail { dir: PathBuf, marked: u64, found: u64 },
    #[error(
        "the journal in {dir} ends at frame {found}, but the file `head`, which tells how far it once went, is missing \
         or damaged: restore it, or accept that frames may be lost with --accept-loss"
    )]
    NoHeadMark { dir: PathBuf, found: u64 },
    #[error("this Kassa was built with SQLite {found}; the journal needs 3.54 or later: rebuild with the bundled one")]
    OldSqlite { found: &'static str },
    #[error("SQLite can't keep a write-ahead log beside {path}: put the data folder on a local disk")]
    NoWal { path: PathBuf },
    #[error("the journal is damaged: {0}")]
    Damaged(Problem),
    #[error("the journal can't be opened: {0}")]
    Storage(#[from] StorageError),
}

/// A run that was not appended, or of which that isn't known.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// The journal doesn't end where the run begins: somebody else has written, or an earlier run wasn't appended.
    /// Nothing was changed.
    #[error("the run follows frame {expected}, but the journal ends at frame {found}: this writer is stale")]
    Stale {
        /// The sequence number of the frame that the run was sealed to follow.
        expected: u64,
        /// The sequence number of the journal's last frame.
        found: u64,
    },
    /// The disk is full. Nothing was changed; the same run may be appended again when there is room.
    #[error("the disk is full: make room on it, nothing more is accepted until then")]
    Full,
    /// The disk takes no writes: nothing was written, and the same run can be appended later.
    #[error("the disk can't be written")]
    Unwritable,
    /// An earlier write failed, and after that nothing can be promised any more.
    #[error("an earlier write to the journal failed: restart Kassa, which finds out what is durable")]
    Poisoned,
    /// The journal's last frame is damaged. The journal is poisoned.
    #[error("the journal is damaged: {0}")]
    Damaged(Problem),
    /// The write failed, perhaps after having become durable: only opening the journal anew tells. It is poisoned, and
    /// not tried again, for a sync that is repeated after a failure may report success without having saved anything.
    #[error("the journal can't be written: {0}")]
    Storage(#[from] StorageError),
}

/// Frames or keys that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The bytes read aren't the bytes written.
    #[error("the journal is damaged: {0}")]
    Damaged(Problem),
    /// The database or the file system failed.
    #[error("the journal can't be read: {0}")]
    Storage(#[from] StorageError),
}

/// The database's or the file system's own words.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the variants only tell the two apart")]
pub enum StorageError {
    #[error("{}", said(.0))]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Returns the database's own words or, of values that are not as they must be, ours.
fn said(error: &rusqlite::Error) -> String {
    match error {
        rusqlite::Error::InvalidColumnType(_, column, found) => {
            format!("journal.db is damaged: a {column} in it is of type {found}")
        }
        rusqlite::Error::FromSqlConversionFailure(..) | rusqlite::Error::IntegralValueOutOfRange(..) => {
            "journal.db is damaged: a value in it is not one that can be there".into()
        }
        rusqlite::Error::QueryReturnedNoRows => "journal.db is damaged: a row is missing in it".into(),
        other => other.to_string(),
    }
}

/// One thing that is wrong with a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The sequence number of the frame it was found at: by the frame's place, where its own header can't be believed.
    pub frame: u64,
    /// Its kind.
    pub kind: ProblemKind,
    /// A sentence about it.
    pub detail: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "frame {}: {}: {}", self.frame, self.kind.as_str(), self.detail)
    }
}

/// The kinds of problem. Their words are stable: scripts may depend on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProblemKind {
    /// The database itself fails to deliver the frame.
    Unreadable,
    /// The database gives frames out of the order of their events: pages of it are of different times, as in a copy made
    /// while the bank was running.
    OutOfOrder,
    /// The header isn't one that this version writes.
    MalformedHeader,
    /// The frame was made by another journal.
    ForeignFrame,
    /// The header contradicts the columns beside it: the frame was moved, cut or lengthened.
    ColumnMismatch,
    /// SHA-256 over header and body isn't the hash beside them.
    WrongHash,
    /// Frames are missing before this one.
    SequenceGap,
    /// This frame's number was there before.
    SequenceRepeat,
    /// Its first event doesn't follow the last event before.
    EventNumbering,
    /// It names another predecessor than the frame before it.
    BrokenChain,
    /// The data key it was sealed under is missing, or isn't wrapped by this master key.
    UnknownKey,
    /// It isn't what was sealed under its data key.
    Undecryptable,
    /// A subject's key isn't wrapped by this master key. The frame number is 0.
    BadSubjectKey,
    /// The journal ends within a run.
    MissingEndMark,
    /// The file `head` is missing or damaged.
    NoHeadMark,
    /// The journal ends before the head mark, or has another frame in its place.
    LostTail,
}

impl ProblemKind {
    /// The kind as a stable kebab-case word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::OutOfOrder => "out-of-order",
            Self::MalformedHeader => "malformed-header",
            Self::ForeignFrame => "foreign-frame",
            Self::ColumnMismatch => "column-mismatch",
            Self::WrongHash => "wrong-hash",
            Self::SequenceGap => "sequence-gap",
            Self::SequenceRepeat => "sequence-repeat",
            Self::EventNumbering => "event-numbering",
            Self::BrokenChain => "broken-chain",
            Self::UnknownKey => "unknown-key",
            Self::Undecryptable => "undecryptable",
            Self::BadSubjectKey => "bad-subject-key",
            Self::MissingEndMark => "missing-end-mark",
            Self::NoHeadMark => "no-head-mark",
            Self::LostTail => "lost-tail",
        }
    }

    /// Makes it the problem of a frame.
    pub(crate) fn at(self, frame: u64, detail: impl Into<String>) -> Problem {
        Problem { frame, kind: self, detail: detail.into() }
    }
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(problem) => Self::Damaged(problem),
            ReadError::Storage(error) => Self::Storage(error),
        }
    }
}

impl From<ReadError> for AppendError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(problem) => Self::Damaged(problem),
            ReadError::Storage(error) => Self::Storage(error),
        }
    }
}

impl From<rusqlite::Error> for OpenError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<rusqlite::Error> for ReadError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Storage(error.into())
    }
}

impl From<rusqlite::Error> for AppendError {
    /// A disk that takes no writes is told apart: SQLite reports it for a write, never for a sync, and has rolled back.
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error() {
            Some(told) if told.code == rusqlite::ErrorCode::DiskFull => Self::Full,
            Some(told) if told.code == rusqlite::ErrorCode::ReadOnly => Self::Unwritable,
            Some(told) if told.extended_code == rusqlite::ffi::SQLITE_IOERR_WRITE => Self::Unwritable,
            _ => Self::Storage(error.into()),
        }
    }
}
