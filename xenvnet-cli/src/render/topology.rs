//! The host as a picture: dom0, its bridges, what is plugged into them, who is routed.

mod svg;

use super::columns::Cell;
use super::guests::{guests, lock, title};
use super::networks::is_card;
use super::{access_of, is_in_force};
use std::fmt::Write;
use xenvnet_core::{Dom0, IfName, Link, Snapshot};

/// What a box of the picture stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Dom0,
    Bridge,
    /// A guest that a lock holds.
    Guest,
    /// A guest that nothing holds, or nothing that is in force.
    Loose,
    /// A port that is no guest's: a way out.
    Port,
}

/// A box, and the one that it hangs from.
#[derive(Debug)]
struct Node {
    id: String,
    kind: Kind,
    lines: Vec<String>,
    parent: Option<usize>,
    /// What the line up to the parent says.
    edge: String,
}

/// The boxes of a host, parents before their children.
#[derive(Debug)]
pub(crate) struct Topology {
    nodes: Vec<Node>,
}

impl Topology {
    pub(crate) fn of(snapshot: &Snapshot) -> Topology {
        let mut lines = vec!["dom0".to_owned()];
        lines.extend(snapshot.forwards.iter().map(|forward| format!("{} to {}", forward.port, forward.to)));
        let mut nodes =
            vec![Node { id: "dom0".to_owned(), kind: Kind::Dom0, lines, parent: None, edge: String::new() }];
        let guests = guests(snapshot);
        for bridge in snapshot.bridges() {
            let mut lines = vec![bridge.name.to_string()];
            lines.extend(snapshot.addresses.get(&bridge.name).into_iter().flatten().map(ToString::to_string));
            nodes.push(Node {
                id: format!("link {}", bridge.name),
                kind: Kind::Bridge,
                lines,
                parent: Some(0),
                edge: access(snapshot, bridge.name),
            });
            let parent = nodes.len() - 1;
            let ports = snapshot.ports_of(bridge.name);
            nodes.extend(ports.map(|port| port_node(snapshot, port, parent, guests.contains(&port.name))));
        }
        let routed = guests.iter().filter_map(|name| snapshot.link(*name)).filter(|link| link.master.is_none());
        let routed = routed.filter(|link| snapshot.ingress.contains_key(&link.name));
        nodes.extend(routed.map(|link| Node {
            edge: join_notes(["routed".to_owned(), access(snapshot, link.name)]),
            ..port_node(snapshot, link, 0, true)
        }));
        Topology { nodes }
    }

    /// The language of Graphviz.
    pub(crate) fn dot(&self) -> String {
        let mut text = "graph xenvnet {\n  node [shape=box, fontname=\"sans-serif\", style=filled]\n".to_owned();
        for Node { id, kind, lines, parent, edge } in &self.nodes {
            let (fill, label) = (kind.fill(), lines.join("\n"));
            // Writing to a String cannot fail.
            let _ = writeln!(text, "  {} [label={}, fillcolor=\"{fill}\"]", dot_quoted(id), dot_quoted(&label));
            if let Some(parent) = parent {
                let (parent, id) = (dot_quoted(&self.nodes[*parent].id), dot_quoted(id));
                let _ = writeln!(text, "  {parent} -- {id} [label={}]", dot_quoted(edge));
            }
        }
        text + "}\n"
    }
}

impl Kind {
    fn fill(self) -> &'static str {
        match self {
            Kind::Dom0 => "#dddddd",
            Kind::Bridge => "#cfe2f3",
            Kind::Guest => "#d9ead3",
            Kind::Loose => "#f4cccc",
            Kind::Port => "#ffffff",
        }
    }
}

fn port_node(snapshot: &Snapshot, link: &Link, parent: usize, guest: bool) -> Node {
    let name = link.name;
    let kind = match guest {
        true if is_in_force(snapshot, name) => Kind::Guest,
        true => Kind::Loose,
        false => Kind::Port,
    };
    let mut lines = vec![if guest { title(snapshot, name) } else { name.to_string() }];
    if guest {
        let Cell(lock, _) = lock(snapshot, name);
        // A word a line: a lock of many addresses makes a tall box, not a wide one.
        let words = if kind == Kind::Guest { lock.split(' ').map(str::to_owned).collect() } else { vec![lock] };
        lines.extend(words);
    }
    let notes = [
        (is_card(snapshot, name), "uplink"),
        (!link.up, "down"),
        (link.port.is_some_and(|port| port.isolated), "isolated"),
        (snapshot.is_paired(name), "pair"),
        (snapshot.untracked.contains_key(&name), "untracked"),
        (link.shut, "port shut"),
    ];
    let notes = notes.map(|(holds, note)| if holds { note.to_owned() } else { String::new() });
    Node { id: format!("link {name}"), kind, lines, parent: Some(parent), edge: join_notes(notes) }
}

fn access(snapshot: &Snapshot, name: IfName) -> String {
    match access_of(snapshot, name) {
        Dom0::Open => String::new(),
        limited => limited.to_string(),
    }
}

fn join_notes(notes: impl IntoIterator<Item = String>) -> String {
    notes.into_iter().filter(|note| !note.is_empty()).collect::<Vec<_>>().join(", ")
}

fn dot_quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

#[cfg(test)]
mod tests {
    use super::super::tests::snapshot;
    use super::*;

    #[test]
    fn the_picture_in_graphviz() {
        insta::assert_snapshot!(Topology::of(&snapshot()).dot());
    }

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(dot_quoted("a\"]\\\nb"), r#""a\"]\\\nb""#);
    }
}
