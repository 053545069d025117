//! IPv4 and DHCP.

use super::*;

pub(super) fn ip4() -> Vec<Case> {
    let own = || Ip4::new(OWN4, VICTIM4);
    let foreign = || Ip4::new(GATEWAY4, VICTIM4);
    let icmp_redirect = icmp4(5, 1, &[&GATEWAY4.octets()[..], &own().carry(&data())].concat());
    let igmp =
        |kind: u8| Transport { protocol: 2, bytes: vec![kind, 100, 0, 0, 0, 0, 0, 0], checksum: Some((2, false)) };
    vec![
        hostile("IPv4 of the gateway", from4(GATEWAY4)),
        hostile("IPv4 of another guest", from4([10, 98, 98, 4].into())),
        hostile("IPv4 of the outside", from4([203, 0, 113, 9].into())),
        hostile("IPv4 just before the own prefix", from4([10, 98, 98, 255].into())),
        hostile("IPv4 just behind the own prefix", from4([10, 98, 99, 16].into())),
        hostile("IPv4 broadcast address as source", from4(ALL4)),
        hostile("IPv4 multicast address as source", from4([224, 0, 0, 1].into())),
        hostile("IPv4 loopback address as source", from4([127, 0, 0, 1].into())),
        hostile("IPv4 from 0.0.0.0, no DHCP", from4(ANY4)),
        hostile("foreign IPv4, ICMP", packet4(&foreign().carry(&icmp4(8, 0, &[0, 1, 0, 1])))),
        hostile("foreign IPv4, TCP", packet4(&foreign().carry(&tcp(1000, 80)))),
        hostile("foreign IPv4, unknown protocol", packet4(&foreign().carry(&Transport::raw(253, b"data")))),
        hostile("foreign IPv4, first fragment", packet4(&foreign().fragment(0x2000).carry(&data()))),
        hostile(
            "foreign IPv4, later fragment",
            packet4(&foreign().fragment(0x0010).carry(&Transport::raw(17, &[0; 16]))),
        ),
        hostile(
            "foreign IPv4, to the broadcast address",
            ether(ALL, OWN, 0x0800, &Ip4::new(GATEWAY4, ALL4).carry(&data())),
        ),
        hostile("loose source routing", packet4(&own().options(&[131, 7, 4, 10, 98, 98, 1, 1]).carry(&data()))),
        hostile("strict source routing", packet4(&own().options(&[137, 7, 4, 10, 98, 98, 1, 1]).carry(&data()))),
        hostile("IPv4 with version 6", packet4(&own().first(0x65).carry(&data()))),
        hostile("IPv4 with version 0", packet4(&own().first(0x05).carry(&data()))),
        hostile("IPv4 with a header of 16 octets", packet4(&own().first(0x44).carry(&data()))),
        hostile("IPv4 header cut short", packet4(&own().carry(&data())[..12])),
        hostile("ICMP redirect", packet4(&own().carry(&icmp_redirect))),
        hostile(
            "ICMP router advertisement",
            packet4(&own().carry(&icmp4(9, 0, &[1, 2, 7, 8, 10, 98, 98, 2, 0, 0, 0, 0]))),
        ),
        hostile("ICMP redirect in a first fragment", packet4(&own().fragment(0x2000).carry(&icmp_redirect))),
        hostile("ICMP router solicitation", packet4(&own().carry(&icmp4(10, 0, &[0; 4])))),
        hostile("IGMP membership query with router alert", packet4(&own().options(&[148, 4, 0, 0]).carry(&igmp(0x11)))),
        hostile("PIM hello", packet4(&own().carry(&Transport::raw(103, &[0x20, 0, 0, 0])))),
        hostile("IGMP membership query", packet4(&own().carry(&igmp(0x11)))),
    ]
}

/// A BOOTP message of this operation with the hardware address of the client.
fn bootp(operation: u8, client: MacAddr, kind: u8) -> Vec<u8> {
    let mut message = vec![operation, 1, 6, 0, 0x12, 0x34, 0x56, 0x78];
    message.extend([0; 20]);
    message.extend(client.octets());
    message.extend([0; 10 + 64 + 128]);
    message.extend([99, 130, 83, 99, 53, 1, kind, 255]);
    message
}

pub(super) fn dhcp() -> Vec<Case> {
    let ask = |packet: Ip4, client| ether(ALL, OWN, 0x0800, &packet.carry(&udp(68, 67, &bootp(1, client, 1))));
    let broadcast = || Ip4::new(ANY4, ALL4);
    let answer = |source| ether(ALL, OWN, 0x0800, &Ip4::new(source, ALL4).carry(&udp(67, 68, &bootp(2, VICTIM, 5))));
    vec![
        Case { what: "DHCP discover", kind: Kind::Dhcp, frames: vec![ask(broadcast(), OWN)] },
        good(
            "DHCP renewal from the own address",
            packet4(&Ip4::new(OWN4, GATEWAY4).carry(&udp(68, 67, &bootp(1, OWN, 3)))),
        ),
        hostile("DHCP discover for another's MAC", ask(broadcast(), VICTIM)),
        hostile("DHCP discover as a fragment", ask(broadcast().fragment(0x2000), OWN)),
        hostile("DHCP discover to one station", ask(Ip4::new(ANY4, GATEWAY4), OWN)),
        hostile("DHCP discover with a foreign source", ask(Ip4::new(GATEWAY4, ALL4), OWN)),
        hostile(
            "DHCP discover from a wrong port",
            ether(ALL, OWN, 0x0800, &broadcast().carry(&udp(69, 67, &bootp(1, OWN, 1)))),
        ),
        hostile(
            "DHCP discover from a foreign MAC",
            ether(ALL, STRANGER, 0x0800, &broadcast().carry(&udp(68, 67, &bootp(1, STRANGER, 1)))),
        ),
        hostile("DHCP server's answer from the own address", answer(OWN4)),
        hostile("DHCP server's answer from the gateway's address", answer(GATEWAY4)),
        hostile("DHCP server's answer from an address of the own prefix", answer(NET4)),
        hostile(
            "DHCP renewal for another's MAC",
            packet4(&Ip4::new(OWN4, GATEWAY4).carry(&udp(68, 67, &bootp(1, VICTIM, 3)))),
        ),
        hostile(
            "DHCP server's answer behind IP options",
            packet4(&Ip4::new(OWN4, VICTIM4).options(&[1, 1, 1, 0]).carry(&udp(67, 68, &bootp(2, VICTIM, 5)))),
        ),
        hostile(
            "DHCP server's answer in a first fragment",
            packet4(&Ip4::new(OWN4, VICTIM4).fragment(0x2000).carry(&udp(67, 68, &bootp(2, VICTIM, 5)))),
        ),
        hostile(
            "DHCPv6 server's answer behind destination options",
            packet6(&Ip6::new(own_link_local(), VICTIM6).behind(60).carry(&udp(547, 546, &[7, 0, 0, 1]))),
        ),
        hostile(
            "DHCPv6 server's answer in a first fragment",
            packet6(&Ip6::new(own_link_local(), VICTIM6).fragment(0, true).carry(&udp(547, 546, &[7, 0, 0, 1]))),
        ),
        hostile(
            "DHCPv6 server's answer",
            packet6(&Ip6::new(own_link_local(), VICTIM6).carry(&udp(547, 546, &[7, 0, 0, 1]))),
        ),
    ]
}
