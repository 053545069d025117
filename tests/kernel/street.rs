//! The street where guests live: one who sends, one who is to be hurt, a cable to the outside, and
//! between them dom0 in one of its modes.

use crate::matrix::{
    GATEWAY, GATEWAY4, GATEWAY6, OUTSIDE, OWN, VICTIM, VICTIM4, VICTIM6, lock, routed_sentinel, sentinel, victims_lock,
};
use crate::proof::name;
use std::fmt;
use std::net::IpAddr;
use xenvnet_core::{Antispoof, Attachment, Host, Lock, MacAddr, Masquerade};
use xenvnet_tests::{Dom0, FakeVif, Frame, Path, RawSocket, bridge_json, ip, nft, program, sysctl_set};

/// The interface of the guest that sends.
pub(crate) const VIF: &str = "vif1.0";
/// The interface of the guest that is to be hurt.
pub(crate) const OTHER_VIF: &str = "vif2.0";
/// The ear of the guest that is to be hurt.
pub(crate) const THE_OTHER_GUEST: &str = "the other guest";
/// Room for jumbo frames, and for a tag or two.
const MTU: u32 = 9000;

/// How dom0 connects its guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// By a bridge of somebody else.
    Bridged,
    /// By the bridge of the library's network, which it routes and masquerades.
    Brouter,
    /// By routing each vif.
    Routed,
    /// By routing each vif, with dom0's own address towards the outside.
    Nat,
}

impl Mode {
    /// Whether frames go from guest to guest as they are.
    pub(crate) fn is_bridge(self) -> bool {
        matches!(self, Mode::Bridged | Mode::Brouter)
    }

    /// The family of the table that holds the guests.
    pub(crate) fn family(self) -> &'static str {
        if self.is_bridge() { "bridge" } else { "netdev" }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::Bridged => "bridged",
            Mode::Brouter => "brouter",
            Mode::Routed => "routed",
            Mode::Nat => "NAT",
        })
    }
}

/// All of it, in a namespace of its own.
pub(crate) struct Street {
    pub(crate) mode: Mode,
    pub(crate) sender: FakeVif,
    pub(crate) victim: FakeVif,
    pub(crate) outside: FakeVif,
    /// Where dom0 does not bridge: the far end of a cable to which a foreign table of nftables
    /// copies whatever came in by the sender's vif and was not dropped there.
    probe: Option<FakeVif>,
    dom0: Dom0,
}

impl Street {
    /// With nothing of the library's in the guests' way yet. `None` where this machine does not
    /// allow it.
    pub(crate) fn build(mode: Mode) -> Option<Street> {
        let dom0 = Dom0::enter()?;
        match mode {
            Mode::Bridged => {
                ip(&format!("link add xenbr0 address {GATEWAY} type bridge forward_delay 0"));
                ip("link set xenbr0 addrgenmode none");
                ip("link set xenbr0 up");
                ip(&format!("addr add {GATEWAY4}/24 dev xenbr0"));
            }
            Mode::Brouter => {
                let network = format!("network-virtual bridge=xenbr0 bridgeip={GATEWAY4}/24 brnet=10.98.98.0/24");
                dom0.host.start_network(&network.parse().unwrap()).unwrap();
                ip(&format!("link set xenbr0 address {GATEWAY}"));
            }
            Mode::Routed | Mode::Nat => {
                sysctl_set("ipv4/ip_forward", "1");
                sysctl_set("ipv6/conf/all/forwarding", "1");
            }
        }
        if mode.is_bridge() {
            // Snooping would hold frames back of its own accord.
            ip(&format!("link set xenbr0 mtu {MTU} type bridge mcast_snooping 0"));
        }
        if mode == Mode::Nat {
            dom0.host.masquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap())).unwrap();
        }
        let outside = dom0.cable("peth0", &OUTSIDE.to_string());
        let sender = dom0.guest(VIF, &OWN.to_string());
        let victim = dom0.guest(OTHER_VIF, &VICTIM.to_string());
        let probe = (!mode.is_bridge()).then(|| dom0.cable("probe0", "02:00:00:00:00:0e"));
        for cable in [&outside, &sender, &victim].into_iter().chain(&probe) {
            ip(&format!("link set {} mtu {MTU}", cable.name));
            cable.guest.within(|| ip(&format!("link set eth0 mtu {MTU}")));
        }
        if mode.is_bridge() {
            ip("link set peth0 master xenbr0");
        } else {
            ip("addr add 192.0.2.1/24 dev peth0");
            nft(&format!(
                "add table netdev probe; add chain netdev probe sees {{ type filter hook ingress device {VIF} \
                 priority 100; }}; add rule netdev probe sees dup to probe0"
            ));
        }
        Some(Street { mode, sender, victim, outside, probe, dom0 })
    }

    /// Both guests connected as on a host without any filter.
    pub(crate) fn open_to_all(&self) {
        for vif in [VIF, OTHER_VIF] {
            ip(&format!("link set {vif} address {} addrgenmode none", MacAddr::VIF_BACKEND));
            if self.mode.is_bridge() {
                ip(&format!("link set {vif} master xenbr0"));
            }
            ip(&format!("link set {vif} up"));
        }
        if !self.mode.is_bridge() {
            for vif in [VIF, OTHER_VIF] {
                route_by_hand(vif);
            }
            self.introduce_the_victim();
        }
    }

    /// Both guests attached, the sender with this lock.
    pub(crate) fn attach(&self, senders: impl Into<Lock>) {
        let senders = senders.into();
        for (vif, lock) in [(VIF, senders), (OTHER_VIF, victims_lock().into())] {
            match self.mode {
                Mode::Bridged | Mode::Brouter => {
                    let attachment = Attachment::bridged(name(vif), name("xenbr0"), lock);
                    assert!(self.host().attach_vif(&attachment).unwrap().is_changed());
                }
                Mode::Routed | Mode::Nat => self.attach_routed(vif, lock),
            }
        }
        if !self.mode.is_bridge() {
            self.introduce_the_victim();
        }
    }

    pub(crate) fn host(&self) -> &Host {
        &self.dom0.host
    }

    /// From the sender to everybody else, with a sentinel of its own.
    pub(crate) fn path(&self) -> Path {
        self.sender.wait_for_carrier();
        let Some(probe) = &self.probe else {
            let ears = vec![
                (THE_OTHER_GUEST, self.victim.raw()),
                ("the outside", self.outside.raw()),
                ("dom0", RawSocket::on("xenbr0")),
            ];
            return Path::new(self.sender.raw(), ears, sentinel(OWN, "10.98.98.2".parse().unwrap()));
        };
        self.victim.wait_for_carrier();
        Path::new(self.sender.raw(), vec![("the probe", probe.raw())], self.aim(&routed_sentinel()))
            .behind_router(THE_OTHER_GUEST, self.victim.raw())
    }

    /// A path whose sentinel comes from elsewhere: nothing at all passes from the sender.
    pub(crate) fn path_of_the_mute(&self) -> Path {
        self.sender.wait_for_carrier();
        let sentinel = sentinel(OUTSIDE, "10.98.98.9".parse().unwrap());
        match &self.probe {
            Some(probe) => {
                Path::new(self.sender.raw(), vec![("the probe", probe.raw())], sentinel).herald(RawSocket::on("probe0"))
            }
            None => {
                let ears = vec![(THE_OTHER_GUEST, self.victim.raw()), ("dom0", RawSocket::on("xenbr0"))];
                Path::new(self.sender.raw(), ears, sentinel).herald(self.outside.raw())
            }
        }
    }

    /// A frame as the sender would send it here: a router is who takes what is for others.
    pub(crate) fn aim(&self, frame: &Frame) -> Frame {
        let for_others = [VICTIM, GATEWAY].contains(&frame.destination());
        let elsewhere = for_others && !self.mode.is_bridge();
        if elsewhere { frame.clone().towards(MacAddr::VIF_BACKEND) } else { frame.clone() }
    }

    /// Whether dom0 routes this frame to the victim once it is in: global addresses, IP, no tag, and
    /// no fragment where dom0 tracks connections, for which it puts them together.
    pub(crate) fn leads_to_the_victim(&self, frame: &Frame) -> bool {
        let is_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let victims = [VICTIM4.into(), VICTIM6.into()];
        let routed = frame.route().is_some_and(|(from, to)| victims.contains(&to) && !is_local(from));
        let whole = !(self.mode == Mode::Nat && frame.is_fragment());
        routed && whole && !self.mode.is_bridge() && frame.destination() == MacAddr::VIF_BACKEND
    }

    /// Whether the bridge believes that a station is at the sender's port because it learned so.
    pub(crate) fn has_learned(&self, station: MacAddr) -> bool {
        self.mode.is_bridge()
            && bridge_json("fdb show br xenbr0")
                .as_array()
                .unwrap()
                .iter()
                .any(|entry| entry["ifname"] == VIF && entry["state"] == "" && entry["mac"] == station.to_string())
    }

    /// Makes the bridge forget what it learned at the sender's port.
    pub(crate) fn forget(&self) {
        ip(&format!("link set {VIF} type bridge_slave fdb_flush"));
    }

    /// A guest that dom0 routes to, held where its frames come in.
    fn attach_routed(&self, vif: &str, lock: Lock) {
        let attachment = Attachment::routed(name(vif), lock).gateway(GATEWAY4.into()).gateway(GATEWAY6.into());
        let attachment = lock_of(vif).ips.into_iter().fold(attachment, Attachment::route);
        assert!(self.host().attach_vif(&attachment).unwrap().is_changed());
    }

    /// The sender's lock written anew, in a fresh table.
    pub(crate) fn renew(&self, lock: Antispoof) {
        nft(&format!("delete table {} xenvnet", self.mode.family()));
        if self.mode.is_bridge() {
            program("bridge", &["fdb", "del", &OWN.to_string(), "dev", VIF, "master"]);
        }
        self.host().set_antispoof(name(VIF), lock).unwrap();
    }

    /// The victim says nothing of its own accord, not even where it is.
    fn introduce_the_victim(&self) {
        for address in [VICTIM4.to_string(), VICTIM6.to_string()] {
            ip(&format!("neigh replace {address} lladdr {VICTIM} dev {OTHER_VIF} nud permanent"));
        }
    }
}

/// The lock whose addresses are routed to a guest, be it locked or not.
fn lock_of(vif: &str) -> Antispoof {
    if vif == VIF { lock() } else { victims_lock() }
}

fn route_by_hand(vif: &str) {
    ip(&format!("addr add {GATEWAY4}/32 dev {vif}"));
    ip(&format!("addr add {GATEWAY6}/128 dev {vif} nodad"));
    for net in lock_of(vif).ips {
        ip(&format!("route add {net} dev {vif}"));
    }
}
