//! Row 5, `network-nat` and `vif-nat`: guests that speak to the outside with dom0's address.

use super::lan::{DOM0, DOM0_2, FAR, Image, Lan, ROUTER, ROUTER_2};
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};
use xenvnet_core::transport::{self, Transport};
use xenvnet_core::{Attachment, Host, Lock, Network};
use xenvnet_tests::{FakeVif, Frame, Namespace, hears_from, ip, nft_json, nft_ruleset, sysctl_set};

/// A guest behind dom0 with an address of each family.
fn hidden(lan: &Lan, vif: &str, addresses: [&str; 2]) -> FakeVif {
    let gateways = ["10.255.0.1", "fe80::1"];
    let (guest, mut lock) = lan.guest(vif, &[]);
    guest.guest.within(|| {
        for (address, gateway) in addresses.into_iter().zip(gateways) {
            let nodad = if address.contains(':') { " nodad" } else { "" };
            ip(&format!("addr add {address} dev eth0{nodad}"));
            ip(&format!("route add {gateway} dev eth0"));
            ip(&format!("route add default via {gateway} dev eth0"));
        }
    });
    for address in addresses {
        lock = lock.ip(address.parse().unwrap());
    }
    let attachment = Attachment::routed(guest.name, lock);
    let attachment = gateways.into_iter().fold(attachment, |a, gateway| a.gateway(gateway.parse().unwrap()));
    lan.host().attach_vif(&attachment).unwrap();
    guest.wait_for_carrier();
    guest
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

#[test]
fn row_05_network_nat_hides_guests_behind_dom0() {
    let Some(lan) = Lan::enter() else { return };
    let before = Image::take();
    let line = "network-nat subnet=10.0.0.0/8,fd00:5::/64";
    lan.starts(line);
    let guests = [hidden(&lan, "vif1.0", ["10.0.1.1", "fd00:5::1"]), hidden(&lan, "vif2.0", ["10.0.2.1", "fd00:5::2"])];
    for guest in &guests {
        for (n, outside) in FAR.into_iter().enumerate() {
            assert_eq!(hears_from(&lan.router.guest, outside, &guest.guest), address(DOM0[n]));
        }
    }
    // Among themselves they are who they are.
    assert_eq!(hears_from(&guests[1].guest, "10.0.2.1", &guests[0].guest), address("10.0.1.1"));
    assert_eq!(hears_from(&guests[1].guest, "fd00:5::2", &guests[0].guest), address("fd00:5::1"));
    for vif in ["vif1.0", "vif2.0"] {
        lan.host().detach_vif(vif.parse().unwrap()).unwrap();
        ip(&format!("link del {vif}"));
    }
    lan.stops(line);
    Image::take().assert_same(&before, "after the guests went and the network stopped");
}

#[test]
fn several_subnets_and_several_uplinks() {
    let Some(lan) = Lan::enter() else { return };
    let second = lan.second();
    lan.starts("network-nat netdev=eth0 subnet=10.0.0.0/8,192.168.7.0/24,fd00:5::/64,fd00:6::/64");
    lan.starts("network-nat netdev=eth1 subnet=10.0.0.0/8,192.168.7.0/24,fd00:5::/64,fd00:6::/64");
    let one = hidden(&lan, "vif1.0", ["10.0.1.1", "fd00:5::1"]);
    let two = hidden(&lan, "vif2.0", ["192.168.7.2", "fd00:6::2"]);
    for guest in [&one, &two] {
        for n in 0..2 {
            assert_eq!(hears_from(&lan.router.guest, ROUTER[n], &guest.guest), address(DOM0[n]));
            assert_eq!(hears_from(&second.guest, ROUTER_2[n], &guest.guest), address(DOM0_2[n]));
        }
    }
    // What is not of these subnets is nobody's business.
    let other = hidden(&lan, "vif3.0", ["192.168.8.2", "fd00:8::2"]);
    assert_eq!(hears_from(&lan.router.guest, ROUTER[0], &other.guest), address("192.168.8.2"));
    // One uplink's network stops, the other's goes on.
    lan.stops("network-nat netdev=eth0");
    assert_eq!(hears_from(&second.guest, ROUTER_2[0], &two.guest), address(DOM0_2[0]));
    assert!(nft_ruleset().contains("eth1") && !nft_ruleset().contains("eth0"), "{}", nft_ruleset());
}

/// The addresses made from domain ids are in 10.0.0.0/8, and so are many a company's.
#[test]
fn a_lan_within_the_guests_own_subnet_is_reached_too() {
    let Some(lan) = Lan::enter() else { return };
    ip("addr add 10.77.0.1/24 dev eth0");
    lan.router.address("10.77.0.9/24", "");
    lan.starts("network-nat");
    let guest = hidden(&lan, "vif1.0", ["10.0.1.1", "fd00:5::1"]);
    assert_eq!(hears_from(&lan.router.guest, "10.77.0.9", &guest.guest), address("10.77.0.1"));
    assert_eq!(hears_from(&lan.router.guest, FAR[0], &guest.guest).map(|ip| ip.to_string()).as_deref(), Some(DOM0[0]));
}

/// The script put its rule once more at each start.
#[test]
fn the_masquerade_is_never_there_twice() {
    let Some(lan) = Lan::enter() else { return };
    let rules = || {
        let listing = nft_json("list ruleset");
        let objects = listing["nftables"].as_array().unwrap().iter();
        objects.filter(|object| object["rule"].to_string().contains("masquerade")).count()
    };
    for _ in 0..3 {
        lan.host().start_network(&"network-nat".parse().unwrap()).unwrap();
        assert_eq!(rules(), 1);
    }
    for _ in 0..2 {
        lan.stops("network-nat");
        assert_eq!(rules(), 0);
        lan.starts("network-nat");
        assert_eq!(rules(), 1);
    }
    // Said twice is said once, and stops.
    lan.stops("network-nat");
    let twice = "network-nat subnet=10.1.0.0/16,10.1.0.0/16";
    lan.starts(twice);
    assert_eq!(rules(), 1);
    lan.stops(twice);
    assert_eq!(rules(), 0);
    lan.starts("network-nat");
    // The same rule by another's wish stays the other's.
    let own = "10.0.0.0/8 everywhere via eth0".parse().unwrap();
    lan.host().masquerade_subnet(&own).unwrap();
    assert_eq!(rules(), 1);
}

/// The kernel as it is, but that a guest speaks between any two messages.
#[derive(Debug)]
struct Interrupted {
    kernel: Box<dyn Transport>,
    guest: Namespace,
}

impl Interrupted {
    /// A new flow each time: what dom0 knows already it would go on hiding.
    fn speak(guest: &Namespace) {
        guest.within(|| {
            for (any, far) in [("0.0.0.0:0", FAR[0]), ("[::]:0", FAR[1])] {
                let _ = UdpSocket::bind(any).unwrap().send_to(b"hello", (far, 9));
            }
        });
    }
}

impl Transport for Interrupted {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.kernel.send(datagram)?;
        Interrupted::speak(&self.guest);
        Ok(())
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        self.kernel.receive(answers, wait)
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        self.kernel.subscribe(group, on)
    }

    fn wait(&mut self, at_most: Duration) -> io::Result<bool> {
        self.kernel.wait(at_most)
    }
}

/// Whatever moment of its start and its stop a guest speaks at, outside nobody sees who it is.
#[test]
fn no_private_address_is_seen_outside_while_it_starts_and_stops() {
    let Some(lan) = Lan::enter() else { return };
    let guest = hidden(&lan, "vif1.0", ["10.0.1.1", "fd00:5::1"]);
    let line: Network = "network-nat subnet=10.0.0.0/8,fd00:5::/64".parse().unwrap();
    let speaker = guest.guest.clone();
    let open = move |protocol| -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Interrupted { kernel: transport::kernel(protocol)?, guest: speaker.clone() }))
    };
    let host = Host::options().state_dir(lan.dom0.state.path()).transport(open).open().unwrap();
    let ear = lan.router.raw();
    for _ in 0..3 {
        host.start_network(&line).unwrap();
        Interrupted::speak(&guest.guest);
        host.stop_network(&line).unwrap();
    }
    // What dom0 says last is heard after all that the guest could say.
    let mut hidden = [0; 2];
    let deadline = Instant::now() + Duration::from_secs(10);
    let last = UdpSocket::bind((DOM0[0], 0)).unwrap();
    last.send_to(b"done", (ROUTER[0], 9)).unwrap();
    loop {
        let heard = Frame::new(ear.receive(deadline).expect("what dom0 says is heard"));
        let Some((from, to)) = heard.route() else { continue };
        assert!(!["10.0.1.1", "fd00:5::1"].contains(&from.to_string().as_str()), "{from} was seen outside");
        for n in 0..2 {
            hidden[n] += usize::from(to.to_string() == FAR[n]);
        }
        if to.to_string() == ROUTER[0] {
            break;
        }
    }
    assert!(hidden.iter().all(|packets| *packets > 3), "hardly anything went out at all: {hidden:?}");
}

#[test]
fn a_masqueraded_network_with_antispoof_refuses_a_vif_without_a_lock() {
    let Some(lan) = Lan::enter() else { return };
    let (guest, lock) = lan.guest("vif1.0", &["10.0.1.1/32"]);
    lan.starts("network-nat antispoof=yes");
    let before = Image::take();
    let open = Attachment::routed(guest.name, Lock::Unlocked).route("10.0.1.1".parse().unwrap());
    let error = lan.host().attach_vif(&open).unwrap_err();
    assert!(error.to_string().contains("antispoof=yes"), "{error}");
    Image::take().assert_same(&before, "after it was refused");
    lan.host().attach_vif(&Attachment::routed(guest.name, lock)).unwrap();
}

/// Forwarding that was on already stays on when the network stops; so do guests that are attached.
#[test]
fn what_others_forward_is_not_cut_off_by_the_stop() {
    let Some(lan) = Lan::enter() else { return };
    sysctl_set("ipv4/ip_forward", "1");
    let guest = hidden(&lan, "vif1.0", ["192.168.7.2", "fd00:6::2"]);
    lan.starts("network-nat");
    lan.stops("network-nat");
    assert_eq!(hears_from(&lan.router.guest, ROUTER[0], &guest.guest), address("192.168.7.2"));
}
