//! What would put a change back, written before the change begins.
//!
//! One file for each writer, locked as long as the writer lives: a long-lived one keeps it open and
//! spends two writes on a change. A record is whole or, by its checksum, not there at all, and then
//! the change had not begun.

use crate::ifname::IfName;
use crate::plan::{Plan, Step};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

pub(crate) const PREFIX: &str = "journal-";

/// State, length and checksum of what follows.
const HEADER: usize = 16;

/// The boot and the namespace that a record is of (see [`Namespace::epoch`](crate::namespace::Namespace::epoch)):
/// it means nothing in any other.
pub(crate) type Epoch = std::sync::Arc<str>;
const ACTIVE: u8 = b'A';
const DONE: u8 = b'D';
const UNDONE: u8 = b'U';
/// Done, and put back unless somebody confirms it.
const PROVISIONAL: u8 = b'P';

/// One change.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    state: u8,
    /// Nanoseconds since the boot: the order of changes, whatever happens to the date.
    pub(crate) time: u128,
    /// When it is to be put back unless somebody confirmed it.
    pub(crate) confirm_by: Option<u128>,
    /// The numbers that its interfaces had when it began.
    pub(crate) seen: BTreeMap<IfName, u32>,
    /// Whether all that it did was to start and stop networks.
    pub(crate) of_networks: bool,
    /// Whether it puts another one back.
    pub(crate) of_undo: bool,
    pub(crate) inverse: Plan,
}

/// How a change ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Done,
    Undone,
    Provisional,
    /// Put back half-way: whoever comes next goes on, step by step.
    CutOff,
}

impl End {
    fn octet(self) -> u8 {
        match self {
            End::Done => DONE,
            End::Undone => UNDONE,
            End::Provisional => PROVISIONAL,
            End::CutOff => ACTIVE,
        }
    }
}

/// Nanoseconds since the boot (CLOCK_BOOTTIME): nobody sets that clock.
pub(crate) fn now() -> u128 {
    clock_gettime(ClockId::CLOCK_BOOTTIME).map(Duration::from).unwrap_or_default().as_nanos()
}

impl Entry {
    /// Whether it waits for somebody to confirm it.
    pub(crate) fn is_provisional(&self) -> bool {
        self.state == PROVISIONAL
    }

    /// Whether it ran to its end, one way or the other.
    pub(crate) fn is_closed(&self) -> bool {
        self.state != ACTIVE
    }

    pub(crate) fn is_undone(&self) -> bool {
        self.state == UNDONE
    }

    /// Whether all that it did was to start networks.
    pub(crate) fn only_starts(&self) -> bool {
        self.of_networks && !self.inverse.steps().iter().any(|step| matches!(step, Step::AddNetwork { .. }))
    }
}

#[derive(Serialize, Deserialize)]
struct Record<P> {
    time: u128,
    /// Records do not outlive what they are about.
    #[serde(rename = "boot")]
    epoch: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    confirm_by: Option<u128>,
    #[serde(default)]
    seen: BTreeMap<IfName, u32>,
    #[serde(default)]
    of_networks: bool,
    #[serde(default)]
    of_undo: bool,
    inverse: P,
}

/// What is written down of a change before it begins.
#[derive(Debug, Default)]
pub(crate) struct Beginning {
    /// The numbers of its interfaces.
    pub(crate) seen: BTreeMap<IfName, u32>,
    /// Whether all that it does is to start and stop networks.
    pub(crate) of_networks: bool,
    /// Whether it puts another one back.
    pub(crate) of_undo: bool,
    /// How soon somebody has to confirm it.
    pub(crate) confirm_within: Option<Duration>,
}

#[derive(Debug)]
pub(crate) struct Journal {
    /// Always there until it is dropped.
    file: Option<Flock<File>>,
    pub(crate) name: String,
    /// What its records are of.
    epoch: Epoch,
    /// Who made it.
    process: u32,
    /// Whether the last change was neither finished nor put back.
    open: bool,
}

impl Drop for Journal {
    fn drop(&mut self) {
        if !self.is_own() {
            // A forked child's copy: to unlock it would let go of the writer's lock.
            std::mem::forget(self.file.take());
        }
    }
}

impl Journal {
    pub(crate) fn create(folder: impl AsFd, epoch: Epoch) -> io::Result<Journal> {
        // Process ids come again: a journal that is there is never written over.
        let mut number = 0;
        let (name, file) = loop {
            let name = format!("{PREFIX}{}-{number}", std::process::id());
            match crate::state::file(&folder, &name, OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL) {
                Err(Errno::EEXIST) => number += 1,
                other => break (name, other?),
            }
        };
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(file) => Ok(Journal { file: Some(file), name, epoch, process: std::process::id(), open: false }),
            Err((_, errno)) => Err(errno.into()),
        }
    }

    /// Before the first change: how to put everything back.
    pub(crate) fn begin(&mut self, inverse: &Plan, beginning: Beginning) -> io::Result<()> {
        let time = now();
        let Beginning { seen, of_networks, of_undo, confirm_within } = beginning;
        let confirm_by = confirm_within.map(|within| time + within.as_nanos());
        let epoch = self.epoch.to_string();
        let json = serde_json::to_vec(&Record { time, epoch, confirm_by, seen, of_networks, of_undo, inverse })?;
        let mut octets = vec![0; HEADER];
        octets[0] = ACTIVE;
        octets[4..12].copy_from_slice(&(json.len() as u64).to_le_bytes());
        octets[12..].copy_from_slice(&crate::mac::crc32(&json).to_le_bytes());
        octets.extend_from_slice(&json);
        self.open = true;
        self.file()?.write_all_at(&octets, 0)
    }

    /// Whether a change stands in it that `undo` must still find: the next one goes elsewhere.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    /// Whether this process made it, and not the one that it was forked from.
    pub(crate) fn is_own(&self) -> bool {
        self.process == std::process::id()
    }

    fn file(&self) -> io::Result<&File> {
        self.file.as_deref().ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// After the last one. What is provisional must be found as long as it is.
    pub(crate) fn finish(&mut self, end: End) -> io::Result<()> {
        // Where it fails, the next change goes elsewhere.
        self.open = true;
        self.file()?.write_all_at(&[end.octet()], 0)?;
        self.open = end == End::Provisional;
        Ok(())
    }

    /// Ends a change, whoever made it.
    pub(crate) fn mark(file: &File, end: End) -> io::Result<()> {
        file.write_all_at(&[end.octet()], 0)
    }

    /// The entry of a journal, if it is whole and of this boot and namespace.
    pub(crate) fn read(file: &File, epoch: &str) -> Option<Entry> {
        let mut octets = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(n @ 1..) = file.read_at(&mut chunk, octets.len() as u64) {
            octets.extend_from_slice(&chunk[..n]);
        }
        let (header, rest) = octets.split_at_checked(HEADER)?;
        let len = u64::from_le_bytes(header[4..12].try_into().ok()?);
        let json = rest.get(..usize::try_from(len).ok()?)?;
        if crate::mac::crc32(json).to_le_bytes() != header[12..16] {
            return None;
        }
        let record: Record<Plan> = serde_json::from_slice(json).ok()?;
        let state = header[0];
        let Record { time, epoch: of, confirm_by, seen, of_networks, of_undo, inverse } = record;
        (of == epoch).then_some(Entry { state, time, confirm_by, seen, of_networks, of_undo, inverse })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Step;
    use std::os::fd::OwnedFd;

    fn folder(name: &str) -> (std::path::PathBuf, OwnedFd) {
        let path = std::env::temp_dir().join(format!("xenvnet-journal-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = File::open(&path).unwrap().into();
        (path, folder)
    }

    #[test]
    fn a_record_is_read_back_whole_or_not_at_all() {
        let (path, folder) = folder("whole");
        let mut journal = Journal::create(&folder, "here".into()).unwrap();
        assert!(Journal::read(journal.file().unwrap(), "here").is_none());
        let plan = Plan::from_iter([Step::Up { link: "xenbr0".parse().unwrap() }]);
        journal.begin(&plan, Beginning::default()).unwrap();
        let entry = Journal::read(journal.file().unwrap(), "here").unwrap();
        assert!(!entry.is_closed());
        assert_eq!(entry.inverse, plan);
        assert!(Journal::read(journal.file().unwrap(), "elsewhere").is_none(), "another namespace, or boot");
        journal.finish(End::Done).unwrap();
        assert!(Journal::read(journal.file().unwrap(), "here").unwrap().is_closed());
        journal.begin(&Plan::default(), Beginning::default()).unwrap();
        assert!(
            Journal::read(journal.file().unwrap(), "here").unwrap().inverse.is_empty(),
            "a shorter record hides a longer one"
        );
        for cut in [3, HEADER as u64 + 2] {
            journal.file().unwrap().set_len(cut).unwrap();
            assert!(Journal::read(journal.file().unwrap(), "here").is_none());
        }
        std::fs::remove_dir_all(path).unwrap();
    }
}
