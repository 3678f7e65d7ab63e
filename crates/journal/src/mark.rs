//! The head mark: how far the journal once went, remembered outside the database.
//!
//! SQLite silently drops its write-ahead log from the first bad byte on, and a folder can be set back to an old copy. So
//! after every commit the new head is written to the file `head`, and opening compares. Two slots take turns, in
//! different blocks, so that a torn write leaves the other. A slot is sequence, last event (eight bytes each, big-endian),
//! hash, and HMAC-SHA-256 over these under a key derived from the bank secret.
//!
//! The mark is never ahead of what is durable, but may lag behind: it is synced every second, not at every commit.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::{Duration, Instant};

use aws_lc_rs::hmac;

use crate::frame::Head;
use crate::keys::sync_folder_of;

/// A loss of power may lose as much of the mark: a trip wire needs no more.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// The distance of the two slots: no file system tears two of its blocks in one write of 80 bytes.
const SLOT_DISTANCE: u64 = 4_096;

/// A slot's bytes that are authenticated, and all of them.
const BODY_LEN: usize = 48;
const SLOT_LEN: usize = BODY_LEN + 32;

/// Reading beside a writer may meet both slots half written: then it looks again, at most so often.
const READ_ATTEMPTS: usize = 5;

/// The file and its key.
pub(crate) struct HeadMark {
    file: File,
    key: hmac::Key,
    next_slot: u64,
    synced_at: Instant,
}

impl HeadMark {
    /// Makes the mark say `head`, in both slots, durably. A crash on the way leaves at least one that is valid.
    pub(crate) fn start(path: &Path, secret: &[u8; 32], head: &Head) -> io::Result<Self> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let mut mark = Self { file, key, next_slot: 0, synced_at: Instant::now() };
        for _ in 0..2 {
            mark.write_slot(head)?;
            mark.file.sync_all()?;
        }
        sync_folder_of(path)?;
        Ok(mark)
    }

    /// The mark in a file; nothing when it is missing, or neither slot is authentic.
    pub(crate) fn read(path: &Path, secret: &[u8; 32]) -> io::Result<Option<Head>> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        for _ in 0..READ_ATTEMPTS {
            let slots = [read_slot(&file, &key, 0)?, read_slot(&file, &key, 1)?];
            if let Some(head) = slots.into_iter().flatten().max_by_key(|head| head.seq) {
                return Ok(Some(head));
            }
        }
        Ok(None)
    }

    /// Notes a head that has become durable.
    pub(crate) fn write(&mut self, head: &Head) -> io::Result<()> {
        self.write_slot(head)?;
        if self.synced_at.elapsed() >= SYNC_EVERY {
            self.sync()?;
            self.synced_at = Instant::now();
        }
        Ok(())
    }

    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write_slot(&mut self, head: &Head) -> io::Result<()> {
        let mut slot = [0; SLOT_LEN];
        slot[..8].copy_from_slice(&head.seq.to_be_bytes());
        slot[8..16].copy_from_slice(&head.last_event.to_be_bytes());
        slot[16..BODY_LEN].copy_from_slice(&head.hash);
        let tag = hmac::sign(&self.key, &slot[..BODY_LEN]);
        slot[BODY_LEN..].copy_from_slice(tag.as_ref());
        self.file.write_all_at(&slot, self.next_slot * SLOT_DISTANCE)?;
        self.next_slot = 1 - self.next_slot;
        Ok(())
    }
}

fn read_slot(file: &File, key: &hmac::Key, slot: u64) -> io::Result<Option<Head>> {
    let mut bytes = [0; SLOT_LEN];
    match file.read_exact_at(&mut bytes, slot * SLOT_DISTANCE) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let (body, tag) = bytes.split_at(BODY_LEN);
    if hmac::verify(key, body, tag).is_err() {
        return Ok(None);
    }
    let number = |at: usize| u64::from_be_bytes(body[at..at + 8].try_into().expect("eight bytes"));
    let hash = body[16..].try_into().expect("32 bytes");
    Ok(Some(Head { seq: number(0), last_event: number(8), hash }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(seq: u64) -> Head {
        Head { seq, last_event: seq * 10, hash: [7; 32] }
    }

    #[test]
    fn one_torn_slot_leaves_the_other() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("head");
        let secret = [3; 32];
        let mut mark = HeadMark::start(&path, &secret, &head(1)).expect("made");
        mark.write(&head(2)).expect("written");
        mark.write(&head(3)).expect("written");
        assert_eq!(HeadMark::read(&path, &secret).expect("read"), Some(head(3)));
        mark.file.write_all_at(&[0xff], SLOT_DISTANCE).expect("torn");
        assert_eq!(HeadMark::read(&path, &secret).expect("read"), Some(head(2)));
        mark.file.write_all_at(&[0xff], 0).expect("torn");
        assert_eq!(HeadMark::read(&path, &secret).expect("read"), None);
        assert_eq!(HeadMark::read(&path, &[4; 32]).expect("read"), None);
    }
}
