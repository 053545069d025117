//! A vif taken off, whatever is left of it.

use super::routed::{steps_forget, steps_unroute};
use crate::bridge;
use crate::dom0::Dom0;
use crate::guard;
use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use crate::untracked::step_tracking;

/// Takes a vif off: down, off its bridge or its routes, its lock and counters gone. It may be named
/// as netback named it, whatever it is called since. The interface stays in the vifs' group, so that
/// as long as our tables are there whoever sets it up again without a lock gets nothing through.
pub(crate) fn plan_detach(vif: IfName, now: &Snapshot) -> Plan {
    let guards = || [Table::Bridge, Table::Netdev].into_iter().flat_map(|table| now.guards_in(table));
    let known = now.link(vif).is_some() || guards().any(|(name, _)| *name == vif);
    let renamed = || {
        let links = now.links.values().filter(|link| link.alias == vif.as_str()).map(|link| link.name);
        links.chain(guards().filter(|(_, guard)| guard.owner == Some(vif)).map(|(name, _)| *name)).next()
    };
    let vif = if known { vif } else { renamed().unwrap_or(vif) };
    let mut plan = Plan::default();
    if let Some(link) = now.link(vif) {
        let is_guests = link.is_vif() || link.xen_name().is_some();
        match link.master {
            Some(bridge) => {
                let held = link.is_vif() || now.guard_of(vif).is_some();
                plan.extend((is_guests && !held && link.up).then_some(Step::Down { link: vif }));
                plan.extend(bridge::steps_release(link, bridge, now));
            }
            None if is_guests => {
                plan.extend(steps_forget(vif, now));
                plan.extend(steps_unroute(vif, |_| true, now));
                plan.extend(link.up.then_some(Step::Down { link: vif }));
            }
            None => {}
        }
    }
    plan.extend(guard::step_hook(vif, false, now));
    for table in [Table::Bridge, Table::Netdev] {
        plan.extend(guard::step_guard(table, vif, now.guards_in(table).get(&vif), None, now));
    }
    plan.extend(step_tracking(vif, None, now));
    plan.extend(Dom0::Open.steps(vif, now));
    plan.extend(guard::steps_forget(vif, now, |_| true));
    plan
}
