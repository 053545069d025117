//! A vif attached and detached: what the kernel has of it then.

use crate::matrix::{self, OWN, lock};
use crate::proof::{bridge_by_ip, name, prove, prove_again, wait_for};
use std::time::{Duration, Instant};
use xenvnet_core::{Antispoof, Attachment, Bridge, Lock, MacAddr, Operation, Outcome, VIF_GROUP};
use xenvnet_tests::{Dom0, Dump, Path, RawSocket, bridge_json, ether, hears, ip, ip_json, nft_json, nft_ruleset};

fn attachment(vif: &str) -> Attachment {
    Attachment::bridged(name(vif), name("xenbr0"), lock())
}

/// The elements of a set of ours that belong to a vif, as `nft -j` has them.
fn elements(set: &str, vif: &str) -> usize {
    let listing = nft_json(&format!("list set bridge xenvnet {set}"));
    let set = listing["nftables"].as_array().unwrap().iter().find(|object| object.get("set").is_some()).unwrap();
    let elements = set["set"]["elem"].as_array().cloned().unwrap_or_default();
    elements.iter().filter(|element| element.to_string().contains(&format!("{vif:?}"))).count()
}

#[test]
fn an_attached_vif_is_locked_in_both_layers() {
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("xenbr0")).mtu(9000)).unwrap();
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let index = ip_json("link show dev vif1.0")[0]["ifindex"].as_u64().unwrap();
    prove(&dom0, &Operation::AttachVif(attachment("vif1.0")));

    let link = &ip_json("-d link show dev vif1.0")[0];
    assert_eq!(link["address"], MacAddr::VIF_BACKEND.to_string().as_str());
    assert_eq!(link["mtu"], 9000, "the MTU follows the bridge");
    assert_eq!(link["group"], VIF_GROUP.to_string().as_str());
    assert_eq!(link["inet6_addr_gen_mode"], "none");
    assert_eq!(link["master"], "xenbr0");
    assert!(link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    assert!(ip_json("addr show dev vif1.0")[0]["addr_info"].as_array().unwrap().is_empty());

    let port = &bridge_json("-d link show dev vif1.0")[0];
    assert_eq!((&port["learning"], &port["locked"], &port["isolated"]), (&false.into(), &true.into(), &false.into()));
    let fdb = bridge_json("-d fdb show br xenbr0");
    let pinned = fdb.as_array().unwrap().iter().find(|entry| entry["mac"] == OWN.to_string().as_str()).unwrap();
    assert_eq!((&pinned["ifname"], &pinned["state"]), (&"vif1.0".into(), &"static".into()));
    assert!(pinned["flags"].as_array().unwrap().iter().any(|flag| flag == "sticky"), "{pinned}");

    for (set, count) in [
        ("guarded", 1),
        ("own_mac", 1),
        ("own_dhcp", 0),
        ("own_ip4", 1),
        ("own_ip4net", 1),
        ("own_ip6", 2),
        ("own_ip6net", 1),
        ("own_mac_raw", 1),
        ("own_ip6_raw", 2),
        ("own_ip6net_raw", 1),
    ] {
        assert_eq!(elements(set, "vif1.0"), count, "{set}");
    }
    let comment = format!(
        "dev={index} owner=vif1.0 locked mac={OWN} ip=10.98.98.2,10.98.99.0/28,2001:db8:98::2,2001:db8:99::/64"
    );
    assert!(nft_ruleset().contains(&comment), "an administrator reads the lock: {comment}\n{}", nft_ruleset());
    drop(guest);
}

#[test]
fn settings_of_an_attachment_reach_the_kernel() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    prove(&dom0, &Operation::AttachVif(attachment("vif1.0").mtu(1400).isolated(true)));
    assert_eq!(ip_json("link show dev vif1.0")[0]["mtu"], 1400);
    assert_eq!(bridge_json("-d link show dev vif1.0")[0]["isolated"], true);
    // A change of an attached vif: what is new, in place.
    let other = Antispoof::new("00:16:3e:00:00:77".parse().unwrap()).ip("10.98.98.7".parse().unwrap());
    let changed = Attachment::bridged(guest.name, name("xenbr0"), other);
    let plan = prove(&dom0, &Operation::AttachVif(changed));
    assert!(!plan.to_string().contains("down"), "a change does not interrupt the guest:\n{plan}");
    assert_eq!(bridge_json("-d link show dev vif1.0")[0]["isolated"], false);
    let fdb = bridge_json("fdb show br xenbr0").to_string();
    assert!(fdb.contains("00:16:3e:00:00:77") && !fdb.contains(&OWN.to_string()), "{fdb}");
}

#[test]
fn isolated_guests_reach_dom0_and_not_each_other() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap());
    dom0.host.create_bridge(&bridge).unwrap();
    let guests = [1, 2].map(|n| {
        let guest = dom0.guest(&format!("vif{n}.0"), &format!("00:16:3e:00:00:0{n}"));
        guest.address(&format!("10.98.98.1{n}/24"), "");
        let lock = Antispoof::new(guest.mac).ip(format!("10.98.98.1{n}").parse().unwrap());
        let attachment = Attachment::bridged(guest.name, name("xenbr0"), lock).isolated(true);
        dom0.host.attach_vif(&attachment).unwrap();
        guest
    });
    assert!(hears(&dom0.namespace(), "10.98.98.1", &guests[0].guest));
    assert!(hears(&dom0.namespace(), "10.98.98.1", &guests[1].guest));
    // What the one says to all reaches dom0; then dom0 speaks, and the other hears only that.
    let mac = guests[0].mac;
    let said = matrix::sentinel(mac, "10.98.98.11".parse().unwrap());
    let dom0_side = RawSocket::on("xenbr0");
    let peer = guests[1].raw();
    let mut path = Path::new(guests[0].raw(), vec![("dom0", RawSocket::on("xenbr0"))], said.clone());
    assert!(path.send(&[said]).all(1), "dom0 hears it");
    let last = ether(MacAddr::new([0xff; 6]), MacAddr::new([2; 6]), 0x88b5, b"dom0 has spoken");
    dom0_side.send(last.bytes());
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let heard = peer.receive(deadline).expect("what dom0 says is heard");
        assert_ne!(heard[6..12], mac.octets(), "an isolated guest heard another one");
        if last.is(&heard) {
            break;
        }
    }
}

#[test]
fn a_detached_vif_leaves_nothing_behind() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let keep = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    let kept = Antispoof::new(keep.mac).ip("10.98.98.3".parse().unwrap());
    dom0.host.attach_vif(&Attachment::bridged(keep.name, name("xenbr0"), kept)).unwrap();
    let without = nft_ruleset();
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&attachment("vif1.0")).unwrap();
    // One frame of each sort is dropped, so that there are counters to be booked out.
    guest.wait_for_carrier();
    let raw = guest.raw();
    raw.send(ether(MacAddr::new([0xff; 6]), OWN, 0x88b5, &[0; 46]).bytes());
    raw.send(ether(MacAddr::new([0xff; 6]), keep.mac, 0x0806, &[0; 46]).bytes());
    let dropped = || {
        let drops = dom0.host.snapshot().unwrap().drops;
        drops.iter().filter(|drops| drops.vif == guest.name).map(|drops| drops.frames).sum::<u64>()
    };
    wait_for("both frames are counted", || dropped() == 2);
    assert_eq!(dom0.host.detach_vif(guest.name).unwrap(), Outcome::Changed);
    assert_eq!(nft_ruleset(), without);
    let link = &ip_json("link show dev vif1.0")[0];
    assert!(link["master"].is_null());
    assert!(!link["flags"].as_array().unwrap().iter().any(|flag| flag == "UP"));
    assert!(!bridge_json("fdb show").to_string().contains(&OWN.to_string()));
    prove_again(&dom0, &Operation::DetachVif { vif: guest.name });
}

#[test]
fn a_detach_is_put_back_whole() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&attachment("vif1.0").isolated(true)).unwrap();
    prove(&dom0, &Operation::DetachVif { vif: name("vif1.0") });
}

#[test]
fn a_vif_that_vanished_is_cleaned_up_after() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&attachment("vif1.0")).unwrap();
    ip("link del vif1.0");
    assert_eq!(elements("guarded", "vif1.0"), 1, "what the kernel leaves behind");
    prove(&dom0, &Operation::DetachVif { vif: name("vif1.0") });
    assert!(!nft_ruleset().contains("vif1.0"), "{}", nft_ruleset());
    prove_again(&dom0, &Operation::DetachVif { vif: name("vif1.0") });
}

#[test]
fn a_former_guests_lock_is_not_inherited() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap());
    dom0.host.create_bridge(&bridge).unwrap();
    let former = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&attachment("vif1.0")).unwrap();
    ip("link del vif1.0");
    drop(former);
    let next = dom0.guest("vif1.0", "00:16:3e:00:00:99");
    next.address("10.98.98.9/24", "");
    let snapshot = dom0.host.snapshot().unwrap();
    assert!(snapshot.guards.contains_key(&next.name), "the element is still there");
    assert!(snapshot.guard_of(next.name).is_none(), "and it is not the new interface's");
    let own = Antispoof::new(next.mac).ip("10.98.98.9".parse().unwrap());
    dom0.host.attach_vif(&Attachment::bridged(next.name, name("xenbr0"), own)).unwrap();
    assert!(hears(&dom0.namespace(), "10.98.98.1", &next.guest));
    let rules = nft_ruleset();
    assert!(!rules.contains(&OWN.to_string()) && !rules.contains("10.98.98.2"), "{rules}");
}

#[test]
fn a_vif_gets_its_name_and_is_known_by_both() {
    let Some(dom0) = Dom0::enter() else { return };
    let bridge = Bridge::new(name("xenbr0")).address("10.98.98.1/24".parse().unwrap());
    dom0.host.create_bridge(&bridge).unwrap();
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    guest.address("10.98.98.2/24", "");
    prove(&dom0, &Operation::AttachVif(attachment("vif1.0").rename(name("web"))));
    let link = &ip_json("link show dev web")[0];
    assert_eq!((&link["master"], &link["ifalias"]), (&"xenbr0".into(), &"vif1.0".into()));
    assert_eq!(elements("guarded", "web"), 1);
    assert_eq!(elements("guarded", "vif1.0"), 0);
    assert!(hears(&dom0.namespace(), "10.98.98.1", &guest.guest));
    prove(&dom0, &Operation::DetachVif { vif: name("web") });
    assert!(!nft_ruleset().contains("web"), "{}", nft_ruleset());
}

#[test]
fn a_lock_under_the_old_name_goes_with_it() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&attachment("vif1.0")).unwrap();
    prove(&dom0, &Operation::AttachVif(attachment("vif1.0").rename(name("web"))));
    assert_eq!((elements("guarded", "web"), elements("guarded", "vif1.0")), (1, 0));
}

#[test]
fn many_at_once_are_all_locked() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guests: Vec<_> =
        (1..=40).map(|n| dom0.guest(&format!("vif{n}.0"), &format!("00:16:3e:00:01:{n:02x}"))).collect();
    let attachments: Vec<_> = guests
        .iter()
        .enumerate()
        .map(|(n, guest)| {
            let lock = Antispoof::new(guest.mac).ip(format!("10.98.98.{}", n + 2).parse().unwrap());
            Attachment::bridged(guest.name, name("xenbr0"), lock)
        })
        .collect();
    let before = Dump::take();
    let operations: Vec<_> = attachments.iter().cloned().map(Operation::AttachVif).collect();
    let plan = dom0.host.plan(&operations).unwrap();
    assert_eq!(dom0.host.attach_vifs(&attachments).unwrap(), Outcome::Changed);
    assert_eq!(dom0.host.attach_vifs(&attachments).unwrap(), Outcome::Unchanged);
    let ports = bridge_json("-d link show");
    let locked = ports.as_array().unwrap().iter().filter(|port| port["locked"] == true && port["learning"] == false);
    assert_eq!(locked.count(), guests.len());
    for guest in &guests {
        assert_eq!(elements("guarded", guest.name.as_str()), 1);
    }
    dom0.host.apply(&plan.inverse()).unwrap();
    Dump::take().assert_same(&before, "after 40 attachments were put back");
}

#[test]
fn an_unlocked_vif_is_an_ordinary_port() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let open = Attachment::bridged(guest.name, name("xenbr0"), Lock::Unlocked);
    prove(&dom0, &Operation::AttachVif(open.clone()));
    let port = &bridge_json("-d link show dev vif1.0")[0];
    assert_eq!((&port["learning"], &port["locked"]), (&true.into(), &false.into()));
    // Locked afterwards, then opened again.
    prove(&dom0, &Operation::SetAntispoof { vif: guest.name, lock: lock().into() });
    let port = &bridge_json("-d link show dev vif1.0")[0];
    assert_eq!((&port["learning"], &port["locked"]), (&false.into(), &true.into()));
    prove(&dom0, &Operation::ClearAntispoof { vif: guest.name });
    let port = &bridge_json("-d link show dev vif1.0")[0];
    assert_eq!((&port["learning"], &port["locked"]), (&true.into(), &false.into()));
    assert_eq!(elements("guarded", "vif1.0"), 0);
    prove_again(&dom0, &Operation::ClearAntispoof { vif: guest.name });
}

#[test]
fn a_lock_too_long_for_its_comment_holds_all_the_same() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    let long = (1..=30).fold(Antispoof::new(OWN), |lock, n| lock.ip(format!("2001:db8::{n:x}").parse().unwrap()));
    prove(&dom0, &Operation::AttachVif(Attachment::bridged(guest.name, name("xenbr0"), long.clone())));
    assert_eq!(elements("own_ip6", "vif1.0"), 31);
    let mut shorter = long;
    shorter.ips.truncate(20);
    prove(&dom0, &Operation::SetAntispoof { vif: guest.name, lock: shorter.into() });
    assert_eq!(elements("own_ip6", "vif1.0"), 21);
    prove(&dom0, &Operation::DetachVif { vif: guest.name });
    assert_eq!(elements("own_ip6", "vif1.0"), 0);
}
