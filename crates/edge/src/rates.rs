//! The rate limiter: how fast requests may come, by user, by address, and in all; and sign-ins, which are where
//! passwords are guessed, by address and by name.
//!
//! Each rate is kept by the generic cell rate algorithm (GCRA; ITU-T I.371): all that is remembered of somebody is one
//! moment, until which what they asked for so far would have taken at the steady pace. Who runs ahead of the clock by
//! more than the burst has to wait. Nothing runs in the background, and whoever has rested long enough is the same as
//! one who was never there.
//!
//! Because of this a table of a fixed size serves any number of clients: a place whose moment has passed holds nothing
//! and is anybody's. Where all places that a client could have are taken, the one who used least of their burst is
//! forgotten. So nobody is ever refused because of others, a flood of fresh addresses forgets itself first, and who is
//! near their limit stays known. What such a flood could gain by being forgotten, the rate in all bounds.
//!
//! The time is handed in. A request takes a lock that it shares with few others, looks at eight places, and allocates
//! nothing.

use std::hash::{BuildHasher, Hash, RandomState};
use std::net::IpAddr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use crate::settings::{Limits, Rate};

/// Headers that tell how many requests are allowed, and how many are left (draft-ietf-httpapi-ratelimit-headers-11).
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");

/// One of the rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Requests of one user.
    User,
    /// Requests from one address.
    Address,
    /// Requests of all together.
    All,
    /// Requests of all who are not signed in.
    Strangers,
    /// Sign-ins from one address.
    SignInsOfAddress,
    /// Sign-ins under one name.
    SignInsOfName,
}

impl Which {
    /// Its name in the metrics and, where clients are told of it, in the header fields.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Address => "address",
            Self::All => "all",
            Self::Strangers => "strangers",
            Self::SignInsOfAddress => "sign-ins-of-address",
            Self::SignInsOfName => "sign-ins-of-name",
        }
    }
}

/// Quota of somebody after a request, for the header fields that tell it.
#[derive(Debug, Clone)]
pub struct Quota {
    /// The rate.
    pub which: Which,
    /// The field `RateLimit-Policy`.
    policy: HeaderValue,
    /// Number of requests that may still come at once.
    pub remaining: u64,
    /// Seconds, rounded up, until the whole burst is there again; or, for whoever was refused, until one more may come.
    pub seconds: u64,
    /// `true` if the request was refused.
    pub refused: bool,
}

impl Quota {
    /// Tells it in the header fields of an answer, where nothing else was told already.
    pub fn tell(&self, headers: &mut HeaderMap) {
        if !headers.contains_key(&LEFT) {
            headers.insert(POLICY, self.policy.clone());
            headers.insert(LEFT, self.field());
        }
    }

    /// The field `RateLimit`.
    fn field(&self) -> HeaderValue {
        let field = format!("\"{}\";r={};t={}", self.which.name(), self.remaining, self.seconds);
        HeaderValue::from_maybe_shared(field).expect("names and digits may stand in a header")
    }
}

/// A pace, in nanoseconds.
#[derive(Debug, Clone, Copy)]
struct Pace {
    /// The time from one request to the next, at the steady pace.
    interval: u64,
    /// Limit of how far somebody may run ahead of the clock.
    burst: u64,
}

/// Effect of one request on somebody's moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    /// It may come; `moment` is to be remembered.
    Allowed { moment: u64, remaining: u64, whole_in: u64 },
    /// It comes too early by so much.
    TooEarly { wait: u64 },
}

impl Pace {
    /// None where there is no limit.
    fn new(rate: Rate) -> Option<Self> {
        let second = 1_000_000_000;
        let interval = (u64::from(rate.seconds.max(1)) * second).checked_div(u64::from(rate.requests))?.max(1);
        Some(Self { interval, burst: interval.saturating_mul(u64::from(rate.burst.max(1))) })
    }

    fn take(self, moment: u64, now: u64) -> Taken {
        let after = moment.max(now).saturating_add(self.interval);
        let ahead = after - now;
        match self.burst.checked_sub(ahead) {
            Some(left) => Taken::Allowed { moment: after, remaining: left / self.interval, whole_in: ahead },
            None => Taken::TooEarly { wait: ahead - self.burst },
        }
    }
}

/// One rate, and what it tells.
#[derive(Debug)]
struct Policy {
    which: Which,
    pace: Option<Pace>,
    field: HeaderValue,
}

impl Policy {
    fn new(which: Which, rate: Rate) -> Self {
        let pace = Pace::new(rate);
        // The quota of a window: the burst, and the time in which it is there again.
        let window = pace.map_or(1, |pace| seconds(pace.burst));
        let field = format!("\"{}\";q={};w={window}", which.name(), rate.burst.max(1));
        let field = HeaderValue::from_maybe_shared(field).expect("names and digits may stand in a header");
        Self { which, pace, field }
    }

    fn quota(&self, taken: Taken) -> Quota {
        let (remaining, wait, refused) = match taken {
            Taken::Allowed { remaining, whole_in, .. } => (remaining, whole_in, false),
            Taken::TooEarly { wait } => (0, wait, true),
        };
        Quota { which: self.which, policy: self.field.clone(), remaining, seconds: seconds(wait), refused }
    }
}

/// Whole seconds, rounded up.
fn seconds(nanoseconds: u64) -> u64 {
    nanoseconds.div_ceil(1_000_000_000)
}

/// Number of clients of each kind that are remembered. Only who asked within the time of a burst takes a place, so this
/// is many times the connections that may be open; the five tables take 2.8 MiB together.
const PLACES: u64 = 32_768;

/// Number of places that a client could have. With eight, a table is nearly full before anybody is forgotten.
const WAYS: usize = 8;

/// Bucket of one client: a keyed hash of who it is, and the moment.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    who: u64,
    moment: u64,
}

/// A rate that each client has to themselves.
#[derive(Debug)]
struct Table {
    policy: Policy,
    /// Its key is random, so that nobody can choose whose places to take.
    hasher: RandomState,
    groups: Box<[Mutex<[Bucket; WAYS]>]>,
}

impl Table {
    fn new(which: Which, rate: Rate, places: u64) -> Self {
        let policy = Policy::new(which, rate);
        // Nothing is remembered where there is no limit.
        let groups = policy.pace.map_or(0, |_| (places / WAYS as u64).max(1));
        let groups = (0..groups).map(|_| Mutex::default()).collect();
        Self { policy, hasher: RandomState::new(), groups }
    }

    /// Counts a request; none where there is no limit.
    fn take(&self, who: impl Hash, now: u64) -> Option<Quota> {
        let pace = self.policy.pace?;
        let who = self.hasher.hash_one(who);
        let group = usize::try_from(who % self.groups.len() as u64).expect("a place in memory");
        let mut places = self.groups[group].lock().expect("no thread panics while it counts requests");
        let known = places.iter().position(|place| place.who == who);
        let place = match known {
            Some(known) => &mut places[known],
            None => places.iter_mut().min_by_key(|place| place.moment).expect("there are eight"),
        };
        let moment = if known.is_some() { place.moment } else { 0 };
        let taken = pace.take(moment, now);
        if let Taken::Allowed { moment, .. } = taken {
            *place = Bucket { who, moment };
        }
        drop(places);
        Some(self.policy.quota(taken))
    }
}

/// A rate that all share.
#[derive(Debug)]
struct Meter {
    policy: Policy,
    moment: AtomicU64,
}

impl Meter {
    fn take(&self, now: u64) -> Option<Quota> {
        let pace = self.policy.pace?;
        let mut seen = self.moment.load(Ordering::Relaxed);
        loop {
            let taken = pace.take(seen, now);
            let Taken::Allowed { moment, .. } = taken else { return Some(self.policy.quota(taken)) };
            match self.moment.compare_exchange_weak(seen, moment, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(self.policy.quota(taken)),
                Err(newer) => seen = newer,
            }
        }
    }
}

/// All rates. Each answer says how somebody stands, or that there is no limit.
#[derive(Debug)]
pub(crate) struct Rates {
    since: Instant,
    users: Table,
    addresses: Table,
    all: Meter,
    strangers: Meter,
    sign_ins_of_addresses: Table,
    sign_ins_of_names: Table,
    sign_ins_of_known: Table,
}

impl Rates {
    /// Moments are counted from `since`.
    pub(crate) fn new(limits: &Limits, since: Instant) -> Self {
        let meter = |which, rate| Meter { policy: Policy::new(which, rate), moment: AtomicU64::new(0) };
        Self {
            since,
            users: Table::new(Which::User, limits.requests_of_user, PLACES),
            addresses: Table::new(Which::Address, limits.requests_of_address, PLACES),
            all: meter(Which::All, limits.requests),
            strangers: meter(Which::Strangers, limits.requests.three_quarters()),
            sign_ins_of_addresses: Table::new(Which::SignInsOfAddress, limits.sign_ins_of_address, PLACES),
            sign_ins_of_names: Table::new(Which::SignInsOfName, limits.sign_ins_of_name, PLACES),
            // Told as the same rate, so that nobody learns from a refusal what is known of them.
            sign_ins_of_known: Table::new(Which::SignInsOfName, limits.sign_ins_of_name, PLACES),
        }
    }

    /// `user` is the user's number, whatever the application calls it.
    pub(crate) fn of_user(&self, user: u64, now: Instant) -> Option<Quota> {
        self.users.take(user, self.moment(now))
    }

    /// `address` is an IPv4 address, or an IPv6 network of 64 bits.
    pub(crate) fn of_address(&self, address: IpAddr, now: Instant) -> Option<Quota> {
        self.addresses.take(address, self.moment(now))
    }

    pub(crate) fn of_all(&self, now: Instant) -> Option<Quota> {
        self.all.take(self.moment(now))
    }

    /// Takes a request from the rate of all who are not signed in.
    pub(crate) fn of_strangers(&self, now: Instant) -> Option<Quota> {
        self.strangers.take(self.moment(now))
    }

    pub(crate) fn sign_in_of_address(&self, address: IpAddr, now: Instant) -> Option<Quota> {
        self.sign_ins_of_addresses.take(address, self.moment(now))
    }

    /// All addresses share it, and whether anybody has the name doesn't matter. `name` is a keyed hash of it.
    pub(crate) fn sign_in_of_name(&self, name: [u8; 16], now: Instant) -> Option<Quota> {
        self.sign_ins_of_names.take(name, self.moment(now))
    }

    /// Counts a sign-in from an address from which the name's user signed in before: nobody elsewhere takes anything
    /// from it. `address` is a keyed hash of the two.
    pub(crate) fn sign_in_from_known(&self, address: [u8; 16], now: Instant) -> Option<Quota> {
        self.sign_ins_of_known.take(address, self.moment(now))
    }

    fn moment(&self, now: Instant) -> u64 {
        let since: Duration = now.saturating_duration_since(self.since);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn table(rate: Rate, places: u64) -> Table {
        Table::new(Which::Address, rate, places)
    }

    fn allowed(quota: Option<Quota>) -> bool {
        quota.is_none_or(|quota| !quota.refused)
    }

    #[test]
    fn a_burst_then_the_steady_pace() {
        let table = table(Rate::per_second(10, 3), 8);
        let take = |now| table.take("a", now).map(|one| (one.refused, one.remaining, one.seconds)).unwrap();
        // Each case is a time, and what is answered then: whether it is refused, what remains, and the seconds that are
        // told.
        for (now, expected) in [
            (0, (false, 2, 1)),
            (0, (false, 1, 1)),
            (0, (false, 0, 1)),
            (0, (true, 0, 1)),
            (SECOND / 10 - 1, (true, 0, 1)),
            (SECOND / 10, (false, 0, 1)),
            (SECOND / 10, (true, 0, 1)),
            (SECOND / 5, (false, 0, 1)),
            // After a rest the burst is there again, and no more than that.
            (60 * SECOND, (false, 2, 1)),
            (60 * SECOND, (false, 1, 1)),
            (60 * SECOND, (false, 0, 1)),
            (60 * SECOND, (true, 0, 1)),
        ] {
            assert_eq!(take(now), expected, "at {now}");
        }
    }

    #[test]
    fn who_is_refused_loses_nothing_by_asking() {
        let table = table(Rate::per_second(1, 1), 8);
        assert!(allowed(table.take(1, 0)));
        for now in 1..100 {
            assert!(!allowed(table.take(1, now * SECOND / 100)));
        }
        assert!(allowed(table.take(1, SECOND)));
    }

    #[test]
    fn the_waiting_time_is_told_in_whole_seconds() {
        let table = table(Rate::per_minute(5, 1), 8);
        table.take(1, 0);
        let told = |now| table.take(1, now).unwrap().seconds;
        assert_eq!((told(0), told(1), told(SECOND), told(12 * SECOND - 1)), (12, 12, 11, 1));
        assert!(allowed(table.take(1, 12 * SECOND)));
    }

    #[test]
    fn header_fields_are_structured_fields() {
        let table = table(Rate::per_second(1_000, 2_000), 8);
        let quota = table.take(1, 0).unwrap();
        assert_eq!(quota.policy, "\"address\";q=2000;w=2");
        assert_eq!(quota.field(), "\"address\";r=1999;t=1");
        let slow = Table::new(Which::SignInsOfName, Rate::per_minute(5, 10), 8);
        assert_eq!(slow.take(1, 0).unwrap().policy, "\"sign-ins-of-name\";q=10;w=120");
        assert_eq!(slow.take(1, 0).unwrap().field(), "\"sign-ins-of-name\";r=8;t=24");
    }

    #[test]
    fn nothing_asked_is_no_limit() {
        let table = table(Rate::NONE, 8);
        assert!((0..10_000).all(|_| table.take(1, 0).is_none()));
        assert!(table.groups.is_empty());
        // A burst of 0 is one at a time.
        assert!(allowed(Table::new(Which::User, Rate::per_second(1, 0), 8).take(1, 0)));
    }

    #[test]
    fn the_widest_rates_do_not_overflow() {
        for rate in [
            Rate { requests: 1, seconds: u32::MAX, burst: u32::MAX },
            Rate { requests: u32::MAX, seconds: 1, burst: 1 },
            Rate { requests: u32::MAX, seconds: 0, burst: u32::MAX },
        ] {
            let table = table(rate, 8);
            assert!(allowed(table.take(1, 0)) && allowed(table.take(1, u64::MAX - 1)), "{rate:?}");
        }
    }

    #[test]
    fn everybody_has_their_own() {
        let table = table(Rate::per_second(1, 1), PLACES);
        assert!((0..1_000).all(|who| allowed(table.take(who, 0))));
        assert!((0..1_000).all(|who| !allowed(table.take(who, 0))));
    }

    #[test]
    fn time_that_passed_makes_room() {
        let table = table(Rate::per_second(1, 1), 8);
        assert!((0..8).all(|who| allowed(table.take(who, 0))));
        assert!((8..16).all(|who| allowed(table.take(who, SECOND))));
        // Nobody of the second eight was forgotten, since the first had nothing left to remember.
        assert!((8..16).all(|who| !allowed(table.take(who, SECOND))));
    }

    #[test]
    fn a_flood_of_others_refuses_nobody_and_forgets_nobody_near_the_limit() {
        let table = table(Rate::per_second(1, 10), 8);
        for _ in 0..10 {
            assert!(allowed(table.take("greedy", 0)));
        }
        // Each of the flood is new, and each is let through: it is the rate in all that stops them together.
        assert!((0..100_000).all(|who| allowed(table.take(who, 0))));
        assert!(!allowed(table.take("greedy", 0)));
        assert_eq!(table.groups.len(), 1, "the table has not grown");
    }

    /// One wrong password a second from elsewhere, for a day.
    #[test]
    fn guessing_locks_nobody_out_of_where_they_are_known() {
        let rates = Rates::new(&Limits::default(), Instant::now());
        let (name, home) = ([1; 16], [2; 16]);
        let (office, at) = ([3; 16], |second| rates.since + Duration::from_secs(second));
        let day = 24 * 60 * 60;
        let guesses = (0..day).filter(|second| allowed(rates.sign_in_of_name(name, at(*second)))).count();
        // Five a minute and the ten at the start, as before addresses were known.
        assert_eq!(guesses, 24 * 60 * 5 + 9);
        // From a new address the owner is one of the strangers, and has to wait as they have.
        let elsewhere = rates.sign_in_of_name(name, at(day - 1)).unwrap();
        assert_eq!((elsewhere.refused, elsewhere.which), (true, Which::SignInsOfName));
        // From the known ones they sign in at once, and each has as much as a name has.
        for known in [home, office] {
            for left in (0..10).rev() {
                let quota = rates.sign_in_from_known(known, at(day)).unwrap();
                assert_eq!((quota.refused, quota.remaining), (false, left));
                assert_eq!(quota.policy, elsewhere.policy, "what is known of an address is not told");
            }
            assert!(!allowed(rates.sign_in_from_known(known, at(day))));
        }
        // And what is tried there takes nothing from others.
        assert!(allowed(rates.sign_in_of_name(name, at(day + 12))));
        assert!(allowed(rates.sign_in_of_name([4; 16], at(day))));
    }

    #[test]
    fn strangers_leave_a_quarter_to_those_who_are_signed_in() {
        for (whole, part) in [(0, 0), (1, 1), (2, 2), (3, 3), (4, 3), (20_000, 15_000), (u32::MAX, 3_221_225_472)] {
            let rate = Rate { requests: whole, seconds: 7, burst: whole };
            assert_eq!(rate.three_quarters(), Rate { requests: part, seconds: 7, burst: part });
        }
        let limits = Limits { requests: Rate { requests: 1, seconds: 3_600, burst: 8 }, ..Limits::default() };
        let rates = Rates::new(&limits, Instant::now());
        let stranger = || allowed(rates.of_strangers(rates.since)) && allowed(rates.of_all(rates.since));
        assert_eq!((0..100).filter(|_| stranger()).count(), 6);
        assert_eq!((0..100).filter(|_| allowed(rates.of_all(rates.since))).count(), 2);
    }

    #[test]
    fn all_together_keep_one_pace_from_many_threads() {
        let limits = Limits { requests: Rate { requests: 1, seconds: 3_600, burst: 1_000 }, ..Limits::default() };
        let rates = Rates::new(&limits, Instant::now());
        let now = rates.since + Duration::from_secs(1);
        let let_through: usize = std::thread::scope(|scope| {
            let take = || (0..500).filter(|_| allowed(rates.of_all(now))).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(take)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(let_through, 1_000);
    }
}
