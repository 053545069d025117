//! Networks by the command: from a line or a file, confirmed or put back, and what is told of them.

mod call;

use call::{call, command, exit, guard_at, json, until, xenvnet};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;
use xenvnet_core::Operation;
use xenvnet_tests::{Dom0, FakeVif, ip, ip_json, nft, nft_ruleset};

const LINE: &str = "network-bridge bridge=xenbr0 netdev=eth0";

/// A host with a card that has an address.
fn host() -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    let outside = dom0.cable("eth0", "00:16:3e:00:00:99");
    ip("addr add 192.0.2.1/24 dev eth0");
    Some((dom0, outside))
}

fn is_there(link: &str) -> bool {
    ip_json("link show").as_array().unwrap().iter().any(|one| one["ifname"] == link)
}

/// Where the host has its address.
fn address_is_on() -> String {
    let links = ip_json("-4 addr show");
    let mut links = links.as_array().unwrap().iter();
    let has =
        |link: &&serde_json::Value| link["addr_info"].as_array().is_some_and(|all| all[0]["local"] == "192.0.2.1");
    links.find(has).map(|link| link["ifname"].as_str().unwrap().to_owned()).unwrap_or_default()
}

/// A guard of this test's, and what it said first.
fn guard(dom0: &Dom0, more: &[&str]) -> (Child, String) {
    let mut guard = command(dom0);
    // As a shell does for a job: such a process cannot begin a session of its own.
    guard.arg("guard").args(more).process_group(0).stdout(Stdio::piped());
    let mut guard = guard.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(guard.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (guard, line)
}

/// The guard that the command started for this host.
fn started_guard(dom0: &Dom0) -> Option<u32> {
    guard_at(dom0.state.path())
}

#[test]
fn what_nobody_confirms_is_put_back() {
    let Some((dom0, _outside)) = host() else { return };
    let before = nft_ruleset();
    let answer = call(&dom0, ["network", "start", "--confirm-within", "1", LINE]);
    assert_eq!(answer.exit, 0, "{}", answer.err);
    let confirm = format!("xenvnet --state-dir {} confirm\n", dom0.state.path().display());
    assert!(answer.out.contains("confirm it within 1 s") && answer.out.ends_with(&confirm), "{}", answer.out);
    until(|| started_guard(&dom0).is_none());
    assert_eq!((is_there("xenbr0"), address_is_on().as_str()), (false, "eth0"));
    assert_eq!(nft_ruleset(), before);
    assert_eq!(json(&dom0, "confirm")["confirmed"], false);
}

#[test]
fn what_is_confirmed_stays_and_what_is_so_already_needs_no_guard() {
    let Some((dom0, _outside)) = host() else { return };
    let preview = call(&dom0, ["--dry-run", "network", "start", "--confirm-within", "600", LINE]);
    assert_eq!((preview.exit, started_guard(&dom0), is_there("xenbr0")), (3, None, false));

    let started = call(&dom0, ["--json", "network", "start", "--confirm-within", "600", LINE]);
    let object: serde_json::Value = serde_json::from_str(&started.out).unwrap();
    assert_eq!((&object["changed"], &object["confirm_within"]), (&true.into(), &600.into()), "{}", started.err);
    assert_eq!(address_is_on(), "xenbr0");

    // It outlives the terminal that it was started from: a session of its own, nothing of ours open.
    let guard = started_guard(&dom0).expect("a guard is on the watch");
    let stat = fs::read_to_string(format!("/proc/{guard}/stat")).unwrap();
    let session = stat.rsplit(' ').nth(stat.rsplit(' ').count() - 6).unwrap();
    assert_eq!(session, guard.to_string(), "{stat}");
    assert_eq!(fs::read_link(format!("/proc/{guard}/fd/0")).unwrap(), Path::new("/dev/null"));

    assert_eq!(json(&dom0, "confirm")["confirmed"], true);
    assert!(xenvnet(&dom0, "confirm").out.starts_with("nothing waits"));
    assert_eq!((exit(&dom0, "--dry-run confirm"), exit(&dom0, "--dry-run guard")), (2, 2));
    kill(Pid::from_raw(guard as i32), Signal::SIGKILL).unwrap();
    until(|| started_guard(&dom0).is_none());
    let again = call(&dom0, ["network", "start", "--confirm-within", "600", LINE]);
    assert!(again.out.starts_with("already so: ") && !again.out.contains("confirm it"), "{}", again.out);
    assert_eq!((started_guard(&dom0), address_is_on().as_str()), (None, "xenbr0"));
}

#[test]
fn a_guard_that_dies_is_relieved_by_the_one_that_stands_by() {
    let Some((dom0, _outside)) = host() else { return };
    let (mut first, said) = guard(&dom0, &["--forever"]);
    assert_eq!(said, "on the watch\n");
    let status = fs::read_to_string(format!("/proc/{}/status", first.id())).unwrap();
    let blocked = status.lines().find_map(|line| line.strip_prefix("SigBlk:\t")).unwrap();
    assert_eq!(u64::from_str_radix(blocked, 16).unwrap() & 1, 1, "a hang-up ends it");
    let (mut second, said) = guard(&dom0, &[]);
    assert_eq!(said, "another guard is on the watch, this one stands by\n");
    first.kill().unwrap();
    first.wait().unwrap();

    // Nothing is changed while nobody is on the watch, and the second one soon is.
    let start = Operation::StartNetwork(LINE.parse().unwrap());
    until(|| dom0.host.run_provisionally(std::slice::from_ref(&start), Duration::from_millis(1)).is_ok());
    assert!(second.wait().unwrap().success(), "it ends when all is put back");
    assert_eq!((is_there("xenbr0"), address_is_on().as_str()), (false, "eth0"));
}

#[test]
fn what_a_dead_guard_leaves_is_put_back_by_the_next_one() {
    let Some((dom0, _outside)) = host() else { return };
    // On the watch in place of the one that the command starts, and never looks.
    let idle = dom0.host.sentinel().unwrap();
    assert_eq!(call(&dom0, ["network", "start", "--confirm-within", "1", LINE]).exit, 0);
    let started = started_guard(&dom0).expect("it stands by");
    kill(Pid::from_raw(started as i32), Signal::SIGKILL).unwrap();
    until(|| started_guard(&dom0).is_none());
    drop(idle);
    assert_eq!(address_is_on(), "xenbr0", "nobody was there to put it back");
    let (mut next, said) = guard(&dom0, &[]);
    assert_eq!(said, "on the watch\n");
    assert!(next.wait().unwrap().success(), "it ends when all is put back");
    assert_eq!((is_there("xenbr0"), address_is_on().as_str()), (false, "eth0"));
}

#[test]
fn without_a_guard_nothing_is_changed() {
    let Some((dom0, _outside)) = host() else { return };
    // A file where the guard's state would be.
    let file = dom0.state.path().join("file");
    fs::write(&file, "").unwrap();
    let mut refused = std::process::Command::new(env!("CARGO_BIN_EXE_xenvnet"));
    refused.arg("--state-dir").arg(&file).args(["network", "start", "--confirm-within", "600", LINE]);
    let refused = refused.output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot use the state directory"), "{refused:?}");
    assert!(!is_there("xenbr0"));
}

#[test]
fn the_line_comes_out_of_xends_configuration() {
    let Some((dom0, _outside)) = host() else { return };
    let file = dom0.state.path().join("xend-config.sxp");
    let config = |text: &[u8]| fs::write(&file, text).unwrap();
    let start = || call(&dom0, ["network".as_ref(), "start".as_ref(), "--config".as_ref(), file.as_os_str()]);
    // Written when files were Latin-1.
    config(&[b"# B\xfcro\n(network-script '", LINE.as_bytes(), b"')\n"].concat());
    assert_eq!((start().exit, address_is_on().as_str()), (0, "xenbr0"));
    let stop = call(&dom0, ["network".as_ref(), "stop".as_ref(), "--config".as_ref(), file.as_os_str()]);
    assert_eq!((stop.exit, address_is_on().as_str()), (0, "eth0"));

    config(b"# B\xfcro\n(network-script 'network-virtual brige=xenbr0')\n");
    let refused = start();
    let name = file.display();
    let wanted = format!(
        "xenvnet: cannot read {name}: network line: unknown key \"brige\" at byte 40, line 2; did you mean \"bridge\"?\n"
    );
    assert_eq!((refused.exit, refused.err), (1, wanted));
    config(b"(network-script network-bridge bridge=xenbr0)");
    assert!(start().err.contains("put all of it in quotes"));
    config(b"(xend-port 8000)");
    assert!(start().err.contains("it names no network\nwrite into it: (network-script "), "{}", start().err);
    assert!(!is_there("xenbr0"));
}

#[test]
fn a_network_is_told_with_its_card_and_what_stands_in_its_way() {
    let Some((dom0, _outside)) = host() else { return };
    assert_eq!(call(&dom0, ["network", "start", "bridge-shadow eth0"]).exit, 0);
    assert_eq!(call(&dom0, ["network", "start", "network-nat netdev=eth0"]).exit, 0);
    let told = xenvnet(&dom0, "network status").out;
    let rows: Vec<Vec<_>> = told.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    assert_eq!(rows[1][..4], ["eth0", "shadow", "eth0", "seth0"]);
    assert!(rows[1].ends_with(&["bridge-shadow", "eth0"]), "{told}");
    assert_eq!(rows[2], ["nat:eth0", "nat", "-", "eth0", "net.ipv4.ip_forward=0", "network-nat", "netdev=eth0"]);
    let object = json(&dom0, "network status");
    assert_eq!(object["networks"]["nat:eth0"]["before"]["ip4_forward"], 0);
    assert_eq!(object["warnings"], serde_json::json!([]));
    assert!(xenvnet(&dom0, "status --dot").out.contains(r#""link eth0" -- "link seth0" [label="uplink"]"#));

    nft("add table ip filter");
    nft("add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; }");
    for verb in ["network status", "status"] {
        let text = xenvnet(&dom0, verb).out;
        assert!(
            text.contains("chain FORWARD of table ip filter drops") && text.contains("remedy: iptables -I"),
            "{text}"
        );
        assert_eq!(json(&dom0, verb)["warnings"][0]["kind"], "forward_drop");
    }
}

#[test]
fn a_bridge_without_a_carrier_is_told_after_a_wait() {
    let Some((dom0, outside)) = host() else { return };
    outside.guest.within(|| ip("link set eth0 down"));
    let start = |wait: &str| call(&dom0, ["network", "start", "--wait", wait, LINE]);
    let silent = start("0");
    assert_eq!((silent.exit, silent.err.as_str()), (0, ""));
    assert_eq!(call(&dom0, ["network", "stop", LINE]).exit, 0);
    let told = start("1");
    assert_eq!(told.exit, 0);
    assert!(told.err.contains("xenbr0 has no carrier after 1 s: is eth0 plugged in?"), "{}", told.err);
}

#[test]
fn a_port_of_dom0_leads_to_a_guest_and_no_longer() {
    let Some((dom0, _outside)) = host() else { return };
    let before = nft_ruleset();
    assert_eq!(exit(&dom0, "bridge create xenbr0 --address 10.98.98.1/24"), 0);
    let add = "forward add tcp:8080 10.98.98.2:80";
    assert_eq!((exit(&dom0, &format!("--dry-run {add}")), nft_ruleset()), (3, before.clone()));
    assert_eq!(exit(&dom0, add), 0);
    assert!(nft("list ruleset").contains("dnat"));
    assert!(xenvnet(&dom0, add).out.starts_with("already so: "));
    let object = json(&dom0, "forward show");
    let wanted = serde_json::json!([{ "port": "tcp:8080", "to": "10.98.98.2:80", "behind": "xenbr0" }]);
    assert_eq!(object["forwards"], wanted);
    for (verb, words) in
        [("status", "tcp:8080  10.98.98.2:80  xenbr0"), ("status --dot", r"dom0\ntcp:8080 to 10.98.98.2:80")]
    {
        assert!(xenvnet(&dom0, verb).out.contains(words), "{verb}");
    }
    let other = xenvnet(&dom0, "forward add tcp:8080 10.98.98.3:80");
    assert_eq!((other.exit, other.err.contains("xenvnet forward remove tcp:8080")), (1, true), "{}", other.err);
    assert_eq!((exit(&dom0, "forward remove tcp:8080"), nft_ruleset()), (0, before));
    assert!(xenvnet(&dom0, "forward show").out.starts_with("no port"));
}
