//! A host with an uplink, its LAN's gateway, and a host far behind that.

use crate::dom0::Dom0;
use crate::netns::Namespace;
use crate::oracle::{ip, ip_json, sysctl_set};
use crate::ping::answers;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The calling thread's namespace is the host: `eth0` leads to the LAN, where the gateway is, and
/// behind that a network that only routes lead to.
#[derive(Debug)]
pub struct Site {
    /// The host.
    pub dom0: Dom0,
    /// The host's IPv4 address, from which it talks to those far away.
    pub address4: IpAddr,
    /// Its IPv6 address.
    pub address6: IpAddr,
    /// The gateway, on the LAN by its interface `lan0`.
    pub gateway: Namespace,
    /// A host that only the gateway leads to.
    pub far: Namespace,
    /// Who talks with whom: far away, on the LAN, over a second uplink; IPv4, then IPv6.
    pub talks: Vec<Talk>,
}

/// Two addresses, one of the host and one elsewhere.
#[derive(Debug)]
pub struct Talk {
    /// Over what, for people.
    pub name: &'static str,
    /// The host's.
    pub here: IpAddr,
    /// The other one.
    pub there: IpAddr,
    /// Where that is.
    pub with: Namespace,
}

/// The MAC address of the host's uplink, and that of the gateway on the LAN.
pub const UPLINK_MAC: &str = "02:00:00:00:00:10";
const GATEWAY_MAC: &str = "02:00:00:00:00:01";

impl Site {
    /// The gateway's IPv4 address on the LAN.
    pub const GATEWAY4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
    /// Its IPv6 address there; as a router it is `fe80::1`.
    pub const GATEWAY6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
    /// The IPv4 address of the host far away.
    pub const FAR4: IpAddr = IpAddr::V4(Ipv4Addr::new(198, 51, 100, 2));
    /// Its IPv6 address.
    pub const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 2));

    /// A host with one address of each family and a gateway. `None` as for [`Dom0::enter`].
    pub fn plain() -> Option<Site> {
        let site = Site::wired()?;
        ip("addr add 192.0.2.10/24 brd + dev eth0");
        ip("addr add 2001:db8:1::10/64 nodad dev eth0");
        ip("route add default via 192.0.2.1");
        ip("route add default via fe80::1 dev eth0");
        site.settle();
        Some(site)
    }

    /// The same with everything on its uplink that iproute2 can put there.
    pub fn rich() -> Option<Site> {
        let site = Site::wired()?;
        ip("link set eth0 mtu 1400 txqueuelen 500");
        for (object, lines) in RICH {
            for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
                ip(&format!("{object} add {line}"));
            }
        }
        // The gateway knows the way back to what the host says from its other addresses.
        site.gateway.within(|| ip("route add 10.0.0.0/8 via 192.0.2.10"));
        site.settle();
        Some(site)
    }

    /// The same as [`Site::plain`], with a second uplink, `eth1`, on another LAN of the gateway, and
    /// routes that lead over both.
    pub fn two() -> Option<Site> {
        let mut site = Site::plain()?;
        let gateway = site.gateway.path();
        ip(&format!("link add eth1 type veth peer name lan1 netns {gateway}"));
        ip("link set eth1 up");
        site.gateway.within(|| {
            ip("link set lan1 up");
            ip("addr add 203.0.113.1/24 dev lan1");
            ip("addr add 2001:db8:3::1/64 nodad dev lan1");
        });
        ip("addr add 203.0.113.10/24 brd + dev eth1");
        ip("addr add 2001:db8:3::10/64 nodad dev eth1");
        ip("route add default via 203.0.113.1 metric 50 table 200");
        ip("route add 198.18.1.0/24 nexthop via 192.0.2.1 dev eth0 nexthop via 203.0.113.1 dev eth1 weight 2");
        ip("route add 2001:db8:ff:1::/64 nexthop via 2001:db8:1::1 dev eth0 nexthop via 2001:db8:3::1 dev eth1");
        ip("nexthop add id 1 via 192.0.2.1 dev eth0");
        ip("nexthop add id 2 via 203.0.113.1 dev eth1");
        ip("nexthop add id 10 group 1/2");
        ip("route add 198.18.2.0/24 nhid 10");
        ip("rule add from 203.0.113.10 lookup 200 pref 100");
        ip("rule add iif eth0 oif eth1 prohibit pref 101");
        ip("-6 rule add iif eth0 oif eth1 prohibit pref 101");
        for (name, here, there) in
            [("IPv4 by eth1", "203.0.113.10", "203.0.113.1"), ("IPv6 by eth1", "2001:db8:3::10", "2001:db8:3::1")]
        {
            let [here, there] = [here, there].map(|address| address.parse().expect("an address"));
            site.talks.push(Talk { name, here, there, with: site.gateway.clone() });
        }
        site.settle();
        Some(site)
    }

    /// The cables and the far side; the host has nothing on its uplink yet but what the kernel puts
    /// there.
    fn wired() -> Option<Site> {
        let dom0 = Dom0::enter()?;
        let (gateway, far) = (Namespace::new(), Namespace::new());
        let mac = UPLINK_MAC;
        let peer = format!("peer name lan0 address {GATEWAY_MAC} netns {}", gateway.path());
        ip(&format!("link add eth0 address {mac} type veth {peer}"));
        ip("link set eth0 up");
        let far_end = format!("peer name eth0 netns {}", far.path());
        gateway.within(|| {
            ip("link set lo up");
            ip(&format!("link add wan0 type veth {far_end}"));
            for interface in ["lan0", "wan0"] {
                ip(&format!("link set {interface} addrgenmode none up"));
            }
            sysctl_set("ipv4/ip_forward", "1");
            sysctl_set("ipv6/conf/all/forwarding", "1");
            for address in ["192.0.2.1/24 dev lan0", "192.0.2.9/24 dev lan0", "198.51.100.1/24 dev wan0"] {
                ip(&format!("addr add {address}"));
            }
            for (interface, address) in [("lan0", "2001:db8:1::1/64"), ("wan0", "2001:db8:2::1/64")] {
                ip(&format!("addr add {address} nodad dev {interface}"));
                // Without one of these a router asks for nobody.
                ip(&format!("addr add fe80::1/64 nodad dev {interface}"));
            }
        });
        far.within(|| {
            ip("link set lo up");
            ip("link set eth0 addrgenmode none up");
            ip("addr add 198.51.100.2/24 dev eth0");
            ip("addr add 2001:db8:2::2/64 dev eth0 nodad");
            ip("route add default via 198.51.100.1");
            ip("route add default via 2001:db8:2::1");
        });
        let (address4, address6) = ("192.0.2.10", "2001:db8:1::10");
        let [address4, address6] = [address4, address6].map(|address| address.parse().expect("an address"));
        let talks = [
            ("IPv4", address4, Site::FAR4, &far),
            ("IPv6", address6, Site::FAR6, &far),
            ("IPv4 on the LAN", address4, Site::GATEWAY4, &gateway),
            ("IPv6 on the LAN", address6, Site::GATEWAY6, &gateway),
        ];
        let talks = talks.map(|(name, here, there, with)| Talk { name, here, there, with: with.clone() }).into();
        Some(Site { dom0, address4, address6, gateway, far, talks })
    }

    /// Waits until the kernel has added what it adds by itself when a carrier comes.
    fn settle(&self) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let is_settled = || {
            let links = ip_json("addr show up");
            let mut links = links.as_array().into_iter().flatten().filter(|link| link["ifname"] != "lo");
            links.all(|link| {
                let addresses = link["addr_info"].as_array().cloned().unwrap_or_default();
                let own = addresses.iter().any(|it| it["scope"] == "link" && it["family"] == "inet6");
                link["operstate"] == "UP" && own && addresses.iter().all(|it| it["tentative"].is_null())
            })
        };
        while !is_settled() {
            assert!(Instant::now() < deadline, "the uplink never settles: {}", ip("addr show"));
        }
        // And until they have found each other: what they learn of their neighbours stays.
        for Talk { here, there, with, .. } in &self.talks {
            assert!(answers(&self.dom0.namespace(), *there), "{there} does not answer");
            assert!(answers(with, *here), "{here} does not answer");
        }
    }
}

/// What is on the uplink of a [`Site::rich`] host, in the words of ip(8) after `add`.
const RICH: [(&str, &str); 7] = [
    (
        "address",
        "192.0.2.10/24 brd + dev eth0
         192.0.2.11/24 brd + label eth0:web dev eth0
         192.0.2.12/32 scope link dev eth0
         203.0.113.10 peer 203.0.113.1/32 dev eth0
         10.9.0.1/24 metric 300 dev eth0
         10.9.0.2/24 metric 300 dev eth0
         10.8.0.1/32 scope host dev eth0
         10.7.0.1/24 broadcast 10.7.0.127 dev eth0
         10.6.0.1/24 valid_lft 3600 preferred_lft 1800 noprefixroute dev eth0
         10.5.0.1/24 valid_lft 7200 preferred_lft 3600 dev eth0
         2001:db8:1::11/64 nodad preferred_lft 0 dev eth0
         2001:db8:1::12/128 nodad home dev eth0
         2001:db8:5::10 peer 2001:db8:5::1/128 nodad dev eth0
         fe80::10/64 nodad dev eth0
         2001:db8:6::10/64 nodad valid_lft 3600 preferred_lft 1800 dev eth0
         2001:db8:7::10/64 nodad noprefixroute dev eth0
         2001:db8:8::10/64 nodad metric 300 dev eth0
         2001:db8:9::10/64 nodad mngtmpaddr dev eth0
         2001:db8:1::10/64 nodad dev eth0",
    ),
    (
        "nexthop",
        "id 1 via 192.0.2.1 dev eth0
         id 2 via 192.0.2.9 dev eth0 proto static
         id 3 blackhole
         id 4 via fe80::1 dev eth0
         id 5 dev eth0
         id 6 via 10.200.0.1 dev eth0 onlink
         id 10 group 1/2,3
         id 11 group 1/2 type resilient buckets 32",
    ),
    (
        "-4 route",
        "default via 192.0.2.1 metric 100 proto dhcp src 192.0.2.10
         default via 192.0.2.9 metric 200 mtu 1300 advmss 1260
         198.18.0.0/24 via 192.0.2.1 src 192.0.2.11 mtu lock 1300 initcwnd 20 rto_min 50ms quickack 1 features ecn realm 7
         198.18.1.0/24 nexthop via 192.0.2.1 nexthop via 192.0.2.9 weight 3
         198.18.2.0/24 via 10.200.0.1 dev eth0 onlink
         198.18.3.0/24 dev eth0 scope link
         blackhole 198.18.4.0/24
         unreachable 198.18.5.0/24
         198.18.6.0/24 tos 0x10 via 192.0.2.1
         198.18.7.0/24 nhid 10
         198.18.8.0/24 nhid 1
         198.18.9.0/24 via inet6 fe80::1 dev eth0
         198.18.11.0/24 congctl lock reno via 192.0.2.1
         198.18.12.0/24 nhid 11
         multicast 224.5.0.0/16 dev eth0
         default via 192.0.2.1 dev eth0 table 100
         local 198.18.10.0/24 dev eth0 table 100
         throw 198.18.6.0/24 table 100
         prohibit 198.18.13.0/24 table 100",
    ),
    (
        "-6 route",
        "default via fe80::1 dev eth0 metric 1024 proto ra expires 1800 pref high
         2001:db8:ff:1::/64 via 2001:db8:1::1 metric 50 mtu 1300 src 2001:db8:1::10
         2001:db8:ff:2::/64 nexthop via 2001:db8:1::1 weight 2 nexthop via fe80::1 dev eth0
         blackhole 2001:db8:ff:4::/64
         2001:db8:ff:6::/64 from 2001:db8:1::/64 via 2001:db8:1::1
         2001:db8:ff:7::/64 nhid 4
         2001:db8:ff:8::/64 via 2001:db8:77::1 dev eth0 onlink
         2001:db8:ff:9::/64 dev eth0
         local 2001:db8:ff:a::/64 dev eth0
         default via fe80::1 dev eth0 table 100
         unreachable default metric 4294967295",
    ),
    (
        "rule",
        "from 192.0.2.11 lookup 100 pref 100
         iif eth0 fwmark 7/15 lookup 100 pref 101
         oif eth0 to 198.18.99.0/24 lookup 100 pref 102
         iif eth0 ipproto tcp dport 80 lookup 100 suppress_prefixlength 0 pref 103
         not iif eth0 tos 0x10 goto 32766 pref 104
         iif eth0 oif eth0 prohibit pref 105",
    ),
    (
        "-6 rule",
        "from 2001:db8:1::11 iif eth0 lookup 100 pref 101
         to 2001:db8:ff:9::/64 oif eth0 lookup 100 pref 102",
    ),
    (
        "neighbour",
        "192.0.2.2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent
         192.0.2.3 lladdr 02:00:00:00:00:03 dev eth0 nud noarp
         192.0.2.4 lladdr 02:00:00:00:00:04 dev eth0 nud reachable
         192.0.2.5 lladdr 02:00:00:00:00:05 dev eth0 nud reachable extern_learn
         2001:db8:1::2 lladdr 02:00:00:00:00:02 dev eth0 nud permanent router
         2001:db8:1::4 lladdr 02:00:00:00:00:04 dev eth0 nud reachable
         proxy 192.0.2.77 dev eth0
         proxy 2001:db8:1::77 dev eth0",
    ),
];
