//! The network namespace that a host lives in.

use crate::error::{Error, ErrorKind, Result};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

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
