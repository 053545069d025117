//! What a vif is, and how a toolstack asks for one to be attached.

mod attach;
mod attachment;
mod detach;
mod nat_address;
mod routed;
mod script;
mod spec;
mod vlan;

pub use attachment::{Attachment, Port, Presence};
pub(crate) use detach::plan_detach;
pub use nat_address::nat_gateway;
pub(crate) use routed::steps_neighbours;
pub use script::VifScript;
pub(crate) use spec::mac_of;
pub use spec::{Card, Strictness, VifDefaults, VifSpec};
pub use vlan::{OvsBridge, VlanSpec};

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::text::quoted;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The link group that guests' interfaces are put in before they are up: whatever is in it and is
/// not locked explicitly is dropped. `ip link show group 7777` lists them.
///
/// ```
/// assert_eq!(xenvnet_core::VIF_GROUP, 7777);
/// ```
pub const VIF_GROUP: u32 = 7777;

/// A guest's network interface as Xen numbers it: the domain and the device.
///
/// ```
/// use xenvnet_core::VifId;
/// let vif: VifId = "vif3.0".parse()?;
/// assert_eq!((vif.domid(), vif.devid()), (3, 0));
/// assert_eq!(vif.ifname().as_str(), "vif3.0");
/// assert_eq!(vif.emulated_ifname().as_str(), "vif3.0-emu");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct VifId {
    domid: u16,
    devid: u16,
}

impl VifId {
    /// The largest domain id of a guest: one below Xen's `DOMID_FIRST_RESERVED` (0x7ff0).
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifId::MAX_DOMID, 32751);
    /// ```
    pub const MAX_DOMID: u16 = 0x7ff0 - 1;

    /// The largest device id whose emulated name still fits an interface name.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifId::MAX_DEVID, 99);
    /// ```
    pub const MAX_DEVID: u16 = 99;

    /// Checks the two numbers.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] beyond [`VifId::MAX_DOMID`] or [`VifId::MAX_DEVID`].
    ///
    /// ```
    /// assert!(xenvnet_core::VifId::new(32752, 0).is_err());
    /// ```
    pub fn new(domid: u16, devid: u16) -> Result<VifId> {
        if domid > Self::MAX_DOMID {
            return Err(Error::invalid(
                ErrorKind::InvalidArgument,
                format!("domain id {domid} is beyond {}, the last that Xen gives a guest", Self::MAX_DOMID),
            ));
        }
        if devid > Self::MAX_DEVID {
            return Err(Error::invalid(
                ErrorKind::InvalidArgument,
                format!("device id {devid} is beyond {}", Self::MAX_DEVID),
            ));
        }
        Ok(VifId { domid, devid })
    }

    /// The domain's id.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifId::new(3, 1)?.domid(), 3);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn domid(self) -> u16 {
        self.domid
    }

    /// The device's id within the domain.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifId::new(3, 1)?.devid(), 1);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn devid(self) -> u16 {
        self.devid
    }

    /// The name that netback gives the interface: `vifDOMID.DEVID`.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifId::new(3, 1)?.ifname().as_str(), "vif3.1");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn ifname(self) -> IfName {
        self.name("")
    }

    /// The name of the tap of an HVM guest's emulated card: `vifDOMID.DEVID-emu`.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::VifId::new(32751, 99)?.emulated_ifname().as_str(), "vif32751.99-emu");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn emulated_ifname(self) -> IfName {
        self.name("-emu")
    }

    fn name(self, suffix: &str) -> IfName {
        let name = format!("vif{}.{}{suffix}", self.domid, self.devid);
        IfName::new(&name).unwrap_or_else(|_| unreachable!("the limits of VifId keep {name} within 15 bytes"))
    }
}

impl FromStr for VifId {
    type Err = Error;

    /// Reads `vif3.0` and `vif3.0-emu`.
    fn from_str(text: &str) -> Result<VifId> {
        let number = |digits: &str| match digits {
            // One spelling a number: no sign, no leading zero.
            "" => None,
            _ if digits.starts_with('0') && digits.len() > 1 => None,
            _ if !digits.bytes().all(|b| b.is_ascii_digit()) => None,
            _ => digits.parse().ok(),
        };
        let read = || {
            let rest = text.strip_prefix("vif")?;
            let (domid, devid) = rest.strip_suffix("-emu").unwrap_or(rest).split_once('.')?;
            Some((number(domid)?, number(devid)?))
        };
        let (domid, devid) = read().ok_or_else(|| {
            Error::invalid(ErrorKind::Parse, format!("{} is not a vif's name: vifDOMID.DEVID is wanted", quoted(text)))
                .at(0)
        })?;
        VifId::new(domid, devid)
    }
}

impl TryFrom<String> for VifId {
    type Error = Error;

    fn try_from(text: String) -> Result<VifId> {
        text.parse()
    }
}

impl From<VifId> for String {
    fn from(vif: VifId) -> String {
        vif.to_string()
    }
}

impl fmt::Display for VifId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.ifname().as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_netbacks_own_spelling_is_a_vif() {
        for text in [
            "",
            "vif",
            "vif1",
            "vif1.",
            "vif.0",
            "vif01.0",
            "vif1.00",
            "vif+1.0",
            "eth0",
            "vif1.0.0",
            "vif1.0-em",
            "VIF1.0",
        ] {
            assert_eq!(text.parse::<VifId>().unwrap_err().kind(), ErrorKind::Parse, "{text}");
        }
        assert_eq!("vif32752.0".parse::<VifId>().unwrap_err().kind(), ErrorKind::InvalidArgument);
        assert_eq!("vif1.100".parse::<VifId>().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(domid in 0..=VifId::MAX_DOMID, devid in 0..=VifId::MAX_DEVID) {
            let vif = VifId::new(domid, devid).unwrap();
            prop_assert_eq!(vif.to_string().parse::<VifId>().unwrap(), vif);
            prop_assert_eq!(vif.emulated_ifname().as_str().parse::<VifId>().unwrap(), vif);
        }
    }
}
