//! What a locked guest gets through, frame by frame.

use crate::matrix::{self, Case, GATEWAY, Kind, OWN, VICTIM, cases, lock, sentinel, victims_lock};
use crate::proof::name;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, DropReason, Host, Lock, MacAddr};
use xenvnet_tests::{
    Dom0, FakeVif, Frame, Path, RawSocket, bridge_json, ether, ip, nft, nft_json, nft_ruleset, program, udp,
};

const VIF: &str = "vif1.0";

/// A bridge with the guest that sends, the guest that is to be hurt, and a cable to the outside.
struct Street {
    sender: FakeVif,
    victim: FakeVif,
    outside: FakeVif,
    dom0: Dom0,
}

impl Street {
    /// All of it, with nothing of the library's in the way yet.
    fn build() -> Option<Street> {
        let dom0 = Dom0::enter()?;
        ip(&format!("link add xenbr0 address {GATEWAY} type bridge mcast_snooping 0 forward_delay 0"));
        ip("link set xenbr0 addrgenmode none");
        ip("link set xenbr0 up");
        ip("addr add 10.98.98.1/24 dev xenbr0");
        let outside = dom0.cable("peth0", "02:00:00:00:00:09");
        ip("link set peth0 master xenbr0");
        let sender = dom0.guest(VIF, &OWN.to_string());
        let victim = dom0.guest("vif2.0", &VICTIM.to_string());
        Some(Street { sender, victim, outside, dom0 })
    }

    /// Both guests on the bridge, as a host without any filter has them.
    fn open_to_all(&self) {
        for vif in [VIF, "vif2.0"] {
            ip(&format!("link set {vif} address fe:ff:ff:ff:ff:ff addrgenmode none master xenbr0"));
            ip(&format!("link set {vif} up"));
        }
    }

    /// Both guests attached with their locks.
    fn attach(&self, senders: impl Into<Lock>) {
        for (vif, lock) in [(VIF, senders.into()), ("vif2.0", victims_lock().into())] {
            let attachment = Attachment::bridged(name(vif), name("xenbr0"), lock);
            assert!(self.dom0.host.attach_vif(&attachment).unwrap().is_changed());
        }
    }

    fn host(&self) -> &Host {
        &self.dom0.host
    }

    fn path(&self) -> Path {
        self.sender.wait_for_carrier();
        let ears = vec![
            ("the other guest", self.victim.raw()),
            ("the outside", self.outside.raw()),
            ("dom0", RawSocket::on("xenbr0")),
        ];
        Path::new(self.sender.raw(), ears, sentinel(OWN, "10.98.98.2".parse().unwrap()))
    }

    /// A path whose sentinel comes from the outside: nothing at all passes from the sender.
    fn path_of_the_mute(&self) -> Path {
        self.sender.wait_for_carrier();
        let ears = vec![("the other guest", self.victim.raw()), ("dom0", RawSocket::on("xenbr0"))];
        let outside = "02:00:00:00:00:09".parse().unwrap();
        Path::new(self.sender.raw(), ears, sentinel(outside, "10.98.98.9".parse().unwrap())).herald(self.outside.raw())
    }
}

/// Whether the bridge believes that a station is at the sender's port because it learned so.
fn has_learned(station: MacAddr) -> bool {
    bridge_json("fdb show br xenbr0")
        .as_array()
        .unwrap()
        .iter()
        .any(|entry| entry["ifname"] == VIF && entry["state"] == "" && entry["mac"] == station.to_string().as_str())
}

/// Sends every case and says in one line how many did as they should. Those that did not are the
/// result.
fn run(title: &str, path: &mut Path, as_it_should: impl Fn(&Case, bool, bool) -> bool) -> Vec<String> {
    let mut wrong = Vec::new();
    let cases = cases();
    for case in &cases {
        let arrivals = path.send(&case.frames);
        let station = case.frames[0].source();
        let learned = station != OWN && has_learned(station);
        if learned {
            ip(&format!("link set {VIF} type bridge_slave fdb_flush"));
        }
        if !as_it_should(case, arrivals.all(case.frames.len()), !arrivals.none() || learned) {
            wrong.push(format!("{:?} {}: arrived {:?}, learned {learned}", case.kind, case.what, arrivals.0));
        }
    }
    for (ear, frame) in path.late() {
        wrong.push(format!("late at {ear}: {:02x?}", frame.bytes()));
    }
    println!("{title}: {} passed, {} failed", cases.len() - wrong.len().min(cases.len()), wrong.len());
    wrong
}

#[track_caller]
fn expect_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// As it should be under a lock: legitimate frames arrive whole, of hostile ones nothing does.
fn locked(dhcp: bool) -> impl Fn(&Case, bool, bool) -> bool {
    move |case, whole, anything| match case.kind {
        Kind::Legitimate => whole,
        Kind::Dhcp if dhcp => whole,
        Kind::Hostile | Kind::Inert | Kind::Dhcp => !anything,
    }
}

/// The control of the matrix: without a filter everything passes, so what does not pass a lock was
/// held by it.
#[test]
fn without_a_filter_every_case_passes() {
    let Some(street) = Street::build() else { return };
    street.open_to_all();
    let wrong = run("unfiltered", &mut street.path(), |case, whole, anything| match case.kind {
        Kind::Inert => true,
        Kind::Hostile => anything,
        Kind::Legitimate | Kind::Dhcp => whole,
    });
    expect_none(&wrong);
}

#[test]
fn a_locked_guest_gets_nothing_hostile_through_and_loses_nothing() {
    let Some(street) = Street::build() else { return };
    street.attach(lock().dhcp_client(true));
    expect_none(&run("locked, DHCP client", &mut street.path(), locked(true)));
}

#[test]
fn without_dhcp_a_lock_holds_its_client_too() {
    let Some(street) = Street::build() else { return };
    street.attach(lock());
    expect_none(&run("locked", &mut street.path(), locked(false)));
}

#[test]
fn a_disabled_guest_gets_nothing_through() {
    let Some(street) = Street::build() else { return };
    street.attach(Lock::Disabled);
    let wrong = run("disabled", &mut street.path_of_the_mute(), |_, _, anything| !anything);
    expect_none(&wrong);
}

#[test]
fn an_unlocked_guest_gets_everything_through_beside_a_locked_one() {
    let Some(street) = Street::build() else { return };
    street.attach(Lock::Unlocked);
    let wrong = run("unlocked", &mut street.path(), |case, whole, anything| match case.kind {
        Kind::Inert => true,
        // The locked guest's place is pinned: a frame that only learns takes nothing.
        Kind::Hostile => anything || case.frames[0].source() == VICTIM,
        Kind::Legitimate | Kind::Dhcp => whole,
    });
    expect_none(&wrong);
    assert!(!has_learned(VICTIM));
}

#[test]
fn a_lock_set_on_a_running_guest_is_as_good_as_one_set_before() {
    let Some(street) = Street::build() else { return };
    street.attach(Lock::Unlocked);
    assert!(!run("before the lock", &mut street.path(), locked(true)).is_empty());
    street.host().set_antispoof(name(VIF), lock().dhcp_client(true)).unwrap();
    expect_none(&run("after the lock", &mut street.path(), locked(true)));
}

#[test]
fn a_renamed_guest_is_as_locked() {
    let Some(street) = Street::build() else { return };
    street.attach(lock().dhcp_client(true));
    let renamed = Attachment::bridged(name(VIF), name("xenbr0"), lock().dhcp_client(true)).rename(name("web"));
    assert!(street.host().attach_vif(&renamed).unwrap().is_changed());
    expect_none(&run("renamed", &mut street.path(), locked(true)));
}

#[test]
fn drops_are_counted_by_vif_and_reason() {
    let Some(street) = Street::build() else { return };
    street.attach(lock());
    let mut path = street.path();
    let pick = |what: &str| -> Frame {
        cases().into_iter().find(|case| case.what == what).unwrap_or_else(|| panic!("{what}")).frames[0].clone()
    };
    for (reason, what) in [
        (DropReason::Mac, "MAC of nobody"),
        (DropReason::Arp, "ARP reply for the gateway's address"),
        (DropReason::Ip4, "IPv4 of the gateway"),
        (DropReason::Ip6, "IPv6 of the gateway"),
        (DropReason::Dhcp, "DHCP server's answer from the own address"),
        (DropReason::Nd, "neighbour advertisement for the gateway"),
        (DropReason::EtherType, "PPPoE discovery"),
    ] {
        let frames = |host: &Host| {
            let drops = host.snapshot().unwrap().drops;
            drops.iter().find(|d| d.vif == name(VIF) && d.reason == reason).map_or(0, |drops| drops.frames)
        };
        let before = frames(street.host());
        let frame = pick(what);
        assert!(path.send(&[frame.clone(), frame.clone(), frame]).none(), "{what}");
        assert_eq!(frames(street.host()), before + 3, "{what}");
        // An administrator sees the same count.
        let set = nft_json(&format!("list set bridge xenvnet dropped_{reason}")).to_string();
        assert!(set.contains(VIF) && set.contains(&format!("\"packets\":{}", before + 3)), "{set}");
    }
}

#[test]
fn the_mac_lock_outlives_the_rules() {
    let Some(street) = Street::build() else { return };
    street.attach(lock());
    nft("flush ruleset");
    let mut path = street.path();
    for case in cases().iter().filter(|case| case.what.starts_with("MAC of") || case.what.starts_with("foreign MAC")) {
        assert!(path.send(&case.frames).none(), "{}", case.what);
    }
    for case in cases().iter().filter(|case| case.what.contains("to steal")) {
        let _ = path.send(&case.frames);
        assert!(!has_learned(VICTIM), "{}", case.what);
    }
}

#[test]
fn a_lock_is_set_again_after_the_rules_were_flushed() {
    let Some(street) = Street::build() else { return };
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
    let Some(street) = Street::build() else { return };
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
    let Some(street) = Street::build() else { return };
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
    let Some(street) = Street::build() else { return };
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
    let Some(street) = Street::build() else { return };
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

#[test]
fn tables_of_others_stay_as_they_are() {
    let Some(street) = Street::build() else { return };
    nft(
        "add table bridge filter; add chain bridge filter c { type filter hook prerouting priority 0; policy accept; }; \
         add rule bridge filter c ether type 0x9999 drop; add table ip nat; add chain ip nat POSTROUTING { type nat \
         hook postrouting priority 100; }; add rule ip nat POSTROUTING ip saddr 172.17.0.0/16 masquerade",
    );
    let theirs = || [nft("list table bridge filter"), nft("list table ip nat")].concat();
    let before = theirs();
    for _ in 0..20 {
        street.attach(lock());
        for vif in [VIF, "vif2.0"] {
            street.host().detach_vif(name(vif)).unwrap();
        }
    }
    assert_eq!(theirs(), before);
}

#[test]
fn the_ruleset_reads_well() {
    let Some(street) = Street::build() else { return };
    street.attach(lock().dhcp_client(true));
    let rules = nft_ruleset();
    for words in [
        "table bridge xenvnet",
        "hook prerouting priority -500",
        "iifname @guarded goto",
        "set dropped_ethertype",
        "\"vif1.0\"",
        "\"vif1.0\" . 00:16:3e:00:00:01 . 10.98.98.2",
        "2001:db8:98::2",
        "10.98.99.0/28",
        "2001:db8:99::/64",
    ] {
        assert!(rules.contains(words), "{words} is not in\n{rules}");
    }
    assert!(!rules.contains("unknown"), "nft has words for all of it: {rules}");
    // No name is a word of nft's own: everything can be listed by its name.
    let listing = nft_json("list table bridge xenvnet");
    for kind in ["chain", "set"] {
        for object in listing["nftables"].as_array().unwrap().iter().filter_map(|object| object.get(kind)) {
            nft(&format!("list {kind} bridge xenvnet {}", object["name"].as_str().unwrap()));
        }
    }
}

/// The table of cases sees every rule: without any one of them, some frame arrives that should
/// not, or one is lost, or a drop is not counted.
#[test]
fn no_rule_is_without_a_case() {
    let Some(street) = Street::build() else { return };
    street.attach(lock().dhcp_client(true));
    let frames: Vec<Frame> = cases().into_iter().flat_map(|case| case.frames).collect();
    // Without one of the rules, the sender's own sentinel may not pass.
    let mut path = street.path_of_the_mute();
    let mut see = || {
        let mut arrived: Vec<_> = path.send(&frames).0.into_iter().map(|(frame, _)| frame).collect();
        arrived.sort_unstable();
        arrived.dedup();
        let drops = street.host().snapshot().unwrap().drops;
        let drops: Vec<_> = drops.iter().filter(|d| d.vif == name(VIF)).map(|d| (d.reason, d.frames)).collect();
        // A fresh table for the next look.
        nft("delete table bridge xenvnet");
        program("bridge", &["fdb", "del", &OWN.to_string(), "dev", VIF, "master"]);
        street.host().set_antispoof(name(VIF), lock().dhcp_client(true)).unwrap();
        (arrived, drops)
    };
    let whole = see();
    assert_eq!(see(), whole, "two looks at the same rules");
    let mut unseen = Vec::new();
    let count = rules().len();
    for n in 0..count {
        let (chain, rule, handle) = rules().swap_remove(n);
        let rule_at = format!(r#""family":"bridge","table":"xenvnet","chain":"{chain}","handle":{handle}"#);
        program("nft", &["-j", &format!(r#"{{"nftables":[{{"delete":{{"rule":{{{rule_at}}}}}}}]}}"#)]);
        if see() == whole {
            unseen.push(format!("{chain}: {rule}"));
        }
    }
    println!("{} rules seen, {} not", count - unseen.len(), unseen.len());
    // The end of a chain accepts, too; a header of another version is no IPv6 to the rules after
    // either; the rule for the group holds those that have no lock, and has tests of its own; and
    // a foreign MAC is held by the port as well.
    let twice = |rule: &str| {
        rule.ends_with(": accept")
            || rule.contains("ip6 version != 6")
            || rule.contains("iifgroup")
            || rule == "drop_mac: drop"
    };
    unseen.retain(|rule| !twice(rule));
    assert!(unseen.is_empty(), "rules that no case needs:\n{}", unseen.join("\n"));
}

/// Every rule of our table: its chain, its words, its handle.
fn rules() -> Vec<(String, String, String)> {
    let mut chain = String::new();
    let mut rules = Vec::new();
    for line in program("nft", &["-a", "list", "table", "bridge", "xenvnet"]).lines() {
        let Some((words, handle)) = line.trim().split_once(" # handle ") else { continue };
        match words.strip_prefix("chain ") {
            Some(head) => chain = head.trim_end_matches(" {").to_owned(),
            None if !words.ends_with('{') => rules.push((chain.clone(), words.to_owned(), handle.to_owned())),
            None => {}
        }
    }
    rules
}
