//! A bridge takes dom0's card over, and gives it back, while the outside host goes on asking.

use super::fabric::{CARD, DOM0_OUTSIDE, Fabric, OUTSIDE};
use super::stage;
use super::story::Story;
use crate::failure::Result;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use xenvnet_core::{Host, IfName, Operation};

const BRIDGE: &str = "xenbr1";
const LINE: &str = "network-bridge bridge=xenbr1 netdev=eth0";

/// Between two pings; the kernel makes it a tick of its clock.
const PACE: Duration = Duration::from_millis(1);

/// An answer that has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is on its way into a card in the moment in which that becomes a port may be lost, whoever
/// makes it one.
const LOST_BY_THE_KERNEL: u64 = 2;

pub(super) fn play(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    story.part(&format!("A bridge takes {CARD} over and gives it back, while the outside host pings dom0"))?;
    story.plan(&host.plan(&[Operation::StartNetwork(LINE.parse()?)])?)?;
    let socket = stage("open a socket in a namespace");
    let asking = fabric.outside.udp(OUTSIDE).map_err(&socket)?;
    let asked = fabric.dom0.udp(DOM0_OUTSIDE).map_err(&socket)?;
    let dom0 = asked.local_addr().map_err(&socket)?;

    let begin = Instant::now();
    let (enough, closed) = (AtomicBool::new(false), AtomicBool::new(false));
    let (changes, pings) = thread::scope(|scope| {
        scope.spawn(|| answer(&asked, &closed));
        let pings = scope.spawn(|| ping(&asking, dom0, &enough));
        let changes = there_and_back(host);
        enough.store(true, Ordering::Relaxed);
        let pings = pings.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")));
        closed.store(true, Ordering::Relaxed);
        (changes, pings)
    });
    let took = begin.elapsed();
    for (at, holds) in [BRIDGE, CARD].into_iter().zip(changes?) {
        story.check(format!("dom0's address is on {at}"), holds, if holds { "yes" } else { "no" })?;
    }
    let (sent, answered) = pings.map_err(stage("ping dom0"))?;
    let ok = answered > 0 && sent - answered <= LOST_BY_THE_KERNEL;
    story.check("pings meanwhile", ok, format!("{answered} of {sent} answered, in {took:.1?}"))
}

/// Starts the network and stops it: whether each was done, and dom0's address was where it belongs.
fn there_and_back(host: &Host) -> Result<[bool; 2]> {
    let has_address = |link: &str| -> Result<bool> {
        let link: IfName = link.parse()?;
        let snapshot = host.snapshot()?;
        let mut addresses = snapshot.addresses.get(&link).into_iter().flatten();
        Ok(addresses.any(|address| address.ip() == IpAddr::from(DOM0_OUTSIDE)))
    };
    let started = host.run(&Operation::StartNetwork(LINE.parse()?))?.is_changed() && has_address(BRIDGE)?;
    let stopped = host.run(&Operation::StopNetwork(LINE.parse()?))?.is_changed() && has_address(CARD)?;
    Ok([started, stopped])
}

/// Sends whatever comes back to where it came from.
fn answer(socket: &UdpSocket, closed: &AtomicBool) -> io::Result<()> {
    socket.set_read_timeout(Some(PACE))?;
    let mut buffer = [0; 8];
    while !closed.load(Ordering::Relaxed) {
        if let Some((length, peer)) = waited(socket.recv_from(&mut buffer))? {
            socket.send_to(&buffer[..length], peer)?;
        }
    }
    Ok(())
}

/// Asks in an even pace until it is enough, and listens for what is still on its way. Counts what it
/// sent, and what was answered.
fn ping(socket: &UdpSocket, to: SocketAddr, enough: &AtomicBool) -> io::Result<(u64, u64)> {
    socket.set_read_timeout(Some(PACE))?;
    let (mut sent, mut answered, mut buffer) = (0, 0, [0; 8]);
    let mut hear = || waited(socket.recv_from(&mut buffer)).map(|heard| u64::from(heard.is_some()));
    while !enough.load(Ordering::Relaxed) {
        socket.send_to(b"?", to)?;
        sent += 1;
        let next = Instant::now() + PACE;
        while Instant::now() < next {
            answered += hear()?;
        }
    }
    let end = Instant::now() + PATIENCE;
    while answered < sent && Instant::now() < end {
        answered += hear()?;
    }
    Ok((sent, answered))
}

/// Nothing came in time.
fn waited<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        other => other.map(Some),
    }
}
