//! The MAC addresses in guests' configuration files.

use crate::boundary::{Result, call, texts};
use crate::error::xenvnet_error;
use crate::string::to_json;
use serde_json::{Value, json};
use std::ffi::{c_char, c_int};
use xenvnet_core::{ErrorKind, MacCheck, MacFinding, MacPlace};

/// Looks for MAC addresses that more than one vif has, in the texts of guests' configuration files;
/// a JSON object. `sources` and `texts` are arrays of `count` texts, none of them NULL: what each file
/// is to be called, and what it says. Both may be NULL when `count` is 0. The addresses, in the order
/// of the files, and what is wrong with them, which is empty where all is well:
///
///     {"macs": [{"mac": "00:16:3e:00:00:01", "source": "web.cfg", "vif": 0, "offset": 13, "line": 1}],
///      "findings": [{"finding": "duplicate", "sentence": "...", "places": [...]},
///                   {"finding": "fault", "sentence": "...", "source": "db.cfg", "error": "parse",
///                    "offset": 0, "advice": null}]}
///
/// "vif" is the vif's place in the file's list, "offset" the byte of the file, "line" its line, counted
/// from 1; "places" are like "macs", two at least; "error" is the name of a result code, as of
/// xenvnet_code_name(). What else is wrong in a vif's string is no matter here.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_mac_check_json(
    sources: *const *const c_char,
    texts: *const *const c_char,
    count: usize,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        let sources = self::texts(sources, count, "sources")?;
        let check = MacCheck::of(sources.into_iter().zip(self::texts(texts, count, "texts")?));
        let findings = check.findings.iter().map(finding).collect::<Result<Vec<_>>>()?;
        place.give_text(to_json(&json!({ "macs": places(&check.macs), "findings": findings }))?);
        Ok(())
    })
}

fn places(places: &[MacPlace]) -> Vec<Value> {
    let place = |place: &MacPlace| {
        json!({
            "mac": place.mac,
            "source": place.source,
            "vif": place.vif,
            "offset": place.offset,
            "line": place.line,
        })
    };
    places.iter().map(place).collect()
}

fn finding(finding: &MacFinding) -> Result<Value> {
    let sentence = finding.to_string();
    match finding {
        MacFinding::Fault { source, error, .. } => Ok(json!({
            "finding": "fault",
            "sentence": sentence,
            "source": source,
            "error": error.kind().name(),
            "offset": error.offset(),
            "advice": error.advice(),
        })),
        MacFinding::Duplicate { places: of, .. } => {
            Ok(json!({ "finding": "duplicate", "sentence": sentence, "places": places(of) }))
        }
        other => Err(xenvnet_error::of(ErrorKind::Internal, format!("C has no form for \"{other}\""))),
    }
}
