//! What guests may reach on dom0 itself.

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::text::{nearest, quoted};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

/// What the guests behind an interface, a bridge or a routed vif, may reach on dom0 itself: on any
/// of its addresses, also the outer ones. What dom0 merely forwards for them is another matter, and
/// so is what it began itself: answers do arrive. Neighbour discovery always does, or the guests
/// could not reach their gateway.
///
/// Enforced in the input hook of `table inet xenvnet_dom0`, which follows connections
/// (nf_conntrack); without any such setting the table is not there, and nothing is followed.
///
/// ```
/// use xenvnet_core::{Dom0, Service};
/// let access: Dom0 = "services(dns,icmp,tcp:8080)".parse()?;
/// assert_eq!(access, Dom0::Services([Service::Dns, Service::Icmp, Service::Tcp(8080)].into()));
/// assert_eq!(access.to_string(), "services(dns,icmp,tcp:8080)");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Dom0 {
    /// Everything that dom0's own firewall lets in.
    #[default]
    Open,
    /// These services, and nothing else.
    Services(BTreeSet<Service>),
    /// Nothing.
    Closed,
}

/// A service of dom0's.
///
/// ```
/// assert_eq!(xenvnet_core::Service::Dhcp.to_string(), "dhcp");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Service {
    /// DHCP and DHCPv6 servers: UDP ports 67 and 547.
    Dhcp,
    /// Name servers: TCP and UDP port 53.
    Dns,
    /// Being pinged: ICMP and ICMPv6 echo requests.
    Icmp,
    /// Time servers: UDP port 123.
    Ntp,
    /// Router advertisements: being solicited for them (ICMPv6 type 133).
    Ra,
    /// A TCP port.
    Tcp(u16),
    /// A UDP port.
    Udp(u16),
}

/// Protocol numbers (IANA).
const TCP: u8 = 6;
const UDP: u8 = 17;

/// The longest text of a setting: it is the comment of a set element.
const TEXT_MAX: usize = 240;

impl Service {
    const WORDS: [&'static str; 7] = ["dhcp", "dns", "icmp", "ntp", "ra", "tcp:PORT", "udp:PORT"];

    /// The ports that it is reached by, each with its protocol.
    pub(crate) fn ports(self) -> &'static [(u8, u16)] {
        match self {
            Service::Dhcp => &[(UDP, 67), (UDP, 547)],
            Service::Dns => &[(TCP, 53), (UDP, 53)],
            Service::Ntp => &[(UDP, 123)],
            _ => &[],
        }
    }
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Service::Dhcp => f.write_str("dhcp"),
            Service::Dns => f.write_str("dns"),
            Service::Icmp => f.write_str("icmp"),
            Service::Ntp => f.write_str("ntp"),
            Service::Ra => f.write_str("ra"),
            Service::Tcp(port) => write!(f, "tcp:{port}"),
            Service::Udp(port) => write!(f, "udp:{port}"),
        }
    }
}

impl FromStr for Service {
    type Err = Error;

    fn from_str(word: &str) -> Result<Service> {
        let port = |digits: &str| digits.parse::<u16>().ok().filter(|port| *port != 0);
        let service = match word.split_once(':') {
            None => match word {
                "dhcp" => Some(Service::Dhcp),
                "dns" => Some(Service::Dns),
                "icmp" => Some(Service::Icmp),
                "ntp" => Some(Service::Ntp),
                "ra" => Some(Service::Ra),
                _ => None,
            },
            Some(("tcp", digits)) => port(digits).map(Service::Tcp),
            Some(("udp", digits)) => port(digits).map(Service::Udp),
            Some(_) => None,
        };
        service.ok_or_else(|| {
            let error = Error::invalid(ErrorKind::Parse, format!("{} is no service of dom0's", quoted(word)));
            match nearest(word, &Service::WORDS) {
                Some(known) => error.with_advice(format!("did you mean {known}?")),
                None => error.with_advice(format!("the services are {}", Service::WORDS.join(", "))),
            }
        })
    }
}

impl Dom0 {
    /// Everything that the kernel's set of ports holds for it.
    pub(crate) fn ports(&self) -> BTreeSet<(u8, u16)> {
        let ports = |service: &Service| match *service {
            Service::Tcp(port) => vec![(TCP, port)],
            Service::Udp(port) => vec![(UDP, port)],
            other => other.ports().to_vec(),
        };
        self.services().iter().flat_map(ports).collect()
    }

    /// The services that are let through.
    ///
    /// ```
    /// assert!(xenvnet_core::Dom0::Closed.services().is_empty());
    /// ```
    pub fn services(&self) -> &BTreeSet<Service> {
        static NONE: BTreeSet<Service> = BTreeSet::new();
        match self {
            Dom0::Services(services) => services,
            Dom0::Open | Dom0::Closed => &NONE,
        }
    }

    /// As the kernel holds it: what is open is not held at all.
    pub(crate) fn shield(&self) -> Option<Dom0> {
        (*self != Dom0::Open).then(|| self.clone())
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for more services than fit the comment that remembers them
    /// (some 30), and for an empty list of them: that would be `closed`.
    ///
    /// ```
    /// assert!(xenvnet_core::Dom0::Services(Default::default()).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::invalid(ErrorKind::InvalidArgument, why));
        match self {
            Dom0::Services(services) if services.is_empty() => refuse("a list of services without one".to_owned()),
            _ if self.to_string().len() > TEXT_MAX => refuse(format!("too many services: {}", self.services().len())),
            _ => Ok(()),
        }
    }

    /// Brings the setting about for an interface; it need not exist yet. The table goes with the
    /// last of them.
    pub(crate) fn plan(&self, interface: IfName, now: &Snapshot) -> Result<Plan> {
        self.validate().map_err(|error| error.doing(format!("set what guests on {interface} reach on dom0")))?;
        if let Some(bridge) = now.link(interface).and_then(|link| link.master).filter(|_| *self != Dom0::Open) {
            return Err(Error::cannot(
                ErrorKind::InvalidArgument,
                format!("set what guests on {interface} reach on dom0"),
                format!("{interface} is a port of {bridge}, by which its packets come in"),
            )
            .with_advice(format!("set it on {bridge}")));
        }
        let steps = self.steps(interface, now);
        let was_last = *self == Dom0::Open && now.all_dom0 && now.dom0.keys().eq([&interface]);
        let table = was_last.then_some(Step::DeleteTable { table: Table::Dom0 });
        Ok(steps.into_iter().chain(table).collect())
    }

    pub(crate) fn steps(&self, interface: IfName, now: &Snapshot) -> Vec<Step> {
        let (from, to) = (now.dom0.get(&interface).cloned(), self.shield());
        if from == to {
            return Vec::new();
        }
        let ready = to.as_ref().and_then(|_| now.step_ready(Table::Dom0));
        ready.into_iter().chain([Step::SetDom0 { interface, from, to }]).collect()
    }

    /// As it is where nobody says anything, once and for all: for an interface that goes.
    pub(crate) fn forget(interface: IfName, now: &Snapshot) -> Plan {
        Dom0::Open.plan(interface, now).unwrap_or_default()
    }
}

/// What several operations set one after the other is set once, to the last: nothing is open, or shut,
/// for a moment in between.
pub(crate) fn settled(plan: Plan) -> Plan {
    let is_set = |step: &&Step| matches!(step, Step::SetDom0 { .. });
    if plan.steps().iter().filter(is_set).count() < 2 {
        return plan;
    }
    let mut steps: Vec<Step> = Vec::with_capacity(plan.steps().len());
    let mut places = BTreeMap::new();
    for step in plan.steps() {
        if let Step::SetDom0 { interface, to, .. } = step {
            let place = *places.entry(*interface).or_insert(steps.len());
            if let Some(Step::SetDom0 { to: earlier, .. }) = steps.get_mut(place) {
                earlier.clone_from(to);
                continue;
            }
        }
        steps.push(step.clone());
    }
    steps.retain(|step| !matches!(step, Step::SetDom0 { from, to, .. } if from == to));
    let is_used = steps.iter().any(|step| matches!(step, Step::SetDom0 { .. }));
    let comes = |step: &Step| matches!(step, Step::AddTable { table: Table::Dom0 });
    let goes = |step: &Step| matches!(step, Step::DeleteTable { table: Table::Dom0 });
    if !is_used && steps.iter().any(comes) && steps.iter().any(goes) {
        steps.retain(|step| !comes(step) && !goes(step));
    }
    steps.into_iter().collect()
}

impl fmt::Display for Dom0 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dom0::Open => f.write_str("open"),
            Dom0::Closed => f.write_str("closed"),
            Dom0::Services(services) => {
                let words: Vec<_> = services.iter().map(Service::to_string).collect();
                write!(f, "services({})", words.join(","))
            }
        }
    }
}

impl FromStr for Dom0 {
    type Err = Error;

    /// Reads `open`, `closed` and `services(dns,tcp:8080)`.
    fn from_str(text: &str) -> Result<Dom0> {
        match text {
            "open" => return Ok(Dom0::Open),
            "closed" => return Ok(Dom0::Closed),
            _ => {}
        }
        let Some(list) = text.strip_prefix("services(").and_then(|rest| rest.strip_suffix(')')) else {
            return Err(Error::invalid(ErrorKind::Parse, format!("{} is no setting for dom0", quoted(text)))
                .at(0)
                .with_advice("write open, closed or services(dhcp,dns,...)"));
        };
        let mut services = BTreeSet::new();
        let mut offset = "services(".len();
        for word in list.split(',') {
            services.insert(word.parse::<Service>().map_err(|error| error.at(offset))?);
            offset += word.len() + 1;
        }
        let access = Dom0::Services(services);
        access.validate()?;
        Ok(access)
    }
}

impl From<Dom0> for String {
    fn from(access: Dom0) -> String {
        access.to_string()
    }
}

impl TryFrom<String> for Dom0 {
    type Error = Error;

    fn try_from(text: String) -> Result<Dom0> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_typo_is_named_with_its_byte() {
        let error = "services(dns,dhpc)".parse::<Dom0>().unwrap_err();
        assert_eq!((error.to_string().as_str(), error.offset()), ("\"dhpc\" is no service of dom0's", Some(13)));
        for text in ["", "shut", "services", "services()", "services(tcp:0)", "services(tcp:65536)", "services(dns"] {
            assert_eq!(text.parse::<Dom0>().unwrap_err().kind(), ErrorKind::Parse, "{text}");
        }
    }

    #[test]
    fn too_many_services_are_refused() {
        let services = (1000..1100).map(Service::Tcp).collect();
        assert_eq!(Dom0::Services(services).validate().unwrap_err().kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn what_is_set_twice_is_set_once_to_the_last() {
        let set = |name: &str, from: Option<Dom0>, to: Option<Dom0>| Step::SetDom0 {
            interface: name.parse().unwrap(),
            from,
            to,
        };
        let [add, delete] = [Step::AddTable { table: Table::Dom0 }, Step::DeleteTable { table: Table::Dom0 }];
        let ntp = || Some(Dom0::Services([Service::Ntp].into()));
        let up = Step::Up { link: "a".parse().unwrap() };
        let twice = [set("a", None, Some(Dom0::Closed)), up.clone(), set("b", None, ntp()), set("a", ntp(), ntp())];
        let once = [set("a", None, ntp()), up.clone(), set("b", None, ntp())];
        assert_eq!(settled(Plan::from_iter(twice)), Plan::from_iter(once));
        let there_and_back = [add, set("a", None, ntp()), up.clone(), set("a", ntp(), None), delete];
        assert_eq!(settled(Plan::from_iter(there_and_back)), Plan::from_iter([up]));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "(services\\()?\\PC{0,30}\\)?") {
            if let Ok(access) = text.parse::<Dom0>() {
                prop_assert_eq!(access.to_string().parse::<Dom0>().unwrap(), access);
            }
        }
    }
}
