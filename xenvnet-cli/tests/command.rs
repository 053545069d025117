//! The command as programs and people call it: its exit codes, its JSON, and what the kernel has
//! afterwards.

mod call;

use call::{call, exit, json, until, xenvnet};
use serde_json::Value;
use std::fs;
use xenvnet_tests::{Dom0, FakeVif, Ip4, RawSocket, ether, ip, ip_json, nft, nft_json, nft_ruleset, udp};

const MAC: &str = "00:16:3e:00:00:01";
const STRANGER: &str = "00:16:3e:00:00:66";
const IP: &str = "10.98.98.2";

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
    let missing = "hole   table bridge xenvnet is missing\nhole   table inet xenvnet is missing\n";
    assert!(found.out.starts_with(&format!("{missing}hole   vif1.0 is not in table bridge xenvnet")), "{}", found.out);
    assert!(found.out.ends_with("\n       remedy: xenvnet verify --repair\n"), "{}", found.out);
    let report = json(&dom0, "verify");
    assert_eq!((&report["sound"], &report["worst"]), (&Value::from(false), &Value::from("hole")));
    let kinds: Vec<_> = report["findings"].as_array().unwrap().iter().map(|finding| &finding["kind"]).collect();
    assert_eq!(kinds, ["table_missing", "table_missing", "not_locked"]);
    assert_eq!(report["findings"][2]["vif"], "vif1.0");

    let preview = xenvnet(&dom0, "--dry-run verify --repair");
    assert_eq!((preview.exit, preview.out), (3, dom0.host.verify().unwrap().repair.to_string()));
    assert_eq!(nft_ruleset(), "", "nothing was changed");
    let mended = json(&dom0, "verify --repair");
    assert_eq!((mended["sound"].as_bool(), mended["mended"].as_array().map(Vec::len)), (Some(true), Some(3)));
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
    let picture = fs::read_to_string(&file).unwrap();
    assert!(picture.starts_with("<svg ") && picture.contains(">vif1.0</text>"), "{picture}");
    assert_eq!(xenvnet(&dom0, "status --svg -").out, picture);
    assert_eq!(exit(&dom0, "status --svg /nowhere/host.svg"), 1);
}

#[test]
fn a_guest_is_attached_as_its_configuration_says() {
    let Some((dom0, _guest)) = host() else { return };
    let attach = |spec: &str| call(&dom0, ["vif", "attach", "vif1.0", "--spec", spec]);
    let before = nft_ruleset();
    for (spec, code, words) in [
        ("mac=00:16:3e:00:00:01,iP=10.98.98.2", 2, "did you mean \"ip\""),
        ("mac=00:16:3e:00:00:01,vlan=7", 1, "cannot see to vlan=7"),
        ("ip=10.98.98.2", 1, "it has no mac="),
    ] {
        let refused = attach(spec);
        assert_eq!((refused.exit, nft_ruleset()), (code, before.clone()), "{spec}");
        assert!(refused.err.contains(words), "{}", refused.err);
    }
    assert_eq!(attach("mac=00:16:3e:00:00:01,ip=10.98.98.2,vifname=web").exit, 0);
    let shown = json(&dom0, "antispoof show web");
    assert_eq!(shown["vifs"][0]["bridge"], "xenbr0");
    assert_eq!(shown["vifs"][0]["guard"]["lock"]["locked"]["ips"][0], "10.98.98.2/32", "{shown}");

    let explained = call(&dom0, ["spec", "mac=00:16:3e:00:00:01,vlan=7"]);
    assert_eq!(explained.exit, 0);
    assert!(explained.out.ends_with("nobody here sees to vlan=7\n"), "{}", explained.out);
    assert_eq!(call(&dom0, ["spec", "iP=10.0.0.1"]).exit, 2);
    assert_eq!(call(&dom0, ["spec", "iP=10.0.0.1", "--lenient"]).exit, 0);
    assert_eq!(
        (call(&dom0, ["spec", "type=netfront"]).exit, call(&dom0, ["spec", "type=netfront", "--xm"]).exit),
        (2, 0)
    );
}

#[test]
fn what_a_guest_sends_is_shown_under_its_name_until_it_is_forgotten() {
    let Some((dom0, guest)) = host() else { return };
    assert_eq!(json(&dom0, "accounting")["accounts"], Value::Array(Vec::new()));
    assert_eq!(xenvnet(&dom0, "accounting").out, "no guest is accounted\n");
    assert_eq!(exit(&dom0, &format!("{} --name web --accounted", attach("vif1.0"))), 0);
    guest.wait_for_carrier();
    let payload = Ip4::new(IP.parse().unwrap(), "10.98.98.9".parse().unwrap()).carry(&udp(9, 9, &[0; 100]));
    let frame = ether("ff:ff:ff:ff:ff:ff".parse().unwrap(), MAC.parse().unwrap(), 0x0800, &payload);
    let entry = || json(&dom0, "accounting web")["accounts"][0].clone();
    until(|| {
        guest.raw().send(frame.bytes());
        entry()["sent"]["packets"] != 0
    });
    // Nothing comes from it any more: what is told is what the kernel has in the end.
    ip("link del web");
    let told = entry();
    let packets = told["sent"]["packets"].as_u64().unwrap();
    assert_eq!((&told["index"], &told["sent"]["bytes"]), (&1.into(), &(128 * packets).into()));
    let table = xenvnet(&dom0, "accounting").out;
    assert!(table.lines().nth(1).unwrap().split_whitespace().collect::<Vec<_>>().starts_with(&["web", "1"]), "{table}");

    let nobody = xenvnet(&dom0, "accounting db");
    assert_eq!(nobody.exit, 1);
    assert!(nobody.err.contains("cannot show the account of db: it has none"), "{}", nobody.err);
    assert_eq!(xenvnet(&dom0, "--dry-run accounting forget web").exit, 3);
    assert_eq!((exit(&dom0, "accounting forget web"), exit(&dom0, "accounting web")), (0, 1));
    assert!(!nft_ruleset().contains("xenvnet_accounts"));
    assert_eq!(exit(&dom0, "undo"), 0);
    assert_eq!(entry(), told);
}

#[test]
fn macs_are_drawn_and_checked() {
    let Some((dom0, _guest)) = host() else { return };
    let drawn = json(&dom0, "mac random --avoid-host");
    assert!(drawn["mac"].as_str().unwrap().starts_with("00:16:3e:"));
    assert_eq!(json(&dom0, "mac odds 1000")["bits"], 24);

    let folder = dom0.state.path().join("xen");
    fs::create_dir_all(folder.join("auto")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    fs::write(folder.join("web.cfg"), b"# B\xfcro\nvif = [ 'mac=00:16:3e:00:00:01' ]").unwrap();
    write("mail", "vif = [ 'mac=00:16:3e:00:00:02' ]");
    write("xl.conf", "vif.default.bridge=\"xenbr0\"");
    std::os::unix::fs::symlink("../web.cfg", folder.join("auto/web.cfg")).unwrap();
    let folders = [folder.clone(), folder.join("auto"), folder.join("web.cfg")];
    let check =
        || call(&dom0, ["mac".as_ref(), "check".as_ref()].into_iter().chain(folders.iter().map(|f| f.as_os_str())));
    let sound = check();
    assert_eq!((sound.exit, sound.out.as_str()), (0, "2 MAC addresses in 2 files\neach is given once\n"));
    write("mail", "vif = [ 'mac=00:16:3e:00:00:02', 'bridge=x, mac=00:16:3E:00:00:01' ]");
    write("new.cfg", "vif = [ 'mac=00:16:3e:00:00' ]");
    let found = check();
    let name = |file: &str| folder.join(file).display().to_string();
    assert_eq!(found.exit, 1);
    assert!(
        found.out.contains(&format!("{}, byte 48, line 1; {}, byte 20, line 2", name("mail"), name("web.cfg"))),
        "{}",
        found.out
    );
    assert!(found.out.contains(&format!("fault  {}: ", name("new.cfg"))), "{}", found.out);
    assert_eq!(call(&dom0, ["mac", "check", "/nowhere"]).exit, 1);
}
