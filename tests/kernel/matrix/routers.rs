//! What only routers say over IPv6, and the ways to hide it.

use super::*;

fn advertisement() -> Transport {
    icmp6(134, 0, &[64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0])
}

pub(super) fn router_advertisement(source: Ipv6Addr) -> Frame {
    group6(&Ip6::new(source, ALL_NODES), &advertisement())
}

pub(super) fn advertisements() -> Vec<Case> {
    let own = || Ip6::new(own_link_local(), ALL_NODES);
    let hidden = |packet: Ip6| group6(&packet, &advertisement());
    let farewell = icmp6(134, 0, &[64, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let jumbo = own().extension(0, &[0, 0xc2, 4, 0, 0, 0, 24]).carry(&advertisement());
    vec![
        hostile("router advertisement", "RFC 6104", router_advertisement(own_link_local())),
        hostile("router advertisement from an own global address", "CVE-2020-10749", router_advertisement(OWN6)),
        hostile("router advertisement from ::", "RFC 4861 6.1.2", router_advertisement(ANY6)),
        hostile(
            "router advertisement from the gateway's link-local address",
            "RFC 3756 4.2.1",
            router_advertisement(GATEWAY.link_local()),
        ),
        hostile(
            "router advertisement that ends the gateway's",
            "RFC 3756 4.2.2",
            group6(&Ip6::new(GATEWAY.link_local(), ALL_NODES), &farewell),
        ),
        hostile(
            "router advertisement to the victim alone",
            "CVE-2020-10749",
            packet6(&Ip6::new(own_link_local(), VICTIM6).carry(&advertisement())),
        ),
        hostile("router advertisement with hop limit 254", "RFC 4861 6.1.2", hidden(own().hops(254))),
        hostile("router advertisement behind hop-by-hop options", "RFC 7113 2.1", hidden(own().behind(0))),
        hostile(
            "router advertisement behind a router alert",
            "RFC 7113 2.1",
            hidden(own().extension(0, &[0, 5, 2, 0, 0, 1, 0])),
        ),
        hostile("router advertisement behind destination options", "RFC 7113 2.1", hidden(own().behind(60))),
        hostile(
            "router advertisement behind two destination options",
            "RFC 7113 2.1",
            hidden(own().behind(60).behind(60)),
        ),
        hostile(
            "router advertisement behind a routing header",
            "RFC 7113 2.1",
            hidden(own().extension(43, &[0, 4, 0, 0, 0, 0, 0])),
        ),
        hostile(
            "router advertisement behind an authentication header",
            "RFC 4302",
            hidden(own().extension(51, &[2, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0])),
        ),
        hostile("router advertisement behind a whole fragment", "RFC 6980", hidden(own().fragment(0, false))),
        hostile(
            "router advertisement behind two whole fragments",
            "RFC 6980",
            hidden(own().fragment(0, false).fragment(0, false)),
        ),
        hostile("router advertisement in a first fragment", "RFC 7113 2.2", hidden(own().fragment(0, true))),
        hostile(
            "router advertisement in a first fragment behind destination options",
            "RFC 7113 2.2",
            hidden(own().fragment(0, true).behind(60)),
        ),
        hostile(
            "router advertisement in a fragment within a fragment",
            "RFC 6980",
            hidden(own().fragment(0, false).fragment(0, true)),
        ),
        hostile("router advertisement in a jumbogram", "RFC 2675 3", ether(ALL, OWN, 0x86dd, &with(jumbo, 4, &[0, 0]))),
    ]
}

pub(super) fn messages() -> Vec<Case> {
    let own = || Ip6::new(own_link_local(), ALL_NODES);
    let local = |transport: &Transport| group6(&own(), transport);
    let to_victim = |packet: Ip6, transport: &Transport| packet6(&packet.carry(transport));
    let from_own = || Ip6::new(OWN6, VICTIM6);
    let redirect = icmp6(137, 0, &[&[0; 4][..], &OWN6.octets(), &VICTIM6.octets()].concat());
    let query = icmp6(130, 0, &[0x27, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    let query2 = icmp6(130, 0, &[&[0x27, 0x10, 0, 0][..], &[0; 16], &[2, 125, 0, 0]].concat());
    let alert = || own().hops(1).extension(0, &[0, 5, 2, 0, 0, 1, 0]);
    let short = |kind, code| icmp6(kind, code, &[0; 4]);
    vec![
        hostile("ICMPv6 redirect", "RFC 3756 4.2.4", to_victim(Ip6::new(own_link_local(), VICTIM6), &redirect)),
        hostile(
            "ICMPv6 redirect from the gateway's link-local address",
            "RFC 4861 8.1",
            to_victim(Ip6::new(GATEWAY.link_local(), VICTIM6), &redirect),
        ),
        hostile(
            "ICMPv6 redirect behind destination options",
            "RFC 7113 2.1",
            to_victim(Ip6::new(own_link_local(), VICTIM6).behind(60), &redirect),
        ),
        hostile(
            "ICMPv6 redirect in a whole fragment",
            "RFC 6980",
            to_victim(Ip6::new(own_link_local(), VICTIM6).fragment(0, false), &redirect),
        ),
        hostile("MLD query with router alert", "RFC 3810 5.1", group6(&alert(), &query)),
        hostile("MLD query", "RFC 2710 3", group6(&own().hops(1), &query)),
        hostile("MLDv2 query", "RFC 3810 5.1.14", group6(&alert(), &query2)),
        hostile("MLD query from ::", "RFC 3810 5.1.14", group6(&Ip6::new(ANY6, ALL_NODES).hops(1), &query)),
        hostile("MLD query in a first fragment", "RFC 7112", group6(&own().hops(1).fragment(0, true), &query)),
        hostile("multicast router advertisement", "RFC 4286 3", group6(&own().hops(1), &short(151, 20))),
        hostile("multicast router solicitation", "RFC 4286 4", group6(&alert(), &short(152, 0))),
        hostile("multicast router termination", "RFC 4286 5", group6(&alert(), &short(153, 0))),
        hostile("RPL control message", "RFC 6550 6", local(&short(155, 1))),
        hostile("RPL solicitation", "RFC 6550 6.2", local(&icmp6(155, 0, &[0; 2]))),
        hostile("router renumbering", "RFC 2894", local(&icmp6(138, 0, &[0; 12]))),
        hostile("node information query", "RFC 4620 4", local(&icmp6(139, 0, &[0; 12]))),
        hostile("node information reply", "RFC 4620 4", to_victim(from_own(), &icmp6(140, 0, &[0; 12]))),
        hostile("inverse solicitation", "RFC 3122 2.1", local(&icmp6(141, 0, &[0; 4]))),
        hostile("inverse advertisement", "RFC 3122 2.2", local(&icmp6(142, 0, &[0; 4]))),
        hostile("home agent's address", "RFC 6275 6.6", to_victim(from_own(), &icmp6(145, 0, &[0; 4]))),
        hostile("mobile prefix advertisement", "RFC 6275 6.8", to_victim(from_own(), &icmp6(147, 0, &[0; 4]))),
        hostile("certification path advertisement", "RFC 3971 6.4.2", local(&icmp6(149, 0, &[0; 8]))),
        hostile("router advertisement by proxy", "RFC 5568 6.1.2", local(&icmp6(154, 0, &[3, 0, 0, 0]))),
        hostile("locator update", "RFC 6743", to_victim(from_own(), &icmp6(156, 0, &[0; 4]))),
        hostile("duplicate address request", "RFC 6775 4.4", to_victim(from_own(), &icmp6(157, 0, &[0; 28]))),
        hostile("multicast protocol of lossy networks", "RFC 7731", local(&icmp6(159, 0, &[0; 4]))),
        hostile("unknown ICMPv6 error type", "RFC 4443 2.1", to_victim(from_own(), &icmp6(100, 0, &[0; 4]))),
        hostile("unknown ICMPv6 information type", "RFC 4443 2.1", to_victim(from_own(), &icmp6(200, 0, &[0; 4]))),
    ]
}
