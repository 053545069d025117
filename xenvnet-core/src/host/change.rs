//! A change: what is written down before it begins, and how it ends.

use super::named;
use crate::apply::{Applier, Failure};
use crate::edge::Edge;
use crate::error::{Error, ErrorKind};
use crate::journal::{Beginning, End};
use crate::mac::MacAddr;
use crate::plan::Plan;
use crate::snapshot::Snapshot;
use crate::state::Held;
use crate::sysctl::Sysctls;
use std::collections::BTreeSet;
use std::time::Duration;

/// On what terms a plan is carried out.
#[derive(Default)]
pub(super) struct Terms {
    /// Addresses that are taken over from wherever a bridge learned them.
    pub(super) learned: BTreeSet<MacAddr>,
    /// How soon somebody has to confirm it.
    pub(super) confirm_within: Option<Duration>,
    /// Whether all that it does is to start and stop networks.
    pub(super) of_networks: bool,
    /// What is being done.
    pub(super) what: String,
}

/// Writes down how to put the plan back, then carries it out.
pub(super) fn carry_out(
    edge: &mut Edge,
    sysctls: Option<&Sysctls>,
    mut held: Option<Held<'_>>,
    seen: &Snapshot,
    plan: &Plan,
    terms: Terms,
) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::of(&plan.steps()[0], Error::cannot(ErrorKind::State, "write the journal", error.to_string()))
    };
    if let (Some(held), Some(_)) = (&held, terms.confirm_within) {
        let unwatched = || {
            let what = terms.what.clone();
            Error::cannot(ErrorKind::State, what, "nobody would put it back: no guard is on the watch")
                .with_advice("start one first: xenvnet guard")
        };
        let watched = held.is_watched().and_then(|watched| if watched { Ok(()) } else { Err(unwatched()) });
        watched.map_err(|error| Failure::of(&plan.steps()[0], error))?;
    }
    // What only mends has nothing to be put back: the change before it stays the last one.
    let inverse = plan.inverse();
    if let Some(held) = held.as_mut().filter(|_| !inverse.is_empty()) {
        let numbers = named(plan).into_iter().filter_map(|name| Some((name, seen.link(name)?.index)));
        let Terms { of_networks, confirm_within, .. } = terms;
        let beginning = Beginning { seen: numbers.collect(), of_networks, of_undo: false, confirm_within };
        held.begin(&inverse, beginning).map_err(failed)?;
    }
    let result = Applier::new(edge, sysctls, seen).taking_over(terms.learned).apply(plan);
    if let Some(held) = &mut held {
        // Noted before the journal is closed: what is cut off in between is undone, and so is the note.
        if result.is_ok() {
            let noted = held.asked_for(plan);
            noted.unwrap_or_else(|error| log::warn!("what was asked for could not be noted: {error}"));
            let waiting = match terms.confirm_within {
                Some(_) => Ok(()),
                None => held.close_waiting(&plan.networks()),
            };
            waiting.unwrap_or_else(|error| log::warn!("a journal could not be closed: {error}"));
        }
        // What failed was put back; unless that failed too, nothing is left to be undone.
        let undone = result.as_ref().is_err_and(|failure| failure.error.kind() != ErrorKind::Undo);
        let cut_off = result.is_err() && !undone;
        // The change itself is not taken back for this: it would be undone as if it had been cut off.
        let end = match terms.confirm_within {
            _ if undone => End::Undone,
            Some(_) => End::Provisional,
            None => End::Done,
        };
        let finished = if cut_off || inverse.is_empty() { Ok(()) } else { held.finish(end) };
        finished.unwrap_or_else(|error| log::warn!("the journal could not be closed: {error}"));
    }
    result
}
