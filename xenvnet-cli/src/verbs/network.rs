//! `xenvnet network`.

use crate::cli::value;
use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::verbs::verify::list;
use crate::{input, output, render};
use clap::{Args, Subcommand};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xenvnet_core::{DhcpService, Finding, Host, IfName, Network, Operation, Snapshot, Step, XendConfig};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A network runs.
    Start {
        #[command(flatten)]
        change: Change,
        /// Wait so long for the carrier of a bridge that leads outside; 0: do not.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        wait: u64,
    },
    /// A network does not run; the host's settings are as they were before.
    Stop(Change),
    /// Which networks run, and what they found when they started.
    Status,
    /// Show what starting a network would change.
    Plan(Line),
}

#[derive(Args, Debug)]
pub(crate) struct Line {
    /// What xend-config.sxp has between the quotes, such as 'network-bridge netdev=eth0 bridge=xenbr0'
    /// or 'network-virtual bridgeip=10.98.98.1/24 brnet=10.98.98.0/24'.
    #[arg(value_name = "LINE", required_unless_present = "config", value_parser = value::<Network>)]
    network: Option<Network>,
    /// Take the line from an xend-config.sxp; - for stdin.
    #[arg(long, value_name = "FILE", conflicts_with = "network")]
    config: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct Change {
    #[command(flatten)]
    line: Line,
    /// Put it back unless `xenvnet confirm` is called in time: for hosts that are far away.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    confirm_within: Option<u64>,
}

impl Verb {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        match self {
            Verb::Start { change, wait } => start(change, Duration::from_secs(wait), session),
            Verb::Stop(change) => {
                let operation = Operation::StopNetwork(change.line.network()?);
                perform(&[operation], change.confirm_within, session)
            }
            Verb::Plan(line) => {
                let plan = session.host()?.plan(&[Operation::StartNetwork(line.network()?)])?;
                if session.dry_run() { session.preview(&plan) } else { session.show_plan(&plan) }
            }
            Verb::Status => status(session),
        }
    }
}

fn perform(operations: &[Operation], confirm_within: Option<u64>, session: &Session) -> Result<Exit> {
    match confirm_within.map(Duration::from_secs) {
        Some(within) => session.perform_provisionally(operations, within),
        None => session.perform(operations),
    }
}

/// Says what was done before it waits: whoever has to confirm it has no time to lose.
fn start(change: Change, wait: Duration, session: &Session) -> Result<Exit> {
    let operations = [Operation::StartNetwork(change.line.network()?)];
    let host = session.host()?;
    let plan = host.plan(&operations)?;
    let exit = perform(&operations, change.confirm_within, session)?;
    let waits = !wait.is_zero() && !session.dry_run();
    for (bridge, card) in plan.steps().iter().filter(|_| waits).filter_map(leads_outside) {
        if !host.wait_for_carrier(bridge, wait)? {
            let seconds = wait.as_secs();
            log::warn!("{bridge} has no carrier after {seconds} s: is {card} plugged in?");
        }
    }
    Ok(exit)
}

/// The bridge of a network that a plan starts, and the card that it leads outside by.
fn leads_outside(step: &Step) -> Option<(IfName, IfName)> {
    let Step::AddNetwork { record } = step else { return None };
    Some((record.network.bridge()?, record.network.cards().into_iter().next()?))
}

impl Line {
    fn network(self) -> Result<Network> {
        match (self.network, self.config) {
            (Some(network), _) => Ok(network),
            (None, Some(file)) => configured(&file),
            (None, None) => Err(Failure::usage("name a network", "LINE is wanted, or --config FILE")),
        }
    }
}

/// The network that xend's configuration names.
fn configured(file: &Path) -> Result<Network> {
    let (name, text) = (input::name(file), input::configuration(file)?);
    let failed = |error: xenvnet_core::Error| Failure::from(error).doing(format_args!("read {name}"));
    let config = XendConfig::parse(&text).map_err(failed)?;
    let line = config.network_script.ok_or_else(|| {
        Failure::cannot(format_args!("read {name}"), "it names no network")
            .advice("write into it: (network-script 'network-bridge netdev=eth0 bridge=xenbr0')")
    })?;
    line.parse().map_err(failed)
}

fn status(session: &Session) -> Result<Exit> {
    let host = session.host()?;
    let snapshot = host.snapshot()?;
    let warnings = warnings(&host, &snapshot)?;
    let listed = list(&warnings)?;
    let services = dhcp_services(&snapshot);
    output::show(
        session.json(),
        || json!({ "networks": snapshot.networks, "warnings": listed, "dhcp": services }),
        || {
            let networks = render::networks(&snapshot).unwrap_or_else(|| "no network runs\n".to_owned());
            networks + &render::warnings(&warnings) + &render::unserved(&services)
        },
    )
}

/// What the guests of each network that runs with DHCP are to be told.
pub(crate) fn dhcp_services(snapshot: &Snapshot) -> Vec<DhcpService> {
    snapshot.networks.keys().filter_map(|id| DhcpService::of(snapshot, *id).ok()).collect()
}

/// What of somebody else's keeps guests from what the networks here are for.
pub(crate) fn warnings(host: &Host, snapshot: &Snapshot) -> Result<Vec<Finding>> {
    let Snapshot { networks, masquerades, guards, ingress, .. } = snapshot;
    if networks.is_empty() && masquerades.is_empty() && guards.is_empty() && ingress.is_empty() {
        return Ok(Vec::new());
    }
    let mut findings = host.verify()?.findings;
    findings.retain(|finding| matches!(finding, Finding::ForwardDrop { .. }));
    Ok(findings)
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

    #[test]
    fn a_line_or_a_file_and_time_to_confirm() {
        for words in [
            &["start", "--config", "xend-config.sxp", "--confirm-within", "30"][..],
            &["stop", "--confirm-within", "1", "network-nat"],
            &["plan", "--config", "-"],
        ] {
            let line = ["xenvnet", "network"].iter().chain(words);
            assert!(Cli::try_parse_from(line).is_ok(), "{words:?}");
        }
        for words in [
            &["start"][..],
            &["start", "network-nat", "--config", "xend-config.sxp"],
            &["start", "network-nat", "--confirm-within", "0"],
            &["plan", "network-nat", "--confirm-within", "9"],
        ] {
            let line = ["xenvnet", "network"].iter().chain(words);
            assert_eq!(Cli::try_parse_from(line).unwrap_err().exit_code(), 2, "{words:?}");
        }
    }
}
