//! Encodings of the ledger's types in events and records. The ledger knows no encodings, so each of its types gets a
//! module here for minicbor's `with`. Numbers once given to a value keep their meaning for ever.

use minicbor::{Decoder, Encoder, decode, encode};
use smallvec::SmallVec;

use ledger::{
    Account, AccountId, BookedLeg, Cause, Currency, Entry, Hold, HoldId, Kind, Leg, Legs, Money, Overdraft, Posting,
    PostingId, ReleaseReason, Status, Timestamp, ValueDate,
};

use crate::Refusal;

type Encoded<W> = Result<(), encode::Error<<W as encode::Write>::Error>>;

/// A module that writes a type as one plain value.
macro_rules! plain {
    ($module:ident, $type:ty, $raw:ty, $to:expr, $from:expr) => {
        pub(crate) mod $module {
            use super::*;

            pub(crate) fn encode<C, W: encode::Write>(value: &$type, out: &mut Encoder<W>, ctx: &mut C) -> Encoded<W> {
                let to: fn(&$type) -> $raw = $to;
                out.encode_with(to(value), ctx)?.ok()
            }

            pub(crate) fn decode<C>(input: &mut Decoder<'_>, ctx: &mut C) -> Result<$type, decode::Error> {
                let from: fn($raw) -> Option<$type> = $from;
                let at = input.position();
                from(input.decode_with(ctx)?)
                    .ok_or_else(|| decode::Error::message(concat!("not a known ", stringify!($module))).at(at))
            }
        }
    };
}

/// A module that writes an enumeration as a small number.
macro_rules! numbered {
    ($module:ident, $type:ident, { $($number:literal = $variant:ident),+ $(,)? }) => {
        plain!(
            $module,
            $type,
            u8,
            |value| match value { $($type::$variant => $number),+ },
            |number| match number { $($number => Some($type::$variant),)+ _ => None }
        );
    };
}

plain!(account_id, AccountId, u32, |id| id.0, |raw| Some(AccountId(raw)));
plain!(timestamp, Timestamp, i64, |at| at.0, |raw| Some(Timestamp(raw)));
plain!(value_date, ValueDate, i32, |day| day.0, |raw| Some(ValueDate(raw)));
plain!(hold_id, HoldId, u64, |id| id.event(), HoldId::new);
plain!(posting_id, PostingId, u64, |id| id.event(), PostingId::new);
plain!(optional_posting_id, Option<PostingId>, u64, |id| id.map_or(0, PostingId::event), |raw| Some(PostingId::new(
    raw
)));
plain!(currency, Currency, u16, |currency| currency.numeric(), Currency::from_numeric);
plain!(
    overdraft,
    Overdraft,
    Option<u64>,
    |overdraft| match overdraft {
        Overdraft::Limited(limit) => Some(*limit),
        Overdraft::Unlimited => None,
    },
    |raw| Some(raw.map_or(Overdraft::Unlimited, Overdraft::Limited))
);
numbered!(kind, Kind, { 0 = Asset, 1 = Liability, 2 = Income, 3 = Expense, 4 = Equity });
numbered!(status, Status, { 0 = Open, 1 = FrozenForDebits, 2 = Frozen, 3 = Closed });
numbered!(release_reason, ReleaseReason, { 0 = Voided, 1 = Expired });

macro_rules! count {
    () => { 0 };
    ($first:ident $($rest:ident)*) => { 1 + count!($($rest)*) };
}

/// A module that writes a struct as an array of fields, each by its own module or type. Fields may be added at the end:
/// an older program skips those it doesn't know.
macro_rules! fields {
    ($module:ident, $type:ty, |$value:ident| { $($field:ident: $codec:tt = $get:expr),+ $(,)? } => $make:expr) => {
        pub(crate) mod $module {
            use super::*;

            const FIELDS: u64 = count!($($field)+);

            pub(crate) fn encode<C, W: encode::Write>($value: &$type, out: &mut Encoder<W>, ctx: &mut C) -> Encoded<W> {
                out.array(FIELDS)?;
                $(write_field!($codec, $get, out, ctx);)+
                Ok(())
            }

            pub(crate) fn decode<C>(input: &mut Decoder<'_>, ctx: &mut C) -> Result<$type, decode::Error> {
                let more = array_of_at_least(input, FIELDS)?;
                $(let $field = read_field!($codec, input, ctx);)+
                for _ in 0..more {
                    input.skip()?;
                }
                Ok($make)
            }
        }
    };
}

macro_rules! write_field {
    (raw, $get:expr, $out:ident, $ctx:ident) => {
        $out.encode_with(&$get, $ctx)?;
    };
    ($codec:ident, $get:expr, $out:ident, $ctx:ident) => {
        $codec::encode(&$get, $out, $ctx)?;
    };
}

macro_rules! read_field {
    (raw, $input:ident, $ctx:ident) => {
        $input.decode_with($ctx)?
    };
    ($codec:ident, $input:ident, $ctx:ident) => {
        $codec::decode($input, $ctx)?
    };
}

/// Reads the head of an array of at least `fields` fields, and gives how many more there are.
fn array_of_at_least(input: &mut Decoder<'_>, fields: u64) -> Result<u64, decode::Error> {
    let at = input.position();
    let length = input.array()?.ok_or_else(|| decode::Error::message("an array without a length").at(at))?;
    length.checked_sub(fields).ok_or_else(|| decode::Error::message("an array with too few fields").at(at))
}

fields!(money, Money, |money| { minor: raw = money.minor, currency: currency = money.currency }
    => Money { minor, currency });

fields!(booked_leg, BookedLeg, |booked| {
    debit: account_id = booked.leg.debit,
    credit: account_id = booked.leg.credit,
    minor: raw = booked.leg.amount.minor,
    currency: currency = booked.leg.amount.currency,
    debit_balance_minor: raw = booked.debit.balance_minor,
    debit_ordinal: raw = booked.debit.ordinal,
    debit_previous: optional_posting_id = booked.debit.previous,
    credit_balance_minor: raw = booked.credit.balance_minor,
    credit_ordinal: raw = booked.credit.ordinal,
    credit_previous: optional_posting_id = booked.credit.previous,
} => BookedLeg {
    leg: Leg { debit, credit, amount: Money { minor, currency } },
    debit: Entry { balance_minor: debit_balance_minor, ordinal: debit_ordinal, previous: debit_previous },
    credit: Entry { balance_minor: credit_balance_minor, ordinal: credit_ordinal, previous: credit_previous },
});

fields!(posting, Posting, |posting| {
    booked_at: timestamp = posting.booked_at(),
    value_date: value_date = posting.value_date(),
    cause: cause = posting.cause(),
    legs: legs = posting.legs(),
} => Posting::recorded(legs, booked_at, value_date, cause));

fields!(hold, Hold, |hold| {
    debit: account_id = hold.debit,
    credit: account_id = hold.credit,
    amount: money = hold.amount,
    remaining_minor: raw = hold.remaining_minor,
    expires_at: timestamp = hold.expires_at,
} => Hold { debit, credit, amount, remaining_minor, expires_at });

fields!(account, Account, |account| {
    currency: currency = account.currency,
    kind: kind = account.kind,
    status: status = account.status,
    overdraft: overdraft = account.overdraft,
    opened_at: timestamp = account.opened_at,
    posted_minor: raw = account.posted_minor,
    held_minor: raw = account.held_minor,
    entries: raw = account.entries,
    last_posting: optional_posting_id = account.last_posting,
    last_booked_at: timestamp = account.last_booked_at,
} => Account {
    currency, kind, status, overdraft, opened_at, posted_minor, held_minor, entries, last_posting, last_booked_at,
});

/// Legs, as an array of them.
pub(crate) mod legs {
    use super::*;

    pub(crate) fn encode<C, W: encode::Write>(legs: &[BookedLeg], out: &mut Encoder<W>, ctx: &mut C) -> Encoded<W> {
        out.array(u64::try_from(legs.len()).unwrap_or(u64::MAX))?;
        legs.iter().try_for_each(|leg| booked_leg::encode(leg, out, ctx))
    }

    pub(crate) fn decode<C>(input: &mut Decoder<'_>, ctx: &mut C) -> Result<Legs, decode::Error> {
        let count = array_of_at_least(input, 0)?;
        let mut legs: Legs = SmallVec::new();
        for _ in 0..count {
            legs.push(booked_leg::decode(input, ctx)?);
        }
        Ok(legs)
    }
}

/// A posting's cause: nothing for an order; otherwise a number and what goes with it.
pub(crate) mod cause {
    use super::*;

    pub(crate) fn encode<C, W: encode::Write>(cause: &Cause, out: &mut Encoder<W>, _: &mut C) -> Encoded<W> {
        match cause {
            Cause::Order => out.null()?.ok(),
            Cause::Capture { hold, last } => out.array(3)?.u8(1)?.u64(hold.event())?.bool(*last)?.ok(),
            Cause::Refund { of, leg } => out.array(3)?.u8(2)?.u64(of.event())?.u32(*leg)?.ok(),
            Cause::Reversal { of } => out.array(2)?.u8(3)?.u64(of.event())?.ok(),
        }
    }

    pub(crate) fn decode<C>(input: &mut Decoder<'_>, ctx: &mut C) -> Result<Cause, decode::Error> {
        if input.datatype()? == minicbor::data::Type::Null {
            input.null()?;
            return Ok(Cause::Order);
        }
        let at = input.position();
        let fields = array_of_at_least(input, 1)?;
        let (cause, known): (_, u64) = match input.u8()? {
            1 => (Cause::Capture { hold: hold_id::decode(input, ctx)?, last: input.bool()? }, 2),
            2 => (Cause::Refund { of: posting_id::decode(input, ctx)?, leg: input.u32()? }, 2),
            3 => (Cause::Reversal { of: posting_id::decode(input, ctx)? }, 1),
            _ => return Err(decode::Error::message("not a known cause").at(at)),
        };
        let more = fields.checked_sub(known);
        for _ in 0..more.ok_or_else(|| decode::Error::message("a cause with too few fields").at(at))? {
            input.skip()?;
        }
        Ok(cause)
    }
}

/// A refusal: its slug, and the amount that some carry.
pub(crate) mod refusal {
    use super::*;

    pub(crate) fn encode<C, W: encode::Write>(refusal: &Refusal, out: &mut Encoder<W>, ctx: &mut C) -> Encoded<W> {
        let amount = refusal.amount();
        out.array(if amount.is_some() { 2 } else { 1 })?.str(refusal.slug())?;
        amount.map_or(Ok(()), |amount| money::encode(&amount, out, ctx))
    }

    pub(crate) fn decode<C>(input: &mut Decoder<'_>, ctx: &mut C) -> Result<Refusal, decode::Error> {
        let at = input.position();
        let more = array_of_at_least(input, 1)?;
        let slug = input.str()?;
        let amount = match more {
            0 => None,
            _ if input.datatype()? == minicbor::data::Type::Null => input.null().map(|()| None)?,
            _ => Some(money::decode(input, ctx)?),
        };
        for _ in 1..more {
            input.skip()?;
        }
        Refusal::from_slug(slug, amount).ok_or_else(|| decode::Error::message("not a known refusal").at(at))
    }
}
