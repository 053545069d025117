//! The order of steps in which attaching takes few messages and is safe at each of them.

use crate::account::Account;
use crate::plan::{Plan, Step};
use crate::table::Table;
use std::collections::BTreeSet;

/// Whether no interface is set up by two of these plans.
pub(crate) fn touch_each_their_own(plans: &[Plan]) -> bool {
    let mut touched = BTreeSet::new();
    plans.iter().all(|plan| {
        let checked = |step: &Step| match step {
            Step::Check { link, .. } | Step::Up { link } | Step::Down { link } => Some(*link),
            Step::SetPort { port, .. } => Some(*port),
            _ => None,
        };
        let links: BTreeSet<_> = plan.steps().iter().filter_map(checked).collect();
        links.into_iter().all(|link| touched.insert(link))
    })
}

/// The steps of attaching, ordered by what they are about, so that there are few messages. The
/// bridge's filter stands under a vif's new name before the vif has it, which costs nobody a frame:
/// it is down. A hook of its own finds the interface by its name, so it comes after.
pub(crate) fn in_phases(plan: Plan) -> Plan {
    let mut steps: Vec<Step> = plan.once_ready().steps().to_vec();
    // The inet table is made in the transaction that needs it.
    let is_hook = |step: &Step| matches!(step, Step::AddHook { .. });
    let inet = if steps.iter().any(is_hook) { 4 } else { 2 };
    steps.sort_by_key(|step| match step {
        // The kernel forgets these by itself when an interface goes down, and knows none that is.
        Step::DeleteRoute { .. } | Step::DeleteAddress { .. } | Step::DeleteEntry { .. } => 0,
        Step::Down { .. } => 1,
        Step::SetGuard { table: Table::Netdev, to: Some(_), .. } | Step::AddHook { .. } => 4,
        // With the lock of its guest, so that both are one transaction.
        Step::SetAccount { to: Some(Account { routed: true, .. }), .. } => 4,
        Step::AddTable { table: Table::Inet } | Step::RewriteTable { table: Table::Inet } => inet,
        Step::AddTable { table: Table::Netdev | Table::RoutedAccounts } => 4,
        Step::RewriteTable { table: Table::Netdev | Table::RoutedAccounts } => 4,
        Step::AddTable { .. } | Step::RewriteTable { .. } | Step::SetGuard { .. } | Step::ForgetDrops { .. } => 2,
        Step::DeleteHook { .. } | Step::SetDom0 { .. } | Step::SetUntracked { .. } | Step::SetAccount { .. } => 2,
        Step::Check { .. } => 5,
        Step::Up { .. } => 6,
        Step::AddAddress { .. } | Step::AddRoute { .. } | Step::AddEntry { .. } => 7,
        Step::SetSysctl { .. } => 8,
        Step::ForgetConnections { .. } => 9,
        _ => 3,
    });
    steps.into_iter().collect()
}
