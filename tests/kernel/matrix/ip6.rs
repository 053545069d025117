//! IPv6: sources that are not the guest's, and headers that mislead.

use super::*;

pub(super) fn sources() -> Vec<Case> {
    let from = |text: &str| from6(text.parse().unwrap());
    let foreign = || Ip6::new(GATEWAY6, VICTIM6);
    let later = |from: Ipv6Addr| packet6(&Ip6::new(from, VICTIM6).fragment(64, false).carry(&data()));
    let first = |from: Ipv6Addr| packet6(&Ip6::new(from, VICTIM6).fragment(0, true).carry(&udp(1, 2, &[7; 8])));
    let listener = icmp6(131, 0, &[&[0; 4][..], &solicited_node(VICTIM6).octets()].concat());
    let report2 = icmp6(143, 0, &[&[0, 0, 0, 1, 4, 0, 0, 0][..], &solicited_node(VICTIM6).octets()].concat());
    let authentication = [2, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0];
    vec![
        hostile("IPv6 of the gateway", "RFC 2827", from6(GATEWAY6)),
        hostile("IPv6 of another guest", "CVE-2021-20267", from6(VICTIM6)),
        hostile("IPv6 just before the own prefix", "RFC 2827", from("2001:db8:98:ffff:ffff:ffff:ffff:ffff")),
        hostile("IPv6 just outside of the own prefix", "RFC 2827", from("2001:db8:99:1::")),
        hostile("unique local IPv6", "RFC 4193 4.3", from("fd00::1")),
        hostile("site-local IPv6", "RFC 3879 4", from("fec0::1")),
        hostile("6to4 IPv6 of the gateway", "RFC 3964 4.1", from("2002:a62:6201::1")),
        hostile("link-local IPv6 of another", "CVE-2015-8914", from("fe80::1")),
        hostile("link-local IPv6 of the victim's MAC", "CVE-2015-8914", from6(VICTIM.link_local())),
        hostile("IPv6 from ::, no duplicate detection", "RFC 4291 2.5.2", from6(ANY6)),
        hostile("IPv6 from ::, echo request to all", "RFC 4291 2.5.2", {
            group6(&Ip6::new(ANY6, ALL_NODES), &icmp6(128, 0, &[0, 1, 0, 1]))
        }),
        hostile("IPv6 from ::, MLD report to one station", "RFC 3810 5.2.14", {
            packet6(&Ip6::new(ANY6, VICTIM6).hops(1).carry(&listener))
        }),
        hostile("IPv6 from ::, MLDv2 report to one station", "RFC 3810 5.2.14", {
            packet6(&Ip6::new(ANY6, VICTIM6).hops(1).carry(&report2))
        }),
        hostile("IPv6 loopback address as source", "RFC 4291 2.5.3", from6(Ipv6Addr::LOCALHOST)),
        hostile("IPv6 multicast address as source", "RFC 4291 2.7", from6(ALL_NODES)),
        hostile("IPv4-mapped IPv6", "RFC 4942 2.2", from6(OWN4.to_ipv6_mapped())),
        hostile("IPv4-mapped IPv6 of the gateway", "RFC 4942 2.2", from6(GATEWAY4.to_ipv6_mapped())),
        hostile("IPv4-compatible IPv6", "RFC 4291 2.5.5.1", from("::10.98.98.2")),
        hostile("IPv6 of the victim, to itself", "CVE-1999-0016", {
            packet6(&Ip6::new(VICTIM6, VICTIM6).carry(&tcp(80, 80)))
        }),
        hostile("foreign IPv6, TCP", "RFC 2827", packet6(&foreign().carry(&tcp(1000, 80)))),
        hostile("foreign IPv6, echo request", "RFC 2827", packet6(&foreign().carry(&icmp6(128, 0, &[0, 1, 0, 1])))),
        hostile("foreign IPv6, packet too big", "RFC 8201 6", packet6(&foreign().carry(&icmp6(2, 0, &[0, 0, 5, 0])))),
        hostile(
            "foreign IPv6, unknown protocol",
            "RFC 3692 2.1",
            packet6(&foreign().carry(&Transport::raw(253, b"data"))),
        ),
        hostile("foreign IPv6, nothing behind it", "RFC 8200 4.7", packet6(&foreign().carry(&Transport::raw(59, &[])))),
        hostile(
            "foreign IPv6, encrypted",
            "RFC 4303",
            packet6(&foreign().carry(&Transport::raw(50, &[0, 0, 1, 0, 0, 0, 0, 1]))),
        ),
        hostile(
            "foreign IPv6, MLD report",
            "RFC 2710 3",
            group6(&Ip6::new(VICTIM.link_local(), solicited_node(VICTIM6)).hops(1), &listener),
        ),
        hostile(
            "foreign IPv6, MLDv2 report",
            "RFC 3810 5.2.13",
            group6(&Ip6::new(VICTIM.link_local(), "ff02::16".parse().unwrap()).hops(1), &report2),
        ),
        hostile("foreign IPv6, first fragment", "RFC 7112", first(GATEWAY6)),
        hostile("foreign IPv6, later fragment", "RFC 5722", later(GATEWAY6)),
        hostile("first fragment from ::", "RFC 4291 2.5.2", first(ANY6)),
        hostile("later fragment from ::", "RFC 4291 2.5.2", later(ANY6)),
        hostile("first fragment from another's link-local IPv6", "CVE-2015-8914", first(VICTIM.link_local())),
        hostile("later fragment from another's link-local IPv6", "CVE-2015-8914", later(VICTIM.link_local())),
        hostile("foreign IPv6 in a whole fragment", "RFC 6946", packet6(&foreign().fragment(0, false).carry(&data()))),
        hostile("foreign IPv6 behind hop-by-hop options", "RFC 8200 4.3", packet6(&foreign().behind(0).carry(&data()))),
        hostile(
            "foreign IPv6 behind destination options",
            "RFC 8200 4.6",
            packet6(&foreign().behind(60).carry(&data())),
        ),
        hostile(
            "foreign IPv6 behind a routing header",
            "RFC 8200 4.4",
            packet6(&foreign().extension(43, &[0, 4, 0, 0, 0, 0, 0]).carry(&data())),
        ),
        hostile(
            "foreign IPv6 behind an authentication header",
            "RFC 4302",
            packet6(&foreign().extension(51, &authentication).carry(&data())),
        ),
    ]
}

pub(super) fn headers() -> Vec<Case> {
    let own = || Ip6::new(OWN6, VICTIM6);
    let honest = || own().carry(&data());
    let type0 = [&[2, 0, 1, 0, 0, 0, 0][..], &GATEWAY6.octets()].concat();
    let type2 = [&[2, 2, 1, 0, 0, 0, 0][..], &GATEWAY6.octets()].concat();
    let pim = Transport::raw(103, &[0x20, 0, 0, 0]);
    vec![
        hostile("IPv6 with version 4", "RFC 8200 3", packet6(&with(honest(), 0, &[0x45]))),
        hostile("IPv6 with version 0", "RFC 8200 3", packet6(&with(honest(), 0, &[0x00]))),
        hostile("IPv6 header cut short", "RFC 8200 3", packet6(&honest()[..30])),
        hostile("IPv6 with nothing in it", "RFC 8200 3", packet6(&[])),
        hostile("IPv6 longer than its frame", "RFC 8200 3", packet6(&with(honest(), 4, &[4, 0]))),
        hostile("type 0 routing header", "RFC 5095", packet6(&own().extension(43, &type0).carry(&data()))),
        hostile(
            "type 0 routing header behind destination options",
            "CVE-2007-2242",
            packet6(&own().behind(60).extension(43, &type0).carry(&data())),
        ),
        hostile(
            "type 0 routing header behind another routing header",
            "CVE-2007-2242",
            packet6(&own().extension(43, &type2).extension(43, &type0).carry(&data())),
        ),
        hostile(
            "type 0 routing header before a later fragment",
            "RFC 5095",
            packet6(&own().extension(43, &type0).fragment(64, false).carry(&data())),
        ),
        hostile(
            "type 0 routing header in a first fragment",
            "CVE-2007-2242",
            packet6(&own().fragment(0, true).extension(43, &type0).carry(&udp(1, 2, &[7; 8]))),
        ),
        hostile(
            "header chain that ends in the first fragment",
            "RFC 7112",
            group6(&Ip6::new(own_link_local(), ALL_NODES).fragment(0, true), &Transport::raw(60, &[58, 0, 1, 4])),
        ),
        hostile(
            "first fragment without a transport header",
            "RFC 7112",
            packet6(&own().fragment(0, true).carry(&Transport::raw(17, &[]))),
        ),
        hostile(
            "hop-by-hop options longer than the packet",
            "RFC 8200 4.3",
            packet6(&own().extension(0, &[200, 1, 4, 0, 0, 0, 0]).carry(&data())),
        ),
        hostile(
            "destination options longer than the packet",
            "RFC 8200 4.6",
            packet6(&own().extension(60, &[200, 1, 4, 0, 0, 0, 0]).carry(&data())),
        ),
        hostile("PIM hello over IPv6", "RFC 7761 4.9.2", group6(&Ip6::new(own_link_local(), ALL_NODES).hops(1), &pim)),
        hostile(
            "PIM hello behind destination options",
            "RFC 7761 4.9.2",
            group6(&Ip6::new(own_link_local(), ALL_NODES).hops(1).behind(60), &pim),
        ),
    ]
}
