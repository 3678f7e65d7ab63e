//! Holds in the auditor's books: what is held, for whom and until when.

use bank::{Body, Event, HoldCommand, HoldEvent, What};
use ledger::{Cause, Hold, HoldId, Ledger, Leg, ReleaseReason, Timestamp};
use smallvec::smallvec;

use super::access::{Objection, Objections, Who};
use super::moves::{Moved, Moves, is_paid};
use super::{Agreed, Auditor, Breach, Named, only};

#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) debit: u32,
    pub(super) credit: u32,
    pub(super) remaining: i128,
    /// Amount that was captured of it in all.
    captured: i128,
    pub(super) expires_at: Timestamp,
}

impl Auditor {
    pub(super) fn hold_movement(&self, command: &HoldCommand) -> Option<Moves> {
        match command {
            HoldCommand::PlaceHold { leg, .. } => Some(smallvec![Moved::of(leg)]),
            HoldCommand::Capture { hold, amount, .. } => {
                let held = self.holds.get(&hold.event())?;
                let (minor, currency) = (i128::from(amount.minor), amount.currency.numeric());
                Some(smallvec![Moved { debit: held.debit, credit: held.credit, minor, currency }])
            }
            HoldCommand::Extend { .. } | HoldCommand::Void { .. } | HoldCommand::Expire { .. } => None,
        }
    }

    /// All that speaks against a customer's holding money, or having to do with what is held.
    pub(super) fn objections_to_hold(&self, customer: u32, command: &HoldCommand, moves: &[Moved]) -> Objections {
        let objection = match command {
            HoldCommand::PlaceHold { .. } => return self.objections_to_moves(customer, moves),
            // The payer agreed to what is held; the payee takes it, or lets it go.
            HoldCommand::Capture { hold, .. } | HoldCommand::Void { hold } => {
                self.holds.get(&hold.event()).and_then(|held| self.objection_to(customer, held.credit, 0, 0))
            }
            // More time is the payer's to give, who can move what is still held.
            HoldCommand::Extend { hold, .. } => self.holds.get(&hold.event()).and_then(|held| {
                let currency = self.known(held.debit).map_or(0, |account| account.currency);
                self.objection_to(customer, held.debit, held.remaining, currency)
            }),
            // Forbidden to them all.
            HoldCommand::Expire { .. } => None,
        };
        let mut objections: Objections = objection.into_iter().collect();
        if let HoldCommand::Capture { hold, .. } = command
            && self.holds.get(&hold.event()).is_some_and(|held| !self.can_be_a_customers(held.debit))
        {
            objections.push(Objection::BanksHold);
        }
        objections
    }

    // ---- Do the events fit the books? ----

    pub(super) fn book_hold(&mut self, event: &HoldEvent, at: Timestamp) -> Agreed {
        match event {
            HoldEvent::HoldPlaced { hold, .. } => self.book_placed(hold, at),
            HoldEvent::HoldReleased { hold, reason, released_minor } => {
                let told = released_minor.map(i128::from);
                self.book_release(hold.event(), *reason, told, at)
            }
            HoldEvent::HoldExtended { hold, expires_at } => self.book_extension(hold.event(), *expires_at, at),
        }
    }

    fn book_placed(&mut self, hold: &Hold, at: Timestamp) -> Agreed {
        let minor = i128::from(hold.amount.minor);
        agree!(minor > 0 && i128::from(hold.remaining_minor) == minor, "a hold is of more than nothing, and whole");
        agree!(hold.expires_at > at, "the hold was over before it began");
        self.may_move(hold.debit.0, hold.credit.0, hold.amount.currency.numeric())?;
        let account = self.account_mut(hold.debit.0)?;
        account.held += minor;
        agree!(account.may_have(account.available()), "the hold was not covered");
        let (debit, credit) = (hold.debit.0, hold.credit.0);
        let held = Held { debit, credit, remaining: minor, captured: 0, expires_at: hold.expires_at };
        self.holds.insert(self.events, held);
        Ok(())
    }

    fn book_release(&mut self, id: u64, reason: ReleaseReason, told: Option<i128>, at: Timestamp) -> Agreed {
        let Some(held) = self.holds.remove(&id) else { return Err(breach!("hold {id} was not open")) };
        agree!(reason != ReleaseReason::Expired || held.expires_at <= at, "hold {id} expired before its time");
        agree!(told == Some(held.remaining), "hold {id} is told to let {told:?} go, of {held:?}");
        self.account_mut(held.debit)?.held -= held.remaining;
        Ok(())
    }

    fn book_extension(&mut self, id: u64, expires_at: Timestamp, at: Timestamp) -> Agreed {
        let Some(held) = self.holds.get_mut(&id) else { return Err(breach!("hold {id} was not open")) };
        agree!(held.expires_at > at, "hold {id} was over before it was extended");
        agree!(held.expires_at < expires_at, "hold {id} was extended to an earlier time");
        held.expires_at = expires_at;
        Ok(())
    }

    /// Books a capture; `told` is what it says that it let go of the rest.
    pub(super) fn book_capture(
        &mut self,
        id: u64,
        last: bool,
        told: Option<i64>,
        moves: &[Moved],
        at: Timestamp,
    ) -> Agreed {
        let Some(held) = self.holds.get_mut(&id) else { return Err(breach!("hold {id} was not open")) };
        agree!(held.expires_at > at, "hold {id} was captured after its time");
        let captured: i128 = moves.iter().map(|moved| moved.minor).sum();
        let its_own = moves.iter().all(|moved| (moved.debit, moved.credit) == (held.debit, held.credit));
        agree!(its_own, "the capture goes another way than hold {id}");
        agree!(captured <= held.remaining, "more was captured than held");
        held.remaining -= captured;
        held.captured += captured;
        let released = last.then_some(held.remaining);
        agree!(told.map(i128::from) == released, "a capture of hold {id} is told to let {told:?} go, of {held:?}");
        let (debit, left) = (held.debit, held.remaining);
        let freed = if last { captured + left } else { captured };
        if last || left == 0 {
            self.holds.remove(&id);
        }
        self.account_mut(debit)?.held -= freed;
        Ok(())
    }

    // ---- Is the reason of a refusal true? ----

    /// Returns `true` if a hold is over before it begins, or before something was asked of it.
    pub(super) fn is_over(&self, body: &Body, at: Timestamp) -> bool {
        let Body::Holds(command) = body else { return false };
        match command {
            HoldCommand::PlaceHold { expires_at, .. } => *expires_at <= at,
            HoldCommand::Capture { hold, .. } | HoldCommand::Extend { hold, .. } => {
                self.holds.get(&hold.event()).is_some_and(|held| held.expires_at <= at)
            }
            HoldCommand::Void { .. } | HoldCommand::Expire { .. } => false,
        }
    }

    pub(super) fn is_not_longer(&self, body: &Body) -> bool {
        let Body::Holds(HoldCommand::Extend { hold, expires_at }) = body else { return false };
        self.holds.get(&hold.event()).is_some_and(|held| held.expires_at >= *expires_at)
    }

    // ---- Do the books agree with the bank's? ----

    pub(super) fn compare_holds(&self, theirs: &Ledger) -> Agreed {
        agree!(theirs.hold_pages().len() == self.holds.len(), "the bank has other holds open");
        for (id, hold) in theirs.holds() {
            let captured = i128::from(hold.amount.minor) - i128::from(hold.remaining_minor);
            let ours = self.holds.get(&id.event()).map(|held| held.captured);
            agree!(ours == Some(captured), "of hold {} {captured} is captured, should be {ours:?}", id.event());
            let ours = self.holds.get(&id.event()).map(|held| held.remaining);
            let theirs = i128::from(hold.remaining_minor);
            agree!(ours == Some(theirs), "hold {} is of {theirs}, should be of {ours:?}", id.event());
            let ours = self.holds.get(&id.event()).map(|held| held.expires_at);
            agree!(ours == Some(hold.expires_at), "hold {} lasts until {:?}", id.event(), hold.expires_at);
        }
        Ok(())
    }
}

pub(super) fn is_hold_forbidden(who: Who, command: &HoldCommand) -> bool {
    match command {
        HoldCommand::PlaceHold { .. } => matches!(who, Who::Operator | Who::Auditor),
        HoldCommand::Capture { .. } | HoldCommand::Void { .. } | HoldCommand::Extend { .. } => who == Who::Auditor,
        HoldCommand::Expire { .. } => who != Who::System,
    }
}

pub(super) fn is_hold_answered(command: &HoldCommand, moves: &[Moved], events: &[Event]) -> bool {
    use HoldEvent as E;
    let one = |is: &dyn Fn(&E) -> bool| matches!(only(events), Some(What::Holds(event)) if is(event));
    let is_released = |hold: &HoldId, why: ReleaseReason| {
        one(&|event| matches!(event, E::HoldReleased { hold: h, reason, .. } if (h, *reason) == (hold, why)))
    };
    match command {
        HoldCommand::PlaceHold { leg, expires_at, .. } => one(&|event| {
            let E::HoldPlaced { hold, .. } = event else { return false };
            let Hold { debit, credit, amount, .. } = *hold;
            *leg == Leg { debit, credit, amount } && hold.expires_at == *expires_at
        }),
        HoldCommand::Capture { hold, last, .. } => is_paid(moves, Cause::Capture { hold: *hold, last: *last }, events),
        HoldCommand::Void { hold } => is_released(hold, ReleaseReason::Voided),
        HoldCommand::Expire { hold } => is_released(hold, ReleaseReason::Expired),
        HoldCommand::Extend { hold, expires_at } => {
            one(&|event| matches!(event, E::HoldExtended { hold: h, expires_at: e } if (h, e) == (hold, expires_at)))
        }
    }
}

pub(super) fn named_by_hold(command: &HoldCommand) -> Named {
    match command {
        HoldCommand::Capture { hold, .. }
        | HoldCommand::Void { hold }
        | HoldCommand::Expire { hold }
        | HoldCommand::Extend { hold, .. } => Named { hold: Some(hold.event()), ..Named::default() },
        // Its accounts are those that it moves money between.
        HoldCommand::PlaceHold { .. } => Named::default(),
    }
}
