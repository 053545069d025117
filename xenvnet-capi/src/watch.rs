//! Being told that something changed.

use crate::boundary::{call, free, reference};
use crate::error::xenvnet_error;
use crate::host::xenvnet;
use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;
use xenvnet_core::Watch;

/// Hears of changes of a host from the moment on at which it was made: of all that xenvnet_verify()
/// depends on, by whomever it is changed. Threads: any number may use it at once; of several that wait,
/// one hears of a change. Only xenvnet_watch_free() must be alone. It works on when its host is freed.
pub struct xenvnet_watch {
    watch: Watch,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_watch>();
};

/// Begins to listen. First this, then a look at the host: nothing is missed in between. Needs
/// CAP_NET_ADMIN in the host's network namespace.
///
/// `watch`: owned, xenvnet_watch_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_watch_new(
    host: *const xenvnet,
    watch: *mut *mut xenvnet_watch,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(watch);
        place.give(xenvnet_watch { watch: borrow!(host).host.watch()? });
        Ok(())
    })
}

/// Waits until something has changed since the last call, at most this long: `changed` says whether
/// anything has, and not what.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_watch_wait(
    watch: *const xenvnet_watch,
    milliseconds: u64,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(changed);
        place.set(borrow!(watch).watch.wait(Duration::from_millis(milliseconds))?);
        Ok(())
    })
}

/// A descriptor for poll(2), select(2), epoll(7) and event loops like libxl's: readable when something
/// may have changed. Then xenvnet_watch_wait() with 0 milliseconds says whether it has. Nothing else is
/// to be done with it.
///
/// Returns: borrowed until the watch is freed; -1 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_watch_fd(watch: *const xenvnet_watch) -> c_int {
    reference(watch, "watch").map_or(-1, |watch| watch.watch.as_fd().as_raw_fd())
}

/// Listens no longer. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_watch_free(watch: *mut xenvnet_watch) {
    free(watch);
}
