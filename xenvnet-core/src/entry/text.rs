//! Entries as ip(8) would show them.

use super::{Attribute, Entry, EntryKind, NDA_LLADDR, NHA_ID};
use crate::mac::MacAddr;
use nix::libc;
use std::fmt;

impl fmt::Display for EntryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            EntryKind::Address => "address",
            EntryKind::Route => "route",
            EntryKind::Rule => "rule",
            EntryKind::Nexthop => "nexthop",
            EntryKind::Neighbour => "neighbour",
        })
    }
}

// linux/fib_rules.h
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
pub(crate) const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_TABLE: u16 = 15;
pub(crate) const FRA_OIFNAME: u16 = 17;

impl Entry {
    fn describe(&self) -> Vec<String> {
        let mut words = Vec::new();
        let ip = |kind: u16| self.ip(kind).map(|ip| ip.to_string());
        match self.kind {
            EntryKind::Address => {
                words.extend(self.address().map(|address| address.to_string()));
                words.extend(
                    self.peer()
                        .filter(|peer| Some(*peer) != self.address().map(|a| a.ip()))
                        .map(|p| format!("peer {p}")),
                );
                words.extend(ip(libc::IFA_BROADCAST).map(|ip| format!("brd {ip}")));
                words.extend(self.label().map(|label| format!("label {label}")));
            }
            EntryKind::Route => {
                if let Some(kind) = route_type(self.header_octet(7)) {
                    words.push(kind.to_owned());
                }
                let destination = self.destination();
                words.extend(
                    destination.map(|net| if net.prefix() == 0 { "default".to_owned() } else { net.to_string() }),
                );
                words.extend(ip(libc::RTA_GATEWAY).map(|ip| format!("via {ip}")));
                words.extend(ip(libc::RTA_PREFSRC).map(|ip| format!("src {ip}")));
                for (_, value) in &self.attributes {
                    if let Attribute::Hops(hops) = value {
                        words.push(format!("over {} paths", hops.len()));
                    }
                }
                words.extend((self.metric() != 0).then(|| format!("metric {}", self.metric())));
                let main = u32::from(libc::RT_TABLE_MAIN);
                words.extend((self.table() != main).then(|| format!("table {}", self.table())));
            }
            EntryKind::Rule => {
                words.extend(self.number(FRA_PRIORITY).map(|priority| format!("{priority}:")));
                words.push(format!("from {}", ip(FRA_SRC).unwrap_or_else(|| "all".to_owned())));
                words.extend(ip(FRA_DST).map(|ip| format!("to {ip}")));
                words.extend(self.number(FRA_FWMARK).map(|mark| format!("fwmark {mark:#x}")));
                for (kind, value) in &self.attributes {
                    match (*kind, value) {
                        (FRA_IIFNAME, Attribute::Name(link)) => words.push(format!("iif {link}")),
                        (FRA_OIFNAME, Attribute::Name(link)) => words.push(format!("oif {link}")),
                        _ => {}
                    }
                }
                words.extend(self.number(FRA_TABLE).map(|table| format!("lookup {table}")));
            }
            EntryKind::Nexthop => {
                words.extend(self.number(NHA_ID).map(|id| format!("id {id}")));
                const NHA_GATEWAY: u16 = 6;
                words.extend(ip(NHA_GATEWAY).map(|ip| format!("via {ip}")));
            }
            EntryKind::Neighbour => {
                words.extend(self.is_proxy().then(|| "proxy".to_owned()));
                words.extend(ip(super::NDA_DST));
                let mac = self.octets(NDA_LLADDR).and_then(|octets| Some(MacAddr::new(octets.try_into().ok()?)));
                words.extend(mac.map(|mac| format!("lladdr {mac}")));
                words.extend((self.state() & super::NUD_PERMANENT != 0).then(|| "permanent".to_owned()));
            }
        }
        words
    }

    fn label(&self) -> Option<&str> {
        let label = self.octets(libc::IFA_LABEL)?;
        let text = std::str::from_utf8(label).ok()?.trim_end_matches('\0');
        (Some(text) != self.link.as_ref().map(|link| link.as_str())).then_some(text)
    }

    /// What it is, without the interface that it is on.
    pub(crate) fn without_link(&self) -> String {
        format!("{} {}", self.kind, self.describe().join(" "))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.without_link())?;
        if self.kind == EntryKind::Rule {
            return Ok(());
        }
        self.links().iter().try_for_each(|link| write!(f, " dev {link}"))
    }
}

/// The types of routes that are not the usual one (linux/rtnetlink.h).
fn route_type(kind: u8) -> Option<&'static str> {
    match kind {
        libc::RTN_BLACKHOLE => Some("blackhole"),
        libc::RTN_UNREACHABLE => Some("unreachable"),
        libc::RTN_PROHIBIT => Some("prohibit"),
        libc::RTN_THROW => Some("throw"),
        libc::RTN_MULTICAST => Some("multicast"),
        libc::RTN_LOCAL => Some("local"),
        _ => None,
    }
}
