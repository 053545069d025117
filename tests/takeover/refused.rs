//! An uplink that cannot be taken over: said in words, and nothing changed.

use crate::beside_others;
use xenvnet_core::{ErrorKind, Network, Outcome};
use xenvnet_tests::{Dump, Holdings, OldKernel, Site, ip};

/// The kernel gives what comes in by an interface to one taker.
#[test]
fn an_uplink_with_a_macvlan_on_it_is_left_alone() {
    let _beside = beside_others();
    let Some(site) = Site::plain() else { return };
    ip("link add guest0 link eth0 type macvlan mode bridge");
    let before = (Dump::take(), Holdings::take());
    for line in ["network-bridge netdev=eth0 bridge=xenbr0", "network-bridge netdev=eth0", "bridge-shadow eth0"] {
        let error = site.dom0.host.start_network(&line.parse::<Network>().unwrap()).unwrap_err();
        Holdings::take().assert_same(&before.1, line);
        Dump::take().assert_same(&before.0, line);
        assert_eq!(error.kind(), ErrorKind::Busy, "{line}: {error}");
        let text = error.to_string();
        assert!(text.starts_with("cannot enslave ") && !text.contains("the kernel refused"), "{line}: {text}");
        assert!(error.advice().is_some(), "{line}: {text}");
    }
}

/// The name that the bridge has in passing is free for anybody to use.
#[test]
fn somebody_elses_bridge_of_the_passing_name_is_left_alone() {
    let _beside = beside_others();
    let Some(site) = Site::plain() else { return };
    ip("link add teth0 type bridge");
    ip("address add 198.18.0.1/24 dev teth0");
    ip("link set teth0 up");
    let network: Network = "network-bridge netdev=eth0".parse().unwrap();
    let refused = |result: xenvnet_core::Result<Outcome>, what: &str| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Conflict, "{what}: {error}");
        assert!(error.to_string().contains("teth0") && error.advice().is_some(), "{what}: {error}");
    };
    let before = (Dump::take(), Holdings::take());
    {
        let _old = OldKernel::pretend();
        refused(site.dom0.host.start_network(&network), "start");
        Holdings::take().assert_same(&before.1, "a start that was refused");
        Dump::take().assert_same(&before.0, "a start that was refused");
    }
    assert_eq!(site.dom0.host.start_network(&network).unwrap(), Outcome::Changed);
    let running = (Dump::take(), Holdings::take());
    refused(site.dom0.host.stop_network(&network), "stop");
    Holdings::take().assert_same(&running.1, "a stop that was refused");
    Dump::take().assert_same(&running.0, "a stop that was refused");
    ip("link set teth0 down");
    ip("link set teth0 name other0");
    assert_eq!(site.dom0.host.stop_network(&network).unwrap(), Outcome::Changed);
    ip("link set other0 name teth0");
    ip("link set teth0 up");
    Holdings::take().assert_same(&before.1, "a stop");
}
