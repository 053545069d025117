//! How datagrams travel to the kernel and back: a seam from the first day, with the real form and,
//! under the feature `testing`, a recording and a faulting one.

use netlink_sys::{Socket, SocketAddr};
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt, sockopt};
use nix::sys::time::TimeVal;
use std::fmt;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

/// Which part of the kernel a transport speaks to.
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// rtnetlink(7): links, addresses, routes, neighbours.
    Route,
    /// nfnetlink: nf_tables.
    Netfilter,
}

/// Carries datagrams of netlink messages.
pub trait Transport: Send + fmt::Debug {
    /// Sends one datagram.
    ///
    /// # Errors
    /// Those of `sendmsg(2)`.
    fn send(&mut self, datagram: &[u8]) -> io::Result<()>;

    /// Appends all answers that have arrived. Waits for the first one if asked to; `false` says
    /// that nothing came.
    ///
    /// # Errors
    /// Those of `recvmmsg(2)`; `TimedOut` when the kernel does not answer.
    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool>;

    /// Has the kernel tell of changes of a kind (RTNLGRP in linux/rtnetlink.h), or no longer.
    ///
    /// # Errors
    /// Those of `setsockopt(2)`.
    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()>;

    /// Waits until something has arrived, at most this long; `false` says that nothing did.
    ///
    /// # Errors
    /// Those of `poll(2)`.
    fn wait(&mut self, patience: Duration) -> io::Result<bool>;
}

/// A socket of the kernel's.
pub(crate) struct Kernel {
    socket: Socket,
    buffers: Vec<Vec<u8>>,
}

/// How many answers one call fetches, and how long each may be. The kernel fits dumps to the
/// length it sees here.
const BUFFERS: usize = 24;
const BUFFER: usize = 32 * 1024;

/// The kernel answers within the call that asks; whoever waits longer than this waits for nothing.
const PATIENCE_SECONDS: i64 = 10;

impl Kernel {
    /// Opens a socket in the network namespace of the calling thread.
    pub(crate) fn open(protocol: Protocol) -> io::Result<Kernel> {
        let mut socket = Socket::new(match protocol {
            Protocol::Route => netlink_sys::protocols::NETLINK_ROUTE,
            Protocol::Netfilter => netlink_sys::protocols::NETLINK_NETFILTER,
        })?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        // Texts with errors (Linux 4.12), without the request repeated (4.3), and filters of dumps
        // taken at their word (4.20): older kernels work without.
        let _ = socket.set_ext_ack(true);
        let _ = socket.set_cap_ack(true);
        if protocol == Protocol::Route {
            let _ = socket.set_netlink_get_strict_chk(true);
        }
        setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::new(PATIENCE_SECONDS, 0))?;
        // A bulk has more answers than the default buffer holds; the kernel caps what is too much.
        let _ = setsockopt(&socket, sockopt::RcvBuf, &(4 * 1024 * 1024));
        let _ = setsockopt(&socket, sockopt::SndBuf, &(4 * 1024 * 1024));
        Ok(Kernel { socket, buffers: vec![vec![0; BUFFER]; BUFFERS] })
    }
}

impl Transport for Kernel {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        loop {
            match self.socket.send(datagram, 0) {
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        let flags = if wait { MsgFlags::MSG_WAITFORONE } else { MsgFlags::MSG_DONTWAIT };
        loop {
            let mut slices: Vec<_> = self.buffers.iter_mut().map(|buffer| [IoSliceMut::new(buffer)]).collect();
            let mut headers = MultiHeaders::<()>::preallocate(slices.len(), None);
            match recvmmsg(self.socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None) {
                Ok(received) => {
                    for message in received {
                        if message.flags.contains(MsgFlags::MSG_TRUNC) {
                            return Err(io::Error::other("an answer longer than its buffer"));
                        }
                        message.iovs().for_each(|part| answers.extend_from_slice(part));
                        answers.resize(answers.len().next_multiple_of(4), 0);
                    }
                    return Ok(true);
                }
                Err(nix::Error::EINTR) => {}
                Err(nix::Error::EAGAIN) if wait => return Err(io::ErrorKind::TimedOut.into()),
                Err(nix::Error::EAGAIN) => return Ok(false),
                Err(errno) => return Err(io::Error::from_raw_os_error(errno as i32)),
            }
        }
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        if on { self.socket.add_membership(group) } else { self.socket.drop_membership(group) }
    }

    fn wait(&mut self, patience: Duration) -> io::Result<bool> {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut sockets = [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut sockets, timeout) {
            Ok(ready) => Ok(ready > 0),
            // A signal: whoever waits looks at its clock.
            Err(nix::Error::EINTR) => Ok(false),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kernel({})", self.socket.as_raw_fd())
    }
}

/// Opens transports: what a [`Host`](crate::Host) does when it is opened, and again after a fork.
pub(crate) type Opener = dyn Fn(Protocol) -> io::Result<Box<dyn Transport>> + Send + Sync;

/// An errno as an error of input and output.
pub(crate) fn errno(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// Whether this kernel lacks a part of netlink altogether.
pub(crate) fn is_missing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT))
}

#[cfg(feature = "testing")]
pub use super::faulting::{Fault, FaultKind, Faults, Place};
#[cfg(feature = "testing")]
pub use testing::{Recording, Sent, kernel};

#[cfg(feature = "testing")]
mod testing {
    use super::*;
    use std::sync::{Arc, Mutex, PoisonError};

    /// The real transport, for the others to wrap.
    ///
    /// # Errors
    /// Those of `socket(2)`.
    pub fn kernel(protocol: Protocol) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Kernel::open(protocol)?))
    }

    /// The datagrams that were sent, in order.
    pub type Sent = Arc<Mutex<Vec<(Protocol, Vec<u8>)>>>;

    /// Passes everything on, and keeps what was sent.
    #[derive(Debug)]
    pub struct Recording {
        inner: Box<dyn Transport>,
        protocol: Protocol,
        sent: Sent,
    }

    impl Recording {
        /// Around another transport; the datagrams appear in the list.
        pub fn new(protocol: Protocol, inner: Box<dyn Transport>, sent: Sent) -> Recording {
            Recording { inner, protocol, sent }
        }
    }

    impl Transport for Recording {
        fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
            let mut sent = self.sent.lock().unwrap_or_else(PoisonError::into_inner);
            sent.push((self.protocol, datagram.to_vec()));
            drop(sent);
            self.inner.send(datagram)
        }

        fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
            self.inner.receive(answers, wait)
        }

        fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
            self.inner.subscribe(group, on)
        }

        fn wait(&mut self, patience: Duration) -> io::Result<bool> {
            self.inner.wait(patience)
        }
    }
}
