//! What people read: plans as diffs, snapshots as tables.

use crate::output::{BOLD, DIM, GREEN, RED, YELLOW, paint};
use anstyle::Style;
use comfy_table::{Table, presets};
use std::collections::BTreeSet;
use xenvnet_core::{IfName, Link, Lock, Operation, Outcome, Plan, Snapshot, Sysctl};

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

/// Text of one style in a table.
struct Cell(String, Style);

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Cell {
        Cell(text.into(), Style::new())
    }
}

/// Columns that line up, under a heading, indented by two. Colours are put in after the widths
/// are known.
fn table(heading: &[&str], rows: Vec<Vec<Cell>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(heading);
    for row in &rows {
        table.add_row(row.iter().map(|cell| cell.0.as_str()));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    let heading = vec![heading.iter().map(|text| Cell((*text).to_owned(), DIM)).collect()];
    let cells = heading.into_iter().chain(rows);
    table
        .lines()
        .zip(cells)
        .map(|(line, cells): (String, Vec<Cell>)| format!("  {}\n", colour(line.trim_end(), &cells)))
        .collect()
}

/// Finds the cells of a line from left to right and puts each into its style.
fn colour(line: &str, cells: &[Cell]) -> String {
    let (mut text, mut rest) = (String::new(), line);
    for Cell(cell, style) in cells.iter().filter(|cell| !cell.0.is_empty()) {
        let Some((before, after)) = rest.split_once(cell.as_str()) else { break };
        text += before;
        text += &if *style == Style::new() { cell.clone() } else { paint(*style, cell) };
        rest = after;
    }
    text + rest
}

/// Everything that a host has of ours, and its bridges.
pub(crate) fn status(snapshot: &Snapshot) -> String {
    let guests = guests(snapshot);
    let mut parts = Vec::new();
    parts.extend(bridges(snapshot).map(|table| titled("Bridges", &table)));
    if !guests.is_empty() {
        parts.push(titled("Guests", &guest_table(snapshot, &guests)));
    }
    parts.extend(networks(snapshot).map(|table| titled("Networks", &table)));
    parts.extend(masquerades(snapshot).map(|table| titled("Masquerades", &table)));
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

fn or_dash(text: String) -> Cell {
    if text.is_empty() { Cell("-".to_owned(), DIM) } else { text.into() }
}

fn join<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(" ")
}

/// The interfaces of guests, and those that have gone and left a lock behind.
pub(crate) fn guests(snapshot: &Snapshot) -> Vec<IfName> {
    let all: BTreeSet<_> = snapshot.vifs().map(|link| link.name).chain(snapshot.guards.keys().copied()).collect();
    all.into_iter().collect()
}

pub(crate) fn guest_table(snapshot: &Snapshot, guests: &[IfName]) -> String {
    let rows = guests.iter().map(|guest| guest_row(snapshot, *guest)).collect();
    table(&["VIF", "STATE", "BRIDGE", "LOCK", "DROPPED"], rows)
}

fn guest_row(snapshot: &Snapshot, name: IfName) -> Vec<Cell> {
    let link = snapshot.link(name);
    let bridge = link.and_then(|link| link.master).map(|bridge| bridge.to_string()).unwrap_or_default();
    let isolated = link.and_then(|link| link.port).is_some_and(|port| port.isolated);
    let owner = match link {
        Some(link) => Some(link.alias.clone()).filter(|alias| !alias.is_empty()),
        None => {
            snapshot.guards.get(&name).and_then(|left| left.owner).filter(|owner| *owner != name).map(|o| o.to_string())
        }
    };
    let vif = owner.map_or_else(|| name.to_string(), |owner| format!("{name} ({owner})"));
    let drops = snapshot.drops.iter().filter(|drops| drops.vif == name && drops.frames > 0);
    let drops = join(drops.map(|drops| format!("{}={}", drops.reason, drops.frames)));
    vec![
        vif.into(),
        link.map_or(Cell("gone".to_owned(), DIM), state),
        or_dash(bridge + if isolated { " (isolated)" } else { "" }),
        lock(snapshot, name),
        if drops.is_empty() { or_dash(drops) } else { Cell(drops, RED) },
    ]
}

fn lock(snapshot: &Snapshot, name: IfName) -> Cell {
    match (snapshot.guard_of(name), snapshot.guards.get(&name), snapshot.link(name)) {
        (Some(guard), ..) => match &guard.lock {
            Lock::Locked(antispoof) => antispoof.to_string().into(),
            other => Cell(other.to_string(), YELLOW),
        },
        (None, Some(guard), _) => Cell(format!("left behind: {}", guard.lock), YELLOW),
        (None, None, Some(link)) if link.is_vif() => Cell("none: everything is dropped".to_owned(), YELLOW),
        (None, None, Some(link)) if link.master.is_none() => Cell("not attached".to_owned(), DIM),
        (None, None, _) => Cell("unlocked".to_owned(), RED),
    }
}

pub(crate) fn networks(snapshot: &Snapshot) -> Option<String> {
    let rows: Vec<_> = snapshot.networks.values().map(|record| vec![record.network.to_string().into()]).collect();
    (!rows.is_empty()).then(|| table(&["LINE"], rows))
}

fn masquerades(snapshot: &Snapshot) -> Option<String> {
    let rows: Vec<_> = snapshot
        .masquerades
        .iter()
        .map(|rule| {
            let uplink = rule.uplink.map_or("any".to_owned(), |uplink| uplink.to_string());
            vec![rule.subnet.to_string().into(), uplink.into()]
        })
        .collect();
    (!rows.is_empty()).then(|| table(&["SUBNET", "UPLINK"], rows))
}

fn forwarding(snapshot: &Snapshot) -> Option<String> {
    let one = |sysctl, name| {
        let value = snapshot.sysctls.get(&sysctl)?;
        Some(format!("{name} {}", if *value == 0 { "off" } else { "on" }))
    };
    let all: Vec<_> =
        [one(Sysctl::Ip4Forward, "IPv4"), one(Sysctl::Ip6Forward, "IPv6")].into_iter().flatten().collect();
    (!all.is_empty()).then(|| format!("{}  {}\n", paint(BOLD, "Forwarding"), all.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::{Antispoof, Attachment, Bridge, DropReason, Drops, Guard, Masquerade, Network, PortState};

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    /// A brouter with a locked guest that was renamed, an open one, and one that has gone.
    fn snapshot() -> Snapshot {
        let network: Network = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".parse().unwrap();
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).ip("10.98.98.2".parse().unwrap());
        let mut now = Snapshot::default();
        now.sysctls.insert(Sysctl::Ip4Forward, 0);
        for (index, vif) in [(4, "vif1.0"), (5, "vif2.0")] {
            now.links.insert(name(vif), Link::new(index, name(vif)));
        }
        for operation in [
            Operation::StartNetwork(network),
            Operation::AttachVif(Attachment::bridged(name("vif1.0"), name("xenbr0"), lock).rename(name("web"))),
            Operation::AttachVif(Attachment::bridged(name("vif2.0"), name("xenbr0"), Lock::Unlocked)),
        ] {
            now = now.after(&operation.plan(&now).unwrap());
        }
        now.guards.insert(name("vif3.0"), Guard::new(3, Lock::Disabled));
        now.drops.push(Drops::new(name("web"), DropReason::Ip4, 5, 300));
        now.drops.push(Drops::new(name("web"), DropReason::Arp, 2, 56));
        now.links.get_mut(&name("xenbr0")).unwrap().mac = Some("2e:62:00:00:00:01".parse().unwrap());
        now
    }

    #[test]
    fn a_status_reads_like_this() {
        assert_eq!(
            plain(&status(&snapshot())),
            "\
Bridges
  NAME    STATE  ADDRESSES      STP  MTU   MAC                PORTS
  xenbr0  up     10.98.98.1/24  off  1500  2e:62:00:00:00:01  vif2.0 web

Guests
  VIF           STATE  BRIDGE  LOCK                                 DROPPED
  vif2.0        up     xenbr0  unlocked                             -
  vif3.0        gone   -       left behind: disabled                -
  web (vif1.0)  up     xenbr0  mac=00:16:3e:00:00:01 ip=10.98.98.2  ip4=5 arp=2

Networks
  LINE
  network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24

Masquerades
  SUBNET         UPLINK
  10.98.98.0/24  any

Forwarding  IPv4 on
"
        );
    }

    #[test]
    fn a_lock_left_behind_says_whose_it_was() {
        let mut now = Snapshot::default();
        now.guards.insert(name("web"), Guard::new(3, Lock::Disabled).owner(name("vif1.0")));
        now.guards.insert(name("vif2.0"), Guard::new(4, Lock::Disabled).owner(name("vif2.0")));
        let text = plain(&status(&now));
        assert!(text.contains("  web (vif1.0)  gone   -       left behind: disabled"), "{text}");
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
        link.group = xenvnet_core::VIF_GROUP;
        now.links.insert(link.name, link);
        assert!(plain(&status(&now)).contains("none: everything is dropped"));
    }

    #[test]
    fn a_vif_on_no_bridge_is_not_attached() {
        let mut now = Snapshot::default();
        now.links.insert(name("vif1.0"), Link::new(4, name("vif1.0")));
        assert!(plain(&status(&now)).contains("vif1.0  down   -       not attached"));
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
