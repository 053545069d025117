//! Putting back: as much as can be, and nothing that would leave a guest up without its lock.

use super::names::Names;
use super::{Applier, Failure};
use crate::entry::EntryKind;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::needs::Needs;
use crate::netlink::link;
use crate::plan::{Plan, Step};
use nix::libc;
use std::collections::BTreeSet;

impl Applier<'_> {
    /// Carries out what can be carried out, each step by itself; returns what could not be.
    pub(super) fn tolerantly(&mut self, plan: &Plan, mut names: Option<Names>) -> Vec<Error> {
        self.tolerant = true;
        self.pending.clear();
        self.requests.clear();
        let mut errors = Vec::new();
        // Interfaces of which something could not be put back.
        let mut unsound = BTreeSet::new();
        // Guests' interfaces that could not be set down.
        let mut standing = BTreeSet::new();
        // Whether something that dom0 has could not be: then nothing is taken away any more.
        let mut lacking = false;
        for told in plan.steps() {
            let meant = match &names {
                Some(names) => self.as_meant(told, names),
                None => Ok(Some(told.clone())),
            };
            names.iter_mut().for_each(|names| names.after(told));
            let step = match meant.and_then(|meant| self.find(meant)) {
                Ok(Some(step)) => step,
                Ok(None) => {
                    // Its bridge is gone: nothing filters what the port lets in.
                    unsound.extend(holds(told).filter(|_| matches!(told, Step::Enslave { .. })));
                    continue;
                }
                Err(error) => {
                    unsound.extend(holds(told));
                    standing.extend(sets_down(told));
                    lacking |= is_dom0s(told);
                    errors.push(error);
                    continue;
                }
            };
            match &step {
                // Better up with its lock than without: what holds it goes when it is down.
                _ if lets_go(&step).is_some_and(|link| standing.contains(&link)) => {
                    standing.extend(holds(&step));
                    let why = "its interface could not be set down; it keeps what holds it";
                    errors.push(Error::cannot(ErrorKind::Conflict, step.verb(), why));
                    continue;
                }
                Step::Up { link } if !unsound.contains(link) && self.lacks_lock(*link, &step) => {
                    let why = "it has no lock any more; it stays down";
                    errors.push(Error::cannot(ErrorKind::Conflict, step.verb(), why));
                    continue;
                }
                // Whatever failed may have been the lock: better down than up without it.
                Step::Up { link } if unsound.contains(link) => {
                    let why = "what was to be put back on it before was not; it stays down";
                    errors.push(Error::cannot(ErrorKind::Conflict, step.verb(), why));
                    continue;
                }
                Step::DeleteEntry { .. } | Step::Release { .. } | Step::DeleteBridge { .. } if lacking => {
                    let why = "what dom0 had elsewhere was not put back; it keeps this";
                    errors.push(Error::cannot(ErrorKind::Conflict, step.verb(), why));
                    continue;
                }
                // Of the bridge that keeps it; a guest goes down whatever fails.
                Step::Down { link } if lacking && is_made(plan, *link) => continue,
                _ => {}
            }
            // One by one: each has its own chance.
            if let Err(failure) = self.take_alone(&step, &mut Vec::new()) {
                // An interface that is gone needs nothing. The kernel's own "not found" is another matter.
                if failure.error.kind() != ErrorKind::NotFound || failure.error.errno().is_some() {
                    unsound.extend(holds(&step));
                    standing.extend(sets_down(&step));
                    lacking |= is_dom0s(&step);
                    errors.push(failure.error);
                }
            }
        }
        errors
    }

    /// Whether an interface is a guest's that is held back and nothing holds it, or nobody can tell.
    fn lacks_lock(&mut self, link: IfName, step: &Step) -> bool {
        let links = [link].into();
        let needs = Needs { links, guards: [link].into(), at_ingress: true, ..Needs::default() };
        self.look(needs, step).map_or(true, |now| now.lacks_lock(link))
    }

    /// Carries out a step by itself.
    pub(super) fn take_alone(&mut self, step: &Step, done: &mut Vec<Step>) -> Result<(), Failure> {
        let mut once = |applier: &mut Self| {
            let taken = applier.take(step, done).and_then(|()| applier.flush(done));
            applier.pending.clear();
            applier.requests.clear();
            taken
        };
        match once(self) {
            Err(failure) if failure.error.errno() == Some(libc::EEXIST) && self.may_take_over(step) => once(self),
            taken => taken,
        }
    }

    /// The same step, and where its interfaces are that were not known: one that was made while its answer
    /// was lost is there all the same.
    pub(super) fn find(&mut self, step: Option<Step>) -> Result<Option<Step>> {
        let Some(step) = step else { return Ok(None) };
        for name in step.links() {
            if !self.indices.contains_key(&name)
                && let Some(seen) = self.found(link::get(name), &step)?
            {
                self.indices.insert(name, seen.link.index);
            }
        }
        Ok(Some(step))
    }
}

/// Whether a bridge goes with this plan.
fn is_made(plan: &Plan, link: IfName) -> bool {
    plan.steps().iter().any(|step| matches!(step, Step::DeleteBridge { bridge, .. } if *bridge == link))
}

/// The interface that a step lets go of, or holds in another way.
fn lets_go(step: &Step) -> Option<IfName> {
    match *step {
        Step::Release { port, .. } | Step::DeleteFdb { port, .. } => Some(port),
        Step::DeleteHook { vif } => Some(vif),
        Step::Rename { from, .. } => Some(from),
        _ => holds(step),
    }
}

pub(super) fn sets_down(step: &Step) -> Option<IfName> {
    if let Step::Down { link } = step { Some(*link) } else { None }
}

/// Whether a step gives back to dom0 what it is reached by.
fn is_dom0s(step: &Step) -> bool {
    match step {
        Step::AddEntry { entry } => entry.kind() != EntryKind::Neighbour,
        Step::MoveEntry { .. } => true,
        _ => false,
    }
}

/// The interface that a step holds back, where it is a guest's.
fn holds(step: &Step) -> Option<IfName> {
    match *step {
        Step::SetGuard { vif, .. } | Step::AddHook { vif } => Some(vif),
        Step::Enslave { port, state, ref macs, .. } => (state.locked == Some(true) || !macs.is_empty()).then_some(port),
        Step::SetPort { port, .. } | Step::AddFdb { port, .. } => Some(port),
        Step::SetLink { link, ref to, .. } => to.group.map(|_| link),
        Step::Rename { to, .. } => Some(to),
        _ => None,
    }
}
