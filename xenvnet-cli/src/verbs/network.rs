//! `xenvnet network`.

use crate::cli::value;
use crate::failure::{Exit, Result};
use crate::session::Session;
use crate::{output, render};
use clap::Subcommand;
use serde_json::json;
use xenvnet_core::{Network, Operation};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A network runs.
    Start(Line),
    /// A network does not run; the host's settings are as they were before.
    Stop(Line),
    /// Which networks run.
    Status,
    /// Show what starting a network would change.
    Plan(Line),
}

#[derive(clap::Args, Debug)]
pub(crate) struct Line {
    /// What xend-config.sxp has between the quotes, such as
    /// 'network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24'.
    #[arg(value_name = "LINE", value_parser = value::<Network>)]
    network: Network,
}

impl Verb {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Verb::Start(line) => session.perform(&[Operation::StartNetwork(line.network)]),
            Verb::Stop(line) => session.perform(&[Operation::StopNetwork(line.network)]),
            Verb::Plan(line) => {
                let plan = session.host()?.plan(&[Operation::StartNetwork(line.network)])?;
                session.show_plan(&plan)
            }
            Verb::Status => {
                let snapshot = session.host()?.snapshot()?;
                output::show(
                    session.json(),
                    || json!({ "networks": snapshot.networks }),
                    || render::networks(&snapshot).unwrap_or_else(|| "no network runs\n".to_owned()),
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
    fn a_mistyped_line_is_a_usage_error_with_its_place() {
        let error = Cli::try_parse_from(["xenvnet", "network", "start", "network-virtual brige=xenbr0"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let text = error.to_string();
        assert!(text.contains("at byte 16") && text.contains("did you mean \"bridge\"?"), "{text}");
    }
}
