//! What happens to a host after the first day: others' hands, other tools, guests that move.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use xenvnet_core::{Antispoof, Attachment, Guard, Lock, Outcome};
use xenvnet_tests::{Dom0, Dump, bridge_json, ether, ip, ip_json, nft, program};

fn is_up(vif: &str) -> bool {
    let flags = &ip_json(&format!("link show dev {vif}"))[0]["flags"];
    flags.as_array().unwrap().iter().any(|flag| flag == "UP")
}

fn guard(dom0: &Dom0, vif: &str) -> Option<Guard> {
    dom0.host.snapshot().unwrap().guard_of(name(vif)).cloned()
}

#[test]
fn what_is_put_back_up_has_its_lock_though_the_table_was_deleted() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock());
    dom0.host.attach_vif(&attachment).unwrap();
    dom0.host.detach_vif(guest.name).unwrap();
    nft("delete table bridge xenvnet");
    assert_eq!(dom0.host.undo().unwrap(), Outcome::Changed);
    assert!(is_up("vif1.0"));
    assert_eq!(guard(&dom0, "vif1.0").unwrap().lock, Lock::from(lock()));
}

#[test]
fn what_cannot_be_locked_again_stays_down() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    dom0.host.detach_vif(guest.name).unwrap();
    nft("delete table bridge xenvnet; add table bridge xenvnet");
    let before = Dump::take();
    let error = dom0.host.undo().unwrap_err();
    let why = "there is a table bridge xenvnet that is not ours (kernel: File exists)";
    assert_eq!(error.to_string(), format!("cannot set antispoof on vif1.0: {why}"));
    Dump::take().assert_same(&before, "all of it or nothing");
    assert!(!is_up("vif1.0"), "up without its lock");
}

#[test]
fn an_element_that_somebody_deleted_is_no_obstacle() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock());
    let damage = || nft(&format!("delete element bridge xenvnet own_ip4 {{ \"vif1.0\" . {OWN} . 10.98.98.2 }}"));
    dom0.host.attach_vif(&attachment).unwrap();
    damage();
    let other = Antispoof::new(OWN).ip("10.98.98.77".parse().unwrap());
    assert_eq!(dom0.host.set_antispoof(guest.name, other).unwrap(), Outcome::Changed);
    assert_eq!(dom0.host.attach_vif(&attachment).unwrap(), Outcome::Changed);
    damage();
    assert_eq!(dom0.host.detach_vif(guest.name).unwrap(), Outcome::Changed);
    assert!(!is_up("vif1.0"));
    let own = nft("list table bridge xenvnet");
    assert!(!own.contains("vif1.0"), "{own}");
}

#[test]
fn guests_that_were_learned_elsewhere_are_attached_all_at_once() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _uplink = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("link set peth0 master xenbr0 up");
    let guests: Vec<_> = (1..=6).map(|n| dom0.guest(&format!("vif{n}.0"), &format!("00:16:3e:00:00:0{n}"))).collect();
    for guest in &guests {
        program("bridge", &["fdb", "add", &guest.mac.to_string(), "dev", "peth0", "master", "dynamic"]);
    }
    let attach =
        |guest: &xenvnet_tests::FakeVif| Attachment::bridged(guest.name, name("xenbr0"), Antispoof::new(guest.mac));
    let all: Vec<_> = guests.iter().map(attach).collect();
    assert_eq!(dom0.host.attach_vifs(&all).unwrap(), Outcome::Changed);
    let fdb = bridge_json("-d fdb show br xenbr0");
    for guest in &guests {
        let mac = guest.mac.to_string();
        let pinned = fdb.as_array().unwrap().iter().find(|entry| entry["mac"] == mac.as_str()).unwrap();
        assert_eq!((&pinned["ifname"], &pinned["state"]), (&guest.name.as_str().into(), &"static".into()));
    }
}

#[test]
fn a_renamed_vif_is_detached_by_the_name_that_netback_gave_it() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock()).rename(name("web"));
    dom0.host.attach_vif(&attachment).unwrap();
    assert_eq!(dom0.host.detach_vif(name("vif1.0")).unwrap(), Outcome::Changed);
    assert!(!is_up("web"));
    assert_eq!(guard(&dom0, "web"), None);
    // And when it has gone, as it has when a toolstack says offline: its lock is found by its owner.
    dom0.host.attach_vif(&attachment).unwrap();
    ip("link delete web");
    assert_eq!(dom0.host.detach_vif(name("vif1.0")).unwrap(), Outcome::Changed);
    assert!(dom0.host.snapshot().unwrap().guards.is_empty());
    assert_eq!(dom0.host.detach_vif(name("vif1.0")).unwrap(), Outcome::Unchanged);
}

#[test]
fn a_vif_that_a_script_enslaved_is_locked_before_it_is_up() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    ip("link set vif1.0 master xenbr0");
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    assert!(is_up("vif1.0"));
    let link = &ip_json("-d link show dev vif1.0")[0];
    let port = &link["linkinfo"]["info_slave_data"];
    assert_eq!((&port["learning"], &port["locked"]), (&false.into(), &true.into()), "{port}");
    let fdb = bridge_json("-d fdb show dev vif1.0");
    assert!(fdb.as_array().unwrap().iter().any(|entry| entry["mac"] == OWN.to_string().as_str()), "{fdb}");
}

#[test]
fn a_prefix_within_a_prefix_is_no_contradiction() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let lock = ["10.0.0.0/24", "10.0.0.0/25", "10.0.0.7", "2001:db8::/48", "2001:db8::/64"]
        .iter()
        .fold(Antispoof::new(OWN), |lock, net| lock.ip(net.parse().unwrap()));
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock.clone());
    assert_eq!(dom0.host.attach_vif(&attachment).unwrap(), Outcome::Changed);
    assert_eq!(dom0.host.attach_vif(&attachment).unwrap(), Outcome::Unchanged);
    assert_eq!(guard(&dom0, "vif1.0").unwrap().lock, Lock::from(lock));
    assert_eq!(dom0.host.detach_vif(guest.name).unwrap(), Outcome::Changed);
}

/// A lock that was set while its interface was down and nowhere holds when somebody sets it up, and
/// so does one whose port was released.
#[test]
fn a_lock_without_a_bridge_holds_when_its_interface_comes_up() {
    let Some(dom0) = Dom0::enter() else { return };
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    ip("addr add 10.98.98.1/24 dev vif1.0");
    guest.address("10.98.98.66/24", "");
    dom0.host.set_antispoof(guest.name, lock()).unwrap();
    ip("link set vif1.0 up");
    guest.wait_for_carrier();
    let heard = || {
        let ear = std::net::UdpSocket::bind("10.98.98.1:7").unwrap();
        ear.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
        let mouth = guest.guest.within(|| std::net::UdpSocket::bind("10.98.98.66:0").unwrap());
        (0..5).any(|_| {
            let _ = mouth.send_to(b"hello", "10.98.98.1:7");
            ear.recv(&mut [0; 8]).is_ok()
        })
    };
    guest.guest.within(|| ip("neigh replace 10.98.98.1 lladdr fe:ff:ff:ff:ff:ff dev eth0 nud permanent"));
    ip("link set vif1.0 address fe:ff:ff:ff:ff:ff");
    assert!(!heard(), "held at ingress");
    bridge_by_ip("xenbr0");
    ip("link set vif1.0 down");
    dom0.host.enslave_vif(guest.name, name("xenbr0")).unwrap();
    assert!(dom0.host.snapshot().unwrap().ingress.is_empty(), "its port holds it");
    dom0.host.release_vif(guest.name).unwrap();
    ip("link set vif1.0 up");
    guest.wait_for_carrier();
    assert!(!heard(), "held back by its group");
    dom0.host.clear_antispoof(guest.name).unwrap();
    assert!(heard(), "and it was the lock");
}

/// Comments are as long as the kernel keeps them.
#[test]
fn locks_of_every_length_are_read_back() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.enslave_vif(guest.name, name("xenbr0")).unwrap();
    let mut lengths = std::collections::BTreeSet::new();
    for long in 0..16u32 {
        // Addresses of 8 to 15 characters each.
        let ips = (0..13u32).map(|n| match n < long {
            true => format!("192.168.{}.{}", 100 + n, 100 + n),
            false => format!("10.0.{n}.{n}"),
        });
        let lock = ips.fold(Antispoof::new(OWN), |lock, ip| lock.ip(ip.parse().unwrap()));
        dom0.host.set_antispoof(guest.name, lock.clone()).unwrap();
        let guard = dom0.host.snapshot().unwrap().guards[&guest.name].clone();
        lengths.insert(guard.to_string().len());
        assert_eq!(guard.lock.to_string().len(), xenvnet_core::Lock::from(lock).to_string().len(), "{guard}");
        assert_ne!(guard.device, 0);
        assert!(dom0.host.verify().unwrap().is_sound());
    }
    assert!(lengths.first() < Some(&245) && lengths.last() > Some(&255), "{lengths:?}");
}

/// What a bridge learned at a port before it was locked would pass the port's lock.
#[test]
fn a_port_that_is_locked_forgets_what_it_learned() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), Lock::Unlocked)).unwrap();
    guest.wait_for_carrier();
    let stranger = "02:00:00:00:00:66";
    let raw = guest.raw();
    let learned = || program("bridge", &["fdb", "show", "br", "xenbr0"]).contains(&format!("{stranger} dev vif1.0"));
    crate::proof::wait_for("the stranger's place", || {
        raw.send(ether(OWN, stranger.parse().unwrap(), 0x0800, &crate::matrix::foreign_packet()).bytes());
        learned()
    });
    dom0.host.set_antispoof(guest.name, lock()).unwrap();
    assert!(!learned());
}

/// Off its bridge the bridge's filter does not see it, and no other table was there before.
#[test]
fn a_released_guest_that_somebody_sets_up_is_held_back() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.address("10.98.98.2/24", "");
    dom0.host.attach_vif(&Attachment::bridged(guest.name, name("xenbr0"), lock())).unwrap();
    dom0.host.release_vif(guest.name).unwrap();
    ip("addr add 10.98.98.1/24 dev vif1.0");
    ip("link set vif1.0 up");
    guest.wait_for_carrier();
    let ear = std::net::UdpSocket::bind("10.98.98.1:7").unwrap();
    ear.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    let mouth = guest.guest.within(|| std::net::UdpSocket::bind("10.98.98.2:0").unwrap());
    let heard = || {
        let _ = mouth.send_to(b"hello", "10.98.98.1:7");
        ear.recv(&mut [0; 8]).is_ok()
    };
    assert!(!(0..5).any(|_| heard()));
    ip("link set vif1.0 group default");
    assert!((0..20).any(|_| heard()), "and it was its group");
}

#[test]
fn what_was_counted_under_a_former_name_is_not_the_next_ones() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock());
    dom0.host.attach_vif(&attachment).unwrap();
    guest.wait_for_carrier();
    let raw = guest.raw();
    let lie = ether(OWN, "02:00:00:00:00:66".parse().unwrap(), 0x0800, &crate::matrix::foreign_packet());
    crate::proof::wait_for("a drop", || {
        raw.send(lie.bytes());
        !dom0.host.snapshot().unwrap().drops.is_empty()
    });
    dom0.host.attach_vif(&attachment.rename(name("web"))).unwrap();
    let drops = dom0.host.snapshot().unwrap().drops;
    assert!(drops.iter().all(|drops| drops.vif != guest.name), "{drops:?}");
}
