//! Connections of an address that gets another holder are forgotten, and no others.

use crate::proof::name;
use xenvnet_core::{Antispoof, Attachment, MacAddr, Masquerade};
use xenvnet_tests::{Dom0, FakeVif, hears_from, ip, sysctl_set};

/// Connections that dom0 tracks in which an address takes part.
fn tracked(address: &str) -> usize {
    let table = std::fs::read_to_string("/proc/thread-self/net/nf_conntrack").unwrap();
    table.lines().filter(|line| line.split(' ').any(|word| word == format!("src={address}"))).count()
}

/// What one family calls dom0, the outside, the guests' gateway and two of them.
struct Addresses {
    dom0: [&'static str; 2],
    outside: &'static str,
    subnet: &'static str,
    gateway: &'static str,
    guests: [&'static str; 2],
    /// As the kernel prints the guests'.
    printed: [&'static str; 2],
}

const IPV4: Addresses = Addresses {
    dom0: ["192.0.2.1", "192.0.2.1/24"],
    outside: "192.0.2.2/24",
    subnet: "10.1.0.0/16",
    gateway: "10.1.255.1",
    guests: ["10.1.0.2", "10.1.0.3"],
    printed: ["10.1.0.2", "10.1.0.3"],
};

const IPV6: Addresses = Addresses {
    dom0: ["2001:db8:f::1", "2001:db8:f::1/64"],
    outside: "2001:db8:f::2/64",
    subnet: "fd00:1::/64",
    gateway: "fd00:1::ff",
    guests: ["fd00:1::2", "fd00:1::3"],
    printed: ["fd00:0001:0000:0000:0000:0000:0000:0002", "fd00:0001:0000:0000:0000:0000:0000:0003"],
};

impl Addresses {
    fn attachment(&self, vif: &str, mac: MacAddr, address: &str) -> Attachment {
        let lock = Antispoof::new(mac).ip(address.parse().unwrap());
        Attachment::routed(name(vif), lock).gateway(self.gateway.parse().unwrap())
    }

    fn routed(&self, dom0: &Dom0, vif: &str, address: &str, mac: u8) -> FakeVif {
        let guest = dom0.guest(vif, &format!("00:16:3e:00:00:{mac:02x}"));
        guest.guest.within(|| {
            ip(&format!("addr add {address} dev eth0{}", if address.contains(':') { " nodad" } else { "" }));
            ip(&format!("route add {} dev eth0", self.gateway));
            ip(&format!("route add default via {}", self.gateway));
        });
        dom0.host.attach_vif(&self.attachment(vif, guest.mac, address)).unwrap();
        guest
    }
}

#[test]
fn who_gets_an_address_gets_a_clean_table_of_connections() {
    change_hands(&IPV4);
}

#[test]
fn who_gets_an_address_of_ipv6_gets_a_clean_table_of_connections() {
    change_hands(&IPV6);
}

fn change_hands(family: &Addresses) {
    let Some(dom0) = Dom0::enter() else { return };
    let outside = dom0.cable("peth0", "02:00:00:00:00:09");
    let nodad = if family.dom0[1].contains(':') { " nodad" } else { "" };
    ip(&format!("addr add {} dev peth0{nodad}", family.dom0[1]));
    outside.address(family.outside, "");
    sysctl_set("ipv4/ip_forward", "1");
    sysctl_set("ipv6/conf/all/forwarding", "1");
    dom0.host.masquerade_subnet(&Masquerade::new(family.subnet.parse().unwrap())).unwrap();
    let [held, others] = family.guests;
    let first = family.routed(&dom0, "vif1.0", held, 1);
    let other = family.routed(&dom0, "vif2.0", others, 2);
    let goes_out = |guest: &FakeVif| {
        let ear = family.outside.split('/').next().unwrap();
        assert_eq!(hears_from(&outside.guest, ear, &guest.guest), Some(family.dom0[0].parse().unwrap()));
    };
    [&first, &other].map(goes_out);
    let tracked = |guest: usize| tracked(family.printed[guest]);
    assert!(tracked(0) > 0 && tracked(1) > 0);
    dom0.host.detach_vif(first.name).unwrap();
    let second = family.routed(&dom0, "vif3.0", held, 3);
    assert_eq!(tracked(0), 0, "what its former holder began");
    assert!(tracked(1) > 0, "others' stay");
    goes_out(&second);
    // What is so already forgets nothing.
    let again = family.attachment("vif3.0", second.mac, held);
    assert!(!dom0.host.attach_vif(&again).unwrap().is_changed());
    assert!(tracked(0) > 0);
}
