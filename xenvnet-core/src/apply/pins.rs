//! Addresses that a bridge knows already when they are to be pinned, one step at a time.

use super::{Applier, link_in};
use crate::netlink::link;
use crate::plan::Step;

impl Applier<'_> {
    /// Whether a step that was refused because the bridge knows an address already is to be tried again: where
    /// each of its addresses was merely learned, or is pinned to this very port, it is taken over.
    pub(super) fn may_take_over(&mut self, step: &Step) -> bool {
        let (port, macs) = match step {
            Step::Enslave { port, macs, .. } => (*port, macs.clone()),
            Step::AddFdb { port, mac, .. } => (*port, vec![*mac]),
            _ => return false,
        };
        let Some(port) = self.indices.get(&port).copied() else { return false };
        let route = &mut self.edge.route;
        let bridge = route.query(&[link::get_index(port)]).ok().and_then(|answers| link_in(&answers)?.master);
        let Some(bridge) = bridge else { return false };
        let all: Vec<_> = macs.iter().map(|mac| (bridge, *mac)).collect();
        let Ok(places) = self.edge.places_of(&all) else { return false };
        let are_ours = places.iter().flatten().all(|place| place.learned || place.port == port);
        if are_ours {
            self.learned.extend(macs);
        }
        are_ours
    }
}
