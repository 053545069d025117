//! Addresses that a bridge knows already when they are to be pinned.

use crate::edge::Edge;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::netlink::link;
use crate::netlink::neighbour::Place;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use std::collections::{BTreeSet, HashMap};

/// What a failed try taught about the host.
#[derive(Default)]
pub(super) struct Found {
    /// A lock is not what its comment says.
    pub(super) facts: bool,
    /// Addresses that are pinned already to the very ports.
    pub(super) pinned: BTreeSet<(IfName, MacAddr)>,
    /// Addresses that a bridge merely learned.
    pub(super) learned: BTreeSet<MacAddr>,
}

impl Found {
    /// An address could not be pinned because the bridge knows it already. Where it was merely
    /// learned, as after a guest moved to this host, it is taken over. Where it is pinned to the very
    /// port, as after somebody flushed the filter, it stays. Where it is pinned to another, two
    /// guests have one address. All of a plan's addresses are asked for at once.
    pub(super) fn settle_pins(&mut self, edge: &mut Edge, plan: &Plan, seen: &Snapshot, error: Error) -> Result<()> {
        let pins: Vec<_> = plan.steps().iter().flat_map(|step| pins(step, seen)).collect();
        let indices: HashMap<IfName, u32> = seen.links.values().map(|link| (link.name, link.index)).collect();
        let asked: Vec<_> = pins.iter().filter_map(|pin| Some((pin, *indices.get(&pin.bridge)?))).collect();
        let addresses: Vec<_> = asked.iter().map(|(pin, bridge)| (*bridge, pin.mac)).collect();
        let Ok(places) = edge.places_of(&addresses) else { return Err(error) };
        for ((pin, _), place) in asked.into_iter().zip(places) {
            match place {
                None => {}
                Some(Place { learned: true, .. }) => drop(self.learned.insert(pin.mac)),
                Some(Place { port: index, .. }) if Some(&index) == indices.get(&pin.port) => {
                    self.pinned.insert((pin.port, pin.mac));
                }
                Some(Place { port: index, .. }) => {
                    let holder = edge.route.query(&[link::get_index(index)]).unwrap_or_default();
                    let holder = holder.iter().flat_map(|answer| &answer.messages);
                    let holder = holder.filter_map(|(kind, body)| link::parse(*kind, body)).next();
                    let holder = holder.map_or_else(|| format!("port {index}"), |seen| seen.link.name.to_string());
                    let what = format!("pin {} to {}", pin.mac, pin.port);
                    let why = format!("{holder} has that address on {}", pin.bridge);
                    return Err(Error::cannot(ErrorKind::Conflict, what, why)
                        .with_advice("two guests have one MAC address: give one of them another"));
                }
            }
        }
        Ok(())
    }
}

/// An address that is to be pinned.
struct Pin {
    mac: MacAddr,
    port: IfName,
    bridge: IfName,
}

fn pins(step: &Step, seen: &Snapshot) -> Vec<Pin> {
    match step {
        Step::Enslave { port, bridge, macs, .. } => {
            macs.iter().map(|mac| Pin { mac: *mac, port: *port, bridge: *bridge }).collect()
        }
        Step::AddFdb { port, mac, .. } => {
            let bridge = seen.link(*port).and_then(|link| link.master);
            bridge.map(|bridge| Pin { mac: *mac, port: *port, bridge }).into_iter().collect()
        }
        _ => Vec::new(),
    }
}
