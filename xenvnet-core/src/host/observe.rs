//! What a host is like, as far as somebody needs to know: what the sockets tell, and the settings.

use crate::edge::Edge;
use crate::error::Result;
use crate::ifname::IfName;
use crate::mac::BridgeSeed;
use crate::needs::Needs;
use crate::network_root::NetworkRoot;
use crate::operation::Operation;
use crate::snapshot::Snapshot;
use crate::state::Held;
use crate::sysctl::{LinkSysctl, Sysctl, Sysctls};
use crate::verify::Evidence;
use std::collections::BTreeMap;

/// What is known of a host beside what its kernel tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Knowing {
    /// What the MAC addresses of its bridges are made with.
    pub(super) bridge_seed: BridgeSeed,
    /// Whether what a root file system on the network hangs on may be moved.
    pub(super) dares: bool,
}

/// What some operations depend on.
pub(super) fn observe(
    edge: &mut Edge,
    settings: Option<&Sysctls>,
    place: Knowing,
    operations: &[Operation],
    facts: bool,
) -> Result<Snapshot> {
    let what = operations.first().map(ToString::to_string).unwrap_or_default();
    let needs = operations.iter().map(Operation::needs).fold(Needs { facts, ..Needs::default() }, Needs::and);
    let snapshot = edge.observe(&what, &needs)?;
    Ok(with_settings(snapshot, settings, place, &needs))
}

/// Everything that any operation depends on.
pub(super) fn everything(edge: &mut Edge, settings: Option<&Sysctls>, place: Knowing) -> Result<Snapshot> {
    let snapshot = edge.snapshot()?;
    let names = || snapshot.links.keys().copied();
    let guests: Vec<IfName> = snapshot.vifs().map(|link| link.name).collect();
    let needs = Needs {
        host: true,
        sysctls: true,
        settings_of: names().filter(|name| !guests.contains(name)).collect(),
        unbridged: names().collect(),
        ..Needs::default()
    };
    Ok(with_settings(snapshot, settings, place, &needs))
}

/// All that is compared with what was asked for.
pub(super) fn evidence(
    edge: &mut Edge,
    settings: Option<&Sysctls>,
    place: Knowing,
    held: Option<&mut Held<'_>>,
) -> Result<Evidence> {
    let mut evidence = edge.evidence()?;
    let needs = Needs { sysctls: true, ..Needs::default() };
    evidence.now = with_settings(evidence.now, settings, place, &needs);
    if let Some(held) = held {
        evidence.asked = held.asked()?;
        evidence.cut_off = !held.cut_off()?.is_empty();
    }
    Ok(evidence)
}

fn with_settings(mut snapshot: Snapshot, settings: Option<&Sysctls>, place: Knowing, needs: &Needs) -> Snapshot {
    if let Some(settings) = settings {
        if needs.sysctls {
            snapshot.sysctls = settings.read_all(Sysctl::ALL);
        }
        snapshot.link_sysctls = settings.read_all(proxying(needs, &snapshot));
        snapshot.link_sysctls.extend(settings_of_links(settings, needs, &snapshot));
    }
    snapshot.renames_up = needs.host && renames_up();
    snapshot.network_root = if needs.host && !place.dares { NetworkRoot::of_this_process() } else { None };
    snapshot.bridge_seed = place.bridge_seed;
    snapshot
}

/// Whether dom0 answers for others on the interfaces of routed guests.
fn proxying(needs: &Needs, now: &Snapshot) -> Vec<Sysctl> {
    let routed = now.links.values().filter(|link| link.master.is_none() && !link.is_bridge());
    let is_meant = |name: &IfName, alias: &str| {
        needs.unbridged.contains(name) || alias.parse().is_ok_and(|alias: IfName| needs.unbridged.contains(&alias))
    };
    let meant = routed.filter(|link| is_meant(&link.name, &link.alias));
    meant.map(|link| Sysctl::Link(link.name, LinkSysctl::PROXY_ARP)).collect()
}

/// Settings of the interfaces that something may be moved between, and what a new one would have.
fn settings_of_links(from: &Sysctls, needs: &Needs, now: &Snapshot) -> BTreeMap<Sysctl, u32> {
    let mut links = needs.settings_of.clone();
    if needs.host {
        links.extend(now.default_link());
        links.extend(["all", "default"].iter().filter_map(|name| name.parse::<IfName>().ok()));
        let running = now.networks.values().map(|record| &record.network);
        links.extend(running.flat_map(|network| network.bridge().into_iter().chain(network.uplinks())));
        // The cards of shadows, and bridges on their way back.
        let names: Vec<_> = links.iter().copied().collect();
        let lettered = names.iter().flat_map(|name| ['p', 's', 't'].map(|letter| name.lettered(letter)));
        links.extend(lettered.filter_map(Result::ok).filter(|name| now.link(*name).is_some()));
    }
    let settings = || LinkSysctl::INHERITED.into_iter().chain([LinkSysctl::ADDR_GEN_MODE]);
    from.read_all(links.into_iter().flat_map(|link| settings().map(move |setting| Sysctl::Link(link, setting))))
}

/// Whether interfaces that are up can be renamed (Linux 6.2).
fn renames_up() -> bool {
    let release = nix::sys::utsname::uname().ok();
    let release = release.and_then(|uname| uname.release().to_str().map(str::to_owned)).unwrap_or_default();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(2))
}
