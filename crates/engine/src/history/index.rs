//! The index of the past, a small log-structured merge tree (LSM): by idempotency key its first outcome, by account a
//! mark for every 64th entry, and by hold or payment each event that took, let go, gave back or undid something of it.
//!
//! The newest records are in memory, exact: the keys in the state, the marks in [`Recent`]. When this memtable is full
//! it is set aside and written as a sorted run ([`SortedRun`]); runs are merged (compaction) so that there are never many.
//! All of it is derived from the journal: what is missing or damaged is made again at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use bank::{Event, KEYS_AT_HAND, Outcomes, PaymentEvent, State, What};
use journal::{Reader, Secrets};
use ledger::AccountId;
use siphasher::sip128::SipHasher24;

pub(crate) use super::run::RECORDS_BETWEEN_PAUSES;
use super::run::{self, KeyRecord, SortedRun, Span, UNFINISHED, events_of_name, key_record, mark_record, prefix};
use super::{ENTRIES_PER_MARK, Mark};
use crate::{MAX_RUN_COMMANDS, OpenError};

/// The folder of the runs within the data folder.
const FOLDER: &str = "history";

/// The most marks kept in memory before they are written, some megabytes.
const MARKS_AT_HAND: usize = 65_536;

/// The most events that act on another kept in memory before they are written, some megabytes.
const DEEDS_AT_HAND: usize = 131_072;

/// The most keys that one run of the writer can bring, so that the table that holds them need not grow.
const KEYS_PER_RUN: usize = 2 * MAX_RUN_COMMANDS;

/// The most events that a start has to read to know what is newest, whatever they are.
const EVENTS_AT_HAND: u64 = 1 << 21;

/// A run is merged with all that are newer when these have this many times its records together. So sizes grow fourfold
/// from tier to tier (tiered compaction), and a record is written about once per tier.
const MERGE_SHARE: u64 = 3;

/// Room that compaction leaves on the disk, in bytes.
const ROOM_LEFT_BYTES: u64 = 256 << 20;

/// Beyond this many runs a look would take too long, and the last two are merged in any case.
const MAX_RUNS: usize = 10;

/// The memtable: the newest marks, and the event after which the newest keys are in the state.
#[derive(Default)]
pub(crate) struct Recent {
    /// The last event that the runs tell of.
    after: u64,
    marks: Marks,
    deeds: Deeds,
    aside: Option<Arc<Aside>>,
}

/// Events that act on an earlier one ([`bank::What::acts_on`]): that one first.
type Deeds = BTreeSet<(u64, u64)>;

type Marks = BTreeMap<(AccountId, u32), Mark>;

/// An immutable memtable, set aside on its way to the disk.
pub(crate) struct Aside {
    pub(crate) after: u64,
    pub(crate) to: u64,
    keys: Arc<Outcomes>,
    marks: Marks,
    deeds: Deeds,
}

impl Aside {
    /// Returns the number of records that it makes.
    pub(crate) fn records(&self) -> u64 {
        (self.keys.len() + self.marks.len() + self.deeds.len()) as u64
    }
}

impl Recent {
    pub(crate) fn new(after: u64) -> Self {
        Self { after, ..Self::default() }
    }

    /// The event after which everything is in memory.
    pub(crate) fn after(&self) -> u64 {
        self.aside.as_ref().map_or(self.after, |aside| aside.after)
    }

    /// Notes the marks among an event's entries, and the event that it acts on.
    pub(crate) fn note(&mut self, number: u64, event: &Event) {
        self.deeds.extend(event.what.acts_on().map(|of| (of, number)));
        let What::Payments(PaymentEvent::Posted { posting, .. }) = &event.what else { return };
        for booked in posting.legs() {
            for (account, entry) in [(booked.leg.debit, booked.debit), (booked.leg.credit, booked.credit)] {
                if entry.ordinal.is_multiple_of(ENTRIES_PER_MARK) {
                    let booked_at = posting.booked_at();
                    let mark = Mark { event: number, booked_at, balance_minor: entry.balance_minor };
                    self.marks.insert((account, mark_number(entry.ordinal)), mark);
                }
            }
        }
    }

    /// Returns `true` if it is time to set it aside, if `last` is the last event it knows. Before the first event that
    /// the runs don't tell of it knows nothing.
    pub(crate) fn is_full(&self, state: &State, last: u64) -> bool {
        let much = state.outcomes().len() >= KEYS_AT_HAND - KEYS_PER_RUN
            || self.marks.len() >= MARKS_AT_HAND
            || self.deeds.len() >= DEEDS_AT_HAND;
        self.aside.is_none() && last > self.after && (much || last - self.after >= EVENTS_AT_HAND)
    }

    /// Sets aside what there is, up to the event `last`, which must end a frame.
    pub(crate) fn set_aside(&mut self, state: &mut State, last: u64) -> Arc<Aside> {
        let (marks, deeds) = (std::mem::take(&mut self.marks), std::mem::take(&mut self.deeds));
        let aside = Arc::new(Aside { after: self.after, to: last, keys: state.set_outcomes_aside(), marks, deeds });
        self.after = last;
        self.aside = Some(Arc::clone(&aside));
        aside
    }

    /// Returns the memtable that was set aside and is not yet let go.
    pub(crate) fn aside(&self) -> Option<Arc<Aside>> {
        self.aside.clone()
    }

    /// Lets go what was set aside, if the runs tell of it now. Freeing that much takes a while: it is given back for
    /// another thread to do.
    pub(crate) fn let_go(&mut self, state: &mut State, covered: u64) -> Option<(Arc<Aside>, Option<Arc<Outcomes>>)> {
        let aside = self.aside.take_if(|aside| aside.to <= covered)?;
        Some((aside, state.forget_outcomes_aside()))
    }

    /// Gives the events in memory that act on one, in order, to `take`.
    pub(crate) fn deeds_on(&self, of: u64, mut take: impl FnMut(u64)) {
        for deeds in self.aside.iter().map(|aside| &aside.deeds).chain([&self.deeds]) {
            deeds.range((of, 0)..=(of, u64::MAX)).for_each(|(_, event)| take(*event));
        }
    }

    /// An account's first mark in memory for which `after` holds, given that it holds for all that follow; and whether
    /// an earlier one might be on disk, of a number below the one given.
    pub(crate) fn mark_where(
        &self,
        account: AccountId,
        after: impl Fn(u32, &Mark) -> bool,
    ) -> (Option<(u32, Mark)>, Option<u32>) {
        let of = |marks: &Marks| {
            let mut range = marks.range((account, 0)..=(account, u32::MAX)).map(|((_, number), _)| *number);
            range.next().map(|first| (first, range.next_back().unwrap_or(first)))
        };
        let mut earliest = None;
        for marks in self.aside.iter().map(|aside| &aside.marks).chain([&self.marks]) {
            let Some((first, last)) = of(marks) else { continue };
            earliest = earliest.or(Some(first));
            // An account's marks are numbered without gaps.
            let count = last - first + 1;
            let place = first_place(count, |place| {
                marks.get(&(account, first + place)).is_some_and(|m| after(first + place, m))
            });
            if place < count {
                let number = first + place;
                let older = (earliest == Some(number)).then_some(number);
                return (marks.get(&(account, number)).map(|mark| (number, *mark)), older);
            }
        }
        // None in memory: where there are some, those on disk come before them and don't hold either.
        (None, earliest.is_none().then_some(u32::MAX))
    }
}

/// The number of the mark of an entry that has one.
fn mark_number(ordinal: u64) -> u32 {
    u32::try_from(ordinal / ENTRIES_PER_MARK).expect("an account has fewer than 2^38 entries")
}

/// The first of `count` places for which `holds` is true, given that it stays true from there on; `count` if none.
fn first_place(count: u32, holds: impl Fn(u32) -> bool) -> u32 {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// The runs on disk.
pub(crate) struct Index {
    folder: PathBuf,
    secrets: Secrets,
    deed_keys: DeedKeys,
    runs: RwLock<Runs>,
}

/// The secret under which events are hashed to the keys of what acts on them, beside the keys that callers send.
#[derive(Clone, Copy, Default)]
struct DeedKeys([u8; 16]);

impl DeedKeys {
    fn of(secrets: &Secrets) -> Self {
        let [secret, _] = *secrets.derive("index of what acts on an event").as_chunks::<16>().0 else {
            unreachable!("32 bytes")
        };
        Self(secret)
    }

    fn key(self, of: u64) -> [u8; 16] {
        SipHasher24::new_with_key(&self.0).hash(&of.to_be_bytes()).as_bytes()
    }

    fn record(self, (of, event): (u64, u64)) -> KeyRecord {
        key_record(&self.key(of), event)
    }
}

/// All runs, the oldest first: together they tell of every event up to the last one's end.
#[derive(Clone, Default)]
pub(crate) struct Runs(Arc<Vec<Arc<SortedRun>>>);

impl Runs {
    /// The last event that they tell of.
    pub(crate) fn covered(&self) -> u64 {
        self.0.last().map_or(0, |run| run.span.to)
    }

    /// Returns the places of those keys that may be known; nearly always right. Asks memory alone.
    pub(crate) fn suspects(&self, keys: &[[u8; 16]]) -> Vec<usize> {
        let mut suspects = Vec::new();
        for run in self.0.iter() {
            run.may_hold_of(keys, |place| suspects.push(place));
        }
        suspects.sort_unstable();
        suspects.dedup();
        suspects
    }

    /// The event that was the first outcome of a key. Asks the disk.
    pub(crate) fn outcome_of(&self, key: &[u8; 16]) -> io::Result<Option<u64>> {
        for run in self.0.iter().rev().filter(|run| run.may_hold(key)) {
            if let Some(event) = run.outcome_of(key)? {
                return Ok(Some(event));
            }
        }
        Ok(None)
    }

    /// Gives all events of a key, in order, to `take`. Asks the disk.
    pub(crate) fn events_of(&self, key: &[u8; 16], mut take: impl FnMut(u64)) -> io::Result<()> {
        self.0.iter().filter(|run| run.may_hold(key)).try_for_each(|run| run.events_of(key, &mut take))
    }

    /// An account's first mark for which `after` holds, given that it holds for all that follow. Asks the disk.
    pub(crate) fn mark_where(
        &self,
        account: AccountId,
        after: impl Fn(u32, &Mark) -> bool,
    ) -> io::Result<Option<(u32, Mark)>> {
        for run in self.0.iter() {
            if let Some(found) = run.mark_where(account, &after)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }
}

impl Index {
    /// Opens the runs in a data folder that belong to the journal. What can't be used is told in the log, and removed.
    /// Refuses runs that tell of events that the journal doesn't have, unless the loss is accepted.
    pub(crate) fn open(folder: &Path, reader: &mut Reader, accept_loss: bool) -> Result<Self, OpenError> {
        let (folder, secrets) = (folder.join(FOLDER), reader.secrets());
        let deed_keys = DeedKeys::of(&secrets);
        let index = Self { folder, secrets, deed_keys, runs: RwLock::default() };
        fs::create_dir_all(&index.folder).map_err(OpenError::History)?;
        let Looked { runs, lost, useless } = Looked::at(&index.folder, reader)?;
        if let Some(lost) = lost.first().filter(|_| !accept_loss) {
            let journal = reader.head()?.last_event;
            return Err(OpenError::LostTail { witness: "index of the past", known: lost.span.to, journal });
        }
        for (path, why) in useless {
            if let Some(why) = why {
                tracing::warn!(file = %path.display(), why, "a part of the index of the past is made again");
            }
            fs::remove_file(path).map_err(OpenError::History)?;
        }
        for lost in lost {
            let event = lost.span.to;
            tracing::warn!(event, "a part of the index of the past is of lost events, and is made again");
            fs::remove_file(&lost.path).map_err(OpenError::History)?;
        }
        index.set(runs);
        Ok(index)
    }

    /// The last event that the index in a data folder would tell of, were it opened now. Changes nothing.
    pub(crate) fn would_cover(folder: &Path, reader: &mut Reader) -> Result<u64, OpenError> {
        let folder = folder.join(FOLDER);
        if !folder.exists() {
            return Ok(0);
        }
        Ok(Runs(Arc::new(Looked::at(&folder, reader)?.runs)).covered())
    }

    /// The runs as they are now.
    pub(crate) fn runs(&self) -> Runs {
        self.runs.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the key of what acts on an event.
    pub(crate) fn deed_key(&self, of: u64) -> [u8; 16] {
        self.deed_keys.key(of)
    }

    fn set(&self, runs: Vec<Arc<SortedRun>>) {
        *self.runs.write().unwrap_or_else(PoisonError::into_inner) = Runs(Arc::new(runs));
    }

    /// Writes what was set aside, of which the last event is durable, and ends a frame of this hash.
    pub(crate) fn write(&self, aside: &Aside, hash: [u8; 32]) -> io::Result<()> {
        if aside.to <= self.runs().covered() {
            return Ok(());
        }
        // Somebody may have deleted it, and what was in it is made again at the next start.
        fs::create_dir_all(&self.folder)?;
        let mut keys: Vec<KeyRecord> = aside.keys.iter().map(|(key, event)| key_record(key, *event)).collect();
        keys.extend(aside.deeds.iter().map(|deed| self.deed_keys.record(*deed)));
        keys.sort_unstable_by(|one, other| prefix(one).cmp(&prefix(other)).then_with(|| one.cmp(other)));
        let marks = aside.marks.iter().map(|((account, number), mark)| mark_record(*account, *number, mark));
        let span = Span { after: aside.after, to: aside.to, hash };
        let (count, keys) = (keys.len() as u64, keys.into_iter().map(Ok));
        let run = run::write(&self.folder, &self.secrets, span, count, keys, marks.map(Ok), &mut || Ok(()))?;
        let mut runs = self.runs().0.to_vec();
        runs.push(Arc::new(run));
        self.set(runs);
        Ok(())
    }

    /// Compacts runs that tell of events after this one: merges them, until there is nothing worth merging. Calls
    /// `pause` every [`RECORDS_BETWEEN_PAUSES`] records with the last event of the merge under way: what is newer may
    /// be written and merged meanwhile. Gives up when that fails.
    pub(crate) fn merge(&self, after: u64, pause: &mut dyn FnMut(u64) -> io::Result<()>) -> io::Result<()> {
        loop {
            let runs = self.runs().0;
            let Some(from) = worth_merging(&runs, after) else { return Ok(()) };
            let sources = &runs[from..];
            let (Some(oldest), Some(newest)) = (sources.first(), sources.last()) else { return Ok(()) };
            let span = Span { after: oldest.span.after, ..newest.span };
            self.must_have_room(sources)?;
            let count = sources.iter().map(|run| run.key_count()).sum();
            let keys = merged(sources.iter().map(|run| run.keys()).collect());
            let marks = merged(sources.iter().map(|run| run.marks()).collect());
            let mut pause = || pause(span.to);
            let run = run::write(&self.folder, &self.secrets, span, count, keys, marks, &mut pause)?;
            // Newer runs may have been added meanwhile, behind those merged, and merged with each other.
            let mut runs_now = self.runs().0.to_vec();
            runs_now.splice(from..runs.len(), [Arc::new(run)]);
            self.set(runs_now);
            for source in sources {
                fs::remove_file(&source.path)?;
            }
        }
    }

    /// Merging must not take the room that the journal needs.
    fn must_have_room(&self, sources: &[Arc<SortedRun>]) -> io::Result<()> {
        let bytes: u64 = sources.iter().map(|run| run.bytes()).sum::<io::Result<u64>>()?;
        let disk = rustix::fs::statvfs(&self.folder)?;
        let room = disk.f_bavail.saturating_mul(disk.f_frsize);
        if room >= bytes.saturating_add(ROOM_LEFT_BYTES) { Ok(()) } else { Err(io::ErrorKind::StorageFull.into()) }
    }

    /// Returns the number of records to be merged for one that is written, so that runs stay few: about one for every
    /// tier.
    pub(crate) fn merges_per_record(&self) -> u64 {
        let runs = self.runs().0;
        let total: u64 = runs.iter().map(|run| run.weight()).sum();
        let tiers = (total / KEYS_AT_HAND as u64).max(1).ilog2() / (MERGE_SHARE + 1).ilog2();
        u64::from(tiers) + 1
    }

    /// Damage was found while reading: what can't be trusted is made again at the next start.
    pub(crate) fn distrust(&self, error: &io::Error) {
        tracing::error!(%error, "the index of the past is damaged; it is made again from the journal at the next start");
        for run in self.runs().0.iter() {
            // One that is not there any more is made again just as well.
            let _ = fs::remove_file(&run.path);
        }
    }
}

/// Finds the run from which on all are worth merging into one, of those that tell of events after this one.
fn worth_merging(runs: &[Arc<SortedRun>], after: u64) -> Option<usize> {
    let weights: Vec<u64> = runs.iter().map(|run| run.weight()).collect();
    let newer = |from: usize| weights[from + 1..].iter().sum::<u64>();
    let first = runs.partition_point(|run| run.span.after < after);
    let last_two = runs.len().checked_sub(2).filter(|last_two| first <= *last_two)?;
    let worth = (first..=last_two).find(|from| weights[*from] * MERGE_SHARE <= newer(*from));
    worth.or((runs.len() > MAX_RUNS).then_some(last_two))
}

/// The records of several sources, each in order, in one order. An error comes as soon as it is met.
fn merged<const N: usize>(
    mut sources: Vec<impl Iterator<Item = io::Result<[u8; N]>>>,
) -> impl Iterator<Item = io::Result<[u8; N]>> {
    let mut heads: Vec<Option<io::Result<[u8; N]>>> = sources.iter_mut().map(Iterator::next).collect();
    std::iter::from_fn(move || {
        let mut first: Option<(usize, u64, [u8; N])> = None;
        for (place, head) in heads.iter_mut().enumerate() {
            match head {
                None => {}
                Some(Err(_)) => return head.take(),
                Some(Ok(record)) => {
                    let (rank, record) = (prefix(record), *record);
                    if first.is_none_or(|(_, least, other)| rank < least || (rank == least && record < other)) {
                        first = Some((place, rank, record));
                    }
                }
            }
        }
        let (place, _, record) = first?;
        heads[place] = sources[place].next();
        Some(Ok(record))
    })
}

/// Returns `true` if an error says that the bytes read are not the bytes written; others may pass.
pub(crate) fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

/// The files of an index, sorted by what they are good for.
struct Looked {
    /// Runs of events that the journal has, the oldest first.
    runs: Vec<Arc<SortedRun>>,
    /// Runs from the first on that tells of events which the journal doesn't have.
    lost: Vec<Arc<SortedRun>>,
    useless: Vec<Useless>,
}

impl Looked {
    /// Looks at the index in `folder`, and changes nothing.
    fn at(folder: &Path, reader: &mut Reader) -> Result<Self, OpenError> {
        let (mut runs, useless) = opened(folder, &reader.secrets()).map_err(OpenError::History)?;
        let mut ours = 0;
        for run in &runs {
            if reader.frame_with(run.span.to)?.is_none_or(|frame| frame.hash != run.span.hash) {
                break;
            }
            ours += 1;
        }
        let lost = runs.split_off(ours);
        Ok(Self { runs, lost, useless })
    }
}

/// A file of the index that is of no use, and why, where that is not how things are done.
pub(crate) type Useless = (PathBuf, Option<String>);

/// The runs in a folder that follow each other from the first event on, and what else there is.
fn opened(folder: &Path, secrets: &Secrets) -> io::Result<(Vec<Arc<SortedRun>>, Vec<Useless>)> {
    let (mut named, mut useless) = (Vec::new(), Vec::new());
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        match path.file_name().and_then(|name| events_of_name(name.to_str()?)) {
            Some((after, to)) => named.push((after, std::cmp::Reverse(to), path)),
            None if path.extension().is_some_and(|ending| ending == UNFINISHED) => useless.push((path, None)),
            None => {}
        }
    }
    named.sort();
    let (mut runs, mut covered, mut any_older) = (Vec::new(), 0, false);
    for (after, std::cmp::Reverse(to), path) in named {
        if to <= covered {
            // It was merged into the one before.
            useless.push((path, None));
        } else if after != covered {
            useless.push((path, (!any_older).then(|| "what comes before it is missing".to_owned())));
        } else {
            match SortedRun::open(&path, secrets) {
                Ok(run) if (run.span.after, run.span.to) == (after, to) => {
                    covered = to;
                    runs.push(Arc::new(run));
                }
                Ok(_) => useless.push((path, Some("it was given another's name".to_owned()))),
                Err(error) if is_damage(&error) && run::is_older(&path, secrets) => {
                    any_older = true;
                    useless.push((path, None));
                }
                Err(error) if is_damage(&error) => useless.push((path, Some(error.to_string()))),
                Err(error) => return Err(error),
            }
        }
    }
    Ok((runs, useless))
}

/// Number of times the folder is looked at when a file is gone.
const LOOKS: usize = 10;

/// The index of a bank, compared with its journal while that is read.
#[derive(Default)]
pub(crate) struct Comparison {
    deed_keys: DeedKeys,
    runs: Vec<Arc<SortedRun>>,
    /// For each run what its records come to, and those of the journal; nothing where the run can't be read.
    sums: Vec<Option<[u128; 2]>>,
    marks: Recent,
    damages: Vec<String>,
}

impl Comparison {
    /// Reads the index of a data folder.
    pub(crate) fn open(folder: &Path, secrets: &Secrets) -> io::Result<Self> {
        let folder = folder.join(FOLDER);
        // A server that merges runs meanwhile removes those that it has merged.
        let looks = (0..LOOKS).map(|_| if folder.exists() { opened(&folder, secrets) } else { Ok(Default::default()) });
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        let mut looks = looks.skip_while(|look| look.as_ref().is_err_and(gone));
        let (runs, useless) = looks.next().unwrap_or_else(|| Err(io::ErrorKind::NotFound.into()))?;
        let mut damages: Vec<String> =
            useless.into_iter().filter_map(|(path, why)| Some(format!("{}: {}", path.display(), why?))).collect();
        let mut sums = Vec::new();
        for run in &runs {
            let keys = run.keys().map(|record| record.map(|record| sum_of(&record)));
            let marks = run.marks().map(|record| record.map(|record| sum_of(&record)));
            let sum = keys.chain(marks).try_fold(0_u128, |sum, record| Ok::<_, io::Error>(sum.wrapping_add(record?)));
            sums.push(match sum {
                Ok(sum) => Some([sum, 0]),
                Err(error) => {
                    damages.push(format!("{}: {error}", run.path.display()));
                    None
                }
            });
        }
        Ok(Self { deed_keys: DeedKeys::of(secrets), runs, sums, marks: Recent::default(), damages })
    }

    /// Takes note of the journal's next event.
    pub(crate) fn note(&mut self, number: u64, event: &Event) {
        let run = self.runs.partition_point(|run| run.span.to < number);
        let Some(Some([_, sum])) = self.sums.get_mut(run) else { return };
        self.marks.note(number, event);
        let marks = std::mem::take(&mut self.marks.marks);
        let marks = marks.iter().map(|((account, number), mark)| sum_of(&mark_record(*account, *number, mark)));
        let deeds = std::mem::take(&mut self.marks.deeds);
        let deeds = deeds.iter().map(|deed| sum_of(&self.deed_keys.record(*deed)));
        let key = event.request.iter().map(|request| sum_of(&key_record(&request.key, number)));
        *sum = marks.chain(deeds).chain(key).fold(*sum, u128::wrapping_add);
    }

    /// Says in words which files are damaged and, where the journal is in order, which don't agree with it.
    pub(crate) fn finish(self, comparable: bool) -> Vec<String> {
        let mut found = self.damages;
        for (run, sums) in self.runs.iter().zip(self.sums) {
            if comparable && sums.is_some_and(|[stored, journal]| stored != journal) {
                found.push(format!("{}: it says something else than the journal", run.path.display()));
            }
        }
        found
    }
}

/// A record as a number, so that records can be compared in any order by their sums.
fn sum_of(record: &[u8]) -> u128 {
    SipHasher24::new().hash(record).as_u128()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::sync::Arc;

    use bank::Outcomes;
    use journal::{Journal, MasterKey, PageWriter};
    use ledger::{AccountId, Timestamp};

    use super::{Aside, Comparison, DeedKeys, FOLDER, Index, MAX_RUNS, Mark, Marks, RwLock, opened};

    const EVENTS_PER_RUN: u64 = 1_000;

    struct Bench {
        _folder: tempfile::TempDir,
        index: Index,
        written: u64,
    }

    fn key(event: u64) -> [u8; 16] {
        // Spread over all filters and pages, and in another order than the events.
        let high = event.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (u128::from(high) << 64 | u128::from(high.rotate_left(17))).to_be_bytes()
    }

    /// Account 3 has a mark at every event, account 5 at every tenth, account 4 none.
    fn marks(events: std::ops::RangeInclusive<u64>) -> Marks {
        let mark = |event: u64| Mark { event, booked_at: Timestamp(event.cast_signed() * 10), balance_minor: -7 };
        let number = |event: u64| u32::try_from(event).expect("a small number");
        let third = events.clone().map(|event| ((AccountId(3), number(event)), mark(event)));
        let fifth = events.filter(|event| event.is_multiple_of(10));
        third.chain(fifth.map(|event| ((AccountId(5), number(event / 10)), mark(event)))).collect()
    }

    /// Every third event acts on the first of its hundred.
    fn acted_on(event: u64) -> Option<u64> {
        event.is_multiple_of(3).then_some(event / 100 * 100)
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().expect("a folder");
            let journal = Journal::create(&folder.path().join("data"), &MasterKey::generate()).expect("a journal");
            let secrets = journal.secrets();
            let deed_keys = DeedKeys::of(&secrets);
            let index = Index { folder: folder.path().join(FOLDER), secrets, deed_keys, runs: RwLock::default() };
            std::fs::create_dir(&index.folder).expect("a folder");
            Self { _folder: folder, index, written: 0 }
        }

        fn write(&mut self, events: u64) {
            let (after, to) = (self.written, self.written + events);
            let keys: Outcomes = (after + 1..=to).map(|event| (key(event), event)).collect();
            let deeds = (after + 1..=to).filter_map(|event| Some((acted_on(event)?, event))).collect();
            let aside = Aside { after, to, keys: Arc::new(keys), marks: marks(after + 1..=to), deeds };
            self.index.write(&aside, [7; 32]).expect("it is written");
            self.written = to;
        }

        fn check_all(&self) {
            let runs = self.index.runs();
            assert_eq!(runs.covered(), self.written);
            for event in 1..=self.written {
                assert_eq!(runs.outcome_of(&key(event)).expect("readable"), Some(event));
            }
            assert_eq!(runs.outcome_of(&key(self.written + 1)).expect("readable"), None);
            for of in (0..=self.written).step_by(100) {
                let mut found = Vec::new();
                runs.events_of(&self.index.deed_key(of), |event| found.push(event)).expect("readable");
                let expected = (of.max(1)..of + 100).filter(|event| *event <= self.written);
                let expected: Vec<u64> = expected.filter(|event| acted_on(*event) == Some(of)).collect();
                assert_eq!(found, expected, "what acts on event {of}");
            }
            for wanted in (1..=self.written).step_by(37) {
                let later = |_, mark: &Mark| mark.event >= wanted;
                let found = |account| runs.mark_where(AccountId(account), later).expect("readable");
                let tenth = wanted.div_ceil(10) * 10;
                assert_eq!(found(3).map(|(number, mark)| (u64::from(number), mark.event)), Some((wanted, wanted)));
                assert_eq!(found(4), None);
                assert_eq!(found(5).map(|(_, mark)| mark.event), (tenth <= self.written).then_some(tenth));
                assert_eq!(found(6), None);
            }
        }
    }

    #[test]
    fn merging_changes_nothing_and_leaves_few_runs() {
        let mut bench = Bench::new();
        for _ in 0..30 {
            bench.write(EVENTS_PER_RUN);
            bench.index.merge(0, &mut |_| Ok(())).expect("merged");
        }
        bench.check_all();
        let of = |run: &Arc<super::SortedRun>| (run.span.to - run.span.after) / EVENTS_PER_RUN;
        let sizes: Vec<u64> = bench.index.runs().0.iter().map(of).collect();
        assert_eq!(sizes, [16, 4, 5, 4, 1], "tiers, each about four times the next");
        let (again, useless) = opened(&bench.index.folder, &bench.index.secrets).expect("opened");
        assert_eq!((again.len(), useless), (sizes.len(), Vec::new()), "what was merged is removed");
    }

    #[test]
    fn an_index_of_an_earlier_form_is_made_again_and_is_no_damage() {
        let mut bench = Bench::new();
        let folder = bench.index.folder.clone();
        for _ in 0..2 {
            bench.write(100);
        }
        let mut paths: Vec<_> =
            fs::read_dir(&folder).expect("a folder").map(|file| file.expect("a file").path()).collect();
        paths.sort();
        assert_eq!(paths.len(), 2);
        for (is_whole, expected) in [(true, [None, None]), (false, [Some(()), Some(())])] {
            for path in &paths {
                let file = fs::File::create(path).expect("a file");
                let pages = PageWriter::new(file, &bench.index.secrets, super::run::OLDER_CONTEXT).expect("written");
                pages.finish(b"as it was").expect("written");
                if !is_whole {
                    let mut bytes = fs::read(path).expect("readable");
                    let last = bytes.len() - 1;
                    bytes[last] ^= 1;
                    fs::write(path, bytes).expect("written");
                }
            }
            let (runs, mut useless) = opened(&folder, &bench.index.secrets).expect("readable");
            useless.sort();
            assert!(runs.is_empty());
            let told: Vec<_> = useless.iter().map(|(_, reason)| reason.as_ref().map(|_| ())).collect();
            assert_eq!(told, expected, "{useless:?}");
        }
    }

    #[test]
    fn small_runs_never_become_many() {
        let mut bench = Bench::new();
        // Each so much smaller than the one before that merging isn't worth it but for their number.
        for doubling in (0..14).rev() {
            bench.write(1 << doubling);
            bench.index.merge(0, &mut |_| Ok(())).expect("merged");
            assert!(bench.index.runs().0.len() <= MAX_RUNS);
        }
        bench.check_all();
    }

    #[test]
    fn what_was_written_is_not_written_again() {
        let mut bench = Bench::new();
        bench.write(EVENTS_PER_RUN);
        bench.written = 0;
        bench.write(EVENTS_PER_RUN);
        assert_eq!(bench.index.runs().0.len(), 1);
        bench.check_all();
    }

    #[test]
    fn damage_stops_a_merge_and_leaves_nothing_behind() {
        let mut bench = Bench::new();
        for _ in 0..4 {
            bench.write(EVENTS_PER_RUN);
        }
        let path = bench.index.runs().0[1].path.clone();
        let mut bytes = std::fs::read(&path).expect("the file");
        bytes[5_000] ^= 1;
        std::fs::write(&path, bytes).expect("flipped");
        for _ in 0..3 {
            let error = bench.index.merge(0, &mut |_| Ok(())).expect_err("a page is damaged");
            assert!(super::is_damage(&error), "{error}");
        }
        assert_eq!(std::fs::read_dir(&bench.index.folder).expect("the folder").count(), 4);
        bench.index.distrust(&std::io::ErrorKind::InvalidData.into());
        assert_eq!(
            opened(&bench.index.folder, &bench.index.secrets).expect("looked at").0.len(),
            0,
            "it is made again"
        );
    }

    #[test]
    fn an_interrupted_merge_leaves_what_was() {
        let mut bench = Bench::new();
        // Enough records that the merge pauses.
        for _ in 0..4 {
            bench.write(20_000);
        }
        let stop = |_| Err(std::io::ErrorKind::Interrupted.into());
        bench.index.merge(0, &mut { stop }).expect_err("interrupted");
        assert_eq!(bench.index.runs().0.len(), 4);
        let (again, useless) = opened(&bench.index.folder, &bench.index.secrets).expect("opened");
        assert_eq!((again.len(), useless.len()), (4, 0), "nothing is left of it");
    }

    #[test]
    fn damage_is_found_wherever_it_is() {
        let mut bench = Bench::new();
        bench.write(EVENTS_PER_RUN);
        let path = bench.index.runs().0[0].path.clone();
        let whole = std::fs::read(&path).expect("the file");
        for place in (0..whole.len()).step_by(97) {
            let mut bytes = whole.clone();
            bytes[place] ^= 1 << (place % 8);
            std::fs::write(&path, bytes).expect("flipped");
            let data = bench.index.folder.parent().expect("the data folder");
            let found = Comparison::open(data, &bench.index.secrets).expect("it can be looked at").finish(false);
            assert_eq!(found.len(), 1, "byte {place}");
        }
        std::fs::write(&path, &whole[..whole.len() - 4096]).expect("cut short");
        let (runs, useless) = opened(&bench.index.folder, &bench.index.secrets).expect("looked at");
        assert_eq!((runs.len(), useless.len()), (0, 1));
    }

    #[test]
    fn a_gap_makes_what_follows_useless_and_what_was_merged_is_left_out() {
        let mut bench = Bench::new();
        let mut files = BTreeMap::new();
        for number in 0..4 {
            bench.write(EVENTS_PER_RUN);
            let path = bench.index.runs().0[number].path.clone();
            files.insert(path.clone(), std::fs::read(path).expect("the file"));
        }
        bench.index.merge(0, &mut |_| Ok(())).expect("merged");
        // As if the machine had stopped before the merged ones were removed.
        files.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).expect("put back"));
        let looked = || opened(&bench.index.folder, &bench.index.secrets).expect("looked at");
        let (runs, useless) = looked();
        assert_eq!((runs.len(), useless.len()), (1, 4));
        assert!(useless.iter().all(|(_, why)| why.is_none()));
        // Without the merged one, those it was made of serve, as far as there is no gap.
        std::fs::remove_file(&runs[0].path).expect("removed");
        assert_eq!(looked().0.len(), 4);
        std::fs::remove_file(files.keys().nth(1).expect("the second")).expect("removed");
        let (runs, useless) = looked();
        assert_eq!((runs.len(), useless.iter().filter(|(_, why)| why.is_some()).count()), (1, 2));
    }
}
