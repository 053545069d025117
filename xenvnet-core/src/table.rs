//! Our own tables of nf_tables.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One of our own nf_tables tables. A table is not there before something needs it: what a host
/// does not use costs its packets nothing. Those that hold guests stay until the last network stops.
/// Tables of others are never written.
///
/// ```
/// assert_eq!(xenvnet_core::Table::Bridge.to_string(), "table bridge xenvnet");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Table {
    /// `table bridge xenvnet`: the locks of bridged guests.
    #[default]
    #[serde(alias = "filter")]
    Bridge,
    /// `table netdev xenvnet`: the locks of interfaces that are held where their frames come in:
    /// routed guests, and both ports of a guest that has an emulated card too.
    Netdev,
    /// `table inet xenvnet`: masquerading, the record of the networks that run, and the guard against
    /// guests' interfaces that are in no lock's place: whose bridge is gone, or that were renamed. It
    /// stands wherever a lock stands.
    #[serde(alias = "nat")]
    Inet,
    /// `table inet xenvnet_dom0`: what guests reach on dom0 itself.
    Dom0,
    /// `table bridge xenvnet_untracked`: guests whose bridged packets stay out of dom0's table of
    /// connections.
    Untracked,
    /// `table inet xenvnet_forwards`: ports of dom0 that lead to guests.
    Forwards,
    /// `table bridge xenvnet_accounts`: traffic of bridged guests, counted under their names.
    Accounts,
    /// `table inet xenvnet_accounts`: the same of routed guests.
    RoutedAccounts,
}

impl Table {
    /// All of them.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Table::ALL.len(), 8);
    /// ```
    pub const ALL: &'static [Table] = &[
        Table::Bridge,
        Table::Netdev,
        Table::Inet,
        Table::Dom0,
        Table::Untracked,
        Table::Forwards,
        Table::Accounts,
        Table::RoutedAccounts,
    ];

    /// Its name within its family.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Table::Dom0.name(), "xenvnet_dom0");
    /// ```
    pub const fn name(self) -> &'static str {
        match self {
            Table::Bridge | Table::Netdev | Table::Inet => "xenvnet",
            Table::Dom0 => "xenvnet_dom0",
            Table::Untracked => "xenvnet_untracked",
            Table::Forwards => "xenvnet_forwards",
            Table::Accounts | Table::RoutedAccounts => "xenvnet_accounts",
        }
    }

    /// Whether it only counts: what is wrong with it lets nothing through.
    pub(crate) fn is_of_accounts(self) -> bool {
        matches!(self, Table::Accounts | Table::RoutedAccounts)
    }

    /// Its family, as nft(8) names it.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Table::Netdev.family(), "netdev");
    /// ```
    pub const fn family(self) -> &'static str {
        match self {
            Table::Bridge | Table::Untracked | Table::Accounts => "bridge",
            Table::Netdev => "netdev",
            Table::Inet | Table::Dom0 | Table::Forwards | Table::RoutedAccounts => "inet",
        }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "table {} {}", self.family(), self.name())
    }
}
