"""Bridges, masquerades, forwards and networks, as values. No kernel, no privilege."""

from __future__ import annotations

import ipaddress

import pytest
from samples import BROUTER, MAC
from xenvnet import (
    AdditionalPort,
    Bridge,
    BridgedNetwork,
    Brouter,
    Dom0,
    Forward,
    InvalidArgumentError,
    Lock,
    MacAddr,
    Masquerade,
    NatNetwork,
    Network,
    NoNetwork,
    Operation,
    ParseError,
    RoutedNetwork,
    ShadowNetwork,
    Uplink,
)


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
