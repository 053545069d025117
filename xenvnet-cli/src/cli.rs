//! The grammar: what may be written after `xenvnet`.

use crate::leash;
use crate::verbs::{
    accounting, antispoof, bridge, desired, dhcp, dom0, forward, guard, mac, masquerade, network, spec, status, verify,
    vif, watch,
};
use clap::{Args, Parser, Subcommand};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use xenvnet_core::Error;
use xenvnet_core::ipnetwork::IpNetwork;

/// Networks of Xen guests: bridges, vifs, antispoof, NAT.
///
/// Every verb says how things should be. What is so already is left alone, what fails half-way is
/// put back, and no vif is up without its lock.
#[derive(Debug, Parser)]
#[command(name = "xenvnet", version, arg_required_else_help = true, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 usage, 3 with --dry-run when something would change."
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

/// What may stand before or after every verb.
#[derive(Args, Debug, Default)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    /// Work in this network namespace: a name of `ip netns`, a path, or a process id.
    #[arg(long, global = true, value_name = "NAME|PATH|PID")]
    pub(crate) netns: Option<String>,

    /// Write JSON: one object with "version": 1.
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Show what would change, and change nothing.
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,

    /// Say on stderr what is done (-vv: say everything).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Take over even an interface that the root file system is reached by.
    #[arg(long, global = true)]
    pub(crate) even_with_network_root: bool,

    /// Keep locks and the undo journal here [default for root: /run/xenvnet].
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) state_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Show and check everything in throw-away namespaces; needs no root.
    Demo,
    /// Bridges and their ports.
    #[command(subcommand)]
    Bridge(bridge::Verb),
    /// Guests' interfaces: ready in one call, in the safe order.
    #[command(subcommand)]
    Vif(vif::Verb),
    /// What a guest may send.
    #[command(subcommand)]
    Antispoof(antispoof::Verb),
    /// What guests reach on dom0 itself.
    #[command(subcommand)]
    Dom0(dom0::Verb),
    /// Subnets that speak to the outside with dom0's address.
    #[command(subcommand)]
    Masquerade(masquerade::Verb),
    /// Ports of dom0 that lead to a guest.
    #[command(subcommand)]
    Forward(forward::Verb),
    /// What guests sent and received, under their own names, over restarts and moves.
    Accounting(accounting::Accounting),
    /// Networks of the whole host, as one line of xend's configuration names them.
    #[command(subcommand)]
    Network(network::Verb),
    /// What was changed with --confirm-within stays.
    Confirm,
    /// Watch over changes that want to be confirmed, and put back what nobody confirms.
    ///
    /// A change whose maker died in the middle it puts back at once. --confirm-within starts one where
    /// none is on the watch; where another one is, it stands by.
    Guard(guard::Guard),
    /// Serve DHCP to the guests of a network that runs with dhcp=yes, by a dnsmasq of its own.
    ///
    /// Each guest is told the address of its lock, its gateway and its MTU, as soon as it is attached.
    /// Runs until it is told to end, and waits while the network does not run. IPv4 only.
    Dhcp(dhcp::Dhcp),
    /// What `dhcp` starts its server by.
    #[command(hide = true)]
    Leash(leash::Leash),
    /// MAC addresses for guests.
    #[command(subcommand)]
    Mac(mac::Verb),
    /// Explain a vif of a guest's configuration: each key, its default, each mistake.
    #[command(after_help = "Exit codes: 0 it can be read, 2 there is a mistake (with --lenient: in a value).")]
    Spec(spec::Spec),
    /// Show what the operations in a file would change.
    Plan {
        /// JSON: an operation or a list of them; - for stdin.
        file: PathBuf,
    },
    /// Carry out the operations in a file, all or nothing.
    Apply {
        /// JSON: an operation or a list of them; - for stdin.
        file: PathBuf,
    },
    /// Put back what the last call changed, all of it or nothing.
    ///
    /// What was cut off in the middle, by a crash say, is put back as far as it went; the next change would
    /// do so too. Refused where the host was changed since so that others' work would be undone as well.
    Undo {
        /// Leave what was cut off in the middle as it is, and forget about it.
        #[arg(long)]
        forget: bool,
    },
    /// Bridges, guests, locks, drops, networks: one snapshot.
    Status(status::Status),
    /// Whether the kernel still holds what was asked for: holes and leftovers, each with its remedy.
    #[command(
        after_help = "Exit codes: 0 sound (there may be notes), 1 a fault or a hole was found (with --repair: is left), 3 with --repair --dry-run when something would be mended."
    )]
    Verify(verify::Verify),
    /// Say what others changed as soon as they have, until told to end.
    ///
    /// A line for what is found and was not before, one for what is not found any more. Nothing is said
    /// where nothing is wrong, and nothing is asked while nothing changes. With --json a line is an object:
    /// "event" is watching (the first), came, went or mended.
    Watch(watch::Watch),
    /// Clear away what dead guests left; accounts stay, they belong to names.
    Gc,
    /// Keep what the host is to be like: networks, bridges beside them, masquerades, forwards.
    ///
    /// Guests are left out: their toolstack attaches them again. So are bridges with a MAC address of
    /// somebody's choice, which may be another's.
    Save(desired::Kept),
    /// Make the host what was saved: after a reboot, and after others flushed the rules.
    ///
    /// What `verify --repair` mends is mended first; then what is missing is brought about, all of it or
    /// nothing. What is there stays as it is.
    Restore(desired::Restore),
    /// Write the completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a directory.
    Man {
        /// The directory; it must exist.
        dir: PathBuf,
    },
}

/// Reads a value of the library, and keeps the advice that comes with its errors.
pub(crate) fn value<T>(text: &str) -> Result<T, String>
where
    T: FromStr<Err = Error>,
{
    text.parse().map_err(|error| words(&error))
}

/// Reads an address: `10.0.0.5`, `2001:db8::5`.
pub(crate) fn ip(text: &str) -> Result<IpAddr, String> {
    xenvnet_core::parse_ip(text).map_err(|error| words(&error))
}

/// Reads an address or a prefix: `10.0.0.5`, `10.0.0.0/24`, `2001:db8::/64`.
pub(crate) fn net(text: &str) -> Result<IpNetwork, String> {
    xenvnet_core::parse_ip_network(text).map_err(|error| words(&error))
}

/// Reads an address and a port: `10.0.0.5:80`, `[2001:db8::5]:80`.
pub(crate) fn socket(text: &str) -> Result<SocketAddr, String> {
    xenvnet_core::parse_socket(text).map_err(|error| words(&error))
}

fn words(error: &Error) -> String {
    error.advice().map_or_else(|| error.to_string(), |advice| format!("{error}\n{advice}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    #[test]
    fn the_grammar_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn global_options_stand_before_or_after_the_verb() {
        for line in ["xenvnet --json --netns dom0 status", "xenvnet status --netns dom0 --json"] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert!(cli.global.json);
            assert_eq!(cli.global.netns.as_deref(), Some("dom0"));
        }
        let cli = Cli::try_parse_from("xenvnet -v bridge --dry-run delete br0 -v".split(' ')).unwrap();
        assert!(cli.global.dry_run);
    }

    #[test]
    fn a_bad_value_is_a_usage_error_with_its_advice() {
        let error = Cli::try_parse_from(["xenvnet", "mac", "from-ip", "10.0.0.1", "--prefix", "00:16"]).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (ErrorKind::ValueValidation, 2));
        assert!(error.to_string().contains("is 2, 6, a or e"), "{error}");
        let error = Cli::try_parse_from(["xenvnet", "bridge", "create", "abcdefghijklmnop"]).unwrap_err();
        assert!(error.to_string().contains("the kernel's limit is 15"), "{error}");
        let error = Cli::try_parse_from(["xenvnet", "mac", "from-ip", "10.0.0"]).unwrap_err();
        assert!(error.to_string().contains("\"10.0.0\" is no IP address"), "{error}");
        let error = Cli::try_parse_from(["xenvnet", "masquerade", "add", "10.0.0.0/33"]).unwrap_err();
        assert!(error.to_string().contains("\"10.0.0.0/33\" is no IP address or prefix"), "{error}");
    }
}
