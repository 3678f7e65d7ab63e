//! Frames: how they are laid out, sealed, opened, and how one must follow another. Knows nothing of storage.
//!
//! A header is 100 bytes, numbers big-endian:
//!
//! | bytes | what |
//! |---|---|
//! | 16 | journal id |
//! | 2 | format version |
//! | 2 | flags: bit 0 is the end mark |
//! | 8 | sequence number, from 1 |
//! | 8 | number of its first event, from 1 |
//! | 4 | count of events |
//! | 8 | time, milliseconds since 1970, signed |
//! | 8 | data key id |
//! | 8 | nonce: that key's own counter of frames |
//! | 32 | hash of the frame before; before the first, SHA-256 over the journal id |
//! | 4 | length of the body: ciphertext and 16-byte tag |
//!
//! The body is AES-256-GCM with the whole header as associated data. The frame's hash is SHA-256 over header and body.

use std::sync::Arc;

use aws_lc_rs::aead::{Aad, LessSafeKey};
use aws_lc_rs::digest::{Context, SHA256};
use zeroize::Zeroizing;

use crate::error::{Problem, ProblemKind};
use crate::keys::{Keyring, Purpose, SubjectKey, TAG_LEN, aead, counter_nonce, random};

/// The version that is written, and the highest that can be read.
pub(crate) const FORMAT: u16 = 1;

/// The bytes of a header.
pub(crate) const HEADER_LEN: usize = 100;

/// A frame's plain body is at most this long. Frames are meant to hold about 16 KiB, or one event that is larger; the
/// limit keeps a mistake from becoming a frame that no reader has the memory for.
pub const MAX_BODY_BYTES: usize = 16 * 1024 * 1024;

const END_MARK: u16 = 1;

/// End of a journal. Of an empty one: sequence 0, event 0, and SHA-256 over its id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The sequence number of the last frame.
    pub seq: u64,
    /// The number of the last event in it.
    pub last_event: u64,
    /// The last frame's hash.
    pub hash: [u8; 32],
}

impl Head {
    pub(crate) fn empty(journal_id: &[u8; 16]) -> Self {
        Self { seq: 0, last_event: 0, hash: sha256(&[journal_id]) }
    }
}

/// A frame as it was read, checked and decrypted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Frame {
    /// Its sequence number, from 1 without gaps.
    pub seq: u64,
    /// The number of its first event, from 1 without gaps.
    pub first_event: u64,
    /// Number of its events: at least one.
    pub count: u32,
    /// The time of its run, in milliseconds since 1970.
    pub time_ms: i64,
    /// `true` if its run ends with it.
    pub end_mark: bool,
    /// Its hash, by which the next frame names it.
    pub hash: [u8; 32],
    /// The encoded events, plain.
    pub body: Vec<u8>,
}

/// A frame to be sealed. It is encrypted in place: with 16 bytes of spare capacity in `body`, without any copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlainFrame {
    /// The number of its first event: one more than that of the last event before.
    pub first_event: u64,
    /// Number of its events: at least one.
    pub count: u32,
    /// The encoded events, at most [`MAX_BODY_BYTES`].
    pub body: Vec<u8>,
}

/// A run of frames, sealed: the unit that becomes durable as a whole. It is kept until it is known to be, re-sent byte
/// for byte, and never sealed again.
#[derive(Debug)]
pub struct SealedRun {
    pub(crate) follows: Head,
    pub(crate) head: Head,
    pub(crate) key: Arc<WrappedKey>,
    pub(crate) frames: Vec<SealedFrame>,
    pub(crate) subject_keys: Vec<WrappedSubjectKey>,
}

impl SealedRun {
    /// Returns the end of the journal once the run is appended.
    #[must_use]
    pub fn head(&self) -> Head {
        self.head
    }
}

/// A data key as it is stored.
#[derive(Debug)]
pub(crate) struct WrappedKey {
    pub(crate) id: u64,
    pub(crate) wrapped: Vec<u8>,
}

/// A subject's key as it is stored.
#[derive(Debug)]
pub(crate) struct WrappedSubjectKey {
    pub(crate) subject: u64,
    pub(crate) category: u8,
    pub(crate) wrapped: Vec<u8>,
}

#[derive(Debug)]
pub(crate) struct SealedFrame {
    pub(crate) first_event: u64,
    pub(crate) header: [u8; HEADER_LEN],
    pub(crate) hash: [u8; 32],
    pub(crate) body: Vec<u8>,
}

/// Seals runs, each after the one before, under a data key of its own that nothing else has ever used.
pub(crate) struct Sealer {
    key: LessSafeKey,
    stored: Arc<WrappedKey>,
    next_nonce: u64,
    tip: Head,
}

impl Sealer {
    /// Makes a fresh data key. Its id is random, so that two who believe themselves the writer never share one.
    pub(crate) fn new(keyring: &Keyring, tip: Head) -> Self {
        let id = u64::from_be_bytes(random());
        let key = Zeroizing::new(random());
        let wrapped = keyring.wrap(Purpose::DataKey, id, &key);
        Self { key: aead(&key), stored: Arc::new(WrappedKey { id, wrapped }), next_nonce: 0, tip }
    }

    pub(crate) fn seal(
        &mut self,
        keyring: &Keyring,
        time_ms: i64,
        frames: Vec<PlainFrame>,
        subject_keys: &[SubjectKey],
    ) -> SealedRun {
        assert!(!frames.is_empty(), "a run has at least one frame");
        let follows = self.tip;
        let last = frames.len() - 1;
        let sealed = frames.into_iter().enumerate();
        let frames = sealed.map(|(i, frame)| self.seal_frame(&keyring.journal_id, time_ms, i == last, frame)).collect();
        let wrap = |SubjectKey { subject, category, key }: &SubjectKey| {
            let wrapped = keyring.wrap(Purpose::SubjectKey(*category), *subject, key);
            WrappedSubjectKey { subject: *subject, category: *category, wrapped }
        };
        let subject_keys = subject_keys.iter().map(wrap).collect();
        SealedRun { follows, head: self.tip, key: Arc::clone(&self.stored), frames, subject_keys }
    }

    fn seal_frame(&mut self, id: &[u8; 16], time_ms: i64, end_mark: bool, plain: PlainFrame) -> SealedFrame {
        let PlainFrame { first_event, count, body } = plain;
        assert_eq!(first_event, self.tip.last_event + 1, "events are numbered without gaps");
        assert!(count > 0, "a frame holds at least one event");
        assert!(body.len() <= MAX_BODY_BYTES, "a frame's body is at most {MAX_BODY_BYTES} bytes");
        let header = Header {
            seq: self.tip.seq + 1,
            first_event,
            count,
            time_ms,
            end_mark,
            key_id: self.stored.id,
            nonce: self.next_nonce,
            follows: self.tip.hash,
            body_len: u32::try_from(body.len() + TAG_LEN).expect("the limit above is below 4 GiB"),
        };
        self.next_nonce = self.next_nonce.checked_add(1).expect("2^64 frames take longer than the key lives");
        let sealed = seal(&header, id, &self.key, body);
        self.tip = Head { seq: header.seq, last_event: header.last_event(), hash: sealed.hash };
        sealed
    }
}

/// Encrypts a body in place under the header's nonce, which the key has never had before.
fn seal(header: &Header, journal_id: &[u8; 16], key: &LessSafeKey, mut body: Vec<u8>) -> SealedFrame {
    let bytes = header.encode(journal_id);
    key.seal_in_place_append_tag(counter_nonce(header.nonce), Aad::from(&bytes), &mut body)
        .expect("AES-GCM seals up to 64 GiB");
    let hash = sha256(&[&bytes, &body]);
    SealedFrame { first_event: header.first_event, header: bytes, hash, body }
}

/// Fields of a header.
pub(crate) struct Header {
    pub(crate) seq: u64,
    pub(crate) first_event: u64,
    pub(crate) count: u32,
    pub(crate) time_ms: i64,
    pub(crate) end_mark: bool,
    pub(crate) key_id: u64,
    pub(crate) nonce: u64,
    pub(crate) follows: [u8; 32],
    pub(crate) body_len: u32,
}

impl Header {
    /// Saturates, so that a forged header can't overflow.
    pub(crate) fn last_event(&self) -> u64 {
        self.first_event.saturating_add(u64::from(self.count)).saturating_sub(1)
    }

    fn encode(&self, journal_id: &[u8; 16]) -> [u8; HEADER_LEN] {
        let mut bytes = [0; HEADER_LEN];
        let flags = if self.end_mark { END_MARK } else { 0 };
        let mut rest = bytes.as_mut_slice();
        for field in [
            journal_id.as_slice(),
            &FORMAT.to_be_bytes(),
            &flags.to_be_bytes(),
            &self.seq.to_be_bytes(),
            &self.first_event.to_be_bytes(),
            &self.count.to_be_bytes(),
            &self.time_ms.to_be_bytes(),
            &self.key_id.to_be_bytes(),
            &self.nonce.to_be_bytes(),
            &self.follows,
            &self.body_len.to_be_bytes(),
        ] {
            let (place, after) = rest.split_at_mut(field.len());
            place.copy_from_slice(field);
            rest = after;
        }
        debug_assert!(rest.is_empty(), "the fields fill the header");
        bytes
    }

    /// Refuses what this version doesn't write, and what another journal wrote.
    fn decode(bytes: &[u8], journal_id: &[u8; 16]) -> Result<Self, Flaw> {
        let bytes: &[u8; HEADER_LEN] = bytes
            .try_into()
            .map_err(|_| flaw(ProblemKind::MalformedHeader, format!("{} bytes long, not {HEADER_LEN}", bytes.len())))?;
        let mut fields = Fields(bytes);
        if fields.take::<16>() != *journal_id {
            return Err(flaw(ProblemKind::ForeignFrame, "it belongs to another journal"));
        }
        let format = u16::from_be_bytes(fields.take());
        let flags = u16::from_be_bytes(fields.take());
        let header = Self {
            seq: u64::from_be_bytes(fields.take()),
            first_event: u64::from_be_bytes(fields.take()),
            count: u32::from_be_bytes(fields.take()),
            time_ms: i64::from_be_bytes(fields.take()),
            end_mark: flags == END_MARK,
            key_id: u64::from_be_bytes(fields.take()),
            nonce: u64::from_be_bytes(fields.take()),
            follows: fields.take(),
            body_len: u32::from_be_bytes(fields.take()),
        };
        if format != FORMAT || flags & !END_MARK != 0 || header.seq == 0 || header.count == 0 {
            return Err(flaw(
                ProblemKind::MalformedHeader,
                "it has a version, flags or numbers that are never written",
            ));
        }
        Ok(header)
    }
}

/// The bytes of a header that are still to be read.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (field, rest) = self.0.split_first_chunk().expect("the header's length was checked");
        self.0 = rest;
        *field
    }
}

/// Fault of a frame, before it is known which frame that is.
pub(crate) struct Flaw(ProblemKind, String);

impl Flaw {
    pub(crate) fn at(self, frame: u64) -> Problem {
        self.0.at(frame, self.1)
    }
}

pub(crate) fn flaw(kind: ProblemKind, detail: impl Into<String>) -> Flaw {
    Flaw(kind, detail.into())
}

/// The end of a journal, from its last frame's stored columns. The body isn't looked at.
pub(crate) fn stored_head(first_event: u64, header: &[u8], hash: &[u8], journal_id: &[u8; 16]) -> Result<Head, Flaw> {
    let header = Header::decode(header, journal_id)?;
    let hash = hash.try_into().map_err(|_| flaw(ProblemKind::WrongHash, "it isn't 32 bytes long"))?;
    if header.first_event != first_event {
        return Err(flaw(ProblemKind::ColumnMismatch, "it is stored under another event's number"));
    }
    Ok(Head { seq: header.seq, last_event: header.last_event(), hash })
}

/// A frame as it was stored, not yet believed.
pub(crate) struct StoredFrame {
    pub(crate) first_event: u64,
    pub(crate) header: Vec<u8>,
    pub(crate) hash: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

impl StoredFrame {
    /// Checks all that needs no key: that the header is one of this journal's, the columns agree with it, and the hash
    /// is that of header and body.
    pub(crate) fn check(&self, journal_id: &[u8; 16]) -> Result<(Header, Head), Flaw> {
        let head = stored_head(self.first_event, &self.header, &self.hash, journal_id)?;
        let header = Header::decode(&self.header, journal_id)?;
        if usize::try_from(header.body_len) != Ok(self.body.len()) {
            return Err(flaw(ProblemKind::ColumnMismatch, "its body isn't as long as its header says"));
        }
        if sha256(&[&self.header, &self.body]) != head.hash {
            return Err(flaw(ProblemKind::WrongHash, "its contents don't give the hash stored beside them"));
        }
        Ok((header, head))
    }

    /// Decrypts in place.
    pub(crate) fn open(self, header: &Header, key: &LessSafeKey) -> Result<Frame, Flaw> {
        let mut body = self.body;
        let plain_len = key
            .open_in_place(counter_nonce(header.nonce), Aad::from(&self.header), &mut body)
            .map_err(|_| flaw(ProblemKind::Undecryptable, "it isn't what was sealed under its key"))?
            .len();
        body.truncate(plain_len);
        let Header { seq, first_event, count, time_ms, end_mark, .. } = *header;
        let hash = self.hash.try_into().map_err(|_| flaw(ProblemKind::WrongHash, "its hash isn't 32 bytes long"))?;
        Ok(Frame { seq, first_event, count, time_ms, end_mark, hash, body })
    }
}

/// A frame with all that its header says, between its layout and its bytes, without a database: for whoever holds the
/// layout to its promises byte by byte. A journal's own frames are sealed by [`crate::Journal::seal`] alone.
///
/// The bytes are those of its row, one column after the other: 8 of the first event's number (big-endian), 100 of the
/// header, 32 of the hash, and the body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LoneFrame {
    /// The frame.
    pub frame: Frame,
    /// The id of its data key.
    pub key_id: u64,
    /// Its data key's count of frames before it.
    pub nonce: u64,
    /// The hash of the frame before.
    pub follows: [u8; 32],
}

impl LoneFrame {
    /// Seals the frame; its hash is computed, and the one in `frame` isn't looked at. Two bodies under one key and nonce
    /// give each other away, so the key must be one that protects nothing.
    ///
    /// # Panics
    ///
    /// If the body is longer than [`MAX_BODY_BYTES`].
    #[must_use]
    pub fn seal(&self, journal_id: &[u8; 16], key: &[u8; 32]) -> Vec<u8> {
        let Self { frame, key_id, nonce, follows } = self;
        assert!(frame.body.len() <= MAX_BODY_BYTES, "a frame's body is at most {MAX_BODY_BYTES} bytes");
        let header = Header {
            seq: frame.seq,
            first_event: frame.first_event,
            count: frame.count,
            time_ms: frame.time_ms,
            end_mark: frame.end_mark,
            key_id: *key_id,
            nonce: *nonce,
            follows: *follows,
            body_len: u32::try_from(frame.body.len() + TAG_LEN).expect("the limit above is below 4 GiB"),
        };
        let sealed = seal(&header, journal_id, &aead(key), frame.body.clone());
        [sealed.first_event.to_be_bytes().as_slice(), &sealed.header, &sealed.hash, &sealed.body].concat()
    }

    /// Opens the bytes of a row as a journal does: checks header, column and hash, then decrypts.
    ///
    /// # Errors
    ///
    /// Gives the first problem of a row that is too short, of another journal, changed, or sealed under another key.
    pub fn open(row: &[u8], journal_id: &[u8; 16], key: &[u8; 32]) -> Result<Self, Problem> {
        let columns = row.split_first_chunk::<8>().and_then(|(first_event, rest)| {
            let (header, rest) = rest.split_at_checked(HEADER_LEN)?;
            let (hash, body) = rest.split_at_checked(32)?;
            Some((u64::from_be_bytes(*first_event), header.to_vec(), hash.to_vec(), body.to_vec()))
        });
        let Some((first_event, header, hash, body)) = columns else {
            return Err(ProblemKind::MalformedHeader.at(0, "it is shorter than a header and a hash"));
        };
        let claimed = claimed_seq(&header);
        let stored = StoredFrame { first_event, header, hash, body };
        let (header, _) = stored.check(journal_id).map_err(|flaw| flaw.at(claimed))?;
        let frame = stored.open(&header, &aead(key)).map_err(|flaw| flaw.at(claimed))?;
        Ok(Self { frame, key_id: header.key_id, nonce: header.nonce, follows: header.follows })
    }
}

/// The sequence number that a header claims, for naming a frame whose place isn't known.
pub(crate) fn claimed_seq(header: &[u8]) -> u64 {
    header.get(20..28).map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().expect("eight bytes")))
}

/// Expected place of the next frame in the chain, as far as it is known: after a damaged one, only its number.
pub(crate) struct Expected {
    pub(crate) seq: u64,
    event_and_hash: Option<(u64, [u8; 32])>,
}

impl Expected {
    pub(crate) fn after(head: &Head) -> Self {
        Self { seq: head.seq.saturating_add(1), event_and_hash: Some((head.last_event.saturating_add(1), head.hash)) }
    }

    pub(crate) fn after_damaged(seq: u64) -> Self {
        Self { seq: seq.saturating_add(1), event_and_hash: None }
    }

    /// Refuses a frame that doesn't follow, with the first reason that applies.
    pub(crate) fn check(&self, header: &Header) -> Result<(), Flaw> {
        if header.seq > self.seq {
            let missing = format!("frames {} to {} are missing before it", self.seq, header.seq - 1);
            return Err(flaw(ProblemKind::SequenceGap, missing));
        }
        if header.seq < self.seq {
            let repeat = format!("its number was there before, and {} should follow", self.seq);
            return Err(flaw(ProblemKind::SequenceRepeat, repeat));
        }
        let Some((event, hash)) = self.event_and_hash else {
            return Ok(());
        };
        if header.first_event != event {
            let numbers = format!("it begins with event {}, and {event} should follow", header.first_event);
            return Err(flaw(ProblemKind::EventNumbering, numbers));
        }
        if header.follows != hash {
            return Err(flaw(ProblemKind::BrokenChain, "it was sealed to follow another frame than the one before it"));
        }
        Ok(())
    }
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    context.finish().as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{Identity, MasterKey};

    fn keyring() -> Keyring {
        let master = MasterKey::generate();
        Keyring::open(&master, &Identity::generate(&master)).expect("its own key")
    }

    fn plain(first_event: u64) -> PlainFrame {
        PlainFrame { first_event, count: 2, body: b"events".to_vec() }
    }

    #[test]
    fn header_layout_is_fixed() {
        let header = Header {
            seq: 0x0102,
            first_event: 0x0304,
            count: 5,
            time_ms: -6,
            end_mark: true,
            key_id: 7,
            nonce: 8,
            follows: [9; 32],
            body_len: 10,
        };
        let bytes = header.encode(&[0xaa; 16]);
        let mut want = vec![0xaa; 16];
        want.extend([0, 1, 0, 1, 0, 0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 5]);
        want.extend([255, 255, 255, 255, 255, 255, 255, 250, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 8]);
        want.extend([9; 32]);
        want.extend([0, 0, 0, 10]);
        assert_eq!(bytes.as_slice(), want);
        assert_eq!(Header::decode(&bytes, &[0xaa; 16]).ok().map(|h| h.encode(&[0xaa; 16])), Some(bytes));
    }

    #[test]
    fn nonces_count_up_under_a_key_of_each_sealers_own() {
        let keyring = keyring();
        let start = Head::empty(&keyring.journal_id);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let mut sealer = Sealer::new(&keyring, start);
            for (nonce, event) in [(0, 1), (1, 3)] {
                let run = sealer.seal(&keyring, 0, vec![plain(event)], &[]);
                let header = Header::decode(&run.frames[0].header, &keyring.journal_id).ok().expect("its own header");
                assert_eq!(header.nonce, nonce);
                assert!(seen.insert((header.key_id, header.nonce)));
            }
        }
    }

    #[test]
    fn every_header_byte_is_authenticated() {
        let keyring = keyring();
        let mut sealer = Sealer::new(&keyring, Head::empty(&keyring.journal_id));
        let run = sealer.seal(&keyring, 7, vec![plain(1)], &[]);
        let SealedFrame { first_event, header, body, hash } = &run.frames[0];
        for i in 0..=HEADER_LEN {
            let mut stored = StoredFrame {
                first_event: *first_event,
                header: header.to_vec(),
                hash: hash.to_vec(),
                body: body.clone(),
            };
            let decoded = Header::decode(header, &keyring.journal_id).ok().expect("its own header");
            // The hash is left aside here: whoever forges a frame would make it fit.
            if let Some(byte) = stored.header.get_mut(i) {
                *byte ^= 0x80;
            }
            assert_eq!(stored.open(&decoded, &sealer.key).is_ok(), i == HEADER_LEN, "byte {i}");
        }
    }
}
