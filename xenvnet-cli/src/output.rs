//! Where text goes: stdout for results, stderr for complaints; without colour when piped.

use crate::failure::{Exit, Failure, Result};
use anstyle::{AnsiColor, Style};
use serde_json::Value;
use std::io::{ErrorKind, Write};

/// The version of the JSON that this command writes: raised when a key changes its meaning or
/// goes, not when one is added.
const VERSION: u64 = 1;

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();

/// Text in a style; plain when it ends up elsewhere than on a terminal.
pub(crate) fn paint(style: Style, text: impl std::fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Writes text as it is. A reader that has seen enough (`| head`) is no failure.
pub(crate) fn text(text: &str) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Failure::system("write the result", &error)),
        _ => Ok(()),
    }
}

/// Writes an object on one line, with the version before everything else.
pub(crate) fn json(object: Value) -> Result<()> {
    text(&format!("{}\n", versioned(object)))
}

fn versioned(mut object: Value) -> String {
    // serde_json keeps keys sorted; a reader wants to meet the version first.
    let rest = object.as_object_mut().map(std::mem::take).unwrap_or_default();
    let rest = Value::Object(rest).to_string();
    match rest.as_str() {
        "{}" => format!("{{\"version\":{VERSION}}}"),
        rest => format!("{{\"version\":{VERSION},{}", &rest[1..]),
    }
}

/// One result in the form that was asked for.
pub(crate) fn show(as_json: bool, object: impl FnOnce() -> Value, people: impl FnOnce() -> String) -> Result<Exit> {
    if as_json { json(object()) } else { text(&people()) }.map(|()| Exit::Done)
}

/// A sentence, and the advice on a line of its own.
pub(crate) fn complain(sentence: &str, advice: Option<&str>) {
    grumble(format_args!("{} {sentence}", paint(RED.bold(), "xenvnet:")));
    if let Some(advice) = advice {
        grumble(format_args!("{advice}"));
    }
}

/// A line on stderr. A guard goes on when the terminal it was started from is gone.
pub(crate) fn grumble(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(anstream::stderr(), "{line}");
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_version_comes_first_and_the_rest_stays_json() {
        let text = versioned(json!({ "a": 1 }));
        assert_eq!(text, r#"{"version":1,"a":1}"#);
        assert_eq!(versioned(json!({})), r#"{"version":1}"#);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["version"], 1);
    }
}
