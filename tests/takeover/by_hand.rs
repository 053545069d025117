//! Takeovers of a [`Site::plain`](xenvnet_tests::Site::plain) host by ip(8) alone: what the kernel
//! allows, and what the old scripts did.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use xenvnet_tests::{UPLINK_MAC, ip, ip_json};

/// Polls what only the kernel tells.
#[track_caller]
pub(crate) fn wait_for(what: &str, so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
    }
}

/// How often the IPv4 layer of the calling thread's namespace did something, by its own names.
pub(crate) fn count(protocol: &str, what: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut lines = table.lines().filter_map(|line| line.strip_prefix(protocol)?.strip_prefix(':'));
    let (names, counts) = (lines.next().unwrap(), lines.next().unwrap());
    let at = names.split_whitespace().position(|name| name == what).unwrap();
    counts.split_whitespace().nth(at).unwrap().parse().unwrap()
}

/// Lines of ip(8), carried out by one process.
#[track_caller]
pub(crate) fn batch(lines: &str) {
    let mut ip = Command::new("ip").args(["-batch", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    ip.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "ip -batch:\n{lines}");
}

/// A bridge with the uplink's address, up, and nothing in it.
pub(crate) fn make_bridge(bridge: &str) {
    batch(&format!(
        "link add {bridge} address {UPLINK_MAC} type bridge stp_state 0 forward_delay 0 mcast_snooping 0
         link set {bridge} addrgenmode none up"
    ));
}

/// The least that a takeover and its way back do, and nothing else.
pub(crate) fn enslave_and_release(uplink: &str, bridge: &str) {
    batch(&format!("link set {uplink} master {bridge}\nlink set {uplink} nomaster"));
}

/// Of an IPv6 address that is added, the kernel makes the local route only some time later.
fn wait_for_local_route(interface: &str) {
    let list = format!("-6 route show table local dev {interface}");
    wait_for("the local route of an address", || ip(&list).contains("local 2001:db8:1::10"));
}

/// In an order in which nothing is ever missing.
pub(crate) fn take_over() {
    make_bridge("xenbr0");
    batch("link set eth0 master xenbr0");
    // Until the kernel's link watch has seen the carrier, a bridge drops all that is sent by it.
    wait_for("the bridge sends", || {
        let link = &ip_json("link show dev xenbr0")[0];
        link["operstate"] == "UP" && link["qdisc"] != "noop"
    });
    batch(
        "addr add 192.0.2.10/24 brd + noprefixroute dev xenbr0
         addr add 2001:db8:1::10/64 nodad noprefixroute dev xenbr0
         addr add fe80::ff:fe00:10/64 nodad noprefixroute dev xenbr0
         neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 nud reachable dev xenbr0
         neigh replace fe80::1 lladdr 02:00:00:00:00:01 nud reachable router dev xenbr0
         neigh replace 2001:db8:1::1 lladdr 02:00:00:00:00:01 nud reachable router dev xenbr0
         route replace 192.0.2.0/24 proto kernel scope link src 192.0.2.10 dev xenbr0
         route replace default via 192.0.2.1 dev xenbr0
         route replace 2001:db8:1::/64 proto kernel metric 256 dev xenbr0
         route replace default via fe80::1 dev xenbr0",
    );
    wait_for_local_route("xenbr0");
    batch(
        "addr del 192.0.2.10/24 dev eth0
         addr del 2001:db8:1::10/64 dev eth0",
    );
}

/// And back.
pub(crate) fn give_back() {
    batch(
        "addr add 192.0.2.10/24 brd + dev eth0
         addr add 2001:db8:1::10/64 nodad dev eth0
         neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 nud reachable dev eth0
         neigh replace fe80::1 lladdr 02:00:00:00:00:01 nud reachable router dev eth0
         neigh replace 2001:db8:1::1 lladdr 02:00:00:00:00:01 nud reachable router dev eth0
         route del 192.0.2.0/24 dev xenbr0
         route replace default via 192.0.2.1 dev eth0
         route del 2001:db8:1::/64 dev xenbr0
         route replace default via fe80::1 dev eth0",
    );
    wait_for_local_route("eth0");
    batch(
        "addr del 192.0.2.10/24 dev xenbr0
         addr del 2001:db8:1::10/64 dev xenbr0
         link set eth0 nomaster
         link del xenbr0",
    );
}

/// As the scripts of Xen 3 did it: down, flush, and hope.
pub(crate) fn take_over_as_of_old() {
    make_bridge("xenbr0");
    batch(
        "link set eth0 down
         addr flush dev eth0",
    );
    wait_for("somebody finds no way out", || count("Ip", "OutNoRoutes") > 0);
    batch(
        "link set eth0 master xenbr0
         link set eth0 up
         addr add 192.0.2.10/24 brd + dev xenbr0
         addr add 2001:db8:1::10/64 nodad dev xenbr0
         route add default via 192.0.2.1 dev xenbr0
         route add default via fe80::1 dev xenbr0",
    );
}
