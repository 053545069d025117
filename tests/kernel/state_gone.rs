//! The state directory goes away, or is full, while a host has it open.

use crate::matrix::{OWN, lock};
use crate::proof::name;
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::path::{Path, PathBuf};
use xenvnet_core::{Attachment, Bridge, ErrorKind, Host, Operation};
use xenvnet_tests::{Dom0, Dump, StateDir};

fn open(state: &Path) -> Host {
    Host::options().state_dir(state).open().unwrap()
}

/// Calls, each of which changes something if all before it did. The lock is so long that what puts it
/// back takes several pages.
fn calls() -> [Operation; 5] {
    let vif = name("vif1.0");
    let lock = (0..=255).fold(lock(), |lock, last| lock.ip(format!("198.51.100.{last}").parse().unwrap()));
    [
        Operation::CreateBridge(Bridge::new(name("xenbr0"))),
        Operation::AttachVif(Attachment::bridged(vif, name("xenbr0"), lock).accounted(true)),
        Operation::DetachVif { vif },
        Operation::ForgetAccount { name: vif },
        Operation::DeleteBridge { bridge: name("xenbr0") },
    ]
}

/// Makes all calls: each is carried out, or says that it is the directory and changes nothing. How
/// many changed something.
#[track_caller]
fn all_or_nothing(host: &Host) -> usize {
    let mut done = 0;
    for call in calls() {
        let before = Dump::take();
        match host.run(&call) {
            Ok(outcome) => done += usize::from(outcome.is_changed()),
            Err(error) => {
                // What needs a bridge that could not be made.
                let expected = [ErrorKind::State, ErrorKind::NotFound];
                assert!(expected.contains(&error.kind()), "{call}: {error}");
                Dump::take().assert_same(&before, &format!("after {error}"));
            }
        }
    }
    done
}

/// A host that is opened now finds nothing in its way.
#[track_caller]
fn the_next_one_works(state: &Path) {
    let next = open(state);
    assert_eq!(all_or_nothing(&next), calls().len());
    assert!(next.verify().unwrap().is_sound());
    assert!(next.undo().unwrap().is_changed(), "what was done last can be put back");
    next.run(&calls()[4]).unwrap();
}

#[test]
fn a_directory_may_be_removed() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    let state = StateDir::new();
    let host = open(state.path());
    std::fs::remove_dir_all(state.path()).unwrap();
    all_or_nothing(&host);
    match host.undo() {
        Ok(_) => drop(host.run(&calls()[4]).unwrap()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::State, "{error}"),
    }
    the_next_one_works(state.path());
    all_or_nothing(&host);
}

#[test]
fn each_of_its_files_may_be_removed() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    let state = StateDir::new();
    open(state.path());
    for name in names(state.path()) {
        let host = open(state.path());
        all_or_nothing(&host);
        // A journal is its host's, and has another name each time.
        let prefix = name.split('-').next().unwrap();
        let gone = files(state.path())
            .into_iter()
            .filter(|file| file.file_name().unwrap().to_string_lossy().starts_with(prefix));
        assert!(gone.map(|file| std::fs::remove_file(file).unwrap()).count() > 0, "{name}");
        all_or_nothing(&host);
        drop(host);
        the_next_one_works(state.path());
    }
}

fn files(state: &Path) -> Vec<PathBuf> {
    let read =
        |folder: PathBuf| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    read(state.to_owned()).into_iter().filter(|path| path.is_dir()).flat_map(read).collect()
}

fn names(state: &Path) -> Vec<String> {
    files(state).iter().map(|file| file.file_name().unwrap().to_string_lossy().into_owned()).collect()
}

const PAGE: usize = 4096;
const PAGES: usize = 256;

/// A directory with room for so little that a call fails at each of its writes in turn.
#[test]
fn a_directory_may_be_full() {
    let Some(dom0) = Dom0::enter() else { return };
    let _guest = dom0.guest("vif1.0", &OWN.to_string());
    let state = StateDir::new();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    mount(None::<&str>, state.path(), Some("tmpfs"), MsFlags::empty(), Some("nr_blocks=256,mode=0700")).unwrap();
    let filler = state.path().join("filler");
    let mut changed = Vec::new();
    for free in 0..4 {
        let host = open(state.path());
        let all = (0..=PAGES).rev().find(|pages| std::fs::write(&filler, vec![0; pages * PAGE]).is_ok());
        std::fs::write(&filler, vec![0; (all.unwrap() - free) * PAGE]).unwrap();
        changed.push(all_or_nothing(&host));
        std::fs::remove_file(&filler).unwrap();
        // There is room again.
        let left = all_or_nothing(&host);
        assert!(left > 0 && host.verify().unwrap().is_sound());
        drop(host);
        the_next_one_works(state.path());
    }
    println!("changed with so many pages free: {changed:?}");
    assert!(
        changed[0] == 0 && changed[3] == calls().len() && changed.iter().any(|n| (1..5).contains(n)),
        "{changed:?}"
    );
    assert!(names(state.path()).len() < 6, "{:?}", names(state.path()));
}
