//! Events of the stream about itself: that it is open, that it is still there, and why it ends.
//!
//! All of it is events with a name and data, as what is told of the bank is. By the standard a block with an `id` and no
//! `data` would do, and a comment for a sign of life; but some clients forget the id of such a block, and some hand it,
//! and each comment too, to their users as a message whose data is no JSON.

use std::fmt::Write;
use std::time::Duration;

use serde::Serialize;
use service::{EndReason, Fault};
use utoipa::ToSchema;

use crate::description::strings;

/// Backoff of a client before it connects anew: this, and up to as much more as [`RETRY_STEPS`] give (jitter), so that
/// when the server starts again not all come back at once.
const RETRY: Duration = Duration::from_secs(1);

/// Backoff of a client whose place another client of its user has taken. If there are more clients than places, and
/// each came back at once, they would take each other's places all the time; so each has its place for a minute or
/// more.
const RETRY_REPLACED: Duration = Duration::from_secs(60);

/// Backoff of a client where the bank can't be read: what `Retry-After` says of it.
const RETRY_UNAVAILABLE: Duration = Duration::from_secs(30);

/// Number of groups, a [`RETRY_STEP`] apart, into which the clients are shared out.
const RETRY_STEPS: u64 = 64;

/// See [`RETRY_STEPS`].
const RETRY_STEP: Duration = Duration::from_millis(125);

/// The stream is open: the first event of each.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamOpened {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    pub(super) at: String,
    /// `true` if it goes on after a position that was sent. If not, it begins now, and what happened before is not
    /// told.
    pub(super) resumed: bool,
    /// The longest silence, in milliseconds: then comes a `heartbeat`. Where nothing has come for twice as long the
    /// connection is dead, and the client connects anew.
    #[schema(minimum = 0, example = 15_000)]
    pub(super) heartbeat_ms: u64,
}

/// Nothing was told for a while, and the stream is still there.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Heartbeat {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    pub(super) at: String,
}

/// The stream ends: the last event of each that the server ends.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StreamClosed {
    /// Time of the event.
    #[schema(value_type = strings::Moment)]
    pub(super) at: String,
    /// Reason.
    pub(super) reason: ReasonName,
}

/// Reason for which a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = EndReason)]
pub(crate) enum ReasonName {
    /// The user has opened another, and had as many as one may. It should not come back by itself.
    Replaced,
    /// The session is over. Sign in before connecting anew.
    SessionOver,
    /// The server is stopping. Connect anew.
    Stopping,
    /// The bank can't be read at the moment. Connect anew.
    Unavailable,
}

impl From<EndReason> for ReasonName {
    fn from(reason: EndReason) -> Self {
        match reason {
            EndReason::Replaced => Self::Replaced,
            EndReason::SessionOver => Self::SessionOver,
            EndReason::Stopping => Self::Stopping,
            EndReason::Unavailable => Self::Unavailable,
        }
    }
}

/// Returns `true` if the answer ends as one that is whole. Where the client had better come back it is cut: some clients
/// take an answer that is whole for the last, and are silent from then on.
pub(super) fn is_whole(reason: EndReason) -> bool {
    match reason {
        EndReason::Replaced | EndReason::SessionOver => true,
        EndReason::Stopping | EndReason::Unavailable => false,
    }
}

/// Returns the time that the client waits before it comes back, where it isn't as long as it was told at the beginning.
pub(super) fn retry(reason: EndReason) -> Option<Duration> {
    match reason {
        EndReason::Replaced => Some(RETRY_REPLACED),
        EndReason::Unavailable => Some(RETRY_UNAVAILABLE),
        EndReason::SessionOver | EndReason::Stopping => None,
    }
}

/// Writes when to come back, as the field `retry`, for the stream with a serial number.
pub(super) fn write_retry(text: &mut String, serial: u64, wait: Option<Duration>) {
    let steps = u32::try_from(serial % RETRY_STEPS).unwrap_or(0);
    let wait = wait.unwrap_or(RETRY) + RETRY_STEP * steps;
    // Writing to a String can't fail.
    let _ = writeln!(text, "retry: {}", wait.as_millis());
}

/// Writes an event. Its `id` is the last field: some clients keep an id as soon as its line has come, and where the
/// connection breaks right then they would go on after an event whose data they never had.
pub(super) fn write_event(text: &mut String, name: &str, data: &impl Serialize, id: &str) -> Result<(), Fault> {
    let mut data = serde_json::to_string(data).map_err(|error| Fault::failed(&error))?;
    // Inside JSON's strings both are the same written in ASCII. Some clients take them for the ends of lines.
    for (separator, escaped) in [('\u{2028}', "\\u2028"), ('\u{2029}', "\\u2029")] {
        if data.contains(separator) {
            data = data.replace(separator, escaped);
        }
    }
    // Writing to a String can't fail.
    let _ = write!(text, "event: {name}\ndata: {data}\nid: {id}\n\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_is_lines_that_every_client_splits_in_the_same_way() {
        let mut text = String::new();
        write_event(&mut text, "some.name", &json!({ "text": "a\nb\u{2028}c\u{2029}d\u{1f370}" }), "17").unwrap();
        let lines: Vec<&str> = text.split('\n').collect();
        assert_eq!(lines[0], "event: some.name");
        assert_eq!(lines[1], "data: {\"text\":\"a\\nb\\u2028c\\u2029d\u{1f370}\"}");
        assert_eq!(lines[2..], ["id: 17", "", ""], "the id comes when all else is there");
        let data: serde_json::Value = serde_json::from_str(&lines[1][6..]).unwrap();
        assert_eq!(data["text"], "a\nb\u{2028}c\u{2029}d\u{1f370}");
    }

    #[test]
    fn clients_come_back_one_after_the_other() {
        for (serial, wait, told) in [
            (0, None, "retry: 1000\n"),
            (1, None, "retry: 1125\n"),
            (63, None, "retry: 8875\n"),
            (64, None, "retry: 1000\n"),
            (2, retry(EndReason::Replaced), "retry: 60250\n"),
            (0, retry(EndReason::Unavailable), "retry: 30000\n"),
        ] {
            let mut text = String::new();
            write_retry(&mut text, serial, wait);
            assert_eq!(text, told);
        }
    }
}
