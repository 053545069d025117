//! Putting back what was done, by whatever process.

use super::{Host, Inner, named, state_of};
use crate::apply::Applier;
use crate::error::{Error, ErrorKind, Result};
use crate::journal::Entry;
use crate::needs::Needs;
use crate::plan::{Outcome, Plan};
use crate::state::Held;

pub(super) const UNDO: &str = "undo the last change";
pub(super) const IN_BETWEEN: &str = "the host is in between: look with `xenvnet status`, put it back by hand";

impl Host {
    /// What [`Host::undo`] would do.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing to undo, [`ErrorKind::State`] without a state
    /// directory.
    ///
    /// ```no_run
    /// print!("{}", xenvnet_core::Host::open()?.plan_undo()?);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn plan_undo(&self) -> Result<Plan> {
        let mut inner = self.inner()?;
        let held = state_of(&mut inner.state, UNDO)?.lock()?;
        Ok(newest(&held)?.1.inverse)
    }

    /// Puts the last change back that was made through this state directory, by whatever process,
    /// whether it ran to its end or was cut off in the middle.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when there is nothing to undo, [`ErrorKind::State`] without a state
    /// directory, [`ErrorKind::Undo`] when some of it could not be put back.
    ///
    /// ```no_run
    /// xenvnet_core::Host::open()?.undo()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn undo(&self) -> Result<Outcome> {
        let mut inner = self.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let mut held = state_of(state, UNDO)?.lock()?;
        let (journal, entry) = newest(&held)?;
        let links = named(&entry.inverse);
        let seen = edge.observe(UNDO, &Needs { links, ..Needs::default() })?;
        match Applier::new(edge, sysctls.as_ref(), &seen).put_back_plan(&entry.inverse, &entry.seen) {
            Ok(()) => {
                held.close(&journal)?;
                let noted = held.asked_for(&entry.inverse);
                noted.unwrap_or_else(|error| log::warn!("what was undone could not be noted: {error}"));
                Ok(if entry.inverse.is_empty() { Outcome::Unchanged } else { Outcome::Changed })
            }
            Err(errors) => Err(Error::cannot(ErrorKind::Undo, UNDO, "not everything could be put back")
                .and(errors)
                .with_advice(IN_BETWEEN)),
        }
    }
}

fn newest(held: &Held<'_>) -> Result<(String, Entry)> {
    let none = || Error::cannot(ErrorKind::NotFound, UNDO, "no change was made, or it was undone already");
    held.newest()?.ok_or_else(none)
}
