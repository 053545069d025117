//! Which interfaces a journal means: names are given away in the middle of a change, and whoever puts
//! one back that was cut off finds another interface under the name.

use super::Applier;
use super::refusal::refused_step;
use crate::edge::transport;
use crate::error::Result;
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::netlink::Request;
use crate::netlink::link::{self, Seen};
use crate::plan::{Plan, Step};
use crate::sysctl::Sysctl;
use nix::libc;
use std::collections::BTreeMap;

/// An interface that a step names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meant {
    /// The one that had this number when the change began.
    Known(u32),
    /// A bridge that the change made with this address, if it came so far: somebody else may have made one of
    /// that name.
    Made(MacAddr),
    /// A bridge that the change deleted, if it came so far: with its old number, or made again.
    Again(u32, MacAddr),
}

/// What the names of an inverse mean, step by step.
#[derive(Debug)]
pub(crate) struct Names {
    meant: BTreeMap<IfName, Meant>,
    known: Vec<u32>,
    /// Bridges that the change deleted.
    deleted: BTreeMap<IfName, u32>,
}

impl Names {
    /// At the end of a change that began when interfaces had these numbers, and that this puts back.
    pub(crate) fn at_the_end(seen: &BTreeMap<IfName, u32>, inverse: &Plan) -> Names {
        let meant = seen.iter().map(|(name, index)| (*name, Meant::Known(*index))).collect();
        let mut names = Names { meant, known: seen.values().copied().collect(), deleted: BTreeMap::new() };
        for step in inverse.steps().iter().rev().filter_map(Step::inverse) {
            names.after(&step);
        }
        names
    }

    /// The number of the interface that a name means, where it had one when the change began.
    pub(crate) fn known(&self, name: IfName) -> Option<u32> {
        match self.meant.get(&name)? {
            Meant::Known(index) => Some(*index),
            Meant::Made(_) | Meant::Again(..) => None,
        }
    }

    /// What the names mean after a step.
    pub(crate) fn after(&mut self, step: &Step) {
        match step {
            Step::Rename { from, to, .. } => {
                if let Some(meant) = self.meant.remove(from) {
                    self.meant.insert(*to, meant);
                }
            }
            Step::AddBridge { bridge, mac, .. } => {
                let again = self.deleted.get(bridge).map(|index| Meant::Again(*index, *mac));
                self.meant.insert(*bridge, again.unwrap_or(Meant::Made(*mac)));
            }
            Step::DeleteBridge { bridge, .. } => {
                if let Some(Meant::Known(index)) = self.meant.remove(bridge) {
                    self.deleted.insert(*bridge, index);
                }
            }
            _ => {}
        }
    }
}

impl Applier<'_> {
    /// A step as it is to be carried out now: with the interfaces that it means, by the numbers and
    /// names that they have. `None` where one of them is not there: nothing has to be put back on it.
    pub(super) fn as_meant(&mut self, step: &Step, names: &Names) -> Result<Option<Step>> {
        // Not deleted yet.
        if let Step::AddBridge { bridge, .. } = step
            && let Some(index) = names.deleted.get(bridge)
            && self.found(link::get_index(*index), step)?.is_some()
        {
            return Ok(None);
        }
        let setting = match step {
            Step::SetSysctl { sysctl: Sysctl::Link(link, _), .. } => Some(*link),
            _ => None,
        };
        let mut meant = step.clone();
        for name in step.links().into_iter().chain(setting) {
            let Some(interface) = names.meant.get(&name) else { continue };
            let found = match interface {
                Meant::Known(index) => self.found(link::get_index(*index), step)?,
                Meant::Made(mac) | Meant::Again(_, mac) => {
                    let is_it = |found: &Seen| !names.known.contains(&found.link.index) && found.link.mac == Some(*mac);
                    self.found(link::get(name), step)?.filter(is_it)
                }
            };
            let found = match (found, interface) {
                (None, Meant::Again(index, _)) => self.found(link::get_index(*index), step)?,
                (found, _) => found,
            };
            let Some(found) = found else {
                self.indices.remove(&name);
                return Ok(None);
            };
            // What need not be renamed need not be down.
            if matches!(step, Step::Rename { to, pause: true, .. } if found.link.name == *to) {
                return Ok(None);
            }
            self.indices.insert(name, found.link.index);
            if let Step::SetSysctl { sysctl, .. } = &mut meant {
                *sysctl = sysctl.renamed(name, found.link.name);
            }
        }
        Ok(Some(meant))
    }

    /// The interface that a question is about; `None` where there is none, which is not to be mistaken
    /// for a question that was not answered.
    pub(super) fn found(&mut self, question: Request, step: &Step) -> Result<Option<Seen>> {
        let answers = self.edge.route.query(&[question]).map_err(|error| transport(&step.verb(), &error))?;
        match answers.iter().find_map(|answer| answer.refusal.as_ref()) {
            Some(refusal) if refusal.errno != libc::ENODEV => Err(refused_step(step, refusal)),
            _ => Ok(super::link_in(&answers)),
        }
    }
}
