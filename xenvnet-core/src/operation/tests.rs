//! Plans, compared line by line; and what holds for every one of them.

use super::*;
use crate::antispoof::Antispoof;
use crate::entry::{Attribute, Entry, EntryKind};
use crate::link::{Link, PortState};
use crate::network::Brouter;
use crate::retrace::retrace;
use crate::snapshot::LAYOUT;
use crate::sysctl::{LinkSysctl, Sysctl};
use crate::table::Table;
use crate::{ErrorKind, Guard, MacAddr, Presence, VIF_GROUP};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::collections::{BTreeMap, BTreeSet};

fn name(name: &str) -> IfName {
    name.parse().unwrap()
}

fn lock(last: u8) -> Antispoof {
    Antispoof::new(MacAddr::new([0, 0x16, 0x3e, 0, 0, last])).ip(format!("10.98.98.{last}").parse().unwrap())
}

/// A host with two vifs and a card, as netback and the kernel leave them.
fn host() -> Snapshot {
    let mut host = Snapshot::default();
    for (index, vif) in [(2, "eth0"), (3, "vif1.0"), (4, "vif2.0"), (5, "vif1.0-emu")] {
        let mut link = Link::new(index, name(vif));
        link.mac = Some(MacAddr::new([2, 0, 0, 0, 0, index as u8]));
        host.links.insert(link.name, link);
    }
    host.sysctls.extend(Sysctl::ALL.map(|sysctl| (sysctl, 0)));
    host
}

/// The same with what dom0 has on the card: an address, a gateway, a neighbour.
pub(crate) fn uplinked() -> Snapshot {
    let mut host = host();
    let eth0 = name("eth0");
    let octets = |kind: u16, octets: &[u8]| (kind, Attribute::Octets(octets.to_vec()));
    let own = [192, 0, 2, 2];
    let mut address = vec![0; 8];
    address[..2].copy_from_slice(&[2, 24]);
    let attributes = vec![octets(1, &own), octets(2, &own), octets(3, b"eth0\0")];
    let address = Entry { kind: EntryKind::Address, header: address, link: Some(eth0), attributes };
    let mut route = vec![0; 12];
    route[..8].copy_from_slice(&[2, 0, 0, 0, 254, 4, 0, 1]);
    let attributes = vec![octets(5, &[192, 0, 2, 1]), (4, Attribute::Index(eth0))];
    let route = Entry { kind: EntryKind::Route, header: route, link: None, attributes };
    let gateway = MacAddr::new([2, 0, 0, 0, 0, 1]);
    host.entries = vec![address, route, Entry::permanent_neighbour(eth0, "192.0.2.1".parse().unwrap(), gateway)];
    host.addresses.insert(eth0, ["192.0.2.2/24".parse().unwrap()].into());
    for link in ["eth0", "default", "vif1.0", "vif2.0", "vif1.0-emu"].map(name) {
        let settings = LinkSysctl::INHERITED.into_iter().chain([LinkSysctl::ADDR_GEN_MODE]);
        host.link_sysctls.extend(settings.map(|setting| (Sysctl::Link(link, setting), 0)));
        host.link_sysctls.insert(Sysctl::Link(link, LinkSysctl::ACCEPT_RA), u32::from(link != name("eth0")) + 1);
    }
    host.renames_up = true;
    host
}

fn done(host: &Snapshot, operations: &[Operation]) -> Snapshot {
    operations.iter().fold(host.clone(), |now, operation| now.after(&operation.plan(&now).unwrap()))
}

fn create(bridge: &str) -> Operation {
    Operation::CreateBridge(Bridge::new(name(bridge)).address("10.98.98.1/24".parse().unwrap()))
}

fn attach(vif: &str, last: u8) -> Attachment {
    Attachment::bridged(name(vif), name("xenbr0"), lock(last))
}

#[test]
fn an_attach_filters_first_and_goes_up_last() {
    let before = done(&host(), &[create("xenbr0")]);
    let plan = Operation::AttachVif(attach("vif1.0", 2).rename(name("web")).isolated(true)).plan(&before).unwrap();
    insta::assert_snapshot!(plan, @r#"
    ~ vif1.0: name vif1.0 -> web
    + table bridge xenvnet
    + table inet xenvnet
    + web: locked mac=00:16:3e:00:00:02 ip=10.98.98.2
    ~ web: mac 02:00:00:00:00:03 -> fe:ff:ff:ff:ff:ff, group 0 -> 7777, ipv6 link-local on -> off, alias "" -> "vif1.0"
    + web: port of xenbr0, learning off, locked on, flood off, isolated on, group_fwd_mask 0xfffd, fdb 00:16:3e:00:00:02 static sticky
    ? web: read back as a port of xenbr0, learning off, locked on, flood off, isolated on, group_fwd_mask 0xfffd
    ~ web: up
    "#);
    insta::assert_snapshot!(plan.inverse(), @r#"
    ~ web: down
    - web: port of xenbr0
    ~ web: mac fe:ff:ff:ff:ff:ff -> 02:00:00:00:00:03, group 7777 -> 0, ipv6 link-local off -> on, alias "vif1.0" -> ""
    - web: locked mac=00:16:3e:00:00:02 ip=10.98.98.2
    - table inet xenvnet
    - table bridge xenvnet
    ~ web: name web -> vif1.0
    "#);
}

#[test]
fn a_vif_that_is_up_goes_down_before_it_is_touched() {
    let mut before = done(&host(), &[create("xenbr0")]);
    before.links.get_mut(&name("vif1.0")).unwrap().up = true;
    let plan = Operation::AttachVif(attach("vif1.0", 2)).plan(&before).unwrap();
    assert_eq!(plan.steps()[0].to_string(), "~ vif1.0: down");
    assert_eq!(plan.steps().last().unwrap().to_string(), "~ vif1.0: up");
}

#[test]
fn a_lock_changes_by_its_difference_and_without_a_pause() {
    let before = done(&host(), &[create("xenbr0"), Operation::AttachVif(attach("vif1.0", 2))]);
    let change = Operation::SetAntispoof { vif: name("vif1.0"), lock: lock(9).into() };
    insta::assert_snapshot!(change.plan(&before).unwrap(), @r"
    ~ vif1.0: locked mac=00:16:3e:00:00:02 ip=10.98.98.2 -> locked mac=00:16:3e:00:00:09 ip=10.98.98.9
    + vif1.0: fdb 00:16:3e:00:00:09 static sticky
    - vif1.0: fdb 00:16:3e:00:00:02 static sticky
    ");
    let clear = Operation::ClearAntispoof { vif: name("vif1.0") };
    insta::assert_snapshot!(clear.plan(&before).unwrap(), @r"
    ~ vif1.0: learning off, locked on, flood off, isolated off, group_fwd_mask 0xfffd -> learning on, locked off, flood on, isolated off, group_fwd_mask 0xfffd
    - vif1.0: fdb 00:16:3e:00:00:02 static sticky
    ~ vif1.0: group 7777 -> 0
    - vif1.0: locked mac=00:16:3e:00:00:02 ip=10.98.98.2
    ");
}

#[test]
fn a_brouter_starts_and_stops_in_opposite_orders() {
    let network: Network = Brouter::new(name("xenbr0"), "10.98.98.1/24".parse().unwrap()).into();
    let start = Operation::StartNetwork(network.clone()).plan(&host()).unwrap();
    insta::assert_snapshot!(start, @r"
    + table inet xenvnet
    + network network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24
    + bridge xenbr0 mac 2e:62:ac:1b:62:94 mtu 1500 stp off forward_delay 0
    ~ xenbr0: up
    + xenbr0: address 10.98.98.1/24
    + masquerade 10.98.98.0/24
    ~ sysctl net.ipv4.ip_forward: 0 -> 1
    ");
    let running = host().after(&start);
    insta::assert_snapshot!(Operation::StopNetwork(network).plan(&running).unwrap(), @r"
    - xenbr0: address 10.98.98.1/24
    ~ xenbr0: down
    - bridge xenbr0
    - masquerade 10.98.98.0/24
    ~ sysctl net.ipv4.ip_forward: 1 -> 0
    - network network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24
    - table inet xenvnet
    ");
}

#[test]
fn forwarding_is_put_back_by_the_last_network_whichever_that_is() {
    let networks = ["network-virtual bridge=a bridgeip=10.1.0.1/24", "network-virtual bridge=b bridgeip=10.2.0.1/24"]
        .map(|line| line.parse::<Network>().unwrap());
    for (first, last) in [(0, 1), (1, 0)] {
        let started = done(&host(), &networks.clone().map(Operation::StartNetwork));
        let one = done(&started, &[Operation::StopNetwork(networks[first].clone())]);
        assert_eq!(one.sysctls[&Sysctl::Ip4Forward], 1);
        let none = done(&one, &[Operation::StopNetwork(networks[last].clone())]);
        assert_eq!(none.sysctls[&Sysctl::Ip4Forward], 0);
        assert_eq!(none, host());
    }
    // Who had it on before keeps it on.
    let mut forwarding = host();
    forwarding.sysctls.insert(Sysctl::Ip4Forward, 1);
    let [network, _] = networks;
    let stopped = done(&forwarding, &[Operation::StartNetwork(network.clone()), Operation::StopNetwork(network)]);
    assert_eq!(stopped, forwarding);
}

#[test]
fn a_lock_of_a_former_interface_of_the_same_name_does_not_hold_for_a_new_one() {
    let mut before = done(&host(), &[create("xenbr0")]);
    before.tables.insert(Table::Bridge, LAYOUT);
    before.guards.insert(name("vif1.0"), Guard::new(77, lock(9).into()));
    assert!(before.guard_of(name("vif1.0")).is_none());
    let plan = Operation::AttachVif(attach("vif1.0", 2)).plan(&before).unwrap().to_string();
    assert!(
        plan.contains("~ vif1.0: locked mac=00:16:3e:00:00:09 ip=10.98.98.9 -> locked mac=00:16:3e:00:00:02"),
        "{plan}"
    );
    // The same lock, but made for the one before: written anew all the same.
    before.guards.insert(name("vif1.0"), Guard::new(77, lock(2).into()));
    let plan = Operation::AttachVif(attach("vif1.0", 2)).plan(&before).unwrap();
    assert!(plan.steps().iter().any(|step| matches!(step, crate::Step::SetGuard { .. })));
}

#[test]
fn a_deleted_bridge_leaves_no_guest_up() {
    let attached = done(&host(), &[create("xenbr0"), Operation::AttachVif(attach("vif1.0", 2))]);
    let deleted = done(&attached, &[Operation::DeleteBridge { bridge: name("xenbr0") }]);
    assert!(!deleted.links[&name("vif1.0")].up);
    assert_eq!(deleted.links[&name("vif1.0")].master, None);
}

#[test]
fn an_old_kernel_is_not_asked_for_a_port_lock() {
    let mut before =
        done(&host(), &[create("xenbr0"), Operation::EnslaveVif { vif: name("vif1.0"), bridge: name("xenbr0") }]);
    before.links.get_mut(&name("vif1.0")).unwrap().port = Some(PortState { locked: None, ..PortState::default() });
    let set = Operation::SetAntispoof { vif: name("vif1.0"), lock: lock(2).into() };
    assert!(set.plan(&before).unwrap().to_string().contains(
        "learning on, flood on, isolated off -> learning off, flood off, isolated off, group_fwd_mask 0xfffd"
    ));
}

#[test]
fn contradictions_are_refused_in_words() {
    let bridged = done(&host(), &[create("xenbr0"), create("xenbr1")]);
    let attached = done(&bridged, &[Operation::AttachVif(attach("vif1.0", 2))]);
    let antispoof = done(&host(), &[Operation::StartNetwork("network-virtual antispoof=yes".parse().unwrap())]);
    let unlocked = Attachment::bridged(name("vif1.0"), name("xenbr0"), Lock::Unlocked);
    let mut standby = attach("vif1.0", 2);
    standby.presence = Presence::Standby;
    let mut blind = host();
    blind.sysctls.clear();
    let routed = done(&uplinked(), &[Operation::StartNetwork("network-route netdev=eth0".parse().unwrap())]);
    let cases = [
        (
            &uplinked(),
            Operation::AttachVif(Attachment::bridged(name("eth0"), name("xenbr0"), Lock::Unlocked)),
            ErrorKind::Conflict,
            "cannot attach eth0 to xenbr0: dom0 has the address 192.0.2.2/24 on eth0",
        ),
        (
            &routed,
            Operation::AttachVif(Attachment::routed(name("eth0"), Lock::Unlocked)),
            ErrorKind::Conflict,
            "cannot attach eth0 to dom0's routes: the routed network of eth0 leads outside by eth0",
        ),
        (
            &bridged,
            Operation::AttachVif(standby),
            ErrorKind::Unsupported,
            "cannot attach vif1.0 to xenbr0: this version attaches guests that run here, not guests that are about to move here",
        ),
        (
            &blind,
            Operation::StartNetwork("network-virtual".parse().unwrap()),
            ErrorKind::Unsupported,
            "cannot start the network of xenbr0: net.ipv4.ip_forward cannot be read",
        ),
        (
            &host(),
            Operation::AttachVif(attach("vif1.0", 2)),
            ErrorKind::NotFound,
            "cannot attach vif1.0 to xenbr0: no interface named xenbr0",
        ),
        (
            &bridged,
            Operation::AttachVif(attach("vif3.0", 2)),
            ErrorKind::NotFound,
            "cannot attach vif3.0 to xenbr0: no interface named vif3.0",
        ),
        (
            &bridged,
            Operation::AttachVif(attach("vif1.0", 2).rename(name("eth0"))),
            ErrorKind::AlreadyExists,
            "cannot attach vif1.0 to xenbr0: the name eth0 is taken by another interface",
        ),
        (
            &bridged,
            Operation::AttachVif(attach("vif1.0", 2).rename(name("vif9.0"))),
            ErrorKind::InvalidArgument,
            "cannot attach vif1.0 to xenbr0: the name vif9.0 is that of another guest's interface",
        ),
        (
            &antispoof,
            Operation::AttachVif(unlocked),
            ErrorKind::InvalidArgument,
            "cannot attach vif1.0 to xenbr0: the network of xenbr0 has antispoof=yes",
        ),
        (
            &bridged,
            Operation::EnslaveVif { vif: name("vif1.0"), bridge: name("eth0") },
            ErrorKind::InvalidArgument,
            "cannot enslave vif1.0 to eth0: eth0 is no bridge",
        ),
        (
            &attached,
            Operation::EnslaveVif { vif: name("vif1.0"), bridge: name("xenbr1") },
            ErrorKind::Conflict,
            "cannot enslave vif1.0 to xenbr1: vif1.0 is a port of xenbr0",
        ),
        (
            &bridged,
            Operation::EnslaveVif { vif: name("xenbr0"), bridge: name("xenbr1") },
            ErrorKind::InvalidArgument,
            "cannot enslave xenbr0 to xenbr1: xenbr0 is a bridge itself",
        ),
        (
            &host(),
            create("eth0"),
            ErrorKind::AlreadyExists,
            "cannot create bridge eth0: an interface of that name is there already, and it is no bridge",
        ),
        (
            &host(),
            Operation::DeleteBridge { bridge: name("eth0") },
            ErrorKind::InvalidArgument,
            "cannot delete bridge eth0: eth0 is no bridge",
        ),
        (
            &bridged,
            Operation::StartNetwork("network-virtual".parse().unwrap()),
            ErrorKind::AlreadyExists,
            "cannot start the network of xenbr0: an interface named xenbr0 is there already and belongs to no network",
        ),
        (
            &antispoof,
            Operation::StartNetwork("network-virtual".parse().unwrap()),
            ErrorKind::Conflict,
            "cannot start the network of xenbr0: another one runs there: network-virtual bridge=xenbr0 bridgeip=10.6.7.1/24 brnet=10.6.7.0/24 antispoof=yes",
        ),
        (
            &host(),
            Operation::SetAntispoof {
                vif: name("vif1.0"),
                lock: Antispoof::new(MacAddr::new([1, 0, 0, 0, 0, 1])).into(),
            },
            ErrorKind::InvalidArgument,
            "cannot set antispoof on vif1.0: 01:00:00:00:00:01 is no unicast MAC address; no guest can have it",
        ),
    ];
    for (before, operation, kind, words) in cases {
        let error = operation.plan(before).unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (kind, words));
    }
}

pub(crate) fn operations() -> impl Strategy<Value = Operation> {
    let vifs =
        || proptest::sample::select(vec!["vif1.0", "vif1.0-emu", "vif2.0", "eth0", "web", "gone"]).prop_map(name);
    let accesses = || {
        let settings = vec!["open", "closed", "services(dns,icmp)"];
        proptest::sample::select(settings).prop_map(|text| text.parse::<Dom0>().unwrap())
    };
    let bridges = || proptest::sample::select(vec!["xenbr0", "xenbr1", "eth0"]).prop_map(name);
    let locks = || {
        prop_oneof![
            (1..4u8).prop_map(|last| Lock::from(lock(last).dhcp_client(last == 2))),
            Just(Lock::Disabled),
            Just(Lock::Unlocked)
        ]
    };
    let masquerades = || {
        proptest::sample::select(vec!["10.98.98.0/24", "10.0.0.0/8 via eth0", "fd00::/64"])
            .prop_map(|text| text.parse::<Masquerade>().unwrap())
    };
    let forwards = || {
        let forwards =
            vec!["tcp:80 to 10.98.98.2:80", "tcp:80 to 10.98.98.3:80", "udp:53 to [fd00::2]:53 behind xenbr0"];
        proptest::sample::select(forwards).prop_map(|text| text.parse::<Forward>().unwrap())
    };
    let lines = || {
        let lines = vec![
            "network-virtual",
            "network-virtual antispoof=yes",
            "network-virtual dom0=services(dhcp)",
            "network-virtual vifnum=1 bridgeip=fd00::1/64",
            "network-virtual vifnum=1 bridgeip=10.1.1.1/32 brnet=10.1.0.0/16",
            "network-bridge",
            "network-bridge netdev=eth0 bridge=xenbr0",
            "network-bridge bridge=xenbr1 antispoof=yes",
            "network-bridge vifnum=1 netdev=dummy0",
            "bridge-shadow eth0",
            "network-route",
            "network-route netdev=eth0 ipv6=yes antispoof=yes",
            "network-nat",
            "network-nat netdev=eth0 subnet=10.98.98.0/24,fd00:5::/64",
            "network-bridge-additional bridge=xenbr0 netdev=vif2.0",
            "network-bridge bridge=null",
        ];
        proptest::sample::select(lines).prop_map(|line| line.parse::<Network>().unwrap())
    };
    prop_oneof![
        (bridges(), any::<bool>(), proptest::option::of(1400..1600u32)).prop_map(|(name, stp, mtu)| {
            let bridge = Bridge::new(name).stp(stp).address("10.98.98.1/24".parse().unwrap());
            Operation::CreateBridge(mtu.map_or(bridge.clone(), |mtu| bridge.mtu(mtu)))
        }),
        bridges().prop_map(|bridge| Operation::DeleteBridge { bridge }),
        (vifs(), bridges()).prop_map(|(vif, bridge)| Operation::EnslaveVif { vif, bridge }),
        vifs().prop_map(|vif| Operation::ReleaseVif { vif }),
        (vifs(), locks()).prop_map(|(vif, lock)| Operation::SetAntispoof { vif, lock }),
        vifs().prop_map(|vif| Operation::ClearAntispoof { vif }),
        masquerades().prop_map(Operation::MasqueradeSubnet),
        masquerades().prop_map(Operation::UnmasqueradeSubnet),
        (vifs(), bridges(), locks(), any::<[bool; 3]>(), proptest::option::of(Just(name("web")))).prop_map(
            |(vif, bridge, lock, [isolated, untracked, accounted], rename)| {
                let attachment = Attachment::bridged(vif, bridge, lock).isolated(isolated).untracked(untracked);
                let attachment = attachment.accounted(accounted);
                Operation::AttachVif(rename.map_or(attachment.clone(), |name| attachment.rename(name)))
            }
        ),
        (vifs(), locks(), any::<[bool; 2]>(), proptest::option::of(Just(name("web"))), accesses()).prop_map(
            |(vif, lock, [gateway, accounted], rename, access)| {
                let attachment = Attachment::routed(vif, lock).dom0(access).accounted(accounted);
                let attachment = if gateway { attachment.gateway("10.98.98.1".parse().unwrap()) } else { attachment };
                Operation::AttachVif(rename.map_or(attachment.clone(), |name| attachment.rename(name)))
            }
        ),
        vifs().prop_map(|vif| Operation::DetachVif { vif }),
        vifs().prop_map(|name| Operation::ForgetAccount { name }),
        forwards().prop_map(Operation::ForwardPort),
        forwards().prop_map(|forward| Operation::UnforwardPort { port: forward.port }),
        (bridges(), accesses()).prop_map(|(interface, access)| Operation::SetDom0 { interface, access }),
        lines().prop_map(Operation::StartNetwork),
        lines().prop_map(Operation::StopNetwork),
    ]
}

/// What two snapshots have in common when one was put back to the other: a bridge that is made
/// again has another index.
fn alike(mut snapshot: Snapshot) -> Snapshot {
    snapshot.links.values_mut().filter(|link| link.is_bridge()).for_each(|link| link.index = 0);
    snapshot.entries.sort_by_key(|entry| (entry.to_string(), format!("{entry:?}")));
    // What the settings of a bridge were nobody asks when it is gone.
    let gone = |link: &IfName| link.as_str() != "default" && !snapshot.links.contains_key(link);
    snapshot.link_sysctls.retain(|sysctl, _| !matches!(sysctl, Sysctl::Link(link, _) if gone(link)));
    snapshot
}

/// Which go down with it, and nobody knows what is on them.
#[test]
fn a_card_with_vlans_is_not_renamed_where_it_has_to_be_down() {
    let start = Operation::StartNetwork("network-bridge netdev=eth0".parse().unwrap());
    let vlans = BTreeMap::from([(name("eth0.7"), name("eth0"))]);
    let mut stacked = Snapshot { vlans, ..uplinked() };
    stacked.links.entry(name("eth0")).and_modify(|card| card.up = true);
    let running = stacked.after(&start.plan(&stacked).unwrap());
    let old = |host: &Snapshot| Snapshot { renames_up: false, ..host.clone() };
    let stop = Operation::StopNetwork("network-bridge netdev=eth0".parse().unwrap());
    for (operation, host) in [(start, old(&stacked)), (stop, old(&running))] {
        let error = operation.plan(&host).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{operation}: {error}");
        assert!(error.to_string().contains("what is on eth0.7 would be lost"), "{operation}: {error}");
        let without = Snapshot { vlans: BTreeMap::new(), ..host };
        assert!(operation.plan(&without).is_ok(), "{operation}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]
    #[test]
    fn a_plan_brings_its_operation_about_and_its_inverse_puts_it_back(
        past in proptest::collection::vec(operations(), 0..8),
        operation in operations(),
        renames_up in any::<bool>(),
    ) {
        let host = Snapshot { renames_up, ..uplinked() };
        // Whatever was done before, refused or not.
        let before = past.iter().fold(host, |now, operation| match operation.plan(&now) {
            Ok(plan) => now.after(&plan),
            Err(_) => now,
        });
        if let Ok(plan) = operation.plan(&before) {
            let after = before.after(&plan);
            let again = operation.plan(&after);
            prop_assert!(again.as_ref().is_ok_and(Plan::is_empty), "{plan}then\n{again:?}");
            prop_assert_eq!(alike(after.after(&plan.inverse())), alike(before.clone()), "{}", plan);
            // On a host that nobody else touched there is nothing in the way, and from where it leads nothing to do.
            let numbers = before.links.values().map(|link| (link.name, link.index)).collect();
            let back = retrace(&plan.inverse(), &numbers, &after);
            prop_assert!(back.is_ok(), "{plan}then\n{back:?}");
            let back = after.after(&back.unwrap());
            prop_assert_eq!(alike(back.clone()), alike(before.clone()), "{}", plan);
            let json = serde_json::to_string(&plan).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Plan>(&json).unwrap(), &plan);
            // Nobody that is to be held back is ever up without its lock.
            for link in after.links.values().filter(|link| link.up && link.group == VIF_GROUP) {
                let held = match link.port {
                    Some(port) if port.learning => after.is_paired(link.name) && after.hooks.contains(&link.name),
                    Some(_) => after.guard_at(Table::Bridge, link.name).is_some(),
                    None => after.guard_at(Table::Netdev, link.name).is_some() && after.hooks.contains(&link.name),
                };
                prop_assert!(held, "{} is up without a lock\n{}", link.name, plan);
            }
        }
        let json = serde_json::to_string(&operation).unwrap();
        prop_assert_eq!(serde_json::from_str::<Operation>(&json).unwrap(), operation);
        let json = serde_json::to_string(&before).unwrap();
        prop_assert_eq!(serde_json::to_string(&serde_json::from_str::<Snapshot>(&json).unwrap()).unwrap(), json);
    }

    #[test]
    fn the_plan_of_several_leads_where_their_plans_lead_one_after_the_other(
        all in prop_oneof![
            proptest::collection::vec(operations(), 0..6),
            // Those of vifs alone travel together, in another order.
            proptest::sample::subsequence(vec!["vif1.0", "vif1.0-emu", "vif2.0"], 0..=3).prop_flat_map(|vifs| {
                let attach = |vif: &str, last| Operation::AttachVif(attach(vif, last).rename(name(&format!("web{last}"))));
                let all: Vec<_> = vifs.into_iter().zip(1..).map(|(vif, last)| attach(vif, last)).collect();
                Just(all).prop_shuffle()
            }),
        ],
        renames_up in any::<bool>(),
    ) {
        let before = done(&Snapshot { renames_up, ..uplinked() }, &[create("xenbr0")]);
        let (mut after, mut steps, mut possible) = (before.clone(), Plan::default(), Vec::new());
        for operation in all {
            if let Ok(plan) = operation.plan(&after) {
                after = after.after(&plan);
                steps = steps.then(plan);
                possible.push(operation);
            }
        }
        let plan = Operation::plan_all(&possible, &before).unwrap();
        prop_assert_eq!(before.after(&plan), after.clone(), "{}or\n{}", plan, steps);
        // A bridge that is made anew has the settings of a new one, whatever it had before.
        let without_settings = |host: Snapshot| Snapshot { link_sysctls: BTreeMap::new(), ..alike(host) };
        let back = after.after(&plan.inverse());
        prop_assert_eq!(without_settings(back), without_settings(before), "{}", plan);
        let attaches = possible.iter().all(|operation| matches!(operation, Operation::AttachVif(_)));
        // What is set twice is set once.
        prop_assert!(attaches || plan == crate::dom0::settled(steps.clone()), "{plan}is not\n{steps}");
    }
}

#[test]
fn every_verb_is_among_those_that_are_tried() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let verbs: BTreeSet<_> = (0..1000).map(|_| operations().new_tree(&mut runner).unwrap().current().verb()).collect();
    assert_eq!(verbs, Operation::VERBS.iter().copied().collect());
}
