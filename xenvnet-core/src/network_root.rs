//! A root file system on the network: what it hangs on is not to be moved from under it unasked.

use crate::entry::EntryKind;
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::snapshot::Snapshot;
use std::net::IpAddr;

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
        NetworkRoot::read(&std::fs::read_to_string("/proc/self/mountinfo").ok()?)
    }

    fn read(mountinfo: &str) -> Option<NetworkRoot> {
        // What was mounted last on a directory is what is seen.
        let of_root = |line: &&str| line.split(' ').nth(4) == Some("/");
        let (_, rest) = mountinfo.lines().rfind(of_root)?.split_once(" - ")?;
        let mut fields = rest.split(' ');
        let (kind, source, options) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
        if !NETWORK_TYPES.contains(&kind) {
            return None;
        }
        let told = options.split(',').find_map(|option| option.strip_prefix("addr="));
        let host = || source.split_once(":/").map(|(host, _)| host.trim_matches(['[', ']']));
        let server = told.or_else(host).and_then(|text| text.parse().ok());
        Some(NetworkRoot { kind: kind.to_owned(), server })
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
        NetworkRoot::read(&format!(
            "21 28 0:20 / /proc rw - proc proc rw\n28 1 0:25 / / rw,relatime shared:1 - {fields}\n30 28 0:9 / /mnt rw - nfs4 x:/y rw,addr=10.0.0.9\n"
        ))
    }

    #[test]
    fn what_root_is_on_is_read() {
        assert_eq!(read("ext4 /dev/xvda1 rw,errors=remount-ro"), None);
        assert_eq!(read("overlay overlay rw"), None);
        let server = |text: &str| read(text).unwrap().server.map(|ip| ip.to_string());
        assert_eq!(server("nfs4 store:/root rw,vers=4.2,addr=192.0.2.7,clientaddr=192.0.2.2").unwrap(), "192.0.2.7");
        assert_eq!(server("nfs [2001:db8::7]:/root rw,nolock").unwrap(), "2001:db8::7");
        assert_eq!(server("nfs store:/root rw"), None);
        for text in ["", "28 1 0:25 / /", "28 1 0:25 / / rw - nfs", "- - - -"] {
            assert_eq!(NetworkRoot::read(text), None, "{text}");
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
