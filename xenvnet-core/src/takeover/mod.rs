//! An uplink becomes a port of a bridge, and the bridge has all that dom0 had on the uplink; and the
//! way back. The host is reachable at every step of both, so not a packet need be lost.
//!
//! A bridge receives what comes in by its ports, and IPv4 takes a packet for any address of the host,
//! whatever interface it came in by; what dom0 sends may go out by a port as well as by its bridge. So
//! addresses, neighbours and routes can move one after the other while both interfaces are up. The
//! bridge has the uplink's MAC address, so nobody outside has to learn anything.

mod belongings;

use crate::bridge;
use crate::draft::Draft;
use crate::entry::{Entry, EntryKind};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::link::{BridgeState, Link, LinkSettings, Pinning, PortState};
use crate::mac::MacAddr;
use crate::network_root;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::sysctl::{LinkSysctl, Sysctl};
use belongings::Belongings;
use std::collections::{BTreeMap, BTreeSet};

/// Who takes over what: the uplink's name, the bridge's, and the name that the card has while it is
/// the bridge's port: its own, or, where the bridge has the uplink's name, another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takeover {
    pub(crate) uplink: IfName,
    pub(crate) bridge: IfName,
    pub(crate) card: IfName,
    /// How the card made its link-local address before (`addr_gen_mode`), if that is known.
    pub(crate) mode: Option<u32>,
}

impl Takeover {
    /// The bridge gets a name of its own, the card keeps its name.
    pub(crate) fn beside(uplink: IfName, bridge: IfName) -> Takeover {
        Takeover { uplink, bridge, card: uplink, mode: None }
    }

    /// The bridge gets the uplink's name, and the card this letter before its own.
    pub(crate) fn shadow(uplink: IfName, letter: char) -> Result<Takeover> {
        Ok(Takeover { uplink, bridge: uplink, card: lettered(letter, uplink)?, mode: None })
    }

    fn is_shadow(&self) -> bool {
        self.bridge == self.uplink
    }

    /// A bridge that has what dom0 has while the card changes its name: one with the card, or at least
    /// with its MAC address, since others may have bridges of that name.
    fn passing_bridge(&self, now: &Snapshot) -> Option<IfName> {
        let name = self.uplink.lettered('t').ok().filter(|_| self.is_shadow())?;
        let card = now.link(self.card).or(now.link(self.uplink))?;
        let is_ours = |bridge: &Link| bridge.is_bridge() && (card.master == Some(name) || bridge.mac == card.mac);
        now.link(name).is_some_and(is_ours).then_some(name)
    }

    /// The name for such a bridge.
    fn passing_name(&self, what: &str, now: &Snapshot) -> Result<IfName> {
        let name = lettered('t', self.uplink)?;
        if now.link(name).is_none() || self.passing_bridge(now).is_some() {
            return Ok(name);
        }
        let why = format!("a bridge has to be named {name} meanwhile, and something else is");
        Err(Error::cannot(ErrorKind::Conflict, what, why).with_advice(format!("give {name} another name")))
    }

    /// Linux 6.2 and later rename interfaces that are up. Before, they have to be down, and the kernel forgets
    /// their routes and IPv6 addresses: dom0 has them on another bridge by then. But VLANs go down with their
    /// card, and a bridge loses its carrier with its last port: then the kernel forgets the next hops, and the
    /// routes that refer to them.
    fn must_pause(&self, card: &Link, what: &str, now: &Snapshot) -> Result<bool> {
        if !card.up || now.renames_up {
            return Ok(false);
        }
        let refuse = |lost: String, see: String| {
            let why = format!("before Linux 6.2 {lost} would be lost while {} changes its name", card.name);
            let error = Error::cannot(ErrorKind::Unsupported, what, why);
            let another = "give the bridge a name of its own: network-bridge bridge=xenbr0";
            Err(error.with_advice(if card.master.is_some() { see } else { format!("{see}; or {another}") }))
        };
        if let Some((vlan, _)) = now.vlans.iter().find(|(_, under)| **under == card.name) {
            return refuse(format!("what is on {vlan}"), format!("take {vlan} off {} for the moment", card.name));
        }
        // Wherever one that was cut off left them.
        let next_hops = now.entries.iter().filter(|entry| entry.kind() == EntryKind::Nexthop);
        let holders = next_hops.flat_map(Entry::links).collect::<BTreeSet<_>>();
        let ours = [Some(self.uplink), Some(self.card), self.passing_bridge(now)];
        if let Some(holder) = ours.into_iter().flatten().find(|link| holders.contains(link)) {
            let see = format!("see ip nexthop show dev {holder}, and take them away for the moment, with their maker");
            return refuse(format!("the next hops of {holder}"), see);
        }
        Ok(true)
    }

    /// The card gets another name, and is down meanwhile; dom0 is on a bridge of its own by then. It is not
    /// handed from bridge to bridge: whoever is killed in between would leave a host that nobody reaches.
    fn steps_pause(&self, from: IfName, to: IfName, what: &str, draft: &mut Draft) -> Result<()> {
        let passing = self.passing_name(what, &draft.now)?;
        draft.then(Takeover::beside(from, passing).plan_in(what, &draft.now)?);
        draft.step(Step::Rename { from, to, pause: true });
        Ok(())
    }

    /// How the card makes its link-local address now.
    pub(crate) fn mode_of_card(&self, now: &Snapshot) -> Option<(Sysctl, u32)> {
        let sysctl = Sysctl::Link(self.uplink, LinkSysctl::ADDR_GEN_MODE);
        Some((sysctl, now.sysctl(sysctl)?))
    }

    /// With what a record says that the card's was.
    pub(crate) fn with_mode_of(self, before: &BTreeMap<Sysctl, u32>) -> Takeover {
        Takeover { mode: before.get(&Sysctl::Link(self.uplink, LinkSysctl::ADDR_GEN_MODE)).copied(), ..self }
    }

    /// From whatever state an interrupted one left behind, forward.
    pub(crate) fn plan_in(&self, what: &str, now: &Snapshot) -> Result<Plan> {
        let mut draft = Draft::new(now);
        if now.link(self.card).is_none_or(|card| card.master.is_none()) {
            network_root::check(self.uplink, what, now)?;
        }
        let mut card = self.steps_card(what, &mut draft)?;
        if let Some(passing) = self.passing_bridge(&draft.now) {
            draft.then(Takeover::beside(self.card, passing).plan_out(what, &draft.now)?);
            card = expect_uplink(self.card, what, &draft.now)?.clone();
        }
        self.steps_over(&card, &mut draft);
        Ok(draft.finish())
    }

    /// All that dom0 has on the card comes to the bridge, and the card becomes its port.
    fn steps_over(&self, card: &Link, draft: &mut Draft) {
        self.steps_bridge(card, draft);
        let belongings = Belongings::of(self.card, self.bridge, &draft.now);
        let checked = self.steps_loose(card, &belongings, draft);
        // Before the first frame comes in by the bridge: what comes in by an interface without an address
        // is checked strictly, and nobody asks there for an IPv6 address that it has not.
        belongings.addresses_come(draft);
        if card.master.is_none() {
            let (state, macs, pinning) = (PortState::default(), Vec::new(), Pinning::default());
            draft.step(Step::Enslave { port: self.card, bridge: self.bridge, state, macs, pinning });
            draft.step(Step::AwaitSending { bridge: self.bridge, port: self.card });
        }
        // The port makes itself no address any more; on the way back, not before it has its own again.
        draft.extend(step_sysctl(self.card, LinkSysctl::ADDR_GEN_MODE, 1, &draft.now));
        belongings.the_rest_moves(draft);
        belongings.addresses_go(draft);
        draft.extend(checked.and_then(|value| step_sysctl(self.bridge, LinkSysctl::RP_FILTER, value, &draft.now)));
        // A secret that addresses are made with (`stable_secret` of ip-sysctl) stays with its interface:
        // the bridge has the addresses that were made, and makes none.
        const STABLE_PRIVACY: u32 = 2;
        let mode = self.mode.filter(|mode| *mode != STABLE_PRIVACY);
        draft.extend(mode.and_then(|mode| step_sysctl(self.bridge, LinkSysctl::ADDR_GEN_MODE, mode, &draft.now)));
    }

    /// While what comes in by the bridge is still answered by the card, a strict check of the way back
    /// (RFC 3704) would drop it all: it is loose meanwhile. Returns what it is to be in the end.
    fn steps_loose(&self, card: &Link, belongings: &Belongings, draft: &mut Draft) -> Option<u32> {
        const STRICT: u32 = 1;
        const LOOSE: u32 = 2;
        let value = draft.now.sysctl(Sysctl::Link(self.card, LinkSysctl::RP_FILTER))?;
        let of_all = "all".parse().ok().and_then(|all| draft.now.sysctl(Sysctl::Link(all, LinkSysctl::RP_FILTER)));
        let is_strict = value.max(of_all.unwrap_or(0)) == STRICT;
        if card.master.is_some() && belongings.is_empty() {
            // All of it has moved. Perhaps it was cut off before it was strict again.
            let is_loose = draft.now.sysctl(Sysctl::Link(self.bridge, LinkSysctl::RP_FILTER)) == Some(LOOSE);
            return (is_strict && is_loose).then_some(value);
        }
        if is_strict {
            draft.extend(step_sysctl(self.bridge, LinkSysctl::RP_FILTER, LOOSE, &draft.now));
        }
        Some(value)
    }

    /// The card, by the name that it is to have.
    fn steps_card(&self, what: &str, draft: &mut Draft) -> Result<Link> {
        if draft.now.link(self.card).is_none() && self.is_shadow() {
            let link = expect_uplink(self.uplink, what, &draft.now)?.clone();
            check_uplink(&link, what)?;
            if self.must_pause(&link, what, &draft.now)? {
                self.steps_pause(self.uplink, self.card, what, draft)?;
            } else {
                draft.step(Step::Rename { from: self.uplink, to: self.card, pause: false });
                // A way back that was cut off in the middle.
                let passing = self.passing_bridge(&draft.now);
                draft.extend(passing.map(|from| Step::Rename { from, to: self.bridge, pause: false }));
            }
        }
        let card = expect_uplink(self.card, what, &draft.now)?.clone();
        check_uplink(&card, what)?;
        match card.master {
            Some(master) if master != self.bridge && Some(master) != self.passing_bridge(&draft.now) => {
                let error =
                    Error::cannot(ErrorKind::Conflict, what, format!("{} is a port of {master} already", card.name));
                Err(error.with_advice(match draft.now.network_on(master) {
                    Some(record) => format!("stop that one first: xenvnet network stop '{}'", record.network),
                    None => format!("use {master} as it is, or release {} first", card.name),
                }))
            }
            _ => Ok(card),
        }
    }

    /// The bridge, up, with the card's MAC address, MTU and settings.
    fn steps_bridge(&self, card: &Link, draft: &mut Draft) {
        let is_new = draft.now.link(self.bridge).is_none();
        if is_new {
            draft.step(Step::AddBridge {
                bridge: self.bridge,
                mac: card.mac.unwrap_or(MacAddr::new([0; 6])),
                mtu: card.mtu,
                state: BridgeState::new(false),
                // The card's own comes over with its addresses, without the second that a new one
                // waits for duplicates.
                auto_link_local: false,
            });
            draft.now.sysctls_of_new(self.bridge);
        }
        let Some(bridge) = draft.now.link(self.bridge).filter(|bridge| !bridge.up).cloned() else { return };
        // One that was begun before may lack what comes after its birth.
        let wanted = LinkSettings { mtu: Some(card.mtu), auto_link_local: Some(false), ..LinkSettings::default() };
        let difference = wanted.difference(&bridge).filter(|_| !is_new);
        draft.extend(difference.map(|(from, to)| Step::SetLink { link: self.bridge, from, to }));
        // The same setting by its other name.
        let own_mode = Sysctl::Link(self.bridge, LinkSysctl::ADDR_GEN_MODE);
        draft.now.link_sysctls.entry(own_mode).and_modify(|mode| *mode = 1);
        for setting in LinkSysctl::INHERITED {
            let value = draft.now.sysctl(Sysctl::Link(self.card, setting));
            draft.extend(value.and_then(|value| step_sysctl(self.bridge, setting, value, &draft.now)));
        }
        draft.step(Step::Up { link: self.bridge });
    }

    /// From whatever state it is in, back.
    pub(crate) fn plan_out(&self, what: &str, now: &Snapshot) -> Result<Plan> {
        network_root::check(self.bridge, what, now)?;
        let mut draft = Draft::new(now);
        let is_bridge = |draft: &Draft, name: IfName| draft.now.link(name).is_some_and(Link::is_bridge);
        let mut bridge = self.bridge;
        if self.is_shadow() {
            if let Some(card) = draft.now.link(self.card).cloned() {
                if self.must_pause(&card, what, &draft.now)? {
                    if is_bridge(&draft, self.bridge) {
                        draft.then(Takeover::beside(self.card, self.bridge).plan_out(what, &draft.now)?);
                    }
                    self.steps_pause(self.card, self.uplink, what, &mut draft)?;
                } else {
                    // Labels of addresses would be numbered anew if it got its name back later.
                    if is_bridge(&draft, self.bridge) {
                        let to = self.passing_name(what, &draft.now)?;
                        draft.step(Step::Rename { from: self.bridge, to, pause: false });
                    }
                    draft.step(Step::Rename { from: self.card, to: self.uplink, pause: false });
                }
            }
            bridge = self.passing_bridge(&draft.now).unwrap_or(bridge);
        }
        if is_bridge(&draft, bridge) {
            // Also where somebody took the card off the bridge by hand.
            if draft.now.link(self.uplink).is_some_and(|card| card.master.is_none_or(|master| master == bridge)) {
                self.steps_back(bridge, &mut draft);
            }
            // Where the card is gone, or on another bridge, what dom0 has on this one goes with it.
            let rest = bridge::plan_delete(bridge, &draft.now)?;
            draft.then(rest);
        }
        // Off the bridge first: what it then does by itself, it does for itself.
        draft.extend(self.mode.and_then(|mode| step_sysctl(self.uplink, LinkSysctl::ADDR_GEN_MODE, mode, &draft.now)));
        Ok(draft.finish())
    }

    /// All that dom0 has on the bridge comes back to the card, and the card leaves the bridge.
    fn steps_back(&self, bridge: IfName, draft: &mut Draft) {
        let Some(card) = draft.now.link(self.uplink).cloned() else { return };
        let belongings = Belongings::of(bridge, self.uplink, &draft.now);
        // It was up when all of this was on it; one that is down takes no route.
        if !card.up && !belongings.is_empty() {
            draft.step(Step::Up { link: self.uplink });
        }
        draft.extend(step_sysctl(bridge, LinkSysctl::RP_FILTER, 2, &draft.now).filter(|_| !belongings.is_empty()));
        belongings.addresses_come(draft);
        belongings.the_rest_moves(draft);
        if card.master.is_some() {
            let (state, macs, pinning) = (card.port.unwrap_or_default(), Vec::new(), Pinning::default());
            draft.step(Step::Release { port: self.uplink, bridge, state, macs, pinning });
        }
        belongings.addresses_go(draft);
    }
}

fn lettered(letter: char, name: IfName) -> Result<IfName> {
    name.lettered(letter).map_err(|error: Error| {
        error.with_advice(format!(
            "give the bridge a name of its own: network-bridge netdev={name} bridge=xenbr0; the card then keeps its name"
        ))
    })
}

/// Whether an interface can be an uplink at all.
fn check_uplink(link: &Link, what: &str) -> Result<()> {
    let name = link.name;
    let refuse =
        |why: String, advice: String| Err(Error::cannot(ErrorKind::InvalidArgument, what, why).with_advice(advice));
    let another = || "name the interface that leads outside: netdev=NAME".to_owned();
    let no_mac = link.mac.is_none_or(|mac| mac.octets() == [0; 6]);
    match link {
        _ if link.is_bridge() => {
            refuse(format!("{name} is a bridge itself"), format!("attach vifs to {name} as it is, or {}", another()))
        }
        _ if no_mac => refuse(format!("{name} is no Ethernet interface"), another()),
        _ if link.is_vif() || link.xen_name().is_some() => refuse(format!("{name} is a guest's interface"), another()),
        _ => Ok(()),
    }
}

/// The interface that is to lead outside.
pub(crate) fn expect_uplink<'a>(name: IfName, what: &str, now: &'a Snapshot) -> Result<&'a Link> {
    now.expect_link(name, || what.to_owned())
        .map_err(|error| error.with_advice("name the interface that leads outside: netdev=NAME"))
}

/// A setting changed, where it is known and differs.
fn step_sysctl(link: IfName, setting: LinkSysctl, to: u32, now: &Snapshot) -> Option<Step> {
    let sysctl = Sysctl::Link(link, setting);
    let from = now.sysctl(sysctl)?;
    (from != to).then_some(Step::SetSysctl { sysctl, from, to })
}
