//! The only door to the kernel: observe, plan, apply with undo. One method a verb is in `verbs`.

mod change;
mod confirm;
mod observe;
mod pins;
mod undo;
mod verbs;

pub use confirm::{Sentinel, Unconfirmed};

use crate::edge::{Edge, transport};
use crate::error::{Error, ErrorKind, Result};
use crate::ifname::IfName;
use crate::mac::BridgeSeed;
use crate::namespace::Namespace;
use crate::needs::Needs;
use crate::netlink::channel::Channel;
use crate::netlink::link;
use crate::netlink::transport::{Kernel, Opener, Protocol};
use crate::operation::Operation;
use crate::plan::{Outcome, Plan, Step};
use crate::snapshot::Snapshot;
use crate::state::{self, State};
use crate::sysctl::Sysctls;
use crate::verify::Report;
use crate::watch::Watch;
use change::{Terms, carry_out};
use nix::libc;
use observe::{Knowing, evidence, observe};
use pins::Found;
use std::collections::BTreeSet;
use std::fmt;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use undo::{expect_settled, recover};

/// How a [`Host`] is opened.
///
/// ```no_run
/// use std::fs::File;
/// let netns = File::open("/run/netns/dom0")?.into();
/// let host = xenvnet_core::Host::options().netns(netns).state_dir("/run/xenvnet").open()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Default)]
pub struct HostOptions {
    netns: Option<OwnedFd>,
    state: Option<PathBuf>,
    opener: Option<Box<Opener>>,
    dares_network_root: bool,
}

impl HostOptions {
    /// In the network namespace of this descriptor (`/run/netns/NAME`, `/proc/PID/ns/net`), not in
    /// that of the calling thread, which never moves. Needs CAP_SYS_ADMIN in the user namespace
    /// that owns it.
    ///
    /// ```no_run
    /// # use xenvnet_core::Host;
    /// let netns = std::fs::File::open("/run/netns/dom0")?.into();
    /// let host = Host::options().netns(netns).open()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn netns(mut self, netns: OwnedFd) -> HostOptions {
        self.netns = Some(netns);
        self
    }

    /// With this directory for the lock that hosts of one namespace share and for the journals of
    /// changes. It is made if it is not there, and must belong to the caller, who alone may write
    /// it. Unless told, `/run/xenvnet` for root (of the whole system, not of a user namespace), and
    /// none for others: calls of several processes then do not wait for each other, and nothing can
    /// be undone after a crash.
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::options().state_dir("/run/mytoolstack").open()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn state_dir(mut self, directory: impl Into<PathBuf>) -> HostOptions {
        self.state = Some(directory.into());
        self
    }

    /// Taking over the uplink also where the root file system is on the network and may be reached by
    /// it. Refused unless told so: nothing is lost as a rule, but where something goes wrong, nobody can
    /// run what would mend it.
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::options().even_with_network_root(true).open()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn even_with_network_root(mut self, dares: bool) -> HostOptions {
        self.dares_network_root = dares;
        self
    }

    /// With transports of the caller's making in place of the kernel's sockets. They are opened in
    /// the host's network namespace.
    ///
    /// ```no_run
    /// use xenvnet_core::{Host, transport};
    /// let host = Host::options().transport(transport::kernel).open()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    #[cfg(feature = "testing")]
    pub fn transport(
        mut self,
        open: impl Fn(crate::transport::Protocol) -> std::io::Result<Box<dyn crate::transport::Transport>>
        + Send
        + Sync
        + 'static,
    ) -> HostOptions {
        self.opener = Some(Box::new(open));
        self
    }

    /// Opens the host. Reading needs no privilege but for nf_tables; changing needs CAP_NET_ADMIN.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] for a namespace that may not be entered, [`ErrorKind::State`] for
    /// a state directory that cannot be used or trusted.
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::options().open()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn open(self) -> Result<Host> {
        let namespace = self.netns.map_or_else(Namespace::current, Namespace::given)?;
        let place = Place {
            namespace,
            state_dir: self.state.or_else(state::default_dir),
            opener: self.opener.unwrap_or_else(|| Box::new(|protocol| Ok(Box::new(Kernel::open(protocol)?)))),
            knowing: Knowing { bridge_seed: BridgeSeed::of(&identity()), dares: self.dares_network_root },
        };
        let inner = Mutex::new(place.open()?);
        Ok(Host { place, inner })
    }
}

impl fmt::Debug for HostOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostOptions")
            .field("netns", &self.netns)
            .field("state_dir", &self.state)
            .finish_non_exhaustive()
    }
}

/// What systemd knows this host by (machine-id(5)), else its name.
fn identity() -> Vec<u8> {
    let id = std::fs::read("/etc/machine-id").unwrap_or_default();
    match id.trim_ascii() {
        b"" => std::fs::read("/proc/sys/kernel/hostname").unwrap_or_default().trim_ascii().to_vec(),
        id => id.to_vec(),
    }
}

/// Where a host is: enough to open it again.
struct Place {
    namespace: Namespace,
    state_dir: Option<PathBuf>,
    opener: Box<Opener>,
    knowing: Knowing,
}

impl Place {
    fn open(&self) -> Result<Inner> {
        let opened = self.namespace.run(|| (Edge::open(&*self.opener), Sysctls::open().ok()))?;
        let state = self.state_dir.as_deref().map(|base| State::open(base, &self.namespace)).transpose()?;
        Ok(Inner { process: std::process::id(), edge: opened.0?, sysctls: opened.1, state })
    }
}

impl Place {
    /// By a socket of its own.
    fn wait_for_carrier(&self, name: IfName, what: &str, within: Duration) -> Result<bool> {
        let failed = |error: &std::io::Error| transport(what, error);
        let opened = self.namespace.run(|| (self.opener)(Protocol::Route))?;
        let mut route = Channel::new(opened.map_err(|error| failed(&error))?);
        let mut is_there = true;
        let came = route.until(link::CHANGES, within, |route| {
            let answers = route.query(&[link::get(name)])?;
            let seen = answers.first().and_then(|answer| answer.messages.first());
            is_there = seen.is_some();
            Ok(seen.is_none_or(|(_, body)| link::is_sending(body).0))
        });
        let came = came.map_err(|error| failed(&error))?;
        match is_there {
            true => Ok(came),
            false => Err(Error::cannot(ErrorKind::NotFound, what, format!("no interface named {name}"))),
        }
    }
}

/// What is open.
struct Inner {
    process: u32,
    edge: Edge,
    sysctls: Option<Sysctls>,
    state: Option<State>,
}

/// A host's network: opened once, kept as long as the program lives, shared between threads.
///
/// Each call is one transaction: it waits for calls of other threads and processes that are at
/// work, sees what is there, changes what differs, and puts everything back if a step fails. It can
/// be used on both sides of a `fork(2)`, if no other thread was inside of a call at that moment.
///
/// All changing calls need CAP_NET_ADMIN in the host's network namespace.
///
/// ```no_run
/// use xenvnet_core::{Antispoof, Attachment, Bridge, Host};
/// let host = Host::open()?;
/// host.create_bridge(&Bridge::new("xenbr0".parse()?).address("10.98.98.1/24".parse().unwrap()))?;
/// let lock = Antispoof::new("00:16:3e:00:00:01".parse()?).ip("10.98.98.2".parse().unwrap());
/// host.attach_vif(&Attachment::bridged("vif1.0".parse()?, "xenbr0".parse()?, lock))?;
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
pub struct Host {
    place: Place,
    inner: Mutex<Inner>,
}

impl Host {
    /// This host, in the network namespace of the calling thread.
    ///
    /// # Errors
    /// Those of [`HostOptions::open`].
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::open()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn open() -> Result<Host> {
        HostOptions::default().open()
    }

    /// To open a host in another namespace, or with another state directory.
    ///
    /// ```
    /// let options = xenvnet_core::Host::options();
    /// ```
    pub fn options() -> HostOptions {
        HostOptions::default()
    }

    /// The part of the host's state that some operations need: what their plans are made from.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`], and whatever the kernel refuses to tell.
    ///
    /// ```no_run
    /// # use xenvnet_core::{Host, Operation};
    /// let host = Host::open()?;
    /// let seen = host.observe(&[Operation::DetachVif { vif: "vif1.0".parse()? }])?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn observe(&self, operations: &[Operation]) -> Result<Snapshot> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let _held = state.as_mut().map(State::lock).transpose()?;
        observe(edge, sysctls.as_ref(), self.place.knowing, operations, false)
    }

    /// The whole state, for reports.
    ///
    /// # Errors
    /// Those of [`Host::observe`].
    ///
    /// ```no_run
    /// let everything = xenvnet_core::Host::open()?.snapshot()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn snapshot(&self) -> Result<Snapshot> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls: settings, state, .. } = &mut *inner;
        let _held = state.as_mut().map(State::lock).transpose()?;
        observe::everything(edge, settings.as_ref(), self.place.knowing)
    }

    /// What some operations, one after the other, would change: a dry run.
    ///
    /// # Errors
    /// Those of [`Operation::plan`] and [`Host::observe`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Bridge, Host, Operation};
    /// let operation = Operation::CreateBridge(Bridge::new("xenbr0".parse()?));
    /// print!("{}", Host::open()?.plan(&[operation])?);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn plan(&self, operations: &[Operation]) -> Result<Plan> {
        Operation::plan_all(operations, &self.observe(operations)?)
    }

    /// Carries out a plan, all of it or nothing: when a step fails, those before it are put back.
    ///
    /// A plan that was made earlier acts on the interfaces that have those names now.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] where a change was cut off in the middle, by a crash say: it is to be put back
    /// first ([`Host::undo`]), and the plan to be made anew.
    /// [`ErrorKind::InvalidArgument`] for the repair of a [`Report`], which says what all tables are to
    /// hold and would be wrong by now: [`Host::repair`] looks anew. The failed step's; [`ErrorKind::Undo`] when putting back failed as well.
    ///
    /// ```no_run
    /// # use xenvnet_core::{Bridge, Host, Operation};
    /// let host = Host::open()?;
    /// let plan = host.plan(&[Operation::CreateBridge(Bridge::new("xenbr0".parse()?))])?;
    /// host.apply(&plan)?;
    /// host.apply(&plan.inverse())?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn apply(&self, plan: &Plan) -> Result<Outcome> {
        if plan.is_empty() {
            return Ok(Outcome::Unchanged);
        }
        if plan.steps().iter().any(|step| matches!(step, Step::Restore { .. })) {
            let why = "it says what all tables held when they were looked at";
            return Err(Error::cannot(ErrorKind::InvalidArgument, "carry out a repair that was planned before", why)
                .with_advice("let `repair` look anew: xenvnet verify --repair"));
        }
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let held = state.as_mut().map(State::lock).transpose()?;
        if let Some(held) = &held {
            expect_settled(held, "carry out the plan")?;
        }
        let links = named(plan);
        let seen = edge.observe("carry out the plan", &Needs { links, ..Needs::default() })?;
        carry_out(edge, sysctls.as_ref(), held, &seen, plan, Terms::default()).map_err(|failure| failure.error)?;
        Ok(Outcome::Changed)
    }

    /// Waits until an interface has its carrier, at most this long, by the kernel's own word; `false`
    /// says that it has none. Other calls do not wait for this one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] where there is no such interface, or not any more; those of
    /// [`Host::observe`].
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// let host = xenvnet_core::Host::open()?;
    /// assert!(host.wait_for_carrier("eth0".parse()?, Duration::from_secs(10))?);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn wait_for_carrier(&self, link: IfName, within: Duration) -> Result<bool> {
        let what = format!("wait for the carrier of {link}");
        self.place.wait_for_carrier(link, &what, within)
    }

    /// Hears of changes of this host from now on.
    ///
    /// # Errors
    /// [`ErrorKind::Permission`] without CAP_NET_ADMIN in the host's network namespace.
    ///
    /// ```no_run
    /// let mut watch = xenvnet_core::Host::open()?.watch()?;
    /// watch.wait(std::time::Duration::from_secs(60))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn watch(&self) -> Result<Watch> {
        Watch::open(&self.place.namespace)
    }

    /// A folder of this name within the folder that this host has in the state directory, made if it is
    /// not there: for what a program keeps of this host as long as it runs. Nobody else may write it.
    ///
    /// # Errors
    /// [`ErrorKind::State`] without a state directory, and for a folder that cannot be trusted;
    /// [`ErrorKind::InvalidArgument`] for a name that is none.
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::options().state_dir("/run/mytoolstack").open()?;
    /// let folder = host.state_folder("leases")?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn state_folder(&self, name: &str) -> Result<PathBuf> {
        let inner = self.inner()?;
        let state = inner.state.as_ref().ok_or_else(|| {
            let why = "this host was opened without a state directory";
            Error::cannot(ErrorKind::State, format!("keep {name}"), why)
                .with_advice("open it with one: --state-dir DIR")
        });
        state?.folder(name)
    }

    /// Brings one operation about.
    ///
    /// # Errors
    /// Those of [`Operation::plan`], [`Host::observe`] and [`Host::apply`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Host, Operation};
    /// Host::open()?.run(&Operation::DetachVif { vif: "vif1.0".parse()? })?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn run(&self, operation: &Operation) -> Result<Outcome> {
        self.run_all(std::slice::from_ref(operation))
    }

    /// Brings several operations about, one after the other, all of them or none.
    ///
    /// # Errors
    /// Those of [`Host::run`].
    ///
    /// ```no_run
    /// # use xenvnet_core::{Bridge, Host, Operation};
    /// let bridges = ["xenbr0", "xenbr1"].map(|name| Operation::CreateBridge(Bridge::new(name.parse().unwrap())));
    /// Host::open()?.run_all(&bridges)?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn run_all(&self, operations: &[Operation]) -> Result<Outcome> {
        self.run_all_by(operations, None)
    }

    fn run_all_by(&self, operations: &[Operation], confirm_within: Option<Duration>) -> Result<Outcome> {
        let mut inner = self.inner()?;
        let mut found = Found::default();
        let mut tries = 4;
        loop {
            let Inner { edge, sysctls, state, .. } = &mut *inner;
            // Waiting is done before looking, so that what is seen stays so.
            let mut held = state.as_mut().map(State::lock).transpose()?;
            let what = operations.first().map(ToString::to_string).unwrap_or_default();
            if let Some(held) = &mut held {
                recover(edge, sysctls.as_ref(), held, &what)?;
            }
            let mut seen = observe(edge, sysctls.as_ref(), self.place.knowing, operations, found.facts)?;
            seen.pinned.clone_from(&found.pinned);
            let plan = Operation::plan_all(operations, &seen)?;
            if plan.is_empty() {
                // It is wanted as it is, and for good.
                if let (Some(held), None) = (&held, confirm_within) {
                    held.close_waiting(&operations.iter().flat_map(|operation| operation.networks(&seen)).collect())?;
                }
                return Ok(Outcome::Unchanged);
            }
            let is_networks =
                |operation: &Operation| matches!(operation, Operation::StartNetwork(_) | Operation::StopNetwork(_));
            let of_networks = operations.iter().all(is_networks);
            let terms = Terms { learned: found.learned.clone(), confirm_within, of_networks, what };
            let failure = match carry_out(edge, sysctls.as_ref(), held, &seen, &plan, terms) {
                Ok(()) => return Ok(Outcome::Changed),
                Err(failure) => failure,
            };
            tries -= 1;
            if tries == 0 || failure.error.kind() == ErrorKind::Undo {
                return Err(failure.error);
            }
            match (&*failure.step, failure.error.errno()) {
                // Gone between looking and doing, as a vif is when its guest dies: look again.
                (_, Some(libc::ENODEV)) => {}
                // Or a bridge, for which the kernel has other words.
                (Step::Enslave { .. } | Step::AddFdb { .. }, Some(libc::EINVAL)) => {}
                (Step::AddFdb { .. }, Some(libc::EOPNOTSUPP)) => {}
                // Perhaps somebody without our lock made the table first: look again.
                (Step::AddTable { .. }, Some(libc::EEXIST)) => {}
                // Somebody took an element away by hand: look at the sets themselves.
                (Step::SetGuard { .. }, Some(libc::ENOENT)) if !found.facts => found.facts = true,
                (Step::Enslave { .. } | Step::AddFdb { .. }, Some(libc::EEXIST)) => {
                    found.settle_pins(edge, &plan, &seen, failure.error)?;
                }
                _ => return Err(failure.error),
            }
        }
    }

    /// Whether the kernel still holds what was asked for: everything is read back and compared with
    /// what the locks' own comments tell, and where those are gone, with what this state directory
    /// remembers. Changes nothing on the host. What was set through another state directory, or before
    /// there was any, is remembered from then on.
    ///
    /// # Errors
    /// Those of [`Host::observe`].
    ///
    /// ```no_run
    /// let report = xenvnet_core::Host::open()?.verify()?;
    /// print!("{report}");
    /// assert!(report.is_sound());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn verify(&self) -> Result<Report> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let mut held = state.as_mut().map(State::lock).transpose()?;
        let evidence = evidence(edge, sysctls.as_ref(), self.place.knowing, held.as_mut())?;
        if let Some(held) = held.as_mut().filter(|_| !evidence.cut_off) {
            let noted = held.asked_for(&evidence.unremembered());
            noted.unwrap_or_else(|error| log::warn!("what stands could not be noted: {error}"));
        }
        Ok(evidence.report())
    }

    /// Mends what [`Host::verify`] finds and what can be mended, the rules in one transaction. Returns
    /// what was found before.
    ///
    /// # Errors
    /// Those of [`Host::verify`] and [`Host::apply`].
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::open()?;
    /// host.repair()?;
    /// assert!(host.verify()?.is_sound());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn repair(&self) -> Result<Report> {
        let mut inner = self.inner()?;
        let mut first = None;
        let mut tries = 4;
        loop {
            let Inner { edge, sysctls, state, .. } = &mut *inner;
            let mut held = state.as_mut().map(State::lock).transpose()?;
            let mut evidence = evidence(edge, sysctls.as_ref(), self.place.knowing, held.as_mut())?;
            if let Some(held) = held.as_mut().filter(|_| evidence.cut_off) {
                let mut report = evidence.report();
                let back = recover(edge, sysctls.as_ref(), held, "repair what was found")?;
                report.repair = back.then(report.repair);
                first.get_or_insert(report);
                evidence = observe::evidence(edge, sysctls.as_ref(), self.place.knowing, Some(held))?;
            }
            let report = evidence.report();
            let done = match report.repair.is_empty() {
                true => Ok(()),
                false => {
                    let terms = Terms { learned: evidence.learned(), ..Terms::default() };
                    carry_out(edge, sysctls.as_ref(), held, &evidence.now, &report.repair, terms)
                }
            };
            let first = first.get_or_insert(report);
            tries -= 1;
            match done {
                Ok(()) => return Ok(std::mem::take(first)),
                // A guest died between looking and mending: look again.
                Err(failure) if tries > 0 && failure.error.errno() == Some(libc::ENODEV) => {}
                Err(failure) => return Err(failure.error),
            }
        }
    }

    /// What is open; without a state directory, opened anew in a forked child.
    fn inner(&self) -> Result<MutexGuard<'_, Inner>> {
        // A panic elsewhere left no half-done value behind: everything in here can be used as it is.
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        // A parent and its forked child would steal each other's answers. Where there is a state
        // directory its lock keeps them apart, and no system call is spent on asking.
        if self.place.state_dir.is_none() && inner.process != std::process::id() {
            *inner = self.place.open()?;
        }
        Ok(inner)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("namespace", &self.place.namespace.id).finish_non_exhaustive()
    }
}

fn state_of<'a>(state: &'a mut Option<State>, what: &str) -> Result<&'a mut State> {
    state.as_mut().ok_or_else(|| {
        Error::cannot(ErrorKind::State, what, "this host was opened without a state directory")
            .with_advice("open it with one: changes are then written down before they begin")
    })
}

/// The interfaces that a plan names.
fn named(plan: &Plan) -> BTreeSet<IfName> {
    plan.steps().iter().flat_map(Step::links).collect()
}
