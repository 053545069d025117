//! What was found on a host, and what mends it.

use crate::boundary::{call, free, reference};
use crate::error::xenvnet_error;
use crate::finding::{XENVNET_SEVERITY_NONE, number, xenvnet_finding};
use crate::plan::xenvnet_plan;
use crate::string::to_json;
use std::ffi::{c_char, c_int};
use std::ptr;
use xenvnet_core::Report;

/// All that xenvnet_verify() found, and the plan that mends what can be mended. Threads: never
/// changes, so any number may read it at once.
pub struct xenvnet_report {
    report: Report,
    findings: Vec<xenvnet_finding>,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet_report>();
};

impl xenvnet_report {
    pub(crate) fn new(report: Report) -> xenvnet_report {
        let findings = report.findings.iter().map(xenvnet_finding::new).collect();
        xenvnet_report { report, findings }
    }
}

/// Whether there is nothing worse than a note; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_is_sound(report: *const xenvnet_report) -> bool {
    reference(report, "report").is_ok_and(|report| report.report.is_sound())
}

/// The severity of the worst finding, one of XENVNET_SEVERITY_x; XENVNET_SEVERITY_NONE without a
/// finding, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_worst(report: *const xenvnet_report) -> c_int {
    let worst = reference(report, "report").ok().and_then(|report| report.report.worst());
    worst.map_or(XENVNET_SEVERITY_NONE, number)
}

/// The number of findings: 0 when all is as it was asked for, and for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_length(report: *const xenvnet_report) -> usize {
    reference(report, "report").map_or(0, |report| report.findings.len())
}

/// One finding, counted from 0.
///
/// Returns: borrowed until the report is freed; NULL where there is none of that number, and for
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_finding(report: *const xenvnet_report, index: usize) -> *const xenvnet_finding {
    let finding = reference(report, "report").ok().and_then(|report| report.findings.get(index));
    finding.map_or(ptr::null(), ptr::from_ref)
}

/// The report for people: two lines a finding, its severity and sentence, and its remedy. Empty
/// when there is none.
///
/// `text`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_text(
    report: *const xenvnet_report,
    text: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(text);
        place.give_text(borrow!(report).report.to_string());
        Ok(())
    })
}

/// The report as data: a JSON object with the arrays "findings", each finding an object with its
/// kind as "finding" and what it is about, and "repair", the plan that mends them:
///
///     {"findings": [{"finding": "renamed", "vif": "web", "was": "vif1.0"}], "repair": [...]}
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_to_json(
    report: *const xenvnet_report,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        place.give_text(to_json(&borrow!(report).report)?);
        Ok(())
    })
}

/// The plan that mends what can be mended, as xenvnet_repair() would carry it out: empty when there
/// is nothing.
///
/// `plan`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_plan(
    report: *const xenvnet_report,
    plan: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(plan);
        place.give(xenvnet_plan { plan: borrow!(report).report.repair.clone() });
        Ok(())
    })
}

/// Frees a report, and its findings with it. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_report_free(report: *mut xenvnet_report) {
    free(report);
}
