//! A guest that dom0 routes to: locked as a bridged one is, and kept from dom0 itself.

use super::fabric::{DOM0_OUTSIDE, Fabric, Guest, OUTSIDE, ROUTED_GATEWAY};
use super::frames::{Spoof, spoofs_routed};
use super::locked::refused;
use super::story::Story;
use super::traffic::{FRAMES, Wire, dropped, wait_for, who_am_i};
use super::{lock, name, stage};
use crate::failure::{Result, reason};
use std::io::ErrorKind;
use std::net::{IpAddr, UdpSocket};
use xenvnet_core::{Attachment, Dom0, DropReason, Host, Lock, Masquerade, Operation};

/// What hides the guest behind dom0's address.
pub(super) fn masquerade(guest: &Guest) -> Masquerade {
    Masquerade::new(IpAddr::from(guest.ip).into())
}

/// Attached behind NAT; what it spoofs does not get out.
pub(super) fn attach(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let guest = &fabric.routed;
    let vif = name(guest)?;
    story.part(&format!("{vif} routed, behind NAT, and locked where its frames come in"))?;
    let attachment = Attachment::routed(vif, lock(guest)).gateway(ROUTED_GATEWAY.into());
    let operations = [Operation::AttachVif(attachment), Operation::MasqueradeSubnet(masquerade(guest))];
    let plan = host.plan(&operations)?;
    story.plan(&plan)?;
    story.check("carried out", host.apply(&plan)?.is_changed(), format!("{} steps", plan.steps().len()))?;
    reaches_outside(story, fabric, guest)?;

    let wire = Wire::routed(guest, &fabric.outside)?;
    let spoofs = spoofs_routed(guest);
    refused(story, host, vif, &wire, &spoofs)?;
    // The foreign MAC address alone: what comes from a foreign IPv4 address, reverse path filtering
    // may stop as well.
    let [_, Spoof { claim, .. }] = &spoofs;
    let changed = host.set_antispoof(vif, Lock::Unlocked)?.is_changed();
    let (arrived, _) = wire.send(&spoofs[1])?;
    story.check(format!("{claim}, unlocked"), changed && arrived == FRAMES, format!("{arrived} arrived"))?;
    let changed = host.set_antispoof(vif, lock(guest))?.is_changed();
    let (arrived, honest) = wire.send(&spoofs[1])?;
    story.check("locked again, while up", changed && arrived == 0 && honest, format!("{arrived} arrived of {claim}"))
}

/// Dom0 closed to it: nothing arrives there, while what is routed goes on.
pub(super) fn close(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let guest = &fabric.routed;
    let vif = name(guest)?;
    story.part(&format!("Dom0 closed to {vif}"))?;
    let socket = stage("open a socket in a namespace");
    let from = guest.namespace.udp(guest.ip).map_err(&socket)?;
    let dom0 = fabric.dom0.udp(ROUTED_GATEWAY).map_err(&socket)?;
    reaches(story, guest, "dom0, still open", &from, &dom0, guest.ip.into())?;

    let changed = host.run(&Operation::SetDom0 { interface: vif, access: Dom0::Closed })?.is_changed();
    story.check("closed", changed, if changed { "done" } else { "nothing was done" })?;
    shut_out(story, host, fabric)?;
    reaches_outside(story, fabric, guest)
}

/// What the guest sends to dom0 is counted, and does not arrive.
pub(super) fn shut_out(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let guest = &fabric.routed;
    let vif = name(guest)?;
    let socket = stage("open a socket in a namespace");
    let dom0 = fabric.dom0.udp(ROUTED_GATEWAY).map_err(&socket)?;
    let mut wanted = dropped(&host.snapshot()?, vif);
    *wanted.entry(DropReason::Dom0).or_default() += FRAMES;
    // A socket of its own: what was allowed once is not asked about again.
    let from = guest.namespace.udp(guest.ip).map_err(&socket)?;
    let to = dom0.local_addr().map_err(&socket)?;
    (0..FRAMES).try_for_each(|_| from.send_to(b"?", to).map(drop)).map_err(stage("send a datagram"))?;
    let counted = wait_for(|| Ok(dropped(&host.snapshot()?, vif)), &wanted)?;
    dom0.set_nonblocking(true).map_err(&socket)?;
    let silent = dom0.recv_from(&mut [0; 8]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    let seen = format!(
        "{}, {} counted as {}",
        if silent { "nothing arrived" } else { "something arrived" },
        counted.get(&DropReason::Dom0).copied().unwrap_or_default(),
        DropReason::Dom0
    );
    let what = format!("guest {} to dom0, closed", guest.ip);
    story.check(what, silent && counted == wanted, seen)
}

/// The outside host sees dom0's address.
pub(super) fn reaches_outside(story: &mut Story, fabric: &Fabric, guest: &Guest) -> Result<()> {
    let socket = stage("open a socket in a namespace");
    let from = guest.namespace.udp(guest.ip).map_err(&socket)?;
    let outside = fabric.outside.udp(OUTSIDE).map_err(&socket)?;
    reaches(story, guest, "the outside host", &from, &outside, DOM0_OUTSIDE.into())
}

fn reaches(
    story: &mut Story,
    guest: &Guest,
    whom: &str,
    from: &UdpSocket,
    to: &UdpSocket,
    expected: IpAddr,
) -> Result<()> {
    let what = format!("guest {} to {whom}", guest.ip);
    match who_am_i(from, to) {
        Ok(seen) => story.check(what, seen == expected, format!("it sees {seen}")),
        Err(error) => story.check(what, false, reason(&error)),
    }
}
