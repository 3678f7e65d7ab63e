//! The past of each account, read from the journal.
//!
//! Every entry in the journal names the posting that made the account's entry before it, so an account can be walked
//! backwards from its newest entry. Marks, one for every 64th entry, are where a walk into the past may begin: any
//! entry is at most 63 steps from one. They are derived from the journal and kept in the index.

mod deeds;
mod filter;
mod index;
mod payments;
mod run;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use bank::{Event, HoldEvent, PastPosting, PaymentEvent, Purpose, Request, Said, State, SubjectId, UserId, What};
use journal::Frame;
use ledger::{AccountId, Cause, HoldId, PostingId, Timestamp, ValueDate};
use tokio::runtime::Handle;

use crate::handle::Shared;
use crate::{Engine, Recorded, Submission, Unavailable};

pub use deeds::{Deeds, MAX_DEEDS};
use index::Runs;
pub(crate) use index::{Aside, Comparison, Index, RECORDS_BETWEEN_PAUSES, Recent, is_damage};
pub use payments::{Listed, MAX_LOOKED_AT, MAX_MERGED, Wanted};

/// Number of entries of an account from one mark to the next. At 32 bytes a mark this costs a byte a transfer on disk,
/// and a walk from a mark to any entry reads at most this many frames.
const ENTRIES_PER_MARK: u64 = 64;

/// The most entries that one statement may have, so that one request can't fill the memory. A page of print has 50.
pub const MAX_WALK: usize = 100_000;

/// The most entries that one search looks at. Where the account's entries are far apart each takes a frame, of 0.1 ms.
pub const MAX_SCAN: usize = 2_000;

/// Number of decrypted frames kept at hand, of about 16 KiB each. Walks often come back to the frame they left.
const FRAMES_AT_HAND: usize = 512;

/// State of an account after its entry number 64, 128, ….
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) event: u64,
    pub(crate) booked_at: Timestamp,
    pub(crate) balance_minor: i64,
}

/// An entry of an account, as a statement shows it. Amounts count credits as positive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryEntry {
    /// The event that booked it, which is the posting's id.
    pub posting: PostingId,
    /// Its number within the account, from 1.
    pub ordinal: u64,
    /// Amount it added to the balance, in minor units; negative for a debit.
    pub amount_minor: i64,
    /// The balance after it, in minor units.
    pub balance_minor: i64,
    /// Time of its booking.
    pub booked_at: Timestamp,
    /// Day from which it counts for interest.
    pub value_date: ValueDate,
    /// The account on the other side.
    pub counterparty: AccountId,
    /// Its purpose.
    pub purpose: Purpose,
    /// The hold or posting that it captured or undid, if any.
    pub cause: Cause,
    /// User who asked for it.
    pub by: UserId,
    /// What went with it, for both sides.
    pub said: Said,
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

/// Reason the past can't be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// There is no such account.
    #[error("there is no such account")]
    UnknownAccount,
    /// The span holds more than [`MAX_WALK`] entries.
    #[error("the period has more than {MAX_WALK} entries; ask for a shorter one, or for the entries page by page")]
    TooLong,
    /// The engine can't answer now.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Start of a walk: an entry of an account, and the event that made it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    event: u64,
    ordinal: u64,
}

impl Start {
    fn at((number, mark): (u32, Mark)) -> Self {
        Self { event: mark.event, ordinal: ordinal_of(number) }
    }
}

/// Filter on the entries of an account. Every field that is given must hold.
#[derive(Debug, Clone, Default)]
pub struct Search {
    /// Below this number: the cursor of a page.
    pub before: Option<u64>,
    /// Booked at this moment or later.
    pub from: Option<Timestamp>,
    /// Booked before this moment.
    pub until: Option<Timestamp>,
    /// Minimum amount in minor units, in or out.
    pub min_minor: Option<u64>,
    /// Maximum amount in minor units, in or out.
    pub max_minor: Option<u64>,
    /// Account on the other side.
    pub counterparty: Option<AccountId>,
    /// Part of the text; capital and small letters are the same.
    pub text: Option<String>,
}

impl Search {
    fn asks_for(&self, engine: &Engine, owners: &[SubjectId], entry: &mut HistoryEntry) -> Result<bool, Unavailable> {
        let minor = entry.amount_minor.unsigned_abs();
        let plain = self.min_minor.is_none_or(|min| minor >= min)
            && self.max_minor.is_none_or(|max| minor <= max)
            && self.counterparty.is_none_or(|other| entry.counterparty == other);
        if plain {
            entry.find_said(engine)?;
        }
        let (true, Some(wanted)) = (plain, &self.text) else { return Ok(plain) };
        let text = engine.open_said(&entry.said, owners)?.text;
        Ok(text.is_some_and(|text| text.to_lowercase().contains(&wanted.to_lowercase())))
    }
}

impl HistoryEntry {
    /// Finds what was said with a capture, which is what was said with its hold. For a thread that may wait for the disk.
    fn find_said(&mut self, engine: &Engine) -> Result<(), Unavailable> {
        if let Cause::Capture { hold, .. } = self.cause {
            self.said = engine.said_with(hold)?;
        }
        Ok(())
    }
}

/// One page of what a search found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found {
    /// The entries, the newest first.
    pub entries: Vec<HistoryEntry>,
    /// Cursor of the next page, as [`Search::before`]; none where nothing is left.
    pub next: Option<u64>,
}

/// Findings of the index about the keys of some commands.
pub(crate) struct Earlier {
    /// Up to this event it was looked for on disk. What is later is in memory.
    pub(crate) covered: u64,
    /// The first outcomes, by whose key it is, in order.
    outcomes: Vec<(Whose, u64)>,
}

/// Owner of a key: that of the command at a place, or of its rivals.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    Own(usize),
    Rivals(usize),
}

impl Earlier {
    /// The first outcome of the key of the command at a place.
    pub(crate) fn outcome(&self, place: usize) -> Option<u64> {
        self.of(Whose::Own(place))
    }

    /// Returns `true` if anything was asked for under a key that the one of the command at a place excludes.
    pub(crate) fn knows_rival(&self, place: usize) -> bool {
        self.of(Whose::Rivals(place)).is_some()
    }

    fn of(&self, whose: Whose) -> Option<u64> {
        let at = self.outcomes.binary_search_by_key(&whose, |(whose, _)| *whose).ok()?;
        Some(self.outcomes[at].1)
    }
}

/// Keys that may be known to the index. Nearly always none, so that nobody asks the disk.
struct Suspects {
    runs: Runs,
    keys: Vec<(Whose, [u8; 16])>,
}

impl Suspects {
    fn confirm(self) -> io::Result<Earlier> {
        let mut outcomes = Vec::new();
        for (whose, key) in &self.keys {
            outcomes.extend(self.runs.outcome_of(key)?.map(|event| (*whose, event)));
        }
        outcomes.sort_unstable();
        Ok(Earlier { covered: self.runs.covered(), outcomes })
    }
}

/// The keys of commands and of their rivals.
fn keys_of(commands: &[Submission]) -> impl Iterator<Item = (Whose, [u8; 16])> {
    commands.iter().enumerate().flat_map(|(place, one)| {
        let own = one.command.request.map(|request| (Whose::Own(place), request.key));
        let rivals = one.rivals.iter().flat_map(|keys| keys.iter());
        own.into_iter().chain(rivals.map(move |key| (Whose::Rivals(place), *key)))
    })
}

impl Shared {
    /// Finds those of some keys that may be known to the index.
    fn suspects(&self, keys: impl IntoIterator<Item = (Whose, [u8; 16])>) -> Suspects {
        let runs = self.index.runs();
        let (whose, keys): (Vec<Whose>, Vec<[u8; 16]>) = keys.into_iter().unzip();
        let keys = runs.suspects(&keys).into_iter().map(|at| (whose[at], keys[at])).collect();
        Suspects { runs, keys }
    }

    /// Looks for the keys of commands in the index. May ask the disk.
    pub(crate) fn look_back(&self, commands: &[Submission]) -> Result<Earlier, Unavailable> {
        self.suspects(keys_of(commands)).confirm().map_err(|error| self.damaged(&error))
    }

    fn damaged(&self, error: &io::Error) -> Unavailable {
        if is_damage(error) {
            self.index.distrust(error);
        }
        Unavailable::Failed(format!("the index of the past can't be read: {error}"))
    }
}

impl Engine {
    /// Does as [`Shared::look_back`], where nobody may wait for the disk.
    pub(crate) async fn look_back(&self, commands: &[Submission]) -> Result<Earlier, Unavailable> {
        self.look_back_for(keys_of(commands)).await
    }

    async fn look_back_for(&self, keys: impl IntoIterator<Item = (Whose, [u8; 16])>) -> Result<Earlier, Unavailable> {
        let suspects = self.shared.suspects(keys);
        let confirmed = match Handle::try_current() {
            Ok(runtime) if !suspects.keys.is_empty() => {
                runtime.spawn_blocking(|| suspects.confirm()).await.map_err(|_| Unavailable::Stopping)?
            }
            // Nothing to ask the disk; or a caller without a runtime, who may wait.
            _ => suspects.confirm(),
        };
        confirmed.map_err(|error| self.shared.damaged(&error))
    }

    /// Finds the event that was the first outcome of a key under which something was asked for, of whatever age. It is
    /// durable when it is given.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the index or the journal can't be read, or if the engine is stopping or has
    /// failed.
    pub async fn outcome_of(&self, request: Request) -> Result<Option<Recorded>, Unavailable> {
        Ok(self.outcomes_of(vec![request]).await?.pop().flatten())
    }

    /// Does as [`Engine::outcome_of`] for several keys, in order.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::outcome_of`] does.
    pub async fn outcomes_of(&self, requests: Vec<Request>) -> Result<Vec<Option<Recorded>>, Unavailable> {
        let newest = |state: &State| requests.iter().map(|request| state.outcome_of(&request.key)).collect::<Vec<_>>();
        let (newest, stamp) = self.shared.look(|books| newest(&books.state))?;
        self.shared.until_durable(stamp).await?;
        // Looked for on disk afterwards: what has left memory meanwhile is there.
        let missing = requests.iter().zip(&newest).enumerate().filter(|(_, (_, known))| known.is_none());
        let keys: Vec<_> = missing.map(|(place, (request, _))| (Whose::Own(place), request.key)).collect();
        let earlier = self.look_back_for(keys).await?;
        let engine = self.clone();
        let read = self.shared.look_into_the_past(move || {
            let event = |(place, newest): (usize, Option<u64>)| newest.or_else(|| earlier.outcome(place));
            let events = newest.into_iter().enumerate().map(event);
            events.map(|event| event.map_or(Ok(None), |event| engine.event(event))).collect()
        });
        read.await?
    }

    /// Tells whether anything was asked for under one of these keys, durable or not. The disk is asked only where the
    /// filters in memory say that it may be so.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the index can't be read, or if the engine is stopping or has failed.
    pub async fn knows_any(&self, keys: &[[u8; 16]]) -> Result<bool, Unavailable> {
        Ok(self.known(keys).await?.iter().any(|known| *known))
    }

    /// Tells for each of these keys, in order, whether anything was asked for under it; durable or not.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::knows_any`] does.
    pub async fn known(&self, keys: &[[u8; 16]]) -> Result<Vec<bool>, Unavailable> {
        let known = |state: &State| keys.iter().map(|key| state.outcome_of(key).is_some()).collect();
        let mut known: Vec<bool> = self.peek(known)?;
        // Looked for on disk afterwards: what has left memory meanwhile is there.
        let missing = keys.iter().enumerate().filter(|(place, _)| !known[*place]);
        let keys: Vec<_> = missing.map(|(place, key)| (Whose::Own(place), *key)).collect();
        let earlier = self.look_back_for(keys).await?;
        known.iter_mut().enumerate().for_each(|(place, known)| *known |= earlier.outcome(place).is_some());
        Ok(known)
    }

    /// Reads one durable event. For a thread that may wait for the disk.
    ///
    /// # Errors
    ///
    /// Fails with [`Unavailable`] if the journal can't be read, or its frame can't be understood.
    pub fn event(&self, number: u64) -> Result<Option<Recorded>, Unavailable> {
        let frame = self.shared.frames.frame_with(&self.shared, number)?;
        frame.map(|frame| recorded(&frame, number)).transpose()
    }

    /// Does as [`Engine::event`], where nobody may wait for the disk.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::event`] does, and with [`Unavailable::Stopping`] if the runtime is shutting down.
    pub async fn find_event(&self, number: u64) -> Result<Option<Recorded>, Unavailable> {
        if let Some(frame) = self.shared.frames.at_hand(number) {
            return recorded(&frame, number).map(Some);
        }
        if Handle::try_current().is_err() {
            // A caller without a runtime, who may wait.
            return self.event(number);
        }
        let engine = self.clone();
        self.shared.look_into_the_past(move || engine.event(number)).await?
    }

    /// Reads the posting that a refund or reversal names, for its [`crate::Submission`].
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::event`] does.
    pub fn past_posting(&self, id: PostingId) -> Result<Option<PastPosting>, Unavailable> {
        Ok(match self.event(id.event())?.map(|recorded| recorded.event.what) {
            Some(What::Payments(PaymentEvent::Posted { posting, .. })) => Some(PastPosting { id, posting }),
            Some(What::Payments(PaymentEvent::PaidAll { .. }))
            | Some(What::System(_) | What::Access(_) | What::Accounts(_) | What::Holds(_))
            | None => None,
        })
    }

    /// Reads up to `limit` entries of an account, the newest first, from before the entry numbered `before` on, or from
    /// the newest of all.
    ///
    /// # Errors
    ///
    /// Fails with [`HistoryError::UnknownAccount`] if there is no such account, and with [`HistoryError::Unavailable`]
    /// if the past can't be read.
    pub async fn entries(
        &self,
        account: AccountId,
        before: Option<u64>,
        limit: usize,
    ) -> Result<Vec<HistoryEntry>, HistoryError> {
        Ok(self.search(account, Search { before, ..Search::default() }, limit).await?.entries)
    }

    /// Reads one page of up to `limit` entries of an account that a search asks for, the newest first. Looks at
    /// [`MAX_SCAN`] entries at most, and gives a cursor to go on from.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::entries`] does.
    pub async fn search(&self, account: AccountId, search: Search, limit: usize) -> Result<Found, HistoryError> {
        let newest = search.before.map_or(u64::MAX, |before| before.saturating_sub(1));
        let until = search.until.unwrap_or(Timestamp(i64::MAX));
        let engine = self.clone();
        let owners: Vec<SubjectId> = match search.text {
            Some(_) => self.peek(|state| state.owners(account).collect())?,
            None => Vec::new(),
        };
        let mut scanned = 0;
        let after = move |mark: &Mark, ordinal| ordinal >= newest || mark.booked_at >= until;
        self.walk(account, after, Found::default(), move |found, mut entry| {
            if entry.ordinal > newest || entry.booked_at >= until {
                return Ok(true);
            }
            // Booking times never run backwards within an account.
            if limit == 0 || search.from.is_some_and(|from| entry.booked_at < from) {
                return Ok(false);
            }
            scanned += 1;
            let ordinal = entry.ordinal;
            if search.asks_for(&engine, &owners, &mut entry)? {
                found.entries.push(entry);
            }
            let enough = found.entries.len() >= limit || scanned >= MAX_SCAN;
            found.next = (enough && ordinal > 1).then_some(ordinal);
            Ok(!enough)
        })
        .await
    }

    /// Finds the posted balance of an account at the end of the moment `at`, by booking time, in minor units.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::entries`] does.
    pub async fn balance_at(&self, account: AccountId, at: Timestamp) -> Result<i64, HistoryError> {
        self.walk(
            account,
            move |mark, _| mark.booked_at > at,
            0,
            move |balance, entry| {
                if entry.booked_at <= at {
                    *balance = entry.balance_minor;
                }
                Ok(entry.booked_at > at)
            },
        )
        .await
    }

    /// Reads an account from the moment `from` to the one before `until`, by booking time.
    ///
    /// # Errors
    ///
    /// Fails with [`HistoryError::TooLong`] if the period has more than [`MAX_WALK`] entries, and as
    /// [`Engine::entries`] does.
    pub async fn period(&self, account: AccountId, from: Timestamp, until: Timestamp) -> Result<Period, HistoryError> {
        let after = move |mark: &Mark, _| mark.booked_at >= until;
        let engine = self.clone();
        let mut entries = self
            .walk(account, after, Vec::new(), move |entries, mut entry| {
                let within = entry.booked_at >= from;
                if within && entries.len() >= MAX_WALK && entry.booked_at < until {
                    return Err(HistoryError::TooLong);
                }
                if entry.booked_at < until {
                    if within {
                        entry.find_said(&engine)?;
                    }
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

    /// Walks an account backwards from its first mark for which `after` holds (given that it holds for all that follow),
    /// or else from its newest entry. Gives each entry to `take`, with what was gathered so far, until that says that
    /// it has enough. What is seen is durable.
    async fn walk<T: Send + 'static>(
        &self,
        account: AccountId,
        after: impl Fn(&Mark, u64) -> bool + Send + 'static,
        mut gathered: T,
        mut take: impl FnMut(&mut T, HistoryEntry) -> Result<bool, HistoryError> + Send + 'static,
    ) -> Result<T, HistoryError> {
        let after = move |number: u32, mark: &Mark| after(mark, ordinal_of(number));
        let (seen, stamp) = self.shared.look(|books| {
            let known = books.state.ledger().account(account)?;
            let newest = known.last_posting.map(|posting| Start { event: posting.event(), ordinal: known.entries });
            let (mark, older) = books.recent.mark_where(account, &after);
            Some((mark.map(Start::at).or(newest), older.filter(|_| known.entries >= ENTRIES_PER_MARK)))
        })?;
        self.shared.until_durable(stamp).await?;
        let (start, older) = seen.ok_or(HistoryError::UnknownAccount)?;
        let Some(start) = start else { return Ok(gathered) };
        let engine = self.clone();
        let walked = self.shared.look_into_the_past(move || {
            let Start { event, ordinal } = engine.older_start(account, older, after)?.unwrap_or(start);
            let mut next = PostingId::new(event);
            while let Some(posting) = next {
                let (mut made, previous) = engine.entries_of(account, posting)?;
                made.retain(|entry| entry.ordinal <= ordinal);
                next = previous;
                for entry in made.into_iter().rev() {
                    if !take(&mut gathered, entry)? {
                        return Ok(gathered);
                    }
                }
            }
            Ok(gathered)
        });
        walked.await?
    }

    /// Reads what was said with a hold, which its captures say as well. For a thread that may wait for the disk.
    ///
    /// # Errors
    ///
    /// Fails as [`Engine::event`] does, and if there is no such hold.
    pub fn said_with(&self, hold: HoldId) -> Result<Said, Unavailable> {
        match self.event(hold.event())?.map(|recorded| recorded.event.what) {
            Some(What::Holds(HoldEvent::HoldPlaced { text, copies, .. })) => {
                Ok(Said { text, end_to_end_id: None, copies })
            }
            _ => Err(Unavailable::Failed(format!("event {} is named as a hold and is none", hold.event()))),
        }
    }

    /// The first mark for which `after` holds on disk, of those numbered below `older`.
    pub(super) fn older_start(
        &self,
        account: AccountId,
        older: Option<u32>,
        after: impl Fn(u32, &Mark) -> bool,
    ) -> Result<Option<Start>, Unavailable> {
        let Some(older) = older.filter(|older| *older > 1) else { return Ok(None) };
        let found = self.shared.index.runs().mark_where(account, after).map_err(|error| self.shared.damaged(&error))?;
        Ok(found.filter(|(number, _)| *number < older).map(Start::at))
    }

    /// The entries that one posting made in an account, oldest first, and the posting that made the one before. That one
    /// is always earlier, so that a walk ends whatever the journal says.
    pub(super) fn entries_of(
        &self,
        account: AccountId,
        id: PostingId,
    ) -> Result<(Vec<HistoryEntry>, Option<PostingId>), Unavailable> {
        let recorded = self.event(id.event())?;
        let event = recorded.map(|recorded| recorded.event);
        let (by, posting) = match &event {
            Some(Event { by, what: What::Payments(event), .. }) => (*by, event.as_posting()),
            Some(_) | None => (UserId::SYSTEM, None),
        };
        let Some((posting, purpose, said)) = posting else {
            return Err(Unavailable::Failed(format!("event {} is named as a posting and is none", id.event())));
        };
        let previous = posting.entries_of(account).next().and_then(|(_, entry, _)| entry.previous);
        if let Some(previous) = previous.filter(|previous| previous.event() >= id.event()) {
            let detail = format!("event {} names event {}, which is not earlier", id.event(), previous.event());
            return Err(Unavailable::Failed(format!("{detail}, as the posting before it")));
        }
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
            said: said.clone(),
        });
        Ok((entries.collect(), previous))
    }
}

/// The number of the entry that a mark stands for.
fn ordinal_of(number: u32) -> u64 {
    u64::from(number) * ENTRIES_PER_MARK
}

/// Decrypted frames at hand. The one kept longest makes room.
#[derive(Default)]
pub(crate) struct FrameCache(Mutex<KeptFrames>);

#[derive(Default)]
struct KeptFrames {
    by_first_event: BTreeMap<u64, Arc<Frame>>,
    oldest_first: VecDeque<u64>,
}

/// An event of a frame.
fn recorded(frame: &Frame, number: u64) -> Result<Recorded, Unavailable> {
    let event = Event::decode_nth(&frame.body, number - frame.first_event)
        .map_err(|error| Unavailable::Failed(format!("event {number}: {error}")))?;
    Ok(Recorded { number, at: Timestamp(frame.time_ms), event })
}

impl FrameCache {
    fn at_hand(&self, event: u64) -> Option<Arc<Frame>> {
        self.kept().with(event)
    }

    /// The frame that holds an event, if it is durable.
    pub(crate) fn frame_with(&self, shared: &Shared, event: u64) -> Result<Option<Arc<Frame>>, Unavailable> {
        if let Some(frame) = self.at_hand(event) {
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
