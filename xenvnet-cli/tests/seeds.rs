//! What administrators did with a script and a line of a configuration, by the command: named after
//! the rows of the table of these systems, which tests/kernel/seeds proves by the library.

mod call;

use call::{call, exit, json, run_at, xenvnet};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use xenvnet_tests::{
    Dump, FakeVif, Ip4, Site, bridge_json, ether, has_program, hears, hears_from, ip, ip_json, nft_ruleset, udp,
    with_network_root,
};

const BRIDGE: &str = "network-bridge netdev=eth0 bridge=xenbr0";

fn start(site: &Site, line: &str) {
    let answer = call(&site.dom0, ["network", "start", "--wait", "0", line]);
    assert_eq!(answer.exit, 0, "{line}: {}", answer.err);
}

/// A guest of the LAN, not attached yet.
fn guest(site: &Site, vif: &str, address: &str) -> FakeVif {
    let last = address.rsplit('.').next().unwrap().parse::<u8>().unwrap();
    let guest = site.dom0.guest(vif, &format!("00:16:3e:00:00:{last:02x}"));
    guest.address(&format!("{address}/24"), "");
    guest
}

fn attach(site: &Site, vif: &str, spec: &str) -> call::Answer {
    call(&site.dom0, ["vif", "attach", vif, "--spec", spec])
}

fn ip_of(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn row_05_a_guest_of_vif_nat_needs_no_more_than_its_mac_address() {
    let Some(site) = Site::plain() else { return };
    start(&site, "network-nat netdev=eth0");
    let guest = site.dom0.guest("vif300.1", "00:16:3e:00:00:01");
    let line = ["vif", "attach", "vif300.1", "--spec", "mac=00:16:3e:00:00:01", "--script", "vif-nat"];
    assert_eq!(call(&site.dom0, line).exit, 0);
    guest.address("10.1.44.2/16", "10.1.44.129");
    assert_eq!(hears_from(&site.far, &Site::FAR4.to_string(), &guest.guest), Some(site.address4));
    assert!(call(&site.dom0, line).out.starts_with("already so: "));
    assert_eq!(exit(&site.dom0, "vif detach vif300.1"), 0);
    assert_eq!(exit(&site.dom0, "network stop network-nat"), 0);
    assert!(!ip("addr show").contains("10.1.44.129") && !nft_ruleset().contains("masquerade"));
}

#[test]
fn row_08_mac_addresses_are_made_weighed_and_compared() {
    let Some(site) = Site::plain() else { return };
    let said = |line: &str| xenvnet(&site.dom0, line).out;
    // The first two octets, and the IPv4 address in hexadecimal digits.
    assert_eq!(said("mac from-ip 192.0.2.77 --prefix 2e:00"), "2e:00:c0:00:02:4d\n");
    for prefix in ["2f:00", "00:16"] {
        assert_eq!(exit(&site.dom0, &format!("mac from-ip 192.0.2.77 --prefix {prefix}")), 2, "{prefix}");
    }
    // "About 3 %", with Xen's prefix.
    assert_eq!(said("mac odds 1000"), "among 1000 addresses of 24 random bits, two are the same: 2.93 %\n");
    let folder = site.dom0.state.path().join("xen");
    fs::create_dir(&folder).unwrap();
    let config = |name: &str, macs: [&str; 2]| {
        let text = format!("name = \"{name}\"\nvif = [ 'mac={}', 'mac={},bridge=xenbr1' ]\n", macs[0], macs[1]);
        fs::write(folder.join(name).with_extension("cfg"), text).unwrap();
    };
    config("web", ["00:16:3e:00:00:01", "2e:00:c0:00:02:4d"]);
    config("mail", ["00:16:3e:00:00:02", "00:16:3e:00:00:03"]);
    let check = format!("mac check {}", folder.display());
    assert_eq!(exit(&site.dom0, &check), 0);
    config("mail", ["00:16:3e:00:00:02", "2E:00:C0:00:02:4D"]);
    let found = xenvnet(&site.dom0, &check);
    let names = ["web.cfg", "mail.cfg", "2e:00:c0:00:02:4d"];
    assert!(found.exit == 1 && names.iter().all(|name| found.out.contains(name)), "{}", found.out);
    // What an interface of the host has, or a guest is held to, is drawn by nobody else.
    if !has_program("strace") {
        return;
    }
    start(&site, BRIDGE);
    let guest = guest(&site, "vif1.0", "192.0.2.77");
    assert_eq!(attach(&site, "vif1.0", &format!("mac={},ip=192.0.2.77", guest.mac)).exit, 0);
    let taken = format!("{}\n", guest.mac);
    assert_eq!(drawn_by_chance(&site, [0, 0, 0x4d], "mac random"), taken, "so it is chance that is told");
    assert_eq!(drawn_by_chance(&site, [0, 0, 0x4d], "mac random --avoid-host"), "00:16:3e:00:00:4e\n");
}

/// What the command draws when all random octets begin with these.
fn drawn_by_chance(site: &Site, [a, b, c]: [u8; 3], line: &str) -> String {
    let drawn = format!("inject=getrandom:poke_exit=@arg1={a:02x}{b:02x}{c:02x}");
    let mut strace = Command::new("strace");
    strace.args(["-o", "/dev/null", "-e", "trace=getrandom", "-e", &drawn, env!("CARGO_BIN_EXE_xenvnet")]);
    let output = strace.arg("--state-dir").arg(site.dom0.state.path()).args(line.split(' ')).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// Hot plug: what is not given has a default.
#[test]
fn row_11_a_vif_is_plugged_in_with_defaults_for_what_is_not_given() {
    let Some(site) = Site::plain() else { return };
    start(&site, BRIDGE);
    ip("link set xenbr0 mtu 1450");
    let gateway = Site::GATEWAY4.to_string();
    let (plain, held) = (guest(&site, "vif1.0", "192.0.2.77"), guest(&site, "vif1.1", "192.0.2.78"));
    // Nothing at all: xenbr0, its MTU, no other name, no lock.
    assert_eq!(attach(&site, "vif1.0", "").exit, 0);
    let link = &ip_json("link show dev vif1.0")[0];
    assert_eq!(
        (&link["master"], &link["mtu"], &link["address"]),
        (&"xenbr0".into(), &1450.into(), &"fe:ff:ff:ff:ff:ff".into())
    );
    assert!(hears(&site.gateway, &gateway, &plain.guest));
    assert_eq!(json(&site.dom0, "status")["guards"], serde_json::json!({}));
    // A MAC address alone: any IP address, and no other MAC address.
    assert_eq!(attach(&site, "vif1.1", &format!("mac={}", held.mac)).exit, 0);
    assert!(hears(&site.gateway, &gateway, &held.guest) && hears(&plain.guest, "192.0.2.77", &held.guest));
    let ear = plain.raw();
    let datagram = |mac: &str, number: u16| {
        let packet = Ip4::new("192.0.2.99".parse().unwrap(), "192.0.2.77".parse().unwrap()).carry(&udp(9, 9, b"hello"));
        ether("ff:ff:ff:ff:ff:ff".parse().unwrap(), mac.parse().unwrap(), 0x0800, &packet).stamped(number)
    };
    let (lie, truth) = (datagram("00:16:3e:00:00:66", 0x5001), datagram(&held.mac.to_string(), 0x5002));
    let mouth = held.raw();
    for frame in [&lie, &truth] {
        mouth.send(frame.bytes());
    }
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let heard = ear.receive(deadline).expect("the truth is heard");
        assert!(!lie.is(&heard), "a lie is heard");
        if truth.is(&heard) {
            break;
        }
    }
    // Plugged in twice is plugged in once, and one goes while the other stays.
    assert!(attach(&site, "vif1.0", "").out.starts_with("already so: "));
    assert_eq!(exit(&site.dom0, "vif detach vif1.0"), 0);
    assert!(ip_json("link show dev vif1.0")[0]["master"].is_null());
    assert!(xenvnet(&site.dom0, "vif detach vif1.0").out.starts_with("already so: "));
    assert!(hears(&site.gateway, &gateway, &held.guest));
}

/// One file names the host's network and the script of its guests; a guest's line stands in its own.
#[test]
fn row_12_a_host_of_xend_is_set_up_by_its_own_words() {
    let Some(site) = Site::plain() else { return };
    let file = site.dom0.state.path().join("xend-config.sxp");
    let path = file.to_str().unwrap();
    let config = "# -*- sh -*-\n(logfile /var/log/xen/xend.log)\n(xend-relocation-server no)\n\
                  (network-script 'network-bridge bridge=xenbr0 netdev=eth0')\n(vif-script vif-bridge)\n(dom0-cpus 0)\n";
    fs::write(&file, config).unwrap();
    let started = call(&site.dom0, ["network", "start", "--wait", "0", "--config", path]);
    assert_eq!((started.exit, started.out.as_str()), (0, "done: start the network of xenbr0\n"), "{}", started.err);
    let guest = guest(&site, "vif1.0", "192.0.2.77");
    let spec = "mac=00:16:3e:00:00:4d, ip=\"192.0.2.77\", bridge=xenbr0, vifname=http";
    assert_eq!(attach(&site, "vif1.0", spec).exit, 0);
    assert_eq!(hears_from(&site.gateway, &Site::GATEWAY4.to_string(), &guest.guest), ip_of("192.0.2.77"));
    assert_eq!(ip_json("link show dev http")[0]["master"], "xenbr0");
    // Every mistake is named with its byte, with its key, and with what was meant.
    let before = nft_ruleset();
    for (spec, words) in [
        ("mac=00:16:3e:00:00:4d,brigde=xenbr0", "unknown key \"brigde\" at byte 22; did you mean \"bridge\"?"),
        ("iP=192.0.2.77", "unknown key \"iP\" at byte 0; did you mean \"ip\"?"),
        ("mac=00:16:3e:00:00:4d,ip=192.0.2.300", "\"192.0.2.300\" is no IP address or prefix at byte 25"),
    ] {
        let refused = attach(&site, "vif1.0", spec);
        assert_eq!(refused.exit, 2, "{spec}");
        assert!(refused.err.contains(words), "{spec}: {}", refused.err);
    }
    for (line, words) in [
        ("(network-script 'network-bridge netdev=eth0 brige=xenbr0')\n", "unknown key \"brige\" at byte 44, line 1"),
        ("# one\n(network-script 'network-brigde')\n", "unknown script \"network-brigde\" at byte 23, line 2"),
        ("(network-script 'network-bridge'\n", "line 1"),
    ] {
        fs::write(&file, line).unwrap();
        let refused = call(&site.dom0, ["network", "start", "--config", path]);
        assert_eq!(refused.exit, 1, "{line}");
        assert!(refused.err.contains(words) && refused.err.contains(path), "{line}: {}", refused.err);
    }
    assert_eq!(nft_ruleset(), before);
    fs::write(&file, config).unwrap();
    assert_eq!(exit(&site.dom0, "vif detach http"), 0);
    assert_eq!(call(&site.dom0, ["network", "stop", "--config", path]).exit, 0);
    assert_eq!(ip_json("-4 addr show dev eth0")[0]["addr_info"][0]["local"], "192.0.2.10");
}

/// Of each interface, what `ip` says of it.
fn told_by_ip() -> Value {
    let global = |one: &&Value| one["scope"] != "link";
    let address = |one: &Value| format!("{}/{}", one["local"].as_str().unwrap(), one["prefixlen"]);
    let links = ip_json("addr show");
    let rows = links.as_array().unwrap().iter().map(|link| {
        let all = link["addr_info"].as_array().unwrap().iter().filter(global).map(address);
        (link["ifname"].as_str().unwrap().to_owned(), all.collect::<BTreeSet<_>>())
    });
    serde_json::to_value(rows.filter(|(_, all)| !all.is_empty()).collect::<std::collections::BTreeMap<_, _>>()).unwrap()
}

#[test]
fn row_13_status_tells_what_ip_brctl_and_route_told() {
    let Some(site) = Site::plain() else { return };
    start(&site, BRIDGE);
    start(&site, "network-virtual bridge=xenbr1 bridgeip=10.98.98.1/24");
    let _bridged = guest(&site, "vif1.0", "192.0.2.77");
    assert_eq!(attach(&site, "vif1.0", "mac=00:16:3e:00:00:4d,ip=192.0.2.77,vifname=http").exit, 0);
    let _routed = guest(&site, "vif2.0", "192.0.2.78");
    let line = "vif attach vif2.0 --route --mac 00:16:3e:00:00:4e --ip 192.0.2.78 --gateway 192.0.2.10";
    assert_eq!(exit(&site.dom0, line), 0);
    // As JSON: the same addresses, ports and routes as iproute2's.
    let told = json(&site.dom0, "status");
    let sorted: BTreeSet<_> = told["addresses"]["xenbr0"].as_array().unwrap().iter().map(Value::to_string).collect();
    let of_ip = told_by_ip();
    assert_eq!(sorted, of_ip["xenbr0"].as_array().unwrap().iter().map(Value::to_string).collect());
    let names = |object: &Value| object.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&told["addresses"]), names(&of_ip));
    let links = told["links"].as_object().unwrap();
    let mut ports: Vec<_> = links
        .iter()
        .filter(|(_, link)| !link["master"].is_null())
        .map(|(name, link)| (name.as_str(), &link["master"]))
        .collect();
    ports.sort_by_key(|(name, _)| *name);
    let of_bridge = bridge_json("link show");
    let mut of_bridge: Vec<_> =
        of_bridge.as_array().unwrap().iter().map(|port| (port["ifname"].as_str().unwrap(), &port["master"])).collect();
    of_bridge.sort_by_key(|(name, _)| *name);
    assert_eq!(ports, of_bridge);
    assert_eq!(told["routes"], serde_json::json!({ "vif2.0": ["192.0.2.78/32"] }));
    assert_eq!(ip_json("route show dev vif2.0")[0]["dst"], "192.0.2.78");
    // As a table and as a picture, for people.
    let table = xenvnet(&site.dom0, "status").out;
    let rows: Vec<Vec<_>> = table.lines().map(|line| line.split_ascii_whitespace().collect()).collect();
    for wanted in [
        &["xenbr0", "up", "192.0.2.10/24", "2001:db8:1::10/64"][..],
        &["xenbr1", "up", "10.98.98.1/24"],
        &["xenbr0", "bridge", "xenbr0", "eth0"],
        &["xenbr1", "brouter", "xenbr1", "-"],
        &["Forwarding", "IPv4", "on,"],
    ] {
        assert!(rows.iter().any(|row| row.starts_with(wanted)), "{wanted:?}: {table}");
    }
    assert!(rows.iter().any(|row| row.first() == Some(&"http")), "{table}");
    let networks = json(&site.dom0, "network status")["networks"].clone();
    assert_eq!(networks["xenbr0"]["network"], "network-bridge bridge=xenbr0 netdev=eth0");
    let picture = xenvnet(&site.dom0, "status --svg -").out;
    assert!(["xenbr0", "http", "vif2.0", "eth0"].iter().all(|name| picture.contains(&format!(">{name}"))), "{picture}");
}

/// A host whose root is on a server of the LAN, or behind it.
#[test]
fn an_uplink_that_the_root_file_system_is_reached_by_is_not_moved_unasked() {
    let Some(site) = Site::two() else { return };
    let (state, here, far) = (site.dom0.state.path(), site.dom0.namespace(), site.far.clone());
    let start = |line: &str, more: &[&str]| {
        let line = ["network", "start", "--wait", "0", line];
        run_at(state, line.into_iter().chain(more.iter().copied()))
    };
    let uplinks = ["network-bridge netdev=eth0 bridge=xenbr0", "network-bridge netdev=eth0", "bridge-shadow eth0"];
    for (source, known) in [("198.51.100.2:/root", true), ("192.0.2.1:/", true), ("store:/root", false)] {
        let tried = with_network_root(source, || {
            let before = Dump::take();
            for line in uplinks {
                let refused = start(line, &[]);
                assert_eq!(refused.exit, 1, "{line}");
                let why = "the root file system (fuse.sshfs) is on the network, and may be reached by eth0\n";
                assert!(refused.err.contains(why), "{}", refused.err);
                assert!(refused.err.contains("--even-with-network-root") && refused.err.contains("--confirm-within"));
            }
            // A plan is refused alike, and nothing was changed by all of this.
            assert_eq!(run_at(state, ["network", "plan", uplinks[0]]).exit, 1);
            Dump::take().assert_same(&before, &format!("by what was refused with its root on {source}"));
            // Another uplink may be moved, if it is known that it leads elsewhere.
            let other = "network-bridge netdev=eth1 bridge=xenbr1";
            assert_eq!(start(other, &[]).exit, i32::from(!known), "{source}");
            if known {
                assert_eq!(run_at(state, ["network", "stop", other]).exit, 0);
            }
            // What moves nothing of dom0's is nobody's business.
            for harmless in ["network-virtual", "network-nat netdev=eth0", "network-bridge vifnum=7 netdev=dummy0"] {
                assert_eq!(start(harmless, &[]).exit, 0, "{harmless}");
                assert_eq!(run_at(state, ["network", "stop", harmless]).exit, 0, "{harmless}");
            }
            let dared = start(uplinks[0], &["--even-with-network-root"]);
            assert_eq!(dared.exit, 0, "{}", dared.err);
            assert!(hears(&far, &Site::FAR4.to_string(), &here), "its server is reached");
            // The way back moves them as well.
            assert_eq!(run_at(state, ["network", "stop", uplinks[0]]).exit, 1);
            assert_eq!(run_at(state, ["network", "stop", uplinks[0], "--even-with-network-root"]).exit, 0);
        });
        if tried.is_none() {
            return;
        }
    }
}
