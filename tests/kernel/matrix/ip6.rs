//! IPv6, without neighbour discovery.

use super::*;

pub(super) fn router_advertisement(source: Ipv6Addr) -> Frame {
    group6(&Ip6::new(source, ALL_NODES), &icmp6(134, 0, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]))
}

pub(super) fn ip6() -> Vec<Case> {
    let own = || Ip6::new(own_link_local(), ALL_NODES);
    let ra = || icmp6(134, 0, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0]);
    let redirect = icmp6(137, 0, &[&[0; 4][..], &OWN6.octets(), &VICTIM6.octets()].concat());
    let query = icmp6(130, 0, &[0x27, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let mapped = Ipv4Addr::new(10, 98, 98, 2).to_ipv6_mapped();
    let type0 = [&[2, 0, 1, 0, 0, 0, 0][..], &GATEWAY6.octets()].concat();
    vec![
        hostile("IPv6 of the gateway", from6(GATEWAY6)),
        hostile("IPv6 of another guest", from6(VICTIM6)),
        hostile("IPv6 just outside of the own prefix", from6("2001:db8:9a::1".parse().unwrap())),
        hostile("unique local IPv6", from6("fd00::1".parse().unwrap())),
        hostile("link-local IPv6 of another", from6("fe80::1".parse().unwrap())),
        hostile("link-local IPv6 of the victim's MAC", from6(VICTIM.link_local())),
        hostile("IPv6 from ::, no duplicate detection", from6(ANY6)),
        hostile("IPv6 loopback address as source", from6(Ipv6Addr::LOCALHOST)),
        hostile("IPv6 multicast address as source", from6(ALL_NODES)),
        hostile("IPv4-mapped IPv6", from6(mapped)),
        hostile("foreign IPv6, TCP", packet6(&Ip6::new(GATEWAY6, VICTIM6).carry(&tcp(1000, 80)))),
        hostile(
            "foreign IPv6, echo request",
            packet6(&Ip6::new(GATEWAY6, VICTIM6).carry(&icmp6(128, 0, &[0, 1, 0, 1]))),
        ),
        hostile("foreign IPv6, first fragment", packet6(&Ip6::new(GATEWAY6, VICTIM6).fragment(0, true).carry(&data()))),
        hostile(
            "foreign IPv6, later fragment",
            packet6(&Ip6::new(GATEWAY6, VICTIM6).fragment(64, false).carry(&data())),
        ),
        hostile(
            "foreign IPv6 behind hop-by-hop options",
            packet6(&Ip6::new(GATEWAY6, VICTIM6).behind(0).carry(&data())),
        ),
        hostile("IPv6 with version 4", {
            let mut packet = Ip6::new(OWN6, VICTIM6).carry(&data());
            packet[0] = 0x45;
            packet6(&packet)
        }),
        hostile("IPv6 header cut short", packet6(&Ip6::new(OWN6, VICTIM6).carry(&data())[..30])),
        hostile("router advertisement", router_advertisement(own_link_local())),
        hostile("router advertisement from an own global address", router_advertisement(OWN6)),
        hostile("router advertisement behind hop-by-hop options", group6(&own().behind(0), &ra())),
        hostile("router advertisement behind destination options", group6(&own().behind(60), &ra())),
        hostile("router advertisement behind two destination options", group6(&own().behind(60).behind(60), &ra())),
        hostile("router advertisement behind a whole fragment", group6(&own().fragment(0, false), &ra())),
        hostile("router advertisement in a first fragment", group6(&own().fragment(0, true), &ra())),
        hostile(
            "header chain that ends in the first fragment",
            group6(&own().fragment(0, true), &Transport::raw(60, &[58, 0, 1, 4])),
        ),
        hostile(
            "first fragment without a transport header",
            packet6(&Ip6::new(OWN6, VICTIM6).fragment(0, true).carry(&Transport::raw(17, &[]))),
        ),
        hostile(
            "router advertisement behind a routing header",
            group6(&own().extension(43, &[0, 4, 0, 0, 0, 0, 0]), &ra()),
        ),
        hostile("type 0 routing header", packet6(&Ip6::new(OWN6, VICTIM6).extension(43, &type0).carry(&data()))),
        hostile("ICMPv6 redirect", packet6(&Ip6::new(own_link_local(), VICTIM6).carry(&redirect))),
        hostile("PIM hello over IPv6", group6(&own().hops(1), &Transport::raw(103, &[0x20, 0, 0, 0]))),
        hostile(
            "router advertisement behind an authentication header",
            group6(&own().extension(51, &[2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0]), &ra()),
        ),
        hostile("MLD query with router alert", group6(&own().hops(1).extension(0, &[0, 5, 2, 0, 0, 1, 0]), &query)),
        hostile("MLD query", group6(&own().hops(1), &query)),
        hostile("multicast router advertisement", group6(&own().hops(1), &icmp6(151, 20, &[0, 0, 0, 0]))),
        hostile("RPL control message", group6(&own(), &icmp6(155, 1, &[0; 4]))),
        hostile("router renumbering", group6(&own(), &icmp6(138, 0, &[0; 12]))),
        hostile("unknown ICMPv6 error type", packet6(&Ip6::new(OWN6, VICTIM6).carry(&icmp6(100, 0, &[0; 4])))),
    ]
}
