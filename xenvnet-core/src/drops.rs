//! Frames that a lock dropped, counted per vif and reason.

use crate::ifname::IfName;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a frame was dropped: one counting set each.
///
/// ```
/// use xenvnet_core::DropReason;
/// assert_eq!(DropReason::Ip4.name(), "ip4");
/// assert_eq!(DropReason::ALL.len(), 7);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropReason {
    /// A source MAC address that is not the guest's.
    Mac,
    /// ARP that is malformed or claims what is not the guest's.
    Arp,
    /// An IPv4 source that is not the guest's, source routing, router's messages.
    Ip4,
    /// An IPv6 source that is not the guest's, a bad extension header, router's messages.
    Ip6,
    /// An answer of a DHCP server, or a DHCP question that is not exactly a client's.
    Dhcp,
    /// Neighbour discovery for what is not the guest's.
    Nd,
    /// Anything that is not ARP, IPv4 or IPv6 on untagged Ethernet II.
    EtherType,
}

impl DropReason {
    /// All of them, in the order of reports.
    ///
    /// ```
    /// assert!(xenvnet_core::DropReason::ALL.contains(&xenvnet_core::DropReason::Nd));
    /// ```
    pub const ALL: [DropReason; 7] = [
        DropReason::Mac,
        DropReason::Arp,
        DropReason::Ip4,
        DropReason::Ip6,
        DropReason::Dhcp,
        DropReason::Nd,
        DropReason::EtherType,
    ];

    /// The word for it in reports and in the set's name.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::DropReason::EtherType.name(), "ethertype");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            DropReason::Mac => "mac",
            DropReason::Arp => "arp",
            DropReason::Ip4 => "ip4",
            DropReason::Ip6 => "ip6",
            DropReason::Dhcp => "dhcp",
            DropReason::Nd => "nd",
            DropReason::EtherType => "ethertype",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Frames of one guest that were dropped for one reason.
///
/// ```
/// use xenvnet_core::{DropReason, Drops};
/// let drops = Drops::new("vif1.0".parse()?, DropReason::Mac, 3, 180);
/// assert_eq!(drops.frames, 3);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Drops {
    /// The interface that they came in by.
    pub vif: IfName,
    /// Why.
    pub reason: DropReason,
    /// How many.
    pub frames: u64,
    /// How many octets they had together, without the Ethernet header.
    pub octets: u64,
}

impl Drops {
    /// A count.
    ///
    /// ```
    /// # use xenvnet_core::{DropReason, Drops};
    /// assert_eq!(Drops::new("vif1.0".parse()?, DropReason::Arp, 1, 28).octets, 28);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(vif: IfName, reason: DropReason, frames: u64, octets: u64) -> Drops {
        Drops { vif, reason, frames, octets }
    }
}
