//! Who takes another's place in a bridge's table.
//!
//! A bridge learns where a station is from any frame with that station's address as its source. From
//! those to the reserved group addresses (IEEE 802.1Q, table 8-1) it learns where no prerouting rule
//! sees them: only the port's own flags keep a guest from it.

use crate::matrix::{OUTSIDE, OWN, VICTIM, lock, sentinel, victims_lock};
use crate::proof::name;
use std::time::{Duration, Instant};
use xenvnet_core::{Attachment, Bridge, Lock, MacAddr};
use xenvnet_tests::{Dom0, FakeVif, Frame, Path, bridge_json, ether, ip};

const NEIGHBOUR: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 3]);

/// Where each station is that somebody would like to be taken for: a locked guest, a guest without
/// a lock, a machine outside.
const STATIONS: [(MacAddr, &str); 3] = [(VICTIM, "vif2.0"), (NEIGHBOUR, "vif3.0"), (OUTSIDE, "peth0")];

/// The groups of bridges themselves, and those of protocols that register with them.
fn groups() -> impl Iterator<Item = u8> {
    (0x00..=0x0f).chain(0x20..=0x2f)
}

/// What a bridge neither forwards nor learns from, whoever sends it: a pause.
const PAUSE: u8 = 0x01;

struct Alley {
    thief: FakeVif,
    victim: FakeVif,
    neighbour: FakeVif,
    outside: FakeVif,
    dom0: Dom0,
}

impl Alley {
    fn build(stp: bool) -> Option<Alley> {
        let dom0 = Dom0::enter()?;
        dom0.host.create_bridge(&Bridge::new(name("xenbr0")).stp(stp)).unwrap();
        ip("link set xenbr0 type bridge mcast_snooping 0");
        if stp {
            // The shortest that the protocol allows: 2 seconds of listening, 2 of learning.
            ip("link set xenbr0 type bridge forward_delay 200");
        }
        let outside = dom0.cable("peth0", &OUTSIDE.to_string());
        ip("link set peth0 master xenbr0");
        let [thief, victim, neighbour] = [
            ("vif1.0", OWN, lock().into()),
            ("vif2.0", VICTIM, victims_lock().into()),
            ("vif3.0", NEIGHBOUR, Lock::Unlocked),
        ]
        .map(|(vif, mac, lock)| {
            let guest = dom0.guest(vif, &mac.to_string());
            dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock)).unwrap();
            guest
        });
        Some(Alley { thief, victim, neighbour, outside, dom0 })
    }

    fn path(&self) -> Path {
        self.thief.wait_for_carrier();
        let ears = vec![("the victim", self.victim.raw()), ("the outside", self.outside.raw())];
        let mut path = Path::new(self.thief.raw(), ears, sentinel(OWN, "10.98.98.2".parse().unwrap()));
        path.send(&[]);
        path
    }

    /// Those whose place is learned say something, until each is where it belongs.
    fn everybody_speaks(&self) {
        let mouths = [(self.neighbour.raw(), NEIGHBOUR), (self.outside.raw(), OUTSIDE)];
        let deadline = Instant::now() + Duration::from_secs(10);
        while places() != STATIONS.map(|(_, port)| port) {
            assert!(Instant::now() < deadline, "the bridge does not learn: {:?}", places());
            for (mouth, mac) in &mouths {
                mouth.send(ether(OWN, *mac, 0x88b5, &[0; 46]).bytes());
            }
        }
    }
}

/// The port of each station, as the bridge's table has it.
fn places() -> [String; 3] {
    let table = bridge_json("fdb show br xenbr0");
    STATIONS.map(|(mac, _)| {
        let mut entries = table.as_array().into_iter().flatten();
        let entry = entries.find(|entry| entry["mac"] == mac.to_string().as_str());
        entry.and_then(|entry| entry["ifname"].as_str()).unwrap_or("nowhere").to_owned()
    })
}

/// Frames to a group under a station's address: of Ethernet II with a type that a lock lets
/// through and one that it does not, and of 802.3.
fn frames(group: u8, station: MacAddr) -> Vec<Frame> {
    let to = MacAddr::new([0x01, 0x80, 0xc2, 0, 0, group]);
    let snap = [&[0xaa, 0xaa, 3, 0, 0x0c, 0xcd][..], &[0; 40]].concat();
    [0x0806, 0x88cc, snap.len() as u16].map(|kind| ether(to, station, kind, &snap)).to_vec()
}

/// Tries to take each station's place by each group, and says in one line how often it went as it
/// should: a place is taken, or it is not. What went otherwise is the result.
fn steal(title: &str, alley: &Alley, is_taken: impl Fn(u8, MacAddr) -> bool) -> Vec<String> {
    let mut path = alley.path();
    let mut wrong = Vec::new();
    let mut tried = 0;
    for group in groups() {
        alley.everybody_speaks();
        for (station, _) in STATIONS {
            path.send(&frames(group, station));
        }
        for ((station, home), place) in STATIONS.into_iter().zip(places()) {
            tried += 1;
            let as_it_should_be = if is_taken(group, station) { "vif1.0" } else { home };
            if place != as_it_should_be {
                wrong.push(format!("group {group:02x}: {station} is at {place}, not at {as_it_should_be}"));
            }
        }
    }
    println!("{title}: {} passed, {} failed", tried - wrong.len(), wrong.len());
    wrong
}

#[track_caller]
fn expect_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_locked_guest_takes_nobodys_place() {
    let Some(alley) = Alley::build(false) else { return };
    expect_none(&steal("theft by a locked guest", &alley, |_, _| false));
    // The control: without the lock the same frames take every place that is not pinned.
    alley.dom0.host.clear_antispoof(alley.thief.name).unwrap();
    let taken = |group, station| group != PAUSE && station != VICTIM;
    expect_none(&steal("theft by an unlocked guest", &alley, taken));
}

#[test]
fn nor_where_the_bridge_speaks_the_spanning_tree_protocol() {
    let Some(alley) = Alley::build(true) else { return };
    expect_none(&steal("theft by a locked guest, STP", &alley, |_, _| false));
    alley.dom0.host.clear_antispoof(alley.thief.name).unwrap();
    let taken = |group, station| group != PAUSE && station != VICTIM;
    expect_none(&steal("theft by an unlocked guest, STP", &alley, taken));
}
