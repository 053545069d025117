//! What makes a table again what it is to be, in place: no packet sees a moment without it.

use super::elements::raw;
use super::hook::{add_hook, chain_of, is_hook};
use super::inspect::{Inspection, holds_masquerades};
use super::ruleset::{POSTROUTING, ingress_rules, ruleset};
use super::{add_chain, add_masquerade, add_rule, add_rules, add_set, add_table, message};
use crate::contents::Contents;
use crate::ifname::IfName;
use crate::netlink::{CREATE, Request};
use crate::table::Table;
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};

fn delete(table: Table, what: i32, attribute: u16, name: &str) -> Request {
    message(table, what, 0, |body| {
        body.text(attribute, name);
    })
}

const RULES_OF: u16 = 2;
const SET: u16 = 2;
const CHAIN: u16 = 3;

/// Writes the fixed part of a table anew, with the sets that are sound and all their elements left
/// where they are. What stands in it stays, or with contents given, becomes those.
pub(crate) fn rewrite(table: Table, found: &Inspection, contents: Option<&Contents>) -> Vec<Request> {
    let expected = ruleset(table);
    // Wakes it, should it be dormant.
    let mut requests = vec![message(table, libc::NFT_MSG_NEWTABLE, CREATE, |body| {
        body.be32(2, 0);
    })];
    let wanted = |name: &str| expected.chains.iter().find(|chain| chain.name == name);
    let stays = |name: &str| match wanted(name) {
        Some(chain) => found.keeps_chain(chain),
        None => table == Table::Netdev && is_hook(name),
    };
    // Rules first: a chain that others jump to cannot go.
    for chain in found.chains.keys().filter(|name| !(holds_masquerades(table, name) && stays(name))) {
        requests.push(delete(table, libc::NFT_MSG_DELRULE, RULES_OF, chain));
    }
    for chain in found.chains.keys().filter(|name| !stays(name)) {
        requests.push(delete(table, libc::NFT_MSG_DELCHAIN, CHAIN, chain));
    }
    for set in found.sets_to_go(table, &expected.sets) {
        requests.push(delete(table, libc::NFT_MSG_DELSET, SET, set));
    }
    for (n, set) in expected.sets.iter().enumerate().filter(|(_, set)| !found.keeps_set(table, set)) {
        requests.push(add_set(table, set, n as u32 + 100));
        if contents.is_none() {
            requests.extend(raw::add(table, set.name, found.elements_of(set.name)));
        }
    }
    for chain in expected.chains.iter().filter(|chain| !stays(chain.name)) {
        requests.push(add_chain(table, chain));
        if holds_masquerades(table, chain.name) && contents.is_none() {
            requests.extend(found.masquerades().iter().map(add_masquerade));
        }
    }
    for hook in found.chains.keys().filter(|name| table == Table::Netdev && is_hook(name)) {
        requests.extend(ingress_rules().into_iter().map(|rule| add_rule(table, hook, rule)));
    }
    let kept: BTreeSet<&str> =
        expected.sets.iter().filter(|set| found.keeps_set(table, set)).map(|set| set.name).collect();
    let postrouting_stays = stays(POSTROUTING);
    requests.extend(add_rules(table, expected.chains));
    if let Some(contents) = contents {
        requests.extend(refill(table, found, contents, |set| kept.contains(set), postrouting_stays));
    }
    requests
}

/// Makes the elements, the rules that masquerade and the hooks of a table what they are to be. Of
/// sets that were not kept nothing is there any more.
fn refill(
    table: Table,
    found: &Inspection,
    contents: &Contents,
    is_kept: impl Fn(&str) -> bool,
    postrouting_stays: bool,
) -> Vec<Request> {
    let mut requests = Vec::new();
    let differences = found.differences(table, contents);
    let by_set = |list: Vec<(String, raw::Raw)>| {
        list.into_iter().fold(BTreeMap::<String, Vec<raw::Raw>>::new(), |mut sets, (set, raw)| {
            sets.entry(set).or_default().push(raw);
            sets
        })
    };
    for (set, elements) in by_set(differences.surplus).into_iter().filter(|(set, _)| is_kept(set)) {
        requests.extend(raw::delete(table, &set, &elements));
    }
    for (set, elements) in by_set(differences.missing).into_iter().filter(|(set, _)| is_kept(set)) {
        requests.extend(raw::add(table, &set, &elements));
    }
    let anew = raw::expected(table, contents).into_iter().filter(|(set, _)| !is_kept(set));
    for (set, elements) in by_set(anew.map(|(set, raw)| (set.to_owned(), raw)).collect()) {
        requests.extend(raw::add(table, &set, &elements));
    }
    match table {
        Table::Inet => {
            let (missing, others) = found.masquerade_differences(&contents.masquerades);
            if !postrouting_stays {
                requests.extend(contents.masquerades.iter().map(add_masquerade));
            } else if others > 0 {
                requests.push(delete(table, libc::NFT_MSG_DELRULE, RULES_OF, POSTROUTING));
                requests.extend(contents.masquerades.iter().map(add_masquerade));
            } else {
                requests.extend(missing.into_iter().map(add_masquerade));
            }
        }
        Table::Netdev => {
            let hooks: BTreeMap<String, _> = contents.ingress.keys().map(|vif| (chain_of(*vif), *vif)).collect();
            let sound = |name: &str| hooks.get(name).is_some_and(|vif| found.hooks.contains(vif));
            for chain in found.chains.keys().filter(|name| is_hook(name) && !sound(name)) {
                requests.push(delete(table, libc::NFT_MSG_DELRULE, RULES_OF, chain));
                requests.push(delete(table, libc::NFT_MSG_DELCHAIN, CHAIN, chain));
            }
            requests.extend(hooks.values().filter(|vif| !found.hooks.contains(vif)).flat_map(|vif| add_hook(*vif)));
        }
        _ => {}
    }
    requests
}

/// Makes all tables what they are to be: nothing where they are. A table that is not there and that
/// nothing needs stays away.
pub(crate) fn restore(found: &BTreeMap<Table, Inspection>, contents: &Contents) -> Vec<Request> {
    let mut requests = Vec::new();
    let absent = Inspection::default();
    for table in RESTORED {
        let found = found.get(&table).unwrap_or(&absent);
        match (found.is_present(), contents.needs(table)) {
            (false, false) => {}
            (false, true) => {
                requests.extend(add_table(table));
                requests.extend(refill(table, &absent, contents, |_| false, false));
            }
            (true, _) if !found.is_whole(table) => requests.extend(rewrite(table, found, Some(contents))),
            (true, _) => requests.extend(refill(table, found, contents, |_| true, true)),
        }
    }
    requests
}

/// Takes out what stands under these names, and nothing else.
pub(crate) fn sweep(table: Table, found: &Inspection, names: &BTreeSet<IfName>) -> Vec<Request> {
    let mut requests: Vec<Request> = found
        .elements_under(names)
        .into_iter()
        .flat_map(|(set, elements)| raw::delete(table, set, &elements))
        .collect();
    let hooks: BTreeSet<String> = names.iter().map(|name| chain_of(*name)).collect();
    for chain in found.chains.keys().filter(|chain| table == Table::Netdev && hooks.contains(*chain)) {
        requests.push(delete(table, libc::NFT_MSG_DELRULE, RULES_OF, chain));
        requests.push(delete(table, libc::NFT_MSG_DELCHAIN, CHAIN, chain));
    }
    requests
}

/// The hooks of the netdev table tell the inet table of their names, so that comes first.
const RESTORED: [Table; 8] = [
    Table::Inet,
    Table::Bridge,
    Table::Netdev,
    Table::Dom0,
    Table::Untracked,
    Table::Forwards,
    Table::Accounts,
    Table::RoutedAccounts,
];
