//! Every public item of the core is in the header, or stands here with what C has instead.

use std::collections::BTreeSet;
use std::fs;

const HEADER: &str = include_str!("../../include/xenvnet.h");
const CORE: &str = include_str!("../../xenvnet-core/src/lib.rs");

/// What stands for an item: words of the header, or none and why.
enum C {
    Has(&'static str),
    Lacks(&'static str),
}
use C::{Has, Lacks};

const ITEMS: [(&str, C); 83] = [
    ("Account", Has("{index, routed, sent, received}")),
    ("AdditionalPort", Has("network-bridge-additional")),
    ("Antispoof", Has("xenvnet_antispoof_new(")),
    ("Attachment", Has("xenvnet_attachment_new(")),
    ("Bridge", Has("xenvnet_bridge_new(")),
    ("BridgeState", Has("xenvnet_snapshot_json(")),
    ("BridgedNetwork", Has("network-bridge ")),
    ("Brouter", Has("network-virtual ")),
    ("Card", Has("\"paravirtual\", or \"emulated\"")),
    ("Contents", Has("guards, ingress ")),
    ("Counter", Has("{packets, bytes}")),
    ("DhcpGuest", Lacks("for the command, which starts a server; the library starts no process")),
    ("DhcpService", Lacks("as DhcpGuest")),
    ("DhcpSilence", Lacks("as DhcpGuest")),
    ("Dom0", Has("xenvnet_set_dom0(")),
    ("Dom0Port", Has("\"tcp:8080\"")),
    ("DropReason", Has("The reasons: mac,")),
    ("Drops", Has("frames by vif, reason and table")),
    ("Entry", Lacks("for plans alone, which are JSON")),
    ("EntryKind", Lacks("as Entry")),
    ("Error", Has("typedef struct xenvnet_error xenvnet_error;")),
    ("ErrorKind", Has("xenvnet_error_kind(")),
    ("Finding", Has("typedef struct xenvnet_finding xenvnet_finding;")),
    ("Forward", Has("xenvnet_forward_port(")),
    ("Guard", Has("locks by interface")),
    ("GuestFile", Has("xenvnet_guest_file_new(")),
    ("Host", Has("xenvnet_new(")),
    ("HostOptions", Has("xenvnet_new_with(")),
    ("IfName", Lacks("interfaces go by their names, as texts")),
    ("Line", Has("typedef struct xenvnet_line xenvnet_line;")),
    ("Link", Has("xenvnet_snapshot_json(")),
    ("LinkSettings", Lacks("for plans alone, which are JSON")),
    ("LinkSysctl", Has("//     sysctls")),
    ("Lock", Has("xenvnet_antispoof_new_disabled(")),
    ("MacAddr", Has("xenvnet_mac_from_ip(")),
    ("MacCheck", Has("xenvnet_mac_check_json(")),
    ("MacFinding", Has("\"finding\": \"duplicate\"")),
    ("MacPlace", Has("\"source\": \"web.cfg\"")),
    ("MacPrefix", Has("`prefix` is its first two")),
    ("Masquerade", Has("xenvnet_masquerade_subnet(")),
    ("NatNetwork", Has("network-nat ")),
    ("Network", Has("xenvnet_network_json(")),
    ("NetworkId", Has("\"id\": \"nat:eth0\"")),
    ("NetworkRecord", Has("the settings that it changed as they were before")),
    ("Operation", Has("xenvnet_run_json(")),
    ("Outcome", Has("bool *changed")),
    ("OvsBridge", Has("xenvnet_ovs_bridge_json(")),
    ("Pinning", Lacks("for plans alone, which are JSON")),
    ("Plan", Has("typedef struct xenvnet_plan xenvnet_plan;")),
    ("Port", Has("xenvnet_attachment_new_routed(")),
    ("PortState", Has("xenvnet_snapshot_json(")),
    ("Presence", Lacks("every attachment is announced: this version knows no other")),
    ("Protocol", Has("\"udp:53\"")),
    ("Rate", Has("xenvnet_rate_from_xl(")),
    ("Report", Has("typedef struct xenvnet_report xenvnet_report;")),
    ("Result", Lacks("functions return a code")),
    ("RoutedNetwork", Has("network-route ")),
    ("Sentinel", Has("xenvnet_sentinel_new(")),
    ("Service", Has("services(dhcp,dns,icmp,ntp,ra,tcp:22,udp:53)")),
    ("Severity", Has("xenvnet_severity_name(")),
    ("ShadowNetwork", Has("bridge-shadow ")),
    ("Snapshot", Has("xenvnet_snapshot_json(")),
    ("Step", Has("xenvnet_plan_to_json(")),
    ("Strictness", Has("XENVNET_LENIENT")),
    ("Sysctl", Has("//     sysctls")),
    ("Table", Has("our nf_tables tables: bridge,")),
    ("Unconfirmed", Has("XENVNET_UNCONFIRMED_WAITING")),
    ("Untracked", Has("xenvnet_attachment_set_untracked(")),
    ("Uplink", Has("UPLINK is that of the default route unless told")),
    ("VIF_GROUP", Has("XENVNET_VIF_GROUP")),
    ("VifDefaults", Has("xenvnet_vif_defaults_new(")),
    ("VifId", Has("xenvnet_vif_nat_address(")),
    ("VifScript", Has("xenvnet_vif_script_json(")),
    ("VifSpec", Has("xenvnet_vif_spec_from_xl(")),
    ("VlanSpec", Has("xenvnet_vlan_spec_json(")),
    ("Watch", Has("xenvnet_watch_new(")),
    ("XendConfig", Has("xenvnet_xend_config_new(")),
    ("ipnetwork", Lacks("addresses are texts")),
    ("nat_gateway", Has("xenvnet_nat_gateway(")),
    ("parse_ip", Lacks("texts are read wherever an address is wanted")),
    ("parse_ip_network", Lacks("as parse_ip")),
    ("parse_socket", Lacks("as parse_ip")),
    ("transport", Lacks("the seam of the core's own tests")),
];

/// The methods of a host, its options and its sentinel that have another name in C.
const METHODS: [(&str, C); 12] = [
    ("leave", Has("xenvnet_sentinel_leave(")),
    ("look", Has("xenvnet_sentinel_look(")),
    ("observe", Lacks("xenvnet_snapshot_json() and xenvnet_plan_json() look for themselves")),
    ("open", Has("xenvnet_new(")),
    ("plan", Has("xenvnet_plan_json(")),
    ("run", Has("xenvnet_run_json(")),
    ("run_all", Has("xenvnet_run_json(")),
    ("run_provisionally", Has("xenvnet_run_json_provisionally(")),
    ("sentinel", Has("xenvnet_sentinel_new(")),
    ("snapshot", Has("xenvnet_snapshot_json(")),
    ("state_folder", Lacks("for programs that keep files of a host's, as the command does for DHCP")),
    ("watch", Has("xenvnet_watch_new(")),
];

fn stands<'a>(table: impl IntoIterator<Item = &'a (&'static str, C)>) -> BTreeSet<&'static str> {
    let mut names = BTreeSet::new();
    for (name, instead) in table {
        assert!(names.insert(*name), "{name} is told twice");
        match instead {
            Has(words) => assert!(HEADER.contains(words), "{name}: the header has no {words}"),
            Lacks(why) => assert!(!why.is_empty(), "{name}"),
        }
    }
    names
}

/// The words of Rust that a text begins with.
fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

#[test]
fn every_item_is_there_or_stands_here() {
    let uses = CORE.split("\npub use ").skip(1).filter_map(|rest| rest.split_once(';'));
    let paths = uses.map(|(path, _)| path.rsplit_once("::").map_or(path, |(_, last)| last));
    let items: BTreeSet<&str> = paths.flat_map(names).collect();
    for word in ["\npub fn ", "\npub struct ", "\npub enum ", "\npub const ", "\npub mod ", "\npub trait "] {
        assert!(!CORE.contains(word), "{word}: this test knows no items that lib.rs has itself");
    }
    assert_eq!(items, stands(&ITEMS));
}

#[test]
fn every_method_of_a_host_is_there_or_stands_here() {
    let sources = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../xenvnet-core/src/host")).unwrap();
    let sources = sources.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|it| it == "rs"));
    let text: String = sources.map(|path| fs::read_to_string(path).unwrap()).collect();
    let methods = text.split("\n    pub fn ").skip(1).filter_map(|rest| {
        let (name, arguments) = rest.split_once('(')?;
        (arguments.starts_with("&self") || arguments.starts_with("self)")).then_some(name)
    });
    let methods: BTreeSet<&str> = methods.collect();
    assert!(methods.len() >= 30 && methods.contains("confirm") && methods.contains("leave"), "{methods:?}");
    let elsewhere = methods.iter().copied().filter(|name| !HEADER.contains(&format!("int xenvnet_{name}(")));
    assert_eq!(elsewhere.collect::<BTreeSet<_>>(), stands(&METHODS));
}
