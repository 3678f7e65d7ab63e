//! Files of pages sealed under the master key, read in any order: the index of the past.
//!
//! A page file is a version byte, a fresh key wrapped by the master key, then pages. A page is AES-256-GCM of
//! [`PAGE_BYTES`] under that key, with the page's number as nonce, and whether it is the last as associated data. So a
//! page that was changed or put in another's place is refused, and so is a file that was cut short or lengthened.
//! The journal's id and `context`, bound into the wrapping, keep one file from being taken for another.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt as _;

use aws_lc_rs::aead::{Aad, LessSafeKey};
use zeroize::Zeroizing;

use crate::Secrets;
use crate::keys::{TAG_LEN, WRAPPED_LEN, aead, counter_nonce, open_under, random, seal_under};

const VERSION: u8 = 1;

/// The plain bytes of a page: with its tag it takes 4 KiB.
pub const PAGE_BYTES: usize = SEALED_LEN - TAG_LEN;

const SEALED_LEN: usize = 4096;

const START_LEN: usize = 1 + WRAPPED_LEN;

const MORE: [u8; 1] = [0];
const LAST: [u8; 1] = [1];

/// Writes a page file, one page after the other.
pub struct PageWriter<W: Write> {
    inner: W,
    key: LessSafeKey,
    page: Vec<u8>,
    written: u64,
}

impl<W: Write> PageWriter<W> {
    /// Starts a file. `context` says which one it is and must be given again to read it.
    ///
    /// # Errors
    ///
    /// Fails if `inner` can't be written.
    pub fn new(mut inner: W, secrets: &Secrets, context: &[u8]) -> io::Result<Self> {
        let key = Zeroizing::new(random());
        inner.write_all(&[VERSION])?;
        inner.write_all(&seal_under(
            &secrets.keyring().master.aead(),
            &page_context(secrets, context),
            key.as_slice(),
        ))?;
        Ok(Self { inner, key: aead(&key), page: Vec::with_capacity(SEALED_LEN), written: 0 })
    }

    /// Returns the number of pages written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Writes the next page, filled up with zeros.
    ///
    /// # Panics
    ///
    /// Panics if `plain` is longer than a page.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn write(&mut self, plain: &[u8]) -> io::Result<()> {
        self.seal(plain, MORE)
    }

    /// Writes the last page, and gives back what the file was written to, not yet synced.
    ///
    /// # Panics
    ///
    /// Panics if `plain` is longer than a page.
    ///
    /// # Errors
    ///
    /// Fails if the file can't be written.
    pub fn finish(mut self, plain: &[u8]) -> io::Result<W> {
        self.seal(plain, LAST)?;
        self.inner.flush()?;
        Ok(self.inner)
    }

    fn seal(&mut self, plain: &[u8], flag: [u8; 1]) -> io::Result<()> {
        assert!(plain.len() <= PAGE_BYTES, "what is written fits a page");
        self.page.clear();
        self.page.extend_from_slice(plain);
        self.page.resize(PAGE_BYTES, 0);
        self.key
            .seal_in_place_append_tag(counter_nonce(self.written), Aad::from(flag), &mut self.page)
            .expect("AES-GCM seals up to 64 GiB");
        self.written += 1;
        self.inner.write_all(&self.page)
    }
}

/// Reads the pages of a file. Gives only what is authentic; `InvalidData` for anything else.
pub struct PageReader {
    file: File,
    key: LessSafeKey,
    pages: u64,
}

impl PageReader {
    /// Opens a file, and returns its last page with it.
    ///
    /// # Errors
    ///
    /// Gives `InvalidData` if bank or context is another than it was made with, or if it was cut short or lengthened,
    /// and fails if the file can't be read.
    pub fn open(file: File, secrets: &Secrets, context: &[u8]) -> io::Result<(Self, Vec<u8>)> {
        let mut start = [0; START_LEN];
        file.read_exact_at(&mut start, 0)?;
        if start[0] != VERSION {
            return Err(invalid("the file isn't one that this Kassa writes"));
        }
        let key = open_under(&secrets.keyring().master.aead(), &page_context(secrets, context), &start[1..])
            .map(Zeroizing::new);
        let key = key.and_then(|key| key.as_slice().try_into().ok().map(Zeroizing::new));
        let key = key.ok_or_else(|| invalid("the file is of another bank, or of another kind"))?;
        let length = file.metadata()?.len().saturating_sub(START_LEN as u64);
        let pages = length / SEALED_LEN as u64;
        if pages == 0 || !length.is_multiple_of(SEALED_LEN as u64) {
            return Err(invalid("the file was cut short or lengthened"));
        }
        let reader = Self { file, key: aead(&key), pages };
        let last = reader.open_page(pages - 1, LAST)?;
        Ok((reader, last))
    }

    /// Returns the number of pages, the last one included.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Reads the page of a number, counted from 0; not the last one.
    ///
    /// # Errors
    ///
    /// Gives `InvalidData` if the page was changed or put in another's place, and fails if the file can't be read.
    pub fn read(&self, number: u64) -> io::Result<Vec<u8>> {
        self.open_page(number, MORE)
    }

    fn open_page(&self, number: u64, flag: [u8; 1]) -> io::Result<Vec<u8>> {
        let mut sealed = vec![0; SEALED_LEN];
        self.file.read_exact_at(&mut sealed, START_LEN as u64 + number * SEALED_LEN as u64)?;
        let opened = self.key.open_in_place(counter_nonce(number), Aad::from(flag), &mut sealed);
        opened.map_err(|_| invalid("the file was damaged or changed"))?;
        sealed.truncate(PAGE_BYTES);
        Ok(sealed)
    }
}

fn page_context(secrets: &Secrets, context: &[u8]) -> Vec<u8> {
    [b"pages", secrets.keyring().journal_id.as_slice(), context].concat()
}

fn invalid(message: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message)
}
