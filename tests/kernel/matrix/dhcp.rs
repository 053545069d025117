//! DHCP: a client asks about itself, and answers nobody.

use super::*;

/// A BOOTP message of this operation with the hardware address of the client.
fn bootp(operation: u8, client: MacAddr, kind: u8) -> Vec<u8> {
    let mut message = vec![operation, 1, 6, 0, 0x12, 0x34, 0x56, 0x78];
    message.extend([0; 20]);
    message.extend(client.octets());
    message.extend([0; 10 + 64 + 128]);
    message.extend([99, 130, 83, 99, 53, 1, kind, 255]);
    message
}

/// The way a client speaks: from its port to the server's.
fn client_says(kind: u8, about: MacAddr) -> Transport {
    udp(68, 67, &bootp(1, about, kind))
}

fn broadcast(packet: &Ip4, transport: &Transport) -> Frame {
    ether(ALL, OWN, 0x0800, &packet.carry(transport))
}

const DISCOVER: u8 = 1;
const REQUEST: u8 = 3;
const DECLINE: u8 = 4;
const RELEASE: u8 = 7;
const INFORM: u8 = 8;

pub(super) fn dhcp() -> Vec<Case> {
    [clients(), servers4(), servers6()].into_iter().flatten().collect()
}

fn clients() -> Vec<Case> {
    let nowhere = || Ip4::new(ANY4, ALL4);
    let from_nowhere = |kind| broadcast(&nowhere(), &client_says(kind, OWN));
    let to_server = |kind| packet4(&Ip4::new(OWN4, GATEWAY4).carry(&client_says(kind, OWN)));
    let bare = |bytes: &[u8], protocol| broadcast(&nowhere(), &Transport::raw(protocol, bytes));
    let discover = client_says(DISCOVER, OWN).bytes;
    vec![
        client("DHCP discover", "RFC 2131 4.4.1", from_nowhere(DISCOVER)),
        client("DHCP request", "RFC 2131 4.3.2", from_nowhere(REQUEST)),
        client("DHCP decline", "RFC 2131 4.4.4", from_nowhere(DECLINE)),
        good("DHCP renewal from the own address", "RFC 2131 4.4.5", to_server(REQUEST)),
        good(
            "DHCP rebinding from the own address",
            "RFC 2131 4.4.5",
            broadcast(&Ip4::new(OWN4, ALL4), &client_says(REQUEST, OWN)),
        ),
        good("DHCP release", "RFC 2131 4.4.6", to_server(RELEASE)),
        good("DHCP inform", "RFC 2131 4.4.3", to_server(INFORM)),
        hostile(
            "DHCP discover for another's MAC",
            "CVE-2016-5362",
            broadcast(&nowhere(), &client_says(DISCOVER, VICTIM)),
        ),
        hostile("DHCP discover for no MAC", "RFC 2131 2", broadcast(&nowhere(), &client_says(DISCOVER, NONE))),
        hostile(
            "DHCP discover as a fragment",
            "RFC 1858",
            broadcast(&nowhere().fragment(0x2000), &client_says(DISCOVER, OWN)),
        ),
        hostile(
            "DHCP discover as a later fragment",
            "RFC 1858",
            broadcast(&nowhere().fragment(0x0010), &client_says(DISCOVER, OWN)),
        ),
        hostile(
            "DHCP discover to one station",
            "RFC 2131 4.4.4",
            broadcast(&Ip4::new(ANY4, GATEWAY4), &client_says(DISCOVER, OWN)),
        ),
        hostile(
            "DHCP discover with a foreign source",
            "RFC 2131 4.4.1",
            broadcast(&Ip4::new(GATEWAY4, ALL4), &client_says(DISCOVER, OWN)),
        ),
        hostile(
            "DHCP discover from a wrong port",
            "RFC 2131 4.1",
            broadcast(&nowhere(), &udp(69, 67, &bootp(1, OWN, DISCOVER))),
        ),
        hostile(
            "DHCP discover of a relay",
            "RFC 1542 4.1",
            broadcast(&nowhere(), &udp(67, 67, &bootp(1, OWN, DISCOVER))),
        ),
        hostile(
            "DHCP discover to a wrong port",
            "RFC 2131 4.1",
            broadcast(&nowhere(), &udp(68, 69, &bootp(1, OWN, DISCOVER))),
        ),
        hostile("DHCP discover over TCP", "RFC 2131 4.1", bare(&discover, 6)),
        hostile("DHCP discover cut before the client's MAC", "RFC 2131 2", bare(&discover[..36], 17)),
        hostile("DHCP discover cut within the client's MAC", "RFC 2131 2", bare(&discover[..40], 17)),
        hostile(
            "DHCP discover from a foreign MAC",
            "CVE-2016-5363",
            ether(ALL, STRANGER, 0x0800, &nowhere().carry(&client_says(DISCOVER, STRANGER))),
        ),
        hostile(
            "DHCP renewal for another's MAC",
            "CVE-2016-5362",
            packet4(&Ip4::new(OWN4, GATEWAY4).carry(&client_says(REQUEST, VICTIM))),
        ),
        hostile(
            "DHCP release for another's MAC",
            "CVE-2016-5362",
            packet4(&Ip4::new(OWN4, GATEWAY4).carry(&client_says(RELEASE, VICTIM))),
        ),
    ]
}

fn servers4() -> Vec<Case> {
    let reply = || bootp(2, VICTIM, 5);
    let answer = |source| broadcast(&Ip4::new(source, ALL4), &udp(67, 68, &reply()));
    let own = || Ip4::new(OWN4, VICTIM4);
    vec![
        hostile("DHCP server's answer from the own address", "RFC 2131 7", answer(OWN4)),
        hostile("DHCP server's answer from the gateway's address", "RFC 2131 7", answer(GATEWAY4)),
        hostile("DHCP server's answer from an address of the own prefix", "RFC 2131 7", answer(NET4)),
        hostile(
            "DHCP server's answer from another port",
            "RFC 2131 4.1",
            broadcast(&Ip4::new(OWN4, ALL4), &udp(1067, 68, &reply())),
        ),
        hostile(
            "DHCP server's answer from the client's port",
            "RFC 2131 4.1",
            packet4(&own().carry(&udp(68, 68, &reply()))),
        ),
        hostile(
            "DHCP server's answer to a relay",
            "RFC 1542 4.1",
            packet4(&own().carry(&udp(67, 67, &bootp(2, OWN, 5)))),
        ),
        hostile(
            "DHCP server's answer behind IP options",
            "RFC 2131 7",
            packet4(&own().options(&[1, 1, 1, 0]).carry(&udp(67, 68, &reply()))),
        ),
        hostile(
            "DHCP server's answer in a first fragment",
            "RFC 1858",
            packet4(&own().fragment(0x2000).carry(&udp(67, 68, &reply()))),
        ),
        hostile(
            "DHCP server's answer longer than its frame",
            "RFC 1812 5.2.2",
            packet4(&with(own().carry(&udp(67, 68, &reply())), 2, &1400_u16.to_be_bytes())),
        ),
        hostile(
            "DHCP server's answer shorter than its header",
            "RFC 1812 5.2.2",
            packet4(&with(own().carry(&udp(67, 68, &reply())), 2, &[0, 12])),
        ),
    ]
}

fn servers6() -> Vec<Case> {
    let own = || Ip6::new(own_link_local(), VICTIM6);
    let reply = |from, to| udp(from, to, &[7, 0, 0, 1]);
    vec![
        hostile("DHCPv6 server's answer", "RFC 7610", packet6(&own().carry(&reply(547, 546)))),
        hostile(
            "DHCPv6 server's answer from an own global address",
            "RFC 7610",
            packet6(&Ip6::new(OWN6, VICTIM6).carry(&reply(547, 546))),
        ),
        hostile("DHCPv6 server's answer from another port", "RFC 8415 7.2", packet6(&own().carry(&reply(1547, 546)))),
        hostile("DHCPv6 relay's message", "RFC 8415 19", packet6(&own().carry(&udp(547, 547, &[12, 0, 0, 1])))),
        hostile(
            "DHCPv6 server's call to ask again",
            "RFC 8415 18.3.11",
            packet6(&own().carry(&udp(547, 546, &[10, 0, 0, 1]))),
        ),
        hostile(
            "DHCPv6 server's answer behind destination options",
            "RFC 7610",
            packet6(&own().behind(60).carry(&reply(547, 546))),
        ),
        hostile(
            "DHCPv6 server's answer behind hop-by-hop options",
            "RFC 7610",
            packet6(&own().behind(0).carry(&reply(547, 546))),
        ),
        hostile(
            "DHCPv6 server's answer in a whole fragment",
            "RFC 6946",
            packet6(&own().fragment(0, false).carry(&reply(547, 546))),
        ),
        hostile(
            "DHCPv6 server's answer in a first fragment",
            "RFC 7610",
            packet6(&own().fragment(0, true).carry(&reply(547, 546))),
        ),
    ]
}
