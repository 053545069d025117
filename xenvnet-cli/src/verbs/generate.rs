//! `xenvnet completions` and `man`: written from the one grammar in [`crate::cli`].

use crate::cli::Cli;
use crate::failure::{Exit, Failure, Result};
use crate::output;
use crate::session::Session;
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use serde_json::json;
use std::path::Path;

pub(crate) fn completions(shell: Shell, as_json: bool) -> Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "xenvnet", &mut script);
    let script = String::from_utf8_lossy(&script);
    output::show(as_json, || json!({ "shell": shell.to_string(), "script": script }), || script.to_string())
}

/// Writes the pages that are not there yet, or are of another version.
pub(crate) fn man(dir: &Path, session: &Session) -> Result<Exit> {
    let mut pages = pages(&grammar()).map_err(|error| Failure::system("write the manual pages", &error))?;
    pages.retain(|(name, page)| std::fs::read(dir.join(name)).ok().as_ref() != Some(page));
    if !session.dry_run() {
        for (name, page) in &pages {
            let path = dir.join(name);
            std::fs::write(&path, page)
                .map_err(|error| Failure::system(format_args!("write the manual page {}", path.display()), &error))?;
        }
    }
    let names: Vec<_> = pages.iter().map(|(name, _)| name.as_str()).collect();
    let key = if session.dry_run() { "would_write" } else { "written" };
    output::show(
        session.json(),
        || json!({ key: names }),
        || names.iter().map(|name| format!("{}\n", dir.join(name).display())).collect(),
    )?;
    Ok(if session.dry_run() && !names.is_empty() { Exit::WouldChange } else { Exit::Done })
}

/// The pages by their file names: one for a command and one for each below it.
fn pages(command: &Command) -> std::io::Result<Vec<(String, Vec<u8>)>> {
    let man = Man::new(command.clone());
    let mut page = Vec::new();
    man.render(&mut page)?;
    let mut all = vec![(man.get_filename(), page)];
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        all.extend(pages(below)?);
    }
    Ok(all)
}

/// The grammar with every name in full, as its pages want it.
fn grammar() -> Command {
    let mut root = Cli::command().disable_help_subcommand(true);
    root.build();
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_its_page() {
        let pages = pages(&grammar()).unwrap();
        let page =
            |name: &str| pages.iter().find(|(page, _)| page == name).map(|(_, text)| String::from_utf8_lossy(text));
        assert!(page("xenvnet.1").unwrap().contains("dry\\-run"));
        assert!(page("xenvnet-vif-attach.1").unwrap().contains("unlocked"));
        assert!(page("xenvnet-verify.1").unwrap().contains("repair"));
        assert!(page("xenvnet-dom0-set.1").unwrap().contains("services"));
        assert!(page("xenvnet-dhcp.1").unwrap().contains("dhcp=yes"));
        assert!(page("xenvnet-help.1").is_none() && page("xenvnet-leash.1").is_none());
    }
}
