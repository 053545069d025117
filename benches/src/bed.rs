//! What is measured on: a namespace of our own with a bridge and one vif.

use crate::programs;
use nix::sched::{CloneFlags, unshare};
use std::path::PathBuf;
use xenvnet_core::{
    Antispoof, Attachment, Host, HostOptions, IfName, LinkSettings, MacAddr, Operation, Plan, Result, Step, VIF_GROUP,
};

pub(crate) const BRIDGE: &str = "xenbr0";
pub(crate) const VIF: &str = "vif1.0";
pub(crate) const MAC: &str = "00:16:3e:00:00:01";
pub(crate) const IP: &str = "10.98.98.2";

/// The MAC address and the MTU of a vif that nobody has attached yet.
const FRESH_MAC: MacAddr = MacAddr::new([0x02, 0, 0, 0, 0, 0x0a]);
const FRESH_MTU: u32 = 1400;

/// Where the hosts of this run keep their lock and their journals: undo is part of what is measured.
/// In memory, like the library's own place for it.
pub(crate) struct StateDir(PathBuf);

impl StateDir {
    pub(crate) fn new() -> StateDir {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        StateDir(base.join(format!("xenvnet-bench-{}", std::process::id())))
    }

    pub(crate) fn options(&self) -> HostOptions {
        Host::options().state_dir(&self.0)
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Moves this process into a new network namespace and makes a bridge and a vif there. The guest's
/// end of the vif stays down: its driver speaks up after the attach.
///
/// # Panics
/// Without the privilege to do so.
pub(crate) fn lay() {
    unshare(CloneFlags::CLONE_NEWNET)
        .unwrap_or_else(|errno| panic!("cannot make a network namespace: {errno}; run it under `unshare -rn`"));
    programs::run(&format!("ip link add {VIF} address {FRESH_MAC} mtu {FRESH_MTU} type veth peer name guest"));
}

/// What every peer does: three elements of the lock, and all that goes with it.
pub(crate) fn attachment() -> Result<Attachment> {
    let lock = Antispoof::new(MAC.parse()?).ip(IP.parse().expect("an address")).link_local(false);
    Ok(Attachment::bridged(VIF.parse()?, BRIDGE.parse()?, lock))
}

/// That the vif is attached just as the library would have it, whoever did it; or detached.
///
/// # Panics
/// When it is not: then the peers do not do the same.
pub(crate) fn expect(host: &Host, operation: &Operation) -> Result<()> {
    let missing = host.plan(std::slice::from_ref(operation))?;
    assert!(missing.is_empty(), "{operation} left this to do:\n{missing}");
    Ok(())
}

/// Makes the vif as it was before anybody attached it: what a detach leaves is not fresh.
pub(crate) fn refresh(host: &Host) -> Result<()> {
    let vif: IfName = VIF.parse()?;
    let settings = |mac, mtu, group, auto_link_local| {
        let mut settings = LinkSettings::default();
        settings.mac = Some(mac);
        settings.mtu = Some(mtu);
        settings.group = Some(group);
        settings.auto_link_local = Some(auto_link_local);
        settings
    };
    let from = settings(MacAddr::VIF_BACKEND, 1500, VIF_GROUP, false);
    let to = settings(FRESH_MAC, FRESH_MTU, 0, true);
    let outcome = host.apply(&Plan::from_iter([Step::SetLink { link: vif, from, to }]))?;
    assert!(outcome.is_changed(), "a vif after its detach is not fresh");
    Ok(())
}
