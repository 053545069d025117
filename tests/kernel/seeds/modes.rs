//! What holds for a network of every mode: three starts are one, stopping what does not run changes
//! nothing, and nobody else's rules are touched.

use super::lan::{Image, Lan, network};
use crate::proof::{bridge_by_ip, prove, prove_again};
use xenvnet_core::{Operation, Outcome};
use xenvnet_tests::{ip, nft, nft_ruleset};

/// The tests of one mode: its name, a line of it, and the line that it is known by while it runs.
macro_rules! modes {
    ($($mode:ident: $line:literal runs as $running:literal;)*) => {$(
        mod $mode {
            const LINE: &str = $line;

            #[test]
            fn three_starts_are_one_and_three_stops_too() {
                super::three_are_one(LINE);
            }

            #[test]
            fn its_inverse_puts_the_host_back() {
                super::is_put_back(LINE);
            }

            #[test]
            fn stopping_what_does_not_run_changes_nothing() {
                super::stops_nothing(LINE);
            }

            #[test]
            fn status_tells_that_it_runs() {
                super::tells(LINE, $running);
            }

            #[test]
            fn no_policy_is_set_and_no_foreign_table_is_touched() {
                super::respects_others(LINE);
            }
        }
    )*};
}

modes! {
    network_virtual: "network-virtual" runs as
        "network-virtual bridge=xenbr0 bridgeip=10.6.7.1/24 brnet=10.6.7.0/24";
    network_bridge: "network-bridge bridge=xenbr0 netdev=eth0 antispoof=yes" runs as
        "network-bridge bridge=xenbr0 netdev=eth0 antispoof=yes";
    network_bridge_by_the_uplinks_name: "network-bridge" runs as "network-bridge netdev=eth0";
    network_bridge_without_an_uplink: "network-bridge vifnum=1 netdev=dummy0" runs as
        "network-bridge bridge=xenbr1 netdev=dummy0";
    bridge_shadow: "bridge-shadow eth0" runs as "bridge-shadow eth0";
    network_bridge_additional: "network-bridge-additional bridge=br0 netdev=eth1" runs as
        "network-bridge-additional bridge=br0 netdev=eth1";
    network_route: "network-route" runs as "network-route netdev=eth0 ipv6=yes";
    network_nat: "network-nat subnet=10.0.0.0/8,fd00:5::/64" runs as
        "network-nat netdev=eth0 subnet=10.0.0.0/8,fd00:5::/64";
}

/// A host in its LAN, with a bridge of somebody else's and a card without addresses.
fn host() -> Option<Lan> {
    let lan = Lan::enter()?;
    bridge_by_ip("br0");
    ip("link add eth1 type veth peer name far1");
    ip("link set eth1 addrgenmode none");
    ip("link set far1 addrgenmode none");
    ip("link set far1 up");
    ip("link set eth1 up");
    lan.settle();
    Some(lan)
}

fn three_are_one(line: &str) {
    let Some(lan) = host() else { return };
    let before = Image::take();
    lan.starts(line);
    let running = Image::take();
    for _ in 0..2 {
        prove_again(&lan.dom0, &Operation::StartNetwork(network(line)));
    }
    Image::take().assert_same(&running, "after the third start");
    lan.assert_reachable();
    assert_eq!(lan.host().stop_network(&network(line)).unwrap(), Outcome::Changed);
    Image::take().assert_same(&before, "after the stop");
    for _ in 0..2 {
        prove_again(&lan.dom0, &Operation::StopNetwork(network(line)));
    }
    Image::take().assert_same(&before, "after the third stop");
    lan.assert_reachable();
}

fn is_put_back(line: &str) {
    let Some(lan) = host() else { return };
    let before = Image::take();
    prove(&lan.dom0, &Operation::StartNetwork(network(line)));
    let running = Image::take();
    lan.host().undo().unwrap();
    Image::take().assert_same(&before, "after the start was undone");
    lan.starts(line);
    prove(&lan.dom0, &Operation::StopNetwork(network(line)));
    lan.host().undo().unwrap();
    Image::take().assert_same(&running, "after the stop was undone");
    lan.assert_reachable();
}

fn stops_nothing(line: &str) {
    let Some(lan) = host() else { return };
    // An object of another's that has the name of one of ours.
    ip("link add xenbr0 type bridge");
    ip("addr add 10.6.7.1/24 dev xenbr0");
    ip("link set eth1 master br0");
    let before = Image::take();
    prove_again(&lan.dom0, &Operation::StopNetwork(network(line)));
    Image::take().assert_same(&before, "after what did not run was stopped");
}

fn tells(line: &str, running: &str) {
    let Some(lan) = host() else { return };
    let lines = || -> Vec<String> {
        let snapshot = lan.host().snapshot().unwrap();
        snapshot.networks.values().map(|record| record.network.to_string()).collect()
    };
    assert_eq!(lines(), Vec::<String>::new());
    lan.starts(line);
    assert_eq!(lines(), [running]);
    assert_eq!(lan.host().verify().unwrap().findings, []);
    // What status says is a line that stops it.
    lan.stops(running);
    assert_eq!(lines(), Vec::<String>::new());
    assert_eq!(lan.host().verify().unwrap().findings, []);
}

/// Chains as iptables and others have them, with policies and rules of their own.
const FOREIGN: &str = "
    table ip filter {
        chain FORWARD { type filter hook forward priority 0; policy drop; ip saddr 192.0.2.0/24 accept; };
        chain INPUT { type filter hook input priority 0; policy accept; };
    };
    table ip6 filter { chain FORWARD { type filter hook forward priority 0; policy accept; }; };
    table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; oifname eth9 masquerade; }; };
    table bridge filter { chain FORWARD { type filter hook forward priority 0; policy accept; }; };
    table inet others { set hosts { type ipv4_addr; elements = { 192.0.2.7 }; }; };
";

/// All tables but ours.
fn foreign_tables() -> String {
    let ruleset = nft_ruleset();
    let tables = ruleset.split("table ").filter(|table| !table.split_whitespace().any(|word| word.contains("xenvnet")));
    tables.collect()
}

fn respects_others(line: &str) {
    let Some(lan) = host() else { return };
    nft(FOREIGN);
    let before = foreign_tables();
    assert_eq!(before.matches("policy").count(), 5, "{before}");
    lan.starts(line);
    assert_eq!(foreign_tables(), before, "while {line} runs");
    let ours = nft_ruleset();
    let ours: Vec<_> = ours.split("table ").filter(|table| !before.contains(*table)).collect();
    assert!(!ours.is_empty());
    // No chain of ours stands where packets are forwarded, so none could let through what others drop.
    assert!(!ours.concat().contains("hook forward"), "{ours:?}");
    lan.stops(line);
    assert_eq!(foreign_tables(), before, "after {line} was stopped");
}
