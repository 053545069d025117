//! What comes in somewhere, counted by the kernel.

use crate::netns::Namespace;
use crate::oracle::{nft, nft_json};
use std::fmt;

/// Counts what comes in at one place, what is expected apart from everything else. It is a table
/// of its own there: no buffer overflows, and nobody has to keep up.
#[derive(Debug)]
pub struct Tally {
    place: Namespace,
    family: &'static str,
}

/// What was counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count {
    /// Frames that were expected.
    pub expected: u64,
    /// All others.
    pub strange: u64,
}

impl Tally {
    /// Of all frames that come in by an interface; those are expected that match one of these lines of
    /// words of nft(8), none where there are no words.
    pub fn of_frames(place: &Namespace, interface: &str, expected: &str) -> Tally {
        Tally::start(place, "netdev", &format!("ingress device {interface}"), expected)
    }

    /// Of all frames that get past the filters of these interfaces, now or as soon as they have these
    /// names (Linux 6.16); expected are those that match these words of nft(8).
    pub fn of_names(place: &Namespace, interfaces: &[&str], expected: &str) -> Tally {
        Tally::start(place, "netdev", &format!("ingress devices = {{ {} }}", interfaces.join(", ")), expected)
    }

    /// Of all that the IP layer of a namespace takes in: nothing is expected there.
    pub fn of_packets(place: &Namespace) -> Tally {
        Tally::start(place, "inet", "prerouting", "")
    }

    /// Of all ARP that a namespace takes in: nothing is expected there.
    pub fn of_arp(place: &Namespace) -> Tally {
        Tally::start(place, "arp", "input", "")
    }

    fn start(place: &Namespace, family: &'static str, hook: &str, expected: &str) -> Tally {
        let table = format!("{family} tally");
        let expect: String = expected.lines().map(|words| format!("{words} counter name expected accept\n")).collect();
        // Whose they are, for who reads why a test failed.
        let (key, who) = match family {
            "netdev" => ("ether_addr . ether_addr . ether_type", "ether saddr . ether daddr . ether type"),
            _ => ("iface_index . ether_type", "meta iif . meta protocol"),
        };
        place.within(|| {
            nft(&format!(
                "table {table} {{
                    counter expected {{ }}
                    counter strange {{ }}
                    set strangers {{ type {key}; flags dynamic; size 65535; }}
                    chain coming_in {{
                        type filter hook {hook} priority 1000
                        {expect}
                        counter name strange
                        add @strangers {{ {who} counter }}
                    }}
                }}"
            ));
        });
        Tally { place: place.clone(), family }
    }

    /// What came in until now.
    pub fn count(&self) -> Count {
        let listing = self.place.within(|| nft_json(&format!("list counters table {} tally", self.family)));
        let counter = |name: &str| {
            let objects =
                listing["nftables"].as_array().into_iter().flatten().filter_map(|object| object.get("counter"));
            objects.filter(|object| object["name"] == name).filter_map(|object| object["packets"].as_u64()).sum()
        };
        Count { expected: counter("expected"), strange: counter("strange") }
    }
}

impl fmt::Display for Tally {
    /// Who came in that was not expected: addresses and types as nft(8) lists them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place.within(|| nft(&format!("list set {} tally strangers", self.family))))
    }
}
