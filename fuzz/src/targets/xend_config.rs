//! The s-expressions of xend-config.sxp, and the lines in them.

use crate::is_fit;
use xenvnet_core::{Network, VifScript, XendConfig};

/// One run.
pub fn run(text: &str) {
    let config = match XendConfig::parse(text) {
        Ok(config) => config,
        Err(error) => return is_fit(&error, text),
    };
    for line in [&config.network_script, &config.vif_script, &config.vif_bridge].into_iter().flatten() {
        assert!(text.is_char_boundary(line.offset) && line.number <= text.lines().count().max(1));
        for error in [line.parse::<Network>().err(), line.parse::<VifScript>().err()].into_iter().flatten() {
            is_fit(&error, text);
        }
    }
}
