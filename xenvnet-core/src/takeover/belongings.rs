//! What dom0 has on an interface, on its way to another: what needs something comes after it, and
//! nothing is taken away before it is there.

use crate::draft::Draft;
use crate::entry::{Entry, EntryKind};
use crate::ifname::IfName;
use crate::plan::Step;
use crate::snapshot::Snapshot;

pub(super) struct Belongings {
    from: IfName,
    to: IfName,
    /// Everything that any interface has: routes stand in the order of all of them.
    all: Vec<Entry>,
}

impl Belongings {
    pub(super) fn of(from: IfName, to: IfName, now: &Snapshot) -> Belongings {
        Belongings { from, to, all: now.entries.clone() }
    }

    fn of_kind(&self, kind: EntryKind) -> impl DoubleEndedIterator<Item = &Entry> {
        self.all.iter().filter(move |entry| entry.kind() == kind && entry.names(self.from))
    }

    fn addresses(&self, ipv4: bool) -> Vec<&Entry> {
        self.of_kind(EntryKind::Address).filter(|address| address.is_ipv4() == ipv4).collect()
    }

    /// Whether nothing of it has to move.
    pub(super) fn is_empty(&self) -> bool {
        let rules = self.of_kind(EntryKind::Rule);
        let addresses = self.of_kind(EntryKind::Address);
        rules.chain(addresses).chain(self.routes()).chain(self.of_kind(EntryKind::Nexthop)).next().is_none()
    }

    fn comes(&self, entry: &Entry, draft: &mut Draft) {
        let entry = entry.moved(self.from, self.to);
        if !draft.now.entries.iter().any(|there| there.is_same(&entry)) {
            draft.step(Step::AddEntry { entry });
        }
    }

    /// Waits until the kernel hears its own IPv6 addresses, which is a while after they were added. Either
    /// interface has to, before the other has them no more: which that is, is another one on the way back.
    fn heard(&self, link: IfName) -> Option<Step> {
        let own: Vec<_> = self.addresses(false).iter().filter_map(|entry| Some(entry.address()?.ip())).collect();
        (!own.is_empty()).then_some(Step::AwaitAddresses { link, addresses: own })
    }

    /// The kernel keeps IPv4 addresses in the order in which they come, and the latest of IPv6 first.
    pub(super) fn addresses_come(&self, draft: &mut Draft) {
        let addresses = self.addresses(true).into_iter().chain(self.addresses(false).into_iter().rev());
        addresses.for_each(|address| self.comes(address, draft));
        draft.extend(self.heard(self.to));
    }

    /// The first IPv4 address of a subnet takes the others with it: it goes last.
    pub(super) fn addresses_go(&self, draft: &mut Draft) {
        draft.extend(self.heard(self.from));
        let addresses = self.addresses(false).into_iter().chain(self.addresses(true).into_iter().rev());
        draft.extend(addresses.cloned().map(|entry| Step::DeleteEntry { entry }).collect::<Vec<_>>());
    }

    /// Whatever is neither address nor interface.
    pub(super) fn the_rest_moves(&self, draft: &mut Draft) {
        self.of_kind(EntryKind::Neighbour).for_each(|neighbour| self.comes(neighbour, draft));
        // What gateways are reached by is on both as long as the routes to the gateways move, which way
        // ever. The kernel made those of the other interface with its addresses; said all the same: on the
        // way back they are to go before the addresses do.
        // Where another interface has an equal one, its place before or behind that one counts more.
        let (contested, own): (Vec<&Entry>, Vec<&Entry>) =
            self.routes().filter(|route| route.is_direct()).partition(|route| self.is_contested(route));
        let direct: Vec<_> = self.connected().into_iter().chain(own).collect();
        direct.iter().for_each(|route| self.comes(route, draft));
        contested.into_iter().for_each(|route| self.moves(route, draft));
        for entry in self.of_kind(EntryKind::Nexthop).cloned() {
            draft.step(Step::MoveEntry { entry, from: self.from, to: self.to });
        }
        self.routes().filter(|route| !route.is_direct()).for_each(|route| self.moves(route, draft));
        // Rules name whoever has the name: those of a card whose name the bridge has by now are the bridge's.
        for entry in self.of_kind(EntryKind::Rule) {
            self.comes(entry, draft);
            draft.step(Step::DeleteEntry { entry: entry.clone() });
        }
        // The kernel takes the older ones first: questions would go out by one interface and their answers
        // come in by the other, and neighbours would not be found.
        draft.extend(direct.iter().map(|route| Step::DeleteEntry { entry: (*route).clone() }).collect::<Vec<_>>());
        if !self.is_empty() {
            draft.step(Step::AwaitSent { link: self.from });
        }
        // They go with the last address in any case; by steps of their own they come back.
        let neighbours = self.of_kind(EntryKind::Neighbour).cloned();
        draft.extend(neighbours.map(|entry| Step::DeleteEntry { entry }).collect::<Vec<_>>());
    }

    /// Routes to the subnets of its addresses, which the kernel makes with these.
    fn connected(&self) -> Vec<&Entry> {
        let routes = self.of_kind(EntryKind::Route).filter(|route| route.is_unicast());
        routes.filter(|route| self.is_the_kernels(route)).collect()
    }

    fn is_contested(&self, route: &Entry) -> bool {
        let others = self.all.iter().filter(|other| !other.names(self.from) && !other.names(self.to));
        others.into_iter().any(|other| other.is_equal_route(route))
    }

    fn is_the_kernels(&self, route: &Entry) -> bool {
        let addresses: Vec<&Entry> = self.of_kind(EntryKind::Address).collect();
        route.is_the_kernels(&addresses)
    }

    /// Routes that somebody made.
    fn routes(&self) -> impl Iterator<Item = &Entry> {
        self.of_kind(EntryKind::Route).filter(|route| route.has_own_hops() && !self.is_the_kernels(route))
    }

    /// In place.
    fn moves(&self, route: &Entry, draft: &mut Draft) {
        let first = self.all.iter().find(|other| other.is_equal_route(route));
        if first == Some(route) {
            draft.step(Step::MoveEntry { entry: route.clone(), from: self.from, to: self.to });
        } else {
            // The kernel would replace another one.
            self.comes(route, draft);
            draft.step(Step::DeleteEntry { entry: route.clone() });
        }
    }
}
