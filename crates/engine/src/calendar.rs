//! The bank's days: which day a moment lies on, and when a day begins, in the bank's time zones one after another.
//!
//! `bank` knows no time zones: the engine hands it the day of each decision. Everything else that reads days asks a
//! [`Calendar`], made of the list that the state keeps. The zones' rules are in the program itself, so that every machine
//! that runs a version of it has the same days.
//!
//! A day begins once, and days never run backwards. Everything follows from the moment at which a day begins:
//!
//! * In one zone a day begins at the first moment whose date is that day, or later: where the clocks are put forward over
//!   midnight, at that very moment. Where they are put back over midnight, the day that had begun goes on. A day that a
//!   zone left out (Pacific/Apia, 30 December 2011) begins when the next does, and has no moment.
//! * Where another zone holds from a day D on, D begins as in the new zone. Until then the day is the old zone's, but D-1
//!   at most; a day before D that would begin later in the old zone begins with D, and has no moment.
//!
//! Before year -9998 and after 9998, where no zone has rules, days are those of UTC.

use std::sync::{Arc, Mutex};

use bank::{Body, Command, State, SystemCommand, ZoneFrom};
use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp as Instant};
use ledger::{Timestamp, ValueDate};

/// A time zone's name that this program doesn't know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "the bank's time zone {0:?} is none that this version of Kassa knows: without it nobody can say which day it is. Use \
     the version that set it, or a later one"
)]
pub struct UnknownTimeZone(pub String);

/// The days of a bank.
#[derive(Debug, Clone)]
pub struct Calendar {
    zones: Arc<[ZoneFrom]>,
    /// As the zones, with one for a bank that has none; never empty.
    rules: Vec<Rules>,
}

#[derive(Debug, Clone)]
struct Rules {
    from: ValueDate,
    zone: TimeZone,
    /// The moment from which on days are these or later.
    begins: Timestamp,
}

/// The day that was looked up last, and where it ends, so that the next look is a comparison.
#[derive(Debug)]
pub(crate) struct Today {
    calendar: Arc<Calendar>,
    day: ValueDate,
    begins: Timestamp,
    ends: Timestamp,
}

/// Calendar of the state that was looked at last.
#[derive(Debug, Default)]
pub(crate) struct LastCalendar(Mutex<Option<Arc<Calendar>>>);

impl Calendar {
    /// Makes the calendar of a bank's time zones, as [`State::time_zones`] has them.
    ///
    /// # Errors
    ///
    /// Fails with [`UnknownTimeZone`] where this program doesn't know one of them.
    pub fn new(zones: &Arc<[ZoneFrom]>) -> Result<Self, UnknownTimeZone> {
        let mut rules = Vec::with_capacity(zones.len().max(1));
        for ZoneFrom { from, name } in &**zones {
            let zone = zone_named(name).ok_or_else(|| UnknownTimeZone(name.clone()))?;
            rules.push(Rules { from: *from, begins: start_in(&zone, *from), zone });
        }
        if rules.first().is_none_or(|first| first.from != ZoneFrom::EVER) {
            rules.insert(0, Rules { from: ZoneFrom::EVER, zone: TimeZone::UTC, begins: Timestamp::MIN });
        }
        rules[0].begins = Timestamp::MIN;
        let mut later = Timestamp(i64::MAX);
        for each in rules.iter_mut().rev() {
            later = each.begins.min(later);
            each.begins = later;
        }
        Ok(Self { zones: Arc::clone(zones), rules })
    }

    /// Returns the bank's day of a moment.
    #[must_use]
    pub fn day_of(&self, at: Timestamp) -> ValueDate {
        let place = self.rules.partition_point(|rules| rules.begins <= at).max(1) - 1;
        let day = day_in(&self.rules[place].zone, at);
        let end = self.rules.get(place + 1).map_or(i32::MAX, |next| next.from.0.saturating_sub(1));
        ValueDate(day.0.min(end))
    }

    /// Returns the first moment of a day of the bank's.
    #[must_use]
    pub fn start_of(&self, day: ValueDate) -> Timestamp {
        let place = self.rules.partition_point(|rules| rules.from <= day).max(1) - 1;
        let start = start_in(&self.rules[place].zone, day);
        self.rules.get(place + 1).map_or(start, |next| start.min(next.begins))
    }

    /// Returns the moment at which a day is over: the first of the next.
    #[must_use]
    pub fn end_of(&self, day: ValueDate) -> Timestamp {
        self.start_of(ValueDate(day.0.saturating_add(1)))
    }

    /// Returns `true` if these are the days of a bank in this state: it has had no other time zones since.
    #[must_use]
    pub fn is_of(&self, state: &State) -> bool {
        Arc::ptr_eq(&self.zones, state.time_zones())
    }

    /// Returns the name of the time zone that a day is of.
    #[must_use]
    pub fn zone_of(&self, day: ValueDate) -> &str {
        let before = self.zones.iter().take_while(|zone| zone.from <= day);
        before.last().map_or(ZoneFrom::UTC, |zone| &zone.name)
    }

    /// Returns the time zones of the bank; none where all its days are UTC's.
    #[must_use]
    pub fn zones(&self) -> &[ZoneFrom] {
        &self.zones
    }

    /// Returns a time zone's name as the IANA database spells it; none where this program doesn't know it.
    #[must_use]
    pub fn spelled(name: &str) -> Option<String> {
        zone_named(name)?.iana_name().map(str::to_owned)
    }

    /// Returns the moment at which the first day of the time zone that a command names begins in it; none where it names
    /// none, or one that is not known by exactly this name. See [`bank::Facts::zone_begins`].
    #[must_use]
    pub fn begins(command: &Command) -> Option<Timestamp> {
        match &command.body {
            Body::System(SystemCommand::SetTimeZone { from, time_zone }) => Self::start_in_zone(time_zone, *from),
            Body::System(SystemCommand::Found { time_zone, .. }) => {
                Self::start_in_zone(time_zone.as_deref()?, ZoneFrom::EVER)
            }
            Body::System(SystemCommand::Unresolved(_))
            | Body::Access(_)
            | Body::Accounts(_)
            | Body::Payments(_)
            | Body::Holds(_) => None,
        }
    }

    /// Returns the first moment of a day in a zone; none where the zone is not known by exactly this name.
    fn start_in_zone(name: &str, day: ValueDate) -> Option<Timestamp> {
        let zone = zone_named(name).filter(|zone| zone.iana_name() == Some(name))?;
        Some(start_in(&zone, day))
    }

    /// Returns the same state's calendar, or makes that of another. The zones of a state are known: recovery looked at
    /// those of the journal, and a command that names another is refused.
    fn of(last: Option<&Arc<Self>>, state: &State) -> Arc<Self> {
        match last {
            Some(last) if last.is_of(state) => Arc::clone(last),
            _ => Arc::new(Self::new(state.time_zones()).expect("the time zones of an open bank are known")),
        }
    }
}

impl LastCalendar {
    /// Returns the calendar of a state.
    pub(crate) fn of(&self, state: &State) -> Arc<Calendar> {
        let mut last = self.0.lock().expect("no thread panics while it holds the calendar");
        let calendar = Calendar::of(last.as_ref(), state);
        *last = Some(Arc::clone(&calendar));
        calendar
    }
}

impl Today {
    /// Begins with no day in particular.
    pub(crate) fn new(state: &State) -> Self {
        let (day, never) = (ZoneFrom::EVER, Timestamp::MIN);
        Self { calendar: Calendar::of(None, state), day, begins: never, ends: never }
    }

    /// Returns the bank's day at `now`.
    pub(crate) fn at(&mut self, state: &State, now: Timestamp) -> ValueDate {
        if !self.calendar.is_of(state) || now < self.begins || now >= self.ends {
            self.calendar = Calendar::of(Some(&self.calendar), state);
            self.day = self.calendar.day_of(now);
            (self.begins, self.ends) = (self.calendar.start_of(self.day), self.calendar.end_of(self.day));
        }
        self.day
    }
}

fn zone_named(name: &str) -> Option<TimeZone> {
    TimeZoneDatabase::bundled().get(name).ok().filter(|zone| !zone.is_unknown())
}

const EPOCH: Date = Date::constant(1970, 1, 1);

/// The first moment of a day in a zone; in UTC where the zone has no such day.
fn start_in(zone: &TimeZone, day: ValueDate) -> Timestamp {
    zoned_start(zone, day).unwrap_or_else(|| day.start())
}

fn zoned_start(zone: &TimeZone, day: ValueDate) -> Option<Timestamp> {
    let midnight = EPOCH.checked_add(Span::new().try_days(day.0).ok()?).ok()?.at(0, 0, 0, 0);
    let at = |offset: Offset| offset.to_timestamp(midnight).ok();
    let start = match zone.to_ambiguous_timestamp(midnight).offset() {
        AmbiguousOffset::Unambiguous { offset } => at(offset)?,
        // Midnight comes twice: the day begins with the first.
        AmbiguousOffset::Fold { before, .. } => at(before)?,
        // Midnight is left out: the day begins when the clocks are put forward.
        AmbiguousOffset::Gap { after, .. } => {
            let before_it = at(after)?.checked_sub(Span::new().nanoseconds(1)).ok()?;
            zone.following(before_it).next()?.timestamp()
        }
    };
    Some(Timestamp(start.as_millisecond()))
}

/// The last day that has begun in a zone.
fn day_in(zone: &TimeZone, at: Timestamp) -> ValueDate {
    let Ok(moment) = Instant::from_millisecond(at.0) else { return at.day() };
    let date = zone.to_datetime(moment).date();
    let mut day = ValueDate(date.since(EPOCH).map_or(0, |since| since.get_days()));
    while start_in(zone, ValueDate(day.0.saturating_add(1))) <= at && day.0 < i32::MAX {
        day = ValueDate(day.0.saturating_add(1));
    }
    day
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(zones: &[(i32, &str)]) -> Calendar {
        let zones = zones.iter().map(|(from, name)| ZoneFrom { from: ValueDate(*from), name: (*name).to_owned() });
        Calendar::new(&zones.collect()).expect("known")
    }

    fn moment(text: &str) -> Timestamp {
        Timestamp(text.parse::<Instant>().expect(text).as_millisecond())
    }

    fn day(text: &str) -> ValueDate {
        ValueDate(text.parse::<Date>().expect(text).since(EPOCH).expect("a span").get_days())
    }

    /// Each row: the zone, a day, and the moments at which it begins and ends.
    #[test]
    fn days_begin_and_end_where_the_zone_says() {
        for (zone, of, begins, ends) in [
            ("Europe/Vienna", "2026-10-25", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z"), // 25 hours
            ("Europe/Vienna", "2026-03-29", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"), // 23 hours
            ("Europe/Vienna", "2026-11-01", "2026-10-31T23:00:00Z", "2026-11-01T23:00:00Z"),
            ("America/New_York", "2026-11-01", "2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z"),
            ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"), // 00:00 left out
            ("America/Sao_Paulo", "2018-02-17", "2018-02-17T02:00:00Z", "2018-02-18T03:00:00Z"), // 23:00 twice
            ("Africa/Cairo", "2026-04-24", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z"),
            ("Asia/Beirut", "2026-03-29", "2026-03-28T22:00:00Z", "2026-03-29T21:00:00Z"),
            ("America/Toronto", "1919-03-31", "1919-03-31T04:30:00Z", "1919-04-01T04:00:00Z"), // 23:30 to 00:30
            ("America/St_Johns", "2010-11-07", "2010-11-07T02:30:00Z", "2010-11-08T03:30:00Z"), // back over midnight
            ("America/St_Johns", "2010-11-06", "2010-11-06T02:30:00Z", "2010-11-07T02:30:00Z"),
            ("Pacific/Apia", "2011-12-29", "2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z"),
            ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00:00Z", "2011-12-30T10:00:00Z"), // left out
            ("Pacific/Apia", "2011-12-31", "2011-12-30T10:00:00Z", "2011-12-31T10:00:00Z"),
            ("Pacific/Kwajalein", "1969-09-30", "1969-09-29T13:00:00Z", "1969-10-01T12:00:00Z"), // back by 23 hours
            ("Australia/Lord_Howe", "2026-04-05", "2026-04-04T13:00:00Z", "2026-04-05T13:30:00Z"), // by 30 minutes
            ("Africa/Casablanca", "2026-02-15", "2026-02-14T23:00:00Z", "2026-02-16T00:00:00Z"), // Ramadan
            ("UTC", "2026-11-01", "2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z"),
        ] {
            let (calendar, of) = (calendar(&[(i32::MIN, zone)]), day(of));
            let (begins, ends) = (moment(begins), moment(ends));
            assert_eq!((calendar.start_of(of), calendar.end_of(of)), (begins, ends), "{zone} {of:?}");
            let last = Timestamp(ends.0 - 1);
            if begins < ends {
                assert_eq!((calendar.day_of(begins), calendar.day_of(last)), (of, of), "{zone} {of:?}");
            }
            assert!(calendar.day_of(Timestamp(begins.0 - 1)) < of && calendar.day_of(ends) > of, "{zone} {of:?}");
        }
    }

    #[test]
    fn a_change_of_zone_never_repeats_a_day() {
        let d = day("2027-01-01");
        let change = |old, new| calendar(&[(i32::MIN, old), (d.0, new)]);
        // Eastwards: the day before is shorter.
        let east = change("Europe/Vienna", "Asia/Tokyo");
        assert_eq!(east.start_of(d), moment("2026-12-31T15:00:00Z"));
        assert_eq!(east.start_of(day("2026-12-31")), moment("2026-12-30T23:00:00Z"));
        assert_eq!(east.day_of(moment("2026-12-31T14:59:59.999Z")), day("2026-12-31"));
        assert_eq!(east.day_of(moment("2026-12-31T15:00:00Z")), d);
        // Westwards: it is longer.
        let west = change("Europe/Vienna", "America/New_York");
        assert_eq!(west.start_of(d), moment("2027-01-01T05:00:00Z"));
        assert_eq!(west.day_of(moment("2026-12-31T23:00:00Z")), day("2026-12-31"), "Vienna has the new year");
        assert_eq!(west.day_of(moment("2027-01-01T04:59:59.999Z")), day("2026-12-31"));
        // From one end of the world to the other a day has no moment.
        let across = change("Etc/GMT+12", "Pacific/Kiritimati");
        assert_eq!(across.start_of(d), moment("2026-12-31T10:00:00Z"));
        assert_eq!(across.start_of(day("2026-12-31")), across.start_of(d));
        assert_eq!(across.day_of(moment("2026-12-31T09:59:59.999Z")), day("2026-12-30"));
        assert_eq!((across.zone_of(day("2026-12-31")), across.zone_of(d)), ("Etc/GMT+12", "Pacific/Kiritimati"));
        assert_eq!(across.zone_of(ValueDate(i32::MAX)), "Pacific/Kiritimati");
    }

    /// A bank of UTC counts as it did before there were zones, also where no calendar does.
    #[test]
    fn without_a_zone_days_are_utcs() {
        for zones in [&[][..], &[(i32::MIN, "UTC")]] {
            let calendar = calendar(zones);
            for ms in [i64::MIN, -62_135_596_800_001, -1, 0, 86_399_999, 86_400_000, 253_402_300_800_000, i64::MAX] {
                assert_eq!(calendar.day_of(Timestamp(ms)), Timestamp(ms).day(), "{ms}");
            }
            for day in [i32::MIN, -4_371_587, -1, 0, 1, 2_932_896, i32::MAX] {
                assert_eq!(calendar.start_of(ValueDate(day)), ValueDate(day).start(), "{day}");
            }
        }
        let kolkata = calendar(&[(i32::MIN, "Asia/Kolkata")]);
        for ms in [i64::MAX, -377_705_116_800_000, 253_402_207_200_000] {
            let day = kolkata.day_of(Timestamp(ms));
            assert!(kolkata.start_of(day) <= Timestamp(ms), "{ms}");
        }
    }

    #[test]
    fn names_are_spelled_as_the_database_does() {
        assert_eq!(Calendar::spelled("europe/vienna").as_deref(), Some("Europe/Vienna"));
        assert_eq!(Calendar::spelled("utc").as_deref(), Some("UTC"));
        for unknown in ["", "Etc/Unknown", "Europe/Atlantis", "CET-1", "+01:00", "../etc/passwd", "Europe/Vienna "] {
            assert_eq!(Calendar::spelled(unknown), None, "{unknown:?}");
        }
        assert_eq!(Calendar::start_in_zone("europe/vienna", ValueDate(0)), None);
        assert_eq!(Calendar::start_in_zone("Europe/Vienna", ValueDate(0)), Some(Timestamp(-3_600_000)));
        let zones: Arc<[ZoneFrom]> = [ZoneFrom { from: ZoneFrom::EVER, name: "Mars/Olympus".into() }].into();
        let told = Calendar::new(&zones).expect_err("not known").to_string();
        assert!(told.contains("Mars/Olympus"), "{told}");
    }

    /// Days of random zones, one after another: each moment lies on exactly one, they never run backwards, and the day
    /// that the writer remembers is that of the calendar.
    #[test]
    fn days_part_the_time_whatever_the_zones() {
        let names: Vec<String> = TimeZoneDatabase::bundled().available().map(|name| name.as_str().to_owned()).collect();
        let mut seed = 20_261_101_u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % below
        };
        let place = |drawn: u64| usize::try_from(drawn).expect("zones are some hundreds");
        for _ in 0..400 {
            let first = i32::try_from(random(24_000)).expect("small") - 2_000;
            let name = names[place(random(names.len() as u64))].clone();
            let mut zones = vec![ZoneFrom { from: ZoneFrom::EVER, name }];
            let mut from = first;
            for _ in 0..random(4) {
                from += i32::try_from(random(3)).expect("small") + 1;
                let name = names[place(random(names.len() as u64))].clone();
                zones.push(ZoneFrom { from: ValueDate(from), name });
            }
            let calendar = Calendar::new(&zones.clone().into()).expect("known");
            let days = (first - 3..from + 3).map(ValueDate);
            for day in days {
                let (begins, ends) = (calendar.start_of(day), calendar.end_of(day));
                assert!(begins <= ends, "{day:?} of {zones:?} ends before it begins");
                assert!(
                    ends.0 - begins.0 <= 53 * 3_600_000,
                    "{day:?} of {zones:?} is longer than two zones can be apart"
                );
                for at in [begins.0, begins.0 + 1, (begins.0 + ends.0) / 2, ends.0 - 1] {
                    if (begins.0..ends.0).contains(&at) {
                        assert_eq!(calendar.day_of(Timestamp(at)), day, "{at} of {zones:?}");
                    }
                }
            }
        }
    }
}
