//! `xenvnet demo`: the library at work in throw-away namespaces, every claim checked by traffic.
//!
//! What is set up, locked and torn down goes through [`Host`] alone; what is around it, the cables
//! and the guests' own addresses, is [`fabric`]'s, and needs no other program.

mod behind;
mod fabric;
mod frames;
mod locked;
mod routed;
mod story;
mod takeover;
mod traffic;

use crate::failure::{Exit, Failure, Result};
use crate::render;
use fabric::{Fabric, Guest};
use std::fs::{self, DirBuilder};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Instant;
use story::Story;
use xenvnet_core::{Antispoof, Attachment, Host, IfName, Lock, Network, Operation, Snapshot};

const LINE: &str = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24";

const STAGE: &str = r"
  guest 10.98.98.2 -- vif1.0 \
                              xenbr0 10.98.98.1 -- dom0 -- 192.0.2.1 eth0 -- outside host 192.0.2.2
  guest 10.98.98.3 -- vif2.0 /                             |                 (no way back to the guests)
  guest 10.98.99.2 -- vif3.0 -- 10.98.99.1 ----------------+
";

/// What starting the network turns on, read from outside the library.
const IP_FORWARD: &str = "net/ipv4/ip_forward";

pub(crate) fn play(json: bool) -> Result<Exit> {
    let mut story = Story::begin(json);
    let how = fabric::become_able().map_err(|error| {
        Failure::cannot("raise throw-away namespaces", error)
            .advice("run it as root, or allow user namespaces: sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone")
    })?;
    let fabric = Fabric::new().map_err(stage("raise the namespaces and cables of the demo"))?;
    story.part(&format!("Dom0, three guests and an outside host, each in a namespace of its own ({how})"))?;
    story.text(STAGE)?;

    let state = StateDir::new().map_err(stage("make a directory for the demo's state"))?;
    let dom0 = fabric.dom0.descriptor().map_err(stage("enter dom0's namespace"))?;
    let host = Host::options().netns(dom0).state_dir(&state.0).open()?;
    let before = host.snapshot()?;
    let forward = fabric.dom0.setting(IP_FORWARD).map_err(stage("read ip_forward"))?;

    raise(&mut story, &host, &fabric)?;
    locked::talk(&mut story, &fabric)?;
    locked::spoof(&mut story, &host, &fabric)?;
    routed::attach(&mut story, &host, &fabric)?;
    routed::close(&mut story, &host, &fabric)?;
    behind::rename(&mut story, &host, &fabric)?;
    behind::flush(&mut story, &host, &fabric)?;
    story.part("What `xenvnet status` says")?;
    let now = host.snapshot()?;
    story.status(&now, &render::status(&now))?;
    tear_down(&mut story, &host, &fabric)?;
    takeover::play(&mut story, &host, &fabric)?;
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
    let bridge: IfName = "xenbr0".parse()?;
    let mut operations = vec![Operation::StartNetwork(network.clone())];
    for guest in &fabric.guests {
        operations.push(Operation::AttachVif(Attachment::bridged(name(guest)?, bridge, lock(guest))));
    }
    story.part("The plan: start the network, attach two guests")?;
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

fn tear_down(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    story.part("The way back: detach all guests, stop the network")?;
    let mut operations = Vec::new();
    for guest in fabric.guests.iter().chain([&fabric.routed]) {
        operations.push(Operation::DetachVif { vif: name(guest)? });
    }
    operations.push(Operation::UnmasqueradeSubnet(routed::masquerade(&fabric.routed)));
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
    none("locks", after.guards.len() + after.ingress.len() + after.hooks.len() + after.dom0.len())?;
    none("drop counters", after.drops.len())?;
    none("masquerades", after.masquerades.len())?;
    none("networks", after.networks.len())?;
    none("tables of ours", after.tables.len())?;
    let same = before.addresses == after.addresses && before.routes == after.routes;
    story.check("addresses and routes are what they were", same, if same { "yes" } else { "no" })
}
