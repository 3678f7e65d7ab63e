//! Commands about the bank itself: another time zone.

use bank::{Body, Caller, SystemCommand};
use ledger::ValueDate;

use super::Workload;

/// Time zones of banks: from one end of the world to the other, with and without summer time. The auditor knows them.
const ZONES: [&str; 5] = ["Europe/Vienna", "UTC", "Pacific/Kiritimati", "Etc/GMT+12", "Asia/Kolkata"];

/// The zone that a bank of a seed is founded in.
pub(super) fn zone_of(seed: u64) -> &'static str {
    let place = usize::try_from(seed % ZONES.len() as u64).expect("five are few");
    ZONES[place]
}

impl Workload {
    /// Mostly a zone that there is from a day of the next week on; now and then too late, or none that anybody knows.
    pub(super) fn set_time_zone(&mut self) -> (Caller, Body) {
        let today = self.now.day().0;
        let from = ValueDate(today + i32::try_from(self.random.below(9)).expect("small") - 1);
        let zone = if self.random.once_in(8) { None } else { self.random.pick(&ZONES) };
        let time_zone = zone.unwrap_or("Mars/Olympus").to_owned();
        (self.operator(), Body::System(SystemCommand::SetTimeZone { from, time_zone }))
    }
}
