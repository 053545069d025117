//! `xenvnet guard`: puts back what nobody confirms, from a process that outlives the caller's.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::{output, render};
use clap::Args;
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::setsid;
use serde_json::json;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use xenvnet_core::{ErrorKind, Host, Sentinel, Unconfirmed};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(200);
/// What could not be put back is tried again after this.
const RETRY: Duration = Duration::from_secs(2);
/// Without anything to watch over, it ends after this.
const PATIENCE: Duration = Duration::from_secs(60);

/// The words by which the one who started it knows that it is ready.
const ON_WATCH: &str = "on the watch";
const STANDS_BY: &str = "another guard is on the watch, this one stands by";

#[derive(Args, Debug)]
pub(crate) struct Guard {
    /// Stay, as a service does [default: end when nothing waits any more, or nothing came for a minute].
    #[arg(long)]
    forever: bool,
}

impl Guard {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        if session.dry_run() {
            return Err(Failure::usage("watch over changes", "a guard that puts nothing back is none"));
        }
        leave_terminal();
        let host = session.host()?;
        let mut sentinel = relieve(&host)?;
        say(session, if sentinel.is_some() { ON_WATCH } else { STANDS_BY })?;
        let (start, mut seen, mut trouble) = (Instant::now(), false, None);
        loop {
            let seen_now = match &sentinel {
                Some(sentinel) => Some(sentinel.look()),
                None => match relieve(&host) {
                    Ok(relieved) => {
                        sentinel = relieved;
                        sentinel.as_ref().map(Sentinel::look)
                    }
                    Err(error) => Some(Err(error)),
                },
            };
            match seen_now {
                None | Some(Ok(Unconfirmed::Nothing)) => {
                    if !self.forever && (seen || start.elapsed() >= PATIENCE) {
                        sentinel = sentinel.take().map(Sentinel::leave).transpose()?.flatten();
                        if sentinel.is_none() {
                            return Ok(Exit::Done);
                        }
                    }
                }
                Some(Ok(unconfirmed)) => {
                    (seen, trouble) = (true, None);
                    if let Unconfirmed::PutBack(plan) = unconfirmed {
                        let people = || format!("nobody confirmed it, put back:\n{}", render::plan(&plan));
                        output::show(session.json(), || json!({ "put_back": plan }), people)?;
                    }
                }
                // What was noted is gone for ever.
                Some(Err(error)) if error.kind() == ErrorKind::State && error.errno() == Some(Errno::ENOENT as i32) => {
                    return Err(error.into());
                }
                // Nobody else would: it is tried again, and told once.
                Some(Err(error)) => {
                    let sentence = error.to_string();
                    if trouble.as_ref() != Some(&sentence) {
                        output::complain(&sentence, error.advice());
                        trouble = Some(sentence);
                    }
                    sleep(RETRY);
                }
            }
            sleep(PAUSE);
        }
    }
}

/// Goes on the watch, unless another one is.
fn relieve(host: &Host) -> xenvnet_core::Result<Option<Sentinel<&Host>>> {
    match host.sentinel() {
        Ok(sentinel) => Ok(Some(sentinel)),
        Err(error) if error.kind() == ErrorKind::Busy => Ok(None),
        Err(error) => Err(error),
    }
}

fn say(session: &Session, words: &'static str) -> Result<Exit> {
    output::show(session.json(), || json!({ "on_watch": words == ON_WATCH }), || format!("{words}\n"))
}

/// A line that hangs up is what it is there for, and must not end it.
fn leave_terminal() {
    // The first process of a job cannot begin a session of its own: it turns a deaf ear instead.
    if setsid().is_err() {
        let _ = SigSet::from(Signal::SIGHUP).thread_block();
    }
}

/// Starts one in a process of its own, and waits until one is on the watch.
pub(crate) fn start(session: &Session) -> Result<()> {
    let said = spawn(session).map_err(|error| Failure::system("start a guard", &error))?;
    let mut complaint = Vec::new();
    for line in BufReader::new(said).lines().map_while(io::Result::ok) {
        if line == ON_WATCH || line == STANDS_BY {
            return Ok(());
        }
        complaint.push(line);
    }
    // A sentence and its advice, perhaps after warnings.
    complaint.retain(|line| !line.starts_with("xenvnet: warn: "));
    let sentence = complaint.first().map_or("it ended at once", |line| line.trim_start_matches("xenvnet: "));
    let failure = Failure::cannot("start a guard", sentence);
    Err(complaint.into_iter().skip(1).fold(failure, Failure::advice))
}

/// Returns the end of the pipe that it speaks into. Who hears it no more does not disturb it.
fn spawn(session: &Session) -> io::Result<io::PipeReader> {
    let (reader, writer) = io::pipe()?;
    let program = std::env::current_exe()?;
    let mut command = Command::new(program);
    command.args(session.call("guard")).stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    command.spawn()?;
    Ok(reader)
}
