//! Where something is tried: a host, what is to be done on it, and who lies there meanwhile.

use std::any::Any;
use xenvnet_core::{Host, Operation, Outcome, Result};
use xenvnet_tests::{Dom0, Liar};

/// Something that is tried again and again, in a namespace of its own.
#[derive(Clone)]
pub(crate) struct Scene {
    pub(crate) name: &'static str,
    /// Builds the host up to where it begins. `None` where this machine does not allow it.
    pub(crate) stage: fn() -> Option<Stage>,
}

/// The host.
pub(crate) struct Stage {
    pub(crate) deed: Deed,
    pub(crate) liar: Option<Liar>,
    pub(crate) dom0: Dom0,
    /// Guests and cables: they are there as long as these values.
    _props: Vec<Box<dyn Any>>,
}

impl Stage {
    pub(crate) fn of(dom0: Dom0, deed: Deed) -> Stage {
        Stage { deed, liar: None, dom0, _props: Vec::new() }
    }

    pub(crate) fn with(mut self, prop: impl Any) -> Stage {
        self._props.push(Box::new(prop));
        self
    }

    pub(crate) fn told_by(self, liar: Liar) -> Stage {
        Stage { liar: Some(liar), ..self }
    }
}

/// What is done.
pub(crate) enum Deed {
    Run(Vec<Operation>),
    /// Puts back what these did.
    Undo(Vec<Operation>),
    /// Mends what this has damaged.
    Repair(fn()),
}

impl Deed {
    /// From where the host was built to where the deed begins.
    pub(crate) fn begin(&self, host: &Host) {
        match self {
            Deed::Run(_) => {}
            Deed::Undo(operations) => drop(host.run_all(operations).expect("what is to be undone")),
            Deed::Repair(damage) => damage(),
        }
    }

    pub(crate) fn carry_out(&self, host: &Host) -> Result<Outcome> {
        match self {
            Deed::Run(operations) => host.run_all(operations),
            Deed::Undo(_) => host.undo(),
            Deed::Repair(_) => host.repair().map(|report| match report.repair.is_empty() {
                true => Outcome::Unchanged,
                false => Outcome::Changed,
            }),
        }
    }

    /// From where it ended to where it began.
    pub(crate) fn back(&self, host: &Host) {
        match self {
            Deed::Run(_) => drop(host.undo().expect("it can be undone")),
            Deed::Undo(_) | Deed::Repair(_) => self.begin(host),
        }
    }

    pub(crate) fn undoes_networks(&self) -> bool {
        let is_networks = |it: &Operation| matches!(it, Operation::StartNetwork(_) | Operation::StopNetwork(_));
        matches!(self, Deed::Undo(operations) if operations.iter().all(is_networks))
    }

    /// What is tried of the operations themselves.
    pub(crate) fn operations(&self) -> &[Operation] {
        match self {
            Deed::Run(operations) => operations,
            Deed::Undo(_) | Deed::Repair(_) => &[],
        }
    }
}
