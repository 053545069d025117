//! A host with an uplink in a LAN, as its administrator set it up: what the networks start from.

use crate::proof::{name, wait_for};
use xenvnet_core::{Antispoof, Attachment, Host, Network, Outcome};
pub(crate) use xenvnet_tests::Image;
use xenvnet_tests::{Dom0, FakeVif, hears_from, ip, ip_json};

/// The router of the LAN, which is one of its stations too, and a host that is found behind it.
pub(crate) const ROUTER: [&str; 2] = ["192.0.2.9", "2001:db8:f::9"];
pub(crate) const FAR: [&str; 2] = ["203.0.113.9", "2001:db8:ff::9"];
/// Dom0 itself.
pub(crate) const DOM0: [&str; 2] = ["192.0.2.1", "2001:db8:f::1"];
/// The same of a second LAN, where there is one.
pub(crate) const ROUTER_2: [&str; 2] = ["198.51.100.9", "2001:db8:e::9"];
pub(crate) const DOM0_2: [&str; 2] = ["198.51.100.1", "2001:db8:e::1"];

/// The host and its LAN.
pub(crate) struct Lan {
    pub(crate) dom0: Dom0,
    pub(crate) router: FakeVif,
}

impl Lan {
    /// With the uplink `eth0`. `None` where this machine does not allow it.
    pub(crate) fn enter() -> Option<Lan> {
        let dom0 = Dom0::enter()?;
        let router = plug(&dom0, "eth0", "02:00:00:00:00:09", DOM0, ROUTER);
        ROUTER.map(|router| ip(&format!("route add default via {router} metric 100")));
        FAR.map(|far| router.guest.within(|| ip(&format!("addr add {far} dev lo"))));
        let lan = Lan { dom0, router };
        lan.settle();
        Some(lan)
    }

    /// With a second uplink, `eth1`, in another LAN.
    pub(crate) fn second(&self) -> FakeVif {
        let router = plug(&self.dom0, "eth1", "02:00:00:00:00:0a", DOM0_2, ROUTER_2);
        self.settle();
        router
    }

    pub(crate) fn host(&self) -> &Host {
        &self.dom0.host
    }

    /// What the kernel adds when a carrier comes is to be there before anything is compared.
    pub(crate) fn settle(&self) {
        let waits = |link: &serde_json::Value| {
            let up = link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
            up && link["linkinfo"]["info_kind"] == "veth" && link["operstate"] != "UP"
        };
        wait_for("all carriers", || !ip_json("-d link show").as_array().unwrap().iter().any(waits));
        wait_for("a host that does not change", || Image::take() == Image::take());
    }

    #[track_caller]
    pub(crate) fn starts(&self, line: &str) {
        assert_eq!(self.host().start_network(&network(line)).unwrap(), Outcome::Changed, "start {line}");
    }

    #[track_caller]
    pub(crate) fn stops(&self, line: &str) {
        assert_eq!(self.host().stop_network(&network(line)).unwrap(), Outcome::Changed, "stop {line}");
    }

    /// Dom0 and its LAN reach each other by the addresses that dom0 always had, and dom0 the world.
    #[track_caller]
    pub(crate) fn assert_reachable(&self) {
        let own = self.dom0.namespace();
        for (n, dom0) in DOM0.into_iter().enumerate() {
            let seen_as = Some(dom0.parse().unwrap());
            assert!(hears_from(&own, dom0, &self.router.guest).is_some(), "the LAN does not reach {dom0}");
            assert_eq!(hears_from(&self.router.guest, ROUTER[n], &own), seen_as, "dom0 does not reach {}", ROUTER[n]);
            assert_eq!(hears_from(&self.router.guest, FAR[n], &own), seen_as, "dom0 does not reach {}", FAR[n]);
        }
    }

    /// A guest on a bridge with these addresses, each `ADDRESS/PREFIX via GATEWAY` or without one.
    pub(crate) fn bridged(&self, vif: &str, bridge: &str, addresses: &[&str]) -> FakeVif {
        let (guest, lock) = self.guest(vif, addresses);
        self.host().attach_vif(&Attachment::bridged(guest.name, name(bridge), lock)).unwrap();
        guest
    }

    /// A guest that is attached to nothing yet, and the lock that goes with it.
    pub(crate) fn guest(&self, vif: &str, addresses: &[&str]) -> (FakeVif, Antispoof) {
        let number: u32 = vif.bytes().filter(u8::is_ascii_digit).map(u32::from).sum();
        let guest = self.dom0.guest(vif, &format!("00:16:3e:00:00:{:02x}", number % 256));
        let mut lock = Antispoof::new(guest.mac);
        for address in addresses {
            let (address, gateway) = address.split_once(" via ").unwrap_or((address, ""));
            guest.address(address, gateway);
            lock = lock.ip(address.split('/').next().unwrap().parse().unwrap());
        }
        (guest, lock)
    }
}

/// A network, as xend's configuration has it.
pub(crate) fn network(line: &str) -> Network {
    line.parse().unwrap_or_else(|error| panic!("{line}: {error}"))
}

/// A card of dom0's with addresses, in a LAN with a router.
fn plug(dom0: &Dom0, card: &str, mac: &str, own: [&str; 2], routers: [&str; 2]) -> FakeVif {
    let router = dom0.cable(card, mac);
    for (own, other) in own.into_iter().zip(routers) {
        let (length, nodad) = if own.contains(':') { (64, " nodad") } else { (24, "") };
        ip(&format!("addr add {own}/{length} dev {card}{nodad}"));
        router.address(&format!("{other}/{length}"), own);
    }
    // Whom a router asks for on behalf of others, it asks from such an address.
    ip(&format!("addr add fe80::1/64 dev {card} nodad"));
    router.address("fe80::9/64", "");
    router
}
