//! Traffic of guests, counted under their own names.

use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use crate::snapshot::Snapshot;
use crate::table::Table;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Packets, and what they held.
///
/// ```
/// let counter = xenvnet_core::Counter::new(2, 168);
/// assert_eq!(counter.to_string(), "2 packets, 168 bytes");
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Counter {
    /// How many. What a network card, real or Xen's, is left to cut or has joined (segmentation
    /// offload) is one packet.
    pub packets: u64,
    /// Their bytes, without the Ethernet header. Of a bridged guest the rest of the frame, with what
    /// pads a short one; of a routed guest the IP packet.
    pub bytes: u64,
}

impl Counter {
    /// So many packets with so many bytes together.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Counter::new(1, 84).bytes, 84);
    /// ```
    pub fn new(packets: u64, bytes: u64) -> Counter {
        Counter { packets, bytes }
    }
}

impl fmt::Display for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} packets, {} bytes", self.packets, self.bytes)
    }
}

/// What a guest sent and received, counted by the kernel under the name of its interface. It stays
/// when the guest is detached, restarts or moves to another bridge, and goes on counting when an
/// interface of that name comes again, until it is forgotten
/// ([`Operation::ForgetAccount`](crate::Operation::ForgetAccount)) or the host reboots. Where somebody
/// flushed the rules, [`Host::repair`](crate::Host::repair) brings it back with its number, and with
/// the counts that were noted when it was opened or mended last.
///
/// Xen gives a vif another name at each start of its guest (`vif1.0`, `vif2.0`): a guest that is
/// to be accounted wants a name of its own ([`Attachment::rename`](crate::Attachment::rename)).
/// Whoever is attached under a name that has an account is counted there, asked for or not.
///
/// Held in `table bridge xenvnet_accounts`, or of routed guests in `table inet xenvnet_accounts`;
/// without any account neither is there. Needs Linux 5.7.
///
/// ```
/// use xenvnet_core::{Account, Counter};
/// let account = Account::new(1);
/// assert_eq!((account.index, account.sent), (1, Counter::default()));
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Account {
    /// The number of the account, from 1, the lowest that was free when it was opened. Unlike an
    /// interface's it stays, so that SNMP can go by it. 0 of an account that somebody else made.
    /// Processes that open accounts at once without a state directory do not wait for each other, and
    /// may take one number for two.
    #[doc(alias = "ifIndex")]
    pub index: u32,
    /// Whether dom0 routed to the guest when it was attached last: no frames are counted then, but
    /// IP packets.
    #[serde(default, skip_serializing_if = "is_no")]
    pub routed: bool,
    /// What came in from the guest and passed its lock.
    pub sent: Counter,
    /// What was handed to the guest's interface.
    pub received: Counter,
}

fn is_no(yes: &bool) -> bool {
    !yes
}

impl Account {
    /// With this number, of a bridged guest, nothing counted yet.
    ///
    /// ```
    /// assert!(!xenvnet_core::Account::new(3).routed);
    /// ```
    pub fn new(index: u32) -> Account {
        Account { index, ..Account::default() }
    }

    /// The table that counts.
    pub(crate) fn table(&self) -> Table {
        if self.routed { Table::RoutedAccounts } else { Table::Accounts }
    }

    /// What is no count of it.
    pub(crate) fn without_counts(self) -> Account {
        Account { routed: self.routed, ..Account::new(self.index) }
    }

    /// The comment of the element that counts what was sent.
    pub(crate) fn comment(&self) -> String {
        format!("index={}", self.index)
    }

    /// The number that a comment tells. A later version may have more to say.
    pub(crate) fn parse_comment(text: &str) -> Option<u32> {
        text.split(' ').find_map(|word| word.strip_prefix("index="))?.parse().ok()
    }
}

/// What opens an account under this name, or has the one that is there go on counting: what it
/// counted stays, also where a bridged guest comes back as a routed one.
pub(crate) fn steps_open(name: IfName, routed: bool, now: &Snapshot) -> Vec<Step> {
    let from = now.accounts.get(&name).copied();
    let there = from.unwrap_or_default();
    let index = if there.index == 0 { lowest_free(&now.accounts) } else { there.index };
    let to = Account { index, routed, ..there };
    if from == Some(to) {
        return Vec::new();
    }
    // Where it leaves a table empty, that goes with the last account: until then another guest of
    // the same call may open one there.
    now.step_ready(to.table()).into_iter().chain([Step::SetAccount { name, from, to: Some(to) }]).collect()
}

fn lowest_free(accounts: &BTreeMap<IfName, Account>) -> u32 {
    let taken: BTreeSet<u32> = accounts.values().map(|account| account.index).collect();
    (1..).find(|index| !taken.contains(index)).unwrap_or_default()
}

/// Ends an account. The tables go with the last one that they hold.
pub(crate) fn plan_forget(name: IfName, now: &Snapshot) -> Plan {
    let Some(account) = now.accounts.get(&name).copied() else { return Plan::default() };
    let forget = Step::SetAccount { name, from: Some(account), to: None };
    let mut others = now.accounts.clone();
    others.remove(&name);
    let empty = |table: &Table| now.has(*table) && !others.values().any(|other| other.table() == *table);
    let tables = [Table::Accounts, Table::RoutedAccounts].into_iter().filter(empty);
    std::iter::once(forget).chain(tables.map(|table| Step::DeleteTable { table })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn name(text: &str) -> IfName {
        text.parse().unwrap()
    }

    #[test]
    fn each_account_has_the_lowest_number_that_is_free() {
        let mut now = Snapshot::default();
        for (n, guest) in ["a", "b", "c"].into_iter().enumerate() {
            now = now.after(&steps_open(name(guest), n == 1, &now).into_iter().collect());
            assert_eq!(now.accounts[&name(guest)].index, n as u32 + 1);
        }
        now = now.after(&plan_forget(name("b"), &now));
        assert!(!now.has(Table::RoutedAccounts) && now.has(Table::Accounts));
        now = now.after(&steps_open(name("d"), false, &now).into_iter().collect());
        assert_eq!(now.accounts[&name("d")].index, 2);
    }

    #[test]
    fn one_that_changes_sides_takes_its_counts_along() {
        let mut now = Snapshot::default();
        let account = Account { sent: Counter::new(3, 252), ..Account::new(4) };
        now.accounts.insert(name("web"), account);
        let after = now.after(&steps_open(name("web"), true, &now).into_iter().collect());
        assert_eq!(after.accounts[&name("web")], Account { routed: true, ..account });
    }

    #[test]
    fn an_account_of_somebody_elses_hand_gets_a_number() {
        let mut now = Snapshot::default();
        let account = Account { received: Counter::new(3, 252), ..Account::new(0) };
        now.accounts.insert(name("web"), account);
        let after = now.after(&steps_open(name("web"), false, &now).into_iter().collect());
        assert_eq!(after.accounts[&name("web")], Account { index: 1, ..account });
    }

    proptest! {
        #[test]
        fn a_comment_is_read_back_with_whatever_a_later_version_adds(index: u32, more in "( [a-z]+=[a-z0-9]*)?") {
            let comment = Account::new(index).comment() + &more;
            prop_assert_eq!(Account::parse_comment(&comment), Some(index));
        }

        #[test]
        fn any_comment_is_read_or_refused(text in "(index=)?\\PC{0,30}") {
            let _ = Account::parse_comment(&text);
        }
    }
}
