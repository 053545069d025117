//! What each target does with its input: here and not in its program, so that it is compiled once for all
//! of them.

pub mod guest_file;
pub mod netlink;
pub mod network_line;
pub mod operations;
pub mod state_files;
pub mod values;
pub mod vif_spec;
pub mod xend_config;
