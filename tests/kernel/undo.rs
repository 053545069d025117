//! All or nothing: what failed, what was cut off, and what is asked to be put back.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use xenvnet_core::transport::{Fault, Faults};
use xenvnet_core::{
    Antispoof, Attachment, Bridge, Error, ErrorKind, Finding, Forward, Host, Lock, Operation, Outcome, Plan, Result,
    Step,
};
use xenvnet_tests::{Dom0, Dump, StateDir, has_program, ip, nft, program, run_attach_once};

const ENOMEM: i32 = 12;
const EOPNOTSUPP: i32 = 95;

fn shell(line: &str) {
    let words: Vec<_> = line.split(' ').collect();
    program(words[0], &words[1..]);
}

/// The call fails and the host is as it was.
#[track_caller]
fn fails(what: &str, call: impl FnOnce() -> Result<Outcome>) -> Error {
    let before = Dump::take();
    let error = call().expect_err(what);
    Dump::take().assert_same(&before, what);
    error
}

#[test]
fn the_third_of_three_fails_and_none_is_attached() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _uplink = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("link set peth0 master xenbr0");
    program("bridge", &["fdb", "add", "00:16:3e:00:00:03", "dev", "peth0", "master", "static", "sticky"]);
    let guests: Vec<_> = (1..=3).map(|n| dom0.guest(&format!("vif{n}.0"), &format!("00:16:3e:00:00:0{n}"))).collect();
    let attachments: Vec<_> =
        guests.iter().map(|guest| Attachment::bridged(guest.name, name("xenbr0"), Antispoof::new(guest.mac))).collect();
    let error = fails("three attachments of which one cannot be", || dom0.host.attach_vifs(&attachments));
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "cannot pin 00:16:3e:00:00:03 to vif3.0: peth0 has that address on xenbr0");
    assert_eq!(dom0.host.attach_vifs(&attachments[..2]).unwrap(), Outcome::Changed);
}

#[test]
fn a_vif_that_vanishes_after_the_plan() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    let attach = Operation::AttachVif(Attachment::bridged(name("vif1.0"), name("xenbr0"), lock()));
    let plan = dom0.host.plan(&[Operation::CreateBridge(Bridge::new(name("xenbr1"))), attach]).unwrap();
    ip("link del vif1.0");
    let error = fails("a plan for a vif that is gone", || dom0.host.apply(&plan));
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("no interface named vif1.0"), "{error}");
}

#[test]
fn a_name_that_is_taken_after_the_plan() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock()).rename(name("web"));
    let plan = dom0.host.plan(&[Operation::AttachVif(attachment)]).unwrap();
    let _other = dom0.cable("web", "02:00:00:00:00:09");
    let error = fails("a plan for a name that is taken", || dom0.host.apply(&plan));
    assert_eq!(error.kind(), ErrorKind::AlreadyExists);
    assert_eq!(error.to_string(), "cannot rename vif1.0 to web: the name web is taken (kernel: File exists)");
}

/// A host whose kernel answers one message with an error.
fn faulty(dom0: &Dom0) -> (Host, Faults) {
    let faults = Faults::default();
    (Host::options().state_dir(dom0.state.path()).transport(faults.opener()).open().unwrap(), faults)
}

/// Which is what the kernel says of the client of a wireless network.
#[test]
fn an_uplink_that_takes_no_frames_for_others_is_refused_with_advice() {
    let Some(dom0) = Dom0::enter() else { return };
    let _air = dom0.cable("wlan0", "02:00:00:00:00:09");
    ip("link set wlan0 up");
    let (host, faults) = faulty(&dom0);
    let network = "network-bridge bridge=xenbr0 netdev=wlan0".parse().unwrap();
    let before = Dump::take();
    let refused = (0..100).find_map(|after| {
        faults.plan(Fault::refusal(EOPNOTSUPP, after));
        let Err(error) = host.start_network(&network) else {
            // A kernel without policy rules, say.
            let _ = host.stop_network(&network).unwrap();
            return None;
        };
        Dump::take().assert_same(&before, &error.to_string());
        error.to_string().starts_with("cannot enslave wlan0 to xenbr0").then_some(error)
    });
    let error = refused.unwrap();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.to_string().contains("it cannot carry other machines' frames"), "{error}");
    assert!(error.advice().unwrap_or_default().contains("network-nat netdev=wlan0"), "{error}: {:?}", error.advice());
}

#[test]
fn the_last_change_is_put_back_by_whomever() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let before = Dump::take();
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    let other = Host::options().state_dir(dom0.state.path()).open().unwrap();
    assert_eq!(other.undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after the attach was undone");
}

#[test]
fn undo_goes_back_to_the_beginning_and_then_says_so() {
    let Some(dom0) = Dom0::enter() else { return };
    let before = Dump::take();
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after the bridge was undone");
    let error = dom0.host.undo().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot undo the last change: no change was made, or it was undone already");
}

#[test]
fn a_failed_change_is_not_what_undo_puts_back() {
    let Some(dom0) = Dom0::enter() else { return };
    let before = Dump::take();
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    dom0.host.enslave_vif(name("vif9.9"), name("xenbr0")).unwrap_err();
    dom0.host.undo().unwrap();
    Dump::take().assert_same(&before, "after the bridge was undone");
}

/// Those who open a host tidy up what nobody will ask for again.
#[test]
fn what_failed_or_was_undone_since_is_not_in_the_way_of_undo() {
    let Some(dom0) = Dom0::enter() else { return };
    let open = || Host::options().state_dir(dom0.state.path()).open().unwrap();
    let before = Dump::take();
    let _ = open().create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    for after in 0.. {
        let (host, faults) = faulty(&dom0);
        faults.plan(Fault::refusal(ENOMEM, after));
        if host.create_bridge(&Bridge::new(name("xenbr1"))).is_ok() {
            faults.end();
            let _ = host.undo().unwrap();
            break;
        }
        assert!(after < 500, "it never ends");
    }
    assert_eq!(open().undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after the first bridge was undone");
}

/// Begins an operation in a process that is killed in the middle; `false` where it never comes so far.
fn is_cut_off(dom0: &Dom0, operation: &Operation, at: usize) -> bool {
    let inject = format!("inject=sendto,sendmsg:signal=SIGKILL:when={at}");
    let under = ["strace", "-f", "-o", "/dev/null", "-e", "trace=sendto,sendmsg", "-e", &inject];
    let said =
        run_attach_once(&under, env!("CARGO_BIN_EXE_attach_once"), dom0.state.path(), std::slice::from_ref(operation));
    assert!(said.is_empty() || said == "changed\n", "{said}");
    said.is_empty()
}

fn finds_cut_off(host: &Host) -> bool {
    host.verify().unwrap().findings.contains(&Finding::CutOff)
}

/// What the next change needs is not what somebody else left half done.
#[test]
fn what_was_cut_off_is_put_back_by_the_next_change_before_it_begins() {
    let Some(dom0) = Dom0::enter() else { return };
    if !has_program("strace") {
        return;
    }
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attach = Operation::AttachVif(Attachment::bridged(guest.name, name("xenbr0"), lock()).rename(name("web")));
    let other = Operation::CreateBridge(Bridge::new(name("xenbr1")));
    let before = Dump::take();
    let _ = dom0.host.run(&other).unwrap();
    let after = Dump::take();
    let mut cut_off = 0;
    for at in 1..50 {
        let _ = dom0.host.delete_bridge(name("xenbr1")).unwrap();
        if !is_cut_off(&dom0, &attach, at) {
            assert!(cut_off > 0);
            return;
        }
        if finds_cut_off(&dom0.host) {
            cut_off += 1;
            // Nothing is done on what is in between: not by a plan, and by nobody who only looks.
            let plan = Plan::from_iter([Step::Up { link: name("xenbr0") }]);
            let error = dom0.host.apply(&plan).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Conflict);
            assert_eq!(error.to_string(), "cannot carry out the plan: a change before it was cut off in the middle");
        }
        // Somebody else's change, by a host that was open all the time and knows of nothing.
        assert_eq!(dom0.host.run(&other).unwrap(), Outcome::Changed);
        assert!(!finds_cut_off(&dom0.host), "killed at message {at}");
        Dump::take().unnumbered().assert_same(&after.unnumbered(), &format!("killed at message {at}"));
        let _ = dom0.host.undo().unwrap();
        Dump::take().unnumbered().assert_same(&before.unnumbered(), "after the other change was undone");
        let _ = dom0.host.run(&other).unwrap();
    }
    panic!("it never ends");
}

#[test]
fn what_was_cut_off_can_be_left_as_it_is() {
    let Some(dom0) = Dom0::enter() else { return };
    if !has_program("strace") {
        return;
    }
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    assert_eq!(dom0.host.forget_cut_off().unwrap(), Outcome::Unchanged);
    let attach = Operation::AttachVif(Attachment::bridged(guest.name, name("xenbr0"), lock()));
    let at = (1..50).find(|at| is_cut_off(&dom0, &attach, *at) && finds_cut_off(&dom0.host)).unwrap();
    let between = Dump::take();
    assert_eq!(dom0.host.forget_cut_off().unwrap(), Outcome::Changed, "killed at message {at}");
    assert!(!finds_cut_off(&dom0.host));
    assert_eq!(dom0.host.undo().unwrap_err().kind(), ErrorKind::NotFound);
    Dump::take().assert_same(&between, "after it was forgotten");
}

/// Killed while it puts back: what it had begun is put back, and the change can be undone again.
#[test]
fn whoever_is_killed_while_it_undoes_has_not_undone_anything() {
    let Some(dom0) = Dom0::enter() else { return };
    if !has_program("strace") {
        return;
    }
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock()).rename(name("web")).mtu(1400);
    let other = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    let _ = dom0.host.attach_vif(&Attachment::bridged(other.name, name("xenbr0"), Lock::Disabled)).unwrap();
    let before = Dump::take();
    let _ = dom0.host.attach_vif(&attachment).unwrap();
    let after = Dump::take();
    let mut cut_off = 0;
    for at in 1..100 {
        let inject = format!("inject=sendto,sendmsg:signal=SIGKILL:when={at}");
        let under = ["-f", "-o", "/dev/null", "-e", "trace=sendto,sendmsg", "-e", &inject];
        let mut undo = std::process::Command::new("strace");
        undo.args(under).arg(env!("CARGO_BIN_EXE_attach_once")).arg(dom0.state.path()).arg("undo");
        let is_done = undo.output().unwrap().status.success();
        if is_done {
            Dump::take().unnumbered().assert_same(&before.unnumbered(), "after it was undone");
            assert!(cut_off > 0, "nothing was cut off");
            return;
        }
        let when = format!("killed at message {at}");
        if finds_cut_off(&dom0.host) {
            cut_off += 1;
            if at % 2 == 0 {
                // It comes to its end.
                let _ = dom0.host.undo().unwrap();
                Dump::take().unnumbered().assert_same(&before.unnumbered(), &when);
                let _ = dom0.host.attach_vif(&attachment).unwrap();
            } else {
                // Whatever is to be changed next; this is so already.
                let _ = dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
            }
        }
        Dump::take().unnumbered().assert_same(&after.unnumbered(), &when);
    }
    panic!("it never ends");
}

/// Changes, what others do then, and what they are told who would put the first back.
#[test]
fn what_others_did_since_is_not_undone_with_it() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    bridge_by_ip("xenbr9");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = guest.name;
    let _other = dom0.cable("eth9", "02:00:00:00:00:09");
    let attachment = Attachment::bridged(vif, name("xenbr0"), lock());
    let attached = Operation::AttachVif(attachment.clone());
    let named = Operation::AttachVif(attachment.clone().rename(name("web")).mtu(1400));
    let bridge = Bridge::new(name("xenbr1")).address("10.98.99.1/24".parse().unwrap()).mtu(1400);
    let bridge = Operation::CreateBridge(bridge);
    let forward = Forward::new("tcp:8080".parse().unwrap(), "10.98.98.2:80".parse().unwrap());
    let cases: &[(&Operation, &str, &str, &str)] = &[
        (&bridge, "ip link set eth9 master xenbr1", "ip link set eth9 nomaster", "eth9 is a port of xenbr1 by now"),
        (
            &bridge,
            "ip address add 10.98.97.1/24 dev xenbr1",
            "ip address del 10.98.97.1/24 dev xenbr1",
            "xenbr1 has the address 10.98.97.1/24 by now",
        ),
        (
            &bridge,
            "ip route add 10.77.0.0/16 via 10.98.99.2 dev xenbr1 onlink",
            "ip route del 10.77.0.0/16",
            "there is a route 10.77.0.0/16 via 10.98.99.2 dev xenbr1 by now",
        ),
        (&bridge, "ip link add mac9 link xenbr1 type macvlan", "ip link del mac9", "mac9 is on xenbr1 by now"),
        (&bridge, "ip link set xenbr1 name xenbr2", "ip link set xenbr2 name xenbr1", "xenbr1 is called xenbr2 by now"),
        (&attached, "ip link set vif1.0 master xenbr9", "", "vif1.0 is a port of xenbr9 by now"),
        (
            &named,
            "ip link set web mtu 1300",
            "ip link set web mtu 1400",
            "web: the MTU is 1300 by now, the change had made it 1400",
        ),
        (&named, "ip link set web name www", "ip link set www name web", "web is called www by now"),
        (&named, "ip link add vif1.0 type bridge", "ip link del vif1.0", "the name vif1.0 is taken by now"),
    ];
    for (operation, by_hand, back, words) in cases {
        let before = Dump::take();
        assert_eq!(dom0.host.run(operation).unwrap(), Outcome::Changed, "{operation}");
        shell(by_hand);
        let error = fails(words, || dom0.host.undo());
        assert_eq!(
            (error.kind(), error.to_string()),
            (ErrorKind::Conflict, format!("cannot undo the last change: {words}"))
        );
        assert_eq!(dom0.host.plan_undo().unwrap_err().to_string(), error.to_string());
        match *back {
            "" => drop(dom0.host.detach_vif(vif).unwrap()),
            back => {
                shell(back);
                assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed, "{operation}");
                Dump::take().unnumbered().assert_same(&before.unnumbered(), &format!("after {operation} was undone"));
            }
        }
    }
    // What somebody did already is no obstacle.
    let before = Dump::take();
    let _ = dom0.host.run(&named).unwrap();
    shell("ip link set web mtu 1500 nomaster");
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    Dump::take().unnumbered().assert_same(&before.unnumbered(), "after half of it had been put back by hand");
    // Nor what has nothing to do with it.
    let _ = dom0.host.forward_port(&forward).unwrap();
    let _ = nft("add table inet others");
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    // What would stand on nothing is told with its remedy.
    let _ = dom0.host.run(&attached).unwrap();
    let _ = dom0.host.set_antispoof(vif, Lock::Disabled).unwrap();
    nft("delete table bridge xenvnet");
    let words = "cannot undo the last change: the lock of vif1.0 is gone; bring it back first: xenvnet verify --repair";
    assert_eq!(fails(words, || dom0.host.undo()).to_string(), words);
    let _ = dom0.host.repair().unwrap();
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
}

/// What goes by itself is in nobody's way.
#[test]
fn an_address_that_a_router_advertised_is_no_obstacle() {
    let Some(dom0) = Dom0::enter() else { return };
    let before = Dump::take();
    let _ = dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    ip("address add 2001:db8::5/64 dev xenbr0 valid_lft 600 preferred_lft 600");
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    Dump::take().assert_same(&before, "after it was undone");
}

/// What others flushed or took in hand meanwhile: neither undo nor what puts back after a crash sets a guest up
/// that nothing holds.
#[test]
fn nobody_comes_up_again_without_its_lock() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock());
    let _ = dom0.host.attach_vif(&attachment).unwrap();
    let _ = dom0.host.release_vif(guest.name).unwrap();
    nft("flush ruleset");
    let error = fails("a guest whose lock was flushed", || dom0.host.undo());
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert!(error.to_string().contains("bring it back first: xenvnet verify --repair"), "{error}");
    let _ = dom0.host.repair().unwrap();
    let _ = dom0.host.attach_vif(&attachment).unwrap();
    let _ = dom0.host.detach_vif(guest.name).unwrap();
    // On its bridge, but learning and open.
    ip("link set vif1.0 master xenbr0");
    let words = "cannot undo the last change: vif1.0 is a port of xenbr0 by now";
    assert_eq!(fails(words, || dom0.host.undo()).to_string(), words);
}

/// Somebody made a bridge of that name by hand after the library was killed before it did.
#[test]
fn a_bridge_of_somebody_elses_is_not_taken_for_the_one_that_was_begun() {
    let Some(dom0) = Dom0::enter() else { return };
    if !has_program("strace") {
        return;
    }
    let create = Operation::CreateBridge(Bridge::new(name("xenbr0")));
    let first = (1..20).find(|at| is_cut_off(&dom0, &create, *at) && finds_cut_off(&dom0.host)).unwrap();
    let _ = std::process::Command::new("ip").args(["link", "del", "xenbr0"]).output();
    ip("link add xenbr0 address 02:00:00:00:00:77 type bridge");
    ip("address add 192.0.2.7/24 dev xenbr0");
    let before = Dump::take();
    let _ = dom0.host.create_bridge(&Bridge::new(name("xenbr9"))).unwrap();
    let _ = dom0.host.delete_bridge(name("xenbr9")).unwrap();
    Dump::take().assert_same(&before, &format!("killed at message {first}"));
}

/// Forwarding belongs to all networks that run, whoever switched it on.
#[test]
fn what_another_network_needs_is_not_taken_back() {
    let Some(dom0) = Dom0::enter() else { return };
    let network = |bridge: u8| format!("network-virtual bridge=xenbr{bridge} bridgeip=10.98.{bridge}.1/24");
    let start = |bridge: u8| Operation::StartNetwork(network(bridge).parse().unwrap());
    let extra = Operation::CreateBridge(Bridge::new(name("extra")));
    let _ = dom0.host.run_all(&[start(0), extra]).unwrap();
    let other = Host::options().state_dir(dom0.state.path()).open().unwrap();
    let _ = other.run(&start(1)).unwrap();
    let _ = other.create_bridge(&Bridge::new(name("last"))).unwrap();
    let _ = other.undo().unwrap();
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    assert_eq!(xenvnet_tests::sysctl("ipv4/ip_forward"), "1");
    assert_eq!(dom0.host.snapshot().unwrap().networks.len(), 1);
}

/// A lock by the same name and with the same addresses, but another interface's: a guest that was restarted.
#[test]
fn the_lock_of_a_guest_that_was_restarted_is_not_undone() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock());
    let _ = dom0.host.attach_vif(&attachment).unwrap();
    ip("link del vif1.0");
    let _again = dom0.guest("vif1.0", &OWN.to_string());
    let elsewhere = StateDir::new();
    let other = Host::options().state_dir(elsewhere.path()).open().unwrap();
    let _ = other.attach_vif(&attachment).unwrap();
    let error = fails("a lock of another interface", || dom0.host.undo());
    assert_eq!(
        error.to_string(),
        "cannot undo the last change: the lock of vif1.0 is that of another interface by now"
    );
}

/// Hosts that were open when somebody removed the state directory wait again for those that come later.
#[test]
fn a_state_directory_that_was_removed_is_made_again() {
    let Some(dom0) = Dom0::enter() else { return };
    let _ = dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    for entry in std::fs::read_dir(dom0.state.path()).unwrap() {
        std::fs::remove_dir_all(entry.unwrap().path()).unwrap();
    }
    let later = Host::options().state_dir(dom0.state.path()).open().unwrap();
    let before = Dump::take();
    let _ = dom0.host.create_bridge(&Bridge::new(name("xenbr1"))).unwrap();
    let _ = later.undo().unwrap();
    Dump::take().assert_same(&before, "after the later host undid what the earlier did");
    assert_eq!(dom0.host.undo().unwrap_err().kind(), ErrorKind::NotFound, "the former changes are forgotten");
}

#[test]
fn two_state_directories_are_two_histories() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    let elsewhere = StateDir::new();
    let other = Host::options().state_dir(elsewhere.path()).open().unwrap();
    assert_eq!(other.undo().unwrap_err().kind(), ErrorKind::NotFound);
}
