//! A program that runs in the host's network namespace and ends when we end, however we do: killed
//! without a chance to tidy up, we leave nobody behind that answers guests.

use crate::failure::{Exit, Failure, Result, reason};
use crate::session::Session;
use clap::Args;
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::getppid;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The first half of such a program: a process of ours that prepares itself, and becomes it.
#[derive(Args, Debug)]
pub(crate) struct Leash {
    /// The process to end with.
    parent: i32,
    /// The program and its arguments.
    #[arg(required = true, last = true)]
    command: Vec<OsString>,
}

impl Leash {
    pub(crate) fn run(self, session: &Session) -> Result<Exit> {
        let program = self.command.first().map(Path::new).unwrap_or(Path::new(""));
        let failed = |why: &dyn std::fmt::Display| Failure::cannot(format_args!("start {}", program.display()), why);
        set_pdeathsig(Signal::SIGTERM).map_err(|errno| failed(&errno.desc()))?;
        if getppid().as_raw() != self.parent {
            return Err(failed(&"whoever wanted it is gone"));
        }
        if let Some(netns) = session.netns()? {
            setns(netns, CloneFlags::CLONE_NEWNET).map_err(|errno| failed(&errno.desc()))?;
        }
        // What we wait for, it is to be told: a mask outlives the change of programs.
        SigSet::empty().thread_set_mask().map_err(|errno| failed(&errno.desc()))?;
        Err(failed(&reason(&Command::new(program).args(&self.command[1..]).exec())))
    }
}

/// Starts a program in a namespace, ours if none is given. It ends with the calling thread.
pub(crate) fn start(program: &Path, arguments: &[OsString], netns: Option<&File>) -> io::Result<Child> {
    // Also where an upgrade has put another one in its place.
    let mut command = Command::new("/proc/self/exe");
    let this = std::process::id();
    if let Some(netns) = netns {
        // By the descriptor that we hold: its name may be another's by now.
        command.arg("--netns").arg(format!("/proc/{this}/fd/{}", netns.as_raw_fd()));
    }
    command.args(["leash", &this.to_string(), "--"]).arg(program).args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::null()).spawn()
}
