//! A host of guests, in a namespace of its own.

use crate::netns::{Namespace, Netns};
use crate::oracle::{ip, ip_json, sysctl_set};
use crate::socket::RawSocket;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use xenvnet_core::{Host, IfName, MacAddr};

/// A directory for the state of one host, gone with this value.
#[derive(Debug)]
pub struct StateDir(PathBuf);

impl StateDir {
    /// A new one that nobody else may read.
    pub fn new() -> StateDir {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("xenvnet-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&path).expect("a directory of our own");
        StateDir(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Default for StateDir {
    fn default() -> StateDir {
        StateDir::new()
    }
}

impl Drop for StateDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A host that is nobody else's: an empty namespace, entered by the calling thread, with the
/// library opened in it.
#[derive(Debug)]
pub struct Dom0 {
    /// The library's door to it.
    pub host: Host,
    /// Where the library keeps its locks and its journal.
    pub state: StateDir,
    _netns: Netns,
}

impl Dom0 {
    /// Enters a new host; `None` where this machine does not allow it, see [`Netns::enter`].
    pub fn enter() -> Option<Dom0> {
        let netns = Netns::enter()?;
        ip("link set lo up");
        // Bridged frames visit no IP layer, unless a test asks for it.
        for family in ["iptables", "ip6tables", "arptables"] {
            let setting = format!("bridge/bridge-nf-call-{family}");
            if Path::new("/proc/sys/net").join(&setting).exists() {
                sysctl_set(&setting, "0");
            }
        }
        let state = StateDir::new();
        let host = Host::options().state_dir(state.path()).open().expect("open the host");
        Some(Dom0 { host, state, _netns: netns })
    }

    /// The namespace of dom0, for [`Namespace::within`] and as a party to traffic.
    pub fn namespace(&self) -> Namespace {
        Namespace::of_this_thread()
    }

    /// A guest, whose interface on this side has this name.
    pub fn guest(&self, vif: &str, mac: &str) -> FakeVif {
        FakeVif::new(vif, mac)
    }

    /// A cable to a world outside, with this name on this side, up on both.
    pub fn cable(&self, name: &str, mac: &str) -> FakeVif {
        let cable = FakeVif::new(name, mac);
        ip(&format!("link set {name} addrgenmode none"));
        ip(&format!("link set {name} up"));
        cable
    }
}

/// What netback and netfront are on a Xen host: a veth pair with one end in dom0, down as netback
/// leaves it, and the other end, `eth0`, up in a namespace of the guest's own.
#[derive(Debug)]
pub struct FakeVif {
    /// The name of dom0's end.
    pub name: IfName,
    /// The address of the guest's end.
    pub mac: MacAddr,
    /// The guest.
    pub guest: Namespace,
}

impl FakeVif {
    /// In the calling thread's namespace.
    ///
    /// # Panics
    /// When the name is taken or the kernel refuses otherwise.
    pub fn new(name: &str, mac: &str) -> FakeVif {
        let guest = Namespace::new();
        ip(&format!("link add {name} type veth peer name eth0 address {mac} netns {}", guest.path()));
        guest.within(|| {
            ip("link set lo up");
            // A guest that says nothing of its own accord: what is heard of it, the test sent.
            ip("link set eth0 addrgenmode none");
            ip("link set eth0 up");
        });
        FakeVif { name: name.parse().expect("a name"), mac: mac.parse().expect("a MAC address"), guest }
    }

    /// Gives the guest an address with its prefix length, and a gateway unless that is empty.
    pub fn address(&self, address: &str, gateway: &str) {
        self.guest.within(|| {
            ip(&format!("addr add {address} dev eth0{}", if address.contains(':') { " nodad" } else { "" }));
            if !gateway.is_empty() {
                ip(&format!("route add default via {gateway}"));
            }
        });
    }

    /// Waits until the guest's end has its carrier: before, what it sends is lost without a word.
    ///
    /// # Panics
    /// When it has none after ten seconds: dom0's end is down.
    pub fn wait_for_carrier(&self) {
        let deadline = Instant::now() + Duration::from_secs(10);
        self.guest.within(|| {
            while ip_json("link show dev eth0")[0]["operstate"] != "UP" {
                assert!(Instant::now() < deadline, "no carrier");
            }
        });
    }

    /// A packet socket on the guest's end.
    pub fn raw(&self) -> RawSocket {
        self.guest.within(|| RawSocket::on("eth0"))
    }
}
