//! Whether anything was changed: not by asking what is, but by what the kernel announces.

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket,
    sockopt,
};
use nix::sys::time::TimeVal;
use std::os::fd::{AsRawFd, OwnedFd};

/// Counts changes of the calling thread's namespace: the generation of its nf_tables ruleset,
/// which every committed batch raises, and the announcements of the route socket.
#[derive(Debug)]
pub struct Witness {
    announcements: OwnedFd,
    generation: u32,
}

// linux/rtnetlink.h: groups as bits of the old-style mask.
const RTMGRP_LINK: u32 = 1;
const RTMGRP_NEIGH: u32 = 4;
const RTMGRP_IPV4_IFADDR: u32 = 0x10;
const RTMGRP_IPV4_ROUTE: u32 = 0x40;
const RTMGRP_IPV6_IFADDR: u32 = 0x100;
const RTMGRP_IPV6_ROUTE: u32 = 0x400;
/// Those without a name of the old style: RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_NEXTHOP.
const RULES_AND_NEXT_HOPS: u32 = 1 << 7 | 1 << 18 | 1 << 31;

impl Witness {
    /// From now on.
    pub fn start() -> Witness {
        let announcements = netlink(SockProtocol::NetlinkRoute);
        let groups = RTMGRP_LINK
            | RTMGRP_NEIGH
            | RTMGRP_IPV4_IFADDR
            | RTMGRP_IPV4_ROUTE
            | RTMGRP_IPV6_IFADDR
            | RTMGRP_IPV6_ROUTE
            | RULES_AND_NEXT_HOPS;
        bind(announcements.as_raw_fd(), &NetlinkAddr::new(0, groups)).expect("subscribe to announcements");
        Witness { announcements, generation: nft_generation() }
    }

    /// Committed nf_tables batches since the start.
    pub fn nft_batches(&self) -> u32 {
        nft_generation().wrapping_sub(self.generation)
    }

    /// Announced changes of links, addresses, routes, rules, next hops and neighbours since the last look. Some come
    /// late or by themselves (a carrier, a neighbour that ages).
    pub fn announcements(&self) -> usize {
        let mut buffer = [0; 16384];
        let mut count = 0;
        while recv(self.announcements.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT).is_ok_and(|n| n > 0) {
            count += 1;
        }
        count
    }

    /// Whether nothing at all was changed since the last look: no batch was committed, nothing was
    /// announced, and no announcement was lost.
    pub fn nothing_since(&mut self) -> bool {
        let generation = nft_generation();
        let mut is_nothing = std::mem::replace(&mut self.generation, generation) == generation;
        let mut buffer = [0; 16384];
        loop {
            match recv(self.announcements.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Err(Errno::EAGAIN) => return is_nothing,
                _ => is_nothing = false,
            }
        }
    }

    /// Whether something that is asked for again changes nothing. It is tried three times: what
    /// the kernel announces by itself does not come at each of them.
    pub fn silent(mut again: impl FnMut()) -> bool {
        (0..3).any(|_| {
            let witness = Witness::start();
            again();
            witness.nft_batches() == 0 && witness.announcements() == 0
        })
    }
}

pub(crate) fn netlink(protocol: SockProtocol) -> OwnedFd {
    socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol).expect("a netlink socket")
}

/// The number of the namespace's ruleset, raised by each committed batch.
fn nft_generation() -> u32 {
    // nlmsghdr (length 20, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETGEN, NLM_F_REQUEST), nfgenmsg.
    let mut request = Vec::new();
    request.extend(20u32.to_ne_bytes());
    request.extend((10u16 << 8 | 16).to_ne_bytes());
    request.extend(1u16.to_ne_bytes());
    request.extend([0; 12]);
    let netfilter = netlink(SockProtocol::NetlinkNetFilter);
    setsockopt(&netfilter, sockopt::ReceiveTimeout, &TimeVal::new(5, 0)).expect("a deadline");
    bind(netfilter.as_raw_fd(), &NetlinkAddr::new(0, 0)).expect("bind");
    send(netfilter.as_raw_fd(), &request, MsgFlags::empty()).expect("ask for the generation");
    let mut reply = [0; 4096];
    let length = recv(netfilter.as_raw_fd(), &mut reply, MsgFlags::empty()).expect("the generation");
    let kind = u16::from_ne_bytes([reply[4], reply[5]]);
    assert_eq!(kind & 0xff, 15, "NFT_MSG_NEWGEN is the answer");
    // The attribute NFTA_GEN_ID is the first: length, type 1, big-endian number.
    assert!(length >= 28 && reply[22] == 1);
    u32::from_be_bytes([reply[24], reply[25], reply[26], reply[27]])
}
