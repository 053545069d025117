//! Which VLANs a vif is in: xl's `vlan=`, and what Open vSwitch's script reads from `bridge=`.

use crate::error::{Error, ErrorKind, Result};
use crate::text::{decimal, offset_in, quoted};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// The VLANs of a vif, as xl's `vlan=` writes them (Xen 4.20).
///
/// Pieces with `/` between them: `V` is one VLAN, `A-B` all from one to another, `V+OFFxCOUNT` as
/// many as COUNT, OFF apart, from V on. A `u` after a piece means that its frames leave the bridge
/// without a tag; a `p` after a single `V`, that frames from the guest without a tag belong to it
/// (the PVID, of which there is one; its frames leave without a tag, too). One `V` and nothing
/// else is the PVID. Ids are 1 to 4094.
///
/// ```
/// use xenvnet_core::VlanSpec;
/// let vlans: VlanSpec = "10p/20/30-32u/100+10x3".parse()?;
/// assert_eq!(vlans.pvid(), Some(10));
/// assert!(vlans.untagged().iter().eq(&[30, 31, 32]));
/// assert!(vlans.tagged().iter().eq(&[20, 100, 110, 120]));
/// assert_eq!(vlans.to_string(), "10p/20/30-32u/100/110/120");
/// assert_eq!("7".parse::<VlanSpec>()?.pvid(), Some(7));
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VlanSpec {
    pvid: Option<u16>,
    untagged: BTreeSet<u16>,
    tagged: BTreeSet<u16>,
}

/// The last VLAN id; 4095 is reserved (IEEE 802.1Q, 9.6).
const ID_MAX: u16 = 4094;

impl VlanSpec {
    /// The VLAN of the guest's frames that have no tag.
    ///
    /// ```
    /// # use xenvnet_core::VlanSpec;
    /// assert_eq!("10/20".parse::<VlanSpec>()?.pvid(), None);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn pvid(&self) -> Option<u16> {
        self.pvid
    }

    /// The other VLANs whose frames reach the guest without a tag.
    ///
    /// ```
    /// # use xenvnet_core::VlanSpec;
    /// assert!("10p/20u".parse::<VlanSpec>()?.untagged().iter().eq(&[20]));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn untagged(&self) -> &BTreeSet<u16> {
        &self.untagged
    }

    /// The VLANs whose frames reach the guest with their tag.
    ///
    /// ```
    /// # use xenvnet_core::VlanSpec;
    /// assert_eq!("10p/100-199".parse::<VlanSpec>()?.tagged().len(), 100);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn tagged(&self) -> &BTreeSet<u16> {
        &self.tagged
    }
}

/// One piece: what comes before its letter, in ids.
fn ids(piece: &str) -> Result<(bool, Vec<u16>), (&str, String)> {
    let id = |text| number(text, 1, ID_MAX, "VLAN id");
    if let Some((first, last)) = piece.split_once('-') {
        let (from, to) = (id(first)?, id(last)?);
        match from <= to {
            true => Ok((false, (from..=to).collect())),
            false => Err((first, format!("{piece} ends before it begins"))),
        }
    } else if let Some((first, series)) = piece.split_once('+') {
        let (step, count) = series.split_once('x').ok_or((series, "V+OFFxCOUNT is wanted".to_owned()))?;
        let (from, by, many) = (id(first)?, number(step, 1, ID_MAX, "offset")?, number(count, 1, ID_MAX, "count")?);
        let all: Vec<u16> = (from..=ID_MAX).step_by(by.into()).take(many.into()).collect();
        match all.len() == usize::from(many) {
            true => Ok((false, all)),
            false => Err((first, format!("{piece} goes beyond {ID_MAX}"))),
        }
    } else {
        Ok((true, vec![id(piece)?]))
    }
}

fn number<'a>(text: &'a str, min: u16, max: u16, noun: &str) -> Result<u16, (&'a str, String)> {
    let read = decimal::<u16>(text).filter(|number| (min..=max).contains(number));
    read.ok_or_else(|| (text, format!("{} is no {noun} of {min} to {max}", quoted(text))))
}

impl FromStr for VlanSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<VlanSpec> {
        let wrong = |part: &str, why: String| {
            let offset = offset_in(text, part);
            Error::invalid(ErrorKind::Parse, format!("vlan {}: {why} at byte {offset}", quoted(text))).at(offset)
        };
        let mut spec = VlanSpec { pvid: None, untagged: BTreeSet::new(), tagged: BTreeSet::new() };
        let mut seen = BTreeSet::new();
        for piece in text.split('/') {
            let (untagged, primary) = (piece.strip_suffix('u'), piece.strip_suffix('p'));
            let (single, ids) = ids(untagged.or(primary).unwrap_or(piece)).map_err(|(part, why)| wrong(part, why))?;
            if let Some(id) = ids.iter().find(|id| !seen.insert(**id)) {
                return Err(wrong(piece, format!("VLAN {id} is given twice")));
            }
            if primary.is_some() || (single && untagged.is_none() && piece == text) {
                if !single {
                    return Err(wrong(piece, "only a single VLAN is the PVID".to_owned()));
                }
                if spec.pvid.is_some() {
                    return Err(wrong(piece, "a second PVID".to_owned()));
                }
                spec.pvid = ids.first().copied();
            } else if untagged.is_some() {
                spec.untagged.extend(ids);
            } else {
                spec.tagged.extend(ids);
            }
        }
        Ok(spec)
    }
}

impl fmt::Display for VlanSpec {
    /// In the order of the ids, neighbours as `A-B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let alone = self.untagged.is_empty() && self.tagged.is_empty();
        let mut pieces: Vec<(u16, String)> = Vec::new();
        pieces.extend(self.pvid.map(|id| (id, format!("{id}{}", if alone { "" } else { "p" }))));
        for (set, letter) in [(&self.untagged, "u"), (&self.tagged, "")] {
            // One tagged VLAN and no more would be the PVID if it were written as one.
            let only = set.len() == 1 && letter.is_empty() && self.pvid.is_none() && self.untagged.is_empty();
            pieces.extend(runs(set).into_iter().map(|(first, last)| match first == last && !only {
                true => (first, format!("{first}{letter}")),
                false => (first, format!("{first}-{last}{letter}")),
            }));
        }
        pieces.sort();
        f.write_str(&pieces.into_iter().map(|(_, piece)| piece).collect::<Vec<_>>().join("/"))
    }
}

/// The first and last of each run of neighbours.
fn runs(ids: &BTreeSet<u16>) -> Vec<(u16, u16)> {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for id in ids {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == *id => *last = *id,
            _ => runs.push((*id, *id)),
        }
    }
    runs
}

impl TryFrom<String> for VlanSpec {
    type Error = Error;

    fn try_from(text: String) -> Result<VlanSpec> {
        text.parse()
    }
}

impl From<VlanSpec> for String {
    fn from(spec: VlanSpec) -> String {
        spec.to_string()
    }
}

/// What vif-openvswitch reads from `bridge=`: `NAME[.TAG][:TRUNK:TRUNK...]`.
///
/// A Linux bridge may have a dot in its name, so the text alone does not tell which is meant. A
/// vif's `bridge=` is read as this where its `script=` is vif-openvswitch, or where it has a colon,
/// which no Linux interface has; else it is a name, dot and all.
///
/// ```
/// use xenvnet_core::OvsBridge;
/// let bridge: OvsBridge = "ovs0.20:30:40".parse()?;
/// assert_eq!((bridge.name.as_str(), bridge.tag), ("ovs0", Some(20)));
/// assert_eq!(bridge.trunks, [30, 40]);
/// assert_eq!(bridge.to_string(), "ovs0.20:30:40");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OvsBridge {
    /// The bridge's name in Open vSwitch's database: no interface's, so of any length.
    pub name: String,
    /// The VLAN of the guest's frames that have no tag, 0 to 4095.
    pub tag: Option<u16>,
    /// The VLANs that it may use tags of, 0 to 4095, where not all.
    pub trunks: Vec<u16>,
}

impl FromStr for OvsBridge {
    type Err = Error;

    fn from_str(text: &str) -> Result<OvsBridge> {
        let wrong = |(part, why): (&str, String)| {
            let offset = offset_in(text, part);
            let sentence = format!("Open vSwitch bridge {}: {why} at byte {offset}", quoted(text));
            Error::invalid(ErrorKind::Parse, sentence).at(offset)
        };
        let vlan = |text| number(text, 0, 4095, "VLAN id").map_err(wrong);
        let mut parts = text.split(':');
        let bridge = parts.next().unwrap_or_default();
        let trunks = parts.map(vlan).collect::<Result<_>>()?;
        let (name, tag) = match bridge.split_once('.') {
            Some((name, tag)) => (name, Some(vlan(tag)?)),
            None => (bridge, None),
        };
        if name.is_empty() || name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong((name, format!("{} is no bridge's name", quoted(name)))));
        }
        Ok(OvsBridge { name: name.to_owned(), tag, trunks })
    }
}

impl fmt::Display for OvsBridge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(tag) = self.tag {
            write!(f, ".{tag}")?;
        }
        self.trunks.iter().try_for_each(|trunk| write!(f, ":{trunk}"))
    }
}

impl TryFrom<String> for OvsBridge {
    type Error = Error;

    fn try_from(text: String) -> Result<OvsBridge> {
        text.parse()
    }
}

impl From<OvsBridge> for String {
    fn from(bridge: OvsBridge) -> String {
        bridge.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn specs_are_printed_in_order() {
        for (text, printed) in [
            ("1", "1"),
            ("10p", "10"),
            ("10u", "10u"),
            ("10-10", "10-10"),
            ("10/20", "10/20"),
            ("20/10p", "10p/20"),
            ("3/2/1/5", "1-3/5"),
            ("1+1x3u", "1-3u"),
            ("4094", "4094"),
            ("1p/2u/3", "1p/2u/3"),
        ] {
            let spec: VlanSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), printed, "{text}");
            assert_eq!(printed.parse::<VlanSpec>().unwrap(), spec, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_their_byte() {
        for (text, offset, why) in [
            ("", 0, "is no VLAN id"),
            ("0", 0, "is no VLAN id of 1 to 4094"),
            ("4095", 0, "is no VLAN id"),
            ("1/", 2, "is no VLAN id"),
            ("1/x", 2, "is no VLAN id"),
            ("1/ 2", 2, "is no VLAN id"),
            ("1p/2p", 3, "a second PVID"),
            ("1/20-10", 2, "ends before it begins"),
            ("1-2p", 0, "only a single VLAN is the PVID"),
            ("1/2/1u", 4, "VLAN 1 is given twice"),
            ("1/10+5", 5, "V+OFFxCOUNT is wanted"),
            ("10+0x3", 3, "is no offset"),
            ("4000+50x3", 0, "goes beyond 4094"),
            ("10+5x0", 5, "is no count"),
            ("10up", 0, "is no VLAN id"),
        ] {
            let error = text.parse::<VlanSpec>().unwrap_err();
            assert_eq!(error.offset(), Some(offset), "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn open_vswitchs_bridges_are_read() {
        for text in ["ovs0", "ovs0.0", "ovs0:1", "ovs0.7:8:4095", "a-bridge-of-a-longer-name"] {
            assert_eq!(text.parse::<OvsBridge>().unwrap().to_string(), text);
        }
        for (text, offset) in
            [("", 0), (".5", 0), ("a.", 2), ("a.x", 2), ("a:", 2), ("a.1:4096", 4), ("a.1.2", 2), ("a b", 0)]
        {
            assert_eq!(text.parse::<OvsBridge>().unwrap_err().offset(), Some(offset), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([0-9]{1,4}([-+][0-9]{1,4})?(x[0-9]{1,2})?[pu]?/?){1,5}|\\PC{0,12}") {
            if let Ok(spec) = text.parse::<VlanSpec>() {
                prop_assert_eq!(spec.to_string().parse::<VlanSpec>().unwrap(), spec);
            }
        }

        #[test]
        fn any_bridge_is_read_or_refused(text in "[a-z]{0,3}(\\.[0-9]{0,5})?(:[0-9]{0,5}){0,3}|\\PC{0,12}") {
            if let Ok(bridge) = text.parse::<OvsBridge>() {
                prop_assert_eq!(bridge.to_string().parse::<OvsBridge>().unwrap(), bridge);
            }
        }
    }
}
