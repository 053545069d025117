//! Ports of dom0 that lead to guests: from outside, from dom0, from beside the guest.

use crate::load::PATIENCE;
use crate::proof::{name, prove, prove_again};
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, ErrorKind, Forward, Network, Operation};
use xenvnet_tests::{Dom0, Dump, FakeVif, Namespace, ip, nft, nft_ruleset, program};

fn forward(text: &str) -> Operation {
    Operation::ForwardPort(text.parse().unwrap())
}

fn unforward(port: &str) -> Operation {
    Operation::UnforwardPort { port: port.parse().unwrap() }
}

/// A brouter with two guests, and a host outside that knows dom0 alone.
fn street(dom0: &Dom0) -> (FakeVif, FakeVif, FakeVif) {
    let cable = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("addr add 192.0.2.1/24 dev peth0");
    ip("addr add 2001:db8:f::1/64 dev peth0 nodad");
    ip("link set lo up");
    cable.address("192.0.2.2/24", "");
    cable.address("2001:db8:f::2/64", "");
    for line in ["network-virtual bridgeip=10.98.98.1/24", "network-virtual vifnum=6 bridgeip=2001:db8:98::1/64"] {
        dom0.host.start_network(&line.parse::<Network>().unwrap()).unwrap();
    }
    let guest = |vif: &str, last: u8| {
        let guest = dom0.guest(vif, &format!("00:16:3e:00:00:{last:02x}"));
        let own = format!("10.98.98.{last}");
        guest.address(&format!("{own}/24"), "10.98.98.1");
        let lock = Antispoof::new(guest.mac).ip(own.parse().unwrap());
        dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock)).unwrap();
        guest
    };
    (cable, guest("vif1.0", 2), guest("vif2.0", 3))
}

/// Listens, as soon as it can: the former listener's descriptor may live on for a moment in a program that another
/// test is about to start.
fn listen(at: &str) -> TcpListener {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match TcpListener::bind(at) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && Instant::now() < deadline => {}
            other => return other.unwrap(),
        }
    }
}

/// Who the guest's server sees, when somebody in a namespace connects to an address of dom0's and is
/// answered.
fn answered(server: &Namespace, at: &str, client: &Namespace, to: &str) -> Option<IpAddr> {
    let listener = server.within(|| listen(at));
    let to: SocketAddr = to.parse().unwrap();
    std::thread::scope(|scope| {
        let serving = scope.spawn(|| {
            let (mut stream, from) = listener.accept().unwrap();
            let _ = stream.write_all(b"guest");
            from.ip()
        });
        let stream = client.within(|| TcpStream::connect_timeout(&to, Duration::from_secs(20)));
        let heard = stream.and_then(|mut stream| {
            let mut text = String::new();
            stream.set_read_timeout(Some(Duration::from_secs(20)))?;
            stream.read_to_string(&mut text).map(|_| text)
        });
        if heard.is_err() {
            // Let the server go.
            let _ = server.within(|| TcpStream::connect(listener.local_addr().unwrap()));
        }
        let seen = serving.join().unwrap();
        (heard.ok().as_deref() == Some("guest")).then_some(seen)
    })
}

#[test]
fn a_port_leads_to_its_guest_from_everywhere() {
    let Some(dom0) = Dom0::enter() else { return };
    let (outside, one, two) = street(&dom0);
    let before = Dump::take();
    let operation = forward("tcp:8080 to 10.98.98.2:80");
    let plan = prove(&dom0, &operation);
    assert!(plan.to_string().contains("behind xenbr0"), "{plan}");
    let from_outside = answered(&one.guest, "10.98.98.2:80", &outside.guest, "192.0.2.1:8080");
    assert_eq!(from_outside, Some("192.0.2.2".parse().unwrap()), "the guest sees who connects");
    assert!(answered(&one.guest, "10.98.98.2:80", &dom0.namespace(), "192.0.2.1:8080").is_some(), "from dom0");
    assert!(answered(&one.guest, "10.98.98.2:80", &two.guest, "192.0.2.1:8080").is_some(), "hairpin");
    assert!(answered(&one.guest, "10.98.98.2:80", &two.guest, "10.98.98.1:8080").is_some(), "by dom0's inner address");
    assert!(answered(&one.guest, "10.98.98.2:80", &one.guest, "192.0.2.1:8080").is_some(), "to itself");
    prove(&dom0, &unforward("tcp:8080"));
    prove_again(&dom0, &unforward("tcp:8080"));
    Dump::take().assert_same(&before, "after the port leads nowhere");
}

#[test]
fn without_the_hairpin_rule_a_neighbour_is_not_answered() {
    let Some(dom0) = Dom0::enter() else { return };
    let (_outside, one, two) = street(&dom0);
    dom0.host.run(&forward("tcp:8080 to 10.98.98.2:80")).unwrap();
    nft("flush set inet xenvnet_forwards hairpin4");
    let listener = one.guest.within(|| listen("10.98.98.2:80"));
    let to: SocketAddr = "192.0.2.1:8080".parse().unwrap();
    let refused = two.guest.within(|| TcpStream::connect_timeout(&to, Duration::from_secs(2)));
    assert!(refused.is_err(), "this is what the set is for");
    drop(listener);
    let report = dom0.host.verify().unwrap();
    assert!(!report.is_sound(), "{report}");
    dom0.host.repair().unwrap();
    assert!(answered(&one.guest, "10.98.98.2:80", &two.guest, "192.0.2.1:8080").is_some());
}

#[test]
fn ipv6_has_its_own_ports() {
    let Some(dom0) = Dom0::enter() else { return };
    let (outside, _one, _two) = street(&dom0);
    let guest = dom0.guest("vif3.0", "00:16:3e:00:00:33");
    guest.address("2001:db8:98::3/64", "2001:db8:98::1");
    let lock = Antispoof::new(guest.mac).ip("2001:db8:98::3".parse().unwrap());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr6"), lock)).unwrap();
    prove(&dom0, &forward("tcp:8080 to [2001:db8:98::3]:80"));
    dom0.host.run(&forward("tcp:8080 to 10.98.98.2:81")).unwrap();
    let seen = answered(&guest.guest, "[2001:db8:98::3]:80", &outside.guest, "[2001:db8:f::1]:8080");
    assert_eq!(seen, Some("2001:db8:f::2".parse().unwrap()));
    // Both go with the port.
    dom0.host.run(&unforward("tcp:8080")).unwrap();
    assert!(!nft_ruleset().contains("xenvnet_forwards"));
}

#[test]
fn a_port_leads_to_one_guest_at_a_time() {
    let Some(dom0) = Dom0::enter() else { return };
    let _street = street(&dom0);
    dom0.host.run(&forward("udp:53 to 10.98.98.2:53")).unwrap();
    let before = Dump::take();
    let error = dom0.host.run(&forward("udp:53 to 10.98.98.3:53")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
    assert_eq!(error.to_string(), "cannot forward udp:53: it leads to 10.98.98.2:53 already");
    Dump::take().assert_same(&before, "after a refusal");
    // Two ports may lead to one; the one that is left goes on leading.
    dom0.host.run(&forward("udp:5353 to 10.98.98.2:53")).unwrap();
    let both = Dump::take();
    prove(&dom0, &unforward("udp:5353"));
    Dump::take().assert_same(&before, "after one of two was ended");
    dom0.host.run(&forward("udp:5353 to 10.98.98.2:53")).unwrap();
    Dump::take().assert_same(&both, "again");
    dom0.host.run(&unforward("udp:5353")).unwrap();
    // Another protocol is another port.
    dom0.host.run(&forward("tcp:53 to 10.98.98.3:53")).unwrap();
    assert_eq!(dom0.host.snapshot().unwrap().forwards.len(), 2);
}

#[test]
fn what_somebody_took_away_is_told_and_mended() {
    let Some(dom0) = Dom0::enter() else { return };
    let _street = street(&dom0);
    dom0.host.run(&forward("tcp:8080 to 10.98.98.2:80")).unwrap();
    assert!(dom0.host.verify().unwrap().is_sound());
    let before = Dump::take();
    for harm in [
        "flush map inet xenvnet_forwards forwards4",
        "flush chain inet xenvnet_forwards prerouting",
        "flush chain inet xenvnet_forwards postrouting",
        "delete table inet xenvnet_forwards",
    ] {
        nft(harm);
        let report = dom0.host.repair().unwrap();
        assert!(!report.is_sound(), "{harm}: nothing was found");
        Dump::take().assert_same(&before, &format!("after {harm} was mended"));
        assert!(dom0.host.verify().unwrap().is_sound(), "{harm}");
    }
}

#[test]
fn what_nft_lists_can_be_loaded_again() {
    let Some(dom0) = Dom0::enter() else { return };
    let (outside, one, _) = street(&dom0);
    dom0.host.run(&forward("tcp:8080 to 10.98.98.2:80")).unwrap();
    dom0.host.run(&Operation::ForwardPort("udp:53 to [fd00::2]:53".parse::<Forward>().unwrap())).unwrap();
    let listing = nft_ruleset();
    let file = std::env::temp_dir().join(format!("xenvnet-forwards-{}.nft", std::process::id()));
    std::fs::write(&file, format!("flush ruleset\n{listing}")).unwrap();
    program("nft", &["-f", file.to_str().unwrap()]);
    std::fs::remove_file(file).unwrap();
    assert_eq!(nft_ruleset(), listing);
    assert!(answered(&one.guest, "10.98.98.2:80", &outside.guest, "192.0.2.1:8080").is_some());
    assert_eq!(dom0.host.snapshot().unwrap().forwards.len(), 2);
}
