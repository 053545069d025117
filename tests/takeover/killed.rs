//! Whoever is killed half-way leaves a host that goes on, and that the next call brings forward or
//! back.

use crate::beside_others;
use xenvnet_core::{Finding, Host, Network, Operation, Outcome, Result};
use xenvnet_tests::{Dump, Holdings, Site, StateDir, Stream, answers, has_program, run_attach_once};

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

/// A change of a host, from one state to another, and the way back.
struct Change<'a> {
    site: &'a Site,
    there: Operation,
    back: Operation,
    before: &'a State,
    after: &'a State,
    /// At each call, or at each fifth of many.
    every: usize,
}

/// How one who is killed half-way is made up for.
#[derive(Clone, Copy, Debug)]
enum Remedy {
    Undone,
    DoneAgain,
}

impl Change<'_> {
    /// Kills it at each of its calls of this name and looks what is left, then makes up for it.
    /// Returns at how many of them it had begun and not ended.
    fn killed_at_each(&self, call: &str) -> usize {
        let mut cut_off = 0;
        for at in (1..).step_by(self.every) {
            match self.killed_at(call, at, Remedy::Undone) {
                Some(true) => cut_off += 1,
                // It had only asked until then.
                Some(false) => continue,
                None => break,
            }
            self.killed_at(call, at, Remedy::DoneAgain);
        }
        cut_off
    }

    /// Whether it was cut off there; `None` where it never comes there. In any case all is as before
    /// afterwards.
    fn killed_at(&self, call: &str, at: usize, remedy: Remedy) -> Option<bool> {
        // Nothing else was ever changed here.
        let state = StateDir::new();
        let (trace, inject) = (format!("trace={call}"), format!("inject={call}:signal=SIGKILL:when={at}"));
        let strace = ["strace", "-f", "-o", "/dev/null", "-e", &trace, "-e", &inject];
        let program = env!("CARGO_BIN_EXE_attach_once");
        let said = run_attach_once(&strace, program, state.path(), std::slice::from_ref(&self.there));
        let host = Host::options().state_dir(state.path()).open().unwrap();
        let when = format!("{} was killed at {call} {at}, then {remedy:?}", self.there);
        self.assert_alive(&when);
        if said == "changed\n" {
            succeeds(host.run(&self.back), &when);
            return None;
        }
        assert_eq!(said, "", "{when}");
        if !is_cut_off(&host) {
            let found = State::take();
            if found.is_same(self.after) {
                succeeds(host.run(&self.back), &when);
            } else {
                found.assert_same(self.before, &when);
            }
            return Some(false);
        }
        match remedy {
            Remedy::Undone => succeeds(host.undo(), &when),
            Remedy::DoneAgain => {
                succeeds(host.run(&self.there), &when);
                State::take().assert_same(self.after, &when);
                assert!(!is_cut_off(&host), "{when}, and it still is");
                succeeds(host.run(&self.back), &when);
            }
        }
        State::take().assert_same(self.before, &when);
        Some(true)
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

/// Whether anything was left to do, depends on where it was killed.
#[track_caller]
fn succeeds(result: Result<Outcome>, when: &str) {
    assert!(result.is_ok(), "{when}: {result:?}");
}

fn is_cut_off(host: &Host) -> bool {
    host.verify().unwrap().findings.contains(&Finding::CutOff)
}

/// Starts a network and stops it, killed at each message to the kernel and at each setting, while
/// the host talks to those far away.
#[track_caller]
fn survives(site: fn() -> Option<Site>, every: usize, line: &str) {
    if !has_program("strace") {
        return;
    }
    let _beside = beside_others();
    let Some(site) = site() else { return };
    let network: Network = line.parse().unwrap();
    let [start, stop] = [Operation::StartNetwork(network.clone()), Operation::StopNetwork(network)];
    let host = &site.dom0.host;
    let here = site.dom0.namespace();
    let talk = [(site.address4, Site::FAR4), (site.address6, Site::FAR6)]
        .map(|(from, to)| Stream::start(&here, from, &site.far, to, 1000));
    let stopped = State::take();
    succeeds(host.run(&start), "first");
    let running = State::take();
    succeeds(host.run(&stop), "first");
    State::take().assert_same(&stopped, "after nobody was killed");
    let starting =
        Change { site: &site, there: start.clone(), back: stop.clone(), before: &stopped, after: &running, every };
    let cut_off = ["sendto", "write"].map(|call| starting.killed_at_each(call));
    assert!(cut_off[0] > 0, "no start was cut off");
    succeeds(host.run(&start), "again");
    let stopping = Change { site: &site, there: stop, back: start, before: &running, after: &stopped, every };
    let cut_off = [cut_off, ["sendto", "write"].map(|call| stopping.killed_at_each(call))].concat();
    println!("{line}: cut off at sendto and write, starting and stopping: {cut_off:?} times");
    assert!(cut_off[2] > 0, "no stop was cut off");
    for tidings in talk.map(Stream::stop) {
        println!("{} sent, {} lost", tidings.sent, tidings.losses());
        assert_eq!(tidings.losses(), 0, "{:?}", tidings.refused);
    }
}

#[test]
fn a_takeover_of_all_that_an_uplink_can_have_is_killed() {
    let every = if std::env::var_os("XENVNET_SOAK").is_some() { 1 } else { 5 };
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
