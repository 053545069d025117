//! A conversation with a kernel that may say anything: what comes back is what a tape says, whatever
//! was asked.
//!
//! A tape is a list of answers, each with its length in two octets before it. Their messages are
//! numbered from the latest question (1 is the answer to its first message), so that a tape that was
//! recorded once fits every other time.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use xenvnet_core::transport::{Protocol, Transport};

/// struct nlmsghdr: length, type, flags, sequence, port.
const HEADER: usize = 16;

/// The answers that are still to come, shared by all transports of a host.
#[derive(Clone, Debug, Default)]
pub struct Tape(Arc<Mutex<VecDeque<Vec<u8>>>>);

impl Tape {
    /// Winds on what is to be answered from now on; what was left over is gone.
    pub fn wind(&self, octets: &[u8]) {
        let mut answers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        answers.clear();
        let mut rest = octets;
        while let Some((len, tail)) = rest.split_first_chunk() {
            let len = usize::from(u16::from_le_bytes(*len)).min(tail.len());
            answers.push_back(tail[..len].to_vec());
            rest = &tail[len..];
        }
    }

    /// For [`xenvnet_core::HostOptions::transport`].
    pub fn play(&self, _: Protocol) -> io::Result<Box<dyn Transport>> {
        Ok(Box::new(Player { tape: self.clone(), latest: 0 }))
    }
}

/// An answer as a tape has it.
pub fn taped(answer: &[u8]) -> Vec<u8> {
    let len = u16::try_from(answer.len()).expect("an answer is shorter than 64 KiB");
    [&len.to_le_bytes()[..], answer].concat()
}

#[derive(Debug)]
struct Player {
    tape: Tape,
    /// The number of the first message of the latest question.
    latest: u32,
}

impl Transport for Player {
    fn send(&mut self, datagram: &[u8]) -> io::Result<()> {
        self.latest = number(datagram);
        Ok(())
    }

    fn receive(&mut self, answers: &mut Vec<u8>, wait: bool) -> io::Result<bool> {
        let next = self.tape.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        match next {
            Some(mut octets) => {
                let latest = self.latest;
                renumber(&mut octets, |number| latest.wrapping_sub(1).wrapping_add(number));
                answers.extend_from_slice(&octets);
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
        Ok(true)
    }
}

/// The number of a message.
pub fn number(message: &[u8]) -> u32 {
    message.get(8..12).map_or(0, |octets| u32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]]))
}

/// Gives each message of an answer another number.
pub fn renumber(octets: &mut [u8], number_of: impl Fn(u32) -> u32) {
    let mut rest = octets;
    while rest.len() >= HEADER {
        let len = u32::from_ne_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
        let number = number_of(number(rest));
        rest[8..12].copy_from_slice(&number.to_ne_bytes());
        let next = len.next_multiple_of(4).clamp(HEADER, rest.len());
        rest = &mut rest[next..];
    }
}
