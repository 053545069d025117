//! What was asked for is a memory, not a master: others set locks too, and interfaces die and come again.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use xenvnet_core::{Antispoof, Attachment, ErrorKind, Finding, Host};
use xenvnet_tests::{Dom0, StateDir, ip, nft, nft_ruleset};

fn kinds(host: &Host) -> Vec<&'static str> {
    host.verify().unwrap().findings.iter().map(Finding::kind).collect()
}

fn attached(dom0: &Dom0) -> xenvnet_tests::FakeVif {
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    guest
}

fn host_with(state: &StateDir) -> Host {
    Host::options().state_dir(state.path()).open().unwrap()
}

/// A number is not an interface: the next boot, or the next namespace, gives it to another one.
#[test]
fn a_number_that_another_interface_has_proves_nothing() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = attached(&dom0);
    let index = xenvnet_tests::ip_json("link show dev vif1.0")[0]["ifindex"].as_u64().unwrap();
    drop(guest);
    let _ = std::process::Command::new("ip").args(["link", "delete", "vif1.0"]).output();
    ip(&format!("link add eth0 index {index} type veth peer name far"));
    ip("link set eth0 up");
    let before = nft_ruleset();
    assert!(kinds(&dom0.host).iter().all(|kind| *kind == "leftover"), "{before}");
    dom0.host.repair().unwrap();
    assert!(!nft_ruleset().contains("eth0"), "{}", nft_ruleset());
    assert_eq!(xenvnet_tests::ip_json("link show dev eth0")[0]["group"], "default");
}

#[test]
fn a_lock_that_was_tightened_elsewhere_is_not_loosened() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = attached(&dom0);
    let other = StateDir::new();
    let tight = Antispoof::new(OWN).ip("10.98.98.2".parse().unwrap());
    host_with(&other).set_antispoof(guest.name, tight.clone()).unwrap();
    assert_eq!(kinds(&dom0.host), Vec::<&str>::new());
    let before = nft_ruleset();
    dom0.host.repair().unwrap();
    assert_eq!(nft_ruleset(), before);
    // It was remembered by being looked at.
    nft("flush ruleset");
    dom0.host.repair().unwrap();
    assert_eq!(dom0.host.snapshot().unwrap().guards[&guest.name].lock, tight.into());
}

#[test]
fn what_stood_before_there_was_a_memory_is_remembered_by_verify() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = attached(&dom0);
    let new = StateDir::new();
    let host = host_with(&new);
    assert_eq!(kinds(&host), Vec::<&str>::new());
    let before = nft_ruleset();
    nft("flush ruleset");
    host.repair().unwrap();
    assert_eq!(nft_ruleset(), before);
}

#[test]
fn a_network_whose_bridge_was_renamed_is_named_and_keeps_its_record() {
    let Some(dom0) = Dom0::enter() else { return };
    let line = "network-virtual bridgeip=10.98.98.1/24 dom0=closed";
    dom0.host.start_network(&line.parse().unwrap()).unwrap();
    ip("link set xenbr0 down");
    ip("link set xenbr0 name br9");
    assert_eq!(kinds(&dom0.host), ["no_bridge", "no_such_interface"]);
    let report = dom0.host.repair().unwrap();
    assert!(report.repair.is_empty() && report.findings.iter().all(|finding| !finding.is_repairable()));
    assert_eq!(dom0.host.snapshot().unwrap().networks.len(), 1);
    dom0.host.stop_network(&line.parse().unwrap()).unwrap();
    assert!(!nft_ruleset().contains("xenvnet"), "{}", nft_ruleset());
    ip("link delete br9");
}

/// By then it would take away what was set since.
#[test]
fn a_repair_that_was_planned_before_is_not_carried_out() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = attached(&dom0);
    nft("flush ruleset");
    let report = dom0.host.verify().unwrap();
    let error = dom0.host.apply(&report.repair).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    assert_eq!(
        error.to_string(),
        "cannot carry out a repair that was planned before: it says what all tables held when they were looked at"
    );
    assert_eq!(nft_ruleset(), "");
}
