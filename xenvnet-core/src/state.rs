//! The directory in which hosts of one network namespace agree with each other: one lock, and a
//! journal for each writer.
//!
//! A folder for each namespace, named by the device and inode of its nsfs file. Nobody else may
//! own or write what is used, and symbolic links are refused: it may be run as root over a
//! directory that others see.

use crate::asked::{self, Asked, AskedFile};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{Beginning, End, Entry, Epoch, Journal};
use crate::lock_file::{LockFile, Locked};
use crate::namespace::Namespace;
use crate::network::NetworkId;
use crate::plan::Plan;
use crate::text::quoted;
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, open, openat, renameat};
use nix::sys::stat::{Mode, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};
use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Where root's hosts meet unless told otherwise. Who is root in a user namespace only does not own
/// that directory.
pub(crate) fn default_dir() -> Option<PathBuf> {
    let map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    let everybody = map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    (geteuid().is_root() && everybody).then(|| PathBuf::from("/run/xenvnet"))
}

#[derive(Debug)]
pub(crate) struct State {
    folder: OwnedFd,
    path: PathBuf,
    epoch: Epoch,
    lock: LockFile,
    journal: Journal,
    asked: AskedFile,
    /// Which of the files that had its name that is.
    generation: u64,
}

impl State {
    /// Opens the folder of a namespace, making what is missing.
    pub(crate) fn open(base: &Path, namespace: &Namespace) -> Result<State> {
        let name = format!("net-{}-{}", namespace.id.0, namespace.id.1);
        State::open_in(base, &name, namespace.epoch()?.into())
    }

    fn open_in(base: &Path, name: &str, epoch: Epoch) -> Result<State> {
        let failed = |path: &Path, why: String| {
            Error::cannot(ErrorKind::State, format!("use the state directory {}", path.display()), why)
        };
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(base)
            .map_err(|error| failed(base, error.to_string()))?;
        let base_fd = open(base, DIRECTORY, Mode::empty()).map_err(|errno| failed(base, refused(errno)))?;
        check(&base_fd).map_err(|why| failed(base, why))?;
        let path = base.join(name);
        match mkdirat(&base_fd, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(&path, errno.desc().to_owned())),
        }
        let folder = openat(&base_fd, name, DIRECTORY, Mode::empty()).map_err(|errno| failed(&path, refused(errno)))?;
        check(&folder).map_err(|why| failed(&path, why))?;
        let lock = LockFile::open(&folder).map_err(|errno| failed(&path, refused(errno)))?;
        // Made under the lock, so that nobody tidies it away before it is locked itself.
        let held = lock.acquire().map_err(|error| failed(&path, error.to_string()))?;
        let journal = Journal::create(&folder, epoch.clone()).map_err(|error| failed(&path, error.to_string()))?;
        let asked = open_asked(&folder, &epoch).map_err(|error| failed(&path, error.to_string()))?;
        let generation = held.word().map_err(|error| failed(&path, error.to_string()))?.generation;
        let mut state = State { folder, path, epoch, lock, journal, asked, generation };
        state.held(held)?.tidy()?;
        Ok(state)
    }

    /// Waits for whoever is at work in this namespace. Gives it back when dropped.
    pub(crate) fn lock(&mut self) -> Result<Held<'_>> {
        loop {
            let lock = self.lock.acquire().map_err(|error| self.failed(&error))?;
            if lock.is_in(&self.path) {
                return self.held(lock);
            }
            drop(lock);
            // Looked for under the lock: who waits here may have waited for its end.
            log::warn!("{}: somebody removed it; what could be undone is forgotten", self.path.display());
            let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            *self = State::open_in(self.path.parent().unwrap_or(Path::new("/")), name, self.epoch.clone())?;
        }
    }

    fn failed(&self, error: &std::io::Error) -> Error {
        Error::cannot(ErrorKind::State, format!("use the state directory {}", self.path.display()), error.to_string())
    }

    fn held(&mut self, lock: Locked) -> Result<Held<'_>> {
        let word = lock.word().map_err(|error| self.failed(&error))?;
        if word.generation != self.generation {
            self.asked = open_asked(&self.folder, &self.epoch).map_err(|error| self.failed(&error))?;
            self.generation = word.generation;
        }
        let State { folder, path, epoch, journal, asked, generation, .. } = self;
        Ok(Held { folder, path, epoch, journal, asked, generation, between: word.between, lock })
    }

    /// A folder within this one, for somebody else's files.
    pub(crate) fn folder(&self, name: &str) -> Result<PathBuf> {
        let path = self.path.join(name);
        let failed = |why: String| Error::cannot(ErrorKind::State, format!("use the folder {}", path.display()), why);
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(Error::invalid(ErrorKind::InvalidArgument, format!("{} names no folder", quoted(name))));
        }
        match mkdirat(&self.folder, name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(errno) => return Err(failed(errno.desc().to_owned())),
        }
        let folder = openat(&self.folder, name, DIRECTORY, Mode::empty()).map_err(|errno| failed(refused(errno)))?;
        check(&folder).map_err(failed)?;
        Ok(path)
    }
}

/// Opens the memory of what was asked for, to be appended to and read.
fn open_asked(folder: &OwnedFd, epoch: &str) -> std::io::Result<AskedFile> {
    AskedFile::open(file(folder, asked::NAME, OFlag::O_RDWR | OFlag::O_APPEND | OFlag::O_CREAT)?, epoch)
}

/// A journal as it is found, and whether its writer is gone.
struct Found {
    name: String,
    entry: Option<Entry>,
    gone: bool,
}

/// A change that wants to be confirmed.
pub(crate) struct Provisional {
    pub(crate) entry: Entry,
    /// When it is to be put back.
    pub(crate) until: u128,
    /// Whether all of it was done.
    pub(crate) is_complete: bool,
}

/// The file that is locked by whoever is on the watch.
const SENTINEL: &str = "sentinel";

/// The lock, held.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    folder: &'a OwnedFd,
    path: &'a Path,
    epoch: &'a Epoch,
    journal: &'a mut Journal,
    asked: &'a mut AskedFile,
    generation: &'a mut u64,
    /// Whether somebody had begun a change and had not ended it.
    between: bool,
    lock: Locked,
}

impl Held<'_> {
    fn failed(&self, why: &str) -> Error {
        Error::cannot(ErrorKind::State, format!("use the state directory {}", self.path.display()), why)
    }

    /// Removes journals that nobody will ask for again: those of writers that are gone, but the
    /// newest entry of all, which can still be undone, and those that were cut off in the middle.
    fn tidy(&self) -> Result<()> {
        let entries = self.entries()?;
        // What was cut off will be put back; then it is the one before it that can be.
        let can_be_undone = |entry: &&Entry| entry.is_closed() && !entry.is_undone();
        let can_be_undone = entries.iter().filter_map(|found| found.entry.as_ref()).filter(can_be_undone);
        let newest = can_be_undone.map(|entry| entry.time).max();
        for Found { name, entry, gone } in &entries {
            let cut_off = entry.as_ref().is_some_and(|entry| !entry.is_closed());
            if cut_off {
                log::warn!("{name}: a change was cut off in the middle; the next one, or undo, puts it back");
                // Somebody may have removed the lock file, which told.
                self.lock.set_between(true).map_err(|error| self.failed(&error.to_string()))?;
            }
            let newest = entry.as_ref().is_some_and(|entry| Some(entry.time) == newest);
            let waits = entry.as_ref().is_some_and(Entry::is_provisional);
            if *gone && !cut_off && !newest && !waits {
                let _ = unlinkat(self.folder, name.as_str(), UnlinkatFlags::NoRemoveDir);
            }
        }
        Ok(())
    }

    /// All journals.
    fn entries(&self) -> Result<Vec<Found>> {
        let read = std::fs::read_dir(self.path).map_err(|error| {
            let failed = self.failed("it cannot be read");
            error.raw_os_error().into_iter().fold(failed, Error::with_errno)
        })?;
        let mut found = Vec::new();
        for name in read.flatten().filter_map(|entry| entry.file_name().into_string().ok()) {
            if !name.starts_with(crate::journal::PREFIX) {
                continue;
            }
            let Ok(file) = file(self.folder, &name, OFlag::O_RDWR) else { continue };
            let (file, gone) = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => (held.unlock().map_err(|(_, errno)| self.failed(errno.desc()))?, true),
                Err((file, _)) => (file, false),
            };
            found.push(Found { name, entry: Journal::read(&file, self.epoch), gone });
        }
        Ok(found)
    }

    /// Before the first change: how to put everything back.
    pub(crate) fn begin(&mut self, inverse: &Plan, beginning: Beginning) -> std::io::Result<()> {
        // What a fork left to the child is the parent's.
        if self.journal.is_open() || !self.journal.is_own() {
            *self.journal = Journal::create(self.folder, self.epoch.clone())?;
        }
        self.set_between(true)?;
        self.journal.begin(inverse, beginning)
    }

    /// After the last one.
    pub(crate) fn finish(&mut self, end: End) -> std::io::Result<()> {
        if let Err(error) = self.journal.finish(end) {
            // What is done for good is not to be put back by whoever comes next. Anything else is.
            if end == End::Done {
                unlinkat(self.folder, self.journal.name.as_str(), UnlinkatFlags::NoRemoveDir)?;
                self.set_between(false)?;
            }
            return Err(error);
        }
        self.set_between(end == End::CutOff)
    }

    /// Begins a change that puts another one back: in a journal of its own, since that one must be found as
    /// long as this has not ended.
    pub(crate) fn begin_to_undo(&self, inverse: &Plan, beginning: Beginning) -> std::io::Result<Journal> {
        let mut journal = Journal::create(self.folder, self.epoch.clone())?;
        self.set_between(true)?;
        journal.begin(inverse, beginning)?;
        Ok(journal)
    }

    /// It is not to be undone itself: nothing tells of it any more.
    pub(crate) fn end_to_undo(&self, journal: &Journal) -> std::io::Result<()> {
        unlinkat(self.folder, journal.name.as_str(), UnlinkatFlags::NoRemoveDir)?;
        self.set_between(false)
    }

    /// Whether the host may be in between: a change was begun, and whoever had the lock then has it no longer.
    /// One octet of the lock file tells, so that nobody need look through the journals.
    pub(crate) fn is_between(&self) -> bool {
        self.between
    }

    fn set_between(&self, between: bool) -> std::io::Result<()> {
        self.lock.set_between(between)
    }

    /// What was cut off in the middle, the newest first. Whoever is at work has the lock: a change that did not
    /// end, and is seen under it, will not.
    pub(crate) fn cut_off(&self) -> Result<Vec<(String, Entry)>> {
        let found = self.entries()?.into_iter();
        let mut open: Vec<_> =
            found.filter_map(|found| Some((found.name, found.entry.filter(|entry| !entry.is_closed())?))).collect();
        open.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.time));
        Ok(open)
    }

    /// Notes that the host is not in between, if nothing is left that was cut off.
    pub(crate) fn settle(&self) -> Result<()> {
        let between = !self.cut_off()?.is_empty();
        self.set_between(between).map_err(|error| self.failed(&error.to_string()))
    }

    /// Notes what a change brought about.
    pub(crate) fn asked_for(&mut self, plan: &Plan) -> std::io::Result<()> {
        self.asked.append(plan)?;
        let Some(text) = self.asked.shortened()? else { return Ok(()) };
        {
            use std::io::Write;
            let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC;
            file(self.folder, asked::NEW_NAME, flags)?.write_all(&text)?;
        }
        // Told first: who is killed in between has others open what is there all the same.
        *self.generation += 1;
        self.lock.set_generation(*self.generation)?;
        renameat(self.folder, asked::NEW_NAME, self.folder, asked::NAME)?;
        *self.asked = open_asked(self.folder, self.epoch)?;
        Ok(())
    }

    /// What stands, as far as it was asked for here.
    pub(crate) fn asked(&mut self) -> Result<Asked> {
        self.asked.read().map_err(|error| self.failed(&error.to_string()))
    }

    fn mark(&self, name: &str, end: End) -> Result<()> {
        let file = file(self.folder, name, OFlag::O_RDWR).map_err(|errno| self.failed(errno.desc()))?;
        Journal::mark(&file, end).map_err(|error| self.failed(&error.to_string()))
    }

    /// The newest change that was not undone yet, by whomever.
    pub(crate) fn newest(&self) -> Result<Option<(String, Entry)>> {
        self.newest_but("")
    }

    /// The newest change but one.
    pub(crate) fn newest_but(&self, name: &str) -> Result<Option<(String, Entry)>> {
        let found = self.entries()?.into_iter().filter(|found| found.name != name);
        let open = found.filter_map(|found| Some((found.name, found.entry.filter(|entry| !entry.is_undone())?)));
        Ok(open.max_by_key(|(_, entry)| entry.time))
    }

    /// Notes that a change that was begun to be put back was not: it waits for somebody to confirm it.
    pub(crate) fn postpone(&self, name: &str) -> Result<()> {
        self.mark(name, End::Provisional)?;
        self.settle()
    }

    /// Notes that a change was undone.
    pub(crate) fn close(&self, name: &str) -> Result<()> {
        self.mark(name, End::Undone)
    }

    /// Notes that a change is put back step by step: whoever comes next goes on where this was cut off.
    pub(crate) fn reopen(&self, name: &str) -> Result<()> {
        self.set_between(true).map_err(|error| self.failed(&error.to_string()))?;
        self.mark(name, End::CutOff)
    }

    /// These networks were started or stopped for good since: who did that is not to find the host
    /// changed at a deadline of former days.
    pub(crate) fn close_waiting(&self, networks: &BTreeSet<NetworkId>) -> Result<()> {
        if networks.is_empty() {
            return Ok(());
        }
        for Found { name, entry, .. } in self.entries()? {
            let settled = |entry: &Entry| {
                let about = entry.inverse.networks();
                // Or put back half-way.
                let waits = entry.is_provisional() || entry.confirm_by.is_some() && !entry.is_closed();
                waits && !about.is_empty() && about.is_subset(networks)
            };
            if entry.is_some_and(|entry| settled(&entry)) {
                log::info!("{name}: what nobody confirmed yet was changed since, and stays");
                self.confirm(&name)?;
            }
        }
        Ok(())
    }

    /// Changes that want to be confirmed, and have not been.
    pub(crate) fn provisional(&self) -> Result<Vec<(String, Provisional)>> {
        let found = self.entries()?.into_iter();
        let waiting = found.filter_map(|Found { name, entry, .. }| {
            let entry = entry?;
            let until = entry.confirm_by?;
            let is_complete = entry.is_provisional();
            (is_complete || !entry.is_closed()).then_some((name, Provisional { entry, until, is_complete }))
        });
        Ok(waiting.collect())
    }

    /// Notes that a change was confirmed.
    pub(crate) fn confirm(&self, name: &str) -> Result<()> {
        self.mark(name, End::Done)
    }

    /// Goes on the watch over provisional changes; `None` where somebody is.
    pub(crate) fn watch(&self) -> Result<Option<Flock<File>>> {
        let file =
            file(self.folder, SENTINEL, OFlag::O_RDWR | OFlag::O_CREAT).map_err(|errno| self.failed(errno.desc()))?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(watch) => Ok(Some(watch)),
            Err((_, Errno::EAGAIN)) => Ok(None),
            Err((_, errno)) => Err(self.failed(errno.desc())),
        }
    }

    /// Whether somebody is.
    pub(crate) fn is_watched(&self) -> Result<bool> {
        Ok(self.watch()?.is_none())
    }
}

pub(crate) const DIRECTORY: OFlag = OFlag::O_DIRECTORY.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

pub(crate) fn file(folder: impl AsFd, name: &str, flags: OFlag) -> nix::Result<File> {
    let flags = flags | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(File::from(openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR)?))
}

pub(crate) fn refused(errno: Errno) -> String {
    match errno {
        Errno::ELOOP | Errno::ENOTDIR => "it is a symbolic link or no directory".to_owned(),
        errno => errno.desc().to_owned(),
    }
}

/// Only what belongs to us and nobody else may write is trusted.
pub(crate) fn check(directory: impl AsFd) -> std::result::Result<(), String> {
    let stat = fstat(directory).map_err(|errno| errno.desc().to_owned())?;
    if stat.st_uid != geteuid().as_raw() {
        return Err(format!("it belongs to user {}", stat.st_uid));
    }
    if stat.st_mode & 0o022 != 0 {
        return Err(format!("others may write it (mode {:o})", stat.st_mode & 0o7777));
    }
    Ok(())
}
