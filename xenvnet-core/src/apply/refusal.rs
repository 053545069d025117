//! The kernel's no, in people's words.

use super::{Failure, Pending};
use crate::edge::{no_nf_tables, not_ours};
use crate::error::{Error, ErrorKind};
use crate::netlink::channel::{Answer, Refusal};
use crate::plan::Step;
use crate::table::Table;
use nix::libc;

/// Whether a refusal of a step that puts back says that there is nothing to put back.
pub(super) fn is_so_already(step: &Step, refusal: &Refusal) -> bool {
    match (step, refusal.errno) {
        // What is gone needs nothing.
        (_, libc::ENODEV) => true,
        (Step::DeleteFdb { .. } | Step::DeleteTable { .. } | Step::DeleteNetwork { .. }, libc::ENOENT) => true,
        // Nothing is pinned to what is no port any more.
        (Step::AddFdb { .. } | Step::DeleteFdb { .. }, libc::EOPNOTSUPP) => true,
        (Step::DeleteForward { .. }, libc::ENOENT) => true,
        (Step::DeleteAddress { .. }, libc::EADDRNOTAVAIL) => true,
        (Step::DeleteRoute { .. }, libc::ESRCH) => true,
        (Step::AddEntry { .. } | Step::MoveEntry { .. }, libc::EEXIST) => true,
        // Each part of the kernel has its own word for what is not there.
        (Step::DeleteEntry { .. }, libc::ENOENT | libc::ESRCH | libc::EADDRNOTAVAIL) => true,
        (Step::AddAddress { .. } | Step::AddRoute { .. }, libc::EEXIST) => true,
        (Step::AddTable { .. } | Step::AddBridge { .. } | Step::Rename { .. }, libc::EEXIST) => true,
        _ => false,
    }
}

/// A batch stands or falls as a whole; the first refusal tells why.
pub(super) fn batch_result(pending: &[Pending], answers: &[Answer], tolerant: bool) -> Result<(), Failure> {
    // The envelope comes first.
    let mut at = 1;
    for Pending { step, requests } in pending {
        let part = answers.get(at..at + requests).unwrap_or_default();
        if let Some(refusal) = part.iter().find_map(|answer| answer.refusal.as_ref()) {
            if tolerant && is_so_already(step, refusal) {
                return Ok(());
            }
            return Err(Failure::of(step, refused_step(step, refusal)));
        }
        at += requests;
    }
    let envelope = answers.first().into_iter().chain(answers.last());
    let refusal = envelope.filter_map(|answer| answer.refusal.as_ref()).next();
    match (refusal, pending.first()) {
        (Some(refusal), Some(Pending { step, .. })) => {
            let missing = matches!(refusal.errno, libc::EINVAL | libc::EOPNOTSUPP);
            let error = if missing { no_nf_tables(&step.verb()) } else { refused_step(step, refusal) };
            Err(Failure::of(step, error))
        }
        _ => Ok(()),
    }
}

/// The kernel's no to a step, in people's words where the reason is known.
pub(super) fn refused_step(step: &Step, refusal: &Refusal) -> Error {
    let words = refusal.words.clone();
    let error = |reason: &str| Error::kernel(step.verb(), reason, refusal.errno, words.clone());
    match (step, refusal.errno) {
        (_, libc::EPERM) => error("it takes a privilege"),
        (
            Step::AddTable { .. } | Step::AddMasquerade { .. },
            libc::EOPNOTSUPP | libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT | libc::ENOENT,
        ) => {
            let options = match step {
                Step::AddTable { table } => options(*table),
                _ => "CONFIG_NFT_NAT and CONFIG_NFT_MASQ",
            };
            error("this kernel's nf_tables lacks something that it needs")
                .with_kind(ErrorKind::Unsupported)
                .with_advice(format!("use a kernel with {options}"))
        }
        (Step::AddHook { .. }, libc::EOPNOTSUPP | libc::ENOENT) => error("this kernel filters nothing at ingress")
            .with_kind(ErrorKind::Unsupported)
            .with_advice(format!("use a kernel with {}", options(Table::Netdev))),
        (Step::AddTable { table } | Step::SetGuard { table, .. }, libc::EEXIST) => {
            not_ours(&step.verb(), *table).with_errno(refusal.errno)
        }
        (Step::AddBridge { .. }, libc::EOPNOTSUPP) => error("this kernel has no bridges")
            .with_advice("load the module bridge, or use a kernel with CONFIG_BRIDGE"),
        (Step::Enslave { macs, .. }, libc::EEXIST) if !macs.is_empty() => error("its MAC address is on another port"),
        (Step::AddFdb { .. }, libc::EEXIST) => error("it is on another port").with_kind(ErrorKind::Conflict),
        (Step::Enslave { bridge, .. }, libc::EXFULL) => {
            error(&format!("{bridge} has as many ports as the kernel allows (1024)"))
        }
        (Step::Enslave { .. }, libc::ELOOP) => error("it is a bridge itself"),
        (Step::Enslave { port, .. }, libc::EOPNOTSUPP) => {
            error("it cannot carry other machines' frames, as the client of a wireless network cannot")
                .with_kind(ErrorKind::Unsupported)
                .with_advice(format!("route or masquerade guests instead: network-nat netdev={port}"))
        }
        (Step::Enslave { port, .. }, libc::EBUSY) => {
            error("something else takes what comes in by it, such as a macvlan, a bond or Open vSwitch")
                .with_kind(ErrorKind::Busy)
                .with_advice(format!("see what is on it: ip -d link show; ovs-vsctl list-ports; then free {port}"))
        }
        (Step::Rename { to, .. }, libc::EEXIST) => error(&format!("the name {to} is taken")),
        (Step::Rename { .. }, libc::EBUSY) => error("it is up"),
        (_, libc::ENODEV) => error("an interface vanished meanwhile"),
        _ => error("the kernel refused"),
    }
}

/// The options of a kernel that a table needs.
fn options(table: Table) -> &'static str {
    match table {
        Table::Bridge => "CONFIG_NF_TABLES_BRIDGE",
        Table::Netdev => "CONFIG_NF_TABLES_NETDEV and CONFIG_NETFILTER_INGRESS",
        Table::Inet => "CONFIG_NF_TABLES_INET",
        Table::Dom0 => "CONFIG_NF_TABLES_INET and CONFIG_NFT_CT",
        Table::Untracked => "CONFIG_NF_TABLES_BRIDGE and CONFIG_NFT_CT",
        Table::Accounts => "CONFIG_NF_TABLES_BRIDGE",
        Table::RoutedAccounts => "CONFIG_NF_TABLES_INET",
        Table::Forwards => "CONFIG_NF_TABLES_INET, CONFIG_NFT_NAT, CONFIG_NFT_MASQ and CONFIG_NFT_FIB_INET",
    }
}
