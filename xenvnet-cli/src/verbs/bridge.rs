//! `xenvnet bridge`.

use crate::cli::{net, value};
use clap::Subcommand;
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{Bridge, IfName, MacAddr, Operation};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A bridge is there, has these settings and addresses, and is up.
    Create {
        /// The bridge.
        #[arg(value_parser = value::<IfName>)]
        name: IfName,
        /// An address of dom0 on it, with its prefix length; may be repeated.
        #[arg(long, value_name = "CIDR", value_parser = net)]
        address: Vec<IpNetwork>,
        /// Its MTU in bytes.
        #[arg(long, value_name = "BYTES")]
        mtu: Option<u32>,
        /// Take part in the spanning tree protocol.
        #[arg(long)]
        stp: bool,
        /// Its MAC address [default: always the same for this name on this host].
        #[arg(long, value_parser = value::<MacAddr>)]
        mac: Option<MacAddr>,
    },
    /// A bridge is not there; its ports are released.
    Delete {
        /// The bridge.
        #[arg(value_parser = value::<IfName>)]
        name: IfName,
    },
    /// An interface is a port of a bridge.
    Enslave {
        /// The bridge.
        #[arg(value_parser = value::<IfName>)]
        bridge: IfName,
        /// The interface.
        #[arg(value_parser = value::<IfName>)]
        dev: IfName,
    },
    /// An interface is a port of no bridge.
    Release {
        /// The interface.
        #[arg(value_parser = value::<IfName>)]
        dev: IfName,
    },
}

impl Verb {
    pub(crate) fn operation(self) -> Operation {
        match self {
            Verb::Create { name, address, mtu, stp, mac } => {
                let mut bridge = Bridge::new(name).stp(stp);
                bridge.addresses = address;
                bridge.mtu = mtu;
                bridge.mac = mac;
                Operation::CreateBridge(bridge)
            }
            Verb::Delete { name } => Operation::DeleteBridge { bridge: name },
            Verb::Enslave { bridge, dev } => Operation::EnslaveVif { vif: dev, bridge },
            Verb::Release { dev } => Operation::ReleaseVif { vif: dev },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;

    fn operation(line: &str) -> Operation {
        match Cli::try_parse_from(line.split(' ')).unwrap().verb {
            Top::Bridge(verb) => verb.operation(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn all_that_a_bridge_can_be_given() {
        let line = "xenvnet bridge create br0 --address 10.0.0.1/24 --address 2001:db8::1/64 --mtu 9000 --stp \
                    --mac 02:00:00:00:00:01";
        let bridge = Bridge::new("br0".parse().unwrap())
            .address("10.0.0.1/24".parse().unwrap())
            .address("2001:db8::1/64".parse().unwrap())
            .mtu(9000)
            .stp(true)
            .mac("02:00:00:00:00:01".parse().unwrap());
        assert_eq!(operation(line), Operation::CreateBridge(bridge));
    }

    #[test]
    fn the_bridge_comes_before_its_port() {
        let (vif, bridge) = ("vif1.0".parse().unwrap(), "br0".parse().unwrap());
        assert_eq!(operation("xenvnet bridge enslave br0 vif1.0"), Operation::EnslaveVif { vif, bridge });
        assert_eq!(operation("xenvnet bridge release vif1.0"), Operation::ReleaseVif { vif });
        assert_eq!(operation("xenvnet bridge delete br0"), Operation::DeleteBridge { bridge });
    }
}
