//! The bank's holdings before an import, as far as it must know them before it does anything: the state, and what
//! became of the rows of earlier runs.
//!
//! A bank is open, or only read (for a dry run, which writes nothing at all), or not there yet.

use std::collections::HashMap;

use bank::{
    AccessEvent, AccountEvent, CustomerId, Founding, NameIndex, PaymentEvent, Request, State, SubjectId, SystemEvent,
    UserId, What,
};
use engine::{Calendar, Engine, Field, KeyedHashes, OpenError, Recorded, Replay};
use ledger::{AccountId, Overdraft};
use tokio::runtime::Runtime;

use crate::failure::Failure;

/// Number of keys looked for together.
const KEYS_AT_A_TIME: usize = 2_000;

/// A bank as an import finds it.
pub(super) enum Books<'a> {
    /// There is none yet.
    Absent,
    /// Open for work.
    Open(&'a Engine, &'a Runtime),
    /// Only read.
    Read(Box<ReadBooks>),
}

/// A bank that was read from its first event to its last.
pub(super) struct ReadBooks {
    hashes: KeyedHashes,
    state: State,
    /// Events by idempotency key: what Kassa itself did, which includes all that was imported.
    past: HashMap<[u8; 16], Earlier>,
}

/// Earlier outcome of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Earlier {
    /// Fingerprint of what was asked under it.
    pub(super) fingerprint: u64,
    pub(super) was: Was,
    /// The number of the event, by which it comes before or after others.
    pub(super) event: u64,
}

/// Result of the command under a key.
#[derive(Debug, Clone, Copy)]
pub(super) enum Was {
    Customer(CustomerId),
    Account(AccountId),
    Posted(Moved),
    Overdraft(Overdraft),
    Refused,
    /// Something else that was asked for.
    Done,
}

impl Was {
    /// The customer, if that is what was added.
    pub(super) fn customer(self) -> Option<CustomerId> {
        match self {
            Self::Customer(id) => Some(id),
            Self::Account(_) | Self::Posted(_) | Self::Overdraft(_) | Self::Refused | Self::Done => None,
        }
    }

    /// The account, if that is what was opened.
    pub(super) fn account(self) -> Option<AccountId> {
        match self {
            Self::Account(id) => Some(id),
            Self::Customer(_) | Self::Posted(_) | Self::Overdraft(_) | Self::Refused | Self::Done => None,
        }
    }

    /// The overdraft, if one was set.
    pub(super) fn overdraft(self) -> Option<Overdraft> {
        match self {
            Self::Overdraft(overdraft) => Some(overdraft),
            Self::Customer(_) | Self::Account(_) | Self::Posted(_) | Self::Refused | Self::Done => None,
        }
    }
}

/// The first leg of a posting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moved {
    pub(super) debit: AccountId,
    pub(super) credit: AccountId,
    /// The balances after it, in minor units.
    pub(super) debit_balance_minor: i64,
    pub(super) credit_balance_minor: i64,
}

/// An idempotency key, and what became of it before, if it was not refused.
#[derive(Debug, Clone)]
pub(super) struct Known {
    pub(super) key: String,
    pub(super) earlier: Option<Earlier>,
}

impl Earlier {
    fn of(recorded: &Recorded) -> Option<Self> {
        let request = recorded.event.request?;
        let was = match &recorded.event.what {
            What::Access(AccessEvent::CustomerAdded { id, .. }) => Was::Customer(*id),
            What::Accounts(AccountEvent::AccountOpened { id, .. }) => Was::Account(*id),
            What::Accounts(AccountEvent::OverdraftSet { overdraft, .. }) => Was::Overdraft(*overdraft),
            What::System(SystemEvent::Refused { .. }) => Was::Refused,
            What::Payments(PaymentEvent::Posted { posting, .. }) => {
                posting.legs().first().map_or(Was::Done, |booked| {
                    Was::Posted(Moved {
                        debit: booked.leg.debit,
                        credit: booked.leg.credit,
                        debit_balance_minor: booked.debit.balance_minor,
                        credit_balance_minor: booked.credit.balance_minor,
                    })
                })
            }
            // All else that can be asked for: the import needs no more of it than that it was done.
            What::System(_) | What::Access(_) | What::Accounts(_) | What::Payments(_) | What::Holds(_) => Was::Done,
        };
        Some(Self { fingerprint: request.fingerprint, was, event: recorded.number })
    }
}

impl ReadBooks {
    /// Reads a bank to its end, and writes nothing.
    pub(super) fn read(replay: Replay) -> Result<Self, Failure> {
        let hashes = replay.hashes();
        let mut past = HashMap::new();
        let state = replay.run::<OpenError>(&mut |_, recorded| {
            let by_kassa = recorded.event.request.filter(|_| recorded.event.by == UserId::SYSTEM);
            past.extend(by_kassa.and_then(|request| Some((request.key, Earlier::of(recorded)?))));
            Ok(())
        })?;
        Ok(Self { hashes, state, past })
    }
}

/// Facts of a bank that an import must know before its files can be read.
pub(super) struct Found {
    /// Its founding; none if it wasn't founded yet.
    pub(super) founding: Option<Founding>,
    /// Its days.
    pub(super) calendar: Calendar,
}

impl Found {
    /// Reads a bank to its end: its time zone may be set at any time.
    pub(super) fn read(replay: Replay) -> Result<Self, Failure> {
        let state = replay.run::<OpenError>(&mut |_, _| Ok(()))?;
        let calendar = Calendar::new(state.time_zones()).map_err(OpenError::from)?;
        Ok(Self { founding: state.founding().cloned(), calendar })
    }
}

impl Books<'_> {
    /// Looks at the state; that of a bank which isn't there is empty.
    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> Result<T, Failure> {
        match self {
            Self::Absent => Ok(look(&State::default())),
            Self::Open(engine, _) => Ok(engine.peek(look)?),
            Self::Read(read) => Ok(look(&read.state)),
        }
    }

    /// The fingerprint of what is asked under a key; none where there is no bank to have one.
    pub(super) fn fingerprint(&self, content: &[u8]) -> Option<u64> {
        self.request("", content).map(|request| request.fingerprint)
    }

    /// Returns `true` if a person was erased. A bank that is only read doesn't tell.
    pub(super) fn is_erased(&self, subject: SubjectId) -> Result<bool, Failure> {
        match self {
            Self::Absent | Self::Read(_) => Ok(false),
            Self::Open(engine, _) => Ok(engine.seal(subject, Field::UserName, "")?.is_none()),
        }
    }

    /// The blind index of a name to sign in with.
    pub(super) fn name_index(&self, name: &str) -> Option<NameIndex> {
        self.hashes().map(|hashes| hashes.name_index(name))
    }

    fn hashes(&self) -> Option<&KeyedHashes> {
        match self {
            Self::Absent => None,
            Self::Open(engine, _) => Some(engine.hashes()),
            Self::Read(read) => Some(&read.hashes),
        }
    }

    fn request(&self, key: &str, content: &[u8]) -> Option<Request> {
        self.hashes().map(|hashes| hashes.request(UserId::SYSTEM, key.as_bytes(), content))
    }

    /// Finds what became of keys before. A refusal is remembered under its key for ever, so what was refused is asked
    /// for again under another: its key with a number, which is given in its place.
    pub(super) fn find(&self, keys: impl IntoIterator<Item = String>) -> Result<Vec<Known>, Failure> {
        let mut known: Vec<Known> = keys.into_iter().map(|key| Known { key, earlier: None }).collect();
        let mut asked: Vec<usize> = (0..known.len()).collect();
        for attempt in 1_u64.. {
            let earlier = self.earlier(asked.iter().map(|place| known[*place].key.as_str()))?;
            let mut refused = Vec::new();
            for (place, earlier) in asked.into_iter().zip(earlier) {
                if earlier.is_some_and(|earlier| matches!(earlier.was, Was::Refused)) {
                    refused.push(place);
                } else {
                    known[place].earlier = earlier;
                }
            }
            if refused.is_empty() {
                break;
            }
            for place in &refused {
                let key = &mut known[*place].key;
                let first = key.strip_suffix(&format!(" again {}", attempt - 1)).unwrap_or(key);
                *key = format!("{first} again {attempt}");
            }
            asked = refused;
        }
        Ok(known)
    }

    fn earlier<'k>(&self, keys: impl Iterator<Item = &'k str>) -> Result<Vec<Option<Earlier>>, Failure> {
        let keys: Vec<&str> = keys.collect();
        match self {
            Self::Absent => Ok(vec![None; keys.len()]),
            Self::Read(read) => {
                let found = keys.iter().map(|key| read.past.get(&self.request(key, b"")?.key).copied());
                Ok(found.collect())
            }
            Self::Open(engine, runtime) => {
                let mut found = Vec::with_capacity(keys.len());
                for chunk in keys.chunks(KEYS_AT_A_TIME) {
                    let requests = chunk.iter().filter_map(|key| self.request(key, b"")).collect();
                    let outcomes = runtime.block_on(engine.outcomes_of(requests))?;
                    found.extend(outcomes.iter().map(|outcome| outcome.as_ref().and_then(Earlier::of)));
                }
                Ok(found)
            }
        }
    }
}
