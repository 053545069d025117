//! Everything that goes on between a host and the world while something is done to it.

use crate::ping::Pings;
use crate::site::{Site, Talk};
use crate::stream::{Stream, Tidings};
use crate::transfer::{Transfer, Transferred};
use std::fmt;
use std::time::Duration;

/// Pings, datagrams and connections, each both ways, each with IPv4 and IPv6,
/// with each place that the host talks with.
#[derive(Debug)]
pub struct Traffic {
    pings: Vec<(String, Pings)>,
    outward: Vec<(String, Stream)>,
    inward: Vec<(String, Stream)>,
    transfers: Vec<(String, Transfer)>,
}

/// Where the numbers were at some moment.
#[derive(Clone, Debug)]
pub struct Mark {
    /// Those of pings first, then those of what comes in.
    inward: Vec<u64>,
    outward: Vec<u64>,
}

/// What became of all of it.
#[derive(Clone, Debug)]
pub struct Account {
    /// Both ways: either way, a part of each comes in.
    pub pings: Vec<(String, Tidings)>,
    /// How late the latest answer to a ping came.
    pub worst_delay: Duration,
    /// Datagrams that leave the host.
    pub outward: Vec<(String, Tidings)>,
    /// Datagrams that come in.
    pub inward: Vec<(String, Tidings)>,
    /// Connections both ways.
    pub transfers: Vec<(String, Transferred)>,
}

/// Datagrams a second that leave, of each family, to all places.
const OUTWARD: u32 = 22_000;

/// Datagrams a second that come in, of each family, from all places.
const INWARD: u32 = 4_500;

impl Traffic {
    /// From now on.
    pub fn start(site: &Site) -> Traffic {
        let host = site.dom0.namespace();
        let mut traffic = Traffic { pings: vec![], outward: vec![], inward: vec![], transfers: vec![] };
        let places = site.talks.len() as u32 / 2;
        for Talk { name, here, there, with } in &site.talks {
            let named = |what: &str| format!("{what} {name}");
            let stream = |from, source, to, address, rate| Stream::start(from, source, to, address, rate / places);
            traffic.outward.push((named("datagrams out"), stream(&host, *here, with, *there, OUTWARD)));
            traffic.inward.push((named("datagrams in"), stream(with, *there, &host, *here, INWARD)));
            traffic.transfers.push((named("octets out"), Transfer::start(&host, with, *there)));
            traffic.transfers.push((named("octets in"), Transfer::start(with, &host, *here)));
        }
        // A socket hears the answers of all others in its namespace too: not more than it can take in.
        for Talk { name, here, there, with } in &site.talks[..2] {
            traffic.pings.push((format!("pings out {name}"), Pings::start(&host, *there)));
            traffic.pings.push((format!("pings in {name}"), Pings::start(with, *here)));
        }
        traffic.mark();
        traffic
    }

    /// Where the numbers are now; all that was sent before has come by now, or never will.
    ///
    /// # Panics
    /// When nothing comes any more.
    pub fn mark(&self) -> Mark {
        let outward = self.outward.iter().map(|(_, stream)| stream.mark()).collect();
        let pings = self.pings.iter().map(|(_, pings)| pings.mark());
        Mark { inward: pings.chain(self.inward.iter().map(|(_, stream)| stream.mark())).collect(), outward }
    }

    /// Lets it go on until so many more datagrams of each family have come in, and returns
    /// [`Traffic::mark`].
    ///
    /// # Panics
    /// When nothing comes any more.
    pub fn go_on(&self, datagrams: u64) -> Mark {
        for (_, stream) in &self.inward {
            let until = stream.mark() + datagrams;
            while stream.mark() < until {}
        }
        self.mark()
    }

    /// Ends all of it.
    pub fn stop(self) -> Account {
        let mut worst_delay = Duration::ZERO;
        let mut end = |pings: Pings| {
            let (tidings, delay) = pings.stop();
            worst_delay = worst_delay.max(delay);
            tidings
        };
        let pings = self.pings.into_iter().map(|(name, pings)| (name, end(pings))).collect();
        let stop = |streams: Vec<(String, Stream)>| streams.into_iter().map(|(name, one)| (name, one.stop())).collect();
        let (outward, inward) = (stop(self.outward), stop(self.inward));
        let transfers = self.transfers.into_iter().map(|(name, transfer)| (name, transfer.stop())).collect();
        Account { pings, worst_delay, outward, inward, transfers }
    }
}

impl Account {
    /// How many pings and datagrams from outside were lost between two marks.
    pub fn lost_inward(&self, from: &Mark, to: &Mark) -> u64 {
        lost_between(self.pings.iter().chain(&self.inward), &from.inward, &to.inward)
    }

    /// How many datagrams that left were lost, all in all.
    pub fn lost_outward(&self) -> u64 {
        self.outward.iter().map(|(_, tidings)| tidings.losses()).sum()
    }

    /// How many of them between two marks.
    pub fn lost_outward_between(&self, from: &Mark, to: &Mark) -> u64 {
        lost_between(self.outward.iter(), &from.outward, &to.outward)
    }

    /// How many datagrams the hearers were too slow for: what came in, and yet is among the lost.
    pub fn overrun(&self) -> u64 {
        self.outward.iter().chain(&self.inward).map(|(_, tidings)| tidings.overrun).sum()
    }

    /// The connections that were reset, stood still or lost something.
    pub fn broken(&self) -> Vec<&(String, Transferred)> {
        self.transfers.iter().filter(|(_, transferred)| !transferred.is_whole()).collect()
    }
}

fn lost_between<'a>(all: impl Iterator<Item = &'a (String, Tidings)>, from: &[u64], to: &[u64]) -> u64 {
    all.zip(from.iter().zip(to)).map(|((_, tidings), (from, to))| tidings.lost_between(*from, *to)).sum()
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, tidings) in self.pings.iter().chain(&self.outward).chain(&self.inward) {
            let Tidings { sent, refused, misattributed, overrun, .. } = tidings;
            write!(f, "{name}: {sent} sent, {} lost", tidings.losses())?;
            if let Some(reason) = &refused.reason {
                write!(f, ", {} of them refused ({reason})", refused.count)?;
            }
            if *misattributed > 0 {
                write!(f, ", {misattributed} from a wrong source")?;
            }
            if *overrun > 0 {
                write!(f, ", {overrun} came too fast")?;
            }
            writeln!(f)?;
        }
        for (name, Transferred { sent, received, failures }) in &self.transfers {
            writeln!(
                f,
                "{name}: {sent} sent, {received} received{}",
                failures.iter().map(|it| format!(", {it}")).collect::<String>()
            )?;
        }
        write!(f, "latest answer after {:?}", self.worst_delay)
    }
}
