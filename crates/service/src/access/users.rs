//! Users: those who can sign in.

use bank::{AccessCommand, AccessEvent, Action, Body, CustomerId, Refusal, Role, SubjectId, TokenHash, UserId, What};
use engine::{Field, NewSubject};
use zeroize::Zeroizing;

use super::password::{MAX_CHARACTERS, MIN_CHARACTERS, has_its_length};
use crate::fault::Fault;
use crate::service::Service;
use crate::texts::text;
use crate::writes::{Keyed, unexpected};

/// A user to be.
pub struct UserOrder<'a> {
    /// The name to sign in with. Capital and small letters are the same.
    pub name: &'a str,
    /// The password.
    pub password: &'a str,
    /// Role of the user.
    pub role: Role,
    /// The customer for whom the user acts.
    pub customer: Option<CustomerId>,
}

/// A user.
#[derive(Debug, Clone)]
pub struct UserView {
    /// The user's number.
    pub id: UserId,
    /// The name to sign in with; none where the person has been erased.
    pub name: Option<String>,
    /// Role of the user.
    pub role: Role,
    /// The customer for whom the user acts.
    pub customer: Option<CustomerId>,
}

/// A user who was added.
#[derive(Debug, Clone)]
pub struct NewUser {
    /// The user.
    pub user: UserView,
    /// `true` if the user was added under the same key before, and this is the first outcome given again.
    pub is_repeated: bool,
}

/// A page of users.
#[derive(Debug, Clone)]
pub struct UserPage {
    /// In the order of their numbers.
    pub users: Vec<UserView>,
    /// Place at which the next page begins; none where there is none.
    pub next: Option<usize>,
}

impl Service {
    /// Adds a user. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn add_user(&self, asked: &Keyed<'_>, order: UserOrder<'_>) -> Result<NewUser, Fault> {
        // The caller's role and the customer are looked at before the work of hashing, and decided on after it.
        let (write, found) = self.prepare_write(asked, |state, who| {
            let name = text("name", order.name)?;
            if !has_its_length(order.password) {
                let detail = format!("a password has {MIN_CHARACTERS} to {MAX_CHARACTERS} characters");
                return Err(Fault::field("password", detail));
            }
            who.may_ever(Action::AddPeople)?;
            let subject = |id| state.customer(id).map(|customer| customer.name.subject).ok_or(Refusal::UnknownCustomer);
            Ok((name, order.customer.map(subject).transpose()?))
        })?;
        let body = match found {
            Ok((name, known)) => {
                let hash = self.passwords().hash(Zeroizing::new(order.password.to_owned())).await?;
                self.new_user(&order, name, &hash, known)
            }
            Err(fault) => Err(fault),
        };
        let receipt = self.submit_with(&write, body, None).await?;
        let What::Access(AccessEvent::UserAdded { id, name, role, customer, .. }) = &receipt.what else {
            return Err(unexpected(&receipt));
        };
        let name = self.open(Field::UserName, name)?;
        let user = UserView { id: *id, name, role: *role, customer: *customer };
        Ok(NewUser { user, is_repeated: receipt.repeated })
    }

    /// The command, under the key of the customer's `subject`, or for one of the bank's under a new one.
    fn new_user(
        &self,
        order: &UserOrder<'_>,
        name: &str,
        hash: &str,
        subject: Option<SubjectId>,
    ) -> Result<(Body, Option<NewSubject>), Fault> {
        let (name, password, new) = match subject {
            Some(subject) => {
                (self.seal(subject, Field::UserName, name)?, self.seal(subject, Field::Password, hash)?, None)
            }
            None => {
                let new = NewSubject::generate();
                (new.seal(Field::UserName, name), new.seal(Field::Password, hash), Some(new))
            }
        };
        let (role, customer) = (order.role, order.customer);
        let name_index = self.engine().name_index(order.name);
        Ok((Body::Access(AccessCommand::AddUser { name_index, name, password, role, customer }), new))
    }

    /// Lists the users from the place `first` on. For operators and auditors.
    ///
    /// # Errors
    ///
    /// Fails if the caller may not see them, and if the engine can't answer.
    pub async fn users(&self, token: TokenHash, first: usize, limit: usize) -> Result<UserPage, Fault> {
        let (found, count) = self
            .read(token, |state, who| {
                who.may_ever(Action::SeeAll)?;
                let users = state.users().iter().skip(first).take(limit);
                let found: Vec<_> = users.map(|user| (user.name.clone(), user.role, user.customer)).collect();
                Ok((found, state.users().len()))
            })
            .await?;
        let next = first.saturating_add(found.len());
        let users = found.iter().zip((first..).skip(1)).map(|((name, role, customer), number)| {
            let id = UserId(u32::try_from(number).unwrap_or(u32::MAX));
            Ok(UserView { id, name: self.open(Field::UserName, name)?, role: *role, customer: *customer })
        });
        let users = users.collect::<Result<_, Fault>>()?;
        Ok(UserPage { users, next: (next < count).then_some(next) })
    }
}
