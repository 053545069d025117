//! What was found among the MAC addresses of guests' configurations.

use crate::output::{GREEN, RED, paint};
use xenvnet_core::{MacCheck, MacFinding};

pub(crate) fn mac_check(files: usize, check: &MacCheck) -> String {
    let findings: String = check.findings.iter().map(line).collect();
    let [macs, files] = [count(check.macs.len(), "MAC address", "es"), count(files, "file", "s")];
    let verdict = if findings.is_empty() { paint(GREEN, "each is given once") + "\n" } else { findings };
    format!("{macs} in {files}\n{verdict}")
}

fn line(finding: &MacFinding) -> String {
    let advice = match finding {
        MacFinding::Fault { error, .. } => error.advice().map(|advice| format!("       {advice}\n")),
        _ => None,
    };
    format!("{}  {finding}\n{}", paint(RED, "fault"), advice.unwrap_or_default())
}

fn count(number: usize, noun: &str, plural: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { plural })
}
