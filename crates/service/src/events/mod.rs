//! What concerns a caller, as it happens: who is told of an event, and what it says.
//!
//! A stream reads the past in the journal ([`Service::read_past`]), from its position to where the desk ([`desk`]) begins
//! to bring what happens, and then waits there. Each event is told once, in the journal's order. Who may see it is looked
//! at when it is told ([`Service::told`]).

mod desk;
mod news;
mod past;

use std::sync::Arc;
use std::time::Duration;

use bank::{Refusal, State, TokenHash};
use engine::Unavailable;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

pub use desk::{Brought, Desk, StreamSlot};
pub use news::{News, Story, Told};
use past::Wanted;

use crate::access::SignedIn;
use crate::fault::{Fault, FaultKind};
use crate::service::Service;

/// Reason for which a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndReason {
    /// The user has opened another, and had as many as one may. It should not come back by itself.
    Replaced,
    /// The session is over. Sign in before connecting anew.
    SessionOver,
    /// The server is stopping. Connect anew.
    Stopping,
    /// The bank can't be read at the moment. Connect anew.
    Unavailable,
}

impl From<Fault> for EndReason {
    fn from(fault: Fault) -> Self {
        if fault.refusal() == Some(Refusal::NotSignedIn) {
            Self::SessionOver
        } else if fault.kind() == Some(FaultKind::Stopping) {
            Self::Stopping
        } else {
            Self::Unavailable
        }
    }
}

impl From<Unavailable> for EndReason {
    fn from(unavailable: Unavailable) -> Self {
        match unavailable {
            Unavailable::Stopping => Self::Stopping,
            Unavailable::Busy
            | Unavailable::AfterUndecided
            | Unavailable::DiskFull
            | Unavailable::DiskReadOnly
            | Unavailable::MemoryFull { .. }
            | Unavailable::ClockJumped { .. }
            | Unavailable::BatchTooLarge
            | Unavailable::Failed(_) => Self::Unavailable,
        }
    }
}

/// A turn at reading the past.
pub struct Turn(OwnedSemaphorePermit);

impl Service {
    /// Returns the time that the session of a token still has.
    ///
    /// # Errors
    ///
    /// Ends the stream if the session is over, or the engine can't answer.
    pub fn session_left(&self, token: TokenHash) -> Result<Duration, EndReason> {
        let now = self.engine().now();
        let expires_at = self.engine().peek(|state| state.session(token, now).map(|it| it.expires_at))?;
        let left = expires_at.ok_or(EndReason::SessionOver)?.0.saturating_sub(now.0);
        Ok(Duration::from_millis(u64::try_from(left).unwrap_or(0).max(1)))
    }

    /// Waits for a turn at reading the past; none when it takes longer than `wait`. Then a stream waits anew, as the last:
    /// a turn must not come to a client that does not take what it was sent, and hold up all others.
    ///
    /// # Errors
    ///
    /// Ends the stream if there are no turns any more.
    pub async fn turn(&self, wait: Duration) -> Result<Option<Turn>, EndReason> {
        let turn = Arc::clone(&self.events().past.turns).acquire_owned();
        match timeout(wait, turn).await {
            Ok(turn) => turn.map(|turn| Some(Turn(turn))).map_err(|_| EndReason::Unavailable),
            Err(_) => Ok(None),
        }
    }

    /// Reads a step of the past in its turn, from after the event `position` to `end` at most: what may concern the
    /// caller, and the last event that was looked at.
    ///
    /// # Errors
    ///
    /// Ends the stream if its session is over, or the past can't be read on.
    pub async fn read_past(
        &self,
        token: TokenHash,
        Turn(turn): Turn,
        position: u64,
        end: u64,
    ) -> Result<(Vec<Arc<News>>, u64), EndReason> {
        let now = self.engine().now();
        let wanted = self.engine().peek(|state| SignedIn::find(state, token, now).map(|who| wanted(state, &who)))?;
        let wanted = wanted.map_err(|_| EndReason::SessionOver)?;
        let service = self.clone();
        let reading = spawn_blocking(move || {
            let step = service.events().past.step(service.engine(), &wanted, position, end);
            drop(turn);
            step
        });
        let (news, last) = reading.await.map_err(|_| EndReason::Unavailable)??;
        if last <= position {
            // A durable event can be read. If it can't, the client had better ask anew.
            return Err(EndReason::Unavailable);
        }
        Ok((news, last))
    }

    /// Tells of those events which the caller may see, as the bank is now.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, and if the engine can't answer.
    pub async fn told(&self, token: TokenHash, news: &[Arc<News>]) -> Result<Vec<Told>, Fault> {
        if news.is_empty() {
            return Ok(Vec::new());
        }
        let look = |state: &State, who: &SignedIn| news.iter().map(|news| news.seen_by(state, who)).collect();
        let seen: Vec<_> = self.read(token, |state, who| Ok(look(state, who))).await?;
        let mut told = Vec::new();
        for (news, seen) in news.iter().zip(&seen) {
            let Some(seen) = seen else { continue };
            told.extend(news.told(self, seen)?);
        }
        Ok(told)
    }
}

fn wanted(state: &State, who: &SignedIn) -> Wanted {
    if who.sees_all() {
        return Wanted::All;
    }
    let customer = who.customer.and_then(|customer| state.customer(customer));
    let mut accounts = customer.map(|customer| customer.accounts.clone()).unwrap_or_default();
    accounts.sort_unstable();
    Wanted::Of(who.customer, accounts)
}
