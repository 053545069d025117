//! A vif as a guest's configuration asks for it.

mod attach;
mod keys;
mod read;

pub use attach::VifDefaults;
pub(crate) use read::mac_of;

use super::{OvsBridge, VlanSpec};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::rate::Rate;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// What becomes of words that mean nothing: an unknown key, one that is given twice, one without a
/// value. What is wrong with a value is an error either way.
///
/// ```
/// use xenvnet_core::{Strictness, VifSpec};
/// let error = VifSpec::from_xl("iP=10.0.0.1", Strictness::Strict).unwrap_err();
/// assert_eq!(error.to_string(), r#"vif: unknown key "iP" at byte 0; did you mean "ip"?"#);
///
/// let (spec, warnings) = VifSpec::from_xl("iP=10.0.0.1", Strictness::Lenient)?;
/// assert!(spec.ips.is_empty());
/// assert_eq!(warnings[0].to_string(), error.to_string());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strictness {
    /// An error. A guest never starts with less than it was given.
    #[default]
    Strict,
    /// A warning, as with `xl create`, where a mistyped `ip=` starts a guest without a lock.
    Lenient,
}

/// Which cards a guest is given; `type=` in its configuration.
///
/// ```
/// let spec: xenvnet_core::VifSpec = "type=ioemu".parse()?;
/// assert_eq!(spec.card, Some(xenvnet_core::Card::Emulated));
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Card {
    /// The paravirtual one only (`vif`; xm also says `netfront`).
    #[doc(alias = "vif")]
    Paravirtual,
    /// An emulated one besides (`ioemu`), with a tap in dom0: HVM guests only, and their default.
    #[doc(alias = "ioemu")]
    Emulated,
}

/// A vif as a string of `vif = [ ... ]` in a guest's configuration asks for it, for xl or for xm.
///
/// `None` and an empty list are the toolstack's defaults; `''` is all of them. Some fields are for
/// others to act on, and [`VifSpec::attachment`] takes no notice of them: `devid`, `model`,
/// `card`, `backend` and `trusted` are the toolstack's, `rate` is netback's.
///
/// ```
/// use xenvnet_core::VifSpec;
/// let spec: VifSpec = "mac=00:16:3e:00:00:01, ip=10.98.98.2 2001:db8::/64, bridge=xenbr0".parse()?;
/// assert_eq!(spec.ips.len(), 2);
/// assert_eq!(spec.to_string(), "mac=00:16:3e:00:00:01,bridge=xenbr0,ip=10.98.98.2 2001:db8::/64");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct VifSpec {
    /// The guest's MAC address. Without one the toolstack makes one up, and tells it in xenstore.
    pub mac: Option<MacAddr>,
    /// The bridge. Toolstacks say xenbr0 where nothing is said.
    pub bridge: Option<IfName>,
    /// The bridge, where it is one of Open vSwitch's; see [`OvsBridge`]. Then `bridge` is `None`.
    pub ovs_bridge: Option<OvsBridge>,
    /// The guest's IP addresses and prefixes.
    #[doc(alias = "ip")]
    pub ips: Vec<IpNetwork>,
    /// What dom0's interface is to be called. With `type=ioemu` no more than 11 bytes, as the tap is
    /// called so with `-emu` behind.
    #[doc(alias = "vifname")]
    pub name: Option<IfName>,
    /// The hotplug script as it is written; [`VifScript`](super::VifScript) reads the known ones.
    pub script: Option<String>,
    /// The interface of dom0 that has the address which routed guests have as their gateway.
    #[doc(alias = "gatewaydev")]
    #[doc(alias = "netdev")]
    pub gateway_device: Option<IfName>,
    /// Which cards the guest has.
    #[doc(alias = "type")]
    pub card: Option<Card>,
    /// What the emulated card is, as the device model calls it.
    pub model: Option<String>,
    /// How fast the guest may send.
    pub rate: Option<Rate>,
    /// The MTU in bytes, 68 to 65,535; without one, that of the bridge.
    pub mtu: Option<u32>,
    /// The VLANs.
    pub vlan: Option<VlanSpec>,
    /// The number of the device, 0 to 99; without one, its place in the list.
    pub devid: Option<u16>,
    /// The domain that has the other end, by name or number; without one, dom0.
    pub backend: Option<String>,
    /// Whether the guest is told to trust the backend; it is where nothing is said.
    #[doc(alias = "untrusted")]
    pub trusted: Option<bool>,
    /// The rest, word for word: `accel`, xm's `policy` and `label`, and what COLO wants
    /// (`forwarddev`, `colo_...`).
    pub others: BTreeMap<String, String>,
}

impl fmt::Display for VifSpec {
    /// As xl reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ips = self.ips.iter().map(|net| match net.prefix() == if net.is_ipv4() { 32 } else { 128 } {
            true => net.ip().to_string(),
            false => net.to_string(),
        });
        let ips = ips.collect::<Vec<_>>().join(" ");
        let card = self.card.map(|card| if card == Card::Emulated { "ioemu" } else { "vif" });
        let bridge =
            self.bridge.map(|name| name.to_string()).or_else(|| self.ovs_bridge.as_ref().map(|b| b.to_string()));
        let fields = [
            ("mac", self.mac.map(|mac| mac.to_string())),
            ("bridge", bridge),
            ("ip", Some(ips).filter(|ips| !ips.is_empty())),
            ("vifname", self.name.map(|name| name.to_string())),
            ("script", self.script.clone()),
            ("gatewaydev", self.gateway_device.map(|name| name.to_string())),
            ("type", card.map(str::to_owned)),
            ("model", self.model.clone()),
            ("rate", self.rate.map(Rate::to_xl)),
            ("mtu", self.mtu.map(|mtu| mtu.to_string())),
            ("vlan", self.vlan.as_ref().map(|vlan| vlan.to_string())),
            ("devid", self.devid.map(|devid| devid.to_string())),
            ("backend", self.backend.clone()),
        ];
        let fields = fields.into_iter().filter_map(|(key, value)| Some(format!("{key}={}", value?)));
        let flag = self.trusted.map(|trusted| if trusted { "trusted" } else { "untrusted" }.to_owned());
        let others = self.others.iter().map(|(key, value)| format!("{key}={value}"));
        f.write_str(&fields.chain(flag).chain(others).collect::<Vec<_>>().join(","))
    }
}
