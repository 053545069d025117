//! `xenvnet status`.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{output, render};
use serde_json::Value;
use xenvnet_core::Snapshot;

pub(crate) fn show(session: &Session) -> Result<Exit> {
    let snapshot = session.host()?.snapshot()?;
    if session.json() {
        return output::json(object(&snapshot)?).map(|()| Exit::Done);
    }
    output::text(&render::status(&snapshot)).map(|()| Exit::Done)
}

fn object(snapshot: &Snapshot) -> Result<Value> {
    serde_json::to_value(snapshot).map_err(|error| Failure::cannot("write the status", error))
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
        let object = object(&now).unwrap();
        let keys: Vec<_> = object.as_object().unwrap().keys().map(String::as_str).collect();
        let wanted = "addresses drops filter guards links masquerades nat networks routes sysctls";
        assert_eq!(keys.join(" "), wanted);
        assert_eq!(object["sysctls"]["ip4_forward"], 1);
        assert_eq!(object["links"]["vif1.0"]["index"], 4);
    }
}
