//! The native half of the Python package `xenvnet`.
//!
//! It holds no logic: every function converts what Python gave, calls `xenvnet-core`, and
//! converts what comes back. The public package, its exceptions and its records are Python's, in
//! `python/xenvnet`; this module is private to it.
#![forbid(unsafe_code)]

mod antispoof;
mod attachment;
mod bridge;
mod convert;
mod dom0;
mod error;
mod forward;
mod host;
mod json;
mod logger;
mod mac;
mod masquerade;
mod network;
mod operation;
mod plan;
mod report;
mod sentinel;
mod snapshot;
mod value;
mod vif;

/// The native module of the package xenvnet; import that one.
#[pyo3::pymodule(gil_used = false)]
mod _xenvnet {
    #[pymodule_export]
    use crate::antispoof::Antispoof;
    #[pymodule_export]
    use crate::attachment::Attachment;
    #[pymodule_export]
    use crate::bridge::Bridge;
    #[pymodule_export]
    use crate::dom0::Dom0;
    #[pymodule_export]
    use crate::forward::Forward;
    #[pymodule_export]
    use crate::host::Host;
    #[pymodule_export]
    use crate::mac::MacAddr;
    #[pymodule_export]
    use crate::masquerade::Masquerade;
    #[pymodule_export]
    use crate::network::{
        AdditionalPort, BridgedNetwork, Brouter, NatNetwork, Network, NoNetwork, RoutedNetwork, ShadowNetwork,
    };
    #[pymodule_export]
    use crate::operation::Operation;
    #[pymodule_export]
    use crate::plan::Plan;
    #[pymodule_export]
    use crate::report::Report;
    #[pymodule_export]
    use crate::sentinel::Sentinel;
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::vif::VifId;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        use xenvnet_core::{DropReason, ErrorKind, Operation, Table};
        crate::logger::install(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        // The lists of core, for the tests that nothing of them is missing in Python.
        module.add("VERBS", Operation::VERBS.to_vec())?;
        let kinds = ErrorKind::ALL.iter().map(|kind| (kind.name(), kind.python_class()));
        module.add("ERROR_KINDS", kinds.collect::<Vec<_>>())?;
        module.add("DROP_REASONS", DropReason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>())?;
        module.add("TABLES", Table::ALL.iter().map(crate::json::word).collect::<PyResult<Vec<_>>>()?)
    }
}
