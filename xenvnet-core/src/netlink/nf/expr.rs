//! Rules of nf_tables, expression by expression (linux/netfilter/nf_tables.h).
//!
//! The order of expressions is the one that nft(8) writes, and a rule that reads a network header
//! checks the EtherType first even where its chain is reached by that type alone: `nft list
//! ruleset` then shows `ip saddr`, not `@nh,96,32`.

use crate::netlink::attributes::Writer;
use nix::libc;

/// The header that an offset counts from.
#[derive(Clone, Copy)]
pub(crate) enum Base {
    Link = 0,
    Network = 1,
    Transport = 2,
}

/// A part of a packet that a rule reads: base, offset and length in octets.
pub(crate) type Place = (Base, u32, u32);

pub(crate) const ETHER_DADDR: Place = (Base::Link, 0, 6);
pub(crate) const ETHER_SADDR: Place = (Base::Link, 6, 6);
const ETHER_TYPE: Place = (Base::Link, 12, 2);
pub(crate) const ARP_SADDR_ETHER: Place = (Base::Network, 8, 6);
pub(crate) const ARP_SADDR_IP: Place = (Base::Network, 14, 4);
pub(crate) const ARP_DADDR_IP: Place = (Base::Network, 24, 4);
pub(crate) const IP_SADDR: Place = (Base::Network, 12, 4);
pub(crate) const IP_DADDR: Place = (Base::Network, 16, 4);
/// The last of the eight octets that begin an IPv6 header.
pub(crate) const IP6_HOP_LIMIT: Place = (Base::Network, 7, 1);
pub(crate) const IP6_SADDR: Place = (Base::Network, 8, 16);
pub(crate) const IP6_DADDR: Place = (Base::Network, 24, 16);

/// Where a packet goes on.
#[derive(Clone, Copy)]
pub(crate) enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(&'static str),
    Goto(&'static str),
}

impl Verdict {
    fn code(self) -> i32 {
        match self {
            Verdict::Drop => libc::NF_DROP,
            Verdict::Accept => libc::NF_ACCEPT,
            Verdict::Jump(_) => libc::NFT_JUMP,
            Verdict::Goto(_) => libc::NFT_GOTO,
            Verdict::Return => libc::NFT_RETURN,
        }
    }

    /// As the data of an expression or of a map's element.
    pub(crate) fn write(self, writer: &mut Writer) {
        writer.nested(2, |verdict| {
            verdict.be32(1, self.code() as u32);
            if let Verdict::Jump(chain) | Verdict::Goto(chain) = self {
                verdict.text(2, chain);
            }
        });
    }
}

/// Comparisons.
#[derive(Clone, Copy)]
pub(crate) enum Is {
    Equal = 0,
    Unequal = 1,
    Less = 2,
}

/// A rule under construction: what it matches, from left to right, and what it does.
#[derive(Clone, Default)]
pub(crate) struct Rule {
    expressions: Writer,
    comment: Option<String>,
    /// Whether it reads the header of the link.
    reads_link: bool,
}

/// The first of the 4-octet registers; a longer value takes the ones after it too.
const REGISTER: u32 = libc::NFT_REG32_00 as u32;
const NFT_NAT_DNAT: u32 = 1;
/// An interface name takes four of them.
const NAME_REGISTERS: u32 = 4;

impl Rule {
    pub(crate) fn new() -> Rule {
        Rule::default()
    }

    /// With a comment in the listing, by which the rule is found again.
    pub(crate) fn comment(mut self, text: String) -> Rule {
        self.comment = Some(text);
        self
    }

    fn add(mut self, name: &str, data: impl FnOnce(&mut Writer)) -> Rule {
        self.expressions.nested(1, |element| {
            element.text(1, name).nested(2, data);
        });
        self
    }

    fn load(mut self, (base, offset, len): Place, register: u32) -> Rule {
        self.reads_link |= matches!(base, Base::Link);
        self.add("payload", |data| {
            data.be32(1, register).be32(2, base as u32).be32(3, offset).be32(4, len);
        })
    }

    /// A part of the packet written as it is: from then on its headers, up to there, are in one piece and
    /// nobody else's. The rule ends where that cannot be.
    pub(crate) fn written_back(self, place: Place) -> Rule {
        let (base, offset, len) = place;
        self.load(place, REGISTER).add("payload", |data| {
            data.be32(5, REGISTER).be32(2, base as u32).be32(3, offset).be32(4, len);
        })
    }

    fn load_meta(self, key: i32, register: u32) -> Rule {
        self.add("meta", |data| {
            data.be32(1, register).be32(2, key as u32);
        })
    }

    fn compare(self, is: Is, value: &[u8]) -> Rule {
        self.add("cmp", |data| {
            data.be32(1, REGISTER).be32(2, is as u32).nested(3, |data| {
                data.bytes(1, value);
            });
        })
    }

    fn mask(self, mask: &[u8]) -> Rule {
        self.add("bitwise", |data| {
            data.be32(1, REGISTER).be32(2, REGISTER).be32(3, mask.len() as u32);
            data.nested(4, |value| {
                value.bytes(1, mask);
            });
            data.nested(5, |value| {
                value.bytes(1, &vec![0; mask.len()]);
            });
        })
    }

    /// A part of the packet compared.
    pub(crate) fn at(self, place: Place, is: Is, value: &[u8]) -> Rule {
        self.load(place, REGISTER).compare(is, value)
    }

    /// Some bits of a part of the packet compared.
    pub(crate) fn bits(self, place: Place, mask: &[u8], is: Is, value: &[u8]) -> Rule {
        self.load(place, REGISTER).mask(mask).compare(is, value)
    }

    /// A part of the packet between two values.
    pub(crate) fn between(self, place: Place, from: &[u8], to: &[u8]) -> Rule {
        self.load(place, REGISTER).add("range", |data| {
            data.be32(1, REGISTER).be32(2, 0);
            data.nested(3, |value| {
                value.bytes(1, from);
            });
            data.nested(4, |value| {
                value.bytes(1, to);
            });
        })
    }

    pub(crate) fn ether_type(self, value: u16) -> Rule {
        self.at(ETHER_TYPE, Is::Equal, &value.to_be_bytes())
    }

    /// The transport protocol, whatever headers come before it. Does not match where the kernel
    /// could not find the transport header.
    pub(crate) fn l4proto(self, is: Is, protocol: u8) -> Rule {
        self.load_meta(libc::NFT_META_L4PROTO, REGISTER).compare(is, &[protocol])
    }

    pub(crate) fn nfproto(self, family: i32) -> Rule {
        self.load_meta(libc::NFT_META_NFPROTO, REGISTER).compare(Is::Equal, &[family as u8])
    }

    pub(crate) fn iifgroup(self, group: u32) -> Rule {
        self.load_meta(libc::NFT_META_IIFGROUP, REGISTER).compare(Is::Equal, &group.to_ne_bytes())
    }

    pub(crate) fn oifname(self, name: &[u8; 16]) -> Rule {
        self.load_meta(libc::NFT_META_OIFNAME, REGISTER).compare(Is::Equal, name)
    }

    /// Whether an IPv6 extension header is there.
    pub(crate) fn ip6_header(self, number: u8) -> Rule {
        self.exthdr(0, number, 0, true).compare(Is::Equal, &[1])
    }

    /// The first fragment of an IPv6 packet.
    pub(crate) fn first_fragment(self) -> Rule {
        self.add("exthdr", |data| {
            data.be32(1, REGISTER).u8(2, 44).be32(3, 2).be32(4, 2).be32(6, 0);
        })
        .mask(&[0xff, 0xf8])
        .compare(Is::Equal, &[0, 0])
    }

    fn exthdr(self, op: u32, number: u8, offset: u32, present: bool) -> Rule {
        self.add("exthdr", |data| {
            data.be32(1, REGISTER).u8(2, number).be32(3, offset).be32(4, 1);
            if present {
                data.be32(5, 1);
            }
            data.be32(6, op);
        })
    }

    /// The name of the interface that the packet came in by, and parts of the packet, together in
    /// a set (or, inverted, not in it).
    pub(crate) fn iifname_in(self, places: &[Place], set: &str, inverted: bool) -> Rule {
        let mut rule = self.load_meta(libc::NFT_META_IIFNAME, REGISTER);
        let mut register = REGISTER + NAME_REGISTERS;
        for place in places {
            rule = rule.load(*place, register);
            register += place.2.div_ceil(4);
        }
        rule.add("lookup", |data| {
            data.text(1, set).be32(2, REGISTER);
            if inverted {
                data.be32(5, 1);
            }
        })
    }

    /// The name of the interface that the packet goes out by is in a set.
    pub(crate) fn oifname_in(self, set: &str) -> Rule {
        self.load_meta(libc::NFT_META_OIFNAME, REGISTER).add("lookup", |data| {
            data.text(1, set).be32(2, REGISTER);
        })
    }

    /// The name of the interface, the transport protocol and the destination port, together in a set.
    pub(crate) fn iifname_port_in(self, set: &str) -> Rule {
        let register = REGISTER + NAME_REGISTERS;
        self.load_meta(libc::NFT_META_IIFNAME, REGISTER)
            .load_meta(libc::NFT_META_L4PROTO, register)
            .load((Base::Transport, 2, 2), register + 1)
            .add("lookup", |data| {
                data.text(1, set).be32(2, REGISTER);
            })
    }

    pub(crate) fn ether_daddr_in(self, set: &str) -> Rule {
        self.load(ETHER_DADDR, REGISTER).add("lookup", |data| {
            data.text(1, set).be32(2, REGISTER);
        })
    }

    /// The state that connection tracking gives the packet's connection is one of these.
    pub(crate) fn ct_state(self, states: u32) -> Rule {
        self.add("ct", |data| {
            data.be32(1, REGISTER).be32(2, libc::NFT_CT_STATE as u32);
        })
        .mask(&states.to_ne_bytes())
        .compare(Is::Unequal, &[0; 4])
    }

    /// Sent to an address of this host.
    pub(crate) fn daddr_is_local(self) -> Rule {
        const ADDRTYPE: u32 = 3;
        const DADDR: u32 = 2;
        const LOCAL: u32 = 2;
        self.add("fib", |data| {
            data.be32(1, REGISTER).be32(2, ADDRTYPE).be32(3, DADDR);
        })
        .compare(Is::Equal, &LOCAL.to_ne_bytes())
    }

    /// The destination that a map has for the transport protocol and the destination port: an address
    /// and a port.
    pub(crate) fn dnat(self, family: i32, map: &str) -> Rule {
        let address_registers = if family == libc::NFPROTO_IPV4 { 1 } else { 4 };
        self.load_meta(libc::NFT_META_L4PROTO, REGISTER)
            .load((Base::Transport, 2, 2), REGISTER + 1)
            .add("lookup", |data| {
                data.text(1, map).be32(2, REGISTER).be32(3, REGISTER);
            })
            .add("nat", |data| {
                data.be32(1, NFT_NAT_DNAT).be32(2, family as u32);
                data.be32(3, REGISTER).be32(5, REGISTER + address_registers);
            })
    }

    /// Of a connection that was led elsewhere.
    pub(crate) fn was_led(self) -> Rule {
        const STATUS: u32 = 2;
        const DST_NAT: u32 = 1 << 5;
        self.add("ct", |data| {
            data.be32(1, REGISTER).be32(2, STATUS);
        })
        .mask(&DST_NAT.to_ne_bytes())
        .compare(Is::Unequal, &[0; 4])
    }

    /// The interfaces that it came in and goes out by, its destination, the transport protocol and the
    /// destination port, together in a set.
    pub(crate) fn passage_in(self, to: Place, set: &str) -> Rule {
        let address = REGISTER + 2 * NAME_REGISTERS;
        let register = address + to.2 / 4;
        self.load_meta(libc::NFT_META_IIFNAME, REGISTER)
            .load_meta(libc::NFT_META_OIFNAME, REGISTER + NAME_REGISTERS)
            .load(to, address)
            .load_meta(libc::NFT_META_L4PROTO, register)
            .load((Base::Transport, 2, 2), register + 1)
            .add("lookup", |data| {
                data.text(1, set).be32(2, REGISTER);
            })
    }

    /// Keeps the packet out of connection tracking.
    pub(crate) fn notrack(self) -> Rule {
        self.counter().add("notrack", |_| {})
    }

    /// The verdict that an anonymous map has for the EtherType.
    pub(crate) fn ether_type_map(self, map: &str, id: u32) -> Rule {
        self.load(ETHER_TYPE, REGISTER).add("lookup", |data| {
            data.text(1, map).be32(4, id).be32(2, REGISTER).be32(3, 0);
        })
    }

    /// Counts the packet under the name of its interface. Where the set is full nothing is
    /// counted and the rule ends here: so this is never in one rule with what must happen.
    pub(crate) fn count_iifname(self, set: &str) -> Rule {
        self.load_meta(libc::NFT_META_IIFNAME, REGISTER).add("dynset", |data| {
            data.text(1, set).be32(3, 1).be32(4, REGISTER);
            data.nested(7, |expression| {
                expression.text(1, "counter").nested(2, |counter| {
                    counter.be64(1, 0).be64(2, 0);
                });
            });
        })
    }

    pub(crate) fn counter(self) -> Rule {
        self.add("counter", |data| {
            data.be64(1, 0).be64(2, 0);
        })
    }

    pub(crate) fn masquerade(self) -> Rule {
        self.add("masq", |_| {})
    }

    pub(crate) fn verdict(self, verdict: Verdict) -> Rule {
        self.add("immediate", |data| {
            data.be32(1, 0).nested(2, |data| verdict.write(data));
        })
    }

    pub(crate) fn accept(self) -> Rule {
        self.verdict(Verdict::Accept)
    }

    pub(crate) fn goto(self, chain: &'static str) -> Rule {
        self.verdict(Verdict::Goto(chain))
    }

    /// With a word that the link is Ethernet, where it matters: without it nft(8) has no names for
    /// headers in the netdev family.
    pub(crate) fn on_ethernet(self) -> Rule {
        if !self.reads_link {
            return self;
        }
        let word = Rule::new().load_meta(libc::NFT_META_IIFTYPE, REGISTER).compare(Is::Equal, &1u16.to_ne_bytes());
        Rule { expressions: word.expressions.then(self.expressions), ..self }
    }

    /// The expressions alone, as they are compared with what the kernel tells.
    pub(crate) fn expressions(&self) -> Vec<u8> {
        self.expressions.clone().finish()
    }

    /// The expressions and the userdata, as attributes of a rule.
    pub(crate) fn write(self, writer: &mut Writer) {
        let expressions = self.expressions.finish();
        writer.bytes(4 | 0x8000, &expressions);
        if let Some(comment) = self.comment {
            writer.bytes(7, &super::comment(&comment));
        }
    }
}
