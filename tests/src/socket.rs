//! Sockets in namespaces: raw ones for frames, plain ones for what a guest would really do.

use crate::netns::Namespace;
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, bind, recv, send, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeVal, TimeValLike};
use nix::{libc, setsockopt_impl, sockopt_impl};
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// A packet socket on one interface: sends frames as they are, hears all that come in by it.
#[derive(Debug)]
pub struct RawSocket(OwnedFd);

impl RawSocket {
    /// On an interface of the calling thread's namespace, of which the socket then stays.
    ///
    /// # Panics
    /// When there is no such interface.
    pub fn on(interface: &str) -> RawSocket {
        let fd = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll)
            .expect("a packet socket");
        let address = address_of(interface).unwrap_or_else(|| panic!("no interface named {interface}"));
        bind(fd.as_raw_fd(), &address).expect("bind to an interface");
        // A matrix of frames between two looks must fit.
        setsockopt(&fd, sockopt::RcvBuf, &(4 << 20)).expect("a large buffer");
        RawSocket(fd)
    }

    /// The same, past the queue in front of its interface. The kernel takes that queue away with
    /// the carrier and gives it back some time after; past it, a frame is on its way at the very
    /// moment at which the other end goes up, and what was not is known to be lost.
    pub fn unqueued(self) -> RawSocket {
        setsockopt(&self.0, QdiscBypass, &true).expect("a way past the queue");
        self
    }

    /// Sends a frame as it is, or loses it when the interface is down.
    ///
    /// # Panics
    /// When the kernel does not take it for another reason.
    pub fn send(&self, frame: &[u8]) {
        self.offer(frame);
    }

    /// Sends a frame as it is, and says whether the interface took it.
    ///
    /// # Panics
    /// When the kernel does not take it, except that the interface is down or full.
    pub fn offer(&self, frame: &[u8]) -> bool {
        let sent = if frame.len() < PAGED { self.put(frame) } else { self.put_in_pages(frame) };
        match sent {
            Ok(sent) => sent >= frame.len(),
            Err(Errno::ENETDOWN | Errno::ENXIO | Errno::ENOBUFS) => false,
            Err(errno) => panic!("a frame of {} bytes: {errno}", frame.len()),
        }
    }

    fn put(&self, octets: &[u8]) -> nix::Result<usize> {
        send(self.0.as_raw_fd(), octets, MsgFlags::empty())
    }

    /// A frame that is spread over pages, its headers together as netback has them of every guest.
    /// Left to itself a packet socket keeps nothing but the Ethernet header out of the pages, and then
    /// ipv6_find_hdr (net/ipv6/exthdrs_core.c) takes for the IPv6 header what that memory held before:
    /// to nft one in a hundred of such frames is of another protocol.
    fn put_in_pages(&self, frame: &[u8]) -> nix::Result<usize> {
        // struct virtio_net_hdr: its third and fourth octets say how many stay together.
        let mut octets = vec![0; 10];
        octets[2..4].copy_from_slice(&NETBACK_PULLS.to_ne_bytes());
        octets.extend_from_slice(frame);
        setsockopt(&self.0, VnetHeader, &true).expect("a header before the frame");
        let sent = self.put(&octets);
        setsockopt(&self.0, VnetHeader, &false).expect("no header before the frame");
        sent
    }

    /// Sends a frame as one leaves a guest's emulated card: nothing but its Ethernet header is outside of
    /// the kernel's pages. A packet socket does that by itself with what is longer than one.
    ///
    /// # Panics
    /// When it is not that long, or the kernel does not take it.
    pub fn send_in_pages(&self, frame: &[u8]) {
        assert!(frame.len() > 4096, "a frame of {} bytes stays out of pages", frame.len());
        let sent = self.put(frame);
        assert_eq!(sent, Ok(frame.len()), "a frame in pages");
    }

    /// The next frame that came in, if one comes before the deadline.
    pub fn receive(&self, deadline: Instant) -> Option<Vec<u8>> {
        let mut frame = vec![0; 65536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            let timeout = TimeVal::microseconds(left.as_micros() as i64);
            setsockopt(&self.0, sockopt::ReceiveTimeout, &timeout).expect("a deadline");
            match recv(self.0.as_raw_fd(), &mut frame, MsgFlags::empty()) {
                Ok(length) => {
                    frame.truncate(length);
                    return Some(frame);
                }
                Err(Errno::EAGAIN) => return None,
                Err(Errno::EINTR | Errno::ENETDOWN) => {}
                Err(errno) => panic!("receive a frame: {errno}"),
            }
        }
    }

    /// A frame that has come in already.
    pub fn pending(&self) -> Option<Vec<u8>> {
        let mut frame = vec![0; 65536];
        let length = recv(self.0.as_raw_fd(), &mut frame, MsgFlags::MSG_DONTWAIT).ok()?;
        frame.truncate(length);
        Some(frame)
    }
}

sockopt_impl!(
    /// Frames go to the interface itself, past its queue (packet(7)).
    QdiscBypass, SetOnly, libc::SOL_PACKET, libc::PACKET_QDISC_BYPASS, bool
);

sockopt_impl!(
    /// What is sent and heard has a struct virtio_net_hdr before it (linux/if_packet.h).
    VnetHeader, SetOnly, libc::SOL_PACKET, libc::PACKET_VNET_HDR, bool
);

/// XEN_NETBACK_TX_COPY_LEN in drivers/net/xen-netback/netback.c.
const NETBACK_PULLS: u16 = 128;

/// No shorter frame is spread over pages.
const PAGED: usize = 2048;

/// The address that binds a packet socket to an interface.
fn address_of(interface: &str) -> Option<LinkAddr> {
    getifaddrs().ok()?.filter(|found| found.interface_name == interface).find_map(|found| {
        let address = found.address?;
        address.as_link_addr().copied()
    })
}

/// Whether a datagram from one namespace arrives at an address in another one.
pub fn hears(to: &Namespace, address: &str, from: &Namespace) -> bool {
    hears_from(to, address, from).is_some()
}

/// The address that the datagrams seem to come from, when one arrives within twenty seconds: after
/// a carrier was lost, a bridge is silent until the kernel's link watch has come round, and lost ARP
/// costs a second each time.
pub fn hears_from(to: &Namespace, address: &str, from: &Namespace) -> Option<IpAddr> {
    let address: IpAddr = address.parse().expect("an address");
    let listener = to.within(|| UdpSocket::bind(SocketAddr::new(address, 0)).expect("bind a listener"));
    let to = listener.local_addr().expect("an address");
    let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let sender = from.within(|| UdpSocket::bind(SocketAddr::new(any, 0)).expect("bind a sender"));
    listener.set_read_timeout(Some(Duration::from_secs(20))).expect("a deadline");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Said again and again: the first ones may be lost while a carrier comes up.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let _ = sender.send_to(b"hello", to);
                std::thread::park_timeout(Duration::from_millis(20));
            }
        });
        let heard = loop {
            match listener.recv_from(&mut [0; 16]) {
                // A read with a deadline is not taken up again by the kernel (signal(7)).
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                heard => break heard.ok().map(|(_, from)| from.ip()),
            }
        };
        done.store(true, Ordering::Relaxed);
        heard
    })
}
