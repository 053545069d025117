//! What guests reach on dom0 itself, asked by locked guests in every mode.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name, prove, prove_again};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, Dom0 as Access, DropReason, IfName, Lock, MacAddr, Masquerade, Operation};
use xenvnet_tests::{Dom0, FakeVif, Ip4, ether, hears, ip, nft_json, sysctl_set, udp};

/// What a guest finds open on an address of dom0's: each service that answers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Open {
    ping: bool,
    dns: bool,
    ssh: bool,
    dhcp: bool,
}

/// Listens in dom0 as its services do.
struct Services {
    dns: UdpSocket,
    dhcp: UdpSocket,
    _ssh: TcpListener,
}

impl Services {
    fn open() -> Services {
        let udp = |port: u16| {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(150))).unwrap();
            socket
        };
        Services { dns: udp(53), dhcp: udp(67), _ssh: TcpListener::bind((Ipv4Addr::UNSPECIFIED, 22)).unwrap() }
    }

    fn seen_by(&self, guest: &FakeVif, address: &str) -> Open {
        let mouth = guest.guest.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        // A lock lets nobody ask for an address but the guest itself: its MAC address is in the question.
        let question = [&[0; 28][..], &guest.mac.octets(), &[0; 10]].concat();
        let heard = |ear: &UdpSocket, port: u16| {
            (0..3).any(|_| {
                let _ = mouth.send_to(&question, (address, port));
                ear.recv(&mut [0; 64]).is_ok()
            })
        };
        let at = (address.parse::<Ipv4Addr>().unwrap(), 22).into();
        let ping = ["-c", "1", "-W", "1", address];
        Open {
            ping: guest
                .guest
                .within(|| std::process::Command::new("ping").args(ping).output().unwrap().status.success()),
            dns: heard(&self.dns, 53),
            ssh: guest.guest.within(|| TcpStream::connect_timeout(&at, Duration::from_millis(700)).is_ok()),
            dhcp: heard(&self.dhcp, 67),
        }
    }
}

const ALL: Open = Open { ping: true, dns: true, ssh: true, dhcp: true };

/// A locked guest behind an interface, and the addresses of dom0's that it tries: its gateway's and
/// that of dom0's other side, which is returned.
#[must_use]
fn prove_access(dom0: &Dom0, guest: &FakeVif, interface: IfName, gateway: &str) -> FakeVif {
    guest.wait_for_carrier();
    // Dom0's other address, as of its uplink.
    let uplink = dom0.cable("eth9", "02:00:00:00:00:99");
    ip("addr add 192.0.2.1/24 dev eth9");
    assert!(hears(&dom0.namespace(), gateway, &guest.guest));
    let services = Services::open();
    let see = || [gateway, "192.0.2.1"].map(|address| services.seen_by(guest, address));
    let set = |access: &str| Operation::SetDom0 { interface, access: access.parse().unwrap() };
    assert_eq!(see(), [ALL, ALL], "open");
    prove(dom0, &set("services(dns,icmp)"));
    assert_eq!(see(), [0, 1].map(|_| Open { ping: true, dns: true, ..Open::default() }));
    prove(dom0, &set("services(dhcp,tcp:22)"));
    assert_eq!(see(), [0, 1].map(|_| Open { ssh: true, dhcp: true, ..Open::default() }));
    prove(dom0, &set("closed"));
    assert_eq!(see(), [Open::default(), Open::default()]);
    let drops = dom0.host.snapshot().unwrap().drops;
    assert!(drops.iter().any(|drops| drops.vif == interface && drops.reason == DropReason::Dom0), "{drops:?}");
    // What dom0 asks of the guest is answered all the same.
    let ear = guest.guest.within(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 7)).unwrap());
    ear.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let asker = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    asker.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    asker.send_to(b"question", ("10.98.98.2", 7)).unwrap();
    let (_, from) = ear.recv_from(&mut [0; 16]).unwrap();
    ear.send_to(b"answer", from).unwrap();
    assert!(asker.recv(&mut [0; 16]).is_ok());
    assert_eq!(dom0.host.verify().unwrap().findings, []);
    dom0.host.run(&set("open")).unwrap();
    prove_again(dom0, &set("open"));
    assert_eq!(see(), [ALL, ALL], "open again");
    let tables = nft_json("list tables").to_string();
    assert!(!tables.contains("xenvnet_dom0"), "nothing is left of it: {tables}");
    uplink
}

fn locked_guest(dom0: &Dom0) -> FakeVif {
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.address("10.98.98.2/24", "10.98.98.1");
    guest
}

#[test]
fn behind_a_plain_bridge() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    ip("addr add 10.98.98.1/24 dev xenbr0");
    let guest = locked_guest(&dom0);
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    let _uplink = prove_access(&dom0, &guest, name("xenbr0"), "10.98.98.1");
}

#[test]
fn behind_a_brouter_and_what_it_forwards_is_another_matter() {
    let Some(dom0) = Dom0::enter() else { return };
    let line = "network-virtual bridgeip=10.98.98.1/24";
    dom0.host.start_network(&line.parse().unwrap()).unwrap();
    let guest = locked_guest(&dom0);
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    let _uplink = prove_access(&dom0, &guest, name("xenbr0"), "10.98.98.1");
    dom0.host.stop_network(&line.parse().unwrap()).unwrap();

    // The network's own setting stands from its start and goes with its stop.
    let closed = Operation::StartNetwork(format!("{line} dom0=closed").parse().unwrap());
    prove(&dom0, &closed);
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    guest.wait_for_carrier();
    let outside = dom0.cable("eth0", "02:00:00:00:00:09");
    ip("addr add 198.51.100.1/24 dev eth0");
    outside.address("198.51.100.9/24", "");
    assert!(hears(&outside.guest, "198.51.100.9", &guest.guest), "the way to the outside is open");
    assert_eq!(Services::open().seen_by(&guest, "10.98.98.1"), Open::default());
    dom0.host.detach_vif(guest.name).unwrap();
    dom0.host.stop_network(&line.parse().unwrap()).unwrap();
    assert!(!nft_json("list tables").to_string().contains("xenvnet"));
}

#[test]
fn routed() {
    let Some(dom0) = Dom0::enter() else { return };
    sysctl_set("ipv4/ip_forward", "1");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.guest.within(|| {
        ip("addr add 10.98.98.2/32 dev eth0");
        ip("route add 10.98.98.1 dev eth0");
        ip("route add default via 10.98.98.1");
    });
    let own = Antispoof::new(OWN).ip("10.98.98.2".parse().unwrap());
    let attachment = Attachment::routed(guest.name, own).gateway("10.98.98.1".parse().unwrap());
    dom0.host.attach_vif(&attachment).unwrap();
    let _uplink = prove_access(&dom0, &guest, guest.name, "10.98.98.1");
    prove(&dom0, &Operation::AttachVif(attachment.clone().dom0(Access::Closed)));
    assert_eq!(Services::open().seen_by(&guest, "10.98.98.1"), Open::default());
    let renamed = attachment.clone().dom0(Access::Closed).rename(name("web"));
    dom0.host.attach_vif(&renamed).unwrap();
    prove_again(&dom0, &Operation::AttachVif(renamed));
    guest.wait_for_carrier();
    assert_eq!(Services::open().seen_by(&guest, "10.98.98.1"), Open::default());
    dom0.host.detach_vif(name("web")).unwrap();
    assert!(dom0.host.snapshot().unwrap().dom0.is_empty());
}

#[test]
fn behind_nat() {
    let Some(dom0) = Dom0::enter() else { return };
    sysctl_set("ipv4/ip_forward", "1");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.guest.within(|| {
        ip("addr add 10.98.98.2/32 dev eth0");
        ip("route add 10.98.98.1 dev eth0");
        ip("route add default via 10.98.98.1");
    });
    let own = Antispoof::new(OWN).ip("10.98.98.2".parse().unwrap());
    let attachment = Attachment::routed(guest.name, own).gateway("10.98.98.1".parse().unwrap());
    let masquerade = Operation::MasqueradeSubnet(Masquerade::new("10.98.98.2/32".parse().unwrap()));
    dom0.host.run_all(&[Operation::AttachVif(attachment), masquerade]).unwrap();
    let _uplink = prove_access(&dom0, &guest, guest.name, "10.98.98.1");
}

/// Frames to the groups that are reserved for bridges would come in by the vif itself.
#[test]
fn an_unlocked_guest_does_not_get_past_the_bridge() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    ip("addr add 10.98.98.1/24 dev xenbr0");
    sysctl_set("ipv4/conf/all/rp_filter", "0");
    let guest = locked_guest(&dom0);
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), Lock::Unlocked)).unwrap();
    sysctl_set(&format!("ipv4/conf/{}/rp_filter", guest.name), "0");
    dom0.host.set_dom0(name("xenbr0"), Access::Closed).unwrap();
    guest.wait_for_carrier();
    let ear = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
    ear.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let packet = Ip4::new([10, 98, 98, 2].into(), [10, 98, 98, 1].into()).carry(&udp(1000, 53, b"question"));
    let say = |groups: std::ops::RangeInclusive<u8>| {
        for last in groups {
            guest.raw().send(ether(MacAddr::new([1, 0x80, 0xc2, 0, 0, last]), OWN, 0x0800, &packet).bytes());
        }
        ear.recv(&mut [0; 16]).is_ok()
    };
    assert!(!say(0..=15));
    // The control: as the kernel has it by default they do.
    ip("link set vif1.0 type bridge_slave group_fwd_mask 0");
    assert!((0..20).any(|_| say(2..=15)));
}

#[test]
fn a_port_of_a_bridge_is_not_where_packets_come_in() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = locked_guest(&dom0);
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    let error = dom0.host.set_dom0(guest.name, Access::Closed).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot set what guests on vif1.0 reach on dom0: vif1.0 is a port of xenbr0, by which its packets come in"
    );
    assert_eq!(error.advice(), Some("set it on xenbr0"));
}

#[test]
fn a_setting_for_an_interface_that_is_not_there_is_named() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.set_dom0(name("xenbr7"), Access::Closed).unwrap();
    let findings = dom0.host.verify().unwrap().findings;
    let words: Vec<_> = findings.iter().map(ToString::to_string).collect();
    assert_eq!(words, ["dom0 is closed to guests on xenbr7, and there is no such interface"]);
}
