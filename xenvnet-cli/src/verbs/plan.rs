//! `xenvnet plan`, `apply` and `undo`: operations as data.

use crate::failure::{Exit, Failure, Result};
use crate::output;
use crate::session::Session;
use serde_json::json;
use std::io::Read;
use std::path::Path;
use xenvnet_core::Operation;

pub(crate) fn show(session: &Session, file: &Path) -> Result<Exit> {
    let plan = session.host()?.plan(&operations(file)?)?;
    if session.dry_run() { session.preview(&plan) } else { session.show_plan(&plan) }
}

pub(crate) fn apply(session: &Session, file: &Path) -> Result<Exit> {
    session.perform(&operations(file)?)
}

fn operations(file: &Path) -> Result<Vec<Operation>> {
    read(file, "operation", Operation::from_json)
}

pub(crate) fn undo(session: &Session) -> Result<Exit> {
    if session.dry_run() {
        return session.preview(&session.host()?.plan_undo()?);
    }
    let outcome = session.host()?.undo()?;
    output::show(
        session.json(),
        || json!({ "changed": outcome.is_changed() }),
        || if outcome.is_changed() { "put back\n" } else { "nothing to put back\n" }.to_owned(),
    )
}

/// Reads one value or a list of them; `-` is stdin.
pub(crate) fn read<T>(file: &Path, noun: &str, parse: fn(&str) -> xenvnet_core::Result<T>) -> Result<T> {
    let (name, text) = if file == Path::new("-") {
        let mut text = String::new();
        ("stdin".to_owned(), std::io::stdin().read_to_string(&mut text).map(|_| text))
    } else {
        (file.display().to_string(), std::fs::read_to_string(file))
    };
    let text = text.map_err(|error| Failure::system(format_args!("read {name}"), &error))?;
    parse(&text).map_err(|error| {
        Failure::from(error)
            .doing(format_args!("read {name}"))
            .advice(format!("JSON is wanted, one {noun} or a list of them: {{...}} or [{{...}}, ...]"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Operation>> {
        let path = std::env::temp_dir().join(format!("xenvnet-read-{}-{}", std::process::id(), text.len()));
        std::fs::write(&path, text).unwrap();
        let read = operations(&path);
        std::fs::remove_file(&path).unwrap();
        read
    }

    #[test]
    fn operations_are_read_in_their_order() {
        let all = read(r#"[{"create_bridge":{"name":"br0"}},{"release_vif":{"vif":"vif1.0"}}]"#).unwrap();
        assert_eq!(all.iter().map(Operation::verb).collect::<Vec<_>>(), ["create_bridge", "release_vif"]);
        let one = read(r#"{"release_vif":{"vif":"vif1.0"}}"#).unwrap();
        assert_eq!(one, all[1..]);
    }

    #[test]
    fn a_bad_value_is_named_with_its_file_and_line() {
        let failure = read("[\n{\"delete_bridge\":{\"bridge\":\"a/b\"}}]").unwrap_err();
        let text = format!("{failure:?}");
        for words in ["cannot read ", "xenvnet-read-", "line 2", "not allowed in a name", "[{...}, ...]", "\"parse\""] {
            assert!(text.contains(words), "no {words}: {text}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let failure = operations(Path::new("/nowhere/plan.json")).unwrap_err();
        assert!(format!("{failure:?}").contains("cannot read /nowhere/plan.json: No such file"), "{failure:?}");
    }
}
