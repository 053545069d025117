//! Transports on which something goes wrong, once or for good, at a message that is told beforehand.

use super::transport::{Protocol, Transport, errno, kernel};
use nix::libc;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes wrong, and when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// How much of what it could strike is let through first, over all transports that share the
    /// fault: messages that could be refused, datagrams whose answers could be spoiled.
    pub after: usize,
    /// Whether it goes on from there.
    pub lasts: bool,
}

impl Fault {
    /// One message is refused, after so many that are not.
    pub fn refusal(errno: i32, after: usize) -> Fault {
        Fault { kind: FaultKind::Refused(errno), after, lasts: false }
    }
}

/// A way to go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// A message is answered with this errno and not carried out. The others of its datagram fare as in
    /// the kernel: it goes on with them, but a batch of nf_tables stands or falls as a whole.
    ///
    /// Left out is where an errno is no fault but an answer in good order, which a caller has to
    /// believe: "there is none" ([`libc::ENOENT`]) of what is asked for or to be deleted by rtnetlink,
    /// and "it is there" ([`libc::EEXIST`]) of a route.
    Refused(i32),
    /// The kernel does what a datagram asks for; reading its answers fails with this errno, and they are
    /// lost.
    Lost(i32),
    /// The kernel does it and says nothing.
    Unanswered,
    /// The kernel does it and says so when nobody waits for it any more: at the next question.
    Late,
    /// The answer ends where it should not.
    Cut(Place),
    /// A dump says that what it told has changed meanwhile.
    Interrupted,
    /// Somebody else's refusal comes in before the answer.
    StrangerBefore,
    /// The answer has the number of somebody else's question.
    StrangerInstead,
}

/// Where an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the header of its first message.
    Header,
    /// Right behind that.
    Body,
    /// In an attribute, the last one of the longest message.
    Attribute,
}

/// The fault that several transports share.
///
/// ```no_run
/// use xenvnet_core::Host;
/// use xenvnet_core::transport::{Fault, Faults};
/// let faults = Faults::default();
/// let host = Host::options().transport(faults.opener()).open()?;
/// faults.plan(Fault::refusal(16, 3));
/// let _ = host.verify();
/// assert!(faults.end(), "the fourth message was answered with EBUSY");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Planned>>);

#[derive(Debug, Default)]
struct Planned {
    fault: Option<Fault>,
    struck: bool,
    /// How much of what it could strike was let through.
    passed: usize,
}

impl Faults {
    /// From now on this is going to happen, and nothing that was planned before.
    pub fn plan(&self, fault: Fault) {
        *self.planned() = Planned { fault: Some(fault), ..Planned::default() };
    }

    /// Nothing happens any more; whether something did.
    pub fn end(&self) -> bool {
        std::mem::take(&mut *self.planned()).struck
    }

    /// How much of what the fault could strike was let through since it was planned.
    pub fn passed(&self) -> usize {
        self.planned().passed
    }

    /// Opens the kernel's sockets with this fault on them.
    pub fn opener(&self) -> impl Fn(Protocol) -> io::Result<Box<dyn Transport>> + Send + Sync + 'static {
        let faults = self.clone();
        move |protocol| {
            let inner = kernel(protocol)?;
            Ok(Box::new(Faulting { inner, protocol, faults: faults.clone(), inbox: Inbox::default() }))
        }
    }

    fn planned(&self) -> MutexGuard<'_, Planned> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What becomes of these messages: the kind, and the first of them that it strikes.
    fn strike(&self, protocol: Protocol, messages: &[Sent<'_>]) -> Option<(Fault, usize)> {
        let mut planned = self.planned();
        let fault = planned.fault.as_mut()?;
        let mut may_strike = messages.iter().enumerate().filter(|(_, sent)| sent.can_be_struck(protocol, fault.kind));
        // What spoils answers spoils those of a whole datagram.
        let count = if matches!(fault.kind, FaultKind::Refused(_)) { usize::MAX } else { 1 };
        let candidates: Vec<_> = may_strike.by_ref().take(count).map(|(n, _)| n).collect();
        let strikes = *fault;
        let Some(first) = candidates.get(strikes.after).copied() else {
            fault.after -= candidates.len();
            planned.passed += candidates.len();
            return None;
        };
        fault.after = 0;
        planned.struck = true;
        if !strikes.lasts {
            planned.fault = None;
        }
        Some((strikes, first))
    }
}

/// The real transport, and what is made of its answers.
#[derive(Debug)]
struct Faulting {
    inner: Box<dyn Transport>,
    protocol: Protocol,
    faults: Faults,
    inbox: Inbox,
}

/// What came in, or is said to have.
#[derive(Debug, Default)]
struct Inbox {
    answers: Vec<u8>,
    /// Comes in at the next question.
    late: Vec<u8>,
    failure: Option<i32>,
    /// The kernel has said all that it is going to say: nobody is to wait for more.
    is_all: bool,
}

impl Transport for Faulting {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        let answers = std::mem::take(&mut self.inbox.late);
        self.inbox = Inbox { answers, ..Inbox::default() };
        let messages: Vec<_> = sent(datagram).collect();
        let Some((fault, first)) = self.faults.strike(self.protocol, &messages) else {
            return self.inner.send(datagram);
        };
        self.inbox.is_all = true;
        if let FaultKind::Refused(errno) = fault.kind {
            let is_refused = |n: usize| {
                n == first || fault.lasts && n > first && messages[n].can_be_struck(self.protocol, fault.kind)
            };
            let (refused, others): (Vec<_>, Vec<_>) = messages.iter().enumerate().partition(|(n, _)| is_refused(*n));
            refused.iter().for_each(|(_, sent)| self.inbox.answers.extend(refusal(&sent.0[8..16], errno)));
            let falls = messages.first().is_some_and(|first| first.is_envelope(self.protocol));
            if falls || others.is_empty() {
                return Ok(());
            }
            let others: Vec<_> = others.into_iter().map(|(_, sent)| sent.0).collect();
            return self.inner.send(&others.concat());
        }
        self.inner.send(datagram)?;
        // All answers are there when sending returns; a dump goes on as it is read.
        let mut answers = Vec::new();
        while self.inner.receive(&mut answers, false)? {}
        self.inbox.spoil(fault.kind, answers);
        Ok(())
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        if let Some(failure) = self.inbox.failure.take() {
            return Err(errno(failure));
        }
        let has_some = !self.inbox.answers.is_empty();
        answers.append(&mut self.inbox.answers);
        let came = self.inner.receive(answers, wait && !has_some && !self.inbox.is_all)?;
        if !has_some && !came && wait {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(has_some || came)
    }

    fn subscribe(&mut self, group: u32, on: bool) -> io::Result<()> {
        self.inner.subscribe(group, on)
    }

    fn wait(&mut self, patience: Duration) -> io::Result<bool> {
        self.inner.wait(patience)
    }
}

impl Inbox {
    fn spoil(&mut self, kind: FaultKind, mut answers: Vec<u8>) {
        match kind {
            FaultKind::Refused(_) | FaultKind::Unanswered => return,
            FaultKind::Lost(errno) => {
                self.failure = Some(errno);
                return;
            }
            FaultKind::Late => {
                self.late = answers;
                return;
            }
            FaultKind::Cut(place) => answers.truncate(end(&answers, place)),
            // The first flag of its second octet (NLM_F_DUMP_INTR in linux/netlink.h).
            FaultKind::Interrupted => answers.iter_mut().skip(6).take(1).for_each(|flags| *flags |= 0x10),
            FaultKind::StrangerBefore => {
                self.answers.extend(refusal(&numbered_by_a_stranger(answers.get(8..16)), libc::EPERM));
            }
            FaultKind::StrangerInstead => {
                let lengths: Vec<_> = sent(&answers).map(|message| message.0.len()).collect();
                let mut at = 0;
                for length in lengths {
                    let number = numbered_by_a_stranger(answers.get(at + 8..at + 16));
                    answers[at + 8..at + 16].copy_from_slice(&number);
                    at += length;
                }
            }
        }
        self.answers.append(&mut answers);
    }
}

/// Where answers are cut.
fn end(answers: &[u8], place: Place) -> usize {
    match place {
        Place::Header => 7,
        Place::Body => 18,
        Place::Attribute => {
            let mut at = 0;
            let ends = sent(answers).map(|message| {
                at += message.0.len();
                (message.0.len(), at - 2)
            });
            ends.max_by_key(|(length, _)| *length).map_or(0, |(_, end)| end)
        }
    }
}

/// Number and port of a question that nobody here asked.
fn numbered_by_a_stranger(ours: Option<&[u8]>) -> [u8; 8] {
    let mut octets = [0; 8];
    octets.copy_from_slice(ours.unwrap_or(&[0; 8]));
    octets[3] ^= 0x55;
    octets
}

/// NLMSG_ERROR for the question of this number and port.
fn refusal(number_and_port: &[u8], errno: i32) -> Vec<u8> {
    let mut octets = 20u32.to_ne_bytes().to_vec();
    octets.extend_from_slice(&(libc::NLMSG_ERROR as u16).to_ne_bytes());
    octets.extend_from_slice(&0u16.to_ne_bytes());
    octets.extend_from_slice(number_and_port);
    octets.extend_from_slice(&(-errno).to_ne_bytes());
    octets
}

/// A message with its padding.
struct Sent<'a>(&'a [u8]);

/// The messages of a datagram.
fn sent(mut rest: &[u8]) -> impl Iterator<Item = Sent<'_>> {
    std::iter::from_fn(move || {
        let length = u32::from_ne_bytes(rest.get(..16)?[..4].try_into().ok()?) as usize;
        let (message, tail) = rest.split_at(length.next_multiple_of(4).clamp(16, rest.len()));
        rest = tail;
        Some(Sent(message))
    })
}

impl Sent<'_> {
    fn half(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self.0[at], self.0[at + 1]])
    }

    /// What a batch begins and ends with is no message of its own.
    fn is_envelope(&self, protocol: Protocol) -> bool {
        protocol == Protocol::Netfilter && matches!(self.half(4), 16 | 17)
    }

    /// Only asks. rtnetlink numbers NEW, DEL, GET, SET in fours; each subsystem of nfnetlink in its own
    /// way: nf_tables (10) NEW, GET, DEL in threes, and the others used here have GET at 1.
    fn asks(&self, protocol: Protocol) -> bool {
        let kind = self.half(4);
        match protocol {
            Protocol::Route => kind % 4 == 2,
            Protocol::Netfilter => kind >> 8 == 10 && (kind & 0xff) % 3 == 1 || kind >> 8 != 10 && kind & 0xff == 1,
        }
    }

    fn can_be_struck(&self, protocol: Protocol, by: FaultKind) -> bool {
        const RTM_NEWROUTE: u16 = 24;
        let dumps = self.asks(protocol) && self.half(6) & libc::NLM_F_DUMP as u16 == libc::NLM_F_DUMP as u16;
        let deletes = protocol == Protocol::Route && self.half(4) % 4 == 1;
        let makes_route = protocol == Protocol::Route && self.half(4) == RTM_NEWROUTE;
        match by {
            _ if self.is_envelope(protocol) => false,
            FaultKind::Interrupted => dumps,
            FaultKind::Refused(libc::ENOENT) => !self.asks(protocol) && !deletes,
            FaultKind::Refused(libc::EEXIST) => !makes_route,
            _ => true,
        }
    }
}
