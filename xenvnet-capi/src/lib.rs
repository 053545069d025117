//! The C interface: opaque handles, result codes, and nothing of its own.
//!
//! `include/xenvnet.h` is made of this crate by cbindgen and is the manual; the rules that every
//! function keeps stand at its head (`cbindgen.toml`) and are carried out by [`boundary`]. Each
//! body converts, calls `xenvnet-core`, and converts back.
#![allow(non_camel_case_types, reason = "a type has the same name here and in the header")]
#![allow(clippy::missing_safety_doc, reason = "the contract is one for all functions: the head of the header")]

#[macro_use]
mod boundary;

// The order of the header. A blank line keeps rustfmt from sorting.
pub mod code;

pub mod version;

pub mod error;

pub mod string;

pub mod logger;

pub mod host;

pub mod verbs;

pub mod confirm;

pub mod desired;

pub mod watch;

pub mod bridge;

pub mod antispoof;

pub mod attachment;

pub mod plan;

pub mod report;

pub mod finding;

pub mod line;

pub mod guest_file;

pub mod xend_config;

pub mod vif_spec;

pub mod vif_defaults;

pub mod words;

pub mod rate;

pub mod vif;

pub mod mac;

pub mod mac_check;

#[cfg(debug_assertions)]
pub mod testing;

#[cfg(test)]
mod header;
#[cfg(test)]
mod items;
