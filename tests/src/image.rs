//! All of a host that anything here could change.

use crate::dump::Dump;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::Path;

/// What [`Dump`] has, without the kernel's numbers and what is counted, and the settings of each
/// interface.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    dump: Dump,
    settings: BTreeMap<String, String>,
}

impl Image {
    /// Of the calling thread's namespace, as it is now.
    pub fn take() -> Image {
        Image { dump: Dump::take().unnumbered().uncounted(), settings: settings() }
    }

    /// Whether the settings, which the kernel announces to nobody, are these by now: a look that starts
    /// no program.
    pub fn has_settings_of_now(&self) -> bool {
        self.settings == settings()
    }

    /// This is what was before, with what went and came where it is not.
    ///
    /// # Panics
    /// When the two differ.
    #[track_caller]
    pub fn assert_same(&self, before: &Image, when: &str) {
        let difference = self.difference(before);
        assert!(difference.is_empty(), "the host differs {when}:\n{difference}");
    }

    /// The lines that went and came since another one was taken, and the settings that changed.
    pub fn difference(&self, before: &Image) -> String {
        let of = |image: &Image, name: &String| image.settings.get(name).cloned().unwrap_or_default();
        let names: BTreeSet<_> = self.settings.keys().chain(before.settings.keys()).collect();
        let settings = names
            .into_iter()
            .filter(|name| of(self, name) != of(before, name))
            .map(|name| format!("~ {name}: {} -> {}\n", of(before, name), of(self, name)));
        self.dump.difference(&before.dump) + &settings.collect::<String>()
    }
}

impl fmt::Debug for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n{:#?}", self.dump, self.settings)
    }
}

fn settings() -> BTreeMap<String, String> {
    let mut settings = BTreeMap::new();
    for family in ["ipv4", "ipv6"] {
        read_below(&Path::new("/proc/sys/net").join(family).join("conf"), &mut settings);
    }
    settings
}

/// Nobody's setting is left out but those that cannot be read.
fn read_below(directory: &Path, settings: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_below(&path, settings);
        } else if let Ok(value) = fs::read_to_string(&path) {
            settings.insert(path.display().to_string(), value.trim().to_owned());
        }
    }
}
