//! One table: an attach and a detach of a vif through the library, beside the raw floor and beside
//! the programs ip, bridge and nft. All peers make the same changes of the kernel in the same safe
//! order, in one run, taking turns. Trust the ratios: the microseconds are those of this machine.
//! And a second one: a takeover of the host's uplink, beside a host to which nothing is done.
#![forbid(unsafe_code)]

mod bed;
mod figures;
mod floor;
mod programs;
mod takeover;

use bed::StateDir;
use figures::Row;
use floor::{Floor, Prepared};
use programs::Programs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use xenvnet_core::transport::{Protocol, Recording, kernel};
use xenvnet_core::{Attachment, Bridge, Guard, Host, IfName, Operation, Result};

/// How often each peer attaches and detaches.
const ROUNDS: usize = 200;

/// Somebody who attaches the vif and detaches it.
trait Peer {
    fn attach(&mut self) -> Result<()>;
    fn detach(&mut self) -> Result<()>;
}

struct Library {
    host: Host,
    vif: IfName,
    attachment: Attachment,
}

impl Peer for Library {
    fn attach(&mut self) -> Result<()> {
        self.host.attach_vif(&self.attachment).map(drop)
    }

    fn detach(&mut self) -> Result<()> {
        self.host.detach_vif(self.vif).map(drop)
    }
}

struct Raw {
    floor: Floor,
    attach: Prepared,
    detach: Prepared,
}

impl Peer for Raw {
    fn attach(&mut self) -> Result<()> {
        self.floor.send(&mut self.attach);
        Ok(())
    }

    fn detach(&mut self) -> Result<()> {
        self.floor.send(&mut self.detach);
        Ok(())
    }
}

impl Peer for Programs {
    fn attach(&mut self) -> Result<()> {
        self.run_attach();
        Ok(())
    }

    fn detach(&mut self) -> Result<()> {
        self.run_detach();
        Ok(())
    }
}

fn time(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// What the library sends for one attach and one detach.
fn record(state: &StateDir, attachment: &Attachment, vif: IfName) -> Result<(Prepared, Prepared)> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let take = || Prepared::new(std::mem::take(&mut *sent.lock().unwrap_or_else(PoisonError::into_inner)));
    let tap = sent.clone();
    let host = state
        .options()
        .transport(move |protocol: Protocol| Ok(Box::new(Recording::new(protocol, kernel(protocol)?, tap.clone()))))
        .open()?;
    let _ = host.attach_vif(attachment)?;
    let attach = take();
    let _ = host.detach_vif(vif)?;
    Ok((attach, take()))
}

fn main() -> Result<()> {
    bed::lay();
    let vif: IfName = bed::VIF.parse()?;
    let attachment = bed::attachment()?;
    let state = StateDir::new();
    let host = state.options().open()?;
    let _ = host.create_bridge(&Bridge::new(bed::BRIDGE.parse()?))?;
    // Our table stays from now on, as on a host that has seen its first guest.
    let _ = host.attach_vif(&attachment)?;
    let device = host.snapshot()?.link(vif).map_or(0, |link| link.index);
    let comment = Guard::new(device, attachment.lock.clone()).owner(vif).to_string();
    let _ = host.detach_vif(vif)?;
    bed::refresh(&host)?;
    let (attach, detach) = record(&state, &attachment, vif)?;
    bed::refresh(&host)?;

    let mut peers: [(Row, Box<dyn Peer>); 4] = [
        (Row::new("raw floor: prepared bytes"), Box::new(Raw { floor: Floor::open(), attach, detach })),
        (
            Row::new("xenvnet, one open Host"),
            Box::new(Library { host: state.options().open()?, vif, attachment: attachment.clone() }),
        ),
        (Row::new("nft -f, ip -batch, bridge"), Box::new(Programs::batched(&comment))),
        (Row::new("nft, ip, bridge: a process a change"), Box::new(Programs::separate(&comment))),
    ];
    let (attached, detached) = (Operation::AttachVif(attachment), Operation::DetachVif { vif });
    for _ in 0..ROUNDS {
        for (row, peer) in &mut peers {
            row.attach.push(time(|| peer.attach())?);
            bed::expect(&host, &attached)?;
            row.detach.push(time(|| peer.detach())?);
            bed::expect(&host, &detached)?;
            bed::refresh(&host)?;
        }
    }
    figures::print(&peers.map(|(row, _)| row));
    if let Some(rows) = takeover::measure()? {
        println!();
        figures::print_takeovers(&rows);
    }
    Ok(())
}
