//! EtherTypes: whatever is not ARP, IPv4 or IPv6 on untagged Ethernet II.

use super::link::bpdu;
use super::routers::router_advertisement;
use super::*;

/// ARP that says that the gateway is here.
fn lie() -> Frame {
    ether(ALL, OWN, 0x0806, &super::arp(2, (OWN, GATEWAY4), (ALL, VICTIM4)))
}

fn advertisement() -> Frame {
    router_advertisement(own_link_local())
}

fn plain(ethertype: u16, payload: &[u8]) -> Frame {
    ether(VICTIM, OWN, ethertype, payload)
}

/// LLC and SNAP before a payload: the long way to say an EtherType (RFC 1042), or a vendor's number.
fn snap(vendor: [u8; 3], protocol: u16, payload: &[u8]) -> Vec<u8> {
    [&[0xaa, 0xaa, 3], &vendor[..], &protocol.to_be_bytes(), payload].concat()
}

fn in_802_3(body: &[u8]) -> Frame {
    plain(body.len() as u16, body)
}

const IETF: [u8; 3] = [0, 0, 0];

pub(super) fn tags() -> Vec<Case> {
    let honest4 = || from4(OWN4);
    let honest6 = || from6(OWN6);
    let in_snap = |frame: &Frame, ethertype| in_802_3(&snap(IETF, ethertype, &frame.bytes()[14..]));
    let liar = |body: &[u8]| plain(body.len() as u16 + 64, body);
    vec![
        hostile("802.1Q, VLAN 5, honest IPv4 inside", "CVE-1999-1129", tagged(&honest4(), 0x8100, 5)),
        hostile("802.1Q, VLAN 0, honest IPv4 inside", "CVE-2021-27853", tagged(&honest4(), 0x8100, 0)),
        hostile("802.1Q, VLAN 0, ARP lie inside", "CVE-2021-27853", tagged(&lie(), 0x8100, 0)),
        hostile("802.1Q, VLAN 0, router advertisement inside", "CVE-2021-27853", tagged(&advertisement(), 0x8100, 0)),
        hostile("802.1Q, VLAN 0, IPv4 of the gateway inside", "CVE-2021-27853", tagged(&from4(GATEWAY4), 0x8100, 0)),
        hostile("802.1Q twice, VLAN 0", "CVE-2021-27853", tagged(&tagged(&lie(), 0x8100, 0), 0x8100, 0)),
        hostile("802.1Q twice, VLAN 5 in 1", "CVE-2005-4440", tagged(&tagged(&honest4(), 0x8100, 5), 0x8100, 1)),
        hostile(
            "802.1Q three times",
            "CVE-2005-4440",
            tagged(&tagged(&tagged(&honest6(), 0x8100, 1), 0x8100, 2), 0x8100, 3),
        ),
        hostile("802.1Q, the reserved VLAN 4095", "IEEE 802.1Q-2018 Table 9-2", tagged(&honest4(), 0x8100, 4095)),
        hostile("802.1Q with priority only", "IEEE 802.1Q-2018 9.6", tagged(&honest4(), 0x8100, 0xe000)),
        hostile("802.1ad, VLAN 0, ARP lie inside", "CVE-2021-27853", tagged(&lie(), 0x88a8, 0)),
        hostile("802.1ad, VLAN 5, honest IPv6 inside", "IEEE 802.1ad-2005 9", tagged(&honest6(), 0x88a8, 5)),
        hostile("802.1ad around 802.1Q", "IEEE 802.1ad-2005 9", tagged(&tagged(&honest4(), 0x8100, 5), 0x88a8, 7)),
        hostile("802.1Q around 802.1ad", "CVE-2021-27853", tagged(&tagged(&lie(), 0x88a8, 0), 0x8100, 0)),
        hostile("old QinQ type 0x9100", "IEEE EtherType 91-00", tagged(&honest4(), 0x9100, 5)),
        hostile(
            "old QinQ type 0x9200",
            "IEEE EtherType 92-00",
            plain(0x9200, &[&[0, 5][..], &honest4().bytes()[12..]].concat()),
        ),
        hostile("802.1Q, VLAN 0, LLC/SNAP carrying ARP", "CVE-2021-27853", tagged(&in_snap(&lie(), 0x0806), 0x8100, 0)),
        hostile(
            "802.1Q, VLAN 0, LLC/SNAP carrying a router advertisement",
            "CVE-2021-27854",
            tagged(&in_snap(&advertisement(), 0x86dd), 0x8100, 0),
        ),
        hostile(
            "802.1Q, VLAN 0, LLC/SNAP with a length that lies",
            "CVE-2021-27861",
            tagged(&liar(&snap(IETF, 0x86dd, &advertisement().bytes()[14..])), 0x8100, 0),
        ),
    ]
}

pub(super) fn lengths() -> Vec<Case> {
    let ra = advertisement();
    vec![
        hostile(
            "LLC/SNAP carrying ARP",
            "CVE-2021-27854",
            in_802_3(&snap(IETF, 0x0806, &super::arp(2, (OWN, GATEWAY4), (ALL, VICTIM4)))),
        ),
        hostile(
            "LLC/SNAP carrying IPv4",
            "RFC 1042",
            in_802_3(&snap(IETF, 0x0800, &Ip4::new(GATEWAY4, VICTIM4).carry(&data()))),
        ),
        hostile("LLC/SNAP carrying IPv6", "CVE-2021-27854", in_802_3(&snap(IETF, 0x86dd, &ra.bytes()[14..]))),
        hostile(
            "LLC/SNAP carrying a tag",
            "CVE-2021-27862",
            in_802_3(&snap(IETF, 0x8100, &tagged(&ra, 0x8100, 0).bytes()[14..])),
        ),
        hostile(
            "LLC/SNAP of a bridge's tunnel",
            "IEEE 802.1H-1997",
            in_802_3(&snap([0, 0, 0xf8], 0x0806, &lie().bytes()[14..])),
        ),
        hostile(
            "LLC/SNAP with a length that is too long",
            "CVE-2021-27861",
            plain(1500, &snap(IETF, 0x86dd, &ra.bytes()[14..])),
        ),
        hostile(
            "LLC/SNAP with a length that is too short",
            "CVE-2021-27862",
            plain(8, &snap(IETF, 0x86dd, &ra.bytes()[14..])),
        ),
        hostile("802.3 length that lies", "CVE-2021-27861", plain(1500, &[0xaa, 0xaa, 3, 0, 0, 0, 8, 0, 0x45, 0])),
        hostile("802.3 length 0 before IPv4", "CVE-2021-27861", plain(0, &Ip4::new(GATEWAY4, VICTIM4).carry(&data()))),
        hostile("type between length and EtherType", "IEEE 802.3-2018 3.2.6", plain(0x05ff, &[0; 46])),
        hostile("LLC, not SNAP", "RFC 948", plain(16, &[0x06, 0x06, 3, 0x45, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        hostile(
            "LLC carrying IS-IS",
            "RFC 1195",
            ether(
                MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0x14]),
                OWN,
                20,
                &[0xfe, 0xfe, 3, 0x83, 27, 1, 0, 15, 1, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0],
            ),
        ),
        hostile("LLC carrying NetBIOS", "IEEE 802.2-1998 3", in_802_3(&[0xf0, 0xf0, 3, 0x2c, 0, 0xff, 0xef, 8, 0, 0])),
        hostile("raw Novell 802.3", "IEEE 802.3-2018 3.2.7", plain(46, &[0xff; 46])),
        hostile("own BPDU", "IEEE 802.1D-2004 9.3.1", bpdu(OWN)),
        hostile(
            "own BPDU that tells of another topology",
            "IEEE 802.1D-2004 9.3.2",
            ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0]), OWN, 7, &[0x42, 0x42, 3, 0, 0, 0, 0x80]),
        ),
        hostile("Cisco discovery", "CVE-2020-3119", cisco(0xcc, 0x2000, &[2, 0xb4, 0, 0])),
        hostile("Cisco trunks of VLANs", "CVE-2006-4774", cisco(0xcc, 0x2003, &[1, 2, 0, 0])),
        hostile("Cisco negotiation of trunks", "RFC 1042", cisco(0xcc, 0x2004, &[1, 0, 2, 0, 5, 3])),
        hostile("Cisco detection of one-way links", "RFC 5171", cisco(0xcc, 0x0111, &[0x21, 0, 0, 0])),
        hostile("Cisco spanning tree per VLAN", "IEEE 802.1D-2004 9", cisco(0xcd, 0x010b, &[0, 0, 2, 2])),
    ]
}

/// A frame of a switch by Cisco to its neighbours.
fn cisco(group: u8, protocol: u16, payload: &[u8]) -> Frame {
    let body = snap([0, 0, 0x0c], protocol, payload);
    ether(MacAddr::new([1, 0, 0x0c, 0xcc, 0xcc, group]), OWN, body.len() as u16, &body)
}

pub(super) fn types() -> Vec<Case> {
    let ping = Ip4::new(OWN4, VICTIM4).carry(&data());
    let inner = from4(GATEWAY4);
    let unknown = |ethertype| plain(ethertype, &[7; 46]);
    vec![
        hostile("PPPoE discovery", "RFC 2516 5", plain(0x8863, &[0x11, 9, 0, 0, 0, 4, 1, 1, 0, 0])),
        hostile("PPPoE session carrying IPv4", "RFC 2516 6", plain(0x8864, &[0x11, 0, 0, 1, 0, 24, 0, 0x21, 0x45])),
        hostile("PPP", "RFC 1661", plain(0x880b, &[&[0, 0x21][..], &ping].concat())),
        hostile("MPLS", "RFC 3032 5", plain(0x8847, &[&[0, 1, 1, 64][..], &ping].concat())),
        hostile("MPLS of the other type", "RFC 5332", plain(0x8848, &[&[0, 1, 1, 64][..], &ping].concat())),
        hostile("EAPOL to the victim itself", "IEEE 802.1X-2010 11", plain(0x888e, &[1, 1, 0, 0])),
        hostile("preauthentication", "IEEE 802.11i-2004", plain(0x88c7, &[1, 1, 0, 0])),
        hostile("LLDP to the victim itself", "IEEE 802.1AB-2016 8", plain(0x88cc, &[2, 7, 4, 0, 22, 62, 0, 0, 1])),
        hostile("MAC control to the victim itself", "IEEE 802.3-2018 31", plain(0x8808, &[0, 1, 0xff, 0xff])),
        hostile("link aggregation to the victim itself", "IEEE 802.1AX-2014 6.4", plain(0x8809, &[1, 1, 1, 20])),
        hostile("MACsec", "IEEE 802.1AE-2018 9", plain(0x88e5, &[0x2c, 0, 0, 0, 0, 1, 0, 0])),
        hostile("provider backbone bridging", "IEEE 802.1ah-2008 9", plain(0x88e7, &[&[0; 4], inner.bytes()].concat())),
        hostile("fault management", "IEEE 802.1ag-2007 21", plain(0x8902, &[0, 1, 4, 70])),
        hostile("registration of VLANs", "IEEE 802.1Q-2018 11.2", plain(0x88f5, &[0, 1, 2, 0])),
        hostile("time of day", "IEEE 1588-2008 Annex F", plain(0x88f7, &[0, 2, 0, 44])),
        hostile("port extension", "IEEE 802.1BR-2012", plain(0x893f, &[&[0; 6], &inner.bytes()[12..]].concat())),
        hostile("TRILL", "RFC 6325 3", plain(0x22f3, &[&[0, 1, 0, 1, 0, 2], inner.bytes()].concat())),
        hostile(
            "service function chain",
            "RFC 8300 2",
            plain(0x894f, &[&[0, 0x42, 1, 1, 0, 0, 1, 255][..], &ping].concat()),
        ),
        hostile("Ethernet within Ethernet", "RFC 1701", plain(0x6558, inner.bytes())),
        hostile("6LoWPAN", "RFC 7973", plain(0xa0ed, &[0x41, 0x60, 0, 0])),
        hostile("compressed TCP/IP", "RFC 1701", unknown(0x876b)),
        hostile("trailer encapsulation", "RFC 893", unknown(0x1001)),
        hostile(
            "wake on LAN",
            "IEEE EtherType 08-42",
            plain(0x0842, &[&[0xff; 6][..], &VICTIM.octets().repeat(16)].concat()),
        ),
        hostile("Ethernet loopback", "IEEE EtherType 90-00", plain(0x9000, &[0, 0, 1, 0, 0, 0])),
        hostile("RARP", "RFC 903", ether(ALL, OWN, 0x8035, &super::arp(3, (OWN, ANY4), (OWN, ANY4)))),
        hostile("frame relay ARP", "RFC 2390 4", unknown(0x0808)),
        hostile("ATA over Ethernet", "IEEE EtherType 88-A2", plain(0x88a2, &[0x10, 0, 0, 0, 1, 0, 0, 0, 0, 0])),
        hostile("Fibre Channel over Ethernet", "IEEE EtherType 89-06", unknown(0x8906)),
        hostile("RDMA over Ethernet", "IEEE EtherType 89-15", unknown(0x8915)),
        hostile("PROFINET", "IEEE EtherType 88-92", unknown(0x8892)),
        hostile("EtherCAT", "IEEE EtherType 88-A4", unknown(0x88a4)),
        hostile("sideband of a network card", "IEEE EtherType 88-F8", unknown(0x88f8)),
        hostile("Novell IPX", "RFC 1701", unknown(0x8137)),
        hostile("AppleTalk", "RFC 1701", unknown(0x809b)),
        hostile("AppleTalk ARP", "IEEE EtherType 80-F3", unknown(0x80f3)),
        hostile("DECnet", "RFC 1701", unknown(0x6003)),
        hostile("DEC remote console", "IEEE EtherType 60-02", unknown(0x6002)),
        hostile("local experimental type", "IEEE 802a-2003", plain(0x88b5, &[0; 46])),
        hostile("type of a vendor's own", "IEEE 802a-2003 (88-B7)", plain(0x88b7, &[0, 0x16, 0x3e, 0, 1, 7])),
        hostile("the last type of all", "RFC 1701", unknown(0xffff)),
        hostile(
            "ARP frame with the type of IPv4",
            "RFC 791 3.1",
            plain(0x0800, &super::arp(2, (OWN, GATEWAY4), (ALL, VICTIM4))),
        ),
        hostile(
            "IPv4 packet with the type of IPv6",
            "RFC 2464 3",
            plain(0x86dd, &Ip4::new(OWN4, VICTIM4).carry(&udp(1, 2, &[0; 40]))),
        ),
        hostile("IPv6 packet with the type of IPv4", "RFC 894", plain(0x0800, &Ip6::new(OWN6, VICTIM6).carry(&data()))),
    ]
}
