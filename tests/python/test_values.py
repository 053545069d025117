"""Values: made, checked, compared, printed, copied. No kernel, no privilege."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import xenvnet
from samples import BROUTER, LOCK, MAC, PLAN, REPORT
from xenvnet import *  # noqa: F403  (reprs are to evaluate with exactly this)
from xenvnet import Antispoof, Attachment, Bridge, Brouter, Dom0, Forward, Lock, MacAddr, Masquerade, Network, Operation
from xenvnet import AdditionalPort, BridgedNetwork, NatNetwork, NoNetwork, RoutedNetwork, ShadowNetwork, Uplink
from xenvnet import Account, BridgeState, Counter, Drops, Finding, Guard, Link, NetworkRecord, Plan
from xenvnet import PortState, Report, Snapshot, Untracked, VifId
from xenvnet import GuestFile, MacCheck, OvsBridge, Rate, VifDefaults, VifScript, VifSpec, VlanSpec, XendConfig

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
    Attachment("vif1.0", bridge="xenbr0", lock=LOCK, name="web", accounted=True),
    Attachment.routed("vif1.0", lock=LOCK),
    Attachment.routed("vif1.0", lock=LOCK, name="web", accounted=True),
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
    Operation.forget_account("web"),
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
    Counter(2, 168),
    Account(1, Counter(2, 168), Counter(0, 0)),
    Account(1, Counter(2, 168), Counter(0, 0), routed=True),
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
