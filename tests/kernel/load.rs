//! A lock under load: while it changes, while its guest comes and goes, while many change it.
//!
//! One guest sends frames that every lock here allows, and the whole matrix of those that none
//! does. Each that comes in anywhere is counted by the kernel, so that one lost or one too many
//! shows among millions.

use crate::matrix::{Kind, OUTSIDE, OWN, VICTIM, cases, lock, victims_lock};
use crate::proof::{bridge_by_ip, name, wait_for};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, Host, Lock, MacAddr, Operation, Outcome};
use xenvnet_tests::{
    Dom0, FakeVif, Flood, Frame, Ip4, Learning, Tally, bridge_json, ether, ip, nft, nft_json, program, udp,
};

/// Long for a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// The discard port (RFC 863), which no case of the matrix uses.
pub(crate) const DISCARD: u16 = 9;

/// What the sender may say to the victim under every lock here.
pub(crate) fn honest() -> Frame {
    let packet = Ip4::new([10, 98, 98, 2].into(), [10, 98, 98, 3].into());
    ether(VICTIM, OWN, 0x0800, &packet.carry(&udp(DISCARD, DISCARD, &[0; 18])))
}

/// What the victim answers.
fn answer() -> Frame {
    let packet = Ip4::new([10, 98, 98, 3].into(), [10, 98, 98, 2].into());
    ether(OWN, VICTIM, 0x0800, &packet.carry(&udp(DISCARD, DISCARD, &[0; 18])))
}

/// What the sender may say under no lock here: every hostile frame of the matrix, and LLDP by
/// which a bridge would learn that the outside, which says nothing here, is where the sender is.
pub(crate) fn spoofed() -> Vec<Frame> {
    let lldp = ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0x0e]), OUTSIDE, 0x88cc, &[2, 7, 4, 2, 0, 0, 0, 0, 9, 0, 0]);
    let hostile = cases().into_iter().filter(|case| case.kind == Kind::Hostile).flat_map(|case| case.frames);
    hostile.chain([lldp]).collect()
}

/// A lock that differs from the other in all but what [`honest`] frames need.
pub(crate) fn other_lock() -> Antispoof {
    ["10.98.98.2", "198.51.100.7", "198.51.100.128/25", "2001:db8:5151::7", "2001:db8:5152::/64"]
        .iter()
        .fold(Antispoof::new(OWN), |lock, ip| lock.ip(ip.parse().unwrap()))
        .mac("00:16:3e:00:00:31".parse().unwrap())
        .dhcp_client(true)
        .link_local(false)
}

/// A bridge with the guest that sends, a guest that hears, and a cable to the outside; and whoever
/// could hear, counting.
pub(crate) struct Market {
    pub(crate) sender: FakeVif,
    pub(crate) victim: FakeVif,
    _outside: FakeVif,
    /// Of what the victim hears; of what the sender is answered.
    heard: [Tally; 2],
    /// Where nothing is ever to be heard.
    silent: Vec<(&'static str, Tally)>,
    pub(crate) dom0: Dom0,
}

impl Market {
    pub(crate) fn build() -> Option<Market> {
        let dom0 = Dom0::enter()?;
        bridge_by_ip("xenbr0");
        let outside = dom0.cable("peth0", &OUTSIDE.to_string());
        ip("link set peth0 master xenbr0");
        let sender = dom0.guest("vif1.0", &OWN.to_string());
        let victim = dom0.guest("vif2.0", &VICTIM.to_string());
        let discard = |from, to| format!("ether saddr {from} ether daddr {to} udp sport {DISCARD} udp dport {DISCARD}");
        let heard = [
            Tally::of_frames(&victim.guest, "eth0", &discard(OWN, VICTIM)),
            Tally::of_frames(&sender.guest, "eth0", &discard(VICTIM, OWN)),
        ];
        let silent = vec![
            ("the outside", Tally::of_frames(&outside.guest, "eth0", "")),
            ("dom0's bridge", Tally::of_frames(&dom0.namespace(), "xenbr0", "")),
            ("dom0's IP layer", Tally::of_packets(&dom0.namespace())),
            ("dom0's ARP", Tally::of_arp(&dom0.namespace())),
        ];
        Some(Market { sender, victim, _outside: outside, heard, silent, dom0 })
    }

    pub(crate) fn host(&self) -> &Host {
        &self.dom0.host
    }

    /// Both guests attached with a lock.
    fn attach(&self) {
        for (guest, lock) in [(&self.sender, lock()), (&self.victim, victims_lock())] {
            self.host().attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock)).unwrap();
        }
        self.sender.wait_for_carrier();
        self.victim.wait_for_carrier();
    }

    /// The sender lies, and these say the truth: the first to the victim, the second to the sender.
    fn talk(&self, truths: Vec<Flood>) -> Talk<'_> {
        Talk { market: self, lies: self.lies(), truths }
    }

    /// The sender says every lie that there is, the truth after each round, and begins again.
    pub(crate) fn lies(&self) -> Flood {
        Flood::start(self.sender.raw(), spoofed(), honest(), 0)
    }

    fn truth(&self) -> Flood {
        Flood::start(self.sender.raw(), Vec::new(), honest(), 1)
    }

    fn answers(&self) -> Flood {
        Flood::start(self.victim.raw(), Vec::new(), answer(), 0)
    }

    /// What came in anywhere that should not, in words.
    pub(crate) fn leaks(&self) -> Vec<String> {
        let heard = ["the victim", "the sender"].into_iter().zip(&self.heard);
        let all = heard.chain(self.silent.iter().map(|(ear, tally)| (*ear, tally)));
        let leaks = all.map(|(ear, tally)| (ear, tally, tally.count().strange)).filter(|(.., strange)| *strange > 0);
        leaks.map(|(ear, tally, strange)| format!("{strange} frames at {ear}: {tally}")).collect()
    }

    /// The control: once the sender has no lock, its lies come in everywhere.
    pub(crate) fn proves_that_lies_are_counted(&self) {
        self.host().clear_antispoof(self.sender.name).unwrap();
        let lies = self.lies();
        let ears = self.silent.iter().map(|(ear, tally)| (*ear, tally)).chain([("the victim", &self.heard[0])]);
        for (ear, tally) in ears {
            wait_for(&format!("a lie at {ear}"), || tally.count().strange > 0);
        }
        lies.stop();
    }
}

/// What is said on the market, until it is judged.
struct Talk<'a> {
    market: &'a Market,
    lies: Flood,
    truths: Vec<Flood>,
}

impl Talk<'_> {
    /// Everything true came in where it belongs, and nothing else came in anywhere.
    #[track_caller]
    fn judge(self, title: &str) {
        let lies = self.lies.stop();
        let mut said: Vec<u64> = self.truths.into_iter().map(|truth| truth.stop().last).collect();
        said[0] += lies.last;
        let lies = lies.repeated;
        let lost = || said.iter().zip(&self.market.heard).map(|(said, ear)| said.abs_diff(ear.count().expected)).sum();
        // What was said last is on its way.
        let deadline = Instant::now() + PATIENCE;
        while lost() != 0 && Instant::now() < deadline {}
        let (truths, lost, leaks): (u64, u64, _) = (said.iter().sum(), lost(), self.market.leaks());
        println!("{title}: {} passed, {} failed", lies + truths - lost, lost + leaks.len() as u64);
        assert!(lies > 0 && said.iter().all(|said| *said > 0), "{lies} lies were told, {said:?} truths");
        assert_eq!(lost, 0, "of {truths} truths");
        assert!(leaks.is_empty(), "of {lies} lies:\n{}", leaks.join("\n"));
    }
}

#[test]
fn a_lock_that_changes_under_load_loses_nothing_and_leaks_nothing() {
    let Some(market) = Market::build() else { return };
    market.attach();
    let talk = market.talk(vec![market.truth(), market.answers()]);
    for _ in 0..1000 {
        for lock in [other_lock(), lock()] {
            assert_eq!(market.host().set_antispoof(market.sender.name, lock).unwrap(), Outcome::Changed);
        }
    }
    talk.judge("a lock changed 2,000 times");
    market.proves_that_lies_are_counted();
}

/// The promise of the order in which a vif is attached, changed, renamed, put back and detached.
#[test]
fn one_that_lies_all_the_time_is_never_up_without_its_lock() {
    let Some(market) = Market::build() else { return };
    let host = market.host();
    let victim = Attachment::bridged(market.victim.name, name("xenbr0"), victims_lock());
    host.attach_vif(&victim).unwrap();
    let vif = market.sender.name;
    let attachment = Attachment::bridged(vif, name("xenbr0"), lock());
    let renamed = attachment.clone().rename(name("web"));
    let learning = Learning::watch();
    let ear = market.victim.raw();
    let lies = market.lies();
    let is_heard = || {
        // Only what is said from now on counts.
        while ear.pending().is_some() {}
        let deadline = Instant::now() + PATIENCE;
        while !honest().is(&ear.receive(deadline).expect("who is up is heard")) {}
    };
    let rounds = 1000;
    for _ in 0..rounds {
        host.attach_vif(&attachment).unwrap();
        is_heard();
        host.set_antispoof(vif, other_lock()).unwrap();
        host.attach_vif(&renamed).unwrap();
        is_heard();
        host.undo().unwrap();
        is_heard();
        host.set_antispoof(vif, lock()).unwrap();
        host.detach_vif(vif).unwrap();
        assert_eq!(learning.since(), []);
    }
    host.attach_vif(&attachment).unwrap();
    is_heard();
    let (lies, leaks) = (lies.stop().repeated, market.leaks());
    println!("a vif that came and went {rounds} times: {lies} passed, {} failed", leaks.len());
    assert!(lies > 0 && leaks.is_empty(), "of {lies} lies:\n{}", leaks.join("\n"));
    assert_eq!(learning.since(), []);
    market.proves_that_lies_are_counted();
    assert_ne!(learning.since(), [], "and what is learned is seen");
}

/// The fourth guest, which comes and goes while the others' locks change.
const PASSER_BY: &str = "vif4.0";

/// One of the locks that the n-th guest is given; all of them hold its first addresses.
fn nth_lock(guest: u8, variant: u8) -> Antispoof {
    let [mac, other] = [[0, guest], [guest, variant % 7]].map(|[a, b]| MacAddr::new([0, 0x16, 0x3e, 0, a, b]));
    let mut ips = vec![format!("10.98.98.{}", guest + 1), format!("198.51.100.{variant}")];
    match variant % 4 {
        0 => ips.push(format!("198.18.{variant}.0/24")),
        1 => ips.push(format!("2001:db8:5152:{variant:x}::/64")),
        // Too long for the comment that other locks are read from.
        2 => ips.extend((1..=8).map(|n| format!("2001:db8:5151:{variant:x}:1111:2222:3333:{n:x}"))),
        _ => ips.extend(["192.0.2.0/25".to_owned(), "2001:db8:5153::7".to_owned()]),
    }
    let lock =
        Antispoof::new(mac).mac(other).dhcp_client(variant.is_multiple_of(3)).link_local(variant.is_multiple_of(5));
    ips.iter().fold(lock, |lock, ip| lock.ip(ip.parse().unwrap()))
}

/// What one of several processes does, each beginning elsewhere. The first two guests talk
/// meanwhile, so what they may say stays; a third is shut up and set free.
fn work(process: usize, steps: usize) -> Vec<Operation> {
    let step = |step: usize| {
        let variant = ((step * 37 + process * 101) % 251) as u8;
        let lock = |guest| Lock::from(nth_lock(guest, variant));
        let set = |vif, lock| Operation::SetAntispoof { vif: name(vif), lock };
        let [passer_by, bridge] = [PASSER_BY, "xenbr0"].map(name);
        match (step + process) % 40 {
            0 => Operation::AttachVif(Attachment::bridged(passer_by, bridge, lock(4))),
            20 => Operation::DetachVif { vif: passer_by },
            1 => set("vif3.0", Lock::Disabled),
            21 => Operation::ClearAntispoof { vif: name("vif3.0") },
            n if n % 3 == 0 => set("vif3.0", lock(3)),
            n if n % 3 == 1 => set("vif2.0", lock(2)),
            _ => set("vif1.0", lock(1)),
        }
    };
    (0..steps).map(step).collect()
}

/// Runs operations of several processes at once, each by its own host; all succeed.
fn run_at_once(state: &Path, work: &[Vec<Operation>]) {
    let start = |operations: &Vec<Operation>| {
        let operations = operations.iter().map(|operation| serde_json::to_string(operation).unwrap());
        let mut command = Command::new(env!("CARGO_BIN_EXE_attach_once"));
        command.arg(state).args(operations).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
    };
    let processes: Vec<Child> = work.iter().map(start).collect();
    for (process, operations) in processes.into_iter().zip(work) {
        let said = String::from_utf8(process.wait_with_output().unwrap().stdout).unwrap();
        let outcomes = said.lines().filter(|line| ["changed", "unchanged"].contains(line)).count();
        assert_eq!(outcomes, operations.len(), "{}", said.lines().rev().take(3).collect::<Vec<_>>().join("\n"));
    }
}

/// What a lock says, in whatever order.
fn words(lock: &Lock) -> BTreeSet<String> {
    lock.to_string().split([' ', ',', '=']).map(str::to_owned).collect()
}

/// The sets that hold locks, as an administrator reads them, line by line.
fn locks_in_sets() -> BTreeSet<String> {
    let listing = nft_json("list sets bridge");
    let sets = listing["nftables"].as_array().into_iter().flatten().filter_map(|object| object["set"]["name"].as_str());
    let list = |set: &str| program("nft", &["-s", "list", "set", "bridge", "xenvnet", set]);
    let lines = |set: &str| list(set).lines().map(|line| format!("{set}: {}", line.trim())).collect::<Vec<_>>();
    sets.filter(|set| !set.starts_with("dropped_")).flat_map(lines).collect()
}

/// The addresses that are pinned to a port.
fn pinned(vif: &str) -> BTreeSet<String> {
    let table = bridge_json(&format!("fdb show br xenbr0 brport {vif}"));
    let pinned = table.as_array().unwrap().iter().filter(|entry| entry["state"] == "static");
    pinned.map(|entry| entry["mac"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn locks_that_eight_processes_change_at_once_hold_and_leave_nothing_behind() {
    let Some(market) = Market::build() else { return };
    market.attach();
    let host = market.host();
    let [third, _fourth] = ["vif3.0", PASSER_BY].map(|vif| market.dom0.guest(vif, "00:16:3e:00:00:33"));
    host.attach_vif(&Attachment::bridged(third.name, name("xenbr0"), Lock::Disabled)).unwrap();
    let talk = market.talk(vec![market.truth()]);
    let work: Vec<_> = (0..8).map(|process| work(process, 1250)).collect();
    run_at_once(market.dom0.state.path(), &work);
    talk.judge("locks changed 10,000 times by 8 processes");

    // What stands is one lock for each, none a mixture: the sets are what they are when these
    // locks are set where there was nothing.
    let guards = host.snapshot().unwrap().guards;
    let sets = locks_in_sets();
    nft("delete table bridge xenvnet");
    for (vif, guard) in &guards {
        let macs = guard.lock.macs().iter().map(ToString::to_string).collect();
        assert_eq!(pinned(vif.as_str()), macs, "what is pinned to {vif}");
        host.set_antispoof(*vif, guard.lock.clone()).unwrap();
    }
    assert_eq!(sets.symmetric_difference(&locks_in_sets()).collect::<Vec<_>>(), Vec::<&String>::new());
    // And what each has was asked for.
    for (vif, guest) in [("vif1.0", 1), ("vif2.0", 2)] {
        let lock = &guards[&name(vif)].lock;
        assert!((0..=250).any(|variant| words(&nth_lock(guest, variant).into()) == words(lock)), "{lock}");
    }
    market.proves_that_lies_are_counted();
}
