//! `xenvnet vif`.

use crate::cli::{ip, net, value};
use crate::failure::{Failure, Result};
use crate::input;
use crate::verbs::lock::LockArgs;
use crate::verbs::spec::Dialect;
use clap::{ArgGroup, Args, Subcommand};
use std::net::IpAddr;
use std::path::PathBuf;
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{Attachment, Dom0, IfName, Lock, Masquerade, Operation, Port, VifDefaults, VifScript};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A vif is named, sized, locked, led to a bridge or dom0's routes, and up.
    #[command(
        override_usage = "xenvnet vif attach VIF --bridge BRIDGE|--route|--nat --mac MAC [--ip ADDR|CIDR]... [--dhcp] [OPTIONS]\n       \
                                xenvnet vif attach VIF --bridge BRIDGE|--route --disabled [OPTIONS]\n       \
                                xenvnet vif attach VIF --bridge BRIDGE|--route --unlocked [OPTIONS]\n       \
                                xenvnet vif attach VIF --spec 'mac=MAC,bridge=BRIDGE,ip=ADDR' [OPTIONS]\n       \
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

/// Every argument of `vif attach` that says what a file would say.
#[rustfmt::skip]
const ALL_BUT_FILE: [&str; 21] = [
    "vif", "spec", "bridge", "isolated", "untracked", "route", "gateway", "gateway_dev", "route_to", "dom0", "nat", "uplink",
    "mac", "ip", "dhcp", "no_link_local", "disabled", "unlocked", "name", "mtu", "accounted",
];

/// What a guest's configuration says itself, and what it cannot say.
#[rustfmt::skip]
const NOT_BESIDE_SPEC: [&str; 15] = [
    "isolated", "untracked", "route", "gateway", "route_to", "dom0", "nat",
    "mac", "ip", "dhcp", "no_link_local", "disabled", "unlocked", "name", "mtu",
];

/// What only bridges know stands beside neither of these.
const NOT_BRIDGED: [&str; 2] = ["route", "nat"];

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("to").args(["bridge", "route", "nat"]))]
#[command(group = ArgGroup::new("of_spec").args(["xm", "lenient", "script"]).multiple(true)
    .requires("spec").conflicts_with_all(NOT_BESIDE_SPEC))]
pub(crate) struct Attach {
    /// The interface, by the name that netback gave it.
    #[arg(required_unless_present = "file", value_parser = value::<IfName>)]
    vif: Option<IfName>,
    /// As a string of vif = [ ... ] in a guest's configuration says; `xenvnet spec` explains it.
    #[arg(long, value_name = "SPEC", conflicts_with_all = NOT_BESIDE_SPEC)]
    spec: Option<String>,
    #[command(flatten)]
    dialect: Dialect,
    /// With --spec: the vif script of guests that name none [default: vif-bridge].
    #[arg(long, value_name = "LINE", value_parser = value::<VifScript>)]
    script: Option<VifScript>,
    /// The bridge that it becomes a port of; with --spec, of guests that name none.
    #[arg(long, required_unless_present_any = ["route", "nat", "spec", "file"], value_parser = value::<IfName>)]
    bridge: Option<IfName>,
    /// Cut off from the other isolated ports of the bridge.
    #[arg(long, conflicts_with_all = NOT_BRIDGED)]
    isolated: bool,
    /// What is bridged from and to it stays out of dom0's table of connections.
    #[arg(long, conflicts_with_all = NOT_BRIDGED)]
    untracked: bool,
    /// No bridge: dom0 routes to it.
    #[arg(long)]
    route: bool,
    /// An address of dom0 on a routed vif, the guest's gateway; may be repeated.
    #[arg(long, value_name = "ADDR", conflicts_with = "bridge", value_parser = ip)]
    gateway: Vec<IpAddr>,
    /// The interface of dom0 whose addresses are a routed guest's gateways, where none is named
    /// [default: the uplink of the routed network that runs].
    #[arg(long, value_name = "DEV", conflicts_with_all = ["bridge", "gateway"], value_parser = value::<IfName>)]
    gateway_dev: Option<IfName>,
    /// What is routed to it; may be repeated [default: each --ip].
    #[arg(long, value_name = "NET", conflicts_with = "bridge", value_parser = net)]
    route_to: Vec<IpNetwork>,
    /// What a routed guest reaches on dom0: open, closed or services(dns,...) [default: open].
    #[arg(long, value_name = "ACCESS", conflicts_with = "bridge", value_parser = value::<Dom0>)]
    dom0: Option<Dom0>,
    /// Routed, and what is routed to it speaks to the outside with dom0's address, which
    /// `masquerade remove` takes back.
    #[arg(long)]
    nat: bool,
    /// With --nat: only what leaves by this interface.
    #[arg(long, value_name = "DEV", conflicts_with_all = ["bridge", "route"], value_parser = value::<IfName>)]
    uplink: Option<IfName>,
    #[command(flatten)]
    lock: LockArgs,
    /// No lock: for a guest that is trusted like dom0 itself.
    #[arg(long, conflicts_with_all = ["mac", "ip", "dhcp", "no_link_local", "disabled"])]
    unlocked: bool,
    /// The name that it gets.
    #[arg(long, value_name = "NEW", value_parser = value::<IfName>)]
    name: Option<IfName>,
    /// Its MTU in bytes [default: that of the bridge; routed: the one it has].
    #[arg(long, value_name = "BYTES")]
    mtu: Option<u32>,
    /// Its traffic is counted under the name that it gets, best its own (--name); see `xenvnet accounting`.
    #[arg(long)]
    accounted: bool,
    /// JSON: an attachment or a list of them, carried out in bulk, all or nothing; - for stdin.
    #[arg(long, conflicts_with_all = ALL_BUT_FILE, value_name = "FILE.json")]
    file: Option<PathBuf>,
}

impl Verb {
    pub(crate) fn operations(self) -> Result<Vec<Operation>> {
        match self {
            Verb::Attach(attach) => attach.operations(),
            Verb::Detach { vif } => Ok(vif.into_iter().map(|vif| Operation::DetachVif { vif }).collect()),
        }
    }
}

impl Attach {
    fn operations(self) -> Result<Vec<Operation>> {
        if let Some(file) = &self.file {
            let attachments = input::json(file, "attachment", Attachment::from_json)?;
            return Ok(attachments.into_iter().map(Operation::AttachVif).collect());
        }
        if let Some(spec) = &self.spec {
            return Ok(vec![Operation::AttachVif(self.configured(spec)?)]);
        }
        let (nat, uplink) = (self.nat, self.uplink);
        let attachment = self.attachment()?;
        let hidden = if nat { hidden(&attachment)? } else { Vec::new() };
        let masquerades = hidden.into_iter().map(|subnet| {
            let mut masquerade = Masquerade::new(subnet);
            masquerade.uplink = uplink;
            Operation::MasqueradeSubnet(masquerade)
        });
        Ok(std::iter::once(Operation::AttachVif(attachment)).chain(masquerades).collect())
    }

    fn interface(&self) -> Result<IfName> {
        self.vif.ok_or_else(|| Failure::usage("attach a vif", "VIF is wanted, or --file FILE.json"))
    }

    /// As the guest's configuration says.
    fn configured(&self, spec: &str) -> Result<Attachment> {
        let mut defaults = VifDefaults::new().script(self.script.clone().unwrap_or_default());
        defaults.bridge = self.bridge.unwrap_or(defaults.bridge);
        defaults.gateway_device = self.gateway_dev;
        let spec = self.dialect.read(spec)?;
        let attachment = spec.attachment(self.interface()?, &defaults, self.dialect.strictness())?;
        Ok(attachment.accounted(self.accounted))
    }

    fn attachment(self) -> Result<Attachment> {
        let vif = self.interface()?;
        let lock = if self.unlocked { Some(Lock::Unlocked) } else { self.lock.lock() };
        let lock = lock.ok_or_else(|| {
            let what = format!("attach {vif}");
            Failure::usage(what, "it is not said what the guest may send").advice(
                "give its --mac (and --ip, --dhcp), --disabled for a guest that may send nothing, \
                 or --unlocked for one that is trusted like dom0 itself",
            )
        })?;
        let mut attachment = match self.bridge {
            Some(bridge) => Attachment::bridged(vif, bridge, lock).isolated(self.isolated).untracked(self.untracked),
            None => {
                let routed = Attachment::routed(vif, lock).dom0(self.dom0.unwrap_or_default());
                let routed = self.gateway.into_iter().fold(routed, Attachment::gateway);
                let routed = self.gateway_dev.into_iter().fold(routed, Attachment::gateway_device);
                self.route_to.into_iter().fold(routed, Attachment::route)
            }
        };
        attachment.name = self.name;
        attachment.mtu = self.mtu;
        Ok(attachment.accounted(self.accounted))
    }
}

/// What is routed to a guest, to be hidden behind dom0's address.
fn hidden(attachment: &Attachment) -> Result<Vec<IpNetwork>> {
    let nets = match (&attachment.to, &attachment.lock) {
        (Port::Routed { routes, .. }, _) if !routes.is_empty() => routes.clone(),
        (_, Lock::Locked(lock)) => lock.ips.clone(),
        _ => Vec::new(),
    };
    if nets.is_empty() {
        let what = format!("attach {} to dom0's routes", attachment.vif);
        return Err(Failure::usage(what, "there is no address to hide behind dom0's")
            .advice("give the guest's --ip, or what is routed to it: --route-to"));
    }
    Ok(nets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;
    use xenvnet_core::Antispoof;

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
    fn a_routed_attachment() {
        let lock = || Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).ip("10.0.0.2".parse().unwrap());
        let vif = "vif1.0".parse().unwrap();
        let wanted = Attachment::routed(vif, lock())
            .gateway("10.0.0.1".parse().unwrap())
            .gateway("fe80::1".parse().unwrap())
            .route("10.1.0.0/24".parse().unwrap())
            .dom0("services(dns)".parse().unwrap());
        let line = "xenvnet vif attach vif1.0 --route --mac 00:16:3e:00:00:01 --ip 10.0.0.2";
        let all = format!("{line} --gateway 10.0.0.1 --gateway fe80::1 --route-to 10.1.0.0/24 --dom0 services(dns)");
        assert_eq!(operations(&all).unwrap(), [Operation::AttachVif(wanted)]);
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(Attachment::routed(vif, lock()))]);
        let by = Attachment::routed(vif, lock()).gateway_device("eth0".parse().unwrap());
        assert_eq!(operations(&format!("{line} --gateway-dev eth0")).unwrap(), [Operation::AttachVif(by)]);
    }

    #[test]
    fn nat_is_routed_and_hidden() {
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).ip("10.0.0.2".parse().unwrap());
        let attach = Operation::AttachVif(Attachment::routed("vif1.0".parse().unwrap(), lock));
        let hide = |net: &str| Masquerade::new(net.parse().unwrap());
        let line = "xenvnet vif attach vif1.0 --nat --mac 00:16:3e:00:00:01 --ip 10.0.0.2";
        let wanted = [attach.clone(), Operation::MasqueradeSubnet(hide("10.0.0.2"))];
        assert_eq!(operations(line).unwrap(), wanted);
        let by_card = hide("10.0.0.2").uplink("eth0".parse().unwrap());
        let wanted = [attach, Operation::MasqueradeSubnet(by_card)];
        assert_eq!(operations(&format!("{line} --uplink eth0")).unwrap(), wanted);
        let other = operations(&format!("{line} --route-to 10.1.0.0/24")).unwrap();
        assert_eq!(other[1..], [Operation::MasqueradeSubnet(hide("10.1.0.0/24"))]);
        let failure = operations("xenvnet vif attach vif1.0 --nat --unlocked").unwrap_err();
        assert!(format!("{failure:?}").contains("--route-to"), "{failure:?}");
    }

    #[test]
    fn it_leads_to_one_place() {
        let line = "xenvnet vif attach vif1.0 --unlocked";
        let refused = |more: &str| Cli::try_parse_from(format!("{line} {more}").split(' ')).unwrap_err().exit_code();
        for more in [
            "--bridge xenbr0 --route",
            "--bridge xenbr0 --nat",
            "--route --nat",
            "--bridge xenbr0 --gateway 10.0.0.1",
            "--bridge xenbr0 --gateway-dev eth0",
            "--route --gateway 10.0.0.1 --gateway-dev eth0",
            "--bridge xenbr0 --route-to 10.0.0.2",
            "--bridge xenbr0 --dom0 closed",
            "--route --isolated",
            "--nat --untracked",
            "--route --uplink eth0",
            "--gateway 10.0.0.1",
            "--isolated",
        ] {
            assert_eq!(refused(more), 2, "{more}");
        }
    }

    #[test]
    fn untracked_is_a_matter_of_bridges() {
        let line = "xenvnet vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --untracked";
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap());
        let wanted = Attachment::bridged("vif1.0".parse().unwrap(), "xenbr0".parse().unwrap(), lock).untracked(true);
        assert_eq!(operations(line).unwrap(), [Operation::AttachVif(wanted)]);
    }

    #[test]
    fn a_guests_configuration_and_the_hosts_defaults() {
        let vif = "vif1.0".parse().unwrap();
        let attach = |spec: &str, more: &str| {
            let line = ["xenvnet", "vif", "attach", "vif1.0", "--spec", spec].into_iter();
            match Cli::try_parse_from(line.chain(more.split_ascii_whitespace())).unwrap().verb {
                Top::Vif(verb) => verb.operations(),
                other => panic!("{other:?}"),
            }
        };
        let spec = "mac=00:16:3e:00:00:01, ip=10.98.98.2, vifname=web";
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).ip("10.98.98.2".parse().unwrap());
        let lock = lock.dhcp_client(true);
        let bridged = |bridge: &str| {
            let bridged = Attachment::bridged(vif, bridge.parse().unwrap(), lock.clone());
            vec![Operation::AttachVif(bridged.rename("web".parse().unwrap()))]
        };
        assert_eq!(attach(spec, "").unwrap(), bridged("xenbr0"));
        assert_eq!(attach(spec, "--bridge xenbr7").unwrap(), bridged("xenbr7"));
        assert_eq!(attach(&format!("{spec},bridge=own"), "--bridge xenbr7").unwrap(), bridged("own"));
        let routed = Attachment::routed(vif, lock.clone()).rename("web".parse().unwrap());
        let by = routed.clone().gateway_device("eth0".parse().unwrap());
        assert_eq!(attach(spec, "--script vif-route").unwrap(), [Operation::AttachVif(routed)]);
        let gateway = "--script vif-route --gateway-dev eth0";
        assert_eq!(attach(spec, gateway).unwrap(), [Operation::AttachVif(by)]);

        let mistyped = format!("{spec},iP=10.98.98.3");
        let failure = format!("{:?}", attach(&mistyped, "").unwrap_err());
        assert!(failure.contains("Usage") && failure.contains("did you mean"), "{failure}");
        assert_eq!(attach(&mistyped, "--lenient").unwrap(), bridged("xenbr0"));
        assert!(format!("{:?}", attach("type=netfront", "").unwrap_err()).contains("Usage"));
        assert!(attach("type=netfront,mac=00:16:3e:00:00:01", "--xm").is_ok());
        for more in ["--xm", "--lenient", "--script vif-nat", "--unlocked --xm", "--route --script vif-nat"] {
            let line = format!("xenvnet vif attach vif1.0 --bridge xenbr0 {more}");
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
        for option in NOT_BESIDE_SPEC {
            let option = format!("--{}", option.replace('_', "-"));
            let line = ["xenvnet", "vif", "attach", "vif1.0", "--spec", "", &option];
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2, "{option}");
        }
    }

    #[test]
    fn a_file_stands_alone() {
        assert!(Cli::try_parse_from("xenvnet --json vif attach --file vifs.json".split(' ')).is_ok());
        for more in [
            "vif1.0",
            "--bridge xenbr0",
            "--route",
            "--nat",
            "--unlocked",
            "--disabled",
            "--no-link-local",
            "--mtu 1500",
            "--dhcp",
            "--gateway 10.0.0.1",
            "--dom0 closed",
            "--untracked",
        ] {
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
