//! A host with a guest of every kind, each held by its lock: what others damage, and what mends it.

use crate::matrix::{GATEWAY, OWN, VICTIM, foreign_packet, lock, sentinel, victims_lock};
use crate::proof::name;
use std::net::{Ipv4Addr, UdpSocket};
use std::time::Duration;
use xenvnet_core::{Antispoof, Attachment, Dom0 as Access, Finding, Host, MacAddr, Report};
use xenvnet_tests::{
    Dom0, Dump, FakeVif, Frame, Ip4, Path, RawSocket, Witness, ether, nft, nft_json, nft_ruleset, program, sysctl_set,
    udp,
};

/// A brouter with a guest `vif1.0` whose connections are not tracked, a victim `vif2.0` and a guest
/// with two cards, `vif4.0` and `vif4.0-emu`; beside it `vif3.0`, which is routed; and a cable
/// `peth0` to the outside.
pub(crate) struct Estate {
    pub(crate) bridged: FakeVif,
    pub(crate) victim: FakeVif,
    pub(crate) routed: FakeVif,
    pub(crate) pair: [FakeVif; 2],
    pub(crate) outside: FakeVif,
    pub(crate) dom0: Dom0,
}

pub(crate) const NETWORK: &str = "network-virtual bridgeip=10.98.98.1/24 dom0=services(dns,icmp,ra)";
/// The lock of `vif1.0`, in words.
pub(crate) const OWN_LOCK: &str =
    "locked mac=00:16:3e:00:00:01 ip=10.98.98.2,10.98.99.0/28,2001:db8:98::2,2001:db8:99::/64";
pub(crate) const ROUTED: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 3]);
const PAIRED: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 4]);
const NOBODY: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x66]);
const OWN4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 2);
const ROUTED4: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);
const PAIRED4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 4);
const OUTSIDE4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

impl Estate {
    /// All of it, attached by the library.
    pub(crate) fn build() -> Option<Estate> {
        let dom0 = Dom0::enter()?;
        let outside = dom0.cable("peth0", "02:00:00:00:00:09");
        xenvnet_tests::ip("addr add 192.0.2.1/24 dev peth0");
        outside.address("192.0.2.2/24", "192.0.2.1");
        dom0.host.start_network(&NETWORK.parse().unwrap()).unwrap();
        xenvnet_tests::ip("link set xenbr0 type bridge mcast_snooping 0");
        let guest = |vif: &str, mac: MacAddr| dom0.guest(vif, &mac.to_string());
        let (bridged, victim, routed) = (guest("vif1.0", OWN), guest("vif2.0", VICTIM), guest("vif3.0", ROUTED));
        let pair = [guest("vif4.0", PAIRED), guest("vif4.0-emu", PAIRED)];
        let bridge = name("xenbr0");
        let own = |mac, ip: Ipv4Addr| Antispoof::new(mac).ip(std::net::IpAddr::V4(ip).into());
        for attachment in [
            Attachment::bridged(bridged.name, bridge, lock()).untracked(true),
            Attachment::bridged(victim.name, bridge, victims_lock()),
            Attachment::routed(routed.name, own(ROUTED, ROUTED4))
                .gateway("10.1.0.1".parse().unwrap())
                .dom0(Access::Closed),
            Attachment::bridged(pair[0].name, bridge, own(PAIRED, PAIRED4)),
            Attachment::bridged(pair[1].name, bridge, own(PAIRED, PAIRED4)),
        ] {
            dom0.host.attach_vif(&attachment).unwrap();
        }
        // What spoofs another's address is not to be held back by dom0's routes.
        for interface in ["all", "vif3.0"] {
            sysctl_set(&format!("ipv4/conf/{interface}/rp_filter"), "0");
        }
        let estate = Estate { bridged, victim, routed, pair, outside, dom0 };
        estate.wait_for_carriers();
        Some(estate)
    }

    /// What the kernel adds when a carrier comes is to be there before anything is compared.
    pub(crate) fn wait_for_carriers(&self) {
        self.everybody().for_each(FakeVif::wait_for_carrier);
        while Dump::take() != Dump::take() {}
    }

    fn everybody(&self) -> impl Iterator<Item = &FakeVif> {
        [&self.bridged, &self.victim, &self.routed, &self.outside].into_iter().chain(&self.pair)
    }

    pub(crate) fn host(&self) -> &Host {
        &self.dom0.host
    }

    /// What the library finds: severity, kind and sentence of each. That the pair is one guest's card
    /// it always says; that is left out here.
    pub(crate) fn findings(&self) -> Vec<String> {
        told(&self.host().verify().unwrap())
    }

    /// A damage is seen from outside, found as exactly this, and mended: with one transaction of
    /// rules at most, to the host as it was.
    #[track_caller]
    pub(crate) fn mends(&self, damage: &str, expected: &[&str]) {
        self.mends_as(damage, |found| assert_eq!(found, expected, "found of {damage}"));
    }

    /// The same, where the findings are for the caller to judge.
    #[track_caller]
    pub(crate) fn mends_as(&self, damage: &str, judge: impl Fn(&[String])) {
        let before = self.dump();
        let watch = self.host().watch().unwrap();
        run(damage);
        assert!(watch.wait(Duration::from_secs(60)).unwrap(), "{damage} is not told of");
        let damaged = self.dump();
        assert_ne!(damaged, before, "{damage} is no damage");
        judge(&self.findings());
        self.dump().assert_same(&damaged, "by looking at it");
        judge(&self.repair());
        self.dump().assert_same(&before, &format!("after {damage:?} was repaired"));
    }

    /// Repairs with one transaction of rules at most, and for good. Returns what was found before.
    #[track_caller]
    pub(crate) fn repair(&self) -> Vec<String> {
        let rules = nft_ruleset();
        let witness = Witness::start();
        let report = self.host().repair().unwrap();
        let batches = witness.nft_batches();
        assert!(batches <= 1, "{batches} transactions:\n{}", report.repair);
        assert!(batches == 1 || nft_ruleset() == rules, "the witness is blind");
        assert_eq!(self.findings(), Vec::<String>::new(), "after the repair:\n{}", report.repair);
        let witness = Witness::start();
        self.host().repair().unwrap();
        assert_eq!(witness.nft_batches(), 0, "there was nothing left to repair");
        told(&report)
    }

    /// The host without the counts of dropped frames.
    pub(crate) fn dump(&self) -> Dump {
        forget_drops();
        Dump::take()
    }

    /// Nothing hostile passes from any guest, and what is legitimate does.
    #[track_caller]
    pub(crate) fn assert_held(&self) {
        for (guest, ip) in [(&self.bridged, OWN4), (&self.pair[0], PAIRED4), (&self.pair[1], PAIRED4)] {
            let hostile = hostile(guest.mac);
            let mut path = self.path(guest, ip);
            assert!(path.send(&hostile).none(), "hostile frames of {} pass", guest.name);
            assert_eq!(path.late(), [], "{}", guest.name);
        }
        assert!(!self.routed_passes(FOREIGN), "a foreign address of {} passes", self.routed.name);
    }

    /// From a bridged guest to the victim and to dom0; the sentinel is legitimate.
    pub(crate) fn path(&self, guest: &FakeVif, ip: Ipv4Addr) -> Path {
        guest.wait_for_carrier();
        let ears = vec![("the victim", self.victim.raw()), ("dom0", RawSocket::on("xenbr0"))];
        Path::new(guest.raw(), ears, sentinel(guest.mac, ip))
    }

    /// That of `vif1.0`.
    pub(crate) fn path_of_bridged(&self) -> Path {
        self.path(&self.bridged, OWN4)
    }

    /// From a bridged guest when nothing at all passes from there: the sentinel is another's.
    pub(crate) fn path_of_the_mute(&self, guest: &FakeVif) -> Path {
        guest.wait_for_carrier();
        let (herald, ip) = if guest.mac == OWN { (&self.pair[0], PAIRED4) } else { (&self.bridged, OWN4) };
        let ears = vec![("the victim", self.victim.raw()), ("dom0", RawSocket::on("xenbr0"))];
        Path::new(guest.raw(), ears, sentinel(herald.mac, ip)).herald(herald.raw())
    }

    /// Whether a frame of `vif1.0` gets through.
    pub(crate) fn passes(&self, frame: Frame) -> bool {
        !self.path_of_bridged().send(&[frame]).none()
    }

    /// Whether dom0 itself hears the routed guest, to which it is closed. The sentinel is the bridged
    /// guest's: nothing else needs to pass from the routed one.
    pub(crate) fn is_heard_by_dom0(&self) -> bool {
        let gateway = Ipv4Addr::new(10, 1, 0, 1);
        let ear = UdpSocket::bind((gateway, 2000)).unwrap();
        ear.set_nonblocking(true).unwrap();
        self.routed.wait_for_carrier();
        let packet = Ip4::new(ROUTED4, gateway).carry(&udp(1000, 2000, b"hello"));
        let ears = vec![("the victim", self.victim.raw())];
        let path = Path::new(self.routed.raw(), ears, sentinel(OWN, OWN4));
        path.herald(self.bridged.raw()).send(&[ether(MacAddr::VIF_BACKEND, ROUTED, 0x0800, &packet)]);
        ear.recv(&mut [0; 16]).is_ok()
    }

    /// Whether what the routed guest sends from this address reaches the outside before what it
    /// sends from its own.
    #[track_caller]
    pub(crate) fn routed_passes(&self, source: Ipv4Addr) -> bool {
        let ear = self.outside.guest.within(|| UdpSocket::bind((OUTSIDE4, 2000)).unwrap());
        ear.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        self.routed.wait_for_carrier();
        let sender = self.routed.raw();
        let datagram = |source: Ipv4Addr, words: &[u8]| {
            ether(MacAddr::VIF_BACKEND, ROUTED, 0x0800, &Ip4::new(source, OUTSIDE4).carry(&udp(1000, 2000, words)))
        };
        let hear = |within: u32| {
            let mut octets = [0; 16];
            (0..within).find_map(|_| ear.recv(&mut octets).ok()).map(|length| octets[..length].to_vec())
        };
        // Until dom0 knows where the outside is.
        let open = (0..200).any(|_| {
            sender.send(datagram(ROUTED4, b"open").bytes());
            hear(1).is_some()
        });
        assert!(open, "nothing of {} reaches the outside", self.routed.name);
        sender.send(datagram(ROUTED4, b"begin").bytes());
        while hear(200).expect("the beginning") != b"begin" {}
        sender.send(datagram(source, b"hostile").bytes());
        sender.send(datagram(ROUTED4, b"honest").bytes());
        hear(200).expect("the sentinel") != b"honest"
    }
}

/// An address that the routed guest does not have.
pub(crate) const FOREIGN: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 3);

/// Foreign addresses of each layer.
pub(crate) fn hostile(own: MacAddr) -> Vec<Frame> {
    let all = MacAddr::new([0xff; 6]);
    vec![
        ether(VICTIM, own, 0x0800, &foreign_packet()),
        sentinel(NOBODY, OWN4),
        sentinel(own, Ipv4Addr::new(10, 98, 98, 1)),
        ether(all, GATEWAY, 0x0800, &foreign_packet()),
        ether(all, own, 0x88b5, &[0; 46]),
    ]
}

/// Severity, kind and sentence of each finding but the note about the pair.
pub(crate) fn told(report: &Report) -> Vec<String> {
    let told = |finding: &Finding| format!("{} {}: {finding}", finding.severity(), finding.kind());
    report.findings.iter().filter(|finding| finding.kind() != "pair").map(told).collect()
}

/// Runs the lines of a damage: each a program with its words, the commands of nft as one.
pub(crate) fn run(damage: &str) {
    for line in damage.lines() {
        let (tool, words) = line.trim().split_once(' ').unwrap();
        match tool {
            "nft" => drop(nft(words)),
            _ => drop(program(tool, &words.split_whitespace().collect::<Vec<_>>())),
        }
    }
}

/// Empties the sets that count.
pub(crate) fn forget_drops() {
    for object in nft_json("list sets")["nftables"].as_array().unwrap() {
        let set = &object["set"];
        let word = |key: &str| set[key].as_str().unwrap_or_default().to_owned();
        if word("name").starts_with("dropped_") {
            nft(&format!("flush set {} {} {}", word("family"), word("table"), word("name")));
        }
    }
}
