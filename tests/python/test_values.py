"""Values: made, checked, compared, printed, copied. No kernel, no privilege."""

from __future__ import annotations

import copy
import ipaddress
import pickle
from pathlib import Path
from typing import Any

import pytest
import xenvnet
from xenvnet import *  # noqa: F403  (reprs are to evaluate with exactly this)
from xenvnet import Antispoof, Attachment, Bridge, Brouter, Dom0, Forward, Lock, MacAddr, Masquerade, Network, Operation
from xenvnet import AdditionalPort, BridgedNetwork, NatNetwork, NoNetwork, RoutedNetwork, ShadowNetwork, Uplink
from xenvnet import BridgeState, Drops, Finding, Guard, InvalidArgumentError, Link, NetworkRecord, ParseError, Plan
from xenvnet import ConflictError, PortState, Report, Snapshot, Untracked, VifId
from xenvnet import GuestFile, MacCheck, OvsBridge, Rate, VifDefaults, VifScript, VifSpec, VlanSpec, XendConfig

DATA = Path(__file__).parent.parent / "data"

MAC = "00:16:3e:00:00:01"
LOCK = Antispoof(MAC, ips=["10.98.98.2", "2001:db8:8::/64"], dhcp_client=True)
BROUTER = Brouter("xenbr0", address="10.98.98.1/24", uplink="eth0", antispoof=True)
PLAN = Operation.create_bridge("xenbr0").plan(Snapshot())
REPORT = Report.from_json(
    '{"findings":[{"finding":"renamed","vif":"web","was":"vif1.0"},'
    '{"finding":"pair","vif":"vif2.0","twin":"vif2.0-emu"},{"finding":"unguarded","vif":"vif3.0"},'
    '{"finding":"dom0_differs","interface":"xenbr0","asked":"services(dns)","missing":2,"surplus":0}],'
    f'"repair":{PLAN.to_json()}}}'
)
GUEST = GuestFile.parse("name = 'w\"eb'\nvif = [ 'bridge=xenbr0', 'bridge=it\\'s' ]")
XEND = XendConfig.parse("(network-script 'network-bridge netdev=eth1')(vif-script vif-bridge)(vif-antispoof yes)")
CHECK = MacCheck.of({"a": f"vif = ['mac={MAC}', 'mac={MAC}']", "b": "import os"})

VALUES: list[Any] = [
    MacAddr(MAC),
    MacAddr.VIF_BACKEND,
    VifId(5, devid=1),
    Bridge("xenbr0"),
    Bridge("x'b\"0", mac=MAC, mtu=9000, stp=True, addresses=["10.0.0.1/24", "2001:db8::1/64"]),
    Antispoof(MAC),
    Antispoof([MAC, "00:16:3e:00:00:02"], link_local=False),
    LOCK,
    Lock.DISABLED,
    Lock.UNLOCKED,
    Masquerade("10.0.0.0/8"),
    Masquerade("2001:db8::/32", uplink="eth0"),
    Masquerade("2001:db8::/32", uplink="eth0", everywhere=True),
    Forward("tcp:8080", to="10.98.98.2:80"),
    Forward("udp:53", to="[2001:db8::2]:5353", behind="xenbr0"),
    Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="web", mtu=1400, isolated=True),
    Attachment("vif1.0", bridge="xenbr0", lock=Lock.UNLOCKED),
    Attachment("vif1.0", bridge="xenbr0", lock=LOCK, untracked=True),
    Attachment.routed("vif1.0", lock=LOCK),
    Attachment.routed("vif1.0", lock=LOCK, gateway_device="eth0"),
    Attachment.routed("vif1.0", lock=LOCK, gateways=["10.0.0.1", "fe80::1"], dom0="services(dns)", name="web", mtu=1400),
    Attachment.routed("vif1.0", lock=Lock.DISABLED, routes=["10.0.0.2", "2001:db8::/64"], dom0=Dom0.CLOSED),
    Dom0.OPEN,
    Dom0.CLOSED,
    Dom0("dns"),
    Dom0(["tcp:8080", "dns", "udp:514", "icmp"]),
    Brouter("xenbr0", address="10.98.98.1/24"),
    Brouter("xenbr0", address="10.98.98.1/24", dom0="services(dhcp,dns)"),
    Brouter("xenbr0", address="10.98.98.1/32", subnet="10.98.0.0/16", uplink="eth0", antispoof=True),
    BridgedNetwork(),
    BridgedNetwork("eth0"),
    BridgedNetwork("eth0", bridge="xenbr0", antispoof=True),
    BridgedNetwork(Uplink.NOTHING, bridge="xenbr1"),
    Uplink.NOTHING,
    ShadowNetwork("eth0"),
    ShadowNetwork(["eth0", "eth1"]),
    RoutedNetwork(),
    RoutedNetwork("eth0", ipv6=False, antispoof=True),
    NatNetwork(),
    NatNetwork("eth0", subnets=["192.168.7.0/24", "fd00:5::/64"], antispoof=True),
    AdditionalPort("xenbr0"),
    AdditionalPort("xenbr0", port="vif0.1"),
    NoNetwork(),
    Operation.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=LOCK)),
    Operation.forward_port("tcp:8080 to 10.98.98.2:80"),
    Operation.unforward_port("tcp:8080"),
    Operation.set_dom0("xenbr0", "closed"),
    Plan.from_json("[]"),
    PLAN,
    Snapshot(),
    Snapshot().after(PLAN),
    BridgeState(False, 0),
    PortState(True, False, None),
    PortState(False, False, True, flood=False, bpdu_guard=True, group_fwd_mask=0xfffd),
    Guard(3, LOCK),
    Guard(3, Lock.DISABLED, owner="vif1.0"),
    Drops("vif1.0", "mac", 3, 180),
    Drops("vif1.0", "mac", 3, 180, "netdev"),
    Untracked(MacAddr.VIF_BACKEND, (MacAddr(MAC),)),
    Report.from_json('{"findings":[],"repair":[]}'),
    REPORT,
    *REPORT.findings,
    NetworkRecord(BROUTER, {"net.ipv4.ip_forward": 1}),
    NetworkRecord(BridgedNetwork("eth0"), {}),
    Link(4, "vif1.0", MacAddr(MAC), 1500, True, 7777, "", "xenbr0", False, None, PortState(False, False, True)),
    GUEST,
    *GUEST.vifs,
    XEND,
    XEND.network_script,
    XEND.vif_script,
    Rate(62500, usecs=50000),
    VlanSpec.parse("10p/20/30-32u"),
    VlanSpec.parse("7"),
    OvsBridge.parse("ovs0.20:30"),
    VifScript.parse("vif-bridge"),
    VifScript.parse("vif-route netdev=eth1"),
    VifDefaults(),
    VifDefaults(script="vif-nat dhcp=no", bridge="xenbr1", gateway_device="eth0"),
    VifSpec.parse(""),
    VifSpec.parse(f"mac={MAC},ip=10.98.98.2 2001:db8::/64,type=ioemu,vifname=web,rate=1MB/s@20ms,untrusted"),
    VifSpec.parse("bridge=ovs0.20:30,vlan=7/8u,colo_checkpoint_port=9000"),
    VifSpec.from_xm("type=netfront,policy=a,label=b")[0],
    CHECK,
    *CHECK.macs,
    *CHECK.findings,
    Link(4, "vif1.0", None, 1500, True, 7777, "", "xenbr0", False, None, PortState(False, False, True), shut=True),
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
class TestEveryValue:
    def test_its_repr_makes_it_again(self, value: Any) -> None:
        again = eval(repr(value))
        assert again == value
        assert type(again) is type(value)

    def test_equal_values_have_equal_hashes(self, value: Any) -> None:
        again = eval(repr(value))
        assert hash(again) == hash(value)
        assert len({value, again}) == 1
        assert [other for other in VALUES if other == value] == [value]
        assert value != 0 and value != repr(value)

    def test_it_is_copied_and_pickled(self, value: Any) -> None:
        assert copy.copy(value) == value
        assert copy.deepcopy(value) == value
        assert pickle.loads(pickle.dumps(value)) == value

    def test_it_cannot_be_changed(self, value: Any) -> None:
        # A member of an enum has the other members for attributes as well, in some Pythons.
        members = {*Lock.__members__, *Uplink.__members__}
        names = [name for name in dir(value) if not name.startswith("_") and name not in members]
        assert names
        for name in names:
            with pytest.raises((AttributeError, TypeError)):
                setattr(value, name, 1)
            with pytest.raises((AttributeError, TypeError)):
                delattr(value, name)


def test_all_is_all() -> None:
    public = {name for name in dir(xenvnet) if not name.startswith("_")}
    assert set(xenvnet.__all__) == public | {"__version__"}
    assert xenvnet.__all__ == sorted(xenvnet.__all__)


class TestMacAddr:
    def vectors(self) -> list[list[str]]:
        lines = (DATA / "mac-from-ip.txt").read_text(encoding="ascii").splitlines()
        return [line.split() for line in lines if line and not line.startswith("#")]

    def test_from_ip_follows_its_published_vectors(self) -> None:
        assert len(self.vectors()) >= 12
        for ip, prefix, mac in self.vectors():
            assert str(MacAddr.from_ip(ip, prefix=prefix)) == mac
            assert str(MacAddr.from_ip(ipaddress.ip_address(ip), prefix=prefix)) == mac

    def test_the_default_prefix(self) -> None:
        assert MacAddr.from_ip("10.98.98.2") == MacAddr("2e:00:0a:62:62:02")
        assert MacAddr.from_ip(ipaddress.ip_interface("10.98.98.2")) == MacAddr("2e:00:0a:62:62:02")

    def test_what_it_gives(self) -> None:
        mac = MacAddr.from_ip("10.98.98.2")
        assert mac.ipv4 == ipaddress.IPv4Address("10.98.98.2")
        assert mac.is_local and mac.is_unicast
        assert mac.packed == bytes(mac) == bytes.fromhex("2e000a626202")
        assert MacAddr(mac.packed) == MacAddr(mac) == mac
        assert MacAddr(MAC).ipv4 is None
        assert MacAddr(MAC).link_local == ipaddress.IPv6Address("fe80::216:3eff:fe00:1")

    def test_random_ones_are_xens(self) -> None:
        drawn = [MacAddr.random_xen() for _ in range(16)]
        assert all(mac.packed.startswith(MacAddr.XEN_OUI) and not mac.is_local for mac in drawn)
        assert len(set(drawn)) > 1

    def test_those_that_are_taken_are_avoided(self) -> None:
        taken = [MacAddr.random_xen(), str(MacAddr.random_xen())]
        for mac in (MacAddr.random_xen_avoiding(taken), MacAddr.random_xen_avoiding(MAC), MacAddr.random_xen_avoiding([])):
            assert mac.is_xen and not mac.is_local
            assert mac not in taken and mac != MacAddr(MAC)
        local = MacAddr.random_local_avoiding(iter(taken))
        assert local.is_local and local.is_unicast and not local.is_xen
        with pytest.raises(TypeError, match="MAC address"):
            MacAddr.random_local_avoiding([1])  # type: ignore[list-item]

    def test_odds_are_those_of_the_birthdays(self) -> None:
        percent = [f"{MacAddr.collision_odds(1000, bits=bits):.1%}" for bits in (24, 23, 46)]
        assert percent == ["2.9%", "5.8%", "0.0%"]
        assert (MacAddr.collision_odds(1, bits=24), MacAddr.collision_odds(3, bits=1)) == (0.0, 1.0)
        with pytest.raises(OverflowError):
            MacAddr.collision_odds(-1, bits=24)

    def test_order_is_that_of_the_octets(self) -> None:
        assert MacAddr(MAC) < MacAddr("00:16:3e:00:00:02") <= MacAddr.VIF_BACKEND
        with pytest.raises(TypeError):
            MacAddr(MAC) < MAC  # type: ignore[operator]

    def test_every_usual_spelling_is_read(self) -> None:
        for text in ("00-16-3E-00-00-01", "0016.3e00.0001", "00163e000001"):
            assert MacAddr(text) == MacAddr(MAC)

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(ParseError, match="byte 9") as caught:
            MacAddr("00:16:3e:xx:00:01")
        assert caught.value.offset == 9
        with pytest.raises(ParseError, match="6 octets, not 5"):
            MacAddr(b"12345")
        with pytest.raises(ParseError, match='"10.0.0" is no IP address') as caught:
            MacAddr.from_ip("10.0.0")
        assert caught.value.offset == 0
        with pytest.raises(InvalidArgumentError, match="multicast") as refused:
            MacAddr.from_ip("10.0.0.1", prefix="01:00")
        assert refused.value.advice is not None
        for wrong in (1, None, 1.5, ["00", "16"]):
            with pytest.raises(TypeError):
                MacAddr(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError):
                MacAddr.from_ip(wrong)  # type: ignore[arg-type]


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


class TestBridge:
    def test_what_is_given_comes_back(self) -> None:
        bridge = Bridge("xenbr0", mac=MacAddr(MAC), mtu=9000, stp=True, addresses=["10.0.0.1/24", "2001:db8::1/64"])
        assert (bridge.name, bridge.mac, bridge.mtu, bridge.stp) == ("xenbr0", MacAddr(MAC), 9000, True)
        assert bridge.addresses == (
            ipaddress.ip_interface("10.0.0.1/24"),
            ipaddress.ip_interface("2001:db8::1/64"),
        )

    def test_one_address_needs_no_list(self) -> None:
        for one in ("10.0.0.1/24", ipaddress.ip_interface("10.0.0.1/24")):
            assert Bridge("xenbr0", addresses=one) == Bridge("xenbr0", addresses=[one])

    def test_only_the_name_goes_by_position(self) -> None:
        with pytest.raises(TypeError):
            Bridge("xenbr0", MAC)  # type: ignore[call-arg]

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(ParseError, match="is 18 bytes, the kernel's limit is 15"):
            Bridge("wiki.xen.prgmr.com")
        with pytest.raises(ParseError, match="'/' at byte 3"):
            Bridge("xen/br0")
        with pytest.raises(InvalidArgumentError, match="MTU of 67"):
            Bridge("xenbr0", mtu=67)
        with pytest.raises(InvalidArgumentError, match="no unicast MAC"):
            Bridge("xenbr0", mac="01:00:00:00:00:01")
        with pytest.raises(InvalidArgumentError, match="the network itself"):
            Bridge("xenbr0", addresses="10.0.0.0/24")
        with pytest.raises(ParseError, match='"10.0.0.1/33" is no IP address or prefix'):
            Bridge("xenbr0", addresses=["10.0.0.1/24", "10.0.0.1/33"])
        with pytest.raises(TypeError, match="name of an interface"):
            Bridge(5)  # type: ignore[arg-type]


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


class TestMasquerade:
    def test_what_is_given_comes_back(self) -> None:
        rule = Masquerade("10.0.0.0/8", uplink="eth0")
        assert rule.subnet == ipaddress.ip_network("10.0.0.0/8")
        assert rule.uplink == "eth0"
        assert Masquerade.parse(str(rule)) == rule
        assert Masquerade(ipaddress.ip_network("10.0.0.0/8")).uplink is None
        everywhere = Masquerade("10.0.0.0/8", everywhere=True)
        assert (rule.everywhere, everywhere.everywhere, str(everywhere)) == (False, True, "10.0.0.0/8 everywhere")
        assert Masquerade.parse(str(everywhere)) == everywhere

    def test_a_subnet_will_do(self) -> None:
        assert Operation.masquerade_subnet("10.0.0.0/8") == Operation.masquerade_subnet(Masquerade("10.0.0.0/8"))

    def test_host_bits_are_refused(self) -> None:
        with pytest.raises(InvalidArgumentError, match="host bits") as caught:
            Masquerade("10.0.0.1/8")
        assert caught.value.advice == "write 10.0.0.0/8"
        with pytest.raises(ParseError):
            Masquerade.parse("everything")


class TestForward:
    def test_what_is_given_comes_back(self) -> None:
        forward = Forward("tcp:8080", to="10.98.98.2:80", behind="xenbr0")
        assert (forward.port, forward.to, forward.behind) == (
            "tcp:8080",
            (ipaddress.IPv4Address("10.98.98.2"), 80),
            "xenbr0",
        )
        assert str(forward) == "tcp:8080 to 10.98.98.2:80 behind xenbr0"
        assert Forward.parse(str(forward)) == forward
        assert Forward("tcp:8080", to="10.98.98.2:80").behind is None

    def test_an_address_and_its_port_are_a_tuple_too(self) -> None:
        six = Forward("udp:53", to="[2001:db8::2]:53")
        for ip in ("2001:db8::2", ipaddress.ip_address("2001:db8::2")):
            assert Forward("udp:53", to=(ip, 53)) == six
        assert Forward(six.port, to=six.to) == six

    def test_its_text_will_do(self) -> None:
        forward = Forward("tcp:8080", to="10.98.98.2:80")
        assert Operation.forward_port(str(forward)) == Operation.forward_port(forward)
        assert str(Operation.unforward_port("tcp:8080")) == "end the forwarding of tcp:8080"

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(ParseError, match='"tcp:0" is no port of dom0\'s') as caught:
            Forward("tcp:0", to="10.98.98.2:80")
        assert (caught.value.offset, caught.value.advice) == (4, "write tcp:PORT or udp:PORT")
        with pytest.raises(ParseError, match='"10.98.98.2" is no address and port'):
            Forward("tcp:8080", to="10.98.98.2")
        with pytest.raises(InvalidArgumentError, match="127.0.0.1 is no guest's address"):
            Forward("tcp:8080", to="127.0.0.1:80")
        with pytest.raises(InvalidArgumentError, match="0 is no port"):
            Forward("tcp:8080", to=("10.98.98.2", 0))
        with pytest.raises(OverflowError):
            Forward("tcp:8080", to=("10.98.98.2", 65536))
        with pytest.raises(ParseError, match="interface name"):
            Forward("tcp:8080", to="10.98.98.2:80", behind="a/b")
        for wrong in (None, 80, ["10.98.98.2", 80]):
            with pytest.raises(TypeError, match="an address and port"):
                Forward("tcp:8080", to=wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="a port of dom0's"):
                Operation.unforward_port(wrong)  # type: ignore[arg-type]
            with pytest.raises(TypeError, match="what leads where"):
                Operation.forward_port(wrong)  # type: ignore[arg-type]


class TestAttachment:
    def test_what_is_given_comes_back(self) -> None:
        web = Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="web", mtu=1400, isolated=True)
        assert (web.vif, web.bridge, web.lock, web.name) == ("vif1.0", "xenbr0", LOCK, "web")
        assert (web.final_name, web.mtu, web.isolated) == ("web", 1400, True)
        plain = Attachment("vif1.0", bridge="xenbr0", lock=Lock.DISABLED)
        assert plain.lock is Lock.DISABLED
        assert (plain.name, plain.final_name, plain.mtu, plain.isolated) == (None, "vif1.0", None, False)
        assert (plain.untracked, plain.gateways, plain.routes, plain.dom0) == (False, (), (), None)

    def test_a_routed_one(self) -> None:
        web = Attachment.routed(
            VifId(1, devid=0), lock=LOCK, gateways=ipaddress.ip_address("10.0.0.1"), routes="10.0.0.2", dom0="closed"
        )
        assert (web.vif, web.bridge, web.lock, web.dom0) == ("vif1.0", None, LOCK, Dom0.CLOSED)
        assert web.gateways == (ipaddress.ip_address("10.0.0.1"),)
        assert web.routes == (ipaddress.ip_network("10.0.0.2/32"),)
        assert str(Operation.attach_vif(web)) == "attach vif1.0 to dom0's routes"
        assert Attachment.routed("vif1.0", lock=LOCK).dom0 == Dom0.OPEN

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


class TestReport:
    def test_a_finding_says_what_it_is_about(self) -> None:
        renamed, pair, unguarded, dom0 = REPORT.findings
        assert (renamed.kind, renamed.severity, renamed.repairable) == ("renamed", "fault", True)
        assert (renamed.vif, renamed.was, renamed.bridge) == ("web", "vif1.0", None)
        assert str(renamed) == "web was vif1.0 when it was locked: its lock stands under the old name"
        assert renamed.remedy == "xenvnet verify --repair"
        assert (pair.severity, pair.twin, pair.repairable) == ("note", "vif2.0-emu", False)
        assert (unguarded.severity, unguarded.repairable) == ("hole", False)
        assert "antispoof set vif3.0" in unguarded.remedy
        assert (dom0.interface, dom0.asked, dom0.missing, dom0.surplus) == ("xenbr0", Dom0("dns"), 2, 0)
        assert "None" not in repr(renamed)

    def test_it_is_as_bad_as_its_worst_finding(self) -> None:
        assert (REPORT.is_sound, REPORT.worst) == (False, "hole")
        nothing = Report.from_json('{"findings":[],"repair":[]}')
        assert (nothing.is_sound, nothing.worst, nothing.findings, str(nothing)) == (True, None, (), "")
        note = Report.from_json('{"findings":[{"finding":"no_port_lock","vif":"vif1.0"}],"repair":[]}')
        assert (note.is_sound, note.worst) == (True, "note")

    def test_its_text_has_each_finding_with_its_remedy(self) -> None:
        lines = [line for of in REPORT.findings for line in (f"{of.severity}: {of}", f"  remedy: {of.remedy}")]
        assert str(REPORT).splitlines() == lines
        assert REPORT.repair == PLAN

    def test_json(self) -> None:
        assert Report.from_json(REPORT.to_json()) == REPORT
        for text in ("", "[]", '{"findings":[{"finding":"bored"}],"repair":[]}'):
            with pytest.raises(ParseError, match="^report: "):
                Report.from_json(text)


class TestNetwork:
    def test_its_line_gives_its_kind(self) -> None:
        line = "network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 brnet=10.98.98.0/24 uplink=eth0 antispoof=yes"
        network = Network.parse(line)
        assert isinstance(network, Brouter)
        assert network == BROUTER
        assert hash(network) == hash(BROUTER)
        assert str(network) == line
        assert (network.bridge, network.id, network.demands_lock) == ("xenbr0", "xenbr0", True)
        assert network.address == ipaddress.ip_interface("10.98.98.1/24")
        assert network.subnet == ipaddress.ip_network("10.98.98.0/24")
        assert (network.uplink, network.antispoof, network.dom0) == ("eth0", True, Dom0.OPEN)

    @pytest.mark.parametrize(
        ("line", "network", "bridge", "name"),
        [
            ("network-bridge", BridgedNetwork(), None, None),
            ("network-bridge netdev=eth0", BridgedNetwork("eth0"), "eth0", "eth0"),
            ("network-bridge bridge=xenbr0 netdev=eth0", BridgedNetwork("eth0", bridge="xenbr0"), "xenbr0", "xenbr0"),
            ("network-bridge bridge=xenbr0 antispoof=yes", BridgedNetwork(bridge="xenbr0", antispoof=True), "xenbr0", "xenbr0"),
            ("network-bridge bridge=xenbr1 netdev=dummy0", BridgedNetwork(Uplink.NOTHING, bridge="xenbr1"), "xenbr1", "xenbr1"),
            ("bridge-shadow eth0 eth1", ShadowNetwork(["eth0", "eth1"]), "eth0", "eth0"),
            ("network-route netdev=eth0 ipv6=no", RoutedNetwork("eth0", ipv6=False), None, "route:eth0"),
            ("network-nat netdev=eth0 subnet=fd00:5::/64", NatNetwork("eth0", subnets="fd00:5::/64"), None, "nat:eth0"),
            ("network-bridge-additional bridge=xenbr0 netdev=vif0.1", AdditionalPort("xenbr0", port="vif0.1"), "xenbr0", "vif0.1"),
            ("network-dummy", NoNetwork(), None, None),
        ],
    )
    def test_every_kind_is_its_line(self, line: str, network: Network, bridge: str, name: str) -> None:
        assert str(network) == line
        read = Network.parse(line)
        assert (read, type(read), hash(read)) == (network, type(network), hash(network))
        assert (network.bridge, network.id) == (bridge, name)

    def test_what_is_given_comes_back(self) -> None:
        assert (BridgedNetwork("eth0").uplink, BridgedNetwork().uplink) == ("eth0", None)
        assert BridgedNetwork(Uplink.NOTHING, bridge="xenbr1").uplink is Uplink.NOTHING
        assert BridgedNetwork(bridge="xenbr0", antispoof=True).demands_lock
        assert ShadowNetwork(["eth0", "eth1"]).uplinks == ("eth0", "eth1")
        assert (RoutedNetwork("eth0").ipv6, RoutedNetwork("eth0", ipv6=True).ipv6) == (None, True)
        nat = NatNetwork(subnets=[ipaddress.ip_network("192.168.7.0/24"), "fd00:5::/64"])
        assert nat.subnets == (ipaddress.ip_network("192.168.7.0/24"), ipaddress.ip_network("fd00:5::/64"))
        assert (NatNetwork().subnets, nat.uplink, nat.antispoof) == ((), None, False)
        assert (AdditionalPort("xenbr0").port, AdditionalPort("xenbr0", port="vif0.1").port) == (None, "vif0.1")

    def test_a_value_is_what_its_line_says(self) -> None:
        assert BridgedNetwork("eth0", bridge="eth0") == BridgedNetwork("eth0")
        assert BridgedNetwork("dummy0", bridge="xenbr1") == BridgedNetwork(Uplink.NOTHING, bridge="xenbr1")
        assert Network.parse("network-virtual bridge=null") == NoNetwork()

    def test_what_no_network_is_is_said(self) -> None:
        with pytest.raises(InvalidArgumentError, match='would be read as "network-dummy"'):
            BridgedNetwork("eth0", bridge="null")
        with pytest.raises(ParseError, match="bridge-shadow of which interface"):
            ShadowNetwork([])
        with pytest.raises(ParseError, match="eth0 is named twice"):
            ShadowNetwork(["eth0", "eth0"])
        with pytest.raises(InvalidArgumentError, match="host bits"):
            NatNetwork("eth0", subnets="192.168.7.1/24")
        with pytest.raises(ParseError, match="interface name"):
            BridgedNetwork("a/b")
        for wrong in (True, 1, Lock.DISABLED):
            with pytest.raises(TypeError, match="Uplink.NOTHING or None"):
                RoutedNetwork(wrong)  # type: ignore[arg-type]

    def test_what_its_guests_reach_on_dom0(self) -> None:
        network = Network.parse("network-virtual bridge=xenbr0 bridgeip=10.98.98.1/24 dom0=services(dns,dhcp)")
        assert network == Brouter("xenbr0", address="10.98.98.1/24", dom0=Dom0(["dhcp", "dns"]))
        assert str(network).endswith(" dom0=services(dhcp,dns)")

    def test_a_line_will_do(self) -> None:
        assert Operation.start_network(str(BROUTER)) == Operation.start_network(BROUTER)

    def test_only_its_kinds_are_made(self) -> None:
        with pytest.raises(TypeError):
            Network()

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(ParseError, match='did you mean "bridge"') as caught:
            Network.parse("network-virtual brige=xenbr0")
        assert caught.value.offset == 16
        with pytest.raises(InvalidArgumentError, match="nobody would hear"):
            Network.parse("network-virtual dhcp=yes dom0=closed")
        with pytest.raises(InvalidArgumentError, match="could not reach their gateway"):
            Brouter("xenbr0", address="10.98.98.1/24", subnet="10.1.0.0/16")


class TestPlan:
    def test_its_steps_are_lines(self) -> None:
        assert len(PLAN) == len(PLAN.steps) == 2
        assert list(PLAN) == list(PLAN.steps) == str(PLAN).splitlines()
        assert PLAN.steps[1] == "~ xenbr0: up"
        assert PLAN and not Plan.from_json("[]")

    def test_it_is_put_back_and_joined(self) -> None:
        assert PLAN.inverse().steps == ("~ xenbr0: down", "- bridge xenbr0")
        assert PLAN.inverse().inverse() == PLAN
        assert len(PLAN.then(PLAN.inverse())) == 4

    def test_json(self) -> None:
        assert Plan.from_json(PLAN.to_json()) == PLAN
        for text in ("", "{}", '[{"step":"dance"}]', '[{"step":"up","link":"a/b"}]'):
            with pytest.raises(ParseError, match="^plan: ") as caught:
                Plan.from_json(text)
            assert caught.value.offset is not None


class TestOperation:
    def test_json(self) -> None:
        operation = Operation.create_bridge("xenbr0")
        assert operation.to_json() == '{"create_bridge":{"name":"xenbr0","stp":false}}'
        assert Operation.from_json(operation.to_json()) == operation
        assert (operation.verb, str(operation)) == ("create_bridge", "create bridge xenbr0")
        with pytest.raises(ParseError, match="limit is 15"):
            Operation.from_json('{"release_vif":{"vif":"a.name.that.is.too.long"}}')
        with pytest.raises(ParseError, match="one operation is wanted, not a list of 2"):
            Operation.from_json(f"[{operation.to_json()}, {operation.to_json()}]")

    def test_a_plan_needs_no_kernel(self) -> None:
        operation = Operation.create_bridge(Bridge("xenbr0", addresses="10.0.0.1/24"))
        after = Snapshot().after(operation.plan(Snapshot()))
        assert not operation.plan(after)
        assert [bridge.name for bridge in after.bridges] == ["xenbr0"]
        assert after.addresses == {"xenbr0": (ipaddress.ip_interface("10.0.0.1/24"),)}
        assert after.links["xenbr0"].bridge == BridgeState(stp=False, forward_delay=0)
        with pytest.raises(xenvnet.NotFoundError, match="cannot release vif1.0: no interface named vif1.0"):
            Operation.release_vif("vif1.0").plan(Snapshot())


def test_a_snapshot_of_guests_that_are_held_at_ingress() -> None:
    card = '{"index":4,"name":"vif1.0","mac":null,"mtu":1500,"up":true,"group":7777}'
    guard = '{"device":4,"owner":"vif1.0","lock":"disabled"}'
    before = Snapshot()
    text = before.to_json()[:-1] + f', "ingress":{{"vif1.0":{guard}}}, "hooks":["vif1.0"], "dom0":{{"vif1.0":"closed"}}}}'
    now = Snapshot.from_json(text.replace('"links":{}', f'"links":{{"vif1.0":{card}}}'))
    held = Guard(4, Lock.DISABLED, owner="vif1.0")
    assert (now.guards, now.ingress, now.hooks) == ({}, {"vif1.0": held}, ("vif1.0",))
    assert now.guard_of("vif1.0") == held
    assert not now.is_paired("vif1.0")
    assert now.dom0 == {"vif1.0": Dom0.CLOSED}
    assert (before.ingress, before.hooks, before.dom0, before.untracked, before.tables) == ({}, (), {}, {}, {})
    closed = before.after(Operation.set_dom0("xenbr0", "closed").plan(before))
    assert closed.dom0 == {"xenbr0": Dom0.CLOSED}
    assert list(closed.tables) == ["dom0"]


def test_a_snapshot_of_ports_that_lead_to_guests() -> None:
    forward = Forward("tcp:8080", to="10.98.98.2:80")
    operation, before = Operation.forward_port(forward), Snapshot()
    after = before.after(operation.plan(before))
    assert (before.forwards, after.forwards, list(after.tables)) == ((), (forward,), ["forwards"])
    assert not operation.plan(after)
    with pytest.raises(ConflictError, match="it leads to 10.98.98.2:80 already"):
        Operation.forward_port("tcp:8080 to 10.98.98.3:80").plan(after)
    assert after.after(Operation.unforward_port("tcp:8080").plan(after)) == before


def test_a_snapshot_as_dictionaries() -> None:
    after = Snapshot().after(PLAN)
    assert after.to_dict()["links"]["xenbr0"]["up"] is True
    assert Snapshot.from_json(after.to_json()) == after
    assert after.guard_of("xenbr0") is None
    assert (after.vifs, after.drops, after.masquerades, after.ports_of("xenbr0")) == ((), (), (), ())
