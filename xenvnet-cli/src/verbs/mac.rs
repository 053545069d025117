//! `xenvnet mac`.

use crate::cli::{ip, value};
use crate::failure::{Exit, Result};
use crate::output;
use clap::Subcommand;
use serde_json::json;
use std::net::IpAddr;
use xenvnet_core::{MacAddr, MacPrefix};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// The locally administered address that belongs to an IP address: always the same one.
    FromIp {
        /// IPv4 or IPv6.
        #[arg(value_parser = ip)]
        ip: IpAddr,
        /// Its first two octets.
        #[arg(long, default_value_t, value_parser = value::<MacPrefix>)]
        prefix: MacPrefix,
    },
    /// A random address under Xen's prefix 00:16:3e.
    Random,
}

impl Verb {
    pub(crate) fn run(self, json: bool) -> Result<Exit> {
        let mac = match self {
            Verb::FromIp { ip, prefix } => MacAddr::from_ip(ip, prefix),
            Verb::Random => MacAddr::random_xen()?,
        };
        output::show(json, || json!({ "mac": mac }), || format!("{mac}\n"))
    }
}
