//! Typed operations for the networks of Xen hosts, over netlink.
//!
//! A guest's interface, set up by a shell script:
//!
//! ```text
//! vif-bridge online vif=vif1.0 ip=10.98.98.2      some 40 processes, 70 to 100 ms,
//!                                                 a lock, and a filter that does not hold
//! ```
//!
//! The same with this crate, in one process, 15 system calls and well under a millisecond:
//!
//! ```no_run
//! use xenvnet_core::{Antispoof, Attachment, Host};
//! let host = Host::open()?;
//! let lock = Antispoof::new("00:16:3e:00:00:01".parse()?).ip("10.98.98.2".parse().unwrap());
//! host.attach_vif(&Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, lock))?;
//! # Ok::<(), xenvnet_core::Error>(())
//! ```
//!
//! # The one idea
//! [`Operation`] (what is asked) + [`Snapshot`] (what is) → [`Plan`] (what to do, with its
//! inverse) → [`Host`] (does it). The first three are values: plans can be printed, stored,
//! compared and tested without a kernel, and an operation that is so already has an empty one.
//!
//! ```
//! use xenvnet_core::{Bridge, Operation, Snapshot};
//! let create = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
//! let nothing = Snapshot::default();
//! let plan = create.plan(&nothing)?;
//! assert_eq!(plan.to_string().lines().last(), Some("~ xenbr0: up"));
//! assert!(create.plan(&nothing.after(&plan))?.is_empty());
//! # Ok::<(), xenvnet_core::Error>(())
//! ```
//!
//! # What it does not do
//! It forks nothing, keeps no thread, reads no environment variable, prints nothing (it speaks to
//! the [`log`] facade), and never writes to a firewall table that is not its own: those are named
//! `xenvnet`.
//!
//! # What it needs
//! Linux 5.6 with nf_tables for bridges; 5.18 for the port lock beneath the filter. CAP_NET_ADMIN
//! for changes.
#![forbid(unsafe_code)]

mod account;
mod antispoof;
mod apply;
mod asked;
mod block_device;
mod bridge;
mod contents;
mod desired;
mod dhcp;
mod dom0;
mod draft;
mod drops;
mod edge;
mod entry;
mod error;
mod forward;
mod guard;
mod guest_file;
mod host;
mod ifname;
mod journal;
mod line;
mod link;
mod lock_file;
mod mac;
mod mac_check;
mod mac_odds;
mod masquerade;
mod namespace;
mod needs;
mod netlink;
mod network;
mod network_root;
mod operation;
mod order;
mod plan;
mod rate;
mod reader;
mod retrace;
mod saved;
mod snapshot;
mod state;
mod sxp;
mod sysctl;
mod table;
mod takeover;
mod text;
mod untracked;
mod verify;
mod vif;
mod watch;
mod xend_config;

pub use account::{Account, Counter};
pub use antispoof::{Antispoof, Lock};
pub use bridge::Bridge;
pub use contents::Contents;
pub use dhcp::{DhcpGuest, DhcpService, DhcpSilence};
pub use dom0::{Dom0, Service};
pub use drops::{DropReason, Drops};
pub use entry::{Entry, EntryKind};
pub use error::{Error, ErrorKind, Result};
pub use forward::{Dom0Port, Forward, Protocol};
pub use guard::Guard;
pub use guest_file::GuestFile;
pub use host::{Host, HostOptions, Sentinel, Unconfirmed};
pub use ifname::IfName;
pub use ipnetwork;
pub use line::Line;
pub use link::{BridgeState, Link, LinkSettings, Pinning, PortState};
pub use mac::{MacAddr, MacPrefix};
pub use mac_check::{MacCheck, MacFinding, MacPlace};
pub use masquerade::Masquerade;
pub use network::{
    AdditionalPort, BridgedNetwork, Brouter, NatNetwork, Network, NetworkId, NetworkRecord, RoutedNetwork,
    ShadowNetwork, Uplink,
};
pub use operation::Operation;
pub use plan::{Outcome, Plan, Step};
pub use rate::Rate;
pub use snapshot::Snapshot;
pub use sysctl::{LinkSysctl, Sysctl};
pub use table::Table;
pub use text::{parse_ip, parse_ip_network, parse_socket};
pub use untracked::Untracked;
pub use verify::{Finding, Report, Severity};
pub use vif::{
    Attachment, Card, OvsBridge, Port, Presence, Strictness, VIF_GROUP, VifDefaults, VifId, VifScript, VifSpec,
    VlanSpec, nat_gateway,
};
pub use watch::Watch;
pub use xend_config::XendConfig;

/// The seam between the library and the kernel's sockets, for tests of what is built on it.
#[cfg(feature = "testing")]
pub use netlink::transport;
