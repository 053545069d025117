//! `xenvnet demo`: the library at work in throw-away namespaces, every claim checked by traffic.
//!
//! What is set up, locked and torn down goes through [`Host`] alone; what is around it, the cables
//! and the guests' own addresses, is [`fabric`]'s, and needs no other program.

mod fabric;
mod frames;
mod story;

use crate::failure::{Exit, Failure, Result, reason};
use crate::render;
use fabric::{Fabric, GATEWAY, Guest, OUTSIDE};
use frames::{RawPort, Spoof};
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};
use story::Story;
use xenvnet_core::{Antispoof, Attachment, DropReason, Host, IfName, Lock, Network, Operation, Snapshot};

const LINE: &str = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24";

const STAGE: &str = r"
  guest 10.98.98.2 -- vif1.0 \
                              xenbr0 10.98.98.1 -- dom0 -- 192.0.2.1 eth0 -- outside host 192.0.2.2
  guest 10.98.98.3 -- vif2.0 /                                               (no way back to the guests)
";

/// What starting the network turns on, read from outside the library.
const IP_FORWARD: &str = "net/ipv4/ip_forward";

/// Of each spoofed frame so many are sent.
const FRAMES: u64 = 5;

/// What has not come by then does not come.
const PATIENCE: Duration = Duration::from_secs(2);

pub(crate) fn play(json: bool) -> Result<Exit> {
    let mut story = Story::begin(json);
    let how = fabric::become_able().map_err(|error| {
        Failure::cannot("raise throw-away namespaces", error)
            .advice("run it as root, or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone")
    })?;
    let fabric = Fabric::new().map_err(stage("raise the namespaces and cables of the demo"))?;
    story.part(&format!("Dom0, two guests and an outside host, each in a namespace of its own ({how})"))?;
    story.text(STAGE)?;

    let state = StateDir::new().map_err(stage("make a directory for the demo's state"))?;
    let dom0 = fabric.dom0.descriptor().map_err(stage("enter dom0's namespace"))?;
    let host = Host::options().netns(dom0).state_dir(&state.0).open()?;
    let before = host.snapshot()?;
    let forward = fabric.dom0.setting(IP_FORWARD).map_err(stage("read ip_forward"))?;

    raise(&mut story, &host, &fabric)?;
    talk(&mut story, &fabric)?;
    spoof(&mut story, &host, &fabric)?;
    story.part("What `xenvnet status` says")?;
    let now = host.snapshot()?;
    story.status(&now, &render::status(&now))?;
    tear_down(&mut story, &host, &fabric)?;
    let after = host.snapshot()?;
    let forward_after = fabric.dom0.setting(IP_FORWARD).map_err(stage("read ip_forward"))?;
    nothing_left(&mut story, &before, &after)?;
    story.check("ip_forward is what it was", forward == forward_after, format!("{forward}, then {forward_after}"))?;
    story.end()
}

fn stage(what: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::system(what, &error)
}

/// A directory for locks and the journal that goes with the demo.
struct StateDir(PathBuf);

impl StateDir {
    fn new() -> io::Result<StateDir> {
        let path = std::env::temp_dir().join(format!("xenvnet-demo-{}", std::process::id()));
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(StateDir(path))
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}

fn name(guest: &Guest) -> Result<IfName> {
    Ok(guest.vif.parse()?)
}

fn lock(guest: &Guest) -> Lock {
    Antispoof::new(guest.mac).ip(IpAddr::from(guest.ip).into()).into()
}

/// The brouter and both guests, by one plan.
fn raise(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let network: Network = LINE.parse()?;
    let mut operations = vec![Operation::StartNetwork(network.clone())];
    for guest in &fabric.guests {
        operations.push(Operation::AttachVif(Attachment::bridged(name(guest)?, network.bridge_name(), lock(guest))));
    }
    story.part("The plan: start the network, attach both guests")?;
    let plan = host.plan(&operations)?;
    story.plan(&plan)?;
    let start = Instant::now();
    let changed = host.apply(&plan)?.is_changed();
    story.check("carried out", changed, format!("{} steps in {:.1?}", plan.steps().len(), start.elapsed()))?;
    let forward = fabric.dom0.setting(IP_FORWARD).map_err(stage("read ip_forward"))?;
    story.check("dom0 forwards", forward == "1", format!("ip_forward is {forward}"))?;
    let again = host.run_all(&operations)?.is_changed();
    story.check("asked for again", !again, if again { "something changed" } else { "nothing to do" })
}

/// Who reaches whom, and who is seen.
fn talk(story: &mut Story, fabric: &Fabric) -> Result<()> {
    story.part("Who reaches whom")?;
    let [one, two] = &fabric.guests;
    let socket = stage("open a socket in a namespace");
    let from = one.namespace.udp(one.ip).map_err(&socket)?;
    let listeners = [
        ("the other guest", two.namespace.udp(two.ip).map_err(&socket)?, IpAddr::from(one.ip)),
        ("dom0", fabric.dom0.udp(GATEWAY).map_err(&socket)?, one.ip.into()),
        ("the outside host", fabric.outside.udp(OUTSIDE).map_err(&socket)?, fabric::DOM0_OUTSIDE.into()),
    ];
    for (who, listener, expected) in &listeners {
        let what = format!("guest {} to {who}", one.ip);
        match who_am_i(&from, listener) {
            Ok(seen) => story.check(what, seen == *expected, format!("it sees {seen}"))?,
            Err(error) => story.check(what, false, reason(&error))?,
        }
    }
    let back = listeners[2].1.send_to(b"?", (one.ip, 9));
    let closed = back.as_ref().is_err_and(|error| error.kind() == ErrorKind::NetworkUnreachable);
    let seen = back.map_or_else(|error| reason(&error), |_| "it has a route".to_owned());
    story.check(format!("the outside host to guest {}", one.ip), closed, seen)
}

/// Asks a listener which address it sees, and comes back with the answer. Asked anew until there
/// is one, for datagrams may be lost: the kernel turns a card on a moment after its cable.
fn who_am_i(from: &UdpSocket, listener: &UdpSocket) -> io::Result<IpAddr> {
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
    from.set_read_timeout(Some(PATIENCE / 10))?;
    listener.set_read_timeout(Some(PATIENCE / 10))?;
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

/// Frames that a guest must not send: dropped and counted while it is locked, arriving while it is
/// not, which proves that they would do harm.
fn spoof(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let [one, two] = &fabric.guests;
    let vif = name(one)?;
    let wire = Wire::open(one, two).map_err(stage("open a raw socket in a guest"))?;
    let spoofs = frames::spoofs(one, two);
    let sending = stage("send a raw frame");

    story.part(&format!("Spoofed frames from {vif}, locked ({FRAMES} of each)"))?;
    for spoof in &spoofs {
        let mut wanted = dropped(&host.snapshot()?, vif);
        *wanted.entry(spoof.reason).or_default() += FRAMES;
        let (arrived, honest) = wire.send(spoof).map_err(&sending)?;
        let counted = wait_for(|| Ok(dropped(&host.snapshot()?, vif)), &wanted)?;
        let ok = arrived == 0 && honest && counted == wanted;
        let honest = if honest { "" } else { ", nor did an honest frame" };
        let count = counted.get(&spoof.reason).copied().unwrap_or_default();
        story.check(&spoof.claim, ok, format!("{arrived} arrived{honest}, {count} counted as {}", spoof.reason))?;
    }

    let changed = host.set_antispoof(vif, Lock::Unlocked)?.is_changed();
    story.part(&format!("The same frames from {vif}, unlocked"))?;
    for spoof in &spoofs {
        let (arrived, _) = wire.send(spoof).map_err(&sending)?;
        story.check(&spoof.claim, changed && arrived == FRAMES, format!("{arrived} arrived"))?;
    }
    let changed = host.set_antispoof(vif, lock(one))?.is_changed();
    let (arrived, honest) = wire.send(&spoofs[0]).map_err(&sending)?;
    let ok = changed && arrived == 0 && honest;
    story.check("locked again, while up", ok, format!("{arrived} arrived of {}", spoofs[0].claim))
}

/// From one guest's card to the other's.
struct Wire {
    out: RawPort,
    into: RawPort,
    honest: Vec<u8>,
}

impl Wire {
    fn open(one: &Guest, two: &Guest) -> io::Result<Wire> {
        let (out, into) = (RawPort::open(&one.namespace)?, RawPort::open(&two.namespace)?);
        Ok(Wire { out, into, honest: frames::honest(one, two) })
    }

    /// Sends spoofed frames and an honest one after them: when that is here, so is what was to
    /// come. Says how many arrived, and whether the honest one did.
    fn send(&self, spoof: &Spoof) -> io::Result<(u64, bool)> {
        for _ in 0..FRAMES {
            self.out.send(&spoof.frame)?;
        }
        self.out.send(&self.honest)?;
        let frames = self.into.until(PATIENCE, |frame| frame == self.honest)?;
        let arrived = frames.iter().filter(|frame| **frame == spoof.frame).count();
        Ok((arrived as u64, frames.contains(&self.honest)))
    }
}

/// What was dropped of a vif's frames, by reason.
fn dropped(snapshot: &Snapshot, vif: IfName) -> BTreeMap<DropReason, u64> {
    let of_vif = snapshot.drops.iter().filter(|drops| drops.vif == vif && drops.frames > 0);
    of_vif.map(|drops| (drops.reason, drops.frames)).collect()
}

/// Asks until the answer is the one that is wanted, or patience ends; says the last one.
fn wait_for<T: PartialEq>(mut ask: impl FnMut() -> Result<T>, wanted: &T) -> Result<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        let answer = ask()?;
        if answer == *wanted || Instant::now() >= end {
            return Ok(answer);
        }
        std::thread::yield_now();
    }
}

fn tear_down(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    story.part("The way back: detach both guests, stop the network")?;
    let mut operations = Vec::new();
    for guest in &fabric.guests {
        operations.push(Operation::DetachVif { vif: name(guest)? });
    }
    operations.push(Operation::StopNetwork(LINE.parse()?));
    let plan = host.plan(&operations)?;
    story.plan(&plan)?;
    let start = Instant::now();
    let changed = host.apply(&plan)?.is_changed();
    story.check("carried out", changed, format!("{} steps in {:.1?}", plan.steps().len(), start.elapsed()))
}

fn nothing_left(story: &mut Story, before: &Snapshot, after: &Snapshot) -> Result<()> {
    story.part("What is left")?;
    let mut none = |what: &str, count: usize| story.check(what, count == 0, count.to_string());
    none("bridges", after.bridges().count())?;
    none("locks", after.guards.len())?;
    none("drop counters", after.drops.len())?;
    none("masquerades", after.masquerades.len())?;
    none("networks", after.networks.len())?;
    none("tables of ours", usize::from(after.filter.is_some()) + usize::from(after.nat.is_some()))?;
    let same = before.addresses == after.addresses && before.routes == after.routes;
    story.check("addresses and routes are what they were", same, if same { "yes" } else { "no" })
}
