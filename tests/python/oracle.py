"""The truth from outside: what iproute2 and nftables say, and namespaces to ask them in."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


def elements(family: str, name: str) -> list[Any]:
    """The elements of one of the sets or maps of our table."""
    listed = json.loads(run("nft", "-j", "list", "set", family, "xenvnet", name))["nftables"]
    (found,) = (item["set"] for item in listed if "set" in item)
    return list(found.get("elem", []))


def add_vif(name: str) -> None:
    """An interface as netback would make it; its other end is the guest's."""
    run("ip", "link", "add", name, "type", "veth", "peer", "name", name.replace("vif", "guest"))


def host_state() -> str:
    """Everything that xenvnet could have changed, but for what counts or ages by itself."""
    links = [{key: item.get(key) for key in _SETTINGS} for item in ip("link", "show")]
    return json.dumps([links, ip("-4", "address", "show"), run("nft", "-s", "list", "ruleset"), forwarding()], indent=1)


_SETTINGS = ("ifindex", "ifname", "address", "mtu", "group", "master", "ifalias", "inet6_addr_gen_mode")


def set_forwarding(value: int) -> None:
    with open("/proc/sys/net/ipv4/ip_forward", "w", encoding="ascii") as file:
        file.write(str(value))


def forwarding() -> int:
    with open("/proc/sys/net/ipv4/ip_forward", encoding="ascii") as file:
        return int(file.read())
