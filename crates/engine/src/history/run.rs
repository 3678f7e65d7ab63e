//! One sorted run of the index: the records of a span of events, in a file that never changes.
//!
//! A run has two sections of records of one length each: keys (key, event), idempotency keys with their first outcomes and
//! keyed hashes of events with each later event that acts on them; and marks (account, number,
//! event, booking time, balance), all numbers big-endian, so that records sort as their bytes do. In memory are the
//! first eight bytes of each page, and the filters of the keys, one for every 50,000 or so; a look takes one page.

#![allow(clippy::cast_possible_truncation, reason = "numbers are cut where only that many of their bits are meant")]

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use journal::{PAGE_BYTES, PageReader, PageWriter, Secrets};
use ledger::{AccountId, Timestamp};

use super::Mark;
use super::filter::Filters;

/// Context that the files are sealed under, with the version of their form.
const CONTEXT: &[u8] = b"kassa history 2";

/// The same of the form before, which holds nothing of what acts on an event.
pub(super) const OLDER_CONTEXT: &[u8] = b"kassa history 1";

/// Returns `true` if a file is a run of an earlier version's form: whole, and no longer of use.
pub(super) fn is_older(path: &Path, secrets: &Secrets) -> bool {
    File::open(path).is_ok_and(|file| PageReader::open(file, secrets, OLDER_CONTEXT).is_ok())
}

/// The most keys that one filter is to hold, about. Small enough to be made within the processor's cache.
const KEYS_PER_FILTER: u64 = 1 << 16;

/// Number of records written between two pauses: some milliseconds of work.
pub(crate) const RECORDS_BETWEEN_PAUSES: u64 = 1 << 16;

/// Bytes written before they are synced, so that the journal's syncs don't wait behind all of it.
const BYTES_BETWEEN_SYNCS: u64 = 4 << 20;

/// An idempotency key and the event that was its first outcome; or the keyed hash of an event and one that acts on it.
pub(super) type KeyRecord = [u8; 24];

/// A mark of an account.
pub(super) type MarkRecord = [u8; 32];

pub(super) fn key_record(key: &[u8; 16], event: u64) -> KeyRecord {
    let mut record = [0; 24];
    record[..16].copy_from_slice(key);
    record[16..].copy_from_slice(&event.to_be_bytes());
    record
}

pub(super) fn mark_record(account: AccountId, number: u32, mark: &Mark) -> MarkRecord {
    let mut record = [0; 32];
    record[..4].copy_from_slice(&account.0.to_be_bytes());
    record[4..8].copy_from_slice(&number.to_be_bytes());
    record[8..16].copy_from_slice(&mark.event.to_be_bytes());
    record[16..24].copy_from_slice(&mark.booked_at.0.to_be_bytes());
    record[24..].copy_from_slice(&mark.balance_minor.to_be_bytes());
    record
}

pub(super) fn mark_of(record: &MarkRecord) -> (AccountId, u32, Mark) {
    let (account, number) = ((number_at(record, 0) >> 32) as u32, number_at(record, 0) as u32);
    let mark = Mark {
        event: number_at(record, 8),
        booked_at: Timestamp(number_at(record, 16).cast_signed()),
        balance_minor: number_at(record, 24).cast_signed(),
    };
    (AccountId(account), number, mark)
}

/// The first eight bytes of a record, by which it is found.
pub(super) fn prefix(record: &[u8]) -> u64 {
    number_at(record, 0)
}

fn number_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(*bytes[at..].first_chunk().expect("a record holds the number"))
}

/// Span of the events that a run tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Span {
    /// The event before the first.
    pub(crate) after: u64,
    /// The last event, which is the last of its frame.
    pub(crate) to: u64,
    /// The hash of that frame.
    pub(crate) hash: [u8; 32],
}

/// An open sorted run.
pub(crate) struct SortedRun {
    pub(super) path: PathBuf,
    pub(super) span: Span,
    pages: PageReader,
    keys: Section,
    filter_bits: u32,
    filters: Filters,
    marks: Section,
}

/// Place of the records of one kind.
struct Section {
    first_page: u64,
    records: u64,
    /// The first eight bytes of each page.
    firsts: Vec<u64>,
}

impl Section {
    /// All records in order; an error where they don't rise.
    fn records<'a, const N: usize>(
        &'a self,
        pages: &'a PageReader,
    ) -> impl Iterator<Item = io::Result<[u8; N]>> + use<'a, N> {
        let per_page = (PAGE_BYTES / N) as u64;
        let (mut page, mut before) = (Vec::new(), None);
        (0..self.records).map(move |number| {
            if number.is_multiple_of(per_page) {
                page = pages.read(self.first_page + number / per_page)?;
            }
            let record = record_at(&page, number % per_page);
            if before.replace(record).is_some_and(|before| before >= record) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, format!("record {number} is out of order")));
            }
            Ok(record)
        })
    }

    /// The records of the page of a place.
    fn page<const N: usize>(&self, pages: &PageReader, place: usize) -> io::Result<impl Iterator<Item = [u8; N]>> {
        let per_page = (PAGE_BYTES / N) as u64;
        let page = pages.read(self.first_page + place as u64)?;
        let count = (self.records - place as u64 * per_page).min(per_page);
        Ok((0..count).map(move |number| record_at(&page, number)))
    }
}

fn record_at<const N: usize>(page: &[u8], number: u64) -> [u8; N] {
    *page[number as usize * N..].first_chunk().expect("a page holds as many records as fit")
}

/// Returns the one of `1 << bits` filters that a key belongs to.
fn filter_of(key: &[u8], bits: u32) -> usize {
    // A shift by all 64 bits is none.
    number_at(key, 0).checked_shr(64 - bits).unwrap_or(0) as usize
}

impl SortedRun {
    /// Opens the run in a file, and reads what is kept in memory of it.
    pub(super) fn open(path: &Path, secrets: &Secrets) -> io::Result<Self> {
        let (pages, last) = PageReader::open(File::open(path)?, secrets, CONTEXT)?;
        let input = &mut last.as_slice();
        let span = Span { after: number(input)?, to: number(input)?, hash: bytes(input)? };
        let (keys, marks, filters) = (number(input)?, number(input)?, number(input)?);
        let per_page = |length: usize| (PAGE_BYTES / length) as u64;
        let key_pages = keys.div_ceil(per_page(size_of::<KeyRecord>()));
        let mark_pages = marks.div_ceil(per_page(size_of::<MarkRecord>()));
        let mut directory = Directory { pages: &pages, next: key_pages + mark_pages, page: Vec::new(), given: 0 };
        let mut firsts = |pages: u64| (0..pages).map(|_| number(&mut directory)).collect::<io::Result<Vec<u64>>>();
        let keys = Section { first_page: 0, records: keys, firsts: firsts(key_pages)? };
        let marks = Section { first_page: key_pages, records: marks, firsts: firsts(mark_pages)? };
        let (count, filter_bits) = (filters, filters.ilog2());
        let mut filters = Filters::with_capacity(keys.records)?;
        (0..count).try_for_each(|_| filters.read(&mut directory))?;
        Ok(Self { path: path.to_owned(), span, pages, keys, filter_bits, filters, marks })
    }

    /// Returns its size on disk, in bytes.
    pub(super) fn bytes(&self) -> io::Result<u64> {
        Ok(std::fs::metadata(&self.path)?.len())
    }

    /// Returns the number of its records, which is the cost of merging it.
    pub(super) fn weight(&self) -> u64 {
        self.keys.records + self.marks.records
    }

    pub(super) fn key_count(&self) -> u64 {
        self.keys.records
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = io::Result<KeyRecord>> {
        self.keys.records(&self.pages)
    }

    pub(super) fn marks(&self) -> impl Iterator<Item = io::Result<MarkRecord>> {
        self.marks.records(&self.pages)
    }

    /// Returns `true` if it may hold a key; nearly always right. Asks memory alone.
    pub(super) fn may_hold(&self, key: &[u8; 16]) -> bool {
        self.filters.contains(filter_of(key, self.filter_bits), number_at(key, 8))
    }

    /// Asks [`SortedRun::may_hold`] of many keys: gives the places of those that it may hold.
    pub(super) fn may_hold_of(&self, keys: &[[u8; 16]], found: impl FnMut(usize)) {
        let keys: Vec<_> = keys.iter().map(|key| (filter_of(key, self.filter_bits), number_at(key, 8))).collect();
        self.filters.members(&keys, found);
    }

    /// The event that was the first outcome of a key. Asks the disk.
    pub(super) fn outcome_of(&self, key: &[u8; 16]) -> io::Result<Option<u64>> {
        let prefix = number_at(key, 0);
        // The page before the first that begins with the prefix may end with it.
        let from = self.keys.firsts.partition_point(|first| *first < prefix).saturating_sub(1);
        for place in from..self.keys.firsts.len() {
            if self.keys.firsts[place] > prefix {
                break;
            }
            let mut records = self.keys.page::<24>(&self.pages, place)?;
            if let Some(record) = records.find(|record| record[..16] == *key) {
                return Ok(Some(number_at(&record, 16)));
            }
        }
        Ok(None)
    }

    /// Gives all events of a key, in order, to `take`. Asks the disk.
    pub(super) fn events_of(&self, key: &[u8; 16], mut take: impl FnMut(u64)) -> io::Result<()> {
        let prefix = number_at(key, 0);
        let from = self.keys.firsts.partition_point(|first| *first < prefix).saturating_sub(1);
        for place in from..self.keys.firsts.len() {
            if self.keys.firsts[place] > prefix {
                break;
            }
            let records = self.keys.page::<24>(&self.pages, place)?;
            records.filter(|record| record[..16] == *key).for_each(|record| take(number_at(&record, 16)));
        }
        Ok(())
    }

    /// An account's first mark for which `after` holds, given that it holds for all that follow. Asks the disk.
    pub(super) fn mark_where(
        &self,
        account: AccountId,
        after: impl Fn(u32, &Mark) -> bool,
    ) -> io::Result<Option<(u32, Mark)>> {
        let wanted = |record: &MarkRecord| {
            let (of, number, mark) = mark_of(record);
            of > account || (of == account && after(number, &mark))
        };
        let firsts = &self.marks.firsts;
        // The account's marks begin on the page before the first that begins with one of them.
        let mut low = firsts.partition_point(|first| first >> 32 < u64::from(account.0)).saturating_sub(1);
        let mut high = firsts.partition_point(|first| first >> 32 <= u64::from(account.0));
        // The last page of which the first record is not wanted holds the first that is, or the next page begins with it.
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let first = self.marks.page::<32>(&self.pages, middle)?.next();
            if first.is_some_and(|record| wanted(&record)) { high = middle } else { low = middle }
        }
        for place in low..firsts.len().min(low + 2) {
            if let Some(record) = self.marks.page::<32>(&self.pages, place)?.find(wanted) {
                let (of, number, mark) = mark_of(&record);
                return Ok((of == account).then_some((number, mark)));
            }
        }
        Ok(None)
    }
}

/// The pages behind the sections, read as one stream.
struct Directory<'a> {
    pages: &'a PageReader,
    next: u64,
    page: Vec<u8>,
    given: usize,
}

impl Read for Directory<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.given == self.page.len() {
            self.page = self.pages.read(self.next)?;
            (self.next, self.given) = (self.next + 1, 0);
        }
        let count = out.len().min(self.page.len() - self.given);
        out[..count].copy_from_slice(&self.page[self.given..self.given + count]);
        self.given += count;
        Ok(count)
    }
}

fn number(input: &mut impl Read) -> io::Result<u64> {
    Ok(u64::from_be_bytes(bytes(input)?))
}

fn bytes<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// The name of a run's file.
fn file_name(span: Span) -> String {
    format!("{:020}-{:020}", span.after, span.to)
}

/// The events that a file's name tells of: those after the first, up to the second.
pub(super) fn events_of_name(name: &str) -> Option<(u64, u64)> {
    let (after, to) = name.split_once('-')?;
    let number = |digits: &str| if digits.len() == 20 { digits.parse().ok() } else { None };
    Some((number(after)?, number(to)?))
}

/// The ending of a file that is not yet whole.
pub(super) const UNFINISHED: &str = "next";

/// Writes a run of records that come in order, and opens it. Between records `pause` is called now and then, and
/// when it fails the run is given up. Of a run that was given up nothing is left.
pub(super) fn write(
    folder: &Path,
    secrets: &Secrets,
    span: Span,
    key_count: u64,
    keys: impl Iterator<Item = io::Result<KeyRecord>>,
    marks: impl Iterator<Item = io::Result<MarkRecord>>,
    pause: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<SortedRun> {
    let path = folder.join(file_name(span));
    let unfinished = path.with_extension(UNFINISHED);
    let written = write_file(&unfinished, secrets, span, key_count, keys, marks, pause).and_then(|parts| {
        std::fs::rename(&unfinished, &path)?;
        File::open(folder)?.sync_all()?;
        let (pages, _) = PageReader::open(File::open(&path)?, secrets, CONTEXT)?;
        let Parts { keys, filters, marks } = parts;
        Ok(SortedRun { path, span, pages, keys, filter_bits: filters.len().ilog2(), filters, marks })
    });
    if written.is_err() {
        // If it can't be removed now, the next start does it.
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

/// The parts of a run that are kept in memory.
struct Parts {
    keys: Section,
    filters: Filters,
    marks: Section,
}

fn write_file(
    unfinished: &Path,
    secrets: &Secrets,
    span: Span,
    key_count: u64,
    keys: impl Iterator<Item = io::Result<KeyRecord>>,
    marks: impl Iterator<Item = io::Result<MarkRecord>>,
    pause: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Parts> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(unfinished)?;
    let mut pages =
        PageWriter::new(Synced { inner: BufWriter::with_capacity(1 << 16, file), unsynced: 0 }, secrets, CONTEXT)?;

    let mut filters = FilterMaker::new(key_count)?;
    let keys = write_section(&mut pages, keys, |record| filters.add(record), pause)?;
    let marks = write_section(&mut pages, marks, |_| Ok(()), pause)?;
    let filters = filters.finish()?;

    let mut directory = DirectoryWriter { pages: &mut pages, page: Vec::with_capacity(PAGE_BYTES) };
    for first in keys.firsts.iter().chain(&marks.firsts) {
        directory.write_all(&first.to_be_bytes())?;
    }
    filters.write(&mut directory)?;
    directory.flush()?;
    let mut last = Vec::new();
    for number in [span.after, span.to] {
        last.extend_from_slice(&number.to_be_bytes());
    }
    last.extend_from_slice(&span.hash);
    for number in [keys.records, marks.records, filters.len() as u64] {
        last.extend_from_slice(&number.to_be_bytes());
    }
    let file = pages.finish(&last)?.inner.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(Parts { keys, filters, marks })
}

/// The pages behind the sections, written as one stream.
struct DirectoryWriter<'a, W: Write> {
    pages: &'a mut PageWriter<W>,
    page: Vec<u8>,
}

impl<W: Write> Write for DirectoryWriter<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.page.len() == PAGE_BYTES {
            self.flush()?;
        }
        let taken = bytes.len().min(PAGE_BYTES - self.page.len());
        self.page.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Writes the page as far as it is filled: only for its last.
    fn flush(&mut self) -> io::Result<()> {
        if !self.page.is_empty() {
            self.pages.write(&self.page)?;
            self.page.clear();
        }
        Ok(())
    }
}

fn write_section<const N: usize>(
    pages: &mut PageWriter<impl Write>,
    records: impl Iterator<Item = io::Result<[u8; N]>>,
    mut seen: impl FnMut(&[u8; N]) -> io::Result<()>,
    pause: &mut dyn FnMut() -> io::Result<()>,
) -> io::Result<Section> {
    let mut section = Section { first_page: pages.written(), records: 0, firsts: Vec::new() };
    let mut page = Vec::with_capacity(PAGE_BYTES);
    for record in records {
        let record = record?;
        seen(&record)?;
        if page.len() + N > PAGE_BYTES {
            pages.write(&page)?;
            page.clear();
        }
        if page.is_empty() {
            section.firsts.push(number_at(&record, 0));
        }
        page.extend_from_slice(&record);
        section.records += 1;
        if section.records.is_multiple_of(RECORDS_BETWEEN_PAUSES) {
            pause()?;
        }
    }
    if !page.is_empty() {
        pages.write(&page)?;
    }
    Ok(section)
}

/// Makes the filters of keys that come in order.
struct FilterMaker {
    bits: u32,
    made: Filters,
    keys: Vec<u64>,
}

impl FilterMaker {
    fn new(keys: u64) -> io::Result<Self> {
        let bits = keys.div_ceil(KEYS_PER_FILTER).next_power_of_two().ilog2();
        Ok(Self { bits, made: Filters::with_capacity(keys)?, keys: Vec::new() })
    }

    fn add(&mut self, record: &KeyRecord) -> io::Result<()> {
        while filter_of(record, self.bits) > self.made.len() {
            self.close()?;
        }
        self.keys.push(number_at(record, 8));
        Ok(())
    }

    fn close(&mut self) -> io::Result<()> {
        self.made.push(&mut self.keys)?;
        self.keys.clear();
        Ok(())
    }

    fn finish(mut self) -> io::Result<Filters> {
        while self.made.len() < 1 << self.bits {
            self.close()?;
        }
        Ok(self.made)
    }
}

/// A file that is synced as it grows.
struct Synced {
    inner: BufWriter<File>,
    unsynced: u64,
}

impl Write for Synced {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.unsynced += written as u64;
        if self.unsynced >= BYTES_BETWEEN_SYNCS {
            self.inner.flush()?;
            self.inner.get_ref().sync_data()?;
            self.unsynced = 0;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
