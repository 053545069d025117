//! All or nothing: what failed, what was cut off, and what is asked to be put back.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use xenvnet_core::transport::{Fault, Faults};
use xenvnet_core::{Antispoof, Attachment, Bridge, Error, ErrorKind, Host, Operation, Outcome, Result};
use xenvnet_tests::{Dom0, Dump, StateDir, ip, program};

const ENOMEM: i32 = 12;
const EOPNOTSUPP: i32 = 95;

/// The call fails and the host is as it was.
#[track_caller]
fn fails(what: &str, call: impl FnOnce() -> Result<Outcome>) -> Error {
    let before = Dump::take();
    let error = call().expect_err(what);
    Dump::take().assert_same(&before, what);
    error
}

#[test]
fn the_third_of_three_fails_and_none_is_attached() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _uplink = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("link set peth0 master xenbr0");
    program("bridge", &["fdb", "add", "00:16:3e:00:00:03", "dev", "peth0", "master", "static", "sticky"]);
    let guests: Vec<_> = (1..=3).map(|n| dom0.guest(&format!("vif{n}.0"), &format!("00:16:3e:00:00:0{n}"))).collect();
    let attachments: Vec<_> =
        guests.iter().map(|guest| Attachment::bridged(guest.name, name("xenbr0"), Antispoof::new(guest.mac))).collect();
    let error = fails("three attachments of which one cannot be", || dom0.host.attach_vifs(&attachments));
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "cannot pin 00:16:3e:00:00:03 to vif3.0: peth0 has that address on xenbr0");
    assert_eq!(dom0.host.attach_vifs(&attachments[..2]).unwrap(), Outcome::Changed);
}

#[test]
fn a_vif_that_vanishes_after_the_plan() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    let attach = Operation::AttachVif(Attachment::bridged(name("vif1.0"), name("xenbr0"), lock()));
    let plan = dom0.host.plan(&[Operation::CreateBridge(Bridge::new(name("xenbr1"))), attach]).unwrap();
    ip("link del vif1.0");
    let error = fails("a plan for a vif that is gone", || dom0.host.apply(&plan));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no interface named vif1.0"), "{error}");
}

#[test]
fn a_name_that_is_taken_after_the_plan() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock()).rename(name("web"));
    let plan = dom0.host.plan(&[Operation::AttachVif(attachment)]).unwrap();
    let _other = dom0.cable("web", "02:00:00:00:00:09");
    let error = fails("a plan for a name that is taken", || dom0.host.apply(&plan));
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), "cannot rename vif1.0 to web: the name web is taken (kernel: File exists)");
}

/// A host whose kernel answers one message with an error.
fn faulty(dom0: &Dom0) -> (Host, Faults) {
    let faults = Faults::default();
    (Host::options().state_dir(dom0.state.path()).transport(faults.opener()).open().unwrap(), faults)
}

/// Which is what the kernel says of the client of a wireless network.
#[test]
fn an_uplink_that_takes_no_frames_for_others_is_refused_with_advice() {
    let Some(dom0) = Dom0::enter() else { return };
    let _air = dom0.cable("wlan0", "02:00:00:00:00:09");
    ip("link set wlan0 up");
    let (host, faults) = faulty(&dom0);
    let network = "network-bridge bridge=xenbr0 netdev=wlan0".parse().unwrap();
    let before = Dump::take();
    let refused = (0..100).find_map(|after| {
        faults.plan(Fault::refusal(EOPNOTSUPP, after));
        let Err(error) = host.start_network(&network) else {
            // A kernel without policy rules, say.
            let _ = host.stop_network(&network).unwrap();
            return None;
        };
        Dump::take().assert_same(&before, &error.to_string());
        error.to_string().starts_with("cannot enslave wlan0 to xenbr0").then_some(error)
    });
    let error = refused.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("it cannot carry other machines' frames"), "{error}");
    assert!(error.advice().unwrap_or_default().contains("network-nat netdev=wlan0"), "{error}: {:?}", error.advice());
}

#[test]
fn the_last_change_is_put_back_by_whomever() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let before = Dump::take();
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    let other = Host::options().state_dir(dom0.state.path()).open().unwrap();
    assert_eq!(other.undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after the attach was undone");
}

#[test]
fn undo_goes_back_to_the_beginning_and_then_says_so() {
    let Some(dom0) = Dom0::enter() else { return };
    let before = Dump::take();
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after the bridge was undone");
    let error = dom0.host.undo().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot undo the last change: no change was made, or it was undone already");
}

#[test]
fn a_failed_change_is_not_what_undo_puts_back() {
    let Some(dom0) = Dom0::enter() else { return };
    let before = Dump::take();
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    dom0.host.enslave_vif(name("vif9.9"), name("xenbr0")).unwrap_err();
    dom0.host.undo().unwrap();
    Dump::take().assert_same(&before, "after the bridge was undone");
}

/// Those who open a host tidy up what nobody will ask for again.
#[test]
fn what_failed_or_was_undone_since_is_not_in_the_way_of_undo() {
    let Some(dom0) = Dom0::enter() else { return };
    let open = || Host::options().state_dir(dom0.state.path()).open().unwrap();
    let before = Dump::take();
    let _ = open().create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    for after in 0.. {
        let (host, faults) = faulty(&dom0);
        faults.plan(Fault::refusal(ENOMEM, after));
        if host.create_bridge(&Bridge::new(name("xenbr1"))).is_ok() {
            faults.end();
            let _ = host.undo().unwrap();
            break;
        }
        assert!(after < 500, "it never ends");
    }
    assert_eq!(open().undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after the first bridge was undone");
}

#[test]
fn two_state_directories_are_two_histories() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    let elsewhere = StateDir::new();
    let other = Host::options().state_dir(elsewhere.path()).open().unwrap();
    assert_eq!(other.undo().unwrap_err().kind(), ErrorKind::NotFound);
}
