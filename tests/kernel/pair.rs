//! A guest with an emulated card: two ports, one MAC address, one lock.

use crate::matrix::{GATEWAY, OWN, VICTIM, foreign_packet, lock, sentinel, victims_lock};
use crate::proof::{bridge_by_ip, name, prove, prove_again};
use xenvnet_core::{Attachment, Finding, Lock, Operation};
use xenvnet_tests::{Dom0, FakeVif, Path, RawSocket, bridge_json, ether, ip, ip_json};

struct House {
    native: FakeVif,
    tap: FakeVif,
    victim: FakeVif,
    dom0: Dom0,
}

impl House {
    fn build() -> Option<House> {
        let dom0 = Dom0::enter()?;
        bridge_by_ip("xenbr0");
        let native = dom0.guest("vif1.0", &OWN.to_string());
        let tap = dom0.guest("vif1.0-emu", &OWN.to_string());
        let victim = dom0.guest("vif2.0", &VICTIM.to_string());
        let victims = Attachment::bridged(victim.name, name("xenbr0"), victims_lock());
        dom0.host.attach_vif(&victims).unwrap();
        Some(House { native, tap, victim, dom0 })
    }

    fn attach(&self, vif: &str) -> Operation {
        Operation::AttachVif(Attachment::bridged(name(vif), name("xenbr0"), lock()))
    }

    fn path(&self, from: &FakeVif) -> Path {
        from.wait_for_carrier();
        let ears = vec![("the other guest", self.victim.raw()), ("dom0", RawSocket::on("xenbr0"))];
        Path::new(from.raw(), ears, sentinel(OWN, "10.98.98.2".parse().unwrap()))
    }
}

/// Where the bridge looks for an address.
fn port_of(mac: &str) -> Vec<String> {
    let entries = bridge_json("fdb show br xenbr0");
    let entries = entries.as_array().unwrap().iter().filter(|entry| entry["mac"] == mac && entry["master"] == "xenbr0");
    entries.map(|entry| entry["ifname"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_second_port_makes_a_pair_of_both() {
    let Some(house) = House::build() else { return };
    let host = &house.dom0.host;
    prove(&house.dom0, &house.attach("vif1.0"));
    assert!(!host.snapshot().unwrap().is_paired(name("vif1.0")));
    prove(&house.dom0, &house.attach("vif1.0-emu"));
    prove_again(&house.dom0, &house.attach("vif1.0"));
    let now = host.snapshot().unwrap();
    for vif in ["vif1.0", "vif1.0-emu"] {
        assert!(now.is_paired(name(vif)), "{vif}");
        let port = &ip_json(&format!("-d link show dev {vif}"))[0]["linkinfo"]["info_slave_data"];
        assert_eq!((&port["learning"], &port["locked"]), (&true.into(), &false.into()), "{vif}");
    }
    assert_eq!(port_of(&OWN.to_string()), Vec::<String>::new(), "nothing is pinned");
    let findings = host.verify().unwrap().findings;
    assert_eq!(findings, [Finding::Pair { vif: name("vif1.0"), twin: name("vif1.0-emu") }]);
}

#[test]
fn both_ports_are_held_and_neither_takes_a_place_in_the_bridge() {
    let Some(house) = House::build() else { return };
    house.dom0.host.run_all(&[house.attach("vif1.0"), house.attach("vif1.0-emu")]).unwrap();
    for from in [&house.tap, &house.native] {
        let mut path = house.path(from);
        let lies = [
            ether(VICTIM, VICTIM, 0x0800, &foreign_packet()),
            ether(VICTIM, OWN, 0x0800, &foreign_packet()),
            ether("01:80:c2:00:00:0e".parse().unwrap(), VICTIM, 0x88cc, &[2, 7, 4, 0, 22, 62, 0, 0, 2, 0, 0]),
            ether("01:80:c2:00:00:03".parse().unwrap(), GATEWAY, 0x888e, &[1, 1, 0, 0]),
        ];
        assert!(path.send(&lies).none());
        assert_eq!(port_of(&VICTIM.to_string()), ["vif2.0"]);
        assert_eq!(port_of(&GATEWAY.to_string()), ["xenbr0"]);
        assert_eq!(port_of(&OWN.to_string()), [from.name.to_string()], "the guest is found where it speaks");
    }
}

/// The guest's driver unplugs the emulated card, and nobody calls us.
#[test]
fn when_the_tap_vanishes_the_vif_is_reached_and_no_other_guest() {
    let Some(house) = House::build() else { return };
    house.dom0.host.run_all(&[house.attach("vif1.0"), house.attach("vif1.0-emu")]).unwrap();
    house.path(&house.tap).send(&[]);
    assert_eq!(port_of(&OWN.to_string()), ["vif1.0-emu"]);
    let speaker = RawSocket::on("xenbr0");
    let (native, victim) = (house.native.raw(), house.victim.raw());
    ip("link delete vif1.0-emu");
    // Before the guest said a word by its own card.
    house.native.wait_for_carrier();
    let hello = ether(OWN, GATEWAY, 0x0800, &foreign_packet());
    let everybody = sentinel(GATEWAY, "10.98.98.1".parse().unwrap());
    let deadline = || std::time::Instant::now() + std::time::Duration::from_secs(10);
    speaker.send(hello.bytes());
    speaker.send(everybody.bytes());
    let heard = |ear: &RawSocket| {
        let mut unicast = 0;
        loop {
            let frame = ear.receive(deadline()).expect("what is for everybody");
            if everybody.is(&frame) {
                return unicast;
            }
            unicast += usize::from(hello.is(&frame));
        }
    };
    assert_eq!((heard(&native), heard(&victim)), (1, 0));
    house.path(&house.native).send(&[]);
    assert_eq!(port_of(&OWN.to_string()), ["vif1.0"]);
    assert!(house.dom0.host.verify().unwrap().findings.iter().all(|f| f.kind() == "leftover"));
    house.dom0.host.repair().unwrap();
    assert_eq!(house.dom0.host.verify().unwrap().findings, []);
}

#[test]
fn one_lock_holds_both_ports_and_changes_for_both() {
    let Some(house) = House::build() else { return };
    house.dom0.host.run_all(&[house.attach("vif1.0"), house.attach("vif1.0-emu")]).unwrap();
    for vif in ["vif1.0", "vif1.0-emu"] {
        let set = Operation::SetAntispoof { vif: name(vif), lock: Lock::Disabled };
        prove(&house.dom0, &set);
        let now = house.dom0.host.snapshot().unwrap();
        for vif in ["vif1.0", "vif1.0-emu"] {
            assert_eq!(now.guards[&name(vif)].lock, Lock::Disabled);
            assert_eq!(now.ingress[&name(vif)].lock, Lock::Disabled);
        }
        house.dom0.host.set_antispoof(name(vif), lock()).unwrap();
    }
    prove(&house.dom0, &Operation::ClearAntispoof { vif: name("vif1.0") });
    prove(&house.dom0, &house.attach("vif1.0"));
    house.dom0.host.detach_vif(name("vif1.0-emu")).unwrap();
    house.dom0.host.detach_vif(name("vif1.0")).unwrap();
    let now = house.dom0.host.snapshot().unwrap();
    assert!(now.ingress.is_empty() && now.hooks.is_empty());
    assert_eq!(now.guards.len(), 1);
}

/// A card's two ports are known by the numbers that Xen gave them, not by what they are called.
#[test]
fn nobody_becomes_anothers_second_card_by_a_name() {
    let Some(house) = House::build() else { return };
    let host = &house.dom0.host;
    let web = Attachment::bridged(name("vif1.0"), name("xenbr0"), lock()).rename(name("web"));
    host.attach_vif(&web).unwrap();
    let stranger = house.dom0.guest("vif3.0", "00:16:3e:00:00:03");
    let taken = Attachment::bridged(stranger.name, name("xenbr0"), victims_lock()).rename(name("web-emu"));
    let error = host.attach_vif(&taken).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot attach vif3.0 to xenbr0: the name web-emu is for the tap of an emulated card"
    );
    drop(stranger);
    ip("link add web-emu type veth peer name other");
    let foreign = Attachment::bridged(name("web-emu"), name("xenbr0"), Lock::Disabled);
    host.attach_vif(&foreign).unwrap();
    assert!(!host.snapshot().unwrap().is_paired(name("web")));
    assert_eq!(host.snapshot().unwrap().guards[&name("web")].lock, lock().into());
    host.detach_vif(name("web-emu")).unwrap();
    ip("link delete web-emu");
}

#[test]
fn a_card_is_opened_and_locked_as_a_whole() {
    let Some(house) = House::build() else { return };
    let host = &house.dom0.host;
    host.run_all(&[house.attach("vif1.0"), house.attach("vif1.0-emu")]).unwrap();
    host.clear_antispoof(name("vif1.0")).unwrap();
    prove(&house.dom0, &Operation::SetAntispoof { vif: name("vif1.0"), lock: lock().into() });
    let now = host.snapshot().unwrap();
    assert!(now.is_paired(name("vif1.0")) && now.is_paired(name("vif1.0-emu")));
    let open = Attachment::bridged(name("vif1.0-emu"), name("xenbr0"), Lock::Unlocked);
    let error = host.attach_vif(&open).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot attach vif1.0-emu to xenbr0: vif1.0, the other port of the same card, is locked"
    );
}

#[test]
fn a_renamed_pair_is_a_pair() {
    let Some(house) = House::build() else { return };
    let named = |vif: &str, to: &str| {
        Operation::AttachVif(Attachment::bridged(name(vif), name("xenbr0"), lock()).rename(name(to)))
    };
    prove(&house.dom0, &named("vif1.0", "web"));
    prove(&house.dom0, &named("vif1.0-emu", "web-emu"));
    prove_again(&house.dom0, &named("vif1.0", "web"));
    let now = house.dom0.host.snapshot().unwrap();
    assert!(now.is_paired(name("web")) && now.is_paired(name("web-emu")));
}
