//! The engine's section of a bank's settings.
//!
//! A section is plain data, a row for each setting, and a function that takes a setting's text. So the engine need not
//! know where the texts come from.

use std::path::Path;

/// Each setting: its name, the text of its default, and what it is for.
pub const SETTINGS: [[&str; 3]; 1] = [[
    "memory_mib",
    "0",
    "Memory that the server may have in use, in MiB; above it nothing is written, and reading goes on.\n\
         0 stands for three quarters of what the machine or its container has.",
]];

/// Most memory that may be set, in MiB: a pebibyte.
const MEMORY_MIB_MAX: u64 = 1 << 30;

/// The engine's settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Settings {
    /// Memory that the process may have in use, in MiB. 0 stands for three quarters of what there is.
    pub memory_mib: u64,
}

impl Settings {
    /// Takes the text of the setting of this name, which must be one of [`SETTINGS`].
    ///
    /// # Errors
    ///
    /// What the text must be, in words that go on after the setting's name.
    pub fn take(&mut self, name: &str, text: &str) -> Result<(), String> {
        match name {
            "memory_mib" => {
                let within = text.parse().ok().filter(|mib| *mib <= MEMORY_MIB_MAX);
                self.memory_mib = within.ok_or_else(|| format!("must be a whole number from 0 to {MEMORY_MIB_MAX}"))?;
                Ok(())
            }
            _ => Err("is no setting of the engine".into()),
        }
    }

    /// Returns how much memory the process may have in use, in bytes. None where it isn't set and can't be told.
    #[must_use]
    pub fn memory_ceiling(&self) -> Option<u64> {
        match self.memory_mib {
            0 => machine_memory().map(|bytes| bytes / 4 * 3),
            mib => Some(mib << 20),
        }
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_set_within_its_range() {
        let taken = |text: &str| {
            let mut settings = Settings::default();
            settings.take("memory_mib", text).map(|()| settings.memory_ceiling())
        };
        assert_eq!(taken("1"), Ok(Some(1 << 20)));
        assert_eq!(taken("1073741824"), Ok(Some(1 << 50)));
        for text in ["1073741825", "-1", "", "much"] {
            assert_eq!(taken(text), Err("must be a whole number from 0 to 1073741824".into()), "{text}");
        }
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
}
