//! Guests' interfaces: where they lead, what holds them, what was dropped.

use super::columns::{Cell, join, or_dash, table};
use super::state;
use crate::output::{DIM, RED, YELLOW};
use std::collections::{BTreeMap, BTreeSet};
use xenvnet_core::{DropReason, Guard, IfName, Link, Lock, Snapshot, Table};

/// The interfaces of guests, those that have gone and left a lock behind, and any other that
/// frames of were dropped as a guest's.
pub(crate) fn guests(snapshot: &Snapshot) -> Vec<IfName> {
    let vifs = snapshot.vifs().map(|link| link.name);
    let locked = snapshot.guards.keys().chain(snapshot.ingress.keys()).copied();
    // What dom0 itself dropped is told with dom0: it counts bridges.
    let dropped = snapshot.drops.iter().filter(|drops| drops.frames > 0 && drops.reason != DropReason::Dom0);
    let all: BTreeSet<_> = vifs.chain(locked).chain(dropped.map(|drops| drops.vif)).collect();
    all.into_iter().collect()
}

pub(crate) fn guest_table(snapshot: &Snapshot, guests: &[IfName]) -> String {
    let rows = guests.iter().map(|guest| guest_row(snapshot, *guest)).collect();
    table(&["VIF", "STATE", "LEADS TO", "LOCK", "DROPPED"], rows)
}

fn guest_row(snapshot: &Snapshot, name: IfName) -> Vec<Cell> {
    let link = snapshot.link(name);
    vec![
        title(snapshot, name).into(),
        link.map_or(Cell("gone".to_owned(), DIM), state),
        or_dash(link.map(|link| leads_to(snapshot, link)).unwrap_or_default()),
        lock(snapshot, name),
        dropped(snapshot, name, DropReason::ALL),
    ]
}

/// Its name, and the one that netback gave it where that was another.
pub(super) fn title(snapshot: &Snapshot, name: IfName) -> String {
    // An alias may be any text of somebody else's; a name can be shown anywhere.
    let alias = snapshot.link(name).and_then(|link| link.alias.parse::<IfName>().ok());
    let owner = || stands(snapshot, name)?.owner;
    let former = alias.or_else(owner).filter(|former| *former != name);
    former.map_or_else(|| name.to_string(), |former| format!("{name} ({former})"))
}

/// The lock that stands under a name, whoever's it was.
fn stands(snapshot: &Snapshot, name: IfName) -> Option<&Guard> {
    snapshot.guards.get(&name).or_else(|| snapshot.ingress.get(&name))
}

fn leads_to(snapshot: &Snapshot, link: &Link) -> String {
    let name = link.name;
    let Some(bridge) = link.master else {
        let gateways = snapshot.addresses.get(&name).into_iter().flatten().map(|address| address.ip());
        let nets = snapshot.routes.get(&name).into_iter().flatten();
        let (gateways, nets) = (join(gateways), join(nets));
        return match (snapshot.ingress.contains_key(&name), gateways.is_empty(), nets.is_empty()) {
            (false, ..) => String::new(),
            (true, _, true) => "routed".to_owned(),
            (true, true, false) => format!("routed: {nets}"),
            (true, false, false) => format!("routed: {nets} by {gateways}"),
        };
    };
    let notes = [
        (link.port.is_some_and(|port| port.isolated), "isolated"),
        (snapshot.is_paired(name), "pair"),
        (snapshot.untracked.contains_key(&name), "untracked"),
        (link.shut, "port shut"),
    ];
    let notes: Vec<_> = notes.into_iter().filter(|(holds, _)| *holds).map(|(_, note)| note).collect();
    if notes.is_empty() { bridge.to_string() } else { format!("{bridge} ({})", notes.join(", ")) }
}

pub(super) fn lock(snapshot: &Snapshot, name: IfName) -> Cell {
    let (guard, link) = (snapshot.guard_of(name), snapshot.link(name));
    match (guard, stands(snapshot, name), link) {
        (Some(guard), _, Some(_)) => {
            let text = match &guard.lock {
                Lock::Locked(antispoof) => antispoof.to_string(),
                other => other.to_string(),
            };
            match &guard.lock {
                _ if !is_in_force(snapshot, name) => Cell(format!("not in force: {text}"), RED),
                Lock::Locked(_) => text.into(),
                _ => Cell(text, YELLOW),
            }
        }
        (_, Some(guard), _) => Cell(format!("left behind: {}", guard.lock), YELLOW),
        (_, None, Some(link)) if link.is_vif() && is_held_back(snapshot, link) => {
            Cell("none: everything is dropped".to_owned(), YELLOW)
        }
        (_, None, Some(link)) if link.is_vif() && link.up => Cell("none".to_owned(), RED),
        (_, None, Some(link)) if link.master.is_none() => Cell("not attached".to_owned(), DIM),
        (_, None, Some(_)) => Cell("unlocked".to_owned(), RED),
        (_, None, None) => or_dash(String::new()),
    }
}

/// Whether a lock holds its interface: at ingress it does so only where frames come by it.
pub(crate) fn is_in_force(snapshot: &Snapshot, name: IfName) -> bool {
    let routed = snapshot.ingress.contains_key(&name) && snapshot.link(name).is_some_and(|link| link.master.is_none());
    let at_ingress = routed || snapshot.is_paired(name);
    snapshot.guard_of(name).is_some() && (!at_ingress || snapshot.hooks.contains(&name))
}

/// Whether the table that drops what is not locked is there: on bridges the bridge's, else that of
/// dom0's routes.
fn is_held_back(snapshot: &Snapshot, link: &Link) -> bool {
    let table = if link.master.is_some() { Table::Bridge } else { Table::Inet };
    snapshot.tables.contains_key(&table)
}

/// What was dropped for these reasons. A port of a pair is held in two tables: their counts are
/// one to people.
pub(super) fn dropped(snapshot: &Snapshot, name: IfName, reasons: &[DropReason]) -> Cell {
    let mut sums = BTreeMap::<DropReason, u64>::new();
    for drops in snapshot.drops.iter().filter(|drops| drops.vif == name && reasons.contains(&drops.reason)) {
        let sum = sums.entry(drops.reason).or_default();
        *sum = sum.saturating_add(drops.frames);
    }
    let counts = sums.into_iter().filter(|(_, frames)| *frames > 0);
    let text = join(counts.map(|(reason, frames)| format!("{reason}={frames}")));
    if text.is_empty() { or_dash(text) } else { Cell(text, RED) }
}
