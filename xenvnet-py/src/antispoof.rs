//! `Antispoof`, and the two locks that name no address.

use crate::convert::{Mac, Net, OneOrMany, network, short, tuple, wrong_type};
use crate::error::raise;
use crate::mac::MacAddr;
use crate::value::Call;
use pyo3::exceptions::PyNotImplementedError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use xenvnet_core::Lock;

/// What a guest may send: these MAC addresses, these IP addresses and prefixes, and, if asked,
/// what a DHCP client says. All else is dropped and counted.
#[pyclass(frozen, eq, hash, str = "{0}", module = "xenvnet")]
#[derive(PartialEq, Eq, Hash)]
pub(crate) struct Antispoof(pub(crate) xenvnet_core::Antispoof);

#[pymethods]
impl Antispoof {
    #[classattr]
    fn __match_args__() -> (&'static str,) {
        ("macs",)
    }

    #[new]
    #[pyo3(signature = (macs, *, ips = OneOrMany::default(), dhcp_client = false, link_local = true),
           text_signature = "(macs, *, ips=(), dhcp_client=False, link_local=True)")]
    fn new(macs: OneOrMany<Mac>, ips: OneOrMany<Net>, dhcp_client: bool, link_local: bool) -> PyResult<Antispoof> {
        // No MAC address at all is core's to refuse, so the list is replaced as a whole.
        let mut lock = xenvnet_core::Antispoof::new(xenvnet_core::MacAddr::VIF_BACKEND);
        lock.macs = macs.0.into_iter().map(|mac| mac.0).collect();
        lock.ips = ips.0.into_iter().map(|net| net.0).collect();
        Antispoof::checked(lock.dhcp_client(dhcp_client).link_local(link_local))
    }

    /// Reads the form that str() writes and that nft list ruleset shows:
    /// "mac=00:16:3e:00:00:01 ip=10.98.98.2,2001:db8::/64 dhcp".
    #[classmethod]
    #[pyo3(signature = (text, /))]
    fn parse(_class: &Bound<'_, PyType>, text: &str) -> PyResult<Antispoof> {
        text.parse().map_err(raise).and_then(Antispoof::checked)
    }

    /// The MAC addresses of the guest.
    #[getter]
    fn macs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.macs, |py, mac| Ok(Bound::new(py, MacAddr(*mac))?.into_any()))
    }

    /// Its IP addresses and prefixes, as ipaddress networks.
    #[getter]
    fn ips<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        tuple(py, &self.0.ips, network)
    }

    /// Whether it may ask a DHCP server for an address.
    #[getter]
    fn dhcp_client(&self) -> bool {
        self.0.dhcp_client
    }

    /// Whether it may use the IPv6 link-local address that follows from each MAC.
    #[getter]
    fn link_local(&self) -> bool {
        self.0.link_local
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        self.call(py)?.repr()
    }

    fn __getnewargs_ex__<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyTuple>, Bound<'py, PyDict>)> {
        self.call(py)?.newargs()
    }
}

impl Antispoof {
    fn checked(lock: xenvnet_core::Antispoof) -> PyResult<Antispoof> {
        lock.validate().map_err(raise)?;
        Ok(Antispoof(lock))
    }

    fn call<'py>(&self, py: Python<'py>) -> PyResult<Call<'py>> {
        let lock = &self.0;
        let macs: Vec<_> = lock.macs.iter().map(ToString::to_string).collect();
        let call = match &macs[..] {
            [mac] => Call::new(py, "Antispoof", mac),
            macs => Call::new(py, "Antispoof", macs),
        };
        call?
            .with("ips", lock.ips.iter().map(short).collect::<Vec<_>>(), lock.ips.is_empty())?
            .with("dhcp_client", lock.dhcp_client, !lock.dhcp_client)?
            .with("link_local", lock.link_local, lock.link_local)
    }
}

/// How an interface is held: an `Antispoof`, or `Lock.DISABLED`, or `Lock.UNLOCKED`.
pub(crate) struct LockArg(pub(crate) Lock);

impl<'a, 'py> FromPyObject<'a, 'py> for LockArg {
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<LockArg> {
        if let Ok(antispoof) = object.cast::<Antispoof>() {
            return Ok(LockArg(Lock::Locked(antispoof.get().0.clone())));
        }
        let class = class(object.py())?;
        if object.is(class.getattr("DISABLED")?) {
            Ok(LockArg(Lock::Disabled))
        } else if object.is(class.getattr("UNLOCKED")?) {
            Ok(LockArg(Lock::Unlocked))
        } else {
            Err(wrong_type("a lock (Antispoof, Lock.DISABLED or Lock.UNLOCKED)", &object))
        }
    }
}

/// The lock as Python has it.
pub(crate) fn lock<'py>(py: Python<'py>, lock: &Lock) -> PyResult<Bound<'py, PyAny>> {
    match lock {
        Lock::Locked(antispoof) => Ok(Bound::new(py, Antispoof(antispoof.clone()))?.into_any()),
        Lock::Disabled => class(py)?.getattr("DISABLED"),
        Lock::Unlocked => class(py)?.getattr("UNLOCKED"),
        other => Err(PyNotImplementedError::new_err(format!("the Python module has no form for the lock \"{other}\""))),
    }
}

fn class(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    py.import("xenvnet._records")?.getattr("Lock")
}
