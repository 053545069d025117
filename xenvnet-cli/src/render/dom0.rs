//! What guests reach on dom0 itself.

use super::columns::{Cell, table};
use super::guests::dropped;
use crate::output::DIM;
use std::collections::BTreeSet;
use xenvnet_core::{Dom0, DropReason, IfName, Snapshot};

/// The interfaces that guests are behind: bridges, routed vifs, and what a setting is kept for
/// although it is not there.
pub(crate) fn interfaces(snapshot: &Snapshot) -> Vec<IfName> {
    let bridges = snapshot.bridges().map(|bridge| bridge.name);
    let routed = snapshot.ingress.keys().copied();
    let routed = routed.filter(|vif| snapshot.link(*vif).is_some_and(|link| link.master.is_none()));
    let all: BTreeSet<_> = bridges.chain(routed).chain(snapshot.dom0.keys().copied()).collect();
    all.into_iter().collect()
}

/// What guests behind an interface reach.
pub(crate) fn access_of(snapshot: &Snapshot, interface: IfName) -> Dom0 {
    snapshot.dom0.get(&interface).cloned().unwrap_or(Dom0::Open)
}

pub(crate) fn access_table(snapshot: &Snapshot, interfaces: &[IfName]) -> String {
    let row = |name: &IfName| {
        let access = access_of(snapshot, *name);
        let style = if access == Dom0::Open { DIM } else { anstyle::Style::new() };
        let dropped = dropped(snapshot, *name, &[DropReason::Dom0]);
        vec![name.as_str().into(), Cell(access.to_string(), style), dropped]
    };
    table(&["INTERFACE", "ACCESS", "DROPPED"], interfaces.iter().map(row).collect())
}
