//! The lock file of a state folder.
//!
//! The lock is a record lock of fcntl(2), which belongs to a process and is not inherited: a parent
//! and its forked child wait for each other like strangers. Everything that a host does over its
//! sockets is done under the lock, so both may go on using the same ones. Within a process, where
//! such a lock does not bind, a flag does, and there is one open lock file for all: closing any
//! other would let go of the lock.

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::libc;
use nix::sys::stat::{fstat, stat};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

/// Device and inode.
type Inode = (u64, u64);

/// Those that are open, by the inode of their folder.
static OPEN: Mutex<BTreeMap<Inode, Weak<Inner>>> = Mutex::new(BTreeMap::new());

fn open_files() -> MutexGuard<'static, BTreeMap<Inode, Weak<Inner>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Debug)]
struct Inner {
    file: File,
    inode: Inode,
    turn: Mutex<Turn>,
    free: Condvar,
}

/// Whose it is within this process.
#[derive(Debug, Default)]
struct Turn {
    taken: bool,
    /// How many threads wait: nobody is woken in vain, which would be a system call.
    waiting: usize,
}

/// The lock file of a folder, shared by all hosts of the process.
#[derive(Debug)]
pub(crate) struct LockFile(Option<Arc<Inner>>);

pub(crate) const NAME: &str = "lock";

impl LockFile {
    /// Opens it, making what is missing.
    pub(crate) fn open(folder: &OwnedFd) -> nix::Result<LockFile> {
        let of_folder = fstat(folder)?;
        let mut files = open_files();
        files.retain(|_, file| file.strong_count() > 0);
        let known = files.get(&(of_folder.st_dev, of_folder.st_ino)).and_then(Weak::upgrade);
        // Perhaps somebody removed it alone.
        if let Some(inner) = known {
            match fstat(&inner.file)?.st_nlink {
                0 => drop(inner),
                _ => return Ok(LockFile(Some(inner))),
            }
        }
        let file = crate::state::file(folder, NAME, OFlag::O_RDWR | OFlag::O_CREAT)?;
        let of_file = fstat(&file)?;
        let inode = (of_file.st_dev, of_file.st_ino);
        let inner = Arc::new(Inner { file, inode, turn: Mutex::default(), free: Condvar::new() });
        files.insert((of_folder.st_dev, of_folder.st_ino), Arc::downgrade(&inner));
        Ok(LockFile(Some(inner)))
    }

    /// Waits for whoever has it.
    pub(crate) fn acquire(&self) -> io::Result<Locked> {
        // Always there until it is dropped.
        let Some(inner) = &self.0 else { return Err(io::ErrorKind::NotFound.into()) };
        let mut turn = inner.turn.lock().unwrap_or_else(PoisonError::into_inner);
        while turn.taken {
            turn.waiting += 1;
            turn = inner.free.wait(turn).unwrap_or_else(PoisonError::into_inner);
            turn.waiting -= 1;
        }
        turn.taken = true;
        drop(turn);
        // From here on it is given back, whatever happens.
        let locked = Locked(inner.clone());
        loop {
            match fcntl(&inner.file, FcntlArg::F_SETLKW(&whole_file(libc::F_WRLCK))) {
                Ok(_) => return Ok(locked),
                Err(Errno::EINTR) => {}
                // The kernel takes a process for one waiter, and sees deadlocks between its threads
                // where there are none: nobody holds a second of these locks.
                Err(Errno::EDEADLK) => std::thread::sleep(Duration::from_millis(1)),
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Closed while nobody opens another one of it: that one's lock would go with this.
        let _files = open_files();
        self.0 = None;
    }
}

/// The lock, held. Gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Locked(Arc<Inner>);

impl Locked {
    /// What the file says.
    pub(crate) fn word(&self) -> io::Result<Word> {
        let mut octets = [0; 9];
        // A file that is new, or of a former version, is shorter.
        self.0.file.read_at(&mut octets, 0)?;
        let [between, generation @ ..] = octets;
        Ok(Word { between: between == BETWEEN, generation: u64::from_le_bytes(generation) })
    }

    pub(crate) fn set_between(&self, between: bool) -> io::Result<()> {
        self.0.file.write_all_at(&[if between { BETWEEN } else { b'-' }], 0)
    }

    pub(crate) fn set_generation(&self, generation: u64) -> io::Result<()> {
        self.0.file.write_all_at(&generation.to_le_bytes(), 1)
    }

    /// Whether those who come now find this very file in its folder, or another one or none: somebody removed
    /// or renamed it, or the folder.
    pub(crate) fn is_in(&self, folder: &Path) -> bool {
        stat(&folder.join(NAME)).is_ok_and(|stat| (stat.st_dev, stat.st_ino) == self.0.inode)
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = fcntl(&self.0.file, FcntlArg::F_SETLK(&whole_file(libc::F_UNLCK)));
        let mut turn = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        turn.taken = false;
        if turn.waiting > 0 {
            self.0.free.notify_one();
        }
    }
}

/// What a lock file says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Word {
    /// Whether a change is under way, or was when whoever made it died.
    pub(crate) between: bool,
    /// How often the memory of what was asked for was replaced by a shorter one.
    pub(crate) generation: u64,
}

/// What the file begins with while a change is under way.
const BETWEEN: u8 = b'A';

fn whole_file(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}
