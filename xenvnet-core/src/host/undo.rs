//! Putting back what was done, by whatever process.

use super::observe::{Knowing, observe};
use super::{Host, Inner, named, state_of};
use crate::apply::Applier;
use crate::edge::Edge;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::journal::Entry;
use crate::link::Link;
use crate::needs::Needs;
use crate::operation::Operation;
use crate::plan::{Outcome, Plan, Step};
use crate::snapshot::Snapshot;
use crate::state::Held;
use crate::sysctl::Sysctls;
use crate::table::Table;
use crate::vif::VIF_GROUP;
use std::collections::BTreeSet;

pub(super) const UNDO: &str = "undo the last change";
pub(super) const IN_BETWEEN: &str = "the host is in between: look with `xenvnet status`, put it back by hand";

impl Host {
    /// What [`Host::undo`] would do.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing to undo, [`ErrorKind::State`] without a state
    /// directory.
    ///
    /// ```no_run
    /// print!("{}", xenvnet_core::Host::open()?.plan_undo()?);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn plan_undo(&self) -> Result<Plan> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let held = state_of(state, UNDO)?.lock()?;
        let (_, entry) = newest(&held)?;
        Ok(PutBack::of(entry, edge, sysctls.as_ref(), self.place.knowing)?.plan)
    }

    /// Puts the last change back that was made through this state directory, by whatever process,
    /// whether it ran to its end or was cut off in the middle.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing to undo, [`ErrorKind::State`] without a state
    /// directory, [`ErrorKind::Undo`] when some of it could not be put back.
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.undo()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn undo(&self) -> Result<Outcome> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let mut held = state_of(state, UNDO)?.lock()?;
        let (journal, entry) = newest(&held)?;
        let back = PutBack::of(entry, edge, sysctls.as_ref(), self.place.knowing)?;
        let plan = back.carry_out(edge, sysctls.as_ref()).map_err(|errors| {
            let error = Error::cannot(ErrorKind::Undo, UNDO, "not everything could be put back");
            error.and(errors).with_advice(IN_BETWEEN)
        })?;
        held.close(&journal)?;
        let noted = held.asked_for(&plan);
        noted.unwrap_or_else(|error| log::warn!("what was undone could not be noted: {error}"));
        Ok(if plan.is_empty() { Outcome::Unchanged } else { Outcome::Changed })
    }
}

/// How a change is put back.
pub(super) struct PutBack {
    plan: Plan,
    /// What it was made from.
    seen: Snapshot,
    /// The change, where what is put back is what it noted; otherwise it is what the host has by now.
    noted: Option<Entry>,
}

impl PutBack {
    /// Networks that were started are stopped, with whatever came to them since: their bridges may have
    /// other addresses, routes and ports by now. Those that were stopped are started, if they do not run
    /// again. Anything else is put back as it was noted.
    pub(super) fn of(entry: Entry, edge: &mut Edge, sysctls: Option<&Sysctls>, knowing: Knowing) -> Result<PutBack> {
        let operations = opposite(&entry);
        if operations.is_empty() {
            return PutBack::noted(entry, edge);
        }
        // They came to hang on it by this change.
        let knowing = Knowing { dares: true, ..knowing };
        let mut seen = observe(edge, sysctls, knowing, &operations, false)?;
        let mut plan = Operation::plan_all(&operations, &seen)?;
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
        Ok(PutBack { plan, seen, noted: None })
    }

    /// As it was noted, whatever came to it since.
    pub(super) fn noted(entry: Entry, edge: &mut Edge) -> Result<PutBack> {
        let seen = edge.observe(UNDO, &Needs { links: named(&entry.inverse), ..Needs::default() })?;
        Ok(PutBack { plan: entry.inverse.clone(), seen, noted: Some(entry) })
    }

    /// Returns what it did.
    pub(super) fn carry_out(self, edge: &mut Edge, sysctls: Option<&Sysctls>) -> Result<Plan, Vec<Error>> {
        let applier = Applier::new(edge, sysctls, &self.seen);
        match &self.noted {
            Some(entry) => applier.put_back_plan(&self.plan, &entry.seen)?,
            None => applier.apply(&self.plan).map_err(|failure| vec![failure.error])?,
        }
        Ok(self.plan)
    }
}

/// Stopping what a change started, and starting what it stopped, where it came to its end and did nothing
/// else: one that was cut off is put back step by step.
fn opposite(entry: &Entry) -> Vec<Operation> {
    let of = |step: &Step| match step {
        Step::DeleteNetwork { record } => Some(Operation::StopNetwork(record.network.clone())),
        Step::AddNetwork { record } => Some(Operation::StartNetwork(record.network.clone())),
        _ => None,
    };
    let operations = entry.inverse.steps().iter().filter_map(of);
    if entry.of_networks && entry.is_closed() { operations.collect() } else { Vec::new() }
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
        now.link(port).filter(is_same).is_some_and(|link| {
            let is_held = link.group != VIF_GROUP || now.guard_at(Table::Bridge, port).is_some();
            link.master.is_none() && !link.up && is_held
        })
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
