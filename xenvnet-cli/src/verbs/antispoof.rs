//! `xenvnet antispoof`.

use crate::cli::value;
use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::verbs::lock::LockArgs;
use crate::{output, render};
use clap::Subcommand;
use serde_json::{Value, json};
use xenvnet_core::{IfName, Operation, Snapshot, Table};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A guest's interface is held to what it may send.
    Set {
        /// The interface.
        #[arg(value_parser = value::<IfName>)]
        vif: IfName,
        #[command(flatten)]
        lock: LockArgs,
    },
    /// A guest's interface is held to nothing.
    Clear {
        /// The interface.
        #[arg(value_parser = value::<IfName>)]
        vif: IfName,
    },
    /// Which interface is held to what, and what was dropped.
    Show {
        /// Only this interface.
        #[arg(value_parser = value::<IfName>)]
        vif: Option<IfName>,
    },
}

impl Verb {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Verb::Set { vif, lock } => session.perform(&[set(vif, lock)?]),
            Verb::Clear { vif } => session.perform(&[Operation::ClearAntispoof { vif }]),
            Verb::Show { vif } => show(session, vif),
        }
    }
}

fn set(vif: IfName, lock: LockArgs) -> Result<Operation> {
    let lock = lock.lock().ok_or_else(|| {
        Failure::usage(format_args!("set antispoof on {vif}"), "it is not said what the guest may send").advice(
            "give its --mac (and --ip, --dhcp), or --disabled for a guest that may send nothing; \
             to lift the lock: xenvnet antispoof clear",
        )
    })?;
    Ok(Operation::SetAntispoof { vif, lock })
}

fn show(session: &Session, only: Option<IfName>) -> Result<Exit> {
    let snapshot = session.host()?.snapshot()?;
    let guests: Vec<_> =
        render::guests(&snapshot).into_iter().filter(|name| only.is_none_or(|only| only == *name)).collect();
    if let (Some(vif), true) = (only, guests.is_empty()) {
        let reason = if snapshot.link(vif).is_some() { "it is no guest's" } else { "there is no such interface" };
        return Err(Failure::cannot(format_args!("show the lock of {vif}"), reason));
    }
    output::show(
        session.json(),
        || json!({ "vifs": guests.iter().map(|vif| entry(&snapshot, *vif)).collect::<Vec<_>>() }),
        || match guests.as_slice() {
            [] => "no guests\n".to_owned(),
            guests => render::guest_table(&snapshot, guests),
        },
    )
}

fn entry(snapshot: &Snapshot, vif: IfName) -> Value {
    let dropped: Vec<_> = snapshot.drops.iter().filter(|drops| drops.vif == vif).collect();
    let (bridged, ingress) = (snapshot.guards.get(&vif), snapshot.ingress.get(&vif));
    let tables = [(bridged, Table::Bridge), (ingress, Table::Netdev)];
    let tables: Vec<_> = tables.into_iter().filter(|(guard, _)| guard.is_some()).map(|(_, table)| table).collect();
    json!({
        "vif": vif,
        "bridge": snapshot.link(vif).and_then(|link| link.master),
        "guard": bridged.or(ingress),
        "tables": tables,
        "in_force": render::is_in_force(snapshot, vif),
        "paired": snapshot.is_paired(vif),
        "untracked": snapshot.untracked.contains_key(&vif),
        "drops": dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;
    use xenvnet_core::{Antispoof, Lock};

    fn parse(line: &str) -> Result<Operation> {
        match Cli::try_parse_from(line.split(' ')).unwrap().verb {
            Top::Antispoof(Verb::Set { vif, lock }) => set(vif, lock),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_lock_needs_a_mac() {
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).ip("10.0.0.2".parse().unwrap());
        assert_eq!(
            parse("xenvnet antispoof set vif1.0 --mac 00:16:3e:00:00:01 --ip 10.0.0.2").unwrap(),
            Operation::SetAntispoof { vif: "vif1.0".parse().unwrap(), lock: lock.into() }
        );
        for line in ["xenvnet antispoof set vif1.0 --dhcp", "xenvnet antispoof set vif1.0 --no-link-local"] {
            let text = format!("{:?}", parse(line).unwrap_err());
            assert!(text.contains("Usage") && text.contains("--mac") && text.contains("--disabled"), "{text}");
        }
    }

    #[test]
    fn a_guest_that_may_send_nothing() {
        let vif = "vif1.0".parse().unwrap();
        let line = "xenvnet antispoof set vif1.0 --disabled";
        assert_eq!(parse(line).unwrap(), Operation::SetAntispoof { vif, lock: Lock::Disabled });
        for more in ["--mac 00:16:3e:00:00:01", "--ip 10.0.0.2", "--dhcp", "--no-link-local"] {
            let both = format!("{line} {more}");
            assert_eq!(Cli::try_parse_from(both.split(' ')).unwrap_err().exit_code(), 2, "{both}");
        }
    }

    #[test]
    fn link_local_is_in_the_lock_unless_taken_out() {
        let lock = Antispoof::new("00:16:3e:00:00:01".parse().unwrap()).link_local(false);
        assert_eq!(
            parse("xenvnet antispoof set vif1.0 --mac 00:16:3e:00:00:01 --no-link-local").unwrap(),
            Operation::SetAntispoof { vif: "vif1.0".parse().unwrap(), lock: lock.into() }
        );
    }

    #[test]
    fn the_keys_of_an_entry_stay() {
        let value = entry(&Snapshot::default(), "vif1.0".parse().unwrap());
        let wanted = r#"{"bridge":null,"drops":[],"guard":null,"in_force":false,"paired":false,"tables":[],"untracked":false,"vif":"vif1.0"}"#;
        assert_eq!(value.to_string(), wanted);
    }
}
