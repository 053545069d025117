//! A kernel that calls itself older than it is.

use nix::sys::personality::{self, Persona};

/// As long as it lives, the kernel tells the calling thread, and the programs that it starts, that it is
/// Linux 2.6 (personality(2), UNAME26). What it does is not changed by that.
#[derive(Debug)]
pub struct OldKernel(Persona);

impl OldKernel {
    /// From now on.
    pub fn pretend() -> OldKernel {
        let before = personality::get().unwrap();
        personality::set(before | Persona::UNAME26).unwrap();
        OldKernel(before)
    }
}

impl Drop for OldKernel {
    fn drop(&mut self) {
        personality::set(self.0).unwrap();
    }
}
