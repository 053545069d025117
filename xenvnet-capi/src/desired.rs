//! What a host is to be like: told, kept over reboots, brought about again; and what dead guests left.

use crate::boundary::{Result, bytes, call};
use crate::error::xenvnet_error;
use crate::host::xenvnet;
use crate::plan::xenvnet_plan;
use crate::report::xenvnet_report;
use crate::verbs::verb;
use std::ffi::{OsStr, c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;
use xenvnet_core::Outcome;

fn path<'a>(file: *const c_char) -> Result<&'a Path> {
    Ok(Path::new(OsStr::from_bytes(bytes(file, "file")?)))
}

/// What would bring this host's networks about from nothing: an array of operations for
/// xenvnet_run_json(), in the order in which it can be done. Bridges that this library made beside
/// networks, networks that run, what is masqueraded and forwarded beside them, and what guests reach on
/// dom0. Nothing of guests: their interfaces do not outlive a reboot, and the toolstack attaches them
/// again. Nor bridges that were made with a MAC address of the caller's, which nobody could tell from
/// somebody else's.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_operations_json(
    host: *const xenvnet,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        place.give_text(crate::string::to_json(&borrow!(host).host.snapshot()?.operations())?);
        Ok(())
    })
}

/// Writes what xenvnet_operations_json() tells into a file, for xenvnet_restore(): which its owner alone
/// may read, in the place of the former one at once. `file` is any bytes but NUL. Its folder is made
/// if it is not there, and must belong to the caller, who alone may write it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_save(
    host: *const xenvnet,
    file: *const c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        borrow!(host).host.save(path(file)?)?;
        Ok(())
    })
}

/// Brings about what xenvnet_save() wrote: first mends what xenvnet_repair() mends, then does what is
/// missing, all of it or nothing. It serves after a reboot, and where others flushed the rules under
/// running guests. Where an interface is not there yet that is needed, it is waited for, at most this
/// long. Changes nothing and fails with XENVNET_ERROR_NOT_FOUND for a file that is not there, with
/// XENVNET_ERROR_UNSUPPORTED for one of a newer version, with XENVNET_ERROR_PARSE for one that was cut
/// off, with XENVNET_ERROR_STATE for one that cannot be trusted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_restore(
    host: *const xenvnet,
    file: *const c_char,
    milliseconds: u64,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.restore(path(file)?, Duration::from_millis(milliseconds))?))
}

/// Says what xenvnet_restore() would change by now; changes nothing. Fails as that does. The plan is to
/// be read, not for xenvnet_apply().
///
/// `plan`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_restore(
    host: *const xenvnet,
    file: *const c_char,
    plan: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(plan);
        place.give(xenvnet_plan { plan: borrow!(host).host.plan_restore(path(file)?)? });
        Ok(())
    })
}

/// Clears away what dead guests left: elements of the tables that are about interfaces that are gone,
/// and hooks of them. What else is wrong stays as it is; accounts stay, they belong to names. The report
/// is of what was found, and went.
///
/// `report`: owned, xenvnet_report_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_gc(
    host: *const xenvnet,
    report: *mut *mut xenvnet_report,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| {
        let place = out!(report);
        let report = host.gc()?;
        let outcome = if report.repair.is_empty() { Outcome::Unchanged } else { Outcome::Changed };
        place.give(xenvnet_report::new(report));
        Ok(outcome)
    })
}
