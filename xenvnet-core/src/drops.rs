//! Frames that were dropped, counted per interface and reason.

use crate::ifname::IfName;
use crate::table::Table;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a frame was dropped: one counting set each.
///
/// ```
/// use xenvnet_core::DropReason;
/// assert_eq!(DropReason::Ip4.name(), "ip4");
/// assert_eq!(DropReason::ALL.len(), 9);
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
    /// Anything that is not ARP, IPv4 or IPv6 on untagged Ethernet II, or is addressed to a group that
    /// is reserved for bridges.
    EtherType,
    /// A guest's interface that is not held under the name that it has: renamed behind our back,
    /// or brought up by somebody else.
    Unguarded,
    /// A packet to dom0 itself that the network does not allow. Counted by the interface that it
    /// came in by: a bridge, or a routed vif.
    Dom0,
}

impl DropReason {
    /// All of them, in the order of reports.
    ///
    /// ```
    /// assert!(xenvnet_core::DropReason::ALL.contains(&xenvnet_core::DropReason::Nd));
    /// ```
    pub const ALL: &'static [DropReason] = &[
        DropReason::Mac,
        DropReason::Arp,
        DropReason::Ip4,
        DropReason::Ip6,
        DropReason::Dhcp,
        DropReason::Nd,
        DropReason::EtherType,
        DropReason::Unguarded,
        DropReason::Dom0,
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
            DropReason::Unguarded => "unguarded",
            DropReason::Dom0 => "dom0",
        }
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Frames of one interface that were dropped for one reason.
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
    /// The table that counted them: a port of a guest with two cards is held in two.
    #[serde(default)]
    pub table: Table,
}

impl Drops {
    /// A count of the bridge's table.
    ///
    /// ```
    /// # use xenvnet_core::{DropReason, Drops};
    /// assert_eq!(Drops::new("vif1.0".parse()?, DropReason::Arp, 1, 28).octets, 28);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(vif: IfName, reason: DropReason, frames: u64, octets: u64) -> Drops {
        Drops { vif, reason, frames, octets, table: Table::Bridge }
    }
}
