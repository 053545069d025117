//! `xenvnet status`.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::verbs::network::{dhcp_services, warnings};
use crate::verbs::verify::list;
use crate::{output, render};
use clap::Args;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use xenvnet_core::{Finding, Snapshot};

#[derive(Args, Debug)]
pub(crate) struct Status {
    /// As a picture in the language of Graphviz.
    #[arg(long)]
    dot: bool,
    /// As a picture, written into this file; - for stdout.
    #[arg(long, value_name = "FILE", conflicts_with = "dot")]
    svg: Option<PathBuf>,
}

impl Status {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let host = session.host()?;
        let snapshot = host.snapshot()?;
        if let Some(file) = self.svg {
            let svg = render::Topology::of(&snapshot).svg();
            return if file == Path::new("-") { show(session, "svg", svg) } else { write(session, &file, &svg) };
        }
        if self.dot {
            return show(session, "dot", render::Topology::of(&snapshot).dot());
        }
        let warnings = warnings(&host, &snapshot)?;
        let object = object(&snapshot, &warnings)?;
        let notes = || render::warnings(&warnings) + &render::unserved(&dhcp_services(&snapshot));
        output::show(session.json(), || object, || render::status(&snapshot) + &notes())
    }
}

fn show(session: &Session, key: &str, picture: String) -> Result<Exit> {
    output::show(session.json(), || json!({ key: picture }), || picture.clone())
}

/// Writes a file that is not there yet, or is another.
fn write(session: &Session, file: &Path, svg: &str) -> Result<Exit> {
    let differs = std::fs::read(file).ok().as_deref() != Some(svg.as_bytes());
    let (key, exit) = match session.dry_run() {
        true => ("would_write", if differs { Exit::WouldChange } else { Exit::Done }),
        false => ("written", Exit::Done),
    };
    if differs && !session.dry_run() {
        std::fs::write(file, svg)
            .map_err(|error| Failure::system(format_args!("write the picture {}", file.display()), &error))?;
    }
    let names: Vec<_> = differs.then(|| file.display().to_string()).into_iter().collect();
    output::show(session.json(), || json!({ key: names }), || names.iter().map(|name| format!("{name}\n")).collect())?;
    Ok(exit)
}

fn object(snapshot: &Snapshot, warnings: &[Finding]) -> Result<Value> {
    let mut object = serde_json::to_value(snapshot).map_err(|error| Failure::cannot("write the status", error))?;
    object["warnings"] = list(warnings)?.into();
    Ok(object)
}

#[cfg(test)]
mod tests {
    use super::*;
    use xenvnet_core::{Link, Sysctl};

    #[test]
    fn the_keys_of_a_status_stay() {
        let mut now = Snapshot::default();
        let link = Link::new(4, "vif1.0".parse().unwrap());
        now.links.insert(link.name, link);
        now.sysctls.insert(Sysctl::Ip4Forward, 1);
        let value = object(&now, &[]).unwrap();
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        let wanted = "addresses drops guards links masquerades networks routes sysctls tables warnings";
        assert_eq!(keys(&value), wanted);
        assert_eq!(value["sysctls"]["ip4_forward"], 1);
        assert_eq!(value["links"]["vif1.0"]["index"], 4);
    }
}
