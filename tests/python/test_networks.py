"""Each kind of network by its line, and ports of dom0 that lead to guests: what ip and nft say of them."""

from __future__ import annotations

import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import oracle
import pytest
from xenvnet import (
    AdditionalPort,
    Antispoof,
    Attachment,
    Bridge,
    BridgedNetwork,
    Brouter,
    ConflictError,
    Forward,
    Host,
    NatNetwork,
    Network,
    NotFoundError,
    Operation,
    RoutedNetwork,
    ShadowNetwork,
    Uplink,
)

MAC = "00:16:3e:00:00:01"
CARD = {"192.0.2.10/24", "2001:db8:1::10/64"}


@pytest.fixture
def site(host: Host) -> Host:
    """A host with a card that leads outside, and one that leads nowhere yet."""
    oracle.add_card("eth0", *CARD)
    oracle.add_card("spare0")
    oracle.run("ip", "route", "add", "default", "via", "192.0.2.1", "dev", "eth0")
    return host


def default_device() -> str:
    (route,) = oracle.ip("-4", "route", "show", "default")
    return str(route["dev"])


def setting(name: str) -> int:
    with open(f"/proc/sys/net/{name.replace('.', '/')}", encoding="ascii") as file:
        return int(file.read())


def leads_out_by(bridge: str, card: str) -> Callable[[], bool]:
    """The bridge has what dom0 had on the card, which is its port."""
    return lambda: (oracle.ports(bridge), oracle.addresses(bridge), default_device()) == ({card}, CARD, bridge)


def leads_nowhere(bridge: str) -> bool:
    return oracle.link(bridge) is not None and oracle.ports(bridge) == set() and default_device() == "eth0"


def is_routed() -> bool:
    settings = ("ipv4.conf.eth0.proxy_arp", "ipv6.conf.eth0.proxy_ndp", "ipv4.ip_forward", "ipv6.conf.all.forwarding")
    return [setting(name) for name in settings] == [1, 1, 1, 1]


def is_masqueraded(*subnets: str) -> bool:
    rules = oracle.run("nft", "list", "chain", "inet", "xenvnet", "postrouting").splitlines()
    rules = [rule for rule in rules if "masquerade" in rule and "eth0" in rule]
    return len(rules) == len(subnets) and all(any(subnet in rule for rule in rules) for subnet in subnets)


@pytest.mark.parametrize(
    ("line", "name", "network", "runs"),
    [
        ("network-bridge", "eth0", BridgedNetwork("eth0"), leads_out_by("eth0", "peth0")),
        ("network-bridge bridge=xenbr0", "xenbr0", BridgedNetwork("eth0", bridge="xenbr0"), leads_out_by("xenbr0", "eth0")),
        (
            "network-bridge bridge=xenbr1 netdev=dummy0",
            "xenbr1",
            BridgedNetwork(Uplink.NOTHING, bridge="xenbr1"),
            lambda: leads_nowhere("xenbr1"),
        ),
        ("bridge-shadow eth0", "eth0", ShadowNetwork("eth0"), leads_out_by("eth0", "seth0")),
        ("network-route", "route:eth0", RoutedNetwork("eth0", ipv6=True), is_routed),
        ("network-nat", "nat:eth0", NatNetwork("eth0"), lambda: is_masqueraded("10.0.0.0/8")),
        (
            "network-nat netdev=eth0 subnet=192.168.7.0/24,fd00:5::/64",
            "nat:eth0",
            NatNetwork("eth0", subnets=["192.168.7.0/24", "fd00:5::/64"]),
            lambda: is_masqueraded("192.168.7.0/24", "fd00:5::/64"),
        ),
        (
            "network-virtual bridgeip=10.98.98.1/24",
            "xenbr0",
            Brouter("xenbr0", address="10.98.98.1/24"),
            lambda: oracle.addresses("xenbr0") == {"10.98.98.1/24"},
        ),
    ],
)
def test_it_starts_and_stops(site: Host, line: str, name: str, network: Network, runs: Callable[[], bool]) -> None:
    before = oracle.host_state()
    assert site.start_network(line) is True
    assert runs()
    assert site.start_network(line) is False
    assert site.start_network(network) is False
    record = site.snapshot().networks[name]
    assert (record.network, record.network.id, type(record.network)) == (network, name, type(network))
    assert site.stop_network(line) is True
    assert site.stop_network(line) is False
    assert oracle.host_state() == before
    assert oracle.addresses("eth0") == CARD
    assert site.snapshot().networks == {}


def test_what_its_settings_were_is_kept(site: Host) -> None:
    site.start_network(RoutedNetwork("eth0", ipv6=False))
    (record,) = site.snapshot().networks.values()
    assert record.before == {"net.ipv4.conf.eth0.proxy_arp": 0, "net.ipv4.ip_forward": 0}


def test_a_bridge_gets_one_more_port(site: Host) -> None:
    site.start_network(BridgedNetwork(Uplink.NOTHING, bridge="xenbr0"))
    before = oracle.host_state()
    port = AdditionalPort("xenbr0", port="spare0")
    assert site.start_network(port) is True
    assert oracle.ports("xenbr0") == {"spare0"}
    assert site.snapshot().networks["spare0"].network == port
    assert site.stop_network(port) is True
    assert oracle.host_state() == before


def test_several_cards_have_a_shadow_each(site: Host) -> None:
    before = oracle.host_state()
    both = ShadowNetwork(["eth0", "spare0"])
    assert site.start_network(both) is True
    assert (oracle.ports("eth0"), oracle.ports("spare0")) == ({"seth0"}, {"sspare0"})
    assert site.snapshot().networks.keys() == {"eth0", "spare0"}
    assert site.stop_network(ShadowNetwork("spare0")) is True
    assert oracle.ports("eth0") == {"seth0"} and oracle.link("sspare0") is None
    assert site.stop_network(both) is True
    assert oracle.host_state() == before


def test_a_bridge_has_its_carrier_when_its_uplink_has(site: Host) -> None:
    site.start_network(BridgedNetwork("eth0", bridge="xenbr0"))
    assert site.wait_for_carrier("xenbr0", within=20) is True
    oracle.add_vif("vif1.0")
    assert site.wait_for_carrier("vif1.0", within=0) is False, "it is not up"
    with pytest.raises(NotFoundError, match="no interface named eth7"):
        site.wait_for_carrier("eth7", within=0)


def test_nothing_is_no_work(site: Host) -> None:
    before = oracle.host_state()
    for line in ("network-dummy", "network-bridge bridge=null"):
        assert site.start_network(line) is False
        assert site.stop_network(line) is False
    assert oracle.host_state() == before


def test_an_uplink_that_is_not_there(site: Host) -> None:
    before = oracle.host_state()
    with pytest.raises(NotFoundError, match="no interface named eth7"):
        site.start_network(NatNetwork("eth7"))
    assert oracle.host_state() == before


@pytest.fixture
def guest(host: Host) -> Host:
    """A host with a guest, 10.0.0.2, that dom0 need not ask for its MAC address."""
    host.create_bridge(Bridge("xenbr0", addresses="10.0.0.1/24"))
    oracle.add_vif("vif1.0")
    host.attach_vif(Attachment("vif1.0", bridge="xenbr0", lock=Antispoof(MAC, ips="10.0.0.2")))
    oracle.run("ip", "neighbour", "add", "10.0.0.2", "lladdr", MAC, "dev", "xenbr0", "nud", "permanent")
    return host


def arrives(words: bytes, port: int) -> bool:
    """Whether what dom0 sends to a port of its own comes out at the guest's port, for the guest."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0800)) as card:
        card.bind(("guest1.0", 0x0800))
        card.settimeout(20)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dom0:
            dom0.sendto(words, ("10.0.0.1", 5300))
        while words not in (frame := card.recv(2048)):
            pass
    (target,) = struct.unpack("!H", frame[36:38])
    return frame[30:34] == bytes([10, 0, 0, 2]) and target == port


class TestForwards:
    def test_a_port_leads_to_a_guest(self, guest: Host) -> None:
        oracle.await_carrier("vif1.0")
        before = oracle.host_state()
        forward = Forward("udp:5300", to="10.0.0.2:53")
        assert guest.forward_port(forward) is True
        assert guest.forward_port(str(forward)) is False
        assert "inet xenvnet_forwards" in oracle.tables()
        assert guest.snapshot().forwards == (Forward("udp:5300", to="10.0.0.2:53", behind="xenbr0"),)
        assert arrives(b"asked", 53)
        assert guest.verify().is_sound
        assert guest.unforward_port("udp:5300") is True
        assert guest.unforward_port("udp:5300") is False
        assert oracle.host_state() == before

    def test_a_port_leads_to_one_guest(self, guest: Host) -> None:
        guest.forward_port("tcp:8080 to 10.0.0.2:80")
        with pytest.raises(ConflictError, match="cannot forward tcp:8080: it leads to 10.0.0.2:80 already"):
            guest.forward_port(Forward("tcp:8080", to="10.0.0.3:80"))
        assert guest.run(Operation.unforward_port("tcp:8080")) is True

    def test_what_others_deleted_is_found_and_mended(self, guest: Host) -> None:
        forward = Forward("tcp:8080", to="10.0.0.2:80", behind="xenbr0")
        guest.forward_port(forward)
        before = oracle.run("nft", "-s", "list", "ruleset")
        oracle.run("nft", "delete", "table", "inet", "xenvnet_forwards")
        report = guest.repair()
        assert not report.is_sound
        assert "table_missing" in {finding.kind for finding in report.findings}
        assert oracle.run("nft", "-s", "list", "ruleset") == before
        assert guest.snapshot().forwards == (forward,)


DARING = """
import ctypes, os, sys
from xenvnet import ConflictError, Host
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={fuse},rootmode=40000,user_id=0,group_id=0".encode()
assert libc.unshare(0x20000) == 0 and libc.mount(b"none", b"/", None, 0x44000, None) == 0
assert libc.mount(b"store:/root", b"/", b"fuse.sshfs", 0, options) == 0, os.strerror(ctypes.get_errno())
for dares in (False, True):
    with Host(state_dir=sys.argv[1], even_with_network_root=dares) as host:
        try:
            print(host.start_network("network-bridge bridge=xenbr0"))
        except ConflictError as error:
            print(error)
"""


@pytest.mark.skipif(not os.access("/dev/fuse", os.R_OK | os.W_OK), reason="not let near FUSE")
def test_the_uplink_of_a_root_on_the_network_is_moved_when_told(site: Host, tmp_path: Path) -> None:
    # In a process with a file system on / that only the network could have, and that nobody serves.
    refused, started = oracle.run(sys.executable, "-c", DARING, str(tmp_path / "state")).splitlines()
    assert refused.endswith("the root file system (fuse.sshfs) is on the network, and may be reached by eth0")
    assert started == "True"
    assert leads_out_by("xenbr0", "eth0")()
