//! What others change behind our back is found, named, and mended.

use crate::estate::{Estate, FOREIGN, NETWORK, OWN_LOCK, hostile, run};
use crate::matrix::{OWN, sentinel};
use crate::proof::name;
use xenvnet_core::{Antispoof, Attachment, Finding, Host, Network, Operation, Severity};
use xenvnet_tests::{
    Dom0, Dump, Frame, StateDir, has_program, ip, ip_json, nft, nft_ruleset, program, run_attach_once,
};

#[test]
fn a_host_as_it_was_asked_for_is_sound() {
    let Some(dom0) = Dom0::enter() else { return };
    assert_eq!(dom0.host.verify().unwrap().findings, []);
    drop(dom0);
    let Some(estate) = Estate::build() else { return };
    let before = Dump::take();
    let report = estate.host().verify().unwrap();
    assert_eq!(
        report.to_string(),
        "note: vif4.0 and vif4.0-emu are one guest's card: both learn, and rules alone hold their MAC address\n  \
         remedy: none needed; after a flush of the rules: xenvnet verify --repair\n"
    );
    assert!(report.is_sound() && report.repair.is_empty());
    assert_eq!(report.worst(), Some(Severity::Note));
    estate.host().repair().unwrap();
    Dump::take().assert_same(&before, "by the repair of what is sound");
    estate.assert_held();
}

/// Frames of the bridged guest with another's MAC address.
fn foreign_macs() -> Vec<Frame> {
    let foreign: Vec<_> = hostile(OWN).into_iter().filter(|frame| frame.source() != OWN).collect();
    assert_eq!(foreign.len(), 2);
    foreign
}

/// All that is missed after a flush of the ruleset.
const FLUSHED: [&str; 20] = [
    "hole table_missing: table bridge xenvnet is missing",
    "hole table_missing: table netdev xenvnet is missing",
    "hole table_missing: table inet xenvnet is missing",
    "hole table_missing: table inet xenvnet_dom0 is missing",
    "hole table_missing: table bridge xenvnet_untracked is missing",
    "hole not_locked: vif1.0 is not in table bridge xenvnet, it should be locked mac=00:16:3e:00:00:01 \
     ip=10.98.98.2,10.98.99.0/28,2001:db8:98::2,2001:db8:99::/64",
    "hole not_locked: vif2.0 is not in table bridge xenvnet, it should be locked mac=00:16:3e:00:00:02 \
     ip=10.98.98.3,2001:db8:98::3",
    "hole not_locked: vif4.0 is not in table bridge xenvnet, it should be locked mac=00:16:3e:00:00:04 ip=10.98.98.4",
    "hole not_locked: vif4.0-emu is not in table bridge xenvnet, it should be locked mac=00:16:3e:00:00:04 \
     ip=10.98.98.4",
    "hole not_locked: vif3.0 is not in table netdev xenvnet, it should be locked mac=00:16:3e:00:00:03 ip=10.1.0.2",
    "hole not_at_ingress: vif3.0: what comes in by it is not filtered",
    "hole not_locked: vif4.0 is not in table netdev xenvnet, it should be locked mac=00:16:3e:00:00:04 ip=10.98.98.4",
    "hole not_at_ingress: vif4.0: what comes in by it is not filtered",
    "hole not_locked: vif4.0-emu is not in table netdev xenvnet, it should be locked mac=00:16:3e:00:00:04 \
     ip=10.98.98.4",
    "hole not_at_ingress: vif4.0-emu: what comes in by it is not filtered",
    "hole dom0_differs: dom0 should be closed to guests on vif3.0; 1 element is missing",
    "hole dom0_differs: dom0 should be services(dns,icmp,ra) to guests on xenbr0; 5 elements are missing",
    "fault tracked: dom0 tracks connections of vif1.0, which should be untracked",
    "fault not_masqueraded: 10.98.98.0/24 is not masqueraded any more",
    "fault network_forgotten: the record of a network that runs is gone: network-virtual bridge=xenbr0 \
     bridgeip=10.98.98.1/24 brnet=10.98.98.0/24 dom0=services(dns,icmp,ra)",
];

/// Whatever becomes of the rules, a bridged guest cannot use a foreign MAC address, and all that it
/// and others could is found and mended in one transaction.
#[test]
fn a_flush_leaves_no_foreign_mac_and_is_mended() {
    let Some(estate) = Estate::build() else { return };
    let before = estate.dump();
    nft("flush ruleset");
    assert!(estate.passes(hostile(OWN)[0].clone()), "the control: the rules are gone, a foreign IP passes");
    assert!(estate.routed_passes(FOREIGN), "the control: nothing holds the routed guest");
    assert!(estate.is_heard_by_dom0(), "the control: nothing keeps it from dom0");
    assert!(estate.path_of_bridged().send(&foreign_macs()).none(), "a foreign MAC after a flush");
    let sorted = |mut found: Vec<String>| {
        found.sort();
        found
    };
    let expected = sorted(FLUSHED.map(str::to_owned).to_vec());
    assert_eq!(sorted(estate.findings()), expected);
    assert_eq!(sorted(estate.repair()), expected);
    estate.dump().assert_same(&before, "after the repair of a flush");
    estate.assert_held();
}

#[test]
fn a_rename_leaves_no_foreign_mac_and_is_mended() {
    let Some(estate) = Estate::build() else { return };
    let before = estate.dump();
    rename(&estate, "vif1.0", "web");
    assert!(estate.path_of_the_mute(&estate.bridged).send(&hostile(OWN)).none(), "from a renamed guest");
    let found = ["fault renamed: web was vif1.0 when it was locked: its lock stands under the old name"];
    assert_eq!(estate.findings(), found);
    assert_eq!(estate.repair(), found);
    estate.assert_held();
    rename(&estate, "web", "vif1.0");
    let found = ["fault renamed: vif1.0 was web when it was locked: its lock stands under the old name"];
    assert_eq!(estate.repair(), found);
    estate.dump().assert_same(&before, "after it was renamed there and back");
}

fn rename(estate: &Estate, from: &str, to: &str) {
    run(&format!("ip link set {from} down\nip link set {from} name {to}\nip link set {to} up"));
    estate.wait_for_carriers();
}

/// Its lock at ingress and what it reaches on dom0 go with a routed guest.
#[test]
fn a_renamed_routed_guest_is_shut_up_and_then_held_as_before() {
    let Some(estate) = Estate::build() else { return };
    rename(&estate, "vif3.0", "web");
    let found = estate.findings();
    assert!(
        found.contains(&"fault renamed: web was vif3.0 when it was locked: its lock stands under the old name".into())
    );
    assert!(!estate.is_heard_by_dom0(), "before the repair");
    assert_eq!(estate.repair(), found);
    assert!(!estate.is_heard_by_dom0(), "dom0 is closed to it by whatever name");
    let rules = nft_ruleset();
    assert!(!rules.contains("ingress-vif3.0") && rules.contains("ingress-web"), "{rules}");
    estate.assert_held();
}

#[test]
fn a_renamed_port_of_a_pair_is_held_as_before() {
    let Some(estate) = Estate::build() else { return };
    rename(&estate, "vif4.0", "web");
    let honest = sentinel(estate.pair[0].mac, "10.98.98.4".parse().unwrap());
    assert!(estate.path_of_the_mute(&estate.pair[0]).send(&[honest]).none(), "the group holds it meanwhile");
    let found = ["fault renamed: web was vif4.0 when it was locked: its lock stands under the old name"];
    assert_eq!(estate.findings(), found);
    assert_eq!(estate.repair(), found);
    estate.assert_held();
}

#[test]
fn each_table_that_was_deleted_comes_back() {
    let Some(estate) = Estate::build() else { return };
    for table in ["bridge xenvnet", "netdev xenvnet", "inet xenvnet", "inet xenvnet_dom0", "bridge xenvnet_untracked"] {
        estate.mends_as(&format!("nft delete table {table}"), |found| {
            assert_eq!(found[0], format!("hole table_missing: table {table} is missing"));
            // Besides, what was in it: as after a flush of everything.
            assert!(found.len() > 1 && found.iter().all(|line| FLUSHED.contains(&&**line)), "{table}: {found:#?}");
        });
    }
    estate.assert_held();
}

#[test]
fn tables_that_were_put_to_sleep_are_woken() {
    let Some(estate) = Estate::build() else { return };
    let tables = ["bridge xenvnet", "netdev xenvnet", "inet xenvnet", "inet xenvnet_dom0", "bridge xenvnet_untracked"];
    let sleep = tables.map(|table| format!("nft add table {table} {{ flags dormant; }}"));
    let found = tables.map(|table| format!("hole table_dormant: table {table} is dormant: nothing in it is in force"));
    for (sleep, found) in sleep.iter().zip(&found) {
        estate.mends(sleep, &[found]);
    }
    run(&sleep[0]);
    assert!(estate.passes(hostile(OWN)[0].clone()), "the control: a dormant table holds nothing");
    assert_eq!(estate.repair(), found[..1]);
    estate.mends(&sleep.join("\n"), &found.each_ref().map(String::as_str));
    estate.assert_held();
}

/// What a dead guest leaves behind is cleared away as if it had been detached before.
#[test]
fn what_is_left_of_interfaces_that_are_gone_goes() {
    let vifs = ["vif1.0", "vif3.0", "vif4.0", "vif4.0-emu"];
    let Some(estate) = Estate::build() else { return };
    for vif in vifs {
        estate.host().detach_vif(name(vif)).unwrap();
    }
    let detached = estate.dump().rules().to_owned();
    drop(estate);
    let Some(estate) = Estate::build() else { return };
    for vif in vifs {
        ip(&format!("link delete {vif}"));
    }
    let found = estate.repair();
    for line in [
        "fault leftover: table bridge xenvnet has elements of vif1.0 that nobody asked for",
        "fault leftover: table bridge xenvnet has elements of vif4.0 that nobody asked for",
        "fault leftover: table bridge xenvnet has elements of vif4.0-emu that nobody asked for",
        "fault leftover: table netdev xenvnet has elements of vif3.0 that nobody asked for",
        "fault leftover: table netdev xenvnet has elements of vif4.0 that nobody asked for",
        "fault leftover: table netdev xenvnet has elements of vif4.0-emu that nobody asked for",
        "fault leftover: table inet xenvnet_dom0 has elements of vif3.0 that nobody asked for",
        "fault leftover: table bridge xenvnet_untracked has elements of vif1.0 that nobody asked for",
    ] {
        assert!(found.iter().any(|found| found == line), "{line}: {found:#?}");
    }
    assert_eq!(estate.dump().rules(), detached);
}

/// Others' firewalls are named and never written.
#[test]
fn a_chain_of_others_that_drops_what_is_forwarded_is_named() {
    let Some(estate) = Estate::build() else { return };
    for (family, table, chain, remedy) in [
        ("ip", "filter", "FORWARD", "iptables -I FORWARD -i BRIDGE -j ACCEPT; iptables -I FORWARD -o BRIDGE -j ACCEPT"),
        (
            "ip6",
            "filter",
            "FORWARD",
            "ip6tables -I FORWARD -i BRIDGE -j ACCEPT; ip6tables -I FORWARD -o BRIDGE -j ACCEPT",
        ),
        (
            "inet",
            "firewall",
            "forward",
            "nft insert rule inet firewall forward iifname BRIDGE accept, and oifname BRIDGE accept",
        ),
        ("bridge", "theirs", "f", "nft insert rule bridge theirs f iifname BRIDGE accept, and oifname BRIDGE accept"),
    ] {
        nft(&format!(
            "add table {family} {table}; add chain {family} {table} {chain} {{ type filter hook forward priority 0; \
             policy drop; }}; add rule {family} {table} {chain} meta mark 7 accept"
        ));
        let theirs = || program("nft", &["-a", "list", "table", family, table]);
        let before = theirs();
        let found = format!(
            "note forward_drop: chain {chain} of table {family} {table} drops forwarded packets that no rule of its \
             accepts: guests may be cut off"
        );
        assert_eq!(estate.findings(), [found]);
        let report = estate.host().repair().unwrap();
        let finding = report.findings.iter().find(|finding| finding.kind() == "forward_drop").unwrap();
        assert_eq!((finding.remedy(), finding.is_repairable()), (remedy.to_owned(), false));
        assert_eq!((report.worst(), report.is_sound()), (Some(Severity::Note), true));
        assert_eq!(theirs(), before);
        nft(&format!("add chain {family} {table} {chain} {{ policy accept; }}"));
        assert_eq!(estate.findings(), Vec::<String>::new(), "where it accepts, it is nobody's concern");
        nft(&format!("delete table {family} {table}"));
    }
}

/// A process that is killed in the middle leaves a change that the next one finds.
#[test]
fn a_change_that_was_cut_off_is_found_and_undone() {
    let Some(estate) = Estate::build() else { return };
    if !has_program("strace") {
        return;
    }
    let guest = estate.dom0.guest("vif9.0", "00:16:3e:00:00:09");
    let before = estate.dump();
    let own = Antispoof::new(guest.mac).ip("10.98.98.9".parse().unwrap());
    let attach = Operation::AttachVif(Attachment::bridged(guest.name, name("xenbr0"), own));
    let mut cut_off = 0;
    // At each of its messages to the kernel, the first of which only ask.
    for at in 1..40 {
        let inject = format!("inject=sendto,sendmsg:signal=SIGKILL:when={at}");
        let under = ["strace", "-f", "-o", "/dev/null", "-e", "trace=sendto,sendmsg", "-e", &inject];
        let said = run_attach_once(
            &under,
            env!("CARGO_BIN_EXE_attach_once"),
            estate.dom0.state.path(),
            std::slice::from_ref(&attach),
        );
        let found = estate.findings();
        if said == "changed\n" {
            assert!(cut_off > 0, "no change was cut off");
            assert_eq!(found, Vec::<String>::new());
            return;
        }
        assert_eq!(said, "", "killed at message {at}");
        let up = ip_json("link show dev vif9.0")[0]["flags"].to_string().contains("\"UP\"");
        if found.is_empty() {
            assert!(!up);
            estate.dump().assert_same(&before, "before the change had begun");
            continue;
        }
        cut_off += 1;
        let said = "fault cut_off: a change was cut off in the middle";
        assert!(found.iter().any(|line| line == said), "killed at message {at}: {found:#?}");
        // It is never up before it is held.
        assert!(!(up && found.iter().any(|line| line.starts_with("hole "))), "killed at message {at}: {found:#?}");
        assert_eq!(Finding::CutOff.remedy(), "xenvnet undo");
        estate.host().undo().unwrap();
        assert_eq!(estate.findings(), Vec::<String>::new());
        estate.dump().assert_same(&before, "after it was undone");
    }
    panic!("it never ends");
}

#[test]
fn what_dom0_offers_and_masquerades_is_brought_back() {
    let Some(estate) = Estate::build() else { return };
    let network: Network = NETWORK.parse().unwrap();
    estate.mends(
        "nft delete element inet xenvnet networks { \"xenbr0\" }",
        &[&format!("fault network_forgotten: the record of a network that runs is gone: {network}")],
    );
    estate.mends("nft flush chain inet xenvnet postrouting", &[FLUSHED[18]]);
    estate.mends("nft delete element inet xenvnet_dom0 shielded { \"vif3.0\" }", &[FLUSHED[15]]);
    estate.mends(
        "nft delete element inet xenvnet_dom0 shielded { \"xenbr0\" }",
        &[&FLUSHED[16].replace("5 elements are", "1 element is")],
    );
    estate.mends("nft delete element bridge xenvnet_untracked untracked { \"vif1.0\" }", &[FLUSHED[17]]);
    estate.mends("nft delete element inet xenvnet at_ingress { \"vif3.0\" }", &[FLUSHED[10]]);
    estate.mends(
        "nft flush chain netdev xenvnet ingress-vif3.0; delete chain netdev xenvnet ingress-vif3.0",
        &[FLUSHED[10]],
    );
    estate.mends("nft add chain netdev xenvnet ingress-vif3.0 { policy accept; }", &[FLUSHED[10]]);
    assert!(!estate.is_heard_by_dom0());
    estate.assert_held();
}

/// A host that remembers nothing goes by what the locks' own comments say.
#[test]
fn without_a_memory_the_comments_tell() {
    let Some(estate) = Estate::build() else { return };
    let elsewhere = StateDir::new();
    let other = Host::options().state_dir(elsewhere.path()).open().unwrap();
    let before = estate.dump();
    assert_eq!(other.verify().unwrap().worst(), Some(Severity::Note));
    run(&format!("nft add element bridge xenvnet own_ip4 {{ \"vif1.0\" . {OWN} . 10.98.98.3 }}"));
    let found = other.repair().unwrap().findings;
    let told: Vec<_> = found.iter().filter(|found| found.kind() != "pair").map(ToString::to_string).collect();
    assert_eq!(told, [format!("vif1.0 should be {OWN_LOCK}; in table bridge xenvnet 1 element is too many")]);
    estate.dump().assert_same(&before, "after it was repaired by the comment");
}
