//! The journal's home in SQLite: [`Journal`], the one writer, and [`Reader`], of which there may be many, in other
//! processes too.
//!
//! The folder holds `journal.db` (with SQLite's `-wal` and `-shm`), the head mark `head`, and `lock`, which the writer
//! holds exclusively. Frames are keyed by their first event, so the frame with a given event is found without an index.
//!
//! A run is one transaction with `synchronous=FULL`: it is in the synced write-ahead log when `append` returns. Only the
//! writer moves the log into the database file, in steps that `LOG_LIMIT_PAGES` bounds. Opening syncs the log before it
//! gives anything out: what SQLite finds in it after a crash may be in the system's memory only, and would otherwise be
//! taken for durable. It moves the log once all else is known to be in order.
//!
//! A copy made of a running bank, or a disk that lost a write, may hold pages of different times. SQLite follows its tree
//! wherever that leads, so nothing here relies on the order that it promises: whoever walks checks that rows rise.

use std::collections::HashMap;
use std::ffi::CStr;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::aead::LessSafeKey;
use rusqlite::config::DbConfig;
use rusqlite::wal::CheckpointMode;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, Row, TransactionBehavior, params};

use crate::error::{AppendError, OpenError, Problem, ProblemKind, ReadError, StorageError};
use crate::frame::{
    Expected, FORMAT, Flaw, Frame, Head, Header, PlainFrame, SealedRun, Sealer, StoredFrame, WrappedSubjectKey,
    claimed_seq, flaw, stored_head,
};
use crate::keys::{Identity, Keyring, MasterKey, PlaceKey, Purpose, SubjectKey, aead};
use crate::mark::HeadMark;

const SCHEMA: &str = "
    CREATE TABLE meta (
        id INTEGER PRIMARY KEY CHECK (id = 1), format INTEGER NOT NULL, journal BLOB NOT NULL, secret BLOB NOT NULL
    ) STRICT;
    CREATE TABLE data_keys (id INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;
    CREATE TABLE subject_keys (subject INTEGER PRIMARY KEY, wrapped BLOB NOT NULL) STRICT;
    -- The long body comes last: the others are then found without walking through its overflow pages.
    CREATE TABLE frames (
        first_event INTEGER PRIMARY KEY, header BLOB NOT NULL, hash BLOB NOT NULL, body BLOB NOT NULL
    ) STRICT;
";

/// The table that journals of older versions lack: their `subject_keys` have one key a subject, for all categories.
const CATEGORY_KEYS: &str = "category_keys";

const CREATE_CATEGORY_KEYS: &str = "
    CREATE TABLE category_keys (
        subject INTEGER NOT NULL, category INTEGER NOT NULL, wrapped BLOB NOT NULL, PRIMARY KEY (subject, category)
    ) STRICT, WITHOUT ROWID;
";

/// 3.54.0: the version whose write-ahead log this crate was written against.
const MIN_SQLITE: i32 = 3_054_000;

const MAIN: &CStr = c"main";

/// The database's page. A frame of 16 KiB takes three; larger pages would make lone small events cost more.
const PAGE_BYTES: u32 = 8_192;

/// The log is moved into the database file when so many pages wait (2 MiB): enough that the syncs this takes are rare,
/// little enough that whoever waits meanwhile, for a millisecond or two, hardly notices. A small run writes the same
/// pages again and again, so this is a hundred runs or more.
const LOG_LIMIT_PAGES: i32 = 256;

/// While a long read keeps the log from being moved, it is tried again only after so much growth: each try sorts it.
const LOG_RETRY_PAGES: i32 = 512;

/// A log that a long read let grow past this many bytes gives the rest back to the file system afterwards.
const LOG_KEPT_BYTES: i64 = 64 * 1024 * 1024;

/// Time to wait for somebody else's lock: another process's recovery of the log, or its short read.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The label of the head mark's key. Labels with this prefix are the journal's own.
const MARK_LABEL: &str = "journal/head-mark";

/// The secrets of one bank: each is HKDF-SHA-256 (RFC 5869) of a random secret made with the journal, with a label as
/// info, and the same as long as the journal lives.
#[derive(Clone)]
pub struct Secrets(Arc<Keyring>);

impl Secrets {
    /// The secret of a label. Labels that begin with `journal/` are the journal's own.
    #[must_use]
    pub fn derive(&self, label: &str) -> [u8; 32] {
        self.0.secret(label)
    }

    pub(crate) fn keyring(&self) -> &Keyring {
        &self.0
    }

    /// The secret of a label as a key for places.
    #[must_use]
    pub fn place_key(&self, label: &str) -> PlaceKey {
        PlaceKey::new(self.derive(label))
    }
}

/// A journal that nobody else can write, looked at and not yet changed: what it holds can be read, and whoever finds
/// that it is not whole leaves it, its log and its head mark as they were.
pub struct Inspected {
    dir: PathBuf,
    conn: Connection,
    keyring: Arc<Keyring>,
    head: Head,
    /// The loss that the operator accepted, in words.
    loss: Option<String>,
    lock: File,
}

impl Inspected {
    /// Locks a journal and compares its end with the head mark.
    ///
    /// # Errors
    ///
    /// Refuses what [`Journal::open`] refuses.
    pub fn new(dir: &Path, master: &MasterKey, accept_loss: bool) -> Result<Self, OpenError> {
        check_sqlite()?;
        must_not_be_lost(dir)?;
        if !database(dir).exists() {
            return Err(OpenError::Missing { dir: dir.into() });
        }
        let lock = lock(dir)?;
        Self::with_lock(dir, master, accept_loss, lock)
    }

    fn with_lock(dir: &Path, master: &MasterKey, accept_loss: bool, lock: File) -> Result<Self, OpenError> {
        let conn = connect_writer(&database(dir))?;
        let keyring = open_keyring(&conn, dir, master)?;
        let head = read_head(&conn, &keyring)?;
        let loss = match check_mark(dir, &conn, &keyring, &keyring.secret(MARK_LABEL), &head) {
            Ok(()) => None,
            Err(loss @ (OpenError::LostTail { .. } | OpenError::NoHeadMark { .. })) if accept_loss => {
                Some(loss.to_string())
            }
            Err(error) => return Err(error),
        };
        // The pages that SQLite has taken over from the log after a crash may be in memory only; from here on it counts
        // as durable.
        sync_log(dir)?;
        Ok(Self { dir: dir.into(), conn, keyring: Arc::new(keyring), head, loss, lock })
    }

    /// The durable head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// The bank's secrets.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets(Arc::clone(&self.keyring))
    }

    /// Opens a reader of this journal.
    ///
    /// # Errors
    ///
    /// Fails if the database can't be opened.
    pub fn reader(&self) -> Result<Reader, OpenError> {
        Ok(Reader::new(connect_reader(&database(&self.dir))?, Arc::clone(&self.keyring)))
    }

    /// Becomes the writer, with a fresh data key: moves the log into the database, and has the head mark say where the
    /// journal ends. From then on a loss that was accepted is told no more.
    ///
    /// # Errors
    ///
    /// Fails if the log can't be moved into the database, or the head mark can't be written.
    pub fn take_over(self) -> Result<Journal, OpenError> {
        let Self { dir, conn, keyring, head, loss, lock } = self;
        if let Some(loss) = loss {
            tracing::warn!(frame = head.seq, "opening the journal with a loss, as the operator accepted: {loss}");
        }
        if !conn.table_exists(None::<&str>, CATEGORY_KEYS)? {
            conn.execute_batch(CREATE_CATEGORY_KEYS)?;
        }
        // A reader in the way does no harm.
        conn.busy_timeout(Duration::ZERO)?;
        match conn.wal_checkpoint_v2(Some(MAIN), CheckpointMode::TRUNCATE) {
            Err(error) if error.sqlite_error_code() != Some(ErrorCode::DatabaseBusy) => return Err(error.into()),
            _ => conn.busy_timeout(BUSY_TIMEOUT)?,
        }
        let path = mark_path(&dir);
        let mark = HeadMark::start(&path, &keyring.secret(MARK_LABEL), &head).map_err(no_access(path))?;
        Ok(Journal {
            dir,
            conn,
            sealer: Sealer::new(&keyring, head),
            keyring,
            head,
            mark,
            stored_key: None,
            poisoned: false,
            wipe_due: false,
            next_checkpoint_pages: LOG_LIMIT_PAGES,
            log_pages: 0,
            _lock: lock,
        })
    }
}

/// The writer of a journal: there is one at a time, in one process.
pub struct Journal {
    dir: PathBuf,
    conn: Connection,
    keyring: Arc<Keyring>,
    sealer: Sealer,
    head: Head,
    mark: HeadMark,
    /// The data key last stored, so that its row is written once.
    stored_key: Option<u64>,
    poisoned: bool,
    /// A destroyed key's row may still be in the log.
    wipe_due: bool,
    next_checkpoint_pages: i32,
    /// The log's pages after the last append.
    log_pages: i32,
    /// Released last, when all else is closed.
    _lock: File,
}

impl Journal {
    /// Makes the folder (mode 0700), if it isn't there, and an empty journal in it (files of mode 0600), and opens it.
    ///
    /// # Errors
    ///
    /// Refuses a folder that has a journal, had one or is in use; fails if it can't be written.
    pub fn create(dir: &Path, master: &MasterKey) -> Result<Self, OpenError> {
        check_sqlite()?;
        must_not_be_lost(dir)?;
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(no_access(dir.into()))?;
        let lock = lock(dir)?;
        let path = database(dir);
        match private_file().create_new(true).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(OpenError::AlreadyThere { dir: dir.into() });
            }
            Err(error) => return Err(no_access(path)(error)),
        }
        let identity = Identity::generate(master);
        write_schema(&path, &identity)?;
        let keyring = Keyring::open(master, &identity).expect("the key that it was made with");
        let empty = Head::empty(&keyring.journal_id);
        HeadMark::start(&mark_path(dir), &keyring.secret(MARK_LABEL), &empty).map_err(no_access(mark_path(dir)))?;
        Inspected::with_lock(dir, master, false, lock)?.take_over()
    }

    /// Opens a journal for writing, with a fresh data key.
    ///
    /// # Errors
    ///
    /// Refuses, among others, a journal that another process has opened, and one that ends before the head mark or
    /// contradicts it; with `accept_loss` the latter is opened as it is.
    pub fn open(dir: &Path, master: &MasterKey, accept_loss: bool) -> Result<Self, OpenError> {
        Inspected::new(dir, master, accept_loss)?.take_over()
    }

    /// The durable head.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }

    /// Seals frames into a run that follows the run sealed last, appended or not: sealing may run ahead of appending.
    /// All carry `time_ms` (milliseconds since 1970), the last also the end mark. The subjects' keys are stored with
    /// the run; each must be new.
    ///
    /// # Panics
    ///
    /// If there is no frame, one has no events or more than [`crate::MAX_BODY_BYTES`], or events aren't numbered on.
    pub fn seal(&mut self, time_ms: i64, frames: Vec<PlainFrame>, subject_keys: Vec<SubjectKey>) -> SealedRun {
        self.sealer.seal(&self.keyring, time_ms, frames, &subject_keys)
    }

    /// Appends a run in one transaction, and returns the journal's head when it is durable. A run that is there
    /// already, byte for byte, counts as appended. Opening anew is also how to give up runs that were sealed: until
    /// then, what is sealed next follows them.
    ///
    /// # Errors
    ///
    /// Refuses a run that doesn't follow the journal's end with [`AppendError::Stale`]. After any other error but
    /// [`AppendError::Full`] and [`AppendError::Unwritable`] every later call fails: only opening anew tells what is
    /// durable.
    pub fn append(&mut self, run: &SealedRun) -> Result<Head, AppendError> {
        self.unless_poisoned(|journal| {
            let head = journal.insert(run)?;
            if head != journal.head {
                journal.head = head;
                journal.stored_key = Some(run.key.id);
                journal.mark.write(&head).map_err(StorageError::from)?;
                journal.trim_log()?;
            }
            Ok(head)
        })
    }

    /// Opens a reader of this journal, with a connection of its own, for any thread.
    ///
    /// # Errors
    ///
    /// Fails if the database can't be opened.
    pub fn reader(&self) -> Result<Reader, OpenError> {
        Ok(Reader::new(connect_reader(&database(&self.dir))?, Arc::clone(&self.keyring)))
    }

    /// Destroys a subject's key of a category for ever, or all of the subject's keys: what was sealed under them can't be
    /// opened again. Tells whether any was there. The rows are overwritten in the database and wiped from the log, the
    /// latter at once, or, if a long read prevents that, with the next checkpoint. Copies of the folder made before still
    /// hold the keys, wrapped by the master key.
    ///
    /// # Errors
    ///
    /// Refuses with [`AppendError::Poisoned`] after a failed write, and fails as [`Journal::append`] does if the row
    /// can't be deleted.
    pub fn destroy_subject_keys(&mut self, subject: u64, category: Option<u8>) -> Result<bool, AppendError> {
        self.unless_poisoned(|journal| {
            let transaction = journal.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let of_category = "DELETE FROM category_keys WHERE subject = ?1 AND category = ifnull(?2, category)";
            let mut deleted = transaction.execute(of_category, params![subject.cast_signed(), category])?;
            if category.is_none_or(|category| category == 0) {
                let of_all = "DELETE FROM subject_keys WHERE subject = ?1";
                deleted += transaction.execute(of_all, [subject.cast_signed()])?;
            }
            transaction.commit()?;
            journal.wipe_due |= deleted > 0;
            if deleted > 0 {
                journal.checkpoint()?;
            }
            Ok(deleted > 0)
        })
    }

    /// The bytes of the write-ahead log in use, for a metric: it grows past about 2 MiB only under a long read, or by a run
    /// that is larger itself.
    #[must_use]
    pub fn log_bytes(&self) -> u64 {
        // A page in the log has 24 bytes of SQLite's before it.
        u64::from(self.log_pages.unsigned_abs()) * u64::from(PAGE_BYTES + 24)
    }

    /// The bank's secrets.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets(Arc::clone(&self.keyring))
    }

    /// Moves the log into the database file, syncs the head mark and closes. Nothing is lost without it: it makes the
    /// next start quick.
    ///
    /// # Errors
    ///
    /// Refuses with [`AppendError::Poisoned`], doing nothing, after a failed write; fails if the files can't be
    /// written.
    pub fn close(mut self) -> Result<(), AppendError> {
        self.wipe_due = true;
        self.unless_poisoned(|journal| {
            journal.checkpoint()?;
            Ok(journal.mark.sync().map_err(StorageError::from)?)
        })?;
        self.conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        Ok(self.conn.close().map_err(|(_, error)| error)?)
    }

    fn unless_poisoned<T>(
        &mut self,
        write: impl FnOnce(&mut Self) -> Result<T, AppendError>,
    ) -> Result<T, AppendError> {
        if self.poisoned {
            return Err(AppendError::Poisoned);
        }
        let result = write(self);
        self.poisoned =
            !matches!(result, Ok(_) | Err(AppendError::Full | AppendError::Unwritable | AppendError::Stale { .. }));
        result
    }

    /// The transaction of `append`: gives the journal's head after it.
    fn insert(&mut self, run: &SealedRun) -> Result<Head, AppendError> {
        let transaction = self.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let head = read_head(&transaction, &self.keyring)?;
        if head != run.follows {
            return if holds_run(&transaction, run)? {
                Ok(head)
            } else {
                Err(AppendError::Stale { expected: run.follows.seq, found: head.seq })
            };
        }
        if self.stored_key != Some(run.key.id) {
            transaction
                .prepare_cached("INSERT INTO data_keys (id, wrapped) VALUES (?1, ?2) ON CONFLICT DO NOTHING")?
                .execute(params![run.key.id.cast_signed(), run.key.wrapped])?;
        }
        for key in &run.subject_keys {
            insert_subject_key(&transaction, &self.keyring, key)?;
        }
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO frames (first_event, header, hash, body) VALUES (?1, ?2, ?3, ?4)")?;
            for frame in &run.frames {
                insert.execute(params![row_of(frame.first_event), frame.header, frame.hash, frame.body])?;
            }
        }
        transaction.commit()?;
        Ok(run.head)
    }

    /// Moves the log into the database file when enough of it waits.
    fn trim_log(&mut self) -> Result<(), AppendError> {
        let (pages, moved) = log_pages(&self.conn)?;
        self.log_pages = pages;
        if pages - moved < self.next_checkpoint_pages {
            return Ok(());
        }
        self.checkpoint()?;
        let (pages, moved) = log_pages(&self.conn)?;
        let waiting = pages - moved;
        self.next_checkpoint_pages =
            if waiting < LOG_LIMIT_PAGES { LOG_LIMIT_PAGES } else { waiting + LOG_RETRY_PAGES };
        Ok(())
    }

    /// Moves as much of the log as readers allow; where something must be wiped from it, also empties it. That a reader
    /// or a disk without room prevents it is no failure: what is in the log is durable.
    fn checkpoint(&mut self) -> Result<(), AppendError> {
        let mode = if self.wipe_due { CheckpointMode::TRUNCATE } else { CheckpointMode::PASSIVE };
        match self.conn.wal_checkpoint_v2(Some(MAIN), mode) {
            Ok(_) => self.wipe_due = false,
            Err(error) => {
                let busy = error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
                let told = error.to_string();
                match AppendError::from(error) {
                    AppendError::Storage(error) if !busy => return Err(error.into()),
                    _ => tracing::warn!(error = told, "the write-ahead log could not be moved into the database yet"),
                }
            }
        }
        Ok(())
    }
}

/// Reads a journal: read-only, each call a short transaction that sees only whole, durable runs. Works beside a running
/// writer, and in another process.
pub struct Reader {
    conn: Connection,
    keyring: Arc<Keyring>,
    /// The data keys met so far, unwrapped: one for each time the journal was opened.
    keys: HashMap<u64, LessSafeKey>,
}

impl Reader {
    /// Opens a journal for reading only.
    ///
    /// # Errors
    ///
    /// Refuses a folder without a journal, a journal that was lost, one of a newer format, and a master key that is not
    /// its own; fails if the database can't be opened.
    pub fn open(dir: &Path, master: &MasterKey) -> Result<Self, OpenError> {
        check_sqlite()?;
        must_not_be_lost(dir)?;
        let path = database(dir);
        if !path.exists() {
            return Err(OpenError::Missing { dir: dir.into() });
        }
        let conn = connect_reader(&path)?;
        let keyring = open_keyring(&conn, dir, master)?;
        Ok(Self::new(conn, Arc::new(keyring)))
    }

    fn new(conn: Connection, keyring: Arc<Keyring>) -> Self {
        Self { conn, keyring, keys: HashMap::new() }
    }

    /// Returns the durable head.
    ///
    /// # Errors
    ///
    /// Fails if the last frame is damaged, or the database can't be read.
    pub fn head(&self) -> Result<Head, ReadError> {
        read_head(&self.conn, &self.keyring)
    }

    /// Returns the durable head of a journal in `dir`.
    ///
    /// # Errors
    ///
    /// Refuses a journal that ends before its head mark, as [`Journal::open`] does, and fails as [`Reader::head`] does.
    pub fn whole_head(&self, dir: &Path) -> Result<Head, OpenError> {
        let head = self.head()?;
        check_mark(dir, &self.conn, &self.keyring, &self.keyring.secret(MARK_LABEL), &head)?;
        Ok(head)
    }

    /// The bank's secrets.
    #[must_use]
    pub fn secrets(&self) -> Secrets {
        Secrets(Arc::clone(&self.keyring))
    }

    /// Reads at most `max_frames` frames, starting with the one that holds `event`; none when the journal ends before
    /// it. Each is checked: its columns, hash and decryption, and that it follows the frame before it. When `event` is
    /// a frame's first, as it is for whoever reads on, that includes the frame before, which is not returned.
    ///
    /// # Errors
    ///
    /// Fails if a frame is damaged or does not follow the one before it, or the database can't be read.
    pub fn frames_from(&mut self, event: u64, max_frames: usize) -> Result<Vec<Frame>, ReadError> {
        let before: Option<i64> = self
            .conn
            .prepare_cached("SELECT max(first_event) FROM frames WHERE first_event < ?1")?
            .query_row([row_of(event)], |row| row.get(0))?;
        let mut previous = before.is_none().then(|| self.empty_head());
        let mut frames = Vec::new();
        let found = self.stored_frames(before.unwrap_or(0), i64::MAX, max_frames.saturating_add(1))?;
        if let Some(before) = before
            && found.first().map(|first| first.first_event.cast_signed()) != Some(before)
        {
            return Err(ReadError::Damaged(not_given(before, claimed(&found))));
        }
        for stored in found {
            let place = previous.map_or(claimed_seq(&stored.header), |head| head.seq.saturating_add(1));
            let (header, head) = self.check(&stored).map_err(|flaw| ReadError::Damaged(flaw.at(place)))?;
            if let Some(previous) = previous {
                let follows = Expected::after(&previous).check(&header);
                follows.map_err(|flaw| ReadError::Damaged(flaw.at(header.seq)))?;
            }
            previous = Some(head);
            if head.last_event >= event && frames.len() < max_frames {
                frames.push(self.decrypt(stored, &header)?.map_err(|flaw| ReadError::Damaged(flaw.at(place)))?);
            }
        }
        Ok(frames)
    }

    /// Reads the frame that holds an event, if the journal goes so far.
    ///
    /// # Errors
    ///
    /// Fails as [`Reader::frames_from`] does.
    pub fn frame_with(&mut self, event: u64) -> Result<Option<Frame>, ReadError> {
        Ok(self.frames_from(event, 1)?.pop().filter(|frame| frame.first_event <= event))
    }

    /// Reads a subject's key of a category (0: of all), unless it was never made or is destroyed.
    ///
    /// # Errors
    ///
    /// Fails if the key isn't wrapped by this master key, or the database can't be read.
    pub fn subject_key(&self, subject: u64, category: u8) -> Result<Option<SubjectKey>, ReadError> {
        let Some(wrapped) = stored_subject_key(&self.conn, subject, category)? else {
            return Ok(None);
        };
        let Some(key) = self.keyring.unwrap(Purpose::SubjectKey(category), subject, &wrapped) else {
            return Err(ReadError::Damaged(not_wrapped(subject, category)));
        };
        Ok(Some(SubjectKey { subject, category, key: *key }))
    }

    /// Checks at most `limit` of the subjects' keys of one table that are stored after the subject and category `after`:
    /// that they rise, and are wrapped by this master key. Gives the last one; none where there are no more.
    pub(crate) fn check_subject_keys(
        &self,
        table: KeyTable,
        after: Option<(i64, u8)>,
        limit: usize,
    ) -> Result<Option<(i64, u8)>, ReadError> {
        if table == KeyTable::Categories && !self.conn.table_exists(None::<&str>, CATEGORY_KEYS)? {
            return Ok(None);
        }
        let mut select = self.conn.prepare_cached(match table {
            KeyTable::Subjects => {
                "SELECT subject, 0, wrapped FROM subject_keys WHERE subject >= ?1 AND (?1, ?2) <> (subject, 0) \
                 ORDER BY subject LIMIT ?3"
            }
            KeyTable::Categories => {
                "SELECT subject, category, wrapped FROM category_keys WHERE (subject, category) > (?1, ?2) \
                 ORDER BY subject, category LIMIT ?3"
            }
        })?;
        // No category is below 0, so this is before all.
        let (subject, category) = after.map_or((i64::MIN, -1), |(subject, category)| (subject, i64::from(category)));
        let mut rows = select.query(params![subject, category, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut last = after;
        while let Some(row) = rows.next()? {
            let (subject, category, wrapped): (i64, u8, Vec<u8>) = (row.get(0)?, row.get(1)?, row.get(2)?);
            if last.is_some_and(|last| (subject, category) <= last) {
                let detail =
                    format!("the database gives {} out of order", key_named(subject.cast_unsigned(), category));
                return Err(ReadError::Damaged(ProblemKind::BadSubjectKey.at(0, detail)));
            }
            if self.keyring.unwrap(Purpose::SubjectKey(category), subject.cast_unsigned(), &wrapped).is_none() {
                return Err(ReadError::Damaged(not_wrapped(subject.cast_unsigned(), category)));
            }
            last = Some((subject, category));
        }
        Ok(last.filter(|_| last != after))
    }

    /// The frames stored under first events from `from` to `to`, as they are. Refuses rows that are beyond these, or don't
    /// rise, so that whoever reads on behind the last one comes to an end.
    pub(crate) fn stored_frames(&self, from: i64, to: i64, limit: usize) -> Result<Vec<StoredFrame>, ReadError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut select = self.conn.prepare_cached(
            "SELECT first_event, header, hash, body FROM frames WHERE first_event BETWEEN ?1 AND ?2 \
             ORDER BY first_event LIMIT ?3",
        )?;
        let mut frames: Vec<StoredFrame> = Vec::new();
        for row in select.query_map([from, to, limit], stored_frame)? {
            let frame = row?;
            let first_event = frame.first_event.cast_signed();
            let least = frames.last().map_or(from, |last| last.first_event.cast_signed().saturating_add(1));
            if !(least..=to).contains(&first_event) {
                return Err(ReadError::Damaged(out_of_order(&frame, least)));
            }
            frames.push(frame);
        }
        Ok(frames)
    }

    /// The first event of the last frame; 0 when there is none.
    pub(crate) fn last_row(&self) -> Result<i64, ReadError> {
        Ok(self.conn.query_row("SELECT coalesce(max(first_event), 0) FROM frames", [], |row| row.get(0))?)
    }

    pub(crate) fn empty_head(&self) -> Head {
        Head::empty(&self.keyring.journal_id)
    }

    pub(crate) fn head_mark(&self, dir: &Path) -> io::Result<Option<Head>> {
        HeadMark::read(&mark_path(dir), &self.keyring.secret(MARK_LABEL))
    }

    pub(crate) fn check(&self, stored: &StoredFrame) -> Result<(Header, Head), Flaw> {
        stored.check(&self.keyring.journal_id)
    }

    /// Decrypts a checked frame; the inner error says why it can't be.
    pub(crate) fn decrypt(&mut self, stored: StoredFrame, header: &Header) -> Result<Result<Frame, Flaw>, ReadError> {
        let id = header.key_id;
        if !self.keys.contains_key(&id) {
            let wrapped: Option<Vec<u8>> = self
                .conn
                .prepare_cached("SELECT wrapped FROM data_keys WHERE id = ?1")?
                .query_row([id.cast_signed()], |row| row.get(0))
                .optional()?;
            let key = wrapped.and_then(|wrapped| self.keyring.unwrap(Purpose::DataKey, id, &wrapped));
            let Some(key) = key else {
                let detail = format!("its data key {id:016x} is missing, or isn't wrapped by this master key");
                return Ok(Err(flaw(ProblemKind::UnknownKey, detail)));
            };
            self.keys.insert(id, aead(&key));
        }
        Ok(stored.open(header, &self.keys[&id]))
    }
}

fn database(dir: &Path) -> PathBuf {
    dir.join("journal.db")
}

/// The words on a row that came where rows from the event `least` on should come.
fn out_of_order(frame: &StoredFrame, least: i64) -> Problem {
    let detail = format!(
        "the database gives the frame that begins with event {} where frames from event {least} on should follow: pages \
         of it are of different times, or lost; restore it from a backup",
        frame.first_event.cast_signed()
    );
    ProblemKind::OutOfOrder.at(claimed_seq(&frame.header), detail)
}

/// The words on a row that the database names, and doesn't give when asked for it.
pub(crate) fn not_given(first_event: i64, frame: u64) -> Problem {
    let detail = format!(
        "the database has a frame that begins with event {first_event}, and doesn't give it in its place: pages of it are \
         of different times, or lost; restore it from a backup"
    );
    ProblemKind::OutOfOrder.at(frame, detail)
}

/// The number that the first of some frames claims.
fn claimed(frames: &[StoredFrame]) -> u64 {
    frames.first().map_or(0, |first| claimed_seq(&first.header))
}

/// A head mark without a journal tells of one that was there.
fn must_not_be_lost(dir: &Path) -> Result<(), OpenError> {
    let lost = mark_path(dir).exists() && fs::metadata(database(dir)).map_or(0, |journal| journal.len()) == 0;
    if lost { Err(OpenError::Lost { dir: dir.into() }) } else { Ok(()) }
}

fn mark_path(dir: &Path) -> PathBuf {
    dir.join("head")
}

fn no_access(path: PathBuf) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::NoAccess { path, source }
}

/// A table of subjects' keys: the one of subjects with one key for all, or the one by category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyTable {
    Subjects,
    Categories,
}

fn stored_subject_key(conn: &Connection, subject: u64, category: u8) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    if category == 0 {
        let mut statement = conn.prepare_cached("SELECT wrapped FROM subject_keys WHERE subject = ?1")?;
        return statement.query_row([subject.cast_signed()], |row| row.get(0)).optional();
    }
    match conn.prepare_cached("SELECT wrapped FROM category_keys WHERE subject = ?1 AND category = ?2") {
        Ok(mut statement) => statement.query_row(params![subject.cast_signed(), category], |row| row.get(0)).optional(),
        // A journal that no version with categories has written yet.
        Err(_) if !conn.table_exists(None::<&str>, CATEGORY_KEYS)? => Ok(None),
        Err(error) => Err(error),
    }
}

/// Stores a subject's key. A person may come twice, when somebody sends again what was not answered.
fn insert_subject_key(conn: &Connection, keyring: &Keyring, key: &WrappedSubjectKey) -> Result<(), rusqlite::Error> {
    let WrappedSubjectKey { subject, category, wrapped } = key;
    let unwrap = |wrapped: &[u8]| keyring.unwrap(Purpose::SubjectKey(*category), *subject, wrapped);
    if stored_subject_key(conn, *subject, *category)?.is_some_and(|stored| unwrap(&stored) == unwrap(wrapped)) {
        return Ok(());
    }
    if *category == 0 {
        let mut insert = conn.prepare_cached("INSERT INTO subject_keys (subject, wrapped) VALUES (?1, ?2)")?;
        insert.execute(params![subject.cast_signed(), wrapped])?;
        return Ok(());
    }
    let statement = "INSERT INTO category_keys (subject, category, wrapped) VALUES (?1, ?2, ?3)";
    conn.prepare_cached(statement)?.execute(params![subject.cast_signed(), category, wrapped])?;
    Ok(())
}

/// The words for a subject's key.
fn key_named(subject: u64, category: u8) -> String {
    match category {
        0 => format!("the key of subject {subject}"),
        _ => format!("the key of subject {subject} for category {category}"),
    }
}

fn not_wrapped(subject: u64, category: u8) -> Problem {
    let detail = format!("{} isn't wrapped by this master key", key_named(subject, category));
    ProblemKind::BadSubjectKey.at(0, detail)
}

/// Syncs the log's file, where there is one.
fn sync_log(dir: &Path) -> Result<(), OpenError> {
    let path = log_path(&database(dir));
    match File::open(&path).and_then(|log| log.sync_all()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(no_access(path)(error)),
        _ => Ok(()),
    }
}

/// SQLite gives its `-wal` and `-shm` the mode of the database.
fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = private_file().create(true).open(&path).map_err(no_access(path.clone()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { dir: dir.into() }),
        Err(TryLockError::Error(source)) => Err(OpenError::NoAccess { path, source }),
    }
}

fn check_sqlite() -> Result<(), OpenError> {
    if rusqlite::version_number() < MIN_SQLITE {
        return Err(OpenError::OldSqlite { found: rusqlite::version() });
    }
    Ok(())
}

/// Opens the database with nothing in its file able to run code, no memory mapping, which would turn a failing disk into
/// a crash, and no temporary files.
fn connect(path: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY_TIMEOUT)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false)?;
    // The few statements have one right plan whatever they are asked; planning them anew for each event number that is
    // looked for would cost more than looking.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA mmap_size = 0; PRAGMA temp_store = MEMORY;")?;
    Ok(conn)
}

/// Connects for reading. In a folder that may not be written SQLite can't make the index of its log; it needs none if
/// the log is empty and nobody changes the file.
fn connect_reader(path: &Path) -> Result<Connection, OpenError> {
    let connected = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).and_then(|conn| {
        conn.table_exists(None::<&str>, "meta")?;
        Ok(conn)
    });
    match connected {
        Err(OpenError::Storage(StorageError::Sqlite(error))) if may_not_write(&error) && log_bytes_of(path) == 0 => {
            let escaped = path.display().to_string().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let uri = PathBuf::from(format!("file:{escaped}?immutable=1"));
            connect(&uri, OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)
        }
        connected => connected,
    }
}

fn may_not_write(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen))
}

/// The file of the write-ahead log of a database.
fn log_path(database: &Path) -> PathBuf {
    let mut path = database.as_os_str().to_owned();
    path.push("-wal");
    PathBuf::from(path)
}

fn log_bytes_of(database: &Path) -> u64 {
    fs::metadata(log_path(database)).map_or(0, |log| log.len())
}

fn connect_writer(path: &Path) -> Result<Connection, OpenError> {
    let conn = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    if conn.is_readonly(MAIN)? {
        return Err(no_access(path.into())(io::ErrorKind::PermissionDenied.into()));
    }
    // Closing by itself would touch the log even after a failed sync, and a log that was just refused.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    conn.execute_batch(&format!("PRAGMA page_size = {PAGE_BYTES};"))?;
    let mode: String = conn.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
    if mode != "wal" {
        return Err(OpenError::NoWal { path: path.into() });
    }
    conn.execute_batch(&format!(
        "PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 0;
         PRAGMA journal_size_limit = {LOG_KEPT_BYTES};
         PRAGMA secure_delete = ON;",
    ))?;
    Ok(conn)
}

fn write_schema(path: &Path, identity: &Identity) -> Result<(), OpenError> {
    let mut conn = connect_writer(path)?;
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    transaction.execute_batch(SCHEMA)?;
    transaction.execute_batch(CREATE_CATEGORY_KEYS)?;
    transaction.execute(
        "INSERT INTO meta (id, format, journal, secret) VALUES (1, ?1, ?2, ?3)",
        params![FORMAT, identity.journal_id, identity.wrapped_secret],
    )?;
    Ok(transaction.commit()?)
}

fn open_keyring(conn: &Connection, dir: &Path, master: &MasterKey) -> Result<Keyring, OpenError> {
    if !conn.table_exists(None::<&str>, "meta")? {
        return Err(OpenError::Unfinished { dir: dir.into() });
    }
    let found: i64 = conn.query_row("SELECT format FROM meta", [], |row| row.get(0))?;
    if found > i64::from(FORMAT) {
        return Err(OpenError::NewerFormat { found, known: FORMAT });
    }
    let identity = conn.query_row("SELECT journal, secret FROM meta", [], |row| {
        Ok(Identity { journal_id: row.get(0)?, wrapped_secret: row.get(1)? })
    })?;
    Keyring::open(master, &identity).ok_or_else(|| OpenError::WrongMasterKey { dir: dir.into() })
}

/// Refuses a journal that doesn't hold the frame which the head mark says was durable.
fn check_mark(
    dir: &Path,
    conn: &Connection,
    keyring: &Keyring,
    mark_key: &[u8; 32],
    head: &Head,
) -> Result<(), OpenError> {
    let mark = HeadMark::read(&mark_path(dir), mark_key).map_err(no_access(mark_path(dir)))?;
    let Some(mark) = mark else {
        return match head.seq {
            0 => Ok(()),
            found => Err(OpenError::NoHeadMark { dir: dir.into(), found }),
        };
    };
    // In a torn database the frame may be found, and the end be before it.
    let there = || Ok::<_, OpenError>(mark.seq <= head.seq && find_head(conn, keyring, mark.last_event)? == Some(mark));
    if mark == Head::empty(&keyring.journal_id) || there()? {
        return Ok(());
    }
    Err(OpenError::LostTail { dir: dir.into(), marked: mark.seq, found: head.seq })
}

fn read_head(conn: &Connection, keyring: &Keyring) -> Result<Head, ReadError> {
    Ok(find_head(conn, keyring, u64::MAX)?.unwrap_or_else(|| Head::empty(&keyring.journal_id)))
}

/// The head that a journal has, or had, with the last frame that begins at or before an event. The body isn't read.
fn find_head(conn: &Connection, keyring: &Keyring, event: u64) -> Result<Option<Head>, ReadError> {
    let mut select = conn.prepare_cached(
        "SELECT first_event, header, hash FROM frames WHERE first_event <= ?1 ORDER BY first_event DESC LIMIT 1",
    )?;
    let found = select.query_row([row_of(event)], |row| {
        let (header, hash) = (row.get_ref(1)?.as_blob()?, row.get_ref(2)?.as_blob()?);
        let head = stored_head(row.get::<_, i64>(0)?.cast_unsigned(), header, hash, &keyring.journal_id);
        Ok(head.map_err(|flaw| ReadError::Damaged(flaw.at(claimed_seq(header)))))
    });
    found.optional()?.transpose()
}

/// Returns `true` if the journal holds a run already: then the run's last frame is there with the same hash, which
/// covers the rest.
fn holds_run(conn: &Connection, run: &SealedRun) -> Result<bool, AppendError> {
    let last = run.frames.last().expect("a run has at least one frame");
    let hash: Option<[u8; 32]> = conn
        .prepare_cached("SELECT hash FROM frames WHERE first_event = ?1")?
        .query_row([row_of(last.first_event)], |row| row.get(0))
        .optional()?;
    Ok(hash == Some(last.hash))
}

fn stored_frame(row: &Row<'_>) -> rusqlite::Result<StoredFrame> {
    Ok(StoredFrame {
        first_event: row.get::<_, i64>(0)?.cast_unsigned(),
        header: row.get(1)?,
        hash: row.get(2)?,
        body: row.get(3)?,
    })
}

/// The log's pages: all, and those already moved into the database file.
fn log_pages(conn: &Connection) -> rusqlite::Result<(i32, i32)> {
    conn.wal_checkpoint_v2(Some(MAIN), CheckpointMode::NOOP)
}

/// An event's number as SQLite's row number. No journal gets so far that it matters where the latter end.
fn row_of(event: u64) -> i64 {
    i64::try_from(event).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(journal: &mut Journal, first_event: u64) -> SealedRun {
        journal.seal(0, vec![PlainFrame { first_event, count: 1, body: vec![0; 100_000] }], Vec::new())
    }

    #[test]
    fn a_full_disk_refuses_the_run_which_is_appended_once_there_is_room() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(dir.path(), &MasterKey::generate()).expect("made");
        let pages: i64 = journal.conn.query_row("PRAGMA page_count", [], |row| row.get(0)).expect("told");
        let limit = |journal: &Journal, pages: i64| {
            journal.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).expect("set");
        };
        limit(&journal, pages + 2);
        let (first, second) = (run(&mut journal, 1), run(&mut journal, 2));
        let before = journal.head();
        for _ in 0..2 {
            assert!(matches!(journal.append(&first), Err(AppendError::Full)));
            assert_eq!(journal.reader().expect("opened").head().expect("read"), before);
        }
        limit(&journal, 1_000);
        journal.append(&first).expect("there is room");
        assert_eq!(journal.append(&second).expect("there is room"), second.head());
    }

    #[test]
    fn the_log_outgrows_its_limit_only_under_a_long_read() {
        let dir = tempfile::tempdir().expect("a folder");
        let mut journal = Journal::create(dir.path(), &MasterKey::generate()).expect("made");
        let mut event = 0;
        let mut append_20_mib = |journal: &mut Journal| {
            for _ in 0..200 {
                event += 1;
                let run = run(journal, event);
                journal.append(&run).expect("appended");
            }
        };
        append_20_mib(&mut journal);
        let limit = u64::from(PAGE_BYTES) * u64::from(LOG_LIMIT_PAGES.unsigned_abs());
        let reader = journal.reader().expect("opened");
        let long_read = reader.conn.unchecked_transaction().expect("begun");
        reader.head().expect("read");
        append_20_mib(&mut journal);
        append_20_mib(&mut journal);
        assert!(journal.log_bytes() > 2 * limit);
        long_read.commit().expect("ended");
        append_20_mib(&mut journal);
        assert!(journal.log_bytes() < limit + limit / 4);
    }
}
