//! The netlink edge: everything that knows a byte of the kernel's protocols.
//!
//! Requests of rtnetlink are built with `rtnetlink`'s and `netlink-packet-route`'s types; requests
//! of nf_tables and all replies go through [`attributes`], a writer and a reader of our own.
//! Replies are read tolerantly: one interface with an attribute that nobody has heard of must not
//! make a host unreadable.

pub(crate) mod address;
pub(crate) mod attributes;
pub(crate) mod channel;
pub(crate) mod conntrack;
pub(crate) mod entry;
#[cfg(feature = "testing")]
mod faulting;
pub(crate) mod link;
pub(crate) mod neighbour;
pub(crate) mod nf;
pub(crate) mod route;
#[cfg_attr(not(feature = "testing"), allow(unreachable_pub, reason = "public under the feature"))]
pub mod transport;

use nix::libc;

/// One message that asks something of the kernel. `NLM_F_REQUEST` goes without saying.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// Sent by itself: the kernel goes on with a datagram after one of its messages failed, and what
    /// comes next would do something else then.
    pub(crate) fn alone(self) -> Request {
        Request { flags: self.flags | ALONE, ..self }
    }

    pub(crate) fn is_alone(&self) -> bool {
        self.flags & ALONE != 0
    }

    pub(crate) fn kernel_flags(&self) -> u16 {
        self.flags & !ALONE
    }
}

/// A mark of ours among the flags, which the kernel does not get to see (the highest that
/// linux/netlink.h has is 0x0800).
const ALONE: u16 = 0x8000;

impl Request {
    /// A request of rtnetlink, from the types of `netlink-packet-route`.
    pub(crate) fn route(message: netlink_packet_route::RouteNetlinkMessage, flags: u16) -> Request {
        use netlink_packet_core::NetlinkSerializable;
        let mut body = vec![0; message.buffer_len()];
        message.serialize(&mut body);
        Request { kind: message.message_type(), flags, body }
    }
}

pub(crate) const CREATE: u16 = (libc::NLM_F_CREATE) as u16;
pub(crate) const CREATE_NEW: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
pub(crate) const DUMP: u16 = libc::NLM_F_DUMP as u16;
