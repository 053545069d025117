//! DHCP by the command: guests behind their locks ask, and the real dnsmasq answers.

mod call;

use call::{call, command, json, until, xenvnet};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead, BufReader, Lines};
use std::net::UdpSocket;
use std::process::{Child, ChildStdout, Command, Stdio};
use xenvnet_tests::{DhcpClient, Dom0, FakeVif, Namespace, answers, has_program, ip, ip_json};

const NAT: &str = "network-nat netdev=eth0 dhcp=yes";
const BROUTER: &str = "network-virtual bridge=xenbr0 bridgeip=10.6.7.1/24 dhcp=yes";

/// A host with a card that leads outside, and this network.
fn host(line: &str) -> Option<(Dom0, FakeVif)> {
    let dom0 = Dom0::enter()?;
    let outside = dom0.cable("eth0", "00:16:3e:00:00:99");
    ip("addr add 192.0.2.1/24 dev eth0");
    outside.address("192.0.2.9/24", "");
    start(&dom0, line);
    Some((dom0, outside))
}

fn start(dom0: &Dom0, line: &str) {
    let started = call(dom0, ["network", "start", line]);
    assert_eq!(started.exit, 0, "{}", started.err);
}

/// A guest that is attached with these words.
fn attach(dom0: &Dom0, vif: &str, last: u8, words: &str) -> FakeVif {
    let guest = dom0.guest(vif, &format!("00:16:3e:00:00:{last:02x}"));
    attach_again(dom0, &guest, words);
    guest
}

fn attach_again(dom0: &Dom0, guest: &FakeVif, words: &str) {
    let attached = xenvnet(dom0, &format!("vif attach {} --mac {} {words}", guest.name, guest.mac));
    assert_eq!(attached.exit, 0, "{}", attached.err);
    guest.wait_for_carrier();
}

/// The command at its work; killed when the test ends.
struct Server {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Server {
    fn of(dom0: &Dom0, words: &[&str]) -> Server {
        let mut command = command(dom0);
        let mut child = command.arg("dhcp").args(words).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Server { child, lines }
    }

    /// The next line that it says.
    fn says(&mut self) -> String {
        self.lines.next().expect("it speaks").unwrap()
    }

    /// Reads until it has said this.
    fn until_said(&mut self, words: &str) -> String {
        loop {
            let line = self.says();
            println!("{line}");
            if line.contains(words) {
                return line;
            }
        }
    }

    /// The process of dnsmasq, once it is there.
    fn dnsmasq(&self) -> Pid {
        let mut found = None;
        until(|| {
            found = dnsmasq_of(self.child.id());
            found.is_some()
        });
        found.unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn dnsmasq_of(parent: u32) -> Option<Pid> {
    let children = fs::read_to_string(format!("/proc/{parent}/task/{parent}/children")).ok()?;
    let child = children.split_ascii_whitespace().next()?.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{child}/comm")).ok()?;
    (name.trim() == "dnsmasq").then(|| Pid::from_raw(child))
}

fn is_gone(process: Pid) -> bool {
    fs::read_to_string(format!("/proc/{process}/comm")).map_or(true, |name| name.trim() != "dnsmasq")
}

#[test]
fn guests_of_a_brouter_get_what_their_locks_allow_as_soon_as_they_are_attached() {
    let Some((dom0, _outside)) = host(BROUTER) else { return };
    let one = attach(&dom0, "vif1.0", 1, "--bridge xenbr0 --ip 10.6.7.2 --dhcp --mtu 1400");
    let mute = attach(&dom0, "vif2.0", 2, "--bridge xenbr0 --ip 10.6.7.3");
    let mut server = Server::of(&dom0, &["xenbr0", "--dns", "192.0.2.53"]);
    assert_eq!(server.says(), "serving DHCP to the guests of xenbr0");
    assert_eq!(server.says(), "+ vif1.0: 10.6.7.2 for 00:16:3e:00:00:01, by 10.6.7.1");
    assert!(server.says().starts_with("! vif2.0 is not served: its lock lets no DHCP through; "));
    let mut silenced = DhcpClient::of(&mute);
    silenced.discover();
    let lease = DhcpClient::of(&one).lease();
    assert_eq!(lease.address.to_string(), "10.6.7.2");
    assert_eq!(lease.mask().unwrap().to_string(), "255.255.255.0");
    assert_eq!(lease.router().unwrap().to_string(), "10.6.7.1");
    assert_eq!(lease.dns().unwrap().to_string(), "192.0.2.53");
    assert_eq!((lease.mtu(), lease.name().as_deref()), (Some(1400), Some("dom1")));

    // Cloned from the first, down to the identifier that its client has.
    let dnsmasq = server.dnsmasq();
    let two = attach(&dom0, "vif3.1", 3, "--bridge xenbr0 --ip 10.6.7.4 --dhcp");
    server.until_said("+ vif3.1: 10.6.7.4");
    let lease = DhcpClient::of(&two).lease();
    assert_eq!((lease.address.to_string().as_str(), lease.name().as_deref()), ("10.6.7.4", Some("dom3-1")));
    assert_eq!(DhcpClient::of(&one).lease().address.to_string(), "10.6.7.2");
    assert_eq!(server.dnsmasq(), dnsmasq);
    silenced.discover();
    assert_eq!(DhcpClient::of(&one).lease().address.to_string(), "10.6.7.2");
    assert_eq!(silenced.told(), []);
    // Whoever looks at the host is told as well.
    for verb in ["status", "network status"] {
        let text = xenvnet(&dom0, verb).out;
        assert!(text.contains("vif2.0 is not served DHCP: its lock lets no DHCP through\n"), "{text}");
    }
    let drops = json(&dom0, "status")["drops"].clone();
    let dropped = |drop: &&serde_json::Value| drop["vif"] == "vif2.0" && drop["reason"] == "dhcp";
    assert!(drops.as_array().unwrap().iter().any(|drop| dropped(&drop)), "{drops}");
}

#[test]
fn what_a_guest_has_no_longer_it_is_not_told_any_more() {
    let Some((dom0, _outside)) = host(BROUTER) else { return };
    let one = attach(&dom0, "vif1.0", 1, "--bridge xenbr0 --ip 10.6.7.2 --dhcp");
    let two = attach(&dom0, "vif2.0", 2, "--bridge xenbr0 --ip 10.6.7.3 --dhcp");
    let mut server = Server::of(&dom0, &[BROUTER]);
    let (mut first, mut second) = (DhcpClient::of(&one), DhcpClient::of(&two));
    assert_eq!(first.lease().address.to_string(), "10.6.7.2");
    assert_eq!(second.lease().address.to_string(), "10.6.7.3");
    // Another address, and none of this network.
    let set = |vif: &str, ip: &str| xenvnet(&dom0, &format!("antispoof set {vif} {ip} --dhcp"));
    assert_eq!(set("vif1.0", "--mac 00:16:3e:00:00:01 --ip 10.6.7.9").exit, 0);
    server.until_said("+ vif1.0: 10.6.7.9");
    assert_eq!(first.lease().address.to_string(), "10.6.7.9");
    assert_eq!(set("vif1.0", "--mac 00:16:3e:00:00:01 --ip 10.99.0.9").exit, 0);
    server.until_said("! vif1.0 is not served: its lock has no single IPv4 address of the network's");
    second.lease();
    first.told();
    first.discover();
    assert_eq!(second.lease().address.to_string(), "10.6.7.3");
    assert_eq!(first.told(), []);

    // A guest that is started anew has another MAC address and the same IP address.
    assert_eq!(xenvnet(&dom0, "vif detach vif2.0").exit, 0);
    server.until_said("- vif2.0");
    let three = attach(&dom0, "vif3.0", 3, "--bridge xenbr0 --ip 10.6.7.3 --dhcp");
    server.until_said("+ vif3.0: 10.6.7.3");
    assert_eq!(DhcpClient::of(&three).lease().address.to_string(), "10.6.7.3");
}

#[test]
fn guests_of_a_nat_network_are_told_the_gateway_that_they_have() {
    let Some((dom0, _outside)) = host(NAT) else { return };
    let mut server = Server::of(&dom0, &[NAT]);
    assert_eq!(server.says(), "serving DHCP to the guests of nat:eth0");
    let dnsmasq = server.dnsmasq();
    let mut guests = Vec::new();
    for (vif, last, address, router) in
        [("vif1.0", 1, "10.0.1.1", "10.0.1.128"), ("vif300.1", 2, "10.1.44.2", "10.1.44.129")]
    {
        let guest = attach(&dom0, vif, last, &format!("--nat --ip {address} --gateway {router} --dhcp"));
        server.until_said(&format!("+ {vif}: {address}"));
        let lease = DhcpClient::of(&guest).lease();
        assert_eq!(
            (lease.address.to_string().as_str(), lease.router().unwrap().to_string().as_str()),
            (address, router)
        );
        // Gone with this value.
        guests.push(guest);
    }
    // As Xen's vif-nat has it, who leaves all of it to the numbers of the vif.
    let numbered = dom0.guest("vif2.0", "00:16:3e:00:00:03");
    let spec = call(&dom0, ["vif", "attach", "vif2.0", "--spec", "mac=00:16:3e:00:00:03,script=vif-nat"]);
    assert_eq!(spec.exit, 0, "{}", spec.err);
    numbered.wait_for_carrier();
    let lease = DhcpClient::of(&numbered).lease();
    assert_eq!((lease.address.octets(), lease.router().unwrap().octets()), ([10, 0, 2, 1], [10, 0, 2, 128]));
    assert_eq!(server.dnsmasq(), dnsmasq);
    // One of another name has to be listened to.
    let renamed = attach(&dom0, "vif5.0", 5, "--nat --ip 10.0.5.1 --gateway 10.0.5.128 --dhcp --name web");
    server.until_said("+ web: 10.0.5.1");
    let lease = DhcpClient::of(&renamed).lease();
    assert_eq!((lease.address.to_string().as_str(), lease.name().as_deref()), ("10.0.5.1", Some("dom5")));
}

/// What a distribution's client does with what it is told.
const BOUND: &str = "#!/bin/sh
[ \"$1\" = bound ] || exit 0
ip addr add $ip/$mask dev $interface
ip link set $interface mtu $mtu
ip route add default via $router dev $interface
";

#[test]
fn a_real_client_reaches_its_gateway_and_the_outside_by_what_it_is_told() {
    let Some((dom0, _outside)) = host(NAT) else { return };
    if !has_program("busybox") {
        return;
    }
    start(&dom0, BROUTER);
    let script = dom0.state.path().join("bound");
    fs::write(&script, BOUND).unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let routed = attach(&dom0, "vif1.0", 1, "--nat --ip 10.0.1.1 --gateway 10.0.1.128 --dhcp --mtu 1400");
    let bridged = attach(&dom0, "vif2.0", 2, "--bridge xenbr0 --ip 10.6.7.2 --dhcp --mtu 1400");
    // Two networks side by side.
    let _servers = [Server::of(&dom0, &["nat:eth0"]), Server::of(&dom0, &["xenbr0"])];
    for (guest, address, router) in [(&routed, "10.0.1.1", "10.0.1.128"), (&bridged, "10.6.7.2", "10.6.7.1")] {
        let words = ["udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "30", "-T", "1", "-O", "mtu", "-s"];
        let asked = guest.guest.within(|| Command::new("busybox").args(words).arg(&script).output().unwrap());
        let said = String::from_utf8_lossy(&asked.stderr);
        assert!(said.contains(&format!("lease of {address} obtained from {router}")), "{said}");
        guest.guest.within(|| {
            assert_eq!(ip_json("link show dev eth0")[0]["mtu"], 1400);
            assert_eq!(ip_json("route show default")[0]["gateway"], router);
        });
        for target in [router, "192.0.2.9"] {
            assert!(answers(&guest.guest, target.parse().unwrap()), "{target} to {address}");
        }
    }
    // This client has not asked to be answered by broadcast: nobody wrote into dom0's neighbours for it.
    let near = ip_json("neigh show dev vif1.0");
    assert_eq!(near[0]["state"], serde_json::json!(["PERMANENT"]), "{near}");
    // Also each other, over dom0.
    assert!(answers(&routed.guest, "10.6.7.2".parse().unwrap()));
}

#[test]
fn the_server_is_started_again_and_never_left_behind() {
    let Some((dom0, _outside)) = host(BROUTER) else { return };
    let one = attach(&dom0, "vif1.0", 1, "--bridge xenbr0 --ip 10.6.7.2 --dhcp");
    let mut server = Server::of(&dom0, &["xenbr0"]);
    let mut client = DhcpClient::of(&one);
    client.lease();
    let first = server.dnsmasq();
    kill(first, Signal::SIGKILL).unwrap();
    until(|| dnsmasq_of(server.child.id()).is_some_and(|process| process != first));
    assert_eq!(client.lease().address.to_string(), "10.6.7.2");

    // Another one would answer beside it.
    let other = xenvnet(&dom0, "dhcp xenbr0");
    assert_eq!((other.exit, other.err.contains("another one serves it")), (1, true), "{}", other.err);

    // The network stops, and comes back.
    let second = server.dnsmasq();
    assert_eq!(xenvnet(&dom0, "vif detach vif1.0").exit, 0);
    assert_eq!(call(&dom0, ["network", "stop", BROUTER]).exit, 0);
    server.until_said("waiting for it");
    until(|| is_gone(second));
    start(&dom0, BROUTER);
    attach_again(&dom0, &one, "--bridge xenbr0 --ip 10.6.7.2 --dhcp");
    server.until_said("+ vif1.0");
    assert_eq!(client.lease().address.to_string(), "10.6.7.2");

    // However it ends, nobody answers after it.
    let third = server.dnsmasq();
    server.signal(Signal::SIGKILL);
    until(|| is_gone(third));
    server = Server::of(&dom0, &["xenbr0"]);
    assert_eq!(client.lease().address.to_string(), "10.6.7.2");
    let fourth = server.dnsmasq();
    server.signal(Signal::SIGTERM);
    assert!(server.child.wait().unwrap().success());
    assert!(is_gone(fourth));
}

#[test]
fn a_server_that_cannot_begin_is_tried_until_it_can() {
    let Some((dom0, _outside)) = host(BROUTER) else { return };
    let one = attach(&dom0, "vif1.0", 1, "--bridge xenbr0 --ip 10.6.7.2 --dhcp");
    // Somebody's server that shares its port with nobody.
    let other = UdpSocket::bind("0.0.0.0:67").unwrap();
    let mut command = command(&dom0);
    let mut child = command.args(["dhcp", "xenbr0"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    for _ in 0..2 {
        assert!(said.any(|line| line.contains("dnsmasq ended (exit status: ")));
    }
    drop(other);
    assert_eq!(DhcpClient::of(&one).lease().address.to_string(), "10.6.7.2");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_host_in_another_namespace_is_served_there() {
    let Some((dom0, _outside)) = host(BROUTER) else { return };
    let one = attach(&dom0, "vif1.0", 1, "--bridge xenbr0 --ip 10.6.7.2 --dhcp");
    let here = dom0.namespace();
    let mut command = command(&dom0);
    command.args(["--netns", &here.path(), "dhcp", "xenbr0"]).stdout(Stdio::null());
    let mut child = Namespace::new().within(|| command.spawn().unwrap());
    assert_eq!(DhcpClient::of(&one).lease().address.to_string(), "10.6.7.2");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn who_would_be_served_is_told_without_serving() {
    let Some((dom0, _outside)) = host(BROUTER) else { return };
    let _one = attach(&dom0, "vif1.0", 1, "--bridge xenbr0 --ip 10.6.7.2 --dhcp");
    let _two = attach(&dom0, "vif2.0", 2, "--bridge xenbr0 --ip 10.6.7.3");
    let told = json(&dom0, "--dry-run dhcp xenbr0");
    assert_eq!(told["dhcp"]["guests"]["vif1.0"]["address"], "10.6.7.2");
    assert_eq!(told["dhcp"]["silent"]["vif2.0"], "not_allowed");
    let people = call(&dom0, ["--dry-run", "dhcp", BROUTER]).out;
    assert!(people.contains("+ vif1.0: 10.6.7.2 for 00:16:3e:00:00:01") && people.contains("! vif2.0"), "{people}");

    let missing = command(&dom0).args(["dhcp", "xenbr0"]).env("PATH", "/nonexistent").output().unwrap();
    let said = String::from_utf8_lossy(&missing.stderr);
    assert_eq!(missing.status.code(), Some(1));
    assert!(
        said.contains("cannot serve DHCP: dnsmasq is not installed\ninstall it: apt-get install dnsmasq-base"),
        "{said}"
    );
    start(&dom0, "network-virtual bridge=xenbr1 bridgeip=10.6.8.1/24");
    let without = xenvnet(&dom0, "dhcp xenbr1");
    assert_eq!((without.exit, without.err.contains("it runs without dhcp=yes")), (1, true), "{}", without.err);
    let mistaken = call(&dom0, ["dhcp", "network-nat dchp=yes"]);
    assert_eq!(
        (mistaken.exit, mistaken.err.contains("unknown key \"dchp\" at byte 12")),
        (2, true),
        "{}",
        mistaken.err
    );
}
