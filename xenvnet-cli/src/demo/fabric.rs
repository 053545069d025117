//! The stage: throw-away namespaces for dom0, three guests and an outside host, and the cables
//! between them. They are gone when the last descriptor of them is.

use crate::failure::reason;
use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{InfoData, InfoVeth};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sched::{CloneFlags, setns, unshare};
use nix::unistd::{getegid, geteuid};
use rtnetlink::{AddressMessageBuilder, LinkMessageBuilder, LinkUnspec, LinkVeth, RouteMessageBuilder};
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use xenvnet_core::MacAddr;

/// Every card but dom0's ends of the guests' cables.
pub(super) const CARD: &str = "eth0";
/// The brouter's address, the gateway of the guests.
pub(super) const GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 98, 98, 1);
/// Dom0's address on the routed guest's vif, its gateway.
pub(super) const ROUTED_GATEWAY: Ipv4Addr = Ipv4Addr::new(10, 98, 99, 1);
/// Dom0's address on the way to the outside (a network for documentation, RFC 5737).
pub(super) const DOM0_OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
/// The outside host.
pub(super) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);
/// Of all networks on the stage.
const PREFIX: u8 = 24;

/// A network namespace.
pub(super) struct Namespace(OwnedFd);

impl Namespace {
    /// A new and empty one. Only a thread that ends at once is ever in it.
    fn new() -> io::Result<Namespace> {
        let made = thread::spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET)?;
            File::open("/proc/thread-self/ns/net").map(|file| Namespace(file.into()))
        });
        made.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
    }

    /// Another descriptor of it.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        self.0.try_clone()
    }

    /// Runs something in it. Sockets that are made there stay there.
    pub(super) fn enter<T: Send>(&self, run: impl FnOnce() -> io::Result<T> + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(self.0.as_fd(), CloneFlags::CLONE_NEWNET)?;
                run()
            });
            inside.join().unwrap_or_else(|_| Err(io::Error::other("a thread failed")))
        })
    }

    /// A UDP socket on one of its addresses.
    pub(super) fn udp(&self, address: Ipv4Addr) -> io::Result<UdpSocket> {
        self.enter(|| UdpSocket::bind((address, 0)))
    }

    /// The value of a setting under `/proc/sys`.
    pub(super) fn setting(&self, name: &str) -> io::Result<String> {
        self.enter(|| Ok(fs::read_to_string(format!("/proc/sys/{name}"))?.trim_end().to_owned()))
    }

    /// A cable from an interface here to the card of another, which gets this MAC address.
    fn cable(&self, name: &str, other: &Namespace, mac: Option<MacAddr>) -> io::Result<()> {
        let mut far = LinkUnspec::new_with_name(CARD).setns_by_fd(other.0.as_raw_fd());
        if let Some(mac) = mac {
            far = far.address(mac.octets().to_vec());
        }
        let cable = LinkMessageBuilder::<LinkVeth>::new(name, CARD)
            .set_info_data(InfoData::Veth(InfoVeth::Peer(far.build())))
            .build();
        self.enter(|| request(RouteNetlinkMessage::NewLink(cable), NLM_F_CREATE | NLM_F_EXCL))
    }

    /// Gives the card an address and a gateway, and turns it on.
    fn configure(&self, address: Ipv4Addr, gateway: Option<Ipv4Addr>) -> io::Result<()> {
        self.enter(|| {
            let index = if_nametoindex(CARD)?;
            let address = AddressMessageBuilder::<Ipv4Addr>::new().index(index).address(address, PREFIX).build();
            request(RouteNetlinkMessage::NewAddress(address), NLM_F_CREATE | NLM_F_EXCL)?;
            request(RouteNetlinkMessage::SetLink(LinkUnspec::new_with_index(index).up().build()), 0)?;
            if let Some(gateway) = gateway {
                let route = RouteMessageBuilder::<Ipv4Addr>::new().gateway(gateway).output_interface(index).build();
                request(RouteNetlinkMessage::NewRoute(route), NLM_F_CREATE | NLM_F_EXCL)?;
            }
            Ok(())
        })
    }

    /// Nothing is sent here but what the demo sends, so that drops can be counted exactly. A
    /// kernel without IPv6 is silent anyway.
    fn hush(&self) -> io::Result<()> {
        self.enter(|| match fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1") {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        })
    }
}

/// One message to the kernel, and its answer.
pub(super) fn request(message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
    let (answer, _) = socket.recv_from_full()?;
    let answer = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map_err(io::Error::other)?;
    match answer.payload {
        NetlinkPayload::Error(error) => match error.code {
            None => Ok(()),
            Some(code) => Err(Errno::from_raw(-code.get()).into()),
        },
        other => Err(io::Error::other(format!("an answer of type {} came unasked", other.message_type()))),
    }
}

/// A guest: its namespace, and the name of its vif in dom0.
pub(super) struct Guest {
    pub(super) namespace: Namespace,
    pub(super) vif: &'static str,
    pub(super) ip: Ipv4Addr,
    pub(super) mac: MacAddr,
}

/// Everybody on the stage. The guests' vifs are in dom0, not yet attached to anything.
pub(super) struct Fabric {
    pub(super) dom0: Namespace,
    pub(super) guests: [Guest; 2],
    /// The one that is not to be bridged.
    pub(super) routed: Guest,
    pub(super) outside: Namespace,
}

impl Fabric {
    pub(super) fn new() -> io::Result<Fabric> {
        let dom0 = Namespace::new()?;
        let outside = Namespace::new()?;
        let guest = |vif: &'static str, ip: Ipv4Addr, gateway: Ipv4Addr| -> io::Result<Guest> {
            let namespace = Namespace::new()?;
            let mac = MacAddr::from_ip(ip.into(), xenvnet_core::MacPrefix::default());
            namespace.hush()?;
            dom0.cable(vif, &namespace, Some(mac))?;
            namespace.configure(ip, Some(gateway))?;
            Ok(Guest { namespace, vif, ip, mac })
        };
        let bridged = |vif, number| guest(vif, [10, 98, 98, number].into(), GATEWAY);
        let guests = [bridged("vif1.0", 2)?, bridged("vif2.0", 3)?];
        let routed = guest("vif3.0", [10, 98, 99, 2].into(), ROUTED_GATEWAY)?;
        dom0.cable(CARD, &outside, None)?;
        dom0.configure(DOM0_OUTSIDE, None)?;
        // No gateway: the outside host knows no way back to the guests.
        outside.configure(OUTSIDE, None)?;
        Ok(Fabric { dom0, guests, routed, outside })
    }
}

/// Makes this process one that may make network namespaces, by a user namespace of its own where
/// it needs one, and says how. Only a process of a single thread can do that.
pub(super) fn become_able() -> Result<&'static str, String> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => return Ok("as root"),
        Err(Errno::EPERM) => {}
        Err(error) => return Err(error.desc().to_owned()),
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(|error| error.desc().to_owned())?;
    let map = |file: &str, text: String| {
        fs::write(format!("/proc/self/{file}"), text).map_err(|error| format!("{file}: {}", reason(&error)))
    };
    map("setgroups", "deny".to_owned())?;
    map("uid_map", format!("0 {user} 1"))?;
    map("gid_map", format!("0 {group} 1"))?;
    Ok("in a user namespace")
}

#[cfg(test)]
mod tests {
    use super::super::frames::{RawPort, honest};
    use super::*;
    use std::time::Duration;

    #[test]
    fn frames_and_datagrams_cross_the_stage() {
        let fabric = match Fabric::new() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                assert!(std::env::var_os("XENVNET_REQUIRE_KERNEL").is_none(), "namespaces are wanted: {error}");
                eprintln!("skipped: {error}");
                return;
            }
            fabric => fabric.unwrap(),
        };
        let (dom0, outside) = (RawPort::open(&fabric.dom0).unwrap(), RawPort::open(&fabric.outside).unwrap());
        let frame = honest(&fabric.guests[0], &fabric.guests[1]);
        dom0.send(&frame).unwrap();
        let arrived = outside.until(Duration::from_secs(2), |seen| seen == frame).unwrap();
        assert_eq!(arrived.last(), Some(&frame));

        let (asking, asked) = (fabric.dom0.udp(DOM0_OUTSIDE).unwrap(), fabric.outside.udp(OUTSIDE).unwrap());
        asked.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        asking.send_to(b"?", asked.local_addr().unwrap()).unwrap();
        let (_, peer) = asked.recv_from(&mut [0; 8]).unwrap();
        assert_eq!(peer, asking.local_addr().unwrap());
        assert_eq!(fabric.guests[0].namespace.setting("net/ipv6/conf/eth0/disable_ipv6").unwrap(), "1");
    }
}
