//! `xenvnet dom0`.

use crate::cli::value;
use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{output, render};
use clap::Subcommand;
use serde_json::{Value, json};
use xenvnet_core::{Dom0, DropReason, IfName, Operation, Snapshot};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Guests behind a bridge or a routed vif reach this on dom0.
    Set {
        /// The bridge, or the routed vif; it need not be there yet.
        #[arg(value_parser = value::<IfName>)]
        interface: IfName,
        /// open, closed, or services(dhcp,dns,icmp,ntp,ra,tcp:PORT,udp:PORT).
        #[arg(value_parser = value::<Dom0>)]
        access: Dom0,
    },
    /// What guests reach on dom0, and what was dropped on the way.
    Show {
        /// Only behind this interface.
        #[arg(value_parser = value::<IfName>)]
        interface: Option<IfName>,
    },
}

impl Verb {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Verb::Set { interface, access } => session.perform(&[Operation::SetDom0 { interface, access }]),
            Verb::Show { interface } => show(session, interface),
        }
    }
}

fn show(session: &Session, only: Option<IfName>) -> Result<Exit> {
    let snapshot = session.host()?.snapshot()?;
    let mut interfaces = render::interfaces(&snapshot);
    if let Some(only) = only {
        interfaces.retain(|interface| *interface == only);
        if interfaces.is_empty() {
            let known = snapshot.link(only).is_some();
            let reason = if known { "it is neither a bridge nor routed" } else { "there is no such interface" };
            return Err(Failure::cannot(format_args!("show what guests on {only} reach on dom0"), reason));
        }
    }
    output::show(
        session.json(),
        || json!({ "interfaces": interfaces.iter().map(|one| entry(&snapshot, *one)).collect::<Vec<_>>() }),
        || match interfaces.as_slice() {
            [] => "no bridges, no routed guests\n".to_owned(),
            some => render::access_table(&snapshot, some),
        },
    )
}

fn entry(snapshot: &Snapshot, interface: IfName) -> Value {
    let of_dom0 = |reason| reason == DropReason::Dom0;
    let drops: Vec<_> = snapshot.drops.iter().filter(|drops| drops.vif == interface && of_dom0(drops.reason)).collect();
    json!({ "interface": interface, "access": render::access_of(snapshot, interface), "drops": drops })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;

    #[test]
    fn an_access_is_read_or_refused_with_advice() {
        let line = ["xenvnet", "dom0", "set", "xenbr0", "services(dns,tcp:22)"];
        let Top::Dom0(Verb::Set { interface, access }) = Cli::try_parse_from(line).unwrap().verb else { panic!() };
        assert_eq!((interface.as_str(), access.to_string().as_str()), ("xenbr0", "services(dns,tcp:22)"));
        let error = Cli::try_parse_from(["xenvnet", "dom0", "set", "xenbr0", "shut"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("write open, closed or services("), "{error}");
    }

    #[test]
    fn the_keys_of_an_entry_stay() {
        let xenbr0 = "xenbr0".parse().unwrap();
        let mut now = Snapshot::default();
        insta::assert_snapshot!(entry(&now, xenbr0), @r#"{"access":"open","drops":[],"interface":"xenbr0"}"#);
        now.dom0.insert(xenbr0, Dom0::Closed);
        assert_eq!(entry(&now, xenbr0)["access"], "closed");
    }
}
