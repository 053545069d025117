//! Addresses, EtherTypes and ARP.

use super::ip6::router_advertisement;
use super::*;

pub(super) fn mac() -> Vec<Case> {
    let from = |mac| ether(VICTIM, mac, 0x0800, &Ip4::new(OWN4, VICTIM4).carry(&data()));
    vec![
        hostile("MAC of another guest", from(VICTIM)),
        hostile("MAC of the gateway", from(GATEWAY)),
        hostile("MAC of nobody", from(STRANGER)),
        hostile("own MAC with the local bit set", from(MacAddr::new([0x02, 0x16, 0x3e, 0, 0, 1]))),
        hostile("MAC of dom0's side of every vif", from(MacAddr::VIF_BACKEND)),
        hostile("foreign MAC, ARP", ether(ALL, STRANGER, 0x0806, &arp(1, (OWN, OWN4), (NONE, VICTIM4)))),
        hostile("foreign MAC, IPv6", ether(VICTIM, STRANGER, 0x86dd, &Ip6::new(OWN6, VICTIM6).carry(&data()))),
        hostile(
            "foreign MAC to the broadcast address",
            ether(ALL, STRANGER, 0x0800, &Ip4::new(OWN4, ALL4).carry(&data())),
        ),
        inert("multicast MAC as source", from(MacAddr::new([0x01, 0x00, 0x5e, 0, 0, 1]))),
        inert("broadcast MAC as source", from(ALL)),
        inert("zero MAC as source", from(NONE)),
        hostile("LLDP to steal a victim's place in the bridge", steal(0x0e, 0x88cc)),
        hostile("EAPOL to steal a victim's place in the bridge", steal(0x03, 0x888e)),
        hostile("reserved group 01:80:c2:00:00:02 to steal a place", steal(0x02, 0x8809)),
        hostile("reserved group 01:80:c2:00:00:0d to steal a place", steal(0x0d, 0x0800)),
        inert("pause frame with a victim's MAC", steal(0x01, 0x8808)),
        hostile("BPDU with a victim's MAC", bpdu(VICTIM)),
    ]
}

/// A frame to a reserved group address, which the bridge learns from before any filter sees it.
fn steal(group: u8, ethertype: u16) -> Frame {
    ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, group]), VICTIM, ethertype, &[2, 7, 4, 0, 22, 62, 0, 0, 2, 0, 0])
}

fn bpdu(from: MacAddr) -> Frame {
    let body = [&[0x42, 0x42, 0x03, 0, 0, 0, 0, 0][..], &[0; 31]].concat();
    ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0]), from, body.len() as u16, &body)
}

pub(super) fn ethertypes() -> Vec<Case> {
    let plain = |ethertype, payload: &[u8]| ether(VICTIM, OWN, ethertype, payload);
    let honest4 = || from4(OWN4);
    let honest6 = || from6(OWN6);
    let lie = || ether(ALL, OWN, 0x0806, &arp(2, (OWN, GATEWAY4), (ALL, VICTIM4)));
    let snap = |ethertype: u16, payload: &[u8]| {
        let body = [&[0xaa, 0xaa, 3, 0, 0, 0], &ethertype.to_be_bytes()[..], payload].concat();
        ether(VICTIM, OWN, body.len() as u16, &body)
    };
    let ra = || router_advertisement(own_link_local());
    vec![
        hostile("802.1Q, VLAN 5, honest IPv4 inside", tagged(&honest4(), 0x8100, 5)),
        hostile("802.1Q, VLAN 0, honest IPv4 inside", tagged(&honest4(), 0x8100, 0)),
        hostile("802.1Q, VLAN 0, ARP lie inside", tagged(&lie(), 0x8100, 0)),
        hostile("802.1Q, VLAN 0, router advertisement inside", tagged(&ra(), 0x8100, 0)),
        hostile("802.1Q twice, VLAN 0", tagged(&tagged(&lie(), 0x8100, 0), 0x8100, 0)),
        hostile("802.1Q three times", tagged(&tagged(&tagged(&honest6(), 0x8100, 1), 0x8100, 2), 0x8100, 3)),
        hostile("802.1ad, VLAN 0, ARP lie inside", tagged(&lie(), 0x88a8, 0)),
        hostile("802.1ad around 802.1Q", tagged(&tagged(&honest4(), 0x8100, 5), 0x88a8, 7)),
        hostile("802.1Q around 802.1ad", tagged(&tagged(&lie(), 0x88a8, 0), 0x8100, 0)),
        hostile("old QinQ type 0x9100", tagged(&honest4(), 0x9100, 5)),
        hostile("802.1Q with priority only", tagged(&honest4(), 0x8100, 0xe000)),
        hostile("LLC/SNAP carrying ARP", snap(0x0806, &arp(2, (OWN, GATEWAY4), (ALL, VICTIM4)))),
        hostile("LLC/SNAP carrying IPv4", snap(0x0800, &Ip4::new(GATEWAY4, VICTIM4).carry(&data()))),
        hostile("LLC/SNAP carrying IPv6", snap(0x86dd, &ra().bytes()[14..])),
        hostile("LLC, not SNAP", plain(16, &[0x06, 0x06, 3, 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        hostile("802.3 length 0 before IPv4", plain(0, &Ip4::new(GATEWAY4, VICTIM4).carry(&data()))),
        hostile("802.3 length that lies", plain(1500, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45, 0])),
        hostile("type between length and EtherType", plain(0x05ff, &[0; 46])),
        hostile("raw Novell 802.3", plain(46, &[0xff; 46])),
        hostile("PPPoE discovery", plain(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0])),
        hostile("PPPoE session carrying IPv4", plain(0x8864, &[0x11, 0, 0, 1, 0, 24, 0, 0x21, 0x45])),
        hostile("MPLS", plain(0x8847, &[0, 1, 1, 64, 0x45, 0, 0, 20])),
        hostile("EAPOL to the victim itself", plain(0x888e, &[1, 1, 0, 0])),
        hostile("LLDP to the victim itself", plain(0x88cc, &[2, 7, 4, 0, 22, 62, 0, 0, 1])),
        hostile("own BPDU", bpdu(OWN)),
        hostile(
            "Cisco discovery",
            ether(
                MacAddr::new([1, 0, 0x0c, 0xcc, 0xcc, 0xcc]),
                OWN,
                12,
                &[0xaa, 0xaa, 3, 0, 0, 0x0c, 0x20, 0, 2, 0xb4, 0, 0],
            ),
        ),
        hostile(
            "Cisco spanning tree per VLAN",
            ether(
                MacAddr::new([1, 0, 0x0c, 0xcc, 0xcc, 0xcd]),
                OWN,
                12,
                &[0xaa, 0xaa, 3, 0, 0, 0x0c, 1, 0x0b, 0, 0, 0, 0],
            ),
        ),
        hostile("wake on LAN", plain(0x0842, &[&[0xff; 6][..], &VICTIM.octets().repeat(16)].concat())),
        hostile("Ethernet loopback", plain(0x9000, &[0, 0, 1, 0, 0, 0])),
        hostile("RARP", ether(ALL, OWN, 0x8035, &arp(3, (OWN, ANY4), (OWN, ANY4)))),
        hostile("ATA over Ethernet", plain(0x88a2, &[0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0])),
        hostile("MACsec", plain(0x88e5, &[0x2c, 0, 0, 0, 0, 1, 0, 0])),
        hostile("local experimental type", plain(0x88b5, &[0; 46])),
        hostile("ARP frame with the type of IPv4", plain(0x0800, &arp(2, (OWN, GATEWAY4), (ALL, VICTIM4)))),
        hostile(
            "IPv4 packet with the type of IPv6",
            plain(0x86dd, &Ip4::new(OWN4, VICTIM4).carry(&udp(1, 2, &[0; 40]))),
        ),
        hostile("IPv6 packet with the type of IPv4", plain(0x0800, &Ip6::new(OWN6, VICTIM6).carry(&data()))),
    ]
}

pub(super) fn arps() -> Vec<Case> {
    let send = |body: &[u8]| ether(ALL, OWN, 0x0806, body);
    let normal = |head, operation| send(&arp_with(head, operation, (OWN, OWN4), (NONE, VICTIM4)));
    let truncated = arp(1, (OWN, OWN4), (NONE, VICTIM4))[..18].to_vec();
    vec![
        hostile("ARP request from the gateway's address", send(&arp(1, (OWN, GATEWAY4), (NONE, VICTIM4)))),
        hostile("ARP reply for the gateway's address", send(&arp(2, (OWN, GATEWAY4), (VICTIM, VICTIM4)))),
        hostile("gratuitous ARP for the gateway's address", send(&arp(1, (OWN, GATEWAY4), (NONE, GATEWAY4)))),
        hostile("ARP reply for another guest's address", send(&arp(2, (OWN, VICTIM4), (GATEWAY, GATEWAY4)))),
        hostile(
            "ARP just outside of the own prefix",
            send(&arp(2, (OWN, [10, 98, 99, 16].into()), (GATEWAY, GATEWAY4))),
        ),
        hostile("ARP with another sender MAC", send(&arp(1, (STRANGER, OWN4), (NONE, VICTIM4)))),
        hostile("ARP with the victim's MAC and address", send(&arp(2, (VICTIM, VICTIM4), (GATEWAY, GATEWAY4)))),
        hostile("ARP with a zero sender MAC", send(&arp(1, (NONE, OWN4), (NONE, VICTIM4)))),
        hostile("ARP probe of another's address", send(&arp(1, (OWN, ANY4), (NONE, VICTIM4)))),
        hostile("ARP probe with a foreign sender MAC", send(&arp(1, (STRANGER, ANY4), (NONE, OWN4)))),
        hostile("ARP reply from 0.0.0.0", send(&arp(2, (OWN, ANY4), (NONE, OWN4)))),
        hostile("ARP from the broadcast address", send(&arp(1, (OWN, ALL4), (NONE, VICTIM4)))),
        hostile("ARP with a bad hardware type", normal([0, 6, 8, 0, 6, 4], 1)),
        hostile("ARP with a bad protocol type", normal([0, 1, 0x86, 0xdd, 6, 4], 1)),
        hostile("ARP with a bad hardware length", normal([0, 1, 8, 0, 8, 4], 1)),
        hostile("ARP with a bad protocol length", normal([0, 1, 8, 0, 6, 16], 1)),
        hostile("ARP operation 0", normal([0, 1, 8, 0, 6, 4], 0)),
        hostile("reverse ARP within the type of ARP", normal([0, 1, 8, 0, 6, 4], 3)),
        hostile("inverse ARP", normal([0, 1, 8, 0, 6, 4], 8)),
        hostile("ARP operation 0x0101", normal([0, 1, 8, 0, 6, 4], 0x0101)),
        hostile("truncated ARP", send(&truncated)),
    ]
}
