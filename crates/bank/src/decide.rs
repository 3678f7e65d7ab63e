//! The one decision: what a command would change, or why not.

use smallvec::{SmallVec, smallvec};

use crate::{Body, Command, Event, Events, Facts, Refusal, State, What, access, accounts, payments};

/// Contents of events whose author is not named yet.
pub(crate) type Whats = SmallVec<[What; 1]>;

/// Answer of a guard function: the contents of the events, or the refusal.
pub(crate) type Decided = Result<Whats, Refusal>;

pub(crate) fn accepted(what: What) -> Decided {
    Ok(smallvec![what])
}

/// The answer to a command.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "accepted is the ordinary case, and is moved once")]
pub enum Decision {
    /// These events are to be made durable and applied. None means that nothing changes.
    Accepted(Events),
    /// Refused. Under an idempotency key the refusal itself is an event, so that a retry gets the same answer.
    Refused(Refusal, Option<Event>),
    /// The key was used before; the event of this number is the first outcome. Whether it was the same request shows
    /// its fingerprint.
    Repeated(u64),
}

/// Decides a command. Pure: the same state, command and facts give the same decision.
#[must_use]
pub fn decide(state: &State, command: &Command, facts: &Facts<'_>) -> Decision {
    if let Some(request) = &command.request
        && let Some(first) = state.outcome_of(&request.key).or(facts.earlier)
    {
        return Decision::Repeated(first);
    }
    match judge(state, command, facts) {
        Ok(whats) => {
            let mut request = command.request;
            let by = command.caller.user;
            let events = whats.into_iter().map(|what| Event { by, what, request: request.take() });
            Decision::Accepted(events.collect())
        }
        // Whoever is not signed in writes nothing, not even refusals.
        Err(Refused { refusal: refusal @ Refusal::NotSignedIn, .. }) => Decision::Refused(refusal, None),
        Err(Refused { refusal, place }) => {
            let event = command.request.map(|request| Event {
                by: command.caller.user,
                what: What::Refused { refusal, place },
                request: Some(request),
            });
            Decision::Refused(refusal, event)
        }
    }
}

/// Reason for refusing a command, and the place of the payment concerned where there are several.
pub(crate) struct Refused {
    pub(crate) refusal: Refusal,
    pub(crate) place: Option<u32>,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, place: None }
    }
}

fn judge(state: &State, command: &Command, facts: &Facts<'_>) -> Result<Whats, Refused> {
    let Command { caller, body, .. } = command;
    let standing = access::standing(state, caller, facts.now)?;
    if state.founding().is_none() && !matches!(body, Body::Found { .. }) {
        return Err(Refusal::NotFounded.into());
    }
    let decided = match body {
        Body::PayAll(payments) => return payments::pay_all(standing, state, payments, facts),
        Body::Found { name, numbering } => {
            standing.must_be_system()?;
            if state.founding().is_some() {
                return Err(Refusal::AlreadyFounded.into());
            }
            let (country, bank_code) = (numbering.country().to_owned(), numbering.bank_code().to_owned());
            accepted(What::Founded { name: name.clone(), country, bank_code, scheme: numbering.scheme() })
        }
        Body::Unresolved(refusal) => Err(*refusal),
        Body::AddCustomer { name } => access::add_customer(standing, state, name),
        Body::AddUser { .. } => access::add_user(standing, state, body),
        Body::SetPassword { user, password } => access::set_password(standing, state, *user, password),
        Body::SignIn { .. } => access::sign_in(standing, state, body, facts),
        Body::SignOut { token } => access::sign_out(standing, state, caller, *token),
        Body::SignInFailed { user } => access::sign_in_failed(standing, state, *user, facts),
        Body::OpenAccount(open) => accounts::open(standing, state, open, facts),
        Body::Grant { customer, account, right } => access::grant(standing, state, *customer, *account, *right),
        Body::Revoke { customer, account } => access::revoke(standing, state, *customer, *account),
        Body::Rename { account, name } => accounts::rename(standing, state, *account, name.as_ref()),
        Body::SetStatus { account, status } => accounts::set_status(standing, state, *account, *status),
        Body::SetOverdraft { account, overdraft } => accounts::set_overdraft(standing, state, *account, *overdraft),
        Body::Pay(pay) => payments::pay(standing, state, pay, facts),
        Body::Deposit { account, amount, text } => {
            payments::cash(standing, state, *account, *amount, true, text.as_ref(), facts)
        }
        Body::Withdraw { account, amount, text } => {
            payments::cash(standing, state, *account, *amount, false, text.as_ref(), facts)
        }
        Body::Book { leg, reason } => payments::book(standing, state, *leg, reason, facts),
        Body::PlaceHold { leg, expires_at, text, metadata } => {
            let hold = payments::may_hold(standing, state, *leg, *expires_at, facts)?;
            accepted(What::HoldPlaced { hold, text: text.clone(), metadata: metadata.clone() })
        }
        Body::Extend { hold, expires_at } => payments::extend(standing, state, *hold, *expires_at, facts),
        Body::Capture { hold, amount, last } => payments::capture(standing, state, *hold, *amount, *last, facts),
        Body::Void { hold } => payments::void(standing, state, *hold),
        Body::Expire { hold } => payments::expire(standing, state, *hold, facts),
        Body::Refund { of, leg, amount, text } => {
            payments::refund(standing, state, *of, *leg, *amount, text.as_ref(), facts)
        }
        Body::Reverse { of, text } => payments::reverse(standing, state, *of, text.as_ref(), facts),
    };
    Ok(decided?)
}
