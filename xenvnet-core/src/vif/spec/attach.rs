//! From what a guest asks for to what is attached.

use super::{Strictness, VifSpec};
use crate::antispoof::{Antispoof, Lock};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::vif::nat_address::nat_gateway;
use crate::vif::{Attachment, VifId, VifScript};
use ipnetwork::IpNetwork;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What holds for guests that do not say: a host's `vif.default.*` of xl.conf, or `vif-script` of
/// xend's configuration.
///
/// ```
/// use xenvnet_core::{VifDefaults, VifScript};
/// let defaults = VifDefaults::new().bridge("xenbr1".parse()?);
/// assert_eq!(defaults.script, VifScript::Bridge { bridge: None });
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VifDefaults {
    /// The script of guests that ask for none.
    #[doc(alias = "vif.default.script")]
    pub script: VifScript,
    /// The bridge of guests that name none, where the script names none either.
    #[doc(alias = "vif.default.bridge")]
    pub bridge: IfName,
    /// The interface whose addresses are the gateways of vif-route's guests, where neither guest nor
    /// script names one; without one, the uplink of the routed network that runs.
    #[doc(alias = "vif.default.gatewaydev")]
    pub gateway_device: Option<IfName>,
}

impl VifDefaults {
    /// Those of Xen: vif-bridge and xenbr0; no gateway.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifDefaults::new().bridge.as_str(), "xenbr0");
    /// ```
    pub fn new() -> VifDefaults {
        let bridge = IfName::new("xenbr0").unwrap_or_else(|_| unreachable!("xenbr0 is a name"));
        VifDefaults { script: VifScript::default(), bridge, gateway_device: None }
    }

    /// With this script.
    ///
    /// ```
    /// # use xenvnet_core::VifDefaults;
    /// assert_ne!(VifDefaults::new().script("vif-nat".parse()?), VifDefaults::new());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn script(mut self, script: VifScript) -> VifDefaults {
        self.script = script;
        self
    }

    /// With this bridge.
    ///
    /// ```
    /// # use xenvnet_core::VifDefaults;
    /// assert_eq!(VifDefaults::new().bridge("br0".parse()?).bridge.as_str(), "br0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn bridge(mut self, bridge: IfName) -> VifDefaults {
        self.bridge = bridge;
        self
    }

    /// With the addresses of this interface as gateways of vif-route's guests.
    ///
    /// ```
    /// # use xenvnet_core::VifDefaults;
    /// assert!(VifDefaults::new().gateway_device("eth0".parse()?).gateway_device.is_some());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn gateway_device(mut self, device: IfName) -> VifDefaults {
        self.gateway_device = Some(device);
        self
    }
}

impl Default for VifDefaults {
    fn default() -> VifDefaults {
        VifDefaults::new()
    }
}

/// How dom0 is named where a backend is.
const DOM0: [&str; 2] = ["0", "Domain-0"];

impl VifSpec {
    /// What it asks for and nobody here can see to, as `KEY=VALUE`: VLANs, Open vSwitch's bridges,
    /// COLO, a script that is none of Xen's three, a backend that is another domain.
    ///
    /// Not what others see to, by what the toolstack tells them: netback holds a guest to `rate=`
    /// (the node `rate` of the vif's backend in xenstore), QEMU makes the `model=`.
    ///
    /// ```
    /// let spec: xenvnet_core::VifSpec = "bridge=ovs0:20,vlan=7,rate=1MB/s".parse()?;
    /// assert_eq!(spec.unenforceable(), ["vlan=7", "bridge=ovs0:20"]);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn unenforceable(&self) -> Vec<String> {
        let script = self.script.as_ref().filter(|_| self.known_script().is_some_and(|script| script.is_err()));
        let backend = self.backend.as_ref().filter(|domain| !DOM0.contains(&domain.as_str()));
        let said = [
            self.vlan.as_ref().map(|vlan| format!("vlan={vlan}")),
            self.ovs_bridge.as_ref().map(|bridge| format!("bridge={bridge}")),
            script.map(|script| format!("script={script}")),
            backend.map(|domain| format!("backend={domain}")),
        ];
        let colo = self.others.iter().filter(|(key, _)| super::keys::COLO.contains(&key.as_str()));
        said.into_iter().flatten().chain(colo.map(|(key, value)| format!("{key}={value}"))).collect()
    }

    /// What is to be attached for this interface, by its present name (`vif1.0`, `vif1.0-emu`).
    ///
    /// The script says where it leads: a bridge, or dom0's routes. The lock follows from what is
    /// said of addresses: with `mac=` and `ip=` nothing else leaves; with `mac=` alone any address
    /// of IPv4 and IPv6 does, from this MAC; with neither, it is [`Lock::Unlocked`]. A DHCP client
    /// is always let through, as with Xen's scripts. For vif-nat without `ip=` the address is
    /// [`VifId::nat_address`], and the gateway [`nat_gateway`].
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`], if strict, for what is [`unenforceable`](VifSpec::unenforceable);
    /// if lenient, it is left out, and a bridge of Open vSwitch is taken for a Linux bridge of its
    /// name. [`ErrorKind::InvalidArgument`] for `ip=` without `mac=`, for a routed guest without
    /// either, and what [`Attachment::validate`] refuses.
    ///
    /// ```
    /// use xenvnet_core::{Lock, Strictness, VifDefaults, VifSpec};
    /// let spec: VifSpec = "mac=00:16:3e:00:00:01,ip=10.98.98.2,vifname=web".parse()?;
    /// let attachment = spec.attachment("vif1.0".parse()?, &VifDefaults::new(), Strictness::Strict)?;
    /// assert_eq!((attachment.to.to_string().as_str(), attachment.final_name().as_str()), ("xenbr0", "web"));
    /// let Lock::Locked(lock) = attachment.lock else { panic!() };
    /// assert_eq!(lock.to_string(), "mac=00:16:3e:00:00:01 ip=10.98.98.2 dhcp");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn attachment(&self, vif: IfName, defaults: &VifDefaults, strictness: Strictness) -> Result<Attachment> {
        let unenforceable = self.unenforceable();
        if strictness == Strictness::Strict && !unenforceable.is_empty() {
            let why = format!("this version cannot see to {}", unenforceable.join(", "));
            return Err(Error::cannot(ErrorKind::Unsupported, format!("attach {vif}"), why)
                .with_advice("take it out of the vif's configuration"));
        }
        let mut attachment = match self.script_or(&defaults.script) {
            VifScript::Bridge { bridge } => {
                let ovs = self.ovs_bridge.as_ref().map(|bridge| bridge.name.parse::<IfName>());
                let ovs = ovs.transpose().map_err(|error| error.doing(format!("attach {vif}")))?;
                let bridge = self.bridge.or(ovs).or(bridge).unwrap_or(defaults.bridge);
                match (self.mac, &self.ips[..]) {
                    (None, []) => Attachment::bridged(vif, bridge, Lock::Unlocked),
                    _ => Attachment::bridged(vif, bridge, self.lock(vif, any_address())?),
                }
            }
            VifScript::Route { netdev } => {
                let routed = Attachment::routed(vif, self.lock(vif, Vec::new())?);
                let device = self.gateway_device.or(netdev).or(defaults.gateway_device);
                device.into_iter().fold(routed, Attachment::gateway_device)
            }
            VifScript::Nat { .. } => {
                let numbered = vif.as_str().parse::<VifId>().map(|id| IpAddr::V4(id.nat_address().ip()).into());
                let lock = self.lock(vif, numbered.into_iter().collect())?;
                let gateway = lock.ips.iter().find_map(|net| match net {
                    IpNetwork::V4(net) if net.prefix() == 32 => Some(nat_gateway(net.ip()).into()),
                    _ => None,
                });
                gateway.into_iter().fold(Attachment::routed(vif, lock), Attachment::gateway)
            }
        };
        attachment.name = match self.name {
            Some(name) if vif.is_emulated() && !name.is_emulated() => name.twin(),
            name => name,
        };
        attachment.mtu = self.mtu;
        attachment.validate()?;
        Ok(attachment)
    }

    /// What it may send from, where no addresses are given these.
    fn lock(&self, vif: IfName, otherwise: Vec<IpNetwork>) -> Result<Antispoof> {
        let refuse = |why: &str| Error::cannot(ErrorKind::InvalidArgument, format!("attach {vif}"), why);
        let mac = self.mac.ok_or_else(|| {
            refuse("it has no mac= that it could be held to")
                .with_advice("give it the MAC address that the toolstack wrote to xenstore")
        })?;
        let ips = if self.ips.is_empty() { otherwise } else { self.ips.clone() };
        match ips.is_empty() {
            true => Err(refuse("nothing is said that could be routed to it").with_advice("give it ip=")),
            false => Ok(Antispoof { ips, ..Antispoof::new(mac).dhcp_client(true) }),
        }
    }

    /// The script that is asked for, as far as it is known here.
    fn script_or(&self, default: &VifScript) -> VifScript {
        match self.known_script() {
            Some(Ok(script)) => script,
            _ if self.ovs_bridge.is_some() => VifScript::default(),
            _ => default.clone(),
        }
    }
}

/// Every address there is, of both families.
fn any_address() -> Vec<IpNetwork> {
    let every = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    every.into_iter().filter_map(|ip| IpNetwork::new(ip, 0).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAC: &str = "mac=00:16:3e:00:00:01";

    fn attach(vif: &str, spec: &str, defaults: &VifDefaults, strictness: Strictness) -> Result<Attachment> {
        spec.parse::<VifSpec>().unwrap().attachment(vif.parse().unwrap(), defaults, strictness)
    }

    fn shown(attachment: Result<Attachment>) -> String {
        match attachment {
            Ok(Attachment { lock: Lock::Locked(lock), to, .. }) => format!("{to} {lock} {}", gateways(&to)),
            Ok(Attachment { lock, to, .. }) => format!("{to} {lock:?}"),
            Err(error) => error.to_string(),
        }
    }

    fn gateways(to: &crate::vif::Port) -> String {
        match to {
            crate::vif::Port::Routed { gateway_device: Some(device), .. } => device.to_string(),
            crate::vif::Port::Routed { gateways, .. } => format!("{gateways:?}"),
            _ => String::new(),
        }
    }

    #[test]
    fn the_lock_follows_from_the_addresses() {
        let defaults = VifDefaults::new().gateway_device("eth7".parse().unwrap());
        for (spec, expected) in [
            ("", "xenbr0 Unlocked".to_owned()),
            ("mac=M", "xenbr0 M ip=0.0.0.0/0,::/0 dhcp ".to_owned()),
            ("mac=M,ip=10.0.0.1 2001:db8::/64", "xenbr0 M ip=10.0.0.1,2001:db8::/64 dhcp ".to_owned()),
            ("ip=10.0.0.1", "cannot attach vif300.1: it has no mac= that it could be held to".to_owned()),
            ("mac=M,ip=10.0.0.1,script=vif-route", "dom0's routes M ip=10.0.0.1 dhcp eth7".to_owned()),
            ("mac=M,ip=10.0.0.1,script=vif-route,gatewaydev=eth1", "dom0's routes M ip=10.0.0.1 dhcp eth1".to_owned()),
            ("mac=M,script=vif-route", "cannot attach vif300.1: nothing is said that could be routed to it".to_owned()),
            ("script=vif-nat", "cannot attach vif300.1: it has no mac= that it could be held to".to_owned()),
            ("mac=M,script=vif-nat", "dom0's routes M ip=10.1.44.2 dhcp [10.1.44.129]".to_owned()),
            ("mac=M,ip=10.0.0.200,script=vif-nat", "dom0's routes M ip=10.0.0.200 dhcp [10.0.0.73]".to_owned()),
        ] {
            let spec = spec.replace("mac=M", MAC);
            let shown = shown(attach("vif300.1", &spec, &defaults, Strictness::Strict));
            assert_eq!(shown, expected.replace(" M ", &format!(" {MAC} ")), "{spec}");
        }
    }

    #[test]
    fn the_nearest_bridge_counts() {
        let defaults =
            VifDefaults::new().script("vif-bridge bridge=host".parse().unwrap()).bridge("last".parse().unwrap());
        for (spec, bridge) in [
            ("bridge=own", "own"),
            ("bridge=own.5,script=vif-bridge", "own.5"),
            ("", "host"),
            ("script=vif-bridge", "last"),
            ("script=/etc/xen/scripts/vif-bridge", "last"),
        ] {
            let attachment = attach("vif1.0", spec, &defaults, Strictness::Strict).unwrap();
            assert_eq!(attachment.to.to_string(), bridge, "{spec}");
        }
    }

    #[test]
    fn what_nobody_sees_to_is_refused_unless_leniency_is_asked_for() {
        for spec in [
            "vlan=7",
            "bridge=ovs0:1:2",
            "bridge=ovs0.5,script=vif-openvswitch",
            "script=my-script",
            "forwarddev=eth1",
            "colo_checkpoint_port=9000",
            "backend=netvm",
        ] {
            let error = attach("vif1.0", spec, &VifDefaults::new(), Strictness::Strict).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported, "{spec}");
            assert!(error.to_string().starts_with("cannot attach vif1.0: this version cannot see to "), "{error}");
            let bridge = if spec.contains("ovs0") { "ovs0" } else { "xenbr0" };
            let attachment = attach("vif1.0", spec, &VifDefaults::new(), Strictness::Lenient).unwrap();
            assert_eq!(attachment.to.to_string(), bridge, "{spec}");
        }
        let others = "rate=1MB/s,backend=Domain-0,model=e1000,type=ioemu,devid=3,untrusted,accel=x";
        assert!(attach("vif1.0", others, &VifDefaults::new(), Strictness::Strict).is_ok());
    }

    #[test]
    fn both_ports_of_a_card_are_named() {
        for (vif, name) in [("vif1.0", "web"), ("vif1.0-emu", "web-emu")] {
            let attachment = attach(vif, "vifname=web,mtu=9000", &VifDefaults::new(), Strictness::Strict).unwrap();
            assert_eq!((attachment.final_name().as_str(), attachment.mtu), (name, Some(9000)));
        }
    }

    proptest! {
        #[test]
        fn who_says_an_address_is_held_to_it(
            parts in prop::sample::subsequence(
                vec![MAC, "ip=10.0.0.1 2001:db8::/64", "bridge=b", "bridge=ovs:1", "vlan=7", "mtu=9000", "vifname=web"],
                0..=7,
            ),
            script in prop::sample::select(vec!["vif-bridge", "vif-route", "vif-nat", "mine", "vif-openvswitch"]),
            vif in prop::sample::select(vec!["vif1.0", "vif1.0-emu", "eth7"]),
        ) {
            let (spec, _) = VifSpec::from_xl(&format!("{},script={script}", parts.join(",")), Strictness::Lenient).unwrap();
            let attached = spec.attachment(vif.parse().unwrap(), &VifDefaults::new(), Strictness::Lenient);
            let says_nothing = spec.mac.is_none() && spec.ips.is_empty();
            if let Ok(attachment) = attached {
                prop_assert_eq!(attachment.lock == Lock::Unlocked, says_nothing);
                prop_assert!(attachment.validate().is_ok());
            }
        }
    }
}
