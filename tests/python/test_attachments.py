"""Vifs, locks, attachments and what guests reach on dom0, as values. No kernel, no privilege."""

from __future__ import annotations

import ipaddress

import pytest
from samples import LOCK, MAC
from xenvnet import Antispoof, Attachment, Dom0, InvalidArgumentError, Lock, MacAddr, Operation, ParseError, VifId


class TestVifId:
    def test_names_and_numbers(self) -> None:
        vif = VifId(5, devid=1)
        assert (vif.domid, vif.devid, vif.ifname, vif.emulated_ifname) == (5, 1, "vif5.1", "vif5.1-emu")
        assert VifId.parse("vif5.1-emu") == vif
        assert str(vif) == "vif5.1"
        assert VifId(2, devid=0) < VifId(10, devid=0)

    def test_limits(self) -> None:
        with pytest.raises(InvalidArgumentError, match="32752"):
            VifId(0x7FF0, devid=0)
        with pytest.raises(ParseError, match="vif01.0"):
            VifId.parse("vif01.0")
        with pytest.raises(OverflowError):
            VifId(-1, devid=0)

    def test_it_is_as_good_as_its_name(self) -> None:
        vif = VifId(5, devid=1)
        assert Operation.release_vif(vif) == Operation.release_vif("vif5.1")
        assert Attachment(vif, bridge="xenbr0", lock=LOCK).vif == "vif5.1"


class TestAntispoof:
    def test_what_is_given_comes_back(self) -> None:
        assert LOCK.macs == (MacAddr(MAC),)
        assert LOCK.ips == (ipaddress.ip_network("10.98.98.2/32"), ipaddress.ip_network("2001:db8:8::/64"))
        assert LOCK.dhcp_client and LOCK.link_local

    def test_it_takes_what_ipaddress_has(self) -> None:
        objects = [ipaddress.ip_address("10.98.98.2"), ipaddress.ip_network("2001:db8:8::/64")]
        assert Antispoof(MacAddr(MAC), ips=objects, dhcp_client=True) == LOCK
        assert Antispoof(MAC, ips=ipaddress.ip_network("10.0.0.0/30")).ips == (ipaddress.ip_network("10.0.0.0/30"),)
        assert Antispoof(iter([MAC]), ips=iter(objects), dhcp_client=True) == LOCK

    def test_its_text_is_read_back(self) -> None:
        assert str(LOCK) == f"mac={MAC} ip=10.98.98.2,2001:db8:8::/64 dhcp"
        assert Antispoof.parse(str(LOCK)) == LOCK

    def test_what_is_wrong_is_said_with_advice(self) -> None:
        with pytest.raises(InvalidArgumentError, match="host bits") as caught:
            Antispoof(MAC, ips="10.0.0.5/24")
        assert caught.value.advice == "write 10.0.0.5 for the one address, 10.0.0.0/24 for the prefix"
        with pytest.raises(InvalidArgumentError, match="no unicast"):
            Antispoof("01:00:00:00:00:01")
        with pytest.raises(InvalidArgumentError, match="at least one MAC"):
            Antispoof([])
        with pytest.raises(ParseError, match="unknown word"):
            Antispoof.parse(f"mac={MAC} everything")
        for wrong in (1, b"123456", [1]):
            with pytest.raises(TypeError, match="MAC address"):
                Antispoof(wrong)  # type: ignore[arg-type]

    def test_locks_are_checked_where_they_are_used(self) -> None:
        for wrong in (None, "disabled", True, MAC):
            with pytest.raises(TypeError, match="Lock.DISABLED"):
                Operation.set_antispoof("vif1.0", wrong)  # type: ignore[arg-type]


class TestAttachment:
    def test_what_is_given_comes_back(self) -> None:
        web = Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="web", mtu=1400, isolated=True)
        assert (web.vif, web.bridge, web.lock, web.name) == ("vif1.0", "xenbr0", LOCK, "web")
        assert (web.final_name, web.mtu, web.isolated) == ("web", 1400, True)
        plain = Attachment("vif1.0", bridge="xenbr0", lock=Lock.DISABLED)
        assert plain.lock is Lock.DISABLED
        assert (plain.name, plain.final_name, plain.mtu, plain.isolated) == (None, "vif1.0", None, False)
        assert (plain.untracked, plain.gateways, plain.routes, plain.dom0) == (False, (), (), None)
        assert (web.accounted, Attachment("vif1.0", bridge="xenbr0", lock=LOCK, accounted=True).accounted) == (False, True)

    def test_a_routed_one(self) -> None:
        web = Attachment.routed(
            VifId(1, devid=0), lock=LOCK, gateways=ipaddress.ip_address("10.0.0.1"), routes="10.0.0.2", dom0="closed"
        )
        assert (web.vif, web.bridge, web.lock, web.dom0) == ("vif1.0", None, LOCK, Dom0.CLOSED)
        assert web.gateways == (ipaddress.ip_address("10.0.0.1"),)
        assert web.routes == (ipaddress.ip_network("10.0.0.2/32"),)
        assert str(Operation.attach_vif(web)) == "attach vif1.0 to dom0's routes"
        assert Attachment.routed("vif1.0", lock=LOCK).dom0 == Dom0.OPEN
        assert (web.accounted, Attachment.routed("vif1.0", lock=LOCK, accounted=True).accounted) == (False, True)

    def test_what_is_wrong_with_a_routed_one_is_said(self) -> None:
        with pytest.raises(InvalidArgumentError, match="would lead everything that dom0 sends to this guest") as caught:
            Attachment.routed("vif1.0", lock=LOCK, routes="0.0.0.0/0")
        assert caught.value.advice == "say what is to be routed to it"
        with pytest.raises(InvalidArgumentError, match="224.0.0.1 is no address that dom0 can have"):
            Attachment.routed("vif1.0", lock=LOCK, gateways="224.0.0.1")
        with pytest.raises(ParseError, match='"shut" is no setting for dom0'):
            Attachment.routed("vif1.0", lock=LOCK, dom0="shut")
        with pytest.raises(TypeError, match="lock"):
            Attachment.routed("vif1.0")  # type: ignore[call-arg]
        with pytest.raises(InvalidArgumentError, match="without a lock nobody knows"):
            Attachment("vif1.0", bridge="xenbr0", lock=Lock.DISABLED, untracked=True)

    def test_the_lock_must_be_chosen(self) -> None:
        with pytest.raises(TypeError, match="lock"):
            Attachment("vif1.0", bridge="xenbr0")  # type: ignore[call-arg]

    def test_another_guests_name_is_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="another guest's"):
            Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="vif2.0")


class TestDom0:
    def test_what_is_given_comes_back_in_order(self) -> None:
        access = Dom0(["tcp:8080", "dns", "dns"])
        assert access.services == ("dns", "tcp:8080")
        assert str(access) == "services(dns,tcp:8080)"
        assert Dom0.parse(str(access)) == access
        assert Dom0("dns") == Dom0(iter(["dns"]))
        assert Dom0.OPEN.services == Dom0.CLOSED.services == ()
        assert (Dom0.parse("open"), Dom0.parse("closed")) == (Dom0.OPEN, Dom0.CLOSED)

    def test_its_text_will_do(self) -> None:
        for access in (Dom0.CLOSED, Dom0("dns"), Dom0.OPEN):
            assert Operation.set_dom0("xenbr0", access) == Operation.set_dom0("xenbr0", str(access))

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(ParseError, match='"dhpc" is no service of dom0\'s') as caught:
            Dom0.parse("services(dns,dhpc)")
        assert caught.value.offset == 13
        assert caught.value.advice is not None and "dhcp, dns, icmp" in caught.value.advice
        with pytest.raises(ParseError, match="no service"):
            Dom0("closed")
        with pytest.raises(InvalidArgumentError, match="a list of services without one"):
            Dom0([])
        with pytest.raises(InvalidArgumentError, match="too many services: 100"):
            Dom0(f"tcp:{port}" for port in range(1000, 1100))
        for wrong in (None, 53, [53]):
            with pytest.raises(TypeError, match="service of dom0's"):
                Dom0(wrong)  # type: ignore[arg-type]
        for other in (None, True, ["dns"]):
            with pytest.raises(TypeError, match="what guests reach on dom0"):
                Operation.set_dom0("xenbr0", other)  # type: ignore[arg-type]
