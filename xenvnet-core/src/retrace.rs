//! The way back of a change, on a host that has gone on since: what of it is still to be done, and what others
//! have changed by now so that it must not be.

use crate::account::Account;
use crate::apply::Names;
use crate::entry::{Entry, EntryKind};
use crate::forward::Forward;
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::link::{Link, LinkSettings, PortState};
use crate::network::NetworkRecord;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use ipnetwork::IpNetwork;
use std::collections::BTreeMap;
use std::fmt::Display;

/// What a step back would meet.
enum Sight {
    /// What the change had left: it is taken.
    Ahead,
    /// The same, with what it takes by now.
    Instead(Step),
    /// What it would lead to, or nothing: it is left out.
    Behind,
    /// Something that somebody else brought about.
    Blocked(String),
}

use Sight::{Ahead, Behind, Blocked, Instead};

/// What is left of the way back of a change, whose interfaces had these numbers when it began. It is an error,
/// told in words, where somebody changed the host since so that it would undo what they did, or hit something
/// else: a bridge with a new port, a setting that has another value, an interface that is another's.
pub(crate) fn retrace(inverse: &Plan, seen: &BTreeMap<IfName, u32>, now: &Snapshot) -> Result<Plan, Vec<String>> {
    let mut names = Names::at_the_end(seen, inverse);
    let mut host = now.clone();
    let (mut plan, mut blocks) = (Vec::new(), Vec::new());
    for step in inverse.steps() {
        let sight = whose(step, &names, &host).unwrap_or_else(|| ahead(step, &host, inverse));
        names.after(step);
        match sight {
            Ahead => {
                host.take(step);
                plan.push(step.clone());
            }
            Instead(step) => {
                host.take(&step);
                plan.push(step);
            }
            Behind => {}
            Blocked(why) if blocks.contains(&why) => {}
            Blocked(why) => blocks.push(why),
        }
    }
    if blocks.is_empty() { Ok(plan.into_iter().collect()) } else { Err(blocks) }
}

/// What is to be said of a step because its interfaces are not there, or are others by now.
fn whose(step: &Step, names: &Names, host: &Snapshot) -> Option<Sight> {
    let found_by_name = match step {
        Step::AddBridge { .. } => Vec::new(),
        Step::Rename { from, .. } => vec![*from],
        step => step.links(),
    };
    for name in found_by_name {
        let is_there = host.link(name);
        let sight = match (names.known(name), is_there) {
            (Some(index), Some(link)) if link.index == index => continue,
            (Some(index), _) => match host.links.values().find(|link| link.index == index) {
                Some(other) => Blocked(format!("{name} is called {} by now", other.name)),
                None => gone(step, name, host),
            },
            (None, Some(_)) => continue,
            (None, None) => gone(step, name, host),
        };
        return Some(sight);
    }
    None
}

/// An interface that is gone needs nothing; but what is to come back on it, and is there, has nowhere to go.
fn gone(step: &Step, name: IfName, host: &Snapshot) -> Sight {
    match step {
        Step::Enslave { port, bridge, .. } if *bridge == name && host.link(*port).is_some() => {
            Blocked(format!("{port} was a port of {bridge}, which is gone"))
        }
        Step::DeleteBridge { mac, .. } => {
            let renamed = host.bridges().find(|bridge| bridge.mac == Some(*mac));
            renamed.map_or(Behind, |bridge| Blocked(format!("{name} is called {} by now", bridge.name)))
        }
        Step::MoveEntry { to, .. } if *to == name => Blocked(format!("{name}, which dom0 was reached by, is gone")),
        _ => Behind,
    }
}

/// Of a step whose interfaces are there.
fn ahead(step: &Step, host: &Snapshot, inverse: &Plan) -> Sight {
    use Step::*;
    let link = |name: &IfName| host.link(*name);
    match step {
        AddBridge { bridge, mac, .. } => match link(bridge) {
            None => Ahead,
            Some(there) if there.is_bridge() && there.mac == Some(*mac) => Behind,
            Some(_) => Blocked(format!("there is another {bridge} by now")),
        },
        DeleteBridge { bridge, mac, .. } => match link(bridge) {
            Some(there) if !there.is_bridge() || there.mac != Some(*mac) => {
                Blocked(format!("{bridge} is another interface by now"))
            }
            _ => unless_used(*bridge, host, inverse),
        },
        SetBridge { bridge, from, to } => {
            let what = || format!("settings of {bridge}");
            link(bridge).and_then(|link| link.bridge).map_or(Behind, |is| changed(&is, from, to, what))
        }
        Rename { to, .. } => match link(to) {
            Some(_) => Blocked(format!("the name {to} is taken by now")),
            None => Ahead,
        },
        SetLink { link: name, from, to } => link(name).map_or(Behind, |link| settings(link, from, to)),
        Up { link: name } if host.lacks_lock(*name) => {
            Blocked(format!("{name} has no lock by now; bring it back first: xenvnet verify --repair"))
        }
        Up { link: name } => unless(link(name).is_none_or(|link| link.up)),
        Down { link: name } => unless(link(name).is_none_or(|link| !link.up)),
        Enslave { port, bridge, state, .. } => match link(port).and_then(|link| Some((link.master?, link.port?))) {
            None => Ahead,
            Some((master, is)) if master == *bridge && is == known(state, is) => Behind,
            Some((other, _)) => Blocked(format!("{port} is a port of {other} by now")),
        },
        Release { port, bridge, .. } => match link(port).and_then(|link| link.master) {
            None => Behind,
            Some(master) if master == *bridge => Ahead,
            Some(other) => Blocked(format!("{port} is a port of {other} by now")),
        },
        SetPort { port, from, to } => match link(port).and_then(|link| link.port) {
            None => Blocked(format!("{port} is no port of a bridge any more")),
            Some(is) => changed(&is, &known(from, is), &known(to, is), || format!("bridge port flags of {port}")),
        },
        AddAddress { link, address } => unless(has_address(host, *link, address)),
        DeleteAddress { link, address } => unless(!has_address(host, *link, address)),
        SetSysctl { sysctl, .. } if others(host, inverse).any(|record| record.before.contains_key(sysctl)) => Behind,
        SetSysctl { sysctl, from, to } => {
            host.sysctl(*sysctl).map_or(Ahead, |is| changed(&is, from, to, || sysctl.to_string()))
        }
        AddTable { table } => unless(host.has(*table)),
        DeleteTable { table } => unless(!host.has(*table)),
        SetGuard { table, vif, from, to } => lock(host, *table, *vif, from.as_ref(), to.as_ref()),
        SetDom0 { interface, from, to } => changed(&host.dom0.get(interface).cloned(), from, to, || {
            format!("what guests on {interface} reach on dom0")
        }),
        SetUntracked { vif, from, to } => {
            let what = || format!("whether connections of {vif} are tracked");
            changed(&host.untracked.get(vif).cloned(), from, to, what)
        }
        SetAccount { name, from, to } => {
            // It has counted since.
            let number = |account: Option<&Account>| account.map(|account| account.index);
            let [is, from, to] = [host.accounts.get(name), from.as_ref(), to.as_ref()].map(number);
            match is {
                is if is == from => Ahead,
                is if is == to => Behind,
                _ => Blocked(format!("the account of {name} is another one by now")),
            }
        }
        AddMasquerade { masquerade } => unless(host.masquerades.contains(masquerade)),
        DeleteMasquerade { masquerade } => {
            let is_anothers = others(host, inverse).any(|record| record.network.masquerades().contains(masquerade));
            unless(is_anothers || !host.masquerades.contains(masquerade))
        }
        AddForward { forward, .. } => {
            let same = |there: &&Forward| there.port == forward.port && there.to.is_ipv4() == forward.to.is_ipv4();
            match host.forwards.iter().find(same) {
                None => Instead(AddForward { forward: forward.clone(), alone: forward.is_alone(host) }),
                Some(there) if there == forward => Behind,
                Some(there) => Blocked(format!("{} leads to {} by now", there.port, there.to)),
            }
        }
        DeleteForward { forward, .. } if host.forwards.contains(forward) => {
            Instead(DeleteForward { forward: forward.clone(), alone: forward.is_alone(host) })
        }
        DeleteForward { .. } => Behind,
        AddNetwork { record } => match record.network.id().and_then(|id| host.networks.get(&id)) {
            None => Ahead,
            Some(there) if there == record => Behind,
            Some(there) => Blocked(format!("another network runs there by now: {}", there.network)),
        },
        DeleteNetwork { record } => match record.network.id().and_then(|id| host.networks.get(&id)) {
            None => Behind,
            Some(there) if there == record => Ahead,
            Some(there) => Blocked(format!("it was started anew since: {}", there.network)),
        },
        AddHook { vif } => unless(host.hooks.contains(vif) || link(vif).is_none()),
        DeleteHook { vif } => unless(!host.hooks.contains(vif)),
        // Who else uses the same may have changed these; the kernel tells what is so already.
        AddFdb { .. } | DeleteFdb { .. } | AddRoute { .. } | DeleteRoute { .. } => Ahead,
        AddEntry { .. } | DeleteEntry { .. } | MoveEntry { .. } => Ahead,
        AwaitSending { .. } | AwaitAddresses { .. } | AwaitSent { .. } => Ahead,
        ForgetConnections { .. }
        | ForgetDrops { .. }
        | Check { .. }
        | RewriteTable { .. }
        | Restore { .. }
        | Sweep { .. } => Ahead,
    }
}

fn unless(is_so: bool) -> Sight {
    if is_so { Behind } else { Ahead }
}

/// A value that the change made `from`, and that was `to` before.
fn changed<T: PartialEq>(is: &T, from: &T, to: &T, what: impl FnOnce() -> String) -> Sight {
    if is == from {
        Ahead
    } else if is == to {
        Behind
    } else {
        Blocked(format!("{} changed since", what()))
    }
}

/// Networks that the way back does not stop.
fn others<'a>(host: &'a Snapshot, inverse: &Plan) -> impl Iterator<Item = &'a NetworkRecord> {
    let stopped = inverse.networks();
    host.networks.iter().filter(move |(id, _)| !stopped.contains(id)).map(|(_, record)| record)
}

/// A bridge that is to go, and what is on it that the way back does not take off.
fn unless_used(bridge: IfName, host: &Snapshot, inverse: &Plan) -> Sight {
    if let Some(port) = host.ports_of(bridge).next() {
        return Blocked(format!("{} is a port of {bridge} by now", port.name));
    }
    if let Some((upper, _)) = host.above.iter().find(|(_, under)| **under == bridge) {
        return Blocked(format!("{upper} is on {bridge} by now"));
    }
    if let Some(record) = others(host, inverse).find(|record| record.network.bridge() == Some(bridge)) {
        return Blocked(format!("a network runs on {bridge} by now: {}", record.network));
    }
    let of_bridge = || host.entries.iter().filter(|entry| entry.links().contains(&bridge));
    let comes_by_itself = |address: &IpNetwork| {
        is_link_local(address) || of_bridge().any(|entry| entry.is_passing() && entry.address() == Some(*address))
    };
    let mut addresses = host.addresses.get(&bridge).into_iter().flatten();
    if let Some(address) = addresses.find(|address| !comes_by_itself(address)) {
        return Blocked(format!("{bridge} has the address {address} by now"));
    }
    let goes = |entry: &Entry| {
        let of_step = |step: &Step| match step {
            Step::DeleteRoute { link, subnet, .. } => entry.as_direct_route() == Some((*link, *subnet)),
            Step::DeleteEntry { entry: deleted } => deleted.is_same(entry),
            _ => false,
        };
        inverse.steps().iter().any(of_step)
    };
    let mut routes = of_bridge().filter(|entry| entry.kind() == EntryKind::Route && !entry.is_passing());
    routes.find(|entry| !goes(entry)).map_or(Ahead, |route| Blocked(format!("there is a {route} by now")))
}

/// A kernel before 5.18 has no `locked`.
fn known(state: &PortState, is: PortState) -> PortState {
    PortState { locked: is.locked.and(state.locked), ..*state }
}

fn has_address(host: &Snapshot, link: IfName, address: &IpNetwork) -> bool {
    host.addresses.get(&link).is_some_and(|addresses| addresses.contains(address))
}

/// The kernel gives these by itself.
fn is_link_local(address: &IpNetwork) -> bool {
    matches!(address, IpNetwork::V6(net) if net.ip().is_unicast_link_local())
}

/// Settings of an interface, one by one: somebody may have changed one of them.
fn settings(link: &Link, from: &LinkSettings, to: &LinkSettings) -> Sight {
    fn differs<T: PartialEq + Display>(what: &str, is: Option<T>, from: Option<T>, to: Option<T>) -> Option<String> {
        let (is, from) = (is?, from?);
        (is != from && Some(&is) != to.as_ref())
            .then(|| format!("{what} is {is} by now, the change had made it {from}"))
    }
    let alias = |of: &LinkSettings| of.alias.clone();
    let found = [
        differs("the MAC address", link.mac, from.mac, to.mac),
        differs("the MTU", Some(link.mtu), from.mtu, to.mtu),
        differs("the link group", Some(link.group), from.group, to.group),
        differs("the alias", Some(link.alias.clone()), alias(from), alias(to)),
    ];
    if let Some(why) = found.into_iter().flatten().next() {
        return Blocked(format!("{}: {why}", link.name));
    }
    unless(to.difference(link).is_none())
}

/// The lock of an interface, which may be another's by now: numbers tell.
fn lock(host: &Snapshot, table: Table, vif: IfName, from: Option<&Guard>, to: Option<&Guard>) -> Sight {
    let same = |one: Option<&Guard>, other: Option<&Guard>| match (one, other) {
        (Some(one), Some(other)) => one.same(other),
        (one, other) => one.is_none() && other.is_none(),
    };
    let is = host.guards_in(table).get(&vif);
    let is_gone = |guard: &Guard| !host.links.values().any(|link| link.index == guard.device);
    if same(is, from) {
        // Somebody else's interface would be held to it.
        unless(host.link(vif).is_some() && to.is_some_and(is_gone))
    } else if same(is, to) || (is.is_none() && to.is_some_and(is_gone)) {
        Behind
    } else {
        match is {
            Some(is) if from.or(to).is_some_and(|guard| guard.device != is.device) => {
                Blocked(format!("the lock of {vif} is that of another interface by now"))
            }
            Some(_) => Blocked(format!("the lock of {vif} changed since")),
            None => Blocked(format!("the lock of {vif} is gone; bring it back first: xenvnet verify --repair")),
        }
    }
}
