//! How fast a guest may send: the toolstacks' texts and netback's pair of numbers.

use crate::error::{Error, ErrorKind, Result};
use crate::text::{decimal, quoted};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A limit on what a guest sends: so many bytes in so many microseconds, again and again.
///
/// netback enforces it, from its `rate` node in xenstore, and follows a change of the node at
/// once. Three things that are not in the numbers: netback holds each queue to them, so a guest
/// with four queues may send four times as much; what the guest receives is not limited; and the
/// interval counts in whole milliseconds, so that one below 1000 µs limits next to nothing.
///
/// Printed as netback reads it: `BYTES,USECS`.
///
/// ```
/// use xenvnet_core::Rate;
/// let rate = Rate::from_xl("1MB/s@20ms")?;
/// assert_eq!((rate.bytes, rate.usecs), (20_000, 20_000));
/// assert_eq!(rate.to_string(), "20000,20000");
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[non_exhaustive]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// The credit of one interval, in bytes; at least 1.
    pub bytes: u64,
    /// The interval in microseconds; at least 1.
    pub usecs: u32,
}

/// The interval where none is given: 50 ms.
const USECS_DEFAULT: u32 = 50_000;

/// Multipliers are decimal in both toolstacks.
const MULTIPLIERS: [(&str, u64); 4] = [("", 1), ("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

impl Rate {
    /// So many bytes in so many microseconds.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] when either is 0: nothing could be sent, or all.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::Rate::new(62_500, 50_000)?.to_string(), "62500,50000");
    /// assert!(xenvnet_core::Rate::new(0, 50_000).is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(bytes: u64, usecs: u32) -> Result<Rate> {
        let refuse =
            |why: &str| Err(Error::invalid(ErrorKind::InvalidArgument, format!("rate {bytes},{usecs}: {why}")));
        match (bytes, usecs) {
            (0, _) => refuse("less than one byte an interval would let nothing through"),
            (_, 0) => refuse("an interval of 0 is no limit at all"),
            _ => Ok(Rate { bytes, usecs }),
        }
    }

    /// Reads xl's `rate=`: `10Mb/s` (bits), `250KB/s` (bytes), `1MB/s@20ms`. The interval is 50 ms
    /// where none is given; a bare number of it counts **seconds**, as xl has always read it,
    /// although its manual says microseconds.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] with the offset: for what is no rate, for a number that is 0, does not
    /// fit 32 bits, or begins with 0 (xl reads `010` as 8), and for less than one byte an interval.
    ///
    /// ```
    /// use xenvnet_core::Rate;
    /// assert_eq!(Rate::from_xl("10Mb/s")?.to_string(), "62500,50000");
    /// assert_eq!(Rate::from_xl("250KB/s")?.to_string(), "12500,50000");
    /// assert_eq!(Rate::from_xl("1MB/s@20")?.to_string(), "20000000,20000000");
    /// assert_eq!(Rate::from_xl("10Mbps").unwrap_err().offset(), Some(2));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_xl(text: &str) -> Result<Rate> {
        Rate::read(text, u64::from(u32::MAX), true)
    }

    /// Reads xm's `rate=`: as xl's, but the interval always has a unit (`@20us`, `@20ms`, `@1s`), and
    /// the credit of an interval fits 32 bits.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] with the offset. xend took what it could not read for no limit at all,
    /// and said nothing.
    ///
    /// ```
    /// use xenvnet_core::Rate;
    /// assert_eq!(Rate::from_xm("10MB/s@1s")?.to_string(), "10000000,1000000");
    /// assert!(Rate::from_xm("10MB/s@20").is_err());
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_xm(text: &str) -> Result<Rate> {
        let rate = Rate::read(text, u64::MAX, false)?;
        match rate.bytes {
            0..=0xffff_ffff => Ok(rate),
            _ => Err(wrong(text, 0, "is more in an interval than netback of its day could count")),
        }
    }

    /// Reads netback's node: `BYTES,USECS` in decimal. `None` where the interval is 0, by which
    /// xend wrote that nothing is limited (`4294967295,0`).
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] with the offset. netback itself limits nothing then.
    ///
    /// ```
    /// use xenvnet_core::Rate;
    /// assert_eq!(Rate::from_netback("62500,50000")?, Some(Rate::from_xl("10Mb/s")?));
    /// assert_eq!(Rate::from_netback("4294967295,0")?, None);
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn from_netback(text: &str) -> Result<Option<Rate>> {
        let comma = text.find(',').ok_or_else(|| wrong(text, text.len(), "has no comma"))?;
        let bytes = decimal(&text[..comma]).ok_or_else(|| wrong(text, 0, "does not begin with a number of bytes"))?;
        let usecs = decimal(&text[comma + 1..])
            .ok_or_else(|| wrong(text, comma + 1, "does not end with a number of microseconds"))?;
        match (bytes, usecs) {
            (_, 0) => Ok(None),
            (0, _) => Err(wrong(text, 0, "lets nothing through")),
            _ => Ok(Some(Rate { bytes, usecs })),
        }
    }

    /// The text that xl reads this rate from; exactly this rate, where xl has a text for it, as it
    /// has for every one that came from [`Rate::from_xl`].
    ///
    /// ```
    /// # use xenvnet_core::Rate;
    /// assert_eq!(Rate::from_xl("10Mb/s")?.to_xl(), "1250000B/s@50000us");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn to_xl(self) -> String {
        let least = (u128::from(self.bytes) * 1_000_000).div_ceil(u128::from(self.usecs.max(1)));
        let texts = [("B", 1), ("b", 8)].into_iter().flat_map(|(unit, bits)| {
            MULTIPLIERS.into_iter().map(move |(letter, multiplier)| {
                let number = (least * bits).div_ceil(u128::from(multiplier));
                format!("{number}{letter}{unit}/s@{}us", self.usecs)
            })
        });
        let mut exact = texts.filter(|text| Rate::from_xl(text).ok() == Some(self));
        exact.next().unwrap_or_else(|| format!("{least}B/s@{}us", self.usecs))
    }

    fn read(text: &str, number_max: u64, bare_seconds: bool) -> Result<Rate> {
        let (speed, interval) = text.split_once('@').map_or((text, None), |(speed, interval)| (speed, Some(interval)));
        let (number, unit) = leading_number(text, speed, 0, number_max)?;
        let at = speed.len() - unit.len();
        let (unit, bits) = match (unit.strip_suffix("B/s"), unit.strip_suffix("b/s")) {
            (Some(unit), _) => (unit, 1),
            (_, Some(unit)) => (unit, 8),
            _ => return Err(wrong(text, at, "does not go on with KB/s, Mb/s or the like")),
        };
        let multiplier = MULTIPLIERS.iter().find(|(letter, _)| *letter == unit).map(|(_, multiplier)| *multiplier);
        let multiplier = multiplier.ok_or_else(|| wrong(text, at, "has another multiplier than K, M or G"))?;
        let per_second = u128::from(number) * u128::from(multiplier) / bits;

        let usecs = match interval {
            None => USECS_DEFAULT,
            Some(interval) => {
                let at = speed.len() + 1;
                let (number, unit) = leading_number(text, interval, at, u64::from(u32::MAX))?;
                let unit_at = at + interval.len() - unit.len();
                let factor = match unit {
                    "s" => 1_000_000,
                    "" | "m" | "u" if !bare_seconds => {
                        return Err(wrong(text, unit_at, "does not end with s, ms or us"));
                    }
                    "" => 1_000_000,
                    "ms" | "m" => 1_000,
                    "us" | "u" => 1,
                    _ => return Err(wrong(text, unit_at, "does not end with s, ms or us")),
                };
                let usecs = number.saturating_mul(factor);
                u32::try_from(usecs).map_err(|_| wrong(text, at, "has an interval of more than 4294967295 us"))?
            }
        };
        let bytes = per_second * u128::from(usecs) / 1_000_000;
        match u64::try_from(bytes) {
            Ok(0) => Err(wrong(text, 0, "is less than one byte an interval and would let nothing through")),
            Ok(bytes) if per_second <= u128::from(u64::MAX) / u128::from(usecs) => Ok(Rate { bytes, usecs }),
            _ => Err(wrong(text, 0, "is more than can be counted")),
        }
    }
}

/// The number that a part of the text begins with, and what follows it.
fn leading_number<'a>(text: &str, part: &'a str, at: usize, max: u64) -> Result<(u64, &'a str)> {
    let digits = part.len() - part.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (digits, rest) = part.split_at(digits);
    match decimal::<u64>(digits) {
        _ if digits.is_empty() => Err(wrong(text, at, "has no number here")),
        Some(0) => Err(wrong(text, at, "has a number that is 0")),
        _ if digits.starts_with('0') => {
            Err(wrong(text, at, "has a number that begins with 0, which xl reads as octal"))
        }
        Some(number) if number <= max => Ok((number, rest)),
        _ => Err(wrong(text, at, &format!("has a number beyond {max}"))),
    }
}

fn wrong(text: &str, offset: usize, why: &str) -> Error {
    Error::invalid(ErrorKind::Parse, format!("rate {} {why} at byte {offset}", quoted(text)))
        .at(offset)
        .with_advice("write 10Mb/s for bits, 250KB/s for bytes, 1MB/s@20ms with an interval")
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.bytes, self.usecs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn xl_reads_it_so() {
        for (text, netback) in [
            ("10Mb/s", "62500,50000"),
            ("10MB/s", "500000,50000"),
            ("250KB/s", "12500,50000"),
            ("1GB/s", "50000000,50000"),
            ("100000B/s", "5000,50000"),
            ("1MB/s@20ms", "20000,20000"),
            ("1MB/s@20m", "20000,20000"),
            ("1MB/s@20us", "20,20"),
            ("1MB/s@20u", "20,20"),
            ("1MB/s@1s", "1000000,1000000"),
            ("1MB/s@20", "20000000,20000000"),
            ("4294967295B/s@1s", "4294967295,1000000"),
            ("300000GB/s", "15000000000000,50000"),
        ] {
            assert_eq!(Rate::from_xl(text).unwrap().to_string(), netback, "{text}");
        }
    }

    #[test]
    fn faults_are_named_with_their_byte() {
        for (text, offset, why) in [
            ("", 0, "no number"),
            ("MB/s", 0, "no number"),
            ("-1MB/s", 0, "no number"),
            ("0MB/s", 0, "is 0"),
            ("010MB/s", 0, "octal"),
            ("4294967296B/s", 0, "beyond 4294967295"),
            ("99999999999999999999999B/s", 0, "beyond"),
            ("10Mbps", 2, "does not go on"),
            ("10", 2, "does not go on"),
            ("10 MB/s", 2, "multiplier"),
            ("10kB/s", 2, "multiplier"),
            ("10TB/s", 2, "multiplier"),
            ("1MB/s@", 6, "no number"),
            ("1MB/s@0ms", 6, "is 0"),
            ("1MB/s@20 ms", 8, "s, ms or us"),
            ("1MB/s@5000s", 6, "interval of more"),
            ("1MB/s@5000@1s", 10, "s, ms or us"),
            ("1b/s", 0, "less than one byte"),
            ("1B/s@1us", 0, "less than one byte"),
            ("400000GB/s", 0, "more than can be counted"),
            ("4294967295GB/s@4294s", 0, "more than can be counted"),
        ] {
            let error = Rate::from_xl(text).unwrap_err();
            assert_eq!((error.offset(), error.kind()), (Some(offset), ErrorKind::Parse), "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn xm_differs() {
        assert_eq!(Rate::from_xm("10Mb/s@20us").unwrap().to_string(), "25,20");
        for text in ["10Mb/s@20", "10Mb/s@20m", "10Mb/s@20u", "10mb/s", "100GB/s"] {
            assert!(Rate::from_xm(text).is_err(), "{text} was no limit at all");
        }
        // The number itself has no limit there.
        assert_eq!(Rate::from_xm("8589934592b/s").unwrap().bytes, 53_687_091);
    }

    #[test]
    fn netbacks_node_is_read() {
        for (text, offset) in
            [("", 0), ("1", 1), (",1", 0), ("1,", 2), ("1,2,3", 2), ("+1,2", 0), ("1, 2", 2), ("0,5", 0)]
        {
            let read = Rate::from_netback(text);
            match text {
                ",1" | "1," | "" => assert!(read.is_err(), "{text}"),
                _ => assert_eq!(read.unwrap_err().offset(), Some(offset), "{text}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[0-9]{0,22}[KMGk]?[Bb]?(/s)?@?[0-9]{0,12}[mus]{0,2}|\\PC{0,20}") {
            let _ = Rate::from_xm(&text);
            if let Ok(rate) = Rate::from_xl(&text) {
                prop_assert_eq!(Rate::from_netback(&rate.to_string()).unwrap(), Some(rate));
                prop_assert_eq!(Rate::from_xl(&rate.to_xl()).unwrap(), rate);
            }
        }
    }
}
