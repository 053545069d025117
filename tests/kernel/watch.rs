//! Hearing of changes, of whatever concerns guests and by whomever, and of nothing else.

use crate::matrix::{OWN, lock};
use std::os::unix::fs::symlink;
use std::time::Duration;
use xenvnet_core::{Attachment, ErrorKind, Host, Watch};
use xenvnet_tests::{Dom0, Namespace, ip, nft};

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(50);

/// Waits until nothing more is told: a carrier comes late.
fn settle(watch: &mut Watch) {
    while watch.wait(SHORT).unwrap() {}
}

#[test]
fn interfaces_addresses_and_tables_are_told_of() {
    let Some(dom0) = Dom0::enter() else { return };
    let mut watch = dom0.host.watch().unwrap();
    settle(&mut watch);
    for change in ["link add xenbr0 type bridge", "addr add 10.6.7.1/24 dev xenbr0", "link set xenbr0 mtu 1400"] {
        ip(change);
        assert!(watch.wait(LONG).unwrap(), "{change}");
        settle(&mut watch);
    }
    nft("add table ip others");
    assert!(watch.wait(LONG).unwrap());
    let guest = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(guest.name, "xenbr0".parse().unwrap(), lock())).unwrap();
    assert!(watch.wait(LONG).unwrap());
    settle(&mut watch);
    // Looking is no change.
    dom0.host.snapshot().unwrap();
    assert!(!watch.wait(SHORT).unwrap());
    // A guest that dies says nothing else than that its interface is gone.
    ip("link delete vif1.0");
    assert!(watch.wait(LONG).unwrap());
}

#[test]
fn more_changes_than_can_be_told_are_changes_all_the_same() {
    let Some(dom0) = Dom0::enter() else { return };
    let mut watch = dom0.host.watch().unwrap();
    ip("link add xenbr0 type bridge");
    let batch: String = (0..4000).map(|n| format!("link set xenbr0 mtu {}\n", 1000 + n % 400)).collect();
    let file = dom0.state.path().join("batch");
    std::fs::write(&file, batch).unwrap();
    xenvnet_tests::program("ip", &["-batch", file.to_str().unwrap()]);
    assert!(watch.wait(LONG).unwrap());
    settle(&mut watch);
    ip("link set xenbr0 mtu 1500");
    assert!(watch.wait(LONG).unwrap());
}

#[test]
fn another_namespace_is_heard_and_this_one_is_not() {
    let Some(_dom0) = Dom0::enter() else { return };
    let there = Namespace::new();
    let mut watch = Host::options().netns(there.descriptor()).open().unwrap().watch().unwrap();
    settle(&mut watch);
    ip("link add xenbr0 type bridge");
    assert!(!watch.wait(SHORT).unwrap());
    there.within(|| ip("link add xenbr0 type bridge"));
    assert!(watch.wait(LONG).unwrap());
}

#[test]
fn a_folder_of_a_program_is_its_own() {
    let Some(dom0) = Dom0::enter() else { return };
    let folder = dom0.host.state_folder("leases").unwrap();
    assert!(folder.is_dir() && folder.starts_with(dom0.state.path()));
    assert_eq!(dom0.host.state_folder("leases").unwrap(), folder);
    for name in ["", ".", "..", "a/b", "../leases", "/etc"] {
        assert_eq!(dom0.host.state_folder(name).unwrap_err().kind(), ErrorKind::InvalidArgument, "{name}");
    }
    symlink("/tmp", folder.with_file_name("elsewhere")).unwrap();
    let error = dom0.host.state_folder("elsewhere").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    assert!(error.to_string().ends_with("it is a symbolic link or no directory"), "{error}");
}
