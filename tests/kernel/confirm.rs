//! Changes that are put back unless somebody confirms them.

use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, ErrorKind, Host, Network, Operation, Outcome, Unconfirmed};
use xenvnet_tests::{Dom0, Dump, FakeVif, Site, StateDir, answers, ip, ip_json};

const LONG: Duration = Duration::from_secs(3600);

fn start() -> Operation {
    Operation::StartNetwork("network-virtual".parse::<Network>().unwrap())
}

/// Two hosts of one namespace, as two processes have them: who changes, and who watches.
fn pair() -> Option<(Dom0, StateDir, Host, Host)> {
    let dom0 = Dom0::enter()?;
    let state = StateDir::new();
    let open = || Host::options().state_dir(state.path()).open().unwrap();
    let (maker, guard) = (open(), open());
    Some((dom0, state, maker, guard))
}

#[test]
fn nothing_provisional_begins_without_a_guard() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let before = Dump::take();
    let error = maker.run_provisionally(&[start()], LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert_eq!(
        error.to_string(),
        "cannot start the network of xenbr0: nobody would put it back: no guard is on the watch"
    );
    assert!(error.advice().is_some());
    Dump::take().assert_same(&before, "after a refusal");
    // One that went off the watch counts for nothing either.
    drop(guard.sentinel().unwrap());
    assert!(maker.run_provisionally(&[start()], LONG).is_err());
}

#[test]
fn one_guard_at_a_time() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let first = guard.sentinel().unwrap();
    assert_eq!(maker.sentinel().unwrap_err().kind(), ErrorKind::Busy);
    drop(first);
    assert!(maker.sentinel().is_ok());
}

#[test]
fn what_is_confirmed_stays() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let sentinel = guard.sentinel().unwrap();
    assert_eq!(maker.confirm().unwrap(), Outcome::Unchanged, "nothing was done yet");
    assert_eq!(maker.run_provisionally(&[start()], LONG).unwrap(), Outcome::Changed);
    let Unconfirmed::Waiting(left) = sentinel.look().unwrap() else { panic!("nothing waits") };
    assert!(left <= LONG);
    let running = Dump::take();
    assert_eq!(guard.confirm().unwrap(), Outcome::Changed, "by whatever process");
    assert_eq!(guard.confirm().unwrap(), Outcome::Unchanged);
    assert_eq!(sentinel.look().unwrap(), Unconfirmed::Nothing);
    Dump::take().assert_same(&running, "after it was confirmed");
    assert_eq!(maker.undo().unwrap(), Outcome::Changed, "it can be undone all the same");
}

#[test]
fn what_nobody_confirms_is_put_back() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let before = Dump::take();
    let sentinel = guard.sentinel().unwrap();
    maker.run_provisionally(&[start()], Duration::ZERO).unwrap();
    assert_ne!(Dump::take(), before);
    let Unconfirmed::PutBack(plan) = sentinel.look().unwrap() else { panic!("it was not put back") };
    assert!(plan.to_string().contains("- bridge xenbr0"), "{plan}");
    Dump::take().assert_same(&before, "after nobody confirmed");
    assert_eq!(sentinel.look().unwrap(), Unconfirmed::Nothing);
    assert_eq!(maker.confirm().unwrap(), Outcome::Unchanged, "too late");
    assert_eq!(maker.undo().unwrap_err().kind(), ErrorKind::NotFound, "nothing is left to undo");
}

#[test]
fn later_changes_do_not_hide_one_that_waits() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let before = Dump::take();
    let sentinel = guard.sentinel().unwrap();
    maker.run_provisionally(&[start()], Duration::ZERO).unwrap();
    maker.run(&Operation::MasqueradeSubnet("192.168.7.0/24".parse().unwrap())).unwrap();
    assert!(matches!(sentinel.look().unwrap(), Unconfirmed::PutBack(_)));
    assert!(!ip("link show").contains("xenbr0"));
    maker.run(&Operation::UnmasqueradeSubnet("192.168.7.0/24".parse().unwrap())).unwrap();
    Dump::take().assert_same(&before, "after both went");
}

#[test]
fn a_guard_that_comes_later_finds_what_waits() {
    let Some((_dom0, state, maker, guard)) = pair() else { return };
    let before = Dump::take();
    let sentinel = guard.sentinel().unwrap();
    maker.run_provisionally(&[start()], Duration::ZERO).unwrap();
    // Both are gone: killed, say.
    drop(sentinel);
    drop(maker);
    let later = Host::options().state_dir(state.path()).open().unwrap();
    assert!(matches!(later.sentinel().unwrap().look().unwrap(), Unconfirmed::PutBack(_)));
    Dump::take().assert_same(&before, "after a later guard came");
}

/// The uplink is behind a bridge, and then its address changes, as by DHCP, and a guest comes.
fn taken_over_and_lived_on(within: Duration) -> Option<(Site, FakeVif, StateDir, Host, Host)> {
    let site = Site::plain()?;
    let state = StateDir::new();
    let open = || Host::options().state_dir(state.path()).open().unwrap();
    let (maker, guard) = (open(), open());
    let sentinel = guard.sentinel().unwrap();
    let start = Operation::StartNetwork("network-bridge netdev=eth0 bridge=xenbr0".parse().unwrap());
    maker.run_provisionally(&[start], within).unwrap();
    drop(sentinel);
    ip("addr del 192.0.2.10/24 dev xenbr0");
    ip("addr add 192.0.2.20/24 dev xenbr0");
    ip("route replace default via 192.0.2.1 dev xenbr0");
    let guest = site.dom0.guest("vif3.0", "00:16:3e:00:00:03");
    let lock = Antispoof::new("00:16:3e:00:00:03".parse().unwrap()).ip("192.0.2.77".parse().unwrap());
    // By another state directory, as another toolstack has it: the first does not know of it.
    let other = StateDir::new();
    let toolstack = Host::options().state_dir(other.path()).open().unwrap();
    toolstack.run(&Operation::AttachVif(Attachment::bridged(guest.name, "xenbr0".parse().unwrap(), lock))).unwrap();
    Some((site, guest, state, maker, guard))
}

fn what_came_since_is_kept(site: &Site) {
    assert!(!ip("link show").contains("xenbr0"));
    let on_card = ip("-4 -o addr show dev eth0");
    assert!(on_card.contains("192.0.2.20/24") && !on_card.contains("192.0.2.10/24"), "{on_card}");
    assert!(ip("route show default").contains("via 192.0.2.1 dev eth0"));
    assert!(answers(&site.dom0.namespace(), Site::GATEWAY4), "the gateway is reached by the card");
    let vif = &ip_json("link show dev vif3.0")[0];
    assert!(
        !vif["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"),
        "no guest is up and off its bridge: {vif}"
    );
}

#[test]
fn what_nobody_confirms_is_stopped_with_what_came_since() {
    let Some((site, _guest, _state, _maker, guard)) = taken_over_and_lived_on(Duration::ZERO) else { return };
    assert!(matches!(guard.sentinel().unwrap().look().unwrap(), Unconfirmed::PutBack(_)));
    what_came_since_is_kept(&site);
}

#[test]
fn an_undone_start_is_a_stop_with_what_came_since() {
    let Some((site, _guest, _state, maker, guard)) = taken_over_and_lived_on(LONG) else { return };
    assert_eq!(guard.confirm().unwrap(), Outcome::Changed);
    let plan = maker.plan_undo().unwrap();
    assert!(plan.to_string().contains("+ address 192.0.2.20/24"), "{plan}");
    assert_eq!(maker.undo().unwrap(), Outcome::Changed);
    what_came_since_is_kept(&site);
}

#[test]
fn what_nobody_confirms_goes_also_from_under_what_was_built_on_it() {
    let Some((site, _guest, _state, maker, guard)) = taken_over_and_lived_on(Duration::ZERO) else { return };
    maker.run(&Operation::StartNetwork("network-nat netdev=xenbr0".parse().unwrap())).unwrap();
    assert!(matches!(guard.sentinel().unwrap().look().unwrap(), Unconfirmed::PutBack(_)));
    assert!(!ip("link show").contains("xenbr0"));
    assert!(answers(&site.dom0.namespace(), Site::GATEWAY4), "the gateway is reached by the card");
}
