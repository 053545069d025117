//! `xenvnet mac`.

use crate::cli::{ip, value};
use crate::failure::{Exit, Result};
use crate::output;
use crate::session::Session;
use crate::verbs::mac_check::Check;
use clap::Subcommand;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::IpAddr;
use xenvnet_core::{Lock, MacAddr, MacPrefix, Snapshot};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The locally administered address that belongs to an IP address: always the same one.
    FromIp {
        /// IPv4 or IPv6.
        #[arg(value_parser = ip)]
        ip: IpAddr,
        /// Its first two octets.
        #[arg(long, default_value_t, value_parser = value::<MacPrefix>)]
        prefix: MacPrefix,
    },
    /// A random address, under Xen's prefix 00:16:3e unless told otherwise.
    Random {
        /// None that an interface of this host has, or that a guest on it is locked to.
        #[arg(long)]
        avoid_host: bool,
        /// A locally administered one: 46 random bits instead of 24.
        #[arg(long)]
        local: bool,
    },
    /// How likely two of so many random addresses are the same.
    Odds {
        /// So many guests' cards.
        #[arg(value_name = "N")]
        count: u64,
        /// Random bits: 24 under Xen's prefix, 46 with `mac random --local`.
        #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(0..=48))]
        bits: u32,
    },
    /// Whether guests' configurations give an address to two vifs, or one that no guest can have.
    #[command(after_help = "Exit codes: 0 nothing was found, 1 something was, or a file cannot be read.")]
    Check(Check),
}

impl Verb {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let mac = match self {
            Verb::FromIp { ip, prefix } => MacAddr::from_ip(ip, prefix),
            Verb::Random { avoid_host, local } => {
                let taken = if avoid_host { taken(&session.host()?.snapshot()?) } else { BTreeSet::new() };
                if local { MacAddr::random_local_avoiding(&taken)? } else { MacAddr::random_xen_avoiding(&taken)? }
            }
            Verb::Odds { count, bits } => return odds(session, count, bits),
            Verb::Check(check) => return check.run(session),
        };
        output::show(session.json(), || json!({ "mac": mac }), || format!("{mac}\n"))
    }
}

/// The addresses of a host: those of its interfaces, and those that guests are locked to.
fn taken(snapshot: &Snapshot) -> BTreeSet<MacAddr> {
    let links = snapshot.links.values().filter_map(|link| link.mac);
    let guards = snapshot.guards.values().chain(snapshot.ingress.values());
    let locked = guards.filter_map(|guard| if let Lock::Locked(lock) = &guard.lock { Some(&lock.macs) } else { None });
    links.chain(locked.flatten().copied()).collect()
}

fn odds(session: &Session, count: u64, bits: u32) -> Result<Exit> {
    let odds = MacAddr::collision_odds(count, bits);
    output::show(
        session.json(),
        || json!({ "count": count, "bits": bits, "odds": odds }),
        || format!("among {count} addresses of {bits} random bits, two are the same: {}\n", percent(odds)),
    )
}

/// Three digits that count, however small it is.
fn percent(odds: f64) -> String {
    match odds * 100.0 {
        0.0 => "never".to_owned(),
        percent if percent >= 100.0 => "certainly".to_owned(),
        percent if percent > 99.9 => "more than 99.9 %".to_owned(),
        percent if percent >= 0.01 => {
            let digits = (2.0 - percent.log10().floor()).max(0.0) as usize;
            format!("{percent:.digits$} %")
        }
        _ => format!("one in {:.2e}", 1.0 / odds),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::{Antispoof, Guard, Link};

    #[test]
    fn what_an_interface_has_and_what_a_guest_is_locked_to_is_taken() {
        let macs = ["00:16:3e:00:00:01", "00:16:3e:00:00:02", "00:16:3e:00:00:03", "00:16:3e:00:00:04"];
        let [card, bridged, second, routed] = macs.map(|mac| mac.parse::<MacAddr>().unwrap());
        let mut now = Snapshot::default();
        let mut link = Link::new(2, "eth0".parse().unwrap());
        link.mac = Some(card);
        now.links.insert(link.name, link);
        now.guards.insert("vif1.0".parse().unwrap(), Guard::new(3, Antispoof::new(bridged).mac(second).into()));
        now.guards.insert("vif2.0".parse().unwrap(), Guard::new(4, Lock::Unlocked));
        now.ingress.insert("vif3.0".parse().unwrap(), Guard::new(5, Antispoof::new(routed).into()));
        assert_eq!(taken(&now), BTreeSet::from([card, bridged, second, routed]));
    }

    #[test]
    fn odds_have_three_digits() {
        for (odds, words) in [
            (0.0, "never"),
            (1.0, "certainly"),
            (0.999_999, "more than 99.9 %"),
            (0.029_338, "2.93 %"),
            (0.5, "50.0 %"),
            (0.001_234, "0.123 %"),
            (7.1e-9, "one in 1.41e8"),
        ] {
            assert_eq!(percent(odds), words, "{odds}");
        }
    }
}
