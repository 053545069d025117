//! What is to stand in our tables.

use crate::account::Account;
use crate::dom0::Dom0;
use crate::forward::Forward;
use crate::guard::Guard;
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::network::{NetworkId, NetworkRecord};
use crate::plan::Step;
use crate::table::Table;
use crate::untracked::Untracked;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// All that stands in our tables beside their fixed part, or is to stand there.
///
/// ```
/// assert!(xenvnet_core::Contents::default().guards.is_empty());
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Contents {
    /// Locks of the bridge's table.
    pub guards: BTreeMap<IfName, Guard>,
    /// Locks of the netdev table.
    pub ingress: BTreeMap<IfName, Guard>,
    /// What guests reach on dom0.
    pub dom0: BTreeMap<IfName, Dom0>,
    /// Guests that are not tracked.
    pub untracked: BTreeMap<IfName, Untracked>,
    /// Subnets that are masqueraded.
    pub masquerades: BTreeSet<Masquerade>,
    /// Ports of dom0 that lead to guests.
    pub forwards: BTreeSet<Forward>,
    /// Networks that run.
    pub networks: BTreeMap<NetworkId, NetworkRecord>,
    /// Traffic that is counted, by the name of the guest's interface.
    pub accounts: BTreeMap<IfName, Account>,
}

impl Contents {
    pub(crate) fn guards_in(&self, table: Table) -> &BTreeMap<IfName, Guard> {
        if table == Table::Netdev { &self.ingress } else { &self.guards }
    }

    pub(crate) fn accounts_in(&self, table: Table) -> impl Iterator<Item = (IfName, Account)> + '_ {
        let all = self.accounts.iter().map(|(name, account)| (*name, *account));
        all.filter(move |(_, account)| account.table() == table)
    }

    /// The same with nothing counted yet: counts are the kernel's.
    pub(crate) fn without_counts(mut self) -> Contents {
        self.accounts.values_mut().for_each(|account| *account = account.without_counts());
        self
    }

    /// Whether something of it stands in a table.
    pub(crate) fn needs(&self, table: Table) -> bool {
        match table {
            Table::Bridge => !self.guards.is_empty(),
            Table::Netdev => !self.ingress.is_empty(),
            Table::Inet => {
                let held = !(self.guards.is_empty() && self.ingress.is_empty());
                held || !(self.masquerades.is_empty() && self.networks.is_empty())
            }
            Table::Dom0 => !self.dom0.is_empty(),
            Table::Untracked => !self.untracked.is_empty(),
            Table::Forwards => !self.forwards.is_empty(),
            Table::Accounts | Table::RoutedAccounts => self.accounts_in(table).next().is_some(),
        }
    }

    /// What it becomes by a step; `false` where the step is about something else.
    pub(crate) fn take(&mut self, step: &Step) -> bool {
        fn set<K: Ord, V: Clone>(map: &mut BTreeMap<K, V>, key: K, value: &Option<V>) {
            match value {
                Some(value) => drop(map.insert(key, value.clone())),
                None => drop(map.remove(&key)),
            }
        }
        match step {
            Step::SetGuard { table: Table::Netdev, vif, to, .. } => set(&mut self.ingress, *vif, to),
            Step::SetGuard { vif, to, .. } => set(&mut self.guards, *vif, to),
            Step::SetDom0 { interface, to, .. } => set(&mut self.dom0, *interface, to),
            Step::SetUntracked { vif, to, .. } => set(&mut self.untracked, *vif, to),
            Step::SetAccount { name, to, .. } => set(&mut self.accounts, *name, to),
            Step::AddMasquerade { masquerade } => drop(self.masquerades.insert(masquerade.clone())),
            Step::DeleteMasquerade { masquerade } => drop(self.masquerades.remove(masquerade)),
            Step::AddForward { forward, .. } => drop(self.forwards.insert(forward.clone())),
            Step::DeleteForward { forward, .. } => drop(self.forwards.remove(forward)),
            Step::AddNetwork { record } => {
                self.networks.extend(record.network.id().map(|id| (id, record.clone())));
            }
            Step::DeleteNetwork { record } => {
                self.networks.retain(|_, there| there.network.id() != record.network.id())
            }
            Step::Restore { contents } => *self = (**contents).clone(),
            Step::Sweep { table, names } => {
                let guards = [&mut self.guards, &mut self.ingress];
                sweep(*table, names, guards, &mut self.dom0, &mut self.untracked);
            }
            _ => return false,
        }
        true
    }
}

/// What is left of what is said when these names are swept out of a table.
pub(crate) fn sweep(
    table: Table,
    names: &BTreeSet<IfName>,
    [guards, ingress]: [&mut BTreeMap<IfName, Guard>; 2],
    dom0: &mut BTreeMap<IfName, Dom0>,
    untracked: &mut BTreeMap<IfName, Untracked>,
) {
    let stays = |name: &IfName| !names.contains(name);
    match table {
        Table::Bridge => guards.retain(|name, _| stays(name)),
        Table::Netdev => ingress.retain(|name, _| stays(name)),
        Table::Dom0 => dom0.retain(|name, _| stays(name)),
        Table::Untracked => untracked.retain(|name, _| stays(name)),
        // What stands in these is known otherwise than by a guest's name, or kept.
        Table::Inet | Table::Forwards | Table::Accounts | Table::RoutedAccounts => {}
    }
}
