//! The settings of a bank: one struct, read once. Each part that has settings owns a section of them: their names,
//! defaults and texts, and what they may be. Here the sections are brought together and read. A value comes from a flag
//! (`--set NAME=VALUE`), else from the environment (`KASSA_NAME`), else from the file `kassa.toml` in the data folder,
//! else it is the default. All mistakes are told together.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::log::{self, Log};
use crate::master_key;

/// The configuration file's name in the data folder.
pub(crate) const FILE: &str = "kassa.toml";

/// The settings.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) master_key_file: PathBuf,
    pub(crate) engine: engine::Settings,
    pub(crate) log: log::Settings,
    pub(crate) edge: edge::Settings,
    pub(crate) server: api::Settings,
    /// The text that each setting was taken from, in the order of [`SECTIONS`].
    texts: Vec<String>,
}

/// The settings that a running server takes on when it is told to read them again.
const LIVE: [&str; 3] = ["certificate", "private_key", "log_level"];

/// Settings of one part, which owns them: a row for each, with its name, the text of its default and what it is for. A
/// default of "" stands for a path or value that depends on the data folder, as the text says.
struct Section {
    rows: &'static [[&'static str; 3]],
    /// Takes the text of a setting: the bank's folder, the setting's name, the text.
    take: fn(&mut Config, &Path, &str, &str) -> Result<(), String>,
}

/// The sections, in the order in which the file written by `kassa init` lists them.
const SECTIONS: [Section; 6] = [
    Section {
        rows: &edge::section::PLACE,
        take: |config, folder, name, text| edge::section::take(&mut config.edge, folder, name, text),
    },
    Section {
        rows: &master_key::SETTINGS,
        take: |config, folder, _, text| master_key::take(&mut config.master_key_file, folder, text),
    },
    Section { rows: &api::SETTINGS, take: |config, _, name, text| config.server.take(name, text) },
    Section {
        rows: &edge::section::LIMITS,
        take: |config, folder, name, text| edge::section::take(&mut config.edge, folder, name, text),
    },
    Section { rows: &engine::SETTINGS, take: |config, _, name, text| config.engine.take(name, text) },
    Section { rows: &log::SETTINGS, take: |config, _, name, text| config.log.take(name, text) },
];

/// The rows of all settings.
fn rows() -> impl Iterator<Item = [&'static str; 3]> {
    SECTIONS.iter().flat_map(|section| section.rows.iter().copied())
}

/// The names of all settings.
fn names() -> impl Iterator<Item = &'static str> {
    rows().map(|[name, ..]| name)
}

impl Config {
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
            engine: engine::Settings::default(),
            log: log::Settings::UNSET,
            edge: edge::section::unset(),
            server: api::Settings::unset(),
            texts: Vec::new(),
        };
        for Section { rows, take } in SECTIONS {
            for [name, default, _] in rows {
                let variable = format!("{PREFIX}{}", name.to_uppercase());
                let flag = flags.iter().rev().find(|(flag, _)| flag == name);
                let (source, text) = match (flag, environment.get(&variable), file.get(*name)) {
                    (Some((_, text)), ..) => (format!("--set {name}"), text.clone()),
                    (None, Some(text), _) => (variable, text.clone()),
                    (None, None, Some(text)) => (format!("{FILE}: {name}"), text.clone()),
                    (None, None, None) => ((*name).to_owned(), (*default).to_owned()),
                };
                if let Err(mistake) = take(&mut config, folder, name, &text) {
                    mistakes.push(format!("{source} {mistake}, and is {text:?}"));
                }
                config.texts.push(text);
            }
        }
        match mistakes.as_slice() {
            [] => Ok(config),
            _ => Err(Failure::new(format!("the settings have mistakes:\n  {}", mistakes.join("\n  ")))),
        }
    }

    /// The settings that others have changed and that take effect at the next start only.
    pub(crate) fn waiting_for_a_start(&self, others: &Self) -> Vec<&'static str> {
        let changed = names().zip(&self.texts).zip(&others.texts).filter(|((_, own), other)| own != other);
        changed.map(|((name, _), _)| name).filter(|name| !LIVE.contains(name)).collect()
    }
}

/// The form of the log that the settings ask for, as far as they can be read: their mistakes are told in that form.
pub(crate) fn log_form(folder: &Path, flags: &[String], environment: &BTreeMap<String, String>) -> Log {
    let mut told_later = Vec::new();
    let (file, flags) = (file_values(folder, &mut told_later), flag_values(flags, &mut told_later));
    let flag = flags.iter().rev().find(|(name, _)| name == "log").map(|(_, text)| text);
    match flag.or_else(|| environment.get("KASSA_LOG")).or_else(|| file.get("log")) {
        Some(text) => log::form(text).unwrap_or(Log::Text),
        None => Log::Text,
    }
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
        if !names().any(|setting| setting == name) {
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
        let setting = names().any(|setting| setting.to_uppercase() == name);
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
    names().min_by_key(|known| distance(name, known)).unwrap_or_default()
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
            Some((name, text)) if names().any(|setting| setting == name) => {
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
    for [name, default, about] in rows() {
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
        let (limits, defaults) = (written.server.limits, api::Limits::default());
        assert_eq!(format!("{limits:?}"), format!("{defaults:?}"));
        assert_eq!(uncommented.lines().count(), rows().count());
    }

    #[test]
    fn settings_are_written_where_they_are_explained() {
        let flags = ["listen=[::]:1", "session_minutes=7", "master_key_file=C:\\keys \"x\".key", "log=json"];
        let flags = flags.map(str::to_owned);
        let written = with_settings(&template(), &flags);
        assert_eq!(written.lines().count(), template().lines().count(), "{written}");
        let config = read(&written, &[], &[]).unwrap();
        assert_eq!((config.edge.listen.port(), config.server.session_minutes, config.log.form), (1, 7, Log::Json));
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
