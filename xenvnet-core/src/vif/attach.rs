//! A vif made ready, in the order that never leaves it up without its lock.

use super::{Attachment, Port, VIF_GROUP};
use crate::account;
use crate::bridge;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, Guard, Hold};
use crate::ifname::IfName;
use crate::link::{Link, LinkSettings};
use crate::mac::MacAddr;
use crate::network::NetworkRecord;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::untracked::{Untracked, step_tracking};
use ipnetwork::IpNetwork;

impl Attachment {
    pub(crate) fn plan(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        let what = || format!("attach {} to {}", self.vif, self.to);
        let link = self.link(now, what)?;
        check_inside(link, what, now)?;
        let plan = match self.to {
            Port::Bridge { bridge, isolated, untracked } => {
                Bridged { attachment: self, link, bridge, isolated, untracked }.plan(now)?
            }
            Port::Routed { .. } => self.plan_routed(link, now)?,
        };
        Ok(plan.once_ready())
    }

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

    pub(super) fn settings(&self, mtu: Option<u32>) -> LinkSettings {
        LinkSettings {
            mac: Some(MacAddr::VIF_BACKEND),
            mtu,
            group: Some(if self.lock.is_guarded() { VIF_GROUP } else { 0 }),
            auto_link_local: Some(false),
            alias: (self.final_name() != self.vif).then(|| self.vif.to_string()),
        }
    }

    /// The account, under the name that it has by then.
    pub(super) fn steps_accounted(&self, routed: bool, now: &Snapshot) -> Vec<Step> {
        if self.accounted { account::steps_open(self.final_name(), routed, now) } else { Vec::new() }
    }

    /// The renaming, and the locks of these tables, under the name that it has by then.
    pub(super) fn steps_held(&self, link: &Link, tables: &[Table], now: &Snapshot) -> Vec<Step> {
        let name = self.final_name();
        let mut steps = Vec::new();
        if link.name != name {
            // A lock that was set under the old name goes with it.
            for table in [Table::Bridge, Table::Netdev] {
                steps.extend(guard::step_guard(table, link.name, now.guards_in(table).get(&link.name), None, now));
            }
            steps.extend(guard::step_hook(link.name, false, now));
            steps.extend(guard::steps_forget(link.name, now, |_| true));
            steps.extend([Step::Rename { from: link.name, to: name, pause: false }]);
        }
        let guard = self.lock.is_guarded().then(|| Guard::new(link.index, self.lock.clone()).owner(self.vif));
        steps.extend(guard::steps_forget(name, now, |table| match table {
            Table::Bridge | Table::Netdev => now.guard_at(table, name).is_none(),
            _ => now.guard_of(name).is_none(),
        }));
        for table in [Table::Bridge, Table::Netdev] {
            let to = guard.as_ref().filter(|_| tables.contains(&table));
            steps.extend(guard::step_guard(table, name, now.guards_in(table).get(&name), to, now));
        }
        steps.extend(guard::step_hook(name, guard.is_some() && tables.contains(&Table::Netdev), now));
        steps
    }
}

/// What leads outside is nobody's vif: with a lock on it dom0 would be cut off.
fn check_inside(link: &Link, what: impl Fn() -> String, now: &Snapshot) -> Result<()> {
    let is_guests = link.is_vif() || link.xen_name().is_some();
    // On a guest's interface dom0 has single addresses.
    let of_dom0 = |net: &&IpNetwork| match net {
        IpNetwork::V4(net) => net.prefix() < 32,
        IpNetwork::V6(net) => net.prefix() < 128 && !net.ip().is_unicast_link_local(),
    };
    let address = now.addresses.get(&link.name).and_then(|have| have.iter().find(of_dom0)).filter(|_| !is_guests);
    let leads = now.networks.values().find(|record| record.network.leads_by(link.name));
    let why = match (leads, address) {
        (Some(NetworkRecord { network, .. }), _) => format!("{} leads outside by {}", network.noun(), link.name),
        (None, Some(address)) => format!("dom0 has the address {address} on {}", link.name),
        (None, None) => return Ok(()),
    };
    let advice = "name the guest's interface, as vif1.0; `ip link` lists all there are";
    Err(Error::cannot(ErrorKind::Conflict, what(), why).with_advice(advice))
}

/// An attachment to a bridge.
struct Bridged<'a> {
    attachment: &'a Attachment,
    link: &'a Link,
    bridge: IfName,
    isolated: bool,
    untracked: bool,
}

impl Bridged<'_> {
    fn what(&self) -> String {
        format!("attach {} to {}", self.attachment.vif, self.bridge)
    }

    /// The other port of the guest's card, if it is on the bridge.
    fn twin<'s>(&self, now: &'s Snapshot) -> Option<&'s Link> {
        now.twin_of_xen(self.attachment.vif, self.bridge)
    }

    fn plan(&self, now: &Snapshot) -> Result<Plan> {
        let Bridged { attachment, link, bridge, isolated, .. } = *self;
        let what = || self.what();
        let master = now.expect_bridge(bridge, what)?;
        let lock = &attachment.lock;
        if !lock.is_guarded() && now.network_on(bridge).is_some_and(|record| record.network.demands_lock()) {
            return Err(Error::cannot(
                ErrorKind::InvalidArgument,
                what(),
                format!("the network of {bridge} has antispoof=yes"),
            )
            .with_advice("give the guest's mac= and ip="));
        }
        let held_at = |table: Table| now.guard_at(table, link.name).is_some();
        if link.master.is_none() && held_at(Table::Netdev) && !held_at(Table::Bridge) {
            return Err(Error::cannot(
                ErrorKind::Conflict,
                what(),
                format!("{} is held as a routed interface", link.name),
            )
            .with_advice(format!("detach it first: xenvnet vif detach {}", link.name)));
        }
        let name = attachment.final_name();
        let guarded = lock.is_guarded();
        let twin = self.twin(now);
        if let Some(twin) = twin.filter(|twin| !guarded && now.guard_of(twin.name).is_some()) {
            return Err(Error::cannot(
                ErrorKind::Conflict,
                what(),
                format!("{}, the other port of the same card, is locked", twin.name),
            )
            .with_advice(format!(
                "give both the same lock, or clear that one: xenvnet antispoof clear {}",
                twin.name
            )));
        }
        let paired = guarded && (attachment.vif.is_emulated() || now.is_paired(link.name) || twin.is_some());
        let stp = master.bridge.is_some_and(|bridge| bridge.stp);
        let hold = Hold { guarded, isolated, paired, stp, guest: true };
        let enslave = bridge::step_enslave(link, bridge, hold, lock.macs(), now, what)?;
        let settings = attachment.settings(Some(attachment.mtu.unwrap_or(master.mtu))).difference(link);

        let mut plan = Plan::default();
        // What cannot change while frames flow, or would let some through unseen.
        let changes_mac = settings.as_ref().is_some_and(|(_, to)| to.mac.is_some());
        let becomes_paired = paired && !now.is_paired(link.name);
        let pause = link.up && (link.name != name || enslave.is_some() || changes_mac || becomes_paired);
        if pause {
            plan.extend([Step::Down { link: link.name }]);
        }
        let tables: &[Table] = if paired { &[Table::Bridge, Table::Netdev] } else { &[Table::Bridge] };
        plan.extend(attachment.steps_held(link, tables, now));
        plan.extend(self.steps_tracking(master, now));
        plan.extend(attachment.steps_accounted(false, now));
        plan.extend(settings.map(|(from, to)| Step::SetLink { link: name, from, to }));
        let state = hold.state(link.port.unwrap_or_default());
        match enslave {
            Some(Step::Enslave { macs, pinning, state, .. }) => {
                plan.extend([Step::Enslave { port: name, bridge, state, macs, pinning }]);
            }
            _ => plan.extend(guard::steps_port(name, link, lock, hold, now)),
        }
        if !link.up || pause {
            let group = if guarded { VIF_GROUP } else { 0 };
            plan.extend([Step::Check { link: name, group, bridge: Some(bridge), state }, Step::Up { link: name }]);
        }
        if let Some(twin) = twin {
            plan = plan.then(self.plan_twin(twin, paired, now));
        }
        Ok(plan)
    }

    /// The other port of the same card has the same lock. It was pinned as long as it was alone: it
    /// is taken down for the moment in which it is held otherwise.
    fn plan_twin(&self, twin: &Link, paired: bool, now: &Snapshot) -> Plan {
        let steps = guard::steps(twin, &self.attachment.lock, paired, now);
        let pause = twin.up && paired != now.is_paired(twin.name);
        let port = twin.port.unwrap_or_default();
        let state = guard::hold(twin, &self.attachment.lock, paired, now).state(port);
        let group = if paired { VIF_GROUP } else { 0 };
        let check = Step::Check { link: twin.name, group, bridge: twin.master, state };
        let before = pause.then_some(Step::Down { link: twin.name });
        let after = if pause { vec![check, Step::Up { link: twin.name }] } else { Vec::new() };
        before.into_iter().chain(steps).chain(after).collect()
    }

    fn steps_tracking(&self, master: &Link, now: &Snapshot) -> Vec<Step> {
        let name = self.attachment.final_name();
        let mut steps = Vec::new();
        if name != self.link.name {
            steps.extend(step_tracking(self.link.name, None, now));
        }
        let bridge = master.mac.filter(|_| self.untracked);
        let to = bridge.map(|mac| Untracked::new(mac, self.attachment.lock.macs().to_vec()));
        steps.extend(step_tracking(name, to, now));
        steps
    }
}
