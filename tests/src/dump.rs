//! Everything that a host has, as text that can be compared.

use crate::oracle::{bridge_json, ip_json, nft_ruleset, sysctl};
use serde_json::Value;
use std::fmt;
use xenvnet_core::MacAddr;

/// What `ip`, `bridge`, `nft` and sysctl show of the calling thread's namespace, one fact a line,
/// sorted, without what changes by itself: timers, ages, counters, carrier, learned neighbours.
#[derive(Clone, PartialEq, Eq)]
pub struct Dump(String);

/// Keys whose values the kernel changes without being asked.
const VOLATILE: [&str; 23] = [
    "gc_timer",
    "hello_timer",
    "tcn_timer",
    "topology_change_timer",
    "topology_change",
    "topology_change_detected",
    "topology_change_ack",
    "config_pending",
    "hold_timer",
    "message_age_timer",
    "forward_delay_timer",
    "designated_port",
    "designated_cost",
    "operstate",
    "qdisc",
    "state",
    "link_index",
    // Another namespace's number of the peer, taken for a name of this one.
    "link",
    "fdb_n_learned",
    "flags",
    "tentative",
    "stats64",
    "stats",
];

impl Dump {
    /// Of the calling thread's namespace, as it is now.
    pub fn take() -> Dump {
        let mut lines = Vec::new();
        let mut section = |name: &str, objects: Value, keep: &dyn Fn(&Value) -> bool| {
            for object in objects.as_array().into_iter().flatten().filter(|object| keep(object)) {
                let flags: Vec<_> = object["flags"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    // The rest follows the carrier, which comes when it comes.
                    .filter(|flag| ["UP", "PROMISC", "ALLMULTI", "sticky", "self", "master"].iter().any(|f| *flag == f))
                    .map(Value::to_string)
                    .collect();
                let mut object = object.clone();
                forget_volatile(&mut object);
                lines.push(format!("{name} {object} [{}]", flags.join(" ")));
            }
        };
        section("link", ip_json("-d link show"), &|_| true);
        let mut addresses = only(ip_json("addr show"), &["ifname", "addr_info"]);
        addresses.as_array_mut().into_iter().flatten().for_each(forget_link_local);
        section("address", addresses, &|_| true);
        section("rule", ip_json("rule show"), &|_| true);
        section("rule6", ip_json("-6 rule show"), &|_| true);
        section("route", ip_json("-4 -d route show table all"), &|_| true);
        section("route6", ip_json("-6 -d route show table all"), &|route| !made_by_the_link(route));
        section("neighbour", ip_json("neigh show nud permanent"), &|_| true);
        section("port", bridge_json("-d link show"), &|_| true);
        section("fdb", bridge_json("-d fdb show"), &|entry| {
            // Learned ones age; groups are joined when the carrier comes; and dom0's ends of all
            // vifs have one address, which the kernel keeps for one of them.
            let mac = entry["mac"].as_str().unwrap_or_default();
            let backend = mac == MacAddr::VIF_BACKEND.to_string();
            entry["state"] != "" && !mac.starts_with("33:33:") && !mac.starts_with("01:00:5e:") && !backend
        });
        for name in ["ipv4/ip_forward", "ipv6/conf/all/forwarding"] {
            lines.push(format!("sysctl {name} {}", sysctl(name)));
        }
        lines.sort();
        lines.extend(tables(&nft_ruleset()));
        Dump(lines.join("\n"))
    }

    /// The same without the kernel's numbers of interfaces and ports: what was deleted and made again,
    /// or was a port and is one again, has another one.
    pub fn unnumbered(&self) -> Dump {
        const NUMBERS: [&str; 3] = ["\"ifindex\":", "\"id\":\"0x", "\"no\":\"0x"];
        let without = |line: String, number: &str| match line.split_once(number) {
            Some((head, tail)) => format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_hexdigit())),
            None => line,
        };
        let lines = self.0.lines().map(|line| NUMBERS.into_iter().fold(line.to_owned(), without) + "\n");
        Dump(lines.collect())
    }

    /// The same without what drop counters have counted: guests speak when they like.
    pub fn uncounted(&self) -> Dump {
        let counted = |line: &&str| line.trim_start().starts_with("element ") && line.ends_with(" counter");
        Dump(self.0.lines().filter(|line| !counted(line)).collect::<Vec<_>>().join("\n"))
    }

    /// The tables of nf_tables alone.
    pub fn rules(&self) -> &str {
        self.0.find("\ntable ").map_or("", |at| &self.0[at..])
    }

    /// This is what was before, with the lines that went and came where it is not.
    ///
    /// # Panics
    /// When the two differ.
    #[track_caller]
    pub fn assert_same(&self, before: &Dump, when: &str) {
        assert!(self == before, "the host differs {when}:\n{}", self.difference(before));
    }

    /// The lines that went and came since another one was taken; none at all where they are the same.
    pub fn difference(&self, before: &Dump) -> String {
        let lines = |of: &Dump, not_in: &Dump, sign: char| {
            let absent = of.0.lines().filter(|line| !not_in.0.lines().any(|other| other == *line));
            absent.map(|line| format!("{sign} {line}\n")).collect::<String>()
        };
        let difference = lines(before, self, '-') + &lines(self, before, '+');
        if difference.is_empty() && self != before {
            "the order or the number of lines\n".to_owned()
        } else {
            difference
        }
    }
}

impl fmt::Debug for Dump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The tables of a ruleset, sorted: which of them was made first says nothing. Nor does the order of
/// their sets and chains, nor that of a set's elements.
fn tables(ruleset: &str) -> Vec<String> {
    let mut tables: Vec<String> = Vec::new();
    let mut lines = ruleset.lines();
    while let Some(line) = lines.next() {
        let mut line = line.to_owned();
        if line.trim_start().starts_with("elements = {") {
            while !line.ends_with('}') {
                line.push_str(lines.next().unwrap_or("}").trim());
            }
            line = sorted_elements(&line);
        }
        match tables.last_mut() {
            Some(table) if !line.starts_with("table ") => *table = format!("{table}\n{line}"),
            _ => tables.push(line),
        }
    }
    for table in &mut tables {
        let (head, objects) = table.split_once('\n').unwrap_or((table, ""));
        let mut objects: Vec<_> = objects.trim_end_matches("\n}").split("\n\n").collect();
        objects.sort_unstable();
        *table = format!("{head}\n{}\n}}", objects.join("\n\n"));
    }
    tables.sort();
    tables
}

/// A line of elements, one a line, in order. A comma in a comment separates nothing.
fn sorted_elements(line: &str) -> String {
    let (_, list) = line.split_once('{').unwrap_or_default();
    let mut quoted = false;
    let is_between = |character: char| {
        quoted ^= character == '"';
        character == ',' && !quoted
    };
    let mut elements: Vec<_> = list.trim_end_matches('}').split(is_between).map(str::trim).collect();
    elements.sort_unstable();
    elements.iter().map(|element| format!("\t\telement {element}")).collect::<Vec<_>>().join("\n")
}

/// The objects with nothing but these keys.
fn only(objects: Value, keys: &[&str]) -> Value {
    let reduce = |object: &Value| keys.iter().map(|key| (key.to_string(), object[*key].clone())).collect();
    Value::Array(objects.as_array().into_iter().flatten().map(|object| Value::Object(reduce(object))).collect())
}

/// Link-local addresses come when the carrier comes.
fn forget_link_local(interface: &mut Value) {
    if let Some(addresses) = interface["addr_info"].as_array_mut() {
        addresses.retain(|address| address["family"] != "inet6" || address["scope"] != "link");
    }
}

/// Link-local and multicast routes come and go with the carrier.
fn made_by_the_link(route: &Value) -> bool {
    let to = route["dst"].as_str().unwrap_or_default();
    route["type"] == "multicast" || route["type"] == "anycast" || to.starts_with("ff00:") || to.starts_with("fe80:")
}

fn forget_volatile(value: &mut Value) {
    match value {
        Value::Object(map) => {
            let offload = |key: &str| ["gso_", "gro_", "tso_"].iter().any(|prefix| key.starts_with(prefix));
            map.retain(|key, value| !VOLATILE.contains(&key.as_str()) && !offload(key) && !is_running_out(key, value));
            map.values_mut().for_each(forget_volatile);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_volatile),
        _ => {}
    }
}

/// Seconds that are left of an address or of a route.
fn is_running_out(key: &str, seconds: &Value) -> bool {
    let for_ever = [Some(0), Some(u64::from(u32::MAX))].contains(&seconds.as_u64());
    key == "expires" || key.ends_with("_life_time") && !for_ever
}
