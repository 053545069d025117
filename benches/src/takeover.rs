//! How long a takeover of the host's uplink lasts, and how late the latest answer to a ping comes
//! meanwhile.

use crate::figures::Durations;
use crate::time;
use xenvnet_core::{Network, Result};
use xenvnet_tests::{Pings, Site, Talk};

/// How often each network starts and stops.
const ROUNDS: usize = 20;

/// Answers that are waited for before, between and after.
const ANSWERS: u64 = 20;

const LINES: [&str; 3] =
    ["network-bridge netdev=eth0 bridge=xenbr0", "network-bridge netdev=eth0", "bridge-shadow eth0"];

/// One line of the table.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) start: Durations,
    pub(crate) stop: Durations,
    /// The latest answer to a ping of each round.
    pub(crate) latest: Durations,
}

/// Starts and stops networks while everybody pings everybody; the first row is a host to which
/// nothing is done. `None` without the privilege to do so.
pub(crate) fn measure() -> Result<Option<Vec<Row>>> {
    let Some(site) = Site::plain() else { return Ok(None) };
    let mut rows: Vec<_> = std::iter::once("nothing done")
        .chain(LINES)
        .map(|name| Row { name, start: Durations::default(), stop: Durations::default(), latest: Durations::default() })
        .collect();
    for _ in 0..ROUNDS {
        for row in &mut rows {
            let network = row.name.parse::<Network>().ok();
            let pings = ping(&site);
            if let Some(network) = &network {
                row.start.push(time(|| site.dom0.host.start_network(network).map(drop))?);
            }
            go_on(&pings);
            if let Some(network) = &network {
                row.stop.push(time(|| site.dom0.host.stop_network(network).map(drop))?);
            }
            go_on(&pings);
            row.latest.push(pings.into_iter().map(|pings| pings.stop().1).max().unwrap_or_default());
        }
    }
    Ok(Some(rows))
}

/// Both ways, IPv4 and IPv6; all of them are answered.
fn ping(site: &Site) -> Vec<Pings> {
    let host = site.dom0.namespace();
    let both = |talk: &Talk| [Pings::start(&host, talk.there), Pings::start(&talk.with, talk.here)];
    let pings: Vec<_> = site.talks.iter().flat_map(both).collect();
    go_on(&pings);
    pings
}

fn go_on(pings: &[Pings]) {
    for ping in pings {
        let until = ping.mark() + ANSWERS;
        while ping.mark() < until {}
    }
}
