//! Row 6, `bridge-shadow`, beyond what each bridge with an uplink does: several cards, and one at a
//! time.

use super::lan::{DOM0_2, Image, Lan, ROUTER_2, network};
use xenvnet_core::Outcome;
use xenvnet_tests::{hears_from, ip_json};

fn bridges() -> Vec<String> {
    let links = ip_json("link show type bridge");
    let mut names: Vec<_> =
        links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap().to_owned()).collect();
    names.sort();
    names
}

#[test]
fn row_06_bridge_shadow_of_several_cards_and_a_restart() {
    let Some(lan) = Lan::enter() else { return };
    let second = lan.second();
    let before = Image::take();
    let line = "bridge-shadow INTERFACES=\"eth0 eth1\"";
    for _ in 0..2 {
        lan.starts(line);
        assert_eq!(bridges(), ["eth0", "eth1"]);
        assert_eq!(ip_json("link show dev seth1")[0]["master"], "eth1");
        lan.assert_reachable();
        let own = lan.dom0.namespace();
        assert_eq!(hears_from(&second.guest, ROUTER_2[0], &own), Some(DOM0_2[0].parse().unwrap()));
        lan.stops(line);
        Image::take().assert_same(&before, "after both stopped");
    }
}

/// Status and stop know each card for itself.
#[test]
fn one_of_several_shadows_stops_and_the_others_stay() {
    let Some(lan) = Lan::enter() else { return };
    let _second = lan.second();
    let before = Image::take();
    lan.starts("bridge-shadow eth0 eth1");
    let running = || -> Vec<String> {
        lan.host().snapshot().unwrap().networks.values().map(|record| record.network.to_string()).collect()
    };
    assert_eq!(running(), ["bridge-shadow eth0", "bridge-shadow eth1"]);
    lan.stops("bridge-shadow eth0");
    assert_eq!((bridges(), running()), (vec!["eth1".to_owned()], vec!["bridge-shadow eth1".to_owned()]));
    lan.assert_reachable();
    assert_eq!(lan.host().stop_network(&network("bridge-shadow eth0")).unwrap(), Outcome::Unchanged);
    // The list again: what runs stays, what does not is started.
    lan.starts("bridge-shadow eth0 eth1");
    assert_eq!(bridges(), ["eth0", "eth1"]);
    lan.stops("bridge-shadow eth1 eth0");
    Image::take().assert_same(&before, "after both stopped");
}

/// One card that cannot be is no reason to leave the other half done.
#[test]
fn of_two_cards_of_which_one_cannot_be_none_is_shadowed() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    for line in ["bridge-shadow eth0 eth7", "bridge-shadow eth7 eth0", "bridge-shadow eth0 lo"] {
        lan.host().start_network(&network(line)).expect_err(line);
        Image::take().assert_same(&before, &format!("by {line}"));
    }
}
