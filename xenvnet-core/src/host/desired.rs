//! What a host is to be like, kept over reboots and brought about again; and what dead guests left.

use super::Host;
use crate::error::{Error, ErrorKind, Result};
use crate::operation::Operation;
use crate::plan::{Outcome, Plan};
use crate::saved::SavedFile;
use crate::verify::{Evidence, Report};
use std::path::Path;
use std::time::{Duration, Instant};

impl Host {
    /// Writes what [`Snapshot::operations`](crate::Snapshot::operations) tells of this host into a file,
    /// for [`Host::restore`]: JSON, which its owner alone may read, in the place of the former one at
    /// once. Its folder is made if it is not there, and must belong to the caller, who alone may write
    /// it. Returns what was written.
    ///
    /// # Errors
    /// [`ErrorKind::State`] for a folder or a file that cannot be used or trusted; those of
    /// [`Host::snapshot`].
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::open()?;
    /// for operation in host.save("/var/lib/xenvnet/saved.json")? {
    ///     println!("{operation}");
    /// }
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn save(&self, file: impl AsRef<Path>) -> Result<Vec<Operation>> {
        let operations = self.snapshot()?.operations();
        SavedFile::of(file.as_ref()).write(&operations)?;
        Ok(operations)
    }

    /// Brings about what [`Host::save`] wrote: first mends what [`Host::repair`] mends, then does what
    /// is missing of the operations, all of them or none. So it serves after a reboot, where nothing is
    /// there yet, and where others flushed the rules under running guests. Where an interface that an
    /// operation needs is not there yet, it is waited for, at most this long, by the kernel's own word.
    ///
    /// # Errors
    /// Nothing is changed: [`ErrorKind::NotFound`] for a file that is not there,
    /// [`ErrorKind::Unsupported`] for one of a newer version, [`ErrorKind::Parse`] for one that was cut
    /// off, [`ErrorKind::State`] for one that cannot be trusted. After the repair: those of
    /// [`Host::run_all`], and which of the operations cannot be brought about.
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// let host = xenvnet_core::Host::open()?;
    /// host.restore("/var/lib/xenvnet/saved.json", Duration::from_secs(60))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn restore(&self, file: impl AsRef<Path>, within: Duration) -> Result<Outcome> {
        let file = SavedFile::of(file.as_ref());
        let operations = file.read()?;
        let end = Instant::now() + within.min(Duration::from_secs(u32::MAX.into()));
        let repaired = if self.repair()?.repair.is_empty() { Outcome::Unchanged } else { Outcome::Changed };
        let mut watch = None;
        loop {
            let error = match self.run_all(&operations) {
                Ok(outcome) if repaired.is_changed() => {
                    return Ok(if outcome.is_changed() { outcome } else { repaired });
                }
                Ok(outcome) => return Ok(outcome),
                Err(error) => error,
            };
            let left = end.saturating_duration_since(Instant::now());
            if error.kind() != ErrorKind::NotFound || left.is_zero() {
                return Err(self.not_brought_about(&operations, error, &file));
            }
            match &watch {
                // Tried once more: it may have come while nobody watched.
                None => watch = Some(self.watch()?),
                Some(watch) => drop(watch.wait(left)?),
            }
        }
    }

    /// What [`Host::restore`] would change by now. Nothing is changed.
    ///
    /// # Errors
    /// Those of [`Host::restore`].
    ///
    /// ```no_run
    /// let host = xenvnet_core::Host::open()?;
    /// print!("{}", host.plan_restore("/var/lib/xenvnet/saved.json")?);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn plan_restore(&self, file: impl AsRef<Path>) -> Result<Plan> {
        let file = SavedFile::of(file.as_ref());
        let operations = file.read()?;
        let repair = self.verify()?.repair;
        let seen = self.observe(&operations)?.after(&repair);
        let plan = Operation::plan_all(&operations, &seen);
        plan.map(|plan| repair.then(plan)).map_err(|error| self.not_brought_about(&operations, error, &file))
    }

    /// Clears away what dead guests left: elements of the tables that are about interfaces that are
    /// gone, and hooks of them. That is the part of [`Host::repair`] that is about leftovers; what else
    /// is wrong stays as it is. Accounts stay: they belong to names. Returns what was found.
    ///
    /// # Errors
    /// Those of [`Host::verify`] and [`Host::apply`].
    ///
    /// ```no_run
    /// for finding in xenvnet_core::Host::open()?.gc()?.findings {
    ///     println!("{finding}");
    /// }
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn gc(&self) -> Result<Report> {
        self.mend(|evidence: &Evidence| evidence.report().leftovers())
    }

    /// The error, with the operation that it is about by its text.
    fn not_brought_about(&self, operations: &[Operation], error: Error, file: &SavedFile) -> Error {
        let first = |count: &usize| {
            let seen = self.observe(&operations[..*count]);
            seen.is_ok_and(|seen| Operation::plan_all(&operations[..*count], &seen).is_err())
        };
        match (1..=operations.len()).find(first).and_then(|count| operations[..count].last()) {
            Some(Operation::StartNetwork(network)) => {
                let more = format!("; the line is '{network}'");
                let advice =
                    format!("wait for what is missing with --wait SECONDS, or stop the network and save {file} anew");
                error.with_more(&more).with_advice(advice)
            }
            _ => error,
        }
    }
}
