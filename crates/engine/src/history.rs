//! The past of each account, read from the journal.
//!
//! Every entry in the journal names the posting that made the account's entry before it, so an account can be walked
//! backwards from its newest entry. Marks, one for every 64th entry, are where a walk into the past may begin: any
//! entry is at most 63 steps from one. They are derived from the journal and kept in memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use bank::{Event, PastPosting, Purpose, Sealed, UserId, What};
use journal::Frame;
use ledger::{AccountId, Cause, PostingId, Timestamp, ValueDate};

use crate::handle::Shared;
use crate::{Engine, Recorded, Unavailable};

/// How many entries of an account lie between two marks. At 24 bytes a mark this costs less than a byte a transfer,
/// and a walk from a mark reads at most this many frames.
const ENTRIES_PER_MARK: u64 = 64;

/// The most entries that one statement may have, so that one request can't fill the memory. A page of print has 50.
pub const MAX_WALK: usize = 100_000;

/// How many decrypted frames are kept at hand, of about 16 KiB each. Walks often come back to the frame they left.
const FRAMES_AT_HAND: usize = 512;

/// The marks of all accounts.
#[derive(Default)]
pub(crate) struct History {
    marks: Vec<Vec<Mark>>,
}

/// What an account was after its entry number 64, 128, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) event: u64,
    pub(crate) booked_at: Timestamp,
    pub(crate) balance_minor: i64,
}

impl History {
    /// Notes an event's entries.
    pub(crate) fn note(&mut self, number: u64, event: &Event) {
        let What::Posted { posting, .. } = &event.what else { return };
        for booked in posting.legs() {
            for (account, entry) in [(booked.leg.debit, booked.debit), (booked.leg.credit, booked.credit)] {
                if entry.ordinal.is_multiple_of(ENTRIES_PER_MARK) {
                    let mark =
                        Mark { event: number, booked_at: posting.booked_at(), balance_minor: entry.balance_minor };
                    self.restore(account, mark);
                }
            }
        }
    }

    /// All marks, by account, for a checkpoint.
    pub(crate) fn marks(&self) -> impl Iterator<Item = (AccountId, &Mark)> {
        let accounts = (0..).map(AccountId).zip(&self.marks);
        accounts.flat_map(|(account, marks)| marks.iter().map(move |mark| (account, mark)))
    }

    /// Adds an account's next mark.
    pub(crate) fn restore(&mut self, account: AccountId, mark: Mark) {
        let place = account.0 as usize;
        if self.marks.len() <= place {
            self.marks.resize_with(place + 1, Vec::new);
        }
        self.marks[place].push(mark);
    }

    fn of(&self, account: AccountId) -> &[Mark] {
        self.marks.get(account.0 as usize).map_or(&[], Vec::as_slice)
    }
}

/// An entry of an account, as a statement shows it. Amounts count credits as positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The event that booked it, which is the posting's id.
    pub posting: PostingId,
    /// Its number within the account, from 1.
    pub ordinal: u64,
    /// What it added to the balance, in minor units; negative for a debit.
    pub amount_minor: i64,
    /// The balance after it, in minor units.
    pub balance_minor: i64,
    /// When it was booked.
    pub booked_at: Timestamp,
    /// From which day on it counts for interest.
    pub value_date: ValueDate,
    /// The account on the other side.
    pub counterparty: AccountId,
    /// What it is for.
    pub purpose: Purpose,
    /// What it captured or undid.
    pub cause: Cause,
    /// Who asked for it.
    pub by: UserId,
    /// The text that went with it.
    pub text: Option<Sealed>,
}

/// An account over a span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Period {
    /// The balance before the first entry, in minor units.
    pub opening_minor: i64,
    /// The entries, the oldest first.
    pub entries: Vec<HistoryEntry>,
    /// The balance after the last entry, in minor units.
    pub closing_minor: i64,
}

/// Why the past can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// The span holds more than [`MAX_WALK`] entries.
    #[error("the period has more than {MAX_WALK} entries; ask for a shorter one")]
    TooLong,
    /// The engine can't answer now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Where a walk begins: an entry of an account, and the event that made it.
#[derive(Debug, Clone, Copy)]
struct Start {
    event: u64,
    ordinal: u64,
}

impl Engine {
    /// One durable event.
    pub fn event(&self, number: u64) -> Result<Option<Recorded>, Unavailable> {
        let Some(frame) = self.shared.frames.frame_with(&self.shared, number)? else { return Ok(None) };
        let event = Event::decode_nth(&frame.body, number - frame.first_event)
            .map_err(|error| Unavailable::Failed(format!("event {number}: {error}")))?;
        Ok(Some(Recorded { number, at: Timestamp(frame.time_ms), event }))
    }

    /// The posting that a refund or reversal names, for its [`crate::Submission`].
    pub fn past_posting(&self, id: PostingId) -> Result<Option<PastPosting>, Unavailable> {
        Ok(match self.event(id.event())?.map(|recorded| recorded.event.what) {
            Some(What::Posted { posting, .. }) => Some(PastPosting { id, posting }),
            _ => None,
        })
    }

    /// Up to `limit` entries of an account, the newest first, from before the entry numbered `before` on, or from the
    /// newest of all.
    pub async fn entries(
        &self,
        account: AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, HistoryError> {
        let newest = before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let start = self.start_of_walk(account, |_, ordinal| ordinal >= newest).await?;
        self.walk(account, start, move |entries, entry| {
            if entry.ordinal <= newest && entries.len() < limit {
                entries.push(entry);
            }
            Ok(entries.len() < limit)
        })
        .await
    }

    /// The posted balance of an account at the end of the moment `at`, by booking time, in minor units.
    pub async fn balance_at(&self, account: AccountId, at: Timestamp) -> Result<i64, HistoryError> {
        let start = self.start_of_walk(account, move |mark, _| mark.booked_at > at).await?;
        let last = self
            .walk(account, start, move |entries, entry| {
                if entry.booked_at <= at {
                    entries.push(entry);
                }
                Ok(entries.is_empty())
            })
            .await?;
        Ok(last.first().map_or(0, |entry| entry.balance_minor))
    }

    /// An account from the moment `from` to the one before `until`, by booking time.
    pub async fn period(&self, account: AccountId, from: Timestamp, until: Timestamp) -> Result<Period, HistoryError> {
        let start = self.start_of_walk(account, move |mark, _| mark.booked_at >= until).await?;
        let mut entries = self
            .walk(account, start, move |entries, entry| {
                let within = entry.booked_at >= from;
                if within && entries.len() >= MAX_WALK && entry.booked_at < until {
                    return Err(HistoryError::TooLong);
                }
                if entry.booked_at < until {
                    entries.push(entry);
                }
                Ok(within)
            })
            .await?;
        // The walk ends with the last entry before the period, whose balance opens it.
        let before = entries.pop_if(|entry| entry.booked_at < from);
        let opening_minor = before.map_or(0, |entry| entry.balance_minor);
        entries.reverse();
        let closing_minor = entries.last().map_or(opening_minor, |entry| entry.balance_minor);
        Ok(Period { opening_minor, entries, closing_minor })
    }

    /// Where to begin: the first mark for which `after` holds, or else the account's newest entry. None when the
    /// account has no entries. What was seen is durable when this returns.
    async fn start_of_walk(
        &self,
        account: AccountId,
        after: impl Fn(&Mark, u64) -> bool,
    ) -> Result<Option<Start>, HistoryError> {
        let (found, stamp) = self.shared.look(|books| {
            let known = books.state.ledger().account(account);
            let marks = books.history.of(account);
            let place = first_place(marks.len(), |place| after(&marks[place], ordinal_of(place)));
            let newest = known.and_then(|known| {
                known.last_posting.map(|posting| Start { event: posting.event(), ordinal: known.entries })
            });
            let at_mark = marks.get(place).map(|mark| Start { event: mark.event, ordinal: ordinal_of(place) });
            known.map(|_| at_mark.or(newest))
        })?;
        self.shared.until_durable(stamp).await?;
        found.ok_or(HistoryError::UnknownAccount)
    }

    /// Walks back from `start`, giving each entry to `take` until it says that it has enough.
    async fn walk(
        &self,
        account: AccountId,
        start: Option<Start>,
        mut take: impl FnMut(&mut Vec<HistoryEntry>, HistoryEntry) -> Result<bool, HistoryError> + Send + 'static,
    ) -> Result<Vec<HistoryEntry>, HistoryError> {
        let Some(Start { event, ordinal }) = start else { return Ok(Vec::new()) };
        let engine = self.clone();
        let walked = tokio::task::spawn_blocking(move || {
            let mut entries = Vec::new();
            let mut next = PostingId::new(event);
            while let Some(posting) = next {
                let (mut made, previous) = engine.entries_of(account, posting)?;
                made.retain(|entry| entry.ordinal <= ordinal);
                next = previous;
                for entry in made.into_iter().rev() {
                    if !take(&mut entries, entry)? {
                        return Ok(entries);
                    }
                }
            }
            Ok(entries)
        });
        walked.await.map_err(|_| Unavailable::Stopping)?
    }

    /// The entries that one posting made in an account, oldest first, and the posting that made the one before.
    fn entries_of(
        &self,
        account: AccountId,
        id: PostingId,
    ) -> Result<(Vec<HistoryEntry>, Option<PostingId>), Unavailable> {
        let recorded = self.event(id.event())?;
        let Some((by, What::Posted { posting, purpose, text })) =
            recorded.map(|recorded| (recorded.event.by, recorded.event.what))
        else {
            return Err(Unavailable::Failed(format!("event {} is named as a posting and is none", id.event())));
        };
        let previous = posting.entries_of(account).next().and_then(|(_, entry, _)| entry.previous);
        let entries = posting.entries_of(account).map(|(booked, entry, credited)| HistoryEntry {
            posting: id,
            ordinal: entry.ordinal,
            amount_minor: if credited { booked.leg.amount.minor } else { -booked.leg.amount.minor },
            balance_minor: entry.balance_minor,
            booked_at: posting.booked_at(),
            value_date: posting.value_date(),
            counterparty: if credited { booked.leg.debit } else { booked.leg.credit },
            purpose,
            cause: posting.cause(),
            by,
            text: text.clone(),
        });
        Ok((entries.collect(), previous))
    }
}

/// The number of the entry that the mark at a place stands for.
fn ordinal_of(place: usize) -> u64 {
    (place as u64 + 1) * ENTRIES_PER_MARK
}

/// The first of `count` places for which `holds` is true, given that it stays true from there on; `count` if none.
fn first_place(count: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) { high = middle } else { low = middle + 1 }
    }
    low
}

/// Decrypted frames at hand. The one kept longest makes room.
#[derive(Default)]
pub(crate) struct FrameCache(Mutex<KeptFrames>);

#[derive(Default)]
struct KeptFrames {
    by_first_event: BTreeMap<u64, Arc<Frame>>,
    oldest_first: VecDeque<u64>,
}

impl FrameCache {
    /// The frame that holds an event, if it is durable.
    pub(crate) fn frame_with(&self, shared: &Shared, event: u64) -> Result<Option<Arc<Frame>>, Unavailable> {
        if let Some(frame) = self.kept().with(event) {
            return Ok(Some(frame));
        }
        let Some(frame) = shared.with_reader(|reader| reader.frame_with(event))?.map(Arc::new) else {
            return Ok(None);
        };
        self.kept().keep(Arc::clone(&frame));
        Ok(Some(frame))
    }

    fn kept(&self) -> MutexGuard<'_, KeptFrames> {
        self.0.lock().expect("no thread panics while it holds the frames")
    }
}

impl KeptFrames {
    fn with(&self, event: u64) -> Option<Arc<Frame>> {
        let (_, frame) = self.by_first_event.range(..=event).next_back()?;
        (event - frame.first_event < u64::from(frame.count)).then(|| Arc::clone(frame))
    }

    fn keep(&mut self, frame: Arc<Frame>) {
        let first_event = frame.first_event;
        if self.by_first_event.insert(first_event, frame).is_none() {
            self.oldest_first.push_back(first_event);
        }
        if self.oldest_first.len() > FRAMES_AT_HAND
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.by_first_event.remove(&oldest);
        }
    }
}
