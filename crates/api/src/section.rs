//! The section of the settings that is about sessions, streams of events, holds and passwords.

use edge::section::whole;

use crate::Settings;

/// Each row is a setting: its name, the text of its default, and what it is for.
pub const SETTINGS: [[&str; 3]; 5] = [
    ["session_minutes", "480", "Length of a session after the sign-in, in minutes."],
    ["event_streams", "10000", "Maximum number of open streams of events. Each takes a connection as well."],
    ["event_streams_per_user", "20", "Maximum number of them for one user; one more ends the oldest."],
    ["hold_days", "400", "Days from now within which a hold ends. An authorisation by card lives 7 to 31 days."],
    ["password_workers", "1", "Number of passwords checked at once. Each takes a core for some 20 ms, and 19 MiB."],
];

impl Settings {
    /// The settings before any is taken: each of them has a default above.
    #[must_use]
    pub fn unset() -> Self {
        Self { session_minutes: 0, limits: crate::Limits::default() }
    }

    /// Takes the text of the setting of this name, which must be one of [`SETTINGS`].
    ///
    /// # Errors
    ///
    /// What the text must be, in words that go on after the setting's name.
    pub fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
        let limits = &mut self.limits;
        match name {
            "session_minutes" => whole(&mut self.session_minutes, text, 1..=10_080),
            "event_streams" => whole(&mut limits.event_streams, text, 0..=1_000_000),
            "event_streams_per_user" => whole(&mut limits.event_streams_per_user, text, 1..=1_000_000),
            "hold_days" => whole(&mut limits.hold_days, text, 1..=36_525),
            "password_workers" => whole(&mut limits.password_workers, text, 1..=64),
            _ => Err("is no setting of the server".into()),
        }
    }
}
