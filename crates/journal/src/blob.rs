//! Streams sealed under the master key, for files beside the journal: checkpoints.
//!
//! A blob is a version byte, a fresh key wrapped by the master key, then chunks. A chunk is a byte that tells whether it
//! is the last, and AES-256-GCM of 64 KiB (the last: of the rest, perhaps nothing) under that key, with the chunk's number
//! as nonce and the byte before it as associated data. So a blob that was changed, reordered, cut or lengthened is
//! refused, and `context`, bound into the wrapping, keeps one from being taken for another.

use std::io::{self, Read, Write};

use aws_lc_rs::aead::{Aad, LessSafeKey};
use zeroize::Zeroizing;

use crate::keys::{MasterKey, TAG_LEN, WRAPPED_LEN, aead, counter_nonce, open_under, random, seal_under};

const VERSION: u8 = 1;

/// The plain bytes of a chunk: large enough that tags and calls cost nothing, small enough for any cache.
const CHUNK_LEN: usize = 64 * 1024;

const MORE: u8 = 0;
const LAST: u8 = 1;

/// Encrypts what is written to it. Without [`BlobWriter::finish`] the blob is refused as cut short when read.
pub struct BlobWriter<W: Write> {
    inner: W,
    key: LessSafeKey,
    chunk: Vec<u8>,
    number: u64,
}

impl<W: Write> BlobWriter<W> {
    /// Starts a blob. `context` says which one it is and must be given again to read it.
    pub fn new(mut inner: W, master: &MasterKey, context: &[u8]) -> io::Result<Self> {
        let key = Zeroizing::new(random());
        inner.write_all(&[VERSION])?;
        inner.write_all(&seal_under(&master.aead(), &blob_context(context), key.as_slice()))?;
        Ok(Self { inner, key: aead(&key), chunk: Vec::with_capacity(CHUNK_LEN + TAG_LEN), number: 0 })
    }

    /// Ends the blob and gives back what it was written to, not yet synced.
    pub fn finish(mut self) -> io::Result<W> {
        self.write_chunk(LAST)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn write_chunk(&mut self, flag: u8) -> io::Result<()> {
        self.key
            .seal_in_place_append_tag(counter_nonce(self.number), Aad::from([flag]), &mut self.chunk)
            .expect("AES-GCM seals up to 64 GiB");
        self.number += 1;
        self.inner.write_all(&[flag])?;
        self.inner.write_all(&self.chunk)?;
        self.chunk.clear();
        Ok(())
    }
}

impl<W: Write> Write for BlobWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.chunk.len() == CHUNK_LEN {
            self.write_chunk(MORE)?;
        }
        let taken = bytes.len().min(CHUNK_LEN - self.chunk.len());
        self.chunk.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Passes on whole chunks only: what remains is written by `finish`.
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Decrypts a blob. Gives only bytes that are authentic; reports `InvalidData` for any that aren't, and
/// `UnexpectedEof` for a blob that was cut short. Only one that was read to its end is known to be whole.
pub struct BlobReader<R: Read> {
    inner: R,
    key: LessSafeKey,
    chunk: Vec<u8>,
    /// How much of the chunk was given out.
    given: usize,
    number: u64,
    ended: bool,
}

impl<R: Read> BlobReader<R> {
    /// Opens a blob; `InvalidData` if master key or context is another than it was made with.
    pub fn new(mut inner: R, master: &MasterKey, context: &[u8]) -> io::Result<Self> {
        let mut start = [0; 1 + WRAPPED_LEN];
        inner.read_exact(&mut start)?;
        if start[0] != VERSION {
            return Err(invalid("the file isn't one that this Kassa writes"));
        }
        let key = open_under(&master.aead(), &blob_context(context), &start[1..]).map(Zeroizing::new);
        let key = key.and_then(|key| key.as_slice().try_into().ok().map(Zeroizing::new));
        let key = key.ok_or_else(|| invalid("the file was made with another master key, or for another purpose"))?;
        Ok(Self { inner, key: aead(&key), chunk: Vec::new(), given: 0, number: 0, ended: false })
    }

    /// Leaves the chunk empty after an error, so that nothing unauthentic is given out even if the caller reads on.
    fn read_chunk(&mut self) -> io::Result<()> {
        self.given = 0;
        let mut sealed = std::mem::take(&mut self.chunk);
        sealed.clear();
        let mut flag = [0];
        self.inner.read_exact(&mut flag)?;
        let last = flag[0] == LAST;
        // One byte more than a last chunk may have, to notice what was added behind it.
        let limit = CHUNK_LEN + TAG_LEN + usize::from(last);
        self.inner.by_ref().take(limit as u64).read_to_end(&mut sealed)?;
        if !last && sealed.len() < limit {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let opened = self.key.open_in_place(counter_nonce(self.number), Aad::from(flag), &mut sealed);
        let plain_len = opened.map_err(|_| invalid("the file was damaged or changed"))?.len();
        if plain_len > CHUNK_LEN {
            return Err(invalid("the file was lengthened"));
        }
        sealed.truncate(plain_len);
        (self.chunk, self.ended) = (sealed, last);
        self.number += 1;
        Ok(())
    }
}

impl<R: Read> Read for BlobReader<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.given == self.chunk.len() && !self.ended && !out.is_empty() {
            self.read_chunk()?;
        }
        let rest = &self.chunk[self.given..];
        let count = rest.len().min(out.len());
        out[..count].copy_from_slice(&rest[..count]);
        self.given += count;
        Ok(count)
    }
}

fn blob_context(context: &[u8]) -> Vec<u8> {
    [b"blob", context].concat()
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
