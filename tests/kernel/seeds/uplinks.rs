//! Uplinks that cannot be: refused in words, and nothing is changed.

use super::lan::{Image, Lan, network};
use crate::proof::bridge_by_ip;
use std::fs::File;
use xenvnet_core::ErrorKind;
use xenvnet_tests::ip;

/// Every mode that leads out refuses it with these words and advice.
#[track_caller]
fn refused(lan: &Lan, uplink: &str, kind: ErrorKind, why: &str) {
    let before = Image::take();
    for line in [
        format!("network-bridge bridge=xenbr7 netdev={uplink}"),
        format!("network-bridge netdev={uplink}"),
        format!("bridge-shadow {uplink}"),
    ] {
        let error = lan.host().start_network(&network(&line)).expect_err(&line);
        assert_eq!(error.kind(), kind, "{line}: {error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot start the network of ") && text.ends_with(why), "{line}: {text}");
        assert!(error.advice().is_some(), "{line}: {text}: there is no advice");
        Image::take().assert_same(&before, &format!("by {line}"));
    }
}

#[test]
fn a_guests_interface_is_no_uplink() {
    let Some(lan) = Lan::enter() else { return };
    let _guest = lan.dom0.guest("vif1.0", "00:16:3e:00:00:01");
    refused(&lan, "vif1.0", ErrorKind::InvalidArgument, "vif1.0 is a guest's interface");
}

#[test]
fn a_bridge_is_no_uplink() {
    let Some(lan) = Lan::enter() else { return };
    bridge_by_ip("br0");
    let before = Image::take();
    for line in ["network-bridge bridge=xenbr7 netdev=br0", "network-bridge netdev=br0", "bridge-shadow br0"] {
        let error = lan.host().start_network(&network(line)).expect_err(line);
        assert!(error.to_string().contains("br0"), "{line}: {error}");
        Image::take().assert_same(&before, &format!("by {line}"));
    }
    refused_bridge(&lan);
}

/// By a name of its own, that is; with its uplink's name it looks like what is there already.
#[track_caller]
fn refused_bridge(lan: &Lan) {
    let error = lan.host().start_network(&network("network-bridge bridge=xenbr7 netdev=br0")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(error.to_string(), "cannot start the network of xenbr7: br0 is a bridge itself");
    assert!(error.advice().is_some());
}

#[test]
fn an_interface_without_a_mac_address_is_no_uplink() {
    let Some(lan) = Lan::enter() else { return };
    refused(&lan, "lo", ErrorKind::InvalidArgument, "lo is no Ethernet interface");
    // A tunnel, which has no address of the link either.
    // Where an ordinary user may make one.
    if File::options().read(true).write(true).open("/dev/net/tun").is_ok() {
        ip("tuntap add dev tun0 mode tun");
        refused(&lan, "tun0", ErrorKind::InvalidArgument, "tun0 is no Ethernet interface");
    }
}

#[test]
fn a_port_of_another_bridge_is_no_uplink() {
    let Some(lan) = Lan::enter() else { return };
    bridge_by_ip("br0");
    ip("link add spare0 type veth peer name spare1");
    ip("link set spare0 master br0");
    refused(&lan, "spare0", ErrorKind::Conflict, "spare0 is a port of br0 already");
}

#[test]
fn an_interface_that_is_not_there_is_no_uplink() {
    let Some(lan) = Lan::enter() else { return };
    refused(&lan, "eth7", ErrorKind::NotFound, "no interface named eth7");
    let before = Image::take();
    for line in ["network-route netdev=eth7", "network-nat netdev=eth7"] {
        let error = lan.host().start_network(&network(line)).expect_err(line);
        assert_eq!(error.kind(), ErrorKind::NotFound, "{line}: {error}");
        assert!(error.to_string().ends_with("no interface named eth7"), "{line}: {error}");
        Image::take().assert_same(&before, &format!("by {line}"));
    }
}

/// A host that has none at all is told so, not by a panic or a bridge that leads nowhere.
#[test]
fn a_host_without_a_default_route_is_asked_which() {
    let Some(lan) = Lan::enter() else { return };
    for family in ["-4", "-6"] {
        ip(&format!("{family} route del default"));
    }
    ip("link set eth0 name lan0");
    lan.settle();
    let before = Image::take();
    for line in ["network-bridge", "network-bridge bridge=xenbr0", "network-route", "network-nat"] {
        let error = lan.host().start_network(&network(line)).expect_err(line);
        assert_eq!(error.kind(), ErrorKind::NotFound, "{line}: {error}");
        assert!(error.advice().unwrap_or_default().contains("netdev="), "{line}: {error}: {:?}", error.advice());
        Image::take().assert_same(&before, &format!("by {line}"));
    }
}
