//! A crowd on one host: whatever many do at once, it is as if one after the other had done it.
//!
//! Each call is one transaction, so there is an order that explains all outcomes and what the kernel
//! holds in the end. It is not searched for but read from the calls' own words with the kernel: no
//! two calls speak with it at once, so who spoke first was first.

mod facts;
mod first_use;
mod model;

use crate::proof::name;
use model::Model;
use std::collections::BTreeMap;
use xenvnet_core::{Antispoof, Attachment, Bridge, Dom0 as Access, IfName, Lock, MacAddr, Operation};
use xenvnet_tests::{Call, Dom0, FakeVif, Member, StateDir, act_at_once, ip, sysctl_set, word};

const PROGRAM: &str = env!("CARGO_BIN_EXE_crowd_member");

/// Numbers that look like chance, and are the same again for the same seed (splitmix64).
struct Chance(u64);

impl Chance {
    /// By `XENVNET_SEED`, or new ones each time.
    fn new() -> Chance {
        let given = std::env::var("XENVNET_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed = given.unwrap_or_else(|| std::process::id().into());
        println!("XENVNET_SEED={seed}");
        Chance(seed)
    }

    /// One of the first `count` numbers.
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % count
    }

    fn lock(&mut self, guest: u64) -> Lock {
        let lock = Antispoof::new(mac(guest)).link_local(false);
        match self.below(8) {
            0 => Lock::Disabled,
            variant => lock.ip(format!("10.0.{guest}.{variant}").parse().unwrap()).into(),
        }
    }

    /// What a call asks for.
    fn operations(&mut self) -> Vec<Operation> {
        let guest = 1 + self.below(GUESTS);
        let vif = vif(guest);
        let bridge = name(["xenbr0", "xenbr1", "xenbr2"][self.below(3) as usize]);
        let subnet = format!("10.98.{}.0/24", self.below(2)).parse().unwrap();
        let port = format!("tcp:{}", 8000 + self.below(2));
        let attach =
            |lock: Lock, accounted| Operation::AttachVif(Attachment::bridged(vif, bridge, lock).accounted(accounted));
        let one = match self.below(24) {
            0..4 => {
                let lock = self.lock(guest);
                attach(lock, self.below(3) == 0)
            }
            4 => attach(Lock::Unlocked, false),
            5..7 => Operation::DetachVif { vif },
            7..9 => Operation::SetAntispoof { vif, lock: self.lock(guest) },
            9 => Operation::ClearAntispoof { vif },
            10 => Operation::ReleaseVif { vif },
            11..14 => Operation::CreateBridge(Bridge::new(bridge)),
            14 => Operation::DeleteBridge { bridge },
            15 => Operation::MasqueradeSubnet(xenvnet_core::Masquerade::new(subnet)),
            16 => Operation::UnmasqueradeSubnet(xenvnet_core::Masquerade::new(subnet)),
            17 => Operation::ForwardPort(format!("{port} to 10.0.{guest}.1:80").parse().unwrap()),
            18 => Operation::UnforwardPort { port: port.parse().unwrap() },
            19 => Operation::SetDom0 { interface: bridge, access: Access::Closed },
            20 => Operation::SetDom0 { interface: bridge, access: Access::Open },
            21 => Operation::ForgetAccount { name: vif },
            22 => return vec![Operation::DetachVif { vif }, attach(self.lock(guest), false)],
            _ => return vec![Operation::CreateBridge(Bridge::new(bridge)), attach(self.lock(guest), true)],
        };
        vec![one]
    }

    /// What so many threads of a process do in so many calls.
    fn member(&mut self, state: &StateDir, threads: usize, calls: usize) -> Member {
        let mut thread = || (0..calls).map(|_| self.operations()).collect();
        let threads = (0..threads).map(|_| thread()).collect();
        Member { state: Some(state.path().to_owned()), shared: false, threads }
    }
}

const GUESTS: u64 = 6;

fn vif(guest: u64) -> IfName {
    name(&format!("vif{guest}.0"))
}

/// The MAC address of a guest.
fn mac(guest: u64) -> MacAddr {
    MacAddr::new([0, 0x16, 0x3e, 0, 0, guest as u8])
}

/// Guests that say nothing at all, so that nothing is counted, and whose interfaces differ by nothing
/// but what the model knows.
fn guests(dom0: &Dom0, count: u64) -> Vec<FakeVif> {
    let guest = |n| {
        let guest = dom0.guest(vif(n).as_str(), &mac(n).to_string());
        ip(&format!("link set {} address fe:ff:ff:ff:ff:ff addrgenmode none", guest.name));
        guest.guest.within(|| sysctl_set("ipv6/conf/eth0/disable_ipv6", "1"));
        guest
    };
    (1..=count).map(guest).collect()
}

/// Calls in the order in which they spoke with the kernel; an error where two spoke at once.
fn in_order(mut calls: Vec<Call>) -> Result<Vec<Call>, String> {
    calls.sort_by_key(|call| call.spoke);
    let spoke = |call: &Call| call.spoke.expect("no call is answered without the kernel");
    match calls.windows(2).find(|pair| spoke(&pair[0]).1 > spoke(&pair[1]).0) {
        Some(pair) => Err(format!("two calls at once: {:?} and {:?}", pair[0], pair[1])),
        None => Ok(calls),
    }
}

/// The host that calls in this order leave, and how often each outcome was; an error at the first
/// outcome that the model would not have had.
fn explained(calls: &[Call]) -> Result<(Model, BTreeMap<String, usize>), String> {
    let mut model = Model::of((1..=GUESTS).map(vif));
    let mut outcomes = BTreeMap::new();
    for call in calls {
        let before = model.clone();
        let expected = word(&model.call(&call.operations));
        if call.said != expected {
            let Call { operations, said, error, .. } = call;
            return Err(format!("{operations:?}: {said} {error}, not {expected}, on {before:#?}"));
        }
        *outcomes.entry(expected).or_default() += 1;
    }
    Ok((model, outcomes))
}

/// The model explains each outcome, and in the end the kernel is as it says.
#[track_caller]
fn explain(calls: Vec<Call>) {
    let mut calls = in_order(calls).unwrap_or_else(|error| panic!("{error}"));
    let (model, outcomes) = explained(&calls).unwrap_or_else(|error| panic!("{error}"));
    println!("{} calls: {outcomes:?}", calls.len());
    assert!(["changed", "unchanged", "not_found", "conflict"].iter().all(|word| outcomes.contains_key(*word)));
    model.is_so();
    // The control: another order explains nothing.
    calls.reverse();
    assert!(explained(&calls).is_err());
}

/// How many times as long where `XENVNET_SOAK` asks for it.
fn length() -> usize {
    if std::env::var_os("XENVNET_SOAK").is_some() { 10 } else { 1 }
}

#[test]
fn eight_processes_of_four_threads_are_one_after_the_other() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guests = guests(&dom0, GUESTS);
    let mut chance = Chance::new();
    let members: Vec<_> = (0..8).map(|_| chance.member(&dom0.state, 4, 50 * length())).collect();
    explain(act_at_once(PROGRAM, &members));
    assert!(dom0.host.verify().unwrap().is_sound());
}

#[test]
fn threads_that_share_a_host_are_one_after_the_other() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guests = guests(&dom0, GUESTS);
    let member = Chance::new().member(&dom0.state, 32, 30 * length());
    explain(act_at_once(PROGRAM, &[Member { shared: true, ..member }]));
    assert!(dom0.host.verify().unwrap().is_sound());
}

/// The control: those who do not meet in one directory do speak at once, and it is seen.
#[test]
fn those_who_meet_nowhere_are_seen_to_speak_at_once() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guests = guests(&dom0, GUESTS);
    let mut chance = Chance::new();
    let apart = [StateDir::new(), StateDir::new()];
    let members: Vec<_> = apart.iter().map(|state| chance.member(state, 1, 300)).collect();
    assert!(in_order(act_at_once(PROGRAM, &members)).is_err());
}
