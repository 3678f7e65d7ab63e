//! Reasons for which the ledger refuses, in order of precedence; and the table that refusals are declared in.

/// Kind of reason: what somebody who is refused can do about it, in general.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalClass {
    /// The request is not as it must be.
    Malformed,
    /// Nobody is signed in.
    NotSignedIn,
    /// The caller may not do this; another may.
    NotAllowed,
    /// Something that is named does not exist.
    NotFound,
    /// Something that was done before stands against it.
    Conflict,
    /// A rule of the bank or the ledger is not met.
    Unmet,
    /// The bank can't do it yet.
    NotReady,
}

/// Declares an enum of refusals, a row each: what it means, its variant, its name for ever, its class, its text, and what to
/// do about it.
#[macro_export]
macro_rules! refusals {
    (@amount) => { None };
    (@amount $field:ident) => { Some(*$field) };
    (@name) => { None };
    (@name $field:ident) => { Some(stringify!($field)) };
    (@make $variant:ident $amount:ident) => { Some(Self::$variant) };
    (@make $variant:ident $amount:ident $field:ident) => { $amount.map(|$field| Self::$variant { $field }) };
    (
        $(#[$enum_meta:meta])*
        pub enum $name:ident {
            $(
                $(#[$meta:meta])*
                $variant:ident $({ $(#[$field_meta:meta])* $field:ident: Money, })? = $slug:literal, $class:ident,
                    $text:literal, $advice:literal;
            )+
        }
        $(others: { $($(#[$other_meta:meta])* $other:ident($inner:ty),)+ })?
    ) => {
        $(#[$enum_meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        pub enum $name {
            $(
                $(#[$meta])*
                #[error($text)]
                $variant $({ $(#[$field_meta])* $field: $crate::Money, })?,
            )+
            $($(
                $(#[$other_meta])*
                #[error(transparent)]
                $other(#[from] $inner),
            )+)?
        }

        impl $name {
            /// Rows of the table: the name and what to do about it, in order.
            pub const ROWS: &'static [(&'static str, &'static str)] = &[$(($slug, $advice),)+];

            /// Returns the refusal's name: stable, in kebab case.
            #[must_use]
            pub fn slug(&self) -> &'static str {
                match self {
                    $(Self::$variant { .. } => $slug,)+
                    $($(Self::$other(inner) => inner.slug(),)+)?
                }
            }

            /// Returns the refusal's class.
            #[must_use]
            pub fn class(&self) -> $crate::RefusalClass {
                match self {
                    $(Self::$variant { .. } => $crate::RefusalClass::$class,)+
                    $($(Self::$other(inner) => inner.class(),)+)?
                }
            }

            /// Returns the amount that goes with the refusal: a limit, what remains, or what is available.
            #[must_use]
            pub fn amount(&self) -> Option<$crate::Money> {
                match self {
                    $(Self::$variant { $($field)? } => $crate::refusals!(@amount $($field)?),)+
                    $($(Self::$other(inner) => inner.amount(),)+)?
                }
            }

            /// Returns what the amount is that goes with the refusal: its field's name, such as `available`.
            #[must_use]
            pub fn amount_name(&self) -> Option<&'static str> {
                match self {
                    $(Self::$variant { .. } => $crate::refusals!(@name $($field)?),)+
                    $($(Self::$other(inner) => inner.amount_name(),)+)?
                }
            }

            /// Returns the refusal of a name, with the amount that some carry.
            #[must_use]
            pub fn from_slug(slug: &str, amount: Option<$crate::Money>) -> Option<Self> {
                match slug {
                    $($slug => $crate::refusals!(@make $variant amount $($field)?),)+
                    _ => None$($(.or_else(|| <$inner>::from_slug(slug, amount).map(Self::from)))+)?,
                }
            }
        }
    };
}

refusals! {
    /// Reason for not booking something. The variants stand in order of precedence: where several apply, the first is
    /// given. Of several legs, the first that is refused speaks; balances are looked at when all else is in order.
    pub enum Refusal {
        /// The hold was never placed, or is already used up, voided or expired.
        HoldNotOpen = "hold-not-open", Unmet,
            "there is no such open hold",
            "The hold was used up, voided or expired, or never placed. Look it up.";
        /// The hold's time is over, although it has not been released yet; or a new hold would be over before it began.
        HoldExpired = "hold-expired", Unmet,
            "the hold's time is over",
            "Place a new hold.";
        /// The hold's time is not over, so that it can't be released for that reason.
        HoldNotExpired = "hold-not-expired", Unmet,
            "the hold's time is not over yet",
            "Void the hold, or wait.";
        /// A hold is extended to a time that is no later than it has.
        HoldNotLonger = "hold-not-longer", Unmet,
            "a hold can only be extended to a later time",
            "Give a later time; to end a hold earlier, void it.";
        /// A refund or a reversal can't itself be undone; make a new payment instead.
        NotUndoable = "not-undoable", Unmet,
            "a refund or a reversal can't be undone",
            "Make a new payment instead.";
        /// The posting was reversed before.
        AlreadyReversed = "already-reversed", Conflict,
            "this has already been reversed",
            "Nothing is left to undo.";
        /// A part of the posting was refunded, so that undoing it exactly is no longer possible.
        AlreadyRefunded = "already-refunded", Conflict,
            "the posting has been refunded in part, and can't be reversed",
            "Refund the rest instead.";
        /// The posting has no leg of that number.
        NoSuchLeg = "no-such-leg", Unmet,
            "the posting has no such leg",
            "Look the payment up; its legs are numbered from 0.";
        /// A posting has at least one leg.
        NoLegs = "no-legs", Unmet,
            "a posting needs at least one leg",
            "Give at least one leg.";
        /// More legs than [`crate::MAX_LEGS`].
        TooManyLegs = "too-many-legs", Unmet,
            "a posting has at most 100 legs",
            "Make several payments of it.";
        /// The amount is zero or negative.
        AmountNotPositive = "amount-not-positive", Unmet,
            "the amount must be more than zero",
            "Give an amount of more than zero; to move money back, exchange the accounts.";
        /// An account does not exist.
        UnknownAccount = "unknown-account", NotFound,
            "there is no such account",
            "Check the account number.";
        /// Both sides of a leg are the same account.
        SameAccount = "same-account", Unmet,
            "the two accounts are the same",
            "Give two different accounts.";
        /// An account is kept in another currency than the amount.
        CurrencyMismatch = "currency-mismatch", Unmet,
            "the account is kept in another currency",
            "Give the amount in the currency of both accounts.";
        /// An account is closed.
        AccountClosed = "account-closed", Unmet,
            "the account is closed",
            "Use another account.";
        /// An account is frozen in the direction of the movement.
        AccountFrozen = "account-frozen", Unmet,
            "the account is frozen",
            "Ask the bank why the account is frozen.";
        /// A capture of more than is still held.
        CaptureExceedsHold {
            /// Amount still held.
            remaining: Money,
        } = "capture-exceeds-hold", Unmet,
            "no more than what is still held ({remaining}) can be captured",
            "Capture at most what remains.";
        /// Refunds of more than was paid, together with those before.
        RefundExceedsPayment {
            /// Amount not refunded yet.
            remaining: Money,
        } = "refund-exceeds-payment", Unmet,
            "no more than what has not been refunded yet ({remaining}) can be refunded",
            "Refund at most what remains.";
        /// The booking time lies before that of an account's last entry.
        BookedBackwards = "booked-backwards", Unmet,
            "the booking time lies before that of the account's last entry",
            "Give a value date in the past instead of a booking time.";
        /// The debited account would fall below zero minus its overdraft.
        InsufficientFunds {
            /// Available balance before, overdraft not counted.
            available: Money,
        } = "insufficient-funds", Unmet,
            "the available balance does not suffice",
            "Pay less, or bring money in first.";
        /// A balance would be larger than can be held.
        BalanceOutOfRange = "balance-out-of-range", Unmet,
            "a balance would be larger than can be held",
            "Split the money among several accounts.";
        /// The account has a balance, so that it can't be closed.
        AccountNotEmpty = "account-not-empty", Unmet,
            "only an account at zero can be closed",
            "Bring the balance to zero first.";
        /// The account has open holds, so that it can't be closed.
        HoldsOpen = "holds-open", Unmet,
            "the account has open holds",
            "Capture or void the holds first.";
        /// The overdraft is used further than the new limit.
        OverdraftInUse = "overdraft-in-use", Unmet,
            "the overdraft is used further than the new limit",
            "Choose a limit that covers what is used.";
    }
}
