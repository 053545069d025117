"""Guests beside plain ports of a bridge: routed ones, those with two cards, and what they reach on dom0."""

from __future__ import annotations

import ipaddress

import oracle
import pytest
from xenvnet import Antispoof, Attachment, Bridge, Brouter, ConflictError, Dom0, Host, Lock, MacAddr

MAC = "00:16:3e:00:00:01"
LOCK = Antispoof(MAC, ips=["10.0.0.2", "2001:db8::/64"])
BACKEND = str(MacAddr.VIF_BACKEND)
FOREIGN = oracle.ether("ff:ff:ff:ff:ff:ff", "00:16:3e:00:00:ee", b"\x08\x00" + bytes(46))


def routes(interface: str) -> set[str]:
    """What is routed to an interface, but for what the kernel routes there by itself."""
    listed = [*oracle.ip("-4", "route", "show"), *oracle.ip("-6", "route", "show")]
    return {route["dst"] for route in listed if route["dev"] == interface and route["protocol"] != "kernel"}


def mac_of(interface: str) -> str:
    link = oracle.link(interface)
    assert link is not None
    return str(link["address"])


class TestRouted:
    def test_attach_and_detach(self, host: Host) -> None:
        oracle.add_vif("vif1.0")
        web = Attachment.routed("vif1.0", lock=LOCK, gateways=["10.0.0.1", "fe80::1"], dom0="closed", name="web")
        assert host.attach_vif(web) is True
        assert host.attach_vif(web) is False
        found = oracle.link("web")
        assert found is not None
        assert (found["address"], found["ifalias"], found.get("master")) == (BACKEND, "vif1.0", None)
        assert "UP" in found["flags"]
        assert oracle.addresses("web") == {"10.0.0.1/32"}
        assert routes("web") == {"10.0.0.2", "2001:db8::/64"}
        assert oracle.tables() == {"inet xenvnet", "inet xenvnet_dom0", "netdev xenvnet"}
        now = host.snapshot()
        assert now.tables.keys() == {"inet", "dom0", "netdev"}
        assert (now.guards, now.hooks, now.dom0) == ({}, ("web",), {"web": Dom0.CLOSED})
        assert now.ingress.keys() == {"web"}
        assert now.guard_of("web") == now.ingress["web"]
        assert (now.ingress["web"].lock, now.ingress["web"].owner) == (LOCK, "vif1.0")
        assert not now.is_paired("web")
        assert host.verify().findings == ()
        assert host.detach_vif("vif1.0") is True
        assert host.detach_vif("vif1.0") is False
        now = host.snapshot()
        assert (now.ingress, now.hooks, now.dom0) == ({}, (), {})
        assert oracle.addresses("web") == set() and routes("web") == set()

    def test_routes_in_place_of_those_of_the_lock(self, host: Host) -> None:
        oracle.add_vif("vif1.0")
        host.attach_vif(Attachment.routed("vif1.0", lock=LOCK, routes=ipaddress.ip_network("10.1.0.0/16")))
        assert routes("vif1.0") == {"10.1.0.0/16"}
        assert host.attach_vif(Attachment.routed("vif1.0", lock=LOCK)) is True
        assert routes("vif1.0") == {"10.0.0.2", "2001:db8::/64"}

    def test_what_is_its_own_passes_and_all_else_is_counted(self, host: Host) -> None:
        oracle.add_vif("vif1.0")
        host.attach_vif(Attachment.routed("vif1.0", lock=LOCK, gateways="10.0.0.1"))
        with oracle.listening("10.0.0.1") as (port, heard):

            def frame(source: str, words: bytes) -> bytes:
                return oracle.ether(BACKEND, MAC, oracle.datagram(source, "10.0.0.1", port, words))

            (drop,) = oracle.sent_until("guest1.0", frame("10.0.0.3", b"lie"), lambda: host.snapshot().drops)
            assert (drop.vif, drop.reason, drop.table) == ("vif1.0", "ip4", "netdev")
            assert oracle.sent_until("guest1.0", frame("10.0.0.2", b"truth"), heard) == {b"truth"}

    def test_a_port_of_a_bridge_is_not_routed_to(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        oracle.add_vif("vif1.0")
        host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK))
        with pytest.raises(ConflictError, match="vif1.0 is a port of xenbr0") as caught:
            host.attach_vif(Attachment.routed("vif1.0", lock=LOCK))
        assert caught.value.advice is not None and "detach it first" in caught.value.advice


class TestPair:
    def test_two_cards_have_one_lock(self, host: Host) -> None:
        host.create_bridge("xenbr0")
        both = ("vif1.0", "vif1.0-emu")
        for vif in both:
            oracle.add_vif(vif)
            assert host.attach_vif(Attachment(vif, bridge="xenbr0", lock=LOCK)) is True
        now = host.snapshot()
        assert now.guards.keys() == now.ingress.keys() == set(both)
        assert now.hooks == both
        for vif in both:
            assert now.is_paired(vif)
            found = oracle.link(vif)
            assert found is not None
            assert found["linkinfo"]["info_slave_data"]["learning"] is True
        assert {finding.kind for finding in host.verify().findings} == {"pair"}
        for vif in both:
            guest = vif.replace("vif", "guest")
            (drop,) = oracle.sent_until(guest, FOREIGN, lambda: [of for of in host.snapshot().drops if of.vif == vif])
            assert (drop.reason, drop.table) == ("mac", "netdev")
        assert host.set_antispoof("vif1.0", Lock.DISABLED) is True
        assert {guard.lock for guard in host.snapshot().ingress.values()} == {Lock.DISABLED}


class TestDom0:
    def test_what_guests_reach(self, host: Host) -> None:
        host.create_bridge(Bridge("xenbr0", addresses="10.0.0.1/24"))
        oracle.add_vif("vif1.0")
        host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK))
        with oracle.listening("10.0.0.1") as (port, heard):

            def frame(words: bytes) -> bytes:
                return oracle.ether(mac_of("xenbr0"), MAC, oracle.datagram("10.0.0.2", "10.0.0.1", port, words))

            assert oracle.sent_until("guest1.0", frame(b"open"), heard) == {b"open"}
            assert host.set_dom0("xenbr0", "closed") is True
            assert host.set_dom0("xenbr0", Dom0.CLOSED) is False
            assert host.snapshot().dom0 == {"xenbr0": Dom0.CLOSED}
            (drop,) = oracle.sent_until("guest1.0", frame(b"closed"), lambda: host.snapshot().drops)
            assert (drop.vif, drop.reason, drop.table) == ("xenbr0", "dom0", "dom0")
            assert b"closed" not in heard()
            assert host.set_dom0("xenbr0", Dom0(["dns", f"udp:{port}"])) is True
            assert oracle.sent_until("guest1.0", frame(b"let in"), lambda: heard() & {b"let in"})
        assert host.set_dom0("xenbr0", "open") is True
        assert host.set_dom0("xenbr0", Dom0.OPEN) is False
        assert oracle.tables() == {"bridge xenvnet", "inet xenvnet"}

    def test_a_network_says_so_itself(self, host: Host) -> None:
        before = oracle.host_state()
        brouter = Brouter("xenbr0", address="10.98.98.1/24", dom0=Dom0("dns"))
        host.start_network(brouter)
        now = host.snapshot()
        assert now.dom0 == {"xenbr0": Dom0("dns")}
        assert now.networks["xenbr0"].network == brouter
        host.stop_network(brouter)
        assert oracle.host_state() == before


def test_an_untracked_guest(host: Host) -> None:
    host.create_bridge("xenbr0")
    oracle.add_vif("vif1.0")
    assert host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK, untracked=True)) is True
    assert "bridge xenvnet_untracked" in oracle.tables()
    untracked = host.snapshot().untracked["vif1.0"]
    assert (str(untracked.bridge), untracked.macs) == (mac_of("xenbr0"), (MacAddr(MAC),))
    assert host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK)) is True
    assert host.snapshot().untracked == {}
