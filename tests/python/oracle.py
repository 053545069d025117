"""The truth from outside: what iproute2 and nftables say, and namespaces to ask them in."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from typing import Any, TypeVar

_T = TypeVar("_T")

CLONE_NEWUSER = 0x1000_0000
CLONE_NEWNET = 0x4000_0000

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, call: str) -> None:
    if result != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, f"{call}: {os.strerror(errno)}")


def become_root() -> None:
    """Without privileges: root of a user namespace, with a network namespace to come home to."""
    uid, gid = os.getuid(), os.getgid()
    _check(_libc.unshare(CLONE_NEWUSER | CLONE_NEWNET), "unshare")
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


@contextmanager
def new_netns() -> Iterator[None]:
    """Moves the calling thread, and what it starts, into an empty network namespace."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        try:
            run("ip", "link", "set", "lo", "up")
            # A new namespace begins with the settings of the first one (net.core.devconf_inherit_init_net).
            set_forwarding(0)
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
    finally:
        os.close(home)


def run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def ip(*words: str) -> list[dict[str, Any]]:
    """``ip -json -detail``; an empty list where it prints nothing."""
    found: list[dict[str, Any]] = json.loads(run("ip", "-json", "-detail", *words) or "[]")
    return [item for item in found if item]


def link(name: str) -> dict[str, Any] | None:
    """What ip says of an interface, None where there is none of that name."""
    return next((item for item in ip("link", "show") if item["ifname"] == name), None)


def ports(bridge: str) -> set[str]:
    return {item["ifname"] for item in ip("link", "show") if item.get("master") == bridge}


def addresses(name: str) -> set[str]:
    """The addresses that an interface was given; not those that the kernel made up."""
    (item,) = ip("address", "show", "dev", name)
    return {f"{a['local']}/{a['prefixlen']}" for a in item["addr_info"] if a["scope"] != "link"}


def tables() -> set[str]:
    return {line.removeprefix("table ") for line in run("nft", "list", "tables").splitlines()}


def elements(family: str, name: str, table: str = "xenvnet") -> list[Any]:
    """The elements of one of the sets or maps of our tables."""
    listed = json.loads(run("nft", "-j", "list", "set", family, table, name))["nftables"]
    (found,) = (item["set"] for item in listed if "set" in item)
    return list(found.get("elem", []))


def add_vif(name: str) -> None:
    """An interface as netback would make it; its other end is the guest's, up and silent."""
    guest = name.replace("vif", "guest")
    run("ip", "link", "add", name, "type", "veth", "peer", "name", guest)
    # Else the kernel would look for neighbours and routers there, with an address that no lock allows.
    with open(f"/proc/sys/net/ipv6/conf/{guest}/disable_ipv6", "w", encoding="ascii") as file:
        file.write("1")
    run("ip", "link", "set", guest, "up")


def add_card(name: str, *addresses: str) -> None:
    """A card of dom0's with a carrier; its other end is the LAN, up and silent."""
    run("ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}lan")
    run("ip", "link", "set", f"{name}lan", "up")
    run("ip", "link", "set", name, "up")
    await_carrier(name)
    for address in addresses:
        run("ip", "address", "add", address, "dev", name, *(["nodad"] if ":" in address else []))


def await_carrier(name: str) -> None:
    """Waits until the kernel's link watch has come round: before, a port is opened and shut by it."""
    deadline = time.monotonic() + 20
    while [item["operstate"] for item in ip("link", "show", "dev", name)] != ["UP"]:
        assert time.monotonic() < deadline, f"{name} has no carrier"


def sent_until(guest: str, frame: bytes, seen: Callable[[], _T]) -> _T:
    """Sends a frame, which is lost while the carrier comes up, until something is seen of it."""
    deadline = time.monotonic() + 20
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as card:
        card.bind((guest, 0))
        while not (found := seen()):
            assert time.monotonic() < deadline, f"nothing was seen of what {guest} sent"
            card.send(frame)
    return found


def ether(target: str, source: str, rest: bytes) -> bytes:
    return bytes.fromhex((target + source).replace(":", "")) + rest


def datagram(source: str, target: str, port: int, words: bytes) -> bytes:
    """A UDP datagram over IPv4, from its EtherType on."""
    addresses = IPv4Address(source).packed + IPv4Address(target).packed
    head = struct.pack("!BBHHHBBH", 0x45, 0, 28 + len(words), 0, 0, 64, socket.IPPROTO_UDP, 0) + addresses
    total = sum(struct.unpack("!10H", head))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    head = head[:10] + struct.pack("!H", total ^ 0xFFFF) + head[12:]
    return b"\x08\x00" + head + struct.pack("!HHHH", 1024, port, 8 + len(words), 0) + words


@contextmanager
def listening(address: str) -> Iterator[tuple[int, Callable[[], set[bytes]]]]:
    """A port of dom0's, and what arrived there since it was last asked."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ear:
        ear.bind((address, 0))
        ear.setblocking(False)

        def heard() -> set[bytes]:
            words = set()
            try:
                while True:
                    words.add(ear.recv(64))
            except BlockingIOError:
                return words

        yield ear.getsockname()[1], heard


def host_state() -> str:
    """Everything that xenvnet could have changed, but for what counts or ages by itself."""
    links = [{key: item.get(key) for key in _SETTINGS} for item in ip("link", "show")]
    nets = [[item["ifname"], item["addr_info"]] for item in ip("-4", "address", "show")]
    nets.append(ip("-4", "route", "show"))
    return json.dumps([links, nets, run("nft", "-s", "list", "ruleset"), forwarding()], indent=1)


_SETTINGS = ("ifindex", "ifname", "address", "mtu", "group", "master", "ifalias", "inet6_addr_gen_mode")


def set_forwarding(value: int) -> None:
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
        file.write(str(value))


def forwarding() -> int:
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        return int(file.read())
