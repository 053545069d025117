//! What a call is about goes away in the middle of it: before each word that the call says to the
//! kernel, and at any moment.

use crate::matrix::{OWN, lock, victims_lock};
use crate::proof::{name, wait_for};
use std::sync::Barrier;
use xenvnet_core::{Attachment, Bridge, Error, ErrorKind, Host, IfName, Operation, Outcome};
use xenvnet_tests::{Deed, Dom0, FakeVif, Meddling, Namespace, ip, ip_json, nft_ruleset};

fn vif() -> IfName {
    name("vif1.0")
}

fn bridged() -> Operation {
    Operation::AttachVif(Attachment::bridged(vif(), name("xenbr0"), lock()).accounted(true))
}

fn renamed() -> Operation {
    Operation::AttachVif(Attachment::bridged(vif(), name("xenbr0"), lock()).rename(name("web")))
}

fn routed() -> Operation {
    Operation::AttachVif(Attachment::routed(vif(), lock()).gateway("10.98.98.1".parse().unwrap()))
}

fn detached() -> Operation {
    Operation::DetachVif { vif: vif() }
}

fn relocked() -> Operation {
    Operation::SetAntispoof { vif: vif(), lock: victims_lock().into() }
}

/// A host with a bridge, and a guest whose interface was told this before.
fn host(before: Option<&Operation>) -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    let guest = dom0.guest(vif().as_str(), &OWN.to_string());
    before.map(|operation| dom0.host.run(operation).unwrap());
    Some((dom0, guest))
}

/// Has an interface deleted in the middle of a call, before its first word, its second one, and so on
/// until it has no more. What became of the call is judged each time.
fn before_each_word(
    gone: &str,
    before: Option<Operation>,
    call: &Operation,
    judge: impl Fn(&Dom0, Result<Outcome, Error>),
) {
    for after in 0.. {
        let Some((dom0, _guest)) = host(before.as_ref()) else { return };
        // By its number: the call may rename it.
        let deed =
            Deed::new(&format!("link del dev if{}", ip_json(&format!("link show dev {gone}"))[0]["ifindex"]), after);
        let meddled = deed.clone();
        let open = move |protocol| Meddling::open(protocol, &meddled);
        let host = Host::options().state_dir(dom0.state.path()).transport(open).open().unwrap();
        let result = host.run(call);
        if !deed.is_done() {
            println!("{call}: {gone} vanishes before each of {after} words");
            assert!(after > 2 && result.is_ok());
            break;
        }
        judge(&dom0, result);
    }
}

/// Nothing speaks of the vif, but its account, which stays by design.
#[track_caller]
fn assert_nothing_of_the_vif() {
    let rules = nft_ruleset();
    let accounts = rules.split("table ").find(|table| table.starts_with("bridge xenvnet_accounts")).unwrap_or_default();
    let rules = rules.replace(accounts, "");
    assert!(!rules.contains("vif1.0") && !rules.contains("\"web\""), "{rules}");
}

#[test]
fn a_vif_may_vanish_before_each_word() {
    let calls = [
        (None, renamed()),
        (None, routed()),
        (Some(bridged()), relocked()),
        (Some(bridged()), detached()),
        (Some(routed()), detached()),
    ];
    for (before, call) in calls {
        before_each_word("vif1.0", before, &call, |dom0, result| {
            result.map_err(|error| assert_eq!(error.kind(), ErrorKind::NotFound, "{error}"));
            dom0.host.detach_vif(vif()).unwrap();
            assert_nothing_of_the_vif();
            // The next one of that name is nobody's heir.
            let _guest = dom0.guest(vif().as_str(), &OWN.to_string());
            assert_eq!(dom0.host.run(&bridged()).unwrap(), Outcome::Changed);
            assert!(dom0.host.verify().unwrap().is_sound());
        });
    }
}

#[test]
fn a_bridge_may_vanish_before_each_word() {
    for (before, call) in [(None, bridged()), (Some(bridged()), relocked()), (Some(bridged()), detached())] {
        before_each_word("xenbr0", before.clone(), &call, |dom0, result| {
            let failed = result.map_err(|error| assert_eq!(error.kind(), ErrorKind::NotFound, "{error}")).is_err();
            if failed && before.is_none() {
                assert_nothing_of_the_vif();
                let link = &ip_json("link show dev vif1.0")[0];
                assert_eq!((&link["operstate"], &link["group"]), (&"DOWN".into(), &"default".into()));
            }
            dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
            dom0.host.run(&bridged()).unwrap();
            assert!(dom0.host.verify().unwrap().is_sound());
            assert_eq!(dom0.host.run(&detached()).unwrap(), Outcome::Changed);
            assert_nothing_of_the_vif();
        });
    }
}

/// At any moment: neither side waits for the other, and each round ends when both are done.
#[test]
fn a_vif_may_vanish_at_any_moment() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    let here = dom0.namespace();
    let (mut found, mut lost) = (0, 0);
    for round in 0..100 {
        let guest = dom0.guest(vif().as_str(), &OWN.to_string());
        if round % 2 == 1 {
            dom0.host.run(&bridged()).unwrap();
        }
        let call = [bridged(), detached()][round % 2].clone();
        let start = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                here.within(|| ip("link del vif1.0"));
            });
            start.wait();
            match dom0.host.run(&call) {
                Ok(_) => found += 1,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::NotFound, "{error}");
                    lost += 1;
                }
            }
        });
        drop(guest);
        dom0.host.run(&detached()).unwrap();
        assert_nothing_of_the_vif();
    }
    println!("{found} calls were sooner, {lost} later");
    assert!(dom0.host.verify().unwrap().is_sound());
}

/// Its last process ends: it is there as long as a host has it open, and no longer.
#[test]
fn a_namespace_lives_as_long_as_a_host_in_it() {
    let Some(dom0) = Dom0::enter() else { return };
    let elsewhere = Namespace::new();
    ip(&format!("link add cable type veth peer name vif1.0 netns {}", elsewhere.path()));
    let options = Host::options().netns(elsewhere.descriptor()).state_dir(dom0.state.path());
    let host = options.open().unwrap();
    drop(elsewhere);
    for _ in 0..20 {
        host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
        host.run(&bridged()).unwrap();
        assert!(host.verify().unwrap().is_sound());
        host.run(&detached()).unwrap();
        host.delete_bridge(name("xenbr0")).unwrap();
    }
    assert!(ip("link show").contains("cable"), "the other end of its cable");
    drop(host);
    wait_for("the end of the namespace", || !ip("link show").contains("cable"));
}
