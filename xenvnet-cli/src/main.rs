//! The command `xenvnet`: every verb of the library, and nothing of its own.
//!
//! Arguments become [`Operation`](xenvnet_core::Operation) values ([`cli`], [`verbs`]), the
//! library plans and carries them out ([`session`]), and what comes of it is shown to people or to
//! programs ([`render`], [`output`]). [`demo`] plays all of it through in throw-away namespaces.
#![forbid(unsafe_code)]

mod cli;
mod clock;
mod demo;
mod dnsmasq;
mod failure;
mod input;
mod leash;
mod logger;
mod output;
mod render;
mod session;
mod verbs;

use clap::Parser;
use cli::{Cli, Verb};
use failure::{Exit, Failure};
use session::Session;
use std::process::ExitCode;

fn main() -> ExitCode {
    let Cli { global, verb } = Cli::parse();
    logger::start(global.verbose);
    let json = global.json;
    let session = Session::new(global);
    let done = match verb {
        Verb::Demo => demo::play(json),
        Verb::Bridge(verb) => session.perform(&[verb.operation()]),
        Verb::Vif(verb) => verb.operations().and_then(|operations| session.perform(&operations)),
        Verb::Antispoof(verb) => verb.run(&session),
        Verb::Dom0(verb) => verb.run(&session),
        Verb::Masquerade(verb) => session.perform(&[verb.operation()]),
        Verb::Forward(verb) => verb.run(&session),
        Verb::Accounting(accounting) => accounting.run(&session),
        Verb::Network(verb) => verb.run(&session),
        Verb::Confirm => verbs::confirm::confirm(&session),
        Verb::Guard(guard) => guard.run(&session),
        Verb::Dhcp(dhcp) => dhcp.run(&session),
        Verb::Leash(leash) => leash.run(&session),
        Verb::Mac(verb) => verb.run(&session),
        Verb::Spec(spec) => spec.run(json),
        Verb::Plan { file } => verbs::plan::show(&session, &file),
        Verb::Apply { file } => verbs::plan::apply(&session, &file),
        Verb::Undo { forget: true } => verbs::plan::forget(&session),
        Verb::Undo { forget: false } => verbs::plan::undo(&session),
        Verb::Status(status) => status.run(&session),
        Verb::Verify(verify) => verify.run(&session),
        Verb::Watch(watch) => watch.run(&session),
        Verb::Gc => verbs::gc::gc(&session),
        Verb::Save(kept) => kept.save(&session),
        Verb::Restore(restore) => restore.run(&session),
        Verb::Completions { shell } => verbs::generate::completions(shell, json),
        Verb::Man { dir } => verbs::generate::man(&dir, &session),
    };
    done.unwrap_or_else(|failure: Failure| failure.tell(json)).into()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}
