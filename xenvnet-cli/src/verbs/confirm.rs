//! `xenvnet confirm`.

use crate::failure::{Exit, Failure, Result};
use crate::output;
use crate::session::Session;
use serde_json::json;

pub(crate) fn confirm(session: &Session) -> Result<Exit> {
    if session.dry_run() {
        return Err(Failure::usage("confirm", "--dry-run tells nothing of it")
            .advice("xenvnet network status shows what would stay"));
    }
    let confirmed = session.host()?.confirm()?.is_changed();
    output::show(
        session.json(),
        || json!({ "confirmed": confirmed }),
        || if confirmed { "confirmed: it stays\n" } else { "nothing waits to be confirmed\n" }.to_owned(),
    )
}
