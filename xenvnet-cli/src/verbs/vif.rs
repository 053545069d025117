//! `xenvnet vif`.

use crate::cli::{net, value};
use crate::failure::{Failure, Result};
use crate::verbs::plan::read;
use clap::{Args, Subcommand};
use std::path::PathBuf;
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{Antispoof, Attachment, IfName, Lock, MacAddr, Operation};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A vif is named, sized, locked, enslaved and up.
    #[command(
        override_usage = "xenvnet vif attach VIF --bridge BRIDGE --mac MAC [--ip ADDR|CIDR]... [--dhcp] [OPTIONS]\n       \
                                xenvnet vif attach VIF --bridge BRIDGE --unlocked [OPTIONS]\n       \
                                xenvnet vif attach --file FILE.json"
    )]
    Attach(Box<Attach>),
    /// A vif is down, off its bridge, its lock gone. It may have vanished already.
    Detach {
        /// The interfaces.
        #[arg(required = true, value_parser = value::<IfName>)]
        vif: Vec<IfName>,
    },
}

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
}

impl LockArgs {
    /// The lock, unless no MAC address was given: there is none without.
    pub(crate) fn antispoof(self) -> Option<Antispoof> {
        let mut lock = Antispoof::new(*self.mac.first()?).dhcp_client(self.dhcp);
        lock.macs = self.mac;
        lock.ips = self.ip;
        Some(lock)
    }
}

#[derive(Args, Debug)]
pub(crate) struct Attach {
    /// The interface, by the name that netback gave it.
    #[arg(required_unless_present = "file", value_parser = value::<IfName>)]
    vif: Option<IfName>,
    /// The bridge that it becomes a port of.
    #[arg(long, required_unless_present = "file", value_parser = value::<IfName>)]
    bridge: Option<IfName>,
    #[command(flatten)]
    lock: LockArgs,
    /// No lock: for a guest that is trusted like dom0 itself.
    #[arg(long, conflicts_with_all = ["mac", "ip", "dhcp"])]
    unlocked: bool,
    /// The name that it gets.
    #[arg(long, value_name = "NEW", value_parser = value::<IfName>)]
    name: Option<IfName>,
    /// Its MTU in bytes [default: that of the bridge].
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// Cut off from the other isolated ports of the bridge.
    #[arg(long)]
    isolated: bool,
    /// JSON: an attachment or a list of them, carried out in bulk, all or nothing; - for stdin.
    #[arg(long, conflicts_with_all = ["vif", "bridge", "mac", "ip", "dhcp", "unlocked", "name", "mtu", "isolated"], value_name = "FILE.json")]
    file: Option<PathBuf>,
}

impl Verb {
    pub(crate) fn operations(self) -> Result<Vec<Operation>> {
        match self {
            Verb::Attach(attach) => {
                let attachments = attach.attachments()?;
                Ok(attachments.into_iter().map(Operation::AttachVif).collect())
            }
            Verb::Detach { vif } => Ok(vif.into_iter().map(|vif| Operation::DetachVif { vif }).collect()),
        }
    }
}

impl Attach {
    fn attachments(self) -> Result<Vec<Attachment>> {
        let (vif, bridge) = match (self.file, self.vif, self.bridge) {
            (Some(file), ..) => return read(&file, "attachment", Attachment::from_json),
            (None, Some(vif), Some(bridge)) => (vif, bridge),
            _ => return Err(Failure::usage("attach a vif", "VIF and --bridge BRIDGE are wanted, or --file FILE.json")),
        };
        let lock = match (self.unlocked, self.lock.antispoof()) {
            (false, Some(antispoof)) => Lock::from(antispoof),
            (true, _) => Lock::Unlocked,
            (false, None) => {
                let what = format!("attach {vif} to {bridge}");
                return Err(Failure::usage(what, "it is not said what the guest may send").advice(
                    "give its --mac (and --ip, --dhcp), or --unlocked for a guest that is trusted like dom0 itself",
                ));
            }
        };
        let mut attachment = Attachment::bridged(vif, bridge, lock).isolated(self.isolated);
        attachment.name = self.name;
        attachment.mtu = self.mtu;
        Ok(vec![attachment])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;

    fn operations(line: &str) -> Result<Vec<Operation>> {
        match Cli::try_parse_from(line.split(' ')).unwrap().verb {
            Top::Vif(verb) => verb.operations(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_locked_attachment() {
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap())
            .mac("00:16:3e:00:00:02".parse().unwrap())
            .ip("10.98.98.2".parse().unwrap())
            .ip("2001:db8::/64".parse().unwrap())
            .dhcp_client(true);
        let wanted = Attachment::bridged("vif1.0".parse().unwrap(), "xenbr0".parse().unwrap(), lock)
            .rename("web".parse().unwrap())
            .mtu(9000)
            .isolated(true);
        let line = "xenvnet vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --mac 00:16:3e:00:00:02 \
                    --ip 10.98.98.2 --ip 2001:db8::/64 --dhcp --name web --mtu 9000 --isolated";
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(wanted)]);
    }

    #[test]
    fn no_lock_has_to_be_asked_for() {
        let failure = operations("xenvnet vif attach vif1.0 --bridge xenbr0 --ip 10.0.0.2").unwrap_err();
        let text = format!("{failure:?}");
        assert!(text.contains("Usage") && text.contains("--mac") && text.contains("--unlocked"), "{text}");
        let line = "xenvnet vif attach vif1.0 --bridge xenbr0 --unlocked";
        let open = Attachment::bridged("vif1.0".parse().unwrap(), "xenbr0".parse().unwrap(), Lock::Unlocked);
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(open)]);
        let both = "xenvnet vif attach vif1.0 --bridge xenbr0 --unlocked --mac 00:16:3e:00:00:01";
        assert_eq!(Cli::try_parse_from(both.split(' ')).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_file_stands_alone() {
        assert!(Cli::try_parse_from("xenvnet --json vif attach --file vifs.json".split(' ')).is_ok());
        for more in ["vif1.0", "--bridge xenbr0", "--unlocked", "--mtu 1500", "--dhcp"] {
            let line = format!("xenvnet vif attach --file vifs.json {more}");
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
        assert!(Cli::try_parse_from("xenvnet vif attach vif1.0".split(' ')).is_err(), "no bridge");
    }

    #[test]
    fn several_are_detached_at_once() {
        let all = operations("xenvnet vif detach vif1.0 vif2.0").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[1], Operation::DetachVif { vif: "vif2.0".parse().unwrap() });
        assert!(Cli::try_parse_from(["xenvnet", "vif", "detach"]).is_err());
    }
}
