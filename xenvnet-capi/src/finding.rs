//! One thing that was found, for programs and for people.

use crate::boundary::reference;
use crate::string::c_string;
use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr;
use xenvnet_core::{Finding, Severity};

/// Nothing was found.
pub const XENVNET_SEVERITY_NONE: c_int = 0;
/// As it should be, but to be known.
pub const XENVNET_SEVERITY_NOTE: c_int = 1;
/// A guest is cut off, or something is left over.
pub const XENVNET_SEVERITY_FAULT: c_int = 2;
/// Something could get through that should not.
pub const XENVNET_SEVERITY_HOLE: c_int = 3;

const NAMES: [&CStr; 4] = [c"none", c"note", c"fault", c"hole"];

/// One thing that is not as it was asked for, or is good to know. Belongs to its report. Threads:
/// never changes, so any number may read it at once.
pub struct xenvnet_finding {
    kind: CString,
    severity: c_int,
    sentence: CString,
    remedy: CString,
    repairable: bool,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_finding>();
};

impl xenvnet_finding {
    pub(crate) fn new(finding: &Finding) -> xenvnet_finding {
        xenvnet_finding {
            kind: c_string(finding.kind()),
            severity: number(finding.severity()),
            sentence: c_string(finding.to_string()),
            remedy: c_string(finding.remedy()),
            repairable: finding.is_repairable(),
        }
    }
}

pub(crate) fn number(severity: Severity) -> c_int {
    match severity {
        Severity::Note => XENVNET_SEVERITY_NOTE,
        Severity::Fault => XENVNET_SEVERITY_FAULT,
        // And whatever the core may come to know: nobody is to take it for less.
        _ => XENVNET_SEVERITY_HOLE,
    }
}

/// The name of a severity: "hole" for XENVNET_SEVERITY_HOLE.
///
/// Returns: static; NULL for a number that is no severity of this version.
#[unsafe(no_mangle)]
pub extern "C" fn xenvnet_severity_name(severity: c_int) -> *const c_char {
    let name = usize::try_from(severity).ok().and_then(|number| NAMES.get(number));
    name.map_or(ptr::null(), |name| name.as_ptr())
}

/// What it is, in a word for programs; expect new ones. The same words as in Rust, in Python and in
/// JSON:
///
///     table_missing, table_dormant, table_altered, old_layout    our nf_tables tables
///     not_locked, lock_differs, unguarded, leftover, renamed     locks
///     not_in_group, port_flags, not_pinned, released, port_shut, not_at_ingress, unknown_port,
///     pair, no_port_lock                                         interfaces and ports
///     dom0_differs, tracked, not_accounted, not_masqueraded, not_forwarded, network_forgotten,
///     no_bridge, no_such_interface, forward_drop                 packets and networks
///     cut_off                                                    a change that did not end
///
/// Returns: borrowed until the report is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_finding_kind(finding: *const xenvnet_finding) -> *const c_char {
    read(finding).map_or(ptr::null(), |finding| finding.kind.as_ptr())
}

/// How much it matters: one of XENVNET_SEVERITY_x, greater ones matter more; XENVNET_SEVERITY_NONE
/// for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_finding_severity(finding: *const xenvnet_finding) -> c_int {
    read(finding).map_or(XENVNET_SEVERITY_NONE, |finding| finding.severity)
}

/// One sentence: "web was vif1.0 when it was locked: its lock stands under the old name".
///
/// Returns: borrowed until the report is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_finding_sentence(finding: *const xenvnet_finding) -> *const c_char {
    read(finding).map_or(ptr::null(), |finding| finding.sentence.as_ptr())
}

/// One line on what to do about it.
///
/// Returns: borrowed until the report is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_finding_remedy(finding: *const xenvnet_finding) -> *const c_char {
    read(finding).map_or(ptr::null(), |finding| finding.remedy.as_ptr())
}

/// Whether xenvnet_repair() mends it; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_finding_is_repairable(finding: *const xenvnet_finding) -> bool {
    read(finding).is_some_and(|finding| finding.repairable)
}

fn read<'a>(finding: *const xenvnet_finding) -> Option<&'a xenvnet_finding> {
    reference(finding, "finding").ok()
}
