//! What a toolstack asks for: a vif with its name, its lock, and where it leads.

use super::VifId;
use crate::antispoof::Lock;
use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// As many as fit the comment that remembers them (see `guard::COMMENT_MAX`).
const UNTRACKED_MACS_MAX: usize = 12;

/// Where an attached vif leads.
///
/// ```
/// use xenvnet_core::Port;
/// let port = Port::bridge("xenbr0".parse()?);
/// assert_eq!(port.to_string(), "xenbr0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Port {
    /// A port of a bridge that exists.
    #[non_exhaustive]
    Bridge {
        /// The bridge's name.
        bridge: IfName,
        /// Whether it is cut off from the other isolated ports of that bridge.
        #[serde(default)]
        isolated: bool,
        /// Whether dom0 leaves its bridged packets out of its table of connections; see
        /// [`Untracked`](crate::Untracked).
        #[serde(default, skip_serializing_if = "is_no")]
        #[doc(alias = "NOTRACK")]
        untracked: bool,
    },
    /// No bridge: dom0 routes to it. Held where its frames come in.
    #[non_exhaustive]
    Routed {
        /// Dom0's addresses on the interface, the guest's gateways: each is added by itself, without
        /// a subnet, but IPv6 link-local ones with their /64.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gateways: Vec<IpAddr>,
        /// Where no gateway is named: the interface whose addresses dom0 has on this one too; without
        /// one, the uplink of the routed network that runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[doc(alias = "gatewaydev")]
        gateway_device: Option<IfName>,
        /// What is routed to it; where nothing is said, the addresses and prefixes of its lock.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        routes: Vec<IpNetwork>,
        /// What it reaches on dom0 itself.
        #[serde(default, skip_serializing_if = "is_open")]
        dom0: Dom0,
    },
}

fn is_no(yes: &bool) -> bool {
    !yes
}

fn is_open(access: &Dom0) -> bool {
    *access == Dom0::Open
}

impl Port {
    /// A port of this bridge, not isolated.
    ///
    /// ```
    /// use xenvnet_core::Port;
    /// assert!(matches!(Port::bridge("xenbr0".parse()?), Port::Bridge { isolated: false, .. }));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn bridge(bridge: IfName) -> Port {
        Port::Bridge { bridge, isolated: false, untracked: false }
    }

    /// Routed by dom0.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Port::routed().to_string(), "dom0's routes");
    /// ```
    pub fn routed() -> Port {
        Port::Routed { gateways: Vec::new(), gateway_device: None, routes: Vec::new(), dom0: Dom0::Open }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Port::Bridge { bridge, .. } => bridge.fmt(f),
            Port::Routed { .. } => f.write_str("dom0's routes"),
        }
    }
}

/// Whether a guest's addresses are this host's to announce.
///
/// ```
/// assert_eq!(xenvnet_core::Presence::default(), xenvnet_core::Presence::Announced);
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// The guest runs here.
    #[default]
    Announced,
    /// The guest is about to move here and runs elsewhere yet. Refused as
    /// [`ErrorKind::Unsupported`] by this version.
    Standby,
}

/// A vif to be attached: named, sized, locked, enslaved and up, in the order that never leaves it
/// up without its lock.
///
/// ```
/// use xenvnet_core::{Antispoof, Attachment};
/// let lock = Antispoof::new("00:16:3e:00:00:01".parse()?).ip("10.98.98.2".parse().unwrap());
/// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, lock).rename("web".parse()?);
/// assert!(attachment.validate().is_ok());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Attachment {
    /// The interface's name now, as netback gave it.
    pub vif: IfName,
    /// The name that it gets (`vifname=` in a guest's configuration).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[doc(alias = "vifname")]
    pub name: Option<IfName>,
    /// Its MTU in bytes, 68 to 65,535; without one, that of the bridge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// What the guest may send.
    pub lock: Lock,
    /// Where it leads.
    pub to: Port,
    /// Whether its traffic is counted under the name that it gets; see [`Account`](crate::Account).
    #[serde(default, skip_serializing_if = "is_no")]
    pub accounted: bool,
    /// Whether its addresses are announced here already.
    #[serde(default, skip_serializing_if = "is_announced")]
    pub presence: Presence,
}

fn is_announced(presence: &Presence) -> bool {
    *presence == Presence::Announced
}

impl Attachment {
    /// An attachment to a bridge, with the lock that goes with it: there is no form without one.
    ///
    /// ```
    /// use xenvnet_core::{Attachment, Lock};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked);
    /// assert_eq!(attachment.final_name().as_str(), "vif1.0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn bridged(vif: IfName, bridge: IfName, lock: impl Into<Lock>) -> Attachment {
        Attachment {
            vif,
            name: None,
            mtu: None,
            lock: lock.into(),
            to: Port::bridge(bridge),
            accounted: false,
            presence: Presence::Announced,
        }
    }

    /// An attachment that dom0 routes to, with the lock that goes with it. What is routed are the
    /// addresses and prefixes of the lock, unless [`Attachment::route`] says otherwise.
    ///
    /// ```
    /// use xenvnet_core::{Antispoof, Attachment};
    /// let lock = Antispoof::new("00:16:3e:00:00:01".parse()?).ip("10.0.0.2".parse().unwrap());
    /// let attachment = Attachment::routed("vif1.0".parse()?, lock).gateway("10.0.0.1".parse().unwrap());
    /// assert!(attachment.validate().is_ok());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn routed(vif: IfName, lock: impl Into<Lock>) -> Attachment {
        Attachment { to: Port::routed(), ..Attachment::bridged(vif, vif, lock) }
    }

    /// With this address of dom0's on the interface. A bridged one has none: nothing changes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock, Port};
    /// let attachment = Attachment::routed("vif1.0".parse()?, Lock::Unlocked).gateway("10.0.0.1".parse().unwrap());
    /// assert!(matches!(attachment.to, Port::Routed { gateways, .. } if gateways.len() == 1));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn gateway(mut self, address: IpAddr) -> Attachment {
        if let Port::Routed { gateways, .. } = &mut self.to {
            gateways.push(address);
        }
        self
    }

    /// With the addresses that dom0 has on this interface as the guest's gateways, unless others are
    /// named. For a bridged one nothing changes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock, Port};
    /// let attachment = Attachment::routed("vif1.0".parse()?, Lock::Unlocked).gateway_device("eth0".parse()?);
    /// assert!(matches!(attachment.to, Port::Routed { gateway_device: Some(_), .. }));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn gateway_device(mut self, device: IfName) -> Attachment {
        if let Port::Routed { gateway_device, .. } = &mut self.to {
            *gateway_device = Some(device);
        }
        self
    }

    /// With this routed to it, in place of what its lock names. For a bridged one nothing changes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock, Port};
    /// let attachment = Attachment::routed("vif1.0".parse()?, Lock::Unlocked).route("10.0.0.2".parse().unwrap());
    /// assert!(matches!(attachment.to, Port::Routed { routes, .. } if routes.len() == 1));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn route(mut self, net: IpNetwork) -> Attachment {
        if let Port::Routed { routes, .. } = &mut self.to {
            routes.push(net);
        }
        self
    }

    /// With what it reaches on dom0 itself. For a bridged one that is a matter of its bridge
    /// ([`Operation::SetDom0`](crate::Operation::SetDom0)): nothing changes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Dom0, Lock, Port};
    /// let attachment = Attachment::routed("vif1.0".parse()?, Lock::Unlocked).dom0(Dom0::Closed);
    /// assert!(matches!(attachment.to, Port::Routed { dom0: Dom0::Closed, .. }));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn dom0(mut self, access: Dom0) -> Attachment {
        if let Port::Routed { dom0, .. } = &mut self.to {
            *dom0 = access;
        }
        self
    }

    /// With its bridged packets left out of dom0's table of connections. A routed one is tracked as
    /// dom0's own packets are: nothing changes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock, Port};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Disabled).untracked(true);
    /// assert!(matches!(attachment.to, Port::Bridge { untracked: true, .. }));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    #[doc(alias = "NOTRACK")]
    pub fn untracked(mut self, keep_out: bool) -> Attachment {
        if let Port::Bridge { untracked, .. } = &mut self.to {
            *untracked = keep_out;
        }
        self
    }

    /// With its traffic counted under the name that it gets ([`Account`](crate::Account)). An account
    /// of that name goes on with what it counted; `false` ends none.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked);
    /// assert!(attachment.rename("web".parse()?).accounted(true).accounted);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    #[doc(alias = "accounting")]
    pub fn accounted(mut self, counted: bool) -> Attachment {
        self.accounted = counted;
        self
    }

    /// Reads attachments from JSON: one object, or a list of them.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] with the offset of what could not be read.
    ///
    /// ```
    /// use xenvnet_core::Attachment;
    /// let json = r#"{"vif":"vif1.0","lock":"disabled","to":{"bridge":{"bridge":"xenbr0"}}}"#;
    /// assert_eq!(Attachment::from_json(json)?.len(), 1);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_json(text: &str) -> Result<Vec<Attachment>> {
        crate::text::one_or_many(text, "attachments")
    }

    /// Renamed on the way.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked).rename("web".parse()?);
    /// assert_eq!(attachment.final_name().as_str(), "web");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn rename(mut self, name: IfName) -> Attachment {
        self.name = Some(name);
        self
    }

    /// With this MTU in bytes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked).mtu(9000);
    /// assert_eq!(attachment.mtu, Some(9000));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn mtu(mut self, mtu: u32) -> Attachment {
        self.mtu = Some(mtu);
        self
    }

    /// Cut off from the other isolated ports of the bridge. For a routed one nothing changes.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock, Port};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked).isolated(true);
    /// assert!(matches!(attachment.to, Port::Bridge { isolated: true, .. }));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn isolated(mut self, cut_off: bool) -> Attachment {
        if let Port::Bridge { isolated, .. } = &mut self.to {
            *isolated = cut_off;
        }
        self
    }

    /// The name that the interface has when it is attached.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked);
    /// assert_eq!(attachment.final_name(), attachment.vif);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn final_name(&self) -> IfName {
        self.name.unwrap_or(self.vif)
    }

    /// Whether the values can be meant; every operation asks this first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an MTU out of range, a name that is another vif's, or
    /// what [`Antispoof::validate`](crate::Antispoof::validate) refuses.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked).mtu(20);
    /// assert!(attachment.validate().is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn validate(&self) -> Result<()> {
        let what = || format!("attach {} to {}", self.vif, self.to);
        let refuse = |reason: String| Err(Error::cannot(ErrorKind::InvalidArgument, what(), reason));
        if self.presence == Presence::Standby {
            let why = "this version attaches guests that run here, not guests that are about to move here";
            return Err(Error::cannot(ErrorKind::Unsupported, what(), why));
        }
        self.lock.validate().map_err(|error| error.doing(what()))?;
        if let Some(mtu) = self.mtu
            && !(68..=65_535).contains(&mtu)
        {
            return refuse(format!("an MTU of {mtu} bytes is out of the range 68 to 65535"));
        }
        match &self.to {
            Port::Bridge { bridge, .. } if *bridge == self.vif || *bridge == self.final_name() => {
                return refuse("the vif and the bridge have one name".to_owned());
            }
            Port::Bridge { untracked: true, .. } => match &self.lock {
                Lock::Locked(lock) if lock.macs.len() > UNTRACKED_MACS_MAX => {
                    return refuse(format!("no more than {UNTRACKED_MACS_MAX} MAC addresses can be left untracked"));
                }
                Lock::Locked(_) => {}
                _ => return refuse("without a lock nobody knows which packets are to be left untracked".to_owned()),
            },
            Port::Bridge { .. } => {}
            Port::Routed { gateways, dom0, .. } => {
                dom0.validate().map_err(|error| error.doing(what()))?;
                if let Some(bad) =
                    gateways.iter().find(|ip| ip.is_unspecified() || ip.is_multicast() || ip.is_loopback())
                {
                    return refuse(format!("{bad} is no address that dom0 can have on it"));
                }
                for net in self.routed_nets() {
                    if net.network() != net.ip() {
                        return refuse(format!("the route to {net} has host bits set"));
                    }
                    if net.prefix() == 0 {
                        return Err(Error::cannot(
                            ErrorKind::InvalidArgument,
                            what(),
                            format!("{net} would lead everything that dom0 sends to this guest"),
                        )
                        .with_advice("say what is to be routed to it"));
                    }
                }
            }
        }
        // Names say which of the two ports of a card is which.
        if self.name.is_some_and(|name| name.is_emulated() != self.vif.is_emulated()) {
            return refuse(match self.vif.is_emulated() {
                true => "the tap of an emulated card is to be named NAME-emu".to_owned(),
                false => format!("the name {} is for the tap of an emulated card", self.final_name()),
            });
        }
        match self.name {
            // The name of another guest's interface would be taken from it when that guest starts.
            Some(name) if name != self.vif && name.as_str().parse::<VifId>().is_ok() => {
                refuse(format!("the name {name} is that of another guest's interface"))
            }
            _ => Ok(()),
        }
    }
}

impl Attachment {
    /// What is routed to it.
    pub(crate) fn routed_nets(&self) -> Vec<IpNetwork> {
        match (&self.to, &self.lock) {
            (Port::Routed { routes, .. }, _) if !routes.is_empty() => routes.clone(),
            (Port::Routed { .. }, Lock::Locked(lock)) => lock.ips.clone(),
            _ => Vec::new(),
        }
    }
}
