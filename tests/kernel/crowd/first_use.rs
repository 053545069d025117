//! The first use of a host, by many at once: whatever tables are missing are made once.

use super::model::Model;
use super::{PROGRAM, guests, in_order, mac, vif};
use crate::proof::{bridge_by_ip, name};
use std::path::Path;
use xenvnet_core::{Antispoof, Attachment, Bridge, Dom0 as Access, Masquerade, Operation};
use xenvnet_tests::{Call, Dom0, Member, StateDir, act_at_once, rerun};

const MANY: u64 = 16;

fn attachment(guest: u64) -> Attachment {
    let lock = Antispoof::new(mac(guest)).ip(format!("10.0.0.{guest}").parse().unwrap()).link_local(false);
    Attachment::bridged(vif(guest), name("xenbr0"), lock)
}

/// One call for each guest, by a process of its own.
fn each(state: Option<&Path>, call: impl Fn(u64) -> Vec<Operation>) -> Vec<Call> {
    let member = |guest| Member { state: state.map(Path::to_owned), shared: false, threads: vec![vec![call(guest)]] };
    act_at_once(PROGRAM, &(1..=MANY).map(member).collect::<Vec<_>>())
}

#[test]
fn everything_is_made_once_whoever_comes_first() {
    for _ in 0..3 {
        let Some(dom0) = Dom0::enter() else { return };
        let _guests = guests(&dom0, MANY);
        let state = StateDir::new();
        // Each of them needs a bridge and all tables that there are.
        let calls = each(Some(state.path()), |guest| {
            vec![
                Operation::CreateBridge(Bridge::new(name("xenbr0"))),
                Operation::AttachVif(attachment(guest).accounted(true)),
                Operation::MasqueradeSubnet(Masquerade::new("10.0.0.0/24".parse().unwrap())),
                Operation::SetDom0 { interface: name("xenbr0"), access: Access::Closed },
                Operation::ForwardPort(format!("tcp:{} to 10.0.0.{guest}:80", 8000 + guest).parse().unwrap()),
            ]
        });
        let mut model = Model::of((1..=MANY).map(vif));
        for call in in_order(calls).unwrap() {
            assert_eq!((&*call.said, &*call.error), ("changed", ""));
            model.call(&call.operations).unwrap();
        }
        model.is_so();
        assert!(dom0.host.verify().unwrap().is_sound());
    }
}

/// Processes without a state directory do not wait for each other: a call may find that the table
/// which it missed is there by now, and then fails as a whole or looks again.
#[test]
fn who_does_not_wait_for_others_succeeds_or_changes_nothing() {
    if !is_without_a_state_directory("crowd::first_use::who_does_not_wait_for_others_succeeds_or_changes_nothing") {
        return;
    }
    for _ in 0..3 {
        let Some(dom0) = Dom0::enter() else { return };
        let _guests = guests(&dom0, MANY);
        bridge_by_ip("xenbr0");
        let calls = each(None, |guest| vec![Operation::AttachVif(attachment(guest))]);
        let changed = calls.iter().filter(|call| call.said == "changed").count();
        println!("{changed} of {MANY} at once");
        assert!(calls.iter().all(|call| !["internal", "undo"].contains(&&*call.said)), "{calls:#?}");
        // A call that failed left nothing that is in its way now, and one that did not lacks nothing.
        let mut model = Model::of((1..=MANY).map(vif));
        model.call(&[Operation::CreateBridge(Bridge::new(name("xenbr0")))]).unwrap();
        for (guest, call) in (1..).zip(&calls) {
            let done = dom0.host.attach_vif(&attachment(guest)).unwrap();
            assert_eq!(done.is_changed(), call.said != "changed", "{call:?}");
            model.call(&call.operations).unwrap();
        }
        model.is_so();
        assert!(dom0.host.verify().unwrap().is_sound());
        assert!(in_order(calls).is_err(), "the control: they did not wait for each other");
    }
}

/// Root of the whole system always has one; as root of a user namespace this test has none.
fn is_without_a_state_directory(test: &str) -> bool {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    let everybody = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    if everybody {
        rerun(test, &["unshare", "--map-root-user", "--net"]);
    }
    !everybody
}
