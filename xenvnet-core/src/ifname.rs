//! Interface names, proven once.

use crate::error::{Error, ErrorKind, Result};
use crate::text::quoted;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A name that the kernel accepts for a network interface: 1 to 15 bytes of printable ASCII or
/// UTF-8, no `/`, no `:`, no `%`, no white space or control character, not `.` or `..`.
///
/// The limits are those of `dev_valid_name()` and `IFNAMSIZ` in the kernel. Beyond them, `%` is
/// refused because the kernel would read it as a pattern (`eth%d`), and control characters are
/// refused because names end up in logs.
///
/// ```
/// use xenvnet_core::IfName;
/// let bridge: IfName = "xenbr0".parse()?;
/// assert_eq!(bridge.as_str(), "xenbr0");
/// assert!("a name".parse::<IfName>().is_err());
/// # Ok::<(), xenvnet_core::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
#[doc(alias = "IFNAMSIZ")]
pub struct IfName {
    /// Padded with NUL, as the kernel and nf_tables hold it.
    bytes: [u8; IfName::SIZE],
}

impl IfName {
    /// The longest name, in bytes.
    ///
    /// ```
    /// assert_eq!(xenvnet_core::IfName::MAX_LEN, 15);
    /// ```
    pub const MAX_LEN: usize = 15;

    /// The kernel's buffer: the longest name and its NUL.
    pub(crate) const SIZE: usize = 16;

    /// Checks a name.
    ///
    /// # Errors
    /// [`ErrorKind::Parse`] with the offset of the first byte that is not allowed.
    ///
    /// ```
    /// use xenvnet_core::IfName;
    /// assert_eq!(IfName::new("vif1.0")?.as_str(), "vif1.0");
    /// assert_eq!(IfName::new("a/b").unwrap_err().offset(), Some(1));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn new(name: &str) -> Result<IfName> {
        let wrong = |offset: usize, why: &str| {
            Err(Error::invalid(ErrorKind::Parse, format!("interface name {} {why}", quoted(name))).at(offset))
        };
        if name.is_empty() {
            return wrong(0, "is empty");
        }
        if name.len() > Self::MAX_LEN {
            // Where the letter begins that does not fit.
            let fits = |(at, letter): &(usize, char)| at + letter.len_utf8() <= Self::MAX_LEN;
            let offset = name.char_indices().take_while(fits).map(|(at, letter)| at + letter.len_utf8()).last();
            return wrong(
                offset.unwrap_or(0),
                &format!("is {} bytes, the kernel's limit is {}", name.len(), Self::MAX_LEN),
            );
        }
        if name == "." || name == ".." {
            return wrong(0, "is a directory's name, which the kernel refuses");
        }
        for (offset, c) in name.char_indices() {
            if matches!(c, '/' | ':' | '%') || c.is_whitespace() || c.is_control() {
                return wrong(offset, &format!("has {c:?} at byte {offset}, which is not allowed in a name"));
            }
        }
        let mut bytes = [0; Self::SIZE];
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        Ok(IfName { bytes })
    }

    /// The name as text.
    ///
    /// ```
    /// assert_eq!("eth0".parse::<xenvnet_core::IfName>()?.as_str(), "eth0");
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn as_str(&self) -> &str {
        let len = self.bytes.iter().position(|b| *b == 0).unwrap_or(Self::SIZE);
        std::str::from_utf8(&self.bytes[..len]).unwrap_or_default()
    }

    /// The name padded with NUL to 16 bytes: the key that nf_tables compares.
    pub(crate) fn padded(&self) -> [u8; IfName::SIZE] {
        self.bytes
    }
}

impl IfName {
    /// The name with a letter before it, as the cards of shadows have it; an error where that is too long.
    pub(crate) fn lettered(self, letter: char) -> Result<IfName> {
        IfName::new(&format!("{letter}{self}"))
    }

    /// What Xen appends to the name of a vif for the tap of the emulated card of the same guest.
    const EMULATED: &str = "-emu";

    /// Whether it is a name for an emulated card's tap.
    pub(crate) fn is_emulated(self) -> bool {
        self.as_str().len() > Self::EMULATED.len() && self.as_str().ends_with(Self::EMULATED)
    }

    /// The name that the other port of the same card would have; `None` where it would be too long.
    pub(crate) fn twin(self) -> Option<IfName> {
        match self.as_str().strip_suffix(Self::EMULATED) {
            Some(native) => IfName::new(native).ok(),
            None => IfName::new(&format!("{self}{}", Self::EMULATED)).ok(),
        }
    }
}

impl FromStr for IfName {
    type Err = Error;

    fn from_str(name: &str) -> Result<IfName> {
        IfName::new(name)
    }
}

impl TryFrom<String> for IfName {
    type Error = Error;

    fn try_from(name: String) -> Result<IfName> {
        IfName::new(&name)
    }
}

impl From<IfName> for String {
    fn from(name: IfName) -> String {
        name.as_str().to_owned()
    }
}

impl AsRef<str> for IfName {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IfName({:?})", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn fifteen_bytes_fit_and_sixteen_do_not() {
        assert!(IfName::new("abcdefghijklmno").is_ok());
        let error = IfName::new("abcdefghijklmnop").unwrap_err();
        assert_eq!(error.to_string(), "interface name \"abcdefghijklmnop\" is 16 bytes, the kernel's limit is 15");
        assert_eq!((error.kind(), error.offset()), (ErrorKind::Parse, Some(15)));
        // The letter that does not fit begins earlier.
        assert_eq!(IfName::new("abcdefghijklm\u{2013}").unwrap_err().offset(), Some(13));
    }

    #[test]
    fn what_the_kernel_refuses_is_refused() {
        for name in ["", ".", "..", "a/b", "a b", "a\tb", "a:0", "eth%d", "a\nb", "a\0b", "\u{a0}x"] {
            assert!(IfName::new(name).is_err(), "{name:?}");
        }
        for name in ["vif1.0", "vif1.0-emu", "é", "a.", "..."] {
            assert!(IfName::new(name).is_ok(), "{name:?}");
        }
    }

    proptest! {
        #[test]
        fn printing_and_parsing_agree(name in "\\PC{0,20}") {
            if let Ok(parsed) = IfName::new(&name) {
                prop_assert_eq!(parsed.as_str(), name.as_str());
                prop_assert_eq!(parsed.to_string().parse::<IfName>().unwrap(), parsed);
            }
        }
    }
}
