//! The checkpoint: the state at one event, so that a start need not read the whole journal.
//!
//! It is a snapshot (cut) of copy-on-write pages: the writer goes on, and whoever first changes a page after it copies
//! that page. Another thread encodes the pages, and writes those that were changed since the last checkpoint in one
//! transaction, with the event, its frame's hash and the digest of the whole. It may be deleted at any time; a damaged
//! one is not used, and written anew.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aws_lc_rs::digest;
use bank::{Cut, RecordPage, State};
use journal::{Head, PlaceKey, Reader, Secrets};
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension, TransactionBehavior, params};

/// The file's name in the data folder.
const FILE: &str = "checkpoint.db";

/// The row of what a checkpoint says of itself. Pages have ids from 0.
const SELF: i64 = -1;

/// Time that a writer waits for a reader, and the other way round.
const PATIENCE: Duration = Duration::from_secs(30);

/// A checkpoint that was read.
pub(crate) struct Checkpoint {
    pub(crate) head: Head,
    pub(crate) digest: [u8; 32],
    pub(crate) state: State,
}

/// Reason a checkpoint can't be written or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error("the checkpoint is damaged: {0}")]
    Damaged(String),
}

fn path(folder: &Path) -> PathBuf {
    folder.join(FILE)
}

/// Takes the checkpoint out of the way, under a name of its own that is returned.
pub(crate) fn leave_aside(folder: &Path) -> io::Result<PathBuf> {
    let aside = folder.join("checkpoint.lost");
    std::fs::rename(path(folder), &aside)?;
    File::open(folder)?.sync_all()?;
    Ok(aside)
}

/// Writes checkpoints.
pub(crate) struct Checkpoints {
    folder: PathBuf,
    secrets: Secrets,
    /// The epoch and the last event of the cut that the file is known to hold.
    written: Option<(u32, u64)>,
}

impl Checkpoints {
    /// For the bank in `folder`, whose file holds the cut of this epoch and last event.
    pub(crate) fn new(folder: &Path, secrets: Secrets, written: Option<(u32, u64)>) -> Self {
        Self { folder: folder.to_owned(), secrets, written }
    }

    /// Writes a cut, whose last event ends the frame of `head`.
    pub(crate) fn write(&mut self, cut: &Cut, head: Head) -> Result<(), Error> {
        // If this fails, or if a cut is left out, the next one writes everything.
        let before = self.written.take().filter(|(epoch, _)| cut.epoch() == *epoch + 1);
        match self.put(cut, head, before) {
            // A file that can't be read as a database is in the way of the next one.
            Err(Error::Sqlite(error))
                if matches!(
                    error.sqlite_error_code(),
                    Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt | ErrorCode::Unknown)
                ) =>
            {
                remove(&self.folder)?;
                self.put(cut, head, None)?;
            }
            put => put?,
        }
        self.written = Some((cut.epoch(), head.last_event));
        Ok(())
    }

    /// Writes the pages that were changed since the cut before, if the file holds that; else all.
    fn put(&self, cut: &Cut, head: Head, before: Option<(u32, u64)>) -> Result<(), Error> {
        let path = path(&self.folder);
        OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?;
        let mut file = Connection::open(&path)?;
        file.busy_timeout(PATIENCE)?;
        file.execute_batch("PRAGMA page_size = 8192; PRAGMA synchronous = NORMAL;")?;
        let transaction = file.transaction_with_behavior(TransactionBehavior::Immediate)?;
        // Somebody may have deleted the file, or put another in its place: then there is no such row, or no such table.
        let held = transaction.query_row("SELECT cut FROM pages WHERE id = ?1", [SELF], |row| row.get::<_, i64>(0));
        let held = held.ok().map(i64::cast_unsigned);
        let written = before.filter(|(_, event)| held == Some(*event)).map(|(epoch, _)| epoch);
        if written.is_none() {
            transaction.execute_batch(
                "DROP TABLE IF EXISTS pages;
                 DROP TABLE IF EXISTS cuts;
                 CREATE TABLE pages (id INTEGER PRIMARY KEY, cut INTEGER NOT NULL, body BLOB NOT NULL);
                 CREATE TABLE cuts (event INTEGER PRIMARY KEY, hash BLOB NOT NULL);",
            )?;
        }
        let event = head.last_event.cast_signed();
        let key = place_key(&self.secrets, head.last_event, &head.hash);
        let mut context = digest::Context::new(&digest::SHA256);
        {
            let mut put = transaction.prepare("INSERT OR REPLACE INTO pages (id, cut, body) VALUES (?1, ?2, ?3)")?;
            let mut take_out = transaction.prepare("DELETE FROM pages WHERE id = ?1")?;
            cut.write_pages(|page| {
                context.update(page.records);
                let id = id_of(page);
                if written.is_some_and(|written| page.changed <= written) {
                    Ok(())
                } else if page.records.is_empty() {
                    take_out.execute([id]).map(drop)
                } else {
                    put.execute(params![id, event, key.seal(id.cast_unsigned(), page.records)]).map(drop)
                }
            })?;
            let mut about = head.seq.to_be_bytes().to_vec();
            about.extend_from_slice(context.finish().as_ref());
            put.execute(params![SELF, event, key.seal(SELF.cast_unsigned(), &about)])?;
        }
        transaction.execute("INSERT OR REPLACE INTO cuts (event, hash) VALUES (?1, ?2)", params![event, head.hash])?;
        transaction.execute("DELETE FROM cuts WHERE event NOT IN (SELECT cut FROM pages)", [])?;
        transaction.commit()?;
        file.close().map_err(|(_, error)| error)?;
        Ok(())
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    for ending in ["", "-journal"] {
        match std::fs::remove_file(folder.join(format!("{FILE}{ending}"))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// The id of a page's row: in canonical order.
fn id_of(page: RecordPage<'_>) -> i64 {
    i64::from(page.kind) << 56 | page.number.cast_signed()
}

/// The key under which the pages of one cut are sealed. What a page holds follows from the journal up to its frame, so
/// under this key no place ever has two contents.
fn place_key(secrets: &Secrets, event: u64, hash: &[u8]) -> PlaceKey {
    let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    secrets.place_key(&format!("checkpoint 3 at event {event} {hash}"))
}

/// Reads the checkpoint of a folder; none where there is none.
pub(crate) fn read(folder: &Path, reader: &Reader) -> Result<Option<Checkpoint>, Error> {
    let path = path(folder);
    if !path.exists() {
        return Ok(None);
    }
    // Whoever was killed while writing has left its transaction to be taken back, for which one must be able to write.
    let flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let file = Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_READ_WRITE)
        .or_else(|_| Connection::open_with_flags(&path, flags | OpenFlags::SQLITE_OPEN_READ_ONLY))?;
    file.busy_timeout(PATIENCE)?;
    // One transaction, so that a checkpoint written meanwhile is not seen half.
    let file = file.unchecked_transaction()?;
    let mut keys = Keys { secrets: reader.secrets(), file: &file, last: None };

    let tables = "SELECT count(*) FROM sqlite_schema WHERE name IN ('pages', 'cuts')";
    if file.query_row(tables, [], |row| row.get::<_, i64>(0))? == 0 {
        // The first one is just being written.
        return Ok(None);
    }
    let about = file.query_row("SELECT cut, body FROM pages WHERE id = ?1", [SELF], |row| {
        Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?))
    });
    let (event, about) = about.optional()?.ok_or_else(|| damaged("it says nothing of itself"))?;
    let (hash, about) = keys.open(event, SELF, &about)?;
    let (seq, digest) = about.split_first_chunk().ok_or_else(|| damaged("it is too short"))?;
    let head = Head { seq: u64::from_be_bytes(*seq), last_event: event.cast_unsigned(), hash };
    let digest: [u8; 32] = digest[..32.min(digest.len())].try_into().map_err(|_| damaged("it is too short"))?;

    // The whole is known to be what was written before any of it is put together: what is not would break the laws.
    let mut context = digest::Context::new(&digest::SHA256);
    for_each_page(&file, &mut keys, |records| {
        context.update(records);
        Ok(())
    })?;
    if context.finish().as_ref() != digest {
        return Err(damaged("its digest is not that of its pages"));
    }
    let mut state = State::default();
    for_each_page(&file, &mut keys, |records| {
        state.restore_bytes(records).map_err(|error| damaged(&error.to_string()))
    })?;
    if state.last_event() != head.last_event {
        return Err(damaged("it is of another event than it says"));
    }
    Ok(Some(Checkpoint { head, digest, state }))
}

/// Gives the records of all pages in order to `take`. Stops where the database gives them out of order, or twice.
fn for_each_page(
    file: &Connection,
    keys: &mut Keys<'_>,
    mut take: impl FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut pages = file.prepare("SELECT id, cut, body FROM pages WHERE id >= 0 ORDER BY id")?;
    let mut pages = pages.query([])?;
    let mut before = SELF;
    while let Some(page) = pages.next()? {
        let (id, cut, body): (i64, i64, Vec<u8>) = (page.get(0)?, page.get(1)?, page.get(2)?);
        if id <= before {
            return Err(damaged(&format!("page {id:x} comes after page {before:x}")));
        }
        before = id;
        take(&keys.open(cut, id, &body)?.1)?;
    }
    Ok(())
}

/// The keys of the cuts that pages are of. Pages that follow each other are often of one.
struct Keys<'a> {
    secrets: Secrets,
    file: &'a Connection,
    last: Option<(i64, [u8; 32], PlaceKey)>,
}

impl Keys<'_> {
    /// Opens a page, and gives the hash of its cut with it.
    fn open(&mut self, cut: i64, id: i64, body: &[u8]) -> Result<([u8; 32], Vec<u8>), Error> {
        let last = self.last.take().filter(|(last, ..)| *last == cut);
        let (_, hash, key) = match last {
            Some(last) => self.last.insert(last),
            None => {
                let hash = self.file.query_row("SELECT hash FROM cuts WHERE event = ?1", [cut], |row| row.get(0));
                let hash: [u8; 32] = hash.optional()?.ok_or_else(|| damaged("a page is of an unknown cut"))?;
                self.last.insert((cut, hash, place_key(&self.secrets, cut.cast_unsigned(), &hash)))
            }
        };
        let opened = key.open(id.cast_unsigned(), body);
        Ok((*hash, opened.ok_or_else(|| damaged("a page was changed"))?))
    }
}

fn damaged(what: &str) -> Error {
    Error::Damaged(what.to_owned())
}

#[cfg(test)]
mod tests {
    use bank::{
        AccessEvent, AccountEvent, Event, HoldEvent, NameIndex, Role, Sealed, State, SubjectId, TokenHash, UserId, What,
    };
    use journal::{Head, Journal, MasterKey, Reader};
    use ledger::{AccountId, Currency, Kind, Leg, Money, Overdraft, Status, Timestamp};
    use rusqlite::Connection;

    use super::{Checkpoints, FILE, read};
    use crate::handle::digest_of;

    fn euro() -> Currency {
        Currency::from_code("EUR").expect("the euro")
    }

    const ACCOUNTS: u32 = 1_000;
    const SESSIONS: u8 = 200;

    struct Bench {
        folder: tempfile::TempDir,
        journal: Journal,
        state: State,
    }

    impl Bench {
        /// A bank with some accounts, and a user with many sessions.
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let journal = Journal::create(&folder.path().join("data"), &MasterKey::generate()).expect("a journal");
            let mut bench = Self { folder, journal, state: State::default() };
            let sealed = || Sealed { subject: SubjectId::BANK, bytes: (*b"sealed").into(), category: None };
            bench.apply(What::Access(AccessEvent::UserAdded {
                id: UserId(1),
                name_index: NameIndex([1; 16]),
                name: sealed(),
                password: sealed(),
                role: Role::Operator,
                customer: None,
            }));
            for number in 0..ACCOUNTS {
                bench.apply(What::Accounts(AccountEvent::AccountOpened {
                    id: AccountId(number),
                    number: u64::from(number) + 1,
                    currency: euro(),
                    kind: Kind::Liability,
                    overdraft: Overdraft::Limited(0),
                    opened_at: Timestamp(0),
                    name: Some(sealed()),
                    owner: None,
                    cash: false,
                }));
            }
            (0..SESSIONS).for_each(|number| bench.open_session(number));
            bench
        }

        fn apply(&mut self, what: What) {
            let event = Event { by: UserId::SYSTEM, what, request: None, origin: None };
            self.state.apply(self.state.last_event() + 1, Timestamp(0), &event);
        }

        /// Each has a page of its own.
        fn token(number: u8) -> TokenHash {
            TokenHash([number; 16])
        }

        fn open_session(&mut self, number: u8) {
            let token = Self::token(number);
            self.apply(What::Access(AccessEvent::SessionOpened {
                user: UserId(1),
                token,
                expires_at: Timestamp(1),
                from: None,
            }));
        }

        fn checkpoints(&self) -> Checkpoints {
            Checkpoints::new(self.folder.path(), self.journal.secrets(), None)
        }

        fn write(&mut self, checkpoints: &mut Checkpoints) {
            let cut = self.state.cut();
            let head = Head { seq: 7, last_event: cut.last_event(), hash: [9; 32] };
            checkpoints.write(&cut, head).expect("written");
        }

        fn reader(&self) -> Reader {
            self.journal.reader().expect("a reader")
        }

        /// The checkpoint holds the state as it is, of which so many pages were written with it.
        fn check(&self, pages_written: Option<i64>) {
            let found = read(self.folder.path(), &self.reader()).expect("readable").expect("there");
            assert_eq!((found.head.seq, found.head.last_event), (7, self.state.last_event()));
            assert_eq!((digest_of(&found.state), found.digest), (digest_of(&self.state), digest_of(&self.state)));
            let count = "SELECT count(*) FROM pages WHERE cut = ?1 AND id >= 0";
            let event = self.state.last_event().cast_signed();
            let count = self.file().query_row(count, [event], |row| row.get(0)).expect("a count");
            assert_eq!(Some(count), pages_written.or(Some(count)));
        }

        fn file(&self) -> Connection {
            Connection::open(self.folder.path().join(FILE)).expect("the file")
        }
    }

    #[test]
    fn only_what_changed_is_written_again() {
        let mut bench = Bench::new();
        let mut checkpoints = bench.checkpoints();
        bench.write(&mut checkpoints);
        // Head, 16 pages of accounts, users, and a page for each session.
        bench.check(Some(1 + 16 + 1 + i64::from(SESSIONS)));

        bench.apply(What::Accounts(AccountEvent::StatusSet { account: AccountId(3), status: Status::Frozen }));
        bench.apply(What::Accounts(AccountEvent::StatusSet { account: AccountId(500), status: Status::Frozen }));
        bench.apply(What::Access(AccessEvent::SessionClosed { token: Bench::token(17) }));
        bench.write(&mut checkpoints);
        // Head, two pages of accounts and the last, which isn't full, and the user.
        bench.check(Some(1 + 2 + 1 + 1));
        bench.open_session(17);
        bench.write(&mut checkpoints);
        bench.check(Some(1 + 1 + 1 + 1));

        // One who doesn't know what the file holds writes it anew.
        bench.write(&mut bench.checkpoints());
        bench.check(Some(1 + 16 + 1 + i64::from(SESSIONS)));
    }

    #[test]
    fn after_a_cut_that_was_left_out_everything_is_written() {
        let mut bench = Bench::new();
        let mut checkpoints = bench.checkpoints();
        bench.write(&mut checkpoints);
        bench.apply(What::Access(AccessEvent::SessionClosed { token: Bench::token(1) }));
        drop(bench.state.cut());
        bench.write(&mut checkpoints);
        bench.check(Some(1 + 16 + 1 + i64::from(SESSIONS) - 1));
    }

    #[test]
    fn it_may_be_deleted_or_spoilt_at_any_time() {
        let mut bench = Bench::new();
        let mut checkpoints = bench.checkpoints();
        bench.write(&mut checkpoints);
        let path = bench.folder.path().join(FILE);
        let older = std::fs::read(&path).expect("the file");
        let spoil: [&dyn Fn(); 4] = [
            &|| std::fs::remove_file(&path).expect("deleted"),
            &|| {
                std::fs::write(&path, "something else, and long enough to be taken for a database's first page")
                    .expect("spoilt")
            },
            &|| std::fs::write(&path, "").expect("emptied"),
            &|| std::fs::write(&path, &older).expect("an older one put back"),
        ];
        for spoil in spoil {
            bench.apply(What::Accounts(AccountEvent::StatusSet { account: AccountId(3), status: Status::Frozen }));
            bench.write(&mut checkpoints);
            spoil();
            bench.apply(What::Accounts(AccountEvent::StatusSet { account: AccountId(3), status: Status::Open }));
            bench.write(&mut checkpoints);
            bench.check(Some(1 + 16 + 1 + i64::from(SESSIONS)));
        }
    }

    #[test]
    fn a_page_that_is_missing_beside_holds_is_found() {
        let mut bench = Bench::new();
        let leg = Leg { debit: AccountId(70), credit: AccountId(1), amount: Money { minor: 5, currency: euro() } };
        bench.apply(What::Accounts(AccountEvent::OverdraftSet {
            account: AccountId(70),
            overdraft: Overdraft::Limited(5),
        }));
        let hold = bench.state.ledger().place_hold(leg, Timestamp(0), Timestamp(1)).expect("a hold");
        bench.apply(What::Holds(HoldEvent::HoldPlaced { hold, text: None, metadata: None, copies: None }));
        bench.write(&mut bench.checkpoints());
        bench.check(None);
        bench.file().execute_batch("DELETE FROM pages WHERE id = 3 << 56").expect("a page is lost");
        assert!(read(bench.folder.path(), &bench.reader()).is_err());
    }

    #[test]
    fn a_file_of_another_form_is_written_anew() {
        let mut bench = Bench::new();
        let mut checkpoints = bench.checkpoints();
        bench.write(&mut checkpoints);
        bench.file().execute_batch("DROP TABLE cuts; CREATE TABLE cuts (other)").expect("spoilt");
        bench.apply(What::Accounts(AccountEvent::StatusSet { account: AccountId(3), status: Status::Frozen }));
        bench.write(&mut checkpoints);
        bench.check(Some(1 + 16 + 1 + i64::from(SESSIONS)));
    }

    #[test]
    fn what_was_changed_or_exchanged_is_refused() {
        let damages = [
            "UPDATE pages SET body = zeroblob(length(body)) WHERE id = 0",
            "UPDATE pages SET body = (SELECT body FROM pages WHERE id = 3 << 56) WHERE id = (3 << 56) + 1",
            "DELETE FROM pages WHERE id = 3 << 56",
            "DELETE FROM pages WHERE id = -1",
            "UPDATE pages SET body = x'00' WHERE id = -1",
            "UPDATE pages SET cut = cut + 1 WHERE id = 0",
            "UPDATE cuts SET hash = zeroblob(32)",
            "UPDATE cuts SET hash = x'00'",
            "DELETE FROM cuts",
            "DROP TABLE pages",
            "DELETE FROM pages",
        ];
        for damage in damages {
            let mut bench = Bench::new();
            bench.write(&mut bench.checkpoints());
            bench.file().execute_batch(damage).expect(damage);
            let told = read(bench.folder.path(), &bench.reader()).err().expect(damage).to_string();
            assert!(!told.is_empty(), "{damage}");
        }
        // A page as it was at an earlier checkpoint, put back.
        let mut bench = Bench::new();
        let mut checkpoints = bench.checkpoints();
        bench.write(&mut checkpoints);
        bench
            .file()
            .execute_batch("CREATE TABLE old AS SELECT * FROM pages; CREATE TABLE cut AS SELECT * FROM cuts")
            .expect("kept");
        bench.apply(What::Accounts(AccountEvent::StatusSet { account: AccountId(3), status: Status::Frozen }));
        bench.write(&mut checkpoints);
        bench.check(None);
        let back = "INSERT OR REPLACE INTO pages SELECT * FROM old WHERE id = 3 << 56; \
                    INSERT OR REPLACE INTO cuts SELECT * FROM cut";
        bench.file().execute_batch(back).expect("put back");
        assert!(read(bench.folder.path(), &bench.reader()).is_err());
    }
}
