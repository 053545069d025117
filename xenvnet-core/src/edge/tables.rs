//! What nf_tables tells: what stands in our tables.

use super::{GUESTS, Reading, refusal_error, transport};
use crate::account::Account;
use crate::drops::{DropReason, Drops};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::needs::Needs;
use crate::netlink::channel::Answer;
use crate::netlink::{Request, nf};
use crate::snapshot::LAYOUT;
use crate::table::Table;
use nix::libc;
use std::collections::BTreeSet;

impl Reading<'_> {
    /// One exchange for everything of nf_tables that is found by its key; another one for the few of
    /// which more is to be known by then.
    pub(super) fn nf_by_key(&mut self, needs: &Needs) -> Result<()> {
        let mut questions: Vec<(About, Request)> = Vec::new();
        // What comes in by a port of a bridge comes in by the bridge.
        let is_port = |name: &IfName| self.seen.iter().any(|seen| seen.link.name == *name && seen.master.is_some());
        let shielded: Vec<IfName> = needs.dom0.iter().copied().filter(|name| !is_port(name)).collect();
        let mut tables = needs.tables();
        if shielded.is_empty() && !needs.all_dom0 {
            tables.remove(&Table::Dom0);
        }
        questions.extend(tables.iter().copied().map(about_layout));
        // Each is asked for once: half of a hook twice is not a whole one.
        let unread: Vec<IfName> = needs.guards.iter().copied().filter(|vif| self.read.insert(*vif)).collect();
        for vif in unread.iter().copied() {
            questions.extend(GUESTS.map(|table| (About::Guard(table), nf::guard::get_one(table, vif))));
            let fresh = needs.fresh.contains(&vif);
            questions.extend(
                drops_of(Table::Bridge, vif)
                    .filter(|(reason, _)| is_asked_at_once(*reason, fresh))
                    .map(|(_, question)| question),
            );
            questions.extend(drops_of(Table::Inet, vif).map(|(_, question)| question));
            questions.push((About::Hook, nf::get_hook(vif)));
        }
        questions.extend(needs.untracked.iter().map(|vif| (About::Untracked, nf::untracked::get_one(*vif))));
        for name in shielded {
            questions.push((About::Dom0, nf::dom0::get_one(name)));
            questions.extend(drops_of(Table::Dom0, name).map(|(_, question)| question));
        }
        if !needs.nat {
            questions.extend(needs.networks_of.iter().map(|name| (About::Network, nf::networks::get_one(*name))));
        }
        self.nf_answers(questions, needs.facts)?;
        let mut more = Vec::new();
        let mut matter = BTreeSet::new();
        for vif in unread {
            if needs.fresh.contains(&vif) && self.snapshot.guards.contains_key(&vif) {
                let rest = drops_of(Table::Bridge, vif).filter(|(reason, _)| !is_asked_at_once(*reason, true));
                more.extend(rest.map(|(_, question)| question));
            }
            if self.snapshot.half_hooks.contains(&vif) || self.snapshot.ingress.contains_key(&vif) {
                more.push((About::AtIngress, nf::at_ingress::get_one(vif)));
                more.extend(drops_of(Table::Netdev, vif).map(|(_, question)| question));
                matter.extend([Table::Netdev, Table::Inet]);
            }
        }
        matter.extend((!self.snapshot.untracked.is_empty()).then_some(Table::Untracked));
        more.extend(matter.difference(&tables).copied().map(about_layout));
        self.nf_answers(more, false)
    }

    /// A hook is whole when its chain is there and the inet table knows of it.
    pub(super) fn take_half_hook(&mut self, vif: IfName) {
        if !self.snapshot.half_hooks.insert(vif) {
            self.snapshot.half_hooks.remove(&vif);
            self.snapshot.hooks.insert(vif);
        }
    }

    fn nf_answers(&mut self, questions: Vec<(About, Request)>, facts: bool) -> Result<()> {
        if questions.is_empty() {
            return Ok(());
        }
        let (about, requests): (Vec<_>, Vec<_>) = questions.into_iter().unzip();
        let Some(answers) = self.nf_query(&requests)? else { return Ok(()) };
        let mut locks = GUESTS.map(|table| (table, nf::Locks::default()));
        for (about, answer) in about.into_iter().zip(answers) {
            for (_, body) in &answer.messages {
                match about {
                    About::Layout(table) => self.take_layout(table, body)?,
                    About::Guard(table) => locks[usize::from(table == Table::Netdev)].1.read_guard(body),
                    About::Drops(table, reason) => self.snapshot.drops.extend(nf::parse_drops(table, reason, body)),
                    About::Hook => nf::parse_hook(body).into_iter().for_each(|vif| self.take_half_hook(vif)),
                    About::AtIngress => {
                        nf::at_ingress::parse(body).into_iter().for_each(|vif| self.take_half_hook(vif));
                    }
                    About::Untracked => self.snapshot.untracked.extend(nf::untracked::parse(body)),
                    About::Dom0 => self.snapshot.dom0.extend(nf::dom0::parse(body)),
                    About::Network => self.take_network(body),
                }
            }
        }
        for (table, mut locks) in locks {
            if facts {
                locks.doubt_comments();
            }
            self.take_locks(table, locks)?;
        }
        Ok(())
    }

    /// Answers of nf_tables; `None` on a kernel without. What is not there is refused and stays
    /// without messages; other refusals are errors.
    pub(super) fn nf_query(&mut self, requests: &[Request]) -> Result<Option<Vec<Answer>>> {
        let Some(netfilter) = &mut self.edge.netfilter else { return Ok(None) };
        let answers = netfilter.query(requests).map_err(|error| transport(self.what, &error))?;
        for refusal in answers.iter().filter_map(|answer| answer.refusal.clone()) {
            match refusal.errno {
                libc::ENOENT => {}
                // No handler for the subsystem: nf_tables is not in this kernel.
                libc::EINVAL | libc::EOPNOTSUPP => return Ok(None),
                _ => return Err(refusal_error(self.what, "nf_tables", refusal)),
            }
        }
        Ok(Some(answers))
    }

    pub(super) fn nf_dump(&mut self, request: &Request) -> Result<Answer> {
        let Some(netfilter) = &mut self.edge.netfilter else { return Ok(Answer::default()) };
        let answer = netfilter.dump(request).map_err(|error| transport(self.what, &error))?;
        match answer.refusal.clone() {
            Some(refusal) if !matches!(refusal.errno, libc::ENOENT | libc::EINVAL | libc::EOPNOTSUPP) => {
                Err(refusal_error(self.what, "nf_tables", refusal))
            }
            _ => Ok(answer),
        }
    }

    pub(super) fn layouts(&mut self) -> Result<()> {
        let questions = Table::ALL.iter().copied().map(about_layout).collect();
        self.nf_answers(questions, false)
    }

    pub(super) fn take_layout(&mut self, table: Table, body: &[u8]) -> Result<()> {
        let layout = nf::parse_layout(body);
        match layout {
            // What an older version left behind is read as it is, and converted before it is written.
            1..=LAYOUT => drop(self.snapshot.tables.insert(table, layout)),
            0 => {
                return Err(Error::cannot(
                    ErrorKind::Conflict,
                    self.what,
                    format!("there is a {table} that is not ours"),
                )
                .with_advice(format!("look at it with: nft list {table}")));
            }
            other => {
                return Err(Error::cannot(
                    ErrorKind::Unsupported,
                    self.what,
                    format!("{table} has layout {other}, this version knows layout {LAYOUT}"),
                )
                .with_advice("use the version of xenvnet that made it"));
            }
        }
        Ok(())
    }

    /// Locks whose comment was too short for them cost a dump of the sets.
    pub(super) fn take_locks(&mut self, table: Table, mut locks: nf::Locks) -> Result<()> {
        if locks.wants_facts() {
            for (set, request) in nf::guard::get_facts(table) {
                let answer = self.nf_dump(&request)?;
                answer.messages.iter().for_each(|(_, body)| locks.read_facts(set, body));
            }
        }
        let guards = if table == Table::Netdev { &mut self.snapshot.ingress } else { &mut self.snapshot.guards };
        guards.extend(locks.finish());
        Ok(())
    }

    pub(super) fn take_network(&mut self, body: &[u8]) {
        let records = nf::networks::parse(body);
        let known = records.into_iter().filter_map(|record| Some((record.network.id()?, record)));
        self.snapshot.networks.extend(known);
    }

    pub(super) fn nf_dumps(&mut self, needs: &Needs) -> Result<()> {
        for table in
            GUESTS.into_iter().filter(|table| needs.all_guards && self.snapshot.has(*table)).collect::<Vec<_>>()
        {
            let mut locks = nf::Locks::default();
            let answer = self.nf_dump(&nf::guard::get_every(table))?;
            answer.messages.iter().for_each(|(_, body)| locks.read_guard(body));
            if needs.facts {
                locks.doubt_comments();
            }
            self.take_locks(table, locks)?;
        }
        if needs.all_guards && self.snapshot.has(Table::Netdev) {
            let chains = self.nf_dump(&nf::get_chains(Table::Netdev))?;
            chains
                .messages
                .iter()
                .filter_map(|(_, body)| nf::parse_hook(body))
                .for_each(|vif| self.take_half_hook(vif));
            let names = self.nf_dump(&nf::at_ingress::get_every())?;
            let names = names.messages.iter().flat_map(|(_, body)| nf::at_ingress::parse(body));
            names.for_each(|vif| self.take_half_hook(vif));
        }
        if needs.all_dom0 {
            self.snapshot.all_dom0 = true;
            if self.snapshot.has(Table::Dom0) {
                let answer = self.nf_dump(&nf::dom0::get_every())?;
                self.snapshot.dom0.extend(answer.messages.iter().flat_map(|(_, body)| nf::dom0::parse(body)));
            }
        }
        if needs.forwards && self.snapshot.has(Table::Forwards) {
            for request in nf::forwards::get_every() {
                let answer = self.nf_dump(&request)?;
                let forwards = answer.messages.iter().flat_map(|(_, body)| nf::forwards::parse(body));
                self.snapshot.forwards.extend(forwards);
            }
        }
        for table in [Table::Accounts, Table::RoutedAccounts] {
            if needs.accounts && self.snapshot.has(table) {
                self.accounts(table)?;
            }
        }
        if (needs.nat || needs.networks) && self.snapshot.has(Table::Inet) {
            let answer = self.nf_dump(&nf::networks::get_every())?;
            answer.messages.iter().for_each(|(_, body)| self.take_network(body));
        }
        if needs.nat && self.snapshot.has(Table::Inet) {
            let answer = self.nf_dump(&nf::get_masquerades())?;
            let rules = answer.messages.iter().filter_map(|(_, body)| nf::parse_masquerade(body));
            self.snapshot.masquerades.extend(rules.map(|(masquerade, _)| masquerade));
        }
        Ok(())
    }

    fn accounts(&mut self, table: Table) -> Result<()> {
        let sent = self.nf_dump(&nf::accounts::get_sent(table))?;
        let sent = sent.messages.iter().flat_map(|(_, body)| nf::accounts::parse_sent(table, body));
        self.snapshot.accounts.extend(sent);
        let received = self.nf_dump(&nf::accounts::get_received(table))?;
        for (name, counter) in received.messages.iter().flat_map(|(_, body)| nf::accounts::parse_received(body)) {
            let of_table = |account: &&mut Account| account.table() == table;
            if let Some(account) = self.snapshot.accounts.get_mut(&name).filter(of_table) {
                account.received = counter;
            }
        }
        Ok(())
    }

    pub(super) fn tracking(&mut self) -> Result<()> {
        if self.snapshot.has(Table::Untracked) {
            let answer = self.nf_dump(&nf::untracked::get_every())?;
            self.snapshot.untracked.extend(answer.messages.iter().flat_map(|(_, body)| nf::untracked::parse(body)));
        }
        Ok(())
    }

    pub(super) fn drops(&mut self) -> Result<()> {
        for table in Table::ALL.iter().copied().filter(|table| self.snapshot.has(*table)).collect::<Vec<_>>() {
            for (reason, request) in nf::guard::get_drops(table) {
                let answer = self.nf_dump(&request)?;
                let drops = answer.messages.iter().flat_map(|(_, body)| nf::parse_drops(table, reason, body));
                self.snapshot.drops.extend(drops.collect::<Vec<Drops>>());
            }
        }
        self.snapshot.drops.sort_by_key(|drops| (drops.vif, drops.reason, drops.table));
        Ok(())
    }
}

/// What a question to nf_tables is about.
#[derive(Clone, Copy)]
enum About {
    Layout(Table),
    Guard(Table),
    Drops(Table, DropReason),
    Hook,
    AtIngress,
    Untracked,
    Dom0,
    Network,
}

fn drops_of(table: Table, vif: IfName) -> impl Iterator<Item = (DropReason, (About, Request))> {
    nf::guard::get_drops_of(table, vif).map(move |(reason, request)| (reason, (About::Drops(table, reason), request)))
}

/// Who was never held has nothing counted but what was dropped for that.
fn is_asked_at_once(reason: DropReason, fresh: bool) -> bool {
    !fresh || reason == DropReason::Unguarded
}

fn about_layout(table: Table) -> (About, Request) {
    (About::Layout(table), nf::get_layout(table))
}
