//! MAC addresses of guests and bridges, and how they are made.

use crate::error::{Error, ErrorKind, Result};
use crate::text::quoted;
use macaddr::MacAddr6;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An Ethernet address of six octets.
///
/// Written with colons in lower case; read with colons, hyphens, dots (`0016.3e00.0001`) or
/// nothing between the digits.
///
/// ```
/// use xenvnet_core::MacAddr;
/// let mac: MacAddr = "00:16:3E:00:00:01".parse()?;
/// assert_eq!(mac.to_string(), "00:16:3e:00:00:01");
/// assert!(mac.is_unicast());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacAddr([u8; 6]);

impl MacAddr {
    /// The address of dom0's side of every vif: the largest unicast address, so that a bridge
    /// never takes it for its own (bridges adopt the lowest address of their ports).
    ///
    /// ```
    /// assert_eq!(xenvnet_core::MacAddr::VIF_BACKEND.to_string(), "fe:ff:ff:ff:ff:ff");
    /// ```
    pub const VIF_BACKEND: MacAddr = MacAddr([0xfe, 0xff, 0xff, 0xff, 0xff, 0xff]);

    /// The organisation's prefix that the IEEE gave to Xen.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::MacAddr::XEN_OUI, [0x00, 0x16, 0x3e]);
    /// ```
    pub const XEN_OUI: [u8; 3] = [0x00, 0x16, 0x3e];

    /// The address of these octets.
    ///
    /// ```
    /// use xenvnet_core::MacAddr;
    /// assert_eq!(MacAddr::new([2, 0, 0, 0, 0, 1]).to_string(), "02:00:00:00:00:01");
    /// ```
    pub const fn new(octets: [u8; 6]) -> MacAddr {
        MacAddr(octets)
    }

    /// The six octets in the order they travel.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::MacAddr::VIF_BACKEND.octets()[0], 0xfe);
    /// ```
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }

    /// Whether it names one station: the lowest bit of the first octet is 0 (IEEE 802-2014, 8.2)
    /// and it is not all zeros.
    ///
    /// ```
    /// assert!(!xenvnet_core::MacAddr::new([0xff; 6]).is_unicast());
    /// ```
    pub fn is_unicast(self) -> bool {
        MacAddr6::from(self.0).is_unicast() && self.0 != [0; 6]
    }

    /// Whether it was assigned by an administrator, not by a manufacturer: the second lowest bit
    /// of the first octet is 1 (IEEE 802-2014, 8.2).
    ///
    /// ```
    /// assert!(xenvnet_core::MacAddr::VIF_BACKEND.is_local());
    /// ```
    pub fn is_local(self) -> bool {
        MacAddr6::from(self.0).is_local()
    }

    /// A locally administered address made from an IP address: the same one for the same IP
    /// address, always, on every host and in every version of this library.
    ///
    /// From IPv4 it is the prefix and the four octets of the address, so [`MacAddr::ipv4`] reads
    /// the address back. From IPv6 it is the prefix and the CRC-32 (ISO-HDLC, the one of zlib and
    /// PNG) of the sixteen octets, most significant byte first: addresses that share their first
    /// 96 bits never get the same MAC.
    ///
    /// ```
    /// use xenvnet_core::{MacAddr, MacPrefix};
    /// let mac = MacAddr::from_ip("10.98.98.2".parse().unwrap(), MacPrefix::default());
    /// assert_eq!(mac.to_string(), "2e:00:0a:62:62:02");
    /// assert_eq!(mac.ipv4().unwrap().to_string(), "10.98.98.2");
    /// ```
    pub fn from_ip(ip: IpAddr, prefix: MacPrefix) -> MacAddr {
        let tail = match ip {
            IpAddr::V4(ip) => ip.octets(),
            IpAddr::V6(ip) => crc32(&ip.octets()).to_be_bytes(),
        };
        MacAddr([prefix.0[0], prefix.0[1], tail[0], tail[1], tail[2], tail[3]])
    }

    /// The IPv4 address that [`MacAddr::from_ip`] made this address from, if it is locally
    /// administered. Whether it *was* made so cannot be seen from the octets.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::MacAddr::new([0, 0x16, 0x3e, 1, 2, 3]).ipv4(), None);
    /// ```
    pub fn ipv4(self) -> Option<Ipv4Addr> {
        let [_, _, a, b, c, d] = self.0;
        (self.is_local() && self.is_unicast()).then(|| Ipv4Addr::new(a, b, c, d))
    }

    /// A random address under Xen's prefix `00:16:3e`, drawn over all 24 bits.
    ///
    /// Among 1,000 guests drawn so, two have the same address with a chance of about 3 %.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the system gives no random octets.
    ///
    /// ```
    /// let mac = xenvnet_core::MacAddr::random_xen()?;
    /// assert_eq!(mac.octets()[..3], xenvnet_core::MacAddr::XEN_OUI);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn random_xen() -> Result<MacAddr> {
        let [a, b, c] = Self::XEN_OUI;
        let [d, e, f] = random_octets()?;
        Ok(MacAddr([a, b, c, d, e, f]))
    }

    /// The IPv6 link-local address that a station of this MAC gives itself by default
    /// (modified EUI-64, RFC 4291 appendix A).
    ///
    /// ```
    /// let mac: xenvnet_core::MacAddr = "00:16:3e:00:00:01".parse()?;
    /// assert_eq!(mac.link_local().to_string(), "fe80::216:3eff:fe00:1");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    #[doc(alias = "EUI-64")]
    pub fn link_local(self) -> Ipv6Addr {
        let [a, b, c, d, e, f] = self.0;
        Ipv6Addr::from([0xfe, 0x80, 0, 0, 0, 0, 0, 0, a ^ 2, b, c, 0xff, 0xfe, d, e, f])
    }

    /// The address that a bridge of this name keeps on this host: the prefix `2e:62` and the
    /// CRC-32 of the host's identity and the name.
    pub(crate) fn of_bridge(name: &str, seed: BridgeSeed) -> MacAddr {
        let [a, b, c, d] = (!crc32_over(seed.0, name.as_bytes())).to_be_bytes();
        MacAddr([0x2e, 0x62, a, b, c, d])
    }
}

pub(crate) fn random_octets<const N: usize>() -> Result<[u8; N]> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets)
        .map_err(|e| Error::cannot(ErrorKind::Unsupported, "draw a random MAC address", e.to_string()))?;
    Ok(octets)
}

/// What makes the addresses of one host's bridges differ from those of another's: a checksum of
/// what the host is known by, from which that cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BridgeSeed(u32);

impl BridgeSeed {
    pub(crate) fn of(identity: &[u8]) -> BridgeSeed {
        BridgeSeed(crc32_over(!0, identity))
    }
}

impl Default for BridgeSeed {
    fn default() -> BridgeSeed {
        BridgeSeed::of(&[])
    }
}

/// CRC-32/ISO-HDLC, the one of zlib.
pub(crate) fn crc32(octets: &[u8]) -> u32 {
    !crc32_over(!0, octets)
}

/// Its register after some more octets.
fn crc32_over(register: u32, octets: &[u8]) -> u32 {
    octets.iter().fold(register, |crc, octet| (crc >> 8) ^ CRC32[(crc as u8 ^ octet) as usize])
}

/// What each octet does to the register.
const CRC32: [u32; 256] = {
    let mut table = [0; 256];
    let mut octet = 0;
    while octet < 256 {
        let mut crc = octet as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            bit += 1;
        }
        table[octet] = crc;
        octet += 1;
    }
    table
};

/// Reads `count` octets of hexadecimal with any of `:`, `-`, `.` between them.
fn parse_octets<const N: usize>(text: &str, noun: &str) -> Result<[u8; N]> {
    let wrong = |offset: usize, why: String| {
        Err(Error::invalid(ErrorKind::Parse, format!("{noun} {} {why}", quoted(text))).at(offset))
    };
    let mut digits = Vec::with_capacity(2 * N);
    let mut since_separator = 0;
    for (offset, c) in text.char_indices() {
        match c.to_digit(16) {
            Some(digit) => {
                digits.push(digit as u8);
                since_separator += 1;
            }
            // A separator stands between whole octets, never first, last or twice.
            None if matches!(c, ':' | '-' | '.') && since_separator > 0 && since_separator % 2 == 0 => {
                since_separator = 0;
            }
            None => return wrong(offset, format!("has {c:?} at byte {offset}, where two hexadecimal digits belong")),
        }
    }
    if digits.len() != 2 * N || text.ends_with([':', '-', '.']) {
        return wrong(text.len(), format!("has {} hexadecimal digits, {} are wanted", digits.len(), 2 * N));
    }
    let mut octets = [0; N];
    for (octet, pair) in octets.iter_mut().zip(digits.chunks_exact(2)) {
        *octet = pair[0] << 4 | pair[1];
    }
    Ok(octets)
}

impl FromStr for MacAddr {
    type Err = Error;

    fn from_str(text: &str) -> Result<MacAddr> {
        parse_octets(text, "MAC address").map(MacAddr)
    }
}

impl TryFrom<String> for MacAddr {
    type Error = Error;

    fn try_from(text: String) -> Result<MacAddr> {
        text.parse()
    }
}

impl From<MacAddr> for String {
    fn from(mac: MacAddr) -> String {
        mac.to_string()
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        f.pad(&format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"))
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MacAddr({self})")
    }
}

/// The first two octets of a MAC address that an administrator assigns: locally administered and
/// unicast, that is, the second hexadecimal digit is 2, 6, a or e.
///
/// ```
/// use xenvnet_core::MacPrefix;
/// assert_eq!("2e:00".parse::<MacPrefix>()?, MacPrefix::default());
/// assert!("00:16".parse::<MacPrefix>().is_err());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MacPrefix([u8; 2]);

impl MacPrefix {
    /// Checks a prefix.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is not locally administered or is multicast.
    ///
    /// ```
    /// assert!(xenvnet_core::MacPrefix::new([0x02, 0xff]).is_ok());
    /// assert!(xenvnet_core::MacPrefix::new([0x03, 0xff]).is_err());
    /// ```
    pub fn new(octets: [u8; 2]) -> Result<MacPrefix> {
        let prefix = MacPrefix(octets);
        let why = match octets[0] & 3 {
            2 => return Ok(prefix),
            0 => "is a manufacturer's",
            _ => "is for multicast",
        };
        Err(Error::invalid(ErrorKind::InvalidArgument, format!("MAC prefix {prefix} {why}"))
            .with_advice("the second hexadecimal digit of a locally administered unicast prefix is 2, 6, a or e"))
    }

    /// The two octets.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::MacPrefix::default().octets(), [0x2e, 0x00]);
    /// ```
    pub const fn octets(self) -> [u8; 2] {
        self.0
    }
}

impl Default for MacPrefix {
    /// `2e:00`: locally administered, unicast, top bit zero.
    fn default() -> MacPrefix {
        MacPrefix([0x2e, 0x00])
    }
}

impl FromStr for MacPrefix {
    type Err = Error;

    fn from_str(text: &str) -> Result<MacPrefix> {
        parse_octets(text, "MAC prefix").and_then(MacPrefix::new)
    }
}

impl TryFrom<String> for MacPrefix {
    type Error = Error;

    fn try_from(text: String) -> Result<MacPrefix> {
        text.parse()
    }
}

impl From<MacPrefix> for String {
    fn from(prefix: MacPrefix) -> String {
        prefix.to_string()
    }
}

impl fmt::Display for MacPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:02x}:{:02x}", self.0[0], self.0[1]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// One line each of the published vectors: `IP PREFIX MAC`.
    const VECTORS: &str = include_str!("../../tests/data/mac-from-ip.txt");

    #[test]
    fn from_ip_follows_its_published_vectors() {
        let mut seen = 0;
        for line in VECTORS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let [ip, prefix, mac] = line.split_whitespace().collect::<Vec<_>>()[..] else { panic!("{line}") };
            let made = MacAddr::from_ip(ip.parse().unwrap(), prefix.parse().unwrap());
            assert_eq!(made.to_string(), mac, "{ip}");
            assert!(made.is_local() && made.is_unicast());
            seen += 1;
        }
        assert!(seen >= 12);
    }

    #[test]
    fn separators_stand_between_octets() {
        for text in ["00:16:3e:00:00:01", "00-16-3E-00-00-01", "0016.3e00.0001", "00163e000001"] {
            assert_eq!(text.parse::<MacAddr>().unwrap(), MacAddr::new([0, 0x16, 0x3e, 0, 0, 1]), "{text}");
        }
        for text in [
            "",
            ":00163e000001",
            "00163e000001:",
            "00::163e000001",
            "0:16:3e:00:00:01",
            "00:16:3e:00:00",
            "00:16:3e:00:00:01:02",
            "00 16 3e 00 00 01",
            "0x163e000001",
        ] {
            let error = text.parse::<MacAddr>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Parse, "{text}");
            assert!(error.offset().is_some());
        }
    }

    #[test]
    fn bridges_keep_their_address_and_differ_from_each_other() {
        let a = MacAddr::of_bridge("xenbr0", BridgeSeed::of(b"host"));
        assert_eq!(a, MacAddr::of_bridge("xenbr0", BridgeSeed::of(b"host")));
        assert_ne!(a, MacAddr::of_bridge("xenbr1", BridgeSeed::of(b"host")));
        assert_ne!(a, MacAddr::of_bridge("xenbr0", BridgeSeed::of(b"other")));
        assert!(a.is_local() && a.is_unicast());
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(octets: [u8; 6]) {
            let mac = MacAddr::new(octets);
            prop_assert_eq!(mac.to_string().parse::<MacAddr>().unwrap(), mac);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,30}") {
            let _ = text.parse::<MacAddr>();
            let _ = text.parse::<MacPrefix>();
        }

        #[test]
        fn ipv4_is_reversible(octets: [u8; 4]) {
            let ip = Ipv4Addr::from(octets);
            prop_assert_eq!(MacAddr::from_ip(ip.into(), MacPrefix::default()).ipv4(), Some(ip));
        }

        #[test]
        fn neighbours_in_a_96_never_collide(a: u32, b: u32) {
            prop_assume!(a != b);
            let at = |low: u32| IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(low)));
            prop_assert_ne!(
                MacAddr::from_ip(at(a), MacPrefix::default()),
                MacAddr::from_ip(at(b), MacPrefix::default())
            );
        }
    }
}
