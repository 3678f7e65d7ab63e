//! The open streams, and the one task that brings them what happens.
//!
//! While there are streams, one task follows the journal. It reads each durable event once, and notes its number with
//! the streams of those customers who have a right on an account in it; the newest events themselves are kept once for
//! all. Streams of those who see everything are only woken, and read on among the newest. So an event costs as much as
//! there are streams that it concerns, and a stream takes little memory, however slow its client is: one that has too
//! much noted falls behind, and reads on in the journal, as it would after connecting anew.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use bank::{AccessEvent, CustomerId, TokenHash, UserId, What};
use engine::Unavailable;
use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use super::EndReason;
use super::news::News;
use super::past::Past;
use crate::access::SignedIn;
use crate::fault::{Fault, FaultKind};
use crate::service::{Service, Settings};

/// Number of events that may be noted with one stream. A client that reads gets each in a moment; one that is further
/// behind is no worse off reading the journal, and at this number the notes take 256 bytes.
const NOTED: usize = 32;

/// Number of events kept in memory for the streams: those of half a second when the bank is busiest. Most take less
/// than half a KiB.
const RECENT: usize = 8_192;

/// Number of events that a stream takes at a time, so that what is made ready for a client that doesn't take it stays
/// below some 16 KiB.
pub(super) const AT_A_TIME: usize = 16;

/// Number of events brought at a time, about: those of a few frames, read in a few milliseconds.
const BROUGHT_AT_A_TIME: usize = 2_048;

/// The open streams and what is newest.
pub struct Desk {
    inside: Mutex<Inside>,
    pub(super) past: Past,
    most: usize,
    most_per_user: usize,
    sent: AtomicU64,
}

#[derive(Default)]
struct Inside {
    /// `true` while the task is there.
    followed: bool,
    /// `true` once no stream is taken on any more.
    closed: bool,
    /// The last event that was brought.
    position: u64,
    /// The newest events that may be told, in order: all after `recent_after`.
    recent: VecDeque<Arc<News>>,
    recent_after: u64,
    customers: HashMap<CustomerId, Vec<Arc<Slip>>>,
    see_all: Vec<Arc<Slip>>,
    sessions: HashMap<TokenHash, Vec<Arc<Slip>>>,
    users: HashMap<UserId, OfUser>,
    /// Number of open streams, but for those that have yielded to another of their user.
    open: usize,
    /// Number of streams there have been.
    serial: u64,
}

/// The streams of one user.
#[derive(Default)]
struct OfUser {
    /// Those that are open, the oldest first.
    open: VecDeque<Arc<Slip>>,
    /// Number of those that have yielded to a newer one, and are not gone yet.
    yielded: usize,
}

/// Notes kept with one stream. Its lock is taken after the desk's.
#[derive(Default)]
struct Slip {
    notes: Mutex<Notes>,
    bell: Notify,
}

/// The numbers of events that wait to be told.
enum Notes {
    Noted(VecDeque<u64>),
    /// There were too many.
    Behind,
    Over(EndReason),
}

impl Default for Notes {
    fn default() -> Self {
        Self::Noted(VecDeque::new())
    }
}

impl Service {
    /// Gives a stream its place at the desk, for which the user's oldest makes room if need be, and the event after which
    /// it is brought what concerns it. `stopping` resolves when all streams are to end.
    ///
    /// # Errors
    ///
    /// Fails if there are as many streams as may be, of the user or of all, or no more are taken on.
    pub fn join_stream(
        &self,
        who: SignedIn,
        token: TokenHash,
        stopping: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(StreamSlot, u64), Fault> {
        Desk::admit(self, who, token, stopping)
    }
}

/// A stream's slot at the desk; dropping it makes room.
pub struct StreamSlot {
    service: Service,
    slip: Arc<Slip>,
    who: SignedIn,
    token: TokenHash,
    /// Number of streams there were before this one.
    pub serial: u64,
}

/// Findings of a stream at the desk.
pub enum Brought {
    /// The next events that concern it, at least one.
    News(Vec<Arc<News>>),
    /// Nothing, up to this event.
    Nothing(u64),
    /// It must read on in the journal.
    Behind,
    /// It has ended.
    Over(EndReason),
}

impl Slip {
    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().expect("no thread panics while it holds a stream's notes")
    }

    fn note(&self, number: u64) {
        let mut notes = self.notes();
        match &mut *notes {
            Notes::Noted(numbers) if numbers.len() < NOTED => numbers.push_back(number),
            Notes::Noted(_) => *notes = Notes::Behind,
            // It knows already.
            Notes::Behind | Notes::Over(_) => return,
        }
        drop(notes);
        self.bell.notify_one();
    }

    /// Ends the stream, if it hasn't ended already.
    fn end(&self, reason: EndReason) {
        let mut notes = self.notes();
        if !matches!(*notes, Notes::Over(_)) {
            *notes = Notes::Over(reason);
        }
        drop(notes);
        self.bell.notify_one();
    }
}

impl Desk {
    pub(crate) fn new(settings: &Settings) -> Self {
        let past = Past::new(settings.event_readers);
        let (most, most_per_user) = (settings.event_streams, settings.event_streams_per_user.max(1));
        Self { inside: Mutex::default(), past, most, most_per_user, sent: AtomicU64::new(0) }
    }

    /// Returns the number of streams open now.
    #[must_use]
    pub fn open(&self) -> usize {
        self.inside().open
    }

    /// Returns the number of events sent since the start.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Counts events that were sent.
    pub fn note_sent(&self, events: u64) {
        self.sent.fetch_add(events, Ordering::Relaxed);
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().expect("no thread panics at the desk of the streams")
    }

    /// Gives a stream its place, for which the user's oldest makes room if need be, and the event after which it is
    /// brought what concerns it.
    fn admit(
        service: &Service,
        who: SignedIn,
        token: TokenHash,
        stopping: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(StreamSlot, u64), Fault> {
        let desk = service.events();
        let mut inside = desk.inside();
        if inside.closed {
            return Err(Fault::of(FaultKind::Stopping));
        }
        inside.make_room(who.caller.user, desk.most, desk.most_per_user)?;
        if !inside.followed {
            inside.followed = true;
            inside.position = service.engine().last_durable();
            inside.recent.clear();
            inside.recent_after = inside.position;
            tokio::spawn(follow(service.clone(), stopping));
        }
        let slip = Arc::<Slip>::default();
        inside.open += 1;
        inside.serial += 1;
        inside.users.entry(who.caller.user).or_default().open.push_back(Arc::clone(&slip));
        inside.sessions.entry(token).or_default().push(Arc::clone(&slip));
        match who.customer {
            Some(customer) if !who.sees_all() => {
                inside.customers.entry(customer).or_default().push(Arc::clone(&slip));
            }
            _ => inside.see_all.push(Arc::clone(&slip)),
        }
        let (position, serial) = (inside.position, inside.serial);
        Ok((StreamSlot { service: service.clone(), slip, who, token, serial }, position))
    }

    /// Ends all streams, because nobody follows the journal any more. When the server is stopping no more are taken on;
    /// otherwise whoever connects anew has it followed again.
    fn end_all(&self, stopping: bool) {
        let mut inside = self.inside();
        inside.followed = false;
        inside.closed |= stopping;
        let reason = if stopping { EndReason::Stopping } else { EndReason::Unavailable };
        inside.sessions.values().flatten().for_each(|slip| slip.end(reason));
    }
}

impl StreamSlot {
    /// Makes sure that the stream has not ended.
    ///
    /// # Errors
    ///
    /// Gives the reason for which it has ended.
    pub fn still_open(&self) -> Result<(), EndReason> {
        match *self.slip.notes() {
            Notes::Over(reason) => Err(reason),
            Notes::Noted(_) | Notes::Behind => Ok(()),
        }
    }

    /// Takes what there is for the stream after the event `position`.
    #[must_use]
    pub fn look(&self, position: u64) -> Brought {
        let inside = self.service.events().inside();
        let mut notes = self.slip.notes();
        let numbers = match &mut *notes {
            Notes::Over(reason) => return Brought::Over(*reason),
            Notes::Behind => return Brought::Behind,
            Notes::Noted(numbers) => numbers,
        };
        let news = if self.who.sees_all() {
            if position < inside.recent_after {
                return Brought::Behind;
            }
            let first = inside.recent.partition_point(|news| news.number <= position);
            inside.recent.range(first..).take(AT_A_TIME).cloned().collect()
        } else {
            let taken = numbers.drain(..numbers.len().min(AT_A_TIME));
            let news: Option<Vec<_>> = taken.map(|number| inside.recent(number)).collect();
            if numbers.is_empty() {
                // An idle stream keeps no room for them.
                *numbers = VecDeque::new();
            }
            match news {
                Some(news) => news,
                None => return Brought::Behind,
            }
        };
        if news.is_empty() { Brought::Nothing(inside.position) } else { Brought::News(news) }
    }

    /// Resolves when there may be something.
    pub async fn rung(&self) {
        self.slip.bell.notified().await;
    }

    /// Has the stream brought what concerns it again, after the event that is given.
    #[must_use]
    pub fn start_again(&self) -> u64 {
        let inside = self.service.events().inside();
        let mut notes = self.slip.notes();
        if !matches!(*notes, Notes::Over(_)) {
            *notes = Notes::default();
        }
        inside.position
    }
}

impl Drop for StreamSlot {
    fn drop(&mut self) {
        let mut inside = self.service.events().inside();
        let inside = &mut *inside;
        inside.leave(self.who.caller.user, &self.slip);
        remove(&mut inside.sessions, &self.token, &self.slip);
        match self.who.customer {
            Some(customer) if !self.who.sees_all() => remove(&mut inside.customers, &customer, &self.slip),
            _ => inside.see_all.retain(|slip| !Arc::ptr_eq(slip, &self.slip)),
        }
    }
}

fn remove<K: Eq + std::hash::Hash>(of: &mut HashMap<K, Vec<Arc<Slip>>>, key: &K, slip: &Arc<Slip>) {
    if let Some(slips) = of.get_mut(key) {
        slips.retain(|other| !Arc::ptr_eq(other, slip));
        if slips.is_empty() {
            of.remove(key);
        }
    }
}

impl Inside {
    /// Makes room for one more stream of a user. Who has as many as one may loses the oldest, which is the likeliest to be
    /// dead or forgotten. Those that have yielded are counted for themselves, so that who takes nothing of what they are
    /// sent, and so is slow to go, has at most twice as many.
    fn make_room(&mut self, user: UserId, most_of_all: usize, most: usize) -> Result<(), Fault> {
        let oldest = match self.users.get_mut(&user) {
            Some(streams) if streams.open.len() >= most => {
                if streams.yielded >= most {
                    return Err(Fault::of(FaultKind::TooManyStreams));
                }
                streams.yielded += 1;
                streams.open.pop_front()
            }
            _ => None,
        };
        if let Some(oldest) = oldest {
            self.open -= 1;
            oldest.end(EndReason::Replaced);
        } else if self.open >= most_of_all {
            return Err(Fault::of(FaultKind::StreamsFull));
        }
        Ok(())
    }

    /// Takes a stream that is gone from those of its user.
    fn leave(&mut self, user: UserId, slip: &Arc<Slip>) {
        let Some(streams) = self.users.get_mut(&user) else { return };
        if let Some(place) = streams.open.iter().position(|other| Arc::ptr_eq(other, slip)) {
            streams.open.remove(place);
            self.open -= 1;
        } else {
            streams.yielded -= 1;
        }
        if streams.open.is_empty() && streams.yielded == 0 {
            self.users.remove(&user);
        }
    }

    fn recent(&self, number: u64) -> Option<Arc<News>> {
        let place = self.recent.binary_search_by_key(&number, |news| news.number).ok()?;
        self.recent.get(place).cloned()
    }
}

/// Events on their way to the streams.
struct Batch {
    /// The last event looked at.
    last: u64,
    news: Vec<Arc<News>>,
    /// The customers concerned, each with the number of the event.
    concerned: Vec<(CustomerId, u64)>,
    /// The sessions that ended.
    over: Vec<TokenHash>,
}

/// Follows the journal as long as there are streams. Ends them all when the server stops, or the bank can't be read.
async fn follow(service: Service, stopping: impl Future<Output = ()> + Send + 'static) {
    let desk = service.events();
    let mut stopping = pin!(stopping);
    loop {
        let next = {
            let mut inside = desk.inside();
            if inside.open == 0 {
                inside.followed = false;
                inside.recent = VecDeque::new();
                return;
            }
            inside.position + 1
        };
        let durable = tokio::select! {
            durable = service.engine().until_durable(next) => durable,
            () = &mut stopping => Err(Unavailable::Stopping),
        };
        let batch = match durable {
            Ok(()) => read(&service, next).await,
            Err(unavailable) => Err(unavailable),
        };
        match batch {
            Ok(batch) => desk.bring(batch),
            Err(Unavailable::Stopping) => return desk.end_all(true),
            Err(error) => {
                tracing::error!(%error, "the streams of events end: the journal can't be read on");
                return desk.end_all(false);
            }
        }
    }
}

async fn read(service: &Service, next: u64) -> Result<Batch, Unavailable> {
    let service = service.clone();
    let reading = spawn_blocking(move || {
        let engine = service.engine();
        let mut batch = Batch { last: next - 1, news: Vec::new(), concerned: Vec::new(), over: Vec::new() };
        let end = engine.last_durable();
        while batch.last < end && batch.news.len() < BROUGHT_AT_A_TIME {
            let (before, written) = (batch.last, engine.written_with(batch.last + 1)?);
            for recorded in written.into_iter().filter(|recorded| recorded.number > before && recorded.number <= end) {
                batch.last = recorded.number;
                if let What::Access(AccessEvent::SessionClosed { token }) = &recorded.event.what {
                    batch.over.push(*token);
                }
                batch.news.extend(News::of(engine, recorded)?.map(Arc::new));
            }
            if batch.last == before {
                return Err(Unavailable::Failed(format!("event {} is missing", before + 1)));
            }
        }
        // As the rights are now. They are looked at once more when the event is told.
        batch.concerned = engine.peek(|state| {
            let mut concerned = Vec::new();
            for news in &batch.news {
                let first = concerned.len();
                let infos = news.accounts.iter().filter_map(|id| state.account_info(*id));
                let holders = infos.flat_map(|info| info.rights.iter().map(|(customer, _)| *customer));
                for customer in holders.chain(news.holder) {
                    if !concerned[first..].contains(&(customer, news.number)) {
                        concerned.push((customer, news.number));
                    }
                }
            }
            concerned
        })?;
        Ok(batch)
    });
    reading.await.map_err(|error| Unavailable::Failed(error.to_string()))?
}

impl Desk {
    fn bring(&self, batch: Batch) {
        let mut inside = self.inside();
        let any = !batch.news.is_empty();
        inside.recent.extend(batch.news);
        let surplus = inside.recent.len().saturating_sub(RECENT);
        let let_go = inside.recent.drain(..surplus).next_back();
        inside.recent_after = let_go.map_or(inside.recent_after, |last| last.number);
        inside.position = batch.last;
        for (customer, number) in &batch.concerned {
            inside.customers.get(customer).into_iter().flatten().for_each(|slip| slip.note(*number));
        }
        if any {
            inside.see_all.iter().for_each(|slip| slip.bell.notify_one());
        }
        batch
            .over
            .iter()
            .filter_map(|token| inside.sessions.get(token))
            .flatten()
            .for_each(|slip| slip.end(EndReason::SessionOver));
    }
}
