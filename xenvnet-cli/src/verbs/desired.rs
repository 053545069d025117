//! `xenvnet save`, `xenvnet restore`: what the host is to be like, over reboots and flushes.

use crate::failure::{Exit, Failure, Result};
use crate::output;
use crate::session::Session;
use clap::Args;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xenvnet_core::Operation;

/// Where root's host is kept unless told otherwise.
const DEFAULT: &str = "/var/lib/xenvnet/saved.json";

#[derive(Args, Debug)]
pub(crate) struct Kept {
    /// The file, in a folder that nobody else may write [default: /var/lib/xenvnet/saved.json].
    file: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Restore {
    #[command(flatten)]
    kept: Kept,
    /// Wait at most this long for interfaces that are not there yet.
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    wait: u64,
}

impl Kept {
    fn file(&self, what: &str, session: &Session) -> Result<&Path> {
        match &self.file {
            Some(file) => Ok(file),
            None if session.netns()?.is_none() => Ok(Path::new(DEFAULT)),
            // It would be taken for the host's own at the next boot.
            None => Err(Failure::usage(what, format_args!("{DEFAULT} is for the host itself"))
                .advice("name a FILE for another network namespace")),
        }
    }

    pub(crate) fn save(self, session: &Session) -> Result<Exit> {
        let file = self.file("save", session)?;
        let host = session.host()?;
        let dry_run = session.dry_run();
        let operations = if dry_run { host.snapshot()?.operations() } else { host.save(file)? };
        let key = if dry_run { "would_save" } else { "saved" };
        output::show(
            session.json(),
            || json!({ key: operations, "file": file.display().to_string() }),
            || told(&operations, &format!("{} in {}", key.replace('_', " "), file.display())),
        )?;
        Ok(if dry_run { Exit::WouldChange } else { Exit::Done })
    }
}

fn told(operations: &[Operation], head: &str) -> String {
    let lines = operations.iter().map(|operation| match operation {
        Operation::StartNetwork(network) => format!("  start {network}\n"),
        Operation::ForwardPort(forward) => format!("  forward {forward}\n"),
        Operation::SetDom0 { interface, access } => format!("  set dom0 to {access} for guests on {interface}\n"),
        other => format!("  {other}\n"),
    });
    let count = match operations.len() {
        1 => "1 operation".to_owned(),
        count => format!("{count} operations"),
    };
    std::iter::once(format!("{head}: {count}\n")).chain(lines).collect()
}

impl Restore {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let file = self.kept.file("restore", session)?;
        let host = session.host()?;
        if session.dry_run() {
            return session.preview(&host.plan_restore(file)?);
        }
        let changed = host.restore(file, Duration::from_secs(self.wait))?.is_changed();
        let people = || match changed {
            true => format!("restored from {}\n", file.display()),
            false => format!("everything of {} is there\n", file.display()),
        };
        output::show(session.json(), || json!({ "changed": changed, "file": file.display().to_string() }), people)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_by_their_lines() {
        let network = "network-virtual bridgeip=10.98.98.1/24".parse().unwrap();
        let operations = [Operation::StartNetwork(network), Operation::DeleteBridge { bridge: "br0".parse().unwrap() }];
        insta::assert_snapshot!(told(&operations, "saved in x"), @r"
        saved in x: 2 operations
          start network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24
          delete bridge br0
        ");
        assert_eq!(told(&operations[1..], "saved in x").lines().next(), Some("saved in x: 1 operation"));
    }
}
