//! `xenvnet spec`: what a vif of a guest's configuration says, in words; and how one is read.

use crate::failure::{Exit, Failure, Result};
use crate::{output, render};
use clap::Args;
use serde_json::{Value, json};
use xenvnet_core::{Error, Strictness, VifSpec};

/// In whose words a vif is written, and how strictly they are taken.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Dialect {
    /// As xm reads it, and not xl.
    #[arg(long)]
    xm: bool,
    /// An unknown key, or one that is given twice, is worth a warning only, as it is to xl.
    #[arg(long)]
    lenient: bool,
}

impl Dialect {
    pub(crate) fn strictness(self) -> Strictness {
        if self.lenient { Strictness::Lenient } else { Strictness::Strict }
    }

    /// Reads a vif; leniently, what was forgiven is logged.
    pub(crate) fn read(self, text: &str) -> Result<VifSpec> {
        let (spec, forgiven) = self.parse(text, self.strictness()).map_err(Failure::mistake)?;
        forgiven.iter().for_each(|warning| log::warn!("{warning}"));
        Ok(spec)
    }

    fn parse(self, text: &str, strictness: Strictness) -> xenvnet_core::Result<(VifSpec, Vec<Error>)> {
        if self.xm { VifSpec::from_xm(text, strictness) } else { VifSpec::from_xl(text, strictness) }
    }
}

#[derive(Args, Debug)]
pub(crate) struct Spec {
    /// One string of vif = [ ... ], such as 'mac=00:16:3e:00:00:01,bridge=xenbr0,ip=10.98.98.2'.
    #[arg(value_name = "SPEC")]
    spec: String,
    #[command(flatten)]
    dialect: Dialect,
}

/// A key, and what holds where it is not given.
const DEFAULTS: [(&str, &str); 15] = [
    ("mac", "the toolstack makes one up"),
    ("bridge", "that of the host's vif script, or xenbr0"),
    ("ip", "any address; vif-nat: one from the vif's number"),
    ("vifname", "vifDOMID.DEVID"),
    ("script", "the host's own, or vif-bridge"),
    ("gatewaydev", "vif-route: the running network's uplink"),
    ("type", "ioemu for HVM guests, vif for others"),
    ("model", "rtl8139"),
    ("rate", "unlimited"),
    ("mtu", "that of the bridge"),
    ("vlan", "none"),
    ("devid", "its place in the list"),
    ("backend", "dom0"),
    ("trusted", "yes"),
    ("accel", "none"),
];

/// A key of a vif with its value, or what holds without one.
pub(crate) struct Explained {
    pub(crate) key: String,
    pub(crate) value: Option<String>,
    pub(crate) default: &'static str,
}

impl Spec {
    pub(crate) fn run(self, json: bool) -> Result<Exit> {
        // Leniently, so that one mistake does not hide the next.
        let (spec, mistakes) = match self.dialect.parse(&self.spec, Strictness::Lenient) {
            Ok((spec, warnings)) => (Some(spec), warnings),
            Err(error) => (None, vec![error]),
        };
        let exit = match &spec {
            Some(_) if mistakes.is_empty() || self.dialect.lenient => Exit::Done,
            _ => Exit::Usage,
        };
        output::show(
            json,
            || object(spec.as_ref(), &mistakes),
            || {
                let unenforceable = spec.as_ref().map(VifSpec::unenforceable).unwrap_or_default();
                let keys = spec.as_ref().map(explain).unwrap_or_default();
                render::spec(&keys, &unenforceable) + &render::mistakes(&self.spec, &mistakes)
            },
        )?;
        Ok(exit)
    }
}

/// Every key in the library's order. In xl's words no value has a comma in it.
fn explain(spec: &VifSpec) -> Vec<Explained> {
    let words = spec.to_string();
    let given = words.split(',').filter(|word| !word.is_empty()).map(|word| match word.split_once('=') {
        Some((key, value)) => (key.to_owned(), value.to_owned()),
        None => ("trusted".to_owned(), if word == "trusted" { "yes" } else { "no" }.to_owned()),
    });
    let mut given: Vec<_> = given.collect();
    let mut keys: Vec<_> = DEFAULTS
        .iter()
        .map(|(key, default)| {
            let at = given.iter().position(|(given, _)| given == key);
            Explained { key: (*key).to_owned(), value: at.map(|at| given.remove(at).1), default }
        })
        .collect();
    keys.extend(given.into_iter().map(|(key, value)| Explained { key, value: Some(value), default: "" }));
    keys
}

fn object(spec: Option<&VifSpec>, mistakes: &[Error]) -> Value {
    let mistakes = mistakes.iter().map(|error| {
        json!({
            "kind": error.kind().name(),
            "message": error.to_string(),
            "advice": error.advice(),
            "offset": error.offset(),
        })
    });
    json!({
        "spec": spec,
        "unenforceable": spec.map(VifSpec::unenforceable).unwrap_or_default(),
        "mistakes": mistakes.collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_explained_once() {
        let text = "mac=00:16:3e:00:00:01,bridge=ovs0:20,ip=10.0.0.2 2001:db8::/64,vifname=web,script=vif-bridge,\
                    gatewaydev=eth1,type=ioemu,model=e1000,rate=10MB/s@50ms,mtu=9000,vlan=10p/20,devid=3,\
                    backend=netvm,untrusted,accel=x,forwarddev=eth7";
        let keys = explain(&text.parse().unwrap());
        let names: Vec<_> = keys.iter().map(|explained| explained.key.as_str()).collect();
        let wanted = DEFAULTS.iter().map(|(key, _)| *key).chain(["forwarddev"]);
        assert_eq!(names, wanted.collect::<Vec<_>>());
        assert!(keys.iter().all(|explained| explained.value.is_some()));
        assert!(explain(&VifSpec::default()).iter().all(|explained| explained.value.is_none()));
    }

    #[test]
    fn the_keys_of_an_explanation_stay() {
        let (spec, mistakes) = VifSpec::from_xl("vlan=7,iP=10.0.0.1", Strictness::Lenient).unwrap();
        let object = object(Some(&spec), &mistakes);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&object), "mistakes spec unenforceable");
        assert_eq!(keys(&object["mistakes"][0]), "advice kind message offset");
        assert_eq!(object["unenforceable"], json!(["vlan=7"]));
    }
}
