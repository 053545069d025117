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
                                xenvnet vif attach VIF --bridge BRIDGE --disabled [OPTIONS]\n       \
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

/// Every argument of `vif attach` that says what a file would say.
const ALL_BUT_FILE: [&str; 11] =
    ["vif", "bridge", "mac", "ip", "dhcp", "no_link_local", "disabled", "unlocked", "name", "mtu", "isolated"];

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
    #[arg(long, conflicts_with_all = ["mac", "ip", "dhcp", "no_link_local", "disabled"])]
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
    #[arg(long, conflicts_with_all = ALL_BUT_FILE, value_name = "FILE.json")]
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
        let lock = if self.unlocked { Some(Lock::Unlocked) } else { self.lock.lock() };
        let lock = lock.ok_or_else(|| {
            let what = format!("attach {vif} to {bridge}");
            Failure::usage(what, "it is not said what the guest may send").advice(
                "give its --mac (and --ip, --dhcp), --disabled for a guest that may send nothing, \
                 or --unlocked for one that is trusted like dom0 itself",
            )
        })?;
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
        assert!(text.contains("Usage") && text.contains("--mac"), "{text}");
        assert!(text.contains("--disabled") && text.contains("--unlocked"), "{text}");
        let line = "xenvnet vif attach vif1.0 --bridge xenbr0 --unlocked";
        let open = Attachment::bridged("vif1.0".parse().unwrap(), "xenbr0".parse().unwrap(), Lock::Unlocked);
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(open)]);
        let both = "xenvnet vif attach vif1.0 --bridge xenbr0 --unlocked --mac 00:16:3e:00:00:01";
        assert_eq!(Cli::try_parse_from(both.split(' ')).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_guest_that_may_send_nothing() {
        let line = "xenvnet vif attach vif1.0 --bridge xenbr0 --disabled";
        let shut = Attachment::bridged("vif1.0".parse().unwrap(), "xenbr0".parse().unwrap(), Lock::Disabled);
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(shut)]);
        for more in ["--mac 00:16:3e:00:00:01", "--ip 10.0.0.2", "--dhcp", "--no-link-local", "--unlocked"] {
            let both = format!("{line} {more}");
            assert_eq!(Cli::try_parse_from(both.split(' ')).unwrap_err().exit_code(), 2, "{both}");
        }
    }

    #[test]
    fn link_local_is_in_the_lock_unless_taken_out() {
        let line = "xenvnet vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --no-link-local";
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).link_local(false);
        let wanted = Attachment::bridged("vif1.0".parse().unwrap(), "xenbr0".parse().unwrap(), lock);
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(wanted)]);
        assert!(operations("xenvnet vif attach vif1.0 --bridge xenbr0 --no-link-local").is_err(), "no MAC address");
        let both = "xenvnet vif attach vif1.0 --bridge xenbr0 --unlocked --no-link-local";
        assert_eq!(Cli::try_parse_from(both.split(' ')).unwrap_err().exit_code(), 2);
    }

    #[test]
    fn a_file_stands_alone() {
        assert!(Cli::try_parse_from("xenvnet --json vif attach --file vifs.json".split(' ')).is_ok());
        for more in ["vif1.0", "--bridge xenbr0", "--unlocked", "--disabled", "--no-link-local", "--mtu 1500", "--dhcp"]
        {
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
