//! Guests and networks that come and go for months leave nothing behind: no rule, no element, no entry
//! of a bridge, no descriptor, no file, no memory; and others' tables stay as they are.

use crate::matrix::{lock, victims_lock};
use crate::proof::{bridge_by_ip, name};
use serde_json::Value;
use std::net::IpAddr;
use xenvnet_core::{Antispoof, Attachment, Dom0 as Access, Forward, Host, Lock, MacAddr};
use xenvnet_tests::{Dom0, Dump, bridge_json, ip, nft, nft_ruleset, program, rerun};

/// Tables as firewalld, Docker and libvirt have them.
const FOREIGN: &str = r#"
table inet firewalld {
	chain mangle_PREROUTING { type filter hook prerouting priority mangle + 10; jump mangle_PREROUTING_ZONES; }
	chain mangle_PREROUTING_ZONES { iifname "eth0" goto mangle_PRE_public; goto mangle_PRE_public; }
	chain mangle_PRE_public { return; }
	chain nat_POSTROUTING { type nat hook postrouting priority srcnat + 10; oifname "eth0" goto nat_POST_public; }
	chain nat_POST_public { meta nfproto ipv4 oifname != "lo" masquerade; }
	chain filter_INPUT {
		type filter hook input priority filter + 10;
		ct state { established, related } accept
		iifname "lo" accept
		tcp dport 22 ct state { new, untracked } accept
		drop
	}
	chain filter_FORWARD { type filter hook forward priority filter + 10; ct state { established, related } accept; }
}
table ip nat {
	chain DOCKER { iifname "docker0" counter packets 0 bytes 0 return; iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80; }
	chain PREROUTING { type nat hook prerouting priority dstnat; fib daddr type local counter jump DOCKER; }
	chain POSTROUTING { type nat hook postrouting priority srcnat; oifname != "docker0" ip saddr 172.17.0.0/16 counter masquerade; }
}
table ip filter {
	chain DOCKER-USER { counter return; }
	chain FORWARD { type filter hook forward priority filter; policy drop; counter jump DOCKER-USER; }
}
table ip libvirt_network {
	chain forward { type filter hook forward priority filter; jump guest_cross; jump guest_output; }
	chain guest_cross { iif "lo" oif "lo" counter accept; }
	chain guest_output { ip saddr 192.168.122.0/24 iifname "virbr0" counter accept; iifname "virbr0" counter drop; }
	chain guest_nat { type nat hook postrouting priority srcnat; ip saddr 192.168.122.0/24 ip daddr != 192.168.122.0/24 counter masquerade; }
}
table bridge nwfilter {
	set macs { type ether_addr; elements = { 52:54:00:00:00:01, 52:54:00:00:00:02 }; }
	chain forward { type filter hook forward priority filter; ether saddr @macs counter accept; }
}
"#;

/// Others' tables with all their handles and counters.
fn foreign() -> String {
    let tables = ["inet firewalld", "ip nat", "ip filter", "ip libvirt_network", "bridge nwfilter"];
    let list =
        |table: &str| program("nft", &[&["-a", "list", "table"], &table.split(' ').collect::<Vec<_>>()[..]].concat());
    tables.map(list).concat()
}

/// All that there is of the host, of this process and of the state directory.
struct Inventory {
    host: Dump,
    rules: String,
    foreign: String,
    /// Of bridges, also what they learned.
    entries: Value,
    descriptors: usize,
    files: Vec<String>,
    /// Memory that this process has, in bytes.
    resident: usize,
}

impl Inventory {
    fn take(dom0: &Dom0) -> Inventory {
        let folders = std::fs::read_dir(dom0.state.path()).unwrap().map(|folder| folder.unwrap().path());
        let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        Inventory {
            host: Dump::take().unnumbered(),
            rules: nft_ruleset(),
            foreign: foreign(),
            entries: bridge_json("fdb show"),
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
            files: files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect(),
            resident: 4096 * statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap(),
        }
    }

    #[track_caller]
    fn assert_same(&self, before: &Inventory, cycles: usize) {
        self.host.assert_same(&before.host, &format!("after {cycles} cycles"));
        assert_eq!(self.rules, before.rules);
        assert_eq!(self.foreign, before.foreign);
        assert_eq!(self.entries, before.entries);
        assert_eq!(self.descriptors, before.descriptors);
        assert_eq!(self.files, before.files);
        let grown = self.resident.saturating_sub(before.resident);
        println!("{cycles} cycles: {grown} bytes more of {}", self.resident);
        assert!(grown < 1 << 20, "{grown} bytes more after {cycles} cycles");
    }
}

/// The n-th guest's.
fn nth_lock(guest: u8) -> Antispoof {
    Antispoof::new(MacAddr::new([0, 0x16, 0x3e, 0, 1, guest])).ip(IpAddr::from([10, 1, 0, guest]).into())
}

/// Guests come, change and go.
fn guests(host: &Host, attachments: &[Attachment]) {
    attachments.iter().for_each(|attachment| assert!(host.attach_vif(attachment).unwrap().is_changed()));
    for lock in [nth_lock(1).into(), Lock::Disabled] {
        host.set_antispoof(attachments[0].name.unwrap_or(attachments[0].vif), lock).unwrap();
    }
    attachments.iter().for_each(|attachment| assert!(host.detach_vif(attachment.vif).unwrap().is_changed()));
}

/// Of a bridge: one that is counted, one that is renamed, and its interface is another one each time.
fn bridged(host: &Host) {
    ip("link add vif2.0 type veth peer name far2");
    let bridge = name("xenbr0");
    guests(
        host,
        &[
            Attachment::bridged(name("vif2.0"), bridge, victims_lock()).rename(name("web")).accounted(true),
            Attachment::bridged(name("vif1.0"), bridge, lock()).accounted(true).isolated(true),
        ],
    );
    for guest in ["vif1.0", "web"] {
        assert!(host.forget_account(name(guest)).unwrap().is_changed());
    }
    ip("link delete web");
}

/// A pair, a routed one, and a network of its own with what leads to it.
fn others(host: &Host) {
    let network = "network-virtual bridge=xenbr1 bridgeip=10.6.7.1/24 dom0=services(dns)".parse().unwrap();
    host.start_network(&network).unwrap();
    let forward: Forward = "tcp:8080 to 10.6.7.2:80".parse().unwrap();
    host.forward_port(&forward).unwrap();
    let [native, emulated] =
        ["vif3.0", "vif3.0-emu"].map(|port| Attachment::bridged(name(port), name("xenbr1"), nth_lock(3)));
    let routed = Attachment::routed(name("vif4.0"), nth_lock(4)).gateway("10.1.0.1".parse().unwrap());
    guests(host, &[native, emulated, routed.dom0(Access::Closed)]);
    host.unforward_port(forward.port).unwrap();
    host.stop_network(&network).unwrap();
}

/// In a process that does nothing else.
#[test]
fn what_comes_and_goes_leaves_nothing() {
    if std::env::var_os(ALONE).is_none() {
        return rerun("cycles::what_comes_and_goes_leaves_nothing", &["env", &format!("{ALONE}=1")]);
    }
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    nft(FOREIGN);
    for (n, vif) in ["vif1.0", "vif3.0", "vif3.0-emu", "vif4.0"].into_iter().enumerate() {
        ip(&format!("link add {vif} type veth peer name peer{n}"));
    }
    let cycle = |n: usize| if n.is_multiple_of(2) { bridged(&dom0.host) } else { others(&dom0.host) };
    // The first ones make the tables that stay, and fill what the process keeps for the next.
    for n in 0..40 {
        cycle(n);
        if n.is_multiple_of(10) {
            Inventory::take(&dom0);
        }
    }
    let before = Inventory::take(&dom0);
    let cycles = if std::env::var_os("XENVNET_SOAK").is_some() { 10_000 } else { 300 };
    (0..cycles).for_each(cycle);
    Inventory::take(&dom0).assert_same(&before, cycles);
    assert!(dom0.host.verify().unwrap().is_sound());
}

const ALONE: &str = "XENVNET_ALONE";
