//! Requests and their answers over one transport: numbered, sent together, matched, drained.

use super::Request;
use super::attributes::Reader;
use super::transport::{self, Transport};
use nix::libc;
use std::io;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Length, type, flags, sequence, port: struct nlmsghdr.
const HEADER: usize = 16;

/// More acknowledgements than this overrun a default receive buffer, and then they are lost.
const MAX_MESSAGES: usize = 128;
const MAX_OCTETS: usize = 64 * 1024;

/// A dump that changed while it was read, and an overrun, are asked for again this often.
const TRIES: usize = 10;

/// Flags of an error message: the request is not repeated, texts follow (linux/netlink.h).
const CAPPED: u16 = 0x100;
const ACK_TLVS: u16 = 0x200;
const DUMP_INTERRUPTED: u16 = 0x10;

/// What came back for one request.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    /// Type and body of each message.
    pub(crate) messages: Vec<(u16, Vec<u8>)>,
    pub(crate) refusal: Option<Refusal>,
}

/// The kernel's no.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub(crate) errno: i32,
    /// The text of its extended acknowledgement, often missing.
    pub(crate) words: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Channel {
    transport: Box<dyn Transport>,
    sequence: u32,
    /// Whether something was read that nobody asked for: a change that the kernel tells of.
    noticed: bool,
}

impl Channel {
    pub(crate) fn new(transport: Box<dyn Transport>) -> Channel {
        Channel { transport, sequence: 0, noticed: false }
    }

    /// Asks several things, in as few datagrams as they fit in, and gives one answer each, in
    /// order. With `stop` nothing more is sent after a datagram in which something was refused;
    /// what was not sent has no answer then.
    ///
    /// Only the last message of a datagram asks for an acknowledgement: refusals come anyway.
    pub(crate) fn ask(&mut self, requests: &[Request], stop: bool) -> io::Result<Vec<Answer>> {
        let mut answers = Vec::with_capacity(requests.len());
        for part in datagrams(requests) {
            let last = part.len() - 1;
            answers.extend(self.exchange(part, last)?);
            if stop && answers.iter().any(|answer: &Answer| answer.refusal.is_some()) {
                break;
            }
        }
        Ok(answers)
    }

    /// Asks something that changes nothing, again if the answers overran the buffer.
    pub(crate) fn query(&mut self, requests: &[Request]) -> io::Result<Vec<Answer>> {
        for _ in 1..TRIES {
            match self.ask(requests, false) {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => self.drain()?,
                other => return other,
            }
        }
        self.ask(requests, false)
    }

    /// One datagram whose messages stand or fall together. The last but one is acknowledged: the
    /// closing of a batch is not, on kernels before 6.10.
    pub(crate) fn transact(&mut self, requests: &[Request]) -> io::Result<Vec<Answer>> {
        self.exchange(requests, requests.len().saturating_sub(2))
    }

    /// Everything of a kind. Asked for again when it changed in the middle or overran the buffer.
    pub(crate) fn dump(&mut self, request: &Request) -> io::Result<Answer> {
        let request = Request { flags: request.flags | super::DUMP, ..request.clone() };
        let mut failure = transport::errno(libc::EINTR);
        for _ in 0..TRIES {
            match self.dump_once(&request) {
                Ok((answer, false)) => return Ok(answer),
                Ok((_, true)) => failure = transport::errno(libc::EINTR),
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    self.drain()?;
                    failure = error;
                }
                Err(error) => return Err(error),
            }
        }
        Err(failure)
    }

    fn dump_once(&mut self, request: &Request) -> io::Result<(Answer, bool)> {
        let first = self.send(std::slice::from_ref(request), usize::MAX)?;
        let (mut answer, mut interrupted) = (Answer::default(), false);
        let mut inbox = Vec::new();
        loop {
            inbox.clear();
            self.transport.receive(&mut inbox, true)?;
            for message in messages(&inbox) {
                let message = message?;
                if message.sequence != first {
                    self.noticed = true;
                    continue;
                }
                interrupted |= message.flags & DUMP_INTERRUPTED != 0;
                match message.kind {
                    DONE | ERROR => {
                        // The closing message of a dump may carry an errno too.
                        answer.refusal = message.refusal();
                        return Ok((answer, interrupted));
                    }
                    kind => answer.messages.push((kind, message.body.to_vec())),
                }
            }
        }
    }

    fn exchange(&mut self, requests: &[Request], acknowledged: usize) -> io::Result<Vec<Answer>> {
        let mut answers: Vec<_> = requests.iter().map(|_| Answer::default()).collect();
        if requests.is_empty() {
            return Ok(answers);
        }
        let first = self.send(requests, acknowledged)?;
        let (mut inbox, mut refused) = (Vec::new(), false);
        loop {
            inbox.clear();
            // All answers are there when sending returns. A datagram that is refused as a whole has
            // no answer to its last message: after a refusal, only what is there is taken.
            if !self.transport.receive(&mut inbox, !refused)? {
                return Ok(answers);
            }
            let mut done = false;
            for message in messages(&inbox) {
                let message = message?;
                // A number outside of this exchange belongs to one that was given up.
                let n = message.sequence.checked_sub(first).map_or(usize::MAX, |n| n as usize);
                let Some(answer) = answers.get_mut(n) else {
                    self.noticed = true;
                    continue;
                };
                if message.kind == ERROR {
                    answer.refusal = message.refusal();
                    refused |= answer.refusal.is_some();
                    done |= n == acknowledged;
                } else {
                    answer.messages.push((message.kind, message.body.to_vec()));
                }
            }
            if done {
                return Ok(answers);
            }
        }
    }

    /// Numbers the requests and sends them in one datagram; gives the first number.
    fn send(&mut self, requests: &[Request], acknowledged: usize) -> io::Result<u32> {
        // By the clock, so that an answer that a forked sibling died without reading is older than
        // any question of ours; and never zero, the kernel's own number for what nobody asked.
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_micros() as u32);
        self.sequence = self.sequence.max(clock);
        if self.sequence > u32::MAX - requests.len() as u32 - 1 {
            self.sequence = 0;
        }
        let first = self.sequence + 1;
        let mut datagram = Vec::new();
        for (n, request) in requests.iter().enumerate() {
            self.sequence += 1;
            let flags = request.kernel_flags() | libc::NLM_F_REQUEST as u16;
            let flags = if n == acknowledged { flags | libc::NLM_F_ACK as u16 } else { flags };
            let len = (HEADER + request.body.len()) as u32;
            datagram.extend_from_slice(&len.to_ne_bytes());
            datagram.extend_from_slice(&request.kind.to_ne_bytes());
            datagram.extend_from_slice(&flags.to_ne_bytes());
            datagram.extend_from_slice(&self.sequence.to_ne_bytes());
            datagram.extend_from_slice(&0u32.to_ne_bytes());
            datagram.extend_from_slice(&request.body);
            datagram.resize(datagram.len().next_multiple_of(4), 0);
        }
        self.transport.send(&datagram)?;
        Ok(first)
    }

    /// Asks again whenever the kernel tells of changes of a kind, until what is waited for is so, at
    /// most this long; `false` says that it is not.
    pub(crate) fn until(
        &mut self,
        group: u32,
        patience: Duration,
        mut is_so: impl FnMut(&mut Channel) -> io::Result<bool>,
    ) -> io::Result<bool> {
        if is_so(self)? {
            return Ok(true);
        }
        // Nobody waits longer than that, and no clock counts further.
        let end = Instant::now() + patience.min(Duration::from_secs(u32::MAX.into()));
        self.transport.subscribe(group, true)?;
        let result = loop {
            self.noticed = false;
            let answer = or_overrun(is_so(self));
            let left = end.saturating_duration_since(Instant::now());
            match answer {
                Err(error) => break Err(error),
                Ok(Some(true)) => break Ok(true),
                Ok(_) if left.is_zero() => break Ok(false),
                Ok(None) => continue,
                // Between the question and its answer something changed, and was read with it.
                Ok(Some(false)) if self.noticed => continue,
                Ok(Some(false)) => {}
            }
            if let Err(error) = or_overrun(self.transport.wait(left).and_then(|_| self.drain())) {
                break Err(error);
            }
        };
        self.transport.subscribe(group, false)?;
        or_overrun(self.drain())?;
        result
    }

    fn drain(&mut self) -> io::Result<()> {
        let mut inbox = Vec::new();
        while self.transport.receive(&mut inbox, false)? {
            inbox.clear();
        }
        Ok(())
    }
}

/// `None` where there were so many changes that some could not be told: one more reason to ask again.
fn or_overrun<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(None),
        other => other.map(Some),
    }
}

/// Cuts a list of requests where a datagram is full.
fn datagrams(mut requests: &[Request]) -> impl Iterator<Item = &[Request]> {
    std::iter::from_fn(move || {
        let mut octets = 0;
        let mut is_closed = false;
        let fits = requests.iter().enumerate().take(MAX_MESSAGES).take_while(|(n, request)| {
            octets += HEADER + request.body.len();
            let fits = !is_closed && (*n == 0 || !request.is_alone()) && octets <= MAX_OCTETS;
            is_closed |= request.is_alone();
            fits
        });
        // One that is too long by itself goes by itself.
        let count = fits.count().max(1).min(requests.len());
        let (part, rest) = requests.split_at(count);
        requests = rest;
        (!part.is_empty()).then_some(part)
    })
}

const ERROR: u16 = libc::NLMSG_ERROR as u16;
const DONE: u16 = libc::NLMSG_DONE as u16;

pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    flags: u16,
    sequence: u32,
    pub(crate) body: &'a [u8],
}

impl Message<'_> {
    /// What an error message or the end of a dump says; `None` for "all is well".
    fn refusal(&self) -> Option<Refusal> {
        let code = i32::from_ne_bytes(self.body.get(..4)?.try_into().ok()?);
        if code >= 0 {
            return None;
        }
        let words = (self.kind == ERROR && self.flags & ACK_TLVS != 0).then(|| {
            // The request's header follows the code, and its body too unless it was capped.
            let repeated = self.body.get(4..8).and_then(|len| len.try_into().ok()).map_or(HEADER, |len| {
                if self.flags & CAPPED != 0 { HEADER } else { (u32::from_ne_bytes(len) as usize).next_multiple_of(4) }
            });
            Reader::after(self.body, 4 + repeated).find(1)?.text().map(str::to_owned)
        });
        Some(Refusal { errno: code.checked_neg().unwrap_or(libc::EIO), words: words.flatten() })
    }
}

/// The messages of some datagrams. One that is not whole is the last: nobody knows what went with it, and
/// nobody is to wait for that.
pub(crate) fn messages(mut rest: &[u8]) -> impl Iterator<Item = io::Result<Message<'_>>> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let message =
            split_message(&mut rest).ok_or_else(|| io::Error::other("an answer of the kernel's was cut short"));
        rest = if message.is_ok() { rest } else { &[] };
        Some(message)
    })
}

fn split_message<'a>(rest: &mut &'a [u8]) -> Option<Message<'a>> {
    let header = rest.get(..HEADER)?;
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let len = word(0) as usize;
    let body = rest.get(HEADER..len)?;
    *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some(Message { kind: half(4), flags: half(6), sequence: word(8), body })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    /// Answers from a list, whatever is asked. Their numbers count from the latest question.
    #[derive(Debug, Default)]
    struct Script {
        answers: VecDeque<io::Result<Vec<u8>>>,
        first: u32,
    }

    impl Transport for Script {
        fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
            self.first = u32::from_ne_bytes(datagram[8..12].try_into().unwrap());
            Ok(())
        }

        fn receive(&mut self, into: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
            match self.answers.pop_front() {
                Some(answer) => {
                    let mut octets = answer?;
                    let mut at = 0;
                    while let Some(header) = octets.get(at..at + HEADER) {
                        let len = u32::from_ne_bytes(header[..4].try_into().unwrap()) as usize;
                        let sequence = u32::from_ne_bytes(header[8..12].try_into().unwrap());
                        let sequence = self.first.wrapping_add(sequence).wrapping_sub(1);
                        octets[at + 8..at + 12].copy_from_slice(&sequence.to_ne_bytes());
                        at = at.saturating_add(len.next_multiple_of(4).max(HEADER));
                    }
                    into.append(&mut octets);
                    Ok(true)
                }
                None if wait => Err(io::ErrorKind::TimedOut.into()),
                None => Ok(false),
            }
        }

        fn subscribe(&mut self, _: u32, _: bool) -> io::Result<()> {
            Ok(())
        }

        fn wait(&mut self, _: Duration) -> io::Result<bool> {
            Ok(!self.answers.is_empty())
        }
    }

    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let mut octets = ((HEADER + body.len()) as u32).to_ne_bytes().to_vec();
        octets.extend_from_slice(&kind.to_ne_bytes());
        octets.extend_from_slice(&flags.to_ne_bytes());
        octets.extend_from_slice(&sequence.to_ne_bytes());
        octets.extend_from_slice(&[0; 4]);
        octets.extend_from_slice(body);
        octets.resize(octets.len().next_multiple_of(4), 0);
        octets
    }

    fn error(sequence: u32, errno: i32) -> Vec<u8> {
        message(ERROR, 0, sequence, &(-errno).to_ne_bytes())
    }

    fn channel(answers: Vec<io::Result<Vec<u8>>>) -> Channel {
        Channel::new(Box::new(Script { answers: answers.into(), first: 0 }))
    }

    fn request() -> Request {
        Request { kind: 18, flags: 0, body: vec![0; 16] }
    }

    #[test]
    fn answers_find_their_requests_and_strangers_are_ignored() {
        let inbox = [message(16, 0, 99, b"late"), message(16, 0, 1, b"one!"), error(2, 19), error(3, 0)].concat();
        let answers = channel(vec![Ok(inbox)]).ask(&[request(), request(), request()], false).unwrap();
        assert_eq!(answers[0].messages, [(16, b"one!".to_vec())]);
        assert_eq!(answers[1].refusal.as_ref().unwrap().errno, 19);
        assert!(answers[2].refusal.is_none());
    }

    #[test]
    fn a_dump_that_changed_is_asked_for_again() {
        let torn = [message(16, DUMP_INTERRUPTED, 1, b"torn"), message(DONE, 0, 1, &[0; 4])].concat();
        let whole = [message(16, 0, 1, b"good"), message(DONE, 0, 1, &[0; 4])].concat();
        let answer = channel(vec![Ok(torn), Ok(whole)]).dump(&request()).unwrap();
        assert_eq!(answer.messages, [(16, b"good".to_vec())]);
        let torn = |_| Ok([message(16, DUMP_INTERRUPTED, 1, b"torn"), message(DONE, 0, 1, &[0; 4])].concat());
        let endless = channel((1..100).map(torn).collect()).dump(&request());
        assert_eq!(endless.unwrap_err().raw_os_error(), Some(libc::EINTR));
    }

    #[test]
    fn an_answer_that_is_cut_short_is_an_error_and_nobody_waits_for_its_rest() {
        let whole = [message(16, 0, 1, b"good"), message(DONE, 0, 1, &[0; 4])].concat();
        for end in 1..whole.len() {
            let cut = |_| Ok(whole[..end].to_vec());
            let error = channel((0..1).map(cut).collect()).dump(&request()).unwrap_err();
            // At the end of a message nothing tells that there was to be another one.
            let is_between = end == 20;
            assert_eq!(error.kind() == io::ErrorKind::TimedOut, is_between, "{end}: {error}");
        }
    }

    #[test]
    fn an_overrun_query_is_asked_again_after_draining() {
        let overrun = Err(transport::errno(libc::ENOBUFS));
        let answers = vec![overrun, Ok(error(1, 16)), Ok(Vec::new())];
        // After the overrun everything is taken out unread, and the second asking times out here.
        let result = channel(answers).query(&[request()]);
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn the_kernels_text_is_read_behind_a_capped_and_an_uncapped_header() {
        for (flags, repeated) in [(ACK_TLVS | CAPPED, HEADER), (ACK_TLVS, 40)] {
            let mut head = (-19i32).to_ne_bytes().to_vec();
            head.extend_from_slice(&(40u32).to_ne_bytes());
            head.resize(4 + repeated, 0);
            let mut writer = super::super::attributes::Writer::after(&head);
            writer.text(1, "no such bridge");
            let answers =
                channel(vec![Ok(message(ERROR, flags, 1, &writer.finish()))]).ask(&[request()], true).unwrap();
            let refusal = answers[0].refusal.as_ref().unwrap();
            assert_eq!((refusal.errno, refusal.words.as_deref()), (19, Some("no such bridge")));
        }
    }

    #[test]
    fn long_lists_are_cut_into_datagrams_that_fit() {
        let many = vec![request(); 300];
        assert_eq!(datagrams(&many).map(<[_]>::len).collect::<Vec<_>>(), [128, 128, 44]);
        let long = vec![Request { body: vec![0; MAX_OCTETS], ..request() }; 2];
        assert_eq!(datagrams(&long).count(), 2);
        assert_eq!(datagrams(&[]).count(), 0);
    }

    proptest! {
        #[test]
        fn any_answer_is_survived(octets: Vec<u8>, tail in 0u32..4) {
            let inbox = [octets.clone(), message(ERROR, ACK_TLVS, tail, &octets)].concat();
            let _ = channel(vec![Ok(inbox.clone())]).ask(&[request(), request()], true);
            let _ = channel(vec![Ok(inbox)]).dump(&request());
        }
    }
}
