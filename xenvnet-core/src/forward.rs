//! Ports of dom0 that lead to a guest.

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::text::quoted;
use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

/// A transport protocol whose ports can lead to a guest.
///
/// ```
/// assert_eq!(xenvnet_core::Protocol::Tcp.to_string(), "tcp");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// Its number (IANA).
    pub(crate) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// A port of dom0, on all of its addresses: `tcp:8080`.
///
/// ```
/// use xenvnet_core::{Dom0Port, Protocol};
/// assert_eq!("tcp:8080".parse::<Dom0Port>()?, Dom0Port::new(Protocol::Tcp, 8080));
/// assert!("tcp:0".parse::<Dom0Port>().is_err());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Dom0Port {
    /// Of which protocol.
    pub protocol: Protocol,
    /// 1 to 65,535.
    pub port: u16,
}

impl Dom0Port {
    /// This one.
    ///
    /// ```
    /// # use xenvnet_core::{Dom0Port, Protocol};
    /// assert_eq!(Dom0Port::new(Protocol::Udp, 53).to_string(), "udp:53");
    /// ```
    pub fn new(protocol: Protocol, port: u16) -> Dom0Port {
        Dom0Port { protocol, port }
    }
}

impl fmt::Display for Dom0Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.protocol, self.port)
    }
}

impl FromStr for Dom0Port {
    type Err = Error;

    fn from_str(text: &str) -> Result<Dom0Port> {
        let wrong = |at: usize| {
            Error::invalid(ErrorKind::Parse, format!("{} is no port of dom0's", quoted(text)))
                .at(at)
                .with_advice("write tcp:PORT or udp:PORT")
        };
        let (protocol, port) = text.split_once(':').ok_or_else(|| wrong(0))?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(wrong(0)),
        };
        match port.parse() {
            Ok(port @ 1..) => Ok(Dom0Port { protocol, port }),
            _ => Err(wrong(text.len() - port.len())),
        }
    }
}

impl TryFrom<String> for Dom0Port {
    type Error = Error;

    fn try_from(text: String) -> Result<Dom0Port> {
        text.parse()
    }
}

impl From<Dom0Port> for String {
    fn from(port: Dom0Port) -> String {
        port.to_string()
    }
}

/// A port of dom0 that leads to a port of a guest. Whoever connects to it, on any address that dom0
/// has but those of its loopback, reaches the guest: from outside, from dom0, and from other guests.
/// What dom0 itself serves on that port is reached by its loopback only. Whether dom0 forwards at all is another matter: see
/// [`Network`](crate::Network).
///
/// Held in `table inet xenvnet_forwards`, which follows connections (nf_conntrack); without any such
/// port the table is not there. Needs nft_fib and Linux 5.6.
///
/// ```
/// use xenvnet_core::Forward;
/// let forward: Forward = "tcp:8080 to 10.98.98.2:80".parse()?;
/// assert_eq!(forward, Forward::new("tcp:8080".parse()?, "10.98.98.2:80".parse().unwrap()));
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[doc(alias = "DNAT")]
pub struct Forward {
    /// The port of dom0, for the address family of the guest's address.
    pub port: Dom0Port,
    /// The guest's address and port.
    pub to: SocketAddr,
    /// The interface that the guest is behind: others behind it are answered by way of dom0, or they
    /// would be answered by an address that they did not ask. Unless told, found by dom0's addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<IfName>,
}

impl Forward {
    /// This port leads there.
    ///
    /// ```
    /// # use xenvnet_core::Forward;
    /// assert_eq!(Forward::new("udp:53".parse()?, "[fd00::2]:53".parse().unwrap()).behind, None);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(port: Dom0Port, to: SocketAddr) -> Forward {
        Forward { port, to, behind: None }
    }

    /// To a guest behind this interface.
    ///
    /// ```
    /// # use xenvnet_core::Forward;
    /// let forward = Forward::new("udp:53".parse()?, "10.0.0.2:53".parse().unwrap()).behind("xenbr0".parse()?);
    /// assert_eq!(forward.to_string(), "udp:53 to 10.0.0.2:53 behind xenbr0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn behind(mut self, interface: IfName) -> Forward {
        self.behind = Some(interface);
        self
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for an address that no guest has, or port 0.
    ///
    /// ```
    /// # use xenvnet_core::Forward;
    /// assert!(Forward::new("udp:53".parse()?, "10.0.0.2:0".parse().unwrap()).validate().is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn validate(&self) -> Result<()> {
        let ip = self.to.ip();
        let refuse =
            |why: String| Err(Error::cannot(ErrorKind::InvalidArgument, format!("forward {}", self.port), why));
        if ip.is_unspecified() || ip.is_multicast() || ip.is_loopback() {
            return refuse(format!("{ip} is no guest's address"));
        }
        if matches!(self.to, SocketAddr::V6(six) if six.ip().is_unicast_link_local()) {
            return refuse(format!("{ip} is reached over one link only"));
        }
        if self.to.port() == 0 || self.port.port == 0 {
            return refuse("0 is no port".to_owned());
        }
        Ok(())
    }

    pub(crate) fn plan_add(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        let own = now.addresses.values().flatten().any(|address| address.ip() == self.to.ip());
        if own {
            let why = format!("{} is dom0's own address", self.to.ip());
            return Err(Error::cannot(ErrorKind::InvalidArgument, format!("forward {}", self.port), why)
                .with_advice("name the guest's"));
        }
        let forward = Forward { behind: self.behind.or_else(|| interface_towards(self.to, now)), ..self.clone() };
        let there =
            now.forwards.iter().find(|there| there.port == self.port && there.to.is_ipv4() == self.to.is_ipv4());
        match there {
            Some(there) if *there == forward => Ok(Plan::default()),
            Some(there) if there.to != self.to => Err(Error::cannot(
                ErrorKind::Conflict,
                format!("forward {}", self.port),
                format!("it leads to {} already", there.to),
            )
            .with_advice(format!("end that first: xenvnet forward remove {}", self.port))),
            other => {
                let former = other.map(|there| there.step_delete(now));
                let ready = now.step_ready(Table::Forwards);
                let add = Step::AddForward { alone: forward.is_alone(now), forward };
                Ok(former.into_iter().chain(ready).chain([add]).collect())
            }
        }
    }

    /// Whether no other port leads to the same one from the same side.
    pub(crate) fn is_alone(&self, now: &Snapshot) -> bool {
        let same = |other: &&Forward| {
            (other.port.protocol, other.to, other.behind) == (self.port.protocol, self.to, self.behind)
        };
        now.forwards.iter().filter(same).all(|other| other.port == self.port)
    }

    fn step_delete(&self, now: &Snapshot) -> Step {
        Step::DeleteForward { forward: self.clone(), alone: self.is_alone(now) }
    }
}

/// Ends what leads from a port, of both address families. The table goes with the last of them.
pub(crate) fn plan_delete(port: Dom0Port, now: &Snapshot) -> Plan {
    let ended = now.forwards.iter().filter(|forward| forward.port == port);
    let mut plan: Plan = ended.map(|forward| forward.step_delete(now)).collect();
    if !plan.is_empty() && now.after(&plan).forwards.is_empty() {
        plan.extend([Step::DeleteTable { table: Table::Forwards }]);
    }
    plan
}

/// The interface on which dom0 has an address in the guest's network, or a route to it.
fn interface_towards(to: SocketAddr, now: &Snapshot) -> Option<IfName> {
    let nets = |of: &'_ std::collections::BTreeMap<IfName, std::collections::BTreeSet<IpNetwork>>| {
        let all = of.iter().flat_map(|(name, nets)| nets.iter().map(move |net| (*net, *name)));
        all.filter(|(net, _)| net.contains(to.ip())).collect::<Vec<_>>()
    };
    let all = nets(&now.addresses).into_iter().chain(nets(&now.routes));
    all.max_by_key(|(net, _)| net.prefix()).map(|(_, name)| name)
}

impl fmt::Display for Forward {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.port, self.to)?;
        self.behind.map_or(Ok(()), |behind| write!(f, " behind {behind}"))
    }
}

impl FromStr for Forward {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes.
    fn from_str(text: &str) -> Result<Forward> {
        let wrong = |at: usize| {
            Error::invalid(ErrorKind::Parse, format!("{} is no port and guest", quoted(text)))
                .at(at)
                .with_advice("write PROTO:PORT to ADDRESS:PORT")
        };
        let (port, rest) = text.split_once(" to ").ok_or_else(|| wrong(0))?;
        let (to, behind) = match rest.split_once(" behind ") {
            Some((to, behind)) => (to, Some(behind.parse()?)),
            None => (rest, None),
        };
        let forward =
            Forward { port: port.parse()?, to: to.parse().map_err(|_| wrong(text.len() - rest.len()))?, behind };
        forward.validate()?;
        Ok(forward)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_no_guest_has_is_refused() {
        for text in [
            "",
            "tcp:80",
            "tcp:80 to",
            "tcp:80 to 10.0.0.2",
            "tcp:80 to 0.0.0.0:80",
            "tcp:80 to 127.0.0.1:80",
            "sctp:80 to 10.0.0.2:80",
            "tcp:80 to [fe80::1]:80",
            "tcp:80 to [ff02::1]:80",
            "tcp:65536 to 10.0.0.2:80",
            "tcp:80 to 10.0.0.2:80 behind a/b",
        ] {
            assert!(text.parse::<Forward>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(port in 1u16.., to in 1u16.., octets: [u8; 4], udp: bool) {
            prop_assume!(!matches!(octets[0], 0 | 127 | 224..));
            let protocol = if udp { Protocol::Udp } else { Protocol::Tcp };
            let forward = Forward::new(Dom0Port::new(protocol, port), SocketAddr::from((octets, to)));
            prop_assert_eq!(forward.to_string().parse::<Forward>().unwrap(), forward);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "(tcp:80 to )?\\PC{0,30}") {
            let _ = text.parse::<Forward>();
        }
    }
}
