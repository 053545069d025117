//! `xenvnet gc`: what dead guests left goes.

use crate::failure::{Exit, Result};
use crate::session::Session;
use crate::verbs::verify::list;
use crate::{output, render};
use serde_json::json;

pub(crate) fn gc(session: &Session) -> Result<Exit> {
    let host = session.host()?;
    if session.dry_run() {
        return session.preview(&host.verify()?.leftovers().repair);
    }
    let report = host.gc()?;
    let removed = list(&report.findings)?;
    let people = || match report.findings.is_empty() {
        true => "dead guests left nothing\n".to_owned(),
        false => render::plan(&report.repair),
    };
    output::show(session.json(), || json!({ "changed": !removed.is_empty(), "removed": removed }), people)
}
