"""What guests' and xend's configurations say, and what becomes of it: texts in, attachments out."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, ip_address, ip_network
from typing import Any, Optional

import oracle
import pytest
import xenvnet
from xenvnet import (
    Antispoof,
    Attachment,
    BridgedNetwork,
    Forward,
    GuestFile,
    Host,
    InvalidArgumentError,
    Lock,
    MacAddr,
    MacCheck,
    Network,
    Operation,
    OvsBridge,
    ParseError,
    Rate,
    UnsupportedError,
    VifDefaults,
    VifId,
    VifScript,
    VifSpec,
    VlanSpec,
    XendConfig,
    XenvnetError,
    nat_gateway,
)

MAC = "00:16:3e:00:00:01"
GUEST = f"""# As people write them: é
name = "web"
memory = 512
vif = [ 'mac={MAC}, ip=10.98.98.2, bridge=xenbr1', # the first
        "vifname=it\\'s,brige=xenbr0" ]
"""
XEND = """# -*- sh -*-
(xend-relocation-hosts-allow '^localhost$')
(network-script 'network-bridge brige=xenbr0')
(vif-script "vif-bridge bridge=xenbr1")
"""


class TestGuestFile:
    def test_what_it_says(self) -> None:
        file = GuestFile.parse(GUEST)
        first, second = file.vifs
        assert (file.name, first.number, str(first)) == ("web", 4, first.text)
        assert GUEST.encode()[first.offset :].startswith(first.text.encode())
        assert VifSpec.parse(first).bridge == "xenbr1"
        assert second.text == "vifname=it's,brige=xenbr0"
        assert GuestFile.parse("memory = 512").name is None
        assert GuestFile.parse("vif += ['a']; vif += ['b']").vifs == GuestFile.parse("vif += ['a']; vif += ['b']").vifs

    @pytest.mark.parametrize("lenient", [False, True])
    def test_a_vifs_fault_is_told_with_the_files_byte(self, lenient: bool) -> None:
        line = GuestFile.parse(GUEST).vifs[1]
        at = GUEST.encode().index(b"brige")
        if lenient:
            _, (error,) = VifSpec.from_xl(line, lenient=True)
            assert type(error) is ParseError
        else:
            with pytest.raises(ParseError) as caught:
                VifSpec.from_xl(line)
            error = caught.value
        assert str(error) == f'vif: unknown key "brige" at byte {at}, line 5; did you mean "bridge"?'
        assert error.offset == at

    def test_it_is_read_and_never_run(self) -> None:
        with pytest.raises(ParseError, match="an assignment is wanted, NAME = VALUE at byte 0, line 1") as caught:
            GuestFile.parse("import os\nvif = ['']")
        assert caught.value.advice is not None and "the file is read, not run" in caught.value.advice
        with pytest.raises(ParseError, match="more than 64 deep"):
            GuestFile.parse("a = " + "[" * 1_000_000)
        with pytest.raises(TypeError):
            GuestFile.parse(b"vif = []")  # type: ignore[arg-type]


class TestXendConfig:
    def test_what_it_says(self) -> None:
        config = XendConfig.parse(XEND)
        assert config.network_script is not None and config.vif_script is not None
        assert config.network_script.number == 3
        assert XEND[config.network_script.offset :].startswith("network-bridge ")
        assert VifScript.parse(config.vif_script) == VifScript.parse("vif-bridge bridge=xenbr1")
        assert (config.vif_bridge, config.vif_antispoof) == (None, None)
        assert VifDefaults(script=config.vif_script).script.bridge == "xenbr1"
        oldest = XendConfig.parse("(vif-bridge xen-br0)(vif-antispoof no)(network-script '')")
        assert str(oldest.vif_bridge) == "xen-br0"
        assert (oldest.vif_antispoof, oldest.network_script) == (False, None)

    @pytest.mark.parametrize("read", [Network.parse, Operation.start_network])
    def test_a_lines_fault_is_told_with_the_files_byte(self, read: Any) -> None:
        with pytest.raises(ParseError, match='did you mean "bridge"') as caught:
            read(XendConfig.parse(XEND).network_script)
        assert caught.value.offset == XEND.index("brige")
        assert "line 3" in str(caught.value)

    def test_a_line_is_as_good_as_its_text(self) -> None:
        line = XendConfig.parse("(network-script 'network-bridge netdev=eth1')").network_script
        assert line is not None
        assert Network.parse(line) == BridgedNetwork("eth1")
        assert Operation.start_network(line) == Operation.start_network(BridgedNetwork("eth1"))

    def test_what_xend_passed_over_is_refused(self) -> None:
        with pytest.raises(ParseError, match="more than one value at byte 31, line 1") as caught:
            XendConfig.parse("(network-script network-bridge bridge=x)")
        assert caught.value.advice is not None and "put all of it in quotes" in caught.value.advice
        with pytest.raises(ParseError, match="never closed"):
            XendConfig.parse("(vif-script vif-bridge\n")


class TestVifSpec:
    def test_every_key_has_its_attribute(self) -> None:
        spec = VifSpec.parse(
            f"mac={MAC},bridge=xenbr0,ip=10.0.0.1 2001:db8::/64,vifname=web,script=vif-route,gatewaydev=eth0,type=vif,"
            "model=e1000,rate=10Mb/s,mtu=9000,vlan=10p/20,devid=3,backend=netvm,untrusted,accel=x"
        )
        assert (spec.mac, spec.bridge, spec.ovs_bridge, spec.name) == (MacAddr(MAC), "xenbr0", None, "web")
        assert spec.ips == (ip_network("10.0.0.1"), ip_network("2001:db8::/64"))
        assert (spec.script, spec.gateway_device, spec.card, spec.model) == ("vif-route", "eth0", "paravirtual", "e1000")
        assert (spec.rate, spec.mtu, spec.vlan) == (Rate(62500, usecs=50000), 9000, VlanSpec.parse("10p/20"))
        assert (spec.devid, spec.backend, spec.trusted, spec.others) == (3, "netvm", False, {"accel": "x"})
        assert spec.unenforceable == ("vlan=10p/20", "backend=netvm")
        assert VifSpec.parse(str(spec)) == spec == VifSpec.from_json(spec.to_json())

    def test_what_is_not_said_is_none(self) -> None:
        spec = VifSpec.parse("")
        names = ("mac", "bridge", "ovs_bridge", "name", "script", "gateway_device", "card", "model", "rate", "mtu")
        assert {getattr(spec, name) for name in (*names, "vlan", "devid", "backend", "trusted")} == {None}
        assert (spec.ips, spec.others, spec.unenforceable) == ((), {}, ())

    def test_the_dialects_differ(self) -> None:
        spec, warnings = VifSpec.from_xm("type=netfront, bridge = xenbr0")
        assert (spec.bridge, spec.card, warnings) == ("xenbr0", "paravirtual", ())
        with pytest.raises(ParseError, match='unknown key "mtu"'):
            VifSpec.from_xm("mtu=9000")
        with pytest.raises(ParseError, match="neither vif nor ioemu"):
            VifSpec.from_xl("type=netfront")

    def test_leniency_forgives_words_and_no_values(self) -> None:
        spec, warnings = VifSpec.from_xl("iP=10.0.0.1,bridge,devid=1,devid=2", lenient=True)
        assert (spec.ips, spec.bridge, spec.devid) == ((), None, 2)
        assert [warning.offset for warning in warnings] == [0, 12, 27]
        with pytest.raises(ParseError, match="is 18 bytes, the kernel's limit is 15"):
            VifSpec.from_xl("vifname=wiki.xen.prgmr.com", lenient=True)
        with pytest.raises(InvalidArgumentError, match="no unicast MAC address") as caught:
            VifSpec.parse("mac=01:16:3e:00:00:01")
        assert caught.value.offset == 4

    @pytest.mark.parametrize(
        ("text", "vif", "expected"),
        [
            (f"mac={MAC},ip=10.0.0.1", "vif1.0", ("xenbr0", Antispoof(MAC, ips="10.0.0.1", dhcp_client=True))),
            (f"mac={MAC}", "vif1.0", ("xenbr0", Antispoof(MAC, ips=["0.0.0.0/0", "::/0"], dhcp_client=True))),
            ("", VifId(1, devid=0), ("xenbr0", Lock.UNLOCKED)),
            (f"mac={MAC},script=vif-nat", "vif300.1", (None, Antispoof(MAC, ips="10.1.44.2", dhcp_client=True))),
        ],
    )
    def test_the_lock_follows_from_what_it_says(self, text: str, vif: Any, expected: tuple[Optional[str], Any]) -> None:
        attachment = VifSpec.parse(text).attachment(vif)
        assert (attachment.bridge, attachment.lock) == expected

    def test_what_the_host_adds(self) -> None:
        spec = VifSpec.parse(f"mac={MAC},ip=10.0.0.1,vifname=web,mtu=1400")
        bridged = Attachment("vif1.0", bridge="br7", lock=spec.attachment("vif1.0").lock, name="web", mtu=1400)
        assert spec.attachment("vif1.0", defaults=VifDefaults(bridge="br7")) == bridged
        assert spec.attachment("vif1.0-emu").final_name == "web-emu"
        routed = spec.attachment("vif1.0", defaults=VifDefaults(script="vif-route", gateway_device="eth0"))
        assert (routed.bridge, routed.gateway_device, routed.gateways) == (None, "eth0", ())
        nat = spec.attachment("vif1.0", defaults=VifDefaults(script=VifScript.parse("vif-nat")))
        assert nat.gateways == (ip_address("10.0.0.128"),)

    def test_what_nobody_sees_to_is_refused_unless_told(self) -> None:
        spec = VifSpec.parse("bridge=ovs0:20,vlan=7")
        assert spec.ovs_bridge == OvsBridge.parse("ovs0:20")
        with pytest.raises(UnsupportedError, match="cannot attach vif1.0: this version cannot see to vlan=7, bridge=ovs0:20"):
            spec.attachment("vif1.0")
        assert spec.attachment("vif1.0", lenient=True).bridge == "ovs0"
        with pytest.raises(InvalidArgumentError, match="it has no mac= that it could be held to") as caught:
            VifSpec.parse("ip=10.0.0.1").attachment("vif1.0")
        assert caught.value.advice is not None

    def test_what_is_no_text(self) -> None:
        for read in (VifSpec.parse, VifSpec.from_xl, VlanSpec.parse, Rate.from_xl, Network.parse):
            for wrong in (1, None, b"", ["a"]):
                with pytest.raises(TypeError, match="a text .str, or a Line of a file. is wanted"):
                    read(wrong)  # type: ignore[operator]
        with pytest.raises(TypeError, match="a vif script"):
            VifDefaults(script=1)  # type: ignore[arg-type]
        with pytest.raises(ParseError, match="vif: EOF"):
            VifSpec.from_json("{")


class TestRate:
    def test_each_grammar(self) -> None:
        assert str(Rate.from_xl("1MB/s@20ms")) == "20000,20000"
        assert Rate.from_xm("10MB/s@1s") == Rate(10_000_000, usecs=1_000_000)
        assert Rate.from_netback("62500,50000") == Rate.from_xl("10Mb/s")
        assert Rate.from_netback("4294967295,0") is None
        assert (Rate(1, usecs=2).bytes, Rate(1, usecs=2).usecs) == (1, 2)
        assert Rate.from_xl("10Mb/s").to_xl() == "1250000B/s@50000us"

    def test_what_is_wrong_is_said(self) -> None:
        with pytest.raises(ParseError, match="at byte 2") as caught:
            Rate.from_xl("10Mbps")
        assert caught.value.offset == 2 and caught.value.advice is not None
        with pytest.raises(ParseError):
            Rate.from_xm("10MB/s@20")
        with pytest.raises(InvalidArgumentError, match="would let nothing through"):
            Rate(0, usecs=50000)


def test_vlans() -> None:
    vlans = VlanSpec.parse("10p/20/30-32u/100+10x3")
    assert (vlans.pvid, vlans.untagged, vlans.tagged) == (10, (30, 31, 32), (20, 100, 110, 120))
    assert str(vlans) == "10p/20/30-32u/100/110/120"
    bridge = OvsBridge.parse("a-bridge-of-a-longer-name.7:8:9")
    assert (bridge.name, bridge.tag, bridge.trunks) == ("a-bridge-of-a-longer-name", 7, (8, 9))
    with pytest.raises(ParseError, match="VLAN 1 is given twice") as caught:
        VlanSpec.parse("1/2/1u")
    assert caught.value.offset == 4
    with pytest.raises(ParseError):
        OvsBridge.parse("a:")


def test_scripts() -> None:
    scripts = [VifScript.parse(line) for line in ("/x/vif-bridge", "vif-route netdev=eth1", "vif-nat dhcp=no")]
    assert [(it.name, it.bridge, it.netdev, it.dhcp) for it in scripts] == [
        ("vif-bridge", None, None, None),
        ("vif-route", None, "eth1", None),
        ("vif-nat", None, None, False),
    ]
    with pytest.raises(ParseError, match='did you mean "vif-bridge"') as caught:
        VifScript.parse("vif-brigde")
    assert caught.value.offset == 0
    with pytest.raises(UnsupportedError, match="vif-openvswitch"):
        VifScript.parse("vif-openvswitch")


def test_addresses_of_nat() -> None:
    assert VifId(300, devid=1).nat_address == IPv4Interface("10.1.44.2/16")
    assert nat_gateway(VifId(1, devid=0).nat_address) == IPv4Address("10.0.1.128")
    assert nat_gateway("10.0.0.200") == IPv4Address("10.0.0.73")
    with pytest.raises(InvalidArgumentError, match="2001:db8::1 is no IPv4 address"):
        nat_gateway("2001:db8::1")
    with pytest.raises(ParseError):
        nat_gateway("10.0.0")
    assert (VifId.MAX_DOMID, VifId.MAX_DEVID, xenvnet.VIF_GROUP) == (32751, 99, 7777)
    VifId(VifId.MAX_DOMID, devid=VifId.MAX_DEVID)


class TestMacCheck:
    def test_who_has_the_same_address(self) -> None:
        files = {"web.cfg": f"vif = [ 'mac={MAC}' ]", "db.cfg": f"vif = [ '', 'mac={MAC.upper()}' ]"}
        check = MacCheck.of(files)
        assert [(place.source, place.vif, place.offset, place.line) for place in check.macs] == [
            ("web.cfg", 0, 13, 1),
            ("db.cfg", 1, 17, 1),
        ]
        (found,) = check.findings
        assert found.places == check.macs and found.error is None and found.source is None
        assert str(found) == (
            f"{MAC} is given to 2 vifs of more than one guest: web.cfg, byte 13, line 1; db.cfg, byte 17, line 1"
        )
        assert "; ".join(map(str, check.macs)) in str(found)
        assert MacCheck.of(files.items()) == check

    def test_what_cannot_be_read(self) -> None:
        check = MacCheck.of([("a", "import os"), ("b", "vif = [ 'mac=01:00:00:00:00:00' ]"), ("c", "vif = [ 'brige=x' ]")])
        assert check.macs == ()
        assert [(found.source, type(found.error), found.places) for found in check.findings] == [
            ("a", ParseError, ()),
            ("b", InvalidArgumentError, ()),
        ]
        errors = [found.error for found in check.findings if isinstance(found.error, XenvnetError)]
        assert [error.offset for error in errors] == [0, 13]
        assert str(check.findings[0]) == f"a: {errors[0]}"
        assert MacCheck.of({}) == MacCheck((), ())


class TestOnAHost:
    def test_a_guest_is_attached_as_its_file_asks(self, host: Host) -> None:
        oracle.add_vif("vif1.0")
        host.create_bridge("xenbr1")
        spec = VifSpec.parse(GuestFile.parse(GUEST).vifs[0])
        assert host.attach_vif(spec.attachment("vif1.0")) is True
        assert oracle.ports("xenbr1") == {"vif1.0"}
        assert MAC in str(oracle.elements("bridge", "own_mac")) and "10.98.98.2" in str(oracle.elements("bridge", "own_ip4"))
        guard = host.snapshot().guard_of("vif1.0")
        assert guard is not None and guard.lock == Antispoof(MAC, ips="10.98.98.2", dhcp_client=True)
        (link,) = oracle.ip("link", "show", "dev", "vif1.0")
        assert link["group"] == str(xenvnet.VIF_GROUP)
        assert host.attach_vif(spec.attachment("vif1.0")) is False

    def test_a_routed_guest_has_the_address_of_another_interface_for_its_gateway(self, host: Host) -> None:
        oracle.add_card("eth0", "192.0.2.10/24")
        oracle.add_vif("vif1.0")
        spec = VifSpec.parse(f"mac={MAC},ip=192.0.2.20,script=vif-route,gatewaydev=eth0")
        attachment = spec.attachment("vif1.0")
        assert attachment == Attachment.routed("vif1.0", lock=attachment.lock, gateway_device="eth0")
        assert host.attach_vif(attachment) is True
        assert oracle.addresses("vif1.0") == {"192.0.2.10/32"}
        assert [route["dst"] for route in oracle.ip("route", "show", "dev", "vif1.0")] == ["192.0.2.20"]
        assert host.forward_port(Forward("tcp:8080", to="192.0.2.20:80")) is True
