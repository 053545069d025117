//! What stands in the sets of a table, element by element: to be compared, to be brought about.

use super::*;
use crate::contents::Contents;
use crate::forward::Forward;
use crate::network::NetworkRecord;
use crate::untracked::Untracked;

/// An element as it is, whatever it means.
pub(crate) type Raw = Element;

pub(crate) fn get(table: Table, set: &str) -> Request {
    get_all(table, set)
}

/// The elements of an answer, and the set that they are in.
pub(crate) fn read(body: &[u8]) -> Option<(String, Vec<Raw>)> {
    let set = Reader::after(body, HEADER).find(2)?.text()?.to_owned();
    let read = |seen: Seen<'_>| Raw {
        key: seen.key.to_vec(),
        end: seen.end.map(<[u8]>::to_vec),
        data: seen.data.map(<[u8]>::to_vec),
        comment: read_user_text(0, seen.userdata).map(str::to_owned),
        counter: seen.counter,
    };
    Some((set, elements(body).map(read).collect()))
}

/// All elements that are to stand in a table.
pub(crate) fn expected(table: Table, contents: &Contents) -> Vec<(&'static str, Raw)> {
    let plain = |name: IfName| Raw { key: key_of(name), ..Raw::default() };
    let said = |name: IfName, text: String| Raw { comment: Some(text), ..plain(name) };
    match table {
        Table::Bridge | Table::Netdev => contents
            .guards_in(table)
            .iter()
            .flat_map(|(vif, guard)| {
                let facts = guard.lock.facts().into_iter().flat_map(|fact| fact_elements(*vif, &fact));
                facts.chain([(GUARDED, said(*vif, guard.comment()))]).collect::<Vec<_>>()
            })
            .collect(),
        Table::Inet => {
            let networks = contents.networks.iter().map(|(id, record)| {
                (NETWORKS, Raw { key: id.key().to_vec(), comment: Some(record.comment()), ..Raw::default() })
            });
            networks.chain(contents.ingress.keys().map(|vif| (AT_INGRESS, plain(*vif)))).collect()
        }
        Table::Dom0 => contents.dom0.iter().flat_map(|(name, access)| dom0::placed(*name, access)).collect(),
        Table::Forwards => contents.forwards.iter().flat_map(forwards::placed).collect(),
        Table::Accounts | Table::RoutedAccounts => {
            contents.accounts_in(table).flat_map(|(name, account)| accounts::placed(name, &account)).collect()
        }
        Table::Untracked => {
            contents.untracked.iter().flat_map(|(vif, untracked)| untracked::placed(*vif, untracked)).collect()
        }
    }
}

/// The network that an element is about.
pub(crate) fn network(set: &str, element: &Raw) -> Option<NetworkRecord> {
    (set == NETWORKS).then(|| NetworkRecord::parse_comment(element.comment.as_deref()?))?
}

/// The forwarding that an element is about.
pub(crate) fn forward(set: &str, element: &Raw) -> Option<Forward> {
    matches!(set, FORWARDS4 | FORWARDS6).then(|| element.comment.as_deref()?.parse().ok())?
}

/// The interface that an element is about, where its set is about interfaces.
pub(crate) fn interface(set: &str, element: &Raw) -> Option<IfName> {
    if matches!(set, UNTRACKED_MACS | FORWARDS4 | FORWARDS6 | HAIRPIN4 | HAIRPIN6) {
        return None;
    }
    name_of(&element.key)
}

/// Whether the elements of a set are addresses of guests that others of the table name.
pub(crate) fn is_address(set: &str) -> bool {
    set == UNTRACKED_MACS
}

/// The keys of such addresses that an element names.
pub(crate) fn addresses_told(set: &str, element: &Raw) -> Vec<Vec<u8>> {
    let told = (set == UNTRACKED).then(|| element.comment.as_deref()?.parse::<Untracked>().ok()).flatten();
    told.map(|untracked| untracked.macs.iter().map(|mac| mac.octets().to_vec()).collect()).unwrap_or_default()
}

/// Whether an element says the same as another one with its key.
pub(crate) fn says_the_same(set: &str, one: &Raw, other: &Raw) -> bool {
    let guard = |raw: &Raw| raw.comment.as_deref().and_then(Guard::parse_comment);
    let network = |raw: &Raw| raw.comment.as_deref().and_then(NetworkRecord::parse_comment);
    let account = |raw: &Raw| raw.comment.as_deref().and_then(Account::parse_comment);
    one == other
        || one.key == other.key
            && match set {
                GUARDED => guard(one).is_some() && guard(one) == guard(other),
                NETWORKS => network(one).is_some() && network(one) == network(other),
                SENT => account(one).is_some() && account(one) == account(other),
                // What was counted is the kernel's to say.
                RECEIVED => true,
                _ => false,
            }
}

pub(crate) fn delete(table: Table, set: &str, elements: &[Raw]) -> Vec<Request> {
    let keys: Vec<_> = elements.iter().map(|raw| Raw { comment: None, ..raw.clone() }).collect();
    keys.chunks(64).map(|part| change(table, libc::NFT_MSG_DELSETELEM, set, part)).collect()
}

pub(crate) fn add(table: Table, set: &str, elements: &[Raw]) -> Vec<Request> {
    elements.chunks(64).map(|part| change(table, libc::NFT_MSG_NEWSETELEM, set, part)).collect()
}
