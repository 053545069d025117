//! The composite that a toolstack wants: a vif made ready, in the safe order.

use super::{VIF_GROUP, VifId};
use crate::antispoof::Lock;
use crate::bridge;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, Guard};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::plan::{LinkSettings, Plan, Step};
use crate::snapshot::{Link, Snapshot};
use serde::{Deserialize, Serialize};

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
    },
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
        Port::Bridge { bridge, isolated: false }
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Port::Bridge { bridge, .. } => bridge.fmt(f),
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
            presence: Presence::Announced,
        }
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

    /// Cut off from the other isolated ports of the bridge.
    ///
    /// ```
    /// # use xenvnet_core::{Attachment, Lock, Port};
    /// let attachment = Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, Lock::Unlocked).isolated(true);
    /// assert!(matches!(attachment.to, Port::Bridge { isolated: true, .. }));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn isolated(mut self, cut_off: bool) -> Attachment {
        let Port::Bridge { isolated, .. } = &mut self.to;
        *isolated = cut_off;
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
        let Port::Bridge { bridge, .. } = self.to;
        if bridge == self.vif || bridge == self.final_name() {
            return refuse("the vif and the bridge have one name".to_owned());
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
    /// The interface that is meant: by the name that netback gave it, or, when an earlier call
    /// renamed it already, by its new name with the old one as its alias.
    fn link<'a>(&self, now: &'a Snapshot, what: impl Fn() -> String) -> Result<&'a Link> {
        let renamed = self.name.filter(|name| *name != self.vif).and_then(|name| now.link(name));
        match (now.link(self.vif), renamed) {
            (Some(link), None) => Ok(link),
            (None, Some(link)) if link.alias == self.vif.as_str() => Ok(link),
            (_, Some(link)) => Err(Error::cannot(
                ErrorKind::AlreadyExists,
                what(),
                format!("the name {} is taken by another interface", link.name),
            )),
            (None, None) => Err(Error::cannot(ErrorKind::NotFound, what(), format!("no interface named {}", self.vif))),
        }
    }

    pub(crate) fn plan(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        let Port::Bridge { bridge, isolated } = self.to;
        let what = || format!("attach {} to {bridge}", self.vif);
        let link = self.link(now, what)?;
        let master = now.expect_bridge(bridge, what)?;
        if !self.lock.is_guarded() && now.networks.get(&bridge).is_some_and(|record| record.network.demands_lock()) {
            return Err(Error::cannot(
                ErrorKind::InvalidArgument,
                what(),
                format!("the network of {bridge} has antispoof=yes"),
            )
            .with_advice("give the guest's mac= and ip="));
        }
        let name = self.final_name();
        let guarded = self.lock.is_guarded();
        let group = if guarded { VIF_GROUP } else { 0 };
        let wanted = LinkSettings {
            mac: Some(MacAddr::VIF_BACKEND),
            mtu: Some(self.mtu.unwrap_or(master.mtu)),
            group: Some(group),
            auto_link_local: Some(false),
            alias: (name != self.vif).then(|| self.vif.to_string()),
        };
        let enslave = bridge::step_enslave(link, bridge, guarded.then_some(&self.lock), isolated, what)?;
        let settings = wanted.difference(link);

        let mut plan = Plan::default();
        // What cannot change while frames flow, or would let some through unseen.
        let changes_mac = settings.as_ref().is_some_and(|(_, to)| to.mac.is_some());
        let pause = link.up && (link.name != name || enslave.is_some() || changes_mac);
        if pause {
            plan.extend([Step::Down { link: link.name }]);
        }
        if link.name != name {
            // A lock that was set under the old name goes with it.
            plan.extend(guard::step_guard(link.name, now.guards.get(&link.name), None, now));
            plan.extend([Step::Rename { from: link.name, to: name }]);
        }
        let to = guarded.then(|| Guard::new(link.index, self.lock.clone()).owner(self.vif));
        let stale = now.drops.iter().filter(|drops| drops.vif == name && now.guard_of(name).is_none());
        let stale: Vec<_> = stale.map(|drops| drops.reason).collect();
        if !stale.is_empty() {
            plan.extend([Step::ForgetDrops { vif: name, reasons: stale }]);
        }
        plan.extend(guard::step_guard(name, now.guards.get(&name), to.as_ref(), now));
        plan.extend(settings.map(|(from, to)| Step::SetLink { link: name, from, to }));
        let state = match (&enslave, link.port) {
            (Some(Step::Enslave { state, .. }), _) => *state,
            (_, port) => guard::port_state(&self.lock, isolated, port.unwrap_or_default()),
        };
        match enslave {
            Some(Step::Enslave { macs, pinning, .. }) => {
                plan.extend([Step::Enslave { port: name, bridge, state, macs, pinning }]);
            }
            _ => plan.extend(self.steps_port(link, now, isolated)),
        }
        if !link.up || pause {
            plan.extend([Step::Check { port: name, bridge, group, state }, Step::Up { link: name }]);
        }
        Ok(plan)
    }

    /// What changes on a port that stays where it is.
    fn steps_port(&self, link: &Link, now: &Snapshot, isolated: bool) -> Vec<Step> {
        let mut steps = guard::steps_port(self.final_name(), link, &self.lock, now);
        if let Some(from) = link.port
            && from.isolated != isolated
        {
            let from = guard::port_state(&self.lock, from.isolated, from);
            steps.push(Step::SetPort {
                port: self.final_name(),
                from,
                to: guard::port_state(&self.lock, isolated, from),
            });
        }
        steps
    }
}

/// Takes a vif off: down, off its bridge, its lock and counters gone. It may be named as netback
/// named it, whatever it is called since. The interface stays in the vifs' group, so that as long as
/// our table is there whoever sets it up again without a lock gets nothing through.
pub(crate) fn plan_detach(vif: IfName, now: &Snapshot) -> Plan {
    let known = now.link(vif).is_some() || now.guards.contains_key(&vif);
    let renamed = || {
        let links = now.links.values().filter(|link| link.alias == vif.as_str()).map(|link| link.name);
        links.chain(now.guards.iter().filter(|(_, guard)| guard.owner == Some(vif)).map(|(name, _)| *name)).next()
    };
    let vif = if known { vif } else { renamed().unwrap_or(vif) };
    let mut plan = Plan::default();
    if let Some(link) = now.link(vif) {
        match link.master {
            Some(bridge) => plan.extend(bridge::steps_release(link, bridge, now)),
            None if link.up && link.is_vif() => plan.extend([Step::Down { link: vif }]),
            None => {}
        }
    }
    plan.extend(guard::step_guard(vif, now.guards.get(&vif), None, now));
    let reasons: Vec<_> = now.drops.iter().filter(|drops| drops.vif == vif).map(|drops| drops.reason).collect();
    if !reasons.is_empty() {
        plan.extend([Step::ForgetDrops { vif, reasons }]);
    }
    plan
}
