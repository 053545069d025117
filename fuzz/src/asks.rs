//! What a host is asked for, one after the other: a story that `examples/record.rs` has a real kernel
//! answer, and of which the target `netlink` picks one line.

use crate::{is_tame, travels};
use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, Bridge, Host, IfName, Lock, MacAddr, Operation, Result};

/// One line of the story.
#[derive(Clone, Debug)]
pub enum Ask {
    /// All that a host holds.
    Snapshot,
    /// Whether it is what was asked for.
    Verify,
    /// That it be made so again.
    Repair,
    /// Whether the card has its carrier.
    Carrier,
    /// One operation.
    Run(Box<Operation>),
}

/// The card that networks are made on.
pub const CARD: &str = "eth0";
/// What netback made.
pub const VIFS: [&str; 3] = ["vif1.0", "vif1.0-emu", "vif2.0"];

fn name(name: &str) -> IfName {
    name.parse().expect("a name")
}

fn lock(last: u8) -> Lock {
    let prefix = |text: &str| text.parse().expect("a prefix");
    let lock = Antispoof::new(MacAddr::new([0, 0x16, 0x3e, 0, 0, last])).ip(prefix(&format!("10.98.98.{last}")));
    lock.ip(prefix("fd00::2")).ip(prefix("10.97.0.0/16")).dhcp_client(true).into()
}

/// All of it, in an order in which each can be done.
pub fn story() -> Vec<Ask> {
    let network = |line: &str| line.parse().expect("a network line");
    let run = |operation: Operation| Ask::Run(Box::new(operation));
    let start = |line: &str| run(Operation::StartNetwork(network(line)));
    let stop = |line: &str| run(Operation::StopNetwork(network(line)));
    let attach = |attachment: Attachment| run(Operation::AttachVif(attachment));
    let bridge = name("xenbr0");
    let forward: xenvnet_core::Forward = "tcp:80 to 10.98.98.2:80".parse().expect("a forward");
    let access = "services(dns,icmp)".parse().expect("what guests reach");
    let masquerade: xenvnet_core::Masquerade = "10.98.98.0/24 via eth0".parse().expect("a masquerade");
    vec![
        run(Operation::MasqueradeSubnet(masquerade.clone())),
        Ask::Verify,
        Ask::Repair,
        Ask::Carrier,
        run(Operation::CreateBridge(Bridge::new(bridge).address("10.98.98.1/24".parse().expect("a prefix")))),
        attach(Attachment::bridged(name(VIFS[0]), bridge, lock(2)).rename(name("web")).accounted(true)),
        run(Operation::SetAntispoof { vif: name("web"), lock: lock(4) }),
        attach(Attachment::bridged(name(VIFS[1]), bridge, lock(2)).untracked(true)),
        attach(Attachment::routed(name(VIFS[2]), lock(3)).gateway("10.98.98.1".parse().expect("an address"))),
        run(Operation::SetDom0 { interface: bridge, access }),
        run(Operation::ForwardPort(forward.clone())),
        Ask::Snapshot,
        run(Operation::UnforwardPort { port: forward.port }),
        run(Operation::ClearAntispoof { vif: name(VIFS[2]) }),
        run(Operation::DetachVif { vif: name("web") }),
        run(Operation::ForgetAccount { name: name("web") }),
        run(Operation::ReleaseVif { vif: name(VIFS[1]) }),
        run(Operation::EnslaveVif { vif: name(VIFS[1]), bridge }),
        run(Operation::DeleteBridge { bridge }),
        run(Operation::UnmasqueradeSubnet(masquerade)),
        start("network-nat netdev=eth0 subnet=10.98.98.0/24"),
        stop("network-nat netdev=eth0 subnet=10.98.98.0/24"),
        start("network-bridge netdev=eth0 bridge=xenbr1"),
        stop("network-bridge netdev=eth0 bridge=xenbr1"),
    ]
}

impl Ask {
    /// A word for it.
    pub fn name(&self) -> &str {
        match self {
            Ask::Snapshot => "snapshot",
            Ask::Verify => "verify",
            Ask::Repair => "repair",
            Ask::Carrier => "carrier",
            Ask::Run(operation) => operation.verb(),
        }
    }

    /// Asked of a host: whatever it answers can be printed and sent, and whatever is wrong can be told.
    pub fn put_to(&self, host: &Host) {
        if let Err(error) = self.try_put_to(host) {
            is_tame(&error);
        }
    }

    /// The same, for whoever wants to know.
    ///
    /// # Errors
    /// The host's.
    pub fn try_put_to(&self, host: &Host) -> Result<()> {
        match self {
            Ask::Snapshot => travels(&host.snapshot()?),
            Ask::Verify => travels(&host.verify()?),
            Ask::Repair => travels(&host.repair()?),
            Ask::Carrier => drop(host.wait_for_carrier(name(CARD), Duration::ZERO)?),
            Ask::Run(operation) => drop(host.run(operation)?),
        }
        Ok(())
    }
}
