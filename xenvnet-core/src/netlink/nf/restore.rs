//! What makes a table again what it is to be, in place: no packet sees a moment without it.

use super::elements::raw;
use super::hook::{add_hook, chain_of, is_hook};
use super::inspect::{Inspection, holds_masquerades};
use super::ruleset::{POSTROUTING, ingress_rules, masquerading, ruleset};
use super::{add_chain, add_masquerade, add_rule, add_rules, add_set, add_table, delete_masquerading, message};
use crate::contents::Contents;
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
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
    let masquerades = contents.map_or_else(|| found.masquerades(), |contents| contents.masquerades.clone());
    let wanted = |name: &str| expected.chains.iter().find(|chain| chain.name == name);
    let stays = |name: &str| match wanted(name) {
        Some(chain) => found.keeps_chain(chain),
        None if holds_masquerades(table, name) => found.keeps_chain(&masquerading()) && !masquerades.is_empty(),
        None => table == Table::Netdev && is_hook(name),
    };
    // Rules first: a chain that others jump to cannot go.
    for chain in found.chains.keys() {
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
    }
    for hook in found.chains.keys().filter(|name| table == Table::Netdev && is_hook(name)) {
        requests.extend(ingress_rules().into_iter().map(|rule| add_rule(table, hook, rule)));
    }
    let kept: BTreeSet<&str> =
        expected.sets.iter().filter(|set| found.keeps_set(table, set)).map(|set| set.name).collect();
    requests.extend(add_rules(table, expected.chains));
    if table == Table::Inet {
        requests.extend(masquerades.iter().flat_map(add_masquerade));
    }
    if let Some(contents) = contents {
        requests.extend(refill(table, found, contents, |set| kept.contains(set)));
    }
    requests
}

/// Makes the rules that masquerade what they are to be; without any, their chain goes too.
fn remasquerade(found: &Inspection, wanted: &BTreeSet<Masquerade>) -> Vec<Request> {
    if wanted.is_empty() {
        return found.chains.contains_key(POSTROUTING).then(delete_masquerading).into_iter().collect();
    }
    let (missing, others) = found.masquerade_differences(wanted);
    match others {
        0 => missing.into_iter().flat_map(add_masquerade).collect(),
        _ => {
            let empty = delete(Table::Inet, libc::NFT_MSG_DELRULE, RULES_OF, POSTROUTING);
            std::iter::once(empty).chain(wanted.iter().flat_map(add_masquerade)).collect()
        }
    }
}

/// Makes the elements and the hooks of a table what they are to be. Of
/// sets that were not kept nothing is there any more.
fn refill(table: Table, found: &Inspection, contents: &Contents, is_kept: impl Fn(&str) -> bool) -> Vec<Request> {
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
    if table == Table::Netdev {
        let hooks: BTreeMap<String, _> = contents.ingress.keys().map(|vif| (chain_of(*vif), *vif)).collect();
        let sound = |name: &str| hooks.get(name).is_some_and(|vif| found.hooks.contains(vif));
        for chain in found.chains.keys().filter(|name| is_hook(name) && !sound(name)) {
            requests.push(delete(table, libc::NFT_MSG_DELRULE, RULES_OF, chain));
            requests.push(delete(table, libc::NFT_MSG_DELCHAIN, CHAIN, chain));
        }
        requests.extend(hooks.values().filter(|vif| !found.hooks.contains(vif)).flat_map(|vif| add_hook(*vif)));
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
        let is_there = found.is_present();
        if !(is_there || contents.needs(table)) {
            continue;
        }
        if is_there && !found.is_whole(table) {
            requests.extend(rewrite(table, found, Some(contents)));
            continue;
        }
        if !is_there {
            requests.extend(add_table(table));
        }
        requests.extend(refill(table, found, contents, |_| is_there));
        if table == Table::Inet {
            requests.extend(remasquerade(found, &contents.masquerades));
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

/// As they are made: the hooks of the netdev table tell the inet table of their names, so that comes before.
const RESTORED: [Table; 8] = [
    Table::Bridge,
    Table::Inet,
    Table::Netdev,
    Table::Dom0,
    Table::Untracked,
    Table::Forwards,
    Table::Accounts,
    Table::RoutedAccounts,
];
