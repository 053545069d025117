//! A sender that never stops.

use crate::frame::Frame;
use crate::socket::RawSocket;
use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Repeats its frames as fast as it can, in a thread of its own. That stays on one processor, so
/// that what it sends comes in in that order.
#[derive(Debug)]
pub struct Flood {
    mood: Arc<AtomicU8>,
    thread: Option<JoinHandle<Taken>>,
}

/// How many frames the interface took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Of those that are repeated.
    pub repeated: u64,
    /// Of the one that ends each round.
    pub last: u64,
}

const GOING_ON: u8 = 0;
const SAYING_FAREWELL: u8 = 1;
const GIVING_UP: u8 = 2;

/// Long for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(10);

impl Flood {
    /// From now on, on the n-th processor that there is. What ends each round is also sent last of
    /// all: who has heard that one has heard, or never hears, all that went before.
    pub fn start(socket: RawSocket, repeated: Vec<Frame>, last: Frame, processor: usize) -> Flood {
        let mood = Arc::new(AtomicU8::new(GOING_ON));
        let socket = socket.unqueued();
        let now = mood.clone();
        let thread = std::thread::spawn(move || {
            stay_on(processor);
            let mut taken = Taken::default();
            while now.load(Ordering::Relaxed) == GOING_ON {
                taken.repeated += repeated.iter().map(|frame| u64::from(socket.offer(frame.bytes()))).sum::<u64>();
                taken.last += u64::from(socket.offer(last.bytes()));
            }
            let deadline = Instant::now() + PATIENCE;
            while now.load(Ordering::Relaxed) == SAYING_FAREWELL {
                if socket.offer(last.bytes()) {
                    taken.last += 1;
                    break;
                }
                assert!(Instant::now() < deadline, "the last frame is never taken");
            }
            taken
        });
        Flood { mood, thread: Some(thread) }
    }

    /// Stops, and tells how much of it the interface took.
    ///
    /// # Panics
    /// When the last frame is never taken.
    pub fn stop(mut self) -> Taken {
        self.mood.store(SAYING_FAREWELL, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Flood {
    /// Stops at once, heard or not, and tells how much the interface took.
    pub fn give_up(mut self) -> Taken {
        self.mood.store(GIVING_UP, Ordering::Relaxed);
        let thread = self.thread.take().expect("it is stopped once");
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl Drop for Flood {
    /// A test that fails must not leave it going on for ever.
    fn drop(&mut self) {
        self.mood.store(GIVING_UP, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Keeps the calling thread on one of its processors.
fn stay_on(processor: usize) {
    let this = Pid::from_raw(0);
    let all = sched_getaffinity(this).expect("the processors of this thread");
    let allowed: Vec<_> = (0..CpuSet::count()).filter(|n| all.is_set(*n).unwrap_or(false)).collect();
    let mut one = CpuSet::new();
    one.set(allowed[processor % allowed.len()]).expect("a processor that exists");
    sched_setaffinity(this, &one).expect("stay on one processor");
}
