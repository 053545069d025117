//! `xenvnet masquerade`.

use crate::cli::{net, value};
use clap::{Args, Subcommand};
use xenvnet_core::ipnetwork::IpNetwork;
use xenvnet_core::{IfName, Masquerade, Operation};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// A subnet speaks to the outside with dom0's address.
    Add(Rule),
    /// A subnet speaks to the outside with its own addresses; given as it was added.
    Remove(Rule),
}

#[derive(Args, Debug)]
pub(crate) struct Rule {
    /// The subnet, IPv4 or IPv6.
    #[arg(value_parser = net)]
    subnet: IpNetwork,
    /// Only what leaves by this interface.
    #[arg(long, value_name = "DEV", value_parser = value::<IfName>)]
    uplink: Option<IfName>,
    /// Also what goes to the subnet itself: where others of it are outside, as a part of 10.0.0.0/8 may be.
    #[arg(long)]
    everywhere: bool,
}

impl Rule {
    fn masquerade(self) -> Masquerade {
        let mut masquerade = Masquerade::new(self.subnet).everywhere(self.everywhere);
        masquerade.uplink = self.uplink;
        masquerade
    }
}

impl Verb {
    pub(crate) fn operation(self) -> Operation {
        match self {
            Verb::Add(rule) => Operation::MasqueradeSubnet(rule.masquerade()),
            Verb::Remove(rule) => Operation::UnmasqueradeSubnet(rule.masquerade()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Verb as Top};
    use clap::Parser;

    #[test]
    fn with_and_without_an_uplink() {
        let operation = |line: &str| match Cli::try_parse_from(line.split(' ')).unwrap().verb {
            Top::Masquerade(verb) => verb.operation(),
            other => panic!("{other:?}"),
        };
        let any = Masquerade::new("10.98.98.0/24".parse().unwrap());
        assert_eq!(operation("xenvnet masquerade add 10.98.98.0/24"), Operation::MasqueradeSubnet(any.clone()));
        assert_eq!(
            operation("xenvnet masquerade remove 10.98.98.0/24 --uplink eth0"),
            Operation::UnmasqueradeSubnet(any.clone().uplink("eth0".parse().unwrap()))
        );
        assert_eq!(
            operation("xenvnet masquerade add 10.98.98.0/24 --everywhere"),
            Operation::MasqueradeSubnet(any.everywhere(true))
        );
    }
}
