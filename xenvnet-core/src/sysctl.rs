//! Kernel settings below `/proc/sys/net`, in the namespace in which the directory was opened.

use crate::snapshot::Sysctl;
use crate::text::quoted;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// Descriptors of the two directories. Unlike their paths they keep the namespace that they were
/// opened in; one of `/proc/sys/net` itself would not: what lies below it is looked up anew by
/// whoever asks.
#[derive(Debug)]
pub(crate) struct Sysctls {
    ipv4: OwnedFd,
    /// `None` on a kernel without IPv6.
    ipv6: Option<OwnedFd>,
}

impl Sysctls {
    pub(crate) fn open() -> io::Result<Sysctls> {
        let directory = |path: &str| {
            let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
            open(path, flags, Mode::empty())
        };
        Ok(Sysctls { ipv4: directory("/proc/sys/net/ipv4")?, ipv6: directory("/proc/sys/net/ipv6").ok() })
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.ipv6.is_some()
    }

    fn file(&self, sysctl: Sysctl, flags: OFlag) -> io::Result<File> {
        let (family, path) = sysctl.path().split_once('/').unwrap_or_default();
        let directory = match family {
            "ipv4" => &self.ipv4,
            _ => self.ipv6.as_ref().ok_or(io::ErrorKind::NotFound)?,
        };
        Ok(File::from(openat(directory, path, flags | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    pub(crate) fn read(&self, sysctl: Sysctl) -> io::Result<u32> {
        let mut text = String::new();
        self.file(sysctl, OFlag::O_RDONLY)?.read_to_string(&mut text)?;
        text.trim().parse().map_err(|_| io::Error::other(format!("{} is no number", quoted(text.trim()))))
    }

    pub(crate) fn write(&self, sysctl: Sysctl, value: u32) -> io::Result<()> {
        self.file(sysctl, OFlag::O_WRONLY)?.write_all(value.to_string().as_bytes())
    }
}
