//! What the library has to say while it works: to a function of the program's, or to nobody.

use crate::boundary::call;
use crate::error::xenvnet_error;
use crate::string::c_string;
use log::{LevelFilter, Log, Metadata, Record};
use std::ffi::{c_char, c_int, c_void};
use xenvnet_core::ErrorKind;

/// Nothing is logged.
pub const XENVNET_LOG_OFF: c_int = 0;
/// Faults of the library, which the caller is also told of.
pub const XENVNET_LOG_ERROR: c_int = 1;
/// What an administrator should look at, though the call goes on.
pub const XENVNET_LOG_WARN: c_int = 2;
/// What is done.
pub const XENVNET_LOG_INFO: c_int = 3;
/// How it is done.
pub const XENVNET_LOG_DEBUG: c_int = 4;
/// Everything.
pub const XENVNET_LOG_TRACE: c_int = 5;

/// A function of the program's that takes one line. `level` is one of XENVNET_LOG_x, `target` names
/// the part of the library that speaks; both texts are borrowed until it returns. `data` is what
/// xenvnet_set_logger() was given.
///
/// Threads: it is called by whichever thread is in a call of this library, several at once if
/// several are. It must not call this library, nor leave by longjmp() or an exception.
pub type xenvnet_logger =
    Option<unsafe extern "C" fn(level: c_int, target: *const c_char, message: *const c_char, data: *mut c_void)>;

/// Hands what the library logs, up to `level`, to a function. Once in a process, best before
/// anything else; a second time it fails with XENVNET_ERROR_ALREADY_EXISTS.
///
/// `data`: borrowed until the process ends; may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_set_logger(
    level: c_int,
    logger: xenvnet_logger,
    data: *mut c_void,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let callback = logger.ok_or_else(|| xenvnet_error::null("logger"))?;
        let filter = *usize::try_from(level).ok().and_then(|level| LEVELS.get(level)).ok_or_else(|| {
            xenvnet_error::of(ErrorKind::InvalidArgument, format!("cannot set the logger: {level} is no log level"))
        })?;
        log::set_boxed_logger(Box::new(Callback { callback, data })).map_err(|_| {
            xenvnet_error::of(
                ErrorKind::AlreadyExists,
                "cannot set the logger: this process has one already, and it stays to the end",
            )
        })?;
        log::set_max_level(filter);
        Ok(())
    })
}

const LEVELS: [LevelFilter; 6] = [
    LevelFilter::Off,
    LevelFilter::Error,
    LevelFilter::Warn,
    LevelFilter::Info,
    LevelFilter::Debug,
    LevelFilter::Trace,
];

struct Callback {
    callback: unsafe extern "C" fn(c_int, *const c_char, *const c_char, *mut c_void),
    data: *mut c_void,
}

// SAFETY: the caller promises a function, and data, that any thread may use.
unsafe impl Send for Callback {}
// SAFETY: as above, several threads at once.
unsafe impl Sync for Callback {}

impl Log for Callback {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level()
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let (target, message) = (c_string(record.target()), c_string(record.args().to_string()));
        // SAFETY: the function is one of this type, which the caller promised to keep to the end of
        // the process; both texts live until it returns.
        unsafe { (self.callback)(record.level() as c_int, target.as_ptr(), message.as_ptr(), self.data) }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_levels_are_those_of_the_log_crate() {
        let ours = [
            XENVNET_LOG_OFF,
            XENVNET_LOG_ERROR,
            XENVNET_LOG_WARN,
            XENVNET_LOG_INFO,
            XENVNET_LOG_DEBUG,
            XENVNET_LOG_TRACE,
        ];
        for (number, filter) in ours.into_iter().zip(LEVELS) {
            assert_eq!(number, filter as c_int);
            assert_eq!(LEVELS[number as usize], filter);
        }
    }
}
