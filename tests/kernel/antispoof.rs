//! What a guest gets through, frame by frame: in every mode of dom0, under every lock.

use crate::matrix::{self, Case, Kind, OWN, VICTIM, cases, lock, sentinel};
use crate::proof::name;
use crate::street::{Mode, Street, THE_OTHER_GUEST, VIF};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, Lock, MacAddr};
use xenvnet_tests::{Arrivals, Frame, Path, bridge_json, ether, ip, nft, udp};

/// How the guest that sends is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// By nothing: as on a host without the library. The control of the matrix: what passes here
    /// and does not pass a lock was held by it.
    Unfiltered,
    /// By nothing, beside a guest that is locked.
    Unlocked,
    Disabled,
    Locked {
        dhcp: bool,
    },
}

use Held::{Disabled, Locked, Unfiltered, Unlocked};

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unfiltered => "unfiltered",
            Unlocked => "unlocked",
            Disabled => "disabled",
            Locked { dhcp: false } => "locked",
            Locked { dhcp: true } => "locked, DHCP client",
        })
    }
}

/// The whole table in a mode, under a lock: a test a line.
macro_rules! table {
    ($($test:ident: $mode:ident, $held:expr;)*) => {
        $(
            #[test]
            fn $test() {
                run_table(Mode::$mode, $held);
            }
        )*
    };
}

table! {
    bridged_without_a_filter: Bridged, Unfiltered;
    bridged_unlocked: Bridged, Unlocked;
    bridged_disabled: Bridged, Disabled;
    bridged_locked: Bridged, Locked { dhcp: false };
    bridged_locked_with_dhcp: Bridged, Locked { dhcp: true };
    brouter_without_a_filter: Brouter, Unfiltered;
    brouter_unlocked: Brouter, Unlocked;
    brouter_disabled: Brouter, Disabled;
    brouter_locked: Brouter, Locked { dhcp: false };
    brouter_locked_with_dhcp: Brouter, Locked { dhcp: true };
    routed_without_a_filter: Routed, Unfiltered;
    routed_unlocked: Routed, Unlocked;
    routed_disabled: Routed, Disabled;
    routed_locked: Routed, Locked { dhcp: false };
    routed_locked_with_dhcp: Routed, Locked { dhcp: true };
    nat_without_a_filter: Nat, Unfiltered;
    nat_unlocked: Nat, Unlocked;
    nat_disabled: Nat, Disabled;
    nat_locked: Nat, Locked { dhcp: false };
    nat_locked_with_dhcp: Nat, Locked { dhcp: true };
}

fn run_table(mode: Mode, held: Held) {
    let Some(street) = Street::build(mode) else { return };
    match held {
        Unfiltered => street.open_to_all(),
        Unlocked => street.attach(Lock::Unlocked),
        Disabled => street.attach(Lock::Disabled),
        Locked { dhcp } => street.attach(lock().dhcp_client(dhcp)),
    }
    let title = format!("{mode}, {held}");
    let mut path = if held == Disabled { street.path_of_the_mute() } else { street.path() };
    let tally = run(&title, &street, &mut path, held);
    if held == Unfiltered {
        println!("{title}: {} hostile cases got through", tally.hostile_through);
        assert!(tally.hostile_through >= 170);
    }
    tally.expect_all_right();
    assert!(held == Unfiltered || !street.has_learned(VICTIM));
}

/// What a run of the table found.
#[derive(Default)]
struct Tally {
    /// The cases that did not do as they should, in words.
    wrong: Vec<String>,
    /// How many hostile cases reached somebody, or took somebody's place.
    hostile_through: usize,
}

impl Tally {
    #[track_caller]
    fn expect_all_right(&self) {
        assert!(self.wrong.is_empty(), "\n{}", self.wrong.join("\n"));
    }
}

/// Sends every case and says in one line how many did as they should.
fn run(title: &str, street: &Street, path: &mut Path, held: Held) -> Tally {
    let mut tally = Tally::default();
    let cases = cases();
    for case in &cases {
        let frames: Vec<_> = case.frames.iter().map(|frame| street.aim(frame)).collect();
        let arrivals = path.send(&frames);
        let station = frames[0].source();
        let learned = station != OWN && street.has_learned(station);
        if learned {
            street.forget();
        }
        let anything = !arrivals.none() || learned;
        let whole = arrived_whole(street, &frames, &arrivals);
        if !as_it_should(street.mode, held, case, whole, anything) {
            let Case { what, source, kind, .. } = case;
            tally.wrong.push(format!("{kind:?} {what} ({source}): arrived {:?}, learned {learned}", arrivals.0));
        }
        tally.hostile_through += usize::from(case.kind == Kind::Hostile && anything);
    }
    for (ear, frame) in path.late() {
        tally.wrong.push(format!("late at {ear}: {:02x?}", frame.bytes()));
    }
    println!("{title}: {} passed, {} failed", cases.len() - tally.wrong.len().min(cases.len()), tally.wrong.len());
    tally
}

/// Whether each frame reached somebody, and the victim if it is one that is routed there.
fn arrived_whole(street: &Street, frames: &[Frame], arrivals: &Arrivals) -> bool {
    let mut routed = frames.iter().enumerate().filter(|(_, frame)| street.leads_to_the_victim(frame));
    arrivals.all(frames.len()) && routed.all(|(n, _)| arrivals.at(n, THE_OTHER_GUEST))
}

/// Under a lock, legitimate frames arrive whole and of hostile ones nothing does.
fn as_it_should(mode: Mode, held: Held, case: &Case, whole: bool, anything: bool) -> bool {
    // The locked guest's place is pinned: a frame that only learns takes nothing.
    let pinned = held == Unlocked && mode.is_bridge() && case.frames[0].source() == VICTIM;
    match (held, case.kind) {
        (Disabled, _) => !anything,
        (_, Kind::Legitimate) => whole,
        (Locked { dhcp }, Kind::Dhcp) => {
            if dhcp {
                whole
            } else {
                !anything
            }
        }
        (Locked { .. }, Kind::Hostile | Kind::Inert) => !anything,
        (Unfiltered | Unlocked, Kind::Dhcp) => whole,
        (Unfiltered | Unlocked, Kind::Hostile) => anything || pinned,
        (Unfiltered | Unlocked, Kind::Inert) => anything || mode.is_bridge(),
    }
}

#[test]
fn a_lock_set_on_a_running_bridged_guest_is_as_good_as_one_set_before() {
    lock_a_running_guest(Mode::Bridged);
}

#[test]
fn a_lock_set_on_a_running_routed_guest_is_as_good_as_one_set_before() {
    lock_a_running_guest(Mode::Routed);
}

fn lock_a_running_guest(mode: Mode) {
    let Some(street) = Street::build(mode) else { return };
    street.attach(Lock::Unlocked);
    let locked = Locked { dhcp: true };
    assert!(!run(&format!("{mode}, before the lock"), &street, &mut street.path(), locked).wrong.is_empty());
    street.host().set_antispoof(name(VIF), lock().dhcp_client(true)).unwrap();
    run(&format!("{mode}, after the lock"), &street, &mut street.path(), locked).expect_all_right();
}

#[test]
fn a_renamed_guest_is_as_locked() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock().dhcp_client(true));
    let renamed = Attachment::bridged(name(VIF), name("xenbr0"), lock().dhcp_client(true)).rename(name("web"));
    assert!(street.host().attach_vif(&renamed).unwrap().is_changed());
    run("renamed", &street, &mut street.path(), Locked { dhcp: true }).expect_all_right();
}

#[test]
fn the_mac_lock_outlives_the_rules() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock());
    nft("flush ruleset");
    let mut path = street.path();
    for case in cases().iter().filter(|case| case.what.starts_with("MAC of") || case.what.starts_with("foreign MAC")) {
        assert!(path.send(&case.frames).none(), "{}", case.what);
    }
    for case in cases().iter().filter(|case| case.what.contains("to steal")) {
        let _ = path.send(&case.frames);
        assert!(!street.has_learned(VICTIM), "{}", case.what);
    }
}

#[test]
fn a_lock_is_set_again_after_the_rules_were_flushed() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock().dhcp_client(true));
    nft("flush ruleset");
    let again = Attachment::bridged(name(VIF), name("xenbr0"), lock().dhcp_client(true));
    assert!(street.host().attach_vif(&again).unwrap().is_changed());
    let foreign = ether(VICTIM, OWN, 0x0800, &matrix::foreign_packet());
    assert!(street.path().send(&[foreign]).none());
    assert!(bridge_json("-d fdb show br xenbr0").to_string().contains(&OWN.to_string()));
}

#[test]
fn a_guest_renamed_behind_our_back_is_shut_up() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock());
    let mut path = street.path_of_the_mute();
    let honest = sentinel(OWN, "10.98.98.2".parse().unwrap());
    assert!(path.send(std::slice::from_ref(&honest)).all(1), "before it is renamed");
    ip("link set vif1.0 down");
    ip("link set vif1.0 name other");
    ip("link set other up");
    wait_until_it_forwards("other");
    assert!(path.send(&[honest]).none(), "an interface of a guest that is not locked is dropped");
}

#[test]
fn a_guest_set_up_by_someone_else_without_a_lock_is_shut_up() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock());
    street.host().detach_vif(name(VIF)).unwrap();
    ip("link set vif1.0 master xenbr0");
    ip("link set vif1.0 up");
    wait_until_it_forwards(VIF);
    let honest = sentinel(OWN, "10.98.98.2".parse().unwrap());
    assert!(street.path_of_the_mute().send(&[honest]).none());
    // Given a lock, it speaks again.
    street.host().set_antispoof(name(VIF), lock()).unwrap();
    let honest = sentinel(OWN, "10.98.98.2".parse().unwrap());
    assert!(street.path_of_the_mute().send(&[honest]).all(1));
}

/// A port forwards when its carrier has come.
fn wait_until_it_forwards(port: &str) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while bridge_json(&format!("link show dev {port}"))[0]["state"] != "forwarding" {
        assert!(Instant::now() < deadline, "{port} never forwards");
    }
}

#[test]
fn several_macs_of_one_guest_are_its_own() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    let second: MacAddr = "00:16:3e:00:00:11".parse().unwrap();
    let both = Antispoof::new(OWN).mac(second).ip("10.98.98.2".parse().unwrap());
    street.attach(both);
    let mut path = street.path();
    let from = |mac, ip: &str| sentinel(mac, ip.parse().unwrap());
    assert!(path.send(&[from(OWN, "10.98.98.2"), from(second, "10.98.98.2")]).all(2));
    assert!(path.send(&[from(VICTIM, "10.98.98.2"), from(second, "10.98.98.3")]).none());
    for mac in [OWN, second] {
        let fdb = bridge_json("fdb show br xenbr0").to_string();
        assert!(fdb.contains(&mac.to_string()), "{fdb}");
    }
}

/// The promise of the order in which a vif is attached, changed and detached.
#[test]
fn one_that_never_stops_sending_gets_nothing_through_meanwhile() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock());
    let foreign = ether(VICTIM, OWN, 0x0800, &matrix::foreign_packet());
    let stolen = ether(VICTIM, "02:00:00:00:00:66".parse().unwrap(), 0x88b5, &udp(1, 2, &[0; 46]).bytes);
    let rounds = 50;
    let heard = while_sending(&street, &[&foreign, &stolen], || {
        for _ in 0..rounds {
            street.host().detach_vif(name(VIF)).unwrap();
            let first = Attachment::bridged(name(VIF), name("xenbr0"), lock());
            street.host().attach_vif(&first).unwrap();
            let other = lock().ip("192.0.2.0/24".parse().unwrap()).dhcp_client(true);
            street.host().set_antispoof(name(VIF), other).unwrap();
            street.host().set_antispoof(name(VIF), Lock::Disabled).unwrap();
            street.host().attach_vif(&first).unwrap();
        }
    });
    assert_eq!(heard, 0, "foreign frames that arrived in {rounds} rounds");
    // The control: the same sender is heard at once when it is let.
    let heard = while_sending(&street, &[&foreign, &stolen], || {
        street.host().clear_antispoof(name(VIF)).unwrap();
        let ear = street.victim.raw();
        let deadline = Instant::now() + Duration::from_secs(10);
        while !foreign.is(&ear.receive(deadline).expect("an unlocked sender is heard")) {}
    });
    assert!(heard > 0, "an unlocked sender is heard");
}

/// How many of the frames that the sender repeats as fast as it can reached the outside or the
/// victim while something was done.
fn while_sending(street: &Street, frames: &[&Frame], what: impl FnOnce()) -> usize {
    let (sender, ears) = (street.sender.raw(), [street.victim.raw(), street.outside.raw()]);
    let done = AtomicBool::new(false);
    let is_one = |heard: &[u8]| frames.iter().any(|frame| frame.is(heard));
    std::thread::scope(|scope| {
        let counter = scope.spawn(|| {
            let mut heard = 0;
            while !done.load(Ordering::Relaxed) {
                frames.iter().for_each(|frame| sender.send(frame.bytes()));
                for ear in &ears {
                    heard += std::iter::from_fn(|| ear.pending()).filter(|frame| is_one(frame)).count();
                }
            }
            heard + ears.iter().flat_map(|ear| std::iter::from_fn(|| ear.pending())).filter(|f| is_one(f)).count()
        });
        // A failed assertion must not leave the sender going on for ever.
        let outcome = catch_unwind(AssertUnwindSafe(what));
        done.store(true, Ordering::Relaxed);
        let heard = counter.join().unwrap();
        outcome.unwrap_or_else(|panic| resume_unwind(panic));
        heard
    })
}
