//! The fixed part of our tables: sets, chains and rules. Nothing in here depends on a guest; all
//! that does is elements of the sets.
//!
//! What a locked guest may send is in `policy`: one text for all tables that hold guests.

use super::accounts::{self, SENT};
use super::expr::{Base, ETHER_DADDR, IP_DADDR, IP6_DADDR, IP6_HOP_LIMIT, Is, Rule, Verdict};
use super::policy;
use crate::drops::DropReason;
use crate::table::Table;
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
const INET_PROTO: Field = field(12, 1, Origin::Other);
const INET_SERVICE: Field = field(13, 2, Origin::Other);

pub(crate) struct Set {
    pub(crate) name: &'static str,
    pub(crate) key: &'static [Field],
    /// What a map maps to; nothing for a set.
    pub(crate) data: &'static [Field],
    pub(crate) interval: bool,
    /// Filled by the packets themselves.
    pub(crate) dynamic: bool,
    /// Whose elements count the packets that are looked up in it.
    pub(crate) counted: bool,
    pub(crate) comment: &'static str,
}

pub(super) const fn set(name: &'static str, key: &'static [Field], comment: &'static str) -> Set {
    Set { name, key, data: &[], interval: false, dynamic: false, counted: false, comment }
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
        Table::Bridge | Table::Netdev => guests(table),
        Table::Inet => inet(),
        Table::Dom0 => dom0(),
        Table::Untracked => untracked(),
        Table::Forwards => forwards(),
        Table::Accounts | Table::RoutedAccounts => accounts::ruleset(),
    }
}

/// The set whose comment tells the layout of its table.
pub(crate) const fn layout_set(table: Table) -> &'static str {
    match table {
        Table::Bridge | Table::Netdev => GUARDED,
        Table::Inet => NETWORKS,
        Table::Dom0 => SHIELDED,
        Table::Untracked => UNTRACKED,
        Table::Forwards => FORWARDS4,
        Table::Accounts | Table::RoutedAccounts => SENT,
    }
}

/// The reasons for which a table drops.
pub(crate) const fn reasons(table: Table) -> &'static [DropReason] {
    const GUESTS: [DropReason; 8] = [
        DropReason::Mac,
        DropReason::Arp,
        DropReason::Ip4,
        DropReason::Ip6,
        DropReason::Dhcp,
        DropReason::Nd,
        DropReason::EtherType,
        DropReason::Unguarded,
    ];
    match table {
        Table::Bridge => &GUESTS,
        Table::Netdev => GUESTS.split_at(7).0,
        Table::Inet => &[DropReason::Unguarded],
        Table::Dom0 => &[DropReason::Dom0],
        Table::Untracked | Table::Forwards | Table::Accounts | Table::RoutedAccounts => &[],
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
/// Interfaces that are held in the netdev table, by the name under which they are.
pub(crate) const AT_INGRESS: &str = "at_ingress";
pub(crate) const SHIELDED: &str = "shielded";
pub(crate) const SERVICES: &str = "services";
pub(crate) const PINGED: &str = "pinged";
pub(crate) const SOLICITED: &str = "solicited";
pub(crate) const UNTRACKED: &str = "untracked";
pub(crate) const UNTRACKED_MACS: &str = "untracked_macs";
pub(crate) const TRACKED: &str = "tracked";
pub(crate) const FORWARDS4: &str = "forwards4";
pub(crate) const FORWARDS6: &str = "forwards6";
pub(crate) const HAIRPIN4: &str = "hairpin4";
pub(crate) const HAIRPIN6: &str = "hairpin6";
/// The anonymous map of EtherTypes to chains: its name is chosen by the kernel, this is how the
/// rule of the same batch finds it.
pub(crate) const ETHER_TYPE_MAP: (&str, u32) = ("__map%d", 1);
pub(crate) const ETHER_TYPES: [(u16, Verdict); 3] = [
    (ETH_IP, Verdict::Goto("check_ip4")),
    (ETH_ARP, Verdict::Goto("check_arp")),
    (ETH_IP6, Verdict::Goto("check_ip6")),
];

pub(super) const ETH_IP: u16 = libc::ETH_P_IP as u16;
pub(super) const ETH_ARP: u16 = libc::ETH_P_ARP as u16;
pub(super) const ETH_IP6: u16 = libc::ETH_P_IPV6 as u16;

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
        DropReason::Unguarded => "dropped_unguarded",
        DropReason::Dom0 => "dropped_dom0",
    }
}

/// The chain that counts and drops for a reason.
pub(super) const fn drop(reason: DropReason) -> &'static str {
    match reason {
        DropReason::Mac => "drop_mac",
        DropReason::Arp => "drop_arp",
        DropReason::Ip4 => "drop_ip4",
        DropReason::Ip6 => "drop_ip6",
        DropReason::Dhcp => "drop_dhcp",
        DropReason::Nd => "drop_nd",
        DropReason::EtherType => "drop_ethertype",
        DropReason::Unguarded => "drop_unguarded",
        DropReason::Dom0 => "drop_dom0",
    }
}

/// Locked guests. In the bridge's table one chain sees all frames; in the netdev one each interface
/// has a chain of its own, which comes and goes with its guard.
fn guests(table: Table) -> Ruleset {
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
    let (drop_sets, mut chains) = drops(table);
    sets.extend(drop_sets);
    chains.extend(policy::chains());
    if table == Table::Bridge {
        let prerouting = |name, priority, rules| Chain {
            name,
            hook: Some(Hook { kind: "filter", number: NF_PREROUTING, priority }),
            rules,
        };
        let ip6 = || Rule::new().ether_type(ETH_IP6).iifname_in(&[], GUARDED, false);
        chains.extend([
            // The kernel looks for the transport header once for each base chain, and takes what memory held
            // before for an IPv6 header that is still in pages (ipv6_find_hdr in net/ipv6/exthdrs_core.c). Who
            // writes to a header has it out of them: so the next chain sees what is there.
            prerouting(
                "linear",
                FIRST - 1,
                vec![ip6().written_back(IP6_HOP_LIMIT).accept(), ip6().goto(drop(DropReason::Ip6))],
            ),
            // Before everybody else's tables: what we let go on, they may still drop.
            prerouting(
                "prerouting",
                FIRST,
                vec![
                    Rule::new().iifname_in(&[], GUARDED, false).goto("locked"),
                    // A guest's interface that is not locked by its name: renamed, or not made by us.
                    Rule::new().iifgroup(VIF_GROUP).goto(drop(DropReason::Unguarded)),
                ],
            ),
        ]);
    }
    if table == Table::Netdev {
        for chain in &mut chains {
            chain.rules = std::mem::take(&mut chain.rules).into_iter().map(Rule::on_ethernet).collect();
        }
    }
    Ruleset { sets, chains }
}

/// For each reason of a table, the set that counts and the chain that counts and drops.
fn drops(table: Table) -> (Vec<Set>, Vec<Chain>) {
    let counts = |reason: &DropReason| Set {
        dynamic: true,
        ..set(dropped(*reason), &[IFNAME], "frames dropped, counted by interface")
    };
    // Two rules: a full set must not keep the second from dropping.
    let drops = |reason: &DropReason| {
        let rules = vec![Rule::new().count_iifname(dropped(*reason)), Rule::new().verdict(Verdict::Drop)];
        chain(drop(*reason), rules)
    };
    (reasons(table).iter().map(counts).collect(), reasons(table).iter().map(drops).collect())
}

/// The rules of an interface's own chain: what is not held by its name is dropped by its policy.
pub(super) fn ingress_rules() -> Vec<Rule> {
    vec![Rule::new().iifname_in(&[], GUARDED, false).goto("locked")]
}

pub(super) const fn chain(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain { name, hook: None, rules }
}

// linux/netfilter.h, linux/netfilter/nf_tables.h
pub(super) const NF_PREROUTING: u32 = libc::NF_INET_PRE_ROUTING as u32;
const NF_INPUT: u32 = libc::NF_INET_LOCAL_IN as u32;
pub(super) const NF_POSTROUTING: u32 = libc::NF_INET_POST_ROUTING as u32;
/// Where frames come in, in the netdev family.
pub(super) const NF_INGRESS: u32 = 0;
/// Before everybody else's.
pub(super) const FIRST: i32 = -500;

fn inet() -> Ruleset {
    let (drop_sets, mut chains) = drops(Table::Inet);
    let mut sets = vec![
        set(NETWORKS, &[IFNAME], "networks that run, by their bridge"),
        set(AT_INGRESS, &[IFNAME], "interfaces that are held where their frames come in"),
    ];
    sets.extend(drop_sets);
    chains.extend([Chain {
        name: "prerouting",
        hook: Some(Hook { kind: "filter", number: NF_PREROUTING, priority: FIRST }),
        // Bridged interfaces never come by here under their own name, unless their bridge is gone.
        // And from Linux 6.16 on the hook of an interface stays with its name: an interface of a
        // guest that was renamed has none.
        rules: vec![
            Rule::new().iifgroup(VIF_GROUP).iifname_in(&[], AT_INGRESS, true).goto(drop(DropReason::Unguarded)),
        ],
    }]);
    Ruleset { sets, chains }
}

/// The chain of masquerade rules. It comes with the first and goes with the last of them: wherever a
/// chain of type nat is, the kernel tracks all connections.
pub(super) fn masquerading() -> Chain {
    // Source NAT's own place (NF_IP_PRI_NAT_SRC).
    let hook = Hook { kind: "nat", number: NF_POSTROUTING, priority: 100 };
    Chain { name: POSTROUTING, hook: Some(hook), rules: Vec::new() }
}

/// What guests reach on dom0 itself.
fn dom0() -> Ruleset {
    let (drop_sets, mut chains) = drops(Table::Dom0);
    let mut sets = vec![
        set(SHIELDED, &[IFNAME], "interfaces whose guests reach dom0 only as told"),
        set(SERVICES, &[IFNAME, INET_PROTO, INET_SERVICE], "the ports of dom0 that they reach"),
        set(PINGED, &[IFNAME], "those that may ping dom0"),
        set(SOLICITED, &[IFNAME], "those that may ask for a router"),
    ];
    sets.extend(drop_sets);
    let icmp = |kind: u8| {
        Rule::new().nfproto(libc::NFPROTO_IPV4).l4proto(Is::Equal, 1).at((Base::Transport, 0, 1), Is::Equal, &[kind])
    };
    let icmp6 = || Rule::new().nfproto(libc::NFPROTO_IPV6).l4proto(Is::Equal, 58);
    let icmp6_kind = |kind: u8| icmp6().at((Base::Transport, 0, 1), Is::Equal, &[kind]);
    chains.extend([
        chain(
            "shield",
            vec![
                // What dom0 asked for, and what goes wrong with it.
                Rule::new().ct_state(ESTABLISHED | RELATED).accept(),
                // Solicitations and advertisements of neighbours: the way to the gateway.
                icmp6().between((Base::Transport, 0, 1), &[135], &[136]).accept(),
                icmp6_kind(133).iifname_in(&[], SOLICITED, false).accept(),
                icmp(8).iifname_in(&[], PINGED, false).accept(),
                icmp6_kind(128).iifname_in(&[], PINGED, false).accept(),
                Rule::new().iifname_port_in(SERVICES).accept(),
                Rule::new().goto(drop(DropReason::Dom0)),
            ],
        ),
        Chain {
            name: "input",
            hook: Some(Hook { kind: "filter", number: NF_INPUT, priority: FIRST }),
            rules: vec![Rule::new().iifname_in(&[], SHIELDED, false).goto("shield")],
        },
    ]);
    Ruleset { sets, chains }
}

// Bits of `ct state` (NF_CT_STATE_BIT in net/netfilter/nf_conntrack.h).
const ESTABLISHED: u32 = 1 << 1;
const RELATED: u32 = 1 << 2;

fn untracked() -> Ruleset {
    let sets = vec![
        set(UNTRACKED, &[IFNAME], "guests whose connections are not tracked"),
        set(UNTRACKED_MACS, &[ETHER_ADDR], "their addresses"),
        set(TRACKED, &[IFNAME, ETHER_ADDR], "their bridge's own address: what is sent to it is tracked"),
    ];
    let chains = vec![Chain {
        name: "prerouting",
        // After the locks, before bridged packets visit the hooks of IP (NF_BR_PRI_BRNF is 0).
        hook: Some(Hook { kind: "filter", number: NF_PREROUTING, priority: FIRST + 50 }),
        rules: vec![
            Rule::new().iifname_in(&[ETHER_DADDR], TRACKED, false).verdict(Verdict::Return),
            Rule::new().iifname_in(&[], UNTRACKED, false).notrack(),
            Rule::new().ether_daddr_in(UNTRACKED_MACS).notrack(),
        ],
    }];
    Ruleset { sets, chains }
}

/// Ports of dom0 that lead to guests.
fn forwards() -> Ruleset {
    const PORT: &[Field] = &[INET_PROTO, INET_SERVICE];
    const FROM4: &[Field] = &[IFNAME, IFNAME, IPV4_ADDR, INET_PROTO, INET_SERVICE];
    const FROM6: &[Field] = &[IFNAME, IFNAME, IPV6_ADDR, INET_PROTO, INET_SERVICE];
    let sets = vec![
        Set { data: &[IPV4_ADDR, INET_SERVICE], ..set(FORWARDS4, PORT, "where ports of dom0 lead to") },
        Set { data: &[IPV6_ADDR, INET_SERVICE], ..set(FORWARDS6, PORT, "the same for IPv6") },
        set(HAIRPIN4, FROM4, "who reaches such a port from beside its guest"),
        set(HAIRPIN6, FROM6, "the same for IPv6"),
    ];
    // Whatever address of dom0's was meant.
    let lead = |own: bool| {
        let (mut four, mut six) = (Rule::new().nfproto(libc::NFPROTO_IPV4), Rule::new().nfproto(libc::NFPROTO_IPV6));
        if own {
            // What dom0 serves itself by its loopback stays where it is: nobody routes from there.
            four = four.bits(IP_DADDR, &[255, 0, 0, 0], Is::Unequal, &[127, 0, 0, 0]);
            six = six.at(IP6_DADDR, Is::Unequal, &std::net::Ipv6Addr::LOCALHOST.octets());
        }
        let four = four.daddr_is_local().dnat(libc::NFPROTO_IPV4, FORWARDS4);
        vec![four, six.daddr_is_local().dnat(libc::NFPROTO_IPV6, FORWARDS6)]
    };
    // The guest would answer its neighbour directly, from an address that was not asked.
    let hairpin =
        |family: i32, to, set| Rule::new().nfproto(family).was_led().passage_in(to, set).counter().masquerade();
    let nat = |name, number, priority, rules| Chain { name, hook: Some(Hook { kind: "nat", number, priority }), rules };
    let chains = vec![
        nat("prerouting", NF_PREROUTING, DNAT, lead(false)),
        nat("output", NF_OUTPUT, DNAT, lead(true)),
        // Before the subnets' own.
        nat(
            POSTROUTING,
            NF_POSTROUTING,
            99,
            vec![hairpin(libc::NFPROTO_IPV4, IP_DADDR, HAIRPIN4), hairpin(libc::NFPROTO_IPV6, IP6_DADDR, HAIRPIN6)],
        ),
    ];
    Ruleset { sets, chains }
}

const NF_OUTPUT: u32 = libc::NF_INET_LOCAL_OUT as u32;
/// Destination NAT's own place (NF_IP_PRI_NAT_DST).
const DNAT: i32 = -100;
