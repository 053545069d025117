//! What `verify` found: a line each, and below those with one remedy the remedy.

use crate::output::{BOLD, DIM, GREEN, RED, YELLOW, paint};
use anstyle::Style;
use xenvnet_core::{DhcpService, DhcpSilence, Finding, IfName, Severity};

const SOUND: &str = "everything is as it was asked for\n";

/// Every finding, worst first.
pub(crate) fn report(findings: &[Finding]) -> String {
    if findings.is_empty() {
        return paint(GREEN, SOUND.trim_end()) + "\n";
    }
    let mut sorted: Vec<_> = findings.iter().collect();
    sorted.sort_by_key(|finding| std::cmp::Reverse(finding.severity()));
    sorted.chunk_by(|one, next| one.remedy() == next.remedy()).map(alike).collect()
}

/// The same below something else, where there are any.
pub(crate) fn warnings(findings: &[Finding]) -> String {
    if findings.is_empty() { String::new() } else { format!("\n{}", report(findings)) }
}

/// Guests that cannot be served DHCP by these, each with its remedy.
pub(crate) fn unserved(services: &[DhcpService]) -> String {
    let line = |(vif, why): (&IfName, &DhcpSilence)| {
        let note = paint(BOLD, format_args!("{:5}", "note"));
        let remedy = paint(DIM, format_args!("remedy: {}", why.advice(*vif)));
        format!("{note}  {vif} is not served DHCP: {why}\n       {remedy}\n")
    };
    let lines: String = services.iter().flat_map(|service| &service.silent).map(line).collect();
    if lines.is_empty() { lines } else { format!("\n{lines}") }
}

/// Findings that one remedy is for.
fn alike(findings: &[&Finding]) -> String {
    let lines = findings.iter().map(|finding| {
        let severity = finding.severity();
        format!("{}  {finding}\n", paint(style(severity), format_args!("{severity:5}")))
    });
    let remedy = findings.first().map(|finding| paint(DIM, format_args!("remedy: {}", finding.remedy())));
    lines.chain(remedy.map(|remedy| format!("       {remedy}\n"))).collect()
}

fn style(severity: Severity) -> Style {
    match severity {
        Severity::Hole => RED.bold(),
        Severity::Fault => YELLOW,
        _ => BOLD,
    }
}

/// What was found and is gone, then what is still so.
pub(crate) fn mended(gone: &[Finding], left: &[Finding]) -> String {
    let gone: String = gone.iter().map(|finding| format!("{}  {finding}\n", paint(GREEN, "mended"))).collect();
    gone + &report(left)
}

/// A finding that came, or went, by itself or mended.
pub(crate) fn drift(event: &str, finding: &Finding) -> String {
    let severity = finding.severity();
    let word = match event {
        "came" => paint(style(severity), format_args!("{severity:6}")),
        "went" => paint(DIM, format_args!("{:6}", "gone")),
        mended => paint(GREEN, format_args!("{mended:6}")),
    };
    format!("{word}  {finding}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::Table;

    fn plain(text: &str) -> String {
        anstream::adapter::strip_str(text).to_string()
    }

    fn findings() -> [Finding; 3] {
        let [vif, twin] = ["vif1.0", "vif1.0-emu"].map(|name| name.parse().unwrap());
        [
            Finding::Pair { vif, twin },
            Finding::Renamed { vif: "stray".parse().unwrap(), was: vif },
            Finding::Unguarded { vif },
        ]
    }

    #[test]
    fn the_worst_comes_first_with_its_remedy() {
        insta::assert_snapshot!(plain(&report(&findings())));
    }

    #[test]
    fn one_remedy_is_told_once() {
        let missing = [Table::Bridge, Table::Netdev].map(|table| Finding::TableMissing { table });
        insta::assert_snapshot!(plain(&report(&missing)), @r"
        hole   table bridge xenvnet is missing
        hole   table netdev xenvnet is missing
               remedy: xenvnet verify --repair
        ");
    }

    #[test]
    fn what_was_mended_is_told_before_what_is_left() {
        let [pair, renamed, unguarded] = findings();
        insta::assert_snapshot!(plain(&mended(&[renamed], &[pair, unguarded])));
        let [_, renamed, _] = findings();
        insta::assert_snapshot!(plain(&mended(&[renamed], &[])));
    }

    #[test]
    fn nothing_found_is_said_in_words() {
        assert_eq!(plain(&report(&[])), SOUND);
    }
}
