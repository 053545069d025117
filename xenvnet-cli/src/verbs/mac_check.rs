//! `xenvnet mac check`: guests' configurations, and whether their MAC addresses can live side by side.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{input, output, render};
use clap::Args;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use xenvnet_core::{MacCheck, MacFinding, MacPlace};

#[derive(Args, Debug)]
pub(crate) struct Check {
    /// Guests' configurations; of a directory (/etc/xen) its *.cfg and the files without an ending,
    /// not those in directories below it. A file that is met twice, as by the links in
    /// /etc/xen/auto, is read once.
    #[arg(required = true, value_name = "FILE|DIR")]
    files: Vec<PathBuf>,
}

impl Check {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let mut texts = Vec::new();
        for file in files(&self.files)? {
            texts.push((input::name(&file), input::configuration(&file)?));
        }
        let check = MacCheck::of(texts.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        output::show(session.json(), || object(texts.len(), &check), || render::mac_check(texts.len(), &check))?;
        Ok(if check.findings.is_empty() { Exit::Done } else { Exit::Failed })
    }
}

/// Every file once, those of a directory in the order of their names.
fn files(given: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let (mut files, mut seen) = (Vec::new(), BTreeSet::new());
    for path in given {
        let found = match path.is_dir() {
            true => listed(path)
                .map_err(|error| Failure::system(format_args!("read the directory {}", path.display()), &error))?,
            false => vec![path.clone()],
        };
        // What cannot be followed is told when it is read.
        files.extend(found.into_iter().filter(|file| seen.insert(file.canonicalize().unwrap_or(file.clone()))));
    }
    Ok(files)
}

fn listed(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = directory.read_dir()?.map(|entry| Ok(entry?.path()));
    let mut files = entries.collect::<io::Result<Vec<_>>>()?;
    files.retain(|file| is_guests(file) && file.is_file());
    files.sort();
    Ok(files)
}

/// By its name: no hidden file, no editor's copy, nothing that is for people.
fn is_guests(file: &Path) -> bool {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let is_other = name.starts_with('.') || name.ends_with('~') || name == "README";
    !is_other && file.extension().is_none_or(|ending| ending == "cfg")
}

fn object(files: usize, check: &MacCheck) -> Value {
    json!({
        "files": files,
        "macs": check.macs.iter().map(place).collect::<Vec<_>>(),
        "findings": check.findings.iter().map(finding).collect::<Vec<_>>(),
    })
}

fn place(place: &MacPlace) -> Value {
    let MacPlace { mac, source, vif, offset, line, .. } = place;
    json!({ "mac": mac, "source": source, "vif": vif, "offset": offset, "line": line })
}

fn finding(finding: &MacFinding) -> Value {
    let sentence = finding.to_string();
    match finding {
        MacFinding::Fault { source, error, .. } => json!({
            "kind": "fault",
            "sentence": sentence,
            "source": source,
            "offset": error.offset(),
            "advice": error.advice(),
        }),
        MacFinding::Duplicate { places, .. } => json!({
            "kind": "duplicate",
            "sentence": sentence,
            "places": places.iter().map(place).collect::<Vec<_>>(),
        }),
        _ => json!({ "kind": "other", "sentence": sentence }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_files_are_known_by_their_names() {
        for (name, guests) in [
            ("web.cfg", true),
            ("web", true),
            ("web.cfg~", false),
            ("web~", false),
            (".web.cfg.swp", false),
            (".keep", false),
            ("xl.conf", false),
            ("xend-config.sxp", false),
            ("README", false),
            ("README.incompatibilities", false),
        ] {
            assert_eq!(is_guests(&Path::new("/etc/xen").join(name)), guests, "{name}");
        }
    }

    #[test]
    fn the_keys_of_a_check_stay() {
        let check = MacCheck::of([
            ("a", "vif = ['mac=00:16:3e:00:00:01']"),
            ("b", "vif = ['mac=00:16:3e:00:00:01', 'mac=01:16:3e:00:00:01']"),
        ]);
        insta::assert_snapshot!(format!("{:#}", object(2, &check)));
    }
}
