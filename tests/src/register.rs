//! Which of the numbered things that were sent have come.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Kept by one who sends and one who hears.
#[derive(Debug, Default)]
pub(crate) struct Register {
    sent: AtomicU64,
    /// One more than the highest number that came.
    reached: AtomicU64,
    came: Mutex<Vec<u64>>,
    stopped: AtomicBool,
    told: AtomicBool,
}

/// The number of what is said after all others, again and again until it is heard.
pub(crate) const FAREWELL: u64 = u64::MAX;

/// Long for a machine that is busy with other tests.
const PATIENCE: Duration = Duration::from_secs(20);

impl Register {
    /// The number of the next one to be sent.
    pub(crate) fn next(&self) -> u64 {
        self.sent.fetch_add(1, Ordering::SeqCst)
    }

    /// This one came.
    pub(crate) fn note(&self, number: u64) {
        if number == FAREWELL {
            self.told.store(true, Ordering::SeqCst);
            return;
        }
        let mut came = self.came.lock().expect("nobody panics with it");
        let (word, bit) = ((number / 64) as usize, number % 64);
        if came.len() <= word {
            came.resize(word + 1, 0);
        }
        came[word] |= 1 << bit;
        self.reached.fetch_max(number + 1, Ordering::SeqCst);
    }

    /// How many were sent until now; every one of them has come by now, or never will: they come in
    /// their order.
    ///
    /// # Panics
    /// When nothing comes any more.
    pub(crate) fn mark(&self) -> u64 {
        let sent = self.sent.load(Ordering::SeqCst);
        let deadline = Instant::now() + PATIENCE;
        while self.reached.load(Ordering::SeqCst) < sent {
            assert!(Instant::now() < deadline, "nothing comes any more");
            std::thread::yield_now();
        }
        sent
    }

    /// Nothing more is to be sent but the farewell.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::SeqCst);
    }

    /// Whether that was said.
    pub(crate) fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }

    /// Whether the farewell was heard, and with it all that ever will be.
    pub(crate) fn is_told(&self) -> bool {
        self.told.load(Ordering::SeqCst)
    }

    /// Says the farewell until it is heard, or in vain.
    pub(crate) fn farewell(&self, say: impl Fn()) {
        let deadline = Instant::now() + PATIENCE;
        while !self.is_told() && Instant::now() < deadline {
            say();
            std::thread::park_timeout(Duration::from_millis(5));
        }
        // Who hears nothing any more is not to wait for ever.
        self.told.store(true, Ordering::SeqCst);
    }

    /// How many were sent, and the numbers of those that never came.
    pub(crate) fn sum(&self) -> (u64, Vec<u64>) {
        let sent = self.sent.load(Ordering::SeqCst);
        let came = self.came.lock().expect("nobody panics with it");
        let has_come =
            |number: &u64| came.get((number / 64) as usize).is_some_and(|word| word >> (number % 64) & 1 == 1);
        (sent, (0..sent).filter(|number| !has_come(number)).collect())
    }
}
