//! Guests that lie all the time while they come and go: routed ones, and those with two cards.

use crate::load::{DISCARD, Market, honest, other_lock, spoofed};
use crate::matrix::{OWN, VICTIM, lock, victims_lock};
use crate::proof::{name, wait_for};
use xenvnet_core::{Attachment, Lock};
use xenvnet_tests::{Dom0, Flood, Tally};

const ROUNDS: usize = 1000;

/// Whatever gets past the filter of the interface is counted, under both names that it has.
#[test]
fn a_routed_one_is_never_up_without_its_lock() {
    let Some(dom0) = Dom0::enter() else { return };
    let sender = dom0.guest("vif1.0", &OWN.to_string());
    let truth = format!("ether saddr {OWN} ether daddr {VICTIM} udp sport {DISCARD} udp dport {DISCARD}");
    let passed = Tally::of_names(&dom0.namespace(), &["vif1.0", "web"], &truth);
    let lies = Flood::start(sender.raw(), spoofed(), honest(), 0);
    let (host, vif) = (&dom0.host, sender.name);
    let attachment = Attachment::routed(vif, lock()).gateway("10.98.98.1".parse().unwrap());
    let renamed = attachment.clone().rename(name("web"));
    for round in 0..ROUNDS {
        host.attach_vif(&attachment).unwrap();
        if round % 50 == 0 {
            let before = passed.count().expected;
            wait_for("the truth", || passed.count().expected > before);
        }
        host.set_antispoof(vif, other_lock()).unwrap();
        host.set_antispoof(vif, Lock::Disabled).unwrap();
        host.attach_vif(&renamed).unwrap();
        host.undo().unwrap();
        host.detach_vif(vif).unwrap();
    }
    host.attach_vif(&attachment).unwrap();
    let lies = lies.stop().repeated;
    let strange = passed.count().strange;
    println!("a routed vif that came and went {} times: {lies} passed, {strange} failed", ROUNDS);
    assert!(lies > 0 && strange == 0, "{strange} of {lies} lies: {passed}");
    // The control: without a lock they are counted.
    host.clear_antispoof(vif).unwrap();
    let lies = Flood::start(sender.raw(), spoofed(), honest(), 0);
    wait_for("a lie", || passed.count().strange > 0);
    lies.stop();
}

/// Its first port is pinned as long as it is alone, and both are held otherwise from then on.
#[test]
fn one_with_two_cards_is_never_up_without_its_lock() {
    let Some(market) = Market::build() else { return };
    let tap = market.dom0.guest("vif1.0-emu", &OWN.to_string());
    let host = market.host();
    let attach = |vif, lock| host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), lock)).unwrap();
    attach(market.victim.name, victims_lock());
    let (vif, emulated) = (market.sender.name, tap.name);
    let lies = [market.lies(), Flood::start(tap.raw(), spoofed(), honest(), 1)];
    for _ in 0..ROUNDS / 4 {
        attach(vif, lock());
        attach(emulated, lock());
        host.set_antispoof(emulated, other_lock()).unwrap();
        host.set_antispoof(vif, lock()).unwrap();
        host.detach_vif(emulated).unwrap();
        host.detach_vif(vif).unwrap();
    }
    attach(vif, lock());
    attach(emulated, lock());
    let lies: u64 = lies.map(|lies| lies.stop().repeated).iter().sum();
    let leaks = market.leaks();
    println!("a pair that came and went {} times: {lies} passed, {} failed", ROUNDS / 4, leaks.len());
    assert!(lies > 0 && leaks.is_empty(), "of {lies} lies:\n{}", leaks.join("\n"));
    market.proves_that_lies_are_counted();
}
