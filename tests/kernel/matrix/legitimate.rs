//! What a guest needs.

use super::*;

/// An authentication header (RFC 4302) after its first octet: a check value of 4 octets.
const AUTHENTICATION: [u8; 15] = [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0];

/// Two frames that pass together.
fn both(what: &'static str, source: &'static str, frames: [Frame; 2]) -> Case {
    Case { what, source, kind: Kind::Legitimate, frames: frames.to_vec() }
}

/// UDP that fills an IP packet of this size, with its header of this size.
fn filling(packet: usize, header: usize) -> Transport {
    udp(1000, 2000, &vec![7; packet - header - 8])
}

pub(super) fn arp_and_ip4() -> Vec<Case> {
    [arps(), ip4_alone(), ip4_groups()].into_iter().flatten().collect()
}

fn arps() -> Vec<Case> {
    let of = |operation, sender, target| ether(ALL, OWN, 0x0806, &arp(operation, (OWN, sender), target));
    let to_victim = |operation| ether(VICTIM, OWN, 0x0806, &arp(operation, (OWN, OWN4), (VICTIM, VICTIM4)));
    let padded = [arp(1, (OWN, OWN4), (NONE, GATEWAY4)), vec![0; 18]].concat();
    vec![
        good("ARP request", "RFC 826", of(1, OWN4, (NONE, VICTIM4))),
        good("ARP request from the own prefix", "RFC 826", of(1, NET4, (NONE, VICTIM4))),
        good("ARP request in a frame of the least size", "IEEE 802.3-2018 3.2.8", ether(ALL, OWN, 0x0806, &padded)),
        good("ARP request to one station", "RFC 1122 2.3.2.1", to_victim(1)),
        good("ARP reply", "RFC 826", to_victim(2)),
        good("gratuitous ARP", "RFC 5227 2.3", of(1, OWN4, (NONE, OWN4))),
        good("gratuitous ARP reply", "RFC 5227 3", of(2, OWN4, (ALL, OWN4))),
        good("ARP probe of the own address", "RFC 5227 2.1.1", of(1, ANY4, (NONE, OWN4))),
        good("ARP probe within the own prefix", "RFC 5227 2.1.1", of(1, ANY4, (NONE, NET4))),
    ]
}

fn ip4_alone() -> Vec<Case> {
    let own = || Ip4::new(OWN4, VICTIM4);
    let net = || Ip4::new(NET4, VICTIM4);
    let icmp = |kind, code, rest: &[u8]| packet4(&own().carry(&icmp4(kind, code, rest)));
    let quoted = |first: [u8; 4]| [&first[..], &Ip4::new(VICTIM4, OWN4).carry(&udp(1, 2, &[]))].concat();
    let raw = |protocol, bytes: &[u8]| packet4(&own().carry(&Transport::raw(protocol, bytes)));
    vec![
        good("UDP", "RFC 768", from4(OWN4)),
        good("UDP from the own prefix", "RFC 768", from4(NET4)),
        good("UDP from the first address of the own prefix", "RFC 4632 3.1", from4([10, 98, 99, 0].into())),
        good("UDP from the last address of the own prefix", "RFC 4632 3.1", from4([10, 98, 99, 15].into())),
        good("TCP", "RFC 9293", packet4(&own().carry(&tcp(1000, 80)))),
        good("TCP from and to ports of DHCP servers", "RFC 9293", packet4(&own().carry(&tcp(67, 67)))),
        good("UDP from a port that begins like an ICMP redirect", "RFC 768", {
            packet4(&own().carry(&udp(0x0505, 0x0909, b"data")))
        }),
        good("TCP from the own prefix", "RFC 9293", packet4(&net().carry(&tcp(1000, 80)))),
        good("echo request", "RFC 792", icmp(8, 0, &[0, 1, 0, 1])),
        good("echo reply", "RFC 792", icmp(0, 0, &[0, 1, 0, 1])),
        good("echo request from the own prefix", "RFC 792", packet4(&net().carry(&icmp4(8, 0, &[0, 1, 0, 2])))),
        good("port unreachable", "RFC 1122 3.2.2.1", icmp(3, 3, &quoted([0; 4]))),
        good("fragmentation needed", "RFC 1191 4", icmp(3, 4, &quoted([0, 0, 5, 0x78]))),
        good("time exceeded", "RFC 792", icmp(11, 1, &quoted([0; 4]))),
        good("SCTP", "RFC 9260 3", raw(132, &[3, 232, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20])),
        good("IPv4, encrypted", "RFC 4303", raw(50, &[0, 0, 1, 0, 0, 0, 0, 1, 7, 7, 7, 7])),
        good("IPv4 within a tunnel", "RFC 2784", raw(47, &[0, 0, 8, 0, 0x45, 0, 0, 20])),
        good("IPv4 with a harmless option", "RFC 791 3.1", packet4(&own().options(&[1, 1, 1, 0]).carry(&data()))),
        both(
            "IPv4 in two fragments",
            "RFC 791 3.2",
            [
                packet4(&own().fragment(0x2000).carry(&udp(1000, 2000, &[7; 24]))),
                packet4(&own().fragment(4).carry(&Transport::raw(17, &[7; 8]))),
            ],
        ),
        both(
            "IPv4 in two fragments, the later one like a DHCP server's",
            "RFC 791 3.2",
            [
                packet4(&own().fragment(0x2000).carry(&udp(1000, 2000, &[7; 24]))),
                packet4(&own().fragment(4).carry(&Transport::raw(17, &[0, 67, 0, 68, 0, 16, 0, 0]))),
            ],
        ),
        good("IPv4 of the largest size", "RFC 894", packet4(&own().carry(&filling(1500, 20)))),
        good("IPv4 of the largest jumbo size", "RFC 791 3.1", packet4(&own().carry(&filling(9000, 20)))),
    ]
}

fn ip4_groups() -> Vec<Case> {
    let group = |group: [u8; 4], options: &[u8], transport: &Transport| {
        let [_, b, c, d] = group;
        let packet = Ip4::new(OWN4, group.into()).options(options).carry(transport);
        ether(MacAddr::new([1, 0, 0x5e, b & 0x7f, c, d]), OWN, 0x0800, &packet)
    };
    let igmp =
        |kind: u8| Transport { protocol: 2, bytes: vec![kind, 0, 0, 0, 224, 0, 0, 251], checksum: Some((2, false)) };
    let to = |all: [u8; 4]| ether(ALL, OWN, 0x0800, &Ip4::new(OWN4, all.into()).carry(&data()));
    const MDNS: [u8; 4] = [224, 0, 0, 251];
    vec![
        good("IPv4 to the broadcast address", "RFC 919 7", to([255; 4])),
        good("IPv4 to the subnet's broadcast address", "RFC 922 7", to([10, 98, 98, 255])),
        good("multicast DNS", "RFC 6762 3", group(MDNS, &[], &udp(5353, 5353, &[0; 12]))),
        good("link-local name resolution", "RFC 4795 2.1", group([224, 0, 0, 252], &[], &udp(1000, 5355, &[0; 12]))),
        good("IGMPv1 report", "RFC 1112 Appendix I", group(MDNS, &[], &igmp(0x12))),
        good("IGMPv2 report", "RFC 2236 2.1", group(MDNS, &[], &igmp(0x16))),
        good("IGMPv2 report with router alert", "RFC 2236 2", group(MDNS, &[148, 4, 0, 0], &igmp(0x16))),
        good("IGMP leave", "RFC 2236 2.1", group([224, 0, 0, 2], &[], &igmp(0x17))),
        good("IGMPv3 report", "RFC 3376 4.2", group([224, 0, 0, 22], &[], &igmp(0x22))),
        good("IGMPv3 report with router alert", "RFC 3376 4", group([224, 0, 0, 22], &[148, 4, 0, 0], &igmp(0x22))),
    ]
}

pub(super) fn ip6() -> Vec<Case> {
    [ip6_alone(), ip6_behind_headers(), ip6_groups()].into_iter().flatten().collect()
}

fn own6() -> Ip6 {
    Ip6::new(OWN6, VICTIM6).hops(64)
}

fn ip6_alone() -> Vec<Case> {
    let icmp = |kind, code, rest: &[u8]| packet6(&own6().carry(&icmp6(kind, code, rest)));
    let net = || Ip6::new(NET6, VICTIM6);
    let raw = |protocol, bytes: &[u8]| packet6(&own6().carry(&Transport::raw(protocol, bytes)));
    let quoted = |first: [u8; 4]| [&first[..], &Ip6::new(VICTIM6, OWN6).carry(&udp(1, 2, &[]))].concat();
    vec![
        good("IPv6, UDP", "RFC 8200 3", from6(OWN6)),
        good("IPv6 from the own prefix", "RFC 8200 3", from6(NET6)),
        good("IPv6 from the last address of the own prefix", "RFC 4291 2.3", {
            from6("2001:db8:99:0:ffff:ffff:ffff:ffff".parse().unwrap())
        }),
        good("IPv6 from the link-local address", "RFC 4291 2.5.6", from6(own_link_local())),
        good("IPv6, TCP", "RFC 9293", packet6(&own6().carry(&tcp(1000, 80)))),
        good("IPv6, TCP from and to ports of DHCP servers", "RFC 9293", packet6(&own6().carry(&tcp(547, 547)))),
        good("IPv6, UDP from a port that begins like a router advertisement", "RFC 768", {
            packet6(&own6().carry(&udp(0x8600, 0x8900, b"data")))
        }),
        good("IPv6, TCP from the own prefix", "RFC 9293", packet6(&net().carry(&tcp(1000, 80)))),
        good("IPv6, echo request", "RFC 4443 4.1", icmp(128, 0, &[0, 1, 0, 1])),
        good("IPv6, echo reply", "RFC 4443 4.2", icmp(129, 0, &[0, 1, 0, 1])),
        good("echo request from the own IPv6 prefix", "RFC 4443 4.1", {
            packet6(&net().carry(&icmp6(128, 0, &[0, 1, 0, 2])))
        }),
        good("IPv6, port unreachable", "RFC 4443 3.1", icmp(1, 4, &quoted([0; 4]))),
        good("IPv6, packet too big", "RFC 8201 4", icmp(2, 0, &quoted([0, 0, 5, 0]))),
        good("IPv6, time exceeded", "RFC 4443 3.3", icmp(3, 1, &quoted([0; 4]))),
        good("IPv6, parameter problem", "RFC 4443 3.4", icmp(4, 1, &quoted([0, 0, 0, 6]))),
        good("IPv6, SCTP", "RFC 9260 3", raw(132, &[3, 232, 0, 80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 20])),
        good("IPv6, encrypted", "RFC 4303", raw(50, &[0, 0, 1, 0, 0, 0, 0, 1, 7, 7, 7, 7])),
        good("IPv6, nothing behind it", "RFC 8200 4.7", raw(59, &[])),
        both(
            "IPv6 in two fragments",
            "RFC 8200 4.5",
            [
                packet6(&own6().fragment(0, true).carry(&Transport::raw(17, &udp(1000, 2000, &[7; 24]).bytes))),
                packet6(&own6().fragment(32, false).carry(&Transport::raw(17, &[7; 8]))),
            ],
        ),
        both(
            "IPv6 echo request in two fragments",
            "RFC 8200 4.5",
            [
                packet6(&own6().fragment(0, true).carry(&Transport::raw(58, &icmp6(128, 0, &[7; 28]).bytes))),
                packet6(&own6().fragment(32, false).carry(&Transport::raw(58, &[7; 8]))),
            ],
        ),
        good("IPv6, later fragment of destination options", "RFC 8200 4.5", {
            packet6(&own6().fragment(64, false).carry(&Transport::raw(60, &[7; 16])))
        }),
        good("IPv6 in a whole fragment", "RFC 6946", packet6(&own6().fragment(0, false).carry(&data()))),
        good("IPv6 of the largest size", "RFC 2464 2", packet6(&own6().carry(&filling(1500, 40)))),
        good("IPv6 of the largest jumbo size", "RFC 8200 3", packet6(&own6().carry(&filling(9000, 40)))),
    ]
}

fn ip6_behind_headers() -> Vec<Case> {
    let authenticated = |transport: &Transport| packet6(&own6().extension(51, &AUTHENTICATION).carry(transport));
    let encrypted = Transport::raw(50, &[0, 0, 1, 0, 0, 0, 0, 1, 7, 7, 7, 7]);
    vec![
        good("IPv6 behind hop-by-hop options", "RFC 8200 4.3", packet6(&own6().behind(0).carry(&data()))),
        good("IPv6 behind destination options", "RFC 8200 4.6", packet6(&own6().behind(60).carry(&data()))),
        good("IPv6, TCP behind an authentication header", "RFC 4302 3.1", authenticated(&tcp(1000, 80))),
        good("IPv6, UDP behind an authentication header", "RFC 4302 3.1", authenticated(&data())),
        good("IPv6, encrypted and authenticated", "RFC 4301 4.1", authenticated(&encrypted)),
    ]
}

fn ip6_groups() -> Vec<Case> {
    let group = |text: &str| -> Ipv6Addr { text.parse().unwrap() };
    let listener = |kind: u8| icmp6(kind, 0, &[&[0; 4][..], &solicited_node(OWN6).octets()].concat());
    let report2 = icmp6(143, 0, &[&[0, 0, 0, 1, 4, 0, 0, 0][..], &solicited_node(OWN6).octets()].concat());
    let local = |to: &str| Ip6::new(own_link_local(), group(to));
    let once = |from, to| Ip6::new(from, to).hops(1);
    vec![
        good("IPv6 to all nodes", "RFC 4291 2.7.1", group6(&Ip6::new(OWN6, ALL_NODES), &data())),
        good(
            "MLDv1 report before there is an address",
            "RFC 3590",
            group6(&once(ANY6, solicited_node(OWN6)), &listener(131)),
        ),
        good("MLDv1 report", "RFC 2710 3", group6(&once(own_link_local(), solicited_node(OWN6)), &listener(131))),
        good("MLDv1 done", "RFC 2710 3", group6(&once(own_link_local(), ALL_ROUTERS), &listener(132))),
        good(
            "MLDv2 report before there is an address",
            "RFC 3810 5.2.13",
            group6(&once(ANY6, group("ff02::16")), &report2),
        ),
        good(
            "MLDv2 report",
            "RFC 3810 5.2",
            group6(&local("ff02::16").hops(1).extension(0, &[0, 5, 2, 0, 0, 1, 0]), &report2),
        ),
        good("multicast DNS over IPv6", "RFC 6762 3", group6(&local("ff02::fb"), &udp(5353, 5353, &[0; 12]))),
        good("DHCPv6 solicitation", "RFC 8415 18.2.1", group6(&local("ff02::1:2"), &udp(546, 547, &[1, 0, 0, 1]))),
        good("DHCPv6 renewal", "RFC 8415 18.2.4", group6(&local("ff02::1:2"), &udp(546, 547, &[5, 0, 0, 1]))),
    ]
}
