//! ARP that lies about who is where, or that is no ARP for IPv4 over Ethernet.

use super::*;

pub(super) fn arp() -> Vec<Case> {
    let arp = super::arp;
    let send = |body: &[u8]| ether(ALL, OWN, 0x0806, body);
    let normal = |head, operation| send(&arp_with(head, operation, (OWN, OWN4), (NONE, VICTIM4)));
    let behind: Ipv4Addr = [10, 98, 99, 16].into();
    let request = || arp(1, (OWN, OWN4), (NONE, VICTIM4));
    let groups_mac = MacAddr::new([0x01, 0x00, 0x5e, 0, 0, 1]);
    vec![
        hostile(
            "ARP request from the gateway's address",
            "CVE-1999-0667",
            send(&arp(1, (OWN, GATEWAY4), (NONE, VICTIM4))),
        ),
        hostile(
            "ARP reply for the gateway's address",
            "CVE-1999-0667",
            send(&arp(2, (OWN, GATEWAY4), (VICTIM, VICTIM4))),
        ),
        hostile(
            "ARP reply for the gateway's address to the victim alone",
            "CVE-2021-38598",
            ether(VICTIM, OWN, 0x0806, &arp(2, (OWN, GATEWAY4), (VICTIM, VICTIM4))),
        ),
        hostile(
            "gratuitous ARP for the gateway's address",
            "RFC 5227 2.4",
            send(&arp(1, (OWN, GATEWAY4), (NONE, GATEWAY4))),
        ),
        hostile(
            "gratuitous ARP reply for the gateway's address",
            "RFC 5227 3",
            send(&arp(2, (OWN, GATEWAY4), (ALL, GATEWAY4))),
        ),
        hostile(
            "ARP reply for another guest's address",
            "CVE-2025-52890",
            send(&arp(2, (OWN, VICTIM4), (GATEWAY, GATEWAY4))),
        ),
        hostile("ARP just outside of the own prefix", "RFC 826", send(&arp(2, (OWN, behind), (GATEWAY, GATEWAY4)))),
        hostile("ARP with another sender MAC", "CVE-2021-38598", send(&arp(1, (STRANGER, OWN4), (NONE, VICTIM4)))),
        hostile(
            "ARP with the victim's MAC and address",
            "CVE-2025-52890",
            send(&arp(2, (VICTIM, VICTIM4), (GATEWAY, GATEWAY4))),
        ),
        hostile("ARP with a zero sender MAC", "RFC 826", send(&arp(1, (NONE, OWN4), (NONE, VICTIM4)))),
        hostile("ARP with the broadcast MAC as sender", "RFC 1812 3.3.2", send(&arp(2, (ALL, OWN4), (NONE, VICTIM4)))),
        hostile(
            "ARP with a group's MAC as sender",
            "RFC 1812 3.3.2",
            send(&arp(2, (groups_mac, OWN4), (NONE, VICTIM4))),
        ),
        hostile("ARP probe of another's address", "RFC 5227 2.1.1", send(&arp(1, (OWN, ANY4), (NONE, VICTIM4)))),
        hostile(
            "ARP probe just outside of the own prefix",
            "RFC 5227 2.1.1",
            send(&arp(1, (OWN, ANY4), (NONE, behind))),
        ),
        hostile("ARP probe with a foreign sender MAC", "RFC 5227 2.1.1", send(&arp(1, (STRANGER, ANY4), (NONE, OWN4)))),
        hostile(
            "ARP request from the gateway's address for the own one",
            "RFC 5227 2.4",
            send(&arp(1, (OWN, GATEWAY4), (NONE, OWN4))),
        ),
        hostile(
            "ARP request from the gateway's address within the own prefix",
            "RFC 5227 2.4",
            send(&arp(1, (OWN, GATEWAY4), (NONE, NET4))),
        ),
        hostile(
            "ARP probe with a foreign sender MAC within the own prefix",
            "RFC 5227 2.1.1",
            send(&arp(1, (STRANGER, ANY4), (NONE, NET4))),
        ),
        hostile(
            "ARP reply from 0.0.0.0 within the own prefix",
            "RFC 5227 2.1.1",
            send(&arp(2, (OWN, ANY4), (NONE, NET4))),
        ),
        hostile("ARP reply from 0.0.0.0", "RFC 5227 2.1.1", send(&arp(2, (OWN, ANY4), (NONE, OWN4)))),
        hostile("ARP from the broadcast address", "RFC 1122 3.2.1.3", send(&arp(1, (OWN, ALL4), (NONE, VICTIM4)))),
        hostile(
            "ARP from a group's address",
            "RFC 1122 3.2.1.3",
            send(&arp(1, (OWN, [224, 0, 0, 1].into()), (NONE, VICTIM4))),
        ),
        hostile(
            "ARP from the loopback address",
            "RFC 1122 3.2.1.3",
            send(&arp(1, (OWN, [127, 0, 0, 1].into()), (NONE, VICTIM4))),
        ),
        hostile("ARP with a bad hardware type", "RFC 826", normal([0, 6, 8, 0, 6, 4], 1)),
        hostile("ARP with a bad protocol type", "RFC 826", normal([0, 1, 0x86, 0xdd, 6, 4], 1)),
        hostile("ARP with a bad hardware length", "RFC 826", normal([0, 1, 8, 0, 8, 4], 1)),
        hostile("ARP with a bad protocol length", "RFC 826", normal([0, 1, 8, 0, 6, 16], 1)),
        hostile("ARP with no hardware address", "RFC 1868", normal([0, 1, 8, 0, 0, 4], 1)),
        hostile("ARP operation 0", "RFC 5494 2", normal([0, 1, 8, 0, 6, 4], 0)),
        hostile("reverse ARP within the type of ARP", "RFC 903", normal([0, 1, 8, 0, 6, 4], 3)),
        hostile("reverse ARP's reply within the type of ARP", "RFC 903", normal([0, 1, 8, 0, 6, 4], 4)),
        hostile("dynamic reverse ARP", "RFC 1931", normal([0, 1, 8, 0, 6, 4], 5)),
        hostile("inverse ARP", "RFC 2390", normal([0, 1, 8, 0, 6, 4], 8)),
        hostile("inverse ARP's reply", "RFC 2390", normal([0, 1, 8, 0, 6, 4], 9)),
        hostile("ARP operation 0x0101", "RFC 5494 2", normal([0, 1, 8, 0, 6, 4], 0x0101)),
        hostile("ARP operation 0xffff", "RFC 5494 2", normal([0, 1, 8, 0, 6, 4], 0xffff)),
        hostile("ARP with nothing in it", "RFC 826", send(&[])),
        hostile("truncated ARP", "RFC 826", send(&request()[..18])),
        hostile("ARP that ends within its last address", "RFC 826", send(&request()[..22])),
    ]
}
