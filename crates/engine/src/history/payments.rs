//! Payments of several accounts, or of all, the newest first.
//!
//! Of some accounts the newest entry of each is known, and each leads to the one before; the walk always follows the
//! account whose next posting is the newest. Of all accounts the journal is read backwards.

use std::collections::BTreeSet;

use bank::{PaymentEvent, What};
use ledger::{AccountId, PostingId};

use super::{HistoryError, Mark};
use crate::subscription::all_of;
use crate::{Engine, Recorded, Unavailable};

/// The most accounts whose payments are told in one list. Each may take 63 steps to find where the list goes on.
pub const MAX_MERGED: usize = 100;

/// The most events that one page looks at: a hundred frames when the journal is read backwards.
pub const MAX_LOOKED_AT: usize = 16_384;

/// Verdict on a posting that a list came upon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// It is in the list.
    Yes,
    /// It is not.
    No,
    /// It is not, and neither is anything older.
    NothingOlder,
}

/// A list as far as it was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listed {
    /// The postings, the newest first.
    pub postings: Vec<Recorded>,
    /// Cursor of the next page: the list goes on before this event; none where nothing is left.
    pub before: Option<u64>,
}

impl Engine {
    /// Reads one page of up to `limit` postings from before an event on, or from the newest on, that moved one of
    /// `accounts` (at most [`MAX_MERGED`]), or any where none are named. Looks at [`MAX_LOOKED_AT`] events at most. All
    /// payments given are durable.
    ///
    /// # Errors
    ///
    /// Fails with [`HistoryError::Unavailable`] if the past can't be read, and with what `wanted` fails with.
    pub async fn postings(
        &self,
        accounts: Option<Vec<AccountId>>,
        before: Option<u64>,
        limit: usize,
        mut wanted: impl FnMut(&Recorded) -> Result<Wanted, HistoryError> + Send + 'static,
    ) -> Result<Listed, HistoryError> {
        let before = before.unwrap_or(u64::MAX);
        let (last_event, stamp) = self.shared.look(|books| books.state.last_event())?;
        self.shared.until_durable(stamp).await?;
        let engine = self.clone();
        let listed = self.shared.look_into_the_past(move || {
            let mut source = match accounts {
                Some(accounts) => Source::Accounts(engine.heads(&accounts, before.min(last_event.saturating_add(1)))?),
                None => Source::Journal { frame: Vec::new(), next: before.saturating_sub(1).min(last_event) },
            };
            let mut listed = Listed::default();
            for looked_at in 1.. {
                let Some(recorded) = source.next(&engine)? else { return Ok(Listed { before: None, ..listed }) };
                listed.before = Some(recorded.number).filter(|number| *number > 1);
                match if matches!(recorded.event.what, What::Payments(PaymentEvent::Posted { .. })) {
                    wanted(&recorded)?
                } else {
                    Wanted::No
                } {
                    Wanted::Yes => listed.postings.push(recorded),
                    Wanted::No => {}
                    Wanted::NothingOlder => return Ok(Listed { before: None, ..listed }),
                }
                if listed.postings.len() >= limit || looked_at >= MAX_LOOKED_AT {
                    break;
                }
            }
            Ok(listed)
        });
        listed.await?
    }

    /// The newest posting of each account from before an event on.
    fn heads(&self, accounts: &[AccountId], before: u64) -> Result<BTreeSet<(u64, AccountId)>, HistoryError> {
        let mut heads = BTreeSet::new();
        for account in accounts.iter().take(MAX_MERGED) {
            let mut next = self.posting_from(*account, before)?;
            while let Some(posting) = next
                && posting.event() >= before
            {
                next = self.entries_of(*account, posting)?.1;
            }
            heads.extend(next.map(|posting| (posting.event(), *account)));
        }
        Ok(heads)
    }

    /// The events of the frame that holds an event, up to that one.
    fn frame_up_to(&self, event: u64) -> Result<Vec<Recorded>, Unavailable> {
        let missing = || Unavailable::Failed(format!("event {event} is missing"));
        let frame = self.shared.frames.frame_with(&self.shared, event)?.ok_or_else(missing)?;
        let mut recorded = all_of(&frame)?;
        recorded.retain(|recorded| recorded.number <= event);
        Ok(recorded)
    }

    /// A posting of an account from which those before an event are a few steps away.
    fn posting_from(&self, account: AccountId, before: u64) -> Result<Option<PostingId>, HistoryError> {
        let after = |_: u32, mark: &Mark| mark.event >= before;
        let ((newest, mark, older), _) = self.shared.look(|books| {
            let newest = books.state.ledger().account(account).and_then(|account| account.last_posting);
            let (mark, older) = books.recent.mark_where(account, after);
            (newest, mark.map(|(_, mark)| mark.event), older)
        })?;
        let older = self.older_start(account, older, after)?.map(|start| start.event);
        Ok(older.or(mark).and_then(PostingId::new).or(newest))
    }
}

/// Source of the next older event.
enum Source {
    /// The next posting of each account, by its event.
    Accounts(BTreeSet<(u64, AccountId)>),
    /// The events of a frame up to the next one, the oldest first, and the number of the next one.
    Journal { frame: Vec<Recorded>, next: u64 },
}

impl Source {
    fn next(&mut self, engine: &Engine) -> Result<Option<Recorded>, HistoryError> {
        match self {
            Self::Accounts(heads) => {
                let Some((event, _)) = heads.last().copied() else { return Ok(None) };
                // A posting between two of the accounts is met once.
                while heads.last().is_some_and(|(last, _)| *last == event)
                    && let (Some((_, account)), Some(posting)) = (heads.pop_last(), PostingId::new(event))
                {
                    let (_, previous) = engine.entries_of(account, posting)?;
                    heads.extend(previous.map(|previous| (previous.event(), account)));
                }
                Ok(engine.event(event)?)
            }
            Self::Journal { frame, next } => {
                if frame.is_empty() && *next > 0 {
                    *frame = engine.frame_up_to(*next)?;
                }
                *next = next.saturating_sub(1);
                Ok(frame.pop())
            }
        }
    }
}
