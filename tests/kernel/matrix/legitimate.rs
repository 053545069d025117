//! What a guest needs.

use super::*;

/// An authentication header (RFC 4302) after its first octet: a check value of 4 octets.
const AUTHENTICATION: [u8; 15] = [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0];

pub(super) fn legitimate() -> Vec<Case> {
    let arp_of = |operation, sender, target| ether(ALL, OWN, 0x0806, &arp(operation, (OWN, sender), target));
    let own4 = || Ip4::new(OWN4, VICTIM4);
    let own6 = || Ip6::new(OWN6, VICTIM6).hops(64);
    let group4 = |group: [u8; 4], transport: &Transport| {
        let [_, b, c, d] = group;
        ether(MacAddr::new([1, 0, 0x5e, b & 0x7f, c, d]), OWN, 0x0800, &Ip4::new(OWN4, group.into()).carry(transport))
    };
    let mdns6 = "ff02::fb".parse().unwrap();
    let listener = |kind: u8| icmp6(kind, 0, &[&[0; 4][..], &solicited_node(OWN6).octets()].concat());
    let report2 = icmp6(143, 0, &[&[0, 0, 0, 1, 4, 0, 0, 0][..], &solicited_node(OWN6).octets()].concat());
    let igmp =
        |kind: u8| Transport { protocol: 2, bytes: vec![kind, 0, 0, 0, 224, 0, 0, 251], checksum: Some((2, false)) };
    let routers: Ipv6Addr = "ff02::16".parse().unwrap();
    let full4 = udp(1000, 2000, &[7; 1500 - 20 - 8]);
    let full6 = udp(1000, 2000, &[7; 1500 - 40 - 8]);
    vec![
        good("ARP request", arp_of(1, OWN4, (NONE, VICTIM4))),
        good("ARP request from the own prefix", arp_of(1, NET4, (NONE, VICTIM4))),
        good("ARP reply", ether(VICTIM, OWN, 0x0806, &arp(2, (OWN, OWN4), (VICTIM, VICTIM4)))),
        good("gratuitous ARP", arp_of(1, OWN4, (NONE, OWN4))),
        good("ARP probe within the own prefix", arp_of(1, ANY4, (NONE, NET4))),
        good("ARP probe of the own address", arp_of(1, ANY4, (NONE, OWN4))),
        good("UDP", from4(OWN4)),
        good("UDP from the own prefix", from4(NET4)),
        good("UDP from the first address of the own prefix", from4([10, 98, 99, 0].into())),
        good("UDP from the last address of the own prefix", from4([10, 98, 99, 15].into())),
        good("TCP", packet4(&own4().carry(&tcp(1000, 80)))),
        good("echo request", packet4(&own4().carry(&icmp4(8, 0, &[0, 1, 0, 1])))),
        good("fragmentation needed", packet4(&own4().carry(&icmp4(3, 4, &[0, 0, 5, 0x78, 0x45, 0, 0, 20])))),
        good("IPv4 with a harmless option", packet4(&own4().options(&[1, 1, 1, 0]).carry(&data()))),
        Case {
            what: "IPv4 in two fragments",
            kind: Kind::Legitimate,
            frames: vec![
                packet4(&own4().fragment(0x2000).carry(&udp(1000, 2000, &[7; 24]))),
                packet4(&own4().fragment(4).carry(&Transport::raw(17, &[7; 8]))),
            ],
        },
        good("IPv4 to the broadcast address", ether(ALL, OWN, 0x0800, &Ip4::new(OWN4, ALL4).carry(&data()))),
        good("multicast DNS", group4([224, 0, 0, 251], &udp(5353, 5353, &[0; 12]))),
        good("IGMPv1 report", group4([224, 0, 0, 251], &igmp(0x12))),
        good("IGMP leave", group4([224, 0, 0, 2], &igmp(0x17))),
        good("IGMPv3 report", group4([224, 0, 0, 22], &igmp(0x22))),
        good("IGMP report", group4([224, 0, 0, 251], &igmp(0x16))),
        good("IPv4 of the largest size", packet4(&own4().carry(&full4))),
        good("IPv6, UDP", from6(OWN6)),
        good("IPv6 from the own prefix", from6(NET6)),
        good("IPv6 from the link-local address", from6(own_link_local())),
        good("IPv6, TCP", packet6(&own6().carry(&tcp(1000, 80)))),
        good("IPv6, echo request", packet6(&own6().carry(&icmp6(128, 0, &[0, 1, 0, 1])))),
        good(
            "IPv6, TCP behind an authentication header",
            packet6(&own6().extension(51, &AUTHENTICATION).carry(&tcp(1000, 80))),
        ),
        good(
            "IPv6, UDP behind an authentication header",
            packet6(&own6().extension(51, &AUTHENTICATION).carry(&data())),
        ),
        good(
            "IPv6, encrypted and authenticated",
            packet6(
                &own6()
                    .extension(51, &AUTHENTICATION)
                    .carry(&Transport::raw(50, &[0, 0, 1, 0, 0, 0, 0, 1, 7, 7, 7, 7])),
            ),
        ),
        good("IPv6, packet too big", packet6(&own6().carry(&icmp6(2, 0, &[0, 0, 5, 0])))),
        Case {
            what: "IPv6 in two fragments",
            kind: Kind::Legitimate,
            frames: vec![
                packet6(&own6().fragment(0, true).carry(&Transport::raw(17, &udp(1000, 2000, &[7; 24]).bytes))),
                packet6(&own6().fragment(32, false).carry(&Transport::raw(17, &[7; 8]))),
            ],
        },
        good("IPv6 behind destination options", packet6(&own6().behind(60).carry(&data()))),
        good(
            "echo request from the own IPv6 prefix",
            packet6(&Ip6::new(NET6, VICTIM6).carry(&icmp6(128, 0, &[0, 1, 0, 2]))),
        ),
        Case {
            what: "IPv6 echo request in two fragments",
            kind: Kind::Legitimate,
            frames: vec![
                packet6(&own6().fragment(0, true).carry(&Transport::raw(58, &icmp6(128, 0, &[7; 28]).bytes))),
                packet6(&own6().fragment(32, false).carry(&Transport::raw(58, &[7; 8]))),
            ],
        },
        good(
            "MLDv1 report before there is an address",
            group6(&Ip6::new(ANY6, solicited_node(OWN6)).hops(1), &listener(131)),
        ),
        good("MLDv1 report", group6(&Ip6::new(own_link_local(), solicited_node(OWN6)).hops(1), &listener(131))),
        good("MLDv2 report before there is an address", group6(&Ip6::new(ANY6, routers).hops(1), &report2)),
        good(
            "MLDv2 report",
            group6(&Ip6::new(own_link_local(), routers).hops(1).extension(0, &[0, 5, 2, 0, 0, 1, 0]), &report2),
        ),
        good("multicast DNS over IPv6", group6(&Ip6::new(own_link_local(), mdns6), &udp(5353, 5353, &[0; 12]))),
        good(
            "DHCPv6 solicitation",
            group6(&Ip6::new(own_link_local(), "ff02::1:2".parse().unwrap()), &udp(546, 547, &[1, 0, 0, 1])),
        ),
        good("IPv6 of the largest size", packet6(&own6().carry(&full6))),
    ]
}
