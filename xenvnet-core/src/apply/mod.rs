//! A plan carried out: steps become messages, messages become datagrams; what fails is put back.

mod aside;
mod back;
mod messages;
mod names;
mod pins;
mod refusal;

use crate::edge::{Edge, transport};
use crate::entry::EntryKind;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::link::PortState;
use crate::mac::MacAddr;
use crate::netlink::channel::{Answer, Refusal};
use crate::netlink::{Request, link, nf};
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::sysctl::Sysctls;
use back::sets_down;
pub(crate) use names::Names;
use nix::libc;
use refusal::{batch_result, is_so_already, refused_step};
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    Conntrack,
    /// Nothing is changed, something is waited for.
    Waiting,
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

    /// Carries out what is left of the way back of a change, all of it or nothing, each step by itself. What
    /// is so already does not count as failed.
    pub(crate) fn retrace(mut self, plan: &Plan) -> Result<(), Failure> {
        self.tolerant = true;
        let mut done = Vec::new();
        for step in plan.steps() {
            log::debug!("{step}");
            let taken = match self.find(Some(step.clone())) {
                Ok(_) => self.take_alone(step, &mut done),
                Err(error) => Err(Failure::of(step, error)),
            };
            if let Err(failure) = taken {
                return Err(self.put_back(&done, failure));
            }
        }
        Ok(())
    }

    /// Puts back a change that a journal tells, wholly or in part: its interfaces are those that had
    /// these numbers when it began. Carries out what can be carried out; what is so already does not
    /// count as failed.
    pub(crate) fn put_back_plan(mut self, inverse: &Plan, seen: &BTreeMap<IfName, u32>) -> Result<(), Vec<Error>> {
        let errors = self.tolerantly(inverse, Some(Names::at_the_end(seen, inverse)));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn put_back(mut self, done: &[Step], failure: Failure) -> Failure {
        let inverse = done.iter().cloned().collect::<Plan>().inverse();
        log::debug!("{}; putting back {} steps", failure.error, inverse.steps().len());
        let errors = self.tolerantly(&inverse, None);
        if errors.is_empty() {
            return failure;
        }
        let error = failure.error.with_kind(ErrorKind::Undo).and(errors);
        Failure {
            error: error.with_advice("the host is in between: look with `xenvnet status`, put it back by hand"),
            ..failure
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
            _ if self.rests_on_pending(step) => true,
            // What else is being made does not change what it finds.
            Step::RewriteTable { .. } => {
                let makes = |step: &Step| matches!(step, Step::AddTable { .. } | Step::RewriteTable { .. });
                self.pending.iter().any(|pending| !makes(&pending.step))
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

    /// Whether a step does harm, or the wrong thing, where one that waits to be sent fails.
    fn rests_on_pending(&self, step: &Step) -> bool {
        if self.pending.is_empty() {
            return false;
        }
        match step {
            // What is made or taken away, and what dom0 has: not before all of the former is done.
            Step::AddBridge { .. } | Step::DeleteBridge { .. } | Step::MoveEntry { .. } => true,
            Step::AddEntry { entry } | Step::DeleteEntry { entry } => entry.kind() != EntryKind::Neighbour,
            // Off its bridge nothing filters what it lets in, should it still be up.
            Step::Release { port, .. } => self.pending.iter().any(|pending| sets_down(&pending.step) == Some(*port)),
            // Down, renamed and up: in a datagram that is not cut in between.
            Step::Rename { pause: true, .. } => true,
            // The name may not be free yet.
            Step::Rename { to, .. } => {
                self.pending.iter().any(|pending| matches!(&pending.step, Step::Rename { from, .. } if from == to))
            }
            _ => false,
        }
    }

    fn index(&self, name: IfName, step: &Step) -> Result<u32> {
        self.indices
            .get(&name)
            .copied()
            .ok_or_else(|| Error::cannot(ErrorKind::NotFound, step.verb(), format!("no interface named {name}")))
    }

    /// Sends what was collected. Steps that were carried out, wholly or in part, are added to
    /// `done`, so that they are put back.
    fn flush(&mut self, done: &mut Vec<Step>) -> Result<(), Failure> {
        let pending = std::mem::take(&mut self.pending);
        let requests = std::mem::take(&mut self.requests);
        let Some(first) = pending.first() else { return Ok(()) };
        match self.medium {
            Medium::Sysctl => self.write_sysctls(pending, done),
            Medium::Conntrack => self.forget_connections(&pending),
            Medium::Waiting => {
                pending.iter().try_for_each(|pending| self.wait(&pending.step))?;
                done.extend(pending.into_iter().map(|pending| pending.step));
                Ok(())
            }
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
            if answers.is_empty() && requests > 0 {
                // Never sent: a datagram before it had a refusal.
                continue;
            }
            let refused = answers.iter().filter_map(|answer| answer.refusal.as_ref());
            let refused: Vec<_> = refused.filter(|refusal| !self.is_fine(&step, refusal)).collect();
            // A bridge that was not made is not this step's: somebody else has the name.
            let is_anothers = matches!(step, Step::AddBridge { .. })
                && answers.first().is_some_and(|answer| answer.refusal.is_some())
                && !refused.is_empty();
            // What was not to be deleted the kernel may have forgotten since by itself, as it does with the
            // neighbours of an interface that goes down.
            let may_be_gone = matches!(
                step,
                Step::DeleteEntry { .. }
                    | Step::DeleteAddress { .. }
                    | Step::DeleteRoute { .. }
                    | Step::DeleteFdb { .. }
            );
            if (refused.len() < answers.len() || may_be_gone) && !is_anothers {
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
        // The kernel makes routes to the subnets of addresses by itself, and forgets neighbours; with the
        // first address of a subnet the others go, and the routes by way of it.
        let by_itself = match step {
            Step::AddEntry { entry } => entry.kind() == EntryKind::Route && refusal.errno == libc::EEXIST,
            Step::DeleteEntry { entry } if entry.kind() == EntryKind::Neighbour => refusal.errno == libc::ENOENT,
            Step::DeleteAddress { .. } | Step::DeleteEntry { .. } => refusal.errno == libc::EADDRNOTAVAIL,
            Step::DeleteRoute { .. } => refusal.errno == libc::ESRCH,
            _ => false,
        };
        unpinned || by_itself || (self.tolerant && is_so_already(step, refusal))
    }

    /// Where a new bridge is found, also when something else about it was refused.
    fn learn(&mut self, step: &Step, answers: &[Answer]) {
        let Step::AddBridge { bridge, .. } = step else { return };
        if !self.tolerant && answers.first().is_some_and(|answer| answer.refusal.is_some()) {
            return;
        }
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
        Step::ForgetConnections { .. } => Medium::Conntrack,
        Step::AwaitSending { .. } | Step::AwaitAddresses { .. } | Step::AwaitSent { .. } => Medium::Waiting,
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
        | Step::SetAccount { .. }
        | Step::RewriteTable { .. }
        | Step::Restore { .. }
        | Step::Sweep { .. }
        | Step::AddForward { .. }
        | Step::DeleteForward { .. }
        | Step::AddNetwork { .. }
        | Step::DeleteNetwork { .. } => Medium::Netfilter,
        _ => Medium::Route,
    }
}
