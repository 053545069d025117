//! What the demo tells: at once for people, at its end for programs.

use crate::failure::{Exit, Result};
use crate::output::{self, BOLD, GREEN, RED, paint};
use crate::render;
use serde_json::{Value, json};
use std::time::Instant;
use xenvnet_core::{Plan, Report, Snapshot};

/// Where the second column begins.
const COLUMN: usize = 46;

pub(super) struct Story {
    json: bool,
    begin: Instant,
    part: String,
    checks: Vec<Value>,
    plans: Vec<Value>,
    status: Value,
    failed: usize,
}

impl Story {
    pub(super) fn begin(json: bool) -> Story {
        Story {
            json,
            begin: Instant::now(),
            part: String::new(),
            checks: Vec::new(),
            plans: Vec::new(),
            status: Value::Null,
            failed: 0,
        }
    }

    /// The heading of what follows.
    pub(super) fn part(&mut self, title: &str) -> Result<()> {
        let gap = if self.part.is_empty() { "" } else { "\n" };
        self.part = title.to_owned();
        self.text(&format!("{gap}{}\n", paint(BOLD, title)))
    }

    /// Words for people alone.
    pub(super) fn text(&self, text: &str) -> Result<()> {
        if self.json { Ok(()) } else { output::text(text) }
    }

    pub(super) fn plan(&mut self, plan: &Plan) -> Result<()> {
        self.plans.push(json!(plan));
        self.text(&indented(&render::plan(plan)))
    }

    pub(super) fn status(&mut self, snapshot: &Snapshot, text: &str) -> Result<()> {
        self.status = json!(snapshot);
        self.text(&indented(text))
    }

    pub(super) fn findings(&self, report: &Report) -> Result<()> {
        self.text(&indented(&render::report(&report.findings)))
    }

    /// One claim, whether it holds, and what was seen.
    pub(super) fn check(&mut self, what: impl AsRef<str>, ok: bool, seen: impl AsRef<str>) -> Result<()> {
        let (what, seen) = (what.as_ref(), seen.as_ref());
        self.checks.push(json!({ "part": self.part, "what": what, "ok": ok, "seen": seen }));
        self.failed += usize::from(!ok);
        let mark = if ok { paint(GREEN, "ok    ") } else { paint(RED.bold(), "FAILED") };
        self.text(&format!("  {mark}  {what:COLUMN$}  {seen}\n"))
    }

    pub(super) fn end(self) -> Result<Exit> {
        let (exit, count, time) = (self.exit(), self.checks.len(), self.begin.elapsed());
        let verdict = match self.failed {
            0 => paint(GREEN.bold(), format_args!("All {count} checks hold")),
            failed => paint(RED.bold(), format_args!("{failed} of {count} checks do not hold")),
        };
        self.text(&format!("\n{verdict}, in {:.2} s.\n", time.as_secs_f32()))?;
        if self.json {
            output::json(json!({
                "ok": exit == Exit::Done,
                "checks": self.checks,
                "plans": self.plans,
                "status": self.status,
                "milliseconds": time.as_millis() as u64,
            }))?;
        }
        Ok(exit)
    }

    fn exit(&self) -> Exit {
        if self.failed == 0 { Exit::Done } else { Exit::Failed }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("  {line}\n") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failed_check_fails_the_demo() {
        for (second, exit) in [(true, Exit::Done), (false, Exit::Failed)] {
            let mut story = Story::begin(true);
            story.part("a part").unwrap();
            story.check("one", true, "seen").unwrap();
            story.check("two", second, "seen").unwrap();
            assert_eq!(story.checks[1]["part"], "a part");
            assert_eq!(story.exit(), exit);
        }
    }

    #[test]
    fn empty_lines_are_not_indented() {
        assert_eq!(indented("a\n\nb\n"), "  a\n\n  b\n");
    }
}
