//! Connections of an address that gets another holder are forgotten, and no others.

use crate::proof::name;
use xenvnet_core::{Antispoof, Attachment, Masquerade};
use xenvnet_tests::{Dom0, FakeVif, hears_from, ip, sysctl_set};

/// Connections that dom0 tracks in which an address takes part.
fn tracked(address: &str) -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
    table.lines().filter(|line| line.split(' ').any(|word| word == format!("src={address}"))).count()
}

fn routed(dom0: &Dom0, vif: &str, address: &str, mac: u8) -> FakeVif {
    let guest = dom0.guest(vif, &format!("00:16:3e:00:00:{mac:02x}"));
    guest.guest.within(|| {
        ip(&format!("addr add {address}/32 dev eth0"));
        ip("route add 10.1.255.1 dev eth0");
        ip("route add default via 10.1.255.1");
    });
    let lock = Antispoof::new(guest.mac).ip(address.parse().unwrap());
    let attachment = Attachment::routed(name(vif), lock).gateway("10.1.255.1".parse().unwrap());
    dom0.host.attach_vif(&attachment).unwrap();
    guest
}

#[test]
fn who_gets_an_address_gets_a_clean_table_of_connections() {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev peth0");
    outside.address("192.0.2.2/24", "");
    sysctl_set("ipv4/ip_forward", "1");
    dom0.host.masquerade_subnet(&Masquerade::new("10.1.0.0/16".parse().unwrap())).unwrap();
    let first = routed(&dom0, "vif1.0", "10.1.0.2", 1);
    let other = routed(&dom0, "vif2.0", "10.1.0.3", 2);
    for guest in [&first, &other] {
        assert_eq!(hears_from(&outside.guest, "192.0.2.2", &guest.guest), Some("192.0.2.1".parse().unwrap()));
    }
    assert!(tracked("10.1.0.2") > 0 && tracked("10.1.0.3") > 0);
    dom0.host.detach_vif(first.name).unwrap();
    let second = routed(&dom0, "vif3.0", "10.1.0.2", 3);
    assert_eq!(tracked("10.1.0.2"), 0, "what its former holder began");
    assert!(tracked("10.1.0.3") > 0, "others' stay");
    assert_eq!(hears_from(&outside.guest, "192.0.2.2", &second.guest), Some("192.0.2.1".parse().unwrap()));
    // What is so already forgets nothing.
    let again = Attachment::routed(name("vif3.0"), Antispoof::new(second.mac).ip("10.1.0.2".parse().unwrap()))
        .gateway("10.1.255.1".parse().unwrap());
    assert!(!dom0.host.attach_vif(&again).unwrap().is_changed());
    assert!(tracked("10.1.0.2") > 0);
}
