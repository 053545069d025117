//! `xenvnet accounting`.

use crate::cli::value;
use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{output, render};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use xenvnet_core::{Account, IfName, Operation};

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Accounting {
    /// Only these guests, by the names of their interfaces; they need not run.
    #[arg(value_parser = value::<IfName>)]
    name: Vec<IfName>,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// What a guest sent and received is counted no longer; `xenvnet undo` has it go on.
    Forget {
        /// The name under which it is counted.
        #[arg(value_parser = value::<IfName>)]
        name: IfName,
    },
}

impl Accounting {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        match self.verb {
            Some(Verb::Forget { name }) => session.perform(&[Operation::ForgetAccount { name }]),
            None => show(session, &self.name),
        }
    }
}

fn show(session: &Session, only: &[IfName]) -> Result<Exit> {
    let accounts = session.host()?.snapshot()?.accounts;
    if let Some(name) = only.iter().find(|name| !accounts.contains_key(name)) {
        return Err(Failure::cannot(format_args!("show the account of {name}"), "it has none")
            .advice(format!("attach it with --accounted, under that name: xenvnet vif attach VIF --name {name} ...")));
    }
    let mut accounts: Vec<_> = accounts.into_iter().collect();
    accounts.retain(|(name, _)| only.is_empty() || only.contains(name));
    output::show(
        session.json(),
        || json!({ "accounts": accounts.iter().map(|(name, account)| entry(*name, account)).collect::<Vec<_>>() }),
        || match accounts.as_slice() {
            [] => "no guest is accounted\n".to_owned(),
            some => render::accounts(some),
        },
    )
}

fn entry(name: IfName, account: &Account) -> Value {
    let Account { index, routed, sent, received, .. } = account;
    json!({ "name": name, "index": index, "routed": routed, "sent": sent, "received": received })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;

    fn parse(line: &str) -> Accounting {
        match Cli::try_parse_from(line.split(' ')).unwrap().verb {
            Top::Accounting(accounting) => accounting,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn names_are_shown_and_one_is_forgotten() {
        let names = parse("xenvnet accounting web db");
        assert!(names.verb.is_none());
        assert_eq!(names.name, ["web", "db"].map(|name| name.parse().unwrap()));
        assert!(parse("xenvnet accounting").name.is_empty());
        let forget = parse("xenvnet accounting forget web");
        assert!(matches!(forget.verb, Some(Verb::Forget { name }) if name.as_str() == "web"));
        for line in ["xenvnet accounting forget", "xenvnet accounting a/b"] {
            assert_eq!(Cli::try_parse_from(line.split(' ')).unwrap_err().exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn the_keys_of_an_entry_stay() {
        let value = entry("web".parse().unwrap(), &Account::new(3));
        let wanted = r#"{"index":3,"name":"web","received":{"bytes":0,"packets":0},"routed":false,"sent":{"bytes":0,"packets":0}}"#;
        assert_eq!(value.to_string(), wanted);
    }
}
