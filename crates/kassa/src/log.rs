//! The log: for the person on call, on standard error. Where it is JSON, each line there is an object with a time, a
//! level and a message: what a server says of itself, why a command failed, and a panic as well. There is no log file:
//! whoever collects the lines (the journal of systemd, say) turns them over.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::Display;
use std::io::{IsTerminal, Write};
use std::panic::PanicHookInfo;

use serde_json::json;
use tracing::Level;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, registry, reload};

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    Text,
    Json,
}

/// Each setting of the log: its name, the text of its default, and what it is for.
pub(crate) const SETTINGS: [[&str; 3]; 2] = [
    [
        "log",
        "text",
        "Form of the log on standard error: text for people, json for machines, an object on each line. With\n\
         json nothing else is written there, and a server says what else it has to say there, too.",
    ],
    [
        "log_level",
        "info",
        "Level of the log: error, warn, info, debug or trace. A running server takes it on at SIGHUP.",
    ],
];

/// The log's settings.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) form: Log,
    pub(crate) level: Level,
}

impl Settings {
    /// The settings before any is taken.
    pub(crate) const UNSET: Self = Self { form: Log::Text, level: Level::INFO };

    /// Takes the text of the setting of this name, which must be one of [`SETTINGS`].
    pub(crate) fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "log" => self.form = form(text).ok_or("must be text or json")?,
            "log_level" => {
                // tracing takes numbers as well.
                let named = if text.chars().all(char::is_alphabetic) { text } else { "" };
                self.level = named.parse().map_err(|_| "must be error, warn, info, debug or trace")?;
            }
            _ => return Err("is no setting of the log".into()),
        }
        Ok(())
    }
}

/// The form of a name.
pub(crate) fn form(name: &str) -> Option<Log> {
    match name {
        "text" => Some(Log::Text),
        "json" => Some(Log::Json),
        _ => None,
    }
}

/// Level of the log, to be changed while the program runs. Nothing is where another log was there already.
#[derive(Debug, Clone)]
pub(crate) struct Ceiling(Option<reload::Handle<LevelFilter, Registry>>);

impl Ceiling {
    /// Logs as much from now on.
    pub(crate) fn set(&self, level: Level) {
        if let Some(handle) = &self.0 {
            // An error means that the log is gone, and nobody to tell.
            let _ = handle.reload(LevelFilter::from_level(level));
        }
    }
}

/// Sends the log to standard error, once.
pub(crate) fn start(settings: &Settings) -> Ceiling {
    let (filter, handle) = reload::Layer::new(LevelFilter::from_level(settings.level));
    let lines = fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // A log on a disk that takes no writes is lost, and must not take the server with it.
        .log_internal_errors(false)
        .with_target(false);
    let started = match settings.form {
        Log::Text => registry().with(filter).with(lines).try_init(),
        Log::Json => registry().with(filter).with(lines.json().flatten_event(true)).try_init(),
    };
    // A log that is there already stays.
    Ceiling(started.ok().map(|()| handle))
}

/// Says why a command failed: to people, or as a line of the log where that is JSON.
pub(crate) fn failure(form: Log, failure: &dyn Display) {
    match form {
        Log::Text => write_line(&format!("kassa: {failure}")),
        Log::Json => line(Level::ERROR, &failure.to_string()),
    }
}

/// Writes a line of a log in JSON, as the log itself would: also before it has begun, and whatever its ceiling is.
pub(crate) fn line(level: Level, message: &str) {
    write_line(&object(level, message, None));
}

/// Has panics told as lines of the log.
pub(crate) fn tell_panics_in_json() {
    std::panic::set_hook(Box::new(|panic| {
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
        write_line(&object(Level::ERROR, &of_panic(panic), backtrace));
    }));
}

/// Standard error may be closed, or on a full disk: then nobody can be told.
fn write_line(line: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{line}\n").as_bytes());
}

fn object(level: Level, message: &str, backtrace: Option<String>) -> String {
    let timestamp = format!("{:.6}", jiff::Timestamp::now());
    let mut object = json!({ "timestamp": timestamp, "level": level.as_str(), "message": message });
    if let Some(backtrace) = backtrace {
        object["backtrace"] = backtrace.into();
    }
    object.to_string()
}

fn of_panic(panic: &PanicHookInfo<'_>) -> String {
    let thread = std::thread::current();
    let (thread, message) = (thread.name().unwrap_or("without a name"), panic.payload_as_str().unwrap_or("no words"));
    let place = panic.location().map_or_else(String::new, |place| format!(" at {place}"));
    format!("a bug: the thread {thread} panicked{place}: {message}")
}
