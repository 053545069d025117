//! What cannot be done: the kind, the words, the advice, and a host that is as it was.

use crate::matrix::{OWN, lock};
use crate::proof::{bridge_by_ip, name};
use xenvnet_core::transport::{self, Protocol};
use xenvnet_core::{
    Antispoof, Attachment, Bridge, Error, ErrorKind, Forward, Host, IfName, Lock, MacAddr, Masquerade, Network,
    Operation, Outcome, Result,
};
use xenvnet_tests::{Dom0, Dump, ip, nft, run_attach_once};

/// The call fails with this kind and these words, and nothing is changed by it.
#[track_caller]
fn refused(kind: ErrorKind, words: &str, call: impl FnOnce() -> Result<Outcome>) -> Error {
    let before = Dump::take();
    let error = call().unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (kind, words));
    Dump::take().assert_same(&before, &format!("after: {words}"));
    error
}

#[test]
fn names_that_the_kernel_has_no_room_for() {
    for (text, words, offset) in [
        ("abcdefghijklmnop", "interface name \"abcdefghijklmnop\" is 16 bytes, the kernel's limit is 15", 15),
        ("a/b", "interface name \"a/b\" has '/' at byte 1, which is not allowed in a name", 1),
        ("", "interface name \"\" is empty", 0),
    ] {
        let error = text.parse::<IfName>().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Parse, words));
        assert_eq!(error.offset(), Some(offset));
    }
    // The longest one that fits is a name of the kernel's too.
    let Some(dom0) = Dom0::enter() else { return };
    dom0.host.create_bridge(&Bridge::new(name("abcdefghijklmno"))).unwrap();
    assert!(ip("link show").contains("abcdefghijklmno"));
}

#[test]
fn values_that_cannot_be_meant() {
    let Some(dom0) = Dom0::enter() else { return };
    let host = &dom0.host;
    bridge_by_ip("xenbr0");
    let vif_guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = vif_guest.name;
    let group: MacAddr = "01:00:5e:00:00:01".parse().unwrap();
    let invalid = ErrorKind::InvalidArgument;
    refused(invalid, "cannot create bridge xenbr1: 01:00:5e:00:00:01 is no unicast MAC address", || {
        host.create_bridge(&Bridge::new(name("xenbr1")).mac(group))
    });
    refused(invalid, "cannot create bridge xenbr1: an MTU of 20 bytes is out of the range 68 to 65535", || {
        host.create_bridge(&Bridge::new(name("xenbr1")).mtu(20))
    });
    refused(invalid, "cannot create bridge xenbr1: 10.0.0.0/24 is the network itself, not an address in it", || {
        host.create_bridge(&Bridge::new(name("xenbr1")).address("10.0.0.0/24".parse().unwrap()))
    });
    let error = refused(
        invalid,
        "cannot set antispoof on vif1.0: 01:00:5e:00:00:01 is no unicast MAC address; no guest can have it",
        || host.set_antispoof(vif, Antispoof::new(group)),
    );
    assert_eq!(error.advice(), Some("the second hexadecimal digit of a unicast MAC address is even"));
    let error = refused(invalid, "cannot attach vif1.0 to xenbr0: 10.0.0.5/24 has host bits set", || {
        let lock = Antispoof::new(OWN).ip("10.0.0.5/24".parse().unwrap());
        host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), lock))
    });
    assert_eq!(error.advice(), Some("write 10.0.0.5 for the one address, 10.0.0.0/24 for the prefix"));
    refused(invalid, "cannot attach vif1.0 to xenbr0: the name vif2.0 is that of another guest's interface", || {
        host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), lock()).rename(name("vif2.0")))
    });
    refused(invalid, "cannot masquerade 10.0.0.1/8: the subnet has host bits set", || {
        host.masquerade_subnet(&Masquerade::new("10.0.0.1/8".parse().unwrap()))
    });
    let error = "10.0.0.0/33".parse::<Masquerade>().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Parse);
    assert_eq!(error.to_string(), "\"10.0.0.0/33\" is no subnet: ADDRESS/PREFIX is wanted");
}

#[test]
fn an_uplink_by_which_nothing_leaves() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _outside = dom0.cable("peth0", "02:00:00:00:00:09");
    let rule = Masquerade::new("10.0.0.0/8".parse().unwrap()).uplink(name("peth0"));
    dom0.host.masquerade_subnet(&rule).unwrap();
    dom0.host.unmasquerade_subnet(&rule).unwrap();
    ip("link set peth0 master xenbr0");
    let error = refused(
        ErrorKind::InvalidArgument,
        "cannot masquerade 10.0.0.0/8 via peth0: peth0 is a port of xenbr0: what dom0 routes leaves by the bridge",
        || dom0.host.masquerade_subnet(&rule),
    );
    assert_eq!(error.advice(), Some("name the bridge: xenbr0"));
}

#[test]
fn interfaces_that_are_not_there() {
    let Some(dom0) = Dom0::enter() else { return };
    let host = &dom0.host;
    bridge_by_ip("xenbr0");
    let vif_guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = vif_guest.name;
    let (ghost, nowhere) = (name("vif9.9"), name("xenbr9"));
    let missing = ErrorKind::NotFound;
    refused(missing, "cannot enslave vif1.0 to xenbr9: no interface named xenbr9", || host.enslave_vif(vif, nowhere));
    refused(missing, "cannot enslave vif9.9 to xenbr0: no interface named vif9.9", || {
        host.enslave_vif(ghost, name("xenbr0"))
    });
    refused(missing, "cannot release vif9.9: no interface named vif9.9", || host.release_vif(ghost));
    refused(missing, "cannot set antispoof on vif9.9: no interface named vif9.9", || host.set_antispoof(ghost, lock()));
    refused(missing, "cannot attach vif9.9 to xenbr0: no interface named vif9.9", || {
        host.attach_vif(&Attachment::bridged(ghost, name("xenbr0"), lock()))
    });
    refused(missing, "cannot attach vif1.0 to xenbr9: no interface named xenbr9", || {
        host.attach_vif(&Attachment::bridged(vif, nowhere, lock()))
    });
}

#[test]
fn what_contradicts_what_is_there() {
    let Some(dom0) = Dom0::enter() else { return };
    let host = &dom0.host;
    bridge_by_ip("xenbr0");
    bridge_by_ip("xenbr1");
    let one_guest = dom0.guest("vif1.0", &OWN.to_string());
    let one = one_guest.name;
    let two_guest = dom0.guest("vif2.0", "00:16:3e:00:00:02");
    let two = two_guest.name;
    let _taken = dom0.cable("web", "02:00:00:00:00:09");
    host.enslave_vif(one, name("xenbr0")).unwrap();
    let error = refused(ErrorKind::Conflict, "cannot enslave vif1.0 to xenbr1: vif1.0 is a port of xenbr0", || {
        host.enslave_vif(one, name("xenbr1"))
    });
    assert_eq!(error.advice(), Some("release it first: xenvnet bridge release vif1.0"));
    refused(ErrorKind::Conflict, "cannot attach vif1.0 to xenbr1: vif1.0 is a port of xenbr0", || {
        host.attach_vif(&Attachment::bridged(one, name("xenbr1"), lock()))
    });
    refused(
        ErrorKind::AlreadyExists,
        "cannot attach vif2.0 to xenbr0: the name web is taken by another interface",
        || host.attach_vif(&Attachment::bridged(two, name("xenbr0"), lock()).rename(name("web"))),
    );
    refused(
        ErrorKind::AlreadyExists,
        "cannot create bridge web: an interface of that name is there already, and it is no bridge",
        || host.create_bridge(&Bridge::new(name("web"))),
    );
    refused(ErrorKind::InvalidArgument, "cannot delete bridge web: web is no bridge", || {
        host.delete_bridge(name("web"))
    });
    refused(ErrorKind::InvalidArgument, "cannot enslave vif2.0 to web: web is no bridge", || {
        host.enslave_vif(two, name("web"))
    });
    refused(ErrorKind::InvalidArgument, "cannot enslave xenbr1 to xenbr0: xenbr1 is a bridge itself", || {
        host.enslave_vif(name("xenbr1"), name("xenbr0"))
    });
}

#[test]
fn two_guests_with_one_mac() {
    let Some(dom0) = Dom0::enter() else { return };
    let host = &dom0.host;
    bridge_by_ip("xenbr0");
    let one_guest = dom0.guest("vif1.0", &OWN.to_string());
    let one = one_guest.name;
    let two_guest = dom0.guest("vif2.0", &OWN.to_string());
    let two = two_guest.name;
    host.attach_vif(&Attachment::bridged(one, name("xenbr0"), lock())).unwrap();
    let words = format!("cannot pin {OWN} to vif2.0: vif1.0 has that address on xenbr0");
    let error =
        refused(ErrorKind::Conflict, &words, || host.attach_vif(&Attachment::bridged(two, name("xenbr0"), lock())));
    assert_eq!(error.advice(), Some("two guests have one MAC address: give one of them another"));
}

#[test]
fn a_mac_that_was_merely_learned_elsewhere_is_taken_over() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let _uplink = dom0.cable("peth0", "02:00:00:00:00:09");
    ip("link set peth0 master xenbr0");
    // The guest was heard through the uplink before it moved to this host.
    ip("link set peth0 type bridge_slave learning on");
    xenvnet_tests::program("bridge", &["fdb", "add", &OWN.to_string(), "dev", "peth0", "master", "dynamic"]);
    let moved = dom0.guest("vif1.0", &OWN.to_string());
    dom0.host.attach_vif(&Attachment::bridged(moved.name, name("xenbr0"), lock())).unwrap();
    let fdb = xenvnet_tests::program("bridge", &["fdb", "show", "br", "xenbr0"]);
    assert!(fdb.lines().any(|line| line.starts_with(&format!("{OWN} dev vif1.0")) && line.contains("sticky")), "{fdb}");
    assert!(!fdb.lines().any(|line| line.starts_with(&format!("{OWN} dev peth0"))), "{fdb}");
}

#[test]
fn tables_of_our_name_that_are_not_ours() {
    let Some(dom0) = Dom0::enter() else { return };
    let host = &dom0.host;
    bridge_by_ip("xenbr0");
    let vif_guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = vif_guest.name;
    nft("add table bridge xenvnet");
    let error = refused(
        ErrorKind::Conflict,
        "cannot create table bridge xenvnet: there is a table bridge xenvnet that is not ours (kernel: File exists)",
        || host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), lock())),
    );
    assert_eq!(error.advice(), Some("look at it with: nft list table bridge xenvnet"));
    nft("delete table bridge xenvnet");
    nft("add table bridge xenvnet; add set bridge xenvnet guarded { type ifname; \
         comment \"layout 999: interfaces of guests\"; }");
    let error = refused(
        ErrorKind::Unsupported,
        "cannot set antispoof on vif1.0: table bridge xenvnet has layout 999, this version knows layout 3",
        || host.set_antispoof(vif, lock()),
    );
    assert_eq!(error.advice(), Some("use the version of xenvnet that made it"));
    nft("add table inet xenvnet");
    refused(
        ErrorKind::Conflict,
        "cannot create table inet xenvnet: there is a table inet xenvnet that is not ours (kernel: File exists)",
        || host.masquerade_subnet(&Masquerade::new("10.0.0.0/8".parse().unwrap())),
    );
}

#[test]
fn a_kernel_without_nf_tables() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let vif_guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = vif_guest.name;
    let open = |protocol| match protocol {
        Protocol::Netfilter => Err(std::io::Error::from_raw_os_error(93)), // EPROTONOSUPPORT
        other => transport::kernel(other),
    };
    let host = Host::options().state_dir(dom0.state.path()).transport(open).open().unwrap();
    let error =
        refused(ErrorKind::Unsupported, "cannot create table bridge xenvnet: this kernel has no nf_tables", || {
            host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), lock()))
        });
    assert!(error.advice().unwrap().contains("CONFIG_NF_TABLES_BRIDGE"));
    // What needs no filter works all the same.
    host.create_bridge(&Bridge::new(name("xenbr1"))).unwrap();
    host.enslave_vif(vif, name("xenbr1")).unwrap();
}

/// Whatever is asked for, by somebody who is root and has no CAP_NET_ADMIN: refused before anything is changed.
#[test]
fn without_the_privilege() {
    let Some(dom0) = Dom0::enter() else { return };
    let host = &dom0.host;
    let bridge = name("xenbr0");
    let _ = host.create_bridge(&Bridge::new(bridge)).unwrap();
    let [locked, free] = [("vif1.0", OWN), ("vif2.0", MacAddr::new([0, 0x16, 0x3e, 0, 0, 2]))]
        .map(|(vif, mac)| dom0.guest(vif, &mac.to_string()));
    let (vif, mac) = (free.name, free.mac);
    let subnet = Masquerade::new("10.0.0.0/8".parse().unwrap());
    let forward = Forward::new("tcp:8080".parse().unwrap(), "10.98.98.2:80".parse().unwrap());
    let network: Network = "network-virtual bridge=xenbr2 bridgeip=10.6.7.1/24".parse().unwrap();
    let _ = host.attach_vif(&Attachment::bridged(locked.name, bridge, lock()).accounted(true)).unwrap();
    let _ = host.masquerade_subnet(&subnet).unwrap();
    let _ = host.forward_port(&forward).unwrap();
    let _ = host.start_network(&network).unwrap();
    let other = Masquerade::new("172.16.0.0/12".parse().unwrap());
    let denied = "(kernel: Operation not permitted)";
    let unread = format!("nf_tables could not be read {denied}");
    let advice = "run it as root or with CAP_NET_ADMIN in this network namespace";
    for (operation, words) in [
        (Operation::CreateBridge(Bridge::new(name("xenbr1"))), format!("it takes a privilege {denied}")),
        (Operation::DeleteBridge { bridge }, unread.clone()),
        (Operation::EnslaveVif { vif, bridge }, unread.clone()),
        (Operation::ReleaseVif { vif: locked.name }, unread.clone()),
        (Operation::SetAntispoof { vif, lock: Antispoof::new(mac).into() }, unread.clone()),
        (Operation::ClearAntispoof { vif: locked.name }, unread.clone()),
        (Operation::MasqueradeSubnet(other), unread.clone()),
        (Operation::UnmasqueradeSubnet(subnet), unread.clone()),
        (Operation::ForwardPort(Forward::new("tcp:81".parse().unwrap(), forward.to)), unread.clone()),
        (Operation::UnforwardPort { port: forward.port }, unread.clone()),
        (Operation::AttachVif(Attachment::bridged(vif, bridge, Antispoof::new(mac))), unread.clone()),
        (Operation::AttachVif(Attachment::routed(vif, Antispoof::new(mac))), unread.clone()),
        (Operation::DetachVif { vif: locked.name }, unread.clone()),
        (Operation::SetDom0 { interface: bridge, access: "closed".parse().unwrap() }, unread.clone()),
        (Operation::ForgetAccount { name: locked.name }, unread.clone()),
        (Operation::StartNetwork("network-route netdev=xenbr0".parse().unwrap()), unread.clone()),
        (Operation::StopNetwork(network), unread.clone()),
    ] {
        let before = Dump::take();
        let said = run_attach_once(
            &["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin"],
            env!("CARGO_BIN_EXE_attach_once"),
            dom0.state.path(),
            std::slice::from_ref(&operation),
        );
        assert_eq!(said, format!("permission: cannot {operation}: {words}\n{advice}\n"));
        Dump::take().assert_same(&before, &operation.to_string());
    }
}

#[test]
fn a_state_directory_that_others_may_write_is_not_trusted() {
    use std::os::unix::fs::PermissionsExt;
    let Some(dom0) = Dom0::enter() else { return };
    let base = dom0.state.path().join("open");
    std::fs::create_dir(&base).unwrap();
    std::fs::set_permissions(&base, std::fs::Permissions::from_mode(0o777)).unwrap();
    let error = Host::options().state_dir(&base).open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::State);
    let words = format!("cannot use the state directory {}: others may write it (mode 777)", base.display());
    assert_eq!(error.to_string(), words);
    let link = dom0.state.path().join("link");
    std::os::unix::fs::symlink(dom0.state.path(), &link).unwrap();
    let error = Host::options().state_dir(&link).open().unwrap_err();
    let words = format!("cannot use the state directory {}: it is a symbolic link or no directory", link.display());
    assert_eq!(error.to_string(), words);
}

#[test]
fn an_unlocked_attachment_still_refuses_bad_values() {
    let Some(dom0) = Dom0::enter() else { return };
    bridge_by_ip("xenbr0");
    let vif_guest = dom0.guest("vif1.0", &OWN.to_string());
    let vif = vif_guest.name;
    refused(
        ErrorKind::InvalidArgument,
        "cannot attach vif1.0 to xenbr0: an MTU of 70000 bytes is out of the range 68 to 65535",
        || dom0.host.attach_vif(&Attachment::bridged(vif, name("xenbr0"), Lock::Unlocked).mtu(70_000)),
    );
    refused(ErrorKind::InvalidArgument, "cannot attach vif1.0 to vif1.0: the vif and the bridge have one name", || {
        dom0.host.attach_vif(&Attachment::bridged(vif, vif, Lock::Unlocked))
    });
}
