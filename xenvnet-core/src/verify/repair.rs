//! What mends what was found: the tables first, all in one transaction, then ports.

use super::{Finding, Judgement};
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::link::{LinkSettings, Pinning, PortState};
use crate::plan::{Plan, Step};
use crate::table::Table;
use crate::vif::VIF_GROUP;
use std::collections::{BTreeMap, BTreeSet};

pub(super) fn plan(judgement: &Judgement<'_>, findings: &[Finding]) -> Plan {
    let mut steps = Vec::new();
    let mut wanted = judgement.wanted.clone();
    for finding in findings {
        // A lock that stands on the bridge's side only, where there is no bridge any more.
        if let Finding::NotAtIngress { vif } = finding
            && let Some(guard) = wanted.guards.get(vif).cloned()
        {
            wanted.ingress.entry(*vif).or_insert(guard);
        }
    }
    if findings.iter().any(is_of_the_tables) {
        steps.push(Step::Restore { contents: Box::new(wanted.clone()) });
    }
    // Before a port is locked its addresses are pinned: the guest loses nothing.
    for finding in findings {
        if let Finding::NotPinned { vif, mac } = finding {
            steps.push(Step::AddFdb { port: *vif, mac: *mac, pinning: Pinning::default() });
        }
    }
    for finding in findings {
        match finding {
            Finding::NotInGroup { vif, group } => steps.push(Step::SetLink {
                link: *vif,
                from: LinkSettings { group: Some(*group), ..LinkSettings::default() },
                to: LinkSettings { group: Some(VIF_GROUP), ..LinkSettings::default() },
            }),
            Finding::PortFlags { vif, found, asked } => {
                steps.push(Step::SetPort { port: *vif, from: *found, to: *asked });
            }
            Finding::Released { vif, bridge, found } => {
                let guard = wanted.guards.get(vif);
                steps.extend(guard.map(|guard| judgement.bring_back(*vif, *bridge, *found, guard)).unwrap_or_default());
            }
            // The bridge opens a port again that comes up again.
            Finding::PortShut { vif, .. } => steps.extend([Step::Down { link: *vif }, Step::Up { link: *vif }]),
            _ => {}
        }
    }
    steps.into_iter().collect()
}

/// What clears away what dead guests left, and touches nothing else.
pub(super) fn sweep(leftovers: &[Finding]) -> Plan {
    let mut left: BTreeMap<Table, BTreeSet<IfName>> = BTreeMap::new();
    for finding in leftovers {
        if let Finding::Leftover { vif, table } = finding {
            left.entry(*table).or_default().insert(*vif);
        }
    }
    left.into_iter().map(|(table, names)| Step::Sweep { table, names }).collect()
}

/// Whether it is mended in the tables.
fn is_of_the_tables(finding: &Finding) -> bool {
    use Finding::*;
    matches!(
        finding,
        TableMissing { .. }
            | TableDormant { .. }
            | TableAltered { .. }
            | OldLayout { .. }
            | NotLocked { .. }
            | LockDiffers { .. }
            | Renamed { .. }
            | NotAtIngress { .. }
            | Leftover { .. }
            | Dom0Differs { .. }
            | NotMasqueraded { .. }
            | NotForwarded { .. }
            | NetworkForgotten { .. }
            | Tracked { .. }
            | NotAccounted { .. }
    )
}

impl Judgement<'_> {
    /// Back to the bridge that it was attached to, down while it moves.
    fn bring_back(&self, vif: IfName, bridge: IfName, found: Option<IfName>, guard: &Guard) -> Vec<Step> {
        let Some(link) = self.now.link(vif) else { return Vec::new() };
        let state = self.wanted_state(link, bridge, PortState::default());
        let macs = if self.is_at_ingress(link) { Vec::new() } else { guard.lock.macs().to_vec() };
        let pinning = Pinning::default();
        let release = found.map(|bridge| Step::Release {
            port: vif,
            bridge,
            state: link.port.unwrap_or_default(),
            macs: Vec::new(),
            pinning,
        });
        let enslave = Step::Enslave { port: vif, bridge, state, macs, pinning };
        let check = Step::Check { link: vif, group: VIF_GROUP, bridge: Some(bridge), state };
        let down = link.up.then_some(Step::Down { link: vif });
        let up = link.up.then_some(Step::Up { link: vif });
        down.into_iter().chain(release).chain([enslave, check]).chain(up).collect()
    }
}
