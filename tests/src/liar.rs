//! A guest that lies all the time, and ears that count: a vif is never up without its lock.

use crate::dom0::{Dom0, FakeVif};
use crate::flood::Flood;
use crate::frame::{Frame, Ip4, Ip6, arp, ether, udp};
use crate::learning::Learning;
use crate::oracle::{ip, ip_json};
use crate::tally::Tally;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, Host, IfName, MacAddr};

/// The guest that lies, the one that is to be hurt, and the station outside.
const OWN: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 1]);
const VICTIM: MacAddr = MacAddr::new([0x00, 0x16, 0x3e, 0, 0, 2]);
const OUTSIDE: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x09]);
/// A station that is not there.
const STRANGER: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x66]);
const ALL: MacAddr = MacAddr::new([0xff; 6]);

const OWN4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 2);
const VICTIM4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 3);
const GATEWAY4: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 1);
const FOREIGN4: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 66);
const FOREIGN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x66, 0, 0, 0, 0, 0x66);
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);

/// The discard port (RFC 863).
const DISCARD: u16 = 9;

fn victims_lock() -> Antispoof {
    Antispoof::new(VICTIM).ip(IpAddr::from(VICTIM4).into())
}

/// One frame of each layer: a foreign MAC address, a foreign IP address, somebody else's in ARP, and LLDP,
/// which no filter of a bridge sees and from which a bridge learns.
fn lies() -> Vec<Frame> {
    let said = || udp(DISCARD, DISCARD, &[0; 18]);
    vec![
        ether(ALL, STRANGER, 0x0800, &Ip4::new(OWN4, Ipv4Addr::BROADCAST).carry(&said())),
        ether(ALL, OWN, 0x0800, &Ip4::new(FOREIGN4, Ipv4Addr::BROADCAST).carry(&said())),
        ether(ALL, OWN, 0x86dd, &Ip6::new(FOREIGN6, ALL_NODES).carry(&said())),
        ether(ALL, OWN, 0x0806, &arp(2, (OWN, GATEWAY4), (VICTIM, VICTIM4))),
        ether(MacAddr::new([0x01, 0x80, 0xc2, 0, 0, 0x0e]), OUTSIDE, 0x88cc, &[2, 7, 4, 2, 0, 0, 0, 0, 9, 0, 0]),
    ]
}

/// What a lock lets through: to the victim, who alone hears it.
fn honest() -> Frame {
    ether(VICTIM, OWN, 0x0800, &Ip4::new(OWN4, VICTIM4).carry(&udp(DISCARD, DISCARD, &[0; 18])))
}

/// A guest, `vif1.0`, that lies from the beginning, and whoever could hear it.
#[derive(Debug)]
pub struct Liar {
    sender: FakeVif,
    /// Its interface where it is attached.
    vif: IfName,
    flood: Option<Flood>,
    ears: Vec<(&'static str, Tally)>,
    /// Where there is a bridge.
    learning: Option<Learning>,
    _others: Vec<FakeVif>,
}

impl Liar {
    /// Its MAC address.
    pub const MAC: MacAddr = OWN;

    /// A lock for it, under which it says something that is true now and then.
    ///
    /// # Panics
    /// Never: these are addresses.
    pub fn lock() -> Antispoof {
        ["10.98.98.2", "10.98.99.0/28", "2001:db8:98::2", "2001:db8:99::/64"]
            .iter()
            .fold(Antispoof::new(OWN), |lock, ip| lock.ip(ip.parse().expect("an address")))
    }

    /// On the bridge `xenbr0`, with a locked guest and a cable to the outside; attached, it has this name.
    ///
    /// # Panics
    /// When the victim cannot be attached.
    pub fn bridged(dom0: &Dom0, vif: &str) -> Liar {
        ip("link add xenbr0 address 2e:00:00:00:00:fe type bridge mcast_snooping 0 forward_delay 0");
        ip("link set xenbr0 addrgenmode none up");
        let outside = dom0.cable("peth0", &OUTSIDE.to_string());
        ip("link set peth0 master xenbr0");
        let victim = dom0.guest("vif2.0", &VICTIM.to_string());
        let attachment = Attachment::bridged(victim.name, "xenbr0".parse().expect("a name"), victims_lock());
        dom0.host.attach_vif(&attachment).expect("attach the victim").is_changed();
        let truth =
            format!("ether saddr {OWN} ether daddr {VICTIM} ip saddr {OWN4} udp sport {DISCARD} udp dport {DISCARD}");
        // A bridge that is made again joins its groups, and what it does not know the place of goes everywhere.
        let expected = format!("{truth}\nether saddr 2e:00:00:00:00:fe");
        let ears = vec![
            ("the victim", Tally::of_frames(&victim.guest, "eth0", &expected)),
            ("the outside", Tally::of_frames(&outside.guest, "eth0", &expected)),
            ("dom0's bridge", Tally::of_frames(&dom0.namespace(), "xenbr0", &expected)),
            ("dom0's IP layer", Tally::of_packets(&dom0.namespace())),
        ];
        Liar::new(dom0, vif, ears, Some(Learning::watch()), vec![outside, victim], honest())
    }

    /// On an interface that dom0 routes to.
    pub fn routed(dom0: &Dom0, vif: &str) -> Liar {
        let ears = vec![("dom0's IP layer", Tally::of_packets(&dom0.namespace()))];
        let last = lies().remove(1);
        Liar::new(dom0, vif, ears, None, Vec::new(), last)
    }

    fn new(
        dom0: &Dom0,
        vif: &str,
        ears: Vec<(&'static str, Tally)>,
        learning: Option<Learning>,
        others: Vec<FakeVif>,
        last: Frame,
    ) -> Liar {
        let sender = dom0.guest("vif1.0", &OWN.to_string());
        let flood = Some(Flood::start(sender.raw(), lies(), last, 0));
        Liar { sender, vif: vif.parse().expect("a name"), flood, ears, learning, _others: others }
    }

    /// What came in anywhere, in words, since the beginning.
    pub fn heard(&self) -> Option<String> {
        let strange = |(ear, tally): &(&str, Tally)| {
            let count = tally.count().strange;
            (count > 0).then(|| format!("{count} frames at {ear}: {tally}"))
        };
        self.ears.iter().find_map(strange)
    }

    /// What a bridge learned from it since the last look.
    pub fn taught(&self) -> Vec<MacAddr> {
        self.learning.as_ref().map(Learning::since).unwrap_or_default()
    }

    /// Whether its interface is up, under the name that it has then.
    pub fn is_attached(&self) -> bool {
        ip_json("link show up").as_array().into_iter().flatten().any(|link| link["ifname"] == self.vif.as_str())
    }

    /// The control, where the guest is attached: its interface took its lies, and without its lock they
    /// come in everywhere. Tells how many it told.
    ///
    /// # Errors
    /// Why this proves nothing, in words.
    pub fn proves_that_lies_are_heard(mut self, host: &Host) -> Result<u64, String> {
        let told = self.flood.take().map(Flood::give_up).unwrap_or_default().repeated;
        if told == 0 {
            return Err("not one lie was told".to_owned());
        }
        host.clear_antispoof(self.vif).map_err(|error| error.to_string())?.is_changed();
        let _flood = Flood::start(self.sender.raw(), lies(), honest(), 0);
        let deadline = Instant::now() + Duration::from_secs(20);
        for (ear, tally) in &self.ears {
            while tally.count().strange == 0 {
                if Instant::now() > deadline {
                    return Err(format!("without a lock nothing is heard at {ear}: it is deaf"));
                }
            }
        }
        Ok(told)
    }
}
