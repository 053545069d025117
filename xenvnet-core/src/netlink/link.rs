//! Links: requests that change them, and what the kernel says of them (linux/if_link.h).

use super::attributes::{Reader, Writer};
use super::{CREATE_NEW, Request};
use crate::ifname::IfName;
use crate::link::LinkSettings;
use crate::link::{BridgeState, Link, PortState};
use crate::mac::MacAddr;
use netlink_packet_core::DefaultNla;
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, BridgeStpState, In6AddrGenMode, InfoBridge, InfoBridgePort, InfoData, InfoKind,
    InfoPortData, InfoPortKind, LinkAttribute, LinkMessage,
};
use nix::libc;
use rtnetlink::{LinkBridge, LinkMessageBuilder, LinkUnspec};

/// Family, padding, type, index, flags, mask: struct ifinfomsg.
const HEADER: usize = 16;
const NEWLINK: u16 = libc::RTM_NEWLINK;
const GETLINK: u16 = libc::RTM_GETLINK;

/// What is there under a name.
pub(crate) fn get(name: IfName) -> Request {
    let mut body = Writer::after(&[0; HEADER]);
    body.text(libc::IFLA_IFNAME, name.as_str());
    Request { kind: GETLINK, flags: 0, body: body.finish() }
}

/// What is there under an index.
pub(crate) fn get_index(index: u32) -> Request {
    let mut header = [0; HEADER];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    Request { kind: GETLINK, flags: 0, body: header.to_vec() }
}

/// To be dumped: all links, or the ports of one bridge.
pub(crate) fn all(ports_of: Option<u32>) -> Request {
    let mut body = Writer::after(&[0; HEADER]);
    if let Some(bridge) = ports_of {
        body.bytes(libc::IFLA_MASTER, &bridge.to_ne_bytes());
    }
    Request { kind: GETLINK, flags: 0, body: body.finish() }
}

/// A link as the kernel numbers it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) link: Link,
    /// The index of what it is a port of.
    pub(crate) master: Option<u32>,
    /// Whether its bridge forwards nothing from or to it although it has its carrier.
    pub(crate) shut: bool,
    /// The index of what it is a VLAN of.
    pub(crate) vlan_of: Option<u32>,
    /// The index of what it is on: a VLAN, a macvlan, a tunnel.
    pub(crate) above: Option<u32>,
}

/// Reads a link; `None` for one whose name this library has no type for.
pub(crate) fn parse(kind: u16, body: &[u8]) -> Option<Seen> {
    if kind != NEWLINK {
        return None;
    }
    let index = u32::from_ne_bytes(body.get(4..8)?.try_into().ok()?);
    let flags = u32::from_ne_bytes(body.get(8..12)?.try_into().ok()?);
    let attributes = Reader::after(body, HEADER);
    let name = IfName::new(attributes.find(libc::IFLA_IFNAME)?.text()?).ok()?;
    let info = attributes.nested(libc::IFLA_LINKINFO);
    let of_kind = |kind: u16| info.find(kind).and_then(|value| value.text());
    let is = |kind: u16| of_kind(kind) == Some("bridge");
    let (bridge, port) = (info.nested(INFO_DATA), info.nested(INFO_SLAVE_DATA));
    let on = |reader: Reader<'_>, kind: u16| reader.find(kind).and_then(|value| value.u8()).map(|value| value != 0);
    let inet6 = attributes.nested(libc::IFLA_AF_SPEC).nested(libc::AF_INET6 as u16);
    let link = Link {
        mac: attributes.find(libc::IFLA_ADDRESS).and_then(|value| Some(MacAddr::new(value.0.try_into().ok()?))),
        mtu: attributes.find(libc::IFLA_MTU)?.u32()?,
        up: flags & libc::IFF_UP as u32 != 0,
        group: attributes.find(libc::IFLA_GROUP).and_then(|value| value.u32()).unwrap_or(0),
        alias: attributes.find(libc::IFLA_IFALIAS).and_then(|value| value.text()).unwrap_or_default().to_owned(),
        auto_link_local: inet6.find(INET6_ADDR_GEN_MODE).and_then(|value| value.u8()).map(|mode| mode != ADDR_GEN_NONE),
        bridge: is(INFO_KIND).then(|| BridgeState {
            stp: bridge.find(BR_STP_STATE).and_then(|value| value.u32()).unwrap_or(0) != 0,
            forward_delay: bridge.find(BR_FORWARD_DELAY).and_then(|value| value.u32()).unwrap_or(0),
        }),
        port: is(INFO_SLAVE_KIND).then(|| PortState {
            learning: on(port, BRPORT_LEARNING).unwrap_or(true),
            isolated: on(port, BRPORT_ISOLATED).unwrap_or(false),
            locked: on(port, BRPORT_LOCKED),
            flood: on(port, BRPORT_UNICAST_FLOOD).unwrap_or(true),
            bpdu_guard: on(port, BRPORT_GUARD).unwrap_or(false),
            group_fwd_mask: port.find(BRPORT_GROUP_FWD_MASK).and_then(|value| value.u16()).unwrap_or(0),
        }),
        ..Link::new(index, name)
    };
    Some(Seen {
        link,
        master: attributes.find(libc::IFLA_MASTER).and_then(|value| value.u32()).filter(|index| *index != 0),
        // A carrier and no state at all: the protocol's guard shut it.
        shut: flags & libc::IFF_LOWER_UP as u32 != 0
            && port.find(BRPORT_STATE).and_then(|value| value.u8()) == Some(STATE_DISABLED),
        vlan_of: attributes
            .find(libc::IFLA_LINK)
            .filter(|_| of_kind(INFO_KIND) == Some("vlan"))
            .and_then(|value| value.u32()),
        // Of a veth it is its other end.
        above: attributes
            .find(libc::IFLA_LINK)
            .filter(|_| of_kind(INFO_KIND).is_some_and(|kind| kind != "veth"))
            .and_then(|value| value.u32()),
    })
}

/// Tells of changes of links (RTNLGRP_LINK).
pub(crate) const CHANGES: u32 = 1;

/// Whether a link has its carrier, and whether what is sent by it goes out: a link that was just set up
/// has a queue that throws all away until the kernel has seen to its carrier.
pub(crate) fn is_sending(body: &[u8]) -> (bool, bool) {
    const OPERSTATE_UP: u8 = 6;
    let attributes = Reader::after(body, HEADER);
    let octet = |kind: u16| attributes.find(kind).and_then(|value| value.u8());
    let queue = attributes.find(libc::IFLA_QDISC).and_then(|value| value.text());
    let sends = octet(libc::IFLA_OPERSTATE) == Some(OPERSTATE_UP) && queue != Some("noop");
    (octet(libc::IFLA_CARRIER) == Some(1), sends)
}

// linux/if_link.h
const INFO_KIND: u16 = 1;
const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const BR_FORWARD_DELAY: u16 = 1;
const BR_STP_STATE: u16 = 5;
const BRPORT_STATE: u16 = 1;
const BRPORT_GUARD: u16 = 5;
const BRPORT_LEARNING: u16 = 8;
const BRPORT_UNICAST_FLOOD: u16 = 9;
const BRPORT_GROUP_FWD_MASK: u16 = 31;
const BRPORT_ISOLATED: u16 = 33;
const BRPORT_LOCKED: u16 = 39;
/// BR_STATE_DISABLED in linux/if_bridge.h.
const STATE_DISABLED: u8 = 0;
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;

fn of(index: u32) -> LinkMessageBuilder<LinkUnspec> {
    LinkUnspec::new_with_index(index)
}

fn set(message: LinkMessage) -> Request {
    Request::route(RouteNetlinkMessage::SetLink(message), 0)
}

fn change(message: LinkMessage) -> Request {
    Request::route(RouteNetlinkMessage::NewLink(message), 0)
}

fn auto_link_local(on: bool) -> LinkAttribute {
    let mode = if on { In6AddrGenMode::Eui64 } else { In6AddrGenMode::None };
    LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(mode)])])
}

/// The kernel sets the delay before it starts or stops the protocol, and refuses a delay that the
/// protocol of that moment does not allow: so they go in two messages, and this is the order.
fn bridge_state(state: BridgeState) -> [InfoBridge; 2] {
    let stp = if state.stp { BridgeStpState::KernelStp } else { BridgeStpState::Disabled };
    [InfoBridge::StpState(stp), InfoBridge::ForwardDelay(state.forward_delay)]
}

/// A new bridge, down, in two messages. The kernel takes no per-family settings with a link that it
/// does not have yet; and an MTU counts as chosen only where it changes that of a link that is
/// there, otherwise the bridge follows its smallest port.
pub(crate) fn add_bridge(name: IfName, mac: MacAddr, mtu: u32, state: BridgeState, link_local: bool) -> [Request; 2] {
    let another = if mtu > 68 { mtu - 1 } else { mtu + 1 };
    let mut add = LinkBridge::new(name.as_str()).down().address(mac.octets().to_vec()).mtu(another);
    for info in bridge_state(state) {
        add = add.append_info_data(info);
    }
    let mut change = LinkUnspec::new_with_name(name.as_str()).mtu(mtu);
    if !link_local {
        change = change.append_extra_attribute(auto_link_local(false));
    }
    // Nobody else's interface of that name is changed.
    [Request::route(RouteNetlinkMessage::NewLink(add.build()), CREATE_NEW).alone(), set(change.build())]
}

pub(crate) fn delete(index: u32) -> Request {
    Request::route(RouteNetlinkMessage::DelLink(of(index).build()), 0)
}

pub(crate) fn set_bridge(index: u32, state: BridgeState) -> Vec<Request> {
    bridge_state(state)
        .into_iter()
        .map(|info| {
            let message = LinkMessageBuilder::<LinkUnspec>::new_with_info_kind(InfoKind::Bridge).index(index);
            change(message.set_info_data(InfoData::Bridge(vec![info])).build())
        })
        .collect()
}

pub(crate) fn rename(index: u32, to: IfName) -> Request {
    set(of(index).name(to.as_str()).build())
}

pub(crate) fn set_up(index: u32, up: bool) -> Request {
    set(if up { of(index).up() } else { of(index).down() }.build())
}

pub(crate) fn set_settings(index: u32, to: &LinkSettings) -> Request {
    let mut message = of(index);
    if let Some(mac) = to.mac {
        message = message.address(mac.octets().to_vec());
    }
    if let Some(mtu) = to.mtu {
        message = message.mtu(mtu);
    }
    if let Some(group) = to.group {
        message = message.link_group(group);
    }
    if let Some(on) = to.auto_link_local {
        message = message.append_extra_attribute(auto_link_local(on));
    }
    match to.alias.as_deref() {
        None => {}
        // Only a value of no length at all takes an alias away.
        Some("") => {
            message =
                message.append_extra_attribute(LinkAttribute::Other(DefaultNla::new(libc::IFLA_IFALIAS, Vec::new())));
        }
        Some(alias) => message = message.alias(alias),
    }
    set(message.build())
}

pub(crate) fn set_master(index: u32, bridge: Option<u32>) -> Request {
    set(of(index).controller(bridge.unwrap_or(0)).build())
}

/// The kernel refuses port flags in the message that enslaves. A port that is to learn no more forgets
/// what it has learned: an address that is at it would pass its lock.
pub(crate) fn set_port(index: u32, to: PortState, forget: bool) -> Request {
    let mut flags = vec![
        InfoBridgePort::Learning(to.learning),
        InfoBridgePort::UnicastFlood(to.flood),
        InfoBridgePort::Isolated(to.isolated),
        InfoBridgePort::Guard(to.bpdu_guard),
        InfoBridgePort::GroupFwdMask(to.group_fwd_mask),
    ];
    flags.extend(to.locked.map(InfoBridgePort::Locked));
    flags.extend(forget.then_some(InfoBridgePort::Flush));
    let message = of(index).set_port_kind(InfoPortKind::Bridge).set_port_data(InfoPortData::BridgePort(flags));
    change(message.build())
}
