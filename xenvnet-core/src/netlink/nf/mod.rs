//! nf_tables: our tables, the elements that make a lock, masquerade rules, networks
//! (linux/netfilter/nf_tables.h, linux/netfilter/nfnetlink.h).

pub(crate) mod accounts;
mod elements;
mod expr;
mod hook;
mod inspect;
mod policy;
mod restore;
mod ruleset;

pub(crate) use elements::{
    Locks, at_ingress, dom0, forwards, guard, has_elements, networks, parse_drops, raw, untracked,
};
pub(crate) use hook::{add_hook, delete_hook, get_hook, parse_hook};
pub(crate) use inspect::Inspection;
pub(crate) use restore::{restore, rewrite, sweep};
pub(crate) use ruleset::reasons;

use super::attributes::{Reader, Writer};
use super::{CREATE, CREATE_NEW, Request};
use crate::drops::DropReason;
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::snapshot::LAYOUT;
use crate::table::Table;
use expr::Rule;
use ipnetwork::IpNetwork;
use nix::libc;
use ruleset::{Chain, ETHER_TYPE_MAP, ETHER_TYPES, Field, IFNAME, Origin, POSTROUTING, Set, layout_set};

/// Family, version, resource: struct nfgenmsg.
const HEADER: usize = 4;

fn family(table: Table) -> u8 {
    match table {
        Table::Bridge | Table::Untracked | Table::Accounts => libc::NFPROTO_BRIDGE as u8,
        Table::Netdev => libc::NFPROTO_NETDEV as u8,
        Table::Inet | Table::Dom0 | Table::Forwards | Table::RoutedAccounts => libc::NFPROTO_INET as u8,
    }
}

fn kind(message: i32) -> u16 {
    (libc::NFNL_SUBSYS_NFTABLES as u16) << 8 | message as u16
}

/// A message about something in one of our tables. The table's name is attribute 1 of them all.
fn message(table: Table, message: i32, flags: u16, content: impl FnOnce(&mut Writer)) -> Request {
    let mut body = Writer::after(&[family(table), 0, 0, 0]);
    body.text(1, table.name());
    content(&mut body);
    Request { kind: kind(message), flags, body: body.finish() }
}

/// A comment as nft(8) writes and shows it: type, length, text with NUL.
fn comment(text: &str) -> Vec<u8> {
    user_text(0, text)
}

fn user_text(kind: u8, text: &str) -> Vec<u8> {
    let len = (text.len() + 1).min(255);
    let mut octets = vec![kind, len as u8];
    octets.extend_from_slice(&text.as_bytes()[..len - 1]);
    octets.push(0);
    octets
}

/// The text of this type in userdata.
fn read_user_text(kind: u8, mut userdata: &[u8]) -> Option<&str> {
    while let [t, len, rest @ ..] = userdata {
        let value = rest.get(..usize::from(*len))?;
        if *t == kind {
            return std::str::from_utf8(value.strip_suffix(b"\0")?).ok();
        }
        userdata = rest.get(usize::from(*len)..)?;
    }
    None
}

/// All or nothing: the kernel takes the messages between these as one transaction.
pub(crate) fn batch(requests: impl IntoIterator<Item = Request>) -> Vec<Request> {
    let envelope = |kind: i32| Request {
        kind: kind as u16,
        flags: 0,
        body: [&[0, 0][..], &(libc::NFNL_SUBSYS_NFTABLES as u16).to_be_bytes()].concat(),
    };
    let mut all = vec![envelope(libc::NFNL_MSG_BATCH_BEGIN)];
    all.extend(requests);
    all.push(envelope(libc::NFNL_MSG_BATCH_END));
    all
}

/// Set comments have their own type (NFTNL_UDATA_SET_COMMENT in libnftnl).
const SET_COMMENT: u8 = 7;
/// NFTNL_UDATA_SET_KEYBYTEORDER, and nft(8)'s number for the order of interface names.
const SET_KEY_BYTE_ORDER: u8 = 0;
const HOST_ENDIAN: u32 = 1;
const BIG_ENDIAN: u32 = 2;
const SET_KEY_TYPEOF: u8 = 3;

/// Flags of a set, type and length of its keys.
fn set_shape(set: &Set) -> [u32; 3] {
    let concatenated = set.key.len() > 1;
    let mut flags = 0;
    if set.interval {
        flags |= libc::NFT_SET_INTERVAL as u32;
    }
    if concatenated && set.interval {
        flags |= NFT_SET_CONCAT;
    }
    if set.dynamic {
        flags |= libc::NFT_SET_EVAL as u32;
    }
    if !set.data.is_empty() {
        flags |= libc::NFT_SET_MAP as u32;
    }
    let [datatype, octets] = shape(set.key);
    [flags, datatype, octets]
}

/// nft(8) packs the types of a concatenation in 6 bits each, fields padded to 4 octets.
fn shape(fields: &[Field]) -> [u32; 2] {
    let datatype = fields.iter().fold(0, |packed, field| packed << 6 | field.datatype);
    let octets = fields.iter().map(|field| field_len(*field, fields.len() > 1)).sum();
    [datatype, octets]
}

fn add_set(table: Table, set: &Set, id: u32) -> Request {
    message(table, libc::NFT_MSG_NEWSET, CREATE, |body| {
        let concatenated = set.key.len() > 1;
        let [flags, datatype, octets] = set_shape(set);
        body.text(2, set.name).be32(3, flags).be32(4, datatype).be32(5, octets).be32(10, id);
        if !set.data.is_empty() {
            let [datatype, octets] = shape(set.data);
            body.be32(6, datatype).be32(7, octets);
        }
        body.nested(9, |description| {
            if set.dynamic {
                description.be32(1, 65_535);
            }
            if concatenated && set.interval {
                description.nested(2, |fields| {
                    for field in set.key {
                        fields.nested(1, |element| {
                            element.be32(1, field_len(*field, true));
                        });
                    }
                });
            }
        });
        let text = match set.name == layout_set(table) {
            true => format!("layout {LAYOUT}: {}", set.comment),
            false => set.comment.to_owned(),
        };
        let mut userdata = user_text(SET_COMMENT, &text);
        if !concatenated {
            // Without a word on the byte order nft(8) shows a name as an empty string.
            let order = if set.key[0].origin == Origin::Iifname { HOST_ENDIAN } else { BIG_ENDIAN };
            userdata.extend_from_slice(&[SET_KEY_BYTE_ORDER, 4]);
            userdata.extend_from_slice(&order.to_ne_bytes());
        }
        if set.key.iter().any(|field| matches!(field.origin, Origin::Transport(_))) {
            userdata.extend_from_slice(&key_typeof(set.key));
        }
        body.bytes(13, &userdata);
        if set.counted {
            body.nested(17, |expression| {
                expression.text(1, "counter").nested(2, |_| {});
            });
        }
    })
}

/// What the key is compared with, in the form in which nft(8) stores `typeof`: types and lengths of
/// one octet, nested, numbers in the host's order (NFTNL_UDATA_SET_KEY_TYPEOF in libnftnl, and the
/// expressions' own in nft's source).
fn key_typeof(key: &[Field]) -> Vec<u8> {
    const META: u32 = 9;
    const PAYLOAD: u32 = 7;
    const CONCATENATION: u32 = 13;
    fn tlv(kind: u8, value: &[u8]) -> Vec<u8> {
        [&[kind, value.len() as u8], value].concat()
    }
    let numbers = |numbers: &[u32]| -> Vec<u8> {
        numbers.iter().enumerate().flat_map(|(n, number)| tlv(n as u8, &number.to_ne_bytes())).collect()
    };
    let expression = |kind: u32, content: &[u8]| [tlv(0, &kind.to_ne_bytes()), tlv(1, content)].concat();
    let fields = key.iter().enumerate().flat_map(|(n, field)| {
        let field = match field.origin {
            Origin::Iifname => expression(META, &numbers(&[libc::NFT_META_IIFNAME as u32])),
            // The Ethernet header, its second field.
            Origin::EtherSaddr => expression(PAYLOAD, &numbers(&[17, 2])),
            // No header, no field; base (3: transport), offset and length in bits.
            Origin::Transport(offset) => expression(PAYLOAD, &numbers(&[0, 0, 3, offset * 8, field.octets * 8])),
            Origin::Other => Vec::new(),
        };
        tlv(n as u8, &field)
    });
    tlv(SET_KEY_TYPEOF, &expression(CONCATENATION, &fields.collect::<Vec<_>>()))
}

const NFT_SET_CONCAT: u32 = 0x80;

fn field_len(field: Field, padded: bool) -> u32 {
    if padded { field.octets.next_multiple_of(4) } else { field.octets }
}

/// The table with its fixed sets, chains and rules.
pub(crate) fn add_table(table: Table) -> Vec<Request> {
    let ruleset = ruleset::ruleset(table);
    // Refused where there is one: adding to it would double its rules.
    let mut requests = vec![message(table, libc::NFT_MSG_NEWTABLE, CREATE_NEW, |body| {
        body.be32(2, 0);
    })];
    requests.extend(ruleset.sets.iter().enumerate().map(|(n, set)| add_set(table, set, n as u32 + 100)));
    requests.extend(ruleset.chains.iter().map(|chain| add_chain(table, chain)));
    requests.extend(add_rules(table, ruleset.chains));
    requests
}

fn add_chain(table: Table, chain: &Chain) -> Request {
    message(table, libc::NFT_MSG_NEWCHAIN, CREATE, |body| {
        body.text(3, chain.name);
        if let Some(hook) = &chain.hook {
            body.nested(4, |place| {
                place.be32(1, hook.number).be32(2, hook.priority as u32);
            });
            body.be32(5, libc::NF_ACCEPT as u32).text(7, hook.kind);
        }
    })
}

/// The rules of all chains. They may jump to any of them, so the chains are there before.
fn add_rules(table: Table, chains: Vec<Chain>) -> Vec<Request> {
    let mut requests = Vec::new();
    if matches!(table, Table::Bridge | Table::Netdev) {
        requests.extend(ether_type_map(table));
    }
    for chain in chains {
        requests.extend(chain.rules.into_iter().map(|rule| add_rule(table, chain.name, rule)));
    }
    requests
}

fn add_rule(table: Table, chain: &str, rule: Rule) -> Request {
    message(table, libc::NFT_MSG_NEWRULE, CREATE | libc::NLM_F_APPEND as u16, |body| {
        body.text(2, chain);
        rule.write(body);
    })
}

/// The EtherTypes that a guest may speak, each with its chain: three elements, never more.
fn ether_type_map(table: Table) -> [Request; 2] {
    let (name, id) = ETHER_TYPE_MAP;
    let flags = (libc::NFT_SET_ANONYMOUS | libc::NFT_SET_CONSTANT | libc::NFT_SET_MAP) as u32;
    let map = message(table, libc::NFT_MSG_NEWSET, CREATE, |body| {
        body.text(2, name).be32(3, flags);
        // ether_type, two octets; verdicts.
        body.be32(4, 10).be32(5, 2).be32(6, NFT_DATA_VERDICT).be32(7, 0).be32(10, id);
        body.nested(9, |description| {
            description.be32(1, ETHER_TYPES.len() as u32);
        });
    });
    let elements = message(table, libc::NFT_MSG_NEWSETELEM, CREATE, |body| {
        body.text(2, name).be32(4, id);
        body.nested(3, |list| {
            for (ether_type, verdict) in ETHER_TYPES {
                list.nested(1, |element| {
                    element.nested(1, |key| {
                        key.bytes(1, &ether_type.to_be_bytes());
                    });
                    element.nested(2, |data| verdict.write(data));
                });
            }
        });
    });
    [map, elements]
}

const NFT_DATA_VERDICT: u32 = 0xffff_ff00;

pub(crate) fn delete_table(table: Table) -> Request {
    message(table, libc::NFT_MSG_DELTABLE, 0, |_| {})
}

/// Whether our table is there, and of which layout: asks for the set that says so.
pub(crate) fn get_layout(table: Table) -> Request {
    message(table, libc::NFT_MSG_GETSET, 0, |body| {
        body.text(2, layout_set(table));
    })
}

/// The layout that a set's comment tells; 0 for a set of that name that is not ours.
pub(crate) fn parse_layout(body: &[u8]) -> u32 {
    let comment = Reader::after(body, HEADER).find(13).and_then(|value| read_user_text(SET_COMMENT, value.0));
    let layout = comment.and_then(|text| text.strip_prefix("layout ")?.split(':').next()?.parse().ok());
    layout.unwrap_or(0)
}

/// All chains of a table's family, to be dumped.
pub(crate) fn get_chains(table: Table) -> Request {
    message(table, libc::NFT_MSG_GETCHAIN, 0, |_| {})
}

/// All chains of all families, to be dumped.
pub(crate) fn get_all_chains() -> Request {
    Request { kind: kind(libc::NFT_MSG_GETCHAIN), flags: 0, body: vec![0; HEADER] }
}

/// A base chain that drops what is forwarded unless a rule accepts it: family, table and name.
pub(crate) fn parse_dropping(body: &[u8]) -> Option<(&'static str, String, String)> {
    let family = match i32::from(*body.first()?) {
        libc::NFPROTO_IPV4 => "ip",
        libc::NFPROTO_IPV6 => "ip6",
        libc::NFPROTO_INET => "inet",
        libc::NFPROTO_BRIDGE => "bridge",
        _ => return None,
    };
    let attributes = Reader::after(body, HEADER);
    let forward = attributes.nested(4).find(1)?.0 == (libc::NF_INET_FORWARD as u32).to_be_bytes();
    let drops = attributes.find(5)?.0 == (libc::NF_DROP as u32).to_be_bytes();
    let text = |kind: u16| attributes.find(kind)?.text().map(str::to_owned);
    (forward && drops).then_some((family, text(1)?, text(3)?))
}

/// All rules of a table's chain of masquerade rules, to be dumped.
pub(crate) fn get_masquerades() -> Request {
    message(Table::Inet, libc::NFT_MSG_GETRULE, 0, |body| {
        body.text(2, POSTROUTING);
    })
}

/// A masquerade rule of ours and its handle.
pub(crate) fn parse_masquerade(body: &[u8]) -> Option<(Masquerade, u64)> {
    let attributes = Reader::after(body, HEADER);
    let ours = attributes.find(1)?.text()? == Table::Inet.name() && attributes.find(2)?.text()? == POSTROUTING;
    let text = read_user_text(0, attributes.find(7)?.0)?;
    Some((ours.then(|| text.parse().ok()).flatten()?, attributes.find(3)?.be64()?))
}

/// Whether a rule of this dump is a rule of our chain of masquerade rules, ours or not.
pub(crate) fn is_postrouting(body: &[u8]) -> bool {
    let attributes = Reader::after(body, HEADER);
    let text = |kind: u16| attributes.find(kind).and_then(|value| value.text());
    text(1) == Some(Table::Inet.name()) && text(2) == Some(POSTROUTING)
}

/// The rule, and its chain, whether that is there already or not.
pub(crate) fn add_masquerade(masquerade: &Masquerade) -> [Request; 2] {
    let chain = add_chain(Table::Inet, &ruleset::masquerading());
    [chain, add_rule(Table::Inet, POSTROUTING, masquerade_rule(masquerade))]
}

/// Deletes the chain of masquerade rules, and with it whatever is in it.
pub(crate) fn delete_masquerading() -> Request {
    message(Table::Inet, libc::NFT_MSG_DELCHAIN, 0, |body| {
        body.text(3, POSTROUTING);
    })
}

fn masquerade_rule(masquerade: &Masquerade) -> Rule {
    let rule = Rule::new();
    let (rule, source, destination) = match masquerade.subnet {
        IpNetwork::V4(_) => {
            (rule.nfproto(libc::NFPROTO_IPV4), (expr::Base::Network, 12, 4), (expr::Base::Network, 16, 4))
        }
        IpNetwork::V6(_) => {
            (rule.nfproto(libc::NFPROTO_IPV6), (expr::Base::Network, 8, 16), (expr::Base::Network, 24, 16))
        }
    };
    let (network, mask) = octets(masquerade.subnet);
    let mut rule = rule.bits(source, &mask, expr::Is::Equal, &network);
    if !masquerade.everywhere {
        rule = rule.bits(destination, &mask, expr::Is::Unequal, &network);
    }
    if let Some(uplink) = masquerade.uplink {
        rule = rule.oifname(&uplink.padded());
    }
    rule.counter().masquerade().comment(masquerade.to_string())
}

fn octets(net: IpNetwork) -> (Vec<u8>, Vec<u8>) {
    match net {
        IpNetwork::V4(net) => (net.network().octets().to_vec(), net.mask().octets().to_vec()),
        IpNetwork::V6(net) => (net.network().octets().to_vec(), net.mask().octets().to_vec()),
    }
}

pub(crate) fn delete_rule(table: Table, chain: &str, handle: u64) -> Request {
    message(table, libc::NFT_MSG_DELRULE, 0, |body| {
        body.text(2, chain).be64(3, handle);
    })
}

pub(crate) fn delete_masquerade(handle: u64) -> Request {
    delete_rule(Table::Inet, POSTROUTING, handle)
}

/// A table's sets of dropped frames.
pub(crate) fn drop_sets(table: Table) -> impl Iterator<Item = (DropReason, &'static str)> {
    reasons(table).iter().map(|reason| (*reason, ruleset::dropped(*reason)))
}

fn key_of(name: IfName) -> Vec<u8> {
    name.padded()[..IFNAME.octets as usize].to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comments_are_read_back() {
        assert_eq!(read_user_text(0, &comment("dev=1 disabled")), Some("dev=1 disabled"));
        let two = [user_text(3, "x"), comment("hello")].concat();
        assert_eq!(read_user_text(0, &two), Some("hello"));
        assert_eq!(read_user_text(1, &two), None);
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(body: Vec<u8>) {
            let _ = (parse_layout(&body), parse_masquerade(&body), parse_dropping(&body), is_postrouting(&body), read_user_text(0, &body));
            let mut locks = Locks::default();
            locks.read_guard(&body);
            let _ = networks::parse(&body);
        }
    }
}
