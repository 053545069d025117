//! Bridged guests: who reaches whom, and what is kept from whom.

use super::fabric::{DOM0_OUTSIDE, Fabric, GATEWAY, OUTSIDE};
use super::frames::{self, Spoof};
use super::story::Story;
use super::traffic::{FRAMES, Wire, dropped, wait_for, who_am_i};
use super::{lock, name, stage};
use crate::failure::{Result, reason};
use std::io::ErrorKind;
use std::net::IpAddr;
use xenvnet_core::{Host, IfName, Lock};

/// Who reaches whom, and who is seen.
pub(super) fn talk(story: &mut Story, fabric: &Fabric) -> Result<()> {
    story.part("Who reaches whom")?;
    let [one, two] = &fabric.guests;
    let socket = stage("open a socket in a namespace");
    let from = one.namespace.udp(one.ip).map_err(&socket)?;
    let listeners = [
        ("the other guest", two.namespace.udp(two.ip).map_err(&socket)?, IpAddr::from(one.ip)),
        ("dom0", fabric.dom0.udp(GATEWAY).map_err(&socket)?, one.ip.into()),
        ("the outside host", fabric.outside.udp(OUTSIDE).map_err(&socket)?, DOM0_OUTSIDE.into()),
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

/// Frames that a guest must not send: dropped and counted while it is locked, arriving while it is
/// not, which proves that they would do harm.
pub(super) fn spoof(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let [one, two] = &fabric.guests;
    let vif = name(one)?;
    let wire = Wire::bridged(one, two)?;
    let spoofs = frames::spoofs(one, two);

    story.part(&format!("Spoofed frames from {vif}, locked ({FRAMES} of each)"))?;
    refused(story, host, vif, &wire, &spoofs)?;

    let changed = host.set_antispoof(vif, Lock::Unlocked)?.is_changed();
    story.part(&format!("The same frames from {vif}, unlocked"))?;
    for spoof in &spoofs {
        let (arrived, _) = wire.send(spoof)?;
        story.check(&spoof.claim, changed && arrived == FRAMES, format!("{arrived} arrived"))?;
    }
    let changed = host.set_antispoof(vif, lock(one))?.is_changed();
    let (arrived, honest) = wire.send(&spoofs[0])?;
    let ok = changed && arrived == 0 && honest;
    story.check("locked again, while up", ok, format!("{arrived} arrived of {}", spoofs[0].claim))
}

/// Frames that do not arrive, and are counted for what they are.
pub(super) fn refused(story: &mut Story, host: &Host, vif: IfName, wire: &Wire, spoofs: &[Spoof]) -> Result<()> {
    for spoof in spoofs {
        let mut wanted = dropped(&host.snapshot()?, vif);
        *wanted.entry(spoof.reason).or_default() += FRAMES;
        let (arrived, honest) = wire.send(spoof)?;
        let counted = wait_for(|| Ok(dropped(&host.snapshot()?, vif)), &wanted)?;
        let ok = arrived == 0 && honest && counted == wanted;
        let honest = if honest { "" } else { ", nor did an honest frame" };
        let count = counted.get(&spoof.reason).copied().unwrap_or_default();
        story.check(&spoof.claim, ok, format!("{arrived} arrived{honest}, {count} counted as {}", spoof.reason))?;
    }
    Ok(())
}
