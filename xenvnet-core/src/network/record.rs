//! Networks that run: what each is known by, and what it found when it started.

use super::Network;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::COMMENT_MAX;
use crate::ifname::IfName;
use crate::plan::Step;
use crate::snapshot::Snapshot;
use crate::sysctl::Sysctl;
use crate::table::Table;
use crate::text::quoted;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// What a network that runs is known by: its bridge or its port, or, of one without either, its kind
/// and its uplink.
///
/// ```
/// use xenvnet_core::NetworkId;
/// assert_eq!("xenbr0".parse::<NetworkId>()?, NetworkId::Interface("xenbr0".parse()?));
/// assert_eq!(NetworkId::Nat("eth0".parse()?).to_string(), "nat:eth0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum NetworkId {
    /// A network that stands or falls with this bridge, or this port.
    Interface(IfName),
    /// A routed network that leads out by this uplink.
    Route(IfName),
    /// A masqueraded one.
    Nat(IfName),
}

impl NetworkId {
    /// The interface that it does not run without.
    pub(crate) fn link(self) -> IfName {
        match self {
            NetworkId::Interface(name) | NetworkId::Route(name) | NetworkId::Nat(name) => name,
        }
    }

    /// The key of its element, at most as long as an interface's name, and different from all of them.
    pub(crate) fn key(self) -> [u8; IfName::SIZE] {
        let (kind, uplink) = match self {
            NetworkId::Interface(name) => return name.padded(),
            NetworkId::Route(uplink) => ("route", uplink),
            NetworkId::Nat(uplink) => ("nat", uplink),
        };
        let mut text = self.to_string();
        if text.len() >= IfName::SIZE {
            text = format!("{kind}:{:08x}", crate::mac::crc32(uplink.as_str().as_bytes()));
        }
        let mut key = [0; IfName::SIZE];
        key[..text.len()].copy_from_slice(text.as_bytes());
        key
    }
}

impl fmt::Display for NetworkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NetworkId::Interface(name) => name.fmt(f),
            NetworkId::Route(uplink) => write!(f, "route:{uplink}"),
            NetworkId::Nat(uplink) => write!(f, "nat:{uplink}"),
        }
    }
}

impl FromStr for NetworkId {
    type Err = Error;

    fn from_str(text: &str) -> Result<NetworkId> {
        match text.split_once(':') {
            None => Ok(NetworkId::Interface(text.parse()?)),
            Some(("route", uplink)) => Ok(NetworkId::Route(uplink.parse()?)),
            Some(("nat", uplink)) => Ok(NetworkId::Nat(uplink.parse()?)),
            Some(_) => Err(Error::invalid(ErrorKind::Parse, format!("{} names no network", quoted(text))).at(0)),
        }
    }
}

impl TryFrom<String> for NetworkId {
    type Error = Error;

    fn try_from(text: String) -> Result<NetworkId> {
        text.parse()
    }
}

impl From<NetworkId> for String {
    fn from(id: NetworkId) -> String {
        id.to_string()
    }
}

/// A network that runs: what it is and what it found when it started. Kept in the kernel, as an
/// element of the set `networks`, so that it lives exactly as long as what it describes.
///
/// ```
/// use xenvnet_core::{Brouter, NetworkRecord, Sysctl};
/// let network = Brouter::new("xenbr0".parse()?, "10.98.98.1/24".parse().unwrap()).into();
/// assert_eq!(NetworkRecord::new(network, [(Sysctl::Ip4Forward, 0)]).before[&Sysctl::Ip4Forward], 0);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Stored")]
pub struct NetworkRecord {
    /// The network, with everything named that its line left to the host.
    pub network: Network,
    /// What the settings that it changes were before the first network changed them.
    pub before: BTreeMap<Sysctl, u32>,
}

/// As it is stored, also by former versions.
#[derive(Deserialize)]
struct Stored {
    network: Network,
    #[serde(default)]
    before: BTreeMap<Sysctl, u32>,
    sysctl_before: Option<u32>,
}

impl From<Stored> for NetworkRecord {
    fn from(stored: Stored) -> NetworkRecord {
        let former = stored.network.sysctls().first().copied().zip(stored.sysctl_before);
        NetworkRecord { before: stored.before.into_iter().chain(former).collect(), network: stored.network }
    }
}

impl NetworkRecord {
    /// A network that found these values.
    ///
    /// ```
    /// # use xenvnet_core::{Brouter, NetworkRecord};
    /// # let network = Brouter::new("xenbr0".parse()?, "10.98.98.1/24".parse().unwrap()).into();
    /// assert!(NetworkRecord::new(network, []).before.is_empty());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(network: Network, before: impl IntoIterator<Item = (Sysctl, u32)>) -> NetworkRecord {
        NetworkRecord { network, before: before.into_iter().collect() }
    }

    pub(super) fn steps_add(self, now: &Snapshot) -> Vec<Step> {
        now.step_ready(Table::Inet).into_iter().chain([Step::AddNetwork { record: self }]).collect()
    }

    /// Whether the kernel can hold it, and it will be read back as it is.
    pub(super) fn validate(&self) -> Result<()> {
        let comment = self.comment();
        let refuse =
            |why: String, advice: &str| Err(Error::invalid(ErrorKind::InvalidArgument, why).with_advice(advice));
        if comment.len() > COMMENT_MAX {
            let why = format!("the line is too long for its record: {} bytes of {COMMENT_MAX}", comment.len());
            return refuse(why, "start a network for each part of it");
        }
        if NetworkRecord::parse_comment(&comment).as_ref() != Some(self) {
            return refuse(format!("{} cannot be written as a line", quoted(&comment)), "no name with quotes, please");
        }
        Ok(())
    }

    /// The comment of its element.
    pub(crate) fn comment(&self) -> String {
        let before = self.before.iter().map(|(sysctl, value)| format!(" {}={value}", sysctl.word()));
        format!("{} before:{}", self.network, before.collect::<String>())
    }

    /// Reads what [`comment`](Self::comment) writes, and what former versions wrote.
    pub(crate) fn parse_comment(text: &str) -> Option<NetworkRecord> {
        if let Some((line, before)) = text.rsplit_once(" forwarding-before=") {
            let network: Network = line.parse().ok()?;
            let sysctl = network.sysctls().first().copied()?;
            return Some(NetworkRecord::new(network, [(sysctl, before.parse().ok()?)]));
        }
        let (line, before) = text.rsplit_once(" before:")?;
        let pair = |word: &str| {
            let (sysctl, value) = word.split_once('=')?;
            Some((sysctl.parse().ok()?, value.parse().ok()?))
        };
        let before = before.split_ascii_whitespace().map(pair).collect::<Option<_>>()?;
        Some(NetworkRecord { network: line.parse().ok()?, before })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{BridgedNetwork, NatNetwork, Uplink};

    #[test]
    fn what_cannot_be_remembered_is_refused() {
        let quotes = BridgedNetwork::new(Uplink::Device("\"a\"".parse().unwrap()));
        assert!(NetworkRecord::new(quotes.into(), []).validate().is_err());
        let nat = NatNetwork::new(Uplink::Device("eth0".parse().unwrap()));
        let many = (0..20).fold(nat.clone(), |nat, n| nat.subnet(format!("192.168.{n}.0/24").parse().unwrap()));
        assert!(NetworkRecord::new(many.into(), []).validate().is_err());
        assert!(NetworkRecord::new(nat.into(), [(Sysctl::Ip4Forward, 0)]).validate().is_ok());
    }

    #[test]
    fn every_network_has_a_key_of_its_own() {
        let long: IfName = "fifteen-letters".parse().unwrap();
        let ids = [NetworkId::Interface(long), NetworkId::Route(long), NetworkId::Nat(long)];
        for (n, id) in ids.iter().enumerate() {
            assert_eq!(id.to_string().parse::<NetworkId>().unwrap(), *id);
            assert!(ids[..n].iter().all(|other| other.key() != id.key()));
        }
    }
}
