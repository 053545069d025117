//! What a locked guest may send, chain by chain: the same for every table that holds guests.
//!
//! What each rule is there for is in ARCHITECTURE.md ("What a locked guest may send"). Two habits
//! hold everywhere: a rule says what *passes*, and the end of each chain drops; and what is
//! compared is the raw header of the frame, not what the kernel thinks its protocol is.

use super::expr::{
    ARP_DADDR_IP, ARP_SADDR_ETHER, ARP_SADDR_IP, Base, ETHER_DADDR, ETHER_SADDR, IP_DADDR, IP_SADDR, IP6_SADDR, Is,
    Place, Rule, Verdict,
};
use super::ruleset::{
    Chain, ETH_ARP, ETH_IP, ETH_IP6, ETHER_TYPE_MAP, OWN_DHCP, OWN_IP4, OWN_IP4NET, OWN_IP6, OWN_IP6_RAW, OWN_IP6NET,
    OWN_IP6NET_RAW, OWN_MAC, OWN_MAC_RAW, chain, drop,
};
use crate::drops::DropReason;

/// The chains that judge a frame; `locked` is where they begin.
pub(super) fn chains() -> Vec<Chain> {
    let mut chains = neighbour_discovery();
    chains.extend(ip6());
    chains.extend(ip4());
    chains.extend(arp());
    chains.push(chain(
        "locked",
        vec![
            Rule::new().iifname_in(&[ETHER_SADDR], OWN_MAC, true).goto(drop(DropReason::Mac)),
            // To the groups reserved for bridges nobody sends what is meant for a guest.
            Rule::new()
                .bits(ETHER_DADDR, &[255, 255, 255, 255, 255, 0xf0], Is::Equal, &[1, 0x80, 0xc2, 0, 0, 0])
                .goto(drop(DropReason::EtherType)),
            Rule::new().ether_type_map(ETHER_TYPE_MAP.0, ETHER_TYPE_MAP.1),
            Rule::new().goto(drop(DropReason::EtherType)),
        ],
    ));
    chains
}

fn network(offset: u32, len: u32) -> Place {
    (Base::Network, offset, len)
}

fn transport(offset: u32, len: u32) -> Place {
    (Base::Transport, offset, len)
}

/// The client's own address in a DHCP message, behind the UDP header (RFC 2131).
const DHCP_CHADDR: Place = (Base::Transport, 36, 6);

fn arp() -> Vec<Chain> {
    let bad = drop(DropReason::Arp);
    let arp = || Rule::new().ether_type(ETH_ARP);
    vec![
        chain(
            "check_arp_sender",
            vec![
                arp().iifname_in(&[ARP_SADDR_ETHER, ARP_SADDR_IP], OWN_IP4, false).accept(),
                arp().iifname_in(&[ARP_SADDR_ETHER, ARP_SADDR_IP], OWN_IP4NET, false).accept(),
                // A probe (RFC 5227) asks for its own address from nowhere.
                arp()
                    .at(network(6, 2), Is::Equal, &[0, 1])
                    .at(ARP_SADDR_IP, Is::Equal, &[0; 4])
                    .iifname_in(&[ARP_SADDR_ETHER, ARP_DADDR_IP], OWN_IP4, false)
                    .accept(),
                arp()
                    .at(network(6, 2), Is::Equal, &[0, 1])
                    .at(ARP_SADDR_IP, Is::Equal, &[0; 4])
                    .iifname_in(&[ARP_SADDR_ETHER, ARP_DADDR_IP], OWN_IP4NET, false)
                    .accept(),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_arp",
            vec![
                // Ethernet, IPv4, lengths 6 and 4; a request or a reply; whole, to its last field.
                arp()
                    .at(network(0, 6), Is::Equal, &[0, 1, 8, 0, 6, 4])
                    .between(network(6, 2), &[0, 1], &[0, 2])
                    .bits(ARP_DADDR_IP, &[0; 4], Is::Equal, &[0; 4])
                    .goto("check_arp_sender"),
                Rule::new().goto(bad),
            ],
        ),
    ]
}

fn ip4() -> Vec<Chain> {
    let (bad, bad_dhcp) = (drop(DropReason::Ip4), drop(DropReason::Dhcp));
    let ip = || Rule::new().ether_type(ETH_IP);
    let protocol = |number: u8| ip().at(network(9, 1), Is::Equal, &[number]);
    let icmp = |kind: u8| protocol(1).at(transport(0, 1), Is::Equal, &[kind]);
    let igmp = |kind: u8| protocol(2).at(transport(0, 1), Is::Equal, &[kind]);
    let own = |set: &str| ip().iifname_in(&[ETHER_SADDR, IP_SADDR], set, false);
    vec![
        chain(
            "check_dhcp4_own",
            vec![
                // A renewal or release speaks for its own sender only.
                ip().iifname_in(&[DHCP_CHADDR], OWN_MAC_RAW, false).accept(),
                Rule::new().goto(bad_dhcp),
            ],
        ),
        chain(
            "check_dhcp4",
            vec![
                // From nowhere: a client's broadcast in one piece, about itself.
                ip().at(IP_DADDR, Is::Equal, &[255; 4])
                    .bits(network(6, 2), &[0x3f, 0xff], Is::Equal, &[0, 0])
                    .l4proto(Is::Equal, 17)
                    .at(transport(0, 4), Is::Equal, &[0, 68, 0, 67])
                    .iifname_in(&[ETHER_SADDR], OWN_DHCP, false)
                    .iifname_in(&[DHCP_CHADDR], OWN_MAC_RAW, false)
                    .accept(),
                protocol(17).at(transport(2, 2), Is::Equal, &[0, 67]).goto(bad_dhcp),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_ip4_own",
            vec![
                // A later fragment has no transport header, whatever it begins with.
                ip().bits(network(6, 2), &[0x1f, 0xff], Is::Unequal, &[0, 0]).accept(),
                // A server answers to the client's port; from which of its own, clients do not ask.
                protocol(17).at(transport(0, 2), Is::Equal, &[0, 67]).goto(bad_dhcp),
                protocol(17).at(transport(2, 2), Is::Equal, &[0, 68]).goto(bad_dhcp),
                protocol(17).at(transport(2, 2), Is::Equal, &[0, 67]).goto("check_dhcp4_own"),
                // Redirects and router discovery (RFC 792, RFC 1256) are for routers.
                icmp(5).goto(bad),
                icmp(9).goto(bad),
                icmp(10).goto(bad),
                // Reports and leaves only; queries, and advertisements of multicast routers
                // (RFC 4286) and PIM hellos, would make the port a router's.
                igmp(0x12).accept(),
                igmp(0x16).accept(),
                igmp(0x17).accept(),
                igmp(0x22).accept(),
                protocol(2).goto(bad),
                protocol(103).goto(bad),
                Rule::new().accept(),
            ],
        ),
        chain(
            "check_ip4_source",
            vec![
                ip().at(IP_SADDR, Is::Equal, &[0; 4]).goto("check_dhcp4"),
                own(OWN_IP4).goto("check_ip4_own"),
                own(OWN_IP4NET).goto("check_ip4_own"),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_ip4",
            vec![
                // A transport header was found: version and lengths are sound. And options of four
                // octets at most: source routing (RFC 791) takes seven, and hides from `ip option`
                // behind anything that the kernel does not parse.
                ip().bits(network(0, 1), &[0x0f], Is::Less, &[7]).l4proto(Is::Unequal, 255).goto("check_ip4_source"),
                Rule::new().goto(bad),
            ],
        ),
    ]
}

fn ip6() -> Vec<Chain> {
    let (bad, bad_nd) = (drop(DropReason::Ip6), drop(DropReason::Nd));
    let ip6 = || Rule::new().ether_type(ETH_IP6);
    let own = |set: &str| ip6().iifname_in(&[ETHER_SADDR, IP6_SADDR], set, false);
    let icmp6 = || ip6().l4proto(Is::Equal, 58);
    // Without a word on the protocol, which the chain is reached by: nft(8) 1.0.6 dies on listing
    // `ah nexthdr`.
    let authenticated = |next: u8| ip6().at(transport(0, 1), Is::Equal, &[next]);
    let kinds = |from: u8, to: u8| match from == to {
        true => icmp6().at(transport(0, 1), Is::Equal, &[from]),
        false => icmp6().between(transport(0, 1), &[from], &[to]),
    };
    // Neighbour discovery counts only directly behind the IPv6 header.
    let discovery = |kind: u8| ip6().at(network(6, 1), Is::Equal, &[58]).at(transport(0, 1), Is::Equal, &[kind]);
    let multicast_report = |from: u8, to: u8| {
        kinds(from, to).at(IP6_SADDR, Is::Equal, &[0; 16]).at(network(24, 2), Is::Equal, &[0xff, 0x02]).accept()
    };
    vec![
        chain("check_ip6_source", vec![own(OWN_IP6).accept(), own(OWN_IP6NET).accept(), Rule::new().goto(bad)]),
        chain(
            "check_ip6_authenticated",
            vec![
                // The kernel looks for the transport header no further than here (RFC 4302).
                authenticated(6).accept(),
                authenticated(17).accept(),
                authenticated(50).accept(),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_ip6_own",
            vec![
                ip6().l4proto(Is::Equal, 17).at(transport(0, 2), Is::Equal, &[0x02, 0x23]).goto(drop(DropReason::Dhcp)),
                ip6().l4proto(Is::Equal, 17).at(transport(2, 2), Is::Equal, &[0x02, 0x22]).goto(drop(DropReason::Dhcp)),
                ip6().l4proto(Is::Equal, 103).goto(bad),
                ip6().l4proto(Is::Equal, 51).goto("check_ip6_authenticated"),
                // What follows the headers is within the packet, or is nothing (RFC 8200, 4.7).
                ip6().bits(transport(0, 1), &[0], Is::Equal, &[0]).accept(),
                ip6().l4proto(Is::Equal, 59).accept(),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_icmp6",
            vec![
                discovery(135).goto("check_nd_solicit"),
                discovery(136).goto("check_nd_advert"),
                discovery(133).goto("check_nd_router_solicit"),
                // Router advertisements and redirects, and any discovery behind other headers.
                kinds(133, 137).goto(bad_nd),
                // A listener reports before it has an address (RFC 3810); nobody else speaks so.
                multicast_report(131, 132),
                multicast_report(143, 143),
                // Errors, echo, listener reports; never a listener query (130) or what a router says.
                kinds(1, 4).goto("check_ip6_source"),
                kinds(128, 129).goto("check_ip6_source"),
                kinds(131, 132).goto("check_ip6_source"),
                kinds(143, 143).goto("check_ip6_source"),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_ip6_transport",
            vec![
                icmp6().goto("check_icmp6"),
                own(OWN_IP6).goto("check_ip6_own"),
                own(OWN_IP6NET).goto("check_ip6_own"),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_ip6_fragment",
            vec![
                // A first fragment is judged like a whole packet, if it holds a transport header.
                ip6().first_fragment().bits(transport(0, 8), &[0; 8], Is::Equal, &[0; 8]).verdict(Verdict::Return),
                ip6().first_fragment().goto(bad),
                Rule::new().goto("check_ip6_source"),
            ],
        ),
        chain(
            "check_ip6",
            vec![
                ip6().bits(network(0, 1), &[0xf0], Is::Unequal, &[0x60]).goto(bad),
                // The kernel tells only the first of several; no guest says what way its packets take.
                ip6().ip6_header(43).goto(bad),
                ip6().ip6_header(44).verdict(Verdict::Jump("check_ip6_fragment")),
                // True of every packet whose transport header the kernel found.
                ip6().l4proto(Is::Unequal, 255).goto("check_ip6_transport"),
                Rule::new().goto(bad),
            ],
        ),
    ]
}

/// Solicitations and advertisements (RFC 4861): from and for own addresses, and any link-layer
/// address in them is the sender's.
fn neighbour_discovery() -> Vec<Chain> {
    let bad = drop(DropReason::Nd);
    let ip6 = || Rule::new().ether_type(ETH_IP6);
    let payload_length = |octets: u8| ip6().at(network(4, 2), Is::Equal, &[0, octets]);
    let target = (Base::Transport, 8, 16);
    let from_own = |set: &str| ip6().iifname_in(&[ETHER_SADDR, IP6_SADDR], set, false);
    let about_own = |set: &str| ip6().iifname_in(&[ETHER_SADDR, target], set, false);
    // Nothing behind the message, or one option of 8 octets with an address of the sender's.
    let option = |length: u8, kind: u8| {
        payload_length(length + 8)
            .at(transport(u32::from(length), 2), Is::Equal, &[kind, 1])
            .iifname_in(&[transport(u32::from(length) + 2, 6)], OWN_MAC_RAW, false)
            .accept()
    };
    let sound = || {
        vec![
            ip6().at(network(7, 1), Is::Unequal, &[255]).goto(bad),
            ip6().at(transport(1, 1), Is::Unequal, &[0]).goto(bad),
        ]
    };
    let from_nowhere = || ip6().at(IP6_SADDR, Is::Equal, &[0; 16]);
    let mut solicit = sound();
    // Is anybody using my address? (RFC 4862, to the solicited-node group)
    solicit.push(
        from_nowhere()
            .at(network(24, 13), Is::Equal, &[0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x01, 0xff])
            .goto("check_nd_probe"),
    );
    solicit.extend([
        from_own(OWN_IP6).goto("check_nd_solicit_option"),
        from_own(OWN_IP6NET).goto("check_nd_solicit_option"),
    ]);
    solicit.push(Rule::new().goto(bad));
    let mut advert = sound();
    // A guest is no router.
    advert.push(ip6().bits(transport(4, 1), &[0x80], Is::Unequal, &[0]).goto(bad));
    advert.extend([
        from_own(OWN_IP6).goto("check_nd_advert_target"),
        from_own(OWN_IP6NET).goto("check_nd_advert_target"),
    ]);
    advert.push(Rule::new().goto(bad));
    let mut router_solicit = sound();
    router_solicit.push(from_nowhere().at(network(4, 2), Is::Equal, &[0, 8]).accept());
    router_solicit.extend([
        from_own(OWN_IP6).goto("check_nd_router_solicit_option"),
        from_own(OWN_IP6NET).goto("check_nd_router_solicit_option"),
    ]);
    router_solicit.push(Rule::new().goto(bad));
    vec![
        chain("check_nd_solicit_option", vec![payload_length(24).accept(), option(24, 1), Rule::new().goto(bad)]),
        chain("check_nd_advert_option", vec![payload_length(24).accept(), option(24, 2), Rule::new().goto(bad)]),
        chain(
            "check_nd_probe_option",
            vec![
                payload_length(24).accept(),
                // A nonce, by which a host knows its own probe (RFC 7527); never an address.
                payload_length(32).at(transport(24, 2), Is::Equal, &[14, 1]).accept(),
                Rule::new().goto(bad),
            ],
        ),
        chain("check_nd_router_solicit_option", vec![payload_length(8).accept(), option(8, 1), Rule::new().goto(bad)]),
        chain(
            "check_nd_probe",
            vec![
                about_own(OWN_IP6_RAW).goto("check_nd_probe_option"),
                about_own(OWN_IP6NET_RAW).goto("check_nd_probe_option"),
                Rule::new().goto(bad),
            ],
        ),
        chain(
            "check_nd_advert_target",
            vec![
                about_own(OWN_IP6_RAW).goto("check_nd_advert_option"),
                about_own(OWN_IP6NET_RAW).goto("check_nd_advert_option"),
                Rule::new().goto(bad),
            ],
        ),
        chain("check_nd_solicit", solicit),
        chain("check_nd_advert", advert),
        chain("check_nd_router_solicit", router_solicit),
    ]
}
