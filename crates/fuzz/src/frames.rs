//! Frames of the journal: the bytes of a row are a frame in one way only, and nothing but what was sealed is opened.

use aws_lc_rs::digest::{SHA256, digest};
use journal::{Frame, LoneFrame};

/// The journal whose frames the corpus holds.
pub const JOURNAL_ID: [u8; 16] = [0xF7; 16];

/// The data key under which they are sealed. It protects nothing.
pub const KEY: [u8; 32] = [0x5A; 32];

/// The bytes of a row before its body: the first event's number, the header and the hash.
const BEFORE_BODY: usize = 8 + 100 + 32;

/// A reader and writer of the bytes of rows.
pub struct Frames<'a> {
    /// Opens a row; nothing where it refuses it.
    pub open: &'a dyn Fn(&[u8]) -> Option<LoneFrame>,
    /// Seals one.
    pub seal: &'a dyn Fn(&LoneFrame) -> Vec<u8>,
}

/// Tries the journal's own frames.
///
/// # Panics
///
/// If a row that opens isn't sealed to its own bytes, or one that was changed opens.
pub fn frames(data: &[u8]) {
    let open = |row: &[u8]| LoneFrame::open(row, &JOURNAL_ID, &KEY).ok();
    frames_by(&Frames { open: &open, seal: &|frame| frame.seal(&JOURNAL_ID, &KEY) }, data);
}

/// Tries a reader and writer of frames.
///
/// # Panics
///
/// If a row that opens isn't sealed to its own bytes, or one that was changed opens.
pub fn frames_by(tried: &Frames<'_>, data: &[u8]) {
    // As they are, and with the hash that whoever forges them would give them.
    for row in [data.to_vec(), forged(data.to_vec())] {
        if let Some(opened) = (tried.open)(&row) {
            assert!((tried.seal)(&opened) == row, "what opens is sealed to the same bytes: {opened:?}");
        }
    }
    // As a frame's fields and body: what is sealed opens as it was, and not at all once it is changed.
    let Some(frame) = frame_of(data) else { return };
    let row = (tried.seal)(&frame);
    let opened = (tried.open)(&row).expect("what was sealed opens");
    assert_eq!(opened, LoneFrame { frame: Frame { hash: opened.frame.hash, ..frame.frame }, ..frame });
    let place = place_in(&row, data);
    let mut flipped = row.clone();
    flipped[place] ^= 1 << (data.len() % 8);
    assert!((tried.open)(&flipped).is_none(), "byte {place} was changed, and it opens");
    assert!((tried.open)(&row[..place]).is_none(), "it opens without what comes after byte {place}");
    assert!((tried.open)(&[row.as_slice(), &[0]].concat()).is_none(), "it opens with a byte more");
    // The hash protects nothing by itself, so it is made to fit.
    if let Some(opened) = (tried.open)(&forged(flipped)) {
        assert_eq!(opened.frame.body, frame_of(data).map(|frame| frame.frame.body).unwrap_or_default());
        assert!((8 + 100..BEFORE_BODY).contains(&place), "byte {place} was changed with the hash, and it opens");
    }
}

/// The row with the hash of its header and body in its place.
fn forged(mut row: Vec<u8>) -> Vec<u8> {
    if row.len() >= BEFORE_BODY {
        let hashed = [&row[8..8 + 100], &row[BEFORE_BODY..]].concat();
        row[8 + 100..BEFORE_BODY].copy_from_slice(digest(&SHA256, &hashed).as_ref());
    }
    row
}

/// A frame with these bytes in its fields and its body.
fn frame_of(data: &[u8]) -> Option<LoneFrame> {
    let (seq, rest) = data.split_first_chunk()?;
    let (first_event, rest) = rest.split_first_chunk()?;
    let (count, rest) = rest.split_first_chunk()?;
    let (time_ms, rest) = rest.split_first_chunk()?;
    let (nonce, body) = rest.split_first_chunk()?;
    let mut follows = [0; 32];
    follows.iter_mut().zip(body).for_each(|(byte, from)| *byte = *from);
    let frame = Frame {
        seq: u64::from_be_bytes(*seq).max(1),
        first_event: u64::from_be_bytes(*first_event),
        count: u32::from_be_bytes(*count).max(1),
        time_ms: i64::from_be_bytes(*time_ms),
        end_mark: data.len().is_multiple_of(2),
        hash: [0; 32],
        body: body.to_vec(),
    };
    let nonce = u64::from_be_bytes(*nonce);
    Some(LoneFrame { frame, key_id: !nonce, nonce, follows })
}

/// A place in a row that depends on all of the bytes.
fn place_in(row: &[u8], data: &[u8]) -> usize {
    data.iter().fold(data.len(), |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte))) % row.len()
}
