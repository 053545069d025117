"""MAC addresses as values. No kernel, no privilege."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from samples import MAC
from xenvnet import InvalidArgumentError, MacAddr, ParseError

DATA = Path(__file__).parent.parent / "data"


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
