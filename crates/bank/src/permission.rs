//! Who may do what: one table of roles and actions, for what is read as well as for what is done.

use ledger::{AccountId, Money, Timestamp};

use crate::access::can_be_a_customers;
use crate::{Caller, CustomerId, Refusal, Right, Role, State, UserId};

/// The one in whose place a command is decided or a question answered, found by looking at the session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Kassa itself.
    System,
    /// Somebody who runs the bank.
    Operator,
    /// Somebody who sees all.
    Auditor,
    /// A customer, or somebody who acts for one.
    Customer(CustomerId),
}

/// What an action asks of a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Nothing: the role may.
    Yes,
    /// The role may not, whatever it is about.
    No,
    /// To be about themselves.
    Own,
    /// A right on the account, of whatever kind.
    Reader,
    /// A right to move the account's money, as much as the movement takes out of it.
    Mover,
    /// To be an owner of the account.
    Owner,
}

/// What an action is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The bank as a whole.
    Bank,
    /// A customer.
    Customer(CustomerId),
    /// An account.
    Account(AccountId),
    /// Money that is taken out of an account, or is in somebody's hand through it.
    Money(AccountId, Money),
}

/// Declares the actions with what each asks of Kassa itself, operators, auditors and customers, in this order.
macro_rules! permissions {
    ($($(#[$meta:meta])* $action:ident: $system:ident $operator:ident $auditor:ident $customer:ident;)+) => {
        /// Something that not everybody may do or see.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Action { $($(#[$meta])* $action,)+ }

        impl Action {
            /// Every action.
            pub const ALL: &'static [Self] = &[$(Self::$action,)+];

            /// Tells what the action asks of somebody.
            #[must_use]
            pub const fn asks_of(self, standing: Standing) -> Grant {
                let row = match self {
                    $(Self::$action => (Grant::$system, Grant::$operator, Grant::$auditor, Grant::$customer),)+
                };
                match standing {
                    Standing::System => row.0,
                    Standing::Operator => row.1,
                    Standing::Auditor => row.2,
                    Standing::Customer(_) => row.3,
                }
            }
        }
    };
}

permissions! {
    // ---- Done by Kassa itself only ----
    /// Founding the bank.
    Found:                  Yes    No       No      No;
    /// Opening a session for whoever has proved who they are, and noting who hasn't.
    LetIn:                  Yes    No       No      No;
    /// Closing a session that is another's.
    CloseOthersSession:     Yes    No       No      No;
    /// Setting a password anew.
    SetPassword:            Yes    No       No      No;
    /// Letting a hold go because its time is over.
    ExpireHold:             Yes    No       No      No;
    /// Booking what happened elsewhere before: an import.
    BookPast:               Yes    No       No      No;

    // ---- Running the bank ----
    /// Adding customers and users.
    AddPeople:              Yes    Yes      No      No;
    /// Granting and revoking rights.
    SetRights:              Yes    Yes      No      No;
    /// Opening accounts.
    OpenAccount:            Yes    Yes      No      No;
    /// Freezing, opening again and closing accounts, and setting their overdrafts.
    SetAccount:             Yes    Yes      No      No;
    /// Taking in and handing out cash.
    HandleCash:             Yes    Yes      No      No;
    /// Booking what is the bank's own.
    Book:                   Yes    Yes      No      No;
    /// Undoing a payment.
    Reverse:                Yes    Yes      No      No;
    /// Capturing what is held on an account of the bank's.
    CaptureBanksHold:       Yes    Yes      No      No;
    /// Setting the time zone of the bank's days.
    SetTimeZone:            Yes    Yes      No      No;
    /// Confirming that the clock is right.
    ConfirmClock:           Yes    Yes      No      No;

    // ---- Moving money ----
    /// Paying out of an account.
    Pay:                    Yes    No       No      Mover;
    /// Reserving money on an account.
    PlaceHold:              Yes    No       No      Mover;
    /// Giving a hold on an account more time.
    ExtendHold:             Yes    Yes      No      Mover;
    /// Capturing and voiding holds, by who is paid.
    CaptureHold:            Yes    Yes      No      Mover;
    /// Giving back what was paid, by who was paid.
    Refund:                 Yes    Yes      No      Mover;
    /// Paying to an account that is not one for payments.
    PayAnyAccount:          Yes    Yes      No      No;

    // ---- Accounts ----
    /// Giving an account a name.
    RenameAccount:          Yes    Yes      No      Owner;
    /// Seeing an account, its entries, its holds and its statements.
    SeeAccount:             Yes    Yes      Yes     Reader;
    /// Seeing who has which right on an account.
    SeeRights:              Yes    Yes      Yes     Owner;

    // ---- Seeing ----
    /// Seeing a customer and their accounts.
    SeeCustomer:            Yes    Yes      Yes     Own;
    /// Seeing all customers, users, accounts, payments and events.
    SeeAll:                 Yes    Yes      Yes     No;
}

impl Standing {
    /// Finds who stands behind a caller, if the session it came with is still open.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotSignedIn`] where it is not; [`Refusal::NotAllowed`] for a customer's user without a customer.
    pub fn of(state: &State, caller: &Caller, now: Timestamp) -> Result<Self, Refusal> {
        let Some(token) = caller.session else {
            return if caller.user == UserId::SYSTEM { Ok(Self::System) } else { Err(Refusal::NotSignedIn) };
        };
        let session = state.session(token, now).filter(|session| session.user == caller.user);
        let user = session.and_then(|session| state.user(session.user)).ok_or(Refusal::NotSignedIn)?;
        Self::of_user(user.role, user.customer)
    }

    /// Finds who stands behind a user of a role.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotAllowed`] for a customer's user without a customer.
    pub fn of_user(role: Role, customer: Option<CustomerId>) -> Result<Self, Refusal> {
        match (role, customer) {
            (Role::Operator, _) => Ok(Self::Operator),
            (Role::Auditor, _) => Ok(Self::Auditor),
            (Role::Customer, Some(customer)) => Ok(Self::Customer(customer)),
            (Role::Customer, None) => Err(Refusal::NotAllowed),
        }
    }

    /// Checks what can be said before it is known what the action is about.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotAllowed`] where the role may not, whatever it is about.
    #[inline]
    pub fn may_ever(self, action: Action) -> Result<(), Refusal> {
        if action.asks_of(self) == Grant::No { Err(Refusal::NotAllowed) } else { Ok(()) }
    }

    /// Checks that this caller may do something.
    ///
    /// # Errors
    ///
    /// [`Refusal::NotAllowed`] where the role may not, or not about this; or the refusal that says which right is missing.
    #[inline]
    pub fn may(self, state: &State, action: Action, about: Scope) -> Result<(), Refusal> {
        let right_on = |account| match self {
            Self::Customer(customer) => state.right(customer, account),
            Self::System | Self::Operator | Self::Auditor => None,
        };
        match (action.asks_of(self), about) {
            (Grant::Yes, _) => Ok(()),
            (Grant::Own, Scope::Customer(customer)) if self == Self::Customer(customer) => Ok(()),
            (Grant::Reader, Scope::Account(account) | Scope::Money(account, _)) => {
                right_on(account).map(|_| ()).ok_or(Refusal::NoRight)
            }
            (Grant::Owner, Scope::Account(account)) => match right_on(account) {
                Some(Right::Owner) => Ok(()),
                Some(Right::Signatory { .. } | Right::ReadOnly) => Err(Refusal::OwnersOnly),
                None => Err(Refusal::NoRight),
            },
            (Grant::Mover, Scope::Money(account, amount)) => may_move(state, right_on(account), account, amount),
            (Grant::No | Grant::Own | Grant::Reader | Grant::Owner | Grant::Mover, _) => Err(Refusal::NotAllowed),
        }
    }
}

/// Checks that a right suffices to take `amount` out of an account. An amount in another currency than the account's is left
/// to the ledger to refuse.
fn may_move(state: &State, right: Option<Right>, account: AccountId, amount: Money) -> Result<(), Refusal> {
    // Of a time in which such a right could be had.
    if right.is_some_and(Right::moves_money) && !can_be_a_customers(state, account) {
        return Err(Refusal::NotACustomersAccount);
    }
    match right {
        Some(Right::Owner | Right::Signatory { limit_minor: None }) => Ok(()),
        Some(Right::Signatory { limit_minor: Some(limit) })
            if amount.minor <= limit
                || state.ledger().account(account).map(|it| it.currency) != Some(amount.currency) =>
        {
            Ok(())
        }
        Some(Right::Signatory { limit_minor: Some(limit) }) => {
            Err(Refusal::AboveSignatoryLimit { limit: Money { minor: limit, ..amount } })
        }
        Some(Right::ReadOnly) => Err(Refusal::ReadOnlyRight),
        None => Err(Refusal::NoRight),
    }
}
