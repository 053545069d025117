//! How a call ends, and how a failure is told.

use crate::output;
use serde_json::{Value, json};

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The arguments cannot be meant.
    Usage = 2,
    /// With `--dry-run`: something would change.
    WouldChange = 3,
}

/// What went wrong: a sentence, and what to do about it where that is known.
#[derive(Debug)]
pub(crate) struct Failure {
    sentence: String,
    advice: Option<String>,
    /// The name of the library's error kind.
    kind: &'static str,
    errno: Option<i32>,
    exit: Exit,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// *cannot `what`: `reason`*, for what fails before the library is asked.
    pub(crate) fn cannot(what: impl std::fmt::Display, reason: impl std::fmt::Display) -> Failure {
        Failure {
            sentence: format!("cannot {what}: {reason}"),
            advice: None,
            kind: "state",
            errno: None,
            exit: Exit::Failed,
        }
    }

    /// The same for something that the system refused.
    pub(crate) fn system(what: impl std::fmt::Display, error: &std::io::Error) -> Failure {
        Failure { errno: error.raw_os_error(), ..Failure::cannot(what, reason(error)) }
    }

    /// Arguments that contradict each other.
    pub(crate) fn usage(what: impl std::fmt::Display, reason: impl std::fmt::Display) -> Failure {
        Failure { kind: "invalid_argument", exit: Exit::Usage, ..Failure::cannot(what, reason) }
    }

    /// Arguments that cannot be read, in the library's words.
    pub(crate) fn mistake(error: xenvnet_core::Error) -> Failure {
        Failure { exit: Exit::Usage, ..Failure::from(error) }
    }

    /// Says what was being done, where the library could not know.
    pub(crate) fn doing(mut self, what: impl std::fmt::Display) -> Failure {
        self.sentence = format!("cannot {what}: {}", self.sentence);
        self
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Failure {
        self.advice = Some(advice.into());
        self
    }

    /// On stderr for people; on stdout too where a program reads it.
    pub(crate) fn tell(self, json: bool) -> Exit {
        output::complain(&self.sentence, self.advice.as_deref());
        if json {
            // Nobody is left to tell when stdout is gone as well.
            let _ = output::json(self.json());
        }
        self.exit
    }

    fn json(&self) -> Value {
        json!({ "error": {
            "kind": self.kind,
            "message": self.sentence,
            "advice": self.advice,
            "errno": self.errno,
        }})
    }
}

/// The system's words without the number that Rust adds: "No such file or directory".
pub(crate) fn reason(error: &std::io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), |errno| nix::errno::Errno::from_raw(errno).desc().to_owned())
}

impl From<xenvnet_core::Error> for Failure {
    fn from(error: xenvnet_core::Error) -> Failure {
        Failure {
            sentence: error.to_string(),
            advice: error.advice().map(str::to_owned),
            kind: error.kind().name(),
            errno: error.errno(),
            exit: Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_of_the_library_keeps_its_facts() {
        let error = "2e:00:00".parse::<xenvnet_core::MacPrefix>().unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(failure.json()["error"]["kind"], "parse");
        assert_eq!(failure.exit, Exit::Failed);
    }

    #[test]
    fn the_systems_words_come_without_its_number() {
        let error = std::io::Error::from_raw_os_error(2);
        let failure = Failure::system("read plan.json", &error);
        assert_eq!(failure.sentence, "cannot read plan.json: No such file or directory");
        assert_eq!(failure.json()["error"]["errno"], 2);
    }
}
