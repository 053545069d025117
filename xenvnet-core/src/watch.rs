//! Being told that a host's network has changed, without asking again and again.

use crate::edge::transport;
use crate::error::Result;
use crate::mac::MacAddr;
use crate::namespace::Namespace;
use crate::netlink::channel::{Channel, messages};
use crate::netlink::neighbour;
use crate::netlink::transport::Kernel;
use netlink_sys::{Socket, SocketAddr, protocols};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};
use nix::sys::socket::{MsgFlags, recv};
use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What the kernel tells of, by protocol: interfaces with their bridge ports, entries of the bridges'
/// tables, dom0's addresses (linux/rtnetlink.h), and tables of nf_tables (linux/netfilter/nfnetlink.h),
/// in which locks and networks stand.
const LINKS: u32 = 1;
const NEIGHBOURS: u32 = 3;
const ADDRESSES4: u32 = 5;
const ADDRESSES6: u32 = 9;
const NF_TABLES: u32 = 7;

/// No datagram of an event is longer.
const DATAGRAM: usize = 32 * 1024;

const WHAT: &str = "watch the host's network";

/// Hears of changes from the moment on at which it was made: of interfaces and bridge ports, of
/// dom0's addresses, of MAC addresses that are pinned to ports, and of nf_tables, where locks and
/// networks stand. That is all that [`Host::verify`](crate::Host::verify) depends on, but that a
/// change was cut off before it changed anything. It says that something changed, by whomever, and
/// not what: whoever waits looks again. What bridges learn by themselves is no change.
///
/// For an event loop, it is one descriptor ([`AsFd`]) that becomes readable; then
/// [`wait`](Self::wait) with no time to wait says whether it was a change.
///
/// ```no_run
/// use std::time::Duration;
/// use xenvnet_core::Host;
/// let host = Host::open()?;
/// // Watched first, then looked at: nothing is missed in between.
/// let watch = host.watch()?;
/// loop {
///     println!("{} guests", host.snapshot()?.vifs().count());
///     while !watch.wait(Duration::from_secs(3600))? {}
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    either: Epoll,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    route: Socket,
    netfilter: Socket,
    /// To ask what is pinned, by a socket of its own: answers and events would mix.
    asking: Channel,
    /// What stands fixed in the bridges' tables: what else happens there is learning.
    pinned: BTreeSet<(u32, MacAddr)>,
}

impl Watch {
    /// By sockets of its own: its owner may be in another thread, and what is told there would be
    /// taken for answers.
    pub(crate) fn open(namespace: &Namespace) -> Result<Watch> {
        let open = || {
            let route = subscribed(protocols::NETLINK_ROUTE, &[LINKS, NEIGHBOURS, ADDRESSES4, ADDRESSES6])?;
            let netfilter = subscribed(protocols::NETLINK_NETFILTER, &[NF_TABLES])?;
            let either = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
            for socket in [&route, &netfilter] {
                either.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
            }
            let asking = Channel::new(Box::new(Kernel::open(crate::netlink::transport::Protocol::Route)?));
            let mut inner = Inner { route, netfilter, asking, pinned: BTreeSet::new() };
            inner.learn()?;
            Ok(Watch { either, inner: Mutex::new(inner) })
        };
        namespace.run(open)?.map_err(|error: io::Error| transport(WHAT, &error))
    }

    /// Waits until something has changed since the last call, at most this long; `false` says that
    /// nothing has. Of several threads that wait, one hears of a change.
    ///
    /// # Errors
    /// What the kernel refuses to tell.
    ///
    /// ```no_run
    /// # let host = xenvnet_core::Host::open()?;
    /// let changed = host.watch()?.wait(std::time::Duration::from_secs(10))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn wait(&self, within: Duration) -> Result<bool> {
        // No clock counts further, and nobody waits longer.
        let end = Instant::now() + within.min(Duration::from_secs(u32::MAX.into()));
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut ready = [PollFd::new(self.as_fd(), PollFlags::POLLIN)];
            // Rounded up, or the last fraction of a millisecond would be spent asking.
            let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            match poll(&mut ready, timeout) {
                Ok(0) | Err(nix::Error::EINTR) if left.is_zero() => return Ok(false),
                Ok(0) | Err(nix::Error::EINTR) => {}
                Ok(_) => {
                    let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
                    if inner.drain().map_err(|error| transport(WHAT, &error))? {
                        return Ok(true);
                    }
                }
                Err(errno) => return Err(transport(WHAT, &errno.into())),
            }
        }
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.either.0.as_fd()
    }
}

impl Inner {
    /// What is pinned now.
    fn learn(&mut self) -> io::Result<()> {
        let entries = self.asking.dump(&neighbour::all())?;
        let entries = entries.messages.iter().filter_map(|(_, body)| neighbour::parse_entry(body));
        self.pinned = entries.filter(|entry| entry.stays).map(|entry| (entry.bridge, entry.mac)).collect();
        Ok(())
    }

    /// Takes what was told so far; whether it was of a change. That too much was told at once is one
    /// more reason to look.
    fn drain(&mut self) -> io::Result<bool> {
        let mut datagram = vec![0; DATAGRAM];
        let mut changed = false;
        while let Told::Datagram(_) | Told::TooMuch = told(&self.netfilter, &mut datagram)? {
            changed = true;
        }
        loop {
            match told(&self.route, &mut datagram)? {
                Told::Nothing => return Ok(changed),
                Told::Datagram(length) => {
                    for message in messages(&datagram[..length]) {
                        // What cannot be read is one more reason to look.
                        changed |= message.map_or(true, |message| self.take(message.kind, message.body));
                    }
                }
                Told::TooMuch => {
                    self.learn()?;
                    changed = true;
                }
            }
        }
    }

    /// Whether a message is of a change that matters.
    fn take(&mut self, kind: u16, body: &[u8]) -> bool {
        if ![libc::RTM_NEWNEIGH, libc::RTM_DELNEIGH].contains(&kind) {
            return true;
        }
        // Neighbours of the IP layer come and go all the time.
        let Some(entry) = neighbour::parse_entry(body) else { return false };
        let place = (entry.bridge, entry.mac);
        match entry.stays && kind == libc::RTM_NEWNEIGH {
            true => {
                self.pinned.insert(place);
                true
            }
            false => self.pinned.remove(&place),
        }
    }
}

enum Told {
    Nothing,
    Datagram(usize),
    TooMuch,
}

fn told(socket: &Socket, datagram: &mut [u8]) -> io::Result<Told> {
    loop {
        match recv(socket.as_raw_fd(), datagram, MsgFlags::MSG_DONTWAIT) {
            Ok(length) => return Ok(Told::Datagram(length)),
            Err(nix::Error::EINTR) => {}
            Err(nix::Error::ENOBUFS) => return Ok(Told::TooMuch),
            Err(nix::Error::EAGAIN) => return Ok(Told::Nothing),
            Err(errno) => return Err(errno.into()),
        }
    }
}

fn subscribed(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    groups.iter().try_for_each(|group| socket.add_membership(*group))?;
    Ok(socket)
}
