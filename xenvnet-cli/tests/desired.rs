//! The second day of a host: what is saved is there again, dead guests leave nothing, and what others
//! change is said at once.

mod call;

use call::{call, command, exit, json, run_at, xenvnet};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Stdio};
use xenvnet_tests::{Dom0, Dump, FakeVif, StateDir, ip, nft, nft_ruleset};

const NETWORK: &str = "network-virtual bridgeip=10.98.98.1/24 antispoof=yes";

/// A host with a network and a guest on it.
fn host() -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    assert_eq!(call(&dom0, ["network", "start", NETWORK]).exit, 0);
    let guest = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    assert_eq!(exit(&dom0, "vif attach vif1.0 --bridge xenbr0 --mac 00:16:3e:00:00:01 --ip 10.98.98.2"), 0);
    guest.wait_for_carrier();
    Some((dom0, guest))
}

fn unit(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd").join(name)).unwrap()
}

/// What the unit runs, for a file of the test's.
fn exec_start(file: &Path) -> Vec<String> {
    let unit = unit("xenvnet.service");
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/xenvnet ")).unwrap();
    line.split(' ').map(str::to_owned).chain([file.display().to_string()]).collect()
}

fn saved(dom0: &Dom0, kept: &StateDir) -> PathBuf {
    let file = kept.path().join("xenvnet/saved.json");
    let answer = call(dom0, ["save", file.to_str().unwrap()]);
    assert_eq!((answer.exit, answer.err.as_str()), (0, ""));
    assert!(answer.out.ends_with(": 1 operation\n  start network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24 antispoof=yes\n"), "{}", answer.out);
    file
}

#[test]
fn what_the_unit_runs_makes_good_a_restart_of_nftables_and_a_reboot() {
    let kept = StateDir::new();
    let Some((dom0, guest)) = host() else { return };
    let file = saved(&dom0, &kept);
    let before = Dump::take();
    nft("flush ruleset");
    let dry = call(&dom0, ["--dry-run", "restore", file.to_str().unwrap()]);
    assert_eq!(dry.exit, 3, "{}", dry.err);
    assert_eq!(nft_ruleset(), "");
    let answer = call(&dom0, exec_start(&file));
    assert_eq!((answer.exit, answer.err.as_str()), (0, ""));
    Dump::take().assert_same(&before, "after nftables was restarted");
    let again = json(&dom0, &format!("restore {}", file.display()));
    assert_eq!((&again["changed"], &again["file"]), (&Value::from(false), &file.to_str().unwrap().into()));
    assert_eq!(call(&dom0, ["--dry-run", "restore", file.to_str().unwrap()]).exit, 0);
    let network = json(&dom0, "network status");
    drop((dom0, guest));
    // Nothing is left of the host but the file.
    let Some(dom0) = Dom0::enter() else { return };
    assert_eq!(call(&dom0, exec_start(&file)).exit, 0);
    assert_eq!(json(&dom0, "network status"), network);
    assert_eq!(exit(&dom0, "verify"), 0);
}

#[test]
fn a_file_that_cannot_be_used_is_said_with_what_to_do() {
    let kept = StateDir::new();
    let Some((dom0, _guest)) = host() else { return };
    let file = saved(&dom0, &kept);
    let words = ["restore", file.to_str().unwrap()];
    std::fs::remove_file(&file).unwrap();
    let gone = call(&dom0, words);
    assert_eq!(gone.exit, 1);
    let said = format!(
        "xenvnet: cannot restore {}: there is no such file\nwrite it while the networks run: xenvnet save\n",
        file.display()
    );
    assert_eq!(gone.err, said);
    std::fs::write(&file, r#"{"version": 2, "operations": []}"#).unwrap();
    let newer = call(&dom0, ["--json"].into_iter().chain(words));
    assert_eq!(serde_json::from_str::<Value>(&newer.out).unwrap()["error"]["kind"], "unsupported");
    let elsewhere = run_at(dom0.state.path(), ["--netns", "/proc/self/ns/net", "save"]);
    assert_eq!(elsewhere.exit, 2, "{}", elsewhere.err);
    assert!(elsewhere.err.contains("name a FILE for another network namespace"), "{}", elsewhere.err);
}

#[test]
fn dead_guests_leave_nothing() {
    let Some((dom0, _guest)) = host() else { return };
    assert_eq!(xenvnet(&dom0, "gc").out, "dead guests left nothing\n");
    ip("link delete vif1.0");
    let dry = xenvnet(&dom0, "--dry-run gc");
    assert_eq!((dry.exit, dry.out.as_str()), (3, "- table bridge xenvnet: what is left of vif1.0\n"));
    assert!(nft_ruleset().contains("vif1.0"));
    let found = json(&dom0, "gc");
    assert_eq!((&found["changed"], &found["removed"][0]["kind"]), (&true.into(), &"leftover".into()));
    assert!(!nft_ruleset().contains("vif1.0"));
    assert_eq!(exit(&dom0, "--dry-run gc"), 0);
    assert_eq!(json(&dom0, "gc")["removed"], Value::Array(Vec::new()));
}

/// The command, watching.
struct Watcher {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Watcher {
    /// Once it is on the watch.
    fn start(dom0: &Dom0, words: &[&str]) -> Watcher {
        let mut child = command(dom0).args(["--json", "watch"]).args(words).stdout(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut watcher = Watcher { child, said };
        let first = watcher.next();
        assert_eq!((&first["event"], &first["findings"]), (&"watching".into(), &0.into()), "{first}");
        watcher
    }

    fn next(&mut self) -> Value {
        let line: Value = serde_json::from_str(&self.said.next().expect("a line").unwrap()).unwrap();
        assert!(line["version"] == 1 && line["time"].as_str().is_some_and(|time| time.ends_with('Z')), "{line}");
        line
    }

    /// Event and kind of as many lines.
    fn told(&mut self, count: usize) -> Vec<String> {
        let line = |line: Value| format!("{} {}", line["event"], line["finding"]["kind"]).replace('"', "");
        (0..count).map(|_| line(self.next())).collect()
    }

    fn end(mut self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0));
        assert!(self.said.next().is_none(), "it has nothing more to say");
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        // Where the test failed; it has ended otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_others_change_is_said_and_what_is_as_before_is_not() {
    let Some((dom0, _guest)) = host() else { return };
    let mut watcher = Watcher::start(&dom0, &[]);
    // Nothing of these is to be said: what comes next is of what comes next.
    ip("link add docker0 type bridge");
    nft("add table ip others");
    assert_eq!(exit(&dom0, "bridge create xenbr1"), 0);
    nft("delete element bridge xenvnet own_mac { \"vif1.0\" . 00:16:3e:00:00:01 }");
    assert_eq!(watcher.told(1), ["came lock_differs"]);
    // Nor that it is still so.
    ip("link set docker0 up");
    assert_eq!(exit(&dom0, "verify --repair"), 0);
    assert_eq!(watcher.told(1), ["went lock_differs"]);
    ip("link set vif1.0 type bridge_slave learning on");
    assert_eq!(watcher.told(1), ["came port_flags"]);
    assert_eq!(exit(&dom0, "verify --repair"), 0);
    assert_eq!(watcher.told(1), ["went port_flags"]);
    ip("link delete vif1.0");
    assert_eq!(watcher.told(1), ["came leftover"]);
    assert_eq!(exit(&dom0, "gc"), 0);
    assert_eq!(watcher.told(1), ["went leftover"]);
    watcher.end(Signal::SIGINT);
}

#[test]
fn what_others_change_is_mended_at_once() {
    let Some((dom0, _guest)) = host() else { return };
    let before = Dump::take();
    let mut watcher = Watcher::start(&dom0, &["--repair"]);
    let inet = ["table_missing", "not_masqueraded", "network_forgotten"];
    let all = ["table_missing", "table_missing", "not_locked", "not_masqueraded", "network_forgotten"];
    for (damage, kinds) in [("flush ruleset", &all[..]), ("delete table inet xenvnet", &inet)] {
        nft(damage);
        for event in ["came", "mended"] {
            let mut told = watcher.told(kinds.len());
            let mut expected: Vec<_> = kinds.iter().map(|kind| format!("{event} {kind}")).collect();
            told.sort();
            expected.sort();
            assert_eq!(told, expected, "{damage}");
        }
        Dump::take().assert_same(&before, damage);
    }
    watcher.end(Signal::SIGTERM);
    assert_eq!(exit(&dom0, "--dry-run watch --repair"), 2);
}

/// Whoever has seen enough does not leave somebody behind who watches for nobody.
#[test]
fn a_watch_that_nobody_listens_to_ends() {
    let Some((dom0, _guest)) = host() else { return };
    let mut watcher = Watcher::start(&dom0, &[]);
    let unheard = std::mem::replace(&mut watcher.said, BufReader::new(unread()).lines());
    drop(unheard);
    assert_eq!(watcher.child.wait().unwrap().code(), Some(0));
}

/// The end of a pipe that nobody writes into.
fn unread() -> ChildStdout {
    std::process::Command::new("true").stdout(Stdio::piped()).spawn().unwrap().stdout.unwrap()
}

/// What this build of systemd has to say of the units.
#[test]
fn systemd_finds_nothing_wrong_with_the_units() {
    let folder = StateDir::new();
    let units = ["xenvnet.service", "xenvnet-watch.service", "xenvnet-guard.service"];
    let files = units.map(|name| {
        let file = folder.path().join(name);
        std::fs::write(&file, unit(name).replace("/usr/bin/xenvnet", env!("CARGO_BIN_EXE_xenvnet"))).unwrap();
        file
    });
    match std::process::Command::new("systemd-analyze").args(["verify", "--man=no"]).args(files).output() {
        Ok(output) => assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{}", output.status),
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::NotFound, "{error}"),
    }
}
