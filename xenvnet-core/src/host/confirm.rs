//! Changes that are put back unless somebody confirms them: for hosts that are far away.

use super::undo::{PutBack, recover_those};
use super::{Host, Inner, state_of};
use crate::error::{Error, ErrorKind, Result};
use crate::journal::{self, Entry};
use crate::operation::Operation;
use crate::plan::{Outcome, Plan};
use crate::state::Provisional;
use nix::fcntl::Flock;
use nix::libc;
use nix::sys::stat::fstat;
use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fs::File;
use std::time::Duration;

const WATCH: &str = "watch over provisional changes";
const UNCONFIRMED: &str = "put back what nobody confirmed";

/// # Changes that want to be confirmed
impl Host {
    /// Brings several operations about like [`Host::run_all`], to be put back unless
    /// [`Host::confirm`] is called within this time, by whatever process. What puts them back is a
    /// [`Sentinel`] in another process, so that it also does when this one dies in the middle: the
    /// command `xenvnet guard`. Nothing is changed where none is on the watch.
    ///
    /// # Errors
    /// [`ErrorKind::State`] without a state directory or without a sentinel; those of [`Host::run_all`].
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use xenvnet_core::{Host, Operation};
    /// let host = Host::open()?;
    /// let start = Operation::StartNetwork("network-bridge bridge=xenbr0".parse()?);
    /// host.run_provisionally(&[start], Duration::from_secs(30))?;
    /// // Still here? Then it may stay.
    /// host.confirm()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn run_provisionally(&self, operations: &[Operation], within: Duration) -> Result<Outcome> {
        let what = operations.first().map(ToString::to_string).unwrap_or_default();
        state_of(&mut self.inner()?.state, &what)?;
        self.run_all_by(operations, Some(within))
    }

    /// What was done provisionally stays. [`Outcome::Unchanged`] where nothing was, or where it was put
    /// back already.
    ///
    /// # Errors
    /// [`ErrorKind::State`] without a state directory.
    ///
    /// ```no_run
    /// assert!(xenvnet_core::Host::open()?.confirm()?.is_changed());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn confirm(&self) -> Result<Outcome> {
        let mut inner = self.inner()?;
        let held = state_of(&mut inner.state, "confirm a change")?.lock()?;
        let waiting = held.provisional()?;
        for (name, _) in waiting.iter().filter(|(_, wait)| wait.is_complete) {
            held.confirm(name)?;
        }
        let confirmed = waiting.iter().any(|(_, wait)| wait.is_complete);
        Ok(if confirmed { Outcome::Changed } else { Outcome::Unchanged })
    }

    /// Goes on the watch over provisional changes of this host, until it is dropped. One at a time;
    /// it belongs into a process of its own.
    ///
    /// # Errors
    /// [`ErrorKind::Busy`] where another one is on the watch, [`ErrorKind::State`] without a state
    /// directory.
    ///
    /// ```no_run
    /// use xenvnet_core::{Host, Unconfirmed};
    /// let host = Host::open()?;
    /// let sentinel = host.sentinel()?;
    /// while let Unconfirmed::Waiting(left) = sentinel.look()? {
    ///     std::thread::sleep(left.min(std::time::Duration::from_millis(200)));
    /// }
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn sentinel(&self) -> Result<Sentinel<&Host>> {
        Sentinel::of(self)
    }
}

/// Puts provisional changes back that nobody confirmed in time, or whose maker died in the middle.
///
/// ```no_run
/// let host = xenvnet_core::Host::open()?;
/// println!("{:?}", host.sentinel()?.look()?);
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Debug)]
pub struct Sentinel<H> {
    host: H,
    /// Held as long as it is on the watch: whoever changes something provisionally looks for it.
    watch: Flock<File>,
}

/// What a [`Sentinel`] sees.
///
/// ```
/// assert_ne!(xenvnet_core::Unconfirmed::Nothing, xenvnet_core::Unconfirmed::Waiting(Default::default()));
/// ```
#[non_exhaustive]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unconfirmed {
    /// Nothing that wants to be confirmed.
    Nothing,
    /// Something, for this long yet.
    Waiting(Duration),
    /// Nobody confirmed this in time: it was put back by this plan.
    PutBack(Plan),
}

impl<H: Borrow<Host>> Sentinel<H> {
    /// Goes on the watch over a host that it is given, borrowed, shared or whole.
    ///
    /// # Errors
    /// Those of [`Host::sentinel`].
    ///
    /// ```no_run
    /// use std::sync::Arc;
    /// use xenvnet_core::{Host, Sentinel};
    /// let sentinel = Sentinel::of(Arc::new(Host::open()?))?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn of(host: H) -> Result<Sentinel<H>> {
        let watch = {
            let mut inner = host.borrow().inner()?;
            let held = state_of(&mut inner.state, WATCH)?.lock()?;
            held.watch()?.ok_or_else(|| Error::cannot(ErrorKind::Busy, WATCH, "another guard is on the watch"))?
        };
        Ok(Sentinel { host, watch })
    }

    /// Goes off the watch, unless something waits for it by then: then it is given back.
    ///
    /// # Errors
    /// Those of [`Host::sentinel`].
    ///
    /// ```no_run
    /// # let host = xenvnet_core::Host::open()?;
    /// assert!(host.sentinel()?.leave()?.is_none());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn leave(self) -> Result<Option<Sentinel<H>>> {
        self.expect_place()?;
        {
            let mut inner = self.host.borrow().inner()?;
            let held = state_of(&mut inner.state, WATCH)?.lock()?;
            if held.provisional()?.is_empty() {
                // Under the lock: nobody begins in between because it seemed to be watched.
                self.watch.unlock().map_err(|(_, errno)| Error::cannot(ErrorKind::State, WATCH, errno.desc()))?;
                return Ok(None);
            }
        }
        Ok(Some(self))
    }

    /// Looks, and puts back what is due. Waits for whoever is at work.
    ///
    /// # Errors
    /// [`ErrorKind::Undo`] when not everything could be put back; it is tried again at the next look.
    ///
    /// ```no_run
    /// # let host = xenvnet_core::Host::open()?;
    /// let seen = host.sentinel()?.look()?;
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn look(&self) -> Result<Unconfirmed> {
        self.expect_place()?;
        let host = self.host.borrow();
        let knowing = host.place.knowing;
        let mut inner = host.inner()?;
        let Inner { edge, sysctls, state, .. } = &mut *inner;
        let mut held = state_of(state, WATCH)?.lock()?;
        // Perhaps another guard was killed while it put something back.
        let is_plain = |entry: &Entry| entry.confirm_by.is_none();
        // What cannot come back is no reason not to put back what nobody confirms.
        let recovered = recover_those(edge, sysctls.as_ref(), &mut held, WATCH, is_plain);
        let now = journal::now();
        let mut waiting: Vec<_> = held.provisional()?;
        waiting.sort_by_key(|(_, wait)| std::cmp::Reverse(wait.entry.time));
        let is_due = |wait: &Provisional| !wait.is_complete || wait.until <= now;
        // The newest goes first: what came later to a network of one that is due stands on it.
        let mut networks = BTreeSet::new();
        let mut due = BTreeSet::new();
        for (name, wait) in waiting.iter().rev() {
            let own = wait.entry.inverse.networks();
            if is_due(wait) || !own.is_disjoint(&networks) {
                networks.extend(own);
                due.insert(name.clone());
            }
        }
        let (mut seen, mut failure) = (Unconfirmed::Nothing, recovered.err());
        for (name, wait) in waiting {
            if !due.contains(&name) {
                let left = Duration::from_nanos(u64::try_from(wait.until - now).unwrap_or(u64::MAX));
                if seen == Unconfirmed::Nothing {
                    seen = Unconfirmed::Waiting(left);
                }
                continue;
            }
            let entry = wait.entry;
            let settings = sysctls.as_ref();
            let back = PutBack::by_force(name.clone(), entry.clone(), edge, settings, knowing);
            let done = match back.and_then(|back| back.carry_out(edge, settings, &mut held, UNCONFIRMED)) {
                // Perhaps what was built on it since stands in the way: it is to come back all the same.
                Err(error) if entry.only_starts() => {
                    log::warn!("{error}; it is put back step by step");
                    // What is left of it half-way does not look like a network that could be stopped.
                    let back = PutBack::noted(name, entry, edge);
                    back.and_then(|back| back.carry_out(edge, settings, &mut held, UNCONFIRMED))
                }
                done => done,
            };
            let plan = match done {
                Ok(plan) => plan,
                // The others are put back all the same.
                Err(error) => {
                    failure.get_or_insert(error.with_kind(ErrorKind::Undo));
                    continue;
                }
            };
            return Ok(Unconfirmed::PutBack(plan));
        }
        failure.map_or(Ok(seen), Err)
    }

    /// Where somebody removed the state directory, nobody knows of this one any more, nor it of what waits.
    fn expect_place(&self) -> Result<()> {
        match fstat(&*self.watch) {
            Ok(stat) if stat.st_nlink == 0 => {
                let why = "the state directory was removed, and with it what was noted";
                Err(Error::cannot(ErrorKind::State, WATCH, why).with_errno(libc::ENOENT))
            }
            _ => Ok(()),
        }
    }
}
