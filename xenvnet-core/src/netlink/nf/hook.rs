//! The chain of an interface that is held where its frames come in: a hook for each, in the netdev
//! family. Before Linux 6.16 it belongs to the device, which it follows through a renaming and goes
//! with; since then to the name, under which it waits.

use super::elements::at_ingress;
use super::ruleset::{FIRST, NF_INGRESS, ingress_rules};
use super::{HEADER, add_rule, message};
use crate::ifname::IfName;
use crate::netlink::attributes::Reader;
use crate::netlink::{CREATE, Request};
use crate::table::Table;
use nix::libc;

const PREFIX: &str = "ingress-";

/// The name of an interface's chain. nft(8) reads fewer characters in a name than the kernel; the
/// others are written as numbers behind a slash, which no interface's name has.
pub(super) fn chain_of(vif: IfName) -> String {
    let mut name = PREFIX.to_owned();
    for character in vif.as_str().chars() {
        match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | '-' => name.push(character),
            other => name.push_str(&format!("/{:x}/", u32::from(other))),
        }
    }
    name
}

/// The chain with its rule, whether it is there already or not; and the word to the inet table that
/// what comes in by this name was filtered.
pub(crate) fn add_hook(vif: IfName) -> Vec<Request> {
    let name = chain_of(vif);
    let chain = message(Table::Netdev, libc::NFT_MSG_NEWCHAIN, CREATE, |body| {
        body.text(3, &name).nested(4, |hook| {
            hook.be32(1, NF_INGRESS).be32(2, FIRST as u32).text(3, vif.as_str());
        });
        body.be32(5, libc::NF_DROP as u32).text(7, "filter");
    });
    let rules = ingress_rules().into_iter().map(|rule| add_rule(Table::Netdev, &name, rule));
    [chain, empty(&name)].into_iter().chain(rules).chain([at_ingress::add(vif)]).collect()
}

/// Takes all rules out of a chain.
fn empty(chain: &str) -> Request {
    message(Table::Netdev, libc::NFT_MSG_DELRULE, 0, |body| {
        body.text(2, chain);
    })
}

/// Takes away what is there of it.
pub(crate) fn delete_hook(vif: IfName, chain: bool, word: bool) -> Vec<Request> {
    let name = chain_of(vif);
    let mut requests = Vec::new();
    if chain {
        let delete = message(Table::Netdev, libc::NFT_MSG_DELCHAIN, 0, |body| {
            body.text(3, &name);
        });
        requests.extend([empty(&name), delete]);
    }
    requests.extend(word.then(|| at_ingress::delete(vif)));
    requests
}

pub(crate) fn get_hook(vif: IfName) -> Request {
    message(Table::Netdev, libc::NFT_MSG_GETCHAIN, 0, |body| {
        body.text(3, &chain_of(vif));
    })
}

/// Whether this chain belongs to some interface.
pub(super) fn is_hook(chain: &str) -> bool {
    chain.starts_with(PREFIX)
}

/// The name of the interface that a chain of ours holds, if it is one of these and its hook is what
/// it was.
pub(crate) fn parse_hook(body: &[u8]) -> Option<IfName> {
    let attributes = Reader::after(body, HEADER);
    let ours = attributes.find(1)?.text()? == Table::Netdev.name();
    let chain = attributes.find(3)?.text()?;
    let hook = attributes.nested(4);
    // One device by its name; newer kernels tell a list as well.
    let device = hook.find(3).or_else(|| hook.nested(4).find(1))?.text()?;
    let vif = IfName::new(device).ok()?;
    let sound = hook.find(2)?.0 == (FIRST as u32).to_be_bytes()
        && attributes.find(5)?.0 == (libc::NF_DROP as u32).to_be_bytes();
    (ours && sound && chain == chain_of(vif)).then_some(vif)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn chains_are_named_after_their_interfaces() {
        assert_eq!(chain_of("vif1.0-emu".parse().unwrap()), "ingress-vif1.0-emu");
        assert_eq!(chain_of("a+b".parse().unwrap()), "ingress-a/2b/b");
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(body: Vec<u8>) {
            let _ = parse_hook(&body);
        }
    }
}
