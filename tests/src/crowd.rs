//! Many who call at once: processes, and threads in them.

use crate::clocked::Clocked;
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use xenvnet_core::{Error, ErrorKind, Host, Operation, Outcome};

/// What one process is to do: the calls of each of its threads, one after the other.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Member {
    /// Where its hosts meet others; without, nowhere.
    pub state: Option<PathBuf>,
    /// Whether its threads share one host.
    pub shared: bool,
    /// The operations of each call of each thread.
    pub threads: Vec<Vec<Vec<Operation>>>,
}

/// A call that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// What it asked for.
    pub operations: Vec<Operation>,
    /// When its first word with the kernel was said and when the last one, see [`Clocked::take`].
    pub spoke: Option<(u64, u64)>,
    /// `changed`, `unchanged`, or the name of the kind of its error.
    pub said: String,
    /// The error's own words.
    pub error: String,
}

impl Call {
    fn make(host: &Host, operations: &[Operation]) -> Call {
        Clocked::take();
        let result = host.run_all(operations);
        let spoke = Clocked::take();
        let error = result.as_ref().err().map(Error::to_string).unwrap_or_default();
        Call { operations: operations.to_vec(), spoke, said: word(&result.map_err(|error| error.kind())), error }
    }
}

/// The word for what became of a call.
pub fn word(result: &Result<Outcome, ErrorKind>) -> String {
    match result {
        Ok(Outcome::Changed) => "changed".to_owned(),
        Ok(_) => "unchanged".to_owned(),
        Err(kind) => kind.to_string(),
    }
}

impl Member {
    /// Makes all calls, in the process that asks for it.
    ///
    /// # Panics
    /// Where a host cannot be opened.
    pub fn act(&self) -> Vec<Call> {
        let open = || {
            let options = Host::options().transport(Clocked::open);
            let options = self.state.iter().fold(options, |options, state| options.state_dir(state));
            Arc::new(options.open().expect("open the host"))
        };
        let shared = self.shared.then(open);
        std::thread::scope(|scope| {
            let act = |calls: &'_ [Vec<Operation>]| {
                let host = shared.clone().unwrap_or_else(open);
                calls.iter().map(|operations| Call::make(&host, operations)).collect::<Vec<_>>()
            };
            let threads: Vec<_> = self.threads.iter().map(|calls| scope.spawn(move || act(calls))).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("a thread of calls")).collect()
        })
    }
}

/// Has each member act in a process of its own, in the calling thread's namespace, all from the
/// same moment on. The program is the one that reads a [`Member`] and writes its [`Call`]s.
///
/// # Panics
/// When one of them does.
pub fn act_at_once(program: &str, members: &[Member]) -> Vec<Call> {
    let start = |member: &Member| {
        let mut command = Command::new(program);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect(program);
        let mut work = child.stdin.take().expect("a pipe");
        work.write_all(&serde_json::to_vec(member).expect("JSON")).expect("tell what to do");
        (child, work)
    };
    let (children, work): (Vec<Child>, Vec<_>) = members.iter().map(start).unzip();
    // Whose pipe ends knows all of its work, and begins.
    drop(work);
    let end = |child: Child| {
        let said = child.wait_with_output().expect("what it did").stdout;
        serde_json::from_slice::<Vec<Call>>(&said).expect("a process of calls")
    };
    children.into_iter().flat_map(end).collect()
}
