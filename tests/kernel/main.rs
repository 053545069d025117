//! Each operation in a kernel of its own, seen from outside.
#![forbid(unsafe_code)]
#![allow(unused_must_use, reason = "whether something was changed, these tests see in the kernel")]

mod antispoof;
mod bridge;
mod errors;
mod harness;
mod layout;
mod matrix;
mod network;
mod proof;
mod second_day;
mod system_calls;
mod undo;
mod vif;
