//! `xenvnet forward`.

use crate::cli::{socket, value};
use crate::failure::{Exit, Result};
use crate::session::Session;
use crate::{output, render};
use clap::Subcommand;
use serde_json::json;
use std::net::SocketAddr;
use xenvnet_core::{Dom0Port, Forward, IfName, Operation};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// What comes to a port of dom0 goes to a guest.
    Add {
        /// The port of dom0: tcp:8080, udp:53.
        #[arg(value_name = "PROTO:PORT", value_parser = value::<Dom0Port>)]
        port: Dom0Port,
        /// The guest: 10.98.98.2:80; of IPv6 with brackets around the address.
        #[arg(value_name = "ADDRESS:PORT", value_parser = socket)]
        to: SocketAddr,
        /// The interface that the guest is behind [default: the one that leads to its address].
        #[arg(long, value_name = "IF", value_parser = value::<IfName>)]
        behind: Option<IfName>,
    },
    /// What comes to a port of dom0 is dom0's own, IPv4 and IPv6.
    Remove {
        /// The port of dom0.
        #[arg(value_name = "PROTO:PORT", value_parser = value::<Dom0Port>)]
        port: Dom0Port,
    },
    /// Which ports of dom0 lead to which guest.
    Show,
}

impl Verb {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Verb::Add { port, to, behind } => {
                let mut forward = Forward::new(port, to);
                forward.behind = behind;
                session.perform(&[Operation::ForwardPort(forward)])
            }
            Verb::Remove { port } => session.perform(&[Operation::UnforwardPort { port }]),
            Verb::Show => {
                let snapshot = session.host()?.snapshot()?;
                output::show(
                    session.json(),
                    || json!({ "forwards": snapshot.forwards }),
                    || render::forwards(&snapshot).unwrap_or_else(|| "no port leads to a guest\n".to_owned()),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cli::Cli;
    use clap::Parser;

    #[test]
    fn what_is_no_port_says_how_to_write_one() {
        for (line, words) in [
            ("xenvnet forward add tcp:80 10.0.0.2", "write ADDRESS:PORT"),
            ("xenvnet forward add tcp:80 2001:db8::2:80", "of IPv6 [ADDRESS]:PORT"),
            ("xenvnet forward add 80 10.0.0.2:80", "write tcp:PORT or udp:PORT"),
            ("xenvnet forward remove tcp:0", "write tcp:PORT or udp:PORT"),
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(words), "{line}: {error}");
        }
    }
}
