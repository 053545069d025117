//! Block devices behind which there is a network: iSCSI, NBD, RBD, NVMe over TCP or RDMA.

use std::ffi::OsStr;
use std::fs;
use std::iter;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// Where a block device has its blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Remote {
    /// The protocol's name.
    pub(crate) kind: &'static str,
    /// Where it does not say, `None`.
    pub(crate) server: Option<IpAddr>,
}

/// Device mappers on RAIDs on device mappers: nobody has more of them.
const DEPTH: usize = 8;

/// What is behind a block device by its number (`8:1`), if any of it is across a network. `sys` is where
/// sysfs is mounted.
pub(crate) fn remote(sys: &Path, number: &str) -> Option<Remote> {
    behind(sys, &fs::canonicalize(sys.join("dev/block").join(number)).ok()?, DEPTH)
}

fn behind(sys: &Path, device: &Path, depth: usize) -> Option<Remote> {
    let depth = depth.checked_sub(1)?;
    // LVM, LUKS and RAID name what they are made of.
    let parts = fs::read_dir(device.join("slaves")).into_iter().flatten().flatten();
    let parts = parts.filter_map(|part| fs::canonicalize(part.path()).ok());
    let part_of = || device.join("partition").exists().then(|| behind(sys, device.parent()?, depth)).flatten();
    itself(sys, device).or_else(part_of).or_else(|| parts.into_iter().find_map(|part| behind(sys, &part, depth)))
}

fn itself(sys: &Path, device: &Path) -> Option<Remote> {
    let name = device.file_name()?.to_str()?;
    if let Some(kind) = ["nbd", "rbd"].into_iter().find(|kind| is_numbered(name, kind)) {
        return Some(Remote { kind, server: None });
    }
    let mut above = device.ancestors().filter_map(|path| path.file_name()?.to_str());
    if let Some(session) = above.find(|name| is_numbered(name, "session")) {
        let number = &session["session".len()..];
        let connection = sys.join(format!("class/iscsi_connection/connection{number}:0"));
        let told = |what: &str| text(&connection.join(what))?.parse().ok();
        return Some(Remote { kind: "iscsi", server: told("address").or_else(|| told("persistent_address")) });
    }
    // A controller is above its disk; where there are several paths to it, beside it.
    let beside = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_controller =
        |path: &PathBuf| path.file_name().and_then(OsStr::to_str).is_some_and(|name| is_numbered(name, "nvme"));
    let controllers = device.ancestors().skip(1).flat_map(|path| iter::once(path.to_owned()).chain(beside(path)));
    controllers.filter(is_controller).find_map(|path| fabric(&path))
}

/// An NVMe controller across a network.
fn fabric(controller: &Path) -> Option<Remote> {
    let kind = match text(&controller.join("transport"))?.as_str() {
        "tcp" => "nvme over tcp",
        "rdma" => "nvme over rdma",
        _ => return None,
    };
    let address = text(&controller.join("address")).unwrap_or_default();
    let server = address.split(',').find_map(|part| part.trim().strip_prefix("traddr=")?.parse().ok());
    Some(Remote { kind, server })
}

fn is_numbered(name: &str, prefix: &str) -> bool {
    name.strip_prefix(prefix).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|b| b.is_ascii_digit()))
}

fn text(file: &Path) -> Option<String> {
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    /// As sysfs has them, in a directory of the test's own.
    struct Sys(PathBuf);

    impl Sys {
        fn new() -> Sys {
            static NUMBER: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            Sys(std::env::temp_dir().join(format!("xenvnet-sys-{}-{number}", std::process::id())))
        }

        fn file(&self, path: &str, text: &str) -> &Sys {
            let path = self.0.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
            self
        }

        fn link(&self, from: &str, to: &str) -> &Sys {
            let from = self.0.join(from);
            fs::create_dir_all(from.parent().unwrap()).unwrap();
            fs::create_dir_all(self.0.join(to)).unwrap();
            symlink(self.0.join(to), from).unwrap();
            self
        }

        fn remote(&self, number: &str) -> Option<(&'static str, Option<String>)> {
            remote(&self.0, number).map(|remote| (remote.kind, remote.server.map(|ip| ip.to_string())))
        }
    }

    impl Drop for Sys {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_disk_of_this_host_is_nobody_elses() {
        let sys = Sys::new();
        sys.link("dev/block/8:0", "devices/pci0/ata1/host0/target0:0:0/0:0:0:0/block/sda");
        sys.link("dev/block/259:0", "devices/pci0/nvme/nvme0/nvme0n1");
        sys.file("devices/pci0/nvme/nvme0/transport", "pcie\n");
        assert_eq!((sys.remote("8:0"), sys.remote("259:0"), sys.remote("9:9")), (None, None, None));
    }

    #[test]
    fn a_disk_behind_an_iscsi_session_is_found_through_partition_and_mapper() {
        let sys = Sys::new();
        let disk = "devices/platform/host3/session1/target3:0:0/3:0:0:0/block/sda";
        sys.file(&format!("{disk}/sda2/partition"), "2\n");
        sys.file("class/iscsi_connection/connection1:0/address", "192.0.2.7\n");
        sys.link("devices/virtual/block/dm-0/slaves/sda2", &format!("{disk}/sda2"));
        sys.link("devices/virtual/block/dm-1/slaves/dm-0", "devices/virtual/block/dm-0");
        sys.link("dev/block/254:1", "devices/virtual/block/dm-1").link("dev/block/8:2", &format!("{disk}/sda2"));
        let iscsi = Some(("iscsi", Some("192.0.2.7".to_owned())));
        assert_eq!((sys.remote("254:1"), sys.remote("8:2")), (iscsi.clone(), iscsi));
    }

    #[test]
    fn a_partition_of_a_network_block_device_is_one_too() {
        let sys = Sys::new();
        sys.file("devices/virtual/block/nbd0/nbd0p1/partition", "1\n");
        sys.link("dev/block/43:1", "devices/virtual/block/nbd0/nbd0p1");
        assert_eq!(sys.remote("43:1"), Some(("nbd", None)));
    }

    #[test]
    fn a_namespace_over_tcp_is_found_by_its_controller_above_or_beside() {
        let sys = Sys::new();
        let server = "traddr=2001:db8::7,trsvcid=4420\n";
        sys.file("devices/virtual/nvme-fabrics/ctl/nvme1/transport", "tcp\n");
        sys.file("devices/virtual/nvme-fabrics/ctl/nvme1/address", server);
        sys.link("dev/block/259:1", "devices/virtual/nvme-fabrics/ctl/nvme1/nvme1n1");
        sys.link("dev/block/259:2", "devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1");
        sys.link("devices/virtual/nvme-subsystem/nvme-subsys0/nvme1", "devices/virtual/nvme-fabrics/ctl/nvme1");
        let tcp = Some(("nvme over tcp", Some("2001:db8::7".to_owned())));
        assert_eq!((sys.remote("259:1"), sys.remote("259:2")), (tcp.clone(), tcp));
    }

    #[test]
    fn what_is_made_of_itself_ends() {
        let sys = Sys::new();
        sys.link("devices/virtual/block/dm-0/slaves/dm-0", "devices/virtual/block/dm-0");
        sys.link("dev/block/254:0", "devices/virtual/block/dm-0");
        assert_eq!(sys.remote("254:0"), None);
    }
}
