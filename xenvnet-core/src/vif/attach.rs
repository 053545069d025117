//! A vif made ready, in the order that never leaves it up without its lock.

use super::{Attachment, Port, VIF_GROUP};
use crate::bridge;
use crate::dom0::Dom0;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::{self, Guard, Hold};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::plan::{LinkSettings, Plan, Step};
use crate::snapshot::{Link, PortState, Snapshot};
use crate::table::Table;
use crate::untracked::{Untracked, step_tracking};
use ipnetwork::{IpNetwork, Ipv6Network};
use std::net::IpAddr;

impl Attachment {
    pub(crate) fn plan(&self, now: &Snapshot) -> Result<Plan> {
        self.validate()?;
        let what = || format!("attach {} to {}", self.vif, self.to);
        let link = self.link(now, what)?;
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

    fn settings(&self, mtu: Option<u32>) -> LinkSettings {
        LinkSettings {
            mac: Some(MacAddr::VIF_BACKEND),
            mtu,
            group: Some(if self.lock.is_guarded() { VIF_GROUP } else { 0 }),
            auto_link_local: Some(false),
            alias: (self.final_name() != self.vif).then(|| self.vif.to_string()),
        }
    }

    /// The renaming, and the locks of these tables, under the name that it has by then.
    fn steps_held(&self, link: &Link, tables: &[Table], now: &Snapshot) -> Vec<Step> {
        let name = self.final_name();
        let mut steps = Vec::new();
        if link.name != name {
            // A lock that was set under the old name goes with it.
            for table in [Table::Bridge, Table::Netdev] {
                steps.extend(guard::step_guard(table, link.name, now.guards_in(table).get(&link.name), None, now));
            }
            steps.extend(guard::step_hook(link.name, false, now));
            steps.extend(guard::steps_forget(link.name, now, |_| true));
            steps.extend([Step::Rename { from: link.name, to: name }]);
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

    /// Routed: held at ingress, then up, then found by its routes.
    fn plan_routed(&self, link: &Link, now: &Snapshot) -> Result<Plan> {
        let Port::Routed { gateways, dom0, .. } = &self.to else { return Ok(Plan::default()) };
        let what = || format!("attach {} to {}", self.vif, self.to);
        if let Some(bridge) = link.master {
            return Err(Error::cannot(ErrorKind::Conflict, what(), format!("{} is a port of {bridge}", link.name))
                .with_advice(format!("detach it first: xenvnet vif detach {}", link.name)));
        }
        let name = self.final_name();
        let settings = self.settings(self.mtu).difference(link);
        let mut plan = Plan::default();
        let changes_mac = settings.as_ref().is_some_and(|(_, to)| to.mac.is_some());
        let held = now.guard_at(Table::Netdev, link.name).is_some() && now.hooks.contains(&link.name);
        let pause = link.up && (link.name != name || changes_mac || (self.lock.is_guarded() && !held));
        if pause {
            plan.extend(steps_unroute(link.name, |_| true, now));
            plan.extend([Step::Down { link: link.name }]);
        }
        plan.extend(self.steps_held(link, &[Table::Netdev], now));
        if link.name != name {
            plan.extend(Dom0::Open.steps(link.name, now));
        }
        plan.extend(dom0.steps(name, now));
        plan.extend(settings.map(|(from, to)| Step::SetLink { link: name, from, to }));
        if !link.up || pause {
            let group = if self.lock.is_guarded() { VIF_GROUP } else { 0 };
            let check = Step::Check { link: name, group, bridge: None, state: PortState::default() };
            plan.extend([check, Step::Up { link: name }]);
        }
        let after = now.after(&plan);
        let wanted: Vec<IpNetwork> = self.routed_nets();
        plan.extend(steps_unroute(name, |net| !wanted.contains(net), &after).filter(|step| match step {
            Step::DeleteAddress { address, .. } => !gateways.iter().any(|ip| own_address(*ip) == *address),
            _ => true,
        }));
        let after = now.after(&plan);
        for address in gateways.iter().copied().map(own_address) {
            if !after.addresses.get(&name).is_some_and(|have| have.contains(&address)) {
                plan.extend([Step::AddAddress { link: name, address }]);
            }
        }
        let mut routed = std::collections::BTreeSet::new();
        for subnet in wanted {
            if routed.insert(subnet) && !after.routes.get(&name).is_some_and(|have| have.contains(&subnet)) {
                plan.extend([Step::AddRoute { link: name, subnet }]);
            }
        }
        Ok(plan)
    }
}

/// A gateway as an address of dom0's: by itself, but a link-local one with the prefix that all of
/// them share (RFC 4291), or dom0 would not find the guest's own.
fn own_address(ip: IpAddr) -> IpNetwork {
    match ip {
        IpAddr::V6(six) if six.is_unicast_link_local() => {
            IpNetwork::V6(Ipv6Network::new_checked(six, 64).unwrap_or_else(|| six.into()))
        }
        _ => ip.into(),
    }
}

/// Routes over an interface and dom0's addresses on it, taken away.
pub(super) fn steps_unroute<'a>(
    name: IfName,
    goes: impl Fn(&IpNetwork) -> bool + 'a,
    now: &'a Snapshot,
) -> impl Iterator<Item = Step> + 'a {
    let routes = now.routes.get(&name).into_iter().flatten().copied();
    let addresses = now.addresses.get(&name).into_iter().flatten().copied();
    let routes = routes.filter(move |net| goes(net)).map(move |subnet| Step::DeleteRoute { link: name, subnet });
    routes.chain(addresses.map(move |address| Step::DeleteAddress { link: name, address }))
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
        if !lock.is_guarded() && now.networks.get(&bridge).is_some_and(|record| record.network.demands_lock()) {
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
