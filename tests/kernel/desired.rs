//! What a host is like outlives its reboot, and the flush of its rules; what dead guests left goes.

use crate::estate::Estate;
use crate::matrix::{OWN, lock};
use crate::proof::{name, wait_for};
use crate::seeds::lan::{Lan, network};
use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;
use xenvnet_core::{Attachment, Bridge, Dom0 as Access, ErrorKind, Finding, Host, Operation, Outcome};
use xenvnet_tests::{Dom0, Dump, FakeVif, StateDir, ip, nft, nft_ruleset};

const NOT_AT_ALL: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(60);

/// All that is told of a host: networks of each mode, one on the bridge of another, and what stands
/// beside networks.
fn furnish(host: &Host) {
    for line in [
        "network-virtual bridgeip=10.98.98.1/24 dom0=services(dns)",
        "network-bridge netdev=eth0 bridge=zbr",
        "network-bridge-additional netdev=eth2 bridge=zbr",
        "network-nat netdev=zbr subnet=10.99.0.0/16",
        "network-route netdev=eth1 ipv6=yes",
    ] {
        assert!(host.start_network(&network(line)).unwrap().is_changed(), "{line}");
    }
    let side =
        Bridge::new(name("side")).address("10.100.0.1/24".parse().unwrap()).address("fd07::1/64".parse().unwrap());
    host.create_bridge(&side.mtu(1400)).unwrap();
    host.masquerade_subnet(&"10.100.0.0/24 via zbr".parse().unwrap()).unwrap();
    host.forward_port(&"tcp:8080 to 10.98.98.2:80".parse().unwrap()).unwrap();
    host.set_dom0(name("side"), Access::Closed).unwrap();
    host.set_dom0(name("xenbr0"), "services(dhcp,dns)".parse().unwrap()).unwrap();
}

/// A host with two uplinks and a card, each with the same addresses whenever it is made.
struct Bare {
    lan: Lan,
    _cables: [FakeVif; 2],
}

impl Bare {
    fn enter() -> Option<Bare> {
        let lan = Lan::enter()?;
        let cables = [lan.second(), lan.dom0.cable("eth2", "02:00:00:00:00:0c")];
        for (n, card) in ["eth0", "eth1", "eth2"].iter().enumerate() {
            ip(&format!("link set {card} address 02:00:00:00:01:0{n}"));
        }
        lan.settle();
        Some(Bare { lan, _cables: cables })
    }
}

impl Deref for Bare {
    type Target = Lan;

    fn deref(&self) -> &Lan {
        &self.lan
    }
}

/// A host whatever the order of its rules that masquerade, which says nothing.
fn facts(dump: &Dump) -> Vec<String> {
    let mut facts: Vec<_> = format!("{:?}", dump.unnumbered()).lines().map(str::to_owned).collect();
    facts.sort();
    facts
}

fn saved(state: &StateDir) -> PathBuf {
    state.path().join("kept/saved.json")
}

#[test]
fn a_host_is_brought_about_from_nothing() {
    let Some(lan) = Bare::enter() else { return };
    furnish(lan.host());
    lan.settle();
    let before = Dump::take().unnumbered();
    // What others have made is theirs.
    ip("link add docker0 address 02:42:00:00:00:01 type bridge");
    let _guest = lan.dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(name("vif1.0"), name("xenbr0"), lock()).dom0(Access::Open);
    let told = lan.host().snapshot().unwrap().operations();
    lan.host().attach_vif(&attachment).unwrap();
    assert_eq!(lan.host().snapshot().unwrap().operations(), told, "of guests nothing is told");
    assert_eq!(lan.host().run_all(&told).unwrap(), Outcome::Unchanged);
    let text = serde_json::to_string(&told).unwrap();
    drop(lan);
    let Some(lan) = Bare::enter() else { return };
    lan.host().run_all(&Operation::from_json(&text).unwrap()).unwrap();
    lan.settle();
    Dump::take().unnumbered().assert_same(&before, "after it was brought about again");
    assert_eq!(lan.host().snapshot().unwrap().operations(), told);
}

#[test]
fn a_reboot_and_a_flush_are_made_good() {
    let kept = StateDir::new();
    let file = saved(&kept);
    let Some(lan) = Bare::enter() else { return };
    furnish(lan.host());
    lan.settle();
    lan.host().save(&file).unwrap();
    let before = Dump::take();
    assert_eq!(lan.host().restore(&file, NOT_AT_ALL).unwrap(), Outcome::Unchanged);
    nft("flush ruleset");
    let plan = lan.host().plan_restore(&file).unwrap();
    assert!(!plan.is_empty());
    assert_eq!(lan.host().restore(&file, NOT_AT_ALL).unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after a flush");
    assert!(lan.host().plan_restore(&file).unwrap().is_empty());
    // Only a part of it is gone, by a verb of ours.
    lan.host().stop_network(&network("network-virtual bridgeip=10.98.98.1/24 dom0=services(dns)")).unwrap();
    assert_eq!(lan.host().restore(&file, NOT_AT_ALL).unwrap(), Outcome::Changed);
    lan.settle();
    assert_eq!(facts(&Dump::take()), facts(&before), "after a network was stopped");
    drop(lan);
    let Some(lan) = Bare::enter() else { return };
    lan.host().restore(&file, NOT_AT_ALL).unwrap();
    lan.settle();
    Dump::take().unnumbered().assert_same(&before.unnumbered(), "after a reboot");
    assert!(lan.host().verify().unwrap().is_sound());
}

/// A guest is held again as it was, and never learns that it was not.
#[test]
fn guests_that_run_are_held_again_after_a_flush() {
    let Some(estate) = Estate::build() else { return };
    let file = saved(&estate.dom0.state);
    estate.host().save(&file).unwrap();
    let before = estate.dump();
    nft("flush ruleset");
    assert_eq!(estate.host().restore(&file, NOT_AT_ALL).unwrap(), Outcome::Changed);
    estate.dump().assert_same(&before, "after a flush");
    estate.assert_held();
}

#[test]
fn an_uplink_that_is_not_there_is_named_and_waited_for() {
    let Some(dom0) = Dom0::enter() else { return };
    let file = saved(&dom0.state);
    let plug = || dom0.cable("eth7", "02:00:00:00:00:07");
    let _cable = plug();
    dom0.host.start_network(&network("network-virtual bridgeip=10.98.98.1/24")).unwrap();
    dom0.host.start_network(&network("network-bridge netdev=eth7 bridge=zbr")).unwrap();
    dom0.host.save(&file).unwrap();
    for line in ["network-bridge netdev=eth7 bridge=zbr", "network-virtual bridgeip=10.98.98.1/24"] {
        assert!(dom0.host.stop_network(&network(line)).unwrap().is_changed(), "{line}");
    }
    ip("link delete eth7");
    let before = Dump::take();
    for within in [NOT_AT_ALL, Duration::from_millis(50)] {
        let error = dom0.host.restore(&file, within).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
        assert_eq!(
            error.to_string(),
            "cannot start the network of zbr: no interface named eth7; the line is 'network-bridge bridge=zbr \
             netdev=eth7'"
        );
        assert!(error.advice().unwrap().contains("--wait"));
        assert_eq!(dom0.host.plan_restore(&file).unwrap_err().to_string(), error.to_string());
        Dump::take().assert_same(&before, "by what cannot be brought about");
    }
    let is_watched = || {
        let sockets = std::fs::read_to_string("/proc/thread-self/net/netlink").unwrap();
        sockets.lines().skip(1).any(|line| line.split_whitespace().nth(3).is_some_and(|groups| groups != "00000000"))
    };
    assert!(!is_watched());
    std::thread::scope(|threads| {
        let waiting = threads.spawn(|| dom0.host.restore(&file, LONG));
        wait_for("somebody who watches", is_watched);
        let _cable = plug();
        assert_eq!(waiting.join().unwrap().unwrap(), Outcome::Changed);
    });
    assert_eq!(dom0.host.snapshot().unwrap().networks.len(), 2);
}

/// What is refused changes nothing, also where there is something to mend.
#[test]
fn a_file_that_cannot_be_used_changes_nothing() {
    let Some(dom0) = Dom0::enter() else { return };
    let file = saved(&dom0.state);
    dom0.host.start_network(&network("network-virtual bridgeip=10.98.98.1/24")).unwrap();
    dom0.host.save(&file).unwrap();
    nft("flush ruleset");
    let before = Dump::take();
    let whole = std::fs::read_to_string(&file).unwrap();
    for (text, kind) in [
        (whole.replace("\"version\": 1", "\"version\": 2"), ErrorKind::Unsupported),
        (whole[..whole.len() / 2].to_owned(), ErrorKind::Parse),
        (whole.replace("bridgeip=10.98.98.1/24", "bridgeip=somewhere"), ErrorKind::Parse),
    ] {
        std::fs::write(&file, text).unwrap();
        assert_eq!(dom0.host.restore(&file, LONG).unwrap_err().kind(), kind);
    }
    std::fs::remove_file(&file).unwrap();
    assert_eq!(dom0.host.restore(&file, LONG).unwrap_err().kind(), ErrorKind::NotFound);
    Dump::take().assert_same(&before, "by a file that cannot be used");
}

#[test]
fn what_dead_guests_left_goes_and_nothing_else() {
    let vifs = ["vif1.0", "vif3.0", "vif4.0", "vif4.0-emu"];
    let Some(estate) = Estate::build() else { return };
    let another = estate.dom0.guest("vif9.0", "00:16:3e:00:00:09");
    let counted = Attachment::bridged(another.name, name("xenbr0"), xenvnet_core::Antispoof::new(another.mac));
    estate.host().attach_vif(&counted.accounted(true).untracked(true)).unwrap();
    for vif in vifs {
        ip(&format!("link delete {vif}"));
    }
    // Not a leftover: it is not mended by the way.
    nft("flush chain bridge xenvnet check_arp");
    nft("delete element bridge xenvnet own_mac { \"vif2.0\" . 00:16:3e:00:00:02 }");
    let damaged = estate.dump();
    let (left, rest): (Vec<_>, Vec<_>) =
        estate.host().verify().unwrap().findings.into_iter().partition(|finding| finding.kind() == "leftover");
    assert_eq!(left.len(), 11, "{left:?}");
    assert!(rest.len() >= 2, "{rest:?}");
    let sweep = estate.host().verify().unwrap().leftovers();
    assert_eq!(estate.host().apply(&sweep.repair).unwrap_err().kind(), ErrorKind::InvalidArgument);
    estate.dump().assert_same(&damaged, "by looking");
    let report = estate.host().gc().unwrap();
    assert_eq!(report.findings, left);
    assert_eq!(estate.host().verify().unwrap().findings, rest, "nothing else changed");
    assert_eq!(estate.host().gc().unwrap().findings, []);
    let rules = nft_ruleset();
    for vif in vifs {
        assert!(
            !rules.contains(&format!("\"{vif}\"")) && !rules.contains(&format!("ingress-{vif} ")),
            "{vif}: {rules}"
        );
    }
    assert!(!rules.contains(&OWN.to_string()), "the address that was not tracked: {rules}");
    assert!(rules.contains("\"vif2.0\"") && rules.contains("\"vif9.0\""));
    // Of who is gone with an account, that stays.
    ip("link delete vif9.0");
    assert!(!estate.host().gc().unwrap().findings.is_empty());
    assert!(estate.host().snapshot().unwrap().accounts.contains_key(&name("vif9.0")));
    assert!(!nft_ruleset().contains("00:16:3e:00:00:09"));
    // What is left is mended as ever.
    estate.host().repair().unwrap();
    assert!(estate.host().verify().unwrap().findings.iter().all(|finding| matches!(finding, Finding::Pair { .. })));
}
