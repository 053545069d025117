//! An uplink that cannot be taken over: said in words, and nothing changed.

use crate::beside_others;
use xenvnet_core::{ErrorKind, Network};
use xenvnet_tests::{Dump, Holdings, Site, ip};

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
