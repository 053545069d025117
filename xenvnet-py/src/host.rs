//! `Host`: the only door to the kernel. The interpreter is let go around every call.

use crate::antispoof::LockArg;
use crate::attachment::Attachment;
use crate::bridge::BridgeArg;
use crate::convert::{Name, OneOrMany, wrong_type};
use crate::dom0::Dom0Arg;
use crate::error::{raise, unmeant};
use crate::forward::{Dom0Port, ForwardArg};
use crate::logger;
use crate::masquerade::MasqueradeArg;
use crate::network::NetworkArg;
use crate::operation::Operation;
use crate::plan::Plan;
use crate::report::Report;
use crate::sentinel::Sentinel;
use crate::snapshot::Snapshot;
use crate::watch::Watch;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyDelta;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use xenvnet_core::Operation as Asked;

/// A host's network, opened once and kept: sockets to the kernel in one network namespace.
///
/// It may be shared between threads, and used after os.fork() by both processes: with a state
/// directory they share its sockets, under a lock that keeps them apart; without one the child's
/// first call opens its own. Never fork while another thread is inside a call. Every verb returns
/// whether it had to change anything; asking for what is so already is no error. When a step fails,
/// what was done before it is put back.
///
/// Each step is logged by the logger "xenvnet" at level DEBUG. A handler must not call the Host
/// whose step it is given: that one is at work.
#[pyclass(frozen, module = "xenvnet")]
pub(crate) struct Host {
    /// `None` once closed. Held for no longer than it takes to copy the pointer, so that threads
    /// do not wait for each other's calls here.
    open: Mutex<Option<Arc<xenvnet_core::Host>>>,
}

#[pymethods]
impl Host {
    /// Opens the network namespace of the calling thread, or another: the path of one
    /// (/run/netns/NAME, /proc/PID/ns/net), or a descriptor of it, which stays the caller's.
    ///
    /// state_dir keeps locks and the undo journal; without it they are in /run/xenvnet for root,
    /// and nowhere for others.
    ///
    /// even_with_network_root takes over an uplink also where the root file system is on the network
    /// and may be reached by it: nothing is lost as a rule, but where something goes wrong, nobody can
    /// run what would mend it.
    #[new]
    #[pyo3(signature = (*, netns = None, state_dir = None, even_with_network_root = false))]
    fn new(
        py: Python<'_>,
        netns: Option<Netns>,
        state_dir: Option<PathBuf>,
        even_with_network_root: bool,
    ) -> PyResult<Host> {
        let mut options = xenvnet_core::Host::options().even_with_network_root(even_with_network_root);
        if let Some(netns) = netns {
            options = options.netns(netns.0);
        }
        if let Some(dir) = state_dir {
            options = options.state_dir(dir);
        }
        let host = detached(py, || options.open())?;
        Ok(Host { open: Mutex::new(Some(Arc::new(host))) })
    }

    /// Whether it was closed.
    #[getter]
    fn closed(&self) -> bool {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Closes its sockets, when the calls that still run have ended. May be called again.
    fn close(&self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    fn __enter__(slf: Bound<'_, Self>) -> PyResult<Bound<'_, Self>> {
        slf.get().host()?;
        Ok(slf)
    }

    #[pyo3(signature = (exc_type = None, exc_value = None, traceback = None, /))]
    fn __exit__(
        &self,
        exc_type: Option<&Bound<'_, PyAny>>,
        exc_value: Option<&Bound<'_, PyAny>>,
        traceback: Option<&Bound<'_, PyAny>>,
    ) {
        let _ = (exc_type, exc_value, traceback);
        self.close();
    }

    fn __repr__(&self) -> &'static str {
        if self.closed() { "<xenvnet.Host, closed>" } else { "<xenvnet.Host, open>" }
    }

    /// A bridge is there, has these settings and addresses, and is up.
    fn create_bridge(&self, py: Python<'_>, bridge: BridgeArg) -> PyResult<bool> {
        self.ask(py, Asked::CreateBridge(bridge.0))
    }

    /// A bridge is not there; its ports are released. Undoing this brings back its name, MAC
    /// address, MTU, STP, addresses, direct routes and ports; routes through gateways and other
    /// options are lost.
    fn delete_bridge(&self, py: Python<'_>, bridge: Name) -> PyResult<bool> {
        self.ask(py, Asked::DeleteBridge { bridge: bridge.0 })
    }

    /// An interface is a port of a bridge.
    fn enslave_vif(&self, py: Python<'_>, vif: Name, bridge: Name) -> PyResult<bool> {
        self.ask(py, Asked::EnslaveVif { vif: vif.0, bridge: bridge.0 })
    }

    /// An interface is a port of no bridge.
    fn release_vif(&self, py: Python<'_>, vif: Name) -> PyResult<bool> {
        self.ask(py, Asked::ReleaseVif { vif: vif.0 })
    }

    /// A guest's interface is held to what it may send: an Antispoof, Lock.DISABLED or
    /// Lock.UNLOCKED. Where it is up and no port of a bridge, it is held where its frames come in.
    fn set_antispoof(&self, py: Python<'_>, vif: Name, lock: LockArg) -> PyResult<bool> {
        self.ask(py, Asked::SetAntispoof { vif: vif.0, lock: lock.0 })
    }

    /// A guest's interface is held to nothing.
    fn clear_antispoof(&self, py: Python<'_>, vif: Name) -> PyResult<bool> {
        self.ask(py, Asked::ClearAntispoof { vif: vif.0 })
    }

    /// A subnet speaks to the outside with dom0's address.
    fn masquerade_subnet(&self, py: Python<'_>, subnet: MasqueradeArg) -> PyResult<bool> {
        self.ask(py, Asked::MasqueradeSubnet(subnet.0))
    }

    /// A subnet speaks to the outside with its own addresses.
    fn unmasquerade_subnet(&self, py: Python<'_>, subnet: MasqueradeArg) -> PyResult<bool> {
        self.ask(py, Asked::UnmasqueradeSubnet(subnet.0))
    }

    /// A port of dom0 leads to a port of a guest: a Forward, or its text, such as
    /// "tcp:8080 to 10.98.98.2:80". Whether dom0 forwards at all is a matter of the network.
    fn forward_port(&self, py: Python<'_>, forward: ForwardArg) -> PyResult<bool> {
        self.ask(py, Asked::ForwardPort(forward.0))
    }

    /// A port of dom0, such as "tcp:8080", leads to no guest, by IPv4 or IPv6. Connections that are
    /// open stay so.
    fn unforward_port(&self, py: Python<'_>, port: Dom0Port) -> PyResult<bool> {
        self.ask(py, Asked::UnforwardPort { port: port.0 })
    }

    /// A vif is named, sized, locked, enslaved or routed, and up, in the safe order. Where both
    /// vifD.N and vifD.N-emu of a guest are attached to a bridge, they are one card with one lock.
    fn attach_vif(&self, py: Python<'_>, attachment: Attachment) -> PyResult<bool> {
        self.ask(py, Asked::AttachVif(attachment.0))
    }

    /// Many vifs in one go: all of them or none.
    fn attach_vifs(&self, py: Python<'_>, attachments: OneOrMany<Attachment>) -> PyResult<bool> {
        let all: Vec<_> = attachments.0.into_iter().map(|attachment| attachment.0).collect();
        self.call(py, |host| host.attach_vifs(&all)).map(xenvnet_core::Outcome::is_changed)
    }

    /// A vif is down, off its bridge or its routes gone, and its lock. It may have vanished already.
    /// Where it was renamed, either name will do: the one it has now, or the one that netback gave it.
    fn detach_vif(&self, py: Python<'_>, vif: Name) -> PyResult<bool> {
        self.ask(py, Asked::DetachVif { vif: vif.0 })
    }

    /// The guests behind an interface, a bridge or a routed vif, reach this on dom0 itself: a Dom0,
    /// or its text, such as "closed" or "services(dns,icmp)". The interface need not be there yet.
    fn set_dom0(&self, py: Python<'_>, interface: Name, access: Dom0Arg) -> PyResult<bool> {
        self.ask(py, Asked::SetDom0 { interface: interface.0, access: access.0 })
    }

    /// What a guest sent and received is counted no longer, and what was counted is forgotten: an Account
    /// of Snapshot.accounts. No interface need have that name any more, and one that has it stays as it
    /// is. Undone, it goes on from what it had counted.
    fn forget_account(&self, py: Python<'_>, name: Name) -> PyResult<bool> {
        self.ask(py, Asked::ForgetAccount { name: name.0 })
    }

    /// A network runs. An UnsupportedError where a setting that it needs cannot be read.
    fn start_network(&self, py: Python<'_>, network: NetworkArg) -> PyResult<bool> {
        self.ask(py, Asked::StartNetwork(network.0))
    }

    /// A network does not run: an uplink has again what a bridge took over from it. With the last
    /// network of an address family the host's forwarding goes back to what it was; the kernel sets
    /// that of every interface with it.
    fn stop_network(&self, py: Python<'_>, network: NetworkArg) -> PyResult<bool> {
        self.ask(py, Asked::StopNetwork(network.0))
    }

    /// Everything, for status.
    fn snapshot(&self, py: Python<'_>) -> PyResult<Snapshot> {
        self.call(py, |host| host.snapshot()).map(Snapshot)
    }

    /// Only what the operations depend on, whatever the size of the host.
    fn observe(&self, py: Python<'_>, operations: OneOrMany<Operation>) -> PyResult<Snapshot> {
        let operations = plain(operations);
        self.call(py, |host| host.observe(&operations)).map(Snapshot)
    }

    /// What the operations would change, one after the other. Nothing is changed.
    fn plan(&self, py: Python<'_>, operations: OneOrMany<Operation>) -> PyResult<Plan> {
        let operations = plain(operations);
        self.call(py, |host| host.plan(&operations)).map(Plan)
    }

    /// Carries a plan out: all of it or, when a step fails, nothing.
    fn apply(&self, py: Python<'_>, plan: &Plan) -> PyResult<bool> {
        self.call(py, |host| host.apply(&plan.0)).map(xenvnet_core::Outcome::is_changed)
    }

    /// Waits until an interface has its carrier, at most this long: seconds, or a timedelta. False where
    /// it has none by then. Other calls do not wait for this one.
    #[pyo3(signature = (link, *, within))]
    fn wait_for_carrier(&self, py: Python<'_>, link: Name, within: Within) -> PyResult<bool> {
        self.call(py, |host| host.wait_for_carrier(link.0, within.0))
    }

    /// Brings one operation about.
    fn run(&self, py: Python<'_>, operation: Operation) -> PyResult<bool> {
        self.ask(py, operation.0)
    }

    /// Brings several operations about, in this order: all of them or none.
    fn run_all(&self, py: Python<'_>, operations: OneOrMany<Operation>) -> PyResult<bool> {
        let operations = plain(operations);
        self.call(py, |host| host.run_all(&operations)).map(xenvnet_core::Outcome::is_changed)
    }

    /// Brings several operations about like run_all, to be put back unless confirm is called within
    /// this time, by whatever process: seconds, or a timedelta. What puts them back is a Sentinel in
    /// another process, also when this one dies in the middle; a StateError where none is on the watch.
    #[pyo3(signature = (operations, *, within))]
    fn run_provisionally(&self, py: Python<'_>, operations: OneOrMany<Operation>, within: Within) -> PyResult<bool> {
        let operations = plain(operations);
        self.call(py, |host| host.run_provisionally(&operations, within.0)).map(xenvnet_core::Outcome::is_changed)
    }

    /// What was done provisionally stays. False where nothing was, or where it was put back already.
    fn confirm(&self, py: Python<'_>) -> PyResult<bool> {
        self.call(py, |host| host.confirm()).map(xenvnet_core::Outcome::is_changed)
    }

    /// Goes on the watch over provisional changes of this host, until it leaves or is closed. One at a
    /// time: a BusyError where another one is. It belongs into a process of its own.
    fn sentinel(&self, py: Python<'_>) -> PyResult<Sentinel> {
        let host = self.host()?;
        detached(py, || Sentinel::of(host))
    }

    /// Whether the kernel still holds what was asked for. Everything is read back and compared with
    /// what the state directory remembers or, where it remembers nothing, with what the comments of
    /// the locks say. Nothing is changed.
    fn verify(&self, py: Python<'_>) -> PyResult<Report> {
        self.call(py, |host| host.verify()).map(Report)
    }

    /// Mends what verify finds and what can be mended. Returns what was found before.
    fn repair(&self, py: Python<'_>) -> PyResult<Report> {
        self.call(py, |host| host.repair()).map(Report)
    }

    /// Clears away what dead guests left: elements of the tables that are about interfaces that are
    /// gone, and hooks of them. What else is wrong stays as it is; accounts stay, they belong to names.
    /// Returns what was found, and went.
    fn gc(&self, py: Python<'_>) -> PyResult<Report> {
        self.call(py, |host| host.gc()).map(Report)
    }

    /// Hears of changes of this host from now on, until it is closed.
    fn watch(&self, py: Python<'_>) -> PyResult<Watch> {
        self.call(py, Watch::of)
    }

    /// Writes what Snapshot.operations tells of this host into a file, for restore: which its owner alone
    /// may read, in the place of the former one at once. Its folder is made if it is not there, and must
    /// belong to the caller, who alone may write it. Returns what was written.
    #[pyo3(signature = (file, /))]
    fn save(&self, py: Python<'_>, file: PathBuf) -> PyResult<Vec<Operation>> {
        let operations = self.call(py, |host| host.save(file))?;
        Ok(operations.into_iter().map(Operation).collect())
    }

    /// Brings about what save wrote: first mends what repair mends, then does what is missing, all of it
    /// or nothing. It serves after a reboot, and where others flushed the rules under running guests.
    /// Where an interface that is needed is not there yet, it is waited for, at most this long: seconds,
    /// or a timedelta.
    ///
    /// Nothing is changed by a NotFoundError for a file that is not there, an UnsupportedError for one of
    /// a newer version, a ParseError for one that was cut off, a StateError for one that cannot be
    /// trusted.
    #[pyo3(signature = (file, /, *, within = Within(Duration::ZERO)))]
    fn restore(&self, py: Python<'_>, file: PathBuf, within: Within) -> PyResult<bool> {
        self.call(py, |host| host.restore(file, within.0)).map(xenvnet_core::Outcome::is_changed)
    }

    /// What restore would change by now. Nothing is changed.
    #[pyo3(signature = (file, /))]
    fn plan_restore(&self, py: Python<'_>, file: PathBuf) -> PyResult<Plan> {
        self.call(py, |host| host.plan_restore(file)).map(Plan)
    }

    /// What undo would do. Nothing is changed.
    fn plan_undo(&self, py: Python<'_>) -> PyResult<Plan> {
        self.call(py, |host| host.plan_undo()).map(Plan)
    }

    /// Puts the last change back that was made through the state directory, by whatever process, all
    /// of it or nothing; one that was cut off in the middle as far as it went. ConflictError where the
    /// host was changed since so that others' work would be undone as well.
    fn undo(&self, py: Python<'_>) -> PyResult<bool> {
        self.call(py, |host| host.undo()).map(xenvnet_core::Outcome::is_changed)
    }

    /// What was cut off in the middle stays as it is: nobody puts it back any more.
    fn forget_cut_off(&self, py: Python<'_>) -> PyResult<bool> {
        self.call(py, |host| host.forget_cut_off()).map(xenvnet_core::Outcome::is_changed)
    }
}

impl Host {
    fn host(&self) -> PyResult<Arc<xenvnet_core::Host>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.clone().ok_or_else(|| PyValueError::new_err("the Host is closed"))
    }

    fn call<T: Send>(
        &self,
        py: Python<'_>,
        call: impl FnOnce(&xenvnet_core::Host) -> xenvnet_core::Result<T> + Send,
    ) -> PyResult<T> {
        let host = self.host()?;
        detached(py, || {
            let result = call(&host);
            drop(host);
            result
        })
    }

    fn ask(&self, py: Python<'_>, operation: Asked) -> PyResult<bool> {
        self.call(py, |host| host.run(&operation)).map(xenvnet_core::Outcome::is_changed)
    }
}

/// Waits for the kernel without the interpreter.
pub(crate) fn detached<T: Send>(py: Python<'_>, call: impl FnOnce() -> xenvnet_core::Result<T> + Send) -> PyResult<T> {
    logger::follow_level(py)?;
    let result = py.detach(call);
    logger::raised(py)?;
    result.map_err(raise)
}

fn plain(operations: OneOrMany<Operation>) -> Vec<Asked> {
    operations.0.into_iter().map(|operation| operation.0).collect()
}

/// A time: seconds, or a `timedelta`.
pub(crate) struct Within(pub(crate) Duration);

impl<'a, 'py> FromPyObject<'a, 'py> for Within {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Within> {
        let seconds = match object.cast::<PyDelta>() {
            Ok(delta) => delta.call_method0("total_seconds")?.extract::<f64>()?,
            Err(_) => object.extract().map_err(|_| wrong_type("a time (seconds, or a timedelta)", &object))?,
        };
        Duration::try_from_secs_f64(seconds).map(Within).map_err(|error| unmeant(format!("{seconds} s: {error}")))
    }
}

/// A network namespace: its path, or a descriptor of it.
struct Netns(OwnedFd);

impl<'a, 'py> FromPyObject<'a, 'py> for Netns {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<Netns> {
        let path = match object.extract::<u32>() {
            // A second descriptor of the same namespace, so that both sides may close theirs.
            Ok(descriptor) => PathBuf::from(format!("/proc/self/fd/{descriptor}")),
            Err(_) => object
                .extract::<PathBuf>()
                .map_err(|_| wrong_type("a network namespace (path or descriptor)", &object))?,
        };
        match File::open(&path) {
            Ok(file) => Ok(Netns(file.into())),
            // OSError itself picks FileNotFoundError and the like by the number.
            Err(error) => {
                let words = object.py().import("os")?.call_method1("strerror", (error.raw_os_error(),))?.unbind();
                Err(PyOSError::new_err((error.raw_os_error(), words, path.into_os_string())))
            }
        }
    }
}
