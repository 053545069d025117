//! Whether the fixed part of a table is what it should be, and how to make it so again.
//!
//! The kernel tells a rule in other words than it was told: registers by other numbers, defaults
//! spelled out. So both are brought to one form before they are compared.

use super::elements::raw::{self, Raw};
use super::expr::Rule;
use super::hook::{is_hook, parse_hook};
use super::ruleset::{Chain, POSTROUTING, Set, ingress_rules, layout_set, masquerading, ruleset};
use super::{HEADER, masquerade_rule, message, parse_layout, read_user_text, set_shape};
use crate::contents::Contents;
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::netlink::Request;
use crate::netlink::attributes::Reader;
use crate::snapshot::LAYOUT;
use crate::table::Table;
use nix::libc;
use std::collections::{BTreeMap, BTreeSet};

/// linux/netfilter/nf_tables.h
const NFT_TABLE_F_DORMANT: u32 = 1;

/// A table as the kernel tells it.
#[derive(Debug, Default)]
pub(crate) struct Inspection {
    present: bool,
    dormant: bool,
    layout: u32,
    /// Its sets: flags, type and length of their keys.
    sets: BTreeMap<String, [u32; 3]>,
    /// Its chains: hook, priority and policy of base chains.
    pub(super) chains: BTreeMap<String, Option<[u32; 3]>>,
    /// Interfaces that have a sound hook of their own.
    pub(super) hooks: BTreeSet<IfName>,
    rules: BTreeMap<String, Vec<Found>>,
    /// The elements of its fixed sets.
    elements: BTreeMap<String, Vec<Raw>>,
}

/// A rule, and what its comment says.
#[derive(Debug)]
struct Found {
    comment: Option<String>,
    expressions: Vec<Expression>,
}

/// Elements that are to be there and are not, and those that are there and are not to be, each with
/// its set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Differences {
    pub(crate) missing: Vec<(String, Raw)>,
    pub(crate) surplus: Vec<(String, Raw)>,
}

impl Inspection {
    /// Whether the table itself is there: one message, asked first.
    pub(crate) fn get_table(table: Table) -> Request {
        message(table, libc::NFT_MSG_GETTABLE, 0, |_| {})
    }

    pub(crate) fn read_table(&mut self, body: &[u8]) {
        let flags = Reader::after(body, HEADER).find(2).and_then(|value| be32(value.0)).unwrap_or(0);
        self.present = true;
        self.dormant = flags & NFT_TABLE_F_DORMANT != 0;
    }

    /// The dumps that tell the rest. A dump of chains tells those of the whole family.
    pub(crate) fn dumps(table: Table) -> Vec<Request> {
        let parts = [libc::NFT_MSG_GETSET, libc::NFT_MSG_GETCHAIN, libc::NFT_MSG_GETRULE];
        let parts = parts.into_iter().map(|what| message(table, what, 0, |_| {}));
        let sets = ruleset(table).sets.into_iter().filter(|set| !set.dynamic);
        parts.chain(sets.map(|set| raw::get(table, set.name))).collect()
    }

    /// Takes one message of these dumps.
    pub(crate) fn read(&mut self, table: Table, kind: u16, body: &[u8]) {
        let attributes = Reader::after(body, HEADER);
        let text = |kind: u16| attributes.find(kind).and_then(|value| value.text());
        if text(1) != Some(table.name()) {
            return;
        }
        let number = |kind: u16| attributes.find(kind).and_then(|value| be32(value.0)).unwrap_or(0);
        match i32::from(kind & 0xff) {
            libc::NFT_MSG_NEWSET => {
                let Some(name) = text(2) else { return };
                if name == layout_set(table) {
                    self.layout = parse_layout(body);
                }
                self.sets.insert(name.to_owned(), [number(3), number(4), number(5)]);
            }
            libc::NFT_MSG_NEWCHAIN => {
                let Some(name) = text(3) else { return };
                let hook = attributes.nested(4);
                let place = |kind: u16| hook.find(kind).and_then(|value| be32(value.0));
                let base = place(1).zip(place(2)).map(|(hook, priority)| [hook, priority, number(5)]);
                self.chains.insert(name.to_owned(), base);
                self.hooks.extend(parse_hook(body));
            }
            libc::NFT_MSG_NEWRULE => {
                let Some(chain) = text(2) else { return };
                let expressions = attributes.nested(4).filter_map(|(_, value)| Expression::read(value.nested()));
                let comment = attributes.find(7).and_then(|value| read_user_text(0, value.0)).map(str::to_owned);
                let found = Found { comment, expressions: expressions.collect() };
                self.rules.entry(chain.to_owned()).or_default().push(found);
            }
            libc::NFT_MSG_NEWSETELEM => {
                if let Some((set, elements)) = raw::read(body) {
                    self.elements.entry(set).or_default().extend(elements);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn is_present(&self) -> bool {
        self.present
    }

    pub(crate) fn is_dormant(&self) -> bool {
        self.dormant
    }

    /// Its layout; 0 where the set that would tell is gone.
    pub(crate) fn layout(&self) -> u32 {
        self.layout
    }

    /// Whether its fixed part is this version's, awake, and whole.
    pub(super) fn is_whole(&self, table: Table) -> bool {
        !self.dormant && self.layout == LAYOUT && self.defects(table).is_empty()
    }

    /// What of the fixed part is not as it should be, in words.
    pub(crate) fn defects(&self, table: Table) -> Vec<String> {
        let expected = ruleset(table);
        let mut defects = Vec::new();
        for set in &expected.sets {
            match self.sets.get(set.name) {
                None => defects.push(format!("set {} is missing", set.name)),
                Some(shape) if *shape != set_shape(set) => defects.push(format!("set {} is another one", set.name)),
                Some(_) => {}
            }
        }
        for chain in &expected.chains {
            match self.chains.get(chain.name) {
                None => {
                    defects.push(format!("chain {} is missing", chain.name));
                    continue;
                }
                Some(base) if *base != base_of(chain) => defects.push(format!("chain {} hooks elsewhere", chain.name)),
                Some(_) => {}
            }
            defects.extend(self.rule_defect(chain.name, &chain.rules));
        }
        for name in self.chains.keys().filter(|name| !expected.chains.iter().any(|chain| chain.name == **name)) {
            if is_hook(name) && table == Table::Netdev {
                defects.extend(self.rule_defect(name, &ingress_rules()));
            } else if !holds_masquerades(table, name) {
                defects.push(format!("chain {name} is not ours"));
            } else if !self.keeps_chain(&masquerading()) {
                defects.push(format!("chain {name} hooks elsewhere"));
            }
        }
        let unknown = |name: &&String| !is_anonymous(name) && !expected.sets.iter().any(|set| set.name == **name);
        defects.extend(self.sets.keys().filter(unknown).map(|name| format!("set {name} is not ours")));
        defects
    }

    /// The first rule of a chain that is not the one that belongs there.
    fn rule_defect(&self, chain: &str, expected: &[Rule]) -> Option<String> {
        let found = self.rules_of(chain);
        let expected: Vec<_> = expected.iter().map(|rule| Expression::all(&rule.expressions())).collect();
        let same = |n: usize| expected.get(n) == found.get(n).map(|found| &found.expressions);
        let at = (0..expected.len().max(found.len())).find(|n| !same(*n))?;
        let number = at + 1;
        Some(match (expected.len(), found.len()) {
            (want, have) if have < want => format!("chain {chain}: {} of {want} rules are missing", want - have),
            (want, have) if have > want => format!("chain {chain}: {} rules too many", have - want),
            _ => format!("chain {chain}: rule {number} is another one"),
        })
    }

    fn rules_of(&self, chain: &str) -> &[Found] {
        self.rules.get(chain).map(Vec::as_slice).unwrap_or_default()
    }

    /// The subnets that the comments of its rules speak of.
    pub(super) fn masquerades(&self) -> BTreeSet<Masquerade> {
        let rules = self.rules_of(POSTROUTING).iter();
        rules.filter_map(|found| found.comment.as_deref()?.parse().ok()).collect()
    }

    /// The subnets whose rule is not there as it is to be, and how many rules there are beside.
    pub(crate) fn masquerade_differences<'a>(&self, wanted: &'a BTreeSet<Masquerade>) -> (Vec<&'a Masquerade>, usize) {
        let found = self.rules_of(POSTROUTING);
        let expected = |rule: &Masquerade| Expression::all(&masquerade_rule(rule).expressions());
        let stands = |rule: &&&Masquerade| found.iter().any(|found| found.expressions == expected(rule));
        let standing = wanted.iter().filter(|rule| stands(&rule)).count();
        let missing: Vec<_> = wanted.iter().filter(|rule| !stands(&rule)).collect();
        (missing, found.len().saturating_sub(standing))
    }

    /// Its elements beside those that are to be there.
    pub(crate) fn differences(&self, table: Table, contents: &Contents) -> Differences {
        let expected = raw::expected(table, contents);
        let mut differences = Differences::default();
        let mut wanted: BTreeMap<&str, BTreeMap<_, &Raw>> = BTreeMap::new();
        for (set, raw) in &expected {
            wanted.entry(set).or_default().insert(raw.identity(), raw);
        }
        for (set, elements) in &self.elements {
            let mut wanted = wanted.remove(set.as_str()).unwrap_or_default();
            for found in elements {
                match wanted.remove(&found.identity()) {
                    Some(raw) if raw::says_the_same(set, raw, found) => {}
                    other => {
                        differences.surplus.push((set.clone(), found.clone()));
                        differences.missing.extend(other.map(|raw| (set.clone(), raw.clone())));
                    }
                }
            }
            differences.missing.extend(wanted.into_values().map(|raw| (set.clone(), raw.clone())));
        }
        for (set, wanted) in wanted {
            differences.missing.extend(wanted.into_values().map(|raw| (set.to_owned(), raw.clone())));
        }
        differences
    }

    /// Its elements that stand under these names, by their sets, with the addresses that were told of
    /// nobody else.
    pub(super) fn elements_under(&self, names: &BTreeSet<IfName>) -> Vec<(&str, Vec<Raw>)> {
        let is_under =
            |set: &str, element: &Raw| raw::interface(set, element).is_some_and(|name| names.contains(&name));
        let addresses = |are_under: bool| -> BTreeSet<Vec<u8>> {
            let all = self.elements.iter().flat_map(|(set, elements)| elements.iter().map(move |raw| (set, raw)));
            let told = all.filter(|(set, raw)| is_under(set, raw) == are_under);
            told.flat_map(|(set, raw)| raw::addresses_told(set, raw)).collect()
        };
        let (gone, left) = (addresses(true), addresses(false));
        let goes = |set: &str, element: &Raw| {
            let address = raw::is_address(set) && gone.contains(&element.key) && !left.contains(&element.key);
            is_under(set, element) || address
        };
        let of_set = |set: &str, elements: &[Raw]| elements.iter().filter(|raw| goes(set, raw)).cloned().collect();
        let by_set = self.elements.iter().map(|(set, elements)| (set.as_str(), of_set(set, elements)));
        by_set.filter(|(_, elements): &(_, Vec<_>)| !elements.is_empty()).collect()
    }

    pub(super) fn elements_of(&self, set: &str) -> &[Raw] {
        self.elements.get(set).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether a set can stay as it is.
    pub(super) fn keeps_set(&self, table: Table, set: &Set) -> bool {
        let stale = set.name == layout_set(table) && self.layout != LAYOUT;
        self.sets.get(set.name) == Some(&set_shape(set)) && !stale
    }

    /// The sets that have no place in the table as it is to be.
    pub(super) fn sets_to_go(&self, table: Table, expected: &[Set]) -> Vec<&String> {
        let stays = |name: &str| expected.iter().any(|set| set.name == name && self.keeps_set(table, set));
        self.sets.keys().filter(|name| !is_anonymous(name) && !stays(name)).collect()
    }

    /// Whether a chain can stay, whatever its rules are.
    pub(super) fn keeps_chain(&self, chain: &Chain) -> bool {
        self.chains.get(chain.name) == Some(&base_of(chain))
    }
}

/// Whether the rules of a chain are not fixed.
pub(super) fn holds_masquerades(table: Table, chain: &str) -> bool {
    table == Table::Inet && chain == POSTROUTING
}

/// Hook, priority and policy of a base chain.
fn base_of(chain: &Chain) -> Option<[u32; 3]> {
    chain.hook.as_ref().map(|hook| [hook.number, hook.priority as u32, libc::NF_ACCEPT as u32])
}

fn is_anonymous(set: &str) -> bool {
    set.starts_with("__")
}

fn be32(value: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(value.try_into().ok()?))
}

/// An expression of a rule in the one form: attributes by their path, without what is a count, a
/// default, or a number of the kernel's own.
#[derive(Debug, PartialEq, Eq)]
struct Expression {
    name: String,
    attributes: BTreeMap<Vec<u16>, Vec<u8>>,
}

impl Expression {
    /// All expressions of a rule as it is written.
    fn all(rule: &[u8]) -> Vec<Expression> {
        Reader::after(rule, 0).filter_map(|(_, value)| Expression::read(value.nested())).collect()
    }

    fn read(element: Reader<'_>) -> Option<Expression> {
        let name = element.find(1)?.text()?.to_owned();
        let mut attributes = BTreeMap::new();
        if name != "counter" {
            flatten(&name, &mut Vec::new(), element.nested(2), &mut attributes);
        }
        Some(Expression { name, attributes })
    }
}

fn flatten(name: &str, path: &mut Vec<u16>, reader: Reader<'_>, into: &mut BTreeMap<Vec<u16>, Vec<u8>>) {
    for (kind, value) in reader {
        path.push(kind);
        if is_nested(name, path) {
            flatten(name, path, value.nested(), into);
        } else if !is_the_kernels(name, path) {
            let mut octets = value.0.to_vec();
            if is_register(name, path) {
                octets = be32(&octets).map(one_register).unwrap_or_default().to_be_bytes().to_vec();
            }
            if octets.starts_with(b"__map") {
                octets.truncate(5);
            }
            // What is nothing is what goes without saying.
            if octets.iter().any(|octet| *octet != 0) {
                into.insert(path.clone(), octets);
            }
        }
        path.pop();
    }
}

// Numbers of attributes: linux/netfilter/nf_tables.h.

fn is_nested(name: &str, path: &[u16]) -> bool {
    matches!((name, path), ("cmp", [3]) | ("bitwise", [4 | 5]) | ("range", [3 | 4]) | ("immediate", [2] | [2, 2]))
}

/// Numbers of sets, the expressions that count inside of a dynamic set, and the ends of ranges that are
/// one address and one port.
fn is_the_kernels(name: &str, path: &[u16]) -> bool {
    matches!((name, path), ("lookup", [4]) | ("dynset", [2 | 7 | 10]) | ("nat", [4 | 6 | 7]))
}

fn is_register(name: &str, path: &[u16]) -> bool {
    matches!(
        (name, path),
        ("payload" | "cmp" | "range" | "exthdr" | "ct" | "immediate" | "meta", [1])
            | ("payload", [5])
            | ("bitwise", [1 | 2])
            | ("lookup", [2 | 3])
            | ("dynset", [4])
            | ("fib", [1])
            | ("nat", [3 | 5])
    )
}

/// The first four octets of a register of sixteen have two numbers.
fn one_register(number: u32) -> u32 {
    match number {
        1..=4 => libc::NFT_REG32_00 as u32 + (number - 1) * 4,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn registers_have_one_number() {
        assert_eq!(one_register(1), libc::NFT_REG32_00 as u32);
        assert_eq!(one_register(2), libc::NFT_REG32_00 as u32 + 4);
        assert_eq!(one_register(9), 9);
    }

    #[test]
    fn every_rule_is_unlike_its_neighbours_in_the_one_form() {
        for chain in Table::ALL.iter().flat_map(|table| ruleset(*table).chains) {
            let rules: Vec<_> = chain.rules.iter().map(|rule| Expression::all(&rule.expressions())).collect();
            for pair in rules.windows(2) {
                assert_ne!(pair[0], pair[1], "chain {}", chain.name);
            }
        }
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(kind: u16, body: Vec<u8>) {
            let mut inspection = Inspection::default();
            inspection.read_table(&body);
            inspection.read(Table::Bridge, kind, &body);
            let contents = Contents::default();
            let _ = (inspection.defects(Table::Bridge), inspection.differences(Table::Bridge, &contents));
            let _ = crate::netlink::nf::rewrite(Table::Bridge, &inspection, None);
        }
    }
}
