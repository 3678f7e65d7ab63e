//! Sign-ins, rights and ends of sessions, and what is learned of those who can sign in.

use bank::{AccessCommand, AccessEvent, AddressHash, Body, Caller, Right, TokenHash, UserId};

use super::{HOUR_MS, MINUTE_MS, Person, Workload, sealed};

impl Workload {
    pub(super) fn learn_access(&mut self, event: &AccessEvent) {
        match event {
            AccessEvent::UserAdded { id, role, customer, .. } => {
                self.people.push(Person { user: *id, role: *role, customer: *customer, session: None });
            }
            AccessEvent::SessionOpened { user, token, expires_at, .. } => {
                if let Some(person) = self.people.iter_mut().find(|person| person.user == *user) {
                    person.session = Some((*token, *expires_at));
                }
            }
            // A session that was closed is used again, in vain.
            AccessEvent::SessionClosed { .. }
            | AccessEvent::SignInFailed { .. }
            | AccessEvent::PasswordSet { .. }
            | AccessEvent::KeyDestroyed { .. }
            | AccessEvent::CustomerAdded { .. }
            | AccessEvent::RightGranted { .. }
            | AccessEvent::RightRevoked { .. } => {}
        }
    }

    /// A new session for somebody whose last one is over or nearly so; most of the time, not always.
    pub(super) fn sign_in(&mut self) -> Option<Body> {
        let now = self.now;
        let signed_in = |person: &Person| person.session.is_some_and(|(_, expires_at)| expires_at > now);
        let user = self.people.iter().find(|person| !signed_in(person))?.user;
        if self.random.once_in(4) {
            return None;
        }
        let mut token = [0; 16];
        token[..8].copy_from_slice(&self.random.bits().to_le_bytes());
        let expires_at = now.plus_ms(MINUTE_MS + self.random.amount(8 * HOUR_MS));
        let from = self.random.once_in(2).then(|| AddressHash([token[0]; 16]));
        Some(Body::Access(AccessCommand::SignIn { user, token: TokenHash(token), expires_at, from }))
    }

    pub(super) fn change_right(&mut self) -> (Caller, Body) {
        let cash = if self.random.once_in(8) { self.random.pick(&self.cash) } else { None };
        let account = cash.unwrap_or_else(|| self.account().id);
        let customer = self.customer(0);
        let right = match self.random.below(8) {
            0 => return (self.operator(), Body::Access(AccessCommand::Revoke { customer, account })),
            1 | 2 => Right::Signatory { limit_minor: Some(1 + self.random.amount(2_000)) },
            3 => Right::Signatory { limit_minor: None },
            4 => Right::ReadOnly,
            _ => Right::Owner,
        };
        (self.operator(), Body::Access(AccessCommand::Grant { customer, account, right }))
    }

    pub(super) fn end_session(&mut self) -> (Caller, Body) {
        let Some(person) = self.random.pick(&self.people) else { return self.pay() };
        match person.session {
            Some((token, _)) if self.random.once_in(4) => {
                (Caller { user: person.user, session: Some(token) }, Body::Access(AccessCommand::SignOut { token }))
            }
            _ if self.random.once_in(4) => {
                let caller = if self.random.once_in(4) { self.operator() } else { Caller::SYSTEM };
                let user = if self.random.once_in(8) { UserId(u32::MAX) } else { person.user };
                (caller, Body::Access(AccessCommand::SetPassword { user, password: sealed("another hash") }))
            }
            _ => (Caller::SYSTEM, Body::Access(AccessCommand::SignInFailed { user: person.user })),
        }
    }
}
