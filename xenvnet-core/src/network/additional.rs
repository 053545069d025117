//! One more port for a bridge that is there.

use super::line::Fields;
use super::{Network, NetworkRecord};
use crate::bridge;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::vif::VifId;
use std::fmt;

/// `network-bridge-additional`: an interface becomes a port of a bridge that is there.
///
/// ```
/// use xenvnet_core::{AdditionalPort, Network};
/// let network: Network = AdditionalPort::new("eth0".parse()?).port("vif0.1".parse()?).into();
/// assert_eq!(network.to_string(), "network-bridge-additional bridge=eth0 netdev=vif0.1");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct AdditionalPort {
    /// The bridge.
    pub bridge: IfName,
    /// The interface; unless told, `vif0.N` with the number that the default route's interface has in
    /// its name (0 where it has none).
    pub port: Option<IfName>,
}

impl AdditionalPort {
    /// For this bridge.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::AdditionalPort::new("xenbr0".parse()?).port, None);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(bridge: IfName) -> AdditionalPort {
        AdditionalPort { bridge, port: None }
    }

    /// This interface.
    ///
    /// ```
    /// assert!(xenvnet_core::AdditionalPort::new("xenbr0".parse()?).port("vif0.0".parse()?).port.is_some());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn port(mut self, port: IfName) -> AdditionalPort {
        self.port = Some(port);
        self
    }

    pub(super) const KEYS: [&str; 4] = ["bridge", "netdev", "vifnum", "antispoof"];

    pub(super) fn read(fields: &Fields<'_>) -> Result<AdditionalPort> {
        if fields.yes_or_no("antispoof")? == Some(true) {
            return Err(Error::invalid(ErrorKind::Unsupported, "antispoof=yes belongs to the bridge, not to one port")
                .with_advice("say it where the bridge is started"));
        }
        let vifnum = fields.number("vifnum")?;
        let port = match (fields.name("netdev")?, vifnum) {
            (Some(port), _) => Some(port),
            (None, Some(number)) => Some(format!("vif0.{number}").parse()?),
            (None, None) => None,
        };
        let bridge = match fields.name("bridge")? {
            Some(bridge) => bridge,
            None => format!("xenbr{}", vifnum.unwrap_or(0)).parse()?,
        };
        Ok(AdditionalPort { bridge, port })
    }

    pub(super) fn resolve(&self, now: &Snapshot) -> Result<AdditionalPort> {
        let digits = |name: IfName| name.as_str().chars().filter(char::is_ascii_digit).collect::<String>();
        let number = || now.default_link().map(digits).filter(|digits| !digits.is_empty());
        let port = match self.port {
            Some(port) => port,
            None => format!("vif0.{}", number().unwrap_or_else(|| "0".to_owned())).parse()?,
        };
        Ok(self.clone().port(port))
    }

    pub(super) fn plan_start(&self, port: IfName, what: &str, now: &Snapshot) -> Result<Plan> {
        let network = Network::from(self.clone());
        let runs = network.is_running(now)?;
        now.expect_bridge(self.bridge, || what.to_owned())
            .map_err(|error| error.with_advice("start its network first, or name another bridge: bridge=NAME"))?;
        let link = now
            .expect_link(port, || what.to_owned())
            .map_err(|error| error.with_advice("name the interface: netdev=NAME, or vifnum=N for vif0.N"))?;
        let of_guest =
            link.xen_name().and_then(|name| name.as_str().parse::<VifId>().ok()).filter(|id| id.domid() != 0);
        if link.is_vif() || of_guest.is_some() {
            return Err(Error::cannot(ErrorKind::InvalidArgument, what, format!("{port} is a guest's interface"))
                .with_advice(format!("attach it with its lock: xenvnet vif attach {port} --bridge {}", self.bridge)));
        }
        if now.addresses.get(&port).is_some_and(|addresses| !addresses.is_empty()) && link.master.is_none() {
            return Err(Error::cannot(ErrorKind::Conflict, what, format!("dom0 has addresses on {port}")).with_advice(
                format!("let a bridge take it over: network-bridge netdev={port} bridge={}", self.bridge),
            ));
        }
        if !runs && link.master == Some(self.bridge) {
            return Err(Error::cannot(
                ErrorKind::AlreadyExists,
                what,
                format!("{port} is a port of {} already, and not by a network of ours", self.bridge),
            )
            .with_advice("leave it: the bridge has it; what ours did not begin, ours does not end"));
        }
        let record = NetworkRecord::new(network, []);
        let mut plan: Plan = if runs { Plan::default() } else { record.steps_add(now).into_iter().collect() };
        plan = plan.then(bridge::plan_enslave(port, self.bridge, now).map_err(|error| error.doing(what))?);
        if !link.up {
            plan.extend([Step::Up { link: port }]);
        }
        Ok(plan)
    }

    pub(super) fn plan_stop(&self, port: IfName, now: &Snapshot) -> Result<Plan> {
        match now.link(port).and_then(|link| link.master) {
            Some(bridge) if bridge == self.bridge => bridge::plan_release(port, now),
            _ => Ok(Plan::default()),
        }
    }
}

impl fmt::Display for AdditionalPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "network-bridge-additional bridge={}", self.bridge)?;
        if let Some(port) = self.port {
            write!(f, " netdev={port}")?;
        }
        Ok(())
    }
}
