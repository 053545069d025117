//! Stations: MAC addresses that are not the guest's, and places in the bridge that are not.

use super::*;

pub(super) fn stations() -> Vec<Case> {
    let from = |mac| ether(VICTIM, mac, 0x0800, &Ip4::new(OWN4, VICTIM4).carry(&data()));
    let probe = icmp6(135, 0, &[&[0; 4][..], &OWN6.octets()].concat());
    let report = icmp6(143, 0, &[&[0, 0, 0, 1, 4, 0, 0, 0][..], &solicited_node(OWN6).octets()].concat());
    let solicit = icmp6(133, 0, &[0; 4]);
    let from_stranger = |packet: &[u8]| ether(ALL, STRANGER, 0x86dd, packet);
    vec![
        hostile("MAC of another guest", "CVE-2025-52890", from(VICTIM)),
        hostile("MAC of the gateway", "IEEE 802.1D-2004 7.8", from(GATEWAY)),
        hostile("MAC of the outside", "IEEE 802.1D-2004 7.8", from(OUTSIDE)),
        hostile("MAC of nobody", "CVE-2016-5363", from(STRANGER)),
        hostile("MAC of a virtual router", "RFC 5798 7.3", from(MacAddr::new([0, 0, 0x5e, 0, 1, 1]))),
        hostile("MAC of a standby router", "RFC 2281", from(MacAddr::new([0, 0, 0x0c, 7, 0xac, 1]))),
        hostile(
            "own MAC with the local bit set",
            "IEEE 802.3-2018 3.2.3",
            from(MacAddr::new([0x02, 0x16, 0x3e, 0, 0, 1])),
        ),
        hostile("MAC of dom0's side of every vif", "IEEE 802.1D-2004 7.8", from(MacAddr::VIF_BACKEND)),
        hostile(
            "foreign MAC, ARP",
            "CVE-2021-38598",
            ether(ALL, STRANGER, 0x0806, &super::arp(1, (OWN, OWN4), (NONE, VICTIM4))),
        ),
        hostile("foreign MAC, neither IP nor ARP", "CVE-2016-5363", ether(ALL, STRANGER, 0x88b6, &[7; 46])),
        hostile(
            "foreign MAC, IPv6",
            "RFC 7039",
            ether(VICTIM, STRANGER, 0x86dd, &Ip6::new(OWN6, VICTIM6).carry(&data())),
        ),
        hostile(
            "foreign MAC, duplicate detection of the own address",
            "RFC 6620",
            from_stranger(&Ip6::new(ANY6, solicited_node(OWN6)).carry(&probe)),
        ),
        hostile(
            "foreign MAC, router solicitation from ::",
            "RFC 4861 6.1.1",
            from_stranger(&Ip6::new(ANY6, ALL_ROUTERS).carry(&solicit)),
        ),
        hostile(
            "foreign MAC, MLDv2 report from ::",
            "RFC 3810 5.2.13",
            from_stranger(&Ip6::new(ANY6, "ff02::16".parse().unwrap()).hops(1).carry(&report)),
        ),
        hostile(
            "foreign MAC to the broadcast address",
            "IEEE 802.1D-2004 7.8",
            ether(ALL, STRANGER, 0x0800, &Ip4::new(OWN4, ALL4).carry(&data())),
        ),
        inert("multicast MAC as source", "IEEE 802.3-2018 3.2.3", from(MacAddr::new([0x01, 0x00, 0x5e, 0, 0, 1]))),
        inert("broadcast MAC as source", "IEEE 802.3-2018 3.2.3", from(ALL)),
        inert("zero MAC as source", "IEEE 802.3-2018 3.2.5", from(NONE)),
    ]
}

/// A frame to a group address of bridges, which they learn from before any filter of theirs sees it.
fn steal(group: u8, ethertype: u16) -> Frame {
    ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, group]), VICTIM, ethertype, &[2, 7, 4, 0, 22, 62, 0, 0, 2, 0, 0])
}

/// Spanning tree's own frame: the configuration of a bridge that claims to be the root.
pub(super) fn bpdu(from: MacAddr) -> Frame {
    let body = [&[0x42, 0x42, 0x03, 0, 0, 0, 0, 0][..], &[0; 31]].concat();
    ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0]), from, body.len() as u16, &body)
}

const RESERVED: &str = "IEEE 802.1Q-2018 Table 8-1";

pub(super) fn thefts() -> Vec<Case> {
    vec![
        hostile("BPDU with a victim's MAC", "IEEE 802.1D-2004 9.3.1", bpdu(VICTIM)),
        inert("honest IPv4 to a group that is reserved for bridges", RESERVED, {
            ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0x0b]), OWN, 0x0800, &Ip4::new(OWN4, VICTIM4).carry(&data()))
        }),
        inert("pause frame with a victim's MAC", "IEEE 802.3-2018 Annex 31B", steal(0x01, 0x8808)),
        hostile("slow protocol to steal a victim's place", "IEEE 802.3-2018 Annex 57A", steal(0x02, 0x8809)),
        hostile("EAPOL to steal a victim's place", "IEEE 802.1X-2010 11.1", steal(0x03, 0x888e)),
        hostile("reserved group 01:80:c2:00:00:04 to steal a place", RESERVED, steal(0x04, 0x88b5)),
        hostile("reserved group 01:80:c2:00:00:05 to steal a place", RESERVED, steal(0x05, 0x88b5)),
        hostile("reserved group 01:80:c2:00:00:06 to steal a place", RESERVED, steal(0x06, 0x88b5)),
        hostile("reserved group 01:80:c2:00:00:07 to steal a place", RESERVED, steal(0x07, 0x88ee)),
        hostile("provider bridges' group to steal a place", RESERVED, steal(0x08, 0x0026)),
        hostile("reserved group 01:80:c2:00:00:09 to steal a place", RESERVED, steal(0x09, 0x88b5)),
        hostile("reserved group 01:80:c2:00:00:0a to steal a place", RESERVED, steal(0x0a, 0x88b5)),
        hostile("reserved group 01:80:c2:00:00:0b to steal a place", RESERVED, steal(0x0b, 0x88b5)),
        hostile("reserved group 01:80:c2:00:00:0c to steal a place", RESERVED, steal(0x0c, 0x88b5)),
        hostile("provider bridges' registration to steal a place", RESERVED, steal(0x0d, 0x88f5)),
        hostile("LLDP to steal a victim's place", "IEEE 802.1AB-2016 7.1", steal(0x0e, 0x88cc)),
        hostile("reserved group 01:80:c2:00:00:0f to steal a place", RESERVED, steal(0x0f, 0x88b5)),
        hostile("registration of groups to steal a place", "IEEE 802.1Q-2018 Table 10-1", steal(0x20, 0x88f6)),
        hostile("registration of VLANs to steal a place", "IEEE 802.1Q-2018 Table 10-1", steal(0x21, 0x88f5)),
        hostile("IPv4 to a reserved group to steal a place", RESERVED, {
            let group = MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0x0e]);
            ether(group, VICTIM, 0x0800, &Ip4::new(VICTIM4, ALL4).carry(&data()))
        }),
    ]
}
