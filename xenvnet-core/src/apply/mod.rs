//! A plan carried out: steps become messages, messages become datagrams; what fails is put back.

mod refusal;

use crate::edge::{Edge, transport};
use crate::error::{Error, ErrorKind, Result};
use crate::guard;
use crate::ifname::IfName;
use crate::mac::MacAddr;
use crate::masquerade::Masquerade;
use crate::needs::Needs;
use crate::netlink::channel::{Answer, Refusal};
use crate::netlink::{Request, address, link, neighbour, nf, route};
use crate::plan::{Plan, Step};
use crate::snapshot::{PortState, Snapshot};
use crate::sysctl::Sysctls;
use crate::table::Table;
use nix::libc;
use refusal::{batch_result, is_so_already, refused_step};
use std::collections::{BTreeSet, HashMap};
use std::io;

/// What carries steps out.
pub(crate) struct Applier<'a> {
    edge: &'a mut Edge,
    sysctls: Option<&'a Sysctls>,
    /// Where each interface is found. Names that are given away stay known, for the way back.
    indices: HashMap<IfName, u32>,
    ipv6: bool,
    /// Steps whose messages are collected, not sent yet.
    pending: Vec<Pending>,
    requests: Vec<Request>,
    medium: Medium,
    /// Addresses that a bridge merely learned somewhere: they are taken over.
    learned: BTreeSet<MacAddr>,
    /// Putting back: what is so already is no failure.
    tolerant: bool,
}

/// Which of the sockets a step goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Medium {
    Route,
    Netfilter,
    Sysctl,
}

#[derive(Debug)]
struct Pending {
    step: Step,
    /// How many of the collected requests are its.
    requests: usize,
}

/// Where a plan stopped.
pub(crate) struct Failure {
    pub(crate) error: Error,
    /// The step that failed.
    pub(crate) step: Box<Step>,
}

impl Failure {
    pub(crate) fn of(step: &Step, error: Error) -> Failure {
        Failure { error, step: Box::new(step.clone()) }
    }
}

impl<'a> Applier<'a> {
    /// For a host that was seen so: a plan made from that snapshot finds its interfaces in it.
    pub(crate) fn new(edge: &'a mut Edge, sysctls: Option<&'a Sysctls>, seen: &Snapshot) -> Applier<'a> {
        Applier {
            edge,
            sysctls,
            indices: seen.links.values().map(|link| (link.name, link.index)).collect(),
            ipv6: sysctls.is_some_and(Sysctls::has_ipv6),
            pending: Vec::new(),
            requests: Vec::new(),
            medium: Medium::Route,
            learned: BTreeSet::new(),
            tolerant: false,
        }
    }

    /// Taking over these addresses from wherever a bridge learned them.
    pub(crate) fn taking_over(mut self, learned: BTreeSet<MacAddr>) -> Applier<'a> {
        self.learned = learned;
        self
    }

    /// Carries out all steps, or puts back those that were.
    pub(crate) fn apply(mut self, plan: &Plan) -> Result<(), Failure> {
        let mut done = Vec::new();
        let mut failure = None;
        for step in plan.steps() {
            log::debug!("{step}");
            if let Err(stopped) = self.take(step, &mut done) {
                failure = Some(stopped);
                break;
            }
        }
        let failure = match failure {
            None => self.flush(&mut done).err(),
            stopped => stopped,
        };
        match failure {
            None => Ok(()),
            Some(failure) => Err(self.put_back(&done, failure)),
        }
    }

    /// Carries out what can be carried out; what is so already does not count as failed.
    pub(crate) fn put_back_plan(mut self, inverse: &Plan) -> Result<(), Vec<Error>> {
        let errors = self.tolerantly(inverse);
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn put_back(mut self, done: &[Step], failure: Failure) -> Failure {
        let inverse = done.iter().cloned().collect::<Plan>().inverse();
        log::debug!("{}; putting back {} steps", failure.error, inverse.steps().len());
        let errors = self.tolerantly(&inverse);
        if errors.is_empty() {
            return failure;
        }
        let error = failure.error.with_kind(ErrorKind::Undo).and(errors);
        Failure {
            error: error.with_advice("the host is in between: look with `xenvnet status`, put it back by hand"),
            ..failure
        }
    }

    fn tolerantly(&mut self, plan: &Plan) -> Vec<Error> {
        self.tolerant = true;
        self.pending.clear();
        self.requests.clear();
        let mut errors = Vec::new();
        // Interfaces of which something could not be put back.
        let mut unsound = BTreeSet::new();
        for step in plan.steps() {
            match step {
                // Whatever failed may have been the lock: better down than up without it.
                Step::Up { link } if unsound.contains(link) => {
                    let why = "what was to be put back on it before was not; it stays down";
                    errors.push(Error::cannot(ErrorKind::Conflict, step.verb(), why));
                    continue;
                }
                _ => self.find(step),
            }
            // One by one: each has its own chance.
            let taken = self.take(step, &mut Vec::new()).and_then(|()| self.flush(&mut Vec::new()));
            if let Err(failure) = taken {
                self.pending.clear();
                self.requests.clear();
                // An interface that is gone needs nothing. The kernel's own "not found" is another matter.
                if failure.error.kind() != ErrorKind::NotFound || failure.error.errno().is_some() {
                    unsound.extend(step.links());
                    if let Step::SetGuard { vif, .. } = step {
                        unsound.insert(*vif);
                    }
                    errors.push(failure.error);
                }
            }
        }
        errors
    }

    /// Looks for the interfaces of a step that are not known: one that was made while its answer
    /// was lost is there all the same.
    fn find(&mut self, step: &Step) {
        let unknown: Vec<_> = step.links().into_iter().filter(|name| !self.indices.contains_key(name)).collect();
        let questions: Vec<_> = unknown.iter().map(|name| link::get(*name)).collect();
        for (name, answer) in unknown.into_iter().zip(self.edge.route.query(&questions).unwrap_or_default()) {
            if let Some(seen) = link_in(&[answer]) {
                self.indices.insert(name, seen.link.index);
            }
        }
    }

    /// Collects a step, sending what was collected before where the step must not travel with it.
    fn take(&mut self, step: &Step, done: &mut Vec<Step>) -> Result<(), Failure> {
        let medium = medium(step);
        // The kernel goes on with a datagram after one of its messages failed: setting up never
        // shares one with what it depends on. A table that is deleted is looked at first.
        let alone = match step {
            Step::Up { .. } => self.pending.iter().any(|pending| !matches!(pending.step, Step::Up { .. })),
            Step::DeleteTable { .. } | Step::Restore { .. } => true,
            // What else is being made does not change what it finds.
            Step::RewriteTable { .. } => {
                self.pending.iter().any(|pending| !matches!(pending.step, Step::AddTable { .. }))
            }
            _ => self.pending.iter().any(|pending| matches!(pending.step, Step::Up { .. } | Step::DeleteTable { .. })),
        };
        if medium != self.medium || alone {
            self.flush(done)?;
        }
        self.medium = medium;
        let fail = |error: Error| Failure::of(step, error);
        let requests = match self.requests(step) {
            // Its interface is made by a step that waits to be sent.
            Err(error) if error.kind() == ErrorKind::NotFound && !self.pending.is_empty() => {
                self.flush(done)?;
                self.requests(step)
            }
            other => other,
        };
        let requests = requests.map_err(fail)?;
        self.pending.push(Pending { step: step.clone(), requests: requests.len() });
        self.requests.extend(requests);
        Ok(())
    }

    fn index(&self, name: IfName, step: &Step) -> Result<u32> {
        self.indices
            .get(&name)
            .copied()
            .ok_or_else(|| Error::cannot(ErrorKind::NotFound, step.verb(), format!("no interface named {name}")))
    }

    /// The messages of a step.
    fn requests(&mut self, step: &Step) -> Result<Vec<Request>> {
        let index = |name: IfName| self.index(name, step);
        Ok(match step {
            Step::AddBridge { bridge, mac, mtu, state, auto_link_local } => {
                let mut requests =
                    link::add_bridge(*bridge, *mac, *mtu, *state, *auto_link_local || !self.ipv6).to_vec();
                // Asked for in the same datagram: the steps after need its index.
                requests.push(link::get(*bridge));
                requests
            }
            Step::DeleteBridge { bridge, .. } => vec![link::delete(index(*bridge)?)],
            Step::SetBridge { bridge, to, .. } => link::set_bridge(index(*bridge)?, *to),
            Step::Rename { from, to } => {
                let index = index(*from)?;
                self.indices.insert(*to, index);
                vec![link::rename(index, *to)]
            }
            Step::SetLink { link, to, .. } => vec![link::set_settings(index(*link)?, to)],
            Step::Up { link } => vec![link::set_up(index(*link)?, true)],
            Step::Down { link } => vec![link::set_up(index(*link)?, false)],
            Step::Enslave { port, bridge, state, macs, pinning } => {
                let port = index(*port)?;
                let mut requests =
                    vec![link::set_master(port, Some(index(*bridge)?)), link::set_port(port, *state, false)];
                requests
                    .extend(macs.iter().map(|mac| neighbour::pin(port, *mac, *pinning, self.learned.contains(mac))));
                requests
            }
            Step::Release { port, .. } => vec![link::set_master(index(*port)?, None)],
            Step::SetPort { port, from, to } => {
                vec![link::set_port(index(*port)?, *to, from.learning && !to.learning)]
            }
            Step::AddFdb { port, mac, pinning } => {
                vec![neighbour::pin(index(*port)?, *mac, *pinning, self.learned.contains(mac))]
            }
            Step::DeleteFdb { port, mac, .. } => vec![neighbour::unpin(index(*port)?, *mac)],
            Step::AddAddress { link, address } => vec![address::add(index(*link)?, *address)],
            Step::DeleteAddress { link, address } => vec![address::delete(index(*link)?, *address)],
            Step::AddRoute { link, subnet } => vec![route::add(index(*link)?, *subnet)],
            Step::DeleteRoute { link, subnet } => vec![route::delete(index(*link)?, *subnet)],
            Step::Check { link, .. } => vec![link::get_index(index(*link)?)],
            Step::AddTable { table } => nf::add_table(*table),
            Step::DeleteTable { table } => self.delete_table(*table, step)?,
            Step::SetGuard { table, vif, from, to } => {
                if !self.tolerant {
                    return Ok(nf::guard::change_lock(*table, *vif, from.as_ref(), to.as_ref()));
                }
                // Where a change was cut off nobody knows which lock stands: it is looked up, by
                // what is really in the sets. The tables may be gone too.
                let now = self
                    .look(Needs { guards: [*vif].into(), facts: true, at_ingress: true, ..Needs::default() }, step)?;
                let steps = guard::step_guard(*table, *vif, now.guards_in(*table).get(vif), to.as_ref(), &now);
                let mut requests = Vec::new();
                for step in steps {
                    requests.extend(match step {
                        Step::SetGuard { table, vif, from, to } => {
                            nf::guard::change_lock(table, vif, from.as_ref(), to.as_ref())
                        }
                        Step::AddTable { table } => nf::add_table(table),
                        other => self.requests(&other)?,
                    });
                }
                requests
            }
            Step::ForgetDrops { table, vif, reasons } => nf::guard::forget_drops(*table, *vif, reasons),
            Step::AddHook { vif } => nf::add_hook(*vif),
            Step::DeleteHook { vif } => {
                // Before Linux 6.16 the chain goes with its device.
                let chain = self.answered(nf::get_hook(*vif), step)?;
                let word = self.answered(nf::at_ingress::get_one(*vif), step)?;
                nf::delete_hook(*vif, chain, word)
            }
            Step::SetDom0 { interface, from, to } => {
                if !self.tolerant {
                    return Ok(nf::dom0::change_access(*interface, from.as_ref(), to.as_ref()));
                }
                let now = self.look(Needs { dom0: [*interface].into(), ..Needs::default() }, step)?;
                let table = (to.is_some() && !now.has(Table::Dom0)).then(|| nf::add_table(Table::Dom0));
                let change = nf::dom0::change_access(*interface, now.dom0.get(interface), to.as_ref());
                table.into_iter().flatten().chain(change).collect()
            }
            Step::SetUntracked { vif, from, to } => {
                if !self.tolerant {
                    return Ok(nf::untracked::change_tracking(*vif, from.as_ref(), to.as_ref()));
                }
                let now = self.look(Needs { untracked: [*vif].into(), untracking: true, ..Needs::default() }, step)?;
                let table = (to.is_some() && !now.has(Table::Untracked)).then(|| nf::add_table(Table::Untracked));
                let change = nf::untracked::change_tracking(*vif, now.untracked.get(vif), to.as_ref());
                table.into_iter().flatten().chain(change).collect()
            }
            Step::RewriteTable { table } => {
                let found = self.edge.inspect(*table).map_err(|error| error.doing(step.verb()))?;
                if found.is_present() { nf::rewrite(*table, &found, None) } else { nf::add_table(*table) }
            }
            Step::Restore { contents } => {
                let mut found = std::collections::BTreeMap::new();
                for table in Table::ALL.iter().copied() {
                    found.insert(table, self.edge.inspect(table).map_err(|error| error.doing(step.verb()))?);
                }
                nf::restore(&found, contents)
            }
            Step::AddMasquerade { masquerade } if self.tolerant && !self.rules_of(masquerade, step)?.is_empty() => {
                Vec::new()
            }
            Step::AddMasquerade { masquerade } => vec![nf::add_masquerade(masquerade)],
            Step::DeleteMasquerade { masquerade } => {
                self.rules_of(masquerade, step)?.into_iter().map(nf::delete_masquerade).collect()
            }
            Step::AddNetwork { record } => vec![nf::networks::add(record)],
            Step::DeleteNetwork { record } => vec![nf::networks::delete(record)],
            Step::SetSysctl { .. } => Vec::new(),
        })
    }

    /// Whether there is what a question asks for.
    fn answered(&mut self, question: Request, step: &Step) -> Result<bool> {
        let verb = step.verb();
        let answers = self.edge.netfilter(&verb)?.query(&[question]).map_err(|error| transport(&verb, &error))?;
        Ok(answers.iter().any(|answer| answer.refusal.is_none() && !answer.messages.is_empty()))
    }

    fn look(&mut self, needs: Needs, step: &Step) -> Result<Snapshot> {
        self.edge.observe(&step.verb(), &needs)
    }

    /// The handles of the rules for a subnet.
    fn rules_of(&mut self, masquerade: &Masquerade, step: &Step) -> Result<Vec<u64>> {
        let rules = self.dump(&nf::get_masquerades(), step)?;
        let rules = rules.messages.iter().filter_map(|(_, body)| nf::parse_masquerade(body));
        Ok(rules.filter(|(rule, _)| rule == masquerade).map(|(_, handle)| handle).collect())
    }

    fn dump(&mut self, request: &Request, step: &Step) -> Result<Answer> {
        let verb = step.verb();
        self.edge.netfilter(&verb)?.dump(request).map_err(|error| transport(&verb, &error))
    }

    /// A plan may be old: a table that is in use by then stays.
    fn delete_table(&mut self, table: Table, step: &Step) -> Result<Vec<Request>> {
        let dump = |this: &mut Self, request: Request| this.dump(&request, step).map(|answer| answer.messages);
        let mut is_empty = |request: Request| dump(self, request).map(|messages| !nf::has_elements(&messages));
        let in_use = match table {
            Table::Bridge | Table::Netdev => !is_empty(nf::guard::get_every(table))?,
            Table::Dom0 => !is_empty(nf::dom0::get_every())?,
            Table::Untracked => !is_empty(nf::untracked::get_every())?,
            Table::Inet => {
                !is_empty(nf::networks::get_every())? || !is_empty(nf::at_ingress::get_every())? || {
                    let rules = self.dump(&nf::get_masquerades(), step)?;
                    rules.messages.iter().any(|(_, body)| nf::is_postrouting(body))
                }
            }
        };
        Ok(if in_use { Vec::new() } else { vec![nf::delete_table(table)] })
    }

    /// Sends what was collected. Steps that were carried out, wholly or in part, are added to
    /// `done`, so that they are put back.
    fn flush(&mut self, done: &mut Vec<Step>) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        let requests = std::mem::take(&mut self.requests);
        let Some(first) = pending.first() else { return Ok(()) };
        match self.medium {
            Medium::Sysctl => self.write_sysctls(pending, done),
            Medium::Netfilter if requests.is_empty() => {
                done.extend(pending.into_iter().map(|pending| pending.step));
                Ok(())
            }
            Medium::Netfilter => {
                let verb = first.step.verb();
                let netfilter = self.edge.netfilter(&verb).map_err(|error| Failure::of(&first.step, error))?;
                let sent = netfilter.transact(&nf::batch(requests)).map_err(|error| transport(&verb, &error));
                let answers = match sent {
                    Ok(answers) => answers,
                    Err(error) => {
                        // Nobody knows whether the kernel took it: all of it is put back.
                        let failure = Failure::of(&first.step, error);
                        done.extend(pending.into_iter().map(|pending| pending.step));
                        return Err(failure);
                    }
                };
                batch_result(&pending, &answers, self.tolerant)?;
                done.extend(pending.into_iter().map(|pending| pending.step));
                Ok(())
            }
            Medium::Route => {
                let sent = self.edge.route.ask(&requests, true);
                let unknown = |error: &io::Error| Failure::of(&first.step, transport(&first.step.verb(), error));
                match sent {
                    Ok(answers) => self.route_result(pending, answers, done),
                    Err(error) => {
                        // Nobody knows how far the kernel got: all of it is put back.
                        let failure = unknown(&error);
                        done.extend(pending.into_iter().map(|pending| pending.step));
                        Err(failure)
                    }
                }
            }
        }
    }

    fn write_sysctls(&mut self, pending: Vec<Pending>, done: &mut Vec<Step>) -> Result<(), Failure> {
        for Pending { step, .. } in pending {
            let Step::SetSysctl { sysctl, to, .. } = step else { continue };
            let written = match self.sysctls {
                Some(sysctls) => sysctls.write(sysctl, to),
                None => Err(io::Error::from_raw_os_error(libc::ENOENT)),
            };
            if let Err(error) = written {
                let error = match error.raw_os_error() {
                    Some(errno) => Error::kernel(step.verb(), "it could not be written", errno, None),
                    None => Error::cannot(ErrorKind::Kernel, step.verb(), error.to_string()),
                };
                return Err(Failure::of(&step, error));
            }
            done.push(step);
        }
        Ok(())
    }

    /// Judges the answers step by step. After the first refusal the kernel went on with the rest of
    /// the datagram: those are done too, and are put back too.
    fn route_result(
        &mut self,
        pending: Vec<Pending>,
        answers: Vec<Answer>,
        done: &mut Vec<Step>,
    ) -> Result<(), Failure> {
        let mut answers = answers.into_iter();
        let mut failure = None;
        for Pending { step, requests } in pending {
            let answers: Vec<_> = answers.by_ref().take(requests).collect();
            self.learn(&step, &answers);
            if answers.len() < requests {
                // Never sent: a datagram before it had a refusal.
                continue;
            }
            let refused = answers.iter().filter_map(|answer| answer.refusal.as_ref());
            let refused: Vec<_> = refused.filter(|refusal| !self.is_fine(&step, refusal)).collect();
            if refused.len() < requests {
                done.push(step.clone());
            }
            let error = match refused.first() {
                Some(refusal) => Some(refused_step(&step, refusal)),
                None => self.read(&step, &answers).err(),
            };
            if let (Some(error), None) = (error, &failure) {
                failure = Some(Failure::of(&step, error));
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// An address that is to be unpinned may be unpinned already, whoever did it.
    fn is_fine(&self, step: &Step, refusal: &Refusal) -> bool {
        let unpinned = matches!((step, refusal.errno), (Step::DeleteFdb { .. }, libc::ENOENT));
        unpinned || (self.tolerant && is_so_already(step, refusal))
    }

    /// Where a new bridge is found, also when something else about it was refused.
    fn learn(&mut self, step: &Step, answers: &[Answer]) {
        let Step::AddBridge { bridge, .. } = step else { return };
        if let Some(seen) = link_in(answers) {
            self.indices.insert(*bridge, seen.link.index);
        }
    }

    /// What a step's answer tells.
    fn read(&mut self, step: &Step, answers: &[Answer]) -> Result<()> {
        let seen = link_in(answers);
        match step {
            Step::AddBridge { .. } if seen.is_none() => {
                return Err(Error::cannot(ErrorKind::NotFound, step.verb(), "it vanished at once"));
            }
            Step::Check { link, bridge, group, state } => {
                let unproven = |why: String| Err(Error::cannot(ErrorKind::Conflict, step.verb(), why));
                let Some(seen) = seen else { return unproven("it vanished".to_owned()) };
                if seen.link.name != *link {
                    return unproven(format!("its name is {}", seen.link.name));
                }
                match bridge {
                    Some(bridge) if seen.master != self.indices.get(bridge).copied() => {
                        return unproven(format!("it is no port of {bridge}"));
                    }
                    None if seen.master.is_some() => return unproven("it is a port of a bridge".to_owned()),
                    _ => {}
                }
                if seen.link.group != *group {
                    return unproven(format!("it is in group {}, not in {group}", seen.link.group));
                }
                let flags = seen.link.port.unwrap_or_default();
                // A kernel before 5.18 has no `locked`; there the rules alone hold the MAC.
                let known = PortState { locked: flags.locked.and(state.locked), ..*state };
                if bridge.is_some() && flags != known {
                    return unproven(format!("its port flags are {flags}, not {state}"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

fn link_in(answers: &[Answer]) -> Option<link::Seen> {
    answers.iter().flat_map(|answer| &answer.messages).find_map(|(kind, body)| link::parse(*kind, body))
}

fn medium(step: &Step) -> Medium {
    match step {
        Step::SetSysctl { .. } => Medium::Sysctl,
        Step::AddTable { .. }
        | Step::DeleteTable { .. }
        | Step::SetGuard { .. }
        | Step::ForgetDrops { .. }
        | Step::AddMasquerade { .. }
        | Step::DeleteMasquerade { .. }
        | Step::AddHook { .. }
        | Step::DeleteHook { .. }
        | Step::SetDom0 { .. }
        | Step::SetUntracked { .. }
        | Step::RewriteTable { .. }
        | Step::Restore { .. }
        | Step::AddNetwork { .. }
        | Step::DeleteNetwork { .. } => Medium::Netfilter,
        _ => Medium::Route,
    }
}
