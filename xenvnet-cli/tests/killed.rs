//! Whoever kills the command half-way leaves a host that goes on, and that its guard or the next call
//! brings forward or back.

mod call;

use call::{CALLS, guard_at, run_at, under_strace, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::Output;
use xenvnet_core::{Finding, Host, Network, Outcome};
use xenvnet_tests::{Dump, Holdings, OldKernel, Site, StateDir, Stream, Tidings, answers, has_program};

/// What the host is like.
struct State(Dump, Holdings);

impl State {
    fn take() -> State {
        // What was found of neighbours comes and goes with what is asked meanwhile.
        // A life that is given on in whole seconds, again and again, is told less and less exactly.
        State(Dump::take().unnumbered(), Holdings::take().without(&["found"]).undated())
    }

    #[track_caller]
    fn assert_same(&self, other: &State, when: &str) {
        self.1.assert_same(&other.1, when);
        self.0.assert_same(&other.0, when);
    }

    fn is_same(&self, other: &State) -> bool {
        self.0 == other.0 && self.1.difference(&other.1).is_empty()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Start,
    Stop,
}

impl Way {
    fn back(self) -> Way {
        if self == Way::Start { Way::Stop } else { Way::Start }
    }

    fn verb(self) -> &'static str {
        if self == Way::Start { "start" } else { "stop" }
    }
}

/// A network that starts or stops, and what the host is like before and after.
struct Change<'a> {
    site: &'a Site,
    line: &'a str,
    way: Way,
    before: &'a State,
    after: &'a State,
    /// Wants to be confirmed within the hour.
    provisional: bool,
    /// At each call, or at each fifth of many.
    every: usize,
}

/// How a command that is killed half-way is made up for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Remedy {
    Undone,
    DoneAgain,
    /// By the guard, which the command started.
    PutBack,
}

impl Change<'_> {
    fn words(&self, way: Way) -> Vec<&str> {
        let mut words = vec!["network", way.verb(), self.line];
        if way == Way::Start {
            words.extend(["--wait", "0"]);
        }
        words
    }

    /// The command under strace.
    fn under(&self, strace: &[&str], state: &Path) -> Output {
        let provisional: &[&str] = if self.provisional { &["--confirm-within", "3600"] } else { &[] };
        under_strace(strace, state, self.words(self.way).iter().chain(provisional))
    }

    /// How often it only asks before it changes anything.
    fn questions(&self) -> usize {
        let state = StateDir::new();
        let trace = state.path().join("trace");
        let output = self.under(&["-o", trace.to_str().unwrap(), "-e", "trace=sendto"], state.path());
        assert!(output.status.success(), "{output:?}");
        let trace = std::fs::read_to_string(trace).unwrap();
        let asks = |call: &&str| !["NEW", "DEL", "SET", "BATCH"].iter().any(|kind| call.contains(&format!("_{kind}")));
        let questions = trace.lines().take_while(asks).count();
        assert!(0 < questions && questions < trace.lines().count(), "{trace}");
        end_guard(state.path());
        self.goes_back(state.path());
        questions
    }

    /// Kills it at each of its calls of this name and looks what is left, then makes up for it: in one way
    /// and the other in turn, or in both where there is time.
    /// Returns at how many of them it had begun and not ended.
    fn killed_at_each(&self, call: &str) -> usize {
        let mut cut_off = 0;
        // Killed at what it only asks, it has changed nothing; at the last of these that is seen.
        let first = if call == "sendto" { self.questions() } else { 1 };
        for at in (first..).step_by(self.every) {
            let remedies = match (self.provisional, at % 2) {
                (false, 0) => [Remedy::Undone, Remedy::DoneAgain],
                (false, _) => [Remedy::DoneAgain, Remedy::Undone],
                (true, 0) => [Remedy::PutBack, Remedy::Undone],
                (true, _) => [Remedy::DoneAgain, Remedy::PutBack],
            };
            match self.killed_at(call, at, remedies[0]) {
                Some(true) => cut_off += 1,
                Some(false) => continue,
                None => break,
            }
            if is_soak() {
                self.killed_at(call, at, remedies[1]);
            }
        }
        cut_off
    }

    /// Whether it was cut off there; `None` where it never comes there. In any case all is as before
    /// afterwards.
    fn killed_at(&self, call: &str, at: usize, remedy: Remedy) -> Option<bool> {
        // Nothing else was ever changed here.
        let state = StateDir::new();
        let host = Host::options().state_dir(state.path()).open().unwrap();
        // One that is on the watch and never looks: nothing is put back before it goes.
        let idle = (self.provisional && remedy != Remedy::PutBack).then(|| host.sentinel().unwrap());
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={at}"));
        let output = self.under(&["-o", "/dev/null", "-e", &trace, "-e", &inject], state.path());
        let when = format!("{} {} was killed at {call} {at}, then {remedy:?}", self.way.verb(), self.line);
        if remedy == Remedy::PutBack && !output.status.success() {
            return Some(self.is_put_back(&host, state.path(), &when));
        }
        end_guard(state.path());
        drop(idle);
        self.assert_alive(&when);
        if output.status.success() {
            self.goes_back(state.path());
            return None;
        }
        if !is_cut_off(&host) {
            self.is_whole(state.path(), &when);
            return Some(false);
        }
        match remedy {
            Remedy::DoneAgain => {
                succeeds(run_at(state.path(), self.words(self.way)).exit, &when);
                State::take().assert_same(self.after, &when);
                assert!(!is_cut_off(&host), "{when}, and it still is");
                self.goes_back(state.path());
            }
            _ => succeeds(run_at(state.path(), ["undo"]).exit, &when),
        }
        State::take().assert_same(self.before, &when);
        Some(true)
    }

    /// The guard that it started puts back what was begun, at once: an hour is left to confirm it.
    fn is_put_back(&self, host: &Host, state: &Path, when: &str) -> bool {
        let was_cut_off = is_cut_off(host);
        until(|| !is_cut_off(host));
        self.assert_alive(when);
        end_guard(state);
        self.is_whole(state, when);
        was_cut_off
    }

    /// All of it was done, or nothing; then nothing is.
    fn is_whole(&self, state: &Path, when: &str) {
        let found = State::take();
        if found.is_same(self.after) {
            self.goes_back(state);
        } else {
            found.assert_same(self.before, when);
        }
    }

    fn goes_back(&self, state: &Path) {
        let answer = run_at(state, self.words(self.way.back()));
        assert_eq!(answer.exit, 0, "{}", answer.err);
    }

    /// The LAN reaches the host, and the host those far away.
    #[track_caller]
    fn assert_alive(&self, when: &str) {
        let (host, site) = (&self.site.dom0.namespace(), self.site);
        for (from, to) in
            [(&site.gateway, site.address4), (&site.gateway, site.address6), (host, Site::FAR4), (host, Site::FAR6)]
        {
            assert!(answers(from, to), "{when}: {to} does not answer");
        }
    }
}

#[track_caller]
fn succeeds(exit: i32, when: &str) {
    assert_eq!(exit, 0, "{when}");
}

fn is_soak() -> bool {
    std::env::var_os("XENVNET_SOAK").is_some()
}

fn is_cut_off(host: &Host) -> bool {
    host.verify().unwrap().findings.contains(&Finding::CutOff)
}

/// Kills the guard that the command started, if there is one.
fn end_guard(state: &Path) {
    if let Some(guard) = guard_at(state) {
        // It may have ended by itself.
        let _ = kill(Pid::from_raw(guard as i32), Signal::SIGKILL);
        until(|| guard_at(state).is_none());
    }
}

/// Starts a network and stops it, killed at each call that changes anything, while the host talks to
/// those far away.
#[track_caller]
fn survives(site: fn() -> Option<Site>, every: usize, line: &str) {
    for tidings in walk(site, every, line, false, &[Way::Start, Way::Stop]) {
        assert_eq!(tidings.losses(), 0, "{:?}", tidings.refused);
    }
}

/// What became of what the host had to say meanwhile.
fn walk(site: fn() -> Option<Site>, every: usize, line: &str, provisional: bool, ways: &[Way]) -> Vec<Tidings> {
    if !has_program("strace") {
        return Vec::new();
    }
    let Some(site) = site() else { return Vec::new() };
    let network: Network = line.parse().unwrap();
    let host = &site.dom0.host;
    let here = site.dom0.namespace();
    let talk = [(site.address4, Site::FAR4), (site.address6, Site::FAR6)]
        .map(|(from, to)| Stream::start(&here, from, &site.far, to, 1000));
    let stopped = State::take();
    assert_eq!(host.start_network(&network).unwrap(), Outcome::Changed);
    let running = State::take();
    assert_eq!(host.stop_network(&network).unwrap(), Outcome::Changed);
    State::take().assert_same(&stopped, "after nobody was killed");
    for way in ways {
        let (before, after) = if *way == Way::Start { (&stopped, &running) } else { (&running, &stopped) };
        let change = Change { site: &site, line, way: *way, before, after, provisional, every };
        if *way == Way::Stop {
            assert_eq!(host.start_network(&network).unwrap(), Outcome::Changed);
        }
        let cut_off = CALLS.map(|call| change.killed_at_each(call));
        println!("{} {line}: cut off at {CALLS:?}: {cut_off:?} times", way.verb());
        assert!(cut_off[0] > 0, "no {} was cut off", way.verb());
    }
    let tidings = talk.map(Stream::stop);
    tidings.iter().for_each(|tidings| println!("{} sent, {} lost", tidings.sent, tidings.losses()));
    tidings.into()
}

#[test]
fn a_takeover_of_all_that_an_uplink_can_have_is_killed() {
    let every = if is_soak() { 1 } else { 5 };
    survives(Site::rich, every, "network-bridge netdev=eth0 bridge=xenbr0");
}

#[test]
fn a_takeover_of_the_name_as_well_is_killed() {
    survives(Site::plain, 1, "network-bridge netdev=eth0");
}

#[test]
fn a_takeover_by_a_shadow_is_killed() {
    survives(Site::plain, 1, "bridge-shadow eth0");
}

/// Where the card has to be down to get its name: what is sent in that moment may be lost, the host may not.
#[test]
fn a_takeover_of_the_name_on_an_old_kernel_is_killed() {
    let _old = OldKernel::pretend();
    walk(Site::plain, 1, "network-bridge netdev=eth0", false, &[Way::Start, Way::Stop]);
}

#[test]
fn a_routed_network_is_killed() {
    survives(Site::plain, 1, "network-route netdev=eth0");
}

#[test]
fn a_masqueraded_network_is_killed() {
    survives(Site::plain, 1, "network-nat netdev=eth0");
}

#[test]
fn a_brouter_is_killed() {
    survives(Site::plain, 1, "network-virtual bridgeip=10.98.98.1/24");
}

/// With an hour to confirm it: a guard puts back at once what its maker did not live to end. Where the
/// guard died as well, the next call does.
#[test]
fn a_takeover_that_wants_to_be_confirmed_is_killed() {
    for tidings in walk(Site::plain, 1, "network-bridge netdev=eth0 bridge=xenbr0", true, &[Way::Start]) {
        assert_eq!(tidings.losses(), 0, "{:?}", tidings.refused);
    }
}
