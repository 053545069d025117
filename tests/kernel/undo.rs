//! All or nothing: what failed, what was cut off, and what is asked to be put back.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use std::sync::{Arc, Mutex};
use xenvnet_core::transport::{self, Fault, Faulting};
use xenvnet_core::{
    Antispoof, Attachment, Bridge, Error, ErrorKind, Host, Lock, Masquerade, Operation, Outcome, Result,
};
use xenvnet_tests::{Dom0, Dump, StateDir, ip, program};

const EBUSY: i32 = 16;
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
fn faulty(dom0: &Dom0) -> (Host, Arc<Mutex<Option<Fault>>>) {
    let fault = Arc::new(Mutex::new(None));
    let shared = fault.clone();
    let host = Host::options()
        .state_dir(dom0.state.path())
        .transport(move |protocol| Ok(Box::new(Faulting::new(protocol, transport::kernel(protocol)?, shared.clone()))))
        .open()
        .unwrap();
    (host, fault)
}

/// Whatever message of an operation the kernel refuses, the host is as it was; and when none is
/// refused, the operation succeeds. Of a long batch, which stands or falls as a whole, every n-th.
#[track_caller]
fn survives_every_fault(dom0: &Dom0, operation: &Operation, nth: usize) {
    let (host, fault) = faulty(dom0);
    let before = Dump::take();
    for errno in [EBUSY, ENOMEM] {
        let mut failed = 0;
        for after in (0..).step_by(nth) {
            *fault.lock().unwrap() = Some(Fault { after, errno });
            let result = host.run(operation);
            let struck = fault.lock().unwrap().take().is_none();
            match result {
                Err(error) => {
                    assert!(struck, "{operation}: {error}");
                    assert_ne!(error.kind(), ErrorKind::Undo, "{operation}: {error}");
                    Dump::take().assert_same(&before, &format!("after {operation} failed at message {after}: {error}"));
                    failed += 1;
                }
                Ok(outcome) => {
                    assert_eq!(outcome, Outcome::Changed);
                    host.undo().unwrap();
                    Dump::take().unnumbered().assert_same(&before.unnumbered(), "after it was undone");
                    if !struck {
                        break;
                    }
                }
            }
            assert!(after < 500, "{operation} never ends");
        }
        assert!(failed > 0, "{operation}: no message could be refused");
    }
    drop(host);
}

/// Which is what the kernel says of the client of a wireless network.
#[test]
fn an_uplink_that_takes_no_frames_for_others_is_refused_with_advice() {
    let Some(dom0) = Dom0::enter() else { return };
    let _air = dom0.cable("wlan0", "02:00:00:00:00:09");
    ip("link set wlan0 up");
    let (host, fault) = faulty(&dom0);
    let network = "network-bridge bridge=xenbr0 netdev=wlan0".parse().unwrap();
    let before = Dump::take();
    let refused = (0..100).find_map(|after| {
        *fault.lock().unwrap() = Some(Fault { after, errno: EOPNOTSUPP });
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
fn a_fault_at_any_message_of_a_bridge() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap()).mtu(9000);
    survives_every_fault(&dom0, &Operation::CreateBridge(bridge), 1);
}

#[test]
fn a_fault_at_any_message_of_an_attach() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock()).rename(name("web")).mtu(1400);
    // With the table, which is more than a hundred messages; then without.
    survives_every_fault(&dom0, &Operation::AttachVif(attachment.clone()), 12);
    let other = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    dom0.host.attach_vif(&Attachment::bridged(other.name, name("xenbr0"), Lock::Disabled)).unwrap();
    survives_every_fault(&dom0, &Operation::AttachVif(attachment), 1);
}

#[test]
fn a_fault_at_any_message_of_a_change_and_of_a_detach() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    let other = Antispoof::new("00:16:3e:00:00:77".parse().unwrap()).ip("10.98.98.7".parse().unwrap());
    survives_every_fault(&dom0, &Operation::SetAntispoof { vif: guest.name, lock: other.into() }, 1);
    survives_every_fault(&dom0, &Operation::SetAntispoof { vif: guest.name, lock: Lock::Disabled }, 1);
    survives_every_fault(&dom0, &Operation::ClearAntispoof { vif: guest.name }, 1);
    survives_every_fault(&dom0, &Operation::ReleaseVif { vif: guest.name }, 1);
    survives_every_fault(&dom0, &Operation::DetachVif { vif: guest.name }, 1);
}

#[test]
fn a_fault_at_any_message_of_a_network() {
    let Some(dom0) = Dom0::enter() else { return };
    let network = "network-virtual bridgeip=10.98.98.1/24".parse().unwrap();
    survives_every_fault(&dom0, &Operation::StartNetwork(network), 1);
    let rule = Masquerade::new("10.0.0.0/8".parse().unwrap());
    survives_every_fault(&dom0, &Operation::MasqueradeSubnet(rule), 1);
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
        let (host, fault) = faulty(&dom0);
        *fault.lock().unwrap() = Some(Fault { after, errno: ENOMEM });
        if host.create_bridge(&Bridge::new(name("xenbr1"))).is_ok() {
            fault.lock().unwrap().take();
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
