//! What bridges learn.

use crate::witness::netlink;
use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, NetlinkAddr, SockProtocol, bind, recv};
use std::os::fd::{AsRawFd, OwnedFd};
use xenvnet_core::MacAddr;

/// Hears of each address that a bridge of the calling thread's namespace learns, however soon it
/// forgets it again.
#[derive(Debug)]
pub struct Learning(OwnedFd);

// linux/rtnetlink.h, linux/neighbour.h
const RTMGRP_NEIGH: u32 = 4;
const RTM_NEWNEIGH: u16 = 28;
const AF_BRIDGE: u8 = 7;
const NUD_NOARP: u16 = 0x40;
const NUD_PERMANENT: u16 = 0x80;
const NDA_LLADDR: u16 = 2;

impl Learning {
    /// From now on.
    pub fn watch() -> Learning {
        let announcements = netlink(SockProtocol::NetlinkRoute);
        bind(announcements.as_raw_fd(), &NetlinkAddr::new(0, RTMGRP_NEIGH)).expect("subscribe to announcements");
        Learning(announcements)
    }

    /// What was learned since the last look, an address each time; what is pinned is not learned.
    ///
    /// # Panics
    /// When it looks too seldom, and something was missed.
    pub fn since(&self) -> Vec<MacAddr> {
        let mut learned = Vec::new();
        let mut buffer = [0; 16384];
        loop {
            match recv(self.0.as_raw_fd(), &mut buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => learned.extend(read(&buffer[..length])),
                Err(Errno::EAGAIN) => return learned,
                Err(errno) => panic!("what a bridge learned: {errno}"),
            }
        }
    }
}

/// The address that an announcement says was learned.
fn read(announcement: &[u8]) -> Option<MacAddr> {
    // struct nlmsghdr of 16 octets, its type at 4; struct ndmsg of 12, its family at 0 and its
    // state at 8; then attributes.
    let (head, attributes) = announcement.split_at_checked(28)?;
    let learned = word(head, 4) == RTM_NEWNEIGH && head[16] == AF_BRIDGE;
    let pinned = word(head, 24) & (NUD_NOARP | NUD_PERMANENT) != 0;
    if learned && !pinned { address(attributes) } else { None }
}

fn address(mut attributes: &[u8]) -> Option<MacAddr> {
    while attributes.len() >= 4 {
        let length = usize::from(word(attributes, 0)).max(4);
        if word(attributes, 2) == NDA_LLADDR {
            return Some(MacAddr::new(attributes.get(4..length)?.try_into().ok()?));
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
    None
}

fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}
