//! Lines as they stood in xend's configuration: their defaults, those that ask for nothing, and
//! mistakes, which are named with the byte where they are.

use super::lan::{Image, Lan, network};
use crate::proof::name;
use xenvnet_core::{ErrorKind, Network, Outcome};
use xenvnet_tests::{ip, ip_json};

#[test]
fn bridge_null_and_network_dummy_do_nothing() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    for line in [
        "network-dummy",
        "network-bridge bridge=null",
        "network-bridge bridge=null netdev=eth0 antispoof=yes",
        "network-virtual bridge=null bridgeip=10.98.98.1/24",
        "network-bridge-additional bridge=null vifnum=0",
    ] {
        assert_eq!(network(line), Network::Nothing, "{line}");
        assert_eq!(lan.host().start_network(&network(line)).unwrap(), Outcome::Unchanged, "{line}");
        assert!(lan.host().snapshot().unwrap().networks.is_empty());
        assert_eq!(lan.host().stop_network(&network(line)).unwrap(), Outcome::Unchanged, "{line}");
        Image::take().assert_same(&before, &format!("by {line}"));
    }
}

/// Row 12: what stands between the quotes of `network-script`, quotes within it included.
#[test]
fn row_12_a_line_of_xends_configuration_is_read_as_it_is() {
    for (line, means) in [
        ("network-bridge bridge=foo netdev=eth1", "network-bridge bridge=foo netdev=eth1"),
        ("  network-bridge   netdev=\"eth1\" ", "network-bridge netdev=eth1"),
        ("network-bridge netdev=eth1 bridge=eth1", "network-bridge netdev=eth1"),
        ("network-bridge antispoof=no", "network-bridge"),
        ("network-bridge vifnum=1", "network-bridge bridge=xenbr1 netdev=eth1"),
        ("network-bridge vifnum=1 netdev=dummy0", "network-bridge bridge=xenbr1 netdev=dummy0"),
        ("network-virtual", "network-virtual bridge=xenbr0 bridgeip=10.6.7.1/24 brnet=10.6.7.0/24"),
        (
            "network-virtual vifnum=3 bridgeip=10.98.98.1/24",
            "network-virtual bridge=xenbr3 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24",
        ),
        ("bridge-shadow INTERFACES=\"eth0 eth1\"", "bridge-shadow eth0 eth1"),
        ("network-bridge-additional vifnum=2", "network-bridge-additional bridge=xenbr2 netdev=vif0.2"),
        ("network-nat dhcp=no", "network-nat"),
        ("network-route netdev=eth1", "network-route netdev=eth1"),
    ] {
        assert_eq!(network(line).to_string(), means, "{line}");
        assert_eq!(network(means).to_string(), means, "what it says is read again");
    }
}

/// Row 12: nothing fails without an explanation.
#[test]
fn row_12_a_typo_in_a_line_is_named_with_its_byte() {
    for (line, words, byte) in [
        ("network-brigde netdev=eth0", "unknown script \"network-brigde\"", 0),
        ("network-bridge brige=xenbr0", "unknown key \"brige\"", 15),
        ("network-bridge netdev=eth0 Bridge=x", "unknown key \"Bridge\"", 27),
        ("network-bridge eth0", "\"eth0\" is no KEY=VALUE", 15),
        ("network-bridge netdev=eth0 netdev=eth1", "netdev= is given twice", 27),
        ("network-bridge antispoof=maybe", "antispoof=\"maybe\" is neither yes nor no", 25),
        ("network-bridge vifnum=-1", "vifnum=\"-1\" is no number", 22),
        ("network-virtual bridgeip=10.6.7.1/33", "bridgeip=\"10.6.7.1/33\" is no ADDRESS/PREFIX", 25),
        ("network-nat subnet=10.0.0.0/8,", "subnet=\"10.0.0.0/8,\" is no list of ADDRESS/PREFIX", 19),
        ("network-route subnet=10.0.0.0/8", "unknown key \"subnet\"", 14),
        ("bridge-shadow eth0 e/h1", "'/'", 19),
        ("network-dummy bridge=x", "unknown key \"bridge\"", 14),
        ("", "nothing", 0),
    ] {
        let error = line.parse::<Network>().expect_err(line);
        assert_eq!(error.kind(), ErrorKind::Parse, "{line}");
        let text = error.to_string();
        assert!(text.contains(words) && text.contains(&format!("at byte {byte}")), "{line}: {text}");
        assert_eq!(error.offset(), Some(byte), "{line}: {text}");
    }
    let guess = "network-brigde".parse::<Network>().unwrap_err().to_string();
    assert!(guess.ends_with("did you mean \"network-bridge\"?"), "{guess}");
}

#[test]
fn a_network_without_netdev_leads_out_by_the_default_route() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    ip("route del default via 192.0.2.9");
    ip("route add default via 198.51.100.9");
    for (line, runs) in [
        ("network-bridge bridge=xenbr0", "network-bridge bridge=xenbr0 netdev=eth1"),
        ("network-bridge", "network-bridge netdev=eth1"),
        ("network-route ipv6=no", "network-route netdev=eth1 ipv6=no"),
        ("network-nat", "network-nat netdev=eth1"),
    ] {
        lan.starts(line);
        let snapshot = lan.host().snapshot().unwrap();
        assert_eq!(snapshot.networks.values().next().unwrap().network.to_string(), runs, "{line}");
        lan.stops(line);
    }
}

#[test]
fn a_bridge_has_a_name_of_15_bytes_at_most() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    let error = "network-bridge bridge=abcdefghijklmnop netdev=eth0".parse::<Network>().unwrap_err();
    assert_eq!(
        error.to_string(),
        "network line: interface name \"abcdefghijklmnop\" is 16 bytes, the kernel's limit is 15 at byte 22"
    );
    lan.starts("network-bridge bridge=abcdefghijklmno netdev=eth0");
    assert_eq!(ip_json("link show dev eth0")[0]["master"], "abcdefghijklmno");
    lan.assert_reachable();
    lan.stops("network-bridge bridge=abcdefghijklmno netdev=eth0");
    Image::take().assert_same(&before, "after the bridge of 15 bytes");
}

/// With a letter before it, its name would have 16 bytes.
#[test]
fn the_name_of_a_card_of_15_bytes_is_not_taken_and_the_advice_works() {
    let Some(lan) = Lan::enter() else { return };
    ip("link set eth0 name enp0s31f6u1u2u3");
    lan.settle();
    let before = Image::take();
    for line in ["network-bridge netdev=enp0s31f6u1u2u3", "network-bridge", "bridge-shadow enp0s31f6u1u2u3"] {
        let error = lan.host().start_network(&network(line)).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("is 16 bytes, the kernel's limit is 15"), "{line}: {text}");
        assert!(text.starts_with("cannot start the network"), "{line}: {text}");
        let advice = error.advice().unwrap_or_default();
        assert!(advice.contains("network-bridge netdev=enp0s31f6u1u2u3 bridge=xenbr0"), "{line}: {advice}");
        Image::take().assert_same(&before, &format!("by {line}"));
    }
    lan.starts("network-bridge netdev=enp0s31f6u1u2u3 bridge=xenbr0");
    lan.assert_reachable();
    assert_eq!(lan.host().snapshot().unwrap().ports_of(name("xenbr0")).count(), 1);
}
