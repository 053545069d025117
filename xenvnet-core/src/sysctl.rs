//! Kernel settings below `/proc/sys/net`: which there are, and the files in the namespace in which
//! the directory was opened.

use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::text::quoted;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::str::FromStr;

/// A setting under `/proc/sys/net` that a network turns on, or that a bridge takes over from its
/// uplink.
///
/// ```
/// use xenvnet_core::{LinkSysctl, Sysctl};
/// assert_eq!(Sysctl::Ip4Forward.to_string(), "net.ipv4.ip_forward");
/// let proxy_arp = Sysctl::Link("eth0".parse()?, LinkSysctl::PROXY_ARP);
/// assert_eq!(proxy_arp.to_string(), "net.ipv4.conf.eth0.proxy_arp");
/// assert_eq!("net.ipv4.conf.eth0.proxy_arp".parse::<Sysctl>()?, proxy_arp);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Sysctl {
    /// Whether IPv4 packets are forwarded between interfaces.
    Ip4Forward,
    /// Whether IPv6 packets are forwarded between interfaces.
    Ip6Forward,
    /// A setting of one interface.
    Link(IfName, LinkSysctl),
}

/// A setting that each interface has of its own
/// (Documentation/networking/ip-sysctl, `conf/<interface>/`).
///
/// ```
/// assert_eq!(xenvnet_core::LinkSysctl::PROXY_NDP.to_string(), "ipv6 proxy_ndp");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkSysctl {
    family: &'static str,
    name: &'static str,
}

const fn of(family: &'static str, name: &'static str) -> LinkSysctl {
    LinkSysctl { family, name }
}

impl LinkSysctl {
    /// Whether dom0 answers ARP requests for addresses that it routes elsewhere.
    pub const PROXY_ARP: LinkSysctl = of("ipv4", "proxy_arp");
    /// Whether dom0 answers for the IPv6 addresses that it was told to (`ip -6 neigh add proxy`).
    pub const PROXY_NDP: LinkSysctl = of("ipv6", "proxy_ndp");
    /// Whether router advertisements are taken: 0 never, 1 unless IPv6 is forwarded, 2 always.
    pub const ACCEPT_RA: LinkSysctl = of("ipv6", "accept_ra");
    /// Whether packets are taken only from where an answer would go: 0 not, 1 strictly, 2 loosely.
    pub const RP_FILTER: LinkSysctl = of("ipv4", "rp_filter");
    /// How the link-local address is made: 0 from the MAC address, 1 not at all.
    pub const ADDR_GEN_MODE: LinkSysctl = of("ipv6", "addr_gen_mode");

    /// What a bridge takes over from its uplink, where it differs from what a new interface has:
    /// how packets are checked, what is answered, what is believed of routers.
    pub(crate) const INHERITED: [LinkSysctl; 33] = [
        of("ipv4", "accept_local"),
        of("ipv4", "accept_redirects"),
        of("ipv4", "accept_source_route"),
        of("ipv4", "arp_accept"),
        of("ipv4", "arp_announce"),
        of("ipv4", "arp_filter"),
        of("ipv4", "arp_ignore"),
        of("ipv4", "arp_notify"),
        of("ipv4", "forwarding"),
        of("ipv4", "ignore_routes_with_linkdown"),
        of("ipv4", "log_martians"),
        of("ipv4", "promote_secondaries"),
        LinkSysctl::PROXY_ARP,
        of("ipv4", "proxy_arp_pvlan"),
        of("ipv4", "route_localnet"),
        LinkSysctl::RP_FILTER,
        of("ipv4", "secure_redirects"),
        of("ipv4", "send_redirects"),
        of("ipv4", "src_valid_mark"),
        of("ipv6", "accept_dad"),
        LinkSysctl::ACCEPT_RA,
        of("ipv6", "accept_ra_defrtr"),
        of("ipv6", "accept_ra_mtu"),
        of("ipv6", "accept_ra_pinfo"),
        of("ipv6", "accept_ra_rt_info_max_plen"),
        of("ipv6", "accept_ra_rtr_pref"),
        of("ipv6", "accept_redirects"),
        of("ipv6", "autoconf"),
        of("ipv6", "dad_transmits"),
        of("ipv6", "disable_ipv6"),
        of("ipv6", "forwarding"),
        of("ipv6", "keep_addr_on_down"),
        LinkSysctl::PROXY_NDP,
    ];
}

impl fmt::Display for LinkSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.family, self.name)
    }
}

impl fmt::Debug for LinkSysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LinkSysctl({self})")
    }
}

impl Sysctl {
    /// Those of the whole host.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Sysctl::ALL.len(), 2);
    /// ```
    pub const ALL: [Sysctl; 2] = [Sysctl::Ip4Forward, Sysctl::Ip6Forward];

    /// The setting that lets a family's packets through.
    pub(crate) fn forward(ipv4: bool) -> Sysctl {
        if ipv4 { Sysctl::Ip4Forward } else { Sysctl::Ip6Forward }
    }

    /// Its file below `/proc/sys/net`.
    fn path(self) -> String {
        match self {
            Sysctl::Ip4Forward => "ipv4/ip_forward".to_owned(),
            Sysctl::Ip6Forward => "ipv6/conf/all/forwarding".to_owned(),
            Sysctl::Link(link, LinkSysctl { family, name }) => format!("{family}/conf/{link}/{name}"),
        }
    }

    /// The same setting, where it is that of an interface that changes its name.
    pub(crate) fn renamed(self, from: IfName, to: IfName) -> Sysctl {
        match self {
            Sysctl::Link(link, setting) if link == from => Sysctl::Link(to, setting),
            other => other,
        }
    }

    /// As a record in the kernel has it: short.
    pub(crate) fn word(self) -> String {
        match self {
            Sysctl::Ip4Forward => "ip4_forward".to_owned(),
            Sysctl::Ip6Forward => "ip6_forward".to_owned(),
            link => link.to_string(),
        }
    }
}

impl fmt::Display for Sysctl {
    /// As sysctl(8) names it. A dot in an interface's name is shown as it is.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "net.{}", self.path().replace('/', "."))
    }
}

impl FromStr for Sysctl {
    type Err = Error;

    /// Reads what [`Display`](fmt::Display) writes, `ip4_forward` and `ip6_forward`.
    fn from_str(text: &str) -> Result<Sysctl> {
        let known = Sysctl::ALL.into_iter().find(|sysctl| text == sysctl.word() || text == sysctl.to_string());
        let of_link = || {
            let (family, rest) = text.strip_prefix("net.")?.split_once(".conf.")?;
            let (link, name) = rest.rsplit_once('.')?;
            let mut all = LinkSysctl::INHERITED.into_iter().chain([LinkSysctl::ADDR_GEN_MODE]);
            let setting = all.find(|setting| setting.family == family && setting.name == name)?;
            Some(Sysctl::Link(link.parse().ok()?, setting))
        };
        known.or_else(of_link).ok_or_else(|| {
            Error::invalid(ErrorKind::Parse, format!("{} is no kernel setting that is known here", quoted(text))).at(0)
        })
    }
}

impl TryFrom<String> for Sysctl {
    type Error = Error;

    fn try_from(text: String) -> Result<Sysctl> {
        text.parse()
    }
}

impl From<Sysctl> for String {
    /// In JSON, the two of the whole host have the short names that they always had.
    fn from(sysctl: Sysctl) -> String {
        sysctl.word()
    }
}

/// Descriptors of the two directories. Unlike their paths they keep the namespace that they were
/// opened in; one of `/proc/sys/net` itself would not: what lies below it is looked up anew by
/// whoever asks.
#[derive(Debug)]
pub(crate) struct Sysctls {
    ipv4: OwnedFd,
    /// `None` on a kernel without IPv6.
    ipv6: Option<OwnedFd>,
}

impl Sysctls {
    pub(crate) fn open() -> io::Result<Sysctls> {
        let directory = |path: &str| {
            let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            open(path, flags, Mode::empty())
        };
        Ok(Sysctls { ipv4: directory("/proc/sys/net/ipv4")?, ipv6: directory("/proc/sys/net/ipv6").ok() })
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.ipv6.is_some()
    }

    fn file(&self, sysctl: Sysctl, flags: OFlag) -> io::Result<File> {
        let path = sysctl.path();
        let (family, path) = path.split_once('/').unwrap_or_default();
        let directory = match family {
            "ipv4" => &self.ipv4,
            _ => self.ipv6.as_ref().ok_or(io::ErrorKind::NotFound)?,
        };
        Ok(File::from(openat(directory, path, flags | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    pub(crate) fn read(&self, sysctl: Sysctl) -> io::Result<u32> {
        let mut text = String::new();
        self.file(sysctl, OFlag::O_RDONLY)?.read_to_string(&mut text)?;
        text.trim().parse().map_err(|_| io::Error::other(format!("{} is no number", quoted(text.trim()))))
    }

    pub(crate) fn write(&self, sysctl: Sysctl, value: u32) -> io::Result<()> {
        self.file(sysctl, OFlag::O_WRONLY)?.write_all(value.to_string().as_bytes())
    }

    /// All of these that can be read.
    pub(crate) fn read_all(&self, sysctls: impl IntoIterator<Item = Sysctl>) -> BTreeMap<Sysctl, u32> {
        sysctls.into_iter().filter_map(|sysctl| Some((sysctl, self.read(sysctl).ok()?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_may_have_dots_in_its_name() {
        let sysctl = Sysctl::Link("eth0.100".parse().unwrap(), LinkSysctl::ACCEPT_RA);
        assert_eq!(sysctl.to_string(), "net.ipv6.conf.eth0.100.accept_ra");
        assert_eq!(sysctl.to_string().parse::<Sysctl>().unwrap(), sysctl);
        assert_eq!("ip4_forward".parse::<Sysctl>().unwrap(), Sysctl::Ip4Forward);
        for text in ["", "net.", "net.ipv4.conf.eth0", "net.ipv4.conf.a/b.proxy_arp", "net.ipv4.conf.eth0.proxy_ndp"] {
            assert!(text.parse::<Sysctl>().is_err(), "{text}");
        }
    }
}
