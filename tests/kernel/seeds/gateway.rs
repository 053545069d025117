//! Rows 4 and 5: dom0's address towards a guest, as the scripts made it: by sums, by the numbers of a
//! domain, or by what an interface of dom0's has.

use super::lan::{DOM0, DOM0_2, FAR, Image, Lan};
use crate::proof::name;
use std::net::IpAddr;
use xenvnet_core::{Attachment, ErrorKind, IfName, Strictness, VifDefaults, VifSpec};
use xenvnet_tests::{FakeVif, hears_from, ip, ip_json, nft_ruleset};

/// As a toolstack attaches what a guest's configuration says.
fn configured(vif: IfName, spec: &str) -> Attachment {
    let spec: VifSpec = spec.parse().unwrap_or_else(|error| panic!("{spec}: {error}"));
    spec.attachment(vif, &VifDefaults::new(), Strictness::Strict).unwrap_or_else(|error| panic!("{error}"))
}

/// A guest of vif-nat, which was told its address and its gateway.
fn by_nat(lan: &Lan, vif: &str, ip: &str, own: &str, gateway: &str) -> FakeVif {
    let guest = lan.dom0.guest(vif, &format!("00:16:3e:00:00:{:02x}", vif.len()));
    guest.address(&format!("{own}/16"), gateway);
    lan.host().attach_vif(&configured(guest.name, &format!("mac={},script=vif-nat{ip}", guest.mac))).unwrap();
    guest
}

/// What dom0 has on an interface, with its length.
fn own_addresses(link: &str) -> Vec<(String, u64)> {
    let links = ip_json(&format!("addr show dev {link}"));
    let all = links[0]["addr_info"].as_array().unwrap().iter();
    all.map(|one| (one["local"].as_str().unwrap().to_owned(), one["prefixlen"].as_u64().unwrap())).collect()
}

/// A guest is heard outside as dom0, heard by its gateway as itself, and gone without a trace.
fn is_led_out(lan: &Lan, vif: &str, ip_of: &str, own: &str, gateway: &str) {
    let guest = by_nat(lan, vif, ip_of, own, gateway);
    let seen_as = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    assert_eq!(own_addresses(vif), [(gateway.to_owned(), 32)], "{own}");
    assert_eq!(hears_from(&lan.dom0.namespace(), gateway, &guest.guest), seen_as(own), "{own} and its gateway");
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &guest.guest), seen_as(DOM0[0]), "{own} outside");
    lan.host().detach_vif(guest.name).unwrap();
    // The script left its address, and the interface up.
    assert_eq!(own_addresses(vif), []);
    assert!(!ip("route show table all").contains(vif));
    assert!(!nft_ruleset().contains(own), "{}", nft_ruleset());
    ip(&format!("link del {vif}"));
}

#[test]
fn row_05_vif_nat_makes_an_address_of_the_domain_id() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-nat netdev=eth0");
    for (vif, own, gateway) in [
        ("vif1.0", "10.0.1.1", "10.0.1.128"),
        ("vif255.3", "10.0.255.4", "10.0.255.131"),
        ("vif300.1", "10.1.44.2", "10.1.44.129"),
        ("vif32751.99", "10.127.239.100", "10.127.239.227"),
    ] {
        is_led_out(&lan, vif, "", own, gateway);
    }
}

/// The script added 127 to the last octet, whatever came of it.
#[test]
fn row_05_the_gateway_of_vif_nat_never_leaves_its_octet() {
    let Some(lan) = Lan::enter() else { return };
    lan.starts("network-nat netdev=eth0");
    for (own, gateway) in [
        ("10.0.0.1", "10.0.0.128"),
        ("10.0.0.127", "10.0.0.254"),
        ("10.0.0.128", "10.0.0.1"),
        ("10.0.0.200", "10.0.0.73"),
        ("10.0.0.254", "10.0.0.127"),
    ] {
        is_led_out(&lan, "vif1.0", &format!(",ip={own}"), own, gateway);
    }
}

/// A guest of the second LAN's addresses: its gateway is what dom0 has there, although the routed
/// network that runs is another one.
#[test]
fn row_04_the_gateways_of_a_guest_are_the_addresses_of_its_gatewaydev() {
    let Some(lan) = Lan::enter() else { return };
    let second = lan.second();
    for line in ["network-route netdev=eth0", "network-route netdev=eth1"] {
        lan.starts(line);
    }
    let guest = lan.dom0.guest("vif1.0", "00:16:3e:00:00:01");
    let own = ["198.51.100.77", "2001:db8:e::77"];
    guest.guest.within(|| {
        for (address, gateway) in own.into_iter().zip(DOM0_2) {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("addr add {address} dev eth0{nodad}"));
            ip(&format!("route add {gateway} dev eth0"));
            ip(&format!("route add default via {gateway}"));
        }
    });
    let spec = format!("mac={},ip={},script=vif-route", guest.mac, own.join(" "));
    lan.host().attach_vif(&configured(guest.name, &format!("{spec},gatewaydev=eth1"))).unwrap();
    guest.wait_for_carrier();
    let gateways = [(DOM0_2[0].to_owned(), 32), (DOM0_2[1].to_owned(), 128)];
    let mut addresses = own_addresses("vif1.0");
    addresses.retain(|(address, _)| !address.starts_with("fe80:"));
    assert_eq!(addresses, gateways);
    for (n, address) in own.into_iter().enumerate() {
        let seen_as = Some(address.parse().unwrap());
        assert_eq!(hears_from(&lan.dom0.namespace(), DOM0_2[n], &guest.guest), seen_as, "dom0");
        assert_eq!(hears_from(&second.guest, super::lan::ROUTER_2[n], &guest.guest), seen_as, "its LAN");
        assert!(hears_from(&guest.guest, address, &second.guest).is_some(), "its LAN finds {address}");
    }
    // Asked again with the other one, it is known by that one's addresses and by no other.
    lan.host().attach_vif(&configured(guest.name, &format!("{spec},gatewaydev=eth0"))).unwrap();
    let mut addresses = own_addresses("vif1.0");
    addresses.retain(|(address, _)| !address.starts_with("fe80:"));
    assert_eq!(addresses, [(DOM0[0].to_owned(), 32), (DOM0[1].to_owned(), 128)]);
}

/// The script asked eth0, which is not there on many a host, and died.
#[test]
fn a_gatewaydev_that_is_not_there_is_named_and_one_without_addresses_is_none() {
    let Some(lan) = Lan::enter() else { return };
    let guest = lan.dom0.guest("vif1.0", "00:16:3e:00:00:01");
    let before = Image::take();
    let spec = format!("mac={},ip=192.0.2.77,script=vif-route", guest.mac);
    let error = lan.host().attach_vif(&configured(guest.name, &format!("{spec},gatewaydev=eth7"))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot attach vif1.0 to dom0's routes: no interface named eth7");
    Image::take().assert_same(&before, "after it was refused");
    ip("link add eth7 type bridge");
    lan.host().attach_vif(&configured(name("vif1.0"), &format!("{spec},gatewaydev=eth7"))).unwrap();
    assert!(own_addresses("vif1.0").iter().all(|(address, _)| address.starts_with("fe80:")));
    assert!(ip("route show 192.0.2.77").contains("vif1.0"), "it is routed all the same");
}
