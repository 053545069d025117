//! `xenvnet watch`: says what others changed as soon as they have, and mends it if asked to.

use crate::failure::{Exit, Failure, Result};
use crate::session::Session;
use crate::verbs::verify::entry;
use crate::{clock, output, render};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde_json::{Value, json};
use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};
use xenvnet_core::{Finding, Host};

/// Changes come in swarms: they are gathered so long.
const GATHERED: Duration = Duration::from_millis(50);
/// On a host where something changes all the time, so many times as long as a look takes nobody looks.
const REST: u32 = 4;

#[derive(Args, Debug)]
pub(crate) struct Watch {
    /// Mend what can be mended, as soon as it is found.
    #[arg(long)]
    repair: bool,
}

impl Watch {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        if self.repair && session.dry_run() {
            return Err(Failure::usage("watch", "what is to be mended would change the host")
                .advice("leave --repair out: what is found is said all the same"));
        }
        let host = session.host()?;
        let waiting = Waiting::new(&host, !self.repair)?;
        let (mut known, mut trouble, mut is_first) = (Vec::new(), None, true);
        loop {
            let began = Instant::now();
            let found = host.verify()?;
            if is_first {
                let count = found.findings.len();
                tell(session, json!({ "event": "watching", "findings": count }), || {
                    format!("watching, {count} found")
                })?;
                is_first = false;
            }
            for (event, findings) in
                [("went", without(&known, &found.findings)), ("came", without(&found.findings, &known))]
            {
                findings.into_iter().try_for_each(|finding| say(session, event, finding))?;
            }
            known = found.findings;
            if self.repair && !found.repair.is_empty() {
                match mend(&host) {
                    Ok(left) => {
                        without(&known, &left).into_iter().try_for_each(|finding| say(session, "mended", finding))?;
                        (known, trouble) = (left, None);
                    }
                    // It is tried again when something changes, and told once.
                    Err(error) => {
                        let sentence = error.to_string();
                        if trouble.as_ref() != Some(&sentence) {
                            output::complain(&sentence, error.advice());
                            trouble = Some(sentence);
                        }
                    }
                }
            }
            let rested = Instant::now() + began.elapsed() * REST;
            if !waiting.for_change()? || !waiting.until(rested.max(Instant::now() + GATHERED))? {
                return Ok(Exit::Done);
            }
        }
    }
}

/// Mends, and looks what is left.
fn mend(host: &Host) -> xenvnet_core::Result<Vec<Finding>> {
    host.repair()?;
    Ok(host.verify()?.findings)
}

/// Those that are not among the others.
fn without<'a>(findings: &'a [Finding], others: &[Finding]) -> Vec<&'a Finding> {
    findings.iter().filter(|finding| !others.contains(finding)).collect()
}

fn say(session: &Session, event: &str, finding: &Finding) -> Result<()> {
    let object = json!({ "event": event, "finding": entry(finding)? });
    tell(session, object, || render::drift(event, finding))
}

/// A line, with the time.
fn tell(session: &Session, mut object: Value, people: impl FnOnce() -> String) -> Result<()> {
    let now = clock::now();
    object["time"] = now.as_str().into();
    output::show(session.json(), || object, || format!("{now}  {}\n", people())).map(drop)
}

/// What ends the rest: a change, a signal, or nobody who listens.
struct Waiting {
    watch: xenvnet_core::Watch,
    signals: SignalFd,
    ends_unheard: bool,
}

impl Waiting {
    fn new(host: &Host, ends_unheard: bool) -> Result<Waiting> {
        let failed = |errno: nix::Error| Failure::cannot("wait for signals", errno.desc());
        let mut signals = SigSet::empty();
        [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP].iter().for_each(|signal| signals.add(*signal));
        signals.thread_block().map_err(failed)?;
        let signals = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC).map_err(failed)?;
        Ok(Waiting { watch: host.watch()?, signals, ends_unheard })
    }

    /// Until something changed; `false` where it is time to end.
    fn for_change(&self) -> Result<bool> {
        loop {
            let (ends, changed) = self.wait(PollTimeout::NONE, true)?;
            if ends {
                return Ok(false);
            }
            if changed && self.watch.wait(Duration::ZERO)? {
                return Ok(true);
            }
        }
    }

    /// Until then, whatever changes; `false` where it is time to end.
    fn until(&self, end: Instant) -> Result<bool> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(true);
            }
            let left = PollTimeout::try_from(left + Duration::from_micros(999)).unwrap_or(PollTimeout::MAX);
            if self.wait(left, false)?.0 {
                return Ok(false);
            }
        }
    }

    /// Whether it is time to end, and whether something may have changed.
    fn wait(&self, within: PollTimeout, for_changes: bool) -> Result<(bool, bool)> {
        let out = io::stdout();
        let changes = if for_changes { PollFlags::POLLIN } else { PollFlags::empty() };
        let mut ready = [
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            // Nothing is asked of it but whether its reader is gone.
            PollFd::new(out.as_fd(), PollFlags::empty()),
            PollFd::new(self.watch.as_fd(), changes),
        ];
        match poll(&mut ready, within) {
            Ok(_) | Err(nix::Error::EINTR) => {}
            Err(errno) => return Err(Failure::cannot("wait for changes", errno.desc())),
        }
        let [signalled, unheard, changed] = ready.map(|ready| ready.any().unwrap_or_default());
        Ok((signalled || unheard && self.ends_unheard, changed))
    }
}
