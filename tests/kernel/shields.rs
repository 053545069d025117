//! Each rule of the tables that are there only where they are asked for: without any one of them
//! something comes in that should not, something is lost, or something is not counted.

use crate::matrix::{OWN, VICTIM, lock, victims_lock};
use crate::proof::{bridge_by_ip, name, wait_for};
use std::net::UdpSocket;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, DropReason, Host};
use xenvnet_tests::{Dom0, FakeVif, Ip6, ether, hears, icmp6, ip, ip_json, nft, nft_json, program, sysctl_set};

/// Chain, handle and words of every rule of a table.
fn rules(table: &str) -> Vec<(String, String, String)> {
    let mut chain = String::new();
    let mut rules = Vec::new();
    let words: Vec<_> = ["-a", "list", "table"].into_iter().chain(table.split(' ')).collect();
    for line in program("nft", &words).lines() {
        let Some((words, handle)) = line.trim().split_once(" # handle ") else { continue };
        match words.strip_prefix("chain ") {
            Some(head) => chain = head.trim_end_matches(" {").to_owned(),
            None if !words.ends_with('{') => rules.push((chain.clone(), handle.to_owned(), words.to_owned())),
            None => {}
        }
    }
    rules
}

/// Takes each rule away in turn and expects to see another thing; repair brings it back.
#[track_caller]
fn prove_each_rule<T: PartialEq + std::fmt::Debug>(host: &Host, table: &str, see: impl Fn() -> T) {
    let whole = see();
    assert_eq!(see(), whole, "two looks at the same rules");
    let mut unseen = Vec::new();
    let count = rules(table).len();
    assert!(count > 0);
    for n in 0..count {
        let (chain, handle, words) = rules(table).swap_remove(n);
        nft(&format!("delete rule {table} {chain} handle {handle}"));
        if see() == whole {
            unseen.push(format!("{chain}: {words}"));
        }
        assert_eq!(host.repair().unwrap().findings[0].kind(), "table_altered");
        assert!(host.verify().unwrap().is_sound());
    }
    println!("rules of table {table}: {} passed, {} failed", count - unseen.len(), unseen.len());
    assert!(unseen.is_empty(), "rules that nothing shows:\n{}", unseen.join("\n"));
    assert_eq!(see(), whole, "after the last was brought back");
}

fn pings(from: &FakeVif, address: &str) -> bool {
    let ping = || Command::new("ping").args(["-c", "1", "-W", "1", address]).output().unwrap().status.success();
    from.guest.within(|| (0..2).any(|_| ping()))
}

fn takes(from: &FakeVif, address: &str, port: u16) -> bool {
    let ear = UdpSocket::bind((address, port)).unwrap();
    ear.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let mouth = from.guest.within(|| UdpSocket::bind(any).unwrap());
    (0..4).any(|_| {
        let _ = mouth.send_to(b"question", (address, port));
        ear.recv(&mut [0; 16]).is_ok()
    })
}

/// Whether what dom0 asks a guest is answered.
fn is_answered(by: &FakeVif, address: &str) -> bool {
    let ear = by.guest.within(|| UdpSocket::bind((address, 7)).unwrap());
    ear.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    let any = if address.contains(':') { "[::]:0" } else { "0.0.0.0:0" };
    let asker = UdpSocket::bind(any).unwrap();
    asker.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    (0..3).any(|_| {
        let _ = asker.send_to(b"question", (address, 7));
        let Ok((_, from)) = ear.recv_from(&mut [0; 16]) else { return false };
        let _ = ear.send_to(b"answer", from);
        asker.recv(&mut [0; 16]).is_ok()
    })
}

/// Packets that a rule of somebody else's counted.
fn counted(chain: &str, words: &str) -> u64 {
    let listing = nft_json(&format!("list chain {chain}"));
    let rules = listing["nftables"].as_array().unwrap().iter().filter_map(|object| object.get("rule"));
    let of_it = rules.filter(|rule| rule["comment"] == words);
    of_it.filter_map(|rule| rule["expr"].as_array()?.iter().find_map(|e| e["counter"]["packets"].as_u64())).sum()
}

#[test]
fn of_what_guests_reach_on_dom0() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    ip("addr add 10.98.98.1/24 dev xenbr0");
    ip("addr add 2001:db8:98::1/64 dev xenbr0 nodad");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.address("10.98.98.2/24", "");
    guest.address("2001:db8:98::2/64", "");
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    nft("table inet foreign { chain c { type filter hook input priority 0; \
         icmpv6 type nd-router-solicit counter comment \"solicited\"; }; }");
    guest.wait_for_carrier();
    assert!(hears(&dom0.namespace(), "2001:db8:98::1", &guest.guest));
    dom0.host.set_dom0(name("xenbr0"), "services(dns,icmp,ra)".parse().unwrap()).unwrap();
    let solicitation = {
        let [from, to] = ["2001:db8:98::2", "2001:db8:98::1"].map(|ip| ip.parse().unwrap());
        let packet = Ip6::new(from, to).hops(255).carry(&icmp6(133, 0, &[0; 4]));
        let bridge = ip_json("link show dev xenbr0")[0]["address"].as_str().unwrap().parse().unwrap();
        ether(bridge, OWN, 0x86dd, &packet)
    };
    let dropped = || {
        let drops = dom0.host.snapshot().unwrap().drops;
        drops.iter().filter(|drops| drops.reason == DropReason::Dom0).map(|drops| drops.frames).sum::<u64>()
    };
    prove_each_rule(&dom0.host, "inet xenvnet_dom0", || {
        // Neighbours are looked for anew.
        ip("neigh flush dev xenbr0");
        guest.guest.within(|| ip("neigh flush dev eth0"));
        let before = (dropped(), counted("inet foreign c", "solicited"));
        guest.raw().send(solicitation.bytes());
        let allowed = [
            pings(&guest, "10.98.98.1"),
            pings(&guest, "2001:db8:98::1"),
            takes(&guest, "10.98.98.1", 53),
            takes(&guest, "2001:db8:98::1", 53),
            is_answered(&guest, "10.98.98.2"),
            is_answered(&guest, "2001:db8:98::2"),
        ];
        let refused = [takes(&guest, "10.98.98.1", 9), takes(&guest, "2001:db8:98::1", 9)];
        let after = (dropped(), counted("inet foreign c", "solicited"));
        (allowed, refused, after.0 > before.0, after.1 > before.1)
    });
}

/// Where bridged packets visit IP, seen by whether others find them tracked.
#[test]
fn of_guests_that_are_not_tracked() {
    let Some(dom0) = Dom0::enter() else { return };
    let network = "network-virtual bridgeip=10.98.98.1/24".parse().unwrap();
    dom0.host.start_network(&network).unwrap();
    if !Path::new("/proc/sys/net/bridge/bridge-nf-call-iptables").exists() {
        return;
    }
    sysctl_set("bridge/bridge-nf-call-iptables", "1");
    let one = dom0.guest("vif1.0", &OWN.to_string());
    let two = dom0.guest("vif2.0", &VICTIM.to_string());
    one.address("10.98.98.2/24", "10.98.98.1");
    two.address("10.98.98.3/24", "10.98.98.1");
    let attach = |guest: &FakeVif, lock: Antispoof, untracked| {
        let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock).untracked(untracked);
        dom0.host.attach_vif(&attachment).unwrap();
    };
    // Only one of them, so that each direction is a rule's alone.
    attach(&one, lock(), true);
    attach(&two, victims_lock(), false);
    let outside = dom0.cable("eth0", "02:00:00:00:00:09");
    ip("addr add 198.51.100.1/24 dev eth0");
    outside.address("198.51.100.9/24", "");
    nft("table inet foreign { chain c { type filter hook forward priority 0; \
         ip daddr 198.51.100.9 counter comment \"all\"; \
         ct state untracked ip saddr 10.98.98.2 ip daddr 10.98.98.3 counter comment \"from\"; \
         ct state untracked ip daddr 10.98.98.2 ip saddr 10.98.98.3 counter comment \"to\"; \
         ct state untracked ip daddr 198.51.100.9 counter comment \"out\"; }; }");
    one.wait_for_carrier();
    prove_each_rule(&dom0.host, "bridge xenvnet_untracked", || {
        let before = ["from", "to", "out"].map(|words| counted("inet foreign c", words));
        assert!(hears(&two.guest, "10.98.98.3", &one.guest) && hears(&one.guest, "10.98.98.2", &two.guest));
        let all = counted("inet foreign c", "all");
        let mouth = one.guest.within(|| UdpSocket::bind("10.98.98.2:0").unwrap());
        wait_for("what goes out", || {
            let _ = mouth.send_to(b"out", "198.51.100.9:9");
            counted("inet foreign c", "all") > all
        });
        std::array::from_fn::<_, 3, _>(|n| counted("inet foreign c", ["from", "to", "out"][n]) > before[n])
    });
}

/// The guard of the group: a routed guest that was renamed has no hook (Linux 6.16).
#[test]
fn of_the_guard_of_renamed_interfaces() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.guest.within(|| {
        ip("addr add 10.98.98.2/32 dev eth0");
        ip("route add 10.98.98.1 dev eth0");
    });
    let own = Antispoof::new(OWN).ip("10.98.98.2".parse().unwrap());
    let attachment = Attachment::routed(guest.name, own).gateway("10.98.98.1".parse().unwrap());
    dom0.host.attach_vif(&attachment).unwrap();
    guest.wait_for_carrier();
    assert!(takes(&guest, "10.98.98.1", 9));
    let dropped = || dom0.host.snapshot().unwrap().drops.iter().map(|drops| drops.frames).sum::<u64>();
    let see = || {
        let before = dropped();
        (takes(&guest, "10.98.98.1", 9), dropped() > before)
    };
    let mut was = guest.name.to_string();
    let count = rules("inet xenvnet").len();
    for n in 0..count {
        // Repair follows it: each rule has a name of its own to be seen with.
        let now = format!("stray{n}");
        ip(&format!("link set {was} name {now}"));
        assert_eq!(see(), (false, true));
        let (chain, handle, rule) = rules("inet xenvnet").swap_remove(n);
        nft(&format!("delete rule inet xenvnet {chain} handle {handle}"));
        assert_ne!(see(), (false, true), "{chain}: {rule}");
        dom0.host.repair().unwrap();
        assert_eq!((see(), dom0.host.verify().unwrap().findings), ((true, false), Vec::new()));
        was = now;
    }
    println!("rules of table inet xenvnet: {count} passed, 0 failed");
}
