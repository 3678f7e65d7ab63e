//! The bank's days: its time zones, and setting another from a day on.

use std::sync::Arc;

use bank::{Action, Body, Refusal, SystemCommand, SystemEvent, TokenHash, What};
use engine::Calendar;
use ledger::ValueDate;

use crate::accounts::Changed;
use crate::fault::Fault;
use crate::service::Service;
use crate::writes::{Keyed, unexpected};

/// A time zone of the bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneView {
    /// The first day of the zone; none for the one of the founding.
    pub from: Option<ValueDate>,
    /// Name of the zone (IANA).
    pub time_zone: String,
}

/// The bank's days.
#[derive(Debug, Clone)]
pub struct DaysView {
    /// Today, in the bank's time zone.
    pub today: ValueDate,
    /// Name of today's time zone.
    pub time_zone: String,
    /// All zones, the first one first, those to come included.
    pub zones: Vec<ZoneView>,
}

impl Service {
    /// Returns the bank's days.
    ///
    /// # Errors
    ///
    /// Fails if the engine can't answer.
    pub fn calendar(&self) -> Result<Arc<Calendar>, Fault> {
        Ok(self.engine().calendar()?)
    }

    /// Tells the bank's time zones, and which day it is. For everybody who is signed in.
    ///
    /// # Errors
    ///
    /// Fails if the caller is not signed in, and if the engine can't answer.
    pub async fn time_zones(&self, token: TokenHash) -> Result<DaysView, Fault> {
        self.read(token, |_, _| Ok(())).await?;
        let calendar = self.calendar()?;
        let today = calendar.day_of(self.engine().now());
        let first = ZoneView { from: None, time_zone: calendar.zone_of(bank::ZoneFrom::EVER).to_owned() };
        let later = calendar.zones().iter().filter(|zone| zone.from != bank::ZoneFrom::EVER);
        let later = later.map(|zone| ZoneView { from: Some(zone.from), time_zone: zone.name.clone() });
        let zones = std::iter::once(first).chain(later).collect();
        Ok(DaysView { today, time_zone: calendar.zone_of(today).to_owned(), zones })
    }

    /// Sets the bank's time zone from a day on that is to come. For operators.
    ///
    /// # Errors
    ///
    /// Fails if it is refused, now or under its key before, and if the engine can't answer.
    pub async fn set_time_zone(
        &self,
        asked: &Keyed<'_>,
        from: Result<ValueDate, Fault>,
        time_zone: &str,
    ) -> Result<Changed<ZoneView>, Fault> {
        let (write, body) = self.prepare_write(asked, |_, who| {
            who.may_ever(Action::SetTimeZone)?;
            let from = from?;
            let spelled = Calendar::spelled(time_zone);
            let time_zone = spelled.ok_or_else(|| Fault::from(Refusal::UnknownTimeZone).in_field("time_zone"))?;
            Ok(Body::System(SystemCommand::SetTimeZone { from, time_zone }))
        })?;
        let receipt = self.submit(&write, body).await?;
        let What::System(SystemEvent::TimeZoneSet { from, time_zone }) = &receipt.what else {
            return Err(unexpected(&receipt));
        };
        let now = ZoneView { from: Some(*from), time_zone: time_zone.clone() };
        Ok(Changed { now, is_repeated: receipt.repeated })
    }
}
