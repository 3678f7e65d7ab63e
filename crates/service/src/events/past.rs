//! Reading what happened before a stream was opened, or while its client was slow.
//!
//! A step looks at a bounded stretch of the journal and finds a few events; the client takes them, and then it is the
//! next one's turn. When many connect anew at once, all look at the same newest frames. So what each frame concerns is
//! found out once, and kept in some three KiB for the frames that are newest: who looks for the events of a few
//! accounts there needs the disk only for those.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bank::CustomerId;
use engine::{Engine, Unavailable};
use ledger::AccountId;
use tokio::sync::Semaphore;

use super::desk::AT_A_TIME;
use super::news::News;

/// Number of frames read from the disk in one step: some three thousand payments, in a few milliseconds.
const FRAMES_AT_A_TIME: usize = 16;

/// Number of frames looked at in one step where it is known what they concern: as quick as reading one.
const KNOWN_AT_A_TIME: usize = 512;

/// Number of frames for which it is kept what they concern: in 6 MiB, nearly 400,000 payments, more than a bank books
/// in the minute in which clients come back that lost their connection.
const KEPT: usize = 2_048;

/// The past, for the few who may read it at once.
pub(super) struct Past {
    /// Fair: who waits longest is next.
    pub(super) turns: Arc<Semaphore>,
    kept: Mutex<BTreeMap<u64, Arc<Contents>>>,
}

/// Holders of the events that are looked for.
pub(super) enum Wanted {
    All,
    Of(Option<CustomerId>, Vec<AccountId>),
}

/// The events of a frame by those whom they concern. Ordered, to be searched.
struct Contents {
    last: u64,
    accounts: Box<[(AccountId, u32)]>,
    holders: Box<[(CustomerId, u32)]>,
}

impl Past {
    pub(super) fn new(readers: usize) -> Self {
        Self { turns: Arc::new(Semaphore::new(readers)), kept: Mutex::default() }
    }

    /// Takes a step from after the event `position`, to the event `end` at most. Gives what was found, and the last
    /// event that was looked at. For a thread that may wait for the disk.
    pub(super) fn step(
        &self,
        engine: &Engine,
        wanted: &Wanted,
        position: u64,
        end: u64,
    ) -> Result<(Vec<Arc<News>>, u64), Unavailable> {
        match wanted {
            Wanted::All => all(engine, position, end),
            Wanted::Of(customer, accounts) => self.some(engine, *customer, accounts, position, end),
        }
    }

    fn some(
        &self,
        engine: &Engine,
        customer: Option<CustomerId>,
        accounts: &[AccountId],
        position: u64,
        end: u64,
    ) -> Result<(Vec<Arc<News>>, u64), Unavailable> {
        let (mut numbers, mut last, mut read) = (Vec::new(), position, 0);
        for _ in 0..KNOWN_AT_A_TIME {
            if last >= end || read >= FRAMES_AT_A_TIME || numbers.len() >= AT_A_TIME {
                break;
            }
            let contents = match self.known(last + 1) {
                Some((first, contents)) => (first, contents),
                None => {
                    read += 1;
                    let Some(found) = self.find_out(engine, last + 1)? else { break };
                    found
                }
            };
            let (first, contents) = contents;
            let found = contents.of(first, customer, accounts);
            numbers.extend(found.into_iter().filter(|number| *number > last && *number <= end));
            last = contents.last.min(end);
        }
        if numbers.len() > AT_A_TIME {
            numbers.truncate(AT_A_TIME);
            last = numbers.last().copied().unwrap_or(last);
        }
        let mut news = Vec::new();
        for number in numbers {
            let recorded = engine.event(number)?;
            let found = recorded.map(|recorded| News::of(engine, recorded)).transpose()?.flatten();
            news.extend(found.map(Arc::new));
        }
        Ok((news, last))
    }

    /// Returns what is kept of the frame that holds an event, and the frame's first event.
    fn known(&self, event: u64) -> Option<(u64, Arc<Contents>)> {
        let kept = self.kept.lock().expect("no thread panics while it holds what frames concern");
        let (first, contents) = kept.range(..=event).next_back()?;
        (contents.last >= event).then(|| (*first, Arc::clone(contents)))
    }

    /// Reads the frame that holds an event; none where there is no such event.
    fn find_out(&self, engine: &Engine, event: u64) -> Result<Option<(u64, Arc<Contents>)>, Unavailable> {
        let recorded = engine.written_with(event)?;
        let (Some(first), Some(last)) = (recorded.first(), recorded.last()) else { return Ok(None) };
        let (first, last) = (first.number, last.number);
        let (mut accounts, mut holders) = (Vec::new(), Vec::new());
        for recorded in recorded {
            let Some((concerned, holder)) = News::concerned(engine, &recorded.event.what)? else { continue };
            let place = u32::try_from(recorded.number - first).unwrap_or(u32::MAX);
            accounts.extend(concerned.iter().map(|account| (*account, place)));
            holders.extend(holder.map(|holder| (holder, place)));
        }
        accounts.sort_unstable();
        accounts.dedup();
        holders.sort_unstable();
        let contents = Arc::new(Contents { last, accounts: accounts.into(), holders: holders.into() });
        self.keep(first, &contents);
        Ok(Some((first, contents)))
    }

    /// Keeps it, as long as there aren't as many newer ones.
    fn keep(&self, first: u64, contents: &Arc<Contents>) {
        let mut kept = self.kept.lock().expect("no thread panics while it holds what frames concern");
        kept.insert(first, Arc::clone(contents));
        if kept.len() > KEPT {
            kept.pop_first();
        }
    }
}

impl Contents {
    /// The numbers of the events that concern a customer or one of some accounts, in order.
    fn of(&self, first: u64, customer: Option<CustomerId>, accounts: &[AccountId]) -> Vec<u64> {
        let mut places: Vec<u32> = accounts.iter().flat_map(|account| those_of(&self.accounts, *account)).collect();
        places.extend(customer.into_iter().flat_map(|customer| those_of(&self.holders, customer)));
        places.sort_unstable();
        places.dedup();
        places.into_iter().map(|place| first + u64::from(place)).collect()
    }
}

/// The places of one key.
fn those_of<K: Ord + Copy>(of: &[(K, u32)], key: K) -> impl Iterator<Item = u32> + '_ {
    let first = of.partition_point(|(other, _)| *other < key);
    of[first..].iter().take_while(move |(other, _)| *other == key).map(|(_, place)| *place)
}

/// The next events of all.
fn all(engine: &Engine, position: u64, end: u64) -> Result<(Vec<Arc<News>>, u64), Unavailable> {
    let (mut news, mut last) = (Vec::new(), position);
    for _ in 0..FRAMES_AT_A_TIME {
        if last >= end || news.len() >= AT_A_TIME {
            break;
        }
        let mut any = false;
        for recorded in engine.written_with(last + 1)? {
            let next = recorded.number;
            if next > last && next <= end && news.len() < AT_A_TIME {
                (last, any) = (next, true);
                news.extend(News::of(engine, recorded)?.map(Arc::new));
            }
        }
        if !any {
            break;
        }
    }
    Ok((news, last))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(first: u64, count: u32) -> Arc<Contents> {
        let accounts = (0..count).map(|place| (AccountId(place % 2), place)).collect::<std::collections::BTreeSet<_>>();
        let holders = Box::new([(CustomerId(1), 0), (CustomerId(1), count - 1), (CustomerId(2), 1)]);
        Arc::new(Contents { last: first + u64::from(count) - 1, accounts: accounts.into_iter().collect(), holders })
    }

    #[test]
    fn a_frame_tells_whom_it_concerns() {
        let contents = contents(10, 6);
        let of = |customer: Option<u32>, accounts: &[u32]| {
            let accounts: Vec<AccountId> = accounts.iter().copied().map(AccountId).collect();
            contents.of(10, customer.map(CustomerId), &accounts)
        };
        assert_eq!(of(None, &[0]), [10, 12, 14]);
        assert_eq!(of(None, &[1]), [11, 13, 15]);
        assert_eq!(of(None, &[0, 1, 2]), [10, 11, 12, 13, 14, 15]);
        assert_eq!(of(Some(1), &[]), [10, 15]);
        assert_eq!(of(Some(1), &[1]), [10, 11, 13, 15], "each once");
        assert_eq!(of(Some(3), &[2]), [0; 0]);
    }

    #[test]
    fn what_is_newest_is_kept() {
        let past = Past::new(1);
        let first = |place: usize| 1 + place as u64 * 4;
        for place in 1..=KEPT {
            past.keep(first(place), &contents(first(place), 4));
        }
        assert!(past.known(first(1)).is_some() && past.known(first(KEPT) + 3).is_some());
        assert!(past.known(first(KEPT) + 4).is_none() && past.known(first(1) - 1).is_none());
        // A frame older than all that are kept finds no place; a newer one does.
        past.keep(first(0), &contents(first(0), 4));
        assert!(past.known(first(0)).is_none() && past.known(first(1)).is_some());
        past.keep(first(KEPT + 1), &contents(first(KEPT + 1), 4));
        assert!(past.known(first(1)).is_none() && past.known(first(KEPT + 1)).is_some());
    }
}
