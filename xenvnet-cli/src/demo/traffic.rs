//! Who hears whom: datagrams that are answered, frames that arrive or are counted.

use super::fabric::{Guest, Namespace};
use super::frames::{self, RawPort, Spoof};
use super::stage;
use crate::failure::Result;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};
use xenvnet_core::{DropReason, IfName, Snapshot};

/// Of each spoofed frame so many are sent.
pub(super) const FRAMES: u64 = 5;

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(2);

/// What was not answered by then is asked again.
const AGAIN: Duration = Duration::from_millis(40);

const OPEN_RAW: &str = "open a raw socket";

/// Asks a listener which address it sees, and comes back with the answer. Asked anew until there
/// is one, for datagrams may be lost: the kernel turns a card on a moment after its cable.
pub(super) fn who_am_i(from: &UdpSocket, listener: &UdpSocket) -> io::Result<IpAddr> {
    let end = Instant::now() + PATIENCE;
    loop {
        match exchange(from, listener) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                if Instant::now() >= end {
                    return Err(io::Error::other("nothing arrived"));
                }
            }
            result => return result,
        }
    }
}

fn exchange(from: &UdpSocket, listener: &UdpSocket) -> io::Result<IpAddr> {
    from.set_read_timeout(Some(AGAIN))?;
    listener.set_read_timeout(Some(AGAIN))?;
    let (mut buffer, listening) = ([0; 64], listener.local_addr()?);
    from.send_to(b"who am I?", listening)?;
    let (_, peer) = listener.recv_from(&mut buffer)?;
    listener.send_to(peer.ip().to_string().as_bytes(), peer)?;
    loop {
        let (length, answering) = from.recv_from(&mut buffer)?;
        // An answer that comes too late may be another's.
        if answering == listening {
            return String::from_utf8_lossy(&buffer[..length]).parse().map_err(io::Error::other);
        }
    }
}

/// From one card to another.
pub(super) struct Wire {
    out: RawPort,
    into: RawPort,
    honest: Vec<u8>,
    /// So many octets at a frame's beginning change on the way.
    changed: usize,
}

impl Wire {
    /// Bridged from one guest to the other.
    pub(super) fn bridged(one: &Guest, two: &Guest) -> Result<Wire> {
        Wire::open(one, &two.namespace, frames::honest(one, two), 0).map_err(stage(OPEN_RAW))
    }

    /// Routed by dom0 to the outside: Ethernet and IPv4 headers become others.
    pub(super) fn routed(one: &Guest, outside: &Namespace) -> Result<Wire> {
        Wire::open(one, outside, frames::honest_routed(one), frames::HEADERS).map_err(stage(OPEN_RAW))
    }

    fn open(one: &Guest, into: &Namespace, honest: Vec<u8>, changed: usize) -> io::Result<Wire> {
        Ok(Wire { out: RawPort::open(&one.namespace)?, into: RawPort::open(into)?, honest, changed })
    }

    /// Sends spoofed frames and an honest one after them: when that is here, so is what was to
    /// come. Says how many arrived, and whether the honest one did.
    pub(super) fn send(&self, spoof: &Spoof) -> Result<(u64, bool)> {
        let send = || {
            self.send_only(spoof)?;
            self.into.until(PATIENCE, |frame| self.is(frame, &self.honest))
        };
        let frames = send().map_err(stage("send a raw frame"))?;
        let honest = frames.iter().any(|frame| self.is(frame, &self.honest));
        Ok((self.count(&frames, &spoof.frame), honest))
    }

    /// The same where nothing is to come: says what has by the time that dom0 has counted all of it.
    pub(super) fn send_into_void(&self, spoof: &Spoof, counted: impl FnOnce() -> Result<()>) -> Result<u64> {
        self.send_only(spoof).map_err(stage("send a raw frame"))?;
        counted()?;
        let frames = self.into.until(Duration::ZERO, |_| false).map_err(stage("receive raw frames"))?;
        Ok(self.count(&frames, &spoof.frame) + self.count(&frames, &self.honest))
    }

    fn send_only(&self, spoof: &Spoof) -> io::Result<()> {
        (0..FRAMES).try_for_each(|_| self.out.send(&spoof.frame))?;
        self.out.send(&self.honest)
    }

    fn count(&self, frames: &[Vec<u8>], sent: &[u8]) -> u64 {
        frames.iter().filter(|frame| self.is(frame, sent)).count() as u64
    }

    /// Whether a frame that arrived is the one that was sent.
    fn is(&self, frame: &[u8], sent: &[u8]) -> bool {
        frame.get(self.changed..) == sent.get(self.changed..)
    }
}

/// What was dropped of a vif's frames, by reason.
pub(super) fn dropped(snapshot: &Snapshot, vif: IfName) -> BTreeMap<DropReason, u64> {
    let mut sums = BTreeMap::new();
    for drops in snapshot.drops.iter().filter(|drops| drops.vif == vif && drops.frames > 0) {
        *sums.entry(drops.reason).or_default() += drops.frames;
    }
    sums
}

/// Asks until the answer is the one that is wanted, or patience ends; says the last one.
pub(super) fn wait_for<T: PartialEq>(mut ask: impl FnMut() -> Result<T>, wanted: &T) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask()?;
        if answer == *wanted || Instant::now() >= end {
            return Ok(answer);
        }
        std::thread::yield_now();
    }
}
