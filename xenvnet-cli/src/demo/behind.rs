//! What others do behind the library's back: found, named, mended.

use super::fabric::{Fabric, Namespace, request};
use super::frames::{spoofs, spoofs_routed};
use super::routed::{reaches_outside, shut_out};
use super::stage;
use super::story::Story;
use super::traffic::{FRAMES, Wire, dropped, wait_for};
use crate::failure::Result;
use netlink_packet_core::{NLM_F_ACK, NLM_F_REQUEST};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use rtnetlink::{LinkMessageBuilder, LinkUnspec};
use std::collections::BTreeMap;
use std::io;
use xenvnet_core::{DropReason, Host, Report, Severity};

/// The name that somebody gives a guest's interface.
const STRAY: &str = "stray";

/// A renamed guest is shut until it is locked under its new name.
pub(super) fn rename(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let [one, two] = &fabric.guests;
    let (wire, [foreign, ..]) = (Wire::bridged(one, two)?, spoofs(one, two));
    story.part(&format!("Behind our back: somebody renames {} to {STRAY}", one.vif))?;
    rename_link(&fabric.dom0, one.vif, STRAY).map_err(stage("rename an interface"))?;
    let stray = STRAY.parse()?;
    let wanted = BTreeMap::from([(DropReason::Unguarded, FRAMES + 1)]);
    let mut counted = BTreeMap::new();
    let arrived = wire.send_into_void(&foreign, || {
        counted = wait_for(|| Ok(dropped(&host.snapshot()?, stray)), &wanted)?;
        Ok(())
    })?;
    let frames = counted.get(&DropReason::Unguarded).copied().unwrap_or_default();
    let seen = format!("{arrived} arrived, {frames} counted as {}", DropReason::Unguarded);
    story.check("spoofed and honest frames", arrived == 0 && counted == wanted, seen)?;
    found(story, &host.verify()?, &["renamed"], Severity::Fault)?;
    mended(story, host)?;
    let (arrived, honest) = wire.send(&foreign)?;
    story.check("locked under its new name", arrived == 0 && honest, format!("{arrived} arrived of {}", foreign.claim))
}

/// Without any rules the port still holds the MAC address; verify says what else is open.
pub(super) fn flush(story: &mut Story, host: &Host, fabric: &Fabric) -> Result<()> {
    let [one, two] = &fabric.guests;
    let (wire, [foreign_ip, foreign_mac, ..]) = (Wire::bridged(one, two)?, spoofs(one, two));
    let outward = (Wire::routed(&fabric.routed, &fabric.outside)?, spoofs_routed(&fabric.routed));
    story.part("Behind our back: somebody flushes all rules, as `nft flush ruleset` does")?;
    fabric.dom0.enter(flush_ruleset).map_err(stage("flush the rules"))?;
    let port = host.snapshot()?.link(STRAY.parse()?).and_then(|link| link.port);
    if port.is_some_and(|port| port.locked == Some(true)) {
        let (arrived, honest) = wire.send(&foreign_mac)?;
        let seen = format!("{arrived} arrived: the port itself is locked");
        story.check(&foreign_mac.claim, arrived == 0 && honest, seen)?;
    } else {
        story.text("  This kernel has no lock for bridge ports: the rules were all there was.\n")?;
    }
    let (arrived, _) = wire.send(&foreign_ip)?;
    story.check(&foreign_ip.claim, arrived == FRAMES, format!("{arrived} arrived: a hole"))?;
    let wanted =
        ["dom0_differs", "network_forgotten", "not_at_ingress", "not_locked", "not_masqueraded", "table_missing"];
    found(story, &host.verify()?, &wanted, Severity::Hole)?;
    mended(story, host)?;
    let (wire_out, [_, foreign_out]) = outward;
    for (wire, spoof, guest) in [(wire, foreign_ip, one), (wire_out, foreign_out, &fabric.routed)] {
        let (arrived, honest) = wire.send(&spoof)?;
        let what = format!("{} of guest {}", spoof.claim, guest.ip);
        story.check(what, arrived == 0 && honest, format!("{arrived} arrived"))?;
        reaches_outside(story, fabric, guest)?;
    }
    shut_out(story, host, fabric)
}

/// What is found is exactly this.
fn found(story: &mut Story, report: &Report, wanted: &[&str], worst: Severity) -> Result<()> {
    story.findings(report)?;
    let mut kinds: Vec<_> = report.findings.iter().map(xenvnet_core::Finding::kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let ok = kinds == wanted && report.worst() == Some(worst);
    story.check("verify finds it", ok, kinds.join(" "))
}

fn mended(story: &mut Story, host: &Host) -> Result<()> {
    story.plan(&host.repair()?.repair)?;
    let left = host.verify()?;
    let seen = if left.findings.is_empty() { "nothing is left to find".to_owned() } else { left.to_string() };
    story.check("verify --repair mends it", left.findings.is_empty(), seen)
}

/// As `ip link set` renames. A kernel that renames nothing that is up wants it down for that.
fn rename_link(dom0: &Namespace, from: &str, to: &str) -> io::Result<()> {
    dom0.enter(|| {
        let link = if_nametoindex(from)?;
        let set = |change: LinkMessageBuilder<LinkUnspec>| request(RouteNetlinkMessage::SetLink(change.build()), 0);
        let rename = || set(LinkUnspec::new_with_index(link).name(to.to_owned()));
        match rename() {
            Err(error) if error.raw_os_error() == Some(Errno::EBUSY as i32) => {
                set(LinkUnspec::new_with_index(link).down())?;
                rename()?;
                set(LinkUnspec::new_with_index(link).up())
            }
            result => result,
        }
    })
}

/// The three messages of `nft flush ruleset`: begin, delete whatever table there is, end.
fn flush_ruleset() -> io::Result<()> {
    const SUBSYSTEM: u16 = 10; // NFNL_SUBSYS_NFTABLES
    const BEGIN: u16 = 0x10; // NFNL_MSG_BATCH_BEGIN
    const END: u16 = 0x11; // NFNL_MSG_BATCH_END
    const DELETE_TABLE: u16 = SUBSYSTEM << 8 | 2; // NFT_MSG_DELTABLE
    let message = |kind: u16, flags: u16, resource: u16| {
        let header = [&20_u32.to_ne_bytes()[..], &kind.to_ne_bytes(), &flags.to_ne_bytes(), &[0; 8]].concat();
        // Of family AF_UNSPEC, which is every one.
        [&header[..], &[0, 0], &resource.to_be_bytes()].concat()
    };
    let batch = [
        message(BEGIN, NLM_F_REQUEST, SUBSYSTEM),
        message(DELETE_TABLE, NLM_F_REQUEST | NLM_F_ACK, 0),
        message(END, NLM_F_REQUEST, SUBSYSTEM),
    ];
    let socket = Socket::new(NETLINK_NETFILTER)?;
    socket.send_to(&batch.concat(), &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let code = answer.get(16..20).and_then(|code| code.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => Err(io::Error::from_raw_os_error(-code)),
        None => Err(io::Error::other("the kernel's answer is cut short")),
    }
}
