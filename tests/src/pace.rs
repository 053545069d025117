//! When the next ones are due.

use std::time::{Duration, Instant};

/// So many a second, a few at a time.
#[derive(Debug)]
pub(crate) struct Pace {
    each: Duration,
    /// All that were due by then are done.
    reached: Instant,
}

/// Shorter rounds would be spent on waking up.
const ROUND: Duration = Duration::from_micros(500);

/// Well below the thousand packets that the kernel queues for a processor, with others beside it.
const MOST: u32 = 300;

impl Pace {
    /// From now on.
    pub(crate) fn per_second(rate: u32) -> Pace {
        Pace { each: Duration::from_secs(1) / rate, reached: Instant::now() }
    }

    /// Waits for the next round and says how many are due in it, one or more. What was not sent
    /// while this thread stood still is not made up for: so many at once would overflow a queue, and
    /// look like a loss.
    pub(crate) fn due(&mut self) -> u32 {
        let round = self.reached + self.each.max(ROUND);
        std::thread::sleep(round.saturating_duration_since(Instant::now()));
        let late = self.reached.elapsed();
        let due = (late.as_nanos() / self.each.as_nanos()) as u32;
        if due > MOST {
            self.reached += late;
            return MOST;
        }
        self.reached += self.each * due;
        due
    }
}
