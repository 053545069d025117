//! What a guest may send, as options of several verbs.

use crate::cli::{net, value};
use clap::Args;
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{Antispoof, Lock, MacAddr};

/// What a guest may send, as options.
#[derive(Args, Debug)]
pub(crate) struct LockArgs {
    /// A MAC address of the guest; may be repeated.
    #[arg(long, value_parser = value::<MacAddr>)]
    mac: Vec<MacAddr>,
    /// An IP address or prefix of the guest; may be repeated.
    #[arg(long, value_name = "ADDR|CIDR", value_parser = net)]
    ip: Vec<IpNetwork>,
    /// The guest may ask a DHCP server for an address.
    #[arg(long)]
    dhcp: bool,
    /// Without the IPv6 link-local address that follows from each MAC address.
    #[arg(long)]
    no_link_local: bool,
    /// The guest may send nothing at all.
    #[arg(long, conflicts_with_all = ["mac", "ip", "dhcp", "no_link_local"])]
    disabled: bool,
}

impl LockArgs {
    /// The lock, unless it was not said: one to addresses needs a MAC address.
    pub(crate) fn lock(self) -> Option<Lock> {
        if self.disabled {
            return Some(Lock::Disabled);
        }
        let mut lock = Antispoof::new(*self.mac.first()?).dhcp_client(self.dhcp).link_local(!self.no_link_local);
        lock.macs = self.mac;
        lock.ips = self.ip;
        Some(lock.into())
    }
}
