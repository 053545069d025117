//! One method a verb.

use super::Host;
#[cfg(doc)]
use crate::ErrorKind;
use crate::antispoof::Lock;
use crate::bridge::Bridge;
use crate::dom0::Dom0;
use crate::error::Result;
use crate::forward::{Dom0Port, Forward};
use crate::ifname::IfName;
use crate::masquerade::Masquerade;
use crate::network::Network;
use crate::operation::Operation;
use crate::plan::Outcome;
use crate::vif::Attachment;

/// # One method a verb
/// Each is [`Host::run`] with the [`Operation`] of its name.
impl Host {
    /// A bridge is there, has these settings and addresses, and is up.
    ///
    /// # Errors
    /// [`ErrorKind::AlreadyExists`] when the name is that of another kind of interface; those of
    /// [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Bridge, Host};
    /// Host::open()?.create_bridge(&Bridge::new("xenbr0".parse()?))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn create_bridge(&self, bridge: &Bridge) -> Result<Outcome> {
        self.run(&Operation::CreateBridge(bridge.clone()))
    }

    /// A bridge is not there. Its ports are released; guests' interfaces are down then.
    ///
    /// Undone, it comes back with its name, MAC, MTU, STP, addresses, direct routes, and its ports
    /// with the flags of [`PortState`](crate::PortState); routes through gateways, labels and
    /// lifetimes of addresses and further options of bridge and ports do not.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when it is no bridge; those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.delete_bridge("xenbr0".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn delete_bridge(&self, bridge: IfName) -> Result<Outcome> {
        self.run(&Operation::DeleteBridge { bridge })
    }

    /// An interface is a port of a bridge. It is neither set up nor locked by this; see
    /// [`Host::attach_vif`] for the whole.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] when it is a port of another bridge; those
    /// of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.enslave_vif("vif1.0".parse()?, "xenbr0".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn enslave_vif(&self, vif: IfName, bridge: IfName) -> Result<Outcome> {
        self.run(&Operation::EnslaveVif { vif, bridge })
    }

    /// An interface is a port of no bridge. A guest's is down then.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.release_vif("vif1.0".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn release_vif(&self, vif: IfName) -> Result<Outcome> {
        self.run(&Operation::ReleaseVif { vif })
    }

    /// Nothing leaves a guest's interface but what its lock names. A lock that is there is changed
    /// in one transaction: no frame slips through in between, and none that both allow is lost.
    ///
    /// The filter covers bridged interfaces. Needs nf_tables for bridges with sets of
    /// concatenated ranges (Linux 5.6), and 5.18 for the port's own lock beneath the rules.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::InvalidArgument`], [`ErrorKind::Unsupported`] on a
    /// kernel without nf_tables, [`ErrorKind::Conflict`] for a MAC that is pinned to another port;
    /// those of [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Antispoof, Host};
    /// let lock = Antispoof::new("00:16:3e:00:00:01".parse()?).ip("10.98.98.2".parse().unwrap());
    /// Host::open()?.set_antispoof("vif1.0".parse()?, lock)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn set_antispoof(&self, vif: IfName, lock: impl Into<Lock>) -> Result<Outcome> {
        self.run(&Operation::SetAntispoof { vif, lock: lock.into() })
    }

    /// Everything leaves an interface.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`]; those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.clear_antispoof("vif1.0".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn clear_antispoof(&self, vif: IfName) -> Result<Outcome> {
        self.run(&Operation::ClearAntispoof { vif })
    }

    /// A subnet speaks to the outside with dom0's address. Whether dom0 forwards at all is another
    /// matter: see [`Host::start_network`]. Needs Linux 5.2 (NAT in tables of family inet).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`], also for an uplink that is a port of a bridge, by which nothing of
    /// dom0's leaves; [`ErrorKind::Unsupported`]; those of [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Host, Masquerade};
    /// Host::open()?.masquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap()))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn masquerade_subnet(&self, masquerade: &Masquerade) -> Result<Outcome> {
        self.run(&Operation::MasqueradeSubnet(masquerade.clone()))
    }

    /// A subnet speaks to the outside with its own addresses.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Host, Masquerade};
    /// Host::open()?.unmasquerade_subnet(&Masquerade::new("10.98.98.0/24".parse().unwrap()))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn unmasquerade_subnet(&self, masquerade: &Masquerade) -> Result<Outcome> {
        self.run(&Operation::UnmasqueradeSubnet(masquerade.clone()))
    }

    /// A port of dom0 leads to a port of a guest. Needs nft_fib and Linux 5.6.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when the port leads to another guest already, [`ErrorKind::InvalidArgument`],
    /// [`ErrorKind::Unsupported`]; those of [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Forward, Host};
    /// Host::open()?.forward_port(&Forward::new("tcp:8080".parse()?, "10.98.98.2:80".parse().unwrap()))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn forward_port(&self, forward: &Forward) -> Result<Outcome> {
        self.run(&Operation::ForwardPort(forward.clone()))
    }

    /// A port of dom0 leads to no guest, by IPv4 or IPv6. Connections that are open stay so.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.unforward_port("tcp:8080".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn unforward_port(&self, port: Dom0Port) -> Result<Outcome> {
        self.run(&Operation::UnforwardPort { port })
    }

    /// A vif is named, sized, locked, enslaved and up, in the order that never leaves it up
    /// without its lock: the filter stands and the port was read back before it goes up.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`], [`ErrorKind::AlreadyExists`] for a name that is taken,
    /// [`ErrorKind::Conflict`] for a MAC that is pinned to another port; those of [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Antispoof, Attachment, Host};
    /// let lock = Antispoof::new("00:16:3e:00:00:01".parse()?).ip("10.98.98.2".parse().unwrap());
    /// Host::open()?.attach_vif(&Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, lock))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn attach_vif(&self, attachment: &Attachment) -> Result<Outcome> {
        self.attach_vifs(std::slice::from_ref(attachment))
    }

    /// Many vifs at once, all of them or none: one transaction of filters, one of links.
    ///
    /// # Errors
    /// Those of [`Host::attach_vif`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Attachment, Host, Lock};
    /// let all = ["vif1.0", "vif2.0"].map(|vif| {
    ///     Attachment::bridged(vif.parse().unwrap(), "xenbr0".parse().unwrap(), Lock::Disabled)
    /// });
    /// Host::open()?.attach_vifs(&all)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn attach_vifs(&self, attachments: &[Attachment]) -> Result<Outcome> {
        let operations: Vec<_> = attachments.iter().cloned().map(Operation::AttachVif).collect();
        self.run_all(&operations)
    }

    /// A vif is down, off its bridge, its lock and its drop counters gone. It may have vanished
    /// already: what is left of it goes all the same.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.detach_vif("vif1.0".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn detach_vif(&self, vif: IfName) -> Result<Outcome> {
        self.run(&Operation::DetachVif { vif })
    }

    /// Sets what the guests behind an interface, a bridge or a routed vif, reach on dom0 itself.
    ///
    /// # Errors
    /// Those of [`Dom0::validate`] and [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Dom0, Host};
    /// Host::open()?.set_dom0("xenbr0".parse()?, "services(dhcp,dns)".parse::<Dom0>()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn set_dom0(&self, interface: IfName, access: Dom0) -> Result<Outcome> {
        self.run(&Operation::SetDom0 { interface, access })
    }

    /// What a guest sent and received is counted no longer, and what was counted is forgotten; see
    /// [`Account`](crate::Account). Undone, it goes on from what it had counted.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.forget_account("web".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn forget_account(&self, name: IfName) -> Result<Outcome> {
        self.run(&Operation::ForgetAccount { name })
    }

    /// A network runs. Dom0 forwards then; with IPv6 it no longer takes router advertisements
    /// unless `accept_ra` is 2 (Documentation/networking/ip-sysctl).
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when another one runs on its bridge, [`ErrorKind::AlreadyExists`]
    /// when an interface has the bridge's name; those of [`Host::run`].
    ///
    /// ```no_run
    /// let network = "network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24".parse()?;
    /// xenvnet_core::Host::open()?.start_network(&network)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn start_network(&self, network: &Network) -> Result<Outcome> {
        self.run(&Operation::StartNetwork(network.clone()))
    }

    /// A network does not run; the forwarding setting of its address family is as it was before the
    /// first of them. The kernel sets the interfaces' own forwarding settings with it, both ways: where
    /// these differed, they no longer do.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.stop_network(&"network-virtual".parse()?)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn stop_network(&self, network: &Network) -> Result<Outcome> {
        self.run(&Operation::StopNetwork(network.clone()))
    }
}
