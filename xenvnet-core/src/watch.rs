//! Being told that a host's network has changed, without asking again and again.

use crate::edge::transport;
use crate::error::Result;
use crate::namespace::Namespace;
use netlink_sys::{Socket, SocketAddr, protocols};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

/// What the kernel tells of, by protocol: interfaces and dom0's IPv4 addresses (linux/rtnetlink.h), and
/// tables of nf_tables (linux/netfilter/nfnetlink.h), in which locks and networks stand.
const LINKS: u32 = 1;
const ADDRESSES4: u32 = 5;
const NF_TABLES: u32 = 7;

const WHAT: &str = "watch the host's network";

/// Hears of changes from the moment on at which it was made: of interfaces, of dom0's IPv4 addresses,
/// and of nf_tables, where locks and networks stand. It says that something changed, by whomever, and
/// not what: whoever waits looks again.
///
/// ```no_run
/// use std::time::Duration;
/// use xenvnet_core::Host;
/// let host = Host::open()?;
/// // Watched first, then looked at: nothing is missed in between.
/// let mut watch = host.watch()?;
/// loop {
///     println!("{} guests", host.snapshot()?.vifs().count());
///     while !watch.wait(Duration::from_secs(3600))? {}
/// }
/// # #[allow(unreachable_code)]
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Watch {
    sockets: [Socket; 2],
}

impl Watch {
    /// By sockets of its own: its owner may be in another thread, and what is told there would be
    /// taken for answers.
    pub(crate) fn open(namespace: &Namespace) -> Result<Watch> {
        let open = || {
            let route = subscribed(protocols::NETLINK_ROUTE, &[LINKS, ADDRESSES4])?;
            Ok(Watch { sockets: [route, subscribed(protocols::NETLINK_NETFILTER, &[NF_TABLES])?] })
        };
        namespace.run(open)?.map_err(|error| transport(WHAT, &error))
    }

    /// Waits until something has changed since the last call, at most this long; `false` says that
    /// nothing has.
    ///
    /// # Errors
    /// What the kernel refuses to tell.
    ///
    /// ```no_run
    /// # let host = xenvnet_core::Host::open()?;
    /// let changed = host.watch()?.wait(std::time::Duration::from_secs(10))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn wait(&mut self, within: Duration) -> Result<bool> {
        // No clock counts further, and nobody waits longer.
        let end = Instant::now() + within.min(Duration::from_secs(u32::MAX.into()));
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut ready = self.sockets.each_ref().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN));
            // Rounded up, or the last fraction of a millisecond would be spent asking.
            let timeout = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            match poll(&mut ready, timeout) {
                Ok(0) | Err(nix::Error::EINTR) if left.is_zero() => return Ok(false),
                Ok(0) | Err(nix::Error::EINTR) => {}
                Ok(_) => break,
                Err(errno) => return Err(transport(WHAT, &errno.into())),
            }
        }
        self.drain().map_err(|error| transport(WHAT, &error))?;
        Ok(true)
    }

    /// Throws away what was told so far. That too much was told at once is one more reason to look.
    fn drain(&self) -> io::Result<()> {
        for socket in &self.sockets {
            loop {
                match recv(socket.as_raw_fd(), &mut [0; 16], MsgFlags::MSG_DONTWAIT) {
                    Ok(_) | Err(nix::Error::EINTR | nix::Error::ENOBUFS) => {}
                    Err(nix::Error::EAGAIN) => break,
                    Err(errno) => return Err(errno.into()),
                }
            }
        }
        Ok(())
    }
}

fn subscribed(protocol: isize, groups: &[u32]) -> io::Result<Socket> {
    let mut socket = Socket::new(protocol)?;
    socket.bind(&SocketAddr::new(0, 0))?;
    groups.iter().try_for_each(|group| socket.add_membership(*group))?;
    Ok(socket)
}
