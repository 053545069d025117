//! The harness itself: what it says must be able to be untrue.

use crate::matrix::{GATEWAY, OWN, sentinel};
use xenvnet_tests::{Dump, FakeVif, Namespace, Netns, Path, RawSocket, Witness, ether, hears, ip, nft};

/// Two guests on a bridge that `ip` made.
fn bridged() -> Option<(Netns, FakeVif, FakeVif)> {
    let netns = Netns::enter()?;
    ip("link set lo up");
    ip(&format!("link add xenbr0 address {GATEWAY} type bridge mcast_snooping 0 forward_delay 0"));
    ip("link set xenbr0 up");
    let guests = [("vif1.0", "00:16:3e:00:00:01"), ("vif2.0", "00:16:3e:00:00:02")].map(|(name, mac)| {
        let guest = FakeVif::new(name, mac);
        ip(&format!("link set {name} addrgenmode none master xenbr0"));
        ip(&format!("link set {name} up"));
        guest
    });
    let [one, two] = guests;
    Some((netns, one, two))
}

#[test]
fn frames_arrive_and_those_that_are_dropped_do_not() {
    let Some((_netns, one, two)) = bridged() else { return };
    let own = "10.98.98.2".parse().unwrap();
    let ears = vec![("the other guest", two.raw()), ("dom0", RawSocket::on("xenbr0"))];
    let mut path = Path::new(one.raw(), ears, sentinel(OWN, own));
    let frame = ether(two.mac, OWN, 0x88b5, &[0; 46]);
    assert!(path.send(std::slice::from_ref(&frame)).all(1));
    nft("table bridge others { chain c { type filter hook prerouting priority 0; ether type 0x88b5 drop; }; }");
    assert!(path.send(std::slice::from_ref(&frame)).none());
    assert_eq!(path.late(), []);
}

#[test]
fn datagrams_arrive() {
    let Some((_netns, one, two)) = bridged() else { return };
    one.address("10.98.98.2/24", "");
    two.address("10.98.98.3/24", "");
    assert!(hears(&two.guest, "10.98.98.3", &one.guest));
    ip("addr add 10.98.98.1/24 dev xenbr0");
    assert!(hears(&Namespace::of_this_thread(), "10.98.98.1", &one.guest));
}

#[test]
fn a_dump_differs_by_each_thing_that_is_changed_and_by_nothing_else() {
    let Some((_netns, one, two)) = bridged() else { return };
    one.address("10.98.98.2/24", "");
    two.address("10.98.98.3/24", "");
    let before = Dump::take();
    assert!(hears(&two.guest, "10.98.98.3", &one.guest));
    Dump::take().assert_same(&before, "after traffic");
    for (change, back) in [
        ("link set vif1.0 mtu 1400", "link set vif1.0 mtu 1500"),
        ("link set vif1.0 group 7", "link set vif1.0 group 0"),
        ("link set vif1.0 alias x", "link set vif1.0 alias "),
        ("link set vif1.0 addrgenmode eui64", "link set vif1.0 addrgenmode none"),
        ("link set vif1.0 type bridge_slave learning off", "link set vif1.0 type bridge_slave learning on"),
        ("link set vif1.0 type bridge_slave locked on", "link set vif1.0 type bridge_slave locked off"),
        ("addr add 10.98.98.1/24 dev xenbr0", "addr del 10.98.98.1/24 dev xenbr0"),
        ("route add 10.7.0.0/16 dev xenbr0", "route del 10.7.0.0/16 dev xenbr0"),
        ("link set xenbr0 type bridge ageing_time 20000", "link set xenbr0 type bridge ageing_time 30000"),
    ] {
        let witness = Witness::start();
        run(change);
        assert_ne!(witness.announcements(), 0, "{change}");
        assert_ne!(Dump::take(), before, "{change}");
        run(back);
        Dump::take().assert_same(&before, back);
    }
    nft("add table ip t");
    assert_ne!(Dump::take(), before);
    nft("delete table ip t");
    Dump::take().assert_same(&before, "after a table came and went");
}

/// Like [`ip`], where an argument may be empty.
fn run(line: &str) {
    xenvnet_tests::program("ip", &line.split(' ').collect::<Vec<_>>());
}

#[test]
fn silence_is_told_from_change() {
    let Some(_netns) = Netns::enter() else { return };
    let mut n = 0;
    assert!(!Witness::silent(|| {
        n += 1;
        nft(&format!("add table ip t{n}"));
    }));
    assert!(!Witness::silent(|| {
        n += 1;
        ip(&format!("link add a{n} type veth peer name b{n}"));
    }));
    assert!(Witness::silent(|| {}));
}
