//! Holds: money reserved for a payee, then taken in parts or whole, or let go.

use bank::{Body, HoldCommand, HoldEvent, Refusal, Said, Sealed, TokenHash, What};
use engine::Field;
use ledger::{AccountId, HoldId, Money, Timestamp};

use crate::fault::Fault;
use crate::metadata::Metadata;
use crate::names::{leg_of, seen_account};
use crate::payments::{Booked, Parties};
use crate::service::Service;
use crate::writes::{Keyed, is_dry, unexpected};

/// Money to be reserved.
#[derive(Debug, Clone)]
pub struct HoldOrder<'a> {
    /// The IBAN of the account that will pay.
    pub from: &'a str,
    /// The IBAN of the account that will be paid.
    pub to: &'a str,
    /// Amount.
    pub amount: Money,
    /// Expiry: what is not captured by then is let go.
    pub expires_at: Timestamp,
    /// The text that goes with it.
    pub text: Option<&'a str>,
    /// The payer's own notes.
    pub metadata: Option<Metadata<'a>>,
}

/// Reserved money.
#[derive(Debug, Clone)]
pub struct HoldView {
    /// Its id, for ever.
    pub id: String,
    /// All else of it.
    pub terms: HoldTermsView,
}

/// Hold without its id.
#[derive(Debug, Clone)]
pub struct HoldTermsView {
    /// The IBAN of the account that pays.
    pub from: String,
    /// The IBAN of the account that is paid.
    pub to: String,
    /// Amount that was reserved.
    pub amount: Money,
    /// Amount of it that still is reserved; zero of a hold that is closed.
    pub remaining: Money,
    /// Expiry: the time until which it is reserved; of a hold that is closed, the one with which it was placed.
    pub expires_at: Timestamp,
    /// The text that goes with it; none where there is none, or the person has been erased.
    pub text: Option<String>,
    /// The payer's own notes as they were written ([`Metadata`]), for those who may see them.
    pub metadata: Option<String>,
}

/// A hold that was placed, or would be.
#[derive(Debug, Clone)]
pub struct Held {
    /// Its id; none where it was only to be told what would become of it.
    pub id: Option<String>,
    /// All else of it.
    pub terms: HoldTermsView,
    /// `true` if it was placed under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

/// A hold that was changed.
#[derive(Debug, Clone)]
pub struct ChangedHold {
    /// The hold.
    pub hold: HoldView,
    /// `true` if it was changed under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

/// A page of holds.
#[derive(Debug, Clone)]
pub struct HoldPage {
    /// The oldest first.
    pub holds: Vec<HoldView>,
    /// The hold after which the next page begins, by the number of its event; none where there is none.
    pub next: Option<u64>,
}

/// A hold as its event has it, and as the state has it now.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) placed: ledger::Hold,
    pub(crate) remaining_minor: i64,
    pub(crate) expires_at: Timestamp,
    said: Said,
    metadata: Option<Sealed>,
}

impl Known {
    /// The hold that an event placed, as it was then.
    pub(crate) fn placed(what: &What) -> Option<Self> {
        let What::Holds(HoldEvent::HoldPlaced { hold, text, metadata, copies }) = what else { return None };
        Some(Self {
            placed: *hold,
            remaining_minor: hold.remaining_minor,
            expires_at: hold.expires_at,
            said: Said { text: text.clone(), end_to_end_id: None, copies: copies.clone() },
            metadata: metadata.clone(),
        })
    }

    /// Returns the hold as it is now: a hold that is not open has nothing left.
    pub(crate) fn now(mut self, open: Option<&ledger::Hold>) -> Self {
        self.remaining_minor = open.map_or(0, |hold| hold.remaining_minor);
        self.expires_at = open.map_or(self.expires_at, |hold| hold.expires_at);
        self
    }

    pub(crate) fn ids(&self) -> [AccountId; 2] {
        [self.placed.debit, self.placed.credit]
    }
}

impl Service {
    pub(crate) fn hold_view(&self, id: HoldId, known: &Known, parties: &Parties) -> Result<HoldView, Fault> {
        Ok(HoldView { id: self.hold_ids().id(id.event()), terms: self.hold_terms(known, parties)? })
    }

    fn hold_terms(&self, known: &Known, parties: &Parties) -> Result<HoldTermsView, Fault> {
        let Known { placed, remaining_minor, expires_at, said, metadata } = known;
        Ok(HoldTermsView {
            from: parties.iban(placed.debit),
            to: parties.iban(placed.credit),
            amount: placed.amount,
            remaining: Money { minor: *remaining_minor, ..placed.amount },
            expires_at: *expires_at,
            text: self.said_view(said, &parties.people)?.text,
            metadata: self.open_some(Field::Metadata, metadata.as_ref().filter(|_| parties.payer))?,
        })
    }

    /// Reserves money for a payee.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn place_hold(&self, asked: &Keyed<'_>, order: Result<HoldOrder<'_>, Fault>) -> Result<Held, Fault> {
        let (write, found) = self.prepare_write(asked, |state, _| {
            let order = order?;
            let leg = leg_of(state, order.from, order.to, order.amount)?;
            Ok((order, leg, state.readers(leg.debit, [leg.credit])))
        })?;
        let body = found.and_then(|(HoldOrder { expires_at, text, metadata, .. }, leg, readers)| {
            let text = self.seal_text(&readers, text)?;
            let metadata = self.seal_metadata(&readers, metadata.as_ref())?;
            Ok(Body::Holds(HoldCommand::PlaceHold { leg, expires_at, text, metadata }))
        });
        let receipt = self.submit(&write, body).await?;
        // As it was placed, for a retry as well.
        let known = Known::placed(&receipt.what).ok_or_else(|| unexpected(&receipt))?;
        let parties = self.engine().peek(|state| Parties::payers(state, &known.ids()))?;
        let terms = self.hold_terms(&known, &parties)?;
        let id = match is_dry(&receipt) {
            true => None,
            false => Some(HoldId::new(receipt.event).ok_or_else(|| unexpected(&receipt))?),
        };
        let id = id.map(|id| self.hold_ids().id(id.event()));
        Ok(Held { id, terms, is_repeated: receipt.repeated })
    }

    /// Shows a hold to those with a right on one of its accounts, operators and auditors.
    ///
    /// # Errors
    ///
    /// Fails if there is no such hold, or the caller may not see it.
    pub async fn hold(&self, token: TokenHash, id: &str) -> Result<HoldView, Fault> {
        // The caller is found out first, and with what they may see in the same look at the state below.
        self.prepare(token, |_, _| Ok(()))?;
        let id = self.hold_id(id)?;
        let known = self.placed(id).await?;
        let (known, parties) = self
            .read(token, |state, who| {
                let parties = Parties::seen(state, who, &known.ids())?;
                Ok((known.now(state.ledger().hold(id)), parties))
            })
            .await?;
        self.hold_view(id, &known, &parties)
    }

    /// Lists the open holds on an account, by its IBAN, after one by the number of its event.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see it.
    pub async fn holds(&self, token: TokenHash, iban: &str, after: u64, limit: usize) -> Result<HoldPage, Fault> {
        let (found, parties) = self
            .read(token, |state, who| {
                let account = seen_account(state, who, iban)?;
                let on_account = |(id, hold): &(HoldId, &ledger::Hold)| hold.debit == account && id.event() > after;
                let found = state.ledger().holds().filter(on_account).take(limit.saturating_add(1));
                let found: Vec<_> = found.map(|(id, hold)| (id, *hold)).collect();
                let credited = found.iter().map(|(_, hold)| hold.credit);
                let ids: Vec<AccountId> = [account].into_iter().chain(credited).collect();
                Ok((found, Parties::payers(state, &ids)))
            })
            .await?;
        let next = (found.len() > limit).then(|| found[limit.saturating_sub(1)].0.event());
        let mut holds = Vec::new();
        for (id, open) in found.into_iter().take(limit) {
            holds.push(self.hold_view(id, &self.placed(id).await?.now(Some(&open)), &parties)?);
        }
        Ok(HoldPage { holds, next })
    }

    /// Takes reserved money to its payee: an amount, or all that is left. With `last` the rest is let go.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn capture(
        &self,
        asked: &Keyed<'_>,
        id: &str,
        amount: Result<Option<Money>, Fault>,
        last: bool,
    ) -> Result<Booked, Fault> {
        let (write, found) = self.prepare_write(asked, |state, _| {
            let amount = amount?;
            let hold = self.hold_id(id)?;
            let open = state.ledger().hold(hold);
            // All that is left; of a hold that is not open any more the decision tells what became of the key.
            let rest = open.map(|open| Money { minor: open.remaining_minor, ..open.amount });
            Ok((hold, amount.or(rest)))
        })?;
        let found = match found {
            Ok((hold, None)) => self.placed(hold).await.map(|known| (hold, known.placed.amount)),
            Ok((hold, Some(amount))) => Ok((hold, amount)),
            Err(fault) => Err(fault),
        };
        let body = found.map(|(hold, amount)| Body::Holds(HoldCommand::Capture { hold, amount, last }));
        self.booked(&self.submit(&write, body).await?)
    }

    /// Lets reserved money go.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn void(&self, asked: &Keyed<'_>, id: &str) -> Result<ChangedHold, Fault> {
        let (write, hold) = self.prepare_write(asked, |_, _| self.hold_id(id))?;
        let receipt = self.submit(&write, hold.map(|hold| Body::Holds(HoldCommand::Void { hold }))).await?;
        let What::Holds(HoldEvent::HoldReleased { hold, .. }) = receipt.what else { return Err(unexpected(&receipt)) };
        let known = self.placed(hold).await?;
        let (known, parties) = self.engine().peek(|state| {
            let parties = Parties::of(state, &write.who, &known.ids());
            (known.now(None), parties)
        })?;
        Ok(ChangedHold { hold: self.hold_view(hold, &known, &parties)?, is_repeated: receipt.repeated })
    }

    /// Gives a hold more time.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn extend_hold(
        &self,
        asked: &Keyed<'_>,
        id: &str,
        expires_at: Result<Timestamp, Fault>,
    ) -> Result<ChangedHold, Fault> {
        let (write, found) = self.prepare_write(asked, |_, _| {
            let expires_at = expires_at?;
            Ok((self.hold_id(id)?, expires_at))
        })?;
        let body = found.map(|(hold, expires_at)| Body::Holds(HoldCommand::Extend { hold, expires_at }));
        let receipt = self.submit(&write, body).await?;
        let What::Holds(HoldEvent::HoldExtended { hold, expires_at }) = receipt.what else {
            return Err(unexpected(&receipt));
        };
        let known = self.placed(hold).await?;
        let (known, parties) = self.engine().peek(|state| {
            let parties = Parties::of(state, &write.who, &known.ids());
            (known.now(state.ledger().hold(hold)), parties)
        })?;
        let hold = self.hold_view(hold, &Known { expires_at, ..known }, &parties)?;
        Ok(ChangedHold { hold, is_repeated: receipt.repeated })
    }

    fn hold_id(&self, id: &str) -> Result<HoldId, Fault> {
        let hold = self.hold_ids().event(id).and_then(HoldId::new);
        Ok(hold.ok_or(Refusal::from(ledger::Refusal::HoldNotOpen))?)
    }

    /// A hold as it was placed.
    async fn placed(&self, id: HoldId) -> Result<Known, Fault> {
        let found = self.engine().find_event(id.event()).await?;
        let known = found.and_then(|recorded| Known::placed(&recorded.event.what));
        known.ok_or_else(|| Refusal::from(ledger::Refusal::HoldNotOpen).into())
    }
}
