//! Rows 3 and 8 to 11, and 14: what the vif scripts and the people around them did for a guest.

use super::lan::{Lan, ROUTER};
use crate::proof::{bridge_by_ip, name, prove_again};
use std::collections::BTreeSet;
use std::net::IpAddr;
use xenvnet_core::{Account, Antispoof, Attachment, ErrorKind, IfName, Lock, MacAddr, MacPrefix, Operation, Outcome};
use xenvnet_tests::{Dom0, Dump, FakeVif, bridge_json, hears, hears_from, ip, ip_json, nft_ruleset};

const MAC: &str = "00:16:3e:00:00:01";
const IPS: [&str; 4] = ["10.98.98.2", "10.98.99.0/28", "2001:db8:98::2", "2001:db8:99::/64"];

/// Addresses and prefixes of both families.
fn lock() -> Antispoof {
    IPS.into_iter().fold(Antispoof::new(MAC.parse().unwrap()), |lock, ip| lock.ip(ip.parse().unwrap()))
}

fn to_bridge(vif: IfName) -> Attachment {
    Attachment::bridged(vif, name("xenbr0"), lock())
}

fn host() -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", MAC);
    Some((dom0, guest))
}

#[test]
fn row_03_vif_bridge_readies_a_vif_in_one_go() {
    let Some((dom0, guest)) = host() else { return };
    ip("link set xenbr0 mtu 1450");
    dom0.host.attach_vif(&to_bridge(guest.name).rename(name("web"))).unwrap();
    let link = &ip_json("-d link show dev web")[0];
    assert_eq!((&link["address"], &link["mtu"]), (&"fe:ff:ff:ff:ff:ff".into(), &1450.into()));
    assert_eq!(link["master"], "xenbr0");
    assert!(link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    assert!(!ip("link show").contains("vif1.0:"), "it has one name");
    let rules = nft_ruleset();
    // IPv6 in ip= was an error that was logged, and the guest ran on with less of a lock than asked.
    for address in ["10.98.98.2", "10.98.99.0/28", "2001:db8:98::2", "2001:db8:99::/64"] {
        assert!(rules.contains(address), "{address}: {rules}");
    }
    guest.wait_for_carrier();
    for (address, dom0s) in [("10.98.98.2/24", "10.98.98.1"), ("2001:db8:98::2/64", "2001:db8:98::1")] {
        guest.address(address, "");
        ip(&format!("addr add {dom0s}/{} dev xenbr0{}", if address.contains(':') { "64 nodad" } else { "24" }, ""));
        let own: IpAddr = address.split('/').next().unwrap().parse().unwrap();
        assert_eq!(hears_from(&dom0.namespace(), dom0s, &guest.guest), Some(own));
    }
}

/// A toolstack that retries got six rules, of which one detach left four.
#[test]
fn three_retried_attaches_are_one_set_of_rules() {
    let Some((dom0, guest)) = host() else { return };
    let attach = Operation::AttachVif(to_bridge(guest.name));
    dom0.host.run(&attach).unwrap();
    let once = nft_ruleset();
    for _ in 0..3 {
        prove_again(&dom0, &attach);
    }
    assert_eq!(nft_ruleset(), once);
    assert_eq!(dom0.host.detach_vif(guest.name).unwrap(), Outcome::Changed);
    assert!(!IPS.iter().any(|ip| nft_ruleset().contains(ip)), "{}", nft_ruleset());
    assert!(!bridge_json("fdb show").to_string().contains(MAC), "nothing is pinned to it any more");
    prove_again(&dom0, &Operation::DetachVif { vif: guest.name });
}

/// The script died of it before it came to its rules, which stayed.
#[test]
fn a_guest_whose_bridge_is_gone_is_detached_without_a_trace() {
    let Some((dom0, guest)) = host() else { return };
    for gone in ["link del xenbr0", "link del vif1.0"] {
        dom0.host.attach_vif(&to_bridge(guest.name)).unwrap();
        assert!(nft_ruleset().contains("10.98.98.2"));
        ip(gone);
        dom0.host.detach_vif(guest.name).unwrap();
        assert!(!IPS.iter().any(|ip| nft_ruleset().contains(ip)), "after {gone}: {}", nft_ruleset());
        assert_eq!(dom0.host.detach_vif(guest.name).unwrap(), Outcome::Unchanged, "after {gone}");
        if gone.contains("xenbr0") {
            bridge_by_ip("xenbr0");
        }
    }
}

#[test]
fn a_detached_vif_is_down_whatever_its_lock() {
    let Some((dom0, guest)) = host() else { return };
    for lock in [Lock::from(lock()), Lock::Unlocked, Lock::Disabled] {
        dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock.clone())).unwrap();
        dom0.host.detach_vif(guest.name).unwrap();
        let link = &ip_json("link show dev vif1.0")[0];
        assert!(link["master"].is_null(), "{lock}");
        assert!(!link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"), "{lock}: {link}");
    }
}

/// Longer ones were cut off without a word.
#[test]
fn a_vifname_has_15_bytes_at_most() {
    let Some((dom0, guest)) = host() else { return };
    let error = "wiki.xen.prgmr.com".parse::<IfName>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parse);
    assert_eq!(error.to_string(), "interface name \"wiki.xen.prgmr.com\" is 18 bytes, the kernel's limit is 15");
    // One of fifteen bytes is held like any other.
    dom0.host.attach_vif(&to_bridge(guest.name).rename(name("wiki.prgmr.com1"))).unwrap();
    assert!(nft_ruleset().contains("\"wiki.prgmr.com1\""), "{}", nft_ruleset());
    assert_eq!(ip_json("link show dev wiki.prgmr.com1")[0]["master"], "xenbr0");
    // The name that netback gave it is enough to let it go.
    dom0.host.detach_vif(guest.name).unwrap();
    assert!(ip_json("link show dev wiki.prgmr.com1")[0]["master"].is_null());
}

/// A name that another guest has took that guest offline.
#[test]
fn row_10_a_vifname_that_is_taken_is_refused_and_its_owner_stays() {
    let Some((dom0, guest)) = host() else { return };
    dom0.host.attach_vif(&to_bridge(guest.name).rename(name("http"))).unwrap();
    let other = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    let before = Dump::take();
    let lock = Antispoof::new(other.mac);
    let attachment = Attachment::bridged(other.name, name("xenbr0"), lock).rename(name("http"));
    let error = dom0.host.attach_vif(&attachment).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert!(error.to_string().contains("the name http is taken"), "{error}");
    Dump::take().assert_same(&before, "after the name was refused");
    assert_eq!(ip_json("link show dev http")[0]["operstate"], "UP");
}

/// Counters, and the number that SNMP goes by, began anew at each restart of the guest.
#[test]
fn row_10_counters_and_their_number_stay_with_the_guests_name() {
    let Some((dom0, mut guest)) = host() else { return };
    ip("addr add 10.98.98.1/24 dev xenbr0");
    let (mut before, mut numbers) = (Account::new(1), BTreeSet::new());
    for domain in 2..5 {
        let attachment = to_bridge(guest.name).rename(name("http")).accounted(true);
        dom0.host.attach_vif(&attachment).unwrap();
        let link = &ip_json("-s link show dev http")[0];
        numbers.insert(link["ifindex"].as_u64().unwrap());
        assert_eq!(link["stats64"]["rx"]["packets"], 0, "the kernel's own begin anew");
        guest.wait_for_carrier();
        guest.address("10.98.98.2/24", "");
        assert!(hears(&dom0.namespace(), "10.98.98.1", &guest.guest));
        let account = dom0.host.snapshot().unwrap().accounts[&name("http")];
        assert!(account.sent.packets > before.sent.packets, "{account:?} after {before:?}");
        assert!(account.received.packets > before.received.packets, "{account:?} after {before:?}");
        assert_eq!(account.index, before.index);
        before = account;
        // The guest goes as it likes: once somebody says so.
        if domain == 3 {
            dom0.host.detach_vif(name("http")).unwrap();
        }
        ip("link del http");
        // What is left of its lock goes by a repair, its account does not.
        dom0.host.repair().unwrap();
        assert_eq!(dom0.host.snapshot().unwrap().accounts[&name("http")], account);
        guest = dom0.guest(&format!("vif{domain}.0"), MAC);
    }
    assert_eq!(numbers.len(), 3, "the kernel's own number is another each time");
}

/// The MAC address says which IPv4 address a guest has, or is one of Xen's own.
#[test]
fn row_08_mac_addresses_of_prgmr_and_of_xen() {
    let prefix = MacPrefix::new([0x2e, 0x00]).unwrap();
    let mac = MacAddr::from_ip("10.98.98.2".parse().unwrap(), prefix);
    assert_eq!(mac.to_string(), "2e:00:0a:62:62:02");
    assert_eq!(mac.ipv4(), Some("10.98.98.2".parse().unwrap()));
    assert!(mac.is_local() && mac.is_unicast());
    // A group's or somebody's bought prefix is none that one may make addresses of.
    for octets in [[0x2f, 0], [0x00, 0x16]] {
        assert!(MacPrefix::new(octets).is_err(), "{octets:x?}");
    }
    let macs: BTreeSet<_> = (0..64).map(|_| MacAddr::random_xen().unwrap()).collect();
    assert!(macs.len() > 60 && macs.iter().all(|mac| mac.octets()[..3] == [0x00, 0x16, 0x3e]));
    // The kernel takes it for a card, and the guest has its address by it.
    let Some((dom0, _guest)) = host() else { return };
    let guest = dom0.guest("vif2.0", &mac.to_string());
    ip("addr add 10.98.98.1/24 dev xenbr0");
    guest.address("10.98.98.2/24", "");
    let lock = Antispoof::new(mac).ip(IpAddr::from(mac.ipv4().unwrap()).into());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock)).unwrap();
    assert!(hears(&dom0.namespace(), "10.98.98.1", &guest.guest));
}

/// Two guests with one MAC address on a bridge: the second is refused, the first stays.
#[test]
fn row_08_a_duplicate_is_found_before_it_does_harm() {
    let Some((dom0, guest)) = host() else { return };
    dom0.host.attach_vif(&to_bridge(guest.name)).unwrap();
    let twin = dom0.guest("vif2.0", MAC);
    let before = Dump::take();
    let error = dom0.host.attach_vif(&Attachment::bridged(twin.name, name("xenbr0"), lock())).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains(MAC) && error.to_string().contains("vif1.0"), "{error}");
    Dump::take().assert_same(&before, "after the duplicate was refused");
}

/// Hot plug: what is not given has a default, and what is plugged twice is plugged once.
#[test]
fn row_11_a_vif_comes_and_goes_while_others_talk() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
    let first = lan.bridged("vif1.0", "xenbr0", &["192.0.2.77/24"]);
    for _ in 0..3 {
        let second = lan.bridged("vif1.1", "xenbr0", &["192.0.2.78/24"]);
        assert!(hears(&lan.router.guest, ROUTER[0], &second.guest));
        assert!(hears(&second.guest, "192.0.2.78", &first.guest));
        lan.host().detach_vif(second.name).unwrap();
        ip("link del vif1.1");
        assert!(hears(&lan.router.guest, ROUTER[0], &first.guest));
    }
    assert_eq!(lan.host().snapshot().unwrap().guards.len(), 1);
    assert_eq!(lan.host().verify().unwrap().findings, []);
}
