//! Bridged guests whose packets stay out of dom0's table of connections.

use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::plan::Step;
use crate::snapshot::Snapshot;
use crate::table::Table;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A bridged guest that dom0 is not to track: frames from and to it that are bridged on. What is
/// sent to the bridge itself is tracked as ever, or a brouter could not masquerade.
///
/// Only of use where `net.bridge.bridge-nf-call-iptables` is on, as on hosts of Docker: there
/// bridged packets visit the hooks of IP, and each connection of a guest takes a place in dom0's
/// table (nf_conntrack_max).
///
/// ```
/// use xenvnet_core::{MacAddr, Untracked};
/// let untracked = Untracked::new("2e:00:00:00:00:fe".parse()?, vec!["00:16:3e:00:00:01".parse()?]);
/// assert_eq!(untracked.to_string(), "bridge=2e:00:00:00:00:fe mac=00:16:3e:00:00:01");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Untracked {
    /// The address of the bridge, to which frames are dom0's own.
    pub bridge: MacAddr,
    /// The addresses of the guest.
    pub macs: Vec<MacAddr>,
}

impl Untracked {
    /// Of a guest with these addresses, on the bridge with that one.
    ///
    /// ```
    /// use xenvnet_core::{MacAddr, Untracked};
    /// assert!(Untracked::new(MacAddr::VIF_BACKEND, Vec::new()).macs.is_empty());
    /// ```
    pub fn new(bridge: MacAddr, macs: Vec<MacAddr>) -> Untracked {
        Untracked { bridge, macs }
    }
}

impl fmt::Display for Untracked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let macs: Vec<_> = self.macs.iter().map(MacAddr::to_string).collect();
        write!(f, "bridge={} mac={}", self.bridge, macs.join(","))
    }
}

impl FromStr for Untracked {
    type Err = crate::Error;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> crate::Result<Untracked> {
        let wrong = || crate::Error::invalid(crate::ErrorKind::Parse, "bridge=MAC mac=MAC,... is wanted").at(0);
        let (bridge, macs) = text.split_once(" mac=").ok_or_else(wrong)?;
        let bridge = bridge.strip_prefix("bridge=").ok_or_else(wrong)?.parse()?;
        let macs = macs.split(',').map(str::parse).collect::<crate::Result<_>>()?;
        Ok(Untracked { bridge, macs })
    }
}

/// The change of whether a guest is tracked.
pub(crate) fn step_tracking(vif: IfName, to: Option<Untracked>, now: &Snapshot) -> Vec<Step> {
    let from = now.untracked.get(&vif).cloned();
    if from == to {
        return Vec::new();
    }
    let ready = to.as_ref().and_then(|_| now.step_ready(Table::Untracked));
    ready.into_iter().chain([Step::SetUntracked { vif, from, to }]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printing_and_parsing_agree() {
        let macs = vec![MacAddr::new([2, 0, 0, 0, 0, 1]), MacAddr::new([2, 0, 0, 0, 0, 2])];
        let untracked = Untracked::new(MacAddr::VIF_BACKEND, macs);
        assert_eq!(untracked.to_string().parse::<Untracked>().unwrap(), untracked);
        for text in ["", "bridge=", "mac=02:00:00:00:00:01", "bridge=x mac=y"] {
            assert!(text.parse::<Untracked>().is_err(), "{text}");
        }
    }
}
