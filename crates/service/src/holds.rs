//! Holds: money reserved for a payee, then taken in parts or whole, or let go.

use bank::{Body, HoldCommand, HoldEvent, PaymentEvent, Refusal, Said, Sealed, TokenHash, What};
use engine::{Deeds, Engine, Field, Recorded, Unavailable};
use ledger::{AccountId, Cause, HoldId, Money, ReleaseReason, Timestamp};
use tokio::task::spawn_blocking;

use crate::fault::Fault;
use crate::metadata::Metadata;
use crate::names::{leg_of, seen_account};
use crate::payments::{Booked, Parties};
use crate::service::Service;
use crate::writes::{Keyed, is_dry, unexpected};

/// Length of a day, in milliseconds.
const MS_PER_DAY: i64 = 86_400_000;

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

/// State of a hold, in the words of card payments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldState {
    /// Nothing of it was captured yet.
    Authorised,
    /// Some of it was captured, and more can be.
    PartlyCaptured,
    /// It was captured for the last time.
    Captured,
    /// Closed because somebody entitled to it let go what remained.
    Voided,
    /// Closed because its time was over; the rest was let go.
    Expired,
}

/// Side of a hold on which an account is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HoldRole {
    /// It pays.
    Payer,
    /// It is paid.
    Payee,
}

/// Page of a list of open holds, as it is asked for. Every filter that is given must hold.
#[derive(Debug, Clone, Copy)]
pub struct HoldSearch {
    /// The hold after which the page begins, by the number of its event.
    pub after: u64,
    /// The most holds of the page.
    pub limit: usize,
    /// On this side of the account; on both where there is none.
    pub role: Option<HoldRole>,
    /// In this state.
    pub state: Option<HoldState>,
}

/// Reserved money.
#[derive(Debug, Clone)]
pub struct HoldView {
    /// Its id, for ever.
    pub id: String,
    /// Side on which the account is that was asked for; none where none was.
    pub role: Option<HoldRole>,
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
    /// Amount of it that was captured; none where the journal, of an older version, doesn't tell.
    pub captured: Option<Money>,
    /// State of the hold.
    pub state: HoldState,
    /// Time at which it was placed.
    pub placed_at: Timestamp,
    /// Time at which it was closed; none while it is open.
    pub closed_at: Option<Timestamp>,
    /// The ids of its captures, which are payments: the first [`engine::MAX_DEEDS`].
    pub captures: Vec<String>,
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
    pub(crate) expires_at: Timestamp,
    placed_at: Timestamp,
    course: Course,
    said: Said,
    metadata: Option<Sealed>,
}

/// Course of a hold since it was placed.
#[derive(Debug)]
struct Course {
    state: HoldState,
    remaining_minor: i64,
    /// None where the journal doesn't tell.
    captured_minor: Option<i64>,
    closed_at: Option<Timestamp>,
    /// The first of its captures.
    captures: Vec<u64>,
}

impl Course {
    /// Nothing happened to it.
    fn begun(hold: &ledger::Hold) -> Self {
        Self {
            state: HoldState::Authorised,
            remaining_minor: hold.amount.minor,
            captured_minor: Some(0),
            closed_at: None,
            captures: Vec::new(),
        }
    }

    /// It is open, and of it so much remains.
    fn open(placed: &ledger::Hold, remaining_minor: i64, captures: Vec<u64>) -> Self {
        Self {
            state: state_of_open(placed.amount.minor, remaining_minor),
            remaining_minor,
            captured_minor: Some(placed.amount.minor.saturating_sub(remaining_minor)),
            closed_at: None,
            captures,
        }
    }

    /// It is closed, by the last of the events that act on it.
    fn closed(engine: &Engine, placed: &ledger::Hold, deeds: Deeds) -> Result<Self, Unavailable> {
        let missing = || Unavailable::Failed("the index of the past doesn't tell by what a hold was closed".into());
        let last = deeds.last.ok_or_else(missing)?;
        let closing = engine.event(last)?.ok_or_else(missing)?;
        let (state, released_minor) = closed_by(&closing).ok_or_else(missing)?;
        let captured_minor = match released_minor {
            Some(released) => Some(placed.amount.minor.saturating_sub(released)),
            // An event of a time before it was told: what is not told by it, its captures tell together.
            None => captured_in_all(engine, &deeds)?,
        };
        let mut captures = deeds.first;
        if state != HoldState::Captured {
            captures.retain(|capture| *capture != last);
        }
        Ok(Self { state, remaining_minor: 0, captured_minor, closed_at: Some(closing.at), captures })
    }
}

/// State of a hold that is open.
fn state_of_open(amount_minor: i64, remaining_minor: i64) -> HoldState {
    if remaining_minor < amount_minor { HoldState::PartlyCaptured } else { HoldState::Authorised }
}

/// State in which an event left a hold, and how much of it was let go, where the event tells.
fn closed_by(closing: &Recorded) -> Option<(HoldState, Option<i64>)> {
    match &closing.event.what {
        What::Holds(HoldEvent::HoldReleased { reason, released_minor, .. }) => match reason {
            ReleaseReason::Voided => Some((HoldState::Voided, *released_minor)),
            ReleaseReason::Expired => Some((HoldState::Expired, *released_minor)),
        },
        What::Payments(PaymentEvent::Posted { posting, released_minor, .. }) => match posting.cause() {
            // It took all that remained, or the hold would be open.
            Cause::Capture { last: false, .. } => Some((HoldState::Captured, Some(0))),
            Cause::Capture { last: true, .. } => Some((HoldState::Captured, released_minor.as_deref().copied())),
            Cause::Order | Cause::Refund { .. } | Cause::Reversal { .. } => None,
        },
        What::System(_)
        | What::Access(_)
        | What::Accounts(_)
        | What::Payments(PaymentEvent::PaidAll { .. })
        | What::Holds(HoldEvent::HoldPlaced { .. } | HoldEvent::HoldExtended { .. }) => None,
    }
}

/// The sum of a hold's captures; none where they are too many to be read one by one.
fn captured_in_all(engine: &Engine, deeds: &Deeds) -> Result<Option<i64>, Unavailable> {
    if !deeds.are_whole() {
        return Ok(None);
    }
    let mut sum = 0_i64;
    for event in &deeds.first {
        let recorded = engine.event(*event)?;
        if let Some(What::Payments(PaymentEvent::Posted { posting, .. })) = recorded.map(|it| it.event.what) {
            sum = posting.legs().iter().fold(sum, |sum, booked| sum.saturating_add(booked.leg.amount.minor));
        }
    }
    Ok(Some(sum))
}

impl Known {
    /// The hold that an event placed, as it was then.
    pub(crate) fn placed(what: &What, at: Timestamp) -> Option<Self> {
        let What::Holds(HoldEvent::HoldPlaced { hold, text, metadata, copies }) = what else { return None };
        Some(Self {
            placed: *hold,
            expires_at: hold.expires_at,
            said: Said { text: text.clone(), end_to_end_id: None, copies: copies.clone() },
            placed_at: at,
            course: Course::begun(hold),
            metadata: metadata.clone(),
        })
    }

    /// Returns `true` if nothing of it was captured or let go, given that it is open as `open`.
    fn is_untouched(&self, open: Option<&ledger::Hold>) -> bool {
        open.is_some_and(|open| open.remaining_minor == self.placed.amount.minor)
    }

    /// Returns the hold as it was after the event `until`, when it was open as `open`, or closed. For a thread that may wait
    /// for the disk, but where it is untouched.
    pub(crate) fn after(
        self,
        engine: &Engine,
        id: HoldId,
        open: Option<&ledger::Hold>,
        until: u64,
    ) -> Result<Self, Unavailable> {
        let deeds = match self.is_untouched(open) {
            true => Deeds::default(),
            false => engine.deeds_on(id.event(), until)?,
        };
        let (placed, expires_at) = (self.placed, open.map_or(self.expires_at, |open| open.expires_at));
        let course = match open {
            Some(open) => Course::open(&placed, open.remaining_minor, deeds.first),
            None => Course::closed(engine, &placed, deeds)?,
        };
        Ok(Self { expires_at, course, ..self })
    }

    pub(crate) fn ids(&self) -> [AccountId; 2] {
        [self.placed.debit, self.placed.credit]
    }
}

impl HoldSearch {
    fn asks_for(&self, account: AccountId, id: HoldId, hold: &ledger::Hold) -> bool {
        let state = || state_of_open(hold.amount.minor, hold.remaining_minor);
        let role = role_of(account, hold);
        id.event() > self.after
            && role.is_some()
            && self.role.is_none_or(|wanted| role == Some(wanted))
            && self.state.is_none_or(|wanted| state() == wanted)
    }
}

/// Side of a hold on which an account is.
fn role_of(account: AccountId, hold: &ledger::Hold) -> Option<HoldRole> {
    match account {
        _ if account == hold.debit => Some(HoldRole::Payer),
        _ if account == hold.credit => Some(HoldRole::Payee),
        _ => None,
    }
}

impl Service {
    pub(crate) fn hold_view(&self, id: HoldId, known: &Known, parties: &Parties) -> Result<HoldView, Fault> {
        Ok(HoldView { id: self.hold_ids().id(id.event()), role: None, terms: self.hold_terms(known, parties)? })
    }

    fn hold_terms(&self, known: &Known, parties: &Parties) -> Result<HoldTermsView, Fault> {
        let Known { placed, expires_at, placed_at, course, said, metadata } = known;
        let money = |minor| Money { minor, ..placed.amount };
        Ok(HoldTermsView {
            from: parties.iban(placed.debit),
            to: parties.iban(placed.credit),
            amount: placed.amount,
            remaining: money(course.remaining_minor),
            captured: course.captured_minor.map(money),
            state: course.state,
            placed_at: *placed_at,
            closed_at: course.closed_at,
            captures: course.captures.iter().map(|event| self.payment_ids().id(*event)).collect(),
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
            self.must_end_in_time(order.expires_at)?;
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
        let known = Known::placed(&receipt.what, receipt.at).ok_or_else(|| unexpected(&receipt))?;
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
        let (open, until, parties) = self
            .read(token, |state, who| {
                let parties = Parties::seen(state, who, &known.ids())?;
                Ok((state.ledger().hold(id).copied(), state.last_event(), parties))
            })
            .await?;
        self.hold_view(id, &self.after(id, known, open, until).await?, &parties)
    }

    /// Lists the open holds on an account and towards it, by its IBAN: those that `search` asks for.
    ///
    /// # Errors
    ///
    /// Fails if there is no such account, or the caller may not see it.
    pub async fn holds(&self, token: TokenHash, iban: &str, search: HoldSearch) -> Result<HoldPage, Fault> {
        let (found, account, until) = self
            .read(token, |state, who| {
                let account = seen_account(state, who, iban)?;
                let found = state.ledger().holds().filter(|(id, hold)| search.asks_for(account, *id, hold));
                let found = found.take(search.limit.saturating_add(1)).map(|(id, hold)| {
                    // Whether they see the payer's notes is not told by the account that was asked for.
                    (id, *hold, Parties::of(state, who, &[hold.debit, hold.credit]))
                });
                Ok((found.collect::<Vec<_>>(), account, state.last_event()))
            })
            .await?;
        let next = (found.len() > search.limit).then(|| found[search.limit.saturating_sub(1)].0.event());
        let mut holds = Vec::new();
        for (id, open, parties) in found.into_iter().take(search.limit) {
            let known = self.after(id, self.placed(id).await?, Some(open), until).await?;
            holds.push(HoldView { role: role_of(account, &open), ..self.hold_view(id, &known, &parties)? });
        }
        Ok(HoldPage { holds, next })
    }

    /// Returns a hold as it was after the event `until`, when it was open as `open`, or closed.
    async fn after(&self, id: HoldId, known: Known, open: Option<ledger::Hold>, until: u64) -> Result<Known, Fault> {
        let engine = self.engine().clone();
        if known.is_untouched(open.as_ref()) {
            return Ok(known.after(&engine, id, open.as_ref(), until)?);
        }
        let known = spawn_blocking(move || known.after(&engine, id, open.as_ref(), until)).await;
        Ok(known.map_err(|error| Fault::failed(&error))??)
    }

    /// Checks that a hold ends within the days that it may.
    fn must_end_in_time(&self, expires_at: Timestamp) -> Result<(), Fault> {
        let days = self.settings().hold_days;
        let latest = self.engine().now().0.saturating_add(i64::from(days).saturating_mul(MS_PER_DAY));
        if expires_at.0 <= latest {
            return Ok(());
        }
        let detail = format!("a hold ends within {days} days from now");
        Err(Fault::refusing(Refusal::HoldTooLong, detail).in_field("expires_at"))
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
            // What was said with the hold is told with the capture.
            Ok((hold, amount)) => self.placed(hold).await.map(|known| (hold, amount.unwrap_or(known.placed.amount))),
            Err(fault) => Err(fault),
        };
        let body = found.map(|(hold, amount)| Body::Holds(HoldCommand::Capture { hold, amount, last }));
        let receipt = self.submit(&write, body).await?;
        let What::Payments(PaymentEvent::Posted { posting, .. }) = &receipt.what else {
            return Err(unexpected(&receipt));
        };
        // It is the payee who captures, or the bank: whose copy of the text is shown goes by who asks.
        let parties = self.engine().peek(|state| Parties::of(state, &write.who, &bank::accounts_of(posting)))?;
        self.booked_for(&receipt, &parties)
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
        let known = self.after(hold, self.placed(hold).await?, None, receipt.event).await?;
        let parties = self.engine().peek(|state| Parties::of(state, &write.who, &known.ids()))?;
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
            let (expires_at, hold) = (expires_at?, self.hold_id(id)?);
            self.must_end_in_time(expires_at)?;
            Ok((hold, expires_at))
        })?;
        let body = found.map(|(hold, expires_at)| Body::Holds(HoldCommand::Extend { hold, expires_at }));
        let receipt = self.submit(&write, body).await?;
        let What::Holds(HoldEvent::HoldExtended { hold, expires_at }) = receipt.what else {
            return Err(unexpected(&receipt));
        };
        let known = self.placed(hold).await?;
        // A retry tells of the hold as it is by then, but for the time that it was given.
        let (open, until, parties) = self
            .read(asked.token, |state, who| {
                let parties = Parties::of(state, who, &known.ids());
                Ok((state.ledger().hold(hold).copied(), state.last_event(), parties))
            })
            .await?;
        let known = self.after(hold, known, open, until).await?;
        let hold = self.hold_view(hold, &Known { expires_at, ..known }, &parties)?;
        Ok(ChangedHold { hold, is_repeated: receipt.repeated })
    }

    fn hold_id(&self, id: &str) -> Result<HoldId, Fault> {
        let hold = self.hold_ids().event(id).and_then(HoldId::new);
        Ok(hold.ok_or(Refusal::UnknownHold)?)
    }

    /// A hold as it was placed.
    async fn placed(&self, id: HoldId) -> Result<Known, Fault> {
        let found = self.engine().find_event(id.event()).await?;
        let known = found.and_then(|recorded| Known::placed(&recorded.event.what, recorded.at));
        known.ok_or_else(|| Refusal::UnknownHold.into())
    }
}
