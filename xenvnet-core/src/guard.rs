//! A lock as it stands in the kernel, and the plan from one lock to another.

use crate::antispoof::Lock;
use crate::error::Result;
use crate::ifname::IfName;
use crate::link::{Link, LinkSettings, Pinning, PortState};
use crate::mac::MacAddr;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::untracked::{Untracked, step_tracking};
use crate::vif::{VIF_GROUP, VifId, steps_neighbours};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A lock as it stands in the kernel: with the interface that it was made for.
///
/// ```
/// use xenvnet_core::{Antispoof, Guard, Lock};
/// let guard = Guard::new(12, Lock::Disabled);
/// assert_eq!(guard.to_string(), "dev=12 disabled");
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Guard {
    /// The index of the interface. The kernel gives no index twice until it reboots: a guard of
    /// another index was left behind by a former interface of the same name.
    #[doc(alias = "ifindex")]
    pub device: u32,
    /// Whose it is: the name that netback gave the interface, whatever its name is now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<IfName>,
    /// What it is held to.
    pub lock: Lock,
}

/// The longest text that fits the comment of a set element. The kernel allows 256 octets of userdata
/// (`NFT_USERDATA_MAXLEN` in linux/netfilter/nf_tables.h) but keeps the length of an element in 8 bits
/// with its own header: of 252 characters on it refuses the element, or forgets the text.
pub(crate) const COMMENT_MAX: usize = 250;

impl Guard {
    /// A lock for the interface of this index.
    ///
    /// ```
    /// use xenvnet_core::{Guard, Lock};
    /// assert_eq!(Guard::new(3, Lock::Disabled).device, 3);
    /// ```
    pub fn new(device: u32, lock: Lock) -> Guard {
        Guard { device, owner: None, lock }
    }

    /// Of the vif that netback gave this name.
    ///
    /// ```
    /// use xenvnet_core::{Guard, Lock};
    /// let guard = Guard::new(3, Lock::Disabled).owner("vif1.0".parse()?);
    /// assert_eq!(guard.to_string(), "dev=3 owner=vif1.0 disabled");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn owner(mut self, owner: IfName) -> Guard {
        self.owner = Some(owner);
        self
    }

    /// A lock for this interface, of the vif that it was before it may have been renamed.
    pub(crate) fn of(link: &Link, lock: &Lock) -> Guard {
        let owner = if link.alias.parse::<VifId>().is_ok() { link.alias.parse().ok() } else { None };
        Guard::new(link.index, lock.clone()).owner(owner.unwrap_or(link.name))
    }

    /// Whether the kernel would hold the same for both.
    pub(crate) fn same(&self, other: &Guard) -> bool {
        self == other
            || (self.device == other.device
                && self.owner == other.owner
                && self.lock.is_guarded() == other.lock.is_guarded()
                && self.lock.facts() == other.lock.facts())
    }

    /// The comment of the element in `@guarded`. A lock too long for it says how many elements
    /// hold it; they are then read from the sets.
    pub(crate) fn comment(&self) -> String {
        let text = self.to_string();
        if text.len() <= COMMENT_MAX {
            return text;
        }
        format!("{}locked in {} elements", self.whose(), self.lock.facts().len())
    }

    /// Which interface, and whose: the comment up to the lock.
    fn whose(&self) -> String {
        let owner = self.owner.map(|owner| format!("owner={owner} ")).unwrap_or_default();
        format!("dev={} {owner}", self.device)
    }

    /// Reads the comment back; `false` when the sets have to be read for the lock.
    pub(crate) fn parse_comment(text: &str) -> Option<(Guard, bool)> {
        let mut guard = Guard::new(0, Lock::Disabled);
        let mut rest = text;
        let mut device = None;
        loop {
            let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
            match (word, word.split_once('=')) {
                ("disabled", _) if tail.is_empty() => break,
                ("locked", _) if tail.starts_with("in ") => {
                    guard.device = device?;
                    return Some((guard, false));
                }
                ("locked", _) => {
                    guard.lock = Lock::Locked(tail.parse().ok()?);
                    break;
                }
                (_, Some(("dev", number))) => device = Some(number.parse().ok()?),
                (_, Some(("owner", name))) => guard.owner = Some(name.parse().ok()?),
                // A later version may have more to say.
                (_, Some(_)) => {}
                _ => return None,
            }
            rest = tail;
        }
        guard.device = device?;
        Some((guard, true))
    }
}

impl fmt::Display for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.whose(), self.lock)
    }
}

/// All groups that are reserved for bridges, but that of pause frames, which the kernel refuses
/// (BR_GROUPFWD_MACPAUSE in net/bridge/br_private.h).
const RESERVED_GROUPS: u16 = 0xfffd;
/// The group of the spanning tree protocol. A bridge that speaks it is to hear it, and to shut the
/// port of a guest that does: `guard` holds without any rule.
const SPANNING_TREE: u16 = 1;

/// How a bridge port is held under a lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hold {
    /// Whether a lock holds it at all.
    pub(crate) guarded: bool,
    pub(crate) isolated: bool,
    /// Whether the guest has a second port, for its emulated card.
    pub(crate) paired: bool,
    /// Whether the bridge speaks the spanning tree protocol.
    pub(crate) stp: bool,
    /// Whether it is a guest's, locked or not.
    pub(crate) guest: bool,
}

impl Hold {
    /// The flags that the port has. The bridge learns a source address before any filter of its
    /// family sees the frame, so a locked port must not learn. And it gives frames to reserved groups
    /// to dom0 past that filter, unless told to treat them like any other. The two ports of one guest must, or
    /// the bridge would not find it on the other: they are held before the bridge sees a frame.
    pub(crate) fn state(self, now: PortState) -> PortState {
        let pinned = self.is_pinned();
        PortState {
            learning: !pinned,
            isolated: self.isolated,
            // A kernel before 5.18 knows no `locked`; there the rules alone hold the MAC.
            locked: now.locked.map(|_| pinned),
            flood: !pinned,
            bpdu_guard: pinned && self.stp,
            // Also without a lock: it would be a way past what guests may reach on dom0.
            group_fwd_mask: match (self.guest, self.paired && self.guarded) {
                (true, false) if self.stp => RESERVED_GROUPS & !SPANNING_TREE,
                (true, false) => RESERVED_GROUPS,
                _ => 0,
            },
        }
    }

    /// Whether the guest's addresses are pinned to the port.
    pub(crate) fn is_pinned(self) -> bool {
        self.guarded && !self.paired
    }
}

/// How a port is to be held that stays where it is.
pub(crate) fn hold(link: &Link, lock: &Lock, paired: bool, now: &Snapshot) -> Hold {
    let bridge = link.master.and_then(|master| now.link(master)?.bridge);
    Hold {
        guarded: lock.is_guarded(),
        isolated: link.port.is_some_and(|port| port.isolated),
        paired,
        stp: bridge.is_some_and(|bridge| bridge.stp),
        guest: lock.is_guarded() || link.port.is_some_and(|port| port.group_fwd_mask != 0),
    }
}

/// Brings the lock of an interface about, wherever it is and whether it is up: nothing slips
/// through on the way from a weaker lock to a stronger one. The two ports of a guest with an
/// emulated card are one interface to it, and have one lock.
pub(crate) fn plan(vif: IfName, lock: &Lock, now: &Snapshot) -> Result<Plan> {
    let what = || format!("set antispoof on {vif}");
    lock.validate().map_err(|error| error.doing(what()))?;
    let link = now.expect_link(vif, what)?;
    let twin = now.twin_of(vif);
    let paired = twin.is_some() || now.is_paired(vif);
    let both = std::iter::once(link).chain(twin);
    let plan = Plan::from_iter(both.flat_map(|link| steps(link, lock, paired, now))).once_ready();
    if link.master.is_some() {
        return Ok(plan);
    }
    // Where dom0 routes to it, dom0 knows its MAC address from its lock.
    let routed = now.routes.get(&vif).cloned().unwrap_or_default();
    Ok(plan.then(steps_neighbours(vif, lock, &routed, now).into_iter().collect()))
}

/// The tables that hold an interface.
fn tables(link: &Link, paired: bool, now: &Snapshot) -> &'static [Table] {
    let routed =
        || now.guard_at(Table::Netdev, link.name).is_some() && now.guard_at(Table::Bridge, link.name).is_none();
    match link.port {
        Some(_) if !paired => &[Table::Bridge],
        None if routed() => &[Table::Netdev],
        // Where it is no port of a bridge nobody knows what it will be: held as either.
        _ => &[Table::Bridge, Table::Netdev],
    }
}

/// A change of lock of an interface that stays as it is named and where it is.
pub(crate) fn steps(link: &Link, lock: &Lock, paired: bool, now: &Snapshot) -> Vec<Step> {
    let vif = link.name;
    let held_in = tables(link, paired, now);
    let guard = lock.is_guarded().then(|| Guard::of(link, lock));
    let set = |table: Table| {
        let to = guard.as_ref().filter(|_| held_in.contains(&table));
        step_guard(table, vif, now.guards_in(table).get(&vif), to, now)
    };
    let guards = [Table::Bridge, Table::Netdev].into_iter().flat_map(set);
    let hook = step_hook(vif, guard.is_some() && held_in.contains(&Table::Netdev), now);
    let port = steps_port(vif, link, lock, hold(link, lock, paired && guard.is_some(), now), now);
    // Its packets are known by its addresses.
    let untracked = now.untracked.get(&vif).and_then(|untracked| match lock {
        Lock::Locked(lock) => Some(Untracked::new(untracked.bridge, lock.macs.clone())),
        Lock::Disabled | Lock::Unlocked => None,
    });
    let guards = guards.chain(step_tracking(vif, untracked, now));
    match &guard {
        Some(_) => guards.chain(hook).chain(step_group(link, VIF_GROUP)).chain(port).collect(),
        None => port.into_iter().chain(step_group(link, 0)).chain(hook).chain(guards).collect(),
    }
}

/// Whether the frames of an interface visit the netdev table.
pub(crate) fn step_hook(vif: IfName, wanted: bool, now: &Snapshot) -> Option<Step> {
    let there = now.hooks.contains(&vif);
    match wanted {
        true => (!there).then_some(Step::AddHook { vif }),
        false => (there || now.half_hooks.contains(&vif)).then_some(Step::DeleteHook { vif }),
    }
}

/// The change of the filter alone; nothing when it is so already.
pub(crate) fn step_guard(
    table: Table,
    vif: IfName,
    from: Option<&Guard>,
    to: Option<&Guard>,
    now: &Snapshot,
) -> Vec<Step> {
    let same = match (from, to) {
        (Some(from), Some(to)) => from.same(to),
        (None, None) => true,
        _ => false,
    };
    if same {
        return Vec::new();
    }
    let mut steps = Vec::new();
    if to.is_some() {
        // Where an interface is held back that lost its bridge or its name.
        steps.extend([table, Table::Inet].into_iter().filter_map(|table| now.step_ready(table)));
    }
    steps.push(Step::SetGuard { table, vif, from: from.cloned(), to: to.cloned() });
    steps
}

/// Counters that a former interface of this name left behind.
pub(crate) fn steps_forget(vif: IfName, now: &Snapshot, is_stale: impl Fn(Table) -> bool) -> Vec<Step> {
    let forget = |table: Table| {
        let drops = now.drops.iter().filter(|drops| drops.vif == vif && drops.table == table);
        let reasons: Vec<_> = drops.map(|drops| drops.reason).collect();
        (!reasons.is_empty() && is_stale(table)).then_some(Step::ForgetDrops { table, vif, reasons })
    };
    Table::ALL.iter().copied().filter_map(forget).collect()
}

fn step_group(link: &Link, group: u32) -> Option<Step> {
    (link.group != group).then(|| Step::SetLink {
        link: link.name,
        from: LinkSettings { group: Some(link.group), ..LinkSettings::default() },
        to: LinkSettings { group: Some(group), ..LinkSettings::default() },
    })
}

/// The bridge port's part of a change of lock, under the name that it has by then. New addresses
/// are let in before the port is locked and old ones are forgotten after, so that a guest that
/// keeps its address loses no frame.
pub(crate) fn steps_port(name: IfName, link: &Link, lock: &Lock, hold: Hold, now: &Snapshot) -> Vec<Step> {
    let Some(port) = link.port else { return Vec::new() };
    let to = hold.state(port);
    // A guard that was made for a former interface says nothing of this port. And a port that
    // learns was enslaved by somebody else, or is one of two: nothing is pinned to it.
    let sound = !port.learning;
    let old = now.guard_at(Table::Bridge, link.name).filter(|_| sound);
    let old = old.map(|guard| guard.lock.macs()).unwrap_or_default();
    let new = if hold.is_pinned() { lock.macs() } else { &[] };
    let pinning = Pinning::default();
    let pinned = |mac: &MacAddr| old.contains(mac) || now.pinned.contains(&(name, *mac));
    let add = new.iter().filter(|mac| !pinned(mac)).map(|mac| Step::AddFdb { port: name, mac: *mac, pinning });
    let set = (port != to).then_some(Step::SetPort { port: name, from: port, to });
    let gone = old.iter().filter(|mac| !new.contains(mac));
    let delete = gone.map(|mac| Step::DeleteFdb { port: name, mac: *mac, pinning });
    add.chain(set).chain(delete).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::antispoof::Antispoof;
    use crate::antispoof::tests::locks;
    use proptest::prelude::*;

    #[test]
    fn a_lock_too_long_for_its_comment_says_so() {
        let mut lock = Antispoof::new(MacAddr::new([0, 0x16, 0x3e, 0, 0, 1]));
        for n in 1..=20 {
            lock = lock.ip(format!("2001:db8:1234:5678::{n:x}").parse().unwrap());
        }
        let guard = Guard::new(7, lock.clone().into());
        assert!(guard.comment().len() <= COMMENT_MAX);
        let (read, whole) = Guard::parse_comment(&guard.comment()).unwrap();
        assert_eq!((read.device, whole), (7, false));
        assert_eq!(Lock::from_facts(&guard.lock.facts()).facts(), guard.lock.facts());
    }

    #[test]
    fn foreign_comments_are_not_guards() {
        for text in ["", "dev=", "dev=x disabled", "dev=3", "dev=3 open", "dev=3 locked mac=zz", "hello"] {
            assert_eq!(Guard::parse_comment(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_comment_is_read_back_or_says_where_to_look(lock in locks(), device: u32) {
            let guard = Guard::new(device, lock.into()).owner("vif1.0".parse().unwrap());
            let comment = guard.comment();
            prop_assert!(comment.len() <= COMMENT_MAX);
            let (read, whole) = Guard::parse_comment(&comment).unwrap();
            prop_assert_eq!((read.device, read.owner), (device, guard.owner));
            prop_assert!(!whole || read == guard);
        }

        #[test]
        fn any_comment_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = Guard::parse_comment(&text);
        }
    }
}
