//! Whether the MAC addresses in guests' configurations can live side by side.

use crate::error::Error;
use crate::guest_file::GuestFile;
use crate::mac::MacAddr;
use crate::vif::mac_of;
use std::collections::BTreeMap;
use std::fmt;

/// Where a guest's configuration gives a vif its MAC address.
///
/// ```
/// # use xenvnet_core::MacCheck;
/// let check = MacCheck::of([("web.cfg", "vif = [ 'mac=00:16:3e:00:00:01' ]")]);
/// assert_eq!(check.macs[0].to_string(), "web.cfg, byte 13, line 1");
/// assert_eq!((check.macs[0].vif, check.macs[0].mac.is_xen()), (0, true));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MacPlace {
    /// The address.
    pub mac: MacAddr,
    /// The file, as it was called.
    pub source: String,
    /// The vif's place in the file's list.
    pub vif: usize,
    /// The byte of the file, counted from 0.
    pub offset: usize,
    /// The line of the file, counted from 1.
    pub line: usize,
}

impl fmt::Display for MacPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, byte {}, line {}", self.source, self.offset, self.line)
    }
}

/// What is wrong with the MAC addresses of guests.
///
/// ```
/// # use xenvnet_core::MacCheck;
/// let check = MacCheck::of([("web.cfg", "vif = [ 'mac=01:00:00:00:00:00' ]")]);
/// assert_eq!(
///     check.findings[0].to_string(),
///     "web.cfg: vif: 01:00:00:00:00:00 is no unicast MAC address; no guest can have it at byte 13, line 1"
/// );
/// ```
#[non_exhaustive]
#[derive(Debug)]
pub enum MacFinding {
    /// A file or an address cannot be read ([`Parse`](crate::ErrorKind::Parse)), or no guest can
    /// have the address ([`InvalidArgument`](crate::ErrorKind::InvalidArgument)).
    #[non_exhaustive]
    Fault {
        /// The file, as it was called.
        source: String,
        /// What is wrong, with the byte and line.
        error: Error,
    },
    /// More than one vif has this address: two at least, in the order of the files.
    #[non_exhaustive]
    Duplicate {
        /// The vifs.
        places: Vec<MacPlace>,
    },
}

impl fmt::Display for MacFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MacFinding::Fault { source, error } => write!(f, "{source}: {error}"),
            MacFinding::Duplicate { places } => {
                let Some(first) = places.first() else { return Ok(()) };
                let one_guest = places.iter().all(|place| place.source == first.source);
                let who = if one_guest { "one guest" } else { "more than one guest" };
                let places: Vec<_> = places.iter().map(MacPlace::to_string).collect();
                write!(f, "{} is given to {} vifs of {who}: {}", first.mac, places.len(), places.join("; "))
            }
        }
    }
}

/// The MAC addresses in guests' configuration files, and what is wrong with them. A vif without
/// one is given one by its toolstack, and is not counted.
///
/// ```
/// use xenvnet_core::MacCheck;
/// let check = MacCheck::of([
///     ("web.cfg", "vif = [ 'mac=00:16:3e:00:00:01' ]"),
///     ("db.cfg", "vif = [ '', 'mac=00:16:3E:00:00:01' ]"),
/// ]);
/// assert_eq!(check.macs.len(), 2);
/// assert_eq!(
///     check.findings[0].to_string(),
///     "00:16:3e:00:00:01 is given to 2 vifs of more than one guest: web.cfg, byte 13, line 1; db.cfg, byte 17, line 1"
/// );
/// ```
#[non_exhaustive]
#[derive(Debug, Default)]
pub struct MacCheck {
    /// Every address that can be read, in the order of the files.
    pub macs: Vec<MacPlace>,
    /// What is wrong: faults in the order of the files, then duplicates in the order of the
    /// addresses. Empty where all is well.
    pub findings: Vec<MacFinding>,
}

impl MacCheck {
    /// Reads the texts of these files; `source` is what each is to be called. What else is wrong in
    /// a vif's string is no matter here.
    ///
    /// ```
    /// # use xenvnet_core::MacCheck;
    /// assert!(MacCheck::of([("web.cfg", "vif = [ 'brige=x,mac=00:16:3e:00:00:01' ]")]).findings.is_empty());
    /// ```
    pub fn of<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> MacCheck {
        let mut check = MacCheck::default();
        for (source, text) in files {
            match GuestFile::parse(text) {
                Ok(file) => check.add(source, &file),
                Err(error) => check.findings.push(MacFinding::Fault { source: source.to_owned(), error }),
            }
        }
        let mut by_mac: BTreeMap<MacAddr, Vec<MacPlace>> = BTreeMap::new();
        for place in &check.macs {
            by_mac.entry(place.mac).or_default().push(place.clone());
        }
        let duplicates = by_mac.into_values().filter(|places| places.len() > 1);
        check.findings.extend(duplicates.map(|places| MacFinding::Duplicate { places }));
        check
    }

    fn add(&mut self, source: &str, file: &GuestFile) {
        for (vif, line) in file.vifs.iter().enumerate() {
            match mac_of(&line.text) {
                Ok(None) => {}
                Ok(Some((mac, at))) => {
                    let (offset, line) = line.place(at);
                    self.macs.push(MacPlace { mac, source: source.to_owned(), vif, offset, line });
                }
                Err(error) => {
                    self.findings.push(MacFinding::Fault { source: source.to_owned(), error: line.locate(error) });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;
    use proptest::prelude::*;

    #[test]
    fn each_kind_of_fault_is_found_where_it_is() {
        let web =
            "vif = [ 'mac=00:16:3e:00:00:01',\n 'ip=10.0.0.1, mac=00:16:3e:00:00:01,',\n \"mac=\\\"0:0:0:0:0:0\\\"\" ]";
        let db = "vif = [ 'mac=00:16:3e:00:00:0x', 'mac=02:00:00:00:00:01', '', 'mac=' ]";
        let check = MacCheck::of([("web", web), ("db", db), ("old", "import os"), ("twin", "vif=['mac=2:0:0:0:0:1']")]);
        let said: Vec<_> = check.findings.iter().map(MacFinding::to_string).collect();
        assert_eq!(
            said,
            [
                "web: vif: 00:00:00:00:00:00 is no unicast MAC address; no guest can have it at byte 81, line 3",
                "db: vif: MAC address \"00:16:3e:00:00:0x\" has 'x' at byte 29, line 1, where two hexadecimal digits belong",
                "old: guest's configuration: an assignment is wanted, NAME = VALUE at byte 0, line 1",
                "00:16:3e:00:00:01 is given to 2 vifs of one guest: web, byte 13, line 1; web, byte 52, line 2",
                "02:00:00:00:00:01 is given to 2 vifs of more than one guest: db, byte 38, line 1; twin, byte 10, line 1",
            ]
        );
        let MacFinding::Fault { error, .. } = &check.findings[0] else { panic!() };
        assert_eq!((error.kind(), &web[error.offset().unwrap()..][..3]), (ErrorKind::InvalidArgument, "0:0"));
        for place in &check.macs {
            let text = [("web", web), ("db", db), ("twin", "vif=['mac=2:0:0:0:0:1']")]
                .into_iter()
                .find(|f| f.0 == place.source);
            assert!(text.unwrap().1[..place.offset].ends_with("mac="), "{place}");
        }
        assert_eq!(check.macs.iter().filter(|place| place.mac.is_xen()).count(), 2);
    }

    proptest! {
        #[test]
        fn any_files_are_checked(texts in prop::collection::vec("(vif=\\[)?(['\",\\]\\\\]|mac=|[0-9a-f:]{1,17}|\\PC){0,12}", 0..4)) {
            let check = MacCheck::of(texts.iter().map(|text| ("x", text.as_str())));
            for finding in &check.findings {
                prop_assert!(!finding.to_string().is_empty());
            }
        }
    }
}
