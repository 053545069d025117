//! One call of the command: its host, and the one way in which operations are carried out.

use crate::cli::Global;
use crate::failure::{Exit, Failure, Result};
use crate::verbs::guard;
use crate::{output, render};
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::fs::File;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use xenvnet_core::{Host, Operation, Outcome, Plan};

/// The global options, and what follows from them.
#[derive(Debug)]
pub(crate) struct Session {
    global: Global,
}

impl Session {
    pub(crate) fn new(global: Global) -> Session {
        Session { global }
    }

    pub(crate) fn json(&self) -> bool {
        self.global.json
    }

    pub(crate) fn dry_run(&self) -> bool {
        self.global.dry_run
    }

    /// The host, in the namespace that was asked for.
    pub(crate) fn host(&self) -> Result<Host> {
        let mut options = Host::options().even_with_network_root(self.global.even_with_network_root);
        if let Some(dir) = &self.global.state_dir {
            options = options.state_dir(dir);
        }
        if let Some(netns) = self.netns()? {
            options = options.netns(netns.into());
        }
        Ok(options.open()?)
    }

    /// The namespace that was asked for, if it is not the one that we are in.
    pub(crate) fn netns(&self) -> Result<Option<File>> {
        let open = |netns: &String| {
            let path = netns_path(netns);
            File::open(&path).map_err(|error| {
                let failure = Failure::system(format_args!("open the network namespace {}", path.display()), &error);
                failure.advice(match error.kind() {
                    ErrorKind::PermissionDenied => "run it as root, or as the user that the namespace belongs to",
                    _ => "--netns takes a name that `ip netns` lists, a path, or a process id",
                })
            })
        };
        self.global.netns.as_ref().map(open).transpose()
    }

    /// Carries operations out, or shows what they would change.
    pub(crate) fn perform(&self, operations: &[Operation]) -> Result<Exit> {
        let host = self.host()?;
        if self.dry_run() {
            return self.preview(&host.plan(operations)?);
        }
        let outcome = host.run_all(operations)?;
        self.show_outcome(outcome, operations)
    }

    /// Shows what would change; whether anything would, the exit code says.
    pub(crate) fn preview(&self, plan: &Plan) -> Result<Exit> {
        self.show_plan(plan)?;
        Ok(if plan.is_empty() { Exit::Done } else { Exit::WouldChange })
    }

    pub(crate) fn show_plan(&self, plan: &Plan) -> Result<Exit> {
        output::show(
            self.json(),
            || plan_json(plan),
            || if plan.is_empty() { "nothing to do\n".to_owned() } else { render::plan(plan) },
        )
    }

    fn show_outcome(&self, outcome: Outcome, operations: &[Operation]) -> Result<Exit> {
        output::show(self.json(), || outcome_json(outcome, operations), || render::outcome(outcome, operations))
    }

    /// Carries operations out, to be put back unless they are confirmed in time.
    pub(crate) fn perform_provisionally(&self, operations: &[Operation], within: Duration) -> Result<Exit> {
        let host = self.host()?;
        let plan = host.plan(operations)?;
        if self.dry_run() {
            return self.preview(&plan);
        }
        if plan.is_empty() {
            return self.show_outcome(Outcome::Unchanged, operations);
        }
        guard::start(self)?;
        let outcome = host.run_provisionally(operations, within)?;
        if !outcome.is_changed() {
            return self.show_outcome(outcome, operations);
        }
        output::show(
            self.json(),
            || provisional_json(operations, within),
            || {
                let confirm = self.call("confirm").map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>();
                let confirm = format!("xenvnet {}", confirm.join(" "));
                render::outcome(outcome, operations) + &render::provisional(within, &confirm)
            },
        )
    }

    /// The words after `xenvnet` that call another verb for the same host.
    pub(crate) fn call<'a>(&'a self, verb: &'a str) -> impl Iterator<Item = &'a OsStr> {
        let netns = self.global.netns.as_deref().map(OsStr::new);
        let state_dir = self.global.state_dir.as_deref().map(Path::as_os_str);
        let with = |option: &'static str, value: Option<&'a OsStr>| {
            [Some(OsStr::new(option)).filter(|_| value.is_some()), value]
        };
        let options = with("--netns", netns).into_iter().chain(with("--state-dir", state_dir)).flatten();
        options.chain([OsStr::new(verb)])
    }
}

fn plan_json(plan: &Plan) -> Value {
    json!({ "would_change": !plan.is_empty(), "plan": plan })
}

fn outcome_json(outcome: Outcome, operations: &[Operation]) -> Value {
    json!({ "changed": outcome.is_changed(), "operations": operations })
}

fn provisional_json(operations: &[Operation], within: Duration) -> Value {
    let mut object = outcome_json(Outcome::Changed, operations);
    object["confirm_within"] = within.as_secs().into();
    object
}

/// The file that stands for a namespace. A number is a process, as `nsenter` and `ip` have it.
fn netns_path(text: &str) -> PathBuf {
    if text.contains('/') {
        return text.into();
    }
    let is_pid = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_pid { format!("/proc/{text}/ns/net") } else { format!("/run/netns/{text}") }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_plans_and_outcomes_stay() {
        let operation = Operation::ReleaseVif { vif: "vif1.0".parse().unwrap() };
        let plan = Plan::from_iter([xenvnet_core::Step::Up { link: "br0".parse().unwrap() }]);
        assert_eq!(plan_json(&plan).to_string(), r#"{"plan":[{"link":"br0","step":"up"}],"would_change":true}"#);
        assert_eq!(
            outcome_json(Outcome::Unchanged, &[operation]).to_string(),
            r#"{"changed":false,"operations":[{"release_vif":{"vif":"vif1.0"}}]}"#
        );
        assert_eq!(
            provisional_json(&[], Duration::from_secs(30)).to_string(),
            r#"{"changed":true,"confirm_within":30,"operations":[]}"#
        );
    }

    #[test]
    fn another_call_is_for_the_same_host() {
        let call = |global| {
            Session::new(global).call("guard").map(|word| word.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(call(Global::default()), ["guard"]);
        let there = Global { netns: Some("web".to_owned()), state_dir: Some("/run/x".into()), ..Global::default() };
        assert_eq!(call(there), ["--netns", "web", "--state-dir", "/run/x", "guard"]);
    }

    #[test]
    fn a_namespace_is_a_name_a_path_or_a_process() {
        assert_eq!(netns_path("web"), PathBuf::from("/run/netns/web"));
        assert_eq!(netns_path("4711"), PathBuf::from("/proc/4711/ns/net"));
        assert_eq!(netns_path("/proc/self/ns/net"), PathBuf::from("/proc/self/ns/net"));
        assert_eq!(netns_path("4711a"), PathBuf::from("/run/netns/4711a"));
    }

    #[test]
    fn a_namespace_that_is_not_there_says_what_may_be_given() {
        let session = Session::new(Global { netns: Some("xvt-none".to_owned()), ..Global::default() });
        let failure = session.host().unwrap_err();
        let text = format!("{failure:?}");
        assert!(text.contains("/run/netns/xvt-none") && text.contains("process id"), "{text}");
    }
}
