//! Every rule, every set and every fact of our tables, taken away one by one: each is missed.

use crate::estate::{Estate, FOREIGN, OWN_LOCK, hostile, run, told};
use crate::matrix::{OWN, VICTIM, sentinel};
use crate::proof::{bridge_by_ip, name};
use xenvnet_core::{Antispoof, Attachment, ErrorKind};
use xenvnet_tests::{Dom0, Dump, Witness, nft, nft_ruleset, program};

/// The rules of a table: chain, handle, words.
fn rules(table: &str) -> Vec<(String, u64, String)> {
    let [family, of] = table.split(' ').collect::<Vec<_>>()[..] else { panic!("{table}") };
    let mut chain = String::new();
    let mut rules = Vec::new();
    for line in program("nft", &["-a", "list", "table", family, of]).lines() {
        let Some((words, handle)) = line.trim().split_once(" # handle ") else { continue };
        match words.strip_prefix("chain ") {
            Some(head) => chain = head.trim_end_matches(" {").to_owned(),
            None if !words.ends_with('{') => rules.push((chain.clone(), handle.parse().unwrap(), words.to_owned())),
            None => {}
        }
    }
    rules
}

/// Deletes each rule of a table in turn. Each time exactly that is found, and the table is as before
/// with one transaction.
fn each_rule_is_missed(table: &str) {
    let Some(estate) = Estate::build() else { return };
    let before = nft_ruleset();
    let count = rules(table).len();
    assert!(count > 0);
    for n in 0..count {
        let all = rules(table);
        let (chain, handle, words) = &all[n];
        // The rules of masquerading have a finding of their own.
        if chain == "postrouting" {
            continue;
        }
        let of_chain = all.iter().filter(|(other, ..)| other == chain).count();
        nft(&format!("delete rule {table} {chain} handle {handle}"));
        let witness = Witness::start();
        let found = told(&estate.host().repair().unwrap());
        let expected = format!("hole table_altered: table {table}: chain {chain}: 1 of {of_chain} rules are missing");
        assert_eq!(found, [expected], "without {chain}: {words}");
        assert_eq!(witness.nft_batches(), 1, "without {chain}: {words}");
        assert_eq!(nft_ruleset(), before, "without {chain}: {words}");
    }
    println!("{table}: {count} rules, each of them missed");
    assert_eq!(estate.findings(), Vec::<String>::new());
    estate.assert_held();
}

#[test]
fn each_rule_of_the_bridge_table_is_missed() {
    each_rule_is_missed("bridge xenvnet");
}

#[test]
fn each_rule_of_the_netdev_table_is_missed() {
    each_rule_is_missed("netdev xenvnet");
}

#[test]
fn each_rule_of_the_inet_tables_is_missed() {
    each_rule_is_missed("inet xenvnet");
    each_rule_is_missed("inet xenvnet_dom0");
}

#[test]
fn each_rule_of_the_untracked_table_is_missed() {
    each_rule_is_missed("bridge xenvnet_untracked");
}

/// The sets of facts of a table with their elements, as nft(8) writes them.
fn facts(table: &str) -> Vec<(String, String)> {
    let mut set = String::new();
    let mut facts = Vec::new();
    let [family, of] = table.split(' ').collect::<Vec<_>>()[..] else { panic!("{table}") };
    for line in program("nft", &["list", "table", family, of]).lines() {
        let line = line.trim();
        if let Some(head) = line.strip_prefix("set ") {
            set = head.trim_end_matches(" {").to_owned();
        }
        let elements = line.strip_prefix("elements = {").unwrap_or(line);
        if set.starts_with("own_") && elements.starts_with([' ', '"']) {
            let elements = elements.trim_end_matches('}').split(", ").map(|element| element.trim_matches([' ', ',']));
            facts.extend(
                elements.filter(|element| !element.is_empty()).map(|element| (set.clone(), element.to_owned())),
            );
        }
        if line == "}" {
            set.clear();
        }
    }
    facts
}

fn each_fact_is_missed(table: &str, at_least: usize) {
    let Some(estate) = Estate::build() else { return };
    let facts = facts(table);
    assert!(facts.len() >= at_least, "{facts:?}");
    for (set, element) in facts {
        let vif = element.split('"').nth(1).unwrap();
        estate.mends_as(&format!("nft delete element {table} {set} {{ {element} }}"), |found| {
            assert_eq!(found.len(), 1, "without {element} of {set}: {found:#?}");
            assert!(found[0].starts_with("hole ") && found[0].contains(vif), "without {element} of {set}: {found:#?}");
        });
    }
    estate.assert_held();
}

#[test]
fn each_fact_of_a_bridged_lock_is_missed() {
    each_fact_is_missed("bridge xenvnet", 24);
}

#[test]
fn each_fact_of_a_lock_at_ingress_is_missed() {
    each_fact_is_missed("netdev xenvnet", 15);
}

#[test]
fn an_element_of_the_guard_is_missed() {
    let Some(estate) = Estate::build() else { return };
    for (table, vif, lock) in [
        ("bridge xenvnet", "vif1.0", OWN_LOCK),
        ("bridge xenvnet", "vif4.0-emu", "locked mac=00:16:3e:00:00:04 ip=10.98.98.4"),
        ("netdev xenvnet", "vif3.0", "locked mac=00:16:3e:00:00:03 ip=10.1.0.2"),
        ("netdev xenvnet", "vif4.0", "locked mac=00:16:3e:00:00:04 ip=10.98.98.4"),
    ] {
        let found = format!("hole not_locked: {vif} is not in table {table}, it should be {lock}");
        estate.mends(&format!("nft delete element {table} guarded {{ \"{vif}\" }}"), &[&found]);
        // Put back by hand, it does not say whose it is.
        let again =
            format!("delete element {table} guarded {{ \"{vif}\" }}; add element {table} guarded {{ \"{vif}\" }}");
        estate.mends_as(&format!("nft {again}"), |found| {
            assert_eq!(found.len(), 1);
            assert!(found[0].starts_with("hole ") && found[0].contains(vif), "{found:#?}");
        });
    }
    run("nft delete element bridge xenvnet guarded { \"vif1.0\" }");
    // The group holds it meanwhile.
    assert!(estate.path_of_the_mute(&estate.bridged).send(&hostile(OWN)).none());
    estate.repair();
    estate.assert_held();
}

/// A lock that was made weaker is found, not only one that is gone.
#[test]
fn what_was_let_in_by_hand_is_shut_out_again() {
    let Some(estate) = Estate::build() else { return };
    const ROUTED_LOCK: &str = "locked mac=00:16:3e:00:00:03 ip=10.1.0.2";
    for (table, set, element, lock) in [
        ("bridge xenvnet", "own_ip4", format!("\"vif1.0\" . {OWN} . 10.98.98.1"), OWN_LOCK),
        ("bridge xenvnet", "own_ip4net", format!("\"vif1.0\" . {OWN} . 10.98.98.128/25"), OWN_LOCK),
        ("bridge xenvnet", "own_dhcp", format!("\"vif1.0\" . {OWN}"), OWN_LOCK),
        ("netdev xenvnet", "own_ip4", "\"vif3.0\" . 00:16:3e:00:00:03 . 10.1.0.3".to_owned(), ROUTED_LOCK),
    ] {
        let vif = element.split('"').nth(1).unwrap();
        let found = format!("hole lock_differs: {vif} should be {lock}; in table {table} 1 element is too many");
        estate.mends(&format!("nft add element {table} {set} {{ {element} }}"), &[&found]);
    }
    run(&format!("nft add element bridge xenvnet own_ip4 {{ \"vif1.0\" . {OWN} . 10.98.98.1 }}"));
    run("nft add element netdev xenvnet own_ip4 { \"vif3.0\" . 00:16:3e:00:00:03 . 10.1.0.3 }");
    let gateways = sentinel(OWN, "10.98.98.1".parse().unwrap());
    assert!(estate.passes(gateways), "the control: the foreign address passes");
    assert!(estate.routed_passes(FOREIGN), "the control: the foreign address is routed");
    assert_eq!(estate.repair().len(), 2);
    estate.assert_held();
}

/// The same in the sets that stand for parts of packets without a name, and where what was added is
/// no lock that anybody could have asked for.
#[test]
fn odd_elements_are_shut_out_again() {
    let Some(estate) = Estate::build() else { return };
    let ip6 = "0x20010db8009800000000000000000003";
    for (table, set, element) in [
        ("bridge xenvnet", "own_mac", format!("\"vif1.0\" . {VICTIM}")),
        ("bridge xenvnet", "own_ip4", format!("\"vif1.0\" . {VICTIM} . 10.98.98.3")),
        ("bridge xenvnet", "own_mac_raw", "\"vif1.0\" . 0x163e000002".to_owned()),
        ("bridge xenvnet", "own_ip6_raw", format!("\"vif1.0\" . {OWN} . {ip6}")),
        ("netdev xenvnet", "own_mac", format!("\"vif3.0\" . {VICTIM}")),
        ("netdev xenvnet", "own_mac_raw", "\"vif3.0\" . 0x163e000002".to_owned()),
        ("netdev xenvnet", "own_ip6_raw", format!("\"vif3.0\" . 00:16:3e:00:00:03 . {ip6}")),
    ] {
        let vif = element.split('"').nth(1).unwrap();
        estate.mends_as(&format!("nft add element {table} {set} {{ {element} }}"), |found| {
            assert_eq!(found.len(), 1, "{element} in {set}: {found:#?}");
            assert!(found[0].starts_with("hole ") && found[0].contains(vif), "{element} in {set}: {found:#?}");
        });
    }
    estate.assert_held();
}

/// What stands under the name of nobody would be inherited by the next guest of that name.
#[test]
fn elements_of_nobody_are_cleared_away() {
    let Some(estate) = Estate::build() else { return };
    for element in [
        "bridge xenvnet own_ip4 { \"vif9.0\" . 00:16:3e:00:00:09 . 10.98.98.3 }",
        "bridge xenvnet own_mac { \"vif9.0\" . 00:16:3e:00:00:02 }",
        "netdev xenvnet own_ip4 { \"vif9.0\" . 00:16:3e:00:00:09 . 10.98.98.3 }",
        "bridge xenvnet guarded { \"vif9.0\" comment \"dev=999 disabled\" }",
    ] {
        estate.mends_as(&format!("nft add element {element}"), |found| {
            assert!(found.len() == 1 && found[0].contains("vif9.0"), "{element}: {found:#?}");
        });
    }
}

#[test]
fn a_lock_of_two_macs_is_compared_fact_by_fact() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let lock = Antispoof::new(OWN).mac(VICTIM).ip("10.98.98.2".parse().unwrap());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock)).unwrap();
    guest.wait_for_carrier();
    let before = Dump::take();
    for damage in [
        format!("add element bridge xenvnet own_ip4 {{ \"vif1.0\" . {OWN} . 10.98.98.3 }}"),
        format!("delete element bridge xenvnet own_ip4 {{ \"vif1.0\" . {VICTIM} . 10.98.98.2 }}"),
    ] {
        nft(&damage);
        let report = dom0.host.repair().unwrap();
        let kinds: Vec<_> = report.findings.iter().map(|found| found.kind()).collect();
        assert_eq!(kinds, ["lock_differs"], "{damage}");
        Dump::take().assert_same(&before, &format!("after {damage:?} was repaired"));
    }
}

#[test]
fn rules_chains_and_sets_that_are_not_ours_go() {
    let Some(estate) = Estate::build() else { return };
    for (table, chain) in [
        ("bridge xenvnet", "locked"),
        ("netdev xenvnet", "locked"),
        ("netdev xenvnet", "ingress-vif3.0"),
        ("inet xenvnet", "prerouting"),
        ("inet xenvnet_dom0", "shield"),
        ("bridge xenvnet_untracked", "prerouting"),
    ] {
        let found = format!("hole table_altered: table {table}: chain {chain}: 1 rules too many");
        estate.mends(&format!("nft insert rule {table} {chain} accept"), &[&found]);
    }
    for table in ["bridge xenvnet", "netdev xenvnet", "inet xenvnet", "inet xenvnet_dom0", "bridge xenvnet_untracked"] {
        let found = format!("hole table_altered: table {table}: chain theirs is not ours");
        estate.mends(&format!("nft add chain {table} theirs"), &[&found]);
        let found = format!("hole table_altered: table {table}: set theirs is not ours");
        estate.mends(&format!("nft add set {table} theirs {{ type ipv4_addr; }}"), &[&found]);
    }
    nft("insert rule bridge xenvnet locked accept");
    assert!(estate.passes(hostile(OWN)[0].clone()), "the control: what accepts first lets it pass");
    estate.repair();
    estate.assert_held();
}

/// A rule of others before ours would hide what is behind it.
#[test]
fn masquerading_that_others_hide_is_brought_back() {
    let Some(estate) = Estate::build() else { return };
    estate
        .mends_as("nft insert rule inet xenvnet postrouting accept", |found| assert_eq!(found.len(), 1, "{found:#?}"));
}

#[test]
fn a_policy_is_what_it_was() {
    let Some(estate) = Estate::build() else { return };
    for (table, chain) in [
        ("bridge xenvnet", "prerouting"),
        ("inet xenvnet", "prerouting"),
        ("inet xenvnet", "postrouting"),
        ("inet xenvnet_dom0", "input"),
        ("bridge xenvnet_untracked", "prerouting"),
    ] {
        let found = format!("hole table_altered: table {table}: chain {chain} hooks elsewhere");
        estate.mends(&format!("nft add chain {table} {chain} {{ policy drop; }}"), &[&found]);
    }
}

/// A set that is gone, or is another one, took its elements with it, and all rules that name it.
#[test]
fn each_set_comes_back_with_its_elements() {
    let Some(estate) = Estate::build() else { return };
    for (table, set) in [
        ("bridge xenvnet", "own_ip4"),
        ("bridge xenvnet", "own_mac_raw"),
        ("bridge xenvnet", "guarded"),
        ("bridge xenvnet", "dropped_ip4"),
        ("netdev xenvnet", "own_mac"),
        ("netdev xenvnet", "guarded"),
        ("inet xenvnet", "at_ingress"),
        ("inet xenvnet", "networks"),
        ("inet xenvnet_dom0", "shielded"),
        ("inet xenvnet_dom0", "services"),
        ("bridge xenvnet_untracked", "untracked"),
        ("bridge xenvnet_untracked", "untracked_macs"),
    ] {
        let another = format!("; add set {table} {set} {{ type ipv4_addr; }}");
        // Another set in place of the one that says whose a table is makes it somebody else's.
        let says_whose = ["guarded", "networks", "shielded", "untracked"].contains(&set);
        for again in ["", &another].into_iter().take(if says_whose { 1 } else { 2 }) {
            estate.mends_as(&format!("nft flush table {table}; delete set {table} {set}{again}"), |found| {
                assert!(found.iter().any(|line| line.starts_with("hole ")), "{set}: {found:#?}");
            });
        }
    }
    estate.assert_held();
}

/// A table of our name that does not say that it is ours is not written.
#[test]
fn a_table_that_is_not_ours_any_more_is_refused() {
    let Some(estate) = Estate::build() else { return };
    run(
        "nft flush table bridge xenvnet; delete set bridge xenvnet guarded; add set bridge xenvnet guarded { type ifname; }",
    );
    let before = estate.dump();
    for error in [estate.host().verify().unwrap_err(), estate.host().repair().unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Conflict);
        assert!(error.to_string().ends_with("there is a table bridge xenvnet that is not ours"), "{error}");
        assert_eq!(error.advice(), Some("look at it with: nft list table bridge xenvnet"));
    }
    estate.dump().assert_same(&before, "after it was refused");
}

/// What guests reach on dom0 and which of them are not tracked is held by more than a comment.
#[test]
fn each_element_of_dom0s_services_and_of_tracking_is_missed() {
    let Some(estate) = Estate::build() else { return };
    for damage in [
        "delete element inet xenvnet_dom0 services { \"xenbr0\" . udp . 53 }",
        "add element inet xenvnet_dom0 services { \"xenbr0\" . tcp . 22 }",
        "add element inet xenvnet_dom0 services { \"vif3.0\" . tcp . 22 }",
        "delete element inet xenvnet_dom0 pinged { \"xenbr0\" }",
        "add element inet xenvnet_dom0 pinged { \"vif3.0\" }",
        "delete element inet xenvnet_dom0 solicited { \"xenbr0\" }",
        "delete element bridge xenvnet_untracked untracked_macs { 00:16:3e:00:00:01 }",
        "flush set bridge xenvnet_untracked tracked",
    ] {
        estate.mends_as(&format!("nft {damage}"), |found| assert_eq!(found.len(), 1, "{damage}: {found:#?}"));
    }
}
