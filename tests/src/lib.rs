//! Harness of the kernel tests: a host and its guests in network namespaces of their own, frames
//! made byte by byte, and oracles that are not the library.
//!
//! What a test claims is compared with `ip -j -d`, `bridge -j` and `nft`, and with traffic that
//! arrives or does not; the library's own snapshot is never the only witness.
#![forbid(unsafe_code)]

mod clocked;
mod crowd;
mod dhcp;
mod dom0;
mod dump;
mod flood;
mod frame;
mod holdings;
mod image;
mod learning;
mod liar;
mod meddling;
mod netns;
mod network_root;
mod oracle;
mod pace;
mod path;
mod ping;
mod register;
mod rerun;
mod site;
mod socket;
mod stream;
mod tally;
mod traffic;
mod transfer;
mod uname;
mod witness;

pub use clocked::Clocked;
pub use crowd::{Call, Member, act_at_once, word};
pub use dhcp::{DhcpClient, DhcpLease};
pub use dom0::{Dom0, FakeVif, StateDir};
pub use dump::Dump;
pub use flood::{Flood, Taken};
pub use frame::{Frame, Ip4, Ip6, Transport, arp, arp_with, ether, icmp4, icmp6, nd_option, tagged, tcp, udp};
pub use holdings::Holdings;
pub use image::Image;
pub use learning::Learning;
pub use liar::Liar;
pub use meddling::{Deed, Meddling};
pub use netns::{Namespace, Netns};
pub use network_root::with_network_root;
pub use oracle::{
    bridge_json, has_program, ip, ip_json, nft, nft_json, nft_ruleset, program, run_attach_once, sysctl, sysctl_set,
};
pub use path::{Arrivals, Path};
pub use ping::{Pings, answers};
pub use rerun::rerun;
pub use site::{Site, Talk, UPLINK_MAC};
pub use socket::{RawSocket, hears, hears_from};
pub use stream::{Refusals, Stream, Tidings};
pub use tally::{Count, Tally};
pub use traffic::{Account, Mark, Traffic};
pub use transfer::{Transfer, Transferred};
pub use uname::OldKernel;
pub use witness::Witness;
