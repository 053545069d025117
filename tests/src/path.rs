//! A way for frames: who sends, who may hear, and the proof that silence is silence.

use crate::frame::Frame;
use crate::socket::RawSocket;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::time::{Duration, Instant};

/// One sender and several ears. That a frame does *not* arrive is proven by a sentinel that is
/// sent after it on the same way and does.
#[derive(Debug)]
pub struct Path {
    sender: RawSocket,
    ears: Vec<Ear>,
    sentinel: Frame,
    /// Where the sentinel is sent from, when the sender itself is shut up altogether.
    herald: Option<RawSocket>,
    sent: Vec<Frame>,
    /// The number of the next frame.
    number: u16,
    /// Frames that nothing sent so far explained when they came, by the ear's place in the list.
    unexplained: Vec<(usize, Vec<u8>)>,
    former: CpuSet,
    /// Whether a sentinel was heard by all yet.
    open: bool,
}

/// One who listens.
#[derive(Debug)]
struct Ear {
    name: &'static str,
    socket: RawSocket,
    /// Whether frames reach it as a router made them.
    routed: bool,
}

impl Ear {
    fn knows(&self, frame: &Frame, heard: &[u8]) -> bool {
        if self.routed { frame.is_routed(heard) } else { frame.is(heard) }
    }
}

/// Which frames of a call arrived, and at whose ear.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arrivals(pub Vec<(usize, &'static str)>);

impl Arrivals {
    /// Whether none did.
    pub fn none(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each of the first `count` frames reached somebody.
    pub fn all(&self, count: usize) -> bool {
        (0..count).all(|frame| self.0.iter().any(|(arrived, _)| *arrived == frame))
    }

    /// Whether a frame reached this ear.
    pub fn at(&self, frame: usize, ear: &str) -> bool {
        self.0.contains(&(frame, ear))
    }
}

/// Long for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(10);

impl Path {
    /// From one sender to these ears. The sentinel has to reach each of them.
    ///
    /// Keeps the calling thread on one processor: frames that are sent from one processor are
    /// received in order, from two they may overtake each other.
    pub fn new(sender: RawSocket, ears: Vec<(&'static str, RawSocket)>, sentinel: Frame) -> Path {
        let this = Pid::from_raw(0);
        let former = sched_getaffinity(this).expect("the processors of this thread");
        let mut one = CpuSet::new();
        let first = (0..CpuSet::count()).find(|cpu| former.is_set(*cpu).unwrap_or(false)).expect("a processor");
        one.set(first).expect("a processor that exists");
        sched_setaffinity(this, &one).expect("stay on one processor");
        let ears = ears.into_iter().map(|(name, socket)| Ear { name, socket, routed: false }).collect();
        let (sent, unexplained) = (Vec::new(), Vec::new());
        Path { sender, ears, sentinel, herald: None, sent, number: 0x4000, unexplained, former, open: false }
    }

    /// With one more ear, behind a router that the sentinel passes too.
    pub fn behind_router(mut self, name: &'static str, socket: RawSocket) -> Path {
        self.ears.push(Ear { name, socket, routed: true });
        self
    }

    /// With the sentinel sent from elsewhere: the sender is one that nothing passes from.
    pub fn herald(mut self, herald: RawSocket) -> Path {
        self.herald = Some(herald);
        self
    }

    /// Sends frames, then the sentinel, and tells which of the frames arrived before it.
    ///
    /// # Panics
    /// When the sentinel does not arrive.
    #[track_caller]
    pub fn send(&mut self, frames: &[Frame]) -> Arrivals {
        if !self.open {
            self.wait_until_open();
        }
        let frames: Vec<_> = frames.iter().map(|frame| self.stamp(frame)).collect();
        frames.iter().for_each(|frame| self.sender.send(frame.bytes()));
        let sentinel = self.stamp(&self.sentinel.clone());
        let deadline = Instant::now() + PATIENCE;
        self.herald.as_ref().unwrap_or(&self.sender).send(sentinel.bytes());
        let mut arrivals = Arrivals::default();
        for (place, ear) in self.ears.iter().enumerate() {
            loop {
                let heard = ear.socket.receive(deadline);
                let heard = heard.unwrap_or_else(|| panic!("the sentinel did not arrive at {}", ear.name));
                if ear.knows(&sentinel, &heard) {
                    break;
                }
                match frames.iter().position(|frame| ear.knows(frame, &heard)) {
                    Some(n) => arrivals.0.push((n, ear.name)),
                    None => self.unexplained.push((place, heard)),
                }
            }
        }
        arrivals
    }

    /// Says the sentinel until all ears heard it: a link that has just come up carries nothing yet.
    #[track_caller]
    fn wait_until_open(&mut self) {
        let deadline = Instant::now() + PATIENCE;
        while !self.open {
            assert!(Instant::now() < deadline, "no sentinel arrives");
            let sentinel = self.stamp(&self.sentinel.clone());
            self.herald.as_ref().unwrap_or(&self.sender).send(sentinel.bytes());
            let soon = Instant::now() + Duration::from_millis(50);
            self.open = self
                .ears
                .iter()
                .all(|ear| std::iter::from_fn(|| ear.socket.receive(soon)).any(|heard| ear.knows(&sentinel, &heard)));
        }
        // What was said while it opened may still come, and says nothing.
        self.sent.clear();
    }

    fn stamp(&mut self, frame: &Frame) -> Frame {
        let stamped = frame.clone().stamped(self.number);
        // Long after a number was given first, it may be given again.
        self.number = self.number.wrapping_add(1);
        self.sent.push(stamped.clone());
        stamped
    }

    /// Frames of earlier calls that arrived after their sentinel.
    pub fn late(&self) -> Vec<(&'static str, &Frame)> {
        let mut late = Vec::new();
        for (place, heard) in &self.unexplained {
            let ear = &self.ears[*place];
            late.extend(self.sent.iter().filter(|frame| ear.knows(frame, heard)).map(|frame| (ear.name, frame)));
        }
        late
    }
}

impl Drop for Path {
    fn drop(&mut self) {
        let _ = sched_setaffinity(Pid::from_raw(0), &self.former);
    }
}
