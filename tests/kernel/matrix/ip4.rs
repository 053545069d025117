//! IPv4: sources that are not the guest's, headers that mislead, and what only routers say.

use super::*;

pub(super) fn sources() -> Vec<Case> {
    let foreign = || Ip4::new(GATEWAY4, VICTIM4);
    let first = |from: [u8; 4]| packet4(&Ip4::new(from.into(), VICTIM4).fragment(0x2000).carry(&udp(1, 2, &[7; 8])));
    let later =
        |from: [u8; 4]| packet4(&Ip4::new(from.into(), VICTIM4).fragment(0x0010).carry(&Transport::raw(17, &[0; 16])));
    let broadcast = |packet: Ip4, transport: &Transport| ether(ALL, OWN, 0x0800, &packet.carry(transport));
    let echo = icmp4(8, 0, &[0, 1, 0, 1]);
    let unreachable = icmp4(3, 1, &[&[0; 4][..], &Ip4::new(VICTIM4, GATEWAY4).carry(&data())].concat());
    vec![
        hostile("IPv4 of the gateway", "RFC 2827", from4(GATEWAY4)),
        hostile("IPv4 of another guest", "CVE-2025-52890", from4([10, 98, 98, 4].into())),
        hostile("IPv4 of the outside", "RFC 2827", from4([203, 0, 113, 9].into())),
        hostile("IPv4 just before the own prefix", "RFC 1122 3.2.1.3", from4([10, 98, 98, 255].into())),
        hostile("IPv4 just behind the own prefix", "RFC 2827", from4([10, 98, 99, 16].into())),
        hostile("IPv4 broadcast address as source", "RFC 1122 3.2.1.3", from4(ALL4)),
        hostile("IPv4 multicast address as source", "RFC 1812 5.3.7", from4([224, 0, 0, 1].into())),
        hostile("IPv4 loopback address as source", "RFC 1122 3.2.1.3", from4([127, 0, 0, 1].into())),
        hostile("IPv4 of this network as source", "RFC 1122 3.2.1.3", from4([0, 1, 2, 3].into())),
        hostile("IPv4 for the future as source", "RFC 1112 4", from4([240, 0, 0, 1].into())),
        hostile("IPv4 link-local address as source", "RFC 3927 2.7", from4([169, 254, 1, 1].into())),
        hostile("IPv4 from 0.0.0.0, no DHCP", "RFC 1122 3.2.1.3", from4(ANY4)),
        hostile("IPv4 of the victim, to itself", "CVE-1999-0016", from4(VICTIM4)),
        hostile("IPv4 of the victim, echo request to all", "CVE-1999-0513", broadcast(Ip4::new(VICTIM4, ALL4), &echo)),
        hostile(
            "IPv4 of the victim, echo of UDP to all",
            "CVE-1999-0514",
            broadcast(Ip4::new(VICTIM4, ALL4), &udp(7, 7, b"echo")),
        ),
        hostile("foreign IPv4, ICMP", "RFC 2827", packet4(&foreign().carry(&echo))),
        hostile("foreign IPv4, ICMP error", "RFC 5927", packet4(&foreign().carry(&unreachable))),
        hostile("foreign IPv4, TCP", "RFC 2827", packet4(&foreign().carry(&tcp(1000, 80)))),
        hostile(
            "foreign IPv4, unknown protocol",
            "RFC 3692 2.1",
            packet4(&foreign().carry(&Transport::raw(253, b"data"))),
        ),
        hostile("foreign IPv4, IGMP report", "RFC 3376 4.2", packet4(&foreign().carry(&igmp(0x22)))),
        hostile("foreign IPv4, first fragment", "RFC 1858", first(GATEWAY4.octets())),
        hostile("foreign IPv4, later fragment", "RFC 1858", later(GATEWAY4.octets())),
        hostile("first fragment from the outside", "RFC 1858", first([203, 0, 113, 9])),
        hostile("later fragment from the outside", "RFC 1858", later([203, 0, 113, 9])),
        hostile("first fragment from a multicast address", "RFC 1812 5.3.7", first([224, 0, 0, 1])),
        hostile("later fragment from a multicast address", "RFC 1812 5.3.7", later([224, 0, 0, 1])),
        hostile("first fragment from the broadcast address", "RFC 1122 3.2.1.3", first([255; 4])),
        hostile("later fragment from the broadcast address", "RFC 1122 3.2.1.3", later([255; 4])),
        hostile("first fragment from the loopback address", "RFC 1122 3.2.1.3", first([127, 0, 0, 1])),
        hostile("later fragment from the loopback address", "RFC 1122 3.2.1.3", later([127, 0, 0, 1])),
        hostile("first fragment from 0.0.0.0", "RFC 1122 3.2.1.3", first([0; 4])),
        hostile("later fragment from 0.0.0.0", "RFC 1122 3.2.1.3", later([0; 4])),
        hostile("first fragment of one octet, foreign", "RFC 3128", {
            packet4(&foreign().fragment(0x2000).carry(&Transport::raw(6, &[0])))
        }),
        hostile("foreign IPv4, to the broadcast address", "RFC 919", broadcast(Ip4::new(GATEWAY4, ALL4), &data())),
    ]
}

/// A route of two stops in an option; `pointer` says which is next (RFC 791 3.1).
fn route(option: u8, pointer: u8) -> Vec<u8> {
    [&[option, 11, pointer][..], &GATEWAY4.octets(), &VICTIM4.octets(), &[0]].concat()
}

pub(super) fn headers() -> Vec<Case> {
    let own = || Ip4::new(OWN4, VICTIM4);
    let routed = |options: &[u8]| packet4(&own().options(options).carry(&data()));
    let total = |length: u16, transport: &Transport| packet4(&with(own().carry(transport), 2, &length.to_be_bytes()));
    let redirect = icmp4(5, 1, &[&GATEWAY4.octets()[..], &own().carry(&data())].concat());
    vec![
        hostile("loose source routing", "RFC 7126 4.3", routed(&[131, 7, 4, 10, 98, 98, 1, 1])),
        hostile("strict source routing", "RFC 7126 4.4", routed(&[137, 7, 4, 10, 98, 98, 1, 1])),
        hostile("loose source routing, half of the way", "RFC 7126 4.3", routed(&route(131, 8))),
        hostile("strict source routing, half of the way", "RFC 7126 4.4", routed(&route(137, 8))),
        hostile("loose source routing, all of the way", "CVE-1999-0510", routed(&route(131, 12))),
        hostile("loose source routing behind padding", "CVE-1999-0510", routed(&[1, 131, 7, 4, 10, 98, 98, 1])),
        hostile(
            "loose source routing behind an option without a length",
            "RFC 791 3.1",
            routed(&[7, 0, 131, 7, 4, 10, 98, 98, 1, 0, 0, 0]),
        ),
        hostile(
            "loose source routing in a first fragment",
            "RFC 7126 4.3",
            packet4(&own().options(&[131, 7, 4, 10, 98, 98, 1, 1]).fragment(0x2000).carry(&udp(1, 2, &[7; 8]))),
        ),
        hostile("IPv4 with version 6", "RFC 1122 3.2.1.1", packet4(&own().first(0x65).carry(&data()))),
        hostile("IPv4 with version 0", "RFC 1122 3.2.1.1", packet4(&own().first(0x05).carry(&data()))),
        hostile("IPv4 with version 15", "RFC 1812 5.2.2", packet4(&own().first(0xf5).carry(&data()))),
        hostile("IPv4 with a header of 16 octets", "RFC 1812 5.2.2", packet4(&own().first(0x44).carry(&data()))),
        hostile("IPv4 with a header of no octets", "RFC 1812 5.2.2", packet4(&own().first(0x40).carry(&data()))),
        hostile("IPv4 header longer than the packet", "RFC 1812 5.2.2", packet4(&own().first(0x4f).carry(&data()))),
        hostile("IPv4 header cut short", "RFC 1812 5.2.2", packet4(&own().carry(&data())[..12])),
        hostile("IPv4 with nothing in it", "RFC 1812 5.2.2", packet4(&[])),
        hostile("IPv4 longer than its frame", "RFC 1812 5.2.2", total(1000, &data())),
        hostile("IPv4 shorter than its header", "RFC 1812 5.2.2", total(19, &data())),
        hostile("ICMP redirect in a packet longer than its frame", "RFC 1812 5.2.2", total(1000, &redirect)),
    ]
}

fn igmp(kind: u8) -> Transport {
    Transport { protocol: 2, bytes: vec![kind, 100, 0, 0, 0, 0, 0, 0], checksum: Some((2, false)) }
}

pub(super) fn routers() -> Vec<Case> {
    let own = || Ip4::new(OWN4, VICTIM4);
    let redirect = |code| icmp4(5, code, &[&GATEWAY4.octets()[..], &own().carry(&data())].concat());
    let advertisement = icmp4(9, 0, &[1, 2, 7, 8, 10, 98, 98, 2, 0, 0, 0, 0]);
    let alert = || own().options(&[148, 4, 0, 0]);
    vec![
        hostile("ICMP redirect", "CVE-1999-0265", packet4(&own().carry(&redirect(1)))),
        hostile("ICMP redirect for a network", "RFC 1122 3.2.2.2", packet4(&own().carry(&redirect(0)))),
        hostile("ICMP redirect in a first fragment", "RFC 792", packet4(&own().fragment(0x2000).carry(&redirect(1)))),
        hostile("ICMP redirect behind IP options", "RFC 792", packet4(&alert().carry(&redirect(1)))),
        hostile("ICMP router advertisement", "CVE-1999-0875", packet4(&own().carry(&advertisement))),
        hostile("ICMP router solicitation", "RFC 1256 3", packet4(&own().carry(&icmp4(10, 0, &[0; 4])))),
        hostile("IGMP membership query with router alert", "RFC 3376 4.1", packet4(&alert().carry(&igmp(0x11)))),
        hostile("IGMP membership query", "RFC 2236 2.1", packet4(&own().carry(&igmp(0x11)))),
        hostile(
            "IGMP membership query in a first fragment",
            "RFC 2236 2.1",
            packet4(&own().fragment(0x2000).carry(&igmp(0x11))),
        ),
        hostile("DVMRP probe", "RFC 1075", packet4(&own().carry(&igmp(0x13)))),
        hostile("PIM of the first version", "RFC 3228", packet4(&own().carry(&igmp(0x14)))),
        hostile("multicast router's advertisement", "RFC 4286 3", packet4(&alert().carry(&igmp(0x30)))),
        hostile("multicast router's solicitation", "RFC 4286 4", packet4(&alert().carry(&igmp(0x31)))),
        hostile("multicast router's termination", "RFC 4286 5", packet4(&alert().carry(&igmp(0x32)))),
        hostile("PIM hello", "RFC 7761 4.9.2", packet4(&own().carry(&Transport::raw(103, &[0x20, 0, 0, 0])))),
    ]
}
