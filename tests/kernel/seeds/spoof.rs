//! What the old rules let through: with `ip=` on both guests and a policy of DROP, a lie was stopped on
//! its way to the uplink and passed to every other guest of the bridge; other kinds of lies passed
//! everywhere, and no script set that policy any more.

use super::lan::{Lan, ROUTER};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use xenvnet_core::MacAddr;
use xenvnet_tests::{Frame, Ip4, Ip6, arp, ether, hears, nft, udp};

const LIAR: [&str; 2] = ["192.0.2.77", "2001:db8:f::77"];
const OTHER: [&str; 2] = ["192.0.2.78", "2001:db8:f::78"];
const EVERYBODY: MacAddr = MacAddr::new([0xff; 6]);

/// Datagrams to all stations, from this MAC address and this IP address.
fn from4(mac: MacAddr, source: &str) -> Frame {
    let packet = Ip4::new(source.parse().unwrap(), Ipv4Addr::BROADCAST).carry(&udp(9, 9, b"from 4"));
    ether(EVERYBODY, mac, 0x0800, &packet)
}

fn from6(mac: MacAddr, source: &str) -> Frame {
    let all_nodes = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    ether(EVERYBODY, mac, 0x86dd, &Ip6::new(source.parse().unwrap(), all_nodes).carry(&udp(9, 9, b"from 6")))
}

/// A claim to be where somebody else is.
fn claim(mac: MacAddr, to: &str) -> Frame {
    let mine = (mac, to.parse().unwrap());
    ether(EVERYBODY, mac, 0x0806, &arp(2, mine, mine))
}

#[test]
fn a_spoofed_source_passes_neither_to_the_uplink_nor_to_another_guest() {
    for policy in ["accept", "drop"] {
        let Some(lan) = Lan::enter() else { return };
        nft(&format!(
            "table ip filter {{ chain FORWARD {{ type filter hook forward priority 0; policy {policy}; }}; }}"
        ));
        lan.starts("network-bridge bridge=xenbr0 netdev=eth0");
        let guest = |vif: &str, own: [&str; 2]| {
            let guest = lan.bridged(vif, "xenbr0", &[&format!("{}/24", own[0]), &format!("{}/64", own[1])]);
            assert!(hears(&lan.router.guest, ROUTER[0], &guest.guest), "its port forwards");
            guest
        };
        let (liar, other) = (guest("vif1.0", LIAR), guest("vif2.0", OTHER));
        let stranger = "02:00:00:00:00:66".parse().unwrap();
        let lies = [
            from4(liar.mac, OTHER[0]),
            from4(liar.mac, "192.0.2.66"),
            from4(stranger, LIAR[0]),
            from4(other.mac, OTHER[0]),
            from6(liar.mac, OTHER[1]),
            from6(liar.mac, "2001:db8:f::66"),
            from6(stranger, LIAR[1]),
            claim(liar.mac, ROUTER[0]),
            claim(liar.mac, OTHER[0]),
            claim(stranger, LIAR[0]),
        ];
        let truths = [from4(liar.mac, LIAR[0]), from6(liar.mac, LIAR[1]), claim(liar.mac, LIAR[0])];
        let numbered = |frames: &[Frame], from: u16| -> Vec<Frame> {
            (from..).zip(frames).map(|(number, frame)| frame.clone().stamped(number)).collect()
        };
        let (lies, truths) = (numbered(&lies, 0x5000), numbered(&truths, 0x6000));
        let ears = [("the LAN", lan.router.raw()), ("the other guest", other.raw())];
        let mouth = liar.raw();
        lies.iter().chain(&truths).for_each(|frame| mouth.send(frame.bytes()));
        let deadline = Instant::now() + Duration::from_secs(10);
        for (who, ear) in ears {
            // What was said last has arrived, so what was said before has, or never will.
            let mut heard = 0;
            while heard < truths.len() {
                let frame = ear.receive(deadline).unwrap_or_else(|| panic!("{who} does not hear the truth"));
                let lie = lies.iter().position(|lie| lie.is(&frame));
                assert_eq!(lie, None, "{who} hears a lie, with a policy of {policy}");
                heard += usize::from(truths.iter().any(|truth| truth.is(&frame)));
            }
        }
    }
}
