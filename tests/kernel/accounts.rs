//! Traffic of guests, counted under their own names: by real frames, told by nft.

use crate::matrix::{OWN, OWN4, VICTIM, VICTIM4, foreign_packet, lock, victims_lock};
use crate::proof::{bridge_by_ip, name, prove, prove_again, wait_for};
use crate::untracked::bridged_packets_visit_ip;
use std::cell::Cell;
use std::time::{Duration, Instant};
use xenvnet_core::{Account, Antispoof, Attachment, Counter, Host, MacAddr, Operation, Outcome, Severity};
use xenvnet_tests::{
    Dom0, Dump, FakeVif, Frame, Ip4, RawSocket, StateDir, Witness, ether, hears, ip, nft, nft_json, nft_ruleset,
    program, sysctl_set, udp,
};

const BRIDGED: &str = "bridge xenvnet_accounts";
const ROUTED: &str = "inet xenvnet_accounts";

/// What nft tells of a name: what was sent and what was received.
fn told(table: &str, guest: &str) -> Option<[Counter; 2]> {
    let listing = nft_json(&format!("list table {table}"));
    let counter = |set: &str| {
        let sets = listing["nftables"].as_array()?.iter().filter_map(|object| object.get("set"));
        let elements = sets.filter(|found| found["name"] == set).find_map(|found| found["elem"].as_array())?;
        let counter = &elements.iter().find(|element| element["elem"]["val"] == guest)?["elem"]["counter"];
        Some(Counter::new(counter["packets"].as_u64()?, counter["bytes"].as_u64()?))
    };
    Some([counter("sent")?, counter("received")?])
}

/// The account of a name, as the library and nft tell it alike: between the two, dom0 may speak.
#[track_caller]
fn account(dom0: &Dom0, guest: &str) -> Account {
    let found = Cell::new(Account::new(0));
    wait_for(&format!("nft and the library tell the same of {guest}"), || {
        let account = dom0.host.snapshot().unwrap().accounts[&name(guest)];
        found.set(account);
        told(if account.routed { ROUTED } else { BRIDGED }, guest) == Some([account.sent, account.received])
    });
    found.get()
}

fn no_table_is_left() {
    assert!(!nft_ruleset().contains("xenvnet_accounts"), "{}", nft_ruleset());
}

/// The guest `web` and the guest `db`, both accounted, on a bridge where nobody else speaks.
fn two_guests(dom0: &Dom0) -> [FakeVif; 2] {
    bridge_by_ip("xenbr0");
    [("vif1.0", OWN, lock(), "web"), ("vif2.0", VICTIM, victims_lock(), "db")].map(|(vif, mac, lock, to)| {
        let guest = dom0.guest(vif, &mac.to_string());
        dom0.host.attach_vif(&to_bridge(&guest, lock, to)).unwrap();
        guest.wait_for_carrier();
        guest
    })
}

fn to_bridge(guest: &FakeVif, lock: Antispoof, to: &str) -> Attachment {
    Attachment::bridged(guest.name, name("xenbr0"), lock).rename(name(to)).accounted(true)
}

/// So many frames of a guest to its neighbour, each longer than the one before.
fn frames(count: usize, from_web: bool) -> Vec<Frame> {
    let (from, to) = if from_web { ((OWN, OWN4), (VICTIM, VICTIM4)) } else { ((VICTIM, VICTIM4), (OWN, OWN4)) };
    let packet = |n: usize| Ip4::new(from.1, to.1).carry(&udp(9, 9, &vec![0; 100 * n]));
    (1..=count).map(|n| ether(to.0, from.0, 0x0800, &packet(n))).collect()
}

/// Sends frames, and waits for the last of them at the other end.
#[track_caller]
fn send(frames: &[Frame], from: &FakeVif, to: &FakeVif) {
    let (mouth, ear) = (from.raw(), to.raw());
    frames.iter().for_each(|frame| mouth.send(frame.bytes()));
    let deadline = Instant::now() + Duration::from_secs(10);
    let last = frames.last().unwrap();
    while !last.is(&ear.receive(deadline).expect("the last frame")) {}
}

/// What the two sides of frames on their way are to have counted: no Ethernet header.
fn sum(frames: &[Frame]) -> Counter {
    Counter::new(frames.len() as u64, frames.iter().map(|frame| frame.bytes().len() as u64 - 14).sum())
}

#[test]
fn each_frame_is_counted_once_a_side_and_what_the_lock_drops_is_not() {
    let Some(dom0) = Dom0::enter() else { return };
    assert_counted_once(&dom0);
}

/// The hooks of IP see them with the bridge as their interface.
#[test]
fn frames_that_visit_ip_on_their_way_are_counted_once() {
    let Some(dom0) = Dom0::enter() else { return };
    if bridged_packets_visit_ip() {
        let routed = dom0.guest("vif3.0", "00:16:3e:00:00:03");
        let lock = Antispoof::new(routed.mac).ip("10.1.0.3".parse().unwrap());
        dom0.host.attach_vif(&Attachment::routed(routed.name, lock).accounted(true)).unwrap();
        assert_counted_once(&dom0);
    }
}

#[track_caller]
fn assert_counted_once(dom0: &Dom0) {
    let [web, db] = two_guests(dom0);
    let (out, back) = (frames(7, true), frames(4, false));
    send(&out, &web, &db);
    send(&back, &db, &web);
    for (guest, sent, received) in [("web", &out, &back), ("db", &back, &out)] {
        let account = account(dom0, guest);
        assert_eq!((account.sent, account.received), (sum(sent), sum(received)), "{guest}");
    }
    // Another's address, and another's MAC address: the lock's count, nobody's account.
    let lie = ether(VICTIM, OWN, 0x0800, &foreign_packet());
    let lies = [lie.clone(), ether(VICTIM, VICTIM, 0x0800, &foreign_packet()), lie];
    send(&[&lies[..], &frames(1, true)].concat(), &web, &db);
    let all = sum(&[&out[..], &frames(1, true)].concat());
    assert_eq!((account(dom0, "web").sent, account(dom0, "db").received), (all, all));
    let dropped: u64 = dom0.host.snapshot().unwrap().drops.iter().map(|drops| drops.frames).sum();
    assert_eq!(dropped, lies.len() as u64, "the control: they came that far");
}

/// The guest restarts, with a detach or without one, and its interface is another one each time.
#[test]
fn counts_go_on_with_the_next_interface_of_that_name() {
    let Some(dom0) = Dom0::enter() else { return };
    let [web, db] = two_guests(&dom0);
    send(&frames(3, true), &web, &db);
    let before = account(&dom0, "web");
    dom0.host.detach_vif(web.name).unwrap();
    ip("link del web");
    assert_eq!(account(&dom0, "web"), before, "while it does not run");

    let mut web = dom0.guest("vif7.0", &OWN.to_string());
    prove(&dom0, &Operation::AttachVif(to_bridge(&web, lock(), "web")));
    web.wait_for_carrier();
    assert_eq!(account(&dom0, "web"), before, "as it comes again");
    send(&frames(2, true), &web, &db);
    let twice = sum(&[frames(3, true), frames(2, true)].concat());
    assert_eq!(account(&dom0, "web"), with_sent(before, twice));

    // The domain is destroyed and nobody says so; another toolstack starts it, and does not ask.
    ip("link del web");
    let elsewhere = StateDir::new();
    let other = Host::options().state_dir(elsewhere.path()).open().unwrap();
    web = dom0.guest("vif9.0", &OWN.to_string());
    other.attach_vif(&to_bridge(&web, lock(), "web").accounted(false)).unwrap();
    web.wait_for_carrier();
    send(&frames(1, true), &web, &db);
    let thrice = sum(&[frames(3, true), frames(2, true), frames(1, true)].concat());
    assert_eq!(account(&dom0, "web"), with_sent(before, thrice));
    assert_eq!(account(&dom0, "db").received, thrice);
}

fn with_sent(account: Account, sent: Counter) -> Account {
    let mut account = account;
    account.sent = sent;
    account
}

#[test]
fn an_account_is_opened_once_forgotten_and_put_back() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let [web, db] = [("vif1.0", OWN), ("vif2.0", VICTIM)].map(|(vif, mac)| dom0.guest(vif, &mac.to_string()));
    dom0.host.attach_vif(&to_bridge(&web, lock(), "web").accounted(false)).unwrap();
    no_table_is_left();
    let attach = Operation::AttachVif(to_bridge(&web, lock(), "web"));
    let plan = prove(&dom0, &attach);
    assert_eq!(plan.to_string(), "+ table bridge xenvnet_accounts\n+ web: account 1\n");
    let once = nft_ruleset();
    (0..3).for_each(|_| prove_again(&dom0, &attach));
    assert_eq!(nft_ruleset(), once);

    dom0.host.attach_vif(&to_bridge(&db, victims_lock(), "db")).unwrap();
    [&web, &db].into_iter().for_each(FakeVif::wait_for_carrier);
    send(&frames(3, true), &web, &db);
    let forget = Operation::ForgetAccount { name: name("web") };
    let before = [account(&dom0, "web"), account(&dom0, "db")];
    assert_eq!(before.map(|account| account.index), [1, 2]);
    // Put back with what it had counted, and it counts on.
    assert_eq!(dom0.host.run(&forget).unwrap(), Outcome::Changed);
    assert_eq!(told(BRIDGED, "web"), None);
    dom0.host.undo().unwrap();
    assert_eq!([account(&dom0, "web"), account(&dom0, "db")], before);
    send(&frames(2, true), &web, &db);
    assert_eq!(account(&dom0, "web").sent, sum(&[frames(3, true), frames(2, true)].concat()));

    // Forgotten, its number is free, and the tables go with the last.
    prove(&dom0, &forget);
    prove_again(&dom0, &forget);
    assert_eq!(dom0.host.run(&attach).unwrap(), Outcome::Changed);
    assert_eq!(account(&dom0, "web"), Account::new(1));
    dom0.host.forget_account(name("db")).unwrap();
    prove(&dom0, &forget);
    no_table_is_left();
}

/// Whoever took half of it away by hand is not to be in the way of who ends it.
#[test]
fn an_account_of_which_half_is_gone_is_forgotten_all_the_same() {
    let Some(dom0) = Dom0::enter() else { return };
    let [web, _db] = two_guests(&dom0);
    ["web", "db"].map(|guest| nft(&format!("delete element {BRIDGED} received {{ \"{guest}\" }}")));
    dom0.host.forget_account(name("db")).unwrap();
    let before = dom0.host.snapshot().unwrap().accounts;
    assert_eq!(before.keys().map(ToString::to_string).collect::<Vec<_>>(), ["web"]);
    dom0.host.detach_vif(name("web")).unwrap();
    dom0.host.attach_vif(&to_routes(&web)).unwrap();
    let after = account(&dom0, "web");
    assert_eq!((after.routed, after.index), (true, before[&name("web")].index));
    dom0.host.undo().unwrap();
    assert!(!account(&dom0, "web").routed);
    dom0.host.forget_account(name("web")).unwrap();
    no_table_is_left();
}

/// What an attach did not open, its undo does not take away.
#[test]
fn an_undone_attach_leaves_an_account_that_was_there() {
    let Some(dom0) = Dom0::enter() else { return };
    let [web, db] = two_guests(&dom0);
    send(&frames(3, true), &web, &db);
    let before = account(&dom0, "web");
    dom0.host.detach_vif(name("web")).unwrap();
    dom0.host.attach_vif(&to_bridge(&web, lock(), "web")).unwrap();
    dom0.host.undo().unwrap();
    assert_eq!(account(&dom0, "web"), before);
    let third = dom0.guest("vif3.0", "00:16:3e:00:00:03");
    dom0.host.attach_vif(&to_bridge(&third, Antispoof::new(third.mac), "mail")).unwrap();
    assert_eq!(account(&dom0, "mail"), Account::new(3));
    dom0.host.undo().unwrap();
    assert_eq!(told(BRIDGED, "mail"), None);
    assert_eq!(account(&dom0, "web"), before);
}

/// A packet socket at a guest's end of its wire, that counts what goes out and what comes in.
struct Meter {
    ear: RawSocket,
    mac: MacAddr,
    /// Whether ARP counts.
    all: bool,
    sent: Cell<Counter>,
    received: Cell<Counter>,
}

impl Meter {
    fn at(guest: &FakeVif, all: bool) -> Meter {
        let (sent, received) = (Cell::default(), Cell::default());
        Meter { ear: guest.raw(), mac: guest.mac, all, sent, received }
    }

    /// Waits until the account says what was seen here, but these, which the lock dropped.
    #[track_caller]
    fn assert_agrees(&self, dom0: &Dom0, guest: &str, dropped: &[Frame]) {
        let dropped = sum(dropped);
        wait_for(&format!("the account of {guest} says what its own end saw"), || {
            for frame in std::iter::from_fn(|| self.ear.pending()) {
                let counter = if frame[6..12] == self.mac.octets() { &self.sent } else { &self.received };
                let is_ip = matches!(frame[12..14], [0x08, 0x00] | [0x86, 0xdd]);
                if self.all || is_ip {
                    let Counter { packets, bytes, .. } = counter.get();
                    counter.set(Counter::new(packets + 1, bytes + frame.len() as u64 - 14));
                }
            }
            let account = dom0.host.snapshot().unwrap().accounts[&name(guest)];
            let sent = Counter::new(account.sent.packets + dropped.packets, account.sent.bytes + dropped.bytes);
            (sent, account.received) == (self.sent.get(), self.received.get())
        });
        let account = account(dom0, guest);
        assert!(account.sent.packets > 0 && account.received.packets > 0, "{account:?}");
    }
}

/// What is bridged to dom0 and routed on, with another address for the way, is counted once.
#[test]
fn what_a_brouters_guest_says_to_the_world_is_counted_once() {
    let Some(dom0) = Dom0::enter() else { return };
    let network = "network-virtual bridgeip=10.98.98.1/24".parse().unwrap();
    dom0.host.start_network(&network).unwrap();
    let outside = dom0.cable("eth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev eth0");
    outside.address("192.0.2.9/24", "");
    let web = dom0.guest("vif1.0", &OWN.to_string());
    web.address("10.98.98.2/24", "10.98.98.1");
    let meter = Meter::at(&web, true);
    dom0.host.attach_vif(&to_bridge(&web, lock(), "web")).unwrap();
    web.wait_for_carrier();
    assert!(hears(&outside.guest, "192.0.2.9", &web.guest));
    assert!(hears(&dom0.namespace(), "10.98.98.1", &web.guest));
    assert!(hears(&web.guest, "10.98.98.2", &dom0.namespace()));
    meter.assert_agrees(&dom0, "web", &[]);
    // They are no network's.
    dom0.host.detach_vif(name("web")).unwrap();
    let before = account(&dom0, "web");
    dom0.host.stop_network(&network).unwrap();
    assert!(dom0.host.snapshot().unwrap().tables.len() == 1, "{}", nft_ruleset());
    assert_eq!(account(&dom0, "web"), before);
}

fn to_routes(guest: &FakeVif) -> Attachment {
    let lock = Antispoof::new(guest.mac).ip("10.1.0.2".parse().unwrap()).ip("2001:db8:1::2".parse().unwrap());
    let routed = Attachment::routed(guest.name, lock).gateway("10.1.255.1".parse().unwrap());
    routed.gateway("fe80::1".parse().unwrap()).rename(name("web")).accounted(true)
}

#[test]
fn packets_of_a_routed_guest_are_counted_in_both_families() {
    let Some(dom0) = Dom0::enter() else { return };
    sysctl_set("ipv4/ip_forward", "1");
    let outside = dom0.cable("eth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev eth0");
    outside.address("192.0.2.9/24", "192.0.2.1");
    let web = dom0.guest("vif1.0", &OWN.to_string());
    web.guest.within(|| {
        ip("addr add 10.1.0.2/32 dev eth0");
        ip("route add 10.1.255.1 dev eth0");
        ip("route add default via 10.1.255.1");
        ip("addr add 2001:db8:1::2/128 dev eth0 nodad");
        ip("route add fe80::1 dev eth0");
        ip("route add default via fe80::1 dev eth0");
    });
    let meter = Meter::at(&web, false);
    dom0.host.attach_vif(&to_routes(&web)).unwrap();
    web.wait_for_carrier();
    assert!(hears(&outside.guest, "192.0.2.9", &web.guest));
    assert!(hears(&web.guest, "10.1.0.2", &outside.guest));
    assert!(hears(&web.guest, "2001:db8:1::2", &dom0.namespace()));
    meter.assert_agrees(&dom0, "web", &[]);
    let lie = ether(MacAddr::VIF_BACKEND, OWN, 0x0800, &foreign_packet());
    web.raw().send(lie.bytes());
    wait_for("the lock dropped it", || !dom0.host.snapshot().unwrap().drops.is_empty());
    meter.assert_agrees(&dom0, "web", &[lie]);
    prove(&dom0, &Operation::ForgetAccount { name: name("web") });
    no_table_is_left();
}

#[test]
fn a_bridged_guest_that_comes_back_routed_takes_its_counts_along() {
    let Some(dom0) = Dom0::enter() else { return };
    let [web, db] = two_guests(&dom0);
    send(&frames(3, true), &web, &db);
    let before = account(&dom0, "web");
    dom0.host.detach_vif(name("web")).unwrap();
    prove(&dom0, &Operation::AttachVif(to_routes(&web)));
    let after = account(&dom0, "web");
    assert!(after.routed && told(BRIDGED, "web").is_none());
    assert_eq!((after.index, after.sent), (before.index, before.sent));
    for (forgotten, left) in [("db", ROUTED), ("web", "")] {
        dom0.host.forget_account(name(forgotten)).unwrap();
        assert_eq!(nft_ruleset().matches("xenvnet_accounts").count(), usize::from(!left.is_empty()), "{left}");
    }
}

/// An account costs an attach no transaction of its own.
#[test]
fn an_accounted_attach_is_one_transaction() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let batches = |attachment: &Attachment| {
        let witness = Witness::start();
        dom0.host.attach_vif(attachment).unwrap();
        witness.nft_batches()
    };
    let web = dom0.guest("vif1.0", &OWN.to_string());
    let routed = dom0.guest("vif2.0", &VICTIM.to_string());
    let bridged = to_bridge(&web, lock(), "web");
    assert_eq!(batches(&bridged), 1);
    let lock = Antispoof::new(routed.mac).ip("10.1.0.3".parse().unwrap());
    assert_eq!(batches(&Attachment::routed(routed.name, lock).accounted(true)), 1);
    dom0.host.detach_vif(web.name).unwrap();
    assert_eq!(batches(&bridged), 1);
}

/// What others break, `verify` finds and mends, and what was counted stays as far as it stood.
#[test]
fn what_others_break_is_a_fault_and_is_mended() {
    let Some(dom0) = Dom0::enter() else { return };
    let [web, db] = two_guests(&dom0);
    let third = dom0.guest("vif3.0", "00:16:3e:00:00:03");
    let lock = Antispoof::new(third.mac).ip("10.1.0.3".parse().unwrap());
    dom0.host.attach_vif(&Attachment::routed(third.name, lock).rename(name("mail")).accounted(true)).unwrap();
    send(&frames(3, true), &web, &db);
    assert_eq!(dom0.host.verify().unwrap().findings, []);
    let (rules, counted) = (Dump::take(), account(&dom0, "web"));
    let not_counted = |guest: &str| format!("traffic of {guest} is not counted as it should be");
    for (damage, found) in [
        (format!("delete element {BRIDGED} sent {{ \"db\" }}"), not_counted("db")),
        (format!("delete element {BRIDGED} received {{ \"db\" }}"), not_counted("db")),
        (format!("delete element {ROUTED} sent {{ \"mail\" }}"), not_counted("mail")),
        (
            format!("add element {BRIDGED} received {{ \"gone\" }}"),
            format!("table {BRIDGED} has elements of gone that nobody asked for"),
        ),
        (
            format!("flush chain {BRIDGED} postrouting"),
            format!("table {BRIDGED}: chain postrouting: 1 of 1 rules are missing"),
        ),
        (
            format!("add chain {ROUTED} prerouting {{ policy drop; }}"),
            format!("table {ROUTED}: chain prerouting hooks elsewhere"),
        ),
        (
            format!("add table {BRIDGED} {{ flags dormant; }}"),
            format!("table {BRIDGED} is dormant: nothing in it is in force"),
        ),
    ] {
        nft(&damage);
        let report = dom0.host.repair().unwrap();
        let told: Vec<_> = report.findings.iter().map(ToString::to_string).collect();
        assert_eq!((told, report.worst()), (vec![found], Some(Severity::Fault)), "{damage}");
        assert_eq!(dom0.host.verify().unwrap().findings, [], "{damage}");
        assert_eq!(Dump::take().rules(), rules.rules(), "{damage}");
        assert_eq!(account(&dom0, "web"), counted, "{damage}");
    }
    assert_eq!(account(&dom0, "db").index, 2);
    send(&frames(2, true), &web, &db);
    assert_eq!(account(&dom0, "web").sent, sum(&[frames(3, true), frames(2, true)].concat()), "the chains count again");
    // After a flush it is what was noted last: here at the last repair.
    nft("flush ruleset");
    dom0.host.repair().unwrap();
    assert_eq!(Dump::take().rules(), rules.rules());
    assert_eq!(account(&dom0, "web"), counted);
}

/// A ruleset that was saved and loaded again counts on.
#[test]
fn a_ruleset_that_is_saved_and_loaded_counts_on() {
    let Some(dom0) = Dom0::enter() else { return };
    let [web, db] = two_guests(&dom0);
    send(&frames(3, true), &web, &db);
    let saved = program("nft", &["list", "table", "bridge", "xenvnet_accounts"]);
    let before = account(&dom0, "web");
    nft(&format!("delete table {BRIDGED}"));
    nft(&saved);
    assert_eq!(account(&dom0, "web"), before);
    send(&frames(2, true), &web, &db);
    assert_eq!(account(&dom0, "web").sent, sum(&[frames(3, true), frames(2, true)].concat()));
}
