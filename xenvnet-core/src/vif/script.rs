//! The scripts that set up a vif, by name: what a guest or a host asks for, none of which is run.

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::text::{did_you_mean, quoted, words};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// What `script=` in a guest's configuration or `vif-script` in xend's asks for.
///
/// ```
/// use xenvnet_core::VifScript;
/// assert_eq!("vif-bridge bridge=eth0".parse::<VifScript>()?.to_string(), "vif-bridge bridge=eth0");
/// assert_eq!("/etc/xen/scripts/vif-nat".parse::<VifScript>()?, VifScript::Nat { dhcp: None });
///
/// let error = "vif-bridge brige=eth0".parse::<VifScript>().unwrap_err();
/// assert_eq!(error.to_string(), r#"vif script: unknown key "brige" at byte 11; did you mean "bridge"?"#);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum VifScript {
    /// A port of a bridge.
    #[doc(alias = "vif-bridge")]
    Bridge {
        /// The bridge of guests that name none.
        bridge: Option<IfName>,
    },
    /// Routed by dom0.
    #[doc(alias = "vif-route")]
    Route {
        /// The interface whose address dom0 has towards its guests, where they name none; the
        /// script's own default is eth0.
        netdev: Option<IfName>,
    },
    /// Routed by dom0, with an address from [`VifId::nat_address`](crate::VifId::nat_address)
    /// where the guest names none.
    #[doc(alias = "vif-nat")]
    Nat {
        /// Whether its address is to be served by DHCP. The script's own default is yes where the
        /// host has a configuration of ISC's server. Nothing here runs a server.
        dhcp: Option<bool>,
    },
}

/// Scripts that there are, or were, and that nothing here stands for.
const OTHERS: [&str; 4] = ["vif-openvswitch", "vif2", "vif-setup", "vif-dummy"];

impl FromStr for VifScript {
    type Err = Error;

    /// Reads a script's name, with its directory or without, and what follows it.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for another of Xen's own scripts, [`ErrorKind::Parse`] for
    /// anything else, with its offset.
    fn from_str(line: &str) -> Result<VifScript> {
        let wrong = |offset, why: String| {
            Error::invalid(ErrorKind::Parse, format!("vif script: {why} at byte {offset}")).at(offset)
        };
        let mut words = words(line).into_iter();
        let (offset, path) = words.next().ok_or_else(|| wrong(0, "nothing".to_owned()))?;
        let name = path.rsplit('/').next().unwrap_or(path);
        let (mut bridge, mut netdev, mut dhcp) = (None, None, None);
        let key_of_it = match name {
            "vif-bridge" => "bridge",
            "vif-route" => "netdev",
            "vif-nat" => "dhcp",
            _ if OTHERS.contains(&name) => {
                let why = format!("this version stands for vif-bridge, vif-route and vif-nat, not for {name}");
                return Err(Error::invalid(ErrorKind::Unsupported, why));
            }
            _ => {
                let guess = did_you_mean(name, &["vif-bridge", "vif-route", "vif-nat"]);
                return Err(wrong(offset, format!("unknown script {}", quoted(path))).with_more(&guess));
            }
        };
        for (offset, word) in words {
            let (key, value) =
                word.split_once('=').ok_or_else(|| wrong(offset, format!("{} is no KEY=VALUE", quoted(word))))?;
            if key != key_of_it {
                let guess = did_you_mean(key, &[key_of_it]);
                return Err(wrong(offset, format!("unknown key {}", quoted(key))).with_more(&guess));
            }
            if bridge.is_some() || netdev.is_some() || dhcp.is_some() {
                return Err(wrong(offset, format!("{key}= is given twice")));
            }
            let at = offset + key.len() + 1;
            let interface = || value.parse().map_err(|error: Error| wrong(at, error.to_string()));
            match key {
                "bridge" => bridge = Some(interface()?),
                "netdev" => netdev = Some(interface()?),
                _ => {
                    dhcp = Some(match value {
                        "yes" => true,
                        "no" => false,
                        _ => return Err(wrong(at, format!("dhcp={} is neither yes nor no", quoted(value)))),
                    });
                }
            }
        }
        Ok(match name {
            "vif-bridge" => VifScript::Bridge { bridge },
            "vif-route" => VifScript::Route { netdev },
            _ => VifScript::Nat { dhcp },
        })
    }
}

impl fmt::Display for VifScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            VifScript::Bridge { bridge: None } => f.write_str("vif-bridge"),
            VifScript::Bridge { bridge: Some(bridge) } => write!(f, "vif-bridge bridge={bridge}"),
            VifScript::Route { netdev: None } => f.write_str("vif-route"),
            VifScript::Route { netdev: Some(netdev) } => write!(f, "vif-route netdev={netdev}"),
            VifScript::Nat { dhcp: None } => f.write_str("vif-nat"),
            VifScript::Nat { dhcp: Some(yes) } => write!(f, "vif-nat dhcp={}", if *yes { "yes" } else { "no" }),
        }
    }
}

impl Default for VifScript {
    /// `vif-bridge`, as with every toolstack.
    fn default() -> VifScript {
        VifScript::Bridge { bridge: None }
    }
}

impl TryFrom<String> for VifScript {
    type Error = Error;

    fn try_from(line: String) -> Result<VifScript> {
        line.parse()
    }
}

impl From<VifScript> for String {
    fn from(script: VifScript) -> String {
        script.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_are_read_and_printed() {
        for (line, printed) in [
            ("vif-bridge", "vif-bridge"),
            ("  vif-bridge  bridge=xenbr0 ", "vif-bridge bridge=xenbr0"),
            ("/etc/xen/scripts/vif-route netdev=eth1", "vif-route netdev=eth1"),
            ("vif-nat dhcp=no", "vif-nat dhcp=no"),
        ] {
            assert_eq!(line.parse::<VifScript>().unwrap().to_string(), printed);
        }
    }

    #[test]
    fn faults_are_named_with_their_byte() {
        for (line, expected) in [
            ("", "vif script: nothing at byte 0"),
            ("vif-brigde", "vif script: unknown script \"vif-brigde\" at byte 0; did you mean \"vif-bridge\"?"),
            ("vif-bridge netdev=eth0", "vif script: unknown key \"netdev\" at byte 11"),
            ("vif-bridge bridge", "vif script: \"bridge\" is no KEY=VALUE at byte 11"),
            ("vif-bridge bridge=a bridge=b", "vif script: bridge= is given twice at byte 20"),
            ("vif-nat dhcp=maybe", "vif script: dhcp=\"maybe\" is neither yes nor no at byte 13"),
            ("vif-route netdev=", "vif script: interface name \"\" is empty at byte 17"),
        ] {
            let error = line.parse::<VifScript>().unwrap_err();
            assert_eq!((error.to_string().as_str(), error.kind()), (expected, ErrorKind::Parse));
            assert!(error.offset().is_some());
        }
        let error = "vif-openvswitch".parse::<VifScript>().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "(vif-(bridge|route|nat) )?(bridge=|netdev=|dhcp=)?\\PC{0,20}") {
            if let Ok(script) = line.parse::<VifScript>() {
                prop_assert_eq!(script.to_string().parse::<VifScript>().unwrap(), script);
            }
        }
    }
}
