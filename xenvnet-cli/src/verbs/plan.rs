//! `xenvnet plan`, `apply` and `undo`: operations as data.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{input, output};
use serde_json::json;
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
    input::json(file, "operation", Operation::from_json)
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

pub(crate) fn forget(session: &Session) -> Result<Exit> {
    if session.dry_run() {
        return Err(Failure::usage("undo --forget", "--dry-run tells nothing of it")
            .advice("xenvnet verify shows whether something was cut off"));
    }
    let outcome = session.host()?.forget_cut_off()?;
    output::show(
        session.json(),
        || json!({ "changed": outcome.is_changed() }),
        || if outcome.is_changed() { "left as it is\n" } else { "nothing was cut off\n" }.to_owned(),
    )
}
