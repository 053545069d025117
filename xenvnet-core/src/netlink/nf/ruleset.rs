//! The fixed part of our tables: sets, chains and rules. Nothing in here depends on a guest; all
//! that does is elements of the sets.
//!
//! What each rule is there for is in ARCHITECTURE.md ("What a locked guest may send"). Two habits
//! hold everywhere: a rule says what *passes*, and the end of each chain drops; and what is
//! compared is the raw header of the frame, not what the kernel thinks its protocol is.

use super::expr::{
    ARP_DADDR_IP, ARP_SADDR_ETHER, ARP_SADDR_IP, Base, ETHER_SADDR, IP_DADDR, IP_SADDR, IP6_SADDR, Is, Place, Rule,
    Verdict,
};
use crate::drops::DropReason;
use crate::plan::Table;
use crate::vif::VIF_GROUP;
use nix::libc;

/// What a set's key is made of, as nft(8) numbers and sizes its datatypes.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) datatype: u32,
    pub(crate) octets: u32,
    pub(crate) origin: Origin,
}

/// The part of a packet that a field is compared with. nft(8) wants to know where it has no name
/// for that part: without, it could show the table but not load it again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Iifname,
    EtherSaddr,
    /// Octets somewhere behind the start of the transport header: an integer to nft(8).
    Transport(u32),
    Other,
}

const fn field(datatype: u32, octets: u32, origin: Origin) -> Field {
    Field { datatype, octets, origin }
}

pub(crate) const IFNAME: Field = field(41, 16, Origin::Iifname);
const ETHER_ADDR: Field = field(9, 6, Origin::EtherSaddr);
const IPV4_ADDR: Field = field(7, 4, Origin::Other);
const IPV6_ADDR: Field = field(8, 16, Origin::Other);
/// The client's address in a DHCP message stands for all places of a link-layer address.
const RAW_ETHER_ADDR: Field = field(4, 6, Origin::Transport(36));
const RAW_IPV6_ADDR: Field = field(4, 16, Origin::Transport(8));

pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Field],
    pub(crate) interval: bool,
    /// Filled by the packets themselves.
    pub(crate) dynamic: bool,
    pub(crate) comment: &'static str,
}

const fn set(name: &'static str, key: &'static [Field], comment: &'static str) -> Set {
    Set { name, key, interval: false, dynamic: false, comment }
}

pub(crate) struct Hook {
    pub(crate) kind: &'static str,
    pub(crate) number: u32,
    pub(crate) priority: i32,
}

pub(crate) struct Chain {
    pub(crate) name: &'static str,
    pub(crate) hook: Option<Hook>,
    pub(crate) rules: Vec<Rule>,
}

/// One of our tables in full.
pub(crate) struct Ruleset {
    pub(crate) sets: Vec<Set>,
    pub(crate) chains: Vec<Chain>,
}

pub(crate) fn ruleset(table: Table) -> Ruleset {
    match table {
        Table::Filter => filter(),
        Table::Nat => nat(),
    }
}

pub(crate) const GUARDED: &str = "guarded";
pub(crate) const OWN_MAC: &str = "own_mac";
pub(crate) const OWN_DHCP: &str = "own_dhcp";
pub(crate) const OWN_IP4: &str = "own_ip4";
pub(crate) const OWN_IP4NET: &str = "own_ip4net";
pub(crate) const OWN_IP6: &str = "own_ip6";
pub(crate) const OWN_IP6NET: &str = "own_ip6net";
/// The same addresses for parts of a packet that nft(8) has no name for.
pub(crate) const OWN_MAC_RAW: &str = "own_mac_raw";
pub(crate) const OWN_IP6_RAW: &str = "own_ip6_raw";
pub(crate) const OWN_IP6NET_RAW: &str = "own_ip6net_raw";
pub(crate) const NETWORKS: &str = "networks";
pub(crate) const POSTROUTING: &str = "postrouting";
/// The anonymous map of EtherTypes to chains: its name is chosen by the kernel, this is how the
/// rule of the same batch finds it.
pub(crate) const ETHER_TYPE_MAP: (&str, u32) = ("__map%d", 1);
pub(crate) const ETHER_TYPES: [(u16, Verdict); 3] = [
    (ETH_IP, Verdict::Goto("check_ip4")),
    (ETH_ARP, Verdict::Goto("check_arp")),
    (ETH_IP6, Verdict::Goto("check_ip6")),
];

const ETH_IP: u16 = libc::ETH_P_IP as u16;
const ETH_ARP: u16 = libc::ETH_P_ARP as u16;
const ETH_IP6: u16 = libc::ETH_P_IPV6 as u16;

/// The set that counts the drops of a reason.
pub(crate) const fn dropped(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Mac => "dropped_mac",
        DropReason::Arp => "dropped_arp",
        DropReason::Ip4 => "dropped_ip4",
        DropReason::Ip6 => "dropped_ip6",
        DropReason::Dhcp => "dropped_dhcp",
        DropReason::Nd => "dropped_nd",
        DropReason::EtherType => "dropped_ethertype",
    }
}

/// The chain that counts and drops for a reason.
const fn drop(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Mac => "drop_mac",
        DropReason::Arp => "drop_arp",
        DropReason::Ip4 => "drop_ip4",
        DropReason::Ip6 => "drop_ip6",
        DropReason::Dhcp => "drop_dhcp",
        DropReason::Nd => "drop_nd",
        DropReason::EtherType => "drop_ethertype",
    }
}

fn filter() -> Ruleset {
    let mut sets = vec![
        set(GUARDED, &[IFNAME], "interfaces that are held to their lock"),
        set(OWN_MAC, &[IFNAME, ETHER_ADDR], "the MAC addresses of each"),
        set(OWN_DHCP, &[IFNAME, ETHER_ADDR], "those that may ask for an address"),
        set(OWN_IP4, &[IFNAME, ETHER_ADDR, IPV4_ADDR], "the IPv4 addresses of each"),
        Set { interval: true, ..set(OWN_IP4NET, &[IFNAME, ETHER_ADDR, IPV4_ADDR], "the IPv4 prefixes of each") },
        set(OWN_IP6, &[IFNAME, ETHER_ADDR, IPV6_ADDR], "the IPv6 addresses of each"),
        Set { interval: true, ..set(OWN_IP6NET, &[IFNAME, ETHER_ADDR, IPV6_ADDR], "the IPv6 prefixes of each") },
        set(OWN_MAC_RAW, &[IFNAME, RAW_ETHER_ADDR], "own_mac again, for DHCP and neighbour discovery"),
        set(OWN_IP6_RAW, &[IFNAME, ETHER_ADDR, RAW_IPV6_ADDR], "own_ip6 again, for neighbour discovery"),
        Set {
            interval: true,
            ..set(OWN_IP6NET_RAW, &[IFNAME, ETHER_ADDR, RAW_IPV6_ADDR], "own_ip6net again, for neighbour discovery")
        },
    ];
    let mut chains = Vec::new();
    for reason in DropReason::ALL {
        sets.push(Set { dynamic: true, ..set(dropped(reason), &[IFNAME], "frames dropped, counted by interface") });
        // Two rules: a full set must not keep the second from dropping.
        chains.push(chain(
            drop(reason),
            vec![Rule::new().count_iifname(dropped(reason)), Rule::new().verdict(Verdict::Drop)],
        ));
    }
    chains.extend(neighbour_discovery());
    chains.extend(ip6());
    chains.extend(ip4());
    chains.extend(arp());
    chains.push(chain(
        "locked",
        vec![
            Rule::new().iifname_in(&[ETHER_SADDR], OWN_MAC, true).goto(drop(DropReason::Mac)),
            Rule::new().ether_type_map(ETHER_TYPE_MAP.0, ETHER_TYPE_MAP.1),
            Rule::new().goto(drop(DropReason::EtherType)),
        ],
    ));
    chains.push(Chain {
        name: "prerouting",
        // Before everybody else's tables: what we let go on, they may still drop.
        hook: Some(Hook { kind: "filter", number: 0, priority: -500 }),
        rules: vec![
            Rule::new().iifname_in(&[], GUARDED, false).goto("locked"),
            // A guest's interface that is not locked by its name: renamed, or not made by us.
            Rule::new().iifgroup(VIF_GROUP).counter().verdict(Verdict::Drop),
        ],
    });
    Ruleset { sets, chains }
}

fn chain(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain { name, hook: None, rules }
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
                protocol(17).at(transport(0, 2), Is::Equal, &[0, 67]).goto(bad_dhcp),
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
            "check_ip4",
            vec![
                ip().bits(network(0, 1), &[0xf0], Is::Unequal, &[0x40]).goto(bad),
                ip().bits(network(0, 1), &[0x0f], Is::Less, &[5]).goto(bad),
                // Loose and strict source routing.
                ip().ip_option(131).goto(bad),
                ip().ip_option(137).goto(bad),
                ip().at(IP_SADDR, Is::Equal, &[0; 4]).goto("check_dhcp4"),
                own(OWN_IP4).goto("check_ip4_own"),
                own(OWN_IP4NET).goto("check_ip4_own"),
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
                ip6().l4proto(Is::Equal, 103).goto(bad),
                ip6().l4proto(Is::Equal, 51).goto("check_ip6_authenticated"),
                Rule::new().accept(),
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
                ip6().routing_type(0).goto(bad),
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

fn nat() -> Ruleset {
    Ruleset {
        sets: vec![set(NETWORKS, &[IFNAME], "networks that run, by their bridge")],
        chains: vec![Chain {
            name: POSTROUTING,
            // Source NAT's own place (NF_IP_PRI_NAT_SRC).
            hook: Some(Hook { kind: "nat", number: 4, priority: 100 }),
            rules: Vec::new(),
        }],
    }
}
