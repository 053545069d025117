//! The lock on a guest's interface: which frames it may send.
//!
//! A lock is a value. What the kernel holds of it is a handful of plain set elements, one for each
//! [`Fact`], in a fixed ruleset; a change of a lock is the difference of two fact lists. The lock
//! itself travels along as the comment of the vif's element in `@guarded`, so that it is read back
//! with one look-up by key, even after the interface has gone.

use crate::error::{Error, ErrorKind, Result};
use crate::mac::MacAddr;
use crate::text::quoted;
use ipnetwork::{IpNetwork, Ipv4Network, Ipv6Network};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// What a guest may send: these MAC addresses, these IP addresses and prefixes, and, if asked,
/// what a DHCP client says. ARP and neighbour discovery are held to the same addresses. All else
/// is dropped and counted.
///
/// ```
/// use xenvnet_core::Antispoof;
/// let lock = Antispoof::new("00:16:3e:00:00:01".parse()?)
///     .ip("10.98.98.2".parse().unwrap())
///     .ip("2001:db8:8::/64".parse().unwrap())
///     .dhcp_client(true);
/// assert_eq!(lock.to_string(), "mac=00:16:3e:00:00:01 ip=10.98.98.2,2001:db8:8::/64 dhcp");
/// assert_eq!(lock.to_string().parse::<Antispoof>()?, lock);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Antispoof {
    /// The MAC addresses of the guest; at least one.
    pub macs: Vec<MacAddr>,
    /// Its IP addresses (`/32` and `/128`) and prefixes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<IpNetwork>,
    /// Whether it may ask a DHCP server for an address.
    #[serde(default)]
    pub dhcp_client: bool,
    /// Whether it may use the IPv6 link-local address that follows from each MAC (EUI-64). One
    /// that does not follow from the MAC is given in `ips` like any other.
    #[serde(default = "yes")]
    pub link_local: bool,
}

fn yes() -> bool {
    true
}

impl Antispoof {
    /// Only this MAC address, no IP address, no DHCP, the link-local address of the MAC.
    ///
    /// ```
    /// let lock = xenvnet_core::Antispoof::new("00:16:3e:00:00:01".parse()?);
    /// assert!(lock.link_local && lock.ips.is_empty());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(mac: MacAddr) -> Antispoof {
        Antispoof { macs: vec![mac], ips: Vec::new(), dhcp_client: false, link_local: true }
    }

    /// One more MAC address.
    ///
    /// ```
    /// # use xenvnet_core::{Antispoof, MacAddr};
    /// let lock = Antispoof::new(MacAddr::new([2, 0, 0, 0, 0, 1])).mac(MacAddr::new([2, 0, 0, 0, 0, 2]));
    /// assert_eq!(lock.macs.len(), 2);
    /// ```
    pub fn mac(mut self, mac: MacAddr) -> Antispoof {
        self.macs.push(mac);
        self
    }

    /// One more IP address or prefix.
    ///
    /// ```
    /// # use xenvnet_core::{Antispoof, MacAddr};
    /// let lock = Antispoof::new(MacAddr::new([2, 0, 0, 0, 0, 1])).ip("10.0.0.2".parse().unwrap());
    /// assert_eq!(lock.ips[0].prefix(), 32);
    /// ```
    pub fn ip(mut self, ip: IpNetwork) -> Antispoof {
        self.ips.push(ip);
        self
    }

    /// With or without the frames of a DHCP client.
    ///
    /// ```
    /// # use xenvnet_core::{Antispoof, MacAddr};
    /// assert!(Antispoof::new(MacAddr::new([2, 0, 0, 0, 0, 1])).dhcp_client(true).dhcp_client);
    /// ```
    pub fn dhcp_client(mut self, allowed: bool) -> Antispoof {
        self.dhcp_client = allowed;
        self
    }

    /// With or without the IPv6 link-local address that follows from the MAC.
    ///
    /// ```
    /// # use xenvnet_core::{Antispoof, MacAddr};
    /// assert!(!Antispoof::new(MacAddr::new([2, 0, 0, 0, 0, 1])).link_local(false).link_local);
    /// ```
    pub fn link_local(mut self, allowed: bool) -> Antispoof {
        self.link_local = allowed;
        self
    }

    /// Whether the values can be meant; every operation asks this first.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] for no MAC, a multicast or zero one, an address that no
    /// guest can have, or a prefix with host bits set (is the address meant, or the prefix?).
    ///
    /// ```
    /// # use xenvnet_core::{Antispoof, MacAddr};
    /// assert!(Antispoof::new(MacAddr::new([1, 0, 0, 0, 0, 1])).validate().is_err());
    /// ```
    pub fn validate(&self) -> Result<()> {
        let refuse = |reason: String| Error::invalid(ErrorKind::InvalidArgument, reason);
        if self.macs.is_empty() {
            return Err(refuse("a lock needs at least one MAC address".to_owned())
                .with_advice("to shut a guest up altogether, disable its interface"));
        }
        for mac in &self.macs {
            if !mac.is_unicast() {
                return Err(refuse(format!("{mac} is no unicast MAC address; no guest can have it"))
                    .with_advice("the second hexadecimal digit of a unicast MAC address is even"));
            }
            if *mac == MacAddr::VIF_BACKEND {
                return Err(refuse(format!("{mac} is the address of dom0's side of every vif")));
            }
        }
        for net in &self.ips {
            let ip = net.ip();
            if net.network() != ip {
                return Err(refuse(format!("{net} has host bits set")).with_advice(format!(
                    "write {ip} for the one address, {}/{} for the prefix",
                    net.network(),
                    net.prefix()
                )));
            }
            let single = net.prefix() == if net.is_ipv4() { 32 } else { 128 };
            let impossible = match ip {
                IpAddr::V4(ip) => {
                    ip.is_multicast() || ip.is_loopback() || (single && (ip.is_unspecified() || ip.is_broadcast()))
                }
                IpAddr::V6(ip) => ip.is_multicast() || (single && (ip.is_loopback() || ip.is_unspecified())),
            };
            if impossible {
                return Err(refuse(format!("{net} is no address that a guest can send from")));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Antispoof {
    /// `mac=… ip=… dhcp no-link-local`: the form of the comment in `nft list ruleset`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "mac={}", list(&self.macs))?;
        if !self.ips.is_empty() {
            let ips = self.ips.iter().map(|net| match net {
                net if is_single(net) => net.ip().to_string(),
                net => net.to_string(),
            });
            write!(f, " ip={}", ips.collect::<Vec<_>>().join(","))?;
        }
        if self.dhcp_client {
            f.write_str(" dhcp")?;
        }
        if !self.link_local {
            f.write_str(" no-link-local")?;
        }
        Ok(())
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(",")
}

fn is_single(net: &IpNetwork) -> bool {
    net.prefix() == if net.is_ipv4() { 32 } else { 128 }
}

impl FromStr for Antispoof {
    type Err = Error;

    fn from_str(text: &str) -> Result<Antispoof> {
        let mut lock = Antispoof { macs: Vec::new(), ips: Vec::new(), dhcp_client: false, link_local: true };
        let mut offset = 0;
        for word in text.split(' ') {
            let wrong =
                |why: String| Error::invalid(ErrorKind::Parse, format!("lock: {why} at byte {offset}")).at(offset);
            match word.split_once('=').map_or((word, ""), |(key, value)| (key, value)) {
                ("mac", macs) => {
                    lock.macs =
                        macs.split(',').map(str::parse).collect::<Result<_>>().map_err(|e| wrong(e.to_string()))?;
                }
                ("ip", ips) => {
                    lock.ips = ips
                        .split(',')
                        .map(|ip| ip.parse().map_err(|_| wrong(format!("{} is no IP address or prefix", quoted(ip)))))
                        .collect::<Result<_>>()?;
                }
                ("dhcp", "") => lock.dhcp_client = true,
                ("no-link-local", "") => lock.link_local = false,
                _ => return Err(wrong(format!("unknown word {}", quoted(word)))),
            }
            offset += word.len() + 1;
        }
        match lock.macs.is_empty() {
            true => Err(Error::invalid(ErrorKind::Parse, "lock: it has no mac=").at(0)),
            false => Ok(lock),
        }
    }
}

/// How an interface is held: to addresses, to nothing at all, or not.
///
/// ```
/// use xenvnet_core::{Antispoof, Lock};
/// let lock = Lock::from(Antispoof::new("00:16:3e:00:00:01".parse()?));
/// assert!(lock.is_guarded());
/// assert!(!Lock::Unlocked.is_guarded());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lock {
    /// Nothing leaves but what the lock names.
    Locked(Antispoof),
    /// Nothing leaves.
    Disabled,
    /// Everything leaves: for a guest that is trusted like dom0 itself.
    Unlocked,
}

impl Lock {
    /// Whether anything is filtered.
    ///
    /// ```
    /// assert!(xenvnet_core::Lock::Disabled.is_guarded());
    /// ```
    pub fn is_guarded(&self) -> bool {
        !matches!(self, Lock::Unlocked)
    }

    /// The MAC addresses that it allows.
    ///
    /// ```
    /// assert!(xenvnet_core::Lock::Disabled.macs().is_empty());
    /// ```
    pub fn macs(&self) -> &[MacAddr] {
        match self {
            Lock::Locked(lock) => &lock.macs,
            Lock::Disabled | Lock::Unlocked => &[],
        }
    }

    /// Whether the values can be meant.
    ///
    /// # Errors
    /// Those of [`Antispoof::validate`].
    ///
    /// ```
    /// assert!(xenvnet_core::Lock::Unlocked.validate().is_ok());
    /// ```
    pub fn validate(&self) -> Result<()> {
        match self {
            Lock::Locked(lock) => lock.validate(),
            Lock::Disabled | Lock::Unlocked => Ok(()),
        }
    }

    /// What the kernel's sets hold of it, in order and without repetition.
    pub(crate) fn facts(&self) -> BTreeSet<Fact> {
        let Lock::Locked(lock) = self else { return BTreeSet::new() };
        let mut facts = BTreeSet::new();
        for mac in lock.macs.iter().copied() {
            facts.insert(Fact::Mac(mac));
            if lock.dhcp_client {
                facts.insert(Fact::Dhcp(mac));
            }
            if lock.link_local {
                facts.insert(Fact::Ip6(mac, mac.link_local()));
            }
            // The kernel takes no range within a range; the wider one says it all.
            let within = |net: &IpNetwork, other: &IpNetwork| other.prefix() < net.prefix() && other.contains(net.ip());
            let ips = lock
                .ips
                .iter()
                .filter(|net| is_single(net) || !lock.ips.iter().any(|other| !is_single(other) && within(net, other)));
            facts.extend(ips.map(|net| match *net {
                IpNetwork::V4(net) if net.prefix() == 32 => Fact::Ip4(mac, net.ip()),
                IpNetwork::V4(net) => Fact::Ip4Net(mac, net),
                IpNetwork::V6(net) if net.prefix() == 128 => Fact::Ip6(mac, net.ip()),
                IpNetwork::V6(net) => Fact::Ip6Net(mac, net),
            }));
        }
        facts
    }

    /// The lock that the kernel's sets amount to, for a lock too long for its comment.
    pub(crate) fn from_facts(facts: &BTreeSet<Fact>) -> Lock {
        let mut lock = Antispoof { macs: Vec::new(), ips: Vec::new(), dhcp_client: false, link_local: false };
        let mut ips = BTreeSet::new();
        let mut macs = facts.iter().filter_map(|fact| match fact {
            Fact::Mac(mac) => Some(mac),
            _ => None,
        });
        let link_local = macs.all(|mac| facts.contains(&Fact::Ip6(*mac, mac.link_local())));
        lock.link_local = link_local;
        for fact in facts {
            match *fact {
                Fact::Mac(mac) => lock.macs.push(mac),
                Fact::Dhcp(_) => lock.dhcp_client = true,
                Fact::Ip6(mac, ip) if link_local && ip == mac.link_local() => {}
                Fact::Ip4(_, ip) => drop(ips.insert(IpNetwork::from(IpAddr::V4(ip)))),
                Fact::Ip4Net(_, net) => drop(ips.insert(IpNetwork::V4(net))),
                Fact::Ip6(_, ip) => drop(ips.insert(IpNetwork::from(IpAddr::V6(ip)))),
                Fact::Ip6Net(_, net) => drop(ips.insert(IpNetwork::V6(net))),
            }
        }
        lock.ips = ips.into_iter().collect();
        if lock.macs.is_empty() { Lock::Disabled } else { Lock::Locked(lock) }
    }
}

impl From<Antispoof> for Lock {
    fn from(antispoof: Antispoof) -> Lock {
        Lock::Locked(antispoof)
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Lock::Locked(lock) => write!(f, "locked {lock}"),
            Lock::Disabled => f.write_str("disabled"),
            Lock::Unlocked => f.write_str("unlocked"),
        }
    }
}

/// One thing that a vif may send: one element of one of the kernel's sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fact {
    Mac(MacAddr),
    Dhcp(MacAddr),
    Ip4(MacAddr, Ipv4Addr),
    Ip4Net(MacAddr, Ipv4Network),
    Ip6(MacAddr, Ipv6Addr),
    Ip6Net(MacAddr, Ipv6Network),
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    fn mac(last: u8) -> MacAddr {
        MacAddr::new([0, 0x16, 0x3e, 0, 0, last])
    }

    #[test]
    fn host_bits_are_asked_about_not_guessed() {
        let lock = Antispoof::new(mac(1)).ip("10.0.0.5/24".parse().unwrap());
        let error = lock.validate().unwrap_err();
        assert_eq!(error.to_string(), "10.0.0.5/24 has host bits set");
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }

    #[test]
    fn a_lock_without_a_mac_address_is_none() {
        for text in ["", "dhcp", "ip=10.0.0.1"] {
            assert!(text.parse::<Antispoof>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_no_guest_can_be_is_refused() {
        for bad in ["0.0.0.0", "255.255.255.255", "224.0.0.1", "127.0.0.1", "::", "::1", "ff02::1"] {
            assert!(Antispoof::new(mac(1)).ip(bad.parse().unwrap()).validate().is_err(), "{bad}");
        }
        for bad in [MacAddr::new([0; 6]), MacAddr::new([0xff; 6]), MacAddr::VIF_BACKEND] {
            assert!(Antispoof::new(bad).validate().is_err(), "{bad}");
        }
        // Everything is a prefix too: an administrator's way to say "any address, but this MAC".
        assert!(Antispoof::new(mac(1)).ip("0.0.0.0/0".parse().unwrap()).validate().is_ok());
    }

    pub(crate) fn locks() -> impl Strategy<Value = Antispoof> {
        let ip4 = (any::<u32>(), 0..=32u8).prop_map(|(a, p)| IpNetwork::new(Ipv4Addr::from(a).into(), p).unwrap());
        let ip6 = (any::<u128>(), 0..=128u8).prop_map(|(a, p)| IpNetwork::new(Ipv6Addr::from(a).into(), p).unwrap());
        let net = prop_oneof![ip4, ip6].prop_map(|net| IpNetwork::new(net.network(), net.prefix()).unwrap());
        (
            proptest::collection::vec(any::<[u8; 6]>().prop_map(MacAddr::new), 1..4),
            proptest::collection::vec(net, 0..6),
            any::<bool>(),
            any::<bool>(),
        )
            .prop_map(|(macs, ips, dhcp_client, link_local)| Antispoof { macs, ips, dhcp_client, link_local })
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(lock in locks()) {
            prop_assert_eq!(lock.to_string().parse::<Antispoof>().unwrap(), lock);
        }

        #[test]
        fn any_comment_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = text.parse::<Antispoof>();
        }

        #[test]
        fn facts_say_all_there_is_to_a_lock(lock in locks()) {
            let facts = Lock::from(lock).facts();
            prop_assert_eq!(Lock::from_facts(&facts).facts(), facts);
        }
    }
}
