//! IPv6 neighbour discovery.

use super::*;

fn solicit(target: Ipv6Addr, option: &[u8]) -> Transport {
    icmp6(135, 0, &[&[0; 4][..], &target.octets(), option].concat())
}

fn advertise(flags: u8, target: Ipv6Addr, option: &[u8]) -> Transport {
    icmp6(136, 0, &[&[flags, 0, 0, 0][..], &target.octets(), option].concat())
}

fn to_node(source: Ipv6Addr, target: Ipv6Addr) -> Ip6 {
    Ip6::new(source, solicited_node(target))
}

fn to_all(source: Ipv6Addr) -> Ip6 {
    Ip6::new(source, ALL_NODES)
}

fn to_routers(source: Ipv6Addr) -> Ip6 {
    Ip6::new(source, ALL_ROUTERS)
}

/// "The link-layer address of who says this is ...", in a solicitation.
fn source(mac: MacAddr) -> Vec<u8> {
    nd_option(1, mac)
}

/// "The link-layer address of who is asked for is ...", in an advertisement.
fn target(mac: MacAddr) -> Vec<u8> {
    nd_option(2, mac)
}

// The flags of an advertisement.
const ROUTER: u8 = 0x80;
const SOLICITED: u8 = 0x40;
const OVERRIDE: u8 = 0x20;

pub(super) fn hostile_discovery() -> Vec<Case> {
    [advertisements(), solicitations(), duplicates()].into_iter().flatten().collect()
}

fn advertisements() -> Vec<Case> {
    let claim = |address, mac| advertise(OVERRIDE, address, &target(mac));
    let own = |option: &[u8]| group6(&to_all(OWN6), &advertise(OVERRIDE, OWN6, option));
    let for_gateway = |packet: Ip6| group6(&packet, &claim(GATEWAY6, OWN));
    vec![
        hostile("neighbour advertisement for the gateway", "RFC 3756 4.1.1", for_gateway(to_all(OWN6))),
        hostile(
            "neighbour advertisement for another guest",
            "CVE-2021-20267",
            group6(&to_all(own_link_local()), &claim(VICTIM6, OWN)),
        ),
        hostile(
            "neighbour advertisement for a link-local address of another",
            "CVE-2021-20267",
            group6(&to_all(OWN6), &claim(GATEWAY.link_local(), OWN)),
        ),
        hostile(
            "neighbour advertisement from a foreign address",
            "RFC 3756 4.1.1",
            group6(&to_all(GATEWAY6), &claim(OWN6, OWN)),
        ),
        hostile("neighbour advertisement from ::", "RFC 4861 7.1.2", group6(&to_all(ANY6), &claim(OWN6, OWN))),
        hostile("neighbour advertisement for a group", "RFC 4861 7.1.2", group6(&to_all(OWN6), &claim(ALL_NODES, OWN))),
        hostile("neighbour advertisement with another's MAC", "RFC 3756 4.1.1", own(&target(VICTIM))),
        hostile(
            "neighbour advertisement as a router",
            "RFC 4861 4.4",
            group6(&to_all(OWN6), &advertise(ROUTER | OVERRIDE, OWN6, &target(OWN))),
        ),
        hostile(
            "neighbour advertisement with hop limit 254",
            "RFC 4861 7.1.2",
            group6(&to_all(OWN6).hops(254), &claim(OWN6, OWN)),
        ),
        hostile(
            "neighbour advertisement with two options",
            "RFC 4861 4.6",
            own(&[target(OWN), target(VICTIM)].concat()),
        ),
        hostile("neighbour advertisement with the wrong option", "RFC 4861 4.4", own(&source(OWN))),
        hostile(
            "neighbour advertisement with an option of no length",
            "RFC 4861 7.1.2",
            own(&[2, 0, 0, 0, 0, 0, 0, 0]),
        ),
        hostile(
            "neighbour advertisement with an option of another length",
            "RFC 4861 4.6.1",
            own(&[&[2, 2][..], &OWN.octets(), &[0; 8]].concat()),
        ),
        hostile("neighbour advertisement cut within its target", "RFC 4861 7.1.2", {
            group6(&to_all(OWN6), &icmp6(136, 0, &[OVERRIDE, 0, 0, 0, 0x20, 1, 0xd, 0xb8]))
        }),
        hostile(
            "neighbour advertisement with code 1",
            "RFC 4861 7.1.2",
            group6(&to_all(OWN6), &icmp6(136, 1, &[&[OVERRIDE, 0, 0, 0][..], &OWN6.octets()].concat())),
        ),
        hostile(
            "neighbour advertisement behind hop-by-hop options",
            "RFC 7113 2.1",
            for_gateway(to_all(OWN6).behind(0)),
        ),
        hostile(
            "neighbour advertisement behind destination options",
            "RFC 7113 2.1",
            for_gateway(to_all(OWN6).behind(60)),
        ),
        hostile(
            "neighbour advertisement behind a fragment header",
            "RFC 6980",
            for_gateway(to_all(OWN6).fragment(0, false)),
        ),
        hostile("neighbour advertisement in a first fragment", "RFC 6980", for_gateway(to_all(OWN6).fragment(0, true))),
    ]
}

fn solicitations() -> Vec<Case> {
    let ask = |packet: Ip6, option: &[u8]| group6(&packet, &solicit(VICTIM6, option));
    let routers =
        |packet: Ip6, code, option: &[u8]| group6(&packet, &icmp6(133, code, &[&[0; 4][..], option].concat()));
    let own = || to_routers(own_link_local());
    let lie = source(STRANGER);
    vec![
        hostile("neighbour solicitation with another's MAC", "RFC 3756 4.1.1", ask(to_node(OWN6, VICTIM6), &lie)),
        hostile(
            "neighbour solicitation from a foreign address",
            "RFC 3756 4.1.1",
            ask(to_node(GATEWAY6, VICTIM6), &source(OWN)),
        ),
        hostile(
            "neighbour solicitation with hop limit 254",
            "RFC 4861 7.1.1",
            ask(to_node(OWN6, VICTIM6).hops(254), &source(OWN)),
        ),
        hostile(
            "neighbour solicitation with code 1",
            "RFC 4861 7.1.1",
            group6(&to_node(OWN6, VICTIM6), &icmp6(135, 1, &[&[0; 4][..], &VICTIM6.octets()].concat())),
        ),
        hostile(
            "neighbour solicitation with an option of no length",
            "RFC 4861 7.1.1",
            ask(to_node(OWN6, VICTIM6), &[1, 0, 0, 0, 0, 0, 0, 0]),
        ),
        hostile(
            "neighbour solicitation with two options",
            "RFC 4861 4.6",
            ask(to_node(OWN6, VICTIM6), &[source(OWN), lie.clone()].concat()),
        ),
        hostile(
            "neighbour solicitation with the wrong option",
            "RFC 4861 4.3",
            ask(to_node(OWN6, VICTIM6), &target(OWN)),
        ),
        hostile(
            "neighbour solicitation with another's MAC, behind destination options",
            "RFC 7113 2.1",
            ask(to_node(OWN6, VICTIM6).behind(60), &lie),
        ),
        hostile(
            "neighbour solicitation with another's MAC, in a whole fragment",
            "RFC 6980",
            ask(to_node(OWN6, VICTIM6).fragment(0, false), &lie),
        ),
        hostile("router solicitation with another's MAC", "RFC 4861 6.1.1", routers(own(), 0, &source(VICTIM))),
        hostile(
            "router solicitation from ::, with a MAC",
            "RFC 4861 6.1.1",
            routers(to_routers(ANY6), 0, &source(OWN)),
        ),
        hostile(
            "router solicitation from a foreign address",
            "RFC 4861 4.1",
            routers(to_routers("fe80::1".parse().unwrap()), 0, &[]),
        ),
        hostile("router solicitation with hop limit 254", "RFC 4861 6.1.1", routers(own().hops(254), 0, &[])),
        hostile("router solicitation with code 1", "RFC 4861 6.1.1", routers(own(), 1, &[])),
        hostile("router solicitation with two options", "RFC 4861 4.6", routers(own(), 0, &source(OWN).repeat(2))),
        hostile(
            "router solicitation behind destination options",
            "RFC 7113 2.1",
            routers(own().behind(60), 0, &source(VICTIM)),
        ),
    ]
}

fn duplicates() -> Vec<Case> {
    let probe = |of: Ipv6Addr| group6(&to_node(ANY6, of), &solicit(of, &[]));
    vec![
        hostile("duplicate detection of another's address", "RFC 3756 4.1.3", probe(VICTIM6)),
        hostile("duplicate detection of the gateway's address", "RFC 3756 4.1.3", probe(GATEWAY6)),
        hostile("duplicate detection of another's link-local address", "RFC 3756 4.1.3", probe(VICTIM.link_local())),
        hostile(
            "duplicate detection just outside of the own prefix",
            "RFC 3756 4.1.3",
            probe("2001:db8:99:1::".parse().unwrap()),
        ),
        hostile(
            "duplicate detection with another's MAC",
            "RFC 4861 7.1.1",
            group6(&to_node(ANY6, OWN6), &solicit(OWN6, &source(VICTIM))),
        ),
        hostile(
            "duplicate detection to one station",
            "RFC 4861 7.1.1",
            packet6(&Ip6::new(ANY6, VICTIM6).carry(&solicit(OWN6, &[]))),
        ),
        hostile("duplicate detection to all", "RFC 4861 7.1.1", group6(&to_all(ANY6), &solicit(OWN6, &[]))),
        hostile(
            "duplicate detection with hop limit 254",
            "RFC 4862 5.4.3",
            group6(&to_node(ANY6, OWN6).hops(254), &solicit(OWN6, &[])),
        ),
        hostile(
            "duplicate detection with a nonce of no length",
            "RFC 7527 4.1",
            group6(&to_node(ANY6, OWN6), &solicit(OWN6, &[14, 0, 1, 2, 3, 4, 5, 6])),
        ),
    ]
}

pub(super) fn discovery() -> Vec<Case> {
    let ask = |from, of, option: &[u8]| group6(&to_node(from, of), &solicit(of, option));
    let answer =
        |from, option: &[u8]| packet6(&Ip6::new(from, VICTIM6).carry(&advertise(SOLICITED | OVERRIDE, from, option)));
    let announce = |packet: Ip6| group6(&packet, &advertise(OVERRIDE, OWN6, &target(OWN)));
    let routers = |from, option: &[u8]| group6(&to_routers(from), &icmp6(133, 0, &[&[0; 4][..], option].concat()));
    let mine = || source(OWN);
    vec![
        good("duplicate detection of the own address", "RFC 4862 5.4.2", ask(ANY6, OWN6, &[])),
        good("duplicate detection with a nonce", "RFC 7527 4.1", ask(ANY6, OWN6, &[14, 1, 1, 2, 3, 4, 5, 6])),
        good("duplicate detection of the own link-local address", "RFC 4862 5.4", ask(ANY6, own_link_local(), &[])),
        good("duplicate detection within the own prefix", "RFC 4862 5.4.2", ask(ANY6, NET6, &[])),
        good("neighbour solicitation for the gateway", "RFC 4861 7.2.2", ask(OWN6, GATEWAY6, &mine())),
        good("neighbour solicitation from the own prefix", "RFC 4861 7.2.2", ask(NET6, VICTIM6, &mine())),
        good(
            "neighbour solicitation from the link-local address",
            "RFC 4861 7.2.2",
            ask(own_link_local(), VICTIM6, &mine()),
        ),
        good(
            "neighbour unreachability probe",
            "RFC 4861 7.3.3",
            packet6(&Ip6::new(OWN6, VICTIM6).carry(&solicit(VICTIM6, &[]))),
        ),
        good("neighbour advertisement, unsolicited", "RFC 4861 7.2.6", announce(to_all(OWN6))),
        good("neighbour advertisement to all routers", "RFC 9131", announce(to_routers(OWN6))),
        good("neighbour advertisement, solicited", "RFC 4861 7.2.4", answer(OWN6, &target(OWN))),
        good("neighbour advertisement without an option", "RFC 4861 4.4", answer(OWN6, &[])),
        good("neighbour advertisement within the own prefix", "RFC 4861 7.2.4", answer(NET6, &target(OWN))),
        good(
            "neighbour advertisement for the link-local address",
            "RFC 4861 7.2.4",
            answer(own_link_local(), &target(OWN)),
        ),
        good("router solicitation", "RFC 4861 6.3.7", routers(own_link_local(), &mine())),
        good("router solicitation without an option", "RFC 4861 4.1", routers(own_link_local(), &[])),
        good("router solicitation from the own prefix", "RFC 4861 4.1", routers(NET6, &[])),
        good("router solicitation from ::", "RFC 4861 6.3.7", routers(ANY6, &[])),
    ]
}
