//! `xenvnet verify`.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{output, render};
use clap::Args;
use serde_json::{Value, json};
use xenvnet_core::{Finding, Report};

#[derive(Args, Debug)]
pub(crate) struct Verify {
    /// Mend what can be mended, the rules in one transaction.
    #[arg(long)]
    repair: bool,
}

impl Verify {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let host = session.host()?;
        if !self.repair {
            let report = host.verify()?;
            let object = found(&report)?;
            output::show(session.json(), || object, || render::report(&report.findings))?;
            return Ok(exit(&report));
        }
        if session.dry_run() {
            return session.preview(&host.verify()?.repair);
        }
        let mut gone = host.repair()?.findings;
        // Nothing counts as mended but what a second look no longer finds.
        let left = host.verify()?;
        gone.retain(|finding| !left.findings.contains(finding));
        let object = mended(&gone, &left)?;
        output::show(session.json(), || object, || render::mended(&gone, &left.findings))?;
        Ok(exit(&left))
    }
}

fn exit(report: &Report) -> Exit {
    if report.is_sound() { Exit::Done } else { Exit::Failed }
}

fn found(report: &Report) -> Result<Value> {
    let findings = list(&report.findings)?;
    Ok(json!({ "sound": report.is_sound(), "worst": report.worst(), "findings": findings, "repair": report.repair }))
}

fn mended(gone: &[Finding], left: &Report) -> Result<Value> {
    let (gone, findings) = (list(gone)?, list(&left.findings)?);
    Ok(json!({ "sound": left.is_sound(), "worst": left.worst(), "findings": findings, "mended": gone }))
}

/// Findings as programs read them.
pub(crate) fn list(findings: &[Finding]) -> Result<Vec<Value>> {
    findings.iter().map(entry).collect()
}

/// The finding's own fields beside what is said of every one.
pub(crate) fn entry(finding: &Finding) -> Result<Value> {
    let mut entry = serde_json::to_value(finding).map_err(|error| Failure::cannot("write what was found", error))?;
    if let Some(fields) = entry.as_object_mut() {
        fields.remove("finding");
        fields.insert("kind".to_owned(), finding.kind().into());
        fields.insert("severity".to_owned(), finding.severity().name().into());
        fields.insert("sentence".to_owned(), finding.to_string().into());
        fields.insert("remedy".to_owned(), finding.remedy().into());
        fields.insert("repairable".to_owned(), finding.is_repairable().into());
    }
    Ok(entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renamed() -> Finding {
        Finding::Renamed { vif: "stray".parse().unwrap(), was: "vif1.0".parse().unwrap() }
    }

    #[test]
    fn the_keys_of_a_report_stay() {
        let mut report = Report::default();
        assert_eq!(exit(&report), Exit::Done);
        insta::assert_snapshot!(found(&report).unwrap(), @r#"{"findings":[],"repair":[],"sound":true,"worst":null}"#);
        report.findings.push(renamed());
        assert_eq!(exit(&report), Exit::Failed);
        insta::assert_snapshot!(format!("{:#}", found(&report).unwrap()));
        let after = mended(&[renamed()], &Report::default()).unwrap();
        let keys: Vec<_> = after.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "findings mended sound worst");
    }

    #[test]
    fn a_note_is_no_failure() {
        let mut report = Report::default();
        report.findings.push(Finding::NoPortLock { vif: "vif1.0".parse().unwrap() });
        assert_eq!(exit(&report), Exit::Done);
    }

    #[test]
    fn a_finding_without_fields_has_those_of_all() {
        let entry = entry(&Finding::CutOff).unwrap();
        let keys: Vec<_> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys.join(" "), "kind remedy repairable sentence severity");
        assert_eq!(entry["kind"], "cut_off");
    }
}
