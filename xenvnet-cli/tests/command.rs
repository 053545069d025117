//! The command as programs and people call it: its exit codes, its JSON, and what the kernel has
//! afterwards.

use serde_json::Value;
use std::process::Command;
use std::time::{Duration, Instant};
use xenvnet_tests::{Dom0, FakeVif, Ip4, RawSocket, ether, ip, ip_json, nft, nft_json, nft_ruleset, udp};

const MAC: &str = "00:16:3e:00:00:01";
const STRANGER: &str = "00:16:3e:00:00:66";
const IP: &str = "10.98.98.2";

/// One call of the command.
struct Answer {
    exit: i32,
    out: String,
    err: String,
}

/// Calls it in the namespace of the test, with words between blanks.
fn xenvnet(dom0: &Dom0, line: &str) -> Answer {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xenvnet"));
    let output = command.arg("--state-dir").arg(dom0.state.path()).args(line.split(' ')).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    Answer { exit: output.status.code().unwrap(), out: text(output.stdout), err: text(output.stderr) }
}

/// The exit code alone.
fn exit(dom0: &Dom0, line: &str) -> i32 {
    xenvnet(dom0, line).exit
}

/// One object, whose version is the one that programs were told.
fn json(dom0: &Dom0, line: &str) -> Value {
    let answer = xenvnet(dom0, &format!("--json {line}"));
    let object: Value = serde_json::from_str(&answer.out).unwrap_or_else(|error| panic!("{error}: {}", answer.out));
    assert_eq!(object["version"], 1, "{object}");
    object
}

/// A host with a bridge, and a guest that is not attached yet.
fn host() -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    let guest = dom0.guest("vif1.0", MAC);
    assert_eq!(exit(&dom0, "bridge create xenbr0"), 0);
    Some((dom0, guest))
}

fn attach(vif: &str) -> String {
    format!("vif attach {vif} --bridge xenbr0 --mac {MAC} --ip {IP}")
}

/// Sends a frame of somebody else's MAC address from a guest's card.
fn spoof(guest: &FakeVif) {
    let payload = Ip4::new(IP.parse().unwrap(), "10.98.98.9".parse().unwrap()).carry(&udp(9, 9, b"spoofed"));
    let frame = ether("ff:ff:ff:ff:ff:ff".parse().unwrap(), STRANGER.parse().unwrap(), 0x0800, &payload);
    guest.guest.within(|| RawSocket::on("eth0").send(frame.bytes()));
}

/// Asks until it is so: the kernel counts in its own time.
#[track_caller]
fn until(mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < end, "it is not so after a minute");
    }
}

/// What the kernel counted for the one interface in a set of the bridge's table.
fn counted(set: &str) -> Value {
    let list = nft_json(&format!("list set bridge xenvnet {set}"));
    let sets = list["nftables"].as_array().unwrap().iter().filter_map(|entry| entry.get("set"));
    let elements: Vec<_> = sets.flat_map(|set| set["elem"].as_array().unwrap_or_else(|| panic!("{set}"))).collect();
    assert_eq!(elements.len(), 1, "{elements:?}");
    elements[0]["elem"]["counter"]["packets"].clone()
}

#[test]
fn a_sound_host_is_0_and_a_flushed_one_1_until_it_is_mended() {
    let Some((dom0, _guest)) = host() else { return };
    assert_eq!(exit(&dom0, &attach("vif1.0")), 0);
    let sound = xenvnet(&dom0, "verify");
    assert_eq!((sound.exit, sound.out.as_str()), (0, "everything is as it was asked for\n"));
    assert_eq!(exit(&dom0, "--dry-run verify --repair"), 0);

    let before = nft_ruleset();
    nft("flush ruleset");
    let found = xenvnet(&dom0, "verify");
    assert_eq!(found.exit, 1);
    assert!(
        found.out.starts_with("hole   table bridge xenvnet is missing\nhole   vif1.0 is not in table bridge xenvnet")
    );
    assert!(found.out.ends_with("\n       remedy: xenvnet verify --repair\n"), "{}", found.out);
    let report = json(&dom0, "verify");
    assert_eq!((&report["sound"], &report["worst"]), (&Value::from(false), &Value::from("hole")));
    let kinds: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, ["table_missing", "not_locked"]);
    assert_eq!(report["findings"][1]["vif"], "vif1.0");

    let preview = xenvnet(&dom0, "--dry-run verify --repair");
    assert_eq!((preview.exit, preview.out), (3, dom0.host.verify().unwrap().repair.to_string()));
    assert_eq!(nft_ruleset(), "", "nothing was changed");
    let mended = json(&dom0, "verify --repair");
    assert_eq!((mended["sound"].as_bool(), mended["mended"].as_array().map(Vec::len)), (Some(true), Some(2)));
    assert_eq!(nft_ruleset(), before);
    assert_eq!(exit(&dom0, "verify --repair"), 0);
}

#[test]
fn what_cannot_be_mended_stays_1() {
    let Some((dom0, _guest)) = host() else { return };
    ip("link set vif1.0 group 7777 up");
    for line in ["verify", "verify --repair"] {
        let answer = xenvnet(&dom0, line);
        assert_eq!(answer.exit, 1, "{line}");
        assert!(answer.out.starts_with("hole   vif1.0 is a guest's interface, up, and not locked\n"), "{}", answer.out);
    }
    assert_eq!(exit(&dom0, "--dry-run verify --repair"), 0, "there is nothing that it would do");
}

#[test]
fn a_note_is_0() {
    let Some((dom0, _guest)) = host() else { return };
    let _emulated = dom0.guest("vif1.0-emu", MAC);
    assert_eq!((exit(&dom0, &attach("vif1.0")), exit(&dom0, &attach("vif1.0-emu"))), (0, 0));
    let answer = xenvnet(&dom0, "verify");
    assert_eq!(answer.exit, 0);
    assert!(answer.out.starts_with("note   vif1.0 and vif1.0-emu are one guest's card"), "{}", answer.out);
    assert!(xenvnet(&dom0, "status").out.contains("xenbr0 (pair)"));
    assert!(xenvnet(&dom0, "status --dot").out.contains(r#""link xenbr0" -- "link vif1.0-emu" [label="pair"]"#));
    let shown = json(&dom0, "antispoof show vif1.0");
    assert_eq!(shown["vifs"][0]["tables"], serde_json::json!(["bridge", "netdev"]));
}

#[test]
fn nat_is_a_route_a_lock_at_ingress_and_a_masquerade_or_nothing() {
    let Some((dom0, _guest)) = host() else { return };
    let before = nft_ruleset();
    let line = format!("vif attach vif1.0 --nat --uplink eth9 --mac {MAC} --ip 10.1.0.2 --gateway 10.1.0.1");
    assert_eq!(exit(&dom0, &format!("--dry-run {line}")), 3);
    assert_eq!(nft_ruleset(), before, "nothing was changed");
    assert_eq!(exit(&dom0, &line), 0);
    assert_eq!(ip_json("route show dev vif1.0")[0]["dst"], "10.1.0.2");
    assert_eq!(ip_json("addr show dev vif1.0")[0]["addr_info"][0]["local"], "10.1.0.1");
    let rules = nft_json("list ruleset").to_string();
    assert!(rules.contains("masquerade") && rules.contains("ingress") && rules.contains("eth9"), "{rules}");
    let again = xenvnet(&dom0, &line);
    assert_eq!((again.exit, again.out.matches("already so").count()), (0, 2), "{}", again.out);
    assert_eq!(exit(&dom0, &format!("--dry-run {line}")), 0);
    assert_eq!(exit(&dom0, "verify"), 0);
    assert_eq!(exit(&dom0, "undo"), 0);
    assert_eq!((ip_json("route show dev vif1.0").as_array().map(Vec::len), nft_ruleset()), (Some(0), before));

    // The masquerade cannot be: nor is the guest attached then.
    let refused = xenvnet(&dom0, &format!("vif attach vif1.0 --nat --mac {MAC} --ip 10.1.0.2 --route-to 224.0.0.0/4"));
    assert_eq!(refused.exit, 1);
    assert!(refused.err.starts_with("xenvnet: cannot "), "{}", refused.err);
    assert_eq!(ip_json("link show dev vif1.0")[0]["operstate"], "DOWN");
}

#[test]
fn what_guests_reach_on_dom0_is_set_shown_and_in_the_kernel() {
    let Some((dom0, _guest)) = host() else { return };
    let set = "dom0 set xenbr0 services(dns,tcp:8080)";
    assert_eq!(exit(&dom0, &format!("--dry-run {set}")), 3);
    assert_eq!(exit(&dom0, set), 0);
    assert!(nft("list table inet xenvnet_dom0").contains("8080"));
    assert!(xenvnet(&dom0, set).out.starts_with("already so: "));
    let shown = json(&dom0, "dom0 show xenbr0");
    assert_eq!(shown["interfaces"][0]["access"], "services(dns,tcp:8080)");
    assert!(xenvnet(&dom0, "status").out.contains("xenbr0     services(dns,tcp:8080)"));
    assert_eq!(exit(&dom0, "dom0 set xenbr0 open"), 0);
    assert_eq!(json(&dom0, "dom0 show")["interfaces"][0]["access"], "open");
    assert!(!nft_ruleset().contains("xenvnet_dom0"));
    assert_eq!((exit(&dom0, "dom0 show vif1.0"), exit(&dom0, "dom0 set xenbr0 shut")), (1, 2));
}

#[test]
fn drops_are_told_by_vif_and_reason() {
    let Some((dom0, guest)) = host() else { return };
    assert_eq!(exit(&dom0, &attach("vif1.0")), 0);
    // Its port is opened a moment after its carrier has come: what is sent until then is lost.
    let until_dropped = |vif: &str, reason: &str| {
        guest.wait_for_carrier();
        let show = format!("antispoof show {vif}");
        until(|| {
            spoof(&guest);
            json(&dom0, &show)["vifs"][0]["drops"][0]["reason"] == reason
        });
        // Nothing is sent any more: what is told is what the kernel has in the end.
        until(|| {
            let frames = counted(&format!("dropped_{reason}"));
            let drops = &json(&dom0, &show)["vifs"][0]["drops"][0];
            let told = [xenvnet(&dom0, &show).out, xenvnet(&dom0, "status").out];
            (&drops["reason"], &drops["frames"]) == (&Value::from(reason), &frames)
                && told.iter().all(|text| text.contains(&format!("{reason}={frames}\n")))
        });
    };
    until_dropped("vif1.0", "mac");
    ip("link set vif1.0 down");
    ip("link set vif1.0 name stray up");
    until_dropped("stray", "unguarded");
    assert_eq!(exit(&dom0, "verify --repair"), 0);
    assert!(xenvnet(&dom0, "status").out.contains("stray (vif1.0)"));
}

#[test]
fn a_picture_is_written_once() {
    let Some((dom0, _guest)) = host() else { return };
    assert_eq!(exit(&dom0, &attach("vif1.0")), 0);
    let file = dom0.state.path().join("host.svg");
    let line = format!("status --svg {}", file.display());
    assert_eq!(exit(&dom0, &format!("--dry-run {line}")), 3);
    assert!(!file.exists());
    assert_eq!(exit(&dom0, &line), 0);
    assert_eq!(exit(&dom0, &format!("--dry-run {line}")), 0);
    let picture = std::fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains(">vif1.0</text>"), "{picture}");
    assert_eq!(xenvnet(&dom0, "status --svg -").out, picture);
    assert_eq!(exit(&dom0, "status --svg /nowhere/host.svg"), 1);
}
