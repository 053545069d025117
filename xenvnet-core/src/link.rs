//! A network interface: what it is, and what it is as a bridge or as the port of one.

use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::vif::{VIF_GROUP, VifId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// The settings of a bridge that this library cares for.
///
/// ```
/// use xenvnet_core::BridgeState;
/// assert_eq!(BridgeState::new(false).to_string(), "stp off forward_delay 0");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BridgeState {
    /// Whether it takes part in the spanning tree protocol.
    pub stp: bool,
    /// How long a port listens before it forwards, in hundredths of a second.
    pub forward_delay: u32,
}

impl BridgeState {
    /// As Xen hosts want it: no delay without the spanning tree protocol, the kernel's 15 seconds
    /// with it (which then allows no less than 2).
    ///
    /// ```
    /// assert_eq!(xenvnet_core::BridgeState::new(true).forward_delay, 1500);
    /// ```
    pub fn new(stp: bool) -> BridgeState {
        BridgeState { stp, forward_delay: if stp { 1500 } else { 0 } }
    }
}

impl fmt::Display for BridgeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stp {} forward_delay {}", if self.stp { "on" } else { "off" }, self.forward_delay)
    }
}

/// The flags of a bridge port that this library cares for; see bridge(8).
///
/// ```
/// use xenvnet_core::PortState;
/// assert_eq!(PortState::default().to_string(), "learning on, locked off, flood on, isolated off");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PortState {
    /// Whether the bridge learns the source addresses of its frames.
    pub learning: bool,
    /// Whether it cannot reach other isolated ports.
    pub isolated: bool,
    /// Whether frames from addresses that are not pinned to it are dropped (Linux 5.18); `None`
    /// on a kernel that does not know the flag.
    pub locked: Option<bool>,
    /// Whether it is sent unicast frames of which the bridge does not know where they belong. Off
    /// where all of a guest's addresses are pinned: such a frame is another's.
    #[serde(default = "yes")]
    pub flood: bool,
    /// Whether a frame of the spanning tree protocol that comes in by it shuts it down. On where a
    /// guest is locked on a bridge that speaks the protocol: the bridge takes such frames before any
    /// filter of its family sees them.
    #[serde(default)]
    pub bpdu_guard: bool,
    /// Of the groups reserved for bridges (01:80:c2:00:00:00 to 0f), those whose frames are treated
    /// like any other, a bit for each; see ip-link(8). All but pause frames (0xfffd) where a guest is
    /// locked: dom0's own stack would get them past every filter.
    #[serde(default)]
    pub group_fwd_mask: u16,
}

fn yes() -> bool {
    true
}

impl Default for PortState {
    /// As a port is when it is new.
    fn default() -> PortState {
        PortState {
            learning: true,
            isolated: false,
            locked: Some(false),
            flood: true,
            bpdu_guard: false,
            group_fwd_mask: 0,
        }
    }
}

/// How a MAC address is held to a bridge port.
///
/// ```
/// assert_eq!(xenvnet_core::Pinning::default().to_string(), "static sticky");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pinning {
    /// It never ages, and no port that sees the address takes it over: for a bridge of one host.
    #[default]
    StaticSticky,
}

impl fmt::Display for Pinning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Pinning::StaticSticky => "static sticky",
        })
    }
}

impl fmt::Display for PortState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |on: bool| if on { "on" } else { "off" };
        write!(f, "learning {}, ", word(self.learning))?;
        if let Some(locked) = self.locked {
            write!(f, "locked {}, ", word(locked))?;
        }
        write!(f, "flood {}, isolated {}", word(self.flood), word(self.isolated))?;
        if self.bpdu_guard {
            f.write_str(", guard on")?;
        }
        if self.group_fwd_mask != 0 {
            write!(f, ", group_fwd_mask {:#x}", self.group_fwd_mask)?;
        }
        Ok(())
    }
}

/// One network interface.
///
/// ```
/// use xenvnet_core::Link;
/// let link = Link::new(4, "vif1.0".parse()?);
/// assert!(!link.is_bridge() && !link.up);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// The kernel's number for it, never given twice until it reboots.
    #[doc(alias = "ifindex")]
    pub index: u32,
    /// Its name.
    pub name: IfName,
    /// Its MAC address, if it is an Ethernet interface.
    pub mac: Option<MacAddr>,
    /// Its MTU in bytes.
    pub mtu: u32,
    /// Whether it is administratively up.
    pub up: bool,
    /// Its link group.
    pub group: u32,
    /// Its alias, empty for none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub alias: String,
    /// The bridge that it is a port of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub master: Option<IfName>,
    /// Whether the kernel gives it an IPv6 link-local address; `None` where it has no IPv6.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_link_local: Option<bool>,
    /// A bridge's own settings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bridge: Option<BridgeState>,
    /// A bridge port's flags.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<PortState>,
    /// Whether the guard of the spanning tree protocol shut this port: a frame of the protocol came
    /// in by it.
    #[serde(default, skip_serializing_if = "is_no")]
    pub shut: bool,
}

fn is_no(yes: &bool) -> bool {
    !yes
}

impl Link {
    /// An interface as it is when it is new: down, in no group, on no bridge.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Link::new(4, "vif1.0".parse()?).mtu, 1500);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(index: u32, name: IfName) -> Link {
        Link {
            index,
            name,
            mac: None,
            mtu: 1500,
            up: false,
            group: 0,
            alias: String::new(),
            master: None,
            auto_link_local: Some(true),
            bridge: None,
            port: None,
            shut: false,
        }
    }

    /// Whether it is a bridge.
    ///
    /// ```
    /// assert!(!xenvnet_core::Link::new(4, "vif1.0".parse()?).is_bridge());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn is_bridge(&self) -> bool {
        self.bridge.is_some()
    }

    /// The name that Xen gave it, if it is a vif or the tap of one: its alias, where it was renamed.
    pub(crate) fn xen_name(&self) -> Option<IfName> {
        let named = |name: &str| name.parse::<VifId>().is_ok().then(|| name.parse().ok())?;
        named(&self.alias).or_else(|| named(self.name.as_str()))
    }

    /// Whether it was put into the group of guests' interfaces.
    ///
    /// ```
    /// assert!(!xenvnet_core::Link::new(4, "vif1.0".parse()?).is_vif());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn is_vif(&self) -> bool {
        self.group == VIF_GROUP
    }
}

/// Settings of a link that one message changes together; what is `None` stays.
///
/// ```
/// let nothing = xenvnet_core::LinkSettings::default();
/// assert_eq!(nothing.mtu, None);
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LinkSettings {
    /// The MAC address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<MacAddr>,
    /// The MTU in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// The link group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<u32>,
    /// Whether the kernel gives it an IPv6 link-local address when it comes up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[doc(alias = "addrgenmode")]
    pub auto_link_local: Option<bool>,
    /// The alias: where a vif was renamed, the name that netback gave it. Empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[doc(alias = "ifalias")]
    pub alias: Option<String>,
}

impl LinkSettings {
    fn is_empty(&self) -> bool {
        *self == LinkSettings::default()
    }

    /// What has to change on a link for it to have these settings, and what it had.
    pub(crate) fn difference(&self, link: &Link) -> Option<(LinkSettings, LinkSettings)> {
        fn pair<T: Clone + PartialEq>(have: Option<T>, want: &Option<T>) -> (Option<T>, Option<T>) {
            match want {
                Some(_) if have != *want => (have, want.clone()),
                _ => (None, None),
            }
        }
        let (mac, new_mac) = pair(link.mac, &self.mac);
        let (mtu, new_mtu) = pair(Some(link.mtu), &self.mtu);
        let (group, new_group) = pair(Some(link.group), &self.group);
        // A kernel without IPv6 has no such setting, and then there is nothing to switch off.
        let (auto, new_auto) = match link.auto_link_local {
            None => (None, None),
            have => pair(have, &self.auto_link_local),
        };
        let (alias, new_alias) = pair(Some(link.alias.clone()), &self.alias);
        let from = LinkSettings { mac, mtu, group, auto_link_local: auto, alias };
        let to =
            LinkSettings { mac: new_mac, mtu: new_mtu, group: new_group, auto_link_local: new_auto, alias: new_alias };
        (!to.is_empty()).then_some((from, to))
    }

    /// What changes where these settings become others, in words.
    pub(crate) fn change_to(&self, to: &LinkSettings) -> String {
        let from = self;
        fn one<T: fmt::Display>(name: &str, from: &Option<T>, to: &Option<T>) -> Option<String> {
            let to = to.as_ref()?;
            Some(match from {
                Some(from) => format!("{name} {from} -> {to}"),
                None => format!("{name} {to}"),
            })
        }
        let quoted = |alias: &Option<String>| alias.as_ref().map(|alias| format!("{alias:?}"));
        let on_off = |on: &Option<bool>| on.map(|on| if on { "on" } else { "off" });
        [
            one("mac", &from.mac, &to.mac),
            one("mtu", &from.mtu, &to.mtu),
            one("group", &from.group, &to.group),
            one("ipv6 link-local", &on_off(&from.auto_link_local), &on_off(&to.auto_link_local)),
            one("alias", &quoted(&from.alias), &quoted(&to.alias)),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(", ")
    }
}
