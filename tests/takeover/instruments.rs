//! The instruments themselves: what they say must be able to be untrue.

use crate::by_hand::{
    batch, count, enslave_and_release, give_back, make_bridge, take_over, take_over_as_of_old, wait_for,
};
use crate::{alone, beside_others};
use xenvnet_tests::{Holdings, Site, Traffic, answers, ip, nft};

#[test]
fn where_nothing_happens_nothing_is_lost() {
    let _alone = alone();
    let Some(site) = Site::plain() else { return };
    let traffic = Traffic::start(&site);
    let from = traffic.mark();
    let to = traffic.go_on(5000);
    let account = traffic.stop();
    println!("{account}");
    assert_eq!((account.lost_outward(), account.lost_inward(&from, &to), account.overrun()), (0, 0, 0), "{account}");
    assert!(account.broken().is_empty(), "{account}");
}

#[test]
fn a_takeover_in_the_right_order_is_seen_to_lose_nothing_outward() {
    let _alone = alone();
    let Some(site) = Site::plain() else { return };
    let before = Holdings::take();
    let traffic = Traffic::start(&site);
    let from = traffic.mark();
    for _ in 0..5 {
        take_over();
        traffic.mark();
        give_back();
        traffic.mark();
    }
    let to = traffic.mark();
    let account = traffic.stop();
    println!("{account}\n{} lost inward", account.lost_inward(&from, &to));
    assert_eq!(account.lost_outward(), 0, "{account}");
    assert!(account.broken().is_empty(), "{account}");
    Holdings::take().assert_same(&before, "after it got back what is its");
}

#[test]
fn a_takeover_as_of_old_is_seen_to_lose() {
    let _alone = alone();
    let Some(site) = Site::plain() else { return };
    let before = Holdings::take();
    let traffic = Traffic::start(&site);
    let from = traffic.mark();
    take_over_as_of_old();
    for (from, to) in [(&site.dom0.namespace(), Site::FAR4), (&site.far, site.address6)] {
        assert!(answers(from, to), "{to} does not answer");
    }
    let to = traffic.mark();
    let account = traffic.stop();
    println!("{account}\n{} lost inward", account.lost_inward(&from, &to));
    for (name, tidings) in account.outward.iter().chain(&account.inward).chain(&account.pings) {
        assert!(tidings.losses() > 0, "{name}: {account}");
    }
    assert!(account.outward[0].1.refused.count > 0, "{account}");
    assert!(!Holdings::take().difference(&before).is_empty());
}

#[test]
fn a_bare_enslave_and_release_loses_nothing_outward() {
    let _alone = alone();
    let Some(site) = Site::plain() else { return };
    make_bridge("floor0");
    let traffic = Traffic::start(&site);
    let mut marks = vec![traffic.mark()];
    for _ in 0..60 {
        enslave_and_release("eth0", "floor0");
        marks.push(traffic.mark());
    }
    let account = traffic.stop();
    let floor: Vec<u64> = marks.windows(2).map(|pair| account.lost_inward(&pair[0], &pair[1])).collect();
    println!("{account}\nlost inward in each cycle: {floor:?}");
    assert_eq!(account.lost_outward(), 0, "{account}");
    assert!(account.broken().is_empty(), "{account}");
}

#[test]
fn a_wrong_source_is_seen() {
    let _alone = alone();
    let Some(site) = Site::plain() else { return };
    ip("addr add 192.0.2.11/24 dev eth0");
    let traffic = Traffic::start(&site);
    ip("route replace default via 192.0.2.1 src 192.0.2.11");
    let sent = count("Udp", "OutDatagrams");
    wait_for("many more are sent", || count("Udp", "OutDatagrams") > sent + 1000);
    ip("route replace default via 192.0.2.1 src 192.0.2.10");
    traffic.mark();
    let account = traffic.stop();
    assert!(account.outward[0].1.misattributed > 0, "{account}");
    assert_eq!(account.outward[1].1.losses(), 0, "{account}");
}

#[test]
fn a_connection_that_is_cut_is_seen() {
    let _alone = alone();
    let Some(site) = Site::plain() else { return };
    let traffic = Traffic::start(&site);
    // Each end is told by the gateway that the other one has hung up.
    site.gateway.within(|| {
        nft("table ip cut { chain c {
            type filter hook forward priority 0; tcp flags & rst == 0 reject with tcp reset; }; }")
    });
    traffic.go_on(1000);
    let account = traffic.stop();
    println!("{account}");
    assert_eq!(account.broken().len(), 2, "those of IPv4: {account}");
}

#[test]
fn holdings_differ_by_each_thing_that_is_changed_and_by_nothing_else() {
    let _beside = beside_others();
    let Some(site) = Site::rich() else { return };
    let before = Holdings::take();
    assert!(answers(&site.dom0.namespace(), Site::FAR4));
    Holdings::take().without(&["found"]).assert_same(&before.without(&["found"]), "after traffic");
    for (change, back) in [
        ("addr del 192.0.2.12/32 dev eth0", "addr add 192.0.2.12/32 scope link dev eth0"),
        (
            "addr change 10.6.0.1/24 valid_lft 600 preferred_lft 600 noprefixroute dev eth0",
            "addr change 10.6.0.1/24 valid_lft 3600 preferred_lft 1800 noprefixroute dev eth0",
        ),
        (
            "addr change 2001:db8:1::11/64 nodad dev eth0",
            "addr change 2001:db8:1::11/64 nodad preferred_lft 0 dev eth0",
        ),
        (
            "route change 198.18.11.0/24 congctl reno via 192.0.2.1",
            "route change 198.18.11.0/24 congctl lock reno via 192.0.2.1",
        ),
        (
            "route change 198.18.1.0/24 nexthop via 192.0.2.1 nexthop via 192.0.2.9 weight 2",
            "route change 198.18.1.0/24 nexthop via 192.0.2.1 nexthop via 192.0.2.9 weight 3",
        ),
        ("route del blackhole 198.18.4.0/24", "route add blackhole 198.18.4.0/24"),
        ("route del 2001:db8:ff:8::/64", "route add 2001:db8:ff:8::/64 via 2001:db8:77::1 dev eth0 onlink"),
        ("nexthop del id 6", "nexthop add id 6 via 10.200.0.1 dev eth0 onlink"),
        ("rule del pref 102", "rule add oif eth0 to 198.18.99.0/24 lookup 100 pref 102"),
        ("neigh del 192.0.2.3 dev eth0", "neigh add 192.0.2.3 lladdr 02:00:00:00:00:03 dev eth0 nud noarp"),
        ("neigh del proxy 2001:db8:1::77 dev eth0", "neigh add proxy 2001:db8:1::77 dev eth0"),
    ] {
        batch(change);
        assert!(!Holdings::take().difference(&before).is_empty(), "{change}");
        batch(back);
        Holdings::take().without(&["found"]).assert_same(&before.without(&["found"]), back);
    }
}
