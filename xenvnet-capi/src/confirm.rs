//! Changes that are put back unless somebody confirms them.

use crate::boundary::{Out, call, free};
use crate::error::xenvnet_error;
use crate::host::xenvnet;
use crate::plan::xenvnet_plan;
use crate::verbs::verb;
use std::ffi::{c_char, c_int};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use xenvnet_core::{ErrorKind, Host, Operation, Sentinel, Unconfirmed};

/// Carries operations out like xenvnet_run_json(), to be put back unless xenvnet_confirm() is called
/// within this time, by whatever process: for hosts that are far away. What puts them back is a
/// sentinel in another process, also when this one dies in the middle. Fails with
/// XENVNET_ERROR_STATE, and does nothing, where none is on the watch.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_run_json_provisionally(
    host: *const xenvnet,
    operations_json: *const c_char,
    milliseconds: u64,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| {
        let operations = Operation::from_json(text!(operations_json))?;
        Ok(host.run_provisionally(&operations, Duration::from_millis(milliseconds))?)
    })
}

/// What was done provisionally stays. Nothing is changed where nothing was, or where it was put back
/// already: see `changed`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_confirm(
    host: *const xenvnet,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.confirm()?))
}

/// On the watch over provisional changes of a host, until it leaves or is freed: puts those back that
/// nobody confirmed in time, or whose maker died in the middle. It belongs into a process of its own.
/// Threads: any number may use it at once, and their calls wait for each other.
pub struct xenvnet_sentinel {
    /// `None` once it left.
    watch: Mutex<Option<Sentinel<Arc<Host>>>>,
}

impl xenvnet_sentinel {
    fn watch(&self) -> MutexGuard<'_, Option<Sentinel<Arc<Host>>>> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_sentinel>();
};

/// Nothing wants to be confirmed.
pub const XENVNET_UNCONFIRMED_NOTHING: c_int = 0;
/// Something may yet be confirmed.
pub const XENVNET_UNCONFIRMED_WAITING: c_int = 1;
/// Nobody confirmed something in time: it was put back.
pub const XENVNET_UNCONFIRMED_PUT_BACK: c_int = 2;

/// Goes on the watch. Fails with XENVNET_ERROR_BUSY where another sentinel is, with
/// XENVNET_ERROR_STATE where the host has no state directory.
///
/// `sentinel`: owned, xenvnet_sentinel_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_sentinel_new(
    host: *const xenvnet,
    sentinel: *mut *mut xenvnet_sentinel,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(sentinel);
        let watch = Sentinel::of(Arc::clone(&borrow!(host).host))?;
        place.give(xenvnet_sentinel { watch: Mutex::new(Some(watch)) });
        Ok(())
    })
}

/// Looks, and puts back what is due. Waits for whoever is at work. `seen` is one of
/// XENVNET_UNCONFIRMED_x; with XENVNET_UNCONFIRMED_WAITING, `milliseconds_left` is how long that may
/// last; with XENVNET_UNCONFIRMED_PUT_BACK, `put_back` is the plan that was carried out. Else these
/// two are 0 and NULL; each may be NULL where nobody asks. Fails with XENVNET_ERROR_UNDO when not
/// everything could be put back; it is tried again at the next look. Fails with
/// XENVNET_ERROR_INVALID_ARGUMENT once it left.
///
/// `put_back`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_sentinel_look(
    sentinel: *const xenvnet_sentinel,
    seen: *mut c_int,
    milliseconds_left: *mut u64,
    put_back: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(seen);
        let watch = borrow!(sentinel).watch();
        let on_watch = watch.as_ref().ok_or_else(|| {
            let message = "cannot look for provisional changes: this sentinel left";
            xenvnet_error::of(ErrorKind::InvalidArgument, message).with_advice("make another: xenvnet_sentinel_new()")
        })?;
        let (number, left, plan) = match on_watch.look()? {
            Unconfirmed::Nothing => (XENVNET_UNCONFIRMED_NOTHING, Duration::ZERO, None),
            Unconfirmed::Waiting(left) => (XENVNET_UNCONFIRMED_WAITING, left, None),
            Unconfirmed::PutBack(plan) => (XENVNET_UNCONFIRMED_PUT_BACK, Duration::ZERO, Some(plan)),
            other => return Err(xenvnet_error::of(ErrorKind::Internal, format!("C has no word for {other:?}"))),
        };
        if let Ok(milliseconds_left) = Out::new(milliseconds_left, "milliseconds_left") {
            // The time is not over before the last one is.
            milliseconds_left.set(left.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX));
        }
        if let Ok(put_back) = Out::new(put_back, "put_back") {
            match plan {
                Some(plan) => put_back.give(xenvnet_plan { plan }),
                None => put_back.set(std::ptr::null_mut()),
            }
        }
        place.set(number);
        Ok(())
    })
}

/// Goes off the watch, unless something waits to be confirmed by then: `left` says whether it did. It
/// looks under the lock by which changes begin, so that none begins in between because it seemed to
/// be watched. A sentinel that left is off the watch, and is yet to be freed; when the call fails, it
/// left as well. This is how one ends:
///
///     while (!(rc = xenvnet_sentinel_look(sentinel, &seen, NULL, NULL, &error)) &&
///            !(rc = xenvnet_sentinel_leave(sentinel, &left, &error)) && !left)
///         sleep(1);
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_sentinel_leave(
    sentinel: *const xenvnet_sentinel,
    left: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(left);
        let mut watch = borrow!(sentinel).watch();
        if let Some(on_watch) = watch.take() {
            *watch = on_watch.leave()?;
        }
        place.set(watch.is_none());
        Ok(())
    })
}

/// Goes off the watch at once: what was not confirmed by then waits for the next sentinel. See
/// xenvnet_sentinel_leave(). NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_sentinel_free(sentinel: *mut xenvnet_sentinel) {
    free(sentinel);
}
