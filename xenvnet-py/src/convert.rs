//! Arguments in, addresses out: what Python programs write for names and addresses, and the
//! objects of `ipaddress` that they get.

use crate::error::raise;
use crate::mac::MacAddr;
use crate::vif::VifId;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use std::net::IpAddr;
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{IfName, parse_ip, parse_ip_network};

/// That an argument is of another type than the one wanted.
pub(crate) fn wrong_type(wanted: &str, got: &Bound<'_, PyAny>) -> PyErr {
    match got.get_type().name() {
        Ok(name) => PyTypeError::new_err(format!("{wanted} is wanted, not {name}")),
        Err(error) => error,
    }
}

/// An interface's name: a `str`, or a `VifId` for the name that netback gives it.
pub(crate) struct Name(pub(crate) IfName);

impl<'a, 'py> FromPyObject<'a, 'py> for Name {
    type Error = PyErr;

    fn extract(name: Borrowed<'a, 'py, PyAny>) -> PyResult<Name> {
        if let Ok(vif) = name.cast::<VifId>() {
            return Ok(Name(vif.get().0.ifname()));
        }
        let text = name.cast::<PyString>().map_err(|_| wrong_type("the name of an interface (str or VifId)", &name))?;
        IfName::new(&text.to_cow()?).map(Name).map_err(raise)
    }
}

/// A MAC address: a `MacAddr`, or a `str`.
pub(crate) struct Mac(pub(crate) xenvnet_core::MacAddr);

impl<'a, 'py> FromPyObject<'a, 'py> for Mac {
    type Error = PyErr;

    fn extract(mac: Borrowed<'a, 'py, PyAny>) -> PyResult<Mac> {
        if let Ok(mac) = mac.cast::<MacAddr>() {
            return Ok(Mac(mac.get().0));
        }
        let text = mac.cast::<PyString>().map_err(|_| wrong_type("a MAC address (str or MacAddr)", &mac))?;
        text.to_cow()?.parse().map(Mac).map_err(raise)
    }
}

/// An IP address: an `IPv4Address`, an `IPv6Address`, or a `str`.
pub(crate) struct Ip(pub(crate) IpAddr);

impl<'a, 'py> FromPyObject<'a, 'py> for Ip {
    type Error = PyErr;

    fn extract(ip: Borrowed<'a, 'py, PyAny>) -> PyResult<Ip> {
        if ip.is_instance_of::<PyString>() {
            return parse_ip(&ip.extract::<String>()?).map(Ip).map_err(raise);
        }
        let wrong = || wrong_type("an IP address (str, IPv4Address or IPv6Address)", &ip);
        // PyO3 reads the octets; an interface is an address too.
        if is_ipaddress(&ip)? { ip.extract().map(Ip).map_err(|_| wrong()) } else { Err(wrong()) }
    }
}

/// An IP address with a prefix length, 32 or 128 where none is written: any object of
/// `ipaddress`, or a `str`.
pub(crate) struct Net(pub(crate) IpNetwork);

impl<'a, 'py> FromPyObject<'a, 'py> for Net {
    type Error = PyErr;

    fn extract(net: Borrowed<'a, 'py, PyAny>) -> PyResult<Net> {
        if !net.is_instance_of::<PyString>() && !is_ipaddress(&net)? {
            return Err(wrong_type("an IP address or network (str or object of ipaddress)", &net));
        }
        parse_ip_network(&net.str()?.to_string()).map(Net).map_err(raise)
    }
}

/// Whether it is an address, interface or network of `ipaddress`; an interface is an address.
fn is_ipaddress(object: &Bound<'_, PyAny>) -> PyResult<bool> {
    static CLASSES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let py = object.py();
    let classes = CLASSES.get_or_try_init(py, || -> PyResult<_> {
        let module = py.import("ipaddress")?;
        let names = ["IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network"];
        let classes = names.into_iter().map(|name| module.getattr(name)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyTuple::new(py, classes)?.unbind())
    })?;
    object.is_instance(classes.bind(py))
}

/// One or several of something: a lone `str` is one address, never a list of letters.
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<'a, 'py, T> FromPyObject<'a, 'py> for OneOrMany<T>
where
    T: for<'b> FromPyObject<'b, 'py, Error = PyErr>,
{
    type Error = PyErr;

    fn extract(object: Borrowed<'a, 'py, PyAny>) -> PyResult<OneOrMany<T>> {
        let refused = match object.extract::<T>() {
            Ok(one) => return Ok(OneOrMany(vec![one])),
            Err(error) if error.is_instance_of::<PyTypeError>(object.py()) => error,
            Err(error) => return Err(error),
        };
        let Ok(items) = object.try_iter() else { return Err(refused) };
        items.map(|item| item?.as_borrowed().extract::<T>()).collect::<PyResult<_>>().map(OneOrMany)
    }
}

impl<T> Default for OneOrMany<T> {
    fn default() -> OneOrMany<T> {
        OneOrMany(Vec::new())
    }
}

/// An `IPv4Interface` or `IPv6Interface`: an address that an interface has.
pub(crate) fn interface<'py>(py: Python<'py>, net: &IpNetwork) -> PyResult<Bound<'py, PyAny>> {
    py.import("ipaddress")?.call_method1("ip_interface", (net.to_string(),))
}

/// An `IPv4Network` or `IPv6Network`: a subnet, or what a guest may send from.
pub(crate) fn network<'py>(py: Python<'py>, net: &IpNetwork) -> PyResult<Bound<'py, PyAny>> {
    py.import("ipaddress")?.call_method1("ip_network", (net.to_string(),))
}

/// Several of them.
pub(crate) fn tuple<'py, T>(
    py: Python<'py>,
    items: impl IntoIterator<Item = T>,
    one: impl Fn(Python<'py>, T) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, items.into_iter().map(|item| one(py, item)).collect::<PyResult<Vec<_>>>()?)
}

/// A prefix as an administrator writes it: one address alone has no `/32`.
pub(crate) fn short(net: &IpNetwork) -> String {
    let single = net.prefix() == if net.is_ipv4() { 32 } else { 128 };
    if single { net.ip().to_string() } else { net.to_string() }
}
