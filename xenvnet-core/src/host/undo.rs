//! Putting back what was done, by whatever process.

use super::observe::{Knowing, everything, observe};
use super::{Host, Inner, named, state_of};
use crate::apply::Applier;
use crate::edge::Edge;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::journal::{Beginning, Entry};
use crate::link::Link;
use crate::needs::Needs;
use crate::operation::Operation;
use crate::plan::{Outcome, Plan, Step};
use crate::retrace::retrace;
use crate::snapshot::Snapshot;
use crate::state::Held;
use crate::sysctl::Sysctls;
use std::collections::BTreeSet;

pub(super) const UNDO: &str = "undo the last change";
pub(super) const IN_BETWEEN: &str = "the host is in between: look with `xenvnet status`, put it back by hand";

impl Host {
    /// What [`Host::undo`] would do.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing to undo, [`ErrorKind::Conflict`] where the host has
    /// changed since, [`ErrorKind::State`] without a state directory.
    ///
    /// ```no_run
    /// print!("{}", xenvnet_core::Host::open()?.plan_undo()?);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn plan_undo(&self) -> Result<Plan> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let held = state_of(state, UNDO)?.lock()?;
        let (name, entry) = newest(&held)?;
        if entry.of_undo && !entry.is_closed() {
            // What an undo that was cut off had begun comes back first; then what it was to put back.
            let changed = held.newest_but(&name)?.map(|(_, changed)| changed.inverse);
            return Ok(entry.inverse.then(changed.unwrap_or_default()));
        }
        Ok(PutBack::of(name, entry, edge, sysctls.as_ref(), self.place.knowing)?.plan)
    }

    /// Puts the last change back that was made through this state directory, by whatever process: all of
    /// it or nothing. One that was cut off in the middle is put back as far as it went.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing to undo; [`ErrorKind::Conflict`], with what it is, where
    /// the host was changed since by others so that their work would be undone, or something else be hit;
    /// [`ErrorKind::State`] without a state directory; [`ErrorKind::Undo`] when some of it could not be put
    /// back.
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.undo()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn undo(&self) -> Result<Outcome> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let mut held = state_of(state, UNDO)?.lock()?;
        let is_undo = |entry: &Entry| entry.of_undo;
        let _ = recover_those(edge, sysctls.as_ref(), &mut held, UNDO, is_undo)?;
        let (name, entry) = newest(&held)?;
        let back = PutBack::of(name, entry, edge, sysctls.as_ref(), self.place.knowing)?;
        let plan = back.carry_out(edge, sysctls.as_ref(), &mut held, UNDO)?;
        Ok(if plan.is_empty() { Outcome::Unchanged } else { Outcome::Changed })
    }

    /// What was cut off in the middle stays as it is: nobody puts it back any more. For the case that it
    /// cannot be put back, and that the host was brought in order by hand. [`Outcome::Unchanged`] where
    /// nothing was cut off.
    ///
    /// # Errors
    /// [`ErrorKind::State`] without a state directory.
    ///
    /// ```no_run
    /// assert!(!xenvnet_core::Host::open()?.forget_cut_off()?.is_changed());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn forget_cut_off(&self) -> Result<Outcome> {
        let mut inner = self.inner()?;
        let held = state_of(&mut inner.state, "forget what was cut off")?.lock()?;
        let cut_off = held.cut_off()?;
        for (name, _) in &cut_off {
            held.close(name)?;
        }
        held.settle()?;
        Ok(if cut_off.is_empty() { Outcome::Unchanged } else { Outcome::Changed })
    }
}

/// Puts back what was cut off in the middle, before anything else is begun. Returns what it did.
pub(super) fn recover(edge: &mut Edge, sysctls: Option<&Sysctls>, held: &mut Held<'_>, what: &str) -> Result<Plan> {
    recover_those(edge, sysctls, held, what, |_| true)
}

/// The same, where it is of one sort.
pub(super) fn recover_those(
    edge: &mut Edge,
    sysctls: Option<&Sysctls>,
    held: &mut Held<'_>,
    what: &str,
    is_meant: impl Fn(&Entry) -> bool,
) -> Result<Plan> {
    let mut done = Plan::default();
    if !held.is_between() {
        return Ok(done);
    }
    for (name, entry) in held.cut_off()?.into_iter().filter(|(_, entry)| is_meant(entry)) {
        log::warn!("{name}: a change was cut off in the middle; it is put back before anything else is begun");
        let back = PutBack::noted(name, entry, edge)?;
        let plan = back.carry_out(edge, sysctls, held, "put back a change that was cut off").map_err(|error| {
            let why = "a change before it was cut off in the middle, and not all of that could be put back";
            let remedy = "see xenvnet status; mend it by hand, then leave it so: xenvnet undo --forget";
            Error::cannot(ErrorKind::Undo, what, why).and(vec![error]).with_advice(remedy)
        })?;
        done = done.then(plan);
    }
    held.settle()?;
    Ok(done)
}

/// Refuses where something was cut off in the middle: a plan that was made from that would be carried out on
/// something else.
pub(super) fn expect_settled(held: &Held<'_>, what: &str) -> Result<()> {
    if !held.is_between() || held.cut_off()?.is_empty() {
        return Ok(());
    }
    Err(Error::cannot(ErrorKind::Conflict, what, "a change before it was cut off in the middle")
        .with_advice("put that back first: xenvnet undo; then plan again"))
}

/// How a change is put back.
pub(super) struct PutBack {
    plan: Plan,
    /// What it was made from.
    seen: Snapshot,
    /// The journal of the change.
    name: String,
    entry: Entry,
    way: Way,
}

/// How far a way back can be relied on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Networks are stopped and started as the host is by now: a change like any other.
    Opposite,
    /// The same for who cannot ask: whoever comes after a crash goes on, and does not bring it back.
    Onward,
    /// Step by step as it was noted, where the host still is what the change made it: all of it or nothing.
    Retraced,
    /// As far as it can be: nobody knows how far the change went.
    Forced,
}

impl PutBack {
    /// Networks that were started are stopped, with whatever came to them since: their bridges may have
    /// other addresses, routes and ports by now. Those that were stopped are started, if they do not run
    /// again. Anything else is put back as it was noted, unless others have changed it since.
    pub(super) fn of(
        name: String,
        entry: Entry,
        edge: &mut Edge,
        sysctls: Option<&Sysctls>,
        knowing: Knowing,
    ) -> Result<PutBack> {
        if !entry.is_closed() {
            return PutBack::noted(name, entry, edge);
        }
        let operations = opposite(&entry);
        if !operations.is_empty() {
            return PutBack::opposite(name, entry, &operations, edge, sysctls, knowing);
        }
        let seen = everything(edge, sysctls, knowing)?;
        let plan = retrace(&entry.inverse, &entry.seen, &seen).map_err(|blocks| {
            Error::cannot(ErrorKind::Conflict, UNDO, blocks.join("; "))
                .with_advice("that would be undone as well: put it back first, or change one by one what is to go")
        })?;
        Ok(PutBack { plan, seen, name, entry, way: Way::Retraced })
    }

    /// For who cannot ask: as it was noted, where it is no matter of networks alone.
    pub(super) fn by_force(
        name: String,
        entry: Entry,
        edge: &mut Edge,
        sysctls: Option<&Sysctls>,
        knowing: Knowing,
    ) -> Result<PutBack> {
        let operations = if entry.is_closed() { opposite(&entry) } else { Vec::new() };
        match operations.is_empty() {
            true => PutBack::noted(name, entry, edge),
            false => {
                let back = PutBack::opposite(name, entry, &operations, edge, sysctls, knowing)?;
                Ok(PutBack { way: Way::Onward, ..back })
            }
        }
    }

    fn opposite(
        name: String,
        entry: Entry,
        operations: &[Operation],
        edge: &mut Edge,
        sysctls: Option<&Sysctls>,
        knowing: Knowing,
    ) -> Result<PutBack> {
        // They came to hang on it by this change.
        let knowing = Knowing { dares: true, ..knowing };
        let mut seen = observe(edge, sysctls, knowing, operations, false)?;
        let mut plan = Operation::plan_all(operations, &seen)?;
        let guests = guests(&entry.inverse);
        if !guests.is_empty() && !plan.is_empty() {
            let now =
                edge.observe(UNDO, &Needs { links: named(&entry.inverse), guards: guests, ..Needs::default() })?;
            plan.extend(steps_of_guests(&entry, &now, &seen.after(&plan)));
            // They are on no bridge: who asks for networks does not see them.
            for (name, link) in now.links {
                seen.links.entry(name).or_insert(link);
            }
        }
        Ok(PutBack { plan, seen, name, entry, way: Way::Opposite })
    }

    /// As it was noted, whatever came to it since.
    pub(super) fn noted(name: String, entry: Entry, edge: &mut Edge) -> Result<PutBack> {
        let seen = edge.observe(UNDO, &Needs { links: named(&entry.inverse), ..Needs::default() })?;
        Ok(PutBack { plan: entry.inverse.clone(), seen, name, entry, way: Way::Forced })
    }

    /// Returns what it did. Who is killed meanwhile leaves something that can be put back: this, or, by force,
    /// what is left of the change itself.
    pub(super) fn carry_out(
        self,
        edge: &mut Edge,
        sysctls: Option<&Sysctls>,
        held: &mut Held<'_>,
        what: &str,
    ) -> Result<Plan> {
        let applier = Applier::new(edge, sysctls, &self.seen);
        match self.way {
            _ if self.plan.is_empty() => {}
            Way::Forced => {
                held.reopen(&self.name)?;
                applier.put_back_plan(&self.plan, &self.entry.seen).map_err(|errors| {
                    let error = Error::cannot(ErrorKind::Undo, what, "not everything could be put back");
                    error.and(errors).with_advice(IN_BETWEEN)
                })?;
            }
            Way::Onward => {
                held.reopen(&self.name)?;
                applier.apply(&self.plan).map_err(|failure| {
                    // All is as it was: it still waits for somebody to confirm it.
                    if failure.error.kind() != ErrorKind::Undo {
                        let waits = held.postpone(&self.name);
                        waits.unwrap_or_else(|error| log::warn!("{error}"));
                    }
                    failure.error
                })?;
            }
            Way::Opposite | Way::Retraced => {
                let numbers =
                    named(&self.plan).into_iter().filter_map(|name| Some((name, self.seen.link(name)?.index)));
                let beginning = Beginning { seen: numbers.collect(), of_undo: true, ..Beginning::default() };
                let unwritten =
                    |error: std::io::Error| Error::cannot(ErrorKind::State, "write the journal", error.to_string());
                let journal = held.begin_to_undo(&self.plan.inverse(), beginning).map_err(unwritten)?;
                let done = match self.way {
                    Way::Opposite => applier.apply(&self.plan),
                    _ => applier.retrace(&self.plan),
                };
                // Where what failed could not be put back either, whoever comes next tries again.
                let is_half_done = matches!(&done, Err(failure) if failure.error.kind() == ErrorKind::Undo);
                let ended = if is_half_done { Ok(()) } else { held.end_to_undo(&journal) };
                done.map_err(|failure| failure.error)?;
                ended.map_err(unwritten)?;
            }
        }
        let noted = held.asked_for(&self.plan);
        noted.unwrap_or_else(|error| log::warn!("what was put back could not be noted: {error}"));
        held.close(&self.name)?;
        held.settle()?;
        Ok(self.plan)
    }
}

/// Stopping what a change started, and starting what it stopped, where it did nothing else.
fn opposite(entry: &Entry) -> Vec<Operation> {
    let of = |step: &Step| match step {
        Step::DeleteNetwork { record } => Some(Operation::StopNetwork(record.network.clone())),
        Step::AddNetwork { record } => Some(Operation::StartNetwork(record.network.clone())),
        _ => None,
    };
    let operations = entry.inverse.steps().iter().filter_map(of);
    if entry.of_networks { operations.collect() } else { Vec::new() }
}

/// What is to be on a bridge again.
fn guests(inverse: &Plan) -> BTreeSet<IfName> {
    let port = |step: &Step| if let Step::Enslave { port, .. } = step { Some(*port) } else { None };
    inverse.steps().iter().filter_map(port).collect()
}

/// Guests that went down with their bridge come back on it, with their locks: unless they are another's by
/// now, or were detached, which takes the lock of whoever had one.
fn steps_of_guests(entry: &Entry, now: &Snapshot, after: &Snapshot) -> Vec<Step> {
    let waits = |port: IfName| {
        let is_same = |link: &&Link| entry.seen.get(&port) == Some(&link.index);
        let waits = |link: &Link| link.master.is_none() && !link.up && !now.lacks_lock(port);
        now.link(port).filter(is_same).is_some_and(waits)
    };
    let mut steps = Vec::new();
    for step in entry.inverse.steps().iter().cloned() {
        match step {
            Step::Enslave { port, .. } if waits(port) => steps.push(step),
            // The bridge had another name when they left it.
            Step::Rename { from, to, .. } => {
                let bridges = steps.iter_mut().filter_map(|step| match step {
                    Step::Enslave { bridge, .. } => Some(bridge),
                    _ => None,
                });
                bridges.filter(|bridge| **bridge == from).for_each(|bridge| *bridge = to);
            }
            _ => {}
        }
    }
    steps.retain(
        |step| matches!(step, Step::Enslave { bridge, .. } if after.link(*bridge).is_some_and(Link::is_bridge)),
    );
    let come: BTreeSet<_> = steps.iter().flat_map(Step::links).collect();
    let up = |step: &&Step| matches!(step, Step::Up { link } if come.contains(link) && waits(*link));
    steps.extend(entry.inverse.steps().iter().filter(up).cloned());
    steps
}

fn newest(held: &Held<'_>) -> Result<(String, Entry)> {
    let none = || Error::cannot(ErrorKind::NotFound, UNDO, "no change was made, or it was undone already");
    held.newest()?.ok_or_else(none)
}
