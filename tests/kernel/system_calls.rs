//! What an attach costs in system calls, counted by strace.

use crate::proof::{bridge_by_ip, name};
use xenvnet_core::{Antispoof, Attachment, MacAddr, Operation};
use xenvnet_tests::{Dom0, has_program, run_attach_once};

/// At most this many for an attach through an open host; three of some octets each tell that a change is under
/// way, so that whoever comes after a crash puts it back, one that the lock is still everybody's, one that
/// nobody forked.
const BUDGET: usize = 20;

#[test]
fn an_attach_takes_few_system_calls_whatever_the_number_of_addresses() {
    let Some(dom0) = Dom0::enter() else { return };
    if !has_program("strace") {
        return;
    }
    bridge_by_ip("xenbr0");
    let attach = |n: u8, addresses: u8| {
        let mac = MacAddr::new([0, 0x16, 0x3e, 0, 1, n]);
        let vif = dom0.guest(&format!("vif{n}.0"), &mac.to_string());
        let lock = (1..=addresses)
            .fold(Antispoof::new(mac), |lock, address| lock.ip(format!("10.{n}.0.{address}").parse().unwrap()));
        (Operation::AttachVif(Attachment::bridged(vif.name, name("xenbr0"), lock)), vif)
    };
    // The first one makes the table.
    let (operations, _guests): (Vec<_>, Vec<_>) = [attach(1, 1), attach(2, 1), attach(3, 20)].into_iter().unzip();
    let trace = dom0.state.path().join("trace");
    let said = run_attach_once(
        &["strace", "-f", "-o", trace.to_str().unwrap()],
        env!("CARGO_BIN_EXE_attach_once"),
        dom0.state.path(),
        &operations,
    );
    assert_eq!(said, "changed\n".repeat(3));
    let trace = std::fs::read_to_string(trace).unwrap();
    assert!(trace.lines().filter(|line| line.contains("exec")).count() <= 1, "only the program itself was executed");
    let calls = calls_between_marks(&trace);
    assert_eq!(calls.len(), 3, "{trace}");
    for (n, calls) in calls.iter().enumerate() {
        println!("attach {}: {} system calls", n + 1, calls.len());
        assert!(!calls.iter().any(|call| call.contains("exec") || call.contains("fork") || call.contains("clone")));
    }
    assert!(calls[1].len() <= BUDGET, "{} system calls:\n{}", calls[1].len(), calls[1].join("\n"));
    assert_eq!(calls[1].len(), calls[2].len(), "1 address:\n{}\n20:\n{}", calls[1].join("\n"), calls[2].join("\n"));
}

/// The lines of a trace from each mark to the next.
fn calls_between_marks(trace: &str) -> Vec<Vec<&str>> {
    let mut found = Vec::new();
    let mut open: Option<Vec<&str>> = None;
    for line in trace.lines().filter(|line| line.contains('(')) {
        match &mut open {
            _ if line.contains(r#"write(2, "begin\n""#) => open = Some(Vec::new()),
            _ if line.contains(r#"write(2, "end\n""#) => found.extend(open.take()),
            Some(calls) => calls.push(line),
            None => {}
        }
    }
    found
}
