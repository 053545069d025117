//! Networks of a whole host, and masquerading: traffic to the outside and back.

use crate::matrix::lock;
use crate::proof::{bridge_by_ip, name, prove, prove_again};
use xenvnet_core::{Antispoof, Attachment, Brouter, ErrorKind, Lock, Masquerade, Network, Operation};
use xenvnet_tests::{Dom0, Dump, FakeVif, hears, hears_from, ip, ip_json, nft_json, nft_ruleset, sysctl, sysctl_set};

fn network(line: &str) -> Network {
    line.parse().unwrap()
}

/// A cable to a host outside that has no route back to any guest.
fn outside(dom0: &Dom0) -> FakeVif {
    let cable = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev peth0");
    ip("addr add 2001:db8:f::1/64 dev peth0 nodad");
    cable.address("192.0.2.2/24", "");
    cable.address("2001:db8:f::2/64", "");
    // What the kernel adds when the carrier comes is to be there before anything is compared.
    cable.wait_for_carrier();
    // The kernel hears an IPv6 address of its own a while after it was added.
    while !ip("-6 route show table local").contains("2001:db8:f::1") {}
    while ip_json("link show dev peth0")[0]["operstate"] != "UP" || Dump::take() != Dump::take() {}
    cable
}

/// A guest attached to a bridge with one address and its gateway.
fn guest(dom0: &Dom0, vif: &str, bridge: &str, address: &str, gateway: &str) -> FakeVif {
    let mac = format!("00:16:3e:00:00:{:02x}", vif.bytes().map(u32::from).sum::<u32>() % 256);
    let guest = dom0.guest(vif, &mac);
    guest.address(address, gateway);
    let ip = address.split('/').next().unwrap();
    let lock = Antispoof::new(guest.mac).ip(ip.parse().unwrap());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name(bridge), lock)).unwrap();
    guest
}

#[test]
fn a_brouter_leads_guests_out_with_dom0s_address() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = outside(&dom0);
    assert_eq!(sysctl("ipv4/ip_forward"), "0");
    let network = network("network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24");
    prove(&dom0, &Operation::StartNetwork(network.clone()));
    assert_eq!(sysctl("ipv4/ip_forward"), "1");
    let link = &ip_json("-d link show dev xenbr0")[0];
    assert_eq!(link["linkinfo"]["info_data"]["stp_state"], 0);
    let one = guest(&dom0, "vif1.0", "xenbr0", "10.98.98.2/24", "10.98.98.1");
    let two = guest(&dom0, "vif2.0", "xenbr0", "10.98.98.3/24", "10.98.98.1");
    assert_eq!(hears_from(&two.guest, "10.98.98.3", &one.guest), Some("10.98.98.2".parse().unwrap()));
    assert_eq!(hears_from(&dom0.namespace(), "10.98.98.1", &one.guest), Some("10.98.98.2".parse().unwrap()));
    assert_eq!(hears_from(&outside.guest, "192.0.2.2", &one.guest), Some("192.0.2.1".parse().unwrap()));
    for vif in [one.name, two.name] {
        dom0.host.detach_vif(vif).unwrap();
    }
    prove(&dom0, &Operation::StopNetwork(network.clone()));
    assert_eq!(sysctl("ipv4/ip_forward"), "0");
    assert_eq!(nft_ruleset(), "", "nothing of ours is left");
    assert!(!ip("link show").contains("xenbr0"));
    prove_again(&dom0, &Operation::StopNetwork(network));
}

#[test]
fn a_brouter_for_ipv6() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = outside(&dom0);
    let network = network("network-virtual bridgeip=2001:db8:98::1/64");
    prove(&dom0, &Operation::StartNetwork(network.clone()));
    assert_eq!((sysctl("ipv6/conf/all/forwarding"), sysctl("ipv4/ip_forward")), ("1".to_owned(), "0".to_owned()));
    let one = guest(&dom0, "vif1.0", "xenbr0", "2001:db8:98::2/64", "2001:db8:98::1");
    assert_eq!(hears_from(&outside.guest, "2001:db8:f::2", &one.guest), Some("2001:db8:f::1".parse().unwrap()));
    dom0.host.detach_vif(one.name).unwrap();
    dom0.host.stop_network(&network).unwrap();
    assert_eq!(sysctl("ipv6/conf/all/forwarding"), "0");
    assert_eq!(nft_ruleset(), "");
}

#[test]
fn two_networks_side_by_side_and_forwarding_goes_with_the_last() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = outside(&dom0);
    let before = Dump::take();
    let first = network("network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24");
    let second = network("network-virtual bridge=xenbr1 bridgeip=10.6.7.1/24 uplink=peth0");
    dom0.host.start_network(&first).unwrap();
    let with_first = Dump::take();
    prove(&dom0, &Operation::StartNetwork(second.clone()));
    let one = guest(&dom0, "vif1.0", "xenbr0", "10.98.98.2/24", "10.98.98.1");
    let two = guest(&dom0, "vif2.0", "xenbr1", "10.6.7.2/24", "10.6.7.1");
    for guest in [&one, &two] {
        assert_eq!(hears_from(&outside.guest, "192.0.2.2", &guest.guest), Some("192.0.2.1".parse().unwrap()));
    }
    for vif in [one.name, two.name] {
        dom0.host.detach_vif(vif).unwrap();
        ip(&format!("link del {vif}"));
    }
    dom0.host.stop_network(&first).unwrap();
    assert_eq!(sysctl("ipv4/ip_forward"), "1", "the other network still forwards");
    dom0.host.start_network(&first).unwrap();
    dom0.host.stop_network(&second).unwrap();
    let last = Dump::take();
    assert_eq!(sysctl("ipv4/ip_forward"), "1");
    dom0.host.stop_network(&first).unwrap();
    assert_eq!(sysctl("ipv4/ip_forward"), "0");
    Dump::take().assert_same(&before, "after both networks stopped");
    assert_ne!(with_first, last, "the bridge was made anew");
}

#[test]
fn forwarding_that_was_on_stays_on() {
    let Some(dom0) = Dom0::enter() else { return };
    sysctl_set("ipv4/ip_forward", "1");
    let network = network("network-virtual");
    prove(&dom0, &Operation::StartNetwork(network.clone()));
    dom0.host.stop_network(&network).unwrap();
    assert_eq!(sysctl("ipv4/ip_forward"), "1");
}

#[test]
fn guests_beyond_the_subnet_of_the_address_are_routed() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = outside(&dom0);
    let brouter = Brouter::new(name("xenbr0"), "10.6.7.1/32".parse().unwrap()).subnet("10.6.0.0/16".parse().unwrap());
    prove(&dom0, &Operation::StartNetwork(brouter.into()));
    assert!(ip("route show").contains("10.6.0.0/16 dev xenbr0"), "{}", ip("route show"));
    let one = guest(&dom0, "vif1.0", "xenbr0", "10.6.200.2/16", "10.6.7.1");
    assert_eq!(hears_from(&outside.guest, "192.0.2.2", &one.guest), Some("192.0.2.1".parse().unwrap()));
}

#[test]
fn a_network_with_antispoof_refuses_a_vif_without_a_lock() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.start_network(&network("network-virtual antispoof=yes")).unwrap();
    let guest = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    let before = Dump::take();
    let open = Attachment::bridged(guest.name, name("xenbr0"), Lock::Unlocked);
    let error = dom0.host.attach_vif(&open).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.to_string(), "cannot attach vif1.0 to xenbr0: the network of xenbr0 has antispoof=yes");
    assert_eq!(error.advice(), Some("give the guest's mac= and ip="));
    Dump::take().assert_same(&before, "after it was refused");
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
}

#[test]
fn a_stopped_network_takes_its_guests_down() {
    let Some(dom0) = Dom0::enter() else { return };
    let network = network("network-virtual bridgeip=10.98.98.1/24");
    dom0.host.start_network(&network).unwrap();
    let one = guest(&dom0, "vif1.0", "xenbr0", "10.98.98.2/24", "10.98.98.1");
    dom0.host.stop_network(&network).unwrap();
    let link = &ip_json(&format!("link show dev {}", one.name))[0];
    assert!(link["master"].is_null());
    assert!(!link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    // Its lock is the guest's, not the network's: it holds when the network starts again.
    dom0.host.start_network(&network).unwrap();
    dom0.host.enslave_vif(one.name, name("xenbr0")).unwrap();
    ip("link set vif1.0 up");
    assert!(hears(&dom0.namespace(), "10.98.98.1", &one.guest));
}

#[test]
fn a_subnet_is_masqueraded_and_no_longer() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = outside(&dom0);
    bridge_by_ip("xenbr0");
    ip("addr add 10.98.98.1/24 dev xenbr0");
    ip("addr add 2001:db8:98::1/64 dev xenbr0 nodad");
    sysctl_set("ipv4/ip_forward", "1");
    sysctl_set("ipv6/conf/all/forwarding", "1");
    let one = guest(&dom0, "vif1.0", "xenbr0", "10.98.98.2/24", "10.98.98.1");
    let two = guest(&dom0, "vif2.0", "xenbr0", "2001:db8:98::3/64", "2001:db8:98::1");
    let rules = [
        Masquerade::new("10.98.98.0/24".parse().unwrap()),
        Masquerade::new("2001:db8:98::/64".parse().unwrap()).uplink(name("peth0")),
    ];
    for rule in &rules {
        prove(&dom0, &Operation::MasqueradeSubnet(rule.clone()));
    }
    assert_eq!(hears_from(&outside.guest, "192.0.2.2", &one.guest), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(hears_from(&outside.guest, "2001:db8:f::2", &two.guest), Some("2001:db8:f::1".parse().unwrap()));
    // Within the subnet nothing is hidden.
    assert_eq!(hears_from(&dom0.namespace(), "10.98.98.1", &one.guest), Some("10.98.98.2".parse().unwrap()));

    let listing = nft_json("list table inet xenvnet");
    let objects = listing["nftables"].as_array().unwrap();
    let mut chains = objects.iter().filter_map(|object| object.get("chain"));
    let chain = chains.find(|chain| chain["name"] == "postrouting").unwrap();
    assert_eq!((&chain["type"], &chain["hook"]), (&"nat".into(), &"postrouting".into()));
    let masquerades = objects.iter().filter(|object| object["rule"].to_string().contains("masquerade")).count();
    assert_eq!(masquerades, rules.len());

    for rule in rules.iter().rev() {
        prove(&dom0, &Operation::UnmasqueradeSubnet(rule.clone()));
        prove_again(&dom0, &Operation::UnmasqueradeSubnet(rule.clone()));
    }
    // The table stays as long as there are guests: there a renamed one is held back.
    assert!(!nft_ruleset().contains("masquerade"), "{}", nft_ruleset());
    // The outside has a route back now, and sees the guest itself.
    outside.guest.within(|| ip("route add 10.98.98.0/24 via 192.0.2.1"));
    assert_eq!(hears_from(&outside.guest, "192.0.2.2", &one.guest), Some("10.98.98.2".parse().unwrap()));
}

#[test]
fn an_uplink_that_is_named_is_the_only_one_that_hides() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = outside(&dom0);
    let other = dom0.cable("peth1", "02:00:00:00:00:0a");
    ip("addr add 198.51.100.1/24 dev peth1");
    other.address("198.51.100.2/24", "198.51.100.1");
    dom0.host.start_network(&network("network-virtual bridgeip=10.98.98.1/24 uplink=peth0")).unwrap();
    let one = guest(&dom0, "vif1.0", "xenbr0", "10.98.98.2/24", "10.98.98.1");
    assert_eq!(hears_from(&outside.guest, "192.0.2.2", &one.guest), Some("192.0.2.1".parse().unwrap()));
    assert_eq!(hears_from(&other.guest, "198.51.100.2", &one.guest), Some("10.98.98.2".parse().unwrap()));
}

#[test]
fn a_network_that_contradicts_what_is_there_is_refused() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr1");
    dom0.host.start_network(&network("network-virtual bridgeip=10.98.98.1/24")).unwrap();
    let before = Dump::take();
    let error = dom0.host.start_network(&network("network-virtual bridgeip=10.98.97.1/24")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(
        error.to_string(),
        "cannot start the network of xenbr0: another one runs there: network-virtual bridge=xenbr0 \
         bridgeip=10.98.98.1/24 brnet=10.98.98.0/24"
    );
    let error = dom0.host.start_network(&network("network-virtual vifnum=1")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(
        error.to_string(),
        "cannot start the network of xenbr1: an interface named xenbr1 is there already and belongs to no network"
    );
    Dump::take().assert_same(&before, "after both were refused");
}
