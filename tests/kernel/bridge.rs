//! Bridges: made, deleted, ports put on and taken off.

use crate::matrix::lock;
use crate::proof::{bridge_by_ip, name, prove, prove_again};
use xenvnet_core::{Bridge, ErrorKind, MacAddr, Operation, Outcome};
use xenvnet_tests::{Dom0, Dump, bridge_json, hears, ip, ip_json};

#[test]
fn a_bridge_is_made_as_xen_hosts_want_it() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap()).mtu(9000);
    prove(&dom0, &Operation::CreateBridge(bridge));
    let link = &ip_json("-d link show dev xenbr0")[0];
    assert_eq!(link["linkinfo"]["info_kind"], "bridge");
    assert_eq!(link["linkinfo"]["info_data"]["stp_state"], 0);
    assert_eq!(link["linkinfo"]["info_data"]["forward_delay"], 0);
    assert_eq!(link["mtu"], 9000);
    assert_eq!(link["inet6_addr_gen_mode"], "none");
    assert!(link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    let address = &ip_json("addr show dev xenbr0")[0]["addr_info"][0];
    assert_eq!(address["local"], "10.98.98.1");
    assert_eq!(address["prefixlen"], 24);
    assert_eq!(address["broadcast"], "10.98.98.255");
}

#[test]
fn a_bridge_with_ipv6_reaches_and_is_reached() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0")).address("2001:db8:98::1/64".parse().unwrap());
    dom0.host.create_bridge(&bridge).unwrap();
    prove_again(&dom0, &Operation::CreateBridge(bridge));
    assert_eq!(ip_json("-d link show dev xenbr0")[0]["inet6_addr_gen_mode"], "eui64");
    let guest = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    guest.address("2001:db8:98::2/64", "");
    dom0.host.enslave_vif(guest.name, name("xenbr0")).unwrap();
    ip("link set vif1.0 up");
    assert!(hears(&dom0.namespace(), "2001:db8:98::1", &guest.guest));
}

#[test]
fn stp_is_switched_both_ways() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0"));
    dom0.host.create_bridge(&bridge).unwrap();
    let setting = || {
        let link = ip_json("-d link show dev xenbr0");
        let data = &link[0]["linkinfo"]["info_data"];
        (data["stp_state"].as_u64().unwrap(), data["forward_delay"].as_u64().unwrap())
    };
    assert_eq!(setting(), (0, 0));
    prove(&dom0, &Operation::CreateBridge(bridge.clone().stp(true)));
    assert_eq!(setting(), (1, 1500));
    prove(&dom0, &Operation::CreateBridge(bridge));
    assert_eq!(setting(), (0, 0));
}

#[test]
fn what_somebody_else_gave_a_bridge_stays() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    ip("addr add 192.0.2.1/24 dev xenbr0");
    ip("link set xenbr0 address 02:00:00:00:00:77");
    let bridge = Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap());
    prove(&dom0, &Operation::CreateBridge(bridge));
    let link = &ip_json("addr show dev xenbr0")[0];
    assert_eq!(link["address"], "02:00:00:00:00:77");
    let addresses: Vec<_> = link["addr_info"].as_array().unwrap().iter().map(|a| a["local"].clone()).collect();
    assert_eq!(addresses, ["192.0.2.1", "10.98.98.1"]);
}

#[test]
fn the_address_of_a_bridge_is_the_same_for_the_same_name_and_stays_when_ports_come() {
    let mac = || ip_json("link show dev xenbr0")[0]["address"].as_str().unwrap().to_owned();
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Some(dom0) = Dom0::enter() else { return };
        dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
        seen.push(mac());
        let _cable = dom0.cable("peth0", "00:00:00:00:00:01");
        ip("link set peth0 address 00:00:00:00:00:02");
        dom0.host.enslave_vif(name("peth0"), name("xenbr0")).unwrap();
        seen.push(mac());
        dom0.host.release_vif(name("peth0")).unwrap();
        seen.push(mac());
    }
    assert!(seen.iter().all(|mac| *mac == seen[0]), "{seen:?}");
    let mac: MacAddr = seen[0].parse().unwrap();
    assert!(mac.is_local() && mac.is_unicast());
}

#[test]
fn ports_are_put_on_and_taken_off() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let one = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    let two = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    one.address("10.98.98.2/24", "");
    two.address("10.98.98.3/24", "");
    for vif in [one.name, two.name] {
        prove(&dom0, &Operation::EnslaveVif { vif, bridge: name("xenbr0") });
        ip(&format!("link set {vif} up"));
        let port = &bridge_json(&format!("-d link show dev {vif}"))[0];
        assert_eq!(port["master"], "xenbr0");
        assert_eq!(port["learning"], true);
        assert_eq!(port["locked"], false);
    }
    assert!(hears(&two.guest, "10.98.98.3", &one.guest));
    prove(&dom0, &Operation::ReleaseVif { vif: one.name });
    assert!(ip_json("link show dev vif1.0")[0]["master"].is_null());
    prove_again(&dom0, &Operation::ReleaseVif { vif: one.name });
}

#[test]
fn a_locked_port_keeps_its_lock_over_a_release_and_is_down_off_the_bridge() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    dom0.host.set_antispoof(guest.name, lock()).unwrap();
    prove(&dom0, &Operation::EnslaveVif { vif: guest.name, bridge: name("xenbr0") });
    ip("link set vif1.0 up");
    let port = || bridge_json("-d link show dev vif1.0")[0].clone();
    assert_eq!((port()["learning"].clone(), port()["locked"].clone()), (false.into(), true.into()));
    prove(&dom0, &Operation::ReleaseVif { vif: guest.name });
    assert!(!ip_json("link show dev vif1.0")[0]["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    let guarded = xenvnet_tests::nft("list set bridge xenvnet guarded");
    assert!(guarded.contains("\"vif1.0\""), "{guarded}");
}

#[test]
fn an_empty_bridge_goes() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap())).unwrap();
    prove(&dom0, &Operation::DeleteBridge { bridge: name("xenbr0") });
    assert!(!ip("link show").contains("xenbr0"));
    prove_again(&dom0, &Operation::DeleteBridge { bridge: name("xenbr0") });
}

#[test]
fn a_bridge_that_goes_takes_guests_down_and_leaves_other_ports_up() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0"))).unwrap();
    let guest = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    let attachment = xenvnet_core::Attachment::bridged(guest.name, name("xenbr0"), lock());
    dom0.host.attach_vif(&attachment).unwrap();
    let _cable = dom0.cable("peth0", "02:00:00:00:00:09");
    dom0.host.enslave_vif(name("peth0"), name("xenbr0")).unwrap();
    prove(&dom0, &Operation::DeleteBridge { bridge: name("xenbr0") });
    let up = |link: &str| {
        let link = &ip_json(&format!("link show dev {link}"))[0];
        assert!(link["master"].is_null());
        link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP")
    };
    assert!(!up("vif1.0"), "a guest's interface must not be up where no filter sees its frames");
    assert!(up("peth0"));
}

#[test]
fn several_operations_are_planned_one_upon_the_other() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = dom0.guest("vif1.0", "00:16:3e:00:00:01");
    let operations = [
        Operation::CreateBridge(Bridge::new(name("xenbr0"))),
        Operation::EnslaveVif { vif: guest.name, bridge: name("xenbr0") },
    ];
    let before = Dump::take();
    let plan = dom0.host.plan(&operations).unwrap();
    assert_eq!(dom0.host.run_all(&operations).unwrap(), Outcome::Changed);
    assert_eq!(ip_json("link show dev vif1.0")[0]["master"], "xenbr0");
    assert_eq!(dom0.host.run_all(&operations).unwrap(), Outcome::Unchanged);
    dom0.host.apply(&plan.inverse()).unwrap();
    Dump::take().assert_same(&before, "after both were put back");
    // And when the second cannot be planned, the first is not carried out.
    let wrong = [operations[0].clone(), Operation::EnslaveVif { vif: name("vif9.9"), bridge: name("xenbr0") }];
    assert_eq!(dom0.host.run_all(&wrong).unwrap_err().kind(), ErrorKind::NotFound);
    Dump::take().assert_same(&before, "after a plan that could not be made");
}
