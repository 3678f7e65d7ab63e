//! The settings of a bank: one struct, read once. A value comes from a flag (`--set NAME=VALUE`), else from the
//! environment (`KASSA_NAME`), else from the file `kassa.toml` in the data folder, else it is the default. All mistakes
//! are told together.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::failure::Failure;

/// The configuration file's name in the data folder.
pub(crate) const FILE: &str = "kassa.toml";

/// The settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) master_key_file: PathBuf,
    pub(crate) memory_mib: u64,
    pub(crate) log: Log,
    pub(crate) log_level: tracing::Level,
    pub(crate) edge: edge::Settings,
    pub(crate) server: server::Settings,
    /// The text that each setting was taken from, in the order of [`SETTINGS`].
    texts: Vec<String>,
}

/// Form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Log {
    Text,
    Json,
}

/// One setting: its name in the file, what it is for, and how its text is taken.
struct Setting {
    name: &'static str,
    default: &'static str,
    about: &'static str,
    take: fn(&mut Config, &Path, &str) -> Result<(), String>,
}

/// The settings that a running server takes on when it is told to read them again.
const LIVE: [&str; 3] = ["certificate", "private_key", "log_level"];

/// Every setting, in the order in which the file written by `kassa init` lists them. A default of "" stands for a path
/// or value that depends on the data folder, as the text says.
const SETTINGS: &[Setting] = &[
    Setting {
        name: "listen",
        default: "127.0.0.1:8443",
        about: "The address and port on which to serve HTTPS. Use 0.0.0.0:8443 or [::]:8443 to be reached from outside.",
        take: |config, _, text| {
            take(&mut config.edge.listen, text.parse::<SocketAddr>(), "an address and port, such as 127.0.0.1:8443")
        },
    },
    Setting {
        name: "certificate",
        default: "tls/server.pem",
        about: "The server's certificate chain (PEM). A relative path is taken from the data folder. A running server reads\n\
                it and its key again at SIGHUP.",
        take: |config, folder, text| path(&mut config.edge.certificate, folder, text),
    },
    Setting {
        name: "private_key",
        default: "tls/server.key",
        about: "The certificate's private key (PEM).",
        take: |config, folder, text| path(&mut config.edge.private_key, folder, text),
    },
    Setting {
        name: "master_key_file",
        default: "",
        about: "The file with the master key, 64 hexadecimal digits, readable by its owner only, or one of the credentials\n\
                that systemd gives a service. It belongs outside the data folder; the default lies beside it, with the\n\
                ending .key. The environment variable KASSA_MASTER_KEY, holding the key itself, goes before the file.",
        take: |config, folder, text| match text {
            "" => beside(folder).map(|file| config.master_key_file = file),
            text => path(&mut config.master_key_file, folder, text),
        },
    },
    Setting {
        name: "session_minutes",
        default: "480",
        about: "Length of a session after the sign-in, in minutes.",
        take: |config, _, text| whole(&mut config.server.session_minutes, text, 1..=10_080),
    },
    Setting {
        name: "connections",
        default: "12000",
        about: "Maximum number of open connections; further ones are closed when they come.",
        take: |config, _, text| whole(&mut config.edge.limits.connections, text, 1..=1_000_000),
    },
    Setting {
        name: "connections_per_address",
        default: "512",
        about: "Maximum number of them from one IPv4 address, or one IPv6 network of 64 bits. Trusted proxies may have all.",
        take: |config, _, text| whole(&mut config.edge.limits.connections_per_address, text, 1..=1_000_000),
    },
    Setting {
        name: "trusted_proxies",
        default: "",
        about: "The proxies in front of the server, as addresses and networks with commas between them: 10.0.0.7, 10.1.0.0/16.\n\
                Of a request that one of them hands on, they are believed whose it is; without this, all clients behind a\n\
                proxy share one address's limits. Name no address from which anybody else can connect: who is believed\n\
                can say that they are anybody.",
        take: |config, _, text| networks(&mut config.edge.limits.proxies.trusted, text),
    },
    Setting {
        name: "forwarded_field",
        default: "x-forwarded-for",
        about: "The header field in which these proxies write it: x-forwarded-for, or forwarded (RFC 7239). The other is not\n\
                looked at, since a proxy hands it on as its client sent it.",
        take: |config, _, text| {
            take(&mut config.edge.limits.proxies.field, text.parse(), "x-forwarded-for or forwarded")
        },
    },
    Setting {
        name: "event_streams",
        default: "10000",
        about: "Maximum number of open streams of events. Each takes a connection as well.",
        take: |config, _, text| whole(&mut config.server.limits.event_streams, text, 0..=1_000_000),
    },
    Setting {
        name: "event_streams_per_user",
        default: "20",
        about: "Maximum number of them for one user; one more ends the oldest.",
        take: |config, _, text| whole(&mut config.server.limits.event_streams_per_user, text, 1..=1_000_000),
    },
    Setting {
        name: "request_seconds",
        default: "30",
        about: "Time for one request, the arrival of its body included.",
        take: |config, _, text| seconds(&mut config.edge.limits.request, text),
    },
    Setting {
        name: "header_seconds",
        default: "15",
        about: "Time for a client to send the header of a request; for HTTP/1.1 also the time for which a connection is kept\n\
                without a request.",
        take: |config, _, text| seconds(&mut config.edge.limits.header_read, text),
    },
    Setting {
        name: "body_seconds",
        default: "10",
        about: "Time for the body of a request to arrive.",
        take: |config, _, text| seconds(&mut config.edge.limits.body_read, text),
    },
    Setting {
        name: "idle_seconds",
        default: "60",
        about: "Time for which an HTTP/2 connection is kept without a request, or any connection with an answer that its client\n\
                doesn't take.",
        take: |config, _, text| seconds(&mut config.edge.limits.idle, text),
    },
    Setting {
        name: "stop_seconds",
        default: "20",
        about: "Time for which a stopping server lets requests under way finish.",
        take: |config, _, text| seconds(&mut config.edge.limits.stop, text),
    },
    Setting {
        name: "user_requests_per_second",
        default: "1000",
        about: "Requests a second by one user. 0 stands for no limit.",
        take: |config, _, text| whole(&mut config.edge.limits.requests_of_user.requests, text, 0..=1_000_000),
    },
    Setting {
        name: "user_burst",
        default: "2000",
        about: "Maximum number of them at once, after a rest.",
        take: |config, _, text| whole(&mut config.edge.limits.requests_of_user.burst, text, 1..=1_000_000),
    },
    Setting {
        name: "address_requests_per_second",
        default: "5000",
        about: "Requests a second from one IPv4 address, or one IPv6 network of 64 bits. 0 stands for no\n\
                limit.",
        take: |config, _, text| whole(&mut config.edge.limits.requests_of_address.requests, text, 0..=1_000_000),
    },
    Setting {
        name: "address_burst",
        default: "10000",
        about: "Maximum number of them at once, after a rest.",
        take: |config, _, text| whole(&mut config.edge.limits.requests_of_address.burst, text, 1..=1_000_000),
    },
    Setting {
        name: "requests_per_second",
        default: "20000",
        about: "Requests a second in all; 20,000 suit two cores. 0 stands for no limit.",
        take: |config, _, text| whole(&mut config.edge.limits.requests.requests, text, 0..=1_000_000),
    },
    Setting {
        name: "burst",
        default: "20000",
        about: "Maximum number of them at once, after a rest.",
        take: |config, _, text| whole(&mut config.edge.limits.requests.burst, text, 1..=1_000_000),
    },
    Setting {
        name: "address_sign_ins_per_minute",
        default: "60",
        about: "Sign-ins a minute from one address. 0 stands for no limit.",
        take: |config, _, text| whole(&mut config.edge.limits.sign_ins_of_address.requests, text, 0..=1_000_000),
    },
    Setting {
        name: "address_sign_ins_burst",
        default: "100",
        about: "Maximum number of them at once, after a rest.",
        take: |config, _, text| whole(&mut config.edge.limits.sign_ins_of_address.burst, text, 1..=1_000_000),
    },
    Setting {
        name: "name_sign_ins_per_minute",
        default: "5",
        about: "Sign-ins a minute under one name: so many from each address from which its user signed\n\
                in before, at most eight, and so many from all others together. 0 stands for no limit: then nothing but\n\
                their length protects passwords from being guessed.",
        take: |config, _, text| whole(&mut config.edge.limits.sign_ins_of_name.requests, text, 0..=1_000_000),
    },
    Setting {
        name: "name_sign_ins_burst",
        default: "10",
        about: "Maximum number of them at once, after a rest.",
        take: |config, _, text| whole(&mut config.edge.limits.sign_ins_of_name.burst, text, 1..=1_000_000),
    },
    Setting {
        name: "password_workers",
        default: "1",
        about: "Number of passwords checked at once. Each takes a core for some 20 ms, and 19 MiB.",
        take: |config, _, text| whole(&mut config.server.limits.password_workers, text, 1..=64),
    },
    Setting {
        name: "memory_mib",
        default: "0",
        about: "Memory that the server may have in use, in MiB; above it nothing is written, and reading goes on.\n\
                0 stands for three quarters of what the machine or its container has.",
        take: |config, _, text| whole(&mut config.memory_mib, text, 0..=1 << 30),
    },
    Setting {
        name: "log",
        default: "text",
        about: "Form of the log on standard error: text for people, json for machines, an object on each line. With\n\
                json nothing else is written there, and a server says what else it has to say there, too.",
        take: |config, _, text| {
            config.log = match text {
                "text" => Log::Text,
                "json" => Log::Json,
                _ => return Err("must be text or json".into()),
            };
            Ok(())
        },
    },
    Setting {
        name: "log_level",
        default: "info",
        about: "Level of the log: error, warn, info, debug or trace. A running server takes it on at SIGHUP.",
        take: |config, _, text| {
            // tracing takes numbers as well.
            let named = if text.chars().all(char::is_alphabetic) { text } else { "" };
            take(&mut config.log_level, named.parse(), "error, warn, info, debug or trace")
        },
    },
];

/// The memory of the machine or, if that is less, what the container or service may have that this runs in, in bytes
/// (Linux).
fn machine_memory() -> Option<u64> {
    let machine = std::fs::read_to_string("/proc/meminfo").ok()?;
    let kib: u64 = machine.strip_prefix("MemTotal:")?.split_whitespace().next()?.parse().ok()?;
    let group = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let least = group_limit(Path::new("/sys/fs/cgroup"), &group);
    Some(least.unwrap_or(u64::MAX).min(kib << 10))
}

/// The least limit of a control group's and those above it (cgroup v2), in bytes. `group` is what `/proc/self/cgroup`
/// says; within a container it is the root.
fn group_limit(root: &Path, group: &str) -> Option<u64> {
    let own = group.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    let limit = |group: &Path| {
        let limit = std::fs::read_to_string(root.join(group).join("memory.max")).ok()?;
        limit.trim().parse::<u64>().ok()
    };
    Path::new(own).ancestors().filter_map(limit).min()
}

fn take<T, E>(place: &mut T, parsed: Result<T, E>, form: &str) -> Result<(), String> {
    *place = parsed.map_err(|_| format!("must be {form}"))?;
    Ok(())
}

fn networks(place: &mut Vec<edge::Network>, text: &str) -> Result<(), String> {
    let each = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    *place = each
        .map(|part| part.parse().map_err(|mistake: edge::NetworkError| mistake.to_string()))
        .collect::<Result<_, _>>()?;
    Ok(())
}

fn path(place: &mut PathBuf, folder: &Path, text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("must be a path".into());
    }
    *place = folder.join(text);
    Ok(())
}

fn whole<T>(place: &mut T, text: &str, range: std::ops::RangeInclusive<T>) -> Result<(), String>
where
    T: std::str::FromStr + PartialOrd + std::fmt::Display,
{
    let within = text.parse().ok().filter(|number| range.contains(number));
    *place = within.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))?;
    Ok(())
}

fn seconds(place: &mut Duration, text: &str) -> Result<(), String> {
    let mut seconds = 0;
    whole(&mut seconds, text, 1..=3_600)?;
    *place = Duration::from_secs(seconds);
    Ok(())
}

impl Config {
    /// Returns how much memory the server may have in use, in bytes. None where it isn't set and can't be told.
    pub(crate) fn memory_ceiling(&self) -> Option<u64> {
        match self.memory_mib {
            0 => machine_memory().map(|bytes| bytes / 4 * 3),
            mib => Some(mib << 20),
        }
    }

    /// Reads the settings of the bank in `folder`. `flags` are `NAME=VALUE`, and `environment` its variables, of which
    /// those of other programs don't matter.
    pub(crate) fn read(
        folder: &Path,
        flags: &[String],
        environment: &BTreeMap<String, String>,
    ) -> Result<Self, Failure> {
        let mut mistakes = Vec::new();
        check_environment(environment, &mut mistakes);
        let file = file_values(folder, &mut mistakes);
        let flags = flag_values(flags, &mut mistakes);
        let mut config = Self {
            master_key_file: PathBuf::new(),
            memory_mib: 0,
            log: Log::Text,
            log_level: tracing::Level::INFO,
            // Each of these is a setting with a default below, and is set there.
            edge: edge::Settings {
                listen: SocketAddr::from(([127, 0, 0, 1], 8443)),
                certificate: PathBuf::new(),
                private_key: PathBuf::new(),
                limits: edge::Limits::default(),
            },
            server: server::Settings { session_minutes: 0, limits: server::Limits::default() },
            texts: Vec::with_capacity(SETTINGS.len()),
        };
        for setting in SETTINGS {
            let variable = format!("KASSA_{}", setting.name.to_uppercase());
            let flag = flags.iter().rev().find(|(name, _)| name == setting.name);
            let (source, text) = match (flag, environment.get(&variable), file.get(setting.name)) {
                (Some((_, text)), ..) => (format!("--set {}", setting.name), text.clone()),
                (None, Some(text), _) => (variable, text.clone()),
                (None, None, Some(text)) => (format!("{FILE}: {}", setting.name), text.clone()),
                (None, None, None) => (setting.name.to_owned(), setting.default.to_owned()),
            };
            if let Err(mistake) = (setting.take)(&mut config, folder, &text) {
                mistakes.push(format!("{source} {mistake}, and is {text:?}"));
            }
            config.texts.push(text);
        }
        match mistakes.as_slice() {
            [] => Ok(config),
            _ => Err(Failure::new(format!("the settings have mistakes:\n  {}", mistakes.join("\n  ")))),
        }
    }

    /// The settings that others have changed and that take effect at the next start only.
    pub(crate) fn waiting_for_a_start(&self, others: &Self) -> Vec<&'static str> {
        let names = SETTINGS.iter().map(|setting| setting.name);
        let changed = names.zip(&self.texts).zip(&others.texts).filter(|((_, own), other)| own != other);
        changed.map(|((name, _), _)| name).filter(|name| !LIVE.contains(name)).collect()
    }
}

/// The form of the log that the settings ask for, as far as they can be read: their mistakes are told in that form.
pub(crate) fn log_form(folder: &Path, flags: &[String], environment: &BTreeMap<String, String>) -> Log {
    let mut told_later = Vec::new();
    let (file, flags) = (file_values(folder, &mut told_later), flag_values(flags, &mut told_later));
    let flag = flags.iter().rev().find(|(name, _)| name == "log").map(|(_, text)| text);
    match flag.or_else(|| environment.get("KASSA_LOG")).or_else(|| file.get("log")) {
        Some(text) if text == "json" => Log::Json,
        _ => Log::Text,
    }
}

/// The flags that say where the master key lies: whoever makes one keeps them, or it would not be found again.
pub(crate) fn place_of_the_key(flags: &[String]) -> Vec<String> {
    flags.iter().filter(|flag| flag.starts_with("master_key_file=")).cloned().collect()
}

/// A configuration file's text with the flags' settings in it, each where the text has the setting or explains it.
pub(crate) fn with_settings(text: &str, flags: &[String]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (name, value) in flag_values(flags, &mut Vec::new()) {
        let sets =
            |line: &str| line.trim_start().strip_prefix(&name).is_some_and(|rest| rest.trim_start().starts_with('='));
        let explains = |line: &String| line.strip_prefix("# ").is_some_and(sets);
        let place = lines.iter().position(|line| sets(line)).or_else(|| lines.iter().position(explains));
        let line = format!("{name} = {}", toml_value(&value));
        match place {
            Some(place) => lines[place] = line,
            None => lines.push(line),
        }
    }
    lines.push(String::new());
    lines.join("\n")
}

/// A setting's text as a value of TOML.
fn toml_value(text: &str) -> String {
    match text.parse::<i64>() {
        Ok(number) if number.to_string() == text => text.to_owned(),
        _ => toml::Value::String(text.to_owned()).to_string(),
    }
}

/// The master key's file where none is named: beside the data folder, never in it, however the folder was written.
fn beside(folder: &Path) -> Result<PathBuf, String> {
    let written: PathBuf = folder.components().collect();
    let folder = match written.file_name() {
        Some(_) => written,
        None => std::path::absolute(written).map_err(|error| error.to_string())?.components().collect(),
    };
    let mut name = folder.file_name().ok_or("has no default for a data folder without a name")?.to_owned();
    name.push(".key");
    Ok(folder.with_file_name(name))
}

/// The file's settings as text, by name. There need not be a file.
fn file_values(folder: &Path, mistakes: &mut Vec<String>) -> BTreeMap<String, String> {
    let text = match std::fs::read_to_string(folder.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => {
            mistakes.push(format!("{FILE} can't be read: {}", crate::failure::said(&error)));
            String::new()
        }
    };
    let table = text.parse::<toml::Table>().unwrap_or_else(|error| {
        mistakes.push(format!("{FILE} is not TOML: {}", error.to_string().trim_end()));
        toml::Table::new()
    });
    let mut values = BTreeMap::new();
    for (name, value) in table {
        if !SETTINGS.iter().any(|setting| setting.name == name) {
            mistakes.push(format!("{FILE}: there is no setting {name}; the nearest is {}", nearest(&name)));
            continue;
        }
        match value {
            toml::Value::String(text) => drop(values.insert(name, text)),
            toml::Value::Integer(number) => drop(values.insert(name, number.to_string())),
            _ => mistakes.push(format!("{FILE}: {name} must be a text or a number")),
        }
    }
    values
}

/// Beginning of the names of Kassa's variables.
const PREFIX: &str = "KASSA_";

/// Variables that are no settings: the bank's folder and the master key, and what Kassa's own tests read.
const NO_SETTINGS: [&str; 5] = ["DATA", "MASTER_KEY", "BERKA", "FLIPS", "WRITE_GOLDEN"];

/// Looks for variables that are meant for Kassa and that nobody reads: who mistyped a limit must not think it holds.
fn check_environment(environment: &BTreeMap<String, String>, mistakes: &mut Vec<String>) {
    for (variable, value) in environment {
        let Some(name) = variable.strip_prefix(PREFIX) else { continue };
        let setting = SETTINGS.iter().any(|setting| setting.name.to_uppercase() == name);
        if !setting && !NO_SETTINGS.contains(&name) && !of_kubernetes(name, value) {
            let nearest = nearest(&name.to_lowercase()).to_uppercase();
            mistakes.push(format!("{variable}: there is no setting of that name; the nearest is {PREFIX}{nearest}"));
        }
    }
}

/// Returns `true` if Kubernetes set a variable: it tells every container of the services beside it, and one may be
/// called kassa.
fn of_kubernetes(name: &str, value: &str) -> bool {
    let within = format!("_{name}");
    let told = ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT_"].iter().any(|part| within.contains(part));
    told || (within.ends_with("_PORT") && value.contains("://"))
}

/// The setting whose name needs the fewest letters put in, left out or changed.
fn nearest(name: &str) -> &'static str {
    let names = SETTINGS.iter().map(|setting| setting.name);
    names.min_by_key(|known| distance(name, known)).unwrap_or_default()
}

/// Counts the letters to put in, leave out or change (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (number, letter) in from.chars().enumerate() {
        let mut before = row[0];
        row[0] = number + 1;
        for (place, other) in to.chars().enumerate() {
            let changed = before + usize::from(letter != other);
            before = row[place + 1];
            row[place + 1] = changed.min(before + 1).min(row[place] + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}

fn flag_values(flags: &[String], mistakes: &mut Vec<String>) -> Vec<(String, String)> {
    let mut values = Vec::new();
    for flag in flags {
        match flag.split_once('=') {
            Some((name, text)) if SETTINGS.iter().any(|setting| setting.name == name) => {
                values.push((name.to_owned(), text.to_owned()));
            }
            Some((name, _)) => {
                mistakes.push(format!("--set: there is no setting {name}; the nearest is {}", nearest(name)))
            }
            None => mistakes.push(format!("--set {flag}: write it as NAME=VALUE")),
        }
    }
    values
}

/// The configuration file for a new bank: every setting at its default, explained.
pub(crate) fn template() -> String {
    let mut text = String::from(
        "# Settings of this bank. Each can also be given in the environment, as KASSA_ and its name in capitals, or as\n\
         # a flag, --set NAME=VALUE; a flag goes before the environment, and the environment before this file.\n",
    );
    for Setting { name, default, about, .. } in SETTINGS {
        text.push('\n');
        for line in about.lines() {
            // Writing to a String can't fail.
            let _ = writeln!(text, "# {line}");
        }
        let _ = writeln!(text, "# {name} = {}", toml_value(default));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(file: &str, flags: &[&str], environment: &[(&str, &str)]) -> Result<Config, String> {
        let folder = tempfile::tempdir().expect("a folder for the test");
        std::fs::write(folder.path().join(FILE), file).expect("a file for the test");
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
        Config::read(folder.path(), &flags, &environment).map_err(|failure| failure.to_string())
    }

    #[test]
    fn the_least_limit_of_the_groups_around_counts() {
        let root = tempfile::tempdir().expect("a folder for the test");
        let service = root.path().join("system.slice/kassa.service");
        std::fs::create_dir_all(&service).expect("a folder for the test");
        let limit = |group: &Path, text: &str| std::fs::write(group.join("memory.max"), text).expect("a file");
        let found = |group: &str| group_limit(root.path(), group);
        let own = "1:name=systemd:/old\n0::/system.slice/kassa.service\n";
        assert_eq!(found(own), None, "no limit anywhere");
        limit(&service, "2147483648\n");
        assert_eq!(found(own), Some(2 << 30), "systemd's MemoryMax");
        limit(&root.path().join("system.slice"), "max\n");
        assert_eq!(found(own), Some(2 << 30));
        limit(root.path(), "1073741824\n");
        assert_eq!(found(own), Some(1 << 30), "a container's, which is the root within it");
        assert_eq!(found("0::/\n"), Some(1 << 30));
        assert_eq!(found("0::/../elsewhere\n"), Some(1 << 30));
    }

    #[test]
    fn the_written_file_says_the_defaults() {
        let uncommented: String = template()
            .lines()
            .filter_map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")))
            .map(|line| format!("{line}\n"))
            .collect();
        let (plain, written) = (read("", &[], &[]).unwrap(), read(&uncommented, &[], &[]).unwrap());
        assert_eq!(plain.edge.listen, written.edge.listen);
        assert_eq!(plain.server.session_minutes, written.server.session_minutes);
        let (limits, defaults) = (written.edge.limits, edge::Limits::default());
        assert_eq!(format!("{limits:?}"), format!("{defaults:?}"));
        let (limits, defaults) = (written.server.limits, server::Limits::default());
        assert_eq!(format!("{limits:?}"), format!("{defaults:?}"));
        assert_eq!(uncommented.lines().count(), SETTINGS.len());
    }

    #[test]
    fn settings_are_written_where_they_are_explained() {
        let flags = ["listen=[::]:1", "session_minutes=7", "master_key_file=C:\\keys \"x\".key", "log=json"];
        let flags = flags.map(str::to_owned);
        let written = with_settings(&template(), &flags);
        assert_eq!(written.lines().count(), template().lines().count(), "{written}");
        let config = read(&written, &[], &[]).unwrap();
        assert_eq!((config.edge.listen.port(), config.server.session_minutes, config.log), (1, 7, Log::Json));
        assert!(config.master_key_file.ends_with("C:\\keys \"x\".key"), "{:?}", config.master_key_file);
        assert_eq!(with_settings(&written, &flags), written, "again, nothing changes");

        // Lines that somebody wrote stay; the last of several flags holds; numbers that TOML would not take are texts.
        let own = "# listen is ours\n  listen=\"127.0.0.1:1\" # why\n# listen = \"x\"\n";
        let flags = ["listen=127.0.0.1:2", "listen=127.0.0.1:3", "burst=007"].map(str::to_owned);
        let written = with_settings(own, &flags);
        assert_eq!(written, "# listen is ours\nlisten = \"127.0.0.1:3\"\n# listen = \"x\"\nburst = \"007\"\n");
        assert_eq!(read(&written, &[], &[]).unwrap().edge.limits.requests.burst, 7);
    }

    #[test]
    fn the_form_of_the_log_is_known_whatever_else_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder for the test");
        let form = |file: &str, flags: &[&str], environment: &[(&str, &str)]| {
            std::fs::write(folder.path().join(FILE), file).expect("a file for the test");
            let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
            let environment = environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
            log_form(folder.path(), &flags, &environment.collect())
        };
        assert_eq!(form("", &[], &[]), Log::Text);
        assert_eq!(form("log = \"json\"\nlisten = 7\ncolour = 1", &["x"], &[("KASSA_LISTN", "1")]), Log::Json);
        assert_eq!(form("log = \"json\"", &[], &[("KASSA_LOG", "text")]), Log::Text);
        assert_eq!(form("", &["log=text", "log=json"], &[("KASSA_LOG", "text")]), Log::Json);
        assert_eq!(form("log = \"json\"\n[", &[], &[]), Log::Text, "what is no TOML says nothing");
        assert_eq!(log_form(Path::new("/nowhere"), &[], &BTreeMap::new()), Log::Text);
    }

    #[test]
    fn what_waits_for_a_start_is_known() {
        let before = read("", &[], &[]).unwrap();
        let file = "listen = \"127.0.0.1:1\"\nlog_level = \"debug\"\ncertificate = \"x.pem\"\nburst = 7\n";
        assert_eq!(before.waiting_for_a_start(&read(file, &[], &[]).unwrap()), ["listen", "burst"]);
        assert!(before.waiting_for_a_start(&read("burst = 20000", &[], &[]).unwrap()).is_empty());
    }

    #[test]
    fn the_master_key_never_lies_in_the_folder() {
        for (folder, key) in
            [("bank", "bank.key"), ("bank/", "bank.key"), ("a/bank//.", "a/bank.key"), ("/b/c/", "/b/c.key")]
        {
            assert_eq!(beside(Path::new(folder)), Ok(PathBuf::from(key)), "{folder}");
        }
        let here = std::env::current_dir().unwrap();
        let name = format!("{}.key", here.file_name().unwrap().display());
        assert_eq!(beside(Path::new(".")), Ok(here.with_file_name(name)));
        assert!(beside(Path::new("/")).is_err());
    }

    #[test]
    fn flags_before_environment_before_file() {
        let file = "listen = \"127.0.0.1:1\"\nsession_minutes = 7\n";
        let environment = [("KASSA_LISTEN", "127.0.0.1:2")];
        assert_eq!(read(file, &[], &[]).unwrap().edge.listen.port(), 1);
        assert_eq!(read(file, &[], &environment).unwrap().edge.listen.port(), 2);
        let flagged = read(file, &["listen=127.0.0.1:3"], &environment).unwrap();
        assert_eq!((flagged.edge.listen.port(), flagged.server.session_minutes), (3, 7));
    }

    #[test]
    fn proxies_are_named_in_a_list() {
        let trusted = |text: &str| {
            let file = format!("trusted_proxies = {text:?}\n");
            read(&file, &[], &[]).map(|config| config.edge.limits.proxies.trusted)
        };
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<_>>();
        assert_eq!(trusted(""), Ok(Vec::new()));
        assert_eq!(trusted("10.0.0.7"), Ok(networks(&["10.0.0.7"])));
        assert_eq!(trusted("10.0.0.7, 2001:db8::/32,"), Ok(networks(&["10.0.0.7", "2001:db8::/32"])));
        for (text, said) in [("10.0.0.1/8", "first 8 are zero"), ("0.0.0.0/0", "every address"), ("proxy", "such as")] {
            let told = trusted(text).unwrap_err();
            assert!(told.contains(said) && told.contains("kassa.toml: trusted_proxies must"), "{told}");
        }
        let field = |text: &str| read("", &[&format!("forwarded_field={text}")], &[]);
        assert_eq!(field("forwarded").unwrap().edge.limits.proxies.field, edge::ForwardedField::Forwarded);
        assert!(field("x-real-ip").is_err());
    }

    #[test]
    fn variables_that_nobody_reads_are_told() {
        for (mistyped, nearest) in [
            ("KASSA_LISTN", "KASSA_LISTEN"),
            ("KASSA_USER_REQUESTS_PER_MINUTE", "KASSA_USER_REQUESTS_PER_SECOND"),
            ("KASSA_CONECTIONS", "KASSA_CONNECTIONS"),
            ("KASSA_MASTER_KEY_FIL", "KASSA_MASTER_KEY_FILE"),
            ("KASSA_log", "KASSA_LOG"),
            ("KASSA_", "KASSA_LOG"),
        ] {
            let told = read("", &[], &[(mistyped, "1")]).unwrap_err();
            let expected = format!("{mistyped}: there is no setting of that name; the nearest is {nearest}");
            assert!(told.contains(&expected), "{told}");
        }
        for (taken, value) in [
            ("KASSA_DATA", "folder"),
            ("KASSA_MASTER_KEY", "key"),
            ("KASSA_BERKA", "folder"),
            ("KASSA_FLIPS", "4000"),
            ("KASSA_WRITE_GOLDEN", "1"),
            ("KASSANDRA", "1"),
            ("PATH", "/bin"),
            ("KASSA_SERVICE_HOST", "10.0.0.1"),
            ("KASSA_SERVICE_PORT_HTTPS", "443"),
            ("KASSA_PORT", "tcp://10.0.0.1:443"),
            ("KASSA_PORT_443_TCP_ADDR", "10.0.0.1"),
            ("KASSA_WEB_PORT", "tcp://10.0.0.2:80"),
        ] {
            assert!(read("", &[], &[(taken, value)]).is_ok(), "{taken}");
        }
        assert!(read("", &[], &[("KASSA_PORT", "443")]).is_err());
        assert!(read("listn = 1", &["liste=1"], &[]).unwrap_err().matches("the nearest is listen").count() == 2);
    }

    #[test]
    fn letters_are_counted() {
        for (from, to, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(from, to), expected, "{from} {to}");
        }
    }

    #[test]
    fn all_mistakes_are_told_together() {
        let file = "listen = \"here\"\nsession_minutes = 0\nlog = true\nlisten_on = 1\n";
        let told = read(file, &["colour=red", "log_level"], &[("KASSA_LOG_LEVEL", "loud")]).unwrap_err();
        for part in [
            "listen must be",
            "session_minutes must be",
            "log must be",
            "listen_on",
            "colour",
            "NAME=VALUE",
            "LOG_LEVEL must be",
        ] {
            assert!(told.contains(part), "{part} is missing in: {told}");
        }
        assert!(read("listen =", &[], &[]).unwrap_err().contains("not TOML"));
        for level in ["log_level = 5\n", "log_level = \"off\"\n", "log_level = \"\"\n"] {
            assert!(read(level, &[], &[]).unwrap_err().contains("log_level must be error, warn,"), "{level}");
        }
    }
}
