//! The host: the handle that every change goes through.

use crate::boundary::{Result, bytes, call, free, known};
use crate::error::xenvnet_error;
use crate::plan::xenvnet_plan;
use crate::report::xenvnet_report;
use crate::verbs::verb;
use std::ffi::{OsStr, c_char, c_int, c_uint};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;
use std::time::Duration;
use xenvnet_core::{ErrorKind, Host, Operation, Outcome};

/// A host, or one network namespace of it: sockets to the kernel, opened once and kept. Threads: any
/// number may use it at once, and their calls wait for each other; only xenvnet_free() must be
/// alone. After a fork() it serves both processes: with a state directory they share its sockets,
/// under a lock that keeps them apart; without one the child's first call opens its own. Never
/// fork while another thread is inside a call: the child could not use it.
pub struct xenvnet {
    /// A sentinel has its share.
    pub(crate) host: Arc<Host>,
}

const _: () = {
    const fn any_number_of_threads<T: Send + Sync>() {}
    any_number_of_threads::<xenvnet>();
};

/// Opens this host, in the network namespace of the calling thread, with the state directory
/// /run/xenvnet for root and none for others.
///
/// `host`: owned, xenvnet_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_new(host: *mut *mut xenvnet, error: *mut *mut xenvnet_error) -> c_int {
    call(error, || {
        let place = out!(host);
        place.give(xenvnet { host: Arc::new(Host::open()?) });
        Ok(())
    })
}

/// Opens this host elsewhere. `netns` is a descriptor of a network namespace (/run/netns/NAME or
/// /proc/PID/ns/net), or -1 for the one of the calling thread; no thread of the program is moved.
/// `state_dir`, any bytes but NUL, keeps the lock that processes share and the journal that
/// xenvnet_undo() reads; NULL for that of xenvnet_new(). Without one, processes do not wait for
/// each other and nothing can be undone after a crash.
///
/// `netns`: borrowed until the call returns.
/// `host`: owned, xenvnet_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_new_in(
    netns: c_int,
    state_dir: *const c_char,
    host: *mut *mut xenvnet,
    error: *mut *mut xenvnet_error,
) -> c_int {
    open(netns, state_dir, 0, host, error)
}

/// For xenvnet_new_with(): an uplink is taken over also where the root file system is on the network
/// and may be reached by it. Nothing is lost as a rule, but where something goes wrong, nobody can run
/// what would mend it; see xenvnet_run_json_provisionally().
pub const XENVNET_EVEN_WITH_NETWORK_ROOT: c_uint = 1;

/// Opens this host as xenvnet_new_in() does, and dares what these flags say: 0, or
/// XENVNET_EVEN_WITH_NETWORK_ROOT. Fails with XENVNET_ERROR_UNSUPPORTED for a flag that this version
/// does not know.
///
/// `netns`: borrowed until the call returns.
/// `host`: owned, xenvnet_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_new_with(
    netns: c_int,
    state_dir: *const c_char,
    flags: c_uint,
    host: *mut *mut xenvnet,
    error: *mut *mut xenvnet_error,
) -> c_int {
    open(netns, state_dir, flags, host, error)
}

fn open(
    netns: c_int,
    state_dir: *const c_char,
    flags: c_uint,
    host: *mut *mut xenvnet,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(host);
        let [dares] = known(flags, [XENVNET_EVEN_WITH_NETWORK_ROOT])?;
        let mut options = Host::options().even_with_network_root(dares);
        if netns != -1 {
            options = options.netns(duplicate(netns)?);
        }
        if !state_dir.is_null() {
            options = options.state_dir(OsStr::from_bytes(bytes(state_dir, "state_dir")?));
        }
        place.give(xenvnet { host: Arc::new(options.open()?) });
        Ok(())
    })
}

/// The library closes what it is given to keep, so it keeps a duplicate.
fn duplicate(netns: c_int) -> Result<std::os::fd::OwnedFd> {
    let refuse = |why: &dyn std::fmt::Display| {
        xenvnet_error::of(
            ErrorKind::InvalidArgument,
            format!("cannot open the network namespace of descriptor {netns}: {why}"),
        )
    };
    if netns < 0 {
        return Err(refuse(&"a descriptor is 0 or more, and -1 stands for the namespace of the calling thread"));
    }
    // SAFETY: not -1. That it is open is the caller's promise, and if it is broken the kernel only
    // refuses the duplicate: nothing else is done with it.
    let descriptor = unsafe { BorrowedFd::borrow_raw(netns) };
    descriptor.try_clone_to_owned().map_err(|error| refuse(&error).with_errno(error.raw_os_error()))
}

/// Closes a host; what was set up stays. NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_free(host: *mut xenvnet) {
    free(host);
}

/// Reads everything that this library knows of the host: bridges, ports, guests, locks, dropped
/// frames, routes, masquerading, networks; a JSON object. Its keys:
///
///     links, addresses, routes   interfaces, and what leads to them
///     tables                     our nf_tables tables: bridge, netdev, inet, dom0, untracked,
///                                forwards, accounts, routed_accounts
///     guards, ingress            locks by interface: in table bridge; and in table netdev, where
///                                frames come in. A routed vif is in the second, a port whose
///                                guest has an emulated card too is in both
///     hooks                      interfaces whose frames visit table netdev
///     dom0                       what guests reach on dom0, by interface, where it is not open
///     untracked                  guests whose bridged packets dom0 does not track
///     drops                      frames by vif, reason and table. A guest that is held in two
///                                tables may be counted in each: add them up. The reasons: mac,
///                                arp, ip4, ip6, dhcp, nd, ethertype, unguarded (not locked
///                                under its name of now), dom0 (to dom0, and not let in)
///     masquerades, forwards      what leaves with dom0's address, and ports of dom0 that lead to
///                                guests
///     networks                   those that run, by bridge or port ("xenbr0") or, of one without
///                                either, by kind and uplink ("route:eth0", "nat:eth0"); with
///                                each, the settings that it changed as they were before
///     accounts                   traffic that is counted, by the name of the guest's interface,
///                                whether that is there or not: {index, routed, sent, received},
///                                sent and received {packets, bytes} without the Ethernet header;
///                                the index, from 1, stays
///     sysctls
///
/// A key of a feature that is not used may be missing.
///
/// `json`: owned, xenvnet_string_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_snapshot_json(
    host: *const xenvnet,
    json: *mut *mut c_char,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(json);
        let snapshot = borrow!(host).host.snapshot()?;
        place.give_text(crate::string::to_json(&snapshot)?);
        Ok(())
    })
}

/// Waits until an interface has its carrier, at most this long; `has_carrier` is false where it has
/// none by then. Other calls do not wait for this one.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_wait_for_carrier(
    host: *const xenvnet,
    interface: *const c_char,
    milliseconds: u64,
    has_carrier: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(has_carrier);
        let host = &borrow!(host).host;
        place.set(host.wait_for_carrier(parse!(interface), Duration::from_millis(milliseconds))?);
        Ok(())
    })
}

/// Says what operations would change, one after the other; changes nothing. The plan is empty when
/// all is so already. `operations_json` is one operation or an array of them, each an object with
/// one key, the verb:
///
///     [{"create_bridge": {"name": "xenbr0"}},
///      {"enslave_vif": {"vif": "vif1.0", "bridge": "xenbr0"}}]
///
/// `plan`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_json(
    host: *const xenvnet,
    operations_json: *const c_char,
    plan: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(plan);
        let host = borrow!(host);
        let operations = Operation::from_json(text!(operations_json))?;
        place.give(xenvnet_plan { plan: host.host.plan(&operations)? });
        Ok(())
    })
}

/// Plans operations and carries them out under one lock, all or nothing. `operations_json` as in
/// xenvnet_plan_json().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_run_json(
    host: *const xenvnet,
    operations_json: *const c_char,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.run_all(&Operation::from_json(text!(operations_json))?)?))
}

/// Carries a plan out, all or nothing: when a step fails, those before it are put back. A plan that
/// was made earlier acts on the interfaces that have those names now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_apply(
    host: *const xenvnet,
    plan: *const xenvnet_plan,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.apply(&borrow!(plan).plan)?))
}

/// Whether the kernel still holds what was asked for: everything is read back and compared with
/// what the state directory remembers, or, where it remembers nothing, with what the locks say
/// themselves. Changes nothing.
///
/// `report`: owned, xenvnet_report_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_verify(
    host: *const xenvnet,
    report: *mut *mut xenvnet_report,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(report);
        place.give(xenvnet_report::new(borrow!(host).host.verify()?));
        Ok(())
    })
}

/// Mends what xenvnet_verify() finds, as far as it can be mended, all or nothing. The report is of
/// what was found before; xenvnet_verify() tells what is left.
///
/// `report`: owned, xenvnet_report_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_repair(
    host: *const xenvnet,
    report: *mut *mut xenvnet_report,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| {
        let place = out!(report);
        let report = host.repair()?;
        let outcome = if report.repair.is_empty() { Outcome::Unchanged } else { Outcome::Changed };
        place.give(xenvnet_report::new(report));
        Ok(outcome)
    })
}

/// Puts back the last change that was made through this state directory, by whatever process: all of
/// it or nothing; one that was cut off in the middle as far as it went. Fails with
/// XENVNET_ERROR_NOT_FOUND when there is none, with XENVNET_ERROR_CONFLICT where the host was changed
/// since so that others' work would be undone as well, with XENVNET_ERROR_STATE where the host has no
/// state directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_undo(
    host: *const xenvnet,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.undo()?))
}

/// Leaves what was cut off in the middle as it is: nobody puts it back any more, neither xenvnet_undo()
/// nor the next change, which does so otherwise. Fails with XENVNET_ERROR_STATE where the host has no
/// state directory.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_forget_cut_off(
    host: *const xenvnet,
    changed: *mut bool,
    error: *mut *mut xenvnet_error,
) -> c_int {
    verb(host, changed, error, |host| Ok(host.forget_cut_off()?))
}

/// Says what xenvnet_undo() would do; changes nothing. Fails as that does.
///
/// `plan`: owned, xenvnet_plan_free().
#[unsafe(no_mangle)]
pub unsafe extern "C" fn xenvnet_plan_undo(
    host: *const xenvnet,
    plan: *mut *mut xenvnet_plan,
    error: *mut *mut xenvnet_error,
) -> c_int {
    call(error, || {
        let place = out!(plan);
        place.give(xenvnet_plan { plan: borrow!(host).host.plan_undo()? });
        Ok(())
    })
}
