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
mod guest_file;
mod host;
mod json;
mod line;
mod logger;
mod mac;
mod mac_check;
mod masquerade;
mod network;
mod operation;
mod plan;
mod rate;
mod report;
mod sentinel;
mod snapshot;
mod value;
mod vif;
mod vif_script;
mod vif_spec;
mod vlan;
mod watch;
mod xend_config;

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
    use crate::guest_file::GuestFile;
    #[pymodule_export]
    use crate::host::Host;
    #[pymodule_export]
    use crate::line::Line;
    #[pymodule_export]
    use crate::mac::MacAddr;
    #[pymodule_export]
    use crate::mac_check::check_macs;
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
    use crate::rate::Rate;
    #[pymodule_export]
    use crate::report::Report;
    #[pymodule_export]
    use crate::sentinel::Sentinel;
    #[pymodule_export]
    use crate::snapshot::Snapshot;
    #[pymodule_export]
    use crate::vif::{VifId, nat_gateway};
    #[pymodule_export]
    use crate::vif_script::{VifDefaults, VifScript};
    #[pymodule_export]
    use crate::vif_spec::VifSpec;
    #[pymodule_export]
    use crate::vlan::{OvsBridge, VlanSpec};
    #[pymodule_export]
    use crate::watch::Watch;
    #[pymodule_export]
    use crate::xend_config::XendConfig;

    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        use xenvnet_core::{DropReason, ErrorKind, Operation, Table};
        crate::logger::install(module.py())?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))?;
        module.add("VIF_GROUP", xenvnet_core::VIF_GROUP)?;
        // The lists of core, for the tests that nothing of them is missing in Python.
        module.add("VERBS", Operation::VERBS.to_vec())?;
        let kinds = ErrorKind::ALL.iter().map(|kind| (kind.name(), kind.python_class()));
        module.add("ERROR_KINDS", kinds.collect::<Vec<_>>())?;
        module.add("DROP_REASONS", DropReason::ALL.iter().map(|reason| reason.name()).collect::<Vec<_>>())?;
        module.add("TABLES", Table::ALL.iter().map(crate::json::word).collect::<PyResult<Vec<_>>>()?)
    }
}
