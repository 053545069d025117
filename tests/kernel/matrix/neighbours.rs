//! IPv6 neighbour discovery.

use super::*;

pub(super) fn neighbours() -> Vec<Case> {
    let solicit = |target: Ipv6Addr, option: Vec<u8>| icmp6(135, 0, &[&[0; 4][..], &target.octets(), &option].concat());
    let advertise = |flags: u8, target: Ipv6Addr, option: Vec<u8>| {
        icmp6(136, 0, &[&[flags, 0, 0, 0][..], &target.octets(), &option].concat())
    };
    let to_node = |source, target| Ip6::new(source, solicited_node(target));
    let to_all = |source| Ip6::new(source, ALL_NODES);
    let mac = |kind, mac| nd_option(kind, mac);
    vec![
        hostile(
            "neighbour advertisement for the gateway",
            group6(&to_all(OWN6), &advertise(0x20, GATEWAY6, mac(2, OWN))),
        ),
        hostile(
            "neighbour advertisement for another guest",
            group6(&to_all(own_link_local()), &advertise(0x20, VICTIM6, mac(2, OWN))),
        ),
        hostile(
            "neighbour advertisement from a foreign address",
            group6(&to_all(GATEWAY6), &advertise(0x20, OWN6, mac(2, OWN))),
        ),
        hostile(
            "neighbour advertisement with another's MAC",
            group6(&to_all(OWN6), &advertise(0x20, OWN6, mac(2, VICTIM))),
        ),
        hostile("neighbour advertisement as a router", group6(&to_all(OWN6), &advertise(0xa0, OWN6, mac(2, OWN)))),
        hostile(
            "neighbour advertisement with hop limit 254",
            group6(&to_all(OWN6).hops(254), &advertise(0x20, OWN6, mac(2, OWN))),
        ),
        hostile(
            "neighbour advertisement with two options",
            group6(&to_all(OWN6), &advertise(0x20, OWN6, [mac(2, OWN), mac(2, VICTIM)].concat())),
        ),
        hostile(
            "neighbour advertisement with the wrong option",
            group6(&to_all(OWN6), &advertise(0x20, OWN6, mac(1, OWN))),
        ),
        hostile(
            "neighbour advertisement with code 1",
            group6(&to_all(OWN6), &icmp6(136, 1, &[&[0x20, 0, 0, 0][..], &OWN6.octets()].concat())),
        ),
        hostile(
            "neighbour advertisement behind destination options",
            group6(&to_all(OWN6).behind(60), &advertise(0x20, GATEWAY6, mac(2, OWN))),
        ),
        hostile(
            "neighbour advertisement behind a fragment header",
            group6(&to_all(OWN6).fragment(0, false), &advertise(0x20, GATEWAY6, mac(2, OWN))),
        ),
        hostile(
            "neighbour solicitation with another's MAC",
            group6(&to_node(OWN6, VICTIM6), &solicit(VICTIM6, mac(1, STRANGER))),
        ),
        hostile(
            "neighbour solicitation from a foreign address",
            group6(&to_node(GATEWAY6, VICTIM6), &solicit(VICTIM6, mac(1, OWN))),
        ),
        hostile(
            "neighbour solicitation with hop limit 254",
            group6(&to_node(OWN6, VICTIM6).hops(254), &solicit(VICTIM6, mac(1, OWN))),
        ),
        hostile(
            "duplicate detection of another's address",
            group6(&to_node(ANY6, VICTIM6), &solicit(VICTIM6, Vec::new())),
        ),
        hostile(
            "duplicate detection of the gateway's address",
            group6(&to_node(ANY6, GATEWAY6), &solicit(GATEWAY6, Vec::new())),
        ),
        hostile("duplicate detection with another's MAC", group6(&to_node(ANY6, OWN6), &solicit(OWN6, mac(1, VICTIM)))),
        hostile(
            "router solicitation with another's MAC",
            group6(&Ip6::new(own_link_local(), ALL_ROUTERS), &icmp6(133, 0, &[&[0; 4][..], &mac(1, VICTIM)].concat())),
        ),
        hostile(
            "router solicitation from a foreign address",
            group6(&Ip6::new("fe80::1".parse().unwrap(), ALL_ROUTERS), &icmp6(133, 0, &[0; 4])),
        ),
        hostile(
            "neighbour solicitation with code 1",
            group6(&to_node(OWN6, VICTIM6), &icmp6(135, 1, &[&[0; 4][..], &VICTIM6.octets()].concat())),
        ),
        hostile(
            "router solicitation with hop limit 254",
            group6(&Ip6::new(own_link_local(), ALL_ROUTERS).hops(254), &icmp6(133, 0, &[0; 4])),
        ),
        hostile(
            "router solicitation with code 1",
            group6(&Ip6::new(own_link_local(), ALL_ROUTERS), &icmp6(133, 1, &[0; 4])),
        ),
        good(
            "neighbour solicitation from the own prefix",
            group6(&to_node(NET6, VICTIM6), &solicit(VICTIM6, mac(1, OWN))),
        ),
        good(
            "neighbour advertisement without an option",
            packet6(&Ip6::new(OWN6, VICTIM6).carry(&advertise(0x60, OWN6, Vec::new()))),
        ),
        good(
            "router solicitation without an option",
            group6(&Ip6::new(own_link_local(), ALL_ROUTERS), &icmp6(133, 0, &[0; 4])),
        ),
        good("router solicitation from the own prefix", group6(&Ip6::new(NET6, ALL_ROUTERS), &icmp6(133, 0, &[0; 4]))),
        good("duplicate detection of the own address", group6(&to_node(ANY6, OWN6), &solicit(OWN6, Vec::new()))),
        good(
            "duplicate detection with a nonce",
            group6(&to_node(ANY6, OWN6), &solicit(OWN6, vec![14, 1, 1, 2, 3, 4, 5, 6])),
        ),
        good(
            "duplicate detection of the own link-local address",
            group6(&to_node(ANY6, own_link_local()), &solicit(own_link_local(), Vec::new())),
        ),
        good("duplicate detection within the own prefix", group6(&to_node(ANY6, NET6), &solicit(NET6, Vec::new()))),
        good(
            "neighbour solicitation for the gateway",
            group6(&to_node(OWN6, GATEWAY6), &solicit(GATEWAY6, mac(1, OWN))),
        ),
        good(
            "neighbour solicitation from the link-local address",
            group6(&to_node(own_link_local(), VICTIM6), &solicit(VICTIM6, mac(1, OWN))),
        ),
        good("neighbour unreachability probe", packet6(&Ip6::new(OWN6, VICTIM6).carry(&solicit(VICTIM6, Vec::new())))),
        good("neighbour advertisement, unsolicited", group6(&to_all(OWN6), &advertise(0x20, OWN6, mac(2, OWN)))),
        good(
            "neighbour advertisement, solicited",
            packet6(&Ip6::new(OWN6, VICTIM6).carry(&advertise(0x60, OWN6, mac(2, OWN)))),
        ),
        good(
            "neighbour advertisement within the own prefix",
            packet6(&Ip6::new(NET6, VICTIM6).carry(&advertise(0x60, NET6, mac(2, OWN)))),
        ),
        good(
            "router solicitation",
            group6(&Ip6::new(own_link_local(), ALL_ROUTERS), &icmp6(133, 0, &[&[0; 4][..], &mac(1, OWN)].concat())),
        ),
        good("router solicitation from ::", group6(&Ip6::new(ANY6, ALL_ROUTERS), &icmp6(133, 0, &[0; 4]))),
    ]
}
