//! Row 1, `network-virtual`, the brouter: guests bridged to each other, and routed to the outside with
//! dom0's address.

use super::lan::{DOM0, FAR, Image, Lan, network};
use xenvnet_core::{Attachment, ErrorKind, Lock, Outcome};
use xenvnet_tests::{hears, hears_from, ip, ip_json, nft_ruleset};

#[test]
fn row_01_network_virtual_bridges_routes_and_masquerades() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    let line = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24";
    lan.starts(line);
    let data = &ip_json("-d link show dev xenbr0")[0]["linkinfo"]["info_data"];
    assert_eq!((&data["stp_state"], &data["forward_delay"]), (&0.into(), &0.into()));
    let guests =
        [2, 3].map(|n| lan.bridged(&format!("vif{n}.0"), "xenbr0", &[&format!("10.98.98.{n}/24 via 10.98.98.1")]));
    let address = |text: &str| Some(text.parse().unwrap());
    assert_eq!(hears_from(&guests[1].guest, "10.98.98.3", &guests[0].guest), address("10.98.98.2"));
    assert_eq!(hears_from(&lan.dom0.namespace(), "10.98.98.1", &guests[0].guest), address("10.98.98.2"));
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &guests[0].guest), address(DOM0[0]));
    // Its stop failed, by its own admission, while ports were enslaved.
    lan.stops(line);
    for guest in &guests {
        let vif = &ip_json(&format!("link show dev {}", guest.name))[0];
        assert!(vif["master"].is_null() && vif["operstate"] == "DOWN", "{vif}");
        lan.host().detach_vif(guest.name).unwrap();
        ip(&format!("link del {}", guest.name));
    }
    lan.starts(line);
    lan.stops(line);
    assert_eq!(nft_ruleset(), "");
    Image::take().assert_same(&before, "after the guests went and the network stopped");
}

#[test]
fn its_defaults_are_those_of_the_script() {
    let Some(lan) = Lan::enter() else { return };
    for (line, bridge) in [("network-virtual", "xenbr0"), ("network-virtual vifnum=4 bridgeip=10.6.8.1/24", "xenbr4")] {
        lan.starts(line);
        let shown = &ip_json(&format!("addr show dev {bridge}"))[0]["addr_info"];
        let own = if bridge == "xenbr0" { "10.6.7.1" } else { "10.6.8.1" };
        assert_eq!((&shown[0]["local"], &shown[0]["prefixlen"]), (&own.into(), &24.into()));
    }
}

/// `antispoofing` was called there, and never defined.
#[test]
fn antispoof_yes_refuses_and_antispoof_no_weakens_nothing() {
    let Some(lan) = Lan::enter() else { return };
    let strict = "network-virtual bridgeip=10.98.98.1/24 antispoof=yes";
    lan.starts(strict);
    let (guest, lock) = lan.guest("vif2.0", &["10.98.98.2/24"]);
    let bridge = "xenbr0".parse().unwrap();
    let error = lan.host().attach_vif(&Attachment::bridged(guest.name, bridge, Lock::Unlocked)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert!(error.to_string().ends_with("the network of xenbr0 has antispoof=yes"), "{error}");
    lan.stops(strict);
    lan.starts("network-virtual bridgeip=10.98.98.1/24 antispoof=no");
    lan.host().attach_vif(&Attachment::bridged(guest.name, bridge, lock)).unwrap();
    assert!(hears(&lan.dom0.namespace(), "10.98.98.1", &guest.guest));
    // A guest with a lock has it, whatever the line says.
    assert!(lan.host().snapshot().unwrap().guard_of(guest.name).is_some());
    assert!(nft_ruleset().contains("10.98.98.2"), "{}", nft_ruleset());
}

/// Somebody deleted the bridge, and with it all that was on it: the stop puts back what is left.
#[test]
fn a_brouter_whose_bridge_is_gone_stops_all_the_same() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    lan.starts("network-virtual");
    ip("link del xenbr0");
    lan.stops("network-virtual");
    Image::take().assert_same(&before, "after what was left of it stopped");
    assert_eq!(lan.host().stop_network(&network("network-virtual")).unwrap(), Outcome::Unchanged);
}
