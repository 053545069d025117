//! Frames whose headers are in pages: of those the kernel looks for the transport header in what was in
//! memory before, unless somebody has written to them.

use crate::load::PATIENCE;
use crate::matrix::{OWN, VICTIM, VICTIM6, lock};
use crate::proof::name;
use crate::street::{Mode, Street, VIF};
use std::net::Ipv6Addr;
use std::time::Instant;
use xenvnet_tests::{Frame, Ip6, ether, icmp6, udp};

const OWN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0x98, 0, 0, 0, 0, 2);

/// A router advertisement, filled up with options that nobody knows (253, RFC 4727).
fn advertisement() -> Frame {
    let mut body = vec![64, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    for _ in 0..4 {
        body.extend([253, 255]);
        body.extend([0; 2038]);
    }
    let own = "fe80::216:3eff:fe00:1".parse().unwrap();
    let packet = Ip6::new(own, "ff02::1".parse().unwrap()).hops(255).carry(&icmp6(134, 0, &body));
    ether("33:33:00:00:00:01".parse().unwrap(), OWN, 0x86dd, &packet)
}

/// A packet to the victim that is as long as this.
fn honest(length: usize) -> Frame {
    ether(VICTIM, OWN, 0x86dd, &Ip6::new(OWN6, VICTIM6).carry(&udp(9, 9, &vec![0; length - 48])))
}

#[test]
fn no_router_advertises_itself_in_pages_and_every_jumbo_passes() {
    let Some(street) = Street::build(Mode::Bridged) else { return };
    street.attach(lock());
    street.sender.wait_for_carrier();
    street.victim.wait_for_carrier();
    let (mouth, ear) = (street.sender.raw(), street.victim.raw());
    let (lie, short, long) = (advertisement(), honest(66), honest(9000));
    let rounds = 2000;
    let (mut lies, mut passed) = (0, 0);
    for round in 1..=rounds {
        // What is in memory is what the short one left there.
        mouth.send(short.bytes());
        mouth.send_in_pages(lie.bytes());
        mouth.send_in_pages(long.bytes());
        let deadline = Instant::now() + PATIENCE;
        while passed < round {
            let heard = ear.receive(deadline).unwrap_or_else(|| panic!("jumbo {round} is lost"));
            lies += usize::from(lie.is(&heard));
            passed += usize::from(long.is(&heard));
        }
    }
    println!("jumbo frames in pages: {passed} passed, router advertisements: {lies} failed");
    assert_eq!(lies, 0, "of {rounds} router advertisements");
    street.host().clear_antispoof(name(VIF)).unwrap();
    mouth.send_in_pages(lie.bytes());
    let deadline = Instant::now() + PATIENCE;
    while !lie.is(&ear.receive(deadline).expect("the control: it is heard of a guest without a lock")) {}
}
