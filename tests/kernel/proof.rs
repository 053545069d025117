//! What holds for every operation.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use xenvnet_core::transport::{self, Protocol, Recording, Transport};
use xenvnet_core::{Host, IfName, Operation, Outcome, Plan};
use xenvnet_tests::{Dom0, Dump, Witness, ip};

/// An interface's name.
pub(crate) fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// Carries an operation out and proves on the way what holds for each:
/// its plan is the same on what was observed for it as on the whole host; asked for twice, the
/// second call finds nothing to do and sends nothing; its plan's inverse brings back the host as
/// it was. In the end it is carried out. Returns the plan.
#[track_caller]
pub(crate) fn prove(dom0: &Dom0, operation: &Operation) -> Plan {
    let host = &dom0.host;
    let what = operation.to_string();
    let before = Dump::take();

    let plan = host.plan(std::slice::from_ref(operation)).unwrap();
    let observed = operation.plan(&host.observe(std::slice::from_ref(operation)).unwrap()).unwrap();
    assert_eq!(observed, operation.plan(&host.snapshot().unwrap()).unwrap(), "{what}: observed and whole snapshot");
    assert_eq!(sorted(&plan), sorted(&observed), "{what}: the host's plan and the operation's");
    assert!(!plan.is_empty(), "{what}: nothing to do");
    Dump::take().assert_same(&before, &format!("by planning to {what}"));

    assert_eq!(host.apply(&plan).unwrap(), Outcome::Changed, "{what}");
    let after = Dump::take();
    assert_ne!(after, before, "{what}: nothing was changed");
    prove_again(dom0, operation);

    assert_eq!(host.apply(&plan.inverse()).unwrap(), Outcome::Changed, "{what}: put back");
    Dump::take().unnumbered().assert_same(&before.unnumbered(), &format!("after {what} was put back"));

    assert_eq!(host.run(operation).unwrap(), Outcome::Changed, "{what}: once more");
    Dump::take().unnumbered().assert_same(&after.unnumbered(), &format!("after {what} was done once more"));
    plan
}

/// The lines of a plan; a host puts steps that travel together side by side.
fn sorted(plan: &Plan) -> Vec<String> {
    let mut lines: Vec<_> = plan.steps().iter().map(ToString::to_string).collect();
    lines.sort();
    lines
}

/// Asked for what is so already, the library changes nothing and sends nothing but questions.
#[track_caller]
pub(crate) fn prove_again(dom0: &Dom0, operation: &Operation) {
    let before = Dump::take();
    assert!(dom0.host.plan(std::slice::from_ref(operation)).unwrap().is_empty(), "{operation}: again");
    assert_eq!(changes_sent(dom0, operation), Vec::<String>::new(), "{operation}: sent for what is so already");
    let silent = Witness::silent(|| assert_eq!(dom0.host.run(operation).unwrap(), Outcome::Unchanged, "{operation}"));
    assert!(silent, "{operation}: something was announced for what is so already");
    Dump::take().assert_same(&before, &format!("by {operation} for the second time"));
}

/// A bridge made by `ip`, with an address of its own: without one it would take that of its ports.
pub(crate) fn bridge_by_ip(bridge: &str) {
    ip(&format!("link add {bridge} address 2e:00:00:00:00:fe type bridge mcast_snooping 0 forward_delay 0"));
    ip(&format!("link set {bridge} addrgenmode none"));
    ip(&format!("link set {bridge} up"));
}

/// Polls what only the kernel's counters tell.
#[track_caller]
pub(crate) fn wait_for(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !so() {
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::yield_now();
    }
}

/// The messages of an operation that ask for more than an answer, by their types.
fn changes_sent(dom0: &Dom0, operation: &Operation) -> Vec<String> {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let shared = sent.clone();
    let open = move |protocol| -> std::io::Result<Box<dyn Transport>> {
        Ok(Box::new(Recording::new(protocol, transport::kernel(protocol)?, shared.clone())))
    };
    let host = Host::options().state_dir(dom0.state.path()).transport(open).open().unwrap();
    assert_eq!(host.run(operation).unwrap(), Outcome::Unchanged, "{operation}");
    let sent = sent.lock().unwrap();
    assert!(!sent.is_empty(), "{operation}: nothing was even asked");
    let mut changes = Vec::new();
    for (protocol, datagram) in sent.iter() {
        let mut rest = datagram.as_slice();
        while let Some(head) = rest.get(..16) {
            let length = u32::from_ne_bytes([head[0], head[1], head[2], head[3]]) as usize;
            let kind = u16::from_ne_bytes([head[4], head[5]]);
            // rtnetlink numbers NEW, DEL, GET, SET in fours; nf_tables NEW, GET, DEL in threes, and
            // the envelope of a batch is of no subsystem.
            let asks = match protocol {
                Protocol::Route => kind % 4 == 2,
                _ => kind >> 8 == 10 && (kind & 0xff) % 3 == 1,
            };
            if !asks {
                changes.push(format!("{protocol:?} {kind}"));
            }
            rest = rest.get(length.next_multiple_of(4).max(16)..).unwrap_or_default();
        }
    }
    changes
}
