//! Whatever is on an uplink is on the bridge afterwards, exactly, and comes back exactly.

use crate::beside_others;
use std::collections::BTreeSet;
use xenvnet_core::{ErrorKind, Network, Operation, Outcome};
use xenvnet_tests::{Dump, Holdings, OldKernel, Site, answers, ip, ip_json, sysctl, sysctl_set};

/// Starts and stops a network whose bridge has this name, the card then this one.
#[track_caller]
fn moves_all(site: fn() -> Option<Site>, line: &str, bridge: &str, card: &str) {
    let _beside = beside_others();
    let Some(site) = site() else { return };
    let network: Network = line.parse().unwrap();
    let host = &site.dom0.host;
    let before = (Dump::take(), Holdings::take());
    assert_eq!(host.start_network(&network).unwrap(), Outcome::Changed);
    let during = Holdings::take();
    let mut faults = during.of(bridge).difference(&before.1.of("eth0").renamed("eth0", bridge));
    faults += &during.not_of(bridge).not_of(card).difference(&before.1.not_of("eth0"));
    // On the card stays what the kernel gives to any interface that is up, and what ages there.
    faults += &during.of(card).not_of(bridge).without(&["found"]).beyond_the_links_own();
    for (from, to) in [(&site.dom0.namespace(), Site::FAR4), (&site.dom0.namespace(), Site::FAR6)] {
        assert!(answers(from, to), "{to} does not answer");
    }
    for address in [site.address4, site.address6] {
        assert!(answers(&site.far, address), "{address} does not answer");
    }
    let again = host.plan(&[Operation::StartNetwork(network.clone())]).unwrap();
    assert_eq!(host.stop_network(&network).unwrap(), Outcome::Changed);
    let back = Holdings::take().difference(&before.1);
    assert!(faults.is_empty(), "{line}: the bridge holds something else than the uplink did:\n{faults}");
    assert!(again.is_empty(), "{line}: there is something left to do:\n{again}");
    assert!(back.is_empty(), "{line}: the uplink holds something else than before:\n{back}");
    Dump::take().unnumbered().assert_same(&before.0.unnumbered(), "after it got back what is its");
}

#[test]
fn a_bridge_gets_all_that_an_uplink_has() {
    moves_all(Site::rich, "network-bridge netdev=eth0 bridge=xenbr0", "xenbr0", "eth0");
}

#[test]
fn a_bridge_of_the_uplinks_name_gets_all_that_it_has() {
    moves_all(Site::rich, "network-bridge netdev=eth0", "eth0", "peth0");
}

#[test]
fn a_bridge_over_a_shadow_gets_all_that_it_has() {
    moves_all(Site::rich, "bridge-shadow eth0", "eth0", "seth0");
}

#[test]
fn a_bridge_on_one_of_two_uplinks_leaves_the_other_alone() {
    moves_all(Site::two, "network-bridge netdev=eth0 bridge=xenbr0", "xenbr0", "eth0");
}

#[test]
fn a_bridge_of_the_name_of_one_of_two_uplinks_leaves_the_other_alone() {
    moves_all(Site::two, "bridge-shadow eth0", "eth0", "seth0");
}

/// A secret of its own, as systemd-networkd gives it: no other interface may have addresses made with it.
#[test]
fn an_uplink_with_a_secret_for_its_addresses_is_taken_over_too() {
    let _beside = beside_others();
    let addresses = |link: &str| {
        let listing = ip_json(&format!("-6 address show dev {link}"));
        let infos = listing[0]["addr_info"].as_array().unwrap();
        infos.iter().map(|info| info["local"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    for (line, bridge) in [("network-bridge netdev=eth0 bridge=xenbr0", "xenbr0"), ("bridge-shadow eth0", "eth0")] {
        let Some(site) = Site::plain() else { return };
        let (host, network) = (&site.dom0.host, line.parse::<Network>().unwrap());
        sysctl_set("ipv6/conf/eth0/accept_dad", "0");
        sysctl_set("ipv6/conf/eth0/stable_secret", "2001:db8::dead:beef");
        let before = addresses("eth0");
        assert_eq!(host.start_network(&network).unwrap(), Outcome::Changed);
        assert_eq!(addresses(bridge), before, "{line}");
        assert!(answers(&site.far, site.address6), "{line}: {} does not answer", site.address6);
        assert!(host.plan(&[Operation::StartNetwork(network.clone())]).unwrap().is_empty(), "{line}");
        assert_eq!(host.stop_network(&network).unwrap(), Outcome::Changed);
        assert!(addresses("eth0").is_superset(&before), "{line}");
        assert_eq!(sysctl("ipv6/conf/eth0/addr_gen_mode"), "2", "{line}");
    }
}

/// A bridge without a carrier loses them.
fn without_next_hops(site: Site) -> Site {
    ip("nexthop flush");
    site
}

/// Before Linux 6.2 interfaces have to be down to be renamed: the card is, when nothing is on it.
fn moves_all_on_an_old_kernel(line: &str, card: &str) {
    let _old = OldKernel::pretend();
    let network: Network = line.parse().unwrap();
    if let Some(site) = Site::plain() {
        let plan = |operation| site.dom0.host.plan(&[operation]).unwrap().to_string();
        let started = plan(Operation::StartNetwork(network.clone()));
        let _ = site.dom0.host.start_network(&network).unwrap();
        let stopped = plan(Operation::StopNetwork(network));
        for (text, renamed) in [(started, format!("eth0 -> {card}")), (stopped, format!("{card} -> eth0"))] {
            let renames: Vec<_> = text.lines().filter(|line| line.contains(": name ")).collect();
            assert!(
                matches!(renames[..], [one] if one.ends_with(&format!("name {renamed}, down meanwhile"))),
                "{text}"
            );
        }
    }
    moves_all(|| Site::rich().map(without_next_hops), line, "eth0", card);
    moves_all(|| Site::two().map(without_next_hops), line, "eth0", card);
}

#[test]
fn a_bridge_over_a_shadow_gets_all_on_an_old_kernel_too() {
    moves_all_on_an_old_kernel("bridge-shadow eth0", "seth0");
}

#[test]
fn a_bridge_of_the_uplinks_name_gets_all_on_an_old_kernel_too() {
    moves_all_on_an_old_kernel("network-bridge netdev=eth0", "peth0");
}

#[test]
fn next_hops_are_not_lost_on_an_old_kernel() {
    let _beside = beside_others();
    let Some(site) = Site::rich() else { return };
    let network: Network = "bridge-shadow eth0".parse().unwrap();
    let unsupported = |result: xenvnet_core::Result<Outcome>| {
        let error = result.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("next hops") && error.advice().is_some(), "{error}");
    };
    let before = Dump::take();
    {
        let _old = OldKernel::pretend();
        unsupported(site.dom0.host.start_network(&network));
        Dump::take().assert_same(&before, "a start that was refused");
    }
    assert_eq!(site.dom0.host.start_network(&network).unwrap(), Outcome::Changed);
    let running = Dump::take();
    let _old = OldKernel::pretend();
    unsupported(site.dom0.host.stop_network(&network));
    Dump::take().assert_same(&running, "a stop that was refused");
}
