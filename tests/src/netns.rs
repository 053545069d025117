//! Network namespaces: one for the test itself, one for each guest.

use nix::sched::{CloneFlags, setns, unshare};
use std::fs::File;
use std::marker::PhantomData;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The network namespace that the calling thread is in until this value is dropped.
///
/// The test harness runs each test in a thread of its own, so a test that enters one disturbs no
/// other. Not `Send`: it stands for the state of one thread.
#[derive(Debug)]
pub struct Netns {
    former: OwnedFd,
    _thread: PhantomData<*const ()>,
}

impl Netns {
    /// Moves the calling thread into a new, empty namespace. `None`, with a printed line, where
    /// that is not allowed; a failure where `XENVNET_REQUIRE_KERNEL=1` demands it.
    pub fn enter() -> Option<Netns> {
        let former = current();
        match unshare(CloneFlags::CLONE_NEWNET) {
            Ok(()) => Some(Netns { former, _thread: PhantomData }),
            Err(errno) => {
                skip(&format!("cannot unshare a network namespace ({errno}); run it under `unshare -rn`"));
                None
            }
        }
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // With --test-threads=1 all tests share a thread: the next one starts from where it was.
        let _ = setns(&self.former, CloneFlags::CLONE_NEWNET);
    }
}

/// Says that a test is skipped.
///
/// # Panics
/// Where `XENVNET_REQUIRE_KERNEL=1` turns a skip into a failure.
pub(crate) fn skip(why: &str) {
    assert!(std::env::var_os("XENVNET_REQUIRE_KERNEL").is_none_or(|v| v != "1"), "XENVNET_REQUIRE_KERNEL=1: {why}");
    eprintln!("skipped: {why}");
}

/// The namespace of the calling thread, held open.
fn current() -> OwnedFd {
    File::open("/proc/thread-self/ns/net").expect("/proc is mounted").into()
}

/// Another namespace, held by a descriptor: that of a guest, or of the world outside.
#[derive(Debug)]
pub struct Namespace(OwnedFd);

impl Namespace {
    /// A new, empty one. The calling thread stays where it is.
    pub fn new() -> Namespace {
        let made = std::thread::scope(|scope| {
            let maker = scope.spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).expect("a namespace within a namespace");
                current()
            });
            maker.join().expect("the thread that makes a namespace")
        });
        Namespace(made)
    }

    /// The namespace that the calling thread is in.
    pub fn of_this_thread() -> Namespace {
        Namespace(current())
    }

    /// Runs something in this namespace, in a thread that ends with it. Sockets that it opens and
    /// processes that it starts belong to this namespace.
    pub fn within<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| {
                setns(&self.0, CloneFlags::CLONE_NEWNET).expect("enter a namespace of ours");
                run()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// A path that `ip ... netns PATH` takes.
    pub fn path(&self) -> String {
        format!("/proc/{}/fd/{}", std::process::id(), self.0.as_raw_fd())
    }

    /// One more descriptor of it, as [`xenvnet_core::HostOptions::netns`] takes.
    pub fn descriptor(&self) -> OwnedFd {
        self.0.as_fd().try_clone_to_owned().expect("a descriptor more")
    }
}

impl Clone for Namespace {
    fn clone(&self) -> Namespace {
        Namespace(self.descriptor())
    }
}

impl Default for Namespace {
    fn default() -> Namespace {
        Namespace::new()
    }
}
