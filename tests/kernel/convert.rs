//! Tables of an older version, converted under load: nothing is lost and nothing slips through.

use crate::estate::{forget_drops, hostile, told};
use crate::layout::published;
use crate::matrix::{OWN, VICTIM, lock, victims_lock};
use crate::proof::{bridge_by_ip, name};
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, Dom0 as Access, ErrorKind, Host, Masquerade, Operation, Outcome, Severity};
use xenvnet_tests::{Dom0, Dump, FakeVif, Frame, Ip4, Witness, ether, ip, nft, nft_ruleset, program, udp};

/// A host that an older version left behind: `vif1.0` is attached and locked, `vif2.0` is new, and
/// `peth0` leads outside.
struct Heirloom {
    old: FakeVif,
    new: FakeVif,
    outside: FakeVif,
    dom0: Dom0,
}

impl Heirloom {
    /// As it was before anything was attached. The order is that of the indices in the old lock.
    fn bare() -> Option<Heirloom> {
        let dom0 = Dom0::enter()?;
        bridge_by_ip("xenbr0");
        let old = dom0.guest("vif1.0", &OWN.to_string());
        let new = dom0.guest("vif2.0", &VICTIM.to_string());
        let outside = dom0.cable("peth0", "02:00:00:00:00:09");
        ip("link set peth0 master xenbr0");
        Some(Heirloom { old, new, outside, dom0 })
    }

    /// With what the first layout's version made of it.
    fn build() -> Option<Heirloom> {
        Heirloom::left_by(1, "")
    }

    /// With what the second layout's version made of it: `vif2.0` is routed, both are accounted.
    fn of_the_second_layout() -> Option<Heirloom> {
        let heirloom = Heirloom::left_by(2, "flood off group_fwd_mask 0xfffd")?;
        ip("link set vif2.0 group 7777 address fe:ff:ff:ff:ff:ff addrgenmode none");
        ip("link set vif2.0 up");
        heirloom.new.wait_for_carrier();
        Some(heirloom)
    }

    /// With the tables of a layout, and a port as its version made it.
    fn left_by(layout: u32, flags: &str) -> Option<Heirloom> {
        let heirloom = Heirloom::bare()?;
        nft(&std::fs::read_to_string(published(&format!("layout-{layout}.nft"))).unwrap());
        for line in [
            "link set vif1.0 group 7777 address fe:ff:ff:ff:ff:ff addrgenmode none",
            "link set vif1.0 master xenbr0",
            &format!("link set vif1.0 type bridge_slave learning off locked on {flags}"),
            "link set vif1.0 up",
        ] {
            ip(line);
        }
        program("bridge", &["fdb", "add", &OWN.to_string(), "dev", "vif1.0", "master", "static", "sticky"]);
        heirloom.old.wait_for_carrier();
        while Dump::take() != Dump::take() {}
        Some(heirloom)
    }

    fn host(&self) -> &Host {
        &self.dom0.host
    }

    fn attach_new(&self) -> Outcome {
        let attachment = Attachment::bridged(self.new.name, name("xenbr0"), victims_lock());
        self.host().attach_vif(&attachment).unwrap()
    }

    /// The n-th frame that the old guest's lock lets through.
    fn legitimate(n: u64) -> Frame {
        let packet = Ip4::new("10.98.98.2".parse().unwrap(), "10.98.98.9".parse().unwrap());
        let outside = "02:00:00:00:00:09".parse().unwrap();
        ether(outside, OWN, 0x0800, &packet.carry(&udp(1000, 2000, &n.to_be_bytes())))
    }

    /// Does something while the old guest sends legitimate and hostile frames in turn without a
    /// pause. Nothing legitimate may be lost and nothing hostile heard outside. Returns how many
    /// hostile frames were sent.
    #[track_caller]
    fn holds_under_load(&self, what: impl FnOnce()) -> u64 {
        let (sent, heard, lost) = self.under_load(what);
        println!("{sent} legitimate and as many hostile frames, {lost} lost, {heard} heard");
        assert_eq!((heard, lost), (0, 0), "hostile frames heard and legitimate ones lost, of {sent}");
        sent
    }

    /// How many frames of each kind were sent, how many hostile ones heard, how many others lost.
    fn under_load(&self, what: impl FnOnce()) -> (u64, u64, u64) {
        let (sender, ear) = (self.old.raw(), self.outside.raw());
        let hostile: Vec<_> = hostile(OWN);
        let is_hostile = |heard: &[u8]| hostile.iter().any(|frame| frame.is(heard));
        let done = AtomicBool::new(false);
        let (under_way, begin) = mpsc::channel();
        let (mut sent, mut heard, mut seen) = (0, 0, BTreeSet::new());
        std::thread::scope(|scope| {
            let traffic = scope.spawn(|| {
                let under_way = under_way;
                let mut take = |frame: &[u8], seen: &mut BTreeSet<u64>| {
                    heard += u64::from(is_hostile(frame));
                    if frame.starts_with(&Heirloom::legitimate(0).bytes()[..12]) && frame.len() >= 50 {
                        seen.insert(u64::from_be_bytes(frame[42..50].try_into().unwrap()));
                    }
                };
                while !done.load(Ordering::Relaxed) || sent < 100 {
                    sender.send(Heirloom::legitimate(sent).bytes());
                    sender.send(hostile[sent as usize % hostile.len()].bytes());
                    sent += 1;
                    if sent == 10 {
                        under_way.send(()).unwrap();
                    }
                    std::iter::from_fn(|| ear.pending()).for_each(|frame| take(&frame, &mut seen));
                }
                let deadline = Instant::now() + Duration::from_secs(10);
                while seen.len() < sent as usize {
                    let Some(frame) = ear.receive(deadline) else { break };
                    take(&frame, &mut seen);
                }
            });
            begin.recv().unwrap();
            // A failed assertion must not leave the sender going on for ever.
            let outcome = catch_unwind(AssertUnwindSafe(what));
            done.store(true, Ordering::Relaxed);
            traffic.join().unwrap();
            outcome.unwrap_or_else(|panic| resume_unwind(panic));
        });
        (sent, heard, sent - seen.len() as u64)
    }

    /// Dropped frames of the old guest.
    fn dropped(&self) -> u64 {
        let drops = self.host().snapshot().unwrap().drops;
        drops.iter().filter(|drops| drops.vif == self.old.name).map(|drops| drops.frames).sum()
    }
}

/// What a fresh host has with the same guests.
fn fresh(of: impl FnOnce(&Heirloom)) -> String {
    let heirloom = Heirloom::bare().unwrap();
    let attachment = Attachment::bridged(heirloom.old.name, name("xenbr0"), lock().dhcp_client(true));
    heirloom.host().attach_vif(&attachment).unwrap();
    heirloom.host().masquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap())).unwrap();
    of(&heirloom);
    forget_drops();
    Dump::take().rules().to_owned()
}

const THEIRS: &str = "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 0; }; \
     add rule ip filter FORWARD ip saddr 172.17.0.0/16 accept; add table bridge others; add chain bridge others c { type \
     filter hook prerouting priority 0; }; add rule bridge others c ether type 0x9999 drop";

fn theirs() -> String {
    [("ip", "filter"), ("bridge", "others")]
        .map(|(family, table)| program("nft", &["-a", "list", "table", family, table]))
        .concat()
}

#[test]
fn a_bridged_guest_converts_its_table_while_frames_run() {
    let Some(heirloom) = Heirloom::build() else { return };
    nft(THEIRS);
    let before = theirs();
    let sent = heirloom.holds_under_load(|| {
        let witness = Witness::start();
        assert_eq!(heirloom.attach_new(), Outcome::Changed);
        assert_eq!(witness.nft_batches(), 1, "the conversion and the lock are one transaction");
    });
    assert_eq!(heirloom.dropped(), sent, "every hostile frame was dropped and counted, before and after");
    assert_eq!(theirs(), before);
    nft("delete table ip filter; delete table bridge others");
    forget_drops();
    let tables = Dump::take().rules().to_owned();
    assert_eq!(heirloom.attach_new(), Outcome::Unchanged);

    // What no change has touched yet is an older version's, and is mended by a repair.
    let report = heirloom.host().verify().unwrap();
    assert_eq!(
        told(&report),
        [
            "hole port_flags: vif1.0: bridge port flags are learning off, locked on, flood on, isolated off; they should \
             be learning off, locked on, flood off, isolated off, group_fwd_mask 0xfffd",
        ]
    );
    heirloom.holds_under_load(|| drop(heirloom.host().repair().unwrap()));
    assert_eq!(told(&heirloom.host().verify().unwrap()), Vec::<String>::new());
    forget_drops();
    let repaired = Dump::take().rules().to_owned();
    let bridge =
        |rules: &str| rules.split("\ntable ").find(|table| table.starts_with("bridge xenvnet ")).unwrap().to_owned();

    // The control: what the rules hold back is heard without them.
    let (_, heard, _) = heirloom.under_load(|| drop(nft("flush ruleset")));
    assert!(heard > 0, "nothing hostile is heard of an unlocked guest");
    drop(heirloom);
    let expected = fresh(|heirloom| assert_eq!(heirloom.attach_new(), Outcome::Changed));
    assert_eq!(bridge(&tables), bridge(&expected), "the bridge's table after the attach");
    assert_eq!(repaired, expected, "all tables after the repair");
}

#[test]
fn a_routed_guest_converts_the_inet_table() {
    let Some(heirloom) = Heirloom::build() else { return };
    let attach = |heirloom: &Heirloom| {
        let own = Antispoof::new(VICTIM).ip("10.1.0.2".parse().unwrap());
        heirloom.host().attach_vif(&Attachment::routed(heirloom.new.name, own)).unwrap();
    };
    heirloom.holds_under_load(|| {
        let witness = Witness::start();
        attach(&heirloom);
        assert_eq!(witness.nft_batches(), 1);
    });
    heirloom.host().repair().unwrap();
    forget_drops();
    let converted = Dump::take().rules().to_owned();
    drop(heirloom);
    assert_eq!(converted, fresh(attach));
}

#[test]
fn a_repair_alone_converts_everything() {
    let Some(heirloom) = Heirloom::build() else { return };
    let report = heirloom.host().verify().unwrap();
    let notes: Vec<_> = report.findings.iter().filter(|found| found.severity() == Severity::Note).collect();
    assert_eq!(notes.iter().map(|note| note.kind()).collect::<Vec<_>>(), ["old_layout", "old_layout"]);
    let sent = heirloom.holds_under_load(|| {
        let witness = Witness::start();
        heirloom.host().repair().unwrap();
        assert_eq!(witness.nft_batches(), 1);
    });
    assert_eq!(heirloom.dropped(), sent);
    assert_eq!(told(&heirloom.host().verify().unwrap()), Vec::<String>::new());
    forget_drops();
    let converted = Dump::take().rules().to_owned();
    drop(heirloom);
    assert_eq!(converted, fresh(|_| ()));
}

/// Whoever changes a lock has the tables of this version; whoever only takes something away needs none.
#[test]
fn an_old_guest_can_be_changed_and_detached() {
    let Some(heirloom) = Heirloom::build() else { return };
    let again = Attachment::bridged(heirloom.old.name, name("xenbr0"), lock().dhcp_client(true));
    heirloom.holds_under_load(|| {
        heirloom.host().set_antispoof(heirloom.old.name, lock()).unwrap();
        heirloom.host().attach_vif(&again).unwrap();
    });
    assert_eq!(told(&heirloom.host().verify().unwrap()), Vec::<String>::new());
    drop(heirloom);
    let Some(heirloom) = Heirloom::build() else { return };
    heirloom.host().detach_vif(heirloom.old.name).unwrap();
    assert!(!nft_ruleset().contains("vif1.0"), "{}", nft_ruleset());
    assert_eq!(heirloom.host().undo().unwrap(), Outcome::Changed);
    heirloom.holds_under_load(|| ());
}

/// What a fresh host has that is like the one of the second layout's version.
fn fresh_second(of: impl FnOnce(&Heirloom)) -> String {
    let heirloom = Heirloom::bare().unwrap();
    let host = heirloom.host();
    let bridged = Attachment::bridged(heirloom.old.name, name("xenbr0"), lock().dhcp_client(true));
    host.attach_vif(&bridged.untracked(true).accounted(true)).unwrap();
    let own = Antispoof::new(VICTIM).ip("10.1.0.2".parse().unwrap()).ip("2001:db8:1::/64".parse().unwrap());
    let routed = Attachment::routed(heirloom.new.name, own).dom0(Access::Closed);
    host.attach_vif(&routed.accounted(true)).unwrap();
    host.masquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap())).unwrap();
    let access = "services(dhcp,icmp,ra,tcp:22)".parse().unwrap();
    host.run(&Operation::SetDom0 { interface: name("xenbr0"), access }).unwrap();
    of(&heirloom);
    forget_drops();
    Dump::take().rules().to_owned()
}

/// A guest that is bridged to a host of the second layout's version.
fn attach_third(heirloom: &Heirloom) -> FakeVif {
    let third = heirloom.dom0.guest("vif3.0", "00:16:3e:00:00:03");
    let own = Antispoof::new(third.mac).ip("10.98.98.4".parse().unwrap());
    heirloom.host().attach_vif(&Attachment::bridged(third.name, name("xenbr0"), own)).unwrap();
    third
}

#[test]
fn the_second_layout_is_converted_by_a_repair() {
    let Some(heirloom) = Heirloom::of_the_second_layout() else { return };
    let report = heirloom.host().verify().unwrap();
    let old: BTreeSet<_> = report.findings.iter().map(|found| (found.severity(), found.kind())).collect();
    assert_eq!(old.into_iter().collect::<Vec<_>>(), [(Severity::Note, "old_layout")], "{report}");
    let sent = heirloom.holds_under_load(|| {
        let witness = Witness::start();
        heirloom.host().repair().unwrap();
        assert_eq!(witness.nft_batches(), 1);
    });
    assert_eq!(heirloom.dropped(), sent);
    assert_eq!(told(&heirloom.host().verify().unwrap()), Vec::<String>::new());
    forget_drops();
    let converted = Dump::take().rules().to_owned();
    drop(heirloom);
    assert_eq!(converted, fresh_second(|_| ()));
}

/// The tables that hold guests become those of this version when one comes, with what stands in them.
#[test]
fn the_second_layout_is_converted_by_a_guest_that_comes() {
    let Some(heirloom) = Heirloom::of_the_second_layout() else { return };
    let mut third = None;
    heirloom.holds_under_load(|| {
        let witness = Witness::start();
        third = Some(attach_third(&heirloom));
        assert_eq!(witness.nft_batches(), 1);
    });
    heirloom.host().repair().unwrap();
    forget_drops();
    let converted = Dump::take().rules().to_owned();
    drop(heirloom);
    let mut third = None;
    assert_eq!(converted, fresh_second(|heirloom| third = Some(attach_third(heirloom))));
}

/// Where nothing is masqueraded there is no chain of type nat any more, and nothing is tracked for it.
#[test]
fn the_second_layouts_empty_chain_of_masquerade_rules_goes() {
    let Some(heirloom) = Heirloom::of_the_second_layout() else { return };
    let rule = Masquerade::new("10.98.98.0/24".parse().unwrap());
    nft("flush chain inet xenvnet postrouting");
    let tracks = || nft_ruleset().contains("type nat");
    assert!(tracks());
    let guest = attach_third(&heirloom);
    assert!(!tracks(), "{}", nft_ruleset());
    heirloom.host().masquerade_subnet(&rule).unwrap();
    assert!(tracks());
    heirloom.host().unmasquerade_subnet(&rule).unwrap();
    assert!(!tracks(), "{}", nft_ruleset());
    drop(guest);
}

#[test]
fn a_newer_layout_is_refused_and_left_alone() {
    let Some(heirloom) = Heirloom::build() else { return };
    nft("flush ruleset");
    let old = std::fs::read_to_string(published("layout-1.nft")).unwrap();
    nft(&old.replace("\"layout 1: ", "\"layout 999: "));
    let before = Dump::take();
    let attachment = Attachment::bridged(heirloom.new.name, name("xenbr0"), victims_lock());
    let errors = [
        heirloom.host().attach_vif(&attachment).unwrap_err(),
        heirloom.host().set_antispoof(heirloom.old.name, lock()).unwrap_err(),
        heirloom.host().detach_vif(heirloom.old.name).unwrap_err(),
        heirloom.host().masquerade_subnet(&Masquerade::new("10.0.0.0/8".parse().unwrap())).unwrap_err(),
        heirloom.host().verify().unwrap_err(),
        heirloom.host().repair().unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error}");
        assert!(error.to_string().contains("xenvnet has layout 999, this version knows layout 3"), "{error}");
        assert_eq!(error.advice(), Some("use the version of xenvnet that made it"));
    }
    Dump::take().assert_same(&before, "after a newer layout was refused");
    // Its locks hold as they are.
    heirloom.holds_under_load(|| ());
}
