//! A root file system on the network: what it hangs on is not to be moved from under it unasked.

use crate::block_device::{self, Remote};
use crate::entry::EntryKind;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::snapshot::Snapshot;
use nix::sys::stat;
use std::iter;
use std::net::IpAddr;
use std::path::Path;

/// The root file system, where it is on the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetworkRoot {
    kind: String,
    /// `None` where it does not say.
    server: Option<IpAddr>,
}

/// Types of file systems whose server is across the network.
const NETWORK_TYPES: [&str; 9] = ["nfs", "nfs4", "cifs", "smb3", "ceph", "afs", "fuse.glusterfs", "fuse.sshfs", "coda"];

impl NetworkRoot {
    /// Of this process (proc_pid_mountinfo(5)).
    pub(crate) fn of_this_process() -> Option<NetworkRoot> {
        NetworkRoot::read(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, Path::new("/sys"))
    }

    fn read(mountinfo: &str, sys: &Path) -> Option<NetworkRoot> {
        let mounts: Vec<Mount<'_>> = mountinfo.lines().filter_map(Mount::read).collect();
        // What was mounted last on a directory is what is seen.
        let root = mounts.iter().rfind(|mount| mount.at == "/")?;
        let below = root.layers().filter_map(|layer| {
            let around = mounts.iter().filter(|mount| mount.at != "/" && Path::new(layer).starts_with(mount.at));
            around.max_by_key(|mount| mount.at.len())
        });
        iter::once(root).chain(below).find_map(|mount| mount.across_network(sys))
    }

    /// Whether it is reached by an interface: by that of the most specific route to its server, or, where
    /// the server is not known, perhaps.
    fn may_be_reached_by(&self, link: IfName, now: &Snapshot) -> bool {
        let Some(server) = self.server else { return true };
        let routes = now.entries.iter().filter(|entry| entry.kind() == EntryKind::Route);
        let to_server = routes.filter_map(|route| {
            let net = route.destination().filter(|net| net.is_ipv4() == server.is_ipv4() && net.contains(server))?;
            Some((net.prefix(), std::cmp::Reverse(route.metric()), route))
        });
        let best = to_server.max_by_key(|(prefix, metric, _)| (*prefix, *metric));
        best.is_none_or(|(_, _, route)| route.names(link))
    }
}

/// A line of mountinfo.
struct Mount<'a> {
    /// The number of its block device; of file systems without one, or with several, 0:N.
    device: &'a str,
    at: &'a str,
    kind: &'a str,
    source: &'a str,
    options: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Mount<'a>> {
        let (first, rest) = line.split_once(" - ")?;
        let (mut first, mut rest) = (first.split(' '), rest.split(' '));
        let (device, at) = (first.nth(2)?, first.nth(1)?);
        let (kind, source) = (rest.next()?, rest.next()?);
        Some(Mount { device, at, kind, source, options: rest.next().unwrap_or_default() })
    }

    /// The directories that an overlay is made of.
    fn layers(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let options = if self.kind == "overlay" { self.options } else { "" };
        let values = options.split(',').filter_map(|option| option.split_once('='));
        let layers = values.filter(|(key, _)| matches!(*key, "lowerdir" | "upperdir"));
        layers.flat_map(|(_, dirs)| dirs.split(':'))
    }

    fn across_network(&self, sys: &Path) -> Option<NetworkRoot> {
        if NETWORK_TYPES.contains(&self.kind) {
            let told = self.options.split(',').find_map(|option| option.strip_prefix("addr="));
            let host = || self.source.split_once(":/").map(|(host, _)| host.trim_matches(['[', ']']));
            let server = told.or_else(host).and_then(|text| text.parse().ok());
            return Some(NetworkRoot { kind: self.kind.to_owned(), server });
        }
        let of_source = || {
            let device = stat::stat(self.source).ok().filter(|_| self.source.starts_with("/dev/"))?.st_rdev;
            Some(format!("{}:{}", stat::major(device), stat::minor(device)))
        };
        let device = if self.device.starts_with("0:") { of_source()? } else { self.device.to_owned() };
        let Remote { kind, server } = block_device::remote(sys, &device)?;
        Some(NetworkRoot { kind: format!("{} on {kind}", self.kind), server })
    }
}

/// Refuses to move what dom0 has on an interface, where the root file system is reached by it.
pub(crate) fn check(link: IfName, what: &str, now: &Snapshot) -> Result<()> {
    match now.network_root.as_ref().filter(|root| root.may_be_reached_by(link, now)) {
        None => Ok(()),
        Some(root) => Err(Error::cannot(
            ErrorKind::Conflict,
            what,
            format!("the root file system ({}) is on the network, and may be reached by {link}", root.kind),
        )
        .with_advice(
            "nothing is lost as a rule; to dare it all the same: --even-with-network-root, with --confirm-within",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: &str) -> Option<NetworkRoot> {
        read_over(fields, Path::new("/nowhere"))
    }

    fn read_over(fields: &str, sys: &Path) -> Option<NetworkRoot> {
        let text = format!(
            "21 28 0:20 / /proc rw - proc proc rw\n28 1 43:1 / / rw,relatime shared:1 - {fields}\n30 28 0:9 / /mnt rw - nfs4 x:/y rw,addr=10.0.0.9\n"
        );
        NetworkRoot::read(&text, sys)
    }

    #[test]
    fn what_root_is_on_is_read() {
        assert_eq!(read("ext4 /dev/xvda1 rw,errors=remount-ro"), None);
        assert_eq!(read("overlay overlay rw"), None);
        let server = |text: &str| read(text).unwrap().server.map(|ip| ip.to_string());
        assert_eq!(server("nfs4 store:/root rw,vers=4.2,addr=192.0.2.7,clientaddr=192.0.2.2").unwrap(), "192.0.2.7");
        assert_eq!(server("nfs [2001:db8::7]:/root rw,nolock").unwrap(), "2001:db8::7");
        assert_eq!(server("nfs store:/root rw"), None);
        assert_eq!(server("overlay overlay rw,lowerdir=/srv:/mnt/lower,upperdir=/run/upper").unwrap(), "10.0.0.9");
        assert_eq!(read("overlay overlay rw,lowerdir=/srv,upperdir=/mntx"), None);
        let sys = std::env::temp_dir().join(format!("xenvnet-root-{}", std::process::id()));
        std::fs::create_dir_all(sys.join("dev/block/43:1")).unwrap();
        std::fs::rename(sys.join("dev/block/43:1"), sys.join("nbd0")).unwrap();
        std::os::unix::fs::symlink(sys.join("nbd0"), sys.join("dev/block/43:1")).unwrap();
        assert_eq!(read_over("ext4 /dev/nbd0 rw", &sys).unwrap().kind, "ext4 on nbd");
        std::fs::remove_dir_all(sys).unwrap();
        for text in ["", "28 1 0:25 / /", "28 1 0:25 / / rw - nfs", "- - - -"] {
            assert_eq!(NetworkRoot::read(text, Path::new("/nowhere")), None, "{text}");
        }
    }

    #[test]
    fn the_interface_that_leads_to_it_is_told_from_others() {
        let mut now = crate::operation::tests::uplinked();
        let (eth0, eth1) = ("eth0".parse().unwrap(), "eth1".parse().unwrap());
        assert!(check(eth0, "start", &now).is_ok());
        now.network_root = read("nfs store:/root rw,addr=203.0.113.5");
        assert!(check(eth0, "start", &now).is_err(), "by the default route");
        assert!(check(eth1, "start", &now).is_ok());
        now.network_root = read("nfs store:/root rw");
        assert!(check(eth1, "start", &now).is_err(), "nobody knows");
    }
}
