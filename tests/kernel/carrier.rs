//! Waiting for a carrier, by the kernel's own word.

use crate::proof::name;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use xenvnet_core::transport::{self, Transport};
use xenvnet_core::{ErrorKind, Host};
use xenvnet_tests::{Dom0, FakeVif, ip};

/// Longer than anybody has patience: what ends before was ended by an event.
const LONG: Duration = Duration::from_secs(120);

/// The kernel, by a door that tells when somebody begins to wait at it.
#[derive(Debug)]
struct Door {
    kernel: Box<dyn Transport>,
    waits: SyncSender<()>,
}

impl Transport for Door {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.kernel.send(datagram)
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        self.kernel.receive(answers, wait)
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        self.kernel.subscribe(group, on)
    }

    fn wait(&mut self, at_most: Duration) -> io::Result<bool> {
        let _ = self.waits.try_send(());
        self.kernel.wait(at_most)
    }
}

/// A host whose card has a cable that is out at the other end, and word of those who wait.
fn unplugged() -> Option<(Dom0, FakeVif, Host, Receiver<()>)> {
    let dom0 = Dom0::enter()?;
    let cable = dom0.cable("eth0", "02:00:00:00:00:09");
    cable.guest.within(|| ip("link set eth0 down"));
    let (waits, waiting) = sync_channel(1);
    let open = move |protocol| -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Door { kernel: transport::kernel(protocol)?, waits: waits.clone() }))
    };
    let host = Host::options().state_dir(dom0.state.path()).transport(open).open().unwrap();
    Some((dom0, cable, host, waiting))
}

#[test]
fn a_carrier_that_comes_meanwhile_ends_the_wait_and_nobody_else_has_to_wait() {
    let Some((_dom0, cable, host, waiting)) = unplugged() else { return };
    thread::scope(|scope| {
        let wait = scope.spawn(|| host.wait_for_carrier(name("eth0"), LONG));
        waiting.recv_timeout(LONG).expect("it waits");
        // What it does not wait for, does not end it; and the same host goes on working.
        assert!(host.start_network(&"network-virtual".parse().unwrap()).unwrap().is_changed());
        waiting.recv_timeout(LONG).expect("it was told of another interface, and waits again");
        cable.guest.within(|| ip("link set eth0 up"));
        assert!(wait.join().unwrap().unwrap(), "the carrier has come");
    });
    assert!(host.wait_for_carrier(name("eth0"), Duration::ZERO).unwrap(), "it is there already");
}

#[test]
fn a_carrier_that_does_not_come_is_told_at_the_deadline() {
    let Some((_dom0, cable, host, waiting)) = unplugged() else { return };
    assert!(!host.wait_for_carrier(name("eth0"), Duration::from_millis(50)).unwrap());
    waiting.try_recv().expect("it waited for it");
    assert!(!host.wait_for_carrier(name("eth0"), Duration::ZERO).unwrap());
    waiting.try_recv().expect_err("there was no time to wait");
    // An interface that is down has none either, whatever is plugged in.
    ip("link set eth0 down");
    cable.guest.within(|| ip("link set eth0 up"));
    assert!(!host.wait_for_carrier(name("eth0"), Duration::from_millis(50)).unwrap());
}

#[test]
fn an_interface_that_is_not_there_or_not_any_more_is_named() {
    let Some((_dom0, _cable, host, waiting)) = unplugged() else { return };
    let error = host.wait_for_carrier(name("eth7"), LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert_eq!(error.to_string(), "cannot wait for the carrier of eth7: no interface named eth7");
    thread::scope(|scope| {
        let wait = scope.spawn(|| host.wait_for_carrier(name("eth0"), LONG));
        waiting.recv_timeout(LONG).expect("it waits");
        ip("link del eth0");
        assert_eq!(wait.join().unwrap().unwrap_err().kind(), ErrorKind::NotFound);
    });
}
