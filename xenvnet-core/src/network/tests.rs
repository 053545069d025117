//! Lines of networks: what they are read as.

use super::*;
use proptest::prelude::*;

#[test]
fn the_old_scripts_defaults_hold() {
    let network: Network = "network-virtual".parse().unwrap();
    assert_eq!(network.to_string(), "network-virtual bridge=xenbr0 bridgeip=10.6.7.1/24 brnet=10.6.7.0/24");
    let network: Network = "network-virtual  vifnum=3 antispoof=yes".parse().unwrap();
    assert_eq!(network.bridge().unwrap().as_str(), "xenbr3");
}

#[test]
fn a_typo_is_named_with_its_byte() {
    let error = "network-virtual brige=xenbr0".parse::<Network>().unwrap_err();
    assert_eq!(error.to_string(), "network line: unknown key \"brige\" at byte 16; did you mean \"bridge\"?");
    assert_eq!(error.offset(), Some(16));
    for line in [
        "",
        "network",
        "network-virtual bridge",
        "network-virtual vifnum=x",
        "network-virtual bridge=a bridge=b",
        "network-virtual bridgeip=10.0.0.0/33",
        "network-virtual antispoof=maybe",
    ] {
        assert_eq!(line.parse::<Network>().unwrap_err().kind(), ErrorKind::Parse, "{line}");
    }
}

#[test]
fn a_gateway_outside_of_the_subnet_is_refused() {
    let error = "network-virtual bridgeip=10.0.0.1/24 brnet=10.1.0.0/24".parse::<Network>().unwrap_err();
    assert_eq!(error.to_string(), "the guests of 10.1.0.0/24 could not reach their gateway 10.0.0.1");
}

#[test]
fn records_are_read_back() {
    for line in ["network-virtual", "network-virtual uplink=eth0 antispoof=yes bridgeip=2001:db8::1/64"] {
        let record = NetworkRecord::new(line.parse().unwrap(), [(Sysctl::Ip4Forward, 1)]);
        assert_eq!(NetworkRecord::parse_comment(&record.comment()), Some(record));
    }
}

proptest! {
    #[test]
    fn any_line_is_read_or_refused(line in "(network-virtual )?\\PC{0,60}") {
        if let Ok(network) = line.parse::<Network>() {
            prop_assert_eq!(network.to_string().parse::<Network>().unwrap(), network);
        }
    }
}
