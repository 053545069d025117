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

/// By hand, and then started for good: the deadline of the former start is none of this one.
#[test]
fn what_was_stopped_and_started_anew_outlives_the_former_deadline() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let sentinel = guard.sentinel().unwrap();
    let Operation::StartNetwork(network) = start() else { unreachable!("it starts one") };
    maker.run_provisionally(&[start()], Duration::ZERO).unwrap();
    // By another process than the one that began.
    assert_eq!(guard.stop_network(&network).unwrap(), Outcome::Changed);
    assert_eq!(guard.start_network(&network).unwrap(), Outcome::Changed);
    let running = Dump::take();
    assert_eq!(sentinel.look().unwrap(), Unconfirmed::Nothing);
    Dump::take().assert_same(&running, "after the former deadline");
    // A stop that is provisional itself closes nothing.
    let _ = guard.stop_network(&network).unwrap();
    let before = Dump::take();
    maker.run_provisionally(&[start()], LONG).unwrap();
    maker.run_provisionally(&[Operation::StopNetwork(network)], Duration::ZERO).unwrap();
    assert!(matches!(sentinel.look().unwrap(), Unconfirmed::PutBack(_)), "the stop was not put back");
    assert_ne!(Dump::take(), before);
    assert!(matches!(sentinel.look().unwrap(), Unconfirmed::Waiting(_)), "nobody waits for the start any more");
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

/// What came later to a network stands on what came before.
#[test]
fn two_that_nobody_confirms_end_where_they_began() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let stop = || Operation::StopNetwork("network-virtual".parse().unwrap());
    let sentinel = guard.sentinel().unwrap();
    let none = Dump::take();
    let put_back = |changes: [(Operation, Duration); 2]| {
        for (change, within) in changes {
            assert_eq!(maker.run_provisionally(&[change], within).unwrap(), Outcome::Changed);
        }
        while sentinel.look().unwrap() != Unconfirmed::Nothing {}
    };
    put_back([(start(), Duration::ZERO), (stop(), LONG)]);
    Dump::take().assert_same(&none, "none ran before");
    let _ = maker.run(&start()).unwrap();
    let running = Dump::take().unnumbered();
    put_back([(stop(), Duration::ZERO), (start(), LONG)]);
    Dump::take().unnumbered().assert_same(&running, "one ran before");
}

/// By whoever says it without a deadline, though it is so already.
#[test]
fn what_is_wanted_for_good_is_confirmed() {
    let Some((_dom0, _state, maker, guard)) = pair() else { return };
    let sentinel = guard.sentinel().unwrap();
    let _ = maker.run_provisionally(&[start()], Duration::ZERO).unwrap();
    let running = Dump::take();
    assert_eq!(guard.run(&start()).unwrap(), Outcome::Unchanged);
    assert_eq!(sentinel.look().unwrap(), Unconfirmed::Nothing);
    Dump::take().assert_same(&running, "after the deadline");
}

/// A network of an uplink with a guest on it, and its stop that nobody confirms; another toolstack, with a
/// state directory of its own, comes in between.
struct Stopped {
    site: Site,
    _guest: FakeVif,
    _states: [StateDir; 2],
    network: Network,
    running: Dump,
    maker: Host,
    guard: Host,
    other: Host,
}

impl Stopped {
    fn provisionally(line: &str, bridge: &str) -> Option<Stopped> {
        let site = Site::plain()?;
        let states = [StateDir::new(), StateDir::new()];
        let open = |state: &StateDir| Host::options().state_dir(state.path()).open().unwrap();
        let [maker, guard, other] = [&states[0], &states[0], &states[1]].map(open);
        let network: Network = line.parse().unwrap();
        let _ = maker.start_network(&network).unwrap();
        let guest = site.dom0.guest("vif3.0", "00:16:3e:00:00:03");
        let lock = Antispoof::new("00:16:3e:00:00:03".parse().unwrap()).ip("192.0.2.77".parse().unwrap());
        let attachment = Attachment::bridged(guest.name, bridge.parse().unwrap(), lock);
        let _ = maker.run(&Operation::AttachVif(attachment)).unwrap();
        let running = Dump::take().unnumbered();
        let sentinel = guard.sentinel().unwrap();
        let stop = Operation::StopNetwork(network.clone());
        assert_eq!(maker.run_provisionally(&[stop], Duration::ZERO).unwrap(), Outcome::Changed);
        drop(sentinel);
        Some(Stopped { site, _guest: guest, _states: states, network, running, maker, guard, other })
    }

    fn look(&self) -> xenvnet_core::Result<Unconfirmed> {
        self.guard.sentinel().unwrap().look()
    }

    #[track_caller]
    fn assert_runs(&self) {
        Dump::take().unnumbered().assert_same(&self.running, "the network runs again");
        assert!(answers(&self.site.far, self.site.address4), "the host is reached");
        assert!(self.maker.verify().unwrap().is_sound());
    }
}

const LINES: [(&str, &str); 2] =
    [("network-bridge netdev=eth0", "eth0"), ("network-bridge netdev=eth0 bridge=xenbr0", "xenbr0")];

#[test]
fn a_stop_that_nobody_confirms_is_followed_by_a_start() {
    for (line, bridge) in LINES {
        let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
        assert!(matches!(stopped.look().unwrap(), Unconfirmed::PutBack(_)), "{line}");
        stopped.assert_runs();
    }
}

#[test]
fn what_was_started_again_meanwhile_is_left_alone() {
    for (line, bridge) in LINES {
        // By the one who stopped it: then nobody waits any more.
        let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
        assert_eq!(stopped.maker.start_network(&stopped.network).unwrap(), Outcome::Changed);
        let running = Dump::take();
        assert_eq!(stopped.look().unwrap(), Unconfirmed::Nothing, "{line}");
        Dump::take().assert_same(&running, line);
        drop(stopped);
        // By another, of whom the first does not know.
        let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
        assert_eq!(stopped.other.start_network(&stopped.network).unwrap(), Outcome::Changed);
        let running = Dump::take();
        assert!(matches!(stopped.look().unwrap(), Unconfirmed::PutBack(plan) if plan.is_empty()), "{line}");
        Dump::take().assert_same(&running, line);
        assert!(answers(&stopped.site.far, stopped.site.address4), "{line}: the host is reached");
    }
}

#[test]
fn another_network_under_the_name_is_left_alone() {
    let (line, bridge) = LINES[1];
    let another = "network-virtual bridge=xenbr0".parse().unwrap();
    let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
    assert_eq!(stopped.other.start_network(&another).unwrap(), Outcome::Changed);
    let running = Dump::take();
    let error = stopped.look().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Undo, "{error}");
    Dump::take().assert_same(&running, "the card is on no bridge of others");
    assert!(answers(&stopped.site.far, stopped.site.address4), "the host is reached");
    // Until somebody says that it is well so.
    assert_eq!(stopped.maker.confirm().unwrap(), Outcome::Changed);
    assert_eq!(stopped.look().unwrap(), Unconfirmed::Nothing);
}

#[test]
fn a_guest_that_went_elsewhere_meanwhile_stays_there() {
    let (line, bridge) = LINES[1];
    let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
    let _ = stopped.other.start_network(&"network-virtual bridge=xenbr5".parse().unwrap()).unwrap();
    let lock = Antispoof::new("00:16:3e:00:00:03".parse().unwrap()).ip("10.6.7.3".parse().unwrap());
    let vif = "vif3.0".parse().unwrap();
    let attachment = Attachment::bridged(vif, "xenbr5".parse().unwrap(), lock.clone());
    let _ = stopped.other.run(&Operation::AttachVif(attachment)).unwrap();
    assert!(matches!(stopped.look().unwrap(), Unconfirmed::PutBack(_)));
    let snapshot = stopped.maker.snapshot().unwrap();
    assert_eq!(snapshot.link(vif).unwrap().master, Some("xenbr5".parse().unwrap()));
    assert_eq!(snapshot.guards[&vif].lock, lock.into());
    assert!(stopped.maker.verify().unwrap().is_sound());
}

#[test]
fn a_guest_that_was_detached_meanwhile_does_not_come_back_without_its_lock() {
    let (line, bridge) = LINES[1];
    let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
    let _ = stopped.other.detach_vif("vif3.0".parse().unwrap()).unwrap();
    assert!(matches!(stopped.look().unwrap(), Unconfirmed::PutBack(_)));
    let vif = &ip_json("link show dev vif3.0")[0];
    assert!(vif["master"].is_null() && !vif["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"), "{vif}");
}

/// The plain kind: another toolstack started it since.
#[test]
fn an_undone_stop_does_nothing_where_it_was_started_since() {
    let (line, bridge) = LINES[0];
    let Some(stopped) = Stopped::provisionally(line, bridge) else { return };
    let _ = stopped.maker.confirm().unwrap();
    let _ = stopped.other.start_network(&stopped.network).unwrap();
    let running = Dump::take();
    assert_eq!(stopped.maker.undo().unwrap(), Outcome::Unchanged);
    Dump::take().assert_same(&running, "an undo with nothing to do");
}

/// As whoever loses the network may do in his need.
#[test]
fn a_card_that_was_set_down_is_given_back_up() {
    let Some(site) = Site::plain() else { return };
    let state = StateDir::new();
    let open = || Host::options().state_dir(state.path()).open().unwrap();
    let (maker, guard) = (open(), open());
    let sentinel = guard.sentinel().unwrap();
    let start = Operation::StartNetwork("network-bridge netdev=eth0 bridge=xenbr0".parse().unwrap());
    let _ = maker.run_provisionally(&[start], Duration::ZERO).unwrap();
    ip("link set eth0 down");
    assert!(matches!(sentinel.look().unwrap(), Unconfirmed::PutBack(plan) if !plan.is_empty()));
    assert!(!ip("link show").contains("xenbr0"));
    assert!(ip("-4 -o addr show dev eth0").contains("192.0.2.10/24"));
    assert!(answers(&site.dom0.namespace(), Site::GATEWAY4), "the gateway is reached by the card");
}
