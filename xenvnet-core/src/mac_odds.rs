//! Random MAC addresses, and how soon two of them are the same.

use crate::error::{Error, ErrorKind, Result};
use crate::mac::{MacAddr, random_octets};
use std::collections::BTreeSet;

/// How many addresses are under Xen's prefix.
const XEN_ADDRESSES: u32 = 1 << 24;

impl MacAddr {
    /// The chance that among `count` addresses, drawn at random over this many bits, two are the
    /// same: 0 to 1.
    ///
    /// [`MacAddr::random_xen`] draws 24 bits, libxl and xend 23, and a locally administered
    /// address has room for 46.
    ///
    /// ```
    /// use xenvnet_core::MacAddr;
    /// let percent = |bits| format!("{:.1} %", 100.0 * MacAddr::collision_odds(1000, bits));
    /// assert_eq!((percent(24), percent(23), percent(46)), ("2.9 %".into(), "5.8 %".into(), "0.0 %".into()));
    /// ```
    #[doc(alias = "birthday")]
    pub fn collision_odds(count: u64, bits: u32) -> f64 {
        let addresses = 2f64.powi(bits.try_into().unwrap_or(i32::MAX));
        if count as f64 > addresses {
            return 1.0;
        }
        // One by one while that is quick; beyond, the first two terms of the same sum, by when
        // either they are exact enough or the answer is 1.
        let log_of_none: f64 = match count {
            0..=0xffff => (0..count).map(|drawn| (-(drawn as f64) / addresses).ln_1p()).sum(),
            _ => {
                let (n, pairs) = (count as f64, count as f64 * (count as f64 - 1.0) / 2.0);
                -pairs / addresses - pairs / addresses * (2.0 * n - 1.0) / (6.0 * addresses)
            }
        };
        (-log_of_none.exp_m1()).clamp(0.0, 1.0)
    }

    /// Whether it is under Xen's prefix `00:16:3e`.
    ///
    /// ```
    /// assert!(xenvnet_core::MacAddr::new([0, 0x16, 0x3e, 1, 2, 3]).is_xen());
    /// ```
    pub fn is_xen(self) -> bool {
        self.octets()[..3] == MacAddr::XEN_OUI
    }

    /// A random address under Xen's prefix that is none of these.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] when all 16,777,216 are taken; [`ErrorKind::Unsupported`] when the
    /// system gives no random octets.
    ///
    /// ```
    /// use xenvnet_core::MacAddr;
    /// let taken = std::collections::BTreeSet::from([MacAddr::random_xen()?]);
    /// assert!(!taken.contains(&MacAddr::random_xen_avoiding(&taken)?));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn random_xen_avoiding(taken: &BTreeSet<MacAddr>) -> Result<MacAddr> {
        let [a, b, c] = random_octets()?;
        let under_prefix = |number: u32| {
            let ([x, y, z], [_, a, b, c]) = (MacAddr::XEN_OUI, number.to_be_bytes());
            MacAddr::new([x, y, z, a, b, c])
        };
        let is_free = |number: &u32| !taken.contains(&under_prefix(*number));
        first_from(u32::from_be_bytes([0, a, b, c]), XEN_ADDRESSES, is_free).map(under_prefix).ok_or_else(|| {
            Error::cannot(ErrorKind::Conflict, "draw a random MAC address", "all of Xen's prefix are taken")
                .with_advice("draw locally administered ones")
        })
    }

    /// A random locally administered unicast address that is none of these: 46 bits are drawn, so
    /// that it is the better choice where no prefix is asked for, as Xen's manual says, too.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] when the system gives no random octets.
    ///
    /// ```
    /// let mac = xenvnet_core::MacAddr::random_local_avoiding(&Default::default())?;
    /// assert!(mac.is_local() && mac.is_unicast());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn random_local_avoiding(taken: &BTreeSet<MacAddr>) -> Result<MacAddr> {
        loop {
            let [first, rest @ ..] = random_octets::<6>()?;
            let [b, c, d, e, f] = rest;
            let mac = MacAddr::new([first & !1 | 2, b, c, d, e, f]);
            // No set in memory holds a noticeable part of 2^46: the next one drawn is free.
            if mac != MacAddr::VIF_BACKEND && !taken.contains(&mac) {
                return Ok(mac);
            }
        }
    }
}

/// The first number that is wanted, of those below `end`, from this one on and around: it is found
/// also where few are.
fn first_from(start: u32, end: u32, wanted: impl Fn(&u32) -> bool) -> Option<u32> {
    (start..end).chain(0..start).find(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn odds_are_those_of_the_birthdays() {
        for (count, bits, odds) in [
            (0, 24, 0.0),
            (1, 24, 0.0),
            (2, 24, 1.0 / 16_777_216.0),
            (2, 1, 0.5),
            (2, 0, 1.0),
            (3, 1, 1.0),
            (1000, 24, 0.0293),
            (1000, 23, 0.0578),
            (4823, 24, 0.5),
            (100_000, 24, 1.0),
            (100_000, 46, 7.1e-5),
            (u64::MAX, 64, 1.0),
            (u64::MAX, u32::MAX, 0.0),
        ] {
            let got = MacAddr::collision_odds(count, bits);
            assert!((got - odds).abs() <= 1e-4 * odds.max(1.0), "{count} over {bits}: {got}");
        }
    }

    #[test]
    fn the_last_free_address_is_found() {
        for start in 0..16 {
            assert_eq!(first_from(start, 16, |number| *number == 5), Some(5));
            assert_eq!(first_from(start, 16, |_| true), Some(start));
            assert_eq!(first_from(start, 16, |_| false), None);
        }
    }

    #[test]
    fn random_addresses_are_what_they_say() {
        for _ in 0..1000 {
            let local = MacAddr::random_local_avoiding(&BTreeSet::new()).unwrap();
            assert!(local.is_local() && local.is_unicast() && !local.is_xen());
            assert!(MacAddr::random_xen_avoiding(&BTreeSet::new()).unwrap().is_xen());
        }
    }

    proptest! {
        #[test]
        fn odds_are_odds(count: u64, bits in 0u32..200) {
            let odds = MacAddr::collision_odds(count, bits);
            prop_assert!((0.0..=1.0).contains(&odds));
            prop_assert!(MacAddr::collision_odds(count / 2, bits) <= odds + 1e-9);
        }

        #[test]
        fn both_ways_of_counting_agree(bits in 40u32..64) {
            let (below, above) = (MacAddr::collision_odds(0xffff, bits), MacAddr::collision_odds(0x10000, bits));
            prop_assert!(above >= below && above - below < below * 1e-3);
        }
    }
}
