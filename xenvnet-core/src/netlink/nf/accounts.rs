//! Traffic of guests, counted: what the tables of accounts hold, and what stands in them.

use super::elements::{Element, Seen, by_set, elements, get_all, name_of};
use super::expr::Rule;
use super::ruleset::{Chain, FIRST, Hook, IFNAME, NF_POSTROUTING, NF_PREROUTING, POSTROUTING, Ruleset, Set, set};
use super::{key_of, read_user_text};
use crate::account::{Account, Counter};
use crate::ifname::IfName;
use crate::netlink::Request;
use crate::table::Table;
use nix::libc;

/// What came in from guests; its elements say whose account it is.
pub(super) const SENT: &str = "sent";
pub(super) const RECEIVED: &str = "received";

/// Traffic of guests: each packet is looked up once on its way in and once on its way out, however many
/// of them are counted.
pub(super) fn ruleset() -> Ruleset {
    let counted = |name, comment| Set { counted: true, ..set(name, &[IFNAME], comment) };
    let sets = vec![
        counted(SENT, "what came in from guests, by the name of their interface"),
        counted(RECEIVED, "what went out to them"),
    ];
    let filter = |name, number, priority, rule| Chain {
        name,
        hook: Some(Hook { kind: "filter", number, priority }),
        rules: vec![rule],
    };
    let chains = vec![
        // After the locks, before fragments are joined (NF_IP_PRI_CONNTRACK_DEFRAG is -400).
        filter("prerouting", NF_PREROUTING, FIRST + 50, Rule::new().iifname_in(&[], SENT, false)),
        // After everybody who may drop it, before it goes back to the bridge (NF_BR_PRI_LAST).
        filter(POSTROUTING, NF_POSTROUTING, -FIRST, Rule::new().oifname_in(RECEIVED)),
    ];
    Ruleset { sets, chains }
}

pub(crate) fn get_sent(table: Table) -> Request {
    get_all(table, SENT)
}

pub(crate) fn get_received(table: Table) -> Request {
    get_all(table, RECEIVED)
}

/// The elements of an account, each with its set.
pub(super) fn placed(name: IfName, account: &Account) -> [(&'static str, Element); 2] {
    let counts = |counter| Element { key: key_of(name), counter: Some(counter), ..Element::default() };
    let sent = Element { comment: Some(account.comment()), ..counts(account.sent) };
    [(SENT, sent), (RECEIVED, counts(account.received))]
}

/// What is there already stays as it is: an account is never begun anew by this. What is to go is
/// added before, as half of it may be gone by others' hands, and nothing is deleted that is not there.
pub(crate) fn change(name: IfName, from: Option<&Account>, to: Option<&Account>) -> Vec<Request> {
    let all = |account: Option<&Account>, what: i32| -> Vec<Request> {
        account.map(|account| by_set(account.table(), what, placed(name, account))).unwrap_or_default()
    };
    if from == to {
        return Vec::new();
    }
    let mut requests = all(from, libc::NFT_MSG_NEWSETELEM);
    requests.extend(all(from, libc::NFT_MSG_DELSETELEM));
    requests.extend(all(to, libc::NFT_MSG_NEWSETELEM));
    requests
}

/// Accounts by what was sent; what was received is told elsewhere.
pub(crate) fn parse_sent(table: Table, body: &[u8]) -> Vec<(IfName, Account)> {
    let read = |seen: Seen<'_>| {
        let index = read_user_text(0, seen.userdata).and_then(Account::parse_comment).unwrap_or_default();
        let routed = table == Table::RoutedAccounts;
        Some((name_of(seen.key)?, Account { routed, sent: seen.counter.unwrap_or_default(), ..Account::new(index) }))
    };
    elements(body).filter_map(read).collect()
}

pub(crate) fn parse_received(body: &[u8]) -> Vec<(IfName, Counter)> {
    elements(body).filter_map(|seen| Some((name_of(seen.key)?, seen.counter?))).collect()
}
