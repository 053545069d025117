//! dnsmasq as the DHCP server of one network: what it is called with, and the small files that it reads
//! while it runs, one for each guest.
//!
//! It reads nobody's configuration, gives addresses to nobody but the guests in those files, and serves
//! no names. What is new in its folders it sees by itself. Nothing is taken away from under it: when it
//! frees the tags of a guest that it has answered, dnsmasq 2.90 frees what was never allocated, and
//! dies; so it is not told by SIGHUP either, but started anew.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use xenvnet_core::{DhcpGuest, DhcpService, IfName, MacAddr, NetworkId};

/// The names that Xen gives guests' interfaces: those to come are heard without a restart.
const VIFS: &str = "vif*";

/// It ends by this code where starting it again would not help (EXIT CODES of dnsmasq(8)).
pub(crate) const WRONGLY_CALLED: i32 = 1;

/// The program, where it is installed.
pub(crate) fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|place| place.join("dnsmasq")).find(|program| program.is_file())
}

/// Whether a server that was started for `interfaces` hears this one.
pub(crate) fn hears(interfaces: &[String], name: IfName) -> bool {
    interfaces.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(start) => name.as_str().starts_with(start),
        None => name.as_str() == pattern,
    })
}

/// The interfaces that it is to listen on. Those of others, the uplink before all, it never hears.
pub(crate) fn interfaces(service: &DhcpService) -> Vec<String> {
    match service.network {
        NetworkId::Interface(bridge) => vec![bridge.to_string()],
        _ => {
            let vifs = [VIFS.to_owned()];
            let renamed = service.interfaces.iter().filter(|name| !hears(&vifs, **name)).map(ToString::to_string);
            vifs.iter().cloned().chain(renamed).collect()
        }
    }
}

/// The folders and files of one server.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: PathBuf) -> Folder {
        Folder(path)
    }

    /// Whoever serves the network holds its lock.
    pub(crate) fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    pub(crate) fn leases(&self) -> PathBuf {
        self.0.join("leases")
    }

    /// What is written here first is read by nobody before it is whole.
    pub(crate) fn draft(&self) -> PathBuf {
        self.0.join("draft")
    }

    /// MAC addresses and what they are given.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    /// What those are told beside.
    pub(crate) fn options(&self) -> PathBuf {
        self.0.join("options")
    }

    /// Everything that it reads while it runs.
    pub(crate) fn files(&self, service: &DhcpService) -> BTreeMap<PathBuf, String> {
        let of = |guest: &DhcpGuest| {
            // A name that dnsmasq passes over is none of these, whatever the interface is called.
            let name = guest.address.to_string();
            [(self.options().join(&name), options_of(guest)), (self.hosts().join(&name), host_of(guest))]
        };
        service.guests.values().flat_map(of).collect()
    }
}

fn host_of(guest: &DhcpGuest) -> String {
    let macs = guest.macs.iter().map(ToString::to_string);
    let address = guest.address.to_string();
    let words = macs.chain([format!("set:{address}"), address]).chain(guest.name.clone());
    words.collect::<Vec<_>>().join(",") + "\n"
}

fn options_of(guest: &DhcpGuest) -> String {
    let DhcpGuest { address, router, mtu, .. } = guest;
    format!("tag:{address},option:router,{router}\ntag:{address},option:mtu,{mtu}\n")
}

/// What it is called with.
pub(crate) fn arguments(
    service: &DhcpService,
    interfaces: &[String],
    folder: &Folder,
    dns: &[Ipv4Addr],
) -> Vec<OsString> {
    let mut all: Vec<OsString> = [
        "--keep-in-foreground",
        // Nobody else's configuration, and no names.
        "--conf-file=/dev/null",
        "--port=0",
        "--no-resolv",
        "--no-hosts",
        "--pid-file=",
        "--log-facility=-",
        // It stays who we are: its files are ours, and in a user namespace there may be nobody else.
        "--user=",
        "--group=",
        // Interfaces come and go, and other servers of this host keep theirs.
        "--bind-dynamic",
        "--except-interface=lo",
        "--dhcp-authoritative",
        // Whoever is in none of the files is left alone, and not even told no.
        "--dhcp-ignore=tag:!known",
        // Guests that were cloned call themselves by one identifier; their MAC addresses differ.
        "--dhcp-ignore-clid",
    ]
    .map(OsString::from)
    .into();
    let with = |option: &str, path: &Path| {
        let mut argument = OsString::from(option);
        argument.push(path);
        argument
    };
    all.push(with("--dhcp-hostsdir=", &folder.hosts()));
    all.push(with("--dhcp-optsdir=", &folder.options()));
    all.push(with("--dhcp-leasefile=", &folder.leases()));
    all.extend(interfaces.iter().map(|name| format!("--interface={name}").into()));
    let range = |net: &xenvnet_core::ipnetwork::Ipv4Network| {
        format!("--dhcp-range={},static,{}", net.network(), net.mask()).into()
    };
    all.extend(service.subnets.iter().map(range));
    if !matches!(service.network, NetworkId::Interface(_)) {
        // Else it would write the guest's address into dom0's table of neighbours, where a routed
        // guest's stands fast.
        all.push("--dhcp-broadcast".into());
    }
    let dns: Vec<_> = dns.iter().map(ToString::to_string).collect();
    if !dns.is_empty() {
        all.push(format!("--dhcp-option=option:dns-server,{}", dns.join(",")).into());
    }
    all
}

/// A line of its leases: whose, and what.
fn lease(line: &str) -> Option<(MacAddr, Ipv4Addr)> {
    let mut words = line.split(' ').skip(1);
    Some((words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

/// The leases of those that are served. An address that is still leased to a guest who is gone would be
/// given to nobody before that has run out.
pub(crate) fn valid_leases(leases: &str, service: &DhcpService) -> String {
    let is_valid =
        |(mac, address)| service.guests.values().any(|guest| guest.address == address && guest.macs.contains(&mac));
    let valid = leases.lines().filter(|line| lease(line).is_some_and(is_valid));
    valid.map(|line| format!("{line}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> DhcpService {
        let guest = |mac, last: u8| {
            serde_json::json!({ "macs": [mac], "address": format!("10.0.1.{last}"),
                "router": "10.0.1.128", "mtu": 1400, "name": "dom1" })
        };
        let one = guest("00:16:3e:00:00:01", 1);
        serde_json::from_value(serde_json::json!({
            "network": "nat:eth0", "interfaces": ["vif1.0", "web"], "subnets": ["10.0.0.0/16"],
            "guests": { "vif1.0": one, "web": guest("00:16:3e:00:00:02", 2) }, "silent": {},
        }))
        .unwrap()
    }

    #[test]
    fn it_listens_to_guests_alone_and_gives_addresses_to_those_it_knows() {
        let (service, folder) = (service(), Folder::new("/run/x".into()));
        let heard = interfaces(&service);
        assert_eq!(heard, ["vif*", "web"]);
        assert!(hears(&heard, "vif9.0".parse().unwrap()) && !hears(&heard, "eth0".parse().unwrap()));
        let all = arguments(&service, &heard, &folder, &["192.0.2.53".parse().unwrap()]);
        for wanted in [
            "--conf-file=/dev/null",
            "--interface=web",
            "--dhcp-range=10.0.0.0,static,255.255.0.0",
            "--dhcp-ignore=tag:!known",
            "--dhcp-leasefile=/run/x/leases",
            "--dhcp-option=option:dns-server,192.0.2.53",
        ] {
            assert!(all.iter().any(|argument| argument == wanted), "{wanted}: {all:?}");
        }
        let files = folder.files(&service);
        assert_eq!(files[Path::new("/run/x/hosts/10.0.1.1")], "00:16:3e:00:00:01,set:10.0.1.1,10.0.1.1,dom1\n");
        let options = "tag:10.0.1.1,option:router,10.0.1.128\ntag:10.0.1.1,option:mtu,1400\n";
        assert_eq!(files[Path::new("/run/x/options/10.0.1.1")], options);
    }

    #[test]
    fn leases_of_those_who_are_gone_are_forgotten() {
        let (own, other) = ("9 00:16:3e:00:00:01 10.0.1.1 dom1 *\n", "9 00:16:3e:00:00:09 10.0.1.2 * *\n");
        assert_eq!(valid_leases(&format!("{own}{other}nonsense\n9 x 10.0.1.1\n"), &service()), own);
    }
}
