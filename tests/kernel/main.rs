//! Each operation in a kernel of its own, seen from outside.
#![forbid(unsafe_code)]
#![allow(unused_must_use, reason = "whether something was changed, these tests see in the kernel")]

mod accounts;
mod antispoof;
mod bridge;
mod carrier;
mod confirm;
mod convert;
mod crowd;
mod cycles;
mod desired;
mod dom0;
mod errors;
mod estate;
mod forget;
mod forward;
mod harness;
mod holes;
mod layout;
mod load;
mod matrix;
mod memory;
mod network;
mod pages;
mod pair;
mod passage;
mod ports;
mod proof;
mod reserved;
mod routed;
mod rules;
mod second_day;
mod seeds;
mod shields;
mod state_gone;
mod strays;
mod street;
mod system_calls;
mod theft;
mod undo;
mod untracked;
mod vanishing;
mod verify;
mod vif;
mod watch;
