//! The systems that this project replaces: a test of each, named after its row in the table of them,
//! and one of each fault that was theirs.

mod additional;
mod bridge;
mod brouter;
mod dom0;
mod lan;
mod lines;
mod modes;
mod nat;
mod route;
mod settings;
mod shadow;
mod uplinks;
mod vif;
