//! One error type for the whole library, and the one table of error kinds.
//!
//! # Design
//! A caller wants two things of an error: to *branch* on it, and to *show* it.
//! [`ErrorKind`] serves the first and is the single list behind the C codes and the Python
//! classes; the text serves the second and always has the form
//! *cannot VERB OBJECT: REASON (kernel: WORDS)*. One line of [advice](Error::advice) follows
//! where something useful is known. The type is opaque, so that a new fact can be added to it
//! without breaking anybody.

use std::fmt;

/// The result of every fallible call of this crate.
///
/// ```
/// fn parse(s: &str) -> xenvnet_core::Result<xenvnet_core::IfName> {
///     s.parse()
/// }
/// assert!(parse("xenbr0").is_ok());
/// ```
pub type Result<T, E = Error> = std::result::Result<T, E>;

macro_rules! error_kinds {
    ($( $(#[$doc:meta])* $variant:ident = $code:literal, $name:literal, $python:literal; )*) => {
        /// What sort of failure an [`Error`] is: the column that programs branch on.
        ///
        /// ```
        /// use xenvnet_core::{ErrorKind, IfName};
        /// let error = "a/b".parse::<IfName>().unwrap_err();
        /// assert_eq!(error.kind(), ErrorKind::Parse);
        /// assert_eq!(ErrorKind::from_code(error.kind().code()), Some(ErrorKind::Parse));
        /// ```
        #[non_exhaustive]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum ErrorKind { $( $(#[$doc])* $variant, )* }

        impl ErrorKind {
            /// Every kind, in the order of their codes.
            ///
            /// ```
            /// assert!(xenvnet_core::ErrorKind::ALL.len() > 8);
            /// ```
            pub const ALL: &'static [ErrorKind] = &[ $( ErrorKind::$variant, )* ];

            /// The number that the C interface returns for this kind. Numbers are never used again.
            ///
            /// ```
            /// assert_eq!(xenvnet_core::ErrorKind::Parse.code(), 1);
            /// ```
            pub const fn code(self) -> i32 { match self { $( ErrorKind::$variant => $code, )* } }

            /// The kind's name in snake case, as in JSON and in `XENVNET_ERROR_<NAME>`.
            ///
            /// ```
            /// assert_eq!(xenvnet_core::ErrorKind::NotFound.name(), "not_found");
            /// ```
            pub const fn name(self) -> &'static str { match self { $( ErrorKind::$variant => $name, )* } }

            /// The name of the exception class that the Python module raises.
            ///
            /// ```
            /// assert_eq!(xenvnet_core::ErrorKind::NotFound.python_class(), "NotFoundError");
            /// ```
            pub const fn python_class(self) -> &'static str { match self { $( ErrorKind::$variant => $python, )* } }
        }
    };
}

error_kinds! {
    /// A text could not be read; [`Error::offset`] says where.
    Parse = 1, "parse", "ParseError";
    /// A value is well-formed but cannot be meant: a multicast MAC for a guest, say.
    InvalidArgument = 2, "invalid_argument", "InvalidArgumentError";
    /// An interface, bridge or namespace that was named is not there.
    NotFound = 3, "not_found", "NotFoundError";
    /// Something else has this name already.
    AlreadyExists = 4, "already_exists", "AlreadyExistsError";
    /// The kernel or another process is using the object; trying again may help.
    Busy = 5, "busy", "BusyError";
    /// The caller lacks a privilege; the advice names it.
    Permission = 6, "permission", "PermissionDeniedError";
    /// This kernel, or this version of the library, cannot do it.
    Unsupported = 7, "unsupported", "UnsupportedError";
    /// It contradicts what is there: two guests with one MAC, a foreign table of our name.
    Conflict = 8, "conflict", "ConflictError";
    /// The kernel refused for another reason; [`Error::errno`] has its number.
    Kernel = 9, "kernel", "KernelError";
    /// A step failed, and putting back what was there failed as well.
    Undo = 10, "undo", "UndoError";
    /// A file or directory of the library's own state could not be read or written.
    State = 11, "state", "StateError";
    /// A fault in this library; please report it.
    Internal = 12, "internal", "InternalError";
}

impl ErrorKind {
    /// The kind with this number, if there is one.
    ///
    /// ```
    /// use xenvnet_core::ErrorKind;
    /// assert_eq!(ErrorKind::from_code(8), Some(ErrorKind::Conflict));
    /// assert_eq!(ErrorKind::from_code(0), None);
    /// ```
    pub fn from_code(code: i32) -> Option<ErrorKind> {
        Self::ALL.iter().copied().find(|kind| kind.code() == code)
    }

    /// The kind that an errno of the kernel stands for when nothing more is known.
    pub(crate) fn from_errno(errno: i32) -> ErrorKind {
        use nix::libc;
        match errno {
            libc::EPERM | libc::EACCES => ErrorKind::Permission,
            libc::ENODEV | libc::ENOENT | libc::ENXIO => ErrorKind::NotFound,
            libc::EEXIST => ErrorKind::AlreadyExists,
            libc::EBUSY | libc::EAGAIN => ErrorKind::Busy,
            libc::EOPNOTSUPP | libc::EPROTONOSUPPORT | libc::EAFNOSUPPORT => ErrorKind::Unsupported,
            _ => ErrorKind::Kernel,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Why a call failed: one sentence for people, a [kind](Error::kind) for programs.
///
/// ```
/// use xenvnet_core::IfName;
/// let error = "wiki.xen.prgmr.com".parse::<IfName>().unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     r#"interface name "wiki.xen.prgmr.com" is 18 bytes, the kernel's limit is 15"#
/// );
/// ```
#[derive(Debug, thiserror::Error)]
#[error("{}", self.0.sentence())]
pub struct Error(Box<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ErrorKind,
    /// "cannot enslave vif3.0 to xenbr0", or empty for errors of values.
    what: String,
    reason: String,
    errno: Option<i32>,
    kernel_words: Option<String>,
    advice: Option<String>,
    offset: Option<usize>,
    also: Vec<Error>,
}

impl Inner {
    fn sentence(&self) -> String {
        let mut text = String::new();
        if !self.what.is_empty() {
            text = format!("cannot {}: ", self.what);
        }
        text.push_str(&self.reason);
        if let Some(words) = self.words() {
            text.push_str(&format!(" (kernel: {words})"));
        }
        for other in &self.also {
            text.push_str(&format!("; and {other}"));
        }
        text
    }

    fn words(&self) -> Option<String> {
        match (&self.kernel_words, self.errno) {
            (Some(words), _) => Some(words.clone()),
            (None, Some(errno)) => Some(nix::errno::Errno::from_raw(errno).desc().to_owned()),
            (None, None) => None,
        }
    }
}

impl Error {
    /// An error of an operation: *cannot `what`: `reason`*.
    pub(crate) fn cannot(kind: ErrorKind, what: impl Into<String>, reason: impl Into<String>) -> Error {
        Error(Box::new(Inner {
            kind,
            what: what.into(),
            reason: reason.into(),
            errno: None,
            kernel_words: None,
            advice: None,
            offset: None,
            also: Vec::new(),
        }))
    }

    /// An error of a value: the sentence stands alone.
    pub(crate) fn invalid(kind: ErrorKind, sentence: impl Into<String>) -> Error {
        Error::cannot(kind, "", sentence)
    }

    /// An answer of the kernel to something that was asked of it.
    pub(crate) fn kernel(
        what: impl Into<String>,
        reason: impl Into<String>,
        errno: i32,
        words: Option<String>,
    ) -> Error {
        let kind = ErrorKind::from_errno(errno);
        let mut error = Error::cannot(kind, what, reason);
        error.0.errno = Some(errno);
        error.0.kernel_words = words.filter(|words| !words.is_empty());
        if kind == ErrorKind::Permission {
            error = error.with_advice("run it as root or with CAP_NET_ADMIN in this network namespace");
        }
        error
    }

    pub(crate) fn with_advice(mut self, advice: impl Into<String>) -> Error {
        self.0.advice = Some(advice.into());
        self
    }

    pub(crate) fn with_kind(mut self, kind: ErrorKind) -> Error {
        self.0.kind = kind;
        self
    }

    pub(crate) fn with_errno(mut self, errno: i32) -> Error {
        self.0.errno = Some(errno);
        self
    }

    /// Adds to the reason.
    pub(crate) fn with_more(mut self, more: &str) -> Error {
        self.0.reason.push_str(more);
        self
    }

    pub(crate) fn at(mut self, offset: usize) -> Error {
        self.0.offset = Some(offset);
        self
    }

    /// Tells the place in a file, instead of that in a text which was taken out of it.
    pub(crate) fn in_file(self, offset: usize, line: usize) -> Error {
        self.placed(offset, format!(" at byte {offset}, line {line}"))
    }

    /// Tells the place in a text of this kind, of which it was a part that begins here.
    pub(crate) fn within(mut self, noun: &str, start: usize) -> Error {
        self.0.reason.insert_str(0, &format!("{noun}: "));
        let offset = start + self.0.offset.unwrap_or(0);
        self.placed(offset, format!(" at byte {offset}"))
    }

    fn placed(mut self, offset: usize, place: String) -> Error {
        let inner = self.0.offset.map(|inner| format!(" at byte {inner}"));
        // A reader names its byte once, near the end; what it quotes may name others.
        let told = inner.and_then(|inner| self.0.reason.rfind(&inner).map(|at| at..at + inner.len()));
        match told.filter(|told| !self.0.reason[told.end..].starts_with(|c: char| c.is_ascii_digit())) {
            Some(told) => self.0.reason.replace_range(told, &place),
            None => self.0.reason.push_str(&place),
        }
        self.at(offset)
    }

    /// Says what was being done, where a value or a lower layer could not know.
    pub(crate) fn doing(mut self, what: impl Into<String>) -> Error {
        if self.0.what.is_empty() {
            self.0.what = what.into();
        }
        self
    }

    pub(crate) fn and(mut self, others: Vec<Error>) -> Error {
        self.0.also.extend(others);
        self
    }

    /// The kind, for programs to branch on.
    ///
    /// ```
    /// # use xenvnet_core::{ErrorKind, MacAddr};
    /// let error = "00:16:3e".parse::<MacAddr>().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Parse);
    /// ```
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The kernel's errno, where the kernel refused.
    ///
    /// ```
    /// # use xenvnet_core::MacAddr;
    /// assert_eq!("00:16:3e".parse::<MacAddr>().unwrap_err().errno(), None);
    /// ```
    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    /// The kernel's own words: its extended-ACK text, else the errno's.
    ///
    /// ```
    /// # use xenvnet_core::MacAddr;
    /// assert_eq!("00:16:3e".parse::<MacAddr>().unwrap_err().kernel_words(), None);
    /// ```
    pub fn kernel_words(&self) -> Option<String> {
        self.0.words()
    }

    /// One line on what to do about it, where something useful is known.
    ///
    /// ```
    /// # use xenvnet_core::Antispoof;
    /// let error = Antispoof::new("00:16:3e:00:00:01".parse()?)
    ///     .ip("10.0.0.5/24".parse().unwrap())
    ///     .validate()
    ///     .unwrap_err();
    /// assert_eq!(error.advice(), Some("write 10.0.0.5 for the one address, 10.0.0.0/24 for the prefix"));
    /// # Ok::<(), xenvnet_core::Error>(())
    /// ```
    pub fn advice(&self) -> Option<&str> {
        self.0.advice.as_deref()
    }

    /// The byte in the text at which reading failed, counted from 0.
    ///
    /// ```
    /// # use xenvnet_core::MacAddr;
    /// assert_eq!("00:16:3e:xx:00:01".parse::<MacAddr>().unwrap_err().offset(), Some(9));
    /// ```
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// Further failures: what else went wrong while the first one was being put back.
    ///
    /// ```
    /// # use xenvnet_core::MacAddr;
    /// assert!("00:16:3e".parse::<MacAddr>().unwrap_err().also().is_empty());
    /// ```
    pub fn also(&self) -> &[Error] {
        &self.0.also
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_are_unique_and_found_again() {
        for (n, kind) in ErrorKind::ALL.iter().enumerate() {
            assert_eq!(kind.code(), n as i32 + 1, "numbers are never reused or left out");
            assert_eq!(ErrorKind::from_code(kind.code()), Some(*kind));
        }
        let names: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|k| k.name()).collect();
        assert_eq!(names.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn the_sentence_has_the_kernels_words_last() {
        let error = Error::kernel("enslave vif3.0 to xenbr0", "the kernel refused", 16, None);
        assert_eq!(
            error.to_string(),
            "cannot enslave vif3.0 to xenbr0: the kernel refused (kernel: Device or resource busy)"
        );
        assert_eq!(error.kind(), ErrorKind::Busy);
    }

    #[test]
    fn both_failures_are_told() {
        let error = Error::cannot(ErrorKind::Undo, "start the network", "a").and(vec![Error::cannot(
            ErrorKind::Kernel,
            "release vif1.0",
            "b",
        )]);
        assert_eq!(error.to_string(), "cannot start the network: a; and cannot release vif1.0: b");
    }
}
