//! Kernel settings below `/proc/sys/net`, in the namespace in which the directory was opened.

use crate::snapshot::Sysctl;
use nix::fcntl::{OFlag, open, openat};
use nix::sys::stat::Mode;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

/// A descriptor of the directory: unlike its path, it keeps the namespace that it was opened in.
#[derive(Debug)]
pub(crate) struct Sysctls {
    directory: OwnedFd,
    /// Whether this kernel has IPv6.
    pub(crate) ipv6: bool,
}

impl Sysctls {
    pub(crate) fn open() -> io::Result<Sysctls> {
        let flags = OFlag::O_DIRECTORY | OFlag::O_RDONLY | OFlag::O_CLOEXEC;
        let directory = open("/proc/sys/net", flags, Mode::empty())?;
        let mut sysctls = Sysctls { directory, ipv6: false };
        sysctls.ipv6 = sysctls.read(Sysctl::Ip6Forward).is_ok();
        Ok(sysctls)
    }

    fn file(&self, sysctl: Sysctl, flags: OFlag) -> io::Result<File> {
        Ok(File::from(openat(&self.directory, sysctl.path(), flags | OFlag::O_CLOEXEC, Mode::empty())?))
    }

    pub(crate) fn read(&self, sysctl: Sysctl) -> io::Result<u32> {
        let mut text = String::new();
        self.file(sysctl, OFlag::O_RDONLY)?.read_to_string(&mut text)?;
        text.trim().parse().map_err(|_| io::Error::other(format!("\"{}\" is no number", text.trim().escape_debug())))
    }

    pub(crate) fn write(&self, sysctl: Sysctl, value: u32) -> io::Result<()> {
        self.file(sysctl, OFlag::O_WRONLY)?.write_all(value.to_string().as_bytes())
    }
}
