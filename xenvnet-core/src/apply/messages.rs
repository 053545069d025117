//! The messages of a step.

use super::Applier;
use super::refusal::refused_step;
use crate::account::Account;
use crate::edge::transport;
use crate::error::{Error, ErrorKind, Result};
use crate::guard;
use crate::ifname::IfName;
use crate::link::Link;
use crate::masquerade::Masquerade;
use crate::needs::Needs;
use crate::netlink::channel::Answer;
use crate::netlink::{Request, address, entry, link, neighbour, nf, route};
use crate::plan::Step;
use crate::snapshot::Snapshot;
use crate::table::Table;
use nix::libc;

impl Applier<'_> {
    /// The messages of a step.
    pub(super) fn requests(&mut self, step: &Step) -> Result<Vec<Request>> {
        let index = |name: IfName| self.index(name, step);
        Ok(match step {
            Step::AddBridge { bridge, mac, mtu, state, auto_link_local } => {
                // Whoever had the name before has another one now: nothing is to be mistaken for it, also
                // where the new one's number does not come back.
                self.indices.remove(bridge);
                let mut requests =
                    link::add_bridge(*bridge, *mac, *mtu, *state, *auto_link_local || !self.ipv6).to_vec();
                // Putting back what was put back in part: it is there, but perhaps not the way it is to be.
                if self.tolerant && self.found(link::get(*bridge), step)?.is_some_and(|seen| seen.link.is_bridge()) {
                    requests.remove(0);
                }
                // Asked for in the same datagram: the steps after need its index.
                requests.push(link::get(*bridge));
                requests
            }
            Step::DeleteBridge { bridge, .. } => {
                let bridge = index(*bridge)?;
                let mut requests = self.guests_of(bridge, step)?;
                // Not with them: the kernel would go on and delete it where one of them could not be set down.
                requests.push(link::delete(bridge).alone());
                requests
            }
            Step::SetBridge { bridge, to, .. } => link::set_bridge(index(*bridge)?, *to),
            Step::Rename { from, to, pause } => {
                let index = index(*from)?;
                self.indices.insert(*to, index);
                let rename = link::rename(index, *to);
                match pause {
                    // In one datagram: the kernel goes on with it, whatever becomes of us or of the name.
                    true => vec![link::set_up(index, false), rename, link::set_up(index, true)],
                    false => vec![rename],
                }
            }
            Step::SetLink { link, to, .. } => vec![link::set_settings(index(*link)?, to)],
            Step::Up { link } => vec![link::set_up(index(*link)?, true)],
            Step::Down { link } => vec![link::set_up(index(*link)?, false)],
            Step::Enslave { port, bridge, state, macs, pinning } => {
                let (port, bridge) = (index(*port)?, index(*bridge)?);
                let mut requests = vec![link::set_master(port, Some(bridge)), link::set_port(port, *state, false)];
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
            Step::AddRoute { link, subnet, metric } => vec![route::add(index(*link)?, *subnet, *metric)],
            Step::DeleteRoute { link, subnet, metric } => vec![route::delete(index(*link)?, *subnet, *metric)],
            Step::AddEntry { entry } => self.numbered(step, |index| entry::add(entry, index))?,
            Step::DeleteEntry { entry } => self.numbered(step, |index| entry::delete(entry, index))?,
            Step::MoveEntry { entry, from, to } => {
                let moved = entry.moved(*from, *to);
                self.numbered(step, |index| entry::replace(&moved, index))?
            }
            Step::ForgetConnections { .. }
            | Step::AwaitSending { .. }
            | Step::AwaitAddresses { .. }
            | Step::AwaitSent { .. } => Vec::new(),
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
            Step::AddHook { vif } => {
                let mut requests = self.missing(&[Table::Inet, Table::Netdev], step)?;
                requests.extend(nf::add_hook(*vif));
                requests
            }
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
            Step::SetAccount { name, from, to } => {
                if !self.tolerant {
                    return Ok(nf::accounts::change(*name, from.as_ref(), to.as_ref()));
                }
                let now = self.look(Needs { accounts: true, ..Needs::default() }, step)?;
                let there = now.accounts.get(name);
                // What was counted meanwhile counts too.
                let to = to.map(|to| there.map_or(to, |there| Account { routed: to.routed, ..*there }));
                let missing = to.map(|to| to.table()).filter(|table| !now.has(*table));
                let change = nf::accounts::change(*name, there, to.as_ref());
                missing.map(nf::add_table).into_iter().flatten().chain(change).collect()
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
            Step::Sweep { table, names } => {
                let found = self.edge.inspect(*table).map_err(|error| error.doing(step.verb()))?;
                nf::sweep(*table, &found, names)
            }
            Step::AddMasquerade { masquerade } if self.tolerant && !self.rules_of(masquerade, step)?.is_empty() => {
                Vec::new()
            }
            Step::AddMasquerade { masquerade } => {
                let mut requests = self.missing(&[Table::Inet], step)?;
                requests.extend(nf::add_masquerade(masquerade));
                requests
            }
            Step::DeleteMasquerade { masquerade } => self.delete_masquerade(masquerade, step)?,
            Step::AddForward { forward, .. } => {
                let mut requests = self.missing(&[Table::Forwards], step)?;
                requests.extend(nf::forwards::add(forward));
                requests
            }
            Step::DeleteForward { forward, alone } => nf::forwards::delete(forward, *alone),
            Step::AddNetwork { record } => {
                let mut requests = self.missing(&[Table::Inet], step)?;
                requests.push(nf::networks::add(record));
                requests
            }
            Step::DeleteNetwork { record } => vec![nf::networks::delete(record)],
            Step::SetSysctl { .. } => Vec::new(),
        })
    }

    /// Putting back, tables that somebody took away meanwhile are made again.
    fn missing(&mut self, tables: &[Table], step: &Step) -> Result<Vec<Request>> {
        if !self.tolerant {
            return Ok(Vec::new());
        }
        let now = self.look(Needs { nat: true, at_ingress: true, forwards: true, ..Needs::default() }, step)?;
        Ok(tables.iter().filter(|table| !now.has(**table)).flat_map(|table| nf::add_table(*table)).collect())
    }

    /// A plan may be old: guests that came to a bridge since go down before it goes. Off the bridge nothing
    /// filters what they send.
    fn guests_of(&mut self, bridge: u32, step: &Step) -> Result<Vec<Request>> {
        let answer = self.edge.route.dump(&link::all(Some(bridge)));
        let answer = whole(answer.map_err(|error| transport(&step.verb(), &error))?, step)?;
        let ports = answer.messages.iter().filter_map(|(kind, body)| link::parse(*kind, body));
        let is_guest = |link: &Link| {
            link.is_vif() || link.xen_name().is_some() || link.port.is_some_and(|port| port.locked == Some(true))
        };
        let guests = ports.filter(|port| port.master == Some(bridge) && port.link.up && is_guest(&port.link));
        Ok(guests.map(|guest| link::set_up(guest.link.index, false)).collect())
    }

    /// The messages of an entry, with the numbers that its interfaces have now.
    pub(super) fn numbered(
        &self,
        step: &Step,
        write: impl FnOnce(&dyn Fn(IfName) -> Option<u32>) -> std::result::Result<Vec<Request>, IfName>,
    ) -> Result<Vec<Request>> {
        write(&|name| self.indices.get(&name).copied())
            .map_err(|name| Error::cannot(ErrorKind::NotFound, step.verb(), format!("no interface named {name}")))
    }

    /// Whether there is what a question asks for.
    pub(super) fn answered(&mut self, question: Request, step: &Step) -> Result<bool> {
        let verb = step.verb();
        let answers = self.edge.netfilter(&verb)?.query(&[question]).map_err(|error| transport(&verb, &error))?;
        let answers = answers.into_iter().map(|answer| whole(answer, step)).collect::<Result<Vec<_>>>()?;
        Ok(answers.iter().any(|answer| answer.refusal.is_none() && !answer.messages.is_empty()))
    }

    pub(super) fn look(&mut self, needs: Needs, step: &Step) -> Result<Snapshot> {
        self.edge.observe(&step.verb(), &needs)
    }

    /// The handles of the rules for a subnet.
    pub(super) fn rules_of(&mut self, masquerade: &Masquerade, step: &Step) -> Result<Vec<u64>> {
        let rules = self.dump(&nf::get_masquerades(), step)?;
        let rules = rules.messages.iter().filter_map(|(_, body)| nf::parse_masquerade(body));
        Ok(rules.filter(|(rule, _)| rule == masquerade).map(|(_, handle)| handle).collect())
    }

    /// The rules for a subnet, and with the last rule of all their chain.
    fn delete_masquerade(&mut self, masquerade: &Masquerade, step: &Step) -> Result<Vec<Request>> {
        let rules = self.dump(&nf::get_masquerades(), step)?.messages;
        let goes = |rule: &Masquerade| {
            let delete = |step: &Step| matches!(step, Step::DeleteMasquerade { masquerade } if masquerade == rule);
            rule == masquerade || self.pending.iter().any(|pending| delete(&pending.step))
        };
        let comes = self.pending.iter().any(|pending| matches!(pending.step, Step::AddMasquerade { .. }));
        let stays = |body: &[u8]| match nf::parse_masquerade(body) {
            Some((rule, _)) => !goes(&rule),
            None => nf::is_postrouting(body),
        };
        let is_last = !comes && !rules.iter().any(|(_, body)| stays(body));
        let found: Vec<_> = rules.iter().filter_map(|(_, body)| nf::parse_masquerade(body)).collect();
        let found = found.into_iter().filter(|(rule, _)| rule == masquerade).map(|(_, handle)| handle);
        let deleted: Vec<_> = found.map(nf::delete_masquerade).collect();
        let chain = (is_last && !deleted.is_empty()).then(nf::delete_masquerading);
        Ok(deleted.into_iter().chain(chain).collect())
    }

    pub(super) fn dump(&mut self, request: &Request, step: &Step) -> Result<Answer> {
        let verb = step.verb();
        let answer = self.edge.netfilter(&verb)?.dump(request).map_err(|error| transport(&verb, &error))?;
        whole(answer, step)
    }

    /// A plan may be old: a table that is in use by then stays.
    pub(super) fn delete_table(&mut self, table: Table, step: &Step) -> Result<Vec<Request>> {
        let dump = |this: &mut Self, request: Request| this.dump(&request, step).map(|answer| answer.messages);
        let mut is_empty = |request: Request| dump(self, request).map(|messages| !nf::has_elements(&messages));
        let in_use = match table {
            Table::Bridge | Table::Netdev => !is_empty(nf::guard::get_every(table))?,
            Table::Dom0 => !is_empty(nf::dom0::get_every())?,
            Table::Untracked => !is_empty(nf::untracked::get_every())?,
            Table::Accounts | Table::RoutedAccounts => !is_empty(nf::accounts::get_sent(table))?,
            Table::Forwards => {
                let [four, six] = nf::forwards::get_every();
                !(is_empty(four)? && is_empty(six)?)
            }
            Table::Inet => {
                !is_empty(nf::guard::get_every(Table::Bridge))?
                    || !is_empty(nf::networks::get_every())?
                    || !is_empty(nf::at_ingress::get_every())?
                    || {
                        let rules = self.dump(&nf::get_masquerades(), step)?;
                        rules.messages.iter().any(|(_, body)| nf::is_postrouting(body))
                    }
            }
        };
        Ok(if in_use { Vec::new() } else { vec![nf::delete_table(table)] })
    }
}

/// An answer, unless it was refused: "there is none" is an answer, anything else is not, and what nobody
/// was told is not to be taken for nothing.
fn whole(answer: Answer, step: &Step) -> Result<Answer> {
    match &answer.refusal {
        Some(refusal) if !matches!(refusal.errno, libc::ENOENT | libc::ENODEV) => Err(refused_step(step, refusal)),
        _ => Ok(answer),
    }
}
