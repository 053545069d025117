//! Row 4, `network-route` and `vif-route`: guests with addresses of the LAN, each behind an interface
//! of its own, found there because dom0 answers for them.

use super::lan::{DOM0, FAR, Image, Lan, ROUTER};
use crate::matrix::solicited_node;
use crate::proof::{name, wait_for};
use std::net::Ipv6Addr;
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, DropReason, Finding, IfName, Lock, MacAddr, Severity};
use xenvnet_tests::{FakeVif, Frame, Ip6, ether, hears_from, icmp6, ip, ip_json, nd_option, nft, sysctl, sysctl_set};

/// Addresses of a guest in the LAN of dom0's uplink.
const GUEST: [&str; 2] = ["192.0.2.77", "2001:db8:f::77"];

/// A guest that speaks by a gateway alone: to it, the LAN is as far as the world. With its lock.
fn silent(lan: &Lan, vif: &str) -> (FakeVif, Antispoof) {
    let (guest, mut lock) = lan.guest(vif, &[]);
    guest.guest.within(|| {
        for (address, gateway) in GUEST.into_iter().zip(DOM0) {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("addr add {address} dev eth0{nodad}"));
            ip(&format!("route add {gateway} dev eth0"));
            ip(&format!("route add default via {gateway}"));
        }
    });
    for address in GUEST {
        lock = lock.ip(address.parse().unwrap());
    }
    (guest, lock)
}

/// To be attached with dom0's own addresses as its gateways.
fn by_dom0(vif: IfName, lock: &Antispoof) -> Attachment {
    let gateways = DOM0.map(|gateway| gateway.parse().unwrap());
    gateways.into_iter().fold(Attachment::routed(vif, lock.clone()), Attachment::gateway)
}

fn routed(lan: &Lan, vif: &str) -> (FakeVif, Attachment) {
    let (guest, lock) = silent(lan, vif);
    let attachment = by_dom0(guest.name, &lock);
    (guest, attachment)
}

#[test]
fn row_04_network_route_leads_guests_out_and_back_with_their_own_addresses() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    lan.starts("network-route");
    let (guest, attachment) = routed(&lan, "vif1.0");
    lan.host().attach_vif(&attachment).unwrap();
    guest.wait_for_carrier();
    let own = lan.dom0.namespace();
    for (n, address) in GUEST.into_iter().enumerate() {
        let seen_as = Some(address.parse().unwrap());
        assert_eq!(hears_from(&own, DOM0[n], &guest.guest), seen_as, "dom0 hears the guest");
        assert!(hears_from(&guest.guest, address, &own).is_some(), "the guest hears dom0");
    }
    // IPv4: dom0 answers the router's ARP request for whatever it routes elsewhere.
    assert_eq!(hears_from(&lan.router.guest, ROUTER[0], &guest.guest), Some(GUEST[0].parse().unwrap()));
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &guest.guest), Some(GUEST[0].parse().unwrap()));
    assert_eq!(hears_from(&guest.guest, GUEST[0], &lan.router.guest), Some(ROUTER[0].parse().unwrap()));
    lan.host().detach_vif(guest.name).unwrap();
    ip("link del vif1.0");
    lan.stops("network-route");
    Image::take().assert_same(&before, "after the guest went and the network stopped");
}

/// The old script failed for IPv6, and nobody answered for such a guest.
#[test]
fn neighbours_on_the_lan_find_a_guest_by_proxy_ndp() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-route");
    let (guest, attachment) = routed(&lan, "vif1.0");
    lan.host().attach_vif(&attachment).unwrap();
    guest.wait_for_carrier();
    assert_eq!(hears_from(&lan.router.guest, FAR[1], &guest.guest), Some(GUEST[1].parse().unwrap()));
    assert_eq!(hears_from(&guest.guest, GUEST[1], &lan.router.guest), Some(ROUTER[1].parse().unwrap()));
    // Whom dom0 routes to it need not look for, and nobody can be in its place.
    let pinned = ip_json("neigh show dev vif1.0 nud permanent");
    let pinned = pinned.as_array().unwrap().iter().map(|entry| (entry["dst"].as_str().unwrap(), &entry["lladdr"]));
    let mac = guest.mac.to_string().into();
    assert_eq!(pinned.collect::<std::collections::BTreeMap<_, _>>(), GUEST.map(|address| (address, &mac)).into());
    let proxies = ip_json("-6 neigh show proxy");
    assert_eq!((&proxies[0]["dst"], &proxies[0]["dev"]), (&GUEST[1].into(), &"eth0".into()), "{proxies}");
    lan.host().detach_vif(guest.name).unwrap();
    assert_eq!(ip_json("-6 neigh show proxy"), serde_json::json!([]), "nobody answers for a guest that is gone");
}

#[test]
fn the_gateway_of_a_routed_guest_is_dom0s_own_address() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-route");
    let (guest, lock) = silent(&lan, "vif1.0");
    // Nothing is said of a gateway.
    lan.host().attach_vif(&Attachment::routed(guest.name, lock)).unwrap();
    guest.wait_for_carrier();
    for (n, address) in GUEST.into_iter().enumerate() {
        assert_eq!(hears_from(&lan.dom0.namespace(), DOM0[n], &guest.guest), Some(address.parse().unwrap()));
    }
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &guest.guest), Some(GUEST[0].parse().unwrap()));
    let addresses = ip_json("addr show dev vif1.0");
    let own = addresses[0]["addr_info"].as_array().unwrap().iter();
    let own: Vec<_> = own.map(|address| (address["local"].clone(), address["prefixlen"].clone())).collect();
    assert!(own.contains(&(DOM0[0].into(), 32.into())), "{own:?}");
    assert!(own.contains(&(DOM0[1].into(), 128.into())), "{own:?}");
    // A guest that believes the LAN is on its link finds it there, too.
    assert_eq!(sysctl("ipv4/conf/vif1.0/proxy_arp"), "1");
    guest.guest.within(|| {
        ip("addr flush dev eth0");
        ip("addr add 192.0.2.77/24 dev eth0");
    });
    assert_eq!(hears_from(&lan.router.guest, ROUTER[0], &guest.guest), Some(GUEST[0].parse().unwrap()));
}

/// Of a guest with an emulated card, dom0 uses the tap until its driver unplugs it.
#[test]
fn the_route_by_the_tap_comes_before_that_by_the_vif() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-route");
    let (vif, lock) = silent(&lan, "vif1.0");
    let tap = lan.dom0.guest("vif1.0-emu", &vif.mac.to_string());
    lan.host().attach_vif(&by_dom0(vif.name, &lock)).unwrap();
    lan.host().attach_vif(&by_dom0(tap.name, &lock)).unwrap();
    let metrics = |family: &str, address: &str| {
        let routes = ip_json(&format!("{family} route show {address}"));
        let mut metrics: Vec<_> =
            routes.as_array().unwrap().iter().map(|r| (r["metric"].clone(), r["dev"].clone())).collect();
        metrics.sort_by_key(|(metric, _)| metric.as_u64());
        metrics
    };
    let both = [(1.into(), "vif1.0-emu".into()), (2.into(), "vif1.0".into())];
    assert_eq!(metrics("-4", GUEST[0]), both);
    assert_eq!(metrics("-6", GUEST[1]), both);
    ip("link del vif1.0-emu");
    assert_eq!(metrics("-4", GUEST[0]), both[1..]);
}

/// The scripts asked the uplink for its address before they let go of a guest, and died without one.
#[test]
fn a_guest_goes_even_when_the_uplink_has_lost_its_addresses_or_is_gone() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-route");
    for what in ["addr flush dev eth0", "link del eth0"] {
        let (guest, attachment) = routed(&lan, "vif1.0");
        lan.host().attach_vif(&attachment).unwrap();
        ip(what);
        lan.host().detach_vif(guest.name).unwrap();
        let link = &ip_json("addr show dev vif1.0")[0];
        assert_eq!(link["addr_info"], serde_json::json!([]), "after {what}");
        assert!(!link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"), "after {what}");
        assert!(!ip("route show table all").contains("vif1.0"), "after {what}");
        ip("link del vif1.0");
    }
    lan.stops("network-route netdev=eth0");
    assert!(lan.host().snapshot().unwrap().networks.is_empty());
    assert_eq!(sysctl("ipv4/ip_forward"), "0");
}

#[test]
fn without_ipv6_nothing_of_ipv6_is_turned_on() {
    let Some(lan) = Lan::enter() else { return };
    let six = || {
        let all = ["all/forwarding", "eth0/forwarding", "eth0/proxy_ndp", "eth0/accept_ra"];
        all.map(|setting| sysctl(&format!("ipv6/conf/{setting}")))
    };
    let before = six();
    lan.starts("network-route ipv6=no");
    assert_eq!(six(), before);
    assert_eq!(sysctl("ipv4/conf/eth0/proxy_arp"), "1");
    lan.stops("network-route");
    // Unless told, where the uplink has an address of it.
    ip("-6 addr flush dev eth0");
    lan.starts("network-route");
    assert_eq!(six(), before);
    lan.stops("network-route");
    lan.starts("network-route ipv6=yes");
    assert_ne!(six(), before);
}

/// The rules of the old scripts never matched: with a policy of ACCEPT a routed guest lied as it liked.
#[test]
fn a_routed_guest_cannot_lie_while_everything_forwarded_is_accepted() {
    let Some(lan) = Lan::enter() else { return };
    nft("table ip filter { chain FORWARD { type filter hook forward priority 0; policy accept; }; }");
    lan.starts("network-route");
    let (guest, attachment) = routed(&lan, "vif1.0");
    lan.host().attach_vif(&attachment).unwrap();
    guest.wait_for_carrier();
    assert_eq!(hears_from(&lan.router.guest, ROUTER[0], &guest.guest), Some(GUEST[0].parse().unwrap()));
    let ear = lan.router.raw();
    guest.guest.within(|| {
        ip("addr add 192.0.2.66/32 dev eth0");
        ip("route replace default via 192.0.2.1 src 192.0.2.66");
        let mouth = std::net::UdpSocket::bind("192.0.2.66:0").unwrap();
        mouth.send_to(b"a lie", (ROUTER[0], 9)).unwrap();
    });
    let lies = || {
        let drops = lan.host().snapshot().unwrap().drops;
        drops.iter().filter(|drops| drops.reason == DropReason::Ip4).map(|drops| drops.frames).sum::<u64>()
    };
    wait_for("the lie is counted", || lies() > 0);
    let liar = [192, 0, 2, 66];
    assert!(std::iter::from_fn(|| ear.pending()).all(|heard| !heard.windows(4).any(|octets| octets == liar)));
}

/// Where somebody else drops what is forwarded, no rule of ours lets it through: that is said.
#[test]
fn a_foreign_policy_of_drop_is_reported_and_left_alone() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-route");
    assert_eq!(lan.host().verify().unwrap().findings, []);
    nft("table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; }; }");
    let report = lan.host().verify().unwrap();
    let found = Finding::ForwardDrop { family: "ip".into(), table: "filter".into(), chain: "FORWARD".into() };
    assert_eq!(report.findings, std::slice::from_ref(&found));
    assert_eq!(found.severity(), Severity::Note);
    let rules = nft("list table ip filter");
    lan.host().repair().unwrap();
    assert_eq!(nft("list table ip filter"), rules);
    // The remedy is one: it names commands of iptables, which keeps its rules in this very table.
    assert!(found.remedy().starts_with("iptables -I FORWARD"), "{}", found.remedy());
}

#[test]
fn a_routed_network_with_antispoof_refuses_a_vif_without_a_lock() {
    let Some(lan) = Lan::enter() else { return };
    let (guest, locked) = routed(&lan, "vif1.0");
    let open = Attachment::routed(guest.name, Lock::Unlocked).route(GUEST[0].parse().unwrap());
    lan.starts("network-route antispoof=yes");
    let before = Image::take();
    let error = lan.host().attach_vif(&open).unwrap_err();
    assert!(error.to_string().contains("antispoof=yes"), "{error}");
    assert_eq!(error.advice(), Some("give the guest's mac= and ip="));
    Image::take().assert_same(&before, "after it was refused");
    lan.host().attach_vif(&locked).unwrap();
    lan.host().detach_vif(name("vif1.0")).unwrap();
    // And no longer when it stopped.
    lan.stops("network-route");
    lan.host().attach_vif(&open).unwrap();
}

/// A router's own question, octet by octet: dom0 answers for its guests, for nobody else, and not
/// any longer than they are there.
#[test]
fn a_neighbour_solicitation_is_answered_for_guests_alone() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-route");
    // Otherwise the kernel takes its time to answer for others.
    sysctl_set("ipv6/neigh/eth0/proxy_delay", "0");
    let (guest, attachment) = routed(&lan, "vif1.0");
    let uplink = ip_json("link show dev eth0")[0]["address"].as_str().unwrap().parse::<MacAddr>().unwrap();
    let wire = lan.router.raw();
    let asks = |targets: &[&str]| {
        for target in targets {
            let target: Ipv6Addr = target.parse().unwrap();
            let message = [&[0; 4][..], &target.octets(), &nd_option(1, lan.router.mac)].concat();
            let packet = Ip6::new(ROUTER[1].parse().unwrap(), solicited_node(target)).carry(&icmp6(135, 0, &message));
            wire.send(
                ether(MacAddr::new([0x33, 0x33, 0xff, 0, 0, target.octets()[15]]), lan.router.mac, 0x86dd, &packet)
                    .bytes(),
            );
        }
    };
    let answered_for = |until: &str| {
        let (mut answered, deadline) = (Vec::new(), Instant::now() + Duration::from_secs(10));
        loop {
            let frame = Frame::new(wire.receive(deadline).unwrap_or_else(|| panic!("no answer for {until}")));
            let [Some(header), Some(message)] = [frame.bytes().get(14..54), frame.bytes().get(54..86)] else {
                continue;
            };
            // A neighbour advertisement, with the link-layer address of its target.
            if (frame.bytes()[12..14] != [0x86, 0xdd]) || header[6] != 58 || message[0] != 136 {
                continue;
            }
            let target = Ipv6Addr::from(<[u8; 16]>::try_from(&message[8..24]).unwrap());
            assert_eq!((&message[24..26], &message[26..32]), (&[2, 1][..], &uplink.octets()[..]), "{target}");
            answered.push(target.to_string());
            if target.to_string() == until {
                return answered;
            }
        }
    };
    let nobodys = "2001:db8:f::66";
    // It is asked for its own address last: what was asked before is answered by then, or never will be.
    let all = [GUEST[1], nobodys, DOM0[1]];
    asks(&all);
    assert_eq!(answered_for(DOM0[1]), [DOM0[1]], "nobody is there yet");
    lan.host().attach_vif(&attachment).unwrap();
    asks(&[nobodys, GUEST[1]]);
    assert_eq!(answered_for(GUEST[1]), [GUEST[1]]);
    lan.host().detach_vif(guest.name).unwrap();
    asks(&all);
    assert_eq!(answered_for(DOM0[1]), [DOM0[1]], "the guest is gone");
}
