//! Our rules: what they count, how they read, that others' stay as they are, and that each is needed.

use crate::matrix::{cases, lock};
use crate::proof::name;
use crate::street::{Mode, OTHER_VIF, Street, VIF};
use xenvnet_core::{DropReason, Host};
use xenvnet_tests::{Frame, nft, nft_json, nft_ruleset, program};

#[test]
fn drops_on_a_bridge_are_counted_by_vif_and_reason() {
    drops_are_counted(Mode::Bridged);
}

#[test]
fn drops_at_ingress_are_counted_by_vif_and_reason() {
    drops_are_counted(Mode::Routed);
}

fn drops_are_counted(mode: Mode) {
    let Some(street) = Street::build(mode) else { return };
    street.attach(lock());
    let mut path = street.path();
    let pick = |what: &str| -> Frame {
        cases().into_iter().find(|case| case.what == what).unwrap_or_else(|| panic!("{what}")).frames[0].clone()
    };
    for (reason, what) in [
        (DropReason::Mac, "MAC of nobody"),
        (DropReason::Arp, "ARP reply for the gateway's address"),
        (DropReason::Ip4, "IPv4 of the gateway"),
        (DropReason::Ip6, "IPv6 of the gateway"),
        (DropReason::Dhcp, "DHCP server's answer from the own address"),
        (DropReason::Nd, "neighbour advertisement for the gateway"),
        (DropReason::EtherType, "PPPoE discovery"),
    ] {
        let frames = |host: &Host| {
            let drops = host.snapshot().unwrap().drops;
            drops.iter().find(|d| d.vif == name(VIF) && d.reason == reason).map_or(0, |drops| drops.frames)
        };
        let before = frames(street.host());
        let frame = street.aim(&pick(what));
        assert!(path.send(&[frame.clone(), frame.clone(), frame]).none(), "{what}");
        assert_eq!(frames(street.host()), before + 3, "{what}");
        // An administrator sees the same count.
        let set = nft_json(&format!("list set {} xenvnet dropped_{reason}", mode.family())).to_string();
        assert!(set.contains(VIF) && set.contains(&format!("\"packets\":{}", before + 3)), "{set}");
    }
}

#[test]
fn tables_of_others_stay_as_they_are() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    nft(
        "add table bridge filter; add chain bridge filter c { type filter hook prerouting priority 0; policy accept; }; \
         add rule bridge filter c ether type 0x9999 drop; add table ip nat; add chain ip nat POSTROUTING { type nat \
         hook postrouting priority 100; }; add rule ip nat POSTROUTING ip saddr 172.17.0.0/16 masquerade",
    );
    let theirs = || [nft("list table bridge filter"), nft("list table ip nat")].concat();
    let before = theirs();
    for _ in 0..20 {
        street.attach(lock());
        for vif in [VIF, OTHER_VIF] {
            street.host().detach_vif(name(vif)).unwrap();
        }
    }
    assert_eq!(theirs(), before);
}

#[test]
fn the_ruleset_reads_well() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock().dhcp_client(true));
    let rules = nft_ruleset();
    for words in [
        "table bridge xenvnet",
        "hook prerouting priority -500",
        "iifname @guarded goto",
        "set dropped_ethertype",
        "\"vif1.0\"",
        "\"vif1.0\" . 00:16:3e:00:00:01 . 10.98.98.2",
        "2001:db8:98::2",
        "10.98.99.0/28",
        "2001:db8:99::/64",
    ] {
        assert!(rules.contains(words), "{words} is not in\n{rules}");
    }
    assert!(!rules.contains("unknown"), "nft has words for all of it: {rules}");
    // No name is a word of nft's own: everything can be listed by its name.
    let listing = nft_json("list table bridge xenvnet");
    for kind in ["chain", "set"] {
        for object in listing["nftables"].as_array().unwrap().iter().filter_map(|object| object.get(kind)) {
            nft(&format!("list {kind} bridge xenvnet {}", object["name"].as_str().unwrap()));
        }
    }
}

#[test]
fn no_rule_of_a_bridge_is_without_a_case() {
    every_rule_is_seen(Mode::Bridged);
}

#[test]
fn no_rule_at_ingress_is_without_a_case() {
    every_rule_is_seen(Mode::Routed);
}

/// The table of cases sees every rule: without any one of them, some frame arrives that should
/// not, or one is lost, or a drop is not counted.
fn every_rule_is_seen(mode: Mode) {
    let Some(street) = Street::build(mode) else { return };
    let family = mode.family();
    street.attach(lock().dhcp_client(true));
    let frames: Vec<Frame> = cases().iter().flat_map(|case| &case.frames).map(|frame| street.aim(frame)).collect();
    // Without one of the rules, the sender's own sentinel may not pass.
    let mut path = street.path_of_the_mute();
    let mut see = || {
        let mut arrived = Vec::new();
        // No more at a time than the ears' buffers hold.
        for (n, some) in frames.chunks(FEW).enumerate() {
            arrived.extend(path.send(some).0.into_iter().map(|(frame, _)| n * FEW + frame));
        }
        arrived.sort_unstable();
        arrived.dedup();
        let drops = street.host().snapshot().unwrap().drops;
        let drops: Vec<_> = drops.iter().filter(|d| d.vif == name(VIF)).map(|d| (d.reason, d.frames)).collect();
        // For the next look.
        street.renew(lock().dhcp_client(true));
        (arrived, drops)
    };
    let whole = see();
    assert_eq!(see(), whole, "two looks at the same rules");
    let mut unseen = Vec::new();
    let count = rules(family).len();
    for n in 0..count {
        let rule = rules(family).swap_remove(n);
        let (chain, handle) = (&rule.chain, &rule.handle);
        let rule_at = format!(r#""family":"{family}","table":"xenvnet","chain":"{chain}","handle":{handle}"#);
        program("nft", &["-j", &format!(r#"{{"nftables":[{{"delete":{{"rule":{{{rule_at}}}}}}}]}}"#)]);
        if see() == whole && !holds_twice(mode, &rule) {
            unseen.push(format!("{chain}: {}", rule.words));
        }
    }
    println!("rules of table {family} xenvnet: {} passed, {} failed", count - unseen.len(), unseen.len());
    assert!(unseen.is_empty(), "rules that no case needs:\n{}", unseen.join("\n"));
}

const FEW: usize = 64;

/// Whether something else does the same as a rule.
fn holds_twice(mode: Mode, Rule { chain, words, .. }: &Rule) -> bool {
    // What has no lock is of no guest in the table, and has tests of its own.
    let unguarded = words.contains("iifgroup") || chain == "drop_unguarded";
    let end = if mode.is_bridge() {
        // The end of a chain accepts, too; and a foreign MAC is held by the port as well.
        words == "accept" || (chain == "drop_mac" && words == "drop")
    } else {
        // What comes to its end at an interface's own chain is dropped by that.
        words == "drop"
    };
    // What cannot be written to is shorter than its header, or there was no memory for it.
    let unwritten = chain == "linear" && words.ends_with("goto drop_ip6");
    // A header of another version is no IPv6 to the rules after either.
    unguarded || end || unwritten || (chain == "check_ip6" && words.contains("!= "))
}

/// A rule of our table.
struct Rule {
    chain: String,
    words: String,
    handle: String,
}

fn rules(family: &str) -> Vec<Rule> {
    let mut chain = String::new();
    let mut rules = Vec::new();
    for line in program("nft", &["-a", "list", "table", family, "xenvnet"]).lines() {
        let Some((words, handle)) = line.trim().split_once(" # handle ") else { continue };
        match words.strip_prefix("chain ") {
            Some(head) => chain = head.trim_end_matches(" {").to_owned(),
            None if !words.ends_with('{') => {
                rules.push(Rule { chain: chain.clone(), words: words.to_owned(), handle: handle.to_owned() });
            }
            None => {}
        }
    }
    rules
}
