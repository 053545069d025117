//! Where the targets play that drive a whole host: a network namespace of this process's own, as what
//! is written to kernel settings is written to the real ones.

use nix::sched::{CloneFlags, unshare};

/// Moves the calling thread, the only one, to a network namespace with nothing in it.
pub fn set() {
    let apart = unshare(CloneFlags::CLONE_NEWNET)
        .or_else(|_| unshare(CloneFlags::CLONE_NEWUSER.union(CloneFlags::CLONE_NEWNET)));
    apart.expect("a network namespace of its own is needed");
}
