//! The network namespace that a host lives in.

use crate::error::{Error, ErrorKind, Result};
use nix::libc;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, getsockopt, socket};
use nix::{getsockopt_impl, sockopt_impl};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

sockopt_impl!(
    /// The kernel's number of a socket's network namespace, which it gives to no other one until the next
    /// boot (socket(7); Linux 5.14).
    NetnsCookie, GetOnly, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, u64
);

#[derive(Debug)]
pub(crate) struct Namespace {
    file: File,
    /// Device and inode of its file in nsfs: what it is known by (ioctl_ns(2)).
    pub(crate) id: (u64, u64),
}

const CURRENT: &str = "/proc/thread-self/ns/net";

impl Namespace {
    /// That of the calling thread.
    pub(crate) fn current() -> Result<Namespace> {
        let file = File::open(CURRENT).map_err(|error| failed(&error).with_advice("is /proc mounted?"))?;
        Namespace::of(file)
    }

    /// That of a descriptor.
    pub(crate) fn given(fd: OwnedFd) -> Result<Namespace> {
        Namespace::of(File::from(fd))
    }

    fn of(file: File) -> Result<Namespace> {
        let metadata = file.metadata().map_err(|error| failed(&error))?;
        Ok(Namespace { id: (metadata.dev(), metadata.ino()), file })
    }

    /// What tells it from every other one that has its id before it or after it, in this boot and in others:
    /// the boot, and the namespace's cookie, where the kernel has cookies.
    pub(crate) fn epoch(&self) -> Result<String> {
        let cookie = self.run(|| {
            let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
            getsockopt(&socket, NetnsCookie)
        })?;
        Ok(match cookie {
            Ok(cookie) => format!("{}/{cookie}", boot()),
            Err(_) => boot().to_owned(),
        })
    }

    /// Runs something in this namespace: here if the calling thread is in it, else in a thread
    /// that lives no longer. The caller's thread never moves.
    pub(crate) fn run<T: Send>(&self, what: impl FnOnce() -> T + Send) -> Result<T> {
        let here = std::fs::metadata(CURRENT).is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == self.id);
        if here {
            return Ok(what());
        }
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new()
                .name("xenvnet-netns".to_owned())
                .spawn_scoped(scope, || setns(&self.file, CloneFlags::CLONE_NEWNET).map(|()| what()));
            let entered = thread.map_err(|error| failed(&error))?.join();
            match entered {
                Ok(Ok(result)) => Ok(result),
                Ok(Err(errno)) => Err(failed(&io::Error::from(errno))),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        })
    }
}

fn failed(error: &io::Error) -> Error {
    let what = "enter the network namespace";
    match error.raw_os_error() {
        Some(nix::libc::EINVAL) => Error::cannot(ErrorKind::InvalidArgument, what, "that is no network namespace"),
        Some(errno) => Error::kernel(what, "it was refused", errno, None)
            .with_advice("it takes CAP_SYS_ADMIN in the user namespace that owns it"),
        None => Error::cannot(ErrorKind::Kernel, what, error.to_string()),
    }
}

/// The kernel's name for this boot (random(4)); it does not change, so it is read once.
fn boot() -> &'static str {
    static BOOT: OnceLock<String> = OnceLock::new();
    BOOT.get_or_init(|| {
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
    })
}
