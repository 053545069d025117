//! What people read: plans as diffs, snapshots as tables.

mod accounts;
mod columns;
mod dom0;
mod guests;
mod macs;
mod networks;
mod report;
mod spec;
mod topology;

pub(crate) use accounts::accounts;
pub(crate) use dom0::{access_of, access_table, interfaces};
pub(crate) use guests::{guest_table, guests, is_in_force};
pub(crate) use macs::mac_check;
pub(crate) use networks::{forwards, networks};
pub(crate) use report::{drift, mended, report, unserved, warnings};
pub(crate) use spec::{mistakes, spec};
pub(crate) use topology::Topology;

use crate::output::{BOLD, DIM, GREEN, RED, YELLOW, paint};
use anstyle::Style;
use columns::{Cell, join, or_dash, table};
use networks::{forwarding, masquerades};
use std::time::Duration;
use xenvnet_core::{Link, Operation, Outcome, Plan, Snapshot};

/// Beyond so many, ports are counted instead of named.
const PORTS_NAMED: usize = 6;

/// Beyond so many, operations are counted instead of named.
const OPERATIONS_NAMED: usize = 6;

/// One line a step, in the colours of a diff.
pub(crate) fn plan(plan: &Plan) -> String {
    plan.to_string().lines().map(|line| paint(diff_style(line), line) + "\n").collect()
}

fn diff_style(line: &str) -> Style {
    match line.as_bytes().first() {
        Some(b'+') => GREEN,
        Some(b'-') => RED,
        Some(b'~') => YELLOW,
        _ => DIM,
    }
}

/// What was asked, and whether it had to be done.
pub(crate) fn outcome(outcome: Outcome, operations: &[Operation]) -> String {
    let word = if outcome.is_changed() { paint(GREEN, "done") } else { paint(DIM, "already so") };
    match operations {
        [] => "nothing to do\n".to_owned(),
        some if some.len() <= OPERATIONS_NAMED => some.iter().map(|one| format!("{word}: {one}\n")).collect(),
        many => format!("{word}: {} operations, from {} to {}\n", many.len(), many[0], many[many.len() - 1]),
    }
}

/// By when it wants to be confirmed, and how.
pub(crate) fn provisional(within: Duration, confirm: &str) -> String {
    format!("confirm it within {} s, or it is put back: {}\n", within.as_secs(), paint(BOLD, confirm))
}

/// Everything that a host has of ours, and its bridges.
pub(crate) fn status(snapshot: &Snapshot) -> String {
    let guests = guests(snapshot);
    let mut parts = Vec::new();
    parts.extend(bridges(snapshot).map(|table| titled("Bridges", &table)));
    if !guests.is_empty() {
        parts.push(titled("Guests", &guest_table(snapshot, &guests)));
    }
    let limited: Vec<_> = snapshot.dom0.keys().copied().collect();
    if !limited.is_empty() {
        parts.push(titled("Dom0, to guests", &access_table(snapshot, &limited)));
    }
    parts.extend(networks(snapshot).map(|table| titled("Networks", &table)));
    parts.extend(masquerades(snapshot).map(|table| titled("Masquerades", &table)));
    parts.extend(forwards(snapshot).map(|table| titled("Forwards", &table)));
    if parts.is_empty() {
        parts.push("no bridges, no guests, no networks\n".to_owned());
    }
    parts.extend(forwarding(snapshot));
    parts.join("\n")
}

fn titled(title: &str, table: &str) -> String {
    format!("{}\n{table}", paint(BOLD, title))
}

fn bridges(snapshot: &Snapshot) -> Option<String> {
    let rows: Vec<_> = snapshot.bridges().map(|bridge| bridge_row(snapshot, bridge)).collect();
    (!rows.is_empty()).then(|| table(&["NAME", "STATE", "ADDRESSES", "STP", "MTU", "MAC", "PORTS"], rows))
}

fn bridge_row(snapshot: &Snapshot, bridge: &Link) -> Vec<Cell> {
    let stp = bridge.bridge.is_some_and(|state| state.stp);
    let addresses = snapshot.addresses.get(&bridge.name).into_iter().flatten();
    let ports: Vec<_> = snapshot.ports_of(bridge.name).map(|port| port.name.as_str()).collect();
    vec![
        bridge.name.as_str().into(),
        state(bridge),
        or_dash(join(addresses)),
        if stp { "on" } else { "off" }.into(),
        bridge.mtu.to_string().into(),
        or_dash(bridge.mac.map(|mac| mac.to_string()).unwrap_or_default()),
        or_dash(match ports.as_slice() {
            some if some.len() <= PORTS_NAMED => some.join(" "),
            many => format!("{} ... {} ({})", many[0], many[many.len() - 1], many.len()),
        }),
    ]
}

fn state(link: &Link) -> Cell {
    if link.up { Cell("up".to_owned(), GREEN) } else { Cell("down".to_owned(), YELLOW) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::{
        Antispoof, Attachment, Bridge, DropReason, Drops, Guard, IfName, Lock, Masquerade, Network, PortState, Sysctl,
        Table,
    };

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    /// A brouter that shows guests nothing but DNS, with a locked guest that was renamed, an open
    /// one, an untracked one, one with an emulated card, and one that has gone; beside it one that
    /// is routed.
    pub(in crate::render) fn snapshot() -> Snapshot {
        let network: Network = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".parse().unwrap();
        let lock = |number: u8| {
            let mac = format!("00:16:3e:00:00:0{number}").parse().unwrap();
            Antispoof::new(mac).ip(format!("10.98.98.{number}").parse().unwrap())
        };
        let mut now = Snapshot::default();
        now.sysctls.insert(Sysctl::Ip4Forward, 0);
        let vifs = ["eth1", "vif1.0", "vif2.0", "vif4.0", "vif5.0", "vif5.0-emu", "vif6.0"];
        for (index, vif) in (4..).zip(vifs) {
            now.links.insert(name(vif), Link::new(index, name(vif)));
        }
        let bridged = |vif: &str, lock: Lock| Attachment::bridged(name(vif), name("xenbr0"), lock);
        let routed = Attachment::routed(name("vif6.0"), Antispoof::new("00:16:3e:00:00:06".parse().unwrap()));
        let routed = routed.gateway("10.0.0.1".parse().unwrap()).route("10.0.0.6".parse().unwrap());
        for operation in [
            Operation::StartNetwork(network),
            Operation::EnslaveVif { vif: name("eth1"), bridge: name("xenbr0") },
            Operation::AttachVif(bridged("vif1.0", lock(2).into()).rename(name("web"))),
            Operation::AttachVif(bridged("vif2.0", Lock::Unlocked)),
            Operation::AttachVif(bridged("vif4.0", lock(4).into()).untracked(true).isolated(true)),
            Operation::AttachVif(bridged("vif5.0", lock(5).into())),
            Operation::AttachVif(bridged("vif5.0-emu", lock(5).into())),
            Operation::AttachVif(routed.dom0("closed".parse().unwrap())),
            Operation::SetDom0 { interface: name("xenbr0"), access: "services(dns)".parse().unwrap() },
        ] {
            now = now.after(&operation.plan(&now).unwrap());
        }
        now.guards.insert(name("vif3.0"), Guard::new(3, Lock::Disabled));
        let at_ingress = |vif: &str, reason, frames| {
            let mut drops = Drops::new(name(vif), reason, frames, 60 * frames);
            drops.table = Table::Netdev;
            drops
        };
        now.drops = vec![
            Drops::new(name("web"), DropReason::Ip4, 5, 300),
            Drops::new(name("web"), DropReason::Arp, 2, 56),
            Drops::new(name("vif5.0"), DropReason::Mac, 1, 60),
            at_ingress("vif5.0", DropReason::Mac, 3),
            at_ingress("vif6.0", DropReason::Nd, 4),
            Drops::new(name("vif6.0"), DropReason::Dom0, 7, 420),
            Drops::new(name("xenbr0"), DropReason::Dom0, 9, 540),
            Drops::new(name("stray"), DropReason::Unguarded, 8, 480),
        ];
        now.links.get_mut(&name("xenbr0")).unwrap().mac = Some("2e:62:00:00:00:01".parse().unwrap());
        now
    }

    #[test]
    fn a_status_reads_like_this() {
        insta::assert_snapshot!(plain(&status(&snapshot())));
    }

    #[test]
    fn a_lock_at_ingress_that_no_frame_comes_by_is_not_in_force() {
        let mut now = snapshot();
        assert!(!plain(&status(&now)).contains("not in force"));
        for vif in ["vif5.0", "vif6.0"] {
            assert!(now.hooks.remove(&name(vif)));
            let text = plain(&guest_table(&now, &[name(vif)]));
            assert!(!is_in_force(&now, name(vif)) && text.contains("not in force: mac="), "{text}");
        }
    }

    #[test]
    fn what_was_renamed_by_others_says_whose_it_is() {
        let mut now = Snapshot::default();
        now.links.insert(name("stray"), Link::new(4, name("stray")));
        now.guards.insert(name("stray"), Guard::new(4, Lock::Disabled).owner(name("vif1.0")));
        assert!(plain(&status(&now)).contains("stray (vif1.0)"));
    }

    #[test]
    fn a_lock_left_behind_says_whose_it_was() {
        let mut now = Snapshot::default();
        now.guards.insert(name("web"), Guard::new(3, Lock::Disabled).owner(name("vif1.0")));
        now.guards.insert(name("vif2.0"), Guard::new(4, Lock::Disabled).owner(name("vif2.0")));
        let text = plain(&status(&now));
        assert!(text.contains("  web (vif1.0)  gone   -         left behind: disabled"), "{text}");
        assert!(text.contains("  vif2.0        gone"), "{text}");
    }

    #[test]
    fn nothing_is_said_in_words() {
        assert_eq!(status(&Snapshot::default()), "no bridges, no guests, no networks\n");
    }

    #[test]
    fn many_ports_are_counted() {
        let mut now = Snapshot::default();
        now = now.after(&Operation::CreateBridge(Bridge::new(name("br0"))).plan(&now).unwrap());
        for index in 1..=9 {
            let mut link = Link::new(index, name(&format!("vif{index}.0")));
            (link.master, link.port) = (Some(name("br0")), Some(PortState::default()));
            now.links.insert(link.name, link);
        }
        assert!(plain(&status(&now)).contains("vif1.0 ... vif9.0 (9)"));
    }

    #[test]
    fn a_vif_of_the_group_without_a_lock_is_shut_not_open() {
        let mut now = Snapshot::default();
        let mut link = Link::new(4, name("vif1.0"));
        (link.group, link.master, link.up) = (xenvnet_core::VIF_GROUP, Some(name("br0")), true);
        now.links.insert(link.name, link);
        now.tables.insert(Table::Bridge, 2);
        assert!(plain(&status(&now)).contains("none: everything is dropped"));
        now.tables.clear();
        assert!(plain(&status(&now)).contains("  none  "), "nothing is there that would drop anything");
    }

    #[test]
    fn a_vif_on_no_bridge_is_not_attached() {
        let mut now = Snapshot::default();
        now.links.insert(name("vif1.0"), Link::new(4, name("vif1.0")));
        assert!(plain(&status(&now)).contains("vif1.0  down   -         not attached"));
    }

    #[test]
    fn a_diff_has_its_colours_and_its_words() {
        let create = Operation::CreateBridge(Bridge::new(name("br0"))).plan(&Snapshot::default()).unwrap();
        let text = plan(&create);
        assert!(text.starts_with(&GREEN.render().to_string()), "{text:?}");
        assert_eq!(plain(&text), create.to_string());
    }

    #[test]
    fn an_outcome_says_what_was_asked() {
        let one = Operation::MasqueradeSubnet(Masquerade::new("10.0.0.0/8".parse().unwrap()));
        assert_eq!(plain(&outcome(Outcome::Changed, std::slice::from_ref(&one))), "done: masquerade 10.0.0.0/8\n");
        assert_eq!(plain(&outcome(Outcome::Unchanged, &[one])), "already so: masquerade 10.0.0.0/8\n");
        let many: Vec<_> = (0..300).map(|n| Operation::DetachVif { vif: name(&format!("vif{n}.0")) }).collect();
        assert_eq!(
            plain(&outcome(Outcome::Changed, &many)),
            "done: 300 operations, from detach vif0.0 to detach vif299.0\n"
        );
    }
}
