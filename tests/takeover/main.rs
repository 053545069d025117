//! A host's uplink is taken over while everything goes on: what is lost, what is held.
//!
//! Tests that count packets run [`alone`], all others [`beside_others`].
#![forbid(unsafe_code)]

mod by_hand;
mod exact;
mod exceeds;
mod instruments;
mod loss;
mod refused;

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

static RUNNING: RwLock<()> = RwLock::new(());

/// No other test of this program runs until this value is dropped: what they send would fill the
/// queues of the processors that all of them share.
fn alone() -> RwLockWriteGuard<'static, ()> {
    RUNNING.write().unwrap_or_else(PoisonError::into_inner)
}

/// No test that counts packets runs until this value is dropped.
fn beside_others() -> RwLockReadGuard<'static, ()> {
    RUNNING.read().unwrap_or_else(PoisonError::into_inner)
}
