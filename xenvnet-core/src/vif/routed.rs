//! A vif that dom0 routes to: held at ingress, then up, then found by its routes.

use super::{Attachment, Port, VIF_GROUP};
use crate::antispoof::Lock;
use crate::dom0::Dom0;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::link::{Link, PortState};
use crate::mac::MacAddr;
use crate::network::Network;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::sysctl::{LinkSysctl, Sysctl};
use crate::table::Table;
use ipnetwork::{IpNetwork, Ipv6Network};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Of two interfaces of one guest the emulated card is taken as long as it is there, as Xen's
/// vif-route has it since 4.13: the guest unplugs it when its own driver comes up.
const METRIC_VIF: u32 = 2;
const METRIC_EMULATED: u32 = 1;

impl Attachment {
    pub(super) fn plan_routed(&self, link: &Link, now: &Snapshot) -> Result<Plan> {
        let Port::Routed { gateways, gateway_device, dom0, .. } = &self.to else { return Ok(Plan::default()) };
        let what = || format!("attach {} to {}", self.vif, self.to);
        if let Some(bridge) = link.master {
            return Err(Error::cannot(ErrorKind::Conflict, what(), format!("{} is a port of {bridge}", link.name))
                .with_advice(format!("detach it first: xenvnet vif detach {}", link.name)));
        }
        let demands = |network: &Network| network.bridge().is_none() && network.demands_lock();
        if let Some(record) = now.networks.values().find(|record| !self.lock.is_guarded() && demands(&record.network)) {
            return Err(Error::cannot(
                ErrorKind::InvalidArgument,
                what(),
                format!("{} has antispoof=yes", record.network.noun()),
            )
            .with_advice("give the guest's mac= and ip="));
        }
        let name = self.final_name();
        let settings = self.settings(self.mtu).difference(link);
        let mut plan = Plan::default();
        let changes_mac = settings.as_ref().is_some_and(|(_, to)| to.mac.is_some());
        let held = now.guard_at(Table::Netdev, link.name).is_some() && now.hooks.contains(&link.name);
        let pause = link.up && (link.name != name || changes_mac || (self.lock.is_guarded() && !held));
        if pause {
            plan.extend(steps_part(link.name, now));
            plan.extend(steps_unroute(link.name, |_| true, now));
            plan.extend([Step::Down { link: link.name }]);
        }
        plan.extend(self.steps_held(link, &[Table::Netdev], now));
        if link.name != name {
            plan.extend(Dom0::Open.steps(link.name, now));
        }
        plan.extend(dom0.steps(name, now));
        plan.extend(self.steps_accounted(true, now));
        plan.extend(settings.map(|(from, to)| Step::SetLink { link: name, from, to }));
        if !link.up || pause {
            let group = if self.lock.is_guarded() { VIF_GROUP } else { 0 };
            let check = Step::Check { link: name, group, bridge: None, state: PortState::default() };
            plan.extend([check, Step::Up { link: name }]);
        }
        let wanted: BTreeSet<IpNetwork> = self.routed_nets().into_iter().collect();
        let gateways = match gateways.is_empty() {
            true => {
                if let Some(device) = gateway_device {
                    now.expect_link(*device, what)?;
                }
                addresses_of(gateway_device.or_else(|| routed_uplink(now)), &wanted, now)
            }
            false => gateways.clone(),
        };
        let after = now.after(&plan);
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
        let there = |net: &IpNetwork| after.routes.get(&name).is_some_and(|have| have.contains(net));
        let metric = if self.vif.is_emulated() { METRIC_EMULATED } else { METRIC_VIF };
        let new: Vec<_> = wanted.iter().copied().filter(|net| !there(net)).collect();
        plan.extend(new.iter().map(|net| Step::AddRoute { link: name, subnet: *net, metric: Some(metric) }));
        plan.extend(steps_neighbours(name, &self.lock, &wanted, &after));
        plan.extend(steps_proxies(&wanted, &after));
        // The guest asks for the whole world on its wire, where it was told that it is on one.
        let proxy_arp = Sysctl::Link(name, LinkSysctl::PROXY_ARP);
        let from = after.sysctl(proxy_arp).filter(|value| *value != 1);
        plan.extend(from.map(|from| Step::SetSysctl { sysctl: proxy_arp, from, to: 1 }));
        plan.extend((!new.is_empty()).then_some(Step::ForgetConnections { addresses: new }));
        Ok(plan)
    }
}

/// The uplink of the routed network that runs.
fn routed_uplink(now: &Snapshot) -> Option<IfName> {
    let of_routed = |network: &Network| matches!(network, Network::Route(_)).then(|| network.uplink())?;
    now.networks.values().find_map(|record| of_routed(&record.network))
}

/// The addresses that dom0 has on an interface, one of each family that the guest has: where nobody
/// names a gateway, it is known by these.
fn addresses_of(device: Option<IfName>, wanted: &BTreeSet<IpNetwork>, now: &Snapshot) -> Vec<IpAddr> {
    let is_global = |ip: &IpAddr| !matches!(ip, IpAddr::V6(six) if six.is_unicast_link_local());
    let all = || {
        device.and_then(|device| now.addresses.get(&device)).into_iter().flatten().map(IpNetwork::ip).filter(is_global)
    };
    let of_family = |ipv4: bool| {
        let is_wanted = wanted.iter().any(|net| net.is_ipv4() == ipv4);
        all().find(|ip| is_wanted && ip.is_ipv4() == ipv4)
    };
    [true, false].into_iter().filter_map(of_family).collect()
}

/// The one MAC address of a lock: with several, nobody knows which of them an address is at.
fn only_mac(lock: &Lock) -> Option<MacAddr> {
    match lock.macs() {
        [mac] => Some(*mac),
        _ => None,
    }
}

/// A locked guest's addresses are at its MAC address, whatever it says, and are not asked for.
pub(crate) fn steps_neighbours(name: IfName, lock: &Lock, nets: &BTreeSet<IpNetwork>, now: &Snapshot) -> Vec<Step> {
    let wanted: Vec<Entry> = only_mac(lock)
        .map(|mac| hosts(nets).map(|ip| Entry::permanent_neighbour(name, ip, mac)).collect())
        .unwrap_or_default();
    let there = neighbours_on(name, now);
    let mut steps: Vec<_> = there
        .iter()
        .filter(|entry| !wanted.contains(entry))
        .map(|entry| Step::DeleteEntry { entry: (*entry).clone() })
        .collect();
    let missing = wanted.into_iter().filter(|entry| !there.contains(&entry));
    steps.extend(missing.map(|entry| Step::AddEntry { entry }));
    steps
}

/// The kernel forgets neighbours with an interface that goes down; by steps of their own they come back.
fn steps_part(name: IfName, now: &Snapshot) -> impl Iterator<Item = Step> {
    neighbours_on(name, now).into_iter().map(|entry| Step::DeleteEntry { entry: entry.clone() })
}

fn neighbours_on(name: IfName, now: &Snapshot) -> Vec<&Entry> {
    let of_vif = |entry: &&Entry| entry.kind() == EntryKind::Neighbour && entry.link == Some(name);
    now.entries.iter().filter(of_vif).filter(|entry| entry.is_permanent() && !entry.is_proxy()).collect()
}

fn hosts(nets: &BTreeSet<IpNetwork>) -> impl Iterator<Item = IpAddr> + '_ {
    nets.iter().filter(|net| net.prefix() == if net.is_ipv4() { 32 } else { 128 }).map(IpNetwork::ip)
}

/// Proxy NDP answers for the addresses that it is told, one by one; proxy ARP for all that are routed.
fn steps_proxies(nets: &BTreeSet<IpNetwork>, now: &Snapshot) -> Vec<Step> {
    let missing = proxies(nets, now).filter(|entry| !now.entries.iter().any(|there| there.is_same(entry)));
    missing.map(|entry| Step::AddEntry { entry }).collect()
}

fn proxies<'a>(nets: &'a BTreeSet<IpNetwork>, now: &'a Snapshot) -> impl Iterator<Item = Entry> + 'a {
    let uplinks = now.networks.values().filter_map(|record| match &record.network {
        Network::Route(routed) if routed.ipv6 == Some(true) => record.network.uplink(),
        _ => None,
    });
    let ipv6: Vec<IpAddr> = hosts(nets).filter(IpAddr::is_ipv6).collect();
    uplinks.flat_map(move |uplink| ipv6.clone().into_iter().map(move |ip| Entry::proxy(uplink, ip)))
}

/// What is told of a routed vif elsewhere, taken away: before its routes are.
pub(super) fn steps_forget(name: IfName, now: &Snapshot) -> Vec<Step> {
    let nets = now.routes.get(&name).cloned().unwrap_or_default();
    let told = proxies(&nets, now).filter(|entry| now.entries.iter().any(|there| there.is_same(entry)));
    let mut steps: Vec<_> = told.map(|entry| Step::DeleteEntry { entry }).collect();
    steps.extend(steps_part(name, now));
    let proxy_arp = Sysctl::Link(name, LinkSysctl::PROXY_ARP);
    let from = now.sysctl(proxy_arp).filter(|value| *value != 0);
    steps.extend(from.map(|from| Step::SetSysctl { sysctl: proxy_arp, from, to: 0 }));
    steps
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
    let routes = routes.filter(move |net| goes(net)).map(move |subnet| now.step_unroute(name, subnet));
    routes.chain(addresses.map(move |address| Step::DeleteAddress { link: name, address }))
}
