//! Steps that are no message of rtnetlink or nf_tables: settings, waiting, connections.

use super::{Applier, Failure, Pending};
use crate::edge::transport;
use crate::error::{Error, ErrorKind, Result};
use crate::netlink::{conntrack, link, route};
use crate::plan::Step;
use nix::libc;
use std::collections::BTreeSet;
use std::io;
use std::time::Duration;

impl Applier<'_> {
    pub(super) fn write_sysctls(&mut self, pending: Vec<Pending>, done: &mut Vec<Step>) -> Result<(), Failure> {
        for Pending { step, .. } in pending {
            let Step::SetSysctl { sysctl, to, .. } = step else { continue };
            let written = match self.sysctls {
                Some(sysctls) => sysctls.write(sysctl, to),
                None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            };
            // Of an interface that is not there, nothing has to be put back.
            let is_gone = |error: &io::Error| self.tolerant && error.raw_os_error() == Some(libc::ENOENT);
            if let Err(error) = written
                && !is_gone(&error)
            {
                let error = match error.raw_os_error() {
                    Some(errno) => Error::kernel(step.verb(), "it could not be written", errno, None),
                    None => Error::cannot(ErrorKind::Kernel, step.verb(), error.to_string()),
                };
                let by_hand = format!("see what it says to: sysctl -w {sysctl}={to}");
                return Err(Failure::of(&step, error.with_advice(by_hand)));
            }
            done.push(step);
        }
        Ok(())
    }

    /// Waits by the kernel's own word. What does not come in time is not worth undoing all for.
    pub(super) fn wait(&mut self, step: &Step) -> Result<(), Failure> {
        const PATIENCE: Duration = Duration::from_secs(3);
        // The kernel tells nobody when a sender is through that holds a route already. It takes it
        // microseconds, and when softirqs get in between, their 2 ms (MAX_SOFTIRQ_TIME).
        const MOMENT: Duration = Duration::from_millis(3);
        let links = step.links().into_iter().map(|name| self.index(name, step)).collect::<Result<Vec<_>>>();
        let links = links.map_err(|error| Failure::of(step, error))?;
        let route = &mut self.edge.route;
        let came = match (step, links.as_slice()) {
            (Step::AwaitSending { .. }, [bridge, port]) => {
                let questions = [bridge, port].map(|index| link::get_index(*index));
                route.until(link::CHANGES, PATIENCE, |route| {
                    let answers = route.query(&questions)?;
                    let seen = |n: usize| {
                        let (_, body) = answers.get(n)?.messages.first()?;
                        Some(link::is_sending(body))
                    };
                    let port_has_carrier = seen(1).is_some_and(|(carrier, _)| carrier);
                    Ok(!port_has_carrier || seen(0).is_none_or(|(_, sends)| sends))
                })
            }
            (Step::AwaitAddresses { addresses, .. }, &[index]) => route.until(route::CHANGES6, PATIENCE, |channel| {
                let answer = channel.dump(&route::own6(index))?;
                let own = answer.messages.iter().filter_map(|(_, body)| route::parse_own6(body));
                let own: BTreeSet<_> = own.filter(|(at, _)| *at == index).map(|(_, ip)| ip).collect();
                Ok(addresses.iter().all(|ip| own.contains(ip)))
            }),
            (Step::AwaitSent { .. }, _) => {
                std::thread::sleep(MOMENT);
                Ok(true)
            }
            _ => Ok(true),
        };
        match came {
            Ok(came) => {
                if !came {
                    log::warn!("{step}: not within {} s; going on", PATIENCE.as_secs());
                }
                Ok(())
            }
            Err(error) => Err(Failure::of(step, transport(&step.verb(), &error))),
        }
    }

    /// Deletes what dom0 tracks of these addresses, if it tracks anything.
    pub(super) fn forget_connections(&mut self, pending: &[Pending]) -> Result<(), Failure> {
        // To ask is to load the module that tracks.
        if !std::path::Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists() {
            return Ok(());
        }
        let addresses: Vec<_> = pending
            .iter()
            .flat_map(|pending| match &pending.step {
                Step::ForgetConnections { addresses } => addresses.as_slice(),
                _ => &[],
            })
            .copied()
            .collect();
        let Some(Pending { step, .. }) = pending.first() else { return Ok(()) };
        let failed = |error: &io::Error| Failure::of(step, transport(&step.verb(), error));
        let netfilter = self.edge.netfilter(&step.verb()).map_err(|error| Failure::of(step, error))?;
        for request in conntrack::all_of(&addresses) {
            // A kernel that tracks but does not tell has nothing that could be deleted one by one.
            let found = netfilter.dump(&request).map_err(|error| failed(&error))?;
            let bodies = found.messages.iter().map(|(_, body)| body);
            let deletes: Vec<_> = bodies.filter_map(|body| conntrack::delete_if_of(&addresses, body)).collect();
            // Some end by themselves meanwhile.
            netfilter.query(&deletes).map_err(|error| failed(&error))?;
        }
        Ok(())
    }
}
