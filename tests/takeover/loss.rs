//! What the library's takeover loses: outward nothing, inward what the kernel itself loses.

use crate::alone;
use crate::by_hand::{batch, enslave_and_release, make_bridge};
use crate::exceeds::chance;
use xenvnet_core::{Network, Outcome};
use xenvnet_tests::{Dump, Holdings, Site, Traffic, sysctl_set};

/// Bare cycles for each of the library's: the floor is to be known well.
const BARE: usize = 12;

/// A chance as small as this is none.
const CHANCE: f64 = 1e-4;

/// Uplinks, each with the bridge of its bare cycles.
const UPLINKS: [(&str, &str); 2] = [("eth0", "floor0"), ("eth1", "floor1")];

/// How often the library takes over and gives back: five times, or what `XENVNET_SOAK` says.
fn cycles() -> usize {
    std::env::var("XENVNET_SOAK").ok().and_then(|cycles| cycles.parse().ok()).unwrap_or(5)
}

/// Takes each uplink over by its network and gives it back, again and again, between bare cycles
/// that tell what the kernel loses in the same minute under the same load.
#[track_caller]
fn loses_nothing(site: impl FnOnce() -> Option<Site>, lines: &[&str]) {
    let _alone = alone();
    let Some(site) = site() else { return };
    let networks: Vec<Network> = lines.iter().map(|line| line.parse().unwrap()).collect();
    let (uplinks, host) = (&UPLINKS[..lines.len()], &site.dom0.host);
    let before = (Dump::take(), Holdings::take());
    for (_, bridge) in uplinks {
        make_bridge(bridge);
        // Whatever else comes in by it passes the host's own filters: they are no part of the floor.
        batch(&format!("addr add 10.255.0.1/32 dev {bridge}"));
        sysctl_set(&format!("ipv4/conf/{bridge}/rp_filter"), "2");
    }
    let traffic = Traffic::start(&site);
    let (mut floor, mut library, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..cycles() {
        for _ in 0..BARE {
            let from = traffic.mark();
            for (uplink, bridge) in uplinks {
                enslave_and_release(uplink, bridge);
            }
            floor.push((from, traffic.mark()));
        }
        let from = traffic.mark();
        for network in &networks {
            assert_eq!(host.start_network(network).unwrap(), Outcome::Changed);
            traffic.go_on(100);
        }
        starts.push((from.clone(), traffic.mark()));
        for network in &networks {
            assert_eq!(host.stop_network(network).unwrap(), Outcome::Changed);
        }
        library.push((from, traffic.mark()));
    }
    let account = traffic.stop();
    let outward = [("bare cycles", &floor), ("starts", &starts), ("starts and stops", &library)]
        .map(|(what, of)| (what, of.iter().map(|(from, to)| account.lost_outward_between(from, to)).sum::<u64>()));
    let [floor, library] =
        [floor, library].map(|of| of.iter().map(|(from, to)| account.lost_inward(from, to)).collect::<Vec<_>>());
    println!("{lines:?}:\n{account}\nlost inward by the library: {library:?}\nby bare cycles: {floor:?}");
    assert_eq!(account.lost_outward(), 0, "{outward:?}\n{account}");
    assert!(account.broken().is_empty(), "{account}");
    assert_eq!(account.overrun(), 0, "this machine is too slow to hear everything: {account}");
    let chance = chance(&library, &floor);
    assert!(chance > CHANCE, "lost inward by the library: {library:?}, by bare cycles: {floor:?} (chance {chance:e})");
    // What the kernel gave them when their carrier came goes with them.
    for (_, bridge) in uplinks {
        batch(&format!("link del {bridge}"));
    }
    Holdings::take().assert_same(&before.1, "after it got back what is its");
    Dump::take().unnumbered().assert_same(&before.0.unnumbered(), "after it got back what is its");
}

#[test]
fn a_bridge_takes_over_and_gives_back_without_a_loss() {
    loses_nothing(Site::plain, &["network-bridge netdev=eth0 bridge=xenbr0"]);
}

#[test]
fn a_bridge_that_takes_the_name_as_well_loses_nothing() {
    loses_nothing(Site::plain, &["network-bridge netdev=eth0"]);
}

#[test]
fn a_bridge_over_a_shadow_loses_nothing() {
    loses_nothing(Site::plain, &["bridge-shadow eth0"]);
}

#[test]
fn two_bridges_that_take_over_one_after_the_other_lose_nothing_of_either() {
    let lines = ["network-bridge netdev=eth0 bridge=xenbr0", "network-bridge netdev=eth1 bridge=xenbr1"];
    loses_nothing(Site::two, &lines);
}

/// A host that takes a packet only where the way back to its source leads out, by these settings.
#[track_caller]
fn loses_nothing_where_the_way_back_is_checked(on: &[&str]) {
    let strict = || {
        let site = Site::plain()?;
        for interfaces in on {
            sysctl_set(&format!("ipv4/conf/{interfaces}/rp_filter"), "1");
        }
        Some(site)
    };
    loses_nothing(strict, &["network-bridge netdev=eth0 bridge=xenbr0"]);
}

#[test]
fn a_host_that_checks_the_way_back_everywhere_loses_nothing() {
    loses_nothing_where_the_way_back_is_checked(&["all"]);
}

#[test]
fn a_host_that_checks_the_way_back_on_each_interface_loses_nothing() {
    loses_nothing_where_the_way_back_is_checked(&["default", "eth0"]);
}
