//! Guests of a private subnet speaking to the outside with an address of dom0's.

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::text::{offset_in, quoted};
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Source NAT of a subnet, IPv4 or IPv6, to the address of the interface that a packet leaves by.
/// What stays within the subnet is left alone.
///
/// ```
/// use xenvnet_core::Masquerade;
/// let rule = Masquerade::new("10.98.98.0/24".parse().unwrap()).uplink("eth0".parse()?);
/// assert_eq!(rule.to_string(), "10.98.98.0/24 via eth0");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[doc(alias = "MASQUERADE")]
#[doc(alias = "snat")]
pub struct Masquerade {
    /// The addresses that are hidden.
    pub subnet: IpNetwork,
    /// Only packets that leave by this interface; without it, by any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uplink: Option<IfName>,
    /// Also packets to the subnet itself: where others of it are outside, as a part of 10.0.0.0/8 may be.
    #[serde(default, skip_serializing_if = "is_no")]
    pub everywhere: bool,
}

fn is_no(yes: &bool) -> bool {
    !yes
}

impl Masquerade {
    /// For packets that leave by any interface.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Masquerade::new("10.0.0.0/8".parse().unwrap()).uplink, None);
    /// ```
    pub fn new(subnet: IpNetwork) -> Masquerade {
        Masquerade { subnet, uplink: None, everywhere: false }
    }

    /// Only for packets that leave by this interface. It need not exist yet.
    ///
    /// ```
    /// # use xenvnet_core::Masquerade;
    /// assert!(Masquerade::new("10.0.0.0/8".parse().unwrap()).uplink("eth0".parse()?).uplink.is_some());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn uplink(mut self, uplink: IfName) -> Masquerade {
        self.uplink = Some(uplink);
        self
    }

    /// Also for packets to the subnet itself, or not.
    ///
    /// ```
    /// # use xenvnet_core::Masquerade;
    /// let rule = Masquerade::new("10.0.0.0/8".parse().unwrap()).uplink("eth0".parse()?).everywhere(true);
    /// assert_eq!(rule.to_string(), "10.0.0.0/8 everywhere via eth0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn everywhere(mut self, everywhere: bool) -> Masquerade {
        self.everywhere = everywhere;
        self
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for a subnet with host bits set, or a multicast one.
    ///
    /// ```
    /// assert!(xenvnet_core::Masquerade::new("10.0.0.1/8".parse().unwrap()).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        let refuse =
            |why: String| Error::cannot(ErrorKind::InvalidArgument, format!("masquerade {}", self.subnet), why);
        if self.subnet.ip() != self.subnet.network() {
            return Err(refuse("the subnet has host bits set".to_owned()).with_advice(format!(
                "write {}/{}",
                self.subnet.network(),
                self.subnet.prefix()
            )));
        }
        if self.subnet.ip().is_multicast() {
            return Err(refuse("nothing is sent from multicast addresses".to_owned()));
        }
        Ok(())
    }
}

impl fmt::Display for Masquerade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.subnet, if self.everywhere { " everywhere" } else { "" })?;
        self.uplink.map_or(Ok(()), |uplink| write!(f, " via {uplink}"))
    }
}

impl FromStr for Masquerade {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Masquerade> {
        let (subnet, uplink) = match text.split_once(" via ") {
            Some((subnet, uplink)) => {
                let start = offset_in(text, uplink);
                let placed = |error: Error| {
                    let at = start + error.offset().unwrap_or(0);
                    error.at(at)
                };
                (subnet, Some(uplink.parse().map_err(placed)?))
            }
            None => (text, None),
        };
        let (subnet, everywhere) = match subnet.strip_suffix(" everywhere") {
            Some(subnet) => (subnet, true),
            None => (subnet, false),
        };
        let subnet = subnet.parse().map_err(|_| {
            Error::invalid(ErrorKind::Parse, format!("{} is no subnet: ADDRESS/PREFIX is wanted", quoted(subnet))).at(0)
        })?;
        Ok(Masquerade { subnet, uplink, everywhere })
    }
}

impl Masquerade {
    pub(crate) fn plan_add(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        if now.masquerades.contains(self) {
            return Ok(Plan::default());
        }
        self.check_uplink(now)?;
        let table = now.step_ready(Table::Inet);
        Ok(table.into_iter().chain([Step::AddMasquerade { masquerade: self.clone() }]).collect())
    }

    /// By a port of a bridge nothing leaves that dom0 sends: it leaves by the bridge.
    fn check_uplink(&self, now: &Snapshot) -> Result<()> {
        let uplink = self.uplink.and_then(|uplink| now.link(uplink)).filter(|link| link.port.is_some());
        let Some((uplink, bridge)) = uplink.and_then(|link| Some((link.name, link.master?))) else { return Ok(()) };
        let what = format!("masquerade {self}");
        let why = format!("{uplink} is a port of {bridge}: what dom0 routes leaves by the bridge");
        Err(Error::cannot(ErrorKind::InvalidArgument, what, why).with_advice(format!("name the bridge: {bridge}")))
    }

    pub(crate) fn plan_delete(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        if !now.masquerades.contains(self) {
            return Ok(Plan::default());
        }
        let plan = Plan::from_iter([Step::DeleteMasquerade { masquerade: self.clone() }]);
        let table = step_delete_table(&now.after(&plan));
        Ok(plan.then(table.into_iter().collect()))
    }
}

/// The table goes with the last thing in it.
pub(crate) fn step_delete_table(now: &Snapshot) -> Option<Step> {
    (now.has(Table::Inet)
        && now.masquerades.is_empty()
        && now.networks.is_empty()
        && now.ingress.is_empty()
        && now.guards.is_empty())
    .then_some(Step::DeleteTable { table: Table::Inet })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_of_the_uplinks_name_is_placed_in_the_whole_text() {
        let error = "10.0.0.0/8 via a-name-too-long-".parse::<Masquerade>().unwrap_err();
        assert_eq!(error.offset(), Some(30), "{error}");
    }

    #[test]
    fn printing_and_parsing_agree() {
        for text in [
            "10.98.98.0/24",
            "10.0.0.0/8 via eth0",
            "10.0.0.0/8 everywhere",
            "fd00::/8 everywhere via eth0",
            "2001:db8::/32",
            "fd00::/8 via x via y",
        ] {
            match text.parse::<Masquerade>() {
                Ok(rule) => assert_eq!(rule.to_string(), text),
                Err(error) => assert!(text.contains("x via y"), "{error}"),
            }
        }
        assert_eq!("10.0.0.0/33".parse::<Masquerade>().unwrap_err().kind(), ErrorKind::Parse);
    }
}
